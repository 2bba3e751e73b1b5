#!/usr/bin/python3
"""test_edges.py: what goes wrong around a login: servers that hang, outputs that are full or closed."""
import socket
import subprocess

import scenario
from scenario import PIN, Scenario, said


class SilentKdcTest(Scenario):
    card = 'alice-rsa2048'

    def test_the_card_still_proves_itself(self):
        """With a host keytab the KDC is asked first: the time it takes is not the card's."""
        self.login(card=None)
        for frozen in (['kdc'], self.servers):
            with self.subTest(frozen):
                scenario.RIG.freeze(*frozen)
                answer = self.login(card=None)
                self.assertEqual(answer.account, 'alice')
                self.assertEqual(answer.json['card']['key_operations'], 1)
                scenario.RIG.thaw(*frozen)


class WordsTest(Scenario):
    """What a helpdesk is told."""

    def test_an_answer_without_an_end_has_none(self):
        """RFC 6960 section 2.4: an OCSP answer need not name nextUpdate."""
        scenario.RIG.bad('no-next-update')
        login = self.cardmap('login', '--config', self.conf(), '--card', f'file:{scenario.RIG.pki}/alice-rsa2048.pem', pin=PIN)
        self.assertRegex(login.out, r'evidence +not revoked, .*, good until \(no end named\)')
        show = self.cardmap('accounts', 'show', 'alice', '--config', self.conf())
        self.assertRegex(show.out, r'evidence +good by OCSP .* until \(no end named\)')
        self.assertNotIn('1970', login.out + show.out)
        self.assertIsNone(self.ask('accounts', 'show', 'alice', card=None).json['accounts'][0]['evidence'][0]['next_update'])

    def test_accounts_list_says_how_long_and_not_of_a_revoked_card(self):
        self.login(card='alice-p256')
        self.assertRegex(self.cardmap('accounts', 'list', '--config', self.conf()).out, 'opens offline until ')
        expires = self.ask('cert', scenario.RIG.pki / 'alice-p256.crt', card=None).json['not_after']
        for days in (3650, 0):
            kept = self.ask('accounts', 'list', card=None, more={'accounts__offline_days': days}).json['accounts'][0]
            self.assertEqual(kept['offline_until'], expires)
        scenario.RIG.revoke('alice-p256')
        self.login(card='alice-p256', status=3, reason='revoked', more={'trust__ask_always': 'yes'})
        self.assertRegex(self.cardmap('accounts', 'list', '--config', self.conf()).out, 'revoked: opens nothing')
        kept = self.ask('accounts', 'list', card=None).json['accounts'][0]
        self.assertEqual((kept['revoked'], kept['offline_until']), (True, None))

    def test_a_first_login_with_a_dead_directory_names_it(self):
        """"Log in with the network" does not help who has one."""
        scenario.RIG.stop('slapd')
        answer = self.login(status=4, reason='not_kept')
        self.assertRegex(answer.json['message'], r'and the directory: ldap://127\.0\.0\.1:3890: connecting: Connection refused')

    def test_a_clock_that_is_behind_is_named_where_tls_fails(self):
        """A laptop whose clock lost its battery: no certificate is valid yet."""
        late = ['env', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'faketime', '-f', '-1d']
        answer = self.ask('whois', status=4, reason='directory_tls', binary=scenario.plain(), wrapper=late)
        self.assertRegex(answer.json['message'], 'its CA, name or validity$')
        self.assertTrue(answer.seen('account', "this computer's clock"))
        self.assertIn('clock', answer.json['remedy'])


class SilentNameServerTest(Scenario):
    """getaddrinfo has no deadline of its own; who waits for it has one all the same."""
    silence = True

    def setUp(self):
        super().setUp()
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind(('127.0.0.1', 53))
        resolver = self.folder / 'resolv.conf'
        resolver.write_text('nameserver 127.0.0.1\n')
        said(['mount', '--bind', resolver, '/etc/resolv.conf'])
        self.addCleanup(said, ['umount', '/etc/resolv.conf'])

    def test_each_server_known_by_name_and_all_of_them(self):
        self.login()
        names = {'directory__uri': ['ldap://directory.test:3890'], 'trust__ocsp_url': ['http://responder.test/'],
                 'trust__crl': ['http://lists.test/inter.crl'], 'kerberos__kdc': ['kdc.test:88']}
        for more in (*({key: value} for key, value in names.items()), names):
            with self.subTest(more):
                answer = self.login(more=more, env={'ASAN_OPTIONS': 'detect_leaks=0'})  # who is not waited for leaks
                self.assertEqual(answer.account, 'alice')
                self.assertLess(answer.seconds, sum(scenario.DEADLINES.values()) / 1000 + 2)


