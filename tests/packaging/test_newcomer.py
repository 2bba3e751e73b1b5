#!/usr/bin/python3
"""test_newcomer.py BUILD CACHE: who has the packages and README, and does what it says: run among the rig's servers.

A Debian that debootstrap made (fresh.py), with systemd as its init, booted; the packages, the commands of README's "From nothing to
a login by card" as they stand there, with the configuration that stands there, for these servers' names.  There is no mirror among
the rig's servers: what apt wants test_fresh.py has fetched before.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import booted
import fresh
from booted import Booted

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests/rig'))
from rig import KDC_PORT, LDAP_PORT, PIN, Rig, people  # noqa: E402
from terminal import Terminal  # noqa: E402

BUILD = CACHE = Path()
PACKAGES = Path()
SECONDS = 60
SERVERS = ('slapd', 'kdc', 'ocsp', 'http')
# What README calls them by names that are nobody's, and who they are here.
NAMES = {"'ldap://ldap1.example.org', 'ldap://ldap2.example.org'": f"'ldap://127.0.0.1:{LDAP_PORT}'", 'dc=example,dc=org': people.BASE,
         'EXAMPLE.ORG': 'CARDMAP.TEST', 'kdc1.example.org': f'127.0.0.1:{KDC_PORT}'}
SHELL = rb'\$ $'


def section(title):
    text = (TOP / 'README.md').read_text(encoding='utf-8')
    return re.search(rf'^## {title}\n.*?^```text\n(.*?)^```', text, re.M | re.S)[1]


def commands():
    """README's, without what it says of each."""
    return [re.sub(r' {2,}#.*', '', line) for line in section('From nothing to a login by card').splitlines()]


class Fresh(Booted):
    """As a computer on which nobody has set up anything."""
    def below(self):
        folder = booted.PLACE / 'debian'
        folder.mkdir()
        fresh.unpack(CACHE, folder)
        return folder

    def prepare(self):
        etc = self.root / 'etc'
        for kind, name in (('proc', 'proc'), ('tmpfs', 'tmp')):
            booted.run('mount', '-t', kind, name, self.root / name)
        booted.run('mount', '--bind', '/dev', self.root / 'dev')
        booted.run('mount', '--bind', CACHE / 'archives', self.root / fresh.FETCHED)
        fresh.run('chroot', self.root, 'apt-get', '-q', '-y', 'install', '--no-install-recommends', *fresh.COMPUTER)
        for name in ('dev', 'tmp', 'proc', fresh.FETCHED):
            booted.run('umount', '-l', self.root / name)
        # What a person answers to "Do you want to continue?"
        (etc / 'apt/apt.conf.d/99-yes').write_text('APT::Get::Assume-Yes "true";\n', encoding='ascii')
        (etc / 'machine-id').write_text(f'{os.urandom(16).hex()}\n', encoding='ascii')
        shutil.copy('/etc/hosts', etc / 'hosts')
        booted.run('systemctl', f'--root={self.root}', 'mask', 'pcscd.socket', 'pcscd.service')  # the rig's is there

    def sh(self, command, check=True):
        return self.inside('env', 'DEBIAN_FRONTEND=noninteractive', 'HOME=/', 'TMPDIR=/tmp', 'sh', '-c', f'cd /srv/new && {command}', check=check)

    def terminal(self, command):
        """A terminal of that computer, for which script(1) asks."""
        return Terminal(['nsenter', '-t', self.leader, '-m', '-u', '-i', '-n', '-p', '--root', '--wd', '--',
                         'env', 'TERM=dumb', 'HOME=/', 'TMPDIR=/tmp', 'script', '-qec', command, '/dev/null'], dict(os.environ))


