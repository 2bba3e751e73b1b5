#!/usr/bin/python3
"""bad_http.py --pki DIR --port N [--index FILE] [--log FILE] MODE: a server that answers OCSP or CRL requests wrongly.

It listens on every address: for the rig's own network. LOG: a line for each request, as web.py writes it.

Any request
  silent          takes the request, never answers
  reset           takes the connection, closes it
  drip            one byte a second
  drip-headers    one byte a second of a header that never ends
  huge            42 MB, as announced
  endless         no end, no length announced
  early-close     ends before the announced length
  status=N        this HTTP status and nothing else
  redirect-loop   to itself
  redirect-file   to file:///etc/passwd
  redirect-private                to http://10.0.0.1:8080/inter.crl
  redirect=URL, redirect-307=URL  there, also a POST (307: which is to be sent again as it is)
  wrong-206       a part of the content that nobody asked for
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
and, made by answers.py, good or revoked as the index says, signed by `ocsp` unless said
  no-nocheck      signed by ocsp-checkable
  expired-signer  signed by ocsp-expired
  issuer-signed   signed by inter
  weak-hash       ecdsa-with-SHA1
  sha1-id, sha256-id              whatever CertID was asked
  twice           good twice in one answer
  get-only        405 to a POST
  max-age=N       Cache-Control: max-age=N
"""
import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import answers
import pki
import web

HUGE = 42 << 20


class Server(web.Server):
    """One mode, a function of (handler, bytes of the request), whatever is asked."""

    def page_for(self, handler):
        handler.close_connection = True
        return self.mode

    def note(self, handler):
        if self.log:
            super().note(handler)


def reset(_handler, _request):
    pass


def huge(handler, _request):
    handler.begin(length=HUGE)
    handler.write(bytes(HUGE))


def endless(handler, _request):
    handler.begin()
    while True:
        handler.write(bytes(1 << 16))


def early_close(handler, _request):
    handler.begin(length=1000)
    handler.write(b'\x30\x82\x03')


def redirect_loop(handler, _request):
    handler.begin(302, 0, Location=handler.path)


def redirect(location, status=302):
    return lambda handler, _request: handler.begin(int(status), 0, Location=location)


def wrong_206(handler, _request):
    handler.begin(206, 4, Content_Range='bytes 5-8/1000')
    handler.write(b'0000')


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


def made(settings, signer='ocsp', **different):
    """A mode of answers.Responder, whose clock, CertIDs and signatures are its own."""
    def answer(handler, request):
        status = {}
        for line in settings.index.read_text().splitlines():
            letter, _, _, serial, *_ = line.split('\t')
            status[int(serial, 16)] = {'V': 'good', 'R': 'revoked keyCompromise'}[letter]
        answers.Responder(settings.pki, 'inter', signer, status, 'unknown', **different).page(handler, request)
    return answer


def signature_end(data):
    """The last byte of the signature: the BIT STRING after the first ecdsa-with-SHA256 (RFC 6960 section 4.2.1)."""
    bits = data.index(b'\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02') + 10
    return bits + 1 + data[bits + 1]


MODES = {
    'silent': web.silent, 'reset': reset, 'drip': web.drip(4000), 'drip-headers': web.drip_headers(), 'huge': huge,
    'endless': endless, 'early-close': early_close, 'garbage': garbage, 'try-later': try_later, 'wrong-206': wrong_206,
    'redirect-loop': redirect_loop, 'redirect-file': redirect('file:///etc/passwd'),
    'redirect-private': redirect('http://10.0.0.1:8080/inter.crl'),
}
RESPONDERS = {
    'good': {}, 'no-nonce': {'nonce': 'no_nonce'}, 'wrong-nonce': {'nonce': 'nonce'},
    'wrong-serial': {'neighbour': True},
    'no-eku': {'signer': 'ocsp-no-eku'}, 'stranger': {'signer': 'ocsp-stranger'}, 'bad-signature': {'spoil': True},
    'stale': {'when': '-30d'}, 'future': {'when': '+1d'}, 'no-next-update': {'end': ()},
    'unknown': {'index': os.devnull},
}
MADE = {
    'no-nocheck': {'signer': 'ocsp-checkable'}, 'expired-signer': {'signer': 'ocsp-expired'},
    'issuer-signed': {'signer': 'inter'}, 'weak-hash': {'hash_name': 'sha1'}, 'twice': {'twice': 'good'},
    'sha1-id': {'cert_id': 'sha1'}, 'sha256-id': {'cert_id': 'sha256'}, 'get-only': {'get_only': True},
}
WITH_VALUE = {'status': status, 'redirect': redirect, 'redirect-307': lambda value: redirect(value, 307)}


def with_request(mode):
    """RFC 6960 appendix A.1: the request may be the path, in base64."""
    return lambda handler, body: mode(handler, body or answers.request_in_path(handler.path))


def mode_of(settings):
    name, _, value = settings.mode.partition('=')
    if name in WITH_VALUE:
        return WITH_VALUE[name](value)
    if name == 'replay':
        return replay(settings, value)
    if name == 'max-age':
        return made(settings, cache=settings.mode)
    if name in RESPONDERS:
        return responder(settings, **RESPONDERS[name])
    if name in MADE:
        return made(settings, **MADE[name])
    return MODES[name]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pki', type=Path, required=True)
    parser.add_argument('--index', type=Path)
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--log', type=Path)
    parser.add_argument('mode')
    settings = parser.parse_args()
    settings.index = settings.index or settings.pki / 'index.txt'
    try:
        mode = mode_of(settings)
    except (KeyError, ValueError, OSError) as error:
        parser.error(f'mode {settings.mode}: {error}')
    server = Server(settings.port, settings.log)
    server.mode = with_request(mode)
    server.serve_forever()


if __name__ == '__main__':
    main()
