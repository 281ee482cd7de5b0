#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the hot tier against the same file system without one, side by side in one run.

    bench/tier.py [--program build-release/src/cli/blockframe] [--rounds 5] [--work DIR]
                  [--only hot|mib|big|small|marking] [--size GIB] [--stubs 100000]

hot      files beside stubs against those of an unwatched file system: open+read+close, reads at
         random places, reads in order; all from the page cache
mib      how long open() of a 1 MiB stub takes
big      a stored file of GIB comes back, against `cp` and fsync(2) of it from the same disk
small    1,000 stubs of 8 KiB, 16 readers
marking  the daemon starts, with so many stubs and a file system that was just mounted

Needs root and loop devices. File systems are images in DIR, which is best on a disk; volumes are
there too. Cold is what was dropped from the page cache. What is flushed is flushed by both.
"""
import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from measuring import make_random

MIB = 1 << 20
MARKER = 'trusted.blockframe.stub'
SMALL, SMALL_SIZE, READERS = 1000, 8192, 16
HOT, HOT_SIZE, HOT_FILE = 1000, 65536, 128 * MIB
HERE = pathlib.Path(__file__).parent


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE,
                          **options).stdout.decode()


def forget(path):
    fd = os.open(path, os.O_RDONLY)
    os.fdatasync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


class FileSystem:
    """ext4 in an image."""

    def __init__(self, folder, name, size):
        self.image, self.root = folder / f'{name}.image', folder / name
        self.root.mkdir()
        run('truncate', '-s', str(size), self.image)
        run('mkfs.ext4', '-q', '-N', '300000', self.image)
        self.mount()

    def mount(self):
        run('mount', '-o', 'loop', self.image, self.root)

    def unmount(self):
        for _ in range(200):
            if subprocess.run(['umount', self.root], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.05)
        sys.exit(f'{self.root} is in use')


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.program = pathlib.Path(options.program).resolve()
        self.archive, self.state = folder / 'archive', folder / 'state'
        self.environment = {**os.environ, 'BLOCKFRAME_TIER_STATE': str(self.state)}
        size = int(options.size * (2 << 30)) + (4 << 30)
        self.tiered = FileSystem(folder, 'tiered', size)
        self.plain = FileSystem(folder, 'plain', size)
        self.hot = self.tiered.root / 'hot'
        self.hot.mkdir()
        self.blockframe('init', '-q', self.archive)
        self.blockframe('tier', 'add', '-q', '-a', self.archive, self.hot)
        self.daemon = None

    def blockframe(self, *words):
        return run(self.program, *words, env=self.environment)

    def start(self):
        """Seconds until the daemon is ready."""
        start = time.monotonic()
        self.daemon = subprocess.Popen([self.program, 'tier', 'run'], env=self.environment,
                                       stderr=subprocess.PIPE)
        for line in self.daemon.stderr:
            if b'guarded' in line:
                seconds = time.monotonic() - start
                threading.Thread(target=self.daemon.stderr.read, daemon=True).start()
                return seconds
        sys.exit('the daemon does not start')

    def stop(self):
        if self.daemon:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait()
            self.blockframe('tier', 'release', '--force')
        self.daemon = None

    def close(self):
        self.stop()
        self.tiered.unmount()
        self.plain.unmount()

    def stub(self, *paths):
        """As stubs, with nothing of the archive in memory."""
        self.blockframe('tier', 'stub', '-q', *paths)
        for path in paths:
            assert MARKER in os.listxattr(path), path
        self.forget_archive()

    def forget_archive(self):
        for path in self.archive.rglob('*'):
            if path.is_file():
                forget(path)

    # ---- what is measured ----

    def hot_files(self):
        """Pairs of numbers, of the tiered and of the plain file system."""
        places = [self.hot, self.plain.root / 'hot']
        places[1].mkdir()
        for place in places:
            for i in range(HOT):
                (place / f'f{i}').write_bytes(os.urandom(HOT_SIZE))
            (place / 'large').write_bytes(os.urandom(HOT_FILE))
            (place / 'cold').mkdir()
        for i in range(100):
            (self.hot / 'cold' / f's{i}').write_bytes(os.urandom(100))
        self.start()
        self.stub(*(self.hot / 'cold').iterdir())
        for kind, name, least in (('open', '.', 0.85), ('pread', 'large', 0.85),
                                  ('sequential', 'large', 0.95)):
            pairs = []
            for number in range(4 * self.options.rounds):
                pair = {}
                for place in places[::-1 if number % 2 else 1]:
                    pair[place] = float(run(self.reader, kind, place / name))
                pairs.append([pair[place] for place in places])
            ratio = statistics.median(a / b for a, b in pairs[1:])
            rates = [statistics.median(side) for side in zip(*pairs[1:])]
            print(f'  {kind:12} {rates[0]:14.0f} /s, unwatched {rates[1]:14.0f} /s:'
                  f' {ratio:5.2f}   target: {least}')
        self.stop()

    @property
    def reader(self):
        program = self.folder / 'reader'
        if not program.exists():
            run('cc', '-O2', '-o', program, HERE / 'bench_hot_reader.c')
        return program

    def mib_files(self):
        paths = [self.hot / f'm{i}' for i in range(20 * self.options.rounds)]
        for path in paths:
            path.write_bytes(os.urandom(MIB))
        self.start()
        self.stub(*paths)
        seconds = []
        for path in paths:
            start = time.monotonic()
            os.close(os.open(path, os.O_RDONLY))
            seconds.append(time.monotonic() - start)
        seconds.sort()
        print(f'  open() of a 1 MiB stub: p50 {seconds[len(seconds) // 2] * 1e3:6.2f} ms, '
              f'p90 {seconds[len(seconds) * 9 // 10] * 1e3:6.2f} ms   target: 10 ms')
        self.stop()

    def big_file(self):
        source = make_random(self.folder, self.options.size)
        path = self.hot / 'big'
        shutil.copyfile(source, path)
        self.start()
        pairs = []
        for _ in range(self.options.rounds):
            self.stub(path)
            start = time.monotonic()
            os.close(os.open(path, os.O_RDONLY))
            middle = time.monotonic()
            forget(source)
            copying = time.monotonic()
            run('cp', source, self.plain.root / 'copy')
            run('sync', self.plain.root / 'copy')
            pairs.append((middle - start, time.monotonic() - copying))
            (self.plain.root / 'copy').unlink()
            run('fstrim', self.plain.root)
        size = source.stat().st_size
        for name, times in zip(('recall', 'cp, sync'), zip(*pairs)):
            median = statistics.median(times)
            print(f'  {name:12} {median:8.2f} s {size / median / 1e9:6.2f} GB/s')
        ratio = statistics.median(b / a for a, b in pairs)
        print(f'  recall is {ratio:.2f} as fast as cp   target: 0.7')
        self.stop()

    def small_files(self):
        paths = [self.hot / f'x{i}' for i in range(SMALL)]
        for path in paths:
            path.write_bytes(os.urandom(SMALL_SIZE))
        self.start()
        rates = []
        for _ in range(self.options.rounds):
            self.stub(*paths)
            start = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(READERS) as executor:
                list(executor.map(lambda path: os.close(os.open(path, os.O_RDONLY)), paths))
            rates.append(SMALL / (time.monotonic() - start))
        print(f'  {READERS} readers of {SMALL} stubs: {statistics.median(rates):8.0f} a second '
              '  target: 500')
        self.stop()

    def marking(self):
        """All stubs are of one content; `tier check --repair` makes their rows."""
        self.start()
        model = self.hot / 'model'
        model.write_bytes(os.urandom(SMALL_SIZE))
        self.stub(model)
        marker = os.getxattr(model, MARKER)
        for folder in range(-(-self.options.stubs // 1000)):
            place = self.hot / 'many' / str(folder)
            place.mkdir(parents=True)
            for i in range(1000):
                path = place / str(i)
                with open(path, 'wb') as file:
                    file.truncate(SMALL_SIZE)
                number = folder * 1000 + i + 1
                os.setxattr(path, MARKER, number.to_bytes(8, 'little') + marker[8:])
        self.stop()
        self.make_rows()
        seconds = []
        for _ in range(self.options.rounds):
            self.tiered.unmount()
            self.tiered.mount()
            seconds.append(self.start())
            self.stop()
        print(f'  {self.options.stubs} stubs are marked in {statistics.median(seconds):.2f} s '
              '  target: 3 s for 100000')

    def make_rows(self):
        """In memory, since each row is flushed."""
        with tempfile.TemporaryDirectory(dir='/dev/shm') as memory:
            quick = pathlib.Path(memory) / 'state'
            shutil.copytree(self.state, quick, ignore=shutil.ignore_patterns('*.sock'))
            # It complains that nobody guards them.
            subprocess.run([self.program, 'tier', 'check', '--repair', '-q'], check=False,
                           env={**self.environment, 'BLOCKFRAME_TIER_STATE': str(quick)},
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for table in self.state.glob('*.db*'):
                table.unlink()
            for table in quick.glob('*.db*'):
                shutil.copy(table, self.state)


PARTS = {'hot': Bench.hot_files, 'mib': Bench.mib_files, 'big': Bench.big_file,
         'small': Bench.small_files, 'marking': Bench.marking}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--program', default='build-release/src/cli/blockframe')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--work', default='/tmp/blockframe-bench')
    parser.add_argument('--only', choices=PARTS)
    parser.add_argument('--size', type=float, default=4)
    parser.add_argument('--stubs', type=int, default=100_000)
    options = parser.parse_args()
    pathlib.Path(options.work).mkdir(parents=True, exist_ok=True)
    for name, part in PARTS.items():
        if options.only in (None, name):
            print(name)
            with tempfile.TemporaryDirectory(dir=options.work) as folder:
                with contextlib.closing(Bench(options, pathlib.Path(folder))) as bench:
                    part(bench)


if __name__ == '__main__':
    main()
