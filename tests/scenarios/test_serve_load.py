# SPDX-License-Identifier: MIT
"""Many clients, slow ones, and such that never come to an end: deadlines, memory, and stopping
while all of this goes on."""
import concurrent.futures
import contextlib
import random
import re
import select
import selectors
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from mounted import until
from program import PATIENCE, Archive, have, remove
from serving import read_all, request_bytes
from test_serve_access import certificate  # noqa: F401 (a fixture)
from trees import MIB, text_bytes, write_file

RANGES = '''
local names, size, piece, n = { 'stored', 'text' }, %d, 65536, 0
function request()
  n = n + 1
  local start = math.random(0, size - piece)
  return wrk.format('GET', '/files/tree/' .. names[n %% 2 + 1],
                    { Range = 'bytes=' .. start .. '-' .. start + piece - 1 })
end
'''
FILES = ['stored', 'text']
SIZE = 24 * MIB + 7  # more than all buffers between a client and the server can hold
PATIENT = {f'server.{name}_timeout': PATIENCE for name in ['request', 'answer', 'send', 'stop']}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('load')
    yield folder
    remove(folder)


@pytest.fixture(scope='module')
def tree(folder, seed):
    rng = random.Random(f'load {seed}')
    write_file(folder / 'tree/stored', rng.randbytes(SIZE))
    write_file(folder / 'tree/text', text_bytes(rng, SIZE))
    return folder / 'tree'


@pytest.fixture(scope='module')
def archive(program, folder, tree):
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree)
    return archive


def stalled(server, target, *headers):
    """A client that asks and takes nothing but the beginning."""
    sock = server.socket(request_bytes(target, *headers))
    assert sock.recv(16).startswith(b'HTTP/1.1 200')
    return sock


def rest(sock):
    return read_all(sock).split(b'\r\n\r\n', 1)[1]


@pytest.mark.main
def test_clients_that_stall_hold_up_nobody(archive, tree, serve):
    server = serve(archive)
    with contextlib.ExitStack() as stack:
        for n in range(60):
            stack.enter_context(stalled(server, f'/files/tree/{FILES[n % 2]}'))
        for name in FILES * 2:
            assert server.content(f'/tree/{name}') == (tree / name).read_bytes()
        assert server.get('/v1/tar/tree').whole
    assert server.get('/files/').status == 200


@pytest.mark.main
@pytest.mark.parametrize('target', ['/files/tree/stored', '/v1/tar/tree'])
def test_who_takes_nothing_is_cut_off(archive, serve, target):
    server = serve(archive, settings={'server.send_timeout': 1})
    with stalled(server, target) as sock:
        until(lambda: server.requests, 'the end of the request')
        assert server.requests[0]['cut']
        assert len(read_all(sock)) < SIZE
    assert 'past a deadline' in server.log
    until(lambda: server.get('/metrics').text.find('blockframe_http_connections 1\n') > 0,
          'the connection to be gone')


@pytest.mark.main
def test_a_head_that_never_ends_is_cut_off(archive, serve):
    """However busy the client looks: the deadline is for the whole head."""
    server = serve(archive, settings={'server.request_timeout': 1})
    start = b'GET /files/ HTTP/1.1\r\nHost: localhost\r\n'
    with contextlib.ExitStack() as stack:
        drips = {stack.enter_context(server.socket(head)): drip for head, drip in [
            (start, b'X-Header: a\r\n'), (b'GET /', b'x'), (b'', b'')]}
        while drips:
            for sock in select.select(list(drips), [], [], 0.02)[0]:
                assert read_all(sock) == b''
                del drips[sock]
            for sock, drip in drips.items():
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    sock.sendall(drip)
    assert all(request['status'] == '0' for request in server.requests)


def test_an_idle_connection_ends(archive, serve):
    server = serve(archive, settings={'server.request_timeout': 2})
    with server.socket(request_bytes('/files/')) as sock:
        assert read_all(sock).endswith(b'</html>\n')


def test_who_is_slow_but_goes_on_gets_everything(archive, tree, serve):
    """More time in all than the deadline of a block. Where the machine was so busy that a block
    may have taken that long, too, it is tried once more with more time."""
    content = (tree / 'text').read_bytes()[:6 * MIB]
    for seconds in 1, 4, 16, 64:
        server = serve(archive, settings={'server.send_timeout': seconds,
                                          'server.request_timeout': seconds})
        answer, pause = read_slowly(server, '/files/tree/text', len(content), 1.5 * seconds)
        server.stop()
        if answer == content:
            break
        assert pause > seconds / 4, f'cut off after {len(answer)} bytes'
    assert answer == content


def read_slowly(server, target, size, seconds):
    """The first @size bytes of @target, which take @seconds, and the longest time between two
    pieces of them."""
    piece_size, longest = 32 << 10, 0
    with server.socket(request_bytes(target, f'Range: bytes=0-{size - 1}',
                                     'Connection: close')) as sock:
        data, before = b'', time.monotonic()
        while piece := sock.recv(piece_size):
            data += piece
            select.select([], [], [], seconds * piece_size / size)  # the client's own slowness
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
    return data.partition(b'\r\n\r\n')[2], longest


