#!/usr/bin/python3
"""test_offline.py: the network gone, in every way it goes: what was kept opens, and only that."""
import os
import unittest

import scenario
from scenario import DEADLINES, PIN, SERVERS, WRONG_PIN, Counts, Scenario, said

SLACK = 2.0  # seconds of a program with sanitizers on a busy machine
LIMIT = sum(DEADLINES.values()) / 1000 + SLACK
NO_TICKET = {'kerberos__ticket': 'off'}


class OfflineCase(Scenario):
    def network_down(self):
        scenario.RIG.stop(*SERVERS)

    def at(self, when, *arguments, **options):
        """A login with the clock moved."""
        return self.login(*arguments, binary=scenario.plain(), wrapper=scenario.clock(when), **options)

    def same_account(self, answer, before):
        def told(login):
            return {key: value for key, value in login.json['account'].items() if key != 'source'}
        self.assertEqual(told(answer), told(before))


class ServersTest(OfflineCase):
    def test_each_server_stopped_or_frozen_and_all_of_them(self):
        before = self.login()
        for how, undo in (('stop', 'start'), ('freeze', 'thaw')):
            for names in (*((name,) for name in SERVERS), SERVERS):
                with self.subTest(f'{how} {" ".join(names)}'):
                    getattr(scenario.RIG, how)(*names)
                    answer = self.login()
                    getattr(scenario.RIG, undo)(*names)
                    self.same_account(answer, before)
                    self.assertLess(answer.seconds, LIMIT)
                    self.assertEqual(answer.json['offline'], 'slapd' in names)
                    self.assertEqual('principal' in answer.json, 'kdc' not in names)

    def test_first_login_while_one_is_frozen(self):
        """Nothing is kept yet: without the directory there is no account; the others are not asked for one."""
        for name in SERVERS:
            with self.subTest(name):
                scenario.RIG.freeze(name)
                answer = self.login(status=4 if name == 'slapd' else 0)
                scenario.RIG.thaw(name)
                self.assertLess(answer.seconds, LIMIT)
                if name == 'slapd':
                    self.assertEqual(answer.reason, 'not_kept')
                else:
                    self.assertEqual(answer.account, 'alice')
                    self.store.unlink()

    def test_deadline_is_the_configured_one(self):
        self.login()
        scenario.RIG.freeze('slapd')
        for timeout in (200, 1200):
            answer = self.login(more={'directory__timeout': timeout})
            took = answer.stage('account')['us'] / 1000
            self.assertGreaterEqual(took, timeout * 0.9)
            self.assertLess(took, timeout + 400)

    def test_it_says_offline_and_how_old_the_evidence_is(self):
        self.login()
        self.network_down()
        text = self.cardmap('login', '--config', self.conf(), '--card', f'file:{scenario.RIG.pki}/alice-rsa2048.pem',
                            pin=PIN).out
        self.assertRegex(text, r'(?m)^directory +offline: account as kept \d+ s ago$')
        self.assertRegex(text, r'(?m)^evidence +not revoked, learned \d+ s ago from OCSP http://127.0.0.1:8081/, '
                               r'good until 20')
        self.assertRegex(text, r'(?m)^ticket +none: no KDC answered$')
        answer = self.login()
        self.assertTrue(answer.json['offline'])
        self.assertGreaterEqual(answer.json['evidence_age'], 0)
        self.assertGreaterEqual(answer.json['kept_age'], 0)

    def test_explain_says_offline_and_never_no_user(self):
        self.login()
        self.network_down()
        for card, status in (('alice-rsa2048', 0), ('bob', 4)):
            answer = self.ask('explain', card=card, status=status)
            self.assertTrue(answer.seen('account', 'offline'), str(answer))
            self.assertNotIn('no_account', answer.out)

    def test_works_again_when_the_network_is_back(self):
        self.login()
        self.network_down()
        self.assertTrue(self.login().json['offline'])
        scenario.RIG.start(*SERVERS)
        answer = self.login()
        self.assertEqual((answer.json['offline'], answer.json['principal']), (False, 'alice@CARDMAP.TEST'))

    def test_offline_asks_nobody_for_long(self):
        """Nothing listens: refused connections are not waited for."""
        self.login()
        self.network_down()
        self.assertLess(self.login().seconds, SLACK)


