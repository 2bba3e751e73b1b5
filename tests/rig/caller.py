#!/usr/bin/python3
"""caller.py SOCKET: a login as any program may begin it, by a client that is not ours (varlink.py).

Standard input has lines: a JSON object is Begin's parameters, `pin TEXT` and `last TEXT` an answer, `pair PIN PASSWORD` one of two,
`pad` and `pad PASSWORD` an answer without the PIN, which is typed at the reader, `answer HANDLE TEXT` one to somebody else's login,
`end` closes.  Each reply of the service is a line of standard output, an error as it is; what an Answer returned has "answered"
beside it.
"""
import json
import os
import sys
import threading

sys.dont_write_bytecode = True
import varlink  # noqa: E402

LOGIN = 'io.cardmap.Login'


def show(reply):
    print(json.dumps(reply), flush=True)


def pipe_with(data):
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    return read


def answer(path, handle, pin=None, last=False, password=None):
    pipes = [*([] if pin is None else [pipe_with(pin.encode())]), *([] if password is None else [pipe_with(password.encode() + b'\0')])]
    with varlink.Connection(path) as connection:
        connection.call(f'{LOGIN}.Answer', {'handle': handle, **({'last_try': True} if last else {})}, pipes)
        show({'answered': True, **(connection.receive() or {'error': 'closed'})})
    for pipe in pipes:
        os.close(pipe)


class Caller:
    def __init__(self, path):
        self.path, self.handle, self.connection = path, None, None

    def begin(self, parameters):
        self.connection = varlink.Connection(self.path, 90)
        self.connection.call(f'{LOGIN}.Begin', parameters, more=True)
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        while True:
            try:
                reply = self.connection.receive()
            except OSError as problem:
                reply = {'error': str(problem)}
            if reply is None:
                show({'error': 'closed'})
                return
            self.handle = reply.get('parameters', {}).get('handle', self.handle)
            show(reply)
            if 'error' in reply or not reply.get('continues'):
                return

    def line(self, text):
        word, _, rest = text.partition(' ')
        if text.startswith('{'):
            self.begin(json.loads(text))
        elif word in ('pin', 'last'):
            answer(self.path, self.handle, rest, word == 'last')
        elif word == 'pair':
            pin, _, password = rest.partition(' ')
            answer(self.path, self.handle, pin, password=password)
        elif word == 'pad':
            answer(self.path, self.handle, password=rest or None)
        elif word == 'answer':
            handle, _, pin = rest.partition(' ')
            answer(self.path, handle, pin)
        return word != 'end'


if __name__ == '__main__':
    caller = Caller(sys.argv[1])
    for given in sys.stdin:
        if not caller.line(given.rstrip('\n')):
            break
