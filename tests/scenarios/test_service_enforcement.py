#!/usr/bin/python3
"""test_service_enforcement.py: who must use a card: what a directory says of a user, seen at su and in PAM's codes, and told by explain.

Each cell of the table of steps is in tests/service/test_enforcement.c; here are the ways that lead to it.
"""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import scenario
import service_scenario
from scenario import PIN
from test_service_pam import IGNORE, PERM_DENIED, SUCCESS, PamScenario

import computer
from computer import LOCAL, PASSWORD
from rig import WORK

REQUIRED, NORMAL = '262656', '512'   # userAccountControl with and without SMARTCARD_REQUIRED
GROUP = 'card-exempt'
USERS = 1020


class EnforcementScenario(PamScenario):
    """alice has no card in, and a password that is right."""
    changes = {'service__wait': 300, 'enforcement__required': 'no'}

    def setUp(self):
        super().setUp()
        self.take_out()

    def by_password(self, user='alice'):
        """May that user, at the seat with no card in?  Both phases agree."""
        said = self.call(user=user)
        entered = self.call('rhost=192.0.2.7', calls=['account'], user=user, session=False)
        may = said.code == IGNORE
        self.assertEqual(entered.code == PERM_DENIED and '(card_required)' in entered.text, not may, said.text + entered.text)
        if not may:
            self.assertNotEqual(said.code, SUCCESS)
        return may

    def explain(self, user, *more):
        """By the service."""
        return self.cardmap('enforcement', 'explain', user, '--service', service_scenario.service_module.RUN, '--json', *more).json

    def decided(self, user='alice', *more):
        told = self.explain(user, *more)
        return told['decided'], told['card_required']

    def say(self, **attributes):
        self.give('alice', **attributes)


class DirectoryTest(EnforcementScenario):
    def test_what_the_directory_says(self):
        """Each value of the two attributes, as an administrator writes it from one login to the next."""
        for attributes, may, decided in (
                ({}, True, 'system'), ({'SmartCardEnforcement': '1'}, False, 'attribute'), ({'SmartCardEnforcement': '0'}, True, 'system'),
                ({'SmartCardEnforcement': '7'}, False, 'attribute'), ({'SmartCardEnforcement': ['1', '2']}, False, 'attribute'),
                ({'SmartCardEnforcement': '2', 'userAccountControl': REQUIRED}, True, 'attribute'),
                ({'SmartCardEnforcement': [], 'userAccountControl': REQUIRED}, False, 'control'),
                ({'userAccountControl': NORMAL}, True, 'system')):
            with self.subTest(str(attributes)):
                if attributes:
                    self.say(**attributes)
                self.assertEqual(self.by_password(), may)
                self.assertEqual(self.decided(), (decided, not may))
        self.say(SmartCardEnforcement='7')
        entered = self.call('rhost=192.0.2.7', calls=['account'], session=False)
        self.assertIn('SmartCardEnforcement is 7', entered.text)
        self.again_without_card(enforcement__required='yes')
        self.assertFalse(self.by_password())
        self.say(SmartCardEnforcement='2')
        self.assertTrue(self.by_password())

    def again_without_card(self, **changes):
        service_scenario.SERVICE.stop()
        self.configure(**changes)
        service_scenario.SERVICE.start()

    def test_su(self):
        """The real one, with a password that is right: it is asked for only where it may be."""
        hashed = computer.password_hash(PASSWORD)
        computer.drop_names('shadow', {'alice'})
        computer.add_lines('shadow', [f'alice:{hashed}:19000::::::'])
        self.addCleanup(computer.drop_names, 'shadow', {'alice'})
        self.say(SmartCardEnforcement='2')
        terminal = self.su(script='id -un')
        terminal.enter(rb'Password: ?$', PASSWORD)
        status, text = self.ended(terminal)
        self.assertEqual(status, 0, text)
        self.assertIn('\nalice', text)
        self.say(SmartCardEnforcement='1')
        status, text = self.ended(self.su(script='id -un'))
        self.assertNotEqual(status, 0, text)
        self.assertNotIn('Password', text)
        self.assertNotIn('\nalice', text)

    def test_no_network_changes_nothing(self):
        """"enforcement weakened by unplugging the network": the last answer holds, and of whom nothing is known needs a card."""
        self.say(SmartCardEnforcement='1')
        self.give('bob', SmartCardEnforcement='2')
        self.assertEqual((self.by_password(), self.by_password('bob')), (False, True))
        scenario.RIG.stop('slapd')
        self.assertEqual((self.by_password(), self.by_password('bob')), (False, True))
        told = self.explain('alice')
        self.assertEqual((told['decided'], told['card_required']), ('attribute', True))
        self.assertIsNotNone(told['kept'])
        self.assertIn('offline', told)
        self.assertFalse(self.by_password('carol'), 'nothing is known of her')
        self.assertTrue(self.by_password('root') and self.by_password(LOCAL))
        scenario.RIG.start('slapd')
        self.assertTrue(self.by_password('carol'))
        self.say(SmartCardEnforcement='2')
        self.assertTrue(self.by_password(), 'the directory may let go, too')

    def test_another_spelling_keeps_nothing_of_its_own(self):
        """What was heard under it while a password was allowed is no way in with the cable out: the account's last word counts."""
        self.say(SmartCardEnforcement='2', userPrincipalName='a.example@cardmap.test')
        spellings = ('ALICE', 'alice@cardmap.test', 'CARDMAP\\alice', 'CARDMAP\\Alice@cardmap.test', 'a.example@cardmap.test')
        for name in spellings:
            self.assertTrue(self.by_password(name), name)
        scenario.RIG.stop('slapd')
        self.assertEqual([self.by_password(name) for name in spellings], [True, True, True, True, False], 'whose that is, a directory alone knows')
        scenario.RIG.start('slapd')
        self.say(SmartCardEnforcement='1')
        self.assertFalse(self.by_password())
        scenario.RIG.stop('slapd')
        for name in ('alice', *spellings):
            self.assertFalse(self.by_password(name), name)

    def test_what_a_card_login_learned(self):
        """She was here with her card only; what the directory said of her then holds with no network."""
        self.say(userAccountControl=REQUIRED)
        self.put_in()
        self.wait_card()
        self.assertEqual(self.call(answers=[PIN]).code, SUCCESS)
        scenario.RIG.stop('slapd')
        self.take_out()
        told = self.explain('alice')
        self.assertEqual((told['decided'], told['kept'] is not None), ('control', True), told)
        self.assertFalse(self.by_password())


