# SPDX-License-Identifier: MIT
"""An archive over HTTP: starts the server on a free port, asks it what no library would ask,
and judges its end as every run is judged."""
import contextlib
import http.client
import json
import re
import signal
import socket
import ssl
import tempfile
import urllib.parse
from pathlib import Path

from mounted import DAMAGE, Mount, Repair, until
from program import DONE, NEVER_SAID, PATIENCE

# What an access line says of a request.
ACCESS = re.compile(r'info: (?P<client>\S+) "(?P<method>\S+) (?P<target>.*)" (?P<status>\d+) '
                    r'(?P<sent>\d+) bytes \S+ ms(?P<cut> \(cut\))?$', re.M)


class Reply:
    """One answer. @whole: its body has as many bytes, or the last chunk, that it promised."""

    def __init__(self, status, headers, body, whole):
        self.status = status
        self.headers = headers
        self.body = body
        self.whole = whole

    def __getitem__(self, name):
        return self.headers.get(name)

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f'<{self.status} {dict(self.headers)} {self.body[:200]!r} whole={self.whole}>'


def read_reply(response):
    try:
        body, whole = response.read(), True
    except http.client.IncompleteRead as error:
        body, whole = error.partial, False
    return Reply(response.status, response.headers, body, whole)


def quote(path):
    """A path (text or bytes) as it stands in a target."""
    return urllib.parse.quote(path, safe='/')


class Server:
    """A server in the foreground of its own process. Use it as a context."""

    def __init__(self, archive, folder, *args, settings=None, env=None,
                 scheme='http', **options):
        self.archive = archive
        self.log_file = Path(tempfile.mkstemp('.log', 'serve-', folder)[1])
        environment = {'BLOCKFRAME_' + key.upper().replace('.', '_'): str(value)
                       for key, value in (settings or {}).items()}
        self.run = archive.start('serve', '-p', '0', '--log', self.log_file, *args,
                                 env={**environment, **(env or {})}, **options)
        Mount.pids.add(self.pid)  # it is no mount that nobody judges
        self.ended = False
        self.scheme = scheme
        try:
            until(lambda: 'is served at' in self.log or not self.run.running, 'the server')
            assert self.run.running, self.finish(expect=None)
        except BaseException:
            self.clean_up()
            raise
        self.url = re.search(r"is served at (\S+?)/$", self.log, re.M)[1]
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port

    # What it says

    @property
    def log(self):
        return self.log_file.read_text(errors='replace') if self.log_file.exists() else ''

    @property
    def requests(self):
        """What the log says of requests. It says so when they have ended, which is after the
        client has the last byte, and in any order."""
        return [match.groupdict() for match in ACCESS.finditer(self.log)]

    def asked(self, target, number=1):
        """Those for @target, once there are so many."""
        of_target = lambda: [r for r in self.requests if r['target'] == target]
        return until(lambda: len(of_target()) >= number and of_target(), f'requests for {target}')

    def repairs(self):
        return [Repair(match) for match in DAMAGE.finditer(self.log)]

    @property
    def pid(self):
        return self.run.process.pid

    def memory(self):
        """Bytes resident, without what is mapped from files."""
        with open(f'/proc/{self.pid}/status', encoding='ascii') as file:
            return int(re.search(r'RssAnon:\s+(\d+) kB', file.read())[1]) * 1024

    # Asking

    def connect(self):
        if self.scheme == 'https':
            context = ssl._create_unverified_context()
            return http.client.HTTPSConnection(self.host, self.port, timeout=PATIENCE,
                                               context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def ask(self, target, method='GET', token=None, connection=None, **headers):
        """One request, its target sent as it is. Headers: Name_With_Underscores='...'."""
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(contextlib.closing(self.connect()))
            connection.putrequest(method, target, skip_host='Host' in headers,
                                  skip_accept_encoding=True)
            if token:
                connection.putheader('Authorization', f'Bearer {token}')
            for name, value in headers.items():
                if value is not None:
                    connection.putheader(name.replace('_', '-'), value)
            connection.endheaders()
            return read_reply(connection.getresponse())

    def get(self, target, **options):
        return self.ask(target, **options)

    def content(self, path, **options):
        reply = self.get('/files' + quote(path), **options)
        assert reply.status == 200 and reply.whole, reply
        return reply.body

    def socket(self, data=b''):
        """A plain connection, on which @data was sent, or as much of it as the server took."""
        sock = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(data)
        return sock

    def raw(self, data):
        """All that comes back for @data until the server closes."""
        with self.socket(data) as sock:
            return read_all(sock)

    # Ending

    def send(self, number):
        self.run.kill(number)

    def finish(self, expect=DONE, **options):
        self.ended = True
        Mount.pids.discard(self.pid)
        try:
            result = self.run.finish(expect, **options)
        except AssertionError as error:
            raise AssertionError(f'{error}\nlog: ...{self.log[-4000:]}') from None
        assert not NEVER_SAID.search(self.log), self.log
        return result

    def stop(self, expect=DONE):
        self.send(signal.SIGTERM)
        result = self.finish(expect)
        assert 'is served no more' in self.log.splitlines()[-1], self.log
        return result

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.clean_up()
        elif not self.ended:
            self.stop()

    def clean_up(self):
        if not self.ended:
            self.ended = True
            Mount.pids.discard(self.pid)
            self.run.kill()
            self.run.process.wait()


def read_all(sock):
    """Everything until the end; a reset is one, too."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := sock.recv(1 << 20):
            data += piece
    return bytes(data)


def request_bytes(target, *headers, host='localhost'):
    lines = [f'GET {target} HTTP/1.1', f'Host: {host}', *headers, '', '']
    return '\r\n'.join(lines).encode()
