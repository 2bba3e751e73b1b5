#!/usr/bin/python3
"""test_mappings.py: what finds an account in a real directory, how strong it is, and who is refused."""
import hashlib
import re

import scenario
from mapping import (AD, ALICE, BOB, DOMAIN, ISSUER, NO_TICKET, OTHER_SID, SID, STRONG, WEAK, MappingCase, binary_sid, key_hash,
                     section, spki_hash, thumbprint)
from scenario import PIN, Counts


class FormsTest(MappingCase):
    """With no rule configured, every form of altSecurityIdentities finds its account, all in one search."""

    def rows(self):
        issuer = f'X509:<I>{ISSUER}'
        tokens = [f';tokenidentity;{key_hash("bob").upper()}', f';pubkeyhash;{key_hash("bob").upper()}']
        return [
            ('bob', 'Kerberos:bob@CARDMAP.TEST', WEAK, 'kerberos'),
            ('bob', issuer + '<SR>0220', STRONG, 'issuer-serial'),
            ('bob', f'X509:<SKI>{key_hash("bob")}', STRONG, 'ski'),
            ('bob', f'X509:<SHA1-PUKEY>{key_hash("bob")}', STRONG, 'sha1-pukey'),
            ('bob', f'X509:<SHA1-PUKEY>{spki_hash("bob")}', STRONG, 'sha1-pukey-spki'),
            ('bob', f'X509:<SHA1-PUKEY>{thumbprint("bob")}', STRONG, 'sha1-pukey-thumbprint'),
            ('sid', f'{issuer}<SID>{SID}', STRONG, 'issuer-sid'),
            ('bob', f'{issuer}<S>{BOB}', WEAK, 'issuer-subject'),
            ('bob', f'X509:<S>{BOB}', WEAK, 'subject'),
            ('bob', 'X509:<RFC822>bob@cardmap.test', WEAK, 'rfc822'),
            ('bob', 'X509: <RFC822>bob@cardmap.test', WEAK, 'rfc822-space'),
            ('bob', tokens[0], STRONG, 'tokenidentity'),
            ('bob', tokens[1], STRONG, 'pubkeyhash'),
        ]

    def test_each_form_finds_its_account_in_one_search(self):
        for card, value, weak, form in self.rows():
            with self.subTest(value):
                self.only('bob', altSecurityIdentities=value)
                self.only('alice')
                with Counts() as counts:
                    answer = self.found(card, 'bob')
                account = answer.json['account']
                self.assertEqual((account['weak'], account['rule']), (weak, form))
                self.assertEqual(account['matched'].lower(), value.lower())
                self.assertEqual(counts.searches('altSecurityIdentities'), 1)
                text = self.words('whois', card=card).out
                self.assertIn(form, text)
                (self.assertRegex if weak else self.assertNotRegex)(text, r'\bweak\b')
                self.doCleanups()

    def test_the_one_search_is_an_or_of_all_that_the_certificate_makes(self):
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        with Counts() as counts:
            self.found('bob', 'bob')
        line = next(line for line in counts.slapd if 'filter="' in line and 'altSecurityIdentities' in line)
        self.assertIn('filter="(|(', line)
        for value in ('Kerberos:bob@CARDMAP.TEST', '<SR>0220', f'<SKI>{key_hash("bob")}', f'<S>{BOB}', '<RFC822>bob@'):
            self.assertIn(value.lower(), line.lower())
        self.assertEqual(counts.directory(' ACCEPT '), 1)

    def test_hexadecimal_and_names_in_any_letter_case(self):
        for value in (f'X509:<SKI>{key_hash("bob").upper()}', f'x509:<i>{ISSUER.lower()}<sr>0220'):
            with self.subTest(value):
                self.only('bob', altSecurityIdentities=value)
                self.found('bob', 'bob')

    def test_names_of_every_shape(self):
        """A serial of the documentation; quotes and commas; several attributes in one RDN; CR and LF; AD's own names."""
        for card, *values in (
                ('spatdod', 'X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA<SR>32000000000003bde810',
                 'X509:<S>DC=local,DC=dod,CN=Users,CN=Bob Example'),
                ('quoted', 'X509:<I>C=US,S=New York,O="Foo, Inc.",CN="The ""Test"" CA"<SR>0160',
                 'X509:<S>C=US,S=New York,O="Acme, Inc.",CN="Example, ""Bob"""'),
                ('joined', 'X509:<I>C=DE,OU=Trust O=Cardmap,CN=Joined CA<SR>0260'),
                ('lines', 'X509:<I>C=DE,O="Line one,,Line two",CN=Lines CA<SR>0360',
                 'X509:<S>C=DE,O="Line one,,Line two",CN=Bob Example'),
                ('attributes', 'X509:<S>C=DE,S=Bayern,L=München,STREET=Weg 1,T=Dr,G=Bob,SN=Example,'
                 'OID.0.9.2342.19200300.100.1.1=bob1,SERIALNUMBER=77,E=bob@cardmap.test,CN=Bob Example'),
                ('bmp-cn', f'X509:<S>{ALICE[:-len("Alice Example")]}Aliće Example'),
                ('t61-cn', f'X509:<S>{ALICE[:-len("Alice Example")]}Alicé Example'),
                ('long-cn', f'X509:<S>{ALICE[:-len("Example")]}' + 'x' * 58),
                ('erin', f'X509:<I>{ISSUER}<SR>05200000efbeadde')):
            for value in values:
                with self.subTest(value):
                    self.only('bob', altSecurityIdentities=value)
                    for name in ('alice', 'erin'):
                        self.only(name)
                    self.found(card, 'bob')
                    self.doCleanups()

    def test_a_certificate_with_several_names_is_found_by_any_of_them(self):
        for value in ('Kerberos:bob@CARDMAP.TEST', 'X509:<RFC822>bob@cardmap.test'):
            with self.subTest(value):
                self.only('bob', altSecurityIdentities=value)
                self.found('several', 'bob')

    def test_a_certificate_without_names_makes_no_shorter_value(self):
        self.only('bob', altSecurityIdentities=['Kerberos:', 'X509:<RFC822>', 'X509:<SKI>', f'X509:<I>{ISSUER}<SID>'])
        self.whois('no-san', status=1, reason='no_account')
        self.give('bob', altSecurityIdentities='X509:<S>DC=test,DC=cardmap,CN=Bob Example')
        self.found('no-san', 'bob')

    def test_renewed_cards(self):
        """What survives: the key's hash a new serial, the name a new key, nothing but names a new CA."""
        values = {'serial': f'X509:<I>{ISSUER}<SR>0220', 'key': f'X509:<SHA1-PUKEY>{key_hash("bob")}',
                  'subject': f'X509:<I>{ISSUER}<S>{BOB}', 'person': 'Kerberos:bob@CARDMAP.TEST'}
        survives = {'renewed': {'key', 'subject', 'person'}, 'rekeyed': {'subject', 'person'}, 'moved': {'person'}}
        for kind, value in values.items():
            self.only('bob', altSecurityIdentities=value)
            for card, kinds in survives.items():
                with self.subTest(f'{card} by {kind}'):
                    if kind in kinds:
                        self.found(card, 'bob')
                    else:
                        self.whois(card, status=1, reason='no_account')

    def test_forms_can_be_chosen(self):
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.settings['mapper.forms'] = ['issuer-serial', 'ski']
        with Counts() as counts:
            self.whois('bob', status=1, reason='no_account')
        self.assertFalse([line for line in counts.slapd if 'kerberos:' in line.lower()])
        self.give('bob', altSecurityIdentities=f'X509:<SKI>{key_hash("bob")}')
        self.found('bob', 'bob')
        answer = self.cardmap('config', '--config', self.conf(mapper__forms=['issuer-seriall']), 'check', status=78)
        self.assertIn('issuer-seriall', answer.out + answer.err)


