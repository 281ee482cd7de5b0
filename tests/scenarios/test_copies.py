# SPDX-License-Identifier: MIT
"""Copies: everything on several volumes in several places; a place that is away, full, read-only
or broken; kills between the copies; catching up; reading and rebuilding from what is left."""
import os
import shutil
import subprocess

import pytest

from history import History, check_commits, copy_of
from mounted import unmount
from program import DONE, FAILED, KILLED, PARTIAL, Archive, remove
from trees import MIB, assert_same, make_small_tree, snapshot, write_file

ANYTHING = (DONE, PARTIAL, KILLED)


class Places:
    """An archive with two places, the second outside of its folder."""

    def __init__(self, program, folder, seed, **settings):
        self.folder = folder
        self.second = folder / 'second'
        self.second.mkdir(parents=True)
        self.tree = make_small_tree(folder / 'tree', seed)
        self.archive = Archive(program, folder / 'archive').init(settings={
            'volume.more_directories': self.second, 'volume.copies': 2, **settings})
        self.history = History(self.archive, self.tree)

    def change(self, rng, size=300_000):
        write_file(f'{self.tree}/changed', rng.randbytes(size))

    def path(self, place):
        return self.archive.path / 'volumes' if place == 0 else self.second

    def away(self, place=1):
        self.path(place).rename(self.folder / 'unplugged')

    def back(self, place=1):
        (self.folder / 'unplugged').rename(self.path(place))

    def files(self, place):
        return sorted(self.path(place).glob('*.bfv'))

    def lose(self, place):
        for file in self.files(place):
            file.unlink()

    def check(self):
        check_commits(self.archive, self.folder / 'out', self.history.states)

    def missing(self):
        status = self.archive.run('status', '--json', expect=None).json()
        return int(status['bytes_with_fewer_copies'])


@pytest.fixture
def places(program, tmp_path, seed, rng):
    return Places(program, tmp_path, seed)


def rebuild(archive, expect=DONE):
    archive.forget_catalog()
    return archive.rebuild(expect=expect)


@pytest.mark.main
def test_everything_is_in_two_places(places, rng):
    places.history.commit()
    places.change(rng)
    places.history.commit()
    assert len(places.files(0)) == len(places.files(1)) == 1
    assert places.missing() == 0
    before = places.archive.dump()
    rebuild(places.archive)
    assert places.archive.dump() == before
    places.check()


@pytest.mark.main
@pytest.mark.parametrize('place', [0, 1])
def test_either_place_alone_is_enough(places, rng, place):
    places.history.commit()
    places.change(rng)
    places.history.commit()
    places.lose(1 - place)
    places.check()
    # The second volume was begun after the first one, which it names, and no other file has.
    rebuild(places.archive, expect=PARTIAL if place else DONE)
    places.check()


def test_a_place_that_is_away_makes_no_commit(places, rng):
    places.history.commit()
    places.away()
    places.change(rng)
    result = places.archive.commit(places.tree, expect=FAILED)
    assert str(places.second) in result.err
    places.check()
    places.back()
    places.history.commit()
    places.check()


@pytest.mark.main
def test_fewer_copies_are_named_and_made_up_for(program, tmp_path, seed, rng):
    places = Places(program, tmp_path, seed, **{'volume.min_copies': 1})
    places.history.commit()
    places.away()
    for _ in range(2):
        places.change(rng)
        result = places.history.commit(expect=PARTIAL)
        assert str(places.second) in result.err
    places.check()
    places.back()
    assert places.missing() > 600_000
    assert 'health' in places.archive.run('status', expect=PARTIAL).text
    places.archive.run('health', '--check', expect=PARTIAL)
    assert places.missing() > 600_000
    report = places.archive.run('health', '--json', expect=PARTIAL).json()
    assert int(report['copies']['bytes_copied']) > 600_000
    assert report['copies']['segments_missing'] == '0'
    assert places.missing() == 0
    places.archive.run('health')
    before = places.archive.dump()
    rebuild(places.archive)
    assert places.archive.dump() == before
    places.lose(0)
    places.check()
    rebuild(places.archive, expect=PARTIAL)
    places.check()


