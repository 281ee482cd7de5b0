# SPDX-License-Identifier: MIT
"""What is committed comes back, and every command tells the truth about it."""
import base64
import json
import os
import shutil
import sqlite3
import subprocess

import pytest

from program import DONE, FAILED, PARTIAL, USAGE, NO_ARCHIVE
from trees import (assert_same, differences, make_small_tree, make_tree, snapshot, text_bytes,
                   write_file)

pytestmark = pytest.mark.main

@pytest.fixture
def tree(tmp_path, seed):
    return make_tree(tmp_path / 'tree', seed)


@pytest.fixture
def small(tmp_path, seed):
    return make_small_tree(tmp_path / 'tree', seed)


def b3sum(path):
    return subprocess.run(['b3sum', '--no-names', '--', path], check=True,
                          capture_output=True).stdout.decode().strip()


def regular_files(top):
    """(path in the archive, path on disk) of every regular file."""
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path) and len(path) < 4000:
                yield os.path.relpath(path, os.path.dirname(top)), path


def test_everything_comes_back_bit_for_bit(archive, tree, tmp_path):
    archive.commit(tree, '--message', 'all of it')
    archive.restore(tmp_path / 'back')
    assert_same(tree, tmp_path / 'back/tree')


@pytest.mark.slow_under_sanitizers
def test_files_of_all_sizes_around_segments_come_back(archive, tmp_path, seed):
    tree = make_tree(tmp_path / 'tree', seed, large=True)
    archive.commit(tree)
    archive.restore(tmp_path / 'back')
    assert_same(tree, tmp_path / 'back/tree')


def test_a_catalog_made_again_from_the_volumes_is_the_same(archive, tree, tmp_path):
    archive.commit(tree)
    before = archive.dump()
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == before
    archive.restore(tmp_path / 'back')
    assert_same(tree, tmp_path / 'back/tree')


def test_listings_show_every_entry(archive, tree):
    archive.commit(tree)
    expected = {b'tree' + path for path in snapshot(tree)}
    entries = archive.run('ls', '-R', '--json').json_lines()
    assert {path_of(entry) for entry in entries} == expected
    plain = archive.run('ls', '-lR', '/tree/times').lines
    assert len(plain) == len([p for p in expected if p.startswith(b'tree/times/')])
    one = archive.run('ls', '/tree/special').lines
    assert 'fifo' in one and 'socket' in one


def path_of(entry):
    if 'path_base64' in entry:
        return base64.b64decode(entry['path_base64'])
    return entry['path'].encode()


def test_find_selects_by_name_size_time_and_hash(archive, small):
    archive.commit(small, '--tag', 'kind=test')
    found = lambda *args: set(archive.run('find', *args).lines)
    everything = found()
    assert {'tree/random', 'tree/text'} <= everything
    assert found('/', '--name', 's*') == {'tree/folder/small'}
    assert found('/', '--size', '+100K') == {'tree/text'}
    assert everything - found('/', '--newer', '30d') == {'tree/folder/old'}
    assert found('/', '--hash', b3sum(f'{small}/random')) == {'tree/random'}
    assert found('/', '--tag', 'kind=test') == everything
    assert not found('/', '--tag', 'kind=other')


def test_the_hash_of_every_file_is_what_b3sum_prints(archive, tree):
    archive.commit(tree)
    entries = {path_of(entry): entry for entry in archive.run('ls', '-R', '--json').json_lines()}
    files = [(os.fsencode(inside), path) for inside, path in regular_files(tree)]
    assert len(files) > 50
    for inside, path in files:
        assert entries[inside]['hash'] == b3sum(path), inside
        assert int(entries[inside]['size']) == os.path.getsize(path)
    shown = archive.show('/tree/sizes/random-65537')
    assert shown == entries[b'tree/sizes/random-65537']


def test_cat_prints_any_range_of_any_version(archive, tmp_path, rng):
    first = rng.randbytes(1_000_000) + text_bytes(rng, 700_000)
    second = text_bytes(rng, 9_000_000)
    write_file(f'{tmp_path}/tree/file', first)
    archive.commit(tmp_path / 'tree')
    write_file(f'{tmp_path}/tree/file', second)
    archive.commit(tmp_path / 'tree')
    for number, content in (1, first), (2, second):
        version = ['/tree/file', '--version', str(number)]
        assert archive.cat(*version) == content
        edges = [0, 1, 262143, 262144, len(content) - 1, len(content), len(content) + 5]
        for offset in edges + [rng.randrange(len(content)) for _ in range(4)]:
            for length in 0, rng.randrange(600_000), 1 << 40:
                out = archive.cat(*version, '--offset', str(offset), '--length', str(length))
                assert out == content[offset:offset + length], (offset, length)
    assert archive.cat('/tree/file', '--at', '1') == first
    assert archive.cat('/tree/file') == second


