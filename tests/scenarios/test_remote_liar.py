# SPDX-License-Identifier: MIT
"""A server that does not tell the truth: an error with the reason, or the truth from the second
answer; never a wrong byte, name or size, and never a crash."""
import errno
import json
import os
import random
import re
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from mounted import refused
from program import FAILED, LOST, PARTIAL, Archive, have, remove
from remote import Between, Remote
from serving import Server
from trees import MIB, assert_same, text_bytes, write_file

PAGE, TABLE, FRAMES = '/v1/page/', '/table', '/frames'
KINDS = [PAGE, TABLE, FRAMES]


class World:
    """A tree, an archive that has it, a server of that, and one that passes requests on."""

    def __init__(self, folder, program, seed):
        rng = random.Random(f'liar {seed}')
        self.program = program
        self.tree = Path(folder / 'tree')
        self.contents = {'text': text_bytes(rng, 300_000), 'random': rng.randbytes(300_000),
                         'large': text_bytes(rng, 9 * MIB), 'small': b'small',
                         'folder/inside': rng.randbytes(5000)}
        for name, content in self.contents.items():
            write_file(self.tree / name, content)
        self.many = {f'many/{i:03}': b'' for i in range(200)}  # more than a page
        for name, content in self.many.items():
            write_file(self.tree / name, content)
        self.archive = Archive(program, folder / 'archive').init()
        self.archive.commit(self.tree)
        self.names = self.archive.run('ls', '-R', '/tree').lines


