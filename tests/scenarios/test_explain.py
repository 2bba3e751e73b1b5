#!/usr/bin/python3
"""test_explain.py: each mistake people make with mappings, made for real in the directory: explain's first line names
the cause, its last line mends it, and the mended directory or configuration finds the account."""
import base64
import re

import scenario
from mapping import AD, BOB, ISSUER, NO_TICKET, MappingCase, binary_sid, key_hash, section, thumbprint
from scenario import Counts

SERIAL = f'X509:<I>{ISSUER}<SR>0220'


def authority_key_id(name):
    text = scenario.said(['openssl', 'x509', '-in', scenario.RIG.pki / f'{name}.crt', '-noout', '-ext',
                          'authorityKeyIdentifier'])
    return re.search(r'((?:[0-9A-F]{2}:){19}[0-9A-F]{2})', text)[1].replace(':', '').lower()


class ExplainCase(MappingCase):
    def setUp(self):
        super().setUp()
        self.sets = []
        # as nearly everybody's: names that fit, and that no rule asks for
        self.only('bob', sAMAccountName='bob', userPrincipalName='bob@CARDMAP.TEST')
        self.settings['trust.level'] = 'chain'

    def explain(self, card, *user, status=None):
        """First line and last line, and the same answer as JSON."""
        answer = self.words('explain', *self.sets, *user, card=card, status=None)
        self.assertNotEqual(answer.status, 0, str(answer))
        lines = [line for line in answer.out.splitlines() if line.strip()]
        self.told = self.ask('explain', *self.sets, *user, card=card, status=answer.status)
        if status is not None:
            self.assertEqual(answer.status, status, str(answer))
        return lines[0], lines[-1], answer

    def refused(self, card):
        answer = self.whois(card, *self.sets, status=None)
        self.assertNotEqual(answer.status, 0, 'a near miss is never accepted')
        login = self.login(*self.sets, card=card, status=None, more=NO_TICKET)
        self.assertNotEqual(login.status, 0, 'a near miss is never accepted')

    def mended(self, card, name='bob'):
        self.assertEqual(self.whois(card, *self.sets).account, name)

    def case(self, cause, card, stored, attribute='altSecurityIdentities', users=('bob',)):
        """A stored value that is wrong in one way; explain's last line is the value that mends it."""
        for user in users:
            with self.subTest(f'{stored} {user}'):
                self.give('bob', **{attribute: stored})
                self.refused(card)
                first, last, answer = self.explain(card, *([user] if user else []))
                self.assertRegex(first, cause, str(answer))
                near = self.told.json['explanation']['near_misses'][0]
                self.assertEqual(near['stored'], stored)
                wanted = near['wanted']
                self.assertIn(wanted, last)
                differs = near['differs_at']
                self.assertEqual(stored[:differs].lower(), wanted[:differs].lower())
                self.assertNotEqual(stored[differs:differs + 1], wanted[differs:differs + 1])
                self.mark_stands(answer.out)
                self.give('bob', **{attribute: wanted})
                self.mended(card)


    def mark_stands(self, out):
        """Below the first character, as a person sees it, by which the two lines above it differ."""
        stored, wanted, mark = re.search(r'(?m)^  stored +(.*)\n  wanted +(.*)\n {15}( *)\^$', out).groups()
        same = [a == b or (a.lower() == b.lower() and stored.lower() != wanted.lower()) for a, b in zip(stored, wanted)]
        self.assertEqual(len(mark), (same + [False]).index(False), out)


