# SPDX-License-Identifier: MIT
"""Files that are not what they should be: said clearly, never believed, never destroyed."""
import os
import shutil
import subprocess

import pytest

from history import History, check_commits
from program import DONE, FAILED, LOST, PARTIAL, PATIENCE, Archive
from trees import MIB, assert_same, make_small_tree, snapshot, write_file
from volume_map import read_stripes, write_at

pytestmark = pytest.mark.main

ANY_ERROR = {FAILED, PARTIAL, LOST}


@pytest.fixture
def history(archive, tmp_path, seed):
    history = History(archive, make_small_tree(tmp_path / 'tree', seed, size=20_000))
    history.commit()
    write_file(f'{history.tree}/text', b'second')
    history.commit()
    return history


def check(history, tmp_path, rebuild=True):
    if rebuild:
        before = history.archive.dump()
        history.archive.rebuild()
        assert history.archive.dump() == before
    check_commits(history.archive, tmp_path / 'back', history.states)


@pytest.mark.parametrize('name, content', [
    ('empty.bfv', b''), ('short.bfv', b'x'), ('noise.bfv', os.urandom(300_000)),
    ('zeroes.bfv', bytes(300_000)), ('text.txt', b'notes'), ('page.bfv', b'\x50\x2a\x4d\x18' * 9000),
], ids=['empty', 'short', 'noise', 'zeroes', 'other suffix', 'magic only'])
def test_files_that_are_no_volumes_do_not_matter(history, tmp_path, name, content):
    write_file(f'{history.archive.path}/volumes/{name}', content)
    check(history, tmp_path)
    history.commit('--read-all', '--tag', 'x=y')
    check(history, tmp_path)
    with open(f'{history.archive.path}/volumes/{name}', 'rb') as file:
        assert file.read() == content


def test_a_volume_of_another_archive_does_not_matter(history, new_archive, tmp_path):
    other = new_archive('other')
    other.commit(make_small_tree(tmp_path / 'elsewhere/tree', 77))
    shutil.copy(other.volume, history.archive.path / 'volumes/000-foreign.bfv')
    check(history, tmp_path)


def test_a_renamed_volume_is_the_same_volume(history, tmp_path):
    volume = history.archive.volume
    os.rename(volume, volume.with_name('some-other-name.bfv'))
    check(history, tmp_path, rebuild=False)
    write_file(f'{history.tree}/more', b'more')
    history.commit()
    check(history, tmp_path)


def test_a_copy_of_a_volume_does_no_harm(history, tmp_path):
    volume = history.archive.volume
    shutil.copy(volume, volume.with_name('000-copy.bfv'))
    check(history, tmp_path)
    write_file(f'{history.tree}/more', b'more')
    history.commit()
    check(history, tmp_path)


def test_a_volume_that_is_missing_is_named(history, tmp_path):
    volume = history.archive.volume
    os.rename(volume, tmp_path / 'away')
    result = history.archive.restore(tmp_path / 'partly', expect=ANY_ERROR)
    assert result.err
    assert len(history.archive.log()) == 3
    assert history.archive.run('ls', '-R').lines
    shutil.move(tmp_path / 'away', volume)
    check(history, tmp_path)


def test_a_truncated_volume_loses_only_its_end(history, tmp_path):
    """Whatever is cut off: never wrong bytes, always an answer."""
    volume = history.archive.volume
    size = volume.stat().st_size
    whole = tmp_path / 'whole'
    shutil.copy(volume, whole)
    stripes = read_stripes(volume)
    cuts = [0, 1, 4096, stripes[1].offset, stripes[2].offset + 4096, stripes[-1].offset,
            stripes[-1].offset + 8192, size - 1, size - 4096, size - 100_000]
    for cut in cuts:
        os.truncate(volume, cut)
        result = history.archive.restore(tmp_path / 'back', expect=None)
        if result.code == DONE:
            assert_same(history.states[-1], tmp_path / 'back/tree')
        else:
            assert result.errors(), str(result)
        subprocess.run(['rm', '-rf', tmp_path / 'back'], check=True)
        history.archive.rebuild(expect=None)
        shutil.copy(whole, volume)
        history.archive.rebuild()
    check(history, tmp_path)


def test_a_volume_older_than_the_catalog_is_refused_for_writing(history, tmp_path):
    """A fork: somebody put back a backup of the volume."""
    volume = history.archive.volume
    old = tmp_path / 'old'
    shutil.copy(volume, old)
    write_file(f'{history.tree}/third', b'third')
    history.commit()
    shutil.copy(volume, tmp_path / 'newest')
    shutil.copy(old, volume)
    write_file(f'{history.tree}/fourth', b'fourth')
    before = volume.read_bytes()
    result = history.archive.commit(history.tree, expect=FAILED)
    assert result.errors() and volume.read_bytes() == before
    shutil.copy(tmp_path / 'newest', volume)
    history.commit()
    check(history, tmp_path)


def test_a_newer_version_is_refused_not_repaired(history, tmp_path):
    """Every page of the last record says that it is from the future."""
    volume = history.archive.volume
    old = volume.read_bytes()
    stripe = read_stripes(volume)[-1]
    for extent in stripe.data:
        position = old.index(b'BFRC', extent.area_offset)
        write_at(volume, position + 4, (2).to_bytes(2, 'little'))
    result = history.archive.rebuild(expect=None)
    if result.code == DONE:  # the change is damage, and repaired: version 1 as it was
        check(history, tmp_path)
    else:
        assert result.errors()
    volume.write_bytes(old)
    history.archive.rebuild()
    check(history, tmp_path)


