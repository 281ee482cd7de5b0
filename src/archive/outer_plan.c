/* SPDX-License-Identifier: MIT */
/* A shard is as long as its longest member, so members of one length waste nothing: of the
 * (up to k) volumes with the most that is in no group yet, each gives as many bytes as the
 * one that has the least of them. What is left over then makes groups with fewer members:
 * the parity is the same, p times the longest of the volumes in all.
 *
 * The entry in the record lists the stripes of each member. A volume of very many small
 * stripes gives less, so that the entry stays within its limit.
 */
#include "archive/outer_plan.h"

#include "archive/outer_cover.h"
#include "archive/volume_list.h"
#include "archive/volume_set.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "volume/record_wire.h"

#include <inttypes.h>
#include <string.h>

/* A range that is in no group. */
struct gap {
	struct uuid volume;
	uint64_t start, end;
};

struct outer_plan {
	struct catalog *catalog; /* borrowed */
	struct outer_plan_options options;
	struct gap *gaps; /* owned */
	size_t count;
	struct uuid volume; /* whose gaps are being found */
};

static bool is_attached(struct volume_set *volumes, const struct uuid *uuid)
{
	autofree char *name = NULL;

	return volume_set_find_file(volumes, uuid, &name, NULL) == 0;
}

/* The longest first; then by volume, so that plans repeat. */
static int compare_gaps(const void *a, const void *b)
{
	const struct gap *x = a;
	const struct gap *y = b;
	uint64_t x_size = x->end - x->start;
	uint64_t y_size = y->end - y->start;

	if (x_size != y_size)
		return x_size > y_size ? -1 : 1;
	return memcmp(&x->volume, &y->volume, UUID_SIZE);
}

static int add_gap(void *context, uint64_t start, uint64_t end)
{
	struct outer_plan *plan = context;
	struct gap *grown = reallocarray(plan->gaps, plan->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	plan->gaps = grown;
	grown[plan->count++] = (struct gap){ plan->volume, start, end };
	return 0;
}

static int find_gaps(struct outer_plan *plan, struct volume_set *volumes,
		     struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	int r;

	r = volume_list_load(plan->catalog, &list, err);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		const struct volume_row *row = &list.rows[i];
		struct outer_cover cover;

		if (row->role != VOLUME_DATA || row->retired || row->record_count == 0 ||
		    !is_attached(volumes, &row->uuid))
			continue;
		plan->volume = row->uuid;
		r = outer_cover_get(plan->catalog, row, plan->options.parity, add_gap,
				    plan, &cover, err);
	}
	return r;
}

int outer_plan_new(struct catalog *catalog, struct volume_set *volumes,
		   const struct outer_plan_options *options, struct outer_plan **plan_out,
		   struct error *err)
{
	autoptr(outer_plan) plan = calloc(1, sizeof(*plan));
	int r;

	if (!plan)
		return error_set(err, -ENOMEM, "no memory for a plan");
	plan->catalog = catalog;
	plan->options = *options;
	r = find_gaps(plan, volumes, err);
	if (r < 0)
		return r;
	*plan_out = take_ptr(plan);
	return 0;
}

void outer_plan_free(struct outer_plan *plan)
{
	if (!plan)
		return;
	free(plan->gaps);
	free(plan);
}

/* Put the longest gap of each of up to k volumes first; how many. */
static size_t choose_gaps(struct outer_plan *plan)
{
	size_t chosen = 0;

	if (plan->count > 1)
		qsort(plan->gaps, plan->count, sizeof(*plan->gaps), compare_gaps);
	for (size_t i = 0; i < plan->count && chosen < plan->options.data; i++) {
		struct gap gap = plan->gaps[i];
		size_t j = 0;

		while (j < chosen &&
		       memcmp(&plan->gaps[j].volume, &gap.volume, UUID_SIZE))
			j++;
		if (gap.start == gap.end || j < chosen)
			continue;
		plan->gaps[i] = plan->gaps[chosen];
		plan->gaps[chosen++] = gap;
	}
	return chosen;
}

void outer_plan_take(struct outer_plan *plan, const struct group *group)
{
	for (size_t i = 0; i < group->member_count; i++) {
		const struct group_member *member = &group->members[i];

		for (size_t j = 0; j < plan->count; j++)
			if (plan->gaps[j].start == member->log_start &&
			    memcmp(&plan->gaps[j].volume, &member->volume, UUID_SIZE) ==
				    0)
				plan->gaps[j].start += member->log_size;
	}
}

int outer_plan_exclude(struct outer_plan *plan, const struct uuid *volume, uint64_t start,
		       uint64_t end, struct error *err)
{
	size_t count = plan->count; /* what is added below needs no look */

	for (size_t i = 0; i < count; i++) {
		struct gap gap = plan->gaps[i];

		if (memcmp(&gap.volume, volume, UUID_SIZE) != 0 || gap.end <= start ||
		    end <= gap.start)
			continue;
		plan->gaps[i].end = start > gap.start ? start : gap.start;
		plan->volume = *volume;
		if (end < gap.end && add_gap(plan, end, gap.end) < 0)
			return error_set(err, -ENOMEM, "no memory for a plan");
	}
	return 0;
}

