# SPDX-License-Identifier: MIT
"""Power cuts: whatever reached the disk of what was not flushed, acknowledged commits are
there, the interrupted one is whole or absent, and the archive goes on."""
import os

import pytest

from history import check_commits, full_volume
from power import EXIT, Cut, Record
from program import KILLED, Archive, remove
from trees import assert_same, make_small_tree, snapshot, write_file

WAYS = ['nothing', 'everything', 'names_only', 'content_only', 'some']


class Recorded:
    """A folder with an archive in it, and every change to it. The check is made for the moment
    after any number of operations, and any way in which a disk may treat the last ones."""

    def __init__(self, program, folder, **interpose):
        self.program = program
        self.root = f'{folder}/disk'
        self.file = f'{folder}/record'
        self.copy = None
        self.interpose = {'ROOT': self.root, 'RECORD': self.file, **interpose}
        self.archive = Archive(program, f'{self.root}/archive')
        os.makedirs(self.root)

    def begin_with(self, archive):
        """What is there before the record begins."""
        archive.copy(self.archive.path)
        self.copy = f'{self.root}.before'
        os.mkdir(self.copy)
        archive.copy(f'{self.copy}/archive')

    def record(self):
        return Record(self.file, self.root, self.copy)

    def cut(self, record, count, way, scratch, rng):
        """(the archive as it is after a power cut, exit codes before that)"""
        print(f'power cut after {count} of {len(record)} operations, {way}')
        cut = Cut(record, count)
        remove(scratch)
        cut.build(getattr(cut, way)(rng), f'{scratch}/disk')
        return Archive(self.program, f'{scratch}/disk/archive'), cut.exits


class Commits(Recorded):
    """An init and commits after it."""

    def __init__(self, program, folder, seed, **interpose):
        super().__init__(program, folder, **interpose)
        self.tree = make_small_tree(folder / 'tree', seed, size=20_000)
        self.states = []
        self.archive.init(interpose=self.interpose)

    def commit(self, **options):
        write_file(f'{self.tree}/new-{len(self.states)}', os.urandom(10_000))
        self.states.append(snapshot(self.tree))
        self.archive.commit(self.tree, interpose=self.interpose, **options)

    def check(self, record, count, way, scratch, rng):
        archive, exits = self.cut(record, count, way, scratch, rng)
        if not exits and not (archive.path / 'config.toml').exists():
            archive.init()
        acknowledged = self.states[:max(len(exits) - 1, 0)]
        pending = self.states[len(acknowledged):][:1] if exits else []
        check_commits(archive, f'{scratch}/back', acknowledged, *pending)
        archive.commit(self.tree)
        archive.restore(f'{scratch}/back')
        assert_same(self.tree, f'{scratch}/back/tree')


@pytest.mark.parametrize('way', WAYS)
def test_a_power_cut_loses_nothing_acknowledged(program, interpose, tmp_path, seed, way, rng,
                                                count):
    commits = Commits(program, tmp_path, seed)
    for _ in range(3):
        commits.commit()
    record = commits.record()
    assert Cut(record, len(record)).exits == [0] * 4
    cuts = count(record.near_syncs(), list(range(len(record) + 1)))
    cuts = rng.sample(cuts, min(len(cuts), count(14, 10_000)))
    for cut in cuts * (2 if way == 'some' else 1):
        commits.check(record, cut, way, tmp_path / 'scratch', rng)


@pytest.mark.parametrize('crash', ['volume.extent.written:2', 'volume.parity.written:5',
                                   'volume.record.written:1', 'volume.record.synced:1'])
def test_a_power_cut_after_a_kill_loses_nothing_acknowledged(program, interpose, tmp_path, seed,
                                                             crash, rng, count):
    """What a killed commit wrote is read by the next command, but may never reach the disk."""
    commits = Commits(program, tmp_path, seed)
    commits.commit()
    commits.commit(env={'BLOCKFRAME_CRASH_AT': crash}, expect=KILLED)
    killed = len(commits.record())
    commits.archive.log(interpose=commits.interpose)
    record = commits.record()
    del record.operations[-1]  # the log's exit, which acknowledges nothing
    for cut in range(killed, len(record) + 1, count(16, 2)):
        for way in WAYS + ['some'] * count(0, 2):
            commits.check(record, cut, way, tmp_path / 'scratch', rng)


def test_a_power_cut_while_volumes_roll_over_loses_nothing(program, interpose, tmp_path, seed,
                                                           rng, count):
    history = full_volume(program, tmp_path / 'base', seed)
    recorded = Recorded(program, tmp_path)
    recorded.begin_with(history.archive)
    recorded.archive.commit(history.tree, interpose=recorded.interpose)
    assert len(recorded.archive.volumes) == 2
    pending = snapshot(history.tree)
    record = recorded.record()
    cuts = count(record.near_syncs(), list(range(len(record) + 1)))
    for cut in rng.sample(cuts, min(len(cuts), count(3, 60))):
        for way in WAYS:
            archive, exits = recorded.cut(record, cut, way, tmp_path / 'scratch', rng)
            there = check_commits(archive, tmp_path / 'back', history.states, pending)
            assert there or not exits
            archive.commit(history.tree)
            check_commits(archive, tmp_path / 'back', [*history.states, pending], only=[])
    remove(tmp_path / 'scratch')


def test_a_power_cut_while_the_catalog_is_made_again_leaves_one(program, interpose, tmp_path,
                                                                seed, rng, count):
    commits = Commits(program, tmp_path / 'base', seed)
    commits.commit()
    commits.commit()
    recorded = Recorded(program, tmp_path)
    recorded.begin_with(commits.archive)
    before = recorded.archive.dump()
    recorded.archive.rebuild(interpose=recorded.interpose)
    record = recorded.record()
    cuts = count(record.near_syncs(), list(range(len(record) + 1)))
    for cut in rng.sample(cuts, min(len(cuts), count(8, 200))):
        for way in WAYS:
            archive, _ = recorded.cut(record, cut, way, tmp_path / 'scratch', rng)
            assert archive.dump() == before


def test_without_syncs_of_volumes_a_power_cut_does_lose_data(program, interpose, tmp_path, seed,
                                                             rng):
    """The check above can fail: here it must."""
    commits = Commits(program, tmp_path, seed, DROP_SYNC='.bfv')
    for _ in range(3):
        commits.commit()
    record = commits.record()
    with pytest.raises(AssertionError):
        for cut in record.near_syncs():
            commits.check(record, cut, 'nothing', tmp_path / 'scratch', rng)
