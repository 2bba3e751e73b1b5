#!/usr/bin/python3
"""test_live.py: cardmapd itself, with sanitizers, as its clients meet it on the wire: what it does with logins, cards,
processes that die, and what it gives back of memory and descriptors."""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'scenarios'))
import scenario  # noqa: E402
import service_scenario  # noqa: E402
from scenario import NEW_PIN, PIN, SECONDS, WRONG_PIN, Counts, wait_until  # noqa: E402
from service_scenario import ServiceScenario  # noqa: E402

import rig as rig_module  # noqa: E402
import varlink  # noqa: E402
from rig import WORK  # noqa: E402
from test_service_seat import Caller  # noqa: E402
from service import CARD, CONF, HOME, RESOLVER, RUN, processes  # noqa: E402

SOCKET = RUN / 'io.cardmap'
CCACHE = 'cardmap-ccache'
ENDS = ('granted', 'refused')
BEGIN = """
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(json.dumps({'method': 'io.cardmap.Login.Begin', 'parameters': {'service': 'login', 'user': 'alice'},
                      'more': True}).encode() + b'\\0')
while b'"pin"' not in s.recv(65536):
    pass
print('pin', flush=True)
time.sleep(1000)
"""

# Another process than the one that came in by card, as sshd's for somebody with a key.
ACCOUNT = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(json.dumps({'method': 'io.cardmap.Login.Begin', 'parameters': {'user': sys.argv[2], 'purpose': 'account'},
                      'more': True}).encode() + b'\\0')
said = b''
while not said.endswith(b'\\0'):
    said += s.recv(65536) or sys.exit('no answer')
