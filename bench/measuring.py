# SPDX-License-Identifier: MIT
"""What the benchmarks share: timing whole commands, tables of medians and ratios, and inputs."""
import os
import random
import shutil
import statistics
import subprocess
import sys
import time

ENVIRONMENT = dict(os.environ, RESTIC_PASSWORD='bench', BORG_PASSPHRASE='',
                   BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK='yes',
                   BORG_RELOCATED_REPO_ACCESS_IS_OK='yes')


def run(*command, stdout=subprocess.DEVNULL, cwd=None, expect=0):
    """Seconds and peak memory in KiB of one command, which must end with that exit code."""
    start = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], stdout=stdout,
                               stderr=subprocess.PIPE, env=ENVIRONMENT, cwd=cwd)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) != expect:
        sys.exit(f'{" ".join(map(str, command))}: status {status}: {error.decode()[-400:]}')
    return seconds, usage.ru_maxrss


def settle():
    """What one program left for the disk to write must not slow the next one down."""
    subprocess.run(['sync'], check=True)


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def warm(path):
    """Read everything once, attributes too, so that the source is in the kernel's caches. What
    ran before may have pushed some of it out: whoever comes first must not pay for that."""
    subprocess.run(['sh', '-c', 'find "$0" -type f -printf "%A %n" >/dev/null; '
                    'find "$0" -type f -print0 | xargs -0 cat >/dev/null; ls -lR "$0" >/dev/null',
                    path], check=True)


class Table:
    """Rows of seconds by program; the first program is ours."""

    def __init__(self, title, amount=None):
        self.title, self.amount, self.rows, self.memory = title, amount, {}, {}

    def add(self, name, measured):
        seconds, memory = measured
        self.rows.setdefault(name, []).append(seconds)
        self.memory[name] = max(memory, self.memory.get(name, 0))

    def show(self, targets=()):
        print(f'\n{self.title}')
        ours = next(iter(self.rows))
        for name, seconds in self.rows.items():
            median = statistics.median(seconds)
            rate = f'{self.amount / median / 1e9:6.2f} GB/s' if self.amount else ''
            ratio = statistics.median(a / b for a, b in zip(self.rows[ours], seconds))
            against = '' if name == ours else f'   ours takes {ratio:.2f} of its time'
            print(f'  {name:24} {median:8.2f} s {rate} {self.memory[name] // 1024:6} MiB{against}')
        for text in targets:
            print(f'  target: {text}')


def make_random(work, gib):
    """A file that does not compress."""
    file = work / 'random.bin'
    size = int(gib * 2**30)
    if not file.exists() or file.stat().st_size != size:
        with open(file, 'wb') as f:
            for _ in range(size >> 24):
                f.write(random.randbytes(1 << 24))
    return file


def make_tar(work):
    tar = work / 'programs.tar'
    if not tar.exists():
        subprocess.run(['sh', '-c', 'cd / && tar -cf - usr/bin usr/lib usr/include '
                        '2>/dev/null | head -c 1073741824 >"$0"', tar], check=True)
    return tar


def make_tree(work):
    """60,000 small files: the system's own, copied until there are enough."""
    tree = work / 'tree'
    if tree.exists():
        return tree
    count = 0
    for copy in range(100):
        for top in ('/usr/include', '/usr/share/doc', '/usr/share/perl', '/usr/lib/python3'):
            for folder, _, files in os.walk(top):
                to = tree / str(copy) / folder.lstrip('/')
                for name in files:
                    source = os.path.join(folder, name)
                    if os.path.islink(source) or os.path.getsize(source) > 200_000:
                        continue
                    to.mkdir(parents=True, exist_ok=True)
                    with open(source, 'rb') as f, open(to / name, 'wb') as g:
                        g.write(f.read() + b'%d' % copy)
                    count += 1
                    if count == 60_000:
                        return tree
    return tree
