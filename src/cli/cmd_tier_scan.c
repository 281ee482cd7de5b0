/* SPDX-License-Identifier: MIT */
/* tier scan: one pass of the policy over each tier. The daemon's own passes are this command,
 * too (--background).
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/tier_config.h"
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/size.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "catalog/candidate_table.h"
#include "tier/control.h"
#include "tier/pass.h"
#include "tier/pass_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICE 10 /* for what nobody waits for */
#define IO_PRIORITY_IDLE (3 << 13)
#define IO_PRIORITY_PROCESS 1

struct scan_command {
	struct invocation *invocation;
	struct tier_state state;
	bool dry_run;
	bool background;
	int daemon; /* socket; -1: none */
	bool problems;
};

/* ---- telling ---- */

static void print_chosen(void *context, const char *path,
			 const struct candidate *candidate, bool known)
{
	const struct scan_command *command = context;
	char size[SIZE_TEXT_MAX];
	autoptr(json) json = NULL;
	autofree char *line = NULL;

	if (!command->invocation->json) {
		(void)printf("%-10s %-10s ", size_format(candidate->space, size),
			     known ? "archived" : "new");
		print_name(path, strlen(path));
		(void)putchar('\n');
		return;
	}
	json = json_object_new();
	if (!json)
		return;
	(void)json_add_bytes(json, "path", path, strlen(path));
	(void)json_add_u64(json, "size", candidate->size);
	(void)json_add_u64(json, "space", candidate->space);
	(void)json_add_bool(json, "archived", known);
	if (json_print(json, &line) == 0)
		(void)puts(line);
}

static void append_skipped(struct text *text, const struct scan_counts *counts)
{
	const char *separator = "; stay: ";

	for (enum policy_skip i = POLICY_TAKE + 1; i < POLICY_SKIPS; i++) {
		if (counts->skipped[i].count == 0)
			continue;
		(void)text_appendf(text, "%s%" PRIu64 " %s", separator,
				   counts->skipped[i].count, policy_skip_name(i));
		separator = ", ";
	}
}

static void summarise(const struct tier_entry *tier, const struct pass_result *result,
		      struct text *text)
{
	const struct tally *done = result->dry_run ? &result->chosen : &result->stubs;
	char space[SIZE_TEXT_MAX];

	(void)text_append_quoted(text, tier->folder, strlen(tier->folder));
	(void)text_appendf(text, ": %" PRIu64 " files %s stubs, which %s %s", done->count,
			   result->dry_run ? "would become" : "became",
			   result->dry_run ? "would free" : "frees",
			   size_format(done->space, space));
	append_skipped(text, &result->counts);
}

static int print_result(const struct scan_command *command, const struct tier_entry *tier,
			const struct pass_result *result, struct error *err)
{
	autoptr(json) json = NULL;
	autofree char *line = NULL;
	autotext struct text text = { 0 };

	if (!command->invocation->json) {
		summarise(tier, result, &text);
		if (command->background)
			log_info("%s", text_string(&text));
		else if (!command->invocation->quiet)
			(void)puts(text_string(&text));
		return 0;
	}
	json = json_object_new();
	if (!json || json_add_bytes(json, "folder", tier->folder, strlen(tier->folder)) ||
	    pass_report_add(json, result) < 0 || json_print(json, &line) < 0)
		return error_set(err, -ENOMEM, "no memory to print");
	(void)puts(line);
	return 0;
}

/* ---- passes ---- */

static void warn(const struct tier_entry *tier, const struct pass_result *result)
{
	if (result->noatime && tier->policy.access_age > 0)
		log_warn("'%s' is mounted with noatime: nobody can tell which files are "
			 "read, and access_age counts from recalls only",
			 tier->folder);
}

