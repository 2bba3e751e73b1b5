#!/usr/bin/python3
"""test_revocation_levels.py: levels, ages and rules of their own; evidence that is kept, for ever where it says "revoked".

The table of cardmap-revocation(7) is in test_revocation_table.py; this is what stands around it.
"""
import scenario
from answers import DAY, HOUR, Entry, certificate, held, released, scope
from revocation import Page, RevocationCase
from rig import WEB_PORT

LISTS_ONLY = {'trust__use_ocsp': 'no'}
WEB = f'http://127.0.0.1:{WEB_PORT}'
GONE = Page(status=503)
RULE = """
rule "{name}" {{
  match = "<SUBJECT>CN={cn}"
  attribute = altSecurityIdentities
  value = "Kerberos:{{subject_nt_principal}}"
  level = "{level}"
}}
"""


class LevelTest(RevocationCase):
    def nobody_answers(self):
        for server in (self.ocsp, self.lists, self.web):
            server.pages = {'/': GONE}

    def test_off_and_chain_ask_nobody(self):
        self.say(self.CARD)
        self.enter('chain', asked=0)
        self.attempt('off', self.CARD, 0, status=1, reason='no_account')  # her name binds nothing at level off

    def test_soft_passes_where_nobody_answers_and_says_so(self):
        self.nobody_answers()
        answer = self.enter('soft')
        self.assertIn('unknown', ' '.join(answer.seen('revocation', 'status')))
        self.refused('revocation_unknown', 'hard')

    def test_the_default_is_soft(self):
        self.say(self.CARD)
        self.refused(level=None)
        self.fresh_store()
        self.nobody_answers()
        self.enter(level=None)

    def test_an_age_counts_from_the_last_time_that_somebody_said_so(self):
        for level in ('soft 1h', 'hard 1h'):
            with self.subTest(level):
                self.fresh_store()
                self.responder.until = 10 * DAY
                self.publish()
                self.enter(level, **self.at('+0'))
                self.enter(level, asked=0, **self.at('+50m'))
                self.nobody_answers()
                answer = self.refused('revocation_too_old', level, **self.at('+2h'))
                self.assertRegex(answer.json['message'],
                                 r'good until \w{3} \d{4}-\d\d-\d\d \d\d:\d\d UTC, OCSP http://127\.0\.0\.1:8081/')
                self.enter(level.split()[0], **self.at('+2h'))
                self.ocsp.pages['/'] = self.responder.page
                self.publish()

    def test_a_list_that_did_not_change_is_young_again(self):
        """304: its source said so now."""
        more = {**LISTS_ONLY, 'trust__ask_always': 'no'}
        self.enter('hard 1h', more=more, **self.at('+0'))
        self.enter('hard 1h', more=more, **self.at('+2h'))
        self.assertEqual({got.status for got in self.requests('.crl')}, {200, 304})
        self.forget_requests()
        self.enter('hard 1h', asked=0, more=more, **self.at('+150m'))

    def test_the_units_of_an_age(self):
        for age, within, beyond in (('90s', '+80s', '+100s'), ('10m', '+9m', '+11m'), ('2h', '+1h', '+3h'),
                                    ('3d', '+2d', '+4d')):
            with self.subTest(age):
                self.fresh_store()
                self.responder.until = 20 * DAY
                self.ocsp.pages['/'] = self.responder.page
                self.publish(until=20 * DAY)
                self.enter(f'soft {age}', **self.at('+0'))
                self.nobody_answers()
                self.enter(f'soft {age}', **self.at(within))
                self.refused('revocation_too_old', f'soft {age}', **self.at(beyond))

    def test_levels_that_are_none(self):
        for level in ('chain 1h', 'off 1h', 'soft 0', 'soft -1h', 'hard 1y', 'soft 1h 2h', 'soft 99999999d'):
            with self.subTest(level):
                self.attempt(level, self.CARD, 0, status=78, reason='config')


