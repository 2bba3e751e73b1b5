#!/usr/bin/env python3
"""What comes again and again leaves nothing in cardmapd: logins, cards taken out and put in, questions.  Octets are counted by its
allocator (tests/rig/counted_preload.c), not measured: a hundred that each login left would be seen.

Its record of the last 256 decisions is JSON, and counted apart: it grows until it is full."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'rig'))
import service_scenario
from scenario import wait_until
from service_scenario import ServiceScenario

TIMES = 6
LEVEL = 5
NOISE = 600         # octets: a number that has a digit more, a buffer that was longer before
OF_RECORD = 4096    # for each time: two or three entries


def counted():
    """(all but JSON, JSON)"""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(service_scenario.LOGIN_SECONDS)
        s.connect(f'\0cm_counted.{service_scenario.SERVICE.pid}')
        whole, json = map(int, s.recv(64).split())
        return whole - json, json


def count():
    """When nothing is under way: a connection's end, a card that is prepared."""
    seen = []

    def is_level():
        seen.append(counted())
        return len(seen) > LEVEL and len(set(seen[-LEVEL:])) == 1
    wait_until(is_level, 'cardmapd to be at rest')
    return seen[-1]


class GrowthTest(ServiceScenario):
    with_faults = True  # with AddressSanitizer, whose allocator counts

    def start(self, **environment):
        super().start(LD_PRELOAD=os.environ['CM_COUNTED'], ASAN_OPTIONS='detect_leaks=0:verify_asan_link_order=0', **environment)

    def leaves_nothing(self, once):
        self.wait_card()
        for _ in range(TIMES):
            once()
        before, record = count()
        for _ in range(TIMES):
            once()
        after, longer = count()
        self.assertLess(after - before, NOISE)
        self.assertLess(longer - record, TIMES * OF_RECORD)

    def test_logins(self):
        def once():
            self.check_inside(*self.log_in())
            self.wait_card()
        self.leaves_nothing(once)

    def test_cards(self):
        def once():
            self.take_out()
            self.put_in()
            self.wait_card()
        self.leaves_nothing(once)

    def test_questions(self):
        def once():
            for method in ('Status', 'Accounts'):
                service_scenario.SERVICE.ask(f'io.cardmap.{method}')
        self.leaves_nothing(once)


if __name__ == '__main__':
    service_scenario.main()
