# SPDX-License-Identifier: MIT
"""Bad luck with whole volumes while the archive is mounted: removed, truncated, replaced,
unreadable, full, read-only or slow. Readers get the right bytes or an error, in time."""
import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from mounted import until
from places import Places, noise
from program import Archive, remove
from trees import MIB, make_small_tree, write_file
from volume_map import SECTOR, opened_to_write, read_at, write_at
from ways import at_once, forget, opened, read_all_at, sequential

pytestmark = pytest.mark.main


class Set:
    """An archive of two volumes, and which file is on which."""

    def __init__(self, archive, tree, files):
        self.archive = archive
        self.tree = Path(tree)
        self.files = files  # {name: content}
        self.first, self.second = archive.volumes

    def check(self, mount, *names):
        for name in names or self.files:
            path = mount / f'tree/{name}'
            forget(path)
            assert sequential(path) == self.files[name], name


@pytest.fixture(scope='module')
def made(program, tmp_path_factory, seed):
    """'old' is on the first volume, 'new' on the second one."""
    import random
    rng = random.Random(f'mount volumes {seed}')
    folder = tmp_path_factory.mktemp('set')
    archive = Archive(program, folder / 'archive').init(settings={'volume.max_size': '64MiB'})
    files = {'old': rng.randbytes(33 * MIB), 'new': rng.randbytes(21 * MIB + 77)}
    for name, content in files.items():
        write_file(f'{folder}/tree/{name}', content)
        archive.commit(folder / 'tree')
    assert len(archive.volumes) == 2
    yield Set(archive, folder / 'tree', files)
    remove(folder)


@pytest.fixture
def pair(made, tmp_path):
    """A copy, to be broken."""
    return Set(made.archive.copy(tmp_path / 'archive'), made.tree, made.files)


class Readers:
    """Threads that read pieces of a file all the time, for the length of a `with` block. All
    they ever see are right bytes or one of the errors that were named."""

    def __init__(self, path, content, allowed=(), number=3):
        self.path = path
        self.content = content
        self.allowed = set(allowed)
        self.ended = threading.Event()
        self.wrong = []
        self.reads = [0] * number
        self.errors = set()
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(number)]

    def _run(self, number):
        offset = number * 5_000_011
        while not self.ended.is_set():
            offset = (offset + 1_300_021) % len(self.content)
            try:
                with opened(self.path) as file:
                    fd = file.fileno()
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    found = os.pread(fd, 50_000, offset)
            except OSError as e:
                self.errors.add(e.errno)
                if e.errno not in self.allowed:
                    self.wrong.append(e)
                    return
            else:
                if found != self.content[offset:offset + len(found)] or not found:
                    self.wrong.append(offset)
                    return
            self.reads[number] += 1

    def more(self):
        """Wait until each of them has read some more."""
        before = list(self.reads)
        until(lambda: self.wrong or all(now > then + 3 for now, then in
                                        zip(self.reads, before)), 'reading')
        assert self.wrong == []

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.more()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        assert self.wrong == []


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


# Gone


def test_a_volume_that_is_removed_while_it_is_read(pair, mount):
    mnt = mount(pair.archive, '--cache', '4MiB')
    aside = pair.first.with_suffix('.aside')
    with Readers(mnt / 'tree/old', pair.files['old'], {errno.EIO}) as readers:
        pair.first.rename(aside)
        readers.more()
        pair.check(mnt, 'new')
    mnt.unmount()
    with_one = mount(pair.archive, name='with-one')
    pair.check(with_one, 'new')
    assert os.listdir(with_one / 'tree') == ['new', 'old'] or \
        sorted(os.listdir(with_one / 'tree')) == ['new', 'old']
    with pytest.raises(OSError) as error:
        sequential(with_one / 'tree/old')
    assert error.value.errno == errno.EIO
    assert 'old' in with_one.log


def test_a_volume_that_was_missing_can_come_back(pair, mount):
    aside = pair.first.with_suffix('.aside')
    pair.first.rename(aside)
    mnt = mount(pair.archive)
    pair.check(mnt, 'new')
    with pytest.raises(OSError):
        sequential(mnt / 'tree/old')
    mnt.unmount()
    aside.rename(pair.first)
    pair.check(mount(pair.archive, name='again'))


