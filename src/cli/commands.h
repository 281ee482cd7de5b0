/* SPDX-License-Identifier: MIT */
#pragma once
/* The table of all commands: finding one by name, and what is printed from the table. Main
 * thread.
 */
#include "cli/command.h"

#include <stdio.h>

/* The command that the first of @count words name; *used_out of them are its name. NULL:
 * there is none. */
const struct command *commands_find(char **words, int count, int *used_out);

/* Print one line on stderr: that there is no such command, and what may have been meant. */
void commands_complain(char **words, int count);

/* One line for each command. */
void commands_print_overview(FILE *out);
/* What `blockframe COMMAND --help` prints. */
void command_print_help(const struct command *command);

/* For the completion scripts and tests/check_manual.py: the commands, or, when @words name
 * one, its options; each as "word<TAB>what it is". */
void commands_print_words(char **words, int count);
