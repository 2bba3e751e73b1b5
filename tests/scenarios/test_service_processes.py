#!/usr/bin/python3
"""test_service_processes.py: what each process may, and what becomes of a login when one dies."""
import os
import pwd
import re
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import ALICE_UID, PIN, Counts, said, wait_until
from service_scenario import ANY_PROMPT, PROMPT, ServiceScenario

import reach
import service as service_module
from reach import status_of
from rig import WORK
from service import CARD, RESOLVER

WRITER = 'cardmap-ccache'
PARSERS = ('libldap', 'liblber', 'libcurl', 'libpcsclite', 'libexpat', 'libp11', 'libsasl', 'libgnutls')


def descriptors(pid):
    found = []
    for name in os.listdir(f'/proc/{pid}/fd'):
        try:
            found.append(os.readlink(f'/proc/{pid}/fd/{name}'))
        except FileNotFoundError:
            pass
    return found


def of(name):
    return [process for process in service_module.processes() if process.name == name]


def needed(path):
    return re.findall(r'NEEDED.*\[(.*)\]', said(['readelf', '-d', path]))


class RightsTest(ServiceScenario):
    def test_each_process_is_its_own_user(self):
        uids = {name: {process.uid for process in of(name)} for name in ('cardmapd', RESOLVER, CARD)}
        self.assertEqual(uids, {'cardmapd': {0}, RESOLVER: {pwd.getpwnam('_cardmap').pw_uid},
                                CARD: {pwd.getpwnam('_cardmap-card').pw_uid}})

    def test_the_privileged_one_is_linked_with_no_parser_of_what_comes_from_outside(self):
        libraries = needed(service_module.HOME / 'sbin/cardmapd')
        self.assertTrue(libraries)
        self.assertEqual([name for name in libraries if name.startswith(PARSERS)], [])

    def test_the_module_links_the_client_and_nothing_else(self):
        libraries = needed(service_scenario.SERVICE.module)
        self.assertEqual([name for name in libraries if not name.startswith(('libc.', 'libpam.', 'libcardmap.'))], [])

    def test_the_privileged_one_has_no_network(self):
        self.check_inside(*self.log_in())
        for process in of('cardmapd'):
            if process.pid == service_scenario.SERVICE.pid:  # the other one starts helpers, before any filter
                self.assertEqual(status_of(process.pid)['Seccomp'], '2', process)
            inodes = {match[1] for link in descriptors(process.pid) if (match := re.match(r'socket:\[(\d+)\]', link))}
            for table in ('tcp', 'tcp6', 'udp', 'udp6', 'raw', 'packet', 'netlink'):
                lines = Path(f'/proc/{process.pid}/net/{table}').read_text(encoding='ascii').splitlines()[1:]
                self.assertEqual([line for line in lines if inodes & set(line.split())], [], table)

    def test_the_others_cannot_become_more(self):
        self.check_inside(*self.log_in())
        for process in of(RESOLVER) + of(CARD):
            status = status_of(process.pid)
            self.assertEqual((status['NoNewPrivs'], status['CapEff'], status['CapPrm']), ('1', '0' * 16, '0' * 16), process)
            self.assertEqual(status['Groups'], '', process)
        for process in of(RESOLVER):
            self.assertTrue(reach.is_bare(status_of(process.pid)), process)

    def test_what_the_resolver_reaches(self):
        """Without a service manager it is its user and its filter that keep it from all that is root's, and from the others' sockets."""
        service, private = service_scenario.SERVICE, service_module.RUN / 'private'
        sockets = {path for path in private.iterdir() if path.is_socket()}
        self.assertIn(private / 'store', sockets)
        process, = of(RESOLVER)
        found = reach.reach(process.pid, [
            *(('read', str(path)) for path in ('/', '/etc/krb5.keytab', '/etc/shadow', '/root', service.store.parent, service.store, private,
                                               '/dev/mem', '/dev/kmsg', f'/proc/{service.pid}/environ')),
            *(('write', str(path)) for path in ('/', '/etc', service_module.CONF.parent, service_module.CONF, '/usr', '/home', service_module.RUN, private,
                                                service_module.HOME, '/proc/sys/kernel/core_pattern', service.lists)),
            *(('connect', str(path)) for path in sockets)])
        self.assertEqual({attempt for attempt, answer in found.items() if answer == 'yes'},
                         {('read', '/'), ('write', str(service.lists)), ('connect', str(private / 'store'))}, found)

    def test_nobody_else_holds_the_keytab_or_the_store(self):
        self.check_inside(*self.log_in())
        for process in of(RESOLVER) + of(CARD):
            for link in descriptors(process.pid):
                self.assertNotIn('keytab', link)
                self.assertNotIn(str(service_scenario.SERVICE.store), link)

    def test_nobody_takes_a_core_of_who_holds_a_pin(self):
        """A process that is not dumpable has root's files in /proc (proc(5), PR_SET_DUMPABLE)."""
        for process in of(CARD):
            self.assertEqual(os.stat(f'/proc/{process.pid}/environ').st_uid, 0, process)

    def test_helpers_end_with_the_service(self):
        service_scenario.SERVICE.kill('cardmapd')
        wait_until(lambda: not service_module.processes_of_service(), 'all to end')


