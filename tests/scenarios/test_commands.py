#!/usr/bin/python3
"""test_commands.py: each command as people and scripts meet it: text, JSON, help, exit codes, the PIN's ways in."""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import scenario
from scenario import PIN, Scenario, Terminal, said

COMMANDS = ('whois', 'explain', 'login', 'cards', 'cert', 'accounts', 'revocation', 'rules', 'config')
FIELDS = {
    'Common Name': 'Alice Example', 'RFC 822 Name': 'alice@cardmap.test', 'NT Principal Name': 'alice@CARDMAP.TEST',
    'Organization': 'Cardmap Test', 'OrganizationalUnit:1': 'People', 'OrganizationalUnit:2': 'Engineering',
    'OrganizationalUnit:3': 'Cards', 'Country': 'DE',
}


def setUpModule():
    if Path('/etc/cardmap').is_dir():  # this machine's own configuration is not the examples'
        said(['mount', '-t', 'tmpfs', 'none', '/etc/cardmap'])


class PinByHandTest(Scenario):
    card = 'alice-p256'
    PUK = '71930264'

    def pin(self, way, *lines, **options):
        return self.cardmap('pin', way, '--config', self.conf(), '--json', pin='\n'.join(lines), **options)

    def test_a_right_pin_spends_no_try_and_a_wrong_one_does(self):
        self.pin('verify', PIN)
        self.assertEqual(self.tries(), 3)
        answer = self.pin('verify', scenario.WRONG_PIN, status=3)
        self.assertEqual((answer.reason, answer.json['tries_left'], self.tries()), ('pin_wrong', 2, 2))

    def test_the_new_pin_holds_and_the_old_one_does_not(self):
        self.pin('change', PIN, scenario.NEW_PIN)
        self.assertEqual(self.pin('verify', PIN, status=3).reason, 'pin_wrong')
        self.pin('verify', scenario.NEW_PIN)

    def test_two_new_pins_typed_at_a_terminal_must_be_alike(self):
        def change(again):
            terminal = Terminal([scenario.program(), 'pin', 'change', '--config', str(self.conf())], self.environment())
            self.addCleanup(terminal.kill)
            terminal.enter(rb'PIN for [^\n]*: $', PIN)
            terminal.enter(rb'New PIN \(6 to 8 digits\): $', scenario.NEW_PIN)
            terminal.enter(rb'New PIN, once more: $', again)
            status, text = terminal.end(scenario.SECONDS)
            self.assertNotIn(PIN, text)
            self.assertNotIn(scenario.NEW_PIN, text)
            return status, text
        status, text = change(scenario.WRONG_PIN)
        self.assertEqual(status, 3, text)
        self.assertIn('pin_differs', text)
        self.pin('verify', PIN)
        status, text = change(scenario.NEW_PIN)
        self.assertEqual(status, 0, text)
        self.pin('verify', scenario.NEW_PIN)

    def test_a_blocked_card_opens_again_by_its_puk_alone(self):
        folder = self.card_folder('alice-p256', conf='retries=3\n')
        (folder / 'puk').write_text(self.PUK)
        self.control(f'become {folder}')
        self.control('tries 0')
        self.assertEqual(self.pin('verify', PIN, status=3).reason, 'pin_blocked')
        wrong = self.pin('unblock', '71930265', scenario.NEW_PIN, status=3)
        self.assertEqual((wrong.reason, wrong.json['puk_tries_left']), ('puk_wrong', 2))
        self.pin('unblock', self.PUK, scenario.NEW_PIN)
        self.pin('verify', scenario.NEW_PIN)
        self.assertEqual(self.tries(), 3)


