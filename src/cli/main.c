/* SPDX-License-Identifier: MIT */
/* The program: finds the command, parses its options, combines the configuration, runs it.
 * Each command is one file that exports one `struct command`; --help and the words of the
 * shell completions come from these, and tests/check_manual.py compares the man pages with
 * them.
 */
#include "cli/commands.h"
#include "cli/mount_helper.h"
#include "cli/session.h"

#include "base/config_find.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Wrong usage that every command can have. CODE_DONE: none. */
static enum exit_code check_usage(const struct invocation *invocation)
{
	const struct command *command = invocation->command;
	size_t count = options_argument_count(invocation->options);

	if (count < command->arguments_min)
		return fail_usage(invocation, "too few arguments");
	if (count > command->arguments_max)
		return fail_usage(
			invocation, "unexpected argument '%s'",
			options_argument(invocation->options, command->arguments_max));
	if (invocation->json && command->without_json)
		return fail_usage(invocation, "--json: it prints no data about content, "
					      "but content");
	if (invocation->quiet && invocation->verbose)
		return fail_usage(invocation,
				  "--quiet and --verbose can't be used together");
	return CODE_DONE;
}

static void set_log_level(const struct invocation *invocation)
{
	size_t verbose = option_count(invocation->options, "verbose");
	enum log_level level = (enum log_level)invocation->config.logging.level;

	if (invocation->quiet)
		level = LOG_LEVEL_ERROR;
	else if (verbose > 0 && level < LOG_LEVEL_INFO)
		level = LOG_LEVEL_INFO;
	log_set_level(verbose > 1 ? LOG_LEVEL_DEBUG : level);
}

static enum exit_code run_command(const struct command *command, struct options *options)
{
	struct invocation invocation = {
		.command = command,
		.options = options,
		.archive_flag = option_value(options, "archive"),
		.json = option_flag(options, "json"),
		.quiet = option_flag(options, "quiet"),
		.verbose = option_flag(options, "verbose"),
	};
	enum exit_code code = check_usage(&invocation);
	struct error err = { 0 };
	int r;

	if (code != CODE_DONE)
		return code;
	r = config_resolve(&invocation.config, option_value(options, "config"),
			   invocation.archive_flag, &err);
	if (r < 0) {
		config_done(&invocation.config);
		(void)fail(r, &err);
		return command->trouble ? command->trouble : CODE_FAILED;
	}
	set_log_level(&invocation);
	code = command->run(&invocation);
	session_end();
	config_done(&invocation.config);
	return code;
}

/* Output that could not be written must not look like success. */
static enum exit_code finish_output(enum exit_code code, enum exit_code trouble)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (errno != EPIPE)
		log_error("standard output: %s", strerrordesc_np(errno));
	return code == CODE_DONE ? trouble : code;
}

/* "blockframe help [COMMAND]" and "blockframe --help". */
static enum exit_code help(char **words, int count)
{
	const struct command *command;
	int used;

	if (count == 0) {
		commands_print_overview(stdout);
		return CODE_DONE;
	}
	command = commands_find(words, count, &used);
	if (!command || used != count) {
		commands_complain(words, count);
		return CODE_USAGE;
	}
	command_print_help(command);
	return CODE_DONE;
}

static bool is_word(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

/* What is no command. Returns false if @words start with none of that. */
static bool run_special(char **words, int count, enum exit_code *code_out)
{
	*code_out = CODE_DONE;
	if (is_word(words[0], "--help", "-h") || strcmp(words[0], "help") == 0)
		*code_out = help(words + 1, count - 1);
	else if (is_word(words[0], "--version", "version"))
		(void)printf("blockframe %s\n", BLOCKFRAME_VERSION);
	else if (strcmp(words[0], "--completion-words") == 0)
		commands_print_words(words + 1, count - 1);
	else
		return false;
	return true;
}

/* A command with its options and arguments. */
static enum exit_code run_words(char **words, int count)
{
	autoptr(options) options = NULL;
	const struct command *command;
	struct error err = { 0 };
	int used = 0;
	int r;

	command = commands_find(words, count, &used);
	if (!command) {
		commands_complain(words, count);
		return CODE_USAGE;
	}
	r = options_parse(command->options, words + used, count - used, &options, &err);
	if (r < 0) {
		log_error("%s: %s", command->name, err.text);
		return r == -EINVAL ? CODE_USAGE : CODE_FAILED;
	}
	if (option_flag(options, "help")) {
		command_print_help(command);
		return finish_output(CODE_DONE, CODE_FAILED);
	}
	return finish_output(run_command(command, options),
			     command->trouble ? command->trouble : CODE_FAILED);
}

static enum exit_code help_mount(char **words, int count)
{
	char *command[MOUNT_HELPER_WORDS_MAX];
	int n = mount_helper_words(words, count, command);

	if (n >= 0)
		return n ? run_words(command, n) : CODE_DONE;
	(void)fputs("usage: mount.blockframe ARCHIVE DIR [-sfnv] [-o OPTION,...]\n",
		    stderr);
	return CODE_USAGE;
}

int main(int argc, char **argv)
{
	enum exit_code code;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc > 0 && mount_helper_is(argv[0]))
		return help_mount(argv + 1, argc - 1);
	if (argc < 2) {
		commands_print_overview(stderr);
		return CODE_USAGE;
	}
	if (run_special(argv + 1, argc - 1, &code))
		return finish_output(code, CODE_FAILED);
	return run_words(argv + 1, argc - 1);
}
