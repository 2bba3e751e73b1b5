#!/usr/bin/python3
"""test_revocation_lists.py: lists from every place and of every shape, fetched no oftener and no further than needed."""
import scenario
import answers
from answers import Entry, pem, scope
from revocation import Page, RevocationCase
from rig import LDAP_PORT, WEB_PORT

WEB = f'http://127.0.0.1:{WEB_PORT}'
GONE = Page(status=503)
COMPROMISE = ('keyCompromise', 'cACompromise')
REST = ('affiliationChanged', 'superseded', 'cessationOfOperation', 'certificateHold', 'privilegeWithdrawn', 'aACompromise')


class ListCase(RevocationCase):
    """No responder; what the card's own list says decides, and root's is in order."""

    def setUp(self):
        super().setUp()
        self.settings['trust.use_ocsp'] = 'no'

    def lists_of(self, **pages):
        """At 8090: name -> DER."""
        self.web.pages.update({f'/{name}.crl': Page(der) for name, der in pages.items()})

    def says(self, card, good, revoked):
        """A login with what good() publishes, one with what revoked() does."""
        good()
        self.enter('hard', card)
        self.fresh_store()
        revoked()
        self.refused('revoked', 'soft', card)
        self.fresh_store()

    def objection(self, card, source, **options):
        answer = self.refused('revocation_unknown', 'hard', card, **options)
        return self.objections(answer).get(source, str(answer))


class PlaceTest(ListCase):
    def test_http(self):
        self.says('cdp-only', self.publish, lambda: self.publish('cdp-only'))

    def test_a_file(self):
        path = self.folder / 'inter.crl'
        for form in (bytes, pem):
            for name, write in (('good', lambda: path.write_bytes(form(self.a_list()))),
                                ('revoked', lambda: path.write_bytes(form(self.a_list('no-aia-cdp'))))):
                with self.subTest(f'{form.__name__} {name}'):
                    self.fresh_store()
                    write()
                    more = {'trust__crl': [path]}
                    if name == 'good':
                        self.enter('hard', 'no-aia-cdp', more=more)
                    else:
                        self.refused('revoked', 'soft', 'no-aia-cdp', more=more)

    def test_a_folder(self):
        folder = self.folder / 'lists'
        folder.mkdir()
        more = {'trust__crl': [folder]}
        for name, authority in (('inter.crl', 'inter'), ('root.der', 'root')):
            (folder / name).write_bytes(self.a_list(authority=authority))
        (folder / 'second.pem').write_bytes(pem(self.a_list(authority='second-ca')))
        self.enter('hard', 'no-aia-cdp', more=more)
        self.fresh_store()
        (folder / 'inter.crl').write_bytes(self.a_list('no-aia-cdp', number=2))
        self.refused('revoked', 'soft', 'no-aia-cdp', more=more)

    def test_the_age_of_a_file_is_that_of_its_list(self):
        path = self.folder / 'inter.crl'
        path.write_bytes(self.a_list(this=-2 * answers.HOUR))
        more = {'trust__crl': [path], 'trust__check': 'leaf'}
        self.enter('hard 3h', 'no-aia-cdp', more=more)
        self.fresh_store()
        self.refused('revocation_too_old', 'hard 1h', 'no-aia-cdp', more=more)

    def test_the_directory(self):
        for card in ('cdp-ldap', 'cdp-ldap-host'):
            with self.subTest(card):
                self.says(card, lambda: scenario.RIG.list_in_directory(self.a_list()),
                          lambda card=card: scenario.RIG.list_in_directory(self.a_list(card)))
        self.addCleanup(scenario.RIG.list_in_directory, (self.pki / 'inter.crl').read_bytes())

    def test_the_directory_by_a_configured_address(self):
        url = f'ldap://127.0.0.1:{LDAP_PORT}/{scenario.rig_module.pki_module.LISTS_DN.replace(" ", "%20")}'
        more = {'trust__crl': [f'{url}?certificateRevocationList;binary']}
        scenario.RIG.list_in_directory(self.a_list('no-aia-cdp'))
        self.addCleanup(scenario.RIG.list_in_directory, (self.pki / 'inter.crl').read_bytes())
        self.refused('revoked', 'soft', 'no-aia-cdp', more=more)

    def test_no_such_list_in_the_directory(self):
        url = f'ldap://127.0.0.1:{LDAP_PORT}/cn=none,dc=cardmap,dc=test?certificateRevocationList'
        answer = self.refused('revocation_unknown', 'hard', 'no-aia-cdp', more={'trust__crl': [url]})
        self.assertIn('ldap_result', self.objections(answer).values(), str(answer))

    def test_several_addresses_in_turn(self):
        for card in ('cdp-two', 'cdp-three'):
            with self.subTest(card):
                self.fresh_store()
                self.web.pages['127.0.0.2/inter.crl'] = GONE
                self.web.pages['127.0.0.3/inter.crl'] = Page(self.a_list())
                self.enter('hard', card)
        self.fresh_store()
        self.web.pages['127.0.0.3/inter.crl'] = Page(b'no list')
        self.web.pages['127.0.0.4/inter.crl'] = Page(self.a_list('cdp-three'))
        self.refused('revoked', 'soft', 'cdp-three')

    def test_a_mirror_is_asked_first(self):
        more = {'trust__crl_mirror': [f'http://127.0.0.1:8080/ http://127.0.0.4:{WEB_PORT}/pki/']}
        self.web.pages.update({'127.0.0.4/pki/inter.crl': Page(self.a_list()),
                               '127.0.0.4/pki/root.crl': Page(self.a_list(authority='root'))})
        self.enter('hard', asked=2, more=more)
        self.assertEqual({got.address for got in self.requests()}, {'127.0.0.4'})
        self.fresh_store()
        self.web.pages = {'/': GONE}
        self.enter('hard', asked=4, more=more)

    def test_which_of_both_is_asked_first(self):
        more = {'trust__use_ocsp': 'yes', 'trust__check': 'leaf'}
        self.enter('hard', asked=1, more={**more, 'trust__order': 'ocsp'})
        self.assertEqual([got.path for got in self.requests()], ['/'])
        self.fresh_store()
        self.forget_requests()
        self.enter('hard', asked=1, more={**more, 'trust__order': 'crl'})
        self.assertEqual([got.path for got in self.requests()], ['/inter.crl'])
        self.fresh_store()
        self.lists.pages['/inter.crl'] = GONE
        self.enter('hard', asked=2, more={**more, 'trust__order': 'crl'})


