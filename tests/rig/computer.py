"""computer.py: a computer of its own for tests of the service, inside a rig and for root alone.

A copy of /etc with users, PAM and sudo of its own; people of people.py as a directory's users, seen through nss-systemd;
an empty /home and /var/log; logind's view of sessions, which libsystemd reads (sd-login(3)): files in /run/systemd and a
cgroup for each. All of it is mounted in the rig's own mount namespace, on cgroups below one of the rig's own.
"""
import contextlib
import ctypes
import json
import os
import pwd
import re
import shutil
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import people
import rig as rig_module
from rig import WORK, RigError, run

ETC = WORK / 'etc'
CGROUP = Path('/sys/fs/cgroup')
CLONE_NEWCGROUP = 0x02000000
SERVICE_USERS = ('_cardmap', '_cardmap-card')
LOCAL = 'lena'  # whom no directory knows
LOCAL_UID = 20001
PASSWORD = 'Correct horse 9'  # of lena and of root
PEOPLE_GID = people.USERS_GID
JOURNAL = Path('/run/systemd/journal/socket')

NSSWITCH = """passwd: files systemd
group: files [SUCCESS=merge] systemd
shadow: files systemd
gshadow: files systemd
hosts: files
services: files
protocols: files
"""

# What pam-auth-update makes of the profile: who fails by card has failed, and PAM_IGNORE goes on to the password.
COMMON = {
    'common-auth': """auth [success=end ignore=ignore default=die] {module} {options}
auth [success=1 default=ignore] pam_unix.so nullok nodelay
auth requisite pam_deny.so
auth required pam_permit.so
""",
    'common-account': """account [success=ok ignore=ignore default=die] {module} {options}
account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so
account requisite pam_deny.so
account required pam_permit.so
""",
    'common-password': """password [success=end ignore=ignore default=die] {module} {options}
password [success=1 default=ignore] pam_unix.so obscure yescrypt
password requisite pam_deny.so
password required pam_permit.so
""",
    'common-session': """session required pam_permit.so
session optional pam_mkhomedir.so umask=0077
session optional {module} {options}
session required pam_unix.so
""",
}
ALL = ''.join(f'@include common-{part}\n' for part in ('auth', 'account', 'password', 'session'))
SERVICES = {  # as Debian has them, without what waits (pam_faildelay) and what asks logind
    'su': 'auth sufficient pam_rootok.so\n' + ALL, 'su-l': 'auth sufficient pam_rootok.so\n' + ALL,
    # Debian's asks pam_nologin before, and with that for a name, which the card is to give.
    'sudo': ALL, 'sudo-i': ALL, 'login': 'account requisite pam_nologin.so\n' + ALL,
    'sshd': '@include common-auth\naccount required pam_nologin.so\n' + ALL.partition('\n')[2], 'other': ALL,
    'gdm-smartcard': ALL, 'swaylock': ALL, 'vlock': ALL,
}


# ---- Mounts


def own_etc():
    """/etc is a copy that this rig may write to."""
    run(['cp', '-a', '/etc', ETC])
    run(['mount', '--bind', ETC, '/etc'])
    for folder in ('/home', '/var/log', '/var/lib/sudo'):
        if os.path.isdir(folder):
            run(['mount', '-t', 'tmpfs', '-o', 'mode=0755', 'rig', folder])


def cgroup_mount():
    """Where the kernel's one hierarchy of control groups (cgroups(7), version 2) is mounted."""
    for line in Path('/proc/self/mounts').read_text(encoding='utf-8').splitlines():
        fields = line.split()
        if fields[2] == 'cgroup2':
            return Path(fields[1])
    raise RigError('no cgroup2 is mounted: sessions cannot be made here')


def own_cgroups():
    """This process, 1 of the rig, is in the root of a hierarchy that looks like a whole one."""
    mount = cgroup_mount()
    mine = next(line[3:] for line in Path('/proc/self/cgroup').read_text(encoding='ascii').splitlines()
                if line.startswith('0::'))
    folder = mount / mine.lstrip('/') / rig_module.cgroup_name()
    folder.mkdir(exist_ok=True)
    (folder / 'cgroup.procs').write_text(str(os.getpid()), encoding='ascii')
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWCGROUP):
        raise RigError(f'unshare(CLONE_NEWCGROUP): {os.strerror(ctypes.get_errno())}')
    run(['mount', '-t', 'cgroup2', 'rig', CGROUP])


