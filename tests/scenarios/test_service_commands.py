#!/usr/bin/python3
"""test_service_commands.py: the commands and the service: the same answers as alone, and who gets them; status, log, cards, login."""
import base64
import json
import os
import pwd
import re
import shutil
import ssl
import subprocess
import unittest
from pathlib import Path

import scenario
import answers
import service_scenario
from scenario import PIN, SECONDS, WRONG_PIN, wait_until
from service_scenario import PROMPT, TERMINAL, ServiceScenario

import computer as computer_module
import service as service_module
from computer import LOCAL, in_background
from rig import HTTP_PORT, WORK
from terminal import Terminal
from web import Page, Web

PROGRAM = service_module.HOME / 'bin/cardmap'  # a copy: not everybody may read the repository
PAGE = Path(__file__).resolve().parents[2] / 'doc/man/cardmap-protocol.7.scd'
# What may differ: how long it took, and how old something is by now.
TIMES = re.compile(r'("us": |"age_s": )\d+| *\d+(?:\.\d+)?( ?(?:us|ms)\b)|\b\d+( s\b)|\d\d:\d\d:\d\d UTC')


def timeless(text):
    return TIMES.sub('T', text)


class CommandScenario(ServiceScenario):
    changes = {'service__helpdesk_group': 'helpdesk'}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        groups = computer_module.ETC / 'group'
        if 'helpdesk:' not in groups.read_text():
            with open(groups, 'a', encoding='ascii') as out:
                out.write(f'helpdesk:x:20100:{LOCAL}\n')

    def ask_as(self, user, *arguments, status=0, **more):
        """As somebody at the seat; json.  status None: any that is an answer."""
        session = service_scenario.COMPUTER.logind.open(user)
        environment = {**TERMINAL, 'ASAN_OPTIONS': 'detect_leaks=0', **scenario.RIG.environment(), **more}
        done = subprocess.run(session.command(['env', *(f'{k}={v}' for k, v in environment.items()), PROGRAM, *arguments, '--json']),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
        self.assertIn(done.returncode, (0, 1, 3) if status is None else (status,), done.stdout + done.stderr)
        return json.loads(done.stdout)

    def configure(self, more='', **changes):
        """The service's, and the same for root alone: with what belongs to _cardmap there belonging to root."""
        own = pwd.getpwnam('_cardmap')
        for name, user in (('lists-of-service', own.pw_uid), ('lists-of-root', 0)):
            shutil.rmtree(WORK / name, ignore_errors=True)
            (WORK / name).mkdir(mode=0o700)
            os.chown(WORK / name, user, -1)
        super().configure(more, **{'trust__crl_dir': WORK / 'lists-of-service', **changes})
        text = service_module.CONF.read_text().replace('lists-of-service', 'lists-of-root')
        password = service_module.CONF.parent / 'bind.password'
        shutil.copy(password, WORK / 'bind.password')
        (WORK / 'bind.password').chmod(0o400)
        self.alone = WORK / 'alone.conf'
        self.alone.write_text(text.replace(str(password), str(WORK / 'bind.password')))

    def mistype(self):
        """Twice, and pam_cardmap asks no more."""
        terminal = self.su()
        terminal.enter(service_scenario.ANY_PROMPT, WRONG_PIN)
        terminal.enter(service_scenario.ANY_PROMPT, WRONG_PIN)
        self.assertNotEqual(self.ended(terminal)[0], 0)

    def same(self, *arguments, status=0):
        """Alone and by the service: the same status, the same bytes but for times.  What is kept is the same: lists too."""
        shutil.rmtree(WORK / 'lists-of-root')
        shutil.copytree(WORK / 'lists-of-service', WORK / 'lists-of-root', ignore=shutil.ignore_patterns('ask.*'))  # of the moment
        (WORK / 'lists-of-root').chmod(0o700)
        alone = self.cardmap(*arguments, '--config', self.alone, status=status)
        asked = self.cardmap(*arguments, status=status)
        self.assertEqual(timeless(asked.out), timeless(alone.out), ' '.join(arguments))
        self.assertEqual(timeless(asked.err), timeless(alone.err), ' '.join(arguments))
        return asked


class SameTest(CommandScenario):
    def test_whose_card(self):
        for card, status in (('alice-rsa2048', 0), ('alice-p256', 0), ('bob', 0), ('carol', 1), ('expired', 0)):
            source = ['--card', f'file:{scenario.RIG.pki}/{card}.pem']
            for arguments in (['whois'], ['whois', '--json'], ['whois', '--verbose'], ['whois', 'bob', '--json']):
                with self.subTest(card=card, arguments=arguments):
                    expected = (0 if card == 'bob' else status or 3) if 'bob' in arguments else status
                    self.same(*arguments, *source, status=expected)

    def test_why_not(self):
        for card, status in (('alice-rsa2048', 0), ('carol', 1), ('revoked', 3), ('expired', 3), ('stranger', 3)):
            for more in ([], ['--json']):
                with self.subTest(card=card, more=more):
                    self.same('explain', *more, '--card', f'file:{scenario.RIG.pki}/{card}.pem', status=status)
        self.same('explain', 'bob', '--json', '--card', f'file:{scenario.RIG.pki}/alice-rsa2048.pem', status=3)

    def test_the_card_in_the_reader(self):
        self.assertEqual(self.same('whois', '--json').account, 'alice')
        self.assertEqual(self.same('explain', '--json').account, 'alice')

    def test_a_silent_directory(self):
        self.log_in()
        scenario.RIG.stop('slapd')
        answer = self.same('explain', '--json')
        self.assertTrue(answer.seen('account', 'kept'))
        self.same('whois', '--json', status=4)

    def test_kept_accounts(self):
        self.same('accounts', 'list', '--json')
        self.log_in()
        self.assertEqual(len(self.same('accounts', 'list', '--json').json['accounts']), 1)
        self.same('accounts', 'list')
        self.same('accounts', 'show', 'alice')
        self.same('accounts', 'show', 'alice', '--json')
        self.same('accounts', 'show', 'bob', status=1)
        self.cardmap('accounts', 'forget', 'alice')
        self.assertEqual(self.kept(), [])
        self.same('accounts', 'forget', 'alice', status=1)


class WhoTest(CommandScenario):
    def test_own_card_helpdesk_and_others(self):
        self.assertEqual(self.ask_as('alice', 'whois')['account']['name'], 'alice')
        self.assertEqual(self.ask_as(LOCAL, 'whois')['account']['name'], 'alice')
        self.assertEqual(self.ask_as(LOCAL, 'explain')['account']['name'], 'alice')
        for command in ('whois', 'explain'):
            answers = []
            for card in ('alice-rsa2048', 'carol'):  # whether there is such an account or not
                self.insert(card)
                answer = self.ask_as('bob', command, status=3)
                self.assertEqual(answer['reason'], 'not_root')
                self.assertNotIn('account', answer)
                answers.append(answer['message'])
            self.assertEqual(answers[0], answers[1])

    def test_what_is_roots(self):
        self.ask_as(LOCAL, 'status')
        for arguments in (['log'], ['accounts', 'list'], ['accounts', 'forget', 'alice']):
            self.assertEqual(self.ask_as(LOCAL, *arguments, status=3)['reason'], 'not_root', arguments)
        self.assertEqual(self.ask_as('bob', 'status', status=3)['reason'], 'not_root')

    def test_it_is_not_done_alone_instead(self):
        """bob may read the configuration, and could ask the directory himself: the service's no is the answer."""
        self.assertEqual(self.ask_as('bob', 'whois', status=3)['reason'], 'not_root')


class DoctorTest(CommandScenario):
    """What is kept is the service's to tell, to whom it concerns."""

    def lines(self, answer):
        """{check: (level, text)} of those lines that are told once."""
        return {line['check']: (line['level'], line['text']) for line in answer['checks']}

    def test_root_hears_the_same_as_alone(self):
        self.same('doctor', status=None)
        self.log_in()
        self.wait_card()
        answer = self.same('doctor', '--json', status=None)
        self.same('doctor', status=None)
        self.same('doctor', 'alice', status=None)
        self.same('doctor', 'bob', status=3)
        found = self.lines(answer.json)
        self.assertEqual({check for check, (level, _) in found.items() if level != 'ok'} - {'clock', 'disk'}, set(), found)

    def test_a_user_about_himself(self):
        self.ask_as('alice', 'doctor', status=3)
        self.log_in()
        self.wait_card()
        found = self.lines(self.ask_as('alice', 'doctor', status=None))
        for check in ('permissions', 'service', 'account', 'evidence', 'certificate', 'ca', 'ticket', 'pcscd', 'reader', 'card', 'server'):
            self.assertEqual(found[check][0], 'ok', (check, found[check]))
        self.assertRegex(found['account'][1], '^alice is kept, last online ')
        self.assertRegex(found['evidence'][1], '^alice: opens with no network (until|for more than)')
        self.assertRegex(found['ticket'][1], r'^alice: of alice@CARDMAP\.TEST, in FILE:.* until ')
        self.assertEqual(timeless(str(found)), timeless(str(self.lines(self.ask_as('alice', 'doctor', 'alice', status=None)))))
        # The same that root hears of him, but for what is in his ticket.
        roots = self.lines(self.cardmap('doctor', 'alice', '--json', status=None).json)
        for check in ('account', 'evidence', 'certificate', 'ca', 'permissions'):
            self.assertEqual(timeless(str(found[check])), timeless(str(roots[check])))

    def test_his_ticket(self):
        self.log_in()
        later = {'LD_PRELOAD': scenario.clock('+2d')[1].partition('=')[2], 'FAKETIME': '+2d', 'FAKETIME_DONT_FAKE_MONOTONIC': '1'}
        level, text = self.lines(self.ask_as('alice', 'doctor', status=None, **later))['ticket']
        self.assertEqual(level, 'warning')
        self.assertIn('has expired', text)
        self.drop_tickets()
        answer = self.ask_as('alice', 'doctor', status=None)
        [line] = [line for line in answer['checks'] if line['check'] == 'ticket']
        self.assertEqual((line['level'], line['remedy']), ('warning', 'cardmap login --refresh'))

    def test_who_is_told_of_whom(self):
        self.log_in()
        for user, about in (('bob', 'alice'), ('bob', 'bob'), ('alice', 'bob'), (LOCAL, 'alice')):
            answer = self.ask_as(user, 'doctor', about, status=3)
            self.assertEqual(self.lines(answer)['account'], ('failure', f'{about} is not kept, or not this user\'s to ask about'))
            self.assertNotIn('evidence', self.lines(answer))
        der = base64.b64encode(ssl.PEM_cert_to_DER_cert((scenario.RIG.pki / 'alice-rsa2048.crt').read_text())).decode()
        outlook = {'action': 'outlook', 'parameters': {'certificate': der}}
        self.assertIn('tomorrow', self.varlink_as('alice', 'Resolver', 'io.cardmap.Revocation', outlook)['parameters']['result']['outlook'])
        for user, socket, method, parameters in (
                ('bob', 'Resolver', 'io.cardmap.Revocation', outlook), ('alice', 'Resolver', 'io.cardmap.Revocation', {'action': 'lists'}),
                ('alice', '', 'io.cardmap.Revocation', {'action': 'list'}), ('alice', '', 'io.cardmap.Accounts', {}),
                ('bob', '', 'io.cardmap.Doctor', {'user': 'alice'}), (LOCAL, '', 'io.cardmap.Doctor', {'user': 'alice'})):
            self.assertEqual(self.varlink_as(user, socket, method, parameters).get('error'), 'org.varlink.service.PermissionDenied')

    def varlink_as(self, user, socket, method, parameters):
        path = f'{service_module.RUN}/io.cardmap' + (f'.{socket}' if socket else '')
        program = ('import json, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n'
                   's.sendall(sys.argv[2].encode() + b"\\0")\nreply = b""\nwhile not reply.endswith(b"\\0"):\n'
                   '    reply += s.recv(65536) or sys.exit("closed")\nprint(reply[:-1].decode())\n')
        call = json.dumps({'method': method, 'parameters': parameters})
        session = service_scenario.COMPUTER.logind.open(user)
        return json.loads(scenario.said(session.command(['/usr/bin/python3', '-c', program, path, call])))


class StatusTest(CommandScenario):
    def test_what_runs(self):
        answer = self.cardmap('status', '--json').json
        for process in answer['processes']:
            self.assertTrue(Path(f'/proc/{process["pid"]}').exists(), process)
        self.assertEqual({'cardmapd', 'resolver', 'card'} - {process['kind'] for process in answer['processes']}, set())
        text = self.cardmap('status').out
        for process in answer['processes']:
            self.assertRegex(text, rf'(?m)^{process["kind"]} +pid {process["pid"]}\b')
        self.assertRegex(text, r'(?m)^connections +1 of callers$')
        self.assertRegex(text, r'(?m)^directory +ldap://127\.0\.0\.1:3890$')
        self.assertRegex(text, r'(?m)^keytab +host/')
        self.assertRegex(text, r'(?m)^reader +Virtual PCD 00 00: ready, card of alice$')
        self.assertRegex(text, r'(?m)^reader +Virtual PCD 00 01: no card$')

    def test_a_process_that_died_is_told(self):
        service_scenario.SERVICE.kill('cardmap-resolver')
        wait_until(lambda: re.search(r'(?m)^resolver +pid .*, restarts: 1 ', self.cardmap('status').out),
                   'another resolver')

    def test_last_logins(self):
        self.log_in()
        self.wait_card()
        self.mistype()
        last = [entry for entry in self.cardmap('status', '--json').json['last'] if entry['event'] == 'login']
        self.assertEqual((last[0]['result'], last[0]['user']), ('ok', 'alice'))
        self.assertEqual((last[1]['result'], last[1]['reason']), ('refused', 'pin_wrong'))
        self.assertRegex(self.cardmap('status').out, r'(?m)^last +.* login ok: alice ')


class SilentTest(CommandScenario):
    starts = False  # nothing is known yet
    silence = True

    def test_silent_servers_are_named(self):
        """Directory, KDC and responder: each while it is known to be silent, in words and for programs."""
        scenario.RIG.freeze('kdc', 'ocsp')
        self.start()
        scenario.RIG.freeze('slapd')
        self.cardmap('whois', status=4)
        expected = {'silent': r'ldap://127\.0\.0\.1:3890: .*, for \d+ s', 'kdc': r'no KDC of CARDMAP\.TEST answered \(.*127\.0\.0\.1.*\)',
                    'responders': r'OCSP http://127\.0\.0\.1:\d+/?: no answer .*, asked \d+ s ago'}
        wait_until(lambda: all(self.status()[key] for key in expected), 'all three to be known')
        answer, text = self.cardmap('status', '--json').json, self.cardmap('status').out
        for key, pattern in expected.items():
            self.assertTrue(any(re.fullmatch(pattern, one) for one in answer[key]), answer)
            self.assertRegex(text, f'(?m)^silent +{pattern}$')
        scenario.RIG.thaw('slapd', 'kdc', 'ocsp')
        self.cardmap('revocation', 'refresh', '--config', self.alone)
        wait_until(lambda: '\nsilent' not in self.cardmap('status').out, 'all to be found alive', 60)
        self.assertFalse(any(self.status()[key] for key in expected))


class LogTest(CommandScenario):
    def test_a_decision_has_all_its_parts(self):
        self.log_in()
        entry = self.cardmap('log', '--json').json['entries'][-1]
        self.assertEqual((entry['event'], entry['result'], entry['user'], entry['uid'], entry['online'], entry['service']),
                         ('login', 'ok', 'alice', 10001, True, 'su'))
        self.assertEqual(entry['reader'], service_scenario.READER)
        for stage in ('certificate', 'chain', 'account', 'revocation', 'pin', 'possession', 'admit', 'remember', 'session'):
            self.assertRegex(entry['stages'], rf'\b{stage} \d+\.\d ms')
        line = self.cardmap('log', '--last', '1').out
        self.assertRegex(line, r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC login ok: alice .*; service su; at /dev/pts/\d+; reader Virtual PCD 00 00; '
                               r'serial [0-9a-f]+; stages ')
        found = service_scenario.COMPUTER.journal.find(CARDMAP_USER='alice', CARDMAP_RESULT='ok')
        if found:  # where it is logged to the journal
            self.assertEqual(found[-1]['CARDMAP_STAGES'], entry['stages'])

    def test_how_many(self):
        self.log_in()
        self.wait_card()
        self.mistype()
        self.assertEqual(len(self.cardmap('log', '--last', '1', '--json').json['entries']), 1)
        self.assertEqual(self.cardmap('log', '--last', '0', '--json').json['entries'], [])
        self.assertEqual(self.cardmap('log', '--last', '257', status=64).status, 64)

    def follow(self, *arguments):
        terminal = Terminal([scenario.program(), *arguments], self.environment())
        self.addCleanup(terminal.kill)
        return terminal

    def test_each_as_it_is_made(self):
        self.log_in()
        self.wait_card()
        people, programs = self.follow('log', '--follow'), self.follow('log', '--follow', '--json')
        people.expect(rb'login ok: alice ')  # the one before: it listens
        programs.expect(rb'login')
        programs.expect(rb'\n')
        self.log_in()
        people.expect(rb'login ok: alice ')
        line = programs.expect(rb'(\{.*login.*\})\r\n')[1]
        self.assertEqual(json.loads(line)['user'], 'alice')
        service_scenario.SERVICE.stop()
        for terminal in (people, programs):
            status, text = terminal.end()
            self.assertEqual((status, 'no_service' in text), (4, True), text)

    def test_cards_that_come_and_go(self):
        terminal = self.follow('cards', '--follow')
        terminal.expect(rb'present Virtual PCD 00 00: ready, card of alice')
        self.take_out()
        terminal.expect(rb'removed Virtual PCD 00 00')
        self.put_in()
        terminal.expect(rb'inserted Virtual PCD 00 00')
        terminal.expect(rb'card of alice')


class LoginTest(CommandScenario):
    def login(self, *arguments, pin=PIN, status=0, reason=None, place=None):
        """By root, at the seat."""
        read, write = os.pipe()
        os.write(write, pin.encode() + b'\n')
        os.close(write)
        place = place or (lambda command: self.seat.command(command, 'root'))
        command = place([scenario.program(), 'login', '--json', '--pin-fd', str(read), *arguments])
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS,
                              pass_fds=[read], env=self.environment())
        os.close(read)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer.get('reason'), reason)
        self.assertNotIn(pin, done.stdout + done.stderr)
        return answer

    def test_online_and_offline(self):
        answer = self.login()
        self.assertEqual((answer['account']['name'], answer['account']['uid'], answer['offline']), ('alice', 10001, False))
        kind, _, path = answer['ccache'].partition(':')
        self.assertEqual((kind, os.stat(path).st_uid), ('FILE', 10001))
        self.assertEqual(self.kept(), ['alice'])
        scenario.RIG.stop(*scenario.SERVERS)
        self.wait_card()
        answer = self.login('alice')
        self.assertTrue(answer['offline'])
        self.assertGreaterEqual(answer['kept_age'], 0)

    def test_a_wrong_pin_is_told_and_tried_once(self):
        with scenario.Counts() as counts:
            answer = self.login(pin=WRONG_PIN, status=3, reason='pin_wrong')
        self.assertEqual((answer['tries_left'], counts.verifies()), (2, 1))

    def at_terminal(self, *arguments):
        terminal = Terminal(self.seat.command([scenario.program(), 'login', *arguments], 'root'), self.environment())
        self.addCleanup(terminal.kill)
        return terminal

    def test_at_a_terminal(self):
        terminal = self.at_terminal()
        terminal.enter(rb'PIN for Alice Example \(3 tries left\): $', PIN)
        status, text = terminal.end()
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'(?m)^account +alice$')
        self.assertRegex(text, r'(?m)^KRB5CCNAME +FILE:')
        self.assertNotIn(PIN, text)

    def test_a_card_that_was_out_is_asked_for_its_pin_again(self):
        terminal = self.at_terminal()
        terminal.expect(rb'PIN for Alice')
        self.take_out()
        with scenario.Counts() as counts:
            terminal.enter(rb': $', PIN)
            terminal.expect(rb'put the card into the reader')
            self.put_in()
            terminal.enter(rb'PIN for Alice Example[^:]*: $', PIN)
            status, text = terminal.end()
        self.assertEqual((status, counts.verifies()), (0, 1), text)

    def test_a_card_of_two_accounts_is_a_choice(self):
        self.again(mapper__several_accounts='hint')
        self.exchange('dave')
        terminal = self.at_terminal()
        number = terminal.expect(rb'(\d)  dave\b[^-\r\n]*\r\n')[1]
        terminal.expect(rb'Which\? $')
        terminal.type(number + b'\n')
        terminal.enter(rb'PIN for [^:]*: $', PIN)
        status, text = terminal.end()
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'(?m)^account +dave$')
        terminal = self.at_terminal()
        terminal.expect(rb'Which\? $')
        terminal.type(b'7\n')
        self.assertEqual(terminal.end()[0], 2)
        self.login(status=2, reason='several_accounts')  # nobody is there to choose

    def test_another_users_card(self):
        self.login('bob', status=3, reason='not_this_user')

    def test_who_sits_elsewhere(self):
        self.login(status=3, reason='not_here', place=in_background)

    def test_a_file_is_no_card_of_the_service(self):
        self.login('--card', f'file:{scenario.RIG.pki}/alice-rsa2048.pem', status=64, reason='usage')


