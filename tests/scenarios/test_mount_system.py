# SPDX-License-Identifier: MIT
"""The mount in the hands of the system: a line of fstab, a unit of systemd, a share of Samba.
(NFS servers need handles that stay: test_mount_handles.py.)"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from mounted import until
from program import have
from trees import assert_same, make_small_tree, snapshot, write_file

SOURCE = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def filled(archive, tmp_path, seed):
    archive.commit(make_small_tree(tmp_path / 'tree', seed))
    archive.source = tmp_path / 'tree'
    return archive


# fstab

# mount(8) looks for helpers in /sbin only: in a namespace of its own, this puts ours there.
IN_NAMESPACE = '''
mount --make-rprivate /
mount -t overlay overlay -o lowerdir="$HELPERS":/usr/sbin /usr/sbin
'''


@pytest.fixture
def system(program, fuse, tmp_path):
    """system(script): run by a shell for which mount.blockframe is installed."""
    if os.geteuid() != 0 or not have('unshare'):
        pytest.skip('needs root and unshare')
    helpers = tmp_path / 'helpers'
    helpers.mkdir()
    (helpers / 'mount.blockframe').symlink_to(program.binary)

    def run(script, check=True):
        return subprocess.run(['unshare', '--mount', 'sh', '-euc', IN_NAMESPACE + script],
                              env={**program.environment, 'HELPERS': str(helpers)}, check=check,
                              stdin=subprocess.DEVNULL, capture_output=True)

    if run('', check=False).returncode != 0:
        pytest.skip('no namespace with an overlay can be made here')
    return run


@pytest.mark.main
@pytest.mark.parametrize('options', ['defaults', 'ro,noauto,nofail,_netdev,x-systemd.automount',
                                     'users,noatime,nodev,nosuid,noexec,allow_other,uid=77'])
def test_a_line_of_fstab_mounts(filled, system, tmp_path, options):
    mountpoint = tmp_path / 'a mountpoint'
    mountpoint.mkdir()
    fstab = tmp_path / 'fstab'
    fstab.write_text(f'{filled.path} {str(mountpoint).replace(" ", chr(92) + "040")} '
                     f'blockframe {options} 0 0\n')
    result = system(f'''
        mount -T '{fstab}' '{mountpoint}'
        cat '{mountpoint}/tree/folder/small'
        findmnt -n -r -o FSTYPE,OPTIONS '{mountpoint}' >&2
        stat -c 'owner %u' '{mountpoint}/tree/text' >&2
        ! touch '{mountpoint}/new' 2>/dev/null
        umount '{mountpoint}'
        ! findmnt '{mountpoint}'
    ''')
    assert result.stdout == (filled.source / 'folder/small').read_bytes()
    said = result.stderr.decode()
    assert 'fuse.blockframe ro,' in said
    assert ('owner 77' in said) == ('uid=77' in options)
    assert ('noexec' in said) == ('noexec' in options)


@pytest.mark.main
def test_a_line_of_fstab_that_can_not_be_is_refused(filled, system, tmp_path):
    mountpoint = tmp_path / 'mnt'
    mountpoint.mkdir()
    fstab = tmp_path / 'fstab'
    for options, named in ('defaults,bogus', 'bogus'), ('uid=me', 'uid=me'):
        fstab.write_text(f'{filled.path} {mountpoint} blockframe {options} 0 0\n')
        result = system(f'mount -T {fstab} {mountpoint}', check=False)
        assert result.returncode != 0 and named in result.stderr.decode()


# systemd


@pytest.mark.skipif(not have('systemd-analyze'), reason='systemd is not installed')
@pytest.mark.main
def test_the_sample_unit_is_well_formed(tmp_path):
    """As it is installed, and with Where changed its name must change with it."""
    sample, = (SOURCE / 'systemd').glob('*.mount')
    unit = tmp_path / sample.name
    shutil.copy(sample, unit)
    command = ['systemd-analyze', 'verify', '--man=no', '--recursive-errors=no']
    done = subprocess.run([*command, unit], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == '', done.stderr
    unit.write_text(unit.read_text().replace('Where=/', 'Where=/elsewhere/'))
    assert subprocess.run([*command, unit], capture_output=True).returncode != 0


# Samba

SAMBA = '''
[global]
    interfaces = 127.0.0.1
    bind interfaces only = yes
    smb ports = {port}
    server role = standalone server
    map to guest = bad user
    guest account = root
    disable spoolss = yes
    load printers = no
    log file = {folder}/log
    lock directory = {folder}
    state directory = {folder}
    cache directory = {folder}
    private dir = {folder}
    pid directory = {folder}
    ncalrpc dir = {folder}/rpc

[archive]
    path = {path}
    guest ok = yes
    read only = yes
'''


def free_port():
    """Nobody else's now; the next moment it may be."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Share:
    """A folder that smbd shows on a port of its own."""

    def __init__(self, path, folder):
        self.path = path
        self.folder = folder
        self.starts = 0
        folder.mkdir()
        self.settings = folder / 'smb.conf'
        self.start()

    def start(self):
        self.starts += 1
        assert self.starts < 10, 'smbd ends each time'
        self.port = free_port()
        self.settings.write_text(SAMBA.format(path=self.path, folder=self.folder, port=self.port))
        self.server = subprocess.Popen(
            ['smbd', '--foreground', '--no-process-group', '-s', self.settings],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)

    def run(self, commands, check=True):
        return subprocess.run(
            ['smbclient', '-s', self.settings, '-p', str(self.port), '-N', '-U', 'guest%',
             '//127.0.0.1/archive', '-c', commands], check=check, stdin=subprocess.DEVNULL,
            capture_output=True, text=True)

    def wait(self):
        def answers():
            if self.server.poll() is not None:  # somebody else has got the port
                self.start()
            return self.run('ls', check=False).returncode == 0
        until(answers, 'smbd')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Nobody is in the folder any more: those that it has started end after it, and are
        ours then (mounted.adopt_mounts)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.server.pid, signal.SIGTERM)
        self.server.wait()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-self.server.pid, 0)


