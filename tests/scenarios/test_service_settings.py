#!/usr/bin/python3
"""test_service_settings.py: what macOS has around the login: users who pair their own cards, tokens that are not used."""
import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import mapping
import scenario
import service_scenario
from scenario import PIN, SECONDS, WRONG_PIN, Counts, wait_until
from service_scenario import TERMINAL, ServiceScenario
from test_service_seat import Caller

import bus
import rig as rig_module
import service as service_module
from computer import LOCAL, LOCAL_UID, PASSWORD, in_background
from rig import WORK
from terminal import Terminal

LOG_MAX = 1 << 20
# Of eight keys; a user pairs no more (service/pair_apart.h).
EIGHT = ('alice-rsa2048', 'alice-rsa3072', 'alice-p256', 'alice-p384', 'bob', 'dave', 'erin', 'grace')
PROGRAM = service_module.HOME / 'bin/cardmap'


class PairingScenario(ServiceScenario):
    """carol's card is in, which opens no account; lena, an account of this computer's own, sits at the seat."""
    card = 'carol'
    with_faults = True
    changes = {'kerberos__ticket': 'off'}
    switched = 'on'

    def setUp(self):
        super().setUp()
        self.hash = mapping.key_hash('carol').upper()
        self.switch(self.switched)

    def switch(self, to):
        done = self.cardmap('pairing-ui', to, '--json')
        self.assertEqual((done.status, done.json['pairing_ui']), (0, to == 'on'), done.out + done.err)
        asked = self.cardmap('pairing-ui', 'status', '--json')
        self.assertEqual((asked.status, asked.json['pairing_ui']), (0, to == 'on'), asked.out + asked.err)
        self.assertRegex(self.cardmap('pairing-ui', 'status').out, rf'(?m)^pairing ui +{to}$')

    def type(self, *arguments, session=None, user=None, stdin='', **environment):
        """The command at a terminal of this session: at first of lena's, at the seat; stdin: what it reads instead."""
        command = (session or self.seat).command([PROGRAM, *arguments], user)
        given = {'ASAN_OPTIONS': 'detect_leaks=0', **TERMINAL, 'HOME': f'/home/{LOCAL}', **environment}
        # setpriv --reset-env leaves what a login has
        at = command.index(str(PROGRAM))
        command[at:at] = ['env', *(f'{name}={value}' for name, value in given.items()),
                          *(('sh', '-c', f'exec "$0" "$@" <{stdin}') if stdin else ())]
        terminal = Terminal(command, TERMINAL)
        self.addCleanup(terminal.kill)
        return terminal

    def pair(self, pin=PIN, password=PASSWORD, **options):
        terminal = self.type('pair', **options)
        terminal.enter(rb'PIN for [^\r\n]*: ?$', pin)
        terminal.enter(rb'Password of lena on this computer: ?$', password)
        status, text = terminal.end()
        self.assertNotIn(pin, text)
        self.assertNotIn(password, text, 'the password is on the screen')
        return status, text

    def pairings(self):
        return [(entry['hash'], entry['user'], entry['local']) for entry in self.cardmap('pairings', '--json').json['pairings']]

    def caller(self, place=None):
        caller = Caller(place or self.seat.command)
        self.addCleanup(caller.end)
        return caller

    def begin(self, place=None, **parameters):
        caller = self.caller(place)
        return caller, caller.begin(purpose='pair', **parameters)

    def kept_out(self, reason, place=None, **parameters):
        """Refused before anything is asked, and the card hears nothing of it."""
        self.wait_card()
        with Counts() as counts:
            caller, reply = self.begin(place, **parameters)
        caller.end()
        self.assertEqual(reply['parameters'].get('reason'), reason, reply)
        self.assertEqual((counts.verifies(), self.pairings()), (0, []))
        return reply

    def offered(self, place=None):
        """Hashes of the cards that a listener may pair."""
        command = (place or self.seat.command)([PROGRAM, 'cards', '--follow', '--json'])
        terminal = Terminal(command, {**TERMINAL, 'ASAN_OPTIONS': 'detect_leaks=0'})
        try:
            text = terminal.expect(rb'"card":\{[^\r\n]*\r\n')[0].decode()
        finally:
            terminal.kill()
        return re.findall(r'"unpaired":"([0-9A-F]+)"', text)


