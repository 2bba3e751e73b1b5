"""scenario.py: what the end-to-end tests share. Each test file runs in a rig of its own; main() enters it.

Environment: CM_CARDMAP the program, CM_CARDMAP_PLAIN the same without sanitizers (for faketime and strace),
CM_VCARD the virtual card, CM_RIG_PKI the certificates.
"""
import base64
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'rig'))

import demo  # noqa: E402
import people  # noqa: E402
import rig as rig_module  # noqa: E402
from pcsc import OtherClient  # noqa: E402,F401
from rig import NEW_PIN, PIN, WORK, WRONG_PIN  # noqa: E402,F401
from terminal import Terminal  # noqa: E402,F401

SERVERS = ('slapd', 'kdc', 'ocsp', 'http')
SECONDS = 30
ALICE_UID = 10001
# What answers is waited for, however busy the computer is; where somebody is silent that is soon told from an answer, and a
# test says how long a whole login may take.
PATIENT = {'directory.timeout': 8000, 'trust.timeout': 8000, 'kerberos.timeout': 8000}
DEADLINES = {'directory.timeout': 400, 'trust.timeout': 800, 'kerberos.timeout': 800}
RIG = None
PREFIX = []


def program():
    return os.environ['CM_CARDMAP']


def plain():
    """Built without sanitizers: under faketime and strace the others do not start."""
    path = os.environ.get('CM_CARDMAP_PLAIN', '')
    if not os.access(path, os.X_OK):
        raise AssertionError(f'CM_CARDMAP_PLAIN={path}: not there: build the release preset (scripts/test does)')
    return path


def said(command, status=0, **options):
    """Another program's output; its status must be this one."""
    options.setdefault('env', {**os.environ, **RIG.environment()})
    if 'input' not in options:
        options['stdin'] = subprocess.DEVNULL
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS, **options)
    if done.returncode != status:
        raise AssertionError(f'{command}: status {done.returncode}, not {status}\n{done.stdout}')
    return done.stdout


def clock(when):
    """In front of a command: its wall clock moved ('+31d') and its monotonic clock true.

    Not the faketime command: that waits beside the program, and a signal would reach the wrong one.
    """
    library = glob.glob('/usr/lib/*/faketime/libfaketime.so.1')
    if not library:
        raise AssertionError('libfaketime is not installed: scripts/packages says what is missing')
    return ['env', f'LD_PRELOAD={library[0]}', f'FAKETIME={when}', 'FAKETIME_DONT_FAKE_MONOTONIC=1']


def responder_in(when):
    """The OCSP responder with its clock moved, until start('ocsp') after a stop."""
    RIG.stop('ocsp').launch('ocsp', clock(when) + rig_module.ocsp_command(RIG),
                            lambda: rig_module.listening(rig_module.OCSP_PORT))


class Answer:
    """What one call of cardmap ended with."""

    def __init__(self, command, status, out, err, seconds):
        self.command, self.status, self.out, self.err, self.seconds = command, status, out, err, seconds

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def reason(self):
        return self.json.get('reason')

    @property
    def account(self):
        return self.json['account']['name']

    def stage(self, name):
        """The last stage so named: its result, its reason and {what: [texts]}."""
        found = [stage for stage in self.json['stages'] if stage['stage'] == name]
        return found[-1] if found else None

    def seen(self, stage, what):
        found = self.stage(stage)
        return [item['text'] for item in found['seen'] if item['what'] == what] if found else []

    def __str__(self):
        return f'{" ".join(self.command)}\nstatus {self.status} in {self.seconds:.2f} s\n{self.out}{self.err}'


