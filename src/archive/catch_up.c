/* SPDX-License-Identifier: MIT */
/* The catalog is behind the volumes after a writer was killed between a record and the end
 * of its catalog transaction, or when files came into its places by other ways.
 *
 * What to look at follows from a listing of the places, each path against the path under
 * which the catalog saw a volume last:
 *
 *     same name, sealed                      nothing
 *     same name, as long as its records say  nothing
 *     same name, longer                      records may follow: ask the chain of records
 *     same name, shorter                     an older copy (-ESTALE), or a last record whose
 *                                            parity was not written any more: ask likewise
 *     any other name                         identify it; then it is
 *        no volume, of another archive       nothing (each time anew: reads one page)
 *        unknown, or known by name only      a volume to take in whole
 *        known, and the other name is gone   renamed: note the name; then as above
 *        known, and the other name is there  a copy: of interest if it has more records
 *
 * A tail makes a file longer, but has no record: then nothing is needed, and the lock is
 * not asked for. A volume whose writer was killed before its header record was whole is no
 * volume. One with a header and no complete checkpoint is a volume like others: it becomes
 * the active one, and the next writer completes it. Nothing is written to volumes here:
 * a record's missing parity and a sealed file's protection are for the next writer as well.
 *
 * A commit record that only one of several copies had when its writer was killed, and whose
 * number another commit has got since, is taken in without its head, which is told once: the
 * history goes on from what the catalog knows.
 *
 * All is done in one transaction, the replay of the new commits included, so that a crash
 * here changes nothing.
 */
#include "archive/catch_up.h"

#include "archive/places.h"
#include "archive/replay.h"
#include "archive/source_local.h"
#include "archive/volume_folder.h"
#include "archive/volume_list.h"
#include "archive/volume_rows.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/log.h"
#include "volume/backend.h"
#include "volume/chain.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* What is to be done for one file. */
enum work {
	WORK_NONE,
	WORK_NAME, /* the volume has this name now */
	WORK_FEED, /* and records to take in */
};

struct survey {
	const struct catch_up *catch_up;
	struct volume_list volumes; /* as the catalog knows them */
	struct volume_files files;
};

static void survey_done(struct survey *survey)
{
	volume_list_done(&survey->volumes);
	volume_files_done(&survey->files);
}

static int survey_init(struct survey *survey, const struct catch_up *catch_up,
		       struct error *err)
{
	int r;

	*survey = (struct survey){ .catch_up = catch_up };
	r = volume_list_load(catch_up->catalog, &survey->volumes, err);
	if (r < 0)
		return r;
	return volume_folder_list(catch_up->places, &survey->files, err);
}

static bool known_by_name_only(const struct volume_row *row)
{
	return row->record_count == 0;
}

/* Bytes up to the end of the last record's own stripe, as the catalog knows it. */
static int known_size(const struct catch_up *catch_up, const struct volume_row *row,
		      uint64_t *size_out, struct error *err)
{
	struct stripe_info own = { 0 };
	int r;

	r = catalog_find_stripe(catch_up->catalog, &row->uuid, row->log_end, &own, err);
	if (r == CATALOG_END)
		return error_set(err, -EBADMSG,
				 "the catalog is damaged: it does not know where volume "
				 "'%s' ends",
				 row->label);
	if (r < 0)
		return r;
	*size_out = own.offset + stripe_physical_size(&own);
	stripe_info_done(&own);
	return 0;
}

static struct log_end known_end(const struct catch_up *catch_up,
				const struct volume_row *row)
{
	return (struct log_end){
		.volume = row->uuid,
		.archive_id = catch_up->archive_id,
		.sequence = row->record_count,
		.previous_offset =
			row->record_count ? row->record_offset : RECORD_OFFSET_NONE,
		.previous_hash = row->record_hash,
	};
}

static int stale(struct error *err, const struct volume_row *row, const char *name)
{
	return error_set(err, -ESTALE,
			 "volume '%s': '%s' ends before the catalog's last record of "
			 "it. " VOLUME_FILE_STALE_ADVICE,
			 row->label, name);
}

#define FOUND (-ECANCELED) /* ends a walk over records */

static int stop_at_record(void *context, const struct record *record,
			  const struct stripe_info *own, struct error *err)
{
	(void)context;
	(void)record;
	(void)own;
	(void)err;
	return FOUND;
}

/* Whether records follow in a file that is longer than known, or whose length says nothing. */
static int find_new_records(const struct catch_up *catch_up, const struct volume_row *row,
			    const char *name, enum work *work_out, struct error *err)
{
	struct log_end end = known_end(catch_up, row);
	autoptr(backend) backend = NULL;
	struct error why = { 0 };
	int r;

	r = backend_file_open(places_base(catch_up->places), name, 0, &backend, err);
	if (r < 0)
		return r;
	r = budget_reserve(catch_up->budget, CHAIN_MEMORY, "records", err);
	if (r < 0)
		return r;
	r = chain_visit_after(backend, &end, NULL, stop_at_record, NULL, &why);
	budget_release(catch_up->budget, CHAIN_MEMORY);
	if (r == FOUND)
		*work_out = WORK_FEED;
	if (r == 0 || r == FOUND)
		return 0;
	if (r == -ESTALE)
		return stale(err, row, name);
	if (r == -EBADMSG) /* records, but not a continuation of those we know */
		return error_set(err, -ESTALE, "%s. " VOLUME_FILE_FORK_ADVICE, why.text);
	return error_set(err, r, "%s", why.text);
}

