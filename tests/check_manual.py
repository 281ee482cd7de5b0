#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fail unless each command has a man page that mentions every option it has, the overview
names every command, every setting is in blockframe.toml(5), the build installs every page,
help has no blanks at the ends of its lines, the scripts for completion are well formed, and
bash's completes what the program knows.

    check_manual.py PROGRAM SOURCE-FOLDER
"""
import pathlib
import re
import shutil
import subprocess
import sys

program, source = sys.argv[1], pathlib.Path(sys.argv[2])
problems = []


def words(*command):
    """The words that complete @command, with their help."""
    out = subprocess.run([program, '--completion-words', *command], check=True,
                         capture_output=True, text=True).stdout
    return dict(line.split('\t', 1) for line in out.splitlines())


def options(*command):
    return {word.rstrip('=') for word in words(*command) if word.startswith('--')}


def page_text(name):
    path = source / 'man' / f'{name}.scd'
    if not path.exists():
        problems.append(f'{path.name} is missing')
        return ''
    # What scdoc escapes reads as if it were not.
    return re.sub(r'\\(.)', r'\1', path.read_text())


def mentions(text, option):
    return re.search(rf'\*{re.escape(option)}\*', text)


def check_commands():
    overview = page_text('blockframe.1')
    commands = words()
    common = set.intersection(*(options(*command.split()) for command in commands))
    problems.extend(f'blockframe.1: {option} is not there' for option in sorted(common)
                    if not mentions(overview, option))
    for command in commands:
        page = 'blockframe-' + command.replace(' ', '-') + '.1'
        text = page_text(page)
        if f'*{command}*' not in overview:
            problems.append(f'blockframe.1: {command} is not there')
        for option in sorted(options(*command.split()) - common):
            if not mentions(text, option):
                problems.append(f'{page}: {option} is not there')
        for option in set(re.findall(r'^\*(?:-\w\*, \*)?(--[\w-]+)\*', text, re.M)):
            if option not in options(*command.split()):
                problems.append(f'{page}: {command} has no {option}')


def check_help():
    """What is printed has no blanks at the ends of its lines."""
    for command in words():
        out = subprocess.run([program, *command.split(), '--help'], check=True,
                             capture_output=True, text=True).stdout
        for line in out.splitlines():
            if line != line.rstrip():
                problems.append(f'{command}: {line!r} ends in a blank')


def check_settings():
    text = page_text('blockframe.toml.5')
    section = ''
    for line in (source / 'config.toml').read_text().splitlines():
        if line.startswith('['):
            section = line
            if f'# {section}' not in text:
                problems.append(f'blockframe.toml.5: {section} is not there')
        elif re.match(r'\w+ = ', line):
            key, value = line.split(' = ', 1)
            part = text.split(f'# {section}', 1)[-1].split('\n# ', 1)[0]
            if f'*{key}* = {value}' not in part:
                problems.append(f'blockframe.toml.5: {section} {line} is not there')


def check_installed():
    build = (source / 'man/meson.build').read_text()
    for page in (source / 'man').glob('*.scd'):
        name, section = page.stem.rsplit('.', 1)
        if f"'{name}': '{section}'" not in build:
            problems.append(f'man/meson.build: {page.name} is not installed')


def bash_completions(*line):
    """What bash offers for the last word of the command line @line."""
    script = f'''
        PATH={pathlib.Path(program).resolve().parent}:$PATH
        source {source}/completions/blockframe.bash
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _blockframe 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"'''
    out = subprocess.run(['bash', '-c', script, 'bash', *line], capture_output=True, text=True)
    return set(out.stdout.split('\n')) - {''}


def check_completions():
    scripts = source / 'completions'
    checks = [('bash', ['-n'], 'blockframe.bash'), ('zsh', ['-n'], '_blockframe'),
              ('fish', ['--no-execute'], 'blockframe.fish')]
    for shell, flags, script in checks:
        if shutil.which(shell):
            done = subprocess.run([shell, *flags, scripts / script], capture_output=True, text=True)
            if done.returncode or done.stderr:
                problems.append(f'completions/{script}: {done.stderr}')
    expected = {
        ('blockframe', 'comm'): {'commit'},
        ('blockframe', 'volume', 'l'): {'list'},
        ('blockframe', 'commit', '--exclude'): {'--exclude=', '--exclude-caches'},
        ('blockframe', 'volume', 'list', '--js'): {'--json'},
        ('blockframe', 'commit', '--policy', 'c'): {'compact'},
        ('blockframe', 'commit', '--policy', '=', 't'): {'tiered'},
    }
    for line, want in expected.items():
        got = {word.strip() for word in bash_completions(*line)}
        if got != want:
            problems.append(f'completion of {" ".join(line)!r}: {sorted(got)}, not {sorted(want)}')


check_commands()
check_help()
check_settings()
check_installed()
check_completions()
print(*problems, sep='\n')
sys.exit(bool(problems))
