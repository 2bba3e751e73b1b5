#!/usr/bin/python3
"""test_service_login.py: card in, PIN, session: by su, sudo, login and sshd of this system, with and without a network."""
import contextlib
import os
import re
import socket
import time
import unittest

import scenario
import service_scenario
from scenario import NEW_PIN, PIN, WRONG_PIN, Counts
from service_scenario import ANY_PROMPT, PROMPT, SEEN, TERMINAL, ServiceScenario

import computer as computer_module
import rig as rig_module
from computer import LOCAL, PASSWORD
from rig import WORK
from terminal import Terminal

WRONG = WRONG_PIN
CHUNK, OBJECT_EXTRA = 256, 13  # as in test_login.py
SILENT_SECONDS = 20  # far above the deadlines of the stages together, and far below what libraries would wait alone


class FirstTest(ServiceScenario):
    """The first login of a card on this computer, online."""
    def test_su(self):
        with Counts() as counts:
            status, text = self.log_in(prompt=PROMPT)
        self.check_inside(status, text)
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
        self.assertEqual(self.kept(), ['alice'])
        self.assertTrue(os.path.isdir('/home/alice'), 'pam_mkhomedir')

    def test_sudo_asks_for_the_callers_card(self):
        session = service_scenario.COMPUTER.logind.open('alice')
        self.seat = session
        terminal = self.terminal(['sudo', '-k', 'id', '-un'], session)
        terminal.enter(PROMPT, PIN)
        status, text = self.ended(terminal)
        self.assertEqual((status, text.splitlines()[-1]), (0, 'root'), text)

    def test_login_takes_the_name_from_the_card(self):
        service_scenario.COMPUTER.pam(service_scenario.SERVICE.module, 'allow_missing_name')
        terminal = self.background(['login'])
        terminal.enter(PROMPT, PIN)
        terminal.expect(rb'\$ ')
        terminal.type(f'{SEEN}; exit\n')
        self.check_inside(*self.ended(terminal))

    def test_login_by_name(self):
        terminal = self.background(['login', 'alice'])
        terminal.enter(PROMPT, PIN)
        terminal.expect(rb'\$ ')
        terminal.type(f'{SEEN}; exit\n')
        self.check_inside(*self.ended(terminal))

    def test_two_logins_one_after_the_other(self):
        for _ in range(2):
            with Counts() as counts:
                self.check_inside(*self.log_in(prompt=PROMPT))
            self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))

    def test_each_kind_of_key(self):
        for name in ('alice-p256', 'alice-p384'):
            with self.subTest(name):
                self.exchange(name)
                self.check_inside(*self.log_in(prompt=PROMPT))

    def test_user_is_not_whom_the_card_belongs_to(self):
        with Counts() as counts:
            terminal = self.su('bob')
            terminal.expect(rb'(?i)alice|not_this_user|another')
            terminal.kill()
        self.assertEqual((counts.verifies(), self.tickets()), (0, []))


class SshTest(ServiceScenario):
    def setUp(self):
        super().setUp()
        service_scenario.COMPUTER.start_sshd()
        self.addCleanup(scenario.RIG.stop, 'sshd')

    def ssh(self, user, script, method='keyboard-interactive'):
        terminal = Terminal(service_scenario.COMPUTER.ssh_command(user, script, method=method), TERMINAL)
        self.addCleanup(terminal.kill)
        return terminal

    def test_from_elsewhere_the_reader_is_not_there(self):
        with Counts() as counts:
            status, text = self.ended(self.ssh('alice', SEEN))
        self.assertNotEqual(status, 0)
        self.assertEqual((counts.verifies(), 'ccache=' in text), (0, False), text)

    def test_where_the_configuration_lets_them(self):
        self.again(service__remote='yes')
        terminal = self.ssh('alice', SEEN)
        terminal.enter(PROMPT, PIN)
        self.check_inside(*self.ended(terminal))

    def test_a_public_key_skips_the_card_and_not_the_account(self):
        def by_key():
            return self.ended(self.ssh('alice', 'id -un', method='publickey'))
        status, text = by_key()
        self.assertNotEqual(status, 0, 'a card is required, and a key is none')
        self.again(enforcement__required='no')
        self.check_inside(*self.log_in())
        status, text = by_key()
        self.assertEqual((status, text.splitlines()[-1:]), (0, ['alice']), text + scenario.RIG.tail('sshd') + service_scenario.SERVICE.log[-2000:])
        self.change_directory(scenario.people.person_dn('alice'), ('nsAccountLock', ['TRUE']))
        for phase in ('asked', 'asked again', 'silent'):  # with the first answer what was kept goes
            if phase == 'silent':
                scenario.RIG.stop('slapd')
                self.addCleanup(scenario.RIG.start, 'slapd')
            status, text = by_key()
            self.assertNotEqual(status, 0, text)
            self.assertNotIn('\nalice\n', f'\n{text}')
            self.assertEqual(self.kept(), [])
        scenario.RIG.start('slapd')
        self.change_directory(scenario.people.person_dn('alice'), ('nsAccountLock', []))
        self.assertEqual(by_key()[0], 0)


