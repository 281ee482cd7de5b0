# SPDX-License-Identifier: MIT
"""health and status as their users meet them: what they say, while others are at work, when
they are killed or stopped, and on media that fail."""
import fcntl
import json
import os
import random
import re
import signal

import pytest

from mounted import until
from places import Places
from program import BUSY, DONE, FAILED, INTERRUPTED, KILLED, LOST, PARTIAL, USAGE, Archive
from test_kill import SOURCE
from trees import MIB, write_file
from volume_map import DATA, SECTOR, Damage, read_at, read_stripes, write_at

MEMORY = 256 * MIB
POINTS = sorted({name for path in SOURCE.rglob('*.c')
                 for name in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())
                 if name.startswith(('volume.repair.', 'volume.scrub.', 'archive.health.'))})


@pytest.fixture(scope='module')
def base(program, tmp_path_factory, seed):
    """An archive of one volume; never changed."""
    folder = tmp_path_factory.mktemp('health')
    rng = random.Random(f'health {seed}')
    write_file(f'{folder}/tree/large', rng.randbytes(20 * MIB))
    write_file(f'{folder}/tree/other', rng.randbytes(9 * MIB))
    write_file(f'{folder}/tree/small', b'small')
    archive = Archive(program, folder / 'archive').init()
    archive.commit(folder / 'tree')
    return archive


@pytest.fixture
def archive(base, tmp_path):
    return base.copy(tmp_path / 'archive')


def bytes_of(archive):
    return archive.volume.read_bytes()


def data_stripe(archive):
    return next(s for s in read_stripes(archive.volume) if s.kind == DATA)


def erase(archive, rng, number=None):
    """@number whole extents of the data stripe, or as many as parity can make up for."""
    stripe = data_stripe(archive)
    extents = rng.sample(stripe.extents, stripe.m if number is None else number)
    for extent in extents:
        write_at(archive.volume, extent.offset, rng.randbytes(extent.end - extent.offset))
    return extents


def status(archive, expect):
    return archive.run('status', '--json', expect=expect).json()


@pytest.mark.main
def test_status_tells_what_comes_next(archive, rng):
    before = bytes_of(archive)
    first = status(archive, PARTIAL)
    assert first['verdict'] == 'due' and first['next'] == 'health --due'
    archive.run(*first['next'].split())
    safe = status(archive, DONE)
    assert safe['verdict'] == 'safe' and 'next' not in safe and safe['margin'] == 3
    assert safe['stripes_unverified'] == '0'

    leaf = data_stripe(archive).data[2].leaf(1)
    write_at(archive.volume, leaf[0], rng.randbytes(leaf[1]))
    archive.run('health', '--check', expect=PARTIAL)
    damaged = status(archive, PARTIAL)
    assert damaged['verdict'] == 'damaged' and damaged['next'] == 'health'
    assert damaged['margin'] == 2 and damaged['damaged'] == '1'
    archive.run(*damaged['next'].split(), expect=PARTIAL)
    assert bytes_of(archive) == before
    assert status(archive, DONE)['verdict'] == 'safe'

    stripe = data_stripe(archive)
    for extent in stripe.extents[:4]:
        write_at(archive.volume, extent.leaf(0)[0], rng.randbytes(100))
        write_at(archive.volume, extent.leaf(0)[0] + 8 * SECTOR, rng.randbytes(100))
    archive.run('health', expect=LOST)
    lost = status(archive, LOST)
    assert lost['verdict'] == 'lost' and lost['margin'] == 0
    text = archive.run('status', expect=LOST).text
    assert text.startswith('LOST') and 'next:  blockframe health --check' in text