class CardOfflineTest(OfflineCase):
    card = 'alice-rsa2048'

    def test_the_card_still_proves_that_it_holds_the_key(self):
        self.login(card=None)
        self.network_down()
        with Counts() as counts:
            self.assertEqual(self.login(card=None).account, 'alice')
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
        self.login(card=None, pin=WRONG_PIN, status=3, reason='pin_wrong')

    def test_a_frozen_pcscd_is_given_up(self):
        scenario.RIG.freeze('pcscd')
        self.addCleanup(scenario.RIG.thaw, 'pcscd')
        answer = self.login(card=None, status=4, more={'card__timeout': 500})
        self.assertIn(answer.reason, ('card_silent', 'no_reader'), str(answer))
        self.assertLess(answer.seconds, 0.5 + SLACK)


class EvidenceTest(OfflineCase):
    hard = {'trust__level': 'hard'}

    def test_hard_passes_on_valid_kept_evidence(self):
        self.login(more=self.hard)
        self.network_down()
        self.assertEqual(self.login(more=self.hard).account, 'alice')

    def test_hard_is_refused_without_evidence(self):
        scenario.RIG.stop('ocsp', 'http')
        self.login()
        self.network_down()
        self.login(status=3, reason='revocation_unknown', more=self.hard)
        self.assertEqual(self.login().account, 'alice', 'soft passes')

    def test_hard_is_refused_when_the_evidence_has_expired(self):
        """The responder's answers hold an hour."""
        self.login(more=self.hard)
        self.network_down()
        self.assertEqual(self.at('+30m', more=self.hard).account, 'alice')
        answer = self.at('+2h', status=3, reason='revocation_unknown', more=self.hard)
        self.assertIn('expired', answer.json['message'])
        self.assertEqual(self.at('+2h').account, 'alice', 'soft passes')

    def test_only_ldap_blocked_does_not_skip_revocation(self):
        self.settings['trust.ask_always'] = 'yes'
        self.login()
        scenario.RIG.revoke('alice-rsa2048')
        for how in ('stop', 'freeze'):
            getattr(scenario.RIG, how)('slapd')
            with self.subTest(how):
                self.login(status=3, reason='revoked')
            scenario.RIG.start('slapd')

    def test_only_ldap_blocked_and_revocation_is_asked(self):
        self.settings['trust.ask_always'] = 'yes'
        self.login()
        scenario.RIG.stop('slapd')
        with Counts() as counts:
            answer = self.login()
        self.assertTrue(answer.json['offline'])
        self.assertTrue([text for text in answer.seen('revocation', 'ocsp') if 'good' in text], str(answer))
        self.assertEqual(counts.packets['connections'] >= 2, True)

    def test_only_ldap_blocked_still_gives_a_ticket(self):
        self.login()
        scenario.RIG.stop('slapd')
        answer = self.login()
        self.assertEqual((answer.json['offline'], answer.json['principal']), (True, 'alice@CARDMAP.TEST'))
        self.assertIn('alice@CARDMAP.TEST', self.klist())


