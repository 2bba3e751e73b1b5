#!/usr/bin/python3
"""test_rules.py: rules tried on certificates, and the values that map one: as text, as JSON, as what ldapmodify takes."""
import base64
import re

import scenario
from scenario import Scenario, ldap_admin, ldapmodify, people, said

ODD_DN = people.person_dn('jürgen')


class TestRulesTest(Scenario):
    servers = ()

    def rules_test(self, *arguments, **options):
        return self.cardmap('rules', 'test', '--config', self.conf(), *arguments, **options)

    def test_a_line_for_each_certificate(self):
        cards = [scenario.RIG.pki / f'{name}.crt' for name in ('alice-rsa2048', 'bob', 'no-san')]
        lines = self.rules_test('--match', '<SUBJECT>CN=(Alice|No)', '--map', '(mail={subject_rfc822_name})', *cards).out
        self.assertEqual(lines.splitlines()[:2], [f'{cards[0]}\tmatch\t(mail=alice@cardmap.test)',
                                                  f'{cards[1]}\tno match\t'])
        self.assertEqual(lines.splitlines()[2], f'{cards[2]}\tno match\t')

    def test_a_certificate_that_lacks_the_field_was_tried_all_the_same(self):
        card = scenario.RIG.pki / 'no-san.crt'
        answer = self.rules_test('--match', '<KU>digitalSignature', '--map', '(mail={subject_rfc822_name})', card)
        self.assertEqual(answer.out, f'{card}\terror\tthe certificate has no subject_rfc822_name\n')

    def test_the_same_as_json(self):
        card = scenario.RIG.pki / 'bob.crt'
        answer = self.rules_test('--json', '--map', 'LDAPU1:(cn={serial_number})', card).json
        self.assertEqual([(row['file'], row['answer']) for row in answer['certificates']], [(str(card), 'match')])
        self.assertRegex(answer['certificates'][0]['filter'], r'^\(cn=\d+\)$')

    def test_a_rule_that_does_not_parse(self):
        card = scenario.RIG.pki / 'bob.crt'
        for arguments, what in ((['--match', '<KU>signing'], r'column 5: unknown key usage "signing"'),
                                (['--match', '<SUBJECT>(a'], r'column 10: regular expression: Unmatched \('),
                                (['--map', '(cn={no_such})'], r'no_such')):
            answer = self.rules_test(*arguments, card, status=78)
            self.assertRegex(answer.out, rf'^{card}\terror\t.*{what}')
            self.assertRegex(answer.err, what)

    def test_files_that_are_no_certificates_do_not_end_it(self):
        good, missing = scenario.RIG.pki / 'bob.crt', self.folder / 'none.crt'
        broken = self.folder / 'broken.crt'
        broken.write_bytes(b'\x30\x03\x02\x01\x01')
        answer = self.rules_test('--match', '<KU>digitalSignature', missing, broken, good, status=78)
        self.assertEqual([line.split('\t')[1] for line in answer.out.splitlines()], ['error', 'error', 'match'])
        self.assertIn(f'{missing}: there is no such file', answer.err)

    def test_an_expression_that_takes_too_much(self):
        """27 octets that took 287 MB where nothing held them."""
        answer = self.rules_test('--match', '<SUBJECT>(((a{1,40}){1,40}){1,40})+b', scenario.RIG.pki / 'bob.crt',
                                 status=78)
        self.assertRegex(answer.out, r'takes too much (memory|time) to compile')

    def test_usage(self):
        card = scenario.RIG.pki / 'bob.crt'
        for arguments in (['check', card], ['generate', card, card], ['generate', '--ldif', card], ['test'],
                          ['generate', '--ldif', '--renewal', '--user', 'bob', card]):
            self.cardmap('rules', '--config', self.conf(), *arguments, status=64)