class BindingTest(MappingCase):
    STRONG_VALUE = f'X509:<I>{ISSUER}<SR>0220'

    def test_weak_is_refused_and_the_printed_value_mends_it(self):
        self.settings['mapper.binding'] = 'strong'
        for weak in ('Kerberos:bob@CARDMAP.TEST', f'X509:<I>{ISSUER}<S>{BOB}', f'X509:<S>{BOB}',
                     'X509:<RFC822>bob@cardmap.test'):
            with self.subTest(weak):
                self.only('bob', altSecurityIdentities=weak)
                answer = self.whois('bob', status=3, reason='weak_binding')
                self.assertNotIn('account', answer.json)
                told = answer.json['message'] + '\n' + answer.json['remedy']
                self.assertIn(self.STRONG_VALUE, told)
                self.give('bob', altSecurityIdentities=[weak, self.STRONG_VALUE])
                self.assertFalse(self.found('bob', 'bob').json['account']['weak'])

    def test_where_no_rule_asks_for_a_strong_value_a_rule_is_named_too(self):
        """What explain's last line says, done, finds the account."""
        self.only('bob')
        self.settings['mapper.binding'] = 'strong'
        self.rules = section('mail', attribute='mail', value='{rfc822_name}')
        self.assertIn('no rule here asks for a strong one', self.whois('bob', status=3, reason='weak_binding').json['message'])
        mend = self.words('explain', status=3).out.splitlines()[-1]
        rule, value = re.search(r'(rule "[\w-]+" \{ .* \}), and write altSecurityIdentities: (.*)$', mend).groups()
        self.assertEqual(value, self.STRONG_VALUE)
        self.rules += rule + '\n'
        self.give('bob', altSecurityIdentities=value)
        self.assertFalse(self.found('bob', 'bob').json['account']['weak'])

    def test_login_and_explain_refuse_it_too(self):
        self.settings['mapper.binding'] = 'strong'
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.login(card='bob', more=NO_TICKET, status=3, reason='weak_binding')
        self.assertIn(self.STRONG_VALUE, self.ask('explain', card='bob', status=3, reason='weak_binding').out)
        self.assertRegex(self.words('whois', status=3).err, r'\bweak\b')

    def test_strong_and_weak_that_name_two_accounts(self):
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.only('erin', altSecurityIdentities=self.STRONG_VALUE)
        for binding in ('any', 'strong'):
            for command in ('whois', 'login', 'explain'):
                with self.subTest(f'{binding} {command}'):
                    answer = self.ask(command, card='bob', pin=PIN if command == 'login' else None, status=2,
                                      reason='several_accounts', more={'mapper__binding': binding, **NO_TICKET})
                    for name in ('bob', 'erin'):
                        self.assertRegex(answer.json['message'], rf'\b{name}\b')

    def test_trust_off_binds_by_the_key_alone(self):
        """At that level anybody can sign a certificate with alice's names."""
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        off = {'trust__level': 'off', **NO_TICKET}
        self.login(card='bob', status=1, reason='no_account', more=off)
        self.give('bob', altSecurityIdentities=self.STRONG_VALUE)
        self.login(card='bob', status=1, reason='no_account', more=off)
        self.give('bob', altSecurityIdentities=f'X509:<SHA1-PUKEY>{key_hash("bob")}')
        self.assertEqual(self.login(card='bob', more=off).account, 'bob')
        self.rules = section('mail', attribute='mail', value='{rfc822_name}')
        answer = self.cardmap('config', '--config', self.conf(**off), 'check', status=78)
        self.assertIn('"mail"', answer.out + answer.err)
        self.login(card='bob', status=78, more=off)


