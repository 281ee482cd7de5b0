# SPDX-License-Identifier: MIT
"""Power cuts: whatever reached the disk of what was not flushed, acknowledged commits are
there, the interrupted one is whole or absent, and the archive goes on."""
import os

import pytest

from history import check_commits
from power import SYNC, Cut, build, read_record
from program import Archive, remove
from trees import assert_same, make_small_tree, snapshot, write_file


class Recorded:
    """An init and three commits, with every change that they made to the disk."""

    def __init__(self, program, folder, seed, **interpose):
        self.program = program
        self.root = f'{folder}/disk'
        self.tree = make_small_tree(folder / 'tree', seed, size=20_000)
        os.mkdir(self.root)
        settings = {'ROOT': self.root, 'RECORD': f'{folder}/record', **interpose}
        archive = Archive(program, f'{self.root}/archive').init(interpose=settings)
        self.states = []
        for n in range(3):
            write_file(f'{self.tree}/new-{n}', os.urandom(10_000 + n))
            archive.commit(self.tree, interpose=settings)
            self.states.append(snapshot(self.tree))
        archive.restore(folder / 'back')
        assert_same(self.states[-1], folder / 'back/tree')
        self.operations = read_record(f'{folder}/record')
        assert Cut(self.operations, len(self.operations)).exits == [0] * 4

    def check(self, count, choose, scratch, rng):
        """The disk as it is when the power goes after @count operations."""
        cut = Cut(self.operations, count)
        root = f'{scratch}/disk'
        build(cut.state(getattr(cut, choose)(rng)), self.root, root)
        archive = Archive(self.program, f'{root}/archive')
        done = len(cut.exits)
        if done == 0 and not os.path.exists(f'{root}/archive/config.toml'):
            archive.init()
        acknowledged = self.states[:max(done - 1, 0)]
        pending = self.states[len(acknowledged)] if 1 <= done <= 3 else None
        check_commits(archive, f'{scratch}/back', acknowledged, pending)
        archive.commit(self.tree)
        archive.restore(f'{scratch}/back')
        assert_same(self.tree, f'{scratch}/back/tree')
        remove(scratch)

    def cuts(self, everywhere):
        """After which operations to cut: before and after each sync at least."""
        syncs = [index for index, operation in enumerate(self.operations)
                 if operation.kind == SYNC]
        near = {index + after for index in syncs for after in (0, 1)}
        return list(range(len(self.operations) + 1)) if everywhere else sorted(near)


WAYS = ['nothing', 'everything', 'names_only', 'content_only', 'some']


@pytest.fixture
def recorded(program, interpose, tmp_path, seed):
    return Recorded(program, tmp_path, seed)


@pytest.mark.parametrize('way', WAYS)
def test_a_power_cut_loses_nothing_acknowledged(recorded, tmp_path, way, rng, count):
    cuts = recorded.cuts(everywhere=count(False, True))
    cuts = rng.sample(cuts, min(len(cuts), count(14, 10_000)))
    for cut in cuts * (count(2, 4) if way == 'some' else 1):
        print(f'power cut after {cut} of {len(recorded.operations)} operations, {way}')
        recorded.check(cut, way, tmp_path / 'scratch', rng)


def test_without_syncs_of_volumes_a_power_cut_does_lose_data(program, interpose, tmp_path, seed,
                                                             rng):
    """The check above can fail: here it must."""
    recorded = Recorded(program, tmp_path, seed, DROP_SYNC='.bfv')
    with pytest.raises(AssertionError):
        for cut in recorded.cuts(everywhere=False):
            recorded.check(cut, 'nothing', tmp_path / 'scratch', rng)
