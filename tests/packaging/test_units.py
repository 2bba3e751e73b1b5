#!/usr/bin/python3
"""test_units.py BUILD: the units as they are installed: how exposed, whether systemd takes them, and that they work when it is booted."""
import contextlib
import json
import os
import re
import signal
import socket
import stat
import sys
import tempfile
import unittest
from pathlib import Path

import booted
from booted import SOCKETS, UNITS, Booted, run, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'rig'))
import reach  # noqa: E402

EXPOSURE = 2.0
SERVICES = ('cardmapd.service', 'cardmap-resolver.service', 'cardmap-card@.service', 'cardmap-refresh.service')
OTHERS = (*SOCKETS, 'cardmap-refresh.timer')
USER_UNITS = 'usr/lib/systemd/user'
# What the resolver must not reach.  The tests give these modes by which all might.
UNREADABLE = ('/etc/krb5.keytab', '/etc/shadow', '/root', '/var/lib/cardmap', '/var/lib/cardmap/accounts.db', '/run/cardmap/private',
              '/dev/mem', '/dev/kmsg', '/dev/shm', '/proc/1/environ')
UNWRITABLE = ('/', '/etc', '/etc/cardmap', '/etc/cardmap/cardmap.conf', '/usr', '/var', '/var/lib/cardmap', '/run', '/run/cardmap', '/run/lock', '/home',
              '/dev', '/dev/shm', '/sys/fs/cgroup', '/proc/sys/kernel/core_pattern')
OTHERS_SOCKETS = ('/run/cardmap/private/card', '/run/cardmap/private/resolver', '/run/systemd/private', '/run/dbus/system_bus_socket')
KERNELS = {'/proc', '/dev/pts', '/dev/mqueue', '/dev/hugepages'}    # which let nobody make a file who is not root
PSEUDO_DEVICES = {'console', 'full', 'null', 'ptmx', 'random', 'tty', 'urandom', 'zero'}
PCSC_POLICY = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1.0/policyconfig.dtd">
<policyconfig>
""" + "".join(f"""<action id="org.debian.pcsc-lite.{name}"><description>pcscd</description><message>pcscd</message>
<defaults><allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active></defaults></action>
""" for name in ('access_pcsc', 'access_card')) + "</policyconfig>\n"
BUILD = Path()
TREE = Path()


def settings(unit):
    """Of a unit's file: section -> key -> values; nothing is judged."""
    found, section = {}, None
    for line in (TREE / UNITS / unit).read_text(encoding='ascii').splitlines():
        if line.startswith('['):
            section = found.setdefault(line.strip('[]'), {})
        elif '=' in line and not line.startswith('#'):
            key, _, value = line.partition('=')
            section.setdefault(key, []).append(value)
    return found


