#!/usr/bin/python3
"""test_service_tickets.py: who is logged in gets a ticket by the card (login --refresh), or a longer life for the one there (--renew).

The whole program, of a process of the user's at the seat; the KDC is MIT's.
"""
import json
import os
import shutil
import socket
import stat
import subprocess
import threading
from datetime import datetime, timezone

import scenario
import service_scenario
from scenario import ALICE_UID, PIN, SECONDS, WRONG_PIN, Counts
from service_scenario import PROMPT, ServiceScenario

import ccache
import rig as rig_module
import service as service_module
from kcm import Kcm

PROGRAM = service_module.HOME / 'bin/cardmap'  # a copy: not everybody may read the repository
REALM = rig_module.REALM
TGS = f'krbtgt/{REALM}@{REALM}'
HOUR = 3600
DUE = '--due'


def kadmin(request):
    rig_module.run([rig_module.program('kadmin.local'), '-r', REALM, '-q', request], env=scenario.RIG.kdc_environment())


def seconds(text):
    return int(datetime.strptime(text, '%Y-%m-%d %H:%M:%S UTC').replace(tzinfo=timezone.utc).timestamp())


class TicketScenario(ServiceScenario):
    changes = {'kerberos__timeout': 10000}  # what is asked for here must come

    @property
    def ccache(self):
        return service_scenario.SERVICE.tickets / f'krb5cc_{ALICE_UID}'

    @staticmethod
    def session(user):
        return service_scenario.COMPUTER.logind.open(user)

    def start_as(self, user, *arguments, pin=None, session=None, **environment):
        """cardmap login, with a PIN by --pin-fd."""
        command = ['env', 'NO_COLOR=1', *(f'{name}={value}' for name, value in environment.items()), PROGRAM, 'login']
        read, write = os.pipe()
        if pin is not None:
            os.write(write, pin.encode() + b'\n')
            command += ['--pin-fd', str(read)]
        os.close(write)
        try:
            return subprocess.Popen((session or self.session(user)).command([*command, *arguments]), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[read])
        finally:
            os.close(read)

    def end(self, process, status=0):
        out, err = process.communicate(timeout=SECONDS)
        self.assertEqual(process.returncode, status, out + err)
        self.assertNotIn(PIN, out + err)
        return out, err

    def ask_as(self, user, *arguments, status=0, reason=None, **options):
        answer = json.loads(self.end(self.start_as(user, *arguments, '--json', **options), status)[0])
        self.assertEqual(answer.get('reason'), reason, answer)
        return answer

    def refresh(self, *arguments, user='alice', pin=PIN, **options):
        return self.ask_as(user, '--refresh', *arguments, pin=pin, **options)

    def renew(self, *arguments, user='alice', **options):
        return self.ask_as(user, '--renew', *arguments, **options)

    def check_ticket(self):
        """It is alice's alone, it is all that there is, and others are got by it."""
        self.assertEqual(self.tickets(), [self.ccache.name])
        found = self.ccache.lstat()
        self.assertEqual((stat.S_ISREG(found.st_mode), found.st_uid, stat.S_IMODE(found.st_mode)), (True, ALICE_UID, 0o600))
        said = scenario.said(self.session('alice').command(['kvno', '-c', self.ccache, rig_module.HOST_PRINCIPAL]))
        self.assertIn(f'{rig_module.HOST_PRINCIPAL}: kvno', said)


class Between(threading.Thread):
    """A KDC's address where something happens before it is asked, or another answers."""

    def __init__(self, happens=None, answer=None):
        super().__init__(daemon=True)
        self.happens, self.answer = happens or (lambda: None), answer
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind(('127.0.0.1', 0))
        self.start()

    @property
    def option(self):
        return f'kerberos.kdc=127.0.0.1:{self.link.getsockname()[1]}'

    def run(self):
        request, whose = self.link.recvfrom(65536)
        self.happens()
        reply = self.answer
        if reply is None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kdc:
                kdc.settimeout(SECONDS)
                kdc.sendto(request, ('127.0.0.1', rig_module.KDC_PORT))
                reply = kdc.recv(65536)
        self.link.sendto(reply, whose)


