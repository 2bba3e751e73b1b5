"""service_scenario.py: what the tests of the service share: a computer, cardmapd on it, a card in its reader.

Environment, beside scenario.py's: CM_BUILD the build folder under test, CM_PLAIN_BUILD one without sanitizers: su, sudo,
login and sshd load no others. Tests that make processes die take the first for cardmapd, all else the second.
"""
import os
import pwd
import re
import shutil
import stat
import sys
import unittest
from pathlib import Path

import scenario
from scenario import ALICE_UID, PIN, Scenario, wait_until

import computer as computer_module
import rig as rig_module
import service as service_module
from computer import in_background
from rig import WORK
from terminal import Terminal

COMPUTER = SERVICE = None
READER = rig_module.READER
TERMINAL = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'TERM': 'dumb', 'LC_ALL': 'C.UTF-8'}
PROMPT = rb'PIN for Alice Example[^\r\n]*3 tries left[^\r\n]*: ?$'
ANY_PROMPT = rb'PIN for [^\r\n]*: ?$'
SEEN = 'id -un; id -u; echo "ccache=$KRB5CCNAME"; test -z "$KRB5CCNAME" || klist || true'
LOGIN_SECONDS = 30


class ServiceScenario(Scenario):
    """cardmapd runs, alice's card is in the reader, lena sits at the seat; nobody was here before."""
    card = 'alice-rsa2048'
    changes = {}    # of the configuration: a__b is a.b
    starts = True   # cardmapd
    with_faults = False

    def setUp(self):
        super().setUp()
        self.addCleanup(COMPUTER.logind.close_all)
        self.addCleanup(SERVICE.stop)
        rig_module.check_no_pin(SERVICE.store.parent, SERVICE.tickets, '/home')
        for folder in (SERVICE.store.parent, SERVICE.tickets, Path('/home')):
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (service_module.RUN / 'private/spent').unlink(missing_ok=True)  # by a test before, for the card that is still in
        home = Path('/home') / computer_module.LOCAL
        home.mkdir()
        os.chown(home, computer_module.LOCAL_UID, computer_module.LOCAL_UID)
        SERVICE.use(os.environ['CM_BUILD'] if self.with_faults else plain_build())
        COMPUTER.pam(SERVICE.module)
        self.seat = COMPUTER.logind.open(computer_module.LOCAL)
        self.configure()
        if self.starts:
            self.start()

    def configure(self, more='', **changes):
        timeouts = {key.replace('.', '__'): value for key, value in self.deadlines().items()}
        # A card is required, so that a refusal is one; where a password does as well, a test says so.
        SERVICE.conf(more, **{'enforcement__required': 'yes', **timeouts, **self.changes, **changes})

    def start(self, **environment):
        SERVICE.start(**environment)
        if self.card:
            self.wait_card()

    def again(self, more='', **changes):
        """cardmapd anew, with another configuration."""
        SERVICE.stop()
        self.configure(more, **changes)
        self.start()

    def wait_card(self):
        SERVICE.wait_prepared()

    # -- programs that log in

    def terminal(self, command, session=None, user=None, **environment):
        """In a session (at first that of lena, who sits at the seat); without one: in_background()."""
        command = (session or self.seat).command(command, user)
        terminal = Terminal(command, {**TERMINAL, **environment})
        self.addCleanup(terminal.kill)
        return terminal

    def background(self, command, user='root', **environment):
        terminal = Terminal(in_background(command, user), {**TERMINAL, **environment})
        self.addCleanup(terminal.kill)
        return terminal

    def su(self, user='alice', script=SEEN, **options):
        return self.terminal(['su', user, '-c', script], **options)

    def log_in(self, pin=PIN, prompt=ANY_PROMPT, **options):
        """su by card: its status and all it wrote."""
        terminal = self.su(**options)
        terminal.enter(prompt, pin)
        return self.ended(terminal, pin)

    def ended(self, terminal, pin=PIN):
        status, text = terminal.end(LOGIN_SECONDS)
        self.assertNotIn(pin, text, 'the PIN is on the screen')
        return status, text

    def refused(self, reason, pin=PIN, text='', prompt=ANY_PROMPT, **options):
        """su by card does not get in, for this one reason, which is on the screen with its code."""
        terminal = self.su(**options)
        if prompt:
            terminal.enter(prompt, pin)
        status, said = self.ended(terminal, pin)
        self.assertNotEqual(status, 0, said)
        self.assertIn(reason, said)
        if text:
            self.assertRegex(said, text)
        self.assertNotIn('ccache=', said, 'the command was run')
        return said

    # -- what became of it

    def tickets(self):
        return sorted(path.name for path in SERVICE.tickets.iterdir())

    def check_inside(self, status, text, user='alice', ticket=True):
        """The command ran as that user, with a ticket that MIT's klist reads as them."""
        uid = pwd.getpwnam(user).pw_uid
        self.assertEqual(status, 0, text)
        self.assertIn(f'\n{user}\n{uid}\n', text)
        name = re.search(r'(?m)^ccache=(.*)$', text)[1]
        if not ticket:
            # No KDC answered: it is named, for the ticket that comes later, and there is none.
            self.assertEqual((name, os.path.exists(name.partition(':')[2])), (f'FILE:{SERVICE.tickets}/krb5cc_{uid}', False))
            return
        kind, _, path = name.partition(':')
        found = os.stat(path)
        self.assertEqual((kind, found.st_uid, stat.S_IMODE(found.st_mode)), ('FILE', uid, 0o600))
        self.assertTrue(path.startswith(f'{SERVICE.tickets}/'), path)
        self.assertIn(f'Default principal: {user}@CARDMAP.TEST', text)
        self.assertIn('krbtgt/CARDMAP.TEST@CARDMAP.TEST', text)

    @staticmethod
    def drop_tickets():
        for path in SERVICE.tickets.iterdir():
            path.unlink()

    def kept(self):
        """Names of the accounts that are kept."""
        return sorted({entry['account']['name'] for entry in SERVICE.ask('io.cardmap.Accounts')['accounts']})

    def status(self):
        return SERVICE.ask('io.cardmap.Status')['status']

    def take_out(self):
        self.control('remove')
        wait_until(lambda: not rig_module.card_is_in(scenario.RIG), 'the card to be out')

    def put_in(self, spec=None, **options):
        """As a person does: pcscd sees it come."""
        self.control(f'insert {self.card_folder(spec, **options)}' if spec else 'insert')

    def exchange(self, spec, **options):
        self.control(f'swap {self.card_folder(spec, **options)}')


