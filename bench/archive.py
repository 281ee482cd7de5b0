#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures commit, restore and rebuild against peers, side by side in one run.

    bench/archive.py [--program build-release/src/cli/blockframe] [--rounds 3] [--work DIR]
                     [--only large|tar|tree] [--size GIB]

Every round runs each program once, in turn, on the same input in the page cache, each writing
to the same disk. Printed are the medians, and the medians of the ratios pair by pair, which hold
when the machine's speed drifts. Peers that are not installed are left out.
"""
import argparse
import pathlib
import resource
import shutil
import subprocess
import time

from measuring import Table, fresh, make_random, make_tar, make_tree, run, settle, warm


class Bench:
    def __init__(self, options):
        self.program = pathlib.Path(options.program).resolve()
        self.rounds, self.size = options.rounds, options.size
        self.work = pathlib.Path(options.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    def blockframe(self, archive, *arguments, **keywords):
        return run(self.program, arguments[0], '-a', archive, '-q', *arguments[1:], **keywords)

    def init(self, archive):
        shutil.rmtree(archive, ignore_errors=True)
        run(self.program, 'init', '-q', archive)

    def commit(self, table, name, source, *options):
        archive = self.work / 'archive'
        self.init(archive)
        settle()
        warm(source)
        table.add(name, self.blockframe(archive, 'commit', *options, source))

    def restic(self, table, source, again=False):
        if not shutil.which('restic'):
            return
        repository = self.work / 'restic'
        if not again:
            shutil.rmtree(repository, ignore_errors=True)
            run('restic', 'init', '-q', '-r', repository)
        settle()
        warm(source)
        table.add('restic backup', run('restic', 'backup', '-q', '-r', repository,
                                       '--no-cache', source))

    def borg(self, table, source, again=False):
        if not shutil.which('borg'):
            return
        repository = self.work / 'borg'
        if not again:
            shutil.rmtree(repository, ignore_errors=True)
            run('borg', 'init', '-e', 'none', repository)
        settle()
        warm(source)
        table.add('borg create', run('borg', 'create', '-C', 'zstd,3',
                                     f'{repository}::{time.monotonic_ns()}', source))

    def disk(self, table, source):
        """What the disk itself takes for as many bytes, past the page cache: the bound."""
        copy = self.work / 'copy'
        settle()
        warm(source)
        table.add('dd oflag=direct', run('dd', f'if={source}', f'of={copy}', 'bs=4M',
                                         'oflag=direct', 'conv=fsync', 'status=none'))
        copy.unlink()

    def large(self):
        """A file that does not compress."""
        file = make_random(self.work, self.size)
        size = file.stat().st_size
        table = Table(f'{self.size} GiB that do not compress, durable', size)
        warm(file)
        for _ in range(self.rounds):
            self.commit(table, 'blockframe compact', file, '--policy', 'compact')
            self.disk(table, file)
            self.restic(table, file)
            self.borg(table, file)
        table.show(['at least 1.5 GB/s; at most 0.167 of restic and 0.25 of borg'])

    def tar(self):
        tar = make_tar(self.work)
        amount = tar.stat().st_size
        commit = Table('commit: 1 GiB tar of programs and headers', amount)
        restore = Table('restore of the 1 GiB tar', amount)
        packed, out = self.work / 'programs.tar.zst', self.work / 'out'
        warm(tar)
        for _ in range(self.rounds):
            self.commit(commit, 'blockframe commit', tar, '--policy', 'compact')
            packed.unlink(missing_ok=True)
            settle()
            commit.add('zstd -T2 -3', run('zstd', '-q', '-T2', '-3', tar, '-o', packed))
            fresh(out)
            settle()
            restore.add('blockframe restore',
                        self.blockframe(self.work / 'archive', 'restore', '/programs.tar',
                                        '--to', out))
            fresh(out)
            settle()
            with open(out / 'file', 'wb') as f:
                restore.add('zstd -dc >file', run('zstd', '-q', '-dc', packed, stdout=f))
        commit.show(['at most 1.15 of zstd'])
        restore.show(['at most 1.25 of zstd (0.8 of its rate)'])

    def tree(self):
        tree = make_tree(self.work)
        archive, out = self.work / 'archive', self.work / 'out'
        first = Table('commit: 60,000 small files')
        again = Table('commit again, unchanged')
        restore = Table('restore of the tree')
        rebuild = Table('catalog rebuild')
        packed = self.work / 'tree.tar'
        subprocess.run(['tar', '-cf', packed, '-C', self.work, 'tree'], check=True)
        for _ in range(self.rounds):
            self.commit(first, 'blockframe commit', tree)
            self.restic(first, tree)
            self.borg(first, tree)
        for _ in range(self.rounds):
            settle()
            warm(tree)
            again.add('blockframe commit', self.blockframe(archive, 'commit', tree))
            self.restic(again, tree, again=True)
            self.borg(again, tree, again=True)
        for _ in range(self.rounds):
            fresh(out)
            settle()
            restore.add('blockframe restore',
                        self.blockframe(archive, 'restore', '/tree', '--to', out))
            fresh(out)
            settle()
            restore.add('tar -x', run('tar', '-xf', packed, '-C', out))
            rebuild.add('blockframe rebuild', run(self.program, 'catalog', 'rebuild', '-q',
                                                  '-a', archive))
        first.show(['at most 0.5 of restic and of borg'])
        again.show(['at most 0.25 of theirs'])
        restore.show(['at most 1.3 of tar'])
        rebuild.show(['under 5 s'])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default='build-release/src/cli/blockframe')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--work', default='/var/tmp/blockframe-bench')
    parser.add_argument('--only', choices=['large', 'tar', 'tree'])
    parser.add_argument('--size', type=float, default=4, help='GiB of the large file')
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    bench = Bench(options)
    for name in [options.only] if options.only else ['large', 'tar', 'tree']:
        getattr(bench, name)()


if __name__ == '__main__':
    main()