/* A known volume in its file: compare the sizes. A shorter file may be as it should: a record
 * counts as soon as it can be read, and its writer was killed before the parity. */
static int examine_growth(const struct survey *survey, const struct volume_row *row,
			  const struct volume_file *file, enum work *work_out,
			  struct error *err)
{
	uint64_t size = 0;
	int r;

	if (row->sealed)
		return 0;
	r = known_size(survey->catch_up, row, &size, err);
	if (r < 0 || file->size == size)
		return r;
	return find_new_records(survey->catch_up, row, file->name, work_out, err);
}

/* A known volume under another name than the catalog's. */
static int examine_other_name(const struct survey *survey, const struct volume_row *row,
			      const struct volume_file *file, enum work *work_out,
			      struct error *err)
{
	const struct catch_up *catch_up = survey->catch_up;
	int r;

	if (row->file[0] == 0 || volume_folder_check(places_base(catch_up->places),
						     row->file, &row->uuid, NULL) < 0) {
		*work_out = WORK_NAME;
		return examine_growth(survey, row, file, work_out, err);
	}
	r = examine_growth(survey, row, file, work_out, NULL);
	if (r < 0 || *work_out != WORK_FEED)
		log_debug("'%s' is a copy of '%s' and not used", file->name, row->file);
	return r == -ENOMEM ? error_set(err, r, "no memory to compare copies") : 0;
}

/* Find out what @file is and what that asks for. */
static int examine_content(const struct survey *survey, struct volume_file *file,
			   enum work *work_out, struct error *err)
{
	const struct catch_up *catch_up = survey->catch_up;
	const struct volume_row *row;
	int r;

	r = volume_folder_identify(places_base(catch_up->places), &catch_up->archive_id,
				   file, err);
	if (r < 0)
		return r;
	if (file->state != VOLUME_FILE_GOOD) {
		log_debug("'%s' is not used: %s", file->name, file->problem);
		return 0;
	}
	row = volume_list_find(&survey->volumes, &file->uuid);
	if (!row || known_by_name_only(row)) {
		*work_out = WORK_FEED;
		return 0;
	}
	if (strcmp(row->file, file->name) == 0)
		return examine_growth(survey, row, file, work_out, err);
	return examine_other_name(survey, row, file, work_out, err);
}

static int examine(const struct survey *survey, struct volume_file *file,
		   enum work *work_out, struct error *err)
{
	const struct volume_row *row =
		volume_list_find_file(&survey->volumes, file->name);
	struct stat st;
	uint64_t size = 0;
	int r;

	*work_out = WORK_NONE;
	if (!row || known_by_name_only(row))
		return examine_content(survey, file, work_out, err);
	if (row->sealed)
		return 0;
	r = known_size(survey->catch_up, row, &size, err);
	if (r < 0)
		return r;
	if (fstatat(places_base(survey->catch_up->places), file->name, &st, 0) < 0)
		return errno == ENOENT ? 0
				       : error_set_errno(err, -errno, "'%s'", file->name);
	if ((uint64_t)st.st_size == size)
		return 0;
	return examine_content(survey, file, work_out, err);
}

int catch_up_needed(const struct catch_up *catch_up, bool *needed_out, struct error *err)
{
	struct survey survey __attribute__((__cleanup__(survey_done))) = { 0 };
	enum work work = WORK_NONE;
	int r;

	r = survey_init(&survey, catch_up, err);
	for (size_t i = 0; r == 0 && work == WORK_NONE && i < survey.files.count; i++)
		r = examine(&survey, &survey.files.items[i], &work, err);
	if (r < 0)
		return r;
	*needed_out = work != WORK_NONE;
	return 0;
}

/* Taking in records. */
struct feed {
	struct catch_up *catch_up; /* its results are counted up */
	struct replay *replay;
	const char *name; /* of the file */
	bool sealed;      /* an end record was among them */
};

/* Take the head of @record. With copies, one that was left behind by a kill is no failure;
 * longer branches do not end in the known commits and fail when they are replayed. */
static int feed_head(struct feed *feed, const struct record *record, struct error *err)
{
	struct catch_up *catch_up = feed->catch_up;
	struct error why = { 0 };
	int r;

	r = replay_take(feed->replay, record, &why);
	if (r == REPLAY_OLD)
		catch_up->old_commits++;
	if (r >= 0)
		return 0;
	if (r == -ESTALE && catch_up->copies) {
		(void)error_set(&catch_up->left_out, r, "'%s': %s. One is left out",
				feed->name, why.text);
		return 0;
	}
	if (err)
		*err = why;
	return r;
}

