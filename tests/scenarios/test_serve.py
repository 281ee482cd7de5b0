# SPDX-License-Identifier: MIT
"""What the server answers: content in every form that clients ask for it, folders, and the
API, all of which its own description lists."""
import email
import io
import json
import os
import random
import re
import subprocess
import tarfile
import time
from email.utils import formatdate

import pytest

from mounted import until
from program import Archive, have, remove
from serving import Server, quote
from trees import MIB, text_bytes, write_file

FILES = ['stored', 'text', 'small', 'empty']
NAMES = [b'a b', b'#?%&+=;', b'caf\xc3\xa9', b'\xff\xfe', b'"<b>&\'', b'a:b', b'new\nline', b'...',
         b'.hidden', b'n' * 255, b'-x', b'back\\slash', b'%2F', b'index.html']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('served')
    yield folder
    remove(folder)


@pytest.fixture(scope='module')
def tree(folder, seed):
    rng = random.Random(f'served {seed}')
    top = folder / 'tree'
    write_file(top / 'stored', rng.randbytes(3 * MIB + 5))
    write_file(top / 'text', text_bytes(rng, 9 * MIB + 1))
    write_file(top / 'small', text_bytes(rng, 70_000))
    write_file(top / 'empty', b'')
    for name in ['page.html', 'image.SVG', 'photo.jpg', 'notes.txt', 'film.mkv', 'noend', 'script.js']:
        write_file(top / 'types' / name, b'x')
    for name in NAMES:
        write_file(os.fsencode(top / 'names') + b'/' + name, b'name: ' + name)
    for number in range(1500):
        write_file(top / 'many' / f'file number {number:05}', b'%d' % number)
    (top / 'link').symlink_to('/etc/passwd')
    os.mkfifo(top / 'fifo')
    os.link(top / 'small', top / 'types' / 'linked')
    return top


@pytest.fixture(scope='module')
def archive(program, folder, tree):
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree, '--message', 'first')
    write_file(tree / 'small', b'the second version')
    archive.commit(tree)
    return archive


@pytest.fixture(scope='module')
def server(archive, folder):
    with Server(archive, folder) as server:
        yield server


def curl(server, path, *args):
    """Body and headers of one curl."""
    done = subprocess.run(['curl', '-sS', '-D', '/dev/stderr', *args, server.url + path],
                          check=True, capture_output=True)
    return done.stdout, done.stderr.decode()


# Content


