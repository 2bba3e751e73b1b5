#!/usr/bin/python3
"""test_service_mobile.py: mobile accounts, as this computer's own programs see them through nss-systemd."""
import contextlib
import os
import pwd
import re
import shutil
import sqlite3
import subprocess
import unittest
from datetime import datetime
from pathlib import Path

import scenario
import service_scenario
import test_service_clock
import varlink
from scenario import PIN, wait_until
from service_scenario import ANY_PROMPT, PROMPT, SEEN, ServiceScenario


DAY = 86400
USERDB = Path('/etc/userdb')
EXTRA = Path('/var/lib/extrausers')


def said(*command, status=0):
    """What a program of this computer's says; it looks names up by nsswitch.conf(5)."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == status, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout.strip()


class Stranger(ServiceScenario):
    """Whose card it is, is known to the directory alone: not to this computer."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for path in USERDB.iterdir():
            path.unlink()

    def setUp(self):
        for path in USERDB.iterdir():
            path.unlink()
        super().setUp()
        service_scenario.COMPUTER.pam(service_scenario.SERVICE.module, 'allow_missing_name')

    def enter(self, first=None):
        """By card, whose name the program login does not know before."""
        terminal = self.background(['login'])
        if first:
            terminal.expect(first[0])
            terminal.type(first[1] + '\n')
        terminal.enter(ANY_PROMPT, PIN)
        terminal.expect(rb'\$ ')
        terminal.type(f'{SEEN}; exit\n')
        return self.ended(terminal)

    def away(self):
        scenario.RIG.stop('slapd')
        self.addCleanup(scenario.RIG.start, 'slapd')

    def names(self):
        return sorted(path.name for path in USERDB.iterdir())


class Groups(Stranger):
    """grace is in groups of the directory that are this computer's, by name and gid: sudo and disk."""
    card = 'grace'

    def test_groups_of_this_computer(self):
        self.enter()
        self.assertFalse({'sudo', 'disk'} & set(said('id', '-Gn', 'grace').split()))
        self.again(accounts__local_groups=['sudo', 'wheel0', 'root'])
        self.enter()
        groups = said('id', '-Gn', 'grace').split()
        self.assertIn('sudo', groups)
        self.assertFalse({'disk', 'wheel0', 'root'} & set(groups))
        self.assertEqual(said('getent', 'group', 'sudo').split(':')[2], '27')
        self.assertNotIn('sudo.group', self.names())
        self.again()
        wait_until(lambda: 'sudo' not in said('id', '-Gn', 'grace').split(), 'the membership to go')


