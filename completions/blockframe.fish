# SPDX-License-Identifier: MIT
# fish completion for blockframe. Commands and options come from the program itself.

# The words of the command that the line has so far: none, one, or two.
function __blockframe_command
    set -l line (commandline -opc)
    set -e line[1]
    if test (count $line) -gt 0
        echo $line[1]
        if contains -- $line[1] volume catalog trust tier; and test (count $line) -gt 1
            echo $line[2]
        end
    end
end

function __blockframe_complete
    set -l command (__blockframe_command)
    switch (count $command)
        case 0
            blockframe --completion-words | string replace -r '^(\S+) [^\t]*\t.*' '$1' | sort -u
        case 1
            if contains -- $command[1] volume catalog trust tier
                blockframe --completion-words | string replace -f "$command[1] " ''
            else
                blockframe --completion-words $command | string replace -r '^([^\t]*)=\t' '$1\t'
            end
        case '*'
            blockframe --completion-words $command | string replace -r '^([^\t]*)=\t' '$1\t'
    end
end

# Files are arguments of these only; elsewhere paths are those of the archive.
function __blockframe_takes_files
    set -l command (__blockframe_command)
    contains -- "$command[1]" tier commit diff init umount
end

function __blockframe_previous_is
    set -l line (commandline -opc)
    contains -- $line[-1] $argv
end

function __blockframe_wants_word
    not __blockframe_previous_is --archive -a --to --mountpoint --config --file --files-from --log --report --metrics --token-file --cert --key --policy --type
end

complete -c blockframe -f
complete -c blockframe -n __blockframe_wants_word -a '(__blockframe_complete)'
complete -c blockframe -n '__blockframe_wants_word; and __blockframe_takes_files' -F
complete -c blockframe -n '__blockframe_previous_is --archive -a --to --mountpoint' -x -a '(__fish_complete_directories)'
complete -c blockframe -n '__blockframe_previous_is --config --file --files-from --log --report --metrics --token-file --cert --key' -F
complete -c blockframe -n '__blockframe_previous_is --policy' -x -a 'tiered compact'
complete -c blockframe -n '__blockframe_previous_is --type' -x -a 'file directory symlink fifo socket char block'
