#!/usr/bin/python3
"""The rig: real servers and a card, on loopback, in namespaces of their own. Nothing outlives the program that started it.

As a command:
  rig.py run [--need slapd,kdc,ocsp,http,pcscd,samba,card=alice-rsa2048] [--pki DIR] [--users N] [--vcard PATH]
             [--kdc-revoke] [--slapd-log 0] -- PROGRAM ARGS...
      enters new mount, network, host name and process namespaces, starts what is needed, sets the CM_RIG_... variables
      (Rig.environment), runs PROGRAM, ends with its status
and inside, from PROGRAM:
  rig.py start|stop|freeze|thaw NAME...      a server of SERVERS
  rig.py revoke|unrevoke CERTIFICATE...      in the OCSP responder and in the CRL that is served
  rig.py card SPEC [--faults F]              another card in the reader, or `none`; a SPEC is 9A-NAME[+SLOT=NAME]...
  rig.py make-card DIR SPEC                  such a card's folder, for vcard's own commands that swap cards
  rig.py conf [--out FILE] [SECTION.KEY=VALUE]...
      a cardmap.conf for this rig (default /run/rig/cardmap.conf); an empty VALUE leaves the key out
  rig.py bad MODE [--port N]                 bad_http.py in the place of OCSP (8081) or HTTP (8080)
  rig.py list FILE                           the list that slapd has at LISTS_DN is this one (DER)
As a module: enter(), then Rig(pki).start('slapd'), ...

Ports are constants, since each rig has a network of its own. The work folder is /run/rig, on a tmpfs; NAME.pid and
NAME.log of each server are there. cn=Monitor in slapd counts connections and operations; http.requests has a line for each
request to HTTP and to bad servers (web.py). Servers listen on every 127.0.0.x; nobody is at DROPPED, and nothing says so.
"""
import argparse
import atexit
import base64
import contextlib
import importlib
import json
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import people
import pins
import pki as pki_module
from pki import REALM

WORK = Path('/run/rig')
HERE = Path(__file__).resolve().parent
LDAP_PORT, LDAPS_PORT, KDC_PORT, HTTP_PORT, OCSP_PORT, CARD_PORT = 3890, 6360, 8800, 8080, 8081, 35963
READER = 'Virtual PCD 00 00'
WEB_PORT = 8090  # of a test's own web.Web: pki.WEB
DROPPED = '192.0.2.2'  # what is sent there vanishes (RFC 5737: in no network)
HOST_PRINCIPAL = f'host/{pki_module.DOMAIN}@{REALM}'
PIN_FILE = WORK / 'rig.pins'
START_SECONDS = 20
STOP_SECONDS = 5
POLL_SECONDS = 0.005
NETLINK_SOCK_DIAG, NLMSG_ERROR, NLMSG_DONE, TCP_LISTEN = 4, 2, 3, 10  # netlink(7), sock_diag(7)


class RigError(Exception):
    """What failed, with the server's own last words."""


# ---- Namespaces

INSIDE = 'CM_RIG_LIFELINE'  # between enter()'s two halves: the descriptor whose end means that the starter is gone
OUTSIDE = 'CM_RIG_OUTSIDE'  # ... and the process id outside, which names the cgroup of the rig (computer.py)


def own_pins():
    """PIN, a wrong one and a new one: of the rig that this program runs in, else those of the run, else of the rig that it makes."""
    if INSIDE not in os.environ:
        with contextlib.suppress(OSError):
            return PIN_FILE.read_text(encoding='ascii').split()[:3]
    return pins.of_run(3)


PIN, WRONG_PIN, NEW_PIN = own_pins()


def enter():
    """Continue this program as process 1 of new namespaces; the process outside waits and ends with the same status."""
    os.environ['PATH'] = os.environ.get('PATH', '/usr/bin:/bin') + ':/usr/sbin:/sbin'
    if INSIDE in os.environ:
        settle(int(os.environ.pop(INSIDE)))
    else:
        sys.exit(wait_outside())


def user_namespace():
    """Options that let an ordinary user make the other namespaces."""
    if os.geteuid() == 0:
        return []
    if not shutil.which('newuidmap'):
        return ['--map-root-user']
    name = pwd.getpwuid(os.geteuid()).pw_name
    given = [any(line.startswith(name + ':') for line in Path(path).read_text(encoding='utf-8').splitlines())
             for path in ('/etc/subuid', '/etc/subgid')]
    return ['--map-root-user', *(['--map-auto'] if all(given) else [])]


