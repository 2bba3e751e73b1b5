#!/usr/bin/python3
"""test_service_secret.py: the card's Key Management key opens the user's secret, for the modules that follow in a PAM stack.

The programs that take it are others': pam_exec, which is given what a password would be, gocryptfs and gnome-keyring.
CM_PAM_DRIVER: tests/pam/pam_driver.c.
"""
import base64
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import PIN, Counts
from service_scenario import ServiceScenario, memory_has

import people
import service as service_module
from rig import WORK

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'pam'))
import pam_rig  # noqa: E402
from pam_rig import SUCCESS  # noqa: E402

# Where what was handed on lies for the tests to see; they look for copies of it everywhere else.
SEEN = WORK / 'cards/secret'
TAKE = f"""#!/bin/sh
umask 077
cat >{SEEN}
"""
NEW_OWN, OLD_RETIRED = 'alice-rsa2048+9d=alice-p256', 'alice-rsa2048+9d=alice-p256+82=alice-9d'


class SecretScenario(ServiceScenario):
    changes = {'service__wait': 4000, 'accounts__secret': 'yes'}

    def setUp(self):
        super().setUp()
        SEEN.unlink(missing_ok=True)
        self.addCleanup(SEEN.unlink, missing_ok=True)
        self.script('take', TAKE)

    @staticmethod
    def script(name, text):
        path = WORK / name
        path.write_text(text, encoding='ascii')
        path.chmod(0o755)
        return path

    def call(self, options='authtok', program='take', pin=PIN, behind='', calls=('authenticate',)):
        """A login by the driver at the seat; what pam_exec was given, None: nothing."""
        SEEN.unlink(missing_ok=True)
        folder = Path(tempfile.mkdtemp(dir=WORK))
        (folder / 'test').write_text(f'auth required {service_scenario.SERVICE.module} {options}\n'
                                     f'auth optional pam_exec.so expose_authtok quiet {WORK / program}\n{behind}', encoding='ascii')
        (folder / 'other').write_text('auth required pam_deny.so\n', encoding='ascii')
        command = [os.environ['CM_PAM_DRIVER'], folder, 'test', 'user=alice', f'answer={pam_rig.masked(pin)}', *calls]
        done = subprocess.run(list(map(str, self.seat.command(command, 'root'))), capture_output=True, text=True,
                              errors='replace', timeout=60, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.said = pam_rig.Said(done.stdout)
        self.assertEqual(set(self.said.codes.values()), {SUCCESS}, self.said.text)
        return SEEN.read_text(encoding='ascii') if SEEN.exists() else None

    def logged_in(self, **options):
        """A secret, and how often the card's keys were used."""
        self.wait_card()
        with Counts() as counts:
            secret = self.call(**options)
        return secret, counts.signatures()

    def other_card(self, spec):
        self.exchange(spec)
        self.wait_card()

    def secret(self, *arguments, **options):
        """cardmap secret by root, beside the service and with its configuration."""
        return self.cardmap('secret', *arguments, '--json', binary=str(service_module.HOME / 'bin/cardmap'), **options).json

    def rows(self):
        return [(row['user'], row['use']) for row in self.secret('status')['secrets']]

    def check_secret(self, secret):
        self.assertRegex(secret, r'^[A-Za-z0-9+/]{43}=$')
        return secret


class SecretTest(SecretScenario):
    def test_made_once_and_opened_at_each_login(self):
        """The card makes nothing of it known: one key operation more, the first time to see that it opens."""
        first, operations = self.logged_in()
        self.check_secret(first)
        self.assertEqual(operations, 2, 'ticket, and the new secret opened once')
        self.assertEqual(self.logged_in(), (first, 2))
        self.assertEqual(self.logged_in(options=''), (None, 1), 'without authtok nothing is asked of the card')
        self.assertEqual(self.rows(), [('alice', 'card')])
        scenario.RIG.stop('kdc', 'slapd', 'ocsp', 'http')
        self.assertEqual(self.logged_in()[0], first, 'offline')

    def test_a_card_that_was_renewed(self):
        """Its new key has another kind; the old one is retired, with its certificate: slot 82, by the key history object."""
        first, _ = self.logged_in()
        self.other_card(NEW_OWN)
        self.assertEqual(self.logged_in()[0], None, 'another card opens nothing')
        self.assertIn('your secret stays sealed', self.said.text)
        self.assertEqual(self.rows(), [('alice', 'card')], 'and none is made in its place')
        self.other_card(OLD_RETIRED)
        self.assertEqual(self.logged_in()[0], first)
        self.assertEqual(self.rows(), [('alice', 'card')] * 2)
        self.other_card(NEW_OWN)
        self.assertEqual(self.logged_in(), (first, 2), 'sealed to the new key: the old one is not needed any more')
        self.other_card('alice-rsa2048')
        self.assertEqual(self.logged_in()[0], first, 'what was sealed before is not written over')

    def test_a_card_that_was_lost(self):
        key = WORK / 'recovery.key'
        shutil.copy(scenario.RIG.pki / 'alice-p384.key', key)
        key.chmod(0o600)
        self.again(accounts__secret_recovery=scenario.RIG.pki / 'alice-p384.crt')
        first, _ = self.logged_in()
        self.assertEqual(self.rows(), [('alice', 'card'), ('alice', 'recovery')])
        self.other_card(NEW_OWN)
        self.assertEqual(self.logged_in()[0], None)
        self.wait_card()
        self.secret('recover', 'alice', '--key', scenario.RIG.pki / 'alice-p256.key', pin=PIN, status=3)
        told = self.secret('recover', 'alice', '--key', key, pin=PIN)
        self.assertNotIn(first, str(told))
        self.take_out()
        self.put_in()
        self.assertEqual(self.logged_in(), (first, 2))
        self.assertEqual(self.secret('recover', 'alice', '--key', key, pin=PIN, status=3)['reason'], 'secret_there')
        self.secret('forget', 'alice')
        self.assertEqual(self.rows(), [])

    def test_what_is_kept_was_changed(self):
        """A row cut short, or another account's: nothing opens, nobody is kept out, and no other secret takes its place."""
        self.logged_in()
        service_scenario.SERVICE.stop()
        with sqlite3.connect(service_scenario.SERVICE.store) as store:
            store.execute("UPDATE sealed SET octets = substr(octets, 1, 100)")
        store.close()
        self.start()
        self.assertEqual(self.logged_in()[0], None)
        self.assertIn('your secret stays sealed', self.said.text)

    def test_it_stands_nowhere(self):
        """But in the card, in a pipe and with who was given it: no message, log, file, core or memory of the service has it."""
        secret, _ = self.logged_in()
        again = self.logged_in()[0]
        self.assertEqual(secret, again)
        raw = base64.b64decode(secret)
        forms = (secret.encode(), raw, raw.hex().encode())
        for process in service_module.processes():
            self.assertEqual(memory_has(process.pid, lambda data: [form for form in forms if form in data]), [], f'memory of {process}')
        for folder in (WORK, Path('/run/cardmap'), Path('/home'), Path('/etc'), Path('/var/log')):
            for path in folder.rglob('*'):
                if path.is_file() and not path.is_symlink() and not path.is_relative_to(SEEN.parent):
                    self.assertFalse(any(form in path.read_bytes() for form in forms), path)
        for pid in filter(str.isdigit, os.listdir('/proc')):
            for name in ('cmdline', 'environ'):
                try:
                    found = Path(f'/proc/{pid}/{name}').read_bytes()
                except OSError:
                    continue
                self.assertFalse(any(form in found for form in forms), f'{name} of {pid}')

    def test_who_else_can_open_it_is_said(self):
        recovery = scenario.RIG.pki / 'alice-p384.crt'
        for more, status, words in ((['accounts.secret=no'], 0, []), (['accounts.secret=yes'], 0, ['escrow', 'is not set']),
                                    (['accounts.secret=yes', f'accounts.secret_recovery={recovery}'], 0, ['escrow', str(recovery)]),
                                    (['accounts.secret=yes', 'accounts.secret_recovery=/etc/passwd'], 78, ['no certificate'])):
            sets = [word for value in more for word in ('--set', value)]
            answer = self.cardmap('config', 'check', *sets, binary=str(service_module.HOME / 'bin/cardmap'), status=status)
            for word in words:
                self.assertIn(word, answer.out)
            self.assertEqual('escrow' in answer.out, 'accounts.secret=yes' in more)

    def test_switched_off(self):
        self.again(accounts__secret='no')
        self.assertEqual(self.logged_in(), (None, 1))
        self.assertNotIn('secret', self.said.text)


class EncryptedHomeTest(SecretScenario):
    """gocryptfs encrypts her home with it at the first login, and opens it at the next; with another secret it does not."""

    def setUp(self):
        super().setUp()
        self.home, self.cipher = Path(pwd.getpwnam('alice').pw_dir), Path('/home/alice.cipher')
        for folder in (self.home, self.cipher):
            folder.mkdir(parents=True)
            os.chown(folder, scenario.ALICE_UID, people.USERS_GID)
            self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.addCleanup(subprocess.run, ['fusermount3', '-u', self.home], capture_output=True, check=False)
        self.script('make', f'#!/bin/sh\nexec gocryptfs -quiet -init -scryptn 10 {self.cipher}\n')
        self.script('open', f'#!/bin/sh\nexec gocryptfs -quiet -allow_other {self.cipher} {self.home}\n')

    def as_alice(self, script):
        return subprocess.run(['sh', '-c', script], env={**os.environ, 'HOME': str(self.home)}, user=scenario.ALICE_UID, group=people.USERS_GID,
                              extra_groups=[], capture_output=True, text=True, check=False)

    def test_opened_by_the_card(self):
        self.logged_in(program='make')
        self.logged_in(program='open')
        self.assertTrue(os.path.ismount(self.home), self.said.text)
        done = self.as_alice('echo dear bob >~/letter')
        self.assertEqual(done.returncode, 0, done.stderr)
        subprocess.run(['fusermount3', '-u', self.home], check=True)
        self.assertEqual(os.listdir(self.home), [])
        self.assertNotIn('letter', os.listdir(self.cipher))
        self.logged_in(program='open')
        self.assertEqual(self.as_alice('cat ~/letter').stdout, 'dear bob\n')
        subprocess.run(['fusermount3', '-u', self.home], check=True)
        self.secret('forget', 'alice')
        self.logged_in(program='open')
        self.assertFalse(os.path.ismount(self.home), 'another secret')


KEYRING = """auth optional pam_gnome_keyring.so
session optional pam_gnome_keyring.so auto_start
"""
LOCKED = ('gdbus call --session --dest org.freedesktop.secrets --object-path /org/freedesktop/secrets/collection/login '
          '--method org.freedesktop.DBus.Properties.Get org.freedesktop.Secret.Collection Locked')


class KeyringTest(SecretScenario):
    """gnome-keyring's own module and daemon make the login keyring with it, and open it at the next login; without it, nobody."""

    def setUp(self):
        super().setUp()
        self.home = Path(pwd.getpwnam('alice').pw_dir)
        self.runtime = Path(tempfile.mkdtemp(dir=WORK))
        self.home.mkdir()
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        for folder in (self.home, self.runtime):
            os.chown(folder, scenario.ALICE_UID, people.USERS_GID)

    def in_session(self, script, **options):
        """The secret of a login, and what this wrote, run by alice in that session with a message bus of its own."""
        self.wait_card()
        secret = self.call(behind=KEYRING, calls=['authenticate', 'establish', 'open'], **options)
        script = f'gnome-keyring-daemon --start --components=secrets >&2; {script}'
        environment = {**os.environ, **self.said.env, 'HOME': str(self.home), 'XDG_RUNTIME_DIR': str(self.runtime)}
        done = subprocess.run(['dbus-run-session', '--', 'sh', '-c', script], env=environment, user=scenario.ALICE_UID,
                              group=people.USERS_GID, extra_groups=[], cwd=self.home, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return secret, done.stdout.strip()

    def test_login_keyring(self):
        secret, said = self.in_session(f'printf "what she keeps" | secret-tool store --label=x site mail && {LOCKED}')
        self.assertEqual(said, '(<false>,)')
        self.assertEqual(self.in_session('secret-tool lookup site mail'), (secret, 'what she keeps'))
        self.assertEqual(self.in_session(LOCKED, options=''), (None, '(<true>,)'))
        files = [path for path in self.home.rglob('*') if path.is_file()]
        self.assertIn('login.keyring', [path.name for path in files])
        for path in files:
            for form in (secret.encode(), base64.b64decode(secret), b'what she keeps'):
                self.assertNotIn(form, path.read_bytes(), path)
        self.secret('forget', 'alice')
        other, said = self.in_session(LOCKED)
        self.assertEqual(said, '(<true>,)')
        self.assertNotIn(other, (None, secret))


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    service_scenario.main()
