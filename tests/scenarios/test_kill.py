# SPDX-License-Identifier: MIT
"""kill -9 at every named step and at random moments: earlier commits are intact, the
interrupted one is whole or absent, and the next command needs no help."""
import pathlib
import random
import re
import time

import pytest

from history import History, check_commits, copy_of, full_volume
from program import DONE, KILLED, Archive, remove
from trees import MIB, assert_same, make_small_tree, snapshot, write_file

SOURCE = pathlib.Path(__file__).resolve().parents[2] / 'src'
CRASH_POINTS = sorted({name for path in SOURCE.rglob('*.c')
                       for name in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())
                       if not name.startswith(('volume.repair.', 'volume.scrub.',
                                           'archive.protect.', 'archive.remake.',
                                           'volume.remake.', 'archive.copies.',
                                           'archive.health.', 'archive.add.', 'archive.restore.',
                                           'tier.'))})
# Those have tests of their own: test_health.py, test_outer.py, test_copies.py,
# test_volume_sets.py, test_tier_restore.py, test_tier*.py.


class Interrupted:
    """An archive with two commits, and a command on a copy of it that gets killed."""

    def __init__(self, base, states, pending, tree):
        self.base = base
        self.states = states
        self.pending = pending  # what `tree` is like now, not committed yet
        self.tree = tree

    def begin(self, path):
        return copy_of(self.base, path)

    def check(self, archive, scratch):
        """After the kill: what was there is there, and a commit and a rebuild just work."""
        check_commits(archive, scratch, self.states, self.pending)
        archive.commit(self.tree)
        archive.restore(scratch)
        assert_same(self.pending, f'{scratch}/tree')
        remove(scratch)
        before = archive.dump()
        archive.forget_catalog()
        archive.rebuild()
        assert archive.dump() == before


class Init(Interrupted):
    def begin(self, path):
        remove(path)
        return Archive(self.base.program, path)

    def run(self, archive, **options):
        return archive.program.run('init', archive.path, **options)

    def check(self, archive, scratch):
        if not (archive.path / 'config.toml').exists():
            archive.init()
        assert len(archive.log()) == 1
        archive.commit(self.tree)
        archive.restore(scratch)
        assert_same(self.pending, f'{scratch}/tree')
        remove(scratch)


class Commit(Interrupted):
    def run(self, archive, **options):
        return archive.commit(self.tree, **options)


class CommitAfterKill(Commit):
    """A writer that finds the last record without its parity."""

    def begin(self, path):
        archive = copy_of(self.base, path)
        archive.commit(self.tree, expect=KILLED,
                       env={'BLOCKFRAME_CRASH_AT': 'volume.record.readable:1'})
        return archive


class CatchUp(Interrupted):
    """A reader that finds the catalog behind the volumes."""

    def begin(self, path):
        archive = copy_of(self.base, path)
        archive.commit(self.tree, expect=KILLED,
                       env={'BLOCKFRAME_CRASH_AT': 'archive.commit.recorded:1'})
        return archive

    def run(self, archive, **options):
        return archive.run('log', **options)


class Rebuild(Interrupted):
    def run(self, archive, **options):
        return archive.rebuild(**options)


class RebuildWithoutCatalog(Rebuild):
    def begin(self, path):
        archive = copy_of(self.base, path)
        archive.forget_catalog()
        return archive

    def check(self, archive, scratch):
        archive.rebuild()
        super().check(archive, scratch)


def small_history(program, folder, seed):
    tree = make_small_tree(folder / 'tree', seed)
    history = History(Archive(program, folder / 'base').init(), tree)
    history.commit()
    write_file(f'{tree}/text', b'changed')
    history.commit()
    rng = random.Random(f'kill {seed}')
    write_file(f'{tree}/new', rng.randbytes(400_000))
    write_file(f'{tree}/large', rng.randbytes(9 * MIB))
    return history.archive, history.states, snapshot(tree), tree


