# SPDX-License-Identifier: MIT
"""Fixtures of the scenarios: the real program on real files.

    BLOCKFRAME_BUILD       the build folder (configured with -Dtest_hooks=true); default: build
    BLOCKFRAME_TEST_FULL   1: full counts; else reduced ones that keep the whole within minutes
    BLOCKFRAME_TEST_SEED   seeds everything that is random (default 1)
"""
import contextlib
import os
import pathlib
import random
import resource

import pytest

from mounted import BadMedium, Mount, adopt_mounts, judge_others, no_fuse
from program import Archive, Program, remove
from serving import Server

SEED = int(os.environ.get('BLOCKFRAME_TEST_SEED', '1'))
FULL = os.environ.get('BLOCKFRAME_TEST_FULL') == '1'
BUILD = os.environ.get('BLOCKFRAME_BUILD',
                       pathlib.Path(__file__).resolve().parents[2] / 'build')


def pytest_report_header():
    return f'blockframe: {BUILD}, seed {SEED}, {"full" if FULL else "reduced"} counts'


def pytest_configure():
    # A thousand levels of folders are a thousand descriptors for those who compare them.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    os.umask(0o022)
    adopt_mounts()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections.append(('seed', f'BLOCKFRAME_TEST_SEED={SEED}'))


@pytest.fixture(scope='session')
def seed():
    return SEED


@pytest.fixture
def rng(request):
    """Random numbers of this test alone: the same with the same seed, whatever else runs."""
    return random.Random(f'{SEED} {request.node.nodeid}')


@pytest.fixture(scope='session')
def count():
    """count(reduced, full): how much of something this run does."""
    return lambda reduced, full: full if FULL else reduced


@pytest.fixture(scope='session')
def program(tmp_path_factory):
    program = Program(BUILD, tmp_path_factory.mktemp('home'))
    assert program.binary.exists(), f'{program.binary} is not built'
    return program


@pytest.fixture
def interpose(program):
    """For tests that need the preloaded library, which sanitizers do not go with."""
    if not program.interpose.exists():
        pytest.skip('this build has no preloaded library')


@pytest.fixture
def tmp_path(tmp_path):
    """pytest keeps the folders of some runs; these are too big for that."""
    yield tmp_path
    remove(tmp_path)


@pytest.fixture
def new_archive(program, tmp_path):
    """new_archive(name, settings): one more archive."""
    return lambda name, settings=None: Archive(program, tmp_path / name).init(settings=settings)


@pytest.fixture
def archive(new_archive):
    return new_archive('archive')


@pytest.fixture(scope='session')
def fuse():
    """For tests that mount."""
    if reason := no_fuse():
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def other_mounts(request):
    """What a test mounts without the fixture below has ended with the test, and well."""
    yield
    if 'fuse' in request.fixturenames:
        judge_others()


@pytest.fixture
def let_others_in(tmp_path_factory):
    """let_others_in(folder): other users can get to it then; pytest's own folders are its
    user's alone. Those above belong to somebody, and stay as they are."""
    base = tmp_path_factory.getbasetemp()

    def let_in(path):
        for folder in (path, *path.parents):
            mode = os.stat(folder).st_mode
            if folder.is_relative_to(base) or folder.name.startswith('pytest-of-'):
                os.chmod(folder, mode | 0o055)
            elif not mode & 0o001:
                pytest.skip(f'{folder} is not for other users')

    return let_in


@pytest.fixture
def mount(fuse, tmp_path):
    """mount(archive, *args, name='mnt'): an archive as a folder, until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda archive, *args, name='mnt', **options: stack.enter_context(
            Mount(archive, tmp_path / name, *args, **options))


@pytest.fixture
def bad_medium(program, tmp_path):
    """For tests that preload a library that makes media bad: what a mount needs for that."""
    if not program.bad_medium.exists():
        pytest.skip('this build has no preloaded library')
    folder = tmp_path / 'bad-medium'
    folder.mkdir()
    return BadMedium(program.bad_medium, folder)


@pytest.fixture
def serve(tmp_path):
    """serve(archive, *args, settings={}): a server, until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda archive, *args, **options: stack.enter_context(
            Server(archive, tmp_path, *args, **options))