class Installed(unittest.TestCase):
    def test_all_are_there(self):
        self.assertEqual({path.name for path in (TREE / UNITS).iterdir()}, {*SERVICES, *OTHERS})

    def test_exposure(self):
        for unit in SERVICES:
            said = run('systemd-analyze', 'security', '--no-pager', '--offline=true', f'--root={TREE}', unit.replace('@.', '@x.'), check=False)
            figure = re.search(r'Overall exposure level for \S+: (\d+\.\d) ', said.stdout)
            self.assertIsNotNone(figure, said.stderr)
            self.assertLessEqual(float(figure[1]), EXPOSURE, unit)

    def test_programs_are_there(self):
        for unit in SERVICES:
            program = settings(unit)['Service']['ExecStart'][0].split()[0]
            self.assertTrue(os.access(f'{TREE}{program}', os.X_OK), program)

    def test_another_prefix(self):
        with tempfile.TemporaryDirectory() as folder:
            booted.install(BUILD, folder, '/opt/trial')
            text = Path(folder, 'opt/trial/lib/systemd/system/cardmap-card@.service').read_text(encoding='ascii')
            self.assertIn('\nExecStart=/opt/trial/libexec/cardmap/cardmap-card\n', text)

    def test_enabled(self):
        """One unit enables all that a login wants, from the start on."""
        with tempfile.TemporaryDirectory() as folder:
            run('cp', '-a', TREE / 'usr', folder)
            run('systemctl', f'--root={folder}', 'enable', 'cardmapd.service', 'cardmap-refresh.timer')
            links = {path.relative_to(f'{folder}/etc/systemd/system').as_posix() for path in Path(folder, 'etc').rglob('*.*') if path.is_symlink()}
            self.assertEqual(links, {'multi-user.target.wants/cardmapd.service', 'timers.target.wants/cardmap-refresh.timer',
                                     *(f'sockets.target.wants/{unit}' for unit in SOCKETS)})

    def test_privileges(self):
        """Only the one that decides is root with a capability, and it has no network; who has one is nobody, or has none."""
        for unit in SERVICES:
            service = settings(unit)['Service']
            capabilities = service['CapabilityBoundingSet'][0].split()
            with self.subTest(unit):
                self.assertEqual(service['NoNewPrivileges'], ['yes'])
                if unit == 'cardmapd.service':
                    self.assertEqual(capabilities, ['CAP_SETUID', 'CAP_SETGID', 'CAP_KILL'])
                    self.assertEqual(service['PrivateNetwork'], ['yes'])
                    self.assertEqual(service['RestrictAddressFamilies'], ['AF_UNIX'])
                    self.assertNotIn('PrivateTmp', service)  # a ccache in it would be nobody's
                else:
                    self.assertEqual(capabilities, [])
                    self.assertIn('-/etc/krb5.keytab', service['InaccessiblePaths'][0].split())

    def test_users(self):
        with tempfile.TemporaryDirectory() as folder:
            run('cp', '-a', TREE / 'usr', folder)
            Path(folder, 'etc').mkdir()
            run('systemd-sysusers', f'--root={folder}', 'cardmap.conf')
            entries = [line.split(':') for line in Path(folder, 'etc/passwd').read_text(encoding='ascii').splitlines()]
            self.assertEqual({entry[0] for entry in entries}, {'_cardmap', '_cardmap-card'})
            for entry in entries:
                self.assertTrue(0 < int(entry[2]) < 1000)
                self.assertEqual(entry[6], '/usr/sbin/nologin')
            run('systemd-tmpfiles', f'--root={folder}', '--create', 'cardmap.conf')
            modes = {name: stat.S_IMODE(Path(folder, name).stat().st_mode) for name in ('run/cardmap', 'run/cardmap/private')}
            self.assertEqual(modes, {'run/cardmap': 0o755, 'run/cardmap/private': 0o711})


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.computer = computer = Booted(TREE)
        cls.addClassCleanup(computer.end)
        (computer.root / 'etc/cardmap').mkdir(exist_ok=True)
        (computer.root / 'etc/cardmap/people.ldif').write_text('version: 1\n', encoding='ascii')
        (computer.root / 'etc/cardmap/cardmap.conf').write_text(
            'directory {\n  uri = "ldif:/etc/cardmap/people.ldif"\n}\nkerberos {\n  ticket = "off"\n}\n', encoding='ascii')
        keytab = computer.root / 'etc/krb5.keytab'
        keytab.write_bytes(b'\5\2')
        keytab.chmod(0o644)
        (computer.root / 'root').chmod(0o755)
        for unit in SERVICES:
            # The sanitizers of a test build look for leaks by ptrace(2), which the units forbid.
            computer.drop_in(unit, '[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n')
        computer.boot('--private-network')

    def tell(self, error):
        return f'{error}\n' + '\n'.join(self.computer.journal(unit) for unit in ('cardmapd*', 'cardmap-*'))

    def ask(self, name, method, parameters):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(booted.SECONDS)
            link.connect(str(self.computer.path('/run/cardmap') / name))
            link.sendall(json.dumps({'method': method, 'parameters': parameters}).encode() + b'\0')
            answer = b''
            while not answer.endswith(b'\0'):
                if not (more := link.recv(65536)):
                    raise ConnectionResetError('it ended')
                answer += more
        return json.loads(answer[:-1])

    def call(self, name, method, **parameters):
        """Ask by varlink, as a client from outside; who waits for one that dies is told at once, and asks the next one."""
        def ask():
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                return self.ask(name, method, parameters)
            return None
        try:
            return wait_until(ask, f'an answer to {method}')
        except booted.BootError as error:
            return self.fail(self.tell(error))

    def info(self, name):
        return self.call(name, 'org.varlink.service.GetInfo')['parameters']

    def status(self, pid):
        return dict(line.split(':\t', 1) for line in Path(f'/proc/{pid}/status').read_text(encoding='ascii').splitlines() if ':\t' in line)

    def process(self, unit):
        return wait_until(lambda: self.computer.process(unit), f'{unit} to run')

    def test_verify(self):
        """Nothing in the files that systemd does not know, man pages and programs and units beside them included."""
        units = [name.replace('@.', '@x.') for name in (*SERVICES, *OTHERS)]
        said = self.computer.inside('systemd-analyze', 'verify', '--recursive-errors=no', *units, check=False)
        self.assertEqual((said.returncode, said.stdout + said.stderr), (0, ''))

    def test_verify_user_units(self):
        """Those of a user's own systemd, likewise."""
        names = sorted(path.name for path in (TREE / USER_UNITS).iterdir())
        self.assertEqual(names, ['cardmap-pair.service', 'cardmap-renew.service', 'cardmap-renew.timer'])
        said = self.computer.inside('env', 'XDG_RUNTIME_DIR=/run', 'systemd-analyze', '--user', 'verify', '--recursive-errors=no', *names, check=False)
        self.assertEqual((said.returncode, said.stdout + said.stderr), (0, ''))

    def test_sockets_wait(self):
        for unit in SOCKETS:
            self.assertEqual(self.computer.show(unit, 'ActiveState'), 'active', unit)
        modes = {name: stat.S_IMODE(self.computer.path(f'/run/cardmap/{name}').stat().st_mode)
                 for name in ('.', 'io.cardmap', 'io.cardmap.Resolver', 'private', 'private/resolver', 'private/card')}
        self.assertEqual(modes, {'.': 0o755, 'io.cardmap': 0o666, 'io.cardmap.Resolver': 0o666, 'private': 0o711,
                                 'private/resolver': 0o600, 'private/card': 0o600})

    def test_cardmapd(self):
        """The first who asks has it started; it says that it is ready; it is root with three capabilities and no network."""
        self.assertIn('io.cardmap', self.info('io.cardmap')['interfaces'])
        pid = self.process('cardmapd.service')
        self.assertEqual(self.computer.show('cardmapd.service', 'ActiveState'), 'active')
        self.assertEqual(self.computer.show('cardmapd.service', 'Type'), 'notify')
        status = self.status(pid)
        self.assertEqual(status['Uid'].split()[1], '0')
        self.assertEqual(int(status['CapEff'], 16), 1 << 5 | 1 << 6 | 1 << 7)  # CAP_KILL, CAP_SETGID, CAP_SETUID
        self.assertEqual((status['NoNewPrivs'], status['Seccomp']), ('1', '2'))
        self.assertNotEqual(os.readlink(f'/proc/{pid}/ns/net'), os.readlink(f'/proc/{self.computer.leader}/ns/net'))
        self.assertEqual(Path(f'/proc/{pid}/root/tmp').stat().st_ino, self.computer.path('/tmp').stat().st_ino)
        store = self.computer.path('/var/lib/cardmap/accounts.db').stat()
        self.assertEqual((store.st_uid, stat.S_IMODE(store.st_mode)), (0, 0o600))
        reached = self.computer.path('/run/cardmap/private/store').stat()
        self.assertEqual((reached.st_uid, reached.st_gid, stat.S_IMODE(reached.st_mode)), (0, self.group('_cardmap'), 0o660))

    def group(self, name):
        text = self.computer.path('/etc/group').read_text(encoding='utf-8')
        return int(re.search(rf'^{name}:[^:]*:(\d+):', text, re.M)[1])

    def user(self, name):
        text = self.computer.path('/etc/passwd').read_text(encoding='utf-8')
        return int(re.search(rf'^{name}:[^:]*:(\d+):', text, re.M)[1])

    def test_resolver(self):
        """On its own socket, as its own user, with nothing."""
        self.assertIn('io.cardmap', self.info('io.cardmap.Resolver')['interfaces'])
        pid = self.process('cardmap-resolver.service')
        status = self.status(pid)
        self.assertEqual({int(uid) for uid in status['Uid'].split()}, {self.user('_cardmap')})
        self.assertEqual(int(status['CapEff'], 16) | int(status['CapBnd'], 16), 0)
        self.assertEqual((status['NoNewPrivs'], status['Seccomp']), ('1', '2'))
        limits = Path(f'/proc/{pid}/limits').read_text(encoding='ascii')
        self.assertGreaterEqual(int(re.search(r'(?m)^Max open files +(\d+)', limits)[1]), 2048, 'more than may ask at once')
        os.kill(pid, signal.SIGKILL)
        self.assertIn('io.cardmap', self.info('io.cardmap.Resolver')['interfaces'])
        self.assertNotEqual(self.process('cardmap-resolver.service'), pid)

    def test_what_the_resolver_reaches(self):
        """Of this computer's files those that all may read, and none to write but its own, whatever modes they have; no devices, and
        none of the sockets by which others do what it may not."""
        self.info('io.cardmap.Resolver')
        self.info('io.cardmap')
        pid = self.process('cardmap-resolver.service')
        self.assertTrue(reach.is_bare(reach.status_of(pid)))
        mounts = {path for path in reach.writable_mounts(pid) - KERNELS if not path.startswith('/run/host/')}  # systemd-nspawn's
        self.assertEqual(mounts, {'/tmp', '/var/tmp', '/var/cache/cardmap'})
        for path in ('/tmp', '/var/tmp'):
            self.assertFalse(os.path.samefile(f'/proc/{pid}/root{path}', self.computer.path(path)), path)
        devices = [path for path in Path(f'/proc/{pid}/root/dev').rglob('*') if (path.is_char_device() or path.is_block_device()) and not path.is_symlink()]
        self.assertEqual({path.name for path in devices if path.parent.name != 'pts'} - PSEUDO_DEVICES, set())
        found = reach.reach(pid, [
            *(('read', path) for path in ('/', '/home', *UNREADABLE)), *(('write', path) for path in UNWRITABLE),
            *(('connect', path) for path in (*OTHERS_SOCKETS, '/run/cardmap/private/store', '/run/cardmap/io.cardmap')),
            ('write', '/var/cache/cardmap')])
        may = {attempt for attempt, answer in found.items() if answer == 'yes'}
        self.assertEqual(may, {('read', '/'), ('read', '/home'), ('write', '/var/cache/cardmap'),
                               ('connect', '/run/cardmap/private/store'), ('connect', '/run/cardmap/io.cardmap')}, found)
        for path in OTHERS_SOCKETS:
            self.assertTrue(self.computer.path(path).is_socket(), path)

    def helpers(self):
        listed = self.computer.systemctl('list-units', '--plain', '--no-legend', '--state=running', 'cardmap-card@*')
        return {line.split()[0] for line in listed.splitlines()}

    def test_card_helper(self):
        """An instance for each connection, which root alone may make, as its own user; it ends with the connection."""
        path = self.computer.path('/run/cardmap/private/card')
        before = self.helpers()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as first, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as second:
            for link in (first, second):
                link.connect(str(path))
            units = wait_until(lambda: len(new := self.helpers() - before) == 2 and new, 'two helpers')
            for unit in units:
                status = self.status(self.process(unit))
                self.assertEqual({int(uid) for uid in status['Uid'].split()}, {self.user('_cardmap-card')})
                self.assertEqual(int(status['CapEff'], 16) | int(status['CapBnd'], 16), 0)
                self.assertEqual((status['NoNewPrivs'], status['Seccomp']), ('1', '2'))
        wait_until(lambda: not self.helpers() & units, 'their end')
        self.assertEqual(self.computer.systemctl('list-units', '--plain', '--no-legend', '--failed', 'cardmap-card@*'), '')
        said = self.computer.inside('setpriv', '--reuid=_cardmap', '--regid=_cardmap', '--clear-groups', '/usr/bin/python3', '-c',
                                    'import socket; socket.socket(1, socket.SOCK_SEQPACKET).connect("/run/cardmap/private/card")', check=False)
        self.assertIn('PermissionError', said.stderr)

    def test_readers_by_polkit(self):
        """Where pcscd asks polkit (Debian 12's does not): the card helper's user may, the resolver's may not."""
        actions = self.computer.path('/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy')
        actions.write_text(PCSC_POLICY, encoding='ascii')
        self.computer.systemctl('start', 'polkit.service')
        for action in ('access_pcsc', 'access_card'):
            for user, may in (('_cardmap-card', True), ('_cardmap', False), ('nobody', False)):
                said = self.computer.inside('setpriv', f'--reuid={user}', '--clear-groups', '--', 'sh', '-c',
                                            f'exec pkcheck --action-id org.debian.pcsc-lite.{action} --process $$', check=False)
                self.assertEqual(said.returncode == 0, may, f'{user}: {said.stdout}{said.stderr}')
                self.assertTrue(may or 'Not authorized' in said.stderr, said.stderr)

    def test_killed(self):
        self.info('io.cardmap')
        pid = self.process('cardmapd.service')
        os.kill(pid, signal.SIGKILL)
        self.assertIn('io.cardmap', self.info('io.cardmap')['interfaces'])
        self.assertNotEqual(self.process('cardmapd.service'), pid)

    def test_refresh(self):
        self.computer.systemctl('start', 'cardmap-refresh.service', check=False)
        self.assertEqual(self.computer.show('cardmap-refresh.service', 'Result'), 'success', self.tell(''))


def main():
    global BUILD, TREE
    BUILD = Path(sys.argv.pop(1)).resolve()
    if not booted.can():
        sys.exit(77)
    if os.environ.get('CM_UNSHARED') is None:
        os.environ['CM_UNSHARED'] = 'yes'
        os.execvp('unshare', ['unshare', '-m', '--propagation', 'private', sys.executable, __file__, str(BUILD), *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as folder:
        TREE = Path(folder)
        TREE.chmod(0o755)
        booted.install(BUILD, TREE)
        unittest.main(argv=sys.argv, verbosity=2)


if __name__ == '__main__':
    main()
