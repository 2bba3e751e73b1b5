#!/usr/bin/python3
"""test_trust.py: whose cards are believed: CAs added, listed and removed by command, in the folders they have anywhere."""
import hashlib
import re
import shutil
import ssl
from pathlib import Path

import scenario
from scenario import WORK, Scenario, said

ROOT, INTER = 'CN=Cardmap Test Root CA,DC=cardmap,DC=test', 'CN=Cardmap Test Issuing CA,DC=cardmap,DC=test'


def setUpModule():
    """An /etc/cardmap of this run's own, empty."""
    if not Path('/etc/cardmap').is_dir():
        for name in ('upper/cardmap', 'work'):
            (WORK / 'etc' / name).mkdir(parents=True)
        said(['mount', '-t', 'overlay', 'overlay', '-o',
              f'lowerdir=/etc,upperdir={WORK}/etc/upper,workdir={WORK}/etc/work', '/etc'])
    said(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'none', '/etc/cardmap'])


def pki(name):
    return scenario.RIG.pki / name


def sha256(name):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pki(name).read_text())).hexdigest()


class TrustTest(Scenario):
    servers = ()

    def setUp(self):
        super().setUp()
        # No CA but those of the default folders, and no network.
        self.settings = {'trust.anchors': None, 'trust.intermediates': None, 'trust.level': 'chain', 'mapper.plist': ''}
        self.addCleanup(self.empty)

    @staticmethod
    def empty():
        for folder in Path('/etc/cardmap').iterdir():
            shutil.rmtree(folder)

    def trust(self, *arguments, **options):
        return self.ask('trust', *arguments, card=None, **options)

    def cas(self, *arguments, **options):
        return [(ca['role'], ca['subject'], ca['file']) for ca in self.trust(*arguments, **options).json['cas']]

    def check(self, **options):
        """Is Alice's certificate one that leads to an anchor?"""
        return self.ask('revocation', 'check', pki('alice-p256.crt'), card=None, **options)

    def test_a_root_and_an_issuing_ca_are_added_and_removed(self):
        self.assertEqual(self.cas('list'), [])
        self.check(status=3, reason='cert_untrusted')
        anchor = f'/etc/cardmap/anchors.d/{sha256("root.crt")}.pem'
        intermediate = f'/etc/cardmap/intermediates.d/{sha256("inter.crt")}.pem'
        # one file of both, in any order
        both = self.folder / 'both.pem'
        both.write_text(pki('inter.crt').read_text() + pki('root.crt').read_text())
        self.assertEqual(self.cas('add', both), [('intermediate', INTER, intermediate), ('anchor', ROOT, anchor)])
        self.assertEqual(self.cas('list'), [('anchor', ROOT, anchor), ('intermediate', INTER, intermediate)])
        self.assertEqual(Path(anchor).stat().st_mode & 0o7777, 0o644)
        self.check()
        self.assertTrue(self.trust('add', pki('root.der')).json['cas'][0]['was_there'])
        self.assertEqual(self.cas('remove', sha256('root.crt')[:8]), [('anchor', ROOT, anchor)])
        self.check(status=3, reason='cert_untrusted')
        self.trust('remove', sha256('root.crt'), status=1, reason='no_such_ca')
        self.assertEqual(sorted(path.name for path in Path('/etc/cardmap').rglob('*.pem')), [Path(intermediate).name])

    def test_text_says_where_each_comes_from(self):
        self.trust('add', pki('root.crt'))
        text = self.cardmap('trust', '--config', self.conf(trust__pins=[sha256('inter.crt')], trust__crl=[pki('inter.crl')]),
                            'list').out
        self.assertRegex(text, rf'(?m)^anchor +{ROOT}\n +SHA-256 +{sha256("root.crt")}\n +valid +\S+.* to \S+.*\n'
                               r' +from +/etc/cardmap/anchors.d/')
        self.assertRegex(text, rf'(?m)^pin +{sha256("inter.crt")}\n +of +a CA that is not here$')
        self.assertRegex(text, rf'(?m)^list +{INTER}\n +valid .*\n +from +{pki("inter.crl")}$')

    def test_a_person_s_certificate_is_no_ca(self):
        answer = self.trust('add', pki('alice-p256.crt'), status=3, reason='not_a_ca')
        self.assertIn('CN=Alice', answer.json['message'])
        # nor does it come in beside one
        both = self.folder / 'both.pem'
        both.write_text(pki('root.crt').read_text() + pki('alice-p256.crt').read_text())
        self.trust('add', both, status=3, reason='not_a_ca')
        self.assertEqual(self.cas('list'), [])

    def test_an_expired_one_comes_with_a_warning(self):
        self.assertIn('expired', self.trust('add', pki('expired-inter.crt')).json['warnings'][0])
        self.assertEqual(self.trust('list').json['cas'][0]['validity'], 'expired')

    def test_attack_a_key_beside_the_ca_is_not_copied(self):
        both = self.folder / 'both.pem'
        both.write_text(pki('root.key').read_text() + pki('root.crt').read_text())
        self.assertIn('private key', self.trust('add', both).json['warnings'][0])
        stored = list(Path('/etc/cardmap').rglob('*.pem'))
        self.assertEqual(len(stored), 1)
        self.assertNotIn('PRIVATE', stored[0].read_text())

    def test_intermediate_is_never_an_anchor(self):
        self.trust('add', '--intermediate', pki('root.crt'))
        self.trust('add', pki('inter.crt'))
        self.check(status=3, reason='cert_untrusted')

    def test_what_comes_from_elsewhere_is_not_removed(self):
        self.settings['trust.anchors'] = [pki('root.crt')]
        answer = self.trust('remove', sha256('root.crt'), status=78, reason='config')
        self.assertIn(str(pki('root.crt')), answer.json['message'])
        self.assertTrue(pki('root.crt').exists())
        # and there is no folder to add to
        self.assertIn('trust.anchors', self.trust('add', pki('stranger-root.crt'), status=78).json['message'])

    def test_a_named_folder_must_be_there(self):
        self.settings['trust.anchors'] = [self.folder / 'cas']
        self.check(status=78, reason='config')
        (self.folder / 'cas').mkdir()
        (self.folder / 'cas').chmod(0o755)
        self.trust('add', pki('root.crt'))
        self.trust('add', pki('inter.crt'))
        self.check()

    def test_pam_pkcs11_s_folders_with_names_by_hash(self):
        """ca_dir and crl_dir as openssl rehash leaves them."""
        folders = {}
        for name, files in (('cacerts', ('root.crt', 'inter.crt')), ('crls', ('root.crl', 'inter.crl'))):
            folder = folders[name] = self.folder / name
            folder.mkdir()
            for file in files:
                form = ['x509', '-outform', 'DER'] if name == 'cacerts' else ['crl', '-inform', 'DER', '-outform', 'PEM']
                if name == 'crls' and b'-----BEGIN' in pki(file).read_bytes():
                    form = ['crl']
                kind, source = ('x509', pki(file)) if name == 'cacerts' else ('crl', pki(file))
                number = said(['openssl', *form, '-in', source, '-noout', '-hash']).strip().splitlines()[-1]
                target = folder / (f'{number}.0' if kind == 'x509' else f'{number}.r0')
                said(['openssl', *form, '-in', source, '-out', target])
            folder.chmod(0o755)
        self.settings.update({'trust.anchors': [folders['cacerts']], 'trust.crl': [folders['crls']], 'trust.level': 'hard',
                              'trust.use_ocsp': 'no'})
        answer = self.check(status=None)
        self.assertEqual(len(self.trust('list').json['cas']), 2)
        seen = answer.seen('revocation', 'crl')
        self.assertTrue(any(f'{folders["crls"]}/' in text and ': good' in text for text in seen), seen)
        self.assertEqual((answer.status, answer.json.get('status')), (0, 'good'), str(answer))

    def test_sssd_s_one_file_of_several_cas(self):
        """pam_cert_db_path"""
        bundle = self.folder / 'sssd_auth_ca_db.pem'
        bundle.write_text(''.join(pki(name).read_text() for name in ('stranger-root.crt', 'root.crt', 'inter.crt')))
        self.settings['trust.anchors'] = [bundle]
        self.check()
        self.assertEqual(len(self.trust('list').json['cas']), 3)


