"""booted.py: this computer once more, with cardmap installed, its systemd booted, and gone when the test ends.

All of it is a systemd-nspawn over an overlay of / and the installed tree: what it writes is on a tmpfs.  For root, in a
mount namespace of its own.
"""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

PLACE = Path(f'/run/cardmap-booted-{os.getpid()}')
SECONDS = 60
UNITS = 'usr/lib/systemd/system'
SOCKETS = ('cardmapd.socket', 'cardmap-resolver.socket', 'cardmap-resolver-control.socket', 'cardmap-card.socket')


class BootError(Exception):
    pass


def can():
    """root, and not only of a user namespace."""
    return os.geteuid() == 0 and Path('/proc/self/uid_map').read_text(encoding='ascii').split() == ['0', '0', '4294967295']


def run(*command, check=True, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          timeout=SECONDS, **options)
    if check and done.returncode != 0:
        raise BootError(f'{" ".join(str(word) for word in command)}: {done.stdout}{done.stderr}')
    return done


def wait_until(condition, what):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise BootError(f'waited {SECONDS} s for {what}')


def install(build, folder, prefix='/usr'):
    """What `cmake --install` puts there, as a package would have it."""
    run('cmake', '--install', build, '--prefix', prefix, env={**os.environ, 'DESTDIR': str(folder)})


def make_cgroups():
    """Of its own, so that two of them, or one and this computer's systemd, never take each other's processes for theirs."""
    mounts = [line.split() for line in Path('/proc/self/mounts').read_text(encoding='utf-8').splitlines()]
    made = []
    for line in Path('/proc/self/cgroup').read_text(encoding='ascii').splitlines():
        _, controllers, path = line.split(':', 2)
        for _, mount, kind, options, *_ in mounts:
            if (kind == 'cgroup2' and controllers == '') or (kind == 'cgroup' and controllers == 'name=systemd' and 'name=systemd' in options.split(',')):
                folder = Path(mount, path.lstrip('/'), PLACE.name)
                folder.mkdir(exist_ok=True)
                made.append(folder)
                break
    return made


class Booted:
    def __init__(self, tree):
        """tree: an installed one; its files stand over this computer's."""
        PLACE.mkdir(exist_ok=True)
        run('mount', '-t', 'tmpfs', '-o', 'mode=0700', 'booted', PLACE)
        self.root = PLACE / 'root'
        for name in ('upper', 'work', 'root'):
            (PLACE / name).mkdir()
        # An overlay takes no folder of another mount as it is: the tree is copied to where the rest is.
        shutil.copytree(tree, PLACE / 'tree', symlinks=True)
        run('mount', '-t', 'overlay', '-o', f'lowerdir={PLACE}/tree:{self.below()},upperdir={PLACE}/upper,workdir={PLACE}/work', 'booted',
            self.root)
        self.nspawn = self.leader = None
        self.cgroups = make_cgroups()
        self.prepare()

    def below(self):
        """What the installed tree stands over: this computer."""
        return '/'

    def prepare(self):
        """None of this computer's own services, users or mounts: systemd, its bus, logind, and ours."""
        etc = self.root / 'etc'
        for path in etc.glob('systemd/system/*.wants'):
            shutil.rmtree(path)
        (etc / 'fstab').write_text('', encoding='ascii')
        (etc / 'machine-id').write_text(f'{os.urandom(16).hex()}\n', encoding='ascii')  # without one it is a first boot, which enables all
        shutil.rmtree(self.root / 'var/lib/cardmap', ignore_errors=True)
        run('systemd-sysusers', f'--root={self.root}', 'cardmap.conf')
        for unit in SOCKETS:
            run('systemctl', f'--root={self.root}', 'enable', unit)

    def drop_in(self, unit, text, of='system'):
        path = self.root / f'etc/systemd/{of}/{unit}.d/test.conf'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='ascii')

    def boot(self, *options):
        """Until systemd says that it is up."""
        path = PLACE / 'notify'
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            listener.settimeout(SECONDS)
            self.nspawn = subprocess.Popen(
                ['systemd-nspawn', '-D', self.root, '--register=no', '--keep-unit', '--link-journal=no', '--notify-ready=yes', '--capability=all',
                 '--console=pipe', *options, '-b', 'systemd.unit=multi-user.target'], env={**os.environ, 'NOTIFY_SOCKET': str(path)},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=self.enter_cgroups)
            said = ''
            while 'READY=1' not in said:
                said += listener.recv(4096).decode() + '\n'
        self.leader = int(re.search(r'X_NSPAWN_LEADER_PID=(\d+)', said)[1])

    def enter_cgroups(self):
        for folder in self.cgroups:
            (folder / 'cgroup.procs').write_text('0', encoding='ascii')

    def end(self):
        if self.nspawn is not None:
            self.nspawn.terminate()
            try:
                self.nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        for top in self.cgroups:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        run('umount', self.root, check=False)
        run('umount', '-R', PLACE, check=False)
        PLACE.rmdir()

    def command(self, *command):
        """What runs it in there."""
        return ['nsenter', '-t', str(self.leader), '-m', '-u', '-i', '-n', '-p', '--root', '--wd', '--', *command]

    def inside(self, *command, check=True):
        return run(*self.command(*command), check=check)

    def systemctl(self, *arguments, check=True):
        return self.inside('systemctl', '--no-pager', *arguments, check=check).stdout.strip()

    def show(self, unit, name):
        return self.systemctl('show', '--value', '-p', name, unit)

    def journal(self, unit):
        return self.inside('journalctl', '--no-pager', '-b', '-u', unit, check=False).stdout

    def path(self, path):
        """What is PATH in there."""
        return Path(f'/proc/{self.leader}/root{path}')

    def process(self, unit):
        """The number that a unit's process has here, where there is one."""
        inner = self.show(unit, 'MainPID')
        if inner == '0':
            return None
        for status in Path('/proc').glob('[0-9]*/status'):
            try:
                text = status.read_text(encoding='ascii', errors='replace')
            except OSError:
                continue
            match = re.search(r'^NSpid:\t(\d+)\t(\d+)$', text, re.M)
            if match and match[2] == inner and os.readlink(f'/proc/{match[1]}/ns/pid') == os.readlink(f'/proc/{self.leader}/ns/pid'):
                return int(match[1])
        return None
