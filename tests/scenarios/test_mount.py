# SPDX-License-Identifier: MIT
"""How a mount begins and ends: the commands, what they refuse and why, what is left behind
when a mount is killed, and what becomes of it when the catalog is replaced or taken away."""
import errno
import os
import shutil
import signal
import subprocess
import threading

import pytest

from mounted import Mount, is_mounted, judge_others, refused, until
from program import BUSY, DONE, FAILED, KILLED, NO_ARCHIVE, USAGE
from trees import write_file


@pytest.fixture
def filled(archive, tmp_path, rng):
    """An archive with one commit of src/a, src/large and src/folder/b."""
    tree = tmp_path / 'src'
    write_file(f'{tree}/a', b'content of a')
    write_file(f'{tree}/large', rng.randbytes(20_000_000))
    write_file(f'{tree}/folder/b', b'content of b')
    archive.commit(tree)
    archive.source = tree
    return archive


def refusal(archive, *args, expect=FAILED):
    """The one line that a mount that can't be says."""
    line, = archive.run('mount', *args, expect=expect).errors()
    return line


# What is refused

def test_a_mountpoint_must_be_a_folder(filled, fuse, tmp_path):
    write_file(tmp_path / 'file', b'')
    assert 'No such file' in refusal(filled, '-m', tmp_path / 'nowhere')
    assert 'no folder' in refusal(filled, '-m', tmp_path / 'file')


def test_an_archive_is_not_covered_by_its_own_mount(filled, fuse, tmp_path):
    for mountpoint in tmp_path, filled.path, filled.path / '..':
        assert 'somewhere else' in refusal(filled, '-m', mountpoint)
        assert not is_mounted(tmp_path)
    (filled.path / 'mnt').mkdir()
    with Mount(filled, filled.path / 'mnt') as mnt:  # the other way round is fine
        assert (mnt / 'src/a').read_bytes() == b'content of a'


def test_a_folder_of_volumes_is_no_mountpoint(filled, new_archive, fuse, tmp_path):
    (filled.path / 'volumes/mnt').mkdir()
    inside = [filled.path / 'volumes', filled.path / 'volumes/mnt']
    elsewhere = new_archive('elsewhere', {'volume.directory': tmp_path / 'media/volumes'})
    around = [tmp_path / 'media', tmp_path / 'media/volumes']
    for archive, mountpoint in *((filled, m) for m in inside), *((elsewhere, m) for m in around):
        assert 'volumes' in refusal(archive, '-m', mountpoint)
        assert not is_mounted(mountpoint)


def test_there_must_be_an_archive(program, fuse, tmp_path):
    (tmp_path / 'mnt').mkdir()
    result = program.run('mount', '-a', tmp_path, '-m', tmp_path / 'mnt', expect=NO_ARCHIVE)
    assert 'no archive' in result.err


def test_wrong_words_are_named(filled, fuse, tmp_path):
    (tmp_path / 'mnt').mkdir()
    mountpoint = ['-m', tmp_path / 'mnt']
    for words, named in ((['-o', 'allow_other,bogus'], 'bogus'), (['-o', 'uid=me'], 'uid=me'),
                         (['-o', 'rw'], 'read-only'), (['-o', 'nosuid,rw'], 'read-only'),
                         (['--cache', 'much'], 'much'), (['--jobs', '0'], "'0'"),
                         (['--json'], '--json')):
        assert named in refusal(filled, *mountpoint, *words, expect=USAGE)
    assert '--mountpoint' in refusal(filled, expect=USAGE)
    assert '999' in refusal(filled, *mountpoint, '--at', '999')
    assert not is_mounted(tmp_path / 'mnt')


def test_a_catalog_that_is_missing_is_told_with_the_way_out(filled, fuse, tmp_path):
    (tmp_path / 'mnt').mkdir()
    filled.forget_catalog()
    assert 'catalog rebuild' in refusal(filled, '-m', tmp_path / 'mnt')
    assert not is_mounted(tmp_path / 'mnt')
    filled.rebuild()
    with Mount(filled, tmp_path / 'mnt') as mnt:
        assert (mnt / 'src/a').read_bytes() == b'content of a'


def test_a_mount_that_lives_is_not_covered(filled, mount):
    mnt = mount(filled)
    assert 'already' in refusal(filled, '-m', mnt.path, expect=BUSY)
    assert (mnt / 'src/a').read_bytes() == b'content of a'


def test_of_two_mounts_at_once_one_is_refused(filled, fuse, tmp_path):
    mountpoint = tmp_path / 'mnt'
    mountpoint.mkdir()
    runs = [filled.start('mount', '-m', mountpoint) for _ in range(4)]
    try:
        codes = sorted(run.finish(expect=(DONE, BUSY)).code for run in runs)
        assert codes == [DONE, BUSY, BUSY, BUSY]
    finally:
        filled.program.run('umount', mountpoint)
    assert not is_mounted(mountpoint)


# How it begins

def test_it_can_be_used_when_the_command_returns(filled, mount):
    for _ in range(10):
        mnt = mount(filled)
        assert (mnt / 'src/a').read_bytes() == b'content of a'
        mnt.unmount()


