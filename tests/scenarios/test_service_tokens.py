#!/usr/bin/python3
"""test_service_tokens.py: cards that a PKCS #11 module knows: whole logins, and modules that misbehave (tests/rig/token_module.c)."""
import os
import shutil
import subprocess
import time

import scenario
import service as service_module
import service_scenario
from rig import WORK
from scenario import NEW_PIN, PIN, Counts, wait_until
from service import CARD
from service_scenario import ANY_PROMPT, ServiceScenario

FOLDER = WORK / 'token'
MODULE = FOLDER / 'module.so'
LIBRARIES = f'/usr/lib/{os.uname().machine}-linux-gnu'
OPENSC = f'{LIBRARIES}/opensc-pkcs11.so'
SOFTHSM = f'{LIBRARIES}/softhsm/libsofthsm2.so'
WRONG = '90909090'
NO_PIV = 'fault sw=6a82@insa4'
ALICE = rb'PIN for Alice Example[^\r\n]*: ?$'
SECONDS = 30


class Token:
    """What the rig's module shows in the reader: certificates, a PIN, and how it misbehaves."""
    def __init__(self, *names):
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(mode=0o755)
        FOLDER.chmod(0o755)
        shutil.copy(os.environ['CM_TOKEN_MODULE'], MODULE)
        MODULE.chmod(0o644)
        self.hold(*names)
        self.write('pin', PIN)
        self.write('state', '3 0 0 0\n', 0o666)
        self.misbehave()

    @staticmethod
    def write(name, text, mode=0o644):
        (FOLDER / name).write_text(text, encoding='ascii')
        (FOLDER / name).chmod(mode)

    @staticmethod
    def hold(*names):
        for number, name in enumerate(names, 1):
            for form in ('crt', 'key'):
                shutil.copy(scenario.RIG.pki / f'{name}.{form}', FOLDER / f'{number}.{form}')
                (FOLDER / f'{number}.{form}').chmod(0o644)

    def misbehave(self, *lines):
        self.write('conf', '\n'.join([f'reader {service_scenario.READER}', *lines, '']))

    @staticmethod
    def state():
        return tuple(map(int, (FOLDER / 'state').read_text(encoding='ascii').split()))


class TokenScenario(ServiceScenario):
    """The card in the reader has no PIV application."""
    changes = {'card__modules': [MODULE], 'card__timeout': 2000}
    starts = False
    holds = ('alice-rsa2048',)

    def setUp(self):
        super().setUp()
        self.addCleanup(shutil.rmtree, FOLDER, True)
        self.token = Token(*self.holds)
        self.control(NO_PIV)
        self.start()

    def read_again(self):
        self.take_out()
        self.put_in()
        self.control(NO_PIV)
        self.wait_card()

    def helpers(self):
        return {process.pid for process in service_module.processes() if process.name == CARD}


class LoginTest(TokenScenario):
    def test_logins_with_a_ticket_and_each_asks_for_the_pin(self):
        for logins in (1, 2):
            self.check_inside(*self.log_in(prompt=ALICE))
            self.wait_card()
            self.assertEqual(self.token.state(), (3, logins, logins, 0), 'one PIN and one signature for each')
        self.assertEqual(self.kept(), ['alice'])
        with Counts() as counts:
            self.check_inside(*self.log_in())
        self.assertEqual(counts.verifies(), 0, 'no PIN went to a PIV application')

    def test_without_a_network(self):
        self.check_inside(*self.log_in())
        self.drop_tickets()
        scenario.RIG.stop('slapd', 'kdc')
        self.check_inside(*self.log_in(), ticket=False)

    def test_what_the_commands_say(self):
        for command in ('whois', 'explain'):
            self.assertEqual(self.ask_service(command).account, 'alice')
        card, = [card for card in service_scenario.SERVICE.cards() if card['reader'] == service_scenario.READER]
        self.assertEqual(card.get('user'), 'alice')
        listed = self.ask_service('cards')
        self.assertEqual([certificate['slot'] for certificate in listed.json['readers'][0]['certificates']], ['9A'])

    def ask_service(self, command):
        return self.cardmap(command, '--config', service_module.CONF, '--json', binary=str(service_module.HOME / 'bin/cardmap'))

    def test_the_second_certificate(self):
        self.token.hold('alice-rsa2048', 'bob')
        self.read_again()
        self.check_inside(*self.log_in(user='bob', prompt=rb'PIN for Bob Example[^\r\n]*: ?$'), user='bob')