class RefreshTest(TicketScenario):
    def test_with_the_network_and_without(self):
        self.check_inside(*self.log_in())
        self.drop_tickets()
        scenario.RIG.stop('slapd', 'kdc')
        answer = self.refresh(status=4, reason='kdc_offline')
        self.assertIn('no KDC answered', answer['message'])
        self.assertEqual(self.tickets(), [])
        scenario.RIG.start('slapd', 'kdc')
        with Counts() as counts:
            answer = self.refresh(KRB5CCNAME='FILE:/etc/passwd')     # at once, though the KDC is known to have been silent
        self.assertEqual((answer['account']['name'], answer['ccache']), ('alice', f'FILE:{self.ccache}'))
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
        self.check_ticket()
        self.assertRegex(service_scenario.SERVICE.log, r'(?m)^.*refresh.*alice')

    def test_who_gets_none(self):
        with Counts() as counts:
            for user, arguments, status, reason in (
                    ('bob', [], 3, 'not_here'), ('bob', ['alice'], 3, 'not_here'), ('alice', ['bob'], 3, 'not_here'),
                    ('lena', [], 3, 'not_here'), ('root', [], 64, 'usage')):
                with self.subTest(user=user, arguments=arguments):
                    self.refresh(*arguments, user=user, status=status, reason=reason)
            for session in (service_scenario.COMPUTER.logind.open('alice', remote=True), service_scenario.COMPUTER.logind.open('alice', active=False)):
                self.refresh(session=session, status=3, reason='not_here')
        self.assertEqual((counts.verifies(), self.tickets()), (0, []))
        self.assertEqual(self.refresh(pin=WRONG_PIN, status=3, reason='pin_wrong')['tries_left'], 2)
        self.assertEqual(self.tickets(), [])

    def test_no_card(self):
        self.again(service__wait=500)
        self.take_out()
        self.refresh(status=4, reason='no_card')
        self.put_in('bob')
        self.wait_card()
        self.refresh(status=3, reason='not_here')
        self.assertEqual(self.tickets(), [])

    def test_no_service(self):
        """What is kept is root's, and so is the keytab: nobody does it alone instead."""
        service_scenario.SERVICE.stop()
        with Counts() as counts:
            self.refresh(status=4, reason='no_service')
            self.refresh('--no-service', status=78, reason='config')    # the keytab
        self.assertEqual((counts.verifies(), self.tickets()), (0, []))

    def test_alone(self):
        """With a configuration and a store of her own."""
        service_scenario.SERVICE.stop()
        helpers = service_module.HOME / 'libexec/cardmap'
        helpers.symlink_to('.')     # where the command, installed, has them
        self.addCleanup(helpers.unlink)
        folder = rig_module.WORK / 'tmp/own'
        folder.mkdir(mode=0o700)
        self.addCleanup(shutil.rmtree, folder)
        conf, password = folder / 'cardmap.conf', folder / 'bind.password'
        password.write_text(rig_module.people.READER_PASSWORD, encoding='ascii')
        password.chmod(0o400)
        scenario.RIG.conf({'accounts.path': folder / 'accounts.db', 'accounts.userdb': None, 'directory.bind_password_file': password,
                           'kerberos.ccache': f'FILE:{self.ccache}', 'kerberos.keytab': folder / 'none', 'kerberos.timeout': 10000}, conf)
        for path in (folder, conf, password):
            os.chown(path, ALICE_UID, -1)
        options = ['--config', str(conf)]
        self.refresh(*options)
        self.check_ticket()
        self.drop_tickets()
        scenario.RIG.stop('kdc')
        self.refresh(*options, status=4, reason='kdc_offline')
        scenario.RIG.start('kdc')
        self.exchange('bob')
        self.refresh(*options, status=3, reason='not_here')
        self.assertEqual(self.tickets(), [])

    def test_at_a_terminal(self):
        terminal = self.terminal(['env', 'NO_COLOR=1', PROGRAM, 'login', '--refresh'], self.session('alice'))
        terminal.enter(PROMPT, PIN)
        status, text = self.ended(terminal)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, rf'(?m)^KRB5CCNAME +FILE:{self.ccache}\r?$')
        self.check_ticket()

    def test_several_at_once(self):
        with Counts() as counts:
            running = [self.start_as('alice', '--refresh', '--json', pin=PIN) for _ in range(3)]
            for process in running:
                self.end(process)
        self.assertEqual(counts.verifies(), 3)
        self.check_ticket()

    def test_not_into_what_is_anothers(self):
        """A login would warn, and go on without; who wants nothing else is told so."""
        elsewhere = rig_module.WORK / 'tmp/elsewhere'
        elsewhere.write_text('of alice\n')
        os.chown(elsewhere, ALICE_UID, -1)
        self.ccache.symlink_to(elsewhere)   # root's, in a folder as /tmp is
        self.refresh(status=4, reason='ccache')
        self.assertEqual((elsewhere.read_text(), self.ccache.is_symlink()), ('of alice\n', True))
        self.ccache.unlink()
        self.ccache.mkdir()
        self.refresh(status=4, reason='ccache')
        self.ccache.rmdir()
        self.ccache.symlink_to(elsewhere)   # her own: it is replaced, and not followed
        os.chown(self.ccache, ALICE_UID, -1, follow_symlinks=False)
        self.refresh()
        self.assertEqual(elsewhere.read_text(), 'of alice\n')
        self.check_ticket()


