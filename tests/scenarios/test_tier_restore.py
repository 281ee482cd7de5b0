# SPDX-License-Identifier: MIT
"""A lost hot tier comes back as stubs: guarded before anybody can see them."""
import errno
import os
import shutil

import pytest

from mounted import until
from program import DONE, FAILED, KILLED
from tiering import MARKER, Tier

STEPS = ['archive.restore.guarded', 'archive.restore.linked']
WORKER_STEPS = ['tier.adopt.marked', 'tier.adopt.settled']


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


def fill(tier, rng, number):
    """{name: content} of a tree with a bit of everything, committed."""
    contents = {}
    for i in range(number):
        name = f'{i % 5}/f{i}'
        (tier.hot / name).parent.mkdir(exist_ok=True)
        contents[name] = rng.randbytes(rng.randrange(1, 4_000))
        os.utime(tier.write(name, contents[name]), ns=(0, 1_500_000_000_000_000_000 + i))
    contents['large'] = rng.randbytes(9_000_000)
    contents['holes'] = rng.randbytes(20_000)
    contents['empty'] = b''
    for name in ('large', 'holes', 'empty'):
        tier.write(name, contents[name])
    os.truncate(tier.hot / 'holes', 3_000_000)
    contents['holes'] += bytes(2_980_000)
    os.link(tier.hot / '1/f1', tier.hot / 'linked')
    contents['linked'] = contents['1/f1']
    os.chmod(tier.hot / '2/f2', 0o4711)
    os.setxattr(tier.hot / '3/f3', 'user.note', b'kept')
    (tier.hot / 'symlink').symlink_to('1/f1')
    tier.archive.commit(tier.hot)
    return contents


def lose(tier):
    for path in tier.hot.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def restore(tier, to=None, **options):
    return tier.archive.run('restore', '--to', to or tier.root, '--stubs', '--force', '/hot',
                            **options)


def assert_all_stubs(tier, contents):
    for name, content in contents.items():
        assert (tier.hot / name).stat().st_size == len(content), name
        assert not content or tier.is_stub(tier.hot / name), name


def assert_whole(tier, contents):
    for name, content in contents.items():
        assert (tier.hot / name).read_bytes() == content, name


def leave(tier):
    """The tier is the whole file system, so that its top folder can be restored."""
    tier.command('remove', tier.hot)
    tier.command('add', '-a', tier.archive.path, '--into', 'all', tier.root)


@pytest.mark.main
@pytest.mark.slow_under_sanitizers
def test_a_lost_tier_comes_back_as_stubs(tier, rng, count):
    leave(tier)
    tier.start()
    contents = fill(tier, rng, count(200, 60_000))
    lose(tier)
    summary = tier.archive.run(
        'restore', '--json', '--to', tier.root, '--stubs', '/hot').json()
    assert summary['bytes'] == '0' and summary['problems'] == '0', summary
    assert int(summary['stubs']) == len(contents) - 2  # the empty one, the second name
    assert_all_stubs(tier, contents)
    assert tier.status()['recalled'] == '0'
    assert tier.command('check').out == b''
    assert (tier.hot / '2/f2').stat().st_mode & 0o7777 == 0o4711
    assert (tier.hot / '4/f4').stat().st_mtime_ns == 1_500_000_000_000_000_004
    assert os.getxattr(tier.hot / '3/f3', 'user.note') == b'kept'
    assert (tier.hot / 'linked').samefile(tier.hot / '1/f1')
    assert os.readlink(tier.hot / 'symlink') == '1/f1'
    # Again: what is there stays, and nothing comes back by it.
    summary = tier.archive.run('restore', '--json', '--to', tier.root, '--stubs', '--resume',
                               '/hot').json()
    assert summary['stubs'] == '0' and int(summary['kept']) >= len(contents) - 2
    assert tier.archive.run('diff', tier.hot).code == DONE
    assert tier.status()['recalled'] == '0'
    # They are stubs like all others, also for another daemon.
    tier.kill_all()
    tier.start()
    assert_whole(tier, dict(rng.sample(sorted(contents.items()), 30)))


def test_it_is_refused_where_nobody_would_guard_it(tier, tmp_path, rng):
    tier.start()
    fill(tier, rng, 10)
    lose(tier)
    result = restore(tier, to=tmp_path / 'elsewhere', expect=FAILED)
    assert 'tier add' in result.err and 'tier run' in result.err
    assert not list((tmp_path / 'elsewhere').rglob('*'))
    assert "'..'" in restore(tier, to=tier.hot / 'new' / '..' / '..' / 'out', expect=FAILED).err
    tier.stop()
    assert 'tier run' in restore(tier, to=tier.hot / 'back', expect=FAILED).err
    assert not (tier.hot / 'back').exists()
    tier.start()
    restore(tier, to=tier.hot / 'back')
    assert tier.is_stub(tier.hot / 'back/hot/large')


@pytest.mark.slow_under_sanitizers
def test_a_restore_that_is_killed_shows_no_holes(tier, rng, count):
    leave(tier)
    tier.start()
    contents = fill(tier, rng, 140)  # more than a batch
    for step in rng.sample(STEPS + WORKER_STEPS, count(1, 4)):
        lose(tier)
        if step in STEPS:
            result = restore(tier, env={'BLOCKFRAME_CRASH_AT': f'{step}:2'}, expect=KILLED)
            assert result.code == KILLED
        else:
            tier.kill_all()
            tier.start_guard()
            tier.start(env={'BLOCKFRAME_CRASH_AT': f'{step}:2'})
            crashing = tier.daemons[-1]
            assert restore(tier, expect=None).code != DONE
            assert crashing.finish(expect=KILLED).code == KILLED
            tier.whole_again()
        found = [path for path in tier.hot.rglob('*') if path.is_file() and path.stat().st_size]
        for path in rng.sample(found, min(len(found), count(20, len(found)))):
            name = str(path.relative_to(tier.hot))
            wanted = [contents[name]] if name in contents else contents.values()
            assert path.read_bytes() in wanted, (step, name)
        restore(tier)
        assert not list(tier.hot.rglob('*.partial')), step
        assert_whole(tier, dict(rng.sample(sorted(contents.items()), count(20, 140))))
        tier.command('check', '--repair')
        assert tier.command('check').out == b'', step


def test_what_the_archive_lost_is_an_error_and_no_hole(tier, rng):
    leave(tier)
    tier.start()
    contents = fill(tier, rng, 10)
    lose(tier)
    restore(tier)
    tier.kill_all()
    volume = tier.archive.volume
    hidden = volume.with_suffix('.away')
    volume.rename(hidden)
    tier.start('--deadline', '5')
    with pytest.raises(OSError) as error:
        (tier.hot / 'large').read_bytes()
    assert error.value.errno in (errno.EAGAIN, errno.EIO)
    tier.kill_all()
    hidden.rename(volume)
    tier.start()
    until(lambda: tier.running(), 'the daemon')
    assert_whole(tier, contents)
    assert all(MARKER not in os.listxattr(tier.hot / name) for name in contents)
