#!/usr/bin/python3
"""test_attacks.py: attacks and mistakes that hit others (features.md, section 6), each tried on a whole login."""
import contextlib
import os
import re
import resource
import shutil
import signal
import unittest
from pathlib import Path

import scenario
from scenario import PIN, WORK, WRONG_PIN, Counts, OtherClient, Scenario, Terminal, said, wait_until

NO_KEYTAB = {'kerberos__keytab': '/nonexistent/keytab'}
SECRET_PIN = '73918264'  # a number that nothing else holds
CERTIFICATE = 'tag5FC105'


class CopiedCertificateTest(Scenario):
    """CVE-2025-24032: a certificate is public; only its key opens."""
    card = 'alice-rsa2048'

    def test_card_file_with_another_key(self):
        for more in ({}, NO_KEYTAB, {'kerberos__ticket': 'off'}):
            with self.subTest(more):
                answer = self.login(card='copied', status=3, reason='card_key', more=more)
                self.assertNotIn('account', answer.json)
        self.assertEqual(os.listdir(self.folder / 'tickets'), [])

    def test_card_with_another_key(self):
        for name, key in (('alice-rsa2048', 'bob'), ('alice-p256', 'carol'), ('alice-rsa2048', 'carol')):
            self.insert(name, key=key)
            for more in ({}, NO_KEYTAB, {'kerberos__ticket': 'off'}):
                with self.subTest(f'{name} {key} {more}'):
                    self.login(card=None, status=3, reason='card_key', more=more)

    def test_card_with_another_key_offline(self):
        self.login(card=None)
        scenario.RIG.stop(*self.servers)
        self.insert('alice-rsa2048', key='bob')
        self.login(card=None, status=3, reason='card_key')
        self.insert('alice-rsa2048')
        self.assertEqual(self.login(card=None).account, 'alice')

    def test_signature_of_another_key_or_of_nothing(self):
        for fault in ('wrong-key', 'garbage-signature', 'sw=6982@ins87', 'empty@ins87', 'truncate=8@ins87'):
            for more in ({}, {'kerberos__ticket': 'off'}):
                self.control('clear')
                self.control(f'fault {fault}')
                with self.subTest(f'{fault} {more}'):
                    answer = self.login(card=None, status=3, more=more)
                    self.assertIn(answer.reason, ('card_key', 'card_malformed'))

    def test_nonce_is_the_hosts(self):
        """The card is never asked for randomness (GET CHALLENGE), and signs something else each time."""
        self.insert('alice-p256')
        signed = []
        for _ in range(2):
            with Counts() as counts:
                self.login(card=None, more={'kerberos__ticket': 'off'})
            self.assertEqual(counts.sent('84'), [])
            signed.append(counts.sent('87')[0].split()[1])
        self.assertNotEqual(*signed)

    def test_ticket_without_keytab_is_no_proof(self):
        with Counts() as counts:
            answer = self.login(card=None, more=NO_KEYTAB)
        self.assertEqual(counts.signatures(), 2, 'one for the KDC, one for the host')
        self.assertEqual(answer.json['principal'], 'alice@CARDMAP.TEST')


