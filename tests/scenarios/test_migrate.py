#!/usr/bin/python3
"""test_migrate.py: who comes from another system: its configuration, as it is and imported, finds whom it found there."""
import base64
import hashlib
import plistlib
import re

import scenario
from mapping import BOB, ISSUER, NO_TICKET, MappingCase, binary_sid, certificate
from scenario import PIN, Counts, said


class ImportCase(MappingCase):
    def imported(self, kind, *arguments, status=0):
        """cardmap.conf made by `cardmap import`, for --config, and its text."""
        text = self.cardmap('import', kind, *arguments, status=status).out
        return self.write('imported.conf', text), text

    def with_imported(self, path, command, card, *arguments, more=None, **options):
        """A command under an imported file alone; where the servers are comes with --set."""
        self.conf(**(more or {}))
        sets = []
        for name, value in {**self.rig_values(), **(more or {})}.items():
            sets += ['--set', f'{name}={value}']
        return self.cardmap(command, '--config', path, '--json', '--card', f'file:{scenario.RIG.pki}/{card}.pem', *sets,
                            *arguments, **options)

    def bring_over(self, system, before='', **more):
        """README's two lines for who comes from there, as a shell runs them, /etc being this test's; the cardmap.conf then."""
        readme = (scenario.HERE.parents[1] / 'README.md').read_text()
        lines = re.search(rf'(?m)^\| {system} \| `(.+?)`<br>`(.+?)` \|$', readme).groups()
        conf = self.folder / 'etc/cardmap/cardmap.conf'
        for name in ('cardmap', 'sssd', 'pam_pkcs11'):
            (self.folder / 'etc' / name).mkdir(parents=True, exist_ok=True)
        self.write(conf, before)
        if not lines[0].startswith(('install', 'cardmap')):
            self.write(conf, before + '\n'.join(lines) + '\n')
            return conf
        sets = ' '.join(f"--set {name.replace('__', '.')}='{value}'" for name, value in
                        {'accounts__path': self.store, **more}.items())
        script = f'set -e\ncardmap() {{ {scenario.program()} "$@" --config {conf} {sets}; }}\n' + '\n'.join(lines)
        said(['bash', '-c', re.sub(r'(?<![\w/])/etc/', f'{self.folder}/etc/', script)], cwd=self.folder,
             env=self.environment(True))
        return conf

    def rig_values(self):
        rig = scenario.RIG
        return {'directory.uri': f'ldap://127.0.0.1:{scenario.rig_module.LDAP_PORT}', 'directory.base': scenario.people.BASE,
                'directory.bind_dn': scenario.people.READER_DN, 'directory.bind_password_file': rig.work / 'bind.password',
                'directory.ca': rig.pki / 'root.crt', 'accounts.path': self.store, 'service.log': 'stderr'}


JOINED = {'AttributeMapping': {'fields': ['Common Name', 'RFC 822 Name'], 'formatString': '$1-$2',
                               'dsAttributeString': 'dsAttrTypeNative:email'}}
OFFLINE = {'AttributeMapping': {'fields': ['NT Principal Name'], 'formatString': 'Kerberos:$1',
                                'dsAttributeString': 'dsAttrTypeStandard:AltSecurityIdentities'}}


