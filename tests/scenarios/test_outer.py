# SPDX-License-Identifier: MIT
"""The outer code: any p whole volumes of a set may be lost, on every path that reads, and
one more is an error that names what is missing."""
import errno
import itertools
import os
import random
import re

import pytest

from program import DONE, FAILED, KILLED, LOST, PARTIAL, Archive, remove
from test_kill import SOURCE
from trees import MIB, assert_same, snapshot, write_file
from volume_map import DATA, SECTOR, read_at, read_stripes, write_at

K, P = 4, 2
SETTINGS = {'volume.outer': f'{K}+{P}', 'parity.data': 4, 'parity.parity': 1,
            'parity.policy': 'compact'}
POINTS = sorted({name for path in SOURCE.rglob('*.c')
                 for name in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())
                 if name.startswith('archive.protect.')})
REMAKE_POINTS = sorted({name for path in SOURCE.rglob('*.c')
                        for name in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())
                        if name.startswith(('archive.remake.', 'volume.remake.'))})


def number(volume):
    return int(volume.name.split('-')[0])


@pytest.fixture(scope='module')
def tree(tmp_path_factory, seed):
    """Folders that are committed one after the other, each to another volume."""
    folder = tmp_path_factory.mktemp('outer')
    rng = random.Random(f'outer {seed}')
    for i, size in enumerate([900_000, 2_300_000, 1_100_000, 1_700_000, 300_000]):
        write_file(f'{folder}/tree/{i}/large', rng.randbytes(size))
        write_file(f'{folder}/tree/{i}/small', b'%d' % i * 1000)
        write_file(f'{folder}/tree/{i}/text', b'word %d ' % i * 30_000)
    write_file(f'{folder}/tree/0/huge', rng.randbytes(9 * MIB))
    return folder / 'tree'


def make(program, path, tree):
    archive = Archive(program, path).init(settings=SETTINGS)
    for i in sorted(os.listdir(tree)):
        archive.commit('--into', i, f'{tree}/{i}')
    return archive


@pytest.fixture(scope='module')
def bare(program, tree, tmp_path_factory):
    """An archive on k volumes, nothing of which is protected; never changed."""
    return make(program, tmp_path_factory.mktemp('bare') / 'archive', tree)


@pytest.fixture(scope='module')
def base(bare, tmp_path_factory):
    """The same, protected; never changed."""
    archive = bare.copy(tmp_path_factory.mktemp('base') / 'archive')
    archive.run('volume', 'protect')
    return archive


@pytest.fixture
def archive(base, tmp_path):
    return base.copy(tmp_path / 'archive')


def status(archive):
    return archive.run('status', '--json', expect={DONE, PARTIAL}).json()


def lose(archive, numbers):
    for volume in archive.volumes:
        if number(volume) in numbers:
            volume.unlink()


def assert_restores(archive, tree, scratch):
    archive.restore(scratch)
    for i in sorted(os.listdir(tree)):
        assert_same(snapshot(f'{tree}/{i}'), f'{scratch}/{i}/{i}')


def files(tree):
    return sorted(str(path.relative_to(tree)) for path in tree.rglob('*') if path.is_file())


def path_of(name):
    folder, rest = name.split('/', 1)
    return f'{folder}/{folder}/{rest}'


def assert_cats(archive, tree, names=None):
    for name in names or files(tree):
        assert archive.cat(path_of(name)) == (tree / name).read_bytes(), name


@pytest.mark.main
def test_protect_covers_every_byte_and_status_says_so(bare, tmp_path):
    archive = bare.copy(tmp_path / 'archive')
    before = status(archive)
    assert len(archive.volumes) == K and before['outer'] == f'{K}+{P}'
    assert before['protected_against_volume_loss'] == '0'
    total = int(before['unprotected_against_volume_loss'])
    assert total == sum(int(v['payload']) for v in before['volumes'])

    plan = archive.run('volume', 'protect', '--dry-run', '--json').json()
    assert plan['read'] == str(total) and len(archive.volumes) == K
    done = archive.run('volume', 'protect', '--json').json()
    assert done['read'] == str(total) and done['complete']
    assert len(archive.volumes) == K + P
    after = status(archive)
    assert after['protected_against_volume_loss'] == str(total)
    assert after['unprotected_against_volume_loss'] == '0'
    text = archive.run('status', expect={DONE, PARTIAL}).text
    assert f'of any {P} volumes, for {total} bytes' in text

    archive.run('health', '--deep')
    assert status(archive)['verdict'] == 'safe'
    dump = archive.dump()
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == dump
    assert archive.run('volume', 'protect', '--json').json()['groups'] == '0'


