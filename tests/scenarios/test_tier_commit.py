# SPDX-License-Identifier: MIT
"""Commits and comparisons of a hot tier bring no stub back, and archive no zeroes."""
import contextlib
import errno
import os
import sqlite3

import pytest

from program import DONE, PARTIAL
from tiering import MARKER, Tier, TierArchive


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        tier.start()
        yield tier


def tree(folder):
    """{name: what a backup has to keep of it}"""
    found = {}
    for path in sorted(folder.rglob('*')):
        info = path.lstat()
        names = {name: os.getxattr(path, name) for name in os.listxattr(path)
                 if not name.startswith('trusted.')}
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (content, info.st_mode, info.st_mtime_ns,
                                                info.st_nlink, names)
    return found


def fill(tier, rng, number, large=9_000_000):
    """Small files, a large one, one with two names, one with attributes and one with holes."""
    names = [f'{i % 7}/f{i}' for i in range(number)]
    for i, name in enumerate(names):
        (tier.hot / name).parent.mkdir(exist_ok=True)
        tier.write(name, rng.randbytes(1 + rng.randrange(9_000)) if i else
                   rng.randbytes(large))
    os.link(tier.hot / names[1], tier.hot / 'linked')
    os.setxattr(tier.hot / names[2], 'user.note', b'kept')
    os.setxattr(tier.hot / names[3], 'user.long', rng.randbytes(700))
    with open(tier.hot / names[4], 'r+b') as file:
        file.truncate(3_000_000)
    return [tier.hot / name for name in names]


def recalled(tier):
    return tier.status()['recalled']


@pytest.mark.main
@pytest.mark.slow_under_sanitizers
def test_a_nightly_commit_brings_nothing_back(tier, tmp_path, rng, count):
    paths = fill(tier, rng, count(40, 1_000))
    tier.archive.commit(tier.hot)
    want = tree(tier.hot)
    commits = len(tier.archive.log())
    tier.stub(*paths)
    commits += 1  # of `tier stub`
    for _ in range(2):
        summary = tier.archive.commit('--json', tier.hot).json()
        assert summary['new_files'] == summary['changed_files'] == '0', summary
    assert tier.archive.commit('--json', '--dry-run', tier.hot).json()['read_size'] == '0'
    assert len(tier.archive.log()) <= commits
    for options in ([], ['--content']):
        assert 'changed' not in tier.archive.run('diff', *options, tier.hot).text
#What happens to stubs that is no recall is committed, and brings nothing back either.
    moved = tier.hot / 'moved'
    paths[5].rename(moved)
    os.chmod(paths[6], 0o640)
    os.setxattr(paths[7], 'user.new', b'value')
    paths[8].unlink()
    summary = tier.archive.commit('--json', tier.hot).json()
    assert (summary['new_files'], summary['changed_files'], summary['deleted_files']) == (
        '1', '2', '2'), summary
    assert summary['read_size'] == '0'
    assert recalled(tier) == '0'
    assert all(tier.is_stub(path) for path in [moved, *paths[:5], *paths[6:8], *paths[9:]])
    tier.archive.restore(tmp_path / 'out', '/hot')
    del want[str(paths[5].relative_to(tier.hot))], want[str(paths[8].relative_to(tier.hot))]
    got = tree(tmp_path / 'out' / 'hot')
    assert got.pop('moved')[0] == moved.read_bytes()
    for path in paths[6:8]:
        name = str(path.relative_to(tier.hot))
        assert got.pop(name)[0] == want.pop(name)[0]
    assert {k: v for k, v in got.items() if v[0] is not None} == {
        k: v for k, v in want.items() if v[0] is not None}
    # What came back is the same, too.
    assert tree(tier.hot)['linked'] == want['linked']
    assert tier.archive.run('diff', '--content', tier.hot).code == DONE
    assert tier.archive.commit('--json', tier.hot).json()['new_size'] == '0'


def test_a_stub_of_another_archive_is_read(tier, tmp_path, rng):
    paths = fill(tier, rng, 6, large=50_000)
    tier.archive.commit(tier.hot)
    contents = {path: path.read_bytes() for path in paths}
    tier.stub(*paths)
    other = TierArchive(tier, tmp_path / 'other').init()
    other.commit(tier.hot)
    assert recalled(tier) == str(len(paths))
    for path, content in contents.items():
        assert other.cat(f'/hot/{path.relative_to(tier.hot)}') == content
#That the same bytes are there does not matter : it is not what the stub refers to.
    tier.stub(*paths)
    other.commit(tier.hot)
    assert recalled(tier) == str(2 * len(paths))


def test_what_contradicts_itself_is_not_carried_over(tier, rng):
    paths = [tier.write(f'f{i}', rng.randbytes(20_000 + i)) for i in range(5)]
    paths.append(tier.write('block', rng.randbytes(3_000)))  # as an attribute may have one
    contents = {path: path.read_bytes() for path in paths}
    tier.archive.commit(tier.hot)
    tier.stub(*paths)
    os.setxattr(paths[0], MARKER, os.getxattr(paths[1], MARKER))
    os.setxattr(paths[2], MARKER, b'short')
    tier.kill_all()
    os.truncate(paths[3], 5_000)
    with open(paths[5], 'r+b') as file:
        file.write(b'something else')
    tier.start()
    result = tier.archive.commit(tier.hot, expect=PARTIAL)
    assert len(result.errors()) == 4, result
    for i in (0, 2, 3, 5):
        assert f'{paths[i]}' in result.err
    assert tier.is_stub(paths[1]) and tier.is_stub(paths[4])
    for path, content in contents.items():
        assert tier.archive.cat(f'/hot/{path.name}') == content
    assert recalled(tier) == '0'
    result = tier.archive.run('diff', tier.hot, expect=None)
    assert result.code != DONE
    assert paths[1].name not in result.text and paths[4].name not in result.text


def test_a_commit_without_the_table_archives_no_zeroes(tier, rng):
    content = rng.randbytes(60_000)
    path = tier.write('a', content)
    tier.archive.commit(tier.hot)
    tier.stub(path)
    tier.kill_all()
    table, = tier.state.glob('*.db')
    for file in tier.state.glob('*.db*'):
        file.unlink()
    assert 'nobody guards' in tier.archive.commit(tier.hot, expect=PARTIAL).err
    with contextlib.closing(sqlite3.connect(table)) as empty:
        empty.execute('VACUUM')
    tier.start()
    with pytest.raises(OSError) as error:
        path.read_bytes()
    assert error.value.errno == errno.EIO
    assert tier.archive.commit(tier.hot, expect=PARTIAL).errors()
    assert tier.archive.cat('/hot/a') == content
    tier.command('check', '--repair')
    tier.archive.commit(tier.hot)
    assert tier.is_stub(path)
    assert path.read_bytes() == content
