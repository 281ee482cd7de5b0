# SPDX-License-Identifier: MIT
"""What lies over a hot tier's folder while nobody guards its stubs: nobody sees zeroes, and no
backup takes the folder for an empty one."""
import errno
import os
import subprocess

import pytest

from mounted import until
from program import BUSY, DONE, FAILED, KILLED, PARTIAL, have
from tier_cleaner import mounts_below
from tiering import PATIENCE, Tier, run

NAMES = ('a', 'deep/b', 'deep/er/c')


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


def fill(tier, rng):
    """Files of which all but the first are stubs; {path: content}."""
    (tier.hot / 'deep' / 'er').mkdir(parents=True)
    contents = {tier.write(name, data): data
                for name in NAMES for data in [rng.randbytes(30_000 + len(name))]}
    tier.stub(*list(contents)[1:])
    return contents


def covered(tier):
    return [place for place in mounts_below(tier.root) if place == os.fspath(tier.hot)]


def assert_hidden(tier):
    assert covered(tier)
    for attempt in (os.listdir, os.stat, lambda path: open(path / 'a', 'rb')):
        with pytest.raises(OSError) as error:
            attempt(tier.hot)
        assert error.value.errno == errno.ENOTCONN


def assert_whole(contents):
    for path, content in contents.items():
        assert path.read_bytes() == content


@pytest.mark.main
def test_a_covered_folder_shows_nothing_until_it_is_guarded(tier, rng):
    tier.start()
    contents = fill(tier, rng)
    tier.kill_all()
    # A guard that nobody has told of stubs is none.
    for _ in range(2):
        tier.command('guard', '--background')
    until(lambda: len(tier.holders('guard')) == 2, 'one guard')
    for _ in range(2):
        tier.command('cover')
        assert_hidden(tier)
        assert len(covered(tier)) == 1
    assert tier.command('status', '--json', expect=PARTIAL).json()['covered'] == [
        {'path': os.fspath(tier.hot)}]
    tier.start()
    assert not covered(tier)
    assert tier.status()['covered'] == []
    assert_whole(contents)
    # It is guarded through the mount that everybody sees.
    assert run('umount', tier.root, check=False).returncode != 0
    tier.command('cover')
    assert not covered(tier)


def test_a_machine_that_shuts_down_covers_what_is_guarded(tier, rng):
    tier.start()
    contents = fill(tier, rng)
    tier.stop()
    tier.command('cover', '--guarded')
    assert_hidden(tier)
    tier.kill_all(keep_covers=True)
    assert_hidden(tier)
    tier.start()
    assert_whole(contents)


def test_what_can_not_be_guarded_stays_covered(tier, rng):
    tier.start()
    contents = fill(tier, rng)
    tier.kill_all()
    hidden = tier.archive.path.with_name('away')
    tier.archive.path.rename(hidden)
    tier.program.run('tier', 'run', env=tier.environment, expect=None)
    assert_hidden(tier)
    tier.kill_all(keep_covers=True)
    assert tier.command('release', expect=BUSY).errors()
    assert_hidden(tier)
    hidden.rename(tier.archive.path)
    tier.start()
    assert_whole(contents)
    tier.stop()
    tier.command('cover', '--guarded')
    tier.command('release')
    assert not covered(tier)
    assert_whole(contents)


def test_a_file_system_that_is_not_mounted_is_not_covered(tier, rng):
    tier.start()
    contents = fill(tier, rng)
    tier.kill_all()
    until(lambda: run('umount', tier.root, check=False).returncode == 0, 'umount')
    tier.hot.mkdir()
    assert 'is not mounted' in tier.command('cover', expect=FAILED).err
    assert not covered(tier)
    tier.hot.rmdir()
    assert tier.mount().returncode == 0
    tier.command('cover')
    tier.start()
    assert_whole(contents)


def test_a_tier_that_is_a_whole_file_system_is_covered_too(program, tmp_path, rng):
    with Tier(program, tmp_path) as tier:
        tier.command('remove', tier.hot)
        tier.command('add', '-a', tier.archive.path, '--into', 'all', tier.root)
        tier.start()
        contents = fill(tier, rng)
        tier.kill_all()
        tier.command('cover')
        assert mounts_below(tmp_path).count(os.fspath(tier.root)) == 2
        with pytest.raises(OSError) as error:
            os.listdir(tier.root)
        assert error.value.errno == errno.ENOTCONN
        tier.start()
        assert_whole(contents)


