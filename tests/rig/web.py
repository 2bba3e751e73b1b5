#!/usr/bin/python3
"""web.py FOLDER PORT LOG [--cache-control TEXT]: an HTTP server as those that publish revocation lists are.

It serves FOLDER on every address of loopback with ETag and Last-Modified, answers If-None-Match and If-Modified-Since with
304 (RFC 9110 section 13), Range with 206 or 416, and If-Range. Each request adds a line to LOG when its answer is done:
  ADDRESS:PORT METHOD PATH STATUS BYTES [If-None-Match|If-Modified-Since|Range=TEXT...]
BYTES are those of the body that were sent.

As a module: Web(port, log) answers in the test's own process, and what each path answers may change at any time:
  web.pages['/inter.crl'] = Page(data)                       on every address
  web.pages['127.0.0.3/inter.crl'] = Page(data, cut=1000)    on that one; a name that ends in / covers what is below it
  web.pages['/ocsp/'] = answers.Responder(pki, 'inter').page
"""
import argparse
import contextlib
import email.utils
import hashlib
import http.server
import os
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HOLD_SECONDS = 20  # after that many nobody else is coming: the connection ends with no answer
CHUNK = 1 << 16


@dataclass
class Page:
    """What one address answers. data: bytes, or a file that is read anew at each request."""
    data: bytes | Path = b''
    status: int = 200
    type: str = 'application/pkix-crl'
    etag: str | None = ''          # '': of the content; None: none
    modified: float | None = 0     # 0: of the file, or when this was made; None: none
    cache: str = ''                # Cache-Control
    ranges: bool = True
    cut: int | None = None         # the connection ends after so many bytes of the body
    hold: int = 0                  # no answer before so many requests were waiting at once, or have been
    location: str = ''
    headers: dict = field(default_factory=dict)
    made: float = field(default_factory=lambda: int(time.time()))

    def content(self):
        return self.data.read_bytes() if isinstance(self.data, Path) else self.data

    def answer(self, handler, _body):
        if self.hold and not handler.server.wait_for(self.hold):
            handler.close_connection = True
            return
        if self.location or self.status != 200:
            where = {'Location': self.location} if self.location else {}
            handler.begin(self.status, 0, self.type, **self.headers, **where)
            return
        try:
            data = self.content()
        except OSError:
            handler.begin(404, 0)
            return
        self.send(handler, data)

    def validators(self, data):
        headers = dict(self.headers)
        if self.etag is not None:
            headers['ETag'] = self.etag or f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if self.modified is not None:
            when = self.modified or (self.data.stat().st_mtime if isinstance(self.data, Path) else self.made)
            headers['Last-Modified'] = email.utils.formatdate(when, usegmt=True)
        if self.cache:
            headers['Cache-Control'] = self.cache
        if self.ranges:
            headers['Accept-Ranges'] = 'bytes'
        return headers

    def send(self, handler, data):
        headers = self.validators(data)
        if is_unchanged(handler.headers, headers):
            handler.begin(304, None, None, **headers)
            return
        status, first, last = 200, 0, len(data)
        wanted = self.range_wanted(handler.headers, headers, len(data))
        if wanted == 'unsatisfiable':
            handler.begin(416, 0, None, **{**headers, 'Content-Range': f'bytes */{len(data)}'})
            return
        if wanted:
            status, (first, last) = 206, wanted
            headers['Content-Range'] = f'bytes {first}-{last - 1}/{len(data)}'
        handler.begin(status, last - first, self.type, **headers)
        if handler.command != 'HEAD':
            handler.write(data[first:last] if self.cut is None else data[first:min(last, first + self.cut)])
        if self.cut is not None:
            handler.close_connection = True

    def range_wanted(self, asked, headers, size):
        """None: all of it; 'unsatisfiable'; or (first, behind the last).  One range only, as RFC 9110 14.2 allows."""
        match = re.fullmatch(r'bytes=(\d+)-(\d*)', asked.get('Range', ''))
        if not self.ranges or not match:
            return None
        if (condition := asked.get('If-Range')) and condition not in (headers.get('ETag'), headers.get('Last-Modified')):
            return None
        first, last = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
        return (first, last) if first < last else 'unsatisfiable'


def is_unchanged(asked, headers):
    """RFC 9110 13.2.2: If-Modified-Since counts only where there is no If-None-Match."""
    if (tags := asked.get('If-None-Match')) is not None:
        return 'ETag' in headers and (tags == '*' or headers['ETag'].removeprefix('W/') in
                                      [tag.strip().removeprefix('W/') for tag in tags.split(',')])
    if (since := asked.get('If-Modified-Since')) and 'Last-Modified' in headers:
        with contextlib.suppress(TypeError, ValueError):
            then, now = (email.utils.parsedate_to_datetime(text) for text in (since, headers['Last-Modified']))
            return now <= then
    return False


