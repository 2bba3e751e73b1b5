"""pam_rig.py: a program that logs people in by PAM, with stacks of the test's own, and whoever answers at the service's socket.

enter() goes into a mount namespace with users, /run and nsswitch.conf of its own (root, or a user who maps himself to root).
Environment: CM_PAM_MODULE and CM_PAM_LIBRARIES (a folder), built without sanitizers: a module with them aborts in programs
without; CM_PAM_DRIVER.
"""
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

INSIDE = 'CM_PAM_INSIDE'
RUN = Path('/run/cardmap')
SOCKET = RUN / 'io.cardmap'
SECONDS = 60
PIN, OTHER, PASSWORD = '81736405', '40918273', 'Correct horse 9'

# The codes of Linux-PAM (_pam_types.h).
SUCCESS, SERVICE_ERR, BUF_ERR, PERM_DENIED, AUTH_ERR, UNAVAILABLE, USER_UNKNOWN, MAXTRIES, ACCT_EXPIRED = 0, 3, 5, 6, 7, 9, 10, 11, 13
CONV_ERR, AUTHTOK_ERR, TRY_AGAIN, IGNORE, ABORT, CONV_AGAIN, INCOMPLETE = 19, 20, 24, 25, 26, 30, 31

PASSWD = """root:x:0:0:root:/root:/bin/sh
toor:x:0:0:also root:/root:/bin/sh
alice:x:10001:10000:Alice Example:/home/alice:/bin/sh
bob:x:10002:10000:Bob Example:/home/bob:/bin/sh
"""


def module():
    path = os.environ['CM_PAM_MODULE']
    if not os.access(path, os.R_OK):
        raise AssertionError(f'CM_PAM_MODULE={path}: not there: build the release preset (scripts/test does)')
    return path


def enter():
    """Start this program again inside; 77 (skipped) where that is not to be had."""
    if os.environ.get(INSIDE):
        return set_up()
    command = ['unshare', '-m'] if os.geteuid() == 0 else ['unshare', '-rm']
    if subprocess.run([*command, 'true'], capture_output=True, check=False).returncode:
        print('no mount namespace of its own is to be had here')
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix='cm_pam_') as folder:
        done = subprocess.run([*command, '--propagation', 'private', sys.executable, *sys.argv],
                              env={**os.environ, INSIDE: folder}, check=False)
    sys.exit(done.returncode)


def set_up():
    folder = Path(os.environ[INSIDE])
    hashed = subprocess.run(['openssl', 'passwd', '-6', '-stdin'], input=PASSWORD, capture_output=True, text=True,
                            check=True).stdout.strip()
    for name, text in (('passwd', PASSWD), ('nsswitch.conf', 'passwd: files\nshadow: files\ngroup: files\n'),
                       ('shadow', ''.join(f'{line.split(":")[0]}:{hashed}:19000::::::\n' for line in PASSWD.splitlines()))):
        (folder / name).write_text(text, encoding='ascii')
        if Path('/etc', name).exists():
            subprocess.run(['mount', '--bind', folder / name, f'/etc/{name}'], check=True)
    subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', '/run'], check=True)
    RUN.mkdir()


# ---- the program


def masked(text):
    return bytes(byte ^ 0x5a for byte in text.encode()).hex()


@dataclass
class Said:
    """What one run of the driver printed."""
    text: str
    codes: dict = field(default_factory=dict)
    talk: list = field(default_factory=list)
    env: dict = field(default_factory=dict)
    user: str = ''
    descriptors: int = 0
    allocations: int = 0
    found: bool = False

    def __post_init__(self):
        for line in self.text.splitlines():
            word, _, rest = line.partition(' ')
            if word.endswith(':'):
                self.codes[word[:-1]] = int(rest)
            elif word == 'env':
                self.env.update([rest.split('=', 1)])
            elif word in ('user', 'descriptors', 'allocations'):
                setattr(self, word, rest if word == 'user' else int(rest))
            elif word == 'found':
                self.found = True
            else:
                self.talk.append(line)

    @property
    def code(self):
        assert len(self.codes) == 1, self.text
        return next(iter(self.codes.values()))

    def asked(self):
        return [line for line in self.talk if line.startswith(('hidden', 'shown'))]


CARD = '[success=end ignore=ignore default=die]'