class SkipOnceTest(ServiceScenario):
    """Root lets in once without a card who must use one: by login and su with a password, where a card is required."""
    changes = {'service__wait': 500}

    def setUp(self):
        super().setUp()
        self.take_out()

    def by_password(self, user=LOCAL, password=PASSWORD):
        """login at the console; where no password is asked for, it ends without."""
        terminal = self.background(['login', user])
        self.addCleanup(terminal.kill)
        while True:
            terminal.expect(rb'(?i)password: ?$|\$ $|login: ?$|\([a-z_]+\)')
            if terminal.text.rstrip().lower().endswith(b'password:'):
                terminal.type(f'{password}\n')
            elif terminal.text.endswith(b'$ '):
                terminal.type('echo "inside as $(id -un)"; exit\n')
                return self.ended(terminal, password)[1]
            else:
                terminal.kill()
                return terminal.text.decode(errors='replace')

    def check_in(self, text, user=LOCAL):
        self.assertIn(f'inside as {user}', text)

    def check_out(self, text):
        self.assertNotIn('inside as', text)
        self.assertRegex(text, r'\((no_card|card_required)\)')

    def test_login(self):
        self.check_out(self.by_password())
        self.assertRegex(self.cardmap('enforcement', 'skip-once', LOCAL).out, rf'^skip once +{LOCAL} may log in once without a card, until ')
        # what uses it up is none of these
        self.assertNotIn('inside as', self.by_password(password=WRONG))
        self.check_out(self.by_password('bob'))
        terminal = self.terminal(['su', 'root', '-c', 'echo "inside as $(id -un)"'])
        terminal.enter(rb'(?i)password: ?$', PASSWORD)
        self.check_in(self.ended(terminal, PASSWORD)[1], 'root')
        self.put_in()
        self.wait_card()
        self.check_inside(*self.log_in())
        self.take_out()
        service_scenario.SERVICE.stop()
        service_scenario.SERVICE.start()
        self.check_in(self.by_password())
        self.check_out(self.by_password())
        log = service_scenario.SERVICE.log
        self.assertRegex(log, rf'skip-once ok: {LOCAL} may log in once without a card')
        self.assertRegex(log, rf'skip-once-used ok: {LOCAL} entered without a card')

    def test_made_while_no_service_runs(self):
        service_scenario.SERVICE.stop()
        made = self.cardmap('enforcement', 'skip-once', LOCAL, '--config', service_scenario.service_module.CONF, '--json').json
        self.assertEqual((made['user'], sorted(made.keys() & {'made', 'expires'})), (LOCAL, ['expires', 'made']))
        service_scenario.SERVICE.start()
        terminal = self.terminal(['su', LOCAL, '-c', 'echo "inside as $(id -un)"'])
        terminal.enter(rb'(?i)password: ?$', PASSWORD)
        self.check_in(self.ended(terminal, PASSWORD)[1])
        self.check_out(self.by_password())

    def test_who_may_say_so(self):
        self.cardmap('enforcement', 'skip-once', status=64)
        self.cardmap('enforcement', 'skip-once', '', status=64)
        self.cardmap('enforcement', 'skip-twice', LOCAL, status=64)
        terminal = self.terminal([f'{service_scenario.service_module.HOME}/bin/cardmap', 'enforcement', 'skip-once', LOCAL], user=LOCAL)
        status, text = self.ended(terminal)
        self.assertEqual(status, 3, text)
        self.assertIn('not_root', text)
        self.check_out(self.by_password())