def wait_outside():
    lifeline, held = os.pipe()
    command = ['unshare', *user_namespace(), '--mount', '--net', '--uts', '--pid', '--fork', '--kill-child', '--mount-proc',
               '--', sys.executable, *sys.orig_argv[1:]]
    inside = subprocess.Popen(command, pass_fds=[lifeline],
                              env={**os.environ, INSIDE: str(lifeline), OUTSIDE: str(os.getpid())})
    os.close(lifeline)

    def end(number, _frame):
        if not ended_by:
            os.close(held)
        ended_by.append(number)
    ended_by = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    signal.signal(signal.SIGINT, lambda _number, _frame: None)  # the terminal tells the process inside as well
    status = inside.wait()
    remove_cgroups()
    if ended_by:
        return 128 + ended_by[0]
    return status if status >= 0 else 128 - status


def cgroup_name():
    return f'cardmap-rig-{os.environ.get(OUTSIDE, os.getpid())}'


def remove_cgroups():
    """Those of computer.py, once their processes are gone."""
    for line in Path('/proc/self/mounts').read_text(encoding='utf-8').splitlines():
        kind, mount = line.split()[2], line.split()[1]
        for top in Path(mount).glob(f'**/cardmap-rig-{os.getpid()}') if kind == 'cgroup2' else ():
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def settle(lifeline):
    os.set_inheritable(lifeline, False)
    threading.Thread(target=lambda: os.read(lifeline, 1) or os._exit(1), daemon=True).start()
    # A name that no hosts file knows: whoever looks it up asks a name server, as on a laptop away from its network.
    socket.sethostname('rig')
    run(['ip', 'link', 'set', 'lo', 'up'])
    # Without it each small answer over TCP (vpcd's above all) waits 40 ms for a delayed acknowledgement.
    for address in ('127.0.0.1', '127.0.0.0/8'):
        run(f'ip route replace table local local {address} dev lo proto kernel scope host src 127.0.0.1 quickack 1'.split())
    drop_packets()
    run(['mount', '-t', 'tmpfs', '-o', 'mode=0755', 'rig', '/run'])
    # faketime names its semaphores by process id, and those are alike in all rigs.
    run(['mount', '-t', 'tmpfs', '-o', 'mode=1777', 'rig', '/dev/shm'])
    WORK.mkdir(mode=0o755)
    (WORK / 'tmp').mkdir(mode=0o1777)
    (WORK / 'tmp').chmod(0o1777)
    os.environ['TMPDIR'] = str(WORK / 'tmp')
    PIN_FILE.touch(mode=0o600)
    note_pins(PIN, WRONG_PIN, NEW_PIN)
    atexit.register(search_at_end, os.getpid())


def note_pins(*used):
    """So that they are searched for: at the end of this rig, and of the run that it is part of."""
    with open(PIN_FILE, 'a', encoding='ascii') as file:
        file.writelines(pin + '\n' for pin in used)
    pins.note(used)


def check_no_pin(*folders):
    """In no file below them is a PIN that was used: before they go."""
    used = {*PIN_FILE.read_text(encoding='ascii').split(), *pins.FIXED}
    found = sorted({str(path) for path, _ in pins.search(folders, used)})
    if found:
        raise RigError('a PIN stands in ' + ', '.join(found))


def own_mounts():
    """Where this rig's files are, which go with it."""
    rows = [line.split() for line in Path('/proc/self/mounts').read_text(encoding='utf-8').splitlines()]
    return [row[1] for row in rows if row[0] == 'rig' and row[2] == 'tmpfs']


def search_at_end(pid):
    """The last that process 1 of the rig does: who wrote a PIN down makes the test fail."""
    if os.getpid() != pid:
        return
    failed = True
    try:
        check_no_pin(*own_mounts())
        failed = False
    except RigError as error:
        print(error, file=sys.stderr)
    finally:  # what is raised here is nobody's status
        if failed:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)


def drop_packets():
    """A network whose only other host takes every packet and answers none."""
    for command in ('link add drop0 type veth peer name drop1', f'address add {DROPPED[:-1]}1/24 dev drop0', 'link set drop1 up',
                    'link set drop0 up', f'neighbour add {DROPPED} lladdr 02:00:00:00:00:02 dev drop0 nud permanent'):
        run(['ip', *command.split()])


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    if done.returncode:
        said = done.stdout[-2000:] + done.stderr[-2000:]
        raise RigError(f"{' '.join(map(str, command))}: status {done.returncode}\n{said}")
    return done.stdout


