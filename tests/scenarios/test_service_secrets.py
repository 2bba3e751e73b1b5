#!/usr/bin/python3
"""test_service_secrets.py: the PINs of logins, right and wrong, stand nowhere: no file, log, journal, environment, core or memory."""
import contextlib
import os
import resource
import signal
import stat
import subprocess
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import wait_until
from service_scenario import ANY_PROMPT, ServiceScenario, memory_has

import service as service_module
from rig import WORK
from service import CARD, RESOLVER

# Eight digits each, so that no time or number is one by chance.
RIGHT, WRONG, NEW = '90817263', '81726354', '72635445'
PINS = [pin.encode() for pin in (RIGHT, WRONG, NEW)]
# What holds a PIN because it is the card: its folder, and the journal of a card that persists.  pcscd is not run with -a,
# which logs every octet that goes to a card and is the administrator's way to see exactly that.
CARDS = WORK / 'cards'
# Sockets and processes of the tests themselves.
SKIPPED = (CARDS, WORK / 'card', WORK / 'pki', WORK / 'rig.pins')


def has(data):
    return [pin.decode() for pin in PINS if pin in data or pin.decode().encode('utf-16-le') in data]


def files(folder):
    for path in folder.rglob('*'):
        if path.is_file() and not path.is_symlink() and not any(path.is_relative_to(skipped) for skipped in SKIPPED):
            yield path


class SecretsTest(ServiceScenario):
    changes = {'service__log': 'syslog', 'service__wait': 60000}  # all is searched while a PIN is asked

    def setUp(self):
        super().setUp()
        self.exchange('alice-rsa2048', pin=RIGHT)
        self.wait_card()

    def check_files(self):
        for folder in (WORK, Path('/run/cardmap'), Path('/home'), Path('/etc'), Path('/var/log'), Path('/run/systemd')):
            for path in files(folder):
                try:
                    found = has(path.read_bytes())
                except OSError:
                    continue
                self.assertEqual(found, [], path)

    def check_processes(self, state):
        """Arguments and environment of every process of this computer, but for the tests' own."""
        for pid in filter(str.isdigit, os.listdir('/proc')):
            if int(pid) == os.getpid():
                continue
            for name in ('cmdline', 'environ'):
                try:
                    found = has(Path(f'/proc/{pid}/{name}').read_bytes())
                except OSError:
                    continue
                self.assertEqual(found, [], f'{state}: {name} of {pid}')

    def check_memory(self, state, *names):
        for process in service_module.processes():
            if process.name in names:
                self.assertEqual(memory_has(process.pid, has), [], f'{state}: memory of {process}')

    def check_all(self, state):
        self.check_processes(state)
        # The PIN goes past both in a pipe that neither reads.
        self.check_memory(state, 'cardmapd', RESOLVER)
        self.check_files()

    def test_at_every_state_of_a_login(self):
        self.check_inside(*self.log_in(RIGHT))  # known, so that it gets in with a KDC that is frozen
        self.wait_card()
        terminal = self.su()
        terminal.expect(ANY_PROMPT)
        self.check_all('the PIN is asked')
        scenario.RIG.freeze('kdc')
        terminal.type(f'{RIGHT}\n')
        terminal.expect(rb'\r\n')  # it took the PIN
        self.check_all('the PIN was handed over')
        scenario.RIG.thaw('kdc')
        status, text = self.ended(terminal, RIGHT)
        self.assertEqual(status, 0, text)
        self.check_all('after the login')
        self.wait_card()
        self.check_memory('after the login', CARD)

    def test_wrong_pins(self):
        terminal = self.su()
        terminal.enter(ANY_PROMPT, WRONG)
        terminal.expect(rb'2 tries left')
        self.check_all('a wrong PIN')
        terminal.kill()

    def test_a_pin_for_a_card_that_is_gone(self):
        self.again(service__wait=4000)
        terminal = self.su()
        terminal.expect(ANY_PROMPT)
        self.take_out()
        terminal.type(f'{RIGHT}\n')
        status, text = self.ended(terminal, RIGHT)
        self.assertNotEqual(status, 0, text)
        self.check_all('the card is gone')
        self.check_memory('the card is gone', CARD)

    @staticmethod
    def cores(places):
        return {path for place in places for path in place.parent.glob(f'{place.name}*')}

    def test_processes_that_crash_with_a_pin_leave_no_core(self):
        """Not dumpable (proc(5)): the kernel writes none, whatever the limit and wherever kernel.core_pattern leads; /proc is root's."""
        terminal = self.su()
        terminal.enter(ANY_PROMPT, WRONG)
        terminal.expect(rb'2 tries left')
        helpers = [process.pid for process in service_module.processes() if process.name == CARD]
        pattern = Path('/proc/sys/kernel/core_pattern').read_text(encoding='ascii').strip()
        places = {Path(os.readlink(f'/proc/{pid}/cwd'), 'core' if pattern.startswith('|') else pattern.partition('%')[0]) for pid in helpers}
        before = self.cores(places)
        for pid in helpers:
            self.assertEqual(os.stat(f'/proc/{pid}/environ').st_uid, 0)
            with contextlib.suppress(PermissionError):  # a root that has no CAP_SYS_RESOURCE
                resource.prlimit(pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
            os.kill(pid, signal.SIGSEGV)
        wait_until(lambda: not {process.pid for process in service_module.processes()} & set(helpers), 'them to crash')
        self.assertEqual(self.cores(places) - before, set())
        terminal.kill()

    def test_in_the_journal_and_the_trace(self):
        terminal = self.su()
        terminal.enter(ANY_PROMPT, WRONG)
        terminal.enter(rb'2 tries left(?s:.)*: ?$', RIGHT)
        self.assertEqual(self.ended(terminal, RIGHT)[0], 0)
        journal = service_scenario.COMPUTER.journal
        wait_until(lambda: journal.find(CARDMAP_USER='alice'), 'the login in the journal')
        self.assertEqual(has(journal.path.read_bytes()), [])

    def test_in_the_log_of_a_card(self):
        """Of one insertion, by root's wish, for root alone: each exchange, and no digit of a PIN in any form."""
        store = service_scenario.SERVICE.store
        log, told = store.parent / 'card.log', [scenario.program(), 'cards', 'log-next']
        environment = {**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'}
        subprocess.run(told, check=True, capture_output=True, env=environment)
        self.assertFalse(log.exists(), 'the card that is in is not the next one')
        self.exchange('alice-rsa2048', pin=RIGHT)
        wait_until(log.exists, 'the log of the card')
        self.wait_card()
        terminal = self.su()
        terminal.enter(ANY_PROMPT, WRONG)
        terminal.enter(rb'2 tries left(?s:.)*: ?$', RIGHT)
        self.assertEqual(self.ended(terminal, RIGHT)[0], 0)
        found = log.stat()
        self.assertEqual((found.st_uid, stat.S_IMODE(found.st_mode)), (0, 0o600))
        text = log.read_text(encoding='ascii')
        self.assertEqual(text.count('> 00200080 (9 bytes hidden)'), 2, text)
        self.assertIn('< 63c2', text)
        self.assertRegex(text, r'(?m)^.* > 00a40400 .*a0000003080000')
        for pin in PINS:
            self.assertNotIn(pin.decode(), text)
            self.assertNotIn(pin.hex(), text)
        self.exchange('alice-p256', pin=RIGHT)
        self.wait_card()
        self.assertTrue(log.read_text(encoding='ascii').startswith(text[:400]), 'what was written stays')
        self.assertEqual(log.read_text(encoding='ascii').count('reader Virtual'), 1, 'off by itself')


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    service_scenario.main()