def change(tree, rng):
    """Every kind of change to a small tree. Returns the snapshot before."""
    before = snapshot(tree)
    write_file(f'{tree}/text', b'now something else')
    os.unlink(f'{tree}/folder/empty')
    os.rename(f'{tree}/random', f'{tree}/renamed')
    os.chmod(f'{tree}/folder/old', 0o600)
    shutil.copy2(f'{tree}/renamed', f'{tree}/folder/copy')
    os.rmdir(f'{tree}/none')
    write_file(f'{tree}/none', b'a file where a folder was')
    os.unlink(f'{tree}/link')
    os.mkdir(f'{tree}/link')
    write_file(f'{tree}/link/in-it', rng.randbytes(5000))
    return before


def test_a_second_commit_keeps_both_states(archive, small, tmp_path, rng):
    archive.commit(small, '--message', 'one')
    before = change(small, rng)
    archive.commit(small, '--message', 'two')
    archive.restore(tmp_path / 'now')
    assert_same(small, tmp_path / 'now/tree')
    archive.restore(tmp_path / 'then', '--at', '1')
    assert_same(before, tmp_path / 'then/tree')

    heads = archive.log()
    assert [head.get('message') for head in heads] == ['two', 'one', None]
    assert [int(head['sequence']) for head in heads] == [2, 1, 0]
    versions = archive.run('ls', '--versions', '--json', '/tree/text').json_lines()
    assert sorted(int(v['version']) for v in versions) == [1, 2]
    archive.run('ls', '/tree/folder/empty', expect=FAILED)
    assert archive.run('ls', '/tree/folder/empty', '--at', '1').lines
    archive.restore(tmp_path / 'old', '/tree/text', '--version', '1')
    assert_same(before, {**before, b'/text': snapshot(tmp_path / 'old/text')[b'']})


def test_content_that_is_there_already_is_not_stored_again(archive, small, tmp_path, rng):
    write_file(f'{small}/large', rng.randbytes(9_000_000))
    archive.commit(small)
    size = archive.allocated()
    os.rename(f'{small}/large', f'{small}/moved')
    shutil.copy(f'{small}/random', f'{small}/copied')
    os.utime(f'{small}/text')
    archive.commit(small)
    assert archive.allocated() - size < 500_000
    size = archive.allocated()
    archive.commit(small)
    assert archive.allocated() == size and len(archive.log()) == 3, 'nothing has changed'
    archive.restore(tmp_path / 'back')
    assert_same(small, tmp_path / 'back/tree')


def test_diff_tells_whether_the_source_may_be_deleted(archive, tree, rng):
    archive.commit(tree)
    same = archive.run('diff', tree)
    assert 'the same' in same.text
    same = archive.run('diff', '--content', tree)
    assert 'safe to delete' in same.text and 'not safe' not in same.text
    write_file(f'{tree}/new', b'new')
    different = archive.run('diff', '--content', tree, expect=1)
    assert 'not safe to delete' in different.text and 'new' in different.text
    kinds = archive.run('diff', '--json', tree, expect=1).json_lines()
    assert {line['kind'] for line in kinds} <= {'new', 'changed'}
    os.unlink(f'{tree}/new')
    path = f'{tree}/sizes/random-65536'
    st = os.stat(path)
    write_file(path, rng.randbytes(65536), st.st_mtime_ns)
    os.utime(f'{tree}', ns=(0, snapshot_time(archive, '/tree')))
    different = archive.run('diff', '--content', tree, expect=1)
    assert 'sizes/random-65536' in different.text and 'content' in different.text


def snapshot_time(archive, path):
    seconds, nanoseconds = archive.show(path)['mtime'].split('.')
    return int(seconds) * 10**9 + int(nanoseconds)


def test_json_output_is_json(archive, small):
    archive.commit(small)
    for command in (['ls', '-R'], ['find', '/'], ['log'], ['volume', 'list'], ['diff', small]):
        lines = archive.run(*command, '--json').out.splitlines()
        for line in lines:
            json.loads(line)
        assert lines or command[0] == 'diff'
    assert archive.run('stats', '--json').json()
    volume = archive.run('volume', 'list', '--json').json_lines()[0]
    assert len(volume['uuid']) == 32 and volume['attached'] is True
    info = archive.run('volume', 'info', '--json', volume['uuid']).json()
    assert info['runs'] and int(info['stripes']) >= 4
    assert archive.run('volume', 'list').lines and archive.run('volume', 'info', '1').lines
    assert archive.run('stats').lines and archive.run('log').lines
    archive.run('cat', '--json', '/tree/text', expect=USAGE)


