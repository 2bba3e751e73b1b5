"""bench/revocation.py: the figures of `bench/run revocation`, which says what each is."""
import base64
import functools
import os
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests/rig'))

import answers  # noqa: E402
import pki as pki_module  # noqa: E402
import rig as rig_module  # noqa: E402
import web as web_module  # noqa: E402
from rig import WORK  # noqa: E402

PEER = 'p11_child'  # of SSSD: Debian's package sssd-common
PEER_FOLDERS = '/usr/libexec/sssd:/usr/lib/sssd:/usr/lib/x86_64-linux-gnu/sssd'
ROUNDS = 7
HOSTS = 3  # that meet a silent responder
PATIENCE = 20  # seconds for a peer that waits for a responder without end
MILLION, TEN = 1_000_000, 10
ISSUERS, LISTS_MB = 50, 231
ENTRY = 40.5  # octets of an entry with a serial number of 18
ROUND_TRIP = 0.02  # seconds that a responder is away
CHAIN = ('root', 'deep-1', 'deep-2', 'deep-3')  # who issued what is asked about
CARD = 'alice-rsa2048'


def figure(name, value, unit):
    print(f'revocation.{name}', value, unit, flush=True)


# ---- A peer's process: how long, and how much memory


@functools.cache
def find_peer():
    found = os.environ.get('CM_P11_CHILD') or shutil.which(PEER, path=PEER_FOLDERS)
    if not found:
        print(f'bench/run: {PEER} is not here (package sssd-common): its figures are left out', file=sys.stderr)
    return found


@dataclass(frozen=True)
class Took:
    status: int
    ms: float
    cpu_ms: float
    mb: float        # at its peak


def measured(bench, command):
    """What a whole command took; a status of -1: it was stopped after PATIENCE seconds."""
    done = subprocess.run([bench.build / 'bench/bench_revocation', 'run', str(PATIENCE), *map(str, command)], check=True,
                          stdout=subprocess.PIPE, text=True)
    status, us, cpu_us, kib = map(int, done.stdout.split())
    return Took(status, us / 1e3, cpu_us / 1e3, kib / 1024)


def peer_command(peer, bench, leaf, verify):
    pki = bench.rig.pki
    anchors = WORK / 'peer-anchors.pem'
    anchors.write_text((pki / 'root.crt').read_text() + (pki / 'inter.crt').read_text())
    certificate = base64.b64encode((pki / f'{leaf}.der').read_bytes()).decode('ascii')
    return [peer, '--verification', '--certificate', certificate, '--ca_db', anchors, '--verify', verify]


# ---- Lists of a million entries, and of ten


def make_list(bench, ca, key, made, entries, *more):
    if not made.exists():
        fresh = made.with_name(made.name + '.new')
        bench.run(bench.build / 'tests/rig/crlgen', ca, key, fresh, f'entries={entries}', 'serial_len=18', 'flags=1', *more)
        fresh.replace(made)
    return made


def lists(bench):
    pki = bench.rig.pki
    made = {}
    for name, entries in (('crl1m', MILLION), ('crl10', TEN)):
        made[name] = make_list(bench, pki / 'inter.crt', pki / 'inter.key', Path(bench.disk) / f'{name}.crl', entries)
        bench.program('bench_crl', name, made[name], pki / 'inter.crt', pki / 'no-aia-cdp.crt', f'{bench.disk}/{name}')
    peer = find_peer()
    for name, der in made.items():
        bench.configure(trust__crl_dir=f'{bench.disk}/{name}', trust__level='hard',
                        trust__crl=[pki / 'root.crl'])
        commands = {'check': bench.command('revocation', 'check', pki / 'no-aia-cdp.crt')}
        # OpenSSL under it asks for a list of each CA.
        pem = WORK / 'peer-lists.pem'
        pem.write_bytes((pki / 'root.crl.pem').read_bytes() + answers.pem(der.read_bytes()))
        if peer:
            commands[PEER] = peer_command(peer, bench, 'no-aia-cdp', f'no_ocsp,crl_file={pem}')
        whole_commands(bench, name, commands)


def whole_commands(bench, name, commands):
    """Process and all, in turn: is this certificate, which is not on the list, good?"""
    results = {side: [] for side in commands}
    for _ in range(ROUNDS):
        for side, command in commands.items():
            results[side].append(measured(bench, command))
    for side, rows in results.items():
        tell(f'{name}_{side}_command', commands[side], rows)