class NotKeptTest(OfflineCase):
    def test_a_card_never_seen(self):
        """Known to the directory or not: nobody can tell now, and nobody says that there is no such user."""
        self.login()
        self.network_down()
        for card in ('bob', 'carol', 'alice-p256'):
            with self.subTest(card):
                answer = self.login(card=card, status=4, reason='not_kept')
                self.assertNotRegex(answer.out + answer.err, r'(?i)no such user|no account|no_account')

    def test_mapping_deleted_but_the_cache_still_admits(self):
        self.login()
        self.change_directory(scenario.people.person_dn('alice'), ('altSecurityIdentities', []))
        self.login(status=1, reason='no_account')
        self.network_down()
        self.login(status=4, reason='not_kept')

    def test_mapping_now_of_two_accounts(self):
        self.login()
        self.change_directory(scenario.people.person_dn('bob'),
                              ('altSecurityIdentities', [scenario.people.kerberos('alice')]))
        self.login(status=2, reason='several_accounts')
        self.network_down()
        self.login(status=4, reason='not_kept')

    def test_mapping_now_of_a_forbidden_account(self):
        self.login()
        self.change_directory(scenario.people.person_dn('alice'), ('uidNumber', ['0']))
        self.login(status=3, reason='account_forbidden')
        self.network_down()
        self.login(status=4, reason='not_kept')

    def test_mapping_moved_to_another_account(self):
        self.login()
        values = [scenario.people.kerberos('alice'), scenario.people.of_card('alice-rsa2048')]
        self.change_directory(scenario.people.person_dn('alice'), ('altSecurityIdentities', []))
        self.change_directory(scenario.people.person_dn('bob'), ('altSecurityIdentities', values))
        self.assertEqual(self.login(more=NO_TICKET).account, 'bob')
        self.network_down()
        self.assertEqual(self.login(more=NO_TICKET).account, 'bob')

    def test_a_silent_directory_withdraws_nothing(self):
        self.login()
        scenario.RIG.freeze('slapd')
        self.assertTrue(self.login().json['offline'])
        self.assertTrue(self.login().json['offline'])

    def test_rules_that_no_longer_lead_to_the_account(self):
        self.login()
        path = self.folder / 'SmartcardLogin.plist'
        path.write_text("""<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict><key>AttributeMapping</key><dict>
<key>fields</key><array><string>Common Name</string></array><key>formatString</key><string>$1</string>
<key>dsAttributeString</key><string>dsAttrTypeStandard:RealName</string></dict></dict></plist>
""")
        self.network_down()
        self.login(status=4, reason='not_kept', more={'mapper__plist': path})
        self.assertEqual(self.login().account, 'alice')

    def test_moved_to_another_account_and_asked_by_the_old_name(self):
        """The directory was asked about alice and says bob: her kept account is not the card's any more."""
        self.login()
        values = [scenario.people.kerberos('alice'), scenario.people.of_card('alice-rsa2048')]
        self.change_directory(scenario.people.person_dn('alice'), ('altSecurityIdentities', []))
        self.change_directory(scenario.people.person_dn('bob'), ('altSecurityIdentities', values))
        self.login('alice', status=3, reason='not_this_user', more=NO_TICKET)
        self.network_down()
        self.login('alice', status=4, reason='not_kept', more=NO_TICKET)

    def test_moved_while_too_old_to_be_used(self):
        """Kept a day too long, it is withdrawn as well: the allowance may be raised."""
        self.login()
        values = [scenario.people.kerberos('alice'), scenario.people.of_card('alice-rsa2048')]
        self.change_directory(scenario.people.person_dn('alice'), ('altSecurityIdentities', []))
        self.change_directory(scenario.people.person_dn('bob'), ('altSecurityIdentities', values))
        self.at('+2d', 'alice', status=3, reason='not_this_user', more={**NO_TICKET, 'accounts__offline_days': 1})
        self.network_down()
        self.login('alice', status=4, reason='not_kept', more=NO_TICKET)

    def test_a_rule_that_asks_for_the_value_elsewhere(self):
        """What anybody may write of himself is asked no more: who was kept by it stays out."""
        rule = 'rule "mine" {\n\tattribute = %s\n\tvalue = "Kerberos:{nt_principal_name}"\n}\n'
        self.rules = rule % 'altSecurityIdentities'
        self.login()
        self.network_down()
        self.assertEqual(self.login().account, 'alice')
        self.rules = rule % 'userPrincipalName'
        self.login(status=4, reason='not_kept')
        self.rules = rule % 'ALTSECURITYIDENTITIES'
        self.assertEqual(self.login().account, 'alice')

    def test_one_of_several_is_named_offline_too(self):
        """No name means a choice, never the one that happens to be kept; and none of several where they are refused."""
        hint = {**NO_TICKET, 'mapper__several_accounts': 'hint'}
        self.change_directory(scenario.people.person_dn('bob'),
                              ('altSecurityIdentities', [scenario.people.of_card('alice-rsa2048')]))
        self.login('alice', more=hint)
        self.network_down()
        self.login(status=2, reason='several_accounts', more=hint)
        self.login('bob', status=3, reason='not_this_user', more=hint)
        self.login('alice', status=2, reason='several_accounts', more=NO_TICKET)
        self.assertEqual(self.login('alice', more=hint).account, 'alice')
        self.assertEqual(self.login('alice', more=hint).account, 'alice', 'and again')

    def test_one_of_several_stays_kept_while_it_is_one_of_them(self):
        """several_accounts = hint: who forgets to say which, or mistypes it, loses nothing; who is none of them any more does."""
        hint = {**NO_TICKET, 'mapper__several_accounts': 'hint'}
        self.change_directory(scenario.people.person_dn('bob'),
                              ('altSecurityIdentities', [scenario.people.of_card('alice-rsa2048')]))
        self.login('alice', more=hint)
        self.login(status=2, reason='several_accounts', more=hint)
        self.login('carol', status=3, reason='not_this_user', more=hint)
        scenario.RIG.stop('slapd')
        self.assertEqual(self.login('alice', more=hint).account, 'alice')
        scenario.RIG.start('slapd')
        for name in ('alice', 'bob', 'erin'):
            values = [] if name == 'alice' else [scenario.people.of_card('alice-rsa2048')]
            self.change_directory(scenario.people.person_dn(name), ('altSecurityIdentities', values))
        self.login(status=2, reason='several_accounts', more=hint)
        scenario.RIG.stop('slapd')
        self.login('alice', status=4, reason='not_kept', more=hint)

    def test_a_refused_login_keeps_nothing(self):
        path = self.folder / 'bob.pem'
        pki = scenario.RIG.pki
        path.write_text((pki / 'bob.crt').read_text() + (pki / 'alice-rsa2048.key').read_text())
        self.login('--card', f'file:{path}', card=None, status=3)
        self.network_down()
        self.login(card='bob', status=4, reason='not_kept')

    def test_forgotten(self):
        self.login()
        self.cardmap('accounts', '--config', self.conf(), 'forget', 'alice')
        self.network_down()
        self.login(status=4, reason='not_kept')

    def test_uid_forbidden_since(self):
        self.login()
        self.network_down()
        self.login(status=3, reason='account_forbidden', more={'accounts__first_uid': 20000})

    def test_issuer_no_longer_trusted(self):
        self.login()
        self.network_down()
        self.login(status=3, reason='cert_untrusted', more={'trust__anchors': [scenario.RIG.pki / 'stranger-root.crt'],
                                                            'trust__intermediates': None})


