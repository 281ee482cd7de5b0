# SPDX-License-Identifier: MIT
"""What the policy of a tier makes stubs, what it leaves, and why; and that nothing is lost when
a pass is stopped or killed, or when somebody works on the files meanwhile."""
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from mounted import until
from program import BUSY, DONE, FAILED, INTERRUPTED, KILLED, PARTIAL, USAGE
from tiering import PATIENCE, Tier, run

PIN = 'trusted.blockframe.pin'
NO_AGE = ('--access-age', '0s', '--modify-age', '0s', '--min-size', '4096')
OLD = 400 * 86400  # seconds
SIZE = 20_000


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


def policy(tier, *args):
    tier.command('add', '-a', tier.archive.path, *NO_AGE, *args, tier.hot)


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


