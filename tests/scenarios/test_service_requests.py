#!/usr/bin/python3
"""test_service_requests.py: the protocol as a stranger speaks it, who may ask what, and requests that are none."""
import base64
import contextlib
import json
import os
import random
import re
import resource
import socket
import subprocess
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import PIN, SECONDS, Counts, said, wait_until
from service_scenario import ServiceScenario

import computer as computer_module
import rig as rig_module
import varlink
from computer import LOCAL
from rig import WORK
from service import RUN, processes

ROOT = Path(__file__).resolve().parents[2]
SOCKET, RESOLVER = RUN / 'io.cardmap', RUN / 'io.cardmap.Resolver'
SOCKETS = {SOCKET: 8 << 10, RESOLVER: 32 << 10}     # and how long a message each takes: a certificate may have 16 KiB
OF_ROOT, OF_A_USER, OF_ALL = 256, 64, 1024          # connections at once, of each socket
ENDS = ('pin', 'granted', 'refused')             # states of a login in which nothing is under way
CROWD = 50000                                       # uids that nobody has
SERVICE = 'org.varlink.service'
SEED = int(os.environ.get('CM_REQUEST_SEED', '1'))


def passed_to(pid):
    """What a process has open besides its own three."""
    found = []
    for name in set(os.listdir(f'/proc/{pid}/fd')) - {'0', '1', '2'}:
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f'/proc/{pid}/fd/{name}'))
    return found


def is_served_at(path):
    with varlink.Connection(path) as connection:
        return is_served(connection)


def error_of(connection, method, parameters=None):
    try:
        connection.ask(method, parameters)
    except varlink.VarlinkError as problem:
        return problem.name
    return None


class DescriptionTest(ServiceScenario):
    def test_info_and_descriptions(self):
        for path in (SOCKET, RESOLVER):
            with self.subTest(str(path)), varlink.Connection(path) as connection:
                info = connection.ask(f'{SERVICE}.GetInfo')
                self.assertEqual(set(info), {'vendor', 'product', 'version', 'url', 'interfaces'})
                self.assertIn(SERVICE, info['interfaces'])
                self.assertIn('io.cardmap', info['interfaces'])
                for name in info['interfaces']:
                    text = connection.ask(f'{SERVICE}.GetInterfaceDescription', {'interface': name})['description']
                    self.assertRegex(text, rf'(?m)^interface {re.escape(name)}$')

    def test_another_implementation_reads_the_descriptions(self):
        """varlink-go's generator parses them, and makes a client from each."""
        for name in ('io.cardmap', 'io.cardmap.Login'):
            text = varlink.ask(SOCKET, f'{SERVICE}.GetInterfaceDescription', {'interface': name})['description']
            # Its interfaces have lower-case names only; the standard lets systemd's and ours have capitals too.
            path = self.folder / f'{name.lower()}.varlink'
            path.write_text(text.replace(f'interface {name}\n', f'interface {name.lower()}\n'), encoding='utf-8')
            said(['varlink-go-interface-generator', path])
            self.assertTrue((self.folder / (name.lower().replace('.', '') + '.go')).exists(), name)

    def test_what_is_not_there_is_said_in_the_standards_words(self):
        with varlink.Connection(SOCKET) as connection:
            for method, parameters, error in (
                    ('io.cardmap.NoSuch', {}, 'MethodNotFound'), ('io.other.Thing', {}, 'InterfaceNotFound'),
                    (f'{SERVICE}.GetInterfaceDescription', {'interface': 'io.other'}, 'InterfaceNotFound'),
                    (f'{SERVICE}.GetInterfaceDescription', {}, 'InvalidParameter'),
                    ('io.cardmap.Login.Begin', {}, 'ExpectedMore'),
                    ('io.cardmap.Login.Cancel', {}, 'InvalidParameter')):
                with self.subTest(method):
                    self.assertEqual(error_of(connection, method, parameters), f'{SERVICE}.{error}')

    def test_whois_is_served_at_the_resolvers_own_socket(self):
        with varlink.Connection(SOCKET) as connection:
            for method in ('Whois', 'Explain'):
                self.assertEqual(error_of(connection, f'io.cardmap.{method}', {}), 'io.cardmap.NotServedHere')

    def test_one_way_calls_get_no_answer(self):
        with varlink.Connection(SOCKET) as connection:
            connection.call(f'{SERVICE}.GetInfo', oneway=True)
            connection.call('io.cardmap.NoSuch', oneway=True)
            self.assertEqual(connection.ask(f'{SERVICE}.GetInfo')['product'][:7].lower(), 'cardmap')

    def test_calls_one_behind_the_other_are_answered_in_their_order(self):
        with varlink.Connection(SOCKET) as connection:
            connection.send(b''.join(json.dumps({'method': method}).encode() + b'\0' for method in (
                f'{SERVICE}.GetInfo', 'io.cardmap.NoSuch', 'io.cardmap.Status')))
            self.assertIn('product', connection.receive()['parameters'])
            self.assertEqual(connection.receive()['error'], f'{SERVICE}.MethodNotFound')
            self.assertIn('status', connection.receive()['parameters'])