class PairOwnTest(PairingScenario):
    def test_a_card_of_ones_own(self):
        """Told of it, paired, and it opens that account at once."""
        self.assertEqual(self.offered(), [self.hash])
        with Counts() as counts:
            status, text = self.pair()
        self.assertEqual(status, 0, text)
        self.assertIn(f'with your account {LOCAL}', text)
        self.assertEqual(counts.verifies(), 1)
        self.assertEqual(self.pairings(), [(self.hash, LOCAL, True)])
        self.assertIn(f'the card\'s key {self.hash} is paired with {LOCAL}, by himself', service_scenario.SERVICE.log)
        wait_until(lambda: self.status()['cards'][0]['state'] == 'ready', 'the card to open an account')
        self.assertEqual(self.offered(), [])
        status, text = self.log_in(user=LOCAL, script='id -un')
        self.assertEqual(status, 0, text)
        _, reply = self.begin()
        self.assertEqual(reply['parameters']['reason'], 'card_opens', reply)

    def test_the_wrong_password(self):
        """Whoever finds a session open has neither PIN nor password; no try of the card is spent for him."""
        with Counts() as counts:
            for password in ('Wrong horse 9', PASSWORD + '!'):
                status, text = self.pair(password=password)
                self.assertEqual(status, 3, text)
                self.assertIn('password_wrong', text)
        self.assertEqual((counts.verifies(), self.tries(), self.pairings()), (0, 3, []))
        self.assertIn('pair refused', service_scenario.SERVICE.log)

    def test_the_wrong_pin(self):
        status, text = self.pair(pin=WRONG_PIN)
        self.assertEqual(status, 3, text)
        self.assertIn('pin_wrong', text)
        self.assertEqual((self.tries(), self.pairings()), (2, []))
        self.assertEqual(self.pair()[0], 0)
        self.assertEqual(self.tries(), 3)

    def test_two_wrong_pins_and_no_more(self):
        for wanted in ('pin_wrong', 'pin_held'):
            self.assertIn(wanted, self.pair(pin=WRONG_PIN)[1])
        self.kept_out('pin_held')
        self.assertEqual(self.tries(), 1)

    def test_one_card_per_user(self):
        self.again(accounts__one_card_per_user='yes')
        self.assertEqual(self.pair()[0], 0)
        self.exchange('other-realm')
        wait_until(lambda: self.offered() not in ([], [self.hash]), 'another card to be offered')
        status, text = self.pair()
        self.assertEqual(status, 3, text)
        self.assertIn('one_card', text)
        self.assertEqual(self.pairings(), [(self.hash, LOCAL, True)])

    def test_a_user_has_so_many_and_no_more(self):
        """Told before he types anything; root may give him more, and one less makes room."""
        for card in EIGHT:
            self.cardmap('pair', '--local', LOCAL, '--card', f'file:{scenario.RIG.pki}/{card}.pem', pin=PIN, binary=scenario.plain())
        before = self.pairings()
        with Counts() as counts:
            status, text = self.type('pair').end()
        self.assertEqual((status, counts.verifies(), self.pairings()), (3, 0, before), text)
        self.assertRegex(text, rf'{LOCAL} is paired with 8 cards: a user may pair 8\nreason: +pairing_for_root')
        self.cardmap('unpair', before[0][0])
        self.wait_offered()
        self.assertEqual(self.pair()[0], 0)
        self.assertEqual(sorted(self.pairings()), sorted([*before[1:], (self.hash, LOCAL, True)]))

    def test_only_a_card_that_opens_nothing(self):
        self.exchange('alice-rsa2048')
        wait_until(lambda: self.status()['cards'][0]['state'] == 'ready', "alice's card to be ready")
        self.assertEqual(self.offered(), [])
        self.kept_out('card_opens')

    def test_a_card_of_which_nobody_could_be_asked(self):
        """It may be somebody's."""
        scenario.RIG.stop('slapd')
        self.again()
        self.assertEqual(self.offered(), [])
        self.kept_out('not_kept')

    def test_a_card_that_may_be_somebodys_by_another_certificate(self):
        """bob's is in 9C, and whether it was revoked nobody can be asked: then it opens nothing, and is his all the same."""
        scenario.RIG.stop('ocsp', 'http')
        self.again(trust__level='hard')
        self.exchange('carol+9c=bob')
        self.wait_card()
        self.assertEqual(self.offered(), [])
        self.kept_out('no_account')
        self.exchange('carol+9c=expired')
        wait_until(self.offered, 'a card with nobody else\'s certificate to be offered')

    def test_a_card_that_is_not_trusted(self):
        self.exchange('self-signed')
        self.wait_card()
        self.assertEqual(self.offered(), [])
        self.kept_out('cert_untrusted')

    def test_watch(self):
        """A person at the terminal is asked once for each insertion, and never again about a card that is said so of."""
        offer = rb'The card in [^\r\n]* opens no account. Pair it with yours\? yes, no, or never: ?$'
        terminal = self.type('pair', '--watch')
        terminal.expect(offer)
        terminal.type('no\n')
        self.take_out()
        self.put_in()
        terminal.expect(offer)
        terminal.type('never\n')
        self.take_out()
        self.exchange('other-realm')
        terminal.expect(offer)
        terminal.type('yes\n')
        terminal.enter(rb'PIN for [^\r\n]*: ?$', PIN)
        terminal.enter(rb'Password of lena on this computer: ?$', PASSWORD)
        terminal.expect(rb'paired +with your account lena')
        self.assertEqual([(user, local) for _, user, local in self.pairings()], [(LOCAL, True)])
        remembered = Path(f'/home/{LOCAL}/.local/state/cardmap/never-pair')
        self.assertEqual((remembered.read_text(), remembered.stat().st_mode & 0o777), (f'{self.hash}\n', 0o600))
        # One that is remembered, then one that is not: the first thing said is about the second.
        self.cardmap('unpair', LOCAL)
        terminal.kill()
        self.exchange('carol')
        self.wait_offered()
        terminal = self.type('pair', '--watch')
        self.exchange('other-realm')
        self.assertIn(b'opens no account', terminal.expect(offer)[0])
        self.assertEqual(terminal.text.count(b'opens no account'), 1)

    def test_watch_on_a_desktop(self):
        """As cardmap-pair.service has it: nobody can answer, and he is told once for each insertion, by notify-send(1)."""
        words = 'The card in Virtual PCD 00 00 opens no account. To have it open yours, run: cardmap pair'
        said = rf'cardmap: {words}\r?\n'.encode()
        path = self.session_bus()
        notifier = '/usr/bin/notify-send'  # here it is not installed: a file that nobody may execute is as good as none
        subprocess.run(['mount', '--bind', '/dev/null', notifier], check=True)
        masked = contextlib.ExitStack()
        masked.callback(subprocess.run, ['umount', notifier], check=True)
        self.addCleanup(masked.close)
        terminal = self.type('pair', '--watch', stdin='/dev/null', DBUS_SESSION_BUS_ADDRESS=f'unix:path={path}')
        terminal.expect(said)
        masked.close()
        # no desktop is on that bus
        self.another('carol')
        terminal.expect(said)
        desktop = self.desktop(path)
        self.another('other-realm')
        shown = json.loads(desktop.expect(rb'(\{[^\r\n]*\})\r?\n')[1])
        self.assertEqual(shown, {'program': 'cardmap', 'title': 'Unknown smart card', 'text': words})
        self.another('carol')
        desktop.expect(rb'"Unknown smart card"')
        self.look_again()
        # its end, by which all that it was told is told: a failure, after which systemd starts it again
        service_scenario.SERVICE.stop()
        status, text = terminal.end()
        self.assertNotEqual(status, 0, text)
        self.assertEqual(len(re.findall(said, text.encode())), 2, text)
        self.assertNotIn('yes, no, or never', text)
        self.assertEqual(desktop.text.count(b'Unknown smart card'), 2, desktop.text)

    def session_bus(self):
        """A bus of lena's own."""
        folder = Path('/home') / LOCAL / 'bus'
        folder.mkdir()
        os.chown(folder, LOCAL_UID, LOCAL_UID)
        self.watched(['dbus-daemon', '--session', '--nofork', '--nopidfile', f'--address=unix:path={folder}/socket'])
        wait_until((folder / 'socket').exists, 'the session bus')
        return folder / 'socket'

    def desktop(self, bus_path):
        folder = self.folder / 'desktop'  # not everybody may read the repository
        folder.mkdir(mode=0o755)
        for name in ('notifications.py', 'bus.py'):
            shutil.copy(rig_module.HERE / name, folder)
        desktop = self.watched(['/usr/bin/python3', folder / 'notifications.py', bus_path])
        desktop.expect(rb'"ready": true\}\r?\n')
        return desktop

    def watched(self, command):
        terminal = Terminal(self.seat.command(command), TERMINAL)
        self.addCleanup(terminal.kill)
        return terminal

    def another(self, card):
        """When what has happened to the one that is in is past."""
        self.look_again()
        self.take_out()
        self.exchange(card)

    def look_again(self):
        """The service looks at the card that stays where it is: nothing new to be told."""
        self.assertIn('password_wrong', self.pair(password='Wrong horse 9')[1])
        self.wait_offered()

    def wait_offered(self):
        wait_until(self.offered, 'the card to be offered')