def search_memory(pid, find):
    found = set()
    with open(f'/proc/{pid}/maps', encoding='utf-8') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory:
        for line in maps:
            addresses, rights = line.split()[:2]
            start, end = (int(part, 16) for part in addresses.split('-'))
            if not rights.startswith('rw') or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError):
                continue
            found |= set(find(data))
    return sorted(found)


def memory_has(pid, find):
    """What find(octets) finds in its own writable memory; of a process that ended meanwhile nothing."""
    try:
        return search_memory(pid, find)
    except FileNotFoundError:
        return []


def plain_build():
    return os.environ['CM_PLAIN_BUILD']


def main(users=20, **rig_options):
    """As scenario.main(), for root alone."""
    global COMPUTER, SERVICE
    if os.geteuid() != 0:
        print('the service needs root: [  SKIPPED ]')
        sys.exit(77)
    rig_module.enter()
    scenario.RIG = rig_module.Rig(os.environ['CM_RIG_PKI'], users=users, **rig_options)
    scenario.RIG.start('kdc')  # which makes the host's keytab
    COMPUTER = computer_module.Computer(scenario.RIG)
    SERVICE = service_module.Service(COMPUTER, plain_build())
    (WORK / 'cards').mkdir(exist_ok=True)
    unittest.main(module='__main__', verbosity=2, warnings='ignore')


__all__ = ['ServiceScenario', 'ALICE_UID', 'main', 'memory_has']