class SeveralTest(MappingCase):
    """One card, two accounts: nobody's, unless the configuration says that the login names one."""

    def setUp(self):
        super().setUp()
        self.hint = {'mapper__several_accounts': 'hint', **NO_TICKET}

    def both(self, command, *arguments, **options):
        answer = self.ask(command, *arguments, card='dave', pin=PIN if command == 'login' else None, status=2,
                          reason='several_accounts', **options)
        for name in ('dave', 'dave-admin'):
            self.assertRegex(answer.json['message'], rf'\b{name}(?![\w-])')
        self.assertNotIn('account', answer.json)
        if command == 'whois':
            self.assertEqual(len(answer.json['candidates']), 2)
        return answer

    def test_refused_with_both_names_everywhere(self):
        for command in ('whois', 'login', 'explain'):
            with self.subTest(command):
                self.both(command, more=NO_TICKET)
                self.both(command, 'dave', more=NO_TICKET)
                text = self.words(command, card='dave', status=2) if command != 'login' else None
                if text:
                    self.assertRegex(text.out + text.err, r'dave\b.*dave-admin|dave-admin.*dave\b')

    def test_hint_lets_the_name_choose(self):
        for name in ('dave', 'dave-admin'):
            for command in ('whois', 'login', 'explain'):
                with self.subTest(f'{command} {name}'):
                    answer = self.ask(command, name, card='dave', pin=PIN if command == 'login' else None, more=self.hint)
                    self.assertEqual(answer.account, name)

    def test_hint_with_no_name_or_another(self):
        for command in ('whois', 'login', 'explain'):
            with self.subTest(command):
                self.both(command, more=self.hint)
                self.ask(command, 'bob', card='dave', pin=PIN if command == 'login' else None, status=3,
                         reason='not_this_user', more=self.hint)

    def test_a_name_is_only_ever_a_check(self):
        self.ask('whois', 'alice', card='bob', status=3, reason='not_this_user')
        self.login('alice', card='bob', status=3, reason='not_this_user', more=NO_TICKET)
        self.assertEqual(self.login('bob', card='bob', more=NO_TICKET).account, 'bob')

    def test_the_chosen_account_is_kept_and_the_other_is_not(self):
        self.assertEqual(self.login('dave-admin', card='dave', more=self.hint).account, 'dave-admin')
        scenario.RIG.stop('slapd')
        self.assertEqual(self.login('dave-admin', card='dave', more=self.hint).account, 'dave-admin')
        self.login('dave', card='dave', status=3, reason='not_this_user', more=self.hint)