class WhoMayPairTest(PairingScenario):
    def own(self, user=LOCAL, who=None, **kind):
        session = service_scenario.COMPUTER.logind.open(user, **kind)
        return lambda command: session.command(command, who)

    def check(self, reason, place, offered=True):
        """Kept out, and not told that the card is one to be paired."""
        reply = self.kept_out(reason, place)
        if offered:
            self.assertEqual(self.offered(place), [])
        return reply

    def test_not_unless_it_is_switched_on(self):
        self.switch('off')
        self.check('pairing_for_root', self.seat.command)
        self.switch('on')
        self.assertEqual(self.offered(), [self.hash])

    def test_not_where_the_configuration_has_no_pairings(self):
        self.again(accounts__user_pairing='no')
        self.check('pairing_off', self.seat.command)

    def test_not_where_a_selector_keeps_them(self):
        """mapper.selector: a program of the administrator's says whose card it is."""
        selector = self.folder / 'selector'
        shutil.copy('/bin/false', selector)
        self.again(mapper__selector=selector)
        self.check('pairing_for_root', self.seat.command)
        told = self.cardmap('pairing-ui', 'status', '--json')
        self.assertFalse(told.json['pairing_ui'], told.out)
        self.assertIn('without effect: mapper.selector keeps the pairings', self.cardmap('pairing-ui', 'status').out)

    def test_not_from_elsewhere(self):
        for kind in ({'remote': True}, {'active': False}, {'seat': ''}):
            with self.subTest(kind):
                self.check('not_here', self.own(**kind))
        self.check('not_here', lambda command: in_background(command, LOCAL))

    def test_not_another_user_in_the_session_of_who_sits_there(self):
        """The user of the directory, and one of this computer's, whose session it is not."""
        self.check('pairing_for_root', lambda command: self.seat.command(command, 'alice'))
        self.check('not_here', self.own('alice', who=LOCAL))

    def test_no_user_of_the_directory(self):
        self.check('pairing_for_root', self.own('alice'))

    def test_not_root_and_not_for_another(self):
        self.check('pairing_for_root', lambda command: self.seat.command(command, 'root'), offered=False)
        self.kept_out('pairing_for_root', user='alice')
        self.kept_out('pairing_for_root', user='root')

    def test_not_a_system_account(self):
        self.again(accounts__first_uid=LOCAL_UID + 1)
        self.check('account_forbidden', self.seat.command)

    def test_who_goes_to_the_back_before_he_answers(self):
        caller, reply = self.begin()
        self.assertEqual(reply['parameters']['state'], 'pin', reply)
        service_scenario.COMPUTER.logind.change(self.seat, ACTIVE=0, STATE='online')
        caller.say(f'pair {PIN} {PASSWORD}')
        with Counts() as counts:
            self.assertIn('NotAllowed', json.dumps([caller.next(), caller.next()]))
        self.assertEqual((counts.verifies(), self.pairings()), (0, []))

    def test_what_comes_beside_the_answer(self):
        """One pipe where the reader takes no PIN: whatever is in it, it is the password."""
        caller, _ = self.begin()
        caller.say(f'pin {PASSWORD}')
        self.assertEqual(caller.until('refused')['parameters']['reason'], 'pin_missing')
        self.assertEqual((self.tries(), self.pairings()), (3, []))

    def test_a_card_that_goes_while_the_pin_is_awaited(self):
        caller, _ = self.begin()
        self.take_out()
        self.assertEqual(caller.until('card')['parameters']['state'], 'card')
        self.exchange('alice-rsa2048')
        self.assertEqual(caller.until('refused')['parameters']['reason'], 'card_opens')
        self.assertEqual(self.pairings(), [])


