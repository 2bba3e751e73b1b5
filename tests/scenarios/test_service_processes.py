#!/usr/bin/python3
"""test_service_processes.py: what each process may, what becomes of a login when one dies, and a resolver that is taken over."""
import os
import pwd
import re
import shutil
import sqlite3
import subprocess
import unittest
from pathlib import Path

import scenario
import varlink
import service_scenario
from scenario import ALICE_UID, PIN, Counts, said, wait_until
from service_scenario import ANY_PROMPT, PROMPT, ServiceScenario

import computer as computer_module
import service as service_module
from rig import WORK
from service import CARD, RESOLVER

ROOT = Path(__file__).resolve().parents[2]
ONCE, LIE = WORK / 'faults/once', WORK / 'lie'
WRITER = 'cardmap-ccache'
PARSERS = ('libldap', 'liblber', 'libcurl', 'libpcsclite', 'libexpat', 'libp11', 'libsasl', 'libgnutls')


def status_of(pid):
    lines = Path(f'/proc/{pid}/status').read_text(encoding='utf-8').splitlines()
    return {name: value.strip() for name, _, value in (line.partition(':') for line in lines)}


def descriptors(pid):
    found = []
    for name in os.listdir(f'/proc/{pid}/fd'):
        try:
            found.append(os.readlink(f'/proc/{pid}/fd/{name}'))
        except FileNotFoundError:
            pass
    return found


def of(name):
    return [process for process in service_module.processes() if process.name == name]


def needed(path):
    return re.findall(r'NEEDED.*\[(.*)\]', said(['readelf', '-d', path]))


class RightsTest(ServiceScenario):
    def test_each_process_is_its_own_user(self):
        uids = {name: {process.uid for process in of(name)} for name in ('cardmapd', RESOLVER, CARD)}
        self.assertEqual(uids, {'cardmapd': {0}, RESOLVER: {pwd.getpwnam('_cardmap').pw_uid},
                                CARD: {pwd.getpwnam('_cardmap-card').pw_uid}})

    def test_the_privileged_one_is_linked_with_no_parser_of_what_comes_from_outside(self):
        libraries = needed(service_module.HOME / 'sbin/cardmapd')
        self.assertTrue(libraries)
        self.assertEqual([name for name in libraries if name.startswith(PARSERS)], [])

    def test_the_module_links_the_client_and_nothing_else(self):
        libraries = needed(service_scenario.SERVICE.module)
        self.assertEqual([name for name in libraries if not name.startswith(('libc.', 'libpam.', 'libcardmap.'))], [])

    def test_the_privileged_one_has_no_network(self):
        self.check_inside(*self.log_in())
        for process in of('cardmapd'):
            if process.pid == service_scenario.SERVICE.pid:  # the other one starts helpers, before any filter
                self.assertEqual(status_of(process.pid)['Seccomp'], '2', process)
            inodes = {match[1] for link in descriptors(process.pid) if (match := re.match(r'socket:\[(\d+)\]', link))}
            for table in ('tcp', 'tcp6', 'udp', 'udp6', 'raw', 'packet', 'netlink'):
                lines = Path(f'/proc/{process.pid}/net/{table}').read_text(encoding='ascii').splitlines()[1:]
                self.assertEqual([line for line in lines if inodes & set(line.split())], [], table)

    def test_the_others_cannot_become_more(self):
        self.check_inside(*self.log_in())
        for process in of(RESOLVER) + of(CARD):
            status = status_of(process.pid)
            self.assertEqual((status['NoNewPrivs'], status['CapEff'], status['CapPrm']), ('1', '0' * 16, '0' * 16), process)
            self.assertEqual(status['Groups'], '', process)
        for process in of(RESOLVER):
            self.assertEqual(status_of(process.pid)['Seccomp'], '2')

    def test_nobody_else_holds_the_keytab_or_the_store(self):
        self.check_inside(*self.log_in())
        for process in of(RESOLVER) + of(CARD):
            for link in descriptors(process.pid):
                self.assertNotIn('keytab', link)
                self.assertNotIn(str(service_scenario.SERVICE.store), link)

    def test_nobody_takes_a_core_of_who_holds_a_pin(self):
        """A process that is not dumpable has root's files in /proc (proc(5), PR_SET_DUMPABLE)."""
        for process in of(CARD):
            self.assertEqual(os.stat(f'/proc/{process.pid}/environ').st_uid, 0, process)

    def test_helpers_end_with_the_service(self):
        service_scenario.SERVICE.kill('cardmapd')
        wait_until(lambda: not service_module.processes_of_service(), 'all to end')


