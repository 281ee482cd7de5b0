# SPDX-License-Identifier: MIT
"""Who gets an answer: tokens on every path, hosts, addresses, and what can't be named."""
import contextlib
import os
import signal
import socket
import subprocess

import pytest

from mounted import until
from program import PATIENCE, USAGE, Archive, remove
from serving import Server, read_all, request_bytes
from test_serve import digest
from trees import write_file

ALL, SOME, TOP, SPACE = 'token-for-all', 'token-for-some', 'token-for-top', 'token-for-space'
OPEN = ['/', '/web/main.js', '/v1/session']  # the page itself, which is the same for everybody
FILTERED = ['/files/', '/v1/tree', '/v1/search', '/api/files', '/openapi.json', '/docs']
WHOLE = ['/v1/head', '/v1/commits', '/v1/page/' + '0' * 64,
         '/v1/segment/' + '0' * 64 + '/table', '/v1/segment/' + '0' * 64 + '/frames',
         '/v1/volumes', '/v1/volumes/1', '/v1/health', '/metrics']
CONTENT = ['/files/top/{}', '/v1/stream/top/{}', '/v1/stream/top/{}?version=1',
           '/v1/manifest/top/{}', '/v1/versions/top/{}', '/v1/tar/top/{}',
           '/v1/tree?path=/top/{}', '/v1/search?path=/top/{}', '/api/files/top%2F{}',
           '/api/files/top%2F{}/manifest', '/api/files/top%2F{}/segment/0']


def targets(path):
    """All that is asked for by a path."""
    return [form.format(path.replace('/', '%2F') if '/api/' in form else path)
            for form in CONTENT]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('access')
    yield folder
    remove(folder)


@pytest.fixture(scope='module')
def archive(program, folder):
    top = folder / 'top'
    for name in ['ours/file', 'ours/deep/er', 'ours2/secret', 'other/secret', 'with space/file',
                 'secret']:
        write_file(top / name, b'content of ' + name.encode())
    os.link(top / 'other/secret', top / 'ours/linked')
    (top / 'ours/out').symlink_to('../../../../etc/passwd')
    archive = Archive(program, folder / 'archive').init()
    archive.commit(top)
    return archive


def write_tokens(path, *lines):
    new = path.with_suffix('.new')
    new.write_text(''.join(f'{digest(token.encode())} {prefix}\n' for token, prefix in lines))
    new.rename(path)


@pytest.fixture(scope='module')
def tokens(folder):
    path = folder / 'tokens'
    write_tokens(path, (ALL, ''), (SOME, '/top/ours'), (TOP, '/'), (SPACE, '/top/with%20space'))
    return path


@pytest.fixture(scope='module')
def server(archive, folder, tokens):
    with Server(archive, folder, '--token-file', tokens,
                settings={'server.failure_rate': 0}) as server:
        yield server


# Tokens


@pytest.mark.main
def test_nobody_gets_anything_without_a_token(server):
    known = {path.split('{')[0] for path in server.get('/openapi.json', token=ALL).json()['paths']}
    assert {'/', '/web/', '/v1/session'} <= known
    for target in [*FILTERED, *WHOLE, *sorted(known - {'/', '/web/', '/v1/session'}), '/nothing',
                   '/web', *targets('ours/file')]:
        for method in ('GET', 'HEAD', 'OPTIONS'):
            for headers in [{}, {'Authorization': 'Bearer wrong'}, {'Authorization': 'Bearer '},
                            {'Authorization': f'Basic {ALL}'}, {'Cookie': ALL}]:
                reply = server.ask(target, method=method, **headers)
                assert reply.status == 401 and b'content of' not in reply.body, (target, reply)
                assert reply['WWW-Authenticate'] == 'Bearer'
    for target in OPEN:
        assert server.get(target).status == 200, target
        assert ALL.encode() not in server.get(target).body
    assert server.get(f'/files/?token={ALL}').status == 401


@pytest.mark.main
def test_a_token_for_everything_reaches_everything(server):
    for target in [*FILTERED, *(w for w in WHOLE if '000' not in w),
                   *(t for t in targets('other/secret') if 'tree' not in t)]:
        reply = server.get(target, token=ALL)
        assert reply.status in (200, 301, 302) and reply.whole, (target, reply)


