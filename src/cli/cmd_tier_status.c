/* SPDX-License-Identifier: MIT */
/* tier status: what the stubs are, whether they are guarded, and what could not be recalled.
 * Exits with 3 if there are stubs and nobody guards them, or one could not be recalled.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/tier_config.h"
#include "cli/tier_plan.h"
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/size.h"
#include "catalog/stub_table.h"
#include "tier/control.h"
#include "tier/cover.h"
#include "tier/guard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROBLEMS_MAX 100u /* told one by one */

struct status {
	uint64_t stubs;
	uint64_t size;     /* bytes that they stand for */
	uint64_t problems; /* stubs whose last recall failed */
	bool guarded;      /* somebody holds the marks */
	bool running;      /* and brings stubs back */
	uint64_t guard_waiting;
	struct control_answer worker;
	struct json *array; /* of problems; borrowed; NULL: print lines */
	bool quiet;
};

/* ---- gathering ---- */

static void ask_worker(const struct tier_state *state, struct status *status)
{
	autoclose int socket = -1;

	if (control_connect(state->fd, &socket, NULL) == 0)
		status->running = control_ask(socket, CONTROL_COUNTERS, "",
					      &status->worker, NULL) == 0;
}

static void tell_problem(struct status *status, const struct stub_row *row)
{
	const char *path = row->path ? row->path : "";
	struct json *object;

	if (status->problems++ >= PROBLEMS_MAX)
		return;
	if (!status->array) {
		if (status->quiet)
			return;
		(void)fputs("problem  ", stdout);
		print_name(path, strlen(path));
		(void)printf(": %s\n", row->problem);
		return;
	}
	if (json_add_object(status->array, NULL, &object) < 0)
		return;
	(void)json_add_bytes(object, "path", path, strlen(path));
	(void)json_add_string(object, "problem", row->problem);
}

static int look_at_table(void *context, struct stub_table *table,
			 const struct tier_entry *tier, struct error *err)
{
	uint8_t handle[STUB_HANDLE_MAX];
	struct status *status = context;
	struct stub_row row = { 0 };
	size_t size = 0;
	int r;

	(void)tier;
	while ((r = stub_table_next(table, handle, size, &row, err)) == 0) {
		memcpy(handle, row.handle, row.handle_size);
		size = row.handle_size;
		status->stubs++;
		status->size += row.size;
		if (row.problem)
			tell_problem(status, &row);
		stub_row_done(&row);
	}
	return r < 0 ? r : 0;
}

static int gather(const struct tier_state *state, struct status *status,
		  struct error *err)
{
	status->guarded = guard_is_active(state->fd, &status->guard_waiting);
	ask_worker(state, status);
	return tier_state_visit_tables(state, look_at_table, status, err);
}

/* ---- telling ---- */

static int tell_covered(const struct tier_state *state, const struct status *status,
			struct json *json)
{
	struct json *array = NULL;
	struct json *object;
	int r = json ? json_add_array(json, "covered", &array) : 0;

	for (size_t i = 0; i < state->list.count && r == 0; i++) {
		const char *folder = state->list.items[i].folder;

		if (!cover_is_on(folder))
			continue;
		if (array) {
			r = json_add_object(array, NULL, &object);
			if (r == 0)
				r = json_add_bytes(object, "path", folder,
						   strlen(folder));
		} else if (!status->quiet) {
			(void)fputs("covered  ", stdout);
			print_name(folder, strlen(folder));
			(void)puts(": nobody gets in until 'tier run' guards it");
		}
	}
	return r;
}

static const char *guard_name(const struct status *status)
{
	if (!status->guarded)
		return "none";
	return status->running ? "running" : "denying";
}

static void print_status(const struct status *status)
{
	const struct control_counters *counters = &status->worker.counters;
	char size[SIZE_TEXT_MAX];

	(void)printf("stubs    %" PRIu64 ", for %s\n", status->stubs,
		     size_format(status->size, size));
	if (!status->guarded)
		(void)puts(status->stubs ? "guard    NONE: stubs that nothing covers "
					   "read as zeroes; start "
					   "'blockframe tier run'"
					 : "guard    none");
	else if (!status->running)
		(void)puts("guard    denies: stubs can't be opened; start 'blockframe "
			   "tier run'");
	else
		(void)puts("guard    runs, and brings stubs back");
	if (!status->running)
		return;
	(void)printf("recalls  %" PRIu64 " running, %" PRIu64
		     " processes waiting; %" PRIu64 " done (%s), %" PRIu64 " failed\n",
		     counters->jobs, counters->waiting, counters->recalled,
		     size_format(counters->recalled_size, size), counters->failed);
	if (status->worker.text[0])
		(void)printf("failure  %s\n", status->worker.text);
}

static void add_status(struct json *json, const struct status *status)
{
	const struct control_counters *counters = &status->worker.counters;

	(void)json_add_string(json, "guard", guard_name(status));
	(void)json_add_u64(json, "stubs", status->stubs);
	(void)json_add_u64(json, "size", status->size);
	(void)json_add_u64(json, "waiting", status->guard_waiting);
	(void)json_add_u64(json, "problem_count", status->problems);
	if (!status->running)
		return;
	(void)json_add_u64(json, "recalling", counters->jobs);
	(void)json_add_u64(json, "recalled", counters->recalled);
	(void)json_add_u64(json, "recalled_size", counters->recalled_size);
	(void)json_add_u64(json, "failed", counters->failed);
}

static int tell(const struct invocation *invocation, const struct tier_state *state,
		struct status *status, struct error *err)
{
	autoptr(json) json = json_object_new();
	int r;

	if (!json)
		return error_set(err, -ENOMEM, "no memory for the status");
	status->quiet = invocation->quiet;
	if (invocation->json)
		(void)json_add_array(json, "problems", &status->array);
	r = gather(state, status, err);
	if (r == 0)
		r = tell_covered(state, status, invocation->json ? json : NULL);
	if (r < 0)
		return r;
	if (invocation->json) {
		add_status(json, status);
		r = tier_plan_tell(state, json, err);
		print_json(json);
	} else if (!invocation->quiet) {
		print_status(status);
		r = tier_plan_tell(state, NULL, err);
	}
	return r;
}

static enum exit_code run(struct invocation *invocation)
{
	struct tier_state state = { 0 };
	struct status status = { 0 };
	struct error err = { 0 };
	int r;

	r = tier_state_open(invocation, false, &state, &err);
	/* What is wrong with the configuration does not keep anybody from the status. */
	if (r == 0 && tier_config_apply(&state, &invocation->config, false, &err) < 0)
		log_warn("%s", err.text);
	if (r == 0)
		r = tell(invocation, &state, &status, &err);
	tier_state_done(&state);
	if (r < 0)
		return fail(r, &err);
	if ((status.stubs > 0 && !status.guarded) || status.problems > 0)
		return CODE_PARTIAL;
	return CODE_DONE;
}

const struct command command_tier_status = {
	.name = "tier status",
	.summary = "tell about stubs, recalls, and who guards them",
	.usage = "",
	.details = "Exits with 3 if nobody guards the stubs, or if one could not be "
		   "recalled.",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run,
};
