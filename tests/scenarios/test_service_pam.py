#!/usr/bin/python3
"""test_service_pam.py: pam_cardmap with cardmapd itself and a card, in stacks of a program of ours that says which code came.

CM_PAM_DRIVER: tests/pam/pam_driver.c.
"""
import itertools
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import PIN, WRONG_PIN, Counts
from service_scenario import ServiceScenario

from computer import LOCAL, PASSWORD
from rig import WORK

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'pam'))
import pam_rig  # noqa: E402
from pam_rig import AUTH_ERR, CONV_ERR, IGNORE, MAXTRIES, PERM_DENIED, SUCCESS, TRY_AGAIN, UNAVAILABLE  # noqa: E402

WRONG = WRONG_PIN
ASK = 'hidden PIN for Alice Example, 3 tries left: '
RAW = '[default=ok ignore=ok] CARDMAP'
STRICT = ('required', 'requisite', '[success=2 ignore=ignore default=die]', '[success=done ignore=ignore default=bad]')
UNIX = ['[success=1 default=ignore] pam_unix.so nodelay', 'requisite pam_deny.so', 'required pam_permit.so']
CALLS = {'authenticate': 'auth', 'establish': 'auth', 'account': 'account', 'open': 'session', 'change': 'password'}


class PamScenario(ServiceScenario):
    changes = {'service__wait': 1000}

    def call(self, *words, lines=(RAW,), answers=(), user='alice', calls=('authenticate',), session=True):
        """The driver as root, at the seat of who sits there; without a session: as a daemon would."""
        folder = Path(tempfile.mkdtemp(dir=WORK))
        kinds = {CALLS[call] for call in calls}
        (folder / 'test').write_text(''.join(f'{kind} {line}\n' for kind in sorted(kinds) for line in lines).replace(
            'CARDMAP', str(service_scenario.SERVICE.module)), encoding='utf-8')
        (folder / 'other').write_text('auth required pam_deny.so\n', encoding='ascii')
        given = [f'answer{answer}' if answer[:1] == '!' else f'answer={pam_rig.masked(answer)}' for answer in answers]
        command = [os.environ['CM_PAM_DRIVER'], folder, 'test', *([f'user={user}'] if user else []), *words, *given, *calls]
        done = subprocess.run(list(map(str, self.seat.command(command, 'root') if session else service_scenario.in_background(command))),
                              capture_output=True, text=True, errors='replace', timeout=60, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return pam_rig.Said(done.stdout)


class LoginTest(PamScenario):
    def test_a_session(self):
        with Counts() as counts:
            said = self.call(answers=[PIN], calls=['authenticate', 'account', 'establish', 'open'])
        self.assertEqual(set(said.codes.values()), {SUCCESS}, said.text)
        self.assertEqual(said.asked(), [ASK])
        self.assertEqual(said.env['KRB5CCNAME'], f'FILE:{service_scenario.SERVICE.tickets}/krb5cc_{scenario.ALICE_UID}')
        self.assertEqual((said.descriptors, said.found), (0, False))
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))

    def test_the_card_names_the_user(self):
        said = self.call(answers=[PIN], user=None)
        self.assertEqual((said.code, said.user, said.asked()), (SUCCESS, 'alice', [ASK]), said.text)

    def test_a_program_that_cannot_ask(self):
        """And the card is there for the next one."""
        for code in (CONV_ERR, IGNORE, SUCCESS):
            with Counts() as counts:
                self.assertEqual(self.call(answers=[f'!{code}']).code, CONV_ERR)
            self.assertEqual(counts.verifies(), 0)
        self.assertEqual(self.call(answers=[PIN]).code, SUCCESS)

    def test_a_wrong_pin_and_nothing_more(self):
        said = self.call(answers=[WRONG, ''])
        self.assertEqual((said.code, len(said.asked())), (AUTH_ERR, 2), said.text)
        self.assertIn('(pin_wrong)', said.text)
        said = self.call(answers=[WRONG, PIN])
        self.assertEqual(said.code, MAXTRIES, said.text)
        self.assertEqual(self.call(answers=[PIN]).code, MAXTRIES)

    def test_the_last_try(self):
        self.control('tries 1')
        self.take_out()
        self.put_in()
        self.wait_card()
        said = self.call(answers=['n', PIN])
        self.assertEqual((said.code, self.tries()), (AUTH_ERR, 1), said.text)
        self.assertEqual(said.asked(), ["shown This is the card's last try: a wrong PIN blocks it. Use it? [y/N] "])
        said = self.call(answers=['y', PIN])
        self.assertEqual((said.code, self.tries()), (SUCCESS, 3), said.text)

    def test_a_login_helper_of_somebody(self):
        """doc/examples/login-helper.c, built with the library that is installed."""
        program = Path(tempfile.mkdtemp(dir=WORK)) / 'login-helper'
        root = Path(__file__).resolve().parents[2]
        scenario.said(['gcc', root / 'doc/examples/login-helper.c', '-o', program, f'-I{root}/client',
                       f'{service_scenario.service_module.HOME}/lib/libcardmap.so.1'])
        terminal = self.terminal([program, 'alice'], user='root')
        terminal.enter(rb'PIN for Alice Example, 3 tries left: $', PIN)
        status, text = self.ended(terminal)
        self.assertEqual(status, 0, text)
        self.assertIn(f'alice, uid {scenario.ALICE_UID}, home /home/alice', text)


