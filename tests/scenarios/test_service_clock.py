#!/usr/bin/python3
"""test_service_clock.py: whole programs whose clocks are moved while they run (tests/rig/clock_shift.c): a suspend, or a
minute, while the PIN is asked, a clock set back, a clock set ahead, a server from the future."""
import contextlib
import itertools
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
NAP = 5
LESS, MINUTE = 20, 61
SLEPT = 200     # seconds, less than the clocks of a KDC and its clients may differ
YEAR = 365 * 86400


def shift(day=0, boot=0, awake=0):
    """Of all that was started since PRELOAD was there; what is mapped is not truncated.  awake: of CLOCK_MONOTONIC."""
    with open(CLOCK, 'r+b') as file:
        file.write(struct.pack('=qqq', day, boot, awake))


class ClockScenario(ServiceScenario):
    starts = False

    def setUp(self):
        super().setUp()
        self.addCleanup(PRELOAD.unlink)
        CLOCK.write_bytes(bytes(24))
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


class OldTest(ClockScenario):
    """While the prompt stands the computer sleeps, however long, or a minute passes: what was prepared before is asked again, of
    everybody, before the PIN goes to the card."""
    silence = True
    changes = {'service__wait': '600000', 'trust__ask_always': 'yes', 'trust__use_crl': 'no', 'trust__check': 'leaf'}

    def setUp(self):
        self.day = self.awake = 0
        super().setUp()

    def pass_by(self, slept, stood):
        """From now on."""
        self.day, self.awake = self.day + slept + stood, self.awake + stood
        shift(self.day, self.day, self.awake)

    def test_everything_is_asked_again(self):
        for slept, stood, asked in ((0, 0, False), (NAP, 0, True), (SLEPT, 0, True), (0, LESS, False), (0, MINUTE, True)):
            with self.subTest(slept=slept, stood=stood):
                terminal = self.prompted()
                self.pass_by(slept, stood)
                with Counts() as counts:
                    self.check_inside(*self.typed(terminal))
                # That revocation is asked again, too, test_revoked_... show.
                self.assertEqual(bool(counts.searches('altSecurityIdentities')), asked, counts.slapd)
                self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
                self.drop_tickets()
                self.read_again()

    @contextlib.contextmanager
    def refused_after(self, slept, stood, reason):
        """What became of the prompt that stands."""
        terminal = self.prompted()
        yield
        self.pass_by(slept, stood)
        with Counts() as counts:
            status, text = self.typed(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text, rf'\(({reason})\)')
        self.assertEqual(counts.verifies(), 0, 'and no PIN was sent for it')
        self.assertEqual(self.tickets(), [])

    def test_taken_away_meanwhile(self):
        for (slept, stood), (reason, changes) in itertools.product(((NAP, 0), (0, MINUTE)), (
                ('no_account|account_changed', {'altSecurityIdentities': []}), ('account_disabled', {'userAccountControl': '514'}))):
            with self.subTest(reason, slept=slept, stood=stood):
                with self.refused_after(slept, stood, reason):
                    before = self.give('alice', **changes)
                self.give('alice', **before)
                self.read_again()

    def test_revoked_while_it_slept(self):
        with self.refused_after(NAP, 0, 'revoked'):
            scenario.RIG.revoke('alice-rsa2048')

    def test_revoked_in_a_minute(self):
        with self.refused_after(0, MINUTE, 'revoked'):
            scenario.RIG.revoke('alice-rsa2048')

    def test_taken_away_a_moment_ago(self):
        """What the tests before are worth: awake, an answer of less than a minute ago holds."""
        terminal = self.prompted()
        self.give('alice', altSecurityIdentities=[])
        self.pass_by(0, LESS)
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
