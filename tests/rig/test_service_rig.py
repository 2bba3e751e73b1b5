#!/usr/bin/python3
"""The computer for tests of the service, checked with what it is made for: libsystemd, NSS, su, sudo, login and sshd."""
import os
import pwd
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import rig as rig_module  # noqa: E402
import computer as computer_module  # noqa: E402
from computer import CGROUP, LOCAL, PASSWORD  # noqa: E402
from rig import WORK  # noqa: E402
from terminal import Terminal  # noqa: E402

COMPUTER = None
PATH = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin'}
PROBE = """
import ctypes
lib, uid, name = ctypes.CDLL('libsystemd.so.0'), ctypes.c_uint(), ctypes.c_char_p()
if lib.sd_pid_get_session(0, ctypes.byref(name)) < 0:
    print('none')
else:
    session, seat = name.value, ctypes.c_char_p()
    lib.sd_session_get_uid(session, ctypes.byref(uid))
    lib.sd_session_get_seat(session, ctypes.byref(seat))
    print('active' if lib.sd_session_is_active(session) else 'inactive',
          'remote' if lib.sd_session_is_remote(session) else 'local', (seat.value or b'-').decode(), uid.value)
"""


def said(command):
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=30, env=PATH, check=False).stdout


class SessionTest(unittest.TestCase):
    def tearDown(self):
        COMPUTER.logind.close_all()

    def test_libsystemd_sees_each_kind_of_session(self):
        probe = WORK / 'probe.py'
        probe.write_text(PROBE)
        session = COMPUTER.logind.open('alice')
        self.assertEqual(said(session.command(['python3', probe])), 'active local seat0 10001\n')
        self.assertEqual(said(session.command(['python3', probe], 'root')), 'active local seat0 10001\n')
        COMPUTER.logind.change(session, ACTIVE=0, STATE='online')
        self.assertEqual(said(session.command(['python3', probe])), 'inactive local seat0 10001\n')
        remote = COMPUTER.logind.open('bob', remote=True)
        self.assertEqual(said(remote.command(['python3', probe])), 'active remote - 10002\n')
        self.assertEqual(said(computer_module.in_background(['python3', probe])), 'none\n')

    def test_sessions_end_with_the_rig(self):
        inside = CGROUP / 'user.slice'
        COMPUTER.logind.open('alice')
        self.assertTrue(inside.is_dir())
        self.assertNotIn(rig_module.cgroup_name(), Path('/proc/self/cgroup').read_text())


class UsersTest(unittest.TestCase):
    def test_a_directorys_users_are_seen_and_are_not_in_files(self):
        alice = pwd.getpwnam('alice')
        self.assertEqual((alice.pw_uid, alice.pw_gid, alice.pw_dir), (10001, 10000, '/home/alice'))
        self.assertNotIn('alice', Path('/etc/passwd').read_text())
        self.assertEqual(pwd.getpwuid(20001).pw_name, LOCAL)

    def test_the_computers_own_files_are_left_alone(self):
        mounts = Path('/proc/self/mounts').read_text()
        for folder in ('/etc', '/home', '/var/log'):
            self.assertRegex(mounts, rf'(?m)^\S+ {folder} tmpfs')


class ProgramTest(unittest.TestCase):
    """With a module that says PAM_IGNORE at every turn: the password module of the stack decides."""
    @classmethod
    def setUpClass(cls):
        COMPUTER.pam('pam_debug.so', 'auth=ignore acct=ignore prechauthtok=ignore chauthtok=ignore open_session=success')

    def setUp(self):
        self.session = COMPUTER.logind.open(LOCAL)
        self.addCleanup(COMPUTER.logind.close_all)

    def test_su(self):
        for password, status in ((PASSWORD, 0), ('wrong', 1)):
            terminal = Terminal(self.session.command(['su', 'root', '-c', 'id -u; echo done']), PATH)
            terminal.enter(rb'Password: ', password)
            got, text = terminal.end()
            self.assertEqual((got, 'done' in text), (status, not status), text)

    def test_sudo(self):
        terminal = Terminal(self.session.command(['sudo', '-k', 'id', '-un']), PATH)
        terminal.enter(rb'password for lena: ', PASSWORD)
        status, text = terminal.end()
        self.assertEqual((status, text.splitlines()[-1]), (0, 'root'), text)

    def test_login(self):
        terminal = Terminal(computer_module.in_background(['login']), {**PATH, 'TERM': 'dumb'})
        terminal.expect(rb'login: ')
        terminal.type(f'{LOCAL}\n')
        terminal.enter(rb'Password: ', PASSWORD)
        terminal.expect(rb'\$ ')
        terminal.type('id -un; echo $HOME; exit\n')
        terminal.expect(rb'lena\r\n/home/lena\r\n')
        self.assertEqual(terminal.end()[0], 0)

    def test_sshd(self):
        COMPUTER.start_sshd()
        self.addCleanup(COMPUTER.rig.stop, 'sshd')
        terminal = Terminal(COMPUTER.ssh_command(LOCAL, 'id', '-un'), PATH)
        terminal.enter(rb'Password: ', PASSWORD)
        status, text = terminal.end()
        self.assertEqual((status, 'lena' in text.splitlines()), (0, True), text)
        terminal = Terminal(COMPUTER.ssh_command('alice', 'id', '-un', method='publickey'), PATH)
        status, text = terminal.end()
        self.assertEqual((status, 'alice' in text.splitlines()), (0, True), text + COMPUTER.rig.tail('sshd'))
        self.assertTrue(os.path.isdir('/home/alice'), 'pam_mkhomedir')


class JournalTest(unittest.TestCase):
    def test_fields_arrive(self):
        subprocess.run(['python3', '-c', """
import ctypes
lib = ctypes.CDLL('libsystemd.so.0')
lib.sd_journal_send(b'MESSAGE=%s', b'hello', b'CARDMAP_USER=%s', b'alice\\nand more', None)
"""], check=True, timeout=30, env=PATH)
        rig_module.wait_until(lambda: COMPUTER.journal.find(MESSAGE='hello'), 'the entry')
        self.assertEqual(COMPUTER.journal.find(MESSAGE='hello')[0]['CARDMAP_USER'], 'alice\nand more')


if __name__ == '__main__':
    if os.geteuid() != 0:
        print('needs root: [  SKIPPED ]')
        sys.exit(77)
    rig_module.enter()
    COMPUTER = computer_module.Computer(rig_module.Rig(os.environ['CM_RIG_PKI']))
    unittest.main(verbosity=2, warnings='ignore')