print(json.dumps(json.loads(said[:-1])['parameters']))
"""


# As an ordinary user.
ASK_AS = """
import os, socket, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b'\\0')
print(s.recv(65536).decode())
"""


class LiveScenario(ServiceScenario):
    with_faults = True  # the build under test, for cardmapd too
    changes = {'service__greeters': ['login'], 'service__wait': 10000}

    def setUp(self):
        super().setUp()
        self.said = len(service_scenario.SERVICE.log) if self.starts else 0

    def tearDown(self):
        log = service_scenario.SERVICE.log[self.said:]
        self.assertNotIn('ERROR: AddressSanitizer', log)
        self.assertNotIn('runtime error', log)

    def begin(self, user='alice', **more):
        connection = varlink.Connection(SOCKET)
        self.addCleanup(connection.__exit__)
        parameters = {'service': 'login', **({'user': user} if user else {}), **more}
        connection.call('io.cardmap.Login.Begin', parameters, more=True)
        return connection

    @staticmethod
    def until(connection, *states):
        while True:
            reply = connection.receive()['parameters']
            if reply['state'] in states or reply['state'] in ENDS:
                return reply

    @staticmethod
    def answer(asked, *pins, **more):
        fds = []
        for pin in pins:
            reading, writing = os.pipe()
            os.write(writing, pin.encode())
            os.close(writing)
            fds.append(reading)
        try:
            with varlink.Connection(SOCKET) as connection:
                return connection.ask('io.cardmap.Login.Answer', {'handle': asked['handle'], **more}, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def login(self, pin=PIN, **more):
        connection = self.begin(**more)
        asked = self.until(connection, 'pin')
        if asked['state'] != 'pin':
            return asked
        self.answer(asked, pin, last_try=asked['last_try'])
        end = self.until(connection, 'pin')
        connection.socket.close()
        return end

    def error(self, method, parameters=None):
        with self.assertRaises(varlink.VarlinkError) as problem, varlink.Connection(SOCKET) as connection:
            connection.ask(method, parameters)
        return problem.exception.name.rpartition('.')[2], problem.exception.parameters

    def pids(self, name):
        return {process.pid for process in processes() if process.name == name}

    def descriptors(self):
        return len(os.listdir(f'/proc/{service_scenario.SERVICE.pid}/fd'))


class LoginTest(LiveScenario):
    def test_granted_twice_from_one_insertion(self):
        for _ in range(2):
            end = self.login()
            self.assertEqual((end['state'], end['grant']['user'], end['grant']['uid']), ('granted', 'alice', 10001), end)

    def test_who_goes_is_missed(self):
        """The caller ends at the prompt; nothing of the login is left, the card is ready as it was, and not read again."""
        with Counts() as counts:
            for _ in range(20):
                with subprocess.Popen([sys.executable, '-c', BEGIN, SOCKET], stdout=subprocess.PIPE) as caller:
                    self.assertEqual(caller.stdout.readline(), b'pin\n')
                    caller.kill()
        self.assertEqual(counts.commands(), 0)
        self.assertEqual(self.login()['state'], 'granted')

    def test_cancelled(self):
        connection = self.begin()
        asked = self.until(connection, 'pin')
        with varlink.Connection(SOCKET) as other:
            other.ask('io.cardmap.Login.Cancel', {'handle': asked['handle']})
        self.assertEqual(self.error('io.cardmap.Login.Cancel', {'handle': '0' * 32})[0], 'NoSuchLogin')
        self.assertEqual(self.login()['state'], 'granted')

    def test_the_service_stops_while_somebody_is_asked(self):
        connection = self.begin()
        self.until(connection, 'pin')
        service_scenario.SERVICE.stop()
        self.assertEqual(self.until(connection)['reason'], 'cancelled')

    def test_no_pin_comes(self):
        self.again(service__wait=300)
        connection = self.begin()
        self.until(connection, 'pin')
        self.assertEqual(self.until(connection)['reason'], 'cancelled')

    def test_what_is_not_asked_for(self):
        asked = self.until(self.begin(), 'pin')
        for fds, more in ((0, {'choice': 'alice'}), (2, {})):
            with self.assertRaises(varlink.VarlinkError) as problem:
                self.answer(asked, *[PIN] * fds, **more)
            self.assertTrue(problem.exception.name.endswith('.NotAsked'), problem.exception)

    def test_another_pin_for_the_old_one(self):
        connection = self.begin(purpose='chauthtok')
        self.answer(self.until(connection, 'pin'), WRONG_PIN, NEW_PIN)
        asked = self.until(connection, 'pin')
        self.assertEqual((asked['state'], asked['reason'], asked['tries']), ('pin', 'pin_wrong', 2))
        self.answer(asked, PIN, NEW_PIN)
        end = self.until(connection, 'pin')
        self.assertEqual((end['state'], end['grant']['user']), ('granted', 'alice'), end)
        self.assertEqual(self.until(self.begin(purpose='account'))['reason'], 'card_required', 'another PIN is no login')
        self.assertEqual(self.login()['reason'], 'pin_wrong')
        self.assertEqual(self.login(NEW_PIN)['state'], 'granted')

    def test_the_account_phase(self):
        """The process that came in by card may enter; another, where a card is required, may not."""
        self.assertEqual(self.until(self.begin(purpose='account'))['reason'], 'card_required')
        self.assertEqual(self.login()['state'], 'granted')
        end = self.until(self.begin(purpose='account'))
        self.assertEqual((end['state'], end['grant']['uid']), ('granted', 10001), end)
        self.assertEqual(self.account(), ('refused', 'card_required'))
        end = self.until(self.begin(user='nobody-of-ours', purpose='account'))
        self.assertEqual((end['state'], end['reason']), ('refused', 'card_required'), end)
        self.again(enforcement__required='no')
        end = self.until(self.begin(user='nobody-of-ours', purpose='account'))
        self.assertEqual((end['state'], end.get('reason'), end['may_use_password']), ('refused', None, True), end)

    def test_the_account_phase_of_whose_card_is_trusted_no_more(self):
        """A card that is good for nothing any more, as that of who left is, does not hide that the account is disabled."""
        self.login()
        self.again(enforcement__required='no', trust__anchors=[scenario.RIG.pki / 'stranger-root.crt'])
        self.assertEqual(self.until(self.begin(purpose='account'))['state'], 'granted')
        self.change_directory(scenario.people.person_dn('alice'), ('nsAccountLock', ['TRUE']))
        self.assertEqual(self.until(self.begin(purpose='account'))['reason'], 'account_disabled')

    def skip_once(self, user):
        return service_scenario.SERVICE.ask('io.cardmap.Enforcement', {'action': 'skip_once', 'user': user})['result']

    def test_skip_once(self):
        """Who must use a card enters once without: the next login that no card opened, and nothing else, uses root's mark up."""
        self.assertEqual(self.login()['state'], 'granted')
        self.assertEqual(self.account(), ('refused', 'card_required'))
        result = self.skip_once('alice')
        self.assertEqual(sorted(result), ['expires', 'made'])
        # the auth phase is told so, however often, and of her alone; her card goes on to open the account
        for user, may in (('alice', True), ('alice', True), ('bob', False), ('nobody-of-ours', False)):
            connection = self.begin(user=user)
            asked = self.until(connection, 'pin')
            self.assertEqual(asked.get('may_use_password', False), may, asked)
            connection.socket.close()
        self.assertEqual(self.login()['state'], 'granted')
        self.assertEqual(self.until(self.begin(purpose='account'))['state'], 'granted')
        for user in ('bob', 'nobody-of-ours'):
            self.assertEqual(self.account(user), ('refused', 'card_required'))
        self.assertEqual(self.account('root'), ('refused', None))
        # over a restart; whose account is disabled does not enter by it either
        service_scenario.SERVICE.stop()
        service_scenario.SERVICE.start()
        dn = scenario.people.person_dn('alice')
        self.change_directory(dn, ('nsAccountLock', ['TRUE']))
        self.assertEqual(self.account(), ('refused', 'account_disabled'))
        self.change_directory(dn, ('nsAccountLock', []))
        self.assertEqual(self.account(), ('refused', None), 'nothing is kept of her any more, and she may enter')
        self.assertEqual(self.account(), ('refused', 'card_required'))
        self.assertFalse(self.until(self.begin(), 'pin').get('may_use_password', False))
        log = service_scenario.SERVICE.log[self.said:]
        self.assertEqual((log.count('skip-once ok'), log.count('skip-once-used ok')), (1, 1), log[-2000:])

    def test_skip_once_is_roots_to_say(self):
        name, parameters = self.error('io.cardmap.Enforcement', {'action': 'skip_once'})
        self.assertEqual((name, parameters), ('InvalidParameter', {'parameter': 'user'}))
        self.assertEqual(self.error('io.cardmap.Enforcement', {'action': 'skip_twice', 'user': 'alice'})[0], 'InvalidParameter')
        self.assertEqual(self.error('io.cardmap.Enforcement', {'user': 'alice'})[0], 'InvalidParameter')
        ask = [sys.executable, '-c', ASK_AS, SOCKET, json.dumps(
            {'method': 'io.cardmap.Enforcement', 'parameters': {'action': 'skip_once', 'user': 'alice'}})]
        self.assertIn('PermissionDenied', scenario.said(ask))
        self.assertEqual(self.account(), ('refused', 'card_required'))

    def test_a_mark_that_cannot_be_removed_lets_nobody_in(self):
        self.skip_once('alice')
        with sqlite3.connect(service_scenario.SERVICE.store) as store:
            store.execute('BEGIN IMMEDIATE')  # another writer, for as long as it takes
            self.assertEqual(self.account(), ('refused', 'store'))
        self.assertEqual(self.account(), ('refused', None))
        self.assertEqual(self.account(), ('refused', 'card_required'))

    def test_root_is_nobodys_card(self):
        """Whoever asks, and without any look at a card: pam_cardmap alone would not have to be believed."""
        self.take_out()
        self.assertEqual(self.login(user='root')['reason'], 'account_forbidden')

    def searches(self):
        return self.status()['directory_searches']

    def connections(self):
        return self.status()['connections']

    @staticmethod
    def elsewhere(user='alice'):
        return subprocess.Popen([sys.executable, '-c', ACCOUNT, SOCKET, user], stdout=subprocess.PIPE, text=True)

    def account(self, user='alice'):
        with self.elsewhere(user) as process:
            reply = json.loads(process.stdout.read())
        return reply['state'], reply.get('reason')

    def test_who_waits_at_a_prompt_keeps_nobody_out(self):
        """Whether he may use a password is known by then: as many prompts as one likes are no reason for "busy"."""
        self.again(enforcement__required='no')
        waiting = [self.begin() for _ in range(40)]
        for connection in waiting:
            self.assertNotIn(connection.receive()['parameters']['state'], ENDS)
        self.assertEqual(self.account(), ('refused', None))

    def test_the_account_phase_of_who_was_disabled_since(self):
        self.again(enforcement__required='no')
        searches = self.searches()
        self.assertEqual(self.account(), ('refused', None))
        self.assertGreater(self.searches(), searches, 'whether she needs a card is for her directory to say')
        searches = self.searches()
        self.assertEqual(self.account('daemon'), ('refused', None))
        self.assertEqual(self.searches(), searches, "of this computer's own nobody is asked")
        self.assertEqual(self.login()['state'], 'granted')
        self.assertEqual(self.account(), ('granted', None))
        self.change_directory(scenario.people.person_dn('alice'), ('nsAccountLock', ['TRUE']))
        self.assertEqual(self.until(self.begin(purpose='account'))['state'], 'granted', 'asked again so soon after its card')
        self.assertEqual(self.account(), ('refused', 'account_disabled'))
        scenario.RIG.stop('slapd')
        self.assertEqual(self.account(), ('refused', 'account_disabled'), 'as it was when it was last heard of')
        scenario.RIG.start('slapd')

    def test_removed_from_the_directory(self):
        """The next contact closes it: that of the account phase, and that of the card; and nothing opens it with no network then."""
        people = f'ou=people,{scenario.people.BASE}'
        for contact in ('account', 'card'):
            with self.subTest(contact):
                self.again(enforcement__required='no', directory__base=people)
                self.assertEqual(self.login()['state'], 'granted')
                self.assertEqual(self.kept(), ['alice'])
                self.again(enforcement__required='no', directory__base=f'ou=groups,{scenario.people.BASE}')  # she is not there
                if contact == 'account':
                    self.assertEqual(self.account(), ('refused', 'no_account'))
                else:
                    self.assertEqual(self.login()['reason'], 'no_account')
                self.assertEqual(self.kept(), [])
                scenario.RIG.stop('slapd')
                self.assertEqual(self.account(), ('refused', 'no_account' if contact == 'account' else 'not_kept'))
                service_scenario.SERVICE.stop()
                service_scenario.SERVICE.start()
                self.wait_card()
                self.assertEqual(self.login()['reason'], 'not_kept')
                scenario.RIG.start('slapd')

    def test_the_account_phase_without_a_resolver(self):
        """That is no silence of the directory's, by which what is kept would speak."""
        self.again(enforcement__required='no')
        self.assertEqual(self.login()['state'], 'granted')
        service_scenario.SERVICE.stop()
        service_scenario.SERVICE.start(CM_FAULT='kill:resolver.STANDING')
        self.assertEqual(self.account(), ('refused', 'helper'))
        service_scenario.SERVICE.stop()
        service_scenario.SERVICE.start(CM_FAULT='resolver.STANDING')
        self.assertEqual(self.account(), ('refused', 'injected'))
        self.assertEqual(self.kept(), ['alice'])
        service_scenario.SERVICE.stop()
        service_scenario.SERVICE.start()
        self.assertEqual(self.account(), ('granted', None))

    def test_the_account_phase_of_whose_card_is_not_mapped_any_more(self):
        """Her account stands: another way that is permitted is open, with no network too, and nothing of her card is."""
        self.again(enforcement__required='no')
        self.assertEqual(self.login()['state'], 'granted')
        self.take_out()
        self.change_directory(scenario.people.person_dn('alice'), ('altSecurityIdentities', []))
        self.put_in()
        self.assertEqual(self.login()['reason'], 'no_account')
        self.assertEqual(self.kept(), [])
        scenario.RIG.stop('slapd')
        self.assertEqual(self.account(), ('refused', 'not_kept'))
        scenario.RIG.start('slapd')
        self.assertEqual(self.account(), ('refused', None))
        scenario.RIG.stop('slapd')
        self.assertEqual(self.account(), ('refused', None))
        scenario.RIG.start('slapd')

    def test_the_account_phase_of_whose_card_was_refused(self):
        """What is kept ends with the card's refusal; its holder is no stranger by that."""
        self.again(enforcement__required='no')
        self.assertEqual(self.login()['state'], 'granted')
        self.take_out()
        self.change_directory(scenario.people.person_dn('alice'), ('nsAccountLock', ['TRUE']))
        self.put_in()
        self.assertEqual(self.login()['reason'], 'account_disabled')
        self.assertEqual(self.kept(), [])
        scenario.RIG.stop('slapd')
        self.assertEqual(self.account(), ('refused', 'not_kept'))
        scenario.RIG.start('slapd')
        self.assertEqual(self.account(), ('refused', 'account_disabled'))

    def test_the_account_phase_keeps_nobody_waiting(self):
        """A directory that is frozen holds up who is asked about, within its time, and nobody else."""
        self.again(enforcement__required='no', directory__timeout=20000)
        self.assertEqual(self.login()['state'], 'granted')
        scenario.RIG.freeze('slapd')
        try:
            with self.elsewhere() as asks:
                connections = self.connections()
                wait_until(lambda: self.connections() > connections or asks.poll() is not None, 'it to ask')
                self.assertEqual(self.account('daemon'), ('refused', None))
                self.assertIsNone(asks.poll(), 'somebody else had to wait')
                scenario.RIG.thaw('slapd')
                self.assertEqual(json.loads(asks.stdout.read())['state'], 'granted')
        finally:
            scenario.RIG.thaw('slapd')

    def test_cards_are_off(self):
        self.again(enforcement__allow_cards='no')
        self.assertEqual(self.login()['reason'], 'cards_off')