class HostileCardTest(Scenario):
    card = 'alice-rsa2048'

    def setUp(self):
        super().setUp()
        self.settings['card.timeout'] = 1500


    def refused(self, fault, *reasons, seconds=6.0, status=(1, 3, 4)):
        self.put_back()
        self.control(f'fault {fault}')
        with Counts() as counts:
            answer = self.login(card=None, status=None)
        self.assertIn(answer.status, status, str(answer))
        self.assertIn(answer.reason, reasons, str(answer))
        self.assertNotIn('account', answer.json)
        self.assertLess(answer.seconds, seconds)
        return counts

    def test_wrong_lengths_and_tags_in_the_certificate_object(self):
        for fault in ('wrong-tag', 'wrong-tag=inner', 'tlv-long', 'tlv-long=inner', 'tlv-short', 'tlv-short=inner',
                      'tlv-zero', 'tlv-zero=inner', 'tlv-huge', 'tlv-huge=inner', 'tlv-indefinite',
                      'tlv-indefinite=inner',
                      'empty', 'truncate', 'truncate=1', 'truncate=0', 'gzip-flag', 'gzip-bomb'):
            with self.subTest(fault):
                counts = self.refused(f'{fault}@{CERTIFICATE}', 'card_malformed', 'cert_malformed',
                                      'card_no_certificate')
                self.assertEqual(counts.verifies(), 0)
        self.assertEqual(self.tries(), 3)

    def test_endless_61xx(self):
        for tag in ('5FC105', '5FC102', '7E'):
            with self.subTest(tag):
                self.put_back()
                self.control(f'fault endless-61@tag{tag}')
                with Counts() as counts:
                    answer = self.login(card=None, status=None)
                self.assertLess(answer.seconds, 6)
                self.assertLess(counts.commands(), 1000)
                if tag == '5FC105':
                    self.assertEqual(answer.reason, 'card_malformed', str(answer))

    def test_wrong_status_words(self):
        for fault, reasons in (('sw=6a82@insA4', ['card_not_piv']),
                               ('sw=6f00@insA4', ['card_not_piv', 'card_malformed']),
                               (f'sw=6a82@{CERTIFICATE}', ['card_no_certificate']),
                               ('verify-6f00', ['card_malformed', 'pin_wrong', 'card_key', 'card_silent'])):
            with self.subTest(fault):
                self.refused(fault, *reasons)
        self.assertEqual(self.tries(), 3)

    def test_responses_too_short_and_too_long(self):
        for fault in ('one-byte@insCB', 'overlong=300@insCB', 'overlong=300@ins87'):
            with self.subTest(fault):
                self.refused(fault, 'card_malformed', 'card_silent', 'card_removed', 'card_changed', 'card_key',
                             status=(3, 4))

    def test_removed_at_each_command(self):
        for ins, reasons in (('A4', ['card_removed', 'no_card', 'card_silent']), ('CB', ['card_removed']),
                             ('C0', ['card_removed']), ('20#2', ['card_removed']), ('87', ['card_removed'])):
            with self.subTest(ins):
                self.refused(f'remove@ins{ins}', *reasons, 'card_silent', status=(4,))
        self.put_back()
        self.assertEqual(self.login(card=None).account, 'alice')

    def test_slow_card_is_given_up(self):
        counts = self.refused('slow=4000@insCB', 'card_silent', status=(4,), seconds=4)
        self.assertEqual(counts.verifies(), 0)


class PinGoesToOneCardTest(Scenario):
    """The PIN is sent to the very card whose certificate was shown, or nowhere."""
    card = 'alice-rsa2048'

    def at_the_prompt(self, change, pin=PIN):
        terminal = Terminal([*scenario.PREFIX, scenario.program(), 'login', '--config', self.conf(), '--json'],
                            self.environment())
        terminal.expect(rb'PIN for alice[^:]*: $')
        with Counts() as counts:
            change()
            terminal.type(pin.encode() + b'\n')
            status, text = terminal.end()
        self.assertEqual(counts.verifies(), 0, text)
        self.assertNotIn('"account": {', text)
        return status, text

    def test_swapped_while_the_pin_is_typed(self):
        other = self.card_folder('bob')
        self.addCleanup(self.control, f'swap {self.card_folder("alice-rsa2048")}')
        status, text = self.at_the_prompt(lambda: self.control(f'swap {other}'))
        self.assertEqual(status, 4, text)
        self.assertRegex(text, '"reason": "card_(changed|removed)"')
        self.assertEqual(self.tries(), 3)

    def test_same_card_taken_out_and_put_back(self):
        status, text = self.at_the_prompt(lambda: self.control(f'swap {self.card_folder("alice-rsa2048")}'))
        self.assertEqual(status, 4, text)
        self.assertRegex(text, '"reason": "card_(changed|removed)"')

    def test_reset_by_another_client(self):
        status, text = self.at_the_prompt(lambda: OtherClient().close(OtherClient.RESET))
        self.assertEqual(status, 4, text)
        self.assertIn('"reason": "card_changed"', text)

    def test_removed_while_the_pin_is_typed(self):
        def remove():
            self.control('remove')
        self.addCleanup(self.control, 'insert')
        status, text = self.at_the_prompt(remove)
        self.assertEqual(status, 4, text)
        self.assertRegex(text, '"reason": "(card_removed|card_changed|no_card)"')


