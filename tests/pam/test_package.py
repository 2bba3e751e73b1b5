#!/usr/bin/python3
"""test_package.py BUILD: the Debian package put in and taken out by dpkg, over /usr, /etc and /var that are put back afterwards (root).

Putting it in changes no login; taking it out leaves no stack with a module that is gone, which would keep everybody out.
"""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

INSIDE = 'CM_PACKAGE_INSIDE'
ENVIRONMENT = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND': 'noninteractive', 'LANG': 'C.UTF-8'}
COMMON = [Path('/etc/pam.d', f'common-{name}') for name in ('auth', 'account', 'session', 'session-noninteractive', 'password')]


def run(*command):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          stdin=subprocess.DEVNULL, env=ENVIRONMENT, timeout=120)
    if done.returncode:
        raise AssertionError(f'{command}: status {done.returncode}\n{done.stdout}')
    return done.stdout


def enter(build):
    if os.environ.get(INSIDE):
        folder = Path(os.environ[INSIDE], 'layers')
        folder.mkdir()
        run('mount', '-t', 'tmpfs', 'layers', folder)
        for name in ('usr', 'etc', 'var'):
            (folder / f'{name}.upper').mkdir()
            (folder / f'{name}.work').mkdir()
            run('mount', '-t', 'overlay', name, '-o', f'lowerdir=/{name},upperdir={folder}/{name}.upper,workdir={folder}/{name}.work', f'/{name}')
        run('mount', '-t', 'tmpfs', 'run', '/run')
        return
    if os.geteuid() != 0:
        print('takes root')
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix='cm_package_') as folder:
        subprocess.run(['cpack', '-B', folder], cwd=build, check=True, stdout=subprocess.DEVNULL)
        status = subprocess.run(['unshare', '-m', '--propagation', 'private', sys.executable, *sys.argv, build],
                                env={**os.environ, INSIDE: folder}, check=False).returncode
    sys.exit(status)


def stacks():
    """What counts of them, as libpam reads it."""
    return {path.name: [line.split() for line in path.read_text(encoding='utf-8').splitlines() if line and line[0] != '#'] for path in COMMON}


def units():
    """Those that are enabled."""
    return {path.name for path in Path('/etc/systemd/system').glob('*.wants/cardmap*')}


class Package(unittest.TestCase):
    def test_in_and_out(self):
        package = next(Path(os.environ[INSIDE]).glob('cardmap_*.deb'))
        run('pam-auth-update', '--force', '--package')
        before = stacks()
        run('dpkg', '-i', package)
        self.assertEqual(stacks(), before)
        self.assertIn('libcardmap.so.1', run('ldconfig', '-p'))
        for user in ('_cardmap', '_cardmap-card'):
            self.assertRegex(run('getent', 'passwd', user), r':/usr/sbin/nologin$')
        self.assertEqual(Path('/var/lib/cardmap').stat().st_uid, 0)
        self.assertEqual(units(), {'cardmapd.service', 'cardmapd.socket', 'cardmap-resolver.socket', 'cardmap-resolver-control.socket',
                                   'cardmap-card.socket', 'cardmap-refresh.timer'})

        run('pam-auth-update', '--enable', 'cardmap')
        self.assertIn('pam_cardmap.so', str(stacks()['common-auth']))
        run('systemctl', 'disable', 'cardmap-refresh.timer')
        run('dpkg', '-i', package)  # as an upgrade
        self.assertIn('pam_cardmap.so', str(stacks()['common-auth']))
        self.assertNotIn('cardmap-refresh.timer', units())

        Path('/var/lib/cardmap/accounts.db').touch()
        run('dpkg', '-r', 'cardmap')
        self.assertEqual(stacks(), before)
        self.assertFalse(list(Path('/usr/lib').glob('*/security/pam_cardmap.so')))
        self.assertTrue(Path('/var/lib/cardmap').exists(), 'what was kept')
        run('dpkg', '-P', 'cardmap')
        self.assertEqual((units(), Path('/var/lib/cardmap').exists()), (set(), False))


if __name__ == '__main__':
    enter(sys.argv.pop())
    unittest.main(verbosity=2)
