"""desktop.py: what people sit before, with no hardware: a screen (Xvfb), a person's fingers on its keyboard (the server's
XTEST, by xdotool), programs that lock it; and a login manager (greetd) whose greeter is the test.
"""
import json
import os
import select
import signal
import socket
import struct
import subprocess
from pathlib import Path

import rig as rig_module
from computer import in_background
from rig import WORK, RigError

SIZE = '320x240x24'
SECONDS = 60


class Screen:
    """Of this rig alone: the server looks for a display number that is free, since /tmp is everybody's."""

    def __init__(self, rig):
        self.rig = rig
        path = WORK / 'display'
        path.unlink(missing_ok=True)
        command = ['sh', '-c', f'exec {rig_module.program("Xvfb")} -displayfd 9 -ac -noreset -screen 0 {SIZE} 9>{path}']
        rig.launch('xvfb', command, lambda: path.exists() and path.read_text(encoding='ascii').endswith('\n'))
        self.display = ':' + path.read_text(encoding='ascii').strip()

    def close(self):
        self.rig.stop('xvfb')

    def key(self, *names):
        self.xdotool('key', *names)

    def enter(self, text):
        """Typed, and in no argument: process lists are everybody's."""
        self.xdotool('type', '--delay', '0', '--file', '-', input=text)
        self.key('Return')

    def xdotool(self, *arguments, **options):
        environment = {**os.environ, 'DISPLAY': self.display}
        subprocess.run([rig_module.program('xdotool'), *arguments], env=environment, check=True, capture_output=True,
                       text=True, timeout=SECONDS, **options)


class Locker:
    """A program that locks this screen, in a session.  Once it has, it closes the descriptor of XSS_SLEEP_LOCK_FD (xss-lock(1))."""

    def __init__(self, screen, session, command, **environment):
        read, write = os.pipe()
        given = {'DISPLAY': screen.display, 'XSS_SLEEP_LOCK_FD': write, **environment}
        command = ['env', *(f'{name}={value}' for name, value in given.items()), *command]
        self.log = WORK / 'locker.log'
        with open(self.log, 'wb') as out:
            self.child = subprocess.Popen(session.command(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          pass_fds=[write], start_new_session=True)
        os.close(write)
        locked = select.select([read], [], [], SECONDS)[0] and os.read(read, 1) == b''
        os.close(read)
        if not locked or self.child.poll() is not None:
            self.kill()
            raise RigError(f'the screen was not locked: {self.text()}')

    def text(self):
        return self.log.read_text(encoding='utf-8', errors='replace')

    def is_locked(self):
        return self.child.poll() is None

    def end(self):
        """Its status, once the screen is free."""
        return self.child.wait(SECONDS)

    def kill(self):
        if self.is_locked():
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()


# ---- a login manager

GREETD = """[terminal]
vt = "none"

[general]
source_profile = false
runfile = "{folder}/run"

[default_session]
command = "{folder}/greeter"
user = "_greetd"
"""
# It is in greetd's own session and only says where greetd listens: who asks there is the test. It ends when it is told to.
GREETER = """#!/bin/sh
echo "$GREETD_SOCK" >{folder}/new
mv {folder}/new {folder}/socket
read -r _ <{folder}/end
"""


class Greetd:
    """greetd(1), without a terminal of its own. A session begins when its greeter has ended, and the next greeter after it."""

    def __init__(self, rig):
        self.rig, self.folder = rig, WORK / 'greetd'
        self.folder.mkdir()
        self.folder.chmod(0o777)
        os.mkfifo(self.folder / 'end')
        (self.folder / 'end').chmod(0o666)
        for name, text in (('greetd.toml', GREETD), ('greeter', GREETER)):
            (self.folder / name).write_text(text.format(folder=self.folder), encoding='ascii')
        (self.folder / 'greeter').chmod(0o755)
        command = [rig_module.program('greetd'), '--config', self.folder / 'greetd.toml']
        rig.launch('greetd', in_background(command), self.has_greeter)
        self.greeter = None

    def has_greeter(self):
        return (self.folder / 'socket').exists()

    def close(self):
        if self.greeter:
            self.greeter.close()
        self.rig.stop('greetd')

    def begin(self, user):
        """What it answers first; of its present greeter, or the next one once a session has ended."""
        if not self.greeter:
            rig_module.wait_until(self.has_greeter, 'the greeter')
            self.greeter = socket.socket(socket.AF_UNIX)
            self.greeter.settimeout(SECONDS)
            self.greeter.connect((self.folder / 'socket').read_text(encoding='ascii').strip())
            (self.folder / 'socket').unlink()
        return self.ask(type='create_session', username=user)

    def ask(self, **message):
        """greetd-ipc(7): a length in the machine's own order, JSON."""
        data = json.dumps(message).encode()
        self.greeter.sendall(struct.pack('=I', len(data)) + data)
        return json.loads(self.receive(struct.unpack('=I', self.receive(4))[0]))

    def receive(self, size):
        data = b''
        while len(data) < size:
            more = self.greeter.recv(size - len(data))
            if not more:
                raise RigError(f'greetd hung up: {self.rig.log("greetd").read_text(errors="replace")}')
            data += more
        return data

    def log_in(self, user, *answers):
        """All that is shown, and how it ends: 'success' or 'error'."""
        shown, answers, reply = [], list(answers), self.begin(user)
        while reply['type'] == 'auth_message':
            kind = reply['auth_message_type']
            shown.append(f'{kind} {reply["auth_message"]}')
            given = {'response': answers.pop(0)} if kind in ('secret', 'visible') else {}
            reply = self.ask(type='post_auth_message_response', **given)
        if reply['type'] == 'error':
            self.ask(type='cancel_session')
        return shown, reply['type']

    def start(self, program):
        """The session, of whom log_in() let in: this program, which takes no arguments."""
        reply = self.ask(type='start_session', cmd=[str(program)], env=[])
        if reply['type'] != 'success':
            raise RigError(f'greetd begins no session: {reply}')
        self.greeter.close()
        self.greeter = None
        (self.folder / 'end').write_text('\n', encoding='ascii')
