#!/usr/bin/python3
"""test_revocation_path.py: revocation is not in the way: questions at once, within one deadline, once; the dead are left alone."""
import threading
from concurrent.futures import ThreadPoolExecutor

import scenario
from answers import DAY
from revocation import Page, RevocationCase
from rig import DROPPED, OCSP_PORT, WEB_PORT
from scenario import Counts
from web import drip, drip_headers, silent

DEADLINE_MS = 600
SLOW_MS = 5000  # what a busy machine may add; who hangs on a silent server hangs for longer
HERE, WEB = f'http://127.0.0.1:{OCSP_PORT}/', f'http://127.0.0.1:{WEB_PORT}'
ALONE = {'trust__use_crl': 'no', 'trust__check': 'leaf'}
HUGE = 42 << 20
GONE = Page(status=503)


class Gate:
    """Answers wait until it opens."""

    def __init__(self, page):
        self.page, self.open, self.waiting = page, threading.Event(), 0

    def __call__(self, handler, body):
        self.waiting += 1
        if self.open.wait(scenario.SECONDS):
            self.page(handler, body)


class PathCase(RevocationCase):
    def waited(self, answer):
        """Milliseconds that the stage took which waits for revocation."""
        return answer.stage('revocation')['us'] / 1000

    def account_is_kept(self):
        self.enter('chain')


class DeadSourceTest(PathCase):
    """A source that gives nothing delays one login by the deadline at most, and none after it."""
    def setUp(self):
        super().setUp()
        self.settings['trust.timeout'] = DEADLINE_MS

    def delays_once(self, reason, addresses, read_most, **more):
        """Logins with it: at soft they pass, at hard they are refused; only the first asks."""
        more = {**ALONE, **more}
        for level in ('soft', 'hard'):
            self.fresh_store()
            self.forget_requests()
            with Counts() as counts:
                first = self.attempt(level, self.CARD, None, status=0 if level == 'soft' else 3, more=more)
            self.assertIn(reason, self.objections(first).values(), str(first))
            self.assertLess(self.waited(first), DEADLINE_MS + SLOW_MS, str(first))
            self.assertLessEqual(counts.packets['connections'], 1 + addresses, 'the directory, and each address once')
            asked = len(self.requests())
            self.assertLessEqual(sum(got.sent for got in self.requests()), read_most)
            with Counts() as counts:
                second = self.attempt(level, self.CARD, None, status=0 if level == 'soft' else 3, more=more)
            self.assertIn('known_silent', self.objections(second).values(), str(second))
            self.assertEqual((len(self.requests()) - asked, counts.packets['connections']), (0, 1), str(second))
            if level == 'soft':
                self.assertEqual((first.account, second.account), ('alice', 'alice'))
            else:
                self.assertEqual((first.reason, second.reason), ('revocation_unknown',) * 2)
                self.assertIn('silent since', second.json['message'])

    def test_silent(self):
        self.ocsp.pages['/'] = silent
        self.delays_once('no_answer', 1, 0)

    def test_dripping(self):
        for page in (drip(4000, 0.1), drip_headers(0.1)):
            self.ocsp.pages['/'] = page
            self.delays_once('slow_answer', 1, 100, trust__timeout=2 * DEADLINE_MS)  # in which it begins

    def test_closes_early(self):
        self.ocsp.pages['/'] = Page(bytes(1000), cut=100).answer
        self.delays_once('broken_answer', 1, 1000)

    def test_refusing(self):
        self.ocsp.pages['/'] = GONE
        self.delays_once('http_status', 1, 100)

    def test_42_mb(self):
        """What the kernels hold on the way is not counted as read; that is some megabytes on loopback."""
        self.ocsp.pages['/'] = Page(bytes(HUGE))
        self.delays_once('too_large', 1, 16 << 20)

    def test_packets_that_vanish(self):
        self.delays_once('no_connection', 1, 0, trust__ocsp_url=[f'http://{DROPPED}/'])

    def test_nobody_there(self):
        """Refused at once: it costs no time, and is no silence; a host that comes back to its network asks."""
        more = {**ALONE, 'trust__ocsp_url': ['http://127.0.0.9:9/']}
        for _ in range(2):
            self.assertEqual(self.objections(self.enter('soft', more=more))['OCSP http://127.0.0.9:9/'], 'no_connection')
            self.refused('revocation_unknown', 'hard', more=more)

    def test_a_silent_list_server(self):
        self.lists.pages = {'/': silent}
        more = {'trust__use_ocsp': 'no'}
        first = self.enter('soft', more=more)
        self.assertLess(self.waited(first), DEADLINE_MS + SLOW_MS, str(first))
        answer = self.refused('revocation_unknown', 'hard', asked=0, more=more)
        self.assertEqual(set(self.objections(answer).values()) - {'none_kept'}, {'known_silent'}, str(answer))

    def test_the_good_one_beside_a_dead_one(self):
        """The responder is silent; the list answers while it is waited for."""
        self.ocsp.pages['/'] = silent
        answer = self.enter('hard')
        self.assertLess(self.waited(answer), DEADLINE_MS + SLOW_MS, str(answer))
        self.fresh_store()
        self.ocsp.pages['/'] = self.responder.page
        self.lists.pages['/inter.crl'] = silent
        self.enter('hard', more={'trust__order': 'crl'})

    def test_it_is_probed_and_comes_back(self):
        self.responder.until = 10 * DAY
        self.ocsp.pages['/'] = GONE
        more = ALONE
        self.refused('revocation_unknown', 'hard', more=more, **self.at('+0'))
        self.refused('revocation_unknown', 'hard', asked=0, more=more, **self.at('+3s'))
        gate = Gate(self.responder.page)
        self.ocsp.pages['/'] = gate
        self.attempt('hard', self.CARD, None, status=3, more=more, **self.at('+1m'))
        self.assertEqual(gate.waiting, 1, 'one probe, and nobody waited for its answer')
        gate.open.set()
        self.ocsp.pages['/'] = self.responder.page
        self.attempt('soft', self.CARD, None, more=more, **self.at('+10m'))
        self.enter('hard', more=more, **self.at('+70m'))
        self.enter('hard', asked=0, more=more, **self.at('+71m'))

    def test_a_mark_ends(self):
        """An hour later it is asked as any."""
        self.ocsp.pages['/'] = GONE
        self.refused('revocation_unknown', 'hard', more=ALONE, **self.at('+0'))
        self.ocsp.pages['/'] = self.responder.page
        answer = self.enter('hard', asked=1, more=ALONE, **self.at('+61m'))
        self.assertNotIn('known_silent', self.objections(answer).values(), str(answer))

    def test_refresh_asks_it_at_once(self):
        self.ocsp.pages['/'] = GONE
        self.enter('soft', more=ALONE)
        self.ocsp.pages['/'] = self.responder.page
        self.cardmap('revocation', '--config', self.conf(**ALONE), 'refresh', status=None)
        self.enter('hard', more=ALONE)
        self.assertEqual(self.objections(self.enter('hard', asked=0, more=ALONE)), {})


