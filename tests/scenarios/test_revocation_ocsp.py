#!/usr/bin/python3
"""test_revocation_ocsp.py: responders: what is asked, what an answer must be to count, and each objection by its name."""
import contextlib
import ssl
import threading
import types

import scenario
import answers
import bad_http
from answers import DAY
from revocation import Page, RevocationCase
from rig import DROPPED, OCSP_PORT, WEB_PORT, WORK
from web import FolderServer

ALONE = {'trust__use_crl': 'no', 'trust__check': 'leaf'}  # the responder, about the card
HERE, WEB = f'http://127.0.0.1:{OCSP_PORT}/', f'http://127.0.0.1:{WEB_PORT}'
TLS_PORT = 8443
SOON = {'trust__timeout': 1500}  # where nobody answers, or not in time


class OcspCase(RevocationCase):
    def setUp(self):
        super().setUp()
        self.index = self.folder / 'index.txt'
        scenario.rig_module.pki_module.write_index(self.index)

    def bad(self, mode, server=None, path='/'):
        """A mode of bad_http.py at this address."""
        settings = types.SimpleNamespace(pki=self.pki, index=self.index, mode=mode)
        answer = bad_http.with_request(bad_http.mode_of(settings))

        def page(handler, body):
            handler.close_connection = True
            answer(handler, body)
        (server or self.ocsp).pages[path] = page

    def objection(self, source=HERE, more=None, **options):
        """That of the one responder, at hard, where nobody else could answer."""
        self.fresh_store()
        answer = self.refused('revocation_unknown', 'hard', more={**ALONE, **(more or {})}, **options)
        found = self.objections(answer)
        self.assertIn(f'OCSP {source}', found, str(answer))
        self.assertIn(source, answer.json['message'])
        return found[f'OCSP {source}']


