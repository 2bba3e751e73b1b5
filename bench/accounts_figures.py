"""bench/accounts_figures.py: the figures of `bench/run accounts`, which says what each is."""
import os
import pwd
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests/rig'))

import computer as computer_module  # noqa: E402
import pam  # noqa: E402
import rig as rig_module  # noqa: E402
import service as service_module  # noqa: E402
import service_figures  # noqa: E402
from rig import PIN, WORK, wait_until  # noqa: E402

MANY = int(os.environ.get('CM_ACCOUNTS_MANY', 10_000))
ROUNDS = int(os.environ.get('CM_ACCOUNTS_ROUNDS', 8))  # of each side, before the other has its turn
TURNS = int(os.environ.get('CM_ACCOUNTS_TURNS', 4))
LOOKUPS = 2000
FIRST_UID = 100_000
USERDB = Path('/etc/userdb')
LOCAL = computer_module.LOCAL
SERVERS = service_figures.SERVERS


def figure(name, value, unit):
    print(f'accounts.{name}', value, unit, flush=True)


class Host(service_figures.Host):
    """alice is in the directory alone; records of mobile accounts lie on the disk of build/, as the store does."""

    def __init__(self, bench):
        super().__init__(bench)
        self.computer.pam(self.service.module, 'allow_missing_name')
        for path in USERDB.iterdir():
            path.unlink()
        self.stores = {name: bench.store / name for name in ('one', 'many')}
        for name, folder in self.stores.items():
            (folder / 'userdb').mkdir(parents=True, mode=0o755)
            folder.chmod(0o755)
        rig_module.run(['mount', '--bind', self.stores['many'] / 'userdb', USERDB])

    def use(self, name, **changes):
        """cardmapd with one of the stores; its records are where names are looked up, for 'many'."""
        folder = self.stores[name]
        self.service.stop()
        self.service.store = folder / 'accounts.db'
        self.configure(accounts__userdb=str(USERDB if name == 'many' else folder / 'userdb'), service__log='stderr', **changes)

    def enter(self):
        """Seconds from the PIN to the return of pam_authenticate: what comes behind is not ours."""
        login = pam.log_in(service_figures.PROGRAM, 'alice', self.type_pin)
        if login.statuses[:1] != [pam.SUCCESS]:
            sys.exit(f'bench/run: a login was refused: {login.statuses} {login.said}\n{self.service.log[-3000:]}')
        self.wait_card()
        return login.authenticated - login.answered_pin

    @staticmethod
    def type_pin(_style, _text):
        time.sleep(service_figures.TYPING)
        return PIN

    def forget(self):
        """alice was never here."""
        self.service.ask('io.cardmap.Accounts', {'forget': 'alice'})
        wait_until(lambda: not (USERDB / 'alice.user').exists(), 'the records of alice to go')

    def fill(self):
        """As many accounts as MANY, and their records, as cardmapd writes them: where fsync is free, and then on the disk."""
        made = WORK / 'many'
        (made / 'userdb').mkdir(parents=True, mode=0o755)
        rig_module.run([self.bench.build / 'bench/bench_store', made / 'accounts.db', str(MANY), str(FIRST_UID)])
        self.service.stop()
        self.service.store = made / 'accounts.db'
        self.service.conf(service__log='none', accounts__userdb=str(made / 'userdb'))
        begun = time.monotonic()
        self.service.start()
        wait_until(lambda: len(os.listdir(made / 'userdb')) >= 2 * MANY, 'the records of all', 300)
        figure('records_of_many_s', f'{time.monotonic() - begun:.1f}', 's')
        self.service.stop()
        with sqlite3.connect(made / 'accounts.db') as store:
            store.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        store.close()
        folder = self.stores['many']
        for path in [*folder.glob('accounts.db*'), *USERDB.iterdir()]:
            path.unlink()
        shutil.copy(made / 'accounts.db', folder / 'accounts.db')
        (folder / 'accounts.db').chmod(0o600)
        rig_module.run(['cp', '-a', f'{made}/userdb/.', USERDB])
        shutil.rmtree(made)


def medians(took, unit, scale, names):
    found = {name: statistics.median(values) * scale for name, values in took.items()}
    for name, value in found.items():
        figure(names.format(name), f'{value:.2f}', unit)
    return found


def turns(sides, rounds=None, between=None):
    """{name: seconds of each}: a block of each side in turn, so that a busy minute meets both."""
    took = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, (prepare, run) in sides.items():
            prepare()
            run()
            for _ in range(rounds or ROUNDS):
                if between:
                    between()
                took[name].append(run())
    return took


