/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/tier_state.h"

#include "archive/archive.h"
#include "base/cleanup.h"
#include "base/config_find.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "tier/check.h"
#include "tier/control.h"
#include "tier/guard.h"
#include "tier/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct findings {
	const struct invocation *invocation;
	size_t left; /* that were not repaired */
};

static void print_finding(void *context, const char *path, const char *what,
			  bool repaired)
{
	struct findings *findings = context;
	autoptr(json) json = NULL;
	autofree char *line = NULL;

	findings->left += !repaired;
	if (!findings->invocation->json) {
		print_name(path, strlen(path));
		(void)printf(": %s%s\n", what, repaired ? "; repaired" : "");
		return;
	}
	json = json_object_new();
	if (!json)
		return;
	(void)json_add_bytes(json, "path", path, strlen(path));
	(void)json_add_string(json, "finding", what);
	(void)json_add_bool(json, "repaired", repaired);
	if (json_print(json, &line) == 0)
		(void)puts(line);
}

static bool is_first(const struct tier_list *list, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (memcmp(&list->items[i].uuid, &list->items[index].uuid,
			   sizeof(struct tier_uuid)) == 0)
			return false;
	return true;
}

static bool begin_claim(void *context, int fd, const struct stat *file)
{
	const int *socket = context;
	int r = control_claim(*socket, fd, file->st_dev, file->st_ino, NULL);

	/* If it has ended meanwhile, nobody is busy with anything. */
	return r == 0 || r == -EPIPE || r == -ECONNRESET;
}

static void end_claim(void *context)
{
	struct control_answer answer;
	const int *socket = context;

	(void)control_ask(*socket, CONTROL_UNCLAIM, "", &answer, NULL);
}

/* On another file system every handle looks like that of a file that was deleted. */
static int check_mounted(const struct tier_entry *tier, int fd, struct error *err)
{
	struct tier_uuid uuid;
	int r = tier_uuid_get(fd, &uuid, err);

	if (r < 0)
		return error_prefix(err, r, "'%s'", tier->folder);
	if (memcmp(&uuid, &tier->uuid, sizeof(uuid)) != 0)
		return error_set(err, -ESTALE, "the file system of '%s' is not mounted",
				 tier->folder);
	return 0;
}

static int check_tier(const struct tier_state *state, size_t index,
		      struct findings *findings, struct error *err)
{
	const struct tier_entry *tier = &state->list.items[index];
	struct check check = {
		.folder = tier->folder,
		.first = is_first(&state->list, index),
		.repair = option_flag(findings->invocation->options, "repair"),
		.finding = print_finding,
		.context = findings,
	};
	autoconfig struct config config = { 0 };
	struct archive_options options = { .directory = tier->archive,
					   .config = &config };
	autoptr(stub_table) table = NULL;
	autoptr(archive) archive = NULL;
	autoclose int fd = open(tier->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int socket = -1;
	const struct check_claims claims = { begin_claim, end_claim, &socket };
	int r;

	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", tier->folder);
	r = check_mounted(tier, fd, err);
	if (r == 0)
		r = tier_table_open(state->path, &tier->uuid, check.repair, &table, err);
	if (r == 0)
		r = config_resolve_archive(&config, tier->archive, err);
	if (r == 0)
		r = archive_open(&options, &archive, err);
	if (r < 0)
		return r;
	if (control_connect(state->fd, &socket, NULL) == 0)
		check.claims = &claims;
	check.table = table;
	check.archive = archive;
	check.root_fd = fd;
	return check_run(&check, err);
}

static int check_guard(const struct tier_state *state, struct findings *findings,
		       struct error *err)
{
	uint64_t count, size, waiting;
	int r = tier_state_count(state, &count, &size, err);

	if (r == 0 && count > 0 && !guard_is_active(state->fd, &waiting)) {
		log_error("nobody guards the stubs: start 'blockframe tier run'");
		findings->left++;
	}
	return r;
}

static enum exit_code run(struct invocation *invocation)
{
	struct findings findings = { .invocation = invocation };
	struct tier_state state = { 0 };
	struct error err = { 0 };
	int r;

	r = tier_state_open(invocation, false, &state, &err);
	for (size_t i = 0; r == 0 && i < state.list.count; i++)
		r = check_tier(&state, i, &findings, &err);
	if (r == 0)
		r = check_guard(&state, &findings, &err);
	tier_state_done(&state);
	if (r < 0)
		return fail(r, &err);
	return findings.left ? CODE_PARTIAL : CODE_DONE;
}

const struct command command_tier_check = {
	.name = "tier check",
	.summary = "compare stubs with their tables, markers and archives",
	.usage = "[--repair]",
	.details = "Reads no content and recalls nothing. Exits with 3 if something is "
		   "wrong and was not repaired.",
	.options =
		(const struct option_spec[]){
			{ 0, "repair", NULL, "put right what can be told for certain" },
			{ 0 },
		},
	.run = run,
};
