"""answers.py: OCSP answers and revocation lists of every shape, really signed: DER written here, signatures by openssl.

What `openssl ocsp` and `openssl ca` cannot say (SHA-256 CertIDs, no nextUpdate, scopes, deltas, holds that end) is said
with these. An authority or a signer is the name of a certificate in the PKI (pki.py), with its key.
"""
import base64
import hashlib
import subprocess
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

from pki import oid, tlv

SHA1, SHA256 = '1.3.14.3.2.26', '2.16.840.1.101.3.4.2.1'
HASHES = {'sha1': SHA1, 'sha256': SHA256}
ECDSA = {'sha256': '1.2.840.10045.4.3.2', 'sha1': '1.2.840.10045.4.1', 'md5': '1.2.840.113549.2.5'}
NONCE, BASIC = '1.3.6.1.5.5.7.48.1.2', '1.3.6.1.5.5.7.48.1.1'
REASONS = {name: number for number, name in enumerate(
    'unspecified keyCompromise cACompromise affiliationChanged superseded cessationOfOperation certificateHold - '
    'removeFromCRL privilegeWithdrawn aACompromise'.split())}
# Bits of ReasonFlags (RFC 5280 section 4.2.1.13)
FLAGS = {name: bit for bit, name in enumerate(
    'unused keyCompromise cACompromise affiliationChanged superseded cessationOfOperation certificateHold '
    'privilegeWithdrawn aACompromise'.split())}
HOUR, DAY = 3600, 86400


# ---- Reading DER


def split(data):
    """The first element: its tag, its content, what follows it."""
    tag, size, start = data[0], data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], 'big')
    return tag, data[start:start + size], data[start + size:]


def elements(data):
    """Each element of a content: (tag, content, the whole)."""
    out = []
    while data:
        tag, content, rest = split(data)
        out.append((tag, content, data[:len(data) - len(rest)]))
        data = rest
    return out


@dataclass(frozen=True)
class Certificate:
    der: bytes
    serial: int
    issuer: bytes      # DER of the name
    subject: bytes
    key_bits: bytes    # of subjectPublicKey, without the count of unused bits

    @classmethod
    def read(cls, path):
        der = Path(path).read_bytes()
        fields = [item for item in elements(elements(split(der)[1])[0][1]) if item[0] != 0xA0]
        serial, _, issuer, _, subject, key = fields[:6]
        return cls(der, int.from_bytes(serial[1], 'big', signed=True), issuer[2], subject[2], elements(key[1])[1][1][1:])

    def key_id(self):
        return hashlib.sha1(self.key_bits).digest()


def certificate(pki, name):
    return Certificate.read(Path(pki) / f'{name}.der')


# ---- Writing it


def integer(number):
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, 'big', signed=True))


def generalized(when):
    return tlv(0x18, time.strftime('%Y%m%d%H%M%SZ', time.gmtime(when)).encode())


def list_time(when):
    """RFC 5280 section 5.1.2.4: UTCTime through 2049."""
    year = time.gmtime(when).tm_year
    return tlv(0x17, time.strftime('%y%m%d%H%M%SZ', time.gmtime(when)).encode()) if year < 2050 else generalized(when)


def extension(dotted, value, critical=False):
    return tlv(0x30, oid(dotted), tlv(0x01, b'\xff') if critical else b'', tlv(0x04, value))


