"""service.py: cardmapd and its helpers from a build folder, run on a computer of the rig (computer.py) as they are installed.

Programs are copied to /run/rig/cardmap, so that they are root's and have the names they are installed by.
"""
import os
import pwd
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import computer as computer_module
import rig as rig_module
import varlink
from rig import WORK, RigError, wait_until

HOME = WORK / 'cardmap'
RUN = Path('/run/cardmap')
CONF = Path('/etc/cardmap/cardmap.conf')
PROGRAMS = {  # name: folder of HOME, folders of a build that may have it
    'cardmapd': ('sbin', ('cardmapd',)), 'cardmap-resolver': ('libexec', ('resolver',)),
    'cardmap-card': ('libexec', ('helper',)), 'cardmap-ccache': ('libexec', ('helper', 'krb5')),
    'cardmap-names': ('libexec', ('helper',)),
    'pam_cardmap.so': ('lib', ('pam',)), 'libcardmap.so.1': ('lib', ('client',)), 'cardmap': ('bin', ('cli',)),
}
NEEDED = ('cardmapd', 'cardmap-card', 'cardmap-ccache', 'cardmap')
RESOLVER, CARD = 'cardmap-resolver', 'cardmap-card'


@dataclass(frozen=True)
class Process:
    pid: int
    name: str
    uid: int
    parent: int


def built(build, name):
    for folder in PROGRAMS[name][1]:
        path = Path(build) / folder / name
        if path.exists():
            return path
    return None