# Stopping


@pytest.mark.main
def test_what_runs_is_finished_after_sigterm(archive, tree, serve):
    server = serve(archive, settings=PATIENT)
    socks = [(name, stalled(server, f'/files/tree/{name}')) for name in FILES * 4]
    idle = server.socket(request_bytes('/files/'))
    assert idle.recv(16)
    server.send(signal.SIGTERM)
    until(lambda: 'stopping' in server.log, 'the signal')

    def refused():
        with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
            server.socket().close()
            return False
        return True

    until(refused, 'the end of listening')
    assert read_all(idle).endswith(b'</html>\n')
    for name, sock in socks:
        assert rest(sock) == (tree / name).read_bytes()
    server.finish()
    assert len([r for r in server.requests if not r['cut']]) == 9
    for _, sock in socks:
        sock.close()


@pytest.mark.main
def test_who_does_not_come_to_an_end_is_not_waited_for(archive, serve):
    server = serve(archive, settings={'server.stop_timeout': 1})
    targets = ['/files/tree/stored', '/v1/tar/tree', '/files/tree/text']
    socks = [stalled(server, target) for target in targets]
    server.stop()
    for sock in socks:
        assert len(read_all(sock)) < SIZE
        sock.close()


def test_a_second_signal_does_not_wait(archive, serve):
    server = serve(archive)
    with stalled(server, '/files/tree/stored') as sock:
        server.send(signal.SIGTERM)
        until(lambda: 'stopping' in server.log, 'the signal')
        server.stop()
        assert len(read_all(sock)) < SIZE


# Many


@pytest.mark.main
def test_many_look_at_folders_at_a_time(archive, serve):
    """More than there are handles of the catalog: nobody waits for a second one with the first
    in the hand."""
    server = serve(archive)

    def look(_):
        with contextlib.closing(server.connect()) as connection:
            return {server.get('/files/tree/', connection=connection).status for _ in range(40)}

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        assert list(pool.map(look, range(24))) == [{200}] * 24


def test_a_commit_while_clients_read(new_archive, serve, tmp_path, rng):
    archive = new_archive('growing')
    content = text_bytes(rng, 10 * MIB)
    write_file(tmp_path / 'top/file', content)
    archive.commit(tmp_path / 'top')
    server = serve(archive, settings=PATIENT)
    socks = [stalled(server, '/files/top/file', 'Connection: close') for _ in range(4)]
    for n in range(3):
        write_file(tmp_path / 'top/file', b'version %d' % n)
        archive.commit(tmp_path / 'top')
        assert server.content('/top/file') == b'version %d' % n
    for sock in socks:
        assert rest(sock) == content
        sock.close()


@pytest.mark.main
@pytest.mark.slow_under_sanitizers
def test_a_thousand_connections_within_the_memory(archive, tree, serve):
    server = serve(archive, settings=PATIENT)
    before = server.memory()
    size = 300_000
    content = {name: (tree / name).read_bytes() for name in FILES}
    rng = random.Random(1)
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for n in range(1000):
            name, offset = FILES[n % 2], rng.randrange(SIZE - size)
            sock = stack.enter_context(server.socket(request_bytes(
                f'/files/tree/{name}', f'Range: bytes={offset}-{offset + size - 1}')))
            selector.register(sock, selectors.EVENT_READ, [name, offset, b''])
        until(lambda: 'blockframe_http_connections 1001\n' in server.get('/metrics').text,
              'a thousand connections')
        peak, missing = server.memory(), 1000
        while missing:
            for key, _ in selector.select():
                name, offset, _ = key.data
                key.data[2] += key.fileobj.recv(1 << 20)
                head, _, body = key.data[2].partition(b'\r\n\r\n')
                if len(body) == size:
                    assert b' 206 ' in head and body == content[name][offset:offset + size]
                    selector.unregister(key.fileobj)
                    missing -= 1
            peak = max(peak, server.memory()) if missing % 50 == 0 else peak
        peak = max(peak, server.memory())
    assert peak - before < 256 * MIB, (before, peak)


@pytest.mark.slow_under_sanitizers
def test_a_thousand_tls_connections_within_the_memory(archive, tree, serve, certificate, count):
    """What gnutls takes counts, too."""
    server = serve(archive, '--cert', certificate[0], '--key', certificate[1], scheme='https',
                   settings=PATIENT)
    assert 'at most' not in server.log
    before = server.memory()
    context = ssl._create_unverified_context()
    size, number = 20_000, count(150, 1000)
    content = (tree / 'stored').read_bytes()
    with contextlib.ExitStack() as stack:
        socks = []
        for n in range(number):
            sock = stack.enter_context(context.wrap_socket(
                stack.enter_context(server.socket()), server_hostname='localhost'))
            sock.sendall(request_bytes('/files/tree/stored',
                                       f'Range: bytes={n}-{n + size - 1}'))
            socks.append(sock)
        for n, sock in enumerate(socks):
            data = b''
            while not data.endswith(content[n:n + size]):
                data += sock.recv(1 << 16)
        assert server.memory() - before < 256 * MIB
    until(lambda: server.get('/files/').status == 200, 'an answer')


