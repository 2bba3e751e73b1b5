#!/usr/bin/python3
"""test_service_asked.py: whom a command asks, and what it believes: services that are silent, lie, refuse, or are somebody else's."""
import contextlib
import json
import os
import shutil
import socket
import threading
import time
import unittest
from pathlib import Path

import scenario
from scenario import Scenario

RUN = Path('/run/cardmap')
INFO = {'vendor': 'v', 'product': 'cardmapd', 'version': '1', 'url': 'u',
        'interfaces': ['org.varlink.service', 'io.cardmap', 'io.cardmap.Login']}
ACCOUNT = {'name': 'alice', 'uid': 10001, 'gid': 10000, 'gecos': 'Alice', 'home': '/home/alice', 'shell': '/bin/sh',
           'principal': '', 'dn': 'uid=alice', 'groups': [], 'rule': 'r', 'attribute': 'a', 'matched': 'm', 'source': 's',
           'weak': False, 'several': False, 'local': False}
FOUND = {'result': 'ok', 'stages': []}


class Server(threading.Thread):
    """Somebody at a socket: answers maps methods to what is sent (bytes as they are, else a reply); None: nothing, for ever."""

    def __init__(self, path, answers, uid=None):
        super().__init__(daemon=True)
        self.path, self.answers, self.methods = path, answers, []
        path.parent.mkdir(exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        before = os.geteuid()
        if uid is not None:
            os.chmod(path.parent, 0o777)
            os.seteuid(uid)
        self.listener.bind(str(path))
        self.listener.listen()
        os.seteuid(before)
        path.chmod(0o666)
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_or_not, args=[client], daemon=True).start()

    def serve_or_not(self, client):
        with contextlib.suppress(OSError):  # whoever asked went away
            self.serve(client)

    def serve(self, client):
        received = b''
        while True:
            data = client.recv(65536)
            if not data:
                return
            received += data
            while b'\0' in received:
                text, _, received = received.partition(b'\0')
                call = json.loads(text)
                self.methods.append(call['method'])
                answer = self.answers.get(call['method'], {'error': 'org.varlink.service.MethodNotFound', 'parameters': {}})
                if answer is None:
                    time.sleep(60)
                    return
                client.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b'\0')
                if answer == b'':
                    client.close()
                    return

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink()


def answers(**more):
    return {'org.varlink.service.GetInfo': {'parameters': INFO}, **{f'io.cardmap.{name}': one for name, one in more.items()}}


