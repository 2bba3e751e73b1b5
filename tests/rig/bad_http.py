#!/usr/bin/python3
"""bad_http.py --pki DIR --port N [--index FILE] MODE: a server on 127.0.0.1 that answers OCSP or CRL requests wrongly.

Any request
  silent          takes the request, never answers
  reset           takes the connection, closes it
  drip            one byte a second
  huge            42 MB, as announced
  endless         no end, no length announced
  early-close     ends before the announced length
  status=N        this HTTP status and nothing else
  redirect-loop   to itself
  redirect-file   to file:///etc/passwd
  garbage         bytes that are no DER
  replay=FILE     the bytes of FILE whatever was asked (a relative name is in the PKI: ocsp-good.der, inter-expired.crl)
OCSP only: signed by `ocsp`, with the request's nonce, about what the index says, except
  good            as it should be
  no-nonce, wrong-nonce, wrong-serial
  no-eku          signed by ocsp-no-eku
  stranger        signed by ocsp-stranger
  bad-signature   one bit of the signature differs
  stale           of 30 days ago, ended 29 days and 23 hours ago
  future          of tomorrow
  no-next-update
  unknown         says that it does not know the certificate
  try-later       OCSPResponseStatus tryLater, nothing signed
"""
import argparse
import base64
import http.server
import os
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

import pki

HUGE = 42 << 20


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        self.reply(self.rfile.read(int(self.headers.get('Content-Length', 0))))

    def do_GET(self):
        """RFC 6960 appendix A.1: the request may be the path, in base64."""
        path = urllib.parse.unquote(self.path.lstrip('/'))
        try:
            self.reply(base64.b64decode(path, validate=True))
        except ValueError:
            self.reply(b'')

    def reply(self, request):
        self.close_connection = True
        try:
            self.server.mode(self, request)
        except (BrokenPipeError, ConnectionResetError):
            self.log_message('the client left')

    def begin(self, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header('Content-Type', 'application/ocsp-response')
        self.send_header('Connection', 'close')
        if length is not None:
            self.send_header('Content-Length', str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, data):
        self.begin(length=len(data))
        self.wfile.write(data)


def silent(handler, _request):
    while handler.connection.recv(4096):
        pass


def reset(_handler, _request):
    pass


def drip(handler, _request):
    handler.begin(length=HUGE)
    while True:
        handler.wfile.write(b'\x30')
        time.sleep(1)


def huge(handler, _request):
    handler.begin(length=HUGE)
    for _ in range(HUGE >> 16):
        handler.wfile.write(bytes(1 << 16))


def endless(handler, _request):
    handler.begin()
    while True:
        handler.wfile.write(bytes(1 << 16))


def early_close(handler, _request):
    handler.begin(length=1000)
    handler.wfile.write(b'\x30\x82\x03')


def redirect_loop(handler, _request):
    handler.begin(302, 0, Location=handler.path)


def redirect_file(handler, _request):
    handler.begin(302, 0, Location='file:///etc/passwd')


def garbage(handler, _request):
    handler.send(b'<html>Please log in to the hotel network</html>')


def try_later(handler, _request):
    handler.send(bytes.fromhex('30030a0103'))


def status(number):
    return lambda handler, _request: handler.begin(int(number), 0)


def replay(settings, name):
    data = (settings.pki / name).read_bytes()
    return lambda handler, _request: handler.send(data)


def openssl_ocsp(*arguments, when=''):
    command = ['openssl', 'ocsp', *arguments]
    if when:
        command = ['faketime', '-f', when, *command]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30,
                          stdin=subprocess.DEVNULL).stdout


def requested_serial(path):
    return int(openssl_ocsp('-reqin', path, '-req_text').split('Serial Number:')[1].split()[0], 16)


def ask_for_neighbour(path, index):
    """Turn the request into one for another serial, which `index` calls good; the nonce stays."""
    serial = requested_serial(path)
    old, new = (bytes.fromhex(pki.hex_serial(number)) for number in (serial, serial ^ 1))
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    index.write_text(pki.index_line(serial ^ 1, 'neighbour', False))


def responder(settings, signer='ocsp', nonce='kept', neighbour=False, when='', end=('-nmin', '60'), index=None,
              spoil=False):
    """A mode that answers with a signature, in one way differently."""
    inter = settings.pki / 'inter.crt'

    def answer(handler, request):
        with tempfile.TemporaryDirectory() as name:
            asked, told, known = Path(name) / 'request', Path(name) / 'response', index or settings.index
            asked.write_bytes(request)
            if nonce != 'kept':
                openssl_ocsp('-issuer', inter, '-serial', hex(requested_serial(asked)), '-' + nonce, '-reqout', asked)
            if neighbour:
                known = Path(name) / 'index'
                ask_for_neighbour(asked, known)
            openssl_ocsp('-index', known, '-CA', inter, '-rsigner', settings.pki / f'{signer}.crt',
                         '-rkey', settings.pki / f'{signer}.key', '-reqin', asked, '-respout', told, *end, when=when)
            data = bytearray(told.read_bytes())
        if spoil:
            data[signature_end(data)] ^= 1
        handler.send(bytes(data))
    return answer


def signature_end(data):
    """The last byte of the signature: the BIT STRING after the first ecdsa-with-SHA256 (RFC 6960 section 4.2.1)."""
    bits = data.index(b'\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02') + 10
    return bits + 1 + data[bits + 1]


MODES = {
    'silent': silent, 'reset': reset, 'drip': drip, 'huge': huge, 'endless': endless, 'early-close': early_close,
    'redirect-loop': redirect_loop, 'redirect-file': redirect_file, 'garbage': garbage, 'try-later': try_later,
}
RESPONDERS = {
    'good': {}, 'no-nonce': {'nonce': 'no_nonce'}, 'wrong-nonce': {'nonce': 'nonce'},
    'wrong-serial': {'neighbour': True},
    'no-eku': {'signer': 'ocsp-no-eku'}, 'stranger': {'signer': 'ocsp-stranger'}, 'bad-signature': {'spoil': True},
    'stale': {'when': '-30d'}, 'future': {'when': '+1d'}, 'no-next-update': {'end': ()},
    'unknown': {'index': os.devnull},
}


def mode_of(settings):
    name, _, value = settings.mode.partition('=')
    if name == 'status':
        return status(value)
    if name == 'replay':
        return replay(settings, value)
    if name in RESPONDERS:
        return responder(settings, **RESPONDERS[name])
    return MODES[name]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pki', type=Path, required=True)
    parser.add_argument('--index', type=Path)
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('mode')
    settings = parser.parse_args()
    settings.index = settings.index or settings.pki / 'index.txt'
    try:
        mode = mode_of(settings)
    except (KeyError, ValueError, OSError) as error:
        parser.error(f'mode {settings.mode}: {error}')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', settings.port), Handler)
    server.daemon_threads = True
    server.mode = mode
    server.serve_forever()


if __name__ == '__main__':
    main()
