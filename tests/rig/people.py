#!/usr/bin/python3
"""people.py [COUNT]: the accounts of the test directory as LDIF (RFC 2849) on standard output.

First the accounts with a story (PEOPLE), then user00001, user00002, ... up to COUNT accounts in all (default 20).
Alike for slapadd and for cardmap's own LDIF backend; slapd's schema for it is CARD_SCHEMA.
"""
import base64
import sys
from dataclasses import dataclass

import pki

BASE = 'dc=cardmap,dc=test'
PEOPLE_DN = 'ou=people,' + BASE
GROUPS_DN = 'ou=groups,' + BASE
READER_DN = 'cn=reader,' + BASE
READER_PASSWORD = 'read-only 7+3'
ADMIN_DN = 'cn=admin,' + BASE
ADMIN_PASSWORD = 'all 11+2'
FIRST_UID = 10001
FIRST_MADE_UID = 11000
USERS_GID = 10000

CARD_SCHEMA = """
attributetype ( 1.2.840.113556.1.4.867 NAME 'altSecurityIdentities'
  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 2.16.840.1.113719.1.301.4.1.1 NAME 'krbPrincipalName'
  EQUALITY caseExactIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
attributetype ( 1.2.840.113556.1.4.146 NAME 'objectSid'
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.98 NAME 'primaryGroupID'
  EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl'
  EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 2.16.840.1.113730.3.1.610 NAME 'nsAccountLock'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.4203.666.11.77.2 NAME 'cardNote'
  DESC 'compared exactly, as many attributes of sites are'
  EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.11.77.3 NAME 'SmartCardEnforcement'
  DESC 'text, and more than one value: what an administrator may write by mistake'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.4203.666.11.77.1 NAME 'cardPerson' SUP top AUXILIARY
  MAY ( altSecurityIdentities $ userPrincipalName $ sAMAccountName $ krbPrincipalName $ objectSid $
    primaryGroupID $ userAccountControl $ SmartCardEnforcement $ nsAccountLock $ cardNote $ emailAddress ) )
"""

# FreeIPA's rules and the values they compare (its OIDs; install/share/73certmap.ldif).
IPA_SCHEMA = """
attributetype ( 2.16.840.1.113730.3.8.22.1.2 NAME 'ipaCertMapMapRule'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 2.16.840.1.113730.3.8.22.1.3 NAME 'ipaCertMapMatchRule'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 2.16.840.1.113730.3.8.22.1.4 NAME 'ipaCertMapData'
  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 2.16.840.1.113730.3.8.22.1.5 NAME 'ipaCertMapPriority'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 2.16.840.1.113730.3.8.1.12 NAME 'ipaEnabledFlag'
  EQUALITY booleanMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.7 SINGLE-VALUE )
objectclass ( 2.16.840.1.113730.3.8.22.2.2 NAME 'ipaCertMapRule' SUP top STRUCTURAL MUST cn
  MAY ( description $ ipaCertMapMapRule $ ipaCertMapMatchRule $ associatedDomain $ ipaCertMapPriority $
    ipaEnabledFlag ) )
objectclass ( 2.16.840.1.113730.3.8.22.2.3 NAME 'ipaCertMapObject' SUP top AUXILIARY MAY ipaCertMapData )
"""


@dataclass(frozen=True)
class Person:
    name: str
    uid: int
    identities: tuple
    full_name: str = ''
    home: str = ''
    shell: str = '/bin/bash'


def kerberos(name):
    return f'Kerberos:{name}@{pki.REALM}'


def issuer_serial(serial):
    """AD's form: issuer root first, serial bytes reversed (MS-PKCA 3.1.5.2.1.3)."""
    return f'X509:<I>DC=test,DC=cardmap,CN=Cardmap Test Issuing CA<SR>{reversed_hex(serial)}'


def reversed_hex(serial):
    return bytes.fromhex(pki.hex_serial(serial))[::-1].hex()


def of_card(name):
    return issuer_serial(pki.BY_NAME[name].serial)


PEOPLE = [
    Person('alice', FIRST_UID, (kerberos('alice'), of_card('alice-rsa2048'))),
    Person('bob', FIRST_UID + 1, (kerberos('bob'),)),
    Person('dave', FIRST_UID + 2, (kerberos('dave'),)),
    Person('dave-admin', FIRST_UID + 3, (kerberos('dave'),), 'Dave Administrator'),
    Person('erin', FIRST_UID + 4, (of_card('erin'),)),
    Person('grace', FIRST_UID + 5, (kerberos('grace'),), 'Gräce Example'),
    Person('badhome', FIRST_UID + 6, (kerberos('badhome'),), home='/home/../root'),
    Person('sysuser', 101, (kerberos('sysuser'),), home='/var/lib/sysuser'),
    Person('toor', 0, (kerberos('toor'),), home='/root'),
]