class DisabledTest(ServiceScenario):
    """card.disabled (DisabledTokens) has a reason of its own, whoever asks: the card is read by nobody for a login."""
    with_faults = True
    named = ('pivtoken', 'com.apple.CryptoTokenKit.pivtoken', 'reader:Virtual PCD')

    def test_a_login(self):
        for name in self.named:
            with self.subTest(name):
                self.again(card__disabled=[name])
                with Counts() as counts:
                    said = self.refused('card_disabled', prompt=None)
                    alone = self.cardmap('login', '--no-service', '--json', 'alice', pin=PIN, status=3)
                self.assertIn(name, said)
                self.assertEqual((alone.reason, counts.verifies(), self.tries()), ('card_disabled', 0, 3))
                self.assertIn(name, alone.json['message'])

    def test_no_pairing_either(self):
        self.again(card__disabled=['pivtoken'])
        self.assertEqual(self.cardmap('pair', '--json', 'alice', pin=PIN, status=3).reason, 'card_disabled')
        self.cardmap('pairing-ui', 'on')
        caller = Caller(self.seat.command)
        self.addCleanup(caller.end)
        self.assertEqual(caller.begin(purpose='pair')['parameters']['reason'], 'card_disabled')

    def test_what_is_not_here(self):
        """The names of other systems' drivers, and other readers, keep nobody out."""
        self.again(card__disabled=['com.apple.CryptoTokenKit.setoken', 'reader:Another', 'file', 'reader:'])
        self.check_inside(*self.log_in())


