# SPDX-License-Identifier: MIT
"""Where everything lies in a volume's file, taken from its pages (docs/format.md 2), so that
tests can damage exactly what they mean to."""
import contextlib
import os
import struct

PAGE = SECTOR = 4096
LEAF = 65536
HEADER, DATA, PLACEMENT, COMMIT, END = range(1, 6)

IDENTITY = struct.Struct('<II4sHBB16s16sQQHHI32s')
HEADER_FIELDS = struct.Struct('<BBHHHQQIIH6xQ32s')
assert IDENTITY.size == 104


def ceil(a, b):
    return -(-a // b)


class Extent:
    def __init__(self, stripe, shard, offset, area_offset, area_size, payload_size):
        self.stripe = stripe
        self.shard = shard
        self.offset = offset            # of the header page
        self.area_offset = area_offset  # of the first leaf that is in a row
        self.area_size = area_size
        self.payload_size = payload_size

    @property
    def end(self):
        return self.area_offset + self.area_size

    @property
    def leaf_count(self):
        return ceil(self.area_size, LEAF)

    def leaf(self, row):
        """(offset, size) of that leaf."""
        return (self.area_offset + row * LEAF, min(LEAF, self.area_size - row * LEAF))


class Stripe:
    """One stripe, as the header pages of its parity extents tell (of its data extents where
    there is no parity)."""

    def __init__(self, number, offset, fields):
        self.number = number
        self.offset = offset
        self.kind, _, self.k, self.m, self.f, self.stride = fields[:6]
        self.log_start = fields[6]
        n = 4 * self.f + 1
        self.table_pages = ceil(n, 41)
        self.data_pages = 1 + self.table_pages
        page_leaves = ceil(self.data_pages, 16)
        self.parity_header_pages = 1 + ceil(page_leaves + n, 41)
        self.data = []
        self.parity = []

    @property
    def extents(self):
        return self.data + self.parity

    @property
    def rows(self):
        return max(extent.leaf_count for extent in self.data)

    @property
    def payload_size(self):
        return sum(extent.payload_size for extent in self.data)

    @property
    def end(self):
        return self.extents[-1].end

    def add(self, shard, payload_size, area_size):
        index = len(self.data) + len(self.parity)
        offset = self.offset + index * self.stride
        pages = self.data_pages if shard < self.k else self.parity_header_pages + self.data_pages
        extent = Extent(self, shard, offset, offset + pages * PAGE, area_size, payload_size)
        (self.data if shard < self.k else self.parity).append(extent)

    def pages(self):
        """Offsets of all header, table and parity pages."""
        return [offset for extent in self.extents
                for offset in range(extent.offset, extent.area_offset, PAGE)]

    def blocks(self):
        """Offsets of all 4 KiB blocks that were written."""
        return [offset for extent in self.extents
                for offset in range(extent.offset, extent.end, SECTOR)]


def _header_pages(file):
    """(identity, fields) of all header pages that are in their places, in order. (The parity of
    a single data extent's pages is a copy of them.)"""
    step = 256 * PAGE
    offset = 0
    while data := os.pread(file.fileno(), step, offset):
        for page in range(0, len(data) - PAGE + 1, PAGE):
            if data[page + 8:page + 12] == b'BFPG':
                identity = IDENTITY.unpack_from(data, page)
                fields = HEADER_FIELDS.unpack_from(data, page + 104)
                if identity[3:5] == (1, 0) and offset + page == _place(identity, fields):
                    yield identity, fields
        offset += step


def _place(identity, fields):
    """Where an extent must begin that has these fields in its header."""
    stripe_offset, shard = identity[9:11]
    k, stride, data_count = fields[2], fields[5], fields[9]
    return stripe_offset + (shard if shard < k else data_count + shard - k) * stride


def read_stripes(path):
    """All stripes of a volume that is not damaged, in order; unfinished ones too."""
    stripes = {}
    with open(path, 'rb') as file:
        for identity, fields in _header_pages(file):
            number, offset, shard = identity[8:11]
            if offset not in stripes:
                stripes[offset] = Stripe(number, offset, fields)
            stripes[offset].add(shard, fields[7], fields[8])
    return [stripes[offset] for offset in sorted(stripes)]


# Damage


def read_at(path, offset, size):
    with open(path, 'rb') as file:
        file.seek(offset)
        return file.read(size)


@contextlib.contextmanager
def opened_to_write(path):
    """Also a sealed volume, which is read-only."""
    mode = os.stat(path).st_mode
    if not mode & 0o200:
        os.chmod(path, mode | 0o200)
    try:
        with open(path, 'r+b') as file:
            yield file
    finally:
        if not mode & 0o200:
            os.chmod(path, mode)


def write_at(path, offset, data):
    with opened_to_write(path) as file:
        file.seek(offset)
        file.write(data)


class Damage:
    """Overwrites parts of a file for the time of a `with` block, then puts them back."""

    def __init__(self, path, changes):
        self.path = path
        self.changes = changes  # (offset, bytes), ...

    def __enter__(self):
        self.before = []
        for offset, data in self.changes:
            self.before.append((offset, read_at(self.path, offset, len(data))))
            write_at(self.path, offset, data)
        return self

    def __exit__(self, *_):
        for offset, data in reversed(self.before):
            write_at(self.path, offset, data)
