#!/usr/bin/python3
"""demo.py BUILD: a person's day with a card, on real servers: each step with what was done, its result, time and card commands.

As root: su, PAM and the service, then the command alone; for others the command alone.  Ends with 'demo: N steps, N ok' and
status 0 only if all are.  BUILD holds the programs, built without sanitizers, tests/rig/vcard and pki.
"""
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ['PYTHONDONTWRITEBYTECODE'] = '1'  # nothing is left behind, not even beside the source
sys.dont_write_bytecode = True
import rig as rig_module  # noqa: E402
from rig import PIN, WORK, WRONG_PIN, Rig, RigError, wait_until  # noqa: E402
from terminal import Terminal  # noqa: E402

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
        self.build, self.cardmap = build, build / 'cli/cardmap'
        self.rig = Rig(build / 'pki', vcard=str(build / 'tests/rig/vcard'))
        self.rig.conf({'service.log': 'none'})
        self.prefix = as_alice_if_alone()
        self.steps = self.good = 0

    # -- One step: a title, a command, what must be true of its end

    def judge(self, title, shown, run, status, *expected, absent=()):
        """run() -> status and what was said."""
        self.steps += 1
        before = self.card_commands()
        print(f'\n{self.steps}. {title}\n   $ {shlex.join(shown)}', flush=True)
        started = time.monotonic()
        try:
            got, said = run()
        except (OSError, subprocess.TimeoutExpired) as error:
            got, said = None, str(error)
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

    def step(self, title, arguments, status, *expected, pin=None, absent=()):
        return self.judge(title, ['cardmap', *arguments], lambda: self.run(arguments, pin), status, *expected, absent=absent)

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
        def run():
            done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=COMMAND_SECONDS,
                                  env={**os.environ, **self.rig.environment()})
            return done.returncode, done.stdout + done.stderr
        self.judge(title, command, run, 0, *expected)

    # -- The day

    def play(self):
        started = time.monotonic()
        self.rig.start(*SERVERS, 'pcscd').card('alice-rsa2048')
        print(f'slapd with {self.rig.users} accounts, MIT KDC, OCSP responder, CRL server, pcscd, virtual PIV card: '
              f'started in {time.monotonic() - started:.1f} s')
        if is_root():
            ServiceDay(self).play()
        else:
            self.note('the service and su take root: here follows the command alone')
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
        self.login('A wrong PIN', 3, r'reason: +pin_wrong', '2 tries', pin=WRONG_PIN)
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


def is_root():
    """Root of the computer, not of a user namespace."""
    return os.geteuid() == 0 and Path('/proc/self/uid_map').read_text(encoding='ascii').split() == ['0', '0', '4294967295']


class ServiceDay:
    """The same by cardmapd and pam_cardmap: lena sits at the computer, alice brings her card."""

    def __init__(self, demo):
        import computer  # pylint: disable=import-outside-toplevel
        import service  # pylint: disable=import-outside-toplevel
        self.demo, self.rig, self.lena = demo, demo.rig, computer.LOCAL
        self.computer = computer.Computer(self.rig)
        with open(computer.ETC / 'group', 'a', encoding='ascii') as groups:
            groups.write(f'helpdesk:x:20100:{self.lena}\n')
        self.service = service.Service(self.computer, demo.build)
        self.service.conf(service__helpdesk_group='helpdesk', enforcement__required='yes')
        self.computer.pam(self.service.module)
        self.session = self.computer.logind.open(self.lena)
        self.environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'TERM': 'dumb', 'NO_COLOR': '1'}

    def su(self, title, answer, status, *expected, absent=()):
        """su - alice at lena's terminal; answer(terminal) is what alice does there."""
        command = ['su', '-', 'alice', '-c', 'id -un; klist -s && klist && kdestroy']

        def run():
            terminal = Terminal(self.session.command(command), self.environment)
            try:
                answer(terminal)
                return terminal.end()
            except (AssertionError, RigError, subprocess.TimeoutExpired) as error:
                return None, f'{terminal.text.decode(errors="replace")}\n{error}'
            finally:
                terminal.kill()
        return self.demo.judge(title, [f'({self.lena})', *command], run, status, *expected, absent=(PIN, *absent))

    def ask(self, title, arguments, status, *expected, user=None, absent=()):
        """cardmap, as this user, asks the service."""
        environment = {**self.environment, **self.rig.environment()}
        environment['PATH'] = f'{self.service_programs()}:{self.environment["PATH"]}'

        def run():
            command = self.session.command(['env', *(f'{k}={v}' for k, v in environment.items()), 'cardmap', *arguments], user or 'root')
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=COMMAND_SECONDS, env=environment)
            return done.returncode, done.stdout
        return self.demo.judge(title, [f'({user or "root"})', 'cardmap', *arguments], run, status, *expected, absent=absent)

    @staticmethod
    def service_programs():
        import service  # pylint: disable=import-outside-toplevel
        return service.HOME / 'bin'

    def play(self):
        self.demo.note('cardmapd starts, and its processes: the resolver, and one for the card')
        self.service.start()
        self.service.wait_prepared()
        self.ask('What does the service do?', ['status'], 0, r'resolver +pid', r'reader +Virtual PCD.*alice')
        self.su('alice logs in by her card, at the terminal of somebody else', lambda t: t.enter(ASKED, PIN), 0,
                r'(?m)^alice$', r'Default principal: alice@CARDMAP\.TEST', 'krbtgt/')
        self.demo.note('the card is taken along, to where no server is, and put in there')
        self.rig.stop(*SERVERS)
        self.exchange('alice-rsa2048')
        self.su('The same card with no network: the same account, and no ticket', lambda t: t.enter(ASKED, PIN), 1,
                r'(?m)^alice$', r'[Oo]ffline', absent=['krbtgt'])
        self.su('The card is taken out while the PIN is awaited: that PIN goes nowhere, and is asked again', self.take_out_and_in, 1,
                r'(?m)^alice$', r'(?s)PIN for.*PIN for')
        self.demo.note('servers are back; another card, that nobody in the directory has')
        self.rig.start(*SERVERS)
        self.exchange('carol')
        self.ask('The helpdesk asks why', ['explain'], 1, 'no_account', 'mend', user=self.lena)
        self.ask('Somebody else may not', ['explain'], 3, 'not_root', user='bob', absent=['carol'])
        self.ask('What was decided today?', ['log'], 0, 'login ok: alice', 'offline', 'stages')
        self.service.stop()
        self.rig.card('alice-rsa2048')
        self.demo.note('the service is stopped; the same by the command alone')

    def take_out_and_in(self, terminal):
        terminal.expect(ASKED)
        self.rig.card('none')
        wait_until(self.is_empty, 'the service to see it')
        terminal.enter(b'', PIN)
        self.rig.card('alice-rsa2048')
        terminal.enter(ASKED, PIN)

    def exchange(self, spec):
        """Another card in the reader, or the same again, as the service sees it."""
        self.rig.card('none')
        wait_until(self.is_empty, 'the service to see the card go')
        self.rig.card(spec)
        self.service.wait_prepared()

    def is_empty(self):
        return not any(card.get('present') for card in self.service.ask('io.cardmap.Status')['status']['cards'])


ASKED = rb'PIN for [^\r\n]*: ?$'


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
    # The end of process 1 is that of all it started.  An exception would be lost where it comes while Python forks.
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(130))
    demo = Demo(build)
    demo.play()
    print(f'\ndemo: {demo.steps} steps, {demo.good} ok')
    sys.exit(0 if demo.good == demo.steps else 1)


if __name__ == '__main__':
    main()