class PinTest(TokenScenario):
    def test_two_wrong_pins_then_nothing_until_it_was_out(self):
        terminal = self.su()
        terminal.enter(ALICE, WRONG)
        terminal.enter(ANY_PROMPT, NEW_PIN)
        status, text = self.ended(terminal, WRONG)
        self.assertNotEqual(status, 0)
        self.assertIn('pin_held', text)
        self.refused('pin_held', prompt=None)
        self.assertEqual(self.token.state(), (1, 2, 0, 0))
        self.read_again()
        terminal = self.su()
        terminal.expect(rb"(?i)the card's last try: a wrong PIN blocks it")
        terminal.type('n\n')
        self.assertNotEqual(self.ended(terminal)[0], 0)
        self.assertEqual(self.token.state(), (1, 2, 0, 0), 'the last is not spent without saying so')

    def test_others_spend_tries_while_the_pin_is_asked(self):
        """Whoever types it then is asked whether it may be the last, and only what he types after that is sent."""
        terminal = self.su()
        terminal.expect(ALICE)
        self.token.write('state', '1 0 0 0\n', 0o666)
        terminal.type(f'{WRONG}\n')
        terminal.expect(rb"(?i)the card's last try: a wrong PIN blocks it")
        self.assertEqual(self.token.state(), (1, 0, 0, 0))
        terminal.type('y\n')
        terminal.enter(ANY_PROMPT, PIN)
        self.check_inside(*self.ended(terminal))
        self.assertEqual(self.token.state()[:2], (3, 1))

    def test_swapped_while_the_pin_is_asked(self):
        terminal = self.su()
        terminal.expect(ALICE)
        self.token.hold('bob')
        self.token.misbehave('serial 2')
        self.exchange('bob')
        self.control(NO_PIV)
        terminal.type(f'{PIN}\n')
        status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertEqual(self.token.state()[1:3], (0, 0), 'the PIN went to no other token')

    def test_taken_out_while_the_pin_is_asked(self):
        terminal = self.su()
        terminal.expect(ALICE)
        self.take_out()
        terminal.type(f'{PIN}\n')
        terminal.expect(rb'(?i)insert your card')
        terminal.kill()
        self.assertEqual(self.token.state()[1:3], (0, 0))


class BadModuleTest(TokenScenario):
    def works(self):
        """Whatever it was: the next login is one, and of the processes of the last none is left."""
        self.token.misbehave()
        self.token.write('state', '3 0 0 0\n', 0o666)
        self.read_again()
        self.check_inside(*self.log_in())

    def test_it_hangs(self):
        self.token.misbehave('hang C_Sign')
        before = self.helpers()
        started = time.monotonic()
        self.assertRegex(self.refused('', prompt=ALICE), r'\((card_silent|helper)\)')
        self.assertLess(time.monotonic() - started, SECONDS)
        self.works()
        wait_until(lambda: len(self.helpers() & before) <= 1, 'the helper that hangs to be gone', SECONDS)

    def test_it_hangs_when_it_starts(self):
        self.token.misbehave('hang C_Initialize')
        self.take_out()
        self.put_in()
        self.control(NO_PIV)
        terminal = self.su()
        status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertIn('(card_silent)', text)
        self.works()

    def test_it_crashes(self):
        self.token.misbehave('crash C_Login')
        self.refused('(helper)')
        self.works()

    def test_it_speaks_to_the_daemon(self):
        """On the channel that the helper has: nothing of that is believed, and the login ends."""
        self.token.misbehave('speak C_Login')
        self.refused('(helper)')
        self.works()

    def test_it_prints_and_forks(self):
        self.token.misbehave('print C_Login', 'fork C_Sign')
        self.check_inside(*self.log_in())
        self.assertEqual(self.token.state(), (3, 1, 1, 0), 'no process was started')

    def test_it_signs_with_another_key(self):
        self.token.hold('alice-rsa2048', 'bob')
        self.token.misbehave('swap 2')
        self.refused('(card_key)')
        self.assertEqual(self.tickets(), [])

    def test_others_could_have_written_it(self):
        MODULE.chmod(0o666)
        self.take_out()
        self.put_in()
        self.control(NO_PIV)
        terminal = self.su()
        status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertIn('(card_module)', text)


