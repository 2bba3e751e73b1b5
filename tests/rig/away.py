"""away.py: the rig's servers at the other end of a cable, which can be pulled out: interface away0, name cardmap.test.

A network namespace holds the other end of a veth pair. What comes there for a server is passed on to it; the sockets that
it comes by were made in that namespace, by setns(2), and are of it ever after.
"""
import ctypes
import os
import select
import socket
import subprocess
import threading
from pathlib import Path

from rig import KDC_PORT, LDAP_PORT, RigError, run, wait_until

HERE, MOVED, THERE = '198.51.100.1', '198.51.100.3', '198.51.100.2'    # RFC 5737
NAME = 'cardmap.test'       # of the server certificate
CLONE_NEWNET = 0x40000000
WAIT_SECONDS = 10


class Away:
    def __init__(self):
        self.holder = subprocess.Popen(['unshare', '-n', 'sleep', 'infinity'])
        mine = os.readlink('/proc/self/ns/net')
        wait_until(lambda: os.readlink(f'/proc/{self.holder.pid}/ns/net') != mine, 'a namespace for the other end')
        run(['ip', 'link', 'add', 'away0', 'type', 'veth', 'peer', 'name', 'away1', 'netns', str(self.holder.pid)])
        run(['ip', 'address', 'add', f'{HERE}/24', 'dev', 'away0'])
        self.there('ip', 'address', 'add', f'{THERE}/24', 'dev', 'away1')
        self.there('ip', 'link', 'set', 'away1', 'up')
        hosts = Path('/etc/hosts')  # the rig's own /etc
        if f'{THERE} {NAME}\n' not in hosts.read_text(encoding='ascii'):
            hosts.write_text(hosts.read_text(encoding='ascii') + f'{THERE} {NAME}\n', encoding='ascii')
        self.plug('up')
        for port in (LDAP_PORT, KDC_PORT):
            self.serve(self.made_there(socket.SOCK_STREAM, port), port)
        threading.Thread(target=datagrams, args=(self.made_there(socket.SOCK_DGRAM, KDC_PORT), KDC_PORT), daemon=True).start()

    def there(self, *command):
        run(['nsenter', '-t', str(self.holder.pid), '-n', *command])

    @staticmethod
    def plug(state):
        """'down' and 'up'."""
        run(['ip', 'link', 'set', 'away0', state])

    @staticmethod
    def move():
        """To another address of ours."""
        run(['ip', 'address', 'add', f'{MOVED}/24', 'dev', 'away0'])
        run(['ip', 'address', 'delete', f'{HERE}/24', 'dev', 'away0'])
        run(['ip', 'address', 'replace', f'{MOVED}/24', 'dev', 'away0'])  # the second of a network goes with the first

    def made_there(self, kind, port):
        libc = ctypes.CDLL(None, use_errno=True)
        with open('/proc/self/ns/net', 'rb') as mine, open(f'/proc/{self.holder.pid}/ns/net', 'rb') as other:
            if libc.setns(other.fileno(), CLONE_NEWNET):
                raise RigError(f'setns: {os.strerror(ctypes.get_errno())}')
            try:
                made = socket.socket(socket.AF_INET, kind)
            finally:
                libc.setns(mine.fileno(), CLONE_NEWNET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((THERE, port))
        return made

    @staticmethod
    def serve(listener, port):
        listener.listen()
        threading.Thread(target=connections, args=(listener, port), daemon=True).start()

    def values(self):
        """Of cardmap.conf."""
        return {'directory.uri': [f'ldap://{NAME}:{LDAP_PORT}'], 'kerberos.kdc': [f'{NAME}:{KDC_PORT}']}

    def end(self):
        run(['ip', 'link', 'delete', 'away0'])
        self.holder.kill()
        self.holder.wait()


def connections(listener, port):
    while True:
        link, _ = listener.accept()
        threading.Thread(target=pass_on, args=(link, port), daemon=True).start()


def pass_on(link, port):
    """Both ways, until one end has said all; a server that is not there: nobody."""
    with link:
        try:
            with socket.create_connection(('127.0.0.1', port)) as server:
                other = {link: server, server: link}
                while True:
                    for ready in select.select(list(other), [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        other[ready].sendall(data)
        except OSError:
            return


def datagrams(link, port):
    while True:
        request, whose = link.recvfrom(65536)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.settimeout(WAIT_SECONDS)
            server.sendto(request, ('127.0.0.1', port))
            try:
                link.sendto(server.recv(65536), whose)
            except OSError:
                continue