class PinTriesTest(Scenario):
    card = 'alice-rsa2048'

    def test_a_wrong_pin_spends_exactly_one_try(self):
        for left in (2, 1):
            with Counts() as counts:
                answer = self.login(card=None, pin=WRONG_PIN, status=3, reason='pin_wrong')
            self.assertEqual((counts.verifies(), self.tries()), (1, left))
            self.assertRegex(answer.json['message'], rf'\b{left} tr(y|ies)\b')
            self.assertEqual(answer.json['tries_left'], left)

    def test_the_last_try_is_never_spent_unasked(self):
        self.control('tries 1')
        for pin in (WRONG_PIN, PIN):
            with Counts() as counts:
                self.login(card=None, pin=pin, status=3, reason='pin_last_try')
            self.assertEqual((counts.verifies(), self.tries()), (0, 1))

    def test_the_last_try_when_asked_for(self):
        self.control('tries 1')
        self.assertEqual(self.login('--last-try', card=None).account, 'alice')
        self.assertEqual(self.tries(), 3)
        self.control('tries 1')
        self.login('--last-try', card=None, pin=WRONG_PIN, status=3)
        self.assertEqual(self.tries(), 0)

    def test_a_blocked_pin_gets_no_verify(self):
        self.control('tries 0')
        with Counts() as counts:
            self.login(card=None, status=3, reason='pin_blocked')
            self.login('--last-try', card=None, status=3, reason='pin_blocked')
        self.assertEqual(counts.verifies(), 0)

    def test_an_already_unlocked_card_still_asks(self):
        other = OtherClient()
        self.addCleanup(other.close, OtherClient.RESET)

        def unlock():
            self.assertEqual([other.transmit(OtherClient.SELECT)[-4:], other.verify(PIN)[-4:]], ['9000', '9000'])
        unlock()
        with Counts() as counts:
            self.login(card=None, pin=WRONG_PIN, status=3, reason='pin_wrong')
        self.assertEqual(counts.verifies(), 1)
        self.assertEqual(self.tries(), 2)

    def test_an_already_unlocked_card_takes_the_right_pin(self):
        other = OtherClient()
        self.addCleanup(other.close, OtherClient.RESET)
        self.assertEqual([other.transmit(OtherClient.SELECT)[-4:], other.verify(PIN)[-4:]], ['9000', '9000'])
        with Counts() as counts:
            self.assertEqual(self.login(card=None).account, 'alice')
        self.assertEqual(counts.verifies(), 1)

    def test_an_already_unlocked_card_opens_nothing_without_a_pin(self):
        other = OtherClient()
        self.addCleanup(other.close, OtherClient.RESET)
        self.assertEqual([other.transmit(OtherClient.SELECT)[-4:], other.verify(PIN)[-4:]], ['9000', '9000'])
        with Counts() as counts:
            self.login(card=None, pin='', status=64, reason='pin_missing')
        self.assertEqual((counts.verifies(), counts.signatures()), (0, 0))


class NamesTest(Scenario):
    def test_filter_injection(self):
        with Counts() as counts:
            self.login(card='hostile-upn', status=1, reason='no_account')
        self.assertEqual(counts.searches(), 1)
        line = [line for line in counts.slapd if ' SRCH base=' in line and 'filter=' in line][0]
        self.assertNotIn('(uid=', line)
        self.assertIn(r'kerberos:\29\28|\28uid=\2a)', line.lower())

    def test_nul_in_the_upn_is_not_its_end(self):
        with Counts() as counts:
            self.login(card='nul-upn', status=1, reason='no_account')
        self.assertEqual(counts.searches('Kerberos:alice'), 0)

    def test_upn_of_another_realm_is_not_mapped_by_its_prefix(self):
        self.login(card='other-realm', status=1, reason='no_account')

    def test_empty_upn_makes_no_value(self):
        with Counts() as counts:
            self.login(card='empty-upn', status=1, reason='no_account')
        self.assertEqual(counts.searches('Kerberos:'), 0)

    def test_missing_field_makes_no_constant(self):
        path = self.folder / 'SmartcardLogin.plist'
        path.write_text("""<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict><key>AttributeMapping</key><dict>
<key>fields</key><array><string>NT Principal Name</string></array><key>formatString</key><string>Kerberos:$1</string>
<key>dsAttributeString</key><string>dsAttrTypeStandard:AltSecurityIdentities</string></dict></dict></plist>
""")
        with Counts() as counts:
            self.login(card='no-upn', status=1, reason='no_rule', more={'mapper__plist': path})
        self.assertEqual(counts.directory(' ACCEPT '), 0)

    def test_two_accounts_on_one_certificate(self):
        answer = self.login(card='dave', status=2, reason='several_accounts')
        self.assertIn('dave-admin', answer.json['message'])

    def test_root_and_system_uids(self):
        for card in ('root-mapped', 'system-uid'):
            for command in ('login', 'whois'):
                with self.subTest(f'{command} {card}'):
                    answer = self.ask(command, card=card, pin=PIN if command == 'login' else None, status=3,
                                      reason='account_forbidden')
                    self.assertNotIn('account', answer.json)

    def test_home_with_dots(self):
        self.login(card='bad-home', status=3, reason='account_malformed')

    def test_groups_sudo_disk_and_gid_0_are_not_handed_out(self):
        account = self.login(card='grace').json['account']
        names, gids = ({group[key] for group in account['groups']} for key in ('name', 'gid'))
        self.assertFalse(names & {'sudo', 'disk', 'wheel0'}, names)
        self.assertFalse(any(gid < 1000 for gid in gids), gids)
        self.assertIn('engineering', names)

    def test_hostile_values_from_the_directory(self):
        dn = scenario.people.person_dn('bob')
        for attribute, value, reason in (('uidNumber', '0', 'account_forbidden'), ('uidNumber', '4294967296', None),
                                         ('gidNumber', '0', 'account_forbidden'),
                                         ('homeDirectory', 'home/bob', 'account_malformed'),
                                         ('homeDirectory', '/home/bob/../../root', 'account_malformed')):
            with self.subTest(f'{attribute}={value}'):
                self.change_directory(dn, (attribute, [value]))
                answer = self.login(card='bob', status=3)
                self.assertIn(answer.reason, [reason] if reason else ['account_forbidden', 'account_malformed'])
                self.doCleanups()

    def test_a_search_base_must_be_given(self):
        self.login(status=78, more={'directory__base': None})

    def test_local_store_is_not_queried_with_a_name_from_outside(self):
        """CVE-2017-12173"""
        self.login()
        for name in ("x' OR '1'='1", 'alice"--', '%', '*', "'; DROP TABLE account; --"):
            with self.subTest(name):
                self.cardmap('accounts', '--config', self.conf(), 'show', name, status=1)
                self.cardmap('accounts', '--config', self.conf(), 'forget', name, status=1)
        self.assertEqual(len(self.cardmap('accounts', '--config', self.conf(), '--json', 'list').json['accounts']), 1)