class AnswersTest(Scenario):
    card = 'alice-rsa2048'

    def both(self, *arguments, status=0, pin=None, **changes):
        """The text and the JSON of the same question."""
        def one(*form):
            return self.cardmap(arguments[0], '--config', self.conf(**changes), *form, *arguments[1:], status=status,
                                pin=pin)
        text, answer = one(), one('--json')
        self.assertNotIn('\033', text.out, 'colour is for terminals')
        self.assertEqual(answer.json['result'] == 'ok', status == 0, str(answer))
        if status:
            self.assertIn(f'reason:  {answer.reason}', text.err)
            self.assertIn(answer.json['message'], text.err)
            self.assertTrue(answer.json['remedy'])
        return text.out, answer.json

    def test_colour_is_for_terminals_that_have_it(self):
        command = [scenario.program(), 'explain', '--config', str(self.conf())]
        for coloured, more in ((True, {'TERM': 'xterm'}), (False, {'TERM': 'dumb'}), (False, {'TERM': 'xterm', 'NO_COLOR': '1'})):
            environment = {key: value for key, value in self.environment().items() if key != 'NO_COLOR'}
            terminal = Terminal(command, {**environment, **more})
            self.addCleanup(terminal.kill)
            status, text = terminal.end()
            self.assertEqual((status, '\033[' in text), (0, coloured), text)

    def test_whois_names_the_account_and_the_rule_that_found_it(self):
        text, answer = self.both('whois')
        self.assertRegex(text, r'(?m)^account +alice$')
        self.assertRegex(text, r'(?m)^found by +.*: (Kerberos:alice@|X509:<I>)')
        account = answer['account']
        self.assertEqual((account['name'], account['uid'], account['principal'], account['home'], account['shell']),
                         ('alice', 10001, 'alice@CARDMAP.TEST', '/home/alice', '/bin/bash'))
        self.assertIn(account['matched'], ('Kerberos:alice@CARDMAP.TEST',
                                           scenario.people.of_card('alice-rsa2048')))
        self.assertLessEqual({'users', 'engineering', 'cards'}, {group['name'] for group in account['groups']})

    def test_a_weak_binding_is_said_wherever_a_person_looks(self):
        for card, weak in (('alice-rsa2048', False), ('bob', True)):
            command = ['whois', '--config', self.conf(), '--card', f'file:{scenario.RIG.pki}/{card}.pem']
            self.assertEqual('weak' in self.cardmap(*command).out, weak)
            self.assertEqual(self.cardmap(*command, '--json').json['account']['weak'], weak)

    def test_config_check_names_the_rules_that_are_left_out(self):
        self.rules = 'rule "broken" {\n  attribute = mail\n  value = "{no_such_field}"\n}\n'
        command = ['config', 'check', '--config', self.conf(mapper__skip_bad_rules='yes')]
        self.assertRegex(self.cardmap(*command).out, r'left out: .*cardmap\.conf:\d+: rule "broken".*no_such_field')
        self.assertEqual(len(self.cardmap(*command, '--json').json['left_out']), 1)
        self.cardmap('config', 'check', '--config', self.conf(), status=78)

    def test_explain_shows_every_stage_with_what_it_saw(self):
        text, answer = self.both('explain')
        self.assertEqual([stage['stage'] for stage in answer['stages']][-4:],
                         ['certificate', 'chain', 'account', 'revocation'])
        for name in ('certificate', 'chain', 'account', 'revocation'):
            self.assertRegex(text, rf'(?m)^{name} +ok +\d')
        self.assertIn('altSecurityIdentities=Kerberos:alice@CARDMAP.TEST', text)
        self.assertIn('OCSP http://127.0.0.1:8081/', text.replace('ocsp  ', 'OCSP '))

    def test_explain_keeps_and_changes_nothing(self):
        self.both('explain')
        self.assertEqual(self.both('accounts', 'list')[1]['accounts'], [])

    def test_login_opens_the_account(self):
        text, answer = self.both('login', pin=PIN)
        self.assertRegex(text, r'(?m)^account +alice$')
        self.assertRegex(text, r'(?m)^ticket +alice@CARDMAP.TEST until ')
        self.assertRegex(text, rf'(?m)^KRB5CCNAME +FILE:{self.folder}/tickets/krb5cc_10001$')
        self.assertEqual((answer['account']['name'], answer['offline'], answer['kept']), ('alice', False, True))

    def test_cards_lists_reader_slots_validity_and_trust(self):
        text, answer = self.both('cards')
        self.assertIn('Virtual PCD', text)
        reader = answer['readers'][0]
        self.assertTrue(reader['card_present'])
        slots = {certificate['slot']: certificate for certificate in reader['certificates']}
        self.assertLessEqual({'9A', '9D', '9E'}, set(slots))
        self.assertEqual((slots['9A']['key'], slots['9A']['trust']), ('RSA 2048', 'trusted'))
        self.assertIn('CN=Alice Example', slots['9A']['subject'])
        self.assertRegex(slots['9A']['not_after'], r'^20\d\d-\d\d-\d\d .* UTC$')

    def test_cards_export_is_pem_that_openssl_reads(self):
        answer = self.cardmap('cards', '--config', self.conf(), '--export')
        blocks = re.findall(r'-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n', answer.out, re.S)
        self.assertEqual(''.join(blocks), answer.out, 'nothing but certificates')
        self.assertEqual(len(blocks), 3)
        (self.folder / 'card.pem').write_text(blocks[0])
        self.assertEqual(said(['openssl', 'x509', '-in', self.folder / 'card.pem', '-outform', 'PEM']),
                         said(['openssl', 'x509', '-in', scenario.RIG.pki / 'alice-rsa2048.crt', '-outform', 'PEM']))

    def test_cards_export_as_json(self):
        _, answer = self.both('cards', '--export')
        self.assertIn('BEGIN CERTIFICATE', answer['readers'][0]['certificates'][0]['pem'])

    def test_cert_shows_all_eight_fields(self):
        for form in ('pem', 'der'):
            text, answer = self.both('cert', scenario.RIG.pki / f'alice-rsa2048.{form}')
            for name, value in FIELDS.items():
                self.assertRegex(text, rf'(?m)^{re.escape(name)} +{re.escape(value)}$')
                self.assertEqual(answer['fields'][name], value)
        self.assertEqual(answer['extKeyUsage'], ['1.3.6.1.5.5.7.3.2', '1.3.6.1.4.1.311.20.2.2', '1.3.6.1.5.2.3.4'])
        self.assertRegex(text, r'(?m)^extKeyUsage +1\.3\.6\.1\.5\.5\.7\.3\.2  TLS Web Client Authentication$')
        self.assertEqual(answer['keyUsage'], ['digitalSignature'])
        self.assertRegex(text, r'(?m)^keyUsage +digitalSignature$')
        self.assertEqual(answer['fields']['FASC-N'][:8], 'd4e739da')
        self.assertRegex(answer['fields']['UUID'], r'^[0-9a-f-]{36}$')
        self.assertEqual(answer['OCSP'], ['http://127.0.0.1:8081/'])
        self.assertEqual(answer['CRL'], ['http://127.0.0.1:8080/inter.crl'])

    def test_a_card_file_has_one_certificate(self):
        _, answer = self.both('cards', '--card', f"file:{scenario.RIG.pki / 'alice-p256.pem'}")
        self.assertEqual([one['slot'] for one in answer['readers'][0]['certificates']], ['9A'])

    def test_accounts_list_show_forget(self):
        self.login()
        text, answer = self.both('accounts', 'list')
        self.assertRegex(text, r'(?m)^alice +10001 +last online 20.* opens offline until 20')
        self.assertEqual([kept['account']['name'] for kept in answer['accounts']], ['alice'])
        text, answer = self.both('accounts', 'show', 'alice')
        self.assertIn('evidence', text)
        self.assertIn('good', [evidence['status'] for evidence in answer['accounts'][0]['evidence']])
        self.assertIn('CN=Alice Example', answer['accounts'][0]['subject'])
        self.cardmap('accounts', '--config', self.conf(), 'forget', 'alice')
        self.assertEqual(self.both('accounts', 'list')[1]['accounts'], [])
        self.both('accounts', 'show', 'alice', status=1)
        self.both('accounts', 'forget', 'alice', status=1)

    def test_revocation_check_good_revoked_unknown(self):
        pki = scenario.RIG.pki
        text, answer = self.both('revocation', 'check', pki / 'bob.pem')
        self.assertRegex(text, r'(?m)^status +good$')
        self.assertEqual(answer['status'], 'good')
        text, answer = self.both('revocation', 'check', pki / 'revoked.pem', status=3)
        self.assertEqual((answer['status'], answer['reason']), ('revoked', 'revoked'))
        scenario.RIG.stop('ocsp', 'http')
        _, answer = self.both('revocation', 'check', pki / 'bob.pem')
        self.assertEqual(answer['status'], 'unknown')
        _, answer = self.both('revocation', 'check', pki / 'bob.pem', status=3, trust__level='hard')
        self.assertEqual((answer['status'], answer['reason']), ('unknown', 'revocation_unknown'))

    def test_a_store_that_the_former_version_made_is_told_of_as_ever(self):
        self.store.write_bytes((scenario.HERE.parent / 'fuzz/seeds/store/database').read_bytes()[1:])
        self.store.chmod(0o600)
        for _ in range(2):  # moved over by the first, and then of this version
            kept = self.both('accounts', 'list')[1]['accounts']
            self.assertEqual([(one['account']['name'], one['account']['uid']) for one in kept], [('alice', 4000)])
            evidence = self.both('revocation', '--revoked', 'list')[1]['evidence']
            self.assertEqual([(item['serial'], item['status'], item['source'], item['learned'], item['confirmed'])
                              for item in evidence],
                             [('1001', 'revoked', 'OCSP http://ocsp.test/ 1', '2027-01-15 08:00:05 UTC',
                               '2027-01-15 08:00:05 UTC')])

    def test_config_check_finds_no_mistake_in_the_rigs(self):
        self.assertIn('no mistakes', self.both('config', 'check')[0])

    def test_config_check_names_file_line_and_key(self):
        path = self.folder / 'cardmap.conf'
        path.write_text('trust {\n  level = hardish\n}\n\ndirectory {\n  timeout = 7\n  tiemout = 9\n}\n')
        for form in ([], ['--json']):
            answer = self.cardmap('config', '--config', path, *form, 'check', status=78)
            told = answer.json['mistakes'] if form else answer.out.splitlines()
            self.assertTrue(any(f'{path}:2: trust.level = hardish' in line and 'soft' in line for line in told), told)
            self.assertTrue(any(f'{path}:6: directory.timeout = 7' in line and '50 to 60000 ms' in line
                                for line in told), told)
            self.assertTrue(any(f'{path}:7: ' in line and 'tiemout' in line for line in told), told)

    def test_config_check_names_the_file_that_holds_no_certificate(self):
        (self.folder / 'not.pem').write_text('hello\n')
        text, answer = self.both('config', 'check', status=78, trust__anchors=[self.folder / 'not.pem'])
        self.assertIn(str(self.folder / 'not.pem'), text)
        self.assertEqual(len(answer['mistakes']), 1)

    def test_config_show_tells_value_and_origin(self):
        text, answer = self.both('config', '--set', 'trust.level=hard', 'show')
        self.assertRegex(text, r'(?m)^trust.level += hard +# command line$')
        self.assertRegex(text, rf'(?m)^directory.base += dc=cardmap,dc=test +# {self.folder}/cardmap.conf:\d+$')
        self.assertRegex(text, r'(?m)^accounts.offline_days += 30 +# default$')
        self.assertEqual(answer['values']['accounts.offline_days']['unit'], 'days')
        self.assertNotIn('managed', answer['values']['trust.level'])
        (self.folder / 'managed.d').mkdir(0o755)
        managed = self.folder / 'managed.d/10-site.conf'
        managed.write_text('\ncheckCertificateTrust = 2\n')
        managed.chmod(0o644)
        text, answer = self.both('config', 'show', trust__level='hard')
        self.assertRegex(text, rf'(?m)^trust.level += soft +# {managed}:2$')
        shown = answer['values']['trust.level']
        self.assertEqual([shown.get(key) for key in ('value', 'origin', 'managed', 'alias')],
                         ['soft', f'{managed}:2', True, 'checkCertificateTrust'])

    def test_config_shows_every_key_of_revocation_as_it_was_set(self):
        given = {'level': 'soft 72h', 'check': 'leaf', 'order': 'crl', 'ask_always': 'yes', 'undated_max': '60',
                 'crl_mirror': 'http://far.test/ http://near.test/', 'ocsp_get': 'yes', 'ocsp_hash': 'sha256',
                 'private_redirects': 'yes'}
        self.rules = 'rule "strict" {\n  filter = "(mail={rfc822_name})"\n  level = "3 90m"\n}\n'
        text, answer = self.both('config', 'show', **{f'trust__{key}': value for key, value in given.items()})
        for key, value in given.items():
            shown = answer['values'][f'trust.{key}']
            self.assertEqual(shown['value'], value)
            self.assertNotEqual(shown['default'], value)
            self.assertRegex(text, rf'(?m)^trust\.{key} += {value} +# {self.folder}/cardmap.conf:\d+$')
        self.assertEqual(answer['rules'][0]['values']['level']['value'], 'hard 90m')
        self.assertIn('no mistakes', self.both('config', 'check', **{f'trust__{key}': value
                                                                    for key, value in given.items()})[0])

    def test_config_check_names_keys_that_contradict_each_other(self):
        text, answer = self.both('config', 'check', status=78, trust__require_nonce='yes', trust__ocsp_get='yes')
        self.assertIn('trust.require_nonce and trust.ocsp_get: a request by GET has no nonce', text)
        self.assertEqual(len(answer['mistakes']), 1)
        self.rules = 'rule "strict" {\n  attribute = altSecurityIdentities\n  value = "{public_key!sha1}"\n  level = hard\n}\n'
        text, answer = self.both('config', 'check', status=78, trust__level='off')
        self.assertRegex(text, r'cardmap\.conf:\d+: rule "strict": level: trust\.level = off, and then no chain')
        self.assertIn('no mistakes', self.both('config', 'check', trust__level='chain')[0])
        self.rules = self.rules.replace('level = hard', 'level = off')
        text, answer = self.both('config', 'check', status=78)
        self.assertRegex(text, r'cardmap\.conf:\d+: rule "strict": level = off: the chain is checked before anybody')

    def test_config_check_keeps_one_way_in_where_cards_fail(self):
        """daemon is an account of this computer, and has no password."""
        text, answer = self.both('config', 'check', status=78, enforcement__required='yes', enforcement__exempt=['daemon'])
        wanted = r'enforcement\.exempt leaves nobody a way in where cards fail, and enforcement\.required = yes: daemon '
        self.assertRegex(text, wanted)
        self.assertEqual(len(answer['mistakes']), 1)
        self.assertRegex(answer['mistakes'][0], wanted)

    def test_verbose_shows_the_stages(self):
        out = self.cardmap('whois', '--config', self.conf(), '--verbose').out
        self.assertRegex(out, r'(?m)^account +ok +\d+\.\d\d ms')
        self.assertIn('6 card commands', out)


