/* SPDX-License-Identifier: MIT */
/* The program: finds the command, parses its options, combines the configuration, runs it.
 * Each command is one file that exports one `struct command`; --help, man pages' synopses
 * and shell completions come from these tables.
 */
#include "cli/command.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&command_init,         &command_commit,
	&command_ls,           &command_find,
	&command_log,          &command_show,
	&command_cat,          &command_restore,
	&command_diff,         &command_catalog_rebuild,
	&command_catalog_dump, &command_volume_list,
	&command_volume_info,  &command_stats,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

atomic_bool interrupted;

static void on_signal(int number)
{
	/* The next one finds the default action. */
	(void)number;
	atomic_store(&interrupted, true);
}

void interrupt_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = (int)SA_RESETHAND };

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
}

enum exit_code exit_code_of(int r)
{
	switch (-r) {
	case 0:
		return CODE_DONE;
	case EBUSY:
		return CODE_BUSY;
	case EINTR:
		return CODE_INTERRUPTED;
	default:
		return CODE_FAILED;
	}
}

enum exit_code fail(int r, const struct error *err)
{
	log_error("%s", err->text[0] ? err->text : strerrordesc_np(-r));
	return exit_code_of(r);
}

enum exit_code fail_usage(const struct invocation *invocation, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s: %s", invocation->command->name, text);
	(void)fprintf(stderr, "usage: blockframe %s %s\n", invocation->command->name,
		      invocation->command->usage);
	return CODE_USAGE;
}

static void print_overview(FILE *out)
{
	(void)fputs("usage: blockframe COMMAND [OPTIONS] [ARGUMENTS]\n\n"
		    "An archive that verifies every read and repairs what it can.\n\n",
		    out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		(void)fprintf(out, "  %-17s %s\n", commands[i]->name,
			      commands[i]->summary);
	(void)fputs("\n'blockframe COMMAND --help' tells more about one.\n", out);
}

static void print_help(const struct command *command)
{
	(void)printf("usage: blockframe %s %s\n\n%s\n", command->name, command->usage,
		     command->summary);
	if (command->details)
		(void)printf("\n%s\n", command->details);
	(void)printf("\nOptions:\n");
	options_print_help(command->options);
}

/* The command that the first words name; *used_out words belong to the name. */
static const struct command *find_command(char **words, int count, int *used_out)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const char *name = commands[i]->name;
		const char *space = strchr(name, ' ');
		size_t first = space ? (size_t)(space - name) : strlen(name);

		if (strlen(words[0]) != first || memcmp(words[0], name, first) != 0)
			continue;
		if (!space) {
			*used_out = 1;
			return commands[i];
		}
		if (count > 1 && strcmp(words[1], space + 1) == 0) {
			*used_out = 2;
			return commands[i];
		}
	}
	return NULL;
}

/* Machine-readable list of commands and options, for the completion scripts. */
static void print_completion_words(char **words, int count)
{
	int used;
	const struct command *command = count ? find_command(words, count, &used) : NULL;

	if (!command) {
		for (size_t i = 0; i < COMMAND_COUNT; i++)
			(void)printf("%s\n", commands[i]->name);
		return;
	}
	for (const struct option_spec *spec = command->options; spec && spec->name;
	     spec++)
		(void)printf("--%s\n", spec->name);
	(void)fputs("--archive\n--config\n--json\n--quiet\n--verbose\n--help\n", stdout);
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
	size_t count = options_argument_count(options);
	struct error err = { 0 };
	enum exit_code code;
	int r;

	if (count < command->arguments_min)
		return fail_usage(&invocation, "too few arguments");
	if (count > command->arguments_max)
		return fail_usage(&invocation, "unexpected argument '%s'",
				  options_argument(options, command->arguments_max));

	r = config_resolve(&invocation.config, option_value(options, "config"),
			   invocation.archive_flag, &err);
	if (r < 0) {
		config_done(&invocation.config);
		return fail(r, &err);
	}
	log_set_level((enum log_level)invocation.config.logging.level);
	if (invocation.quiet)
		log_set_level(LOG_LEVEL_ERROR);
	if (option_count(options, "verbose") > 1)
		log_set_level(LOG_LEVEL_DEBUG);

	code = command->run(&invocation);
	config_done(&invocation.config);
	return code;
}

/* Output that could not be written must not look like success. */
static enum exit_code finish_output(enum exit_code code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (errno != EPIPE)
		log_error("standard output: %s", strerrordesc_np(errno));
	return code == CODE_DONE ? CODE_FAILED : code;
}

int main(int argc, char **argv)
{
	autoptr(options) options = NULL;
	const struct command *command;
	struct error err = { 0 };
	int used = 0;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		print_overview(stderr);
		return CODE_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_overview(stdout);
		return finish_output(CODE_DONE);
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("blockframe %s\n", BLOCKFRAME_VERSION);
		return finish_output(CODE_DONE);
	}
	if (strcmp(argv[1], "--completion-words") == 0) {
		print_completion_words(argv + 2, argc - 2);
		return finish_output(CODE_DONE);
	}

	command = find_command(argv + 1, argc - 1, &used);
	if (!command) {
		log_error("unknown command '%s'; 'blockframe --help' lists them",
			  argv[1]);
		return CODE_USAGE;
	}
	if (options_parse(command->options, argv + 1 + used, argc - 1 - used, &options,
			  &err) < 0) {
		log_error("%s: %s", command->name, err.text);
		return CODE_USAGE;
	}
	if (option_flag(options, "help")) {
		print_help(command);
		return finish_output(CODE_DONE);
	}
	return finish_output(run_command(command, options));
}
