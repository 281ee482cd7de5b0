# SPDX-License-Identifier: MIT
"""The page for people, in a real browser, and what browsers make of a server: sessions, other
origins, archived pages that want to be more than that. Screenshots are kept in
<build>/screenshots."""
import contextlib
import http.server
import os
import pathlib
import random
import re
import struct
import subprocess
import threading
import zlib

import pytest

from browser import Browser, find_browser
from mounted import until
from program import Archive, have, remove
from serving import Server, quote
from test_serve_access import ALL, SOME, certificate, write_tokens  # noqa: F401 (a fixture)
from trees import text_bytes, write_file

NAMES = [b'<img src=x onerror=document.title=1>.txt', b'new\nline.txt', b'\xff\xfe.txt',
         b'caf\xc3\xa9 #?%&+.txt', b'a:b.txt', b'-x.txt', b'\xe2\x80\xaegnp.txt']
EVIL = b'<!DOCTYPE html><title>still</title><p>archived</p><script>document.title = "ran";' \
    b'fetch("/v1/tree").then(() => { document.title = "asked" });</script>'
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><script>' \
    b'document.title = "ran"</script><circle cx="10" cy="10" r="9" fill="teal"/></svg>'
PDF = b'''%PDF-1.1
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>endobj
trailer<</Root 1 0 R>>
'''


