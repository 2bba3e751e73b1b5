#!/usr/bin/python3
"""test_talk.py: what pam_cardmap says, asks and hands on, state by state, of recorded octets; what it leaves to the session."""
import unittest

import pam_rig
from pam_rig import (ANSWERED, AUTH_ERR, AUTHTOK_ERR, CONV_ERR, IGNORE, MAXTRIES, OTHER, PERM_DENIED, PIN, SUCCESS, UNAVAILABLE,
                     ACCT_EXPIRED, Peer, grant, log_in, module, pin, refused, reply, stacks)

CHOICES = [{'id': 'one', 'text': 'Alice Example'}, {'id': 'two', 'text': 'Alice Example (administrator)'}]
# libpam gives the module's own code, PAM_IGNORE too.
RAW = ['[default=ok ignore=ok] CARDMAP']


class Talk(unittest.TestCase):
    def talk(self, *script, answers=(), **options):
        with Peer(*script) as peer:
            said = log_in(answers=answers, **options)
        return said, peer

    def test_the_first_login(self):
        said, peer = self.talk(reply('card'), reply('card', reason='no_card', text='no card is in'), reply('reading', reader='R'), pin(), ANSWERED, reply('working'), grant(),
                               answers=[PIN])
        self.assertEqual(said.talk, ['say Insert your card', 'hidden PIN for Alice Example, 3 tries left: '])
        self.assertEqual((said.code, peer.pins, peer.answers), (SUCCESS, [PIN], [{'last_try': False, 'handle': 'h'}]))

    def test_prompts(self):
        long = 'é' * 40
        for state, prompt in (({'tries': 1}, 'PIN for Alice Example, 1 try left: '), ({'tries': None}, 'PIN for Alice Example: '),
                              ({'online': False}, 'PIN for Alice Example, 3 tries left (offline): '),
                              ({'name': None}, 'PIN for alice, 3 tries left: '), ({'name': '', 'user': None}, 'PIN for the card, 3 tries left: '),
                              ({'name': '\x1b]0;x\x07\nalice'}, r'PIN for \x1b]0;x\x07\x0aalice, 3 tries left: '),
                              ({'name': long}, f'PIN for {long[:32]}, 3 tries left: '), ({'name': '%s%n'}, 'PIN for %s%n, 3 tries left: ')):
            with self.subTest(prompt):
                said, _ = self.talk(pin(**state), ANSWERED, grant(), answers=[PIN])
                self.assertEqual((said.talk, said.code), ([f'hidden {prompt}'], SUCCESS))

    def test_a_wrong_pin(self):
        said, peer = self.talk(pin(), ANSWERED, pin(tries=2, reason='pin_wrong', text='the PIN is wrong'), ANSWERED,
                               refused('pin_held', text='two wrong PINs', remedy='take it out'), answers=[PIN, OTHER])
        self.assertEqual(said.talk, [
            'hidden PIN for Alice Example, 3 tries left: ', 'error the PIN is wrong (pin_wrong)', 'hidden PIN for Alice Example, 2 tries left: ',
            'error Card refused: two wrong PINs (pin_held)', 'error What to do: take it out'])
        self.assertEqual((said.code, peer.pins), (MAXTRIES, [PIN, OTHER]))

    def test_a_program_that_has_one_answer(self):
        """What was refused is not sent again, and is the password of who may use one. After another beginning it may be right."""
        for reason, more, code in (('pin_wrong', {}, AUTH_ERR), ('pin_form', {}, AUTH_ERR), ('pin_form', {'may_use_password': True}, IGNORE),
                                   ('card_changed', {}, SUCCESS), (None, {}, SUCCESS)):
            with self.subTest((reason, more)):
                said, peer = self.talk(pin(), ANSWERED, pin(**({'reason': reason} if reason else {}), **more), ANSWERED, grant(),
                                       answers=[PIN, PIN], folder=stacks(RAW))
                self.assertEqual((said.code, peer.pins, said.found), (code, [PIN] * (2 if code == SUCCESS else 1), False), said.text)
                self.assertEqual('error The same PIN again is not tried again' in said.talk, code != SUCCESS)

    def test_the_last_try(self):
        state = pin(tries=1, last_try=True)
        question = "shown This is the card's last try: a wrong PIN blocks it. Use it? [y/N] "
        for answer, code, pins in (('y', SUCCESS, [PIN]), ('yes', SUCCESS, [PIN]), ('', AUTH_ERR, []), ('n', AUTH_ERR, []), ('Yes!', AUTH_ERR, []),
                                   (PIN, AUTH_ERR, [])):
            with self.subTest(answer):
                said, peer = self.talk(state, ANSWERED, grant(), answers=[answer, PIN])
                self.assertEqual((said.talk[0], said.code, peer.pins), (question, code, pins))
        self.assertTrue(all(answer['last_try'] for answer in peer.answers))

    def test_nothing_typed(self):
        for more, folder, code in (({}, None, AUTH_ERR), ({'may_use_password': True}, stacks(RAW), IGNORE)):
            with self.subTest(more):
                said, peer = self.talk(pin(**more), ANSWERED, grant(), answers=[''], folder=folder)
                self.assertEqual((said.code, peer.pins), (code, []))

    def test_what_is_no_pin(self):
        for text in ('1' * 300, '12\n34'):
            said, peer = self.talk(pin(), ANSWERED, grant(), answers=[text])
            self.assertEqual((said.code, peer.pins, said.talk[-1]), (AUTH_ERR, [], 'error That is no PIN'))

    def test_a_pad(self):
        said, peer = self.talk(pin(pad=True), ANSWERED, grant(), folder=stacks('required CARDMAP quiet'))
        self.assertEqual(said.talk, ['say PIN for Alice Example, 3 tries left: type it at the reader'])
        self.assertEqual((said.code, peer.pins, len(peer.answers)), (SUCCESS, [], 1))

    def test_a_choice(self):
        script = (reply('choose', choices=CHOICES), ANSWERED, pin(), ANSWERED, grant())
        said, peer = self.talk(*script, answers=['0', '3', 'two', '2', PIN])
        self.assertEqual(said.talk[:3], ['say 1  Alice Example', 'say 2  Alice Example (administrator)', 'shown Which one, 1 to 2: '])
        self.assertEqual((said.code, peer.answers[0]['choice'], len(said.asked())), (SUCCESS, 'two', 5))
        said, peer = self.talk(*script, answers=[''])
        self.assertEqual((said.code, peer.answers), (AUTH_ERR, []))

    def test_taken_out_while_asked(self):
        """The answer comes too late: what it is now, the service tells."""
        with Peer(pin(), ANSWERED, reply('card', text='it was taken out'), reply('reading'), pin(), hold=True,
                  verdict='{"error":"io.cardmap.Login.NotAsked","parameters":{"state":"card"}}'):
            said = log_in(answers=[PIN, ''])
        self.assertEqual(said.talk, ['hidden PIN for Alice Example, 3 tries left: ', 'say Insert your card: it was taken out',
                                     'hidden PIN for Alice Example, 3 tries left: '])
        self.assertEqual(said.code, AUTH_ERR)

    def test_refusals(self):
        """One reason with its name; the remedy where it is the person's own."""
        for reason, account, code, words in (
                ('revoked', AUTH_ERR, AUTH_ERR, ['error Card refused: so it is (revoked)', 'error What to do: mend it']),
                ('cert_untrusted', PERM_DENIED, AUTH_ERR, ['error Card refused: so it is (cert_untrusted)']),
                ('account_disabled', ACCT_EXPIRED, AUTH_ERR, None), ('kept_too_old', ACCT_EXPIRED, AUTH_ERR, None),
                ('pin_blocked', MAXTRIES, MAXTRIES, None), ('directory_offline', UNAVAILABLE, UNAVAILABLE, None),
                ('busy', UNAVAILABLE, UNAVAILABLE, None), ('no_card', UNAVAILABLE, UNAVAILABLE, None), ('injected', UNAVAILABLE, UNAVAILABLE, None)):
            with self.subTest(reason):
                said, _ = self.talk(refused(reason, remedy='mend it'))
                self.assertEqual(said.code, code)
                if words:
                    self.assertEqual(said.talk, words)
                else:
                    said, _ = self.talk(refused(reason, remedy='mend it'), calls=['account'])
                    self.assertEqual(said.code, account)
        said, _ = self.talk(refused(), 'silent')
        self.assertEqual(said.talk, ['error Card refused: so it is (revoked)'])

    def test_silent(self):
        """PAM_SILENT: nothing but questions."""
        with Peer(reply('card'), pin(reason='pin_wrong', text='x'), ANSWERED, refused()):
            said = log_in('silent', answers=[PIN])
        self.assertEqual(said.talk, ['hidden PIN for Alice Example, 3 tries left: '])

    def test_quiet(self):
        said, _ = self.talk(reply('card'), pin(), ANSWERED, grant(online=False, kept_age=200000, warnings=['w']), answers=[PIN],
                            folder=stacks('required CARDMAP quiet'))
        self.assertEqual((said.code, said.talk), (SUCCESS, ['hidden PIN for Alice Example, 3 tries left: ']))

    def test_offline_is_said(self):
        for age, words in ((200000, 'say Offline: the account as kept 2 d ago'), (7300, 'say Offline: the account as kept 2 h ago'),
                           (119, 'say Offline: the account as kept 1 min ago'), (0, 'say Offline: the account as kept 0 s ago')):
            said, _ = self.talk(pin(online=False), ANSWERED, grant(online=False, kept_age=age, warnings=['not kept']), answers=[PIN])
            self.assertEqual(said.talk[1:], [words, 'say not kept'])