class ObjectionTest(OcspCase):
    def test_each_answer_that_does_not_count_has_its_own_name(self):
        for mode, name in (
                ('silent', 'no_answer'), ('reset', 'broken_answer'), ('drip', 'slow_answer'), ('drip-headers', 'slow_answer'),
                ('huge', 'too_large'), ('endless', 'too_large'), ('early-close', 'broken_answer'), ('status=503', 'http_status'),
                ('status=404', 'http_status'), ('redirect-loop', 'redirected'), ('redirect-file', 'redirected'),
                ('redirect-private', 'redirected'), (f'redirect-307={WEB}/ocsp/', 'redirected'), ('garbage', 'not_ocsp'),
                ('try-later', 'responder_error'), ('wrong-nonce', 'other_nonce'), ('wrong-serial', 'other_certificate'),
                ('no-eku', 'unauthorised'), ('stranger', 'unauthorised'), ('expired-signer', 'unauthorised'),
                ('bad-signature', 'signature'), ('weak-hash', 'weak_signature'), ('stale', 'stale'), ('future', 'future'),
                ('unknown', 'unknown_certificate'), ('twice', 'ambiguous'), ('replay=ocsp-good.der', 'other_certificate'),
                ('get-only', 'http_status')):
            with self.subTest(mode):
                self.bad(mode)
                self.assertEqual(self.objection(more=SOON if mode.startswith(('silent', 'drip')) else None), name)

    def test_addresses_where_nobody_is(self):
        for url, names in (('http://nobody.invalid/', {'no_name'}), ('http://127.0.0.9:9/', {'no_connection'}),
                           (f'http://{DROPPED}:8081/', {'no_connection'}), ('ftp://127.0.0.1/', {'not_askable'}),
                           ('file:///etc/passwd', {'not_askable'})):
            with self.subTest(url):
                self.assertIn(self.objection(url, {'trust__ocsp_url': [url], **SOON}), names)

    def test_over_tls_by_an_anchor_of_ours_only(self):
        server = FolderServer(self.folder, TLS_PORT, WORK / 'web.requests')
        self.addCleanup(server.server_close)
        server.page_for = lambda handler: self.responder.page
        for certificate, address, name in (('server', '127.0.0.1', None), ('server', '127.0.0.20', 'tls'),
                                           ('stranger', '127.0.0.1', 'tls')):
            with self.subTest(f'{certificate} {address}'):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                chain = 'server-chain.pem' if certificate == 'server' else f'{certificate}.crt'
                context.load_cert_chain(self.pki / chain, self.pki / f'{certificate}.key')
                with self.tls(server, context):
                    more = {**ALONE, 'trust__ocsp_url': [f'https://{address}:{TLS_PORT}/']}
                    if name:
                        self.assertEqual(self.objection(f'https://{address}:{TLS_PORT}/', more), name)
                    else:
                        self.enter('hard', more=more)

    @staticmethod
    @contextlib.contextmanager
    def tls(server, context):
        def accept():
            link, peer = server.socket.accept()
            return context.wrap_socket(link, server_side=True, do_handshake_on_connect=False), peer
        server.get_request = accept
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()

    def test_where_the_nonce_is_missing(self):
        """RFC 5019: it passes within its dates, unless the configuration wants one."""
        self.responder.nonce = 'none'
        self.enter('hard', more=ALONE)
        self.fresh_store()
        self.assertEqual(self.objection(more={'trust__require_nonce': 'yes'}), 'no_nonce')
        self.responder.this, self.responder.until = -2 * DAY, -DAY
        self.assertEqual(self.objection(), 'stale')

    def test_a_stored_answer_is_replayed(self):
        """Its nonce is another's: it never counts, though its dates would do."""
        self.responder.nonce = 'wrong'
        for more in ({}, {'trust__require_nonce': 'yes'}):
            self.assertEqual(self.objection(more=more), 'other_nonce')

    def test_a_forged_revoked_refuses_nobody_at_soft(self):
        for mode in ('stranger', 'no-eku', 'bad-signature', 'expired-signer'):
            with self.subTest(mode):
                scenario.rig_module.pki_module.write_index(self.index, {'revoked', self.CARD})
                self.bad(mode)
                self.enter('soft', more=ALONE)

    def test_two_answers_about_it(self):
        """Revoked outweighs good, in one answer too."""
        self.responder.twice = 'revoked'
        self.refused('revoked', more=ALONE)

    def test_the_signer_who_may(self):
        for mode in ('good', 'issuer-signed', 'no-nocheck', 'no-nonce', 'max-age=60', 'no-next-update'):
            with self.subTest(mode):
                self.fresh_store()
                self.bad(mode)
                self.enter('hard', more=ALONE)

    def test_a_signer_that_was_revoked(self):
        """ocsp-checkable has no nocheck: a list that names it ends its word."""
        self.bad('no-nocheck')
        self.publish('ocsp-checkable')
        self.enter('soft', more={'trust__use_ocsp': 'no'})
        answer = self.enter('hard', more={'trust__ask_always': 'yes', 'trust__check': 'leaf'})
        self.assertEqual(self.objections(answer)[f'OCSP {HERE}'], 'unauthorised', str(answer))


