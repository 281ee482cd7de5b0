/* SPDX-License-Identifier: MIT */
/* Ranges of members and of parity are collected, sorted and swept once. A range that two groups
 * hold counts once. Distances are those of the log: on the medium, where headers, tables,
 * parity and records stand in between, the same bytes lie further apart, never closer.
 */
#include "archive/burst_cover.h"

#include "archive/outer_cover.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

struct range {
	uint64_t start, end; /* of the log */
	bool parity;
};

struct sweep {
	uint64_t distance;
	struct range *ranges; /* owned */
	size_t count;
};

bool burst_is_group(const struct group_place *group)
{
	for (size_t i = 1; i < group->shard_count; i++)
		if (memcmp(&group->shards[i].volume, &group->shards[0].volume,
			   UUID_SIZE) != 0)
			return false;
	return group->shard_count > 1;
}

static int compare_starts(const void *a, const void *b)
{
	const struct group_shard *const *x = a;
	const struct group_shard *const *y = b;

	return ((*x)->log_start > (*y)->log_start) - ((*x)->log_start < (*y)->log_start);
}

/* Parity comes behind the members, in frames whose headers only move it further away. */
uint64_t burst_distance(const struct group_place *group)
{
	const struct group_shard *shards[GROUP_DATA_MAX + GROUP_PARITY_MAX];
	uint64_t least = UINT64_MAX;
	size_t count = group->shard_count;

	if (!burst_is_group(group) || count > sizeof(shards) / sizeof(shards[0]))
		return 0;
	for (size_t i = 0; i < count; i++)
		shards[i] = &group->shards[i];
	qsort(shards, count, sizeof(*shards), compare_starts);
	if (!shards[count - 1]->runs)
		return 0;
	for (size_t i = 1; i < count; i++) {
		uint64_t distance = shards[i]->log_start - shards[i - 1]->log_start;

		if (distance < least)
			least = distance;
		if (shards[i - 1]->runs && !shards[i]->runs)
			return 0;
	}
	return least;
}

uint64_t burst_uncovered(const struct burst_cover *cover)
{
	return cover->end - cover->covered - cover->parity;
}

static int add_range(struct sweep *sweep, uint64_t start, uint64_t size, bool parity)
{
	struct range *grown =
		reallocarray(sweep->ranges, sweep->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	sweep->ranges = grown;
	grown[sweep->count++] = (struct range){ start, start + size, parity };
	return 0;
}

/* Between two runs there is a record, which is not parity. */
static int add_runs(struct sweep *sweep, const struct group_shard *shard, uint64_t size)
{
	int r = 0;

	for (size_t i = 0; i < shard->run_count && r == 0; i++) {
		const struct group_run *run = &shard->runs[i];

		r = add_range(sweep, run->log_offset, group_run_size(run, size), true);
	}
	return r;
}

static int add_group(void *context, const struct group_place *group)
{
	struct sweep *sweep = context;
	int r = 0;

	if (burst_distance(group) < sweep->distance)
		return 0;
	for (size_t i = 0; i < group->shard_count && r == 0; i++) {
		const struct group_shard *shard = &group->shards[i];

		if (shard->runs)
			r = add_runs(sweep, shard, group->size);
		else
			r = add_range(sweep, shard->log_start, shard->log_size, false);
	}
	return r;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a;
	const struct range *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int sweep_over(const struct sweep *sweep, struct burst_cover *cover,
		      int (*gap)(void *context, uint64_t start, uint64_t end),
		      void *context)
{
	uint64_t reached = 0;
	int r = 0;

	for (size_t i = 0; i < sweep->count && r >= 0; i++) {
		const struct range *range = &sweep->ranges[i];
		uint64_t start = range->start > reached ? range->start : reached;

		if (gap && range->start > reached)
			r = gap(context, reached, range->start);
		if (range->end <= reached)
			continue;
		*(range->parity ? &cover->parity : &cover->covered) += range->end - start;
		if (!range->parity)
			cover->reach = range->end;
		reached = range->end;
	}
	if (reached > cover->end)
		cover->end = reached;
	if (r >= 0 && gap && reached < cover->end)
		r = gap(context, reached, cover->end);
	return r;
}

int burst_cover_get(struct catalog *catalog, const struct volume_row *row,
		    uint64_t distance,
		    int (*gap)(void *context, uint64_t start, uint64_t end),
		    void *context, struct burst_cover *cover_out, struct error *err)
{
	struct burst_cover cover = { 0 };
	struct sweep sweep = { .distance = distance ? distance : 1 };
	int r;

	r = outer_log_end(catalog, row, &cover.end, err);
	if (r == 0)
		r = catalog_visit_groups_of(catalog, &row->uuid, add_group, &sweep, err);
	if (r == 0 && sweep.count > 1)
		qsort(sweep.ranges, sweep.count, sizeof(*sweep.ranges), compare_ranges);
	if (r == 0)
		r = sweep_over(&sweep, &cover, gap, context);
	free(sweep.ranges);
	if (r < 0)
		return r == -ENOMEM ? error_set(err, r, "no memory for a list of groups")
				    : r;
	*cover_out = cover;
	return 0;
}
