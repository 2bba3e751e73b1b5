#!/usr/bin/python3
"""test_revocation_table.py: every row of the table of decisions in cardmap-revocation(7) is a login among real servers.

A row that is not executed here is a failure, and so is a combination of level, evidence and network that has no row.
Evidence is what a login before was told by servers; time passes by a clock that is moved.
"""
import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import scenario
import answers
from answers import DAY, HOUR
from revocation import Page, RevocationCase
from web import silent

PAGE = Path(__file__).resolve().parents[2] / 'doc/man/cardmap-revocation.7.scd'
LEVELS = ('off', 'chain', 'soft', 'soft 72h', 'hard', 'hard 72h')
NETWORKS = ('good', 'revoked', 'wrong', 'silent')
# What is kept: when its servers say it ends, and how much later the login is that is judged by it.
EVIDENCE = {
    'none': (10 * DAY, 0),
    'fresh': (10 * DAY, HOUR),
    'aged': (10 * DAY, 4 * DAY),
    'lapsed': (DAY, 2 * DAY),
    'old': (DAY, 5 * DAY),
    'behind': (30 * DAY, HOUR),
    'held': (10 * DAY, HOUR),
    'revoked': (10 * DAY, HOUR),
}
# Where the page says that nobody needs to be asked; of the rest of "off" and "chain" too.
ENOUGH = {('soft', 'fresh'), ('soft', 'aged'), ('soft 72h', 'fresh'), ('hard', 'fresh'), ('hard', 'aged'), ('hard 72h', 'fresh'),
          *((level, 'revoked') for level in LEVELS), *itertools.product(('off', 'chain'), EVIDENCE)}
OCSP_SIGNERS = {'wrong': 'ocsp-stranger'}
LIST_SIGNERS = {'wrong': 'look-alike-ca'}
AT_ONCE = 4


def rows():
    """{(level, evidence, network): [(outcome, reason)...]} as the page has it."""
    text = PAGE.read_text(encoding='utf-8').split('; begin decisions\n')[1].split('; end decisions')[0]
    lines = [line.split('  ') for line in text.splitlines() if line.strip() and line != '```']
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    if cells[0] != ['level', 'evidence', 'network', 'outcome', 'reason'] or any(len(row) != 5 for row in cells):
        raise AssertionError(f'{PAGE}: not five columns')
    found = {}
    for row in cells[1:]:
        axes = [words if word == 'any' else (word,) for word, words in zip(row, (LEVELS, EVIDENCE, NETWORKS))]
        for cell in itertools.product(*axes):
            found.setdefault(cell, []).append(tuple(row[3:]))
    return found


