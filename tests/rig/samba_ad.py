#!/usr/bin/python3
"""samba_ad.py: Active Directory, by Samba as a domain controller: its provision, its configuration, its people.

alice is in GROUP through three others, one of them in another folder, and a ring; bob through his primary group only; dave,
with MANY more, in huge, which is in huge-outer; frank in what is for mail alone; grace in a ring; erin in nothing.
GROUP is also a name that a group of another folder has as its cn.
"""
import base64
import shutil

import rig as rig_module

REALM, DOMAIN = 'AD.CARDMAP.TEST', 'CARDMAP'
BASE = 'DC=ad,DC=cardmap,DC=test'
ADDRESS = '127.0.0.10'
PORT = 389
USERS = f'CN=Users,{BASE}'
OTHER = f'OU=other,{BASE}'
READER_DN = f'CN=reader,{USERS}'
READER_PASSWORD = 'Read-only 7+3'
NAMES = ('alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace')
MANY = 1600  # more than a directory of Microsoft's shows at once (MaxValRange)
SECURITY, MAIL = -2147483646, 2  # MS-ADTS section 2.2.12: global, with and without GROUP_TYPE_SECURITY_ENABLED


def person(name, more=''):
    return (f'dn: CN={name},{USERS}\nobjectClass: user\nsAMAccountName: {name}\nuserAccountControl: 512\n'
            f'userPrincipalName: {name}@{REALM.lower()}\nunixHomeDirectory: /home/{name}\nloginShell: /bin/bash\n{more}\n')


def group(name, members=(), folder=USERS, kind=SECURITY, more=''):
    return (f'dn: CN={name},{folder}\nobjectClass: group\nsAMAccountName: {more or name}\ngroupType: {kind}\n'
            + ''.join(f'member: {dn}\n' for dn in members) + '\n')


def user(name, folder=USERS):
    return f'CN={name},{folder}'


def entries():
    password = base64.b64encode(f'"{READER_PASSWORD}"'.encode('utf-16-le')).decode('ascii')
    yield person('reader', f'unicodePwd:: {password}\n')
    for name in NAMES:
        yield person(name, f'altSecurityIdentities: Kerberos:{name}@{REALM}\n')
    yield f'dn: {OTHER}\nobjectClass: organizationalUnit\n\n'
    yield group('level3', [user('alice')])
    yield group('level2', [user('level3')], folder=OTHER)
    yield group('level1', [user('level2', OTHER)])
    yield group('card-exempt', [user('level1')])
    yield group('card-exempt', [user('erin')], folder=OTHER, more='other-name')
    yield group('everybody', [user('Domain Users')])
    yield group('ring1', [user('grace'), user('alice')])
    yield group('ring2', [user('ring1')])
    for number in range(MANY):
        yield f'dn: CN=contact{number},{OTHER}\nobjectClass: contact\n\n'
    yield group('huge', [user('dave'), *(user(f'contact{number}', OTHER) for number in range(MANY))])
    yield group('huge-outer', [user('huge')])
    yield group('mail-list', [user('frank')], kind=MAIL)
    yield group('through-mail', [user('mail-list')])


def folder_of(rig):
    return rig.work / 'samba'


def smb_conf(rig):
    folder = folder_of(rig)
    places = ''.join(f'  {name} = {folder / name.split()[0]}\n' for name in
                     ('private dir', 'state directory', 'cache directory', 'pid directory', 'binddns dir', 'ncalrpc dir'))
    return f"""[global]
  netbios name = DC1
  realm = {REALM}
  workgroup = {DOMAIN}
  server role = active directory domain controller
  server services = ldap
  disable netbios = yes
  interfaces = {ADDRESS}/8
  bind interfaces only = yes
  ldap server require strong auth = allow_sasl_over_tls
  tls keyfile = {folder}/server.key
  tls certfile = {rig.pki}/server-chain.pem
  tls cafile = {rig.pki}/root.crt
  log file = {folder}/log
  lock directory = {folder}
{places}"""


def prepare(rig):
    folder = folder_of(rig)
    rig_module.run([rig_module.program('samba-tool'), 'domain', 'provision', f'--targetdir={folder}', f'--realm={REALM}',
                    f'--domain={DOMAIN}', '--server-role=dc', '--dns-backend=NONE', f'--adminpass={READER_PASSWORD}',
                    '--host-name=dc1', f'--host-ip={ADDRESS}', f'--option=interfaces={ADDRESS}/8',
                    '--option=bind interfaces only=yes', '--configfile=/dev/null'])
    shutil.copy(rig.pki / 'server.key', folder)
    (folder / 'server.key').chmod(0o600)
    for name in ('pid', 'ncalrpc', 'binddns'):
        (folder / name).mkdir(exist_ok=True)
    conf = folder / 'smb.conf'
    conf.write_text(smb_conf(rig), encoding='ascii')
    store = folder / 'private/sam.ldb'
    ldif = folder / 'people.ldif'
    ldif.write_text(''.join(entries()), encoding='ascii')
    rig_module.run([rig_module.program('ldbadd'), '-H', store, f'--configfile={conf}', ldif])
    ldif.write_text(f'dn: {user("ring1")}\nchangetype: modify\nadd: member\nmember: {user("ring2")}\n', encoding='ascii')
    rig_module.run([rig_module.program('ldbmodify'), '-H', store, f'--configfile={conf}', ldif])
    rig.write_secret('ad.password', READER_PASSWORD)


def command(rig):
    return [rig_module.program('samba'), '-s', folder_of(rig) / 'smb.conf', '-F', '--no-process-group', '-M', 'single', '--debug-stdout']


def ready(_rig):
    return rig_module.listening(PORT)


def environment(rig):
    return {'CM_RIG_AD_URI': f'ldap://{ADDRESS}', 'CM_RIG_AD_BASE': BASE, 'CM_RIG_AD_BIND_DN': READER_DN,
            'CM_RIG_AD_PASSWORD_FILE': rig.work / 'ad.password'}
