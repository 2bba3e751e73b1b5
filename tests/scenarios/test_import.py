#!/usr/bin/python3
"""test_import.py: another system's configuration holds as it is, and as the cardmap.conf it is imported into, alike."""
import json
import re

import scenario
from scenario import Scenario, ldap_admin, people

CARDS = ('alice-rsa2048', 'alice-p256', 'bob', 'carol', 'dave', 'erin', 'grace', 'no-upn', 'no-san', 'two-upns', 'nul-upn',
         'hostile-upn', 'hostile-mail', 'other-realm', 'bmp-cn', 'wrong-eku', 'sid', 'spatdod', 'quoted', 'attributes')

PLIST = """<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>AttributeMapping</key><dict>
  <key>fields</key><array><string>NT Principal Name</string></array>
  <key>formatString</key><string>Kerberos:$1</string>
  <key>dsAttributeString</key><string>dsAttrTypeStandard:AltSecurityIdentities</string>
</dict>
<key>checkCertificateTrust</key><integer>3</integer>
<key>UserPairing</key><false/>
</dict></plist>
"""

# Each kind of thing: prefixes or none, both dialects, priorities, quotes, backslashes, rules of another domain, of local users.
SSSD = """# of this domain
[sssd]
domains = cardmap.test, local, other.test
certificate_verification = no_ocsp

[pam]
pam_cert_auth = True

[domain/cardmap.test]
id_provider = ldap
ldap_uri = ldap://ldap.cardmap.test
ldap_search_base = dc=cardmap,dc=test
ldap_default_authtok = hunter2

[domain/local]
id_provider = proxy
proxy_lib_name = files

[domain/other.test]
id_provider = ldap

[certmap/cardmap.test/it's "one" \\ {odd}]
matchrule = KRB5:<ISSUER>^CN=Cardmap Test Issuing CA,
maprule = LDAPU1:(|(altSecurityIdentities=X509:<I>{issuer_dn!ad_x500}<SR>{serial_number!hex_r})(altSecurityIdentities=Kerberos:{subject_principal}))
priority = 1

[certmap/cardmap.test/mail]
matchrule = <SAN:rfc822Name>@
maprule = LDAP:(mail={subject_rfc822_name})
domains = CARDMAP.TEST, sub.cardmap.test
priority = 2

[certmap/cardmap.test/whole]
maprule =

[certmap/other.test/all]
matchrule = <SUBJECT>.*
maprule = (uid=alice)(cn={subject_dn})
priority = 0

[certmap/local/nobody]
matchrule = <SUBJECT>^CN=Bob Example,DC=cardmap
priority = 3
"""

# The same rules, as FreeIPA's commands write them.
IPA_DN = f'cn=certmap,{people.BASE}'
IPA = [
    (IPA_DN, {'objectClass': 'organizationalRole', 'cn': 'certmap'}),
    (f'cn=certmaprules,{IPA_DN}', {'objectClass': 'organizationalRole', 'cn': 'certmaprules'}),
    (f'cn=upn,cn=certmaprules,{IPA_DN}', {
        'objectClass': 'ipaCertMapRule', 'cn': 'upn', 'ipaEnabledFlag': 'TRUE', 'ipaCertMapPriority': '1',
        'ipaCertMapMatchRule': '<ISSUER>^CN=Cardmap Test Issuing CA,.*$',
        'ipaCertMapMapRule': 'LDAP:(altSecurityIdentities=Kerberos:{subject_principal})',
        'associatedDomain': ['cardmap.test', "it's"]}),
    (f'cn=mail,cn=certmaprules,{IPA_DN}', {
        'objectClass': 'ipaCertMapRule', 'cn': 'mail', 'ipaEnabledFlag': 'TRUE',
        'ipaCertMapMapRule': '(mail={subject_rfc822_name})'}),
    (f'cn=off,cn=certmaprules,{IPA_DN}', {
        'objectClass': 'ipaCertMapRule', 'cn': 'off', 'ipaEnabledFlag': 'FALSE', 'ipaCertMapMatchRule': '<SUBJECT>.*',
        'ipaCertMapMapRule': '(uid=alice)(cn={subject_dn})', 'ipaCertMapPriority': '0'}),
]


def ldif(entries):
    return '\n'.join(people.entry(dn, *((name, value) for name, values in attributes.items() for value in
                                         (values if isinstance(values, list) else [values])))
                     for dn, attributes in entries)