@pytest.mark.main
def test_what_was_done_is_in_the_log_the_report_and_the_metrics(archive, rng, tmp_path):
    extents = erase(archive, rng)
    result = archive.run('health', '--report', tmp_path / 'report', '--metrics',
                         tmp_path / 'metrics', expect=PARTIAL)
    report = json.loads((tmp_path / 'report').read_text())
    assert report['exit_code'] == PARTIAL and not report['loss']
    starts = [e.offset for e in data_stripe(archive).extents]
    assert {r['extent'] for r in report['ranges']} == {starts.index(e.offset) for e in extents}
    assert report['ranges'][0]['outcome'] == 'repaired'
    assert {f['path'] for f in report['files']} <= {'tree/large', 'tree/other', 'tree/small'}
    assert all(f['state'] == 'repaired' for f in report['files'])
    metrics = (tmp_path / 'metrics').read_text()
    assert f'blockframe_health_exit_code {PARTIAL}\n' in metrics
    for line in metrics.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) blockframe_\w+ .+|blockframe_\w+(\{.+\})? \d+', line)
    assert 'damage was found and repaired' in result.text
    log = (archive.path / 'repair.log').read_text().splitlines()
    assert 'repair begins' in log[0] and 'repair ends' in log[-1]
    assert sum('repaired: leaf' in line or 'repaired: parity leaf' in line for line in log) >= 3
    archive.run('health', '--check')
    assert (archive.path / 'repair.log').read_text().splitlines() == log  # nothing was done


def test_what_is_not_due_is_left_out(archive):
    first = archive.run('health', '--check', '--json').json()
    stripes = int(first['volumes'][0]['stripes'])
    again = archive.run('health', '--check', '--older-than', '30d', '--json').json()
    assert int(again['volumes'][0]['stripes_not_due']) == stripes and again['verified'] == '0'
    again = archive.run('health', '--check', '--older-than', '0s', '--json').json()
    assert again['verified'] == first['verified']
    due = archive.run('health', '--check', '--due', '--json').json()
    assert due['verified'] == '0'
    archive.run('health', '--due', '--older-than', '1d', expect=USAGE)
    archive.run('health', '--older-than', 'yesterday', expect=USAGE)
    archive.run('health', '--volume', 'nowhere', expect=FAILED)
    by_number = archive.run('health', '--check', '--volume', '1', '--json').json()
    assert by_number['verified'] == first['verified']


def test_deep_reads_every_content(archive):
    report = archive.run('health', '--deep', '--json').json()
    assert report['contents_read'] == '3' and report['files'] == []


def test_when_a_check_is_due_is_a_setting(archive):
    archive.run('health', '--check')
    assert status(archive, DONE)['verdict'] == 'safe'
    assert 'due after 7 days' in archive.run(
        'status', env={'BLOCKFRAME_HEALTH_CHECK_EVERY': '7'}).text
    run = archive.run('status', '--json', env={'BLOCKFRAME_HEALTH_CHECK_EVERY': '0'},
                      expect=FAILED)
    assert 'CHECK_EVERY: 0 is not between' in run.err


def test_a_rebuilt_catalog_knows_what_was_verified_if_the_old_one_does(archive, rng):
    leaf = data_stripe(archive).data[2].leaf(1)
    with Damage(archive.volume, [(leaf[0], rng.randbytes(leaf[1]))]):
        archive.run('health', '--check', expect=PARTIAL)
        before, known = archive.dump(), status(archive, PARTIAL)
        assert known.pop('volumes') and known['verdict'] == 'damaged'
        archive.rebuild()
        assert archive.dump() == before
        now = status(archive, PARTIAL)
        assert {key: now[key] for key in known} == known
    archive.run('health', '--check')
    assert status(archive, DONE)['verdict'] == 'safe'
    archive.forget_catalog()
    archive.rebuild()
    assert archive.dump() == before
    unknown = status(archive, PARTIAL)
    assert unknown['verdict'] == 'due' and 'last_run' not in unknown
    assert 'none, since the catalog was made or rebuilt' in archive.run(
        'status', expect=PARTIAL).text