def png(width, height):
    """A picture."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    rows = b''.join(b'\0' + b''.join(bytes([x % 256, y % 256, 160]) for x in range(width))
                    for y in range(height))
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows))
            + chunk(b'IEND', b''))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('web')
    yield folder
    remove(folder)


@pytest.fixture(scope='module')
def tree(folder, seed):
    top = folder / 'top'
    write_file(top / 'ours/notes.txt', b'the first version\n')
    write_file(top / 'ours/code', text_bytes(random.Random(seed), 3000) + b'\n')
    write_file(top / 'ours/page.html', EVIL)
    write_file(top / 'ours/drawing.svg', SVG)
    write_file(top / 'ours/paper.pdf', PDF)
    write_file(top / 'ours/photo.png', png(300, 200))
    write_file(top / 'ours/broken.png', b'no picture')
    write_file(top / 'ours/script.js', b'document.title = "ran";')
    write_file(top / 'ours/empty.txt', b'')
    for name in NAMES:
        write_file(os.fsencode(top / 'names') + b'/' + name, b'content of ' + name)
    for number in range(700):
        write_file(top / 'many' / f'number {number:04}', b'')
    (top / 'ours/link').symlink_to('/etc/passwd')
    return top


@pytest.fixture(scope='module')
def archive(program, folder, tree):
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree, '--message', 'the <b>first</b>')
    archive.run('health', '--check', expect=None)
    write_file(tree / 'ours/notes.txt', b'the second version\n')
    archive.commit(tree)
    return archive


@pytest.fixture(scope='module')
def server(archive, folder):
    with Server(archive, folder) as server:
        yield server


@pytest.fixture(scope='module')
def tokens(folder):
    path = folder / 'tokens'
    write_tokens(path, (ALL, ''), (SOME, '/top/ours'))
    return path


@pytest.fixture(scope='module')
def guarded(archive, folder, tokens):
    with Server(archive, folder, '--token-file', tokens, settings={
            'server.failure_rate': 0, 'server.cors_origins': 'https://friend.example'}) as server:
        yield server


@pytest.fixture(scope='module')
def browser(folder):
    if not find_browser():
        pytest.skip('there is no chromium')
    profile = folder / 'profile'
    profile.mkdir()
    with Browser(profile, '--host-resolver-rules=MAP *.example 127.0.0.1') as browser:
        yield browser


@pytest.fixture(scope='module')
def pictures(program):
    folder = pathlib.Path(program.binary).parents[2] / 'screenshots'
    return lambda name: folder / f'{name}.png'


# ---- without a browser: the page's files ----


@pytest.mark.main
def test_the_page_is_whole_in_itself(server):
    """All that it refers to is there, has its type and its policy, and is kept by its tag."""
    page = server.get('/')
    assert page.status == 200 and page['Content-Type'] == 'text/html; charset=utf-8'
    assert not re.search(r'(?i)<script(?![^>]* src=)|<style|\son\w+=|https?://', page.text)
    names = set(re.findall(r'(?:src|href)="(web/[^"]+)"', page.text))
    assert {'web/main.js', 'web/style.css', 'web/icon.svg'} <= names
    for name in sorted(names):
        names |= {'web/' + other for other in
                  re.findall(r"from '\./([\w.]+)'", server.get('/' + name).text)}
    assert len(names) > 10
    for name in names:
        reply = server.get('/' + name)
        assert reply.status == 200, name
        assert server.get('/' + name, If_None_Match=reply['ETag']).status == 304
        policy = reply['Content-Security-Policy']
        assert "default-src 'none'" in policy and 'unsafe' not in policy
    assert server.get('/web/page.html').status == server.get('/web/x').status == 404


# ---- sessions ----


def cookie_of(reply):
    return reply['Set-Cookie'].split(';')[0]


@pytest.mark.main
def test_a_token_is_exchanged_for_a_cookie(guarded):
    nobody = {'needed': True, 'open': False, 'whole': False}
    assert guarded.get('/v1/session').json() == nobody
    assert guarded.ask('/v1/session', method='POST').status == 401
    assert guarded.ask('/v1/session', method='POST', token='wrong').status == 401
    reply = guarded.ask('/v1/session', method='POST', token=SOME)
    assert reply.status == 200 and not reply.json()['whole']
    assert reply.json()['prefix'] == '/top/ours'
    attributes = reply['Set-Cookie'].split('; ')[1:]
    assert {'HttpOnly', 'SameSite=Strict', 'Path=/'} <= set(attributes)
    assert 'Secure' not in attributes
    cookie = cookie_of(reply)
    assert guarded.get('/v1/session', Cookie=cookie).json()['open']
    assert guarded.content('/top/ours/notes.txt', Cookie=cookie) == b'the second version\n'
    assert guarded.get('/files/top/names/', Cookie=cookie).status == 403
    assert guarded.get('/v1/health', Cookie=cookie).status == 403
    assert guarded.get('/files/', Cookie=cookie + 'x').status == 401
    assert guarded.ask('/files/', method='POST', Cookie=cookie).status == 405
    assert guarded.ask('/v1/session', method='DELETE', Cookie=cookie).json() == nobody
    assert guarded.get('/files/', Cookie=cookie).status == 401
    assert SOME not in guarded.log and cookie.split('=')[1] not in guarded.log


@pytest.mark.main
def test_a_cookie_counts_only_from_our_own_page(guarded):
    cookie = cookie_of(guarded.ask('/v1/session', method='POST', token=ALL))
    own = f'http://localhost:{guarded.port}'
    for status, headers in [
            (200, {'Sec_Fetch_Site': 'same-origin'}), (200, {'Sec_Fetch_Site': 'none'}),
            (401, {'Sec_Fetch_Site': 'same-site'}), (401, {'Sec_Fetch_Site': 'cross-site'}),
            (200, {'Origin': own, 'Host': f'localhost:{guarded.port}'}), (401, {'Origin': 'null'}),
            (401, {'Origin': 'http://localhost:1'}), (401, {'Origin': 'https://friend.example'}),
            (401, {'Authorization': 'Bearer wrong'})]:
        assert guarded.get('/files/', Cookie=cookie, **headers).status == status, headers
    reply = guarded.ask('/v1/session', method='DELETE', Cookie=cookie, Sec_Fetch_Site='same-site')
    assert reply.status == 200
    assert guarded.get('/files/', Cookie=cookie).status == 200  # the session goes on


@pytest.mark.main
def test_a_session_ends_with_its_token(archive, serve, tmp_path):
    path = tmp_path / 'tokens'
    write_tokens(path, ('one', ''), ('two', ''))
    server = serve(archive, '--token-file', path)
    one, two = (cookie_of(server.ask('/v1/session', method='POST', token=token))
                for token in ('one', 'two'))
    write_tokens(path, ('two', ''))
    until(lambda: server.get('/files/', Cookie=one).status == 401, 'the end of a token')
    assert server.get('/files/', Cookie=two).status == 200


@pytest.mark.main
def test_wrong_tokens_are_limited(archive, serve, tokens):
    server = serve(archive, '--token-file', tokens, settings={'server.failure_rate': 5})
    cookie = cookie_of(server.ask('/v1/session', method='POST', token=ALL))
    statuses = [server.ask('/v1/session', method='POST', token='wrong').status for _ in range(5)]
    statuses += [server.get('/files/', token='wrong').status for _ in range(5)]
    assert statuses[:5] == [401] * 5 and 429 in statuses[5:]
    refused = server.get('/files/', token=ALL)
    assert refused.status == 429 and refused['Retry-After']
    assert server.get('/files/', Cookie=cookie).status == 200  # is no guess
    assert server.get('/').status == 200


@pytest.mark.main
def test_cookies_are_secure_under_tls(archive, serve, tokens, certificate):  # noqa: F811
    server = serve(archive, '--token-file', tokens, '--cert', certificate[0], '--key',
                   certificate[1], '--base-path', '/x', scheme='https')
    reply = server.ask('/x/v1/session', method='POST', token=ALL)
    assert {'Secure', 'Path=/x/'} <= set(reply['Set-Cookie'].split('; '))


# ---- other origins ----


FRIEND = 'https://friend.example'


@pytest.mark.main
def test_only_named_origins_may_read(guarded):
    reply = guarded.get('/files/top/ours/notes.txt', token=ALL, Origin=FRIEND, Range='bytes=0-2')
    assert reply.status == 206 and reply['Access-Control-Allow-Origin'] == FRIEND
    assert {'Content-Range', 'ETag', 'Accept-Ranges'} <= set(
        reply['Access-Control-Expose-Headers'].split(', '))
    assert 'Origin' in reply.headers.get_all('Vary')
    assert reply['Access-Control-Allow-Credentials'] is None
    asking = {'Origin': FRIEND, 'Access_Control_Request_Method': 'GET',
              'Access_Control_Request_Headers': 'authorization, range'}
    reply = guarded.ask('/files/top/ours/notes.txt', method='OPTIONS', **asking)
    assert reply.status == 204 and reply['Access-Control-Allow-Origin'] == FRIEND
    assert {'Authorization', 'Range'} <= set(reply['Access-Control-Allow-Headers'].split(', '))
    assert reply['Access-Control-Allow-Methods'] == 'GET, HEAD'
    refused = guarded.get('/files/', Origin=FRIEND)  # a page must see why
    assert refused.status == 401 and refused['Access-Control-Allow-Origin'] == FRIEND
    for origin in ['https://friend.example:1', 'http://friend.example', 'null', 'https://evil.example',
                   'https://friend.example.evil', '*']:
        for method, status in [('GET', 200), ('OPTIONS', 401)]:
            reply = guarded.ask('/files/', method=method, token=ALL if method == 'GET' else None,
                                **{**asking, 'Origin': origin})
            assert reply.status == status and reply['Access-Control-Allow-Origin'] is None, origin


@pytest.mark.main
def test_no_origin_may_read_if_none_is_named(archive, server):
    reply = server.get('/files/', Origin=FRIEND)
    assert reply.status == 200 and reply['Access-Control-Allow-Origin'] is None
    assert reply['Cross-Origin-Resource-Policy'] == 'same-origin'
    archive.run('serve', '-p', '0', env={'BLOCKFRAME_SERVER_CORS_ORIGINS': 'https://x/y'}, expect=1)


@contextlib.contextmanager
def other_site(folder):
    """A server of somebody else's."""
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        try:
            yield site.server_address[1]
        finally:
            site.shutdown()
            thread.join()


