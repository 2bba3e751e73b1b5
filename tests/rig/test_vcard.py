#!/usr/bin/python3
"""test_vcard.py [--pki DIR]: the virtual card, named by CM_VCARD.

Twice: with this program in vpcd's place, where each byte is seen, and in pcscd's reader with OpenSC, a client that is
not ours.
"""
import ctypes
import gzip
import hashlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import rig as rig_module

RIG = None
SECONDS = 20
PIN_COMMAND = '0020008008313233343536FFFF'
WRONG_PIN_COMMAND = '0020008008393939393939FFFF'
ATR = '3b8580018073c00180b6'
SELECT = '00A404000BA00000030800001000010000'
SHA256_PREFIX = bytes.fromhex('3031300d060960864801650304020105000420')


def said(command, status=0, text=True, **options):
    done = subprocess.run(command, capture_output=True, text=text, timeout=30, **options)
    if done.returncode != status:
        raise AssertionError(f'{command}: status {done.returncode}\n{done.stdout}{done.stderr}')
    return done.stdout + done.stderr


def tlv(tag, value):
    size = len(value)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b'\x82' + size.to_bytes(2, 'big')
    return bytes.fromhex(tag) + length + value


def get_data(tag):
    wanted = tlv('5c', bytes.fromhex(tag))
    return f'00CB3FFF{len(wanted):02x}{wanted.hex()}00'


def card_folder(folder, slots, conf='', **files):
    """slots: {'9a': 'alice-rsa2048'}; files: name and text."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    for slot, name in slots.items():
        for form in ('crt', 'key'):
            shutil.copy(RIG.pki / f'{name}.{form}', folder / f'{slot}.{form}')
    (folder / 'card.conf').write_text(conf)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def objects(data):
    """[(tag, value)] of BER-TLV with one- and two-byte tags."""
    found = []
    while data:
        size = 2 if data[0] & 0x1f == 0x1f else 1
        tag, length, at = data[:size].hex(), data[size], size + 1
        if length > 127:
            at += length & 0x7f
            length = int.from_bytes(data[size + 1:at], 'big')
        assert len(data) >= at + length, 'object longer than its data'
        found.append((tag, data[at:at + length]))
        data = data[at + length:]
    return found


def transmit(*commands):
    """The answers of the card in the first reader."""
    class Request(ctypes.Structure):
        _fields_ = [('protocol', ctypes.c_ulong), ('length', ctypes.c_ulong)]
    pcsc = ctypes.CDLL('libpcsclite.so.1')

    def call(name, *arguments):
        status = getattr(pcsc, name)(*arguments)
        assert status == 0, f'{name}: {status & 0xffffffff:08x}'
    context, card, protocol = ctypes.c_long(), ctypes.c_long(), ctypes.c_ulong()
    call('SCardEstablishContext', ctypes.c_ulong(2), None, None, ctypes.byref(context))
    call('SCardConnect', context, b'Virtual PCD 00 00', ctypes.c_ulong(2), ctypes.c_ulong(2),
         ctypes.byref(card), ctypes.byref(protocol))
    answers = []
    for command in map(bytes.fromhex, commands):
        answer, size = ctypes.create_string_buffer(65538), ctypes.c_ulong(65538)
        call('SCardTransmit', card, ctypes.byref(Request(2, 16)), command, ctypes.c_ulong(len(command)), None,
             answer, ctypes.byref(size))
        answers.append(answer.raw[:size.value])
    call('SCardDisconnect', card, ctypes.c_ulong(1))
    call('SCardReleaseContext', context)
    return answers


class Control:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(str(path))
        self.file = self.socket.makefile('rw')

    def send(self, line):
        self.file.write(line + '\n')
        self.file.flush()

    def read(self):
        return self.file.readline().rstrip('\n')

    def ask(self, line):
        self.send(line)
        return self.read()

    def close(self):
        self.file.close()
        self.socket.close()


class Reader:
    """vpcd's side of its protocol."""

    def __init__(self, test, card, *options):
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / 'log'
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(SECONDS)
        command = [os.environ['CM_VCARD'], '--card', card, '--port', str(self.listener.getsockname()[1]), '--log', self.log,
                   '--control', self.folder / 'control', '--gap-ms', '0', *options]
        passed = [int(after) for option, after in zip(options, options[1:]) if option == '--ready-fd']
        self.process = subprocess.Popen(command, pass_fds=passed)
        test.addCleanup(self.end, test)
        self.accept()

    def accept(self):
        self.card, _ = self.listener.accept()
        self.card.settimeout(SECONDS)
        self.power(1)

    def end(self, test):
        self.card.close()
        self.process.terminate()
        test.assertEqual(self.process.wait(SECONDS), 0)
        self.listener.close()
        shutil.rmtree(self.folder)

    def control(self, line):
        control = Control(self.folder / 'control')
        try:
            return control.ask(line)
        finally:
            control.close()

    def send(self, frame):
        self.card.sendall(len(frame).to_bytes(2, 'big') + frame)

    def receive(self):
        """None when the card has gone."""
        data = b''
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], 'big'):
            part = self.card.recv(65536)
            if not part:
                return None
            data += part
        return data[2:]

    def power(self, code):
        self.send(bytes([code]))

    def atr(self):
        self.send(b'\4')
        return self.receive().hex()

    def apdu(self, command):
        """(data, status word in hex); (None, '') when the card has gone."""
        self.send(bytes.fromhex(command))
        answer = self.receive()
        return (None, '') if answer is None else (answer[:-2], answer[-2:].hex())

    def ask(self, command):
        """With GET RESPONSE, and chained where it is long; the commands it took are in the log."""
        raw = bytes.fromhex(command)
        if len(raw) > 261:
            head, body = raw[1:4], raw[7:-2]
            while len(body) > 255:
                self.expect('10' + head.hex() + 'ff' + body[:255].hex(), '9000')
                body = body[255:]
            command = '00' + head.hex() + f'{len(body):02x}' + body.hex() + '00'
        data, sw = self.apdu(command)
        while sw[:2] == '61':
            more, sw = self.apdu('00C00000' + sw[2:])
            data += more
        return data, sw

    def expect(self, command, sw):
        data, got = self.ask(command)
        assert got == sw, f'{command}: {got}, not {sw}'
        return data

    def authenticate(self, algorithm, slot, template, sw='9000'):
        body = tlv('7c', template)
        tail = f'{len(body):02x}{body.hex()}00' if len(body) < 256 else f'00{len(body):04x}{body.hex()}0000'
        data = self.expect(f'0087{algorithm}{slot}{tail}', sw)
        return objects(objects(data)[0][1])[0][1] if data else b''

    def sign(self, algorithm, slot, what, sw='9000'):
        return self.authenticate(algorithm, slot, b'\x82\0' + tlv('81', what), sw)

    def lines(self):
        return [line for line in self.log.read_text().splitlines() if not line.startswith('#')]


class CardCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def folder_of(self, slots=None, conf='', name='card', **files):
        return card_folder(self.folder / name, slots or {'9a': 'alice-rsa2048'}, conf, **files)

    def reader(self, slots=None, conf='', *options, **files):
        return Reader(self, self.folder_of(slots, conf, **files), *options)

    def verify(self, name, digest, signature):
        """By the openssl command and the certificate's own key."""
        (self.folder / 'digest').write_bytes(digest)
        (self.folder / 'signature').write_bytes(signature)
        rsa = ['-pkeyopt', 'digest:sha256', '-pkeyopt', 'rsa_padding_mode:pkcs1'] if 'rsa' in name else []
        said(['openssl', 'pkeyutl', '-verify', '-certin', '-inkey', RIG.pki / f'{name}.crt',
              '-in', self.folder / 'digest', '-sigfile', self.folder / 'signature', *rsa])


def padded(size, digest=b'd' * 32):
    """RFC 8017 9.2"""
    info = SHA256_PREFIX + digest
    return b'\0\1' + b'\xff' * (size - len(info) - 3) + b'\0' + info


class TransportTest(CardCase):
    def test_reset_and_atr(self):
        reader = self.reader(None, 'atr=3B80800101')
        self.assertEqual(reader.atr(), '3b80800101')
        reader.expect(SELECT, '9000')
        reader.expect(PIN_COMMAND, '9000')
        reader.expect('00200080', '9000')
        reader.power(2)
        self.assertEqual(reader.apdu('00200080')[1], '6d00')  # not selected any more
        reader.expect(SELECT, '9000')
        reader.expect('00200080', '63c3')

    def test_ready(self):
        read, write = os.pipe()
        os.set_inheritable(write, True)
        reader = self.reader(None, '', '--ready-fd', str(write))
        os.close(write)
        self.assertTrue(select.select([read], [], [], SECONDS)[0])
        self.assertEqual(os.read(read, 100), b'ready\n')
        self.assertEqual(os.read(read, 100), b'')
        os.close(read)
        self.assertEqual(reader.atr(), ATR)

    def test_lengths(self):
        reader = self.reader()
        reader.expect(SELECT, '9000')
        for command, sw in (('00CB3F', '6700'), ('00CB3FFF055C03', '6700'), ('00CB3FFF055C035FC1050000', '6700'),
                            ('00CB3FFF0000055C035FC1050000', '6700'), ('80CB3FFF055C035FC10500', '6e00'),
                            ('01CB3FFF055C035FC10500', '6881'), ('0CCB3FFF055C035FC10500', '6882'),
                            ('10CB3FFF055C035FC105', '6884'), ('00CB3FFE055C035FC10500', '6a86'),
                            ('00CB3FFF055D035FC10500', '6a80'), ('00DB3FFF055C035FC105', '6d00'),
                            ('00C0000000', '6985')):
            with self.subTest(command):
                self.assertEqual(reader.apdu(command)[1], sw)

    def test_rest_is_abandoned(self):
        reader = self.reader()
        reader.expect(SELECT, '9000')
        data, sw = reader.apdu(get_data('5fc102'))
        self.assertEqual((len(data), sw), (256, '6100'))
        self.assertEqual(reader.apdu('00200080')[1], '63c3')
        self.assertEqual(reader.apdu('00C0000000')[1], '6985')

    def test_short_le(self):
        reader = self.reader()
        reader.expect(SELECT, '9000')
        data, sw = reader.apdu('00CB3FFF035C017E08')
        self.assertEqual((len(data), sw), (8, '610c'))
        self.assertEqual(len(reader.expect('00C0000000', '9000')), 12)

    def test_extended(self):
        reader = self.reader(None, 'extended=yes')
        atr = reader.atr()
        self.assertTrue(atr.startswith('3b8580018073c001c0'))
        check = 0
        for byte in bytes.fromhex(atr)[1:]:
            check ^= byte
        self.assertEqual(check, 0)
        reader.expect(SELECT, '9000')
        data, sw = reader.apdu('00CB3FFF0000055C035FC1020000')
        self.assertEqual(sw, '9000')
        self.assertEqual(len(data), 2600)
        reader.expect(PIN_COMMAND, '9000')
        body = tlv('7c', b'\x82\0' + tlv('81', padded(256)))
        data, sw = reader.apdu(f'0087079A00{len(body):04x}{body.hex()}0000')
        self.assertEqual(sw, '9000')
        self.verify('alice-rsa2048', b'd' * 32, objects(objects(data)[0][1])[0][1])

    def test_chain_ended_by_another(self):
        reader = self.reader()
        reader.expect(SELECT, '9000')
        reader.expect(PIN_COMMAND, '9000')
        body = tlv('7c', b'\x82\0' + tlv('81', padded(256)))
        reader.expect('1087079Aff' + body[:255].hex(), '9000')
        reader.expect('00200080', '9000')
        rest = body[255:]
        reader.expect(f'0087079A{len(rest):02x}{rest.hex()}00', '6a80')

    def test_counts(self):
        reader = self.reader()
        reader.expect(SELECT, '9000')
        reader.expect(get_data('5fc105'), '9000')
        reader.expect(PIN_COMMAND, '9000')
        reader.sign('07', '9A', padded(256))
        self.assertEqual(len(reader.lines()), 1 + 5 + 1 + 3)  # rig.md: 10 commands
        stats = reader.control('stats')
        self.assertRegex(stats, r'^ok commands=10 in=\d+ out=\d+ operations=1 power_ons=1 resets=0 busy=0$')
        total = [sum(int(re.search(rf' {name}=(\d+)', line)[1]) for line in reader.lines()) for name in ('in', 'out')]
        self.assertIn(f'in={total[0]} out={total[1]} ', stats)
        self.assertNotIn('313233', reader.log.read_text())
        self.assertIn('0020008008[8] sw=9000 in=13 out=2', reader.log.read_text())
        self.assertEqual(reader.control('zero'), 'ok')
        self.assertIn('commands=0 in=0 out=0 operations=0', reader.control('stats'))


