# SPDX-License-Identifier: MIT
# bash completion for blockframe. Commands and options come from the program itself.

_blockframe_files() {
	local word
	compopt -o filenames 2>/dev/null
	while IFS= read -r word; do
		COMPREPLY+=("$word")
	done < <(compgen "$1" -- "$2")
}

# Offer the values of option $1 that begin with $2. Fails if any text may stand there.
_blockframe_value() {
	case $1 in
	--archive | -a | --to | --mountpoint | -m | --cache-dir)
		_blockframe_files -d "$2"
		;;
	--config | --file | --files-from | --log | --report | --metrics | --token-file | --cert | --key | --cacert)
		_blockframe_files -f "$2"
		;;
	--policy)
		mapfile -t COMPREPLY < <(compgen -W "tiered compact" -- "$2")
		;;
	--type)
		mapfile -t COMPREPLY < <(compgen -W \
			"file directory symlink fifo socket char block" -- "$2")
		;;
	esac
}

# The option that the word at the cursor is the value of, if any: "--name value", and
# "--name=value", which bash cuts into three words.
_blockframe_option() {
	local previous=${COMP_WORDS[COMP_CWORD - 1]}
	if [[ $previous == "=" && $COMP_CWORD -gt 1 ]]; then
		printf '%s' "${COMP_WORDS[COMP_CWORD - 2]}"
	elif [[ ${COMP_WORDS[COMP_CWORD]} == "=" ]]; then
		printf '%s' "$previous"
	elif [[ $previous == --* ]] && [[ $words == *"$previous="* ]]; then
		printf '%s' "$previous"
	elif [[ $previous == -a || $previous == -m ]]; then
		printf '%s' "$previous"
	fi
}

_blockframe() {
	local current=${COMP_WORDS[COMP_CWORD]} words option word
	local command=("${COMP_WORDS[1]}")
	COMPREPLY=()

	if [[ $COMP_CWORD -gt 1 && ($command == volume || $command == catalog || $command == trust || $command == tier) ]]; then
		command+=("${COMP_WORDS[2]}")
	fi
	if [[ $COMP_CWORD -le ${#command[@]} ]]; then
		# The first word, or the second one of those names that have two.
		local prefix="${COMP_WORDS[1]} "
		[[ $COMP_CWORD -eq 1 ]] && prefix=
		mapfile -t COMPREPLY < <(blockframe --completion-words 2>/dev/null | cut -f 1 |
			sed -n "s/^$prefix//p" | cut -d ' ' -f 1 | sort -u | grep "^$current")
		return
	fi

	words=$(blockframe --completion-words "${command[@]}" 2>/dev/null | cut -f 1)
	option=$(_blockframe_option)
	if [[ -n $option ]]; then
		_blockframe_value "$option" "${current#=}"
	elif [[ $current == -* ]]; then
		compopt -o nospace 2>/dev/null
		while IFS= read -r word; do
			[[ $word == *= ]] || word+=" "
			COMPREPLY+=("$word")
		done < <(compgen -W "$words" -- "$current")
	elif [[ ${command[0]} == tier || ${command[0]} == commit || ${command[0]} == diff || ${command[0]} == init || ${command[0]} == umount ]]; then
		_blockframe_files -f "$current"
	fi
}

complete -F _blockframe blockframe