class Password(unittest.TestCase):
    """Who may use a password: asked for it at once where no card is in, and never told of cards that nobody wants."""

    def test_no_card(self):
        for script in ((reply('card', may_use_password=True),), (refused('no_reader', may_use_password=True),),
                       (refused('not_here', may_use_password=True),), (refused(None, may_use_password=True),)):
            with self.subTest(script), Peer(*script):
                said = log_in(folder=stacks(RAW))
                self.assertEqual((said.code, said.talk), (IGNORE, []))

    def test_wait_for_card(self):
        with Peer(reply('card', may_use_password=True), pin(), ANSWERED, grant()):
            said = log_in(folder=stacks('required CARDMAP wait_for_card'), answers=[PIN])
        self.assertEqual((said.code, said.talk[0]), (SUCCESS, 'say Insert your card'))

    def test_of_nobody_in_particular(self):
        """Where the card is to name the user there is nobody yet who may use a password."""
        for state in (reply('card', may_use_password=True), refused('revoked', may_use_password=True)):
            with self.subTest(state), Peer(state):
                self.assertIn(log_in(user=None, folder=stacks(RAW)).code, (AUTH_ERR, UNAVAILABLE))


class Names(unittest.TestCase):
    def begin(self, *words, **options):
        with Peer(grant()) as peer:
            said = log_in(*words, **options)
        return said, peer.begun[0] if peer.begun else None

    def test_what_is_told(self):
        said, told = self.begin('tty=tty1', 'rhost=192.0.2.7')
        self.assertEqual(said.code, SUCCESS)
        self.assertEqual(told, {'user': 'alice', 'service': 'test', 'tty': 'tty1', 'rhost': '192.0.2.7', 'purpose': 'login'})
        self.assertEqual(self.begin(folder=stacks('required CARDMAP [reader=ACS Reader 00]'))[1]['reader'], 'ACS Reader 00')
        with Peer(grant()) as peer:
            log_in(calls=['account'])
        self.assertEqual(peer.begun[0]['purpose'], 'account')

    def test_the_card_gives_the_name(self):
        """No prompt for a name: nobody is asked for one."""
        said, told = self.begin(user=None)
        self.assertEqual((said.code, said.user, said.asked()), (SUCCESS, 'alice', []))
        self.assertNotIn('user', told)

    def test_a_prompt_for_the_name(self):
        said, told = self.begin('prompt=login: ', user=None, answers=['alice'])
        self.assertEqual((said.code, said.asked(), told['user']), (SUCCESS, ['shown login: '], 'alice'))
        said, told = self.begin('prompt=login: ', user=None, answers=[''])
        self.assertEqual((said.code, said.user), (SUCCESS, 'alice'))
        self.assertNotIn('user', told)
        said, told = self.begin('prompt=login: ', user=None, folder=stacks('required CARDMAP allow_missing_name'))
        self.assertEqual((said.code, said.asked(), said.user), (SUCCESS, [], 'alice'))
        said, told = self.begin('prompt=login: ', user=None, answers=['!25'])
        self.assertEqual((said.code, told), (CONV_ERR, None))

    def test_root_by_a_prompt(self):
        with Peer(grant()) as peer:
            said = log_in('prompt=login: ', user=None, answers=['root'], folder=stacks(RAW))
        self.assertEqual((said.code, peer.begun), (IGNORE, []))


