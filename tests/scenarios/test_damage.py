# SPDX-License-Identifier: MIT
"""Damaged volumes: what the parity covers comes back as if nothing were; what it does not
cover is named to the byte, and costs nothing else."""
import json
import os
import random
import re

import pytest

from program import DONE, LOST, Archive, remove
from trees import MIB, assert_same, make_small_tree, snapshot, text_bytes, write_file
from volume_map import (COMMIT, DATA, HEADER, LEAF, PAGE, SECTOR, Damage, read_at, read_stripes,
                        write_at)

LOST_RANGE = re.compile(r"^blockframe: error: '(.*)': bytes (\d+) to (\d+) are lost$", re.M)


class Whole:
    """An archive that is not damaged, and what it must go on to give."""

    def __init__(self, archive, tree):
        self.archive = archive
        self.state = snapshot(tree)
        self.dump = archive.dump()
        self.volume = archive.volume
        self.stripes = read_stripes(self.volume)

    def check_restore(self, scratch):
        self.archive.restore(scratch)
        assert_same(self.state, scratch / 'tree')
        remove(scratch)

    def check_rebuild(self):
        self.archive.rebuild()
        assert self.archive.dump() == self.dump

    def check(self, scratch):
        self.check_restore(scratch)
        self.check_rebuild()

    def content_in(self, stripe):
        """Bytes of content of the segments that lie in a stripe, in whole or in part. (The
        hashes of a segment's frames stand at its end: without them nothing proves a frame.)"""
        start, end = stripe.log_start, stripe.log_start + stripe.payload_size
        segments = [line for line in map(json.loads, self.dump.splitlines())
                    if line['item'] == 'segment']
        return sum(s['content'] for s in segments
                   if int(s['log_offset']) < end and int(s['log_offset']) + s['stored'] > start)

    def biggest(self):
        """The data stripe with the most extents and rows."""
        return max((s for s in self.stripes if s.kind == DATA),
                   key=lambda s: (len(s.data), s.rows))


# Any single block


def make_small(program, folder, seed):
    """Two commits, so that there is an older one and a last one."""
    tree = make_small_tree(folder / 'tree', seed, size=6_000)
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree)
    write_file(f'{tree}/text', b'something else ' * 500)
    archive.commit(tree)
    return Whole(archive, tree)


@pytest.fixture(scope='module')
def small(program, tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp('small')
    yield make_small(program, folder, seed)
    remove(folder)


@pytest.fixture(scope='module')
def other(program, tmp_path_factory, seed):
    """Another archive with the same layout: what a reused disk may still hold."""
    folder = tmp_path_factory.mktemp('other')
    yield make_small(program, folder, seed + 1)
    remove(folder)


def noise(small, other, offset):
    return random.Random(offset).randbytes(SECTOR)


def zeroes(small, other, offset):
    return bytes(SECTOR)


def older_neighbour(small, other, offset):
    """What stands at the same place of an earlier stripe: a stale copy that is consistent."""
    stripe = next(s for s in reversed(small.stripes) if s.offset <= offset)
    earlier = [s for s in small.stripes if s.offset < stripe.offset and s.kind == stripe.kind]
    source = (earlier or small.stripes)[0].offset + offset - stripe.offset
    return read_at(small.volume, source, SECTOR)


def from_another_archive(small, other, offset):
    return read_at(other.volume, offset, SECTOR).ljust(SECTOR, b'\0')


KINDS = [noise, zeroes, older_neighbour, from_another_archive]


@pytest.mark.main
@pytest.mark.parametrize('content', KINDS, ids=lambda kind: kind.__name__)
def test_any_single_block_may_be_overwritten(small, other, tmp_path, rng, count, content):
    blocks = [block for stripe in small.stripes for block in stripe.blocks()]
    gaps = [stripe.extents[-1].offset - SECTOR for stripe in small.stripes]
    ends = [block for stripe in (small.stripes[0], small.stripes[-1])
            for block in stripe.pages()]
    chosen = count(sorted({*rng.sample(blocks, 12), *rng.sample(ends, 10), gaps[-1]}),
                   [*blocks, *gaps])
    for offset in chosen:
        data = content(small, other, offset)
        if data == read_at(small.volume, offset, SECTOR):
            continue
        print(f'block at {offset}')
        with Damage(small.volume, [(offset, data)]):
            small.check(tmp_path / 'scratch')


@pytest.mark.main
def test_repairs_are_told_and_the_volume_stays_as_it_is(small, tmp_path):
    stripe = next(s for s in small.stripes if s.kind == DATA)
    with Damage(small.volume, [(stripe.data[0].area_offset, bytes(SECTOR))]):
        before = small.volume.read_bytes()
        result = small.archive.restore(tmp_path / 'scratch')
        assert 'repaired' in result.err
        assert small.volume.read_bytes() == before


@pytest.mark.main
def test_a_whole_extent_of_each_shard_may_be_lost(small, tmp_path):
    for stripe in small.stripes:
        for extent in stripe.extents:
            with Damage(small.volume, [(extent.offset, bytes(extent.end - extent.offset))]):
                small.check(tmp_path / 'scratch')


@pytest.mark.main
def test_as_many_extents_as_there_is_parity_may_be_lost(small, tmp_path, rng):
    for stripe in small.stripes:
        for _ in range(2):
            lost = rng.sample(stripe.extents, stripe.m)
            changes = [(e.offset, rng.randbytes(e.end - e.offset)) for e in lost]
            with Damage(small.volume, changes):
                small.check(tmp_path / 'scratch')


# 100 MiB


LARGE = 60 * MIB


@pytest.fixture(scope='module')
def middle(program, tmp_path_factory, seed):
    """100 MiB in stripes of 30+3 that grow."""
    folder = tmp_path_factory.mktemp('middle')
    rng = random.Random(f'damage {seed}')
    tree = make_small_tree(folder / 'tree', seed)
    write_file(f'{tree}/large', rng.randbytes(LARGE))
    write_file(f'{tree}/text-large', text_bytes(rng, 9 * MIB))
    for n in range(30):
        write_file(f'{tree}/middle/{n}', rng.randbytes(MIB + 12_345 * n))
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree)
    yield Whole(archive, tree)
    remove(folder)


