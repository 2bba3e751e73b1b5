"""fresh.py: a Debian of this computer's release with nothing but what debootstrap puts there, for root.

Made once from the mirror that this computer's apt has, kept as a file below the build folder, unpacked for each test; so are the
packages that apt fetches in it.  Where no mirror can be had that is a failure: what was not looked at has not passed.
"""
import contextlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

AGE = 5 * 86400  # seconds: then the mirror has other versions than the lists in there
FETCHED = 'var/cache/apt/archives'
# What test_newcomer.py's has besides, as each computer with systemd has, and what who logs in there uses.
COMPUTER = ('systemd-sysv', 'dbus', 'libpam-systemd', 'krb5-user')
README = ('krb5-pkinit', 'libnss-systemd', 'pcscd')  # what README names beside ours; with what they recommend
ENVIRONMENT = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND': 'noninteractive', 'LANG': 'C.UTF-8', 'HOME': '/root',
               **{name: value for name, value in os.environ.items() if name.lower().endswith('_proxy')}}


class FreshError(Exception):
    pass


def run(*command, check=True, patience=120, **options):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=patience, **{'env': ENVIRONMENT, 'stdin': subprocess.DEVNULL if 'input' not in options else None, **options})
    if check and done.returncode:
        raise FreshError(f'{" ".join(map(str, command))}: status {done.returncode}\n{done.stdout[-3000:]}')
    return done


def release():
    return re.search(r'(?m)^VERSION_CODENAME=(\w+)', Path('/etc/os-release').read_text(encoding='utf-8'))[1]


def mirror():
    """Of this computer's apt, which knows it without having asked."""
    uris = run('apt-get', 'update', '--print-uris').stdout
    found = re.search(rf"(?m)^'(\S+?)/dists/{release()}/main/binary-", uris)
    if not found:
        raise FreshError(f"no source of this computer's apt has {release()}, main: what is fresh cannot be made\n{uris}")
    return found[1]


def apt_options():
    """How this computer's apt gets there: proxies and certificates."""
    dumped = run('apt-config', 'dump', 'Acquire').stdout
    return ''.join(f'{line}\n' for line in dumped.splitlines() if re.match(r'Acquire::https?::\S*(Proxy|CaInfo)\S* "[^"]', line))


def bare(cache):
    """The file with all of it; made where there is none, or an old one."""
    kept = cache / f'{release()}.tar'
    if kept.exists() and time.time() - kept.stat().st_mtime < AGE:
        return kept
    shutil.rmtree(cache, ignore_errors=True)
    (cache / 'archives/partial').mkdir(parents=True)
    folder, part = cache / 'root', cache / 'part.tar'
    folder.mkdir()
    run('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'debootstrap', folder)
    try:
        run('debootstrap', '--variant=minbase', release(), folder, mirror(), patience=600)
        settle(folder)
        for path in (folder / FETCHED).glob('*.deb'):
            shutil.move(path, cache / 'archives')
        run('tar', '-C', folder, '--one-file-system', '-cf', part, '.')
    finally:
        run('umount', '-l', folder)
    folder.rmdir()
    part.rename(kept)
    return kept


def settle(root):
    """It reaches the mirror as this computer does, and waits for no disk."""
    (root / 'etc/apt/apt.conf.d/50this-computer').write_text(apt_options() + 'APT::Sandbox::User "root";\n', encoding='utf-8')
    (root / 'etc/dpkg/dpkg.cfg.d/no-disk').write_text('force-unsafe-io\n', encoding='ascii')
    bundle = Path('/etc/ssl/certs/ca-certificates.crt')
    if bundle.exists():
        (root / bundle.parent.relative_to('/')).mkdir(parents=True, exist_ok=True)
        shutil.copy(bundle, root / bundle.relative_to('/'))
    shutil.copy('/etc/resolv.conf', root / 'etc/resolv.conf')
    run('chroot', root, 'apt-get', '-q', 'update', patience=300)


def unpack(cache, folder):
    """All of it, on a tmpfs there."""
    run('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'fresh', folder)
    run('tar', '-C', folder, '-xpf', bare(cache))


class Root:
    """One of them below folder, in a mount namespace of the caller's own; what is done to it is gone with that."""
    def __init__(self, cache, folder):
        self.cache, self.path = cache, folder / 'root'
        for name in ('lower', 'upper', 'work', 'root'):
            (folder / name).mkdir()
        unpack(cache, folder / 'lower')
        self.folder, self.turns = folder, 0

    @contextlib.contextmanager
    def turn(self):
        """As it was at first, whatever the turn before did."""
        self.turns += 1
        layers = self.folder / f'turn{self.turns}'
        layers.mkdir()
        run('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'turn', layers)
        for name in ('upper', 'work'):
            (layers / name).mkdir()
        run('mount', '-t', 'overlay', 'fresh', '-o', f'lowerdir={self.folder}/lower,upperdir={layers}/upper,workdir={layers}/work', self.path)
        for kind, name in (('proc', 'proc'), ('tmpfs', 'run'), ('tmpfs', 'tmp')):
            run('mount', '-t', kind, name, self.path / name)
        for bound, name in (('/dev', 'dev'), (self.cache / 'archives', FETCHED)):
            run('mount', '--bind', bound, self.path / name)
        try:
            yield self
        finally:
            run('umount', '-R', '-l', self.path)

    def inside(self, *command, **options):
        return run('chroot', self.path, *command, **options)

    def apt(self, *arguments):
        return self.inside('apt-get', '-q', '-y', '-o', 'APT::Keep-Downloaded-Packages=true', *arguments, patience=300).stdout