class PlistTest(ImportCase):
    """macOS: SmartcardLogin.plist as it is, at run time and imported."""

    def plist(self, content, form=plistlib.FMT_XML):
        return self.write('SmartcardLogin.plist', plistlib.dumps(content, fmt=form))

    def test_both_examples_in_both_encodings_at_run_time_and_imported(self):
        for content, values in ((JOINED, {'emailAddress': 'Bob Example-bob@cardmap.test'}),
                                (OFFLINE, {'altSecurityIdentities': 'Kerberos:bob@CARDMAP.TEST'})):
            self.only('bob', **values)
            for form in (plistlib.FMT_XML, plistlib.FMT_BINARY):
                with self.subTest(f'{values} {form}'):
                    path = self.plist(content, form)
                    before = self.found('bob', 'bob', more={'mapper__plist': path})
                    self.assertTrue(before.json['account']['weak'])
                    conf, _ = self.imported('plist', path)
                    after = self.with_imported(conf, 'whois', 'bob')
                    self.assertEqual(after.account, 'bob')
                    self.assertEqual(after.json['account']['matched'], before.json['account']['matched'])
                    self.with_imported(conf, 'whois', 'erin', status=1)

    def test_one_text_of_two_certificates_is_nobodys(self):
        """"a-b" and "c", "a" and "b-c": joined, the two are the same."""
        content = {'AttributeMapping': {'fields': ['Common Name', 'Organization'], 'formatString': '$1-$2',
                                        'dsAttributeString': 'dsAttrTypeNative:email'}}
        path = self.plist(content)
        for name in ('bob', 'erin'):
            self.only(name, emailAddress='a-b-c')
        for card in ('dash-left', 'dash-right'):
            answer = self.whois(card, status=2, reason='several_accounts', more={'mapper__plist': path})
            for name in ('bob', 'erin'):
                self.assertIn(name, answer.json['message'])

    def test_its_rules_replace_the_forms(self):
        """An account whose altSecurityIdentities fit is not found by a plist that names mail."""
        content = {'AttributeMapping': {'fields': ['RFC 822 Name'], 'formatString': '$1',
                                        'dsAttributeString': 'dsAttrTypeStandard:EMailAddress'}}
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST', mail='someone@cardmap.test')
        self.whois('bob', status=1, reason='no_account', more={'mapper__plist': self.plist(content)})
        self.give('bob', mail='bob@cardmap.test')
        self.found('bob', 'bob', more={'mapper__plist': self.plist(content)})

    def test_pins_come_along(self):
        pins = ['inter', 'second-ca']
        pins = [hashlib.sha256((scenario.RIG.pki / f'{name}.der').read_bytes()).hexdigest().upper() for name in pins]
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        for listed in (pins, [','.join(pins)]):
            path = self.plist({**OFFLINE, 'TrustedAuthorities': listed})
            self.login(card='bob', more={'mapper__plist': path, **NO_TICKET})
            _, text = self.imported('plist', path)
            for pin in pins:
                self.assertIn(pin.lower(), text.lower())
        path = self.plist({**OFFLINE, 'TrustedAuthorities': pins[1:]})
        self.login(card='bob', status=3, reason='cert_not_pinned', more={'mapper__plist': path, **NO_TICKET})

    def test_mistakes_are_named_with_line_and_remedy(self):
        good = plistlib.dumps(OFFLINE).decode()
        cases = [(good.replace('Kerberos:$1', 'Kerberos:\\$1'), r'\$1'),
                 (good.replace('</array>', '</arra>'), 'array'),
                 (good.replace('<key>formatString</key>', '').replace('<string>Kerberos:$1</string>', ''), 'formatString'),
                 (good.replace('<key>fields</key>', '<key>NotEnforcedGroup</key>\n<string>staff</string>\n<key>fields</key>'),
                  'NotEnforcedGroup'),
                 (good.replace('<dict>', '<dict>\n<key>userPairing</key>\n<true/>', 1), 'UserPairing')]
        for text, word in cases:
            with self.subTest(word):
                path = self.write('SmartcardLogin.plist', text)
                answer = self.cardmap('config', '--config', self.conf(mapper__plist=path), 'check', status=78)
                told = answer.out + answer.err
                self.assertIn(word, told)
                self.assertRegex(told, rf'{re.escape(str(path))}:\d+: ')


