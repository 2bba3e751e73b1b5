#!/usr/bin/python3
"""test_stacks.py: pam_cardmap in stacks of every order and form: a refusal or an error never ends in success, and PAM_IGNORE is
as if the module were not there.  What pam-auth-update makes of the package's profile is one of them.

What is said at the socket is recorded octets: each outcome that a service can have for this user.
"""
import contextlib
import itertools
import os
import shutil
import subprocess
import unittest
from pathlib import Path

import pam_rig
from pam_rig import (ANSWERED, AUTH_ERR, MAXTRIES, PASSWORD, PERM_DENIED, PIN, SUCCESS, UNAVAILABLE, Peer, grant, log_in, pin, refused,
                     reply, stacks)

ROOT = Path(__file__).resolve().parents[2]
GRANTED = (pin(), ANSWERED, grant())
# What becomes of the card: nobody at the socket is None.
BAD = {
    'no service': (None, UNAVAILABLE),
    'gone': ((reply('reading'),), UNAVAILABLE),
    'garbage': ((b'rubbish\0',), UNAVAILABLE),
    'refused': ((refused(),), AUTH_ERR),
    'refused after the PIN': ((pin(), ANSWERED, refused('revoked')), AUTH_ERR),
    'held': ((refused('pin_held'),), MAXTRIES),
    'directory silent': ((refused('directory_offline'),), UNAVAILABLE),
    'of another': ((grant('bob', 10002),), PERM_DENIED),
    'a new reason': ((refused('of_tomorrow'),), AUTH_ERR),
    'no reason': ((refused(None),), AUTH_ERR),
}
IGNORED = {
    'no card': (reply('card', may_use_password=True),),
    'no reader': (refused('no_reader', may_use_password=True),),
    'remote': (refused('not_here', may_use_password=True),),
    'revoked': (refused('revoked', may_use_password=True),),
}
# Forms in which a failure counts.
STRICT = ('required', 'requisite', '[success=end ignore=ignore default=die]', '[success=done ignore=ignore default=bad]',
          '[success=done ignore=ignore default=die]', '[success=ok ignore=ignore default=bad]')
# Forms in which it does not: the page says so. Then the others alone decide.
LAX = ('sufficient', 'optional', '[success=end default=ignore]')
UNIX = {
    'required': ['required pam_unix.so'],
    'Debian': ['[success=1 default=ignore] pam_unix.so', 'requisite pam_deny.so', 'required pam_permit.so'],
    'sufficient, deny': ['sufficient pam_unix.so', 'required pam_deny.so'],
}


@contextlib.contextmanager
def socket_of(script):
    if script is None:
        yield None
    else:
        with Peer(*script) as peer:
            yield peer


def answers_to(script, password):
    """The PIN where one is asked, the password for any later question; before the card there is none but the password."""
    return [PIN, password] if script and ANSWERED in script else [password]