# ---- People


def free_id(taken, start):
    while start in taken:
        start -= 1
    taken.add(start)
    return start


def add_lines(name, lines):
    with open(ETC / name, 'a', encoding='utf-8') as out:
        out.writelines(line + '\n' for line in lines)


def password_hash(password):
    return run([rig_module.program('openssl'), 'passwd', '-6', '-stdin'], input=password + '\n').strip()


def drop_names(name, names):
    path = ETC / name
    kept = [line for line in path.read_text(encoding='utf-8').splitlines() if line.split(':')[0] not in names]
    path.write_text('\n'.join(kept) + '\n', encoding='utf-8')


def add_local_users():
    names = {*SERVICE_USERS, LOCAL, *(person.name for person in people.PEOPLE)}
    for name in ('passwd', 'shadow', 'group', 'gshadow'):
        drop_names(name, names)
    taken = {entry.pw_uid for entry in pwd.getpwall()} | {
        int(line.split(':')[2]) for line in (ETC / 'group').read_text(encoding='utf-8').splitlines() if line}
    hashed = password_hash(PASSWORD)
    for name in SERVICE_USERS:
        number = free_id(taken, 990)
        add_lines('passwd', [f'{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin'])
        add_lines('group', [f'{name}:x:{number}:'])
        add_lines('shadow', [f'{name}:!:19000::::::'])
    add_lines('passwd', [f'{LOCAL}:x:{LOCAL_UID}:{LOCAL_UID}:Lena Local:/home/{LOCAL}:/bin/bash'])
    add_lines('group', [f'{LOCAL}:x:{LOCAL_UID}:'])
    add_lines('shadow', [f'{LOCAL}:{hashed}:19000::::::'])
    shadow = (ETC / 'shadow').read_text(encoding='utf-8')
    (ETC / 'shadow').write_text(re.sub(r'(?m)^root:[^:]*:', lambda _: f'root:{hashed}:', shadow), encoding='utf-8')
    home = Path('/home') / LOCAL
    home.mkdir()
    os.chown(home, LOCAL_UID, LOCAL_UID)


def add_directory_users():
    """As a directory's users are seen: by records for nss-systemd (nss-systemd(8), "User/Group Records")."""
    folder = ETC / 'userdb'
    folder.mkdir(exist_ok=True)

    def record(name, number, kind, content):
        (folder / f'{name}.{kind}').write_text(json.dumps(content), encoding='utf-8')
        with contextlib.suppress(FileExistsError):
            (folder / f'{number}.{kind}').symlink_to(f'{name}.{kind}')
    record('staff', PEOPLE_GID, 'group', {'groupName': 'staff10000', 'gid': PEOPLE_GID})
    (folder / 'staff10000.group').symlink_to('staff.group')
    for person in people.PEOPLE:
        if person.uid >= people.FIRST_UID:
            record(person.name, person.uid, 'user', {
                'userName': person.name, 'uid': person.uid, 'gid': PEOPLE_GID, 'shell': person.shell,
                'homeDirectory': person.home or f'/home/{person.name}',
                'realName': person.full_name or person.name.capitalize() + ' Example'})


# ---- Sessions, as logind describes them


@dataclass(frozen=True)
class Session:
    """Of one user; a program runs in it by in_session()."""
    name: str
    user: str
    uid: int

    @property
    def cgroup(self):
        return CGROUP / f'user.slice/user-{self.uid}.slice/session-{self.name}.scope'

    def command(self, arguments, user=None):
        return place(self.cgroup, arguments, user or self.user)


def place(cgroup, arguments, user='root'):
    """The command that runs arguments as this user, in that cgroup, with a login's environment."""
    inner = ['sh', '-c', f'echo $$ >{cgroup}/cgroup.procs && exec "$@"', 'sh']
    if user != 'root':
        entry = pwd.getpwnam(user)
        inner += ['setpriv', f'--reuid={entry.pw_uid}', f'--regid={entry.pw_gid}', '--init-groups', '--reset-env']
    return [*inner, *map(str, arguments)]


