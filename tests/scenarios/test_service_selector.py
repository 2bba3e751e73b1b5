#!/usr/bin/python3
"""test_service_selector.py: a program that names the users of cards, asked through the service: run by cardmapd, for a resolver that cannot."""
import base64
import os
import pwd
import socket
import struct
import subprocess
import unittest
from pathlib import Path

import mapping
import scenario
import service_scenario
from scenario import SECONDS, wait_until
from service_scenario import ServiceScenario

import service as service_module
from rig import WORK

PROGRAM, CALLS = WORK / 'selector/program', WORK / 'selector/calls'
STORE = service_module.RUN / 'private/store'
SELECT = 11  # cache/store_wire_internal.h, the last of its rows
AS_RESOLVER = ('import socket, sys\n'
               's = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n'
               's.connect(sys.argv[1])\n'
               's.send(bytes.fromhex(sys.argv[2]))\n'
               'sys.stdout.buffer.write(s.recv(1 << 17))\n')


def key_hash(card):
    return mapping.key_hash(card).upper()


def octets(data):
    return struct.pack('<I', len(data)) + data


def question(hashes, user='', ms=20000, more=b''):
    return bytes([SELECT]) + octets(hashes) + octets(user.encode()) + struct.pack('<q', ms) + more


class SelectorTest(ServiceScenario):
    with_faults = True  # this build's own cardmapd
    changes = {'mapper__selector': PROGRAM, 'service__whois_age': 0}

    def setUp(self):
        PROGRAM.parent.mkdir(exist_ok=True)
        PROGRAM.parent.chmod(0o755)
        PROGRAM.unlink(missing_ok=True)
        CALLS.write_text('')
        CALLS.chmod(0o666)
        self.hash = key_hash('alice-rsa2048')
        self.answering('alice')
        super().setUp()

    def selector(self, text, mode=0o755):
        new = PROGRAM.with_name('new')  # the old one may run
        new.write_text(f'#!/bin/sh\n{text}\n')
        new.chmod(mode)
        new.rename(PROGRAM)

    def answering(self, user):
        self.selector(f'echo "$(id -un) $*" >>{CALLS}\nprintf "{self.hash}\\t{user}\\n"')

    def calls(self):
        return CALLS.read_text().splitlines()

    def whois(self, **parameters):
        """The reason and the message, or no reason and the account's name: of the resolver."""
        certificate = base64.b64encode((scenario.RIG.pki / 'alice-rsa2048.der').read_bytes()).decode()
        answer = service_scenario.SERVICE.ask('io.cardmap.Whois', {'certificate': certificate, **parameters})
        outcome = answer['outcome']
        return (outcome['reason'], outcome['text']) if outcome.get('reason') else (None, answer['account']['name'])

    def failing(self):
        reason, message = self.whois()
        self.assertEqual(reason, 'selector', message)
        self.assertIn(str(PROGRAM), message)
        return message

    def test_it_names_the_user_of_a_login(self):
        self.check_inside(*self.log_in())
        self.assertEqual({line.split()[0] for line in self.calls()}, {'_cardmap'})
        self.assertEqual(self.kept(), ['alice'])
        CALLS.write_text('')
        self.whois(user='alice')
        self.assertEqual(self.calls(), [f'_cardmap -o map -u alice -i {self.hash}'])

    def test_it_only_proposes(self):
        """Root's account, one of the system's, nobody's, and bob, whom the card's ticket is not for."""
        self.answering('bob')
        self.again()
        self.refused('kdc_refused', user='bob', text='Bob Example')
        self.again(kerberos__ticket='off')
        self.refused('not_vouched', user='bob', text='bob')
        self.assertEqual((self.kept(), self.tickets()), ([], []))
        for user, reason in (('toor', 'account_forbidden'), ('sysuser', 'account_forbidden'), ('nobody-at-all', 'no_account')):
            with self.subTest(user):
                self.answering(user)
                self.assertEqual(self.whois()[0], reason)

    def test_hostile_programs(self):
        """Each a failure to ask, that names the program: nobody is let in by a rule instead."""
        hostile = {
            'option': f"printf '{self.hash}\\t-bob\\n'", 'words': 'echo bob', 'not asked': "printf '%040d\\tbob\\n' 7",
            'status': f"printf '{self.hash}\\tbob\\n'; exit 1", 'signal': f"printf '{self.hash}\\tbob\\n'; kill -9 $$",
            'flood': f"while :; do printf '{self.hash}\\tbob\\n'; done", 'hang': f'echo $$ >{CALLS}; exec sleep 1000',
        }
        for name, text in hostile.items():
            with self.subTest(name):
                self.selector(text)
                self.failing()
        pid = CALLS.read_text().strip()
        wait_until(lambda: not Path('/proc', pid).exists(), 'who hung to be ended')
        self.answering('alice')
        self.assertEqual(self.whois(), (None, 'alice'))

    def test_programs_that_others_may_have_put_there(self):
        self.selector(f'printf "{self.hash}\\talice\\n"', mode=0o775)
        self.assertIn('others may write', self.failing())
        PROGRAM.chmod(0o755)
        os.chown(PROGRAM, 65534, 0)
        self.assertIn('belongs to uid 65534', self.failing())
        os.chown(PROGRAM, 0, 0)
        PROGRAM.rename(PROGRAM.with_name('other'))
        PROGRAM.symlink_to(PROGRAM.with_name('other'))
        self.assertIn('is a link', self.failing())
        PROGRAM.unlink()
        self.assertEqual(self.whois(), (None, 'alice'), 'a missing one leaves the rules')

    def ask_as_resolver(self, datagram):
        """As who is the resolver's user and has its socket; empty: refused, the connection is closed."""
        own = pwd.getpwnam('_cardmap')
        done = subprocess.run(['setpriv', f'--reuid={own.pw_uid}', f'--regid={own.pw_gid}', '--clear-groups', '/usr/bin/python3', '-c',
                               AS_RESOLVER, STORE, datagram.hex()], capture_output=True, timeout=SECONDS, check=False)
        return done.stdout

    def test_a_resolver_that_lies_runs_nothing_else(self):
        key = bytes.fromhex(self.hash)
        CALLS.write_text('')
        for name, datagram in {
                'an option for a user': question(key, '--help'), 'a path': question(key, '../bob'), 'control characters': question(key, 'a\nb'),
                'no key': question(b''), 'half a key': question(key[:19]), 'too many': question(key * 65), 'a key in hex': question(self.hash.encode() + b'x'),
                'a program behind it': question(key, 'alice', more=octets(b'/bin/sh')), 'for ever': question(key, ms=1 << 40),
                'an operation': question(key, 'alice', more=b'\1')}.items():
            with self.subTest(name):
                self.assertEqual(self.ask_as_resolver(datagram), b'')
        self.assertEqual(self.calls(), [])
        answer = self.ask_as_resolver(question(key, 'alice'))
        self.assertEqual(answer[:2], bytes([SELECT, 0]), 'the same, as it should be')
        self.assertIn(f'{self.hash}\talice\n'.encode(), answer)
        self.assertEqual(self.calls(), [f'_cardmap -o map -u alice -i {self.hash}'])

    def test_nobody_runs_one_where_none_is_configured(self):
        service_scenario.SERVICE.stop()
        scenario_changes, type(self).changes = type(self).changes, {}
        self.addCleanup(setattr, type(self), 'changes', scenario_changes)
        self.configure()
        self.start()
        CALLS.write_text('')
        self.assertEqual(self.ask_as_resolver(question(bytes.fromhex(self.hash), 'alice')), b'')
        self.assertEqual(self.calls(), [])

    def test_a_dead_runner_ends_the_service(self):
        """Its manager starts it anew: it does not go on refusing everybody."""
        pids = [process.pid for process in service_module.processes()
                if Path(f'/proc/{process.pid}/comm').read_text().strip() == 'cardmapd-select']
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], 9)
        wait_until(lambda: not service_module.processes_of_service(), 'cardmapd to end')


if __name__ == '__main__':
    service_scenario.main()
