/* SPDX-License-Identifier: MIT */
#include "archive/rebuild_absent.h"

#include "archive/outer_records.h"
#include "archive/rebuild_volume.h"
#include "archive/volume_folder.h"
#include "archive/volume_list.h"
#include "archive/volume_rows.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/error.h"
#include "catalog/placement.h"

#include <inttypes.h>

struct absent {
	struct rebuild *rebuild;
	const struct volume_row *row;
	bool failed; /* taking it in failed, not reading */
};

/* What the header record says of the volume. */
static int put_row(struct absent *absent, const struct record *record, struct error *err)
{
	char no_name[] = "";
	const struct volume_file file = {
		.name = no_name,
		.uuid = absent->row->uuid,
		.info = record->info,
		.info_size = record->info_size,
	};

	return volume_rows_put(absent->rebuild->catalog, &file, false, err);
}

static int take_record(void *context, const struct stripe_info *stripe,
		       const struct record *record, struct error *err)
{
	struct absent *absent = context;
	struct rebuild *rebuild = absent->rebuild;
	struct error why = { 0 };
	int r = 0;

	if (!record)
		return 0;
	if (record->kind == STRIPE_HEADER)
		r = put_row(absent, record, err);
	if (r == 0)
		r = catalog_put_record(rebuild->catalog, record, stripe, err);
	if (r < 0) {
		absent->failed = true;
		return r;
	}
	rebuild->report.records++;
	r = replay_take(&rebuild->replay, record, &why);
	if (r >= 0)
		rebuild->report.commits += r == 0 && record->head_size > 0;
	else
		rebuild_tell(rebuild, "volume %" PRIu64 ": %s", absent->row->number,
			     why.text);
	return 0;
}

static int take_volume(struct rebuild *rebuild, struct volume_set *volumes,
		       const struct volume_row *row, struct error *err)
{
	struct absent absent = { .rebuild = rebuild, .row = row };
	struct error why = { 0 };
	int r;

	r = outer_visit_stripes(volumes, &row->uuid, 0, take_record, &absent, &why);
	if (r < 0 && (absent.failed || r == -ENOMEM)) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0)
		rebuild_tell(rebuild, "volume %" PRIu64 ": %s", row->number, why.text);
	return 0;
}

static int take_volumes(struct rebuild *rebuild, struct budget *budget, struct error *err)
{
	const struct volume_set_options options = {
		.places = rebuild->places,
		.archive_id = rebuild->archive_id,
		.catalog = rebuild->catalog,
		.budget = budget,
	};
	autovolume_list struct volume_list list = { 0 };
	autoptr(volume_set) volumes = NULL;
	int r;

	r = volume_set_new(&options, &volumes, err);
	if (r == 0)
		r = volume_list_load(rebuild->catalog, &list, err);
	for (size_t i = 0; r == 0 && i < list.count; i++)
		if (list.rows[i].record_count == 0 && list.rows[i].stripe_count > 0)
			r = take_volume(rebuild, volumes, &list.rows[i], err);
	return r;
}

int rebuild_absent_volumes(struct rebuild *rebuild, struct budget *budget,
			   struct error *err)
{
	int r = budget_reserve(budget, OUTER_RECORD_MEMORY, "records", err);

	if (r < 0)
		return r;
	r = take_volumes(rebuild, budget, err);
	budget_release(budget, OUTER_RECORD_MEMORY);
	return r;
}
