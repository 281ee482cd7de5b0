#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make a C file of the page's files, so that the program has them in it.

    embed.py OUTPUT FILE..."""
import pathlib
import sys

TYPES = {'.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8',
         '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml'}


def lines(data, width=24):
    for at in range(0, len(data), width):
        yield '\t' + ''.join(f'{byte},' for byte in data[at:at + width])


output, *files = map(pathlib.Path, sys.argv[1:])
text = ['#include "serve/web_file.h"', '']
rows = []
for number, file in enumerate(files):
    text += [f'static const uint8_t data_{number}[] = {{', *lines(file.read_bytes()), '};']
    rows.append(f'\t{{ "{file.name}", "{TYPES[file.suffix]}", data_{number}, '
                f'sizeof(data_{number}) }},')
text += ['const struct web_file web_files[] = {', *rows, '};',
         f'const size_t web_file_count = {len(files)};', '']
output.write_text('\n'.join(text))
