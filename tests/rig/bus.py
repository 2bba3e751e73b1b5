"""bus.py: in place of the system's message bus and of logind on it, for tests of what cardmapd tells logind.

It is no dbus-daemon and no logind, and says so here: it speaks the wire protocol of the D-Bus Specification (Authentication
Protocol; Message Protocol) as far as one method call with a text takes it, keeps what it was asked, and answers as it is told to.
What a real logind does is tests/packaging/test_unit_login.py's.
"""
import os
import socket
import struct
import threading
from pathlib import Path

PATH = Path('/run/dbus/system_bus_socket')
CALL, REPLY, ERROR = 1, 2, 3
MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SIGNATURE = 3, 4, 5, 6, 8


def padded(data, to):
    return data + bytes(-len(data) % to)


def text(value):
    return struct.pack('<I', len(value)) + value.encode() + b'\0'


def message(kind, fields, body=b''):
    packed = b''
    for code, signature, value in fields:
        packed = padded(packed, 8) + bytes([code, 1]) + signature.encode() + b'\0'
        packed += struct.pack('<I', value) if signature == 'u' else \
            bytes([len(value)]) + value.encode() + b'\0' if signature == 'g' else text(value)
    head = struct.pack('<cBBBII', b'l', kind, 0, 1, len(body), 1) + struct.pack('<I', len(packed)) + packed
    return padded(head, 8) + body


def read_text(data, at):
    length = struct.unpack_from('<I', data, at)[0]
    return data[at + 4:at + 4 + length].decode(), at + 5 + length


def fields_of(data):
    found, at = {}, 0
    while at < len(data):
        at += -at % 8
        code, size = data[at], data[at + 1]
        signature = data[at + 2:at + 2 + size].decode()
        at += 3 + size
        if signature == 'u':
            found[code], at = struct.unpack_from('<I', data, at)[0], at + 4
        elif signature == 'g':
            found[code], at = data[at + 1:at + 1 + data[at]].decode(), at + 2 + data[at]
        else:
            found[code], at = read_text(data, at + -at % 4)
    return found


def read_message(lines):
    """Kind, fields, serial, body; None: the other side closed."""
    if not (head := lines.read(16)):
        return None
    body_size, serial, size = struct.unpack_from('<III', head, 4)
    fields = fields_of(lines.read(size))
    lines.read(-size % 8)
    return head[1], fields, serial, lines.read(body_size)


class Logind:
    """mode: 'answer', 'silent' (the bus greets, logind says nothing), or the name of an error."""

    def __init__(self, path=PATH):
        self.calls, self.mode = [], 'answer'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self.path, self.socket = path, socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.socket.close()
        self.path.unlink(missing_ok=True)

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile('rb') as lines:
            assert lines.read(1) == b'\0'
            for line in iter(lines.readline, b'BEGIN\r\n'):
                if not line:
                    return
                answers = {b'DATA': b'OK ' + os.urandom(16).hex().encode(), b'NEGOTIATE_UNIX_FD': b'AGREE_UNIX_FD'}
                connection.sendall(answers.get(line.split()[0], b'DATA') + b'\r\n')
            while (received := read_message(lines)) is not None:
                self.take(connection, *received[1:])

    def take(self, connection, fields, serial, body):
        to = [(REPLY_SERIAL, 'u', serial), (DESTINATION, 's', ':1.1')]
        if fields[MEMBER] == 'Hello':
            connection.sendall(message(REPLY, [*to, (SIGNATURE, 'g', 's')], text(':1.1')))
            return
        self.calls.append((fields[MEMBER], read_text(body, 0)[0]))
        if self.mode == 'answer':
            connection.sendall(message(REPLY, to))
        elif self.mode != 'silent':
            connection.sendall(message(ERROR, [*to, (ERROR_NAME, 's', self.mode), (SIGNATURE, 'g', 's')], text('so the test says')))
