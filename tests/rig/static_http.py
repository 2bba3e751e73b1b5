#!/usr/bin/python3
"""static_http.py FOLDER PORT LOG: serve FOLDER on 127.0.0.1; each request adds one line, its path, to LOG."""
import http.server
import sys


def handler(folder, log):
    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_request(self, code='-', size='-'):
            with open(log, 'a', encoding='utf-8') as out:
                out.write(self.path + '\n')
    return Handler


if __name__ == '__main__':
    folder, port, log = sys.argv[1:]
    http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), handler(folder, log)).serve_forever()