class TicketTest(LiveScenario):
    """A login with no network has no ticket: the next one has, and whoever wants one sooner asks for it."""
    changes = {**LiveScenario.changes, 'kerberos__timeout': 10000}  # what is asked for here must come

    def refresh(self, user, pin=PIN):
        """By a program of this user's, at the seat."""
        session = service_scenario.COMPUTER.logind.open(user)
        caller = Caller(session.command)
        self.addCleanup(caller.end)
        reply = caller.begin(service='cardmap', purpose='refresh')
        if reply.get('parameters', {}).get('state') == 'pin':
            caller.say(f'pin {pin}')
            reply = caller.until(*ENDS)
        return reply['parameters']

    def check_ticket(self):
        self.assertEqual(self.tickets(), ['krb5cc_10001'])
        found = (service_scenario.SERVICE.tickets / 'krb5cc_10001').stat()
        self.assertEqual((found.st_uid, found.st_mode & 0o777), (10001, 0o600))
        self.drop_tickets()

    def test_the_network_is_back(self):
        self.assertEqual(self.login()['state'], 'granted')
        self.drop_tickets()
        scenario.RIG.stop('slapd', 'kdc')
        end = self.login()
        self.assertEqual((end['state'], end['grant']['online'], end['grant'].get('ccache')), ('granted', False, None), end)
        self.assertEqual(end['grant']['ccache_later'], f'FILE:{service_scenario.SERVICE.tickets}/krb5cc_10001')
        end = self.refresh('alice')
        self.assertEqual((end['state'], end['reason']), ('refused', 'kdc_offline'), end)
        self.assertEqual(self.tickets(), [])
        scenario.RIG.start('slapd')
        scenario.RIG.start('kdc')
        end = self.refresh('alice')     # asked, though it is known to have been silent
        self.assertEqual((end['state'], end['grant']['user']), ('granted', 'alice'), end)
        self.check_ticket()
        wait_until(lambda: not self.status().get('kdc'), 'the KDC to be found alive', 60)
        end = self.login()      # a screen locker's
        self.assertEqual(end['state'], 'granted', end)
        self.check_ticket()

    def test_for_nobody_else(self):
        with Counts() as counts:
            self.assertEqual(self.refresh('bob')['reason'], 'not_here')
            end = self.login(purpose='refresh')
            self.assertEqual((end['state'], end['reason']), ('refused', 'account_forbidden'), end)
        self.assertEqual((counts.verifies(), self.tickets()), (0, []))

    def test_without_a_ticket_it_is_refused(self):
        self.again(kerberos__ticket='off')
        self.assertEqual(self.refresh('alice')['reason'], 'no_kdc')


