"""bench/service_figures.py: the figures of `bench/run service` and `bench/run load`, which says what each is."""
import array
import collections
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests/rig'))

import computer as computer_module  # noqa: E402
import peers  # noqa: E402
import pam  # noqa: E402
import rig as rig_module  # noqa: E402
from pcsc import OtherClient  # noqa: E402
import service as service_module  # noqa: E402
from rig import PIN  # noqa: E402

SERVERS = ('slapd', 'kdc', 'ocsp', 'http')
PROGRAM = 'gdm-smartcard'  # logs people in at this computer's seat (service.greeters)
ROUNDS = 15
CLIENTS = 8
PAGE = os.sysconf('SC_PAGE_SIZE')
LOAD_WHOIS, LOAD_LOGINS, LOAD_PARTS = 100_000, 2_000, 10
WARM_UP_CARDS = 2048  # CM_KEPT_MAX twice
WARM_UP_LOGINS = 300  # until then pages of the store and of what is remembered for account phases come in
TYPING = 0.3  # seconds: nobody types a PIN faster, and what is made ready meanwhile is ready
FREEZES = {'slapd': (['slapd'], ['account']), 'kdc': (['kdc'], ['possession']), 'ocsp': (['ocsp', 'http'], ['revocation']),
           'all': (list(SERVERS), ['account', 'revocation', 'possession'])}  # who, and the stages that ask them


def figure(name, value, unit):
    print(f'service.{name}', value, unit, flush=True)


def tell(text):
    print(text, file=sys.stderr, flush=True)


