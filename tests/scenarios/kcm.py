"""kcm.py: a daemon for credential caches, as much of one as libkrb5's KCM: type asks: it keeps what is stored, by uid.

klist speaks to it too. A request: length, version 2.0, operation, cache's name and NUL, the rest; an answer: length,
0 for heard, then status and the rest, whose length it is (krb5, src/include/kcm.h).
"""
import os
import socket
import struct
import threading

SOCKET = '/var/run/.heim_org.h5l.kcm-socket'
INITIALIZE, STORE, GET_PRINCIPAL, GET_KDC_OFFSET, SET_KDC_OFFSET, GET_CRED_LIST = 4, 6, 8, 22, 23, 13001
NOT_FOUND, UNSUPPORTED = -1765328189, -1765328188  # KRB5_FCC_NOFILE, KRB5_FCC_INTERNAL


class Kcm:
    def __init__(self):
        self.caches = {}  # (uid, name): [principal, credential...]
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(SOCKET)
        os.chmod(SOCKET, 0o666)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            link, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=[link], daemon=True).start()

    def talk(self, link):
        uid = struct.unpack('3i', link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
        stream = link.makefile('rb')
        while len(head := stream.read(4)) == 4:
            request = stream.read(int.from_bytes(head, 'big'))
            name, _, rest = request[4:].partition(b'\0')
            status, answer = self.answer(int.from_bytes(request[2:4], 'big'), (uid, name.decode()), rest)
            link.sendall(struct.pack('>Iii', len(answer) + 4, 0, status) + answer)

    def answer(self, operation, cache, rest):
        kept = self.caches.get(cache)
        if operation == INITIALIZE:
            self.caches[cache] = [rest]
        elif operation in (GET_KDC_OFFSET, SET_KDC_OFFSET):
            return 0, bytes(4) if operation == GET_KDC_OFFSET else b''
        elif operation not in (STORE, GET_PRINCIPAL, GET_CRED_LIST):
            return UNSUPPORTED, b''
        elif kept is None:
            return NOT_FOUND, b''
        elif operation == STORE:
            kept.append(rest)
        elif operation == GET_PRINCIPAL:
            return 0, kept[0]
        else:
            return 0, struct.pack('>I', len(kept) - 1) + b''.join(struct.pack('>I', len(c)) + c for c in kept[1:])
        return 0, b''