CONTEXT = 'CN=Configuration,dc=cardmap,dc=test'
SERVICES = f'CN=Public Key Services,CN=Services,{CONTEXT}'


class ActiveDirectoryTest(Scenario):
    """The containers in which Active Directory holds its CAs, in a server that has no other part of it."""
    servers = ('slapd',)

    def setUp(self):
        super().setUp()
        self.settings = {'trust.anchors': None, 'trust.intermediates': None, 'mapper.plist': ''}
        self.addCleanup(TrustTest.empty)
        self.addCleanup(scenario.ldap_admin, 'ldapdelete', '-r', CONTEXT)
        containers = [CONTEXT, f'CN=Services,{CONTEXT}', SERVICES, f'CN=Certification Authorities,{SERVICES}', f'CN=AIA,{SERVICES}']
        scenario.ldap_admin('ldapadd', input='\n'.join(self.entry(dn, []) for dn in containers))

    @staticmethod
    def entry(dn, certificates):
        values = [cert if isinstance(cert, bytes) else ssl.PEM_cert_to_DER_cert(pki(cert).read_text()) for cert in certificates]
        return scenario.people.entry(dn, ('objectClass', 'applicationProcess'), ('cn', dn.split(',')[0][3:]),
                            *([('objectClass', 'pkiCA')] if values else []), *(('cACertificate;binary', value) for value in values))

    def publish(self, **containers):
        """NTAuth: certificates of NTAuthCertificates; roots, aia: of an entry in those containers."""
        names = {'ntauth': f'CN=NTAuthCertificates,{SERVICES}', 'roots': f'CN=Root,CN=Certification Authorities,{SERVICES}',
                 'aia': f'CN=Issuing,CN=AIA,{SERVICES}'}
        scenario.ldap_admin('ldapadd', input='\n'.join(self.entry(names[key], value) for key, value in containers.items()))

    def test_the_cas_that_may_issue_cards_become_pins(self):
        self.publish(ntauth=['inter.crt'], roots=['root.crt'], aia=['inter.crt', 'stranger-inter.crt'])
        answer = self.ask('import', 'ntauth', card=None).json
        self.assertEqual([(s['key'], s['values']) for s in answer['settings']], [('trust.pins', [sha256('inter.crt')])])
        notes = [note['text'] for note in answer['notes']]
        self.assertIn(f'{sha256("inter.crt")} {INTER}: may issue cards', notes)
        self.assertIn(f'{sha256("root.crt")} {ROOT}: is a root', notes)
        self.assertTrue(any(sha256('stranger-inter.crt') in note and 'stands between' in note for note in notes), notes)
        self.assertEqual(list(Path('/etc/cardmap').iterdir()), [])

    def test_add_puts_them_where_cards_are_judged(self):
        self.publish(ntauth=['inter.crt'], roots=['root.crt'], aia=['expired-inter.crt'])
        text = self.cardmap('import', '--config', self.conf(), '--add', 'ntauth').out
        imported = self.folder / 'imported.conf'
        imported.write_text(text + 'trust { level = chain }\n' if 'trust {' not in text else
                            text.replace('trust {', 'trust {\n\tlevel = chain', 1))
        self.assertEqual(sorted(path.relative_to('/etc/cardmap').parts for path in Path('/etc/cardmap').rglob('*.pem')),
                         [('anchors.d', f'{sha256("root.crt")}.pem'), ('intermediates.d', f'{sha256("inter.crt")}.pem')])
        # what is printed holds: cards of that CA and of no other
        self.cardmap('revocation', '--config', imported, 'check', pki('alice-p256.crt'))
        self.cardmap('trust', '--config', imported, 'add', pki('stranger-root.crt'), pki('stranger-inter.crt'))
        answer = self.cardmap('revocation', '--config', imported, '--json', 'check', pki('stranger.crt'), status=3)
        self.assertEqual(answer.reason, 'cert_not_pinned')

    def test_attack_a_self_signed_ca_that_is_no_root_there_is_no_anchor_here(self):
        self.publish(ntauth=['stranger-root.crt'])
        self.ask('import', '--add', 'ntauth', card=None)
        self.assertEqual([path.parent.name for path in Path('/etc/cardmap').rglob('*.pem')], ['intermediates.d'])

    def test_what_is_no_certificate_is_said_and_left_out(self):
        self.publish(ntauth=['inter.crt'])
        # slapd judges what it takes: a file of entries does not
        ldif = self.folder / 'ad.ldif'
        ldif.write_text(self.entry(f'CN=NTAuthCertificates,{SERVICES}', ['inter.crt', b'\0']) + '\n' +
                        self.entry(f'CN=X,CN=AIA,{SERVICES}', [b'0\x82nonsense']) + '\n' +
                        self.entry(f'CN=Y,CN=AIA,{SERVICES}', ['alice-p256.crt']))
        answer = self.ask('import', '--directory', f'ldif:{ldif}', '--add', 'ntauth', card=None).json
        self.assertEqual(answer['settings'][0]['values'], [sha256('inter.crt')])
        notes = [note['text'] for note in answer['notes']]
        self.assertEqual(sum('is no certificate' in note for note in notes), 1, notes)
        self.assertTrue(any(note.startswith('not added: ') and 'may not sign certificates' in note for note in notes), notes)

    def test_none_is_a_mistake_and_silence_is_not_none(self):
        answer = self.ask('import', 'ntauth', card=None, status=78, reason='config')
        self.assertIn('NTAuthCertificates', answer.json['message'])
        scenario.RIG.freeze('slapd')
        self.ask('import', 'ntauth', card=None, status=4, reason='directory_offline')
        scenario.RIG.thaw('slapd')


