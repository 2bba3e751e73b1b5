"""desktop.py: a screen with no hardware (Xvfb), programs on it, and a person's fingers: keys by the server's XTEST (xdotool)."""
import os
import select
import signal
import subprocess
from pathlib import Path

import rig as rig_module
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
