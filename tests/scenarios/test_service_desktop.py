#!/usr/bin/python3
"""test_service_desktop.py: screen lockers and login managers of desktops, each by the PAM service that its package brings."""
import os
import stat
from pathlib import Path

import scenario
import service_scenario
from scenario import ALICE_UID, PIN, WRONG_PIN, Counts, wait_until
from service_scenario import ServiceScenario

import computer as computer_module
import desktop
import gdm

BUS = Path('/run/dbus/system_bus_socket')
AUTHPROTO = '/usr/libexec/xsecurelock/authproto_pam'
FILES = None  # of gdm's package


def seen_by(test, start):
    """What a program sees that start(path) runs in a session of alice's: in her home."""
    path, program = Path('/home/alice/seen'), test.folder / 'program'
    program.write_text(f'#!/bin/sh\n{{ pwd; {service_scenario.SEEN}; }} >seen.new 2>&1\nmv seen.new seen\n', encoding='ascii')
    program.chmod(0o755)
    start(program)
    wait_until(path.exists, "the session's program")
    text = path.read_text(encoding='utf-8')
    path.unlink()
    return text


class DesktopScenario(ServiceScenario):
    """Who answers has time to: a computer that does much else is not offline."""
    changes = {'directory__timeout': 10000, 'trust__timeout': 10000, 'kerberos__timeout': 10000}


class LockerScenario(DesktopScenario):
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

    def setUp(self):
        super().setUp()
        self.before = len(service_scenario.SERVICE.log)  # of other tests

    def was_refused(self, reason):
        wait_until(lambda: f' reason={reason}' in service_scenario.SERVICE.log[self.before:], f'the end of a login: {reason}')

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


class XsecurelockTest(LockerScenario):
    """xsecurelock(1) asks PAM at the first key, shows what it says, and asks for the account too. It calls its user's host "localhost"."""

    def lock(self, **options):
        """Between PAM and the screen it has a program, before which this one stands: what is shown stands in a file."""
        program, self.shown = self.folder / 'authproto_shown', self.folder / 'shown'
        self.shown.touch()
        self.shown.chmod(0o666)
        program.write_text(f'#!/bin/bash\nset -o pipefail\n{AUTHPROTO} | tee -a {self.shown}\n', encoding='ascii')
        program.chmod(0o755)
        return super().lock('xsecurelock', XSECURELOCK_AUTHPROTO=program, **options)

    def wait_shown(self, text, count=1):
        wait_until(lambda: self.shown.read_text(encoding='utf-8').count(text) == count, text)

    def test_taken_out_while_asked(self):
        prompt = 'PIN for Alice Example, 3 tries left: '
        locker = self.lock()
        self.screen.key('space')
        self.wait_shown(prompt)
        self.take_out()
        with Counts() as counts:
            self.screen.enter(PIN)
            self.wait_shown('Insert your card')
        self.assertEqual(counts.verifies(), 0)
        self.put_in()
        self.wait_shown(prompt, 2)
        self.screen.enter(WRONG_PIN)
        self.wait_shown('the PIN is wrong: 2 tries left (pin_wrong)')
        self.wait_shown(prompt.replace('3', '2'))
        self.assertTrue(locker.is_locked())
        self.screen.enter(PIN)
        self.unlocked(locker)
        self.assertEqual(self.tickets(), [f'krb5cc_{ALICE_UID}'])


class GreetdTest(DesktopScenario):
    """greetd(1), a login manager of root's, which shows at its greeter what PAM says and opens the session."""

    def setUp(self):
        super().setUp()
        self.greetd = desktop.Greetd(scenario.RIG)
        self.addCleanup(self.greetd.close)

    def test_sessions(self):
        """Its greeter has begun, although cards are required and its own user has none."""
        prompt = 'secret PIN for Alice Example, 3 tries left: '
        self.assertEqual(self.greetd.log_in('bob'), ([
            'error Card refused: the card in Virtual PCD 00 00 opens alice, not bob (not_this_user)',
            'error What to do: log in as the account named here, or use the card of the one you want'], 'error'))
        with Counts() as counts:
            self.assertEqual(self.greetd.log_in('alice', WRONG_PIN, PIN), ([
                prompt, 'error the PIN is wrong: 2 tries left (pin_wrong)', prompt.replace('3', '2')], 'success'))
            text = seen_by(self, self.greetd.start)
        self.check_inside(0, text)
        self.assertTrue(text.startswith('/home/alice\n'), text)
        home = os.stat('/home/alice')
        self.assertEqual((home.st_uid, stat.S_IMODE(home.st_mode)), (ALICE_UID, 0o700))
        self.assertEqual((counts.verifies(), counts.signatures()), (2, 1))
        # The card gives the name, at the greeter that comes after that session.
        self.drop_tickets()
        self.assertEqual(self.greetd.log_in('', PIN), ([prompt], 'success'))
        self.check_inside(0, seen_by(self, self.greetd.start))


