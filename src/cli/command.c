/* SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

void command_print_usage(const struct command *command, FILE *out)
{
	(void)fprintf(out, "usage: blockframe %s%s%s\n", command->name,
		      command->usage[0] ? " " : "", command->usage);
}

enum exit_code fail_usage(const struct invocation *invocation, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s: %s", invocation->command->name, text);
	command_print_usage(invocation->command, stderr);
	return CODE_USAGE;
}
