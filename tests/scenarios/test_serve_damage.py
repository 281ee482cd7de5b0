# SPDX-License-Identifier: MIT
"""Damage while the archive is served: clients get the right bytes, or fewer than they were
promised; never others. The volume gets back what was repaired."""
import os
import random
import threading

import pytest

from mounted import until
from places import MET, Places, noise
from program import Archive, remove
from serving import request_bytes
from test_mount_damage import beyond_repair, digest
from trees import MIB, text_bytes, write_file
from volume_map import Damage, read_at

FILES = ['stored', 'text', 'small']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('rotten')
    yield folder
    remove(folder)


@pytest.fixture(scope='module')
def tree(folder, seed):
    rng = random.Random(f'serve damage {seed}')
    write_file(folder / 'tree/stored', rng.randbytes(9 * MIB + 5))
    write_file(folder / 'tree/text', text_bytes(rng, 10 * MIB))
    write_file(folder / 'tree/small', text_bytes(rng, 200_000))
    return folder / 'tree'


@pytest.fixture(scope='module')
def archive(program, folder, tree):
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree)
    return archive


@pytest.fixture(scope='module')
def places(archive):
    return {name: Places(archive, f'/tree/{name}') for name in FILES}


@pytest.fixture(autouse=True)
def leave_no_damage(archive):
    before = digest(archive.volume)
    yield
    assert digest(archive.volume) == before


@pytest.mark.parametrize('kind', MET)
def test_damage_is_repaired_before_it_is_sent(archive, tree, places, serve, kind, count):
    """In one of the files, in turn; in the full run in all."""
    turn = MET.index(kind) % len(FILES)
    for name in count(FILES[turn:turn + 1], FILES):
        offset, data = noise(places[name].of(kind))
        original = read_at(archive.volume, offset, len(data))
        with Damage(archive.volume, [(offset, data)]):
            server = serve(archive)
            assert server.content(f'/tree/{name}') == (tree / name).read_bytes()
            assert read_at(archive.volume, offset, len(data)) == original
            repair, = server.repairs()
            assert repair.written and repair.file.endswith(name)
            reads = server.get('/v1/health').json()['reads']
            assert reads['written_back'] == '1' and reads['files_damaged'] == '1'
            assert 'blockframe_written_back_total 1\n' in server.get('/metrics').text


@pytest.mark.main
@pytest.mark.parametrize('name', ['stored', 'text'])
def test_a_loss_cuts_the_answer_short(archive, tree, places, serve, rng, name):
    content = (tree / name).read_bytes()
    changes, lost = beyond_repair(places[name], rng)
    start = lost[0][0]
    assert start > 0
    with Damage(archive.volume, changes):
        server = serve(archive)
        reply = server.get(f'/files/tree/{name}')
        assert reply.status == 200 and not reply.whole
        assert int(reply['Content-Length']) == len(content)
        # Of a frame that is lost, the parts in front of the loss are served.
        assert len(reply.body) <= start + 200_000 * (name == 'text')
        assert content.startswith(reply.body)
        assert len(reply.body) >= start - 300_000 * (name == 'text') - 4096, (start, reply)
        start = max(start, len(reply.body))
        end = f'/files/tree/{name}: the answer ends at byte {len(reply.body)}: '
        until(lambda: end in server.log, 'the reason')
        # What is not lost can be read; a range that begins in the loss says so at once.
        tail = server.get(f'/files/tree/{name}', Range='bytes=-100000')
        assert tail.status in (206, 502)
        if tail.status == 206 and tail.whole:
            assert tail.body == content[-100000:]
        reply = server.get(f'/files/tree/{name}', Range=f'bytes={start}-{start + 99}')
        assert reply.status == 502 and reply.json()['status'] == 502, reply
        assert reply['Content-Type'] == 'application/problem+json'
        assert server.ask(f'/files/tree/{name}', method='HEAD').status == 200
        assert server.get('/v1/health').json()['status'] == 'lost'
        assert server.content('/tree/small') == (tree / 'small').read_bytes()


@pytest.mark.main
def test_a_loss_at_the_beginning_is_told_by_the_status(archive, places, serve, rng):
    changes, _ = beyond_repair(places['stored'], rng, row=0)
    with Damage(archive.volume, changes):
        server = serve(archive)
        starts = [s for s in range(0, 9 * MIB, 65536)
                  if server.get('/files/tree/stored', Range=f'bytes={s}-{s}').status == 502]
        assert starts and len(starts) <= 5
        assert server.get('/files/tree/stored', Range=f'bytes={starts[0]}-').status == 502


