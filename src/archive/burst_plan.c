/* SPDX-License-Identifier: MIT */
/* What is in no group is cut into columns, at most k and none shorter than the burst:
 *
 *     log   |  column 0  |  column 1  |  ...  |  column n-1  |  parity  |
 *              ^^^ the first group       ^^^ is a slice      ^^^ of each, and so is its parity
 *
 * Byte x of one column is as far from byte x of the next as a column is long, and the parity of
 * the last one's byte x lies behind all of it, in the same order: so a burst up to that length
 * hits no two shards at the same offset, and one parity shard is enough. Groups are slices, so
 * that a list of stripes fits into its record, and a run that is killed repeats little.
 *
 * After a stopped run each column's rest begins where the slices ended: the same plan goes on.
 * Small ranges that lie between (records among older parity) become short columns. A group has
 * BURST_LEAST members or more of full length, else the parity would cost too much for what it
 * gives; what that leaves is little, and `status` says how much.
 */
#include "archive/burst_plan.h"

#include "archive/burst_cover.h"
#include "archive/outer_plan.h"
#include "base/config.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BURST_LEAST 8u

/* A column, or what is left of it. */
struct column {
	uint64_t start, end; /* of the log */
	uint64_t planned;    /* bytes of the group that was planned last */
};

struct burst_plan {
	struct catalog *catalog; /* borrowed */
	struct uuid volume;
	uint64_t distance;      /* bytes */
	unsigned data;          /* k */
	struct column *columns; /* owned; in order */
	size_t count;
};

static unsigned least_members(const struct burst_plan *plan)
{
	return plan->data < BURST_LEAST ? plan->data : BURST_LEAST;
}

/* ---- columns ---- */

static int add_gap(void *context, uint64_t start, uint64_t end)
{
	struct burst_plan *plan = context;
	struct column *grown =
		reallocarray(plan->columns, plan->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	plan->columns = grown;
	grown[plan->count++] = (struct column){ start, end, 0 };
	return 0;
}

/* Only what a stopped run left: in front of where its last column ends. */
static void keep_rests(struct burst_plan *plan, uint64_t reach)
{
	size_t kept = 0;

	while (kept < plan->count && plan->columns[kept].start <= reach)
		kept++;
	plan->count = reach ? kept : 0;
}

/* Into how many columns a gap of @size bytes is cut, if they are to be of about @length: rounded,
 * so that small gaps beside a large one do not cost it a column. */
static uint64_t part_count(const struct burst_plan *plan, uint64_t size, uint64_t length)
{
	uint64_t parts = (size + length / 2) / length;

	if (parts > size / plan->distance)
		parts = size / plan->distance;
	return parts ? parts : 1;
}

/* Columns of equal length in each gap, such that there are not many more than k in all. */
static int cut_gaps(struct burst_plan *plan)
{
	struct burst_plan cut = { 0 };
	uint64_t sum = 0;
	uint64_t length;
	int r = 0;

	for (size_t i = 0; i < plan->count; i++)
		sum += plan->columns[i].end - plan->columns[i].start;
	length = sum / plan->data;
	if (length < plan->distance)
		length = plan->distance;
	for (size_t i = 0; i < plan->count && r == 0; i++) {
		const struct column *gap = &plan->columns[i];
		uint64_t size = gap->end - gap->start;
		uint64_t parts = part_count(plan, size, length);
		uint64_t start = gap->start;

		for (uint64_t part = 1; part <= parts && r == 0; part++) {
			uint64_t end = part < parts ? start + size / parts : gap->end;

			r = add_gap(&cut, start, end);
			start = end;
		}
	}
	free(plan->columns);
	plan->columns = cut.columns;
	plan->count = cut.count;
	return r;
}

int burst_plan_new(struct catalog *catalog, const struct volume_row *row,
		   const struct config *config, bool resume, struct burst_plan **plan_out,
		   struct error *err)
{
	autoptr(burst_plan) plan = calloc(1, sizeof(*plan));
	struct burst_cover cover = { 0 };
	int r;

	if (!plan)
		return error_set(err, -ENOMEM, "no memory for a plan");
	plan->catalog = catalog;
	plan->volume = row->uuid;
	plan->distance = config->parity.burst;
	plan->data = config->parity.burst_data;
	if (plan->distance > 0)
		r = burst_cover_get(catalog, row, plan->distance, add_gap, plan, &cover,
				    err);
	else
		r = 0;
	if (r < 0)
		return r;
	if (burst_uncovered(&cover) < config->parity.burst_from)
		keep_rests(plan, resume ? cover.reach : 0);
	if (plan->count > 0 && cut_gaps(plan) < 0)
		return error_set(err, -ENOMEM, "no memory for a plan");
	*plan_out = take_ptr(plan);
	return 0;
}

void burst_plan_free(struct burst_plan *plan)
{
	if (!plan)
		return;
	free(plan->columns);
	free(plan);
}

/* ---- groups ---- */

static uint64_t column_size(const struct column *column)
{
	return column->end - column->start;
}

/* The columns of the next group, from the first on; how many. Each is far enough from the one
 * before, and from @end, where parity goes. */
static unsigned choose(const struct burst_plan *plan, uint64_t end,
		       struct column *chosen[GROUP_DATA_MAX])
{
	unsigned count = 0;

	for (size_t i = 0; i < plan->count && count < plan->data; i++) {
		struct column *column = &plan->columns[i];

		if (column->start == column->end || column->start > end ||
		    end - column->start < plan->distance)
			continue;
		if (count > 0 &&
		    column->start - chosen[count - 1]->start < plan->distance)
			continue;
		chosen[count++] = column;
	}
	return count;
}

static int compare_sizes(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x < *y) - (*x > *y);
}