class QuestionTest(OcspCase):
    def test_post_with_a_nonce(self):
        self.enter('hard', asked=1, more=ALONE)
        (method, asked), = self.responder.asked
        self.assertEqual((method, asked.hash_name, asked.serial), ('POST', 'sha1', self.serial(self.CARD)))
        self.assertGreaterEqual(len(asked.nonce), 16)
        self.fresh_store()
        self.enter('hard', asked=1, more=ALONE)
        self.assertNotEqual(self.responder.asked[1][1].nonce, asked.nonce)

    def test_get_without(self):
        self.enter('hard', asked=1, more={**ALONE, 'trust__ocsp_get': 'yes'})
        (method, asked), = self.responder.asked
        self.assertEqual((method, asked.nonce, asked.serial), ('GET', None, self.serial(self.CARD)))

    def test_a_responder_that_takes_get_only(self):
        self.responder.get_only = True
        self.enter('hard', more={**ALONE, 'trust__ocsp_get': 'yes'})

    def test_get_and_a_wanted_nonce_do_not_go_together(self):
        conf = self.conf(trust__ocsp_get='yes', trust__require_nonce='yes')
        answer = self.cardmap('config', '--config', conf, 'check', status=78)
        self.assertIn('ocsp_get', answer.out + answer.err)

    def test_either_hash_names_the_certificate(self):
        for asked in ('sha1', 'sha256'):
            for told in ('sha1', 'sha256'):
                with self.subTest(f'{asked} {told}'):
                    self.fresh_store()
                    self.responder.cert_id = told
                    self.enter('hard', more={**ALONE, 'trust__ocsp_hash': asked})
                    self.assertEqual(self.responder.asked[-1][1].hash_name, asked)

    def test_of_the_certificate_and_configured(self):
        self.web.pages['/other/'] = self.responder.page
        self.enter('hard', more={**ALONE, 'trust__ocsp_url': [f'{WEB}/other/']})
        self.assertEqual([got.path for got in self.requests()], ['/other/'])

    def test_two_responders_in_turn(self):
        self.web.pages.update({'127.0.0.2/ocsp/': Page(status=503), '127.0.0.3/ocsp/': self.responder.page})
        self.enter('hard', 'aia-two', asked=2, more=ALONE)

    def test_no_connection_more_than_answers(self):
        with scenario.Counts() as counts:
            self.enter('hard', asked=1, more=ALONE)
        self.assertEqual(counts.packets['connections'], 2, 'the directory, and one responder')
        with scenario.Counts() as counts:
            self.enter('hard', asked=0, more=ALONE)
        self.assertEqual(counts.packets['connections'], 1, 'the directory')


class ElsewhereTest(OcspCase):
    """Redirects are for GET, to http and https, and to private addresses only where these were meant."""
    GET = {'trust__ocsp_get': 'yes'}

    def redirect(self, location):
        self.bad(f'redirect={location}')

    def follow(self, handler, body):
        """Where a redirect leads: the request is not in that path, but the certificate is known."""
        asked = self.responder.asked_before
        handler.send(answers.ocsp_answer(self.pki, 'ocsp', [answers.single(asked)]))

    def setUp(self):
        super().setUp()
        self.responder.asked_before = answers.cert_id(answers.certificate(self.pki, 'inter'), self.serial(self.CARD), 'sha1')
        self.web.pages['/elsewhere'] = self.follow

    def test_to_the_host_that_was_asked(self):
        self.redirect(f'{WEB}/elsewhere')
        self.enter('hard', asked=2, more={**ALONE, **self.GET})

    def test_to_another_address_of_this_network(self):
        for location in ('http://127.0.0.3:8090/elsewhere', 'http://10.0.0.1/', 'http://192.168.1.1/', 'http://169.254.1.1/',
                         'http://[::1]:8090/elsewhere', 'http://172.16.0.1/', 'http://[fd00::1]/',
                         'http://localhost:8090/elsewhere', 'http://[::ffff:127.0.0.3]:8090/elsewhere',
                         'http://2130706435:8090/elsewhere', 'http://0.0.0.0:8090/elsewhere'):
            with self.subTest(location):
                self.redirect(location)
                self.assertEqual(self.objection(more=self.GET), 'redirected_private')
                self.assertEqual(self.requests('/elsewhere'), [])

    def test_there_where_it_is_allowed(self):
        self.redirect('http://127.0.0.3:8090/elsewhere')
        self.enter('hard', asked=2, more={**ALONE, **self.GET, 'trust__private_redirects': 'yes'})

    def test_there_where_it_is_the_host_of_a_configured_one(self):
        self.redirect('http://127.0.0.3:8090/elsewhere')
        self.enter('hard', more={**ALONE, **self.GET, 'trust__crl': ['http://127.0.0.3:8090/inter.crl']})

    def test_to_other_schemes(self):
        for location in ('file:///etc/passwd', 'ftp://127.0.0.1/', 'ldap://127.0.0.1:3890/', 'gopher://127.0.0.1/'):
            with self.subTest(location):
                self.redirect(location)
                self.assertEqual(self.objection(more=self.GET), 'redirected')

    def test_for_ever(self):
        self.bad('redirect-loop')
        self.assertEqual(self.objection(more=self.GET), 'redirected')
        self.assertLessEqual(len(self.requests()), 4)

    def test_lists_too(self):
        self.lists.pages['/inter.crl'] = Page(status=302, location='http://127.0.0.3:8090/inter.crl')
        more = {'trust__use_ocsp': 'no'}
        answer = self.refused('revocation_unknown', 'hard', more=more)
        self.assertEqual(self.objections(answer)['CRL http://127.0.0.1:8080/inter.crl'], 'redirected_private')
        self.lists.pages['/inter.crl'] = Page(status=302, location=f'{WEB}/inter.crl')
        self.fresh_store()
        self.enter('hard', more=more)


