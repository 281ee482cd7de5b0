/* SPDX-License-Identifier: MIT */
/* First within each volume (burst_protect.c), then over the set: first what is half done, then
 * what is new. Each group is one transaction of the catalog;
 * the lanes stay open from one group to the next.
 *
 * A shard is missing where no volume is known that holds it, or only one that is retired or that
 * the caller says is lost. A parity volume that is merely away is not replaced: it will be
 * back. Where a member is away, a group's missing shards wait for it. Where a member has lost
 * something for good, that range of its stripe is left out of new groups, which is said at
 * the end, and all else is protected; a group that there is gets no missing shard then.
 */
#include "archive/protect.h"

#include "archive/archive.h"
#include "archive/outer_plan.h"
#include "archive/protect_group.h"
#include "archive/protect_probe.h"
#include "archive/volume_set.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "base/log.h"

#include <inttypes.h>
#include <string.h>

#define GROUP_TARGET (UINT64_C(1) << 30) /* bytes of a shard: what a killed run repeats */

/* ---- groups that lack something ---- */

struct unfinished {
	const struct uuid *lost;
	struct hash *ids; /* owned */
	size_t count;
};

static bool is_lost(const struct uuid *lost, const struct group_shard *shard)
{
	return shard->retired || (lost && memcmp(lost, &shard->volume, UUID_SIZE) == 0);
}

/* The numbers of the parity shards that @group lacks; how many. */
static unsigned missing_shards(const struct group_place *group, const struct uuid *lost,
			       unsigned numbers[GROUP_PARITY_MAX])
{
	bool found[GROUP_PARITY_MAX] = { false };
	unsigned count = 0;

	for (size_t i = 0; i < group->shard_count; i++) {
		const struct group_shard *shard = &group->shards[i];

		if (shard->runs && !is_lost(lost, shard))
			found[shard->shard - group->data] = true;
	}
	for (unsigned i = 0; i < group->parity; i++)
		if (!found[i])
			numbers[count++] = i;
	return count;
}

/* Whether a member is given up: then the others go into new groups. */
static bool has_retired(const struct group_place *group)
{
	for (size_t i = 0; i < group->shard_count; i++)
		if (!group->shards[i].runs && group->shards[i].retired)
			return true;
	return false;
}

static int note_unfinished(void *context, const struct group_place *group)
{
	struct unfinished *unfinished = context;
	unsigned numbers[GROUP_PARITY_MAX];
	struct hash *grown;

	if (missing_shards(group, unfinished->lost, numbers) == 0 || has_retired(group))
		return 0;
	grown = reallocarray(unfinished->ids, unfinished->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	unfinished->ids = grown;
	grown[unfinished->count++] = group->id;
	return 0;
}

static int avoid_shards(const struct group_place *place, struct uuid **volumes_out,
			struct error *err)
{
	struct uuid *volumes = calloc(place->shard_count + 1, sizeof(*volumes));

	if (!volumes)
		return error_set(err, -ENOMEM, "no memory for a group");
	for (size_t i = 0; i < place->shard_count; i++)
		volumes[i] = place->shards[i].volume;
	*volumes_out = volumes;
	return 0;
}

/* Make what @place lacks, on volumes that have nothing of the group. */
static int complete_place(struct protect *protect, const struct group_place *place,
			  const struct group *group, struct error *err)
{
	autoouter_lanes struct outer_lanes lanes = { 0 };
	autofree struct uuid *avoid = NULL;
	unsigned numbers[GROUP_PARITY_MAX];
	unsigned count = missing_shards(place, protect->options->lost, numbers);
	uint64_t room = 0;
	int r;

	r = avoid_shards(place, &avoid, err);
	if (r == 0)
		r = outer_lanes_open(protect->archive, count, avoid, place->shard_count,
				     &lanes, err);
	if (r == 0)
		r = outer_lanes_make_room(&lanes, group->size, &room, err);
	if (r == 0 && room < group->size)
		r = active_volume_too_small(lanes.active[0], group->size, err);
	if (r == 0)
		r = protect_group(protect, &lanes, group, numbers, err);
	if (r == 0)
		protect->report.shards += count;
	return r;
}

/* Before a volume is begun for what can't be read: -ENOMEDIUM names the member that is away. */
static int find_members(struct protect *protect, const struct group *group,
			struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < group->member_count; i++) {
		autofree char *file = NULL;

		r = volume_set_find_file(archive_volumes(protect->archive),
					 &group->members[i].volume, &file, err);
	}
	return r;
}