def test_archive_and_mountpoint_come_from_the_settings(filled, program, fuse, tmp_path):
    mountpoint = tmp_path / 'mnt'
    mountpoint.mkdir()
    environment = {'BLOCKFRAME_ARCHIVE_DIRECTORY': str(filled.path),
                   'BLOCKFRAME_MOUNT_DEFAULT_MOUNTPOINT': str(mountpoint)}
    program.run('mount', env=environment)
    assert (mountpoint / 'src/a').read_bytes() == b'content of a'
    program.run('umount', env=environment)
    assert not is_mounted(mountpoint)


def test_odd_names_of_folders(program, new_archive, fuse, tmp_path):
    archive = new_archive('an, archive\\ with odd=name')
    write_file(tmp_path / 'src/a', b'a')
    archive.commit(tmp_path / 'src')
    with Mount(archive, tmp_path / 'a mount,\t\\ point\n') as mnt:
        assert (mnt / 'src/a').read_bytes() == b'a'
        assert 'already' in refusal(archive, '-m', mnt.path, expect=BUSY)


def test_in_the_foreground_it_ends_with_a_signal(filled, fuse, tmp_path):
    mountpoint = tmp_path / 'mnt'
    mountpoint.mkdir()
    for number in signal.SIGINT, signal.SIGTERM:
        run = filled.start('mount', '-f', '-m', mountpoint)
        until(lambda: is_mounted(mountpoint), 'mount')
        assert (mountpoint / 'src/a').read_bytes() == b'content of a'
        run.kill(number)
        result = run.finish()
        assert 'is unmounted' in result.err
        assert not is_mounted(mountpoint)


def test_mount_calls_the_helper(filled, program, fuse, tmp_path):
    helper = tmp_path / 'mount.blockframe'
    helper.symlink_to(program.binary)
    mountpoint = tmp_path / 'mnt'
    mountpoint.mkdir()
    line = [helper, filled.path, mountpoint, '-o', 'rw,noauto,uid=77,x-whatever']
    subprocess.run([*line, '-f'], check=True)
    assert not is_mounted(mountpoint)
    subprocess.run(line, check=True)
    try:
        assert (mountpoint / 'src/a').stat().st_uid == 77
        assert subprocess.run(line, capture_output=True).returncode != 0
    finally:
        program.run('umount', mountpoint)
    assert subprocess.run([helper, filled.path], capture_output=True).returncode == USAGE


def test_the_list_of_mounts_names_archive_and_type(filled, mount):
    mnt = mount(filled)
    out = subprocess.run(['findmnt', '-n', '-o', 'SOURCE,FSTYPE,OPTIONS', mnt.path], check=True,
                         capture_output=True, text=True).stdout
    source, kind, options = out.split()
    assert (source, kind) == (str(filled.path), 'fuse.blockframe')
    assert {'ro', 'nosuid', 'nodev', 'default_permissions'} <= set(options.split(','))


OF_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason='only root may let others in everywhere')


@pytest.mark.parametrize('options', ['', 'defaults', 'ro', 'users,noauto',
                                     pytest.param('rw,allow_other', marks=OF_ROOT),
                                     'nodev,nosuid,noexec,noatime', 'nofail,_netdev,X-mount.mkdir',
                                     'x-systemd.automount,x-systemd.idle-timeout=1min,comment=a'])
def test_what_fstab_has_is_understood(filled, program, fuse, tmp_path, options):
    helper = tmp_path / 'mount.blockframe'
    helper.symlink_to(program.binary)
    mountpoint = tmp_path / 'mnt'
    mountpoint.mkdir()
    subprocess.run([helper, filled.path, mountpoint, '-o', options], check=True)
    try:
        assert (mountpoint / 'src/a').read_bytes() == b'content of a'
        assert refused(os.mkdir, mountpoint / 'new') == errno.EROFS
    finally:
        program.run('umount', mountpoint)


# How it ends

def test_umount_tells_what_is_no_mount(program, fuse, tmp_path):
    assert 'no archive is mounted' in program.run('umount', tmp_path, expect=FAILED).err
    assert 'No such file' in program.run('umount', tmp_path / 'x/y', expect=FAILED).err


def test_a_mount_in_use_is_unmounted_only_when_told_to(filled, mount):
    mnt = mount(filled)
    with open(mnt / 'src/large', 'rb') as file:
        mnt.unmount(expect=BUSY)
        assert len(file.read()) == 20_000_000
        mnt.archive.program.run('umount', '--lazy', mnt.path)
        assert not is_mounted(mnt.path)
        file.seek(0)
        assert len(file.read()) == 20_000_000  # its last user still has it
    mnt.wait()
    mnt.judge()


