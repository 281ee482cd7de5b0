# SPDX-License-Identifier: MIT
"""A mount shows what was committed: to every program, in every way of reading, bit for bit."""
import contextlib
import errno
import hashlib
import os
import shutil
import stat
import subprocess

import pytest

from mounted import Mount, refused, until
from program import Archive, have, remove
from trees import (MIB, assert_same, differences, make_small_tree, make_tree, snapshot,
                   write_file)
from ways import WAYS, at_once, forget, opened, sequential

pytestmark = pytest.mark.main

NOBODY = 65534


class Shown:
    """A folder, and the same in a mount."""

    def __init__(self, mount, tree):
        self.mount = mount
        self.tree = tree
        self.path = mount / 'tree'

    def files(self, largest=1 << 62):
        """(path in the mount, path on disk) of the regular files, but those too deep to be
        named by a path."""
        for folder, _, names in os.walk(self.tree):
            for name in names:
                path = os.path.join(folder, name)
                inside = os.path.join(self.path, os.path.relpath(path, self.tree))
                if len(os.fsencode(inside)) < 4000 and stat.S_ISREG(os.lstat(path).st_mode) \
                        and os.path.getsize(path) <= largest:
                    yield inside, path


@pytest.fixture(scope='module')
def shown(fuse, program, tmp_path_factory, seed):
    """A tree with everything in it."""
    folder = tmp_path_factory.mktemp('shown')
    tree = make_tree(folder / 'tree', seed)
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree)
    others = ['-o', 'allow_other'] if os.geteuid() == 0 else []
    with Mount(archive, folder / 'mnt', *others) as mount:
        yield Shown(mount, tree)
    remove(folder)


# The whole tree


def test_everything_is_there_with_all_attributes(shown):
    assert_same(shown.tree, shown.path)


def walked(top, call):
    """{path: call(path)} of everything that a path can name."""
    top = os.fsencode(top)
    result = {}
    for folder, folders, names in os.walk(top):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            if len(path) < 3500:
                result[os.path.relpath(path, top)] = call(path)
    return result


def test_times_of_change_and_numbers_of_names_are_the_committed_ones(shown):
    def attributes(path):
        st = os.lstat(path)
        kept = stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode)
        return st.st_ctime_ns, st.st_nlink if kept else None

    expected = walked(shown.tree, attributes)
    found = walked(shown.path, attributes)
    assert {path: (expected[path], found.get(path)) for path in expected
            if expected[path] != found.get(path)} == {}


def test_names_of_one_file_have_one_inode_number(shown):
    numbers = {}
    for inside, path in shown.files():
        st = os.lstat(path)
        numbers.setdefault(os.lstat(inside).st_ino, set()).add((st.st_dev, st.st_ino))
    assert all(len(files) == 1 for files in numbers.values()), 'two files, one number'
    assert len(numbers) == len({os.lstat(path).st_ino for _, path in shown.files()})


def test_blocks_are_counted_without_holes(shown):
    for inside, path in shown.files():
        data = sum(end - start for start, end in
                   snapshot(path)[b'']['data'])
        blocks = os.lstat(inside).st_blocks * 512
        assert data <= blocks < data + 4096 * (1 + data // 512), inside
    def used(top):
        return int(subprocess.run(['du', '-s', '-B1', '--exclude=deep', top], check=True,
                                  capture_output=True).stdout.split()[0])
    holes = 'sparse/large-hole'
    assert used(f'{shown.path}/{holes}') < MIB <= os.path.getsize(f'{shown.path}/{holes}')


# Ways of reading


@pytest.mark.parametrize('way', WAYS, ids=lambda way: way.__name__)
def test_content_is_right_when_read(shown, way):
    for inside, path in shown.files():
        forget(inside)
        with open(path, 'rb') as file:
            assert way(inside) == file.read(), inside


def test_content_is_right_for_16_readers_at_once(shown):
    files = [(inside, sequential(path)) for inside, path in shown.files()
             if os.path.getsize(path) > 100_000]
    for inside, _ in files:
        forget(inside)

    def read(number):
        way = WAYS[number % len(WAYS)]
        order = files[number:] + files[:number]
        return [inside for inside, content in order if way(inside) != content]

    assert at_once(16, read) == [[]] * 16


def test_reads_at_the_edges(shown):
    inside, path = next((i, p) for i, p in shown.files() if p.endswith('/random-262145'))
    size = os.path.getsize(path)
    with opened(inside) as file, open(path, 'rb') as source:
        content = source.read()
        fd = file.fileno()
        assert os.pread(fd, 100, size) == b'' and os.pread(fd, 1, 1 << 62) == b''
        assert os.pread(fd, 1 << 20, size - 1) == content[-1:]
        assert os.pread(fd, 0, 5) == b''
        assert refused(os.lseek, fd, size, os.SEEK_DATA) == errno.ENXIO
        assert refused(os.lseek, fd, -1, os.SEEK_SET) == errno.EINVAL
        assert os.lseek(fd, 0, os.SEEK_HOLE) == size


# Programs


def output(*command, cwd=None, codes=(0,)):
    result = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            check=False)
    assert result.returncode in codes, f'{command}: {result.stderr[-2000:]}'
    return result.stdout


