#!/usr/bin/env python3
"""What goes wrong on a computer, and nobody attacked it: processes that hang, files that are not there, readers and cards
that come and go.  Each time somebody who may gets in as soon as it is mended, or is told what to do, and nothing waits for ever."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'rig'))
import away
import computer as computer_module
import rig as rig_module
import scenario
import service as service_module
import service_scenario
from rig import WORK
from scenario import PIN, wait_until
from service import CARD, CONF, HOME, RESOLVER, RUN
from service_scenario import ANY_PROMPT, ServiceScenario

SECOND = 'Virtual PCD 00 01'
SECONDS = 30    # within the deadlines of all that hangs, one after the other, on a slow machine


def of(name):
    return [process for process in service_module.processes() if process.name == name]


def pids(name):
    return {process.pid for process in of(name)}


def descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def serves():
    try:
        service_scenario.SERVICE.cards()
    except OSError:
        return False
    return True


PLIST = """<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict></dict></plist>
"""


class Frozen:
    """Processes stopped, and let go again."""
    def __init__(self, pids):
        self.pids = list(pids)

    def send(self, number):
        for pid in self.pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def __enter__(self):
        self.send(signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        self.send(signal.SIGCONT)


class HangTest(ServiceScenario):
    silence = True

    def replaced(self, name, pids):
        wait_until(lambda: not {p.pid for p in of(name)} & set(pids), f'{name} to be replaced', SECONDS)

    def test_a_resolver_that_hangs_is_replaced(self):
        self.check_inside(*self.log_in())
        self.wait_card()
        pids = [process.pid for process in of(RESOLVER)]
        with Frozen(pids):
            self.log_in()   # prepared before, and kept: it may or may not go through
            self.replaced(RESOLVER, pids)
            wait_until(lambda: of(RESOLVER), 'another resolver', SECONDS)
            self.take_out()
            self.put_in()
            self.wait_card()
            self.check_inside(*self.log_in())

    def test_a_card_helper_that_hangs_costs_one_login(self):
        self.wait_card()
        helpers = of(CARD)
        terminal = self.su()
        terminal.expect(ANY_PROMPT)
        started = time.monotonic()
        with Frozen(process.pid for process in helpers):
            terminal.type(f'{PIN}\n')
            status, text = self.ended(terminal)
            self.assertNotEqual(status, 0)
            self.assertIn('(helper)', text)
            self.assertLess(time.monotonic() - started, SECONDS)
            self.check_inside(*self.log_in())

    def test_a_starter_that_hangs_ends_the_service(self):
        """Which a service manager starts anew: without it no card can be read."""
        daemon = service_scenario.SERVICE.pid
        with Frozen(process.pid for process in of('cardmapd') if process.parent == daemon):
            self.take_out()
            self.put_in()
            wait_until(lambda: not service_module.processes_of_service(), 'all to end', SECONDS)
        self.start()
        self.check_inside(*self.log_in())

    def test_an_end_with_a_starter_that_hangs(self):
        daemon = service_scenario.SERVICE.pid
        with Frozen(process.pid for process in of('cardmapd') if process.parent == daemon):
            os.kill(daemon, signal.SIGTERM)
            wait_until(lambda: not service_module.processes_of_service(), 'all to end', SECONDS)

    def test_pcscd(self):
        self.check_inside(*self.log_in())
        self.wait_card()
        scenario.RIG.freeze('pcscd')
        started = time.monotonic()
        try:
            terminal = self.su()
            terminal.enter(ANY_PROMPT, PIN)
            status, text = self.ended(terminal)
        finally:
            scenario.RIG.thaw('pcscd')
        self.assertNotEqual(status, 0)
        self.assertIn('(card_silent)', text)
        self.assertLess(time.monotonic() - started, SECONDS)
        self.check_inside(*self.log_in())


class EndTest(ServiceScenario):
    def test_restarted_while_the_pin_is_asked(self):
        terminal = self.su()
        terminal.expect(ANY_PROMPT)
        started = time.monotonic()
        service_scenario.SERVICE.stop()
        self.assertLess(time.monotonic() - started, 5)
        terminal.type(f'{PIN}\n')
        status, text = self.ended(terminal)
        self.assertNotEqual(status, 0, text)
        self.assertEqual(self.tickets(), [])
        self.start()
        self.check_inside(*self.log_in())

    def test_started_twice(self):
        """The second one goes, and takes nothing from the first."""
        done = subprocess.run([HOME / 'sbin/cardmapd', '--config', CONF, '--run-dir', RUN, '--libexec', HOME / 'libexec'],
                              capture_output=True, text=True, timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn('another process serves there', done.stderr)
        self.check_inside(*self.log_in())

    def test_what_a_killed_one_left_is_no_hindrance(self):
        service_scenario.SERVICE.kill('cardmapd')
        wait_until(lambda: not service_module.processes_of_service(), 'all to end')
        self.assertTrue((RUN / 'io.cardmap').exists(), 'a socket that nobody listens at')
        self.start()
        self.check_inside(*self.log_in())


class ConfigTest(ServiceScenario):
    starts = False

    def test_named_from_where_one_stands(self):
        command = ['sh', '-c', f'cd {CONF.parent} && exec {HOME}/sbin/cardmapd --config {CONF.name} --run-dir {RUN} --libexec {HOME}/libexec']
        scenario.RIG.launch('cardmapd', command, serves)
        self.wait_card()
        self.check_inside(*self.log_in())

    def test_not_readable_for_the_others(self):
        CONF.chmod(0o600)
        service_scenario.SERVICE.start()
        wait_until(lambda: 'must be readable for _cardmap' in service_scenario.SERVICE.log, 'the log to say so')

    def test_a_store_that_nobody_can_use_for_a_while(self):
        """Others may write to its folder: then it is not believed, and as soon as that is mended it is."""
        service_scenario.SERVICE.start()
        folder = service_scenario.SERVICE.store.parent
        self.take_out()
        folder.chmod(0o777)
        self.put_in()
        try:
            self.wait_card()
            status, text = self.ended(self.su())
        finally:
            folder.chmod(0o700)
        self.assertNotEqual(status, 0)
        self.assertIn(str(folder), text)
        self.check_inside(*self.log_in())


class ForeignTest(ServiceScenario):
    """A file that decides something, and is another's or others may write it: nobody gets in by it, and whoever looks is told which it
    is.  It is judged as it was opened (tests/base/test_file.c has names that change in between)."""
    starts = False

    def setUp(self):
        super().setUp()
        folder = CONF.parent
        (folder / 'managed.d').mkdir(exist_ok=True)
        self.addCleanup(shutil.rmtree, folder / 'managed.d')
        made = {'managed.d/50-test.conf': '', 'map': 'alice -> alice\n', 'SmartcardLogin.plist': PLIST,
                **{f'{name}.crt': (scenario.RIG.pki / f'{name}.crt').read_text() for name in ('root', 'inter')},
                'kdc.crt': (scenario.RIG.pki / 'root.crt').read_text()}
        for name, text in made.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)
            self.addCleanup((folder / name).unlink)
        self.configure('rule "mapped" {\n  attribute = uid\n  map_file = "/etc/cardmap/map"\n  value = "{nt_principal_name.short_name}"\n}\n',
                       mapper__plist=folder / 'SmartcardLogin.plist', trust__anchors=[folder / 'root.crt'],
                       trust__intermediates=[folder / 'inter.crt'], kerberos__anchors=[folder / 'kdc.crt'], enforcement__removal='lock')

    def spoiled(self, path, how):
        found = path.stat()
        if how == 'owner':
            os.chown(path, computer_module.LOCAL_UID, found.st_gid)
        else:
            path.chmod(found.st_mode | 0o002)
        try:
            self.attempt(path)
        finally:
            service_scenario.SERVICE.stop()
            os.chown(path, found.st_uid, found.st_gid)
            path.chmod(found.st_mode)

    def attempt(self, path):
        service, log = service_scenario.SERVICE, scenario.RIG.log('cardmapd')
        before = log.stat().st_size if log.exists() else 0
        service.start(wait=False)

        def is_named():
            return str(path) in log.read_text()[before:]

        def is_prepared():
            try:
                return service.is_prepared()
            except OSError:
                return False
        wait_until(lambda: is_named() or not scenario.RIG.is_running('cardmapd') or is_prepared(),
                   'it to say why it does not work, or to prepare the card')
        if not is_named():
            self.assertTrue(scenario.RIG.is_running('cardmapd'), log.read_text()[before:])
            status, text = self.ended(self.su())
            self.assertNotEqual(status, 0, text)
            self.assertIn(str(path), text)
        elif path.name != 'entered' and serves():
            self.assertEqual([card for card in service.cards() if card['state'] == 'ready'], [])

    def test_each(self):
        folder = CONF.parent
        for path, how in ((CONF, 'owner'), (folder / 'managed.d/50-test.conf', 'mode'), (folder / 'map', 'owner'),
                          (folder / 'SmartcardLogin.plist', 'mode'), (folder / 'root.crt', 'owner'), (folder / 'inter.crt', 'mode'),
                          (folder / 'kdc.crt', 'owner'), (folder / 'bind.password', 'mode'), (Path('/etc/krb5.keytab'), 'owner'),
                          (HOME / 'libexec/cardmap-resolver', 'mode')):
            with self.subTest(path.name, how=how):
                self.spoiled(path, how)
        self.start()
        self.check_inside(*self.log_in())
        service_scenario.SERVICE.stop()
        for path, how in ((service_scenario.SERVICE.store, 'owner'), (RUN / 'private/spent', 'owner'), (RUN / 'private/entered', 'mode')):
            with self.subTest(path.name, how=how):
                if not path.exists():  # as cardmapd writes it where there is nothing to say
                    path.write_text('[]')
                    path.chmod(0o600)
                self.spoiled(path, how)


SWAP = """import ctypes, sys
exchange = ctypes.CDLL(None).renameat2
one, other = (path.encode() for path in sys.argv[1:])
while True:
    exchange(-100, one, -100, other, 2)  # AT_FDCWD, RENAME_EXCHANGE