FETCH = '''fetch(%r, {headers: %s}).then((r) => r.text().then((t) => r.status + ' ' +
    r.headers.get('Content-Range') + ' ' + t), () => 'refused')'''
IMAGE = '''new Promise((done) => { const i = new Image(); i.onload = () => done('seen');
    i.onerror = () => done('refused'); i.src = %r; })'''


@pytest.mark.slow_under_sanitizers
def test_what_a_page_of_another_origin_gets(archive, serve, browser, tokens, tmp_path):
    write_file(tmp_path / 'site/index.html', b'<!DOCTYPE html><title>other</title>')
    with other_site(tmp_path / 'site') as port:
        open_server = serve(archive)
        friendly = serve(archive, '--token-file', tokens, settings={
            'server.cors_origins': f'http://friend.example:{port}'})
        note = '/files/top/ours/notes.txt'
        with browser.page() as page:
            page.go(f'http://friend.example:{port}/')
            page.until('document.title == "other"')
            local = f'http://localhost:{open_server.port}'
            assert page.run(FETCH % (local + note, '{}')) == 'refused'
            assert page.run(IMAGE % (local + '/files/top/ours/photo.png')) == 'refused'
            headers = "{Authorization: 'Bearer %s', Range: 'bytes=4-9'}" % ALL
            local = f'http://localhost:{friendly.port}'
            assert page.run(FETCH % (local + note, headers)) == '206 bytes 4-9/19 second'
            assert page.run(FETCH % (local + note, '{}')).startswith('401 ')
            page.go(f'http://evil.example:{port}/')
            page.until('document.title == "other" && location.host.startsWith("evil")')
            assert page.run(FETCH % (local + note, headers)) == 'refused'
            # Its own name, made to lead to us: DNS rebinding.
            page.go(f'http://evil.example:{open_server.port}/files/top/ours/notes.txt')
            page.see('not called that')
            assert 'second' not in page.text('body')


