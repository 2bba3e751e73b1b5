#!/usr/bin/python3
"""test_trust.py: whose cards are believed: CAs added, listed and removed by command, in the folders they have anywhere."""
import hashlib
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
        self.settings = {'trust.anchors': None, 'trust.intermediates': None, 'trust.level': 'chain', 'mapper.plist': '/nonexistent'}
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


if __name__ == '__main__':
    scenario.main()
