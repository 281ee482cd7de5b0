# SPDX-License-Identifier: MIT
"""Recalls of several files and users at a time, and those that must not be."""
import errno
import os
import shutil
import subprocess
import sys

import pytest

from mounted import until
from program import DONE, KILLED
from test_tier_races import held_at
from tiering import MARKER, PATIENCE, READER, Readers, Tier, run, sha256

NOBODY = 65534


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


class ReadersOfNobody(Readers):
    def __init__(self, paths):
        self.process = subprocess.Popen([sys.executable, '-IS', '-c', READER, *paths],
                                        stdout=subprocess.PIPE, user=NOBODY, group=NOBODY,
                                        extra_groups=[])


def test_some_programs_cause_no_recall(tier, tmp_path, rng):
    content = rng.randbytes(30_000)
    path = tier.write('a', content)
    indexer = tmp_path / 'indexer'
    shutil.copy(shutil.which('cat'), indexer)
    link = tmp_path / 'link'
    link.symlink_to(indexer)
    tier.start(env={'BLOCKFRAME_TIER_NEVER_RECALL': f'/no/such/program:{link}'})
    tier.stub(path)
    for command in (indexer, link):
        result = subprocess.run([command, path], capture_output=True, timeout=PATIENCE)
        assert result.returncode != 0 and result.stdout == b''
        assert os.strerror(errno.EBUSY).encode() in result.stderr
    indexer.unlink()  # one that was replaced while it runs is still refused; this one is new
    shutil.copy(shutil.which('cat'), tmp_path / 'other')
    assert tier.is_stub(path)
    assert run(tmp_path / 'other', path).stdout == content


def test_a_daemon_that_is_started_again_has_the_same_configuration(tier, tmp_path, rng):
    path = tier.write('a', rng.randbytes(30_000))
    indexer = tmp_path / 'indexer'
    shutil.copy(shutil.which('cat'), indexer)
    (tmp_path / 'tier.toml').write_text(f'[tier]\nnever_recall = ["{indexer}"]\n')
    tier.start('--config', os.path.relpath(tmp_path / 'tier.toml'))
    tier.stub(path)
    tier.kill(tier.holders('run'))
    tier.daemons[-1].finish(expect=KILLED)
    tier.whole_again()
    result = subprocess.run([indexer, path], capture_output=True, timeout=PATIENCE)
    assert os.strerror(errno.EBUSY).encode() in result.stderr
    assert tier.is_stub(path)


def test_one_user_does_not_take_all_recalls(tier, let_others_in, tmp_path, rng):
    let_others_in(tmp_path)
    os.chmod(tier.fast, 0o755)
    contents = {str(tier.hot / f'f{i}'): rng.randbytes(5_000) for i in range(4)}
    for path, content in contents.items():
        with open(path, 'wb') as file:
            file.write(content)
        os.utime(path, (1, 2))
    want = {path: sha256(content) for path, content in contents.items()}
    *theirs, ours = contents

    def begun(paths):
        return sum(os.stat(path).st_mtime != 2 for path in paths)

    with held_at(tier, 'tier.recall.chunk', env={'BLOCKFRAME_TIER_RECALLS_PER_USER': '1'}):
        tier.stub(*contents)
        many = ReadersOfNobody(theirs)
        until(lambda: tier.status()['waiting'] == '3', 'them to wait')
        one = Readers([ours])
        until(lambda: begun([ours]) == 1 and begun(theirs) > 0, 'two recalls')
        assert begun(theirs) == 1
    assert {**many.results(), **one.results()} == want


def test_recalls_that_do_not_fit_together_do_not_begin(tier, rng):
    contents = [rng.randbytes(8 << 20) for _ in range(2)]
    paths = [tier.write(f'f{i}', content) for i, content in enumerate(contents)]
    os.utime(paths[0], (1, 2))
    with held_at(tier, 'tier.recall.chunk'):
        tier.stub(*paths)
        free = os.statvfs(tier.root)
        ballast = tier.root / 'ballast'
        run('fallocate', '-l', str(free.f_bavail * free.f_frsize - (28 << 20)), ballast)
        first = Readers([str(paths[0])])
        until(lambda: paths[0].stat().st_mtime != 2, 'the first recall')
        assert Readers([str(paths[1])]).results() == {str(paths[1]): 'ENOSPC'}
        assert tier.is_stub(paths[1])
    assert first.results() == {str(paths[0]): sha256(contents[0])}
    ballast.unlink()
    assert paths[1].read_bytes() == contents[1]


def test_what_has_its_blocks_comes_back_on_a_full_disk(tier, rng):
    """A stub that is made when the disk is almost full, by a daemon that is killed before it
    takes the blocks away."""
    content = rng.randbytes(8 << 20)
    path = tier.write('a', content)
    tier.start_guard()
    tier.start(env={'BLOCKFRAME_CRASH_AT': 'tier.stub.committed:1'})
    tier.command('stub', path, expect=None)
    assert tier.daemons[-1].finish(expect=KILLED).code == KILLED
    tier.whole_again()
    assert MARKER in os.listxattr(path)
    free = os.statvfs(tier.root)
    run('fallocate', '-l', str(free.f_bavail * free.f_frsize - (2 << 20)), tier.root / 'ballast')
    assert Readers([str(path)]).results() == {str(path): sha256(content)}
    assert MARKER not in os.listxattr(path)


class TierOnLargeBlocks(Tier):
    """On a device that takes nothing but whole blocks of 16 KiB."""

    def make_file_system(self):
        image = self.fast / 'image'
        run('truncate', '-s', '512M', image)
        made = run('losetup', '-f', '--show', '-b', '16384', image, check=False)
        device = made.stdout.decode().strip()
        self.root.mkdir()
        for command in (('mkfs.xfs', '-q', '-b', 'size=16384', '-s', 'size=16384', device),
                        ('mount', device, self.root)):
            if made.returncode != 0 or run(*command, check=False).returncode != 0:
                pytest.skip('this kernel has no blocks of 16 KiB')
        self.hot.mkdir()


def test_a_large_file_comes_back_on_large_blocks(program, tmp_path, rng):
    content = rng.randbytes((32 << 20) + 4096)
    with TierOnLargeBlocks(program, tmp_path, 'xfs') as tier:
        path = tier.write('a', content)
        tier.start()
        tier.stub(path)
        assert Readers([str(path)]).results() == {str(path): sha256(content)}


def test_a_volume_that_is_away_is_named(tier, rng):
    content = rng.randbytes(30_000)
    path = tier.write('a', content)
    tier.start()
    tier.stub(path)
    tier.kill_all()
    volume = tier.archive.volume
    hidden = volume.with_suffix('.away')
    volume.rename(hidden)
    tier.start()
    assert Readers([str(path)]).results()[str(path)] == 'EAGAIN'
    problem, = tier.status()['problems']
    assert problem['path'] == str(path)
    assert "('archive', last seen at " in problem['problem']
    assert volume.name in problem['problem']
    tier.kill_all()
    hidden.rename(volume)
    tier.start()
    assert path.read_bytes() == content
    assert MARKER not in os.listxattr(path)
    assert tier.command('check', expect=DONE).out == b''
