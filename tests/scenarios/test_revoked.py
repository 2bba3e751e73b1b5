#!/usr/bin/python3
"""test_revoked.py: a revoked card opens nothing, whatever becomes of network, lists and clocks afterwards."""
import scenario
from scenario import SERVERS, Counts, Scenario

CARD = 'alice-rsa2048'
NO_TICKET = {'kerberos__ticket': 'off'}
HARD = {'trust__level': 'hard'}


class RevokedCase(Scenario):
    ask_always = 'yes'  # what was good a moment ago is not taken for good now

    def setUp(self):
        super().setUp()
        self.settings['trust.ask_always'] = self.ask_always

    def refused(self, **options):
        before = self.tickets()
        answer = self.login(status=3, reason='revoked', **options)
        self.assertNotIn('account', answer.json)
        self.assertEqual(self.tickets(), before)
        return answer

    def tickets(self):
        return {path: path.stat().st_mtime_ns for path in (self.folder / 'tickets').iterdir()}

    def at(self, when, **options):
        return {'binary': scenario.plain(), 'wrapper': scenario.clock(when), **options}

    def seen_revoked(self, *stopped):
        """One login while the card is revoked, with these sources stopped; then all is well again, or seems so."""
        scenario.RIG.revoke(CARD)
        scenario.RIG.stop(*stopped)
        self.refused()
        scenario.RIG.unrevoke(CARD)
        scenario.RIG.start(*SERVERS)


class RevokedTest(RevokedCase):
    def test_at_soft_and_at_hard(self):
        scenario.RIG.revoke(CARD)
        for level in ('soft', 'hard'):
            answer = self.refused(more={'trust__level': level, 'accounts__path': self.folder / f'store/{level}.db'})
            self.assertIn('CN=Alice Example', answer.json['message'])
            self.assertIn('OCSP http://127.0.0.1:8081/', answer.json['message'])

    def test_by_the_list_alone_and_by_the_responder_alone(self):
        scenario.RIG.revoke(CARD)
        for stopped, source in (('ocsp', 'CRL http://127.0.0.1:8080/inter.crl'),
                                ('http', 'OCSP http://127.0.0.1:8081/')):
            scenario.RIG.start(*SERVERS).stop(stopped)
            answer = self.refused(more={'accounts__path': self.folder / f'store/{stopped}.db',
                                        'trust__crl_dir': self.folder / f'store/{stopped}'})
            self.assertIn(source, answer.json['message'])

    def test_by_a_list_in_a_file(self):
        scenario.RIG.stop('ocsp', 'http')
        self.refused(more={'trust__crl': [scenario.RIG.pki / 'inter-revoked-alice.crl']})

    def test_no_pin_is_asked_for_it(self):
        scenario.RIG.revoke(CARD)
        answer = self.refused()
        self.assertIsNone(answer.stage('pin'))

    def test_only_this_certificate(self):
        scenario.RIG.revoke(CARD)
        self.refused()
        for card in ('alice-p256', 'bob'):
            self.assertIn(self.login(card=card).account, ('alice', 'bob'))

    def test_level_chain_does_not_ask(self):
        scenario.RIG.revoke(CARD)
        with Counts() as counts:
            self.assertEqual(self.login(more={'trust__level': 'chain'}).account, 'alice')
        self.assertEqual(counts.http, [])


