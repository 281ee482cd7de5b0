# SPDX-License-Identifier: MIT
"""A call to the kernel fails, at every place where one can: a clear error, and no damage to
what was there."""
import errno

import pytest

from history import History, check_commits, copy_of
from program import DONE, FAILED, NO_ARCHIVE, PARTIAL
from trees import make_small_tree, snapshot, write_file

ERRORS = {FAILED, PARTIAL, NO_ARCHIVE}  # the last when the folder itself can't be opened
SHORT = 0  # the interposer's "errno" for a short write
FAILURES = [
    ('write', errno.ENOSPC), ('write', errno.EIO), ('write', SHORT), ('sync', errno.EIO),
    ('sync', errno.ENOSPC), ('open', errno.EIO), ('open', errno.EMFILE), ('truncate', errno.EIO),
    ('rename', errno.EIO), ('link', errno.EIO), ('read', errno.EIO), ('alloc', errno.ENOMEM),
]


@pytest.fixture
def history(archive, interpose, tmp_path, seed):
    """An archive with two commits, and a folder that has changed since."""
    tree = make_small_tree(tmp_path / 'tree', seed, size=20_000)
    history = History(archive, tree)
    history.commit()
    write_file(f'{tree}/text', b'changed')
    history.commit()
    write_file(f'{tree}/new', b'new' * 10_000)
    return history


def calls_of(archive, tmp_path, run):
    """{call: how often}, of a run that nothing disturbs."""
    file = tmp_path / 'counts'
    file.unlink(missing_ok=True)
    run(archive, interpose={'ROOT': archive.path, 'COUNT': file, 'FAIL': 'alloc:1000000000:12'})
    counts = {}
    for line in file.read_text().splitlines():
        call, number = line.split()
        counts[call] = counts.get(call, 0) + int(number)
    return counts


def spread_over(total, most):
    """At most @most of 1 .. total, the first and the last among them."""
    if total <= most:
        return range(1, total + 1)
    return sorted({1 + (total - 1) * i // (most - 1) for i in range(most)})


def check_failure(result):
    """One clear line, unless the program could do without that call."""
    if result.code == DONE:
        return
    assert 1 <= len(result.errors()) <= 2, str(result)
    assert all(len(line) > 10 for line in result.errors()), str(result)


@pytest.mark.parametrize('call, number', FAILURES)
@pytest.mark.parametrize('lasting', [False, True], ids=['once', 'from then on'])
def test_a_call_that_fails_during_a_commit_does_no_damage(history, tmp_path, count, call, number,
                                                          lasting):
    pending = snapshot(history.tree)
    base = copy_of(history.archive, tmp_path / 'base')
    undisturbed = copy_of(base, tmp_path / 'trial')
    total = calls_of(undisturbed, tmp_path, lambda a, **o: a.commit(history.tree, **o))
    for n in spread_over(total.get(call, 0), count(8, 100 if call == 'alloc' else 100_000)):
        archive = copy_of(base, tmp_path / 'trial')
        fail = f'{call}:{n}:{number}' + (':all' if lasting else '')
        print(fail)
        result = archive.commit(history.tree, expect={DONE, *ERRORS},
                                interpose={'ROOT': archive.path, 'FAIL': fail})
        check_failure(result)
        there = check_commits(archive, tmp_path / 'back', history.states, pending)
        assert there or result.code != DONE
        states = history.states + [pending] * there
        archive.commit(history.tree)
        check_commits(archive, tmp_path / 'back', states, pending)


@pytest.mark.parametrize('call, number', [('write', errno.ENOSPC), ('sync', errno.EIO),
                                          ('open', errno.EIO), ('read', errno.EIO),
                                          ('rename', errno.EIO), ('alloc', errno.ENOMEM)])
def test_a_call_that_fails_during_a_rebuild_does_no_damage(history, tmp_path, count, call,
                                                           number):
    base = history.archive
    before = base.dump()
    total = calls_of(copy_of(base, tmp_path / 'trial'), tmp_path,
                     lambda a, **o: a.rebuild(**o))
    for n in spread_over(total.get(call, 0), count(8, 200)):
        archive = copy_of(base, tmp_path / 'trial')
        print(f'{call}:{n}:{number}')
        result = archive.rebuild(expect={DONE, *ERRORS},
                                 interpose={'ROOT': archive.path, 'FAIL': f'{call}:{n}:{number}'})
        check_failure(result)
        if result.code != DONE and not archive.catalog.exists():
            archive.rebuild()
        assert archive.dump() == before


@pytest.mark.parametrize('call, number', [('read', errno.EIO), ('alloc', errno.ENOMEM)])
def test_a_call_that_fails_during_a_restore_gives_no_wrong_bytes(history, tmp_path, count, call,
                                                                 number):
    archive = history.archive
    archive.commit(history.tree)
    state = snapshot(history.tree)
    back = tmp_path / 'back'
    total = calls_of(archive, tmp_path, lambda a, **o: a.restore(back / 'whole', **o))
    for n in spread_over(total.get(call, 0), count(20, 300)):
        print(f'{call}:{n}:{number}')
        archive.restore(back / f'{n}', expect=None,
                        interpose={'ROOT': archive.path, 'FAIL': f'{call}:{n}:{number}'})
        if not (back / f'{n}/tree').exists():
            continue
        for path, entry in snapshot(back / f'{n}/tree').items():
            if b'.blockframe' not in path:
                assert entry.get('content') == state[path].get('content'), path


def test_a_full_disk_is_named_and_what_was_there_stays(history, tmp_path):
    result = history.archive.commit(
        history.tree, expect=FAILED,
        interpose={'ROOT': history.archive.path, 'FAIL': f'write:1:{errno.ENOSPC}:all'})
    assert 'No space left' in result.err
    check_commits(history.archive, tmp_path / 'back', history.states)