class ActiveDirectoryTest(MappingCase):
    """Attributes that only Active Directory has, and the SID that nobody may contradict."""

    def setUp(self):
        super().setUp()
        self.settings['mapper.forms'] = AD
        self.settings['directory.domain'] = DOMAIN
        for name in ('alice', 'bob'):
            self.only(name)

    def test_the_sid_extension_is_the_object_sid(self):
        self.give('bob', objectSid=binary_sid(SID))
        with Counts() as counts:
            account = self.found('sid', 'bob').json['account']
        self.assertEqual((account['rule'], account['weak']), ('sid', STRONG))
        self.assertEqual(counts.searches('objectSid'), 1)

    def test_another_object_sid_is_not_its_holder(self):
        """CVE-2022-26923: the names say alice, the SID says who asked for the certificate."""
        for value in ('Kerberos:alice@CARDMAP.TEST', f'X509:<I>{ISSUER}<SR>0940'):
            self.give('alice', altSecurityIdentities=value, objectSid=binary_sid(OTHER_SID))
            for binding in ('any', 'strong'):
                with self.subTest(f'{value} {binding}'):
                    answer = self.whois('sid', status=3, reason='other_sid', more={'mapper__binding': binding})
                    self.assertIn(SID, answer.out)
            self.login(card='sid', status=3, reason='other_sid', more=NO_TICKET)
            self.give('alice', objectSid=binary_sid(SID))
            self.found('sid', 'alice')
            self.give('alice', objectSid=[])
            self.found('sid', 'alice')

    def test_a_sid_among_the_alternative_names_counts_only_from_listed_authorities(self):
        self.give('bob', objectSid=binary_sid(SID))
        self.whois('sid-uri', status=1, reason='no_account')
        pin = hashlib.sha256((scenario.RIG.pki / 'inter.der').read_bytes()).hexdigest()
        account = self.found('sid-uri', 'bob', more={'trust__pins': [pin]}).json['account']
        self.assertEqual((account['rule'], account['weak']), ('sid-uri', STRONG))
        other = hashlib.sha256((scenario.RIG.pki / 'second-ca.der').read_bytes()).hexdigest()
        self.login(card='sid-uri', status=3, reason='cert_not_pinned', more={'trust__pins': [other], **NO_TICKET})

    def test_upn(self):
        self.give('bob', userPrincipalName='bob@CARDMAP.TEST')
        account = self.found('bob', 'bob').json['account']
        self.assertEqual((account['rule'], account['weak']), ('upn', WEAK))

    def test_upn_whose_realm_is_the_domain_may_name_a_sam_account(self):
        self.give('bob', sAMAccountName='bobby')
        account = self.found('sam', 'bob').json['account']
        self.assertEqual((account['rule'], account['weak']), ('sam', WEAK))
        self.whois('sam', status=1, reason='no_account', more={'directory__domain': 'other.test'})
        self.whois('sam', status=1, reason='no_account', more={'directory__domain': None})

    def test_upn_of_another_realm(self):
        with Counts() as counts:
            self.whois('other-realm', status=1, reason='no_account')
        line = next(line for line in counts.slapd if 'filter="' in line and 'userPrincipalName' in line)
        self.assertIn('userprincipalname=alice@other.test)', line.lower())
        self.assertNotIn('sAMAccountName', line)
        self.give('bob', userPrincipalName='alice@OTHER.TEST')
        self.found('other-realm', 'bob')

    def test_a_nul_in_the_upn_is_no_end_of_it(self):
        self.give('alice', userPrincipalName='alice@CARDMAP.TEST', altSecurityIdentities='Kerberos:alice@CARDMAP.TEST')
        with Counts() as counts:
            self.whois('nul-upn', status=1, reason='no_account')
        self.assertFalse([line for line in counts.slapd if 'filter="' in line and 'alice@' in line and 'PrincipalName' in line])

    def test_a_disabled_account(self):
        self.give('bob', userPrincipalName='bob@CARDMAP.TEST', userAccountControl='66050')
        self.whois('bob', status=3, reason='account_disabled')
        self.login(card='bob', status=3, reason='account_disabled', more=NO_TICKET)
        self.give('bob', userAccountControl='66048')
        self.found('bob', 'bob')


