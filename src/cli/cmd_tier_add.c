/* SPDX-License-Identifier: MIT */
/* tier add, remove and list: which folders are hot tiers. What a recall needs must not be
 * something that has to be recalled: the archive, the tables, the program itself.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/tier_config.h"
#include "cli/tier_enter.h"
#include "cli/tier_options.h"
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "catalog/stub_table.h"
#include "tier/cover.h"
#include "tier/policy_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- add ---- */

/* It is one already: only its policy may change. */
static int change(struct tier_state *state, struct tier_entry *known,
		  const struct invocation *invocation, const struct tier_entry *entry,
		  struct error *err)
{
	int r;

	if (known->configured)
		return error_set(err, -EEXIST,
				 "'%s' is a tier of the configuration: change it there",
				 known->folder);
	if (strcmp(known->archive, entry->archive) != 0 ||
	    (option_given(invocation->options, "into") &&
	     strcmp(known->into, entry->into) != 0))
		return error_set(err, -EEXIST,
				 "'%s' is a tier of another archive or path",
				 known->folder);
	r = tier_options_policy(invocation->options, &known->policy, err);
	return r < 0 ? r : tier_list_save(state->fd, &state->list, err);
}

static int add_or_change(const struct invocation *invocation, struct tier_state *state,
			 struct tier_entry *entry, struct error *err)
{
	struct tier_entry *known = tier_list_find_folder(&state->list, entry->folder);
	int r;

	if (known)
		return change(state, known, invocation, entry, err);
	r = config_tier_init(&entry->policy);
	if (r < 0)
		return error_set(err, r, "no memory for a policy");
	r = tier_options_policy(invocation->options, &entry->policy, err);
	return r < 0 ? r : tier_enter(state, entry, err);
}

static int add(const struct invocation *invocation, const char *archive,
	       struct error *err)
{
	struct tier_entry entry = { 0 };
	struct tier_state state = { 0 };
	autofree char *folder = NULL;
	int r;

	r = tier_resolve(options_argument(invocation->options, 0), &folder, err);
	if (r == 0)
		r = tier_entry_resolve(&entry, folder, archive,
				       option_value(invocation->options, "into"), err);
	if (r == 0)
		r = tier_state_open_to_change(invocation, true, &state, err);
	if (r == 0)
		r = add_or_change(invocation, &state, &entry, err);
	tier_entry_done(&entry);
	tier_state_done(&state);
	return r;
}

static enum exit_code run_add(struct invocation *invocation)
{
	struct error err = { 0 };
	const char *archive;
	enum exit_code code = session_directory(invocation, &archive);
	int r;

	if (code != CODE_DONE)
		return code;
	if (tier_options_check(invocation->options, &err) < 0)
		return fail_usage(invocation, "%s", err.text);
	r = add(invocation, archive, &err);
	if (r < 0)
		return fail(r, &err);
	if (!invocation->quiet)
		log_info("'tier run', when it is started again, guards it");
	return CODE_DONE;
}