@pytest.fixture
def share(tmp_path):
    if os.geteuid() != 0 or not have('smbd') or not have('smbclient'):
        pytest.skip('Samba is not installed')
    with contextlib.ExitStack() as stack:
        yield lambda path: stack.enter_context(Share(path, tmp_path / 'samba'))


# What fetching over SMB does not bring.
UNSEEN = {'mode', 'owner', 'mtime', 'xattrs', 'data'}


def test_samba_shows_the_same_tree(archive, mount, share, tmp_path, rng, count):
    source = tmp_path / 'tree'
    contents = {'empty': b'', 'one': b'1', 'text with spaces': b'word ' * 20_000,
                'umläute/日本語': b'names', 'a/b/c/d/deep': b'deep',
                'large': rng.randbytes(count(12, 100) * 1_000_003)}
    for name, content in contents.items():
        write_file(f'{source}/{name}', content)
    for n in range(300):
        write_file(f'{source}/many/{n:03}', b'%d' % n)
    archive.commit(source)
    mnt = mount(archive)
    shown = share(mnt.path)
    shown.wait()
    to = tmp_path / 'fetched'
    to.mkdir()
    shown.run(f'lcd {to}; prompt; recurse; mget tree')
    assert_same(snapshot(source), snapshot(to / 'tree'), ignore=UNSEEN)
    assert 'NT_STATUS' in shown.run(f'put {tmp_path}/tree/one new', check=False).stdout
    assert 'NT_STATUS' in shown.run('del tree/one', check=False).stdout

    write_file(f'{source}/new', b'committed while it is shared')
    archive.commit(source)
    until(lambda: (mnt / 'tree/new').exists(), 'commit')
    shown.run(f'lcd {to}; get tree/new new')
    assert (to / 'new').read_bytes() == b'committed while it is shared'