class ClockTest(OfflineCase):
    def test_offline_days_passed(self):
        self.login()
        self.network_down()
        self.assertEqual(self.at('+29d').account, 'alice')
        answer = self.at('+31d', status=3, reason='kept_too_old')
        self.assertRegex(answer.json['message'], r'\b3[01] d')
        self.assertEqual(self.at('+31d', more={'accounts__offline_days': 0}).account, 'alice')
        self.at('+2d', status=3, reason='kept_too_old', more={'accounts__offline_days': 1})

    def test_an_offline_login_does_not_renew_the_allowance(self):
        self.login()
        self.network_down()
        for when in ('+10d', '+20d', '+29d'):
            self.at(when)
        self.at('+31d', status=3, reason='kept_too_old')

    def login_in_ten_days(self):
        """Online then: the responder's clock goes with ours, and what it signs is the floor."""
        scenario.responder_in('+10d')
        self.addCleanup(scenario.RIG.stop, 'ocsp')
        self.assertEqual(self.at('+10d', more=NO_TICKET).account, 'alice')
        self.network_down()

    def test_clock_set_back_below_the_floor(self):
        self.login_in_ten_days()
        for when in ('+0', '+9d'):
            answer = self.at(when, status=3, reason='clock_behind', more=NO_TICKET)
            self.assertRegex(answer.json['message'], 'clock')
        self.at('+9d', status=3, reason='clock_behind', more={**NO_TICKET, 'accounts__offline_days': 0})
        self.assertEqual(self.at('+11d', more=NO_TICKET).account, 'alice')

    def test_clock_set_back_makes_no_old_evidence_young(self):
        self.login_in_ten_days()
        answer = self.at('+9d', status=3, more={**NO_TICKET, 'trust__level': 'hard'})
        self.assertIn(answer.reason, ('clock_behind', 'revocation_unknown'))

    def test_clock_set_back_is_no_matter_online(self):
        self.login_in_ten_days()
        scenario.RIG.start(*SERVERS)
        self.assertEqual(self.login(more=NO_TICKET).account, 'alice')