def test_a_whole_volume_decompresses_with_zstd(archive, tree):
    archive.commit(tree)
    out = subprocess.run(['zstd', '-dcq', '--stdout'], stdin=open(archive.volume, 'rb'),
                         check=True, capture_output=True).stdout
    for inside, path in regular_files(tree):
        with open(path, 'rb') as file:
            content = file.read()
        # Large files lie there in pieces that need not follow each other.
        for start in range(0, len(content), 32 << 20):
            assert content[start:start + (32 << 20)] in out, inside


GEOMETRIES = ['1+0', '1+3', '4+3', '30+3', '200+16', '10+0', '2+16']


@pytest.mark.parametrize('parity', GEOMETRIES)
@pytest.mark.parametrize('policy', ['tiered', 'compact'])
def test_every_parity_gives_the_same_back(archive, tmp_path, seed, parity, policy):
    tree = make_small_tree(tmp_path / 'tree', seed, size=900_000)
    archive.commit(tree, '--parity', parity, '--policy', policy)
    archive.restore(tmp_path / 'back')
    assert_same(tree, tmp_path / 'back/tree')
    before = archive.dump()
    archive.rebuild()
    assert archive.dump() == before


@pytest.mark.parametrize('parity', ['0+3', '201+3', '30+17', '30', '+', '30+-1', 'x+y', ''])
def test_impossible_parities_are_wrong_usage(archive, small, parity):
    result = archive.commit(small, '--parity', parity, expect={FAILED, USAGE})
    assert len(result.errors()) == 1


