/* SPDX-License-Identifier: MIT */
/* Members are visited in order of their place, and what complete groups hold is joined: a
 * range that two groups hold counts once, one whose group lacks a shard does not count.
 */
#include "archive/outer_cover.h"

#include "archive/burst_cover.h"
#include "archive/volume_list.h"
#include "base/error.h"

#include <string.h>

static bool volume_repeats(const struct group_place *group, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (group->shards[j].shard != group->shards[i].shard &&
		    memcmp(&group->shards[j].volume, &group->shards[i].volume,
			   UUID_SIZE) == 0)
			return true;
	return false;
}

/* What lies on a retired volume is as good as lost: a parity shard that is there no more can be
 * made again, a member uses one up. */
bool outer_is_complete(const struct group_place *group, unsigned parity)
{
	bool found[GROUP_PARITY_MAX] = { false };
	unsigned count = 0;

	for (size_t i = 0; i < group->shard_count; i++) {
		const struct group_shard *shard = &group->shards[i];

		if (volume_repeats(group, i))
			return false;
		if (!shard->runs)
			parity += shard->retired;
		else if (!shard->retired)
			found[shard->shard - group->data] = true;
	}
	for (unsigned i = 0; i < group->parity; i++)
		count += found[i];
	return count >= parity;
}

struct join {
	struct catalog *catalog;
	unsigned parity;
	struct outer_cover cover;
	uint64_t reached; /* log offset up to which it is joined */
	int (*gap)(void *context, uint64_t start, uint64_t end); /* or NULL */
	void *context;
	struct error *err;
};

static int tell_gap(const struct join *join, uint64_t start, uint64_t end)
{
	return join->gap && start < end ? join->gap(join->context, start, end) : 0;
}

static int join_member(void *context, const struct hash *id, uint64_t log_start,
		       uint64_t log_size)
{
	struct group_place group = { 0 };
	struct join *join = context;
	uint64_t end = log_start + log_size;
	bool complete;
	int r;

	r = catalog_get_group(join->catalog, id, &group, join->err);
	if (r != 0)
		return r < 0 ? r : 0;
	complete = outer_is_complete(&group, join->parity);
	group_place_done(&group);
	if (!complete || end <= join->reached)
		return 0;
	r = tell_gap(join, join->reached, log_start);
	if (r < 0)
		return r;
	if (log_start > join->reached)
		join->reached = log_start;
	join->cover.covered += end - join->reached;
	join->reached = end;
	return 0;
}

int outer_log_end(struct catalog *catalog, const struct volume_row *row,
		  uint64_t *end_out, struct error *err)
{
	struct stripe_info own = { 0 };
	int r;

	*end_out = 0;
	if (row->record_count == 0)
		return 0;
	r = catalog_find_stripe(catalog, &row->uuid, row->log_end, &own, err);
	if (r < 0)
		return r;
	*end_out = row->log_end;
	if (r == 0)
		*end_out = own.log_start + stripe_log_size(&own);
	stripe_info_done(&own);
	return 0;
}

bool outer_is_cut(struct catalog *catalog, const struct volume_row *row)
{
	struct stripe_info behind = { 0 };
	uint64_t end = 0;
	int r;

	r = outer_log_end(catalog, row, &end, NULL);
	if (r == 0)
		r = catalog_find_stripe(catalog, &row->uuid, end, &behind, NULL);
	stripe_info_done(&behind);
	return r != CATALOG_END;
}

int outer_cover_get(struct catalog *catalog, const struct volume_row *row,
		    unsigned parity,
		    int (*gap)(void *context, uint64_t start, uint64_t end),
		    void *context, struct outer_cover *cover_out, struct error *err)
{
	struct join join = { .catalog = catalog,
			     .parity = parity,
			     .gap = gap,
			     .context = context,
			     .err = err };
	int r;

	r = outer_log_end(catalog, row, &join.cover.end, err);
	if (r == 0)
		r = catalog_visit_members(catalog, &row->uuid, join_member, &join, err);
	if (r < 0)
		return r;
	if (join.cover.end < join.reached)
		join.cover.end = join.reached;
	r = tell_gap(&join, join.reached, join.cover.end);
	if (r < 0)
		return r;
	*cover_out = join.cover;
	return 0;
}

struct count {
	unsigned parity;
	struct outer_totals *totals;
};

static int count_group(void *context, const struct group_place *group)
{
	struct count *count = context;

	if (burst_is_group(group))
		return 0; /* that is another promise: burst_cover.h */
	for (size_t i = 0; i < group->shard_count; i++)
		if (!group->shards[i].runs && group->shards[i].retired)
			return 0; /* given up: its other members go into new groups */
	count->totals->groups++;
	count->totals->incomplete += !outer_is_complete(group, group->parity);
	return 0;
}

int outer_totals_get(struct catalog *catalog, unsigned parity,
		     struct outer_totals *totals_out, struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	struct outer_totals totals = { 0 };
	struct count count = { parity, &totals };
	int r;

	r = volume_list_load(catalog, &list, err);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		struct outer_cover cover;

		if (list.rows[i].role != VOLUME_DATA || list.rows[i].retired)
			continue;
		r = outer_cover_get(catalog, &list.rows[i], parity, NULL, NULL, &cover,
				    err);
		if (r < 0)
			break;
		totals.protected_size += cover.covered;
		totals.unprotected_size += cover.end - cover.covered;
	}
	if (r == 0)
		r = catalog_visit_groups(catalog, count_group, &count, err);
	if (r < 0)
		return r;
	*totals_out = totals;
	return 0;
}
