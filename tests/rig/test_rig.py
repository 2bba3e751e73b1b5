#!/usr/bin/python3
"""test_rig.py [--pki DIR]: the rig, checked with clients that are not ours. With CM_VCARD set, the card too."""
import base64
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import unittest
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import answers
import people
import pki
import rig as rig_module
import web
from pcsc import OtherClient
from rig import WEB_PORT

RIG = None


def said(command, status=0, **environment):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                          env={**os.environ, **RIG.environment(), **environment})
    if done.returncode != status:
        raise AssertionError(f'{command}: status {done.returncode}\n{done.stdout}{done.stderr}')
    return done.stdout + done.stderr


def nested(*program, options=()):
    """The command for a rig inside this one."""
    return [rig_module.HERE / 'rig.py', 'run', '--pki', RIG.pki, *options, '--', *program]


def tearDownModule():
    RIG.stop_all()


class PkiTest(unittest.TestCase):
    def verify(self, name, status=0, *more):
        return said(['openssl', 'verify', '-CAfile', RIG.pki / 'root.crt', '-untrusted', RIG.pki / 'inter.crt', *more,
                     RIG.pki / f'{name}.crt'], status)

    def test_chains(self):
        for name in ('alice-rsa2048', 'alice-p256', 'alice-p384', 'alice-rsa4096', 'kdc', 'server', 'ocsp', 'revoked'):
            self.verify(name)
        for name, reason in {'expired': 'expired', 'notyet': 'not yet valid', 'self-signed': 'self-signed',
                             'look-alike': 'unable to get', 'stranger': 'unable to get'}.items():
            self.assertIn(reason, self.verify(name, 2))

    def test_crl_names_the_revoked(self):
        self.assertIn('revoked', self.verify('revoked', 2, '-crl_check', '-CRLfile', RIG.pki / 'inter.crl.pem'))
        self.verify('bob', 0, '-crl_check', '-CRLfile', RIG.pki / 'inter.crl.pem')

    def test_look_alike_differs_in_key_only(self):
        def fields(name):
            return said(['openssl', 'x509', '-in', RIG.pki / f'{name}.crt', '-noout', '-issuer', '-serial'])
        self.assertEqual(fields('look-alike'), fields('alice-rsa2048'))

    def test_alice_takes_five_chunks(self):
        object_size = (RIG.pki / 'alice-rsa2048.der').stat().st_size + 13  # 53 and 70 with lengths, 71 01 00, FE 00
        self.assertEqual(-(-object_size // 256), 5)

    def test_hostile_bytes(self):
        self.assertIn(b'alice@CARDMAP.TEST\0.OTHER.TEST', (RIG.pki / 'nul-upn.der').read_bytes())
        self.assertIn('Alić'.encode('utf-16-be'), (RIG.pki / 'bmp-cn.der').read_bytes())
        self.assertIn('\x14\x0dAlicé'.encode('latin-1'), (RIG.pki / 't61-cn.der').read_bytes())

    def test_people_ldif_needs_a_real_parser(self):
        text = (RIG.pki / 'people.ldif').read_text()
        self.assertIn('\ncn:: ', text)
        self.assertIn('\n ', text)
        self.assertIn('\naltSecurityIdentities: Kerberos:alice@CARDMAP.TEST\n', text)

    def test_card_file_holds_both(self):
        text = (RIG.pki / 'bob.pem').read_text()
        self.assertIn('BEGIN CERTIFICATE', text)
        self.assertIn('BEGIN PRIVATE KEY', text)


class DirectoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        RIG.start('slapd')

    def search(self, query, *options, port=rig_module.LDAP_PORT, scheme='ldap'):
        return said(['ldapsearch', '-LLL', '-x', '-o', 'ldif-wrap=no', '-H', f'{scheme}://127.0.0.1:{port}',
                     '-b', people.BASE, *options, query, 'uid', 'memberOf'], LDAPTLS_CACERT=str(RIG.pki / 'root.crt'))

    def test_starttls_finds_alice(self):
        issuer = 'X509:<I>DC=test,DC=cardmap,CN=Cardmap Test Issuing CA'
        for value in ('Kerberos:alice@CARDMAP.TEST', issuer + '<SR>170a00000000009ea4c2f1d3e0b5170a00004c'):
            answer = self.search(f'(altSecurityIdentities={value})', '-ZZ')
            self.assertIn('uid: alice\n', answer)
            self.assertIn('memberOf: cn=cardholders,ou=groups,dc=cardmap,dc=test', answer)

    def test_ldaps_with_bind(self):
        answer = self.search('(altSecurityIdentities=Kerberos:dave@CARDMAP.TEST)',
                             '-D', people.READER_DN, '-y', RIG.work / 'bind.password',
                             port=rig_module.LDAPS_PORT, scheme='ldaps')
        self.assertEqual(answer.count('dn: '), 2)

    def test_all_accounts(self):
        self.assertEqual(self.search('(objectClass=posixAccount)').count('dn: '), RIG.users)

    def test_frozen_then_thawed(self):
        RIG.freeze('slapd')
        try:
            with self.assertRaises(subprocess.TimeoutExpired):
                subprocess.run(['ldapsearch', '-x', '-H', f'ldap://127.0.0.1:{rig_module.LDAP_PORT}',
                                '-b', people.BASE, '-s', 'base'], capture_output=True, timeout=0.3)
        finally:
            RIG.thaw('slapd')
        self.assertIn('uid: bob', self.search('(uid=bob)'))

    def test_restart(self):
        RIG.stop('slapd')
        self.assertFalse(RIG.is_running('slapd'))
        RIG.start('slapd')
        self.assertIn('uid: bob', self.search('(uid=bob)'))


class KdcTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        RIG.start('kdc')

    def test_pkinit_and_host_ticket(self):
        for name in ('alice-rsa2048', 'alice-p256', 'alice-p384', 'bob'):
            principal = name.split('-')[0]
            said(['kinit', '-X', f'X509_user_identity=FILE:{RIG.pki}/{name}.crt,{RIG.pki}/{name}.key', principal])
            said(['kvno', '-k', RIG.keytab, rig_module.HOST_PRINCIPAL])
            self.assertIn(f'Default principal: {principal}@{pki.REALM}', said(['klist']))

    def test_not_for_another(self):
        said(['kinit', '-X', f'X509_user_identity=FILE:{RIG.pki}/bob.crt,{RIG.pki}/bob.key', 'alice'], 1)


    def test_kdc_told_of_revocation(self):
        kinit = 'kinit -X X509_user_identity=FILE:$CM_RIG_PKI/bob.crt,$CM_RIG_PKI/bob.key bob </dev/null'
        script = f'{kinit} && $CM_RIG revoke bob && ! {kinit} && $CM_RIG unrevoke bob && {kinit}'
        done = subprocess.run(nested('sh', '-c', script, options=['--need', 'kdc', '--kdc-revoke']),
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)


class RevocationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        RIG.start('ocsp', 'http')

    def status(self, name):
        return said(['openssl', 'ocsp', '-issuer', RIG.pki / 'inter.crt', '-cert', RIG.pki / f'{name}.crt',
                     '-url', pki.OCSP, '-CAfile', RIG.pki / 'root.crt'])

    def crl(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(pki.CDP, timeout=10) as answer:
            (RIG.work / 'got.crl').write_bytes(answer.read())
        return said(['openssl', 'crl', '-inform', 'DER', '-in', RIG.work / 'got.crl', '-noout', '-text'])

    def test_revoke_and_back(self):
        serial = pki.hex_serial(pki.BY_NAME['alice-rsa2048'].serial)
        answer = self.status('alice-rsa2048')
        self.assertIn('Response verify OK', answer)
        self.assertIn(': good', answer)
        self.assertNotIn(serial, self.crl())
        RIG.revoke('alice-rsa2048')
        self.assertIn(': revoked', self.status('alice-rsa2048'))
        self.assertIn(serial, self.crl())
        RIG.unrevoke('alice-rsa2048')
        self.assertIn(': good', self.status('alice-rsa2048'))
        self.assertIn('/inter.crl', RIG.http_log.read_text())


class BadServerTest(unittest.TestCase):
    """Each mode does what its name says, as other people's clients see it."""

    def tearDown(self):
        RIG.start('ocsp')

    def asked(self, status=0):
        return said(['openssl', 'ocsp', '-issuer', RIG.pki / 'inter.crt', '-cert', RIG.pki / 'bob.crt',
                     '-url', pki.OCSP, '-timeout', '5', '-CAfile', RIG.pki / 'root.crt'], status)

    def test_ocsp_modes(self):
        for mode, status, says in (
                ('good', 0, ': good'), ('no-nonce', 0, 'WARNING: no nonce'), ('wrong-nonce', 1, 'Nonce Verify error'),
                ('wrong-serial', 1, 'No Status found'), ('no-eku', 1, 'missing ocspsigning usage'),
                ('stranger', 1, 'unable to get local issuer'), ('bad-signature', 1, 'Response Verify Failure'),
                ('stale', 0, 'status expired'), ('future', 0, 'status not yet valid'), ('unknown', 0, ': unknown'),
                ('no-nocheck', 0, ': good'), ('expired-signer', 1, 'certificate has expired'), ('issuer-signed', 0, ': good'),
                ('sha1-id', 0, ': good'), ('sha256-id', 1, 'No Status found'), ('max-age=60', 0, ': good'), ('get-only', 1, '405'),
                ('try-later', 1, 'trylater'), ('replay=ocsp-good.der', 1, 'No Status found'), ('garbage', 1, 'rror')):
            with self.subTest(mode):
                self.assertIn(says, RIG.bad(mode) and self.asked(status))
        self.assertNotIn('Next Update', RIG.bad('no-next-update') and self.asked())

    def test_signed_with_a_weak_hash(self):
        RIG.bad('weak-hash')
        text = said(['openssl', 'ocsp', '-issuer', RIG.pki / 'inter.crt', '-cert', RIG.pki / 'bob.crt', '-url', pki.OCSP,
                     '-CAfile', RIG.pki / 'root.crt', '-resp_text'])
        self.assertIn('Signature Algorithm: ecdsa-with-SHA1', text)

    def test_sent_elsewhere(self):
        for mode, status, location in (('redirect-private', 302, 'http://10.0.0.1:8080/inter.crl'),
                                       ('redirect=http://127.0.0.3:8090/x', 302, 'http://127.0.0.3:8090/x'),
                                       ('redirect-307=http://127.0.0.3:8090/x', 307, 'http://127.0.0.3:8090/x')):
            RIG.bad(mode)
            answer = asked_of(rig_module.OCSP_PORT, '/', method='POST')
            self.assertEqual((answer.status, answer.getheader('Location')), (status, location))

    def test_nobody_says_no(self):
        with socket.socket() as link, self.assertRaises(TimeoutError):
            link.settimeout(0.3)
            link.connect((rig_module.DROPPED, 80))

    def test_sizes(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        RIG.bad('huge')
        with opener.open(pki.OCSP, timeout=10) as answer:
            self.assertEqual(len(answer.read()), 42 << 20)
        RIG.bad('endless')
        with opener.open(pki.OCSP, timeout=10) as answer:
            self.assertEqual(len(answer.read(43 << 20)), 43 << 20)
        RIG.bad('early-close')
        with opener.open(pki.OCSP, timeout=10) as answer, self.assertRaises(http.client.IncompleteRead):
            answer.read()
        RIG.bad('status=503')
        with self.assertRaises(urllib.error.HTTPError) as refusal:
            opener.open(pki.OCSP, timeout=10)
        self.assertEqual(refusal.exception.code, 503)

    def test_never_answers(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        RIG.bad('silent')
        with self.assertRaises(TimeoutError):
            opener.open(pki.OCSP, timeout=0.3)
        RIG.bad('drip')
        with opener.open(pki.OCSP, timeout=5) as answer:
            self.assertEqual(answer.read1(), b'\x30')
        RIG.bad('reset')
        with self.assertRaises(http.client.RemoteDisconnected):
            opener.open(pki.OCSP, timeout=5)


def asked_of(port, path, method='GET', address='127.0.0.1', **headers):
    link = http.client.HTTPConnection(address, port, timeout=10)
    link.request(method, path, headers={name.replace('_', '-'): value for name, value in headers.items()})
    answer = link.getresponse()
    answer.body = answer.read()
    link.close()
    return answer


class WebTest(unittest.TestCase):
    """The list server, and the one inside the tests, seen by Python's own client."""

    @classmethod
    def setUpClass(cls):
        RIG.start('http')
        cls.web = web.Web(WEB_PORT, RIG.work / 'web.requests')

    @classmethod
    def tearDownClass(cls):
        cls.web.close()

    def setUp(self):
        self.web.forget()

    def test_a_list_that_did_not_change(self):
        first = asked_of(rig_module.HTTP_PORT, '/inter.crl', address='127.0.0.2')
        self.assertEqual(first.body, (RIG.work / 'www/inter.crl').read_bytes())
        for header in ({'If_None_Match': first.getheader('ETag')}, {'If_Modified_Since': first.getheader('Last-Modified')}):
            again = asked_of(rig_module.HTTP_PORT, '/inter.crl', **header)
            self.assertEqual((again.status, again.body), (304, b''))
        self.assertEqual(asked_of(rig_module.HTTP_PORT, '/inter.crl', If_None_Match='"other"').status, 200)
        self.assertEqual(asked_of(rig_module.HTTP_PORT, '/none').status, 404)
        self.assertIn(f'127.0.0.2:8080 GET /inter.crl 200 {len(first.body)}\n', RIG.http_log.read_text())
        self.assertIn('127.0.0.1:8080 GET /inter.crl 304 0 If-None-Match\n', RIG.http_log.read_text())

    def test_parts(self):
        self.web.pages['/x'] = web.Page(b'0123456789', etag='"1"')
        for header, expected in ({'Range': 'bytes=4-'}, (206, b'456789')), ({'Range': 'bytes=4-5'}, (206, b'45')), \
                ({'Range': 'bytes=4-', 'If_Range': '"1"'}, (206, b'456789')), ({'Range': 'bytes=10-'}, (416, b'')), \
                ({'Range': 'bytes=4-', 'If_Range': '"2"'}, (200, b'0123456789')):
            answer = asked_of(WEB_PORT, '/x', **header)
            self.assertEqual((answer.status, answer.body), expected)

    def test_ends_early_and_says_how_long_it_may_be_used(self):
        self.web.pages['127.0.0.3/'] = web.Page(bytes(1000), cut=100, cache='max-age=5')
        link = http.client.HTTPConnection('127.0.0.3', WEB_PORT, timeout=10)
        link.request('GET', '/below')
        answer = link.getresponse()
        self.assertEqual(answer.getheader('Cache-Control'), 'max-age=5')
        with self.assertRaises(http.client.IncompleteRead):
            answer.read()
        link.close()
        rig_module.wait_until(lambda: self.web.requests, 'the line')
        self.assertEqual([(got.path, got.sent) for got in self.web.requests], [('/below', 100)])
        self.assertEqual(asked_of(WEB_PORT, '/below').status, 404)

    def test_held_until_all_have_come(self):
        self.web.pages['/x'] = web.Page(b'x', hold=3)
        with ThreadPoolExecutor(3) as pool:
            self.assertEqual([got.body for got in pool.map(lambda _: asked_of(WEB_PORT, '/x'), range(3))], [b'x'] * 3)

    def test_lists_of_every_shape(self):
        point = answers.scope('http://a/', 'http://b/', users=True, indirect=True, reasons=['keyCompromise'])
        der = answers.revocation_list(RIG.pki, 'inter', 'bob', answers.held(RIG.pki, 'dave'), number=300, base=299, idp=point,
                                      fresh=['http://c/'])
        text = said(['openssl', 'crl', '-inform', 'DER', '-in', written(der), '-noout', '-text', '-CAfile',
                     RIG.pki / 'chain.pem'])
        for word in ('verify OK', 'URI:http://b/', 'Only User', 'Indirect CRL', 'Key Compromise', 'Certificate Hold', '299', '300',
                     'URI:http://c/', 'Serial Number: 2002'):
            self.assertIn(word, text)

    def test_responders_of_four_authorities(self):
        for number, authority in enumerate(['root', *pki.DEEP]):
            responder = answers.Responder(RIG.pki, authority, until=None)
            self.web.pages[f'127.0.0.{number + 2}/ocsp/'] = responder.page
            name = f'deep-{number + 1}' if number < 3 else 'deep'
            text = said(['openssl', 'ocsp', '-sha256', '-issuer', RIG.pki / f'{authority}.crt', '-cert', RIG.pki / f'{name}.crt',
                         '-url', pki.at(number + 2, 'ocsp/'), '-CAfile', RIG.pki / 'root.crt',
                         '-verify_other', RIG.pki / 'deep-chain.pem'])
            self.assertIn(': good', text)
            self.assertNotIn('WARNING', text)
            self.assertEqual(responder.asked[0][1].hash_name, 'sha256')

    def test_a_list_in_the_directory(self):
        RIG.start('slapd')
        der = answers.revocation_list(RIG.pki, 'inter', 'bob')
        for expected in ((RIG.pki / 'inter.crl').read_bytes(), der):
            found = said(['ldapsearch', '-LLL', '-x', '-o', 'ldif-wrap=no', '-H', f'ldap://127.0.0.1:{rig_module.LDAP_PORT}',
                          '-b', pki.LISTS_DN, '-s', 'base', 'certificateRevocationList;binary'])
            self.assertEqual(base64.b64decode(found.split('binary:: ')[1]), expected)
            RIG.list_in_directory(der)


def written(data):
    path = RIG.work / 'tmp/written'
    path.write_bytes(data)
    return path


def connection_is_closing():
    """The card's side of vpcd's connection: shut for writing (FIN_WAIT1, FIN_WAIT2; include/net/tcp_states.h)."""
    rows = [line.split() for line in Path('/proc/net/tcp').read_text(encoding='ascii').splitlines()[1:]]
    return any(row[2].endswith(f':{rig_module.CARD_PORT:04X}') and row[3] in ('04', '05') for row in rows)


@unittest.skipUnless(os.environ.get('CM_VCARD'), 'CM_VCARD names no virtual card')
class CardTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        RIG.start('pcscd').card('alice-rsa2048')

    def certificate_in_reader(self):
        read = said(['pkcs15-tool', '--read-certificate', '01'])
        return read[read.index('-----BEGIN'):read.index('-----END')].split()

    def certificate(self, name):
        text = (RIG.pki / f'{name}.crt').read_text()
        return text[:text.index('-----END')].split()

    def test_card_is_seen(self):
        self.assertRegex(said(['opensc-tool', '--atr']), '(?m)^3b:8')

    def test_cards_change(self):
        self.assertEqual(self.certificate_in_reader(), self.certificate('alice-rsa2048'))
        RIG.card('bob')
        self.assertEqual(self.certificate_in_reader(), self.certificate('bob'))
        RIG.card('none')
        self.assertIn('No ', said(['opensc-tool', '-l']))
        RIG.card('alice-rsa2048+9d=')

    def test_a_card_that_went_while_a_client_reset_it(self):
        """pcscd tells clients that the reader is empty before it knows; a card put in then would be seen by nobody."""
        def control(line):
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(30)
                link.connect(str(RIG.card_control))
                link.sendall(line.encode() + b'\n')
                return link.makefile().readline()
        for _ in range(3):
            client = OtherClient()
            taken = threading.Thread(target=control, args=['remove'])
            taken.start()
            rig_module.wait_until(connection_is_closing, 'the card to go')
            client.close(client.RESET)
            taken.join()
            rig_module.wait_until(lambda: not rig_module.card_is_in(RIG), 'pcscd to see it')
            self.assertEqual(control('insert'), 'ok\n')
            rig_module.wait_until(lambda: rig_module.card_is_in(RIG), 'the card to be in')
            self.assertEqual(self.certificate_in_reader(), self.certificate('alice-rsa2048'))

    def test_commands_are_logged(self):
        said(['opensc-tool', '--atr'])
        self.assertIn('a4', RIG.card_log.read_text().lower())


class LifeTest(unittest.TestCase):
    """What is left when a rig's starter is killed: nothing."""

    def test_killed(self):
        for number in (signal.SIGKILL, signal.SIGTERM):
            seconds = f'{4321 + number}.25'
            outer = subprocess.Popen(nested('sleep', seconds, options=['--need', 'http']))
            rig_module.wait_until(lambda wanted=f'sleep {seconds}': wanted in processes(), 'the program inside')
            outer.send_signal(number)
            outer.wait(10)
            rig_module.wait_until(lambda left=seconds: not any(left in line for line in processes()), 'its end', 5)

    def test_status_is_the_programs(self):
        self.assertEqual(subprocess.run(nested('sh', '-c', 'exit 7'), timeout=30).returncode, 7)


def processes():
    return subprocess.run(['ps', 'axo', 'args'], capture_output=True, text=True, timeout=10).stdout.splitlines()


if __name__ == '__main__':
    rig_module.enter()
    folder = 'pki'
    if '--pki' in sys.argv:
        at = sys.argv.index('--pki')
        folder = sys.argv[at + 1]
        del sys.argv[at:at + 2]
    RIG = rig_module.Rig(folder, users=200)
    unittest.main(verbosity=2)