class DeathTest(ServiceScenario):
    """kill -9, from outside, between logins and in the middle."""
    def check_next(self):
        self.wait_card()
        self.check_inside(*self.log_in())

    def test_between_logins(self):
        for name in (RESOLVER, CARD):
            with self.subTest(name):
                before = {process.pid for process in of(name)}
                service_scenario.SERVICE.kill(name)
                wait_until(lambda: of(name) and not before & {p.pid for p in of(name)}, f'another {name}')
                self.check_next()

    def test_while_the_pin_is_asked(self):
        for name in (RESOLVER, CARD):
            with self.subTest(name):
                terminal = self.su()
                terminal.expect(PROMPT)
                service_scenario.SERVICE.kill(name)
                terminal.type(f'{PIN}\n')
                terminal.expect(rb'helper|card_|ccache=|PIN for')
                terminal.kill()
                self.check_next()

    def test_of_the_tickets_writer_while_the_pin_is_asked(self):
        """It begins before there is a ticket, as who it is for; another takes its place, and it goes with who was asked."""
        terminal = self.su()
        terminal.expect(PROMPT)
        wait_until(lambda: [p.uid for p in of(WRITER)] == [ALICE_UID], 'the writer to be alice')
        self.assertEqual(self.tickets(), [])
        service_scenario.SERVICE.kill(WRITER)
        wait_until(lambda: not of(WRITER), 'the writer to end')
        terminal.type(f'{PIN}\n')
        self.check_inside(*self.ended(terminal))
        self.wait_card()
        terminal = self.su()
        terminal.expect(PROMPT)
        wait_until(lambda: of(WRITER), 'the writer')
        terminal.kill()
        wait_until(lambda: not of(WRITER), 'the writer to end with the prompt')

    def test_of_the_service_itself_while_the_pin_is_asked(self):
        for required in ('no', 'yes'):
            with self.subTest(required):
                self.again(enforcement__required=required)
                self.drop_tickets()
                terminal = self.su()
                terminal.expect(PROMPT)
                with Counts() as counts:
                    service_scenario.SERVICE.kill('cardmapd')
                    wait_until(lambda: not service_module.processes_of_service(), 'all to end')
                    terminal.type(f'{PIN}\n')
                    status, text = self.ended(terminal)
                self.assertNotEqual(status, 0, text)
                self.assertEqual((counts.verifies(), self.tickets()), (0, []))
                self.start()
                self.check_next()

    def test_one_cards_helper_is_not_anothers(self):
        other = scenario.rig_module.WORK / 'second'
        scenario.RIG.make_card(other, 'bob')
        scenario.RIG.launch('second', [scenario.RIG.vcard, '--card', other, '--port', str(scenario.rig_module.CARD_PORT + 1),
                                       '--control', WORK / 'second.control', '--log', WORK / 'second.apdus'], lambda: True)
        self.addCleanup(scenario.RIG.stop, 'second')
        wait_until(lambda: len([card for card in service_scenario.SERVICE.cards() if card['present']]) == 2, 'two cards')
        self.wait_card()
        wait_until(lambda: len(of(CARD)) >= 3, 'a helper for each, and the watcher')
        terminal = self.su()
        terminal.expect(ANY_PROMPT)
        asked = terminal.text.decode()
        self.assertIn('Alice', asked, 'of two cards the one that is hers')
        terminal.type(f'{PIN}\n')
        self.check_inside(*self.ended(terminal))


