# SPDX-License-Identifier: MIT
"""Mounts that are killed, ended under load, crowded, or lose their catalog: the archive stays
as it was, and the next mount needs no help."""
import errno
import os
import random
import re
import shutil
import signal
import subprocess
import threading

import pytest

from mounted import Mount, is_mounted, refused, unmount, until
from places import Places, noise
from program import BUSY, DONE, FAILED, KILLED, NO_ARCHIVE, Archive, remove
from test_kill import SOURCE
from trees import MIB, assert_same, make_small_tree, snapshot, write_file
from volume_map import Damage, read_at, write_at
from ways import at_once, forget, opened, sequential

GONE = {errno.ENOTCONN, errno.EIO, errno.ECONNABORTED, errno.ENODEV, errno.ENOENT, errno.EINTR,
        errno.ENOTDIR}
REPAIR_POINTS = sorted({name for path in SOURCE.rglob('*.c') for name in
                        re.findall(r'crash_point\("(volume\.repair\.[^"]+)"\)', path.read_text())})


class Damaged:
    """An archive with a file, and damage to it that a reader has much to do with."""

    def __init__(self, archive, tree):
        self.archive = archive
        self.tree = tree
        self.state = snapshot(tree)
        self.content = open(f'{tree}/file', 'rb').read()
        places = Places(archive, '/tree/file')
        leaves = [extent.leaf(row) for extent, row in places.rows()]
        # Neighbours are written together: every other block, so that there is a between.
        blocks = [(offset + at, 4096) for offset, size in leaves[:6]
                  for at in range(0, size, 8192)]
        self.changes = [noise(place) for place in [*blocks, places.of('table page')]]
        self.volume = archive.volume
        self.before = [(offset, read_at(self.volume, offset, len(data)))
                       for offset, data in self.changes]

    def damage(self):
        return Damage(self.volume, self.changes)

    def left(self):
        """Places that are neither as before nor as they were damaged, block by block."""
        wrong = []
        for (offset, right), (_, bad) in zip(self.before, self.changes):
            found = read_at(self.volume, offset, len(right))
            for at in range(0, len(right), 4096):
                if found[at:at + 4096] not in (right[at:at + 4096], bad[at:at + 4096]):
                    wrong.append(offset + at)
        return wrong

    def check(self, mount):
        assert_same(self.state, mount / 'tree')


@pytest.fixture(scope='module')
def damaged(program, tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp('crash')
    rng = random.Random(f'mount crash {seed}')
    tree = make_small_tree(folder / 'tree', seed)
    write_file(f'{tree}/file', rng.randbytes(2 * MIB))
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree)
    yield Damaged(archive, tree)
    remove(folder)


def read_until_gone(path):
    """Read, and outlive whatever becomes of the mount. The error number, or None."""
    try:
        sequential(path)
    except OSError as e:
        assert e.errno in GONE, e
        return e.errno
    return None


# Killed


@pytest.mark.main
@pytest.mark.parametrize('point', REPAIR_POINTS)
def test_a_kill_while_writing_back_loses_nothing(damaged, mount, point, count):
    kills = 0
    for n in range(1, count(2, 30) + 1):
        with damaged.damage():
            mnt = mount(damaged.archive, env={'BLOCKFRAME_CRASH_AT': f'{point}:{n}'})
            if read_until_gone(mnt / 'tree/file') is None and mnt.running:
                mnt.unmount()
                break
            mnt.wait()
            kills += 1
            assert damaged.left() == []
            again = mount(damaged.archive)  # takes over what is left of the dead one
            damaged.check(again)
            again.unmount()
            assert all(read_at(damaged.volume, offset, len(right)) == right
                       for offset, right in damaged.before)
    assert kills > 0, f'no reader passes {point}'


@pytest.mark.main
def test_kills_at_random_moments_lose_nothing(damaged, mount, count, rng):
    for n in range(count(6, 100)):
        with damaged.damage():
            mnt = mount(damaged.archive)
            readers = [threading.Thread(target=read_until_gone, args=(mnt / 'tree/file',))
                       for _ in range(3)]
            for reader in readers:
                reader.start()
            threading.Event().wait(rng.random() * 0.03)  # any moment will do
            mnt.kill()
            for reader in readers:
                reader.join()
            assert damaged.left() == []
            again = mount(damaged.archive)
            damaged.check(again)
            again.unmount()


# Mountpoints


@pytest.mark.main
def test_a_mountpoint_that_a_killed_mount_left_is_taken_over(damaged, mount):
    dead = mount(damaged.archive)
    held = os.open(dead / 'tree/text', os.O_RDONLY)
    dead.kill()
    assert refused(os.listdir, dead.path) == errno.ENOTCONN
    alive = mount(damaged.archive)
    damaged.check(alive)
    assert refused(os.read, held, 10) in GONE
    os.close(held)
    alive.unmount()
    assert not is_mounted(alive.path) and os.listdir(alive.path) == []