class ValueTest(ExplainCase):
    """One value, wrong in one way."""

    def test_serial_not_reversed(self):
        self.case('(?i)serial.*revers', 'bob', f'X509:<I>{ISSUER}<SR>2002', users=('bob', ''))
        self.case('(?i)serial.*revers', 'spatdod', 'X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA<SR>10e8bd03000000000032')

    def test_other_names_that_fit_are_no_cause(self):
        """Nearly everybody has a name and a principal like the card's: no rule asks for them here."""
        stored = f'X509:<I>{ISSUER}<SR>2002'
        self.case('(?i)serial.*revers', 'bob', stored, users=('bob', '', 'bob@CARDMAP.TEST'))
        self.rules = section('filter', match='<SUBJECT>CN=',
                             filter='LDAPU1:(altSecurityIdentities=X509:<I>{issuer_dn!ad_x500}<SR>{serial_number!hex_r})')
        self.give('bob', altSecurityIdentities=stored)
        first, last, answer = self.explain('bob', 'bob')
        self.assertRegex(first, '(?i)serial.*revers', str(answer))
        self.assertIn(SERIAL, last)

    def test_rfc_4514_order(self):
        self.case(r'(?i)RFC 4514|order', 'bob', 'X509:<I>CN=Cardmap Test Issuing CA,DC=cardmap,DC=test<SR>0220',
                  users=('bob', ''))
        backwards = ','.join(reversed(BOB.split(',')))
        self.case(r'(?i)RFC 4514|order', 'bob', f'X509:<S>{backwards}')

    def test_st_for_s(self):
        self.case(r'\bST\b', 'quoted', 'X509:<I>C=US,ST=New York,O="Foo, Inc.",CN="The ""Test"" CA"<SR>0160',
                  users=('bob', ''))

    def test_space_after_comma(self):
        self.case('(?i)space.*comma', 'bob', f'X509:<I>{ISSUER.replace(",", ", ")}<SR>0220', users=('bob', ''))

    def test_space_around(self):
        for stored in (f'X509:<I>{ISSUER} <SR>0220', f'X509:<SKI> {key_hash("bob")}'):
            self.case('(?i)space', 'bob', stored)

    def test_the_mark_stands_below_what_differs(self):
        self.rules = section('note', attribute='description', value='J\u00fcrgen M\u00fcller {common_name}')
        for stored in ('J\u00fcrgen M\u00fcller\u00a0Bob Example', 'J\u00fcrgen M\u00f6ller Bob Example', 'J\u00fcrgen M\u00fcller'):
            self.give('bob', description=stored)
            self.mark_stands(self.explain('bob', 'bob')[2].out)

    def test_letter_case_under_a_case_sensitive_attribute(self):
        self.rules = section('exact', attribute='cardNote', value='{common_name}')
        self.case('(?i)letter case|upper|lower', 'bob', 'bob example', attribute='cardNote')

    def test_upn_suffix(self):
        self.case('(?i)suffix|realm|after the @', 'bob', 'Kerberos:bob@cardmap.local')
        self.settings['mapper.forms'] = AD
        self.settings['directory.domain'] = 'elsewhere.test'
        self.give('bob', altSecurityIdentities=[])
        self.case('(?i)suffix|realm|after the @', 'bob', 'bob@cardmap.local', attribute='userPrincipalName')

    def test_kerberos_missing(self):
        self.case('Kerberos:', 'bob', 'bob@CARDMAP.TEST', users=('bob', ''))

    def test_thumbprint_for_key_hash(self):
        for stored in (f';tokenidentity;{thumbprint("bob").upper()}', f'X509:<SKI>{thumbprint("bob")}'):
            self.case('(?i)thumbprint|hash of the (whole )?certificate', 'bob', stored)

    def test_the_authoritys_key_identifier(self):
        for form in ('SKI', 'SHA1-PUKEY'):
            self.case(r"(?i)(\bCA\b|issuer|authority).*key", 'bob', f'X509:<{form}>{authority_key_id("bob")}')
            self.assertIn(f'<{form}>', self.told.json['explanation']['near_misses'][0]['wanted'], 'beside its own form')

    def test_several_forms_in_one_value(self):
        self.case('(?i)several forms', 'bob', SERIAL + f'<S>{BOB}')

    def test_a_value_that_a_rule_of_ones_own_makes(self):
        self.rules = section('joined', attribute='email', value='{common_name}-{rfc822_name}')
        for stored in ('Bob Example_bob@cardmap.test', 'Bob Example'):
            self.case('(?i)before the @|makes another', 'bob', stored, attribute='email')

    def test_renewed_card(self):
        self.case('(?i)renewed|reissued|earlier|older|former', 'renewed', SERIAL)
        self.case('(?i)renewed|reissued|earlier|older|former', 'rekeyed', SERIAL)