@pytest.mark.slow_under_sanitizers
def test_any_64_kib_of_100_mib_may_be_overwritten(middle, tmp_path, rng, count):
    start = middle.stripes[0].offset
    end = middle.stripes[-1].end
    places = []
    for _ in range(count(2, 6)):
        first = rng.randrange(start, end - 100 * LEAF, SECTOR)
        places += [first + i * LEAF for i in range(count(4, 40))]
    for offset in places:
        with Damage(middle.volume, [(offset, rng.randbytes(LEAF))]):
            middle.check_restore(tmp_path / 'scratch')
    for offset in rng.sample(places, count(3, 20)):
        with Damage(middle.volume, [(offset, rng.randbytes(LEAF))]):
            middle.check_rebuild()


def burst_phases(stripe, rng, number):
    """Where in a stripe a burst of the exact bound may begin."""
    extent = stripe.data[0]
    edges = [extent.offset, extent.offset + PAGE, extent.area_offset, extent.area_offset + LEAF]
    last = stripe.end - (stripe.m * stripe.stride - LEAF)
    edges.append(last // SECTOR * SECTOR)
    return edges + [rng.randrange(stripe.offset, last, SECTOR) for _ in range(number)]


@pytest.mark.slow_under_sanitizers
def test_a_burst_of_the_exact_bound_loses_nothing_at_any_phase(middle, tmp_path, rng, count):
    stripe = middle.biggest()
    assert (stripe.k, stripe.m, len(stripe.data)) == (30, 3, 30)
    size = stripe.m * stripe.stride - LEAF
    for offset in burst_phases(stripe, rng, count(3, 40)):
        print(f'burst at {offset - stripe.offset} of the stripe')
        with Damage(middle.volume, [(offset, rng.randbytes(size))]):
            middle.check_restore(tmp_path / 'scratch')
    with Damage(middle.volume, [(stripe.offset, rng.randbytes(size))]):
        middle.check_rebuild()


def lost_ranges(result):
    """{path in the archive: [(start, end)]} of what a restore has named."""
    ranges = {}
    for path, first, last in LOST_RANGE.findall(result.err):
        ranges.setdefault(path.lstrip('/'), []).append((int(first), int(last) + 1))
    return ranges


def check_containment(whole, tree_source, scratch, most):
    """Restore what can be: exactly the named ranges are missing, and they are few."""
    result = whole.archive.restore(scratch, expect=LOST)
    ranges = lost_ranges(result)
    assert ranges, str(result)
    got = snapshot(scratch / 'tree')
    expected = dict(whole.state)
    for path, lost in ranges.items():
        inside = os.fsencode(path)[len(b'tree'):]
        assert inside not in got, f'{path} has lost content, and yet its name'
        damaged = (scratch / f'{path}.blockframe-damaged').read_bytes()
        original = (tree_source / path).read_bytes()
        assert len(damaged) == len(original)
        position = 0
        for start, end in sorted(lost):
            assert damaged[position:start] == original[position:start], path
            assert damaged[start:end] == bytes(end - start), 'a hole where the loss is'
            position = end
        assert damaged[position:] == original[position:], path
        got.pop(inside + b'.blockframe-damaged')
        expected.pop(inside)
    for entries in got, expected:  # folders differ by the damaged files
        for path in list(entries):
            if entries[path]['type'] == 0o040000:
                entries[path] = {k: v for k, v in entries[path].items() if k != 'mtime'}
    assert_same(expected, got, ignore={'links'})
    total = sum(end - start for lost in ranges.values() for start, end in lost)
    assert 0 < total <= most, total
    remove(scratch)
    return total


@pytest.mark.slow_under_sanitizers
def test_one_leaf_more_than_the_bound_loses_exactly_that_row(middle, tmp_path, rng):
    stripe = middle.biggest()
    row = 1
    first = rng.randrange(5, 20)
    changes = [(extent.leaf(row)[0], rng.randbytes(LEAF))
               for extent in stripe.data[first:first + stripe.m + 1]]
    tree = middle.archive.path.parent
    with Damage(middle.volume, changes):
        total = check_containment(middle, tree, tmp_path / 'scratch',
                                  most=(stripe.m + 1) * 3 * 262144)
        assert total >= LEAF
        middle.check_rebuild()
    middle.check_restore(tmp_path / 'scratch')


@pytest.mark.slow_under_sanitizers
def test_a_burst_of_one_leaf_more_is_contained(middle, tmp_path, rng):
    stripe = middle.biggest()
    offset = stripe.data[4].leaf(2)[0]
    size = stripe.m * stripe.stride + LEAF
    tree = middle.archive.path.parent
    with Damage(middle.volume, [(offset, rng.randbytes(size))]):
        check_containment(middle, tree, tmp_path / 'scratch', most=(stripe.m + 1) * 3 * 262144)


@pytest.mark.slow_under_sanitizers
def test_bad_leaves_lose_nothing_while_no_row_has_too_many(middle, tmp_path, rng, count):
    for _ in range(count(2, 10)):
        changes = []
        for stripe in middle.stripes:
            for row in range(stripe.rows):
                with_row = [e for e in stripe.extents if row < e.leaf_count]
                for extent in rng.sample(with_row, min(stripe.m, len(with_row))):
                    offset, size = extent.leaf(row)
                    changes.append((offset, rng.randbytes(size)))
        with Damage(middle.volume, changes):
            middle.check_restore(tmp_path / 'scratch')
            middle.check_rebuild()


@pytest.mark.slow_under_sanitizers
def test_a_stripe_that_is_gone_costs_only_itself(middle, tmp_path):
    data = [s for s in middle.stripes if s.kind == DATA]
    stripe = data[len(data) // 2] if len(data) > 2 else data[0]
    tree = middle.archive.path.parent
    with Damage(middle.volume, [(stripe.offset, bytes(stripe.end - stripe.offset))]):
        total = check_containment(middle, tree, tmp_path / 'scratch', middle.content_in(stripe))
        assert total > stripe.payload_size // 2
        middle.archive.run('diff', '--content', tree / 'tree', expect=LOST)


# A full stripe


@pytest.mark.slow_under_sanitizers
def test_256_bad_sectors_in_a_full_stripe_lose_nothing(program, tmp_path, rng, count):
    size = count(500, 2200) * MIB
    archive = Archive(program, tmp_path / 'archive').init()
    block = rng.randbytes(16 * MIB)
    source = tmp_path / 'tree/large'
    os.makedirs(source.parent)
    with open(source, 'wb') as file:
        for n in range(size // len(block)):
            file.write(n.to_bytes(8, 'little') + block[8:])
            for frame in range(1, len(block) // 262144):
                file.seek(n * len(block) + frame * 262144)
                file.write(rng.randbytes(8))
            file.seek((n + 1) * len(block))
    archive.commit(tmp_path / 'tree', '--policy', 'compact')
    whole = Whole(archive, tmp_path / 'tree')
    os.unlink(source)
    stripe = whole.biggest()
    assert len(stripe.data) == 30
    for _ in range(count(1, 3)):
        with Damage(whole.volume, bad_sectors(stripe, 256, rng)):
            whole.check_restore(tmp_path / 'scratch')


def bad_sectors(stripe, number, rng):
    """Random sectors, no column with more than m of them (256 random ones would have such a
    column once in thousands of tries)."""
    columns = {}
    changes = []
    while len(changes) < number:
        extent = rng.choice(stripe.extents)
        sector = rng.randrange(extent.area_size // SECTOR)
        if columns.get(sector, 0) < stripe.m:
            columns[sector] = columns.get(sector, 0) + 1
            changes.append((extent.area_offset + sector * SECTOR, rng.randbytes(SECTOR)))
    return changes


# What column decoding is for


def test_a_row_with_many_bad_leaves_is_decoded_by_columns(middle, tmp_path, rng):
    stripe = middle.biggest()
    changes = [(extent.area_offset + LEAF + SECTOR * (n % 16), rng.randbytes(SECTOR))
               for n, extent in enumerate(stripe.extents)]
    with Damage(middle.volume, changes):
        middle.check_restore(tmp_path / 'scratch')