@pytest.fixture
def connections(tmp_path):
    """The kernel's own list of what is mounted with FUSE, where each has a file 'waiting': how
    many requests it has not answered. Who else mounts it may unmount it at any time."""
    folder = tmp_path / 'connections'
    folder.mkdir()
    if subprocess.run(['mount', '-t', 'fusectl', 'none', folder], check=False).returncode:
        pytest.skip('what waits for a mount can not be seen here')
    yield folder
    unmount(folder)


@pytest.mark.main
def test_a_mount_that_dies_while_it_is_asked_is_taken_over(damaged, mount, connections):
    dying = mount(damaged.archive)
    waiting = connections / str(os.minor(os.stat(dying.path).st_dev)) / 'waiting'
    try:
        dying.send(signal.SIGSTOP)
        successor = damaged.archive.start('mount', '-m', dying.path)
        until(lambda: int(waiting.read_text()) > 0, 'nobody asks')
    finally:
        dying.kill()
    successor.finish(DONE)
    assert os.listdir(dying.path) == ['tree']
    damaged.archive.program.run('umount', dying.path)


@pytest.mark.main
def test_umount_cleans_up_after_a_killed_mount(damaged, mount):
    dead = mount(damaged.archive)
    dead.kill()
    damaged.archive.program.run('umount', dead.path)
    assert not is_mounted(dead.path)


@pytest.mark.main
def test_a_mountpoint_in_use_is_refused(damaged, mount):
    first = mount(damaged.archive)
    second = damaged.archive.run('mount', '-m', first.path, expect={FAILED, BUSY})
    assert len(second.errors()) == 1 and 'already' in second.err
    damaged.check(first)


@pytest.mark.main
def test_a_mount_that_fails_says_why_and_leaves_nothing(damaged, new_archive, tmp_path, fuse):
    run = damaged.archive.program.run
    folder = tmp_path / 'folder'
    folder.mkdir()
    (tmp_path / 'file').touch()
    for code, *args in ((NO_ARCHIVE, '--archive', tmp_path / 'nothing', '-m', folder),
                        (None, '--archive', damaged.archive.path, '-m', tmp_path / 'missing'),
                        (None, '--archive', damaged.archive.path, '-m', tmp_path / 'file'),
                        (None, '--archive', damaged.archive.path, '-m', folder, '--at', '999'),
                        (2, '--archive', damaged.archive.path, '-m', folder, '--jobs', '0'),
                        (2, '--archive', damaged.archive.path, '-m', folder,
                         '-o', 'nonsense')):
        result = run('mount', *args, expect={code} if code else set(range(1, 128)))
        assert len(result.errors()) == 1, str(result)
        assert not is_mounted(folder)
    result = run('umount', folder, expect=set(range(1, 128)))
    assert len(result.errors()) == 1


@pytest.mark.main
def test_mounting_on_a_full_folder_hides_it_and_gives_it_back(damaged, mount, tmp_path):
    (tmp_path / 'mnt').mkdir()
    (tmp_path / 'mnt/own').write_text('mine')
    mnt = mount(damaged.archive)
    assert os.listdir(mnt.path) == ['tree']
    mnt.unmount()
    assert (tmp_path / 'mnt/own').read_text() == 'mine'


@pytest.mark.main
def test_a_mountpoint_with_an_odd_name(damaged, mount):
    mnt = mount(damaged.archive, name='odd, name \\ with  spaces')
    damaged.check(mnt)
    mnt.kill()
    again = mount(damaged.archive, name='odd, name \\ with  spaces')
    damaged.check(again)


# Ended under load


class Load:
    """Threads that read until the mount is gone."""

    def __init__(self, mount, content, number=4):
        self.mount = mount
        self.content = content
        self.rounds = [0] * number
        self.wrong = []
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(number)]
        for thread in self.threads:
            thread.start()
        until(lambda: all(self.rounds), 'reading')

    def _run(self, number):
        path = self.mount / 'tree/file'
        while True:
            try:
                forget(path)
                if sequential(path) != self.content:
                    self.wrong.append(number)
                os.listdir(self.mount / 'tree/folder')
            except OSError as e:
                if e.errno not in GONE:
                    self.wrong.append(e)
                return
            self.rounds[number] += 1

    def join(self):
        for thread in self.threads:
            thread.join()
        assert self.wrong == []


