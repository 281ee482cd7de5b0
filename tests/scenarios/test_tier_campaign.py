# SPDX-License-Identifier: MIT
"""The hot tier under load, and with volumes, mounts and programs that change under it."""
import copy
import os
import shutil
import signal
import subprocess

import pytest

from mounted import until
from program import FAILED, have
from test_tier_edges import descriptors
from tiering import MARKER, PATIENCE, Readers, Tier, run, sha256
from volume_map import Damage, read_stripes


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


def write_many(tier, rng, number, size=5_000):
    """{path: hash of its content}"""
    want = {}
    for i in range(number):
        content = rng.randbytes(size)
        want[str(tier.write(f'f{i}', content))] = sha256(content)
    return want


def test_btrfs_is_refused_loudly(tier, tmp_path):
    if not have('mkfs.btrfs'):
        pytest.skip('there is no mkfs.btrfs')
    image, folder = tier.fast / 'btrfs', tmp_path / 'btrfs'
    folder.mkdir()
    run('truncate', '-s', '256M', image)
    run('mkfs.btrfs', '-q', image)
    if run('mount', '-o', 'loop', image, folder, check=False).returncode != 0:
        pytest.skip('this kernel has no btrfs')
    result = tier.command('add', '-a', tier.archive.path, folder, expect=FAILED)
    assert 'snapshot' in result.err
    run('umount', folder)


def test_damage_within_parity_is_repaired_and_beyond_it_an_error(tier, rng):
    content = rng.randbytes(600_000)
    path = tier.write('a', content)
    tier.start()
    tier.stub(path)
    tier.kill_all()
    stripe = max(read_stripes(tier.archive.volume), key=lambda stripe: stripe.payload_size)

    def read_with(extents):
        noise = [(extent.area_offset, rng.randbytes(extent.area_size)) for extent in extents]
        with Damage(tier.archive.volume, noise):
            tier.start('--deadline', '600')
            got = Readers([str(path)]).results()[str(path)]
            tier.kill_all()
        return got

    assert read_with(stripe.extents) == 'EIO'
    assert tier.is_stub(path)
    assert read_with(stripe.extents[:stripe.m]) == sha256(content)


def test_numbers_that_a_dead_reader_had_mean_nothing_to_the_next(tier, rng):
    """The events of other files have the same descriptor numbers in the next process."""
    want = write_many(tier, rng, 16)
    first, second = list(want)[:8], list(want)[8:]
    tier.start()
    tier.stub(*want)
    worker, = tier.holders('run')
    os.kill(worker, signal.SIGSTOP)

    def most():
        return max((descriptors(pid), pid) for pid in tier.holders('guard'))

    idle = most()[0]
    early = Readers(first)
    until(lambda: most()[0] == idle + 8, 'the guard to have them all')
    tier.kill([most()[1]])
    assert set(early.results().values()) == {'EAGAIN'}
    until(lambda: len(tier.holders('guard')) == 2, 'the next guard')
    idle = most()[0]
    late = Readers(second)
    until(lambda: most()[0] >= idle + 7, 'the guard to have the others')
    os.kill(worker, signal.SIGCONT)
    assert late.results() == {path: want[path] for path in second}
    assert Readers(first).results() == {path: want[path] for path in first}


def test_a_lazy_unmount_and_another_mount_leave_the_marks(tier, rng):
    content = rng.randbytes(30_000)
    path = tier.write('a', content)
    tier.start()
    tier.stub(path)
    source = run('findmnt', '-no', 'SOURCE', tier.root).stdout.decode().strip()
    run('umount', '-l', tier.root)
    run('mount', source, tier.root)
    assert Readers([str(path)]).results() == {str(path): sha256(content)}


def test_the_program_may_be_replaced_while_files_are_read(tier, tmp_path, rng, count):
    want = write_many(tier, rng, 16, 300_000)
    tier.start()
    for number in range(count(1, 20)):
        tier.stub(*[path for path in want if not tier.is_stub(path)])
        readers = Readers(want)
        tier.stop()
        for path, got in readers.results().items():
            assert got in (want[path], 'EAGAIN')
        newer = tmp_path / f'blockframe{number}'
        shutil.copy(tier.program.binary, newer)
        tier.program = copy.copy(tier.program)
        tier.program.binary = newer
        tier.start()
        assert Readers(want).results() == want


@pytest.mark.slow_under_sanitizers
def test_a_search_through_all_stubs_sees_all_files(tier, rng, count):
    want = write_many(tier, rng, count(40, 3_000))
    tier.start()
    paths = list(want)
    for i in range(0, len(paths), 500):
        tier.stub(*paths[i:i + 500])
    command = ['grep', '-rac', 'x', str(tier.hot)]
    storm = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    found = [process.communicate(timeout=10 * PATIENCE)[0] for process in storm]
    assert all(process.returncode == 0 for process in storm)
    calm = run(*command).stdout
    assert [sorted(text.splitlines()) for text in found] == [sorted(calm.splitlines())] * 4
    assert tier.status()['stubs'] == '0'


def test_many_stubs_are_guarded_after_a_start(tier, rng, count):
    """All of one content; the rows are made from the markers."""
    number = count(300, 50_000)
    content = rng.randbytes(3_000)
    model = tier.write('model', content)
    tier.start()
    tier.stub(model)
    marker = os.getxattr(model, MARKER)
    tier.kill_all()
    paths = [tier.hot / f'm{i}' for i in range(number)]
    for i, path in enumerate(paths):
        with open(path, 'wb') as file:
            file.truncate(len(content))
        os.setxattr(path, MARKER, (i + 1).to_bytes(8, 'little') + marker[8:])
    tier.program.run('tier', 'check', '--repair', env=tier.environment, expect=None,
                     timeout=20 * PATIENCE)
    tier.start()
    assert tier.status()['stubs'] == str(number + 1)
    some = [str(path) for path in rng.sample(paths, 50)]
    assert set(Readers(some).results().values()) == {sha256(content)}