def begin_slowly(archive, rng):
    """A repair that has done the first stripe, and has ten minutes to go."""
    write_at(archive.volume, 0, rng.randbytes(SECTOR))
    run = archive.start('health', '--limit-rate', '50KB')
    log = archive.path / 'repair.log'
    until(lambda: log.exists() and 'repaired: ' in log.read_text(), 'the first repair')
    return run


def test_a_stopped_run_goes_on_and_a_second_one_is_refused(archive, rng):
    before = bytes_of(archive)
    run = begin_slowly(archive, rng)
    refused = archive.run('health', '--check', expect=BUSY)
    assert f'process {run.process.pid} is checking the health' in refused.err
    run.kill(signal.SIGINT)
    stopped = run.finish(expect=INTERRUPTED)
    assert '--resume' in stopped.err
    assert status(archive, PARTIAL)['next'] == 'health --resume'
    report = archive.run('health', '--resume', '--json').json()
    assert report['resumed'] and int(report['volumes'][0]['stripes_not_due']) >= 1
    assert status(archive, DONE)['verdict'] == 'safe'
    assert bytes_of(archive) == before
    assert 'no run was stopped' in archive.run('health', '--resume').err


def test_commits_readers_and_health_get_along(archive, rng, tmp_path):
    """Nothing is taken for damage that is only being written."""
    for number in range(6):
        write_file(f'{tmp_path}/tree2/{number}', rng.randbytes(3 * MIB))
        commit = archive.start('commit', tmp_path / 'tree2')
        under_way = True
        while under_way:  # once more when it has ended
            under_way = commit.running
            archive.run('health', '--check')
            archive.cat('/tree/small')
        commit.finish()
    archive.run('health', '--check', '--deep')


def test_a_repair_under_a_mount_is_seen_by_it(archive, mount, rng):
    want = archive.cat('/tree/large')
    with_mount = mount(archive)
    erase(archive, rng)
    archive.run('health', expect=(DONE, PARTIAL))  # the mount may have been faster
    with open(with_mount / 'tree/large', 'rb') as file:
        assert file.read() == want
    archive.run('health', '--check')


def test_a_writer_keeps_the_ledger_waiting_not_health(archive):
    """The catalog is a writer's for as long as it likes."""
    import sqlite3
    connection = sqlite3.connect(archive.catalog, isolation_level=None)
    connection.execute('BEGIN IMMEDIATE')
    result = archive.run('health', '--check')
    assert 'could not be noted' in result.text
    connection.execute('ROLLBACK')
    connection.close()
    assert status(archive, PARTIAL)['verdict'] == 'due'
    archive.run('health', '--check')
    assert status(archive, DONE)['verdict'] == 'safe'


def blocks_differ(a, b):
    return {at for at in range(0, len(a), SECTOR) if a[at:at + SECTOR] != b[at:at + SECTOR]}


@pytest.mark.parametrize('point', POINTS)
def test_a_kill_leaves_it_no_worse(base, tmp_path, rng, count, point):
    want = bytes_of(base)
    kills, number = 0, 1
    while kills < count(1, 100):
        archive = base.copy(tmp_path / 'archive')
        erase(archive, rng)
        write_at(archive.volume, 0, rng.randbytes(2 * SECTOR))
        damaged = bytes_of(archive)
        run = archive.run('health', expect=(KILLED, PARTIAL),
                          env={'BLOCKFRAME_CRASH_AT': f'{point}:{number}'})
        now = bytes_of(archive)
        assert all(now[at:at + SECTOR] in (damaged[at:at + SECTOR], want[at:at + SECTOR])
                   for at in blocks_differ(now, damaged))
        assert run.code == KILLED or number > 1
        kills += run.code == KILLED
        number = number + 1 if run.code == KILLED else 1  # and again from the first
        archive.run('health', expect=(DONE, PARTIAL))
        assert bytes_of(archive) == want
        archive.run('health', '--check')
        archive.delete()


@pytest.mark.parametrize('call, error', [('write', 'EIO'), ('write', 'ENOSPC'), ('sync', 'EIO'),
                                         ('read', 'EIO')])