class Auth(unittest.TestCase):
    def code(self, script, lines, answers):
        with socket_of(script):
            return log_in(folder=stacks(lines), answers=answers).code

    def test_a_refusal_stays_one(self):
        """Before a password, before pam_permit, and alone: whatever the password."""
        for (name, (script, _)), form in itertools.product(BAD.items(), STRICT):
            for rest in (['required pam_permit.so'], [], *UNIX.values()):
                with self.subTest(f'{name}: {form}, then {rest}'):
                    code = self.code(script, [f'{form} CARDMAP', *rest], answers_to(script, PASSWORD))
                    self.assertNotEqual(code, SUCCESS)

    def test_its_own_code_is_told(self):
        for name, (script, wanted) in BAD.items():
            with self.subTest(name):
                self.assertEqual(self.code(script, ['required CARDMAP'], answers_to(script, PASSWORD)), wanted)

    def test_after_a_password(self):
        """The right password does not mend it where both are wanted; where the password suffices nobody asks for a card."""
        for (name, (script, _)), form in itertools.product(BAD.items(), STRICT):
            with self.subTest(f'{name}: {form}'):
                after = ['required pam_unix.so', f'{form} CARDMAP', 'required pam_permit.so']
                self.assertNotEqual(self.code(script, after, [PASSWORD, PIN]), SUCCESS)
                either = ['sufficient pam_unix.so', f'{form} CARDMAP', 'required pam_permit.so']
                self.assertNotEqual(self.code(script, either, ['wrong', PIN]), SUCCESS)
        with Peer(*GRANTED) as peer:
            said = log_in(folder=stacks(['sufficient pam_unix.so', 'required CARDMAP']), answers=[PASSWORD])
            self.assertEqual((said.code, peer.begun), (SUCCESS, []))

    def test_forms_that_forgive(self):
        """Of these the administrator asked for the password instead: it decides, and nothing else does."""
        for (name, (script, _)), form, unix in itertools.product(BAD.items(), LAX, UNIX.values()):
            with self.subTest(f'{name}: {form}, then {unix}'):
                lines = [f'{form} CARDMAP', *unix]
                self.assertNotEqual(self.code(script, lines, answers_to(script, 'wrong')), SUCCESS)
                self.assertEqual(self.code(script, lines, answers_to(script, PASSWORD)), SUCCESS)

    def test_ignored_is_not_there(self):
        """Of who may use a password: the same end, whatever is asked, as of the stack without the module."""
        for (name, script), form in itertools.product(IGNORED.items(), STRICT + LAX):
            for unix, password in itertools.product(UNIX.values(), (PASSWORD, 'wrong')):
                with self.subTest(f'{name}: {form}, then {unix}: {password}'):
                    without = log_in(folder=stacks(unix), answers=[password])
                    for lines in ([f'{form} CARDMAP', *unix],):
                        with Peer(*script):
                            said = log_in(folder=stacks(lines), answers=[password])
                        self.assertEqual((said.code, said.asked()), (without.code, without.asked()))

    def test_ignored_alone_is_no_login(self):
        for (name, script), form in itertools.product(IGNORED.items(), STRICT + LAX):
            with self.subTest(f'{name}: {form}'):
                self.assertNotEqual(self.code(script, [f'{form} CARDMAP'], []), SUCCESS)

    def test_granted(self):
        for form in STRICT:
            ends = 'success=end' in form or 'success=done' in form
            with self.subTest(form):
                if 'success=end' not in form:  # which needs somewhere to jump to
                    self.assertEqual(self.code(GRANTED, [f'{form} CARDMAP', 'required pam_unix.so'], [PIN, 'wrong']),
                                     SUCCESS if ends else AUTH_ERR)
                self.assertEqual(self.code(GRANTED, [f'{form} CARDMAP', *UNIX['Debian']], [PIN, 'wrong']),
                                 SUCCESS if ends else AUTH_ERR)
                self.assertEqual(self.code(GRANTED, [f'{form} CARDMAP', *UNIX['Debian']], [PIN, PASSWORD]), SUCCESS)

    def test_a_password_is_no_pin(self):
        """What pam_unix asked for goes to no card, unless the administrator says that it is a PIN; then it is tried once."""
        for options, pins in (('', [PIN]), ('use_first_pass', ['wrong'])):
            with self.subTest(options), Peer(pin(), ANSWERED, pin(reason='pin_wrong', text='wrong'), hold=True) as peer:
                said = log_in(folder=stacks(['optional pam_unix.so', f'required CARDMAP {options}']), answers=['wrong', PIN, ''])
                self.assertEqual((said.code, peer.pins), (AUTH_ERR, pins), said.text)
        for state in (pin(tries=1, last_try=True), pin(reason='pin_wrong', text='x')):
            with Peer(state, ANSWERED, grant()) as peer:
                said = log_in(folder=stacks(['optional pam_unix.so', 'required CARDMAP use_first_pass']), answers=['wrong'])
                self.assertEqual((said.code, peer.pins), (AUTH_ERR, []), said.text)


class Account(unittest.TestCase):
    BAD = {**{name: script for name, (script, _) in BAD.items() if 'PIN' not in name},
           'disabled': (refused('account_disabled', may_use_password=True),),
           'asks for a card': (reply('card', may_use_password=True),)}

    def test_a_refusal_stays_one(self):
        """Who came in by a public key, or by a password that somebody else asked for."""
        for (name, script), form in itertools.product(self.BAD.items(), STRICT):
            for lines in ([f'{form} CARDMAP', 'required pam_permit.so'], ['required pam_unix.so', f'{form} CARDMAP'], [f'{form} CARDMAP']):
                with self.subTest(f'{name}: {lines}'), socket_of(script):
                    self.assertNotEqual(log_in(folder=stacks(account=lines), calls=['account']).code, SUCCESS)

    def test_granted_and_none_of_ours(self):
        for script, alone in ((grant(), SUCCESS), (refused(None, may_use_password=True), PERM_DENIED)):
            for lines, code in ((['required CARDMAP'], alone), (['required CARDMAP', 'required pam_unix.so'], SUCCESS)):
                with self.subTest(f'{script}: {lines}'), Peer(script):
                    self.assertEqual(log_in(folder=stacks(account=lines), calls=['account']).code, code)


