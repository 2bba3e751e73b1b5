"""reach.py: what of the files a process could reach, looked at from where it is: its own mounts, as its own user."""
import json
import subprocess
from pathlib import Path

SECONDS = 60
PROBE = """
import errno, json, os, socket, sys

def tried(attempt, *arguments):
    try:
        found = attempt(*arguments)
        if isinstance(found, int):
            os.close(found)
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return 'yes'

def connect(path):
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as one:
            one.settimeout(10)
            try:
                one.connect(path)
            except OSError as problem:
                if problem.errno != errno.EPROTOTYPE:
                    raise

def read(path):
    if os.path.isdir(path):
        os.listdir(path)
        return None
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)

def write(path):
    if os.path.isdir(path):
        return os.open(path, os.O_TMPFILE | os.O_WRONLY)
    return os.open(path, os.O_WRONLY | os.O_NONBLOCK)

does = {'read': read, 'write': write, 'connect': connect}
print(json.dumps([tried(does[what], path) for what, path in json.loads(sys.argv[1])]))
"""


def status_of(pid):
    lines = Path(f'/proc/{pid}/status').read_text(encoding='utf-8').splitlines()
    return {name: value.strip() for name, _, value in (line.partition(':') for line in lines)}


def reach(pid, attempts):
    """attempts: (what, path), what is read, write (of a folder: make a file there) or connect; for each 'yes' or the error's name."""
    status = status_of(pid)
    done = subprocess.run(
        ['nsenter', '-t', str(pid), '-m', '--root', '--wd=/', '--', 'setpriv', f'--reuid={status["Uid"].split()[1]}',
         f'--regid={status["Gid"].split()[1]}', *([f'--groups={",".join(status["Groups"].split())}'] if status['Groups'] else ['--clear-groups']),
         '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs', '/usr/bin/python3', '-I', '-c', PROBE, json.dumps(list(attempts))],
        capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return dict(zip(attempts, json.loads(done.stdout)))


def writable_mounts(pid):
    """Where its mounts let somebody write at all (proc(5), mountinfo)."""
    found = set()
    for line in Path(f'/proc/{pid}/mountinfo').read_text(encoding='utf-8').splitlines():
        fields = line.split()
        if 'rw' in fields[5].split(','):
            found.add(fields[4])
        else:
            found.discard(fields[4])  # another mount over the one before
    return found


def is_bare(status):
    """No capability in any set, none to be had, and a filter of system calls."""
    sets = {name: int(status[name], 16) for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')}
    return not any(sets.values()) and status['NoNewPrivs'] == '1' and status['Seccomp'] == '2'
