#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the HTTP server against nginx (sendfile) serving the same bytes, side by side in one
run.

    bench/serve.py [--program build-release/src/cli/blockframe] [--rounds 5] [--work DIR]
                   [--only stored|ranges] [--size GIB]

Needs nginx. Everything is warm: the volume and the file are in the page cache. Clients are
children of this process, and throw away what they get; every figure is a median of the rounds.
"""
import argparse
import contextlib
import http.client
import multiprocessing
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

from measuring import make_random, make_tar, run, warm

MIB = 1 << 20
NGINX = '''
worker_processes 2; daemon off; pid {work}/nginx.pid; error_log {work}/nginx.err;
events {{ worker_connections 2048; }}
http {{ access_log off; sendfile on; tcp_nopush on;
        server {{ listen 127.0.0.1:{port}; root {root}; }} }}
'''


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as sock:
        return sock.getsockname()[1]


def download(port, path):
    """Bytes of the body of one answer."""
    sock = socket.create_connection(('127.0.0.1', port))
    sock.sendall(f'GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'.encode())
    buffer = bytearray(MIB)
    total = -1
    while n := sock.recv_into(buffer):
        if total < 0:
            total = -(buffer.index(b'\r\n\r\n') + 4)
        total += n
    return total


def download_many(port, path, size, clients):
    """Seconds for as many whole downloads at the same time."""
    start = time.monotonic()
    processes = [multiprocessing.Process(target=download_whole, args=(port, path, size))
                 for _ in range(clients)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            sys.exit(f'{path}: a download failed')
    return time.monotonic() - start


def download_whole(port, path, size):
    if download(port, path) != size:
        sys.exit(1)


def random_ranges(port, path, size, count, seed):
    """Seconds of each of @count ranges of 64 KiB, one after the other on one connection."""
    chooser = random.Random(seed)
    connection = http.client.HTTPConnection('127.0.0.1', port)
    seconds = []
    for _ in range(count):
        offset = chooser.randrange(size - 65536)
        start = time.monotonic()
        connection.request('GET', path, headers={'Range': f'bytes={offset}-{offset + 65535}'})
        reply = connection.getresponse()
        if len(reply.read()) != 65536 or reply.status != 206:
            sys.exit(f'{path}: no range')
        seconds.append(time.monotonic() - start)
    return sorted(seconds)


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
    def served(self):
        """The server's port, and its process."""
        log = self.work / 'serve.log'
        log.unlink(missing_ok=True)
        process = subprocess.Popen([self.program, 'serve', '-a', self.archive, '-p', '0',
                                    '--log', log])
        try:
            while not (found := re.search(r'served at http://127.0.0.1:(\d+)/',
                                          log.read_text() if log.exists() else '')):
                if process.poll() is not None:
                    sys.exit('the server ended')
                time.sleep(0.01)
            yield int(found[1]), process.pid
        finally:
            process.terminate()
            process.wait()

    @contextlib.contextmanager
    def nginx(self, root):
        port = free_port()
        config = self.work / 'nginx.conf'
        config.write_text(NGINX.format(work=self.work, port=port, root=root))
        process = subprocess.Popen(['nginx', '-c', config], stderr=subprocess.DEVNULL)
        try:
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(('127.0.0.1', port)).close()
                    break
                time.sleep(0.01)
            yield port
        finally:
            process.terminate()
            process.wait()

    def stored(self):
        file = make_random(self.work, self.size)
        size = file.stat().st_size
        self.commit(file)
        warm(self.work / 'archive')
        warm(file)
        path = f'/files/{file.name}'
        print(f'\n{self.size} GiB stored file over loopback')
        with self.served() as (port, pid), self.nginx(self.work) as other:
            for clients, target in ((1, 0.9), (8, 0.65)):
                ours, theirs = [], []
                for _ in range(self.rounds):
                    theirs.append(download_many(other, f'/{file.name}', size, clients))
                    ours.append(download_many(port, path, size, clients))
                rate = lambda seconds: clients * size / statistics.median(seconds) / 1e9
                ratio = statistics.median(b / a for a, b in zip(ours, theirs))
                print(f'  {clients} connections: blockframe {rate(ours):5.2f} GB/s, '
                      f'nginx {rate(theirs):5.2f} GB/s: {ratio:.2f} of it   '
                      f'target: at least {target}')
            status = pathlib.Path(f'/proc/{pid}/status').read_text()
            print(f'  memory at its peak: {int(re.search(r"VmHWM: *(.*) kB", status)[1]) // 1024}'
                  ' MiB   target: at most 256')

    def ranges(self):
        tar = make_tar(self.work)
        size = tar.stat().st_size
        self.commit(tar)
        warm(self.work / 'archive')
        print('\n1,000 random ranges of 64 KiB of a compressed file of 1 GiB')
        with self.served() as (port, _):
            middle, late = [], []
            for number in range(self.rounds):
                seconds = random_ranges(port, f'/files/{tar.name}', size, 1000, number)
                middle.append(seconds[500] * 1000)
                late.append(seconds[990] * 1000)
            print(f'  p50 {statistics.median(middle):.2f} ms, p99 {statistics.median(late):.2f} ms'
                  '   target: below 1 and 8')


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default='build-release/src/cli/blockframe')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--work', default='/var/tmp/blockframe-bench')
    parser.add_argument('--only', choices=['stored', 'ranges'])
    parser.add_argument('--size', type=float, default=2, help='GiB of the stored file')
    options = parser.parse_args()
    bench = Bench(options)
    for name in [options.only] if options.only else ['stored', 'ranges']:
        getattr(bench, name)()


if __name__ == '__main__':
    main()
