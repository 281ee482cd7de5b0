# SPDX-License-Identifier: MIT
"""Ways in which programs read files. Each of `WAYS` takes a path and gives the content."""
import concurrent.futures
import errno
import mmap
import os
import random
import tempfile

STEP = 128 * 1024


def opened(path, flags=0):
    return os.fdopen(os.open(path, os.O_RDONLY | flags), 'rb', buffering=0)


def sequential(path):
    with opened(path) as file:
        return b''.join(iter(lambda: file.read(STEP), b''))


def backwards(path):
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        parts = [os.pread(file.fileno(), min(70_001, size - offset), offset)
                 for offset in range(0, size, 70_001)[::-1]]
    return b''.join(reversed(parts))


def scattered(path):
    """Pieces of odd sizes at random places, in random order."""
    rng = random.Random(os.fsencode(path))
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        cuts = [0, *sorted(rng.randrange(size) for _ in range(min(size, 200))), size]
        pieces = list(zip(cuts, cuts[1:]))
        rng.shuffle(pieces)
        content = bytearray(size)
        for start, end in pieces:
            content[start:end] = read_all_at(file.fileno(), start, end - start)
    return bytes(content)


def read_all_at(fd, offset, size):
    parts = []
    while size > 0 and (part := os.pread(fd, size, offset)):
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b''.join(parts)


def mapped(path):
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b''
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as area:
            order = list(range(0, len(area), 65_537))
            random.Random(1).shuffle(order)
            for offset in order:  # faults in random order, before it is copied
                area[offset]  # pylint: disable=pointless-statement
            return bytes(area)


def sent(path):
    """sendfile(2)"""
    with opened(path) as file, tempfile.TemporaryFile() as copy:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        while offset < size:
            n = os.sendfile(copy.fileno(), file.fileno(), offset, size - offset)
            assert n > 0, f'{path} ends at {offset}'
            offset += n
        copy.seek(0)
        return copy.read()


def copied(path):
    """copy_file_range(2), as cp uses it."""
    with opened(path) as file, tempfile.TemporaryFile() as copy:
        while True:
            try:
                if os.copy_file_range(file.fileno(), copy.fileno(), 1 << 30) == 0:
                    break
            except OSError as e:
                if e.errno != errno.EXDEV:
                    raise
                return sent(path)
        copy.seek(0)
        return copy.read()


def direct(path):
    """O_DIRECT"""
    with opened(path, os.O_DIRECT) as file:
        size = os.fstat(file.fileno()).st_size
        content = bytearray()
        with mmap.mmap(-1, 1 << 20) as buffer:  # is aligned
            while len(content) < size:
                n = os.preadv(file.fileno(), [buffer], len(content))
                assert n > 0, f'{path} ends at {len(content)}'
                content += buffer[:n]
    return bytes(content)


WAYS = [sequential, backwards, scattered, mapped, sent, copied, direct]


def at_once(number, call, *args):
    """The results of so many calls at the same time; each is told its number first."""
    with concurrent.futures.ThreadPoolExecutor(number) as executor:
        return [future.result() for future in
                [executor.submit(call, n, *args) for n in range(number)]]


def forget(path):
    """Make the kernel forget what it has of a file's content, so that it asks again."""
    with opened(path) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def lost_ranges(path, step=4096):
    """Read a file block by block: the content, where what can't be read is None, as
    {offset: bytes or None}."""
    blocks = {}
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        for offset in range(0, size, step):
            try:
                blocks[offset] = read_all_at(file.fileno(), offset, min(step, size - offset))
            except OSError as e:
                assert e.errno == errno.EIO, e
                blocks[offset] = None
    return blocks
