# SPDX-License-Identifier: MIT
"""What becomes of a set of volumes in bad luck: places that are taken out of the configuration,
memory that runs out between two copies, kills between two names, files that are not what they
were."""
import errno
import os
import re
import shutil

import pytest

from history import History, check_commits
from program import DONE, FAILED, KILLED, LOST, PARTIAL, Archive, remove
from test_copies import Places, places, rebuild  # noqa: F401: fixture
from test_errors import calls_of, spread_over
from test_outer import (K, assert_cats, bare, base, archive, lose, number, places_of, status,
                        take_away, tree)  # noqa: F401: fixtures
from trees import MIB, assert_same, make_small_tree, snapshot, write_file


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def configure(archive, pattern, text):
    config = archive.path / 'config.toml'
    before = config.read_text()
    after = re.sub(pattern, text, before, flags=re.M)
    assert after != before
    config.write_text(after)


# Copies


def test_a_copy_in_none_of_the_places_goes_on_in_no_place_that_has_one(program, tmp_path, seed,
                                                                       rng):
    places = Places(program, tmp_path, seed,
                    **{'volume.min_copies': 1, 'volume.max_size': '72MiB'})
    places.history.commit()
    configure(places.archive, r'^more_directories = \[[^]]*\]', '')
    said = ''
    for _ in range(12):
        places.change(rng, 9_000_000)
        result = places.archive.commit(places.tree, expect=(DONE, PARTIAL))
        said += result.err
        if result.code == PARTIAL:
            break
    assert 'more_directories' in said and 'none of the places' in said
    third = tmp_path / 'third'
    third.mkdir()
    configure(places.archive, r'^\[volume\]$', f'[volume]\nmore_directories = ["{third}"]')
    places.archive.run('health', expect=PARTIAL)
    assert places.missing() == 0 and list(third.glob('*.bfv'))


@pytest.mark.usefixtures('interpose')
def test_memory_that_runs_out_between_two_records_hides_no_commit(program, tmp_path, seed, rng,
                                                                  count):
    """A commit that failed is not there, or the message says that it may be."""
    places = Places(program, tmp_path, seed)
    places.history.commit()
    places.change(rng)
    before = len(places.archive.log())
    keep = tmp_path / 'keep'

    def restart():
        for name in ('archive', 'second'):
            remove(tmp_path / name)
            shutil.copytree(keep / name, tmp_path / name)

    for name in ('archive', 'second'):
        shutil.copytree(tmp_path / name, keep / name)
    total = calls_of(places.archive, tmp_path,
                     lambda a, **o: a.commit(places.tree, **o))['alloc']
    failed = 0
    for n in spread_over(total, count(8, 1000)):
        restart()
        result = places.archive.commit(places.tree, expect=None, interpose={
            'ROOT': places.archive.path, 'FAIL': f'alloc:{n}:{errno.ENOMEM}'})
        made = len(places.archive.log()) > before
        assert made or result.code not in (DONE, PARTIAL), str(result)
        if result.code == FAILED:
            failed += 1
            assert not made or 'durable' in result.err or 'may exist' in result.err, \
                str(result)
    assert failed > 0


@pytest.mark.main
def test_a_copy_that_is_destroyed_is_not_missed_by_mounts_and_servers(places, mount, serve, rng):
    places.history.commit()
    file, = places.files(0)
    file.write_bytes(rng.randbytes(1 << 20))
    mounted, server = mount(places.archive), serve(places.archive)
    for name in ('random', 'text', 'folder/small'):
        data = read(f'{places.tree}/{name}')
        assert (mounted / 'tree' / name).read_bytes() == data
        assert server.get(f'/files/tree/{name}').body == data


def test_the_last_copy_is_enough_and_none_is_an_error(places):
    places.history.commit()
    places.lose(0)
    places.archive.cat('/tree/random')
    places.lose(1)
    said = places.archive.run('cat', '/tree/random', expect=FAILED).err
    assert 'is not attached' in said


