#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""independent_reader.py TO VOLUME...: restore what the volumes of an archive hold, damaged as
they may be, with nothing but docs/format.md, the programs b3sum and zstd, and Python.

Written to prove that the document is enough. The numbers of its sections stand beside what
they explain. Restores names, types, content, modes, times and hard links of the last commit."""
import base64
import functools
import json
import os
import struct
import subprocess
import sys

PAGE, LEAF, NONE = 4096, 65536, 2**64 - 1
IDENTITY = struct.Struct('<II4sHBB16s16sQQHHI32s')  # 2.2
HEADER = struct.Struct('<BBHHHQQIIH6xQ32s')  # at 104 of a header page
RECORD = struct.Struct('<4sHBBII16s16s32sQQ32sQQQIIIIII')  # 4
STRIPE = struct.Struct('<QQQQ16sHHHHB15x')
SEGMENT = struct.Struct('<32sQQIIIB19x')
PLACE = struct.Struct('<32sQIB3x')


def ceil(a, b):
    return -(-a // b)


def blake3(data):
    return bytes.fromhex(subprocess.run(['b3sum', '--no-names'], input=data, check=True,
                                        capture_output=True).stdout.decode())


def zstd(data):
    return subprocess.run(['zstd', '-dcq'], input=data, check=True, capture_output=True).stdout


def crc32c(data, table=[]):
    if not table:
        for n in range(256):
            for _ in range(8):
                n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
            table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


# GF(2^8), 2.5: data are multiplied by a number with a table of 256 products.

def product(a, b):
    result = 0
    while b:
        result ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 128 else 0)
        b >>= 1
    return result


TIMES = [bytes(product(a, b) for b in range(256)) for a in range(256)]
INVERSE = [row.find(1) for row in TIMES]


def plus(a, b):
    return (int.from_bytes(a, 'little') ^ int.from_bytes(b, 'little')).to_bytes(len(a), 'little')


def decode(k, good, wanted):
    """The data shard @wanted, from @good: {shard: bytes}, absent data shards among them."""
    missing = [i for i in range(k) if i not in good]
    parity = [shard for shard in good if shard >= k][:len(missing)]
    if len(parity) < len(missing):
        return None
    rows = []  # the equations: coefficients of what is missing, and the right side
    for j in parity:
        right = good[j]
        for i in range(k):
            if i in good and any(good[i]):
                right = plus(right, good[i].translate(TIMES[INVERSE[j ^ i]]))
        rows.append(([INVERSE[j ^ i] for i in missing], right))
    for n in range(len(missing)):  # Gauss and Jordan
        pivot = next(r for r in range(n, len(rows)) if rows[r][0][n])
        rows[n], rows[pivot] = rows[pivot], rows[n]
        factor = TIMES[INVERSE[rows[n][0][n]]]
        rows[n] = ([factor[c] for c in rows[n][0]], rows[n][1].translate(factor))
        for r in range(len(rows)):
            times = TIMES[rows[r][0][n]]
            if r != n and rows[r][0][n]:
                rows[r] = ([a ^ times[b] for a, b in zip(rows[r][0], rows[n][0])],
                           plus(rows[r][1], rows[n][1].translate(times)))
    return good[wanted] if wanted in good else rows[missing.index(wanted)][1]


class Stripe:
    """2: where the parts of a stripe lie, and reading its data with the help of its parity."""

    def __init__(self, volume, number, offset, stride, log_start, epoch, k, m, f, count, kind,
                 extents=None):
        self.volume, self.number, self.offset, self.stride = volume, number, offset, stride
        self.log_start, self.epoch, self.k, self.m = log_start, epoch, k, m
        self.count, self.kind, self.extents = count, kind, extents
        leaves = 4 * f + 1
        self.pages = 1 + ceil(leaves, 41)  # P
        self.page_leaves = ceil(self.pages, 16)  # Q
        self.own_pages = 1 + ceil(self.page_leaves + leaves, 41)  # P'
        self.shards = [*range(count), *range(k, k + m)]
        self.entries = {}

    def start(self, shard):
        return self.offset + (shard if shard < self.k else self.count + shard - self.k) * self.stride

    def checked(self, page, shard, number):
        """The page if it is good by itself and belongs here, else None."""
        places = struct.pack('<QQHH', self.number, self.offset, shard, number)
        good = page and page[8:15] == struct.pack('<4sHB', b'BFPG', 1, number > 0) and \
            page[16:68] == self.volume.uuid + self.epoch + places and \
            blake3(page[:72] + bytes(32) + page[104:]) == page[72:104]
        return page if good else None

    def page(self, shard, number):
        return self.checked(self.volume.read(self.start(shard) + number * PAGE, PAGE), shard,
                            number)

    def data_page(self, shard, number):
        """A page of a data extent, decoded from its row of pages if need be (2.3)."""
        page = self.page(shard, number)
        if page:
            return page
        row = {i: self.page(i, number) for i in range(self.count)}
        for j in range(self.k, self.k + self.m):
            page = self.volume.read(self.start(j) + (self.own_pages + number) * PAGE, PAGE)
            table = self.page(j, 1)  # the page area is never that long that it needs another
            crcs = struct.unpack_from('<16I', table, 160 + number // 16 * 96 + 32) if table else ()
            row[j] = page if crcs and crcs[number % 16] == crc32c(page) else None
        return self.checked(self.decode(row, shard, PAGE), shard, number)

    def decode(self, row, shard, size):
        """That shard, from {shard: bytes, or None for an erasure}."""
        good = {i: bytes(size) for i in range(self.count, self.k)}
        good.update((i, data.ljust(size, b'\0')) for i, data in row.items() if data is not None)
        return decode(self.k, good, shard)

    def extent(self, shard):
        """(payload size, area size, hash), by the record; of the last record's stripe by any
        header page, as with k = 1 all areas are alike."""
        if self.extents:
            return self.extents[shard if shard < self.k else self.count + shard - self.k]
        pages = [self.data_page(0, 0), *(self.page(j, 0) for j in self.shards[1:])]
        headers = [HEADER.unpack_from(page, 104) for page in pages if page]
        assert headers, 'no header page is left'
        return max(header[7] for header in headers), headers[0][8], None

    def leaf_entries(self, shard):
        """The entries of all leaves of an extent's leaf area; b'' if they can't be trusted."""
        if shard not in self.entries:
            first, find = (0, self.data_page) if shard < self.k else (self.page_leaves, self.page)
            count = first + ceil(self.extent(shard)[1], LEAF)
            tables = [find(shard, 1 + t) for t in range(ceil(count, 41))]
            entries = b''.join(table[160:] for table in tables if table)[:count * 96]
            if not all(tables) or self.extents and blake3(entries) != self.extent(shard)[2]:
                entries = b''  # 2.4: what the record says counts
            self.entries[shard] = entries[first * 96:]
        return self.entries[shard]

    def leaf(self, shard, row):
        """(bytes on the volume, their entry or b'')"""
        pages = self.pages if shard < self.k else self.own_pages + self.pages
        size = max(0, min(LEAF, self.extent(shard)[1] - row * LEAF))
        data = self.volume.read(self.start(shard) + pages * PAGE + row * LEAF, size)
        return data.ljust(size, b'\0'), self.leaf_entries(shard)[row * 96:][:96]

    def good_leaf(self, shard, row):
        data, entry = self.leaf(shard, row)
        if entry and blake3(data) == entry[:32]:
            return data
        leaves = {i: self.leaf(i, row) for i in self.shards}
        whole = self.decode({i: leaf if not leaf or its and blake3(leaf) == its[:32] else None
                             for i, (leaf, its) in leaves.items()}, shard, LEAF)
        if not whole:  # column by column
            whole = b''.join(self.column(shard, leaves, at) for at in range(0, LEAF, PAGE))
        assert entry and blake3(whole[:len(data)]) == entry[:32], f'leaf {row} of {shard} is lost'
        return whole[:len(data)]

    def column(self, shard, leaves, at):
        crcs = {i: struct.unpack_from('<16I', its, 32) for i, (_, its) in leaves.items() if its}
        good = {i: leaf[at:at + PAGE] for i, (leaf, _) in leaves.items() if at >= len(leaf) or
                i in crcs and crc32c(leaf[at:at + PAGE]) == crcs[i][at // PAGE]}
        return self.decode(good, shard, PAGE) or bytes(PAGE)

    @functools.lru_cache(8)
    def payload(self, shard):
        size = self.extent(shard)[0]
        return b''.join(self.good_leaf(shard, row) for row in range(ceil(size, LEAF)))[:size]


class Volume:
    def __init__(self, path):
        self.file = open(path, 'rb')
        self.uuid = None
        self.stripes = []
        self.segments, self.places, self.heads = {}, {}, []
        self.read_records(self.find_last_record())

    def read(self, offset, size):
        return os.pread(self.file.fileno(), size, offset)

    def find_last_record(self):
        """5: the last record stripe that decodes, by what any header page in its place says."""
        seen = {}
        for offset in range(0, os.fstat(self.file.fileno()).st_size, PAGE):
            page = self.read(offset, PAGE)
            if len(page) < PAGE or page[8:15] != b'BFPG\1\0\0':
                continue
            uuid, epoch, number, start = IDENTITY.unpack_from(page)[6:10]
            kind, _, k, m, f, stride, log_start = HEADER.unpack_from(page, 104)[:7]
            self.uuid = self.uuid or uuid
            if kind != 2 and uuid == self.uuid:
                seen[start, epoch] = Stripe(self, number, start, stride, log_start, epoch, k, m,
                                            f, 1, kind)
        for _, stripe in sorted(seen.items(), key=lambda item: item[0], reverse=True):
            try:
                return self.record_of(stripe), stripe
            except (AssertionError, struct.error):
                pass  # of an interrupted writer, or a stray page
        raise SystemExit('no record')

    @staticmethod
    def record_of(stripe):
        data, record = stripe.payload(0), b''
        while data:
            magic, size = struct.unpack_from('<II', data)
            assert magic == 0x184D2A55
            record, data = record + data[8:8 + size], data[8 + size:]
        assert record[:4] == b'BFRC' and blake3(record[:-32]) == record[-32:]
        assert record[4:6] == b'\1\0' and record[12:14] == b'\0\0', 'of a newer version'
        return record

    def read_records(self, last):
        """4: all records, from the last one backwards."""
        record, own = last
        self.stripes.append(own)
        while record:
            fields = RECORD.unpack_from(record)
            previous, previous_hash = fields[10:12]
            counts = fields[15:21]  # stripes, segments, pages, foreign; sizes of head, info
            position = RECORD.size
            for _ in range(counts[0]):
                number, offset, stride, log_start, epoch, k, m, f, count, kind = \
                    STRIPE.unpack_from(record, position)
                position += STRIPE.size
                extents = [struct.unpack_from('<II32s', record, position + 40 * i)
                           for i in range(count + m)]
                position += 40 * (count + m)
                self.stripes.append(Stripe(self, number, offset, stride, log_start, epoch, k, m,
                                           f, count, kind, extents))
            for _ in range(counts[1]):
                id_, _, offset, _, stored = SEGMENT.unpack_from(record, position)[:5]
                self.segments[id_] = (offset, stored)
                position += SEGMENT.size
            for _ in range(counts[2]):
                hash_, offset, stored, _ = PLACE.unpack_from(record, position)
                self.places[hash_] = (offset, stored)
                position += PLACE.size
            position += 96 * counts[3]
            if counts[4]:
                self.heads.append(json.loads(record[position:position + counts[4]]))
            record = None
            if previous != NONE:
                record = self.record_of(next(s for s in self.stripes if s.offset == previous))
                assert record[-32:] == previous_hash
        self.stripes.sort(key=lambda stripe: stripe.log_start)

    def log(self, offset, size):
        """6.2: payload of data stripes; records in between do not count."""
        data = b''
        for stripe in self.stripes:
            position = stripe.log_start
            for shard in range(stripe.count if stripe.extents else 0):
                end = position + stripe.extents[shard][0]
                if end > offset and stripe.kind == 2 and len(data) < size:
                    data += stripe.payload(shard)[max(0, offset - position):][:size - len(data)]
                position = end
        assert len(data) == size
        return data


class Archive:
    def __init__(self, volumes):
        self.volumes = volumes
        self.head = max((head for volume in volumes for head in volume.heads),
                        key=lambda head: int(head['sequence']))
        self.contents = {}

    def segment(self, id_):
        if id_ not in self.contents:
            volume = next(v for v in self.volumes if bytes.fromhex(id_) in v.segments)
            self.contents[id_] = zstd(volume.log(*volume.segments[bytes.fromhex(id_)]))
        return self.contents[id_]

    def page(self, hash_):
        """7.2: (type, content) of a tree or list page."""
        volume = next(v for v in self.volumes if hash_ in v.places)
        payload = volume.log(*volume.places[hash_])[8:]
        assert payload[:5] == b'BFTP\1' and blake3(payload) == hash_
        return payload[5], zstd(payload[12:])

    def entries(self, hash_):
        kind, content = self.page(hash_)
        if kind == 0:
            yield from map(json.loads, content.splitlines())
            return
        while content:
            size, = struct.unpack_from('<H', content)
            yield from self.entries(content[2 + size:34 + size])
            content = content[34 + size:]

    def content(self, entry):
        if 'pack' in entry:
            start = entry['pack']['offset']
            data = self.segment(entry['pack']['segment'])[start:start + int(entry['size'])]
        else:
            ids = list(entry.get('segments', []))
            for page in entry.get('segment_pages', []):
                listed = self.page(bytes.fromhex(page))[1]
                ids += [listed[i:i + 32].hex() for i in range(0, len(listed), 32)]
            data = b''.join(map(self.segment, ids))
        assert blake3(data).hex() == entry['hash'], entry
        return data


def text(entry, key):
    if key + '_base64' in entry:
        return base64.b64decode(entry[key + '_base64'])
    return entry.get(key, '').encode()


def restore(archive, to):
    folders, links = [], {}
    for entry in archive.entries(bytes.fromhex(archive.head['tree'])):
        path = os.fsencode(to) + b'/' + text(entry, 'path')
        seconds, nanoseconds = map(int, entry['mtime'].split('.'))
        time = seconds * 10**9 + nanoseconds
        if entry['type'] == 'directory':
            os.mkdir(path)
            folders.append((path, entry['mode'], time))
            continue
        if entry['type'] == 'symlink':
            os.symlink(text(entry, 'target'), path)
        elif entry['type'] == 'file':
            link = text(entry, 'link')
            if link in links:
                os.link(links[link], path)
                continue
            links.update({link: path} if link else {})
            with open(path, 'wb') as file:
                file.write(archive.content(entry))
            os.chmod(path, entry['mode'])
        else:
            continue  # devices and the like
        os.utime(path, ns=(time, time), follow_symlinks=False)
    for path, mode, time in reversed(folders):
        os.chmod(path, mode)
        os.utime(path, ns=(time, time))


if __name__ == '__main__':
    os.makedirs(sys.argv[1], exist_ok=True)
    restore(Archive([Volume(path) for path in sys.argv[2:]]), sys.argv[1])
