# SPDX-License-Identifier: MIT
"""An archive as a folder: mounts it, tells what its process said and did, and never leaves a
mount behind. Every end of a mount is judged: a process that a sanitizer or an assertion spoke
in, that ended without saying that it unmounted, or with another code than 0, fails the test."""
import contextlib
import ctypes
import errno
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

from program import CODES, DONE, NEVER_SAID, PATIENCE

DAMAGE = re.compile(r"(?:warning|error): (?P<volume>\S+): offset (?P<offset>\d+): "
                    r"(?:damaged |(?P<size>\d+) bytes of )(?P<kind>content|table page) of "
                    r"'(?P<file>.*?)' (?:was|are) (?P<outcome>.*)$", re.M)


def until(condition, what):
    """Return the first true result of @condition, which is asked again and again."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < end, f'{what}: not within {PATIENCE} s'
        time.sleep(0.005)
    return result


def unmount(path):
    """As umount(8) does, but whoever was there a moment ago may need one more to leave."""
    until(lambda: subprocess.run(['umount', path], check=False,
                                 stderr=subprocess.DEVNULL).returncode == 0, f'umount {path}')


def is_mounted(path):
    """Whether something is mounted at @path, asked without touching it."""
    with open('/proc/self/mountinfo', encoding='utf-8', errors='surrogateescape') as list_:
        return any(line.split()[4] == str(path).replace(' ', '\\040') for line in list_)


def wait_for_end(pid, pidfd, what):
    """Wait for a child to end, close @pidfd, and return the exit code."""
    assert select.select([pidfd], [], [], PATIENCE)[0], f'process {pid} goes on\n{what()}'
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Repair:
    """One line of the log about damage."""

    def __init__(self, match):
        self.volume = os.path.basename(match['volume'])
        self.offset = int(match['offset'])
        self.kind = match['kind']
        self.file = match['file']
        self.outcome = match['outcome']
        self.written = 'written back' in self.outcome
        self.lost = 'lost' in self.outcome

    def __repr__(self):
        return f'<{self.kind} at {self.offset} of {self.file}: {self.outcome}>'


class Mount:
    """A mount in the background. Use it as a context."""

    pids = set()  # of all that are under way

    def __init__(self, archive, path, *args, env=None, preload=None, expect=DONE):
        self.archive = archive
        self.path = path
        self.log_file = path.with_name(path.name + '.log')
        self.pidfd = None
        path.mkdir(exist_ok=True) if not is_mounted(path) else None
        environment = dict(env or {})
        if preload:
            environment['LD_PRELOAD'] = str(preload)
        self.result = archive.run('mount', '-m', path, '--log', self.log_file, *args,
                                  env=environment, expect=expect)
        self.code = None
        if self.result.code == DONE:
            try:
                self.pid = int(os.getxattr(path, 'user.blockframe.pid'))
            except OSError:
                self.clean_up()
                raise
            self.pidfd = os.pidfd_open(self.pid)
            self.pids.add(self.pid)

    def __truediv__(self, name):
        return self.path / name

    # What it says

    @property
    def log(self):
        if not self.log_file.exists():
            return ''
        return self.log_file.read_text('utf-8', 'backslashreplace')

    def repairs(self):
        """What the log says of damage, in its order."""
        return [Repair(match) for match in DAMAGE.finditer(self.log)]

    def health(self):
        """{name: number or text}; 'lost' and 'repaired' are lists of files."""
        result = {'lost': [], 'repaired': []}
        for line in (self.path / '.blockframe/health').read_text().splitlines():
            name, _, value = line.partition(': ')
            if name in ('lost', 'repaired'):
                result[name].append(value)
            else:
                result[name] = int(value) if value.isdigit() else value
        return result

    def _io(self, name):
        with open(f'/proc/{self.pid}/io', encoding='ascii') as file:
            return int(next(line for line in file if line.startswith(name)).split()[1])

    def asked(self):
        """Bytes that the process has read from files so far, cached or not."""
        return self._io('rchar')

    def replies(self):
        """How often the process has written so far, which is what it answers requests with."""
        return self._io('syscw')

    def memory(self):
        """Bytes that the process took at its peak."""
        with open(f'/proc/{self.pid}/status', encoding='ascii') as file:
            return int(next(line for line in file if line.startswith('VmHWM')).split()[1]) << 10

    # Its end

    def wait(self):
        """Wait for the process to end."""
        self.code = wait_for_end(self.pid, self.pidfd, lambda: self.log)
        self.pidfd = None
        self.pids.discard(self.pid)

    @property
    def running(self):
        return self.pidfd is not None and not select.select([self.pidfd], [], [], 0)[0]

    def send(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def kill(self):
        self.send(signal.SIGKILL)
        self.wait()

    def unmount(self, *args, expect=DONE):
        result = self.archive.program.run('umount', *args, self.path, expect=expect)
        if result.code == DONE:
            self.wait()
            self.judge()
        return result

    def judge(self):
        """After an end that was asked for."""
        assert not NEVER_SAID.search(self.log), self.log
        assert 'is unmounted' in self.log.splitlines()[-1], self.log
        assert self.code == DONE, f'exit code {self.code}\n{self.log}'

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.pidfd is not None:
                self.unmount()
        finally:
            self.clean_up()
        assert not NEVER_SAID.search(self.log), self.log

    def clean_up(self):
        """Whatever happened: no process and no mount is left."""
        if self.pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            self.wait()
        while is_mounted(self.path):
            subprocess.run(['umount', '-l', self.path], check=True)


class BadMedium:
    """What tests/support/bad_medium.c does to the files of a mount: Mount(..., **bad.options).
    @volume is a file's path."""

    def __init__(self, library, folder):
        self.folder = folder
        self.options = {'preload': library, 'env': {'BAD_MEDIUM': str(folder)}}

    def _note(self, volume, what):
        return self.folder / f'{volume.name}.{what}'

    def make_unreadable(self, volume, places):
        """Reading of these (offset, size) fails, until they are written."""
        text = ''.join(f'{offset} {size}\n' for offset, size in places)
        new = self._note(volume, 'new')
        new.write_text(text)
        new.rename(self._note(volume, 'unreadable'))

    def hold(self, volume):
        """Reads of that file wait from now on."""
        self._note(volume, 'held').touch()

    def is_waiting(self, volume):
        return self._note(volume, 'waiting').exists()

    def release(self, volume):
        self._note(volume, 'held').unlink(missing_ok=True)