def parts(shown):
    """The folders of the tree but the one that is too deep for programs that use paths."""
    return sorted(name for name in os.listdir(shown.tree) if name != 'deep')


def test_cp_copies_everything(shown, tmp_path):
    for part in parts(shown):
        output('cp', '-a', f'{shown.path}/{part}', tmp_path)
        # How cp finds holes, and which it makes, is its own affair.
        assert_same(f'{shown.tree}/{part}', tmp_path / part, ignore={'data'})
        remove(tmp_path / part)


def test_cp_makes_holes_where_holes_are(shown, tmp_path):
    output('cp', '-a', '--sparse=auto', f'{shown.path}/sparse', tmp_path)
    assert_same(f'{shown.tree}/sparse', tmp_path / 'sparse')


# Archives keep the names of a file together, but not those of a symlink or a fifo.
SECOND_NAMES = ('dangling-again', 'fifo-again')


@pytest.mark.skipif(not have('rsync'), reason='rsync is not installed')
def test_rsync_sees_no_difference(shown, tmp_path):
    compare = ['rsync', '-aHAX', '--numeric-ids', '--checksum', '--exclude=/deep',
               *(f'--exclude={name}' for name in SECOND_NAMES)]
    assert output(*compare, '-n', '-i', f'{shown.path}/', f'{shown.tree}/') == b''
    assert output(*compare, '-n', '-i', '--delete', f'{shown.tree}/', f'{shown.path}/') == b''
    output(*compare, f'{shown.path}/', f'{tmp_path}/copy/')
    for part in parts(shown):
        expected = {path: entry for path, entry in snapshot(f'{shown.tree}/{part}').items()
                    if os.path.basename(path).decode('latin-1') not in SECOND_NAMES}
        assert_same(expected, f'{tmp_path}/copy/{part}', ignore={'data'})


def test_tar_makes_the_same_stream(shown):
    def stream(top):
        command = ['tar', '-c', '--sort=name', '--format=gnu', '--exclude=./deep',
                   '--exclude=socket', *(f'--exclude={name}' for name in SECOND_NAMES), '.']
        with subprocess.Popen(command, cwd=top, stdout=subprocess.PIPE) as tar:
            digest = hashlib.file_digest(tar.stdout, 'sha256').hexdigest()
        assert tar.returncode == 0
        return digest

    assert stream(shown.path) == stream(shown.tree)


def test_find_prints_the_same(shown):
    def found(top, kinds, form):
        command = ['find', '.', '-path', './deep', '-prune', '-o', '-type', kinds, '-printf', form]
        return sorted(output(*command, cwd=top).split(b'\0'))

    for kinds, form in (('f', '%p %y %m %n %U %G %s %T@ %C@\\0'),
                        ('d', '%p %y %m %n %U %G %T@\\0'),
                        ('l,p,s,c,b', '%p %y %m %U %G %T@ %l\\0')):
        assert found(shown.path, kinds, form) == found(shown.tree, kinds, form)


def test_grep_finds_the_same(shown):
    def found(*args, top):
        return sorted(output('grep', '-r', '-D', 'skip', *args, '.', cwd=top,
                             codes=(0, 1, 2)).splitlines())

    for args in (('-c', 'a'), ('-l', 'then'), ('-a', '-o', '-b', 'deep down')):
        assert found(*args, top=shown.path) == found(*args, top=shown.tree) != []


def test_programs_run_from_the_mount(archive, mount, tmp_path):
    os.makedirs(tmp_path / 'tree')
    shutil.copy2(shutil.which('ls'), tmp_path / 'tree/ls')
    archive.commit(tmp_path / 'tree')
    mnt = mount(archive)
    assert b'tree' in output(mnt / 'tree/ls', mnt.path)


# What is not allowed