static int complete_group(struct protect *protect, const struct hash *id,
			  struct error *err)
{
	struct catalog *catalog = archive_catalog(protect->archive);
	struct group_place place = { 0 };
	struct group group = { 0 };
	int r;

	r = catalog_get_group(catalog, id, &place, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = outer_plan_again(catalog, &place, &group, err);
	if (r == 0)
		r = find_members(protect, &group, err);
	if (r == 0)
		r = complete_place(protect, &place, &group, err);
	group_done(&group);
	group_place_done(&place);
	return r;
}

static int complete_groups(struct protect *protect, struct error *err)
{
	struct catalog *catalog = archive_catalog(protect->archive);
	struct unfinished unfinished = { .lost = protect->options->lost };
	int r;

	r = catalog_visit_groups(catalog, note_unfinished, &unfinished, err);
	for (size_t i = 0; r == 0 && i < unfinished.count; i++) {
		struct error why = { 0 };

		r = catalog_begin(catalog, err);
		if (r < 0)
			break;
		r = protect_finish(
			protect, complete_group(protect, &unfinished.ids[i], &why), &why);
		if (r == -ENOMEDIUM && !protect->options->lost) {
			log_warn("a group can't get its missing parity now: %s",
				 why.text);
			r = 0;
		}
		if (r == -EBADMSG) {
			protect_leave_out(protect, &why);
			r = 0;
		}
		if (r < 0 && err)
			*err = why;
	}
	free(unfinished.ids);
	return r;
}

/* ---- new groups ---- */

/* @group was planned; if the lanes have less room than it wants, it is planned again. */
static int add_group(struct protect *protect, struct outer_plan *plan,
		     struct outer_lanes *lanes, struct group *group, struct error *err)
{
	unsigned numbers[GROUP_PARITY_MAX];
	uint64_t room = 0;
	int r = 0;

	if (lanes->count == 0)
		r = outer_lanes_open(protect->archive, group->parity, NULL, 0, lanes,
				     err);
	if (r == 0)
		r = outer_lanes_make_room(lanes, group->size, &room, err);
	if (r == 0 && room < group->size) {
		group_done(group);
		r = outer_plan_next(plan, room, group, err);
	}
	if (r != 0)
		return r;
	for (unsigned i = 0; i < group->parity; i++)
		numbers[i] = i;
	r = protect_group(protect, lanes, group, numbers, err);
	if (r == 0)
		protect->report.groups++;
	return r;
}

/* What kept @group from being made is left out from now on; all of it, if that can't be found
 * any more. */
static int leave_out_bad(struct protect *protect, struct outer_plan *plan,
			 const struct group *group, const struct error *why,
			 struct error *err)
{
	unsigned count = 0;
	int r = protect_probe(protect, plan, group, false, &count, err);

	if (r == 0 && count == 0) {
		protect_leave_out(protect, why);
		outer_plan_take(plan, group);
	}
	return r;
}

/* @group is the next one of the plan. 0, or CATALOG_END: there is no more. */
static int make_group(struct protect *protect, struct outer_plan *plan,
		      struct outer_lanes *lanes, struct group *group, struct error *err)
{
	struct error why = { 0 };
	int r;

	r = catalog_begin(archive_catalog(protect->archive), &why);
	if (r == 0)
		r = protect_finish(protect, add_group(protect, plan, lanes, group, &why),
				   &why);
	if (r == -EBADMSG && group->member_count > 0)
		return leave_out_bad(protect, plan, group, &why, err);
	if (r == 0)
		outer_plan_take(plan, group);
	else if (r < 0 && err)
		*err = why;
	return r;
}

/* 0, or CATALOG_END: there is no more. */
static int next_group(struct protect *protect, struct outer_plan *plan,
		      struct outer_lanes *lanes, struct error *err)
{
	struct group group = { 0 };
	unsigned count = 0;
	int r;

	r = outer_plan_next(plan, GROUP_TARGET, &group, err);
	if (r != 0)
		return r;
	r = protect_probe(protect, plan, &group, true, &count, err);
	if (r == 0 && count == 0) /* else it is planned again, without them */
		r = make_group(protect, plan, lanes, &group, err);
	group_done(&group);
	return r;
}

static int make_groups(struct protect *protect, struct outer_plan *plan,
		       struct error *err)
{
	autoouter_lanes struct outer_lanes lanes = { 0 };
	int r = 0;