PORTS = {'kdc': rig_module.KDC_PORT, 'ocsp': rig_module.OCSP_PORT, 'http': rig_module.HTTP_PORT}
PROBED_AFTER = 5    # seconds (trust/source_state.c)
# Who is silent, and who of them is met by the first login: that responders and lists are silent the store still knows at the last one.
MET = {('slapd',): ('slapd',), ('kdc',): ('kdc',), ('ocsp', 'http'): ('ocsp',), scenario.SERVERS: ('slapd', 'kdc')}


class Silent:
    """In the places of servers: takes what is sent, never answers, and counts it."""
    def __init__(self, *ports):
        self.listeners, self.connections, self.datagrams = [], [], []
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                one = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(('127.0.0.1', port))
                if kind == socket.SOCK_STREAM:
                    one.listen(128)
                self.listeners.append(one)

    @staticmethod
    def all_of(take):
        while True:
            try:
                yield take()
            except BlockingIOError:
                return

    def look(self):
        """All that came until now: on loopback it is here once who sent it has ended."""
        for one in self.listeners:
            if one.type & socket.SOCK_DGRAM:
                self.datagrams += self.all_of(lambda one=one: one.recv(65536))
            else:
                self.connections += [made for made, _ in self.all_of(one.accept)]
        return self

    def made_to(self, port):
        return sum(made.getsockname()[1] == port for made in self.connections)

    def close(self):
        for one in self.listeners + self.connections:
            one.close()


class OfflineTest(ServiceScenario):
    silence = True

    def setUp(self):
        super().setUp()
        self.check_inside(*self.log_in())
        self.drop_tickets()

    def check(self, offline=True, ticket=False):
        """The card is put in with the servers as they are now."""
        self.take_out()
        started = time.monotonic()
        with Counts() as counts:
            self.put_in()
            self.wait_card()
            status, text = self.log_in(prompt=rb'PIN for Alice Example[^\r\n]*: ?$')
        self.check_inside(status, text, ticket=ticket)
        self.assertEqual('offline' in text.lower(), offline, text)
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
        self.assertLess(time.monotonic() - started, SILENT_SECONDS)
        self.drop_tickets()
        self.wait_card()

    def asked(self, silent):
        """What was sent for alice: of the directory by the resolver's own count, without the probes that look whether it is back."""
        silent.look()
        found = self.status()
        return {'slapd': (found['directory_connections'], found['directory_searches']), 'kdc': sum(b'alice' in one for one in silent.datagrams),
                'ocsp': silent.made_to(rig_module.OCSP_PORT), 'http': silent.made_to(rig_module.HTTP_PORT)}

    @contextlib.contextmanager
    def servers_silent(self, names):
        """The directory frozen with the connections it has, and in the others' places somebody who says nothing."""
        others = [name for name in names if name != 'slapd']
        if 'slapd' in names:
            scenario.RIG.freeze('slapd')
        scenario.RIG.stop(*others)
        silent = Silent(*(PORTS[name] for name in others))
        try:
            yield silent
        finally:
            silent.close()
            scenario.RIG.thaw(*filter(scenario.RIG.is_running, names)).start(*names)

    def spared(self, names, silent):
        began, before = time.monotonic(), self.asked(silent)
        self.check('slapd' in names, 'kdc' not in names)
        first = self.asked(silent)
        for name in MET[names]:
            self.assertNotEqual(first[name], before[name], f'{name} was not met')
        self.check('slapd' in names, 'kdc' not in names)
        second = self.asked(silent)
        for name in names:
            if name == 'ocsp':
                # A responder is probed by a login that comes late enough, which does not wait for it.
                self.assertLessEqual(second[name] - first[name], time.monotonic() - began > PROBED_AFTER, name)
            else:
                self.assertEqual(second[name], first[name], name)

    def test_each_silent_alone_and_all_together(self):
        """The first login meets who is silent, within the deadline, and the next is spared that: nobody is sent anything for it."""
        for names in MET:
            with self.subTest(' '.join(names)):
                self.again(trust__ask_always='yes')  # else what is kept of the card's revocation is answer enough, and nobody is asked
                with self.servers_silent(names) as silent:
                    self.spared(names, silent)

    def test_servers_gone(self):
        scenario.RIG.stop(*scenario.SERVERS)
        self.check()

    def test_servers_that_freeze_while_the_pin_is_typed(self):
        terminal = self.su()
        terminal.expect(ANY_PROMPT)
        scenario.RIG.freeze(*scenario.SERVERS)
        try:
            started = time.monotonic()
            terminal.type(f'{PIN}\n')
            status, text = self.ended(terminal)
        finally:
            scenario.RIG.thaw(*scenario.SERVERS)
        self.check_inside(status, text, ticket=False)
        self.assertLess(time.monotonic() - started, SILENT_SECONDS)

    def test_after_a_restart_with_the_servers_gone(self):
        service_scenario.SERVICE.stop()
        scenario.RIG.stop(*scenario.SERVERS)
        self.start()
        self.check()

    def test_a_card_that_was_never_here_stays_outside(self):
        scenario.RIG.stop(*scenario.SERVERS)
        self.exchange('bob')
        terminal = self.su('bob')
        terminal.expect(rb'not_kept|directory_offline')
        terminal.kill()
        self.assertEqual(self.tickets(), [])