class GoneTest(LiveScenario):
    """Who logs in goes while the account's own program writes the ccache, which is then taken away as it came."""
    starts = False

    def one(self, leave):
        once = WORK / 'faults/once'
        once.parent.mkdir(exist_ok=True)
        once.parent.chmod(0o777)  # the account's program takes it away
        once.touch()
        service_scenario.SERVICE.start(CM_FAULT='stop:ccache.told', CM_FAULT_ONCE=once)
        self.said = len(service_scenario.SERVICE.log)
        self.wait_card()
        caller = Caller(lambda command: command)
        self.addCleanup(caller.end)
        self.assertEqual(caller.begin(user='alice', service='login')['parameters']['state'], 'pin')
        caller.say(f'pin {PIN}')
        wait_until(lambda: not once.exists() and self.pids(CCACHE), 'the word to give the ccache its name')
        writer, = self.pids(CCACHE)
        wait_until(lambda: rig_module.process_state(writer) == 'T', 'its writer to halt')
        leave(caller, writer)
        wait_until(lambda: 'login ok' in service_scenario.SERVICE.log[self.said:], 'the login to be through')
        wait_until(lambda: not self.tickets(), 'the ccache to go')
        self.assertEqual(self.login()['state'], 'granted')
        self.assertEqual(self.tickets(), [f'krb5cc_{scenario.ALICE_UID}'])

    def test_noticed_while_it_is_written(self):
        def leave(caller, writer):
            caller.end()
            for _ in range(2):  # what came before it is seen before it
                self.status()
            os.kill(writer, signal.SIGCONT)
        self.one(leave)

    def test_noticed_by_nobody_yet(self):
        def leave(caller, writer):
            service = service_scenario.SERVICE.pid
            os.kill(service, signal.SIGSTOP)
            try:
                caller.end()
                os.kill(writer, signal.SIGCONT)
                wait_until(self.tickets, 'the ccache')
            finally:
                os.kill(service, signal.SIGCONT)
        self.one(leave)