@pytest.mark.main
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_mount_under_load(damaged, mount, number):
    with damaged.damage():
        mnt = mount(damaged.archive)
        load = Load(mnt, damaged.content)
        mnt.send(number)
        mnt.wait()
        assert not is_mounted(mnt.path)
        load.join()
        mnt.judge()


@pytest.mark.main
def test_umount_under_load_is_refused_and_lazily_done(damaged, mount):
    mnt = mount(damaged.archive)
    with opened(mnt / 'tree/file') as file:
        assert mnt.unmount(expect={FAILED, BUSY}).errors()
        assert is_mounted(mnt.path)
        load = Load(mnt, damaged.content)
        damaged.archive.program.run('umount', '--lazy', mnt.path)
        assert not is_mounted(mnt.path) and os.listdir(mnt.path) == []
        load.join()
        assert file.read() == damaged.content  # who has it open reads on
        assert mnt.running
    mnt.wait()
    mnt.judge()


@pytest.mark.main
def test_the_kernels_own_umount_is_enough(damaged, mount):
    mnt = mount(damaged.archive)
    sequential(mnt / 'tree/file')
    subprocess.run(['umount', mnt.path], check=True)
    mnt.wait()
    mnt.judge()


@pytest.mark.main
def test_mounts_come_and_go(damaged, mount, count):
    for n in range(count(10, 100)):
        mnt = mount(damaged.archive)
        if n % 3:
            assert sequential(mnt / 'tree/file') == damaged.content
        mnt.unmount()
        assert not is_mounted(mnt.path)


# A crowd