class StepTest(ServiceScenario):
    """kill -9 of each process at each step of a login, by the fault points of the build under test."""
    with_faults = True
    starts = False

    @staticmethod
    def points():
        """Stages are fault points by their names; the others have one for each message that they serve, the ccache's writer three, and
        who tells that somebody is in one."""
        login = (ROOT / 'service/login.c').read_text(encoding='utf-8')
        stages = re.findall(r'(?m)^\t\{ CM_(?:BEFORE|AFTER)_PIN,.*?"([a-z]+)"', login)
        helper = [f'helper.{kind}' for kind in ('READER', 'OPEN', 'EXPECT_TICKET', 'VERIFY', 'GET_TICKET')]
        resolver = [f'resolver.{kind}' for kind in ('CHAIN', 'ACCOUNT', 'REVOCATION', 'KDC_STATE')]
        return stages + helper + resolver + ['ccache', 'ccache.written', 'ccache.told', 'granted']

    def check_store(self):
        if not service_scenario.SERVICE.store.exists():
            return
        with sqlite3.connect(f'file:{service_scenario.SERVICE.store}?mode=ro', uri=True) as store:
            self.assertEqual(store.execute('PRAGMA integrity_check').fetchone(), ('ok',))
        store.close()

    def one(self, point):
        service_scenario.SERVICE.stop()
        for folder in (service_scenario.SERVICE.store.parent, service_scenario.SERVICE.tickets):
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        ONCE.parent.mkdir(exist_ok=True)
        ONCE.parent.chmod(0o777)  # whoever comes by takes it away
        ONCE.touch()
        service_scenario.SERVICE.start(CM_FAULT=f'kill:{point}', CM_FAULT_ONCE=ONCE)
        terminal = self.su()
        terminal.expect(rb'PIN for [^\r\n]*: ?$|\([a-z_]+\)\r\n|ccache=')
        if b'PIN for' in terminal.text:
            terminal.type(f'{PIN}\n')
        status, text = self.ended(terminal)
        self.check_store()
        self.assertFalse(ONCE.exists(), f'{point}: no process ever came by this point')
        if not scenario.RIG.is_running('cardmapd'):
            wait_until(lambda: not service_module.processes_of_service(), 'the helpers to end')
            service_scenario.SERVICE.start()
        if status:
            self.assertEqual(self.tickets(), [], f'{point}: {text}')
        self.wait_card()
        self.check_inside(*self.log_in())
        self.assertEqual(list(service_module.RUN.glob('private/untold.*')), [])
        self.assertEqual(self.kept(), ['alice'])

    def test_each(self):
        points = self.points()
        self.assertEqual(len(points), 12 + 5 + 4 + 4, points)
        for point in points:
            with self.subTest(point):
                self.one(point)


# ---- A resolver that is taken over

ALICE = {'name': 'alice', 'principal': 'alice@CARDMAP.TEST', 'uid': ALICE_UID, 'home': '/home/alice'}
BOB = {'name': 'bob', 'principal': 'bob@CARDMAP.TEST', 'uid': ALICE_UID + 1, 'home': '/home/bob'}
ROOT_ACCOUNT = {'name': 'root', 'principal': 'bob@CARDMAP.TEST', 'uid': 0, 'gid': 0, 'home': '/root'}
LENA = {'name': computer_module.LOCAL, 'principal': 'lena@CARDMAP.TEST', 'uid': computer_module.LOCAL_UID, 'home': '/home/lena'}