class KeysTest(Scenario):
    """Keys of the configuration that no other test sets reach what they are for."""

    def test_each_has_its_effect(self):
        for changes, status, reason, words in (
                ({'accounts__first_gid': 20000}, 3, 'account_forbidden', '20000'),
                ({'directory__group_base': 'ou=typo,dc=cardmap,dc=test'}, 78, 'directory_refused', 'ou=typo'),
                ({'trust__level': 'hard', 'trust__use_crl': 'no'}, 3, 'revocation_unknown', 'Issuing CA'),
                ({'kerberos__anchors': [scenario.RIG.pki / 'stranger-root.crt']}, 3, 'cert_untrusted', 'for Kerberos'),
                ({'kerberos__host_principal': 'host/other.test', 'kerberos__ticket': 'required'}, None, None, 'other')):
            with self.subTest(changes):
                self.store.unlink(missing_ok=True)
                answer = self.login(status=status, reason=reason, more=changes)
                self.assertIn(words, answer.json['message'], str(answer))

    def test_limits_of_size(self):
        """Said with the number that was set; the whole answer would be another mistake."""
        lists = scenario.WORK / 'www/big.crl'
        lists.write_bytes(b'x' * 3000)
        self.addCleanup(lists.unlink)
        scenario.RIG.bad('huge')
        more = {'trust__level': 'hard', 'trust__ocsp_max': 2048, 'trust__crl_max': 1500,
                'trust__ocsp_url': ['http://127.0.0.1:8081/'], 'trust__crl': ['http://127.0.0.1:8080/big.crl']}
        told = self.login(card='no-aia-cdp', status=3, reason='revocation_unknown', more=more)
        seen = ' '.join(told.seen('revocation', 'ocsp') + told.seen('revocation', 'crl'))
        for limit in ('2048', '1500'):
            self.assertIn(f'the answer is larger than {limit} bytes', seen)


class ExplainTest(Scenario):
    def test_it_makes_no_file(self):
        self.ask('explain')
        self.assertEqual(list((self.folder / 'store').iterdir()), [])
        scenario.RIG.stop('slapd')
        self.ask('explain', status=4, reason='directory_offline')


class RemappedTest(Scenario):
    """Mapping changed but the cache still admits: the directory gives alice's card to bob."""

    def test_the_first_answer_ends_what_was_kept_whatever_becomes_of_the_login(self):
        self.login()
        self.change_directory('uid=alice,ou=people,dc=cardmap,dc=test', ('altSecurityIdentities', ['X509:<SKI>00']))
        self.change_directory('uid=bob,ou=people,dc=cardmap,dc=test', ('altSecurityIdentities', ['Kerberos:alice@CARDMAP.TEST']))
        self.login(status=3, reason='kdc_refused')
        scenario.RIG.stop('slapd')
        self.login(status=4, reason='not_kept')


class NoKdcTest(Scenario):
    """No KDC can be asked for the account: the card's own signature is the proof."""
    card = 'alice-rsa2048'

    def passes_unless_required(self, reason, status, **more):
        answer = self.login(card=None, more=more)
        self.assertEqual(answer.account, 'alice')
        self.assertNotIn('principal', answer.json)
        self.assertEqual(answer.json['card']['key_operations'], 1)
        self.login(card=None, status=status, reason=reason, more={**more, 'kerberos__ticket': 'required'})

    def test_account_of_another_realm(self):
        self.change_directory('uid=alice,ou=people,dc=cardmap,dc=test', ('krbPrincipalName', ['alice@OTHER.TEST']))
        self.passes_unless_required('no_kdc', 4)

    def test_host_of_another_realm(self):
        """As Debian's krb5.conf has it."""
        self.passes_unless_required('no_kdc', 4, kerberos__realm='ATHENA.MIT.EDU', kerberos__kdc='kerberos.mit.edu',
                                    kerberos__keytab='/nonexistent')

    def test_host_of_no_realm(self):
        nothing = self.folder / 'krb5.conf'
        nothing.write_text('[libdefaults]\n')
        self.passes_unless_required('config', 78, kerberos__realm=None, kerberos__kdc=None, kerberos__config=nothing,
                                    kerberos__keytab='/nonexistent')


