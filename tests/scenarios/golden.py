# SPDX-License-Identifier: MIT
"""What golden archives say about their files: attributes that every file system and user can
restore, as JSON."""
import hashlib
import os
import stat


def _entry(path):
    st = os.lstat(path)
    entry = {'mode': oct(st.st_mode)}
    if stat.S_ISLNK(st.st_mode):
        entry['target'] = os.fsdecode(os.readlink(path))
    else:
        entry['links'] = 1 if stat.S_ISDIR(st.st_mode) else st.st_nlink
    if stat.S_ISREG(st.st_mode):
        with open(path, 'rb') as file:
            entry['sha256'] = hashlib.sha256(file.read()).hexdigest()
        entry['size'] = st.st_size
        entry['mtime'] = str(st.st_mtime_ns)
    return entry


def describe(tree):
    """{relative path: attributes} of all below @tree."""
    entries = {}
    for folder, folders, files in os.walk(tree):
        for name in folders + files:
            path = os.path.join(folder, name)
            key = os.fsencode(os.path.relpath(path, tree)).decode('latin-1')
            entries[key] = _entry(path)
    return dict(sorted(entries.items()))
