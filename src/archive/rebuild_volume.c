/* SPDX-License-Identifier: MIT */
/* Records are read from the last one back to the header, as the chain goes. Where a record
 * is beyond repair the chain ends, because the place of the one before it stood in the lost
 * one. But the pages of the stripes before the lost record name that place too. So the
 * search begins again as if the volume ended where the lost record is, until the header
 * record is reached or nothing more is found. What the lost record listed stays unknown.
 *
 * Unless it is in a group of the outer code within the volume: those are listed behind what they
 * cover, so they are known by then, with the stripes of their members. Then the record comes
 * from its group, and the chain goes on.
 */
#include "archive/rebuild_volume.h"

#include "archive/outer_read.h"
#include "archive/places.h"
#include "archive/volume_folder.h"
#include "archive/volume_rows.h"
#include "archive/volume_set.h"
#include "base/error.h"
#include "catalog/placement.h"
#include "volume/backend.h"
#include "volume/backend_cut.h"
#include "volume/chain.h"
#include "volume/stripe_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

void rebuild_tell(struct rebuild *rebuild, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	rebuild->report.problems++;
	if (rebuild->problem)
		rebuild->problem(rebuild->context, text);
}

/* How far the walk over one volume has come. */
struct progress {
	struct rebuild *rebuild;
	const struct volume_file *file;
	struct volume_set *volumes; /* made when it is needed; owned */
	const char *name;
	uint64_t records;
	uint64_t
		previous; /* offset of the record that the last one read names; or NONE */
	uint64_t sequence; /* of the last one read */
	bool sealed;
	bool failed; /* taking it in failed, not reading */
};

static bool is_bad_head(int r)
{
	return r == -ESTALE || r == -EBADMSG || r == -EPROTONOSUPPORT;
}

static int take_head(struct progress *progress, const struct record *record,
		     struct error *err)
{
	struct rebuild *rebuild = progress->rebuild;
	struct error why = { 0 };
	int r;

	r = replay_take(&rebuild->replay, record, &why);
	if (r >= 0) {
		rebuild->report.commits += r == 0;
		return 0;
	}
	if (!is_bad_head(r)) {
		if (err)
			*err = why;
		return r;
	}
	rebuild_tell(rebuild, "'%s': %s", progress->name, why.text);
	return 0;
}

/* What the file did not tell when it was looked at: its header record came later. */
static int take_info(const struct progress *progress, const struct record *record,
		     struct error *err)
{
	struct volume_file file = *progress->file;
	int r;

	file.info = record->info;
	file.info_size = record->info_size;
	r = volume_rows_put(progress->rebuild->catalog, &file, false, err);
	return r < 0 ? r : volume_rows_put_roster(progress->rebuild->catalog, &file, err);
}

/* Payload of a record that is lost, from a group that the catalog knows by now. */
static int read_from_group(void *context, uint64_t log_offset, void *data, size_t size,
			   struct error *err)
{
	struct progress *progress = context;
	const struct rebuild *rebuild = progress->rebuild;
	const struct volume_set_options options = {
		.places = rebuild->places,
		.archive_id = rebuild->archive_id,
		.catalog = rebuild->catalog,
		.budget = rebuild->budget,
	};
	int r = 0;

	if (!progress->volumes)
		r = volume_set_new(&options, &progress->volumes, err);
	return r < 0 ? r
		     : outer_read(progress->volumes, &progress->file->uuid, log_offset,
				  data, size, err);
}

static int take_record(void *context, const struct record *record,
		       const struct stripe_info *own, struct error *err)
{
	struct progress *progress = context;
	struct rebuild *rebuild = progress->rebuild;
	int r;

	progress->records++;
	progress->previous = record->previous_offset;
	progress->sequence = record->sequence;
	if (!hash_equal(&record->archive_id, &rebuild->archive_id)) {
		rebuild_tell(rebuild, "'%s': record %" PRIu64 " is of another archive",
			     progress->name, record->sequence);
		return 0;
	}
	r = catalog_put_record(rebuild->catalog, record, own, err);
	if (r == 0 && record->kind == STRIPE_HEADER && !progress->file->info)
		r = take_info(progress, record, err);
	if (r == 0)
		r = take_head(progress, record, err);
	if (r < 0) {
		progress->failed = true;
		return r;
	}
	rebuild->report.records++;
	progress->sealed |= record->kind == STRIPE_END;
	return 0;
}

/* Read back from @end as far as the chain goes. 1: look further back, 0: done. */
static int read_back(struct progress *progress, struct backend *backend,
		     const struct uuid *volume, uint64_t end, struct error *err)
{
	const struct stripe_rescue from_groups = { read_from_group, progress };
	struct rebuild *rebuild = progress->rebuild;
	uint64_t before = progress->records;
	autoptr(backend) cut = NULL;
	struct error why = { 0 };
	int r;

	r = backend_cut_new(backend, end, &cut, err);
	if (r < 0)
		return r;
	r = chain_visit_back(cut, volume, &from_groups, take_record, progress, &why);
	if (r == 0)
		return 0;
	if (progress->failed || r == -ENOMEM) {
		if (err)
			*err = why;
		return r;
	}
	if (progress->records == before) {
		rebuild_tell(rebuild, "'%s': no record before byte %" PRIu64,
			     progress->name, end);
		return 0;
	}
	rebuild_tell(rebuild,
		     "'%s': the record before record %" PRIu64 ", at byte %" PRIu64
		     ", is lost: %s",
		     progress->name, progress->sequence, progress->previous, why.text);
	return 1;
}

int rebuild_volume(struct rebuild *rebuild, const struct volume_file *file,
		   struct error *err)
{
	struct progress progress = { .rebuild = rebuild,
				     .file = file,
				     .name = file->name };
	autoptr(backend) backend = NULL;
	struct error why = { 0 };
	uint64_t end;
	int r;

	r = backend_file_open(places_base(rebuild->places), file->name, 0, &backend,
			      &why);
	if (r < 0) {
		rebuild_tell(rebuild, "%s", why.text);
		return r == -ENOMEM ? error_set(err, r, "%s", why.text) : 0;
	}
	r = volume_folder_sync(places_base(rebuild->places), file->name, err);
	if (r < 0)
		return r;
	end = backend_position(backend);
	do {
		r = read_back(&progress, backend, &file->uuid, end, err);
		end = progress.previous;
	} while (r > 0 && end != RECORD_OFFSET_NONE && end > 0);
	volume_set_free(progress.volumes);
	if (r < 0)
		return r;
	rebuild->report.volumes++;
	return progress.sealed ? volume_rows_put(rebuild->catalog, file, true, err) : 0;
}