class GenerateTest(Scenario):
    servers = ('slapd',)

    def generate(self, card, *arguments, **options):
        return self.cardmap('rules', 'generate', '--config', self.conf(), scenario.RIG.pki / f'{card}.crt', *arguments,
                            **options)

    def values(self, card, *arguments):
        return {row['form']: row for row in self.generate(card, '--json', *arguments).json['values']}

    def test_every_strong_value(self):
        text = self.generate('bob').out
        found = self.values('bob')
        self.assertEqual(set(found), {'issuer-serial', 'ski', 'sha1-pukey', 'tokenidentity'})
        self.assertEqual(found['issuer-serial']['value'], people.of_card('bob'))
        for row in found.values():
            self.assertEqual((row['attribute'], row['strength']), ('altSecurityIdentities', 'strong'))
            self.assertIn(f'{row["form"]:14} {row["value"]}\n', text)
        self.assertIn('issuer-sid', self.values('sid'))

    def test_ldapmodify_takes_it_and_then_each_value_opens_the_account(self):
        self.addCleanup(scenario.modify_entry, people.person_dn('bob'), {'altSecurityIdentities': people.kerberos('bob')})
        ldif = self.generate('bob', '--user', 'bob', '--ldif').out
        self.assertTrue(ldif.startswith(f'dn: {people.person_dn("bob")}\nchangetype: modify\n'))
        ldapmodify(ldif)
        for form in self.values('bob'):
            answer = self.ask('whois', card='bob', more={'mapper.forms': form, 'mapper.binding': 'strong'})
            self.assertEqual((answer.account, answer.json['account']['rule']), ('bob', form))
        again = self.generate('bob', '--user', 'bob', '--ldif').out
        self.assertEqual(again, '# every strong value is there already\n')
        self.assertTrue(all(row['written'] for row in self.values('bob', '--user', 'bob').values()))

    def test_what_is_there_already_is_left_out(self):
        ldif = self.generate('alice-rsa2048', '--user', 'alice', '--ldif').out
        self.assertNotIn('<SR>', ldif)
        self.assertIn('<SHA1-PUKEY>', ldif)

    def test_a_name_outside_ascii_is_base64(self):
        ldap_admin('ldapadd', input=people.entry(ODD_DN, ('objectClass', 'account'), ('objectClass', 'extensibleObject'),
                                                 ('uid', 'jürgen')))
        self.addCleanup(ldap_admin, 'ldapdelete', ODD_DN)
        ldif = self.generate('bob', '--user', 'jürgen', '--ldif').out
        self.assertRegex(ldif, r'^dn:: [A-Za-z0-9+/=]+\n')
        ldapmodify(ldif)
        written = ldap_admin('ldapsearch', '-LLL', '-o', 'ldif-wrap=no', '-b', ODD_DN, '-s', 'base',
                             'altSecurityIdentities')
        self.assertEqual(set(re.findall(r'(?m)^altSecurityIdentities: (.*)$', written)),
                         {row['value'] for row in self.values('bob').values()})

    def test_what_a_terminal_would_obey_is_base64(self):
        said(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
              '/O=\x1b[31mRed\x7f/CN=Mallory', '-keyout', self.folder / 'key', '-out', self.folder / 'odd.pem'])
        done = self.cardmap('rules', 'generate', self.folder / 'odd.pem', '--user', 'bob', '--ldif', '--directory',
                            f'ldif:{scenario.RIG.pki}/people.ldif')
        self.assertNotRegex(done.out, r'[^\n -~]')
        values = [base64.b64decode(value) for value in re.findall(r'(?m)^altSecurityIdentities:: (.*)$', done.out)]
        self.assertIn(b'X509:<I>O=\x1b[31mRed\x7f,CN=Mallory<SR>', b'\n'.join(values))

    def test_a_value_of_another_account_is_not_given_to_a_second(self):
        answer = self.generate('alice-rsa2048', '--user', 'bob', '--ldif', status=2)
        self.assertIn('uid=alice,', answer.err)
        self.assertEqual(answer.out, '')

    def test_nobody_and_no_directory(self):
        self.assertIn('nobody', self.generate('bob', '--user', 'nobody', '--ldif', status=1).err)
        self.generate('bob', '--user', '*)(uid=*', '--ldif', status=1)
        scenario.RIG.stop('slapd')
        self.generate('bob', '--user', 'bob', '--ldif', status=4)
        self.generate('bob')

    def test_the_forecast_is_what_a_reissued_card_shows(self):
        """bob's certificate and three that were issued in its place: a form holds where both make one value."""
        before = self.values('bob', '--renewal')
        self.assertLessEqual({'issuer-serial', 'ski', 'issuer-subject', 'subject', 'rfc822', 'kerberos'}, set(before))
        for card, reissue in (('renewed', 'renewal'), ('rekeyed', 'new_key'), ('moved', 'new_ca')):
            after = self.values(card, '--renewal')
            for form, row in before.items():
                holds = form in after and after[form]['value'] == row['value']
                self.assertEqual(row['survives'][reissue], holds, f'{form} after {reissue}')

    def test_the_forecast_as_a_table(self):
        table = self.generate('bob', '--renewal', '--user', 'bob').out
        self.assertRegex(table, r'(?m)^issuer-serial +strong +breaks +breaks +breaks *$')
        self.assertRegex(table, r'(?m)^ski +strong +holds +breaks +breaks *$')
        self.assertRegex(table, r'(?m)^kerberos +weak +holds +holds +holds +has it$')


if __name__ == '__main__':
    scenario.main()