class Session(unittest.TestCase):
    CCACHE = 'FILE:/tmp/krb5cc_10001'

    def run_calls(self, *calls, **more):
        with Peer(pin(), ANSWERED, grant(**{'ccache': self.CCACHE, **more})):
            return log_in(answers=[PIN], calls=calls)

    def test_the_ticket(self):
        said = self.run_calls('authenticate', 'establish', 'open')
        self.assertEqual((set(said.codes.values()), said.env), ({SUCCESS}, {'KRB5CCNAME': self.CCACHE}))
        said = self.run_calls('authenticate')  # sshd takes it from here
        self.assertEqual(said.env, {'KRB5CCNAME': self.CCACHE})
        said = self.run_calls('authenticate', 'establish', 'open', 'close', 'delete')
        self.assertEqual((set(said.codes.values()), said.env), ({SUCCESS}, {}))
        self.assertEqual(self.run_calls('authenticate', 'establish', ccache=None).env, {})
        # No KDC answered; a ticket that comes later is found there.
        said = self.run_calls('authenticate', 'establish', ccache=None, ccache_later=self.CCACHE)
        self.assertEqual(said.env, {'KRB5CCNAME': self.CCACHE})
        said = self.run_calls('authenticate', 'establish', ccache=self.CCACHE, ccache_later='FILE:/elsewhere')
        self.assertEqual(said.env, {'KRB5CCNAME': self.CCACHE})

    def test_the_session_of_another(self):
        """sudo and su: alice is asked, root's session begins: her ticket is not his."""
        for user in ('root', 'bob', 'nobody_at_all'):
            with Peer(pin(), ANSWERED, grant(ccache=self.CCACHE)):
                said = log_in(answers=[PIN], calls=['authenticate', f'user={user}', 'establish', 'open'])
            self.assertEqual((set(said.codes.values()), said.env), ({SUCCESS}, {}), said.text)

    def test_a_second_try(self):
        """What the first login of this handle left does not outlive the second."""
        with Peer(pin(), ANSWERED, grant(ccache=self.CCACHE)):
            said = log_in(answers=[PIN, ''], calls=['authenticate', 'authenticate', 'establish'])
        self.assertEqual((said.codes['authenticate'], said.env), (AUTH_ERR, {}))

    def test_after_a_password(self):
        folder = stacks(['[success=1 ignore=ignore default=die] CARDMAP', 'required pam_permit.so'])
        with Peer(reply('card', may_use_password=True)):
            said = log_in(folder=folder, calls=['authenticate', 'establish'])
        self.assertEqual((set(said.codes.values()), said.env), ({SUCCESS}, {}))
        with Peer(reply('card', may_use_password=True)):
            said = log_in(folder=stacks(RAW), calls=['authenticate', 'establish'])
        self.assertEqual(set(said.codes.values()), {IGNORE}, 'its setcred is not of a card either')