class ExitCodesTest(Scenario):
    def test_0_one_account(self):
        self.ask('whois', status=0)

    def test_1_asked_and_there_is_none(self):
        self.ask('whois', card='carol', status=1, reason='no_account')

    def test_2_several_accounts_all_named(self):
        answer = self.ask('whois', card='dave', status=2, reason='several_accounts')
        self.assertRegex(answer.json['message'], r'\bdave\b.*\bdave-admin\b|\bdave-admin\b.*\bdave\b')
        self.login(card='dave', status=2, reason='several_accounts')

    def test_3_refused(self):
        self.login(card='revoked', status=3, reason='revoked')

    def test_4_could_not_ask(self):
        scenario.RIG.stop('slapd')
        self.ask('whois', status=4, reason='directory_offline')

    def test_4_no_reader(self):
        scenario.RIG.stop('card', 'pcscd')
        self.ask('whois', card=None, status=4, reason='no_reader')
        self.ask('cards', card=None, status=4, reason='no_reader')

    def test_4_no_card(self):
        scenario.RIG.start('pcscd').card('none')
        self.ask('whois', card=None, status=4, reason='no_card')

    def test_64_usage(self):
        for arguments in ([], ['nonsense'], ['cert'], ['cert', 'a', 'b'], ['whois', '--nonsense'], ['whois', 'alice', 'extra'],
                          ['whois', '--set', 'no.such=1'], ['accounts', 'steal', 'alice'], ['revocation', 'undo', 'x'],
                          ['config', 'burn'], ['login', '--pin-fd', 'x'], ['cards', '--pin-fd', '3'],
                          ['login', '--card']):
            with self.subTest(arguments):
                answer = self.cardmap(*arguments, status=64)
                self.assertTrue(answer.err)

    def test_78_configuration(self):
        self.cardmap('whois', '--config', self.folder / 'missing.conf', status=78)
        (self.folder / 'broken.conf').write_text('trust { level = ')
        self.cardmap('login', '--config', self.folder / 'broken.conf', status=78)
        self.ask('whois', card='no-such-file', status=78, reason='card_file')

    def test_json_is_one_object_even_for_mistakes(self):
        answer = self.cardmap('whois', '--json', '--nonsense', status=64)
        self.assertEqual(json.loads(answer.out)['reason'], 'usage')
        for arguments in (('--nonsense', '--json'), ('--card', 'x', '-x', '-j')):
            answer = self.cardmap('whois', *arguments, status=64)
            self.assertEqual(json.loads(answer.out)['reason'], 'usage', arguments)


