#!/usr/bin/python3
"""test_service_settings.py: what macOS has around the login: users who pair their own cards, tokens that are not used."""
import json
import re
from pathlib import Path

import mapping
import scenario
import service_scenario
from scenario import PIN, WRONG_PIN, Counts, wait_until
from service_scenario import TERMINAL, ServiceScenario
from test_service_seat import Caller

import service as service_module
from computer import LOCAL, LOCAL_UID, PASSWORD, in_background
from terminal import Terminal

PROGRAM = service_module.HOME / 'bin/cardmap'


class PairingScenario(ServiceScenario):
    """carol's card is in, which opens no account; lena, an account of this computer's own, sits at the seat."""
    card = 'carol'
    with_faults = True
    changes = {'kerberos__ticket': 'off'}
    switched = 'on'

    def setUp(self):
        super().setUp()
        self.hash = mapping.key_hash('carol').upper()
        self.switch(self.switched)

    def switch(self, to):
        done = self.cardmap('pairing-ui', to, '--json')
        self.assertEqual((done.status, done.json['pairing_ui']), (0, to == 'on'), done.out + done.err)

    def type(self, *arguments, session=None, user=None, **environment):
        """The command at a terminal of this session: at first of lena's, at the seat."""
        command = (session or self.seat).command([PROGRAM, *arguments], user)
        given = {'ASAN_OPTIONS': 'detect_leaks=0', **TERMINAL, 'HOME': f'/home/{LOCAL}', **environment}
        # setpriv --reset-env leaves what a login has
        at = command.index(str(PROGRAM))
        command[at:at] = ['env', *(f'{name}={value}' for name, value in given.items())]
        terminal = Terminal(command, TERMINAL)
        self.addCleanup(terminal.kill)
        return terminal

    def pair(self, pin=PIN, password=PASSWORD, **options):
        terminal = self.type('pair', **options)
        terminal.enter(rb'PIN for [^\r\n]*: ?$', pin)
        terminal.enter(rb'Password of lena on this computer: ?$', password)
        status, text = terminal.end()
        self.assertNotIn(pin, text)
        self.assertNotIn(password, text, 'the password is on the screen')
        return status, text

    def pairings(self):
        return [(entry['hash'], entry['user'], entry['local']) for entry in self.cardmap('pairings', '--json').json['pairings']]

    def caller(self, place=None):
        caller = Caller(place or self.seat.command)
        self.addCleanup(caller.end)
        return caller

    def begin(self, place=None, **parameters):
        caller = self.caller(place)
        return caller, caller.begin(purpose='pair', **parameters)

    def kept_out(self, reason, place=None, **parameters):
        """Refused before anything is asked, and the card hears nothing of it."""
        self.wait_card()
        with Counts() as counts:
            caller, reply = self.begin(place, **parameters)
        caller.end()
        self.assertEqual(reply['parameters'].get('reason'), reason, reply)
        self.assertEqual((counts.verifies(), self.pairings()), (0, []))
        return reply

    def offered(self, place=None):
        """Hashes of the cards that a listener may pair."""
        command = (place or self.seat.command)([PROGRAM, 'cards', '--follow', '--json'])
        terminal = Terminal(command, {**TERMINAL, 'ASAN_OPTIONS': 'detect_leaks=0'})
        try:
            text = terminal.expect(rb'"card":\{[^\r\n]*\r\n')[0].decode()
        finally:
            terminal.kill()
        return re.findall(r'"unpaired":"([0-9A-F]+)"', text)


