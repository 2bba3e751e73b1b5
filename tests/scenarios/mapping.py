"""mapping.py: what the tests of mappings share: values as their documents have them, and accounts that only they lead to."""
import hashlib
import re
import struct
import subprocess

import scenario
from scenario import Scenario, said

DOMAIN = scenario.rig_module.pki_module.DOMAIN
SID = scenario.rig_module.pki_module.SID_OF_SID
OTHER_SID = SID.rpartition('-')[0] + '-1106'
# [MS-PKCA] 3.1.5.2.1.3: the root of the name first, no space after a comma, AD's attribute names.
ISSUER = 'DC=test,DC=cardmap,CN=Cardmap Test Issuing CA'
BOB = 'C=DE,DC=test,DC=cardmap,O=Cardmap Test,OU=People,OU=Engineering,OU=Cards,CN=Bob Example'
ALICE = BOB.replace('Bob', 'Alice')
STRONG, WEAK = False, True
NO_TICKET = {'kerberos__ticket': 'off'}
AD = ['altSecurityIdentities', 'ad']


def certificate(name):
    return scenario.RIG.pki / f'{name}.crt'


def spki(name):
    pem = said(['openssl', 'x509', '-in', certificate(name), '-noout', '-pubkey'])
    done = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'DER'], input=pem.encode(), capture_output=True,
                          check=True)
    return done.stdout


def key_hash(name):
    """SHA-1 of subjectPublicKey's bits, as OpenSSL's `subjectKeyIdentifier = hash` is (RFC 5280 4.2.1.2 (1))."""
    text = said(['openssl', 'x509', '-in', certificate(name), '-noout', '-ext', 'subjectKeyIdentifier'])
    return re.search(r'((?:[0-9A-F]{2}:){19}[0-9A-F]{2})', text)[1].replace(':', '').lower()


def spki_hash(name):
    return hashlib.sha1(spki(name)).hexdigest()


def thumbprint(name):
    return hashlib.sha1((scenario.RIG.pki / f'{name}.der').read_bytes()).hexdigest()


def binary_sid(text):
    """[MS-DTYP] 2.4.2.2."""
    revision, authority, *rest = map(int, text.split('-')[1:])
    return struct.pack('BB', revision, len(rest)) + authority.to_bytes(6, 'big') + struct.pack(f'<{len(rest)}I', *rest)


def conf_text(value):
    return "'" + value.replace('\\', '\\\\').replace("'", "\\'") + "'"


def section(name, **keys):
    """A rule of cardmap.conf, every value quoted."""
    def written(value):
        if isinstance(value, list):
            return '{' + ', '.join(map(conf_text, value)) + '}'
        return conf_text({True: 'yes', False: 'no'}[value] if isinstance(value, bool) else str(value))
    lines = ''.join(f'  {key} = {written(value)}\n' for key, value in keys.items())
    return f'rule "{name}" {{\n{lines}}}\n'


class MappingCase(Scenario):
    """Only what a test gives to the accounts leads to them: bob and alice begin with no value."""
    servers = ('slapd',)

    def setUp(self):
        super().setUp()
        self.settings['mapper.plist'] = None
        self.settings['trust.intermediates'] = [scenario.RIG.pki / 'inter.crt', scenario.RIG.pki / 'shapes.pem']

    def only(self, name, **attributes):
        """No other value of this account leads to it."""
        empty = {'altSecurityIdentities': [], 'userPrincipalName': [], 'sAMAccountName': [],
                 'krbPrincipalName': f'{name}@CARDMAP.TEST'}
        self.give(name, **{**empty, **attributes})

    def whois(self, card, *arguments, **options):
        return self.ask('whois', *arguments, card=card, **options)

    def found(self, card, name, **options):
        answer = self.whois(card, **options)
        self.assertEqual(answer.account, name, str(answer))
        return answer

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def words(self, command, *arguments, card='bob', status=0, **options):
        """A command's text for people, as one answer."""
        return self.cardmap(command, '--config', self.conf(**options), '--card', f'file:{scenario.RIG.pki}/{card}.pem',
                            *arguments, status=status)

    def login_and_keep(self, account, card, remove=None, **options):
        """Online with a ticket; offline as kept; and once the rule is gone, not even offline."""
        answer = self.login(card=card, **options)
        self.assertEqual((answer.account, answer.json['offline']), (account, False))
        self.assertEqual(answer.json['principal'], f'{account}@CARDMAP.TEST')
        scenario.RIG.stop(*self.servers)
        kept = self.login(card=card, **options)
        self.assertEqual((kept.account, kept.json['offline']), (account, True))
        for key in ('rule', 'matched'):
            self.assertEqual(kept.json['account'][key], answer.json['account'][key])
        if remove:
            remove()
            gone = self.login(card=card, status=None, **options)
            self.assertNotEqual(gone.status, 0, str(gone))
            self.assertIn(gone.reason, ('not_kept', 'no_rule'))
        scenario.RIG.start(*self.servers)