def stacks(auth=None, **more):
    """A folder of PAM's with the service "test": one line for each module, of "end" what pam-auth-update makes."""
    folder = Path(tempfile.mkdtemp(dir=os.environ[INSIDE]))
    lines = []
    for kind, wanted in {'auth': auth, **more}.items():
        wanted = wanted if isinstance(wanted, list) else [wanted or f'required {module()}']
        for at, line in enumerate(wanted):
            lines.append(f'{kind} ' + line.replace('=end', f'={max(1, len(wanted) - at - 2)}').replace('CARDMAP', module()))
    (folder / 'test').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    (folder / 'other').write_text('auth required pam_deny.so\n', encoding='ascii')
    return folder


def log_in(*words, answers=(), folder=None, user='alice', calls=('authenticate',), env=None):
    """Run the driver; an answer that begins with ! or @ is a word of its own."""
    folder = folder or stacks(account=None, password=None, session=None)
    given = [f'answer{answer}' if answer[:1] in ('!', '@') else f'answer={masked(answer)}' for answer in answers]
    names = [f'user={user}'] if user else []
    done = subprocess.run([os.environ['CM_PAM_DRIVER'], folder, 'test', *names, *words, *given, *calls], capture_output=True,
                          text=True, errors='replace', timeout=SECONDS, stdin=subprocess.DEVNULL, check=False,
                          env={'PATH': '/usr/bin:/bin', 'LD_LIBRARY_PATH': os.environ['CM_PAM_LIBRARIES'], **(env or {})})
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return Said(done.stdout)


# ---- whoever answers


def reply(state, last=False, handle='h', **more):
    return json.dumps({'parameters': {'handle': handle, 'state': state, **more}, **({} if last else {'continues': True})})


def grant(user='alice', uid=10001, gid=10000, online=True, **more):
    return reply('granted', last=True, grant={
        'user': user, 'uid': uid, 'gid': gid, 'home': f'/home/{user}', 'shell': '/bin/sh', 'gecos': '', 'serial': '01',
        'subject': 'CN=x', 'warnings': [], 'online': online, **more})


def refused(reason='revoked', **more):
    return reply('refused', last=True, **({'reason': reason} if reason else {}), **{'text': 'so it is', **more})


def pin(**more):
    return reply('pin', **{'name': 'Alice Example', 'user': 'alice', 'tries': 3, 'online': True, **more})


ANSWERED = object()  # in a script: wait for an answer, take it


class Peer:
    """Somebody at the service's socket: to each Begin the same script, of messages, octets and ANSWERED; then it closes."""

    def __init__(self, *script, hold=False, verdict='{"parameters":{}}'):
        self.script, self.hold, self.verdict = script, hold, verdict
        self.begun, self.answers, self.pins = [], [], []

    def __enter__(self):
        SOCKET.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(SOCKET))
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        SOCKET.unlink()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(SECONDS)
        self.listener.close()

    def serve(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            with link:
                self.begin(link)

    def begin(self, link):
        message, _ = self.receive(link)
        if message:
            self.begun.append(json.loads(message)['parameters'])
        try:
            for step in self.script:
                if step is ANSWERED:
                    if not self.take_answer(link):
                        return
                else:
                    link.sendall(step if isinstance(step, bytes) else step.encode() + b'\0')
            if self.hold:
                link.recv(1)
        except OSError:
            pass

    def take_answer(self, link):
        """The next connection's; False: the login went away meanwhile."""
        ready, _, _ = select.select([self.listener, link], [], [], SECONDS)
        if link in ready or not ready:
            return False
        other, _ = self.listener.accept()
        with other:
            message, descriptors = self.receive(other)
            if not message:
                return False
            self.answers.append(json.loads(message)['parameters'])
            for descriptor in descriptors:
                with open(descriptor, 'rb') as pipe:
                    self.pins.append(pipe.read().decode())
            other.sendall(self.verdict.encode() + b'\0')
        return True

    @staticmethod
    def receive(link):
        message, descriptors = b'', []
        while not message.endswith(b'\0'):
            data, more, _, _ = socket.recv_fds(link, 65536, 4)
            descriptors += more
            if not data:
                break
            message += data
        return message.rstrip(b'\0').decode(), descriptors


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