const struct command command_tier_add = {
	.name = "tier add",
	.summary = "make a folder a hot tier of the archive",
	.usage = "[-a ARCHIVE] [--into PATH] [POLICY...] DIR",
	.details =
		"DIR is on ext4 or xfs. Its files can become stubs, whose content is in "
		"the archive only and comes\nback when somebody opens them. Options that "
		"are given for a folder that is a tier change its policy.",
	.options =
		(const struct option_spec[]){
			{ 0, "into", "PATH",
			  "where its files are in the archive; default: its name" },
			TIER_POLICY_OPTIONS,
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = 1,
	.without_json = true,
	.run = run_add,
};

/* ---- remove ---- */

/* Stubs are found wherever they are, so the table of the whole file system has to be empty. */
static int check_empty(void *context, struct stub_table *table,
		       const struct tier_entry *tier, struct error *err)
{
	const struct tier_entry *entry = context;
	uint64_t count, size;
	int r;

	if (memcmp(&tier->uuid, &entry->uuid, sizeof(tier->uuid)) != 0)
		return 0;
	r = stub_table_totals(table, &count, &size, err);
	if (r == 0 && count > 0)
		r = error_set(err, -EBUSY,
			      "there are stubs on its file system: recall them first");
	return r;
}

static int remove_tier(const struct invocation *invocation, struct tier_state *state,
		       struct error *err)
{
	const char *path = options_argument(invocation->options, 0);
	autofree char *folder = NULL;
	struct tier_entry *entry;
	int r;

	r = tier_resolve(path, &folder, err);
	if (r < 0)
		return r;
	entry = tier_list_find_folder(&state->list, folder);
	if (!entry)
		return error_set(err, -ENOENT, "'%s' is no tier", path);
	if (entry->configured && !entry->retired)
		return error_set(err, -EINVAL, "'%s' is a tier of the configuration",
				 path);
	r = tier_state_visit_tables(state, check_empty, entry, err);
	/* Nobody would take it away later: only those of tiers are. */
	if (r == 0)
		r = cover_lift(entry->folder, err);
	if (r < 0)
		return r;
	tier_list_remove(&state->list, entry);
	return tier_list_save(state->fd, &state->list, err);
}

static enum exit_code run_remove(struct invocation *invocation)
{
	struct tier_state state = { 0 };
	struct error err = { 0 };
	int r;

	r = tier_state_open_to_change(invocation, false, &state, &err);
	if (r == 0)
		r = tier_config_apply(&state, &invocation->config, false, &err);
	if (r == 0)
		r = remove_tier(invocation, &state, &err);
	tier_state_done(&state);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

const struct command command_tier_remove = {
	.name = "tier remove",
	.summary = "make a folder no hot tier any more",
	.usage = "DIR",
	.details = "Only when there is no stub left on its file system.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = 1,
	.without_json = true,
	.run = run_remove,
};

/* ---- list ---- */

static int print_entry_json(const struct tier_entry *entry, bool in_use)
{
	autoptr(json) json = json_object_new();
	autofree char *line = NULL;

	if (!json)
		return -ENOMEM;
	(void)json_add_bytes(json, "folder", entry->folder, strlen(entry->folder));
	(void)json_add_bytes(json, "archive", entry->archive, strlen(entry->archive));
	(void)json_add_bytes(json, "into", entry->into, strlen(entry->into));
	(void)json_add_hex(json, "file_system", entry->uuid.bytes, TIER_UUID_SIZE);
	(void)json_add_string(json, "from",
			      entry->configured ? "configuration" : "command");
	(void)json_add_bool(json, "in_use", in_use && !entry->retired);
	(void)policy_json_add(json, "policy", &entry->policy);
	if (json_print(json, &line) < 0)
		return -ENOMEM;
	(void)puts(line);
	return 0;
}

static void print_entry(const struct tier_entry *entry, bool in_use)
{
	print_name(entry->folder, strlen(entry->folder));
	(void)fputs(" -> ", stdout);
	print_name(entry->archive, strlen(entry->archive));
	(void)fputs(" : ", stdout);
	print_name(entry->into, strlen(entry->into));
	if (entry->retired)
		(void)fputs("  (not in the configuration any more)", stdout);
	else if (!in_use)
		(void)fputs("  (when 'tier run' is started again)", stdout);
	else if (entry->configured)
		(void)fputs("  (configuration)", stdout);
	(void)putchar('\n');
}

static int list_entry(void *context, const struct tier_entry *entry, bool in_use,
		      struct error *err)
{
	const struct invocation *invocation = context;

	if (!invocation->json)
		print_entry(entry, in_use);
	else if (print_entry_json(entry, in_use) < 0)
		return error_set(err, -ENOMEM, "no memory to print");
	return 0;
}

static enum exit_code run_list(struct invocation *invocation)
{
	struct tier_state state = { 0 };
	struct error err = { 0 };
	int r;

	r = tier_state_open(invocation, false, &state, &err);
	if (r == -ENOENT)
		r = 0; /* nothing but what the configuration has */
	if (r == 0)
		r = tier_config_visit(&state, &invocation->config, list_entry, invocation,
				      &err);
	tier_state_done(&state);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

const struct command command_tier_list = {
	.name = "tier list",
	.summary = "list the hot tiers",
	.usage = "",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run_list,
};