@pytest.mark.main
def test_a_token_with_a_path_reaches_what_is_below_it(server):
    for target in targets('ours/file'):
        if 'tree' not in target:
            reply = server.get(target, token=SOME)
            assert reply.status == 200 and reply.whole, (target, reply)
    assert server.get('/v1/tree?path=/top/ours', token=SOME).status == 200
    assert server.get('/files/top/with%20space/file', token=SPACE).status == 200


@pytest.mark.main
@pytest.mark.parametrize('path', ['secret', 'ours2/secret', 'other/secret', 'other', 'ours2',
                                  'nothing', 'ours%00', 'our', 'ours/../secret',
                                  'ours/%2e%2e/secret', 'ours%2F..%2Fsecret'])
def test_a_token_with_a_path_reaches_nothing_else(server, path):
    for target in targets(path):
        reply = server.get(target, token=SOME)
        assert reply.status in (400, 403, 404), (target, reply)
        assert b'content of' not in reply.body and b'secret' not in reply.body.replace(
            path.encode(), b''), reply


@pytest.mark.main
def test_a_token_with_a_path_gets_no_objects_and_no_figures(server):
    manifest = server.get('/v1/manifest/top/ours/file', token=ALL).json()
    segment = manifest['pack']['segment']
    assert server.get(f'/v1/segment/{segment}/table', token=ALL).status == 200
    for target in [*WHOLE, f'/v1/segment/{segment}/table', f'/v1/segment/{segment}/frames']:
        for token in (SOME, TOP):
            assert server.get(target, token=token).status == 403, target


@pytest.mark.main
def test_of_folders_above_it_sees_what_leads_there(server):
    names = lambda reply: [entry['path'] for entry in reply.json()['entries']]
    for target in ['/v1/tree', '/files/']:
        assert names(server.get(target, token=SOME, Accept='application/json')) == ['top']
    assert names(server.get('/v1/tree?path=/top', token=SOME)) == ['top/ours']
    assert names(server.get('/v1/tree?path=/top&limit=1', token=SPACE)) == ['top/with space']
    page = server.get('/files/top/', token=SOME).text
    assert page.count('href') == 2 and 'href="ours/"' in page
    assert [file['name'] for file in server.get('/api/files', token=SOME).json()] == [
        'top/ours/deep/er', 'top/ours/file', 'top/ours/linked']


@pytest.mark.main
def test_searches_find_only_what_it_reaches(server):
    names = lambda reply: [entry['path'] for entry in reply.json()['entries']]
    assert names(server.get('/v1/search?q=secret', token=SOME)) == []
    assert 'top/secret' in names(server.get('/v1/search?q=secret', token=TOP))
    assert names(server.get('/v1/search', token=SOME)) == [
        'top/ours', 'top/ours/deep', 'top/ours/deep/er', 'top/ours/file', 'top/ours/linked',
        'top/ours/out']
    hashed = server.get('/v1/manifest/top/secret', token=ALL).json()['hash']
    assert names(server.get(f'/v1/search?hash={hashed}', token=SOME)) == []
    assert names(server.get(f'/v1/search?hash={hashed}', token=TOP)) == ['top/secret']


@pytest.mark.main
def test_manifests_do_not_tell_of_other_places(server):
    linked = '/v1/manifest/top/ours/linked'
    assert 'secret' in server.get(linked, token=ALL).text
    for target in [linked, '/v1/tree?path=/top/ours', '/v1/search', '/api/files',
                   '/v1/versions/top/ours/linked', '/api/files/top%2Fours%2Flinked/manifest']:
        reply = server.get(target, token=SOME)
        assert reply.status == 200 and 'secret' not in reply.text, target
    source = server.get('/v1/manifest/top', token=ALL).json()['source']
    assert source and 'source' not in server.get('/v1/manifest/top', token=TOP).json()


