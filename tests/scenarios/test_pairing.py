#!/usr/bin/python3
"""test_pairing.py: cards paired with accounts by their key, and programs that name a card's user."""
import hashlib
import os
import shutil
import sqlite3
import subprocess
import unittest
from pathlib import Path

import mapping
import scenario
from scenario import PIN, WRONG_PIN, Counts, Scenario, people, said

SID_OF_SID = people.pki.SID_OF_SID

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ('slapd', 'ocsp', 'http')
ALONE = scenario.demo.as_alice_if_alone()
LOCAL = ('loc', 20001)
BY_UPN, BY_SERIAL = {'mapper__forms': 'kerberos'}, {'mapper__forms': 'issuer-serial'}


def key_hash(card):
    """As sc_auth(8) prints it."""
    return mapping.key_hash(card).upper()


class PairingCase(Scenario):
    """carol's certificate is in no entry of the directory; its chain and revocation are as they should be."""
    servers = SERVERS

    def setUp(self):
        super().setUp()
        self.settings = {'kerberos.ticket': 'off'}
        self.hash = key_hash('carol')
        if ALONE:  # there, they belong to a root who is not ours
            self.replace('/etc/passwd')
            self.replace('/etc/group')

    def as_root(self, command, *arguments, **options):
        """Who pairs is root, also where a login is the user's own because only one user id is there."""
        before, scenario.PREFIX = scenario.PREFIX, []
        try:
            return self.ask(command, *arguments, **options)
        finally:
            scenario.PREFIX = before

    def pair(self, user, *arguments, card='carol', pin=PIN, **options):
        return self.as_root('pair', *arguments, user, card=card, pin=pin, **options)

    def unpair(self, *arguments, **options):
        return self.as_root('unpair', *arguments, card=None, **options)

    def enter(self, *arguments, card='carol', **options):
        return self.login(*arguments, card=card, **options)

    def pairings(self, *arguments):
        if not self.store.exists():
            return []
        found = self.as_root('pairings', *arguments, card=None).json['pairings']
        return [(entry['hash'], entry['user'], entry['local']) for entry in found]

    def kept(self):
        return [entry['account']['name'] for entry in self.as_root('accounts', 'list', card=None).json['accounts']]

    def network_down(self):
        scenario.RIG.stop(*SERVERS)

    def local_account(self, *names):
        """/etc/passwd of this test's own: the rig's, and these behind it."""
        self.passwd = self.replace('/etc/passwd', ''.join(
            f'{name}:x:{LOCAL[1] + number}:{LOCAL[1]}:Local {name}:/home/{name}:/bin/sh\n'
            for number, name in enumerate(names)))

    def replace(self, path, more=''):
        copy = self.folder / f'{Path(path).name}{len(more)}'
        copy.write_text(Path(path).read_text() + more)
        copy.chmod(0o644)
        said(['mount', '--bind', copy, path])
        self.addCleanup(said, ['umount', path])
        return copy


class DirectoryAccountTest(PairingCase):
    card = 'carol'

    def test_pair_and_log_in(self):
        self.enter(card=None, status=1, reason='no_account')
        with Counts() as counts:
            answer = self.pair('bob', card=None)
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
        self.assertEqual((answer.json['hash'], answer.account, answer.json['kept_by']), (self.hash, 'bob', str(self.store)))
        self.assertEqual(self.pairings(), [(self.hash, 'bob', False)])
        self.assertEqual(self.pairings('alice'), [])
        self.assertEqual([(one['hash'], one['user']) for one in self.as_root('identities', card=None).json['identities']],
                         [(self.hash, 'bob')])
        answer = self.enter(card=None)
        self.assertEqual((answer.account, answer.json['account']['rule'], answer.json['account']['matched']),
                         ('bob', 'pairing', 'bob'))
        self.assertEqual(self.kept(), ['bob'])
        self.assertEqual(self.ask('whois', card=None).account, 'bob')

    def test_one_search_asks_rules_and_pairing(self):
        self.pair('bob', card=None)
        with Counts() as counts:
            self.ask('whois', card=None)
        self.assertEqual(counts.searches('altSecurityIdentities'), 1)
        self.assertEqual(counts.searches(), 2, 'and one for the groups')

    def test_another_key_opens_nothing(self):
        self.pair('bob', card=None)
        self.insert('no-upn')
        self.enter(card=None, status=1, reason='no_account')

    def test_wrong_pin_pairs_nothing(self):
        answer = self.pair('bob', card=None, pin=WRONG_PIN, status=3, reason='pin_wrong')
        self.assertEqual((answer.json['tries_left'], self.tries(), self.pairings()), (2, 2, []))

    def test_blocked_pin_pairs_nothing(self):
        self.control('tries 0')
        with Counts() as counts:
            self.pair('bob', card=None, status=3, reason='pin_blocked')
        self.assertEqual((counts.verifies(), self.pairings()), (0, []))

    def test_the_last_try_is_not_spent_unasked(self):
        self.control('tries 1')
        self.pair('bob', card=None, status=3, reason='pin_last_try')
        self.assertEqual((self.tries(), self.pairings()), (1, []))
        self.pair('bob', '--last-try', card=None)

    def test_a_copied_certificate_pairs_nothing(self):
        self.insert('carol', key='bob')
        self.pair('bob', card=None, status=3, reason='card_key')
        self.assertEqual(self.pairings(), [])

    def test_no_card(self):
        self.control('remove')
        self.addCleanup(self.put_back)
        answer = self.pair('bob', card=None, status=4)
        self.assertIn(answer.reason, ('no_card', 'no_reader'))


