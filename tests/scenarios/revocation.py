"""revocation.py: what the scenarios of revocation share: servers inside the test, whose answers it chooses."""
import re
import shutil

import scenario  # first: it names the rig's folder
import answers
from rig import HTTP_PORT, OCSP_PORT, WEB_PORT, WORK
from scenario import Scenario
from web import Page, Web

PORTS = {'ocsp': OCSP_PORT, 'http': HTTP_PORT, 'web': WEB_PORT}
# No KDC: these tests move clocks, and count what is asked.  A long deadline: after a sixth of it others are asked as well.
QUIET = {'kerberos.ticket': 'off', 'trust.timeout': 12000, 'directory.timeout': 6000}


class RevocationCase(Scenario):
    """The directory is slapd; who speaks of revocation is in this process, at the addresses that certificates name.

    self.ocsp, self.lists and self.web are those of port 8081, 8080 and 8090; each test begins with good answers from all.
    """
    servers = ('slapd',)
    CARD = 'alice-p256'

    @classmethod
    def setUpClass(cls):
        scenario.RIG.stop('ocsp', 'http', f'bad{OCSP_PORT}', f'bad{HTTP_PORT}')
        cls.ocsp, cls.lists, cls.web = (Web(port, WORK / 'web.requests') for port in PORTS.values())

    @classmethod
    def tearDownClass(cls):
        for server in (cls.ocsp, cls.lists, cls.web):
            server.close()

    def setUp(self):
        super().setUp()
        self.settings = dict(QUIET)
        self.pki = scenario.RIG.pki
        for server in (self.ocsp, self.lists, self.web):
            server.forget()
        self.responder = self.new_responder()
        self.ocsp.pages['/'] = self.responder.page
        self.publish()

    # -- what the servers say

    def new_responder(self, authority='inter', **fields):
        return answers.Responder(self.pki, authority, 'ocsp' if authority == 'inter' else '', **fields)

    def a_list(self, *entries, authority='inter', **fields):
        return answers.revocation_list(self.pki, authority, *entries, **fields)

    def publish(self, *entries, **fields):
        """inter's list with these entries, at every address that a certificate of inter's names; and root's."""
        inter, root = Page(self.a_list(*entries, **fields)), Page(self.a_list(authority='root', **{**fields, 'idp': b''}))
        self.lists.pages.update({'/inter.crl': inter, '/root.crl': root})
        self.web.pages.update({'/inter.crl': inter, '/root.crl': root})

    def serial(self, name):
        return answers.certificate(self.pki, name).serial

    def say(self, name, status='revoked keyCompromise', responder=None):
        """What the responder says of that certificate from now."""
        (responder or self.responder).status[self.serial(name)] = status

    def requests(self, part=''):
        """When all who asked have ended: whose address and path contain this."""
        for server in (self.ocsp, self.lists, self.web):
            server.settle()
        return [got for server in (self.ocsp, self.lists, self.web) for got in server.asked(part)]

    def forget_requests(self):
        self.requests()
        for server in (self.ocsp, self.lists, self.web):
            server.requests.clear()

    # -- what logins are told

    @staticmethod
    def at(when, **options):
        """A login whose clock is elsewhere."""
        return {'binary': scenario.plain(), 'wrapper': scenario.clock(when), **options}

    def enter(self, level='soft', card=CARD, asked=None, **options):
        """A login that passes; asked: how many requests it makes."""
        answer = self.attempt(level, card, asked, **options)
        self.assertEqual(answer.account, 'alice')
        return answer

    def refused(self, reason='revoked', level='soft', card=CARD, asked=None, **options):
        return self.attempt(level, card, asked, status=3, reason=reason, **options)

    def attempt(self, level, card, asked, more=None, **options):
        before = len(self.requests()) if asked is not None else 0
        answer = self.login(card=card, more={'trust__level': level, **(more or {})}, **options)
        if asked is not None:
            made = [f'{got.method} {got.address}{got.path} {got.status}' for got in self.requests()[before:]]
            self.assertEqual(len(made), asked, f'{made}\n{answer}')
        return answer

    def check(self, card, status=None, level='hard', **more):
        """cardmap revocation check, which judges as a login does."""
        return self.cardmap('revocation', '--config', self.conf(trust__level=level, **more), '--json', 'check',
                            self.pki / f'{card}.pem', status=status)

    @staticmethod
    def objections(answer):
        """Every objection of a trace, by source: {'OCSP http://...': 'other_nonce'}."""
        texts = [item['text'] for stage in answer.json['stages'] for item in stage['seen']]
        found = [re.match(r'(.+?): .*\[(\w+)\]$', text, re.DOTALL) for text in texts]
        return {match[1]: match[2] for match in found if match}

    def fresh_store(self):
        """Nothing is kept any more."""
        shutil.rmtree(self.folder / 'store')
        (self.folder / 'store').mkdir(mode=0o700)