def in_background(arguments, user='root'):
    """A process of the computer's own, as cron or a daemon starts them: of no session."""
    cgroup = CGROUP / 'system.slice/cron.service'
    cgroup.mkdir(parents=True, exist_ok=True)
    return place(cgroup, arguments, user)


def variables(path, **values):
    path.parent.mkdir(parents=True, exist_ok=True)
    rig_module.pki_module.publish(path, ''.join(f'{name}={value}\n' for name, value in values.items()).encode())


class Logind:
    """The files that logind would write (libsystemd reads them and says what they mean)."""

    def __init__(self):
        self.count = 0
        self.sessions = {}
        for folder in ('sessions', 'users', 'seats', 'machines', 'system', 'journal'):
            Path('/run/systemd', folder).mkdir(parents=True, exist_ok=True)
        self.write_seat()

    def open(self, user, active=True, remote=False, seat='seat0', kind='tty', of='user'):
        self.count += 1
        session = Session(str(self.count), user, pwd.getpwnam(user).pw_uid)
        session.cgroup.mkdir(parents=True)
        self.sessions[session.name] = (session, {
            'UID': session.uid, 'USER': user, 'ACTIVE': int(active), 'IS_DISPLAY': 1,
            'STATE': 'active' if active else 'online', 'REMOTE': int(remote), 'TYPE': kind, 'CLASS': of,
            'SCOPE': f'session-{session.name}.scope', **({'SEAT': seat} if seat and not remote else {}),
            **({'REMOTE_HOST': '192.0.2.7'} if remote else {'TTY': 'tty1', 'VTNR': 1}), 'LEADER': os.getpid()})
        self.write(session)
        return session

    def write(self, session):
        _, values = self.sessions[session.name]
        variables(Path('/run/systemd/sessions', session.name), **values)
        mine = [(s, v) for s, v in self.sessions.values() if s.uid == session.uid]
        active = [s.name for s, v in mine if v['ACTIVE']]
        names = ' '.join(s.name for s, _ in mine)
        variables(Path('/run/systemd/users', str(session.uid)), NAME=session.user, STATE='active' if active else 'online',
                  STOPPING='no', DISPLAY=session.name, SESSIONS=names, ACTIVE_SESSIONS=' '.join(active),
                  ONLINE_SESSIONS=names)
        self.write_seat()

    def change(self, session, **values):
        self.sessions[session.name][1].update(values)
        self.write(session)

    def write_seat(self):
        on_seat = [(s, v) for s, v in self.sessions.values() if v.get('SEAT') == 'seat0']
        active = next(((s, v) for s, v in reversed(on_seat) if v['ACTIVE']), None)
        chosen = {'ACTIVE': active[0].name, 'ACTIVE_UID': active[0].uid} if active else {}
        variables(Path('/run/systemd/seats/seat0'), IS_SEAT0=1, CAN_MULTI_SESSION=1, CAN_TTY=1, CAN_GRAPHICAL=0, **chosen,
                  SESSIONS=' '.join(s.name for s, _ in on_seat), UIDS=' '.join(str(s.uid) for s, _ in on_seat))

    def close_all(self):
        for session, _ in self.sessions.values():
            Path('/run/systemd/sessions', session.name).unlink(missing_ok=True)
            Path('/run/systemd/users', str(session.uid)).unlink(missing_ok=True)
        self.sessions = {}
        self.write_seat()


# ---- The journal


class Journal:
    """In journald's place: takes datagrams (systemd.io/JOURNAL_NATIVE_PROTOCOL) and keeps them in a file, whole."""

    def __init__(self, path=WORK / 'journal.raw'):
        self.path = path
        JOURNAL.parent.mkdir(parents=True, exist_ok=True)
        JOURNAL.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(JOURNAL))
        JOURNAL.chmod(0o666)
        self.entries = []
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        with open(self.path, 'ab') as out:
            while True:
                data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 20, 4)
                for descriptor in descriptors:  # what is long comes in a sealed file
                    with open(descriptor, 'rb') as file:
                        file.seek(0)
                        data += file.read()
                out.write(data + b'\n')
                out.flush()
                self.entries.append(fields(data))

    def find(self, **wanted):
        return [entry for entry in list(self.entries) if all(entry.get(key) == value for key, value in wanted.items())]