SSSD = r"""[sssd]
services = nss, pam
domains = cardmap.test

[domain/cardmap.test]
id_provider = ldap
ldap_uri = ldap://127.0.0.1:3890
ldap_search_base = dc=cardmap,dc=test
ldap_tls_cacert = {pki}/root.crt

[pam]
pam_cert_auth = True
pam_cert_db_path = {pki}/root.crt

# found by issuer and serial number
[certmap/cardmap.test/serial]
matchrule = <ISSUER>^CN=Cardmap Test Issuing CA,DC=cardmap,DC=test$
maprule = LDAPU1:(altSecurityIdentities=X509:<I>{{issuer_dn!ad_x500}}<SR>{{serial_number!hex_r}})
priority = 1

[certmap/cardmap.test/mail]
matchrule = &&<SUBJECT>OU=Cards,OU=Engineering<SAN:rfc822Name>@cardmap\.test$
maprule = LDAP:(mail={{subject_rfc822_name}})
domains = cardmap.test
priority = 2

[certmap/cardmap.test/elsewhere]
matchrule = <EKU>clientAuth
maprule = LDAP:(uid={{subject_nt_principal.short_name}})
domains = other.test
priority = 0
"""


class SssdTest(ImportCase):
    """SSSD's own rules, read where they stand, and imported: one answer."""

    def setUp(self):
        super().setUp()
        self.path = self.write('sssd.conf', SSSD.format(pki=scenario.RIG.pki), 0o600)
        self.settings['mapper.sssd'] = self.path

    def both(self, card, name=None, status=0, rule=None):
        conf, _ = self.imported('sssd', self.path)
        for answer in (self.whois(card, status=status), self.with_imported(conf, 'whois', card, status=status)):
            if name:
                self.assertEqual(answer.account, name, str(answer))
                self.assertRegex(answer.json['account']['rule'], rule)
            else:
                self.assertNotIn('account', answer.json)

    def test_the_lowest_number_is_asked_first_and_alone(self):
        """SSSD: a rule that applies ends the search for others, be there an account or not."""
        self.only('bob', altSecurityIdentities=f'X509:<I>{ISSUER}<SR>0220')
        with Counts() as counts:
            self.both('bob', 'bob', rule='serial')
        self.assertEqual(counts.searches('altSecurityIdentities='), 2)
        self.assertEqual(counts.searches('mail='), 0)
        self.only('bob', mail='bob@cardmap.test')
        self.both('bob', status=1)

    def test_a_rule_that_does_not_match_leaves_it_to_the_next(self):
        self.only('bob', mail='bob@cardmap.test')
        self.both('moved', 'bob', rule='mail')

    def test_rules_of_another_domain_are_not_asked(self):
        self.only('bob')
        with Counts() as counts:
            self.both('bob', status=1)
        self.assertFalse([line for line in counts.slapd if 'filter="(uid=bob)' in line])

    def test_no_rule_matches(self):
        self.both('quoted', status=1)
        self.assertEqual(self.whois('quoted', status=1).reason, 'no_rule')

    def test_its_authorities_come_along(self):
        _, text = self.imported('sssd', self.path)
        self.assertRegex(text, rf'anchors.*{re.escape(str(scenario.RIG.pki))}/root\.crt')
        line = self.path.read_text().splitlines().index('[certmap/cardmap.test/serial]') + 1
        self.assertRegex(text, rf'#.*sssd\.conf:{line}\b')

    def test_a_rule_that_does_not_parse_is_named_by_line(self):
        """SSSD would start, skip it, and say so at debug level 2."""
        self.path.write_text(self.path.read_text().replace('<ISSUER>^CN', '<ISSUERR>^CN'))
        for command in ('whois', 'login'):
            answer = self.ask(command, card='bob', pin=PIN if command == 'login' else None, status=78)
            self.assertRegex(answer.json['message'], r'sssd\.conf:\d+: .*ISSUERR')
        answer = self.cardmap('config', '--config', self.conf(), 'check', status=78)
        self.assertRegex(answer.out + answer.err, r'sssd\.conf:\d+: .*ISSUERR')

    def test_filters_side_by_side_must_all_hold(self):
        """SSSD puts what a rule makes into (&...(objectClass=...))."""
        self.path.write_text(SSSD.format(pki=scenario.RIG.pki).replace(
            'LDAP:(mail={subject_rfc822_name})', 'LDAP:(sn=Example)(mail={subject_rfc822_name})'))
        self.only('bob')
        self.both('moved', 'bob', rule='mail')
        self.give('bob', sn='Elsewhere')
        self.both('moved', status=1)

    def test_a_file_that_others_may_write_decides_nothing(self):
        self.path.chmod(0o666)
        answer = self.whois('bob', status=78)
        self.assertIn('others may write it', answer.json['message'])

    def test_broken_maprule(self):
        for broken in ('LDAP:(mail={subject_rfc822_nam})', 'LDAP:(mail={subject_rfc822_name}', 'LDAP:(mail={issuer_dn!xx})',
                       'LDAPU2:(mail={subject_rfc822_name})'):
            self.path.write_text(SSSD.format(pki=scenario.RIG.pki).replace('LDAP:(mail={subject_rfc822_name})', broken))
            with self.subTest(broken):
                self.whois('bob', status=78)

    def test_equal_priorities_that_lead_to_two_accounts(self):
        self.path.write_text(self.path.read_text().replace('priority = 2', 'priority = 1'))
        self.only('bob', altSecurityIdentities=f'X509:<I>{ISSUER}<SR>0220', mail='elsewhere@cardmap.test')
        self.only('erin', mail='bob@cardmap.test')
        answer = self.whois('bob', status=2, reason='several_accounts')
        for name in ('bob', 'erin'):
            self.assertIn(name, answer.json['message'])

    def test_rules_test_prints_match_and_filter(self):
        answer = self.cardmap('rules', 'test', '--match', '<SUBJECT>CN=Bob', '--map', 'LDAP:(mail={subject_rfc822_name})',
                              certificate('bob'), certificate('alice-p256'), status=None)
        bob, alice = answer.out.splitlines()
        self.assertEqual(bob.split('\t'), [str(certificate('bob')), 'match', '(mail=bob@cardmap.test)'])
        self.assertEqual(alice.split('\t')[:2], [str(certificate('alice-p256')), 'no match'])

    def test_the_whole_certificate(self):
        """SSSD's default compares userCertificate;binary, of which OpenLDAP wants serial number and issuer instead."""
        self.path.write_text('[sssd]\ndomains = cardmap.test\n[domain/cardmap.test]\nid_provider = ldap\n'
                             '[certmap/cardmap.test/all]\nmaprule = LDAP:(cardNote={cert!base64})\n')
        self.only('bob', cardNote=base64.b64encode((scenario.RIG.pki / 'bob.der').read_bytes()).decode())
        self.both('bob', 'bob', rule='all')
        self.assertFalse(self.found('bob', 'bob').json['account']['weak'])
        self.both('renewed', status=1)
        self.path.write_text(self.path.read_text().replace('maprule', '# maprule'))
        with Counts() as counts:
            self.both('bob', status=1)
        self.assertEqual(counts.searches('userCertificate;binary='), 2)


