#!/usr/bin/python3
"""test_fresh.py BUILD CACHE: the packages put in by apt with all that they depend on, upgraded, removed and purged, in a Debian that
has nothing else (fresh.py): what is left afterwards is what a Debian has that never had them.  root's password opens all the while.
"""
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import fresh
import test_package
from test_package import NAMES, UNITS

INSIDE = 'CM_FRESH_INSIDE'
CACHE = FOLDER = None
PASSWORD = 'a password of roots'
# The time of day, and random numbers, are in these; dpkg's and apt's books; users are never taken away again (Debian Policy 9.2.2).
BOOKS = re.compile(r'^(proc|sys|dev|run|tmp|var/cache|var/log|var/lib/(dpkg|apt|systemd/(catalog|deb-systemd-(user-)?helper-\w+))|srv)(/|$)|^etc/(passwd|shadow|group|gshadow)-?$'
                   r'|^etc/(machine-id|\.pwd\.lock|\.updated|ld\.so\.cache)$|^var/\.updated$|__pycache__')


def enter(build, cache):
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        print('takes root')
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix='cm_fresh_') as folder:
        test_package.pack(build, Path(folder))
        status = subprocess.run(['unshare', '-m', '--propagation', 'private', sys.executable, sys.argv[0], build, cache, *sys.argv[1:]],
                                env={**os.environ, INSIDE: folder}, check=False).returncode
    sys.exit(status)


def files(root):
    """What each file, link and folder is, by its name."""
    found = {}
    for folder, folders, names in os.walk(root):
        inner = os.path.relpath(folder, root)
        folders[:] = [name for name in folders if not BOOKS.search(os.path.normpath(f'{inner}/{name}'))]
        for name in folders + names:
            path = Path(folder, name)
            status = path.lstat()
            key = os.path.normpath(f'{inner}/{name}')
            if BOOKS.search(key):
                continue
            what = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ''
            if stat.S_ISREG(status.st_mode):
                what = hashlib.sha256(path.read_bytes()).hexdigest()
            found[key] = (oct(status.st_mode), status.st_uid, status.st_gid, what)
    return found


def differences(a, b):
    return sorted(f'{key}: {a.get(key)} {b.get(key)}' for key in a.keys() | b.keys() if a.get(key) != b.get(key))


class Fresh(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = FOLDER / 'fresh'
        folder.mkdir()
        cls.root = fresh.Root(CACHE, folder)

    def put_in(self, release):
        """As who has downloaded them: all at once."""
        folder = self.root.path / 'srv/packages'
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(FOLDER / release, folder, ignore=lambda _folder, names: [name for name in names if not name.endswith('.deb')])
        self.root.apt('install', '--no-install-recommends', *(f'/srv/packages/{path.name}' for path in folder.glob('*.deb')))

    def installed(self, state='installed'):
        listed = self.root.inside('dpkg-query', '-W', '-f', '${db:Status-Status} ${Package}=${Version}\n').stdout
        return {line.split()[1] for line in listed.splitlines() if line.startswith(f'{state} ')}

    def ours(self, state='installed'):
        return {one.split('=')[0] for one in self.installed(state)} & set(NAMES)

    def units(self):
        return {path.name for path in (self.root.path / 'etc/systemd').glob('*/*.wants/cardmap*')}

    def stacks(self):
        return {path.name: path.read_text(encoding='utf-8') for path in (self.root.path / 'etc/pam.d').glob('common-*')}

    def check_password(self, when):
        """By su(1), of somebody else: the right one opens, another does not."""
        for password, opens in ((PASSWORD, True), ('another', False)):
            done = self.root.inside('setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', 'su', '-c', 'id -u', input=f'{password}\n',
                                    check=False)
            self.assertEqual((done.returncode == 0, done.stdout.endswith('\n0\n') or done.stdout.endswith(' 0\n')), (opens, opens),
                             f'{when}: {done.stdout}')

    def there(self):
        """A turn with them in it, from the first package to the last purged: which packages came, and what is there at the end."""
        self.root.inside('chpasswd', input=f'root:{PASSWORD}\n')
        self.check_password('before')
        stacks, had = None, self.installed()
        self.put_in('1')
        self.assertEqual(self.ours(), set(NAMES))
        came = sorted(one for one in self.installed() - had if one.split('=')[0] not in NAMES)
        stacks = self.stacks()
        self.assertNotIn('pam_cardmap', str(stacks))
        self.assertEqual(self.units(), UNITS)
        self.assertRegex(self.root.inside('cardmap', '--version').stdout, r'^cardmap \d')
        self.assertRegex(self.root.inside('cardmapd', '--help').stdout, r'^usage: cardmapd')
        self.check_password('installed')

        # Switched on, with no card, no reader and no service: root's password is the way in that stays.
        self.root.inside('pam-auth-update', '--enable', 'cardmap')
        self.assertIn('pam_cardmap.so', str(self.stacks()))
        self.check_password('switched on')
        before = self.versions()
        self.put_in('2')
        self.assertEqual({name: f'{version}-2' for name, version in before.items()}, self.versions())
        self.assertIn('pam_cardmap.so', str(self.stacks()))
        self.check_password('upgraded')
        (self.root.path / 'var/lib/cardmap/accounts.db').touch()
        (self.root.path / 'etc/cardmap/cardmap.conf').touch()

        self.root.apt('remove', *NAMES)
        self.assertEqual(self.ours(), set())
        self.assertEqual(self.stacks(), stacks)
        self.assertTrue((self.root.path / 'var/lib/cardmap/accounts.db').exists(), 'what was kept')
        self.check_password('removed')
        self.root.apt('purge', *self.ours('config-files'))  # of the others nothing is left to purge, and apt knows them no more
        self.assertEqual(self.ours('config-files'), set())
        self.assertEqual(self.units(), set())
        self.check_password('purged')
        self.assertTrue((self.root.path / 'etc/cardmap/cardmap.conf').exists(), 'what an administrator wrote')
        shutil.rmtree(self.root.path / 'etc/cardmap')
        return came, files(self.root.path)

    def versions(self):
        return {one.split('=')[0]: one.split('=')[1] for one in self.installed() if one.split('=')[0] in NAMES}

    def test_fetched(self):
        """What test_newcomer.py installs where there is no mirror."""
        with self.root.turn():
            self.root.apt('install', '--download-only', '--no-install-recommends', *fresh.COMPUTER)
            folder = self.root.path / 'srv/packages'
            shutil.copytree(FOLDER / '1', folder, ignore=lambda _folder, names: [name for name in names if not name.endswith('.deb')])
            self.root.apt('install', '--download-only', *(f'/srv/packages/{path.name}' for path in folder.glob('*.deb')), *fresh.README)
        self.assertTrue(list((CACHE / 'archives').glob('systemd-sysv_*.deb')))

    def test_nothing_left(self):
        with self.root.turn():
            came, left = self.there()
        self.assertIn('libcurl4', {one.split('=')[0] for one in came})
        with self.root.turn():  # what never had them, and has all they depend on
            self.root.apt('install', '--no-install-recommends', *came)
            never = files(self.root.path)
        self.assertGreater(len(never), 5000)
        self.assertEqual(differences(never, left), [])


if __name__ == '__main__':
    BUILD, CACHE = (Path(sys.argv.pop(1)).resolve() for _ in range(2))
    enter(BUILD, CACHE)
    FOLDER = Path(os.environ[INSIDE])
    unittest.main(verbosity=2)