# ---- the page ----


@pytest.mark.slow_under_sanitizers
def test_looking_around(server, browser, pictures):
    with browser.page() as page:
        page.go(server.url + '/')
        page.see('top')
        page.click('main a.entry')
        page.see('many')
        page.screenshot(pictures('folder'))
        page.key('ArrowDown')
        page.key('ArrowDown')
        assert page.run('document.activeElement.innerText').startswith('names')
        page.key('Enter')
        page.until('document.querySelectorAll("main a.entry").length == %d' % len(NAMES))
        page.key('Backspace')
        page.see('many')
        page.key('/')
        assert page.run('document.activeElement.name') == 'q'
        page.type('photo')
        page.key('Enter')
        page.see('/top/ours/photo.png')
        page.screenshot(pictures('search'))
        page.go(server.url + '/#files/top/many/')
        page.until('document.querySelectorAll("main a.entry").length >= 100')
        page.until('window.scrollTo(0, document.body.scrollHeight), '
                   'document.querySelectorAll("main a.entry").length == 700')
        page.go(server.url + '/#files/nothing/here')
        page.see('no such path')
        page.go(server.url + '/#constructor')  # no view, though all objects have one
        page.until('document.querySelector("main a.entry")?.innerText.startsWith("top")')
        page.go(server.url + '/#history')
        page.see('the <b>first</b>')
        page.click('main li:last-child a')
        page.see('As of commit 1.')
        page.click('main a.entry')
        page.see('ours')
        assert all('/etc/passwd' not in line and 'SyntaxError' not in line
                   for line in page.console)


@pytest.mark.slow_under_sanitizers
def test_every_name_is_text_and_leads_to_its_file(server, browser, pictures):
    with browser.page() as page:
        for name in NAMES:
            page.go(server.url + '/#files/top/names/' + quote(name))
            page.see('content of ' + name.decode(errors='replace').split('\n')[0][:5])
            page.until('document.querySelector("aside .versions")')
            assert page.run('document.querySelectorAll("main img").length') == 0
        page.go(server.url + '/#files/top/names/')
        page.until('document.querySelectorAll("main a.entry").length == %d' % len(NAMES))
        shown = page.text()
        assert '<img src=x' in shown and 'new\\x0aline' in shown and '\\xff\\xfe' in shown
        assert '\\u202egnp.txt' in shown and 'café #?%&+' in shown
        assert page.run('document.title') != '1'
        page.screenshot(pictures('names'))
        assert page.console == []


@pytest.mark.slow_under_sanitizers
def test_what_a_file_shows(server, browser, pictures):
    with browser.page() as page:
        at = lambda name: page.go(server.url + '/#files/top/ours/' + name)
        at('notes.txt')
        page.see('the second version')
        page.see('2 versions')
        page.screenshot(pictures('text'))
        page.click('.versions li:last-child a')
        page.see('the first version')
        for name, shown in [('code', 'pre'), ('page.html', 'pre'), ('script.js', 'pre')]:
            at(name)
            page.until(f'location.hash.endsWith("{name}") && document.querySelector("main {shown}")')
        for name, width in [('photo.png', 300), ('drawing.svg', 30)]:
            at(name)
            page.until(f'document.querySelector("main img")?.naturalWidth == {width}')
        page.screenshot(pictures('picture'))
        at('broken.png')
        page.see('can’t show this file')
        at('empty.txt')
        page.see('The file is empty.')
        at('link')
        page.see('/etc/passwd')
        at('paper.pdf')
        page.until('document.querySelector("main iframe")')
        assert page.console == []


@pytest.mark.slow_under_sanitizers
def test_an_archived_page_can_do_nothing(server, browser):
    with browser.page() as page:
        page.go(server.url + '/files/top/ours/page.html')
        page.see('archived')
        assert page.run('document.title') == 'still'
        assert page.run('window.origin') == 'null'
        page.go(server.url + '/files/top/ours/drawing.svg')
        page.until('document.querySelector("circle")')
        assert page.run('document.title') != 'ran'
        # Nor does it become a part of the page, if somebody could put it there.
        page.go(server.url + '/')
        page.see('top')
        assert page.run('''new Promise((done) => { const s = document.createElement('script');
            s.onload = () => done('ran'); s.onerror = () => done('refused');
            s.setAttribute('nonce', ''); try { s.src = 'files/top/ours/script.js'; } catch (e) {
            done('refused'); } document.head.append(s); })''') == 'refused'
        assert page.run('document.title') != 'ran'