PINNED = """<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict><key>AttributeMapping</key><dict>
<key>fields</key><array><string>NT Principal Name</string></array><key>formatString</key><string>Kerberos:$1</string>
<key>dsAttributeString</key><string>dsAttrTypeStandard:AltSecurityIdentities</string></dict>
<key>TrustedAuthorities</key><array><string>%s</string></array></dict></plist>
"""


class IssuersTest(Scenario):
    def test_look_alike_self_signed_and_strangers(self):
        for card in ('look-alike', 'self-signed', 'stranger'):
            for level in ('chain', 'soft', 'hard'):
                with self.subTest(f'{card} {level}'):
                    self.login(card=card, status=3, reason='cert_untrusted', more={'trust__level': level})

    def test_trust_off_is_no_master_key(self):
        """Anybody can sign a certificate with alice's UPN: at level off only the hash of a key binds."""
        self.login(card='self-signed', status=1, reason='no_account', more={'trust__level': 'off'})
        path = self.folder / 'SmartcardLogin.plist'
        path.write_text(PINNED % ('0' * 64))
        more = {'trust__level': 'off', 'mapper__plist': path}
        self.login(card='self-signed', status=78, reason='config', more=more)
        self.cardmap('config', '--config', self.conf(**more), 'check', status=78)

    def test_times_usages_and_dead_intermediates(self):
        more = {'trust__intermediates': [scenario.RIG.pki / 'intermediates.d']}
        for card, reasons in (('expired', ['cert_expired']), ('notyet', ['cert_not_yet_valid']),
                              ('wrong-eku', ['cert_usage']),
                              ('no-ku', ['cert_usage']), ('card-auth', ['cert_usage']), ('alice-9d', ['cert_usage']),
                              ('under-expired-inter', ['cert_expired', 'cert_untrusted']),
                              ('under-revoked-inter', ['revoked'])):
            with self.subTest(card):
                answer = self.login(card=card, status=3, more=more)
                self.assertIn(answer.reason, reasons, str(answer))

    def test_pins_are_of_the_issuer(self):
        def fingerprint(name):
            printed = said(['openssl', 'x509', '-in', scenario.RIG.pki / f'{name}.crt', '-noout', '-fingerprint',
                            '-sha256'])
            return printed.split('=')[1].strip()
        path = self.folder / 'SmartcardLogin.plist'
        for name, status, reason in (('stranger-inter', 3, 'cert_not_pinned'), ('inter', 0, None)):
            path.write_text(PINNED % fingerprint(name).replace(':', ''))
            for more in ({'trust__pins': [fingerprint(name)]}, {'mapper__plist': path}):
                with self.subTest(f'{name} {more}'):
                    self.login(status=status, reason=reason, more=more)
                    self.cardmap('revocation', '--config', self.conf(**more), 'check',
                                 scenario.RIG.pki / 'alice-rsa2048.crt', status=status)
                    said_of_it = self.cardmap('cards', '--config', self.conf(**more), '--card',
                                              f'file:{scenario.RIG.pki}/alice-rsa2048.pem', '--json').json
                    trust = said_of_it['readers'][0]['certificates'][0]['trust']
                    self.assertEqual(trust == 'trusted', status == 0, trust)


