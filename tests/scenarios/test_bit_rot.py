# SPDX-License-Identifier: MIT
"""A source that rots, and one that does not hold still."""
import os

import pytest

from history import History, check_commits
from program import DONE, PARTIAL
from trees import make_small_tree, snapshot, write_file

pytestmark = pytest.mark.main


@pytest.fixture
def history(archive, tmp_path, seed):
    history = History(archive, make_small_tree(tmp_path / 'tree', seed))
    write_file(f'{history.tree}/large', os.urandom(9_000_000))
    history.commit()
    return history


def rot(path):
    """One other bit, and nothing that tells: size and mtime stay."""
    st = os.stat(path)
    with open(path, 'r+b') as file:
        file.seek(st.st_size // 2)
        byte = file.read(1)[0]
        file.seek(st.st_size // 2)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


@pytest.mark.parametrize('name', ['random', 'large'])
def test_content_that_changed_alone_is_reported_and_kept_as_a_new_version(history, tmp_path, name):
    archive = history.archive
    rot(f'{history.tree}/{name}')
    result = history.commit(expect=PARTIAL)
    assert any(name in line and 'damaged' in line for line in result.errors()), str(result)
    assert [int(v['version']) for v in
            archive.run('ls', '--versions', '--json', f'/tree/{name}').json_lines()] in ([1, 2],
                                                                                       [2, 1])
    check_commits(archive, tmp_path / 'back', history.states)


def test_a_file_that_was_only_touched_is_no_bit_rot(history, tmp_path):
    path = f'{history.tree}/random'
    st = os.stat(path)
    os.chmod(path, 0o600)  # changes ctime
    os.chmod(path, st.st_mode & 0o7777)
    assert history.commit().err == ''
    check_commits(history.archive, tmp_path / 'back', history.states)


def test_unchanged_files_are_not_read_again(history):
    """Content that changes behind the back of all times is found with --read-all."""
    archive = history.archive
    summary = archive.commit(history.tree, '--json').json()
    assert int(summary['read_size']) == 0
    summary = archive.commit(history.tree, '--json', '--read-all').json()
    assert int(summary['read_size']) > 9_000_000


@pytest.mark.parametrize('size', [1_000, 30_000_000])
def test_a_file_that_does_not_hold_still_is_left_out(history, tmp_path, interpose, size):
    archive = history.archive
    path = f'{history.tree}/restless'
    write_file(path, os.urandom(size))
    result = archive.commit(history.tree, expect=PARTIAL,
                            interpose={'ROOT': path, 'RESTLESS': 1})
    assert any('restless' in line for line in result.errors())
    archive.run('show', '/tree/restless', expect=1)
    assert archive.commit(history.tree).code == DONE
    archive.restore(tmp_path / 'back')
    assert snapshot(tmp_path / 'back/tree/restless') == snapshot(path)


def test_a_file_that_can_not_be_read_keeps_its_version(history, tmp_path, interpose):
    archive = history.archive
    before = snapshot(history.tree)
    write_file(f'{history.tree}/random', os.urandom(50_000))
    write_file(f'{history.tree}/other', b'readable')
    result = archive.commit(history.tree, expect=PARTIAL, interpose={
        'ROOT': f'{history.tree}/random', 'FAIL': 'read:1:5:all'})
    assert any('random' in line for line in result.errors())
    archive.restore(tmp_path / 'back')
    after = snapshot(tmp_path / 'back/tree')
    assert after[b'/random'] == before[b'/random']
    assert after[b'/other']['size'] == 8
