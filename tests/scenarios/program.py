# SPDX-License-Identifier: MIT
"""Runs blockframe as its users do, and never overlooks a crash.

`Program` is the binary of one build. `Archive` is an archive's folder together with it; its
methods are named after the commands. Every run has a timeout, and fails the test when a
sanitizer or an assertion spoke, when a signal ended it, or when the exit code is not the
expected one.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

MEASURED = pathlib.Path(__file__).with_name('measured.py')
TIMEOUT = 600  # seconds; only a program that hangs ever gets there
PATIENCE = 300  # seconds for what should take moments, on however busy a machine
KILLED = -signal.SIGKILL

DONE, FAILED, USAGE, PARTIAL, LOST = 0, 1, 2, 3, 4
NO_ARCHIVE, BUSY, INTERRUPTED = 10, 11, 130
CODES = {DONE, FAILED, USAGE, PARTIAL, LOST, NO_ARCHIVE, BUSY, INTERRUPTED}
SANITIZERS = ('ASAN_OPTIONS', 'LSAN_OPTIONS', 'TSAN_OPTIONS', 'UBSAN_OPTIONS')

NEVER_SAID = re.compile(r'Sanitizer|runtime error|Assertion')
TWO_WORDS = {'catalog', 'trust', 'volume'}


class Result:
    """What one run left: exit code, output, and what it took."""

    def __init__(self, command, code, out, err, seconds, memory):
        self.command = command
        self.code = code
        self.out = out  # bytes
        self.err = err  # text
        self.seconds = seconds
        self.memory = memory  # bytes at the peak; None unless measured

    @property
    def text(self):
        return self.out.decode('utf-8', 'surrogateescape')

    @property
    def lines(self):
        return self.text.splitlines()

    def json(self):
        return json.loads(self.out)

    def json_lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def errors(self):
        """The error lines, without the program's name."""
        start = 'blockframe: error: '
        return [line[len(start):] for line in self.err.splitlines() if line.startswith(start)]

    def __str__(self):
        out = self.out[-2000:].decode('utf-8', 'replace')
        return f'$ {self.command}\nexit code {self.code}\nstdout: {out}\nstderr: {self.err[-4000:]}'