class ApplicationTest(CardCase):
    def test_select(self):
        reader = self.reader()
        self.assertEqual(reader.apdu(get_data('7e'))[1], '6d00')
        for aid, sw in (('A000000308000010000100', '9000'), ('A00000030800001000', '9000'), ('A000000308', '9000'),
                        ('A000000308000010000200', '6a82'), ('A0000003', '6a82'), ('A000000397425446590201', '6a82')):
            data, got = reader.apdu(f'00A40400{len(aid) // 2:02x}{aid}00')
            self.assertEqual(got, sw, aid)
            if sw == '9000':
                self.assertEqual(objects(objects(data)[0][1])[0], ('4f', bytes.fromhex('000010000100')))
        # a failed SELECT leaves application and PIN as they were
        reader.expect(PIN_COMMAND, '9000')
        reader.apdu('00A4040006A0000000010100')
        reader.expect('00200080', '9000')

    def test_certificates(self):
        slots = {'9a': 'alice-rsa2048', '9c': 'alice-p256', '9d': 'alice-9d', '9e': 'card-auth', '82': 'bob'}
        tags = {'9a': '5fc105', '9c': '5fc10a', '9d': '5fc10b', '9e': '5fc101', '82': '5fc10d'}
        for conf, info in (('gzip=no', b'\0'), ('gzip=yes', b'\1')):
            shutil.rmtree(self.folder / 'card', ignore_errors=True)
            reader = self.reader(slots, conf)
            reader.expect(SELECT, '9000')
            for slot, name in slots.items():
                [(tag, body)] = objects(reader.expect(get_data(tags[slot]), '9000'))
                parts = objects(body)
                self.assertEqual((tag, [part for part, _ in parts]), ('53', ['70', '71', 'fe']))
                self.assertEqual(parts[1:], [('71', info), ('fe', b'')])
                der = gzip.decompress(parts[0][1]) if info == b'\1' else parts[0][1]
                self.assertEqual(der, (RIG.pki / f'{name}.der').read_bytes())
            history = objects(objects(reader.expect(get_data('5fc10c'), '9000'))[0][1])
            self.assertEqual(history, [('c1', b'\1'), ('c2', b'\0'), ('fe', b'')])
            reader.expect(get_data('5fc10e'), '6a82')

    def test_exact_size(self):
        for size in (1280, 1281, 1537, 2000):
            reader = Reader(self, self.folder_of(None, f'size.9a={size}', name=f'card{size}'))
            reader.expect(SELECT, '9000')
            self.assertEqual(len(reader.expect(get_data('5fc105'), '9000')), size)
            self.assertEqual(len(reader.lines()), 1 + -(-size // 256))

    def test_chuid(self):
        reader = self.reader()
        reader.expect(SELECT, '9000')
        data = reader.expect(get_data('5fc102'), '9000')
        self.assertEqual(len(data), 2600)
        parts = objects(objects(data)[0][1])
        self.assertEqual([tag for tag, _ in parts], ['30', '34', '35', '3e', 'fe'])
        self.assertLess(data.index(parts[2][1]) + 8, 256)  # all that matters is in the head
        bits = ''.join(f'{byte:08b}' for byte in parts[0][1])
        symbols = [bits[at:at + 5] for at in range(0, 200, 5)]
        self.assertTrue(all(symbol.count('1') % 2 for symbol in symbols))
        values = [int(symbol[3::-1], 2) for symbol in symbols]
        self.assertEqual((values[0], values[5], values[38]), (0xb, 0xd, 0xf))
        check = 0
        for value in values[:39]:
            check ^= value
        self.assertEqual(check, values[39])
        self.assertEqual(parts[1][1][6] >> 4, 4)  # a random UUID

    def test_chuid_as_told(self):
        fascn, guid = 'D0439458210C2C19A0846D83685A1082108CE73984108CA3FC', '00112233445566778899AABBCCDDEEFF'
        reader = self.reader(None, f'fascn={fascn}\nguid={guid} # fixed\nchuid_size=600')
        reader.expect(SELECT, '9000')
        data = reader.expect(get_data('5fc102'), '9000')
        self.assertEqual(len(data), 600)
        self.assertEqual(objects(objects(data)[0][1])[:2], [('30', bytes.fromhex(fascn)), ('34', bytes.fromhex(guid))])
        (self.folder / 'card/chuid.bin').write_bytes(b'\x34\x00')
        self.assertEqual(reader.control(f'become {self.folder}/card'), 'ok')
        reader.expect(SELECT, '9000')
        self.assertEqual(reader.expect(get_data('5fc102'), '9000'), b'\x53\x02\x34\x00')

    def test_objects_may_be_missing(self):
        reader = self.reader(None, 'chuid=no\ndiscovery=no\nccc=no\nkey_history=no\n')
        reader.expect(SELECT, '9000')
        for tag in ('5fc102', '7e', '5fc107', '5fc10c', '5fc101', '5fc109'):
            reader.expect(get_data(tag), '6a82')

    def test_bad_folder(self):
        for conf in ('retries=16', 'colour=red', 'gzip=maybe', 'guid=00', 'size.9a=10000000'):
            folder = self.folder_of(None, conf, name=conf)
            done = subprocess.run([os.environ['CM_VCARD'], '--card', folder], capture_output=True, text=True,
                                  timeout=SECONDS)
            self.assertEqual(done.returncode, 1)
            self.assertIn('card.conf:1', done.stderr)


class PinTest(CardCase):
    def test_tries(self):
        reader = self.reader(None, '', '--state', str(self.folder / 'tries'))
        reader.expect(SELECT, '9000')
        reader.expect('00200080', '63c3')
        reader.expect('0020008008313233FFFFFFFFFF', '6a80')  # malformed: no try is spent
        reader.expect('0020008006313233343536', '6a80')
        reader.expect(WRONG_PIN_COMMAND, '63c2')
        self.assertEqual((self.folder / 'tries').read_text(), '2\n3\n')
        reader.expect('00200080', '63c2')
        reader.expect(PIN_COMMAND, '9000')
        self.assertEqual(reader.control('tries'), 'ok 3 3')
        reader.expect('00200080', '9000')
        reader.expect('0020FF80', '9000')
        reader.expect('00200080', '63c3')
        for sw in ('63c2', '63c1', '6983'):
            reader.expect(WRONG_PIN_COMMAND, sw)
        reader.expect(PIN_COMMAND, '6983')
        reader.expect('00200080', '6983')
        reader.power(0)
        reader.power(1)
        reader.expect(SELECT, '9000')
        reader.expect('00200080', '6983')
        self.assertEqual(reader.control('tries 1'), 'ok 1 3')
        reader.expect('00200080', '63c1')
        reader.expect('00200000', '6a88')
        reader.expect('00200081', '6a88')

    def test_kept_in_the_folder(self):
        reader = self.reader(None, 'persist=yes\nretries=5', pin='654321\n')
        reader.expect(SELECT, '9000')
        reader.expect(PIN_COMMAND, '63c4')
        self.assertEqual((self.folder / 'card/tries').read_text(), '4\n5\n')
        again = Reader(self, self.folder / 'card')
        again.expect(SELECT, '9000')
        again.expect('00200080', '63c4')
        again.expect('0020008008363534333231FFFF', '9000')
        self.assertEqual((self.folder / 'card/tries').read_text(), '5\n5\n')

    def test_global_pin(self):
        for policy, value in (('both', '6010'), ('global', '6020')):
            folder = self.folder_of(None, f'pin_policy={policy}', name=policy, **{'pin.global': '11112222'})
            reader = Reader(self, folder)
            reader.expect(SELECT, '9000')
            discovery = reader.expect(get_data('7e'), '9000').hex()
            self.assertEqual(discovery, '7e124f0ba0000003080000100001005f2f02' + value)
            reader.sign('07', '9A', padded(256), '6982')
            reader.expect('00200000083131313132323232', '9000')
            reader.sign('07', '9A', padded(256))

    def test_change(self):
        """CHANGE REFERENCE DATA: NIST SP 800-73-4 Part 2, 3.2.2."""
        old, new = b'123456\xff\xff'.hex(), b'87654321'.hex()
        reader = self.reader()
        reader.expect('0024008010' + old + new, '6d00')  # before SELECT there is no such
        reader.expect(SELECT, '9000')
        reader.expect('0024008110' + old + new, '6a88')
        reader.expect('0024018010' + old + new, '6a86')
        reader.expect('0024008008' + old, '6a80')
        reader.expect('0024008010' + old + b'12345\xff\xff\xff'.hex(), '6a80')
        reader.expect('00200080', '63c3')
        reader.expect('0024008010' + new + new, '63c2')
        reader.expect('0024008010' + old + new, '9000')
        reader.expect('00200080', '9000')  # as after a VERIFY
        reader.expect('0020008008' + old, '63c2')
        reader.expect('0020008008' + new, '9000')
        for left in ('63c2', '63c1', '6983', '6983'):
            reader.expect('0024008010' + old + old, left)
        reader.expect('0024008010' + new + old, '6983')
        self.assertNotIn(new.upper(), '\n'.join(reader.lines()))

    def test_rules_of_slots(self):
        reader = self.reader({'9a': 'alice-p256', '9c': 'alice-p384', '9d': 'alice-rsa3072', '9e': 'card-auth'})
        reader.expect(SELECT, '9000')
        reader.sign('11', '9E', b'd' * 32)
        for algorithm, slot, what in (('11', '9A', b'd' * 32), ('14', '9C', b'd' * 48), ('05', '9D', b'\1' * 384)):
            reader.sign(algorithm, slot, what, '6982')
        reader.expect(PIN_COMMAND, '9000')
        reader.sign('11', '9A', b'd' * 32)
        reader.sign('14', '9C', b'd' * 48, '6982')  # not just before
        reader.expect(PIN_COMMAND, '9000')
        reader.sign('14', '9C', b'd' * 48)
        reader.sign('14', '9C', b'd' * 48, '6982')  # once
        reader.sign('05', '9D', b'\1' * 384)
        reader.sign('05', '9D', b'\1' * 383, '6a80')
        reader.sign('05', '9D', b'\xff' * 384, '6a80')  # not below the modulus
        reader.sign('07', '9A', b'\1' * 256, '6a86')
        reader.sign('11', '9B', b'd' * 32, '6a86')
        reader.sign('11', '9A', b'd' * 33, '6a80')
        reader.authenticate('11', '9A', tlv('81', b'd' * 32), '6a80')  # no 82


class KeyTest(CardCase):
    def test_signatures(self):
        for name, algorithm, size in (('alice-rsa2048', '07', 256), ('alice-rsa3072', '05', 384),
                                      ('alice-rsa4096', '16', 512), ('alice-p256', '11', 0), ('alice-p384', '14', 0)):
            with self.subTest(name):
                reader = Reader(self, self.folder_of({'9a': name}, name=name))
                reader.expect(SELECT, '9000')
                reader.expect(PIN_COMMAND, '9000')
                digest = b'd' * 32
                self.verify(name, digest, reader.sign(algorithm, '9A', padded(size) if size else digest))

    def test_decryption(self):
        reader = self.reader({'9d': 'alice-9d'})
        reader.expect(SELECT, '9000')
        reader.expect(PIN_COMMAND, '9000')
        (self.folder / 'plain').write_bytes(b'secret')
        said(['openssl', 'pkeyutl', '-encrypt', '-certin', '-inkey', RIG.pki / 'alice-9d.crt',
              '-in', self.folder / 'plain', '-out', self.folder / 'cipher'])
        clear = reader.sign('07', '9D', (self.folder / 'cipher').read_bytes())
        self.assertEqual((clear[:2], clear.rpartition(b'\0')[2]), (b'\0\2', b'secret'))

    def test_agreement(self):
        for name, algorithm, curve in (('alice-p256', '11', 'P-256'), ('alice-p384', '14', 'P-384')):
            reader = Reader(self, self.folder_of({'9d': name}, name=name))
            reader.expect(SELECT, '9000')
            reader.expect(PIN_COMMAND, '9000')
            key, peer = self.folder / 'other.key', self.folder / 'peer.pem'
            said(['openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', f'ec_paramgen_curve:{curve}', '-out', key])
            public = said(['openssl', 'pkey', '-in', key, '-pubout', '-outform', 'DER'], text=False)
            size = {'P-256': 65, 'P-384': 97}[curve]
            peer.write_text(said(['openssl', 'x509', '-in', RIG.pki / f'{name}.crt', '-noout', '-pubkey']))
            want = said(['openssl', 'pkeyutl', '-derive', '-inkey', key, '-peerkey', peer], text=False)
            self.assertEqual(reader.authenticate(algorithm, '9D', b'\x82\0' + tlv('85', public[-size:])), want)
            off_the_curve = b'\4' + b'\1' * (size - 1)
            reader.authenticate(algorithm, '9D', b'\x82\0' + tlv('85', off_the_curve), '6a80')
            reader.sign(algorithm, '9D', b'd' * 32, '6a80')

    def test_certificate_of_another_key(self):
        reader = self.reader({'9a': 'copied'})
        reader.expect(SELECT, '9000')
        reader.expect(PIN_COMMAND, '9000')
        with self.assertRaises(AssertionError):
            self.verify('alice-rsa2048', b'd' * 32, reader.sign('07', '9A', padded(256)))


class FaultTest(CardCase):
    def after(self, spec, *commands, conf=''):
        """The whole object (5FC105) or the last answer, with this fault."""
        reader = Reader(self, self.folder_of(None, conf, name=spec.replace('/', '_')), '--faults', spec)
        reader.expect(SELECT, '9000')
        for command in commands:
            answer = reader.ask(command)
        return answer

    def whole(self, spec, conf=''):
        data, sw = self.after(spec, get_data('5fc105'), conf=conf)
        self.assertEqual(sw, '9000')
        return data

    def test_shapes_of_data(self):
        good = self.whole('slow=1')
        size, inner = len(good), int.from_bytes(good[6:8], 'big')
        self.assertEqual(self.whole('wrong-tag'), b'\x54' + good[1:])
        self.assertEqual(self.whole('wrong-tag=inner'), good[:4] + b'\x75' + good[5:])
        self.assertEqual(self.whole('tlv-long'), good[:2] + (size - 4 + 64).to_bytes(2, 'big') + good[4:])
        self.assertEqual(self.whole('tlv-short'), good[:2] + (size - 4 - 16).to_bytes(2, 'big') + good[4:])
        self.assertEqual(self.whole('tlv-long=inner'), good[:6] + (inner + 64).to_bytes(2, 'big') + good[8:])
        self.assertEqual(self.whole('tlv-short=inner'), good[:6] + (inner - 16).to_bytes(2, 'big') + good[8:])
        self.assertEqual(self.whole('tlv-zero'), b'\x53\0' + good[4:])
        self.assertEqual(self.whole('tlv-huge'), b'\x53\x84\xff\xff\xff\xff' + good[4:])
        self.assertEqual(self.whole('tlv-huge=inner')[4:10], b'\x70\x84\xff\xff\xff\xff')
        self.assertEqual(self.whole('tlv-indefinite'), b'\x53\x80' + good[4:])
        self.assertEqual(self.whole('empty'), b'\x53\0')
        self.assertEqual(self.whole('truncate'), good[:size // 2])
        self.assertEqual(self.whole('truncate=3'), good[:3])
        self.assertEqual(self.whole('trailing=5'), good + b'\xee' * 5)
        self.assertEqual(self.whole('gzip-flag'), good[:-3] + b'\1' + good[-2:])
        bomb = objects(objects(self.whole('gzip-bomb=4'))[0][1])
        self.assertEqual(bomb[1:], [('71', b'\1'), ('fe', b'')])
        self.assertEqual(len(gzip.decompress(bomb[0][1])), 4 << 20)
        # where it is told to, and nowhere else
        self.assertEqual(self.whole('wrong-tag@tag5fc102'), good)
        self.assertEqual(self.whole('wrong-tag@2'), good)

    def test_shapes_of_answers(self):
        self.assertEqual(self.after('one-byte@2', get_data('7e')), (b'', '7e'))
        self.assertEqual(len(self.after('overlong@insCB', get_data('7e'))[0]), 300)
        self.assertEqual(self.after('sw=6A82@tag7E', get_data('7e')), (b'', '6a82'))
        self.assertEqual(self.after('sw=6581@3+', get_data('7e'), get_data('7e')), (b'', '6581'))

    def test_endless(self):
        reader = self.reader(None, '', '--faults', 'endless-61@tag5fc105')
        reader.expect(SELECT, '9000')
        reader.expect(get_data('7e'), '9000')
        sw = reader.apdu(get_data('5fc105'))[1]
        for _ in range(200):
            self.assertEqual(sw[:2], '61')
            sw = reader.apdu('00C00000' + sw[2:])[1]
        reader.expect('00200080', '63c3')
        self.assertEqual(reader.apdu('00C0000000')[1], '6985')

    def test_verify(self):
        reader = self.reader(None, '', '--faults', 'verify-6f00')
        reader.expect(SELECT, '9000')
        reader.expect(WRONG_PIN_COMMAND, '6f00')
        reader.expect('00200080', '6f00')
        self.assertEqual(reader.control('clear'), 'ok')
        reader.expect('00200080', '63c3')

    def test_signatures(self):
        for name, algorithm, what in (('alice-rsa2048', '07', padded(256)), ('alice-p256', '11', b'd' * 32)):
            reader = Reader(self, self.folder_of({'9a': name}, name=name),
                            '--faults', 'garbage-signature@1,wrong-key@2')
            reader.expect(SELECT, '9000')
            reader.expect(PIN_COMMAND, '9000')
            self.assertEqual(set(reader.sign(algorithm, '9A', what)), {0xa5})
            with self.assertRaises(AssertionError):
                self.verify(name, b'd' * 32, reader.sign(algorithm, '9A', what))
            self.verify(name, b'd' * 32, reader.sign(algorithm, '9A', what))

    def test_slow(self):
        reader = self.reader()
        reader.expect(SELECT, '9000')
        self.assertEqual(reader.control('fault slow=200'), 'ok')
        began = time.monotonic()
        reader.expect(get_data('7e'), '9000')
        self.assertGreaterEqual(time.monotonic() - began, 0.2)
        self.assertEqual(reader.control('clear'), 'ok')

    def test_slow_and_control_at_once(self):
        reader = self.reader(None, '', '--faults', 'slow=600000@2')
        reader.expect(SELECT, '9000')
        reader.send(bytes.fromhex(get_data('7e')))
        rig_module.wait_until(lambda: 'commands=2 ' in reader.control('stats'), 'the command')
        with ReaderControl(reader) as control:
            control.send('remove')
            self.assertIsNone(reader.receive())
            reader.card.close()
            self.assertEqual(control.read(), 'ok')

    def test_removed(self):
        for spec, answered in (('remove@2', False), ('remove@insCB', False), ('remove-after@2', True),
                               ('remove@ins87#2', True)):
            reader = Reader(self, self.folder_of(name=spec), '--faults', spec)
            reader.expect(SELECT, '9000')
            self.assertEqual(reader.apdu(get_data('7e'))[1], '9000' if answered else '')
            if spec == 'remove@ins87#2':
                body = tlv('7c', b'\x82\0' + tlv('81', padded(256)))
                reader.expect('1087079Aff' + body[:255].hex(), '9000')
                self.assertEqual(reader.apdu(f'0087079A{len(body) - 255:02x}{body[255:].hex()}00')[1], '')
            self.assertIsNone(reader.receive())
            reader.card.close()
            with ReaderControl(reader) as control:
                self.assertEqual(control.ask('remove'), 'ok')
                control.send('insert')
                reader.accept()
                self.assertEqual(control.read(), 'ok')
            reader.expect(SELECT, '9000')

    def test_swapped(self):
        other = card_folder(self.folder / 'other', {'9a': 'bob'})
        reader = self.reader(None, '', '--faults', f'swap={other}@insC0#2')
        reader.expect(SELECT, '9000')
        reader.expect(WRONG_PIN_COMMAND, '63c2')
        self.assertEqual(reader.apdu(get_data('5fc105'))[1], '6100')
        self.assertEqual(reader.apdu('00C0000000')[1], '6100')
        self.assertEqual(reader.apdu('00C0000000')[1], '')
        reader.card.close()
        reader.accept()
        reader.expect(SELECT, '9000')
        self.assertIn((RIG.pki / 'bob.der').read_bytes(), reader.expect(get_data('5fc105'), '9000'))
        reader.expect('00200080', '63c3')
        with ReaderControl(reader) as control:  # and back: its tries are its own
            control.send(f'swap {self.folder}/card')
            self.assertIsNone(reader.receive())
            reader.card.close()
            reader.accept()
            self.assertEqual(control.read(), 'ok')
        reader.expect(SELECT, '9000')
        reader.expect('00200080', '63c2')

    def test_become(self):
        other = card_folder(self.folder / 'other', {'9a': 'bob'})
        reader = self.reader(None, '', '--faults', f'become={other}@ins87')
        reader.expect(SELECT, '9000')
        reader.expect(PIN_COMMAND, '9000')
        reader.expect('0087079A047C02820000', '6d00')  # no selection, no PIN
        reader.expect(SELECT, '9000')
        self.assertIn((RIG.pki / 'bob.der').read_bytes(), reader.expect(get_data('5fc105'), '9000'))

    def test_reset(self):
        reader = self.reader(None, '', '--faults', 'reset@4')
        for command, sw in ((SELECT, '9000'), (PIN_COMMAND, '9000'), ('00200080', '9000'), ('00200080', '6d00')):
            reader.expect(command, sw)

    def test_refused(self):
        reader = self.reader()
        for line in ('fault nothing', 'fault slow', 'fault remove@', 'fault remove@ins', 'fault remove@0',
                     'fault remove@3x', 'fault slow=1,nothing', 'fault', 'swap', 'swap /nowhere', 'insert', 'dance'):
            self.assertEqual(reader.control(line)[:6], 'error ', line)
        reader.expect(SELECT, '9000')


class ReaderControl(Control):
    def __init__(self, reader):
        super().__init__(reader.folder / 'control')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class OpenScTest(CardCase):
    """In pcscd's reader. OpenSC's cache would hide commands, and a card that changed."""
    CARDS = {'alice-rsa2048': 'SHA256-RSA-PKCS', 'alice-rsa3072': 'SHA256-RSA-PKCS',
             'alice-p256': 'ECDSA', 'alice-p384': 'ECDSA'}

    @classmethod
    def setUpClass(cls):
        RIG.start('pcscd')
        config = RIG.work / 'opensc.conf'
        config.write_text('app default { framework pkcs15 { use_file_caching = no; } }\n')
        cls.environment = {**os.environ, 'OPENSC_CONF': str(config)}

    def insert(self, slots, conf='', *options):
        log = self.folder / 'apdus'
        log.unlink(missing_ok=True)
        folder = self.folder_of(slots, conf, name=f'card{len(list(self.folder.iterdir()))}')
        self.take_out()
        RIG.launch('card', [os.environ['CM_VCARD'], '--card', folder, '--port', str(rig_module.CARD_PORT), '--log', log,
                            '--control', RIG.card_control, *options], lambda: self.present())
        self.addCleanup(RIG.stop, 'card')
        return log

    def present(self):
        return rig_module.card_is_in(RIG)

    def take_out(self):
        RIG.stop('card')
        rig_module.wait_until(lambda: not self.present(), 'an empty reader')

    def tool(self, *arguments, status=0):
        return said(['pkcs11-tool', *arguments], status, env=self.environment)

    def sign_and_verify(self, name, mechanism, identity):
        message, signature, public = self.folder / 'message', self.folder / 'signature', self.folder / 'public'
        message.write_bytes(b'message')
        signed = message
        if mechanism == 'ECDSA':  # over the hash itself
            signed = self.folder / 'digest'
            signed.write_bytes(hashlib.sha256(b'message').digest())
        self.tool('--login', '--pin', '123456', '--sign', '--id', identity, '-m', mechanism, '-i', signed,
                  '-o', signature, '-f', 'openssl')
        public.write_text(said(['openssl', 'x509', '-in', RIG.pki / f'{name}.crt', '-noout', '-pubkey']))
        check = ['openssl', 'dgst', '-sha256', '-verify', public, '-signature', signature, message]
        self.assertIn('Verified OK', said(check))

    def read_certificate(self, name, identity):
        got = self.folder / 'got'
        self.tool('--read-object', '--type', 'cert', '--id', identity, '-o', got)
        self.assertEqual(got.read_bytes(), (RIG.pki / f'{name}.der').read_bytes())

    def test_keys_and_forms(self):
        for name, mechanism in self.CARDS.items():
            for conf in ('extended=no\ngzip=no', 'extended=yes\ngzip=yes'):
                with self.subTest(name, conf=conf):
                    self.insert({'9a': name, '9c': name, '9d': 'alice-9d', '9e': 'card-auth'}, conf)
                    listed = self.tool('-O', '--login', '--pin', '123456')
                    self.assertEqual(listed.count('Certificate Object'), 4)
                    self.assertEqual(listed.count('Private Key Object'), 4)
                    self.read_certificate(name, '01')
                    self.sign_and_verify(name, mechanism, '01')
                    self.sign_and_verify(name, mechanism, '02')  # 9C: the PIN just before

    def test_retired_key(self):
        """OpenSC looks into slots 82 to 95 only where the key history tells of them (SP 800-73-4 Part 1, 3.3.3)."""
        for conf, there in (('', True), ('key_history=no', False)):
            self.insert({'9a': 'alice-rsa2048', '82': 'bob'}, conf)
            with self.subTest(conf):
                listed = self.tool('-O', '--login', '--pin', '123456')
                self.assertEqual(listed.count('Certificate Object'), 1 + there)
                if there:
                    self.read_certificate('bob', '05')

    def test_key_management(self):
        """What 9D and a retired key open, in other people's hands: decryption for RSA, ECDH for EC."""
        self.insert({'9a': 'alice-rsa2048', '9d': 'alice-p256', '82': 'alice-9d'})
        plain, cipher, out = (self.folder / name for name in ('plain', 'cipher', 'out'))
        plain.write_bytes(b'secret')
        said(['openssl', 'pkeyutl', '-encrypt', '-certin', '-inkey', RIG.pki / 'alice-9d.crt', '-in', plain, '-out', cipher])
        self.tool('--login', '--pin', '123456', '--decrypt', '--id', '05', '-m', 'RSA-PKCS', '-i', cipher, '-o', out)
        self.assertEqual(out.read_bytes(), b'secret')
        key, peer = self.folder / 'other.key', self.folder / 'peer.der'
        said(['openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key])
        said(['openssl', 'pkey', '-in', key, '-pubout', '-outform', 'DER', '-out', peer])
        self.tool('--login', '--pin', '123456', '--derive', '--id', '03', '-m', 'ECDH1-DERIVE', '-i', peer, '-o', out)
        plain.write_text(said(['openssl', 'x509', '-in', RIG.pki / 'alice-p256.crt', '-noout', '-pubkey']))
        want = said(['openssl', 'pkeyutl', '-derive', '-inkey', key, '-peerkey', plain], text=False)
        self.assertEqual(out.read_bytes(), want)

    def test_piv_tool(self):
        self.insert({'9a': 'alice-rsa2048', '9e': 'card-auth'})
        self.assertIn('Personal Identity Verification Card', said(['piv-tool', '-n'], env=self.environment))
        self.assertIn(ATR, said(['opensc-tool', '--atr'], env=self.environment).replace(':', '').lower())
        # piv-tool follows 61xx by itself
        answer = said(['piv-tool', '-s', '00:CB:3F:FF:05:5C:03:5F:C1:02:00'], env=self.environment)
        self.assertIn('(SW1=0x90, SW2=0x00):\n53 82 0A 24 30 19 ', answer)

    def test_extended_apdu(self):
        """OpenSC sends a PIV card short ones only, so this one is sent by libpcsclite."""
        for conf, size, sw in (('extended=yes', 2600, '9000'), ('extended=no', 0, '6700')):
            self.insert({'9a': 'alice-rsa2048'}, conf)
            _, answer = transmit(SELECT, '00CB3FFF0000055C035FC1020000')
            self.assertEqual((len(answer) - 2, answer[-2:].hex()), (size, sw))

    def test_wrong_pin(self):
        log = self.insert({'9a': 'alice-rsa2048'}, '', '--state', str(self.folder / 'tries'))
        for tries in ('2', '1'):
            self.assertIn('CKR_PIN_INCORRECT', self.tool('--login', '--pin', '999999', '-O', status=1))
            self.assertEqual((self.folder / 'tries').read_text().split()[0], tries)
        self.assertIn('final user PIN try', self.tool('-L'))
        self.tool('--login', '--pin', '999999', '-O', status=1)
        self.assertIn('CKR_PIN_LOCKED', self.tool('--login', '--pin', '123456', '-O', status=1))
        self.assertNotIn('393939', log.read_text())

    def test_change_pin(self):
        """As OpenSC changes it."""
        log = self.insert({'9a': 'alice-rsa2048'})
        self.assertIn('CKR_PIN_INCORRECT', self.tool('--login', '--pin', '999999', '--change-pin', '--new-pin', '87654321', status=1))
        self.assertIn('PIN successfully changed', self.tool('--login', '--pin', '123456', '--change-pin', '--new-pin', '87654321'))
        self.assertIn('CKR_PIN_INCORRECT', self.tool('--login', '--pin', '123456', '-O', status=1))
        self.tool('--login', '--pin', '87654321', '-O')
        self.assertNotIn(b'87654321'.hex(), log.read_text())

    def test_removed_and_swapped(self):
        other = card_folder(self.folder / 'other', {'9a': 'bob'})
        self.insert({'9a': 'alice-rsa2048'})
        control = Control(RIG.card_control)
        self.addCleanup(control.close)
        self.read_certificate('alice-rsa2048', '01')
        self.assertEqual(control.ask('remove'), 'ok')
        rig_module.wait_until(lambda: not self.present(), 'an empty reader')
        self.assertEqual(control.ask('insert'), 'ok')
        rig_module.wait_until(self.present, 'the card')
        self.read_certificate('alice-rsa2048', '01')
        self.assertEqual(control.ask(f'swap {other}'), 'ok')
        rig_module.wait_until(self.present, 'the other card')
        self.read_certificate('bob', '01')
        self.assertEqual(control.ask('fault remove@ins87'), 'ok')
        self.tool('--login', '--pin', '123456', '--sign', '--id', '01', '-m', 'SHA256-RSA-PKCS',
                  '-i', '/dev/null', '-o', '/dev/null', status=1)
        rig_module.wait_until(lambda: not self.present(), 'an empty reader')

    def test_pkcs11_own_test(self):
        """pkcs11-tool --test: digests, signatures, decryption, as OpenSC checks a card of its own."""
        self.insert({'9a': 'alice-rsa2048', '9d': 'alice-9d', '9e': 'card-auth'})
        answer = self.tool('--test', '--login', '--pin', '123456')
        self.assertIn('all 4 signature functions seem to work', answer)
        self.assertGreater(answer.count('OK\n'), 20)
        self.assertEqual(re.findall('ERR: (.*) failed', answer), ['C_GenerateRandom'])  # a PIV card has none


if __name__ == '__main__':
    rig_module.enter()
    PKI_FOLDER = 'pki'
    if '--pki' in sys.argv:
        AT = sys.argv.index('--pki')
        PKI_FOLDER = sys.argv[AT + 1]
        del sys.argv[AT:AT + 2]
    if 'CM_VCARD' not in os.environ:
        sys.exit('test_vcard.py: CM_VCARD names no virtual card')
    RIG = rig_module.Rig(PKI_FOLDER, users=10)
    try:
        unittest.main(verbosity=2)
    finally:
        RIG.stop_all()