def wait_until(condition, what, seconds=START_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RigError(f'waited {seconds} s for {what}')
        time.sleep(POLL_SECONDS)


def listeners():
    """Ports that somebody listens at (sock_diag(7)): /proc/net/tcp, which has all connections too, takes the kernel 20 ms."""
    found = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as link:
        for family in (socket.AF_INET, socket.AF_INET6):
            # struct nlmsghdr: SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP; struct inet_diag_req_v2: those that listen
            link.send(struct.pack('=IHHII BBBxI 48x', 72, 20, 0x301, 0, 0, family, socket.IPPROTO_TCP, 0, 1 << TCP_LISTEN))
            kind = 0
            while kind != NLMSG_DONE:
                data = link.recv(1 << 16)
                while data:
                    size, kind = struct.unpack_from('=IH', data)
                    if kind == NLMSG_ERROR:
                        raise OSError(-struct.unpack_from('=i', data, 16)[0], 'sock_diag')
                    if kind != NLMSG_DONE:
                        found.add(struct.unpack_from('>H', data, 20)[0])
                    data = data[size + 3 & ~3:]
    return found


def listening(port):
    """Asked of the kernel, so that no server sees a connection of ours."""
    with contextlib.suppress(OSError):  # a kernel without it
        return port in listeners()
    wanted = f':{port:04X}'
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        with open(table, encoding='ascii') as lines:
            for line in lines:
                fields = line.split()
                if fields[1].endswith(wanted) and fields[3] == '0A':
                    return True
    return False


def process_state(pid):
    """The letter of proc(5), or '' for a process that is gone."""
    try:
        return Path(f'/proc/{pid}/stat').read_text(encoding='ascii', errors='replace').rpartition(')')[2].split()[0]
    except OSError:
        return ''


def alive(pid):
    """A process whose first thread has ended holds its sockets until the last one has."""
    if process_state(pid) not in ('', 'Z', 'X'):
        return True
    try:
        return len(os.listdir(f'/proc/{pid}/task')) > 1
    except OSError:
        return False


def program(name):
    path = shutil.which(name)
    if not path:
        raise RigError(f'{name} is not installed: scripts/packages says what is missing')
    return path


# ---- Servers: prepare the files once, the command, what must be true before it counts as started


@dataclass(frozen=True)
class Server:
    prepare: Callable
    command: Callable
    ready: Callable


def nothing(_rig):
    pass


def prepare_slapd(rig):
    folder = rig.work / 'slapd'
    (folder / 'db').mkdir(parents=True)
    (folder / 'card.schema').write_text(people.CARD_SCHEMA + people.IPA_SCHEMA)
    pki = rig.pki
    config = folder / 'slapd.conf'
    config.write_text(f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
include {folder}/card.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload back_monitor
moduleload memberof
TLSCertificateFile {pki}/server-chain.pem
TLSCertificateKeyFile {pki}/server.key
TLSCACertificateFile {pki}/root.crt
sizelimit unlimited
database monitor
database mdb
suffix "{people.BASE}"
rootdn "{people.ADMIN_DN}"
rootpw "{people.ADMIN_PASSWORD}"
directory {folder}/db
maxsize {max(64 << 20, rig.users * 8192)}
dbnosync
index objectClass,uid,uidNumber,gidNumber,memberUid,member,mail,cn eq
index altSecurityIdentities,userPrincipalName,sAMAccountName,objectSid,ipaCertMapData,cardNote,emailAddress eq
access to attrs=userPassword by anonymous auth by * none
access to attrs=employeeNumber by * search
access to * by * read
""")
    load = subprocess.Popen([program('slapadd'), '-q', '-f', config], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, encoding='ascii')
    with contextlib.suppress(BrokenPipeError):  # then it says why
        for entry in people.directory(rig.users, people.READER_PASSWORD):
            load.stdin.write(entry + '\n')
        load.stdin.write(list_entries((pki / 'inter.crl').read_bytes()))
    _, errors = load.communicate(timeout=600)
    if load.returncode:
        raise RigError('slapadd: ' + errors[-2000:])


def list_entries(der):
    """Where a CA publishes its list in a directory (RFC 4523): LISTS_DN, below a folder of its own."""
    dn = pki_module.LISTS_DN
    value = base64.b64encode(der).decode('ascii')
    return (f'dn: {dn.partition(",")[2]}\nobjectClass: organizationalUnit\nou: lists\n\n'
            f'dn: {dn}\nobjectClass: cRLDistributionPoint\ncn: {dn.partition(",")[0][3:]}\n'
            f'certificateRevocationList;binary:: {value}\n')


def slapd_command(rig):
    # -s 0: to its log here only.  A syslog daemon that does not read would hold it up, and it is not that one's affair.
    return [program('slapd'), '-d', rig.slapd_log, '-s', '0', '-f', rig.work / 'slapd/slapd.conf',
            '-h', f'ldap://127.0.0.1:{LDAP_PORT} ldaps://127.0.0.1:{LDAPS_PORT}']


def prepare_kdc(rig):
    folder = rig.work / 'kdc'
    folder.mkdir()
    revoke = f'pkinit_revoke = FILE:{rig.work}/www/inter.crl.pem' if rig.kdc_revoke else ''
    if rig.kdc_revoke:
        rig.prepare_revocation()
    (folder / 'kdc.conf').write_text(f"""
[kdcdefaults]
  kdc_listen = 127.0.0.1:{KDC_PORT}
  kdc_tcp_listen = 127.0.0.1:{KDC_PORT}
[realms]
  {REALM} = {{
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    acl_file = {folder}/acl
    default_principal_flags = +preauth
    max_renewable_life = 7d
    pkinit_identity = FILE:{rig.pki}/kdc-chain.pem,{rig.pki}/kdc.key
    pkinit_anchors = FILE:{rig.pki}/root.crt
    pkinit_pool = FILE:{rig.pki}/inter.crt
    pkinit_eku_checking = kpClientAuth
    pkinit_allow_upn = true
    {revoke}
  }}
[logging]
  kdc = STDERR
""")
    names = [person.name for person in people.PEOPLE]
    script = [f'addprinc -nokey +requires_preauth {name}' for name in names]
    script += [f'addprinc -randkey {HOST_PRINCIPAL}', f'ktadd -k {rig.keytab} {HOST_PRINCIPAL}']
    run([program('kdb5_util'), '-r', REALM, 'create', '-s', '-P', 'test'], env=rig.kdc_environment())
    said = run([program('kadmin.local'), '-r', REALM], input='\n'.join(script) + '\n', env=rig.kdc_environment())
    if said.count(' created.') != len(names) + 1:
        raise RigError('kadmin.local:\n' + said)


def kdc_command(_rig):
    return [program('krb5kdc'), '-n', '-r', REALM]


def ocsp_command(rig):
    return [program('openssl'), 'ocsp', '-port', str(OCSP_PORT), '-index', rig.work / 'index.txt',
            '-CA', rig.pki / 'inter.crt', '-rsigner', rig.pki / 'ocsp.crt', '-rkey', rig.pki / 'ocsp.key', '-nmin', '60']


def http_command(rig):
    return [sys.executable, HERE / 'web.py', rig.work / 'www', str(HTTP_PORT), rig.http_log]


def prepare_pcscd(rig):
    folder = rig.work / 'pcscd'
    folder.mkdir()
    (folder / 'vpcd').write_text(f"""FRIENDLYNAME "{os.environ.get('CM_READER_NAME', 'Virtual PCD')}"
DEVICENAME /dev/null:{CARD_PORT:#06X}
LIBPATH {os.environ.get('CM_READER_DRIVER', '/usr/lib/pcsc/drivers/serial/libifdvpcd.so')}
CHANNELID {CARD_PORT:#06X}
""")


def pcscd_command(rig):
    return [program('pcscd'), '-f', '--info', '-c', rig.work / 'pcscd']


def pcscd_ready(_rig):
    return listening(CARD_PORT) and Path('/run/pcscd/pcscd.comm').exists()


def card_command(rig):
    return [rig.vcard or program('vcard'), '--card', rig.work / 'card', '--port', str(CARD_PORT),
            '--control', rig.card_control, '--log', rig.card_log, *(['--faults', rig.card_faults] if rig.card_faults else [])]


def card_is_in(rig, reader=READER):
    """What pcscd's own look at the reader found last, as it says in its log.

    What it tells clients is no proof: a reset that fails since the card has just gone has them told that no card is in before
    that look, twice or three times a second, has seen it; a card that comes in between is then never seen by anybody.
    """
    seen = None
    for line in rig.log('pcscd').read_text(errors='replace').splitlines():
        if 'daemon ready' in line:
            seen = None
        elif line.endswith(f'Card inserted into {reader}') or line.endswith(f'Card Removed From {reader}'):
            seen = 'inserted' in line
    if seen is None:  # of a card that was in before pcscd it says nothing
        return ' Yes ' in run([program('opensc-tool'), '-l'])
    return seen


def within_reach(folder):
    """The same folder, where the service's own users get to it too: a clone in root's home is closed to them."""
    if all(parent.stat().st_mode & 0o001 for parent in folder.resolve().parents):
        return folder
    place = WORK / 'pki'
    place.mkdir()
    run(['mount', '--bind', folder, place])
    return place


def samba():
    """Its module, which uses this one."""
    sys.modules.setdefault('rig', sys.modules[__name__])
    return importlib.import_module('samba_ad')


REPLACEABLE = {'ocsp': OCSP_PORT, 'http': HTTP_PORT}  # by bad_http.py
CONF_LISTS = {'directory.uri', 'trust.anchors', 'trust.intermediates', 'trust.pins', 'trust.ocsp_url', 'trust.crl',
              'trust.crl_mirror', 'kerberos.kdc', 'kerberos.anchors', 'kerberos.intermediates'}
STOP_ORDER = ['card', 'pcscd', 'http', 'ocsp', 'kdc', 'slapd']


class Rig:
    """The servers of one run. What it knows stands in /run/rig, so that a second program inside can attach() to it."""
    work = WORK
    keytab = WORK / 'host.keytab'
    http_log = WORK / 'http.requests'
    card_log = WORK / 'card.apdus'
    card_control = WORK / 'card.control'

    def __init__(self, pki, users=1000, kdc_revoke=False, slapd_log='stats', vcard=None):
        self.pki = within_reach(pki_module.ensure(pki))
        self.users = users
        self.kdc_revoke = kdc_revoke
        self.slapd_log = slapd_log
        self.vcard = vcard or os.environ.get('CM_VCARD')
        self.card_faults = ''
        self.revoked = set(pki_module.REVOKED)
        self.crl_number = 0
        self.children = []  # kept so that those of ours which ended are reaped
        self.write_secret('bind.password', people.READER_PASSWORD)
        self.write_krb5_conf()
        self.conf()
        self.save()

    KEPT = ('pki', 'users', 'kdc_revoke', 'slapd_log', 'vcard', 'card_faults', 'revoked', 'crl_number')

    @classmethod
    def attach(cls):
        """The rig that this program runs in."""
        try:
            kept = json.loads((WORK / 'rig.json').read_text())
        except FileNotFoundError:
            raise RigError('not inside a rig: start this with rig.py run') from None
        rig = cls.__new__(cls)
        rig.__dict__.update(kept, pki=Path(kept['pki']), revoked=set(kept['revoked']), children=[])
        return rig

    def save(self):
        kept = {name: getattr(self, name) for name in self.KEPT}
        text = json.dumps({**kept, 'pki': str(self.pki), 'revoked': sorted(self.revoked)})
        pki_module.publish(self.work / 'rig.json', text.encode())

    # -- Servers

    def start(self, *names):
        for name in names:
            if self.is_running(name):
                continue
            server = SERVERS[name]
            prepared = self.work / (name + '.prepared')
            if not prepared.exists():
                server.prepare(self)
                prepared.touch()
            self.stop(f'bad{REPLACEABLE.get(name)}')
            self.launch(name, server.command(self), lambda server=server: server.ready(self))
        return self

    def launch(self, name, command, ready):
        """Start a command in the background; return once ready() or raise with the last lines it wrote."""
        with open(self.log(name), 'ab') as out:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                                     env=self.kdc_environment())
        self.children.append(child)
        self.pid_file(name).write_text(str(child.pid))

        def started():
            if not self.is_running(name):
                raise RigError(f'{name} ended while it started\n{self.tail(name)}')
            return ready()
        try:
            wait_until(started, f'{name} to start')
        except RigError as error:
            self.stop(name)
            raise RigError(f'{error}\n{self.tail(name)}') from None

    def stop(self, *names):
        for name in names:
            pid = self.pid(name)
            if pid and self.is_running(name):
                with contextlib.suppress(ProcessLookupError):  # it may be gone before the second
                    os.kill(pid, signal.SIGTERM)
                    os.kill(pid, signal.SIGCONT)
                try:
                    wait_until(lambda: not self.is_running(name), name, STOP_SECONDS)
                except RigError:
                    os.kill(pid, signal.SIGKILL)
                    wait_until(lambda: not self.is_running(name), name, STOP_SECONDS)
            self.pid_file(name).unlink(missing_ok=True)
        self.children = [child for child in self.children if child.poll() is None]
        return self

    def restart(self, *names):
        return self.stop(*names).start(*names)

    def stop_all(self):
        return self.stop(*self.running())

    def freeze(self, *names):
        """Stopped in the scheduler: connections are still taken by the kernel and never answered."""
        for name in names:
            os.kill(self.need_pid(name), signal.SIGSTOP)
            wait_until(lambda: process_state(self.pid(name)) == 'T', f'{name} to freeze')
        return self

    def thaw(self, *names):
        for name in names:
            os.kill(self.need_pid(name), signal.SIGCONT)
        return self

    def is_running(self, name):
        pid = self.pid(name)
        return bool(pid) and alive(pid)

    def running(self):
        started = [path.stem for path in self.work.glob('*.pid')]
        order = [name for name in STOP_ORDER if name in started] + [name for name in started if name not in STOP_ORDER]
        return [name for name in order if self.is_running(name)]

    def pid_file(self, name):
        return self.work / (name + '.pid')

    def pid(self, name):
        try:
            return int(self.pid_file(name).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def need_pid(self, name):
        if not self.is_running(name):
            raise RigError(f'{name} is not running')
        return self.pid(name)

    def log(self, name):
        return self.work / (name + '.log')

    def tail(self, name, lines=20):
        try:
            text = self.log(name).read_text(errors='replace')
        except FileNotFoundError:
            return ''
        return ''.join(f'{name}: {line}\n' for line in text.splitlines()[-lines:])

    # -- Revocation

    def prepare_revocation(self):
        if not (self.work / 'www').exists():
            self.publish_revocation()

    def publish_revocation(self):
        """The responder's index and the CRL that is served, from self.revoked."""
        www = self.work / 'www'
        if not www.exists():
            www.mkdir()
            shutil.copy(self.pki / 'root.crl', www)
        self.crl_number += 1
        pki_module.write_index(self.work / 'index.txt', self.revoked)
        pki_module.make_crl(self.pki, self.work / 'index.txt', www / 'inter.crl', days=7, number=self.crl_number)
        self.save()
        affected = ['ocsp', 'kdc'] if self.kdc_revoke else ['ocsp']
        self.restart(*filter(self.is_running, affected))

    def revoke(self, *names):
        self.revoked |= {pki_module.BY_NAME[name].name for name in names}
        self.publish_revocation()

    def unrevoke(self, *names):
        self.revoked -= set(names)
        self.publish_revocation()

    def list_in_directory(self, der):
        """What slapd, which is running, has at LISTS_DN from now."""
        text = (f'dn: {pki_module.LISTS_DN}\nchangetype: modify\nreplace: certificateRevocationList;binary\n'
                f'certificateRevocationList;binary:: {base64.b64encode(der).decode("ascii")}\n')
        run([program('ldapmodify'), '-x', '-H', f'ldap://127.0.0.1:{LDAP_PORT}', '-D', people.ADMIN_DN,
             '-w', people.ADMIN_PASSWORD], input=text)

    def big_list(self, entries):
        """A list of so many entries, which names nobody here; made once and kept beside the certificates."""
        return pki_module.big_list(self.pki, entries, os.environ.get('CM_CRLGEN') or program('crlgen'))

    # -- The card

    def make_card(self, folder, spec):
        """A folder for vcard; SPEC is the 9A certificate's name, then +SLOT=NAME to replace, +SLOT= to leave out."""
        first, *others = spec.split('+')
        slots = {'9a': first, '9d': 'alice-9d', '9e': 'card-auth', **dict(other.split('=', 1) for other in others)}
        folder = Path(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for slot, name in slots.items():
            for form in ('crt', 'key') if name else ():
                shutil.copy(self.pki / f'{name}.{form}', folder / f'{slot}.{form}')
        (folder / 'pin').write_text(PIN)
        return folder

    def card(self, spec, faults=''):
        """Put this card in the reader in place of the one there; 'none' takes it out."""
        self.stop('card')
        wait_until(lambda: not card_is_in(self), 'the reader to be empty')
        if spec != 'none':
            self.make_card(self.work / 'card', spec)
            self.card_faults = faults
            self.save()
            self.start('card')
        return self

    # -- Servers that misbehave

    def bad(self, mode, port=OCSP_PORT):
        """bad_http.py in the place of what listens on this port, until start('ocsp') or start('http')."""
        name = f'bad{port}'
        self.stop(name, *(good for good, its_port in REPLACEABLE.items() if its_port == port))
        index = self.work / 'index.txt'
        known = ['--index', index] if index.exists() else []
        command = [sys.executable, HERE / 'bad_http.py', '--pki', self.pki, '--port', str(port), '--log', self.http_log,
                   *known, mode]
        self.launch(name, command, lambda: listening(port))
        return self

    # -- What clients need

    def conf(self, changes=None, path=WORK / 'cardmap.conf', more=''):
        """A cardmap.conf for this rig; CHANGES maps 'section.key' to a text, a list, or None to leave it out.

        MORE, whole sections as text, stands behind them.
        """
        values = {
            'directory.uri': [f'ldap://127.0.0.1:{LDAP_PORT}'], 'directory.base': people.BASE,
            'directory.bind_dn': people.READER_DN, 'directory.bind_password_file': self.work / 'bind.password',
            'directory.ca': self.pki / 'root.crt',
            'mapper.plist': '',  # none of this computer's own
            'trust.anchors': [self.pki / 'root.crt'], 'trust.intermediates': [self.pki / 'inter.crt'],
            'kerberos.config': self.work / 'krb5.conf', 'kerberos.realm': REALM,
            'kerberos.kdc': [f'127.0.0.1:{KDC_PORT}'],
            'kerberos.anchors': [self.pki / 'root.crt'], 'kerberos.intermediates': [self.pki / 'inter.crt'],
            'kerberos.keytab': self.keytab, 'kerberos.host_principal': HOST_PRINCIPAL,
            'kerberos.ccache': f'FILE:{self.work}/tmp/krb5cc_%{{uid}}',
            'accounts.path': self.work / 'accounts.db', 'accounts.userdb': self.work / 'userdb', 'service.log': 'stderr', **(changes or {}),
        }
        sections = {}
        for name, value in values.items():
            section, key = name.split('.')
            if value is not None:
                sections.setdefault(section, []).append(f'  {key} = {conf_value(value)}\n')
        text = ''.join(f'{section} {{\n{"".join(lines)}}}\n' for section, lines in sections.items()) + more
        pki_module.publish(Path(path), text.encode())
        return path

    def write_secret(self, name, text):
        path = self.work / name
        path.touch(mode=0o600)
        path.write_text(text)

    def write_krb5_conf(self):
        (self.work / 'krb5.conf').write_text(f"""
[libdefaults]
  default_realm = {REALM}
  dns_lookup_realm = false
  dns_lookup_kdc = false
  rdns = false
  dns_canonicalize_hostname = false
  default_ccache_name = FILE:{self.work}/tmp/krb5cc_%{{uid}}
  default_keytab_name = FILE:{self.keytab}
  default_rcache_name = file2:{self.work}/rcache
[realms]
  {REALM} = {{
    kdc = 127.0.0.1:{KDC_PORT}
    pkinit_anchors = FILE:{self.pki}/root.crt
    pkinit_pool = FILE:{self.pki}/inter.crt
  }}
[domain_realm]
  {pki_module.DOMAIN} = {REALM}
""")

    def kdc_environment(self):
        return {**os.environ, 'KRB5_CONFIG': str(self.work / 'krb5.conf'),
                'KRB5_KDC_PROFILE': str(self.work / 'kdc/kdc.conf'), 'SSSD_KRB5_LOCATOR_DISABLE': '1'}

    def environment(self):
        """For programs under test. A server that is started anew has a new process id: see /run/rig/NAME.pid then."""
        rig = {
            'CM_RIG_DIR': self.work, 'CM_RIG_PKI': self.pki, 'CM_RIG_REALM': REALM, 'CM_RIG_KEYTAB': self.keytab,
            'CM_RIG_HOST_PRINCIPAL': HOST_PRINCIPAL,
            'CM_RIG_LDAP_URI': f'ldap://127.0.0.1:{LDAP_PORT}', 'CM_RIG_LDAPS_URI': f'ldaps://127.0.0.1:{LDAPS_PORT}',
            'CM_RIG_BASE': people.BASE, 'CM_RIG_BIND_DN': people.READER_DN,
            'CM_RIG_BIND_PASSWORD_FILE': self.work / 'bind.password',
            'CM_RIG_ADMIN_DN': people.ADMIN_DN, 'CM_RIG_ADMIN_PASSWORD': people.ADMIN_PASSWORD,
            'CM_RIG_KDC': f'127.0.0.1:{KDC_PORT}', 'CM_RIG_OCSP_URI': pki_module.OCSP, 'CM_RIG_CRL_URI': pki_module.CDP,
            'CM_RIG_HTTP_LOG': self.http_log, 'CM_RIG_CARD_CONTROL': self.card_control,
            'CM_RIG_CARD_LOG': self.card_log,
            'CM_RIG_PIN_FILE': PIN_FILE, 'CM_RIG_CONF': self.work / 'cardmap.conf', 'CM_RIG': HERE / 'rig.py',
            'KRB5_CONFIG': self.work / 'krb5.conf', 'SSSD_KRB5_LOCATOR_DISABLE': '1',
            **(samba().environment(self) if self.is_running('samba') else {}),
        }
        pids = {f'CM_RIG_PID_{name.upper()}': self.pid(name) for name in self.running()}
        return {name: str(value) for name, value in {**rig, **pids}.items()}


def conf_value(value):
    """As libconfuse reads it: single quotes keep everything but a quote and a backslash."""
    if isinstance(value, list):
        return '{' + ', '.join(map(conf_value, value)) + '}'
    return "'" + str(value).replace('\\', '\\\\').replace("'", "\\'") + "'"


def faketime(when, command):
    """COMMAND with its wall clock moved ('+3d', '-1h') or set ('@2030-01-01 00:00:00'), its monotonic clock true."""
    return ['env', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'faketime', '-f', when, *command]


SERVERS = {
    'slapd': Server(prepare_slapd, slapd_command, lambda rig: listening(LDAP_PORT) and listening(LDAPS_PORT)),
    'kdc': Server(prepare_kdc, kdc_command, lambda rig: listening(KDC_PORT)),
    'ocsp': Server(Rig.prepare_revocation, ocsp_command, lambda rig: listening(OCSP_PORT)),
    'http': Server(Rig.prepare_revocation, http_command, lambda rig: listening(HTTP_PORT)),
    'pcscd': Server(prepare_pcscd, pcscd_command, pcscd_ready),
    'card': Server(nothing, card_command, card_is_in),
    'samba': Server(lambda rig: samba().prepare(rig), lambda rig: samba().command(rig), lambda rig: samba().ready(rig)),
}


# ---- The command


def start_needs(rig, needs):
    for need in filter(None, needs.split(',')):
        name, _, value = need.partition('=')
        if name not in SERVERS:
            raise RigError(f'--need {name}: not one of {", ".join(SERVERS)}')
        if name == 'card':
            rig.start('pcscd').card(value or 'alice-rsa2048')
        else:
            rig.start(name)


def run_program(rig, command):
    """As process 1 it also reaps what others leave. What an interrupt from the terminal means is the program's affair."""
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    child = subprocess.Popen(command, env={**os.environ, **rig.environment()})
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            return os.waitstatus_to_exitcode(status)


def command_run(arguments):
    enter()
    rig = Rig(arguments.pki, arguments.users, arguments.kdc_revoke, arguments.slapd_log, arguments.vcard)
    start_needs(rig, arguments.need)
    status = run_program(rig, arguments.program)
    if status:
        for name in rig.running():
            sys.stderr.write(rig.tail(name, 5))
    return status if status >= 0 else 128 - status


def command_servers(arguments):
    getattr(Rig.attach(), arguments.action)(*arguments.names)


def command_card(arguments):
    Rig.attach().card(arguments.spec, arguments.faults)


def command_make_card(arguments):
    Rig.attach().make_card(arguments.folder, arguments.spec)


def command_conf(arguments):
    changes = dict(change.split('=', 1) for change in arguments.changes)
    values = {key: value.split(',') if value and key in CONF_LISTS else value or None for key, value in changes.items()}
    Rig.attach().conf(values, arguments.out)


def command_list(arguments):
    Rig.attach().list_in_directory(arguments.file.read_bytes())


def command_bad(arguments):
    Rig.attach().bad(arguments.mode, arguments.port)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest='action', required=True)
    start = actions.add_parser('run')
    start.add_argument('--need', default='')
    start.add_argument('--pki', default=os.environ.get('CM_RIG_PKI', 'pki'))
    start.add_argument('--users', type=int, default=1000)
    start.add_argument('--vcard')
    start.add_argument('--kdc-revoke', action='store_true')
    start.add_argument('--slapd-log', default='stats')
    start.add_argument('program', nargs='+')
    start.set_defaults(run=command_run)
    for action in ('start', 'stop', 'freeze', 'thaw', 'revoke', 'unrevoke'):
        several = actions.add_parser(action)
        several.add_argument('names', nargs='+')
        several.set_defaults(run=command_servers)
    card = actions.add_parser('card')
    card.add_argument('spec')
    card.add_argument('--faults', default='')
    card.set_defaults(run=command_card)
    make_card = actions.add_parser('make-card')
    make_card.add_argument('folder')
    make_card.add_argument('spec')
    make_card.set_defaults(run=command_make_card)
    conf = actions.add_parser('conf')
    conf.add_argument('--out', default=WORK / 'cardmap.conf')
    conf.add_argument('changes', nargs='*', metavar='SECTION.KEY=VALUE')
    conf.set_defaults(run=command_conf)
    listed = actions.add_parser('list')
    listed.add_argument('file', type=Path)
    listed.set_defaults(run=command_list)
    bad = actions.add_parser('bad')
    bad.add_argument('mode')
    bad.add_argument('--port', type=int, default=OCSP_PORT)
    bad.set_defaults(run=command_bad)
    return parser.parse_args(arguments)


if __name__ == '__main__':
    try:
        chosen = parse(sys.argv[1:])
        sys.exit(chosen.run(chosen))
    except (RigError, OSError, subprocess.SubprocessError) as problem:
        sys.exit(f'rig.py: {problem}')