/* As long as the least number of members goes, with the odd bytes of the longest; 0 if there are
 * too few. */
static uint64_t shard_size(const struct burst_plan *plan, struct column *const *chosen,
			   unsigned count, uint64_t size_max)
{
	uint64_t sizes[GROUP_DATA_MAX];
	uint64_t size;

	if (count < least_members(plan))
		return 0;
	for (unsigned i = 0; i < count; i++)
		sizes[i] = column_size(chosen[i]);
	qsort(sizes, count, sizeof(*sizes), compare_sizes);
	size = sizes[least_members(plan) - 1];
	if (sizes[0] - size < GROUP_CHUNK_SIZE)
		size = sizes[0];
	return size < size_max ? size : size_max;
}

uint64_t burst_plan_left(const struct burst_plan *plan, uint64_t *parity_out)
{
	struct column *chosen[GROUP_DATA_MAX];
	unsigned count = choose(plan, INT64_MAX, chosen);
	uint64_t sum = 0;

	*parity_out = shard_size(plan, chosen, count, UINT64_MAX);
	for (unsigned i = 0; i < count; i++)
		sum += column_size(chosen[i]) < *parity_out ? column_size(chosen[i])
							    : *parity_out;
	return sum;
}

/* Members of up to @size bytes; *shortest_out is less if some list of stripes was too long. */
static int make_members(const struct burst_plan *plan, struct column *const *chosen,
			unsigned count, uint64_t size, struct group *group,
			uint64_t *shortest_out, struct error *err)
{
	int r = 0;

	*group = (struct group){ .data = plan->data, .parity = 1, .size = 0 };
	*shortest_out = size;
	group->members = calloc(count, sizeof(*group->members));
	if (!group->members)
		return error_set(err, -ENOMEM, "no memory for a group");
	for (unsigned i = 0; i < count && r == 0; i++) {
		struct group_member *member = &group->members[group->member_count++];
		uint64_t wanted =
			column_size(chosen[i]) < size ? column_size(chosen[i]) : size;

		member->volume = plan->volume;
		member->log_start = chosen[i]->start;
		member->log_size = wanted;
		r = outer_plan_fill(plan->catalog, outer_plan_limit(count), member, err);
		chosen[i]->planned = member->log_size;
		if (member->log_size < wanted && member->log_size < *shortest_out)
			*shortest_out = member->log_size;
		if (member->log_size > group->size)
			group->size = member->log_size;
	}
	return r;
}

int burst_plan_next(struct burst_plan *plan, uint64_t size_max, uint64_t end,
		    struct group *group_out, struct error *err)
{
	struct column *chosen[GROUP_DATA_MAX];
	unsigned count = choose(plan, end, chosen);
	uint64_t size = shard_size(plan, chosen, count, size_max);
	struct group group = { 0 };
	uint64_t shortest = 0;
	int r;

	for (size_t i = 0; i < plan->count; i++)
		plan->columns[i].planned = 0;
	if (size == 0)
		return CATALOG_END;
	r = make_members(plan, chosen, count, size, &group, &shortest, err);
	if (r == 0 &&
	    shortest < size) { /* all of them alike, or they would come closer */
		group_done(&group);
		r = make_members(plan, chosen, count, shortest, &group, &shortest, err);
	}
	if (r < 0) {
		group_done(&group);
		return r;
	}
	*group_out = group;
	return 0;
}

void burst_plan_take(struct burst_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		plan->columns[i].start += plan->columns[i].planned;
		plan->columns[i].planned = 0;
	}
}