def test_copies_of_an_archive_that_had_one(program, tmp_path, seed, rng):
    tree = make_small_tree(tmp_path / 'tree', seed)
    history = History(Archive(program, tmp_path / 'archive').init(), tree)
    history.commit()
    write_file(f'{tree}/more', rng.randbytes(3 * MIB))
    history.commit()
    second = tmp_path / 'second'
    second.mkdir()
    with open(history.archive.path / 'config.toml', 'a') as config:
        config.write(f'more_directories = ["{second}"]\ncopies = 2\n')
    history.archive.run('health', expect=PARTIAL)
    remove(history.archive.path / 'volumes')
    check_commits(history.archive, tmp_path / 'out', history.states)
    history.archive.forget_catalog()
    history.archive.rebuild(expect=PARTIAL)
    check_commits(history.archive, tmp_path / 'out', history.states)


COMMIT_POINTS = ['archive.copies.flushed', 'archive.commit.begin', 'archive.copies.recorded',
                 'archive.commit.recorded', 'volume.record.readable', 'archive.volume.begun',
                 'archive.checkpoint.tree', 'archive.catalog.committed']


@pytest.mark.parametrize('first', [True, False], ids=['first copies', 'later'])
def test_a_kill_in_a_commit_leaves_all_or_nothing(program, tmp_path, seed, rng, count, first):
    places = Places(program, tmp_path, seed)
    if not first:
        places.history.commit()
        places.change(rng)
    pending = snapshot(places.tree)
    base = places.folder / 'base'
    shutil.copytree(places.archive.path, base)
    shutil.copytree(places.second, places.folder / 'base-second')
    killed = 0
    for point in COMMIT_POINTS:
        for nth in range(1, count(1, 6) + 1):
            remove(places.archive.path)
            remove(places.second)
            shutil.copytree(base, places.archive.path)
            shutil.copytree(places.folder / 'base-second', places.second)
            result = places.archive.commit(places.tree, expect=ANYTHING,
                                           env={'BLOCKFRAME_CRASH_AT': f'{point}:{nth}'})
            if result.code != KILLED:
                break
            killed += 1
            states = places.history.states
            check_commits(places.archive, places.folder / 'out', states, pending,
                          only=[len(states)])
            places.archive.commit(places.tree)
            places.archive.run('health', expect=None)
            assert places.missing() == 0
            before = places.archive.dump()
            rebuild(places.archive)
            assert places.archive.dump() == before
            places.lose(0)
            places.archive.restore(places.folder / 'out')
            assert_same(pending, places.folder / 'out/tree')
            remove(places.folder / 'out')
    assert killed >= 4


@pytest.mark.parametrize('place,then', [(0, 'rebuild'), (1, 'rebuild'), (0, 'commit'),
                                        (0, 'health'), (1, 'health')])
def test_a_commit_that_one_place_has_when_it_goes_away_is_left_out(program, tmp_path, seed, rng,
                                                                   place, then):
    """A kill between two commit records; the place that has the record is away when the next
    commit is made, which so gets the same number."""
    places = Places(program, tmp_path, seed, **{'volume.min_copies': 1})
    places.history.commit()
    before = places.folder / 'before'
    shutil.copytree(places.path(1 - place), before)
    places.change(rng)
    places.archive.commit(places.tree, expect=KILLED,
                          env={'BLOCKFRAME_CRASH_AT': 'archive.commit.recorded:1'})
    remove(places.path(1 - place))  # as if it had been killed before that record
    before.rename(places.path(1 - place))
    places.away(place)
    places.change(rng)
    places.history.commit(expect=PARTIAL)
    places.back(place)
    assert 'two commits number 2' in places.archive.run('log').err
    assert places.archive.run('log').err == ''
    places.check()
    if then == 'health':
        places.archive.run('health', expect=PARTIAL)
        assert places.missing() == 0
    if then != 'rebuild':
        places.change(rng)
        places.history.commit()
    dump = places.archive.dump()
    assert 'two commits number 2' in rebuild(places.archive, expect=PARTIAL).err
    assert places.archive.dump() == dump
    places.check()
    if then == 'health':  # either place is enough
        places.lose(1 - place)
        rebuild(places.archive, expect=PARTIAL)
        places.check()