class HelpTest(Scenario):
    card = 'alice-rsa2048'

    def examples(self, command):
        text = self.cardmap(command, '--help').out
        self.assertIn('Exit codes: 0 yes', text)
        self.assertIn(f'Usage: cardmap {command}', text)
        block = text.split('\nExamples:\n')[1].split('\n\n')[0].replace('\\\n', ' ')
        return [line.strip() for line in block.splitlines()]

    def folder_of_examples(self):
        """As a reader of the help has it: alice's card file, an LDIF file, the CA's certificates and list, a PIN in a file."""
        folder = self.folder / 'try'
        folder.mkdir()
        (folder / 'bin').mkdir()
        (folder / 'bin/cardmap').symlink_to(scenario.program())
        for name, copy in (('alice-rsa2048.pem', 'alice.pem'), ('people.ldif', 'people.ldif'), ('chain.pem', 'ca.pem')):
            shutil.copy(scenario.RIG.pki / name, folder / copy)
        shutil.copy(scenario.RIG.work / 'www/inter.crl', folder)
        (folder / 'pin.txt').write_text(PIN + '\n')
        self.addCleanup((folder / 'pin.txt').unlink)
        return folder

    def test_every_example_runs_as_printed(self):
        folder = self.folder_of_examples()
        self.login()
        environment = self.environment(PATH=f'{folder}/bin:{os.environ["PATH"]}')
        for command in COMMANDS:
            examples = self.examples(command)
            self.assertTrue(examples, command)
            for example in examples:
                # of the service: test_service_commands.py; of a user's own session: test_service_tickets.py
                if any(option in example for option in ('--follow', '--refresh', '--renew')):
                    continue
                # What asks servers or a reader finds them through /etc/cardmap/cardmap.conf; here it is named.
                if 'ldif:' not in example and command != 'cert':
                    example = example.replace(f'cardmap {command}', f'cardmap {command} --config {self.conf()}')
                with self.subTest(example):
                    terminal = Terminal(['bash', '-c', example], environment, folder)
                    if command == 'login' and '--pin-fd' not in example:
                        terminal.expect(rb'PIN for alice[^:]*: $')
                        terminal.type(PIN.encode() + b'\n')
                    status, text = terminal.end()
                    if 'revocation' in example and ' forget ' in example:  # nothing is kept of a serial that is made up
                        self.assertIn('nothing is kept of such a certificate of CN=Example CA', text)
                        self.assertEqual(status, 1, text)
                    else:
                        self.assertEqual(status, 0, text)
        self.assertIn('BEGIN CERTIFICATE', (folder / 'card.pem').read_text())
        self.assertTrue((folder / 'accounts.db').exists())

    def test_help_without_a_command_lists_all(self):
        for arguments in (['--help'], ['help'], ['-h']):
            text = self.cardmap(*arguments).out
            for command in (*COMMANDS, 'trust', 'import', 'completion'):
                self.assertRegex(text, rf'(?m)^  {command} +\w')
        self.assertEqual(self.cardmap('help', 'login').out, self.cardmap('login', '--help').out)

    def test_version(self):
        self.assertRegex(self.cardmap('--version').out, r'^cardmap \d+\.\d+\.\d+\n$')

    def test_completion_completes(self):
        script = self.folder / 'completion'
        script.write_text(self.cardmap('completion').out)
        said(['bash', '-n', script])

        def completed(*words):
            line = ' '.join(map(shlex.quote, words))
            program = (f'. {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _cardmap; '
                       'printf "%s\\n" "${COMPREPLY[@]}"')
            return said(['bash', '-c', program]).split()
        self.assertEqual(completed('cardmap', 'who'), ['whois'])
        self.assertEqual(sorted(completed('cardmap', 'c')), ['cards', 'cert', 'completion', 'config'])
        self.assertEqual(completed('cardmap', 'login', '--pin'), ['--pin-fd'])
        self.assertEqual(completed('cardmap', 'whois', '--pin'), [])
        self.assertEqual(sorted(completed('cardmap', 'config', '')[-2:]), ['check', 'show'])
        self.assertEqual(completed('cardmap', 'accounts', 'for'), ['forget'])
        for action in ('check', 'status', 'refresh', 'import', 'list', 'forget'):
            self.assertIn(action, completed('cardmap', 'revocation', action[:3]))
        self.assertEqual(completed('cardmap', 'revocation', 'refresh', '--d'), ['--directory', '--due'])
        self.assertEqual(completed('cardmap', 'revocation', 'list', '--rev'), ['--revoked'])