class TakenOutTest(LiveScenario):
    """The service sees the card go while the card's helper has the PIN: that is what it says, not that a helper died."""
    starts = False

    def halted(self, point):
        """A login whose helper has halted at that point of it, and whose card was taken out then."""
        once = WORK / 'faults/once'
        once.parent.mkdir(exist_ok=True)
        once.parent.chmod(0o777)
        once.touch()
        service_scenario.SERVICE.start(CM_FAULT=f'stop:{point}', CM_FAULT_ONCE=once)
        self.said = len(service_scenario.SERVICE.log)
        self.wait_card()
        connection = self.begin()
        self.answer(self.until(connection, 'pin'), PIN)
        wait_until(lambda: any(rig_module.process_state(pid) == 'T' for pid in self.pids(CARD)), 'the helper to halt')
        self.take_out()
        return connection

    def test_before_the_card_has_seen_the_pin(self):
        with Counts() as counts:
            connection = self.halted('helper.VERIFY')
            again = self.until(connection, 'reading')
            self.put_in()
            asked = self.until(connection, 'pin')
        self.assertEqual(again.get('reason'), 'card_removed')
        self.assertEqual(counts.verifies(), 0)
        self.answer(asked, PIN)
        self.assertEqual(self.until(connection)['state'], 'granted')

    def test_after_it(self):
        end = self.until(self.halted('helper.GET_TICKET'), 'reading')
        self.assertEqual((end['state'], end['reason']), ('refused', 'card_removed'))
        self.assertEqual(self.tickets(), [])


class KeptTest(LiveScenario):
    def test_accounts(self):
        self.assertEqual(self.kept(), [])
        self.login()
        self.assertEqual(self.kept(), ['alice'])
        service_scenario.SERVICE.ask('io.cardmap.Accounts', {'forget': 'alice'})
        self.assertEqual(self.kept(), [])
        name, parameters = self.error('io.cardmap.Accounts', {'forget': 'alice'})
        self.assertEqual((name, parameters['reason']), ('Failed', 'not_kept'))

    def test_revocation(self):
        self.login()
        ask = service_scenario.SERVICE.ask
        evidence = ask('io.cardmap.Revocation', {'action': 'list'})['result']['evidence']
        self.assertTrue(evidence)
        one = {'issuer_key': evidence[0]['issuer_key'], 'serial': evidence[0]['serial']}
        ask('io.cardmap.Revocation', {'action': 'forget', 'parameters': one})
        name, parameters = self.error('io.cardmap.Revocation', {'action': 'forget', 'parameters': one})
        self.assertEqual((name, parameters['reason']), ('Failed', 'no_evidence'))
        self.assertTrue(ask('io.cardmap.Revocation', {'action': 'status'})['result']['sources'])
        for wrong in ({}, {'issuer_key': 'xy', 'serial': '01'}, {'issuer_key': '00' * 33, 'serial': '01'}):
            self.assertEqual(self.error('io.cardmap.Revocation', {'action': 'forget', 'parameters': wrong})[1]['reason'], 'usage')
        self.assertEqual(self.error('io.cardmap.Revocation', {'action': 'refresh'})[0], 'NotServedHere')
        self.assertEqual(self.error('io.cardmap.Revocation', {'action': 'burn'})[0], 'InvalidParameter')