@pytest.mark.parametrize('point', ['archive.copies.batch', 'archive.copies.head',
                                   'archive.copies.done', 'volume.record.readable',
                                   'archive.checkpoint.written'])
def test_a_kill_in_catching_up_is_gone_on_from(program, tmp_path, seed, rng, count, point):
    places = Places(program, tmp_path, seed, **{'volume.min_copies': 1})
    places.away()
    places.second.mkdir()
    places.lose(1)
    remove(places.second)
    for _ in range(3):
        places.change(rng)
        places.history.commit(expect=PARTIAL)
    places.back()
    killed = 0
    for nth in range(1, count(2, 20)):
        result = places.archive.run('health', expect=ANYTHING,
                                    env={'BLOCKFRAME_CRASH_AT': f'{point}:{nth}'})
        killed += result.code == KILLED
        places.archive.log()
    places.archive.run('health', expect=None)
    assert killed > 0
    assert places.missing() == 0
    places.lose(0)
    places.check()


@pytest.mark.skipif(os.geteuid() != 0, reason='mounting takes root')
@pytest.mark.parametrize('least', [1, 2])
def test_a_place_that_is_full_fails_alone(program, tmp_path, seed, rng, least):
    places = Places(program, tmp_path, seed, **{'volume.min_copies': least})
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', places.second],
                      check=False).returncode:
        pytest.skip('no tmpfs here')
    try:
        places.history.commit()
        places.change(rng, 20 * MIB)
        if least == 1:
            places.history.commit(expect=PARTIAL)
        else:
            places.archive.commit(places.tree, expect=FAILED)
        places.check()
        before = places.archive.dump()
        rebuild(places.archive)
        assert places.archive.dump() == before
        places.check()
    finally:
        unmount(places.second)


def test_damage_of_both_copies_in_different_places_loses_nothing(places, rng):
    write_file(f'{places.tree}/large', rng.randbytes(12 * MIB))
    places.history.commit()
    sizes = [file.stat().st_size for file in (*places.files(0), *places.files(1))]
    low, high = min(sizes) * 2 // 5, max(sizes) * 3 // 5  # they do not lie in step
    for place, (begin, end) in enumerate([(high, None), (200_000, low)]):
        file, = places.files(place)
        with open(file, 'r+b') as volume:
            volume.seek(begin)
            volume.write(bytes((end or sizes[place]) - begin))
    # Leaves that are lost in both are lost; here each is whole in one of them.
    places.archive.restore(places.folder / 'out', expect=(DONE, PARTIAL))
    assert_same(places.history.states[0], places.folder / 'out/tree')


@pytest.mark.main
def test_volumes_are_found_wherever_they_are(places, rng):
    """Renamed, moved to the other place, both, and each under the other's name."""
    places.history.commit()
    first, = places.files(0)
    second, = places.files(1)
    first.rename(places.second / 'x.bfv')
    second.rename(first)
    (places.second / 'x.bfv').rename(second)
    places.check()
    shutil.move(second, first.with_name('another.bfv'))
    places.check()
    assert [v['attached'] for v in places.archive.run('volume', 'list', '--json').json_lines()] \
        == [True, True]


