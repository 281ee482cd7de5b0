# SPDX-License-Identifier: MIT
"""Handles of files as NFS servers keep them: they lead to the same file after the mount was
ended and made again, and never to another one."""
import ctypes
import errno
import os

import pytest

from trees import make_small_tree, write_file
from ways import read_all_at

pytestmark = [pytest.mark.main,
              pytest.mark.skipif(os.geteuid() != 0, reason='only root may open by handle')]

AT_FDCWD = -100
HANDLE_MAX = 128
LIBC = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    _fields_ = [('size', ctypes.c_uint), ('type', ctypes.c_int),
                ('bytes', ctypes.c_ubyte * HANDLE_MAX)]


def handle_of(path):
    handle = Handle(size=HANDLE_MAX)
    mount = ctypes.c_int()
    if LIBC.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle),
                              ctypes.byref(mount), 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return handle


def open_handle(top, handle, flags=os.O_RDONLY):
    """As an NFS server does that was started after the handle was given out."""
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fd = LIBC.open_by_handle_at(folder, ctypes.byref(handle), flags)
    finally:
        os.close(folder)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def content_behind(top, handle):
    fd = open_handle(top, handle)
    try:
        return read_all_at(fd, 0, 1 << 30)
    finally:
        os.close(fd)


@pytest.fixture
def small(archive, tmp_path, seed):
    tree = make_small_tree(tmp_path / 'tree', seed)
    archive.commit(tree)
    return tree


FILES = ['random', 'text', 'folder/small', 'folder/old']


def test_handles_outlive_the_mount(archive, mount, small):
    first = mount(archive)
    handles = {name: handle_of(first / f'tree/{name}') for name in FILES}
    folder = handle_of(first / 'tree/folder')
    first.unmount()
    second = mount(archive)
    for name, handle in handles.items():
        with open(f'{small}/{name}', 'rb') as file:
            assert content_behind(second.path, handle) == file.read()
    fd = open_handle(second.path, folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert sorted(os.listdir(fd)) == sorted(os.listdir(f'{small}/folder'))
        up = os.open('..', os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        assert 'random' in os.listdir(up)
        os.close(up)
    finally:
        os.close(fd)


def test_a_handle_never_leads_to_another_file(archive, mount, small, rng):
    """Not after a commit that changed the file, nor after a rebuild that numbered all anew."""
    first = mount(archive)
    handles = {name: handle_of(first / f'tree/{name}') for name in FILES}
    contents = {name: open(f'{small}/{name}', 'rb').read() for name in FILES}
    first.unmount()
    write_file(f'{small}/a-first', b'so that numbers shift')
    write_file(f'{small}/text', rng.randbytes(120_000))
    archive.commit(small)
    contents['text', 'new'] = open(f'{small}/text', 'rb').read()
    archive.forget_catalog()
    archive.rebuild()
    second = mount(archive)
    for name, handle in handles.items():
        try:
            content = content_behind(second.path, handle)
        except OSError as e:
            assert e.errno == errno.ESTALE
        else:
            assert content in (contents[name], contents.get((name, 'new')))
