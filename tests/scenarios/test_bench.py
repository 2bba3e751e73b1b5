#!/usr/bin/python3
"""test_bench.py: bench/run prints figures and nothing else; card commands are as few as promised."""
import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / 'bench/run'
PROMISED = {'apdus.whois_rsa2048': 6, 'apdus.first_login_rsa2048': 13, 'apdus.first_login_p256': 10}
PEERS = {'apdus.opensc_list', 'apdus.opensc_sign', 'apdus.kinit_opensc'}


def main():
    done = subprocess.run([BENCH, 'apdus'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode:
        sys.exit(done.stderr)
    figures = {}
    for line in done.stdout.splitlines():
        if not re.fullmatch(r'[a-z_]+\.[a-z0-9_]+ \d+(\.\d+)? [a-z]+', line):
            sys.exit(f'not NAME VALUE UNIT: {line}')
        figures[line.split()[0]] = float(line.split()[1])
    for name, value in PROMISED.items():
        if figures.get(name) != value:
            sys.exit(f'{name}: {figures.get(name)}, promised {value}')
    if PEERS - figures.keys():
        sys.exit(f'not beside: {PEERS - figures.keys()}')
    if subprocess.run([BENCH, 'nonsense'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout:
        sys.exit('a wrong name prints on standard output')


if __name__ == '__main__':
    main()
