# SPDX-License-Identifier: MIT
"""What the policy of a tier makes stubs, what it leaves, and why; and that nothing is lost when
a pass is stopped or killed, or when somebody works on the files meanwhile."""
import base64
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from mounted import until
from program import BUSY, DONE, FAILED, INTERRUPTED, KILLED, PARTIAL
from tiering import PATIENCE, Tier, run

PIN = 'trusted.blockframe.pin'
NO_AGE = ('--access-age', '0s', '--modify-age', '0s')
OLD = 400 * 86400  # seconds
SIZE = 20_000
PATH_MAX = 4096


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


def settle(tier):
    """The guard may not have closed yet what was read a moment ago."""
    until(lambda: 'in_use' not in skipped(scan(tier, '--dry-run')[0]), 'files to be closed')


def policy(tier, *args, least=4096):
    tier.command('add', '-a', tier.archive.path, *NO_AGE, '--min-size', str(least), *args,
                 tier.hot)


def scan(tier, *args, **options):
    """The result, and the files that were chosen."""
    lines = [json.loads(line) for line in
             tier.command('scan', '--json', *args, **options).out.splitlines()]
    def name(line):
        return line.get('path') or os.fsdecode(base64.b64decode(line['path_base64']))
    return lines[-1], {name(line): line for line in lines[:-1]}


def skipped(result):
    return {name: int(tally['files']) for name, tally in result['skipped'].items()}


def age(path, seconds=OLD):
    """Read and changed so long ago."""
    then = os.stat(path).st_mtime - seconds
    os.utime(path, (then, then))
    return path


def make(tier, contents):
    """The paths of new files, all old."""
    return [age(tier.write(name, content)) for name, content in contents.items()]


# ---- choosing ----