def test_a_wrong_uuid_in_a_block_is_damage(history, tmp_path):
    volume = history.archive.volume
    for stripe in read_stripes(volume):
        write_at(volume, stripe.extents[0].offset + 16, b'another volume!!')
    check(history, tmp_path)


def test_a_reused_image_with_old_extents_is_not_believed(history, new_archive, tmp_path, rng):
    """A volume is written over an image that was full of another archive's extents: they show
    wherever the new one has holes, and behind its end."""
    other = new_archive('other')
    tree = make_small_tree(tmp_path / 'elsewhere/tree', 78)
    for n in range(6):
        write_file(f'{tree}/{n}', rng.randbytes(300_000))
        other.commit(tree)
    old = other.volume.read_bytes()
    volume = history.archive.volume
    new = bytearray(old)
    data = volume.read_bytes()
    new[:len(data)] = old[:len(data)].ljust(len(data), b'\0')
    for stripe in read_stripes(volume):
        for extent in stripe.extents:
            new[extent.offset:extent.end] = data[extent.offset:extent.end]
    volume.write_bytes(new)
    check(history, tmp_path)
    write_file(f'{history.tree}/more', b'more')
    history.commit()
    check(history, tmp_path)


@pytest.mark.parametrize('size', [0, 100, 4096, 200_000])
def test_a_catalog_full_of_noise_is_refused_and_can_be_made_again(history, tmp_path, size):
    archive = history.archive
    before = archive.dump()
    for content in (os.urandom(size), bytes(size)):
        archive.forget_catalog()
        write_file(archive.catalog, content)
        result = archive.run('ls', '-R', expect=None)
        assert result.code != DONE and 'rebuild' in result.err
        result = archive.commit(history.tree, expect=FAILED)
        archive.rebuild()
        assert archive.dump() == before
    check(history, tmp_path)


def test_flipped_bits_in_the_catalog_never_give_wrong_bytes(history, tmp_path, rng, count):
    archive = history.archive
    before = archive.dump()
    archive.rebuild()
    good = archive.catalog.read_bytes()
    for n in range(count(40, 400)):
        bad = bytearray(good)
        for _ in range(rng.choice([1, 1, 5])):
            position = rng.randrange(100, len(bad))
            bad[position] ^= 1 << rng.randrange(8)
        archive.forget_catalog()
        write_file(archive.catalog, bad)
        archive.restore(tmp_path / 'back', expect=None, timeout=PATIENCE)
        back = tmp_path / 'back/tree'
        if back.exists():
            state = history.states[-1]
            for path, entry in snapshot(back).items():
                if path in state and 'content' in entry:
                    assert entry['content'] == state[path].get('content'), path
        subprocess.run(['rm', '-rf', tmp_path / 'back'], check=True)
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == before


@pytest.mark.parametrize('content', [os.urandom(5000), b'\0' * 100, b'[', b'a = ' * 1000,
                                     b'\xff\xfe[parity]', b'[parity]\n' * 3],
                         ids=['noise', 'zeroes', 'bracket', 'no values', 'binary', 'sections'])
def test_a_configuration_full_of_noise_is_an_error(history, content):
    write_file(f'{history.archive.path}/config.toml', content)
    result = history.archive.run('log', expect=FAILED)
    assert 'config.toml' in result.errors()[0]


# Several volumes


@pytest.fixture
def set_of_three(new_archive, tmp_path, rng, seed):
    archive = new_archive('set', {'volume.max_size': '64MiB'})
    history = History(archive, make_small_tree(tmp_path / 'tree', seed, size=20_000))
    for n in range(3):
        write_file(f'{history.tree}/large-{n}', rng.randbytes(42 * MIB))
        history.commit()
    assert len(archive.volumes) == 3
    return history


@pytest.mark.slow_under_sanitizers
def test_a_missing_volume_of_several_is_named_and_the_rest_restores(set_of_three, tmp_path):
    archive = set_of_three.archive
    before = archive.dump()
    volumes = archive.volumes
    for missing, large in zip(volumes, ('large-0', 'large-1', 'large-2')):
        os.rename(missing, tmp_path / 'away')
        archive.forget_catalog()
        result = archive.rebuild(expect={DONE, PARTIAL})
        if missing != volumes[-1]:
            assert result.code == PARTIAL and result.err, 'rebuild says what is missing'
            assert archive.run('ls', '-R').text.count('large-') == 3, 'every name is known'
            result = archive.restore(tmp_path / 'back', expect={PARTIAL, LOST, FAILED})
            assert large in result.err
            there = snapshot(tmp_path / 'back/tree')
            for other in {b'/large-0', b'/large-1', b'/large-2'} - {b'/' + large.encode()}:
                if other in there:
                    assert there[other]['content'] == set_of_three.states[-1][other]['content']
        subprocess.run(['rm', '-rf', tmp_path / 'back'], check=True)
        os.rename(tmp_path / 'away', missing)
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == before
    check_commits(archive, tmp_path / 'back', set_of_three.states)


@pytest.mark.slow_under_sanitizers
def test_volumes_of_a_set_come_in_any_order(set_of_three, tmp_path):
    archive = set_of_three.archive
    before = archive.dump()
    for number, volume in enumerate(archive.volumes):
        os.rename(volume, volume.with_name(f'{9 - number}.bfv'))
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == before