class GdmTest(DesktopScenario):
    """gdm's worker, with the stacks of its package and the one of doc/examples: what it asks, shows, and opens."""
    PROMPT = 'SecretInfoQuery PIN for Alice Example, 3 tries left: '

    @classmethod
    def setUpClass(cls):
        """It keeps what a user's last session was with accountsservice, on the system's bus; without that it crashes now and then."""
        super().setUpClass()
        gdm.own_share(FILES)
        BUS.parent.mkdir(exist_ok=True)
        scenario.RIG.launch('dbus', ['dbus-daemon', '--system', '--nofork', '--nopidfile'], BUS.exists)
        cls.addClassCleanup(scenario.RIG.stop, 'dbus')
        gdm.start_accounts(scenario.RIG)
        cls.addClassCleanup(scenario.RIG.stop, 'accounts')

    def setUp(self):
        super().setUp()
        for path in (FILES / 'etc/pam.d').iterdir():
            self.stack(path.name, path)
        self.stack('gdm-smartcard', Path(__file__).resolve().parents[2] / 'doc/examples/gdm-smartcard-cardmap')

    @staticmethod
    def stack(name, path):
        """Without what takes a right that root of a container may not have, and the keyring's daemon, which outlives a session."""
        lines = [line for line in path.read_text(encoding='utf-8').splitlines()
                 if 'pam_loginuid' not in line and 'pam_gnome_keyring' not in line]
        text = '\n'.join(lines).replace('pam_cardmap.so', str(service_scenario.SERVICE.module))
        (computer_module.ETC / 'pam.d' / name).write_text(text + '\n', encoding='utf-8')

    def worker(self, service, *answers, **options):
        worker = gdm.Worker(FILES, service, answers, **options)
        self.addCleanup(worker.close)
        return worker

    def refused(self, worker, call='Authenticate', error='Authenticating'):
        with self.assertRaisesRegex(RuntimeError, rf'\.{error}$'):
            worker.call(call)

    def test_a_session(self):
        """No name was given: the card has it. Nor is anybody asked for one."""
        with Counts() as counts:
            worker = self.worker('gdm-smartcard', WRONG_PIN, PIN)
            worker.call('Authenticate')
            self.assertEqual(worker.shown, [self.PROMPT, 'Problem the PIN is wrong: 2 tries left (pin_wrong)', self.PROMPT.replace('3', '2')])
            for call in ('Authorize', 'EstablishCredentials', 'Open'):
                worker.call(call)
            text = seen_by(self, worker.start)
        self.check_inside(0, text)
        self.assertTrue(text.startswith('/home/alice\n'), text)
        self.assertEqual((counts.verifies(), counts.signatures()), (2, 1))

    def test_others(self):
        worker = self.worker('gdm-smartcard', username='bob')
        self.refused(worker)
        self.assertEqual([line.rpartition(' ')[2] for line in worker.shown[:1]], ['(not_this_user)'])
        # gdm-password asks for the card of who is named; and waits for one.
        self.take_out()
        worker = self.worker('gdm-password', PIN, username='alice', doing={'Insert your card': self.put_in})
        worker.call('Authenticate')
        self.assertEqual(worker.shown, ['Info Insert your card', self.PROMPT])
        worker.call('Authorize')
        # Its login screen is shown, to whom no card belongs; a user who needs a card has none in that place.
        for user, refused in (('_greetd', False), ('alice', True)):
            worker = self.worker('gdm-launch-environment', username=user)
            worker.call('Authenticate')
            if refused:
                self.refused(worker, 'Authorize', 'Authorizing')
            else:
                worker.call('Authorize')

    def test_a_password_is_no_card(self):
        """Who may use one, and gives no PIN, is not let in by the stack for cards."""
        self.again(enforcement__required='no')
        self.refused(self.worker('gdm-smartcard', '', username='alice'))


if __name__ == '__main__':
    if os.geteuid() == 0:
        FILES = gdm.fetch(os.environ['CM_BUILD'])
    service_scenario.main()