def test_a_thousand_clients_that_hurry(archive, serve, count, tmp_path):
    """wrk: each of a thousand connections asks for the next range as soon as it has one."""
    if not have('wrk'):
        pytest.skip('there is no wrk')
    server = serve(archive)
    before = server.memory()
    script = tmp_path / 'ranges.lua'
    script.write_text(RANGES % SIZE)
    run = subprocess.Popen(['wrk', '-t', '2', '-c', '1000', '-d', f'{count(2, 20)}s', '--timeout',
                            '100s', '-s', script, server.url], stdout=subprocess.PIPE, text=True)
    peak = 0
    while run.poll() is None:
        peak = max(peak, server.memory())
        time.sleep(0.1)
    out = run.stdout.read()
    assert run.returncode == 0 and 'Non-2xx' not in out and 'Socket errors' not in out, out
    assert int(re.search(r'(\d+) requests in', out)[1]) > 0, out
    assert peak - before < 256 * MIB, (before, peak)


# Limits


def test_a_machine_gets_so_many_answers(archive, serve):
    """All of them ask before the first one gets an answer."""
    server = serve(archive, settings={'server.request_rate': 3})
    server.send(signal.SIGSTOP)
    socks = [server.socket(request_bytes('/files/', 'Connection: close')) for _ in range(100)]
    server.send(signal.SIGCONT)
    statuses = [int(read_all(sock).split()[1]) for sock in socks]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 3, statuses
    for sock in socks:
        sock.close()
    until(lambda: server.get('/files/').status == 200, 'the next second')


def test_a_machine_gets_so_many_bytes(archive, tree, serve):
    """The clock is asked only whether it was not too fast."""
    server = serve(archive, settings={'server.byte_rate': '4MiB', 'server.stop_timeout': 1})
    size = 6 * MIB
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        bodies = list(pool.map(lambda _: server.get(
            '/files/tree/stored', Range=f'bytes=0-{size // 3 - 1}').body, range(3)))
    assert bodies == [(tree / 'stored').read_bytes()[:size // 3]] * 3
    assert time.monotonic() - begin > 0.9  # 6 MiB at 4 MiB/s, a quarter of a second at once
    with stalled(server, '/files/tree/stored'):
        server.stop()


def test_health_is_told_while_there_is_too_much_to_look_for(archive, serve):
    """Who takes a folder and stalls has the only search that there may be."""
    server = serve(archive, settings={'limits.jobs': 1})
    with stalled(server, '/v1/tar/tree'):
        reply = server.get('/v1/health')
        assert reply.status == 503 and reply['Retry-After']
    until(lambda: server.get('/v1/health').status == 200, 'the end of the search')
    said = server.get('/v1/health').json()
    with stalled(server, '/v1/tar/tree'):
        assert server.get('/v1/search?q=x').status == 503
        assert server.get('/v1/health').json() == said
    assert int(said['as_of']) > 1_500_000_000


def test_a_search_that_nobody_waits_for_ends(archive, serve):
    """Its client has left before the server gets to it, which is stopped meanwhile."""
    server = serve(archive)
    target = '/v1/search?q=nothing+has+this+name'
    assert server.get(target).json()['complete']
    server.send(signal.SIGSTOP)
    for _ in range(5):
        server.socket(request_bytes(target)).close()
    server.send(signal.SIGCONT)
    until(lambda: len(server.requests) == 6, 'the end of all')
    assert sorted(r['status'] for r in server.requests) == ['200'] + ['503'] * 5
    assert 'error:' not in server.log
    assert server.get(target).json()['complete']


def test_connections_beyond_the_limit_wait(archive, serve):
    server = serve(archive, settings={'server.max_connections': 4, 'limits.jobs': 1})
    socks = [server.socket() for _ in range(4)]
    with server.socket(request_bytes('/files/')) as late:
        assert not select.select([late], [], [], 0.2)[0]
        socks.pop().close()
        assert late.recv(16) == b'HTTP/1.1 200 OK\r'
    for sock in socks:
        sock.close()


def test_a_small_budget_serves_as_well(archive, tree, serve):
    server = serve(archive, settings={'limits.memory': '64MiB', 'limits.jobs': 2})
    with contextlib.ExitStack() as stack:
        for n in range(100):
            stack.enter_context(stalled(server, f'/files/tree/{FILES[n % 2]}'))
        threads = []
        wrong = []

        def read(name):
            if server.content(f'/tree/{name}') != (tree / name).read_bytes():
                wrong.append(name)

        for name in FILES * 3:
            threads.append(threading.Thread(target=read, args=(name,)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        assert not wrong
    assert 'connections: [limits] memory' in server.log
