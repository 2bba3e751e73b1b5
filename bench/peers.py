"""bench/peers.py: PAM modules of others with the same card, in the same rig, for `bench/run service`.

From the PIN to the return of pam_authenticate, where the module is installed, or unpacked (dpkg -x of each package it
needs, all into one folder): CM_PAM_PKCS11=FOLDER of libpam-pkcs11; CM_SSSD=FOLDER of sssd-ldap, sssd-krb5, libpam-sss and
libnss-sss.  Nothing is asked of OCSP by pam_pkcs11 here; SSSD asks the rig's responder, and the KDC, by PKINIT.
"""
import glob
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests/rig'))

import computer as computer_module  # noqa: E402
import pam  # noqa: E402
import rig as rig_module  # noqa: E402
from rig import PIN, WORK  # noqa: E402

ROUNDS = 15

PKCS11_CONF = """pam_pkcs11 {{
  nullok = true; debug = false; use_first_pass = false; try_first_pass = false; use_authtok = false; card_only = true;
  use_pkcs11_module = opensc;
  pkcs11_module opensc {{
    module = {module}; description = "OpenSC"; slot_description = "none"; support_threads = false; token_type = "card";
    ca_dir = {folder}/cacerts; crl_dir = {folder}/crls; cert_policy = ca,signature;
  }}
  use_mappers = pwent;
  mapper pwent {{ debug = false; ignorecase = false; module = internal; }}
}}
"""

SSSD_CONF = """[sssd]
services = nss, pam
domains = rig
[pam]
pam_cert_auth = True
pam_p11_allowed_services = +peer
[domain/rig]
id_provider = ldap
auth_provider = krb5
ldap_uri = ldap://127.0.0.1:{ldap}
ldap_search_base = {people.BASE}
ldap_default_bind_dn = {people.READER_DN}
ldap_default_authtok = {people.READER_PASSWORD}
ldap_tls_cacert = {pki}/root.crt
ldap_id_use_start_tls = true
krb5_server = 127.0.0.1:{kdc}
krb5_realm = {realm}
krb5_validate = True
krb5_use_kdcinfo = False
cache_credentials = true
[certmap/rig/rule]
matchrule = <KU>digitalSignature<EKU>msScLogin
maprule = LDAP:(altSecurityIdentities=Kerberos:{{subject_nt_principal}})
"""


def find(variable, name):
    """The unpacked folder (or None: it is installed), and the module; or nothing."""
    root = os.environ.get(variable)
    found = glob.glob(f'{root or ""}/lib/*/security/{name}.so') + glob.glob(f'{root or ""}/usr/lib/*/security/{name}.so')
    if not found:
        print(f'bench/run: {name} is not here ({variable}): its figures are left out', file=sys.stderr)
        return None
    return root, found[0]


def measure_one(name, line):
    (computer_module.ETC / 'pam.d/peer').write_text(f'auth required {line}\naccount required pam_permit.so\n'
                                                    'session required pam_permit.so\n', encoding='ascii')
    took = []
    for _ in range(ROUNDS):
        login = pam.log_in('peer', 'alice', lambda style, _text: PIN if style == pam.PROMPT_ECHO_OFF else '')
        if not login.ok:
            sys.exit(f'bench/run: {name} refused: {login.statuses} {login.said}')
        took.append((login.authenticated - login.answered_pin) * 1000)
    print(f'service.{name}_ms {statistics.median(took):.1f} ms', flush=True)


def pam_pkcs11(rig):
    found = find('CM_PAM_PKCS11', 'pam_pkcs11')
    if not found:
        return
    folder = WORK / 'pkcs11'
    for name in ('cacerts', 'crls'):
        (folder / name).mkdir(parents=True)
    for name in ('root', 'inter'):
        certificate = rig.pki / f'{name}.crt'
        hashed = rig_module.run(['openssl', 'x509', '-in', certificate, '-noout', '-hash']).strip()
        (folder / 'cacerts' / f'{hashed}.0').write_bytes(certificate.read_bytes())
    conf = folder / 'pam_pkcs11.conf'
    module = next(iter(glob.glob('/usr/lib/*/opensc-pkcs11.so')))
    conf.write_text(PKCS11_CONF.format(module=module, folder=folder), encoding='ascii')
    measure_one('pam_pkcs11', f'{found[1]} config_file={conf}')


def lay_over(root):
    """The unpacked packages, as if they were installed: for this mount namespace."""
    work = WORK / 'sssd'
    for name in ('upper', 'work'):
        (work / name).mkdir(parents=True)
    usr = work / 'usr'
    rig_module.run(['cp', '-a', f'{root}/usr', usr])
    rig_module.run(['cp', '-a', f'{root}/lib/.', usr / 'lib'])
    rig_module.run(['mount', '-t', 'overlay', '-o', f'lowerdir={usr}:/usr', 'sssd', '/usr'])
    rig_module.run(['mount', '-t', 'overlay', '-o', f'lowerdir={root}/var/lib:/var/lib,upperdir={work}/upper,workdir={work}/work',
                    'sssd', '/var/lib'])
    rig_module.run(['ldconfig', '-i'])


def start_sssd(rig):
    etc = computer_module.ETC
    (etc / 'sssd/pki').mkdir(parents=True, exist_ok=True)
    anchors = ''.join((rig.pki / f'{name}.crt').read_text() for name in ('root', 'inter'))
    (etc / 'sssd/pki/sssd_auth_ca_db.pem').write_text(anchors, encoding='ascii')
    conf = etc / 'sssd/sssd.conf'
    conf.write_text(SSSD_CONF.format(people=rig_module.people, pki=rig.pki, ldap=rig_module.LDAP_PORT, kdc=rig_module.KDC_PORT,
                                     realm=rig_module.REALM), encoding='ascii')
    conf.chmod(0o600)
    (etc / 'nsswitch.conf').write_text('passwd: files sss\ngroup: files sss\nhosts: files\n', encoding='ascii')
    Path('/var/log/sssd').mkdir(exist_ok=True)
    rig.launch('sssd', ['env', '-i', 'PATH=/usr/sbin:/usr/bin', '/usr/sbin/sssd', '-i', '--logger=files'],
               lambda: Path('/var/lib/sss/pubconf/pam_preauth_available').exists())
    rig_module.wait_until(lambda: rig_module.subprocess.run(['/usr/bin/id', 'alice'], capture_output=True, check=False).returncode == 0,
                          'SSSD to know alice')


def pam_sss(rig):
    found = find('CM_SSSD', 'pam_sss')
    if not found:
        return
    if found[0]:
        lay_over(found[0])
    start_sssd(rig)
    measure_one('pam_sss', next(iter(glob.glob('/usr/lib/*/security/pam_sss.so'))))
    rig.stop('sssd')


def measure(rig, service):
    """The computer is theirs afterwards."""
    service.stop()
    rig.start('slapd', 'kdc', 'ocsp', 'http')
    pam_pkcs11(rig)
    pam_sss(rig)
