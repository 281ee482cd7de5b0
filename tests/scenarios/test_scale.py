# SPDX-License-Identifier: MIT
"""Many files, deep trees, much data: in bounded memory, and without doing work twice."""
import os
import random
import subprocess

import pytest

from program import KILLED, Archive
from trees import MIB, assert_same, make_deep, make_small_tree, snapshot, write_file
from volume_map import DATA, PLACEMENT, read_stripes

MEMORY = 256 * MIB  # [limits] memory
SMALL = 64 * MIB  # the least there may be...
PROGRAM = 40 * MIB  # ...and what the binary, its libraries, zstd and SQLite take besides

pytestmark = pytest.mark.slow_under_sanitizers  # which change the memory that is taken


def in_bounds(result, memory=MEMORY):
    """Judge a run with measure=True."""
    print(f'{result.memory // MIB} MiB, {result.seconds:.1f} s: {result.command}')
    assert result.memory <= memory, f'{result.memory // MIB} MiB\n{result}'
    return result


def make_files(folder, number, per_folder):
    """So many small files, all different."""
    for n in range(number):
        if n % per_folder == 0:
            inside = f'{folder}/{n // per_folder:05d}'
            os.makedirs(inside)
        with open(f'{inside}/{n}', 'wb') as file:
            file.write(b'%d ' % n * (n % 50))


def same_trees(_archive, tree, back):
    assert_same(tree, back)


def same_as_archived(archive, tree, back):
    """For trees that take Python too long: bytes and metadata as the archive has them."""
    archive.run('diff', '--content', '--at-path', '/' + os.path.basename(tree), back)


def everything_twice(archive, tree, tmp_path, compare=same_trees):
    """Commit, commit again unchanged, list, restore, rebuild: all in bounded memory."""
    in_bounds(archive.commit(tree, measure=True))
    size = archive.allocated()
    in_bounds(archive.commit(tree, measure=True))
    assert archive.allocated() == size, 'nothing has changed'
    in_bounds(archive.run('ls', '-R', '/', measure=True))
    in_bounds(archive.run('find', '/', measure=True))
    in_bounds(archive.run('diff', tree, measure=True))
    in_bounds(archive.restore(tmp_path / 'back', measure=True))
    compare(archive, tree, tmp_path / 'back' / os.path.basename(tree))
    before = archive.dump()
    in_bounds(archive.rebuild(measure=True))
    assert archive.dump() == before


def test_100_000_files_in_one_folder(archive, tmp_path):
    tree = f'{tmp_path}/tree'
    make_files(tree, 100_000, per_folder=100_000)
    everything_twice(archive, tree, tmp_path)


def test_a_tree_of_a_thousand_levels(archive, tmp_path):
    tree = f'{tmp_path}/tree'
    make_deep(f'{tree}/deep', levels=1000)
    everything_twice(archive, tree, tmp_path)
    path = '/tree/deep/' + '/'.join(map(str, range(1000))) + '/bottom'
    assert archive.cat(path) == b'deep down'


def test_many_files(archive, tmp_path, count):
    tree = f'{tmp_path}/tree'
    make_files(tree, count(20_000, 2_000_000), per_folder=1000)
    everything_twice(archive, tree, tmp_path, count(same_trees, same_as_archived))


def generated(size, seed):
    """Blocks of content that neither compresses nor repeats."""
    block = bytearray(random.Random(seed).randbytes(4 * MIB))
    for n in range(size // len(block)):
        for frame in range(0, len(block), 65536):
            block[frame:frame + 8] = (n << 32 | frame).to_bytes(8, 'little')
        yield block


def stream_in(archive, size, *args, expect=0, **options):
    run = archive.start('commit', '--stdin', 'stream', *args, stdin=subprocess.PIPE, **options)
    try:
        for block in generated(size, 1):
            run.stdin.write(block)
        run.stdin.close()
    except BrokenPipeError:
        assert expect == KILLED
    return run.finish(expect)


@pytest.mark.parametrize('policy', ['tiered', 'compact'])
def test_memory_does_not_grow_with_the_data(archive, count, policy):
    size = count(600, 3072) * MIB
    in_bounds(stream_in(archive, size, '--policy', policy, measure=True))
    in_bounds(archive.run('cat', '/stream', '--offset', str(size - 5 * MIB), measure=True))
    in_bounds(archive.restore(archive.path.parent / 'back', '/stream', measure=True))
    assert (archive.path.parent / 'back/stream').stat().st_size == size
    in_bounds(archive.rebuild(measure=True))


def test_memory_stays_in_a_small_budget(new_archive):
    """Less memory means smaller extents, not failure."""
    archive = new_archive('small', {'limits.memory': '64MiB'})
    in_bounds(stream_in(archive, 300 * MIB, measure=True), memory=SMALL + PROGRAM)
    in_bounds(archive.run('cat', '/stream', measure=True), memory=SMALL + PROGRAM)
    in_bounds(archive.restore(archive.path.parent / 'back', '/stream', measure=True),
              memory=SMALL + PROGRAM)


def closed_payload(volume):
    """Bytes of payload in data stripes that a placement record lists."""
    closed = waiting = 0
    for stripe in read_stripes(volume):
        if stripe.kind == DATA:
            waiting += stripe.payload_size
        elif stripe.kind == PLACEMENT:
            closed += waiting
            waiting = 0
    return closed


@pytest.mark.parametrize('source', ['file', 'stream'])
def test_an_interrupted_commit_does_not_store_closed_stripes_again(archive, tmp_path, source):
    size = 320 * MIB
    if source == 'file':
        os.makedirs(tmp_path / 'tree')
        with open(tmp_path / 'tree/large', 'wb') as file:
            for block in generated(size, 1):
                file.write(block)
        commit = lambda **options: archive.commit(tmp_path / 'tree', **options)
    else:
        commit = lambda **options: stream_in(archive, size, **options)
    commit(expect=KILLED, env={'BLOCKFRAME_CRASH_AT': 'volume.record.written:4'})
    interrupted = archive.allocated()
    closed = closed_payload(archive.volume)
    assert closed > size // 4
    commit()
    growth = archive.allocated() - interrupted
    assert growth < (size - closed) * 1.15 + 8 * MIB, f'{growth / MIB} after {closed / MIB} MiB'


def test_volumes_roll_over_in_the_middle_of_a_file(new_archive, tmp_path, rng):
    archive = new_archive('set', {'volume.max_size': '64MiB'})
    tree = make_small_tree(tmp_path / 'tree', 1)
    write_file(f'{tree}/large', rng.randbytes(150 * MIB))
    in_bounds(archive.commit(tree, measure=True))
    assert len(archive.volumes) >= 3
    for volume in archive.volumes:
        assert volume.stat().st_blocks * 512 <= 65 * MIB
    archive.restore(tmp_path / 'back')
    assert_same(tree, tmp_path / 'back/tree')
    before = archive.dump()
    archive.rebuild()
    assert archive.dump() == before
