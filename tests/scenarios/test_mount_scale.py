# SPDX-License-Identifier: MIT
"""Mounts of large archives: work is counted (bytes that the process reads), not timed."""
import ctypes
import os
import subprocess
import threading

import pytest

from mounted import until
from program import have
from trees import MIB, make_small_tree, text_bytes, write_file
from ways import WAYS, at_once, forget, opened, sequential

KIB = 1024


# Many entries


def many(program, archive, tree, number, per_folder, *words):
    """Give the archive so many more files, in its catalog only. Returns their content."""
    archive.commit(tree)
    subprocess.run([program.large_catalog, archive.catalog, 'tree/folder/small', str(number),
                    str(per_folder), *words], check=True)
    return open(f'{tree}/folder/small', 'rb').read()


def name_of(n, per_folder):
    return f'many/{n // per_folder:05d}/{n:08d}'


def list_in_small_steps(path):
    """The names in a folder, by way of readdir(3), with a jump back now and then."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long
    libc.closedir.argtypes = libc.readdir.argtypes = libc.telldir.argtypes = [ctypes.c_void_p]
    libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
    folder = libc.opendir(os.fsencode(path))
    assert folder
    names = []
    marks = []
    while entry := libc.readdir(folder):
        names.append(ctypes.string_at(entry + 19))  # d_name
        if len(names) % 9973 == 0:
            marks.append((len(names), libc.telldir(folder)))
    for index, mark in marks[::-1]:
        libc.seekdir(folder, mark)
        for expected in names[index:index + 20]:
            entry = libc.readdir(folder)
            assert entry and ctypes.string_at(entry + 19) == expected
    libc.closedir(folder)
    return sorted(set(names) - {b'.', b'..'}), len(names) - 2


def test_a_folder_of_100_000_files(program, archive, mount, tmp_path, seed, rng):
    tree = make_small_tree(tmp_path / 'tree', seed)
    content = many(program, archive, tree, 100_000, per_folder=100_000)
    expected = [f'{n:08d}' for n in range(100_000)]
    mnt = mount(archive)
    folder = mnt / 'many/00000'
    assert sorted(os.listdir(folder)) == expected
    names, number = list_in_small_steps(folder)
    assert number == 100_000 and names == [os.fsencode(name) for name in expected]
    with os.scandir(folder) as entries:  # the kernel asks for attributes with the names
        some = {entry.stat().st_size for entry, _ in zip(entries, range(2000))}
    assert some == {len(content)}
    for n in rng.sample(range(100_000), 50):
        assert sequential(folder / f'{n:08d}') == content
    assert not os.path.exists(folder / '00100000')


@pytest.mark.main
def test_attributes_of_listed_files_are_known_without_asking(program, archive, mount, tmp_path,
                                                             seed):
    """Also of the names behind the first part of a large folder."""
    number = 20_000
    tree = make_small_tree(tmp_path / 'tree', seed)
    content = many(program, archive, tree, number, number)
    mnt = mount(archive)
    folder = mnt / 'many/00000'
    before = mnt.replies()
    names = os.listdir(folder)
    assert len(names) == number
    assert {os.stat(folder / name).st_size for name in names} == {len(content)}
    assert mnt.replies() - before < number // 10


def test_a_file_with_100_000_names_in_one_folder(program, archive, mount, tmp_path, seed):
    number = 100_000
    tree = make_small_tree(tmp_path / 'tree', seed)
    many(program, archive, tree, number, number, 'linked')
    mnt = mount(archive)
    before = mnt.asked()
    with os.scandir(mnt / 'many/00000') as entries:
        found = [(entry.inode(), entry.stat().st_ino, entry.stat().st_nlink) for entry in entries]
    assert len(found) == number and len(set(found)) == 1
    inode, same, links = found[0]
    assert inode == same and links == number
    assert mnt.asked() - before < number * 8 * KIB, 'the others are not looked at for each'


@pytest.mark.slow_under_sanitizers
def test_a_folder_that_is_listed_while_commits_change_it(archive, mount, tmp_path, count):
    """What is there all the time is listed once, whatever comes and goes around it."""
    tree = tmp_path / 'tree'
    number = count(5_000, 100_000)
    for n in range(number):
        write_file(f'{tree}/folder/{n:06d}', b'%d' % n)
    archive.commit(tree)
    mnt = mount(archive)
    steady = {f'{n:06d}' for n in range(number) if n % 10}
    listings = []
    ended = threading.Event()

    def keep_listing():
        while not ended.is_set():
            listings.append(os.listdir(mnt / 'tree/folder'))

    thread = threading.Thread(target=keep_listing)
    thread.start()
    try:
        for turn in range(count(3, 10)):
            for n in range(turn * 10, number, 100):
                (tree / f'folder/{n:06d}').unlink()
                write_file(f'{tree}/folder/{n:06d}-new', b'x')
            before = len(listings)
            archive.commit(tree)
            until(lambda: len(listings) > before, 'a listing')
    finally:
        ended.set()
        thread.join()
    for listing in listings:
        assert len(listing) == len(set(listing)) and steady <= set(listing)
    until(lambda: sorted(os.listdir(mnt / 'tree/folder')) == sorted(os.listdir(tree / 'folder')),
          'the last commit')


@pytest.mark.main
def test_a_catalog_of_millions_answers_with_little_work(program, archive, new_archive, mount,
                                                        tmp_path, seed, count, rng):
    number, per_folder = count(100_000, 5_000_000), 1000
    tree = make_small_tree(tmp_path / 'tree', seed)
    small = new_archive('small')
    small.commit(tree)
    content = many(program, archive, tree, number, per_folder)
    assert archive.catalog.stat().st_size > number * 100
    few = mount(small, name='few')
    mnt = mount(archive)
    assert mnt.asked() < few.asked() + 256 * KIB, 'to mount is O(1)'

    before = mnt.asked()
    chosen = rng.sample(range(number), 100)
    for n in chosen:
        assert os.stat(mnt / name_of(n, per_folder)).st_size == len(content)
    assert mnt.asked() - before < len(chosen) * 128 * KIB, 'to look up is O(log n)'

    before = mnt.asked()
    for n in chosen:
        assert not os.path.exists(mnt / (name_of(n, per_folder) + '-not'))
    assert mnt.asked() - before < len(chosen) * 64 * KIB, 'also what is not there'

    before = mnt.asked()
    space = os.statvfs(mnt.path)
    assert space.f_files >= number
    assert mnt.asked() - before < 512 * KIB
    folders = number // per_folder
    assert len(os.listdir(mnt / 'many')) == folders
    # What there is of a folder lies apart from what there is of the next one.
    assert mnt.asked() - before < folders * 16 * KIB + MIB, 'to list folders is O(n)'

    before = mnt.asked()
    assert len(os.listdir(mnt / 'many/00007')) == per_folder
    for n in chosen[:20]:
        assert sequential(mnt / name_of(n, per_folder)) == content
    assert mnt.asked() - before < 4 * MIB, 'and does not depend on other folders'


# Much content


@pytest.fixture(scope='module')
def files(seed):
    import random
    rng = random.Random(f'mount scale {seed}')
    return {'stored': rng.randbytes(40 * MIB), 'text': text_bytes(rng, 60 * MIB),
            'mixed': b''.join(rng.randbytes(150_000) + text_bytes(rng, 150_000)
                              for _ in range(70))}


@pytest.fixture
def full(archive, tmp_path, files):
    for name, content in files.items():
        write_file(f'{tmp_path}/tree/{name}', content)
    archive.commit(tmp_path / 'tree')
    return archive


def read_from_volumes(mount):
    return mount.health()['read_from_volumes']


@pytest.mark.main
def test_a_cold_read_of_4_kib_takes_at_most_a_mib_from_the_medium(full, mount, files, rng,
                                                                  count):
    mnt = mount(full)
    for name, content in files.items():
        with opened(mnt / f'tree/{name}') as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for _ in range(count(40, 1000)):
                offset = rng.randrange(len(content) // 4096) * 4096
                before = read_from_volumes(mnt)
                assert os.pread(file.fileno(), 4096, offset) == content[offset:offset + 4096]
                taken = read_from_volumes(mnt) - before
                assert taken <= MIB, f'{taken} bytes for {offset} of {name}'


@pytest.mark.main
@pytest.mark.parametrize('name', ['stored', 'text', 'mixed'])
def test_a_sequential_reader_reads_the_medium_about_once(full, mount, files, name):
    mnt = mount(full)
    assert sequential(mnt / f'tree/{name}') == files[name]
    stored = sum(item['stored'] for item in segments_of(full, name))
    # Who reads ahead and who reads meet, but what one has fetched the other does not.
    assert read_from_volumes(mnt) <= stored * 1.5 + MIB


@pytest.mark.main
@pytest.mark.skipif(os.geteuid() != 0, reason='only root may have the kernel read so far ahead')
def test_large_reads_are_not_split(full, mount, files):
    mnt = mount(full)
    path = mnt / 'tree/stored'
    before = mnt.replies()
    assert sequential(path) == files['stored']
    assert mnt.replies() - before < len(files['stored']) // (512 * KIB)


def segments_of(archive, name):
    from places import Places
    return Places(archive, f'/tree/{name}').segments()


@pytest.mark.slow_under_sanitizers
def test_memory_stays_below_the_cache_and_128_mib(full, mount, files):
    for cache in (8, 64):
        mnt = mount(full, '--cache', f'{cache}MiB', name=f'mnt-{cache}')

        def read(number, mnt=mnt):
            name = sorted(files)[number % len(files)]
            forget(mnt / f'tree/{name}')
            return WAYS[number % len(WAYS)](mnt / f'tree/{name}') == files[name]

        assert at_once(8, read) == [True] * 8
        assert mnt.memory() <= (cache + 128) * MIB, f'{mnt.memory() // MIB} MiB'
        mnt.unmount()


@pytest.mark.main
def test_what_is_read_again_is_not_read_from_the_medium_again(full, mount, files):
    mnt = mount(full, '--cache', '200MiB')
    assert sequential(mnt / 'tree/text') == files['text']
    before = read_from_volumes(mnt)
    assert sequential(mnt / 'tree/text') == files['text']  # the kernel has it
    assert read_from_volumes(mnt) - before <= MIB  # what was read ahead may have come last


@pytest.mark.main
def test_health_tells_how_reads_were_answered(full, mount, files):
    mnt = mount(full, '--cache', '200MiB')
    path = mnt / 'tree/text'
    frames = len(files['text']) // (256 * KIB)
    assert sequential(path) == files['text']
    first = mnt.health()
    decoded = first['frames_decoded'] + first['frames_decoded_ahead']
    assert decoded + first['frames_decoded_in_part'] >= frames
    assert frames * 200 * KIB < first['bytes_in_cache'] <= 200 * MIB
    forget(path)
    assert sequential(path) == files['text']
    second = mnt.health()
    assert second['frames_from_cache'] - first['frames_from_cache'] >= frames
    assert second['frames_decoded'] == first['frames_decoded']
    assert sequential(mnt / 'tree/stored') == files['stored']
    served = mnt.health()['bytes_served_undecoded'] - second['bytes_served_undecoded']
    assert served >= len(files['stored']) * 0.9


@pytest.mark.skipif(not have('b3sum'), reason='b3sum is not installed')
@pytest.mark.main
def test_hashes_of_the_mount_are_those_of_the_archive(full, mount, files):
    mnt = mount(full)
    for name in files:
        line = subprocess.run(['b3sum', '--no-names', mnt / f'tree/{name}'], check=True,
                              stdout=subprocess.PIPE)
        assert line.stdout.decode().strip() == full.show(f'/tree/{name}')['hash']
