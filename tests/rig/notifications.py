#!/usr/bin/python3
"""notifications.py SOCKET: in a desktop's place on a real session bus: it owns org.freedesktop.Notifications (Desktop
Notifications Specification), and writes what it is asked to show as lines of JSON: program, title, text.
"""
import json
import os
import socket
import struct
import sys

sys.dont_write_bytecode = True
from bus import CALL, DESTINATION, ERROR, ERROR_NAME, MEMBER, REPLY, REPLY_SERIAL, SIGNATURE, message, padded, read_message, read_text, text  # noqa: E402

OBJECT, INTERFACE, SENDER = 1, 2, 7
BUS, NAME = 'org.freedesktop.DBus', 'org.freedesktop.Notifications'
OWNER = 1  # of RequestName


def ask_bus(connection, lines, member, signature='', body=b''):
    fields = [(OBJECT, 'o', '/org/freedesktop/DBus'), (INTERFACE, 's', BUS), (MEMBER, 's', member), (DESTINATION, 's', BUS)]
    connection.sendall(message(CALL, fields + ([(SIGNATURE, 'g', signature)] if signature else []), body))
    while True:
        kind, fields, _, body = read_message(lines)
        if kind in (REPLY, ERROR) and REPLY_SERIAL in fields:
            return kind, body


def log_in(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    lines = connection.makefile('rb')
    connection.sendall(b'\0AUTH EXTERNAL ' + str(os.geteuid()).encode().hex().encode() + b'\r\n')
    if not lines.readline().startswith(b'OK'):
        raise SystemExit('the bus does not take this user')
    connection.sendall(b'BEGIN\r\n')
    ask_bus(connection, lines, 'Hello')
    kind, body = ask_bus(connection, lines, 'RequestName', 'su', padded(text(NAME), 4) + struct.pack('<I', 0))
    if kind != REPLY or struct.unpack('<I', body)[0] != OWNER:
        raise SystemExit(f'the bus does not give {NAME}')
    return connection, lines


def shown(body):
    """susssasa{sv}i: the program, what it replaces, its icon, the title, the text, and so on."""
    program, at = read_text(body, 0)
    _, at = read_text(body, at + -at % 4 + 4)
    title, at = read_text(body, at + -at % 4)
    return {'program': program, 'title': title, 'text': read_text(body, at + -at % 4)[0]}


def answer(connection, fields, serial, body):
    to = [(REPLY_SERIAL, 'u', serial), (DESTINATION, 's', fields[SENDER])]
    if fields[MEMBER] == 'Notify':
        print(json.dumps(shown(body)), flush=True)
        connection.sendall(message(REPLY, [*to, (SIGNATURE, 'g', 'u')], struct.pack('<I', 1)))
    elif fields[MEMBER] == 'GetCapabilities':
        connection.sendall(message(REPLY, [*to, (SIGNATURE, 'g', 'as')], struct.pack('<I', 9) + text('body')))
    elif fields[MEMBER] == 'GetServerInformation':
        parts = b''
        for part in ('test', 'test', '1', '1.2'):
            parts = padded(parts, 4) + text(part)
        connection.sendall(message(REPLY, [*to, (SIGNATURE, 'g', 'ssss')], parts))
    else:
        connection.sendall(message(ERROR, [*to, (ERROR_NAME, 's', 'org.freedesktop.DBus.Error.UnknownMethod'), (SIGNATURE, 'g', 's')], text('no')))


if __name__ == '__main__':
    bus, messages = log_in(sys.argv[1])
    print(json.dumps({'ready': True}), flush=True)
    while (received := read_message(messages)) is not None:
        if received[0] == CALL:
            answer(bus, *received[1:])