def processes():
    """Those of ours that run, by the file that each runs."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            path = os.readlink(f'/proc/{pid}/exe').removesuffix(' (deleted)')
            status = dict(line.split(':\t', 1) for line in Path(f'/proc/{pid}/status').read_text().splitlines() if ':\t' in line)
        except (OSError, UnicodeDecodeError):
            continue
        if path.startswith(f'{HOME}/') and status['State'][0] not in 'ZX':
            found.append(Process(int(pid), Path(path).name, int(status['Uid'].split()[1]), int(status['PPid'])))
    return found


class Service:
    def __init__(self, computer, build, plain=None):
        """build: of the daemon and its helpers; plain: of what other programs load (without sanitizers)."""
        self.computer, self.rig = computer, computer.rig
        self.plain = plain or build
        self.build = None
        self.use(build)
        for folder in (CONF.parent, RUN, WORK / 'store'):
            folder.mkdir(mode=0o755, exist_ok=True)
        (WORK / 'store').chmod(0o700)
        self.tickets = WORK / 'tickets'
        self.tickets.mkdir(exist_ok=True)
        self.tickets.chmod(0o1777)
        self.store = WORK / 'store/accounts.db'
        self.lists = WORK / 'lists'
        self.lists.mkdir(mode=0o700, exist_ok=True)
        entry = pwd.getpwnam('_cardmap')
        os.chown(self.lists, entry.pw_uid, entry.pw_gid)
        self.password_file()
        self.notify = None
        libraries = Path('/etc/ld.so.conf.d')
        if (HOME / 'lib/libcardmap.so.1').exists() and libraries.is_dir():
            (libraries / '0-cardmap.conf').write_text(f'{HOME}/lib\n', encoding='ascii')
            rig_module.run(['ldconfig', '-i'])

    def use(self, build):
        """From now on start() starts this build's."""
        if self.build == build:
            return
        missing = []
        for name, (folder, _) in PROGRAMS.items():
            path = built(self.plain if folder in ('lib', 'bin') else build, name)
            if path is None:
                missing += [name] if name in NEEDED else []
                continue
            target = HOME / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(path, target)
            target.chmod(0o755)
        if missing:
            raise RigError(f'{", ".join(missing)}: not in {build} or {self.plain}: build it first')
        self.build = build

    @property
    def module(self):
        return HOME / 'lib/pam_cardmap.so'

    def password_file(self):
        """The directory's, for the process that asks it, and for root's commands."""
        entry = pwd.getpwnam('_cardmap')
        path = CONF.parent / 'bind.password'
        path.write_text(rig_module.people.READER_PASSWORD, encoding='ascii')
        os.chown(path, 0, entry.pw_gid)  # root's commands read it too
        path.chmod(0o640)

    def conf(self, more='', **changes):
        """/etc/cardmap/cardmap.conf; a__b is a.b."""
        keytab = Path('/etc/krb5.keytab')
        if self.rig.keytab.exists():
            shutil.copy(self.rig.keytab, keytab)
            keytab.chmod(0o600)
        values = {'accounts.path': self.store, 'accounts.userdb': '/etc/userdb', 'trust.crl_dir': self.lists, 'kerberos.ccache': f'FILE:{self.tickets}/krb5cc_%{{uid}}',
                  'directory.bind_password_file': CONF.parent / 'bind.password', 'kerberos.config': '/etc/krb5.conf',
                  'kerberos.keytab': keytab, 'service.log': 'stderr',
                  **{key.replace('__', '.'): value for key, value in changes.items()}}
        self.rig.conf(values, CONF, more)
        CONF.chmod(0o644)
        return CONF

    # -- Running

    def start(self, wait=True, **environment):
        """Once it says that it is ready (sd_notify(3)); environment: of a build for tests."""
        path = WORK / 'notify'
        path.unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.notify.bind(str(path))
        path.chmod(0o666)
        self.told = b''
        given = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'NOTIFY_SOCKET': path, 'ASAN_OPTIONS': 'detect_leaks=0', **environment}
        # Groups of root's own, as a service manager may give it: no helper keeps them.
        command = ['setpriv', '--groups', '4,24', 'env', '-i', *(f'{name}={value}' for name, value in given.items()),
                   HOME / 'sbin/cardmapd', '--config', CONF, '--run-dir', RUN, '--libexec', HOME / 'libexec']
        command = computer_module.place(computer_module.CGROUP / 'system.slice/cardmapd.service', command)
        (computer_module.CGROUP / 'system.slice/cardmapd.service').mkdir(parents=True, exist_ok=True)
        self.rig.launch('cardmapd', command, self.is_ready if wait else lambda: True)
        return self

    def is_ready(self):
        while True:
            try:
                self.told += self.notify.recv(4096) + b'\n'
            except BlockingIOError:
                return b'READY=1\n' in self.told

    def stop(self):
        self.rig.stop('cardmapd')
        wait_until(lambda: not processes_of_service(), 'the helpers to end with cardmapd', 10)
        return self

    def restart(self, **environment):
        return self.stop().start(**environment)

    @property
    def pid(self):
        return self.rig.need_pid('cardmapd')

    def kill(self, name):
        """kill -9: cardmapd itself, or all helpers of this name."""
        pids = [self.pid] if name == 'cardmapd' else [process.pid for process in processes() if process.name == name]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    @property
    def log(self):
        return self.rig.log('cardmapd').read_text(errors='replace')

    # -- Talking to it

    socket = RUN / 'io.cardmap'
    resolver_socket = RUN / 'io.cardmap.Resolver'

    def ask(self, method, parameters=None):
        path = self.resolver_socket if method.rpartition('.')[2] in ('Whois', 'Explain') else self.socket
        return varlink.ask(path, method, parameters)

    def connect(self):
        return varlink.Connection(self.socket)

    def cards(self):
        """Each reader with its card, as the service lists them before it tells of changes."""
        found = []
        with self.connect() as connection:
            for reply in connection.stream('io.cardmap.Cards'):
                if reply['event'] == 'listed':
                    return found
                found.append(reply['card'])
        raise RigError('Cards ended without its list')

    def is_prepared(self):
        """A card is read and looked up, whatever came of it."""
        return any(card['present'] and card['state'] in ('ready', 'refused', 'held') for card in self.cards())

    def wait_prepared(self):
        """What a person's walk to the keyboard gives it time for."""
        wait_until(self.is_prepared, 'the card to be prepared')


def processes_of_service():
    return [process for process in processes() if process.name in ('cardmapd', RESOLVER, CARD, 'cardmap-ccache')]

