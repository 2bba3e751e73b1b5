#!/usr/bin/python3
"""test_service_pads.py: a reader that takes the PIN itself: no program of the computer asks for it, or sees it.

CM_READER_DRIVER: tests/rig/padreader.c, a driver for pcscd; what is typed on its pad stands in a file.
"""
import scenario
import service_scenario
from scenario import PIN, WRONG_PIN, Counts, wait_until
from service_scenario import ServiceScenario
from test_service_seat import Caller
from test_service_settings import PairingScenario

from computer import LOCAL, PASSWORD
from rig import WORK
from terminal import Terminal

TYPED, WAITS = WORK / 'pad.pin', WORK / 'pad.waits'
NOTHING = 'wait'    # is typed yet
SAYS = r'PIN for Alice Example, {} left: type it at the reader\r?\n'
LAST = rb"This is the card's last try: a wrong PIN blocks it\. Use it\? \[y/N\] $"


def says(tries):
    return SAYS.format(f'{tries} tries' if tries > 1 else '1 try').encode()


class PadScenario(ServiceScenario):
    def setUp(self):
        self.pad(NOTHING)
        super().setUp()
        self.addCleanup(self.pad, 'cancel')  # nobody waits there for the next test

    def pad(self, text):
        """What is typed on it from now on."""
        new = TYPED.with_suffix('.new')
        new.write_text(text, encoding='ascii')
        new.rename(TYPED)

    def wait_pad(self):
        wait_until(WAITS.exists, 'the reader to wait for a PIN')

    def type_at_pad(self, text):
        """Once, when the reader waits for it."""
        self.wait_pad()
        self.pad(text)
        wait_until(lambda: TYPED.read_text(encoding='ascii') == NOTHING, 'the reader to take what was typed')

    def ended_unasked(self, terminal):
        """No PIN was asked for on the screen, and none is on it."""
        status, text = self.ended(terminal)
        self.assertNotRegex(text, r'(?m)PIN for [^\r\n]*: ?$')
        self.assertNotIn(WRONG_PIN, text)
        return status, text

    def next_insertion(self):
        self.take_out()
        self.put_in()
        self.wait_card()

    def command(self, *arguments):
        terminal = Terminal(self.seat.command([scenario.program(), *arguments], 'root'), self.environment())
        self.addCleanup(terminal.kill)
        return terminal

    def wrong_and_right(self, first, second):
        """By the command with these arguments, one after the other."""
        terminal = self.command('login', *first)
        terminal.expect(rb'cardmap: type the PIN at the reader\r?\n')
        self.type_at_pad(WRONG_PIN)
        status, text = self.ended(terminal)
        self.assertEqual(status, 3, text)
        self.assertIn('pin_wrong', text)
        terminal = self.command('login', *second)
        self.type_at_pad(PIN)
        status, text = self.ended(terminal)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'(?m)^account +alice$')

    def caller(self, place=None):
        caller = Caller(place or (lambda command: self.seat.command(command, 'root')))
        self.addCleanup(caller.end)
        return caller