@pytest.fixture(scope='module')
def operations(program, tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp('kill')
    small = small_history(program, folder / 'small', seed)
    full = full_volume(program, folder / 'full', seed)
    full = (full.archive, full.states, snapshot(full.tree), full.tree)
    yield {
        'init': Init(*small),
        'commit': Commit(*small),
        'commit after a kill': CommitAfterKill(*small),
        'catch up': CatchUp(*small),
        'rebuild': Rebuild(*small),
        'rebuild without catalog': RebuildWithoutCatalog(*small),
        'roll-over': Commit(*full),
    }
    remove(folder)


REBUILDS = ['rebuild', 'rebuild without catalog']
WHERE = {  # which operations pass a point; all others: init, commit, roll-over
    'archive.init.': ['init'],
    'archive.rebuild.': REBUILDS,
    'archive.catch_up.': ['catch up', *REBUILDS],
    'archive.volume.': ['roll-over'],
    'archive.checkpoint.': ['roll-over'],
    'volume.sealed': ['roll-over'],
    'volume.record.completed': ['commit after a kill'],
    'archive.': ['commit'],
}


def operations_at(point):
    for prefix, names in WHERE.items():
        if point.startswith(prefix):
            return names
    return ['init', 'commit', 'roll-over']


def passes(most_at_once):
    """1, 2, 3, ... and, from where it gets many, ever larger steps."""
    n = 1
    while True:
        yield n
        n += max(1, n // most_at_once)


@pytest.mark.parametrize('point', CRASH_POINTS)
def test_a_kill_at_a_named_step_loses_nothing(operations, tmp_path, count, point):
    kills = 0
    for name in operations_at(point):
        operation = operations[name]
        for n in passes(count(2, 1000)):
            archive = operation.begin(tmp_path / 'archive')
            result = operation.run(archive, env={'BLOCKFRAME_CRASH_AT': f'{point}:{n}'},
                                   expect={DONE, KILLED})
            if result.code == DONE:
                break
            kills += 1
            operation.check(archive, tmp_path / 'scratch')
    assert kills > 0, f'no operation passes {point}'


class Killer:
    """Kills runs at random moments. @took: seconds that such a run has taken. What they will take
    is anybody's guess, since others use the machine too: it is learnt as one goes."""

    def __init__(self, rng, took):
        self.rng = rng
        self.took = took
        self.kills = 0
        self.runs = 0

    def wants(self, kills):
        """Whether there must be more runs for so many kills."""
        assert self.runs < 20 * kills, f'{self.kills} kills in {self.runs} runs'
        return self.kills < kills

    def kill(self, run):
        """Kill a run, unless it has ended. Returns the result."""
        time.sleep(self.rng.random() * self.took)  # not synchronisation: any moment will do
        if run.running:
            run.kill()
        result = run.finish(expect={DONE, KILLED})
        self.runs += 1
        self.kills += result.code == KILLED
        self.took = self.took * 1.05 if result.code == KILLED else min(self.took, result.seconds)
        return result


@pytest.mark.main
def test_kills_at_random_moments_lose_nothing(archive, tmp_path, count, rng, seed):
    tree = make_small_tree(tmp_path / 'tree', seed)
    history = History(archive, tree)
    killer = Killer(rng, history.commit().seconds)
    while killer.wants(count(12, 125)):
        if killer.runs % 25 == 24:  # a new archive now and then: this one has been checked enough
            archive.delete()
            history = History(archive.init(), tree)
            history.commit()
        write_file(f'{tree}/large', rng.randbytes(rng.choice([100_000, 3 * MIB, 12 * MIB])))
        write_file(f'{tree}/text', rng.randbytes(rng.randrange(100_000)))
        pending = snapshot(tree)
        result = killer.kill(archive.start('commit', tree))
        some = rng.sample(range(1, len(history.states) + 1), min(2, len(history.states)))
        there = check_commits(archive, tmp_path / 'scratch', history.states, pending, only=some)
        assert there or result.code == KILLED
        if there:
            history.states.append(pending)
        elif rng.random() < 0.7:
            history.commit()
    check_commits(archive, tmp_path / 'scratch', history.states)


@pytest.mark.slow_under_sanitizers
def test_kills_while_volumes_roll_over_lose_nothing(operations, tmp_path, count, rng):
    operation = operations['roll-over']
    archive = operation.begin(tmp_path / 'archive')
    killer = Killer(rng, operation.run(archive).seconds)
    assert len(archive.volumes) == 2
    while killer.wants(count(4, 30)):
        archive = operation.begin(tmp_path / 'archive')
        killer.kill(archive.start('commit', operation.tree))
        operation.check(archive, tmp_path / 'scratch')


def test_kills_while_the_catalog_is_made_again_lose_nothing(operations, tmp_path, count, rng):
    operation = operations['rebuild']
    archive = operation.begin(tmp_path / 'archive')
    before = archive.dump()
    killer = Killer(rng, operation.run(archive).seconds)
    while killer.wants(count(4, 30)):
        killer.kill(archive.start('catalog', 'rebuild'))
        assert archive.dump() == before


def test_a_kill_while_restoring_leaves_no_half_file_under_its_name(operations, tmp_path, count,
                                                                   rng):
    operation = operations['roll-over']
    scratch = tmp_path / 'scratch'
    killer = Killer(rng, operation.base.restore(scratch).seconds)
    state = operation.states[-1]
    while killer.wants(count(3, 15)):
        remove(scratch)
        killer.kill(operation.base.start('restore', '--to', scratch, '/'))
        if (scratch / 'tree').exists():
            for path, entry in snapshot(scratch / 'tree').items():
                if path in state:
                    assert entry.get('content') == state[path].get('content'), path
        operation.base.restore(scratch, '--resume')
        left = {path: entry for path, entry in snapshot(scratch / 'tree').items()
                if not path.endswith(b'.partial')}
        assert_same(state, left, ignore={'mtime'})
