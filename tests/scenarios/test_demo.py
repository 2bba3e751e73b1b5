#!/usr/bin/python3
"""test_demo.py: tests/rig/demo.py as a person runs it, as root and as an ordinary user: it passes, and leaves nothing.

As root this runs in a mount namespace of its own where nothing can be written but a folder that is looked at
afterwards; in it, copies of the rig and of the programs.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'rig'))
import pins  # noqa: E402

NOBODY = 65534
SECONDS = 100
PROMISED_SECONDS = 60
INSIDE = 'CM_DEMO_TEST_HOME'
PROGRAMS = ('cli/cardmap', 'tests/rig/vcard', 'cardmapd/cardmapd', 'resolver/cardmap-resolver', 'helper/cardmap-card',
            'helper/cardmap-ccache', 'pam/pam_cardmap.so', 'client/libcardmap.so.1')
# Kernels' own: nobody leaves a file there.
UNWRITABLE_TYPES = ('proc', 'sysfs', 'cgroup', 'cgroup2', 'devtmpfs', 'devpts', 'mqueue', 'securityfs', 'bpf',
                    'tracefs', 'debugfs', 'pstore', 'configfs', 'fusectl', 'binfmt_misc', 'autofs', 'hugetlbfs')


def mounts():
    """[(folder, type)] of proc(5), mountinfo."""
    lines = Path('/proc/self/mountinfo').read_text().splitlines()
    return [(line.split()[4].encode().decode('unicode_escape'), line.split(' - ')[1].split()[0]) for line in lines]


def at_a_terminal():
    """A shell that runs tests in the background has them ignore ^C, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def mount(*arguments):
    subprocess.run(['mount', *map(str, arguments)], check=True, timeout=30)


def enter():
    """As root: a mount namespace whose only writable folder is INSIDE's."""
    if os.geteuid() != 0 or INSIDE in os.environ:
        return
    home = tempfile.mkdtemp()
    command = ['unshare', '--mount', '--propagation', 'private', sys.executable, *sys.argv]
    try:
        status = subprocess.run(command, env={**os.environ, INSIDE: home}, check=False).returncode
    finally:
        os.rmdir(home)
    sys.exit(status)


def make_home():
    home = Path(os.environ.get(INSIDE) or tempfile.mkdtemp())
    if os.geteuid() == 0:
        mount('-t', 'tmpfs', '-o', 'mode=0755', 'demo', home)
        for folder, kind in mounts():
            if kind not in UNWRITABLE_TYPES and not folder.startswith(('/dev', '/proc', '/sys', str(home))):
                mount('-o', 'remount,bind,ro', folder)
        if os.access('/usr', os.W_OK):
            raise AssertionError('/usr can be written')
    return home


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))


def marked(mark):
    """Processes whose environment, or that of whoever started them, holds the mark."""
    found = []
    for path in Path('/proc').glob('[0-9]*'):
        try:
            if mark.encode() in (path / 'environ').read_bytes() and int(path.name) != os.getpid():
                found.append((path / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace'))
        except OSError:
            pass
    return found


class DemoTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = make_home()

    @classmethod
    def tearDownClass(cls):
        if os.geteuid() != 0:
            shutil.rmtree(cls.home)

    def place(self, owner=None):
        """rig/ and build/ for one run.  su loads no module with sanitizers."""
        build = Path(os.environ['CM_BUILD'] if owner is not None or os.geteuid() != 0 else Path(os.environ['CM_CARDMAP_PLAIN']).parents[1])
        folder = self.home / self.id().rpartition('.')[2]
        folder.mkdir()
        shutil.copytree(HERE.parent / 'rig', folder / 'rig', ignore=shutil.ignore_patterns('__pycache__'))
        for name in PROGRAMS:
            (folder / 'build' / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(build / name, folder / 'build' / name)
        if owner is None:
            (folder / 'build/pki').symlink_to(os.environ['CM_RIG_PKI'])
        else:
            os.chown(folder / 'build', owner, owner)
        return folder

    def start(self, folder, before=()):
        self.mark = f'CM_DEMO_MARK={uuid.uuid4()}'
        name, value = self.mark.split('=')
        self.pins = folder / 'build/pki.pins'  # in the one place where it may write, and where the certificates are
        environment = {**os.environ, name: value, 'ASAN_OPTIONS': 'detect_leaks=0', pins.LIST: str(self.pins)}
        for name in (INSIDE, 'PYTHONDONTWRITEBYTECODE', 'PYTHONPYCACHEPREFIX'):
            environment.pop(name, None)
        return subprocess.Popen([*before, folder / 'rig/demo.py', folder / 'build'], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd='/',
                                start_new_session=True, preexec_fn=at_a_terminal)

    def check(self, folder, before=(), steps=14):
        mounted, there, started = mounts(), listing(folder), time.monotonic()
        with self.start(folder, before) as demo:
            try:
                text, _ = demo.communicate(timeout=SECONDS)
            finally:
                demo.kill()
        self.assertEqual(demo.returncode, 0, text)
        last = re.fullmatch(r'demo: (\d+) steps, (\d+) ok', text.rstrip().splitlines()[-1])
        self.assertTrue(last, text)
        self.assertEqual(last[1], last[2])
        self.assertGreaterEqual(int(last[1]), steps)
        self.assertEqual(len(re.findall(r'(?m)^   ok  \(\d+\.\d\d s, \d+ card commands\)$', text)), int(last[1]))
        self.assertLess(time.monotonic() - started, PROMISED_SECONDS)
        self.assert_nothing_left(folder, mounted, there)
        return text

    def assert_nothing_left(self, folder, mounted, there):
        self.assertEqual(marked(self.mark), [])
        self.assertEqual(mounts(), mounted)
        self.assertEqual([name for name in listing(folder) if not name.startswith('build/pki')],
                         [name for name in there if not name.startswith('build/pki')])

    def test_passes_and_leaves_nothing(self):
        text = self.check(self.place(), steps=21 if os.geteuid() == 0 else 14)
        if os.geteuid() == 0:
            self.assertIn('su - alice', text)
            self.assertEqual(pins.in_bytes(text.encode(), set(self.pins.read_text().split())), set())

    @unittest.skipIf(os.geteuid() != 0, 'the other test is it')
    def test_passes_for_an_ordinary_user_with_certificates_of_its_own(self):
        nobody = ['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY), '--clear-groups', '--']
        self.check(self.place(NOBODY), nobody)

    def test_stopped_halfway_it_leaves_nothing(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            with self.subTest(number):
                folder = self.place() if number == signal.SIGTERM else folder
                mounted, there = mounts(), listing(folder)
                with self.start(folder) as demo:
                    for line in demo.stdout:
                        if 'card commands)' in line:
                            break
                    # ^C at a terminal reaches every process of the group.
                    (os.killpg if number == signal.SIGINT else os.kill)(demo.pid, number)
                    demo.stdout.read()
                self.assertNotEqual(demo.returncode, 0)
                deadline = time.monotonic() + 10
                while marked(self.mark) and time.monotonic() < deadline:
                    time.sleep(0.01)
                self.assert_nothing_left(folder, mounted, there)


if __name__ == '__main__':
    enter()
    unittest.main(verbosity=2)
