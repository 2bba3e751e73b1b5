#!/usr/bin/python3
"""test_revocation_commands.py: cardmap revocation: status, refresh, import, list, forget and check, among real servers.

What status foretells is compared with the login itself, at that time and with no network.
"""
import fcntl
import re
import shutil
import signal
import subprocess
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import scenario
import answers
from answers import DAY, HOUR
from revocation import Page, RevocationCase
from scenario import SECONDS, Terminal, said
from web import silent

INTER, ROOT = 'CN=Cardmap Test Issuing CA', 'CN=Cardmap Test Root CA'
LIST, ROOT_LIST = 'http://127.0.0.1:8080/inter.crl', 'http://127.0.0.1:8080/root.crl'
OCSP = 'http://127.0.0.1:8081/'
NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']


def moment(text):
    return datetime.strptime(text, '%Y-%m-%d %H:%M:%S UTC').replace(tzinfo=timezone.utc).timestamp()


class CommandsCase(RevocationCase):
    def for_everybody(self, *names):
        """Copies that an ordinary user can read, wherever this repository is; the CAs' are the configuration's."""
        copies = [shutil.copy(self.pki / name, self.folder / name) for name in ('root.crt', 'inter.crt', *names)]
        self.settings.update({'trust.anchors': copies[:1], 'trust.intermediates': copies[1:2]})
        return copies[2:]

    def command(self, *arguments, status=0, reason=None, more=None, **options):
        answer = self.cardmap('revocation', '--config', self.conf(**(more or {})), '--json', *arguments, status=status, **options)
        if reason:
            self.assertEqual(answer.reason, reason, str(answer))
        return answer

    def text(self, *arguments, status=0, more=None, **options):
        return self.cardmap('revocation', '--config', self.conf(**(more or {})), *arguments, status=status, **options).out

    def refresh(self, *arguments, **options):
        return self.command('refresh', *arguments, **options)

    @staticmethod
    def source(answer, url):
        found = [one for one in answer.json['sources'] if one['url'] == url]
        if len(found) != 1:
            raise AssertionError(f'{url} is told {len(found)} times\n{answer}')
        return found[0]

    def no_network(self):
        for server in (self.ocsp, self.lists, self.web):
            server.forget()
            server.pages['/'] = silent
        scenario.RIG.stop('slapd')
        self.settings['trust.timeout'] = 1000

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path


