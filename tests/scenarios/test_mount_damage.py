# SPDX-License-Identifier: MIT
"""Damage while the archive is mounted: readers get the right bytes, the volume gets them back,
and the log has a line for each place. Beyond repair, exactly what is lost can't be read."""
import errno
import hashlib
import os
import random
import shutil
from pathlib import Path

import pytest

from mounted import refused
from places import MET, NOT_MET, Places, bad_rows, noise
from program import Archive, remove
from trees import MIB, text_bytes, write_file
from volume_map import DATA, LEAF, PAGE, SECTOR, Damage, read_at, write_at
from ways import WAYS, at_once, forget, lost_ranges, opened, sequential

FILES = {'stored': 'content in raw blocks', 'text': 'compressed', 'small': 'in a pack'}
HOT = {'leaf', 'first frame', 'last frame'}  # read again; the rest is remembered


class Rotten:
    """An archive whose volume is damaged again and again, and what it must show."""

    def __init__(self, archive, tree):
        self.archive = archive
        self.tree = Path(tree)
        self.volume = archive.volume
        self.places = {name: Places(archive, f'/{self.tree.name}/{name}')
                       for name in sorted(os.listdir(tree))}
        self.stripes = next(iter(self.places.values())).stripes
        self.digest = digest(self.volume)

    def content(self, name):
        return (self.tree / name).read_bytes()

    def shown(self, mount, name):
        return mount / self.tree.name / name

    def check(self, mount, *names):
        for name in names or self.places:
            path = self.shown(mount, name)
            forget(path)
            assert sequential(path) == self.content(name), name

    def is_healed(self, changes, original):
        """Whether all that was overwritten is as before."""
        return all(read_at(self.volume, offset, len(data)) == original[offset]
                   for offset, data in changes)


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def make_rotten(program, folder, files):
    for name, content in files.items():
        write_file(f'{folder}/tree/{name}', content)
    archive = Archive(program, folder / 'archive').init()
    archive.commit(folder / 'tree')
    return Rotten(archive, folder / 'tree')


