#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden archive of one version of the format, once: afterwards its bytes stay as they
are, and every later version reads them or says why not (tests/scenarios/test_golden.py).

    tests/golden/make.py PROGRAM tests/golden/format-1
"""
import json
import lzma
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'scenarios'))
from golden import describe  # noqa: E402

TIME = 1_700_000_000_123_456_789  # ns


def write(path, data, age=0):
    path.write_bytes(data)
    os.utime(path, ns=(TIME, TIME - age))


def first_state(tree, rng):
    (tree / 'folder/inner').mkdir(parents=True)
    (tree / 'empty folder').mkdir()
    write(tree / 'text', b'the first version\n')
    write(tree / 'empty', b'')
    write(tree / 'folder/noise', rng.randbytes(20_000), 1)
    write(tree / 'folder/inner/deep', b'deep\n', 10**18 * 2)  # before 1970
    write(tree / 'large', b''.join(b'line %d\n' % (n % 5000) for n in range(9 << 17))[:9 << 20])
    write(tree / os.fsdecode(b'odd \n"\xff'), b'odd')
    (tree / 'symlink').symlink_to('folder/noise')
    os.link(tree / 'text', tree / 'folder/hard link')
    os.mkfifo(tree / 'fifo')
    with open(tree / 'sparse', 'wb') as file:
        file.seek(1 << 20)
        file.write(b'behind a hole')
    os.utime(tree / 'sparse', ns=(TIME, TIME))
    (tree / 'folder').chmod(0o750)


def second_state(tree, rng):
    write(tree / 'text', b'the second version\n', -1)
    write(tree / 'new', rng.randbytes(270_000))
    shutil.rmtree(tree / 'empty folder')


def main(program, target):
    target.mkdir(parents=True)
    archive = target / 'archive'
    rng = random.Random(1)
    environment = {'PATH': '/usr/bin:/bin', 'HOME': '/nonexistent',
                   'BLOCKFRAME_PARITY_SPREAD': '0', 'BLOCKFRAME_VOLUME_MAX_SIZE': '256MiB'}

    def run(*args, output=subprocess.DEVNULL):
        return subprocess.run([program, *args], check=True, env=environment, stdout=output).stdout

    run('init', archive)
    states = []
    with tempfile.TemporaryDirectory(prefix='golden-') as scratch:
        tree = pathlib.Path(scratch, 'tree')
        for change, parity in (first_state, '1+3'), (second_state, '3+1'):
            change(tree, rng)
            run('commit', '-a', archive, '--policy', 'compact', '--parity', parity, '-q',
                '--message', change.__name__, tree)
            states.append(describe(tree))
    (target / 'dump').write_bytes(run('catalog', 'dump', '-a', archive, output=subprocess.PIPE))
    (target / 'states.json').write_text(json.dumps(states, indent=1) + '\n')
    for volume in (archive / 'volumes').iterdir():  # mostly holes
        (target / f'{volume.name}.xz').write_bytes(lzma.compress(volume.read_bytes()))
    shutil.copy(archive / 'config.toml', target)
    shutil.rmtree(archive)


if __name__ == '__main__':
    main(os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]))