class GoTest(ServiceScenario):
    """github.com/varlink/go, a client that is not ours, from Debian."""
    def test_a_program_made_from_our_description_asks_it(self):
        program = self.folder / 'ask.go'
        program.write_text("""package main

import (
	"context"
	"fmt"
	"os"

	"github.com/varlink/go/varlink"
)

func main() {
	ctx := context.Background()
	c, err := varlink.NewConnection(ctx, "unix:"+os.Args[1])
	if err != nil { panic(err) }
	var vendor, product, version, url string
	var interfaces []string
	if err := c.GetInfo(ctx, &vendor, &product, &version, &url, &interfaces); err != nil { panic(err) }
	fmt.Println(product, interfaces)
	for _, name := range interfaces {
		text, err := c.GetInterfaceDescription(ctx, name)
		if err != nil { panic(err) }
		fmt.Println(name, len(text) > 0)
	}
	var out struct { Status map[string]interface{} `json:"status"` }
	if err := c.Call(ctx, "io.cardmap.Status", nil, &out); err != nil { panic(err) }
	fmt.Println("status", len(out.Status) > 0)
	receive, err := c.Send(ctx, "io.cardmap.Cards", nil, varlink.More)
	if err != nil { panic(err) }
	var card map[string]interface{}
	flags, err := receive(ctx, &card)
	if err != nil { panic(err) }
	fmt.Println("cards", flags&varlink.Continues != 0, card["event"])
	other, err := varlink.NewConnection(ctx, "unix:"+os.Args[1])
	if err != nil { panic(err) }
	err = other.Call(ctx, "io.cardmap.NoSuch", nil, nil)
	fmt.Println("error", err)
}
""", encoding='utf-8')
        environment = {**os.environ, 'GOPATH': '/usr/share/gocode', 'GO111MODULE': 'off', 'GOCACHE': str(self.folder / 'go'),
                       'GOFLAGS': '', 'CGO_ENABLED': '0', 'HOME': str(self.folder)}
        built = subprocess.run(['go', 'build', '-o', self.folder / 'ask', program], env=environment, capture_output=True,
                               text=True, timeout=300, check=False)
        self.assertEqual(built.returncode, 0, built.stderr)
        text = said([self.folder / 'ask', SOCKET])
        self.assertRegex(text, r'(?i)cardmap')
        self.assertIn('io.cardmap true', text)
        self.assertIn('status true', text)
        self.assertIn('cards true', text)
        self.assertRegex(text, '(?i)error .*method.?not.?found')


