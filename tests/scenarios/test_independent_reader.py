# SPDX-License-Identifier: MIT
"""docs/format.md is enough: a reader written from it alone, in another language and without a
line of this program, restores damaged archives."""
import os
import pathlib
import subprocess
import sys

import pytest

from trees import MIB, assert_same, make_small_tree, snapshot, write_file
from volume_map import LEAF, SECTOR, read_stripes, write_at

READER = pathlib.Path(__file__).with_name('independent_reader.py')
NOT_RESTORED = {'owner', 'xattrs', 'data'}


@pytest.fixture
def tree(tmp_path, seed):
    tree = make_small_tree(tmp_path / 'tree', seed)
    os.unlink(f'{tree}/folder/fifo')
    os.rename(f'{tree}/link', os.fsencode(tree) + b'/odd \n"\xff')
    os.utime(f'{tree}/none', ns=(0, -5 * 10**9 + 7))
    return tree


def read_with_it(archive, to):
    result = subprocess.run([sys.executable, '-IS', READER, to, *archive.volumes],
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()


def nothing(stripe, rng):
    return []


def whole_extents(stripe, rng):
    return [(e.offset, rng.randbytes(e.end - e.offset))
            for e in rng.sample(stripe.extents, stripe.m)]


def leaves_and_pages(stripe, rng):
    """In each row other extents."""
    changes = []
    for row in range(stripe.rows):
        shards = [e for e in stripe.extents if row < e.leaf_count]
        for extent in rng.sample(shards, min(stripe.m, len(shards))):
            offset, size = extent.leaf(row)
            changes.append((offset, rng.randbytes(size)))
    for page in range(stripe.data_pages):
        for extent in rng.sample(stripe.data, min(stripe.m - 1, len(stripe.data))):
            changes.append((extent.offset + page * SECTOR, bytes(SECTOR)))
    return changes


def sectors_of_all(stripe, rng):
    """In every leaf of row 0 another sector: only columns can be decoded."""
    return [(e.area_offset + SECTOR * (n % (min(e.area_size, LEAF) // SECTOR)), bytes(SECTOR))
            for n, e in enumerate(stripe.extents) if e.area_size >= 7 * SECTOR]


@pytest.mark.main
@pytest.mark.parametrize('parity, damage', [
    ('30+3', nothing), ('1+3', whole_extents), ('10+2', whole_extents), ('4+3', leaves_and_pages),
    ('10+0', nothing), ('6+3', sectors_of_all),
], ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_another_reader_restores_a_damaged_archive(archive, tree, tmp_path, rng, parity, damage):
    archive.commit(tree, '--policy', 'compact', '--parity', parity)
    write_file(f'{tree}/large', rng.randbytes(9 * MIB))
    write_file(f'{tree}/text', b'changed')
    archive.commit(tree, '--policy', 'compact', '--parity', parity)
    for stripe in read_stripes(archive.volume):
        for offset, data in damage(stripe, rng):
            write_at(archive.volume, offset, data)
    read_with_it(archive, tmp_path / 'back')
    assert_same(tree, tmp_path / 'back/tree', ignore=NOT_RESTORED)


@pytest.mark.slow_under_sanitizers
def test_another_reader_restores_a_set_of_volumes(new_archive, tree, tmp_path, rng):
    archive = new_archive('set', {'volume.max_size': '64MiB'})
    for n in range(2):
        write_file(f'{tree}/large-{n}', rng.randbytes(40 * MIB))
        archive.commit(tree)
    assert len(archive.volumes) == 2
    read_with_it(archive, tmp_path / 'back')
    assert_same(snapshot(tree), tmp_path / 'back/tree', ignore=NOT_RESTORED)