static int feed_record(void *context, const struct record *record,
		       const struct stripe_info *own, struct error *err)
{
	struct feed *feed = context;
	struct catch_up *catch_up = feed->catch_up;
	int r;

	if (!hash_equal(&record->archive_id, &catch_up->archive_id))
		return error_set(err, -ESTALE, "a record of another archive");
	r = catalog_put_record(catch_up->catalog, record, own, err);
	if (r < 0)
		return r;
	catch_up->records++;
	if (record->kind == STRIPE_END)
		feed->sealed = true;
	return feed_head(feed, record, err);
}

/* Take in the records of @file after those that are known. They are made durable first: a
 * catalog that knows more than its volumes would look as if these were old copies. */
static int feed_file(const struct survey *survey, const struct volume_file *file,
		     struct feed *feed, struct error *err)
{
	const struct catch_up *catch_up = survey->catch_up;
	const struct volume_row unknown = { .uuid = file->uuid };
	const struct volume_row *row = volume_list_find(&survey->volumes, &file->uuid);
	struct log_end end = known_end(catch_up, row ? row : &unknown);
	autoptr(backend) backend = NULL;
	int r;

	r = volume_rows_put(catch_up->catalog, file, row && row->sealed, err);
	if (r == 0)
		r = volume_rows_put_roster(catch_up->catalog, file, err);
	if (r < 0)
		return r;
	r = backend_file_open(places_base(catch_up->places), file->name, 0, &backend,
			      err);
	if (r < 0)
		return r;
	r = volume_folder_sync(places_base(catch_up->places), file->name, err);
	if (r < 0)
		return r;
	feed->name = file->name;
	feed->sealed = false;
	r = budget_reserve(catch_up->budget, CHAIN_MEMORY, "records", err);
	if (r < 0)
		return r;
	r = chain_visit_after(backend, &end, NULL, feed_record, feed, err);
	budget_release(catch_up->budget, CHAIN_MEMORY);
	if (r < 0 || !feed->sealed)
		return r;
	return volume_rows_put(catch_up->catalog, file, true, err);
}

static int do_work(const struct survey *survey, struct volume_file *file, enum work work,
		   struct feed *feed, struct error *err)
{
	const struct volume_row *row = volume_list_find(&survey->volumes, &file->uuid);
	int r = 0;

	if (work == WORK_NAME)
		r = volume_rows_put(survey->catch_up->catalog, file, row && row->sealed,
				    err);
	else if (work == WORK_FEED)
		r = feed_file(survey, file, feed, err);
	return r < 0 ? error_prefix(err, r, "'%s'", file->name) : 0;
}

/* After one file the catalog's list is read again: the next file may be a copy of it. */
static int do_file(struct survey *survey, struct volume_file *file, struct feed *feed,
		   struct error *err)
{
	struct volume_list volumes = { 0 };
	enum work work;
	int r;

	r = examine(survey, file, &work, err);
	if (r < 0 || work == WORK_NONE)
		return r;
	r = do_work(survey, file, work, feed, err);
	if (r == 0)
		r = volume_list_load(survey->catch_up->catalog, &volumes, err);
	if (r < 0)
		return r;
	volume_list_done(&survey->volumes);
	survey->volumes = volumes;
	return 0;
}

/* Replay the commits that were taken in, reading through the transaction. */
static int replay_commits(struct catch_up *catch_up, struct replay *replay,
			  struct error *err)
{
	const struct volume_set_options options = {
		.places = catch_up->places,
		.archive_id = catch_up->archive_id,
		.catalog = catch_up->catalog,
		.budget = catch_up->budget,
	};
	uint64_t before = replay->started ? replay->last : 0;
	autoptr(volume_set) volumes = NULL;
	autoptr(source) source = NULL;
	int r;

	r = volume_set_new(&options, &volumes, err);
	if (r < 0)
		return r;
	r = source_local_new(volumes, catch_up->budget, &source, err);
	if (r < 0)
		return r;
	r = replay_run(replay, source, NULL, err);
	catch_up->commits = replay->last - before;
	return r;
}

static int run(struct catch_up *catch_up, struct error *err)
{
	struct survey survey __attribute__((__cleanup__(survey_done))) = { 0 };
	struct replay replay;
	struct feed feed = { .catch_up = catch_up, .replay = &replay };
	int r;

	r = replay_init(&replay, catch_up->catalog, err);
	if (r == 0)
		r = survey_init(&survey, catch_up, err);
	for (size_t i = 0; r == 0 && i < survey.files.count; i++)
		r = do_file(&survey, &survey.files.items[i], &feed, err);
	if (r < 0)
		return r;
	return replay_commits(catch_up, &replay, err);
}

int catch_up_run(struct catch_up *catch_up, struct error *err)
{
	int r;

	r = catalog_begin(catch_up->catalog, err);
	if (r < 0)
		return r;
	r = run(catch_up, err);
	if (r < 0) {
		catalog_rollback(catch_up->catalog);
		return r;
	}
	crash_point("archive.catch_up.done");
	r = catalog_commit(catch_up->catalog, err);
	if (r < 0)
		return r;
	crash_point("archive.catch_up.committed");
	return 0;
}