class PinTest(ServiceScenario):
    def test_tries_are_shown_and_the_right_pin_opens(self):
        terminal = self.su()
        terminal.enter(PROMPT, WRONG)
        terminal.enter(rb'(?s)2 tries left.*: ?$', PIN)
        self.check_inside(*self.ended(terminal))
        self.assertEqual(self.tries(), 3, 'the right PIN sets them back')

    def two_wrong(self):
        with Counts() as counts:
            terminal = self.su()
            terminal.enter(PROMPT, WRONG)
            terminal.enter(rb'(?s)2 tries left.*: ?$', NEW_PIN)
            status, text = self.ended(terminal, WRONG)
        self.assertNotEqual(status, 0)
        self.assertEqual((counts.verifies(), self.tries()), (2, 1))
        return text

    def test_two_wrong_pins_then_nothing_until_it_was_out(self):
        self.assertIn('pin_held', self.two_wrong())
        with Counts() as counts:
            self.refused('pin_held', prompt=None, user='alice')
            self.refused('pin_held', prompt=None, user='alice')
        self.assertEqual((counts.verifies(), self.tries()), (0, 1))
        service_scenario.SERVICE.kill(service_scenario.service_module.CARD)
        with Counts() as counts:
            terminal = self.su()
            terminal.expect(rb'pin_held|helper')
            terminal.kill()
        self.assertEqual(counts.verifies(), 0, 'and no death of a helper lets go of it')

    def test_the_last_try_is_not_spent_without_saying_so(self):
        self.two_wrong()
        self.take_out()
        self.put_in()
        self.wait_card()
        with Counts() as counts:
            terminal = self.su()
            terminal.expect(rb"(?i)the card's last try: a wrong PIN blocks it")
            terminal.type('n\n')
            status, text = self.ended(terminal)
            self.assertNotEqual(status, 0, text)
        self.assertEqual((counts.verifies(), self.tries()), (0, 1))

    def test_one_wrong_pin_each_of_two_programs_counts_together(self):
        for _ in range(2):
            terminal = self.su()
            terminal.enter(ANY_PROMPT, WRONG)
            terminal.expect(rb'1 try left|2 tries left|pin_held')
            terminal.kill()
        with Counts() as counts:
            self.refused('pin_held', prompt=None)
        self.assertEqual((counts.verifies(), self.tries()), (0, 1))

    def test_a_pin_that_is_none_costs_no_try(self):
        with Counts() as counts:
            terminal = self.su()
            terminal.enter(PROMPT, 'abc')
            terminal.expect(rb'pin_form|6 to 8 digits')
            terminal.kill()
        self.assertEqual((counts.verifies(), self.tries()), (0, 3))

    def test_a_blocked_card_asks_for_no_pin(self):
        self.control('tries 0')
        self.take_out()
        self.put_in()
        self.wait_card()
        with Counts() as counts:
            self.refused('pin_blocked', prompt=None)
        self.assertEqual(counts.verifies(), 0)