class ShapeTest(ListCase):
    def test_delta(self):
        def base(number=1, *entries):
            self.publish(*entries, number=number)
        base()
        self.lists_of(delta=self.a_list(number=2, base=1))
        self.enter('hard', 'cdp-fresh')
        self.fresh_store()
        self.lists_of(delta=self.a_list('cdp-fresh', number=2, base=1))
        self.refused('revoked', 'soft', 'cdp-fresh')

    def test_a_delta_to_a_later_base_says_nothing(self):
        self.publish(number=1)
        self.lists_of(delta=self.a_list('bob', number=9, base=5))
        answer = self.enter('soft', 'cdp-fresh')
        self.assertIn('without its changes (delta CRL), which are of a later list', ' '.join(answer.seen('revocation', 'crl')))

    def test_a_delta_is_asked_for_when_the_one_before_has_ended(self):
        """Its base is good for a week."""
        self.publish(number=1)
        self.lists_of(delta=self.a_list(number=2, base=1, until=answers.HOUR))
        for when in ('+0', '+1m'):
            self.enter('hard', 'cdp-fresh', **self.at(when))
        self.lists_of(delta=self.a_list('cdp-fresh', number=3, base=1, this=answers.HOUR, until=answers.DAY))
        self.enter('hard', 'cdp-fresh', asked=0, **self.at('+30m'))
        self.refused('revoked', 'soft', 'cdp-fresh', **self.at('+2h'))

    def test_the_delta_that_the_list_names(self):
        """FreshestCRL of the base, where the certificate has none."""
        self.publish(fresh=[f'{WEB}/delta.crl'])
        self.lists_of(delta=self.a_list('cdp-only', number=2, base=1))
        self.refused('revoked', 'soft', 'cdp-only')

    def test_indirect(self):
        self.settings['trust.intermediates'] = [self.pki / 'inter.crt', self.pki / 'list-signer.crt']
        inter = answers.certificate(self.pki, 'inter').subject

        def listed(*entries):
            point = scope(f'{WEB}/indirect.crl', indirect=True)
            self.lists_of(indirect=self.a_list(*entries, authority='list-signer', idp=point))
        serial = self.serial('cdp-indirect')
        other = answers.certificate(self.pki, 'second-ca').subject
        self.says('cdp-indirect', lambda: listed(Entry(serial, issuer=other)), lambda: listed(Entry(serial, issuer=inter)))

    def test_a_list_of_another_ca_is_none(self):
        """Without indirectCRL it speaks of list-signer's own certificates."""
        self.settings['trust.intermediates'] = [self.pki / 'inter.crt', self.pki / 'list-signer.crt']
        self.lists_of(indirect=self.a_list(authority='list-signer'))
        self.refused('revocation_unknown', 'hard', 'cdp-indirect')

    def test_scopes(self):
        for fields, status in ((dict(users=True), 0), (dict(authorities=True), 3), (dict(attributes=True), 3),
                               (dict(), 0)):
            for point, here in ((f'{WEB}/inter.crl', True), ('http://127.0.0.1:8090/other.crl', False), ('', True)):
                if not fields and not point:
                    continue
                with self.subTest(f'{fields} {point}'):
                    self.fresh_store()
                    self.lists_of(inter=self.a_list(idp=scope(*([point] if point else []), **fields)))
                    if here and not status:
                        self.enter('hard', 'cdp-only')
                    else:
                        self.assertEqual(self.objection('cdp-only', f'CRL {WEB}/inter.crl'), 'scope')

    def test_authorities_only_is_for_authorities(self):
        self.lists.pages['/root.crl'] = Page(self.a_list(authority='root', idp=scope(authorities=True)))
        self.enter('hard', 'cdp-only')
        self.fresh_store()
        self.lists.pages['/root.crl'] = Page(self.a_list(authority='root', idp=scope(users=True)))
        self.refused('revocation_unknown', 'hard', 'cdp-only')

    def test_reasons_in_two_lists(self):
        def both(compromise=(), rest=()):
            self.lists_of(compromise=self.a_list(*compromise, idp=scope(f'{WEB}/compromise.crl', reasons=COMPROMISE)),
                          rest=self.a_list(*rest, idp=scope(f'{WEB}/rest.crl', reasons=REST)))
        entry = Entry(self.serial('cdp-reasons'), 'superseded')
        self.says('cdp-reasons', both, lambda: both(rest=[entry]))
        self.says('cdp-reasons', both, lambda: both(compromise=['cdp-reasons']))
        both()
        self.web.pages['/rest.crl'] = GONE
        answer = self.refused('revocation_unknown', 'hard', 'cdp-reasons')
        self.assertIn('some_reasons', self.objections(answer).values(), str(answer))

    def test_what_is_no_list_for_it(self):
        good = self.a_list()
        broken = bytearray(good)
        broken[-5] ^= 1
        for data, name in ((b'<html>no</html>', 'not_a_list'), (good[:-1], 'not_a_list'), (good + b'\0', 'not_a_list'),
                           (bytes(broken), 'signature'), (self.a_list(signer='look-alike-ca'), 'signature'),
                           (self.a_list(authority='second-ca'), 'other_issuer'), (self.a_list(this=answers.DAY), 'future'),
                           (self.a_list(this=-2 * answers.DAY, until=-answers.DAY), 'stale'),
                           (self.a_list(number=2, base=1), 'no_base'),
                           (self.a_list(until=-answers.DAY), 'malformed_dates')):
            with self.subTest(name):
                self.fresh_store()
                self.web.pages['/inter.crl'] = Page(data)
                answer = self.refused('revocation_unknown', 'hard', 'cdp-only')
                self.assertIn(name, self.objections(answer).values(), str(answer))

    def test_the_old_one_stays_in_force(self):
        """Whatever comes in its place."""
        self.publish(number=3)
        self.enter('hard', 'cdp-only')
        for data in (b'no list', self.a_list(signer='look-alike-ca', number=9), self.a_list(number=2, this=-answers.DAY)):
            self.web.pages['/inter.crl'] = Page(data)
            self.enter('hard', 'cdp-only', more={'trust__ask_always': 'yes'})