@pytest.mark.main
def test_a_scan_says_what_each_file_is(places, program, rng):
    def scan(expect=DONE):
        lines = places.archive.run('volume', 'scan', '--json', expect=expect).json_lines()
        return {line.get('file', line.get('label')): line['finding'] for line in lines}

    places.history.commit()
    first, = places.files(0)
    second, = places.files(1)
    inside = f'volumes/{first.name}'
    assert scan() == {inside: 'found', str(second): 'found'}
    older = places.folder / 'older'
    shutil.copy(second, older)
    places.change(rng)
    places.history.commit()
    shutil.copy(first, places.second / 'copy.bfv')
    other = Archive(program, places.folder / 'other').init()
    shutil.copy(other.volume, places.second / 'theirs.bfv')
    (places.second / 'junk.bfv').write_bytes(b'junk')
    second.rename(places.second / 'mine.bfv')
    assert scan() == {inside: 'found', f'{places.second}/copy.bfv': 'twice',
                      f'{places.second}/theirs.bfv': 'foreign',
                      f'{places.second}/junk.bfv': 'no volume',
                      f'{places.second}/mine.bfv': 'renamed'}
    for name in ('copy', 'theirs', 'junk'):
        (places.second / f'{name}.bfv').unlink()
    shutil.copy(older, places.second / 'mine.bfv')
    assert scan(PARTIAL)[f'{places.second}/mine.bfv'] == 'older'
    (places.second / 'mine.bfv').unlink()
    assert 'missing' in scan(PARTIAL).values()
    places.away()
    assert scan(PARTIAL)[str(places.second)] == 'place away'


@pytest.mark.main
def test_volumes_are_begun_sealed_and_retired(program, tmp_path, seed, rng):
    places = Places(program, tmp_path, seed, **{'volume.min_copies': 1})
    places.history.commit()
    made = places.archive.run('volume', 'create', '--place', places.second, '--label', 'mine',
                              '--json').json()
    assert made['label'] == 'mine' and made['file'].startswith(str(places.second))
    places.change(rng)
    places.history.commit()
    places.archive.run('volume', 'seal', 'mine')
    places.archive.run('volume', 'seal', 'mine', expect=FAILED)
    places.archive.run('volume', 'verify', 'mine', expect=DONE)
    places.change(rng)
    places.history.commit()
    assert len(places.files(1)) == 2  # it goes on in the one before
    places.archive.run('volume', 'retire', 'mine')
    places.archive.run('volume', 'retire', 'mine', expect=FAILED)
    before = places.archive.dump()
    assert b'"retired":true' in before
    volumes = places.archive.run('status', '--json', expect=None).json()['volumes']
    assert [volume['label'] for volume in volumes if volume['retired']] == ['mine']
    rebuild(places.archive)
    assert places.archive.dump() == before
    (places.folder / made['file']).unlink()
    places.check()
    places.archive.run('health', expect=(DONE, PARTIAL))
    assert places.missing() == 0
    # What is in the first place only is not given up unasked.
    places.lose(1)
    for number in ('2', str(len(places.files(0)) + 3)):
        places.archive.run('volume', 'retire', number, expect=(DONE, FAILED))
    result = places.archive.run('volume', 'retire', '1', expect=4)
    assert '--force' in result.err


@pytest.mark.main
def test_health_repairs_from_the_other_copy(places, rng):
    """More than the parity of a stripe can give: the volume is as it was afterwards."""
    write_file(f'{places.tree}/large', rng.randbytes(12 * MIB))
    places.history.commit()
    places.change(rng)
    places.history.commit()
    second, = places.files(1)
    before = second.read_bytes()
    # Half of the data extents of the stripe, every second leaf's worth; no parity.
    with open(second, 'r+b') as volume:
        for offset in range(len(before) // 5, len(before) // 2, 131_072):
            volume.seek(offset)
            if any(before[offset:offset + 65_536]):
                volume.write(bytes(65_536))
    places.archive.run('health', '--check', expect=PARTIAL)
    places.archive.run('health', expect=PARTIAL)
    assert second.read_bytes() == before
    places.archive.run('health')
    places.check()