class RuleTest(PairingCase):
    def test_a_rule_goes_before_a_pairing(self):
        self.pair('bob', card='alice-p256')
        answer = self.enter(card='alice-p256')
        self.assertEqual(answer.account, 'alice')
        self.assertEqual(answer.seen('account', 'pairing'), ['with bob'])

    def test_a_pairing_counts_where_no_rule_applies(self):
        self.enter(card='no-upn', status=1, reason='no_rule', more=BY_UPN)
        self.pair('bob', card='no-upn')
        self.assertEqual(self.enter(card='no-upn', more=BY_UPN).account, 'bob')
        self.unpair('bob')
        self.enter(card='no-upn', status=1, reason='no_rule', more=BY_UPN)

    def test_who_may_not_be_paired(self):
        for user, status, reason in (('toor', 3, 'account_forbidden'), ('sysuser', 3, 'account_forbidden'),
                                     ('nobody-at-all', 1, 'no_account'), ('root', 3, 'account_forbidden'),
                                     ('*', 1, 'no_account'), ('bob)(uid=*', 1, 'no_account')):
            with self.subTest(user):
                self.pair(user, status=status, reason=reason)
        self.assertEqual(self.pairings(), [])

    def test_an_untrusted_card_is_not_paired(self):
        for card, reason in (('stranger', 'cert_untrusted'), ('expired', 'cert_expired'), ('wrong-eku', 'cert_usage')):
            with self.subTest(card):
                self.pair('bob', card=card, status=3, reason=reason)
        self.assertEqual(self.pairings(), [])

    def test_a_card_that_says_whose_it_is(self):
        """CVE-2022-26923's answer holds for pairings too: objectSid is the certificate's, or nobody gets in."""
        other = SID_OF_SID[:-1] + '6'
        self.change_directory(people.person_dn('bob'), ('objectSid', [other]))
        self.pair('bob', card='sid', status=3, reason='other_sid')
        self.change_directory(people.person_dn('bob'), ('objectSid', [SID_OF_SID]))
        self.pair('bob', card='sid')
        self.assertEqual(self.enter(card='sid', more=BY_SERIAL).account, 'bob')
        self.change_directory(people.person_dn('bob'), ('objectSid', [other]))
        self.enter(card='sid', status=3, reason='other_sid', more=BY_SERIAL)

    def test_level_off_binds_by_the_key_alone(self):
        off = {'trust__level': 'off'}
        self.enter(card='stranger', status=1, reason='no_account', more=off)
        self.pair('bob', card='stranger', more=off)
        self.assertEqual(self.enter(card='stranger', more=off).account, 'bob')
        self.enter(card='stranger', status=3, reason='cert_untrusted')
        self.enter(card='alice-p256', status=1, reason='no_account', more=off)  # her Kerberos: value is anybody's

    def test_a_paired_card_is_judged_as_any(self):
        scenario.RIG.revoke('carol')
        self.addCleanup(scenario.RIG.unrevoke, 'carol')
        self.pair('bob')
        self.enter(status=3, reason='revoked')

    def test_paired_otherwise(self):
        self.pair('bob')
        self.pair('bob')
        for user in ('alice', 'erin'):
            with Counts() as counts:
                self.pair(user, status=2, reason='paired_otherwise')
            self.assertEqual(counts.verifies(), 0)
        self.assertEqual(self.pairings(), [(self.hash, 'bob', False)])
        self.assertEqual(self.enter().account, 'bob')

    def test_one_card_per_user(self):
        one = {'accounts__one_card_per_user': 'yes'}
        self.pair('bob', more=one)
        self.pair('bob', card='no-upn', status=3, reason='one_card', more=one)
        self.assertEqual(self.pairings(), [(self.hash, 'bob', False)])
        self.pair('bob', card='no-upn')
        self.assertEqual({pairing[0] for pairing in self.pairings('bob')}, {self.hash, key_hash('no-upn')})

    def test_no_new_pairings(self):
        self.pair('bob')
        no = {'accounts__user_pairing': 'no'}
        self.pair('erin', card='no-upn', status=3, reason='pairing_off', more=no)
        self.assertEqual(self.enter(more=no).account, 'bob')
        self.unpair('bob', more=no)

    def test_only_root_pairs(self):
        other = {'wrapper': ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']} if not ALONE else {}
        self.folder.joinpath('store').chmod(0o755)
        for command, arguments in (('pair', ['bob']), ('unpair', ['bob']),
                                   ('selector', ['-o', 'unbind', '-i', self.hash])):
            with self.subTest(command):
                self.ask(command, *arguments, pin=PIN if command == 'pair' else None, card='carol', status=3,
                         reason='not_root', more={'directory__bind_dn': None, 'directory__bind_password_file': None}, **other)
        self.assertEqual(self.pairings(), [])

    def test_unpair(self):
        self.pair('bob')
        self.pair('bob', card='no-upn')
        self.pair('erin', card='stranger', more={'trust__level': 'off'})
        self.unpair(self.hash.lower())
        self.assertEqual({pairing[1:] for pairing in self.pairings()}, {('bob', False), ('erin', False)})
        self.enter(status=1, reason='no_account')
        self.unpair('bob', key_hash('stranger'))
        self.assertEqual(self.pairings(), [])
        for what in ('bob', self.hash):
            self.unpair(what, status=1, reason='not_paired')

    def test_wanted_user(self):
        self.pair('bob')
        self.assertEqual(self.enter('bob').account, 'bob')
        self.enter('alice', status=3, reason='not_this_user')
        self.ask('whois', 'alice', card='carol', status=3, reason='not_this_user')
        hint = {'mapper__several_accounts': 'hint'}
        self.enter(card='dave', status=2, reason='several_accounts', more=hint)
        self.enter('dave', card='dave', status=2, reason='several_accounts')
        for name in ('dave', 'dave-admin'):
            self.assertEqual(self.enter(name, card='dave', more=hint).account, name)
            self.assertEqual(self.ask('whois', name, card='dave', more=hint).account, name)
        self.enter('bob', card='dave', status=3, reason='not_this_user', more=hint)

    def test_the_pin_is_written_nowhere(self):
        texts = [self.pair('bob').out, self.enter().out]
        for path in self.folder.rglob('*'):
            if path.is_file():
                self.assertNotIn(PIN.encode(), path.read_bytes(), path)
        self.assertFalse(any(PIN in text for text in texts))


class OfflineTest(PairingCase):
    def test_what_a_pairing_opened_opens_offline(self):
        self.pair('bob')
        self.enter()
        self.network_down()
        answer = self.enter()
        self.assertEqual((answer.account, answer.json['offline']), ('bob', True))

    def test_the_wanted_user_is_asked_for_offline_too(self):
        self.pair('bob')
        self.enter()
        self.network_down()
        self.enter('erin', status=3, reason='not_this_user')
        self.assertEqual(self.enter('bob').account, 'bob')

    def test_without_an_online_login_there_is_nothing_to_open(self):
        self.pair('bob')
        self.network_down()
        self.enter(status=4, reason='not_kept')

    def test_unpair_ends_it_at_once(self):
        for card in ('carol', 'no-upn'):
            self.pair('bob', card=card)
            self.enter(card=card)
        self.network_down()
        self.assertEqual(self.kept(), ['bob', 'bob'])
        self.unpair(self.hash)
        self.assertEqual(self.kept(), ['bob'])
        self.enter(status=4, reason='not_kept')
        self.assertEqual(self.enter(card='no-upn').account, 'bob')
        self.unpair('bob')
        self.enter(card='no-upn', status=1, reason='no_rule', more=BY_UPN)

    def test_a_kept_account_stands_on_its_pairing(self):
        """However the pairing went: what was kept for it is not looked at alone."""
        self.pair('bob')
        self.enter()
        store = sqlite3.connect(self.store)
        store.execute('DELETE FROM pairing')
        store.commit()
        store.close()
        self.network_down()
        self.assertEqual(self.kept(), ['bob'])
        answer = self.enter(status=4, reason='not_kept')
        self.assertIn('no longer', answer.json['message'])

    def test_an_account_that_left_the_directory(self):
        self.pair('bob')
        self.enter()
        self.change_directory(people.person_dn('bob'), ('uidNumber', ['10']))
        self.enter(status=3, reason='account_forbidden')
        self.network_down()
        self.enter(status=4, reason='not_kept')

    def test_a_damaged_pairing_is_told_and_opens_nothing(self):
        self.pair('bob')
        store = sqlite3.connect(self.store)
        store.execute("UPDATE pairing SET user = 'alice'")
        store.commit()
        store.close()
        self.enter(status=4, reason='store')
        self.ask('whois', card='carol', status=4, reason='store')


class LocalAccountTest(PairingCase):
    def test_pair_and_log_in(self):
        self.local_account(LOCAL[0])
        answer = self.pair(LOCAL[0])
        self.assertEqual((answer.json['account']['uid'], self.pairings()), (LOCAL[1], [(self.hash, LOCAL[0], True)]))
        answer = self.enter()
        self.assertEqual((answer.account, answer.json['account']['uid'], answer.json['account']['rule']),
                         (*LOCAL, 'pairing'))
        self.assertTrue(answer.json['account']['source'].startswith('local:'))
        self.assertEqual(self.kept(), [], 'it is here: nothing to keep')

    def test_a_silent_directory_keeps_no_local_user_out(self):
        self.local_account(LOCAL[0])
        self.pair(LOCAL[0])
        self.network_down()
        answer = self.enter()
        self.assertEqual((answer.account, answer.json['offline']), (LOCAL[0], False))
        self.assertTrue(answer.seen('account', 'offline'))
        self.unpair(LOCAL[0])
        self.enter(status=4, reason='not_kept')

    def test_a_kept_account_goes_before_it(self):
        self.local_account(LOCAL[0])
        self.pair(LOCAL[0], card='alice-p256')
        self.assertEqual(self.enter(card='alice-p256').account, 'alice')
        self.network_down()
        answer = self.enter(card='alice-p256')
        self.assertEqual((answer.account, answer.json['offline']), ('alice', True))

    def test_an_account_that_is_gone(self):
        self.local_account(LOCAL[0])
        self.pair(LOCAL[0])
        left = [line for line in self.passwd.read_text().splitlines() if not line.startswith(LOCAL[0] + ':')]
        self.passwd.write_text('\n'.join(left) + '\n')
        self.enter(status=1, reason='no_account')
        self.network_down()
        self.enter(status=4, reason='not_kept')

    def test_two_accounts_of_one_name(self):
        self.local_account('bob')
        self.assertEqual(self.pair('bob').json['account']['uid'], LOCAL[1])
        self.pair('bob', '--remote', status=2, reason='paired_otherwise')
        self.assertEqual(self.enter().json['account']['uid'], LOCAL[1])
        self.unpair('bob')
        self.assertEqual(self.pair('bob', '--remote').json['account']['uid'], 10002)
        self.assertEqual(self.enter().json['account']['uid'], 10002)
        self.pair('erin', '--local', card='no-upn', status=1, reason='no_account')
        self.pair('erin', '--local', '--remote', card='no-upn', status=64, reason='usage')

    def test_without_any_directory(self):
        self.local_account(LOCAL[0])
        alone = {'directory__uri': ['local:'], 'directory__base': None}
        self.network_down()
        self.pair(LOCAL[0], more=alone)
        self.assertEqual(self.enter(more=alone).account, LOCAL[0])


class InTheDirectoryTest(PairingCase):
    def ldif(self, user, card='carol'):
        return self.ask('pair', '--ldif', user, card=card, pin=PIN).json['ldif']

    def test_the_change_is_ready_for_ldapmodify(self):
        text = self.ldif('bob')
        self.assertEqual(text, f'dn: {people.person_dn("bob")}\nchangetype: modify\nadd: altSecurityIdentities\n'
                               f'altSecurityIdentities: ;tokenidentity;{self.hash}\n-\n')
        self.assertEqual(self.pairings(), [])
        self.enter(status=1, reason='no_account')
        self.change_directory(people.person_dn('bob'))  # put back when this ends
        subprocess.run(['ldapmodify', '-x', '-H', f'ldap://127.0.0.1:{scenario.rig_module.LDAP_PORT}', '-D',
                        people.ADMIN_DN, '-w', people.ADMIN_PASSWORD], input=text, text=True, check=True,
                       capture_output=True, timeout=scenario.SECONDS)
        self.addCleanup(self.write_entry, people.person_dn('bob'), [('altSecurityIdentities', [people.kerberos('bob')])])
        answer = self.enter()
        self.assertEqual((answer.account, answer.json['account']['rule']), ('bob', 'tokenidentity'))

    def test_it_takes_the_proof_too(self):
        self.ask('pair', '--ldif', 'bob', card='copied', pin=PIN, status=3, reason='card_key')

    def test_another_value_goes_before_it(self):
        value = f';tokenidentity;{key_hash("alice-p256")}'
        self.change_directory(people.person_dn('bob'), ('altSecurityIdentities', [people.kerberos('bob'), value]))
        self.assertEqual(self.enter(card='alice-p256').account, 'alice')

    def test_legacy_value(self):
        self.change_directory(people.person_dn('bob'), ('altSecurityIdentities', [f';pubkeyhash;{self.hash.lower()}']))
        self.assertEqual(self.enter().account, 'bob')


@unittest.skipIf(ALONE, 'one user id only: no program is root\'s, and nobody cannot be become')
class SelectorTest(PairingCase):
    def setUp(self):
        super().setUp()
        self.calls = self.folder / 'calls'
        self.calls.touch()
        self.calls.chmod(0o666)

    def selector(self, text, name='selector', mode=0o755):
        path = self.folder / name
        path.write_text('#!/bin/sh\n' + text)
        path.chmod(mode)
        self.settings['mapper.selector'] = path
        return path

    def answering(self, user):
        return self.selector(f'echo "$*" >>{self.calls}\n[ "$2" != map ] || printf "{self.hash}\\t{user}\\n"\n')

    def test_explain_blames_the_selector_and_no_value(self):
        """Its word is the last: what the directory holds mends nothing."""
        for text, said in ((':\n', 'not_selected'), (f'printf "{self.hash}\\tnobody-here\\n"\n', 'nobody-here')):
            self.selector(text)
            for user in ([], ['bob']):
                answer = self.ask('explain', *user, card='carol', status=1)
                self.assertNotIn('explanation', answer.json)
                self.assertIn(said, answer.reason + answer.json['message'])

    def test_it_names_the_user(self):
        self.answering('bob')
        answer = self.enter()
        self.assertEqual((answer.account, answer.json['account']['rule']), ('bob', 'selector'))
        self.assertEqual(self.calls.read_text(), f'-o map -i {self.hash}\n')
        self.enter('bob')
        self.assertEqual(self.calls.read_text().splitlines()[1], f'-o map -u bob -i {self.hash}')
        self.network_down()
        self.assertEqual(self.enter().json['offline'], True)

    def test_its_word_is_the_last(self):
        """Instead of rules and pairings; and a "nobody" ends what was kept."""
        self.pair('bob')
        self.enter()
        self.answering('erin')
        self.assertEqual(self.enter().account, 'erin')
        self.selector(':\n')
        self.enter(status=1, reason='not_selected')
        del self.settings['mapper.selector']
        self.network_down()
        self.enter(status=4, reason='not_kept')

    def test_nobody_for_one_user_is_no_word_about_others(self):
        self.selector(f'[ "$3" = -u ] || printf "{self.hash}\\tbob\\n"\n')
        self.enter()
        self.enter('erin', status=1, reason='not_selected')
        self.assertEqual(self.kept(), ['bob'])
        self.enter('bob', status=1, reason='not_selected')
        self.assertEqual(self.kept(), [], 'of him it was the word')

    def test_it_only_proposes(self):
        for user, status, reason in (('toor', 3, 'account_forbidden'), ('sysuser', 3, 'account_forbidden'),
                                     ('nobody-at-all', 1, 'no_account'), ('*', 1, 'no_account')):
            with self.subTest(user):
                self.answering(user)
                self.enter(status=status, reason=reason)

    def test_what_it_may_not_answer(self):
        """No answer of it is a failure to ask: what was kept before stays."""
        self.answering('bob')
        self.enter()
        hostile = {
            'option': f"printf '{self.hash}\\t-bob\\n'", 'no tab': f'echo {self.hash} bob', 'path': f"printf '{self.hash}\\t../bob\\n'",
            'control': f"printf '{self.hash}\\tbob\\033[2J\\n'", 'not asked': "printf '%040d\\tbob\\n' 7", 'words': 'echo bob',
            'two': f"printf '{self.hash}\\tbob\\n{self.hash}\\terin\\n'", 'status': f"printf '{self.hash}\\tbob\\n'; exit 1",
            'signal': f"printf '{self.hash}\\tbob\\n'; kill -9 $$", 'floods': f"while :; do printf '{self.hash}\\tbob\\n'; done",
        }
        for name, text in hostile.items():
            self.selector(text + '\n')
            with self.subTest(name):
                answer = self.enter(status=4, reason='selector')
                self.assertIn(str(self.folder / 'selector'), answer.json['message'])
                self.assertEqual(self.kept(), ['bob'])

    def test_a_failure_is_seen_whoever_started_us(self):
        """Some leave SIGCHLD ignored to what they start, and then nobody is told how a child ends."""
        ignoring = ('env', '--ignore-signal=CHLD')
        self.answering('bob')
        self.assertEqual(self.enter(wrapper=ignoring).account, 'bob')
        self.selector(f"printf '{self.hash}\\terin\\n'; exit 1\n")
        self.enter(status=4, reason='selector', wrapper=ignoring)

    def test_a_hanging_program_is_ended(self):
        self.selector(f'echo $$ >>{self.calls}\nsleep 1000\n')
        answer = self.enter(status=4, reason='selector')
        self.assertIn('took too long', answer.json['message'])
        self.assertFalse(Path('/proc', self.calls.read_text().strip()).exists())

    def test_a_program_that_others_may_write(self):
        path = self.answering('bob')
        path.chmod(0o777)
        self.assertIn('others may write', self.enter(status=4, reason='selector').json['message'])
        path.chmod(0o755)
        os.chown(path, 65534, 0)
        self.assertIn('belongs to uid 65534', self.enter(status=4, reason='selector').json['message'])
        os.chown(path, 0, 0)
        link = self.folder / 'link'
        link.symlink_to(path)
        self.settings['mapper.selector'] = link
        self.assertIn('is a link', self.enter(status=4, reason='selector').json['message'])
        self.assertEqual(self.calls.read_text(), '')

    def test_a_missing_program_leaves_the_built_in_one(self):
        self.settings['mapper.selector'] = self.folder / 'missing'
        answer = self.enter(card='alice-p256')
        self.assertEqual(answer.account, 'alice')
        self.assertTrue(any('is not there' in text for text in answer.seen('account', 'selector')), str(answer))
        self.pair('bob')
        self.assertEqual(self.enter().account, 'bob')

    def test_what_it_is_given(self):
        self.selector(f'{{ id -u; id -g; env; ls /proc/$$/fd; }} >{self.calls}\n')
        self.enter(status=1, reason='not_selected', env={'CM_SECRET': 'leaked'})
        lines = self.calls.read_text().splitlines()
        self.assertNotIn('0', lines[:2])
        self.assertFalse([line for line in lines if 'CM_' in line or 'LD_' in line or 'ASAN' in line], lines)
        self.assertLessEqual(set(lines[-5:]) - {'PATH=/usr/bin:/bin', 'PWD=/'}, {'0', '1', '2', '3', '10', '11'}, 'the shell has 10 and 11')

    def test_it_is_told_of_pairings(self):
        self.answering('bob')
        answer = self.pair('bob')
        self.assertEqual(answer.json['kept_by'], str(self.folder / 'selector'))
        self.assertEqual(self.pairings(), [])
        self.as_root('unpair', 'bob', card='carol')
        self.unpair(self.hash)
        self.assertEqual(self.calls.read_text().splitlines(), [
            f'-o bind -u bob -i {self.hash}', f'-o unbind -u bob -i {self.hash}', f'-o unbind -i {self.hash}'])
        self.selector('exit 5\n')
        self.pair('bob', status=4, reason='selector')

    def test_it_is_told_nothing_without_the_proof(self):
        self.answering('bob')
        self.pair('bob', card='copied', status=3, reason='card_key')
        self.assertEqual(self.calls.read_text(), '')

    def test_a_plist_names_it_too(self):
        path = self.answering('bob')
        del self.settings['mapper.selector']
        plist = self.folder / 'selector.plist'
        plist.write_text('<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict><key>UserSelector</key>'
                         f'<string>{path}</string></dict></plist>\n')
        plist.chmod(0o644)
        self.assertEqual(self.enter(more={'mapper__plist': plist}).account, 'bob')


class AsSelectorTest(PairingCase):
    """The same call, answered: cardmap selector."""

    def map(self, *keys, card='carol', more=None, status=0, user=(), reason=None):
        source = ['--card', f'file:{scenario.RIG.pki}/{card}.pem']
        before, scenario.PREFIX = scenario.PREFIX, []
        try:
            answer = self.cardmap('selector', '--config', self.conf(**(more or {})), *source, '-o', 'map', *user, '-i',
                                  ','.join(keys), status=status)
        finally:
            scenario.PREFIX = before
        if reason:
            self.assertIn(f'reason:  {reason}\n', answer.err)
        return answer.out

    def test_pairings(self):
        self.assertEqual(self.map(self.hash, card='bob'), '')
        self.pair('bob')
        other = hashlib.sha1(b'another').hexdigest().upper()
        self.assertEqual(self.map(self.hash, card='bob'), f'{self.hash}\tbob\n')
        self.assertEqual(self.map(other, self.hash.lower(), card='bob'), f'{self.hash}\tbob\n')
        self.assertEqual(self.map(self.hash, card='bob', user=['-u', 'alice']), '')
        self.assertEqual(self.map(self.hash, card='bob', user=['-u', 'bob']), f'{self.hash}\tbob\n')

    def test_the_card_that_is_in_gets_all_rules(self):
        alice, bob = key_hash('alice-p256'), key_hash('bob')
        self.assertEqual(self.map(alice, bob, card='bob'), f'{bob}\tbob\n')
        self.assertEqual(self.map(alice, bob, card='alice-p256'), f'{alice}\talice\n')
        self.assertEqual(self.map(alice, card='no-such-card'), '')

    def test_values_of_the_directory(self):
        for value, user in ((f';tokenidentity;{self.hash}', 'erin'), (f'X509:<SHA1-PUKEY>{self.hash.lower()}', 'erin')):
            with self.subTest(value):
                self.change_directory(people.person_dn('erin'), ('altSecurityIdentities', [value]))
                self.assertEqual(self.map(self.hash, card='bob'), f'{self.hash}\t{user}\n')
        self.change_directory(people.person_dn('bob'), ('altSecurityIdentities', [f'X509:<SHA1-PUKEY>{self.hash}']))
        self.map(self.hash, card='bob', status=2, reason='several_accounts')

    def test_what_no_rule_asks_for_names_nobody(self):
        """As at a login: who limits the rules limits this answer."""
        self.change_directory(people.person_dn('erin'), ('altSecurityIdentities', [f';tokenidentity;{self.hash}']))
        rule = 'rule "own" {{ attribute = altSecurityIdentities value = \'{}\' }}\n'
        for forms, rules, found in (('kerberos', '', False), ('tokenidentity', '', True), ('altSecurityIdentities', '', True),
                                    (None, rule.format('Kerberos:{nt_principal_name}'), False),
                                    (None, rule.format(';tokenidentity;{public_key!sha1_u}'), True)):
            self.rules = rules
            self.assertEqual(self.map(self.hash, card='bob', more={'mapper__forms': forms}),
                             f'{self.hash}\terin\n' if found else '', (forms, rules))
            self.assertEqual(self.enter(more={'mapper__forms': forms}, status=None).status == 0, found)
        self.rules = rule.format('Kerberos:{nt_principal_name}')
        self.pair('bob')
        self.assertEqual(self.map(self.hash, card='bob'), f'{self.hash}\tbob\n')

    def test_silence_is_no_answer(self):
        self.network_down()
        self.assertEqual(self.map(self.hash, card='bob', status=4, reason='directory_offline'), '')

    def test_a_local_account_needs_no_server(self):
        self.local_account(LOCAL[0])
        self.pair(LOCAL[0])
        self.network_down()
        self.assertEqual(self.map(self.hash, card='bob'), f'{self.hash}\t{LOCAL[0]}\n')

    def test_what_cannot_be_read_is_not_nobody(self):
        """Who is not root does not learn whom a key is paired with; a rule's answer needs no pairing."""
        other = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
        root, inter = (shutil.copy(scenario.RIG.pki / name, self.folder / name) for name in ('root.crt', 'inter.crt'))
        more = {'directory__bind_dn': None, 'directory__bind_password_file': None, 'directory__ca': root,
                'trust__anchors': [root], 'trust__intermediates': [inter]}
        self.pair('bob')
        if ALONE:  # one user id only
            self.store.chmod(0o640)
            other = []
        for card, status in (('bob', 0), ('carol', 4)):
            answer = self.cardmap('selector', '--config', self.conf(**more), '-o', 'map', '-i', key_hash(card), '--card',
                                  f'file:{self.public(card)}', wrapper=other, status=status)
            self.assertEqual(bool(answer.out), status == 0, str(answer))
        answer = self.ask('whois', card=None, status=1, reason='no_account', wrapper=other,
                          more=more | {'card__source': f'file:{self.public("carol")}'})
        self.assertIn('cannot be read', answer.json['message'])

    def public(self, card):
        """A card file that others may read."""
        path = self.folder / f'{card}.pem'
        path.write_bytes((scenario.RIG.pki / f'{card}.pem').read_bytes())
        path.chmod(0o644)
        return path

    def test_a_local_account_that_is_gone_leaves_silence(self):
        self.local_account(LOCAL[0])
        self.pair(LOCAL[0])
        self.passwd.write_text(''.join(line for line in self.passwd.open() if not line.startswith(LOCAL[0] + ':')))
        self.network_down()
        self.map(self.hash, card='bob', status=4, reason='directory_offline')
        self.ask('whois', card='carol', status=4, reason='directory_offline')

    def test_bind_and_unbind(self):
        self.as_root('selector', '-o', 'bind', '-u', 'bob', '-i', self.hash, card='alice-p256', pin=PIN, status=3,
                     reason='other_card')
        self.as_root('selector', '-o', 'bind', '-u', 'bob', '-i', self.hash, card='carol', pin=PIN)
        self.assertEqual(self.pairings(), [(self.hash, 'bob', False)])
        self.as_root('selector', '-o', 'unbind', '-u', 'alice', '-i', self.hash, status=1, reason='not_paired')
        self.as_root('selector', '-o', 'unbind', '-u', 'bob', '-i', self.hash)
        self.assertEqual(self.pairings(), [])

    def test_usage(self):
        for arguments in (['-o', 'map'], ['-i', self.hash], ['-o', 'steal', '-i', self.hash], ['-o', 'map', '-i', ''],
                          ['-o', 'map', '-i', self.hash + ','], ['-o', 'map', '-i', self.hash[1:]],
                          ['-o', 'bind', '-i', self.hash], ['-o', 'map', '-i', ','.join([self.hash] * 65)]):
            with self.subTest(arguments):
                self.ask('selector', *arguments, card='carol', status=64, reason='usage')

    @unittest.skipIf(ALONE, 'one user id only: no program is root\'s')
    def test_it_is_the_selector_that_it_calls(self):
        """A configured selector that asks cardmap is not asked again."""
        path = self.folder / 'selector'
        shutil.copy('/bin/false', path)
        path.chmod(0o755)
        self.pair('bob')
        self.assertEqual(self.map(self.hash, card='carol', more={'mapper__selector': path}), f'{self.hash}\tbob\n')


@unittest.skipIf(ALONE, 'one user id only: pkexec becomes nobody else')
class PolkitTest(PairingCase):
    """pkexec(1) and polkitd(8) with the policy that is installed: who may pair is the administrator's word."""
    ALLOWED = ('games', 5)
    OTHER = ('nobody', 65534)

    def setUp(self):
        super().setUp()
        # Where everybody may run it, wherever this repository is.
        self.program = Path(shutil.copy(scenario.plain(), self.folder / 'cardmap'))
        policy = (ROOT / 'packaging/io.cardmap.policy.in').read_text().replace('@CM_PROGRAM@', str(self.program))
        rule = ('polkit.addRule(function(action, subject) { if (action.id == "io.cardmap.pair") return subject.user == '
                f'"{self.ALLOWED[0]}" ? polkit.Result.YES : polkit.Result.NO; }});')
        for place, name, text in (('/usr/share/polkit-1/actions', 'io.cardmap.policy', policy),
                                  ('/etc/polkit-1/rules.d', '10-test.rules', rule)):
            folder = self.folder / name.replace('.', '-')
            folder.mkdir(mode=0o755)
            (folder / name).write_text(text)
            said(['mount', '--bind', folder, place])
            self.addCleanup(said, ['umount', place])
        Path('/run/dbus').mkdir(exist_ok=True)
        self.run_server(['dbus-daemon', '--system', '--nofork', '--nopidfile'], Path('/run/dbus/system_bus_socket').exists)
        self.run_server(['/usr/lib/polkit-1/polkitd', '--no-debug'], lambda: subprocess.run(
            ['pkaction', '--action-id', 'io.cardmap.pair'], capture_output=True, check=False).returncode == 0)

    def run_server(self, command, is_up):
        log = (self.folder / f'{Path(command[0]).name}.log').open('w')
        self.addCleanup(log.close)
        child = subprocess.Popen(command, stdout=log, stderr=log)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        scenario.wait_until(is_up, f'{command[0]} to be up')

    def pkexec(self, who, command, *arguments):
        """It keeps no descriptor but the first three: the PIN comes through standard input."""
        pin = ['--pin-fd', '0'] if command == 'pair' else []
        card = ['--card', f'file:{scenario.RIG.pki}/carol.pem'] if command == 'pair' else []
        # It serves no child of process 1, which this program is here.
        return subprocess.run(['setpriv', f'--reuid={who[1]}', f'--regid={who[1]}', '--clear-groups',
                               'sh', '-c', 'pkexec "$@"; exit $?', 'sh', self.program, command, '--config', self.conf(), *pin, *card, *arguments],
                              input=PIN + '\n', capture_output=True, text=True, timeout=scenario.SECONDS, check=False)

    def refused(self, done):
        """pkexec(1): 127 is "not authorized", or nobody to ask for a password; other failures end with it too."""
        self.assertEqual(done.returncode, 127, done)
        self.assertRegex(done.stderr, '(?i)not authorized|authentication agent', done)

    def test_who_is_allowed_pairs(self):
        self.refused(self.pkexec(self.OTHER, 'pair', 'bob'))
        self.assertEqual(self.pairings(), [])
        done = self.pkexec(self.ALLOWED, 'pair', 'bob')
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(self.pairings(), [(self.hash, 'bob', False)])
        self.assertNotIn(PIN, done.stdout + done.stderr)

    def test_what_was_not_allowed_wants_a_password(self):
        """unpair is an action of its own; nobody is there who could type an administrator's password."""
        self.pair('bob')
        self.refused(self.pkexec(self.ALLOWED, 'unpair', 'bob'))
        self.assertEqual(self.pairings(), [(self.hash, 'bob', False)])


if __name__ == '__main__':
    scenario.main()