class TableTest(RevocationCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rows = rows()
        cls.pool = ThreadPoolExecutor(AT_ONCE)

    def setUp(self):
        super().setUp()
        # At level off nothing but a hash of the whole key binds.
        key = answers.certificate(self.pki, self.CARD).key_id().hex()
        self.give('alice', altSecurityIdentities=['Kerberos:alice@CARDMAP.TEST', f'X509:<SHA1-PUKEY>{key}'])

    def test_one_row_for_each_combination(self):
        wanted = set(itertools.product(LEVELS, EVIDENCE, NETWORKS))
        self.assertEqual(set(self.rows) - wanted, set(), 'rows that nothing here executes')
        self.assertEqual(wanted - set(self.rows), set(), 'combinations without a row')
        self.assertEqual({cell: said for cell, said in self.rows.items() if len(said) != 1}, {}, 'rows that say it twice')

    # -- what is kept

    def network(self, kind, since=0, until=30 * DAY, number=2):
        """The servers as they are at that moment, in seconds from now.

        What they say now holds for long: beside a clock that is behind, too, it must not have ended by the true one.
        """
        self.settings['trust.timeout'] = 400 if kind == 'silent' else 6000
        self.ocsp.pages['/'] = self.responder.page
        self.responder.signer = OCSP_SIGNERS.get(kind, 'ocsp')
        self.responder.this, self.responder.until = since - 60, since + until
        self.responder.status.clear()
        listed = []
        if kind == 'revoked':
            self.say(self.CARD)
            listed = [self.CARD]
        elif kind == 'held':
            listed = [answers.held(self.pki, self.CARD)]
        self.publish(*listed, number=number, this=since - 60, until=since + until, **self.signer_of(kind))
        if kind == 'wrong':
            self.lists.pages['/root.crl'] = Page(self.a_list(authority='root', signer='stranger-root', number=number))
        if kind == 'silent':
            for server in (self.ocsp, self.lists):
                server.pages = {'/': silent}

    @staticmethod
    def signer_of(kind):
        return {'signer': LIST_SIGNERS[kind]} if kind in LIST_SIGNERS else {}

    def publish(self, *entries, signer='', **fields):
        """A forger of inter's list has not root's key."""
        super().publish(*entries, **fields)
        if signer:
            self.lists.pages['/inter.crl'] = Page(self.a_list(*entries, signer=signer, **fields))

    def one_login(self, store, level, when=0, card=None, name='cardmap.conf', **more):
        conf = scenario.RIG.conf({**scenario.PATIENT, **self.settings, 'accounts.path': store / 'accounts.db',
                                  'trust.level': level, **more}, store / name)
        command = ['login', '--config', conf, '--json', '--card', f'file:{self.pki}/{card or self.CARD}.pem']
        return self.cardmap(*command, status=None, pin=scenario.PIN, **self.at(f'+{when}'))

    def keep(self, evidence):
        """A store that holds it, learned from servers now."""
        store = self.folder / 'kept'
        store.mkdir(mode=0o700)
        until, _ = EVIDENCE[evidence]
        if evidence == 'none':
            return store
        kind = {'held': 'held', 'revoked': 'revoked'}.get(evidence, 'good')
        self.network(kind, until=until, number=1)
        answer = self.one_login(store, 'soft', **({'trust.use_ocsp': 'no'} if kind == 'held' else {}))
        self.assertEqual(answer.reason if kind != 'good' else answer.account, 'revoked' if kind != 'good' else 'alice', str(answer))
        if evidence == 'behind':
            self.network('good', since=20 * DAY)
            answer = self.one_login(store, 'soft', 20 * DAY, 'bob', **{'trust.use_crl': 'no'})
            self.assertEqual(answer.account, 'bob', str(answer))
        return store

    # -- the cells

    def cell(self, level, evidence, network, store):
        """What is wrong with it; '' for nothing."""
        own = self.folder / f'{level} {evidence} {network}'.replace(' ', '-')
        shutil.copytree(store, own)
        answer = self.one_login(own, level, EVIDENCE[evidence][1])
        outcome, reason = self.rows[level, evidence, network][0]
        said = ('passes', '-') if answer.status == 0 else ('refused', answer.reason)
        if said == (outcome, reason) and (answer.status in (0, 3)) and (answer.status or answer.account == 'alice'):
            return ''
        return f'\n{level}, {evidence}, {network}: {outcome} {reason}, says the page; it was {said}\n{answer}'

    def execute(self, evidence):
        store = self.keep(evidence)
        for network in NETWORKS:
            self.network(network, since=EVIDENCE[evidence][1])
            for asked in (True, False):
                levels = [level for level in LEVELS if ((level, evidence) in ENOUGH) != asked]
                self.forget_requests()
                wrong = list(self.pool.map(lambda level, network=network: self.cell(level, evidence, network, store), levels))
                with self.subTest(f'{evidence} {network}'):
                    self.assertFalse(any(wrong), ''.join(wrong))
                    if not asked:
                        self.assertEqual([got.path for got in self.requests()], [], f'{levels}: nobody is asked')

    def test_none(self):
        self.execute('none')

    def test_fresh(self):
        self.execute('fresh')

    def test_aged(self):
        self.execute('aged')

    def test_lapsed(self):
        self.execute('lapsed')

    def test_old(self):
        self.execute('old')

    def test_behind(self):
        self.execute('behind')

    def test_held(self):
        self.execute('held')

    def test_revoked(self):
        self.execute('revoked')


if __name__ == '__main__':
    scenario.main()