class RuleTest(RevocationCase):
    def rule_levels(self, **levels):
        self.rules = ''.join(RULE.format(name=name, cn=name.capitalize(), level=level) for name, level in levels.items())

    def test_a_rule_is_stricter_than_the_rest(self):
        self.rule_levels(alice='hard', bob='soft')
        self.ocsp.pages, self.lists.pages = {'/': GONE}, {'/': GONE}
        self.refused('revocation_unknown', 'soft')
        self.assertEqual(self.login(card='bob', more={'trust__level': 'soft'}).account, 'bob')

    def test_a_rule_is_milder_than_the_rest(self):
        self.rule_levels(alice='soft', bob='hard')
        self.ocsp.pages, self.lists.pages = {'/': GONE}, {'/': GONE}
        self.enter('hard')
        self.login(card='bob', status=3, reason='revocation_unknown', more={'trust__level': 'soft'})
        self.rule_levels(alice='chain')
        self.ocsp.pages['/'] = self.responder.page
        self.say(self.CARD)
        self.enter('hard', 'alice-p256')

    def test_a_rule_has_an_age(self):
        self.rule_levels(alice='hard 1h')
        self.responder.until = 10 * DAY
        self.enter('soft', **self.at('+0'))
        self.ocsp.pages, self.lists.pages = {'/': GONE}, {'/': GONE}
        self.enter('soft', **self.at('+30m'))
        self.refused('revocation_too_old', 'soft', **self.at('+2h'))

    def test_a_kept_account_keeps_its_level(self):
        self.rule_levels(alice='hard 1h')
        self.responder.until = 10 * DAY
        self.enter('soft', **self.at('+0'))
        scenario.RIG.stop('slapd')
        self.enter('soft', asked=0, **self.at('+30m'))
        self.ocsp.pages, self.lists.pages = {'/': GONE}, {'/': GONE}
        self.refused('revocation_too_old', 'soft', **self.at('+2h'))

    def test_off_in_a_rule_is_a_mistake_of_the_configuration(self):
        for rule, level in (('off', 'soft'), ('soft', 'off')):
            self.rule_levels(alice=rule)
            answer = self.cardmap('config', '--config', self.conf(trust__level=level), 'check', status=78)
            self.assertIn('level', answer.out + answer.err)


class WholeChainTest(RevocationCase):
    """deep: a card and three CAs, each with a responder at 127.0.0.2 to .5 and a list."""
    NAMES = ('deep-1', 'deep-2', 'deep-3', 'deep')

    def setUp(self):
        super().setUp()
        self.settings['trust.intermediates'] = [self.pki / 'deep-chain.pem']
        self.responders = {}
        for number, (name, authority) in enumerate(zip(self.NAMES, ('root', *self.NAMES))):
            self.responders[name] = self.new_responder(authority)
            self.web.pages[f'127.0.0.{number + 2}/ocsp/'] = self.responders[name].page

    def test_each_certificate_is_asked_about_once(self):
        self.enter('hard', 'deep', asked=4)
        self.assertEqual([len(responder.asked) for responder in self.responders.values()], [1, 1, 1, 1])
        self.enter('hard', 'deep', asked=0)

    def test_all_four_together(self):
        """No answer comes before the fourth question has."""
        for responder in self.responders.values():
            responder.hold = 4
        self.enter('hard', 'deep', asked=4)

    def test_a_revoked_authority_in_the_middle(self):
        for name in self.NAMES:
            with self.subTest(name):
                self.fresh_store()
                self.say(name, responder=self.responders[name])
                answer = self.refused('revoked', 'soft', 'deep')
                number = name[-1]
                self.assertIn('CN=Alice Example' if name == 'deep' else f'CN=Cardmap Deep CA {number}', answer.json['message'])
                self.responders[name].status.clear()

    def test_an_authority_nobody_speaks_of(self):
        self.web.pages['127.0.0.3/'] = GONE
        del self.web.pages['127.0.0.3/ocsp/']
        answer = self.refused('revocation_unknown', 'hard', 'deep')
        self.assertIn('CN=Cardmap Deep CA 2', answer.json['message'])
        self.assertIn('http://127.0.0.3:8090/', answer.json['message'])

    def test_the_leaf_alone(self):
        self.say('deep-2', responder=self.responders['deep-2'])
        self.enter('hard', 'deep', asked=1, more={'trust__check': 'leaf'})
        self.assertEqual(len(self.responders['deep'].asked), 1)
        self.refused('revoked', 'soft', 'deep', more={'trust__check': 'all'})


