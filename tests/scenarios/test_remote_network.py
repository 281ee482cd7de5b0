# SPDX-License-Identifier: MIT
"""What lies between the client and the server: a network that is cut, a proxy that speaks
HTTP/2, and a way so long that one request at a time would not do."""
import errno
import itertools
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest

from mounted import refused
from places import Places
from program import DONE, FAILED, LOST, PATIENCE, USAGE, Archive, Program, have, remove
from remote import Between, Cable, Remote
from serving import Server
from test_mount_damage import beyond_repair
from test_remote import in_the_end
from test_serve_clients import connect_to, in_front, need
from trees import MIB, text_bytes, write_file
from volume_map import Damage

FRAMES = '/frames'
NUMBERS = itertools.count()

HTTP2 = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  log_format spoken '$server_protocol'; access_log {folder}/spoken spoken;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen unix:{path} ssl http2;
    ssl_certificate {folder}/cert; ssl_certificate_key {folder}/key;
    location / {{
      proxy_pass http://127.0.0.1:{to};
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('network')
    yield folder
    remove(folder)


@pytest.fixture(scope='module')
def contents(seed):
    rng = random.Random(f'network {seed}')
    return {'random': rng.randbytes(12 * MIB), 'text': text_bytes(rng, 4 * MIB),
            'small': b'small'}


@pytest.fixture(scope='module')
def archive(program, folder, contents):
    for name, content in contents.items():
        write_file(folder / 'tree' / name, content)
    archive = Archive(program, folder / 'archive').init()
    archive.commit(folder / 'tree')
    return archive


@pytest.fixture
def home(tmp_path):
    return tmp_path / 'home'


# A network of our own: two machines and the wire between them.


class Network:
    """Two network namespaces. Nothing of it is seen outside."""

    SERVER, CLIENT = '198.18.0.1', '198.18.0.2'

    def __init__(self):
        name = f'bf{os.getpid()}x{next(NUMBERS)}'
        self.server, self.client, self.wire = f'{name}s', f'{name}c', f'v{os.getpid()}'
        self.made = []

    def ip(self, *words):
        subprocess.run(['ip', *words], check=True, capture_output=True)

    def program(self, program, space, folder):
        """@program as it runs in the namespace."""
        wrapper = folder / f'blockframe-{space}'
        wrapper.write_text(f'#!/bin/sh\nexec nsenter --net=/run/netns/{space} '
                           f'{program.binary} "$@"\n')
        wrapper.chmod(0o755)
        inside = Program(program.build, program.environment['HOME'])
        inside.binary = wrapper
        return inside

    def cut(self):
        self.ip('-n', self.server, 'link', 'set', self.wire, 'down')

    def mend(self):
        self.ip('-n', self.server, 'link', 'set', self.wire, 'up')

    def __enter__(self):
        try:
            for space in self.server, self.client:
                self.ip('netns', 'add', space)
                self.made.append(space)
            self.ip('link', 'add', self.wire, 'netns', self.server, 'type', 'veth',
                    'peer', 'name', self.wire, 'netns', self.client)
            for space, address in (self.server, self.SERVER), (self.client, self.CLIENT):
                self.ip('-n', space, 'addr', 'add', f'{address}/30', 'dev', self.wire)
                for link in self.wire, 'lo':
                    self.ip('-n', space, 'link', 'set', link, 'up')
        except (OSError, subprocess.CalledProcessError) as e:
            self.__exit__()
            text = e.stderr.decode() if isinstance(e, subprocess.CalledProcessError) else e
            pytest.skip(f'no network namespaces here: {text}')
        return self

    def __exit__(self, *_):
        for space in self.made:
            subprocess.run(['ip', 'netns', 'del', space], check=True)


@pytest.fixture
def network():
    if not have('nsenter'):
        pytest.skip('there is no nsenter')
    with Network() as network:
        yield network


@pytest.fixture
def far(network, archive, program, home, tmp_path):
    """The archive as the other machine sees it."""
    there = Archive(network.program(program, network.server, tmp_path), archive.path)
    with Server(there, tmp_path, '--listen', network.SERVER, '--insecure') as server:
        yield Remote(network.program(program, network.client, tmp_path), server.url, home)


def test_a_network_that_is_cut_for_seconds_only_makes_one_wait(far, network, mount, contents,
                                                               count):
    mnt = mount(far, '--tofu', '--timeout', str(PATIENCE))
    read = []
    with open(mnt / 'tree/random', 'rb', buffering=0) as file:
        assert file.read(65536) == contents['random'][:65536]
        network.cut()
        reader = threading.Thread(target=lambda: read.append(
            os.pread(file.fileno(), 4096, 11 * MIB)))
        reader.start()
        time.sleep(count(1, 5))  # this is how long it is cut
        assert read == []
        network.mend()
        reader.join()
        assert read == [contents['random'][11 * MIB:][:4096]]
    for name, content in contents.items():
        assert (mnt / 'tree' / name).read_bytes() == content


def test_a_network_that_is_cut_for_longer_is_an_error_and_then_it_goes_on(far, network, mount,
                                                                          contents):
    mnt = mount(far, '--tofu', '--timeout', '3')
    with open(mnt / 'tree/random', 'rb', buffering=0) as file:
        assert in_the_end(os.pread, file.fileno(), 4096, 0) == contents['random'][:4096]
        network.cut()
        assert refused(os.pread, file.fileno(), 4096, 11 * MIB) == errno.EIO
        network.mend()
        assert in_the_end(os.pread, file.fileno(), 4096, 11 * MIB) == \
            contents['random'][11 * MIB:][:4096]
    for name, content in contents.items():
        assert in_the_end((mnt / 'tree' / name).read_bytes) == content


# A proxy


class Socket(Cable):
    """A port that leads to a socket of nginx."""

    def lead_to(self, path):
        self.target = path

    def _connect(self):
        return connect_to(self.target)


def test_http2_through_a_proxy(archive, serve, mount, program, contents, home, tmp_path):
    need('nginx')
    need('openssl')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
                    '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1',
                    '-keyout', tmp_path / 'key', '-out', tmp_path / 'cert'], check=True,
                   capture_output=True)
    server = serve(archive)
    with in_front(tmp_path, server.port, HTTP2) as path, Socket(path) as cable:
        remote = Remote(program, cable.url.replace('http:', 'https:'), home)
        with mount(remote, '--tofu', '--cacert', tmp_path / 'cert') as mnt:
            for name, content in contents.items():
                assert (mnt / 'tree' / name).read_bytes() == content
    spoken = (tmp_path / 'spoken').read_text().split()
    assert len(spoken) > 5 and set(spoken) == {'HTTP/2.0'}, set(spoken)