class AccountTest(ExplainCase):
    def test_value_on_another_account(self):
        self.only('erin', altSecurityIdentities=SERIAL)
        first, last, answer = self.explain('bob', 'bob')
        self.assertRegex(first, r'\berin\b')
        self.assertRegex(first, r'on erin .*, not on bob')
        self.assertIn(SERIAL, answer.out)
        self.assertRegex(last, r'erin')
        self.give('erin', altSecurityIdentities=[])
        self.give('bob', altSecurityIdentities=SERIAL)
        self.mended('bob')

    def test_no_value_of_a_rule_of_ones_own(self):
        """What is to be written is what the rules in force ask for."""
        self.rules = section('joined', attribute='email', value='{common_name}-{rfc822_name}')
        self.only('erin', email='somebody')
        self.refused('bob')
        for user in (['bob'], []):
            first, last, _ = self.explain('bob', *user)
            self.assertRegex(last, 'email: Bob Example-bob@cardmap.test$')
        self.give('bob', email='Bob Example-bob@cardmap.test')
        self.mended('bob')

    def test_a_weak_value_where_the_binding_must_be_strong(self):
        self.settings['mapper.binding'] = 'strong'
        self.give('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.refused('bob')
        for user in (['bob'], []):
            first, last, _ = self.explain('bob', *user, status=3)
            self.assertRegex(first, r'\bweak\b.*Kerberos:bob@CARDMAP.TEST')
            self.assertRegex(last, re.escape(SERIAL) + '$')
        self.give('bob', altSecurityIdentities=['Kerberos:bob@CARDMAP.TEST', SERIAL])
        self.mended('bob')

    def test_account_disabled(self):
        self.give('bob', altSecurityIdentities=SERIAL, userAccountControl='514')
        self.refused('bob')
        first, last, _ = self.explain('bob', 'bob')
        self.assertRegex(first, '(?i)disabled')
        self.assertRegex(last, '(?i)enable|userAccountControl')
        self.give('bob', userAccountControl='512')
        self.mended('bob')

    def test_account_disabled_with_nobody_named(self):
        self.give('bob', altSecurityIdentities=SERIAL, userAccountControl='514')
        first, last, _ = self.explain('bob')
        self.assertRegex(first, '^account_disabled .*uid=bob,')
        self.assertRegex(last, 'userAccountControl: 512$')

    def test_the_user_by_another_name(self):
        """The value is right: only the name is not the one of a login."""
        self.give('bob', altSecurityIdentities=SERIAL)
        for user in ('BOB', 'bob@CARDMAP.TEST'):
            first, last, _ = self.explain('bob', user)
            self.assertRegex(first, f'^another_name .*the card opens bob .*, not {user}$')
            self.assertRegex(last, 'cardmap explain bob$')

    def test_another_sid(self):
        self.give('bob', altSecurityIdentities=f'X509:<I>{ISSUER}<SR>0940', objectSid=binary_sid('S-1-5-21-1-2-3-1106'))
        self.only('alice')
        first, _, _ = self.explain('sid', 'bob')
        self.assertRegex(first, 'SID')

    def test_a_user_that_there_is_none_of(self):
        first, _, _ = self.explain('bob', 'nobody-of-here')
        self.assertRegex(first, 'nobody-of-here')
        self.give('bob', altSecurityIdentities=SERIAL)
        first, last, _ = self.explain('bob', 'nobody-of-here')
        self.assertRegex(first, '^no_such_user .*no user nobody-of-here .*opens bob')
        self.assertNotIn('nobody-of-here', last, 'nothing can be written to nobody')

    def test_nothing_is_near(self):
        """No cause is made up."""
        first, last, _ = self.explain('bob', 'bob')
        self.assertNotRegex(first, '(?i)revers|order|space|thumbprint|renewed')
        self.assertIn(SERIAL, last)
        self.give('bob', altSecurityIdentities=SERIAL)
        self.mended('bob')


class AccessTest(ExplainCase):
    def unreadable(self, rule):
        config = scenario.WORK / 'slapd/slapd.conf'
        text = config.read_text()

        def write(content):
            config.write_text(content)
            scenario.RIG.restart('slapd')
        self.addCleanup(write, text)
        write(text.replace('access to * by * read', rule + '\naccess to * by * read'))

    def test_attribute_not_readable(self):
        self.give('bob', altSecurityIdentities=SERIAL)
        for rights in ('none', 'search'):
            self.unreadable(f'access to attrs=altSecurityIdentities by dn="{scenario.people.READER_DN}" {rights} by * none')
            with self.subTest(rights):
                self.refused('bob')
                first, last, _ = self.explain('bob', 'bob')
                self.assertRegex(first, '(?i)altSecurityIdentities.*(read|access)|(read|access).*altSecurityIdentities')
                self.assertIn(scenario.people.READER_DN, last)
                self.assertIn('altSecurityIdentities', last)
            self.doCleanups()
            self.give('bob', altSecurityIdentities=SERIAL)
            self.mended('bob')

    def test_base_too_deep(self):
        self.give('bob', altSecurityIdentities=SERIAL)
        self.settings['directory.base'] = scenario.people.GROUPS_DN
        self.refused('bob')
        for user in (['bob'], []):
            first, last, _ = self.explain('bob', *user)
            self.assertRegex(first, r'(?i)\bbase\b')
            found = re.search(r'directory\.base ?= ?(\S+)', last)
            self.assertTrue(found, last)
        self.settings['directory.base'] = found[1].strip('\'"')
        self.mended('bob')
        self.settings['directory.base'] = scenario.people.GROUPS_DN.replace(',', ' , ')  # as many write it
        self.assertEqual(re.search(r'directory\.base = (.*)$', self.explain('bob', 'bob')[1])[1], f"'{scenario.people.BASE}'")
        self.settings['directory.base'] = f'ou=nowhere,{scenario.people.BASE}'
        first, last, _ = self.explain('bob', 'bob')
        self.assertRegex(first, '^base_too_deep ')
        self.assertEqual(re.search(r'directory\.base = (.*)$', last)[1], f"'{scenario.people.BASE}'")

    def test_a_directory_that_refuses_says_nothing_about_a_user(self):
        self.settings['directory.bind_dn'] = f'cn=nobody,{scenario.people.BASE}'
        for user in (['bob'], []):
            first, last, _ = self.explain('bob', *user)
            self.assertRegex(first, '^directory_refused ')
            self.assertIn('directory.bind_dn', last)

    def test_attribute_name_wrong(self):
        self.give('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.rules = section('wrong', attribute='altSecurityIdentity', value='Kerberos:{nt_principal_name}')
        self.refused('bob')
        first, last, _ = self.explain('bob', 'bob')
        self.assertRegex(first, r'altSecurityIdentity\b')
        self.assertRegex(last, r'altSecurityIdentities\b')
        self.rules = section('wrong', attribute='altSecurityIdentities', value='Kerberos:{nt_principal_name}')
        self.mended('bob')

    def test_field_absent_from_the_certificate(self):
        self.rules = section('mail', attribute='mail', value='{rfc822_name}')
        self.refused('no-san')
        for user in (['bob'], []):
            first, last, answer = self.explain('no-san', *user)
            self.assertRegex(first, '(?i)rfc822_name|mail')
            self.assertRegex(first, '(?i)no |lacks|absent|not in the certificate')
        rule, value = re.search(r'(rule .*\}).*altSecurityIdentities: (X509:.*)$', last).groups()
        self.rules = rule.replace(' attribute', '\n attribute').replace(' value', '\n value').replace(' }', '\n}\n')
        self.give('bob', altSecurityIdentities=value)
        self.mended('no-san')

    def test_a_rule_for_others_is_no_absent_field(self):
        rule = {'attribute': 'mail', 'value': '{rfc822_name}'}
        for more, said in (({'match': '<ISSUER>^CN=Other$'}, 'other issuers'), ({'match': '<EKU>1.2.3'}, '1.2.3'),
                           ({'upn_suffix': 'other.test'}, 'other.test'), ({'domains': ['other.test']}, 'other.test')):
            self.rules = section('others', **rule, **more)
            first, last, _ = self.explain('bob', 'bob')
            self.assertRegex(first, f'^no_rule .*{said}')
            self.assertRegex(last, 'change that rule')

    def test_what_mends_is_what_the_rules_ask_for(self):
        self.settings['mapper.forms'] = 'kerberos'
        for stored in ([], SERIAL.replace('0220', '2002')):
            self.give('bob', altSecurityIdentities=stored, userPrincipalName='robert@CARDMAP.TEST')
            first, last, _ = self.explain('bob', 'bob')
            self.assertRegex(first, '^serial_not_reversed .*no rule here asks' if stored else '^no_value ')
            value = re.search(r'^mend +altSecurityIdentities: (.*)$', last)
            self.assertTrue(value, last)
            self.give('bob', altSecurityIdentities=value[1])
            self.mended('bob')

    def test_a_filter_is_told_as_the_value_to_write(self):
        self.rules = section('sssd', filter='LDAP:(altSecurityIdentities=X509:<I>{issuer_dn!ad_x500}<S>{subject_dn!ad_x500})')
        _, last, _ = self.explain('bob', 'bob')
        self.assertEqual(last.split(None, 1)[1], f'altSecurityIdentities: X509:<I>{ISSUER}<S>{BOB}')
        self.rules = section('sssd', filter='LDAP:(&(mail={subject_rfc822_name})(cn=x))')
        self.assertRegex(self.explain('bob', 'bob')[1], 'cn: x$', 'the mail is right')

    def test_a_weak_value_where_it_must_be_strong(self):
        self.settings['mapper.binding'] = 'strong'
        self.give('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.refused('bob')
        first, last, _ = self.explain('bob', 'bob')
        self.assertRegex(first, '^weak_binding ')
        self.give('bob', altSecurityIdentities=re.search(r'^mend +altSecurityIdentities: (.*)$', last)[1])
        self.mended('bob')

    def test_offline_is_said_and_never_no_user(self):
        scenario.RIG.stop('slapd')
        first, last, answer = self.explain('bob', 'bob', status=4)
        self.assertRegex(first, 'directory_offline|(?i:no answer|refused|reached)')
        self.assertNotIn('no_account', answer.out)


class ShownTest(ExplainCase):
    """What stands between the first line and the last."""

    def test_rules_texts_filters_hits_and_times(self):
        self.give('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        answer = self.words('explain', 'bob')
        for word in ('Kerberos:bob@CARDMAP.TEST', SERIAL, f'X509:<SKI>{key_hash("bob")}', '(|(altSecurityIdentities=',
                     'issuer-sid', ' ms', 'weak'):
            self.assertIn(word, answer.out)
        self.assertRegex(answer.out, r'(?i)issuer-sid.*(no SID|SID)')

    def test_hits_of_each_rule(self):
        def hits():
            return self.ask('explain', card='bob', status=None).seen('account', 'hits')
        self.give('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.assertEqual(hits(), ['rule kerberos 1, no other rule any'])
        self.assertRegex(self.words('explain', 'bob').out.splitlines()[0], r'^yes .*\bbob, by a weak value')
        self.give('bob', altSecurityIdentities=[SERIAL, 'Kerberos:bob@CARDMAP.TEST'])
        self.only('erin', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.assertEqual(hits(), ['rule issuer-serial 1, rule kerberos 2, no other rule any'])
        for name in ('bob', 'erin'):
            self.give(name, altSecurityIdentities=[])
        self.assertEqual(hits(), ['no rule has any'])

    def test_a_whole_certificate_is_not_for_reading(self):
        self.rules = section('whole', filter='LDAP:(cardNote={cert!base64})')
        whole = base64.b64encode((scenario.RIG.pki / 'bob.der').read_bytes()).decode()
        self.give('bob', cardNote=whole)
        for text in (self.words('explain', 'bob').out, self.words('whois', '-v').out):
            self.assertIn(whole[:64], text)
            self.assertNotIn(whole, text)
        self.assertIn(f'(cardNote={whole})', self.ask('explain', card='bob').seen('account', 'value'))

    def test_a_choice_among_several_is_what_mends(self):
        for name in ('bob', 'erin'):
            self.only(name, altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.assertIn('several_accounts = hint', self.explain('bob', status=2)[1])
        self.settings['mapper.several_accounts'] = 'hint'
        self.assertIn('cardmap explain NAME', self.explain('bob', status=2)[1])

    def test_rules_that_do_not_match_say_why(self):
        self.rules = (section('others', match='<SUBJECT>CN=Alice', attribute='mail', value='{rfc822_name}')
                      + section('first', match='<SUBJECT>CN=Bob', attribute='mail', value='{rfc822_name}'))
        answer = self.words('explain', 'bob')
        self.assertRegex(answer.out, r'others.*(?s:.*)SUBJECT')

    def test_it_searches_little_and_writes_nothing(self):
        self.give('bob', altSecurityIdentities=f'X509:<I>{ISSUER}<SR>2002')
        with Counts() as counts:
            self.explain('bob', 'bob')
        self.assertLess(counts.searches(), 2 * 20)
        for what in (' MOD ', ' ADD ', ' DEL '):
            self.assertEqual(counts.directory(what), 0)
        lines = [line for line in counts.slapd if 'filter="' in line]
        self.assertFalse([line for line in lines if re.search(r'filter="\(objectClass=\*\)"', line)
                          and f'base="{scenario.people.BASE}" scope=2' in line])

    def test_without_a_card_it_is_quick(self):
        """Explaining a card file against a directory that knows the user."""
        self.give('bob', altSecurityIdentities=f'X509:<I>{ISSUER}<SR>2002')
        times = []
        for _ in range(5):
            answer = self.words('explain', 'bob', status=None)
            times.append(answer.seconds)
        self.assertLess(min(times), 1)

    def test_forms_of_two_accounts_are_named(self):
        self.give('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.only('erin', altSecurityIdentities=SERIAL)
        first, _, _ = self.explain('bob', status=2)
        for name in ('bob', 'erin'):
            self.assertIn(name, first)


if __name__ == '__main__':
    scenario.main()