class AskedTest(Scenario):
    servers = ()

    def setUp(self):
        super().setUp()
        self.addCleanup(shutil.rmtree, RUN, ignore_errors=True)

    def serve(self, given, folder=RUN, name='io.cardmap.Resolver', uid=None):
        server = Server(folder / name, given, uid)
        self.addCleanup(server.close)
        return server

    def whois(self, *arguments, status=0, reason=None, more=(), **options):
        answer = self.cardmap(more[0] if more else 'whois', '--json', '--card', f'file:{scenario.RIG.pki}/alice-rsa2048.pem',
                              *arguments, status=status, **options)
        if reason:
            self.assertEqual(answer.reason, reason, str(answer))
        return answer

    def alone(self, *arguments, **options):
        """Of people.ldif, which no service here has."""
        return self.whois('--directory', f'ldif:{scenario.RIG.pki}/people.ldif', *arguments, **options)

    # -- whom

    def test_a_service_that_runs_is_asked(self):
        server = self.serve(answers(Whois={'parameters': {'outcome': FOUND, 'account': ACCOUNT}}))
        self.assertEqual(self.whois().json['account']['dn'], 'uid=alice')
        self.assertEqual(server.methods, ['org.varlink.service.GetInfo', 'io.cardmap.Whois'])

    def test_what_changes_the_configuration_is_done_alone(self):
        server = self.serve(answers())
        conf = self.folder / 'own.conf'
        conf.write_text(f"directory {{ uri = 'ldif:{scenario.RIG.pki}/people.ldif' }}\n")
        for options in (['--directory', f'ldif:{scenario.RIG.pki}/people.ldif'], ['--config', conf],
                        ['--set', f'directory.uri=ldif:{scenario.RIG.pki}/people.ldif']):
            answer = self.whois(*options)
            self.assertEqual(answer.json['account']['source'].split(':')[0], 'ldif', str(answer))
        self.whois('--no-service', status=78)  # no configuration says where the directory is
        self.assertEqual(server.methods, [])

    def test_a_socket_nobody_listens_at_is_no_service(self):
        RUN.mkdir()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(RUN / 'io.cardmap.Resolver'))
        self.whois(status=78, reason='config')  # it went on alone, as far as that goes without a directory
        self.whois('--service', RUN, status=4, reason='no_service')

    def test_a_service_that_is_named_must_be_there(self):
        self.whois('--service', '/nowhere', status=4, reason='no_service')
        for command in ('status', 'log'):
            answer = self.cardmap(command, '--json', '--service', '/nowhere', status=4)
            self.assertEqual(answer.reason, 'no_service')

    def test_a_service_has_a_configuration_of_its_own(self):
        for options in (['--set', 'card.timeout=1000'], ['--directory', 'ldif:x'], ['--no-service']):
            self.whois('--service', RUN, *options, status=64, reason='usage')

    # -- never passed over

    def test_one_that_does_not_do_its_duty_is_not_passed_over(self):
        cases = {
            'garbage': (answers() | {'org.varlink.service.GetInfo': b'hello\0'}, 4, 'no_service'),
            'another': (answers() | {'org.varlink.service.GetInfo': {'parameters': {**INFO, 'interfaces': ['org.example']}}}, 4, 'no_service'),
            'gone': (answers(Whois=b''), 4, 'no_service'),
            'denies': (answers(Whois={'error': 'org.varlink.service.PermissionDenied', 'parameters': {}}), 3, 'not_root'),
            'older': (answers(), 4, 'no_service'),
            'busy': (answers(Whois={'error': 'io.cardmap.Busy', 'parameters': {'text': 'x'}}), 4, 'busy'),
            'endless': (answers(Whois=b'{"parameters":{"a":"' + b'x' * (5 << 20)), 4, 'no_service'),
        }
        for name, (given, status, reason) in cases.items():
            with self.subTest(name):
                server = Server(RUN / 'io.cardmap.Resolver', given)
                try:
                    if 'io.cardmap.Whois' in given:
                        given['io.cardmap.Explain'] = given['io.cardmap.Whois']
                    for command in ('whois', 'explain'):
                        answer = self.whois(status=status, reason=reason, more=[command])
                        self.assertNotIn('account', answer.json)
                finally:
                    server.close()

    def test_one_that_is_silent_is_not_passed_over(self):
        self.serve({'org.varlink.service.GetInfo': None})
        self.assertLess(self.whois(status=4, reason='no_service').seconds, 20)

    def test_one_that_may_not_be_reached_is_not_passed_over(self):
        self.serve(answers())
        (RUN / 'io.cardmap.Resolver').chmod(0)
        nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
        if os.geteuid() != 0:
            self.skipTest('needs root')
        self.whois(status=3, reason='not_root', wrapper=nobody)

    @unittest.skipIf(os.geteuid() != 0, 'needs root')
    def test_another_users_service_is_not_believed(self):
        for options in ([], ['--service', RUN]):
            server = Server(RUN / 'io.cardmap.Resolver', answers(), uid=65534)
            try:
                self.whois(*options, status=4, reason='no_service')
                self.assertEqual(server.methods, [], 'and is told nothing')
            finally:
                server.close()

    # -- what is believed of it

    def test_an_answer_that_makes_no_sense_is_none(self):
        cases = [{}, {'outcome': {}}, {'outcome': FOUND}, {'outcome': FOUND, 'account': {}},
                 {'outcome': FOUND, 'account': {**ACCOUNT, 'uid': -1}}, {'outcome': FOUND, 'account': {**ACCOUNT, 'groups': [1]}},
                 {'outcome': {**FOUND, 'stages': [{'name': 'account'}]}, 'account': ACCOUNT},
                 {'outcome': {'result': 'perhaps', 'stages': []}, 'account': ACCOUNT}]
        for case in cases:
            with self.subTest(case):
                server = Server(RUN / 'io.cardmap.Resolver', answers(Whois={'parameters': case}))
                try:
                    answer = self.whois(status=4, reason='no_service')
                    self.assertNotIn('account', answer.json)
                finally:
                    server.close()

    def test_a_refusal_is_told_as_it_is(self):
        stage = {'name': 'account', 'result': 'ambiguous', 'reason': 'several_accounts', 'microseconds': 1234,
                 'items': [{'key': 'candidate', 'text': 'alice'}, {'key': 'candidate', 'text': 'bob'},
                           {'key': 'why', 'text': 'two of them'}]}
        outcome = {'result': 'ambiguous', 'reason': 'several_accounts', 'text': 'two of them', 'stages': [stage]}
        self.serve(answers(Whois={'parameters': {'outcome': outcome}}))
        answer = self.whois(status=2, reason='several_accounts')
        self.assertEqual((answer.json['candidates'], answer.json['message']), (['alice', 'bob'], 'two of them'))
        self.assertEqual(answer.stage('account')['us'], 1234)

    def test_nothing_of_it_reaches_the_terminal_as_it_is(self):
        account = {**ACCOUNT, 'gecos': 'Alice\x1b[2J\nroot', 'dn': 'uid=\x9b31m'}
        self.serve(answers(Whois={'parameters': {'outcome': FOUND, 'account': account}}))
        answer = self.cardmap('whois', '--card', f'file:{scenario.RIG.pki}/alice-rsa2048.pem')
        self.assertNotIn('\x1b', answer.out)
        self.assertNotIn('\x9b', answer.out)
        self.assertIn('Alice\\x1b[2J\\x0aroot', answer.out)

    def test_status_and_log_survive_any_answer(self):
        for value in ({}, {'status': {}}, {'status': {'processes': 3, 'cards': [1, None], 'last': [{'time': 'x'}], 'silent': [7]}}):
            with self.subTest(value):
                server = Server(RUN / 'io.cardmap', answers(Status={'parameters': value}))
                try:
                    self.cardmap('status')
                    self.cardmap('status', '--json')
                finally:
                    server.close()


if __name__ == '__main__':
    scenario.main()