class RefreshTest(CommandsCase):
    def test_nothing_was_seen(self):
        answer = self.refresh()
        self.assertEqual((answer.json['issuers'], answer.json['sources'], answer.json['next']), (0, [], None))
        self.assertEqual(self.requests(), [])
        self.assertIn('log in once', self.text('refresh'))

    def test_afterwards_a_login_knows_and_asks_nobody(self):
        """The list that says it came beside the logins; the responder, which still says good, is not asked."""
        self.enter()
        self.publish(answers.entry_of(self.pki, self.CARD), number=2)
        answer = self.refresh()
        self.assertEqual(self.source(answer, LIST)['text'], 'list number 2, 1 entry')
        self.assertIn(INTER, self.source(answer, LIST)['issuer'])
        self.assertEqual({one['url'] for one in answer.json['sources']}, {LIST, ROOT_LIST})
        self.no_network()
        answer = self.login(card=self.CARD, status=3, reason='revoked')
        self.assertIn(LIST, answer.json['message'])

    def test_what_did_not_change_is_not_sent_again(self):
        self.enter()
        self.refresh()
        self.forget_requests()
        answer = self.refresh()
        self.assertEqual([(got.path, got.status, got.sent) for got in self.requests('.crl')].sort(),
                         [('/inter.crl', 304, 0), ('/root.crl', 304, 0)].sort())
        self.assertIn('not modified', self.source(answer, LIST)['text'])

    def test_a_download_that_broke_off_goes_on(self):
        data = self.a_list(*[answers.Entry(0x50000 + i) for i in range(5000)], number=2)
        self.enter()
        self.lists.pages['/inter.crl'] = Page(data, etag='"big"', cut=len(data) // 2)
        answer = self.refresh(status=4, reason='source_silent')
        self.assertIn('[broken_answer]', self.source(answer, LIST)['text'])
        self.lists.pages['/inter.crl'] = Page(data, etag='"big"')
        self.forget_requests()
        answer = self.refresh()
        got, = self.requests('/inter.crl')
        self.assertEqual((got.status, got.headers['Range'], got.sent),
                         (206, f'bytes={len(data) // 2}-', len(data) - len(data) // 2))
        self.assertEqual(self.source(answer, LIST)['text'], 'list number 2, 5000 entries')

    def test_one_that_fails_does_not_stop_the_others(self):
        self.enter()
        self.publish(number=2)
        self.lists.pages['/root.crl'] = Page(status=500)
        answer = self.refresh(status=4, reason='source_silent')
        self.assertEqual((self.source(answer, LIST)['ok'], self.source(answer, ROOT_LIST)['ok']), (True, False))
        self.assertIn('[http_status]', self.source(answer, ROOT_LIST)['text'])
        self.assertIsNotNone(self.source(answer, ROOT_LIST)['probe_at'])
        self.assertEqual(answer.json['failed'], 1)
        text = self.text('refresh', status=4)
        self.assertRegex(text, rf'(?m)^failed +CRL {ROOT_LIST}: .*\[http_status\]$')
        self.assertRegex(text, rf'(?m)^ok +CRL {LIST}: ')
        self.assertNotIn('\033', text)

    def test_a_silent_server_costs_its_silence_and_no_more(self):
        self.enter()
        self.lists.pages['/inter.crl'] = silent
        self.settings['trust.timeout'] = 100
        answer = self.refresh(status=4, reason='source_silent')
        self.assertIn('[no_answer]', self.source(answer, LIST)['text'])
        self.assertTrue(self.source(answer, ROOT_LIST)['ok'])

    def test_a_silent_responder_is_waited_for_once(self):
        """Several kept cards need it; it is told, and marked, once."""
        more = {'trust__use_crl': 'no', 'trust__check': 'leaf', 'trust__timeout': 300}
        for card in ('alice-p256', 'alice-rsa2048', 'bob'):
            self.login(card=card, more=more)
        self.ocsp.pages['/'] = silent
        answer = self.refresh(status=4, reason='source_silent', more=more)
        self.assertIn('[no_answer]', self.source(answer, OCSP)['text'])
        self.assertTrue(0 <= answer.json['next_s'] <= 5, answer.json['next_s'])

    def test_only_these_issuers(self):
        self.enter()
        self.forget_requests()
        answer = self.refresh('cardmap test root')
        self.assertEqual([one['url'] for one in answer.json['sources']], [ROOT_LIST])
        self.assertEqual([got.path for got in self.requests()], ['/root.crl'])
        self.refresh('CN=Nobody', status=1, reason='no_such_issuer')

    def test_configured_lists_before_any_card_was_seen(self):
        """Whose list it is tells the list: no CA that is here stumbles over the other's."""
        answer = self.refresh(more={'trust__crl': [LIST, ROOT_LIST]})
        self.assertEqual({(one['url'], one['issuer'].split(',')[0]) for one in answer.json['sources']},
                         {(LIST, INTER), (ROOT_LIST, ROOT)})
        self.assertTrue(0 < answer.json['next_s'] < 10 * DAY)
        self.forget_requests()
        self.refresh(more={'trust__crl': [LIST, ROOT_LIST]})
        self.assertEqual(sorted(got.path for got in self.requests()), ['/inter.crl', '/root.crl'], 'each asked once, of its own CA')

    def test_of_several_addresses_the_first_that_has_it(self):
        card = 'cdp-two'  # 127.0.0.2, then 127.0.0.3
        self.enter(card=card)
        self.publish(number=2)
        self.forget_requests()
        self.refresh('issuing')
        self.assertEqual([got.address for got in self.requests('/inter.crl')], ['127.0.0.2'])
        self.web.pages['127.0.0.2/inter.crl'] = Page(status=503)
        self.forget_requests()
        answer = self.refresh('issuing', status=4, reason='source_silent')
        self.assertEqual([(one['url'].split('/')[2].split(':')[0], one['ok']) for one in answer.json['sources']],
                         [('127.0.0.2', False), ('127.0.0.3', True)])

    def test_a_mirror_before_the_address_itself(self):
        mirror = {'trust__crl_mirror': ['http://127.0.0.1:8080/ http://127.0.0.1:8090/']}
        self.enter()
        self.forget_requests()
        self.refresh(more=mirror)
        self.assertEqual(([got.path for got in self.lists.asked()], sorted(got.path for got in self.web.asked())),
                         ([], ['/inter.crl', '/root.crl']))
        self.forget_requests()
        self.refresh(more=mirror)
        self.assertEqual(([got.path for got in self.lists.asked()], [got.status for got in self.web.asked()]), ([], [304, 304]))
        del self.web.pages['/inter.crl']
        self.refresh(more=mirror, status=4)
        self.assertEqual([got.path for got in self.lists.asked()], ['/inter.crl'])

    def test_lists_in_the_directory(self):
        """As Active Directory's CAs name them, without a server: the configured one."""
        self.enter(card='cdp-ldap')
        answer = self.refresh('issuing')
        told, = answer.json['sources']
        self.assertTrue(told['ok'], str(answer))
        self.assertTrue(told['url'].startswith('ldap:///'), told['url'])
        self.assertRegex(told['text'], r'^list number \d+, \d+ entr')

    def test_a_ca_that_is_trusted_no_more_is_left_out(self):
        self.enter()
        self.forget_requests()
        answer = self.refresh(more={'trust__anchors': [self.pki / 'inter.crt'], 'trust__intermediates': None})
        self.assertIn('CN=Cardmap Test Root CA', ' '.join(answer.json['warnings']))
        self.assertEqual([got.path for got in self.requests()], ['/inter.crl'])

    def test_changes_to_a_list_too(self):
        card, delta = 'cdp-fresh', 'http://127.0.0.1:8090/delta.crl'
        self.publish(number=5)
        self.web.pages['/delta.crl'] = Page(self.a_list(number=6, base=5))
        self.enter(card=card)
        self.web.pages['/delta.crl'] = Page(self.a_list(answers.entry_of(self.pki, card), number=7, base=5))
        answer = self.refresh()
        self.assertEqual((self.source(answer, delta)['kind'], self.source(answer, delta)['text']), ('delta', 'changes number 7, 1 entry'))
        self.no_network()
        self.login(card=card, status=3, reason='revoked')

    def test_the_list_of_one_who_signs_for_the_ca(self):
        """Indirect: at an address that the card names, then at a configured one."""
        signer = {'trust__intermediates': [self.pki / 'inter.crt', self.pki / 'list-signer.crt'], 'trust__use_ocsp': 'no'}
        url = 'http://127.0.0.1:8090/indirect.crl'
        entry = answers.Entry(self.serial('cdp-indirect'), issuer=answers.certificate(self.pki, 'inter').subject)

        def publish(*entries, number):
            self.web.pages['/indirect.crl'] = Page(self.a_list(*entries, authority='list-signer', number=number,
                                                               idp=answers.scope(url, indirect=True)))
        publish(number=1)
        self.enter(card='cdp-indirect', more=signer)
        publish(number=2)
        self.assertEqual(self.source(self.refresh('issuing', more=signer), url)['text'], 'list number 2, 0 entries')
        publish(entry, number=3)
        configured = {**signer, 'trust__crl': [url]}
        self.assertEqual(self.source(self.refresh('issuing', more=configured), url)['text'], 'list number 3, 1 entry')
        self.forget_requests()
        self.refused(card='cdp-indirect', more=signer, asked=0)

    def test_answers_are_renewed_before_they_end(self):
        """No list speaks of this card: its responder is asked again, the login then asks nobody."""
        card = 'aia-only'
        self.ocsp.pages['/'] = self.new_responder(until=10 * HOUR).page
        self.web.pages['/ocsp/'] = self.new_responder(until=10 * HOUR).page
        more = {'trust__use_crl': 'no', 'trust__check': 'leaf'}
        self.enter(card=card, more=more)
        self.forget_requests()
        self.assertEqual(self.refresh('--due', more=more).json['asked'], 0)
        answer = self.refresh('--due', more=more, **self.at('+9.5h'))
        self.assertEqual([(one['kind'], one['ok']) for one in answer.json['sources']], [('OCSP', True)])
        self.assertIn('good until', answer.json['sources'][0]['text'])
        self.assertEqual(len(self.requests()), 1)

    def test_the_news_is_kept_though_the_list_goes(self):
        self.enter()
        self.publish(answers.entry_of(self.pki, self.CARD), number=2)
        self.refresh()
        self.publish(number=3)
        self.refresh()
        self.refused()

    # -- when

    def test_due_between_half_and_nine_tenths_of_its_life(self):
        life = 10 * DAY
        self.publish(until=life)
        self.enter()
        began = time.time()
        answer = self.refresh()
        after = moment(answer.json['next']) - began
        self.assertTrue(life / 2 - 120 <= after <= life * 0.9 + 120, answer.json['next'])
        self.assertAlmostEqual(answer.json['next_s'], after, delta=SECONDS)
        self.forget_requests()
        answer = self.refresh('--due')
        self.assertEqual((answer.json['asked'], self.requests()), (0, []))
        for when, asked in (('+4.9d', 0), ('+9.1d', 2)):
            self.forget_requests()
            self.refresh('--due', **self.at(when))
            self.assertEqual(len(self.requests()), asked, when)

    def test_hosts_do_not_ask_at_once(self):
        """When, in the list's life, is each host's own, and stays so."""
        self.publish(until=10 * DAY)
        self.enter()
        self.refresh()
        due = {}
        for host in ('1', '2', '3', '1'):
            said(['mount', '--bind', self.write(f'machine-id-{host}', host * 32 + '\n'), '/etc/machine-id'])
            try:
                due.setdefault(host, set()).add(self.refresh('--due').json['next'])
            finally:
                said(['umount', '/etc/machine-id'])
        self.assertEqual(len(due['1']), 1, due)
        self.assertEqual(len(set.union(*due.values())), 3, due)

    def test_a_list_that_ended_is_not_asked_for_all_the_time(self):
        """Its CA is late: had once more, whatever its ETag; then not modified, and again in minutes."""
        self.publish(until=HOUR)
        self.responder.until = 10 * HOUR
        self.enter()
        self.refresh()
        for modified in (True, False, False):
            answer = self.refresh(**self.at('+2h'))
            self.assertEqual('not modified' not in self.source(answer, LIST)['text'], modified)
        self.assertTrue(60 <= answer.json['next_s'] <= 300, answer.json['next_s'])
        self.forget_requests()
        self.refresh('--due', **self.at('+2h'))
        self.assertEqual(self.requests(), [])

    def test_one_that_failed_is_asked_again_soon(self):
        self.enter()
        self.lists.pages['/inter.crl'] = Page(status=404)
        answer = self.refresh(status=4)
        self.assertTrue(0 < answer.json['next_s'] <= 10, answer.json['next_s'])
        self.publish(number=2)
        self.assertTrue(self.source(self.refresh('--due', **self.at('+1m')), LIST)['ok'])

    # -- alone, and whole

    def test_only_one_at_a_time(self):
        self.enter()
        with open(f'{self.store}.refresh', 'w', encoding='ascii') as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            answer = self.refresh(status=4, reason='refresh_runs')
            self.assertIn(str(self.store), answer.json['message'])
        self.refresh()

    def interrupted(self, number):
        """A refresh of a list that stops coming at its half."""
        data = self.a_list(*[answers.Entry(0x50000 + i) for i in range(5000)], number=2)
        half = threading.Event()

        def page(handler, _body):
            handler.begin(length=len(data), ETag='"big"')
            handler.write(data[:len(data) // 2])
            half.set()
            silent(handler, b'')
        self.lists.pages['/inter.crl'] = page
        running = subprocess.Popen([scenario.program(), 'revocation', 'refresh', '--config', self.conf(trust__timeout=3000)],
                                   env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertTrue(half.wait(SECONDS))
        store = self.folder / 'store/crl'
        scenario.wait_until(lambda: any(path.stat().st_size >= len(data) // 2 for path in store.glob('*/*')), 'the half to be there')
        running.send_signal(number)
        self.assertEqual(running.wait(SECONDS), -number)
        return data

    def test_interrupted_it_goes_on_where_it_was(self):
        self.enter()
        self.refresh()
        data = self.interrupted(signal.SIGINT)
        self.lists.pages['/inter.crl'] = Page(data, etag='"big"')
        self.forget_requests()
        self.assertEqual(self.source(self.refresh(), LIST)['text'], 'list number 2, 5000 entries')
        got, = self.requests('/inter.crl')
        self.assertEqual((got.status, got.sent), (206, len(data) - len(data) // 2))

    def test_killed_it_leaves_all_whole(self):
        self.enter()
        self.refresh()
        self.interrupted(signal.SIGKILL)
        self.enter('hard', more={'trust__use_ocsp': 'no'})
        self.publish(number=3)
        self.assertEqual(self.source(self.refresh(), LIST)['text'], 'list number 3, 0 entries')

    def test_a_bar_on_a_terminal_and_nowhere_else(self):
        data = self.a_list(*[answers.Entry(0x50000 + i) for i in range(20000)], number=2)
        self.enter()
        self.lists.pages['/inter.crl'] = Page(data)
        self.assertNotIn('%', self.cardmap('revocation', '--config', self.conf(), 'refresh').err)
        self.lists.pages['/inter.crl'] = Page(data, etag='"other"')
        terminal = Terminal([scenario.program(), 'revocation', 'refresh', '--config', self.conf()], self.environment())
        status, text = terminal.end()
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'\[[#.]{30}\] +\d+%')
        self.assertRegex(text, r'of \d+ kB')

    def test_a_full_disk_is_said_once_and_what_is_here_stays(self):
        """Room for the list that is here, and none for the next."""
        folder = self.folder / 'small'
        folder.mkdir()
        said(['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'small', folder])
        self.addCleanup(said, ['umount', folder])
        more = {'trust__crl_dir': folder / 'crl', 'trust__use_ocsp': 'no'}
        self.publish('bob', number=4)
        self.enter(more=more)
        self.fill(folder)
        self.publish(*[answers.Entry(0x50000 + i) for i in range(20000)], number=5)
        answer = self.refresh('issuing', more=more, status=4, reason='source_silent')
        self.assertRegex(self.source(answer, LIST)['text'], r'No space left on device \[not_kept\]$')
        self.assertEqual((answer.json['warnings'], self.source(answer, LIST)['probe_at']), ([], None), 'its server is well')
        self.login(card='bob', more=more, status=3, reason='revoked')
        self.assertIn('number 4', ' '.join(self.enter(more=more, asked=0).seen('revocation', 'status')))
        (folder / 'ballast').unlink()
        self.assertEqual(self.source(self.refresh('issuing', more=more), LIST)['text'], 'list number 5, 20000 entries')

    def test_an_older_list_is_a_rollback(self):
        for number, this, name in ((4, -60, 'rollback'), (5, -DAY, 'rollback'), (6, DAY, 'future')):
            with self.subTest(f'{number} {this}'):
                self.publish(number=5)
                self.enter()
                self.refresh()
                self.publish(number=number, this=this)
                answer = self.refresh('issuing', status=4)
                self.assertRegex(self.source(answer, LIST)['text'], rf'is not taken \(number {number}, .*\[{name}\]$')
                self.assertIn('number 5', ' '.join(self.enter(asked=0, more={'trust__use_ocsp': 'no'}).seen('revocation', 'status')))

    def test_a_mirror_that_is_behind(self):
        """One has an older list, one that has ended: the next address is asked."""
        card, more = 'cdp-two', {'trust__use_ocsp': 'no'}
        self.publish(number=5)
        self.enter(card=card, more=more)
        for behind, number, this in (({'number': 4}, 7, -40), ({'number': 8, 'this': -30, 'until': 0}, 9, -20)):
            with self.subTest(behind):
                self.web.pages['127.0.0.2/inter.crl'] = Page(self.a_list(**behind))
                self.web.pages['127.0.0.3/inter.crl'] = Page(self.a_list(card, number=number, this=this))
                answer = self.refresh('issuing', more=more, status=None, **self.at('+2s'))
                self.assertEqual([one['text'] for one in answer.json['sources'] if '127.0.0.3' in one['url']],
                                 [f'list number {number}, 1 entry'], str(answer))

    @staticmethod
    def fill(folder):
        with open(folder / 'ballast', 'wb', buffering=0) as out:
            for size in (4096, 1):
                try:
                    while out.write(b'x' * size):
                        pass
                except OSError:
                    pass

    def test_for_the_owner_of_the_store_alone(self):
        self.for_everybody()
        self.enter()
        self.refresh(status=4, reason='store', wrapper=NOBODY)


class ImportTest(CommandsCase):
    def test_lists_carried_in_let_in_at_hard(self):
        files = [self.write('inter.crl', self.a_list(number=7)), self.write('root.pem', answers.pem(self.a_list(authority='root')))]
        self.enter()
        self.fresh_store()
        for server in (self.ocsp, self.lists):
            server.pages['/'] = silent
            server.pages.pop('/inter.crl', None)
            server.pages.pop('/root.crl', None)
        answer = self.command('import', *files)
        self.assertEqual([one['result'] for one in answer.json['files']], ['ok', 'ok'])
        self.assertIn('number 7', answer.json['files'][0]['imported'])
        self.forget_requests()
        answer = self.enter('hard', asked=0)
        self.assertRegex('\n'.join(answer.seen('revocation', 'status')), r'number 7')

    def test_an_answer_of_a_responder(self):
        asked = answers.Asked('sha1', self.serial(self.CARD), b'', None)
        name = answers.cert_id(answers.certificate(self.pki, 'inter'), asked.serial, 'sha1')
        data = answers.ocsp_answer(self.pki, 'ocsp', [answers.single(name, 'revoked')])
        answer = self.command('import', self.write('answer.der', data))
        self.assertEqual(answer.json['files'][0]['result'], 'ok', str(answer))
        self.forget_requests()
        self.refused(asked=0)

    def test_its_age_is_that_of_the_list(self):
        self.enter()
        self.fresh_store()
        for server in (self.ocsp, self.lists):
            server.forget()
        files = [self.write(f'{name}.crl', self.a_list(authority=name, this=-100 * HOUR, until=10 * DAY)) for name in ('inter', 'root')]
        self.command('import', *files)
        self.enter('hard')
        self.refused('revocation_too_old', 'soft 72h')

    def test_what_is_wrong_is_named_and_the_others_are_taken(self):
        good = self.write('good.crl', self.a_list(number=9))
        cases = {
            'text': b'this is no list', 'empty': b'', 'half': self.a_list()[:-20],
            'stranger': answers.revocation_list(self.pki, 'look-alike-ca'),
        }
        for name, data in cases.items():
            with self.subTest(name):
                bad = self.write(name, data)
                answer = self.command('import', bad, good, status=3, reason='revocation_data')
                self.assertEqual([one['result'] == 'ok' for one in answer.json['files']], [False, True])
                self.assertIn(str(bad), answer.json['files'][0]['message'])
                said = self.cardmap('revocation', '--config', self.conf(), 'import', bad, good, status=3).err.splitlines()[0]
                self.assertEqual(said.count(str(bad)), 1, said)

    def test_a_bar_on_a_terminal_and_nowhere_else(self):
        path = self.write('big.crl', self.a_list(*[answers.Entry(0x50000 + i) for i in range(20000)], number=2))
        self.assertNotIn('%', self.cardmap('revocation', '--config', self.conf(), 'import', path).err)
        terminal = Terminal([scenario.program(), 'revocation', 'import', path, '--config', self.conf()], self.environment())
        status, text = terminal.end()
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'\[[#.]{30}\] +\d+%')
        self.assertRegex(text, r'imported +.*: .*number 2.*20,?000 entries')

    def test_an_older_one_is_a_rollback(self):
        self.command('import', self.write('new.crl', self.a_list(number=9)))
        answer = self.command('import', self.write('old.crl', self.a_list(number=8, this=-HOUR)), status=3, reason='revocation_data')
        self.assertIn('older', answer.json['message'])

    def test_no_such_file(self):
        answer = self.command('import', self.folder / 'none.crl', status=4)
        self.assertIn('none.crl', answer.json['message'])


class ListAndForgetTest(CommandsCase):
    def revoke_once(self):
        """Seen revoked; all is well again, or seems so."""
        self.say(self.CARD)
        self.refused(more={'trust__ask_always': 'yes'})
        self.say(self.CARD, 'good')

    def evidence(self, *arguments, **options):
        return self.command('list', *arguments, **options).json['evidence']

    def test_everything_with_its_account(self):
        self.assertEqual(self.evidence(), [])
        self.enter()
        found = {one['account']: one for one in self.evidence()}
        card = found['alice']
        self.assertEqual((int(card['serial'], 16), card['status']), (self.serial(self.CARD), 'good'))
        self.assertIn(INTER, card['issuer'])
        self.assertEqual(card['source'], f'OCSP {OCSP}')
        self.assertIn('CN=Cardmap Test OCSP', card['signer'])
        self.assertAlmostEqual(moment(card['next_update']) - moment(card['this_update']), HOUR, delta=1)
        self.assertTrue(0 <= card['age_s'] < SECONDS)
        self.assertEqual(self.evidence('--revoked'), [])
        self.assertEqual([one['account'] for one in self.evidence('issuing')], ['alice'])
        self.assertRegex(self.text('list'), rf'(?m)^good +{card["serial"]} of alice, of {INTER}')

    def test_revoked_alone(self):
        self.enter()
        self.revoke_once()
        one, = self.evidence('--revoked')
        self.assertEqual((one['status'], one['account']), ('revoked', 'alice'))
        self.assertIsNotNone(one['revoked_at'])
        self.assertIn('revocation forget', self.text('list', '--revoked'))

    def test_forgiven_by_an_administrator_who_is_named_in_the_log(self):
        self.enter()
        self.revoke_once()
        self.refused()
        done = self.command('forget', self.pki / f'{self.CARD}.pem')
        self.assertIn('revoked on', done.json['forgotten'])
        self.assertIsNone(done.json['still_listed'])
        self.assertRegex(done.err, r'forget ok: serial [0-9a-f]+ of CN=Cardmap Test Issuing CA.*: revoked on .*; by uid 0')
        self.enter()

    def test_by_its_serial_number_and_its_ca(self):
        self.enter()
        self.revoke_once()
        serial = self.evidence('--revoked')[0]['serial']
        self.command('forget', serial, '--issuer', 'Nobody', status=1, reason='no_evidence')
        self.refused()
        spelled = ':'.join(re.findall('..', serial.upper()))
        self.command('forget', spelled, '--issuer', INTER)
        self.enter()

    def test_a_list_in_force_that_names_it_is_said(self):
        self.publish(answers.entry_of(self.pki, self.CARD))
        self.settings['trust.use_ocsp'] = 'no'
        self.refused()
        done = self.command('forget', self.pki / f'{self.CARD}.pem')
        self.assertIn(LIST, done.json['still_listed'])
        self.refused(asked=0)
        self.publish(number=2)
        self.refresh()
        self.refused(asked=0)
        self.assertIsNone(self.command('forget', self.pki / f'{self.CARD}.pem').json['still_listed'])
        self.enter()

    def test_a_list_alone_names_it(self):
        """A number that nobody presented here: it is said what keeps it refused, and what ends that."""
        self.enter()
        self.publish(0x1267, number=2)
        self.refresh()
        message = self.command('forget', '1267', status=1, reason='no_evidence').json['message']
        self.assertIn(f'{LIST} number 2 still names it: it stays refused until the CA publishes a list without it', message)
        self.assertNotIn('remove', message)

    def test_a_list_that_was_given_up_names_it(self):
        self.enter()
        self.publish(0x1267, number=2, this=-60 * DAY, until=-31 * DAY)
        self.refresh(status=4)
        message = self.command('forget', '1267', status=1, reason='no_evidence').json['message']
        self.assertIn(f'{LIST} number 2 still names it', message)
        kept, = re.findall(r'remove (/\S+\.crl),', message)
        Path(kept).unlink()
        self.assertNotIn('names it', self.command('forget', '1267', status=1, reason='no_evidence').json['message'])

    def test_nothing_to_forget(self):
        for what, status, reason in (('4711', 1, 'no_evidence'), ('no-such-file', 64, 'usage')):
            self.command('forget', what, status=status, reason=reason)
        self.enter()
        self.command('forget', '4711', status=1, reason='no_evidence')

    def test_for_the_owner_of_the_store_alone(self):
        card, = self.for_everybody(f'{self.CARD}.crt')
        self.enter()
        self.revoke_once()
        for action in (('forget', card), ('list',), ('status',)):
            self.command(*action, status=3, reason='not_root', wrapper=NOBODY)
        self.refused()


class CheckTest(CommandsCase):
    def test_every_source_with_its_objection_and_the_evidence(self):
        self.ocsp.pages['/'] = self.new_responder(nonce='wrong').page
        answer = self.check(self.CARD, 0)
        self.assertEqual(answer.json['status'], 'good')
        self.assertEqual(self.objections(answer)[f'OCSP {OCSP}'], 'other_nonce')
        self.assertTrue([one for one in answer.json['evidence'] if LIST in one['source']], str(answer))
        text = self.text('check', self.pki / f'{self.CARD}.pem')
        self.assertRegex(text, rf'(?m)^evidence +good until .*{LIST}')

    def test_what_is_kept_counts(self):
        self.enter()
        self.say(self.CARD)
        self.refused(more={'trust__ask_always': 'yes'})
        self.no_network()
        answer = self.check(self.CARD, 3)
        self.assertEqual((answer.json['status'], answer.reason), ('revoked', 'revoked'))

    def test_who_may_not_read_the_store_is_told_what_servers_say(self):
        card, = self.for_everybody(f'{self.CARD}.crt')
        self.enter()
        answer = self.cardmap('revocation', '--config', self.conf(), '--json', 'check', card, wrapper=NOBODY)
        self.assertEqual(answer.json['status'], 'good')
        self.assertTrue(self.requests())


class StatusTest(CommandsCase):
    TIMES = {'now': '+0', 'tomorrow': '+1d', 'in_a_week': '+7d'}

    def status(self, level='soft', **more):
        return self.command('status', more={'trust__level': level, **more}).json

    def issuer(self, status, name):
        found, = [one for one in status['issuers'] if one['subject'].startswith(name)]
        return found

    def test_before_anything_was_learned(self):
        status = self.status()
        self.assertEqual((status['issuers'], status['accounts']), ([], []))
        self.assertIn('log in once', self.text('status'))
        self.assertFalse(self.store.exists())

    def test_a_server_that_is_not_there(self):
        """It was asked, and was not there: no time was lost, so it is asked again, and not called silent."""
        more = {'trust__use_crl': 'no', 'trust__check': 'leaf', 'trust__ocsp_url': ['http://127.0.0.1:9/']}
        self.enter(more=more)
        inter = self.issuer(self.status(**more), INTER)
        self.assertEqual([(one['url'], one['state']) for one in inter['sources']], [('http://127.0.0.1:9/', 'no answer yet')])
        self.assertIn('OCSP http://127.0.0.1:9/: no answer yet', self.text('status', more=more))

    def test_each_issuer_with_sources_and_lists(self):
        self.publish(number=4711, until=5 * DAY)
        self.enter()
        self.refresh()
        inter = self.issuer(self.status(), INTER)
        self.assertEqual({(one['kind'], one['url'], one['state']) for one in inter['sources']},
                         {('OCSP', OCSP, 'alive'), ('CRL', LIST, 'alive')})
        kept, = inter['lists']
        self.assertEqual((kept['number'], kept['entries'], kept['source'], kept['damage']), ('4711', 0, LIST, None))
        self.assertAlmostEqual(moment(kept['next_update']) - moment(kept['this_update']), 5 * DAY, delta=61)
        self.assertEqual(kept['list_bytes'], len(self.lists.pages['/inter.crl'].data))
        self.assertTrue(0 < kept['index_bytes'] < 2 * kept['list_bytes'])
        self.assertTrue(0 <= kept['age_s'] < SECONDS)
        text = self.text('status')
        for word in (INTER, 'number 4711', LIST, '0 entries', 'alive', 'tomorrow', 'in a week', 'alice'):
            self.assertIn(word, text)
        self.assertNotIn('\033', text)

    def test_a_ca_of_which_only_responders_speak(self):
        """What they said last, and when the first of it ends."""
        more = {'trust__use_crl': 'no', 'trust__check': 'leaf'}
        self.responder.until = 5 * HOUR
        self.enter(more=more)
        self.responder.until = 3 * HOUR
        self.login(card='bob', more=more)
        self.say('alice-p384')
        self.refused(card='alice-p384', more=more)
        inter = self.issuer(self.status(), INTER)
        told = inter['answers']
        self.assertEqual((inter['lists'], told['good'], told['revoked']), ([], 2, 1))
        self.assertAlmostEqual(moment(told['next_update']) - moment(told['confirmed']), 3 * HOUR, delta=SECONDS)
        self.assertTrue(0 <= told['age_s'] < SECONDS)
        self.assertRegex(self.text('status'), r'(?m)^  answers +2 good, 1 revoked$')

    def test_a_silent_source_since_when_and_why(self):
        self.ocsp.pages['/'] = self.lists.pages['/inter.crl'] = silent
        self.enter(more={'trust__timeout': 500})
        inter = self.issuer(self.status(), INTER)
        found, = [one for one in inter['sources'] if one['kind'] == 'OCSP']
        self.assertEqual((found['state'], found['answered'], found['failures']), ('silent', None, 1))
        self.assertAlmostEqual(moment(found['probe_at']) - moment(found['asked']), 5, delta=1)
        text = self.text('status')
        self.assertRegex(text, rf'source +OCSP {OCSP}: silent: no answer .*, when asked .*; answered last: never; failed 1 time in a row; .*cardmap revocation refresh now')
        self.ocsp.pages['/'] = self.responder.page
        self.publish()
        self.assertTrue(self.source(self.refresh(), OCSP)['ok'], 'seen alive')
        found, = [one for one in self.issuer(self.status(), INTER)['sources'] if one['kind'] == 'OCSP']
        self.assertEqual((found['state'], found['failures']), ('alive', 0))

    def test_it_asks_nobody(self):
        self.enter()
        self.forget_requests()
        with scenario.Counts() as counts:
            self.status('hard', trust__ask_always='yes', trust__crl=[LIST])
        self.assertEqual((self.requests(), counts.packets['connections'], counts.slapd), ([], 0, []))

    def test_it_foretells_what_a_login_then_decides(self):
        """Every level, three times: the login itself, with no network and its clock there."""
        levels = ('chain', 'soft', 'soft 12h', 'soft 72h', 'soft 30d', 'hard', 'hard 12h', 'hard 30d')
        self.publish(until=3 * DAY)
        self.responder.until = 3 * DAY
        self.enter()
        self.refresh()
        told = {level: self.status(level) for level in levels}
        self.no_network()
        self.settings['trust.timeout'] = 200  # nobody will answer
        seen = set()
        for level in levels:
            row, = told[level]['accounts']
            self.assertEqual((row['account'], row['level']), ('alice', level))
            for name, when in self.TIMES.items():
                with self.subTest(level=level, when=name):
                    # A clock that was once there would be behind for the next.
                    copy = self.folder / f'{level} {name}'
                    shutil.copytree(self.store.parent, copy)
                    entered = self.login(card=self.CARD, status=None, **self.at(when, more={
                        'trust__level': level, 'accounts__path': copy / self.store.name}))
                    foretold = row['forecast'][name]
                    self.assertEqual((foretold['opens'], foretold.get('reason')), (entered.status == 0, entered.reason),
                                     f'{foretold}\n{entered}')
                    seen.add(entered.reason)
        self.assertEqual(seen, {None, 'revocation_unknown', 'revocation_too_old'}, 'each outcome was foretold once')

    def test_the_level_is_that_of_the_accounts_rule(self):
        self.rules = f"""rule "strict" {{
            match = '<ISSUER>{INTER}'
            attribute = 'altSecurityIdentities'
            value = 'Kerberos:{{subject_nt_principal}}'
            level = 'hard 1h'
        }}
        """
        self.enter()
        row, = self.status()['accounts']
        self.assertEqual((row['rule'], row['level']), ('strict', 'hard 1h'))
        self.assertEqual([row['forecast'][name]['opens'] for name in self.TIMES], [True, False, False])
        self.assertEqual(row['forecast']['tomorrow']['reason'], 'revocation_unknown')
        inter = self.issuer(self.status(), INTER)
        self.assertEqual([one['forecast']['in_a_week']['opens'] for one in inter['lists']], [True] * len(inter['lists']))

    def test_other_reasons_than_revocation(self):
        self.enter(more={'accounts__offline_days': 2})
        row, = self.status(accounts__offline_days=2)['accounts']
        self.assertTrue(row['forecast']['tomorrow']['opens'])
        self.assertEqual(row['forecast']['in_a_week']['reason'], 'kept_too_old')
        self.say(self.CARD)
        self.refused(more={'trust__ask_always': 'yes', 'trust__timeout': 12000})
        row, = self.status()['accounts']
        self.assertEqual([row['forecast'][name]['reason'] for name in self.TIMES], ['revoked'] * 3)

    def test_at_soft_it_says_that_nobody_will_have_said_good(self):
        self.publish(until=2 * DAY)
        self.enter()
        self.refresh()
        row, = self.status()['accounts']
        self.assertEqual([row['forecast'][name]['unknown'] for name in self.TIMES], [False, False, True])
        self.assertIn('yes, unknown', self.text('status'))


class UsageTest(CommandsCase):
    def test_rules_with_a_mistake_hide_nothing(self):
        self.enter()
        self.rules = "rule broken { match = '<NONSENSE>x' attribute = mail value = x }\n"
        self.assertEqual(self.refresh().json['failed'], 0)
        self.assertTrue(self.command('list').json['evidence'])
        row, = self.command('status').json['accounts']
        self.assertTrue(row['forecast']['now']['opens'])
        self.check(self.CARD, 78)

    def test_what_is_kept_lies_in_one_place(self):
        """Whatever folder a command is begun in."""
        answer = self.command('status', status=78, reason='config', more={'trust__crl_dir': 'here/crl'})
        self.assertIn('trust.crl_dir = here/crl: must begin with /', answer.json['message'])

    def test_options_of_another_action(self):
        for arguments in (('status', '--due'), ('list', '--due'), ('refresh', '--revoked'), ('import',), ('forget',), ('check',),
                          ('status', 'x'), ('nonsense',), ('list', 'a', 'b'), ('check', 'x', '--issuer', 'y')):
            with self.subTest(arguments):
                self.command(*arguments, status=64, reason='usage')


if __name__ == '__main__':
    scenario.main()