@pytest.fixture(scope='module')
def rotten(program, tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp('rotten')
    rng = random.Random(f'mount damage {seed}')
    whole = make_rotten(program, folder, {'stored': rng.randbytes(9 * MIB + 5),
                                          'text': text_bytes(rng, 10 * MIB),
                                          'small': text_bytes(rng, 200_000)})
    stripe = max((s for s in whole.stripes if s.kind == DATA), key=lambda s: len(s.data))
    assert len(stripe.data) > 15 and stripe.m == 3
    yield whole
    assert digest(whole.volume) == whole.digest, 'what the tests left behind'
    remove(folder)


def changes_at(places):
    return [noise(place) for place in places]


def originals(volume, changes):
    return {offset: read_at(volume, offset, len(data)) for offset, data in changes}


def leaf_at(stripes, offset):
    """Where the leaf or page begins that holds this byte of the volume."""
    for stripe in stripes:
        for extent in stripe.extents:
            if extent.offset <= offset < extent.area_offset:
                return offset // PAGE * PAGE
            if extent.area_offset <= offset < extent.end:
                return offset - (offset - extent.area_offset) % LEAF
    raise AssertionError(f'nothing at {offset}')


def check_lines(mount, volume, stripes, changes, file):
    """One line for each damaged leaf or page, and no other."""
    expected = sorted({leaf_at(stripes, offset) for offset, _ in changes})
    repairs = mount.repairs()
    assert sorted(repair.offset for repair in repairs) == expected, mount.log
    for repair in repairs:
        assert repair.volume == volume.name and repair.written
        assert repair.file.endswith(file), repair


# Every kind of place


@pytest.mark.main
@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('kind', MET)
def test_damage_that_a_cold_reader_meets_is_healed(rotten, mount, kind, name):
    changes = changes_at([rotten.places[name].of(kind)])
    original = originals(rotten.volume, changes)
    with Damage(rotten.volume, changes):
        mnt = mount(rotten.archive)
        rotten.check(mnt, name)
        assert rotten.is_healed(changes, original)
        check_lines(mnt, rotten.volume, rotten.stripes, changes, name)
        rotten.check(mnt)
        assert len(mnt.repairs()) == 1 and mnt.health()['written_back'] == 1
        assert os.getxattr(rotten.shown(mnt, name), 'user.blockframe.health') == b'repaired'


@pytest.mark.main
@pytest.mark.parametrize('kind', NOT_MET)
def test_damage_that_no_reader_meets_does_no_harm(rotten, mount, kind):
    with Damage(rotten.volume, changes_at([rotten.places['stored'].of(kind)])):
        mnt = mount(rotten.archive)
        rotten.check(mnt)
        assert not any(repair.lost for repair in mnt.repairs())
        assert len(mnt.repairs()) <= 1, mnt.log


@pytest.mark.main
@pytest.mark.parametrize('name', FILES)
def test_damage_that_comes_while_files_are_open_is_healed(rotten, mount, name):
    """Everything was read before, so tables are remembered, and all kinds of places go bad."""
    places = rotten.places[name]
    mnt = mount(rotten.archive, '--cache', '1MiB')
    rotten.check(mnt)
    with opened(rotten.shown(mnt, name)) as file:
        for kind in [*MET, *NOT_MET]:
            changes = changes_at([places.of(kind)])
            original = originals(rotten.volume, changes)
            with Damage(rotten.volume, changes):
                rotten.check(mnt, name)
                os.lseek(file.fileno(), 0, os.SEEK_SET)
                assert file.read(MIB) == rotten.content(name)[:MIB]
                if kind in HOT and name != 'small':
                    assert rotten.is_healed(changes, original), kind
                if kind in MET:
                    second = mount(rotten.archive, name='second')
                    rotten.check(second, name)
                    assert rotten.is_healed(changes, original), kind
                    second.unmount()
    assert not any(repair.lost for repair in mnt.repairs())


def bearable(stripes, places):
    """Those of @places, the first ones before others, that no row of leaves or pages has more
    of than it has parity. Where an extent's table is damaged, all of its leaves count."""
    bad = {}  # (stripe, row, or page as a negative number): extents
    chosen = set()
    for offset, size in places:
        stripe, extent = next((s, e) for s in stripes for e in s.extents
                              if e.offset <= offset < e.end)
        page = (offset - extent.offset) // PAGE
        if offset >= extent.area_offset:
            rows = [(offset - extent.area_offset) // LEAF]
        else:
            rows = [-page, *(range(stripe.rows) if extent in stripe.parity else [])]
        if all(len(bad.get((stripe.offset, row), set()) | {extent}) <= stripe.m for row in rows):
            chosen.add((offset, size))
            for row in rows:
                bad.setdefault((stripe.offset, row), set()).add(extent)
    return sorted(chosen)


@pytest.mark.main
def test_damage_everywhere_at_once_is_healed(rotten, mount):
    chosen = bearable(rotten.stripes, [place for name in FILES for kind in [*NOT_MET, *MET]
                                       if (place := rotten.places[name].of(kind))])
    assert len(chosen) > len(NOT_MET) + 5
    with Damage(rotten.volume, changes_at(chosen)):
        mnt = mount(rotten.archive)
        rotten.check(mnt)
        assert not any(repair.lost for repair in mnt.repairs())
        first = len(mnt.repairs())
        mnt.unmount()
        rotten.check(again := mount(rotten.archive, name='again'))
        assert first > 5 and not [r for r in again.repairs() if r.kind == 'content'
                                  and not r.file.startswith('(')]


# Many readers, many places


@pytest.mark.main
def test_two_readers_of_the_same_damage_repair_it_once(rotten, mount, rng):
    changes = bad_rows(rotten.places['stored'], rng, most=1)
    with Damage(rotten.volume, changes):
        mnt = mount(rotten.archive)
        path = rotten.shown(mnt, 'stored')
        content = rotten.content('stored')
        assert at_once(16, lambda n: WAYS[n % len(WAYS)](path) == content) == [True] * 16
        offsets = [repair.offset for repair in mnt.repairs()]
        assert len(offsets) == len(set(offsets)) > 0
        assert mnt.health()['written_back'] == len(offsets)


@pytest.mark.main
def test_two_mounts_repair_the_same_damage_once(rotten, mount, rng):
    changes = bad_rows(rotten.places['text'], rng, most=2)
    with Damage(rotten.volume, changes):
        mounts = [mount(rotten.archive, name=f'mnt-{n}') for n in range(3)]
        at_once(6, lambda n: rotten.check(mounts[n % 3], 'text'))
        # Who finds another one at work for too long does not wait, and writes nothing.
        written = [repair.offset for mnt in mounts for repair in mnt.repairs() if repair.written]
        assert len(written) == len(set(written)) > 0, [mnt.log for mnt in mounts]


@pytest.mark.slow_under_sanitizers
def test_bad_leaves_up_to_the_parity_in_each_row_are_healed(program, mount, tmp_path, count,
                                                            rng):
    """Hundreds in a file of 1 GiB."""
    block = rng.randbytes(8 * MIB)
    size = count(96, 1024) * MIB
    os.makedirs(tmp_path / 'tree')
    with open(tmp_path / 'tree/large', 'wb') as file:
        for n in range(size // len(block)):
            file.write(n.to_bytes(8, 'little') + block[8:])
            for frame in range(1, len(block) // 262144):
                os.pwrite(file.fileno(), rng.randbytes(8), n * len(block) + frame * 262144)
    archive = Archive(program, tmp_path / 'archive').init()
    archive.commit(tmp_path / 'tree', '--policy', 'compact')
    places = Places(archive, '/tree/large')
    changes = bad_rows(places, rng)
    assert len(changes) >= count(100, 1000)
    data = {leaf[0] for leaf in places.leaves()}
    changes += changes_at([places.of('placement record')])
    original = originals(archive.volume, [c for c in changes if c[0] in data])
    for offset, noise_ in changes:
        write_at(archive.volume, offset, noise_)
    mnt = mount(archive)
    with open(tmp_path / 'tree/large', 'rb') as file, opened(mnt / 'tree/large') as found:
        while piece := file.read(MIB):
            assert found.read(MIB) == piece, f'before {file.tell()}'
    for offset, expected in original.items():
        assert read_at(archive.volume, offset, len(expected)) == expected
    offsets = [repair.offset for repair in mnt.repairs()]
    assert len(offsets) == len(set(offsets)) and set(original) <= set(offsets)
    assert not any(repair.lost for repair in mnt.repairs())
    mnt.unmount()
    again = mount(archive, name='again')
    assert digest(again / 'tree/large') == digest(tmp_path / 'tree/large')
    assert again.repairs() == []


def bad_sectors(stripe, number, rng):
    """Random sectors of a stripe, no column with more than m of them: (offset, bytes), ..."""
    columns = {}
    changes = []
    taken = set()
    while len(changes) < number:
        extent = rng.choice(stripe.extents)
        sector = rng.randrange(extent.area_size // SECTOR)
        place = extent.area_offset + sector * SECTOR
        if columns.get(sector, 0) < stripe.m and place not in taken:
            columns[sector] = columns.get(sector, 0) + 1
            taken.add(place)
            changes.append((place, rng.randbytes(SECTOR)))
    return changes


@pytest.mark.main
def test_256_bad_sectors_in_a_stripe_are_healed(rotten, mount, rng, count):
    stripe = max((s for s in rotten.stripes if s.kind == DATA), key=lambda s: s.payload_size)
    for n in range(count(1, 10)):
        changes = bad_sectors(stripe, 256, rng)
        with Damage(rotten.volume, changes):
            mnt = mount(rotten.archive, name=f'mnt-{n}')
            rotten.check(mnt)
            data = [(o, d) for o, d in changes if any(e.area_offset <= o < e.end
                                                      for e in stripe.data)]
            left = [o for o, d in data if read_at(rotten.volume, o, SECTOR) == d]
            met = {offset for name in FILES for offset, _ in rotten.places[name].leaves()}
            assert not [o for o in left if leaf_at(rotten.stripes, o) in met]
            assert not any(repair.lost for repair in mnt.repairs())
            mnt.unmount()


@pytest.mark.main
def test_a_burst_of_the_exact_bound_is_healed(rotten, mount, rng, count):
    stripe = max((s for s in rotten.stripes if s.kind == DATA), key=lambda s: s.payload_size)
    size = stripe.m * stripe.stride - LEAF
    last = (stripe.end - size) // SECTOR * SECTOR
    starts = [stripe.offset, stripe.data[0].area_offset, last,
              *(rng.randrange(stripe.offset, last, SECTOR) for _ in range(count(1, 20)))]
    for n, start in enumerate(starts):
        with Damage(rotten.volume, [(start, rng.randbytes(size))]):
            mnt = mount(rotten.archive, name=f'mnt-{n}')
            rotten.check(mnt)
            assert not any(repair.lost for repair in mnt.repairs())
            mnt.unmount()
            rotten.check(again := mount(rotten.archive, name=f'again-{n}'))
            assert again.repairs() == []
            again.unmount()


# Beyond repair


def beyond_repair(places, rng, row=None):
    """One bad leaf more in a row than there is parity: the changes, and what is lost of the
    file: [start, end), ..."""
    rows = places.rows()
    extent, row = rng.choice([r for r in rows if r[1] > 0] if row is None else
                             [r for r in rows if r[1] == row])
    stripe = extent.stripe
    own = [e for e, r in rows if r == row and e.stripe is stripe]
    chosen = rng.sample(own, min(stripe.m + 1, len(own)))
    others = [e for e in stripe.extents if e not in chosen and row < e.leaf_count]
    chosen += rng.sample(others, stripe.m + 1 - len(chosen))
    lost = [stretch for e in chosen if e in own for stretch in places.content_of_leaf(e, row)]
    return [noise(e.leaf(row)) for e in chosen], sorted(lost)


def overlaps(stretches, start, end):
    return any(a < end and start < b for a, b in stretches)


@pytest.mark.main
def test_exactly_what_is_lost_of_a_stored_file_gives_eio(rotten, mount, rng):
    places = rotten.places['stored']
    content = rotten.content('stored')
    changes, lost = beyond_repair(places, rng)
    assert 0 < sum(end - start for start, end in lost) <= 4 * LEAF
    mnt = mount(rotten.archive)
    path = rotten.shown(mnt, 'stored')
    with Damage(rotten.volume, changes):
        for offset, block in lost_ranges(path).items():
            if overlaps(lost, offset, offset + SECTOR):
                assert block is None, f'{offset} of {lost}'
            else:
                assert block == content[offset:offset + SECTOR], f'{offset}, lost: {lost}'
        assert any(repair.lost for repair in mnt.repairs())
        assert os.getxattr(path, 'user.blockframe.health') == b'lost'
        assert mnt.health()['lost'] and mnt.health()['leaves_lost'] > 0
        rotten.check(mnt, 'small')
        # Nothing was made worse by trying.
        assert all(read_at(rotten.volume, o, len(d)) == d for o, d in changes)
    rotten.check(mnt)


@pytest.mark.main
def test_no_more_than_the_frames_of_a_compressed_file_is_lost(rotten, mount, rng):
    places = rotten.places['text']
    content = rotten.content('text')
    changes, lost = beyond_repair(places, rng)
    with Damage(rotten.volume, changes):
        mnt = mount(rotten.archive)
        blocks = lost_ranges(rotten.shown(mnt, 'text'))
        assert None in blocks.values()
        for offset, block in blocks.items():
            if block is None:
                assert overlaps(lost, offset, offset + SECTOR), f'{offset} of {lost}'
            else:
                assert block == content[offset:offset + SECTOR]
    rotten.check(mnt)


@pytest.mark.main
@pytest.mark.parametrize('way', WAYS[:3], ids=lambda way: way.__name__)
def test_every_way_of_reading_ends_in_eio_not_in_wrong_bytes(rotten, mount, rng, way):
    changes, _ = beyond_repair(rotten.places['stored'], rng)
    with Damage(rotten.volume, changes):
        mnt = mount(rotten.archive)
        assert refused(way, rotten.shown(mnt, 'stored')) == errno.EIO
        rotten.check(mnt, 'small')
        output = Path(mnt.path.parent / 'copy')
        assert refused(shutil.copyfile, rotten.shown(mnt, 'stored'), output) == errno.EIO


@pytest.mark.main
def test_a_large_read_gives_all_before_the_loss(rotten, mount, rng):
    changes, lost = beyond_repair(rotten.places['stored'], rng)
    start = lost[0][0]
    with Damage(rotten.volume, changes):
        mnt = mount(rotten.archive)
        with opened(rotten.shown(mnt, 'stored')) as file:
            found = bytearray()
            with pytest.raises(OSError) as error:
                while len(found) < 9 * MIB:
                    found += file.read(MIB)
            assert error.value.errno == errno.EIO
        whole = start // SECTOR * SECTOR
        assert found == rotten.content('stored')[:len(found)] and len(found) <= start
        assert len(found) >= whole - whole % SECTOR, (len(found), start)


@pytest.mark.main
def test_a_lost_table_of_a_segment_costs_no_other_file(rotten, mount, rng):
    """All of the rows that hold the end of a segment."""
    places = rotten.places['text']
    offset, _ = places.of('frame table')
    extent = next(e for e, row in places.rows() if e.offset <= offset < e.end)
    row = (offset - extent.area_offset) // LEAF
    stripe = extent.stripe
    chosen = [extent, *[e for e in stripe.extents if e is not extent and row < e.leaf_count]]
    changes = [noise(e.leaf(row)) for e in chosen[:1] + chosen[-stripe.m:]]
    with Damage(rotten.volume, changes):
        mnt = mount(rotten.archive)
        content = rotten.content('text')
        for offset, block in lost_ranges(rotten.shown(mnt, 'text')).items():
            assert block in (None, content[offset:offset + SECTOR])
        rotten.check(mnt, 'stored')


# What is written, and what is not


@pytest.mark.main
def test_nothing_is_written_where_that_is_off(program, mount, tmp_path, rng):
    whole = make_rotten(program, tmp_path, {'small': rng.randbytes(400_000)})
    with open(whole.archive.path / 'config.toml', 'a', encoding='utf-8') as settings:
        settings.write('[repair]\nwrite_back = "off"\n')
    place = whole.places['small'].of('leaf')
    write_at(whole.volume, *noise(place))
    damaged = digest(whole.volume)
    mnt = mount(whole.archive)
    for _ in range(2):
        whole.check(mnt)
    assert digest(whole.volume) == damaged
    repairs = mnt.repairs()
    assert repairs and all('memory' in repair.outcome for repair in repairs)
    assert {repair.offset for repair in repairs} == {place[0]}
    assert mnt.health()['written_back'] == 0 and mnt.health()['not_written_back'] > 0


@pytest.mark.main
def test_only_the_blocks_that_differ_are_written(rotten, mount):
    """A leaf with two bad sectors: the other fourteen stay as they are."""
    extent, row = rotten.places['stored'].rows()[3]
    offset, _ = extent.leaf(row)
    changes = [noise((offset + 2 * SECTOR, SECTOR)), noise((offset + 9 * SECTOR, SECTOR))]
    with Damage(rotten.volume, changes):
        mnt = mount(rotten.archive)
        rotten.check(mnt, 'stored')
        assert mnt.health()['blocks_written_back'] == 2
    assert digest(rotten.volume) == rotten.digest


@pytest.mark.main
def test_unreadable_blocks_are_written_again(rotten, mount, bad_medium):
    """A medium error (EIO) is damage like any other; writing makes the block readable."""
    place = rotten.places['stored'].of('leaf')
    bad_medium.make_unreadable(rotten.volume, [place])
    mnt = mount(rotten.archive, **bad_medium.options)
    rotten.check(mnt)
    rotten.check(mnt)
    repair, = mnt.repairs()
    assert repair.offset == place[0] and repair.written and repair.file.endswith('stored')


@pytest.mark.main
def test_damage_is_logged_with_odd_names_on_one_line(program, mount, tmp_path, rng):
    name = 'new\nline \x1b[31m"\''
    whole = make_rotten(program, tmp_path, {name: rng.randbytes(300_000)})
    write_at(whole.volume, *noise(whole.places[name].of('leaf')))
    mnt = mount(whole.archive)
    whole.check(mnt)
    assert '\x1b' not in mnt.log
    lines = [line for line in mnt.log.splitlines() if 'offset' in line]
    assert len(lines) == 1 and 'blockframe: warning:' in lines[0], mnt.log
    assert len(mnt.health()['repaired']) == 1