def tell(name, command, rows):
    """Computing is told beside, since waiting for others is nobody's merit."""
    if any(row.status != 0 for row in rows):
        sys.exit(f'bench/run: {" ".join(map(str, command))}: status {rows[0].status}')
    figure(f'{name}_ms', f'{statistics.median(row.ms for row in rows):.1f}', 'ms')
    figure(f'{name}_cpu_ms', f'{statistics.median(row.cpu_ms for row in rows):.1f}', 'ms')
    figure(f'{name}_memory', f'{max(row.mb for row in rows):.1f}', 'MB')


def logins(bench):
    """Whole logins, the lists in force: nobody is asked."""
    bench.rig.start('slapd', 'kdc', 'http')
    pairs = [f'{name}={keep_conf(bench, name, trust__use_ocsp="no", trust__crl_dir=f"{bench.disk}/{name}")}'
             for name in ('crl10', 'crl1m')]
    before = bench.requests()
    bench.program('bench_login', 'beside', 'login_list_difference', *pairs)
    figure('login_lists_fetched', sum(request[2] == '/inter.crl' for request in bench.requests()[len(before):]), 'requests')


# ---- Many issuers


def sizes():
    """Entries of each list: a few are large, most are small, as they are at large publishers."""
    weights = [1 / (rank + 1) ** 0.8 for rank in range(ISSUERS)]
    return [int(LISTS_MB * 1e6 / ENTRY * weight / sum(weights)) for weight in weights]


def make_issuer(bench, folder, number, entries):
    """A CA below the root, and its list."""
    pki, name = bench.rig.pki, f'ca-{number:02}'
    key, crt = folder / f'{name}.key', folder / f'{name}.crt'
    if not crt.exists():
        extensions = folder / f'{name}.cnf'
        extensions.write_text('basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n'
                              'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n')
        request = folder / f'{name}.csr'
        bench.run('openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key,
                  '-subj', f'/DC=test/DC=cardmap/CN=Bench CA {number}', '-out', request)
        bench.run('openssl', 'x509', '-req', '-in', request, '-CA', pki / 'root.crt', '-CAkey', pki / 'root.key',
                  '-set_serial', 0x9000 + number, '-days', 3650, '-extfile', extensions, '-out', crt)
    return make_list(bench, crt, key, folder / f'{name}.crl', entries, f'seed={number}', 'next_update=2592000')


def issuers(bench):
    """Fifty CAs with lists of 231 MB in all: made once, under the build folder."""
    folder = bench.build / f'bench-issuers-{ISSUERS}-{LISTS_MB}'
    folder.mkdir(exist_ok=True)
    # lists of another test PKI's root, or near their end, are of no use
    stamp = folder / 'stamp'
    if not stamp.exists() or stamp.stat().st_mtime < max((bench.rig.pki / 'root.crt').stat().st_mtime, time.time() - 86400 * 20):
        shutil.rmtree(folder)
        folder.mkdir()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        made = list(pool.map(lambda each: make_issuer(bench, folder, *each), enumerate(sizes())))
    stamp.touch()
    return folder, made


def many(bench):
    folder, made = issuers(bench)
    total = sum(path.stat().st_size for path in made)
    figure('issuers', len(made), 'CAs')
    figure('issuers_lists', f'{total / 1e6:.0f}', 'MB')
    index = Path(bench.disk) / 'issuers'
    bench.configure(trust__crl_dir=index,
                    trust__intermediates=[bench.rig.pki / 'inter.crt', *sorted(folder.glob('ca-*.crt'))])
    web = web_module.Web(rig_module.WEB_PORT, bench.rig.http_log)
    try:
        for path in made:
            web.pages['/' + path.name] = web_module.Page(path.read_bytes(), etag=f'"{path.name}-1"')
        keep_sources(bench, made)
        refreshes(bench, web, made)
    finally:
        web.close()
    stored = sum(path.stat().st_size for path in index.rglob('*') if path.is_file())
    figure('issuers_index', f'{stored / 1e6:.0f}', 'MB')
    figure('issuers_index_ratio', f'{stored / total:.2f}', 'ratio')
    status = bench.command('revocation', 'status')
    tell('issuers_status', status, [measured(bench, status) for _ in range(31)])


def keep_sources(bench, made):
    """Each as a certificate of its CA would have named it."""
    text = ''.join(f'crl {pki_module.WEB}/{path.name} {path.with_suffix(".crt")}\n' for path in made)
    subprocess.run([*bench.prefix, bench.build / 'bench/bench_revocation', 'sources', bench.store / 'accounts.db'],
                   input=text, text=True, check=True)