def bit_string(bits, tag=0x03):
    """A named bit list, without trailing zeroes."""
    last = max(bits)
    value = bytearray(last // 8 + 1)
    for bit in bits:
        value[bit // 8] |= 0x80 >> bit % 8
    return tlv(tag, bytes([7 - last % 8]), bytes(value))


def signed(pki, signer, tbs, hash_name='sha256'):
    """tbs, signatureAlgorithm, signature: of the signer's P-256 key."""
    made = subprocess.run(['openssl', 'dgst', '-' + hash_name, '-sign', Path(pki) / f'{signer}.key'], input=tbs,
                          capture_output=True, check=True, timeout=30).stdout
    return [tbs, tlv(0x30, oid(ECDSA[hash_name])), tlv(0x03, b'\0', made)]


# ---- OCSP (RFC 6960)


@dataclass
class Asked:
    """What a request asks about."""
    hash_name: str
    serial: int
    cert_id: bytes
    nonce: bytes | None


def read_request(der):
    """The first certificate asked about, and the nonce."""
    tbs = elements(split(der)[1])[0][1]
    fields = {tag: content for tag, content, _ in elements(tbs)}
    cert_id = elements(elements(fields[0x30])[0][1])[0]
    algorithm, _, _, serial = elements(cert_id[1])
    hash_name = 'sha256' if oid(SHA256) in algorithm[2] else 'sha1'
    nonce = None
    for _, body, _ in elements(split(fields[0xA2])[1]) if 0xA2 in fields else []:
        if elements(body)[0][2] == oid(NONCE):
            nonce = elements(body)[-1][1]
    return Asked(hash_name, int.from_bytes(serial[1], 'big', signed=True), cert_id[2], nonce)


def cert_id(issuer, serial, hash_name):
    digest = getattr(hashlib, hash_name)
    return tlv(0x30, tlv(0x30, oid(HASHES[hash_name]), tlv(0x05)), tlv(0x04, digest(issuer.subject).digest()),
               tlv(0x04, digest(issuer.key_bits).digest()), integer(serial))


def cert_status(status, revoked_at, reason):
    if status == 'good':
        return tlv(0x80)
    if status == 'unknown':
        return tlv(0x82)
    why = tlv(0xA0, tlv(0x0A, bytes([REASONS[reason]]))) if reason else b''
    return tlv(0xA1, generalized(revoked_at), why)


def ocsp_answer(pki, signer, responses, nonce=None, hash_name='sha256', certificates=None, produced=0):
    """An OCSPResponse that holds these SingleResponses. certificates: names; None: the signer's; produced: seconds from now."""
    who = certificate(pki, signer)
    extensions = tlv(0xA1, tlv(0x30, extension(NONCE, nonce))) if nonce is not None else b''
    data = tlv(0x30, tlv(0xA1, who.subject), generalized(int(time.time()) + produced), tlv(0x30, *responses), extensions)
    included = [certificate(pki, name).der for name in ([signer] if certificates is None else certificates)]
    basic = tlv(0x30, *signed(pki, signer, data, hash_name), tlv(0xA0, tlv(0x30, *included)) if included else b'')
    return tlv(0x30, tlv(0x0A, b'\0'), tlv(0xA0, tlv(0x30, oid(BASIC), tlv(0x04, basic))))


def single(name, status='good', this=0, until=HOUR, reason='', revoked_at=None):
    """A SingleResponse; name: DER of the CertID. this, until: seconds from now; until None: no nextUpdate."""
    now = int(time.time())
    end = tlv(0xA0, generalized(now + until)) if until is not None else b''
    return tlv(0x30, name, cert_status(status, revoked_at or now - DAY, reason), generalized(now + this), end)


@dataclass
class Responder:
    """A responder for the certificates of one authority, to be a page of web.Web; its fields may change at any time."""
    pki: Path
    authority: str
    signer: str = ''               # '': the authority itself
    status: dict = field(default_factory=dict)   # serial -> 'revoked', 'unknown', 'revoked keyCompromise', ...
    default: str = 'good'
    this: int = 0
    until: int | None = HOUR
    nonce: str = 'kept'            # kept, none, wrong
    cert_id: str = ''              # '': as asked; sha1, sha256
    hash_name: str = 'sha256'      # of the signature
    cache: str = ''                # Cache-Control
    age: int = 0                   # Age: seconds that a proxy has had the answer
    hold: int = 0                  # as web.Page
    get_only: bool = False
    wrong_serial: bool = False
    twice: str = ''                # another answer about the certificate: its status
    certificates: list | None = None
    expected: set = field(default_factory=set)   # not empty: the CertID of the request must name one of these
    asked: list = field(default_factory=list)    # of each request: (method, Asked)

    def answer(self, body):
        asked = read_request(body)
        serial = asked.serial ^ 1 if self.wrong_serial else asked.serial
        name = asked.cert_id
        if self.cert_id or self.wrong_serial:
            name = cert_id(certificate(self.pki, self.authority), serial, self.cert_id or asked.hash_name)
        status, _, reason = self.status.get(serial, self.default).partition(' ')
        told = [single(name, status, self.this, self.until, reason)]
        if self.twice:
            told.append(single(name, self.twice, self.this, self.until))
        nonce = {'kept': asked.nonce, 'none': None, 'wrong': tlv(0x04, b'another one')}[self.nonce]
        return asked, ocsp_answer(self.pki, self.signer or self.authority, told, nonce, self.hash_name, self.certificates,
                                  max(self.this, 0))

    def page(self, handler, body):
        if self.hold and not handler.server.wait_for(self.hold):
            handler.close_connection = True
            return
        body = body or request_in_path(handler.path)
        if not body or self.get_only and handler.command != 'GET':
            handler.begin(405, 0)
            return
        asked, data = self.answer(body)
        self.asked.append((handler.command, asked))
        headers = {'Cache-Control': self.cache, 'Age': str(self.age) if self.age else ''}
        handler.send(data, **{name: value for name, value in headers.items() if value})


def request_in_path(path):
    """RFC 6960 appendix A.1: the last part of the path is the request in base64, itself escaped."""
    for start in [end + 1 for end, letter in enumerate(path) if letter == '/']:
        try:
            return base64.b64decode(urllib.parse.unquote(path[start:]), validate=True)
        except ValueError:
            continue
    return b''


# ---- Revocation lists (RFC 5280 section 5)


@dataclass(frozen=True)
class Entry:
    serial: int
    reason: str = ''               # a name of REASONS
    revoked: int = -DAY            # seconds from now
    issuer: bytes = b''            # DER of the certificate issuer's name, in indirect lists

    def der(self, now):
        extensions = []
        if self.reason:
            extensions.append(extension('2.5.29.21', tlv(0x0A, bytes([REASONS[self.reason]]))))
        if self.issuer:
            extensions.append(extension('2.5.29.29', tlv(0x30, tlv(0xA4, self.issuer)), critical=True))
        return tlv(0x30, integer(self.serial), list_time(now + self.revoked),
                   tlv(0x30, *extensions) if extensions else b'')


def uri(text):
    return tlv(0x86, text.encode())


def scope(*points, users=False, authorities=False, attributes=False, indirect=False, reasons=()):
    """issuingDistributionPoint."""
    parts = [tlv(0xA0, tlv(0xA0, *map(uri, points)))] if points else []
    parts += [tlv(tag, b'\xff') for tag, wanted in ((0x81, users), (0x82, authorities)) if wanted]
    if reasons:
        parts.append(bit_string([FLAGS[reason] for reason in reasons], 0x83))
    parts += [tlv(tag, b'\xff') for tag, wanted in ((0x84, indirect), (0x85, attributes)) if wanted]
    return extension('2.5.29.28', tlv(0x30, *parts), critical=True)


def freshest(*urls):
    """FreshestCRL, in a list or in a certificate: DER of the value."""
    return tlv(0x30, tlv(0x30, tlv(0xA0, tlv(0xA0, *map(uri, urls)))))


def revocation_list(pki, authority, *entries, number=1, base=None, this=-60, until=7 * DAY, idp=b'', fresh=(), signer=''):
    """A CertificateList in DER. entries: Entry, serial numbers, or names of certificates in the PKI.

    this, until: seconds from now; base: makes a delta of it; idp: of scope(); signer: whose key signs instead.
    """
    now, who = int(time.time()), certificate(pki, authority)
    extensions = [extension('2.5.29.35', tlv(0x30, tlv(0x80, who.key_id())))]
    if number is not None:
        extensions.append(extension('2.5.29.20', integer(number)))
    if base is not None:
        extensions.append(extension('2.5.29.27', integer(base), critical=True))
    extensions += [idp] if idp else []
    if fresh:
        extensions.append(extension('2.5.29.46', freshest(*fresh)))
    listed = [entry_of(pki, entry).der(now) for entry in entries]
    tbs = tlv(0x30, integer(1), tlv(0x30, oid(ECDSA['sha256'])), who.subject, list_time(now + this),
              list_time(now + until) if until is not None else b'', tlv(0x30, *listed) if listed else b'',
              tlv(0xA0, tlv(0x30, *extensions)))
    return tlv(0x30, *signed(pki, signer or authority, tbs))


def entry_of(pki, entry):
    if isinstance(entry, str):
        return Entry(certificate(pki, entry).serial)
    return Entry(entry) if isinstance(entry, int) else entry


def held(pki, name):
    return Entry(certificate(pki, name).serial, 'certificateHold')


def released(pki, name):
    return Entry(certificate(pki, name).serial, 'removeFromCRL')


def pem(der, label='X509 CRL'):
    text = base64.encodebytes(der).decode()
    return f'-----BEGIN {label}-----\n{text}-----END {label}-----\n'.encode()