@pytest.mark.main
def test_a_tar_with_a_loss_has_no_end(archive, places, serve, rng):
    changes, _ = beyond_repair(places['stored'], rng)
    with Damage(archive.volume, changes):
        server = serve(archive)
        reply = server.get('/v1/tar/tree')
        assert not reply.whole or reply.status == 502, reply
        until(lambda: 'are lost' in server.log, 'the reason')
        raw = server.raw(request_bytes('/v1/tar/tree', 'Connection: close'))
        assert raw.startswith(b'HTTP/1.1 502') or not raw.endswith(b'0\r\n\r\n')


@pytest.mark.main
def test_damage_while_clients_read(archive, tree, places, serve, rng, count):
    """Every answer is whole and right, or ends too early."""
    content = {name: (tree / name).read_bytes() for name in FILES}
    wrong, done, ended = [], [], threading.Event()
    server = serve(archive, settings={'cache.max_size': '1MiB'})

    def read(seed):
        chooser = random.Random(seed)
        while not ended.is_set():
            name = chooser.choice(FILES)
            first = chooser.randrange(len(content[name]) - 1)
            last = min(first + chooser.randrange(2 * MIB), len(content[name]) - 1)
            reply = server.get(f'/files/tree/{name}', Range=f'bytes={first}-{last}')
            right = content[name][first:last + 1]
            if reply.status == 206 and right.startswith(reply.body) and (
                    not reply.whole or reply.body == right):
                done.append(reply.whole)
            else:
                wrong.append(reply)

    readers = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(count(10, 100)):
        before = len(done)
        place = places[rng.choice(FILES)].of(rng.choice(['leaf', 'first frame', 'last frame']))
        with Damage(archive.volume, [noise(place)]):
            until(lambda: len(done) >= before + 20 or wrong, 'readers')
    ended.set()
    for reader in readers:
        reader.join()
    assert not wrong and all(done), wrong[:3]


# Volumes that are not there, or do not answer


@pytest.fixture
def two_volumes(new_archive, tmp_path, rng):
    """An archive with an old file on its first volume and a new one on its last."""
    archive = new_archive('two', settings={'volume.max_size': '64MiB'})
    for name in ['old', 'more', 'new']:
        write_file(tmp_path / f'{name}/file', rng.randbytes(30 * MIB))
        archive.commit(tmp_path / name, '--policy', 'compact')
    assert len(archive.volumes) >= 2
    return archive


def test_a_volume_that_is_away(two_volumes, serve, tmp_path):
    away = tmp_path / 'away.bfv'
    first = two_volumes.volumes[0]
    os.rename(first, away)
    server = serve(two_volumes)
    assert server.content('/new/file') == (tmp_path / 'new/file').read_bytes()
    for method in ('GET', 'HEAD'):
        reply = server.ask('/files/old/file', method=method)
        assert reply.status == 503 and int(reply['Retry-After']) > 0, reply
    health = server.get('/v1/health').json()
    assert health['status'] == 'away' and int(health['volumes']['attached']) + 1 == \
        int(health['volumes']['known'])
    assert [v['attached'] for v in server.get('/v1/volumes').json()][0] is False
    os.rename(away, first)
    assert server.content('/old/file') == (tmp_path / 'old/file').read_bytes()


def test_a_volume_that_hangs_holds_up_its_own_readers_only(two_volumes, serve, bad_medium,
                                                           tmp_path):
    first = two_volumes.volumes[0]
    environment = {**bad_medium.options['env'], 'LD_PRELOAD': str(bad_medium.options['preload'])}
    server = serve(two_volumes, env=environment)
    bad_medium.hold(first)
    waiting = [server.socket(request_bytes('/files/old/file', f'Range: bytes={n * MIB}-{n * MIB}'))
               for n in range(12)]
    until(lambda: bad_medium.is_waiting(first), 'a read that hangs')
    for _ in range(3):
        assert server.content('/new/file') == (tmp_path / 'new/file').read_bytes()
        assert server.get('/files/old/').status == 200
    bad_medium.release(first)
    for sock in waiting:
        assert b' 206 ' in sock.recv(4096).splitlines()[0]
        sock.close()
