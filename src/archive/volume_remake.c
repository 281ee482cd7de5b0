/* SPDX-License-Identifier: MIT */
/* Durable steps, and what the next run finds after each:
 *
 *     NAME.part with some stripes       goes on behind the last byte that is there
 *     NAME.part, all of it, synced      verifies it
 *     NAME.part under the name NAME     a volume (replace: a copy of the old one, in use)
 *     the old file renamed (replace)    out of use; NAME is in use
 *
 * So at no time is there no volume. A replacement that was killed between the names leaves the
 * old one in use and the new one beside it, which the next run verifies once more: what was
 * appended to the old one since would be missing from it.
 *
 * Each extent is compared with its hash before it is written, and the file is scrubbed before
 * it gets its name: after a power cut something in the middle may not be there. Then it is
 * begun anew, once.
 *
 * A parity volume is in no group itself. Its shards are made again, on other volumes.
 */
#include "archive/volume_remake.h"

#include "archive/archive.h"
#include "archive/outer_read.h"
#include "archive/outer_records.h"
#include "archive/places.h"
#include "archive/protect.h"
#include "archive/volume_folder.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "catalog/placement.h"
#include "volume/backend.h"
#include "volume/chain.h"
#include "volume/scrub.h"
#include "volume/stripe_remake.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define READ_PART (1u << 20) /* bytes that one task reads */
#define READ_TASKS 40u       /* enough for the largest extent */
#define REPLACED_SUFFIX ".replaced"

struct work {
	struct archive *archive;
	const struct volume_remake_options *options;
	struct volume_remake_report *report;
	struct volume_row row; /* owned */
	uint64_t total;        /* bytes of the log */
	char *path;            /* of the new file; owned */
	char *part;            /* until it is whole; owned */
	bool named;            /* by an earlier run, which was killed: `part` is `path` */
	struct stripe_remake remake;
	uint64_t sequence; /* of the last record made */
};

struct read_task {
	struct task task;
	struct work *work;
	uint64_t log_offset;
	uint8_t *data;
	size_t size;
};

static bool is_stopped(const struct work *work)
{
	const struct volume_remake_options *options = work->options;

	return options->stopped && options->stopped(options->context);
}

/* ---- reading ---- */

static int run_read(struct task *task, unsigned worker, struct error *err)
{
	struct read_task *read = (struct read_task *)task;
	struct volume_set *set = archive_volumes(read->work->archive);
	const struct uuid *uuid = &read->work->options->volume;

	(void)worker;
	if (read->work->options->replace &&
	    volume_set_read(set, uuid, read->log_offset, read->data, read->size, NULL) ==
		    0)
		return 0;
	return outer_read(set, uuid, read->log_offset, read->data, read->size, err);
}

/* The payload of one extent, in parallel. */
static int read_payload(void *context, uint64_t log_offset, uint8_t *data, size_t size,
			struct error *err)
{
	struct work *work = context;
	struct pool *pool = archive_pool(work->archive);
	struct read_task tasks[READ_TASKS];
	struct task_group group;
	int r;

	if (is_stopped(work))
		return error_set(err, -EINTR, "stopped");
	task_group_init(&group);
	for (size_t i = 0, done = 0; done < size; i++, done += READ_PART) {
		size_t left = size - done;

		tasks[i] = (struct read_task){ { .run = run_read },
					       work,
					       log_offset + done,
					       data + done,
					       left < READ_PART ? left : READ_PART };
		task_group_wait_at_most(&group, 2 * pool_threads(pool));
		pool_submit(pool, &group, &tasks[i].task);
	}
	r = task_group_wait(&group, err);
	task_group_done(&group);
	return r;
}

/* ---- writing ---- */

static int make_stripe(void *context, const struct stripe_info *stripe,
		       const struct record *record, struct error *err)
{
	struct work *work = context;
	const struct volume_remake_options *options = work->options;
	int r;

	r = stripe_remake(&work->remake, stripe, err);
	if (r < 0)
		return error_prefix(err, r, "stripe %" PRIu64, stripe->number);
	if (record) {
		work->remake.previous_offset = stripe->offset;
		work->remake.previous_hash = record->hash;
		work->sequence = record->sequence;
	}
	work->report->stripes++;
	work->report->payload += stripe_log_size(stripe);
	if (options->progress)
		options->progress(options->context, work->report->payload, work->total);
	return 0;
}

/* Make all that groups tell of. What lies behind that is lost, and said to be. */
static int make_stripes(struct work *work, struct error *err)
{
	struct volume_set *set = archive_volumes(work->archive);
	struct error why = { 0 };
	int r;

	work->report->stripes = 0;
	work->report->payload = 0;
	work->remake.previous_offset = RECORD_OFFSET_NONE;
	work->remake.previous_hash = (struct hash){ 0 };
	r = outer_visit_stripes(set, &work->options->volume, 0, make_stripe, work, &why);
	work->report->missing = work->total - work->report->payload;
	if (r == -ENOENT && work->report->payload > 0)
		return 0;
	if (r < 0 && err)
		*err = why;
	return r;
}

