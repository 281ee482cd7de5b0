# SPDX-License-Identifier: MIT
"""Programs that people use, against a real server. Those that are not there are skipped."""
import contextlib
import hashlib
import http.client
import os
import random
import shutil
import socket
import subprocess

import pytest

from mounted import until
from program import PATIENCE, Archive, have, remove
from serving import Server
from trees import MIB, write_file

NGINX = '''
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen unix:{path};
    location /archive/ {{
      proxy_pass http://127.0.0.1:{to};
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
'''


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('clients')
    yield folder
    remove(folder)


@pytest.fixture(scope='module')
def tree(folder, seed):
    rng = random.Random(f'clients {seed}')
    write_file(folder / 'top/large', rng.randbytes(20 * MIB + 3))
    for number in range(5):
        write_file(folder / f'top/some/file {number}', rng.randbytes(1000 * number))
    if have('ffmpeg'):
        subprocess.run(['ffmpeg', '-v', 'error', '-f', 'lavfi', '-i',
                        'testsrc=duration=120:size=160x120:rate=5', '-c:v', 'mjpeg', '-q:v', '2',
                        folder / 'top/film.mkv'], check=True)
    return folder / 'top'


@pytest.fixture(scope='module')
def archive(program, folder, tree):
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree)
    return archive


@pytest.fixture(scope='module')
def server(archive, folder):
    with Server(archive, folder) as server:
        yield server


def need(tool):
    if not have(tool) and not shutil.which(tool, path='/usr/sbin:/sbin'):
        pytest.skip(f'there is no {tool}')


def test_aria2_with_eight_connections(server, tree, tmp_path):
    need('aria2c')
    subprocess.run(['aria2c', '-q', '-x8', '-s8', '-k1M', '--no-conf', '-d', tmp_path,
                    server.url + '/files/top/large'], check=True, timeout=PATIENCE)
    assert (tmp_path / 'large').read_bytes() == (tree / 'large').read_bytes()
    asked = server.asked('/files/top/large', 8)
    assert '206' in {r['status'] for r in asked}


def test_ffmpeg_seeks_in_a_film(server, tree):
    need('ffmpeg')
    url = server.url + '/files/top/film.mkv'
    said = subprocess.run(['ffprobe', '-v', 'error', '-show_entries', 'format=duration', '-of',
                           'csv=p=0', url], check=True, capture_output=True, text=True).stdout
    assert 119 < float(said) < 121
    frame = lambda source: hashlib.sha256(subprocess.run(
        ['ffmpeg', '-v', 'error', '-ss', '100', '-i', source, '-frames:v', '1', '-f', 'rawvideo',
         '-'], check=True, capture_output=True).stdout).hexdigest()
    assert frame(url) == frame(tree / 'film.mkv')
    def sought():
        asked = server.asked('/files/top/film.mkv')
        return any(r['status'] == '206' and r['cut'] for r in asked) or len(asked) > 2

    until(sought, 'parts of the film')


def test_rclone_mounts_it(server, tree, tmp_path):
    need('rclone')
    if not os.access('/dev/fuse', os.W_OK):
        pytest.skip('there is no /dev/fuse')
    point = tmp_path / 'point'
    point.mkdir()
    environment = dict(os.environ, HOME=str(tmp_path), RCLONE_CONFIG='/dev/null')
    process = subprocess.Popen(['rclone', 'mount', '-q', '--http-url', server.url + '/files/',
                                '--vfs-cache-mode', 'off', '--dir-cache-time', '0', ':http:top',
                                point], env=environment)
    try:
        until(lambda: os.path.ismount(point) or process.poll() is not None, 'the mount')
        assert process.poll() is None
        assert sorted(os.listdir(point / 'some')) == sorted(os.listdir(tree / 'some'))
        for name in os.listdir(tree / 'some'):
            assert (point / 'some' / name).read_bytes() == (tree / 'some' / name).read_bytes()
        with open(point / 'large', 'rb') as file:
            for offset in (15 * MIB, 3, 20 * MIB):
                file.seek(offset)
                with open(tree / 'large', 'rb') as other:
                    other.seek(offset)
                    assert file.read(70_000) == other.read(70_000)
    finally:
        subprocess.run(['fusermount3', '-uz', point], check=False)
        process.terminate()
        process.wait(PATIENCE)


@contextlib.contextmanager
def in_front(folder, to, settings=NGINX):
    """nginx as a proxy; its socket. (A port that was free may be so no more.)"""
    path = str(folder / 'nginx.socket')
    config = folder / 'nginx.conf'
    config.write_text(settings.format(folder=folder, path=path, to=to))
    process = subprocess.Popen([shutil.which('nginx', path='/usr/sbin:/usr/bin'), '-c', config],
                               stderr=subprocess.DEVNULL)
    try:
        def answers():
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                connect_to(path).close()
                return True
            return process.poll() is not None

        until(answers, 'nginx')
        assert process.poll() is None, (folder / 'nginx.err').read_text()
        yield path
    finally:
        process.terminate()
        process.wait(PATIENCE)


def connect_to(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(path)
    return sock


def test_nginx_in_front(archive, serve, tree, tmp_path):
    need('nginx')
    server = serve(archive, '--base-path', '/archive')
    with in_front(tmp_path, server.port) as path:
        def ask(target, method='GET', **headers):
            with contextlib.closing(http.client.HTTPConnection('localhost')) as connection:
                connection.sock = connect_to(path)
                connection.request(method, target, headers=headers)
                reply = connection.getresponse()
                return reply, reply.read()

        content = (tree / 'large').read_bytes()
        reply, body = ask('/archive/files/top/large')
        assert reply.status == 200 and body == content
        reply, body = ask('/archive/files/top/large', Range='bytes=5-99')
        assert reply.status == 206 and body == content[5:100]
        reply, _ = ask('/archive/files/top')
        assert reply.status == 301
        assert reply.headers['Location'].endswith('/archive/files/top/')
        reply, body = ask('/archive/')
        assert reply.status == 200 and b'web/main.js' in body
        reply, body = ask('/archive/v1/tar/top/some')
        assert reply.status == 200 and body
        reply, _ = ask('/archive/files/top/large', method='HEAD')
        assert int(reply.headers['Content-Length']) == len(content)