class CardTest(ServiceScenario):
    """Cards that come, go and change while somebody is asked."""
    changes = {'service__wait': 3000}

    def test_put_in_after_the_prompt(self):
        self.take_out()
        terminal = self.su()
        terminal.expect(rb'(?i)(insert|put)[^\r\n]*card')
        self.put_in()
        terminal.enter(PROMPT, PIN)
        self.check_inside(*self.ended(terminal))

    def test_none_is_put_in(self):
        self.take_out()
        with Counts() as counts:
            terminal = self.su()
            terminal.expect(rb'(?i)(insert|put)[^\r\n]*card')
            status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertIn('no_card', text)
        self.assertEqual(counts.commands(), 0)

    def test_taken_out_while_the_pin_is_asked(self):
        terminal = self.su()
        terminal.expect(PROMPT)
        with Counts() as counts:
            self.take_out()
            terminal.type(f'{PIN}\n')
            status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text, 'card_removed|no_card')
        self.assertEqual((counts.verifies(), self.tickets()), (0, []))

    def test_swapped_while_the_pin_is_asked(self):
        """The other card never gets the PIN: its own counter says so, whatever ours say."""
        terminal = self.su()
        terminal.expect(PROMPT)
        with Counts() as counts:
            self.exchange('bob')
            terminal.type(f'{PIN}\n')
            status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertEqual((counts.verifies(), self.tries(), self.tickets()), (0, 3, []))

    def test_swapped_for_the_same_persons_other_card(self):
        """It starts over: the PIN typed for the first card goes to none, and is asked for again."""
        terminal = self.su()
        terminal.expect(PROMPT)
        with Counts() as counts:
            self.exchange('alice-p256')
            terminal.type(f'{PIN}\n')
            terminal.enter(PROMPT, PIN)
            self.check_inside(*self.ended(terminal))
        self.assertEqual(counts.verifies(), 1)

    def test_out_and_in_again_while_the_pin_is_asked(self):
        terminal = self.su()
        terminal.expect(PROMPT)
        with Counts() as counts:
            self.take_out()
            self.put_in()
            terminal.type(f'{PIN}\n')
            terminal.enter(PROMPT, PIN)
            self.check_inside(*self.ended(terminal))
        self.assertEqual(counts.verifies(), 1)

    def test_reset_by_another_program_while_the_pin_is_asked(self):
        """What was read is no longer sure to be this card's: it starts over, and the PIN is asked for again."""
        terminal = self.su()
        terminal.expect(PROMPT)
        other = scenario.OtherClient()
        other.transmit(other.SELECT)
        other.close(other.RESET)
        with Counts() as counts:
            terminal.type(f'{PIN}\n')
            terminal.enter(PROMPT, PIN)
            self.check_inside(*self.ended(terminal))
        self.assertEqual(counts.verifies(), 1, 'the PIN typed for what was read before went to no card')

    def test_a_card_unlocked_by_another_program_still_asks(self):
        other = scenario.OtherClient()
        other.transmit(other.SELECT)
        self.assertEqual(other.verify(PIN), '9000')
        other.close(other.LEAVE)
        terminal = self.su()
        terminal.enter(PROMPT, WRONG)
        terminal.expect(rb'2 tries left')
        terminal.kill()
        self.assertEqual(self.tickets(), [])


