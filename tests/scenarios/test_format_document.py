# SPDX-License-Identifier: MIT
"""The worked example in docs/format.md is what the program writes, and says what it is."""
import json
import pathlib
import re

import pytest

from independent_reader import INVERSE, blake3, crc32c, zstd
from trees import write_file
from volume_map import DATA, read_at, read_stripes

pytestmark = pytest.mark.main

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / 'docs/format.md'
LINE = re.compile(r'^    ([0-9a-f]{2})  ((?:[0-9a-f]{2} ?)+)(?:  .*)?$', re.M)


@pytest.fixture(scope='module')
def example():
    """The bytes of the hex dump, whose offsets must follow each other."""
    data = bytearray()
    for offset, line in LINE.findall(DOCUMENT.read_text().split('## 8.')[1]):
        assert int(offset, 16) == len(data), offset
        data += bytes.fromhex(line)
    return bytes(data)


def test_the_program_writes_the_bytes_of_the_example(archive, tmp_path, example):
    write_file(f'{tmp_path}/tree/file', b'hello')
    archive.commit(tmp_path / 'tree')
    segment, = [item for item in map(json.loads, archive.dump().splitlines())
                if item['item'] == 'segment']
    stripe = next(s for s in read_stripes(archive.volume) if s.kind == DATA)
    offset = int(segment['log_offset']) - stripe.log_start
    written = read_at(archive.volume, stripe.data[0].area_offset + offset, segment['stored'])
    assert written.hex(' ') == example.hex(' ')


def test_the_example_is_what_its_remarks_say(example):
    assert len(example) == 234
    assert zstd(example) == b'hello'
    frame_hash = blake3(b'hello')
    id_ = blake3(b'BFPACK\0\1' + (5).to_bytes(4, 'little') + frame_hash)
    assert example[0x20:0x40] == example[0x7d:0x9d] == id_
    assert example[0x9d:0xbd] == frame_hash
    for start, end, place in (0, 0x50, 0x50), (0xc1, 0xea, 0x79), (0x65, 0xbd, 0xbd):
        assert example[place:place + 4] == crc32c(example[start:end]).to_bytes(4, 'little')


def test_the_numbers_in_the_text_are_right():
    text = DOCUMENT.read_text()
    assert f'`123456789` gives {crc32c(b"123456789"):#x}' in text
    for i in range(3):
        coefficients = ' '.join(f'0x{INVERSE[(4 + i) ^ j]:02X}' for j in range(4))
        assert f'c =  {coefficients}' in text
