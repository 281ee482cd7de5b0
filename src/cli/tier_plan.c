/* SPDX-License-Identifier: MIT */
#include "cli/tier_plan.h"

#include "cli/print.h"
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/size.h"
#include "base/timestamp.h"
#include "tier/cover.h"
#include "tier/pass_report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct plan {
	const struct tier_entry *tier;
	bool have_usage;
	struct policy_usage usage; /* now */
	uint64_t wanted;           /* bytes to free now, or POLICY_ALL */
	bool have_pass, have_scan;
	struct pass_result pass, scan; /* the last ones */
	bool have_estimate;
	int64_t time; /* that it is of */
	struct tally
		left; /* files that the policy would have taken then, and that stayed */
};

/* A dry run that is newer knows more. */
static void estimate(struct plan *plan)
{
	const struct pass_result *from = &plan->pass;

	if (plan->have_scan && (!plan->have_pass || plan->scan.time > plan->pass.time))
		from = &plan->scan;
	plan->have_estimate = plan->have_scan || plan->have_pass;
	if (!plan->have_estimate)
		return;
	plan->time = from->time;
	plan->left.count = from->counts.eligible.count - from->stubs.count;
	plan->left.size = from->counts.eligible.size - from->stubs.size;
	plan->left.space = from->counts.eligible.space - from->stubs.space;
}

static void load(const struct tier_state *state, const struct tier_entry *tier,
		 struct plan *plan)
{
	autoclose int fd = -1;

	*plan = (struct plan){ .tier = tier };
	if (!cover_is_on(tier->folder))
		fd = open(tier->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	plan->have_usage = fd >= 0 && policy_usage_get(fd, &plan->usage) == 0;
	if (plan->have_usage)
		plan->wanted = policy_wanted(&tier->policy, &plan->usage);
	plan->have_pass =
		pass_report_load(state->fd, tier->folder, false, &plan->pass, NULL) == 0;
	plan->have_scan =
		pass_report_load(state->fd, tier->folder, true, &plan->scan, NULL) == 0;
	estimate(plan);
}

/* What the next pass would free, at most. */
static uint64_t next_space(const struct plan *plan)
{
	if (plan->tier->retired || !plan->have_usage)
		return 0;
	return plan->left.space < plan->wanted ? plan->left.space : plan->wanted;
}

static void print_plan(const struct plan *plan)
{
	char time[TIMESTAMP_TEXT_MAX];
	char space[SIZE_TEXT_MAX];

	(void)fputs("tier     ", stdout);
	print_name(plan->tier->folder, strlen(plan->tier->folder));
	if (plan->have_usage)
		(void)printf(": %u %% in use", policy_usage_percent(&plan->usage));
	if (plan->have_pass)
		(void)printf("; last pass %s: %" PRIu64 " stubs, %s freed%s",
			     timestamp_format_short(plan->pass.time, time),
			     plan->pass.stubs.count,
			     size_format(plan->pass.stubs.space, space),
			     plan->pass.complete ? "" : " (it was stopped)");
	(void)putchar('\n');
	if (plan->have_estimate)
		(void)printf("next     would free up to %s (estimate of %s)\n",
			     size_format(next_space(plan), space),
			     timestamp_format_short(plan->time, time));
	else
		(void)puts("next     not known before 'tier scan' or its --dry-run");
}

static int add_result(struct json *object, const char *name, bool have,
		      const struct pass_result *result)
{
	struct json *child;
	int r;

	if (!have)
		return 0;
	r = json_add_object(object, name, &child);
	return r < 0 ? r : pass_report_add(child, result);
}

static int add_plan(struct json *array, const struct plan *plan)
{
	struct json *object, *next;
	int r = json_add_object(array, NULL, &object);

	if (r == 0)
		r = json_add_bytes(object, "folder", plan->tier->folder,
				   strlen(plan->tier->folder));
	if (r == 0 && plan->have_usage)
		r = json_add_u64(object, "used", plan->usage.used);
	if (r == 0 && plan->have_usage)
		r = json_add_u64(object, "available", plan->usage.available);
	if (r == 0)
		r = add_result(object, "last_pass", plan->have_pass, &plan->pass);
	if (r == 0)
		r = add_result(object, "last_dry_run", plan->have_scan, &plan->scan);
	if (r < 0 || !plan->have_estimate)
		return r;
	r = json_add_object(object, "next", &next);
	if (r == 0)
		r = json_add_i64(next, "estimated", plan->time);
	if (r == 0)
		r = json_add_u64(next, "eligible_files", plan->left.count);
	return r < 0 ? r : json_add_u64(next, "space", next_space(plan));
}

int tier_plan_tell(const struct tier_state *state, struct json *json, struct error *err)
{
	struct json *array = NULL;
	int r = json ? json_add_array(json, "tiers", &array) : 0;

	for (size_t i = 0; i < state->list.count && r == 0; i++) {
		struct plan plan;

		load(state, &state->list.items[i], &plan);
		if (array)
			r = add_plan(array, &plan);
		else
			print_plan(&plan);
	}
	return r < 0 ? error_set(err, r, "no memory for the status") : 0;
}
