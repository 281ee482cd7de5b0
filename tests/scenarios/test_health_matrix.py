# SPDX-License-Identifier: MIT
"""Every kind of block, damaged in every way: health finds it, reading gives the right bytes or
an error, and after a repair the volumes are byte for byte what they were."""
import hashlib
import os
import random
import shutil

import pytest

from places import Places
from program import DONE, FAILED, LOST, PARTIAL, Archive, remove
from trees import MIB, text_bytes, write_file
from volume_map import DATA, END, PLACEMENT, SECTOR, Damage, read_at, read_stripes, write_at

FILES = {'large': 1, 'small': 1, 'third': 2}  # by the volume that holds their content
KINDS = ['first page', 'volume header', 'header page', 'table page', 'leaf', 'parity leaf',
         'parity header page', 'parity table page', 'page parity', 'tree page', 'commit record',
         'commit parity', 'segment header', 'seek table', 'end mark', 'checkpoint']
WAYS = ['one bit', 'zeroes', 'noise', '1 MiB', 'm extents', 'swapped', 'older', 'another volume']
READERS = ['mount', 'restore', 'rebuild']
CATALOG_WAYS = ['one bit', 'zeroes', 'noise', '1 MiB', 'half of it', 'truncated', 'swapped', 'older',
                "another archive's"]


class Base:
    """An archive of two volumes, the first of them sealed; one that was a copy of it before
    it got other commits; and one that has nothing to do with it."""

    def __init__(self, program, folder, seed):
        rng = random.Random(f'health matrix {seed}')
        self.tree = folder / 'tree'
        self.archive = self.make(program, folder / 'archive', self.tree, rng)
        older = self.archive.copy(folder / 'older')
        self.commit(older, 'second', rng.randbytes(3 * MIB))
        self.commit(self.archive, 'second', rng.randbytes(3 * MIB))
        self.commit(self.archive, 'third', rng.randbytes(24 * MIB))
        self.older = older.volume
        self.older_catalog = older.catalog
        foreign = self.make(program, folder / 'foreign', folder / 'tree2', rng)
        self.foreign = foreign.volume
        self.foreign_catalog = foreign.catalog
        self.dump = self.archive.dump()
        self.first, self.second = self.archive.volumes
        self.content = {name: hashlib.sha256((self.tree / name).read_bytes()).digest()
                        for name in FILES}
        self.digests = {volume: digest(volume) for volume in self.archive.volumes}
        self.places = Places(self.archive, '/tree/large', self.first)

    @staticmethod
    def make(program, folder, tree, rng):
        write_file(f'{tree}/large', rng.randbytes(36 * MIB))
        write_file(f'{tree}/small', text_bytes(rng, 300_000))
        archive = Archive(program, folder).init(settings={'volume.max_size': '64MiB'})
        archive.commit(tree)
        return archive

    def commit(self, archive, name, content):
        write_file(f'{self.tree}/{name}', content)
        archive.commit(self.tree)

    def place(self, kind):
        """(volume, offset)"""
        if kind == 'first page':
            return self.first, 0
        if kind == 'checkpoint':
            stripe = next(s for s in read_stripes(self.second) if s.kind == PLACEMENT)
            return self.second, stripe.data[0].leaf(0)[0]
        if kind == 'end mark':
            return self.first, self.places.stripes[-1].data[0].leaf(0)[0]
        return self.first, self.places.of(kind)[0]

    def is_whole(self):
        return all(digest(volume) == want for volume, want in self.digests.items())

    def check_content(self, *names, expect=DONE):
        for name in names or FILES:
            result = self.archive.run('cat', f'/tree/{name}', expect=expect)
            assert result.code or hashlib.sha256(result.out).digest() == self.content[name], name

    def check_folder(self, folder):
        for name, want in self.content.items():
            assert digest(folder / name) == want, name

    def check_restored(self, to):
        self.archive.restore(to)
        self.check_folder(to / 'tree')
        remove(to)

    def check_rebuilt(self):
        result = self.archive.rebuild(expect=(DONE, PARTIAL))
        assert self.archive.dump() == self.dump, result
        self.check_content()


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').digest()


