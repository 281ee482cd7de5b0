#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures health against peers, side by side in one run.

    bench/health.py [--program build-release/src/cli/blockframe] [--rounds 3] [--work DIR]
                    [--only warm|cold|repair] [--size GIB] [--par2-size GIB]

warm    `health --check` against b3sum reading the same volume file from the page cache, with as
        many threads
cold    the same against dd reading it past the cache, after it was dropped from there
repair  3 lost extents of 33 in every stripe, against `par2 repair` of as large a part of a file
        that does not compress, with 10 % of redundancy. par2 gets a smaller file, because its
        rate does not depend on the size and its time does.
"""
import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys

from measuring import Table, fresh, make_random, run, settle

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/scenarios'))
from volume_map import DATA, read_stripes  # noqa: E402

DAMAGE_FOUND = 3
PAR2_BLOCKS = 330


def allocated(path):
    return path.stat().st_blocks * 512


def drop(path):
    """Out of the page cache."""
    settle()
    with open(path, 'rb') as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load(path):
    subprocess.run(['cat', path], stdout=subprocess.DEVNULL, check=True)


def erase(volume, lost):
    """@lost extents of every data stripe that has 33."""
    erased = 0
    with open(volume, 'r+b') as file:
        for stripe in read_stripes(volume):
            if stripe.kind != DATA or len(stripe.data) < 30:
                continue
            for extent in random.sample(stripe.extents, lost):
                file.seek(extent.offset)
                file.write(random.randbytes(extent.end - extent.offset))
            erased += sum(extent.end - extent.offset for extent in stripe.extents)
    return erased


class Bench:
    def __init__(self, options):
        self.program = pathlib.Path(options.program).resolve()
        self.rounds, self.par2_size = options.rounds, options.par2_size
        self.work = pathlib.Path(options.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.archive = self.work / 'archive'
        self.source = make_random(self.work, options.size)
        shutil.rmtree(self.archive, ignore_errors=True)
        run(self.program, 'init', '-q', self.archive)
        run(self.program, 'commit', '-q', '-a', self.archive, self.source)
        self.volume, = (self.archive / 'volumes').glob('*.bfv')

    def health(self, *options, **keywords):
        return run(self.program, 'health', '-q', '-a', self.archive, *options, **keywords)

    def warm(self):
        table = Table('health --check, warm', allocated(self.volume))
        for _ in range(self.rounds):
            load(self.volume)
            table.add('health --check', self.health('--check'))
            load(self.volume)
            table.add('health --check --one-pass', self.health('--check', '--one-pass'))
            if shutil.which('b3sum'):
                load(self.volume)
                table.add('b3sum', run('b3sum', '--num-threads', os.cpu_count(), self.volume))
        table.show(['at most 0.91 of the time of b3sum'])

    def cold(self):
        table = Table('health --check, cold', allocated(self.volume))
        for _ in range(self.rounds):
            drop(self.volume)
            table.add('health --check', self.health('--check'))
            drop(self.volume)
            table.add('dd', run('dd', f'if={self.volume}', 'of=/dev/null', 'bs=1M',
                                'iflag=direct', 'status=none'))
        table.show(['at most 1.11 of the time of dd'])

    def repair(self):
        amount = erase(self.volume, 3)
        table = Table('health, 3 of 33 extents lost', amount)
        for nth in range(self.rounds):
            for name, options in ('health', []), ('health --one-pass', ['--one-pass']):
                if nth or options:
                    erase(self.volume, 3)
                load(self.volume)
                settle()
                table.add(name, self.health(*options, expect=DAMAGE_FOUND))
        self.health('--check')
        table.show(['1 GB/s or more'])
        if shutil.which('par2') and self.par2_size:
            self.par2()

    def par2(self):
        folder = fresh(self.work / 'par2')
        size = int(self.par2_size * 2**30)
        data = folder / 'data'
        with open(self.source, 'rb') as source, open(data, 'wb') as file:
            file.write(source.read(size))
        block = -(-size // (PAR2_BLOCKS * 4)) * 4
        run('par2', 'create', '-q', '-q', f'-s{block}', '-r10', data, cwd=folder)
        table = Table('par2 repair, 10 % lost', size)
        with open(data, 'r+b') as file:
            for number in random.sample(range(PAR2_BLOCKS - 1), PAR2_BLOCKS // 11):
                file.seek(number * block)
                file.write(random.randbytes(block))
        load(data)
        settle()
        table.add('par2 repair', run('par2', 'repair', '-q', '-q', f'{data}.par2', cwd=folder))
        table.show(['health has 20 times its rate or more'])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--program', default='build-release/src/cli/blockframe')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--work', default='bench-work')
    parser.add_argument('--only', choices=['warm', 'cold', 'repair'])
    parser.add_argument('--size', type=float, default=4)
    parser.add_argument('--par2-size', type=float, default=0.5)
    options = parser.parse_args()
    bench = Bench(options)
    for name in [options.only] if options.only else ['warm', 'cold', 'repair']:
        getattr(bench, name)()


main()