class RenewTest(TicketScenario):
    def setUp(self):
        super().setUp()
        self.check_inside(*self.log_in())

    def expires(self):
        return seconds(self.renew(DUE)['expires'])

    def age(self, by):
        return ccache.age(self.ccache, self.expires(), by)

    def unchanged(self, *arguments, **options):
        before = self.ccache.read_bytes()
        answer = self.renew(*arguments, **options)
        self.assertEqual(self.ccache.read_bytes(), before)
        return answer

    def test_in_time(self):
        life = self.expires() - ccache.life(self.ccache, self.expires())[0]
        self.assertFalse(self.unchanged(DUE)['renewed'])
        self.age(life // 2 - HOUR)
        self.assertEqual(self.end(self.start_as('alice', '--renew', DUE)), ('', ''))    # a timer's call, which has nothing to say
        until = self.age(2 * HOUR)
        old = self.ccache.read_bytes()
        out, _ = self.end(self.start_as('alice', '--renew', DUE, KRB5CCNAME='KEYRING:persistent:0'))
        self.assertRegex(out, rf'(?m)^ticket +alice@{REALM} until ')
        answer = self.renew(DUE)
        self.assertFalse(answer['renewed'])
        self.assertGreater(seconds(answer['expires']), until)
        self.assertNotEqual(self.ccache.read_bytes(), old)
        self.check_ticket()

    def test_with_no_service(self):
        service_scenario.SERVICE.stop()
        self.assertTrue(self.renew()['renewed'])
        self.check_ticket()

    def test_several_at_once(self):
        for process in [self.start_as('alice', '--renew', '--json') for _ in range(6)]:
            self.end(process)
        self.check_ticket()

    def test_whatever_KRB5CCNAME_says(self):
        for name in ('KCM:', 'KEYRING:persistent:0', 'DIR:/tmp', 'FILE:/etc/passwd', 'NONE:'):
            answer = self.renew(KRB5CCNAME=name)
            self.assertEqual((answer['renewed'], answer['ccache']), (True, f'FILE:{self.ccache}'))
        self.check_ticket()

    def test_a_kdc_that_refuses_and_one_that_is_silent(self):
        kadmin(f'modprinc -allow_renewable {TGS}')
        self.addCleanup(kadmin, f'modprinc +allow_renewable {TGS}')
        self.unchanged(status=3, reason='kdc_refused')
        scenario.RIG.freeze('kdc')
        try:
            self.unchanged('--set', 'kerberos.timeout=500', status=4, reason='kdc_offline')
        finally:
            scenario.RIG.thaw('kdc')
        scenario.RIG.stop('kdc')
        self.addCleanup(scenario.RIG.start, 'kdc')
        self.unchanged(status=4, reason='kdc_offline')
        self.assertFalse(self.unchanged(DUE)['renewed'])    # nobody is asked
        self.age(20 * HOUR)
        self.unchanged(DUE, status=4, reason='kdc_offline')

    def renew_between(self, *arguments, status=0, reason=None):
        between = Between(*arguments)
        answer = self.renew('--set', between.option, status=status, reason=reason)
        between.join(SECONDS)
        between.link.close()
        return answer

    def test_what_happens_meanwhile(self):
        """A newer ticket stays, and one that its user threw away does not come back."""
        old = self.ccache.read_bytes()
        self.assertTrue(self.renew()['renewed'])
        newer = self.ccache.read_bytes()
        self.ccache.write_bytes(old)
        answer = self.renew_between(lambda: self.ccache.write_bytes(newer))
        self.assertEqual((answer['renewed'], self.ccache.read_bytes()), (False, newer))
        self.assertTrue(self.renew_between()['renewed'])
        answer = self.renew_between(self.ccache.unlink, status=1, reason='no_ticket')
        self.assertIn('meanwhile', answer['message'])
        self.assertEqual(self.tickets(), [])

    def test_who_is_no_kdc(self):
        before = self.ccache.read_bytes()
        for answer in (b'x', b'\x6d\x03\x02\x01\x05', b'\x7e\x84\xff\xff\xff\xff', bytes(4000)):
            self.renew_between(None, answer, status=3, reason='kdc_refused')
            self.assertEqual(self.ccache.read_bytes(), before)

    def none(self, text):
        """There is nothing to be renewed; to a timer that is no news."""
        answer = self.renew(status=1, reason='no_ticket')
        self.assertIn(text, answer['message'])
        self.assertIn('--refresh', answer['remedy'])
        self.assertEqual(self.end(self.start_as('alice', '--renew', DUE)), ('', ''))

    def test_what_there_is_not(self):
        self.age(30 * HOUR)
        self.none('has expired')
        self.ccache.unlink()
        self.none('there is none')
        self.assertEqual(self.tickets(), [])
        self.renew(user='bob', status=1, reason='no_ticket')
        self.renew(user='root', status=1, reason='no_ticket')

    def test_what_is_not_the_users_own(self):
        ticket = self.ccache.read_bytes()
        for uid in (0, ALICE_UID + 1):
            os.chown(self.ccache, uid, -1)
            self.ccache.chmod(0o644)
            self.none('no file of this user')
            self.assertEqual((self.ccache.read_bytes(), self.ccache.stat().st_uid), (ticket, uid))
        elsewhere = rig_module.WORK / 'tmp/elsewhere'
        elsewhere.write_bytes(ticket)
        os.chown(elsewhere, ALICE_UID, -1)
        self.ccache.unlink()
        self.ccache.symlink_to(elsewhere)
        self.none('no file of this user')
        self.assertEqual(elsewhere.read_bytes(), ticket)
        self.ccache.unlink()
        os.mkfifo(self.ccache)
        self.none('no file of this user')

    def test_a_ticket_that_is_not_renewable(self):
        kadmin('modprinc -maxrenewlife 0 alice')
        self.addCleanup(kadmin, 'modprinc -maxrenewlife 7days alice')
        self.check_inside(*self.log_in())
        self.none('may be renewed no further')

    def test_what_cannot_be_meant(self):
        for arguments in (['--renew', '--refresh'], ['--due'], ['--refresh', '--due'], ['--renew', 'alice'], ['--renew', '--last-try']):
            self.ask_as('alice', *arguments, status=64, reason='usage')

    def test_of_a_daemon(self):
        """KCM: is by uid, as the keyring is."""
        kcm = Kcm()
        self.again(kerberos__ccache='KCM:%{uid}')
        status, text = self.log_in()
        self.assertEqual(status, 0, text)
        before = kcm.caches[ALICE_UID, str(ALICE_UID)]
        answer = self.renew()
        self.assertEqual((answer['renewed'], answer['ccache']), (True, f'KCM:{ALICE_UID}'))
        self.assertNotEqual(kcm.caches[ALICE_UID, str(ALICE_UID)], before)

    def test_in_a_folder(self):
        """DIR: is read, as it is written, where it is the user's alone."""
        folder = service_scenario.SERVICE.tickets / f'dir_{ALICE_UID}'
        self.again(kerberos__ccache=f'DIR:{folder.parent}/dir_%{{uid}}')
        status, text = self.log_in()
        self.assertEqual(status, 0, text)
        ticket = (folder / 'tkt').read_bytes()
        self.assertTrue(self.renew()['renewed'])
        self.assertNotEqual((folder / 'tkt').read_bytes(), ticket)
        for uid, mode in ((ALICE_UID, 0o777), (ALICE_UID + 1, 0o755)):
            os.chown(folder, uid, -1)
            folder.chmod(mode)
            self.none('no folder of this user')


if __name__ == '__main__':
    service_scenario.main()