class Run:
    """A run under way. Output goes to files, so nobody has to drain a pipe."""

    def __init__(self, command, stdin, environment, cwd, measure):
        self.command = ' '.join(map(os.fsdecode, command))
        self.out = tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        self.memory = tempfile.NamedTemporaryFile('r') if measure else None
        if measure:
            command = [sys.executable, '-IS', MEASURED, self.memory.name, *command]
        self.start = time.monotonic()
        self.process = subprocess.Popen(command, stdin=stdin, stdout=self.out, stderr=self.err,
                                        env=environment, cwd=cwd)

    @property
    def stdin(self):
        return self.process.stdin

    @property
    def running(self):
        """Whether it has not ended yet; it is not reaped."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is None

    def kill(self, number=signal.SIGKILL):
        os.kill(self.process.pid, number)  # not reaped yet, so the number is still ours

    def finish(self, expect=DONE, timeout=TIMEOUT):
        """Wait for the end and judge it. @expect: a code, several, or None for any; a signal
        that ended it must always be named (KILLED)."""
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            _, status = os.waitpid(self.process.pid, 0)
        finally:  # or who interrupts the tests waits for it
            timed_out = not timer.is_alive()
            timer.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        result = Result(self.command, self.process.returncode, self._all(self.out),
                        self._all(self.err).decode('utf-8', 'backslashreplace'),
                        time.monotonic() - self.start,
                        int(self._all(self.memory)) if self.memory else None)
        assert not timed_out, f'no end within {timeout} s\n{result}'
        assert not NEVER_SAID.search(result.err), str(result)
        allowed = {expect} if isinstance(expect, int) else expect
        assert result.code >= 0 or (allowed and result.code in allowed), str(result)
        assert allowed is None or result.code in allowed, f'expected {allowed}\n{result}'
        return result

    @staticmethod
    def _all(file):
        with file:
            file.seek(0)
            return file.read()


class Program:
    def __init__(self, build, home):
        self.build = pathlib.Path(build).resolve()
        self.binary = self.build / 'src/cli/blockframe'
        self.interpose = self.build / 'tests/libinterpose.so'
        self.bad_medium = self.build / 'tests/libbad_medium.so'
        self.large_catalog = self.build / 'tests/large_catalog'
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(('BLOCKFRAME_', 'INTERPOSE_', 'XDG_'))}
        self.environment['HOME'] = str(home)
        for name in SANITIZERS:  # a code that no command ends with
            self.environment[name] = f'{os.environ.get(name, "")}:exitcode=99'

    def start(self, *args, stdin=subprocess.DEVNULL, env=None, interpose=None, cwd=None,
              measure=False):
        """@interpose: settings of tests/support/interpose.c, without their prefix. @measure:
        how much memory it takes."""
        environment = {**self.environment, **(env or {})}
        if interpose:
            environment['LD_PRELOAD'] = str(self.interpose)
            environment.update({f'INTERPOSE_{name}': str(value)
                                for name, value in interpose.items()})
        return Run([self.binary, *args], stdin, environment, cwd, measure)

    def run(self, *args, expect=DONE, timeout=TIMEOUT, input=None, **options):
        if input is not None:
            with tempfile.TemporaryFile() as file:
                file.write(input)
                file.seek(0)
                return self.start(*args, stdin=file, **options).finish(expect, timeout)
        return self.start(*args, **options).finish(expect, timeout)


class Archive:
    def __init__(self, program, path):
        self.program = program
        self.path = pathlib.Path(path)

    # Running

    def _command(self, args):
        words = 2 if args[0] in TWO_WORDS else 1
        return [*args[:words], '--archive', self.path, *args[words:]]

    def run(self, *args, **options):
        return self.program.run(*self._command(args), **options)

    def start(self, *args, **options):
        return self.program.start(*self._command(args), **options)

    # Commands

    def init(self, *args, settings=None, **options):
        """@settings: {'volume.max_size': '64MiB'}, kept in the archive's config.toml."""
        environment = {'BLOCKFRAME_' + key.upper().replace('.', '_'): str(value)
                       for key, value in (settings or {}).items()}
        options['env'] = {**options.get('env', {}), **environment}
        self.program.run('init', *args, self.path, **options)
        return self

    def commit(self, *args, **options):
        return self.run('commit', *args, **options)

    def restore(self, to, *args, **options):
        """@args: options and paths, which begin with a slash; everything if there is none."""
        paths = [] if any(str(arg).startswith('/') for arg in args) else ['/']
        return self.run('restore', '--to', to, *args, *paths, **options)

    def cat(self, path, *args, **options):
        return self.run('cat', *args, path, **options).out

    def show(self, path, *args):
        return self.run('show', *args, path).json()

    def log(self, **options):
        """The commits as JSON heads, newest first."""
        return self.run('log', '--json', **options).json_lines()

    def dump(self, **options):
        return self.run('catalog', 'dump', **options).out

    def rebuild(self, **options):
        return self.run('catalog', 'rebuild', **options)

    # The folder

    @property
    def catalog(self):
        return self.path / 'catalog.db'

    @property
    def volumes(self):
        """Files of the volumes, in order."""
        return sorted((self.path / 'volumes').glob('*.bfv'))

    @property
    def volume(self):
        """The only volume's file."""
        volume, = self.volumes
        return volume

    def forget_catalog(self):
        for file in self.path.glob('catalog.db*'):
            file.unlink()

    def copy(self, to):
        """A copy of the whole folder, holes kept."""
        subprocess.run(['cp', '-a', '--sparse=always', self.path, to], check=True)
        return Archive(self.program, to)

    def delete(self):
        remove(self.path)

    def allocated(self):
        """Bytes that the volumes take on the disk."""
        return sum(volume.stat().st_blocks * 512 for volume in self.volumes)


def remove(path):
    """Like rm -rf: shutil.rmtree gives up on deep trees."""
    subprocess.run(['rm', '-rf', '--', path], check=True)


def have(tool):
    return shutil.which(tool) is not None