class Newcomer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rig = Rig.attach()
        cls.computer = computer = Fresh(PACKAGES / 'none')
        cls.addClassCleanup(computer.end)
        folder = computer.root / 'srv/new'
        folder.mkdir(parents=True)
        for path in PACKAGES.glob('*.deb'):
            shutil.copy(path, folder)
        for name, path in (('root.pem', 'root.crt'), ('issuing.pem', 'inter.crt')):
            shutil.copy(cls.rig.pki / path, folder / name)
        shutil.copy(cls.rig.keytab, folder / 'host.keytab')
        conf = section('Configuration')
        for theirs, ours in NAMES.items():
            if theirs not in conf:
                raise AssertionError(f'README no longer has {theirs}')
            conf = conf.replace(theirs, ours)
        (folder / 'cardmap.conf').write_text(conf, encoding='ascii')
        computer.boot('--bind=/run/pcscd', f'--bind={CACHE}/archives:/{fresh.FETCHED}')

    def tell(self, said):
        return f'{said}\n' + self.computer.inside('journalctl', '--no-pager', '-b', check=False).stdout[-5000:]

    def login(self, command, *shown):
        """alice at a terminal: the PIN that is asked for, a shell, and what she sees there."""
        terminal = self.computer.terminal(command)
        try:
            terminal.enter(rb'PIN for Alice Example[^\n]*: *$', PIN, SECONDS)
            terminal.expect(SHELL, SECONDS)
            terminal.type('id -un; pwd; klist; echo timer=$(systemctl --user is-active cardmap-renew.timer); echo said=$?\n')
            text = b''
            terminal.expect(rb'said=\d', SECONDS)
            text = terminal.text
            terminal.type('exit\n')
            terminal.end(SECONDS)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self.fail(self.tell(error))
        finally:
            terminal.kill()
        for what in (r'(?m)^alice\r?$', r'(?m)^/home/alice\r?$', *shown):
            self.assertRegex(text.decode(errors='replace'), what)
        return text.decode(errors='replace')

    def stacks(self):
        """What counts of them."""
        return {path.name: [line for line in path.read_text(encoding='utf-8').splitlines() if line and line[0] != '#']
                for path in self.computer.path('/etc/pam.d').glob('common-*')}

    def test_readme(self):
        """To the first login, the next without any server, and back to passwords."""
        self.computer.sh('pam-auth-update --force --package')
        before = self.stacks()
        asked = None
        for command in commands():
            if command.startswith('login '):
                asked = command
                self.login(command, r'Default principal: alice@CARDMAP\.TEST', r'(?m)^timer=active\r?$')
                continue
            done = self.computer.sh(command, check=False)
            self.assertEqual(done.returncode, 0, self.tell(f'{command}\n{done.stdout}{done.stderr}'))
        self.assertIsNotNone(asked, commands())
        self.assertLessEqual(len(commands()), 10)
        self.assertIn('alice', done.stdout, command)
        self.rig.stop(*SERVERS)
        self.login(asked, r'[Oo]ffline')
        self.assertIn('alice', self.computer.sh('getent passwd alice').stdout)
        back, = re.findall(r'The way back is `([^`]+)`', (TOP / 'README.md').read_text(encoding='utf-8').replace('\n', ' '))
        self.computer.sh(back)
        self.assertEqual(self.stacks(), before)
        self.computer.sh('echo root:Correct-horse-9 | chpasswd')
        asked = "setpriv --reuid=nobody --regid=nogroup --clear-groups su -c 'id -u'"
        self.assertRegex(self.computer.sh(f'echo Correct-horse-9 | {asked}').stdout, r'(?m)\b0$')
        self.assertNotEqual(self.computer.sh(f'echo another | {asked}', check=False).returncode, 0)


def main():
    global BUILD, CACHE, PACKAGES
    BUILD, CACHE = (Path(sys.argv.pop(1)).resolve() for _ in range(2))
    if not booted.can():
        sys.exit(77)
    with tempfile.TemporaryDirectory(dir='/run') as folder:
        PACKAGES = Path(folder)
        (PACKAGES / 'none').mkdir(mode=0o755)
        subprocess.run(['cpack', '-B', folder], cwd=BUILD, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        unittest.main(argv=sys.argv, verbosity=2)


if __name__ == '__main__':
    main()