class ReuseTest(OcspCase):
    """A kept answer costs nothing until it ends, or until its server said that it should be asked again."""

    def setUp(self):
        super().setUp()
        self.settings.update({key.replace('__', '.'): value for key, value in ALONE.items()})
        self.responder.until = 10 * DAY

    def test_until_it_ends(self):
        self.enter('hard', asked=1, **self.at('+0'))
        for when in ('+0', '+1d', '+9d'):
            with scenario.Counts() as counts:
                self.enter('hard', asked=0, **self.at(when))
            self.assertEqual(counts.packets['connections'], 1, 'the directory')
        self.responder.this, self.responder.until = 10 * DAY, 20 * DAY
        self.enter('hard', asked=1, **self.at('+11d'))
        self.enter('hard', asked=0, **self.at('+11d'))

    def test_each_certificate_has_its_own(self):
        self.enter('hard', asked=1)
        self.enter('hard', 'alice-p384', asked=1)
        self.enter('hard', asked=0)

    def test_whoever_only_looks_hears_it_too(self):
        """explain keeps nothing, and reads what is kept of this card before it asks anybody."""
        self.enter('hard', asked=1)
        before = len(self.requests())
        self.ask('explain', card=self.CARD, more={'trust__level': 'hard'})
        self.assertEqual(len(self.requests()), before)

    def test_max_age(self):
        self.responder.cache = 'public, max-age=600, no-transform'
        self.enter('hard', asked=1, **self.at('+0'))
        self.enter('hard', asked=0, **self.at('+9m'))
        self.enter('hard', asked=1, **self.at('+11m'))

    def test_max_age_less_what_a_proxy_used_up(self):
        self.responder.cache, self.responder.age = 'max-age=600', 500
        self.enter('hard', asked=1, **self.at('+0'))
        self.enter('hard', asked=0, **self.at('+1m'))
        self.enter('hard', asked=1, **self.at('+2m'))

    def test_max_age_ends_no_answer(self):
        """It says when to ask; where nobody answers then, the answer counts on."""
        self.responder.cache = 'max-age=600'
        self.enter('hard', asked=1, **self.at('+0'))
        self.ocsp.pages['/'] = Page(status=503)
        self.enter('hard', **self.at('+1h'))

    def test_no_store(self):
        for cache in ('no-store', 'max-age=0', 'no-cache'):
            with self.subTest(cache):
                self.fresh_store()
                self.responder.cache = cache
                self.enter('hard', asked=1)
                self.enter('hard', asked=1)

    def test_always_where_it_is_wanted(self):
        more = {'trust__ask_always': 'yes'}
        self.enter('hard', asked=1, more=more)
        self.enter('hard', asked=1, more=more)
        self.say(self.CARD)
        self.refused('revoked', 'hard', asked=1, more=more)
        self.refused('revoked', 'hard', asked=0, more=more)


if __name__ == '__main__':
    scenario.main()
