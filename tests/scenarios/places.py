# SPDX-License-Identifier: MIT
"""Every kind of place in a volume that has to do with one file of an archive, so that tests
can damage each of them and say what must come of it."""
import json
import random
import struct

from volume_map import COMMIT, DATA, HEADER, LEAF, PAGE, PLACEMENT, SECTOR, read_at, read_stripes

ENTRIES_PER_TABLE_PAGE = 41
BLOCK = 131072  # of a stored frame

# What a reader of the file's content meets, and so must put back, and what it does not.
MET = ['leaf', 'table page', 'segment header', 'first frame', 'last frame', 'frame table',
       'seek table']
NOT_MET = ['header page', 'parity header page', 'parity table page', 'page parity',
           'parity leaf', 'tree page', 'commit record', 'commit parity', 'volume header']


class Places:
    """Of the file @path in the volume @volume of an archive that is not damaged."""

    def __init__(self, archive, path, volume=None):
        self.volume = volume or archive.volume
        self.stripes = read_stripes(self.volume)
        self.items = [json.loads(line) for line in archive.dump().splitlines()]
        self.path = path
        self.entry = archive.show(path)

    # Log and volume

    def runs(self, log_offset, size):
        """(extent, offset in its area, size) of payload of data stripes."""
        for stripe in self.stripes:
            position = stripe.log_start
            for extent in stripe.data if stripe.kind == DATA else []:
                start = max(log_offset, position)
                end = position + extent.payload_size
                if size > 0 and log_offset < end:
                    part = min(size, end - start)
                    yield extent, start - position, part
                    size -= part
                    log_offset = start + part
                position = end

    def place(self, log_offset):
        """(extent, row) of the leaf that holds this byte of the log."""
        extent, offset, _ = next(self.runs(log_offset, 1))
        return extent, offset // LEAF

    def bytes_at(self, log_offset, size):
        return b''.join(read_at(self.volume, extent.area_offset + offset, part)
                        for extent, offset, part in self.runs(log_offset, size))

    # The file

    def segments(self):
        """The items of the dump that hold the file's content, in its order."""
        ids = self.entry.get('segments') or [self.entry['pack']['segment']]
        by_id = {item['id']: item for item in self.items if item['item'] == 'segment'}
        return [by_id[id_] for id_ in ids]

    def atoms(self, segment):
        """{'header': (log offset, size), 'frame table': ..., 'seek table': ...,
        'frames': [(log offset, size, size of content), ...]}"""
        start, size, n = int(segment['log_offset']), segment['stored'], segment['frames']
        header_size = struct.unpack('<I', self.bytes_at(start + 4, 4))[0] + 8
        seek_size = 33 + 8 * n
        table_size = 60 + 32 * n
        seek = self.bytes_at(start + size - seek_size, seek_size)
        frames = []
        position = start + header_size
        for i in range(n):
            stored, content = struct.unpack_from('<II', seek, 16 + 8 * i)
            frames.append((position, stored, content))
            position += stored
        assert position + table_size + seek_size == start + size
        return {'header': (start, header_size), 'frames': frames,
                'frame table': (position, table_size),
                'seek table': (position + table_size, seek_size)}

    def rows(self):
        """(extent, row) of every leaf that holds content of the file's segments."""
        result = {}
        for segment in self.segments():
            for extent, offset, size in self.runs(int(segment['log_offset']),
                                                  segment['stored']):
                for row in range(offset // LEAF, (offset + size - 1) // LEAF + 1):
                    result[extent.offset, row] = (extent, row)
        return list(result.values())

    def leaves(self):
        return [extent.leaf(row) for extent, row in self.rows()]

    def frames(self):
        """(log offset, size, offset in the file, size of content) of each frame; of a pack
        with offsets that may be outside of the file."""
        position = -self.entry.get('pack', {}).get('offset', 0)
        for segment in self.segments():
            for log_offset, size, content in self.atoms(segment)['frames']:
                yield log_offset, size, position, content
                position += content

    def content_in(self, log_start, log_end):
        """[start, end) of what the file has in that stretch of the log: of stored frames
        exactly that, of others all."""
        for log_offset, size, position, content in self.frames():
            start = max(log_start, log_offset) - log_offset
            end = min(log_end, log_offset + size) - log_offset
            if start >= end:
                continue
            if size == content + 9 + 3 * -(-content // BLOCK):  # docs/format.md 6.1
                start, end = _in_stored(start, content), _in_stored(end, content)
            else:
                start, end = 0, content
            start = max(position + start, 0)
            end = min(position + end, int(self.entry['size']))
            if start < end:
                yield start, end

    def content_of_leaf(self, extent, row):
        """The stretches of the file that a leaf holds."""
        stripe = extent.stripe
        position = stripe.log_start + sum(e.payload_size for e in
                                          stripe.data[:stripe.data.index(extent)])
        end = min((row + 1) * LEAF, extent.payload_size)
        return list(self.content_in(position + row * LEAF, position + end))

    # Kinds

    def of(self, kind):
        """(offset, size) of a place of that kind."""
        return getattr(self, '_' + kind.replace(' ', '_'))()

    def _middle(self):
        rows = self.rows()
        return rows[len(rows) // 2]

    def _sectors_of(self, log_offset, size):
        """The first sector with bytes of an atom."""
        extent, offset, _ = next(self.runs(log_offset, size))
        return (extent.area_offset + offset) // SECTOR * SECTOR, SECTOR

    def _leaf(self):
        extent, row = self._middle()
        return extent.leaf(row)

    def _header_page(self):
        return self._middle()[0].offset, PAGE

    def _table_page(self):
        extent, row = self._middle()
        return extent.offset + (1 + row // ENTRIES_PER_TABLE_PAGE) * PAGE, PAGE

    def _parity(self):
        return self._middle()[0].stripe.parity[0]

    def _parity_header_page(self):
        return self._parity().offset, PAGE

    def _parity_table_page(self):
        return self._parity().offset + PAGE, PAGE

    def _page_parity(self):
        parity = self._parity()
        return parity.offset + (parity.stripe.parity_header_pages + 1) * PAGE, PAGE

    def _parity_leaf(self):
        extent, row = self._middle()
        return self._parity().leaf(row)

    def _segment_header(self):
        return self._sectors_of(*self.atoms(self.segments()[0])['header'])

    def _first_frame(self):
        start, size, _ = self.atoms(self.segments()[0])['frames'][0]
        return self._sectors_of(start + size // 2, size // 2)

    def _last_frame(self):
        start, size, _ = self.atoms(self.segments()[-1])['frames'][-1]
        return self._sectors_of(start + size // 2, size // 2)

    def _frame_table(self):
        return self._sectors_of(*self.atoms(self.segments()[-1])['frame table'])

    def _seek_table(self):
        return self._sectors_of(*self.atoms(self.segments()[-1])['seek table'])

    def _tree_page(self):
        page = [item for item in self.items if item['item'] == 'page'][-1]
        return self._sectors_of(int(page['log_offset']), page['stored'])

    def _record(self, kind, parity):
        stripe = [stripe for stripe in self.stripes if stripe.kind == kind][-1]
        return (stripe.parity if parity else stripe.data)[0].leaf(0)

    def _placement_record(self):
        return self._record(PLACEMENT, parity=False)

    def _commit_record(self):
        return self._record(COMMIT, parity=False)

    def _commit_parity(self):
        return self._record(COMMIT, parity=True)

    def _volume_header(self):
        return self._record(HEADER, parity=False)


def _in_stored(offset, content):
    """How much of the content of a stored frame is before this byte of it."""
    before = sum(max(0, min(offset - 9 - 3 * (block + 1) - block * BLOCK, BLOCK))
                 for block in range(-(-content // BLOCK)))
    return min(before, content)


# Changes, for volume_map.Damage


def noise(place, seed=0):
    offset, size = place
    return offset, random.Random(f'{seed} {offset}').randbytes(size)


def bad_rows(places, rng, most=None):
    """Bad leaves in all rows that hold content of the file, so many a row as there is parity
    (@most: fewer): (offset, bytes), ..."""
    changes = []
    done = set()
    for extent, row in places.rows():
        stripe = extent.stripe
        if (stripe.offset, row) in done:
            continue
        done.add((stripe.offset, row))
        inside = [e for e in stripe.extents if row < e.leaf_count]
        number = min(stripe.m if most is None else most, len(inside))
        changes += [noise(e.leaf(row)) for e in rng.sample(inside, number)]
    return changes