@pytest.mark.main
@pytest.mark.parametrize('name', FILES)
def test_content_is_what_was_committed(server, tree, name):
    reply = server.get(f'/files/tree/{name}')
    assert reply.status == 200 and reply.whole
    assert reply.body == (tree / name).read_bytes()
    assert int(reply['Content-Length']) == len(reply.body)
    assert reply['X-Content-Type-Options'] == 'nosniff'
    assert reply['ETag'] == f'"{server.archive.show(f"/tree/{name}")["hash"]}"'
    assert reply['Last-Modified'] == formatdate((tree / name).stat().st_mtime // 1, usegmt=True)


@pytest.mark.main
@pytest.mark.parametrize('name', FILES)
def test_head_is_like_get_without_the_body(server, name):
    with_body, without = (server.ask(f'/files/tree/{name}', method=m) for m in ('GET', 'HEAD'))
    assert without.status == 200 and without.body == b''
    left, right = (dict(r.headers, Date='') for r in (with_body, without))
    assert left == right


RANGES = {  # what is asked for: what of the content
    '0-0': slice(0, 1), '0-9': slice(0, 10), '5-': slice(5, None), '-7': slice(-7, None),
    '65535-65536': slice(65535, 65537), '262143-600000': slice(262143, 600001),
    '-99999999': slice(None), '3000000-99999999': slice(3000000, None),
}


@pytest.mark.main
@pytest.mark.parametrize('name', ['stored', 'text'])
def test_single_ranges(server, tree, name):
    content = (tree / name).read_bytes()
    for text, part in RANGES.items():
        body, head = curl(server, f'/files/tree/{name}', '-r', text)
        assert body == content[part], text
        start = part.indices(len(content))[0]
        assert '206 Partial' in head
        assert f'Content-Range: bytes {start}-{start + len(body) - 1}/{len(content)}' in head


def parts_of(reply):
    """(range, bytes) of the parts of a multipart answer."""
    assert reply.status == 206 and reply.whole, reply
    message = email.message_from_bytes(
        b'Content-Type: ' + reply['Content-Type'].encode() + b'\r\n\r\n' + reply.body)
    assert message.is_multipart()
    return [(part['Content-Range'], part.get_payload(decode=True))
            for part in message.get_payload()]


@pytest.mark.main
def test_several_ranges_come_in_parts(server, tree):
    content = (tree / 'text').read_bytes()
    size = len(content)
    reply = server.get('/files/tree/text', Range='bytes=10-19,700000-1400000,-5,15-29')
    parts = parts_of(reply)
    assert [head for head, _ in parts] == [f'bytes 10-29/{size}', f'bytes 700000-1400000/{size}',
                                           f'bytes {size - 5}-{size - 1}/{size}']
    boundary = reply['Content-Type'].split('boundary=')[1].encode()
    blocks = reply.body.split(b'--' + boundary)
    assert [block.split(b'\r\n\r\n', 1)[1][:-2] for block in blocks[1:-1]] == [
        content[10:30], content[700000:1400001], content[-5:]]
    assert int(reply['Content-Length']) == len(reply.body)


def test_odd_ranges(server, tree):
    size = (tree / 'text').stat().st_size
    for text in ['bytes=5-4', 'bytes=', 'lines=1-2', 'bytes=a-b',
                 'bytes=' + ','.join(f'{2 * i}-{2 * i}' for i in range(17))]:
        reply = server.get('/files/tree/text', Range=text)
        assert reply.status == 200 and len(reply.body) == size, text
    for text in [f'bytes={size}-', 'bytes=-0', 'bytes=99999999999999999999999-']:
        reply = server.get('/files/tree/text', Range=text)
        assert reply.status == 416 and reply['Content-Range'] == f'bytes */{size}', text
    assert server.get('/files/tree/empty', Range='bytes=0-').status == 200


@pytest.mark.main
def test_conditions(server, tree):
    path = '/files/tree/text'
    etag = server.ask(path, method='HEAD')['ETag']
    date = server.ask(path, method='HEAD')['Last-Modified']
    later = formatdate(time.time() + 1000, usegmt=True)
    earlier = formatdate(100000, usegmt=True)
    for status, headers in [
            (304, {'If_None_Match': etag}), (304, {'If_None_Match': '*'}),
            (304, {'If_None_Match': f'"x", W/{etag}'}), (200, {'If_None_Match': '"x"'}),
            (304, {'If_Modified_Since': date}), (304, {'If_Modified_Since': later}),
            (200, {'If_Modified_Since': earlier}),
            (200, {'If_Modified_Since': date, 'If_None_Match': '"x"'}),
            (412, {'If_Match': '"x"'}), (412, {'If_Match': f'W/{etag}'}), (200, {'If_Match': etag}),
            (412, {'If_Unmodified_Since': earlier}), (200, {'If_Unmodified_Since': date}),
            (206, {'Range': 'bytes=0-1', 'If_Range': etag}),
            (206, {'Range': 'bytes=0-1', 'If_Range': date}),
            (200, {'Range': 'bytes=0-1', 'If_Range': '"x"'}),
            (200, {'Range': 'bytes=0-1', 'If_Range': f'W/{etag}'}),
            (200, {'Range': 'bytes=0-1', 'If_Range': earlier})]:
        reply = server.get(path, **headers)
        assert reply.status == status and reply.whole, (headers, reply)
        if status == 304:
            assert reply.body == b'' and reply['ETag'] == etag


@pytest.mark.main
def test_a_connection_is_used_again(server):
    connection = server.connect()
    for target in ['/files/tree/small', '/nothing', '/files/tree/', '/files/tree/empty']:
        server.ask(target, connection=connection)
        sock = connection.sock
        server.ask(target, method='HEAD', connection=connection)
        assert sock is connection.sock is not None, target
    server.get('/files/tree/text', connection=connection, If_None_Match='*')
    assert server.get('/files/tree/small', connection=connection).status == 200
    connection.close()


def test_types_and_what_a_browser_may_do(server):
    for name, kind, sandboxed in [
            ('page.html', 'text/html; charset=utf-8', True), ('image.SVG', 'image/svg+xml', True),
            ('photo.jpg', 'image/jpeg', False), ('notes.txt', 'text/plain; charset=utf-8', False),
            ('film.mkv', 'video/x-matroska', False), ('noend', 'application/octet-stream', False),
            ('script.js', 'text/plain; charset=utf-8', False)]:
        reply = server.get(f'/files/tree/types/{name}')
        assert reply['Content-Type'] == kind
        assert ('sandbox' in (reply['Content-Security-Policy'] or '')) == sandboxed, name


@pytest.mark.main
def test_wget_goes_on_where_it_was_cut(server, tree, tmp_path):
    content = (tree / 'text').read_bytes()
    (tmp_path / 'text').write_bytes(content[:1_000_001])
    subprocess.run(['wget', '-q', '-c', server.url + '/files/tree/text'], check=True, cwd=tmp_path)
    assert (tmp_path / 'text').read_bytes() == content
    rest = '206', str(len(content) - 1_000_001)
    until(lambda: rest in [(r['status'], r['sent']) for r in server.asked('/files/tree/text')],
          'a request for the rest')


# Names and folders


@pytest.mark.main
@pytest.mark.parametrize('name', NAMES)
def test_every_name_can_be_asked_for(server, name):
    assert server.content(b'/tree/names/' + name) == b'name: ' + name
    page = server.get('/files/tree/names/').body
    assert b'href="' + (b'./' if b':' in name else b'') + quote(name).encode() + b'"' in page


@pytest.mark.main
def test_a_page_has_no_markup_but_its_own(server):
    page = server.get('/files/tree/names/')
    assert page['Content-Type'] == 'text/html; charset=utf-8'
    assert "default-src 'none'" in page['Content-Security-Policy']
    assert b'<b>' not in page.body and b'&#60;b&#62;&#38;' in page.body
    top = server.get('/files/tree/').text
    assert 'href="link' not in top and 'link -&gt; /etc/passwd' in top
    assert 'href="fifo' not in top and '(fifo)' in top


@pytest.mark.main
def test_folders_end_in_a_slash_and_files_do_not(server):
    for target, to in [('/files/tree', '/files/tree/'), ('/files/tree/small/', '/files/tree/small'),
                       ('/files/tree/names/a%20b/', '/files/tree/names/a%20b')]:
        reply = server.get(target)
        assert reply.status in (301, 302) and reply['Location'] == to


@pytest.mark.main
def test_a_large_folder_comes_in_chunks(server, tree):
    reply = server.get('/files/tree/many/')
    assert reply['Transfer-Encoding'] == 'chunked' and reply.whole
    assert re.findall(r'href="(file[^"]*)"', reply.text) == [
        quote(name) for name in sorted(os.listdir(tree / 'many'))]
    reply = server.get('/files/tree/many/', Accept='application/json')
    assert reply['Content-Type'] == 'application/json'
    assert [entry['path'] for entry in reply.json()['entries']] == [
        f'tree/many/{name}' for name in sorted(os.listdir(tree / 'many'))]
    old = server.raw(b'GET /files/tree/many/ HTTP/1.0\r\nHost: localhost\r\n\r\n')
    assert b' 505 ' in old.splitlines()[0]


@pytest.mark.main
def test_rclone_copies_a_folder(server, tree, tmp_path):
    if not have('rclone'):
        pytest.skip('there is no rclone')
    environment = dict(os.environ, HOME=str(tmp_path), RCLONE_CONFIG='/dev/null')
    command = ['rclone', '--http-url', server.url + '/files/', '-q']
    listed = subprocess.run([*command, 'lsf', ':http:tree/types'], check=True, env=environment,
                            capture_output=True, text=True).stdout
    assert sorted(listed.split()) == sorted(os.listdir(tree / 'types'))
    subprocess.run([*command, 'copy', ':http:tree/types', tmp_path / 'copy'], check=True,
                   env=environment)
    for name in os.listdir(tree / 'types'):
        if name != 'linked':
            assert (tmp_path / 'copy' / name).read_bytes() == (tree / 'types' / name).read_bytes()


def test_wget_walks_the_pages(server, tree, tmp_path):
    subprocess.run(['wget', '-q', '-r', '-np', '-nH', '--cut-dirs=1', '-R', 'index.html*',
                    server.url + '/files/tree/types/'], check=True, cwd=tmp_path)
    assert sorted(os.listdir(tmp_path / 'tree' / 'types')) == sorted(os.listdir(tree / 'types'))


# The API


def pages(server, target, key):
    """All of a paged answer."""
    answer = server.get(target).json()
    items = answer[key]
    while cursor := answer.get('cursor'):
        answer = server.get(f'{target}&cursor={quote(cursor)}').json()
        items += answer[key]
    return items


@pytest.mark.main
def test_a_tree_is_paged(server, tree):
    entries = pages(server, '/v1/tree?path=/tree/many&limit=400', 'entries')
    assert [entry['path'] for entry in entries] == [
        f'tree/many/{name}' for name in sorted(os.listdir(tree / 'many'))]
    entries = pages(server, '/v1/tree?path=tree/names&limit=1', 'entries')
    assert len(entries) == len(NAMES)
    first = server.get('/v1/tree?path=/tree&at=1').json()
    small = next(e for e in first['entries'] if e['path'] == 'tree/small')
    assert first['commit'] == '1' and small['version'] == 1 and small['size'] == '70000'
    assert server.get('/v1/tree?path=/tree/small').status == 400
    assert server.get('/v1/tree?path=/nothing').status == 404


@pytest.mark.main
def test_search(server, tree):
    found = lambda query: [entry['path'] for entry in pages(server, f'/v1/search?{query}',
                                                            'entries')]
    assert found('q=PHOTO') == ['tree/types/photo.jpg']
    assert found('q=*.html') == ['tree/names/index.html', 'tree/types/page.html']
    assert found('q=file+number&limit=700') == [f'tree/many/{name}' for name in
                                               sorted(os.listdir(tree / 'many'))]
    assert found('type=symlink') == ['tree/link']
    assert found('q=0123&path=/tree/many&type=file') == [
        f'tree/many/{name}' for name in sorted(os.listdir(tree / 'many')) if '0123' in name]
    digest = server.archive.show('/tree/text')['hash']
    assert found(f'hash={digest[:12]}') == ['tree/text']
    assert found('q=nothing+like+this') == []
    for query in ['q=a/b*', 'q=[', 'type=x', 'hash=xyz', 'limit=0x1', 'path=/../x', 'x=y']:
        assert server.get(f'/v1/search?{query}').status == 400, query


@pytest.mark.main
def test_versions(server, tree):
    versions = server.get('/v1/versions/tree/small').json()['versions']
    assert [(v['version'], v['first'], v.get('end')) for v in versions] == [(1, '1', '2'),
                                                                          (2, '2', None)]
    assert server.get('/v1/stream/tree/small?version=2').body == b'the second version'
    assert server.get('/v1/stream/tree/small').body == b'the second version'
    head = server.archive.log()[-2]
    first = [server.get(f'/v1/stream/tree/small?{which}').body
             for which in ('version=1', 'at=1')]
    assert first[0] == first[1] and len(first[0]) == 70_000
    assert server.get('/v1/manifest/tree/small?version=1').json() == versions[0]['manifest']
    assert server.get('/v1/manifest/tree/small').json() == server.archive.show('/tree/small')
    assert head['sequence'] == '1'
    for target in ['/v1/stream/tree/small?version=3', '/v1/stream/tree/small?at=9',
                   '/v1/stream/tree', '/v1/versions/nothing', '/v1/stream/tree/small?at=ffffffff']:
        assert server.get(target).status == 404, target
    assert server.get('/v1/stream/tree/small?version=x').status == 400


@pytest.mark.main
def test_a_tar_restores_the_tree(server, tree, tmp_path):
    reply = server.get('/v1/tar/tree')
    assert reply.whole and "filename*=UTF-8''tree.tar" in reply['Content-Disposition']
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as tar:
        names = {member.name.encode('utf-8', 'surrogateescape') for member in tar}
    expected = {os.fsencode(str(path.relative_to(tree.parent))) for path in tree.rglob('*')}
    assert names == expected | {b'tree'}
    assert server.get('/v1/tar/tree/small').whole
    assert server.ask('/v1/tar/tree', method='HEAD').status == 200


def digest(data):
    return subprocess.run(['b3sum', '--no-names'], input=data, check=True,
                          capture_output=True).stdout.decode().strip()


@pytest.mark.main
def test_objects_are_what_their_hashes_say(server):
    heads = server.get('/v1/commits').body.splitlines()
    assert server.get('/v1/head').body == heads[-1]
    assert [json.loads(head) for head in heads] == [
        {k: v for k, v in head.items() if k != 'hash'} for head in server.archive.log()[::-1]]
    assert server.get('/v1/commits?from=1&until=1').body.splitlines() == heads[1:2]
    assert server.get('/v1/head')['ETag'] == f'"{digest(heads[-1])}"'
    assert json.loads(heads[2])['previous'] == digest(heads[1])
    root = json.loads(heads[-1])['tree']
    page = server.get(f'/v1/page/{root}')
    assert page.status == 200 and digest(page.body) == root
    assert server.get('/v1/page/' + '0' * 64).status == 404
    assert server.get('/v1/page/xyz').status == 404


@pytest.mark.main
def test_frames_are_zstd_and_give_the_content(server, tree):
    manifest = server.archive.show('/tree/text')
    segment = manifest['segments'][0]
    table = server.get(f'/v1/segment/{segment}/table').body
    count = int.from_bytes(table[-9:-5], 'little') - 2  # of the seek table: header, frame table
    frames = server.get(f'/v1/segment/{segment}/frames?first=0&count={count}')
    assert frames.whole and int(frames['Content-Length']) == len(frames.body)
    content = subprocess.run(['zstd', '-dc'], input=frames.body, check=True,
                             capture_output=True).stdout
    assert content == (tree / 'text').read_bytes()
    one = server.get(f'/v1/segment/{segment}/frames?first=1').body
    assert one and one in frames.body
    for query in [f'first={count}', f'count={count + 1}', 'count=0', 'first=x']:
        assert server.get(f'/v1/segment/{segment}/frames?{query}').status == 400, query
    assert server.get('/v1/segment/' + 'a' * 64 + '/table').status == 404


def test_status(server):
    volume, = server.get('/v1/volumes').json()
    assert volume['attached'] and volume['file'].endswith('/' + server.archive.volume.name)
    health = server.get('/v1/health').json()
    assert health['status'] == 'ok' and health['commit'] == '2'
    assert health['volumes'] == {'known': 1, 'attached': 1}
    status = server.archive.run('status', '--json', expect=None).json()
    assert health['safety'] == status and status['verdict'] == 'due'
    assert int(health['room']['free']) <= int(health['room']['size'])
    assert server.get('/v1/volumes/2').status == 404
    parts = server.get('/v1/volumes/1').json()['parts']
    assert sum(int(part['unverified']) for part in parts) == int(status['stripes']) == len(parts)
    server.archive.run('health', '--check', expect=None)
    after = server.get('/v1/health').json()['safety']
    assert after['verdict'] == 'safe' and after['margin'] == 3
    parts = server.get('/v1/volumes/1').json()['parts']
    assert all(part['unverified'] == part['damaged'] == '0' and
               part['oldest_verification'] >= after['oldest_verification'] for part in parts)
    metrics = server.get('/metrics').text
    assert re.search(r'^blockframe_http_requests_total{status="2xx"} [1-9]', metrics, re.M)
    assert 'blockframe_commit 2\n' in metrics


@pytest.mark.main
def test_paths_that_scripts_know(server, tree):
    files = server.get('/api/files').json()
    by_name = {file['name']: file for file in files if 'name' in file}
    assert by_name['tree/text'] == {'name': 'tree/text', 'size': 9 * MIB + 1, 'tier': 1}
    expected = sum(path.is_file() and not path.is_symlink() for path in tree.rglob('*'))
    assert len(files) == expected
    content = (tree / 'text').read_bytes()
    assert server.get('/api/files/tree%2Ftext').body == content
    assert server.get('/api/files/tree%2Ftext/segment/0').body == content
    assert server.get('/api/files/tree%2Ftext/segment/1').status == 404
    assert server.get('/api/files/tree%2Ftext/manifest').json() == {
        'manifest': server.archive.show('/tree/text')}
    assert server.get('/api/files/tree/text').status == 404


def example(server, path, parameter):
    """A value for a parameter of the API's description."""
    manifest = server.archive.show('/tree/text')
    root = json.loads(server.get('/v1/head').body)['tree']
    hashed = root if path.startswith('/v1/page') else manifest['segments'][0]
    name = 'main.js' if path.startswith('/web') else 'tree%2Ftext'
    return {'path': 'tree/text', 'name': name, 'hash': hashed,
            'number': '1' if path.startswith('/v1/volumes') else '0',
            'version': '1', 'at': '1', 'cursor': '0' if 'versions' in path else 'a',
            'limit': '10', 'q': 'x', 'type': 'file', 'from': '0', 'until': '1', 'index': '0',
            'first': '0', 'count': '1'}[parameter]


@pytest.mark.main
def test_every_operation_of_the_description_answers_and_nothing_else(server):
    description = server.get('/openapi.json').json()
    assert len(description['paths']) > 20
    for path, methods in description['paths'].items():
        assert set(methods) == {'get', 'head'} | ({'post', 'delete'} if path == '/v1/session'
                                                  else set())
        for method, operation in methods.items():
            target, query = path, []
            for parameter in operation['parameters']:
                value = example(server, path, parameter['name'])
                if parameter['in'] == 'path':
                    target = target.replace('{%s}' % parameter['name'], value)
                elif parameter['name'] == 'path':
                    query.append('path=/tree')
                elif parameter['name'] != 'hash':
                    query.append(f'{parameter["name"]}={value}')
            for target in [target, f'{target}?{"&".join(query)}' if query else target]:
                # A search counts until the server is done with its answer, after the client is.
                reply = until(lambda: (r := server.ask(target, method=method.upper())).status
                              != 503 and r, f'an answer to {target}')
                assert reply.status in (200, 301, 302) and reply.whole, (target, reply)
                kind = next(iter(operation['responses']['200']['content']))
                if kind != '*/*':
                    assert reply['Content-Type'].startswith(kind), target
    page = server.get('/docs').text
    assert all(path in page for path in description['paths'])
    for target in ['/x', '/v1', '/v1/', '/v1/x', '/v1/head/x', '/api', '/file',
                   '/docs/x', '/v1/segment/' + 'a' * 64, '/favicon.ico']:
        assert server.get(target).status == 404, target
    for method in ['POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND', 'TRACE']:
        reply = server.ask('/files/', method=method)
        assert reply.status == 405 and reply['Allow'] == 'GET, HEAD, OPTIONS', method
    assert server.ask('/v1/session', method='PUT').status == 405
    assert server.ask('/v1/session', method='OPTIONS')['Allow'].endswith('DELETE, POST')
    for target in ['/files/', '*']:
        assert server.ask(target, method='OPTIONS').status == 204


def test_a_base_path_stands_before_everything(archive, serve):
    server = serve(archive, '--base-path', 'x/y/')
    assert server.url.endswith('/x/y')
    assert server.get('/x/y/files/tree/small').body == b'the second version'
    assert server.get('/x/y/files/tree')['Location'] == '/x/y/files/tree/'
    assert server.get('/x/y')['Location'] == '/x/y/'
    assert b'web/main.js' in server.get('/x/y/').body
    assert server.get('/x/y/web/main.js').status == 200
    for target in ['/files/tree/small', '/x/files/', '/x/yfiles/', '/x/yy/files/']:
        assert server.get(target).status == 404, target


@pytest.mark.main
def test_a_commit_appears_by_itself(new_archive, serve, tmp_path):
    archive = new_archive('growing')
    write_file(tmp_path / 'top/file', b'one')
    archive.commit(tmp_path / 'top')
    server = serve(archive)
    assert server.content('/top/file') == b'one'
    write_file(tmp_path / 'top/file', b'two!')
    archive.commit(tmp_path / 'top')
    assert server.content('/top/file') == b'two!'
    assert server.get('/v1/stream/top/file?at=1').body == b'one'
    assert server.get('/v1/head').json()['sequence'] == '2'


def test_a_rebuilt_catalog_takes_over(new_archive, serve, tmp_path):
    archive = new_archive('rebuilt')
    write_file(tmp_path / 'top/file', b'one')
    archive.commit(tmp_path / 'top')
    server = serve(archive)
    assert server.content('/top/file') == b'one'
    archive.rebuild()
    until(lambda: 'the catalog was rebuilt' in server.log, 'the new catalog')
    assert server.content('/top/file') == b'one'
    write_file(tmp_path / 'top/file', b'two!')
    archive.commit(tmp_path / 'top')
    assert server.content('/top/file') == b'two!'