def test_no_cover_outlives_its_reason(tier, rng):
    tier.command('cover')
    tier.command('remove', tier.hot)
    assert not covered(tier)
    tier.add()
    tier.start()
    contents = fill(tier, rng)
    tier.kill_all()
    # Laid only when the daemon has looked for covers already.
    gate = tier.fast / 'gate'  # goes, whatever becomes of the test
    gate.touch()
    late = tier.program.start('tier', 'cover', env={
        **tier.environment, 'BLOCKFRAME_WAIT_AT': f'tier.cover.wanted:{gate}'})
    try:
        tier.start()
    finally:
        gate.unlink()
    late.finish(expect=DONE)
    assert not covered(tier)
    assert_whole(contents)


def test_what_the_configuration_lacks_leaves_no_stub_uncovered(tier, rng, tmp_path):
    tier.command('remove', tier.hot)
    config = tmp_path / 'config.toml'
    config.write_text(f'[[tier.folder]]\ndirectory = "{tier.hot}"\n'
                      f'archive = "{tier.archive.path}"\ninto = "hot"\n')
    tier.environment['BLOCKFRAME_CONFIG'] = str(config)
    tier.start()
    contents = fill(tier, rng)
    tier.kill_all()
    hidden = tier.archive.path.with_name('away')
    tier.archive.path.rename(hidden)
    tier.command('run', expect=None)
    assert_hidden(tier)
    hidden.rename(tier.archive.path)
    tier.start()
    assert_whole(contents)


STEPS = ['tier.cover.laid', 'tier.cover.marked', 'tier.cover.guarded', 'tier.cover.lifted']


@pytest.mark.slow_under_sanitizers
def test_a_crash_at_any_step_shows_no_zeroes(tier, rng, count):
    tier.start()
    contents = fill(tier, rng)
    for step in rng.sample(STEPS, count(1, len(STEPS))):
        tier.stub(*list(contents)[1:])
        tier.kill_all()
        tier.start_guard()
        crashing = tier.program.start(
            'tier', 'run', env={**tier.environment, 'BLOCKFRAME_CRASH_AT': f'{step}:1'})
        assert crashing.finish(expect=KILLED).code == KILLED
        if step == 'tier.cover.laid':
            assert_hidden(tier)
        for path in list(contents)[1:]:
            try:
                assert path.read_bytes() == contents[path]
            except OSError as error:
                assert error.errno in (errno.ENOTCONN, errno.EAGAIN)
        # The guard starts another worker only if it has seen this one.
        if step == 'tier.cover.laid':
            tier.start()
        tier.whole_again()
        until(lambda: not covered(tier), 'the cover to go')
        assert_whole(contents)


# ---- backups ----

@pytest.mark.skipif(not have('rsync'), reason='there is no rsync')
def test_no_backup_is_emptied(tier, tmp_path, rng):
    """rsync --delete, from the folder and from the one around it; before, under and after the
    cover."""
    def back_up():
        return {subprocess.run(['rsync', '-rlpt', '--delete', '--exclude=lost+found', f'{source}/',
                                f'{tmp_path}/backup/{source.name}/'],
                               capture_output=True, timeout=PATIENCE).returncode
                for source in (tier.hot, tier.root)}

    def kept():
        return {path.relative_to(tmp_path / 'backup'): path.read_bytes()
                for path in (tmp_path / 'backup').rglob('*') if path.is_file()}

    (tmp_path / 'backup').mkdir()
    tier.start()
    contents = fill(tier, rng)
    assert back_up() == {0}
    before = kept()
    assert len(before) == 2 * len(contents)
    tier.stub(*list(contents)[1:])
    tier.kill_all()
    tier.command('cover')
    assert 0 not in back_up()
    assert kept() == before
    tier.start()
    assert back_up() == {0}
    assert kept() == before
    list(contents)[0].unlink()
    assert back_up() == {0}
    assert len(kept()) == len(before) - 2


def test_a_commit_of_a_covered_folder_deletes_nothing(tier, rng):
    tier.start()
    contents = fill(tier, rng)
    tier.archive.commit(tier.root)
    tier.stub(*list(contents)[1:])
    tier.kill_all()
    tier.command('cover')
    result = tier.archive.commit(tier.hot, expect=None)
    assert result.code != DONE and 'not connected' in result.err
    result = tier.archive.commit(tier.root, expect=PARTIAL)
    assert f'{tier.hot}' in result.err
    for path, content in contents.items():
        name = path.relative_to(tier.hot)
        assert tier.archive.cat(f'/fs/hot/{name}') == content
    assert tier.archive.run('diff', tier.hot, expect=None).code != DONE
    tier.start()
    assert_whole(contents)