@pytest.mark.main
def test_commits_rebuilds_and_three_mounts_at_once(damaged, mount, tmp_path, rng, count):
    archive = damaged.archive.copy(tmp_path / 'archive')
    archive_tree = str(tmp_path / 'tree')
    subprocess.run(['cp', '-a', damaged.tree, archive_tree], check=True)
    mounts = [mount(archive, name=f'mnt-{n}') for n in range(3)]
    ended = threading.Event()
    wrong = []

    def read(number):
        mnt = mounts[number % 3]
        while not ended.is_set():
            try:
                content = sequential(mnt / 'tree/file')
                if content != damaged.content:
                    wrong.append((number, len(content)))
                    return
                os.listdir(mnt / 'tree')
                forget(mnt / 'tree/file')
            except OSError as e:
                # What was found before a rebuild may be gone after it.
                if e.errno not in (errno.ESTALE, errno.ENOENT):
                    wrong.append(e)
                    return

    threads = [threading.Thread(target=read, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    try:
        for n in range(count(3, 20)):
            for offset, data in damaged.changes:
                write_at(archive.volume, offset, data)
            write_file(f'{archive_tree}/text', rng.randbytes(40_000 + n))
            archive.commit('--replace', archive_tree)
            archive.rebuild()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    for mnt in mounts:
        until(lambda mnt=mnt: shows(mnt, archive_tree), 'the last commit')
        assert not any(repair.lost for repair in mnt.repairs())
    for mnt in mounts:
        mnt.unmount()
    before = archive.dump()
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == before


def shows(mnt, tree):
    try:
        assert_same(tree, mnt / 'tree')
    except (AssertionError, OSError):
        return False
    return True


@pytest.mark.main
def test_a_rebuild_while_mounted_changes_nothing_for_readers(damaged, mount, tmp_path):
    archive = damaged.archive.copy(tmp_path / 'archive')
    mnt = mount(archive)
    with opened(mnt / 'tree/file') as file:
        half = file.read(MIB)
        archive.rebuild()
        assert half + file.read() == damaged.content
        forget(mnt / 'tree/text')
    until(lambda: shows(mnt, damaged.tree), 'the new catalog')
    damaged.check(mnt)


# The catalog


@pytest.mark.main
def test_a_catalog_deleted_while_mounted(damaged, mount, tmp_path):
    archive = damaged.archive.copy(tmp_path / 'archive')
    mnt = mount(archive)
    with opened(mnt / 'tree/file') as file:
        half = file.read(MIB)
        archive.forget_catalog()
        rest = read_or_eio(file)
        assert rest is None or half + rest == damaged.content
        for path in ('tree/text', 'tree/random'):
            found = read_or_eio(mnt / path)
            assert found in (None, open(f'{damaged.tree}/{path[5:]}', 'rb').read())
        with_none = archive.run('mount', '-m', tmp_path / 'other', expect=set(range(1, 128)))
        assert 'catalog rebuild' in with_none.err, str(with_none)
        assert mnt.running
    archive.rebuild()
    until(lambda: shows(mnt, damaged.tree), 'the new catalog')


def read_or_eio(file):
    try:
        return file.read() if hasattr(file, 'read') else sequential(file)
    except OSError as e:
        assert e.errno == errno.EIO, e
        return None


@pytest.mark.main
def test_a_catalog_that_is_damaged_while_mounted(damaged, mount, tmp_path, rng):
    """Rows have checksums: an error, and never another file's bytes."""
    archive = damaged.archive.copy(tmp_path / 'archive')
    subprocess.run(['sqlite3', archive.catalog, 'PRAGMA wal_checkpoint(TRUNCATE)'], check=True,
                   stdout=subprocess.DEVNULL)
    size = archive.catalog.stat().st_size
    for n in range(3):
        changes = [(rng.randrange(4096, size - 40), rng.randbytes(32)) for _ in range(8)]
        with Damage(archive.catalog, changes):
            mnt = Mount(archive, tmp_path / f'mnt-{n}', expect=set(range(128)))
            with mnt:
                if mnt.result.code == DONE:
                    check_right_or_eio(damaged, mnt)
                else:
                    assert mnt.result.errors()


def check_right_or_eio(damaged, mnt):
    for name in ('file', 'text', 'random', 'folder/small', 'folder/old'):
        try:
            found = sequential(mnt / f'tree/{name}')
        except OSError as e:
            assert e.errno in (errno.EIO, errno.ENOENT), e
        else:
            assert found == open(f'{damaged.tree}/{name}', 'rb').read(), name


# Not root


@pytest.mark.main
@pytest.mark.skipif(os.geteuid() != 0, reason='only root can be somebody else')
def test_who_is_not_root_mounts_too(program, tmp_path, fuse, rng, let_others_in):
    if not os.stat('/dev/fuse').st_mode & 0o002:
        pytest.skip('/dev/fuse is for root only here')
    everyone = tmp_path / 'everyone'
    everyone.mkdir()
    let_others_in(everyone)
    content = rng.randbytes(100_000)
    write_file(f'{everyone}/tree/file', content)
    archive = Archive(program, everyone / 'archive').init()
    archive.commit(everyone / 'tree')
    (everyone / 'mnt').mkdir()
    shutil.copy2(program.binary, everyone / 'blockframe')  # where it was built may be private
    subprocess.run(['chown', '-R', 'nobody', everyone], check=True)

    def as_nobody(*command):
        return subprocess.run(['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups',
                               *command], check=True, stdout=subprocess.PIPE,
                              env={**program.environment, 'HOME': str(everyone)}).stdout

    as_nobody(everyone / 'blockframe', 'mount', '-a', archive.path, '-m', everyone / 'mnt')
    try:
        assert as_nobody('cat', everyone / 'mnt/tree/file') == content
        assert as_nobody('stat', '-c', '%U', everyone / 'mnt') == b'nobody\n'
    finally:
        as_nobody(everyone / 'blockframe', 'umount', everyone / 'mnt')


# A rebuild that is killed

REBUILD_POINTS = sorted({name for path in SOURCE.rglob('*.c') for name in
                         re.findall(r'crash_point\("(archive\.rebuild\.[^"]+)"\)',
                                    path.read_text())})


def right_or_an_error(path, content):
    """A read gives the right bytes, or says that it can't."""
    try:
        forget(path)
        assert sequential(path) == content
    except OSError as e:
        assert e.errno in (errno.EIO, errno.ESTALE), e


@pytest.mark.main
@pytest.mark.parametrize('point', REBUILD_POINTS)
def test_a_rebuild_that_is_killed_under_a_mount(archive, mount, tmp_path, seed, point):
    tree = make_small_tree(tmp_path / 'tree', seed)
    archive.commit(tree)
    state = snapshot(tree)
    content = open(f'{tree}/random', 'rb').read()
    before = archive.dump()
    first = mount(archive)
    with opened(first / 'tree/random') as file:
        archive.rebuild(env={'BLOCKFRAME_CRASH_AT': f'{point}:1'}, expect=KILLED)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert file.read() == content  # what is open stays
        right_or_an_error(first / 'tree/random', content)
        right_or_an_error(first / 'tree/text', open(f'{tree}/text', 'rb').read())
        second = mount(archive, name='second')  # needs no help
        assert_same(state, second / 'tree')
        assert archive.dump() == before
        write_file(f'{tree}/new', b'new')
        archive.commit(tree)
        for mnt in first, second:
            until(lambda m=mnt: 'new' in os.listdir(m / 'tree'), 'commit')
            until(lambda m=mnt: (m / 'tree').stat().st_mtime_ns == os.stat(tree).st_mtime_ns,
                  'the attributes of the folder')
            assert_same(tree, mnt / 'tree')
        file.seek(0)
        assert file.read() == content
