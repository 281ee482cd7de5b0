# SPDX-License-Identifier: MIT
"""Power cuts: whatever reached the disk of what was not flushed, acknowledged commits are
there, the interrupted one is whole or absent, and the archive goes on."""
import os

import pytest

from history import check_commits
from power import EXIT, SYNC, Cut, build, read_record
from program import KILLED, Archive, remove
from trees import assert_same, make_small_tree, snapshot, write_file


class Recorded:
    """An archive that is made and gets commits, with every change that this does to the disk.
    The first one stands for the init: commit number n is command number n."""

    def __init__(self, program, folder, seed, **interpose):
        self.program = program
        self.root = f'{folder}/disk'
        self.record = f'{folder}/record'
        self.tree = make_small_tree(folder / 'tree', seed, size=20_000)
        self.interpose = {'ROOT': self.root, 'RECORD': self.record, **interpose}
        os.mkdir(self.root)
        self.archive = Archive(program, f'{self.root}/archive').init(interpose=self.interpose)
        self.states = []

    def commit(self, **options):
        write_file(f'{self.tree}/new-{len(self.states)}', os.urandom(10_000))
        self.states.append(snapshot(self.tree))
        self.archive.commit(self.tree, interpose=self.interpose, **options)

    @property
    def operations(self):
        return read_record(self.record)

    def check(self, operations, count, choose, scratch, rng):
        """The disk as it is when the power goes after @count operations."""
        print(f'power cut after {count} of {len(operations)} operations, {choose}')
        cut = Cut(operations, count)
        root = f'{scratch}/disk'
        build(cut.state(getattr(cut, choose)(rng)), self.root, root)
        archive = Archive(self.program, f'{root}/archive')
        done = min(len(cut.exits), len(self.states) + 1)
        if done == 0 and not os.path.exists(f'{root}/archive/config.toml'):
            archive.init()
        acknowledged = self.states[:max(done - 1, 0)]
        pending = self.states[done - 1] if 1 <= done <= len(self.states) else None
        check_commits(archive, f'{scratch}/back', acknowledged, pending)
        archive.commit(self.tree)
        archive.restore(f'{scratch}/back')
        assert_same(self.tree, f'{scratch}/back/tree')
        remove(scratch)


def near_syncs(operations):
    """The moments before and after each sync."""
    syncs = [index for index, operation in enumerate(operations) if operation.kind == SYNC]
    return sorted({index + after for index in syncs for after in (0, 1)})


WAYS = ['nothing', 'everything', 'names_only', 'content_only', 'some']


@pytest.mark.parametrize('way', WAYS)
def test_a_power_cut_loses_nothing_acknowledged(program, interpose, tmp_path, seed, way, rng,
                                                count):
    recorded = Recorded(program, tmp_path, seed)
    for _ in range(3):
        recorded.commit()
    operations = recorded.operations
    assert Cut(operations, len(operations)).exits == [0] * 4
    cuts = count(near_syncs(operations), list(range(len(operations) + 1)))
    cuts = rng.sample(cuts, min(len(cuts), count(14, 10_000)))
    for cut in cuts * (count(2, 4) if way == 'some' else 1):
        recorded.check(operations, cut, way, tmp_path / 'scratch', rng)


@pytest.mark.parametrize('crash', ['volume.extent.written:2', 'volume.parity.written:5',
                                   'volume.record.written:1', 'volume.record.synced:1'])
def test_a_power_cut_after_a_kill_loses_nothing_acknowledged(program, interpose, tmp_path, seed,
                                                             crash, rng, count):
    """What a killed commit wrote is read by the next command, but may never reach the disk."""
    recorded = Recorded(program, tmp_path, seed)
    recorded.commit()
    recorded.commit(env={'BLOCKFRAME_CRASH_AT': crash}, expect=KILLED)
    killed = len(recorded.operations)
    recorded.archive.log(interpose=recorded.interpose)
    operations = [operation for index, operation in enumerate(recorded.operations)
                  if index < killed or operation.kind != EXIT]
    for cut in range(killed, len(operations) + 1, count(5, 1)):
        for way in WAYS + ['some'] * count(1, 5):
            recorded.check(operations, cut, way, tmp_path / 'scratch', rng)


def test_without_syncs_of_volumes_a_power_cut_does_lose_data(program, interpose, tmp_path, seed,
                                                             rng):
    """The check above can fail: here it must."""
    recorded = Recorded(program, tmp_path, seed, DROP_SYNC='.bfv')
    for _ in range(3):
        recorded.commit()
    operations = recorded.operations
    with pytest.raises(AssertionError):
        for cut in near_syncs(operations):
            recorded.check(operations, cut, 'nothing', tmp_path / 'scratch', rng)