class GroupTest(EnforcementScenario):
    changes = {**EnforcementScenario.changes, 'enforcement__required': 'yes', 'enforcement__allow_unmapped_users': 'yes',
               'enforcement__not_enforced_group': GROUP}

    def setUp(self):
        super().setUp()
        for name, member in (('card-inner', scenario.people.person_dn('alice')), (GROUP, f'cn=card-inner,{scenario.people.GROUPS_DN}')):
            dn = f'cn={name},{scenario.people.GROUPS_DN}'
            scenario.ldap_admin('ldapadd', input=f'dn: {dn}\nobjectClass: groupOfNames\ncn: {name}\nmember: {member}\n')
            self.addCleanup(scenario.ldap_admin, 'ldapdelete', dn)
            self.addCleanup(scenario.RIG.start, 'slapd')

    def test_members_and_who_has_no_card(self):
        """alice by a group in the group; bob has a card, and frank, of whom no attribute has a value, none."""
        self.assertEqual((self.by_password(), self.decided()), (True, ('group', False)))
        self.assertEqual((self.by_password('bob'), self.decided('bob')), (False, ('system', True)))
        self.give('bob', altSecurityIdentities=[])
        self.assertEqual((self.by_password('bob'), self.decided('bob')), (True, ('unmapped', False)))
        self.assertEqual(self.decided('bob', '--what-if', 'allow_unmapped_users=no'), ('system', True))
        self.assertEqual(self.decided('bob', '--what-if', 'mapped=yes'), ('system', True))
        self.assertEqual(self.decided('bob', '--what-if', 'SmartCardEnforcement=1', '--what-if', 'exempt=yes'), ('exempt', False))
        self.assertEqual(self.decided('alice', '--what-if', 'not_enforced_group=nobody-has-it'), ('system', True))
        scenario.RIG.stop('slapd')
        self.assertEqual((self.by_password(), self.by_password('bob')), (True, True))
        scenario.RIG.start('slapd')

    @staticmethod
    def alone():
        """A configuration as the service's, for who asks beside it."""
        alone = WORK / 'alone.conf'
        service = service_scenario.service_module
        password = service.CONF.parent / 'bind.password'
        shutil.copy(password, WORK / 'bind.password')
        (WORK / 'bind.password').chmod(0o400)
        alone.write_text(service.CONF.read_text(encoding='utf-8').replace(str(password), str(WORK / 'bind.password')), encoding='utf-8')
        return alone

    def test_the_same_by_the_service_and_alone(self):
        self.give('bob', SmartCardEnforcement='1')
        alone, service = self.alone(), service_scenario.service_module
        for user, more in (('alice', []), ('bob', []), ('root', []), (LOCAL, []), ('nobody-here', []),
                           ('alice', ['--what-if', 'userAccountControl=0x40000'])):
            with self.subTest(user=user, more=more):
                told = self.explain(user, *more)
                here = self.cardmap('enforcement', 'explain', user, '--config', alone, '--json', *more).json
                for one in (told, here):
                    one.pop('stages', None)
                self.assertEqual(told, here)
        told = [json.loads(line) for line in self.cardmap('enforcement', 'explain', '--all', '--config', alone, '--json').out.split('\n{\n')[0].splitlines()]
        outcomes = {one['user']: (one['decided'], one['card_required']) for one in told}
        self.assertEqual(len(outcomes), len(told), 'nobody is told twice')
        self.assertEqual([outcomes[name] for name in ('alice', 'bob', 'root')], [('group', False), ('attribute', True), ('exempt', False)])
        self.assertEqual(outcomes[LOCAL], ('unmapped', False))
        self.assertGreaterEqual(set(outcomes), {person.name for person in scenario.people.people(20)})
        table = self.cardmap('enforcement', 'explain', '--all', '--config', alone).out
        for user, row in (('alice', rf'password +\d group +.*{GROUP}'), ('bob', r'card +\d attribute +.*1'),
                          ('root', r'password +\d exempt'), (LOCAL, r'password +\d unmapped')):
            self.assertRegex(table, rf'(?m)^{user} +{row}')
        self.assertRegex(table, rf'(?m)^accounts +{len(told)}: ')
        shown = self.cardmap('enforcement', 'explain', 'bob', '--service', service.RUN).out
        self.assertIn('1: always a card  <- decides', shown)
        said = self.cardmap('enforcement', 'explain', 'bob', '--service', service.RUN, '--what-if', 'nonsense=1', status=64)
        self.assertIn('cannot be supposed', said.err)
        for where in (['--service', service.RUN], ['--config', alone]):
            for user, length, words in (('bob', 64, 'at most 63 octets'), ('bob', 300, 'at most 63 octets'), ('bob', 9000, 'too long'),
                                        ('b' * 256, 1, 'too long')):
                said = self.cardmap('enforcement', 'explain', user, *where, '--what-if', 'not_enforced_group=' + 'g' * length, status=64)
                self.assertIn(words, said.err)
                self.assertLess(len(said.err), 500)
        self.assertEqual(self.decided('b' * 255), ('unmapped', False))

    def test_a_thousand_accounts(self):
        """Each of them once, in no more memory than the first page takes: a pipe of one page holds it up meanwhile."""
        told, used = [], []
        child = subprocess.Popen([os.environ['CM_CARDMAP_PLAIN'], 'enforcement', 'explain', '--all', '--config', self.alone(), '--json'],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pipesize=4096, text=True, encoding='utf-8')
        for line in child.stdout:
            if line == '{\n':
                break
            told.append(json.loads(line)['user'])
            if len(told) % 100 == 0:
                used.append(int(re.search(r'VmHWM:\s+(\d+)', Path(f'/proc/{child.pid}/status').read_text(encoding='ascii'))[1]))
        counted = json.loads('{' + child.stdout.read())
        self.assertEqual((child.wait(), counted['accounts']), (0, len(told)))
        self.assertEqual(len(told), len(set(told)), 'nobody is told twice')
        self.assertLessEqual({person.name for person in scenario.people.people(USERS)}, set(told))
        self.assertGreater(len(told), USERS)
        self.assertLess(used[-1], used[2] + 1024, f'KiB: {used}')


if __name__ == '__main__':
    service_scenario.main(users=USERS)