class OwnRulesTest(MappingCase):
    """Rules of cardmap.conf."""

    def setUp(self):
        super().setUp()
        self.only('bob')

    def test_match_issuer_and_text(self):
        self.rules = (
            section('cards of the second CA', issuer='CN=Cardmap Test Second CA,DC=cardmap,DC=test', attribute='cardNote',
                    value='second {serial_number!dec}')
            + section('cards with OU', match='<SUBJECT>OU=Cards', attribute='cardNote',
                      value='{organizational_unit[1]}/{common_name}'))
        self.give('bob', cardNote='second 8194')
        self.assertEqual(self.found('moved', 'bob').json['account']['rule'], 'cards of the second CA')
        self.whois('bob', status=1, reason='no_account')
        self.give('bob', cardNote='People/Bob Example')
        self.assertEqual(self.found('bob', 'bob').json['account']['rule'], 'cards with OU')
        self.whois('quoted', status=1, reason='no_rule')

    def test_a_filter_with_the_values_escaped(self):
        self.rules = section('filter', filter='(&(objectClass=posixAccount)(|(mail={rfc822_name})(uid={common_name})))')
        self.found('bob', 'bob')
        with Counts() as counts:
            self.whois('hostile-mail', status=1, reason='no_account')
        line = next(line for line in counts.slapd if 'filter="' in line and 'posixAccount' in line)
        self.assertNotIn('uid=*', line)

    def test_priority(self):
        self.rules = (section('late', attribute='mail', value='{rfc822_name}', priority=20)
                      + section('early', attribute='cardNote', value='{common_name}', priority=3))
        self.give('bob', cardNote='Bob Example')
        with Counts() as counts:
            self.assertEqual(self.found('bob', 'bob').json['account']['rule'], 'early')
        self.assertEqual(counts.searches('mail='), 0)
        self.give('bob', cardNote=[])
        self.whois('bob', status=1, reason='no_account')

    def test_two_rules_of_one_priority_that_lead_to_two_accounts(self):
        self.rules = (section('one', attribute='mail', value='{rfc822_name}')
                      + section('two', attribute='cardNote', value='{common_name}'))
        self.only('erin', cardNote='Bob Example')
        answer = self.whois('bob', status=2, reason='several_accounts')
        for name in ('bob', 'erin'):
            self.assertIn(name, answer.json['message'])

    def test_domains(self):
        self.rules = section('here', attribute='mail', value='{rfc822_name}', domains=[DOMAIN, 'more.test'])
        self.found('bob', 'bob', more={'directory__domain': DOMAIN.upper()})
        for domain in ('other.test', None):
            self.whois('bob', status=1, reason='no_rule', more={'directory__domain': domain})
            self.assertRegex(self.words('explain', directory__domain=domain, status=None).out, 'directory.domain|more.test')

    def test_braces_and_ignore_case(self):
        self.rules = section('braces', attribute='cardNote', value='{{}} {common_name}', ignore_case=True)
        self.give('bob', cardNote='{} bob example')
        self.found('bob', 'bob')

    def test_strength_is_what_the_template_holds(self):
        for value, stored, weak in (('{rfc822_name}', 'bob@cardmap.test', WEAK),
                                    ('{issuer_dn} {serial_number!hex}', 'CN=Cardmap Test Issuing CA,DC=cardmap,DC=test 2002',
                                     STRONG),
                                    ('{public_key!sha1}', key_hash('bob'), STRONG),
                                    ('{serial_number!hex}', '2002', WEAK)):
            with self.subTest(value):
                self.rules = section('one', attribute='cardNote', value=value)
                self.give('bob', cardNote=stored)
                self.assertEqual(self.found('bob', 'bob').json['account']['weak'], weak)

    def test_an_or_is_as_strong_as_its_weakest_part_and_an_and_as_its_strongest(self):
        serial = '(altSecurityIdentities=X509:<I>{issuer_dn!pkca}<SR>{serial_number!hex_r})'
        self.give('bob', altSecurityIdentities=f'X509:<I>{ISSUER}<SR>0220')
        for filter_, weak in ((f'(|{serial}(mail={{rfc822_name}}))', WEAK), (f'(&{serial}(mail={{rfc822_name}}))', STRONG),
                              (f'(&(|{serial}(mail={{rfc822_name}}))(cn={{common_name}}))', WEAK)):
            with self.subTest(filter_):
                self.rules = section('one', filter=filter_)
                self.assertEqual(self.found('bob', 'bob').json['account']['weak'], weak)
                self.whois('bob', status=3 if weak else 0, reason='weak_binding' if weak else None,
                           more={'mapper__binding': 'strong'})

    def test_an_attribute_by_another_of_its_names(self):
        """OpenLDAP finds by any of them, and shows the first."""
        for name in ('rfc822Mailbox', '0.9.2342.19200300.100.1.3', 'MAIL'):
            for keys in ({'attribute': name, 'value': '{rfc822_name}'}, {'filter': f'LDAP:({name}={{subject_rfc822_name}})'}):
                with self.subTest(keys):
                    self.rules = section('one', **keys)
                    self.found('bob', 'bob')
                    self.whois('no-san', status=1)

    def test_a_filter_that_fits_everybody_is_nobodys(self):
        self.rules = section('all', filter='(|(objectClass=posixAccount)(mail={rfc822_name}))')
        answer = self.whois('bob', status=2, reason='several_accounts')
        self.assertRegex(answer.json['message'], 'alice.*bob|bob.*alice')

    def test_the_sid_is_judged_whatever_rule_found_the_account(self):
        self.rules = section('mail', attribute='mail', value='{rfc822_name}')
        self.give('alice', objectSid=binary_sid(OTHER_SID))
        self.whois('sid', status=3, reason='other_sid')
        self.give('alice', objectSid=binary_sid(SID))
        self.found('sid', 'alice')

    def test_upn_suffix(self):
        self.rules = section('here', upn_suffix='CARDMAP.test', attribute='uid', value='{nt_principal_name.short_name}')
        self.found('bob', 'bob')
        self.whois('other-realm', status=1, reason='no_rule')
        self.whois('no-upn', status=1, reason='no_rule')

    def test_a_letter_differs_where_the_attribute_is_exact(self):
        self.rules = section('exact', attribute='cardNote', value='{common_name}')
        self.give('bob', cardNote='BOB EXAMPLE')
        self.whois('bob', status=1, reason='no_account')

    def test_injection(self):
        """Names that would be a filter find nobody, and nobody's entry but one who really has them."""
        for card, field in (('hostile-upn', 'common_name'), ('hostile-upn', 'nt_principal_name'), ('hostile-mail', 'rfc822_name')):
            with self.subTest(field):
                self.rules = section('hostile', attribute='cardNote', value=f'{{{field}}}')
                with Counts() as counts:
                    self.whois(card, status=1, reason='no_account')
                line = next(line for line in counts.slapd if 'cardNote=' in line)
                self.assertNotIn('(uid=', line)
                self.give('bob', cardNote={'nt_principal_name': ')(|(uid=*'}.get(field, '*)(uid=*'))
                self.found(card, 'bob')
                self.give('bob', cardNote=[])

    def test_a_field_that_is_absent_makes_no_constant(self):
        self.rules = section('constant', attribute='cardNote', value='card of {rfc822_name}')
        self.give('bob', cardNote='card of ')
        with Counts() as counts:
            self.whois('no-san', status=1, reason='no_rule')
        self.assertEqual(counts.searches('cardNote'), 0)

    def test_nul_is_never_an_end(self):
        self.rules = section('upn', attribute='cardNote', value='{nt_principal_name}')
        self.give('bob', cardNote='alice@CARDMAP.TEST')
        self.whois('nul-upn', status=1, reason='no_rule')