@pytest.mark.main
def test_tokens_are_read_again(archive, serve, tmp_path):
    tokens = tmp_path / 'tokens'
    write_tokens(tokens, ('one', ''))
    server = serve(archive, '--token-file', tokens, settings={'server.failure_rate': 0})
    assert server.get('/files/', token='one').status == 200
    write_tokens(tokens, ('another', ''))
    server.send(signal.SIGHUP)
    until(lambda: server.get('/files/', token='another').status == 200, 'the new token')
    assert server.get('/files/', token='one').status == 401
    (tmp_path / 'nonsense').write_text('nonsense\n')
    (tmp_path / 'nonsense').rename(tokens)  # it would read a half-written file, too
    server.send(signal.SIGHUP)
    until(lambda: 'tokens: ' in server.log and 'line 1' in server.log, 'a warning')
    assert server.get('/files/', token='another').status == 200
    assert 'another' not in server.log and 'one"' not in server.log


# Hosts and addresses


@pytest.mark.main
def test_only_our_own_names_are_answered(archive, serve):
    server = serve(archive, settings={'server.hosts': 'ours.example:*.more.example'})
    for host in ['localhost', 'LocalHost:1', '127.0.0.1', '[::1]:80', '10.1.2.3', 'ours.example',
                 'OURS.example:99', 'a.more.example', 'localhost.', socket.gethostname()]:
        assert server.get('/files/', Host=host).status == 200, host
    for host in ['evil.example', 'ours.example.evil', 'localhost.evil', 'xours.example', '127.0.0.1.x',
                 '::1]', 'ours.example@evil']:
        assert server.get('/files/', Host=host).status == 421, host
    for raw in [b'GET /files/ HTTP/1.1\r\n\r\n', b'GET /files/ HTTP/1.0\r\n\r\n',
                b'GET /files/ HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n',
                b'GET /files/ HTTP/1.1\r\nHost:\r\n\r\n']:
        with server.socket(raw) as sock:
            assert sock.recv(4096).split()[1] in (b'400', b'421'), raw
    for target, status in [('http://localhost/files/', b'200'), ('http://evil/files/', b'421')]:
        with server.socket(request_bytes(target, host='localhost')) as sock:
            assert sock.recv(4096).split()[1] == status


@pytest.mark.main
def test_others_are_let_in_only_on_purpose(archive, folder, tokens, certificate):
    tls = ['--cert', certificate[0], '--key', certificate[1]]
    for args in [[], tls, ['--token-file', tokens]]:
        result = archive.run('serve', '-p', '0', '--listen', '0.0.0.0', *args, expect=USAGE)
        assert '--insecure' in result.err
    for args in [['--insecure'], [*tls, '--token-file', tokens]]:
        scheme = 'https' if '--cert' in args else 'http'
        with Server(archive, folder, '--listen', '0.0.0.0', *args, scheme=scheme) as server:
            assert server.get('/files/', token=ALL).status == 200
    for args in [['--cert', certificate[0]], ['--listen', 'example.org'], ['-p', '65536'],
                 ['--base-path', '/a b']]:
        archive.run('serve', *args, expect=USAGE)


@pytest.fixture(scope='module')
def certificate(folder):
    files = folder / 'cert.pem', folder / 'key.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost', '-days', '2',
                    '-out', files[0], '-keyout', files[1]], check=True, capture_output=True)
    return files


@pytest.mark.main
def test_tls(archive, folder, serve, certificate, tmp_path):
    server = serve(archive, '--cert', certificate[0], '--key', certificate[1], scheme='https')
    assert server.url.startswith('https://')
    assert server.content('/top/ours/file') == b'content of ours/file'
    for version, code in [('--tlsv1.2', 0), ('--tls-max', 35)]:
        command = ['curl', '-sk', version, *(['1.1'] if version == '--tls-max' else []),
                   server.url + '/files/', '-o', tmp_path / 'out']
        assert subprocess.run(command).returncode == code
    wrong = tmp_path / 'wrong.pem'
    wrong.write_text('nonsense')
    result = archive.run('serve', '-p', '0', '--cert', wrong, '--key', wrong, expect=1)
    assert 'certificate' in result.err


