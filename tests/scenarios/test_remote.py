# SPDX-License-Identifier: MIT
"""An archive of another machine, mounted and read here: the same to the last bit and attribute,
while the server comes and goes, and while commits are made."""
import errno
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from mounted import Mount, refused, until
from places import Places, noise
from program import FAILED, PATIENCE, USAGE, Archive, have, remove
from remote import Between, Cable, Remote
from serving import Server
from test_mount_damage import beyond_repair, overlaps
from test_mount_tree import no_difference
from test_serve_access import digest
from trees import MIB, assert_same, make_small_tree, make_tree, text_bytes, write_file
from volume_map import Damage


class Shown:
    """A folder, its archive, a server of that, and a mount of the server."""

    def __init__(self, tree, archive, server, remote, mount):
        self.tree = tree
        self.archive = archive
        self.server = server
        self.remote = remote
        self.mount = mount


@pytest.fixture(scope='module')
def shown(fuse, program, tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp('remote')
    tree = Path(make_tree(folder / 'tree', seed))
    archive = Archive(program, folder / 'archive').init()
    archive.commit(tree)
    with Server(archive, folder) as server:
        remote = Remote(program, server.url, folder / 'home')
        with Mount(remote, folder / 'mnt', '--tofu') as mount:
            yield Shown(tree, archive, server, remote, mount)
    remove(folder)


@pytest.fixture
def small(archive, tmp_path, seed):
    tree = Path(make_small_tree(tmp_path / 'tree', seed))
    archive.commit(tree)
    return tree


@pytest.fixture
def home(tmp_path):
    return tmp_path / 'home'


@pytest.mark.main
def test_everything_is_there_with_all_attributes(shown):
    assert_same(shown.tree, shown.mount / 'tree')


def attributes(path):
    st = os.lstat(path)
    folder = stat.S_ISDIR(st.st_mode)
    return (st.st_mode, 1 if folder else st.st_nlink, st.st_uid, st.st_gid,
            4096 if folder else st.st_size, st.st_blocks, st.st_mtime_ns, st.st_ctime_ns)


def test_it_looks_as_a_mount_of_the_archive_itself_does(shown, tmp_path):
    with Mount(shown.archive, tmp_path / 'local') as local:
        for folder, folders, names in os.walk(os.fsencode(local / 'tree')):
            for name in [*folders, *names]:
                path = os.path.join(folder, name)
                other = os.fsencode(shown.mount.path) + path[len(os.fsencode(local.path)):]
                if len(path) < 3500:
                    assert attributes(path) == attributes(other), path
                    assert sorted(os.listxattr(path, follow_symlinks=False)) == \
                        sorted(os.listxattr(other, follow_symlinks=False))


def test_names_that_are_not_there_are_not(shown):
    top = shown.mount / 'tree'
    assert refused(os.lstat, top / 'nothing') == errno.ENOENT
    assert refused(os.lstat, top / 'nothing/below') == errno.ENOENT
    assert refused(os.lstat, top / ('x' * 255)) == errno.ENOENT
    assert refused(os.lstat, top / 'links/original/below') == errno.ENOTDIR


def test_names_of_one_file_have_one_number_and_are_counted(shown, program, tmp_path):
    with Mount(Remote(program, shown.server.url, tmp_path / 'home'), tmp_path / 'mnt',
               '--tofu') as mount:
        one = os.lstat(mount / 'tree/links/b/c/linked')  # before anybody saw the others
        assert one.st_nlink == 3
        for name in 'links/a/linked', 'links/b/linked':
            other = os.lstat(mount / 'tree' / name)
            assert (other.st_ino, other.st_nlink) == (one.st_ino, 3)
        assert one.st_ino == os.lstat(shown.mount / 'tree/links/a/linked').st_ino


@pytest.mark.main
def test_commands_read_it_too(shown, tmp_path):
    remote, archive = shown.remote, shown.archive
    assert remote.run('ls').text == archive.run('ls').text
    assert remote.run('ls', '-lR', '/tree/links').text == archive.run('ls', '-lR', '/tree/links').text
    assert remote.run('ls', '-R').text == archive.run('ls', '-R').text
    found = remote.run('find', '--name', '*linked*').lines
    assert sorted(found) == sorted(archive.run('find', '--name', '*linked*').lines)
    assert remote.run('find', '/tree/links/b').text == archive.run('find', '/tree/links/b').text
    assert remote.show('/tree/links/original') == archive.show('/tree/links/original')
    assert remote.log() == archive.log()
    for path in '/tree/sizes/mixed', '/tree/links':
        assert remote.run('ls', '--versions', path).text == \
            archive.run('ls', '--versions', path).text
    assert remote.cat('/tree/sizes/mixed') == (shown.tree / 'sizes/mixed').read_bytes()
    assert remote.cat('/tree/sizes/mixed', '--offset', '300000', '--length', '7') == \
        (shown.tree / 'sizes/mixed').read_bytes()[300000:300007]
    remote.restore(tmp_path / 'out')
    assert_same(shown.tree, tmp_path / 'out/tree')
    assert "no such path" in remote.run('cat', '/nothing', expect=FAILED).err


def test_the_age_of_the_head_is_told(shown):
    health = shown.mount.health()
    assert health['head_age'] >= 0
    assert health['trusted'] == 'yes'
    assert health['head'] == shown.remote.remembered()[shown.server.url][1]


def test_only_what_is_looked_at_is_got(archive, serve, mount, program, home, tmp_path, rng):
    for i in range(100):
        write_file(tmp_path / f'many/{i:04}/inside/{i}', rng.randbytes(40_000))
    archive.commit(tmp_path / 'many')
    server = serve(archive)
    with Between(server.url) as between:
        mnt = mount(Remote(program, between.url, home), '--tofu')
        assert len(os.listdir(mnt / 'many')) == 100
        (mnt / 'many/0007/inside/7').read_bytes()
        asked = [target for target in between.requests if target != '/v1/head']  # now and then
        assert sum('/frames' in target for target in asked) < 5
        assert len(asked) < 60, asked


def test_names_of_one_file_are_asked_for_once(archive, serve, program, home, tmp_path):
    write_file(tmp_path / 'linked/00', b'content')
    for i in range(1, 30):
        os.link(tmp_path / 'linked/00', tmp_path / f'linked/{i:02}')
    archive.commit(tmp_path / 'linked')
    with Between(serve(archive).url) as between:
        remote = Remote(program, between.url, home)
        assert remote.run('ls', '-l', '/linked', '--tofu').text == \
            archive.run('ls', '-l', '/linked').text
        assert sum('/v1/names/' in target for target in between.requests) == 1


# Trust


def test_a_file_with_very_many_names_is_read_too(archive, serve, program, home, tmp_path, count):
    if not count(0, 1):
        pytest.skip('with full counts only')
    write_file(tmp_path / 'tree/one', b'of many')
    for n in range(9000):
        os.link(tmp_path / 'tree/one', tmp_path / f'tree/{n:0200}')
    archive.commit(tmp_path / 'tree')
    server = serve(archive)
    assert 2 * MIB < len(server.get('/v1/names/tree/one').body) < 4 * MIB
    assert Remote(program, server.url, home).cat('/tree/one', '--tofu') == b'of many'


@pytest.mark.main
def test_a_server_never_seen_needs_a_word(archive, small, serve, program, home):
    remote = Remote(program, serve(archive).url, home)
    assert '--tofu' in remote.run('ls', expect=FAILED).err
    assert remote.remembered() == {}
    wrong = '0' * 64
    assert 'does not descend' in remote.run('ls', '--pin', wrong, expect=FAILED).err
    assert remote.remembered() == {}
    remote.run('ls', '--pin', 'abcd', expect=USAGE)
    remote.run('ls', '--tofu', '--pin', wrong, expect=USAGE)
    head = archive.log()[0]
    remote.run('ls', '--tofu')
    remote.run('ls')
    assert remote.remembered() == {remote.url: (int(head['sequence']), hashes(archive)[0])}
    assert 'does not descend' in remote.run('ls', '--pin', wrong, expect=FAILED).err
    remote.trust('forget', remote.url)
    assert remote.remembered() == {}
    remote.run('ls', expect=FAILED)


def hashes(archive):
    """Hashes of the commits, the newest first."""
    return [line.split()[1] for line in archive.run('log', '--full').lines]


def test_a_pin_is_enough_and_what_descends_from_it_is_fine(archive, small, serve, program, home):
    remote = Remote(program, serve(archive).url, home)
    first = hashes(archive)[-1]  # the archive itself
    for i in range(3):
        write_file(small / 'new', b'%d' % i)
        archive.commit(small)
    remote.run('ls', '--pin', first)
    assert remote.remembered()[remote.url][1] == hashes(archive)[0]
    assert remote.run('ls', '/tree', '--at', '2').text
    remote.run('ls', '--pin', hashes(archive)[1])


def test_what_others_have_seen_meanwhile_stays_remembered(archive, small, serve, program, home):
    archive.commit(small, '--message', 'one')
    first = hashes(archive)[-1]
    with Between(serve(archive).url) as between:
        remote = Remote(program, between.url, home)

        def lie(target, *answer):
            if '/v1/commits' in target:  # which the pin is looked for in
                between.lie = None
                archive.commit(small, '--message', 'two')
                remote.run('ls', '--tofu')
            return answer

        between.lie = lie
        remote.run('ls', '--pin', first)
        assert between.lie is None
        assert remote.remembered()[remote.url][1] == hashes(archive)[0]


@pytest.mark.main
def test_a_server_that_was_set_back_is_not_read(archive, small, serve, mount, program, home,
                                                tmp_path):
    old = archive.copy(tmp_path / 'old')
    write_file(small / 'new', b'new')
    archive.commit(small)
    server = serve(archive)
    with Cable(server) as cable, Server(old, tmp_path) as other:
        remote = Remote(program, cable.url, home)
        mnt = mount(remote, '--tofu')
        assert (mnt / 'tree/new').read_bytes() == b'new'
        replace(cable, server, other)
        assert 'set back' in remote.run('ls', expect=FAILED).err
        assert f'trust accept {cable.url}' in remote.run('ls', expect=FAILED).err
        until(lambda: 'set back' in mnt.log, 'the mount to see it')
        until(lambda: refused_or_none(os.listdir, mnt / 'tree') == errno.EIO, 'EIO')
        assert refused(os.lstat, mnt / 'tree/other') == errno.EIO
        remote.trust('accept', cable.url)
        remote.run('ls')
        until(lambda: refused_or_none(os.lstat, mnt / 'tree/new') == errno.ENOENT, 'the old state')
        assert_same_but_new(small, mnt / 'tree')


def replace(cable, server, other):
    """A server by another one, under the same address."""
    cable.lead_to(other)
    server.stop()


def refused_or_none(call, *args):
    try:
        call(*args)
    except OSError as e:
        return e.errno
    return None


def assert_same_but_new(tree, shown):
    os.unlink(tree / 'new')
    assert sorted(os.listdir(tree)) == sorted(os.listdir(shown))
    for name in os.listdir(tree):
        if os.path.isfile(tree / name):
            assert (tree / name).read_bytes() == (shown / name).read_bytes()


@pytest.mark.parametrize('what', ['fork', 'other archive'])
def test_a_fork_and_another_archive_are_not_read(archive, small, serve, mount, program, home,
                                                 tmp_path, new_archive, what, count):
    if not count(0, 1):
        pytest.skip('with full counts only')
    other = archive.copy(tmp_path / 'other') if what == 'fork' else new_archive('other')
    archive.commit(small, '--message', 'one')
    for i in range(3):
        write_file(small / 'new', b'%d' % i)
        other.commit(small, '--message', 'another')
    server = serve(archive)
    with Cable(server) as cable, Server(other, tmp_path) as successor:
        remote = Remote(program, cable.url, home)
        mnt = mount(remote, '--tofu')
        replace(cable, server, successor)
        said = 'fork' if what == 'fork' else 'another archive'
        assert said in remote.run('ls', expect=FAILED).err
        until(lambda: said in mnt.log, 'the mount to see it')
        until(lambda: refused_or_none(os.listdir, mnt / 'tree') == errno.EIO, 'EIO')
        remote.trust('accept', cable.url)
        until(lambda: refused_or_none(os.lstat, mnt / 'tree/new') is None, 'the other one')
        assert (mnt / 'tree/new').read_bytes() == b'2'


def test_a_commit_can_be_frozen(archive, small, serve, mount, program, home, count):
    if not count(0, 1):
        pytest.skip('with full counts only')
    server = serve(archive)
    then = hashes(archive)[0]
    write_file(small / 'new', b'new')
    archive.commit(small)
    mnt = mount(Remote(program, server.url, home), '--pin', then, '--at', then)
    assert refused(os.lstat, mnt / 'tree/new') == errno.ENOENT
    write_file(small / 'newer', b'newer')
    archive.commit(small)
    until(lambda: (mnt / '.blockframe/commits/3').exists(), 'the commit')
    assert not (mnt / 'tree/newer').exists()
    assert (mnt / '.blockframe/commits/3/tree/newer').read_bytes() == b'newer'


# Commits, versions


@pytest.mark.main
def test_a_commit_appears_while_mounted(archive, small, serve, mount, program, home):
    mnt = mount(Remote(program, serve(archive).url, home), '--tofu')
    assert_same(small, mnt / 'tree')
    with open(mnt / 'tree' / changed_file(small), 'rb') as file:
        before = file.read(10)
        write_file(small / changed_file(small), b'other content')
        write_file(small / 'folder/new', b'new')
        archive.commit(small)
        until(lambda: no_difference(small, mnt / 'tree'), 'the commit')
        file.seek(0)
        assert file.read(10) == before
    os.unlink(small / 'folder/new')
    archive.commit(small)
    until(lambda: no_difference(small, mnt / 'tree'), 'the deletion')


def changed_file(tree):
    return sorted(name for name in os.listdir(tree)
                  if os.path.isfile(tree / name) and not os.path.islink(tree / name) and
                  os.path.getsize(tree / name) > 10)[0]


def test_commits_and_versions_are_in_the_hidden_folder(archive, small, serve, mount, program,
                                                       home, tmp_path):
    for i in range(4):
        write_file(small / 'file', b'%d' % i)
        archive.commit(small)
    os.unlink(small / 'file')
    archive.commit(small)
    write_file(small / 'file', b'again')
    archive.commit(small)
    server = serve(archive)
    mnt = mount(Remote(program, server.url, home), '--tofu')
    local = Mount(archive, tmp_path / 'local')
    with local:
        hidden = '.blockframe'
        assert sorted(os.listdir(mnt / hidden / 'commits')) == \
            sorted(os.listdir(local / hidden / 'commits'))
        for n in range(1, 8):
            name = f'{hidden}/commits/{n}/tree/file'
            assert os.path.exists(mnt / name) == os.path.exists(local / name)
            if os.path.exists(local / name):
                assert (mnt / name).read_bytes() == (local / name).read_bytes()
        assert sorted(os.listdir(mnt / hidden / 'versions/tree/file')) == \
            sorted(os.listdir(local / hidden / 'versions/tree/file')) == list('12345')
        assert (mnt / hidden / 'versions/tree/file/3').read_bytes() == b'2'
        remote = Remote(program, server.url, home)
        for path in '/tree/file', '/tree', '/tree/text':
            assert remote.run('ls', '--versions', path).text == \
                archive.run('ls', '--versions', path).text
        assert sorted(os.listdir(mnt / hidden / 'versions/tree')) == \
            sorted(os.listdir(local / hidden / 'versions/tree'))


def test_inode_numbers_are_the_same_in_every_mount(archive, small, serve, mount, program, home, count):
    if not count(0, 1):
        pytest.skip('with full counts only')
    server = serve(archive)

    def numbers(mnt):
        return {os.path.join(folder, name)[len(str(mnt.path)):]:
                os.lstat(os.path.join(folder, name)).st_ino
                for folder, folders, names in os.walk(mnt.path) for name in folders + names}

    remote = Remote(program, server.url, home)
    first = numbers(mount(remote, '--tofu', name='one'))
    assert first == numbers(mount(remote, name='two'))
    assert len(set(first.values())) == len(first) - 1  # two names of one file


# The server away


@pytest.fixture
def large(archive, tmp_path, rng):
    tree = tmp_path / 'large'
    write_file(tree / 'random', rng.randbytes(9 * MIB + 17))
    write_file(tree / 'text', text_bytes(rng, 12 * MIB + 5))
    archive.commit(tree)
    return tree


def test_a_copy_survives_a_server_that_is_killed(archive, large, serve, mount, program, home,
                                                 tmp_path):
    server = serve(archive)
    with Cable(server) as cable:
        mnt = mount(Remote(program, cable.url, home), '--tofu', '--timeout', str(PATIENCE))
        with open(mnt / 'large/random', 'rb') as file:
            assert file.read(65536) == (large / 'random').read_bytes()[:65536]
            server.send(signal.SIGKILL)
            server.finish(-signal.SIGKILL)
            copy = subprocess.Popen(['cp', '-r', mnt / 'large', tmp_path / 'copy'])
            with Server(archive, tmp_path) as another:
                cable.lead_to(another)
                assert copy.wait(PATIENCE) == 0
                for name in 'random', 'text':
                    assert (tmp_path / 'copy' / name).read_bytes() == (large / name).read_bytes()


@pytest.mark.main
def test_a_cut_for_longer_than_the_timeout_is_an_error_and_then_it_goes_on(
        archive, large, serve, mount, program, home):
    server = serve(archive)
    with Cable(server) as cable:
        mnt = mount(Remote(program, cable.url, home), '--tofu', '--timeout', '5')
        content = (large / 'text').read_bytes()
        with open(mnt / 'large/text', 'rb', buffering=0) as file:
            assert in_the_end(os.pread, file.fileno(), 4096, 0) == content[:4096]
            cable.cut()
            assert refused(os.pread, file.fileno(), 4096, 11 * MIB) == errno.EIO
            cable.mend()
            assert in_the_end(os.pread, file.fileno(), 4096, 11 * MIB) == \
                content[11 * MIB:][:4096]
        assert in_the_end((mnt / 'large/text').read_bytes) == content


def in_the_end(call, *args):
    """What a read gives once it is not an error: a slow server may seem to be away."""
    results = []

    def succeeds():
        try:
            results.append(call(*args))
        except OSError as e:
            assert e.errno == errno.EIO
        return results

    return until(succeeds, 'an answer')[0]


def test_who_waits_can_be_killed_and_unmounting_waits_for_nobody(
        archive, large, serve, mount, program, home):
    server = serve(archive)
    with Cable(server) as cable:
        mnt = mount(Remote(program, cable.url, home), '--tofu', '--timeout', '3600')
        os.listdir(mnt / 'large')
        cable.cut()
        reader = subprocess.Popen(['cat', mnt / 'large/random'], stdout=subprocess.DEVNULL)
        until(lambda: is_waiting(reader.pid), 'the reader to wait')
        reader.kill()
        assert reader.wait(PATIENCE) == -signal.SIGKILL
        reader = subprocess.Popen(['cat', mnt / 'large/random'], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        until(lambda: is_waiting(reader.pid), 'the reader to wait')
        mnt.send(signal.SIGTERM)
        mnt.wait()
        assert reader.wait(PATIENCE) != 0


def is_waiting(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        state = file.read().rsplit(')', 1)[1].split()[0]
    with open(f'/proc/{pid}/syscall', encoding='ascii') as file:
        return state in 'DS' and file.read().split()[0] == '0'


# On disk


@pytest.mark.main
def test_what_was_got_is_kept_on_disk_and_proved_when_read(archive, large, serve, mount, program,
                                                           home, tmp_path):
    server = serve(archive)
    with Between(server.url) as between:
        remote = Remote(program, between.url, home, '--cache-dir', tmp_path / 'kept')
        assert remote.cat('/large/text', '--tofu') == (large / 'text').read_bytes()
        assert any('/frames' in target for target in between.requests)
        between.requests.clear()
        assert remote.cat('/large/text') == (large / 'text').read_bytes()
        assert not any('/frames' in target or '/page' in target or '/table' in target
                       for target in between.requests), between.requests
        for file in (tmp_path / 'kept').rglob('*'):
            if file.is_file():
                data = bytearray(file.read_bytes())
                data[len(data) // 2] ^= 1
                file.write_bytes(data)
        between.requests.clear()
        assert remote.cat('/large/text') == (large / 'text').read_bytes()
        assert any('/frames' in target for target in between.requests)
        for file in (tmp_path / 'kept').rglob('*'):
            if file.is_file():
                os.truncate(file, file.stat().st_size // 2)
        assert remote.cat('/large/text') == (large / 'text').read_bytes()


def test_the_cache_on_disk_is_bounded(archive, large, serve, program, home, tmp_path, count):
    if not count(0, 1):
        pytest.skip('with full counts only')
    remote = Remote(program, serve(archive).url, home, '--cache-dir', tmp_path / 'kept',
                    '--cache-size', '8MiB')
    assert remote.cat('/large/random', '--tofu') == (large / 'random').read_bytes()
    size = sum(file.stat().st_size for file in (tmp_path / 'kept').rglob('*') if file.is_file())
    assert 1 * MIB < size <= 8 * MIB


# Tokens and TLS


@pytest.mark.main
def test_a_token_does_not_go_over_plain_http(archive, small, serve, program, home, tmp_path):
    (tmp_path / 'token').write_text('secret-token-of-the-test\n')
    with Between(serve(archive).url) as between:
        remote = Remote(program, between.url, home, '--token-file', tmp_path / 'token')
        assert 'plain HTTP' in remote.run('ls', '--tofu', expect=FAILED).err
        assert between.requests == []
        remote.run('ls', '--tofu', '--plain-token')
        assert all(headers['Authorization'] == 'Bearer secret-token-of-the-test'
                   for headers in between.headers)


def test_a_token_over_tls(archive, small, serve, mount, program, home, tmp_path):
    if not have('openssl'):
        pytest.skip('there is no openssl')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
                    '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1',
                    '-keyout', tmp_path / 'key', '-out', tmp_path / 'cert'], check=True,
                   capture_output=True)
    tokens = tmp_path / 'tokens'
    tokens.write_text(digest(b'right') + '\n')
    tokens.chmod(0o600)
    server = serve(archive, '--cert', tmp_path / 'cert', '--key', tmp_path / 'key',
                   '--token-file', tokens, scheme='https')
    url = f'https://127.0.0.1:{server.port}'
    (tmp_path / 'right').write_text('right')
    (tmp_path / 'wrong').write_text('wrong')
    remote = Remote(program, url, home)
    ca = '--cacert', tmp_path / 'cert'
    assert 'certificate' in remote.run('ls', '--tofu', expect=FAILED).err
    assert 'token' in remote.run('ls', '--tofu', *ca, expect=FAILED).err
    assert 'token' in remote.run('ls', '--tofu', *ca, '--token-file', tmp_path / 'wrong',
                                 expect=FAILED).err
    mnt = mount(remote, '--tofu', *ca, '--token-file', tmp_path / 'right')
    assert_same(small, mnt / 'tree')


# Damage on the other side


def test_damage_there_is_repaired_there_or_an_error_here(archive, large, serve, mount, program,
                                                         home, rng):
    places = Places(archive, '/large/random')
    content = (large / 'random').read_bytes()
    changes, lost = beyond_repair(places, rng)
    with Damage(archive.volume, [noise(places.of('leaf'))]):
        remote = Remote(program, serve(archive).url, home, '--timeout', '60')
        assert remote.cat('/large/random', '--tofu') == content
    with Damage(archive.volume, changes):
        mnt = mount(Remote(program, serve(archive).url, home, '--tofu'))
        with open(mnt / 'large/random', 'rb', buffering=0) as file:
            for start in range(0, len(content), 262144):
                end = min(start + 262144, len(content))
                try:
                    assert os.pread(file.fileno(), end - start, start) == content[start:end]
                except OSError as e:
                    assert e.errno == errno.EIO and overlaps(lost, start, end), (start, lost)
                else:
                    assert not overlaps(lost, start, end), (start, lost)
        assert (mnt / 'large/text').read_bytes() == (large / 'text').read_bytes()