# More than one request at a time


class Crowd:
    """Lets requests for frames wait until @size of them are under way, but for the first one, of
    which nobody knows whether it begins anything."""

    def __init__(self, size):
        self.size = size
        self.waiting = -1
        self.condition = threading.Condition()

    def lie(self, target, status, headers, body):
        if FRAMES not in target:
            return status, headers, body
        with self.condition:
            self.waiting += 1
            self.condition.notify_all()
            if self.waiting > 0 and not self.condition.wait_for(
                    lambda: self.waiting >= self.size, PATIENCE / 2):
                return 500, {}, b'alone'
        return status, headers, body


def test_cat_reads_ahead(archive, serve, program, contents, home):
    with Between(serve(archive).url) as between:
        between.lie = Crowd(2).lie
        remote = Remote(program, between.url, home, '--tofu', '--timeout', str(PATIENCE))
        assert remote.cat('/tree/random') == contents['random']
        assert remote.cat('/tree/text', '--offset', '300001', '--length', '3000000') == \
            contents['text'][300001:3300001]


def test_restore_asks_for_much_at_a_time(archive, serve, program, folder, home, tmp_path):
    with Between(serve(archive).url) as between:
        between.lie = Crowd(3).lie
        remote = Remote(program, between.url, home, '--tofu', '--timeout', str(PATIENCE))
        remote.restore(tmp_path / 'out', env={'BLOCKFRAME_LIMITS_JOBS': '1'})
        subprocess.run(['diff', '-r', folder / 'tree', tmp_path / 'out/tree'], check=True)


# Health from afar


