#!/usr/bin/python3
"""test_bench.py: bench/run prints figures and nothing else; card commands are as few as promised; mobile accounts have theirs."""
import os
import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / 'bench/run'
PROMISED = {'apdus.whois_rsa2048': 6, 'apdus.first_login_rsa2048': 13, 'apdus.first_login_p256': 10}
PEERS = {'apdus.opensc_list', 'apdus.opensc_sign', 'apdus.kinit_opensc'}
FEW = {'CM_ACCOUNTS_MANY': '50', 'CM_ACCOUNTS_ROUNDS': '1', 'CM_ACCOUNTS_TURNS': '1'}
ACCOUNTS = {  # what is promised, and what stands beside it
    'first_login_mobile_off_ms', 'first_login_mobile_all_ms', 'making_ms', 'getpwnam_files_many_us', 'getpwnam_mobile_many_us',
    'getpwnam_over_files_many_us', 'getent_over_files_one_ms', 'id_over_files_many_ms', 'records', 'login_online_one_ms',
    'login_online_many_ms', 'login_offline_one_ms', 'login_offline_many_ms', 'login_online_many_stage_chain_ms', 'doctor_all_well_ms',
    'doctor_frozen_ms', 'doctor_refused_ms', 'doctor_dropped_ms', 'doctor_dropped_alone_ms'}


def run(name, **environment):
    done = subprocess.run([BENCH, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(done.stderr)
    figures = {}
    for line in done.stdout.splitlines():
        if not re.fullmatch(r'[a-z_]+\.[a-z0-9_]+ -?\d+(\.\d+)? [a-z]+', line):
            sys.exit(f'not NAME VALUE UNIT: {line}')
        figures[line.split()[0]] = float(line.split()[1])
    return figures


def main():
    figures = run('apdus')
    for name, value in PROMISED.items():
        if figures.get(name) != value:
            sys.exit(f'{name}: {figures.get(name)}, promised {value}')
    if PEERS - figures.keys():
        sys.exit(f'not beside: {PEERS - figures.keys()}')
    if os.geteuid() == 0:  # whose computer of its own it takes
        figures = run('accounts', **FEW)
        if missing := {f'accounts.{name}' for name in ACCOUNTS} - figures.keys():
            sys.exit(f'not measured: {missing}')
        if figures['accounts.records'] < 2 * int(FEW['CM_ACCOUNTS_MANY']):
            sys.exit(f'accounts.records: {figures["accounts.records"]}')
    if subprocess.run([BENCH, 'nonsense'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout:
        sys.exit('a wrong name prints on standard output')


if __name__ == '__main__':
    main()
