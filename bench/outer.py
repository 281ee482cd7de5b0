#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the outer code: how fast volumes are protected, and a lost one made again.

    bench/outer.py [--program build-release/src/cli/blockframe] [--rounds 3] [--work DIR]
                   [--only protect|rebuild|burst] [--size GIB]

protect  `volume protect` with 4+2 over four volumes of equal size, by bytes of data read, from
         the page cache
burst    `volume protect` within one volume, in 9 columns of it, by bytes of data read, likewise
rebuild  `volume rebuild` of one of them, by bytes that it reads: four times what it writes
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess

from measuring import Table, make_random, run, settle

K, P = 4, 2


class Bench:
    def __init__(self, options):
        self.program = pathlib.Path(options.program).resolve()
        self.rounds = options.rounds
        self.work = pathlib.Path(options.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.archive, self.bare = self.work / 'outer', self.work / 'outer-bare'
        self.make(make_random(self.work, options.size))

    def make(self, source):
        """Four volumes, the first of which is as good as empty at first."""
        for folder in (self.bare, self.archive):
            shutil.rmtree(folder, ignore_errors=True)
        run(self.program, 'init', '-q', self.bare)
        config = self.bare / 'config.toml'
        config.write_text(config.read_text().replace('[volume]\n',
                                                     f'[volume]\nouter = "{K}+{P}"\n'))
        size = source.stat().st_size // K
        part = self.work / 'part.bin'
        with open(source, 'rb') as file:
            for i in range(K):
                with open(part, 'wb') as out:
                    for _ in range(size >> 20):
                        out.write(file.read(1 << 20))
                run(self.program, 'commit', '-q', '-a', self.bare, '--into', str(i), part)
        part.unlink()

    def volumes(self):
        return sorted((self.archive / 'volumes').glob('*.bfv'))

    def fresh(self):
        shutil.rmtree(self.archive, ignore_errors=True)
        subprocess.run(['cp', '-a', '--sparse=always', self.bare, self.archive], check=True)
        self.load()

    def load(self):
        for volume in self.volumes():
            subprocess.run(['cat', volume], stdout=subprocess.DEVNULL, check=True)
        settle()

    def ask(self, *command):
        out = subprocess.run([self.program, *command, '--json', '-a', self.archive], check=True,
                             stdout=subprocess.PIPE).stdout
        return json.loads(out)

    def protect(self):
        self.fresh()
        table = Table(f'volume protect {K}+{P}, warm',
                      int(self.ask('volume', 'protect', '--dry-run')['read']))
        for nth in range(self.rounds):
            if nth:
                self.fresh()
            table.add('volume protect',
                      run(self.program, 'volume', 'protect', '-q', '-a', self.archive))
        table.show(['1.5 GB/s of data read or more'])

    def burst(self):
        shutil.rmtree(self.archive, ignore_errors=True)
        source = self.work / 'random.bin'
        run(self.program, 'init', '-q', self.archive)
        config = self.archive / 'config.toml'
        off = config.read_text()
        size = source.stat().st_size
        on = re.sub('burst = .*', f'burst = "{size // 9}"', off)
        on = re.sub('burst_from = .*', 'burst_from = "1MB"', on)
        config.write_text(re.sub('burst = .*', 'burst = "0"', off))
        run(self.program, 'commit', '-q', '-a', self.archive, source)
        config.write_text(on)
        volume, = self.volumes()
        kept = volume.with_suffix('.kept')
        subprocess.run(['cp', '--sparse=always', volume, kept], check=True)
        table = Table('volume protect within a volume, 9 columns, warm',
                      int(self.ask('volume', 'protect', '--dry-run')['read']))
        for nth in range(self.rounds):
            if nth:
                subprocess.run(['cp', '--sparse=always', kept, volume], check=True)
                run(self.program, 'catalog', 'rebuild', '-q', '-a', self.archive)
            self.load()
            table.add('volume protect',
                      run(self.program, 'volume', 'protect', '-q', '-a', self.archive))
        table.show(['1.5 GB/s of data read or more'])

    def rebuild(self):
        self.fresh()
        run(self.program, 'volume', 'protect', '-q', '-a', self.archive)
        lost = self.volumes()[1]
        kept = lost.with_suffix('.kept')
        lost.rename(kept)
        payload = int(self.ask('volume', 'info', '2')['payload'])
        table = Table(f'volume rebuild {K}+{P}, warm', K * payload)
        for _ in range(self.rounds):
            self.load()
            table.add('volume rebuild', run(self.program, 'volume', 'rebuild', '-q', '-a',
                                            self.archive, '--to', lost.parent, '2'))
            subprocess.run(['cmp', lost, kept], check=True)
            lost.unlink()
        table.show(['1.5 GB/s of data read or more'])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--program', default='build-release/src/cli/blockframe')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--work', default='bench-work')
    parser.add_argument('--only', choices=['protect', 'burst', 'rebuild'])
    parser.add_argument('--size', type=float, default=4)
    options = parser.parse_args()
    bench = Bench(options)
    for name in [options.only] if options.only else ['protect', 'burst', 'rebuild']:
        getattr(bench, name)()


main()