class DeathTest(ServiceScenario):
    """kill -9, from outside, between logins and in the middle."""
    def check_next(self):
        self.wait_card()
        self.check_inside(*self.log_in())

    def test_between_logins(self):
        for name in (RESOLVER, CARD):
            with self.subTest(name):
                before = {process.pid for process in of(name)}
                service_scenario.SERVICE.kill(name)
                wait_until(lambda: of(name) and not before & {p.pid for p in of(name)}, f'another {name}')
                self.check_next()

    def kill_at_prompt(self, name, noticed):
        """What the login comes to, with the right PIN typed after that."""
        said = len(service_scenario.SERVICE.log)
        terminal = self.su()
        terminal.expect(PROMPT)
        service_scenario.SERVICE.kill(name)
        wait_until(lambda: noticed in service_scenario.SERVICE.log[said:], 'its death to be noticed')
        terminal.type(f'{PIN}\n')
        return self.ended(terminal)

    def test_of_the_cards_helper_while_the_pin_is_asked(self):
        """The login has ended: the PIN goes nowhere."""
        with Counts() as counts:
            status, text = self.kill_at_prompt(CARD, 'while the PIN was awaited')
        self.assertNotEqual(status, 0, text)
        self.assertIn('(helper)', text)
        self.assertEqual((counts.verifies(), self.tickets(), self.tries()), (0, [], 3))
        self.check_next()

    def test_of_the_resolver_while_the_pin_is_asked(self):
        """What it has told stands: one PIN, and a session."""
        with Counts() as counts:
            self.check_inside(*self.kill_at_prompt(RESOLVER, 'resolver (pid'))
        self.assertEqual((counts.verifies(), counts.signatures()), (1, 1))
        self.check_next()

    def test_of_the_tickets_writer_while_the_pin_is_asked(self):
        """It begins before there is a ticket, as who it is for; another takes its place, and it goes with who was asked."""
        terminal = self.su()
        terminal.expect(PROMPT)
        wait_until(lambda: [p.uid for p in of(WRITER)] == [ALICE_UID], 'the writer to be alice')
        self.assertEqual(self.tickets(), [])
        service_scenario.SERVICE.kill(WRITER)
        wait_until(lambda: not of(WRITER), 'the writer to end')
        terminal.type(f'{PIN}\n')
        self.check_inside(*self.ended(terminal))
        self.wait_card()
        terminal = self.su()
        terminal.expect(PROMPT)
        wait_until(lambda: of(WRITER), 'the writer')
        terminal.kill()
        wait_until(lambda: not of(WRITER), 'the writer to end with the prompt')

    def test_of_the_service_itself_while_the_pin_is_asked(self):
        for required in ('no', 'yes'):
            with self.subTest(required):
                self.again(enforcement__required=required)
                self.drop_tickets()
                terminal = self.su()
                terminal.expect(PROMPT)
                with Counts() as counts:
                    service_scenario.SERVICE.kill('cardmapd')
                    wait_until(lambda: not service_module.processes_of_service(), 'all to end')
                    terminal.type(f'{PIN}\n')
                    status, text = self.ended(terminal)
                self.assertNotEqual(status, 0, text)
                self.assertEqual((counts.verifies(), self.tickets()), (0, []))
                self.start()
                self.check_next()

    def test_one_cards_helper_is_not_anothers(self):
        other = scenario.rig_module.WORK / 'second'
        scenario.RIG.make_card(other, 'bob')
        scenario.RIG.launch('second', [scenario.RIG.vcard, '--card', other, '--port', str(scenario.rig_module.CARD_PORT + 1),
                                       '--control', WORK / 'second.control', '--log', WORK / 'second.apdus'], lambda: True)
        self.addCleanup(scenario.RIG.stop, 'second')
        wait_until(lambda: len([card for card in service_scenario.SERVICE.cards() if card['present']]) == 2, 'two cards')
        self.wait_card()
        wait_until(lambda: len(of(CARD)) >= 3, 'a helper for each, and the watcher')
        terminal = self.su()
        terminal.expect(ANY_PROMPT)
        asked = terminal.text.decode()
        self.assertIn('Alice', asked, 'of two cards the one that is hers')
        terminal.type(f'{PIN}\n')
        self.check_inside(*self.ended(terminal))


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    service_scenario.main()
