#!/usr/bin/python3
"""test_login.py: the first login with the network: account, ticket, what is kept, and what it cost everybody."""
import os
import stat
import unittest

import kcm
import scenario
from scenario import ALICE_UID, Counts, Scenario, said

CHUNK = 256  # bytes of a short response APDU
OBJECT_EXTRA = 13  # 53 and 70 with their lengths, 71 01 00, FE 00
NO_KEYTAB = {'kerberos__keytab': '/nonexistent/keytab'}
KEYS = ('alice-rsa2048', 'alice-p256', 'alice-p384')


def chunks(name):
    size = (scenario.RIG.pki / f'{name}.der').stat().st_size + OBJECT_EXTRA
    return -(-size // CHUNK)


class LoginCase(Scenario):
    def check_ticket(self, answer):
        path = self.folder / f'tickets/krb5cc_{ALICE_UID}'
        self.assertEqual(answer.json['ccache'], f'FILE:{path}')
        found = path.stat()
        owner = os.geteuid() if scenario.PREFIX else ALICE_UID  # one user id only: alice is a name for ours
        self.assertEqual((found.st_uid, stat.S_IMODE(found.st_mode)), (owner, 0o600))
        listed = self.klist()
        self.assertIn('Default principal: alice@CARDMAP.TEST', listed)
        self.assertIn('krbtgt/CARDMAP.TEST@CARDMAP.TEST', listed)

    def check_login(self, answer):
        self.assertEqual((answer.account, answer.json['principal']), ('alice', 'alice@CARDMAP.TEST'))
        self.assertEqual((answer.json['offline'], answer.json['kept']), (False, True))
        self.check_ticket(answer)
        kept = self.cardmap('accounts', '--config', self.conf(), '--json', 'list').json['accounts']
        self.assertEqual({entry['account']['name'] for entry in kept}, {'alice'})
        self.assertEqual(stat.S_IMODE(self.store.stat().st_mode), 0o600)


class CardTest(LoginCase):
    card = 'alice-rsa2048'

    def test_each_kind_of_key_opens_the_account(self):
        for name in KEYS:
            with self.subTest(name):
                self.insert(name)
                self.check_login(self.login(card=None))

    def test_pin_and_key_are_used_once(self):
        for name in KEYS:
            self.insert(name)
            with self.subTest(name), Counts() as counts:
                answer = self.login(card=None)
            self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
            self.assertEqual((answer.json['card']['verifies'], answer.json['card']['key_operations']), (1, 1))
            self.assertEqual(answer.json['card']['commands'], counts.commands())

    def test_card_commands_of_whois(self):
        with Counts() as counts:
            self.ask('whois', card=None)
        self.assertEqual(counts.commands(), 6)
        self.assertEqual(counts.commands(), 1 + chunks('alice-rsa2048'))

    def test_card_commands_of_a_first_login(self):
        """SELECT, discovery, CHUID, tries, the certificate; VERIFY, and GENERAL AUTHENTICATE in 3 links or 1."""
        for name, links, whole in (('alice-rsa2048', 3, 13), ('alice-p256', 1, None), ('alice-p384', 1, None)):
            self.insert(name)
            with self.subTest(name), Counts() as counts:
                self.login(card=None)
            self.assertLessEqual(counts.commands(), 4 + chunks(name) + 1 + links)
            if whole:
                self.assertEqual(counts.commands(), whole)

    def test_without_the_host_keytab_the_card_signs_once_more(self):
        for name, more in (('alice-rsa2048', 3), ('alice-p256', 1), ('alice-p384', 1)):
            self.insert(name)
            with Counts() as with_keytab:
                self.login(card=None)
            with self.subTest(name), Counts() as without:
                answer = self.login(card=None, more=NO_KEYTAB)
            self.assertEqual(without.commands() - with_keytab.commands(), more)
            self.assertEqual((without.verifies(), without.signatures()), (1, 2))
            self.check_ticket(answer)

    def test_extended_length_and_gzip_cards(self):
        # By its ATR the reader knows that it can: so it is put in as a person does.
        self.addCleanup(self.control, f'swap {self.card_folder("alice-rsa2048")}')
        self.control(f'swap {self.card_folder("alice-rsa2048", conf="extended=yes" + chr(10) + "gzip=yes")}')
        with Counts() as counts:
            self.check_login(self.login(card=None))
        self.assertLess(counts.commands(), 13)

    def test_card_is_reset_when_the_login_ends(self):
        with Counts():
            self.login(card=None)
        events = scenario.lines_of(scenario.RIG.card_log)
        self.assertIn(events[-1], ('# reset', '# power-on', '# power-off'), events[-5:])
        told = said(['opensc-tool', '-s', scenario.OtherClient.SELECT, '-s', '00200080'])
        self.assertIn('SW1=0x63, SW2=0xC3', told, 'VERIFY without a PIN: not verified, three tries')


class FileTest(LoginCase):
    def test_each_kind_of_key_opens_the_account(self):
        for name in KEYS:
            with self.subTest(name):
                self.check_login(self.login(card=name))

    def test_one_connection_and_two_searches_in_the_directory(self):
        with Counts() as counts:
            self.login()
        self.assertEqual(counts.directory(' ACCEPT '), 1)
        self.assertEqual(counts.searches('altSecurityIdentities'), 1)
        self.assertLessEqual(counts.searches(), 2)
        self.assertEqual(counts.directory(' BIND dn="cn=reader'), 2)  # slapd has a line for the request, one for mech=

    def test_groups_are_asked_only_for_one_account(self):
        for card, status in (('carol', 1), ('dave', 2)):
            with self.subTest(card), Counts() as counts:
                self.login(card=card, status=status)
            self.assertEqual(counts.searches(), 1)

    def test_groups_of_both_kinds(self):
        groups = {group['name'] for group in self.login().json['account']['groups']}
        self.assertLessEqual({'users', 'engineering', 'cards'}, groups)

    def test_found_by_issuer_and_serial(self):
        account = self.login(card='erin').json['account']
        self.assertEqual((account['name'], account['matched']), ('erin', scenario.people.of_card('erin')))

    def test_encrypted_card_file_takes_the_pin_as_its_password(self):
        path = self.folder / 'alice.pem'
        plain_key = scenario.RIG.pki / 'alice-p256.key'
        key = said(['openssl', 'pkey', '-in', plain_key, '-aes256', '-passout', 'pass:482913'])
        path.write_text((scenario.RIG.pki / 'alice-p256.crt').read_text() + key)
        answer = self.login('--card', f'file:{path}', card=None, pin='482913')
        self.assertEqual(answer.account, 'alice')
        self.login('--card', f'file:{path}', card=None, pin='482914', status=3, reason='pin_wrong')

    def test_ldaps_and_anonymous(self):
        uri = f'ldaps://127.0.0.1:{scenario.rig_module.LDAPS_PORT}'
        answer = self.login(more={'directory__uri': [uri], 'directory__bind_dn': None,
                                  'directory__bind_password_file': None})
        self.assertEqual((answer.account, answer.json['account']['source']), ('alice', uri))

    def test_second_server_is_asked_when_the_first_is_dead(self):
        dead, alive = 'ldap://127.0.0.2:3890', f'ldap://127.0.0.1:{scenario.rig_module.LDAP_PORT}'
        answer = self.login(more={'directory__uri': [dead, alive]})
        self.assertEqual((answer.account, answer.json['offline']), ('alice', False))

    def test_smartcardlogin_plist_decides(self):
        path = self.folder / 'SmartcardLogin.plist'
        path.write_text("""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict><key>AttributeMapping</key><dict>
<key>fields</key><array><string>RFC 822 Name</string></array>
<key>formatString</key><string>$1</string>
<key>dsAttributeString</key><string>dsAttrTypeStandard:EMailAddress</string>
</dict></dict></plist>
""")
        with Counts() as counts:
            account = self.login(more={'mapper__plist': path}).json['account']
        self.assertEqual((account['name'], account['matched']), ('alice', 'alice@cardmap.test'))
        self.assertEqual(counts.searches('(mail=alice@cardmap.test)'), 1)

    def test_ticket_goes_where_the_configuration_says(self):
        self.login(more={'kerberos__ccache': f'FILE:{self.folder}/tickets/%{{name}}.%{{uid}}'})
        self.assertIn('alice@CARDMAP.TEST', said(['klist', '-c', f'FILE:{self.folder}/tickets/alice.{ALICE_UID}']))

    def test_ticket_goes_to_the_users_kcm(self):
        daemon = kcm.Kcm()
        answer = self.login(more={'kerberos__ccache': 'KCM:%{uid}'})
        self.assertEqual(answer.json['ccache'], f'KCM:{ALICE_UID}')
        owner = os.geteuid() if scenario.PREFIX else ALICE_UID  # as in check_ticket()
        self.assertEqual(list(daemon.caches), [(owner, str(ALICE_UID))])
        as_alice = scenario.PREFIX or ['setpriv', f'--reuid={ALICE_UID}', '--regid=10000', '--clear-groups']
        listed = said([*as_alice, 'klist', '-c', f'KCM:{ALICE_UID}'])
        self.assertIn('Default principal: alice@CARDMAP.TEST', listed)
        self.assertIn('krbtgt/CARDMAP.TEST@CARDMAP.TEST', listed)
        self.assertNotIn('host/', listed)

    def test_no_ticket_when_none_is_wanted(self):
        with Counts() as counts:
            answer = self.login(more={'kerberos__ticket': 'off'})
        self.assertNotIn('ccache', answer.json)
        self.assertEqual((answer.account, counts.packets['datagrams']), ('alice', 0))
        self.assertEqual(os.listdir(self.folder / 'tickets'), [])

    def test_ticket_required_and_no_kdc(self):
        scenario.RIG.stop('kdc')
        self.login(status=4, reason='kdc_offline', more={'kerberos__ticket': 'required'})
        self.login()

    def test_decision_is_logged_in_one_line(self):
        def logged(**options):
            return [text for text in self.login(**options).err.splitlines() if text.startswith('cardmap: login')]
        line = logged()
        self.assertEqual(len(line), 1)
        self.assertRegex(line[0], r'^cardmap: login ok: alice \(uid 10001\) by CN=Alice Example.*, rule issuer-serial, online; '
                                  r'reader file:.*/alice-rsa2048\.pem; serial [0-9a-f]+; '
                                  r'stages .*certificate [0-9.]+ ms, chain [0-9.]+ ms.* session [0-9.]+ ms$')
        line = logged(card='bob')
        self.assertRegex(line[0], r'^cardmap: login ok: bob .*, rule kerberos \(weak\), online; ')
        line = logged(card='revoked', status=3)
        self.assertEqual(len(line), 1)
        self.assertIn('login refused reason=revoked: ', line[0])


class StrangerTest(Scenario):
    card = 'stranger'

    def test_unknown_issuer_causes_no_traffic(self):
        for level in ('chain', 'soft', 'hard'):
            for name in ('stranger', 'look-alike', 'self-signed'):
                self.insert(name)
                with self.subTest(f'{name} {level}'), Counts() as counts:
                    self.login(card=None, status=3, reason='cert_untrusted', more={'trust__level': level})
                self.assertEqual(counts.packets, {'connections': 0, 'datagrams': 0})
                self.assertEqual((counts.directory('conn='), counts.http), (0, []))
                self.assertEqual(counts.verifies(), 0, 'and no PIN is spent on it')

    def test_missing_issuer_is_named(self):
        message = self.login(card=None, status=3).json['message']
        self.assertIn('CN=Stranger Issuing CA', message)
        key_id = said(['openssl', 'x509', '-in', scenario.RIG.pki / 'stranger-inter.crt', '-noout', '-ext',
                       'subjectKeyIdentifier']).splitlines()[-1].strip().replace(':', '').lower()
        self.assertIn(key_id, message.replace(':', '').lower())

    def test_an_expired_card_causes_no_traffic(self):
        self.insert('expired')
        with Counts() as counts:
            self.login(card=None, status=3, reason='cert_expired')
        self.assertEqual(counts.packets, {'connections': 0, 'datagrams': 0})


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    scenario.main()