class Change(unittest.TestCase):
    def change(self, *script, answers=(), **options):
        with Peer(*script) as peer:
            said = log_in(answers=answers, calls=['change'], **options)
        return said, peer

    def test_it_is_changed(self):
        said, peer = self.change(pin(), ANSWERED, grant(), answers=[PIN, OTHER, OTHER])
        self.assertEqual(said.talk, ['hidden Current PIN for Alice Example, 3 tries left: ', 'hidden New PIN: ', 'hidden New PIN again: ',
                                     "say The card's PIN is changed"])
        self.assertEqual((said.code, peer.pins), (SUCCESS, [PIN, OTHER]))
        self.assertEqual([begun['purpose'] for begun in peer.begun], ['chauthtok', 'chauthtok'])

    def test_new_ones_differ(self):
        said, peer = self.change(pin(), ANSWERED, grant(), answers=[PIN, OTHER, PIN, OTHER, OTHER])
        self.assertEqual((said.code, peer.pins), (SUCCESS, [PIN, OTHER]))
        self.assertIn('error The two new PINs differ', said.talk)
        said, peer = self.change(pin(), ANSWERED, grant(), answers=[PIN, *[OTHER, PIN] * 9])
        self.assertEqual((said.code, peer.pins), (MAXTRIES, []))

    def test_given_up(self):
        for answers, code in ((['', OTHER, OTHER], PERM_DENIED), ([PIN, '', ''], AUTHTOK_ERR), ([PIN, OTHER, '!19'], CONV_ERR)):
            with self.subTest(code):
                said, peer = self.change(pin(), ANSWERED, grant(), answers=answers)
                self.assertEqual((said.code, peer.pins), (code, []))

    def test_the_old_one_was_wrong(self):
        said, peer = self.change(pin(), ANSWERED, pin(tries=2, reason='pin_wrong', text='wrong'), ANSWERED, refused('pin_held'),
                                 answers=[PIN, OTHER, OTHER] * 2)
        self.assertEqual((said.code, len(peer.pins)), (MAXTRIES, 4))

    def test_the_last_try(self):
        said, peer = self.change(pin(tries=1, last_try=True), ANSWERED, grant(), answers=['n'])
        self.assertEqual((said.code, peer.pins), (PERM_DENIED, []))
        said, peer = self.change(pin(tries=1, last_try=True), ANSWERED, grant(), answers=['y', PIN, OTHER, OTHER])
        self.assertEqual((said.code, peer.answers[0]['last_try']), (SUCCESS, True))

    def test_refused_and_a_password(self):
        self.assertEqual(self.change(refused())[0].code, PERM_DENIED)
        self.assertEqual(self.change(reply('card', may_use_password=True), folder=stacks(password=RAW))[0].code, IGNORE)
        with Peer(pin()) as peer:
            said = log_in(folder=stacks(password=RAW), calls=['expired'])
        self.assertEqual((said.code, peer.begun), (IGNORE, []))


if __name__ == '__main__':
    pam_rig.enter()
    unittest.main(verbosity=2)