class CardLogTest(ServiceScenario):
    """What goes to one card, written down once (Logging of macOS)."""
    with_faults = True

    @property
    def file(self):
        return service_scenario.SERVICE.store.parent / 'card.log'

    def next_card(self):
        self.take_out()
        self.put_in()
        self.wait_card()

    def check_log(self):
        text = self.file.read_text(encoding='ascii')
        self.assertEqual(self.file.stat().st_mode & 0o7777, 0o600)
        self.assertRegex(text, r'\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC reader Virtual PCD[^\n]*, ATR 3[bB]')
        self.assertRegex(text, r'(?m) > 00a404', 'SELECT')
        for pin in (PIN, WRONG_PIN):
            for shown in (pin, pin.encode().hex(), pin.encode().hex().upper()):
                self.assertNotIn(shown, text)
        return text

    def test_one_insertion_and_no_more(self):
        self.assertFalse(self.file.exists())
        self.cardmap('cards', 'log-next')
        self.assertTrue(self.cardmap('cards', 'log-next', 'status', '--json').json['log_next'])
        self.next_card()
        self.assertFalse(self.cardmap('cards', 'log-next', 'status', '--json').json['log_next'])
        terminal = self.su()
        terminal.enter(service_scenario.ANY_PROMPT, WRONG_PIN)
        terminal.enter(service_scenario.ANY_PROMPT, PIN)
        self.assertEqual(self.ended(terminal)[0], 0)
        self.take_out()
        text = self.check_log()
        self.assertEqual(len(re.findall(r'(?m) > 00200080 \(9 bytes hidden\)$', text)), 2, 'VERIFY is there, and its PIN is not')
        self.put_in()
        self.wait_card()
        self.assertEqual(self.file.read_text(encoding='ascii'), text)

    def test_by_the_configuration(self):
        """Logging = yes: once, however often the service is started."""
        self.again(more='Logging = yes\n')
        self.next_card()
        self.check_log()
        self.file.unlink()
        self.again(more='Logging = yes\n')
        self.next_card()
        self.assertFalse(self.file.exists())
        self.again()
        self.again(more='Logging = yes\n')
        self.next_card()
        self.check_log()
        # and it has an end
        self.cardmap('cards', 'log-next')
        self.next_card()
        os.truncate(self.file, LOG_MAX)
        self.assertEqual(self.log_in()[0], 0)
        self.assertRegex(self.file.read_bytes()[LOG_MAX:], rb'\A(no more is written: the log is full\n){1,3}\Z')


