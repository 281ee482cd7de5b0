#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures reading from another machine, side by side in one run:

  - a cold sequential read through a mount of a server over loopback, against the same read
    through a local mount, and against `rclone mount` of `rclone serve webdav` of the file
  - the same through a relay with 20 ms of delay and 1 Gbit/s, against what the relay passes
    plainly, with the bytes on the wire against the compressed size

    bench/remote.py [--program build-release/src/cli/blockframe] [--rounds 3] [--work DIR]
                    [--size MIB] [--only loopback|relay]

The relay is a child of this process (this kernel has no netem). Cold means a new mount; the
volumes are in the page cache for everybody. Every figure is a median of the rounds.
"""
import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import time

from measuring import make_tar

MIB = 1 << 20
DELAY = 0.020  # seconds, there and back
RATE = 125e6  # bytes a second


# The relay: one thread, one queue for each direction of a connection.


class Pipe:
    """Bytes on their way: each piece leaves when the wire is free and the delay over."""

    def __init__(self, source, to, wire):
        self.source, self.to, self.wire = source, to, wire
        self.queue = collections.deque()  # (time to leave, bytes)
        self.queued = 0
        self.ended = False

    def take(self):
        try:
            data = self.source.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            self.ended = True
            return
        now = time.monotonic()
        self.wire.free = max(self.wire.free, now) + len(data) / RATE
        self.wire.passed += len(data)
        self.queue.append((self.wire.free + DELAY / 2, data))
        self.queued += len(data)

    def give(self, now):
        """Send what is due. Returns the time when more is."""
        while self.queue and self.queue[0][0] <= now:
            _, data = self.queue[0]
            try:
                sent = self.to.send(data)
            except BlockingIOError:
                return now + 0.0005
            except OSError:
                self.queue.clear()
                self.ended = True
                return None
            self.queued -= sent
            if sent < len(data):
                self.queue[0] = (0, data[sent:])
            else:
                self.queue.popleft()
        if self.ended and not self.queue:
            with contextlib.suppress(OSError):
                self.to.shutdown(socket.SHUT_WR)
        return self.queue[0][0] if self.queue else None


class Wire:
    def __init__(self):
        self.free = 0.0
        self.passed = 0


def run_relay(listener, target, passed):
    """Until killed. @passed: bytes from the target."""
    there, back = Wire(), Wire()
    pipes = {}
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        now = time.monotonic()
        due = [pipe.give(now) for pipe in pipes.values()]
        due = [time_ for time_ in due if time_ is not None]
        passed.value = back.passed
        wait = max(0, min(due) - time.monotonic()) if due else 0.5
        for key, _ in selector.select(wait):
            if key.fileobj is listener:
                client, _ = listener.accept()
                server = socket.create_connection(target)
                for a, b, wire in (client, server, there), (server, client, back):
                    a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    a.setblocking(False)
                    pipes[a] = Pipe(a, b, wire)
                    selector.register(a, selectors.EVENT_READ)
                continue
            pipe = pipes[key.fileobj]
            pipe.take()
            if pipe.ended:
                selector.unregister(key.fileobj)


@contextlib.contextmanager
def relay(target):
    listener = socket.create_server(('127.0.0.1', 0), backlog=64)
    passed = multiprocessing.Value('Q', 0, lock=False)
    process = multiprocessing.Process(target=run_relay, args=(listener, target, passed))
    process.start()
    port = listener.getsockname()[1]
    listener.close()
    try:
        yield port, passed
    finally:
        process.kill()
        process.join()


# What is compared


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as sock:
        return sock.getsockname()[1]


def wait_for_port(port):
    for _ in range(500):
        with contextlib.suppress(OSError):
            socket.create_connection(('127.0.0.1', port)).close()
            return
        time.sleep(0.02)
    sys.exit(f'nothing listens on port {port}')


def read_all(path):
    """Seconds for a sequential read."""
    start = time.monotonic()
    with open(path, 'rb', buffering=0) as file:
        while file.read(MIB):
            pass
    return time.monotonic() - start


class Bench:
    def __init__(self, args):
        self.program = str(pathlib.Path(args.program).resolve())
        self.work = pathlib.Path(args.work)
        self.archive = self.work / 'archive'
        self.env = {**os.environ, 'XDG_STATE_HOME': str(self.work / 'state'),
                    'XDG_CACHE_HOME': str(self.work / 'cache')}

    def run(self, *words):
        return subprocess.run([self.program, *map(str, words)], check=True, env=self.env,
                              capture_output=True, text=True).stdout

    def prepare(self, size):
        (self.work / 'files').mkdir(parents=True)
        with open(self.work / 'files/random', 'wb') as file:
            for _ in range(size):
                file.write(random.randbytes(MIB))
        with open(make_tar(self.work), 'rb') as tar, open(self.work / 'files/text', 'wb') as file:
            while file.tell() < size * MIB and (data := tar.read(MIB)):
                file.write(data)
        self.run('init', self.archive)
        for name in 'random', 'text':
            self.run('commit', '-a', self.archive, '-q', self.work / 'files' / name)

    def size(self, name):
        return (self.work / 'files' / name).stat().st_size

    def stored(self, name):
        """Bytes of the file's compressed frames."""
        ids = set(json.loads(self.run('show', '-a', self.archive, name))['segments'])
        return sum(item['stored'] for item in map(json.loads, self.run(
            'catalog', 'dump', '-a', self.archive).splitlines())
            if item['item'] == 'segment' and item['id'] in ids)

    @contextlib.contextmanager
    def server(self):
        port = free_port()
        process = subprocess.Popen([self.program, 'serve', '-a', self.archive, '-p', str(port),
                                    '--log', self.work / 'serve.log'], env=self.env)
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()
            process.wait()

    def through(self, name, *words):
        """Seconds to read @name through a new mount."""
        mnt = self.work / 'mnt'
        mnt.mkdir(exist_ok=True)
        self.run('mount', '-m', mnt, '--log', self.work / 'mount.log', *words)
        try:
            os.stat(mnt / name)
            return read_all(mnt / name)
        finally:
            self.run('umount', mnt)

    def local(self, name):
        return self.through(name, '-a', self.archive)

    def remote(self, port, name):
        return self.through(name, '-r', f'http://127.0.0.1:{port}', '--tofu')

    def rclone(self, name):
        port, mnt = free_port(), self.work / 'rclone'
        mnt.mkdir(exist_ok=True)
        served = subprocess.Popen(['rclone', 'serve', 'webdav', '--addr', f'127.0.0.1:{port}',
                                   self.work / 'files'], stderr=subprocess.DEVNULL)
        wait_for_port(port)
        mounted = subprocess.Popen(['rclone', 'mount', f':webdav,url="http://127.0.0.1:{port}":',
                                    mnt, '--read-only', '--config', '/dev/null'],
                                   stderr=subprocess.DEVNULL)
        try:
            while not os.path.ismount(mnt):
                time.sleep(0.05)
            return read_all(mnt / name)
        finally:
            subprocess.run(['umount', mnt], check=False)
            for process in mounted, served:
                process.terminate()
                process.wait()