def test_what_comes_later_is_protected_by_the_next_run(archive, tree, tmp_path, rng):
    write_file(tmp_path / 'more/file', rng.randbytes(500_000))
    archive.commit('--into', 'more', tmp_path / 'more')
    now = status(archive)
    assert int(now['unprotected_against_volume_loss']) > 500_000
    assert now['verdict'] == 'due'
    archive.run('volume', 'protect')
    assert status(archive)['unprotected_against_volume_loss'] == '0'
    lose(archive, {1, 3})
    assert_cats(archive, tree)
    assert archive.cat('more/more/file') == (tmp_path / 'more/file').read_bytes()


def test_any_two_volumes_may_be_lost(base, tree, tmp_path, count, rng):
    pairs = list(itertools.combinations(range(1, K + P + 1), P))
    for numbers in rng.sample(pairs, count(2, len(pairs))):
        archive = base.copy(tmp_path / 'archive')
        lose(archive, numbers)
        assert_restores(archive, tree, tmp_path / 'scratch')
        archive.delete()
        remove(tmp_path / 'scratch')


@pytest.mark.main
def test_the_catalog_may_be_lost_as_well(base, tree, tmp_path, count):
    dump = base.dump()
    for numbers in [(1, 2), (3, 5), (2, 4)][:count(2, 3)]:
        archive = base.copy(tmp_path / 'archive')
        lose(archive, numbers)
        archive.forget_catalog()
        said = archive.rebuild(expect=PARTIAL).errors()
        data = [n for n in numbers if n <= K]
        for n in data:
            assert any(f'volume {n} ' in line and 'known from its groups' in line
                       for line in said)
        if len(data) == P:  # of parity nothing else tells
            assert archive.dump() == dump
        assert_restores(archive, tree, tmp_path / 'scratch')
        for n in data:
            archive.run('volume', 'rebuild', '--to', places_of(archive), str(n))
        for volume in base.volumes:
            if number(volume) in data:
                assert (places_of(archive) / volume.name).read_bytes() == volume.read_bytes()
        archive.delete()
        remove(tmp_path / 'scratch')


@pytest.mark.main
def test_one_volume_more_is_an_error_that_names_them(archive, tree):
    lost = [v for v in archive.volumes if number(v) in {1, 2, 3}]
    uuids = {v['uuid'] for v in map(dict, archive.run('volume', 'list', '--json').json_lines())
             if v['number'] in {'1', '2', '3'}}
    for volume in lost:
        volume.unlink()
    failed = 0
    for name in files(tree):
        result = archive.run('cat', path_of(name), expect={DONE, FAILED})
        if result.code == DONE:
            assert result.out == (tree / name).read_bytes()
            continue
        failed += 1
        assert 'only 3 of the 4 shards' in result.err
        assert sum(uuid in result.err for uuid in uuids) >= 2
    assert failed > 0