class PamPkcs11Test(Scenario):
    """A computer that had pam_pkcs11: its file is printed as cardmap.conf, and gives its cards the same users."""
    servers = ('slapd',)

    def setUp(self):
        super().setUp()
        self.cacerts = self.folder / 'cacerts'
        self.cacerts.mkdir()
        self.cacerts.chmod(0o755)
        for name in ('root.crt', 'inter.crt'):
            shutil.copy(pki(name), self.cacerts)

    def imported(self, text):
        """Its cardmap.conf, and what was said to the person."""
        old = self.folder / 'pam_pkcs11.conf'
        old.write_text('pam_pkcs11 {\n  use_pkcs11_module = opensc;\n  pkcs11_module opensc {\n'
                       f'    ca_dir = {self.cacerts};\n    cert_policy = ca,signature;\n  }}\n{text}}}\n')
        answer = self.cardmap('import', 'pam_pkcs11', old)
        path = self.folder / 'imported.conf'
        path.write_text(answer.out)
        self.cardmap('config', '--config', path, '--set', 'kerberos.ticket=off', '--set', f'accounts.path={self.store}', 'check')
        return path, answer.err

    def who(self, conf, card, *more, **options):
        return self.cardmap('whois', '--config', conf, '--json', '--card', f'file:{pki(card)}.pem', *more, **options)

    def test_the_ldap_mapper(self):
        conf, said_of = self.imported(f"""  use_mappers = ldap;
  mapper ldap {{
    ldaphost = "127.0.0.1";
    ldapport = {scenario.rig_module.LDAP_PORT};
    ssl = tls
    tls_cacertfile = {pki('root.crt')};
    base = "{scenario.people.PEOPLE_DN}";
    scope = 2;
    passwd = "do not print me";
    attribute_map = "krbPrincipalName=upn";
    filter = "(&(objectClass=posixAccount)(uid=%s))";
  }}
""")
        self.assertIn('pam_pkcs11.conf:15: mapper ldap: passwd is not copied', said_of)
        self.assertNotIn('do not print me', conf.read_text() + said_of)
        answer = self.who(conf, 'alice-rsa2048')
        self.assertEqual(answer.account, 'alice')
        self.assertTrue(answer.json['account']['source'].startswith('ldap://127.0.0.1'))
        self.who(conf, 'carol', status=1)

    def test_the_certificate_itself_in_the_directory(self):
        """What the ldap mapper asks where it has no attribute_map."""
        der = ssl.PEM_cert_to_DER_cert(pki('erin.crt').read_text())
        ldif = self.folder / 'people.ldif'
        entries = [scenario.people.person_entry(person) for person in scenario.people.PEOPLE]
        ldif.write_text('version: 1\n\n' + '\n'.join(
            text + scenario.people.attribute('userCertificate;binary', der) + '\n' if 'uid=erin,' in text else text
            for text in entries))
        conf, _ = self.imported(f"""  use_mappers = ldap;
  mapper ldap {{ ldaphost = "127.0.0.1"; ssl = tls; scope = 2; base = "{scenario.people.PEOPLE_DN}"; tls_cacertfile = {pki("root.crt")};
    attribute = "userCertificate;binary"; }}
""")
        found = self.who(conf, 'erin', '--directory', f'ldif:{ldif}')
        self.assertEqual(found.account, 'erin')
        self.who(conf, 'alice-rsa2048', '--directory', f'ldif:{ldif}', status=1)

    def test_openldap_finds_a_certificate_by_issuer_and_serial(self):
        """The filter that the import names for it, in the place of the one that it writes."""
        self.give('erin', **{'userCertificate;binary': ssl.PEM_cert_to_DER_cert(pki('erin.crt').read_text())})
        conf, said_of = self.imported(f"""  use_mappers = ldap;
  mapper ldap {{ ldaphost = "127.0.0.1"; ldapport = {scenario.rig_module.LDAP_PORT}; ssl = tls; scope = 2;
    tls_cacertfile = {pki('root.crt')}; base = "{scenario.people.PEOPLE_DN}"; }}
""")
        self.who(conf, 'erin', status=1)
        offered = re.search(r"write (filter = '.*') in the rule", said_of)[1]
        conf.write_text(re.sub(r'(?m)^\tfilter = .*$', lambda _: '\t' + offered, conf.read_text()))
        found = self.who(conf, 'erin').json['account']
        self.assertEqual(found['name'], 'erin')
        self.who(conf, 'alice-rsa2048', status=1)

    def test_map_files_and_accounts_of_this_computer(self):
        computer = self.folder / 'computer/etc'
        computer.mkdir(parents=True)
        (computer / 'passwd').write_text('root:x:0:0:root:/root:/bin/sh\nalice:x:2001:2001:Alice Example:/home/alice:/bin/sh\n'
                                         'bob:x:2002:2002:Bob:/home/bob:/bin/sh\n')
        (computer / 'group').write_text('alice:x:2001:\nbob:x:2002:\n')
        logins = self.folder / 'logins'
        digest = said(['openssl', 'x509', '-in', pki('erin.crt'), '-noout', '-fingerprint', '-sha1']).strip().split('=')[1]
        logins.write_text(f'# by digest\n{digest} -> bob\n')
        conf, _ = self.imported(f"""  use_mappers = digest, pwent;
  mapper digest {{ algorithm = sha1; mapfile = file://{logins}; }}
""")
        here = ('--directory', f'local:{computer.parent}')
        found = self.who(conf, 'erin', *here).json['account']
        self.assertEqual((found['name'], found['uid'], found['rule']), ('bob', 2002, 'digest'))
        self.assertEqual(self.who(conf, 'alice-rsa2048', *here).json['account']['rule'], 'pwent-gecos')
        # a digest for one user and a name for another: pam_pkcs11 takes the first in silence
        fingerprint = said(['openssl', 'x509', '-in', pki('alice-rsa2048.crt'), '-noout', '-fingerprint', '-sha1'])
        logins.write_text(fingerprint.strip().split('=')[1].lower() + ' -> bob\n')
        self.who(conf, 'alice-rsa2048', *here, status=2)

    def test_a_mistake_is_told_with_its_line(self):
        old = self.folder / 'pam_pkcs11.conf'
        old.write_text('pam_pkcs11 {\n  use_mappers = cn;\n  mapper cn {\n    mapfile = "/x;\n  }\n}\n')
        answer = self.cardmap('import', '--json', 'pam_pkcs11', old, status=78)
        self.assertIn(f'{old}:4: a quote is not closed', answer.json['message'])


if __name__ == '__main__':
    scenario.main()