class Mobile(Stranger):
    """alice."""

    def test_a_first_login_makes_somebody_known(self):
        said('getent', 'passwd', 'alice', status=2)
        status, text = self.enter()
        self.check_inside(status, text)
        self.away()
        self.assertEqual(said('getent', 'passwd', 'alice'), 'alice:x:10001:10000:Alice Example:/home/alice:/bin/bash')
        self.assertEqual(said('getent', 'passwd', '10001'), said('getent', 'passwd', 'alice'))
        groups = said('id', '-Gn', 'alice').split()
        self.assertEqual(said('id', '-u', 'alice'), '10001')
        for group in groups:
            self.assertIn(f'{group}:x:', said('getent', 'group', group))
        self.assertGreater(len(groups), 1)
        self.assertRegex(said('ls', '-ld', '/home/alice'), rf'^d\S+ \d+ alice {groups[0]} ')
        # Of them all, and with nobody who could be asked: the card still opens the account.
        for path in USERDB.iterdir():
            if not path.is_symlink():
                self.assertEqual((path.stat().st_mode & 0o777, path.stat().st_uid), (0o644, 0))
        self.check_inside(*self.log_in(prompt=PROMPT))

    def test_who_is_disowned_is_known_no_more_and_the_home_stays(self):
        """Whatever the directory says against her; with the cable out after that her card opens nothing."""
        for attributes in ({'userAccountControl': '514'}, {'altSecurityIdentities': []}):
            with self.subTest(attributes):
                self.check_inside(*self.enter())
                self.give('alice', **attributes)
                self.read_again()
                wait_until(lambda: self.names() == [], f'the records to go: {self.names()}')
                said('getent', 'passwd', 'alice', status=2)
                self.assertEqual((self.kept(), os.stat('/home/alice').st_uid), ([], 10001))
                scenario.RIG.stop('slapd')
                self.read_again()
                terminal = self.background(['login'])
                terminal.expect(rb'\(not_kept\)')
                terminal.kill()
                scenario.RIG.start('slapd')
                self.give('alice', userAccountControl=[])
                self.read_again()
        self.assertRegex(service_scenario.SERVICE.log, r'mobile-end .*alice is no longer kept here.*/home/alice stays')

    def read_again(self):
        self.take_out()
        self.put_in()
        self.wait_card()

    def test_forgotten(self):
        self.check_inside(*self.enter())
        service_scenario.SERVICE.ask('io.cardmap.Accounts', {'forget': 'alice'})
        wait_until(lambda: self.names() == [], 'the records to go')

    def listed(self, *arguments, status=0):
        """By the service and without it: the same."""
        answers = [self.cardmap('accounts', *arguments, *more, status=status) for more in ((), ('--no-service',))]
        self.assertEqual(*(re.sub(r'"version".*|"us": \d+|[0-9.]+ ms', '', answer.out) for answer in answers))
        return answers[0]

    def test_what_became_of_it_is_told(self):
        self.again(accounts__offline_days=3)
        self.check_inside(*self.enter())
        mobile = self.listed('list', '--json').json['accounts'][0]['mobile']
        self.assertEqual((mobile['state'], mobile['made']), ('known', mobile['refreshed']))
        made, expires = (datetime.strptime(mobile[key], '%Y-%m-%d %H:%M:%S UTC') for key in ('made', 'expires'))
        self.assertEqual((expires - made).days, 3)
        self.assertRegex(self.listed('list').out, r'alice +10001 .*, mobile: known')
        self.assertRegex(self.listed('show', 'alice').out, r'mobile account +known: made 20.* UTC, refreshed 20.* UTC, expires 20')
        self.give('alice', altSecurityIdentities=[])
        service_scenario.SERVICE.restart()
        self.wait_card()
        wait_until(lambda: self.names() == [], 'the records to go')
        answer = self.listed('list', '--json').json
        self.assertEqual(([], ['alice']), (answer['accounts'], [one['name'] for one in answer['closed']]))
        self.assertRegex(self.listed('list').out, r'alice +10001 +closed 20.* UTC: ')
        self.assertRegex(self.listed('show', 'alice', status=1).out, r'closed +20.* UTC: ')

    def test_a_store_with_a_damaged_page(self):
        """Each page in turn: what is kept, or that it cannot be told; never another's, and cardmapd goes on."""
        self.check_inside(*self.enter())
        store = service_scenario.SERVICE.store
        with contextlib.closing(sqlite3.connect(store)) as database:
            database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        good, pid, said_so = store.read_bytes(), service_scenario.SERVICE.pid, 0
        whole = service_scenario.SERVICE.ask('io.cardmap.Accounts')
        for page in range(0, len(good), 4096):
            with open(store, 'r+b') as out:
                out.seek(page)
                out.write(bytes(4096) if page else good[:64] + bytes(4032))
            try:
                found = service_scenario.SERVICE.ask('io.cardmap.Accounts')['accounts']
                untold = [{**one, 'mobile': {'state': 'unknown', 'made': None, 'refreshed': None, 'expires': None}} for one in whole['accounts']]
                self.assertIn(found, ([], whole['accounts'], untold))
            except varlink.VarlinkError as error:
                self.assertEqual((error.name, error.parameters['reason']), ('io.cardmap.Failed', 'store'))
                said_so += 1
            with open(store, 'r+b') as out:
                out.write(good)
            self.assertIn('status', service_scenario.SERVICE.ask('io.cardmap.Status'))
        self.assertGreater(said_so, 0)
        self.assertEqual(service_scenario.SERVICE.ask('io.cardmap.Accounts'), whole)
        self.assertEqual(service_scenario.SERVICE.pid, pid)
        self.assertIn('alice.user', self.names())
        self.check_inside(*self.enter())

    def test_carried_to_a_new_computer(self):
        """By root, with the key and not without: there the card opens the account that this computer never heard of, with no network."""
        self.check_inside(*self.enter())
        carried, key, other = (self.folder / name for name in ('carried', 'key', 'other'))
        self.cardmap('accounts', 'export', carried, '--key', key)
        self.cardmap('accounts', 'export', self.folder / 'again', 'alice', '--key', other)
        self.assertEqual([path.stat().st_mode & 0o777 for path in (carried, key)], [0o600, 0o600])
        self.assertNotIn(b'alice', carried.read_bytes())
        self.cardmap('accounts', 'export', carried, '--key', self.folder / 'third', status=4)   # neither is written over
        self.new_computer()
        self.cardmap('accounts', 'import', carried, status=64)
        refused = self.cardmap('accounts', 'import', carried, '--key', other, '--json', status=None)
        self.assertEqual((refused.reason, self.kept(), self.names()), ('store', [], []))
        came = self.cardmap('accounts', 'import', carried, '--key', key, '--json').json['accounts']
        self.assertEqual([(one['name'], one['imported']) for one in came], [('alice', True)])
        self.assertEqual(said('id', '-u', 'alice'), '10001')
        self.read_again()
        self.check_inside(*self.enter(), ticket=False)
        again = self.cardmap('accounts', 'import', carried, '--key', key, '--json').json['accounts']
        self.assertEqual([(one['name'], one['imported']) for one in again], [('alice', False)])

    def new_computer(self):
        """Where nothing is kept and no server answers."""
        service_scenario.SERVICE.stop()
        for folder in (service_scenario.SERVICE.store.parent, USERDB):
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree('/home/alice')
        self.drop_tickets()
        scenario.RIG.stop(*scenario.SERVERS)
        self.start()
        said('getent', 'passwd', 'alice', status=2)

    def test_policy(self):
        self.again(accounts__mobile='off')
        terminal = self.background(['login'])
        terminal.enter(PROMPT, PIN)
        terminal.expect(rb'\n')
        terminal.end(30)
        self.assertEqual(self.names(), [])

    def test_policy_of_a_group(self):
        """alice is in it, bob is not; whom root no longer wants in it is known no more."""
        self.again(accounts__mobile='group', accounts__mobile_group='cards')
        self.check_inside(*self.enter())
        self.assertEqual(said('id', '-u', 'alice'), '10001')
        names = self.names()
        self.assertIn('alice.user', names)
        self.exchange('bob')
        self.wait_card()
        terminal = self.background(['login'])
        terminal.enter(rb'PIN for Bob Example[^\r\n]*: ?$', PIN)
        terminal.expect(rb'\n')
        terminal.end(30)    # who is not known here cannot come in by login(1)
        self.assertEqual((self.kept(), self.names()), (['alice', 'bob'], names))
        said('getent', 'passwd', 'bob', status=2)
        self.again(accounts__mobile='group', accounts__mobile_group='users')
        wait_until(lambda: self.names() == [], f'the records to go: {self.names()}')
        self.assertRegex(service_scenario.SERVICE.log, r'mobile-end .*alice has no mobile account by accounts\.mobile')

    def test_whoever_is_asked_decides(self):
        self.again(accounts__mobile='ask')
        self.check_inside(*self.enter(first=(rb'(?s)1  keep this account.*Which one, 1 to 3: ', '1')))
        self.assertIn('alice.user', self.names())
        self.check_inside(*self.enter())    # and is not asked again

    def test_who_has_no_pin_decides_nothing(self):
        """Whoever finds the card may say "never", and it is written down with the right PIN alone."""
        self.again(accounts__mobile='ask')
        asked = rb'(?s)3  do not keep it, and do not ask again.*Which one, 1 to 3: '
        terminal = self.background(['login'])
        terminal.expect(asked)
        terminal.type('3\n')
        terminal.expect(PROMPT)
        terminal.kill()
        for again in False, True:
            terminal = self.background(['login'])
            if not again:
                terminal.expect(asked)
                terminal.type('3\n')
            terminal.enter(PROMPT, PIN)
            self.assertEqual(b'do not keep it' in terminal.text, not again)
            terminal.end(30)    # who is not known here cannot come in by login(1)
        self.assertEqual(self.names(), [])

    def test_hostile_values(self):
        """What a directory may say of somebody, and what of it comes to this computer."""
        self.give('alice', homeDirectory='/etc')
        self.drive('a home outside', r'no mobile account: .*accounts\.home_roots')
        self.assertEqual(self.names(), [])
        self.give('alice', homeDirectory='/home/alice')
        # whom another source of nss-systemd's has is not described beside that
        other = Path('/run/userdb')
        other.mkdir()
        self.addCleanup(shutil.rmtree, other)
        (other / 'alice.user').write_text('{"userName":"alice","uid":10001,"gid":10000,"homeDirectory":"/home/alice","shell":"/bin/bash"}', encoding='ascii')
        (other / '10001.user').symlink_to('alice.user')
        self.read_again()
        status, text = self.enter()
        self.check_inside(status, text)
        self.assertRegex(text, r'no mobile account: /run/userdb has a record of the name alice, or of uid 10001')
        self.assertEqual(self.names(), [])

    def test_other_sources_of_names(self):
        """libnss-extrausers, as SSSD or nslcd would: what it has is not given to anybody else, and who cannot ask it gives nothing."""
        nsswitch = Path('/etc/nsswitch.conf')
        before = nsswitch.read_text(encoding='ascii')
        self.addCleanup(nsswitch.write_text, before, encoding='ascii')
        nsswitch.write_text(before.replace(' systemd', ' systemd extrausers'), encoding='ascii')
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=0755', 'none', EXTRA], check=True)
        self.addCleanup(subprocess.run, ['umount', EXTRA], check=True)
        (EXTRA / 'group').write_text('', encoding='ascii')
        self.drive('one that cannot tell', r'no mobile account: extrausers of nsswitch.conf could not be asked')
        self.assertEqual(self.names(), [])
        (EXTRA / 'passwd').write_text('mallory:x:10001:10000::/home/mallory:/bin/sh\n', encoding='ascii')
        service_scenario.SERVICE.restart()
        self.wait_card()
        terminal = self.background(['login'])
        terminal.enter(ANY_PROMPT, PIN)
        terminal.expect(rb'not_this_user')  # this computer calls that uid mallory: nobody gets that as alice
        terminal.kill()
        self.assertEqual(self.names(), [])
        self.assertEqual(said('getent', 'passwd', '10001').partition(':')[0], 'mallory')
        (EXTRA / 'passwd').write_text('alice:x:10001:10000::/home/alice:/bin/sh\n', encoding='ascii')
        (EXTRA / 'group').write_text('engineering:x:10999:\n', encoding='ascii')
        service_scenario.SERVICE.restart()
        self.wait_card()
        self.check_inside(*self.enter())
        self.assertIn('10001.user', self.names())
        self.assertIn('alice:cards.membership', self.names())
        self.assertNotIn('engineering.group', self.names())
        self.assertNotIn('alice:engineering.membership', self.names())

    def drive(self, what, warning):
        service_scenario.SERVICE.restart()
        self.wait_card()
        terminal = self.background(['login'])
        terminal.enter(ANY_PROMPT, PIN)
        _, text = terminal.end(30)
        self.assertRegex(text, warning, what)