IDS = """[sssd]
domains = cardmap.test
[domain/cardmap.test]
id_provider = ldap
ldap_uri = ldap://127.0.0.1:3890
ldap_search_base = dc=cardmap,dc=test
ldap_id_mapping = True
ldap_idmap_range_min = 300000
ldap_idmap_range_max = 400000
ldap_idmap_range_size = 50000
ldap_idmap_default_domain_sid = S-1-5-21-11-22-33
[certmap/cardmap.test/mail]
maprule = LDAP:(mail={subject_rfc822_name})
"""


class SssdIdsTest(ImportCase):
    """Ids that SSSD makes from SIDs stay the same: what its file says of them reaches the account."""
    servers = ()

    def account(self, domain):
        """bob, as Active Directory has him, in this domain."""
        people = self.write('people.ldif', scenario.people.entry(
            scenario.people.person_dn('bob'), ('objectClass', 'user'), ('uid', 'bob'), ('mail', 'bob@cardmap.test'),
            ('homeDirectory', '/home/bob'), ('loginShell', '/bin/sh'), ('objectSid', binary_sid(f'{domain}-1106')),
            ('primaryGroupID', '513')))
        conf, _ = self.imported('sssd', self.write('sssd.conf', IDS, 0o600))
        answer = self.cardmap('whois', '--config', conf, '--json', '--card', f'file:{scenario.RIG.pki}/bob.pem',
                              '--directory', f'ldif:{people}', '--set', f'accounts.path={self.store}')
        return answer.json['account']['uid'], answer.json['account']['gid']

    def test_of_the_default_domain_and_of_another(self):
        """The default has the first slice, and the range has room for one more: of whatever domain comes then."""
        self.assertEqual(self.account('S-1-5-21-11-22-33'), (300000 + 1106, 300000 + 513))
        self.assertEqual(self.account('S-1-5-21-44-55-66'), (350000 + 1106, 350000 + 513))