class BrokenRulesTest(MappingCase):
    def line_of(self, word):
        text = (self.folder / 'cardmap.conf').read_text().splitlines()
        return next(number for number, line in enumerate(text, 1) if word in line)

    def check(self, status=78, **more):
        answer = self.cardmap('config', '--config', self.conf(**more), 'check', status=status)
        return answer.out + answer.err

    def test_file_line_column_and_what_was_expected(self):
        for key, text, column in (('value', 'X509:{no_such_field}', '[67]'), ('value', '{common_name', None),
                                  ('value', '{common_name!sideways}', None), ('value', 'constant', None),
                                  ('match', '<SUBJEKT>x', '[12]'), ('match', '<SUBJECT>(x', None), ('match', '<KU>', None),
                                  ('filter', 'LDAP:(mail={subject_rfc822_name', None)):
            keys = {'attribute': 'mail', 'value': '{rfc822_name}', key: text}
            if key == 'filter':
                keys = {'filter': text}
            self.rules = section('broken', **keys)
            with self.subTest(text):
                told = self.check()
                line = self.line_of('rule "broken"'), self.line_of(f'  {key} = ')
                self.assertRegex(told, rf'cardmap\.conf:({line[0]}|{line[1]}): .*broken')
                self.assertRegex(told, rf'column {column}\b' if column else r'column \d+')
                for command in ('whois', 'login', 'explain'):
                    answer = self.ask(command, card='bob', pin=PIN if command == 'login' else None, status=78)
                    self.assertNotIn('account', answer.json)

    def test_rules_that_contradict_themselves(self):
        for keys in ({'attribute': 'mail'}, {'value': '{rfc822_name}'},
                     {'attribute': 'mail', 'value': '{rfc822_name}', 'filter': '(mail={rfc822_name})'},
                     {'attribute': 'mail', 'value': '{rfc822_name}', 'priority': 4294967296},
                     {'attribute': 'mail', 'value': '{rfc822_name}', 'accounts': 'elsewhere'}, {}):
            self.rules = section('broken', **keys)
            with self.subTest(keys):
                self.assertRegex(self.check(), r'cardmap\.conf:\d+: ')

    def test_the_rest_is_used_without_it_only_when_told_so(self):
        self.only('bob')
        self.rules = (section('broken', attribute='mail', value='{no_such_field}')
                      + section('good', attribute='mail', value='{rfc822_name}'))
        self.ask('login', card='bob', pin=PIN, status=78, more=NO_TICKET)
        more = {'mapper__skip_bad_rules': 'yes', **NO_TICKET}
        answer = self.login(card='bob', more=more)
        self.assertEqual((answer.account, answer.json['account']['rule']), ('bob', 'good'))
        self.assertRegex(self.check(status=None, **more), r'broken.*no_such_field|no_such_field.*broken')

    def test_only_broken_rules_are_no_rules(self):
        """What would be found by the built-in forms is not, when the configured rules are all left out."""
        self.rules = section('broken', attribute='mail', value='{no_such_field}')
        answer = self.login(card='bob', status=None, more={'mapper__skip_bad_rules': 'yes', **NO_TICKET})
        self.assertNotEqual(answer.status, 0, str(answer))

    def test_back_references(self):
        self.only('bob', mail='bob@cardmap.test')
        self.rules = section('twice', match=r'<SUBJECT>(D)C=cardmap,\1C=test', attribute='mail', value='{rfc822_name}')
        self.assertRegex(self.check(), 'back-reference')
        self.found('bob', 'bob', more={'mapper__back_references': 'yes'})

    def test_an_expression_that_takes_all_memory(self):
        self.only('bob', mail='bob@cardmap.test')
        bomb = '((a{1,255}){1,255}){1,255}b'
        self.assertEqual(len(bomb), 27)
        self.rules = section('bomb', match=f'<SUBJECT>{bomb}', attribute='mail', value='{rfc822_name}')
        for command in ('whois', 'login'):
            answer = self.ask(command, card='bob', pin=PIN if command == 'login' else None, status=78, more=NO_TICKET)
            self.assertIn('bomb', answer.json['message'])
            self.assertLess(answer.seconds, 5)

    def test_an_expression_that_takes_all_time(self):
        self.rules = section('slow', match=r'<SUBJECT>^(.*.*.*.*.*.*)*\1\1\1\1x$', attribute='mail', value='{rfc822_name}')
        answer = self.ask('whois', card='bob', status=None, more={'mapper__back_references': 'yes'})
        self.assertIn(answer.status, (1, 78), str(answer))
        self.assertLess(answer.seconds, 8)