class SuTest(PadScenario):
    def test_a_session(self):
        """Of what is no PIN nothing is sent, and it is asked for again."""
        with Counts() as counts:
            terminal = self.su()
            terminal.expect(says(3))
            self.type_at_pad('12345')
            terminal.expect(rb'\(pin_form\)\r?\n' + says(3))
            self.type_at_pad(PIN)
            self.check_inside(*self.ended_unasked(terminal))
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))

    def test_wrong_ones(self):
        """Said with the tries that are left; two in one insertion, and the last try not unasked."""
        terminal = self.su()
        terminal.expect(says(3))
        self.type_at_pad(WRONG_PIN)
        terminal.expect(rb'\(pin_wrong\)\r?\n' + says(2))
        self.type_at_pad(PIN)
        self.check_inside(*self.ended_unasked(terminal))
        self.assertEqual(self.tries(), 3)
        self.wait_card()
        terminal = self.su()
        for tries in (3, 2):
            terminal.expect(says(tries))
            self.type_at_pad(WRONG_PIN)
        status, text = self.ended_unasked(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertIn('(pin_held)', text)
        with Counts() as counts:
            self.refused('pin_held', prompt=None)
        self.assertEqual((counts.verifies(), self.tries()), (0, 1))
        self.next_insertion()
        with Counts() as counts:
            terminal = self.su()
            terminal.expect(LAST)
            terminal.type('n\n')
            status, text = self.ended_unasked(terminal)
        self.assertNotIn('at the reader', text)
        self.assertNotEqual(status, 0, text)
        self.assertEqual((counts.verifies(), self.tries()), (0, 1))
        terminal = self.su()
        terminal.expect(LAST)
        terminal.type('y\n')
        terminal.expect(says(1))
        self.type_at_pad(PIN)
        self.check_inside(*self.ended_unasked(terminal))
        self.assertEqual(self.tries(), 3)

    def test_given_up(self):
        """At the reader; then by who asked: what nobody typed counts as no wrong PIN, and the next one is asked."""
        with Counts() as counts:
            self.not_inside('cancelled on the reader: no try was spent (cancelled)', 'cancel')
        self.assertEqual((counts.verifies(), self.tries()), (0, 3))
        for _ in range(2):
            terminal = self.su()
            self.wait_pad()
            terminal.kill()
            self.type_at_pad('cancel')
        terminal = self.su()
        terminal.expect(says(3))
        self.type_at_pad(PIN)
        self.check_inside(*self.ended_unasked(terminal))

    def test_nobody_types(self):
        """The reader is told when to give up, and says so; one that does not is not waited for."""
        self.again(service__wait=3000)
        self.not_inside('no PIN was typed on the reader in time: no try was spent (pin_missing)')
        self.assertEqual(self.tries(), 3)
        self.wait_card()
        self.pad('stuck')
        self.not_inside('(card_silent)')
        # what is typed there now unlocks the card for nobody
        self.pad(PIN)
        wait_until(lambda: TYPED.read_text(encoding='ascii') == 'stuck', 'the reader to take what was typed')
        self.pad(NOTHING)
        terminal = self.su()
        terminal.expect(says(3))
        self.type_at_pad(PIN)
        self.check_inside(*self.ended_unasked(terminal))

    def not_inside(self, said, typed=None):
        terminal = self.su()
        terminal.expect(says(3))
        if typed:
            self.type_at_pad(typed)
        status, text = self.ended_unasked(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertIn(said, text)

    def test_the_card_is_taken_out_meanwhile(self):
        with Counts() as counts:
            terminal = self.su()
            terminal.expect(says(3))
            self.wait_pad()
            self.take_out()
            terminal.expect(rb'Insert your card\r?\n')
            self.put_in()
            terminal.expect(rb'the card was taken out \(card_removed\)\r?\n' + says(3))
            self.type_at_pad(PIN)
            self.check_inside(*self.ended_unasked(terminal))
        self.assertEqual(counts.verifies(), 1)


class ClientTest(PadScenario):
    """Programs other than PAM's, by the library and without it."""

    def test_the_command(self):
        self.wrong_and_right(['alice'], [])

    def begin(self):
        caller = self.caller()
        return caller, caller.begin(user='alice')['parameters']

    def test_a_client_of_ones_own(self):
        """As the interface has it: Answer with nothing beside it; and of a program that knows no pads, or an earlier
        module, with a PIN, which goes to the card: the reader asks nobody then."""
        caller, told = self.begin()
        self.assertEqual((told['pad'], told['tries']), (True, 3))
        caller.say('pad')
        self.type_at_pad(PIN)
        self.assertEqual(caller.until('granted')['parameters']['grant']['user'], 'alice')
        with Counts() as counts:
            caller, _ = self.begin()
            caller.say(f'pin {PIN}')
            self.assertEqual(caller.until('granted')['parameters']['state'], 'granted')
        self.assertEqual((counts.verifies(), WAITS.exists()), (1, False))
        self.control('tries 1')
        self.next_insertion()
        caller, told = self.begin()
        self.assertTrue(told['last_try'])
        with Counts() as counts:
            caller.say('pad')
            again = caller.until('pin')['parameters']
        self.assertEqual((again['reason'], counts.verifies(), self.tries()), ('pin_last_try', 0, 1))


class AloneTest(PadScenario):
    """cardmap without the service."""

    def test_the_same(self):
        service_scenario.SERVICE.stop()
        self.wrong_and_right(['--no-service'], ['--no-service', 'alice'])


class PairTest(PadScenario, PairingScenario):
    """A card of one's own: the password at the keyboard, which is first, the PIN at the reader."""

    def begin_typing(self, password=PASSWORD):
        terminal = self.type('pair')
        terminal.expect(rb'cardmap: type the PIN at the reader, after the password\r?\n')
        terminal.enter(rb'Password of lena on this computer: ?$', password)
        return terminal

    def check_end(self, terminal, reason):
        status, text = self.ended_unasked(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text, rf'(?m)^reason: +{reason}$')
        self.assertEqual(self.pairings(), [])

    def test_pairing(self):
        with Counts() as counts:
            self.check_end(self.begin_typing('Wrong horse 9'), 'password_wrong')
        self.assertEqual((counts.verifies(), WAITS.exists()), (0, False))
        for typed, reason, tries in (('cancel', 'cancelled', 3), (WRONG_PIN, 'pin_wrong', 2)):
            terminal = self.begin_typing()
            self.type_at_pad(typed)
            self.check_end(terminal, reason)
            self.assertEqual(self.tries(), tries)
        terminal = self.begin_typing()
        self.type_at_pad(PIN)
        status, text = self.ended_unasked(terminal)
        self.assertEqual(status, 0, text)
        self.assertEqual((self.pairings(), self.tries()), ([(self.hash, LOCAL, True)], 3))

    def test_a_client_of_ones_own(self):
        """Answer with one pipe, which has the password."""
        caller = self.caller(self.seat.command)
        self.assertTrue(caller.begin(purpose='pair')['parameters']['pad'])
        caller.say(f'pad {PASSWORD}')
        self.type_at_pad(PIN)
        self.assertEqual(caller.until('granted')['parameters']['grant']['user'], LOCAL)


if __name__ == '__main__':
    service_scenario.main()