class RemovalTest(ServiceScenario):
    """alice came in by her card; logind is bus.py's, which keeps what it is told."""
    with_faults = True
    changes = {'enforcement__required': 'no', 'enforcement__removal': 'lock', 'enforcement__removal_grace': 0}

    def setUp(self):
        self.bus = bus.Logind()
        self.addCleanup(self.bus.close)
        super().setUp()
        self.desk = service_scenario.COMPUTER.logind.open('alice')

    def begin(self, who='root', **parameters):
        caller = Caller(lambda command: self.desk.command(command, who))
        self.addCleanup(caller.end)
        return caller, caller.begin(user='alice', **parameters)

    def come_in(self):
        """By the card, at the display manager's."""
        caller, reply = self.begin(service='gdm-smartcard')
        self.assertEqual(reply['parameters']['state'], 'pin', reply)
        caller.say(f'pin {PIN}')
        while caller.next().get('parameters', {}).get('state') != 'granted':
            pass
        caller.end()

    def enter(self):
        """Her session is the one that the card opened."""
        self.come_in()
        self.assertEqual([(one['user'], one['session']) for one in self.sessions()], [('alice', self.desk.name)])

    def unlock(self, **options):
        """By her password: the account phase is all that the service hears of that."""
        _, reply = self.begin(purpose='account', **options)
        self.assertEqual(reply['parameters']['state'], 'granted', reply)

    def sessions(self):
        return self.status()['sessions']

    def locked(self):
        return [('LockSession', self.desk.name)]

    def wait_calls(self, wanted):
        wait_until(lambda: self.bus.calls == wanted, f'logind to be told {wanted}, and not {self.bus.calls}')

    def test_locked_each_time(self):
        self.enter()
        for times in (1, 2):
            self.take_out()
            self.wait_calls(times * self.locked())
            self.put_in()
            self.wait_card()

    def test_another_card_is_not_the_same(self):
        """One of hers that would open the session too; the one that did ends the grace."""
        self.again(enforcement__removal_grace=600000)
        self.enter()
        self.exchange('alice-p256')
        self.wait_card()
        self.assertEqual([(card['user'], card['state']) for card in self.status()['cards'] if card['present']], [('alice', 'ready')])
        self.assertTrue(self.sessions()[0]['away'])
        self.exchange('alice-rsa2048')
        wait_until(lambda: not self.sessions()[0]['away'], 'the card to be known again')
        self.assertEqual(self.bus.calls, [])

    def test_none(self):
        """tokenRemovalAction = 0: no session is followed, so that none is locked or ended."""
        self.again(enforcement__removal='none')
        self.come_in()
        self.assertEqual(self.sessions(), [])
        self.take_out()
        wait_until(lambda: not self.status()['cards'][0]['present'], 'the card to be missed')
        self.assertEqual((self.sessions(), self.bus.calls), ([], []))
        # what follows is of a card that is taken out under another setting: nothing of the first session is left
        self.put_in()
        self.again()
        self.enter()
        self.take_out()
        self.wait_calls(self.locked())

    def test_not_where_a_password_unlocked_meanwhile(self):
        self.enter()
        self.take_out()
        self.wait_calls(self.locked())
        self.unlock(service='gdm-password')
        wait_until(lambda: self.sessions() == [], 'the session to be no card\'s')
        self.put_in()
        self.wait_card()
        self.take_out()
        wait_until(lambda: not self.status()['cards'][0]['present'], 'the card to be missed')
        self.assertEqual((self.sessions(), self.bus.calls), ([], self.locked()))
        # and it is the card's again
        self.put_in()
        self.wait_card()
        self.enter()
        self.take_out()
        self.wait_calls(2 * self.locked())

    def test_whose_word_that_takes(self):
        """A locker that is the user's own says so of a lock, and not where a session is to end; what unlocks nothing never."""
        self.enter()
        for service in ('sudo', 'sshd', 'systemd-user', 'cron'):
            self.unlock(service=service)
        self.assertEqual(len(self.sessions()), 1)
        self.unlock(service='swaylock', who='alice')
        wait_until(lambda: self.sessions() == [], 'the session to be no card\'s')
        self.again(enforcement__removal='logout')
        self.enter()
        self.unlock(service='swaylock', who='alice')
        self.assertEqual(len(self.sessions()), 1)
        self.take_out()
        self.wait_calls([('TerminateSession', self.desk.name)])

    def test_a_logind_that_does_not_answer(self):
        """Nobody else waits for it, and it is told again."""
        self.enter()
        self.bus.mode = 'silent'
        self.take_out()
        self.wait_calls(self.locked())
        self.put_in()
        self.wait_card()
        self.enter()
        self.take_out()
        self.bus.mode = 'answer'
        wait_until(lambda: self.bus.calls[1:2] == self.locked(), 'logind to be told again')
        self.assertIn('removal system', service_scenario.SERVICE.log)

    def test_the_clock_is_set_during_the_grace(self):
        """Ahead ends no grace; back makes none longer."""
        offset = self.folder / 'clock'
        library = scenario.clock('+0')[1].partition('=')[2]
        service_scenario.SERVICE.stop()
        service_scenario.SERVICE.use(service_scenario.plain_build())
        for grace, moved, calls in ((600000, '+400d', []), (1500, '-400d', self.locked())):
            with self.subTest(moved):
                offset.write_text('+0')
                self.configure(enforcement__removal_grace=grace)
                self.start(LD_PRELOAD=library, FAKETIME_TIMESTAMP_FILE=str(offset), FAKETIME_NO_CACHE='1',
                           FAKETIME_DONT_FAKE_MONOTONIC='1')
                self.enter()
                self.take_out()
                wait_until(lambda: self.sessions()[0]['away'], 'the card to be missed')
                offset.write_text(moved)
                self.status()
                if calls:
                    self.wait_calls(calls)
                self.assertEqual((self.bus.calls, len(self.sessions())), (calls, 1))
                service_scenario.SERVICE.stop()
                self.put_in()


