# SPDX-License-Identifier: MIT
"""The hot tier where something runs out or comes at a bad moment."""
import errno
import os
import signal
import struct

import pytest

from mounted import until
from program import FAILED, KILLED, PARTIAL
from tiering import MARKER, Readers, Tier, run, sha256

CAPABILITY = 'security.capability'


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


def descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


@pytest.mark.slow_under_sanitizers
def test_more_may_ask_than_the_guard_can_remember(tier, rng):
    """It keeps a descriptor for each who waits. What the worker asks for, without which nobody
    gets an answer, does not wait behind them."""
    tier.start(limit=520)
    contents = {str(tier.hot / f'f{i}'): rng.randbytes(5_000) for i in range(320)}
    want = {path: sha256(content) for path, content in contents.items()}
    for path, content in contents.items():
        with open(path, 'wb') as file:
            file.write(content)
    tier.stub(*contents)
    worker, = tier.holders('run')
    os.kill(worker, signal.SIGSTOP)
    readers = Readers(contents)
    until(lambda: max(descriptors(pid) for pid in tier.holders('guard')) > 256,
          'the guard to be full')
    os.kill(worker, signal.SIGCONT)
    for path, got in readers.results().items():
        assert got in (want[path], 'EAGAIN')
    for path, content in contents.items():
        with open(path, 'rb') as file:
            assert file.read() == content


def test_programs_with_capabilities_keep_them(tier, rng):
    """Writing to a file takes them away, and so would punching and filling it."""
    tier.start()
    content = rng.randbytes(9_000)
    path = tier.write('program', content)
    value = struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0)
    os.setxattr(path, CAPABILITY, value)
    assert 'capabilities' in tier.stub(path, expect=PARTIAL).err
    assert path.read_bytes() == content
    assert os.getxattr(path, CAPABILITY) == value


def test_a_commit_takes_no_holes_of_a_stub_for_a_file(tier, rng):
    contents = {'small': rng.randbytes(20_000), 'large': rng.randbytes(900_000)}
    paths = [tier.write(name, content) for name, content in contents.items()]
    tier.start()
    tier.archive.commit(tier.hot)
    tier.stub(*paths)
    tier.kill_all()
    # What agrees with the table need not be opened, and so no guard.
    tier.archive.commit(tier.hot)
    markers = {path: os.getxattr(path, MARKER) for path in paths}
    for path in paths:
        os.setxattr(path, MARKER, bytes(40))
    errors = tier.archive.commit(tier.hot, expect=PARTIAL).errors()
    for path in paths:
        assert any(f'{path}' in line and 'nobody guards' in line for line in errors), errors
    for name, content in contents.items():
        assert tier.archive.cat(f'/hot/{name}') == content
    for path, marker in markers.items():
        os.setxattr(path, MARKER, marker)
    tier.start()
    tier.archive.commit(tier.hot)
    for name, content in contents.items():
        assert tier.archive.cat(f'/hot/{name}') == content


def test_stubs_that_come_later_are_guarded_too(tier, rng):
    """Those of a folder that becomes a tier while a guard is there already, whose table is
    lost; and one that was elsewhere when the daemon began."""
    tier.start()
    contents = {tier.write(name, data): data for name in 'ab' for data in [rng.randbytes(30_000)]}
    first, second = contents
    tier.stub(*contents)
    tier.kill_all()
    for file in tier.state.iterdir():
        file.unlink()
    away = tier.root / 'away'
    second.rename(away)
    other = tier.root / 'other'
    other.mkdir()
    tier.command('add', '-a', tier.archive.path, '--into', 'other', other)
    tier.start()
    tier.stop()
    tier.add()
    tier.start()
    with pytest.raises(OSError) as error:
        first.read_bytes()
    assert error.value.errno == errno.EIO
    away.rename(second)
    assert tier.command('check', '--repair').text.count('; repaired') == 2
    for path, content in contents.items():
        assert path.read_bytes() == content


def test_a_check_needs_the_file_system(tier, rng):
    """On another one every stub looks deleted."""
    tier.start()
    path = tier.write('a', rng.randbytes(30_000))
    tier.stub(path)
    tier.kill_all()
    until(lambda: run('umount', tier.root, check=False).returncode == 0, 'umount')
    tier.hot.mkdir()
    assert 'is not mounted' in tier.command('check', '--repair', expect=FAILED).err
    tier.hot.rmdir()
    assert tier.mount().returncode == 0
    assert tier.status()['stubs'] == '1'


def test_a_daemon_that_is_started_again_has_the_same_deadline(tier):
    tier.start('--deadline', '17')
    tier.kill(tier.holders('run'))
    tier.daemons[-1].finish(expect=KILLED)
    tier.whole_again()
    worker, = tier.holders('run')
    with open(f'/proc/{worker}/cmdline', 'rb') as file:
        assert file.read().endswith(b'--deadline\x0017\0')
