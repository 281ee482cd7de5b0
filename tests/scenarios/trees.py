# SPDX-License-Identifier: MIT
"""Makes folders that have everything in them, and compares folders to the last bit.

`make_tree` and `make_small_tree` write; `snapshot` takes down all that a commit keeps of a
folder; `assert_same` compares two of these. Paths inside a tree are relative, and bytes.
"""
import errno
import hashlib
import os
import random
import socket
import stat
import subprocess

from program import have

MIB = 1 << 20
SEGMENT = 32 * MIB
LARGE_FILE = 8 * MIB  # from here on a file has segments of its own
PATH_MAX_IN_ARCHIVE = 4096  # bytes


def text_bytes(rng, size):
    """Content that compresses to about a third."""
    words = [rng.randbytes(rng.randint(2, 6)).hex().encode() for _ in range(400)]
    piece = b' '.join(rng.choice(words) for _ in range(min(size, 65536) // 4 + 2))
    return (piece * (size // len(piece) + 1))[:size]


def write_file(path, data, mtime_ns=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def _sizes(folder, rng, large):
    sizes = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 262143, 262144, 262145, 3 * 262144 + 5]
    sizes += [LARGE_FILE - 1, LARGE_FILE, LARGE_FILE + 1] if large else [LARGE_FILE + 1]
    for size in sizes:
        write_file(f'{folder}/random-{size}', rng.randbytes(size))
        write_file(f'{folder}/text-{size}', text_bytes(rng, size))
    for size in ([SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT] if large else [SEGMENT + 1]):
        write_file(f'{folder}/large/{size}', rng.randbytes(size))
    mixed = b''.join(rng.randbytes(100_000) + text_bytes(rng, 150_000) for _ in range(8))
    write_file(f'{folder}/mixed', mixed)


def _links(folder, rng):
    data = rng.randbytes(300_000)
    for name in 'original', 'duplicate', 'far/away/duplicate':
        write_file(f'{folder}/{name}', data)
    write_file(f'{folder}/a/linked', rng.randbytes(70_000))
    write_file(f'{folder}/a/empty', b'')
    os.makedirs(f'{folder}/b/c')
    os.link(f'{folder}/a/linked', f'{folder}/b/linked')
    os.link(f'{folder}/a/linked', f'{folder}/b/c/linked')
    os.link(f'{folder}/a/empty', f'{folder}/b/empty')
    os.symlink('a/linked', f'{folder}/to-file')
    os.symlink('b', f'{folder}/to-folder')
    os.symlink('/nowhere/at/all', f'{folder}/dangling')
    try:
        os.symlink('x' * 4000, f'{folder}/long')
    except OSError:  # XFS takes less
        os.symlink('x' * 1000, f'{folder}/long')
    os.symlink(b'\xff\xfe\n"', os.fsencode(f'{folder}/odd'))
    os.symlink('loop', f'{folder}/loop')
    os.link(f'{folder}/dangling', f'{folder}/dangling-again', follow_symlinks=False)


def _special(folder):
    os.makedirs(folder)
    os.mkfifo(f'{folder}/fifo', 0o640)
    os.mknod(f'{folder}/socket', stat.S_IFSOCK | 0o755)
    os.link(f'{folder}/fifo', f'{folder}/fifo-again')
    try:
        os.mknod(f'{folder}/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(f'{folder}/block', stat.S_IFBLK | 0o660, os.makedev(259, 300_000))
    except PermissionError:
        pass  # only root may


def _sparse(folder, rng):
    """Data where the number says: (offset, size) of each stretch, and the whole size."""
    files = {
        'all-hole': ([], 5 * MIB),
        'large-hole': ([], SEGMENT + 123),
        'hole-at-start': ([(MIB, 5000)], MIB + 5000),
        'hole-at-end': ([(0, 10_000)], 3 * MIB + 1),
        'hole-in-middle': ([(0, 65536), (2 * MIB, 65536)], 2 * MIB + 65536),
        'many-holes': ([(i * 131072, 4096) for i in range(100)], 100 * 131072),
        'large': ([(9 * MIB, 300_000), (33 * MIB, 70_000)], 40 * MIB),
        'unaligned': ([(70_001, 3), (900_001, 77)], 1_000_001),
    }
    os.makedirs(folder)
    for name, (stretches, size) in files.items():
        with open(f'{folder}/{name}', 'wb') as file:
            file.truncate(size)
            for offset, length in stretches:
                file.seek(offset)
                file.write(rng.randbytes(length))


def _set_xattr(path, name, value):
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as e:
        if e.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENOSPC):
            raise


def _attributes(folder, rng):
    for mode in 0o000, 0o400, 0o444, 0o755, 0o4755, 0o2755, 0o6777, 0o1644, 0o7777:
        path = f'{folder}/mode-{mode:04o}'
        write_file(path, path.encode())
        os.chmod(path, mode if os.geteuid() == 0 else mode | 0o400)
    for mode in 0o700, 0o1777, 0o2775, 0o555:
        os.mkdir(f'{folder}/folder-{mode:04o}')
        os.chmod(f'{folder}/folder-{mode:04o}', mode)
    if os.geteuid() == 0:
        for uid, gid in (12345, 54321), (1, 65534), (4294967294, 7):
            path = f'{folder}/owner-{uid}-{gid}'
            write_file(path, b'owned')
            os.chown(path, uid, gid)
            os.chmod(path, 0o6755)  # chown takes these bits away
        os.symlink('owned', f'{folder}/owned-link')
        os.lchown(f'{folder}/owned-link', 12345, 54321)
    path = f'{folder}/xattrs'
    write_file(path, b'with attributes')
    for name, value in {b'user.empty': b'', b'user.binary': bytes(range(256)),
                        b'user.odd \n"\xff': b'x', b'user.long': rng.randbytes(1500),
                        b'trusted.root': b'only root sees it'}.items():
        _set_xattr(path, name, value)
    _set_xattr(folder, 'user.folder', b'y')
    os.symlink('xattrs', f'{folder}/link-with-xattr')
    _set_xattr(f'{folder}/link-with-xattr', 'trusted.link', b'z')
    if have('setfacl'):
        write_file(f'{folder}/acl', b'access list')
        os.mkdir(f'{folder}/acl-folder')
        for arguments in (['-m', 'u:1234:rw-,g:4321:r-x,m::rwx', f'{folder}/acl'],
                          ['-m', 'u:77:---', f'{folder}/acl-folder'],
                          ['-d', '-m', 'g:555:r-x', f'{folder}/acl-folder']):
            subprocess.run(['setfacl', *arguments], check=False, stderr=subprocess.DEVNULL)


def _names(folder):
    names = [b' ', b'  two spaces ', b'new\nline', b'tab\t', b'"quotes\'', b'-leading-dash', b'--',
             b'back\\slash', b'$HOME `id` ;', b'*', b'?', b'...', b'.hidden', b'\xff\xfe not utf-8',
             b'caf\xc3\xa9', b'\xc3', b'\xed\xa0\x80', b'\x01\x7f', b'\xe2\x80\xae', b'a\rb',
             b'n' * 255, b'\xff' * 255, '😀'.encode(), b'CON', b'%s%n', b'\\u0000']
    folder = os.fsencode(folder)
    os.makedirs(folder)
    for name in names:
        with open(folder + b'/' + name, 'wb') as file:
            file.write(b'name: ' + name)
        os.mkdir(folder + b'/d' + name[:254])
        os.symlink(name, folder + b'/l' + name[:254])
    # Orders that a sort of whole paths gets wrong.
    for name in 'x', 'x-y', 'x.y', 'xy':
        os.mkdir(os.fsdecode(folder) + '/order-' + name)
        write_file(os.fsdecode(folder) + f'/order-{name}/inside', name.encode())


def _times(folder):
    seconds = {'1902': -2145916799, '1969': -1, '1970': 0, '2038': 2147483648, '2100': 4102444800}
    for name, second in seconds.items():
        for nanosecond in 0, 1, 999_999_999:
            write_file(f'{folder}/{name}-{nanosecond}', b'then', second * 10**9 + nanosecond)
        os.mkdir(f'{folder}/folder-{name}')
    for name, second in seconds.items():
        os.utime(f'{folder}/folder-{name}', ns=(0, second * 10**9 + 5))
    os.symlink('nowhere', f'{folder}/link')
    os.utime(f'{folder}/link', ns=(0, -86400 * 10**9 + 7), follow_symlinks=False)


def make_deep(folder, levels=None, path_size=None, above=0):
    """Folders in folders, and a file in the last one: so many @levels of short names, or long
    names that make a path of @path_size bytes, @above of them above @folder."""
    os.makedirs(folder, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    left = path_size - above if path_size else 0
    names = [f'{i}' for i in range(levels)] if levels else []
    while left > 300:
        names.append('d' * 200)
        left -= 201
    for name in names:
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    if left > 256:  # what is left is one folder and one file
        os.mkdir('e' * 100, dir_fd=fd)
        inner = os.open('e' * 100, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
        left -= 101
    name = 'f' * (left - 1) if path_size else 'bottom'
    with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd), 'wb') as file:
        file.write(b'deep down')
    os.close(fd)


def make_tree(path, seed, large=False):
    """Everything that Linux allows in a folder. @large: more of the sizes that take time."""
    rng = random.Random(f'tree {seed}')
    path = str(path)
    _sizes(f'{path}/sizes', rng, large)
    _links(f'{path}/links', rng)
    _special(f'{path}/special')
    _sparse(f'{path}/sparse', rng)
    _attributes(f'{path}/attributes', rng)
    _names(f'{path}/names')
    _times(f'{path}/times')
    os.makedirs(f'{path}/empty/empty')
    above = len(os.path.basename(path)) + len('/deep')
    make_deep(f'{path}/deep', path_size=PATH_MAX_IN_ARCHIVE, above=above)
    return path


def make_small_tree(path, seed, size=60_000):
    """A little of everything in a few milliseconds: about 4 x @size bytes of content."""
    rng = random.Random(f'small {seed}')
    path = str(path)
    write_file(f'{path}/random', rng.randbytes(size))
    write_file(f'{path}/text', text_bytes(rng, 2 * size))
    write_file(f'{path}/folder/small', rng.randbytes(size // 10))
    write_file(f'{path}/folder/empty', b'')
    write_file(f'{path}/folder/old', rng.randbytes(size // 2), 1_000_000_000_123_456_789)
    os.link(f'{path}/folder/small', f'{path}/linked')
    os.symlink('folder/old', f'{path}/link')
    os.mkfifo(f'{path}/folder/fifo')
    os.mkdir(f'{path}/none')
    return path


def _children(fd):
    """Names in an open folder, sorted, as bytes."""
    return sorted(os.fsencode(name) for name in os.listdir(fd))


def _stretches(fd, size):
    """The parts of an open file that are not holes."""
    result = []
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                break
            raise
        position = os.lseek(fd, start, os.SEEK_HOLE)
        result.append((start, position))
    os.lseek(fd, 0, os.SEEK_SET)
    return result


def _xattrs(fd, name):
    # By way of /proc, because there are no xattr calls relative to a folder.
    path = f'/proc/self/fd/{fd}/'.encode() + name
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as e:
        if e.errno == errno.ENOTSUP:
            return {}
        raise
    return {n: os.getxattr(path, n, follow_symlinks=False) for n in sorted(names)}


def _entry(fd, name, st):
    entry = {
        'type': stat.S_IFMT(st.st_mode),
        'mode': stat.S_IMODE(st.st_mode),
        'owner': (st.st_uid, st.st_gid),
        'mtime': st.st_mtime_ns,
        'xattrs': _xattrs(fd, name),
    }
    if stat.S_ISREG(st.st_mode):
        entry['size'] = st.st_size
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
        with os.fdopen(file, 'rb', buffering=0) as stream:
            entry['data'] = _stretches(file, st.st_size)
            entry['content'] = hashlib.file_digest(stream, 'sha256').hexdigest()
    elif stat.S_ISLNK(st.st_mode):
        entry['target'] = os.readlink(name, dir_fd=fd)
    elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        entry['device'] = st.st_rdev
    return entry


def _take_down(pending, entries, links):
    """Take down the next name of the innermost open folder."""
    fd, prefix, names = pending[-1]
    if not names:
        os.close(fd)
        pending.pop()
        return
    name = names.pop()
    relative = prefix + b'/' + name if len(pending) > 1 else b''
    st = os.stat(name, dir_fd=fd, follow_symlinks=False)
    entries[relative] = _entry(fd, name, st)
    if stat.S_ISDIR(st.st_mode):
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        pending.append((inner, relative, names := []))
        names += _children(inner)
    elif st.st_nlink > 1 and stat.S_ISREG(st.st_mode):  # names of others are not kept together
        links.setdefault((st.st_dev, st.st_ino), []).append(relative)


def snapshot(path):
    """{relative path: attributes} of everything at and below @path. No recursion, and names
    are looked up one at a time, so depth and length do not matter."""
    entries = {}
    links = {}  # (device, inode): paths
    path = os.path.abspath(os.fsencode(path))
    top, name = os.path.split(path)
    pending = [(os.open(top, os.O_RDONLY | os.O_DIRECTORY), b'', [name])]
    try:
        while pending:
            _take_down(pending, entries, links)
    finally:
        for fd, _, _ in pending:
            os.close(fd)
    for paths in links.values():
        for relative in paths:
            entries[relative]['links'] = sorted(paths)
    return entries


def _describe(a, b):
    return ', '.join(f'{key}: {_short(a.get(key))} != {_short(b.get(key))}'
                     for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key))


def _short(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + '...'


def differences(a, b, ignore=()):
    """Lines that tell how two snapshots (or folders) differ. @ignore: attributes."""
    a, b = (x if isinstance(x, dict) else snapshot(x) for x in (a, b))
    result = []
    for path in sorted(a.keys() | b.keys()):
        if path not in a or path not in b:
            result.append(f'{_short(path)}: only in the {"second" if path not in a else "first"}')
            continue
        x, y = ({k: v for k, v in s[path].items() if k not in ignore} for s in (a, b))
        if x != y:
            result.append(f'{_short(path)}: {_describe(x, y)}')
    return result


def assert_same(a, b, ignore=()):
    found = differences(a, b, ignore)
    assert not found, f'{len(found)} differences:\n' + '\n'.join(found[:20])