# cn, gidNumber, members by name. grace is a member of groups that a directory must not hand out.
POSIX_GROUPS = [
    ('users', USERS_GID, []),
    ('engineering', 10101, ['alice', 'bob', 'grace']),
    ('cards', 10102, ['alice', 'erin']),
    ('sudo', 27, ['grace']),
    ('disk', 6, ['grace']),
    ('wheel0', 0, ['grace']),
]
NAMED_GROUPS = [('cardholders', ['alice', 'bob', 'dave', 'erin', 'grace'])]


def made(number):
    name = f'user{number:05d}'
    return Person(name, FIRST_MADE_UID + number, (kerberos(name), issuer_serial((0x4C << 120) + number)))


def people(count):
    yield from PEOPLE[:count]
    for number in range(1, count - len(PEOPLE) + 1):
        yield made(number)


def attribute(name, value):
    """One attribute line, in base64 where RFC 2849 section 2 wants it, folded at 76 columns."""
    data = value if isinstance(value, bytes) else value.encode()
    safe = isinstance(value, str) and all(0 < byte < 128 and byte not in b'\r\n' for byte in data)
    safe = safe and not data.startswith((b' ', b':', b'<')) and not data.endswith(b' ')
    line = f'{name}: {value}' if safe else f'{name}:: {base64.b64encode(data).decode()}'
    pieces = [line[:76], *(' ' + line[start:start + 75] for start in range(76, len(line), 75))]
    return '\n'.join(pieces)


def entry(dn, *pairs):
    return '\n'.join([attribute('dn', dn), *(attribute(name, value) for name, value in pairs)]) + '\n'


def person_dn(name):
    return f'uid={name},{PEOPLE_DN}'


def person_entry(person):
    full_name = person.full_name or person.name.capitalize() + ' Example'
    first, _, last = full_name.partition(' ')
    member_of = [f'cn={group},{GROUPS_DN}' for group, names in NAMED_GROUPS if person.name in names]
    return entry(
        person_dn(person.name), *(('objectClass', name) for name in ('inetOrgPerson', 'posixAccount', 'cardPerson')),
        ('uid', person.name), ('sAMAccountName', person.name), ('cn', full_name), ('givenName', first), ('sn', last),
        ('mail', f'{person.name}@{pki.DOMAIN}'), ('uidNumber', str(person.uid)), ('gidNumber', str(USERS_GID)),
        ('homeDirectory', person.home or '/home/' + person.name), ('loginShell', person.shell),
        ('gecos', full_name.encode('ascii', 'replace').decode()),
        ('userPrincipalName', f'{person.name}@{pki.REALM}'), ('krbPrincipalName', f'{person.name}@{pki.REALM}'),
        *(('altSecurityIdentities', value) for value in person.identities), *(('memberOf', dn) for dn in member_of))


def directory(count, reader_password=''):
    """The whole tree, entry by entry; with a reader's account when a password is given."""
    yield entry(BASE, ('objectClass', 'dcObject'), ('objectClass', 'organization'),
                ('dc', 'cardmap'), ('o', 'Cardmap Test'))
    for dn in (PEOPLE_DN, GROUPS_DN):
        yield entry(dn, ('objectClass', 'organizationalUnit'), ('ou', dn[3:dn.index(',')]))
    if reader_password:
        yield entry(READER_DN, ('objectClass', 'organizationalRole'), ('objectClass', 'simpleSecurityObject'),
                    ('cn', 'reader'), ('userPassword', reader_password))
    yield from map(person_entry, people(count))
    for name, gid, members in POSIX_GROUPS:
        yield entry(f'cn={name},{GROUPS_DN}', ('objectClass', 'posixGroup'), ('cn', name), ('gidNumber', str(gid)),
                    *(('memberUid', member) for member in members))
    for name, members in NAMED_GROUPS:
        yield entry(f'cn={name},{GROUPS_DN}', ('objectClass', 'groupOfNames'), ('cn', name),
                    *(('member', person_dn(member)) for member in members))


if __name__ == '__main__':
    print('version: 1\n')
    for text in directory(int(sys.argv[1]) if len(sys.argv) > 1 else 20):
        print(text)
