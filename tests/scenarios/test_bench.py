#!/usr/bin/python3
"""test_bench.py: bench/run prints figures and nothing else; card commands are as few as promised; accounts, service and load run too."""
import os
import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / 'bench/run'
PROMISED = {'apdus.whois_rsa2048': 6, 'apdus.first_login_rsa2048': 13, 'apdus.first_login_p256': 10}
PEERS = {'apdus.opensc_list', 'apdus.opensc_sign', 'apdus.kinit_opensc'}
SERVICE = {'apdus.service_first_login_rsa2048': 13, 'apdus.known_login_rsa2048': 7, 'apdus.service_first_login_p256': 10, 'apdus.known_login_p256': 5}
IDLE = {'idle_memory', 'idle_memory_cardmapd', 'idle_memory_cardmap-card', 'idle_memory_here'}
LOAD = {f'load_{name}_{what}_{when}' for name in ('cardmapd', 'cardmap-resolver') for what in ('rss', 'anonymous', 'descriptors')
        for when in ('before', 'part_10', 'after')} | {'load_whois_per_second', 'load_login_ms'}
FEW_PARTS = {'CM_SERVICE_USERS': '1000', 'CM_SERVICE_PARTS': 'idle,apdus'}
FEW_LOGINS = {'CM_SERVICE_USERS': '1000', 'CM_LOAD_WHOIS': '10', 'CM_LOAD_LOGINS': '2'}
FEW = {'CM_ACCOUNTS_MANY': '50', 'CM_ACCOUNTS_ROUNDS': '1', 'CM_ACCOUNTS_TURNS': '1'}
ACCOUNTS = {  # what is promised, and what stands beside it
    'first_login_mobile_off_ms', 'first_login_mobile_all_ms', 'making_ms', 'getpwnam_files_many_us', 'getpwnam_mobile_many_us',
    'getpwnam_over_files_many_us', 'getent_over_files_one_ms', 'id_over_files_many_ms', 'records', 'login_online_one_ms',
    'login_online_many_ms', 'login_offline_one_ms', 'login_offline_many_ms', 'login_online_many_stage_chain_ms', 'doctor_all_well_ms',
    'doctor_frozen_ms', 'doctor_refused_ms', 'doctor_dropped_ms', 'doctor_dropped_alone_ms'}


def need(figures, names):
    if missing := names - figures.keys():
        sys.exit(f'not measured: {missing}')


def promise(figures, promised):
    for name, value in promised.items():
        if figures.get(name) != value:
            sys.exit(f'{name}: {figures.get(name)}, promised {value}')


def run(name, **environment):
    done = subprocess.run([BENCH, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(done.stderr)
    figures = {}
    for line in done.stdout.splitlines():
        if not re.fullmatch(r'[a-z_]+\.[a-z0-9_-]+ -?\d+(\.\d+)? [A-Za-z/]+', line):
            sys.exit(f'not NAME VALUE UNIT: {line}')
        figures[line.split()[0]] = float(line.split()[1])
    return figures


def main():
    figures = run('apdus')
    promise(figures, PROMISED)
    need(figures, PEERS)
    if os.geteuid() == 0:  # whose computer of its own it takes
        figures = run('accounts', **FEW)
        need(figures, {f'accounts.{name}' for name in ACCOUNTS})
        if figures['accounts.records'] < 2 * int(FEW['CM_ACCOUNTS_MANY']):
            sys.exit(f'accounts.records: {figures["accounts.records"]}')
        figures = run('service', **FEW_PARTS)
        promise(figures, SERVICE)
        need(figures, {f'service.{name}' for name in IDLE})
        need(run('load', **FEW_LOGINS), {f'service.{name}' for name in LOAD})
    if subprocess.run([BENCH, 'nonsense'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout:
        sys.exit('a wrong name prints on standard output')


if __name__ == '__main__':
    main()