class RevocationTest(CommandScenario):
    """The lists are those of the process that decides, which root's own commands do not read."""
    changes = {**CommandScenario.changes, 'trust__use_ocsp': 'no'}

    def asked(self, *arguments, **options):
        self.same('revocation', *arguments, **options)
        return self.same('revocation', *arguments, '--json', **options).json

    def test_nothing_yet(self):
        self.take_out()
        for action in ('status', 'list'):
            self.asked(action)

    def test_what_is_known(self):
        self.log_in()
        status = self.asked('status')
        self.assertEqual([a['account'] for a in status['accounts']], ['alice'])
        self.assertTrue(status['accounts'][0]['forecast']['in_a_week'].keys() >= {'opens', 'text'})
        self.assertTrue(any(issuer['lists'] for issuer in status['issuers']), status)
        self.assertTrue(any(issuer['sources'] for issuer in status['issuers']), status)
        self.assertIn('alice', [one['account'] for one in self.asked('list')['evidence']])
        self.assertEqual(self.asked('list', '--revoked')['evidence'], [])
        # not read by root: the service tells of them
        self.assertEqual(self.cardmap('revocation', 'status', '--no-service', '--json').json['issuers'][0]['lists'], [])

    def test_a_revoked_card(self):
        self.exchange('revoked')
        wait_until(lambda: self.status()['cards'][0]['state'] == 'refused', 'it to be refused')
        serials = {one['serial'] for one in self.asked('list', '--revoked')['evidence']}
        self.assertEqual(len(serials), 1)
        serial = serials.pop()
        done = self.cardmap('revocation', 'forget', serial, '--json').json
        self.assertEqual(done['serial'], serial)
        self.assertRegex(done['still_listed'] or '', 'http://', 'the list that the service has is told of')
        self.assertEqual(self.asked('list', '--revoked')['evidence'], [])

    @staticmethod
    def publish(server, *entries, number, **dates):
        inter, root = (answers.revocation_list(scenario.RIG.pki, authority, *listed, number=number, idp=b'', **dates)
                       for authority, listed in (('inter', entries), ('root', ())))
        server.pages.update({'/inter.crl': Page(inter), '/root.crl': Page(root)})

    def insertion_ends(self, state):
        self.take_out()
        self.put_in()
        wait_until(lambda: self.status()['cards'][0]['state'] == state, f'the card to be {state}')

    def test_what_a_list_said_once(self):
        """It is carried over where the service's lists are, and forgotten there too."""
        scenario.RIG.stop('http')
        server = Web(HTTP_PORT, WORK / 'web.requests')
        self.addCleanup(server.close)
        self.publish(server, answers.entry_of(scenario.RIG.pki, self.card), number=11, this=-7200, until=-3600)
        self.again(trust__ask_always='yes')  # with no lists yet
        self.insertion_ends('refused')
        self.publish(server, number=12)
        self.exchange('alice-p256')  # for this one the list is asked for
        wait_until(lambda: self.status()['cards'][0]['state'] == 'ready', 'the other card to be ready')
        self.exchange(self.card)
        wait_until(lambda: self.status()['cards'][0]['state'] == 'refused', 'the card to be refused')
        certificate = scenario.RIG.pki / f'{self.card}.pem'
        self.assertIsNone(self.cardmap('revocation', 'forget', certificate, '--json').json['still_listed'])
        self.insertion_ends('ready')

    def test_who_may_ask(self):
        self.log_in()
        told = self.ask_as(LOCAL, 'revocation', 'status')
        self.assertTrue(any(issuer['lists'] for issuer in told['issuers']), told)
        self.assertEqual(told['accounts'], [])
        self.assertEqual({one['account'] for one in self.ask_as(LOCAL, 'revocation', 'list')['evidence']}, {None})
        for action in (['status'], ['list']):
            self.assertEqual(self.ask_as('bob', 'revocation', *action, status=3)['reason'], 'not_root')
        self.assertEqual(self.ask_as(LOCAL, 'revocation', 'forget', '01', status=3)['reason'], 'not_root')