static int open_part(struct work *work, struct backend **backend_out, struct error *err)
{
	int r = backend_file_open(AT_FDCWD, work->part, 1, backend_out, NULL);

	if (r == -ENOENT)
		r = backend_file_create(AT_FDCWD, work->part, backend_out, err);
	else if (r < 0)
		r = error_set_errno(err, r, "'%s'", work->part);
	return r;
}

static int write_part(struct work *work, struct error *err)
{
	autoptr(backend) backend = NULL;
	int r;

	r = open_part(work, &backend, err);
	if (r < 0)
		return r;
	crash_point("archive.remake.begun");
	work->remake.backend = backend;
	r = make_stripes(work, err);
	if (r == 0)
		r = backend_sync(backend, err);
	crash_point("archive.remake.written");
	return r;
}

/* ---- verifying ---- */

static int not_as_written(const struct work *work, struct error *err)
{
	return error_set(err, -EBADMSG, "'%s' is not what was written", work->part);
}

/* Whether the last record is there: what lies behind the last one that can be found would pass
 * for a tail, which nobody verifies. There may be more, of a run that knew more. */
static int check_end(struct work *work, struct backend *backend, struct error *err)
{
	struct budget *budget = archive_budget(work->archive);
	autoptr(record) record = NULL;
	struct stripe_info own = { 0 };
	int r;

	r = budget_reserve(budget, CHAIN_MEMORY, "records", err);
	if (r < 0)
		return r;
	r = chain_find_last(backend, &work->options->volume, &record, &own, err);
	budget_release(budget, CHAIN_MEMORY);
	stripe_info_done(&own);
	if (r == 0 && record->sequence < work->sequence)
		r = not_as_written(work, err);
	return r;
}

/* Whether all of the new file is as it should be, read from the medium again. */
static int verify_part(struct work *work, struct error *err)
{
	autoptr(backend) backend = NULL;
	struct scrub_report report = { 0 };
	struct scrub_options options = {
		.volume = work->options->volume,
		.pool = archive_pool(work->archive),
		.budget = archive_budget(work->archive),
	};
	int r;

	r = backend_file_open(AT_FDCWD, work->part, 0, &backend, err);
	if (r < 0)
		return r;
	options.backend = backend;
	r = scrub_volume(&options, &report, err);
	if (r < 0)
		return r;
	if (report.repairable + report.lost > 0 || report.broken || report.missing > 0)
		return not_as_written(work, err);
	return check_end(work, backend, err);
}