@pytest.fixture(scope='module')
def base(program, tmp_path_factory, seed):
    base = Base(program, tmp_path_factory.mktemp('matrix'), seed)
    assert base.places.stripes[-1].kind == END
    return base


def stripe_of(volume, offset):
    return next(s for s in read_stripes(volume) if s.offset <= offset < s.end)


def make_damage(base, volume, offset, way, rng):
    """(offset, bytes), ... that differ from what is there"""
    size = os.path.getsize(volume)
    if way == 'one bit':
        at = offset + rng.randrange(SECTOR)
        return [(at, bytes([read_at(volume, at, 1)[0] ^ 1 << rng.randrange(8)]))]
    if way == 'zeroes':
        return [(offset, bytes(SECTOR))]
    if way == 'noise':
        return [(offset, rng.randbytes(SECTOR))]
    if way == '1 MiB':
        return [(offset, rng.randbytes(min(MIB, size - offset)))]
    if way == 'm extents':
        stripe = stripe_of(volume, offset)
        inside = next(e for e in stripe.extents if offset < e.end)
        others = [e for e in stripe.extents if e is not inside]
        extents = [inside, *rng.sample(others, stripe.m - 1)]
        return [(e.offset, rng.randbytes(e.end - e.offset)) for e in extents]
    if way == 'swapped':
        stripe = rng.choice([s for s in read_stripes(volume) if s.kind == DATA])
        other = rng.choice(stripe.blocks())
        return [(offset, read_at(volume, other, SECTOR)),
                (other, read_at(volume, offset, SECTOR))]
    source = base.older if way == 'older' else base.foreign
    return [(offset, read_at(source, offset, SECTOR).ljust(SECTOR, b'\0'))]


def cells(seed, count, readers=1):
    """(number, kind, way): every kind and every way at least once, and more with full counts;
    @readers times all of them."""
    everything = [(kind, way) for kind in KINDS for way in WAYS]
    rng = random.Random(f'cells {seed}')
    rng.shuffle(everything)
    first = [(kind, WAYS[(i + seed) % len(WAYS)]) for i, kind in enumerate(KINDS)]
    some = first + [cell for cell in everything if cell not in first]
    return [(i, *cell) for i, cell in enumerate((some * readers)[:count])]


def test_every_block_damaged_in_every_way_is_found_and_healed(base, tmp_path, rng, seed, count):
    for _, kind, way in cells(seed, count(len(KINDS), len(KINDS) * len(WAYS))):
        volume, offset = base.place(kind)
        changes = make_damage(base, volume, offset, way, rng)
        if all(read_at(volume, at, len(data)) == data for at, data in changes):
            continue
        before = read_at(volume, offset, SECTOR)
        cell = f'{kind}, {way}'
        with Damage(volume, changes):
            damaged = digest(volume)
            checked = base.archive.run('health', '--check', '--json', expect=None)
            assert checked.code == PARTIAL, f'{cell}\n{checked}'
            assert digest(volume) == damaged, cell
            healed = base.archive.run('health', '--json', expect=None)
            assert healed.code == PARTIAL, f'{cell}\n{healed}'
            assert healed.json()['found'] == checked.json()['found'], cell
            assert base.is_whole(), f'{cell}\n{healed}'
        assert read_at(volume, offset, SECTOR) == before
    base.archive.run('health', '--check')


def changes_of(base, kind, way, rng):
    volume, offset = base.place(kind)
    return volume, make_damage(base, volume, offset, way, rng)


def check_reader(base, reader, tmp_path, mount):
    if reader == 'mount':
        with mount(base.archive, env={'BLOCKFRAME_REPAIR_WRITE_BACK': 'off'}) as mounted:
            base.check_folder(mounted.path / 'tree')
    elif reader == 'restore':
        base.check_restored(tmp_path / 'back')
    else:
        base.check_rebuilt()


