#!/usr/bin/python3
"""test_peers.py: pam_cardmap where cardmapd is not there, goes away, or is not what it seems; programs that do not ask; no memory.

No error is PAM_IGNORE or PAM_SUCCESS (CVE-2025-24531), and nobody gets in as another.
"""
import unittest
from pathlib import Path

import pam_rig
from pam_rig import (ABORT, ACCT_EXPIRED, ANSWERED, AUTH_ERR, AUTHTOK_ERR, BUF_ERR, CONV_AGAIN, CONV_ERR, IGNORE, INCOMPLETE,
                     MAXTRIES, OTHER, PASSWORD, PERM_DENIED, PIN, SERVICE_ERR, SUCCESS, TRY_AGAIN, UNAVAILABLE, USER_UNKNOWN,
                     Peer, grant, log_in, module, pin, refused, reply, stacks)

GOOD = (reply('reading'), pin(), ANSWERED, reply('working'), grant(ccache='FILE:/tmp/krb5cc_10001'))
# Of the module alone: any other is the next one's.
ALONE = stacks


class NoService(unittest.TestCase):
    def test_nobody_can_be_asked(self):
        """A service that is not there is an error of its own, which stops every stack, in each phase."""
        for call, code in (('authenticate', UNAVAILABLE), ('account', UNAVAILABLE), ('change', TRY_AGAIN)):
            with self.subTest(call):
                said = log_in(calls=[call])
                self.assertEqual(said.code, code)
                self.assertIn('error Card login is not possible now: cardmapd does not run here (no_service)', said.talk)
                self.assertEqual(said.descriptors, 0)

    def test_cve_2025_24531(self):
        """pam_pkcs11 0.6.12: "other errors" were PAM_IGNORE, so that what follows let anybody in."""
        folder = stacks([f'{pam_rig.CARD} CARDMAP', 'required pam_permit.so'])
        self.assertEqual(log_in(folder=folder).code, UNAVAILABLE)

    def test_root_gets_in_by_password(self):
        """Of uid 0, whatever its name, no card is asked: with no service at all, and with a wrong option."""
        for user in ('root', 'toor'):
            for options in ('', 'nonsense'):
                for password, code in ((PASSWORD, SUCCESS), ('wrong', AUTH_ERR)):
                    with self.subTest(f'{user} {options} {password}'):
                        folder = stacks([f'{pam_rig.CARD} CARDMAP {options}', '[success=1 default=ignore] pam_unix.so',
                                         'requisite pam_deny.so', 'required pam_permit.so'])
                        said = log_in(folder=folder, user=user, answers=[password])
                        self.assertEqual(said.code, code)
                        self.assertEqual(said.asked(), ['hidden Password: '])

    def test_a_wrong_option_stops(self):
        for option in ('nonsense', 'timeout=', 'timeout=0', 'timeout=601', 'timeout=1x', 'timeout=-1', 'reader=', 'quiet=1'):
            with self.subTest(option), Peer(*GOOD) as peer:
                said = log_in(folder=stacks(f'required {module()} {option}'), answers=[PIN])
                self.assertEqual(said.code, SERVICE_ERR)
                self.assertEqual(peer.begun, [])

    def test_session_calls_have_nothing_to_do(self):
        said = log_in(calls=['establish', 'open', 'close', 'delete'])
        self.assertEqual(set(said.codes.values()), {SUCCESS})
        self.assertEqual(said.env, {})


