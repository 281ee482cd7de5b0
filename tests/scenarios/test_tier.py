# SPDX-License-Identifier: MIT
"""Stubs: whoever opens one gets its bytes or an error, never zeroes; whatever the way, and
whichever of the processes are killed."""
import contextlib
import errno
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest

from mounted import unmount, until
from program import DONE, FAILED, KILLED, PARTIAL, PATIENCE, have
from tiering import MARKER, Readers, Tier, patiently, run, sha256

ERRORS = {'EAGAIN', 'EIO', 'EBUSY', 'ENOSPC', 'EPERM'}


@pytest.fixture
def tier(program, tmp_path):
    with Tier(program, tmp_path) as tier:
        yield tier


# ---- ways to get at a file: each does to a stub what it does to the file that it was ----

PYTHON = {
    'read': "out(open(P, 'rb').read())",
    'pread': "out(os.pread(fd(), 100, 300001))",
    'readv': "b = [bytearray(5000), bytearray(9)]; os.preadv(fd(), b, 4000); out(b[0] + b[1])",
    'read behind the end': "out(os.pread(fd(), 4096, SIZE - 100))",
    'nonblocking read': "out(os.pread(fd(os.O_NONBLOCK), 5000, 0))",
    'direct read': "m = mmap.mmap(-1, 65536); os.preadv(fd(os.O_DIRECT), [m], 65536); out(m[:])",
    'fadvise, then read': "f = fd(); os.posix_fadvise(f, 0, 0, os.POSIX_FADV_WILLNEED); "
                          "time.sleep(0.05); out(os.pread(f, SIZE, 0))",
    'private mapping': "out(mmap.mmap(fd(), SIZE, mmap.MAP_PRIVATE, mmap.PROT_READ)[:])",
    'shared mapping': "out(mmap.mmap(fd(), SIZE, mmap.MAP_SHARED, mmap.PROT_READ)[:])",
    'populated mapping': "out(mmap.mmap(fd(), SIZE, mmap.MAP_SHARED | 0x8000, "
                         "mmap.PROT_READ)[:])",
    'part of a mapping': "out(mmap.mmap(fd(), 8192, mmap.MAP_SHARED, mmap.PROT_READ, "
                         "offset=409600)[:])",
    'mapping that grows': "m = mmap.mmap(fd(os.O_RDWR), 4096); m.resize(SIZE); out(m[:])",
    'writing through a mapping': "m = mmap.mmap(fd(os.O_RDWR), SIZE); m[70000:70003] = b'xyz'; "
                                 "m.flush()",
    'sendfile': "r, w = os.pipe(); fcntl.fcntl(w, 1031, 1 << 20); "
                "n = os.sendfile(w, fd(), 1000, 65536); out(os.read(r, n))",
    'splice': "r, w = os.pipe(); n = os.splice(fd(), w, 60000, offset_src=1000); "
              "out(os.read(r, n))",
    'copy_file_range from it': "t = os.open(P + '.copy', os.O_RDWR | os.O_CREAT); "
                               "os.copy_file_range(fd(), t, SIZE, 0, 0); "
                               "out(os.pread(t, SIZE, 0))",
    'copy_file_range into it': "t = os.open(P + '.from', os.O_RDWR | os.O_CREAT); "
                               "os.write(t, b'n' * 9000); "
                               "os.copy_file_range(t, fd(os.O_RDWR), 9000, 0, 100000)",
    'write': "os.pwrite(fd(os.O_RDWR), b'some bytes', 123456)",
    'write at the front': "os.pwrite(fd(os.O_WRONLY), b'x', 0)",
    'append': "os.write(fd(os.O_WRONLY | os.O_APPEND), b'more')",
    'direct write': "m = mmap.mmap(-1, 4096); m[:] = b'd' * 4096; "
                    "os.pwritev(fd(os.O_RDWR | os.O_DIRECT), [m], 8192)",
    'truncate a path': "os.truncate(P, 100001)",
    'truncate a path to nothing': "os.truncate(P, 0)",
    'truncate a path, then longer': "os.truncate(P, 5000); os.truncate(P, 200000)",
    'truncate longer': "os.truncate(P, SIZE + 70000)",
    'ftruncate': "os.ftruncate(fd(os.O_RDWR), 77)",
    'O_TRUNC': "os.write(fd(os.O_WRONLY | os.O_TRUNC), b'new')",
    'fallocate': "os.posix_fallocate(fd(os.O_RDWR), 0, SIZE + 4096)",
    'a hard link': "os.link(P, P + '.link'); out(open(P + '.link', 'rb').read())",
    'a link, and no more the name': "os.link(P, P + '.l'); os.unlink(P); os.rename(P + '.l', P);"
                                    " out(open(P, 'rb').read())",
    'renamed': "os.rename(P, P + '.moved'); out(open(P + '.moved', 'rb').read()); "
               "os.rename(P + '.moved', P)",
    'moved out of the folder': "Q = os.path.dirname(os.path.dirname(P)) + '/out-' + "
                               "os.path.basename(P); os.rename(P, Q); "
                               "out(open(Q, 'rb').read()); os.rename(Q, P)",
    'through O_PATH': "p = os.open(P, os.O_PATH); out(open(f'/proc/self/fd/{p}', 'rb').read())",
    'touched': "os.utime(P, (5, 6)); out(open(P, 'rb').read()); "
               "out(str(os.stat(P).st_mtime).encode())",
    'another mode': "os.chmod(P, 0o640); out(open(P, 'rb').read())",
    'by another user': "os.chmod(P, 0o644); os.setgroups([]); "
                       "os.setgid(65534); os.setuid(65534); "
                       "out(open(P, 'rb').read())",
    'Linux AIO': "out(aio(70_000, 4096))",
    'io_uring': "out(uring(70_000, 4096))",
    'FICLONE': "t = os.open(P + '.c', os.O_RDWR | os.O_CREAT); fcntl.ioctl(t, 0x40049409, fd()); "
               "out(os.pread(t, SIZE, 0))",
    'FICLONERANGE': "t = os.open(P + '.c', os.O_RDWR | os.O_CREAT); "
                    "fcntl.ioctl(t, 0x4020940D, struct.pack('qQQQ', fd(), 4096, 8192, 0)); "
                    "out(os.pread(t, SIZE, 0))",
    'FIDEDUPERANGE': "t = os.open(P + '.c', os.O_RDWR | os.O_CREAT); os.write(t, bytes(8192)); "
                     "b = bytearray(struct.pack('QQHHIqQQiI', 0, 8192, 1, 0, 0, t, 0, 0, 0, 0)); "
                     "fcntl.ioctl(fd(os.O_RDWR), 0xC0189436, b); out(b[48:52]); "
                     "out(open(P, 'rb').read())",
    'O_SYNC write': "os.pwrite(fd(os.O_RDWR | os.O_SYNC), b'some bytes', 99_999)",
    'readahead': "f = fd(); ctypes.CDLL(None).readahead(f, ctypes.c_long(0), "
                 "ctypes.c_size_t(SIZE)); out(os.pread(f, SIZE, 0))",
    'another process reads a mapping': "m = mmap.mmap(fd(os.O_RDWR), SIZE); "
                                       "a = ctypes.addressof(ctypes.c_char.from_buffer(m)); "
                                       "n = os.open('/proc/self/mem', os.O_RDONLY); "
                                       "out(os.pread(n, SIZE, a))",
    'a lease': "f = fd(); fcntl.fcntl(f, 1024, fcntl.F_RDLCK); out(os.pread(f, SIZE, 0))",
    'python copy': "import shutil; shutil.copyfile(P, P + '.c'); "
                   "out(open(P + '.c', 'rb').read())",
}
PREFIX = '''
import ctypes, fcntl, mmap, os, platform, struct, sys, time
P, SIZE = sys.argv[1], int(sys.argv[2])
def fd(flags=os.O_RDONLY): return os.open(P, flags)
def out(data): sys.stdout.buffer.write(data)
def call(number, *words):
    return ctypes.CDLL(None).syscall(ctypes.c_long(number), *words)
def aio(offset, size):
    assert platform.machine() == 'x86_64'
    context, target = ctypes.c_ulong(0), ctypes.create_string_buffer(size)
    control = ctypes.create_string_buffer(struct.pack('QIIHhIQQqQII', 0, 0, 0, 0, 0, fd(),
        ctypes.addressof(target), size, offset, 0, 0, 0))
    event = ctypes.create_string_buffer(32)
    assert call(206, 1, ctypes.byref(context)) == 0
    assert call(209, context, ctypes.c_long(1),
                ctypes.byref(ctypes.c_void_p(ctypes.addressof(control)))) == 1
    assert call(208, context, ctypes.c_long(1), ctypes.c_long(1), event, None) == 1
    return target.raw
def uring(offset, size):
    facts = bytearray(120)
    ring = call(425, 1, ctypes.byref(ctypes.c_char.from_buffer(facts)))
    if ring < 0: return b'there is none'
    entries, done_entries = struct.unpack_from('II', facts)
    asked, done = struct.unpack_from('7I', facts, 40), struct.unpack_from('7I', facts, 80)
    queue = mmap.mmap(ring, asked[6] + 4 * entries, offset=0)
    finished = mmap.mmap(ring, done[5] + 16 * done_entries, offset=0x8000000)
    slots = mmap.mmap(ring, 64 * entries, offset=0x10000000)
    target = ctypes.create_string_buffer(size)
    slots[:64] = struct.pack('BBHiQQI', 22, 0, 0, fd(), offset, ctypes.addressof(target),
                             size).ljust(64, bytes(1))
    queue[asked[6]:asked[6] + 4] = bytes(4)
    queue[asked[1]:asked[1] + 4] = struct.pack('I', 1)
    assert call(426, ring, 1, 1, 1, None, ctypes.c_size_t(0)) == 1
    n = struct.unpack_from('i', finished, done[5] + 8)[0]
    return target.raw if n == size else str(n).encode()
'''
SHELL = {
    'cat': 'cat "$1"',
    'cp': 'cp "$1" "$1.c" && cat "$1.c"',
    'cp -a': 'cp -a "$1" "$1.c" && cat "$1.c"',
    'cp --sparse=never': 'cp --sparse=never "$1" "$1.c" && cat "$1.c"',
    'cp --sparse=always': 'cp --sparse=always "$1" "$1.c" && cat "$1.c"',
    'cp to another file system': 'cp "$1" "$2/c" && cat "$2/c"',
    'mv to another file system': 'mv "$1" "$2/c" && cat "$2/c"',
    'install': 'install "$1" "$1.c" && cat "$1.c"',
    'dd': 'dd if="$1" bs=7k status=none',
    'dd conv=sparse': 'dd if="$1" of="$1.c" conv=sparse status=none && cat "$1.c"',
    'tar': 'tar -C "${1%/*}" -cf - --warning=no-file-changed "${1##*/}" | tar -xOf -',
    'tar -S': 'tar -C "${1%/*}" -cSf - --warning=no-file-changed "${1##*/}" | tar -xOf -',
    'tar --hole-detection=raw': 'tar -C "${1%/*}" -cf - --hole-detection=raw -S '
                                '--warning=no-file-changed "${1##*/}" | tar -xOf -',
    'sha256sum': 'sha256sum < "$1"',
    'grep': 'grep -c -a x "$1"',
    'gzip': 'gzip -nc "$1" | gzip -dc',
    'sed -i': 'sed -i 1d "$1"; cat "$1"',
    'head': 'head -c 70000 "$1"',
    'tail': 'tail -c 70000 "$1"',
    'truncate': 'truncate -s 5000 "$1"',
    'punch': 'fallocate -p -o 4096 -l 8192 "$1"',
    'zero range': 'fallocate -z -o 4096 -l 8192 "$1"',
    'collapse': 'fallocate -c -o 4096 -l 8192 "$1"',
    'insert': 'fallocate -i -o 4096 -l 8192 "$1"',
    'dig holes': 'fallocate -d "$1"',
    'append': 'echo more >> "$1"',
    'O_TRUNC': 'echo more > "$1"',
}
if have('git'):
    SHELL['git add'] = ('d=$(mktemp -d) && git init -q "$d" && git -C "$d" --work-tree="${1%/*}" '
                        'add "$1" && git -C "$d" cat-file -p ":${1##*/}"; rm -rf "$d"')