	while (r == 0) {
		if (protect_is_stopped(protect))
			return error_set(err, -EINTR, "stopped");
		r = next_group(protect, plan, &lanes, err);
	}
	return r < 0 ? r : 0;
}

/* ---- the run ---- */

/* About so much parity will be made: p times what the volume with the most has, or all of it
 * over k, whichever is more. */
static uint64_t estimate(const struct config_code *code, uint64_t sum, uint64_t most)
{
	return code->parity * (most > sum / code->data ? most : sum / code->data);
}

static int new_plan(struct protect *protect, struct outer_plan **plan_out,
		    struct error *err)
{
	const struct config_code *code = &archive_config(protect->archive)->volume.outer;
	const struct outer_plan_options options = {
		.data = code->data,
		.parity = code->parity,
		.full_only = protect->options->full_only,
	};

	return outer_plan_new(archive_catalog(protect->archive),
			      archive_volumes(protect->archive), &options, plan_out, err);
}

/* Over the volumes of the set. */
static int protect_set(struct protect *protect, struct error *err)
{
	const struct config_code *code = &archive_config(protect->archive)->volume.outer;
	autoptr(outer_plan) plan = NULL;
	uint64_t sum, most;
	int r = 0;

	if (!protect->options->dry_run)
		r = complete_groups(protect, err);
	if (r == 0)
		r = new_plan(protect, &plan, err);
	if (r < 0)
		return r;
	outer_plan_left(plan, &sum, &most);
	if (protect->options->dry_run) {
		protect->report.read += sum;
		protect->report.written += estimate(code, sum, most);
		return 0;
	}
	protect->total = protect->report.read + sum;
	return make_groups(protect, plan, err);
}

/* Within volumes. */
static int protect_volumes(struct protect *protect, const struct burst_totals *totals,
			   struct error *err)
{
	if (protect->options->lost)
		return 0;
	if (protect->options->dry_run) {
		protect->report.read += totals->due;
		protect->report.written += totals->parity;
		return 0;
	}
	protect->total = totals->due;
	return burst_protect(protect, err);
}

static bool wants_set(const struct protect *protect)
{
	const struct config *config = archive_config(protect->archive);

	return config->volume.outer.data > 0 &&
	       (!protect->options->automatic ||
		config->volume.protect == CONFIG_PROTECT_COMMIT);
}

/* What is appended to volumes is theirs to lose like the rest, so the set comes last. */
static int run(struct protect *protect, const struct burst_totals *totals,
	       struct error *err)
{
	int r;

	r = protect_volumes(protect, totals, err);
	if (r == 0 && wants_set(protect))
		r = protect_set(protect, err);
	if (r == 0 && (protect->unreadable || protect->left_out > 0))
		r = error_set(err, -EBADMSG,
			      "left out what can't be read, %" PRIu64
			      " bytes of stripes; "
			      "'blockframe health' says which files: %s",
			      protect->left_out, protect->why.text);
	return r;
}

static int check_code(const struct config *config, const struct protect_options *options,
		      const struct burst_totals *totals, struct error *err)
{
	if (config->volume.outer.data > 0 || options->automatic ||
	    totals->covered + totals->due > 0)
		return 0;
	return error_set(err, -EINVAL,
			 "no outer code is set: [volume] outer = \"4+2\" makes "
			 "any 2 volumes of each 6 expendable");
}

int protect_run(struct archive *archive, const struct protect_options *options,
		struct protect_report *report_out, struct error *err)
{
	const struct config *config = archive_config(archive);
	unsigned parity = config->volume.outer.data ? config->volume.outer.parity : 1;
	struct protect protect = { .archive = archive, .options = options };
	struct catalog *catalog = archive_catalog(archive);
	struct burst_totals totals;
	int r;

	r = burst_totals_get(catalog, config, &totals, err);
	if (r == 0)
		r = check_code(config, options, &totals, err);
	if (r < 0 || (options->automatic && totals.due == 0 && !wants_set(&protect)))
		return r;
	protect.started = clock_monotonic_ns();
	r = outer_totals_get(catalog, parity, &protect.report.before, err);
	if (r == 0)
		r = run(&protect, &totals, err);
	protect.report.stopped = r == -EINTR;
	if (r < 0 && r != -EINTR)
		return r;
	r = outer_totals_get(catalog, parity, &protect.report.after, err);
	if (r == 0)
		r = burst_totals_get(catalog, config, &protect.report.burst, err);
	if (r < 0)
		return r;
	protect.report.elapsed = clock_monotonic_ns() - protect.started;
	*report_out = protect.report;
	return 0;
}
