# SPDX-License-Identifier: MIT
"""Replays what tests/support/interpose.c has recorded, up to a power cut.

The model is the contract of POSIX, not the kindness of one file system:

* A change of a file's content or size is durable when a sync of that file that began after
  the change has returned.
* A name (a file or folder made, renamed or removed) is durable when a sync of its folder that
  began after it has returned.
* Of all that is not durable, anything may have reached the disk: nothing, everything, or any
  part, in any order. Writes are torn at 512 bytes. What was written later never gives way to
  what was written earlier in the same place, as in the kernel's cache.
"""
import os
import struct
import subprocess

WRITE, SYNC, CREATE, TRUNCATE, RENAME, UNLINK, MKDIR, EXIT = range(1, 9)
HEADER = struct.Struct('<IIQQ')
TORN = 512  # bytes that a disk writes at once


class Operation:
    def __init__(self, kind, path, offset, data):
        self.kind = kind
        self.path = path
        self.offset = offset
        self.data = data
        self.node = None  # the Node that the path meant then


class Node:
    """A file or folder, whatever its name."""

    def __init__(self, before=None):
        self.before = before  # a copy of what it held before the record; None: nothing


class Content:
    """What a file holds after a power cut."""

    def __init__(self, node):
        self.before = node.before
        self.changes = []  # (offset, bytes); (size, None) for a truncation

    def write_to(self, path):
        if self.before:
            subprocess.run(['cp', '--sparse=always', self.before, path], check=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        for offset, data in self.changes:
            if data is None:
                os.truncate(fd, offset)
            else:
                os.pwrite(fd, data, offset)
        os.close(fd)


class Record:
    """All operations, each with the file that it was about. @copy: what the folder @root held
    before, all of it durable."""

    def __init__(self, path, root, copy=None):
        self.root = root
        self.before = {}
        for folder, folders, files in os.walk(copy) if copy else ():
            inside = root + folder[len(copy):]
            self.before.update((f'{inside}/{name}', Node()) for name in folders)
            self.before.update((f'{inside}/{name}', Node(f'{folder}/{name}')) for name in files)
        self._names = dict(self.before)
        self.operations = []
        with open(path, 'rb') as file:
            raw = file.read()
        position = 0
        while position < len(raw):
            kind, path_size, offset, size = HEADER.unpack_from(raw, position)
            position += HEADER.size
            name = os.fsdecode(raw[position:position + path_size])
            position += path_size
            operation = Operation(kind, name, offset, raw[position:position + size])
            position += size
            self._resolve(operation)
            self.operations.append(operation)

    def _resolve(self, operation):
        names = self._names
        if operation.kind in (CREATE, MKDIR):
            names[operation.path] = operation.node = Node()
        elif operation.kind == RENAME:
            operation.data = os.fsdecode(operation.data)
            operation.node = names.pop(operation.path, None)
            names[operation.data] = operation.node
        elif operation.kind == UNLINK:
            operation.node = names.pop(operation.path, None)
        elif operation.kind in (WRITE, TRUNCATE, SYNC):
            operation.node = names.get(operation.path)  # None: a file that has no name any more

    def __len__(self):
        return len(self.operations)

    def near_syncs(self):
        """The moments before and after each sync."""
        syncs = [n for n, operation in enumerate(self.operations) if operation.kind == SYNC]
        return sorted({n + after for n in syncs for after in (0, 1)})


def is_name(operation):
    return operation.kind in (CREATE, RENAME, UNLINK, MKDIR)


def folders_of(operation):
    yield os.path.dirname(operation.path)
    if operation.kind == RENAME:
        yield os.path.dirname(operation.data)


class Cut:
    """The power goes after the first @count operations."""

    def __init__(self, record, count):
        self.record = record
        self.operations = record.operations[:count]
        synced_files = {}
        synced_folders = {}
        for operation in self.operations:
            if operation.kind == SYNC:
                if operation.node is not None:
                    synced_files[operation.node] = operation.offset
                synced_folders[operation.path] = operation.offset
        self.durable = [self._is_durable(index, operation, synced_files, synced_folders)
                        for index, operation in enumerate(self.operations)]

    @staticmethod
    def _is_durable(index, operation, synced_files, synced_folders):
        if is_name(operation):
            return all(index < synced_folders.get(folder, 0) for folder in folders_of(operation))
        return index < synced_files.get(operation.node, 0)

    @property
    def exits(self):
        """Exit codes of the programs that had ended."""
        return [operation.offset for operation in self.operations if operation.kind == EXIT]

    def nothing(self, _):
        """What is not durable is lost."""
        return lambda operation: None

    def everything(self, _):
        """All of it reached the disk."""
        return lambda operation: operation.data

    def names_only(self, _):
        """The file system wrote its own things, and no content."""
        return lambda operation: operation.data if is_name(operation) else None

    def content_only(self, _):
        """Content reached the disk, but no name and no size by itself."""
        return lambda operation: None if is_name(operation) else operation.data

    def some(self, rng):
        """A part: some operations not at all, some writes torn."""
        likely = rng.random()

        def choose(operation):
            if operation.kind != WRITE:
                return operation.data if rng.random() < likely else None
            way = rng.random()
            if way < 0.4:
                return operation.data if rng.random() < likely else None
            return self._tear(operation, rng, likely)

        return choose

    @staticmethod
    def _tear(operation, rng, likely):
        """The sectors of a write that made it: [(offset, bytes)]."""
        end = operation.offset + len(operation.data)
        edges = [operation.offset, *range(operation.offset // TORN * TORN + TORN, end, TORN), end]
        return [(start, operation.data[start - operation.offset:stop - operation.offset])
                for start, stop in zip(edges, edges[1:]) if rng.random() < likely]

    def build(self, choose, root):
        """Make in the folder @root what is on the disk afterwards. @choose: for what is not
        durable, what of it is there: its data, pieces of it, or None."""
        contents = {}
        content_of = lambda node: contents.setdefault(node, Content(node))
        names = dict(self.record.before)
        for operation, durable in zip(self.operations, self.durable):
            data = operation.data if durable else choose(operation)
            if data is None:
                continue
            if is_name(operation):
                self._apply_name(operation, names)
            elif operation.node is not None and operation.kind in (WRITE, TRUNCATE):
                if operation.kind == TRUNCATE:
                    data = [(operation.offset, None)]
                content_of(operation.node).changes += \
                    data if isinstance(data, list) else [(operation.offset, data)]
        os.makedirs(root)
        folders = {operation.node for operation in self.operations if operation.kind == MKDIR}
        for path in sorted(names):
            target = root + path[len(self.record.root):]
            if not os.path.isdir(os.path.dirname(target)):
                continue  # lost with its folder
            if names[path] in folders or self._was_folder(names[path]):
                os.mkdir(target)
            else:
                content_of(names[path]).write_to(target)

    def _was_folder(self, node):
        return node.before is None and node in self.record.before.values()

    @staticmethod
    def _apply_name(operation, names):
        if operation.kind in (CREATE, MKDIR):
            names[operation.path] = operation.node
        else:  # a rename that is there has moved the file, whether its old name ever was
            names.pop(operation.path, None)
            if operation.kind == RENAME:
                names[operation.data] = operation.node
