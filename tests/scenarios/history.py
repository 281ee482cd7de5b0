# SPDX-License-Identifier: MIT
"""The states that an archive must give back, and the check that it does."""
import random

from program import Archive, remove
from trees import MIB, assert_same, make_small_tree, snapshot, write_file


class History:
    """Commits one folder again and again, and remembers what it looked like each time."""

    def __init__(self, archive, tree):
        self.archive = archive
        self.tree = tree
        self.states = []  # snapshots; number n is commit n + 1

    def commit(self, *args, **options):
        result = self.archive.commit(self.tree, *args, **options)
        self.states.append(snapshot(self.tree))
        return result


def check_commits(archive, scratch, states, pending=None, only=None):
    """Every commit restores as it was. @pending: the state of a commit that may be there as a
    whole, or not at all. @only: numbers of the commits to restore; default all. Returns
    whether the pending one is there."""
    count = len(archive.log()) - 1
    allowed = [len(states)] if pending is None else [len(states), len(states) + 1]
    assert count in allowed, f'{count} commits, not {allowed}'
    for number, state in enumerate([*states, pending][:count], 1):
        if only is None or number in only or number > len(states):
            archive.restore(scratch, '--at', str(number))
            assert_same(state, f'{scratch}/tree')
            remove(scratch)
    return count > len(states)


def full_volume(program, folder, seed):
    """A history after which the next commit finds no room in the volume."""
    rng = random.Random(f'full volume {seed}')
    tree = make_small_tree(folder / 'tree', seed)
    archive = Archive(program, folder / 'archive').init(settings={'volume.max_size': '64MiB'})
    history = History(archive, tree)
    write_file(f'{tree}/large', rng.randbytes(40 * MIB))
    history.commit()
    write_file(f'{tree}/new', rng.randbytes(6 * MIB))
    return history


def copy_of(archive, path):
    """A copy of an archive that takes the place of an earlier one."""
    remove(path)
    return archive.copy(path)