if have('sqlite3'):
    SHELL['sqlite3'] = 'sqlite3 "$1" "SELECT 1 FROM sqlite_master" 2>&1 | tail -c 20; cat "$1"'
if have('rsync'):
    SHELL |= {'rsync': 'rsync "$1" "$1.c" && cat "$1.c"',
              'rsync -S': 'rsync -S "$1" "$1.c" && cat "$1.c"',
              # The marker that it has seen goes when it opens the file: it complains once.
              'rsync -aX': '(rsync -aX "$1" "$1.c" || rsync -aX "$1" "$1.c") '
                           '2> /dev/null && cat "$1.c"'}


def get_at(way, path, size, elsewhere):
    if way[0] == 'python':
        command = [sys.executable, '-IS', '-c', PREFIX + PYTHON[way[1]], path, str(size)]
    else:
        command = ['bash', '-c', SHELL[way[1]], 'bash', path, elsewhere]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr.replace(os.fsencode(path), b'PATH')


WAYS = [('python', name) for name in PYTHON] + [('shell', name) for name in SHELL]


@pytest.mark.slow_under_sanitizers
@pytest.mark.parametrize('kind', ['ext4', 'xfs'])
def test_every_way_to_get_at_a_stub(program, tmp_path, let_others_in, rng, count, kind):
    let_others_in(tmp_path)
    ways = rng.sample(WAYS, count(16 if kind == 'ext4' else 5, len(WAYS)))
    if kind == 'xfs' and not have('mkfs.xfs'):
        pytest.skip('there is no mkfs.xfs')
    with Tier(program, tmp_path, kind, '512M') as tier:
        elsewhere = tmp_path / 'elsewhere'
        elsewhere.mkdir()
        plain = tier.root / 'plain' / 'x'  # the same depth, for what goes upwards
        plain.mkdir(parents=True)
        content = rng.randbytes(400_000) + bytes(50_000) + b'line\n' * 9_000
        tier.start()
        files = [tier.write(f'f{i}', content) for i in range(len(ways))]
        tier.stub(*files)
        for i, (way, stub) in enumerate(zip(ways, files)):
            whole = plain / f'f{i}'
            whole.write_bytes(content)
            want = get_at(way, whole, len(content), elsewhere)
            got = get_at(way, stub, len(content), elsewhere)
            assert got == want, way
            assert stub.exists() == whole.exists(), way
            if whole.exists():
                assert stub.read_bytes() == whole.read_bytes(), way
                assert MARKER not in os.listxattr(stub), way
        assert tier.status()['stubs'] == '0' or not all(f.exists() for f in files)