@pytest.mark.usefixtures('interpose')
@pytest.mark.parametrize('error', [errno.EIO, errno.EROFS], ids=['EIO', 'EROFS'])
@pytest.mark.parametrize('least', [1, 2])
def test_a_place_that_fails_in_the_middle_fails_alone(program, tmp_path, seed, rng, count, error,
                                                      least):
    for n in [3, *rng.sample(range(1, 30), count(0, 20))]:
        places = Places(program, tmp_path / f'{n}', seed, **{'volume.min_copies': least})
        places.history.commit()
        places.change(rng, 2_000_000)
        places.history.commit(expect=PARTIAL if least == 1 else FAILED, interpose={
            'ROOT': places.second, 'FAIL': f'write:{n}:{error}:all'})
        if least == 2:
            places.history.states.pop()
        places.check()
        places.archive.commit(places.tree, expect=(DONE, PARTIAL))
        places.archive.run('health', expect=(DONE, PARTIAL))
        assert places.missing() == 0
        places.lose(0)
        places.archive.restore(tmp_path / 'out')
        assert_same(snapshot(places.tree), tmp_path / 'out/tree')
        remove(tmp_path / 'out')


def test_a_catalog_that_has_the_rows_of_other_volumes_gives_no_wrong_bytes(places, rng):
    import sqlite3
    places.history.commit()
    places.change(rng)
    places.history.commit()
    dump = places.archive.dump()
    for change in ['UPDATE segment SET volume = 3 - volume', 'UPDATE stripe SET volume = -volume',
                   'UPDATE stripe SET volume = 3 + volume', 'UPDATE segment SET log_offset = '
                   'log_offset + 4096 WHERE volume = 1']:
        connection = sqlite3.connect(places.archive.catalog, isolation_level=None)
        connection.execute(change)
        connection.execute('UPDATE stripe SET volume = 6 - volume WHERE volume > 3')
        connection.execute('UPDATE stripe SET volume = 3 + volume WHERE volume < 0')
        connection.close()
        for name in ('random', 'text', 'changed'):
            result = places.archive.run('cat', f'/tree/{name}', expect=None)
            assert result.code != DONE or result.out == read(f'{places.tree}/{name}')
        result = places.archive.run('health', '--check', '--json', expect=None)
        if result.code == FAILED:
            assert 'catalog rebuild' in result.err
        else:
            assert all(volume['sound'] for volume in result.json()['volumes'])
        rebuild(places.archive)
        assert places.archive.dump() == dump


# A volume that is replaced


@pytest.mark.main
def test_there_is_a_volume_at_every_step_of_a_replacement(base, tree, tmp_path):  # noqa: F811
    for step, point in enumerate(['archive.remake.named', 'archive.remake.away']):
        archive = base.copy(tmp_path / 'archive')
        volume = archive.volumes[1]
        before = volume.read_bytes()
        new = tmp_path / 'new'
        new.mkdir()
        arguments = ['volume', 'replace', '--to', new, '2']
        archive.run(*arguments, expect=KILLED, env={'BLOCKFRAME_CRASH_AT': f'{point}:1'})
        assert volume.exists() == (step == 0)
        configure(archive, r'^\[volume\]$', f'[volume]\nmore_directories = ["{new}"]')
        there = [line for line in archive.run('volume', 'list', '--json').json_lines()
                 if line['number'] == '2']
        assert there[0]['attached']
        assert_cats(archive, tree, ['0/small', '1/large', '2/text'])
        if step == 0:
            assert 'twice' in archive.run('volume', 'scan').text
            archive.run(*arguments)
        assert (new / volume.name).read_bytes() == before and not volume.exists()
        assert volume.with_name(volume.name + '.replaced').read_bytes() == before
        archive.run('health')
        archive.delete()
        remove(new)


def test_a_replacement_that_is_behind_is_not_taken(archive, tmp_path, rng):  # noqa: F811
    new = tmp_path / 'new'
    new.mkdir()
    for _ in range(2 * K):  # until one of them has grown since
        archive.run('volume', 'replace', '--to', new, '1', expect=KILLED,
                    env={'BLOCKFRAME_CRASH_AT': 'archive.remake.named:1'})
        size = archive.volumes[0].stat().st_size
        write_file(tmp_path / 'more/file', rng.randbytes(200_000))
        archive.commit(tmp_path / 'more')
        if archive.volumes[0].stat().st_size > size:
            break
    result = archive.run('volume', 'replace', '--to', new, '1', expect=FAILED)
    assert 'remove it' in result.err and archive.volumes[0].exists()
    for file in new.iterdir():
        file.unlink()
    archive.run('volume', 'protect')
    archive.run('volume', 'replace', '--to', new, '1')


# Groups