class RefusalTest(PamScenario):
    """Each way of not getting in, in each form of stack, before a password that is right: nobody gets in."""

    def check(self, name, answers, raw, reason, user='alice'):
        said = self.call(answers=answers, user=user)
        self.assertEqual(said.code, raw, f'{name}: {said.text}')
        self.assertIn(f'({reason})', said.text)
        for form, rest in itertools.product(STRICT, (['required pam_permit.so'], UNIX)):
            with self.subTest(f'{name}: {form}, then {rest}'):
                said = self.call(lines=[f'{form} CARDMAP', *rest], answers=[*answers, PASSWORD], user=user)
                self.assertNotEqual(said.code, SUCCESS, said.text)

    def test_somebody_elses_card(self):
        self.check('not theirs', [], AUTH_ERR, 'not_this_user', user='bob')
        self.check('not theirs, with a password', [], AUTH_ERR, 'not_this_user', user=LOCAL)

    def test_a_revoked_card(self):
        self.take_out()
        self.put_in('revoked')
        self.wait_card()
        self.check('revoked', [], AUTH_ERR, 'revoked')

    def test_no_card(self):
        self.take_out()
        said = self.call(lines=[f'{RAW} timeout=1'])
        self.assertEqual((said.code, said.talk[0]), (UNAVAILABLE, 'say Insert your card'), said.text)
        self.assertIn('(no_card)', said.text)

    def test_nobody_sits_there(self):
        said = self.call(session=False)
        self.assertEqual(said.code, AUTH_ERR, said.text)
        self.assertIn('(not_here)', said.text)
        said = self.call('rhost=192.0.2.7')
        self.assertEqual(said.code, AUTH_ERR, said.text)
        self.assertIn('(not_here)', said.text)

    def test_no_service(self):
        service_scenario.SERVICE.stop()
        self.check('stopped', [], UNAVAILABLE, 'no_service')
        for call, code in (('account', UNAVAILABLE), ('change', TRY_AGAIN)):
            self.assertEqual(self.call(calls=[call]).code, code)


class PasswordTest(PamScenario):
    """Where nobody needs a card: PAM_IGNORE, and that only of who may use a password."""
    changes = {'enforcement__required': 'no'}

    def test_without_a_card(self):
        self.take_out()
        for user in (LOCAL, 'alice'):
            with self.subTest(user):
                said = self.call(user=user)
                self.assertEqual((said.code, said.talk), (IGNORE, []), said.text)
        self.assertEqual(self.call(user=LOCAL, lines=[f'{STRICT[2]} CARDMAP', *UNIX], answers=[PASSWORD]).code, SUCCESS)
        self.assertNotEqual(self.call(user=LOCAL, lines=[f'{STRICT[2]} CARDMAP', *UNIX], answers=['wrong']).code, SUCCESS)

    def test_a_card_that_nobody_wants_to_use(self):
        with Counts() as counts:
            said = self.call(answers=[''])
        self.assertEqual((said.code, said.asked(), counts.verifies()), (IGNORE, [ASK], 0), said.text)

    def test_from_elsewhere(self):
        said = self.call('rhost=192.0.2.7', user=LOCAL)
        self.assertEqual((said.code, said.talk), (IGNORE, []), said.text)

    def test_no_service_is_no_password(self):
        service_scenario.SERVICE.stop()
        self.assertEqual(self.call(user=LOCAL).code, UNAVAILABLE)


class AccountTest(PamScenario):
    changes = {'enforcement__required': 'no'}

    def enter(self, user='alice'):
        """As sshd after a public key: no card was asked."""
        return self.call('rhost=192.0.2.7', calls=['account'], user=user, session=False)

    def test_who_may_enter(self):
        self.assertEqual(self.call(answers=[PIN]).code, SUCCESS)
        for user, code in (('alice', SUCCESS), (LOCAL, IGNORE), ('root', IGNORE)):
            with self.subTest(user):
                said = self.enter(user)
                self.assertEqual((said.code, said.talk), (code, []), said.text)

    def test_where_a_card_is_required(self):
        self.again(enforcement__required='yes')
        said = self.enter()
        self.assertEqual(said.code, PERM_DENIED, said.text)
        self.assertIn('(card_required)', said.text)
        said = self.call(answers=[PIN], calls=['authenticate', 'account'])
        self.assertEqual(set(said.codes.values()), {SUCCESS}, said.text)


class ChangeTest(PamScenario):
    NEW = '246813'

    def test_the_pin_is_changed(self):
        said = self.call(answers=[PIN, self.NEW, self.NEW], calls=['change'])
        self.assertEqual(said.code, SUCCESS, said.text)
        self.assertIn("say The card's PIN is changed", said.talk)
        self.assertFalse(said.found)
        self.wait_card()
        self.assertEqual(self.call(answers=[PIN, '']).code, AUTH_ERR)
        self.assertEqual(self.call(answers=[self.NEW]).code, SUCCESS)

    def test_a_wrong_old_one(self):
        said = self.call(answers=[WRONG, self.NEW, self.NEW, ''], calls=['change'])
        self.assertEqual(said.code, PERM_DENIED, said.text)
        self.assertIn('(pin_wrong)', said.text)
        self.wait_card()
        self.assertEqual(self.call(answers=[PIN]).code, SUCCESS)


if __name__ == '__main__':
    service_scenario.main()
