# SPDX-License-Identifier: MIT
"""Leaves nothing of a hot tier behind, also if the tests are killed in the middle of one: a
guard ends with no signal but SIGKILL, and keeps its file system mounted.

    python3 -IS tier_cleaner.py STATE FOLDER IMAGES

waits for the end of its input, which is that of the process that started it, and then ends the
processes whose state folder is STATE, takes away what is mounted below FOLDER, and deletes the
folder IMAGES.
"""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

PATIENCE = 250  # seconds, before mounts are taken away that somebody uses


def read_words(folder, name):
    return (folder / name).read_bytes().split(b'\0')


def is_holder(folder, mark, wanted):
    """None: that is not to be seen, because the process is being replaced by its next program,
    whose words are not there yet."""
    command = read_words(folder, 'cmdline')
    if command == [b'']:
        # Those that end, and the kernel's own, have no program.
        return None if (folder / 'exe').readlink().name.startswith('blockframe') else False
    if command[1:2] != [b'tier'] or command[2] not in wanted:
        return False
    environment = read_words(folder, 'environ')
    return None if environment == [b''] else mark in environment


def holders(state, *words):
    """Numbers of the processes of this tier: 'run', 'guard', 'scan' or all."""
    wanted = [word.encode() for word in words or ('run', 'guard', 'scan')]
    mark = f'BLOCKFRAME_TIER_STATE={state}'.encode()
    found = []
    for folder in pathlib.Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            while (holds := is_holder(folder, mark, wanted)) is None:
                time.sleep(0.001)
            if holds:
                found.append(int(folder.name))
    return sorted(found)


def have_ended(state):
    """Nobody is left. One look may miss who is just being started by one that ends: that one
    is gone when it is looked at, and the other was not there when the list was made."""
    return not holders(state) and not holders(state)


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def mounts_below(folder):
    with open('/proc/self/mountinfo', encoding='utf-8', errors='surrogateescape') as mounts:
        places = [line.split()[4] for line in mounts]
    return [place for place in reversed(places) if place.startswith(f'{folder}/')]


def covers_below(folder):
    """Those of the folder, too, from the topmost on."""
    with open('/proc/self/mountinfo', encoding='utf-8', errors='surrogateescape') as mounts:
        places = [line.split()[4] for line in mounts if ' - fuse.blockframe-cover ' in line]
    return [place for place in reversed(places) if f'{place}/'.startswith(f'{folder}/')]


def quietly(*command):
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()


def detach_loops(folder):
    for line in quietly('losetup', '-nO', 'NAME,BACK-FILE').splitlines():
        name, _, file = line.partition(' ')
        if file.strip().startswith(f'{folder}/'):
            quietly('losetup', '-d', name)


def clean(state, folder, images):
    """Whether everything could be ended as it should."""
    end = time.monotonic() + PATIENCE
    well = True
    while not have_ended(state) or mounts_below(folder):
        kill(holders(state))
        well = time.monotonic() < end
        detach_loops(folder)
        for place in mounts_below(folder):
            quietly('fsfreeze', '-u', place)
            quietly('umount', *([] if well else ['-l']), place)
        time.sleep(0.01)
    quietly('rm', '-rf', '--', images)
    return well


if __name__ == '__main__':
    sys.stdin.read()
    sys.exit(not clean(*sys.argv[1:]))
