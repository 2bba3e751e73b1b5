#!/usr/bin/python3
"""test_service_clock.py: whole programs whose clocks are moved while they run (tests/rig/clock_shift.c): a suspend while the PIN is
asked, a clock set back, a clock set ahead, a server from the future."""
import os
import shutil
import struct
from pathlib import Path

import scenario
import service_scenario
from rig import WORK
from scenario import PIN, Counts
from service_scenario import ANY_PROMPT, ServiceScenario

CLOCK = WORK / 'clock'
LIBRARY = WORK / 'clock_shift.so'
PRELOAD = Path('/etc/ld.so.preload')    # the rig's own /etc
SLEPT = 200     # seconds, less than the clocks of a KDC and its clients may differ
YEAR = 365 * 86400


def shift(day=0, boot=0):
    """Of all that was started since PRELOAD was there; what is mapped is not truncated."""
    with open(CLOCK, 'r+b') as file:
        file.write(struct.pack('=qq', day, boot))


class ClockScenario(ServiceScenario):
    starts = False

    def setUp(self):
        super().setUp()
        self.addCleanup(PRELOAD.unlink)
        CLOCK.write_bytes(bytes(16))
        CLOCK.chmod(0o644)
        shutil.copy(os.environ['CM_CLOCK_SHIFT'], LIBRARY)
        LIBRARY.chmod(0o755)
        PRELOAD.write_text(f'{LIBRARY}\n')
        self.before()
        self.start()

    def before(self):
        """The service, and so anything that it asks and keeps."""

    def prompted(self):
        terminal = self.su()
        terminal.expect(ANY_PROMPT)
        return terminal

    def typed(self, terminal):
        terminal.type(f'{PIN}\n')
        return self.ended(terminal)

    def read_again(self):
        self.take_out()
        self.put_in()
        self.wait_card()


class SuspendTest(ClockScenario):
    """The computer sleeps while the prompt stands: what was prepared before is asked again, however long that was ago."""
    def test_everything_is_asked_again(self):
        for slept in (0, SLEPT):
            with self.subTest(slept):
                terminal = self.prompted()
                shift(slept, slept)
                with Counts() as counts:
                    self.check_inside(*self.typed(terminal))
                self.assertEqual(bool(counts.searches('altSecurityIdentities')), slept > 0, counts.slapd)
                self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
                self.drop_tickets()
                self.wait_card()

    def test_taken_away_while_it_slept(self):
        terminal = self.prompted()
        self.give('alice', altSecurityIdentities=[])
        shift(SLEPT, SLEPT)
        with Counts() as counts:
            status, text = self.typed(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text, r'\((no_account|account_changed)\)')
        self.assertEqual(counts.verifies(), 0, 'and no PIN was sent for it')
        self.assertEqual(self.tickets(), [])

    def test_taken_away_a_moment_ago(self):
        """What the test before is worth: awake, an answer of less than a minute ago holds."""
        terminal = self.prompted()
        self.give('alice', altSecurityIdentities=[])
        self.check_inside(*self.typed(terminal))


class SetTest(ClockScenario):
    changes = {'trust__level': 'hard'}

    def setUp(self):
        super().setUp()
        self.check_inside(*self.log_in())
        self.drop_tickets()
        scenario.RIG.stop(*scenario.SERVERS)
        self.read_again()
        self.check_inside(*self.log_in(), ticket=False)

    def moved(self, day, reason):
        shift(day)
        self.read_again()
        terminal = self.su()
        status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text, rf'\(({reason})\)')
        shift()
        self.read_again()
        self.check_inside(*self.log_in(), ticket=False)

    def test_set_back(self):
        """Below the newest time that a server has signed nothing that is kept counts; set right, it does."""
        self.moved(-YEAR, 'clock_behind')

    def test_set_ahead(self):
        self.moved(YEAR, 'revocation_unknown|kept_too_old')

    def test_set_back_while_the_pin_is_asked(self):
        terminal = self.prompted()
        shift(-YEAR)
        status, text = self.typed(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertIn('(clock_behind)', text)


class FutureTest(ClockScenario):
    """A responder whose clock is a year ahead signs what nobody believes, and what it signed moves no floor."""
    changes = {'trust__use_crl': 'no', 'trust__check': 'leaf', 'trust__level': 'hard'}

    def before(self):
        self.addCleanup(scenario.RIG.restart, 'ocsp')
        scenario.responder_in('+365d')

    def test_its_answers(self):
        self.refused('revocation_unknown', prompt=None)
        scenario.RIG.restart('ocsp')
        shift(30, 30)   # so that it is asked again
        self.read_again()
        self.check_inside(*self.log_in())
        self.drop_tickets()
        scenario.RIG.stop(*scenario.SERVERS)
        self.read_again()
        self.check_inside(*self.log_in(), ticket=False)


if __name__ == '__main__':
    service_scenario.main()
