#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fail when a folder under src/ includes a folder it may not use (ARCHITECTURE.md),
or a third-party header outside the one folder that owns it."""
import pathlib
import re
import sys

MAY_USE = {
    'base': set(),
    'merkle': {'base'},
    'chunker': {'base', 'merkle'},
    'volume': {'base', 'merkle', 'chunker'},
    'catalog': {'base', 'merkle', 'chunker', 'volume'},
    'archive': {'base', 'merkle', 'chunker', 'volume', 'catalog'},
    'remote': {'base', 'merkle', 'chunker', 'volume', 'catalog', 'archive'},
    'mount': {'base', 'merkle', 'chunker', 'volume', 'catalog', 'archive'},
    'serve': {'base', 'merkle', 'chunker', 'volume', 'catalog', 'archive'},
    'tier': {'base', 'merkle', 'chunker', 'volume', 'catalog', 'archive'},
    'cli': {'base', 'merkle', 'chunker', 'volume', 'catalog', 'archive', 'remote', 'mount',
            'serve', 'tier'},
}
OWNER = {
    r'sqlite3\.h': 'catalog',
    r'cjson/.*': 'base',
    r'toml\+\+.*': 'base',
    r'zstd.*\.h': 'chunker',
    r'isa-l.*': 'chunker',
    r'blake3.*\.h': 'merkle',
    r'archive(_entry)?\.h': 'archive',
    r'fuse.*\.h': 'mount',
    r'curl/.*': 'remote',
    r'microhttpd\.h': 'serve',
    r'sys/fanotify\.h': 'tier',
}


def violations(source, text):
    folder = source.parts[0]
    for used in re.findall(r'^#include "(\w+)/', text, re.M):
        if used != folder and used not in MAY_USE[folder]:
            yield f'{source}: must not include {used}/'
    for header in re.findall(r'^#include [<"]([^>"]+)[>"]', text, re.M):
        for pattern, owner in OWNER.items():
            if re.fullmatch(pattern, header) and folder != owner:
                yield f'{source}: {header} belongs to {owner}/ alone'


root = pathlib.Path(sys.argv[1])
bad = [v for f in sorted(root.rglob('*')) if f.suffix in ('.c', '.h', '.cc')
       for v in violations(f.relative_to(root), f.read_text())]
print(*bad, sep='\n')
sys.exit(bool(bad))