class Counts:
    """What passed between two moments, as the others tell it: card, directory, kernel."""

    def __init__(self):
        self.start = self.read()

    @staticmethod
    def read():
        card = lines_of(RIG.card_log, skip='#')
        slapd = lines_of(RIG.log('slapd'))
        http = lines_of(RIG.http_log)
        ocsp = [line for line in lines_of(RIG.log('ocsp')) if 'Received request' in line]
        return {'apdus': card, 'slapd': slapd, 'http': http, 'ocsp': ocsp, 'packets': packets()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end = self.read()
        self.apdus = end['apdus'][len(self.start['apdus']):]
        self.slapd = end['slapd'][len(self.start['slapd']):]
        self.http = end['http'][len(self.start['http']):]
        self.ocsp = end['ocsp'][len(self.start['ocsp']):]
        self.packets = {name: end['packets'][name] - self.start['packets'][name] for name in end['packets']}

    def commands(self):
        return len(self.apdus)

    def sent(self, ins):
        """Command APDUs with this INS, in hex: 20 VERIFY, 87 GENERAL AUTHENTICATE, 84 GET CHALLENGE."""
        return [line for line in self.apdus if line.split()[1][2:4] == ins]

    def verifies(self):
        """Those that carried a PIN: the card's log shows the length of what it hides."""
        return len([line for line in self.sent('20') if '[' in line])

    def signatures(self):
        """Chained ones counted once: the last link has no chaining bit in CLA (ISO/IEC 7816-4, 5.1.1.1)."""
        return len([line for line in self.sent('87') if line.split()[1][:2] == '00'])

    def directory(self, what):
        return len([line for line in self.slapd if what in line])

    def searches(self, attribute=''):
        """Searches, or those whose filter names this attribute."""
        return len([line for line in self.slapd if ' SRCH base=' in line and attribute in line])


def lines_of(path, skip=None):
    try:
        lines = Path(path).read_text(errors='replace').splitlines()
    except FileNotFoundError:
        return []
    return [line for line in lines if line and not (skip and line.startswith(skip))]


def packets():
    """This namespace's own counters: TCP connections begun, UDP datagrams sent."""
    tables = Path('/proc/net/snmp').read_text(encoding='ascii').splitlines()
    found = {}
    for names, values in zip(tables[::2], tables[1::2]):
        found.update({names.split(':')[0] + key: value
                      for key, value in zip(names.split()[1:], values.split()[1:])})
    return {'connections': int(found['TcpActiveOpens']), 'datagrams': int(found['UdpOutDatagrams'])}


class Scenario(unittest.TestCase):
    """All servers run when a test begins, whatever the one before did to them."""
    servers = SERVERS
    card = ''  # of Rig.card(); empty: card files only
    silence = False  # somebody is silent who is not frozen
    maxDiff = None

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(dir=WORK))
        self.folder.chmod(0o711)
        for name, mode in (('store', 0o700), ('tickets', 0o1777)):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(mode)
        self.store = self.folder / 'store/accounts.db'
        self.settings = {}
        self.rules = ''  # sections of cardmap.conf, as text
        RIG.thaw(*filter(RIG.is_running, self.servers))
        if RIG.revoked != set(rig_module.pki_module.REVOKED):
            RIG.unrevoke(*RIG.revoked - set(rig_module.pki_module.REVOKED))
        RIG.start(*self.servers)
        if self.card:
            self.use_reader()

    def use_reader(self):
        RIG.start('pcscd')
        if not RIG.is_running('card'):
            RIG.card(self.card)
        self.put_back()
        self.insert(self.card)

    # -- cardmap

    def deadlines(self):
        return DEADLINES if self.silence or any(rig_module.process_state(RIG.pid(name)) == 'T' for name in self.servers) else PATIENT

    def conf(self, **changes):
        """A configuration of this test's own; a__b is a.b."""
        values = {'accounts.path': self.store, 'kerberos.ccache': f'FILE:{self.folder}/tickets/krb5cc_%{{uid}}',
                  **self.deadlines(), **self.settings, **{key.replace('__', '.'): value for key, value in changes.items()}}
        return RIG.conf(values, self.folder / 'cardmap.conf', self.rules)

    def environment(self, leaks=False, **more):
        """Leaks are looked for where all goes well: libkrb5's pkinit plugin leaks when it fails."""
        known_leaks = f'suppressions={HERE.parent}/lsan.supp:print_suppressions=0'
        return {**os.environ, **RIG.environment(), 'NO_COLOR': '1', 'LSAN_OPTIONS': known_leaks,
                'ASAN_OPTIONS': f'detect_leaks={int(leaks)}', **more}

    def cardmap(self, *arguments, status=0, pin=None, binary=None, wrapper=(), env=None, cwd=None, seconds=SECONDS):
        """Run the program as it is; with a PIN, through --pin-fd."""
        arguments, passed = list(map(str, arguments)), []
        if pin is not None:
            read, write = os.pipe()
            os.write(write, pin.encode() + b'\n')
            os.close(write)
            arguments[1:1] = ['--pin-fd', str(read)]
            passed = [read]
        command = [*map(str, wrapper), *PREFIX, binary or program(), *arguments]
        started = time.monotonic()
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace',
                                  timeout=seconds, pass_fds=passed, cwd=cwd,
                                  env=self.environment(status == 0, **(env or {})))
        finally:
            for descriptor in passed:
                os.close(descriptor)
        answer = Answer(command, done.returncode, done.stdout, done.stderr, time.monotonic() - started)
        if status is not None:
            self.assertEqual(answer.status, status, str(answer))
        return answer

    def ask(self, command, *arguments, status=0, reason=None, card='alice-rsa2048', more=None, **options):
        """One command with --json among the rig's servers; card: a card file's name, or None for the reader."""
        source = ['--card', f'file:{RIG.pki}/{card}.pem'] if card else []
        answer = self.cardmap(command, '--config', self.conf(**(more or {})), '--json', *source, *arguments,
                              status=status, **options)
        if reason is not None:
            self.assertEqual(answer.reason, reason, str(answer))
        return answer

    def login(self, *arguments, pin=PIN, **options):
        return self.ask('login', *arguments, pin=pin, **options)

    # -- the card in the reader

    def control(self, line):
        """A line to the virtual card. A card that comes comes into a reader that pcscd knows to be empty."""
        word, _, folder = line.partition(' ')
        if word == 'swap':
            self.control('remove')
            line = f'insert {folder}'
        if word in ('swap', 'insert'):
            wait_until(lambda: not rig_module.card_is_in(RIG), 'the reader to be empty')
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(SECONDS)
            link.connect(str(RIG.card_control))
            link.sendall(line.encode() + b'\n')
            answer = link.makefile().readline()
        if not answer.startswith('ok'):
            raise AssertionError(f'{line}: {answer}')
        return answer

    def put_back(self):
        """A card without faults, in the reader: it was taken out, or pcscd gave it up for what it answered."""
        self.control('clear')
        if lines_of(RIG.card_log, skip='# card')[-1] == '# removed':
            self.control('insert')
        wait_until(lambda: rig_module.card_is_in(RIG), 'the card to be in again')

    def card_folder(self, spec, key=None, conf='', pin=None):
        """A card's folder; key: another certificate's key in 9A."""
        folder = RIG.make_card(WORK / 'cards' / re.sub(r'\W', '_', f'{self.id()} {spec} {key} {conf}'), spec)
        if key:
            shutil.copy(RIG.pki / f'{key}.key', folder / '9a.key')
        if conf:
            (folder / 'card.conf').write_text(conf)
        if pin:
            rig_module.note_pins(pin)
            (folder / 'pin').write_text(pin)
        return folder

    def insert(self, spec, **options):
        """Another card in the reader, at once: no test is about pcscd seeing it come (become, not swap)."""
        (WORK / 'cards').mkdir(exist_ok=True)
        folder = self.card_folder(spec, **options)
        self.control(f'become {folder}')
        self.control('tries 3')
        return folder

    def tries(self):
        return int(self.control('tries').split()[1])

    # -- the directory's content

    def change_directory(self, dn, *changes):
        """Change an entry as its administrator; put back when the test ends. A change: (attribute, [values])."""
        found = said(['slapcat', '-f', WORK / 'slapd/slapd.conf', '-o', 'ldif-wrap=no', '-H', f'ldap:///{dn}??base'])

        def before(attribute):
            return re.findall(rf'(?m)^{attribute}: (.*)$', found)
        self.addCleanup(self.write_entry, dn, [(attribute, before(attribute)) for attribute, _ in changes])
        self.write_entry(dn, changes)

    @staticmethod
    def write_entry(dn, changes):
        lines = [f'dn: {dn}', 'changetype: modify']
        for attribute, values in changes:
            lines += [f'replace: {attribute}', *(f'{attribute}: {value}' for value in values), '-']
        running = RIG.is_running('slapd')
        RIG.stop('slapd')
        config = WORK / 'slapd/slapd.conf'
        rig_module.run([rig_module.program('slapmodify'), '-f', config], input='\n'.join(lines) + '\n')
        rig_module.run([rig_module.program('slapindex'), '-q', '-f', config])  # slapmodify leaves it as it was
        if running:
            RIG.start('slapd')

    def give(self, name, **attributes):
        """What an account holds from now until the test ends, written by the directory's administrator with ldapmodify.

        A value: a text, bytes, or a list of them; [] takes the attribute away.  Returns what it held before.
        """
        dn = people.person_dn(name)
        found = ldap_admin('ldapsearch', '-LLL', '-o', 'ldif-wrap=no', '-b', dn, '-s', 'base', *attributes)

        def before(attribute):
            return [base64.b64decode(value) if colons == '::' else value for colons, value in
                    re.findall(rf'(?m)^{attribute}(::?) (.*)$', found)]
        held = {attribute: before(attribute) for attribute in attributes}
        self.addCleanup(modify_entry, dn, held)
        self.addCleanup(RIG.start, 'slapd')  # done before that
        modify_entry(dn, attributes)
        return held

    # -- what others say

    def klist(self, uid=ALICE_UID):
        return said(['klist', '-c', f'FILE:{self.folder}/tickets/krb5cc_{uid}'])


def ldap_admin(command, *arguments, **options):
    """OpenLDAP's own client, as the directory's administrator."""
    return said([command, '-x', '-H', f'ldap://127.0.0.1:{rig_module.LDAP_PORT}', '-D', people.ADMIN_DN,
                 '-w', people.ADMIN_PASSWORD, *arguments], **options)


def ldapmodify(ldif):
    ldap_admin('ldapmodify', input=ldif)


def modify_entry(dn, attributes):
    lines = [people.attribute('dn', dn), 'changetype: modify']
    for attribute, values in attributes.items():
        values = values if isinstance(values, list) else [values]
        lines += [f'replace: {attribute}', *(people.attribute(attribute, value) for value in values), '-']
    ldapmodify('\n'.join(lines) + '\n')


def wait_until(condition, what, seconds=SECONDS):
    rig_module.wait_until(condition, what, seconds)


def main(users=20):
    global RIG, PREFIX
    rig_module.enter()
    RIG = rig_module.Rig(os.environ['CM_RIG_PKI'], users=users)
    PREFIX = demo.as_alice_if_alone()
    unittest.main(module='__main__', verbosity=2, warnings='ignore')  # servers are not waited for