def test_health_reads_and_proves_all_that_a_server_has(archive, serve, program, contents, home):
    with Between(serve(archive).url) as between:
        remote = Remote(program, between.url, home, '--tofu', '--timeout', str(PATIENCE))
        report = remote.run('health', '--check', '--json').json()
        assert (report['exit_code'], report['damage'], report['files']) == (0, False, [])
        assert int(report['contents_read']) == len(contents)
        assert int(report['verified']) == sum(map(len, contents.values()))
        assert any(FRAMES in target for target in between.requests)
        assert 'nothing is wrong' in remote.run('health', '--check').text

        between.lie = lambda target, status, headers, body: (
            status, headers, bytes(len(body)) if 'first=0&' in target else body)
        report = remote.run('health', '--check', '--json', expect=LOST)
        items = {item['path']: item for item in report.json()['files']}
        assert len(items) == 2 and 'tree/random' in items, items  # one of the others begins a pack
        for path, item in items.items():
            assert item['state'] == 'lost' and item['lost'] and f"'{path}'" in report.err


def test_health_tells_what_is_lost_there(archive, serve, program, home, rng):
    changes, _ = beyond_repair(Places(archive, '/tree/random'), rng)
    with Damage(archive.volume, changes):
        remote = Remote(program, serve(archive).url, home, '--tofu')
        item, = remote.run('health', '--check', '--json', expect=LOST).json()['files']
        assert (item['path'], item['state']) == ('tree/random', 'lost') and item['lost']


def test_health_from_afar_only_checks(archive, serve, program, home):
    server = serve(archive)
    remote = Remote(program, server.url, home, '--tofu')
    assert 'goes with --check' in remote.run('health', expect=USAGE).err
    assert "can't be used together" in remote.run('health', '--check', '--due', expect=USAGE).err
    server.stop()
    remote.run('health', '--check', '--timeout', '1', expect=FAILED)


# Settings, and fstab


def test_a_server_can_be_the_default(archive, serve, program, fuse, contents, home, tmp_path):
    url = serve(archive).url
    point = tmp_path / 'point'
    point.mkdir()
    environment = {**Remote(program, url, home).environment,
                   'BLOCKFRAME_MOUNT_DEFAULT_REMOTE': url}
    program.run('mount', '-m', point, '--tofu', '--log', tmp_path / 'log', env=environment)
    try:
        assert (point / 'tree/small').read_bytes() == contents['small']
        assert os.statvfs(point).f_namemax == 255
    finally:
        program.run('umount', point)


def test_a_line_of_fstab_can_name_a_server(archive, serve, program, fuse, contents, home,
                                           tmp_path):
    url = serve(archive).url
    helper, point = tmp_path / 'mount.blockframe', tmp_path / 'point'
    helper.symlink_to(program.binary)
    point.mkdir()
    pin = archive.run('log', '--full').lines[0].split()[1]
    environment = {**program.environment, **Remote(program, url, home).environment}

    def helped(options, expect=DONE):
        result = subprocess.run([helper, url, point, '-o', options], env=environment,
                                capture_output=True, text=True)
        assert result.returncode == expect, result
        return result.stderr

    assert 'never seen' in helped('rw,_netdev', FAILED)
    assert 'not a hash' in helped('pin=1', USAGE)
    assert 'timeout' in helped('tofu,timeout=0', USAGE)
    assert 'cache-size' in helped('tofu,cache-size=1M', USAGE)
    (tmp_path / 'token').write_text('a-token\n')
    assert 'plain HTTP' in helped(f'tofu,token-file={tmp_path}/token', FAILED)
    helped(f'rw,_netdev,pin={pin},token-file={tmp_path}/token,plain-token,'
           f'cache-dir={tmp_path}/kept,cache-size=64M,timeout={PATIENCE},at=1')
    try:
        assert (point / 'tree/random').read_bytes() == contents['random']
    finally:
        program.run('umount', point)
    assert any(path.is_file() for path in Path(tmp_path / 'kept').rglob('*'))
    line = [helper, archive.path, point, '-o', 'pin=' + pin]
    assert subprocess.run(line, env=environment, capture_output=True).returncode == USAGE