static int scan_tier(struct scan_command *command, const struct tier_entry *tier,
		     struct error *err)
{
	const struct pass_options options = {
		.state = command->state.path,
		.state_fd = command->state.fd,
		.tier = tier,
		.dry_run = command->dry_run,
		.daemon = command->daemon,
		.cancel = &interrupted,
		.chosen = command->dry_run && !command->invocation->quiet ? print_chosen
									  : NULL,
		.context = command,
	};
	struct pass_result result;
	int r, saved;

	r = pass_run(&options, &result, err);
	if (r == -EBUSY)
		return r; /* the report is another one's */
	warn(tier, &result);
	command->problems |= result.counts.skipped[POLICY_FAILED].count > 0;
	saved = pass_report_save(command->state.fd, tier->folder, &result,
				 r < 0 ? NULL : err);
	if (r < 0)
		return r;
	return saved < 0 ? saved : print_result(command, tier, &result, err);
}

/* Whether the tier is among those that were named, if any were. */
static int is_asked_for(const struct options *options, const struct tier_entry *tier,
			size_t *found, struct error *err)
{
	size_t count = options_argument_count(options);

	for (size_t i = 0; i < count; i++) {
		autofree char *folder = NULL;
		int r = tier_resolve(options_argument(options, i), &folder, err);

		if (r < 0)
			return r;
		if (strcmp(folder, tier->folder) == 0) {
			(*found)++;
			return 1;
		}
	}
	return count == 0;
}

static int scan_tiers(struct scan_command *command, struct error *err)
{
	const struct options *options = command->invocation->options;
	size_t found = 0;
	int r = 0;

	for (size_t i = 0; i < command->state.list.count && r == 0; i++) {
		const struct tier_entry *tier = &command->state.list.items[i];

		r = is_asked_for(options, tier, &found, err);
		if (r > 0)
			r = tier->retired ? 0 : scan_tier(command, tier, err);
	}
	if (r == 0 && found < options_argument_count(options))
		r = error_set(err, -ENOENT, "one of these folders is no tier in use");
	return r;
}

static int scan(struct scan_command *command, struct error *err)
{
	struct invocation *invocation = command->invocation;
	int r;

	r = tier_state_open(invocation, false, &command->state, err);
	if (r == 0)
		r = tier_config_apply(&command->state, &invocation->config, false, err);
	/* Nothing may become a stub without a guard. */
	if (r == 0 && !command->dry_run)
		r = control_connect(command->state.fd, &command->daemon, err);
	return r < 0 ? r : scan_tiers(command, err);
}

static enum exit_code run(struct invocation *invocation)
{
	struct scan_command command = {
		.invocation = invocation,
		.dry_run = option_flag(invocation->options, "dry-run"),
		.background = option_flag(invocation->options, "background"),
		.daemon = -1,
	};
	struct error err = { 0 };
	int r;

	interrupt_catch();
	if (command.background) {
		(void)setpriority(PRIO_PROCESS, 0, NICE);
		(void)syscall(SYS_ioprio_set, IO_PRIORITY_PROCESS, 0, IO_PRIORITY_IDLE);
	}
	r = scan(&command, &err);
	cleanup_close_p(&command.daemon);
	tier_state_done(&command.state);
	if (r < 0)
		return fail(r, &err);
	return command.problems ? CODE_PARTIAL : CODE_DONE;
}

const struct command command_tier_scan = {
	.name = "tier scan",
	.summary = "make stubs of what the policy says, now",
	.usage = "[--dry-run] [DIR...]",
	.details =
		"One pass over each tier, or those that are named: what is old and large "
		"enough is committed, read\nback and made stubs. The daemon ('tier run') "
		"has to be there, unless it is a dry run. Exits with 3\nif something "
		"went "
		"wrong with single files.",
	.options =
		(const struct option_spec[]){
			{ 'n', "dry-run", NULL,
			  "only say what would become a stub, and what would not" },
			{ 0, "background", NULL,
			  "give way to others; report to the log" },
			{ 0 },
		},
	.arguments_max = SIZE_MAX,
	.run = run,
};