def test_nothing_can_be_changed(shown):
    top = shown.path
    file = f'{top}/sizes/random-4096'
    for call, *args in ((os.open, file, os.O_WRONLY), (os.open, file, os.O_RDWR),
                        (os.open, f'{top}/new', os.O_CREAT | os.O_WRONLY), (os.unlink, file),
                        (os.open, file, os.O_RDONLY | os.O_TRUNC),
                        (os.mkdir, f'{top}/new'), (os.rmdir, f'{top}/empty/empty'),
                        (os.rename, file, f'{top}/new'), (os.link, file, f'{top}/new'),
                        (os.symlink, 'x', f'{top}/new'), (os.mkfifo, f'{top}/new'),
                        (os.chmod, file, 0o777), (os.chown, file, 1, 1), (os.utime, file),
                        (os.truncate, file, 0), (os.setxattr, file, 'user.new', b'x'),
                        (os.removexattr, file, 'user.blockframe.hash')):
        assert refused(call, *args) == errno.EROFS, call.__name__


@contextlib.contextmanager
def as_user(uid):
    """Do as that user may, for the time of a `with` block."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can be others')
def test_permissions_hold(shown, let_others_in):
    attributes = f'{shown.path}/attributes'
    let_others_in(shown.mount.path.parent)
    with as_user(NOBODY):
        assert refused(open, f'{attributes}/mode-0400') == errno.EACCES
        assert refused(os.listdir, f'{attributes}/folder-0700') == errno.EACCES
        with open(f'{attributes}/mode-0444', 'rb') as file:
            assert file.read()


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can be others')
def test_others_see_nothing_unless_allowed(archive, mount, tmp_path, seed, let_others_in):
    archive.commit(make_small_tree(tmp_path / 'tree', seed))
    mnt = mount(archive)
    let_others_in(tmp_path)
    with as_user(NOBODY):
        assert refused(os.listdir, mnt / 'tree') == errno.EACCES


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may see what is another one's")
def test_owner_and_mode_can_be_overridden(archive, mount, tmp_path, seed):
    archive.commit(make_small_tree(tmp_path / 'tree', seed))
    mnt = mount(archive, '-o', 'uid=1234,gid=4321,umask=027')
    for path in ('tree', 'tree/text', 'tree/link'):
        st = os.lstat(mnt / path)
        assert (st.st_uid, st.st_gid) == (1234, 4321)
    assert stat.S_IMODE(os.stat(mnt / 'tree/text').st_mode) & 0o027 == 0
    with open(mnt / 'tree/text', 'rb') as file:
        assert file.read() == (tmp_path / 'tree/text').read_bytes()


# Numbers of the whole


def test_the_space_is_told(shown):
    space = os.statvfs(shown.mount.path)
    volumes = sum(v.stat().st_blocks * 512 for v in shown.mount.archive.volumes)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    assert space.f_flag & os.ST_RDONLY and space.f_namemax == 255
    assert space.f_files >= len(snapshot(shown.tree)) - 1
    assert 0 < used <= 2 * volumes + 200 * MIB, (used, volumes)
    assert shutil.disk_usage(shown.path).total > 0


# Extra attributes


def b3sum(path):
    return output('b3sum', '--no-names', '--', path).decode().strip()


def test_the_archives_own_attributes_can_be_asked_for(shown):
    inside, path = next((i, p) for i, p in shown.files() if p.endswith('/mixed'))

    def value(name):
        return os.getxattr(inside, f'user.blockframe.{name}').decode()

    entry = shown.mount.archive.show('/tree/sizes/mixed')
    assert value('hash') == b3sum(path) == entry['hash']
    assert value('version') == str(entry['version']) == '1'
    assert value('commit') and len(value('root')) >= 64
    assert value('volumes')
    assert value('health') == 'ok'
    assert refused(os.getxattr, inside, 'user.blockframe.nonsense') == errno.ENODATA


def test_the_archives_own_attributes_are_not_listed(shown):
    for inside, path in shown.files(largest=10_000):
        assert sorted(os.listxattr(inside)) == sorted(os.listxattr(path))


# Commits while it is mounted


def changed(tree, rng):
    """Every kind of change to a small tree."""
    write_file(f'{tree}/text', rng.randbytes(300_000))
    write_file(f'{tree}/brand/new', b'was not there')
    os.unlink(f'{tree}/folder/old')
    os.rename(f'{tree}/random', f'{tree}/renamed')
    os.rmdir(f'{tree}/none')
    write_file(f'{tree}/none', b'a file where a folder was')
    os.unlink(f'{tree}/link')
    os.mkdir(f'{tree}/link')
    os.chmod(f'{tree}/folder', 0o700)
    os.unlink(f'{tree}/linked')
    os.symlink('elsewhere', f'{tree}/linked')


@pytest.fixture
def small(archive, tmp_path, seed):
    tree = make_small_tree(tmp_path / 'tree', seed)
    archive.commit(tree)
    return tree


def no_difference(a, b):
    """Until the kernel knows of a commit, names may come and go while they are looked at."""
    try:
        return not differences(a, b)
    except OSError:
        return False


def test_a_commit_appears_while_mounted(archive, mount, small, rng):
    mnt = mount(archive, env={'BLOCKFRAME_LOOK_WHEN_TOLD': '1'})  # not just every few seconds
    before = snapshot(small)
    assert_same(before, mnt / 'tree')
    assert not os.path.exists(mnt / 'tree/brand')  # now the kernel knows that, too
    with opened(mnt / 'tree/text') as old:
        content = old.read(1000)
        changed(small, rng)
        archive.commit(small)
        asked = 0

        def appears():
            nonlocal asked
            asked += 1
            if asked % 100 == 0:  # it looks for seconds after a change: a busy disk takes longer
                (archive.path / 'change').write_bytes(b'')
            return no_difference(small, mnt / 'tree')

        until(appears, 'the commit')
        assert old.read() == snapshot_bytes(archive, '/tree/text', 1)[1000:]
        assert content == snapshot_bytes(archive, '/tree/text', 1)[:1000]
    assert_same(before, mnt / '.blockframe/commits/1/tree')


def snapshot_bytes(archive, path, version):
    return archive.cat(path, '--version', str(version))


def test_many_commits_appear_one_after_the_other(archive, mount, small, count, rng):
    mnt = mount(archive)
    for _ in range(count(4, 40)):
        write_file(f'{small}/text', rng.randbytes(rng.randrange(200_000)))
        write_file(f'{small}/folder/{rng.randrange(10)}', rng.randbytes(3000))
        archive.commit(small)
        until(lambda: no_difference(small, mnt / 'tree'), 'the commit')


def test_who_stands_in_a_folder_stays_there(archive, mount, small):
    mnt = mount(archive)
    folder = os.open(mnt / 'tree/folder', os.O_RDONLY | os.O_DIRECTORY)
    try:
        write_file(f'{small}/folder/more', b'more')
        archive.commit(small)
        until(lambda: 'more' in os.listdir(folder), 'the new name')
        assert os.stat('more', dir_fd=folder).st_size == 4
    finally:
        os.close(folder)


# What is hidden


def test_commits_and_versions_are_in_a_hidden_folder(archive, mount, small, rng):
    states = [snapshot(small)]
    texts = [open(f'{small}/text', 'rb').read()]
    for _ in range(2):
        write_file(f'{small}/text', rng.randbytes(50_000))
        archive.commit(small)
        states.append(snapshot(small))
        texts.append(open(f'{small}/text', 'rb').read())
    mnt = mount(archive)
    hidden = mnt / '.blockframe'
    assert os.listdir(mnt.path) == ['tree']
    assert sorted(os.listdir(hidden)) == ['commits', 'health', 'versions']
    assert {'1', '2', '3'} <= set(os.listdir(hidden / 'commits'))
    for number, state in enumerate(states, 1):
        assert_same(state, hidden / f'commits/{number}/tree')
    head = archive.log()[1]
    for name in (head['hash'], head['hash'][:12]) if 'hash' in head else ():
        assert_same(states[1], hidden / f'commits/{name}/tree')
    versions = hidden / 'versions/tree/text'
    assert sorted(os.listdir(versions)) == ['1', '2', '3']
    for number, text in enumerate(texts, 1):
        assert sequential(versions / str(number)) == text
    assert sorted(os.listdir(hidden / 'versions/tree/folder/small')) == ['1']
    for name in ('commits/99', 'commits/nonsense', 'versions/tree/text/4', 'versions/nothing',
                 'nothing', 'versions/tree/text/0', 'versions/tree/text/01', 'commits/01'):
        assert not os.path.lexists(hidden / name), name
    health = mnt.health()
    assert health['commit'] == 3 and health['leaves_verified'] > 0
    assert health['leaves_repaired'] == health['leaves_lost'] == 0


def test_an_older_commit_can_be_mounted(archive, mount, small, rng):
    before = snapshot(small)
    changed(small, rng)
    archive.commit(small)
    mnt = mount(archive, '--at', '1')
    assert_same(before, mnt / 'tree')
    write_file(f'{small}/brand/newer', b'x')
    archive.commit(small)
    assert_same(before, mnt / 'tree')
    now = mount(archive, name='now')
    assert_same(small, now / 'tree')
    assert_same(before, mnt / 'tree')


# Numbers that stay


def numbers_of(top):
    """{path: inode number} of everything."""
    return walked(top, lambda path: os.lstat(path).st_ino)


def test_inode_numbers_are_the_same_in_every_mount(archive, mount, small):
    first = mount(archive)
    numbers = numbers_of(first.path)
    first.unmount()
    archive.commit(small, '--message', 'nothing new')
    assert numbers_of(mount(archive).path) == numbers
    assert numbers_of(mount(archive, name='another').path) == numbers