def refreshes(bench, web, made):
    """The first fetches all, the second asks all and fetches nothing, the third one that changed."""
    changed = made[ISSUERS // 2]
    fresh = make_list(bench, changed.with_suffix('.crt'), changed.with_suffix('.key'), Path(bench.disk) / 'changed.crl',
                      sizes()[ISSUERS // 2], 'seed=99', 'number=2', 'next_update=2592000')
    for name in ('first', 'unchanged', 'one_changed'):
        if name == 'one_changed':
            web.pages['/' + changed.name] = web_module.Page(fresh.read_bytes(), etag=f'"{changed.name}-2"')
        web.requests.clear()
        took = bench.cardmap('revocation', 'refresh')
        figure(f'issuers_refresh_{name}', f'{took:.2f}', 's')
        figure(f'issuers_refresh_{name}_read', f'{sum(request.sent for request in web.requests) / 1e6:.2f}', 'MB')
        figure(f'issuers_refresh_{name}_requests', len(web.requests), 'requests')


# ---- Responders


def ready_responder(pki, authority):
    """A page that has its answer signed, as large sites have."""
    responder = answers.Responder(pki, authority, nonce='none')
    signed = []

    def page(handler, body):
        if not signed:
            signed.append(responder.answer(body)[1])
        time.sleep(ROUND_TRIP)
        handler.send(signed[0])
    return page


def responders(bench):
    """deep: a card and three CAs, each with a responder of its own, all as far away as ROUND_TRIP says."""
    web = web_module.Web(rig_module.WEB_PORT, WORK / 'bench-web.log')
    try:
        for number, authority in enumerate(CHAIN):
            web.pages[f'127.0.0.{number + 2}/ocsp/'] = ready_responder(bench.rig.pki, authority)
        bench.program('bench_ocsp', bench.rig.pki)
        web.requests.clear()
        bench.program('bench_ocsp', bench.rig.pki, 'kept')
        figure('ocsp_kept_requests', len(web.requests) - len(CHAIN), 'requests')
    finally:
        web.close()


# ---- Responders that give nothing


def silence(bench):
    """At soft: the first login beside one that asks nobody, and those that follow; there is no list."""
    bench.rig.start('slapd', 'kdc')
    peer = find_peer()
    web = web_module.Web(rig_module.WEB_PORT, bench.rig.http_log)
    web.pages['/silent/'] = web_module.silent
    web.pages['/dripping/'] = web_module.drip(length=2000)
    try:
        for name, url in {'refused': 'http://127.0.0.1:1/', 'dropped': f'http://{rig_module.DROPPED}/',
                          'silent': f'{pki_module.WEB}/silent/', 'dripping': f'{pki_module.WEB}/dripping/'}.items():
            silent_one(bench, web, name, url)
            if peer:
                silent_peer(bench, peer, name, url)
    finally:
        web.close()


def silent_one(bench, web, name, url):
    """Beside a host as new that asks nobody, the same logins in turn."""
    first, asked = [], []
    for _ in range(HOSTS):
        nobody = keep_conf(bench, f'{name}_nobody', trust__level='chain')
        somebody = keep_conf(bench, name, trust__use_crl='no', trust__ocsp_url=[url])
        base = login_by(bench, nobody)
        web.came = 0
        first.append(login_by(bench, somebody) - base)
        asked.append(web.came)
    figure(f'{name}_first_ms', f'{statistics.median(first):.0f}', 'ms')
    if url.startswith(pki_module.WEB):
        figure(f'{name}_first_requests', f'{statistics.median(asked):.0f}', 'requests')
    bench.program('bench_login', 'beside', f'{name}_next', f'{name}_nobody={nobody}', f'{name}={somebody}')


def keep_conf(bench, name, **changes):
    """Of a host that is new; its path."""
    bench.use_file_card(**changes)
    return shutil.copy(WORK / 'cardmap.conf', WORK / f'{name}.conf')


def login_by(bench, conf):
    shutil.copy(conf, WORK / 'cardmap.conf')
    return bench.login() * 1000


def silent_peer(bench, peer, name, url):
    """Each time anew; it has no deadline of its own."""
    verify = f'ocsp_default_responder={url},ocsp_default_responder_signing_cert={bench.rig.pki}/inter.crt'
    took = measured(bench, peer_command(peer, bench, CARD, verify))
    figure(f'{name}_{PEER}_ms', f'{took.ms:.0f}', 'ms' if took.status >= 0 else 'ms-until-stopped')


def measure(bench):
    for part in (lists, logins, responders, silence, many):
        print(f'revocation: {part.__name__} ...', file=sys.stderr, flush=True)
        part(bench)