def refused(call, *args):
    """The error number of a call that must fail."""
    try:
        call(*args)
    except OSError as e:
        return e.errno
    raise AssertionError(f'{call.__name__}{args} did not fail')


LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_CHILD_SUBREAPER = 36


def adopt_mounts():
    """Become the parent of what runs in the background, to be told how it ends."""
    assert LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def _children():
    """(pid, name) of this process's."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
                name, fields = file.read().split('(', 1)[1].rsplit(')', 1)
            if int(fields.split()[1]) == os.getpid():
                yield int(pid), name


def judge_others():
    """Of the mounts that a test began without `Mount`, so without a log, and of those that were
    refused: that all of them end, and no sanitizer had something to say. What was killed said
    nothing: the leak checker's own process dies with a program that a test kills at its end."""
    for pid, name in _children():
        if 'blockfram' in name and pid not in Mount.pids:
            code = wait_for_end(pid, os.pidfd_open(pid), lambda name=name: name)
            assert code in {*CODES, -signal.SIGKILL}, f'{name}, process {pid}: exit code {code}'


def _mount_nothing(device, folder):
    """Whether root may mount here; in many a container it may not."""
    words = f'fd={device},rootmode=40000,user_id=0,group_id=0'.encode()
    if LIBC.mount(b'probe', os.fsencode(folder), b'fuse', 0, words) < 0:
        return False
    subprocess.run(['umount', '-l', folder], check=True)
    return True


def no_fuse():
    """Why nothing can be mounted here; None if it can."""
    try:
        device = os.open('/dev/fuse', os.O_RDWR)
    except OSError as e:
        return f'/dev/fuse can not be opened ({errno.errorcode[e.errno]})'
    try:
        if os.geteuid() != 0:
            return None if shutil.which('fusermount3') else 'there is no fusermount3'
        with tempfile.TemporaryDirectory() as folder:
            return None if _mount_nothing(device, folder) else 'root may not mount here'
    finally:
        os.close(device)
