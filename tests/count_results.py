#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Add up the results of all runners and print one closing line. Fails if anything failed,
or if nothing ran."""
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def of_junit(path):
    passed = failed = skipped = 0
    for case in ElementTree.parse(path).iter('testcase'):
        if case.find('failure') is not None or case.find('error') is not None:
            failed += 1
            print(f'failed: {path.stem}: {case.get("classname")} {case.get("name")}')
        elif case.find('skipped') is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def of_check(path):
    ok = path.read_text().strip() == 'pass'
    if not ok:
        print(f'failed: {path.stem}')
    return int(ok), int(not ok), 0


folder = pathlib.Path(sys.argv[1])
totals = [0, 0, 0]
for file in sorted(folder.iterdir()):
    for i, n in enumerate(of_junit(file) if file.suffix == '.xml' else of_check(file)):
        totals[i] += n
print(f'{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped')
sys.exit(totals[1] > 0 or totals[0] == 0)
