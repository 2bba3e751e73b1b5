"""gdm.py: gdm's own program that talks to PAM, gdm-session-worker of Debian's package, and the other end of its bus.

The package is fetched from the mirror of this computer's apt and unpacked, not installed: it takes a whole desktop with it. The
worker is run as gdm runs it, with the address of a bus that has nobody else on it (GDM_SESSION_DBUS_ADDRESS); what gdm and
gnome-shell are to it, the test is.
"""
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from gi.repository import Gio, GLib

import rig as rig_module
from computer import in_background
from rig import WORK, RigError

SECONDS = 60
FETCH_SECONDS = 300
SHARE, KEPT = Path('/usr/share'), Path('/mnt')  # not below WORK, where each file is looked through in the end
SESSION = """<node><interface name="org.gnome.DisplayManager.WorkerManager">
<method name="Hello"/>
<method name="Info"><arg type="s" direction="in"/><arg type="s" direction="in"/></method>
<method name="Problem"><arg type="s" direction="in"/><arg type="s" direction="in"/></method>
<method name="InfoQuery"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="out"/></method>
<method name="SecretInfoQuery"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="out"/></method>
<method name="ChoiceListQuery"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/><arg type="s" direction="out"/></method>
</interface></node>"""
WORKER = 'org.gnome.DisplayManager.Worker'


def fetch(folder):
    """Into this folder the package's files, once.  Outside of a rig, which has no network; what cannot be had fails."""
    files = Path(folder) / 'gdm3'
    if not files.exists():
        with tempfile.TemporaryDirectory(dir=folder, prefix='gdm3.') as new:
            root = ['apt-get', '-q', '-o', 'APT::Sandbox::User=root']
            got = subprocess.run([*root, 'download', 'gdm3'], cwd=new, check=False, timeout=FETCH_SECONDS)
            if got.returncode:  # no lists of what there is
                subprocess.run([*root, 'update'], check=True, timeout=FETCH_SECONDS)
                subprocess.run([*root, 'download', 'gdm3'], cwd=new, check=True, timeout=FETCH_SECONDS)
            subprocess.run(['dpkg-deb', '-x', *Path(new).glob('gdm3_*.deb'), Path(new) / 'gdm3'], check=True, timeout=FETCH_SECONDS)
            (Path(new) / 'gdm3').rename(files)
    return files


def own_share(files):
    """Here, and only here, is /usr/share/gdm, without which the worker does not begin."""
    rig_module.run(['mount', '--bind', SHARE, KEPT])
    rig_module.run(['mount', '-t', 'tmpfs', 'share', SHARE])
    for path in [*KEPT.iterdir(), files / 'usr/share/gdm']:
        if not (SHARE / path.name).is_symlink():
            (SHARE / path.name).symlink_to(path)


def start_accounts(rig):
    """accountsservice, with nobody's settings; here it may write some."""
    folder = Path('/var/lib/AccountsService')
    rig_module.run(['mount', '-t', 'tmpfs', 'accounts', folder])
    for name in ('icons', 'users'):
        (folder / name).mkdir()
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
    bus.set_exit_on_close(False)
    asked = ('org.freedesktop.DBus', '/', 'org.freedesktop.DBus', 'NameHasOwner', GLib.Variant('(s)', ('org.freedesktop.Accounts',)),
             None, Gio.DBusCallFlags.NONE, 1000 * SECONDS, None)
    rig.launch('accounts', ['/usr/libexec/accounts-daemon'], lambda: bus.call_sync(*asked).unpack()[0])


class Worker:
    """One conversation. answers: to the questions, in their order; shown: all that a person is shown; doing: what he does then."""

    def __init__(self, files, service, answers=(), doing=None, **details):
        self.shown, self.answers, self.doing = [], list(answers), doing or {}
        self.context = GLib.MainContext.default()
        path = WORK / 'gdm.bus'
        path.unlink(missing_ok=True)
        self.log = WORK / 'gdm.log'
        with socket.socket(socket.AF_UNIX) as listener, open(self.log, 'wb') as log:
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(SECONDS)
            command = ['env', '-i', 'PATH=/usr/bin:/bin', 'LC_ALL=C.UTF-8', f'GDM_SESSION_DBUS_ADDRESS=unix:path={path}',
                       files / 'usr/libexec/gdm-session-worker']
            self.child = subprocess.Popen(in_background(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            link, _ = listener.accept()
        stream = Gio.Socket.new_from_fd(link.detach()).connection_factory_create_connection()
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_SERVER | Gio.DBusConnectionFlags.DELAY_MESSAGE_PROCESSING
        self.bus = Gio.DBusConnection.new_sync(stream, Gio.dbus_generate_guid(), flags, None, None)
        self.greeted = False
        self.bus.register_object('/org/gnome/DisplayManager/Session', Gio.DBusNodeInfo.new_for_xml(SESSION).interfaces[0], self.asked, None, None)
        self.bus.start_message_processing()
        self.until(lambda: self.greeted, 'the worker to greet')
        # Of no seat, so that it touches no virtual terminal of this computer.
        strings = {'service': service, 'x11-display-name': '', 'x11-authority-file': '', 'console': '', 'hostname': '', **details}
        details = {name.replace('_', '-'): GLib.Variant('s', value) for name, value in strings.items() if value is not None}
        details['display-is-local'] = GLib.Variant('b', True)
        self.call('Initialize', GLib.Variant('(a{sv})', (details,)))

    def asked(self, _bus, _sender, _path, _interface, method, parameters, call):
        words = parameters.unpack()
        if method == 'Hello':
            self.greeted = True
            call.return_value(None)
            return
        self.shown.append(f'{method} {words[1]}')
        self.doing.get(words[1], lambda: None)()
        if not method.endswith('Query'):
            call.return_value(None)
        elif self.answers:
            call.return_value(GLib.Variant('(s)', (self.answers.pop(0),)))
        else:
            call.return_dbus_error('org.gnome.DisplayManager.Session.Error.Cancel', 'nobody answers')

    def until(self, condition, what):
        deadline = time.monotonic() + SECONDS
        timer = GLib.timeout_add(100, lambda: True)  # so that iteration() returns
        try:
            while time.monotonic() < deadline and self.child.poll() is None:
                if condition():
                    return
                self.context.iteration(True)
        finally:
            GLib.source_remove(timer)
        raise RigError(f'waited for {what} (ended: {self.child.poll()}): {self.log.read_text(errors="replace")}')

    def call(self, method, parameters=None):
        """What it returns; the name of its error as a RuntimeError. It asks, while it is asked."""
        ended = []
        self.bus.call(None, '/org/gnome/DisplayManager/Worker', WORKER, method, parameters, None, Gio.DBusCallFlags.NONE,
                      1000 * SECONDS, None, lambda bus, result: ended.append(result))
        self.until(lambda: ended, method)
        try:
            return self.bus.call_finish(ended[0]).unpack()
        except GLib.Error as problem:
            raise RuntimeError(Gio.DBusError.get_remote_error(problem) or str(problem)) from problem

    def start(self, program):
        """In the session that is open; it takes no arguments."""
        return self.call('StartProgram', GLib.Variant('(s)', (str(program),)))

    def close(self):
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        with contextlib.suppress(GLib.Error):  # closed by the other end
            self.bus.close_sync(None)
