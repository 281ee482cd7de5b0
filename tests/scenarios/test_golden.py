# SPDX-License-Identifier: MIT
"""Archives of every version of the format there was, byte for byte as they were written: this
version rebuilds and restores them, or refuses and names the version."""
import json
import lzma
import pathlib
import re
import shutil

import pytest

from golden import describe
from program import Archive, DONE, FAILED, PARTIAL
from volume_map import read_stripes, write_at

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / 'tests/golden').glob('format-*'))
VERSION = int(re.search(r'^Version (\d+)\.', (ROOT / 'docs/format.md').read_text(), re.M)[1])


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def golden(request):
    return request.param


def copy_of(golden, program, tmp_path):
    folder = tmp_path / 'archive'
    (folder / 'volumes').mkdir(parents=True)
    shutil.copy(golden / 'config.toml', folder)
    for packed in golden.glob('*.xz'):
        (folder / 'volumes' / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    return Archive(program, folder)


def check(archive, golden, tmp_path):
    assert archive.dump() == (golden / 'dump').read_bytes()
    for number, state in enumerate(json.loads((golden / 'states.json').read_text()), 1):
        archive.restore(tmp_path / f'back-{number}', '--at', str(number))
        assert describe(tmp_path / f'back-{number}/tree') == state


def rebuild(archive, golden):
    """False if the archive is of another version and was refused for that."""
    result = archive.rebuild(expect={DONE, FAILED})
    if result.code == DONE:
        return True
    assert golden.name != f'format-{VERSION}', str(result)
    assert 'version' in result.errors()[0], str(result)
    return False


def test_there_is_an_archive_of_the_present_version():
    assert ROOT / f'tests/golden/format-{VERSION}' in GOLDEN


@pytest.mark.main
def test_a_golden_archive_is_rebuilt_and_restored(program, golden, tmp_path):
    archive = copy_of(golden, program, tmp_path)
    if rebuild(archive, golden):
        archive.run('health', '--check')
        check(archive, golden, tmp_path)
        archive.commit(golden / 'config.toml')  # and it goes on


def test_a_golden_archive_is_repaired(program, golden, tmp_path, rng):
    """One extent of each stripe is lost."""
    archive = copy_of(golden, program, tmp_path)
    before = archive.volume.read_bytes()
    for stripe in read_stripes(archive.volume):
        extent = rng.choice(stripe.extents)
        write_at(archive.volume, extent.offset, rng.randbytes(extent.end - extent.offset))
    if rebuild(archive, golden):
        check(archive, golden, tmp_path)
        archive.run('health', expect=PARTIAL)
        assert archive.volume.read_bytes() == before