class NeverForgivenTest(RevokedCase):
    """A serial once seen revoked stays revoked on this computer."""

    def test_offline_after_it_was_seen_revoked(self):
        self.login()
        scenario.RIG.revoke(CARD)
        self.refused()
        scenario.RIG.stop(*SERVERS)
        for more in ({}, HARD):
            self.refused(more=more)

    def test_offline_when_it_was_never_logged_in(self):
        scenario.RIG.revoke(CARD)
        self.refused()
        scenario.RIG.stop(*SERVERS)
        self.login(status=4, reason='not_kept')

    def test_responder_says_good_again(self):
        self.login()
        self.seen_revoked()
        for more in ({}, HARD):
            self.refused(more=more)

    def test_nobody_is_asked_again(self):
        self.seen_revoked()
        with Counts() as counts:
            self.refused()
        self.assertEqual(counts.http, [])
        self.assertLessEqual(counts.packets['connections'], 1, 'the directory only')

    def test_responder_alone_says_good_again_and_the_list_is_gone(self):
        self.seen_revoked('ocsp')
        scenario.RIG.stop('http')
        self.refused()

    def test_list_expires(self):
        """SSSD#7404: the serial was forgiven when the CRL that named it ended (here after 7 days)."""
        self.login()
        self.seen_revoked('ocsp')
        scenario.RIG.stop(*SERVERS)
        for when in ('+6d', '+8d', '+29d', '+400d'):
            self.refused(**self.at(when, more={'accounts__offline_days': 0}))

    def test_list_of_a_file_expires_and_is_taken_away(self):
        scenario.RIG.stop('ocsp', 'http')
        self.refused(more={'trust__crl': [scenario.RIG.pki / 'inter-revoked-alice.crl']})
        scenario.RIG.start(*SERVERS)
        self.refused()

    def test_clock_set_back(self):
        rig = scenario.RIG
        rig.revoke(CARD)
        scenario.responder_in('+10d')
        self.addCleanup(rig.stop, 'ocsp')
        self.refused(**self.at('+10d', more=NO_TICKET))
        rig.unrevoke(CARD)
        rig.stop('ocsp').start('ocsp')
        for when in ('+0', '+5d', '+20d'):
            self.refused(**self.at(when, more=NO_TICKET))
        rig.stop(*SERVERS)
        self.login(status=4, reason='not_kept', **self.at('+0', more=NO_TICKET))

    def test_account_forgotten(self):
        self.login()
        self.seen_revoked()
        self.cardmap('accounts', '--config', self.conf(), 'forget', 'alice')
        self.refused()

    def test_the_level_lowered_from_hard_to_soft(self):
        scenario.RIG.revoke(CARD)
        self.refused(more=HARD)
        scenario.RIG.stop('ocsp', 'http')
        self.refused(more={'trust__level': 'soft'})


class HardTest(RevokedCase):
    ask_always = 'no'

    def test_no_aia_and_no_cdp_fails_closed_and_says_what_was_missing(self):
        answer = self.login(card='no-aia-cdp', status=3, reason='revocation_unknown', more=HARD)
        for word in ('authorityInfoAccess', 'cRLDistributionPoints', 'trust.ocsp_url', 'trust.crl'):
            self.assertIn(word, answer.json['message'])
        self.assertEqual(self.login(card='no-aia-cdp').account, 'alice', 'soft passes')

    def test_no_aia_and_no_cdp_but_a_configured_source(self):
        more = {**HARD, 'trust__crl': ['http://127.0.0.1:8080/inter.crl']}
        self.assertEqual(self.login(card='no-aia-cdp', more=more).account, 'alice')

    def test_servers_gone_and_both_are_named(self):
        scenario.RIG.stop('ocsp', 'http')
        answer = self.login(status=3, reason='revocation_unknown', more=HARD)
        for word in ('http://127.0.0.1:8081/', 'http://127.0.0.1:8080/inter.crl', 'CN=Alice Example'):
            self.assertIn(word, answer.json['message'])

    def test_either_source_is_enough_for_the_card(self):
        scenario.RIG.stop('ocsp')
        self.assertEqual(self.login(more=HARD).account, 'alice')

    def test_the_issuing_ca_must_be_good_too(self):
        """Its list is on the CRL server; the responder speaks of cards only."""
        scenario.RIG.stop('http')
        answer = self.login(status=3, reason='revocation_unknown', more=HARD)
        self.assertIn('CN=Cardmap Test Issuing CA', answer.json['message'])

    def test_known_lists_answer_with_no_server(self):
        """Both lists were fetched once, each is current for a week: nobody is asked, and nobody has to be there."""
        more = {**HARD, 'trust__use_ocsp': 'no'}
        self.login(more=more)
        self.assertEqual(len(list((self.folder / 'store/crl').glob('*/*.crl'))), 2)
        with Counts() as counts:
            answer = self.login(more=more)
        self.assertEqual(counts.http, [])
        scenario.RIG.stop('ocsp', 'http')
        answer = self.login(more=more)
        seen = answer.seen('revocation', 'crl')
        self.assertEqual(len(seen), 2)
        for text in seen:
            self.assertRegex(text, r'^CRL http://127\.0\.0\.1:8080/(inter|root)\.crl number \d+: good, of .*, kept here$')
        self.refused(card='revoked', more=more)

    def test_revocation_check_says_the_same(self):
        answer = self.cardmap('revocation', '--config', self.conf(trust__level='hard'), '--json', 'check',
                              scenario.RIG.pki / 'no-aia-cdp.pem', status=3)
        self.assertEqual((answer.json['status'], answer.reason), ('unknown', 'revocation_unknown'))


if __name__ == '__main__':
    scenario.main()
