#!/usr/bin/python3
"""test_packages.py: scripts/packages on a machine whose dpkg, apt-get and services are made here.

In a mount namespace of its own, where /usr/sbin is empty: policy-rc.d stands there, and may be the person's own.
"""
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/packages'
POLICY = Path('/usr/sbin/policy-rc.d')
OWN_POLICY = '#!/bin/sh\n# the person\'s own\nexit 104\n'
INSIDE = 'CM_PACKAGES_TEST'
SECONDS = 30

# What each package brings; "helper" is not asked for, apt-get adds it.
FILES = {
    'slapd': '/etc/init.d/slapd /usr/sbin/slapd',
    'krb5-kdc': '/lib/systemd/system/krb5-kdc.service /etc/init.d/krb5-kdc',
    'pcscd': '/lib/systemd/system/pcscd.service /lib/systemd/system/pcscd.socket',
    'helper': '/lib/systemd/system/helper.timer /lib/systemd/system/helper@.service',
}
PROGRAMS = {
    'dpkg-query': '''
case $# in
4) grep -qx "$4" "$HERE/installed" && echo installed ;;
*) sed 's/^/installed /' "$HERE/installed" ;;
esac''',
    'dpkg': '[ "$1" = -L ] && shift && for name; do tr " " "\\n" <"$HERE/files/$name" 2>/dev/null; done; true',
    'apt-get': '''
echo "apt-get $*" >>"$HERE/calls"
[ "$1" = install ] || exit 0
cp "$HERE/out" "$HERE/out.before"
[ -z "$(cat)" ] && [ "$DEBIAN_FRONTEND" = noninteractive ] || exit 1
/usr/sbin/policy-rc.d slapd start; echo "policy $?" >>"$HERE/calls"
shift 4
for name in "$@" helper; do echo "$name" >>"$HERE/installed"; done
[ ! -e "$HERE/kill" ] || kill -"$(cat "$HERE/kill")" $PPID
[ ! -e "$HERE/fail" ] || { echo "E: no space left"; exit 100; }''',
    'deb-systemd-helper': 'echo "off $2" >>"$HERE/calls"',
    'update-rc.d': 'echo "off $1" >>"$HERE/calls"',
    'sudo': 'echo "sudo $*" >>"$HERE/calls"; exit 1',
}


def enter():
    if INSIDE not in os.environ:
        root = ['--map-root-user'] if os.geteuid() != 0 else []
        os.execvpe('unshare', ['unshare', '--mount', *root, sys.executable, *sys.argv], {**os.environ, INSIDE: '1'})
    subprocess.run(['mount', '-t', 'tmpfs', 'none', '/usr/sbin'], check=True)


class PackagesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.here = Path(folder.name)
        for name in ('bin', 'files', 'tmp'):
            (self.here / name).mkdir()
        for name, text in PROGRAMS.items():
            self.program(name, text)
        for name, text in FILES.items():
            (self.here / 'files' / name).write_text(text + '\n')
        (self.here / 'installed').write_text('pcscd\nbash\n')
        for path in POLICY.parent.iterdir():
            path.unlink()

    def program(self, name, text):
        path = self.here / 'bin' / name
        path.write_text(f'#!/bin/bash\n{text}\n')
        path.chmod(0o755)

    def run_script(self, *arguments, status=0):
        environment = {'PATH': f'{self.here}/bin:/usr/bin:/bin', 'HERE': str(self.here), 'TMPDIR': f'{self.here}/tmp'}
        (self.here / 'calls').write_text('')
        with open(self.here / 'out', 'w') as out:
            done = subprocess.run([SCRIPT, *arguments], input='no\n', stdout=out,
                                  stderr=subprocess.STDOUT, text=True, timeout=SECONDS, env=environment)
        text = (self.here / 'out').read_text()
        self.assertEqual(done.returncode, status, text)
        return text

    def calls(self, word):
        return sorted(line for line in (self.here / 'calls').read_text().splitlines() if line.startswith(word))

    def assert_services_off(self):
        self.assertEqual(self.calls('policy'), ['policy 101'])
        self.assertEqual(set(self.calls('off')),
                         {'off slapd', 'off krb5-kdc', 'off krb5-kdc.service', 'off helper.timer'})

    def test_says_what_it_adds_before_it_does_and_starts_nothing(self):
        missing = self.run_script('--missing').split()
        self.assertEqual(self.calls(''), [])
        self.assertLessEqual({'slapd', 'krb5-kdc', 'cmake', 'clang'}, set(missing))
        self.assertNotIn('pcscd', missing)
        self.assertTrue(self.run_script().endswith('Servers among them were neither started nor enabled.\n'))
        said = (self.here / 'out.before').read_text()
        self.assertEqual(said.split(': ')[1].split(), missing)
        self.assertEqual(self.calls('apt-get install'),
                         [f'apt-get install -q -y --no-install-recommends {" ".join(missing)}'])
        self.assert_services_off()
        self.assertFalse(POLICY.exists())
        self.assertEqual(list((self.here / 'tmp').iterdir()), [])

    def test_nothing_is_missing_and_nothing_is_done(self):
        self.run_script()
        self.assertEqual((self.run_script(), self.calls('')), ('', []))

    def test_what_forbids_services_here_is_put_back(self):
        for end, status in ((None, 0), ('fail', 1), ('TERM', 143), ('INT', 130)):
            with self.subTest(end):
                self.setUp()
                POLICY.write_text(OWN_POLICY)
                if end:
                    (self.here / ('fail' if end == 'fail' else 'kill')).write_text(end)
                text = self.run_script(status=status)
                self.assertEqual((POLICY.read_text(), len(list(POLICY.parent.iterdir()))), (OWN_POLICY, 1))
                self.assert_services_off()
                if end == 'fail':
                    self.assertIn('E: no space left', text)

    def test_killed_before_it_could_put_it_back(self):
        for own in (OWN_POLICY, None):
            with self.subTest(own):
                self.setUp()
                if own:
                    POLICY.write_text(own)
                (self.here / 'kill').write_text('KILL')
                self.run_script(status=-signal.SIGKILL)
                self.assertTrue(POLICY.exists())
                (self.here / 'kill').unlink()
                (self.here / 'installed').write_text('pcscd\n')
                self.run_script()
                self.assertEqual([path.read_text() for path in POLICY.parent.iterdir()], [own] if own else [])

    def test_an_ordinary_user_is_told_and_nothing_is_changed(self):
        self.program('id', 'echo 1000')
        self.assertIn('needs root', self.run_script(status=1))
        self.assertEqual(self.calls(''), ['sudo -n true'])


if __name__ == '__main__':
    enter()
    unittest.main(verbosity=2)
