#!/usr/bin/python3
"""test_service_seat.py: who may use the card in this computer's reader: its seat, and nobody else's."""
import json
import os
import select
import shutil
import subprocess
import time
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import PIN, SECONDS, Counts
from service_scenario import TERMINAL, ServiceScenario

import computer as computer_module
import rig as rig_module
import service as service_module
from computer import LOCAL

CALLER = rig_module.WORK / 'caller/caller.py'  # a copy: not everybody may read the repository
ENDS = ('granted', 'refused')
NOT_ALLOWED = 'io.cardmap.Login.NotAllowed'


class Caller:
    """caller.py, somewhere on this computer."""

    def __init__(self, place):
        if not CALLER.exists():
            CALLER.parent.mkdir()
            for name in ('caller.py', 'varlink.py'):
                shutil.copy(rig_module.HERE / name, CALLER.parent)
        self.child = subprocess.Popen(place(['/usr/bin/python3', CALLER, service_module.RUN / 'io.cardmap']),
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=TERMINAL)
        self.text, self.seen = b'', []

    def say(self, line):
        self.child.stdin.write((line if isinstance(line, str) else json.dumps(line)).encode() + b'\n')
        self.child.stdin.flush()

    def next(self, seconds=15):
        deadline = time.monotonic() + seconds
        while b'\n' not in self.text:
            if not select.select([self.child.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f'no reply within {seconds} s after {self.seen[-3:]}')
            data = os.read(self.child.stdout.fileno(), 65536)
            if not data:
                raise AssertionError('the caller ended')
            self.text += data
        line, _, self.text = self.text.partition(b'\n')
        self.seen.append(json.loads(line))
        return self.seen[-1]

    def until(self, *states):
        """The first reply in one of these states, or that ends it."""
        while True:
            reply = self.next()
            state = reply.get('parameters', {}).get('state')
            if 'error' in reply or state in states or state in ENDS:
                return reply

    def begin(self, **parameters):
        self.say(parameters)
        return self.until('pin')

    def end(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.kill()
        self.child.wait()


class SeatScenario(ServiceScenario):
    def caller(self, place):
        caller = Caller(place)
        self.addCleanup(caller.end)
        return caller

    def inside(self, user='alice', who=None, **kind):
        """A place: in a new session of this user, as this user or another."""
        session = service_scenario.COMPUTER.logind.open(user, **kind)
        return lambda command: session.command(command, who)

    @staticmethod
    def outside(who='root'):
        return lambda command: computer_module.in_background(command, who)

    def lenas(self, who=None):
        return lambda command: self.seat.command(command, who)

    def check_asked(self, place, **parameters):
        """It is asked for the PIN."""
        caller = self.caller(place)
        reply = caller.begin(**parameters)
        self.assertEqual(reply.get('parameters', {}).get('state'), 'pin', reply)
        caller.end()

    def check_kept_out(self, place, **parameters):
        """Not asked, told why, and the card hears nothing of it."""
        self.wait_card()
        with Counts() as counts:
            reply = self.caller(place).begin(**parameters)
        if 'error' in reply:
            self.assertEqual(reply['error'], NOT_ALLOWED, reply)
        else:
            self.assertEqual(reply['parameters']['state'], 'refused', reply)
        self.assertTrue(reply['parameters'].get('reason'), reply)
        self.assertTrue(reply['parameters'].get('text'), reply)
        self.assertEqual((counts.commands(), self.tries()), (0, 3))


class SeatTest(SeatScenario):
    def test_ones_own_active_session_here(self):
        self.check_asked(self.inside(), user='alice', service='swaylock')

    def test_root_for_others_in_an_active_session_here(self):
        for service in ('su', 'sudo', 'polkit-1'):
            with self.subTest(service):
                self.check_asked(self.lenas('root'), user='alice', service=service)

    def test_a_greeter_before_there_is_a_session(self):
        for service in ('login', 'gdm-smartcard'):
            with self.subTest(service):
                self.check_asked(self.outside(), user='alice', service=service)
                self.check_asked(self.outside(), service=service)

    def test_another_user_of_this_seat(self):
        self.check_kept_out(self.lenas(), user='alice', service='swaylock')
        self.check_kept_out(self.lenas(), service='swaylock')

    def test_a_card_that_opens_several_accounts_and_none_of_the_callers(self):
        """Whose it is, is known only once one of them is named: that is judged too."""
        self.again(mapper__several_accounts='hint')
        self.exchange('dave')
        self.wait_card()
        reply = self.caller(self.lenas()).begin(user='dave', service='swaylock')
        self.assertEqual((reply['parameters']['state'], reply['parameters']['reason']), ('refused', 'not_here'), reply)
        self.check_asked(self.lenas('root'), user='dave', service='su')

    def test_who_is_told_of_a_cards_accounts(self):
        """Root's programs of all; of anybody else's only the one whose account it is, who is not even asked."""
        self.again(mapper__several_accounts='hint')
        for spec, others in (('dave', 'dave-admin'), ('carol+9c=bob+82=dave', 'bob')):
            with self.subTest(spec):
                self.exchange(spec)
                self.wait_card()
                stranger, root = self.caller(self.lenas()), self.caller(self.lenas('root'))
                reply = stranger.begin(service='swaylock')
                self.assertEqual((reply['parameters']['state'], reply['parameters']['reason']), ('refused', 'not_here'), reply)
                self.assertNotRegex(json.dumps(stranger.seen), 'dave|Dave|bob|Bob')
                root.say({'service': 'gdm-smartcard'})
                self.assertIn(others, [choice['id'] for choice in root.until('choose')['parameters']['choices']])
                root.end()
                for user in ('dave', 'bob') if others == 'bob' else ('dave',):
                    own = self.caller(self.inside(user))
                    reply = own.begin(service='swaylock')
                    own.end()
                    self.assertEqual((reply['parameters']['state'], reply['parameters'].get('user')), ('pin', user), reply)

    def test_a_user_from_elsewhere(self):
        for who in (None, 'root'):
            with self.subTest(str(who)):
                self.check_kept_out(self.inside(remote=True, who=who), user='alice', service='su')

    def test_a_user_whose_session_is_not_in_front(self):
        for who in (None, 'root'):
            with self.subTest(str(who)):
                self.check_kept_out(self.inside(active=False, who=who), user='alice', service='su')

    def test_a_session_of_no_seat(self):
        for who in (None, 'root'):
            with self.subTest(str(who)):
                self.check_kept_out(self.inside(seat='', who=who), user='alice', service='su')

    def test_a_background_process(self):
        self.check_kept_out(self.outside(), user='alice', service='su')
        self.check_kept_out(self.outside(), user='alice')
        for user in ('alice', LOCAL):
            for service in ('su', 'login', 'gdm-smartcard'):
                with self.subTest(f'{user} {service}'):
                    self.check_kept_out(self.outside(user), user='alice', service=service)

    def test_pam_rhost(self):
        for place in (self.outside(), self.lenas('root'), self.inside()):
            for service in ('sshd', 'login'):
                self.check_kept_out(place, user='alice', service=service, rhost='192.0.2.7')

    def test_pam_rhost_where_the_configuration_lets_them(self):
        self.again(service__remote='yes')
        self.check_asked(self.outside(), user='alice', service='sshd', rhost='192.0.2.7')
        self.check_kept_out(self.outside(LOCAL), user='alice', service='sshd', rhost='192.0.2.7')

    def test_greeters_are_those_that_are_named(self):
        self.again(service__greeters=['mydm'])
        self.check_asked(self.outside(), user='alice', service='mydm')
        self.check_kept_out(self.outside(), user='alice', service='login')

    def test_without_logind(self):
        for folder in ('sessions', 'users', 'seats'):
            Path('/run/systemd', folder).rename(f'/run/systemd/{folder}.away')
        try:
            self.check_asked(self.outside(), user='alice', service='login')
            self.check_kept_out(self.outside(), user='alice', service='su')
            self.check_kept_out(self.outside('alice'), user='alice', service='login')
            self.again(service__services=['su'])
            self.check_asked(self.outside(), user='alice', service='su')
        finally:
            for folder in ('sessions', 'users', 'seats'):
                Path('/run/systemd', f'{folder}.away').rename(f'/run/systemd/{folder}')


class HandleTest(SeatScenario):
    def check_granted(self, caller):
        """The answer to Answer, and the login's states, come by two connections."""
        caller.say(f'pin {PIN}')
        replies = [caller.next()]
        while replies[-1].get('parameters', {}).get('state') not in ENDS:
            replies.append(caller.next())
        self.assertEqual(replies[-1]['parameters']['state'], 'granted', replies)
        return replies[-1]['parameters']['grant']

    def test_it_works_for_who_began(self):
        caller = self.caller(self.inside())
        caller.begin(user='alice', service='swaylock')
        grant = self.check_granted(caller)
        self.assertEqual((grant['user'], grant['uid'], grant['online']), ('alice', 10001, True))

    def test_it_is_nobody_elses(self):
        place = self.inside()
        caller = self.caller(place)
        handle = caller.begin(user='alice', service='swaylock')['parameters']['handle']
        with Counts() as counts:
            for other in (self.caller(place), self.caller(self.lenas()), self.caller(self.outside())):
                other.say(f'answer {handle} {PIN}')
                self.assertEqual(other.next()['error'], 'io.cardmap.Login.NoSuchLogin')
        self.assertEqual(counts.verifies(), 0)
        self.check_granted(caller)

    def test_no_pin_where_the_reader_takes_none(self):
        """An answer with no descriptor is one for a PIN pad."""
        caller = self.caller(self.inside())
        self.assertFalse(caller.begin(user='alice', service='swaylock')['parameters']['pad'])
        with Counts() as counts:
            caller.say('pad')
            self.assertEqual(caller.until('refused')['parameters']['reason'], 'pin_missing')
        self.assertEqual((counts.verifies(), self.tries()), (0, 3))

    def test_who_goes_away_leaves_nothing(self):
        for _ in range(3):
            caller = self.caller(self.lenas('root'))
            self.assertEqual(caller.begin(user='alice', service='su')['parameters']['state'], 'pin')
            caller.child.kill()
        self.check_inside(*self.log_in())

    def test_handles_cannot_be_guessed(self):
        found = set()
        for _ in range(4):
            caller = self.caller(self.lenas('root'))
            found.add(caller.begin(user='alice', service='su')['parameters']['handle'])
            caller.end()
        self.assertEqual(len(found), 4)
        self.assertTrue(all(len(handle) >= 22 for handle in found), found)  # 128 bits, however written

    def test_two_at_once_do_not_mix(self):
        """The second waits for the card, as for one that is being read, and then has its own PIN asked for."""
        first, second = self.caller(self.lenas('root')), self.caller(self.lenas('root'))
        self.assertEqual(first.begin(user='alice', service='su')['parameters']['state'], 'pin')
        second.say({'user': 'alice', 'service': 'sudo'})
        self.assertEqual(second.next()['parameters']['state'], 'reading')
        self.assertEqual(self.check_granted(first)['user'], 'alice')
        self.assertEqual(second.until('pin')['parameters']['state'], 'pin')
        self.assertEqual(self.check_granted(second)['user'], 'alice')


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    assert scenario
    service_scenario.main()
