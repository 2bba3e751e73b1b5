#!/usr/bin/python3
"""test_service_desktop.py: screen lockers and login managers of desktops, each by the PAM service that its package brings."""
import scenario
import service_scenario
from scenario import ALICE_UID, PIN, WRONG_PIN, Counts, wait_until
from service_scenario import ServiceScenario

import computer as computer_module
import desktop


class LockerScenario(ServiceScenario):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.screen = desktop.Screen(scenario.RIG)
        cls.addClassCleanup(cls.screen.close)

    def lock(self, *command, user='alice', **environment):
        session = self.seat = service_scenario.COMPUTER.logind.open(user, kind='x11')
        locker = desktop.Locker(self.screen, session, command, **environment)
        self.addCleanup(locker.kill)
        return locker

    @staticmethod
    def was_refused(reason):
        wait_until(lambda: f' reason={reason}' in service_scenario.SERVICE.log, f'the end of a login: {reason}')

    def klist(self):
        """What MIT's says of alice's ccache, as herself."""
        ccache = f'FILE:{service_scenario.SERVICE.tickets}/krb5cc_{ALICE_UID}'
        return scenario.said(computer_module.in_background(['klist', ccache], 'alice'))

    def unlocked(self, locker):
        self.assertEqual(locker.end(), 0, locker.text())


class I3lockTest(LockerScenario):
    """i3lock(1) asks PAM once something was typed, answers every question with that, and asks for no account."""

    def lock(self, **options):
        return super().lock('i3lock', '-n', **options)

    def test_the_card_comes_after_the_pin(self):
        """Its user has a new ticket then. And without the network it opens as well."""
        self.take_out()
        with Counts() as counts:
            locker = self.lock()
            self.screen.enter(PIN)
            wait_until(lambda: self.status()['connections'] == 2, 'the locker to ask')  # this question is the other
            self.put_in()
            self.unlocked(locker)
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
        self.assertIn('Default principal: alice@CARDMAP.TEST', self.klist())
        self.drop_tickets()
        scenario.RIG.stop('slapd', 'kdc')
        locker = self.lock()
        self.screen.enter(PIN)
        self.unlocked(locker)
        self.assertEqual(self.tickets(), [])

    def test_a_wrong_pin(self):
        """Which it says to the second question too: what was typed once costs one try."""
        locker = self.lock()
        with Counts() as counts:
            self.screen.enter(WRONG_PIN)
            self.was_refused('cancelled')
        self.assertEqual((counts.verifies(), self.tries()), (1, 2))
        self.assertTrue(locker.is_locked())
        self.screen.enter(PIN)
        self.unlocked(locker)
        self.assertEqual(self.tries(), 3)

    def test_another_users_card(self):
        self.exchange('bob')
        self.wait_card()
        locker = self.lock()
        with Counts() as counts:
            self.screen.enter(PIN)
            self.was_refused('not_this_user')
        self.assertEqual((counts.verifies(), self.tries()), (0, 3))
        self.assertTrue(locker.is_locked())
        self.exchange('alice-rsa2048')
        self.wait_card()
        self.screen.enter(PIN)
        self.unlocked(locker)

    def test_a_password(self):
        """Of who may use one: somebody's card in the reader is not in the way."""
        self.again(enforcement__required='no')
        locker = self.lock(user=computer_module.LOCAL)
        with Counts() as counts:
            self.screen.enter(computer_module.PASSWORD)
            self.unlocked(locker)
        self.assertEqual((counts.verifies(), self.tries()), (0, 3))


if __name__ == '__main__':
    service_scenario.main()