class LoginTest(MappingCase):
    """A whole login by each kind of rule, and what stays of it with no network."""
    servers = scenario.SERVERS

    def test_by_a_strong_form(self):
        def other_forms():
            self.settings['mapper.forms'] = ['ski']
        self.settings['mapper.binding'] = 'strong'
        self.login_and_keep('erin', 'erin', other_forms)

    def test_by_a_rule_of_our_own(self):
        self.rules = section('mail', match='<SAN:rfc822Name>@cardmap', attribute='mail', value='{rfc822_name}')

        def without():
            self.rules = section('note', attribute='cardNote', value='{rfc822_name}')
        self.login_and_keep('bob', 'bob', without)

    def test_a_weak_mapping_that_was_kept_is_refused_offline_too(self):
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.assertTrue(self.login(card='bob').json['account']['weak'])
        self.assertRegex(self.cardmap('accounts', '--config', self.conf(), 'list').out, r'(?m)^bob .*, weak$')
        scenario.RIG.stop(*self.servers)
        self.assertTrue(self.login(card='bob').json['account']['weak'])
        answer = self.login(card='bob', status=3, reason='weak_binding', more={'mapper__binding': 'strong'})
        self.assertIn(BindingTest.STRONG_VALUE, answer.json['message'])

    def test_a_slip_of_the_pen_takes_nothing_from_the_holder(self):
        self.login('bob', card='bob')
        self.login('erin', card='bob', status=3, reason='not_this_user')
        scenario.RIG.stop(*self.servers)
        self.assertEqual(self.login('bob', card='bob').account, 'bob')
        self.login('erin', card='bob', status=3, reason='not_this_user')

    def test_who_lost_the_card_to_another_does_not_keep_it_by_naming_himself(self):
        """As PAM does each time: the name stands there before the card is looked at."""
        self.only('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.login('bob', card='bob')
        self.give('bob', altSecurityIdentities=[])
        self.give('erin', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.login('bob', card='bob', status=3, reason='not_this_user')
        scenario.RIG.stop(*self.servers)
        self.login('bob', card='bob', status=4, reason='not_kept')

    def test_a_mapping_taken_away_online_is_gone_offline(self):
        self.rules = section('mail', attribute='mail', value='{rfc822_name}')
        self.login(card='bob')
        self.give('bob', mail='robert@cardmap.test')
        self.login(card='bob', status=1, reason='no_account')
        scenario.RIG.stop(*self.servers)
        self.login(card='bob', status=4, reason='not_kept')


class PairingTest(MappingCase):
    """UserSelector(7): where an attribute mapping finds an account, a pairing of the same card is not asked."""
    def setUp(self):
        super().setUp()
        self.settings['accounts.user_pairing'] = 'yes'
        self.only('bob')

    def pair(self, name):
        """Who pairs is root, also where a login is the user's own because only one user id is there."""
        before, scenario.PREFIX = scenario.PREFIX, []
        try:
            self.ask('pair', '--remote', name, card='bob', pin=PIN)
        finally:
            scenario.PREFIX = before

    def test_a_mapping_beats_a_pairing_and_without_one_the_pairing_opens(self):
        self.pair('erin')
        account = self.login(card='bob', more=NO_TICKET).json['account']
        self.assertEqual((account['name'], account['rule'], account['weak']), ('erin', 'pairing', STRONG))
        self.give('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        for command in ('whois', 'login'):
            answer = self.ask(command, card='bob', pin=PIN if command == 'login' else None, more=NO_TICKET)
            self.assertEqual(answer.account, 'bob')
        self.give('bob', altSecurityIdentities=[])
        self.found('bob', 'erin')

    def test_a_weak_mapping_is_refused_though_the_card_is_paired(self):
        """Else who may write a weak value chooses between two accounts."""
        self.pair('erin')
        self.give('bob', altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.whois('bob', status=3, reason='weak_binding', more={'mapper__binding': 'strong'})


if __name__ == '__main__':
    scenario.main()