class KeptTest(RevocationCase):
    """One store of what was learned, used online and offline alike."""

    def test_good_counts_until_it_ends(self):
        self.responder.until = DAY
        self.enter('hard', **self.at('+0'))
        self.ocsp.pages, self.lists.pages = {'/': GONE}, {'/': GONE}
        self.enter('hard', asked=0, **self.at('+23h'))
        answer = self.refused('revocation_unknown', 'hard', **self.at('+25h'))
        self.assertIn('http://127.0.0.1:8081/', answer.json['message'])

    def test_an_answer_that_names_no_end(self):
        """It counts for trust.undated_max, and whoever can be asked is asked before."""
        self.responder.until = None
        more = {'trust__use_crl': 'no', 'trust__check': 'leaf'}
        self.enter('hard', asked=1, more=more, **self.at('+0'))
        self.enter('hard', asked=1, more=more, **self.at('+1m'))
        self.ocsp.pages = {'/': GONE}
        self.enter('hard', more=more, **self.at('+50m'))
        self.refused('revocation_unknown', 'hard', more=more, **self.at('+2h'))
        self.refused('revocation_unknown', 'hard', more={**more, 'trust__undated_max': 600}, **self.at('+20m'))

    def test_offline_it_decides_alone_and_is_named(self):
        for more, source in (({'trust__use_crl': 'no', 'trust__check': 'leaf'}, 'OCSP http://127.0.0.1:8081/'),
                             (LISTS_ONLY, 'CRL http://127.0.0.1:8080/inter.crl number 1 of CN=Cardmap Test Issuing CA')):
            for level in ('soft', 'soft 72h', 'hard', 'hard 72h'):
                with self.subTest(f'{level} {source}'):
                    scenario.RIG.start('slapd')
                    self.fresh_store()
                    self.enter(level, more=more)
                    scenario.RIG.stop('slapd')
                    answer = self.enter(level, asked=0, more=more)
                    self.assertRegex(' '.join(answer.seen('revocation', 'status') + answer.seen('revocation', 'evidence')
                                              + answer.seen('revocation', 'crl') + answer.seen('revocation', 'ocsp')),
                                     rf'good until \w{{3}} \d{{4}}-\d\d-\d\d \d\d:\d\d UTC, {source}')

    def test_offline_a_refusal_names_it_too(self):
        self.enter('hard')
        self.say(self.CARD)
        self.refused('revoked', 'hard', more={'trust__ask_always': 'yes'})
        scenario.RIG.stop('slapd')
        self.ocsp.pages, self.lists.pages = {'/': GONE}, {'/': GONE}
        answer = self.refused('revoked', 'hard', asked=0)
        self.assertIn('OCSP http://127.0.0.1:8081/', answer.json['message'])
        self.assertRegex(answer.json['message'], r'revoked (on|since) \d{4}-\d\d-\d\d')

    def test_the_clock_behind_what_was_signed_is_said(self):
        """bob's login ten days from now tells this computer the time; then its clock goes back."""
        self.enter('soft', **self.at('+0'))
        self.responder.this = 10 * DAY
        self.responder.until = 20 * DAY
        login = self.login(card='bob', more={'trust__use_crl': 'no'}, **self.at('+10d'))
        self.assertEqual(login.account, 'bob')
        self.ocsp.pages, self.lists.pages = {'/': GONE}, {'/': GONE}
        for level, status in (('soft', 0), ('soft 72h', 3), ('hard', 3), ('hard 72h', 3)):
            with self.subTest(level):
                answer = self.attempt(level, self.CARD, None, status=status, **self.at('+1h'))
                warnings = [item['text'] for stage in answer.json['stages'] for item in stage['seen'] if item['what'] == 'warning']
                self.assertRegex(' '.join(warnings), r'clock says .* before .* set it')


