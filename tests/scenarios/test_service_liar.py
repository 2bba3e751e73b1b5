#!/usr/bin/python3
"""test_service_liar.py: a resolver that is taken over: it says what it likes, and nobody gets in by that."""
import os
import shutil
import unittest

import scenario
import varlink
import service_scenario
from scenario import ALICE_UID, PIN, said
from service_scenario import ServiceScenario

import computer as computer_module
import service as service_module
from rig import WORK
from service import RESOLVER

LIE = WORK / 'lie'
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
    service_scenario.main()