static int write_and_verify(struct work *work, struct error *err)
{
	struct error why = { 0 };
	int r;

	r = write_part(work, err);
	if (r < 0)
		return r;
	r = verify_part(work, &why);
	if (r == -EBADMSG) {
		log_warn("%s: begun anew", why.text);
		if (unlink(work->part) < 0)
			return error_set_errno(err, -errno, "'%s'", work->part);
		r = write_part(work, err);
		return r < 0 ? r : verify_part(work, err);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* What an earlier run has given its name already; it must be as far as the old one. */
static int verify_named(struct work *work, struct error *err)
{
	int r;

	work->sequence = work->row.record_count - 1;
	r = verify_part(work, err);
	if (r < 0)
		return error_prefix(err, r,
				    "it is there already, and not what would be made: "
				    "remove it");
	work->report->payload = work->total;
	return 0;
}

/* ---- names ---- */

/* Whether the new file's path is the old file. */
static bool is_file(const struct work *work, const char *old)
{
	struct stat a, b;

	return !old || stat(work->path, &a) < 0 ||
	       fstatat(places_base(archive_places(work->archive)), old, &b, 0) < 0 ||
	       (a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

/* @old is the file in use, or NULL. */
static int make_paths(struct work *work, const char *old, struct error *err)
{
	char name[VOLUME_FILE_NAME_MAX];

	volume_file_name(work->row.number, &work->options->volume, name);
	if (asprintf(&work->path, "%s/%s", work->options->folder, name) < 0)
		work->path = NULL; /* undefined after a failure */
	if (work->path &&
	    asprintf(&work->part, "%s" VOLUME_REMAKE_SUFFIX, work->path) < 0)
		work->part = NULL;
	if (!work->part)
		return error_set(err, -ENOMEM, "no memory for a path");
	if (access(work->path, F_OK) < 0)
		return 0;
	if (!work->options->replace || is_file(work, old))
		return error_set(err, -EEXIST, "'%s' is there already", work->path);
	work->named = true;
	free(work->part);
	work->part = strdup(work->path);
	return work->part ? 0 : error_set(err, -ENOMEM, "no memory for a path");
}

static int sync_folder(const struct work *work, struct error *err)
{
	autoclose int fd =
		open(work->options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", work->options->folder);
	return folder_sync(fd, err);
}

/* The old file keeps its bytes, under a name that is no volume's. */
static int put_away(const struct work *work, const char *old, struct error *err)
{
	int base = places_base(archive_places(work->archive));
	autofree char *name = NULL;

	if (asprintf(&name, "%s" REPLACED_SUFFIX, old) < 0) {
		name = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	if (faccessat(base, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(err, -EEXIST, "'%s' is there already", name);
	if (renameat(base, old, base, name) < 0)
		return error_set_errno(err, -errno, "'%s'", old);
	return places_sync_folder(base, old, err);
}

/* Whether one of the places is the folder. */
static bool is_place(const struct work *work)
{
	const struct places *places = archive_places(work->archive);
	struct stat folder, place;

	if (stat(work->options->folder, &folder) < 0)
		return false;
	for (size_t i = 0; i < places_count(places); i++)
		if (places_stat(places, i, &place) == 0 &&
		    place.st_dev == folder.st_dev && place.st_ino == folder.st_ino)
			return true;
	return false;
}

static int finish(struct work *work, const char *old, struct error *err)
{
	int r = 0;

	if (work->row.sealed && work->report->missing == 0 &&
	    chmod(work->part, S_IRUSR | S_IRGRP | S_IROTH) < 0)
		return error_set_errno(err, -errno, "'%s'", work->part);
	if (!work->named && rename(work->part, work->path) < 0)
		return error_set_errno(err, -errno, "'%s'", work->path);
	r = sync_folder(work, err);
	crash_point("archive.remake.named");
	if (r == 0 && old)
		r = put_away(work, old, err);
	crash_point("archive.remake.away");
	return r;
}

/* ---- the run ---- */

/* The old file may have more than the new one: it ends at the first byte that is neither there
 * nor in a group. */
static int check_whole(const struct work *work, const char *old, struct error *err)
{
	if (!old || work->report->missing == 0)
		return 0;
	return error_set(err, -ENODATA,
			 "log offset %" PRIu64 " can't be read, and is in no group: '%s' "
			 "stays. 'volume evacuate' copies what can be read",
			 work->report->payload, old);
}

static int make_volume(struct work *work, struct error *err)
{
	struct volume_set *set = archive_volumes(work->archive);
	autofree char *old = NULL;
	int r;

	r = volume_set_find_file(set, &work->options->volume, &old, err);
	if (r == 0 && !work->options->replace)
		return error_set(err, -EEXIST,
				 "volume '%s' is attached: 'volume replace' makes it "
				 "again elsewhere",
				 work->row.label ? work->row.label : "");
	if (r < 0 && r != -ENOMEDIUM)
		return r;
	r = make_paths(work, old, err);
	if (r == 0 && !work->named)
		r = write_and_verify(work, err);
	else if (r == 0)
		r = verify_named(work, err);
	if (r == 0)
		r = check_whole(work, old, err);
	if (r == 0)
		r = finish(work, old, err);
	if (r < 0)
		return r;
	work->report->in_a_place = is_place(work);
	work->report->file = take_ptr(work->path);
	return 0;
}

static int make_shards(struct work *work, struct error *err)
{
	const struct protect_options options = {
		.lost = &work->options->volume,
		.stopped = work->options->stopped,
		.context = work->options->context,
	};
	struct protect_report report = { 0 };
	int r = protect_run(work->archive, &options, &report, err);

	if (r == 0 && report.stopped)
		return error_set(err, -EINTR, "stopped");
	work->report->parity = true;
	work->report->shards = report.shards;
	return r;
}

static int run(struct work *work, struct error *err)
{
	struct catalog *catalog = archive_catalog(work->archive);
	struct budget *budget = archive_budget(work->archive);
	struct outer_cover cover = { 0 };
	int r;

	r = catalog_get_volume(catalog, &work->options->volume, &work->row, err);
	if (r == CATALOG_END)
		return error_set(err, -ENOENT, "no such volume");
	if (r < 0)
		return r;
	if (work->row.role == VOLUME_PARITY)
		return make_shards(work, err);
	r = outer_cover_get(catalog, &work->row, 1, NULL, NULL, &cover, err);
	if (r < 0)
		return r;
	work->total = cover.end;
	r = budget_reserve(budget, OUTER_RECORD_MEMORY, "records", err);
	if (r < 0)
		return r;
	r = make_volume(work, err);
	budget_release(budget, OUTER_RECORD_MEMORY);
	return r;
}

int volume_remake(struct archive *archive, const struct volume_remake_options *options,
		  struct volume_remake_report *report_out, struct error *err)
{
	uint64_t begun = clock_monotonic_ns();
	struct work work = { .archive = archive,
			     .options = options,
			     .report = report_out };
	int r;

	*report_out = (struct volume_remake_report){ 0 };
	work.remake = (struct stripe_remake){
		.budget = archive_budget(archive),
		.pool = archive_pool(archive),
		.volume = options->volume,
		.read = read_payload,
		.context = &work,
	};
	r = run(&work, err);
	volume_row_done(&work.row);
	free(work.path);
	free(work.part);
	report_out->elapsed = clock_monotonic_ns() - begun;
	return r;
}

void volume_remake_report_done(struct volume_remake_report *report)
{
	free(report->file);
	*report = (struct volume_remake_report){ 0 };
}