def test_every_block_damaged_in_every_way_keeps_no_reader_from_content(base, tmp_path, mount, rng,
                                                                      seed, count):
    """Whoever reads: the mount, restore, and who makes the catalog again."""
    every = cells(seed + 3, len(KINDS) * len(WAYS) * len(READERS), len(READERS))
    for i, kind, way in rng.sample(every, count(9, len(every))):
        reader = READERS[(i + i // (len(KINDS) * len(WAYS)) + seed) % len(READERS)]
        volume, changes = changes_of(base, kind, way, rng)
        with Damage(volume, changes):
            damaged = digest(volume)
            try:
                check_reader(base, reader, tmp_path, mount)
            except AssertionError as error:
                raise AssertionError(f'{kind}, {way}, {reader}') from error
            assert digest(volume) == damaged, f'{kind}, {way}, {reader}'
    base.archive.run('health')
    assert base.is_whole()


class CatalogDamage:
    """Puts something else in place of the catalog, and the catalog back in the end."""

    def __init__(self, base, way, rng):
        self.file = base.archive.catalog
        self.saved = self.file.with_name('saved')
        shutil.copy(self.file, self.saved)
        self.damage(base, way, rng)

    def damage(self, base, way, rng):
        size = os.path.getsize(self.file)
        pages = size // SECTOR
        at = rng.randrange(pages) * SECTOR
        if way == 'older':
            shutil.copy(base.older_catalog, self.file)
        elif way == "another archive's":
            shutil.copy(base.foreign_catalog, self.file)
        elif way == 'truncated':
            os.truncate(self.file, at)
        elif way == 'swapped':
            other = rng.randrange(pages) * SECTOR
            self.put(at, read_at(self.file, other, SECTOR), other, read_at(self.file, at, SECTOR))
        elif way == 'one bit':
            at += rng.randrange(SECTOR)
            self.put(at, bytes([read_at(self.file, at, 1)[0] ^ 1 << rng.randrange(8)]))
        else:
            length = {'1 MiB': MIB, 'half of it': size // 2}.get(way, SECTOR)
            self.put(at, bytes(length) if way == 'zeroes' else rng.randbytes(length))

    def put(self, *changes):
        for at, data in zip(changes[::2], changes[1::2]):
            write_at(self.file, at, data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in 'catalog.db-wal', 'catalog.db-shm':
            self.file.with_name(name).unlink(missing_ok=True)
        self.saved.replace(self.file)


def test_a_catalog_damaged_in_every_way_changes_no_byte(base, tmp_path, rng, count):
    """Of what is read and of the volumes; what can't be read is an error. Made again, it is what
    it was."""
    for way in rng.sample(CATALOG_WAYS, count(3, len(CATALOG_WAYS))) * count(1, 12):
        with CatalogDamage(base, way, rng):
            for options in ('--check',), ():
                base.archive.run('health', *options, expect=(DONE, FAILED, PARTIAL, LOST))
                assert base.is_whole(), way
            for name, want in base.content.items():
                result = base.archive.run('cat', f'/tree/{name}', expect=None)
                assert result.code > 0 or hashlib.sha256(result.out).digest() == want, (way, name)
            result = base.archive.run('restore', '--to', tmp_path / 'back', '/', expect=None)
            assert result.code >= 0, way
            for name, want in base.content.items():
                file = tmp_path / 'back/tree' / name
                assert not file.exists() or digest(file) == want, (way, name)
            remove(tmp_path / 'back')
            if way == "another archive's":
                base.archive.rebuild(expect=FAILED)  # it is not for this program to decide
                base.archive.forget_catalog()
            base.archive.rebuild()
            assert base.archive.dump() == base.dump, way
    base.archive.run('health', '--check')


def test_what_a_catalog_says_of_the_volumes_is_not_believed(base, rng):
    """One that calls everything verified, or lists what is not there: health says of the volumes
    what it says without."""
    import sqlite3
    stripe = stripe_of(base.first, base.place('leaf')[1])
    leaf = stripe.data[1].leaf(2)
    with Damage(base.first, [(leaf[0], rng.randbytes(leaf[1]))]):
        want = base.archive.run('health', '--check', '--json', expect=PARTIAL).json()
        with CatalogDamage(base, 'one bit', random.Random(0)) as damage:
            shutil.copy(damage.saved, damage.file)
            connection = sqlite3.connect(damage.file)
            names = [row[0] for row in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table'")]
            assert {'stripe', 'segment'} <= set(names), names
            connection.execute('DELETE FROM stripe')
            connection.execute('DELETE FROM segment')
            connection.commit()
            connection.close()
            lied_to = base.archive.run('health', '--check', '--json', expect=None).json()
            for key in 'found', 'lost', 'ranges', 'verified':
                assert lied_to[key] == want[key], key
    base.archive.run('health', '--check')


def test_one_more_than_can_be_repaired_is_lost_and_nothing_else(base, rng):
    stripe = stripe_of(base.first, base.place('leaf')[1])
    row = rng.randrange(stripe.data[0].leaf_count)
    extents = [e for e in stripe.extents if row < e.leaf_count]
    extents = rng.sample(extents, stripe.m + 1)
    with Damage(base.first, [(e.leaf(row)[0], rng.randbytes(e.leaf(row)[1])) for e in extents]):
        damaged = digest(base.first)
        report = base.archive.run('health', '--json', expect=LOST).json()
        assert digest(base.first) == damaged
        assert int(report['lost']) == len(extents)
        lost, = [f for f in report['files'] if f['state'] == 'lost']
        assert lost['path'] == 'tree/large' and lost['version'] == 1
        want = sorted(part for e in extents if e in stripe.data
                      for part in base.places.content_of_leaf(e, row))
        ranges = [(int(r['offset']), int(r['offset']) + int(r['size'])) for r in lost['lost']]
        for start, end in want:
            assert any(a <= start and end <= b for a, b in ranges), (want, ranges)
        assert all(b - a <= (end - start) + 2 * 262144 for a, b in ranges for start, end in want)
        base.check_content('small', 'third')
        base.check_content('large', expect=LOST)
    base.archive.run('health')
    assert base.is_whole()


def test_losses_of_files_of_both_volumes_are_told_apart(base, rng):
    third = Places(base.archive, '/tree/third', base.second)
    for places, name in (base.places, 'large'), (third, 'third'):
        extent, row = places.rows()[0]
        bad = [e for e in extent.stripe.extents if row < e.leaf_count][:extent.stripe.m + 1]
        if len(bad) <= extent.stripe.m:
            continue
        with Damage(places.volume, [(e.leaf(row)[0], rng.randbytes(e.leaf(row)[1]))
                                    for e in bad]):
            report = base.archive.run('health', '--check', '--json', expect=LOST).json()
            assert {f['path'] for f in report['files'] if f['state'] == 'lost'} <= {
                f'tree/{name}', 'tree/small', 'tree/second'}
            assert any(f['path'] == f'tree/{name}' for f in report['files'])


def test_a_truncated_end_is_appended_or_its_loss_is_told(base, tmp_path):
    for volume in base.archive.volumes:
        last = read_stripes(volume)[-1]
        for cut, code in (last.extents[-1].offset + 5000, PARTIAL), (last.offset, LOST):
            copy = base.archive.copy(tmp_path / 'copy')
            file = copy.path / 'volumes' / volume.name
            mode = file.stat().st_mode
            file.chmod(0o644)
            os.truncate(file, cut)
            file.chmod(mode)
            copy.run('health', '--check', expect=code)
            copy.run('health', expect=code)
            if code == PARTIAL:
                copy.run('health', expect=(DONE, PARTIAL))  # the block that was cut in half
                copy.run('health', '--check')
                assert digest(file) == base.digests[volume]
                assert file.stat().st_mode == mode
            else:
                assert file.stat().st_size == cut
            copy.delete()


@pytest.mark.main
def test_rot_all_over_is_healed(base, rng):
    """Scattered sectors, far more than would be allowed to hit whole extents."""
    blocks = [b for s in base.places.stripes if s.kind == DATA for b in s.blocks()]
    changes = [(b, rng.randbytes(SECTOR)) for b in rng.sample(blocks, 40)]
    with Damage(base.first, changes):
        report = base.archive.run('health', '--json', expect=PARTIAL).json()
        assert int(report['repaired']) == int(report['found']) > 0
        assert base.is_whole()
        base.archive.run('health', '--check', '--deep')
        base.check_content()