class WhoMayTest(ServiceScenario):
    """The table of who may ask what, from the issue: a user their own card, the helpdesk Whois, Explain and what is known of revocation,
    root all."""
    changes = {'service__helpdesk_group': 'helpdesk'}

    def setUp(self):
        super().setUp()
        computer_module.drop_names('group', {'helpdesk'})
        computer_module.add_lines('group', ['helpdesk:x:30001:bob'])

    def ask_as(self, user, method, parameters=None, path=None):
        """The answer, or the error's name."""
        script = ('import json, sys; sys.path.insert(0, sys.argv[1]); import varlink\n'
                  'try: print(json.dumps(varlink.ask(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))))\n'
                  'except varlink.VarlinkError as problem: print(json.dumps(problem.name))\n')
        folder = WORK / 'client'
        if not folder.exists():
            folder.mkdir()
            (folder / 'varlink.py').write_text((rig_module.HERE / 'varlink.py').read_text())
        path = path or (RESOLVER if method in ('Whois', 'Explain') else SOCKET)
        session = service_scenario.COMPUTER.logind.open(user)
        done = subprocess.run(session.command(['/usr/bin/python3', '-B', '-c', script, folder, path, f'io.cardmap.{method}',
                                               json.dumps(parameters or {})]), capture_output=True, text=True, timeout=SECONDS,
                              env=service_scenario.TERMINAL, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def check_denied(self, answer):
        self.assertEqual(answer, f'{SERVICE}.PermissionDenied')

    def test_what_only_root_may(self):
        for method, parameters in (('Accounts', {}), ('Accounts', {'forget': 'alice'}), ('Log', {}),
                                   ('Revocation', {'action': 'forget'})):
            with self.subTest(method):
                self.check_denied(self.ask_as(LOCAL, method, parameters))
                self.check_denied(self.ask_as('bob', method, parameters))
        self.assertEqual(self.ask_as('root', 'Accounts'), {'accounts': [], 'closed': []})
        for action in ('status', 'list'):
            self.check_denied(self.ask_as(LOCAL, 'Revocation', {'action': action}))
            self.assertIn('result', self.ask_as('bob', 'Revocation', {'action': action}))
        self.check_denied(self.ask_as(LOCAL, 'Status'))
        self.assertIn('status', self.ask_as('root', 'Status'))

    def test_who_must_use_a_card(self):
        """Root and the helpdesk about anybody, others about the account that is theirs by its uid, whatever they suppose; no other
        is told whether there is such an account."""
        def explained(user, about, **supposed):
            return self.ask_as(user, 'Enforcement', {'action': 'explain', 'user': about, 'parameters': {'what_if': supposed}})
        for user, about in (('root', 'alice'), ('root', 'root'), ('root', 'no-such-user'), ('bob', 'alice'), ('bob', 'root'), ('bob', 'bob'),
                            ('alice', 'alice'), (LOCAL, LOCAL)):
            with self.subTest(user=user, about=about):
                told = explained(user, about, required='no')['result']
                self.assertEqual((told['user'], told['before']['card_required']), (about, about != 'root'))
        for about, supposed in (('alice', {}), ('alice', {'local': 'yes'}), ('alice', {'required': 'perhaps'}), ('root', {}),
                                ('no-such-user', {}), (LOCAL.upper(), {}), (f'CORP\\{LOCAL}', {})):
            with self.subTest(about=about, supposed=supposed):
                self.check_denied(explained(LOCAL, about, **supposed))
        self.check_denied(explained('alice', 'bob'))
        for user in ('bob', LOCAL):
            self.check_denied(self.ask_as(user, 'Enforcement', {'action': 'skip_once', 'user': user}))

    def test_whois_of_a_card(self):
        certificate = base64.b64encode((scenario.RIG.pki / 'erin.der').read_bytes()).decode()
        for user in ('root', 'bob'):
            with self.subTest(user):
                self.assertEqual(self.ask_as(user, 'Whois', {'certificate': certificate})['account']['name'], 'erin')
        for user in (LOCAL, 'alice'):
            with self.subTest(user):
                self.assertNotIn('erin', json.dumps(self.ask_as(user, 'Whois', {'certificate': certificate})))
        mine = base64.b64encode((scenario.RIG.pki / 'alice-rsa2048.der').read_bytes()).decode()
        self.assertEqual(self.ask_as('alice', 'Whois', {'certificate': mine})['account']['name'], 'alice')
        self.assertNotIn('alice', json.dumps(self.ask_as(LOCAL, 'Explain', {'certificate': mine})))

    def test_sockets_between_the_processes_are_nobody_elses(self):
        private = RUN / 'private'
        found = [path for path in private.iterdir() if path.is_socket()]
        self.assertTrue(found)
        for path in found:
            script = ('import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n'
                      'try: s.connect(sys.argv[1]); s.settimeout(10); print("closed" if not s.recv(1) else "served")\n'
                      'except PermissionError: print("denied")\nexcept ConnectionError: print("closed")\n')
            for user in (LOCAL, '_cardmap-card'):
                with self.subTest(f'{path.name} {user}'):
                    answer = said(computer_module.in_background(['/usr/bin/python3', '-c', script, path], user)).strip()
                    self.assertIn(answer, ('denied', 'closed'))


class StreamTest(ServiceScenario):
    def test_cards_come_and_go(self):
        with varlink.Connection(SOCKET) as connection:
            connection.call('io.cardmap.Cards', more=True)
            seen = []

            def until(event):
                while not seen or not (seen[-1]['event'] == event):
                    seen.append(connection.reply())
            first = connection.reply()
            self.assertEqual(first['card']['reader'], service_scenario.READER)
            self.control('remove')
            until('removed')
            self.control('insert')
            until('inserted')

    def test_the_log_follows(self):
        with varlink.Connection(SOCKET) as connection:
            connection.call('io.cardmap.Log', {'last': 0}, more=True)
            self.check_inside(*self.log_in())
            entry = connection.reply().get('entry')
            while not entry:
                entry = connection.reply().get('entry')
            self.assertIn('alice', json.dumps(entry))


def connect_as(uid, path):
    """As that user: the kernel notes who connects (SO_PEERCRED, unix(7))."""
    os.seteuid(uid)
    try:
        return varlink.Connection(path)
    finally:
        os.seteuid(0)


def is_served(connection):
    try:
        return 'product' in connection.ask(f'{SERVICE}.GetInfo')
    except ConnectionError:
        return False


class BadRequestTest(ServiceScenario):
    """At both sockets alike: cardmapd's, and the resolver's own."""
    def setUp(self):
        super().setUp()
        self.pids = self.running()

    @staticmethod
    def running():
        return service_scenario.SERVICE.pid, *(process.pid for process in processes() if process.name == 'cardmap-resolver')

    def check_alive(self):
        """Those who were there, and no others in their place; of who went without a word some are still counted."""
        wait_until(lambda: all(is_served_at(path) for path in SOCKETS), 'whoever went to be missed')
        self.assertEqual(self.running(), self.pids)

    def check_alive_at_once(self):
        for path in SOCKETS:
            self.assertIn('product', varlink.ask(path, f'{SERVICE}.GetInfo'))

    def test_messages_that_are_none(self):
        for path in SOCKETS:
            for data in (b'\0', b'x\0', b'{}\0', b'[]\0', b'{"method":1}\0', b'{"method":"a.b","parameters":[]}\0',
                         b'{"method":"a.b","more":true,"oneway":true}\0', b'\xff\xfe\0', b'{"method":"\xed\xa0\x80.b"}\0',
                         b'{"method":"a.b"} x\0', b'[' * 4000 + b'\0', b'{"a":' * 1500 + b'\0', b'GET / HTTP/1.1\r\n\r\n\0'):
                with self.subTest(f'{path.name} {data[:40]!r}'), varlink.Connection(path) as connection:
                    connection.send(data)
                    self.assertTrue(varlink.closed(connection, SECONDS))
        self.check_alive()

    def test_the_longest_message_and_one_longer(self):
        for path, most in SOCKETS.items():
            for uid in (0, computer_module.LOCAL_UID):
                for more in (0, 1):
                    with self.subTest(path.name, uid=uid, more=more), connect_as(uid, path) as connection:
                        call = json.dumps({'method': f'{SERVICE}.GetInfo', 'parameters': {}}).encode()
                        try:
                            connection.send(call + b' ' * (most + more - len(call)) + b'\0')
                        except ConnectionError:
                            pass
                        if more:
                            self.assertTrue(varlink.closed(connection, SECONDS))
                        else:
                            self.assertIn('product', connection.reply())
        self.check_alive()

    def test_a_half_sent_one_is_waited_for_a_while_only(self):
        """Of who may ask, and of who may not."""
        users = [(uid, path) for uid in (0, computer_module.LOCAL_UID, CROWD) for path in SOCKETS]
        with contextlib.ExitStack() as held:
            half = [held.enter_context(connect_as(*user)) for user in users]
            idle = [held.enter_context(connect_as(*user)) for user in users]
            for connection in half:
                connection.send(b'{"method":"org.varlink.serv')
            self.check_alive_at_once()
            for user, connection in zip(users, half):
                self.assertTrue(varlink.closed(connection, SECONDS), user)
            for user, connection in zip(users, idle):
                self.assertTrue(is_served(connection), f'{user}: who sends nothing may stay')
        self.check_alive()

    def test_a_slow_one_holds_up_nobody(self):
        with contextlib.ExitStack() as held:
            slow = [held.enter_context(connect_as(uid, path)) for path in SOCKETS for uid in (0, *[computer_module.LOCAL_UID] * 16)]
            for byte in b'{"method":"org.varlink.service.Get':
                for connection in slow:
                    connection.send(bytes([byte]))
                self.check_alive_at_once()
        self.check_alive()

    def test_who_reads_no_answers_holds_up_nobody(self):
        call = json.dumps({'method': f'{SERVICE}.GetInterfaceDescription', 'parameters': {'interface': 'io.cardmap'}}).encode() + b'\0'
        with contextlib.ExitStack() as held:
            for path in SOCKETS:
                deaf = held.enter_context(connect_as(computer_module.LOCAL_UID, path))
                deaf.socket.settimeout(0.2)
                try:
                    for _ in range(2000):
                        deaf.send(call)
                except (TimeoutError, ConnectionError):
                    pass
            self.check_alive()

    def test_a_thousand_connections(self):
        with contextlib.ExitStack() as held:
            for path in SOCKETS:
                for _ in range(1000):
                    connection = held.enter_context(socket.socket(socket.AF_UNIX))
                    connection.setblocking(False)
                    try:
                        connection.connect(str(path))
                    except BlockingIOError:  # the backlog is full: it is not served yet
                        connection.close()
                # Root has taken its share; another user is served all the same, and so is a login.
                for _ in range(3):
                    with connect_as(computer_module.LOCAL_UID, path) as connection:
                        self.assertTrue(is_served(connection), path)
        self.check_alive()
        self.check_inside(*self.log_in())

    def test_nobody_takes_more_than_their_share(self):
        """Root's, that of each user, and all there is; who went takes nothing from who comes."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
        for path in SOCKETS:
            with self.subTest(path.name), contextlib.ExitStack() as held:
                def crowd(uid, count, held=held, path=path):
                    return sum(is_served(held.enter_context(connect_as(uid, path))) for _ in range(count))
                root = crowd(0, OF_ROOT + 40)
                self.assertTrue(OF_ROOT - 40 <= root <= OF_ROOT, root)  # those that asked before may be counted still
                users = [crowd(CROWD + number, OF_A_USER + 2) for number in range((OF_ALL - OF_ROOT) // OF_A_USER)]
                self.assertEqual(set(users), {OF_A_USER})
                self.assertEqual(root + sum(users) + crowd(CROWD - 1, OF_ROOT), OF_ALL)
                self.assertEqual(crowd(CROWD - 2, 1), 0)
                held.close()
                self.assertGreater(crowd(CROWD, OF_A_USER), OF_A_USER / 2)
            self.check_alive()

    def test_descriptors_where_none_are_wanted(self):
        held = [os.open('/dev/null', os.O_RDONLY) for _ in range(20)]
        try:
            for path in SOCKETS:
                for count in (1, 2, 3, 16, 20):
                    with self.subTest(path.name, count=count), varlink.Connection(path) as connection:
                        connection.call(f'{SERVICE}.GetInfo', {}, held[:count])
                        try:
                            self.assertIn('error', connection.receive() or {'error': 'closed'})
                        except ConnectionError:
                            pass
        finally:
            for descriptor in held:
                os.close(descriptor)
        self.check_alive()
        for pid in self.pids:
            wait_until(lambda pid=pid: '/dev/null' not in passed_to(pid), 'them to be closed')

    def test_what_is_no_pipe_with_a_pin(self):
        """A file, a socket, an empty pipe and one that never ends: no PIN, no VERIFY, and the service goes on."""
        ends = os.pipe()
        empty = os.pipe()
        os.close(empty[1])
        pair = socket.socketpair()
        pair[1].send(PIN.encode())
        path = self.folder / 'pin'
        path.write_text(PIN)
        file = os.open(path, os.O_RDONLY)
        path.unlink()  # no PIN stays in a file
        zero = os.open('/dev/zero', os.O_RDONLY)
        for name, descriptor in (('file', file), ('socket', pair[0].fileno()), ('empty', empty[0]), ('zero', zero),
                                 ('endless', ends[0])):
            with self.subTest(name), Counts() as counts, varlink.Connection(SOCKET) as begun:
                begun.call('io.cardmap.Login.Begin', {'user': 'alice', 'service': 'login'}, more=True)
                reply = begun.reply()
                while reply['state'] not in ('pin', 'refused'):
                    reply = begun.reply()
                self.assertEqual(reply['state'], 'pin', reply)
                with varlink.Connection(SOCKET) as answer:
                    answer.call('io.cardmap.Login.Answer', {'handle': reply['handle']}, [descriptor])
                    answer.receive()
                reply = begun.reply() if name != 'endless' else reply
                while reply['state'] not in ENDS:
                    reply = begun.reply()
            self.assertEqual((counts.verifies() if name != 'file' else 0, self.tries()), (0, 3))
        for descriptor in (*ends, empty[0], file, zero):
            os.close(descriptor)
        pair[0].close()
        pair[1].close()
        self.check_alive()

    def test_random_messages_at_a_running_service(self):
        chance = random.Random(SEED)
        words = [b'{', b'}', b'"', b':', b',', b'[', b']', b'\0', b'method', b'parameters', b'more', b'true', b'null', b'1e9',
                 b'io.cardmap.Login.Begin', b'io.cardmap.Login.Answer', b'io.cardmap.Cards', b'org.varlink.service.GetInfo',
                 b'handle', b'user', b'alice', b'\\u0000', b'\xc3\xa9', b'{"method":"io.cardmap.Status"}\0',
                 b'{"method":"io.cardmap.Login.Begin","parameters":{"user":"alice","service":"login"},"more":true}\0']
        for path in SOCKETS:
            for _ in range(400):
                with varlink.Connection(path) as connection:
                    try:
                        for _ in range(chance.randrange(1, 30)):
                            connection.send(chance.choice(words) if chance.random() < .9 else chance.randbytes(chance.randrange(1, 300)))
                    except ConnectionError:
                        pass
        try:
            self.check_alive()
            self.assertEqual(self.tries(), 3)
            self.check_inside(*self.log_in())
        except AssertionError as problem:
            raise AssertionError(f'CM_REQUEST_SEED={SEED}: {problem}') from problem


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    service_scenario.main()
