#!/usr/bin/python3
"""test_records.py BUILD: accounts imported by the command, known by their records, and what purging the package takes of these.

For root, in a mount namespace of its own: /var/lib and /var/cache are empty there, and /etc is a copy."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD = Path()
SOURCE = Path(__file__).resolve().parents[2]
SCRIPT = r"""
set -e
mount -t tmpfs tmpfs /var/lib || exit 1
mount -t tmpfs tmpfs /var/cache || exit 1
mkdir /var/cache/upper /var/cache/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/var/cache/upper,workdir=/var/cache/work /etc || exit 1
mkdir -m 0700 /var/lib/cardmap
cardmap accounts import "$DIR/export" --key "$DIR/key"
ls "$DIR/userdb" >"$DIR/imported"
cardmap accounts import "$DIR/export" --key "$DIR/key" >"$DIR/again"
cardmap accounts export "$DIR/new" alice --key "$DIR/new.key" >/dev/null
stat -c '%a %n' "$DIR/new" "$DIR/new.key" >"$DIR/modes"
if cardmap accounts import "$DIR/new" --key "$DIR/key" 2>"$DIR/refused"; then exit 1; fi
if cardmap accounts export "$DIR/new" --key "$DIR/other.key" 2>/dev/null; then exit 1; fi
test ! -e "$DIR/other.key"
printf '{"userName":"bob","uid":20002,"gid":10000,"realName":"by hand"}\n' >"$DIR/userdb/bob.user"
echo '{}' >"$DIR/userdb/carol:sudo.membership"
sh "$SOURCE/packaging/debian/cardmap/prerm" remove
rm "$DIR/bin/cardmap"
ls "$DIR/userdb" >"$DIR/removed"
sh "$SOURCE/packaging/debian/cardmap/postrm" remove
sh "$SOURCE/packaging/debian/cardmap/postrm" purge
ls "$DIR/userdb" >"$DIR/purged"
test ! -e /var/lib/cardmap
"""


class Records(unittest.TestCase):
    def run_script(self, folder):
        for name, text in (('cardmap', f'exec {BUILD}/cli/cardmap "$@" --no-service --config {folder}/cardmap.conf'),
                           *((n, 'exit 0') for n in ('pam-auth-update', 'systemctl', 'deb-systemd-invoke', 'deb-systemd-helper'))):
            program = folder / 'bin' / name
            program.write_text(f'#!/bin/sh\n{text}\n', encoding='ascii')
            program.chmod(0o755)
        (folder / 'cardmap.conf').write_text(
            f'accounts {{\n userdb = "{folder}/userdb"\n offline_days = 0\n}}\nservice {{\n log = "none"\n}}\n', encoding='ascii')
        # What tests/fuzz/seeds/carry/sealed holds, as a file of the command: its key is all zeros.
        (folder / 'export').write_bytes((SOURCE / 'tests/fuzz/seeds/carry/sealed').read_bytes()[1:])
        (folder / 'key').write_text('0' * 64 + '\n', encoding='ascii')
        (folder / 'key').chmod(0o600)
        return subprocess.run(['unshare', '-m', 'sh', '-c', SCRIPT], capture_output=True, text=True, check=False, timeout=60,
                              env={**os.environ, 'DIR': str(folder), 'SOURCE': str(SOURCE), 'PATH': f'{folder}/bin:{os.environ["PATH"]}'})

    def test_purge(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / 'bin').mkdir()
            done = self.run_script(folder)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

            def lines(file):
                return (folder / file).read_text(encoding='utf-8').splitlines()
            ours = {'alice.user', '20001.user', 'bob.user', '20002.user', 'staff10000.group', '10000.group'}
            self.assertLessEqual(ours, set(lines('imported')))
            self.assertRegex(done.stdout, r'(?m)^alice +imported$')
            self.assertEqual([line.split(maxsplit=1)[1] for line in lines('again')], ['left out: what is kept here is as new, or newer'] * 2)
            self.assertEqual([line.split()[0] for line in lines('modes')], ['600', '600'])
            self.assertIn('another key', '\n'.join(lines('refused')))
            # Removed, the package leaves names to the files of their users; purged, it takes what is its own and nothing else.
            self.assertEqual(set(lines('removed')), set(lines('imported')) | {'carol:sudo.membership'})
            self.assertEqual(set(lines('purged')), {'bob.user', 'carol:sudo.membership'})


if __name__ == '__main__':
    BUILD = Path(sys.argv[1]).resolve()
    if os.geteuid() != 0:
        print('needs root')
        sys.exit(77)
    unittest.main(argv=[sys.argv[0]])