def test_a_medium_that_fails_is_told_and_the_next_run_heals(base, tmp_path, rng, interpose, count,
                                                           call, error):
    want = bytes_of(base)
    number = {'EIO': 5, 'ENOSPC': 28}[error]
    for nth in rng.sample(range(1, 200), count(1, 20)):
        archive = base.copy(tmp_path / 'archive')
        erase(archive, rng)
        archive.run('health', expect=(DONE, FAILED, PARTIAL, LOST),
                    interpose={'ROOT': archive.path / 'volumes',
                               'FAIL': f'{call}:{nth}:{number}:all'})
        archive.run('health', expect=(DONE, PARTIAL))
        assert bytes_of(archive) == want
        archive.delete()


def test_memory_is_bounded(archive, rng):
    before = bytes_of(archive)
    erase(archive, rng)
    result = archive.run('health', '--deep', expect=PARTIAL, measure=True)
    assert result.memory < MEMORY
    assert bytes_of(archive) == before
    erase(archive, rng)
    archive.run('health', expect=PARTIAL, env={'BLOCKFRAME_LIMITS_MEMORY': '64MiB'})
    assert bytes_of(archive) == before


def test_a_volume_that_is_away_is_no_damage(archive):
    name = archive.volume
    name.rename(archive.path / 'away')
    report = archive.run('health', '--json', expect=DONE).json()
    assert not report['volumes'][0]['attached']
    assert status(archive, PARTIAL)['volumes_away'] == '1'
    (archive.path / 'away').rename(archive.path / 'volumes/renamed.bfv')
    assert archive.run('health', '--json').json()['volumes'][0]['sound']


def test_a_good_source_that_is_committed_again_gives_back_what_was_lost(base, archive, rng,
                                                                       tmp_path):
    source = base.path.parent / 'tree'
    erase(archive, rng, data_stripe(archive).m + 1)
    # Nobody knows of the damage yet, so nothing is read.
    assert not archive.run('commit', source, '--json').json()['made']
    archive.run('health', expect=LOST)
    archive.run('restore', '/tree', '--to', tmp_path / 'before', expect=LOST)
    assert archive.run('commit', source, '--json').json()['made']
    for target in ('after', 'rebuilt'):
        archive.run('restore', '/tree', '--to', tmp_path / target)
        for name in ('large', 'other', 'small'):
            assert (tmp_path / target / 'tree' / name).read_bytes() == \
                (source / name).read_bytes()
        assert not archive.run('commit', source, '--json').json()['made']  # once is enough
        archive.run('catalog', 'rebuild')


def test_damage_far_beyond_is_lost_and_ends_nothing(archive, rng):
    size = os.path.getsize(archive.volume)
    write_at(archive.volume, size // 4, rng.randbytes(size // 2))
    report = archive.run('health', '--json', expect=LOST).json()
    assert report['loss'] and int(report['lost_bytes']) > MIB
    lost = {f['path'] for f in report['files'] if f['state'] == 'lost'}
    for name in 'large', 'other':
        archive.run('cat', f'/tree/{name}', expect=LOST if f'tree/{name}' in lost else DONE)
    write_at(archive.volume, 0, rng.randbytes(size))
    report = archive.run('health', '--json', expect=LOST).json()
    assert report['volumes'][0]['problem'] and not report['volumes'][0]['checked']


def test_a_volume_that_nothing_names_any_more_is_healed(archive, rng):
    """Its first extents and its last ones are gone; its name is known to the catalog."""
    before = bytes_of(archive)
    stripes = read_stripes(archive.volume)
    for stripe in stripes[0], stripes[-1]:
        for extent in stripe.extents[:3]:
            write_at(archive.volume, extent.offset, rng.randbytes(extent.end - extent.offset))
    archive.run('health', expect=PARTIAL)
    assert bytes_of(archive) == before
