#!/usr/bin/python3
"""pki.py DIR: make every certificate, key and revocation list that the tests use.

Made once: DIR/stamp holds the hash of this program (and of people.py); when it matches, nothing is done.
DIR appears whole or not at all. Everything comes from the openssl command; faketime moves its clock where needed.

Each certificate NAME has NAME.crt and NAME.der (certificate), NAME.key (key) and NAME.pem (both: a "card file").

Authorities (P-256; the .pem of an authority holds its certificate only)
  root, inter            the trusted chain; inter issues what follows unless it says otherwise
  expired-inter          an intermediate of root that ended in 2020
  stranger-root, stranger-inter   a chain that nobody trusts
  look-alike-ca          inter's name, another key, issued by stranger-root
  revoked-inter          an intermediate that root.crl names as revoked
  deep-1, deep-2, deep-3 one below the other, below root: each with a responder and a list (DEEP)
  list-signer            an intermediate of root that signs lists for inter
Files made of them
  chain.pem              inter, root
  bundle.pem             root and every intermediate below it
  deep-chain.pem         deep-1, deep-2, deep-3
  anchors.d, intermediates.d      folders with root; inter, expired-inter, revoked-inter
  server-chain.pem, kdc-chain.pem the certificate, then inter
Servers
  server                 SAN IP 127.0.0.1 to 127.0.0.10, DNS localhost and cardmap.test
  kdc                    SAN krbtgt/CARDMAP.TEST, EKU pkinit KPKdc
  ocsp                   EKU OCSPSigning, id-pkix-ocsp-nocheck
  ocsp-no-eku            may not sign OCSP answers, but does
  ocsp-stranger          EKU OCSPSigning, from stranger-inter
  ocsp-checkable         EKU OCSPSigning, without nocheck: itself to be asked about, and on inter's list it would be
  ocsp-expired           EKU OCSPSigning, ended in 2020
Cards (see LEAVES for key, serial and difference)
  alice-rsa2048 (9A; its PIV object takes five chunks of 256 bytes; all eight SmartcardLogin.plist fields),
  alice-p256, alice-p384, alice-rsa3072, alice-rsa4096, alice-9d (9D), card-auth (9E),
  bob, dave (two accounts), erin (found by issuer and serial only), grace (groups sudo and disk), carol (no account),
  root-mapped, system-uid, bad-home (accounts that must be refused),
  expired, notyet, revoked, wrong-eku, no-ku, no-upn, no-aia-cdp, self-signed, look-alike, stranger,
  under-expired-inter, under-revoked-inter, copied (alice-rsa2048's certificate, another key), hostile-upn,
  other-realm, nul-upn, empty-upn, two-upns, bmp-cn, t61-cn, long-cn, sid
Cards of bob's with every shape of name (their authorities are below root, in shapes.pem and shapes.d)
  spatdod                serial and issuer of the sample in Active Directory's documentation
  quoted, joined, lines  issuer and subject with commas and quotes, with several attributes in one RDN, with CR and LF
  attributes             subject with ST, STREET, title, givenName, UID, emailAddress, serialNumber
  renewed                bob's certificate reissued: same key, subject and names, new serial
  rekeyed                the same with a new key
  moved                  the same with a new key from another authority
  several                two UPNs, two mail addresses, two DNS names, a URI, an IP address
  no-san                 no alternative names
  sid-uri                the SID as an alternative name, not as the extension
  sam                    a UPN whose realm is the directory's domain and whose name is a sAMAccountName only
  hostile-mail           a mail address that would be a filter
  dash-left, dash-right  CN and O whose texts joined with "-" are the same
Cards of alice's with every way to revocation (from inter; WEB is a server that a test makes, on any 127.0.0.x)
  cdp-only, aia-only     one list, no responder; one responder, no list
  cdp-two, aia-two       the same list at 127.0.0.2 and 127.0.0.3; two responders there
  cdp-three              three lists' addresses in three DistributionPoints
  cdp-fresh              a list, and FreshestCRL
  cdp-indirect           the list of list-signer (cRLIssuer)
  cdp-reasons            two points, each for some reasons
  cdp-ldap, cdp-ldap-host         in the directory LISTS_DN: with no server named, and with 127.0.0.1:3890
  deep                   from deep-3: four certificates to ask about, each of a responder and a list of its own
Revocation
  index.txt              for `openssl ocsp` and `openssl ca`
  inter.crl              names `revoked`; DER. Also inter.crl.pem. Good for ten years
  inter-revoked-alice.crl         names alice-rsa2048 too
  inter-expired.crl      as inter.crl, of January 2020
  inter-forged.crl       inter's name, signed by look-alike-ca
  stranger-inter.crl     empty
  root.crl, root.crl.pem names revoked-inter
  ocsp-good.der, ocsp-revoked.der a stored answer without nonce: alice-rsa2048 is good, is revoked; valid ten years
People
  people.ldif            the accounts of people.py, RFC 2849
"""
import base64
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REALM = 'CARDMAP.TEST'
DOMAIN = 'cardmap.test'
CDP = 'http://127.0.0.1:8080/inter.crl'
OCSP = 'http://127.0.0.1:8081/'
ROOT_CDP = 'http://127.0.0.1:8080/root.crl'
WEB = 'http://127.0.0.1:8090'
LISTS_DN = 'cn=Cardmap Test Issuing CA,ou=lists,dc=cardmap,dc=test'
LONG_DAYS = 3650
BASE_DN = '/DC=test/DC=cardmap'