class Imports(Scenario):
    servers = ()

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def importing(self, *arguments, status=0, **options):
        """Always without a configuration of the host's own: it is to be made."""
        return self.cardmap('import', '--config', self.file('empty.conf', ''), *arguments, status=status, **options)

    def answers(self, *options):
        """What each card leads to, and what was asked for it."""
        found = {}
        for card in CARDS:
            answer = self.cardmap('whois', '--json', '--card', f'file:{scenario.RIG.pki}/{card}.pem', '--directory',
                                  f'ldif:{scenario.RIG.pki}/people.ldif', '--set', f'accounts.path={self.store}',
                                  *options, status=None)
            account = answer.json.get('account') or {}
            asked = [item['text'] for what in ('rule', 'value', 'weak') for item in answer.stage('account')['seen']
                     if item['what'] == what]
            found[card] = (answer.status, answer.reason, account.get('name'), account.get('rule'), account.get('matched'), asked)
        return found

    def same(self, key, kind, path):
        """The file itself, and what it is imported into, give the same; which is returned."""
        options = ('--set', 'mapper.plist=') if key != 'mapper.plist' else ()
        original = self.answers('--config', self.folder / 'empty.conf', *options, '--set', f'{key}={path}')
        self.assertEqual(self.answers('--config', self.imported(kind, path), '--set', 'mapper.plist='), original)
        return original

    def imported(self, *arguments):
        return self.file('imported.conf', self.importing(*arguments).out)

    def values(self, path, *options):
        """{key: (value, origin)} of config show, and its rules."""
        shown = self.cardmap('config', 'show', '--json', '--config', path, *options).json
        return {key: (item['value'], item['origin']) for key, item in shown['values'].items()}, shown['rules']

    def check_freeipa(self, done):
        self.assertIn('is not enabled (ipaEnabledFlag): left out', done.err)
        path = self.file('imported.conf', done.out)
        values, rules = self.values(path)
        self.assertEqual(values['directory.domain'], ('cardmap.test', f'{path}:5'))
        self.assertEqual({rule['name']: {key: item['value'] for key, item in rule['values'].items()} for rule in rules}, {
            'upn': {'match': '<ISSUER>^CN=Cardmap Test Issuing CA,.*$', 'priority': '1', 'domains': "cardmap.test, it's",
                    'filter': 'LDAP:(altSecurityIdentities=Kerberos:{subject_principal})'},
            'mail': {'match': 'KRB5:<KU>digitalSignature<EKU>clientAuth', 'domains': 'cardmap.test',
                     'filter': 'LDAP:(mail={subject_rfc822_name})'}})
        found = {card: answer[2] for card, answer in self.answers('--config', path, '--set', 'mapper.plist=').items()}
        self.assertEqual((found['alice-rsa2048'], found['bob'], found['no-san']), ('alice', 'bob', None))


