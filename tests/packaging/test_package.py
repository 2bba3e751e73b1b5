#!/usr/bin/python3
"""test_package.py BUILD: the Debian packages put in, upgraded and taken out by dpkg, over /usr, /etc and /var that are put back afterwards (root).

Putting them in changes no login; taking them out leaves no stack with a module that is gone, which would keep everybody out,
and, when they are purged, nothing.
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

INSIDE = 'CM_PACKAGE_INSIDE'
ENVIRONMENT = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND': 'noninteractive', 'LANG': 'C.UTF-8'}
COMMON = [Path('/etc/pam.d', f'common-{name}') for name in ('auth', 'account', 'session', 'session-noninteractive', 'password')]
NAMES = ('cardmap', 'libpam-cardmap', 'libcardmap1', 'libcardmap-dev', 'cardmap-doc')
UNITS = {'cardmapd.service', 'cardmapd.socket', 'cardmap-resolver.socket', 'cardmap-resolver-control.socket', 'cardmap-card.socket',
         'cardmap-refresh.timer', 'cardmap-renew.timer'}
# Where dpkg and its triggers keep their books; users are never taken away again (Debian Policy 9.2.2).
BOOKS = re.compile(r'/var/lib/(dpkg|pam|systemd)/|/var/(cache|log|backups)/|/etc/(passwd|shadow|group|gshadow)-?$|/etc/\.(pwd\.lock|updated)$'
                   r'|/etc/ld\.so\.cache$')


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          stdin=subprocess.DEVNULL, env=ENVIRONMENT, timeout=120, **options)
    if done.returncode:
        raise AssertionError(f'{command}: status {done.returncode}\n{done.stdout}')
    return done.stdout


def pack(build, folder):
    """All packages, in folder/1, and in folder/2 the same as a later version."""
    subprocess.run(['cpack', '-B', folder / '1'], cwd=build, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for path in (folder / '1').glob('*.deb'):
        tree = folder / 'trees' / path.name
        tree.parent.mkdir(exist_ok=True)
        run('dpkg-deb', '-R', path, tree)
        control = tree / 'DEBIAN/control'
        control.write_text(re.sub(r'^(Version: .*)$', r'\1-2', control.read_text(encoding='utf-8'), flags=re.M), encoding='utf-8')
        (folder / '2').mkdir(exist_ok=True)
        run('dpkg-deb', '-Znone', '-b', tree, folder / '2')


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
        # Nobody looks for a page in there: what other packages do when one comes takes longer than all of ours.
        Path('/var/lib/man-db/auto-update').unlink(missing_ok=True)
        return
    if os.geteuid() != 0:
        print('takes root')
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix='cm_package_') as folder:
        pack(build, Path(folder))
        status = subprocess.run(['unshare', '-m', '--propagation', 'private', sys.executable, *sys.argv, build],
                                env={**os.environ, INSIDE: folder}, check=False).returncode
    sys.exit(status)


def install(*files):
    run('dpkg', '--force-unsafe-io', '-i', *files)


def packages(release):
    """Their files, those of NAMES and no other."""
    found = {path.name.split('_')[0]: path for path in Path(os.environ[INSIDE], release).glob('*.deb')}
    if set(found) != set(NAMES):
        raise AssertionError(f'packed are {sorted(found)}')
    return found


def stacks():
    """What counts of them, as libpam reads it."""
    return {path.name: [line.split() for line in path.read_text(encoding='utf-8').splitlines() if line and line[0] != '#'] for path in COMMON}


def units():
    """Those that are enabled, the system's and each user's."""
    return {path.name for folder in ('system', 'user') for path in Path('/etc/systemd', folder).glob('*.wants/cardmap*')}


def everything():
    return {f'{folder}/{name}' for top in ('/usr', '/etc', '/var') for folder, folders, names in os.walk(top) for name in folders + names
            if not BOOKS.search(f'{folder}/{name}')}


def versions():
    listed = run('dpkg-query', '-W', '-f', '${Package} ${Version} ${db:Status-Status}\n', *NAMES)
    return {line.split()[0]: tuple(line.split()[1:]) for line in listed.splitlines()}


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run('pam-auth-update', '--force', '--package')

    def tearDown(self):
        run('dpkg', '-P', *NAMES)

    def check_service(self):
        for user in ('_cardmap', '_cardmap-card'):
            self.assertRegex(run('getent', 'passwd', user), r':/usr/sbin/nologin$')
        kept = Path('/var/lib/cardmap').stat()
        self.assertEqual((kept.st_uid, kept.st_mode & 0o777), (0, 0o700))
        self.assertEqual(units(), UNITS)

    def test_in_and_out(self):
        """As one who tries it, and goes back."""
        before, there = stacks(), everything()
        install(*packages('1').values())
        self.assertEqual(stacks(), before)
        self.assertIn('libcardmap.so.1', run('ldconfig', '-p'))
        self.check_service()
        for name in NAMES:
            self.assertTrue(Path(f'/usr/share/doc/{name}/copyright').is_file(), name)

        run('pam-auth-update', '--enable', 'cardmap')
        self.assertIn('pam_cardmap.so', str(stacks()['common-auth']))
        run('systemctl', 'disable', 'cardmap-refresh.timer')
        run('systemctl', '--global', 'disable', 'cardmap-renew.timer')
        Path('/var/lib/cardmap/accounts.db').touch()
        old = versions()
        install(*packages('2').values())
        self.assertEqual({name: (f'{version}-2', state) for name, (version, state) in old.items()}, versions())
        self.assertIn('pam_cardmap.so', str(stacks()['common-auth']))
        self.assertEqual(units(), UNITS - {'cardmap-refresh.timer', 'cardmap-renew.timer'})
        self.assertTrue(Path('/var/lib/cardmap/accounts.db').exists())

        run('dpkg', '-r', *NAMES)
        self.assertEqual(stacks(), before)
        self.assertFalse(list(Path('/usr/lib').glob('*/security/pam_cardmap.so')))
        self.assertTrue(Path('/var/lib/cardmap/accounts.db').exists(), 'what was kept')
        run('dpkg', '-P', *NAMES)
        self.assertEqual(units(), set())
        self.assertEqual(sorted(everything() - there), [])

    def test_service_alone(self):
        """Who asks by the command or by varlink needs neither the module nor the library."""
        before, got = stacks(), packages('1')
        install(got['cardmap'])
        self.check_service()
        self.assertEqual(stacks(), before)
        self.assertEqual(list(Path('/usr/lib').glob('**/*cardmap.so*')), [])
        self.assertRegex(run('cardmap', '--version'), r'^cardmap \d')

    def test_module_taken_out(self):
        """The module alone goes, not what it needs while a stack names it: nobody is asked for a card, and the service is there for the rest."""
        before, got = stacks(), packages('1')
        install(*(got[name] for name in ('cardmap', 'libcardmap1', 'libpam-cardmap')))
        run('pam-auth-update', '--enable', 'cardmap')
        self.assertNotEqual(stacks(), before)
        for name in ('cardmap', 'libcardmap1'):
            with self.assertRaisesRegex(AssertionError, 'libpam-cardmap depends on'):
                run('dpkg', '-r', name)
        run('dpkg', '-r', 'libpam-cardmap')
        self.assertEqual(stacks(), before)
        self.assertEqual(units(), UNITS)
        # Put in again it waits to be switched on, as the first time.
        install(got['libpam-cardmap'])
        self.assertEqual(stacks(), before)

    def test_built_with(self):
        """The example of the package for documents, built with what the packages for developers have."""
        got = packages('1')
        install(*(got[name] for name in ('cardmap', 'libcardmap1', 'libcardmap-dev', 'cardmap-doc')))
        with tempfile.TemporaryDirectory() as folder:
            flags = run('pkg-config', '--cflags', '--libs', 'cardmap').split()
            run('gcc', '-o', f'{folder}/helper', '/usr/share/doc/cardmap/examples/login-helper.c', *flags)
            self.assertIn('libcardmap.so.1 => /', run('ldd', f'{folder}/helper'))

    def test_pages(self):
        """Compressed, as Debian has them; where a name is in two sections man(1) shows the command's, and that names the other."""
        install(*packages('1').values())
        pages = [path for path in Path('/usr/share/man').glob('man?/*') if 'cardmap' in path.name]
        self.assertGreater(len(pages), 20)
        for path in pages:
            self.assertRegex(path.name, r'\.[1-8]\.gz$')
            run('gzip', '-t', path)
            section = path.parent.name[3:]
            self.assertEqual(run('man', '-w', section, path.name.split('.' + section)[0]).strip(), str(path))
        for name in ('cardmap-revocation', 'cardmap-enforcement'):
            self.assertRegex(run('man', '-w', name), rf'/man1/{name}\.1\.gz')
            shown = run('man', '-P', 'cat', '-E', 'UTF-8', name)
            self.assertRegex(shown, rf'^{name}\(1\)')
            self.assertIn(f'{name}(7)', shown)

    def test_scripts_enable_no_login(self):
        """Of what is run as root when they come and go: nothing writes a stack or puts a profile on."""
        for name, path in packages('1').items():
            with tempfile.TemporaryDirectory() as folder:
                run('dpkg-deb', '-e', path, folder)
                for script in ('preinst', 'postinst', 'prerm', 'postrm', 'config'):
                    text = Path(folder, script).read_text(encoding='ascii') if Path(folder, script).exists() else ''
                    text = re.sub(r'#.*', '', text)
                    self.assertNotRegex(text, r'--enable|--force|/etc/pam\.d|nsswitch', f'{name}: {script}')
                # cpack's own, for a library, run ldconfig
                self.assertEqual(Path(folder, 'postinst').exists(), name in ('cardmap', 'libpam-cardmap', 'libcardmap1'), name)
        with tempfile.TemporaryDirectory() as folder:
            run('dpkg-deb', '-x', packages('1')['libpam-cardmap'], folder)
            self.assertIn('\nDefault: no\n', Path(folder, 'usr/share/pam-configs/cardmap').read_text(encoding='ascii'))


if __name__ == '__main__':
    enter(sys.argv.pop())
    unittest.main(verbosity=2)