@pytest.mark.main
def test_every_reason_to_stay_is_counted(tier, rng):
    tier.start()
    content = rng.randbytes(SIZE)
    tier.command('add', '-a', tier.archive.path, '--min-size', '10000', '--exclude', '*.tmp',
                 '--exclude', f'{tier.hot}/kept/', tier.hot)
    names = ('taken', 'read', 'changed', 'x.tmp', 'pinned', 'open', 'mapped', 'immutable',
             'append', 'program', 'linked', 'odd \n\udcff name')
    paths = dict(zip(names, make(tier, dict.fromkeys(names, content))))
    age(tier.write('small', b'x' * 9_999))
    os.utime(paths['read'], (os.stat(paths['read']).st_ctime, 0))
    os.utime(paths['changed'], (0, os.stat(paths['changed']).st_ctime))
    holes = tier.hot / 'holes'
    run('truncate', '-s', '50000', holes)
    age(holes)
    for folder in ('kept', 'pinned folder'):
        (tier.hot / folder).mkdir()
        age(tier.write(f'{folder}/file', content))
    tier.command('pin', paths['pinned'], tier.hot / 'pinned folder')
    run('chattr', '+i', paths['immutable'])
    run('chattr', '+a', paths['append'])
    os.setxattr(paths['program'], 'security.capability',
                bytes.fromhex('0100000200200000000000000000000000000000'))
    os.link(paths['linked'], tier.hot / 'other name')
    stub = age(tier.write('stub', content))
    tier.stub(stub)
    script = ('import mmap, os, sys; f = open(sys.argv[1], "rb"); '
              'g = os.open(sys.argv[2], os.O_RDONLY); '
              'm = mmap.mmap(g, 4096, mmap.MAP_SHARED, mmap.PROT_READ); os.close(g); '
              'print("ready", flush=True); sys.stdin.read()')
    user = subprocess.Popen([sys.executable, '-IS', '-c', script, paths['open'], paths['mapped']],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    user.stdout.readline()
    age(paths['mapped'])  # mapping it has counted as reading
    try:
        want = {'small': 1, 'young': 2, 'excluded': 2, 'pinned': 2, 'stub': 1, 'sparse': 1,
                'linked': 1, 'immutable': 2, 'capabilities': 1, 'in_use': 2}
        dry, chosen = scan(tier, '--dry-run')
        assert skipped(dry) == want
        assert len(chosen) == int(dry['chosen']['files']) == 3
        assert all(not line['archived'] and int(line['space']) >= SIZE
                   for line in chosen.values())
        assert tier.status()['stubs'] == '1'
        real, _ = scan(tier)
        assert skipped(real) == want
        assert int(real['stubs']['files']) == int(real['committed']['files']) == 3
        for name in names:
            assert tier.is_stub(paths[name]) == (name in ('taken', 'linked', 'odd \n\udcff name'))
    finally:
        user.communicate()
        run('chattr', '-i', paths['immutable'])
        run('chattr', '-a', paths['append'])
    for path in paths.values():
        assert path.read_bytes() == content
    assert len([c for c in tier.archive.log() if c.get('message') == 'hot tier']) == 2


def test_tiers_come_from_the_configuration_too(tier, rng, tmp_path):
    """`tier run` takes them over; what the configuration says then holds at once, and one that
    is not there any more is guarded still."""
    tier.command('remove', tier.hot)
    config = tmp_path / 'config.toml'
    tier.environment['BLOCKFRAME_CONFIG'] = str(config)

    def table(**keys):
        text = f'[[tier.folder]]\ndirectory = "{tier.hot}"\narchive = "{tier.archive.path}"\n'
        config.write_text(text + ''.join(f'{key} = {json.dumps(value)}\n'
                                         for key, value in keys.items()))

    table(min_size=0)
    assert 'config.toml:4: [[tier.folder]] min_size' in tier.command('list', expect=FAILED).err
    table(min_size='4096', access_age='0s', modify_age='0s', exclude=['*.x'])
    assert b'started again' in tier.command('list').out
    tier.start()
    listed, = tier.command('list', '--json').json_lines()
    assert listed['from'] == 'configuration' and listed['in_use']
    assert listed['policy']['exclude'] == ['*.x']
    paths = make(tier, {name: rng.randbytes(SIZE) for name in ('a', 'b.x')})
    assert skipped(scan(tier)[0]) == {'excluded': 1}
    table(min_size='4096', access_age='0s', modify_age='0s')
    assert int(scan(tier, '--dry-run')[0]['chosen']['files']) == 1
    assert 'configuration' in tier.command('add', '-a', tier.archive.path, tier.hot,
                                           expect=FAILED).err
    assert 'configuration' in tier.command('remove', tier.hot, expect=FAILED).err
    config.write_text('')
    assert b'any more' in tier.command('list').out
    assert tier.is_stub(paths[0]) and len(paths[0].read_bytes()) == SIZE
    tier.command('remove', tier.hot)


def test_what_came_back_unchanged_needs_no_commit(tier, rng):
    policy(tier)
    tier.start()
    contents = {name: rng.randbytes(SIZE) for name in ('same', 'touched', 'mode', 'new')}
    paths = dict(zip(contents, make(tier, contents)))
    assert int(scan(tier)[0]['committed']['files']) == 4
    commits = len(tier.archive.log())
    for name, path in paths.items():
        assert path.read_bytes() == contents[name]
    os.utime(paths['touched'])
    paths['mode'].chmod(0o600)
    contents['new'] = rng.randbytes(SIZE)
    with open(paths['new'], 'r+b') as file:  # the same size and time, other bytes
        times = os.stat(paths['new'])
        file.write(contents['new'])
    os.utime(paths['new'], ns=(times.st_atime_ns, times.st_mtime_ns))
    settle(tier)
    dry, chosen = scan(tier, '--dry-run')
    assert {os.path.basename(path): line['archived'] for path, line in chosen.items()} == {
        'same': True, 'touched': False, 'mode': False, 'new': True}  # it does not read them
    result, _ = scan(tier)
    assert int(result['committed']['files']) == 3 and int(result['stubs']['files']) == 4
    assert len(tier.archive.log()) == commits + 1
    for path in paths.values():
        assert tier.is_stub(path)
    for name, path in paths.items():
        assert path.read_bytes() == contents[name]


def used(tier):
    """Percent, as df has it."""
    space = os.statvfs(tier.root)
    taken = space.f_blocks - space.f_bfree
    return 100 * taken / (taken + space.f_bavail)


def test_watermarks_take_the_oldest_and_largest_and_no_more(tier, rng):
    tier.start()
    policy(tier, '--high', '50', '--low', '30', least=1 << 20)
    assert scan(tier)[0]['wanted'] == '0'
    paths = [tier.write(f'f{i}', rng.randbytes(8 << 20)) for i in range(14)]
    large = tier.write('large', rng.randbytes(30 << 20))
    for i, path in enumerate(paths):
        age(path, OLD + i * 86400)
    age(large)
    assert used(tier) > 50
    result, _ = scan(tier)
    assert 20 < used(tier) <= 31
    assert tier.is_stub(large)
    stubs = [tier.is_stub(path) for path in paths]
    assert stubs == sorted(stubs) and not stubs[0]  # the oldest ones
    assert skipped(result)['enough'] == stubs.count(False)
    assert scan(tier)[0]['wanted'] == '0'
    # Room that recalls need is kept free in the same way.
    free = os.statvfs(tier.root)
    reserve = free.f_bavail * free.f_frsize + (10 << 20)
    policy(tier, '--high', '50', '--low', '30', '--reserve', str(reserve),
           least=1 << 20)
    assert int(scan(tier)[0]['stubs']['files']) == 2


def test_pins_stay_with_files(tier, rng):
    policy(tier)
    tier.start()
    path, = make(tier, {'a': rng.randbytes(SIZE)})
    content = path.read_bytes()
    tier.stub(path)
    tier.command('pin', path)
    assert not tier.is_stub(path) and path.read_bytes() == content
    moved = path.rename(tier.hot / 'b')
    age(moved)
    assert skipped(scan(tier)[0]) == {'pinned': 1}
    assert 'pinned' in tier.stub(moved, expect=PARTIAL).err
    tier.archive.commit(moved)
    assert 'blockframe' not in json.dumps(tier.archive.show('/b'))
    tier.command('unpin', moved)
    settle(tier)
    assert int(scan(tier)[0]['stubs']['files']) == 1
    assert tier.command('pin', tier.base, expect=PARTIAL).errors()


def deep_folder(folder, size):
    """A descriptor of a folder whose path below the given one takes so many bytes."""
    fd = os.open(folder, os.O_RDONLY)
    while size > 0:
        name = 'd' * min(size - 1, 200)
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        size -= len(name) + 1
    return fd


def test_paths_that_are_too_long_stay_and_stop_nobody(tier, rng):
    """For the kernel, and for the archive."""
    tier.command('remove', tier.hot)
    policy(tier, '--into', '/'.join(['into'] * (len(bytes(tier.hot)) // 4)))
    tier.start()
    content = rng.randbytes(SIZE)
    path, = make(tier, {'a': content})
    fd = deep_folder(tier.hot, PATH_MAX - len(bytes(tier.hot)) - 3)
    for name in ('x', 'xx'):
        with open(name, 'wb', opener=lambda name, flags: os.open(name, flags, dir_fd=fd)) as file:
            file.write(content)
        os.utime(name, (0, 0), dir_fd=fd)
    os.close(fd)
    result, _ = scan(tier)
    assert skipped(result) == {'special': 2}
    assert tier.is_stub(path) and path.read_bytes() == content


def test_files_with_too_few_copies_stay(tier, rng, tmp_path):
    policy(tier)
    tier.start()
    content = rng.randbytes(SIZE)
    path, = make(tier, {'a': content})
    tier.archive.commit(path, '--into', 'hot')
    tier.stop()
    second = tmp_path / 'second'
    second.mkdir()
    with open(tier.archive.path / 'config.toml', 'a') as config:
        config.write(f'more_directories = ["{second}"]\ncopies = 2\n')
    tier.start()
    for _ in range(2):
        scan(tier, expect=PARTIAL)
        assert not tier.is_stub(path)
    assert 'copies' in tier.stub(path, expect=PARTIAL).err
    tier.archive.run('health', expect=PARTIAL)
    assert int(scan(tier)[0]['stubs']['files']) == 1
    assert tier.is_stub(path) and path.read_bytes() == content


# ---- stopping and killing ----

def start_pass(tier, step='none'):
    """A pass that is at work, and stays at that step until `gate` goes."""
    tier.gate = tier.base / 'gate'
    tier.gate.touch()
    run_ = tier.program.start('tier', 'scan', env={
        **tier.environment, 'BLOCKFRAME_WAIT_AT': f'{step}:{tier.gate}'})
    until(lambda: (tier.state / 'pass.db').exists() or not run_.running, 'the pass')
    return run_


def test_a_pass_that_is_stopped_leaves_nothing_half_done(tier, rng):
    policy(tier)
    tier.start()
    contents = {f'f{i}': rng.randbytes(SIZE) for i in range(4)}
    paths = make(tier, contents)
    for made, step in enumerate(('tier.pass.chosen', 'tier.pass.stub')):
        run_ = start_pass(tier, step)
        until(lambda: not run_.running or sum(map(tier.is_stub, paths)) == made, 'stubs')
        assert tier.command('scan', expect=BUSY).errors()
        run_.process.send_signal(signal.SIGTERM)
        tier.gate.unlink()
        run_.finish(expect=INTERRUPTED)
        assert sum(map(tier.is_stub, paths)) == made
    for path, content in zip(paths, contents.values()):
        assert path.read_bytes() == content


def test_a_pass_that_waits_for_its_rate_can_be_stopped(tier, rng):
    policy(tier, '--rate', '1')  # hours for a file
    tier.start()
    paths = make(tier, {name: rng.randbytes(SIZE) for name in 'ab'})
    run_ = start_pass(tier)
    run_.process.send_signal(signal.SIGTERM)
    run_.finish(expect=INTERRUPTED)
    assert not any(map(tier.is_stub, paths))


PASS_STEPS = ['tier.pass.scanned', 'tier.pass.chosen', 'tier.pass.committed', 'tier.pass.stub']


def test_a_pass_may_be_killed_at_each_step(tier, rng):
    policy(tier)
    tier.start()
    contents = {f'f{i}': rng.randbytes(SIZE) for i in range(4)}
    paths = make(tier, contents)
    for step in PASS_STEPS:
        tier.command('scan', env={'BLOCKFRAME_CRASH_AT': f'{step}:1'}, expect=KILLED)
        for path in paths:
            if tier.is_stub(path):
                assert step == PASS_STEPS[-1]
    result, _ = scan(tier)
    assert int(result['committed']['files']) == 0  # the archive has them already
    assert int(result['stubs']['files']) == 3
    for path, content in zip(paths, contents.values()):
        assert tier.is_stub(path) and path.read_bytes() == content
    assert tier.command('check').code == DONE


@pytest.mark.slow_under_sanitizers
def test_no_edit_is_lost_to_passes(tier, count):
    """A writer works on files while passes make stubs of them again and again."""
    policy(tier)
    tier.start()
    paths = [tier.write(f'log{i}', b'x' * 8191 + b'\n') for i in range(3)]
    written = {path: [] for path in paths}
    end = threading.Event()

    def edit():
        number = 0
        while not end.is_set():
            path = paths[number % len(paths)]
            line = f'{number:07}\n'.encode()
            with open(path, 'ab') as file:
                file.write(line)
            written[path].append(line)
            number += 1
            end.wait(0.003 * (number % 7))

    writer = threading.Thread(target=edit)
    writer.start()
    try:
        for _ in range(count(6, 1000)):
            scan(tier, expect=(DONE, PARTIAL))
    finally:
        end.set()
        writer.join()
    for path in paths:
        assert path.read_bytes()[8192:] == b''.join(written[path])


# ---- the daemon's passes ----

def test_the_daemon_makes_passes_by_itself(tier, rng):
    policy(tier, '--interval', '1s')
    contents = {f'f{i}': rng.randbytes(SIZE) for i in range(3)}
    paths = make(tier, contents)
    tier.start()
    until(lambda: all(map(tier.is_stub, paths)), 'a pass')
    until(lambda: tier.status()['tiers'][0].get('last_pass'), 'its report')
    another, = make(tier, {'another': contents['f0']})
    until(lambda: tier.is_stub(another), 'the next pass')
    plan, = tier.status()['tiers']
    assert plan['folder'] == str(tier.hot) and 'next' in plan
    tier.stop()
    until(lambda: not tier.holders('scan'), 'the pass to end with the daemon')


# ---- many ----

@pytest.mark.slow_under_sanitizers
def test_a_scan_takes_the_same_memory_for_any_number_of_files(program, tmp_path, count):
    total = count(3_000, 1_000_000)
    with Tier(program, tmp_path, size=f'{512 + total // 50}M') as tier:
        policy(tier, least=1)
        for i in range(total // 1000):
            folder = tier.hot / f'{i:04}'
            folder.mkdir()
            for j in range(1000):
                fd = os.open(folder / str(j), os.O_CREAT | os.O_WRONLY)
                os.write(fd, b'x')
                os.close(fd)
        result = tier.program.run('tier', 'scan', '--dry-run', '-q', env=tier.environment,
                                  measure=True, timeout=3600)
        assert result.memory < 300 << 20
        last = tier.status()['tiers'][0]['last_dry_run']
        assert int(last['seen']['files']) == total
        assert int(last['chosen']['files']) == total