@pytest.mark.main
def test_a_stub_comes_back_as_it_was(tier, rng):
    content = rng.randbytes(3_000_000)
    path = tier.write('a', content)
    os.utime(path, ns=(1_600_000_000_123_456_789, 1_500_000_000_987_654_321))
    before = path.stat()
    assert tier.stub(path, expect=FAILED).errors()  # nobody would guard it
    tier.start()
    tier.stub(path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_atime_ns == before.st_atime_ns
    assert path.stat().st_size == before.st_size
    assert path.read_bytes() == content
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert not tier.is_stub(path)
    tier.stub(path)
    tier.command('recall', path)
    assert not tier.is_stub(path)
    assert tier.status()['stubs'] == '0'


def test_programs_run_from_stubs(tier):
    tier.start()
    path = tier.hot / 'echo'
    shutil.copy('/bin/echo', path)
    tier.stub(path)
    assert run(path, 'hello').stdout == b'hello\n'


def test_other_mounts_show_no_zeroes(tier, tmp_path, rng):
    content = rng.randbytes(1 << 20)
    tier.start()
    files = [tier.write(name, content) for name in ('bind', 'second', 'lower', 'loop')]
    tier.stub(*files)
    other = tmp_path / 'other'
    other.mkdir()
    for name, words in {'bind': ['--bind', tier.hot], 'second': ['/dev/loop', None]}.items():
        source = words[1]
        if name == 'second':
            source = run('findmnt', '-no', 'SOURCE', tier.root).stdout.decode().strip()
            words = [source]
        run('mount', *words, other)
        try:
            place = other / name if name == 'bind' else other / 'hot' / name
            assert place.read_bytes() == content
        finally:
            unmount(other)
    for folder in ('up', 'work', 'merged'):
        (tmp_path / folder).mkdir()
    if run('mount', '-t', 'overlay', 'overlay', '-o', f'lowerdir={tier.hot},upperdir='
           f'{tmp_path}/up,workdir={tmp_path}/work', tmp_path / 'merged',
           check=False).returncode == 0:
        try:
            out = subprocess.run([sys.executable, '-IS', '-c', PREFIX + PYTHON['shared mapping'],
                                  tmp_path / 'merged/lower', str(len(content))],
                                 capture_output=True, timeout=PATIENCE)
            assert out.stdout == content or out.returncode != 0
        finally:
            unmount(tmp_path / 'merged')
    device = run('losetup', '-f', '--show', '-r', tier.hot / 'loop', check=False)
    if device.returncode == 0:
        name = device.stdout.decode().strip()
        try:
            with open(name, 'rb') as file:
                assert file.read() == content
        finally:
            run('losetup', '-d', name)


# ---- what is no stub for good reasons ----

def test_files_in_use_stay_as_they_are(tier, rng):
    content = rng.randbytes(200_000)
    tier.start()
    names = ('read', 'written', 'mapped', 'changed')
    paths = {name: tier.write(name, content) for name in names}
    script = '''
import mmap, sys, os
r = open(sys.argv[1], 'rb'); w = open(sys.argv[2], 'r+b')
f = os.open(sys.argv[3], os.O_RDONLY); m = mmap.mmap(f, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
os.close(f); print('ready', flush=True); sys.stdin.read()
'''
    user = subprocess.Popen([sys.executable, '-IS', '-c', script, *list(paths.values())[:3]],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    user.stdout.readline()
    try:
        result = tier.stub(*list(paths.values())[:3], expect=PARTIAL)
        assert len(result.errors()) == 3
        assert all('in use' in line for line in result.errors())
    finally:
        user.communicate()
    for path in paths.values():
        assert path.read_bytes() == content
        assert MARKER not in os.listxattr(path)
    if run('chattr', '+i', paths['changed'], check=False).returncode == 0:
        assert tier.stub(paths['changed'], expect=PARTIAL).errors()
        run('chattr', '-i', paths['changed'])
    assert tier.status()['stubs'] == '0'


@pytest.mark.slow_under_sanitizers
def test_no_edit_is_lost_to_the_stubber(tier, rng, count):
    """A writer appends numbers while the file becomes a stub again and again."""
    tier.start()
    path = tier.write('log', b'')
    size = 20
    end = threading.Event()
    written = []

    def edit():
        while not end.is_set():
            line = f'{len(written):019}\n'.encode()
            with open(path, 'ab') as file:
                file.write(line)
            written.append(line)
            end.wait(rng.random() * 0.02)

    path.write_bytes(b'x' * 19 + b'\n')
    writer = threading.Thread(target=edit)
    writer.start()
    stubs = 0
    try:
        for _ in range(count(8, 1000)):
            stubs += tier.stub(path, expect=(DONE, PARTIAL)).code == DONE
    finally:
        end.set()
        writer.join()
    lines = path.read_bytes()
    assert lines[size:] == b''.join(written)


# ---- processes that are killed ----

@pytest.mark.slow_under_sanitizers
def test_any_process_may_be_killed_while_files_are_read(tier, rng, count):
    tier.start()
    contents = {str(tier.hot / f'f{i}'): rng.randbytes(rng.randrange(1, 400_000))
                for i in range(16)}
    for path, content in contents.items():
        with open(path, 'wb') as file:
            file.write(content)
    want = {path: sha256(content) for path, content in contents.items()}
    subsets = [subset for n in (1, 2) for subset in itertools.combinations(range(3), n)]
    rng.shuffle(subsets)
    for number in range(count(3, 200)):
        tier.stub(*[path for path in contents if not tier.is_stub(path)])
        processes = tier.holders()
        assert len(processes) == 3
        readers = Readers(contents)
        # Some rounds hit the start of recalls, some their middle, some their end.
        patiently(lambda: not all(map(tier.is_stub, contents))) if number % 2 else None
        tier.kill([processes[i] for i in subsets[number % len(subsets)]])
        for path, got in readers.results().items():
            assert got == want[path] or got in ERRORS, (number, path, got)
        tier.whole_again()
        assert Readers(contents).results() == want, number
    assert tier.status()['stubs'] == '0'


def test_after_the_daemon_has_ended_nobody_gets_in(tier, rng):
    content = rng.randbytes(100_000)
    tier.start()
    path = tier.write('a', content)
    tier.stub(path)
    tier.stop()
    assert tier.status()['guard'] == 'denying'
    with pytest.raises(OSError) as error:
        path.read_bytes()
    assert error.value.errno == errno.EAGAIN
    with pytest.raises(OSError):
        os.truncate(path, 5)
    for pid in tier.holders('guard')[:1]:
        tier.kill([pid])
    until(lambda: len(tier.holders('guard')) == 2, 'the guard to be two')
    assert Readers([str(path)]).results() == {str(path): 'EAGAIN'}
    assert tier.command('release', expect=None).code != DONE
    assert run('umount', tier.root, check=False).returncode != 0
    tier.start()
    assert path.read_bytes() == content
    tier.stop()
    tier.command('release')
    until(lambda: not tier.holders(), 'the guard to end')


def test_a_guard_that_knows_no_stubs_is_none(tier, rng):
    content = rng.randbytes(10_000)
    tier.start()
    path = tier.write('a', content)
    tier.stub(path)
    tier.kill_all()
    tier.start_guard()
    assert tier.command('status', '--json', expect=PARTIAL).json()['guard'] == 'none'
    assert 'nobody guards' in tier.command('check', expect=PARTIAL).err
    tier.start()
    assert path.read_bytes() == content


def test_stubs_are_guarded_again_after_everything_was_killed(tier, rng):
    """What happens to the files in between is outside of what is promised; but nothing is
    lost by it."""
    contents = [rng.randbytes(50_000 + i) for i in range(4)]
    tier.start()
    paths = [tier.write(f'f{i}', content) for i, content in enumerate(contents)]
    tier.stub(*paths)
    tier.kill_all()
    paths[1].rename(tier.root / 'moved')
    paths[1] = tier.root / 'moved'
    os.removexattr(paths[2], MARKER)
    with open(paths[3], 'r+b') as file:
        file.write(b'unguarded')
    assert tier.command('status', expect=PARTIAL)
    tier.start()
    assert paths[0].read_bytes() == contents[0]
    assert paths[1].read_bytes() == contents[1]
    for path in paths[2:]:
        with pytest.raises(OSError) as error:
            path.read_bytes()
        assert error.value.errno == errno.EIO
    assert len(tier.status()['problems']) == 2
    # The marker is set again; whose bytes the other one has, nobody can tell.
    found = tier.command('check', '--repair', expect=PARTIAL).text
    assert f'{paths[2]}: its marker was gone; repaired' in found
    assert f'{paths[3]}: it was written to while it was not guarded' in found
    assert paths[2].read_bytes() == contents[2]
    paths[3].unlink()
    tier.command('check', '--repair')
    assert tier.command('check').out == b''


STEPS = ['tier.stub.prepared', 'tier.stub.marked', 'tier.stub.committed', 'tier.stub.punched',
         'tier.recall.chunk', 'tier.recall.filled', 'tier.recall.unmarked', 'tier.recall.done']


@pytest.mark.slow_under_sanitizers
@pytest.mark.parametrize('others_live', [True, False])
def test_a_crash_at_any_step_loses_nothing(tier, rng, count, others_live):
    content = rng.randbytes(2_500_000)
    path = tier.write('a', content)
    for step in rng.sample(STEPS, count(1, len(STEPS))):
        tier.start_guard()
        # The worker that the guard starts has no such variable.
        tier.start(env={'BLOCKFRAME_CRASH_AT': f'{step}:1'})
        crashing = tier.daemons[-1]
        result = tier.command('stub', path, expect=None)
        if 'recall' in step:
            assert result.code == DONE, result
            reader = Readers([str(path)])
        assert crashing.finish(expect=KILLED).code == KILLED, step
        if others_live:
            tier.whole_again()
        else:
            tier.kill_all()
            tier.start()
        if 'recall' in step:
            got = reader.results()[str(path)]
            assert not others_live or got == sha256(content) or got in ERRORS, (step, got)
        assert Readers([str(path)]).results() == {str(path): sha256(content)}, step
        assert MARKER not in os.listxattr(path), step
        assert tier.status()['stubs'] == '0', step
        tier.kill_all()


# ---- markers and tables that are not what they were ----

def test_forged_markers_give_nobody_anything(tier, rng):
    contents = [rng.randbytes(60_000) for _ in range(4)]
    tier.start()
    paths = [tier.write(f'f{i}', content) for i, content in enumerate(contents)]
    tier.stub(*paths)
    others = os.getxattr(paths[1], MARKER)
    os.setxattr(paths[0], MARKER, others)
    os.removexattr(paths[2], MARKER)
    os.setxattr(paths[3], MARKER, b'short')
    # The one that was copied from is what it was.
    assert paths[1].read_bytes() == contents[1]
    for path in (paths[0], paths[2], paths[3]):
        with pytest.raises(OSError) as error:
            path.read_bytes()
        assert error.value.errno == errno.EIO
    assert len(tier.command('check', '--json', expect=PARTIAL).json_lines()) == 3
    tier.command('check', '--repair')
    for path, content in zip(paths, contents):
        assert path.read_bytes() == content
    # A file that is none with the marker of one is an ordinary file.
    plain = tier.write('plain', b'plain')
    os.setxattr(plain, MARKER, others)
    assert plain.read_bytes() == b'plain'


def test_a_lost_table_does_not_make_zeroes(tier, rng):
    tier.start()
    content = rng.randbytes(60_000)
    path = tier.write('a', content)
    tier.stub(path)
    tier.kill_all()
    table, = tier.state.glob('*.db')
    for file in tier.state.glob('*.db*'):
        file.unlink()
    run_ = tier.program.run('tier', 'run', env=tier.environment, expect=FAILED)
    assert 'table of stubs' in run_.err
    # An empty table is no better: the marker is found.
    tier.kill_all()
    with contextlib.closing(sqlite3.connect(table)) as empty:
        empty.execute('VACUUM')
    tier.start()
    with pytest.raises(OSError) as error:
        path.read_bytes()
    assert error.value.errno == errno.EIO
    tier.command('check', '--repair')
    assert path.read_bytes() == content


# ---- archives that do not give the content back ----

def test_what_the_archive_can_not_give_is_an_error(tier, rng):
    content = rng.randbytes(300_000)
    tier.start()
    path = tier.write('a', content)
    tier.stub(path)
    tier.kill_all()
    volume = tier.archive.volume
    hidden = volume.with_suffix('.away')
    volume.rename(hidden)
    tier.start('--deadline', '5')
    assert Readers([str(path)]).results()[str(path)] in {'EAGAIN', 'EIO'}
    assert tier.is_stub(path)
    tier.kill_all()
    hidden.rename(volume)
    tier.start()
    assert path.read_bytes() == content


def test_a_full_disk_is_an_error_and_then_none(tier, rng):
    content = rng.randbytes(2_500_000)
    tier.start()
    path = tier.write('a', content)
    tier.stub(path)
    free = os.statvfs(tier.root)
    ballast = tier.root / 'ballast'
    run('fallocate', '-l', str(free.f_bavail * free.f_frsize - 18_000_000), ballast)
    with pytest.raises(OSError) as error:
        path.read_bytes()
    assert error.value.errno == errno.ENOSPC
    assert tier.is_stub(path)
    assert tier.status()['problems']
    ballast.unlink()
    assert path.read_bytes() == content


@pytest.mark.slow_under_sanitizers
def test_many_read_one_and_many_read_many(tier, rng, count):
    tier.start()
    paths = [str(tier.write(f'f{i}', rng.randbytes(5_000))) for i in range(count(60, 2_000))]
    want = {path: sha256(open(path, 'rb').read()) for path in paths}
    tier.stub(*paths)
    one = Readers(paths[:1] * 40)
    assert Readers(paths).results() == want
    assert set(one.results().values()) == {want[paths[0]]}
    assert tier.status()['stubs'] == '0'


def test_a_frozen_file_system_does_not_hang_for_ever(tier, rng):
    content = rng.randbytes(300_000)
    tier.start('--deadline', '1')
    path = tier.write('a', content)
    tier.stub(path)
    run('fsfreeze', '-f', tier.root)
    try:
        assert Readers([str(path)]).results() == {str(path): 'EAGAIN'}
    finally:
        run('fsfreeze', '-u', tier.root)
    assert patiently(lambda: Readers([str(path)]).results() == {str(path): sha256(content)})


def test_what_recalls_need_can_not_become_stubs(tier, tmp_path):
    def refused(*args):
        return tier.command('add', *args, expect=FAILED).errors()[0]

    inner = tier.hot / 'inner'
    inner.mkdir()
    assert 'is a tier' in refused('-a', tier.archive.path, inner)
    assert 'is a tier' in refused('-a', tier.archive.path, tier.root)
    assert 'is in the archive' in refused('-a', tier.archive.path,
                                          tier.archive.path / 'volumes')
    tier.command('remove', tier.hot)
    assert 'the archive is in' in refused('-a', tier.archive.path, tmp_path)
    assert tier.command('list').out == b''
