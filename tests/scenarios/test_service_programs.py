#!/usr/bin/python3
"""test_service_programs.py: polkit and a screen locker of this system, each by the PAM service that it has here."""
import os
import shutil
import subprocess
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import NEW_PIN, PIN, WRONG_PIN, Counts, wait_until
from service_scenario import PROMPT, ServiceScenario

BUS = Path('/run/dbus/system_bus_socket')
PSELECT6 = {'x86_64': 270, 'aarch64': 72}[os.uname().machine]
ACTION = 'org.freedesktop.policykit.exec'  # pkexec's own, of any program: an administrator's word (auth_admin)


class PolkitTest(ServiceScenario):
    """pkexec(1), polkitd(8), pkttyagent(1) and its helper, which is root's and speaks PAM as "polkit-1"."""

    @classmethod
    def setUpClass(cls):
        # sd-login(3) tells polkitd of sessions; the administrators are alice and bob.
        rules = Path('/etc/polkit-1/rules.d')
        shutil.rmtree(rules, ignore_errors=True)
        rules.mkdir(parents=True)
        (rules / '10-test.rules').write_text('polkit.addAdminRule(function(action, subject) { return ["unix-user:alice"]; });\n')
        Path('/run/dbus').mkdir(exist_ok=True)
        scenario.RIG.launch('dbus', ['dbus-daemon', '--system', '--nofork', '--nopidfile'], BUS.exists)
        cls.addClassCleanup(scenario.RIG.stop, 'dbus')
        scenario.RIG.launch('polkitd', ['/usr/lib/polkit-1/polkitd', '--no-debug'], lambda: subprocess.run(
            ['pkaction', '--action-id', ACTION], capture_output=True, check=False).returncode == 0)
        cls.addClassCleanup(scenario.RIG.stop, 'polkitd')

    def pkexec(self):
        """The agent says by a descriptor that it is there, and then has the terminal. pkexec serves no child of process 1."""
        session = self.seat = service_scenario.COMPUTER.logind.open('alice')
        return self.terminal(['sh', '-c', '(pkttyagent --process $$ --notify-fd 9 9>&1 >/dev/tty 2>&1 &) | cat; '
                              'pkexec --disable-internal-agent /usr/bin/id -un; echo "status $?"'], session)

    def refused_for(self, reason):
        with Counts() as counts:
            _, text = self.ended(self.pkexec())
        self.assertIn(f'({reason})', text)
        self.assertIn('\nstatus 127\n', text)
        self.assertNotRegex(text, r'(?m)root$')
        self.assertEqual((counts.verifies(), self.tries()), (0, 3))

    def test_the_administrators_card(self):
        with Counts() as counts:
            terminal = self.pkexec()
            terminal.enter(PROMPT, PIN)
            _, text = self.ended(terminal)
        self.assertRegex(text, r'AUTHENTICATION COMPLETE [^\n]*\n[^\n]*root\nstatus 0\n')
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))

    def test_other_cards(self):
        for card, reason in (('bob', 'not_this_user'), ('revoked', 'revoked'), ('look-alike', 'cert_untrusted')):
            with self.subTest(card):
                self.take_out()
                self.put_in(card)
                self.wait_card()
                self.refused_for(reason)

    def test_a_wrong_pin(self):
        terminal = self.pkexec()
        terminal.enter(PROMPT, WRONG_PIN)
        terminal.enter(rb'(?s)2 tries left.*: ?$', NEW_PIN)
        _, text = self.ended(terminal, WRONG_PIN)
        self.assertIn('\nstatus 127\n', text)
        self.assertNotRegex(text, r'(?m)root$')


def vlock_reads():
    """It waits for its terminal alone: select(2) of one descriptor."""
    for process in Path('/proc').glob('[0-9]*'):
        try:
            if (process / 'comm').read_text() == 'vlock-main\n':
                return (process / 'syscall').read_text().startswith(f'{PSELECT6} 0x1 ')
        except OSError:
            pass
    return False


class LockerTest(ServiceScenario):
    """vlock(1), which is set-uid root: whose terminal it is, who opens it. What is typed before it reads it throws away."""

    changes = {'kerberos__timeout': 10000}  # a ticket is to come

    @staticmethod
    def type(terminal, text):
        wait_until(vlock_reads, 'vlock to read')
        terminal.type(text + '\n')

    def lock(self):
        session = self.seat = service_scenario.COMPUTER.logind.open('alice')
        terminal = self.terminal(['sh', '-c', 'vlock; echo "status $?"'], session)
        terminal.expect(rb'TTY is now locked[^$]*to unlock')
        self.type(terminal, '')
        return terminal

    def unlock(self, terminal):
        terminal.expect(PROMPT)
        self.assertFalse(terminal.echoes())
        self.type(terminal, PIN)
        _, text = self.ended(terminal)
        self.assertIn('\nstatus 0\n', text)
        return text

    def test_unlocked(self):
        with Counts() as counts:
            self.unlock(self.lock())
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))

    def test_a_ticket_once_the_network_is_back(self):
        """Of a session that began offline: the first unlocking after that puts it where the session's programs look."""
        self.check_inside(*self.log_in())
        self.drop_tickets()
        scenario.RIG.stop('slapd', 'kdc')
        terminal = self.su(script=f'{service_scenario.SEEN}; echo offline; read again; klist; echo "said=$?"')
        terminal.enter(service_scenario.ANY_PROMPT, PIN)
        terminal.expect(rb'offline\r\n')
        self.assertEqual(self.tickets(), [])
        scenario.RIG.start('slapd', 'kdc')
        wait_until(lambda: not self.status().get('kdc'), 'the KDC to be found alive', 60)
        self.unlock(self.lock())
        terminal.type('\n')
        status, text = self.ended(terminal)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, rf'(?s)offline\r?\n.*FILE:{service_scenario.SERVICE.tickets}/krb5cc_10001\r?\n.*alice@CARDMAP.TEST.*said=0')

    def test_another_users_card(self):
        """It stays locked, until hers is in."""
        self.take_out()
        self.put_in('bob')
        self.wait_card()
        with Counts() as counts:
            terminal = self.lock()
            terminal.expect(rb'\(not_this_user\)')
            terminal.expect(rb"root's Password: $")  # as su: no card stands for root
            self.type(terminal, 'not the password')
            terminal.expect(rb'(?s)failure.*TTY is now locked.*to unlock')
        self.assertEqual((counts.verifies(), self.tries()), (0, 3))
        self.assertNotIn(b'status', terminal.text)
        self.take_out()
        self.put_in('alice-rsa2048')
        self.wait_card()
        self.type(terminal, '')
        self.assertIn('service vlock', self.unlock(terminal) + service_scenario.SERVICE.log)


if __name__ == '__main__':
    service_scenario.main()
