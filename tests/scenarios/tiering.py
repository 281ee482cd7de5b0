# SPDX-License-Identifier: MIT
"""A hot tier on a file system of its own: an image behind a loop device. Needs root, loop
devices, and a kernel that can guard stubs; where one is missing, tests are skipped and say so.
"""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest

import tier_cleaner
from mounted import unmount, until
from program import BUSY, DONE, FAILED, KILLED, PARTIAL, PATIENCE, Archive, Run, have

MARKER = 'trusted.blockframe.stub'
MEMORY = '/dev/shm'
ROOM = 1 << 30  # bytes that the image and what is in the state folder take at most

# Opens each file of its arguments in a thread of its own, reads it, and says what it got.
READER = r'''
import errno, hashlib, os, sys, threading
def read(path):
    try:
        with open(path, 'rb') as file:
            said = hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        said = errno.errorcode[error.errno]
    os.write(1, f'{said} {path}\n'.encode())
threads = [threading.Thread(target=read, args=[path]) for path in sys.argv[1:]]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
'''


def run(*command, check=True, timeout=PATIENCE):
    return subprocess.run([os.fspath(word) for word in command], check=check, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def has_room(folder):
    """In many a container it has 64 MiB."""
    if not os.access(folder, os.W_OK):
        return False
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize >= ROOM


class Readers:
    """Reads files in another process."""

    def __init__(self, paths):
        self.process = subprocess.Popen([sys.executable, '-IS', '-c', READER, *paths],
                                        stdout=subprocess.PIPE)

    def results(self):
        """{path: hash of its content, or name of the error}"""
        out, _ = self.process.communicate(timeout=PATIENCE)
        return dict(reversed(line.split(' ', 1)) for line in out.decode().splitlines())


class TierArchive(Archive):
    """Its commands know of the tier."""

    def __init__(self, tier, path):
        super().__init__(tier.program, path)
        self.environment = tier.environment

    def run(self, *args, **options):
        return super().run(*args, **{**options, 'env': {**self.environment,
                                                        **options.get('env', {})}})


class Tier:
    """Use it as a context. `hot` is the tier's folder."""

    def __init__(self, program, folder, kind='ext4', size='256M'):
        self.program = program
        self.base = folder
        self.kind = kind
        self.size = size
        self.root = folder / 'fs'
        self.hot = self.root / 'hot'
        self.daemons = []

    def __enter__(self):
        if os.geteuid() != 0:
            pytest.skip('a hot tier needs root')
        if not have(f'mkfs.{self.kind}'):
            pytest.skip(f'there is no mkfs.{self.kind}')
        # In memory where that can be: everything here is flushed at each step.
        self.fast = pathlib.Path(tempfile.mkdtemp('', 'blockframe-tier-',
                                                  MEMORY if has_room(MEMORY) else self.base))
        self.state = self.fast / 'state'
        self.environment = {'BLOCKFRAME_TIER_STATE': str(self.state)}
        self.cleaner = subprocess.Popen(
            [sys.executable, '-IS', tier_cleaner.__file__, self.state, self.base, self.fast],
            stdin=subprocess.PIPE, cwd='/', start_new_session=True)
        try:
            self.make_file_system()
            self.archive = TierArchive(self, self.base / 'archive').init()
            self.add()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make_file_system(self):
        image = self.fast / 'image'
        run('truncate', '-s', self.size, image)
        run(f'mkfs.{self.kind}', '-q', image)
        self.root.mkdir()
        if self.mount().returncode != 0:
            pytest.skip('there are no loop devices here')
        self.hot.mkdir()

    def mount(self):
        return run('mount', '-o', 'loop', self.fast / 'image', self.root, check=False)

    def add(self):
        result = self.command('add', '-a', self.archive.path, '--into', 'hot', self.hot,
                              expect=None)
        if re.search('Linux 6.14|does not tell|fanotify:', result.err):
            pytest.skip(f'this kernel cannot: {result.err}')
        assert result.code == DONE, result

    def __exit__(self, *_):
        try:
            self.kill_all()
            for daemon in self.daemons:
                if daemon.process.returncode is None:
                    daemon.finish(expect=(DONE, FAILED, BUSY, KILLED), timeout=PATIENCE)
        finally:
            # Readers that waited have ended now, and nothing keeps it busy.
            self.cleaner.communicate(timeout=2 * PATIENCE)
        assert self.cleaner.returncode == 0, f'{self.root} was in use'

    def command(self, *args, **options):
        return self.program.run('tier', *args, timeout=PATIENCE,
                                env={**self.environment, **options.pop('env', {})}, **options)

    # Processes

    def start(self, *args, env=None, limit=None):
        """The daemon, once it is ready. @limit: how many descriptors a process may have."""
        command = ['prlimit', f'--nofile={limit}:{limit}'] if limit else []
        run_ = Run([*command, self.program.binary, 'tier', 'run', *args], subprocess.DEVNULL,
                   {**self.program.environment, **self.environment, **(env or {})}, None, False)
        self.daemons.append(run_)
        until(lambda: not run_.running or self.running(), 'the daemon')
        assert run_.running, run_.finish(expect=None)
        return self

    def start_guard(self):
        self.daemons.append(self.program.start('tier', 'guard', env=self.environment))
        guard = self.daemons[-1]
        until(lambda: len(self.holders('guard')) == 2 or not guard.running, 'the guard')
        assert guard.running, guard.finish(expect=None)

    def running(self):
        return self.status()['guard'] == 'running'

    def status(self):
        return self.command('status', '--json', expect=None).json()

    def holders(self, *words):
        """Numbers of the processes of this tier: 'run', 'guard' or both."""
        return tier_cleaner.holders(self.state, *words)

    @staticmethod
    def kill(pids):
        tier_cleaner.kill(pids)

    def kill_all(self, keep_covers=False):
        """End all processes. One that was being started may have laid a cover, which only tests
        about covers want to see."""
        def have_ended():
            self.kill(self.holders())
            # A process has no name any more while the kernel still closes its files.
            return tier_cleaner.have_ended(self.state) and self.unlocked()

        until(have_ended, 'all to end')
        for place in [] if keep_covers else tier_cleaner.covers_below(self.root):
            unmount(place)

    def unlocked(self):
        with contextlib.suppress(FileNotFoundError), open(self.state / 'holders', 'r+b') as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
        return True

    def whole_again(self):
        """There is a worker, and two processes of the guard."""
        until(lambda: len(self.holders('guard')) == 2 and len(self.holders('run')) == 1
              and self.running(), 'the processes to come back')

    def stop(self):
        """End the daemon; the guard stays."""
        for pid in self.holders('run'):
            os.kill(pid, signal.SIGTERM)
        until(lambda: not self.holders('run'), 'the daemon to end')

    # Files

    def write(self, name, content):
        path = self.hot / name
        path.write_bytes(content)
        return path

    def stub(self, *paths, expect=DONE):
        if expect != DONE:
            return self.command('stub', *paths, expect=expect)
        left = list(paths)

        def are_stubs():
            """The guard may not have closed yet what was read a moment ago."""
            result = self.command('stub', *left, expect=(DONE, PARTIAL))
            left[:] = [path for path in left if not self.is_stub(path)]
            assert len(left) == len(result.errors()), result
            assert all('in use' in line for line in result.errors()), result
            return not left

        return until(are_stubs, 'stubs')

    @staticmethod
    def is_stub(path):
        return os.stat(path).st_blocks <= 8 and MARKER in os.listxattr(path)


def patiently(condition):
    """True once the condition holds, False if it never does."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False
