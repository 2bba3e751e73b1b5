#!/usr/bin/python3
"""test_service_steps.py: a login in which a process is killed, at each step of it: of every fault point that the sources have."""
import json
import re
import shutil
import sqlite3
import subprocess
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import ALICE_UID, NEW_PIN, PIN, wait_until
from service_scenario import ANY_PROMPT, SEEN, ServiceScenario

import computer as computer_module
import rig as rig_module
import service as service_module
import varlink
from rig import WORK

ROOT = Path(__file__).resolve().parents[2]
ONCE = WORK / 'faults/once'
HELPERS = ('helper.', 'resolver.', 'ccache')  # all other points are cardmapd's own
USERDB = Path('/etc/userdb')
MODULES = ('base', 'cache', 'card', 'cardmapd', 'client', 'helper', 'krb5', 'ldap', 'pam', 'resolver', 'service', 'trust')
GUID = 'guid=00112233445566778899aabbccddeeff\n'
UIDS = {'alice': ALICE_UID, 'bob': ALICE_UID + 1}
# The primary group, which nobody names in the directory, is made with the user's name.
GROUPS = {'alice': {'alice': computer_module.PEOPLE_GID, 'engineering': 10101, 'cards': 10102},
          'bob': {'bob': computer_module.PEOPLE_GID, 'engineering': 10101}}

REFUSED = rb'\([a-z_]+\)\r\n'  # the reason's code

# Of the files of a mobile account, one whose steps stand for those of all (tests/service/test_mobile_trouble.c has each of them).
FILE = 'alice.user'


def sources():
    for module in MODULES:
        for path in sorted((ROOT / module).glob('*.c')):
            yield path.read_text(encoding='utf-8')


def points_of_sources():
    """Stages are fault points by their names; the other tables name theirs, as each call does that has one of its own."""
    found = set()
    for text in sources():
        found |= set(re.findall(r'(?m)^\t\{ CM_(?:BEFORE|AFTER)_PIN,.*?"([a-z]+)"', text))
        found |= set(re.findall(r'"((?:helper|resolver)\.[A-Z_]+)"', text))
        found |= set(re.findall(r'cm_fault_point\("([^"]+)"\)', text))
        found |= {FILE + step for step in re.findall(r'\bfault\(f, "([:a-z]*)"\)', text)}
    return found


STAGES = ('certificate', 'chain', 'account', 'revocation', 'fresh', 'pin', 'possession', 'ticket', 'admit', 'remember', 'secret', 'session')
# Which login comes by which points.
FIRST = (*STAGES, 'helper.READER', 'helper.OPEN', 'helper.EXPECT_TICKET', 'helper.VERIFY', 'helper.GET_TICKET', 'resolver.CHAIN',
         'resolver.ACCOUNT', 'resolver.REVOCATION', 'resolver.KDC_STATE', 'ccache', 'ccache.written', 'ccache.told', 'granted',
         FILE, f'{FILE}:made', f'{FILE}:filled', f'{FILE}:named')
NO_KDC = ('helper.SIGN', 'resolver.KDC_SILENT')
ANEW = ('helper.READ_AGAIN',)
OTHERS = ('helper.OTHERS', 'helper.USE')
SECRET = ('helper.UNSEAL',)
PASSWD = ('helper.CHANGE_PIN',)
STATUS = ('resolver.STATE',)
STANDING = ('resolver.STANDING',)
ALL = (FIRST, NO_KDC, ANEW, OTHERS, SECRET, PASSWD, STATUS, STANDING)


class TableTest(unittest.TestCase):
    def test_no_point_is_without_a_kill(self):
        self.assertEqual(sorted(point for points in ALL for point in points), sorted(points_of_sources()))