def test_a_bad_leaf_leaves_its_own_surroundings_unprotected_and_no_more(bare, tmp_path,  # noqa: F811
                                                                        rng, tree):  # noqa: F811
    from volume_map import read_stripes, write_at
    archive = bare.copy(tmp_path / 'archive')
    large = max(archive.volumes, key=lambda volume: volume.stat().st_size)
    stripe = max(read_stripes(large), key=lambda stripe: stripe.payload_size)
    for extent in [stripe.data[0], stripe.parity[0]]:
        offset, size = extent.leaf(0)
        write_at(large, offset, rng.randbytes(size))
    for known in [False, True]:
        if known:  # then nothing is appended in vain
            archive.run('health', '--check', expect=LOST)
            sizes = [volume.stat().st_size for volume in archive.volumes]
        said = archive.run('volume', 'protect', expect={FAILED, LOST})
        assert "left out what can't be read" in said.err and 'health' in said.err
        now = archive.run('status', '--json', expect=None).json()
        assert 0 < int(now['unprotected_against_volume_loss']) <= MIB
        assert now['groups_incomplete'] == '0'
    assert [volume.stat().st_size for volume in archive.volumes] == sizes
    lose(archive, {n for n in (2, 3) if n != number(large)})
    assert_cats(archive, tree, ['1/large', '2/large'])


def test_retiring_a_lost_volume_says_what_groups_can_give(archive, tree):  # noqa: F811
    lose(archive, {2})
    result = archive.run('volume', 'retire', '--json', '2', expect=LOST)
    assert int(result.json()['only_there']) > 0 and int(result.json()['in_groups']) > 0
    assert 'Groups can give' in result.err and 'evacuate' in result.err
    archive.run('volume', 'evacuate', '2')
    archive.run('volume', 'protect')
    assert status(archive)['unprotected_against_volume_loss'] == '0'
    lose(archive, {1, 3})
    assert_cats(archive, tree)


def test_retiring_says_nothing_of_groups_that_lost_too_much(archive):  # noqa: F811
    lose(archive, {2, K + 1, K + 2})
    result = archive.run('volume', 'retire', '--json', '2', expect=LOST)
    assert result.json()['in_groups'] == '0' and 'Groups' not in result.err


def test_parity_is_made_again_without_a_folder(archive):  # noqa: F811
    lose(archive, {K + 1})
    made = archive.run('volume', 'rebuild', str(K + 1), '--json').json()
    assert made['parity'] and int(made['shards_made_again']) > 0
    lose(archive, {1})
    assert '--to' in archive.run('volume', 'rebuild', '1', expect=FAILED).err


# Catalogs


@pytest.mark.main
def test_the_catalog_of_another_archive_is_named_as_such(program, tmp_path, seed):
    archives = []
    for name in ('one', 'two'):
        history = History(Archive(program, tmp_path / name).init(),
                          make_small_tree(tmp_path / f'of-{name}/tree', seed))
        history.commit()
        archives.append(history)
    archive = archives[0].archive
    dump = archive.dump()
    archive.forget_catalog()
    shutil.copy(archives[1].archive.catalog, archive.catalog)
    result = archive.rebuild(expect=FAILED)
    assert 'another archive' in result.err and 'move it' in result.err
    assert archive.catalog.exists()
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == dump
    check_commits(archive, tmp_path / 'out', archives[0].states)


# Attaching


def added(archive, path, **options):
    return archive.run('volume', 'add', path, '--json', **options).json()


@pytest.mark.main
def test_a_folder_is_added_and_gets_its_copies(program, tmp_path, seed):
    history = History(Archive(program, tmp_path / 'archive').init(),
                      make_small_tree(tmp_path / 'tree', seed))
    history.commit()
    archive, disk = history.archive, tmp_path / 'a "disk"'
    disk.mkdir()
    with open(archive.path / 'config.toml', 'a') as config:
        config.write('# mine\n')
    assert 'copies = 2' not in (archive.path / 'config.toml').read_text()
    if os.geteuid() == 0:  # who edits it need not be whose it is
        os.chown(archive.path / 'config.toml', 1234, 1234)
    before = (archive.path / 'config.toml').stat()
    done = added(archive, disk)
    after = (archive.path / 'config.toml').stat()
    assert (before.st_mode, before.st_uid, before.st_gid) == \
        (after.st_mode, after.st_uid, after.st_gid)
    assert done == {'place': str(disk), 'added': True, 'same_disk': True, 'volumes': []}
    assert (archive.path / 'config.toml').read_text().endswith('# mine\n')
    configure(archive, r'^\[volume\]$', '[volume]\ncopies = 2')
    archive.run('health', expect=PARTIAL)
    volume, = disk.glob('*.bfv')
    again = added(archive, volume)
    assert not again['added'] and [v['file'] for v in again['volumes']] == [str(volume)]
    remove(archive.path / 'volumes')
    check_commits(archive, tmp_path / 'out', history.states)