class PairTest(CommandScenario):
    """carol has no account: nothing in the directory names her card, and so no KDC knows whose it is."""
    changes = {**CommandScenario.changes, 'kerberos__ticket': 'off'}

    def setUp(self):
        super().setUp()
        self.exchange('carol')
        wait_until(lambda: self.status()['cards'][0]['state'] == 'refused', "carol's card to be refused")

    def pair(self):
        with scenario.Counts() as counts:
            self.cardmap('pair', 'alice', pin=PIN)
        self.assertEqual(counts.verifies(), 1)

    def enters(self):
        status, text = self.log_in(prompt=PROMPT)
        self.assertEqual(status, 0, text)

    def test_the_card_that_the_service_has_prepared(self):
        self.pair()
        self.enters()  # at once, though the service had found nobody
        self.cardmap('unpair', 'alice')
        self.refused('no_account', prompt=None)

    def test_what_is_paired(self):
        self.same('pairings', '--json')
        self.same('identities', '--json')
        self.pair()
        for command in ('pairings', 'identities'):
            self.assertIn('alice', self.same(command).out)
            self.same(command, '--json')

    def test_a_login_that_waits_for_its_pin(self):
        """Whoever else reads the card meanwhile spoils nothing."""
        self.pair()
        terminal = self.su()
        terminal.expect(PROMPT)
        self.same('identities', '--json')
        self.same('cards', '--json')
        terminal.enter(b'', PIN)
        self.assertEqual(self.ended(terminal)[0], 0)