class OpenScTest(ServiceScenario):
    """The card's PIV application is OpenSC's to drive."""
    changes = {'card__modules': [OPENSC], 'card__disabled': ['com.apple.CryptoTokenKit.pivtoken']}

    def test_login_with_a_ticket(self):
        with Counts() as counts:
            self.check_inside(*self.log_in(prompt=ALICE))
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1), counts.apdus)
        terminal = self.su()
        terminal.enter(ALICE, WRONG)
        terminal.enter(ANY_PROMPT, PIN)
        self.check_inside(*self.ended(terminal))
        self.assertEqual(self.tries(), 3)

    def test_swapped_while_the_pin_is_asked(self):
        with Counts() as counts:
            terminal = self.su()
            terminal.expect(ALICE)
            self.exchange('bob')
            terminal.type(f'{PIN}\n')
            status, text = self.ended(terminal)
            self.assertNotEqual(status, 0, text)
        self.assertEqual(counts.verifies(), 0)


class SoftHsmTest(scenario.Scenario):
    """A token with no reader: for the command alone."""
    def setUp(self):
        super().setUp()
        (self.folder / 'tokens').mkdir()
        (self.folder / 'softhsm2.conf').write_text(f'directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n')
        self.hsm = {'SOFTHSM2_CONF': str(self.folder / 'softhsm2.conf'), 'TOKEN_PIN': PIN}

    def run_tool(self, *command):
        done = subprocess.run(list(map(str, command)), env={**os.environ, **self.hsm}, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def make(self, name):
        pki = scenario.RIG.pki
        self.run_tool('softhsm2-util', '--init-token', '--free', '--label', name, '--so-pin', '7391750284', '--pin', PIN)
        for kind, form in (('cert', 'der'), ('privkey', 'key.der')):
            path = self.folder / f'{name}.{form}'
            self.run_tool('openssl', *(('x509', '-in', pki / f'{name}.crt') if kind == 'cert' else ('pkey', '-in', pki / f'{name}.key')),
                          '-outform', 'DER', '-out', path)
            self.run_tool('pkcs11-tool', '--module', SOFTHSM, '--token-label', name, '--login', '--pin', 'env:TOKEN_PIN',
                          '--write-object', path, '--type', kind, '--id', '01')

    def test_login(self):
        for name in ('alice-rsa2048', 'alice-p256'):
            with self.subTest(name=name):
                shutil.rmtree(self.folder / 'tokens')
                (self.folder / 'tokens').mkdir()
                self.make(name)
                options = {'card': None, 'env': {'SOFTHSM2_CONF': self.hsm['SOFTHSM2_CONF']}, 'more': {'card__source': f'token:{SOFTHSM}'}}
                self.assertEqual(self.ask('whois', **options).account, 'alice')
                answer = self.ask('login', pin=PIN, **options)
                self.assertEqual(answer.account, 'alice')
                self.assertIn('alice@CARDMAP.TEST', self.klist())
                self.ask('login', pin='0000', status=3, reason='pin_wrong', **options)
        self.make('alice-rsa2048')
        self.ask('whois', status=64, reason='several_cards', **options)


if __name__ == '__main__':
    service_scenario.main()