# -- the first login


def making(host):
    took = turns({mobile: (lambda mobile=mobile: host.use('many', accounts__mobile=mobile), host.enter) for mobile in ('off', 'all')},
                 between=host.forget)
    found = medians(took, 'ms', 1000, 'first_login_mobile_{}_ms')
    figure('making_ms', f"{found['all'] - found['off']:.2f}", 'ms')


# -- names


def each(run):
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def names(host, when):
    """With nobody who could be asked: a user of /etc/passwd, and a mobile one."""
    host.rig.stop(*SERVERS)
    sides = {'files': LOCAL, 'mobile': 'alice'}
    took = {name: [] for name in sides}
    for _ in range(LOOKUPS):
        for name, user in sides.items():
            took[name].append(each(lambda: pwd.getpwnam(user)))
    found = medians(took, 'us', 1e6, f'getpwnam_{{}}_{when}_us')
    figure(f'getpwnam_over_files_{when}_us', f"{found['mobile'] - found['files']:.2f}", 'us')
    for program in (['getent', 'passwd'], ['id']):
        took = {name: [] for name in sides}
        for _ in range(31):
            for name, user in sides.items():
                took[name].append(each(lambda: subprocess.run([*program, user], stdout=subprocess.DEVNULL, check=True)))
        found = medians(took, 'ms', 1000, f'{program[0]}_{{}}_{when}_ms')
        figure(f'{program[0]}_over_files_{when}_ms', f"{found['mobile'] - found['files']:.2f}", 'ms')
    host.rig.start(*SERVERS)


# -- many accounts


def beside_many(host):
    sides = {name: (lambda name=name: host.use(name), host.enter) for name in ('one', 'many')}
    figure('records', len(os.listdir(USERDB)), 'files')
    for name in sides:
        host.use(name)
        host.enter()
    for when in ('online', 'offline'):
        if when == 'offline':
            host.rig.stop(*SERVERS)
        found = medians(turns(sides), 'ms', 1000, f'login_{when}_{{}}_ms')
        figure(f'login_{when}_many_over_one_ms', f"{found['many'] - found['one']:.2f}", 'ms')
        for name in sides:
            host.use(name)
            host.enter()
            host.enter()
            for stage in ('chain', 'account', 'revocation', 'remember') if when == 'online' else ('chain', 'account', 'revocation'):
                figure(f'login_{when}_{name}_stage_{stage}_ms', f'{host.stage(stage):.1f}', 'ms')
    host.rig.start(*SERVERS)


# -- doctor


def run_doctor(host, *arguments):
    done = subprocess.run([host.bench.build / 'cli/cardmap', 'doctor', 'alice', *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env={**os.environ, **host.rig.environment()})
    if done.returncode not in (0, 1, 3) or 'opens with no network' not in done.stdout:
        sys.exit(f'bench/run: cardmap doctor: status {done.returncode}\n{done.stdout}')


def time_doctor(host, name):
    ways = {'': (), '_alone': ('--no-service',)}
    took = {way: [] for way in ways}
    for _ in range(ROUNDS + 3):
        for way, arguments in ways.items():
            took[way].append(each(lambda: run_doctor(host, *arguments)))
    for way, values in took.items():
        figure(f'doctor_{name}{way}_ms', f'{statistics.median(values) * 1000:.0f}', 'ms')
        figure(f'doctor_{name}{way}_worst_ms', f'{max(values) * 1000:.0f}', 'ms')


def doctor(host):
    host.use('many')
    host.enter()
    time_doctor(host, 'all_well')
    host.rig.freeze(*SERVERS)
    time_doctor(host, 'frozen')
    host.rig.thaw(*SERVERS)
    host.rig.stop(*SERVERS)
    time_doctor(host, 'refused')
    gone = rig_module.DROPPED
    host.use('many', directory__uri=[f'ldap://{gone}', f'ldap://{gone}:390'], kerberos__kdc=[gone, f'{gone}:89'],
             trust__ocsp_url=[f'http://{gone}/'])
    time_doctor(host, 'dropped')
    host.rig.start(*SERVERS)


def measure(bench):
    host = Host(bench)
    try:
        making(host)
        host.use('many')
        host.enter()
        names(host, 'one')
        host.fill()
        beside_many(host)
        names(host, 'many')
        doctor(host)
    finally:
        host.service.stop()
        host.rig.start(*SERVERS)
        rig_module.run(['umount', USERDB])