class PinByHandTest(CommandScenario):
    """While the service has the same card open."""
    def pin(self, way, *lines, **options):
        return self.cardmap('pin', way, '--json', pin='\n'.join(lines), **options)

    def test_a_new_pin(self):
        self.assertEqual(self.pin('verify', WRONG_PIN, status=3).json['tries_left'], 2)
        self.pin('change', PIN, scenario.NEW_PIN)
        shown = self.cardmap('cards', 'status', '--json').json
        self.assertEqual([reader['tries_left'] for reader in shown['readers'] if reader['card_present']], [3])
        self.assertIn('BEGIN CERTIFICATE', self.cardmap('cards', '--export', '9A').out)
        self.take_out()
        self.put_in()
        self.wait_card()
        self.check_inside(*self.log_in(scenario.NEW_PIN, prompt=PROMPT))


class PageTest(CommandScenario):
    def test_the_example_of_the_page_runs(self):
        code = re.search(r'# EXAMPLE\n.*?```\n(.*?)```', PAGE.read_text(), re.S)[1]
        for card, wanted in (('alice-rsa2048', 'alice'), ('bob', 'bob')):
            certificate = WORK / 'certificate.pem'
            scenario.said(['openssl', 'x509', '-in', scenario.RIG.pki / f'{card}.pem', '-out', certificate])
            self.assertEqual(scenario.said(['python3', '-c', code, certificate]), wanted + '\n')


if __name__ == '__main__':
    service_scenario.main()