class PlistTest(ServiceScenario):
    """SmartcardLogin.plist where it stands: the service obeys what macOS would, and parses none of it with privilege."""
    with_faults = True
    card = ''
    starts = False
    file = WORK / 'SmartcardLogin.plist'

    def write(self, *settings, mode=0o644, owner=0):
        self.file.write_text('<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict>\n' +
                             ''.join(f'<key>{key}</key>{value}\n' for key, value in settings) + '</dict></plist>\n', encoding='ascii')
        self.file.chmod(mode)
        os.chown(self.file, owner, -1)

    def start_with(self, **changes):
        service_scenario.SERVICE.stop()
        service_scenario.SERVICE.conf(mapper__plist=self.file, **changes)
        service_scenario.SERVICE.start()

    def explain(self):
        told = service_scenario.SERVICE.ask('io.cardmap.Enforcement', {'action': 'explain', 'user': LOCAL})['result']
        return told['card_required'], told['decided']

    def test_who_must_use_a_card(self):
        settings = [('enforceSmartCard', '<true/>'), ('allowUnmappedUsers', '<integer>1</integer>'), ('NotEnforcedGroup', '<string>nocard</string>')]
        self.write(settings[0])
        self.start_with()
        self.assertEqual(self.explain()[0], True)
        self.write(*settings)
        groups = Path('/etc/group')
        before = groups.read_text(encoding='utf-8')
        self.addCleanup(groups.write_text, before, encoding='utf-8')
        groups.write_text(f'{before}nocard:x:20200:{LOCAL}\n', encoding='utf-8')
        self.start_with()
        exempt = self.explain()
        self.assertEqual(exempt, (False, 'group'))
        # cardmap.conf is stronger
        self.write(settings[0])
        self.start_with(enforcement__required='no')
        self.assertEqual(self.explain()[0], False)
        # and a management system's file the strongest; one that is not root's alone decides nothing, and nothing goes on without it
        managed = service_module.CONF.parent / 'managed.d/10-site.conf'
        managed.parent.mkdir()
        self.addCleanup(shutil.rmtree, managed.parent)
        managed.write_text('enforceSmartCard = 1\n', encoding='ascii')
        self.start_with(enforcement__required='no')
        self.assertEqual(self.explain()[0], True)
        managed.chmod(0o666)
        done = self.check()
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn(str(managed), done.stderr)

    @staticmethod
    def check():
        return subprocess.run([service_module.HOME / 'sbin/cardmapd', '--config', service_module.CONF, '--run-dir', service_module.RUN,
                               '--libexec', service_module.HOME / 'libexec', '--check'], capture_output=True, text=True, check=False,
                              env={'PATH': TERMINAL['PATH'], 'ASAN_OPTIONS': 'detect_leaks=0'}, timeout=SECONDS)

    def test_a_file_that_nobody_may_go_by(self):
        """Less would be decided than it says: the service does not start, and says why."""
        for write, said in ((lambda: self.write(('enforceSmartCard', '<true>')), 'SmartcardLogin.plist:'),
                            (lambda: self.write(('enforceSmartCard', '<true/>'), owner=LOCAL_UID), 'SmartcardLogin.plist'),
                            (lambda: self.write(('enforceSmartCard', '<true/>'), mode=0o666), 'SmartcardLogin.plist'),
                            (lambda: self.write(('enforceSmartCard', '<true/>'), mode=0o600), 'SmartcardLogin.plist'),
                            (self.file.unlink, 'SmartcardLogin.plist')):
            write()
            service_scenario.SERVICE.conf(mapper__plist=self.file)
            done = self.check()
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn(said, done.stderr)


if __name__ == '__main__':
    service_scenario.main()