class NeverForgivenTest(RevocationCase):
    """Revoked by a list alone, and no responder anywhere."""

    def setUp(self):
        super().setUp()
        self.settings['trust.use_ocsp'] = 'no'

    def seen_revoked(self, *entries, **fields):
        self.publish(*(entries or [self.CARD]), **fields)
        self.refused()

    def at_every_level(self, **options):
        for level in ('soft', 'soft 72h', 'hard', 'hard 72h'):
            self.refused('revoked', level, **options)

    def test_the_list_ends(self):
        self.seen_revoked(until=DAY)
        self.lists.pages = {'/': GONE}
        for when in ('+2d', '+30d', '+400d'):
            self.at_every_level(**self.at(when))

    def test_the_next_list_does_not_name_it(self):
        self.seen_revoked()
        self.publish(number=2)
        self.at_every_level(more={'trust__ask_always': 'yes'})
        self.at_every_level()

    def test_the_responder_says_good(self):
        self.seen_revoked()
        self.at_every_level(more={'trust__use_ocsp': 'yes'})

    def test_the_clock_is_set_back(self):
        self.publish(self.CARD, until=30 * DAY)
        self.refused(**self.at('+10d'))
        self.publish(number=2)
        for when in ('+0', '+5d', '+20d'):
            self.at_every_level(**self.at(when))

    def test_the_account_is_forgotten_and_the_indexes_are_gone(self):
        self.seen_revoked()
        self.publish(number=2)
        for path in (self.folder / 'store/crl').glob('*/*'):
            path.unlink()
        self.at_every_level()

    def test_one_that_never_was_here_but_stood_on_a_list_that_was(self):
        """alice's login brought the list that names bob; the next list names nobody."""
        self.publish('bob', until=DAY)
        self.enter('soft', **self.at('+0'))
        self.publish(number=2, this=2 * DAY, until=9 * DAY)
        self.enter('soft', **self.at('+3d'))
        self.assertIn(2, [int(seen.split('number ')[1].split()[0].rstrip(':,')) for seen in
                          self.enter('hard', asked=0, **self.at('+3d')).seen('revocation', 'crl') if 'inter' in seen] or [2])
        answer = self.login(card='bob', status=3, reason='revoked', more={'trust__level': 'soft'}, **self.at('+3d'))
        self.assertIn('CN=Bob Example', answer.json['message'])

    def test_of_which_ca_is_asked_back(self):
        """Two CAs' former lists name the number; nobody's is forgiven in place of the other's."""
        number = f'{self.serial("bob"):04x}'
        self.another_stands_on('bob', number=1)
        self.lists.pages['/root.crl'] = Page(self.a_list('bob', authority='root', number=2, this=-30))
        self.cardmap('revocation', '--config', self.conf(), 'refresh')
        self.publish(number=3, this=0)
        self.cardmap('revocation', '--config', self.conf(), 'refresh')
        self.assertEqual(len(list((self.folder / 'store/crl').glob('*/*.gone'))), 2)

        def forget(*arguments, status=0):
            self.cardmap('revocation', '--config', self.conf(), 'forget', number, *arguments, status=status)
        forget(status=64)
        self.refused('revoked', card='bob', asked=0)
        forget('--issuer', 'Issuing CA')
        forget()
        forget(status=1)
        self.login(card='bob', more={'trust__level': 'hard'})

    def test_a_folder_that_others_may_write_is_said(self):
        """What stands there counts for nothing: whoever logs in, or asks, is told so."""
        self.another_stands_on('bob', number=1)
        self.lists.pages = {'/': Page(status=503)}
        top = self.folder / 'store/crl'
        for folder in (top, *top.iterdir()):
            with self.subTest(folder.name):
                folder.chmod(0o777)
                answer = self.enter('soft')
                warned = answer.seen('revocation', 'warning')
                self.assertTrue(warned and all('nobody else may write it' in text for text in warned), str(answer))
                status = self.cardmap('revocation', '--config', self.conf(), 'status').out
                self.assertIn('nobody else may write it', status)
                self.assertNotIn('fetches it again', status)
                folder.chmod(0o700)
        self.refused('revoked', card='bob')

    def test_what_another_ca_lists_is_forgiven_too(self):
        """An indirect list, which is kept with those of its own issuer; another's certificate of the same number is not."""
        self.settings.update({'trust.use_ocsp': 'no', 'trust.ask_always': 'yes',
                              'trust.intermediates': [self.pki / 'inter.crt', self.pki / 'list-signer.crt']})
        point = scope(f'{WEB}/indirect.crl', indirect=True)
        names = [certificate(self.pki, name).subject for name in ('inter', 'second-ca')]
        both = [Entry(self.serial('cdp-indirect'), issuer=name) for name in names]

        def listed(*entries, **fields):
            self.web.pages['/indirect.crl'] = Page(self.a_list(*entries, authority='list-signer', idp=point, **fields))

        def forget():
            return self.cardmap('revocation', '--config', self.conf(), 'forget', self.pki / 'cdp-indirect.pem').out
        listed(*both)
        self.refused('revoked', card='cdp-indirect')
        self.assertRegex(forget(), r'indirect.crl number \d+ still names it')
        listed(number=2, this=0)
        self.cardmap('revocation', '--config', self.conf(), 'refresh')
        self.refused('revoked', card='cdp-indirect')
        self.assertNotIn('still names it', forget())
        self.enter('hard', 'cdp-indirect')
        self.assertEqual(len(list((self.folder / 'store/crl').glob('*/*.gone'))), 1, 'of the other CA')

    def another_stands_on(self, *entries, **fields):
        """bob, whose card was never here, on what is published; alice's brings it."""
        self.settings.update({'trust.use_ocsp': 'no', 'trust.ask_always': 'yes'})
        self.publish(*entries, **fields)
        self.enter('soft')

    def test_a_file_that_is_older_than_the_list_in_force_is_replaced(self):
        path = self.folder / 'inter.crl'
        self.another_stands_on(number=10)
        for number, this in ((11, 0), (8, -2 * DAY)):
            with self.subTest(number):
                path.write_bytes(self.a_list('bob', number=9, this=-DAY))
                self.settings['trust.crl'] = [path]
                self.enter('soft')
                path.write_bytes(self.a_list(number=number, this=this))
                self.enter('soft')
                self.refused('revoked', card='bob', asked=0)
                self.fresh_store()
                self.settings.pop('trust.crl')
                self.enter('soft')

    def test_what_former_lists_revoked_is_damaged(self):
        """No list says "good" any more, and none is written over it."""
        self.another_stands_on('bob', number=1)
        self.publish(number=2, this=0)
        self.enter('soft')
        gone, = (self.folder / 'store/crl').glob('*/*.gone')
        whole = gone.read_bytes()
        self.lists.pages = {'/': Page(status=503)}
        for at in (0, 40, len(whole) // 2, len(whole) - 16):
            with self.subTest(at):
                gone.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
                answer = self.refused('revocation_unknown', 'hard', card='bob')
                self.assertIn(f'a file .gone in {gone.parent}; move it away', answer.json['message'])
                if at < 100:  # its header
                    said = self.cardmap('revocation', '--config', self.conf(), 'status').out
                    self.assertIn(gone.name + ' in trust.crl_dir away', said)
        self.publish(number=3, this=1)
        self.cardmap('revocation', '--config', self.conf(), 'refresh', status=None)
        self.refused('revocation_unknown', 'hard', card='bob')
        gone.write_bytes(whole)
        self.refused('revoked', card='bob')

    def test_until_an_administrator_forgives(self):
        self.seen_revoked()
        self.publish(number=2)
        self.cardmap('revocation', '--config', self.conf(), 'refresh')
        self.refused(asked=0)
        self.cardmap('revocation', '--config', self.conf(), 'forget', self.pki / f'{self.CARD}.pem')
        self.enter('hard')


class HoldTest(RevocationCase):
    """certificateHold ends by a later complete list without it, by removeFromCRL in a delta, and by nothing else."""

    def setUp(self):
        super().setUp()
        self.settings['trust.use_ocsp'] = 'no'

    def hold(self, card=None, **fields):
        self.web.pages['/delta.crl'] = Page(self.a_list(number=1, base=1))
        self.publish(held(self.pki, card or self.CARD), **fields)
        self.refused('revoked', card=card or self.CARD)

    def test_ends_by_a_later_complete_list(self):
        self.hold()
        self.publish(number=2, this=0)
        self.enter('hard')
        self.lists.pages = {'/': GONE}
        self.enter('hard', asked=0)

    def test_ends_by_removal_in_a_delta(self):
        self.hold('cdp-fresh')
        self.web.pages['/delta.crl'] = Page(self.a_list(released(self.pki, 'cdp-fresh'), number=2, base=1, this=0))
        self.enter('hard', 'cdp-fresh')

    def test_a_delta_that_does_not_name_it_ends_nothing(self):
        self.hold('cdp-fresh')
        self.web.pages['/delta.crl'] = Page(self.a_list('bob', number=2, base=1, this=0))
        self.refused('revoked', card='cdp-fresh')

    def test_a_hold_said_by_changes_ends_by_changes_that_say_so(self):
        self.web.pages['/delta.crl'] = Page(self.a_list(held(self.pki, 'cdp-fresh'), number=2, base=1))
        self.publish(number=1)
        self.refused('revoked', card='cdp-fresh')
        always = {'trust__ask_always': 'yes'}
        for number in (3, 4):
            self.web.pages['/delta.crl'] = Page(self.a_list(number=number, base=1, this=number))
            for level in ('soft', 'hard'):
                self.refused('revoked', level, 'cdp-fresh', more=always)
        self.web.pages['/delta.crl'] = Page(self.a_list(released(self.pki, 'cdp-fresh'), number=5, base=1, this=5))
        self.enter('hard', 'cdp-fresh', more=always)

    def test_a_hold_said_by_changes_ends_by_a_later_list(self):
        self.web.pages['/delta.crl'] = Page(self.a_list(held(self.pki, 'cdp-fresh'), number=2, base=1))
        self.publish(number=1)
        self.refused('revoked', card='cdp-fresh')
        self.publish(number=5, this=5)
        self.web.pages['/delta.crl'] = Page(self.a_list(number=6, base=5, this=6))
        self.enter('hard', 'cdp-fresh', more={'trust__ask_always': 'yes'})

    def test_does_not_end_because_a_responder_says_good(self):
        self.hold()
        for level in ('soft', 'hard'):
            self.refused('revoked', level, more={'trust__use_ocsp': 'yes', 'trust__use_crl': 'no'})

    def test_does_not_end_with_the_list(self):
        self.hold(until=DAY)
        self.lists.pages = {'/': GONE}
        for when in ('+2d', '+400d'):
            self.refused(**self.at(when))

    def test_does_not_end_by_an_older_list(self):
        self.hold(number=5)
        self.publish(number=4, this=-DAY)
        self.refused()

    def test_does_not_end_by_a_list_of_another_scope(self):
        self.hold()
        self.publish(number=2, this=0, idp=scope('http://elsewhere.test/part.crl'))
        self.refused()

    def test_a_hold_that_becomes_final_is_final(self):
        self.hold()
        self.publish(Entry(self.serial(self.CARD), 'keyCompromise'), number=2, this=0)
        self.refused()
        self.publish(number=3, this=1)
        self.refused()

    def test_a_hold_said_by_a_responder(self):
        self.settings['trust.use_ocsp'] = 'yes'
        self.say(self.CARD, 'revoked certificateHold')
        self.responder.this = -60
        self.refused()
        self.responder.status.clear()
        self.refused(more={'trust__use_crl': 'no'})
        self.publish(number=2, this=0)
        self.enter('hard')


class RollbackTest(RevocationCase):
    def test_a_list_with_a_lower_number(self):
        self.settings['trust.use_ocsp'] = 'no'
        self.publish(number=5, until=DAY)
        self.enter('hard', **self.at('+0'))
        self.publish(number=4, until=10 * DAY)
        answer = self.refused('revocation_unknown', 'hard', **self.at('+2d'))
        self.assertIn('rollback', self.objections(answer).values())
        self.assertIn('number 4', answer.json['message'])
        self.publish(number=6, this=DAY, until=10 * DAY)
        self.enter('hard', **self.at('+2d1h'))

    def test_a_list_of_an_earlier_date(self):
        self.settings['trust.use_ocsp'] = 'no'
        self.publish(number=None, until=DAY)
        self.enter('hard', **self.at('+0'))
        self.publish(number=None, this=-HOUR, until=10 * DAY)
        answer = self.refused('revocation_unknown', 'hard', **self.at('+2d'))
        self.assertIn('rollback', self.objections(answer).values())


if __name__ == '__main__':
    scenario.main()