class DeathTest(LiveScenario):
    def test_a_helper_that_dies_while_nobody_asks_is_replaced(self):
        before = self.pids(CARD)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(self.pids(CARD) - before) == 2, 'a watcher and a helper anew')
        self.wait_card()
        self.assertEqual(self.login()['state'], 'granted')

    @staticmethod
    def put_in_another():
        """bob's card, into the second reader; until the service has seen it."""
        rig, work = scenario.RIG, scenario.rig_module.WORK
        rig.make_card(work / 'second', 'bob')
        rig.launch('second', [rig.vcard, '--card', work / 'second', '--port', str(scenario.rig_module.CARD_PORT + 1),
                              '--control', work / 'second.control', '--log', work / 'second.apdus'], lambda: True)
        wait_until(lambda: len([card for card in service_scenario.SERVICE.cards() if card['present']]) == 2, 'two cards')

    def test_two_wrong_pins_are_held_across_a_watchers_death(self):
        self.take_out()  # the next watcher counts insertions anew: this is its second, and will be another's first
        self.put_in()
        self.wait_card()
        connection = self.begin()
        self.answer(self.until(connection, 'pin'), WRONG_PIN)
        self.answer(self.until(connection, 'pin'), WRONG_PIN)
        self.assertEqual(self.until(connection, 'pin')['reason'], 'pin_held')
        before = self.pids(CARD)
        for pid in before:
            with contextlib.suppress(ProcessLookupError):  # of a card that is held the helper ends by itself
                os.kill(pid, signal.SIGKILL)
        self.put_in_another()  # which only another watcher sees, and after it the card that was in
        with Counts() as counts:
            self.assertEqual(self.login(reader=service_scenario.READER)['reason'], 'pin_held')
        self.assertEqual(counts.verifies(), 0)
        scenario.RIG.stop('second')
        self.take_out()
        self.put_in()
        wait_until(lambda: any(card['state'] == 'ready' for card in self.status()['cards']), 'the card to be ready')
        self.assertEqual(self.login()['state'], 'granted')

    def test_a_watcher_that_hangs_is_replaced(self):
        service_scenario.SERVICE.restart(CM_WATCH_ALIVE_MS='300')
        self.wait_card()

        def watchers():
            return {process['pid'] for process in self.status()['processes'] if process['kind'] == 'watcher'}
        hanging = watchers()
        for pid in hanging:
            os.kill(pid, signal.SIGSTOP)
        self.assertEqual(len(hanging), 1)
        wait_until(lambda: watchers() and not watchers() & hanging, 'another watcher')
        wait_until(lambda: not self.pids(CARD) & hanging, 'the one that hangs to be gone')
        self.assertIn('says nothing, and is replaced', service_scenario.SERVICE.log)
        self.take_out()
        self.put_in()
        wait_until(lambda: any(card['state'] == 'ready' for card in self.status()['cards']), 'the card to be ready')
        self.assertEqual(self.login()['state'], 'granted')

    def test_pcscd_that_hangs_and_comes_back(self):
        """Whoever asks it hangs with it; once it goes on, what happened meanwhile is seen."""
        service_scenario.SERVICE.restart(CM_WATCH_ALIVE_MS='300')
        self.wait_card()
        scenario.RIG.freeze('pcscd')
        wait_until(lambda: 'pcscd hangs' in service_scenario.SERVICE.log[self.said:], 'it to be said')
        scenario.RIG.thaw('pcscd')
        self.take_out()
        self.put_in()
        wait_until(lambda: any(card['state'] == 'ready' for card in self.status()['cards']), 'the card to be ready')
        self.assertEqual(self.login()['state'], 'granted')

    def test_the_resolver_at_the_prompt(self):
        """Whom another's question killed costs this login nothing, and another takes its place."""
        connection = self.begin()
        asked = self.until(connection, 'pin')
        before = self.pids(RESOLVER)
        service_scenario.SERVICE.kill(RESOLVER)
        wait_until(lambda: self.pids(RESOLVER) - before, 'another resolver')
        self.answer(asked, PIN)
        self.assertEqual(self.until(connection)['state'], 'granted')
        seen = {process['kind']: process for process in self.status()['processes']}
        self.assertEqual(seen['resolver']['restarts'], 1)

    def test_without_the_starter_it_ends(self):
        """Nothing could be started any more: the service manager starts all of it anew."""
        main = service_scenario.SERVICE.pid
        starters = [process.pid for process in processes() if process.name == 'cardmapd' and process.parent == main]
        self.assertEqual(len(starters), 1)
        os.kill(starters[0], signal.SIGKILL)
        wait_until(lambda: not [process for process in processes() if process.name == 'cardmapd'], 'the daemon to end')