class KdcTest(Scenario):
    def kadmin(self, *commands):
        said(['kadmin.local', '-r', scenario.rig_module.REALM], input='\n'.join(commands) + '\n', stdin=None,
             env=scenario.RIG.kdc_environment())

    def test_a_kdc_with_other_keys_proves_nothing(self):
        """An impostor's KDC knows every principal but not this host's key; the keytab tells."""
        principal, kdc = scenario.rig_module.HOST_PRINCIPAL, WORK / 'kdc'
        scenario.RIG.stop('kdc')
        shutil.copytree(kdc, self.folder / 'true')

        def back():
            scenario.RIG.stop('kdc')
            shutil.rmtree(kdc)
            shutil.copytree(self.folder / 'true', kdc)
            scenario.RIG.start('kdc')
        self.addCleanup(back)
        self.kadmin(f'delprinc -force {principal}', f'addprinc -randkey {principal}')
        scenario.RIG.start('kdc')
        for ticket in ('optional', 'required'):
            with self.subTest(ticket):
                answer = self.login(status=3, reason='ticket_forged', more={'kerberos__ticket': ticket})
                self.assertNotIn('account', answer.json)
        self.assertEqual(os.listdir(self.folder / 'tickets'), [])

    def impostor(self, name):
        """The KDC with this certificate and its key, until the test ends."""
        path = WORK / 'kdc/kdc.conf'
        before = path.read_text()

        def use(text):
            path.write_text(text)
            scenario.RIG.restart('kdc')
        self.addCleanup(use, before)
        identity = f'pkinit_identity = FILE:{scenario.RIG.pki}/{name}.crt,{scenario.RIG.pki}/{name}.key'
        use(re.sub('pkinit_identity = .*', identity, before))

    def test_a_card_holder_who_plays_the_kdc(self):
        self.impostor('bob')
        for more in ({}, NO_KEYTAB):
            answer = self.login(status=3, reason='kdc_untrusted', more=more)
            self.assertNotIn('account', answer.json)
        self.assertEqual(os.listdir(self.folder / 'tickets'), [])

    def test_no_ticket_for_a_principal_that_is_not_the_cards(self):
        """CVE-2025-11561: the entry names another's principal; the KDC does not give it, and nothing else opens."""
        self.change_directory(scenario.people.person_dn('alice'), ('krbPrincipalName', ['bob@CARDMAP.TEST']))
        answer = self.login(status=3, reason='kdc_refused')
        self.assertNotIn('account', answer.json)

    def test_no_password_is_asked(self):
        """libkrb5 would fall back to one where PKINIT fails."""
        self.impostor('bob')
        command = [*scenario.PREFIX, scenario.program(), 'login', '--config', self.conf(),
                   '--card', f'file:{scenario.RIG.pki}/alice-rsa2048.pem']
        terminal = Terminal(command, self.environment())
        terminal.expect(rb'PIN for [^:]*: $')
        terminal.type(PIN.encode() + b'\n')
        status, text = terminal.end()
        self.assertEqual(status, 3, text)
        self.assertNotRegex(text, r'(?i)password')


