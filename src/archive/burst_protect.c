/* SPDX-License-Identifier: MIT */
/* Volume by volume, group by group, each group in a transaction of its own (protect_group.c has
 * the durable steps). The volume's writer stays open from one group to the next; its readers
 * see what records list, which is all that members ever are.
 */
#include "archive/burst_protect.h"

#include "archive/archive.h"
#include "archive/burst_cover.h"
#include "archive/burst_plan.h"
#include "archive/outer_cover.h"
#include "archive/protect_group.h"
#include "archive/volume_list.h"
#include "archive/volume_set.h"
#include "base/config.h"
#include "base/log.h"

#include <errno.h>

#define SLICES 4u /* groups of a column of the least length: a killed run repeats one */

/* Whether anything can be appended, once it is attached. */
static bool is_writable(struct catalog *catalog, const struct volume_row *row)
{
	return row->role == VOLUME_DATA && !row->retired && !row->sealed &&
	       row->record_count > 0 && !outer_is_cut(catalog, row);
}

static int add_volume(struct catalog *catalog, const struct config *config,
		      const struct volume_row *row, struct burst_totals *totals,
		      struct error *err)
{
	autoptr(burst_plan) plan = NULL;
	struct burst_cover cover;
	uint64_t parity = 0;
	int r;

	r = burst_cover_get(catalog, row, config->parity.burst, NULL, NULL, &cover, err);
	if (r < 0)
		return r;
	totals->covered += cover.covered;
	totals->uncovered += burst_uncovered(&cover);
	if (!is_writable(catalog, row)) {
		totals->sealed += burst_uncovered(&cover);
		return 0;
	}
	r = burst_plan_new(catalog, row, config, true, &plan, err);
	if (r < 0)
		return r;
	totals->due += burst_plan_left(plan, &parity);
	totals->parity += parity;
	return 0;
}

int burst_totals_get(struct catalog *catalog, const struct config *config,
		     struct burst_totals *totals_out, struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	struct burst_totals totals = { 0 };
	int r;

	r = volume_list_load(catalog, &list, err);
	for (size_t i = 0; r == 0 && i < list.count; i++)
		if (list.rows[i].role == VOLUME_DATA && !list.rows[i].retired)
			r = add_volume(catalog, config, &list.rows[i], &totals, err);
	if (r < 0)
		return r;
	*totals_out = totals;
	return 0;
}

/* ---- one volume ---- */

struct pass {
	struct protect *protect;
	struct volume_row row; /* owned */
	struct burst_plan *plan;
	struct outer_lanes lanes;
};

static struct catalog *catalog_of(const struct pass *pass)
{
	return archive_catalog(pass->protect->archive);
}

static bool is_attached(const struct pass *pass)
{
	autofree char *file = NULL;

	return volume_set_find_file(archive_volumes(pass->protect->archive),
				    &pass->row.uuid, &file, NULL) == 0;
}

static uint64_t slice_size(const struct pass *pass)
{
	uint64_t size = archive_config(pass->protect->archive)->parity.burst / SLICES;

	return size < GROUP_CHUNK_SIZE ? GROUP_CHUNK_SIZE : size;
}

/* What was planned for the room that there is; CATALOG_END: there is no more. */
static int plan_group(struct pass *pass, struct group *group, struct error *err)
{
	uint64_t room = slice_size(pass);
	uint64_t end;
	int r;

	if (pass->lanes.count > 0 && outer_lanes_room(&pass->lanes, 0) < room)
		room = outer_lanes_room(&pass->lanes, 0);
	if (room == 0) {
		log_warn("volume '%s' has no room for the parity that it lacks",
			 pass->row.label ? pass->row.label : "");
		return CATALOG_END;
	}
	r = outer_log_end(catalog_of(pass), &pass->row, &end, err);
	return r < 0 ? r : burst_plan_next(pass->plan, room, end, group, err);
}

static int make_group(struct pass *pass, struct group *group, struct error *err)
{
	const unsigned number = 0;
	int r = 0;

	if (pass->lanes.count == 0) {
		r = outer_lanes_open_own(pass->protect->archive, &pass->row, &pass->lanes,
					 err);
		if (r == 0 && outer_lanes_room(&pass->lanes, 0) < group->size) {
			group_done(group);
			r = plan_group(pass, group, err);
		}
	}
	return r != 0 ? r
		      : protect_group(pass->protect, &pass->lanes, group, &number, err);
}

/* The catalog knows the volume's new end. */
static int reload(struct pass *pass, struct error *err)
{
	struct volume_row row = { 0 };
	int r = catalog_get_volume(catalog_of(pass), &pass->row.uuid, &row, err);

	if (r != 0)
		return r < 0 ? r : error_set(err, -EBADMSG, "the catalog lost a volume");
	volume_row_done(&pass->row);
	pass->row = row;
	return 0;
}

static int next_group(struct pass *pass, struct error *err)
{
	struct protect *protect = pass->protect;
	struct group group = { 0 };
	struct error why = { 0 };
	int r;

	r = plan_group(pass, &group, err);
	if (r != 0)
		return r;
	r = catalog_begin(catalog_of(pass), &why);
	if (r == 0)
		r = protect_finish(protect, make_group(pass, &group, &why), &why);
	protect->report.groups += r == 0;
	if (r == -EBADMSG && pass->lanes.count > 0) {
		protect_leave_out(protect, &why);
		for (size_t i = 0; i < group.member_count; i++)
			protect->left_out += group.members[i].log_size;
		r = 0;
	}
	if (r == 0) {
		burst_plan_take(pass->plan);
		r = reload(pass, &why);
	}
	if (r < 0 && err)
		*err = why;
	group_done(&group);
	return r;
}

static int run(struct pass *pass, struct error *err)
{
	int r;

	r = burst_plan_new(catalog_of(pass), &pass->row,
			   archive_config(pass->protect->archive),
			   !pass->protect->options->automatic, &pass->plan, err);
	while (r == 0) {
		if (protect_is_stopped(pass->protect))
			return error_set(err, -EINTR, "stopped");
		r = next_group(pass, err);
	}
	return r < 0 ? r : 0;
}

/* A volume that can't be written to does not keep others from being protected. */
static int run_volume(struct pass *pass, struct error *err)
{
	struct error why = { 0 };
	int r = run(pass, &why);

	if (r == -EROFS || r == -EACCES || r == -EPERM) {
		log_warn("%s", why.text);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

int burst_protect(struct protect *protect, struct error *err)
{
	struct catalog *catalog = archive_catalog(protect->archive);
	autovolume_list struct volume_list list = { 0 };
	int r;

	if (archive_config(protect->archive)->parity.burst == 0)
		return 0;
	r = volume_list_load(catalog, &list, err);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		struct pass pass = { .protect = protect, .row = list.rows[i] };

		if (!is_writable(catalog, &pass.row) || !is_attached(&pass))
			continue;
		list.rows[i] = (struct volume_row){ 0 }; /* taken over */
		r = run_volume(&pass, err);
		outer_lanes_done(&pass.lanes);
		burst_plan_free(pass.plan);
		volume_row_done(&pass.row);
	}
	return r;
}
