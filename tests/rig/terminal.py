"""terminal.py: a program at a terminal of its own, as a person has it: what it shows is waited for, then something is typed."""
import errno
import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time

SECONDS = 20
POLL_SECONDS = 0.005  # while nobody has the terminal open: login(1) hangs it up and opens it again


class Terminal:
    def __init__(self, command, environment, cwd=None):
        self.master, slave = pty.openpty()
        self.text, self.seen = b'', 0
        self.child = subprocess.Popen(list(map(str, command)), stdin=slave, stdout=slave, stderr=slave,
                                      start_new_session=True, env=environment, cwd=cwd, preexec_fn=self.take_terminal)
        os.close(slave)

    @staticmethod
    def take_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def read(self, seconds):
        """Whether something came."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            self.text += os.read(self.master, 65536)
        except OSError as problem:
            if problem.errno != errno.EIO:
                raise
            time.sleep(POLL_SECONDS)
            return False
        return True

    def expect(self, pattern, seconds=SECONDS):
        """Read until what came since the last match matches; the match."""
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.text[self.seen:])
            if found:
                self.seen += found.end()
                return found
            ended = self.child.poll() is not None
            left = deadline - time.monotonic()
            if not self.read(0 if ended else max(0, left)) and (ended or left <= 0):
                raise AssertionError(f'{pattern} did not come; there was (ended: {ended}):\n{self.text.decode(errors="replace")}')

    def type(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def enter(self, pattern, text, seconds=SECONDS):
        """What is typed, and a newline, when that is shown and nothing is echoed any more."""
        found = self.expect(pattern, seconds)
        deadline = time.monotonic() + seconds
        while self.echoes():
            if time.monotonic() > deadline:
                raise AssertionError(f'{pattern}: what is typed would be shown')
            time.sleep(POLL_SECONDS)
        self.type(text + '\n')
        return found

    def end(self, seconds=SECONDS):
        """Status and all it wrote: read while it writes, a terminal holds but 4 KiB."""
        deadline = time.monotonic() + seconds
        while self.child.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        status = self.child.wait(0)
        while self.read(0):
            pass
        os.close(self.master)
        return status, self.text.decode(errors='replace').replace('\r\n', '\n')

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