class WhoseTest(ServiceScenario):
    changes = {'service__wait': 1500}

    def test_somebody_elses_card(self):
        self.exchange('bob')
        with Counts() as counts:
            status, text = self.ended(self.su('alice'))
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text, 'not_this_user|no_card')
        self.assertEqual(counts.verifies(), 0)

    def test_nobodys_card(self):
        self.exchange('carol')
        status, text = self.ended(self.su('alice'))
        self.assertNotEqual(status, 0, text)
        self.assertIn('no_account', text)

    def test_one_card_of_two_accounts_and_the_name_says_which(self):
        self.again(mapper__several_accounts='hint')
        self.exchange('dave')
        for user in ('dave-admin', 'dave'):
            with self.subTest(user):
                terminal = self.su(user, 'id -un')
                terminal.enter(ANY_PROMPT, PIN)
                status, text = self.ended(terminal)
                # Only the KDC can say whose dave's card is, and it knows no principal of dave-admin's.
                if user == 'dave':
                    self.assertEqual((status, text.splitlines()[-1]), (0, 'dave'), text)
                else:
                    self.assertNotEqual(status, 0, text)

    def test_one_card_of_two_accounts_and_no_name_is_a_choice(self):
        self.again(mapper__several_accounts='hint')
        self.exchange('dave')
        service_scenario.COMPUTER.pam(service_scenario.SERVICE.module, 'allow_missing_name')
        terminal = self.background(['login'])
        terminal.expect(rb'(?s)dave.*dave-admin|dave-admin.*dave')
        terminal.kill()
        self.assertEqual(self.tickets(), [])

    def test_root_is_asked_for_no_card(self):
        with Counts() as counts:
            terminal = self.su('root', 'id -un')
            terminal.enter(rb'Password: ', PASSWORD)
            status, text = terminal.end()
        self.assertEqual((status, text.splitlines()[-1]), (0, 'root'), text)
        self.assertEqual((counts.verifies(), 'PIN' in text), (0, False), text)

    def test_a_card_that_maps_to_root_opens_nothing(self):
        self.exchange('root-mapped')
        service_scenario.COMPUTER.pam(service_scenario.SERVICE.module, 'allow_missing_name')
        terminal = self.background(['login'])
        terminal.expect(rb'account_forbidden')
        terminal.kill()
        self.assertEqual(self.tickets(), [])

    def test_who_has_no_card_may_use_a_password_where_policy_says_so(self):
        self.again(enforcement__required='no')
        self.take_out()
        session = service_scenario.COMPUTER.logind.open('alice')
        terminal = self.su(LOCAL, 'id -un', session=session)
        terminal.enter(rb'Password: ', PASSWORD)
        status, text = terminal.end()
        self.assertEqual((status, text.splitlines()[-1]), (0, LOCAL), text)

    def test_and_not_where_a_card_is_required(self):
        self.take_out()
        session = service_scenario.COMPUTER.logind.open('alice')
        status, text = self.ended(self.su(LOCAL, 'id -un', session=session))
        self.assertNotEqual(status, 0, text)
        self.assertNotIn('Password:', text)

    def test_no_service_is_no_password(self):
        """An error is never PAM_IGNORE: enforcement is not weakened by ending the service."""
        service_scenario.SERVICE.stop()
        status, text = self.ended(self.su(LOCAL, 'id -un', session=service_scenario.COMPUTER.logind.open('alice')))
        self.assertNotEqual(status, 0, text)


class CostTest(ServiceScenario):
    """Card commands as the card counted them, 9D aside (features.md 5)."""

    def count(self, name, conf=''):
        self.take_out()
        with Counts() as counts:
            self.put_in(name, conf=conf)
            self.wait_card()
            self.check_inside(*self.log_in())
        sent = [line.split()[1][2:4].lower() for line in counts.apdus]
        end = len(sent) - sent[::-1].index('87')
        while sent[end:end + 1] == ['c0']:
            end += 1
        del counts.apdus[end:]  # what is read afterwards is the next login's
        return counts

    def test_of_a_first_login(self):
        for name in ('alice-rsa2048', 'alice-p256'):
            size = (scenario.RIG.pki / f'{name}.der').stat().st_size + OBJECT_EXTRA
            with self.subTest(name):
                counts = self.count(name)
                self.assertLessEqual(counts.commands(), 8 + -(-size // CHUNK), counts.apdus)
                self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))

    def test_of_a_known_card(self):
        for name, most in (('alice-rsa2048', 7), ('alice-p256', 5)):
            with self.subTest(name):
                self.count(name)
                counts = self.count(name)
                self.assertLessEqual(counts.commands(), most, counts.apdus)
                self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))

    def test_a_reissued_card_with_the_old_guid_reads_its_certificate_and_asks_no_second_pin(self):
        guid = 'guid=00112233445566778899aabbccddeeff\n'
        self.count('alice-rsa2048', guid)
        self.assertEqual(self.count('alice-p256', guid).verifies(), 1)

    def test_one_connection_to_the_directory_over_many_logins(self):
        self.check_inside(*self.log_in())
        before, asked = connections_of_slapd(), len(requests_to_kdc())
        with Counts() as counts:
            for _ in range(20):
                self.check_inside(*self.log_in())
        # A second one where the card is prepared anew while the account phase asks; it stays, as the first.
        made = counts.directory(' ACCEPT ')
        self.assertLessEqual(made, 1, '\n'.join(counts.slapd))
        self.assertEqual(connections_of_slapd() - before, made + 1, 'and this question itself')
        # RFC 4120 3.1.1: the first is answered by what preauthentication is wanted; then the ticket for this host.
        asked = requests_to_kdc()[asked:]
        self.assertEqual({kind: asked.count(kind) for kind in set(asked)},
                         {('AS_REQ', 'NEEDED_PREAUTH'): 20, ('AS_REQ', 'ISSUE'): 20, ('TGS_REQ', 'ISSUE'): 20})


