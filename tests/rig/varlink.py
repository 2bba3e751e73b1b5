"""varlink.py: a client written from https://varlink.org/Wire-Protocol and /Service, and from no code of ours.

A call is a JSON object and a NUL; so is each reply; replies come in the order of the calls.
"""
import json
import socket
import time

SECONDS = 30


class VarlinkError(Exception):
    def __init__(self, reply):
        super().__init__(json.dumps(reply))
        self.name, self.parameters = reply['error'], reply.get('parameters', {})


class Connection:
    def __init__(self, path, seconds=SECONDS):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.socket.connect(str(path))
        self.received = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data, descriptors=()):
        if descriptors:
            sent = socket.send_fds(self.socket, [data], list(descriptors))
            data = data[sent:]
        if data:
            self.socket.sendall(data)

    def call(self, method, parameters=None, descriptors=(), **flags):
        message = {'method': method, **({} if parameters is None else {'parameters': parameters}), **flags}
        self.send(json.dumps(message).encode() + b'\0', descriptors)

    def receive(self):
        """The next reply as it is; None when the other side closed."""
        while b'\0' not in self.received:
            data = self.socket.recv(65536)
            if not data:
                if self.received:
                    raise ConnectionError(f'cut in the middle: {self.received[:200]!r}')
                return None
            self.received += data
        text, _, self.received = self.received.partition(b'\0')
        return json.loads(text)

    def reply(self):
        found = self.receive()
        if found is None:
            raise ConnectionError('closed without an answer')
        if 'error' in found:
            raise VarlinkError(found)
        return found.get('parameters', {})

    def ask(self, method, parameters=None, descriptors=()):
        self.call(method, parameters, descriptors)
        return self.reply()

    def stream(self, method, parameters=None):
        """Each reply of a call that takes several."""
        self.call(method, parameters, more=True)
        while True:
            found = self.receive()
            if found is None:
                raise ConnectionError('closed in the middle of a stream')
            if 'error' in found:
                raise VarlinkError(found)
            yield found.get('parameters', {})
            if not found.get('continues'):
                return


def ask(path, method, parameters=None):
    with Connection(path) as connection:
        return connection.ask(method, parameters)


def closed(connection, seconds=SECONDS):
    """Does the other side close it within so many seconds?  What comes before is thrown away."""
    connection.socket.settimeout(seconds)
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if not connection.socket.recv(65536):
                return True
    except ConnectionError:
        return True
    except TimeoutError:
        pass
    return False
