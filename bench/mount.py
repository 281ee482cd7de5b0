#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the mount against the disk itself and squashfuse_ll, side by side in one run.

    bench/mount.py [--program build-release/src/cli/blockframe] [--rounds 3] [--work DIR]
                   [--only stored|tar|memory|tree|millions|damage] [--size GIB]

Needs root (page caches are dropped) and /dev/fuse. What is *cold* was dropped from the page
cache, the kernel's and the disk image's alike; every figure is a median of the rounds. For
millions of files the build needs tests/large_catalog, which tests have made.
"""
import argparse
import concurrent.futures
import contextlib
import mmap
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time

from measuring import make_random, make_tar, make_tree, run, settle, warm

MIB = 1 << 20
CACHE_MIB = 64  # where memory is measured
KINDS = ['stored', 'tar', 'memory', 'tree', 'millions', 'damage']
MEDIA = 'media read for a random request'


def drop_caches():
    settle()
    pathlib.Path('/proc/sys/vm/drop_caches').write_text('3')


def read_range(path, offset, size):
    """Read @size bytes from @offset in order, a MiB at a time."""
    with open(path, 'rb', buffering=0) as f:
        buffer = bytearray(MIB)
        f.seek(offset)
        while size > 0:
            n = f.readinto(memoryview(buffer)[:min(size, MIB)])
            if n == 0:
                sys.exit(f'{path}: ends early')
            size -= n


def read_random(path, seed, count, size):
    """Seconds of each of @count cold 4 KiB reads at random places of the first @size bytes."""
    chooser = random.Random(seed)
    seconds = []
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for _ in range(count):
        offset = chooser.randrange(size // 4096) * 4096
        start = time.monotonic()
        os.pread(fd, 4096, offset)
        seconds.append(time.monotonic() - start)
    os.close(fd)
    return seconds


def in_parallel(function, *argument_lists):
    """Wall time of one process for each list of arguments, and what they returned."""
    with concurrent.futures.ProcessPoolExecutor(len(argument_lists)) as executor:
        list(executor.map(abs, range(len(argument_lists))))  # the processes are there
        start = time.monotonic()
        results = [f.result() for f in [executor.submit(function, *a) for a in argument_lists]]
        return time.monotonic() - start, results


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


class Figures:
    """Named figures of several rounds, and what is asked of them."""

    def __init__(self):
        self.values = {}

    def add(self, name, value):
        self.values.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self.values[name])

    def show(self, name, unit, scale=1):
        if name in self.values:
            print(f'  {name:48} {self.median(name) * scale:10.2f} {unit}')

    def against(self, name, unit, target, scale=1):
        """A figure with its own target beside it."""
        if name in self.values:
            print(f'  {name:48} {self.median(name) * scale:10.2f} {unit}   target: {target}')

    def ratio(self, text, a, b, target):
        if a in self.values and b in self.values:
            ratio = statistics.median(x / y for x, y in zip(self.values[a], self.values[b]))
            print(f'  {text:48} {ratio:10.2f}   target: {target}')


class Bench:
    def __init__(self, options):
        self.program = pathlib.Path(options.program).resolve()
        self.rounds, self.size = options.rounds, options.size
        self.work = pathlib.Path(options.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.archive = self.work / 'archive'

    def commit(self, source):
        shutil.rmtree(self.archive, ignore_errors=True)
        run(self.program, 'init', '-q', self.archive)
        run(self.program, 'commit', '-q', '-a', self.archive, '--policy', 'compact', source)

    @contextlib.contextmanager
    def mounted(self, *options):
        """The mount's folder and process, and the seconds until it answered."""
        folder = self.work / 'mnt'
        folder.mkdir(exist_ok=True)
        start = time.monotonic()
        subprocess.run([self.program, 'mount', '-a', self.archive, '-m', folder, *options],
                       check=True)
        seconds = time.monotonic() - start
        try:
            yield folder, seconds
        finally:
            subprocess.run([self.program, 'umount', folder], check=True)

    @contextlib.contextmanager
    def squashed(self, source, *options):
        """The same file in a squashfs image behind squashfuse_ll."""
        image, folder = self.work / 'image.squashfs', self.work / 'squash'
        if not image.exists():
            run('mksquashfs', source, image, '-quiet', '-no-progress', '-b', '1M', *options)
        folder.mkdir(exist_ok=True)
        subprocess.run(['squashfuse_ll', image, folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(['fusermount3', '-u', folder], check=True)

    def daemon(self):
        """The process that serves the mount."""
        return int(os.getxattr(self.work / 'mnt', 'user.blockframe.pid'))

    def memory(self):
        """Memory stays under the configured cache plus 128 MiB."""
        tar = make_tar(self.work)
        half = tar.stat().st_size // 2
        self.commit(tar)
        figures = Figures()
        for _ in range(self.rounds):
            with self.mounted('--cache', f'{CACHE_MIB}MiB') as (folder, _):
                path = folder / tar.name
                in_parallel(read_range, (path, 0, half), (path, half, half))
                self.random_reads(figures, 'random', path, 2 * half)
                text = pathlib.Path(f'/proc/{self.daemon()}/status').read_text()
                figures.add('peak', int(text.split('VmHWM:')[1].split()[0]) / 1024)
        print('\nMemory')
        figures.against('peak', 'MiB', f'at most {CACHE_MIB} of cache and 128')

    def media_read(self, pid):
        """Bytes that the process had the disk read so far."""
        text = pathlib.Path(f'/proc/{pid}/io').read_text()
        return int(text.split('read_bytes: ')[1].split()[0])

    def random_reads(self, figures, name, path, size, pid=None):
        count = 2000
        drop_caches()
        before = self.media_read(pid) if pid else 0
        seconds, _ = in_parallel(read_random, (path, 1, count, size), (path, 2, count, size))
        figures.add(name, 2 * count / seconds)
        if pid:
            figures.add(MEDIA, (self.media_read(pid) - before) / (2 * count) / 1024)

    def sequential(self, figures, name, path, size):
        figures.add(name, size / in_parallel(read_range, (path, 0, size))[0] / 1e9)

    def stored(self):
        file = make_random(self.work, self.size)
        size = file.stat().st_size
        self.commit(file)
        figures = Figures()
        (self.work / 'image.squashfs').unlink(missing_ok=True)
        for _ in range(self.rounds):
            drop_caches()
            self.sequential(figures, 'disk, cold', file, size)
            self.sequential(figures, 'disk, from the page cache', file, size)
            drop_caches()
            with self.mounted() as (folder, _):
                self.sequential(figures, 'mount, cold', folder / file.name, size)
                self.sequential(figures, "mount, from the kernel's cache", folder / file.name, size)
                self.random_reads(figures, 'mount, random 4 KiB, cold', folder / file.name, size,
                                  self.daemon())
            warm(self.archive)
            with self.mounted() as (folder, _):
                self.sequential(figures, 'mount, volume in the page cache', folder / file.name, size)
            with self.squashed(file, '-noD', '-noF') as folder:
                self.random_reads(figures, 'squashfuse_ll, random 4 KiB, cold', folder / file.name,
                                  size)
                read_range(folder / file.name, 0, size)
                self.sequential(figures, "squashfuse_ll, from the kernel's cache",
                                folder / file.name, size)
        print(f'\n{self.size} GiB stored file')
        for name in figures.values:
            if name != MEDIA:
                figures.show(name, '1/s' if 'random' in name else 'GB/s')
        figures.ratio('cold: of the disk', 'mount, cold', 'disk, cold', 'at least 0.8')
        figures.against('mount, volume in the page cache', 'GB/s', 'at least 1.5')
        figures.ratio('second read: of the file itself', "mount, from the kernel's cache",
                      'disk, from the page cache', 'about 1')
        figures.ratio('... as any FUSE file system gets it',
                      "squashfuse_ll, from the kernel's cache", 'disk, from the page cache',
                      'none: the kernel answers it alone')
        figures.ratio('random: of squashfuse_ll', 'mount, random 4 KiB, cold',
                      'squashfuse_ll, random 4 KiB, cold', 'at least 4')
        figures.against(MEDIA, 'KiB', 'at most 1024')

    def tar_figures(self, figures, name, path, size, pid=None):
        drop_caches()
        self.sequential(figures, f'{name}, one reader', path, size)
        drop_caches()
        half = size // 2
        seconds, _ = in_parallel(read_range, (path, 0, half), (path, half, size - half))
        figures.add(f'{name}, two readers', size / seconds / 1e9)
        self.random_reads(figures, f'{name}, random 4 KiB', path, size, pid)

    def tar(self):
        tar = make_tar(self.work)
        size = tar.stat().st_size
        self.commit(tar)
        figures = Figures()
        (self.work / 'image.squashfs').unlink(missing_ok=True)
        for _ in range(self.rounds):
            with self.mounted() as (folder, _):
                self.tar_figures(figures, 'mount', folder / tar.name, size, self.daemon())
            with self.squashed(tar, '-comp', 'zstd') as folder:
                self.tar_figures(figures, 'squashfuse_ll', folder / tar.name, size)
        print('\n1 GiB tar of programs and headers, cold')
        for name in figures.values:
            if name != MEDIA:
                figures.show(name, '1/s' if 'random' in name else 'GB/s')
        for kind, target in (('one reader', 2), ('two readers', 3), ('random 4 KiB', 5)):
            figures.ratio(f'{kind}: of squashfuse_ll', f'mount, {kind}',
                          f'squashfuse_ll, {kind}', f'at least {target}')
        figures.against(MEDIA, 'KiB', 'at most 1024')

    def tree(self):
        tree = make_tree(self.work)
        self.commit(tree)
        figures = Figures()
        for number in range(self.rounds):
            drop_caches()
            with self.mounted() as (folder, seconds):
                figures.add('mount ready, cold', seconds)
            with self.mounted() as (folder, seconds):
                figures.add('mount ready', seconds)
                self.first_bytes(figures, folder / tree.name, tree, number)
                for name, top in (('mount', folder / tree.name), ('disk', tree)):
                    run('find', top)
                    figures.add(f'find, {name}, warm', run('find', top)[0])
        print('\n60,000 small files')
        figures.show('mount ready, cold', 'ms', 1000)
        targets = {'mount ready': 'under 50',
                   'first byte of a cold file, p50': 'under 2',
                   'first byte of a cold file, p99': 'under 10'}
        for name, target in targets.items():
            figures.against(name, 'ms', target, 1000)
        figures.ratio('find: of the disk', 'find, mount, warm', 'find, disk, warm', 'at most 3')

    def millions(self):
        """A catalog of five million files, which the volumes know nothing of."""
        maker = self.program.parents[2] / 'tests/large_catalog'
        if not maker.exists():
            print(f'\n5,000,000 files: skipped, there is no {maker}')
            return
        source = self.work / 'one'
        source.mkdir(exist_ok=True)
        (source / 'file').write_text('a file')
        self.commit(source)
        run(maker, self.archive / 'catalog.db', 'one/file', 5_000_000, 1000)
        figures = Figures()
        for _ in range(self.rounds):
            drop_caches()
            for name in ('mount ready, cold', 'mount ready'):
                with self.mounted() as (_, seconds):
                    figures.add(name, seconds)
        print('\n5,000,000 files')
        figures.show('mount ready, cold', 'ms', 1000)
        figures.against('mount ready', 'ms', 'under 100', 1000)

    def first_bytes(self, figures, folder, tree, seed):
        names = [os.path.join(top, name)[len(str(tree)) + 1:]
                 for top, _, files in os.walk(tree) for name in files]
        chosen = random.Random(seed).sample(sorted(names), 1000)
        drop_caches()
        seconds = []
        for name in chosen:
            start = time.monotonic()
            with open(folder / name, 'rb', buffering=0) as f:
                f.read(1)
            seconds.append(time.monotonic() - start)
        figures.add('first byte of a cold file, p50', percentile(seconds, 0.5))
        figures.add('first byte of a cold file, p99', percentile(seconds, 0.99))

    def damage(self):
        """Reads that meet a damaged leaf against reads that do not."""
        file = make_random(self.work, 1)
        self.commit(file)
        figures = Figures()
        for number in range(self.rounds):
            places = self.spoil(file, number)
            elsewhere = [(p + 3 * MIB) % (file.stat().st_size - MIB) & ~4095 for p in places]
            drop_caches()
            with self.mounted() as (folder, _):
                for name, offsets in (('sound', elsewhere), ('damaged', places)):
                    seconds = []
                    fd = os.open(folder / file.name, os.O_RDONLY)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
                    for offset in offsets:
                        start = time.monotonic()
                        data = os.pread(fd, 4096, offset)
                        seconds.append(time.monotonic() - start)
                        with open(file, 'rb') as f:
                            f.seek(offset)
                            assert f.read(4096) == data
                    os.close(fd)
                    figures.add(f'{name} leaf, p50', percentile(seconds, 0.5))
                    figures.add(f'{name} leaf, p99', percentile(seconds, 0.99))
        print('\nA read that meets a damaged leaf')
        for name in figures.values:
            figures.show(name, 'ms', 1000)
        figures.add('p99, damaged less sound',
                    figures.median('damaged leaf, p99') - figures.median('sound leaf, p99'))
        figures.against('p99, damaged less sound', 'ms', 'under 20', 1000)

    def spoil(self, file, seed):
        """Overwrite 100 sectors of the volume that hold content; their offsets in the file."""
        chooser = random.Random(seed)
        volume = max((self.archive / 'volumes').iterdir(), key=lambda p: p.stat().st_size)
        places = []
        with open(file, 'rb') as f, open(volume, 'r+b') as v:
            content = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
            step = len(content) // 101
            for offset in range(step, step * 101, step):
                offset = offset + chooser.randrange(step // 2) & ~4095
                v.seek(offset)
                sample = v.read(4096)[2000:2032]
                found = content.find(sample, max(0, offset - 256 * MIB), offset + 256 * MIB)
                if found >= 0:
                    v.seek(offset)
                    v.write(os.urandom(4096))
                    places.append(found & ~4095)
        settle()
        return places


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default='build-release/src/cli/blockframe')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--work', default='/var/tmp/blockframe-bench')
    parser.add_argument('--only', choices=KINDS)
    parser.add_argument('--size', type=float, default=4, help='GiB of the stored file')
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    bench = Bench(options)
    for name in [options.only] if options.only else KINDS:
        getattr(bench, name)()


if __name__ == '__main__':
    main()