class Liars(unittest.TestCase):
    """What is at the socket is not cardmapd, or not one that tells the truth."""
    GARBAGE = {
        'nothing': (),
        'octets': (b'\x00\xff\xfe rubbish \x00',),
        'endless': (b'{' * 200000,),
        'deep': ('{"parameters":' + '[' * 5000,),
        'half': (b'{"parameters":{"handle":"h","state":"gr',),
        'another protocol': (b'HTTP/1.1 200 OK\r\n\r\n\0',),
        'empty': ('{}',), 'list': ('[]',), 'null': ('null',),
        'no grant': (reply('granted', last=True),),
        'true': (reply('granted', last=True, grant=True),),
        'no uid': (reply('granted', last=True, grant={'user': 'alice'}),),
        'text for uid': (grant(uid='10001'),),
        'uid 0': (grant(uid=0),), 'gid 0': (grant(gid=0),), 'root': (grant('root', 0, 0),),
        'no uid there is': (grant(uid=4294967295),), 'too large': (grant(uid=4294977297),), 'negative': (grant(uid=-1),),
        'goes on': (grant()[:-1] + ', "continues": true}',),
        'another login': (reply('reading'), reply('granted', last=True, handle='g', grant={'user': 'alice', 'uid': 10001, 'gid': 1})),
        'error': ('{"error":"io.cardmap.Login.Granted","parameters":{}}',),
        'ignore': (reply('ignore', last=True, may_use_password=True),),
        'a pin that is the end': (reply('pin', last=True, may_use_password=True),),
        'text for a flag': (refused(may_use_password='true'),),
        'PAM code': (reply('granted', last=True, code=0),),
    }

    def test_garbage(self):
        for name, script in self.GARBAGE.items():
            for call, code in (('authenticate', UNAVAILABLE), ('account', UNAVAILABLE), ('change', TRY_AGAIN)):
                with self.subTest(f'{name}, {call}'), Peer(*script):
                    said = log_in(calls=[call], answers=[PIN])
                    self.assertEqual(said.code, code, said.text)
                    self.assertEqual((said.descriptors, said.env), (0, {}))

    def test_a_grant_for_another(self):
        """The name is the program's, the uid NSS's: a grant that differs is nobody's login."""
        cases = {
            'another name and uid': ('alice', grant('bob', 10002)),
            'another uid': ('alice', grant('alice', 10002)),
            'another name of another uid': ('alice', grant('bob', 10001 + 7)),
            'a name NSS does not have': ('carol', grant('alice', 10001)),
            'a uid that is taken': ('carol', grant('carol', 10002)),
        }
        for name, (user, script) in cases.items():
            for call in ('authenticate', 'account'):
                with self.subTest(f'{name}, {call}'), Peer(reply('reading'), script):
                    said = log_in(user=user, calls=[call])
                    self.assertEqual(said.code, PERM_DENIED, said.text)
                    self.assertEqual((said.user, said.env), (user, {}))

    def test_a_grant_for_somebody_new(self):
        """A directory's user whom NSS does not know yet: the card brings the name, and the uid is nobody else's."""
        with Peer(grant('carol', 10003)):
            self.assertEqual(log_in(user='carol').code, SUCCESS)
        with Peer(grant('carol', 10003)):
            said = log_in(user=None)
            self.assertEqual((said.code, said.user), (SUCCESS, 'carol'))
        for script in (grant('bob', 10001), grant('toor', 10005), grant('carol', 10001), grant('root', 10001)):
            with self.subTest(script), Peer(script):
                said = log_in(user=None)
                self.assertEqual((said.code, said.user), (PERM_DENIED, ''))

    def test_out_of_place(self):
        """The account phase asks nobody for anything."""
        for state in (pin(), reply('card'), reply('choose', choices=[{'id': 'a', 'text': 'A'}])):
            with self.subTest(state), Peer(state, ANSWERED, grant()) as peer:
                said = log_in(calls=['account'], answers=[PIN])
                self.assertEqual((said.code, said.asked(), peer.pins), (UNAVAILABLE, [], []))

    def test_a_socket_that_is_not_roots(self):
        if len(Path('/proc/self/uid_map').read_text(encoding='ascii').split()) == 3 and \
                Path('/proc/self/uid_map').read_text(encoding='ascii').split()[2] == '1':
            self.skipTest('takes a second uid')
        pam_rig.RUN.chmod(0o777)
        pam_rig.os.seteuid(65534)
        try:
            peer = Peer(grant())
            peer.__enter__()
        finally:
            pam_rig.os.seteuid(0)
        try:
            said = log_in()
            self.assertEqual(said.code, UNAVAILABLE)
            self.assertIn('error Card login is not possible now: what answered is not cardmapd (no_service)', said.talk)
        finally:
            peer.__exit__()
            pam_rig.RUN.chmod(0o755)


class Ends(unittest.TestCase):
    """It goes away: after each message of a login, and in the middle of the next."""

    def test_gone_after_each_step(self):
        for count in range(len(GOOD)):
            for rest in (b'', b'{"parameters":{"ha'):
                with self.subTest(f'{count} {rest}'), Peer(*GOOD[:count], *([rest] if rest else [])):
                    said = log_in(answers=[PIN])
                    self.assertEqual(said.code, UNAVAILABLE, said.text)
                    self.assertEqual((said.descriptors, said.env), (0, {}))

    def test_answers_that_fail(self):
        for verdict, code in (('', UNAVAILABLE), ('rubbish', UNAVAILABLE), ('{"error":"a.b.C"}', UNAVAILABLE),
                              ('{"error":"io.cardmap.Login.NotAllowed","parameters":{"reason":"not_here","text":"x"}}', AUTH_ERR)):
            with self.subTest(verdict), Peer(*GOOD[:3], verdict=verdict, hold=True):
                self.assertEqual(log_in(answers=[PIN]).code, code)

    def test_no_card_in_time(self):
        for more, code in (({}, UNAVAILABLE), ({'may_use_password': True}, IGNORE)):
            with self.subTest(more), Peer(reply('card', **more), hold=True):
                said = log_in(folder=stacks([f'[default=ok ignore=ignore] CARDMAP timeout=1 wait_for_card', 'sufficient pam_permit.so'])
                              if code == IGNORE else stacks(f'required {module()} timeout=1'))
                self.assertEqual(said.code, SUCCESS if code == IGNORE else code, said.text)
                self.assertIn('say Insert your card', said.talk)

    def test_states_without_end(self):
        """A service that asks again and again: the questions come to an end."""
        with Peer(*[pin(reason='pin_wrong', text='again'), ANSWERED] * 40):
            said = log_in(answers=[f'{number:06d}' for number in range(40)])  # not one twice, which is not sent again
            self.assertEqual(said.code, MAXTRIES)
            self.assertLess(len(said.asked()), 20)