@pytest.mark.main
def test_nothing_listens_where_it_was_not_asked_to(server):
    listening = set()
    inodes = {os.readlink(f'/proc/{server.pid}/fd/{fd}')
              for fd in os.listdir(f'/proc/{server.pid}/fd')}
    for table in ('tcp', 'tcp6', 'udp', 'udp6'):
        with open(f'/proc/net/{table}', encoding='ascii') as file:
            for line in file.read().splitlines()[1:]:
                fields = line.split()
                if f'socket:[{fields[9]}]' in inodes and fields[3] == '0A':
                    listening.add(fields[1])
    assert listening == {f'0100007F:{server.port:04X}'}


def test_a_socket_of_the_service_manager(archive, tmp_path):
    """Passed on as descriptor 3, as systemd does it."""
    with socket.create_server(('127.0.0.1', 0)) as listening, \
            socket.create_connection(listening.getsockname(), timeout=PATIENCE) as early:
        early.sendall(request_bytes('/files/top/ours/file', 'Connection: close'))
        script = 'exec 3<&"$0"; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        fd = listening.fileno()
        process = subprocess.Popen(
            ['bash', '-c', script, str(fd), archive.program.binary, 'serve', '-a', archive.path,
             '--log', tmp_path / 'log'], pass_fds=[fd], env=archive.program.environment)
        assert read_all(early).endswith(b'content of ours/file')
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        # Whoever comes now waits for the next server.
        socket.create_connection(listening.getsockname(), timeout=PATIENCE).close()


# What can be named


@pytest.mark.main
def test_nothing_outside_of_the_archive_can_be_named(server, rng):
    """Paths that mean /etc/passwd, or the archive's own files, to somebody."""
    bits = ['..', '%2e%2e', '.%2e', '%2E.', '.', '%2e', '', '%2F', '%5c', '\\', '%00', 'etc',
            'passwd', 'top', 'ours', 'out', 'catalog.db', 'config.toml', '%252e%252e', '....',
            '%c0%ae', ';', '%2e%2e%2f']
    with contextlib.closing(server.connect()) as connection:
        for _ in range(400):
            path = '/'.join(rng.choice(bits) for _ in range(rng.randint(1, 8)))
            for prefix in ['/files/', '/v1/stream/', '/v1/tar/', '/api/files/', '/', '/v1/tree?path=']:
                reply = server.get(prefix + path, token=ALL, connection=connection)
                assert reply.status in (200, 301, 302, 400, 404), (prefix + path, reply)
                assert b'root:' not in reply.body and b'SQLite' not in reply.body
                if reply.status in (301, 302):
                    assert reply['Location'].startswith('/files/')
    assert server.get('/files/top/ours/out', token=ALL).status == 404


def test_long_targets(server):
    for size, statuses in [(4000, {404}), (10_000, {404}), (15_000, {404, 414}),
                           (100_000, {414, 431})]:
        raw = request_bytes('/files/' + 'x' * size, f'Authorization: Bearer {ALL}',
                            'Connection: close')
        reply = server.raw(raw)
        assert reply and int(reply.split()[1]) in statuses, (size, reply[:200])
    reply = server.raw(request_bytes('/files/', 'X: ' + 'x' * 100_000))
    assert reply.split()[1] in (b'431', b'413')
    assert server.get('/files/', token=ALL).status == 200


@pytest.mark.main
def test_a_request_with_a_body_is_refused(server):
    for headers, body in [(['Content-Length: 5'], b'hello'),
                          (['Transfer-Encoding: chunked'], b'5\r\nhello\r\n0\r\n\r\n')]:
        raw = request_bytes('/files/', f'Authorization: Bearer {ALL}', *headers)
        assert server.raw(raw + body).split()[1] == b'400'


def test_garbage_does_no_harm(server, rng):
    for _ in range(50):
        with server.socket(rng.randbytes(rng.randint(1, 2000)) + b'\r\n\r\n') as sock:
            with contextlib.suppress(OSError):  # it has hung up already
                sock.shutdown(socket.SHUT_WR)
            read_all(sock)
    assert server.get('/files/', token=ALL).status == 200