def test_a_mount_shows_what_a_lost_volume_had(archive, tree, mount):
    lose(archive, {2, 4})
    mounted = mount(archive)
    for name in files(tree):
        data = (tree / name).read_bytes()
        shown = mounted / path_of(name)
        assert shown.read_bytes() == data
        with open(shown, 'rb') as file:  # a part, which leaves alone would prove
            file.seek(len(data) // 2)
            assert file.read(100) == data[len(data) // 2:][:100]


def test_a_lost_volume_is_served(archive, tree, serve):
    lose(archive, {1, 2})
    server = serve(archive)
    for name in files(tree):
        assert server.get(f'/files/{path_of(name)}').body == (tree / name).read_bytes()


def test_members_may_rot_while_others_are_reconstructed(archive, tree, rng):
    lose(archive, {1, 3})
    for volume in archive.volumes:
        for stripe in read_stripes(volume):
            extent = rng.choice(stripe.extents)  # one of each stripe: what its parity takes
            write_at(volume, extent.leaf(0)[0], rng.randbytes(SECTOR))
    assert_cats(archive, tree)


def test_leaves_beyond_their_own_parity_come_from_the_group(archive, tree, rng):
    for stripe in read_stripes(archive.volumes[0]):
        for extent in stripe.data[:3] if stripe.kind == DATA else []:
            write_at(archive.volumes[0], extent.leaf(0)[0], rng.randbytes(4 * SECTOR))
    assert_cats(archive, tree)
    lose(archive, {5})
    assert_cats(archive, tree)


@pytest.mark.main
def test_health_repairs_from_the_group_what_rows_can_not(archive, tree, rng):
    volume = archive.volumes[1]
    before = volume.read_bytes()
    for stripe in read_stripes(volume):
        for extent in stripe.data if stripe.kind == DATA else []:  # the last leaf, too
            for leaf in {0, extent.leaf_count - 1}:
                offset, size = extent.leaf(leaf)
                write_at(volume, offset, rng.randbytes(size))
    archive.run('health', '--check', expect=PARTIAL)
    archive.run('health', expect=PARTIAL)
    assert volume.read_bytes() == before
    archive.run('health')


@pytest.mark.parametrize('point', POINTS)
def test_a_kill_at_a_named_step_of_protect_loses_nothing(bare, tree, tmp_path, count, point):
    kills, n = 0, 1
    while kills < count(1, 100):
        archive = bare.copy(tmp_path / 'archive')
        result = archive.run('volume', 'protect', expect=KILLED if n == 1 else {DONE, KILLED},
                             env={'BLOCKFRAME_CRASH_AT': f'{point}:{n}'})
        if result.code == DONE:
            n = 1  # it was there so many times, and again from the first
            archive.delete()
            continue
        kills, n = kills + 1, n + 1
        archive.run('volume', 'protect')
        assert status(archive)['unprotected_against_volume_loss'] == '0'
        assert status(archive)['groups_incomplete'] == '0'
        dump = archive.dump()
        archive.forget_catalog()
        archive.rebuild()
        assert archive.dump() == dump
        lose(archive, {2, 3})
        assert_cats(archive, tree, ['0/huge', '1/large', '2/large'])
        archive.delete()


def test_a_disk_that_fails_in_the_middle_leaves_what_was(bare, interpose, tree, tmp_path, count):
    for error in [errno.ENOSPC, errno.EIO]:
        for n in range(2, count(10, 200), count(7, 1)):
            archive = bare.copy(tmp_path / 'archive')
            result = archive.run('volume', 'protect', expect={DONE, FAILED},
                                 interpose={'ROOT': archive.path / 'volumes',
                                            'FAIL': f'write:{n}:{error}'})
            if result.code == DONE:
                break
            assert_cats(archive, tree, ['0/small', '1/large'])
            archive.run('volume', 'protect')
            assert status(archive)['unprotected_against_volume_loss'] == '0'
            lose(archive, {1, 2})
            assert_cats(archive, tree, ['0/huge', '1/large'])
            archive.delete()


def test_what_can_not_be_read_does_not_keep_the_rest_unprotected(bare, tmp_path, rng):
    archive = bare.copy(tmp_path / 'archive')
    large = max(archive.volumes, key=lambda volume: volume.stat().st_size)
    stripe = max(read_stripes(large), key=lambda stripe: stripe.payload_size)
    for extent in [stripe.data[0], stripe.parity[0]]:  # near its start: the first group has it
        offset, size = extent.leaf(0)
        write_at(large, offset, rng.randbytes(size))
    total = int(status(archive)['unprotected_against_volume_loss'])
    for _ in range(2):
        said = archive.run('volume', 'protect', expect={FAILED, LOST})
        assert 'left out what can\'t be read' in said.err
    after = status(archive)
    assert total / 4 < int(after['protected_against_volume_loss']) < total
    assert after['groups_incomplete'] == '0'
    dump = archive.dump()
    archive.forget_catalog()
    archive.rebuild(expect={DONE, PARTIAL})
    assert archive.dump() == dump


def take_away(archive, numbers, folder):
    """Lose volumes, but keep them to compare with."""
    folder.mkdir(exist_ok=True)
    taken = {}
    for volume in archive.volumes:
        if number(volume) in numbers:
            taken[number(volume)] = folder / volume.name
            volume.rename(folder / volume.name)
    return taken


def places_of(archive):
    return archive.path / 'volumes'


@pytest.mark.main
def test_lost_volumes_come_back_byte_for_byte(archive, tmp_path):
    dump = archive.dump()
    taken = take_away(archive, {1, 3}, tmp_path / 'taken')
    for n, volume in taken.items():
        done = archive.run('volume', 'rebuild', '--to', places_of(archive), str(n), '--json').json()
        assert done['missing'] == '0' and done['in_a_place']
        assert (places_of(archive) / volume.name).read_bytes() == volume.read_bytes()
    assert archive.dump() == dump
    archive.run('health')
    archive.run('volume', 'rebuild', '--to', tmp_path, '1', expect=FAILED)  # it is there


def test_tails_come_back_as_holes(bare, tree, tmp_path, rng):
    archive = bare.copy(tmp_path / 'archive')
    volume = archive.volumes[0]
    with open(volume, 'ab') as file:  # what an interrupted writer leaves
        file.write(rng.randbytes(5 * SECTOR))
    write_file(tmp_path / 'more/file', rng.randbytes(100_000))
    sizes = [v.stat().st_size for v in archive.volumes]
    for i in range(2 * K):  # until the volume with the tail is the one that holds least
        write_file(tmp_path / 'more/file', rng.randbytes(100_000 + i))
        archive.commit(tmp_path / 'more')
        if archive.volumes[0].stat().st_size > sizes[0]:
            break
    else:
        pytest.fail('no commit came to the first volume')
    archive.run('volume', 'protect')
    dump = archive.dump()
    old = take_away(archive, {1}, tmp_path / 'taken')[1]
    archive.run('volume', 'rebuild', '--to', places_of(archive), '1')
    new = places_of(archive) / old.name
    assert new.stat().st_size == old.stat().st_size
    for stripe in read_stripes(old):
        for extent in stripe.extents:
            size = extent.end - extent.offset
            assert read_at(new, extent.offset, size) == read_at(old, extent.offset, size)
    assert archive.dump() == dump
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == dump


def test_what_was_in_no_group_is_said_to_be_missing(archive, tree, tmp_path, rng):
    write_file(tmp_path / 'more/file', rng.randbytes(300_000))
    sizes = {v: v.stat().st_size for v in archive.volumes}
    archive.commit('--into', 'more', tmp_path / 'more')
    grown, = [v for v in archive.volumes if v.stat().st_size != sizes[v]]
    grown.unlink()
    result = archive.run('volume', 'rebuild', '--to', places_of(archive), str(number(grown)),
                         '--json', expect=LOST)
    assert int(result.json()['missing']) > 300_000
    archive.rebuild(expect=None)
    assert_cats(archive, tree)


def test_a_volume_is_replaced_by_what_is_left_of_it(archive, tree, tmp_path, rng):
    volume = archive.volumes[1]
    before = volume.read_bytes()
    for stripe in read_stripes(volume):
        for extent in stripe.data:
            write_at(volume, extent.offset, rng.randbytes(8 * SECTOR))
    archive.run('volume', 'replace', '--to', places_of(archive), '2', expect=FAILED)  # same name
    (tmp_path / 'new').mkdir()
    archive.run('volume', 'replace', '--to', tmp_path / 'new', '2')
    assert (tmp_path / 'new' / volume.name).read_bytes() == before
    assert not volume.exists() and volume.with_name(volume.name + '.replaced').exists()


def test_a_rebuild_that_lost_its_last_blocks_is_begun_anew(archive, tmp_path):
    old = take_away(archive, {2}, tmp_path / 'taken')[2]
    arguments = ['volume', 'rebuild', '--to', places_of(archive), '2']
    archive.run(*arguments, expect=KILLED,
                env={'BLOCKFRAME_CRASH_AT': 'archive.remake.written:1'})
    new = places_of(archive) / old.name
    part = new.with_name(new.name + '.part')
    last = max(read_stripes(old), key=lambda stripe: stripe.offset)
    write_at(part, last.offset, bytes(part.stat().st_size - last.offset))  # as after a power cut
    archive.run(*arguments)
    assert new.read_bytes() == old.read_bytes()


def readable(archive, names):
    return [n for n in names if archive.run('cat', n, expect=None).code == DONE]


@pytest.mark.main
def test_nothing_is_appended_to_a_volume_that_lost_its_end(bare, tree, tmp_path, rng):
    archive = bare.copy(tmp_path / 'archive')
    archive.run('volume', 'protect', expect=KILLED,  # the largest is covered in part
                env={'BLOCKFRAME_CRASH_AT': 'archive.protect.listed:2'})
    assert int(status(archive)['unprotected_against_volume_loss']) > 0
    cut = max(archive.volumes, key=lambda volume: volume.stat().st_size)
    cut.unlink()
    archive.run('volume', 'rebuild', '--to', places_of(archive), str(number(cut)), expect=LOST)
    archive.rebuild(expect=None)
    old, size = [path_of(name) for name in files(tree)], cut.stat().st_size
    more = {}
    for i in range(K + 1):  # until each of the others holds more than groups tell of this one
        data = rng.randbytes(10_300_000)
        write_file(tmp_path / f'more/{i}', data)
        archive.commit('--into', f'more/{i}', tmp_path / f'more/{i}')
        more[f'more/{i}/{i}'] = data
    assert cut.stat().st_size == size and len(archive.volumes) > K + P
    assert 'made again' in archive.run('volume', 'seal', str(number(cut)), expect=FAILED).err
    assert all(archive.cat(name) == data for name, data in more.items())

    archive.run('volume', 'protect')  # the groups of what is lost protect nobody else
    assert status(archive)['unprotected_against_volume_loss'] == '0'
    dump, kept = archive.dump(), readable(archive, old)
    archive.forget_catalog()
    archive.rebuild(expect=None)
    assert archive.dump() == dump
    lose(archive, [n for n in range(1, K + 1) if n != number(cut)][:P])
    assert readable(archive, old) == kept
    assert all(archive.cat(name) == data for name, data in more.items())


def test_a_volume_is_not_replaced_by_less_than_it_has(archive, tmp_path, rng):
    sizes = {volume: volume.stat().st_size for volume in archive.volumes}
    commits = {volume: [] for volume in sizes}
    while not any(len(names) == 2 for names in commits.values()):  # none of them in a group
        name = f'more-{sum(map(len, commits.values()))}'
        before = {volume: volume.stat().st_size for volume in sizes}
        write_file(tmp_path / 'more/file', rng.randbytes(200_000))
        archive.commit('--into', name, tmp_path / 'more')
        volume, = [v for v in sizes if v.stat().st_size != before[v]]
        commits[volume].append(name)
    stripes = [s for s in read_stripes(volume) if s.offset >= sizes[volume] and s.kind == DATA]
    for extent in stripes[0].extents:
        for row in range(extent.leaf_count):
            write_at(volume, extent.leaf(row)[0], rng.randbytes(extent.leaf(row)[1]))
    bytes_before = volume.read_bytes()
    (tmp_path / 'new').mkdir()
    said = archive.run('volume', 'replace', '--to', tmp_path / 'new', str(number(volume)),
                       expect=FAILED)
    assert 'is in no group' in said.err and 'evacuate' in said.err
    assert volume.read_bytes() == bytes_before
    assert list((tmp_path / 'new').glob('*.bfv')) == []
    assert len(archive.cat(f'{name}/more/file')) == 200_000


def test_a_volume_that_was_put_away_is_not_overwritten(archive, tmp_path):
    volume = archive.volumes[1]
    before = volume.read_bytes()
    away = volume.with_name(volume.name + '.replaced')
    away.write_bytes(b'an older one')
    (tmp_path / 'new').mkdir()
    arguments = ['volume', 'replace', '--to', tmp_path / 'new', '2']
    assert 'is there already' in archive.run(*arguments, expect=FAILED).err
    assert away.read_bytes() == b'an older one' and volume.read_bytes() == before
    away.unlink()
    archive.run(*arguments)
    assert (tmp_path / 'new' / volume.name).read_bytes() == before


def test_a_group_that_waits_for_a_member_begins_no_volumes(archive, tmp_path):
    archive.run('volume', 'retire', str(K + 1))
    archive.run('volume', 'protect')
    archive.run('volume', 'retire', str(K + 2))
    taken = take_away(archive, range(1, K), tmp_path / 'taken')
    archive.run('volume', 'protect')
    archive.run('volume', 'protect')
    numbers = [number(volume) for volume in archive.volumes]
    assert sorted(set(numbers)) == sorted(numbers)
    for volume in taken.values():
        volume.rename(places_of(archive) / volume.name)
    archive.run('volume', 'protect')
    assert status(archive)['unprotected_against_volume_loss'] == '0'


def test_shards_that_are_made_again_come_to_no_volume_of_their_group(bare, tmp_path, rng):
    archive = bare.copy(tmp_path / 'archive')
    write_file(tmp_path / 'more/large', rng.randbytes(55_000_000))
    archive.commit(tmp_path / 'more')
    archive.run('volume', 'protect')
    first = take_away(archive, {K + 1, K + 2}, tmp_path / 'taken')
    write_file(tmp_path / 'more/file', rng.randbytes(500_000))
    archive.commit(tmp_path / 'more')
    archive.run('volume', 'protect')  # small groups on two new volumes
    for volume in first.values():
        volume.rename(places_of(archive) / volume.name)
    archive.run('volume', 'retire', str(K + 3))
    full = max(volume.stat().st_blocks * 512 for volume in archive.volumes
               if number(volume) in first)
    archive.run('volume', 'protect', env={'BLOCKFRAME_VOLUME_MAX_SIZE': str(full + SECTOR)})
    after = status(archive)
    assert after['unprotected_against_volume_loss'] == '0' and after['groups_incomplete'] == '0'


def test_a_lost_parity_volume_is_made_up_for(archive, tree):
    lose(archive, {K + 1})
    made = archive.run('volume', 'rebuild', '--to', places_of(archive), str(K + 1), '--json')
    assert made.json()['parity'] and int(made.json()['shards_made_again']) > 0
    lose(archive, {1, 2})
    assert_cats(archive, tree)


def test_one_volume_too_many_can_not_be_rebuilt(archive):
    lose(archive, {1, 2, 5})
    result = archive.run('volume', 'rebuild', '--to', places_of(archive), '1', expect=FAILED)
    assert 'only 3 of the 4 shards' in result.err
    assert not (places_of(archive) / 'x').exists()
    assert [v for v in archive.volumes if number(v) == 1] == []


@pytest.mark.parametrize('point', REMAKE_POINTS)
def test_a_kill_at_a_named_step_of_rebuild_loses_nothing(base, tree, tmp_path, count, point):
    kills, n = 0, 1
    while kills < count(1, 100):
        archive = base.copy(tmp_path / 'archive')
        old = take_away(archive, {2}, tmp_path / 'taken')[2]
        arguments = ['volume', 'rebuild', '--to', places_of(archive), '2']
        result = archive.run(*arguments, expect=KILLED if n == 1 else {DONE, KILLED},
                             env={'BLOCKFRAME_CRASH_AT': f'{point}:{n}'})
        if result.code == DONE:
            n = 1
            archive.delete()
            continue
        kills, n = kills + 1, n + 1
        new = places_of(archive) / old.name
        if not new.exists():
            archive.run(*arguments)
        assert new.read_bytes() == old.read_bytes()
        archive.delete()


def test_a_rebuild_on_a_disk_that_fails_leaves_no_volume(base, interpose, tmp_path, count):
    for error in [errno.ENOSPC, errno.EIO]:
        for n in range(2, count(4, 200), count(2, 1)):
            archive = base.copy(tmp_path / 'archive')
            old = take_away(archive, {2}, tmp_path / 'taken')[2]
            arguments = ['volume', 'rebuild', '--to', places_of(archive), '2']
            result = archive.run(*arguments, expect={DONE, FAILED},
                                 interpose={'ROOT': places_of(archive),
                                            'FAIL': f'write:{n}:{error}'})
            new = places_of(archive) / old.name
            if result.code == DONE:
                break
            assert not new.exists()
            archive.run(*arguments)
            assert new.read_bytes() == old.read_bytes()
            archive.delete()


@pytest.mark.main
def test_an_evacuated_volume_can_be_taken_away(archive, tree, tmp_path):
    before = archive.log()
    done = archive.run('volume', 'evacuate', '2', '--json').json()
    assert done['only_there'] == '0' and int(done['segments']) > 0
    assert archive.run('volume', 'evacuate', '2', '--json').json()['segments'] == '0'
    archive.run('volume', 'protect')
    assert status(archive)['unprotected_against_volume_loss'] == '0'
    lose(archive, {2})
    assert_cats(archive, tree)
    archive.forget_catalog()
    archive.rebuild(expect={DONE, PARTIAL})
    assert archive.log() == before
    lose(archive, {1, 5})
    assert_cats(archive, tree)


def test_a_dying_volume_is_evacuated_with_the_help_of_its_group(archive, tree, rng):
    for stripe in read_stripes(archive.volumes[1]):
        for extent in stripe.data[:3] if stripe.kind == DATA else []:
            write_at(archive.volumes[1], extent.leaf(0)[0], rng.randbytes(4 * SECTOR))
    archive.run('volume', 'evacuate', '2')
    lose(archive, {2, 5, 6})
    assert_cats(archive, tree)


def test_kills_while_evacuating_lose_nothing(base, tree, tmp_path, count):
    points = {'archive.copies.batch', 'archive.copies.head', 'archive.copies.done'}
    reached = set()
    for point in sorted(points):
        kills, n = 0, 1
        while kills < count(1, 100):
            archive = base.copy(tmp_path / 'archive')
            result = archive.run('volume', 'evacuate', '3', expect={DONE, KILLED},
                                 env={'BLOCKFRAME_CRASH_AT': f'{point}:{n}'})
            if result.code == DONE:
                archive.delete()
                if n == 1:
                    break  # no head was on that volume only
                n = 1
                continue
            reached.add(point)
            kills, n = kills + 1, n + 1
            archive.run('volume', 'evacuate', '3')
            lose(archive, {3, 5, 6})
            assert_cats(archive, tree)
            archive.delete()
    assert reached >= points - {'archive.copies.head'}


def test_each_volume_has_a_place_of_its_own_and_commits_protect(program, tree, tmp_path):
    places = [tmp_path / f'place-{i}' for i in range(2, K + P + 1)]
    for place in places:
        place.mkdir()
    archive = Archive(program, tmp_path / 'archive').init(settings={
        **SETTINGS, 'volume.more_directories': ':'.join(map(str, places)),
        'volume.protect': 'commit'})
    for i in sorted(os.listdir(tree))[:K]:
        archive.commit('--into', i, f'{tree}/{i}')
        assert status(archive)['unprotected_against_volume_loss'] == '0'
    folders = [place for place in [places_of(archive), *places] if list(place.glob('*.bfv'))]
    assert len(folders) == K + P
    for place in folders[1:1 + P]:
        remove(place)
    committed = [name for name in files(tree) if int(name.split('/')[0]) < K]
    assert_cats(archive, tree, committed)
    archive.forget_catalog()
    archive.rebuild(expect=PARTIAL)
    assert_cats(archive, tree, committed)