class BigTest(ListCase):
    """100,000 and 1,000,000 entries: by the program as it is installed."""

    def setUp(self):
        super().setUp()
        self.settings.update({'trust.check': 'leaf', 'trust.timeout': 20000})

    def refresh(self, status=0):
        return self.cardmap('revocation', '--config', self.conf(trust__level='hard'), 'refresh', status=status,
                            binary=scenario.plain())

    def seen(self):
        """The host knows of the list by a login that had no time for it."""
        self.web.pages['/inter.crl'] = GONE
        self.enter('soft', 'cdp-only', binary=scenario.plain())
        self.forget_requests()

    def test_a_list_that_did_not_change_is_not_sent_again(self):
        self.seen()
        data = scenario.RIG.big_list(100_000).read_bytes()
        self.web.pages['/inter.crl'] = Page(data)
        self.refresh()
        self.assertEqual([(got.status, got.sent) for got in self.requests('/inter.crl')], [(200, len(data))])
        self.refresh()
        again = self.requests('/inter.crl')[1:]
        self.assertEqual([(got.status, got.sent) for got in again], [(304, 0)])
        self.assertIn('If-None-Match', again[0].headers)
        self.web.pages['/inter.crl'] = Page(data, etag=None)
        self.forget_requests()
        self.refresh()
        self.assertIn('If-Modified-Since', self.requests('/inter.crl')[0].headers)

    def test_what_broke_off_is_gone_on_with(self):
        self.seen()
        data = scenario.RIG.big_list(100_000).read_bytes()
        self.web.pages['/inter.crl'] = Page(data, cut=1_000_000)
        self.refresh(status=4)
        self.web.pages['/inter.crl'] = Page(data)
        self.refresh()
        got = self.requests('/inter.crl')
        self.assertEqual(got[-1].status, 206)
        self.assertEqual(sum(one.sent for one in got), len(data), 'no octet came twice')
        self.enter('hard', 'cdp-only', asked=0, binary=scenario.plain())

    def test_what_broke_off_and_changed_is_begun_anew(self):
        self.seen()
        data = scenario.RIG.big_list(100_000).read_bytes()
        self.web.pages['/inter.crl'] = Page(data, cut=1_000_000)
        self.refresh(status=4)
        self.publish(number=9)
        self.refresh()
        self.assertEqual(self.requests('/inter.crl')[-1].status, 200)
        self.enter('hard', 'cdp-only', asked=0, binary=scenario.plain())

    def test_a_million_entries(self):
        """Fetched once, beside the logins; at these nobody is asked, and hardly more is read than of ten."""
        self.seen()
        self.web.pages['/inter.crl'] = Page(scenario.RIG.big_list(1_000_000))
        self.refresh()
        answer = self.enter('hard', 'cdp-only', asked=0, binary=scenario.plain())
        self.assertIn('number 7', ' '.join(answer.seen('revocation', 'crl') + answer.seen('revocation', 'status')))
        indexes = sum(path.stat().st_size for path in (self.folder / 'store/crl').glob('*/*'))
        self.assertLessEqual(indexes, scenario.RIG.big_list(1_000_000).stat().st_size, 'indexes are no larger than lists')

    def test_no_more_is_read_than_may_be(self):
        """What the kernels hold on the way is not counted as read; that is some megabytes on loopback."""
        self.web.pages['/inter.crl'] = Page(scenario.RIG.big_list(1_000_000))
        answer = self.refused('revocation_unknown', 'hard', 'cdp-only', binary=scenario.plain(), more={'trust__crl_max': 1 << 20})
        self.assertIn('too_large', self.objections(answer).values(), str(answer))
        got, = self.requests('/inter.crl')
        self.assertLessEqual(got.sent, 16 << 20)


if __name__ == '__main__':
    scenario.main()