def test_umount_of_the_system_ends_it_too(filled, mount):
    mnt = mount(filled)
    subprocess.run(['umount', mnt.path], check=True)
    mnt.wait()
    mnt.judge()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts_under_load(filled, mount, number):
    mnt = mount(filled)
    content = (filled.source / 'large').read_bytes()
    problems = []
    begun = threading.Barrier(5)

    def read():
        begun.wait()
        try:
            while True:
                with open(mnt / 'src/large', 'rb', buffering=0) as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    if file.readall() != content:
                        problems.append('wrong bytes')
                        return
        except OSError as e:
            if e.errno not in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT,
                               errno.ENODEV):
                problems.append(e)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    begun.wait()
    mnt.send(number)
    mnt.wait()
    for reader in readers:
        reader.join()
    assert not problems
    assert not is_mounted(mnt.path)
    mnt.judge()


def test_what_a_killed_mount_left_is_taken_over(filled, mount):
    mnt = mount(filled)
    assert (mnt / 'src/a').read_bytes() == b'content of a'
    mnt.kill()
    assert is_mounted(mnt.path)
    assert refused(os.listdir, mnt / 'src') in (errno.ENOTCONN, errno.ECONNABORTED)
    again = mount(filled)
    assert (again / 'src/a').read_bytes() == b'content of a'
    again.unmount()
    assert not is_mounted(again.path)


def test_what_a_killed_mount_left_can_be_unmounted(filled, mount):
    mnt = mount(filled)
    mnt.kill()
    filled.program.run('umount', mnt.path)
    assert not is_mounted(mnt.path)


def test_a_mount_that_is_killed_while_it_begins_can_be_made_again(filled, fuse, tmp_path):
    mountpoint = tmp_path / 'mnt'
    mountpoint.mkdir()
    for _ in range(5):
        run = filled.start('mount', '-f', '-m', mountpoint)
        until(lambda: is_mounted(mountpoint), 'mount')
        run.kill()
        run.finish(expect=KILLED)
    with Mount(filled, mountpoint) as mnt:
        assert (mnt / 'src/a').read_bytes() == b'content of a'


# The catalog under a mount

def test_a_rebuilt_catalog_is_gone_over_to(filled, mount):
    mnt = mount(filled)
    with open(mnt / 'src/large', 'rb', buffering=0) as file:
        first = file.read(1 << 20)
        filled.rebuild()
        write_file(filled.source / 'new', b'new')
        filled.commit(filled.source)
        until(lambda: (mnt / 'src/new').exists(), 'commit')
        assert (mnt / 'src/new').read_bytes() == b'new'
        assert (mnt / 'src/folder/b').read_bytes() == b'content of b'
        content = first + file.readall()
    assert content == (filled.source / 'large').read_bytes()
    assert 'rebuilt' in mnt.log


def test_a_catalog_that_is_deleted_stops_no_reader(filled, mount):
    mnt = mount(filled)
    with open(mnt / 'src/a', 'rb') as file:
        filled.forget_catalog()
        assert file.read() == b'content of a'
        assert (mnt / 'src/large').read_bytes() == (filled.source / 'large').read_bytes()
        until(lambda: 'catalog rebuild' in mnt.log, 'warning')
    filled.rebuild()
    until(lambda: 'rebuilt' in mnt.log, 'new catalog')
    assert (mnt / 'src/folder/b').read_bytes() == b'content of b'


def test_an_archive_that_is_deleted_gives_errors_and_no_crash(filled, mount):
    mnt = mount(filled)
    assert (mnt / 'src/a').read_bytes() == b'content of a'
    shutil.rmtree(filled.path)
    for name in 'src/a', 'src/large', 'src/folder/b', 'src/none':
        try:
            (mnt / name).read_bytes()
        except OSError as e:
            assert e.errno in (errno.EIO, errno.ENOENT), e
    assert mnt.running


def test_commits_a_rebuild_and_three_mounts_at_once(filled, mount, count, rng):
    mounts = [mount(filled, name=f'mnt{i}') for i in range(3)]
    names = [f'f{i}' for i in range(count(6, 20))]
    for i, name in enumerate(names):
        write_file(filled.source / name, rng.randbytes(100_000))
        filled.commit(filled.source)
        if i % 3 == 1:
            filled.rebuild()
        for mnt in mounts:
            until(lambda m=mnt, n=name: (m / 'src' / n).exists(), name)
    for mnt in mounts:
        for name in names:
            assert (mnt / 'src' / name).read_bytes() == (filled.source / name).read_bytes()


# How tests notice that it ended badly

def test_a_mount_that_is_killed_is_judged(filled, fuse, tmp_path):
    with pytest.raises(AssertionError, match='exit code -9'):
        with Mount(filled, tmp_path / 'mnt') as mnt:
            mnt.kill()
            mnt.log_file.write_text('is unmounted\n')  # not even a log that lies helps
            mnt.judge()


def test_a_mount_without_a_log_that_dies_is_judged(filled, fuse, tmp_path):
    mountpoint = tmp_path / 'mnt'
    mountpoint.mkdir()
    filled.run('mount', '-m', mountpoint)
    os.kill(int(os.getxattr(mountpoint, 'user.blockframe.pid')), signal.SIGUSR2)
    try:
        with pytest.raises(AssertionError, match=f'exit code -{signal.SIGUSR2:d}'):
            judge_others()
    finally:
        filled.program.run('umount', mountpoint)