"""


class SwapTest(ServiceScenario):
    def test_a_keytab_that_changes_places_with_anothers(self):
        """As it is judged and read: each login goes by the host's own, or is refused for the other's owner; by what that holds none is."""
        ours, others = Path('/etc/krb5.keytab'), CONF.parent / 'other.keytab'
        self.addCleanup(ours.write_bytes, ours.read_bytes())
        others.write_bytes(b'\5\2no keytab')
        others.chmod(0o600)
        os.chown(others, computer_module.LOCAL_UID, computer_module.LOCAL_UID)
        with subprocess.Popen([sys.executable, '-c', SWAP, ours, others]) as swapping:
            try:
                ends = [self.log_in() for _ in range(6)]
            finally:
                swapping.kill()
        if ours.stat().st_uid != 0:
            os.replace(others, ours)
        others.unlink(missing_ok=True)
        for status, text in ends:
            self.assertRegex(text, r'ccache=' if status == 0 else rf'{ours}: owned by uid {computer_module.LOCAL_UID}: chown root it')
        self.check_inside(*self.log_in())


class ManyTest(ServiceScenario):
    def test_out_and_in_again_and_again(self):
        daemon = service_scenario.SERVICE.pid
        self.wait_card()
        before = descriptors(daemon)
        for _ in range(10):
            self.take_out()
            self.put_in()
        self.wait_card()
        self.check_inside(*self.log_in())
        self.assertEqual(service_scenario.SERVICE.pid, daemon)
        wait_until(lambda: len(of(CARD)) <= 2, 'the helpers of cards that are gone to end')
        # A login that was let in is remembered by its process for a while.
        wait_until(lambda: descriptors(daemon) <= before + 4, 'the descriptors of cards that are gone')

    def test_who_waits_for_another_login_is_told(self):
        first = self.su()
        first.expect(ANY_PROMPT)
        second = self.su()
        second.expect(rb'another login uses the card')
        first.type(f'{PIN}\n')
        self.check_inside(*self.ended(first))
        second.enter(ANY_PROMPT, PIN)
        self.check_inside(*self.ended(second))

    def test_a_prompt_that_is_forgotten(self):
        """It keeps the card for as long as a login may wait, and then lets the next one have it."""
        self.again(service__wait='1500')
        first = self.su()
        first.expect(ANY_PROMPT)
        wait_until(lambda: 'no PIN came in time' in service_scenario.SERVICE.log, 'the login to end')
        self.check_inside(*self.log_in())
        first.type(f'{PIN}\n')
        status, text = self.ended(first)
        self.assertNotEqual(status, 0, text)
        self.assertIn('no PIN came in time', text)

    def test_pcscd_comes_later(self):
        service_scenario.SERVICE.stop()
        scenario.RIG.stop('pcscd')
        service_scenario.SERVICE.start()
        terminal = self.su()
        terminal.expect(rb'Insert your card: no reader')
        scenario.RIG.start('pcscd')
        terminal.enter(ANY_PROMPT, PIN)
        self.check_inside(*self.ended(terminal))


class TwoReadersTest(ServiceScenario):
    """alice's card is in one reader, bob's in the other: what happens to one of them is nothing to the other."""

    def setUp(self):
        super().setUp()
        before = pids(CARD)
        other = WORK / 'second'
        scenario.RIG.make_card(other, 'bob')
        scenario.RIG.launch('second', [scenario.RIG.vcard, '--card', other, '--port', str(rig_module.CARD_PORT + 1),
                                       '--control', WORK / 'second.control', '--log', WORK / 'second.apdus'], lambda: True)
        self.addCleanup(self.take_second_out)
        self.wait_ready(rig_module.READER, SECOND)
        self.bobs = pids(CARD) - before

    @staticmethod
    def take_second_out():
        """Seen by pcscd, before the next test puts it in."""
        scenario.RIG.stop('second')
        wait_until(lambda: not rig_module.card_is_in(scenario.RIG, SECOND), 'the second card to be out')

    def wait_ready(self, *readers):
        wait_until(lambda: {card['reader'] for card in service_scenario.SERVICE.cards() if card['state'] == 'ready'} >= set(readers),
                   f'the cards in {readers} to be ready')

    def prompts(self):
        alice, bob = self.su('alice'), self.su('bob')
        alice.expect(ANY_PROMPT)
        bob.expect(ANY_PROMPT)
        return alice, bob

    def enter(self, terminal, user):
        terminal.type(f'{PIN}\n')
        self.check_inside(*self.ended(terminal), user=user)

    def test_each_his_own(self):
        alice, bob = self.prompts()
        self.assertIn(b'Bob', bob.text)
        self.enter(bob, 'bob')
        self.enter(alice, 'alice')

    def test_the_card_helper_of_one_is_killed(self):
        """bob is told once; alice's login goes on with the processes that it had; one helper is started, for bob."""
        self.assertEqual(len(self.bobs), 1)
        alice, bob = self.prompts()
        resolver, others = pids(RESOLVER), pids(CARD) - self.bobs
        os.kill(*self.bobs, signal.SIGKILL)
        bob.type(f'{PIN}\n')
        status, text = self.ended(bob)
        self.assertNotEqual(status, 0, text)
        self.assertEqual(re.findall(r'\((\w+)\)', text), ['helper'], text)
        self.wait_ready(SECOND)
        self.assertEqual(others & pids(CARD), others)
        self.assertEqual(len(pids(CARD) - others), 1)
        self.assertEqual(pids(RESOLVER), resolver)
        self.enter(alice, 'alice')
        bob = self.su('bob')
        bob.expect(ANY_PROMPT)
        self.enter(bob, 'bob')

    def test_the_resolver_is_killed(self):
        """It had told all that both wait for: neither is harmed, and one other is there for the next."""
        alice, bob = self.prompts()
        before, helpers = pids(RESOLVER), pids(CARD)
        os.kill(*before, signal.SIGKILL)
        wait_until(lambda: pids(RESOLVER) and not pids(RESOLVER) & before, 'another resolver')
        after = pids(RESOLVER)
        self.assertEqual((len(before), len(after)), (1, 1))
        self.assertEqual(pids(CARD), helpers)
        self.enter(bob, 'bob')
        self.enter(alice, 'alice')
        alice, bob = self.prompts()
        self.enter(alice, 'alice')
        self.enter(bob, 'bob')
        self.assertEqual(pids(RESOLVER), after)


if __name__ == '__main__':
    service_scenario.main()