class StoreTest(OfflineCase):
    def refused(self, *words):
        answer = self.login(status=4, reason='store')
        for word in (str(self.store), *words):
            self.assertIn(word, answer.json['message'])

    def test_store_that_others_can_write_or_read(self):
        self.login()
        for mode in (0o666, 0o620, 0o602, 0o644):
            self.store.chmod(mode)
            with self.subTest(f'{mode:o}'):
                self.refused('others may')
                self.network_down()
                self.refused('others may')

    def test_folder_of_the_store_that_others_can_write(self):
        self.login()
        self.store.parent.chmod(0o777)
        self.refused('others may write')

    @unittest.skipIf(os.geteuid() != 0 or scenario.demo.as_alice_if_alone(), 'one user id only: files have one owner')
    def test_store_of_another_owner(self):
        self.login()
        os.chown(self.store, 10001, 10000)
        self.refused('owned by uid 10001')

    def test_store_that_is_a_link(self):
        self.login()
        self.store.rename(self.folder / 'elsewhere')
        self.store.symlink_to(self.folder / 'elsewhere')
        self.refused()

    def test_damaged_store_opens_nothing_and_is_named(self):
        self.login()
        self.network_down()
        whole = self.store.read_bytes()
        for name, data in (('no database', b'x' * 8192), ('cut', whole[:len(whole) // 2]), ('empty', b''),
                           ('spoiled', whole[:4096] + b'\xa5' * (len(whole) - 4096))):
            for extra in self.store.parent.glob('accounts.db-*'):
                extra.unlink()
            self.store.write_bytes(data)
            with self.subTest(name):
                answer = self.login(status=4)
                self.assertIn(answer.reason, ('store', 'not_kept'))
                self.assertNotIn('account', answer.json)

    def full_disk(self):
        folder = self.folder / 'small'
        folder.mkdir()
        said(['mount', '-t', 'tmpfs', '-o', 'size=512k,mode=0700', 'small', folder])
        self.addCleanup(said, ['umount', folder])
        return folder

    def fill(self, folder):
        with open(folder / 'ballast', 'wb', buffering=0) as out:
            for size in (4096, 1):
                try:
                    while out.write(b'x' * size):
                        pass
                except OSError:
                    pass

    def test_full_disk_warns_and_never_refuses(self):
        folder = self.full_disk()
        more = {'accounts__path': folder / 'accounts.db'}
        self.assertTrue(self.login(card='bob', more=more).json['kept'])
        self.fill(folder)
        answer = self.login(more=more)
        self.assertEqual((answer.account, answer.json['kept']), ('alice', False))
        self.assertTrue(any('not kept' in text for text in answer.seen('remember', 'warning')), str(answer))
        (folder / 'ballast').unlink()
        self.assertTrue(self.login(more=more).json['kept'])

    def test_full_disk_does_not_shut_out_who_is_kept(self):
        folder = self.full_disk()
        more = {'accounts__path': folder / 'accounts.db'}
        self.login(more=more)
        self.network_down()
        self.fill(folder)
        self.assertEqual(self.login(more=more).account, 'alice')

    def test_disk_that_went_read_only_warns_and_shuts_out_nobody_but_the_revoked(self):
        folder = self.full_disk()
        more = {'accounts__path': folder / 'accounts.db', 'trust__ask_always': 'yes'}
        self.login(card='bob', more=more)
        self.login(more=more)
        scenario.RIG.revoke('alice-rsa2048')
        self.login(status=3, reason='revoked', more=more)
        said(['mount', '-o', 'remount,ro', folder])
        answer = self.login(card='bob', more=more)
        self.assertEqual((answer.account, answer.json['kept']), ('bob', False))
        self.assertTrue(any('readonly' in text for text in answer.seen('remember', 'warning')), str(answer))
        answer = self.login(card='revoked', status=3, reason='revoked', more=more)
        self.assertTrue(any(f'could not be kept: {folder}/accounts.db: writing: attempt to write a readonly' in text
                            for text in answer.seen('revocation', 'warning')), str(answer))
        self.network_down()
        self.assertEqual(self.login(card='bob', more=more).account, 'bob')
        self.login(status=3, reason='revoked', more=more)

    def test_two_logins_at_once_share_the_store(self):
        from concurrent.futures import ThreadPoolExecutor
        self.conf()
        cards = ['alice-rsa2048', 'bob', 'erin', 'grace'] * 2
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda card: self.cardmap(
                'login', '--config', self.folder / 'cardmap.conf', '--json', '--card',
                f'file:{scenario.RIG.pki}/{card}.pem', pin=PIN), cards))
        self.assertEqual([answer.account for answer in answers], ['alice', 'bob', 'erin', 'grace'] * 2)
        self.network_down()
        for card in cards[:4]:
            self.assertTrue(self.login(card=card).json['offline'])


if __name__ == '__main__':
    scenario.main()
