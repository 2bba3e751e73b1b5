#!/usr/bin/python3
"""demo.py BUILD: a person's day with a card, on real servers: each step with what was done, its result, time and card commands.

Ends with 'demo: N steps, N ok' and status 0 only if all are. BUILD holds cli/cardmap, tests/rig/vcard and pki.
"""
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

os.environ['PYTHONDONTWRITEBYTECODE'] = '1'  # nothing is left behind, not even beside the source
sys.dont_write_bytecode = True
import rig as rig_module  # noqa: E402
from rig import PIN, WORK, Rig  # noqa: E402

SERVERS = ('slapd', 'kdc', 'ocsp', 'http')
COMMAND_SECONDS = 60
ALICE_UID, USERS_GID = 10001, 10000


def as_alice_if_alone():
    """Where only one uid is mapped, cardmap runs as the user who logs in: a ccache cannot be given to another."""
    mapped = Path('/proc/self/uid_map').read_text(encoding='ascii').split()
    if int(mapped[0]) <= ALICE_UID < int(mapped[0]) + int(mapped[2]) or len(mapped) > 3:
        return []
    return ['unshare', '--user', f'--map-user={ALICE_UID}', f'--map-group={USERS_GID}', '--']


class Demo:
    def __init__(self, build):
        self.cardmap = build / 'cli/cardmap'
        self.rig = Rig(build / 'pki', vcard=str(build / 'tests/rig/vcard'))
        self.rig.conf({'service.log': 'none'})
        self.prefix = as_alice_if_alone()
        self.steps = self.good = 0

    # -- One step: a title, a command, what must be true of its end

    def step(self, title, arguments, status, *expected, pin=None, absent=()):
        self.steps += 1
        before = self.card_commands()
        print(f'\n{self.steps}. {title}\n   $ {shlex.join(["cardmap", *arguments])}', flush=True)
        started = time.monotonic()
        got, said = self.run(arguments, pin)
        took = time.monotonic() - started
        for line in said.rstrip().splitlines():
            print('     ' + line)
        wrong = [] if got == status else [f'status {got}, expected {status}']
        wrong += [f'missing: {text}' for text in expected if not re.search(text, said)]
        wrong += [f'must not be there: {text}' for text in absent if re.search(text, said)]
        self.good += not wrong
        print(f'   {"ok" if not wrong else "FAILED: " + "; ".join(wrong)}'
              f'  ({took:.2f} s, {self.card_commands() - before} card commands)', flush=True)
        return said

    def run(self, arguments, pin):
        command = [*self.prefix, str(self.cardmap), arguments[0], '--config', str(WORK / 'cardmap.conf'), *arguments[1:]]
        environment = {**os.environ, **self.rig.environment(), 'NO_COLOR': '1'}
        if pin is None:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=COMMAND_SECONDS, env=environment)
            return done.returncode, done.stdout
        return type_pin(command, environment, pin)

    def login(self, title, status, *expected, pin=PIN, options=()):
        return self.step(title, ['login', *options], status, *expected, pin=pin, absent=[re.escape(pin)])

    def card_commands(self):
        try:
            return len([line for line in self.rig.card_log.read_text().splitlines() if line[:1].isdigit()])
        except FileNotFoundError:
            return 0

    def note(self, text):
        print('\n   -- ' + text, flush=True)

    def check(self, title, command, *expected):
        """A client that is not ours agrees."""
        self.steps += 1
        print(f'\n{self.steps}. {title}\n   $ {shlex.join(command)}', flush=True)
        started = time.monotonic()
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=COMMAND_SECONDS,
                              env={**os.environ, **self.rig.environment()})
        for line in (done.stdout + done.stderr).rstrip().splitlines():
            print('     ' + line)
        fine = done.returncode == 0 and all(re.search(text, done.stdout) for text in expected)
        self.good += fine
        print(f'   {"ok" if fine else "FAILED"}  ({time.monotonic() - started:.2f} s, 0 card commands)', flush=True)

    # -- The day

    def play(self):
        started = time.monotonic()
        self.rig.start(*SERVERS, 'pcscd').card('alice-rsa2048')
        print(f'slapd with {self.rig.users} accounts, MIT KDC, OCSP responder, CRL server, pcscd, virtual PIV card: '
              f'started in {time.monotonic() - started:.1f} s')
        self.online()
        self.offline()
        self.revoked()
        self.others()
        self.hard_without_evidence()

    def online(self):
        self.step('Which readers and cards are there?', ['cards'], 0, 'Virtual PCD', 'Alice', 'trusted')
        self.step('Whose card is this?', ['whois'], 0, r'account +alice\b', 'found by')
        self.step('Every stage with what it saw', ['explain'], 0, 'certificate', 'chain', 'account', 'revocation')
        self.login('Login, the PIN typed at a terminal', 0, r'account +alice\b', 'alice@CARDMAP.TEST', 'kept +account')
        self.check('The ticket, seen by klist', ['klist', '-c', f'FILE:{WORK}/tmp/krb5cc_{ALICE_UID}'],
                   'Default principal: alice@CARDMAP.TEST', 'krbtgt/')

    def offline(self):
        self.note('every server is stopped')
        self.rig.stop(*SERVERS)
        self.login('The same card with no network', 0, r'account +alice\b', 'offline', r'evidence +not revoked, learned')

    def revoked(self):
        self.note('servers are back; the certificate is revoked')
        self.rig.start(*SERVERS).revoke('alice-rsa2048')
        for level in ('soft', 'hard'):
            self.login(f'The revoked card, level {level}, asked about though its last answer still holds', 3,
                       r'reason: +revoked', options=['--set', f'trust.level={level}', '--set', 'trust.ask_always=yes'])
        self.note('every server is stopped')
        self.rig.stop(*SERVERS)
        self.login('The revoked card with no network', 3, r'reason: +revoked')

    def others(self):
        self.note('servers are back; another card, that nobody in the directory has')
        self.rig.start(*SERVERS).card('carol')
        self.step("A card without an account", ['login'], 1, r'reason: +no_account', pin=PIN)
        self.note("bob's certificate, copied onto a card with another key")
        self.insert_copy('bob', 'alice-rsa2048')
        self.login('A copied certificate', 3, r'reason: +card_key')
        self.note("bob's own card")
        self.rig.card('bob')
        self.login('A wrong PIN', 3, r'reason: +pin_wrong', '2 tries', pin='654321')
        self.login('The right PIN afterwards: one try was spent', 0, r'account +bob\b')

    def insert_copy(self, certificate, key):
        self.rig.card('none')
        folder = self.rig.make_card(WORK / 'card', certificate)
        shutil.copy(self.rig.pki / f'{key}.key', folder / '9a.key')
        self.rig.start('card')

    def hard_without_evidence(self):
        self.note('OCSP responder and CRL server are stopped; a card that was not seen here before, and no list is kept')
        self.rig.stop('ocsp', 'http').card('alice-p256')
        self.login('Level hard, and no evidence to be had', 3, r'reason: +revocation_unknown',
                   options=['--set', 'trust.level=hard', '--set', f'trust.crl_dir={WORK}/no-lists'])


def type_pin(command, environment, pin, asked=rb'PIN for [^\r\n]*: $'):
    """As a person at a terminal: the PIN is typed when it is asked for."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], command, environment)
    said, typed, deadline = b'', False, time.monotonic() + COMMAND_SECONDS
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # EIO: the child closed its side
            break
        if not chunk:
            break
        said += chunk
        if not typed and re.search(asked, said):
            os.write(terminal, pin.encode() + b'\n')
            typed = True
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.decode(errors='replace').replace('\r\n', '\n')


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build = Path(sys.argv[1]).resolve()
    rig_module.enter()
    demo = Demo(build)
    demo.play()
    print(f'\ndemo: {demo.steps} steps, {demo.good} ok')
    sys.exit(0 if demo.good == demo.steps else 1)


if __name__ == '__main__':
    main()