@pytest.fixture(scope='module')
def world(program, tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp('liar')
    world = World(folder, program, seed)
    with Server(world.archive, folder) as server:
        world.server = server
        yield world
    remove(folder)


@pytest.fixture
def between(world):
    with Between(world.server.url) as between:
        yield between


@pytest.fixture
def remote(world, between, tmp_path):
    return Remote(world.program, between.url, tmp_path / 'home', '--tofu', '--timeout', '60')


def flip(body, rng):
    data = bytearray(body)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def only(kind, change):
    """A lie about targets of one kind: change(status, headers, body)."""
    return lambda target, *answer: change(*answer) if kind in target else answer


def judge(world, remote, wanted=None):
    """Ask for everything: each answer is right, or an error. Returns what was said."""
    out = remote.path / 'out'
    restored = remote.restore(out, expect=None)
    assert restored.code in (0, FAILED, PARTIAL, LOST), restored
    found = {str(path.relative_to(out / 'tree')): path for path in (out / 'tree').rglob('*')
             if path.is_file() and '.blockframe-' not in path.name}  # those with losses say so
    right = {**world.contents, **world.many}
    assert found.keys() == right.keys() if restored.code == 0 else found.keys() <= right.keys()
    for name, path in found.items():
        assert path.read_bytes() == right[name], name
    remove(out)
    listed = remote.run('ls', '-R', '/tree', expect=None)
    assert listed.code in (0, FAILED), listed
    assert listed.lines == world.names[:len(listed.lines)]
    assert listed.code != 0 or len(listed.lines) == len(world.names)
    text = restored.err + listed.err
    assert wanted is None or re.search(wanted, text), text
    return text


@pytest.mark.main
@pytest.mark.parametrize('kind', KINDS)
def test_bytes_that_are_wrong_each_time_are_an_error(world, between, remote, rng, kind):
    between.lie = only(kind, lambda status, headers, body: (status, headers, flip(body, rng)))
    judge(world, remote, 'another page|segment|frame|hash|checksum|damaged')


def test_bytes_that_are_wrong_once_are_asked_for_again(world, between, remote, rng):
    lied = set()

    def lie(target, status, headers, body):
        object_ = target.split('?')[0]
        if object_ in lied or not any(kind in target for kind in KINDS):
            return status, headers, body
        lied.add(object_)
        return status, headers, flip(body, rng)

    between.lie = lie
    assert judge(world, remote) == ''
    for kind in KINDS:
        assert any(kind in object_ for object_ in lied), kind


def test_answers_of_the_wrong_size_or_for_something_else(world, between, remote, rng, count):
    cases = [(kind, change) for kind in KINDS for change in ('short', 'long', 'other', 'not there')]
    for kind, change in rng.sample(cases, count(2, len(cases))):
        try_wrong_answers(world, between, remote, kind, change)


def try_wrong_answers(world, between, remote, kind, change):
    other = {}

    def lie(target, status, headers, body):
        if kind not in target:
            return status, headers, body
        if change == 'not there':
            return 404, {'Content-Type': 'application/problem+json'}, b'{"title":"Not Found"}'
        other.setdefault('first', body)
        return status, headers, {'short': body[:-1], 'long': body + b'x',
                                 'other': other['first']}[change]

    between.lie = lie
    judge(world, remote)


def test_a_body_that_ends_early_or_never(world, between, remote, count):
    between.lie = only(FRAMES, lambda status, headers, body: (
        status, {**headers, 'Content-Length': str(len(body))}, body[:len(body) // 2]))
    if count(0, 1):  # each frame is asked for six times, with pauses
        judge(world, remote, 'are lost')
    assert 'ends early' in remote.run('cat', '/tree/random', expect=FAILED).err
    between.lie = only(FRAMES, lambda status, headers, body: (
        status, {**headers, 'Content-Length': str(1 << 40)}, body + bytes(1 << 16)))
    assert 'longer than it can be' in remote.run('cat', '/tree/random', expect=FAILED).err
    between.lie = only(PAGE, lambda status, headers, body: (
        status, {**headers, 'Content-Length': str(1 << 62)}, bytes(4 << 20)))
    judge(world, remote, 'longer than it can be')


def huge(body):
    """A page that says it holds more than a page may."""
    return body[:8] + struct.pack('<I', 0xfffffff0) + body[12:]


def test_pages_that_declare_too_much(world, between, remote):
    between.lie = only(PAGE, lambda status, headers, body: (status, headers, huge(body)))
    judge(world, remote, 'another page')


def test_frames_that_become_too_much(world, between, remote):
    """A zstd frame of a quarter of a GiB, in as many bytes as the right one has."""
    if not have('zstd'):
        pytest.skip('there is no zstd')
    bomb = subprocess.run(['zstd', '-q', '-c'], input=bytes(256 * MIB), capture_output=True,
                          check=True).stdout

    def blow(status, headers, body):
        rest = len(body) - len(bomb) - 8  # of a skippable frame
        assert rest > 0
        return status, headers, bomb + struct.pack('<II', 0x184d2a50, rest) + bytes(rest)

    between.lie = only(FRAMES, blow)
    result = remote.run('cat', '/tree/random', '--length', '200000', expect=FAILED, measure=True)
    assert result.out == b'' and result.memory < 200 * MIB, result


@pytest.mark.main
def test_a_head_that_is_none(world, between, remote, rng, count):
    good = json.loads(world.server.get('/v1/head').body)
    bodies = (b'', b'{}', b'[]', b'null', b'{"version":1', b'\xff' * 100,
                 b'{"version":1' + b' ' * (2 << 20), json.dumps({**good, 'more': 1}).encode(),
                 json.dumps({**good, 'sequence': '99999999999999999999'}).encode(),
                 json.dumps({**good, 'tree': 'x' * 64}).encode(), b'[' * 100000)
    for body in rng.sample(bodies, count(4, len(bodies))):
        between.lie = only('/v1/head', lambda status, headers, _, body=body:
                           (status, headers, body))
        remote.run('ls', expect=FAILED)
        assert remote.remembered() == {}


def test_a_tree_that_is_not_the_heads(world, between, remote):
    """An entry that is hidden by a page without it: the page is another one."""
    pages = {}

    def note(target, status, headers, body):
        if PAGE in target:
            pages[target] = body
        return status, headers, body

    between.lie = note
    remote.run('ls', '-R')
    some = list(pages.values())
    between.lie = lambda target, status, headers, body: (
        status, headers, some[-1] if PAGE in target else body)
    judge(world, remote, 'another page')


def test_older_heads_that_do_not_follow(world, between, remote):
    def lie(target, status, headers, body):
        if '/v1/commits' not in target:
            return status, headers, body
        return status, headers, body.replace(b'"sequence":"0"', b'"sequence":"1"')

    between.lie = lie
    assert remote.run('log', expect=FAILED).err
    between.lie = only('/v1/commits', lambda status, headers, body: (404, {}, b''))
    for commit in '0', '1':  # which is proved, and needs no head but the newest
        result = remote.run('ls', '/tree/small', '--at', commit, expect=None)
        assert (result.code, 'no such' in result.err) == ((FAILED, False) if commit == '0'
                                                          else (0, False)), result
    between.lie = only('/v1/commits', lambda status, headers, body: (status, headers, b''))
    assert remote.run('log', expect=FAILED).err


def test_redirects(world, between, remote):
    def to(where):
        return lambda target, status, headers, body: (
            (302, {'Location': where}, b'') if PAGE in target else (status, headers, body))

    between.lie = to('http://127.0.0.2:1/v1/page/x')
    judge(world, remote, 'another origin')
    between.lie = to('/v1/page/' + '0' * 64)
    judge(world, remote, 'in a circle')
    between.lie = to('file:///etc/passwd')
    judge(world, remote, 'another origin')

    def once(target, status, headers, body):
        if PAGE in target and 'again' not in target:
            return 307, {'Location': target + '?again'}, b''
        return status, headers, body

    between.lie = once
    text = judge(world, remote)
    assert text == '' or '400' in text


def test_hints_that_are_lies_hide_at_most_what_was(world, between, remote, rng, count):
    bodies = [b'', b'{}', b'{"versions":[]}', b'{"versions":[{"first":"77"}]}',
              b'{"versions":[{"first":"1","end":"1"}]}', b'x' * 1000,
              b'{"versions":[],"cursor":"5"}']
    for body in rng.sample(bodies, count(3, len(bodies))):
        between.lie = only('/v1/versions/', lambda status, headers, _, body=body:
                           (status, headers, body))
        result = remote.run('cat', '--version', '1', '/tree/small', expect=None)
        assert result.code == FAILED or result.out == b'small'


def test_a_mount_gives_errors_and_goes_on_with_the_truth(world, between, tmp_path, mount, rng):
    mnt = mount(Remote(world.program, between.url, tmp_path / 'home', '--timeout', '60'), '--tofu')
    between.lie = only(FRAMES, lambda status, headers, body: (status, headers, flip(body, rng)))
    assert refused((mnt / 'tree/random').read_bytes) == errno.EIO
    assert "'tree/random': byte 0" in mnt.log
    between.lie = only(PAGE, lambda status, headers, body: (status, headers, b'no page'))
    assert refused(os.listdir, mnt / 'tree/many') == errno.EIO
    between.lie = lambda *_: (404, {}, b'')
    assert refused(os.lstat, mnt / 'tree/many/007') == errno.EIO
    assert refused(os.listdir, mnt / '.blockframe/commits/0') == errno.EIO
    between.lie = None
    assert_same(world.tree, mnt / 'tree')


def drip(size, pause):
    def slow(body):
        for start in range(0, len(body), size):
            yield body[start:start + size]
            time.sleep(pause)

    return only(FRAMES, lambda status, headers, body: (
        status, {**headers, 'Content-Length': str(len(body))}, slow(body)))


def test_an_answer_that_drips_ends(world, between, tmp_path):
    """Faster than what counts as nothing at all, and not fast enough for anybody."""
    remote = Remote(world.program, between.url, tmp_path / 'home', '--tofu', '--timeout', '1')
    between.lie = drip(512, 0.4)
    assert remote.cat('/tree/folder/inside', expect=FAILED) == b''


def test_an_answer_may_be_as_slow_as_a_share_of_a_slow_way(world, between, tmp_path, count):
    """What many read ahead on such a way comes at a fraction of its speed each."""
    remote = Remote(world.program, between.url, tmp_path / 'home', '--tofu', '--timeout', '10')
    between.lie = drip(8192, count(0.02, 0.6))
    assert remote.cat('/tree/random') == world.contents['random']


def test_an_answer_that_never_comes_ends(world, between, tmp_path):
    remote = Remote(world.program, between.url, tmp_path / 'home', '--tofu', '--timeout', '1')
    over = threading.Event()

    def lie(target, status, headers, body):
        if FRAMES in target:
            over.wait(30)
            return None
        return status, headers, body

    between.lie = lie
    assert remote.run('cat', '/tree/random', expect=FAILED).out == b''
    over.set()