# What it says of bob's card, whose PIN bob types: the account, and more.  Nobody gets in as anybody by it.
OF_BOBS_CARD = {
    'it is alices': ALICE,
    'it is alices, by bobs principal': {**ALICE, 'principal': 'bob@CARDMAP.TEST'},
    'it is alices, by a principal of both': {**ALICE, 'principal': 'alice/bob@CARDMAP.TEST'},
    'it is alices, of another realm': {**ALICE, 'principal': 'alice@OTHER.TEST'},
    'it is alices, with no principal': {**ALICE, 'principal': ''},
    'it is alices, and no KDC answers': {**ALICE, 'kdc_silent': 1},
    'it is alices, kept, and no KDC answers': {**ALICE, 'kept': 1, 'kdc_silent': 1},
    'it is alices, by bobs principal, and no KDC answers': {**ALICE, 'principal': 'bob@CARDMAP.TEST', 'kdc_silent': 1},
    'it has alices key': {**ALICE, 'key': 'alice-rsa2048'},
    'it is alices certificate': {**ALICE, 'other': 'alice-rsa2048'},
    'it is alices certificate, kept, and no KDC answers': {**ALICE, 'other': 'alice-rsa2048', 'kept': 1, 'kdc_silent': 1},
    'it is roots': ROOT_ACCOUNT,
    'it is roots, by roots principal': {**ROOT_ACCOUNT, 'principal': 'root@CARDMAP.TEST'},
    'bob has uid 0': {**BOB, 'uid': 0},
    'bob has the uid of a service': {**BOB, 'uid': 101},
    'bob has the uid of a local user': {**BOB, 'uid': computer_module.LOCAL_UID},
    'bob has gid 0': {**BOB, 'gid': 0},
    'it is a local users': LENA,
    'it is a local users, by bobs principal': {**LENA, 'principal': 'bob@CARDMAP.TEST'},
    'bob lives above his home': {**BOB, 'home': '/home/../root'},
    'bob has a name with a folder': {**BOB, 'name': 'bob/../alice'},
    'it is nobodys, and yes': {**BOB, 'do': 'ACCOUNT:nobody'},
    'no chain, and all of it': {**BOB, 'do': 'CHAIN:refuse'},
    'no account, and all of it': {**BOB, 'do': 'ACCOUNT:refuse'},
    'revoked, and all of it': {**BOB, 'do': 'REVOCATION:refuse'},
    'nothing at all': {**BOB, 'do': 'ACCOUNT:silent'},
}
for _kind in ('CHAIN', 'ACCOUNT', 'REVOCATION'):
    for _what in ('close', 'garbage', 'long', 'other'):
        OF_BOBS_CARD[f'{_what} at {_kind}'] = {**BOB, 'do': f'{_kind}:{_what}'}

# Cards that nobody should believe, and what it says of them: they are alice's, of a good chain.
FALSE_CARDS = {'stranger': {}, 'look-alike': {}, 'self-signed': {}, 'look-alike, with alices key': {'key': 'alice-rsa2048'},
               'self-signed, and it is alices certificate': {'other': 'alice-rsa2048'},
               'stranger, kept, and no KDC answers': {'kept': 1, 'kdc_silent': 1},
               'look-alike, kept, with alices key, and no KDC answers': {'kept': 1, 'kdc_silent': 1, 'key': 'alice-rsa2048',
                                                                         'other': 'alice-rsa2048'}}


# What it says of alice's name in the account phase: how that ends, and whether what is kept of her is kept still.
OF_ALICES_NAME = (
    ('she is bob', BOB, 'not_this_user', False),
    ('she is called Alice', {**ALICE, 'name': 'Alice'}, 'not_this_user', False),
    ('she has another uid', {**ALICE, 'uid': ALICE_UID + 1}, 'not_this_user', False),
    ('she is root', {**ALICE, 'uid': 0, 'gid': 0}, 'not_this_user', False),
    ('she is gone', {**ALICE, 'do': 'STANDING:absent'}, 'no_account', False),
    ('she is revoked', {**ALICE, 'do': 'STANDING:refuse'}, 'revoked', False),
    ('she stands, kept', {**ALICE, 'kept': 1}, 'helper', True),
    ('she stands, and is nobody', {**ALICE, 'do': 'STANDING:nobody'}, 'helper', True),
    ('she is refused for no reason of that', {**ALICE, 'do': 'STANDING:unfit'}, 'helper', True),
    *((f'{what}, and no answer', {**ALICE, 'do': f'STANDING:{what}'}, 'helper', True)
      for what in ('close', 'silent', 'garbage', 'long', 'other')),
    ('she stands, and lives elsewhere', {**ALICE, 'home': '/root', 'gid': 0}, None, True),
    ('she stands, twice', {**ALICE, 'do': 'STANDING:twice'}, None, True),
)


