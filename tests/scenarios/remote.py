# SPDX-License-Identifier: MIT
"""The client of another machine's archive, and machines that do not tell it the truth.

`Remote` runs commands with --remote. `Between` is a server of the test's own that passes
requests on, and lies, stalls or goes away as the test says."""
import contextlib
import http.client
import http.server
import socket
import threading
import urllib.parse

from program import PATIENCE, Archive


class Remote(Archive):
    """An archive by its URL, as a user has it who keeps what is remembered in @home."""

    def __init__(self, program, url, home, *options):
        super().__init__(program, home)
        self.url = url
        self.options = options
        self.environment = {'XDG_STATE_HOME': str(home / 'state'),
                            'XDG_CACHE_HOME': str(home / 'cache'),
                            'BLOCKFRAME_POLL_MS': '50'}
        home.mkdir(exist_ok=True)

    def _command(self, args):
        return [args[0], '--remote', self.url, *self.options, *args[1:]]

    def run(self, *args, env=None, **options):
        return super().run(*args, env={**self.environment, **(env or {})}, **options)

    def start(self, *args, env=None, **options):
        return super().start(*args, env={**self.environment, **(env or {})}, **options)

    def trust(self, *args, **options):
        return self.program.run('trust', *args, env=self.environment, **options)

    def remembered(self):
        """{url: (sequence, head)}"""
        return {line['url']: (int(line['sequence']), line['head'])
                for line in self.trust('list', '--json').json_lines()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = PATIENCE

    def do_GET(self):
        between = self.server.between
        between.requests.append(self.path)
        between.headers.append(dict(self.headers))
        answer = between.answer(self.path, dict(self.headers))
        if answer is None:  # no answer at all
            self.close_connection = True
            return
        status, headers, body = answer
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if 'Content-Length' not in headers:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        sent = 0
        with contextlib.suppress(ConnectionError):
            for piece in [body] if isinstance(body, bytes) else body:
                self.wfile.write(piece)
                sent += len(piece)
        if int(headers.get('Content-Length', sent)) != sent:
            self.close_connection = True

    def log_message(self, *args):
        pass


class Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients go away; tests judge the client


class Between:
    """Passes requests on to the server at @url. A test sets `lie(target, status, headers, body)`,
    which returns what the client gets instead: (status, headers, body), or None for a
    connection that breaks. A body may come in pieces; its Content-Length is the test's to say then.
    Use it as a context."""

    KEPT = ('ETag', 'Content-Type', 'Retry-After')

    def __init__(self, url):
        self.server_url = url
        self.lie = None
        self.requests = []
        self.headers = []
        self.http = Threads(('127.0.0.1', 0), Handler)
        self.http.between = self
        self.url = f'http://127.0.0.1:{self.http.server_address[1]}'
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    def ask(self, target, headers=None):
        parts = urllib.parse.urlsplit(self.server_url)
        with contextlib.closing(http.client.HTTPConnection(parts.hostname, parts.port,
                                                           timeout=PATIENCE)) as connection:
            connection.request('GET', target, headers={
                k: v for k, v in (headers or {}).items() if k in ('If-None-Match', 'Authorization')})
            reply = connection.getresponse()
            return reply.status, {name: reply.headers[name] for name in self.KEPT
                                  if name in reply.headers}, reply.read()

    def answer(self, target, headers):
        answer = self.ask(target, headers)
        return self.lie(target, *answer) if self.lie else answer

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


class Cable:
    """A port that leads to a server, until it is cut or led to another one. (A port of a server
    that has ended may be anybody's.) Use it as a context."""

    def __init__(self, server):
        self.lead_to(server)
        self.whole = True
        self.sockets = set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.url = f'http://127.0.0.1:{self.port}'
        self.passed = 0  # bytes from the server

    def _pump(self, source, to, counts):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not self.whole:
                    break
                to.sendall(data)
                if counts:
                    self.passed += len(data)
        for sock in (source, to):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    if not self.whole:
                        raise ConnectionError
                    server = self._connect()
                except OSError:
                    client.close()
                    continue
                with self.lock:
                    self.sockets |= {client, server}
                for pair in (client, server, False), (server, client, True):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _connect(self):
        return socket.create_connection(self.target, timeout=PATIENCE)

    def lead_to(self, server):
        self.target = server.host, server.port

    def cut(self):
        self.whole = False
        with self.lock:
            for sock in self.sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            self.sockets.clear()

    def mend(self):
        self.whole = True

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.cut()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
