#!/usr/bin/python3
"""test_library.py BUILD: libcardmap.so and pam_cardmap.so as others get them: names, versions, libraries, and a program built with them.

CM_CC_FLAGS: what the build has that a program built with its library needs, too.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv.pop())
PAM_CALLS = {f'pam_sm_{name}' for name in ('authenticate', 'setcred', 'acct_mgmt', 'open_session', 'close_session', 'chauthtok')}
SANITIZERS = {'libasan.so.8', 'libubsan.so.1', 'ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1', 'libclang_rt.asan.so'}


def run(*command, status=0, **options):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=60, **options)
    if done.returncode != status:
        raise AssertionError(f'{command}: status {done.returncode}\n{done.stdout}')
    return done.stdout


def exported(library):
    """{name: version} of what it defines."""
    lines = [line.split() for line in run('nm', '-D', '--defined-only', library).splitlines()]
    return dict((name.split('@@') + [''])[:2] for _, kind, name in lines if kind != 'A')


def needed(library):
    return set(re.findall(r'\(NEEDED\).*\[(.*)\]', run('readelf', '-d', library))) - SANITIZERS


class Library(unittest.TestCase):
    def test_names(self):
        """What the header declares, no more; each as it stands in the list of what never changes."""
        header = re.sub(r'/\*.*?\*/', '', (ROOT / 'client/cardmap.h').read_text(encoding='utf-8'), flags=re.S)
        stands = re.findall(r'\bX\((CARDMAP_\d+), [^,]+, (cardmap_\w+), ', (ROOT / 'tests/client/test_abi.c').read_text(encoding='utf-8'))
        has = exported(BUILD / 'client/libcardmap.so')
        self.assertEqual(has.keys(), set(re.findall(r'\b(cardmap_\w+)\(', header)))
        self.assertEqual(has, {name: version for version, name in stands})

    def test_libraries(self):
        self.assertEqual(needed(BUILD / 'client/libcardmap.so'), {'libjansson.so.4', 'libc.so.6'})
        self.assertIn('[libcardmap.so.1]', run('readelf', '-d', BUILD / 'client/libcardmap.so'))

    def test_module(self):
        self.assertEqual(exported(BUILD / 'pam/pam_cardmap.so').keys(), PAM_CALLS)
        self.assertEqual(needed(BUILD / 'pam/pam_cardmap.so'), {'libc.so.6', 'libpam.so.0', 'libcardmap.so.1'})

    def test_no_search_path(self):
        """A module of a program that is root's looks for libraries where the system says, and nowhere else."""
        for name in ('client/libcardmap.so', 'pam/pam_cardmap.so'):
            self.assertNotRegex(run('readelf', '-d', BUILD / name), 'RUNPATH|RPATH')
            self.assertRegex(run('readelf', '-lW', BUILD / name), r'GNU_STACK.* RW ')


class Example(unittest.TestCase):
    """doc/examples/login-helper.c, built with what is installed: its header, its library, its pkg-config file."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        run('cmake', '-DCMAKE_INSTALL_PREFIX=/usr', '-P', BUILD / 'client/cmake_install.cmake',
            env={**os.environ, 'DESTDIR': str(self.folder)})
        file = next(self.folder.rglob('cardmap.pc'))
        asked = {'env': {**os.environ, 'PKG_CONFIG_LIBDIR': str(file.parent), 'PKG_CONFIG_SYSROOT_DIR': str(self.folder)}}
        self.flags = run('pkg-config', '--cflags', '--libs', 'cardmap', **asked).split()
        self.libraries = file.parent.parent
        self.version = run('pkg-config', '--modversion', 'cardmap', **asked).strip()

    def build(self, compiler, *flags):
        out = self.folder / 'login-helper'
        run(compiler, '-Wall', '-Wextra', '-Werror', *flags, ROOT / 'doc/examples/login-helper.c', '-o', out, *self.flags,
            *os.environ.get('CM_CC_FLAGS', '').split())
        return out

    def test_short(self):
        lines = (ROOT / 'doc/examples/login-helper.c').read_text(encoding='utf-8').count('\n')
        self.assertLess(lines, 60)

    def test_without_the_service(self):
        program = self.build('gcc', '-std=gnu11', '-D_FORTIFY_SOURCE=2', '-O1')
        said = run('unshare', '-rm', 'sh', '-c', 'mount -t tmpfs none /run || exit 9; exec "$0" alice', program, status=1,
                   env={**os.environ, 'LD_LIBRARY_PATH': str(self.libraries)})
        self.assertEqual(said, 'No login: cardmapd does not run here\n')

    def test_header(self):
        """C99 and C++, alone, with all warnings."""
        for name, compiler in (('x.c', ['gcc', '-std=c99']), ('x.c', ['clang', '-std=c11']), ('x.cc', ['g++', '-std=c++17'])):
            with self.subTest(name):
                source = self.folder / name
                source.write_text('#include <cardmap.h>\n#include <cardmap.h>\nint main(void) { return cardmap_error(0) == 0; }\n')
                run(*compiler, '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only', source,
                    *[flag for flag in self.flags if flag.startswith('-I')])

    def test_version(self):
        project = (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
        self.assertIn(f'VERSION {self.version} ', project)


if __name__ == '__main__':
    if not shutil.which('unshare'):
        sys.exit(77)
    unittest.main(verbosity=2)