void outer_plan_left(const struct outer_plan *plan, uint64_t *sum_out, uint64_t *most_out)
{
	*sum_out = 0;
	*most_out = 0;
	for (size_t i = 0; i < plan->count; i++) {
		uint64_t sum = 0;

		for (size_t j = 0; j < plan->count; j++)
			if (memcmp(&plan->gaps[j].volume, &plan->gaps[i].volume,
				   UUID_SIZE) == 0)
				sum += plan->gaps[j].end - plan->gaps[j].start;
		if (sum > *most_out)
			*most_out = sum;
		*sum_out += plan->gaps[i].end - plan->gaps[i].start;
	}
}

static int add_stripe(struct group_member *member, struct stripe_info *stripe)
{
	struct stripe_info *grown =
		reallocarray(member->stripes, member->stripe_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	member->stripes = grown;
	grown[member->stripe_count++] = *stripe;
	stripe->extents = NULL;
	return 0;
}

int outer_plan_fill(struct catalog *catalog, size_t limit, struct group_member *member,
		    struct error *err)
{
	uint64_t end = member->log_start + member->log_size;
	uint64_t next = member->log_start;
	size_t size = sizeof(struct group_member_wire);

	while (next < end) {
		struct stripe_info stripe = { 0 };
		int r;

		r = catalog_find_stripe(catalog, &member->volume, next, &stripe, err);
		if (r == CATALOG_END)
			return error_set(err, -EBADMSG,
					 "the catalog is damaged: no stripe holds log "
					 "offset %" PRIu64,
					 next);
		if (r < 0)
			return r;
		size += stripe_entry_size(&stripe);
		if (size > limit && member->stripe_count > 0) {
			stripe_info_done(&stripe);
			break;
		}
		next = stripe.log_start + stripe_log_size(&stripe);
		if (add_stripe(member, &stripe) < 0) {
			stripe_info_done(&stripe);
			return error_set(err, -ENOMEM, "no memory for a group");
		}
	}
	if (next < end)
		member->log_size = next - member->log_start;
	return 0;
}

static void set_size(struct group *group)
{
	group->size = 0;
	for (size_t i = 0; i < group->member_count; i++)
		if (group->members[i].log_size > group->size)
			group->size = group->members[i].log_size;
}

size_t outer_plan_limit(unsigned count)
{
	return (GROUP_ENTRY_MAX - sizeof(struct group_wire) -
		OUTER_ENTRY_RUNS * sizeof(struct group_run_wire)) /
	       count;
}

static int make_members(struct catalog *catalog, const struct gap *gaps, size_t count,
			uint64_t size, struct group *group, struct error *err)
{
	int r = 0;

	group->members = calloc(count, sizeof(*group->members));
	if (!group->members)
		return error_set(err, -ENOMEM, "no memory for a group");
	for (size_t i = 0; i < count && r == 0; i++) {
		struct group_member *member = &group->members[group->member_count++];

		member->volume = gaps[i].volume;
		member->log_start = gaps[i].start;
		member->log_size = size;
		r = outer_plan_fill(catalog, outer_plan_limit(group->data), member, err);
	}
	set_size(group);
	return r;
}

int outer_plan_next(struct outer_plan *plan, uint64_t size_max, struct group *group_out,
		    struct error *err)
{
	struct group group = { .data = plan->options.data,
			       .parity = plan->options.parity };
	size_t count = choose_gaps(plan);
	uint64_t size;
	int r;

	if (count == 0 || (plan->options.full_only && count < plan->options.data))
		return CATALOG_END;
	size = size_max;
	for (size_t i = 0; i < count; i++)
		if (plan->gaps[i].end - plan->gaps[i].start < size)
			size = plan->gaps[i].end - plan->gaps[i].start;
	r = make_members(plan->catalog, plan->gaps, count, size, &group, err);
	if (r < 0) {
		group_done(&group);
		return r;
	}
	*group_out = group;
	return 0;
}

static int copy_members(struct catalog *catalog, const struct group_place *place,
			struct group *group, struct error *err)
{
	int r = 0;

	group->members = calloc(place->data, sizeof(*group->members));
	if (!group->members)
		return error_set(err, -ENOMEM, "no memory for a group");
	for (size_t i = 0; i < place->shard_count && r == 0; i++) {
		const struct group_shard *shard = &place->shards[i];
		struct group_member *member;

		if (shard->runs || shard->shard != group->member_count)
			continue;
		member = &group->members[group->member_count++];
		member->volume = shard->volume;
		member->log_start = shard->log_start;
		member->log_size = shard->log_size;
		r = outer_plan_fill(catalog, SIZE_MAX, member, err);
	}
	set_size(group);
	return r;
}

int outer_plan_again(struct catalog *catalog, const struct group_place *place,
		     struct group *group_out, struct error *err)
{
	struct group group = { .data = place->data, .parity = place->parity };
	int r;

	r = copy_members(catalog, place, &group, err);
	if (r < 0) {
		group_done(&group);
		return r;
	}
	*group_out = group;
	return 0;
}
