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

static int find_gaps(struct catalog *catalog, struct volume_set *volumes,
		     const struct volume_list *list, unsigned parity, struct gap *gaps,
		     size_t *count_out, struct error *err)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct volume_row *row = &list->rows[i];
		struct outer_cover cover;
		int r;

		if (row->role != VOLUME_DATA || row->record_count == 0)
			continue;
		r = outer_cover_get(catalog, row, parity, &cover, err);
		if (r < 0)
			return r;
		if (cover.gap_start == cover.gap_end || !is_attached(volumes, &row->uuid))
			continue;
		gaps[count++] = (struct gap){ row->uuid, cover.gap_start, cover.gap_end };
	}
	if (count > 1)
		qsort(gaps, count, sizeof(*gaps), compare_gaps);
	*count_out = count;
	return 0;
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

/* Find the stripes of the member, or of as much of it as @limit bytes of entry hold. */
static int fill_member(struct catalog *catalog, size_t limit, struct group_member *member,
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

static size_t member_limit(unsigned data)
{
	return (GROUP_ENTRY_MAX - sizeof(struct group_wire) -
		OUTER_ENTRY_RUNS * sizeof(struct group_run_wire)) /
	       data;
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
		r = fill_member(catalog, member_limit(group->data), member, err);
	}
	set_size(group);
	return r;
}

static int plan_gaps(struct catalog *catalog, const struct outer_plan *plan,
		     const struct gap *gaps, size_t count, struct group *group_out,
		     struct error *err)
{
	struct group group = { .data = plan->data, .parity = plan->parity };
	uint64_t size;
	int r;

	if (count > plan->data)
		count = plan->data;
	if (count == 0 || (plan->full_only && count < plan->data))
		return CATALOG_END;
	size = gaps[count - 1].end - gaps[count - 1].start;
	if (size > plan->size_max)
		size = plan->size_max;
	r = make_members(catalog, gaps, count, size, &group, err);
	if (r < 0) {
		group_done(&group);
		return r;
	}
	*group_out = group;
	return 0;
}

int outer_plan_next(struct catalog *catalog, struct volume_set *volumes,
		    const struct outer_plan *plan, struct group *group_out,
		    struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	autofree struct gap *gaps = NULL;
	size_t count = 0;
	int r;

	r = volume_list_load(catalog, &list, err);
	if (r < 0)
		return r;
	gaps = calloc(list.count + 1, sizeof(*gaps));
	if (!gaps)
		return error_set(err, -ENOMEM, "no memory for a plan");
	r = find_gaps(catalog, volumes, &list, plan->parity, gaps, &count, err);
	if (r < 0)
		return r;
	return plan_gaps(catalog, plan, gaps, count, group_out, err);
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
		r = fill_member(catalog, SIZE_MAX, member, err);
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