class SecretsTest(Scenario):
    """PIN and bind password are in nothing that is written: searched for, not believed."""
    card = 'alice-rsa2048'
    BIND = scenario.people.READER_PASSWORD

    def setUp(self):
        super().setUp()
        self.insert('alice-rsa2048', pin=SECRET_PIN)

    def assert_no_secret(self, text, where):
        data = text if isinstance(text, bytes) else text.encode()
        for secret in (SECRET_PIN, self.BIND):
            self.assertNotIn(secret.encode(), data, f'{secret} in {where}')
            self.assertNotIn(secret.encode().hex().encode(), data.lower(), f'{secret} in hex in {where}')

    def test_outputs_logs_store_and_ccache(self):
        wrong = SECRET_PIN[::-1]
        for pin, status in ((SECRET_PIN, 0), (wrong, 3)):
            for form in ('--json', '--verbose'):
                answer = self.cardmap('login', '--config', self.conf(), form, pin=pin, status=status)
                self.assert_no_secret(answer.out + answer.err, 'what it printed')
                self.assertNotIn(wrong, answer.out + answer.err)
        logs = (*WORK.glob('*.log'), WORK / 'card.apdus', WORK / 'http.requests')
        files = [path for path in (*self.folder.rglob('*'), *logs) if path.is_file()]
        names = {path.name for path in files}
        self.assertLessEqual({'accounts.db', 'krb5cc_10001', 'slapd.log', 'kdc.log', 'pcscd.log', 'card.log'}, names)
        for path in files:
            self.assert_no_secret(path.read_bytes(), path)
            self.assertNotIn(wrong.encode(), path.read_bytes())

    def test_system_calls(self):
        """execve with arguments and environment, opened names, and every byte written but to pcscd."""
        log = self.folder / 'strace'
        calls = 'trace=execve,connect,openat,rename,write,writev,pwrite64,pwritev,sendto,sendmsg,sendmmsg'
        self.cardmap('login', '--config', self.conf(), '--json', pin=SECRET_PIN, binary=scenario.plain(),
                     wrapper=['strace', '-f', '-v', '-x', '-yy', '-s', '1000000', '-e', calls, '-o', log])
        lines = log.read_text(errors='replace').splitlines()
        self.assertTrue([line for line in lines if 'execve(' in line and '--pin-fd' in line])
        # strace shows a string with any other byte in hex altogether.
        lines = [re.sub(r'\\x([0-9a-f]{2})', lambda byte: chr(int(byte[1], 16)), line) for line in lines]
        # Where strace may not read the program's /proc, a descriptor has its number only.
        reader = re.search(r'connect\((\d+(?:<[\w-]+:\[\d+)?).*"/run/pcscd/pcscd.comm"', '\n'.join(lines))[1]
        to_reader = re.compile(rf'sendto\({re.escape(reader)}\D')
        sent = [line for line in lines if to_reader.search(line)]
        self.assertTrue([line for line in sent if SECRET_PIN in line], 'strace sees what is sent')
        self.assertFalse([line for line in lines if 'openat(' in line and 'pkcs11' in line],
                         'PKINIT takes no module from a file')
        written = [line for line in lines if not to_reader.search(line)]
        self.assertTrue([line for line in written if 'accounts.db' in line])
        self.assert_no_secret('\n'.join(written), 'a system call')

    def stopped_with_the_pin(self):
        """A login that has verified the PIN and waits for a frozen KDC."""
        scenario.RIG.freeze('kdc')
        self.addCleanup(lambda: scenario.RIG.thaw('kdc'))
        command = [scenario.plain(), 'login', '--config', self.conf(kerberos__timeout=20000)]
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        terminal = Terminal(command, self.environment(), self.folder)
        terminal.expect(rb'PIN for [^:]*: $')
        terminal.type(SECRET_PIN.encode() + b'\n')
        wait_until(lambda: asks_kdc(terminal.child.pid), 'the KDC to be asked')
        return terminal

    def test_memory_that_a_core_file_would_hold(self):
        """While it waits: the PIN stands nowhere but in pages locked and left out of core files."""
        terminal = self.stopped_with_the_pin()
        pid = terminal.child.pid
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: scenario.rig_module.process_state(pid) == 'T', 'it to stop')
        found = list(mappings_with(pid, SECRET_PIN.encode()))
        os.kill(pid, signal.SIGKILL)
        terminal.end()
        self.assertTrue(found, 'the search finds it where it must be')
        for name, flags in found:
            self.assertLessEqual({'dd', 'lo'}, flags, f'the PIN stands in {name}, which is dumped or swapped')

    def test_no_core_file(self):
        terminal = self.stopped_with_the_pin()
        limits = Path(f'/proc/{terminal.child.pid}/limits').read_text(encoding='ascii')
        self.assertRegex(limits, r'Max core file size +0 +0 ')
        with contextlib.suppress(PermissionError):   # who takes cores by a program asks for no limit (core(5)): it is not dumpable either
            resource.prlimit(terminal.child.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
        os.kill(terminal.child.pid, signal.SIGSEGV)
        _, status = os.waitpid(terminal.child.pid, 0)
        terminal.child.returncode = -signal.SIGSEGV
        terminal.end()
        self.assertTrue(os.WIFSIGNALED(status))
        self.assertFalse(os.WCOREDUMP(status))
        self.assertEqual([path for path in self.folder.iterdir() if path.name.startswith('core')], [])


def asks_kdc(pid):
    """One of its sockets is connected to the KDC's port (proc(5), /proc/net/udp: rem_address and inode)."""
    port, mine = f':{scenario.rig_module.KDC_PORT:04X}', set()
    for path in Path(f'/proc/{pid}/fd').iterdir():
        try:
            mine.add(os.readlink(path))
        except FileNotFoundError:
            pass
    rows = [line.split() for table in ('udp', 'tcp')
            for line in Path(f'/proc/net/{table}').read_text(encoding='ascii').splitlines()[1:]]
    return any(row[2].endswith(port) and f'socket:[{row[9]}]' in mine for row in rows)


def mappings_with(pid, wanted):
    """(name, VmFlags) of each mapping of a process that holds these bytes (proc(5), smaps)."""
    mapping, flags = None, set()
    with open(f'/proc/{pid}/mem', 'rb') as memory:
        for line in Path(f'/proc/{pid}/smaps').read_text().splitlines():
            head = re.match(r'([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)', line)
            if head:
                mapping = int(head[1], 16), int(head[2], 16), head[3], head[4]
            if not line.startswith('VmFlags:') or 'r' not in mapping[2] or mapping[3].startswith('[v'):
                continue
            flags = set(line.split()[1:])
            memory.seek(mapping[0])
            if wanted in memory.read(mapping[1] - mapping[0]):
                yield f'{mapping[0]:x} {mapping[2]} {mapping[3]}', flags


class FilesTest(Scenario):
    def test_files_that_others_can_write_decide_nothing(self):
        self.conf()
        for name, mode in (('cardmap.conf', 0o666), ('cardmap.conf', 0o664)):
            with self.subTest(f'{name} {mode:o}'):
                (self.folder / name).chmod(mode)
                answer = self.cardmap('whois', '--config', self.folder / name, '--json', status=78)
                self.assertIn('others may write it', answer.json['message'])

    @unittest.skipIf(os.geteuid() != 0 or scenario.demo.as_alice_if_alone(), 'one user id only: files have one owner')
    def test_files_of_others_decide_nothing(self):
        os.chown(self.conf(), 12345, 12345)
        answer = self.cardmap('whois', '--config', self.folder / 'cardmap.conf', '--json', status=78)
        self.assertIn('owned by uid 12345', answer.json['message'])

    def test_a_bind_password_that_others_read(self):
        path = self.folder / 'password'
        path.write_text(scenario.people.READER_PASSWORD)
        path.chmod(0o644)
        answer = self.ask('whois', status=78, more={'directory__bind_password_file': path})
        self.assertIn('others may read it', answer.json['message'])

    def test_a_plist_that_others_write(self):
        path = self.folder / 'SmartcardLogin.plist'
        path.write_text('<plist version="1.0"><dict/></plist>')
        path.chmod(0o666)
        self.ask('whois', status=78, more={'mapper__plist': path})


class TlsTest(Scenario):
    def test_a_directory_with_another_cas_certificate_is_not_asked(self):
        with Counts() as counts:
            self.ask('whois', status=4, reason='directory_tls',
                     more={'directory__ca': scenario.RIG.pki / 'stranger-root.crt'})
        self.assertEqual((counts.searches(), counts.directory(' BIND dn="cn=reader')), (0, 0))

    def test_a_wrong_name_in_the_certificate(self):
        hosts = self.folder / 'hosts'
        hosts.write_text('127.0.0.1 directory.test\n')
        said(['mount', '--bind', hosts, '/etc/hosts'])
        self.addCleanup(said, ['umount', '/etc/hosts'])
        with Counts() as counts:
            answer = self.ask('whois', status=4, reason='directory_tls',
                              more={'directory__uri': [f'ldap://directory.test:{scenario.rig_module.LDAP_PORT}']})
        self.assertEqual((counts.directory(' ACCEPT '), counts.directory(' BIND dn="cn=reader')), (1, 0), str(answer))

    def test_no_password_in_the_clear(self):
        """Without TLS only loopback is allowed; a bind there shows the server no more than it knows."""
        answer = self.ask('whois', status=78, more={'directory__uri': ['ldap://192.0.2.1:389'],
                                                    'directory__starttls': 'no'})
        self.assertIn('192.0.2.1', answer.json['message'])


class FreshTest(Scenario):
    """An answer prepared yesterday does not count today."""

    def login_after(self, jump, change):
        """Type the PIN when this program's clocks have moved on."""
        clock = self.folder / 'clock'
        clock.write_text('+0')
        fake = ['env', scenario.clock('')[1], f'FAKETIME_TIMESTAMP_FILE={clock}', 'FAKETIME_NO_CACHE=1']
        command = [*fake, scenario.plain(), 'login', '--config', self.conf(), '--json',
                   '--card', f'file:{scenario.RIG.pki}/alice-rsa2048.pem']
        terminal = Terminal(command, self.environment())
        terminal.expect(rb'PIN for [^:]*: $')
        change()
        clock.write_text(jump)
        terminal.type(PIN.encode() + b'\n')
        return terminal.end()

    def test_a_card_revoked_while_the_prompt_stood_overnight(self):
        self.settings['trust.ask_always'] = 'yes'
        status, text = self.login_after('+120', lambda: scenario.RIG.revoke('alice-rsa2048'))
        self.assertEqual(status, 3, text)
        self.assertIn('"reason": "revoked"', text)

    def test_a_mapping_removed_while_the_prompt_stood_overnight(self):
        dn = scenario.people.person_dn('alice')
        status, text = self.login_after('+120', lambda: self.change_directory(dn, ('altSecurityIdentities', [])))
        self.assertEqual(status, 1, text)
        self.assertIn('"reason": "no_account"', text)

    def test_nothing_changed_and_it_is_asked_again(self):
        with Counts() as counts:
            status, text = self.login_after('+120', lambda: None)
        self.assertEqual(status, 0, text)
        self.assertEqual(counts.searches('altSecurityIdentities'), 2)
        with Counts() as counts:
            status, text = self.login_after('+5', lambda: None)
        self.assertEqual(status, 0, text)
        self.assertEqual(counts.searches('altSecurityIdentities'), 1)


class OcspTest(Scenario):
    """A responder that lies or stalls, through a whole login. The CRL server is gone, the CA's own list is a file."""
    COUNTS = ('good', 'no-nonce', 'no-next-update')
    NO_ANSWER = ('wrong-nonce', 'wrong-serial', 'no-eku', 'stranger', 'bad-signature', 'stale', 'future', 'unknown',
                 'try-later', 'garbage', 'huge', 'endless', 'early-close', 'status=503', 'status=404', 'redirect-loop',
                 'redirect-file', 'reset', 'silent', 'drip')

    def setUp(self):
        super().setUp()
        scenario.RIG.stop('http')
        self.settings['trust.crl'] = [scenario.RIG.pki / 'root.crl']

    def level(self, level, **options):
        return self.login(more={'trust__level': level}, **options)

    def forget(self):
        """Who lied once is not asked again at once: for each lie, a computer that has not heard one."""
        self.store.unlink(missing_ok=True)

    def test_what_counts_as_good(self):
        for mode in self.COUNTS:
            scenario.RIG.bad(mode)
            with self.subTest(mode):
                self.assertEqual(self.level('hard').account, 'alice')
                self.store.unlink()

    def test_what_counts_as_no_answer(self):
        for mode in self.NO_ANSWER:
            scenario.RIG.bad(mode)
            self.silence = mode in ('silent', 'drip')
            with self.subTest(mode):
                answer = self.level('hard', status=3, reason='revocation_unknown')
                self.assertIn('OCSP http://127.0.0.1:8081/', answer.json['message'].replace('ocsp ', 'OCSP '))
                self.assertNotIn('known_silent', answer.out)
                self.assertLess(answer.seconds, 5)
                self.forget()
                answer = self.level('soft')
                self.assertEqual(answer.account, 'alice')
                self.assertNotIn('evidence_source', answer.json, 'what is no answer is no evidence')
                self.assertNotIn('known_silent', answer.out)
                self.assertLess(answer.seconds, 5)
                self.forget()

    def test_an_answer_without_our_nonce_when_one_is_required(self):
        for mode in ('no-nonce', 'replay=ocsp-good.der'):
            scenario.RIG.bad(mode)
            with self.subTest(mode):
                self.login(status=3, reason='revocation_unknown',
                           more={'trust__level': 'hard', 'trust__require_nonce': 'yes'})
                self.forget()

    def test_a_bad_signature_is_neither_good_nor_revoked(self):
        scenario.RIG.revoke('alice-rsa2048')
        for mode in ('bad-signature', 'stranger', 'no-eku'):
            scenario.RIG.bad(mode)
            with self.subTest(mode):
                self.assertEqual(self.level('soft').account, 'alice')
                self.forget()
                self.level('hard', status=3, reason='revocation_unknown')
                self.forget()
        scenario.RIG.unrevoke('alice-rsa2048')
        scenario.RIG.start('ocsp')
        self.assertEqual(self.level('hard').account, 'alice', 'a forger has revoked nothing')

    def test_forged_and_expired_lists_are_no_answer(self):
        scenario.RIG.stop('ocsp')
        pki = scenario.RIG.pki
        for name in ('inter-forged.crl', 'inter-expired.crl', 'stranger-inter.crl'):
            with self.subTest(name):
                self.login(status=3, reason='revocation_unknown',
                           more={'trust__level': 'hard', 'trust__crl': [pki / 'root.crl', pki / name]})
        self.login(more={'trust__level': 'hard', 'trust__crl': [pki / 'root.crl', pki / 'inter.crl']})


if __name__ == '__main__':
    scenario.main()
