"""bench/peers.py: PAM modules of others with the same card, and SSSD's InfoPipe, in the same rig, for `bench/run service`.

From the PIN to the return of pam_authenticate, where the module is installed, or unpacked (dpkg -x of each package it
needs, all into one folder): CM_PAM_PKCS11=FOLDER of libpam-pkcs11; CM_SSSD=FOLDER of sssd-ldap, sssd-krb5, libpam-sss,
libnss-sss, and sssd-dbus for the InfoPipe: FindByCertificate by python3-dbus, on a bus of its own, kept and, with sssd-tools,
after sss_cache -E.  Nothing is asked of OCSP by pam_pkcs11 here; SSSD asks the rig's responder, and the KDC, by PKINIT.
"""
import glob
import os
import statistics
import subprocess
import sys
import time
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
services = {services}
domains = rig
[pam]
pam_cert_auth = True
pam_p11_allowed_services = +peer
[ifp]
allowed_uids = 0
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


BUS = '/run/dbus/system_bus_socket'
BUS_CONF = f"""<busconfig><type>system</type><listen>unix:path={BUS}</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""
INFOPIPE = 'org.freedesktop.sssd.infopipe'
IFP_ROUNDS = 100
EXPIRE = '/usr/sbin/sss_cache'


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
    has_ifp = Path('/usr/libexec/sssd/sssd_ifp').exists()
    conf.write_text(SSSD_CONF.format(services='nss, pam, ifp' if has_ifp else 'nss, pam', people=rig_module.people, pki=rig.pki, ldap=rig_module.LDAP_PORT, kdc=rig_module.KDC_PORT,
                                     realm=rig_module.REALM), encoding='ascii')
    conf.chmod(0o600)
    (etc / 'nsswitch.conf').write_text('passwd: files sss\ngroup: files sss\nhosts: files\n', encoding='ascii')
    Path('/var/log/sssd').mkdir(exist_ok=True)
    rig.launch('sssd', ['env', '-i', 'PATH=/usr/sbin:/usr/bin', '/usr/sbin/sssd', '-i', '--logger=files'],
               lambda: Path('/var/lib/sss/pubconf/pam_preauth_available').exists())
    rig_module.wait_until(lambda: rig_module.subprocess.run(['/usr/bin/id', 'alice'], capture_output=True, check=False).returncode == 0,
                          'SSSD to know alice')


def start_bus(rig):
    conf = WORK / 'bus.conf'
    conf.write_text(BUS_CONF, encoding='ascii')
    Path(BUS).parent.mkdir(parents=True, exist_ok=True)
    rig.launch('dbus', ['dbus-daemon', '--nofork', '--nopidfile', f'--config-file={conf}'], lambda: Path(BUS).exists())


def infopipe(rig):
    """A card's certificate to its user's name by SSSD, from Python: of each call the bus alone is about 0.2 ms."""
    try:
        import dbus  # pylint: disable=import-outside-toplevel
    except ImportError:
        print('bench/run: python3-dbus is not here: the figures of InfoPipe are left out', file=sys.stderr)
        return
    bus = dbus.bus.BusConnection(f'unix:path={BUS}')
    certificate = (rig.pki / 'alice-rsa2048.crt').read_text()
    users = dbus.Interface(bus.get_object(INFOPIPE, '/org/freedesktop/sssd/infopipe/Users', introspect=False), f'{INFOPIPE}.Users')

    def ask():
        started = time.monotonic()
        path = users.FindByCertificate(certificate)
        took = time.monotonic() - started
        user = bus.get_object(INFOPIPE, path, introspect=False)
        name = user.Get(f'{INFOPIPE}.Users.User', 'name', dbus_interface='org.freedesktop.DBus.Properties')
        if name != 'alice':
            sys.exit(f'bench/run: InfoPipe says that the card is of {name}')
        return took * 1e6

    def cold():
        subprocess.run([EXPIRE, '-E'], check=True, capture_output=True)
        return ask()
    ask()
    print(f'service.sssd_ifp_kept {statistics.median(ask() for _ in range(IFP_ROUNDS)):.0f} us', flush=True)
    if not Path(EXPIRE).exists():
        return
    print(f'service.sssd_ifp_cold {statistics.median(cold() for _ in range(IFP_ROUNDS)):.0f} us', flush=True)


def pam_sss(rig):
    found = find('CM_SSSD', 'pam_sss')
    if not found:
        return
    if found[0]:
        lay_over(found[0])
    has_ifp = Path('/usr/libexec/sssd/sssd_ifp').exists()
    if has_ifp:
        start_bus(rig)
    start_sssd(rig)
    if has_ifp:
        infopipe(rig)
    measure_one('pam_sss', next(iter(glob.glob('/usr/lib/*/security/pam_sss.so'))))
    rig.stop('sssd')


def measure(rig, service):
    """The computer is theirs afterwards."""
    service.stop()
    rig.start('slapd', 'kdc', 'ocsp', 'http')
    pam_pkcs11(rig)
    pam_sss(rig)