class ReadmeTest(ImportCase):
    """Who comes from elsewhere is brought over by two lines: README's, and the files that lie there."""
    servers = scenario.SERVERS

    def find(self, conf, *more):
        answer = self.cardmap('whois', '--config', conf, '--json', '--card', f'file:{scenario.RIG.pki}/bob.pem', *more)
        self.assertEqual(answer.account, 'bob')
        return answer.json['account']['rule']

    def log_in(self, conf, *more):
        """With the directory there, and with what was kept once it is gone."""
        for offline in (False, True):
            if offline:
                scenario.RIG.stop('slapd')
            answer = self.cardmap('login', '--config', conf, '--json', '--card', f'file:{scenario.RIG.pki}/bob.pem', *more,
                                  pin=PIN)
            self.assertEqual((answer.account, answer.json['offline']), ('bob', offline), str(answer))

    def ours(self):
        """What a plist and Active Directory's attributes do not say: where the directory is and who is trusted."""
        return self.conf(mapper__plist=None).read_text()

    def test_macos(self):
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.write('SmartcardLogin.plist', plistlib.dumps(OFFLINE))
        # where it lies is fixed: /etc/cardmap
        conf = self.bring_over('macOS', self.ours(), mapper__plist=self.folder / 'etc/cardmap/SmartcardLogin.plist')
        plist = ['--set', f'mapper.plist={self.folder}/etc/cardmap/SmartcardLogin.plist']
        self.assertEqual(self.find(conf, *plist), 'AttributeMapping')
        self.log_in(conf, *plist)

    def test_sssd(self):
        self.only('bob', altSecurityIdentities=f'X509:<I>{ISSUER}<SR>0220')
        (self.folder / 'etc/sssd').mkdir(parents=True)
        # p11_child builds chains from that file alone: it holds the issuing CA too
        cas = self.write('cas.pem', ''.join((scenario.RIG.pki / name).read_text() for name in ('root.crt', 'inter.crt')))
        text = SSSD.format(pki=scenario.RIG.pki).replace(f'pam_cert_db_path = {scenario.RIG.pki}/root.crt', f'pam_cert_db_path = {cas}')
        self.write('etc/sssd/sssd.conf', text, 0o600)
        conf = self.bring_over('SSSD')
        store = ['--set', f'accounts.path={self.store}']
        self.assertRegex(self.find(conf, *store), 'serial')
        self.log_in(conf, *store)

    def test_active_directory(self):
        self.only('bob', userPrincipalName='bob@CARDMAP.TEST')
        self.assertEqual(self.find(self.bring_over('Active Directory', self.ours())), 'upn')

    def test_pam_pkcs11(self):
        self.only('bob')
        (self.folder / 'etc/pam_pkcs11').mkdir(parents=True)
        self.write('cn_map', 'Bob Example -> bob\n')
        self.write('etc/pam_pkcs11/pam_pkcs11.conf', PAM_PKCS11.format(mappers='cn', pki=scenario.RIG.pki, folder=self.folder))
        conf = self.bring_over('pam_pkcs11')
        # accounts of this computer: here they come from the directory, as the import says
        values = [f'--set={name}={value}' for name, value in self.rig_values().items() if name.startswith('directory.')]
        self.assertEqual(self.find(conf, *values), 'cn')