def page_frames(pid):
    """Of what is mapped and resident (proc(5), pagemap: bit 63 says present, bits 0 to 54 which)."""
    with open(f'/proc/{pid}/pagemap', 'rb') as entries:
        for line in Path(f'/proc/{pid}/maps').read_text(encoding='utf-8').splitlines():
            first, end = (int(address, 16) // PAGE for address in line.split()[0].split('-'))
            if '[vsyscall]' not in line:
                entries.seek(first * 8)
                yield from (entry & (1 << 55) - 1 for entry in array.array('Q', entries.read((end - first) * 8)) if entry >> 63)


class Host:
    """The computer, with cardmapd from the release build and a card in its reader."""

    def __init__(self, bench):
        self.bench, self.rig = bench, bench.rig
        self.rig.start(*SERVERS, 'pcscd').card('alice-rsa2048')
        self.computer = computer_module.Computer(self.rig)
        self.service = service_module.Service(self.computer, bench.build)
        self.service.store = bench.store / 'accounts.db'  # on the disk of build/: fsync counts
        self.computer.pam(self.service.module)
        self.configure()

    def configure(self, **changes):
        self.service.stop()
        self.service.conf(**{'service__log': 'none', **changes})
        self.service.start()
        self.wait_card()

    def wait_card(self):
        self.service.wait_prepared()

    def log_in(self, user='alice', typing=TYPING, wait=True):
        """Seconds from the PIN to the return of pam_authenticate, and to that of pam_open_session.  Who does not wait for the card to
        be prepared has it prepared when he asks."""
        def answer(_style, _text):
            time.sleep(typing)
            return PIN
        begun = time.monotonic()
        login = pam.log_in(PROGRAM, user, answer)
        self.whole = login.authenticated - begun - typing
        if not login.ok:
            sys.exit(f'bench/run: a login was refused: {login.statuses} {login.said}\n{self.service.log[-3000:]}')
        self.ccache = login.environment.get('KRB5CCNAME')
        if wait:
            self.wait_card()
        return login.authenticated - login.answered_pin, login.ended - login.answered_pin

    def stage(self, name):
        """Milliseconds of the last login's stage of that name, as its line in the log has it: the longest, where it was asked again."""
        line = [line for line in self.service.log.splitlines() if re.search(rf'\b{name} \d+\.\d ms', line)][-1]
        return max(map(float, re.findall(rf'\b{name} (\d+\.\d) ms', line)))

    def whois(self, *arguments):
        done = subprocess.run([self.bench.build / 'bench/bench_whois', service_module.Service.resolver_socket, *map(str, arguments)],
                              stdout=subprocess.PIPE, text=True, env={**os.environ, **self.rig.environment()}, check=False)
        print(done.stdout, end='', flush=True)
        if done.returncode:
            sys.exit(f'bench/run: bench_whois: status {done.returncode}')

    # -- what the processes hold

    def memory_kib(self):
        """PSS of all of them (proc(5), smaps_rollup)."""
        total = {}
        for process in service_module.processes_of_service():
            text = Path(f'/proc/{process.pid}/smaps_rollup').read_text(encoding='ascii')
            total[process.name] = total.get(process.name, 0) + int(re.search(r'(?m)^Pss:\s+(\d+)', text)[1])
        return total

    @staticmethod
    def memory_alone_kib():
        """As memory_kib(), were the rig's processes the only ones of this machine: what others happen to share with ours is ours."""
        mapped, ours = collections.Counter(), {process.pid: process.name for process in service_module.processes_of_service()}
        held, total = {}, {}
        for pid in map(int, filter(str.isdigit, os.listdir('/proc'))):
            try:
                frames = list(page_frames(pid))
            except OSError:  # it has ended
                continue
            mapped.update(frames)
            if pid in ours:
                held[pid] = frames
        if 0 in mapped:
            sys.exit('bench/run: the kernel tells no page frames (proc(5), pagemap): root of a user namespace is not enough')
        for pid, frames in held.items():
            total[ours[pid]] = total.get(ours[pid], 0) + PAGE / 1024 * sum(1 / mapped[frame] for frame in frames)
        return total

    @staticmethod
    def held():
        """Of those that live long: KiB resident, those of them that no file is behind (proc(5), status), and descriptors."""
        found = {}
        for process in service_module.processes_of_service():
            if process.name in ('cardmapd', service_module.RESOLVER):
                status = Path(f'/proc/{process.pid}/status').read_text(encoding='ascii')
                one = [int(re.search(rf'(?m)^{key}:\s+(\d+)', status)[1]) for key in ('VmRSS', 'RssAnon')]
                one.append(len(os.listdir(f'/proc/{process.pid}/fd')))
                found[process.name] = tuple(map(sum, zip(found.get(process.name, (0, 0, 0)), one)))
        return found

    # -- the card alone

    def card_seconds(self):
        """VERIFY and one private-key operation, by another program over the same reader, medians."""
        took = []
        for _ in range(ROUNDS):
            other = OtherClient()
            other.transmit(other.SELECT)
            started = time.monotonic()
            if other.verify(PIN) != '9000':
                sys.exit('bench/run: the card takes no PIN')
            data = '7c8201068200' + '81820100' + '0001' + 'ff' * 221 + '00' + '11' * 32  # SP 800-73-4 part 2, 3.2.4
            parts = [data[at:at + 2 * 255] for at in range(0, len(data), 2 * 255)]
            for at, part in enumerate(parts):
                cla = '00' if at == len(parts) - 1 else '10'
                answer = other.transmit(f'{cla}87079a{len(part) // 2:02x}{part}')
            if answer[-4:-2] == '61':
                answer = other.transmit('00c0000000')
            took.append(time.monotonic() - started)
            if not answer.startswith('7c'):
                sys.exit(f'bench/run: the card does not sign: {answer[:40]}')
            other.close(other.RESET)
        return statistics.median(took)


def card_commands(rig):
    try:
        return [line for line in rig.card_log.read_text().splitlines() if line[:1].isdigit()]
    except FileNotFoundError:
        return []


def put_in(host, name):
    host.rig.card('none')
    host.rig.card(name)
    begun = time.monotonic()
    host.wait_card()
    host.prepared = time.monotonic() - begun


def count(host, name, figure_name):
    """Commands from the card's insertion to the end of the login, as the card counted them."""
    before = len(card_commands(host.rig))
    put_in(host, name)
    host.log_in()
    lines = [line.split()[1][2:4].lower() for line in card_commands(host.rig)[before:]]
    # What the service reads after the login is the next one's.
    end = len(lines) - lines[::-1].index('87')
    while lines[end:end + 1] == ['c0']:
        end += 1
    print(figure_name, end, 'commands', flush=True)


def apdus(host):
    for key in ('rsa2048', 'p256'):
        count(host, f'alice-{key}', f'apdus.service_first_login_{key}')
        count(host, f'alice-{key}', f'apdus.known_login_{key}')


def whois(host):
    host.whois()
    host.whois('clients', CLIENTS)


def logins(host):
    back_to_back = host.bench.program('bench_login', 'online')['login.kinit_verified_ms']
    put_in(host, 'alice-rsa2048')
    card = host.card_seconds() * 1000
    figure('card_ms', f'{card:.2f}', 'ms')
    host.wait_card()
    host.log_in()
    with host.bench.kinit_in_turns() as kinit:
        kinit()
        rounds = [(*kinit(), *host.log_in()) for _ in range(ROUNDS)]  # a busy moment meets both
    tickets, verified, authenticated, sessions = (list(column) for column in zip(*rounds))
    figure('login_online_ms', f'{statistics.median(authenticated) * 1000:.2f}', 'ms')
    figure('login_online_session_ms', f'{statistics.median(sessions) * 1000:.2f}', 'ms')
    for name, kinits in (('limit', tickets), ('limit_verified', verified)):
        figure(f'login_online_{name}_ms', f'{1.1 * statistics.median(kinits) + card:.2f}', 'ms')
        ratios = (took * 1000 / (1.1 * one + card) for took, one in zip(authenticated, kinits))
        figure(f'login_online_ratio_to_{name}', f'{statistics.median(ratios):.2f}', 'ratio')
    figure('login_online_limit_verified_back_to_back_ms', f'{1.1 * back_to_back + card:.2f}', 'ms')
    host.rig.stop(*SERVERS)
    host.log_in()
    offline = [host.log_in()[0] for _ in range(ROUNDS)]
    figure('login_offline_ms', f'{statistics.median(offline) * 1000:.2f}', 'ms')
    figure('login_offline_limit_ms', f'{15 + card:.2f}', 'ms')
    host.rig.start(*SERVERS)


def frozen(host):
    """The first login that meets a silent server, and the next; what is kept of a card's revocation does not do in its place."""
    for name, (names, stages) in FREEZES.items():
        host.service.store = host.bench.store / f'{name}.db'  # where nobody is known to be silent
        host.configure(trust__ask_always='yes', service__log='stderr')
        host.log_in()
        host.rig.freeze(*names)
        try:
            for when in ('first', 'next'):
                put_in(host, 'alice-rsa2048')
                after = host.log_in()[0]
                figure(f'frozen_{name}_{when}_ms', f'{after * 1000:.0f}', 'ms')
                figure(f'frozen_{name}_{when}_whole_ms', f'{(host.whole + host.prepared) * 1000:.0f}', 'ms')
                for stage in stages:
                    figure(f'frozen_{name}_{when}_stage_{stage}_ms', f'{host.stage(stage):.1f}', 'ms')
        finally:
            host.rig.thaw(*names)
        figure(f'frozen_{name}_deadline_ms', sum(host.bench.deadlines(name)), 'ms')


def idle(host):
    host.configure()
    for kind, total in (('idle_memory', host.memory_alone_kib()), ('idle_memory_here', host.memory_kib())):
        figure(kind, f'{sum(total.values()) / 1024:.1f}', 'MB')
        for name, kib in sorted(total.items()):
            figure(f'{kind}_{name}', f'{kib / 1024:.1f}', 'MB')


def measure(bench):
    host = Host(bench)
    try:
        for part in (idle, apdus, whois, logins, frozen):
            if part.__name__ in os.environ.get('CM_SERVICE_PARTS', part.__name__).split(','):
                part(host)
        peers.measure(host.rig, host.service)
    finally:
        host.service.stop()


def parts_of(count, parts):
    """As equal as they can be, together that many."""
    return [count * (at + 1) // parts - count * at // parts for at in range(parts)]


def load_part(host, questions, logins_of):
    """Seconds that the questions took, and the logins."""
    begun = time.monotonic()
    if questions:
        host.whois('load', questions)
    asked = time.monotonic()
    for _ in range(logins_of):
        host.log_in(typing=0, wait=False)
    host.wait_card()
    return asked - begun, time.monotonic() - asked


def tell_held(when, held):
    for name, (resident, anonymous, files) in held.items():
        figure(f'load_{name}_rss_{when}', resident, 'kB')
        figure(f'load_{name}_anonymous_{when}', anonymous, 'kB')
        figure(f'load_{name}_descriptors_{when}', files, 'descriptors')


def load(bench):
    host = Host(bench)
    whois_count, login_count = (int(os.environ.get(f'CM_LOAD_{name}', most)) for name, most in
                                (('WHOIS', LOAD_WHOIS), ('LOGINS', LOAD_LOGINS)))
    try:
        host.log_in()
        # Once through, so that pools and caches are as large as they get: as many cards as answers are kept, and more, a question each.
        host.whois('load', min(WARM_UP_CARDS, whois_count), 1)
        load_part(host, min(max(whois_count // 10, 1000), whois_count), min(WARM_UP_LOGINS, login_count))
        tell_held('before', host.held())
        took = []
        for at, counts in enumerate(zip(parts_of(whois_count, LOAD_PARTS), parts_of(login_count, LOAD_PARTS))):
            took.append(load_part(host, *counts))
            tell_held(f'part_{at + 1}', host.held())
        tell_held('after', host.held())
        whois_seconds, login_seconds = (sum(part) for part in zip(*took))
        figure('load_whois_per_second', f'{whois_count / whois_seconds:.0f}' if whois_count else '-', '/s')
        figure('load_login_ms', f'{login_seconds * 1000 / login_count:.1f}' if login_count else '-', 'ms')
    finally:
        host.service.stop()