class Conversations(unittest.TestCase):
    """The program that asks people fails: whatever it calls that."""
    QUESTIONS = {
        'PIN': (GOOD, 0), 'choice': ((reply('choose', choices=[{'id': 'a', 'text': 'A'}, {'id': 'b', 'text': 'B'}]), ANSWERED, grant()), 0),
        'last try': ((pin(tries=1, last_try=True), ANSWERED, grant()), 0),
        'PIN of the last try': ((pin(tries=1, last_try=True), ANSWERED, grant()), 1),
    }

    def test_every_code(self):
        for name, (script, before) in self.QUESTIONS.items():
            for code in (SUCCESS, 4, BUF_ERR, AUTH_ERR, CONV_ERR, IGNORE, ABORT, CONV_AGAIN, INCOMPLETE, 77, -1):
                with self.subTest(f'{name}: {code}'), Peer(*script):
                    said = log_in(answers=['y'] * before + [f'!{code}', PIN])
                    self.assertEqual(said.code, BUF_ERR if code == BUF_ERR else CONV_ERR, said.text)

    def test_change_every_code(self):
        for before in range(3):
            for code in (SUCCESS, IGNORE, CONV_ERR):
                with self.subTest(f'{before}: {code}'), Peer(pin(), ANSWERED, grant()) as peer:
                    said = log_in(answers=[PIN, OTHER, OTHER][:before] + [f'!{code}'], calls=['change'])
                    self.assertEqual((said.code, peer.pins), (CONV_ERR, []), said.text)

    def test_a_program_that_shows_nothing(self):
        """What is only said is no reason to keep anybody out."""
        with Peer(reply('card'), *GOOD):
            self.assertEqual(log_in('mute', answers=[PIN]).code, SUCCESS)

    def test_another_user_meanwhile(self):
        with Peer(*GOOD):
            said = log_in(answers=[f'@bob={pam_rig.masked(PIN)}'])
            self.assertEqual((said.code, said.env), (PERM_DENIED, {}))

    def test_a_name_without_end(self):
        self.assertEqual(log_in(user='a' * 300).code, USER_UNKNOWN)

    def test_an_octet_that_is_no_text(self):
        with Peer(grant()) as peer:
            self.assertEqual(log_in(user=b'al\xff'.decode(errors='surrogateescape')).code, UNAVAILABLE)
            self.assertEqual(peer.begun, [])


class Memory(unittest.TestCase):
    def test_each_piece_in_turn(self):
        """Whichever piece of memory is not there: refused, or nothing was lost by it."""
        with Peer(*GOOD):
            count = log_in(answers=[PIN]).allocations
        self.assertGreater(count, 20)
        refusals = 0
        with Peer(*GOOD):
            for number in range(1, count + 1):
                with self.subTest(number):
                    said = log_in(f'fail={number}', answers=[PIN])
                    refusals += said.code != SUCCESS
                    self.assertNotEqual(said.code, IGNORE, said.text)
                    if said.code == SUCCESS:
                        self.assertEqual(said.user, 'alice')
                        self.assertEqual(list(said.env), ['KRB5CCNAME'])
        self.assertGreater(refusals, count // 2)

    def test_no_pin_is_left(self):
        """Neither in memory, nor beside the card's own pipe."""
        for script, answers, call in ((GOOD, [PIN], 'authenticate'), ((pin(), ANSWERED, grant()), [PIN, OTHER, OTHER], 'change'),
                                      ((pin(),), [PIN], 'authenticate'), ((pin(), ANSWERED, refused()), [PIN], 'authenticate')):
            with self.subTest(call), Peer(*script) as peer:
                said = log_in(answers=answers, calls=[call])
                self.assertFalse(said.found, said.text)
                self.assertNotIn(PIN, str(peer.begun) + str(peer.answers))
                self.assertEqual(peer.pins, answers[:len(peer.pins)])


if __name__ == '__main__':
    pam_rig.enter()
    unittest.main(verbosity=2)
