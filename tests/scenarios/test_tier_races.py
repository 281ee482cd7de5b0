# SPDX-License-Identifier: MIT
"""The hot tier where two do something at the same time. A thread of the daemon is held at a
named place (src/base/crash_point.h) until the other one is done."""
import contextlib
import os

import pytest

from mounted import until
from program import DONE, PARTIAL
from tiering import MARKER, PATIENCE, Readers, Tier, sha256


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


@contextlib.contextmanager
def held_at(tier, place, ready=True, env=None):
    """A daemon that waits at a place for as long as this lasts."""
    gate = tier.fast / 'gate'
    gate.touch()
    env = {'BLOCKFRAME_WAIT_AT': f'{place}:{gate}', **(env or {})}
    try:
        if ready:
            tier.start(env=env)
        else:
            tier.daemons.append(tier.program.start('tier', 'run',
                                                   env={**tier.environment, **env}))
        yield
    finally:
        gate.unlink()


def test_times_that_are_set_during_a_recall_stay(tier, rng):
    content = rng.randbytes(2_500_000)
    path = tier.write('a', content)
    os.utime(path, (1, 2))
    with held_at(tier, 'tier.recall.chunk'):
        tier.stub(path)
        reader = Readers([str(path)])
        until(lambda: path.stat().st_mtime != 2, 'the recall')
        os.utime(path, ns=(5_000_000_006, 7_000_000_008))
    assert reader.results() == {str(path): sha256(content)}
    assert path.stat().st_mtime_ns == 7_000_000_008


def test_check_leaves_alone_what_is_being_recalled(tier, rng):
    contents = {'full': rng.randbytes(300_000), 'empty': bytes(300_000)}
    paths = [tier.write(name, content) for name, content in contents.items()]
    with held_at(tier, 'tier.recall.unmarked'):
        tier.stub(*paths)
        readers = Readers(map(str, paths))
        until(lambda: not any(MARKER in os.listxattr(path) for path in paths), 'the recalls')
        assert tier.command('check').out == b''
        assert tier.command('check', '--repair').out == b''
    assert readers.results() == {str(path): sha256(content)
                                 for path, content in zip(paths, contents.values())}
    assert not any(MARKER in os.listxattr(path) for path in paths)
    assert tier.status()['stubs'] == '0'


def test_a_guard_that_is_killed_while_a_daemon_starts_has_a_successor(tier, rng):
    content = rng.randbytes(20_000)
    path = tier.write('a', content)
    with held_at(tier, 'tier.run.entered', ready=False):
        until(lambda: len(tier.holders('guard')) == 2, 'the guard')
        until(lambda: tier.kill(tier.holders('guard')) or not tier.holders('guard'),
              'the guard to end')
    tier.whole_again()
    tier.stub(path)
    assert path.read_bytes() == content


def test_tiers_that_are_added_at_once_are_all_there(tier):
    folders = [tier.root / f'tier{i}' for i in range(12)]
    for folder in folders:
        folder.mkdir()
    adding = [tier.program.start('tier', 'add', '-a', tier.archive.path, folder,
                                 env=tier.environment) for folder in folders]
    for run in adding:
        run.finish(timeout=PATIENCE)
    listed = tier.command('list', '--json').json_lines()
    assert {line['folder'] for line in listed} == {str(tier.hot), *map(str, folders)}


def test_what_was_deleted_is_remembered_until_it_is_repaired(tier, rng):
    tier.start()
    path = tier.write('a', rng.randbytes(20_000))
    tier.stub(path)
    tier.kill_all()
    path.unlink()
    tier.start()
    assert tier.status()['stubs'] == '1'
    assert 'it was deleted' in tier.command('check', expect=PARTIAL).text
    assert 'it was deleted; repaired' in tier.command('check', '--repair', expect=DONE).text
    assert tier.status()['stubs'] == '0'