def test_all_volumes_gone_and_nothing_hangs(pair, mount):
    mnt = mount(pair.archive)
    for volume in pair.archive.volumes:
        volume.unlink()
    assert sorted(os.listdir(mnt / 'tree')) == ['new', 'old']
    for name, content in pair.files.items():
        with contextlib.suppress(OSError):  # what was open goes on
            assert sequential(mnt / f'tree/{name}') == content


# Short


@pytest.mark.parametrize('part', [0, 0.3, 0.9])
def test_a_volume_that_is_truncated_while_it_is_read(pair, mount, part):
    mnt = mount(pair.archive, '--cache', '4MiB')
    size = pair.first.stat().st_size
    kept = pair.first.with_suffix('.kept')
    shutil.copy2(pair.first, kept)
    with Readers(mnt / 'tree/old', pair.files['old'], {errno.EIO}) as readers:
        with opened_to_write(pair.first) as volume:
            volume.truncate(int(size * part) // SECTOR * SECTOR + 100 * (part > 0))
        readers.more()
        pair.check(mnt, 'new')
        # And back again, under the same inode.
        with open(kept, 'rb') as source, opened_to_write(pair.first) as volume:
            shutil.copyfileobj(source, volume)
        readers.more()
    pair.check(mnt)
    assert digest(pair.first) == digest(kept)


# Another one


def test_a_volume_that_another_one_is_copied_over(pair, mount):
    """Under the same name and inode: nothing may be repaired into what is somebody else's."""
    mnt = mount(pair.archive, '--cache', '4MiB')
    other = digest(pair.second)
    with Readers(mnt / 'tree/old', pair.files['old'], {errno.EIO}) as readers:
        with open(pair.second, 'rb') as source, opened_to_write(pair.first) as volume:
            shutil.copyfileobj(source, volume)
            volume.truncate()
        readers.more()
        assert digest(pair.first) == other
        pair.check(mnt, 'new')
    assert digest(pair.first) == digest(pair.second) == other


def test_a_volume_that_another_one_is_put_in_the_place_of(pair, mount):
    mnt = mount(pair.archive, '--cache', '4MiB')
    other = digest(pair.second)
    with Readers(mnt / 'tree/old', pair.files['old'], {errno.EIO}) as readers:
        copy = pair.first.with_suffix('.new')
        shutil.copy2(pair.second, copy)
        os.replace(copy, pair.first)
        readers.more()
    mnt.unmount()
    again = mount(pair.archive, name='again')
    pair.check(again, 'new')
    with pytest.raises(OSError):
        sequential(again / 'tree/old')
    assert digest(pair.first) == digest(pair.second) == other


def test_a_volume_of_another_archive(pair, new_archive, mount, tmp_path, seed):
    other = new_archive('other')
    other.commit(make_small_tree(tmp_path / 'other-tree', seed))
    mnt = mount(pair.archive, '--cache', '4MiB')
    with Readers(mnt / 'tree/old', pair.files['old'], {errno.EIO}) as readers:
        expected = digest(other.volume)
        with open(other.volume, 'rb') as source, opened_to_write(pair.first) as volume:
            shutil.copyfileobj(source, volume)
            volume.truncate()
        readers.more()
        assert digest(pair.first) == expected
    pair.check(mnt, 'new')


# Noise over everything


def test_a_volume_that_turns_to_noise_while_it_is_read(made, pair, mount, rng):
    mnt = mount(pair.archive, '--cache', '4MiB')
    with Readers(mnt / 'tree/old', pair.files['old'], {errno.EIO}) as readers:
        size = pair.first.stat().st_size
        block = rng.randbytes(MIB)
        for offset in range(0, size, MIB):
            write_at(pair.first, offset, block[:min(MIB, size - offset)])
        readers.more()
    # What could still be proved was repaired before the noise got to the parity; no more.
    for offset in range(0, size, MIB):
        found, right = (read_at(path, offset, MIB) for path in (pair.first, made.first))
        for at in range(0, len(found), SECTOR):
            part = slice(at, at + SECTOR)
            assert found[part] in (block[part], right[part]), offset + at
    pair.check(mnt, 'new')


# Unreadable


def test_a_volume_that_is_unreadable(pair, mount, bad_medium):
    mnt = mount(pair.archive, '--cache', '4MiB', **bad_medium.options)
    with Readers(mnt / 'tree/old', pair.files['old'], {errno.EIO}) as readers:
        bad_medium.make_unreadable(pair.first, [(0, 1 << 40)])
        until(lambda: errno.EIO in readers.errors, 'an error')
        pair.check(mnt, 'new')
        bad_medium.make_unreadable(pair.first, [])
        readers.more()
    pair.check(mnt)


def test_a_volume_with_unreadable_places_reads_well(pair, mount, bad_medium, rng):
    places = Places(pair.archive, '/tree/old', pair.first)
    rows = {row: extent for extent, row in places.rows()}  # one leaf a row
    bad = [extent.leaf(row) for row, extent in rows.items()]
    bad_medium.make_unreadable(pair.first, bad)
    before = digest(pair.first)
    mnt = mount(pair.archive, **bad_medium.options)
    pair.check(mnt)
    offsets = sorted(repair.offset for repair in mnt.repairs())
    assert offsets == sorted(offset for offset, _ in bad)
    assert all(repair.written for repair in mnt.repairs())
    assert digest(pair.first) == before


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_volume_that_may_not_be_read(pair, mount):
    os.chmod(pair.first, 0)
    mnt = mount(pair.archive)
    pair.check(mnt, 'new')
    with pytest.raises(OSError):
        sequential(mnt / 'tree/old')


# Full, read-only


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(size): an empty file system of that size."""
    mounted = []

    def make(size):
        folder = tmp_path / 'disk'
        folder.mkdir()
        result = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'disk', folder],
                                check=False)
        if result.returncode:
            pytest.skip('file systems can not be mounted here')
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(['umount', '-l', folder], check=True)


def make_read_only(disk):
    """Once nobody writes there any more."""
    until(lambda: subprocess.run(['mount', '-o', 'remount,ro', disk], check=False,
                                 stderr=subprocess.DEVNULL).returncode == 0, 'remount')


def punch(path, offset, size):
    """Make a hole: it reads as zeroes, and to be filled again it needs space."""
    subprocess.run(['fallocate', '--punch-hole', '--offset', str(offset), '--length', str(size),
                    path], check=True)


def fill(folder):
    with open(folder / 'filler', 'wb', buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(SECTOR))


def test_a_full_disk_takes_no_repair_and_still_is_read(program, mount, small_disk, tmp_path,
                                                      rng):
    disk = small_disk('48m')
    content = rng.randbytes(3 * MIB)
    write_file(f'{tmp_path}/tree/file', content)
    archive = Archive(program, disk / 'archive').init()
    archive.commit(tmp_path / 'tree')
    places = Places(archive, '/tree/file')
    bad = [extent.leaf(row) for extent, row in places.rows()[2:40:4]]
    for offset, size in bad:
        punch(archive.volume, offset, size)
    mnt = mount(archive)
    fill(disk)
    before = digest(archive.volume)
    for _ in range(2):
        forget(mnt / 'tree/file')
        assert sequential(mnt / 'tree/file') == content
    assert digest(archive.volume) == before
    assert len(mnt.repairs()) == 1, 'once for the volume'
    assert os.strerror(errno.ENOSPC).lower() in mnt.repairs()[0].outcome.lower()
    assert mnt.health()['not_written_back'] >= len(bad) and mnt.health()['written_back'] == 0
    (disk / 'filler').unlink()
    mnt.unmount()
    again = mount(archive, name='again')
    assert sequential(again / 'tree/file') == content
    assert sorted(repair.offset for repair in again.repairs()) == [offset for offset, _ in bad]
    assert all(repair.written for repair in again.repairs())


def test_a_read_only_disk_takes_no_repair_and_still_is_read(program, mount, small_disk,
                                                           tmp_path, rng):
    disk = small_disk('48m')
    content = rng.randbytes(3 * MIB)
    write_file(f'{tmp_path}/tree/file', content)
    archive = Archive(program, disk / 'archive').init()
    archive.commit(tmp_path / 'tree')
    place = Places(archive, '/tree/file').of('leaf')
    write_at(archive.volume, *noise(place))
    before = digest(archive.volume)
    make_read_only(disk)
    mnt = mount(archive)
    with Readers(mnt / 'tree/file', content) as readers:
        readers.more()
    assert sequential(mnt / 'tree/file') == content
    assert digest(archive.volume) == before
    assert len(mnt.repairs()) == 1 and not mnt.repairs()[0].lost, mnt.log
    assert mnt.health()['written_back'] == 0
    mnt.unmount()
    subprocess.run(['mount', '-o', 'remount,rw', disk], check=True)
    again = mount(archive, name='again')
    assert sequential(again / 'tree/file') == content
    assert [repair.written for repair in again.repairs()] == [True]


def test_a_disk_that_becomes_read_only_while_it_is_read(program, mount, small_disk, tmp_path,
                                                       rng):
    disk = small_disk('48m')
    content = rng.randbytes(3 * MIB)
    write_file(f'{tmp_path}/tree/file', content)
    archive = Archive(program, tmp_path / 'archive').init()
    archive.commit(tmp_path / 'tree')
    place = Places(archive, '/tree/file').of('leaf')
    shutil.move(archive.path / 'volumes', disk)  # the catalog is held open for writing
    os.symlink(disk / 'volumes', archive.path / 'volumes')
    mnt = mount(archive, '--cache', '1MiB')
    with Readers(mnt / 'tree/file', content) as readers:
        make_read_only(disk)
        readers.more()
    subprocess.run(['mount', '-o', 'remount,rw', disk], check=True)
    write_at(archive.volume, *noise(place))
    make_read_only(disk)
    forget(mnt / 'tree/file')
    assert sequential(mnt / 'tree/file') == content
    assert [repair.written for repair in mnt.repairs()] == [False]


def test_an_immutable_volume_still_is_read(pair, mount):
    places = Places(pair.archive, '/tree/old', pair.first)
    write_at(pair.first, *noise(places.of('leaf')))
    if subprocess.run(['chattr', '+i', pair.first], check=False, capture_output=True).returncode:
        pytest.skip('files can not be made immutable here')
    try:
        mnt = mount(pair.archive)
        pair.check(mnt)
        assert len(mnt.repairs()) == 1 and 'written back' not in mnt.repairs()[0].outcome
    finally:
        subprocess.run(['chattr', '-i', pair.first], check=True)


def test_a_sealed_volume_is_healed(pair, mount):
    """Its file is read-only, which keeps writers away, and not the owner's repairs."""
    assert not pair.first.stat().st_mode & 0o222
    place = Places(pair.archive, '/tree/old', pair.first).of('leaf')
    before = read_at(pair.first, *place)
    write_at(pair.first, *noise(place))
    pair.check(mount(pair.archive))
    assert read_at(pair.first, *place) == before
    assert not pair.first.stat().st_mode & 0o222


# Slow


def test_a_volume_that_does_not_answer_holds_up_nobody_else(pair, mount, bad_medium):
    """Many readers wait for the first volume; those of the second one are served."""
    mnt = mount(pair.archive, **bad_medium.options)
    bad_medium.hold(pair.first)
    waiting = []

    def wait_for_old(number):
        with opened(mnt / 'tree/old') as file:
            offset = number * MIB
            waiting.append(read_all_at(file.fileno(), offset, 200_000)
                           == pair.files['old'][offset:offset + 200_000])

    threads = [threading.Thread(target=wait_for_old, args=(n,)) for n in range(24)]
    try:
        for thread in threads:
            thread.start()
        until(lambda: bad_medium.is_waiting(pair.first), 'a read that waits')
        pair.check(mnt, 'new')
        assert at_once(4, lambda n: sequential(mnt / 'tree/new') == pair.files['new']) == \
            [True] * 4
        assert sorted(os.listdir(mnt / 'tree')) == ['new', 'old']
        assert mnt.health()['leaves_lost'] == 0
        assert waiting == []
    finally:
        bad_medium.release(pair.first)
        for thread in threads:
            thread.join()
    assert waiting == [True] * 24
    pair.check(mnt)