class PinTest(LiveScenario):
    """Whoever ends a login while the card looks at the PIN is not told that it was wrong, and gets no try more for it."""
    def give_up_at_verify(self):
        """False: the PIN was not asked for."""
        connection = self.begin()
        asked = self.until(connection, 'pin')
        if asked['state'] != 'pin':
            self.assertEqual(asked['reason'], 'pin_held')
            return False
        self.control(f'fault slow={1000 * SECONDS}@ins20')
        self.answer(asked, WRONG_PIN)
        wait_until(lambda: 'busy=1' in self.control('stats'), 'the card to look at the PIN')
        connection.socket.close()
        wait_until(lambda: self.status()['connections'] == 1, 'the login to be over')
        self.control('clear')  # it answers
        wait_until(lambda: any(card['state'] in ('ready', 'held') for card in self.status()['cards']), 'the card to be looked at')
        return True

    def test_no_more_than_two_tries(self):
        with Counts() as counts:
            while self.give_up_at_verify():
                pass
        self.assertEqual(counts.verifies(), 2)
        self.take_out()
        self.put_in()
        wait_until(lambda: any(card['state'] == 'ready' for card in self.status()['cards']), 'the card to be ready')
        end = self.login()
        self.assertEqual(end['state'], 'granted', end)

    def test_what_the_card_never_saw_is_not_counted(self):
        for _ in range(4):
            connection = self.begin()
            asked = self.until(connection, 'pin')
            self.assertEqual((asked['state'], asked['tries']), ('pin', 3), asked)
            reading, writing = os.pipe()    # nobody writes
            with varlink.Connection(SOCKET) as other:
                other.ask('io.cardmap.Login.Answer', {'handle': asked['handle']}, [reading])
            self.assertEqual(self.until(connection, 'working')['state'], 'working')
            connection.socket.close()
            os.close(reading)
            os.close(writing)
            wait_until(lambda: self.status()['connections'] == 1, 'the login to be over')
            wait_until(lambda: any(card['state'] == 'ready' for card in self.status()['cards']), 'the card to be ready')


class SpentTest(LiveScenario):
    """PINs that were typed for a card count for as long as it is in, whatever becomes of cardmapd meanwhile."""
    FILE = RUN / 'private/spent'

    def type_wrong(self):
        end = self.login(WRONG_PIN)
        return end['reason']

    def look_at(self, *states):
        wait_until(lambda: any(card['state'] in states for card in self.status()['cards']), f'the card to be one of {states}')

    def again(self, kill=True):
        if kill:
            service_scenario.SERVICE.kill('cardmapd')
            wait_until(lambda: not processes(), 'all to end')
        else:
            service_scenario.SERVICE.stop()
        self.start()

    def held(self, tries):
        with Counts() as counts:
            self.assertEqual(self.login()['reason'], 'pin_held')
        self.assertEqual((counts.verifies(), self.tries()), (0, tries))

    def another_insertion(self):
        self.control('tries 3')
        self.take_out()
        self.put_in()
        self.look_at('ready')
        self.assertEqual(self.login()['state'], 'granted')
        wait_until(lambda: self.FILE.read_text(encoding='ascii') == '[]', 'it to be forgotten')

    def test_one_before_and_one_after(self):
        self.assertEqual(self.type_wrong(), 'pin_wrong')
        self.again()
        self.assertEqual(self.type_wrong(), 'pin_held')
        for kill in (True, False):
            self.again(kill)
            self.held(1)
        found = self.FILE.stat()
        self.assertEqual((found.st_uid, found.st_gid, found.st_mode & 0o7777), (0, 0, 0o600))
        kept = json.loads(self.FILE.read_text(encoding='ascii'))
        self.assertEqual([(row['reader'], row['wrong']) for row in kept], [(service_scenario.READER.encode().hex(), 2)])
        self.another_insertion()

    def kill_at_verify(self, pin):
        """Between VERIFY and its answer."""
        connection = self.begin()
        asked = self.until(connection, 'pin')
        self.control(f'fault slow={1000 * SECONDS}@ins20')
        self.answer(asked, pin)
        wait_until(lambda: 'busy=1' in self.control('stats'), 'the card to look at the PIN')
        kept = self.FILE.read_bytes()
        service_scenario.SERVICE.kill('cardmapd')
        wait_until(lambda: not processes(), 'all to end')
        self.control('clear')  # it answers
        wait_until(lambda: 'busy=0' in self.control('stats'), 'the card to have answered')
        for typed in (PIN, WRONG_PIN):
            self.assertNotIn(typed.encode(), kept)
        self.start()

    def test_killed_while_the_card_looks_at_a_wrong_one(self):
        self.kill_at_verify(WRONG_PIN)
        self.assertEqual(self.tries(), 2)
        self.look_at('ready')
        self.kill_at_verify(WRONG_PIN)
        self.held(1)

    def test_killed_while_the_card_looks_at_the_right_one(self):
        """The card says that it has all its tries: nothing was spent."""
        self.kill_at_verify(PIN)
        self.look_at('ready')
        self.assertEqual(self.FILE.read_text(encoding='ascii'), '[]')

    def test_killed_while_the_card_looks_at_the_right_one_after_a_wrong_one(self):
        self.assertEqual(self.type_wrong(), 'pin_wrong')
        self.kill_at_verify(PIN)
        self.look_at('ready')
        self.assertEqual([row['wrong'] for row in json.loads(self.FILE.read_text(encoding='ascii'))], [1])
        self.assertEqual(self.login()['state'], 'granted')

    def test_put_in_anew_while_it_was_away(self):
        self.assertEqual([self.type_wrong() for _ in range(2)], ['pin_wrong', 'pin_held'])
        service_scenario.SERVICE.kill('cardmapd')
        wait_until(lambda: not processes(), 'all to end')
        self.control('tries 3')
        self.take_out()
        self.put_in()
        wait_until(lambda: rig_module.card_is_in(scenario.RIG), 'the card to be in')
        self.start()
        self.assertEqual(self.login()['state'], 'granted')

    def test_what_is_kept_is_not_what_was_written(self):
        """Nobody knows how many were typed: none more, until the card was out."""
        for text, mode in (('[{"reader":', 0o600), ('[]', 0o666)):
            with self.subTest(text):
                service_scenario.SERVICE.stop()
                self.FILE.write_text(text, encoding='ascii')
                self.FILE.chmod(mode)
                self.start()
                self.held(3)
                self.assertIn('put in again', service_scenario.SERVICE.log)
        self.again()
        self.held(3)
        self.another_insertion()

    def type_wrong_unheard(self, fault):
        """The card sees the PIN, and what it says does not come back."""
        connection = self.begin()
        asked = self.until(connection, 'pin')
        if asked['state'] != 'pin':
            return asked
        self.control(f'fault {fault}@ins20')
        self.answer(asked, WRONG_PIN, last_try=asked['last_try'])
        end = self.until(connection, 'pin')
        connection.socket.close()
        self.control('clear')
        wait_until(lambda: 'busy=0' in self.control('stats'), 'the card to have answered')
        return end

    def test_what_the_card_says_is_not_heard(self):
        with Counts() as counts:
            ends = [self.type_wrong_unheard('one-byte')['reason'] for _ in range(3)]
        self.assertEqual((ends, counts.verifies(), self.tries()), (['card_malformed'] * 2 + ['pin_held'], 2, 1))
        self.another_insertion()

    def test_pcscd_takes_no_client_for_a_while(self):
        """A watcher that cannot ask it knows of no card; the one that was in is still the same."""
        self.assertEqual([self.type_wrong() for _ in range(2)], ['pin_wrong', 'pin_held'])
        socket_path, aside = Path('/run/pcscd/pcscd.comm'), Path('/run/pcscd/aside.comm')
        watcher = [process['pid'] for process in self.status()['processes'] if process['kind'] == 'watcher']
        socket_path.rename(aside)
        try:
            os.kill(watcher[0], signal.SIGKILL)
            wait_until(lambda: not self.status()['cards'], 'no reader to be known')
        finally:
            aside.rename(socket_path)
        self.wait_card()
        self.held(1)
        self.another_insertion()