def test_a_tar_stream_holds_the_same(archive, tree, tmp_path):
    archive.commit(tree)
    os.makedirs(tmp_path / 'untarred')
    tar = subprocess.Popen(['tar', '-x', '--same-owner', '--same-permissions', '--xattrs',
                            '--xattrs-include=*', '--acls', '-C', tmp_path / 'untarred'],
                           stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    # A tar archive has no sockets, and tar no paths of 4096 bytes from outside.
    expected = snapshot(tree)
    for path in [p for p in expected if p.startswith(b'/deep') or p == b'/special/socket']:
        del expected[path]
    paths = ['/tree/' + name for name in sorted(os.listdir(tree)) if name != 'deep']
    out = archive.run('restore', '--tar', *paths, expect={DONE, PARTIAL})
    _, errors = tar.communicate(out.out)
    assert tar.returncode == 0, errors.decode()
    del expected[b'']
    # libarchive escapes what is not printable in the names of xattrs, and GNU tar leaves it so.
    del expected[b'/attributes/xattrs']['xattrs'][os.fsdecode(b'user.odd \n"\xff')]
    got = snapshot(tmp_path / 'untarred')
    got[b'/attributes/xattrs']['xattrs'].pop('user.odd%20%0A"%FF')
    del got[b'']
    # Nor are there fractions of the last second before 1970; that is told.
    for path in (b'/times/1969-1', b'/times/1969-999999999', b'/times/folder-1969'):
        assert os.fsdecode(path[1:]) in out.err
        del expected[path], got[path]
    assert_same(expected, got, ignore={'data'})


def test_an_interrupted_restore_goes_on_with_resume(archive, tree, tmp_path):
    archive.commit(tree)
    archive.restore(tmp_path / 'back')
    back = f'{tmp_path}/back/tree'
    os.unlink(f'{back}/sizes/random-65536')
    shutil.rmtree(f'{back}/links')
    write_file(f'{back}/sizes/text-65536', b'half of it')
    refused = archive.restore(tmp_path / 'back', expect=PARTIAL)
    assert 'exists' in refused.err
    archive.restore(tmp_path / 'back', '--resume', '--force')
    assert_same(tree, back)


def test_existing_files_are_never_overwritten_unless_forced(archive, small, tmp_path):
    archive.commit(small)
    write_file(f'{tmp_path}/back/tree/text', b'precious')
    result = archive.restore(tmp_path / 'back', expect=PARTIAL)
    assert 'text' in result.err
    with open(f'{tmp_path}/back/tree/text', 'rb') as file:
        assert file.read() == b'precious'
    archive.restore(tmp_path / 'back', '--force')
    assert_same(small, tmp_path / 'back/tree')


def test_the_archive_itself_is_no_place_to_restore_to(archive, new_archive, small, tmp_path):
    """Neither its folders nor anything in them, by whatever path, and nothing is left there."""
    archive.commit(small)
    (tmp_path / 'link').symlink_to(archive.path)
    before = sorted(archive.path.rglob('*'))
    for place in ('', '/.', '/volumes', '/new', '/volumes/new/newer', '/../link', '/../link/new'):
        result = archive.restore(f'{archive.path}{place}', expect=FAILED)
        assert "the archive's own folder" in result.err, place
        assert sorted(archive.path.rglob('*')) == before
    archive.restore('new', cwd=archive.path, expect=FAILED)
    archive.restore('new/../../archive/newer', cwd=tmp_path / 'link', expect=FAILED)
    assert sorted(archive.path.rglob('*')) == before
    archive.restore(tmp_path / 'back/deep')
    assert_same(small, tmp_path / 'back/deep/tree')

    disk = new_archive('elsewhere', {'volume.directory': tmp_path / 'disk'})
    disk.commit(small)
    assert 'own folder' in disk.restore(tmp_path / 'disk', expect=FAILED).err
    disk.restore(tmp_path / 'disk/back')  # may be the only disk there is
    assert_same(small, tmp_path / 'disk/back/tree')


def test_no_entry_is_restored_over_the_archive(archive, tmp_path):
    write_file(tmp_path / 'src/archive/config.toml', b'something else')
    write_file(tmp_path / 'src/archive/volumes/x', b'something else')
    write_file(tmp_path / 'src/z', b'z')
    archive.commit(*(tmp_path / 'src').iterdir())
    before = (archive.path / 'config.toml').read_bytes()
    result = archive.restore(tmp_path, '--force', expect=PARTIAL)
    assert "'archive'" in result.err and 'own folder' in result.err
    assert (archive.path / 'config.toml').read_bytes() == before
    assert not (archive.path / 'volumes/x').exists()
    assert (tmp_path / 'z').read_bytes() == b'z'


def test_exit_codes_tell_what_happened(archive, program, small, tmp_path):
    assert archive.commit(small).code == DONE
    program.run(expect=USAGE)
    program.run('no-such-command', expect=USAGE)
    archive.run('ls', '--no-such-option', expect=USAGE)
    archive.commit(expect=USAGE)
    archive.run('cat', '/no/such/path', expect=FAILED)
    archive.run('log', 'argument', expect=USAGE)
    archive.run('ls', '--at', '99', expect=FAILED)
    program.run('ls', '--archive', tmp_path, expect=NO_ARCHIVE)
    program.run('commit', '--archive', tmp_path / 'none', small, expect=NO_ARCHIVE)
    program.run('--help')
    program.run('commit', '--help')
    archive.commit(tmp_path / 'missing', expect={FAILED, PARTIAL})
    write_file(f'{tmp_path}/full/file', b'x')
    program.run('init', tmp_path / 'full', expect=FAILED)
    program.run('init', archive.path, expect=FAILED)


def test_a_source_that_is_partly_unreadable_gives_exit_code_3(archive, small, tmp_path):
    result = archive.commit(small, tmp_path / 'missing', expect={FAILED, PARTIAL})
    assert 'missing' in result.err
    if result.code == PARTIAL:
        archive.restore(tmp_path / 'back', '/tree')
        assert_same(small, tmp_path / 'back/tree')


def test_paths_can_come_from_a_file_and_be_excluded(archive, small, tmp_path):
    other = make_small_tree(tmp_path / 'other', 2)
    write_file(f'{tmp_path}/list', f'{small}\n{other}\n'.encode())
    write_file(f'{other}/cache/CACHEDIR.TAG', b'Signature: 8a477f597d28d172789f06886806bc55\n')
    write_file(f'{other}/cache/big', b'x' * 1000)
    archive.commit('--files-from', tmp_path / 'list', '--exclude', 'text', '--exclude-caches',
                   '--into', '/in/here')
    listed = archive.run('find', '/').text
    assert f'in/here{small}/random' in listed and f'in/here{other}/random' in listed
    assert '/text' not in listed and 'cache/big' not in listed


def test_standard_input_and_single_files_are_committed(archive, tmp_path, rng):
    content = rng.randbytes(40_000_000)
    archive.commit('--stdin', 'stream', input=content)
    write_file(f'{tmp_path}/alone', b'one file')
    archive.commit('--file', tmp_path / 'alone')
    assert archive.cat('/stream') == content
    assert archive.cat('/alone') == b'one file'


def test_a_dry_run_changes_nothing(archive, small):
    before = archive.volume.read_bytes()
    archive.commit('--dry-run', small)
    assert archive.volume.read_bytes() == before
    assert len(archive.log()) == 1


def test_verify_reads_back_what_was_written(archive, small):
    archive.commit('--verify', small)


def test_another_source_for_the_same_name_needs_replace(archive, small, tmp_path):
    archive.commit(small)
    other = make_small_tree(tmp_path / 'elsewhere/tree', 9)
    refused = archive.commit(other, expect=FAILED)
    assert '--replace' in refused.err
    assert len(archive.log()) == 2
    result = archive.commit(other, '--replace', expect=PARTIAL)
    assert 'folder/old' in result.err, 'other content with the same size and time'
    archive.restore(tmp_path / 'back')
    assert_same(other, tmp_path / 'back/tree')


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(program, tmp_path, small):
    def archive_at(name, *flags, env=None, config=None):
        """Which archive a bare `log` opens: told by its message."""
        text = f'[archive]\ndirectory = "{config}"\n' if config else '[logging]\nlevel = "warn"\n'
        write_file(f'{tmp_path}/config.toml', text.encode())
        result = program.run('log', '--json', *flags, cwd=tmp_path / name, env={
            'BLOCKFRAME_CONFIG': f'{tmp_path}/config.toml', **(env or {})})
        return result.json_lines()[0]['message']

    for name in 'flag', 'environment', 'file', 'default':
        program.run('init', tmp_path / name)
        program.run('commit', '--archive', tmp_path / name, '--message', name, small)
    everything = {'env': {'BLOCKFRAME_ARCHIVE_DIRECTORY': f'{tmp_path}/environment'},
                  'config': tmp_path / 'file'}
    assert archive_at('default', '--archive', tmp_path / 'flag', **everything) == 'flag'
    assert archive_at('default', **everything) == 'environment'
    assert archive_at('default', config=tmp_path / 'file') == 'file'
    assert archive_at('default') == 'default'


@pytest.mark.parametrize('text, line, key', [
    ('[parity]\ndata = 30\nfoo = 1\n', 3, 'foo'),
    ('[parity]\ndata = "many"\n', 2, 'data'),
    ('\n\n[parity]\ndata = 201\n', 4, 'data'),
    ('[cache]\nmax_size = 3\nmax_segments = "x"\n', 3, 'max_segments'),
    ('[nonsense]\nkey = 1\n', 1, 'nonsense'),
    ('[volume]\nmax_size = "64MiB\n', 2, ''),
    ('[volume]\nmax_size = "1MiB"\n', 2, 'max_size'),
    ('[logging]\nlevel = "shout"\n', 2, 'level'),
])
def test_an_error_in_the_configuration_names_file_line_and_key(program, tmp_path, text, line, key):
    write_file(f'{tmp_path}/bad.toml', text.encode())
    result = program.run('log', '--config', tmp_path / 'bad.toml', expect=FAILED)
    error, = result.errors()
    assert f'{tmp_path}/bad.toml:{line}' in error and key in error


def test_the_catalog_is_a_database_that_sqlite_reads(archive, small):
    archive.commit(small)
    with sqlite3.connect(f'file:{archive.catalog}?mode=ro', uri=True) as database:
        tables = [row[0] for row in
                  database.execute("select name from sqlite_master where type = 'table'")]
        assert tables and database.execute('pragma integrity_check').fetchone() == ('ok',)
        assert any(database.execute(f'select count(*) from "{t}"').fetchone()[0] for t in tables)


def test_trees_that_differ_are_told_apart(tmp_path, seed):
    """The comparison that all scenarios rest on sees each of these."""
    tree = make_small_tree(tmp_path / 'a', seed)
    for change in (lambda b: os.utime(f'{b}/text', ns=(0, 1)),
                   lambda b: os.chmod(f'{b}/text', 0o600),
                   lambda b: os.truncate(f'{b}/text', 5),
                   lambda b: os.setxattr(f'{b}/text', 'user.x', b''),
                   lambda b: os.unlink(f'{b}/folder/fifo'),
                   lambda b: os.mkdir(f'{b}/more'),
                   lambda b: (os.unlink(f'{b}/linked'), shutil.copy2(f'{b}/folder/small',
                                                                     f'{b}/linked'))):
        subprocess.run(['cp', '-a', tree, tmp_path / 'b'], check=True)
        assert not differences(tree, tmp_path / 'b')
        change(f'{tmp_path}/b')
        assert differences(tree, tmp_path / 'b')
        shutil.rmtree(tmp_path / 'b')
