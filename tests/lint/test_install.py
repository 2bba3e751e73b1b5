#!/usr/bin/python3
"""test_install.py BUILD: what `cmake --install` puts where, under a prefix of its own, and what cpack packs."""
import re
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
    **{f'share/doc/cardmap/{name}': 0o644 for name in (
        'README.md', 'ARCHITECTURE.md', 'examples/cardmap.conf', 'examples/login-helper.c', 'examples/Local-SmartcardLogin.plist',
        'examples/Mobile-SmartcardLogin.plist', 'examples/gdm-smartcard-cardmap')},
    **{f'share/doc/{package}/copyright': 0o644 for package in (
        'cardmap', 'libpam-cardmap', 'libcardmap1', 'libcardmap-dev', 'cardmap-doc')},
    'share/polkit-1/actions/io.cardmap.policy': 0o644, 'share/polkit-1/rules.d/io.cardmap.rules': 0o644, 'var/lib/cardmap': 0o700,
    'sbin/cardmapd': 0o755, **{f'libexec/cardmap/{program}': 0o755 for program in ('cardmap-card', 'cardmap-ccache', 'cardmap-names', 'cardmap-resolver')},
    'lib/sysusers.d/cardmap.conf': 0o644, 'lib/tmpfiles.d/cardmap.conf': 0o644,
    **{f'lib/systemd/system/{unit}': 0o644 for unit in (
        'cardmapd.socket', 'cardmapd.service', 'cardmap-resolver.socket', 'cardmap-resolver-control.socket',
        'cardmap-resolver.service', 'cardmap-card.socket', 'cardmap-card@.service', 'cardmap-refresh.service', 'cardmap-refresh.timer')},
    **{f'lib/systemd/user/cardmap-{name}': 0o644 for name in ('renew.service', 'renew.timer', 'pair.service')},
}


POLICY = 'share/polkit-1/actions/io.cardmap.policy'


def group_pages(program):
    """A page for each command, but where several share one."""
    said = subprocess.run([program, '--help'], check=True, capture_output=True, text=True).stdout
    names = re.findall(r'^  ([a-z-]+) ', said.split('Commands:\n')[1].split('\n\n')[0], re.M)
    return {f'share/man/man1/cardmap-{name}.1': 0o644 for name in names
            if name not in ('unpair', 'pairings', 'identities', 'log', 'completion')}


def check_policy(text, program):
    """polkit goes by the program's path; one that is another's would leave pkexec to its own action, for any program."""
    paths = [node.text for node in ElementTree.fromstring(text).iter('annotate') if node.get('key').endswith('exec.path')]
    if paths != [program, program]:
        sys.exit(f'{POLICY}: names {paths}, not {program}')


def main():
    EXPECTED.update(group_pages(Path(sys.argv[1], 'cli/cardmap')))
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
        check_packages(sorted(Path(folder).glob('*.deb')))


def check_packages(packages):
    """All together they have what is installed, pages compressed, each file once and under /usr, but for the folder of kept accounts, which root
    alone may enter; what they depend on comes with them."""
    whose = {}
    for package in packages:
        listed = subprocess.run(['dpkg-deb', '-c', package], check=True, capture_output=True, text=True).stdout
        for line in listed.splitlines():
            mode, name = line[:10], line.split()[5]
            if name.endswith('/') and name != './var/lib/cardmap/':
                continue
            if name in whose:
                sys.exit(f'{name}: in {whose[name][0]} and {package.name}')
            whose[name] = (package.name.split('_')[0], mode)
    if whose.pop('./var/lib/cardmap/') != ('cardmap', 'drwx------'):
        sys.exit('/var/lib/cardmap/ is not root\'s alone')
    want = {f"./usr/{name}{'.gz' if name.startswith('share/man/') else ''}" for name in EXPECTED.keys() - {'var/lib/cardmap'}}
    if want != whose.keys():
        sys.exit(f'the packages lack {sorted(want - whose.keys())}, and have {sorted(whose.keys() - want)} besides')
    for name, (package, _) in whose.items():
        if PLACES.get(Path(name).name.removesuffix('.gz'), package) != package:
            sys.exit(f'{name} is in {package}')
    check_cardmap(next(package for package in packages if package.name.startswith('cardmap_')))


PLACES = {'pam_cardmap.so': 'libpam-cardmap', 'libcardmap.so.1': 'libcardmap1', 'libcardmap.so': 'libcardmap-dev', 'cardmap.h': 'libcardmap-dev',
          'cardmapd': 'cardmap', 'cardmap-card': 'cardmap', 'cardmap.1': 'cardmap', 'cardmap.conf.5': 'cardmap', 'README.md': 'cardmap-doc'}


def check_cardmap(package):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['dpkg-deb', '-x', package, folder], check=True)
        check_policy(Path(folder, 'usr', POLICY).read_text(), '/usr/bin/cardmap')
    depends = subprocess.run(['dpkg-deb', '-f', package, 'Depends'], check=True, capture_output=True, text=True).stdout
    for name in ('krb5-pkinit', 'libkrb5-3', 'libc6'):
        if name not in depends:
            sys.exit(f'{package.name}: does not depend on {name}')


if __name__ == '__main__':
    main()