class LeakTest(LiveScenario):
    def rounds(self, count):
        for _ in range(count):
            self.assertEqual(self.login()['state'], 'granted')
            left = self.begin()
            self.until(left, 'pin')
            left.socket.close()
            refused = self.begin(user='bob')
            self.assertEqual(self.until(refused)['reason'], 'not_this_user')
            refused.socket.close()
            with varlink.Connection(SOCKET) as stream:
                stream.call('io.cardmap.Cards', {}, more=True)
                stream.receive()

    def test_descriptors_come_back(self):
        self.rounds(3)
        wait_until(lambda: self.status()['connections'] == 1, 'all to be gone')
        self.wait_card()  # which is read anew, by a helper with descriptors of its own
        before = self.descriptors()
        self.rounds(15)
        wait_until(lambda: self.status()['connections'] == 1, 'all to be gone')
        self.wait_card()
        wait_until(lambda: self.descriptors() <= before, f'no more than {before} descriptors')

    def test_nothing_is_lost_at_the_end(self):
        """LeakSanitizer looks at the end, and says so by the exit status."""
        service_scenario.SERVICE.stop()
        service_scenario.SERVICE.start(ASAN_OPTIONS='detect_leaks=1')
        self.wait_card()
        self.rounds(3)
        service_scenario.SERVICE.stop()
        self.assertNotIn('LeakSanitizer', service_scenario.SERVICE.log[self.said:])


class CheckTest(LiveScenario):
    starts = False

    def check(self, *options):
        done = subprocess.run([HOME / 'sbin/cardmapd', '--config', CONF, '--run-dir', RUN, '--libexec', HOME / 'libexec', *options],
                              capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr

    def test_it_tells_what_is_wrong(self):
        """--check tries what the sandbox must not let through, and looks at all that is needed."""
        self.assertEqual(self.check('--check')[0], 0)
        status, text = self.check('--check', '--libexec', '/nowhere')
        self.assertEqual(status, 78, text)
        self.assertIn('/nowhere/cardmap-card', text)
        self.assertEqual(self.check('--no-such-option')[0], 64)
        self.configure(service__user='no-such-user')
        status, text = self.check('--check')
        self.assertEqual(status, 78, text)
        self.assertIn('no-such-user', text)

    def test_a_second_one_does_not_start(self):
        service_scenario.SERVICE.start()
        self.wait_card()
        status, text = self.check()
        self.assertEqual(status, 78, text)
        self.assertIn('another process serves there', text)
        self.assertEqual(self.login()['state'], 'granted')


if __name__ == '__main__':
    assert scenario
    service_scenario.main()