class LiarTest(ServiceScenario):
    starts = False
    changes = {'service__wait': 1500}

    def setUp(self):
        super().setUp()
        self.there = service_module.HOME / 'libexec' / RESOLVER
        self.true = self.there.with_suffix('.true')
        shutil.copy2(self.there, self.true)
        self.addCleanup(os.replace, self.true, self.there)

    def lie(self, values):
        """From the next question on."""
        pki = scenario.RIG.pki
        issuer, root = self.folder / 'inter.der', self.folder / 'root.der'
        for path in (issuer, root):
            if not path.exists():
                said(['openssl', 'x509', '-in', pki / f'{path.stem}.crt', '-outform', 'DER', '-out', path])
        copied = {name: self.folder / f'{values[name]}.der' for name in ('key', 'other') if name in values}
        for path in copied.values():
            shutil.copy(pki / path.name, path)
        lines = {'issuer': issuer, 'root': root, 'shell': '/bin/bash', 'gid': computer_module.PEOPLE_GID, 'good': 1,
                 **values, **copied}
        for path in (self.folder, *self.folder.iterdir()):
            path.chmod(0o755)
        LIE.write_text(''.join(f'{name}={value}\n' for name, value in lines.items()), encoding='utf-8')
        LIE.chmod(0o644)

    def start_with(self, program, values=None):
        service_scenario.SERVICE.stop()
        self.there.unlink()
        shutil.copy(program, self.there)
        self.there.chmod(0o755)
        if values is not None:
            self.lie(values)
        service_scenario.SERVICE.start()

    def start_lying(self, values):
        self.start_with(os.environ['CM_LIAR'], values)

    def attempt(self, user):
        """With the PIN of the card that is in, as far as it is asked for; root has a password, which is not typed here."""
        terminal = self.su(user)
        terminal.expect(rb'PIN for [^\r\n]*: ?$|\([a-z_]+\)\r\n|Password: ')
        if b'Password: ' in terminal.text:
            terminal.kill()
            return 1, terminal.text.decode(errors='replace')
        if b'PIN for' in terminal.text:
            terminal.type(f'{PIN}\n')
        return self.ended(terminal)

    def check_nobody(self, lie, users):
        for user in users:
            status, text = self.attempt(user)
            self.assertNotEqual(status, 0, f'{lie}: {user} got in\n{text}')
            self.assertNotIn('ccache=', text, f'{lie}: {user} got in')
        self.assertEqual(self.tickets(), [], lie)
        self.assertTrue(scenario.RIG.is_running('cardmapd'), lie)

    def test_told_the_truth_it_lets_them_in(self):
        """Or else the other tests of this class would prove nothing."""
        self.start_lying({**ALICE, 'good': 1})
        self.check_inside(*self.log_in())

    def test_of_bobs_card(self):
        self.exchange('bob')
        for lie, values in OF_BOBS_CARD.items():
            with self.subTest(lie):
                self.start_lying(values)
                name = values['name'].replace('/', '')
                self.check_nobody(lie, [name if name in ('alice', 'bob', 'root', 'lena') else 'bob'])
        self.assertEqual(self.kept(), [])

    def test_of_bobs_card_where_alice_is_kept(self):
        """What the store knows of alice is no licence for another card."""
        service_scenario.SERVICE.start()
        self.wait_card()
        self.check_inside(*self.log_in())
        self.drop_tickets()
        self.exchange('bob')
        for lie, values in OF_BOBS_CARD.items():
            if values['name'] == 'alice':
                with self.subTest(lie):
                    self.start_lying(values)
                    self.check_nobody(lie, ['alice'])
        for uid in (ALICE_UID,):
            self.start_lying({**BOB, 'uid': uid})
            self.check_nobody('bob has the uid of alice', ['bob'])
        self.assertEqual(self.kept(), ['alice'])

    def test_of_cards_that_nobody_should_believe(self):
        for case, values in FALSE_CARDS.items():
            with self.subTest(case):
                self.exchange(case.partition(',')[0])
                self.start_lying({**ALICE, **values})
                self.check_nobody(case, ['alice'])

    def test_of_a_copied_certificate(self):
        self.control(f'swap {self.card_folder("alice-rsa2048", key="bob")}')
        for key in ({}, {'key': 'bob'}):
            with self.subTest(str(key)):
                self.start_lying({**ALICE, **key})
                self.check_nobody('copy', ['alice'])

    def test_of_a_card_that_is_known_to_be_revoked(self):
        service_scenario.SERVICE.start()
        self.wait_card()
        self.check_inside(*self.log_in())
        scenario.RIG.revoke('alice-rsa2048')
        self.again(trust__ask_always='yes')
        terminal = self.su()
        terminal.expect(rb'revoked')
        terminal.kill()
        self.drop_tickets()
        for values in ({}, {'kept': 1, 'kdc_silent': 1}):
            with self.subTest(str(values)):
                self.start_lying({**ALICE, **values})
                self.check_nobody('it is good', ['alice'])

    @staticmethod
    def account_phase(user):
        """As a program of root's: how it ends."""
        with varlink.Connection(service_module.RUN / 'io.cardmap') as connection:
            connection.call('io.cardmap.Login.Begin', {'user': user, 'service': 'sshd', 'purpose': 'account'}, more=True)
            return connection.receive()['parameters']

    def test_of_a_name_in_the_account_phase(self):
        """It may refuse, and what is kept is all that can enter; who is none of ours becomes nobody by what it says."""
        service_scenario.SERVICE.start()
        self.wait_card()
        self.check_inside(*self.log_in())
        service_scenario.SERVICE.stop()
        kept = service_scenario.SERVICE.store.read_bytes(), service_scenario.SERVICE.store.with_name(service_scenario.SERVICE.store.name + '-wal').read_bytes()
        self.configure(enforcement__required='no', directory__timeout=300)
        for lie, values, reason, stays in OF_ALICES_NAME:
            with self.subTest(lie):
                service_scenario.SERVICE.stop()
                service_scenario.SERVICE.store.write_bytes(kept[0])
                service_scenario.SERVICE.store.with_name(service_scenario.SERVICE.store.name + '-wal').write_bytes(kept[1])
                self.start_lying(values)
                end = self.account_phase('alice')
                self.assertEqual((end['state'], end.get('reason')), ('refused', reason) if reason else ('granted', None), end)
                if not reason:
                    self.assertEqual((end['grant']['uid'], end['grant']['gid'], end['grant']['home']),
                                     (ALICE_UID, computer_module.PEOPLE_GID, '/home/alice'))
                self.assertEqual(self.kept(), ['alice'] if stays else [])
                # of bob it says nothing that concerns enforcement, and so nothing is known of him
                for user, why in (('bob', 'card_required'), (computer_module.LOCAL, None), ('root', None)):
                    end = self.account_phase(user)
                    self.assertEqual((end['state'], end.get('reason')), ('refused', why), f'{lie}: {user}: {end}')
        self.again(enforcement__required='yes')
        self.start_lying(ALICE)
        for user in ('alice', 'bob', computer_module.LOCAL):
            self.assertEqual(self.account_phase(user)['reason'], 'card_required')

    def test_groups_that_a_directory_must_not_hand_out(self):
        self.exchange('bob')
        self.start_lying(BOB)
        with open(LIE, 'a', encoding='utf-8') as out:
            out.write('group=sudo:27\ngroup=disk:6\ngroup=wheel0:0\ngroup=_cardmap:990\ngroup=engineering:10101\n')
        self.check_inside(*self.log_in(user='bob'), user='bob')
        account = service_scenario.SERVICE.ask('io.cardmap.Accounts')['accounts'][0]['account']
        self.assertEqual([group['name'] for group in account['groups']], ['engineering'])


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    assert subprocess
    service_scenario.main()