EKU_CLIENT = 'clientAuth,1.3.6.1.4.1.311.20.2.2,1.3.6.1.5.2.3.4'  # TLS, Microsoft smart card login, PKINIT
EKU_KDC = '1.3.6.1.5.2.3.5'
EKU_CARD_AUTH = '2.16.840.1.101.3.6.8'
NO_CHECK = 'noCheck = ignored'  # id-pkix-ocsp-nocheck
SID_OF_SID = 'S-1-5-21-1004336348-1177238915-682003330-1105'

# ---- DER, as much as subjectAltName needs: openssl's own notation cannot hold every byte (NUL) and length (0)


def tlv(tag, *parts):
    body = b''.join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, 'big')
    return bytes([tag, 0x80 | len(size)]) + size + body


def oid(dotted):
    first, second, *rest = map(int, dotted.split('.'))
    out = bytearray([first * 40 + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        out += bytes(reversed(groups))
    return tlv(0x06, bytes(out))


def other_name(dotted, value):
    return tlv(0xA0, oid(dotted), tlv(0xA0, value))


def san_upn(text):
    return other_name('1.3.6.1.4.1.311.20.2.3', tlv(0x0C, text))


def san_kerberos(name_type, names, realm=REALM):
    """RFC 4556 section 3.2.2: KRB5PrincipalName."""
    def general(text):
        return tlv(0x1B, text.encode())
    principal = tlv(0x30, tlv(0xA0, tlv(0x02, bytes([name_type]))), tlv(0xA1, tlv(0x30, *map(general, names))))
    return other_name('1.3.6.1.5.2.2', tlv(0x30, tlv(0xA0, general(realm)), tlv(0xA1, principal)))


def san_fascn(person):
    """A FASC-N of 25 bytes (NIST SP 800-73-4 Part 1, 3.1.2) that differs by person."""
    value = bytes.fromhex('d4e739da739ced39ce739da1685a1082108ce73984') + person.to_bytes(4, 'big')
    return other_name('2.16.840.1.101.3.6.6', tlv(0x04, value))


def san_uuid(person):
    return tlv(0x86, f'urn:uuid:f81d4fae-7dec-11d0-a765-{person:012x}'.encode())


def san_email(address):
    return tlv(0x81, address.encode())


# ---- Where revocation is told


def point(*urls, reasons=b'', issuer=b''):
    """One DistributionPoint (RFC 5280 section 4.2.1.13); reasons: a BIT STRING's content; issuer: DER of a name."""
    parts = [tlv(0xA0, tlv(0xA0, *(tlv(0x86, url.encode()) for url in urls)))] if urls else []
    parts += [tlv(0x81, reasons)] if reasons else []
    parts += [tlv(0xA2, tlv(0xA4, issuer))] if issuer else []
    return tlv(0x30, *parts)


def cdp(*points):
    return 'crlDistributionPoints = DER:' + tlv(0x30, *points).hex()


def freshest(*points):
    return '2.5.29.46 = DER:' + tlv(0x30, *points).hex()


def aia(*urls):
    return 'authorityInfoAccess = ' + ','.join('OCSP;URI:' + url for url in urls)


def at(address, path=''):
    """That path of WEB, on another address of loopback."""
    return WEB.replace('127.0.0.1', f'127.0.0.{address}') + '/' + path


def name_der(subject):
    """DER of '/DC=test/CN=x': each attribute an RDN, as openssl writes them with string_mask utf8only."""
    kinds = {'DC': ('0.9.2342.19200300.100.1.25', 0x16), 'CN': ('2.5.4.3', 0x0C)}
    pairs = (part.split('=', 1) for part in subject.strip('/').split('/'))
    return tlv(0x30, *(tlv(0x31, tlv(0x30, oid(kinds[key][0]), tlv(kinds[key][1], value.encode()))) for key, value in pairs))


# ---- What is made


@dataclass(frozen=True)
class Authority:
    name: str
    subject: str
    serial: int
    issuer: str = 'root'
    when: str = ''  # for faketime; empty: now
    days: int = LONG_DAYS
    sources: tuple = ()  # lines for the extension section, in place of ROOT_CDP


LIST_SIGNER = BASE_DN + '/CN=Cardmap Test List Signer'
DEEP = ('deep-1', 'deep-2', 'deep-3')


def deep(number):
    """Its issuer is asked about it: at 127.0.0.2 for deep-1, and so on; at 127.0.0.5 for the card."""
    return Authority(f'deep-{number}', f'{BASE_DN}/CN=Cardmap Deep CA {number}', 0x1020 + number,
                     issuer=f'deep-{number - 1}' if number > 1 else 'root', sources=deep_sources(number))


def deep_sources(number):
    """Lists are named for who signs them."""
    return (aia(at(number + 1, 'ocsp/')), cdp(point(at(number + 1, f'deep-{number - 1}.crl' if number > 1 else 'root.crl'))))


AUTHORITIES = [
    Authority('root', BASE_DN + '/CN=Cardmap Test Root CA', 0x01, issuer=''),
    Authority('stranger-root', '/DC=test/DC=stranger/CN=Stranger Root CA', 0x01, issuer=''),
    Authority('inter', BASE_DN + '/CN=Cardmap Test Issuing CA', 0x1001),
    Authority('expired-inter', BASE_DN + '/CN=Cardmap Expired Issuing CA', 0x1002, when='2020-01-01 00:00:00', days=30),
    Authority('revoked-inter', BASE_DN + '/CN=Cardmap Revoked Issuing CA', 0x1003),
    Authority('stranger-inter', '/DC=test/DC=stranger/CN=Stranger Issuing CA', 0x1001, issuer='stranger-root'),
    Authority('look-alike-ca', BASE_DN + '/CN=Cardmap Test Issuing CA', 0x1001, issuer='stranger-root'),
    Authority('spatdod-ca', '/DC=local/DC=dod/CN=SpatDoD Root CA', 0x1010),
    Authority('quoted-ca', '/C=US/ST=New York/O=Foo, Inc./CN=The "Test" CA', 0x1011),
    Authority('joined-ca', '/C=DE/O=Cardmap+OU=Trust/CN=Joined CA', 0x1012),
    Authority('lines-ca', '/C=DE/O=Line one\r\nLine two/CN=Lines CA', 0x1013),
    Authority('second-ca', BASE_DN + '/CN=Cardmap Test Second CA', 0x1014),
    Authority('list-signer', LIST_SIGNER, 0x1015),
    deep(1), deep(2), deep(3),
]
SHAPES = ('spatdod-ca', 'quoted-ca', 'joined-ca', 'lines-ca', 'second-ca')  # below root, each for one shape of name

RSA2048, RSA3072, RSA4096, P256, P384 = 'rsa:2048', 'rsa:3072', 'rsa:4096', 'P-256', 'P-384'


@dataclass(frozen=True)
class Leaf:
    name: str
    serial: int
    key: str = P256
    key_of: str = ''              # another leaf's key in place of a new one
    person: str = 'alice'         # subject, mail and UPN come from it
    person_number: int = 1
    upn: bytes | None = b''       # b'': person@REALM; None: no UPN and no PKINIT name
    realm: str = REALM
    san: tuple | None = None      # the whole SAN, in place of a person's
    cn: str = ''                  # empty: from person
    subject: str = ''             # the whole subject, as openssl's -subj has it
    ku: str = 'critical,digitalSignature'
    eku: str = EKU_CLIENT
    revocation: bool = True       # has CDP and AIA
    piv: bool = False             # FASC-N, UUID and policy, as a PIV 9A certificate
    extra: tuple = ()             # lines for the extension section
    issuer: str = 'inter'         # empty: self-signed
    when: str = ''
    days: int = 1825
    string_mask: str = 'utf8only'


def empty_upn():
    return (san_upn(b''), san_email('alice@' + DOMAIN))


def two_upns():
    return (san_upn(b'alice@' + REALM.encode()), san_upn(b'bob@' + REALM.encode()), san_email('alice@' + DOMAIN))


def sid_extension():
    """MS-WCCE 2.2.2.7.7.4: szOID_NTDS_CA_SECURITY_EXT."""
    value = tlv(0x30, other_name('1.3.6.1.4.1.311.25.2.1', tlv(0x04, SID_OF_SID.encode())))
    return '1.3.6.1.4.1.311.25.2 = DER:' + value.hex()


def bobs(*more):
    """bob's names, and more."""
    return san_upn(b'bob@' + REALM.encode()), san_email('bob@' + DOMAIN), san_kerberos(1, ['bob']), *more


def several_names():
    return (san_upn(b'bob@' + REALM.encode()), san_upn(b'bob.example@' + REALM.encode()), san_email('bob@' + DOMAIN),
            san_email('bob.example@' + DOMAIN), tlv(0x82, b'one.cardmap.test'), tlv(0x82, b'two.cardmap.test'),
            tlv(0x86, b'https://cardmap.test/bob'), tlv(0x87, bytes([192, 0, 2, 7])), san_kerberos(1, ['bob']))


def shape(name, serial, subject='', issuer='inter', **more):
    """A certificate of bob's; without CDP and AIA unless inter issues it."""
    return Leaf(name, serial, subject=subject, issuer=issuer, person='bob', person_number=2,
                revocation=issuer == 'inter', **more)


def told(name, serial, *sources, issuer='inter'):
    """A card of alice's whose status is told there."""
    return Leaf(name, serial, revocation=False, extra=sources, issuer=issuer)


def in_directory(host):
    dn = LISTS_DN.replace(' ', '%20')
    return point(f'ldap://{host}/{dn}?certificateRevocationList;binary?base?objectClass=cRLDistributionPoint')


# erin's, alice-p256's and notyet's serials have the high bit set: DER puts a zero byte before, AD's text does not.
LEAVES = [
    Leaf('alice-rsa2048', 0x4C00000A17B5E0D3F1C2A49E00000000000A17, key=RSA2048, piv=True),
    Leaf('alice-p256', 0xF100000A17B5E0D3F1C2A49E00000000000A18, piv=True),
    Leaf('alice-p384', 0x4C00000A17B5E0D3F1C2A49E00000000000A19, key=P384, piv=True),
    Leaf('alice-rsa3072', 0x4C00000A17B5E0D3F1C2A49E00000000000A1A, key=RSA3072, piv=True),
    Leaf('alice-rsa4096', 0x4C00000A17B5E0D3F1C2A49E00000000000A1B, key=RSA4096, piv=True),
    Leaf('alice-9d', 0x4C00000A17B5E0D3F1C2A49E00000000000A1C, key=RSA2048, ku='critical,keyEncipherment',
         eku='emailProtection'),
    Leaf('card-auth', 0x4C00000A17B5E0D3F1C2A49E00000000000A1D, san=(san_fascn(1), san_uuid(1)), cn='Card 1',
         eku='critical,' + EKU_CARD_AUTH),
    Leaf('bob', 0x2002, key=RSA2048, person='bob', person_number=2, piv=True),
    Leaf('carol', 0x2003, person='carol', person_number=3),
    Leaf('dave', 0x2004, person='dave', person_number=4),
    Leaf('erin', 0xDEADBEEF00002005, person='erin', person_number=5),
    Leaf('grace', 0x2006, person='grace', person_number=6),
    Leaf('root-mapped', 0x2007, person='toor', person_number=7),
    Leaf('system-uid', 0x2008, person='sysuser', person_number=8),
    Leaf('bad-home', 0x2009, person='badhome', person_number=9),
    Leaf('expired', 0x3001, when='2020-01-01 00:00:00', days=30),
    Leaf('notyet', 0x8000000000003002, when='2045-01-01 00:00:00', days=30),
    Leaf('revoked', 0x3003),
    Leaf('wrong-eku', 0x3004, eku='serverAuth'),
    Leaf('no-ku', 0x3005, ku=''),
    Leaf('no-upn', 0x3006, upn=None),
    Leaf('no-aia-cdp', 0x3007, revocation=False),
    Leaf('self-signed', 0x3008, issuer=''),
    Leaf('look-alike', 0x4C00000A17B5E0D3F1C2A49E00000000000A17, issuer='look-alike-ca'),
    Leaf('stranger', 0x3009, issuer='stranger-inter'),
    Leaf('under-expired-inter', 0x300A, issuer='expired-inter'),
    Leaf('under-revoked-inter', 0x300B, issuer='revoked-inter'),
    Leaf('hostile-upn', 0x4001, upn=b')(|(uid=*', cn='*)(uid=*'),
    Leaf('other-realm', 0x4002, upn=b'alice@OTHER.TEST', realm='OTHER.TEST'),
    Leaf('nul-upn', 0x4003, upn=b'alice@' + REALM.encode() + b'\0.OTHER.TEST'),
    Leaf('empty-upn', 0x4004, san=empty_upn()),
    Leaf('two-upns', 0x4005, san=two_upns()),
    Leaf('bmp-cn', 0x4006, cn='Aliće Example', string_mask='pkix'),
    Leaf('t61-cn', 0x4007, cn='Alicé Example', string_mask='default'),
    Leaf('long-cn', 0x4008, cn='Alice ' + 'x' * 58),
    Leaf('sid', 0x4009, extra=(sid_extension(),)),
    Leaf('server', 0x5001, san=tuple(tlv(0x87, bytes([127, 0, 0, n])) for n in range(1, 11))
         + (tlv(0x82, b'localhost'), tlv(0x82, DOMAIN.encode())), cn=DOMAIN, eku='serverAuth', revocation=False),
    Leaf('kdc', 0x5002, key=RSA2048, san=(san_kerberos(2, ['krbtgt', REALM]),), cn='kdc.' + DOMAIN, eku=EKU_KDC,
         ku='critical,digitalSignature,keyEncipherment', revocation=False),
    Leaf('ocsp', 0x5003, san=(), cn='Cardmap Test OCSP', eku='OCSPSigning', revocation=False, extra=(NO_CHECK,)),
    Leaf('ocsp-no-eku', 0x5004, san=(), cn='Cardmap Test Not OCSP', eku='clientAuth', revocation=False),
    Leaf('ocsp-stranger', 0x5005, san=(), cn='Stranger OCSP', eku='OCSPSigning', revocation=False, extra=(NO_CHECK,),
         issuer='stranger-inter'),
    Leaf('ocsp-checkable', 0x5006, san=(), cn='Cardmap Test OCSP 2', eku='OCSPSigning'),
    Leaf('ocsp-expired', 0x5007, san=(), cn='Cardmap Test OCSP 3', eku='OCSPSigning', revocation=False, extra=(NO_CHECK,),
         when='2020-01-01 00:00:00', days=30),
    told('cdp-only', 0x7001, cdp(point(at(1, 'inter.crl')))),
    told('aia-only', 0x7002, aia(at(1, 'ocsp/'))),
    told('cdp-two', 0x7003, cdp(point(at(2, 'inter.crl'), at(3, 'inter.crl')))),
    told('aia-two', 0x7004, aia(at(2, 'ocsp/'), at(3, 'ocsp/'))),
    told('cdp-three', 0x7005, cdp(*(point(at(number, 'inter.crl')) for number in (2, 3, 4)))),
    told('cdp-fresh', 0x7006, cdp(point(at(1, 'inter.crl'))), freshest(point(at(1, 'delta.crl')))),
    told('cdp-indirect', 0x7007, cdp(point(at(1, 'indirect.crl'), issuer=name_der(LIST_SIGNER)))),
    told('cdp-reasons', 0x7008, cdp(point(at(1, 'compromise.crl'), reasons=b'\x05\x60'),
                                    point(at(1, 'rest.crl'), reasons=b'\x07\x1f\x80'))),
    told('cdp-ldap', 0x7009, cdp(in_directory(''))),
    told('cdp-ldap-host', 0x700A, cdp(in_directory('127.0.0.1:3890'))),
    told('deep', 0x7010, *deep_sources(4), issuer='deep-3'),
    shape('spatdod', 0x10E8BD03000000000032, '/DC=local/DC=dod/CN=Users/CN=Bob Example', 'spatdod-ca'),
    shape('quoted', 0x6001, '/C=US/ST=New York/O=Acme, Inc./CN=Example, "Bob"', 'quoted-ca'),
    shape('joined', 0x6002, '/C=DE/O=Cardmap+OU=Cards/CN=Bob Example+UID=bob1', 'joined-ca'),
    shape('lines', 0x6003, '/C=DE/O=Line one\r\nLine two/CN=Bob Example', 'lines-ca'),
    shape('attributes', 0x6004, '/C=DE/ST=Bayern/L=München/street=Weg 1/title=Dr/GN=Bob/SN=Example/UID=bob1'
          f'/serialNumber=77/emailAddress=bob@{DOMAIN}/CN=Bob Example'),
    shape('renewed', 0x6005, key_of='bob', piv=True),
    shape('rekeyed', 0x6006, piv=True),
    shape('moved', 0x2002, issuer='second-ca', piv=True),
    shape('several', 0x6007, san=several_names(), cn='Bob Example'),
    shape('no-san', 0x6008, san=(), cn='Bob Example'),
    shape('sid-uri', 0x6009, san=bobs(tlv(0x86, b'tag:microsoft.com,2022-09-14:sid:' + SID_OF_SID.encode())), cn='Bob Example'),
    shape('sam', 0x600A, upn=f'bobby@{DOMAIN}'.encode()),
    shape('hostile-mail', 0x600B, san=(san_email('*)(uid=*'),), cn='Bob Example'),
    shape('dash-left', 0x600C, '/C=DE/O=c/CN=a-b'),
    shape('dash-right', 0x600D, '/C=DE/O=b-c/CN=a'),
]
BY_NAME = {leaf.name: leaf for leaf in LEAVES}
REVOKED = frozenset(['revoked'])

# ---- How it is made


def run(command, when='', **options):
    """One command; its error output becomes the exception's text."""
    if when:
        command = ['faketime', when, *command]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr.strip()}")
    return done.stdout


def key_options(folder, name, key):
    made = folder / (name + '.key')
    if isinstance(key, Path):
        shutil.copy(key, made)
        return ['-key', made]
    if key.startswith('rsa:'):
        return ['-newkey', key, '-keyout', made]
    return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:' + key, '-keyout', made]


def subject_of(leaf):
    if leaf.subject:
        return leaf.subject
    if leaf.san is not None and leaf.cn:
        return f'{BASE_DN}/CN={leaf.cn}'
    cn = leaf.cn or leaf.person.capitalize() + ' Example'
    return f'/C=DE{BASE_DN}/O=Cardmap Test/OU=People/OU=Engineering/OU=Cards/CN={cn}'


def san_of(leaf):
    if leaf.san is not None:
        return leaf.san
    names = [san_email(f'{leaf.person}@{DOMAIN}')]
    if leaf.upn is not None:
        upn = leaf.upn or f'{leaf.person}@{REALM}'.encode()
        names = [san_upn(upn), *names, san_kerberos(1, [leaf.person], leaf.realm)]
    if leaf.piv:
        names += [san_fascn(leaf.person_number), san_uuid(leaf.person_number)]
    return tuple(names)


def leaf_extensions(leaf):
    lines = ['basicConstraints = critical,CA:FALSE', 'subjectKeyIdentifier = hash', 'authorityKeyIdentifier = keyid']
    if leaf.ku:
        lines.append('keyUsage = ' + leaf.ku)
    lines.append('extendedKeyUsage = ' + leaf.eku)
    if san := san_of(leaf):
        lines.append('subjectAltName = DER:' + tlv(0x30, *san).hex())
    if leaf.revocation:
        lines += ['crlDistributionPoints = URI:' + CDP, 'authorityInfoAccess = OCSP;URI:' + OCSP]
    if leaf.piv:
        lines.append('certificatePolicies = 2.16.840.1.101.3.2.1.3.13')
    return [*lines, *leaf.extra]


def authority_extensions(authority):
    lines = ['basicConstraints = critical,CA:TRUE', 'subjectKeyIdentifier = hash',
             'keyUsage = critical,keyCertSign,cRLSign']
    if authority.issuer:
        sources = authority.sources or ['crlDistributionPoints = URI:' + ROOT_CDP]
        lines += ['authorityKeyIdentifier = keyid', *sources]
    return lines


def issue(folder, name, subject, serial, key, extensions, issuer, when, days, string_mask='utf8only'):
    """A certificate and its key, in one openssl command; key: its kind, or the file of one to use."""
    config = folder / (name + '.cnf')
    config.write_text('\n'.join(['[req]', 'distinguished_name = dn', 'string_mask = ' + string_mask, 'utf8 = yes', '[dn]',
                                 '[ext]', *extensions, '']))
    signer = ['-CA', folder / (issuer + '.crt'), '-CAkey', folder / (issuer + '.key')] if issuer else []
    run(['openssl', 'req', '-x509', '-batch', '-utf8', '-noenc', '-sha256', '-config', config, '-extensions', 'ext',
         *key_options(folder, name, key), '-subj', subject, '-set_serial', hex(serial), '-days', str(days), *signer,
         '-out', folder / (name + '.crt')], when)
    config.unlink()
    write_forms(folder, name)


def write_forms(folder, name):
    certificate = (folder / (name + '.crt')).read_text()
    (folder / (name + '.der')).write_bytes(ssl.PEM_cert_to_DER_cert(certificate))
    if name in BY_NAME:
        certificate += (folder / (name + '.key')).read_text()
    (folder / (name + '.pem')).write_text(certificate)
    (folder / (name + '.pem')).chmod(0o600 if name in BY_NAME else 0o644)


def make_authority(folder, authority):
    issue(folder, authority.name, authority.subject, authority.serial, P256, authority_extensions(authority),
          authority.issuer, authority.when, authority.days)


def make_leaf(folder, leaf):
    key = folder / (leaf.key_of + '.key') if leaf.key_of else leaf.key
    issue(folder, leaf.name, subject_of(leaf), leaf.serial, key, leaf_extensions(leaf), leaf.issuer, leaf.when,
          leaf.days, leaf.string_mask)


def make_copied(folder):
    run(['openssl', 'genpkey', '-quiet', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048',
         '-out', folder / 'copied.key'])
    shutil.copy(folder / 'alice-rsa2048.crt', folder / 'copied.crt')
    shutil.copy(folder / 'alice-rsa2048.der', folder / 'copied.der')
    (folder / 'copied.pem').write_text((folder / 'copied.crt').read_text() + (folder / 'copied.key').read_text())
    (folder / 'copied.pem').chmod(0o600)


# ---- Revocation, also used by rig.py while servers run


def hex_serial(serial):
    text = f'{serial:X}'
    return text if len(text) % 2 == 0 else '0' + text


def index_line(serial, name, revoked):
    status, when = ('R', '240101000000Z,keyCompromise') if revoked else ('V', '')
    return f'{status}\t491231235959Z\t{when}\t{hex_serial(serial)}\tunknown\t/CN={name}\n'


def write_index(path, revoked=REVOKED):
    """The database of `openssl ca` and `openssl ocsp`, with everything that inter issued."""
    path.write_text(''.join(index_line(leaf.serial, leaf.name, leaf.name in revoked)
                            for leaf in LEAVES if leaf.issuer == 'inter'))
    Path(str(path) + '.attr').write_text('unique_subject = no\n')


def make_crl(pki, index, out, issuer='inter', days=LONG_DAYS, dates=(), number=1):
    """A CRL of `issuer` in DER at `out`, in PEM at `out`.pem."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / 'number').write_text(f'{number:04X}\n')
        (work / 'ca.cnf').write_text('\n'.join([
            '[ca]', 'default_ca = d', '[d]', f'database = {index}', f'crlnumber = {work}/number', 'default_md = sha256',
            'crl_extensions = x', '[x]', 'authorityKeyIdentifier = keyid', '']))
        span = dates or ['-crldays', str(days)]
        run(['openssl', 'ca', '-gencrl', '-config', work / 'ca.cnf', '-cert', pki / (issuer + '.crt'),
             '-keyfile', pki / (issuer + '.key'), *span, '-out', work / 'crl.pem'])
        text = (work / 'crl.pem').read_text()
    publish(Path(str(out) + '.pem'), text.encode())
    publish(Path(out), base64.b64decode(text.split('-----')[2]))


def big_list(pki, entries, crlgen):
    """A list of inter's of so many entries (crlgen.c), good for ten years; made once, beside the certificates."""
    made = Path(pki) / 'lists' / f'inter-{entries}.crl'
    if not made.exists():
        made.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as name:
            run([crlgen, pki / 'inter.crt', pki / 'inter.key', Path(name) / 'crl', f'entries={entries}', 'number=7',
                 f'next_update={LONG_DAYS * 86400}'])
            (Path(name) / 'crl').replace(made)
    return made


def publish(path, data):
    """Whoever reads at this moment gets the old file or the new one."""
    fresh = path.with_name(path.name + '.new')
    fresh.write_bytes(data)
    fresh.replace(path)


def make_crls(folder):
    index = folder / 'index.txt'
    alice_index, root_index, empty_index = (folder / f'index-{name}.txt' for name in ('alice', 'root', 'empty'))
    write_index(index)
    write_index(alice_index, REVOKED | {'alice-rsa2048'})
    root_index.write_text(''.join(index_line(authority.serial, authority.name, authority.name == 'revoked-inter')
                                  for authority in AUTHORITIES if authority.issuer == 'root'))
    empty_index.write_text('')
    make_crl(folder, index, folder / 'inter.crl')
    make_crl(folder, alice_index, folder / 'inter-revoked-alice.crl', number=2)
    make_crl(folder, index, folder / 'inter-expired.crl',
             dates=['-crl_lastupdate', '20200101000000Z', '-crl_nextupdate', '20200131000000Z'])
    make_crl(folder, index, folder / 'inter-forged.crl', issuer='look-alike-ca')
    make_crl(folder, empty_index, folder / 'stranger-inter.crl', issuer='stranger-inter')
    make_crl(folder, root_index, folder / 'root.crl', issuer='root')
    stored_answer(folder, index, folder / 'ocsp-good.der')
    stored_answer(folder, alice_index, folder / 'ocsp-revoked.der')
    for path in (alice_index, root_index, empty_index):
        path.unlink()
        Path(str(path) + '.attr').unlink(missing_ok=True)


def stored_answer(folder, index, out, name='alice-rsa2048'):
    """What a responder would say about `name`, with no nonce."""
    request = out.with_suffix('.request')
    run(['openssl', 'ocsp', '-issuer', folder / 'inter.crt', '-cert', folder / (name + '.crt'), '-no_nonce',
         '-reqout', request])
    run(['openssl', 'ocsp', '-index', index, '-CA', folder / 'inter.crt', '-rsigner', folder / 'ocsp.crt',
         '-rkey', folder / 'ocsp.key', '-reqin', request, '-ndays', str(LONG_DAYS), '-respout', out])
    request.unlink()


# ---- The whole


def bundle(folder, target, *names):
    (folder / target).write_text(''.join((folder / (name + '.crt')).read_text() for name in names))


def make_bundles(folder):
    bundle(folder, 'chain.pem', 'inter', 'root')
    bundle(folder, 'bundle.pem', 'root', 'inter', 'expired-inter', 'revoked-inter')
    bundle(folder, 'shapes.pem', *SHAPES)
    bundle(folder, 'deep-chain.pem', *DEEP)
    bundle(folder, 'server-chain.pem', 'server', 'inter')
    bundle(folder, 'kdc-chain.pem', 'kdc', 'inter')
    folders = {'anchors.d': ['root'], 'intermediates.d': ['inter', 'expired-inter', 'revoked-inter'],
               'shapes.d': SHAPES}
    for target, names in folders.items():
        (folder / target).mkdir()
        for name in names:
            shutil.copy(folder / (name + '.crt'), folder / target / (name + '.pem'))


def make_all(folder):
    slowest_first = sorted((leaf for leaf in LEAVES if not leaf.key_of), key=lambda leaf: leaf.key, reverse=True)
    with ThreadPoolExecutor(max_workers=max(4, os.cpu_count() or 1)) as pool:
        waiting, made = list(AUTHORITIES), {''}
        while waiting:
            generation = [authority for authority in waiting if authority.issuer in made]
            list(pool.map(lambda authority: make_authority(folder, authority), generation))
            made |= {authority.name for authority in generation}
            waiting = [authority for authority in waiting if authority not in generation]
        list(pool.map(lambda leaf: make_leaf(folder, leaf), slowest_first))
        list(pool.map(lambda leaf: make_leaf(folder, leaf), (leaf for leaf in LEAVES if leaf.key_of)))
    make_copied(folder)
    make_bundles(folder)
    make_crls(folder)
    here = Path(__file__).parent
    with open(folder / 'people.ldif', 'w', encoding='ascii') as out:
        subprocess.run([sys.executable, here / 'people.py'], stdout=out, check=True, timeout=60)


def stamp():
    here = Path(__file__).parent
    return hashlib.sha256((here / 'pki.py').read_bytes() + (here / 'people.py').read_bytes()).hexdigest()


def is_current(folder):
    try:
        return (folder / 'stamp').read_text() == stamp()
    except OSError:
        return False


def ensure(folder):
    """DIR with the whole PKI in it; several at once may ask for the same DIR."""
    folder = Path(folder).absolute()
    if is_current(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=folder.name + '.', dir=folder.parent))
    try:
        fresh.chmod(0o755)
        make_all(fresh)
        (fresh / 'stamp').write_text(stamp())
        swap_in(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def swap_in(fresh, folder):
    """Rename `fresh` to `folder`; an older `folder` goes, a current one that another process made meanwhile stays."""
    while not is_current(folder):
        try:
            fresh.rename(folder)
        except OSError:
            old = Path(tempfile.mkdtemp(prefix=folder.name + '.old.', dir=folder.parent))
            try:
                folder.rename(old / 'pki')
            except FileNotFoundError:
                pass
            shutil.rmtree(old)


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        ensure(sys.argv[1])
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        sys.exit(f'pki.py: {error}')