@pytest.mark.main
@pytest.mark.parametrize('point', [None, 'archive.add.checked', 'archive.add.written'])
def test_a_volume_that_was_moved_away_is_added_where_it_is(places, tmp_path, point):
    places.history.commit()
    before = places.archive.dump()
    volume, = places.files(0)
    shelf = tmp_path / 'shelf'
    shelf.mkdir()
    moved = shutil.move(volume, shelf / 'renamed.bfv')
    places.lose(1)
    places.archive.cat('/tree/random', expect=FAILED)
    if point:
        places.archive.run('volume', 'add', moved, expect=KILLED,
                           env={'BLOCKFRAME_CRASH_AT': f'{point}:1'})
    there = added(places.archive, moved)
    assert there['added'] == (point != 'archive.add.written')
    assert [v['file'] for v in there['volumes']] == [str(moved)]
    assert places.archive.dump() == before
    places.check()
    places.archive.forget_catalog()  # the place is remembered, not only the file
    places.archive.rebuild(expect=(DONE, PARTIAL))
    places.check()


@pytest.mark.main
def test_what_is_not_as_it_should_be_is_not_added(places, program, tmp_path, rng):
    places.history.commit()
    first, = places.files(0)
    shelf = tmp_path / 'shelf'
    shelf.mkdir()
    older = shutil.copy(first, tmp_path / 'older')
    places.change(rng)
    places.history.commit()
    other = Archive(program, tmp_path / 'other').init()
    config = (places.archive.path / 'config.toml').read_bytes()

    def refused(*words, path=shelf, **options):
        result = places.archive.run('volume', 'add', path, expect=FAILED, **options)
        assert all(word in result.err for word in words), result.err
        assert (places.archive.path / 'config.toml').read_bytes() == config
        for file in shelf.iterdir():
            file.unlink()

    shutil.copy(other.volume, shelf / 'x.bfv')
    refused('another archive', str(shelf / 'x.bfv'))
    shutil.copy(first, shelf / 'x.bfv')
    refused('attached already', 'volumes/')
    kept = shutil.move(first, tmp_path / 'kept')
    shutil.copy(older, shelf / 'x.bfv')
    refused('older state')
    for name in 'ab':
        shutil.copy(kept, shelf / f'{name}.bfv')
    refused('a copy of')
    shutil.copy(kept, shelf / 'volume')
    refused('.bfv', path=shelf / 'volume')
    (shelf / 'junk.bfv').write_bytes(b'junk')
    refused('no volume', path=shelf / 'junk.bfv')
    refused('No such file', path=tmp_path / 'nothing')
    refused('MORE_DIRECTORIES', env={'BLOCKFRAME_VOLUME_MORE_DIRECTORIES': str(places.second)})
    shutil.move(places.archive.path / 'config.toml', tmp_path / 'linked.toml')
    (places.archive.path / 'config.toml').symlink_to(tmp_path / 'linked.toml')
    refused('symbolic link')
    assert (places.archive.path / 'config.toml').is_symlink()
    shutil.move(tmp_path / 'linked.toml', places.archive.path / 'config.toml')
    shutil.copy(places.archive.path / 'config.toml', tmp_path / 'mine.toml')
    refused('mine.toml', env={'BLOCKFRAME_CONFIG': str(tmp_path / 'mine.toml')})
    shutil.move(kept, shelf / 'x.bfv')
    assert added(places.archive, shelf)['added']
    places.check()


# What is told


def test_status_counts_copies_again_only_when_something_changed(places, rng):
    """A catalog without its segments: who looks at them sees that there is nothing."""
    import sqlite3
    places.history.commit()
    places.change(rng)
    places.history.commit()
    places.archive.run('volume', 'retire', '--force', '2')
    missing = places.missing()
    assert missing > 300_000
    connection = sqlite3.connect(places.archive.catalog, isolation_level=None)
    connection.execute('DELETE FROM segment')
    connection.close()
    assert places.missing() == missing
    places.away(0)
    assert places.missing() != missing