@pytest.mark.slow_under_sanitizers
def test_films_are_sought_by_ranges(program, serve, browser, tmp_path, pictures):
    name = 'film.webm'
    if not have('ffmpeg'):
        pytest.skip('there is no ffmpeg')
    write_file(tmp_path / 'top/x', b'')
    subprocess.run(['ffmpeg', '-v', 'error', '-f', 'lavfi', '-i',
                    'testsrc=duration=12:size=160x90:rate=5', '-c:v', 'libvpx', '-deadline', 'realtime',
                    '-g', '10',
                    tmp_path / 'top' / name], check=True)
    archive = Archive(program, tmp_path / 'archive').init()
    archive.commit(tmp_path / 'top')
    server = serve(archive)
    with browser.page() as page:
        page.go(server.url + '/#files/top/' + name)
        page.until('document.querySelector("video")?.readyState >= 1')
        assert page.run('document.querySelector("video").duration') >= 11
        assert page.run('''new Promise((done) => { const v = document.querySelector('video');
            v.onseeked = () => done(v.currentTime); v.currentTime = 10; })''') == 10
        page.until('document.querySelector("video").readyState >= 2')
        page.screenshot(pictures('film'))
    asked = lambda: {r['status'] for r in server.requests if '/stream/top/' + name in r['target']}
    assert until(asked, 'the end of a request') == {'206'}


@pytest.mark.slow_under_sanitizers
def test_one_look_says_whether_all_is_well(new_archive, serve, browser, tmp_path, rng, pictures):
    archive = new_archive('looked-at')
    write_file(tmp_path / 'top/file', rng.randbytes(3_000_000))
    archive.commit(tmp_path / 'top')
    server = serve(archive)
    with browser.page() as page:
        page.go(server.url + '/#health')
        page.see('A check is due')
        page.see('never verified')
        page.until('document.querySelector(".part.never[title]")')
        archive.run('health', '--check')
        page.run('location.reload()')
        page.see('Safe')
        page.until('document.querySelector(".part.fresh[title]")')
        assert 'Any 3 pieces' in page.text() and '100 %' in page.text()
        page.screenshot(pictures('health-safe'))
        with open(archive.volume, 'r+b') as volume:
            at = volume.read().index((tmp_path / 'top/file').read_bytes()[1_000_000:1_000_064])
            volume.seek(at)
            volume.write(b'rotten')
        archive.run('health', '--check', expect=None)
        page.run('location.reload()')
        page.see('Damaged')
        page.until('document.querySelector(".part.damaged[title]")')
        page.screenshot(pictures('health-damaged'))
        assert page.console == []


@pytest.mark.slow_under_sanitizers
def test_logging_in_and_out(guarded, browser, pictures):
    with browser.page() as page:
        page.go(guarded.url + '/#files/top/ours/notes.txt')
        page.see('Log in')
        page.screenshot(pictures('login'))
        page.type('wrong')
        page.key('Enter')
        page.see('This token is not known.')
        page.type(SOME)
        page.key('Enter')
        page.see('the second version')
        assert page.run('document.cookie') == ''
        assert page.run('JSON.stringify([localStorage.length, sessionStorage.length])') == '[0,0]'
        assert not page.run('[...document.querySelectorAll("nav a")].some((a) => a.dataset.whole '
                            '!== undefined && !a.hidden)')
        page.go(guarded.url + '/#files/')
        page.click('main a.entry')  # what leads there
        page.click('main a[href="#files/top/ours/"]')
        page.see('notes.txt')
        page.click('#logout')
        page.see('Log in')
        assert SOME not in guarded.log
        assert all('cookie' not in line.lower() for line in page.console)


@pytest.mark.slow_under_sanitizers
def test_on_a_phone_and_in_the_dark(server, browser, pictures):
    with browser.page(390, 780, dark=True) as page:
        for view, text in [('files/top/ours/', 'notes.txt'), ('files/top/ours/photo.png', 'BLAKE3'),
                           ('history', 'Commit 2'), ('health', 'Survives'),
                           ('files/top/names/', 'line.txt')]:
            page.go(server.url + '/#' + view)
            page.see(text)
            assert page.run('document.documentElement.scrollWidth') <= 390, view
            page.screenshot(pictures('phone-' + view.strip('/').split('/')[-1].split('.')[0]))
        red, green, blue = map(int, re.findall(r'\d+', page.run(
            'getComputedStyle(document.body).backgroundColor'))[:3])
        assert max(red, green, blue) < 64