class PinTest(Scenario):
    servers = ('slapd',)
    card = 'alice-rsa2048'

    def terminal(self):
        command = [*scenario.PREFIX, scenario.program(), 'login', '--config', self.conf(kerberos__ticket='off')]
        return Terminal(command, self.environment())

    def test_typed_at_a_terminal_without_echo(self):
        terminal = self.terminal()
        self.assertTrue(terminal.echoes())
        terminal.expect(rb'PIN for alice \(3 tries left\): $')
        self.assertFalse(terminal.echoes())
        terminal.type(PIN.encode() + b'\n')
        terminal.expect(rb'account +alice')
        self.assertTrue(terminal.echoes())
        status, text = terminal.end()
        self.assertEqual(status, 0, text)
        self.assertNotIn(PIN, text)

    def test_interrupted_at_the_prompt_gives_the_echo_back(self):
        for key, number in ((b'\x03', signal.SIGINT), (b'\x1c', signal.SIGQUIT)):
            with scenario.Counts() as counts:
                terminal = self.terminal()
                terminal.expect(rb'PIN for [^:]*: $')
                terminal.type(b'123' + key)
                status = terminal.child.wait(scenario.SECONDS)
                self.assertTrue(terminal.echoes())
                terminal.end()
            self.assertEqual(status, -number)
            self.assertEqual(counts.verifies(), 0)

    def test_nothing_typed_spends_no_try(self):
        with scenario.Counts() as counts:
            terminal = self.terminal()
            terminal.expect(rb'PIN for [^:]*: $')
            terminal.type(b'\n')
            status, text = terminal.end()
        self.assertEqual(status, 64, text)
        self.assertIn('pin_missing', text)
        self.assertEqual(counts.verifies(), 0)

    def test_without_a_terminal_it_says_what_to_do(self):
        command = ['setsid', '--wait', scenario.program()]
        done = subprocess.run([*command, 'login', '--config', self.conf()], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30, env=self.environment())
        self.assertEqual(done.returncode, 64, done.stdout + done.stderr)
        self.assertIn('--pin-fd', done.stderr)

    def test_pin_fd_takes_one_line_and_leaves_the_rest(self):
        read, write = os.pipe()
        os.write(write, PIN.encode() + b'\nnext line\n')
        os.close(write)
        done = subprocess.run([scenario.program(), 'login', '--config', self.conf(), '--pin-fd', str(read)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, pass_fds=[read], timeout=30,
                              env=self.environment())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(os.read(read, 100), b'next line\n')
        os.close(read)

    def test_there_is_no_option_that_takes_the_pin(self):
        for arguments in (['--pin', PIN], [f'--pin={PIN}'], ['--pi', '3']):
            answer = self.cardmap('login', '--config', self.conf(), *arguments, status=64)
            self.assertIn('no such option', answer.err)
            self.assertNotIn(PIN, answer.out + answer.err)

    def test_form_is_checked_before_a_try_is_spent(self):
        for pin in ('12345', '123456789', '12345a', '1234 6'):
            with self.subTest(pin), scenario.Counts() as counts:
                self.login(card=None, pin=pin, status=3, reason='pin_form')
            self.assertEqual(counts.verifies(), 0)
        self.assertEqual(self.tries(), 3)


if __name__ == '__main__':
    scenario.main()