class SharedCardTest(Scenario):
    servers = ('slapd',)
    card = 'alice-rsa2048'

    def test_programs_that_read_the_card_at_once_do_not_disturb_each_other(self):
        """Else one takes the rest of the other's answer, and the card looks broken."""
        command = [scenario.program(), 'whois', '--config', self.conf()]
        for _ in range(3):
            running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env=self.environment()) for _ in range(6)]
            for one in running:
                text = one.communicate(timeout=scenario.SECONDS)[0]
                self.assertEqual(one.returncode, 0, text)


    def test_a_program_that_keeps_the_card_is_named(self):
        other = scenario.OtherClient()
        self.addCleanup(other.close)
        other.call('SCardBeginTransaction', other.card)
        answer = self.login(card=None, status=4, reason='card_silent', more={'card__timeout': 500})
        self.assertIn('another program', answer.json['message'])
        self.assertLess(answer.seconds, 4)


class UnreadableCardTest(Scenario):
    servers = ()
    card = 'alice-rsa2048'

    def test_a_card_that_cannot_be_read_is_not_told_as_none(self):
        scenario.RIG.freeze('card')
        self.ask('cards', card=None, status=4, reason='card_silent', more={'card__timeout': 500})
        scenario.RIG.thaw('card')
        self.control('fault sw=6a82@insA4')
        self.ask('cards', card=None, status=1, reason='card_not_piv')


class ListInAFileTest(Scenario):
    """trust.crl names a file: what an administrator puts there to lock a card out at once."""

    def setUp(self):
        super().setUp()
        self.settings['trust.crl'] = scenario.RIG.pki / 'inter-revoked-alice.crl'

    def test_revoked_in_it_counts_though_servers_say_good(self):
        for more in ({}, {'trust__use_ocsp': 'no'}):
            with self.subTest(more):
                self.assertEqual(self.login(card='bob', more=more).account, 'bob')
                answer = self.login(status=3, reason='revoked', more=more)
                self.assertIn('inter-revoked-alice.crl', answer.json['message'])

    def test_good_in_it_is_not_the_last_word(self):
        self.settings['trust.crl'] = scenario.RIG.pki / 'inter.crl'
        scenario.RIG.revoke('alice-rsa2048')
        self.login(status=3, reason='revoked', more={'trust__ask_always': 'yes'})


class OutputTest(Scenario):
    servers = ('slapd',)
    card = 'alice-rsa2048'

    def shell(self, line, **options):
        return subprocess.run(['bash', '-c', line], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=scenario.SECONDS, env=self.environment(), **options)

    def test_an_answer_that_cannot_be_written_is_no_yes(self):
        login = f'login --set kerberos.ticket=off --pin-fd 3 3<<<{PIN}'
        for command in ('whois', 'whois --json', 'cards --export', 'config show', login, 'whois --help'):
            done = self.shell(f'{scenario.program()} {command} --config {self.conf()} >/dev/full')
            with self.subTest(command):
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn('the answer could not be written: No space left on device', done.stderr)
        for command in ('--help', '--version', 'completion'):
            with self.subTest(command):
                self.assertEqual(self.shell(f'{scenario.program()} {command} >/dev/full').returncode, 4)

    def test_no_library_writes_what_the_environment_asks_for(self):
        """TLS secrets would let a recorded bind be read."""
        files = {name: self.folder / name for name in ('SSLKEYLOGFILE', 'KRB5_TRACE')}
        done = self.shell(' '.join(f'{name}={path}' for name, path in files.items()) +
                          f' {scenario.program()} whois --config {self.conf()}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([path for path in files.values() if path.exists()], [])

    def test_closed_descriptors_never_become_a_readers(self):
        """Else what is printed is sent to pcscd."""
        calls = self.folder / 'calls'
        for closed in ('<&-', '>&-', '2>&-', '<&- >&- 2>&-'):
            said(['strace', '-f', '-e', 'trace=socket', '-o', calls, 'bash', '-c',
                  f'exec {scenario.plain()} cards --config {self.conf()} {closed}'])
            with self.subTest(closed):
                self.assertRegex(calls.read_text(), r'socket\(AF_UNIX.* = \d+\n')
                self.assertNotRegex(calls.read_text(), r'socket\(.* = [012]\n')


if __name__ == '__main__':
    scenario.main()