def connections_of_slapd():
    """As it counts them itself (slapd-monitor(5))."""
    found = scenario.ldap_admin('ldapsearch', '-LLL', '-b', 'cn=Total,cn=Connections,cn=Monitor', '-s', 'base', 'monitorCounter')
    return int(re.search(r'(?m)^monitorCounter: (\d+)', found)[1])


def requests_to_kdc():
    """[(kind, what became of it)], as its log has them."""
    return re.findall(r'(AS_REQ|TGS_REQ) .*? 127\.0\.0\.1: (\w+): ', scenario.RIG.log('kdc').read_text(errors='replace'))


class ObservableTest(ServiceScenario):
    def test_one_line_for_each_login(self):
        before = len(service_scenario.SERVICE.log)
        self.check_inside(*self.log_in())
        lines = [line for line in service_scenario.SERVICE.log[before:].splitlines() if re.search(r'login ok', line)]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn('alice', lines[0])

    def test_fields_in_the_journal(self):
        service_scenario.COMPUTER.journal.entries.clear()
        self.again(service__log='syslog')
        self.check_inside(*self.log_in())
        journal = service_scenario.COMPUTER.journal
        scenario.wait_until(lambda: journal.find(CARDMAP_USER='alice'), 'the decision in the journal')
        entry = journal.find(CARDMAP_USER='alice')[0]
        self.assertTrue(entry.get('CARDMAP_SERIAL'), entry)
        self.assertRegex(entry.get('CARDMAP_TTY', ''), r'\Apts/\d+\Z|\A/dev/pts/\d+\Z')
        terminal = self.su()
        terminal.enter(PROMPT, WRONG)
        scenario.wait_until(lambda: journal.find(CARDMAP_REASON='pin_wrong'), 'the refusal in the journal')
        terminal.kill()

    def test_status_tells_of_helpers_connections_cards_and_logins(self):
        self.check_inside(*self.log_in())
        self.wait_card()
        found = self.status()
        self.assertEqual({process['kind'] for process in found['processes']}, {'cardmapd', 'resolver', 'watcher', 'card'})
        self.assertEqual((found['silent'], found['keytab']), ([], True))
        self.assertEqual([card['reader'] for card in found['cards'] if card['present']], [service_scenario.READER])
        self.assertEqual([entry['user'] for entry in found['last'] if entry['event'] == 'login' and entry['result'] == 'ok'], ['alice'])


class PasswordTest(ServiceScenario):
    """pam_sm_chauthtok: passwd(1) changes the card's PIN."""
    NEW = '918273'

    def test_passwd_changes_the_pin(self):
        (computer_module.ETC / 'pam.d/passwd').write_text('@include common-password\n', encoding='ascii')
        session = service_scenario.COMPUTER.logind.open('alice')
        terminal = self.terminal(['passwd'], session)
        terminal.enter(rb'(?i)PIN[^\r\n]*: ?$', PIN)
        terminal.enter(rb'(?i)new PIN[^\r\n]*: ?$', self.NEW)
        terminal.enter(rb'(?i)new PIN[^\r\n]*: ?$', self.NEW)
        status, text = self.ended(terminal)
        self.assertEqual(status, 0, text)
        self.wait_card()
        self.check_inside(*self.log_in(self.NEW))


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    assert WORK
    service_scenario.main()