class PairOwnTest(PairingScenario):
    def test_a_card_of_ones_own(self):
        """Told of it, paired, and it opens that account at once: also with no server there."""
        self.assertEqual(self.offered(), [self.hash])
        with Counts() as counts:
            status, text = self.pair()
        self.assertEqual(status, 0, text)
        self.assertIn(f'with your account {LOCAL}', text)
        self.assertEqual(counts.verifies(), 1)
        self.assertEqual(self.pairings(), [(self.hash, LOCAL, True)])
        self.assertIn(f'the card\'s key {self.hash} is paired with {LOCAL}, by himself', service_scenario.SERVICE.log)
        wait_until(lambda: self.status()['cards'][0]['state'] == 'ready', 'the card to open an account')
        self.assertEqual(self.offered(), [])
        status, text = self.log_in(user=LOCAL, script='id -un')
        self.assertEqual(status, 0, text)
        _, reply = self.begin()
        self.assertEqual(reply['parameters']['reason'], 'card_opens', reply)

    def test_the_wrong_password(self):
        """Whoever finds a session open has neither PIN nor password; no try of the card is spent for him."""
        with Counts() as counts:
            for password in ('Wrong horse 9', PASSWORD + '!'):
                status, text = self.pair(password=password)
                self.assertEqual(status, 3, text)
                self.assertIn('password_wrong', text)
        self.assertEqual((counts.verifies(), self.tries(), self.pairings()), (0, 3, []))
        self.assertIn('pair refused', service_scenario.SERVICE.log)

    def test_the_wrong_pin(self):
        status, text = self.pair(pin=WRONG_PIN)
        self.assertEqual(status, 3, text)
        self.assertIn('pin_wrong', text)
        self.assertEqual((self.tries(), self.pairings()), (2, []))
        self.assertEqual(self.pair()[0], 0)
        self.assertEqual(self.tries(), 3)

    def test_two_wrong_pins_and_no_more(self):
        for wanted in ('pin_wrong', 'pin_held'):
            self.assertIn(wanted, self.pair(pin=WRONG_PIN)[1])
        self.kept_out('pin_held')
        self.assertEqual(self.tries(), 1)

    def test_one_card_per_user(self):
        self.again(accounts__one_card_per_user='yes')
        self.assertEqual(self.pair()[0], 0)
        self.exchange('other-realm')
        wait_until(lambda: self.offered() not in ([], [self.hash]), 'another card to be offered')
        status, text = self.pair()
        self.assertEqual(status, 3, text)
        self.assertIn('one_card', text)
        self.assertEqual(self.pairings(), [(self.hash, LOCAL, True)])

    def test_only_a_card_that_opens_nothing(self):
        self.exchange('alice-rsa2048')
        wait_until(lambda: self.status()['cards'][0]['state'] == 'ready', "alice's card to be ready")
        self.assertEqual(self.offered(), [])
        self.kept_out('card_opens')

    def test_a_card_of_which_nobody_could_be_asked(self):
        """It may be somebody's."""
        scenario.RIG.stop('slapd')
        self.again()
        self.assertEqual(self.offered(), [])
        self.kept_out('not_kept')

    def test_a_card_that_is_not_trusted(self):
        self.exchange('self-signed')
        self.wait_card()
        self.assertEqual(self.offered(), [])
        self.kept_out('cert_untrusted')

    def test_watch(self):
        """A person at the terminal is asked once for each insertion, and never again about a card that is said so of."""
        offer = rb'The card in [^\r\n]* opens no account. Pair it with yours\? yes, no, or never: ?$'
        terminal = self.type('pair', '--watch')
        terminal.expect(offer)
        terminal.type('no\n')
        self.take_out()
        self.put_in()
        terminal.expect(offer)
        terminal.type('never\n')
        self.take_out()
        self.exchange('other-realm')
        terminal.expect(offer)
        terminal.type('yes\n')
        terminal.enter(rb'PIN for [^\r\n]*: ?$', PIN)
        terminal.enter(rb'Password of lena on this computer: ?$', PASSWORD)
        terminal.expect(rb'paired +with your account lena')
        self.assertEqual([(user, local) for _, user, local in self.pairings()], [(LOCAL, True)])
        remembered = Path(f'/home/{LOCAL}/.local/state/cardmap/never-pair')
        self.assertEqual((remembered.read_text(), remembered.stat().st_mode & 0o777), (f'{self.hash}\n', 0o600))
        # One that is remembered, then one that is not: the first thing said is about the second.
        self.cardmap('unpair', LOCAL)
        terminal.kill()
        self.exchange('carol')
        self.wait_offered()
        terminal = self.type('pair', '--watch')
        self.exchange('other-realm')
        self.assertIn(b'opens no account', terminal.expect(offer)[0])
        self.assertEqual(terminal.text.count(b'opens no account'), 1)

    def wait_offered(self):
        wait_until(self.offered, 'the card to be offered')


class WhoMayPairTest(PairingScenario):
    def own(self, user=LOCAL, who=None, **kind):
        session = service_scenario.COMPUTER.logind.open(user, **kind)
        return lambda command: session.command(command, who)

    def check(self, reason, place, offered=True):
        """Kept out, and not told that the card is one to be paired."""
        reply = self.kept_out(reason, place)
        if offered:
            self.assertEqual(self.offered(place), [])
        return reply

    def test_not_unless_it_is_switched_on(self):
        self.switch('off')
        self.check('pairing_for_root', self.seat.command)
        self.switch('on')
        self.assertEqual(self.offered(), [self.hash])

    def test_not_where_the_configuration_has_no_pairings(self):
        self.again(accounts__user_pairing='no')
        self.check('pairing_off', self.seat.command)

    def test_not_from_elsewhere(self):
        for kind in ({'remote': True}, {'active': False}, {'seat': ''}):
            with self.subTest(kind):
                self.check('not_here', self.own(**kind))
        self.check('not_here', lambda command: in_background(command, LOCAL))

    def test_not_another_user_in_the_session_of_who_sits_there(self):
        """The user of the directory, and one of this computer's, whose session it is not."""
        self.check('pairing_for_root', lambda command: self.seat.command(command, 'alice'))
        self.check('not_here', self.own('alice', who=LOCAL))

    def test_no_user_of_the_directory(self):
        self.check('pairing_for_root', self.own('alice'))

    def test_not_root_and_not_for_another(self):
        self.check('pairing_for_root', lambda command: self.seat.command(command, 'root'), offered=False)
        self.kept_out('pairing_for_root', user='alice')
        self.kept_out('pairing_for_root', user='root')

    def test_not_a_system_account(self):
        self.again(accounts__first_uid=LOCAL_UID + 1)
        self.check('account_forbidden', self.seat.command)

    def test_who_goes_to_the_back_before_he_answers(self):
        caller, reply = self.begin()
        self.assertEqual(reply['parameters']['state'], 'pin', reply)
        service_scenario.COMPUTER.logind.change(self.seat, ACTIVE=0, STATE='online')
        caller.say(f'pair {PIN} {PASSWORD}')
        with Counts() as counts:
            self.assertIn('NotAllowed', json.dumps([caller.next(), caller.next()]))
        self.assertEqual((counts.verifies(), self.pairings()), (0, []))

    def test_what_comes_beside_the_answer(self):
        """One pipe where the reader takes no PIN: whatever is in it, it is the password."""
        caller, _ = self.begin()
        caller.say(f'pin {PASSWORD}')
        self.assertEqual(caller.until('refused')['parameters']['reason'], 'pin_missing')
        self.assertEqual((self.tries(), self.pairings()), (3, []))

    def test_a_card_that_goes_while_the_pin_is_awaited(self):
        caller, _ = self.begin()
        self.take_out()
        self.assertEqual(caller.until('card')['parameters']['state'], 'card')
        self.exchange('alice-rsa2048')
        self.assertEqual(caller.until('refused')['parameters']['reason'], 'card_opens')
        self.assertEqual(self.pairings(), [])


if __name__ == '__main__':
    service_scenario.main()