class Profile(unittest.TestCase):
    """pam-auth-update(8) itself, over a copy of what it changes, with Debian's own profiles beside ours."""
    MULTIARCH = subprocess.run(['gcc', '-print-multiarch'], check=True, capture_output=True, text=True).stdout.strip()

    @classmethod
    def setUpClass(cls):
        folder = Path(os.environ[pam_rig.INSIDE])
        for place in ('/etc', '/var/lib/pam', '/var/cache/debconf', '/usr/share/pam-configs', f'/usr/lib/{cls.MULTIARCH}/security'):
            copy = folder / place.strip('/').replace('/', '_')
            subprocess.run(['cp', '-a', place, copy], check=False, capture_output=True)
            subprocess.run(['mount', '--bind', copy, place], check=True)
        shutil.copy(ROOT / 'packaging/cardmap.pam-config', '/usr/share/pam-configs/cardmap')
        shutil.copy(pam_rig.module(), f'/usr/lib/{cls.MULTIARCH}/security/pam_cardmap.so')
        cls.update('--force', '--package')
        cls.before = cls.common()
        cls.update('--force', '--enable', 'cardmap')

    @staticmethod
    def update(*arguments):
        done = subprocess.run(['pam-auth-update', *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
                              env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND': 'noninteractive'})
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)

    @staticmethod
    def common():
        return {name: [line.split(None, 1)[1] if line.startswith('#') else line for line in
                       Path('/etc/pam.d', f'common-{name}').read_text(encoding='utf-8').splitlines() if line and line[0] != '#']
                for name in ('auth', 'account', 'session', 'password')}

    def log_in(self, script, user='alice', calls=('authenticate',), answers=()):
        folder = Path('/etc/pam.d')
        (folder / 'test').write_text(''.join(f'@include common-{name}\n' for name in ('auth', 'account', 'session')), encoding='ascii')
        with socket_of(script) as peer:
            said = log_in(folder=folder, user=user, calls=calls, answers=answers)
        return said, peer

    def test_it_is_not_on_by_itself(self):
        self.assertNotIn('pam_cardmap', str(self.before))

    def test_what_it_makes(self):
        common = self.common()
        self.assertRegex(common['auth'][0], r'^auth\s+\[success=2 ignore=ignore default=die\]\s+pam_cardmap\.so *$')
        self.assertRegex(common['auth'][1], r'^auth\s+\[success=1 default=ignore\]\s+pam_unix\.so')
        self.assertRegex(common['account'][0], r'^account\s+\[success=ok ignore=ignore default=die\]\s+pam_cardmap\.so *$')
        self.assertNotIn('pam_cardmap', str(common['password']))
        self.assertIn('pam_cardmap', str(common['session']))

    def test_who_gets_in(self):
        for script, password, code in ((GRANTED, 'wrong', SUCCESS), *((script, PASSWORD, None) for script, _ in BAD.values()),
                                       *((script, PASSWORD, SUCCESS) for script in IGNORED.values()),
                                       *((script, 'wrong', AUTH_ERR) for script in IGNORED.values())):
            with self.subTest(f'{script} {password}'):
                said, _ = self.log_in(script, answers=answers_to(script, password))
                if code is None:
                    self.assertNotEqual(said.code, SUCCESS)
                else:
                    self.assertEqual(said.code, code, said.text)

    def test_root_has_a_way_in(self):
        for script in (None, GRANTED, (refused(),)):
            for password, code in ((PASSWORD, SUCCESS), ('wrong', AUTH_ERR)):
                said, peer = self.log_in(script, user='root', answers=[password], calls=['authenticate', 'account'])
                self.assertEqual(said.codes, {'authenticate': code, 'account': SUCCESS}, said.text)
                self.assertFalse(peer and peer.begun)

    def test_a_whole_session(self):
        with Peer(*GRANTED[:2], grant(ccache='FILE:/tmp/krb5cc_10001')):
            said = log_in(folder=self.folder(), answers=[PIN], calls=['authenticate', 'establish', 'open'])
        self.assertEqual(set(said.codes.values()), {SUCCESS}, said.text)
        self.assertEqual(said.env['KRB5CCNAME'], 'FILE:/tmp/krb5cc_10001')

    @staticmethod
    def folder():
        Path('/etc/pam.d/test').write_text('@include common-auth\n@include common-account\n@include common-session\n', encoding='ascii')
        return Path('/etc/pam.d')

    def test_taken_out_again(self):
        self.addCleanup(self.update, '--force', '--enable', 'cardmap')
        self.update('--package', '--remove', 'cardmap')
        self.assertEqual(self.common(), self.before)


if __name__ == '__main__':
    pam_rig.enter()
    unittest.main(verbosity=2)