class Expiry(Stranger, test_service_clock.ClockScenario):
    """The days since alice was last here with the network are counted by this computer's clock."""
    changes = {'accounts__offline_days': 30}

    def after(self, days):
        test_service_clock.shift(days * DAY)
        self.read_again()

    def test_who_was_away_for_too_long(self):
        self.addCleanup(scenario.RIG.stop, *scenario.SERVERS)   # of that day: the next test's are of today
        self.check_inside(*self.enter())
        scenario.RIG.stop(*scenario.SERVERS)
        self.drop_tickets()
        self.after(29)
        service_scenario.SERVICE.restart()
        self.wait_card()
        self.check_inside(*self.enter(), ticket=False)
        self.assertEqual(said('id', '-u', 'alice'), '10001')
        # While it runs, and started anew.
        self.after(31)
        self.refused_here()
        service_scenario.SERVICE.restart()
        self.wait_card()
        wait_until(lambda: self.names() == [], f'the records to go: {self.names()}')
        said('getent', 'passwd', 'alice', status=2)
        self.assertRegex(service_scenario.SERVICE.log, r'mobile-end .*alice had no login with the network for longer than accounts\.offline_days')
        self.assertEqual(os.stat('/home/alice').st_uid, 10001)
        [entry] = service_scenario.SERVICE.ask('io.cardmap.Accounts')['accounts']
        self.assertEqual(entry['mobile']['state'], 'rests')
        self.refused_here()
        # With the network he is who he was.
        scenario.RIG.start(*scenario.SERVERS)
        service_scenario.SERVICE.restart()
        self.wait_card()
        self.check_inside(*self.enter())
        self.assertEqual(said('id', '-u', 'alice'), '10001')

    def refused_here(self):
        terminal = self.background(['login'])
        terminal.expect(rb'\(kept_too_old\)')
        terminal.kill()
        self.assertEqual(self.tickets(), [])


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    service_scenario.main()