def fields(data):
    """Lines KEY=VALUE, or KEY, then a length of 64 bits, then so many bytes."""
    found = {}
    while data:
        line, _, rest = data.partition(b'\n')
        name, equals, value = line.partition(b'=')
        if not equals and name:
            size = int.from_bytes(rest[:8], 'little')
            value, rest = rest[8:8 + size], rest[9 + size:]
        if name:
            found[name.decode(errors='replace')] = value.decode(errors='replace')
        data = rest
    return found


# ---- All of it


class Computer:
    def __init__(self, rig):
        if os.geteuid() != 0 or len(Path('/proc/self/uid_map').read_text(encoding='ascii').split()) != 3 or \
                Path('/proc/self/uid_map').read_text(encoding='ascii').split()[2] != '4294967295':
            raise RigError('a computer of its own takes root, not of a user namespace')
        self.rig = rig
        own_cgroups()
        own_etc()
        add_local_users()
        add_lines('login.defs', ['FAIL_DELAY 0'])  # su and login: a refusal is told at once
        (ETC / 'nsswitch.conf').write_text(NSSWITCH, encoding='ascii')
        add_directory_users()
        shutil.copy(WORK / 'krb5.conf', ETC / 'krb5.conf')
        (ETC / 'sudoers').write_text('Defaults !lecture,timestamp_timeout=0\nroot ALL=(ALL) ALL\n'
                                     'alice,bob,lena ALL=(ALL) ALL\n', encoding='ascii')
        (ETC / 'sudoers').chmod(0o440)
        self.logind = Logind()
        self.journal = Journal()

    # -- PAM

    def pam(self, module, options='', common=None, **services):
        """Stacks for every program of SERVICES; another text for one of them: NAME='...'."""
        folder = ETC / 'pam.d'
        for name, text in {**COMMON, **(common or {})}.items():
            (folder / name).write_text(end_labels(text.format(module=module, options=options)), encoding='ascii')
        (folder / 'common-session-noninteractive').write_text((folder / 'common-session').read_text(), encoding='ascii')
        for name, text in {**SERVICES, **services}.items():
            (folder / name).write_text(text.format(module=module, options=options), encoding='ascii')

    # -- sshd

    def start_sshd(self):
        """On 127.0.0.1:2222, by keys of WORK/ssh and by what PAM asks for."""
        folder = WORK / 'ssh'
        if not folder.exists():
            folder.mkdir()
            for name in ('host', 'alice'):
                run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', folder / name])
            os.chown(folder / 'alice', people.FIRST_UID, PEOPLE_GID)
            (folder / 'sshd_config').write_text(f"""ListenAddress 127.0.0.1:2222
HostKey {folder}/host
PidFile none
UsePAM yes
KbdInteractiveAuthentication yes
PasswordAuthentication no
PubkeyAuthentication yes
AuthorizedKeysFile {folder}/%u.pub
StrictModes no
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel DEBUG1
""", encoding='ascii')
        Path('/run/sshd').mkdir(mode=0o755, exist_ok=True)
        command = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', rig_module.program('sshd'), '-D', '-e', '-f', folder / 'sshd_config']
        self.rig.launch('sshd', command, lambda: rig_module.listening(2222))

    @staticmethod
    def ssh_command(user, *arguments, method='keyboard-interactive'):
        return ['ssh', '-F', 'none', '-p', '2222', '-i', WORK / 'ssh/alice', '-o', 'IdentitiesOnly=yes', '-o', 'LogLevel=ERROR',
                '-o', 'StrictHostKeyChecking=no', '-o', f'UserKnownHostsFile={WORK}/ssh/known', '-o', 'GlobalKnownHostsFile=none',
                '-o', f'PreferredAuthentications={method}', '-o', 'NumberOfPasswordPrompts=1', '-tt',
                f'{user}@127.0.0.1', *arguments]


def end_labels(text):
    """pam-auth-update's word "end": how many lines to jump so that the last of the stack decides."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        lines[at] = line.replace('success=end', f'success={len(lines) - at - 2}')
    return '\n'.join(lines) + '\n'
