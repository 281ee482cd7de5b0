# SPDX-License-Identifier: MIT
"""Two commits at once; and readers meanwhile."""
import subprocess

import pytest

from program import BUSY, DONE, INTERRUPTED, KILLED
from trees import assert_same, make_small_tree

pytestmark = pytest.mark.main


@pytest.fixture
def tree(tmp_path, seed):
    return make_small_tree(tmp_path / 'tree', seed)


def wait_for_lock(run, waiting=False):
    """Return when @run holds the archive's lock, or (@waiting) is blocked by who holds it: the
    kernel says so."""
    while run.running:
        with open('/proc/locks', encoding='ascii') as file:
            for line in file:
                fields = line.split()
                blocked = fields[1] == '->'
                if fields[1 + blocked] == 'FLOCK' and blocked == waiting and \
                        int(fields[4 + blocked]) == run.process.pid:
                    return
    pytest.fail('it has ended without the lock')


@pytest.fixture
def first(archive, tree):
    """A commit that is under way until its standard input ends."""
    archive.commit(tree)
    run = archive.start('commit', '--stdin', 'stream', stdin=subprocess.PIPE)
    run.stdin.write(b'the first part, ')
    run.stdin.flush()
    wait_for_lock(run)
    yield run
    if run.process.returncode is None:
        run.kill()
        run.finish(expect={DONE, KILLED})


def end(run):
    run.stdin.write(b'and the rest')
    run.finish()


def test_a_second_writer_is_sent_away_with_exit_code_11(archive, first, tree):
    refused = archive.commit(tree, expect=BUSY)
    assert len(refused.errors()) == 1
    archive.rebuild(expect=BUSY)
    end(first)
    assert archive.cat('/stream') == b'the first part, and the rest'
    archive.commit(tree)


def test_a_second_writer_can_wait(archive, first, tmp_path):
    other = make_small_tree(tmp_path / 'other', 2)
    second = archive.start('commit', '--wait', other)
    wait_for_lock(second, waiting=True)
    end(first)
    second.finish()
    assert archive.cat('/stream') == b'the first part, and the rest'
    archive.restore(tmp_path / 'back', '/other')
    assert_same(other, tmp_path / 'back/other')
    assert len(archive.log()) == 4


def test_the_one_that_waits_has_not_begun(archive, first, tmp_path):
    second = archive.start('commit', '--wait', make_small_tree(tmp_path / 'other', 2))
    wait_for_lock(second, waiting=True)
    assert len(archive.log()) == 2 and second.running
    second.kill()
    second.finish(expect=KILLED)
    end(first)


def test_readers_work_while_a_writer_is_at_it(archive, first, tree, tmp_path):
    archive.restore(tmp_path / 'back')
    assert_same(tree, tmp_path / 'back/tree')
    assert len(archive.log()) == 2
    assert archive.run('ls', '-lR').lines and archive.run('find', '/').lines
    assert archive.run('stats').lines and archive.run('volume', 'list').lines
    assert archive.run('diff', '--content', tree)
    before = archive.dump()
    end(first)
    assert archive.dump() != before


def test_an_interrupted_commit_says_so_and_leaves_nothing(archive, first, tree, tmp_path):
    import signal
    first.stdin.write(b'x' * 100_000)
    first.kill(signal.SIGINT)
    first.stdin.close()
    result = first.finish(expect={INTERRUPTED, DONE})
    if result.code == INTERRUPTED:
        assert len(archive.log()) == 2
    archive.restore(tmp_path / 'back', '/tree')
    assert_same(tree, tmp_path / 'back/tree')
    archive.commit(tree)


def test_the_lock_of_a_killed_writer_is_free(archive, first, tree):
    first.kill()
    first.finish(expect=KILLED)
    archive.commit(tree, '--tag', 'after=kill', '--read-all')
