# SPDX-License-Identifier: MIT
"""A file system that is really full, and not one that says so."""
import os
import subprocess

import pytest

from history import check_commits
from mounted import unmount
from program import Archive, FAILED
from trees import make_small_tree, snapshot, write_file

MIB = 1 << 20
SIZE = 96 * MIB


def mount(kind, folder, place):
    """@folder as an empty file system of SIZE bytes."""
    if kind == 'tmpfs':
        command = ['mount', '-t', 'tmpfs', '-o', f'size={SIZE}', 'tmpfs', folder]
    else:
        image = place / 'image'
        with open(image, 'wb') as file:
            file.truncate(SIZE)
        made = subprocess.run(['mkfs.ext4', '-q', '-F', '-m', '0', image], capture_output=True)
        if made.returncode:
            pytest.skip('no ext4 can be made here')
        command = ['mount', '-t', 'ext4', '-o', 'loop', image, folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'nothing can be mounted here: {done.stderr.strip()}')


@pytest.fixture(params=['tmpfs', 'ext4'])
def disk(request, tmp_path):
    folder = tmp_path / 'disk'
    folder.mkdir()
    try:
        mount(request.param, folder, tmp_path)
    except FileNotFoundError as err:
        pytest.skip(str(err))
    yield folder
    unmount(folder)


def fill(disk, free):
    """Leave @free bytes for others."""
    ballast = disk / 'ballast'
    with open(ballast, 'wb') as file:
        state = os.statvfs(disk)
        size = max(0, state.f_bavail * state.f_frsize - free)
        os.posix_fallocate(file.fileno(), 0, size - size % 4096)
    return ballast


@pytest.mark.parametrize('free', [0, 300_000, 2 * MIB, 8 * MIB])
def test_a_commit_to_a_full_disk_works_once_there_is_space(program, disk, tmp_path, seed, free):
    archive = Archive(program, disk / 'archive').init()
    tree = make_small_tree(tmp_path / 'tree', seed, size=20_000)
    states = []
    for text in b'first', b'second':
        write_file(f'{tree}/text', text)
        archive.commit(tree)
        states.append(snapshot(tree))
    write_file(f'{tree}/noise', os.urandom(14 * MIB))
    states.append(snapshot(tree))

    ballast = fill(disk, free)
    for _ in range(2):
        refused = archive.commit(tree, expect=FAILED)
        assert len(refused.errors()) == 1, str(refused)
        assert 'No space left on device' in refused.errors()[0] or \
            'full' in refused.errors()[0], str(refused)
        assert not check_commits(archive, tmp_path / 'back', states[:2], states[2])
    ballast.unlink()

    archive.commit(tree)
    check_commits(archive, tmp_path / 'back', states, states[2])
    dump = archive.dump()
    archive.rebuild()
    assert archive.dump() == dump