class AtOnceTest(PathCase):
    def test_what_is_missing_and_nothing_else(self):
        """The CA's list is here; another card's responder is asked, and that is all."""
        self.enter('hard', asked=2)
        self.forget_requests()
        self.enter('hard', 'alice-p384', asked=1)
        self.assertEqual([got.path for got in self.requests()], ['/'])

    def test_the_first_verified_answer_decides(self):
        """Nobody waits for the responder, which never answers, once the list has."""
        self.ocsp.pages['/'] = silent
        self.assertLess(self.waited(self.enter('hard')), 10000, 'the deadline is 12 s')

    def test_a_wrong_answer_is_not_the_first(self):
        self.ocsp.pages['/'] = self.new_responder(hash_name='sha1').page
        self.enter('hard')

    def test_revoked_outweighs_good(self):
        """Both are out at once: the responder says good only when the list was asked for."""
        responder = self.new_responder(hold=2)
        self.web.pages['/ocsp/'] = responder.page
        for names, reason in (((), None), (('cdp-only',), 'revoked')):
            with self.subTest(reason):
                self.fresh_store()
                self.web.came = 0
                self.publish(*names)
                more = {'trust__ocsp_url': [f'{WEB}/ocsp/'], 'trust__ask_always': 'yes', 'trust__check': 'leaf'}
                self.attempt('hard', 'cdp-only', None, status=3 if reason else 0, reason=reason, more=more)

    def test_whatever_state_the_directory_is_in(self):
        """frozen, stopped, and nowhere: its silence does not keep a revoked card's news out."""
        self.account_is_kept()
        self.settings['directory.timeout'] = DEADLINE_MS
        for state in ('freeze', 'stop', 'nowhere'):
            with self.subTest(state):
                self.responder.status.clear()
                if state != 'nowhere':
                    getattr(scenario.RIG, state)('slapd')
                more = {'directory__uri': ['ldap://127.0.0.9:9']} if state == 'nowhere' else {}
                self.enter('hard', more={'trust__ask_always': 'yes', **more})
                scenario.RIG.thaw(*filter(scenario.RIG.is_running, ['slapd']))
                scenario.RIG.start('slapd')
        scenario.RIG.freeze('slapd')
        self.say(self.CARD)
        self.refused('revoked', more={'trust__ask_always': 'yes'})

    def test_they_are_out_while_the_directory_is_asked(self):
        """slapd answers only after the responder was asked."""
        self.account_is_kept()
        gate = Gate(self.responder.page)
        self.ocsp.pages['/'] = gate
        scenario.RIG.freeze('slapd')
        with ThreadPoolExecutor(1) as pool:
            self.settings.update({'directory.timeout': 20000, 'trust.timeout': 20000})
            login = pool.submit(self.enter, 'hard')
            scenario.wait_until(lambda: gate.waiting, 'the question')
            gate.open.set()
            scenario.RIG.thaw('slapd')
            self.assertIsNone(login.result().json.get('offline') or None)

    def test_several_logins_ask_once(self):
        """Four logins of one card want to know the same: one request to the responder, one for the list."""
        gate = Gate(self.responder.page)
        self.ocsp.pages['/'] = gate
        command = ['login', '--config', self.conf(trust__level='hard'), '--json', '--card', f'file:{self.pki}/{self.CARD}.pem']
        with ThreadPoolExecutor(4) as pool:
            logins = [pool.submit(self.cardmap, *command, pin=scenario.PIN) for _ in range(4)]
            scenario.wait_until(lambda: gate.waiting, 'the first question')
            gate.open.set()
            for login in logins:
                self.assertEqual(login.result().account, 'alice')
        asked = [got.path for got in self.requests()]
        self.assertEqual(sorted({*asked} - {'/inter.crl'}), ['/', '/root.crl'])  # and her own list where the responder takes long
        self.assertEqual(len(asked), len({*asked}), asked)

    def test_several_cards_fetch_a_list_once(self):
        gate = Gate(self.lists.pages['/inter.crl'].answer)
        self.lists.pages['/inter.crl'] = gate
        command = ['login', '--config', self.conf(trust__level='hard', trust__use_ocsp='no'), '--json', '--card']
        cards = ('alice-p256', 'alice-p384', 'bob')
        with ThreadPoolExecutor(len(cards)) as pool:
            logins = [pool.submit(self.cardmap, *command, f'file:{self.pki}/{card}.pem', pin=scenario.PIN) for card in cards]
            scenario.wait_until(lambda: gate.waiting, 'the first question')
            gate.open.set()
            self.assertEqual([login.result().account for login in logins], ['alice', 'alice', 'bob'])
        self.assertEqual(sorted(got.path for got in self.requests()), ['/inter.crl', '/root.crl'])

    def test_several_logins_wait_once_for_the_silent(self):
        """Who waits for another's question waits no longer than for its own."""
        self.ocsp.pages['/'] = silent
        self.settings['trust.timeout'] = DEADLINE_MS
        command = ['login', '--config', self.conf(trust__level='soft', **ALONE), '--json',
                   '--card', f'file:{self.pki}/{self.CARD}.pem']
        with ThreadPoolExecutor(4) as pool:
            for login in [pool.submit(self.cardmap, *command, pin=scenario.PIN) for _ in range(4)]:
                self.assertLess(self.waited(login.result()), DEADLINE_MS + SLOW_MS)
                self.assertEqual(login.result().account, 'alice')

    def test_a_list_in_a_directory_that_is_silent(self):
        """The account's directory and the list's are one, and frozen: the kept account decides, at its level."""
        self.enter('chain', 'cdp-ldap')
        self.settings.update({'trust.timeout': DEADLINE_MS, 'directory.timeout': DEADLINE_MS, 'trust.use_ocsp': 'no'})
        scenario.RIG.freeze('slapd')
        answer = self.refused('revocation_unknown', 'hard', 'cdp-ldap')
        self.assertLess(self.waited(answer), DEADLINE_MS + SLOW_MS)
        self.assertIn('ldap:', answer.json['message'])
        self.enter('soft', 'cdp-ldap')

    def test_who_looks_leaves_nothing(self):
        """cardmap explain asks as a login does, and writes nothing: no answer, no list, no mark, no lock."""
        def what_is_there():
            found = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted((self.folder / 'store').rglob('*'))
                     if path.is_file() and not path.name.endswith(('-wal', '-shm'))}
            return found, self.cardmap('revocation', '--config', self.conf(), '--json', 'list').out

        self.account_is_kept()
        before = what_is_there()
        for answers in (self.responder.page, GONE):
            self.ocsp.pages['/'] = answers
            asked = len(self.requests())
            self.ask('explain', card=self.CARD, more={'trust__level': 'hard', 'trust__order': 'crl'}, status=None)
            self.assertGreater(len(self.requests()), asked)
            self.assertEqual(what_is_there(), before)

    def test_connections_of_a_login(self):
        with Counts() as counts:
            self.enter('hard', asked=2)
        self.assertEqual(counts.packets['connections'], 3, 'directory, responder, list server')
        with Counts() as counts:
            self.enter('hard', asked=0)
        self.assertEqual(counts.packets['connections'], 1, 'directory')


if __name__ == '__main__':
    scenario.main()