def connections_at(port):
    """How many the kernel holds for this server, those included that it has not accepted yet."""
    local = f':{port:04X}'
    alive = ('01', '03', '08')  # ESTABLISHED, SYN_RECV, CLOSE_WAIT
    with open('/proc/net/tcp', encoding='ascii') as lines:
        rows = [line.split() for line in lines]
    return len([row for row in rows if row[1].endswith(local) and row[3] in alive])


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection. What answers is a function of (handler, body of the request)."""
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    status = 0
    sent = 0

    def answer_any(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.status, self.sent = 0, 0
        self.server.arrived()
        try:
            self.server.page_for(self)(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.server.note(self)

    do_GET = do_HEAD = do_POST = answer_any

    def begin(self, status=200, length=None, type='application/ocsp-response', **headers):
        self.status = status
        self.send_response_only(status)
        if type:
            self.send_header('Content-Type', type)
        if length is not None:
            self.send_header('Content-Length', str(length))
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        if self.close_connection:
            self.send_header('Connection', 'close')
        self.end_headers()

    def write(self, data):
        for start in range(0, len(data), CHUNK):
            part = data[start:start + CHUNK]
            self.wfile.write(part)
            self.sent += len(part)

    def send(self, data, **headers):
        self.begin(length=len(data), **headers)
        self.write(data)

    def log_message(self, *_arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Knows its requests: how many came, each one's line in the log."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, log, address='0.0.0.0', handler=Handler):
        super().__init__((address, port), handler)
        self.log = log
        self.came, self.busy, self.coming = 0, 0, threading.Condition()

    def handle_error(self, request, client_address):
        """Clients that leave are what the tests are about."""

    def page_for(self, handler):
        raise NotImplementedError

    def arrived(self):
        with self.coming:
            self.came += 1
            self.coming.notify_all()

    def settle(self):
        """Until every connection has ended on this side, so that each request is noted: when clients are gone."""
        deadline = time.monotonic() + HOLD_SECONDS
        while (self.busy or connections_at(self.server_address[1])) and time.monotonic() < deadline:
            time.sleep(0.001)

    def process_request(self, request, client_address):
        with self.coming:
            self.busy += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.coming:
                self.busy -= 1

    def wait_for(self, count):
        with self.coming:
            return self.coming.wait_for(lambda: self.came >= count, HOLD_SECONDS)

    def note(self, handler):
        address, port = handler.connection.getsockname()[:2]
        conditions = [name for name in ('If-None-Match', 'If-Modified-Since') if name in handler.headers]
        if 'Range' in handler.headers:
            conditions.append('Range=' + handler.headers['Range'].replace(' ', ''))
        line = ' '.join([f'{address}:{port}', handler.command, handler.path, str(handler.status), str(handler.sent), *conditions])
        with open(self.log, 'a', encoding='utf-8') as out:
            out.write(line + '\n')


class FolderServer(Server):
    def __init__(self, folder, port, log, cache=''):
        super().__init__(port, log)
        self.folder, self.cache = Path(folder).resolve(), cache

    def page_for(self, handler):
        path = (self.folder / handler.path.lstrip('/')).resolve()
        found = path.is_file() and self.folder in path.parents
        return (Page(path, cache=self.cache) if found else Page(status=404)).answer


class Web(Server):
    """In the test's own process. Each request is also in self.requests, when its answer is done: the lines of the log."""

    def __init__(self, port, log):
        super().__init__(port, log)
        self.pages, self.requests = {}, []
        threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()

    def page_for(self, handler):
        local = handler.connection.getsockname()[0]
        path = handler.path.partition('?')[0]
        below = [path, *(path[:end + 1] for end in range(len(path) - 1, -1, -1) if path[end] == '/')]
        for name in [prefix + part for part in below for prefix in (local, '')]:
            if name in self.pages:
                page = self.pages[name]
                return page.answer if isinstance(page, Page) else page
        return Page(status=404).answer

    def note(self, handler):
        super().note(handler)
        address = handler.connection.getsockname()[0]
        self.requests.append(Request(address, handler.command, handler.path, handler.status, handler.sent,
                                     dict(handler.headers), handler.client_address))

    def forget(self):
        """Between two tests: no page, no request."""
        self.settle()
        self.pages.clear()
        self.requests.clear()
        self.came = 0

    def asked(self, part=''):
        """The requests whose address and path contain this."""
        return [request for request in self.requests if part in request.address + request.path]

    def close(self):
        self.shutdown()
        self.server_close()


@dataclass(frozen=True)
class Request:
    address: str
    method: str
    path: str
    status: int
    sent: int
    headers: dict
    client: tuple


def silent(handler, _body):
    """Taken, never answered: until the client leaves."""
    handler.close_connection = True
    with contextlib.suppress(OSError):
        while handler.connection.recv(4096):
            pass


def drip(length=42 << 20, seconds=1.0, first=b'\x30'):
    """One byte at a time, of a body that is announced."""
    def answer(handler, _body):
        handler.close_connection = True
        handler.begin(length=length)
        while True:
            handler.write(first)
            time.sleep(seconds)
    return answer


def drip_headers(seconds=1.0):
    """A header that never ends, one byte at a time."""
    def answer(handler, _body):
        handler.close_connection = True
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nX-Slow: ')
        while True:
            handler.wfile.write(b'x')
            time.sleep(seconds)
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument('port', type=int)
    parser.add_argument('log', type=Path)
    parser.add_argument('--cache-control', default='')
    settings = parser.parse_args()
    os.umask(0o022)
    FolderServer(settings.folder, settings.port, settings.log, settings.cache_control).serve_forever()


if __name__ == '__main__':
    main()