class StepTest(ServiceScenario):
    """kill -9 of each process at each step of a login, by the fault points of the build under test."""
    with_faults = True
    starts = False
    user = 'alice'
    ticket = True

    def setUp(self):
        super().setUp()
        self.saved = None
        self.folders = (service_scenario.SERVICE.store.parent, service_scenario.SERVICE.tickets, USERDB)
        self.pam()

    def pam(self, options=''):
        service_scenario.COMPUTER.pam(service_scenario.SERVICE.module, f'allow_missing_name {options}')

    # -- what there is of an account

    def kept(self):
        """As the store has it, whether or not anybody serves it."""
        if not service_scenario.SERVICE.store.exists():
            return []
        store = sqlite3.connect(f'file:{service_scenario.SERVICE.store}?mode=ro', uri=True)
        try:
            self.assertEqual(store.execute('PRAGMA integrity_check').fetchone(), ('ok',))
            if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'account'").fetchone():
                return []
            return [row[0] for row in store.execute('SELECT DISTINCT name FROM account ORDER BY name')]
        finally:
            store.close()

    @staticmethod
    def files(name):
        """Of a mobile account: user and groups, each by name and by number, and memberships in all but the primary group."""
        groups = GROUPS[name].items()
        return {f'{name}.user', f'{UIDS[name]}.user', *(f'{group}.group' for group, _ in groups), *(f'{gid}.group' for _, gid in groups),
                *(f'{name}:{group}.membership' for group, _ in groups if group != name)}

    def check_files(self, name):
        """Each that has a name is whole, and says what its name does; the names."""
        found = {path.name for path in USERDB.iterdir()}
        named = {file for file in found if not file.startswith('.')}
        self.assertLessEqual(named, self.files(name))
        by_number = {str(gid): group for group, gid in GROUPS[name].items()}
        for file in named:
            record, (stem, _, kind) = json.loads((USERDB / file).read_text(encoding='utf-8')), file.rpartition('.')
            if kind == 'user':
                self.assertEqual((record['userName'], record['uid'], record['gid']), (name, UIDS[name], computer_module.PEOPLE_GID), file)
            elif kind == 'group':
                group = by_number.get(stem, stem)
                self.assertEqual((record['groupName'], record['gid']), (group, GROUPS[name][group]), file)
            else:
                self.assertEqual(record, {}, file)
        return found

    def check_half(self, point):
        kept, files = self.kept(), self.check_files(self.user)
        self.assertIn(kept, ([], [self.user]), point)
        if not point.startswith(FILE):  # there it is half written, and made whole at the start: check_whole()
            self.assertIn(files, (set(), self.files(self.user)), point)
        if files:
            self.assertEqual(kept, [self.user], f'{point}: files of nobody')

    def check_whole(self, point):
        wait_until(lambda: self.check_files(self.user) == self.files(self.user), f'{point}: all files of the account')
        self.assertEqual(self.kept(), [self.user], point)

    # -- one kill

    def clear(self):
        service_scenario.SERVICE.stop()
        for folder in self.folders:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def save(self):
        """What each of these logins finds: a login before."""
        service_scenario.SERVICE.stop()
        self.drop_tickets()
        self.saved = self.folder / 'saved'
        self.saved.mkdir()
        for folder in self.folders:
            subprocess.run(['cp', '-a', folder, self.saved / folder.name], check=True)

    def begin(self, point):
        self.clear()
        for folder in self.folders if self.saved else ():
            subprocess.run(['cp', '-a', f'{self.saved / folder.name}/.', folder], check=True)
        ONCE.parent.mkdir(exist_ok=True)
        ONCE.parent.chmod(0o777)  # whoever comes by takes it away
        ONCE.touch()
        service_scenario.SERVICE.start(CM_FAULT=f'kill:{point}', CM_FAULT_ONCE=ONCE)

    def log_in(self, pin=PIN, at_prompt=None, **_):
        """login(1), which asks the card for the name: this computer knows of nobody who was not here before."""
        terminal = self.background(['login'])
        terminal.expect(rb'PIN for [^\r\n]*: ?$|' + REFUSED)
        if not re.search(REFUSED, terminal.text):
            if at_prompt:
                at_prompt()
            terminal.type(f'{pin}\n')
            terminal.expect(rb'\$ $|' + REFUSED)
        if re.search(REFUSED, terminal.text):  # login(1) asks once more
            terminal.kill()
            return 1, terminal.text.decode(errors='replace')
        terminal.type(f'{SEEN}; exit\n')
        return self.ended(terminal)

    def one(self, point, login):
        self.begin(point)
        status, text = login()
        self.assertFalse(ONCE.exists(), f'{point}: no process ever came by this point')
        if not point.startswith(HELPERS):
            wait_until(lambda: not scenario.RIG.is_running('cardmapd') and not service_module.processes_of_service(), 'all to end')
        self.check_half(point)
        if not scenario.RIG.is_running('cardmapd'):
            service_scenario.SERVICE.start()
        if status:
            self.assertEqual(self.tickets(), [], f'{point}: {text}')
        self.wait_card()
        self.check_inside(*self.log_in(), user=self.user, ticket=self.ticket)
        self.assertEqual(list(service_module.RUN.glob('private/untold.*')), [])
        self.check_whole(point)

    def each(self, points, login=None, before=lambda: None):
        for point in points:
            with self.subTest(point):
                before()
                self.one(point, login or self.log_in)

    # -- the logins

    def known(self):
        """By a login of a service that nothing happens to."""
        self.clear()
        service_scenario.SERVICE.start()
        self.wait_card()
        self.check_inside(*self.log_in(), user=self.user)
        self.save()

    def test_the_first(self):
        self.each(FIRST)

    def test_without_a_kdc(self):
        """It ends while the PIN is typed."""
        def start():
            if not scenario.RIG.is_running('kdc'):
                scenario.RIG.start('kdc')
        self.known()
        self.addCleanup(start)
        self.ticket = False
        self.each(NO_KDC, lambda: self.log_in(at_prompt=lambda: scenario.RIG.stop('kdc')), start)

    def test_with_a_card_that_was_issued_anew(self):
        self.exchange('alice-rsa2048', conf=GUID)
        self.known()
        self.exchange('alice-p256', conf=GUID)
        self.each(ANEW)

    def test_with_another_certificate_than_the_first(self):
        self.user = 'bob'
        self.exchange('+9c=bob')
        self.configure(card__slots=['9c'])
        self.each(OTHERS)

    def test_with_a_secret(self):
        self.configure(accounts__secret='yes')
        self.pam('authtok')
        self.each(SECRET)

    def by_passwd(self):
        terminal = self.terminal(['passwd'], service_scenario.COMPUTER.logind.open('alice'))
        terminal.enter(ANY_PROMPT, PIN)
        for _ in range(2):
            terminal.enter(rb'(?i)new PIN[^\r\n]*: ?$', NEW_PIN)
        status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        return status, text

    def test_of_another_pin(self):
        """The card has not seen it: its PIN is what it was."""
        self.known()
        (computer_module.ETC / 'pam.d/passwd').write_text('@include common-password\n', encoding='ascii')
        self.each(PASSWD, self.by_passwd)

    def test_of_the_status(self):
        """Which a login comes by as little as anybody who is told: it goes on."""
        def ask():
            self.status()
            return self.log_in()
        self.each(STATUS, ask)

    def test_of_the_account_phase(self):
        """Of who comes by another way than this card."""
        def ask():
            with varlink.Connection(service_module.RUN / 'io.cardmap') as connection:
                connection.call('io.cardmap.Login.Begin', {'user': 'alice', 'service': 'sshd', 'purpose': 'account'}, more=True)
                end = connection.receive()['parameters']
            self.assertEqual((end['state'], end['reason']), ('refused', 'helper'))
            return 1, end['text']
        self.configure(enforcement__required='no')
        self.known()
        self.each(STANDING, ask)


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    assert rig_module
    service_scenario.main()