class SssdLoginTest(ImportCase):
    servers = scenario.SERVERS

    def test_by_a_rule_of_sssd(self):
        path = self.write('sssd.conf', SSSD.format(pki=scenario.RIG.pki), 0o600)
        self.settings['mapper.sssd'] = path

        def without():
            path.write_text('[sssd]\ndomains = cardmap.test\n[domain/cardmap.test]\nid_provider = ldap\n'
                            '[certmap/cardmap.test/x]\nmaprule = LDAP:(cn={subject_rfc822_name})\n')
        self.only('bob', altSecurityIdentities=f'X509:<I>{ISSUER}<SR>0220')
        self.login_and_keep('bob', 'bob', without)


class FreeIpaTest(ImportCase):
    BASE = 'cn=certmap,' + scenario.people.BASE

    def setUp(self):
        super().setUp()
        people = scenario.people
        rules = 'cn=certmaprules,' + self.BASE
        entries = [people.entry(dn, ('objectClass', 'organizationalRole'), ('cn', dn[3:dn.index(',')]))
                   for dn in (self.BASE, rules)]
        for name, enabled, priority, match, mapping in (
                ('by-data', 'TRUE', '1', '<ISSUER>CN=Cardmap Test Issuing CA',
                 '(ipacertmapdata=X509:<I>{issuer_dn!nss_x500}<S>{subject_dn!nss_x500})'),
                ('off', 'FALSE', '0', '<ISSUER>CN=Cardmap', '(uid=alice)(cn={subject_nt_principal})'),
                ('mail', 'TRUE', '7', '<ISSUER>CN=Cardmap Test Second CA', '(mail={subject_rfc822_name})')):
            entries.append(people.entry(f'cn={name},{rules}', ('objectClass', 'ipaCertMapRule'), ('cn', name),
                                        ('ipaCertMapMatchRule', match), ('ipaCertMapMapRule', mapping),
                                        ('ipaCertMapPriority', priority), ('ipaEnabledFlag', enabled)))
        scenario.ldap_admin('ldapadd', input='\n'.join(entries))
        self.addCleanup(scenario.ldap_admin, 'ldapdelete', '-r', self.BASE)

    def imported(self, kind='freeipa', *arguments, status=0):
        text = self.cardmap('import', kind, *arguments, '--config', self.conf(), status=status).out
        return self.write('imported.conf', text), text

    def test_its_entries_become_rules(self):
        conf, text = self.imported()
        self.assertIn('ipacertmapdata', text)
        classes = ['inetOrgPerson', 'posixAccount', 'cardPerson', 'ipaCertMapObject']
        self.only('bob')
        self.give('bob', objectClass=classes, ipaCertMapData=f'X509:<I>{self.nss(ISSUER)}<S>{self.nss(BOB)}')
        self.assertEqual(self.with_imported(conf, 'whois', 'bob').account, 'bob')
        self.give('bob', ipaCertMapData=[])
        self.assertNotIn('account', self.with_imported(conf, 'whois', 'bob', status=1).json)
        self.assertEqual(self.with_imported(conf, 'whois', 'moved').account, 'bob')

    @staticmethod
    def nss(name):
        """IPA stores names as NSS writes them, most specific last in its x500 form: the encoded order."""
        return name

    def test_the_two_lines_of_the_readme(self):
        self.only('bob', mail='bob@cardmap.test')
        (self.folder / 'etc/sssd').mkdir(parents=True)
        domain = SSSD[:SSSD.index('# found by issuer')].format(pki=scenario.RIG.pki)
        self.write('etc/sssd/sssd.conf', domain, 0o600)
        conf = self.bring_over('FreeIPA')
        for command in (['config', 'check'], ['whois', '--card', f'file:{scenario.RIG.pki}/moved.pem']):
            answer = self.cardmap(*command, '--config', conf, '--set', f'accounts.path={self.store}')
        self.assertRegex(answer.out, r'(?m)^account +bob$')

    def test_rules_that_are_off_stay_off(self):
        _, text = self.imported()
        self.assertNotRegex(text, r'(?m)^[^#]*uid=alice')


