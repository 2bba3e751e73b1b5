#!/usr/bin/python3
"""test_install.py BUILD: what `cmake --install` puts where, under a prefix of its own, and what cpack packs."""
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

LIBRARIES = 'lib/' + subprocess.run(['gcc', '-print-multiarch'], check=True, capture_output=True, text=True).stdout.strip()
EXPECTED = {
    'include/cardmap.h': 0o644, f'{LIBRARIES}/libcardmap.so': 0o644, f'{LIBRARIES}/libcardmap.so.1': 0o644,
    f'{LIBRARIES}/pkgconfig/cardmap.pc': 0o644, f'{LIBRARIES}/security/pam_cardmap.so': 0o644,
    'share/pam-configs/cardmap': 0o644, 'share/man/man8/pam_cardmap.8': 0o644, 'share/man/man3/libcardmap.3': 0o644,
    'bin/cardmap': 0o755, 'share/man/man1/cardmap.1': 0o644, 'share/man/man5/cardmap.conf.5': 0o644,
    'share/man/man5/cardmap-rules.5': 0o644,
    'share/man/man7/cardmap-login.7': 0o644, 'share/man/man7/cardmap-revocation.7': 0o644, 'share/man/man7/cardmap-enforcement.7': 0o644,
    'share/man/man7/cardmap-protocol.7': 0o644, 'share/man/man8/cardmapd.8': 0o644,
    'share/bash-completion/completions/cardmap': 0o644,
    'share/doc/cardmap/examples/cardmap.conf': 0o644, 'share/doc/cardmap/examples/login-helper.c': 0o644, 'share/doc/cardmap/copyright': 0o644,
    'share/polkit-1/actions/io.cardmap.policy': 0o644, 'share/polkit-1/rules.d/io.cardmap.rules': 0o644, 'var/lib/cardmap': 0o700,
    'sbin/cardmapd': 0o755, **{f'libexec/cardmap/{program}': 0o755 for program in ('cardmap-card', 'cardmap-ccache', 'cardmap-resolver')},
    'lib/sysusers.d/cardmap.conf': 0o644, 'lib/tmpfiles.d/cardmap.conf': 0o644,
    **{f'lib/systemd/system/{unit}': 0o644 for unit in (
        'cardmapd.socket', 'cardmapd.service', 'cardmap-resolver.socket', 'cardmap-resolver-control.socket',
        'cardmap-resolver.service', 'cardmap-card.socket', 'cardmap-card@.service', 'cardmap-refresh.service', 'cardmap-refresh.timer')},
}


POLICY = 'share/polkit-1/actions/io.cardmap.policy'


def check_policy(text, program):
    """polkit goes by the program's path; one that is another's would leave pkexec to its own action, for any program."""
    paths = [node.text for node in ElementTree.fromstring(text).iter('annotate') if node.get('key').endswith('exec.path')]
    if paths != [program, program]:
        sys.exit(f'{POLICY}: names {paths}, not {program}')


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['cmake', '--install', sys.argv[1], '--prefix', folder], check=True, stdout=subprocess.DEVNULL)
        there = {path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
                 for path in Path(folder).rglob('*') if path.is_file() or not any(path.iterdir())}
        subprocess.run([Path(folder, 'bin/cardmap'), '--version'], check=True)
        check_policy(Path(folder, POLICY).read_text(), f'{folder}/bin/cardmap')
    for name in sorted(EXPECTED.keys() | there.keys()):
        if EXPECTED.get(name) != there.get(name):
            sys.exit(f'{name}: expected {EXPECTED.get(name, 0):o}, is {there.get(name, 0):o}')
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['cpack', '-B', folder], cwd=sys.argv[1], check=True, stdout=subprocess.DEVNULL)
        check_package(next(Path(folder).glob('cardmap_*.deb')))


def check_package(package):
    """Everything under /usr, but the folder of kept accounts, which root alone may enter; pkinit's plugin comes with it."""
    listed = subprocess.run(['dpkg-deb', '-c', package], check=True, capture_output=True, text=True).stdout
    there = {line.split()[5]: line[:10] for line in listed.splitlines()}
    if there.get('./var/lib/cardmap/') != 'drwx------':
        sys.exit(f'{package.name}: /var/lib/cardmap/ is {there.get("./var/lib/cardmap/", "not there")}')
    for name in EXPECTED.keys() - {'var/lib/cardmap'}:
        if './usr/' + name not in there:
            sys.exit(f'{package.name}: no /usr/{name}')
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['dpkg-deb', '-x', package, folder], check=True)
        check_policy(Path(folder, 'usr', POLICY).read_text(), '/usr/bin/cardmap')
    depends = subprocess.run(['dpkg-deb', '-f', package, 'Depends'], check=True, capture_output=True, text=True).stdout
    for name in ('krb5-pkinit', 'libkrb5-3', 'libc6'):
        if name not in depends:
            sys.exit(f'{package.name}: does not depend on {name}')


if __name__ == '__main__':
    main()