class ImportTest(Imports):
    def test_a_plist_holds_as_it_is_and_imported(self):
        path = self.file('SmartcardLogin.plist', PLIST)
        self.importing('plist', path)
        found = self.same('mapper.plist', 'plist', path)
        self.assertEqual([found[card][2] for card in ('alice-rsa2048', 'bob', 'no-upn')], ['alice', 'bob', None])

    def test_sssd_conf_holds_as_it_is_and_imported(self):
        path = self.file('sssd.conf', SSSD.replace('(uid=alice)(cn', '(&(uid=alice)(cn').replace('{subject_dn})', '{subject_dn}))'))
        self.importing('sssd', path)
        found = self.same('mapper.sssd', 'sssd', path)
        self.assertEqual([found[card][2] for card in ('alice-rsa2048', 'erin', 'bob')], ['alice', 'erin', 'bob'])
        # a local account by its name: found, and refused for its uid
        self.assertEqual(found['no-san'][1], 'account_forbidden')
        self.assertIn('(uid=nobody)', found['no-san'][5])

    def test_settings_come_from_the_file_where_nobody_else_set_them(self):
        plist = self.file('SmartcardLogin.plist', PLIST)
        own = self.file('own.conf', f"mapper {{ plist = '{plist}' }}\naccounts {{ user_pairing = yes }}\n")
        values, rules = self.values(own)
        self.assertEqual(values['trust.level'], ('hard', f'{plist}:8'))
        self.assertEqual(values['accounts.user_pairing'], ('yes', f'{own}:2'))
        self.assertEqual([(rule['name'], rule['origin']) for rule in rules], [('AttributeMapping', f'{plist}:3')])
        values, _ = self.values(own, '--set', 'trust.level=chain')
        self.assertEqual(values['trust.level'], ('chain', 'command line'))

    def test_what_has_no_counterpart_is_said_and_no_secret_is(self):
        path = self.file('sssd.conf', SSSD.replace('[certmap/other.test/all]', '[certmap/gone.test/all]'))
        done = self.importing('sssd', path)
        for text in (done.out, done.err):
            self.assertIn(f'{path}:13: ldap_default_authtok: write the password into a file', text)
            self.assertIn(f'{path}:36: [certmap/gone.test/all]: its domain is not enabled', text)
            self.assertNotIn('hunter2', text)
        answer = self.importing('sssd', path, '--json')
        self.assertEqual(answer.json['from'], 'sssd.conf')
        self.assertIn({'key': 'trust.level', 'line': 4, 'values': ['chain']}, answer.json['settings'])
        self.assertEqual(answer.json['rules'][1]['domains'], 'CARDMAP.TEST, sub.cardmap.test')
        self.assertIn(13, [note['line'] for note in answer.json['notes']])
        self.assertEqual(answer.json['configuration'], done.out)
        self.assertNotIn('hunter2', answer.out)

    def test_a_mistake_is_told_with_its_line_and_nothing_is_printed(self):
        path = self.file('sssd.conf', SSSD.replace('<SAN:rfc822Name>@', '<SAN:x>@').replace(
            '(uid=alice)(cn={subject_dn})', '(&(uid=alice)(cn={nonsense}))'))
        done = self.importing('sssd', path, status=78)
        self.assertEqual(done.out, '')
        self.assertRegex(done.err, rf'{path}:28: rule "cardmap.test/mail": match: column')
        self.assertRegex(done.err, rf'{path}:38: rule "other.test/all": filter: column \d+: unknown field "nonsense"')
        self.importing('plist', self.file('p.plist', PLIST.replace('Kerberos:$1', 'Kerberos:\\$1')), status=78)
        done = self.importing('sssd', self.folder / 'nothing', status=78)
        self.assertIn('no such file', done.err)
        for wrong in (('sssd',), ('plist', 'a', 'b'), ('nobody', 'x'), ('freeipa', 'x')):
            self.importing(*wrong, status=64)
        # nor does anything else go on with rules it cannot read
        check = self.cardmap('config', 'check', '--config', self.file('own.conf', f"mapper {{ sssd = '{path}' }}\n"), status=78)
        self.assertIn(f'{path}:28: rule "cardmap.test/mail": match: column', check.out)
        check = self.cardmap('config', 'check', '--config', self.file('own.conf', "mapper { sssd = '/nonexistent' }\n"), status=78)
        self.assertIn('/nonexistent: no such file; see mapper.sssd', check.out)
        self.cardmap('whois', '--config', self.file('own.conf', "mapper { plist = '/nonexistent' }\n"), status=78)

    def test_a_broken_configuration_of_our_own_does_not_hinder_an_import(self):
        broken = self.file('broken.conf', 'nonsense {\n')
        done = self.cardmap('import', 'plist', self.file('p.plist', PLIST), '--config', broken)
        self.assertIn("value = 'Kerberos:{nt_principal_name}'", done.out)
        self.cardmap('import', 'freeipa', '--config', broken, status=78)

    def test_freeipa_from_a_file(self):
        text = (scenario.RIG.pki / 'people.ldif').read_text()
        path = self.file('ipa.ldif', re.sub(r'^version: 1\n', '', text) + '\n' + ldif(IPA))
        self.check_freeipa(self.importing('freeipa', '--directory', f'ldif:{path}', '--set', f'directory.base={people.PEOPLE_DN}'))
        config = [(IPA_DN, {'objectClass': 'ipaCertMapConfigObject', 'cn': 'certmap', 'ipaCertMapPromptUsername': 'TRUE'})]
        path = self.file('ipa.ldif', ldif(config + IPA[1:]))
        self.assertIn("several_accounts = 'hint'", self.importing('freeipa', '--directory', f'ldif:{path}').out)
        for attribute, value in IPA[-1][1].items():  # cut at a NUL, a match part would let in whom it keeps out
            if attribute != 'objectClass':
                path = self.file('ipa.ldif', ldif(IPA[:-1] + [(IPA[-1][0], {**IPA[-1][1], attribute: b'a\0b'})]))
                done = self.importing('freeipa', '--directory', f'ldif:{path}', status=78)
                self.assertIn('NUL', done.err)
                self.assertEqual(done.out, '')
        done = self.importing('freeipa', '--directory', f'ldif:{scenario.RIG.pki}/people.ldif', status=78)
        self.assertIn('no entry of class ipaCertMapRule', done.err)


class FreeIPATest(Imports):
    """The same from a server, read as the configured reader."""
    servers = ('slapd',)

    def test_freeipa_from_its_server(self):
        ldap_admin('ldapadd', input=ldif(IPA))
        self.addCleanup(ldap_admin, 'ldapdelete', *(dn for dn, _ in reversed(IPA)))
        done = self.cardmap('import', 'freeipa', '--config', self.conf())
        self.check_freeipa(done)
        # put behind a configuration that has a domain, there is one still
        own = self.conf(directory__domain='cardmap.test')
        path = self.file('both.conf', own.read_text() + self.cardmap('import', 'freeipa', '--config', own).out)
        self.assertEqual(len(self.values(path)[1]), 2)
        again = json.loads(self.cardmap('import', 'freeipa', '--json', '--config', self.conf()).out)
        self.assertEqual(again['configuration'], done.out)

    def test_a_silent_server_is_no_answer(self):
        scenario.RIG.stop('slapd')
        done = self.cardmap('import', 'freeipa', '--config', self.conf(), status=4)
        self.assertEqual(done.out, '')


if __name__ == '__main__':
    scenario.main()