PAM_PKCS11 = """pam_pkcs11 {{
  nullok = true;
  use_pkcs11_module = opensc;
  use_mappers = {mappers};
  pkcs11_module opensc {{
    module = /usr/lib/opensc-pkcs11.so;
    ca_dir = {pki}/anchors.d;
    crl_dir = {pki};
    cert_policy = ca,signature;
  }}
  mapper cn {{
    debug = false;
    module = internal;
    ignorecase = true;
    mapfile = file://{folder}/cn_map;
  }}
  mapper mail {{
    module = internal;
    mapfile = file://{folder}/mail_map;
    ignorecase = true;
    ignoredomain = false;
  }}
  mapper subject {{
    module = internal;
    ignorecase = false;
    mapfile = file://{folder}/subject_map;
  }}
  mapper ms {{
    module = internal;
    ignorecase = true;
    ignoredomain = false;
    domain = "cardmap.test";
  }}
  mapper ldap {{
    module = /usr/lib/pam_pkcs11/ldap_mapper.so;
    ldaphost = "127.0.0.1";
    ldapport = 3890;
    base = "dc=cardmap,dc=test";
    filter = "(&(objectClass=posixAccount)(uid=%s))";
    attribute = "mail";
  }}
}}
"""


class PamPkcs11Test(ImportCase):
    def map(self, mappers, card, status=0):
        path = self.write('pam_pkcs11.conf', PAM_PKCS11.format(pki=scenario.RIG.pki, folder=self.folder, mappers=mappers))
        conf, self.text = self.imported('pam_pkcs11', path)
        return self.with_imported(conf, 'whois', card, status=status)

    def setUp(self):
        super().setUp()
        self.write('cn_map', '# names of cards\nBob Example -> bob\nNobody -> alice\n')
        self.write('mail_map', 'bob@cardmap.test -> bob\n')
        subject = '/C=DE/DC=test/DC=cardmap/O=Cardmap Test/OU=People/OU=Engineering/OU=Cards/CN=Bob Example'
        self.write('subject_map', f'{subject} -> bob\n')
        for name in ('alice', 'bob'):
            self.only(name)

    def test_mappers_with_their_map_files(self):
        for mapper in ('cn', 'mail', 'subject'):
            with self.subTest(mapper):
                self.assertEqual(self.map(mapper, 'bob').account, 'bob')
                self.map(mapper, 'quoted', status=1) if mapper == 'subject' else None
                self.map(mapper, 'erin', status=1)

    def test_the_map_file_is_looked_at_when_a_card_is_mapped(self):
        self.assertEqual(self.map('cn', 'bob').account, 'bob')
        self.write('cn_map', 'Bob Example -> erin\n')
        self.assertEqual(self.with_imported(self.folder / 'imported.conf', 'whois', 'bob').account, 'erin')

    def test_a_map_file_that_others_may_write_decides_nothing(self):
        self.map('cn', 'bob')
        (self.folder / 'cn_map').chmod(0o666)
        answer = self.with_imported(self.folder / 'imported.conf', 'whois', 'bob', status=None)
        self.assertNotEqual(answer.status, 0, str(answer))
        self.assertIn('cn_map', answer.json['message'])

    def test_the_ms_mapper(self):
        self.assertEqual(self.map('ms', 'bob').account, 'bob')
        self.map('ms', 'other-realm', status=1)

    def test_its_authorities_come_along_and_what_has_no_counterpart_is_said(self):
        self.map('cn', 'bob')
        self.assertRegex(self.text, rf'anchors.*{re.escape(str(scenario.RIG.pki))}/anchors\.d')
        self.assertRegex(self.text, r'#.*nullok')


if __name__ == '__main__':
    scenario.main()