def plain(port, size):
    """Seconds for @size bytes over one connection of the relay, from a plain sender."""
    with socket.create_connection(('127.0.0.1', port)) as sock:
        start = time.monotonic()
        got, buffer = 0, bytearray(MIB)
        while got < size and (n := sock.recv_into(buffer)):
            got += n
        return time.monotonic() - start


def send_plain(listener, size):
    while True:
        sock, _ = listener.accept()
        with sock, contextlib.suppress(OSError):
            sock.sendall(bytes(size))


def median_rate(seconds, size):
    return size / statistics.median(seconds) / 1e6


def loopback(bench, rounds):
    with bench.server() as port:
        for name in 'random', 'text':
            times = collections.defaultdict(list)
            for _ in range(rounds):
                times['local'].append(bench.local(name))
                times['remote'].append(bench.remote(port, name))
                if shutil.which('rclone'):
                    times['rclone'].append(bench.rclone(name))
            rates = {what: median_rate(t, bench.size(name)) for what, t in times.items()}
            print(f'{name:8} ' + '  '.join(f'{what} {rate:7.0f} MB/s'
                                           for what, rate in rates.items())
                  + f'  remote/local {rates["remote"] / rates["local"]:.2f} (want 0.60)'
                  + (f'  remote/rclone {rates["remote"] / rates["rclone"]:.2f} (want 2)'
                     if 'rclone' in rates else ''), flush=True)


def over_relay(bench, rounds):
    sender = socket.create_server(('127.0.0.1', 0))
    process = multiprocessing.Process(target=send_plain, args=(sender, bench.size('random')))
    process.start()
    try:
        with bench.server() as port, relay(('127.0.0.1', port)) as (slow, passed), \
                relay(sender.getsockname()) as (bare, _):
            for name in 'random', 'text':
                stored = bench.stored(name)
                link, remote, wire = [], [], []
                for _ in range(rounds):
                    link.append(plain(bare, bench.size('random')))
                    before = passed.value
                    remote.append(bench.remote(slow, name))
                    time.sleep(0.6)
                    wire.append(passed.value - before)
                rate = median_rate(remote, stored)
                most = median_rate(link, bench.size('random'))
                print(f'{name:8} relay: link {most:6.0f} MB/s  remote '
                      f'{rate:6.0f} MB/s of stored bytes  share '
                      f'{rate / most:.2f} (want 0.80)  wire/stored '
                      f'{statistics.median(wire) / stored:.3f} (want 1.05)', flush=True)
    finally:
        process.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--program', default='build-release/src/cli/blockframe')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--work', default='bench-work')
    parser.add_argument('--size', type=int, default=512)
    parser.add_argument('--only', choices=['loopback', 'relay'])
    args = parser.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    bench = Bench(args)
    bench.prepare(args.size)
    if args.only != 'relay':
        loopback(bench, args.rounds)
    if args.only != 'loopback':
        over_relay(bench, args.rounds)
    shutil.rmtree(args.work)


if __name__ == '__main__':
    main()
