/* SPDX-License-Identifier: MIT */
/* One volume after the other, in order of number; then the files. A volume that can't be read
 * does not keep the others from being looked at.
 *
 * What stops a run loses nothing: stripes that were done are in the ledger (those of the last
 * seconds excepted), and a run that goes on leaves them out.
 */
#include "archive/health.h"

#include "archive/archive.h"
#include "archive/health_log.h"
#include "archive/health_run.h"
#include "archive/lock.h"
#include "archive/volume_folder.h"
#include "archive/volume_list.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "catalog/placement.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void health_report_done(struct health_report *report)
{
	for (size_t i = 0; i < report->volume_count; i++) {
		free(report->volumes[i].label);
		free(report->volumes[i].file);
		free(report->volumes[i].problem);
	}
	free(report->volumes);
	damage_list_done(&report->damage);
	health_files_done(&report->files);
	*report = (struct health_report){ 0 };
}

bool health_found_loss(const struct health_report *report)
{
	if (report->lost > 0 || report->files.states[HEALTH_LOST] > 0)
		return true;
	for (size_t i = 0; i < report->volume_count; i++)
		if (report->volumes[i].lost_records > 0 ||
		    report->volumes[i].code == -EBADMSG)
			return true;
	return false;
}

bool health_found_damage(const struct health_report *report)
{
	if (report->found > 0 || report->copies.segments > 0 ||
	    report->copies.missing.segments + report->copies.missing.pages > 0 ||
	    health_found_loss(report))
		return true;
	for (size_t i = 0; i < report->volume_count; i++)
		if (report->volumes[i].appended > 0 ||
		    report->volumes[i].scrub.missing > 0)
			return true;
	return false;
}

/* ---- preparing ---- */

/* The file that was the volume when it was last seen, if it is no volume at all any more: what
 * is left of it may still be repaired. One that is another volume by now is not it. */
static int find_remains(struct health_run *run, const struct volume_row *row,
			char **file_out, struct error *err)
{
	int folder = archive_folder(run->archive);
	struct volume_file file = { .name = row->file };
	bool remains;
	struct stat st;
	int r;

	if (!row->file || !row->file[0] || fstatat(folder, row->file, &st, 0) < 0)
		return 0;
	r = volume_folder_identify(folder, NULL, &file, err);
	remains = r == 0 && (file.state == VOLUME_FILE_UNSTARTED ||
			     file.state == VOLUME_FILE_UNREADABLE);
	free(file.info);
	free(file.problem);
	if (r < 0 || !remains)
		return r;
	*file_out = strdup(row->file);
	return *file_out ? 0 : error_set(err, -ENOMEM, "no memory for a name");
}

static int add_size(void *context, const struct stripe_info *stripe)
{
	uint64_t *total = context;

	*total += stripe_written_size(stripe);
	return 0;
}

static int add_volume(struct health_run *run, const struct volume_row *row,
		      struct error *err)
{
	struct health_report *report = run->report;
	struct health_volume *volume;
	struct health_volume *grown;
	int r;

	grown = realloc(report->volumes, (report->volume_count + 1) * sizeof(*grown));
	if (!grown)
		return error_set(err, -ENOMEM, "no memory for the list of volumes");
	report->volumes = grown;
	volume = &grown[report->volume_count++];
	*volume = (struct health_volume){
		.uuid = row->uuid,
		.number = row->number,
		.label = strdup(row->label ? row->label : ""),
		.margin = UINT_MAX,
	};
	if (!volume->label)
		return error_set(err, -ENOMEM, "no memory for the list of volumes");
	r = volume_set_find_file(archive_volumes(run->archive), &row->uuid, &volume->file,
				 err);
	if (r == -ENOMEDIUM)
		r = find_remains(run, row, &volume->file, err);
	if (r == 0 && volume->file)
		r = catalog_visit_stripes(archive_catalog(run->archive), &row->uuid,
					  add_size, &run->total, err);
	return r;
}

static int list_volumes(struct health_run *run, const struct volume_list *list,
			struct error *err)
{
	const struct uuid *only = run->options->volume;

	for (size_t i = 0; i < list->count; i++) {
		int r;

		if (only && memcmp(only, &list->rows[i].uuid, UUID_SIZE) != 0)
			continue;
		r = add_volume(run, &list->rows[i], err);
		if (r < 0)
			return r;
	}
	if (run->report->volume_count == 0)
		return error_set(err, -ENOENT, "no such volume");
	return 0;
}

/* The run to go on with, if there is one. */
static void find_stopped_run(struct health_run *run)
{
	struct ledger_run last;

	if (!run->options->resume ||
	    ledger_last_run(archive_catalog(run->archive), &last, NULL) != 0 ||
	    last.ended != 0)
		return;
	run->run.started = last.started;
	run->report->resumed = true;
}

static void tell(const struct health_run *run, const char *text)
{
	if (run->options->problem)
		run->options->problem(run->options->context, text);
}

static int open_log(struct health_run *run, struct error *err)
{
	if (run->options->check)
		return 0;
	run->log_fd = health_log_open(archive_folder(run->archive), err);
	if (run->log_fd < 0)
		return run->log_fd;
	return health_log_add(run->log_fd, err, "repair begins%s%s",
			      run->report->resumed ? ", where it was stopped" : "",
			      run->options->deep ? "; files are read as well" : "");
}

/* The lock: not to be had where nothing can be written, and not needed there for a check. */
static int take_lock(struct health_run *run, int *lock_fd, struct error *err)
{
	struct error why = { 0 };
	int r = lock_take_for_health(archive_folder(run->archive), lock_fd, &why);

	if (r == 0 || (run->options->check && (r == -EROFS || r == -EACCES)))
		return 0;
	if (err)
		*err = why;
	return r;
}

/* ---- running ---- */

/* The catalog may know more of the volume than is left of it. */
static void compare_records(struct health_run *run, const struct volume_list *list)
{
	for (size_t i = 0; i < run->report->volume_count; i++) {
		struct health_volume *volume = &run->report->volumes[i];
		const struct volume_row *row = volume_list_find(list, &volume->uuid);

		if (volume->checked && row->record_count > volume->scrub.records)
			volume->lost_records = row->record_count - volume->scrub.records;
	}
}

static int scrub_volumes(struct health_run *run, struct error *err)
{
	for (unsigned i = 0; i < run->report->volume_count; i++) {
		struct health_volume *volume = &run->report->volumes[i];
		int r;

		if (!volume->file)
			continue;
		r = health_run_volume(run, i, err);
		health_run_flush(run, false);
		if (r < 0)
			return r;
		if (volume->problem)
			tell(run, volume->problem);
	}
	return 0;
}

static int look_at_files(struct health_run *run, struct error *err)
{
	struct health_report *report = run->report;
	autofree struct uuid *uuids = calloc(report->volume_count, sizeof(*uuids));
	const struct health_files_options options = {
		.archive = run->archive,
		.volumes = uuids,
		.volume_count = report->volume_count,
		.stopped = run->options->stopped,
		.context = run->options->context,
	};
	int r = 0;

	if (!uuids)
		return error_set(err, -ENOMEM, "no memory for the list of volumes");
	for (size_t i = 0; i < report->volume_count; i++)
		uuids[i] = report->volumes[i].uuid;
	if (report->damage.count > 0)
		r = health_files_find(&options, &report->damage, &report->files, err);
	if (r == 0 && run->options->deep)
		r = health_files_read(&options, &report->files, err);
	return r;
}

static int find_missing_copies(struct health_run *run, struct error *err)
{
	struct catalog *catalog = archive_catalog(run->archive);
	autocopies struct copies copies = { 0 };
	int r = copies_load(run->archive, catalog, &copies, err);

	return r < 0 ? r
		     : copies_find_missing(&copies, catalog, &run->report->copies.missing,
					   err);
}

static int log_copies(struct health_run *run, struct error *err)
{
	const struct copy_up_report *copies = &run->report->copies;

	if (copies->segments + copies->pages + copies->heads == 0)
		return 0;
	return health_log_add(
		run->log_fd, err,
		"copied what had too few copies: %" PRIu64 " segments (%" PRIu64
		" bytes), %" PRIu64 " pages of the tree, %" PRIu64 " heads",
		copies->segments, copies->bytes, copies->pages, copies->heads);
}

/* Write the copies that are missing. What keeps it from that is no failure of the run: the
 * report says what is missing still. */
static int make_copies(struct health_run *run, struct error *err)
{
	const struct health_options *options = run->options;
	const struct copy_up_options copying = {
		.archive = run->archive,
		.stopped = options->stopped,
		.problem = options->problem,
		.context = options->context,
	};
	struct error why = { 0 };
	int r = 0;

	if (archive_config(run->archive)->volume.copies == 1 || options->volume)
		return 0;
	health_run_flush(run, true);
	if (!options->check)
		r = copy_up(&copying, &run->report->copies, &why);
	if (r == -EINTR || r == -ENOMEM) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0)
		tell(run, why.text);
	if (!options->check && r == 0)
		r = log_copies(run, err);
	else
		r = find_missing_copies(run, err);
	return r;
}

static int log_end(struct health_run *run, int r, struct error *err)
{
	const struct health_report *report = run->report;
	int worse;

	if (run->log_fd < 0)
		return r;
	worse = health_log_add(run->log_fd, r < 0 ? NULL : err,
			       "repair %s: %" PRIu64 " bytes read, %" PRIu64
			       " damaged places, %" PRIu64 " repaired, %" PRIu64 " lost",
			       r == -EINTR ? "was stopped"
			       : r < 0     ? "failed"
					   : "ends",
			       report->bytes, report->found, report->repaired,
			       report->lost);
	if (worse == 0)
		worse = health_log_sync(run->log_fd, r < 0 ? NULL : err);
	return r < 0 ? r : worse;
}

static int work(struct health_run *run, const struct volume_list *list, struct error *err)
{
	int r;

	r = list_volumes(run, list, err);
	if (r < 0)
		return r;
	find_stopped_run(run);
	r = open_log(run, err);
	if (r < 0)
		return r;
	r = scrub_volumes(run, err);
	health_run_flush(run, true);
	if (r == 0)
		compare_records(run, list);
	if (r == 0)
		r = look_at_files(run, err);
	if (r == 0)
		r = make_copies(run, err);
	r = log_end(run, r, err);
	health_run_put(run, r == 0);
	return r;
}

/* What another machine has: no volumes can be read, but every page and every byte that they
 * are there for, which is proved on the way. */
static int check_origin(struct archive *archive, const struct health_options *options,
			struct health_report *report, struct error *err)
{
	const struct health_files_options files = {
		.archive = archive,
		.stopped = options->stopped,
		.progress = options->progress,
		.problem = options->problem,
		.context = options->context,
	};
	uint64_t begun = clock_monotonic_ns();
	int r;

	if (!options->check)
		return error_set(err, -EROFS, "what another machine has is only read");
	r = health_files_read(&files, &report->files, err);
	report->bytes = report->files.deep_bytes;
	report->elapsed = clock_monotonic_ns() - begun;
	return r;
}

int health_run(struct archive *archive, const struct health_options *options,
	       struct health_report *report_out, struct error *err)
{
	struct budget *budget = archive_budget(archive);
	const size_t size = HEALTH_LEDGER_MAX * sizeof(struct ledger_entry);
	struct health_run run = {
		.archive = archive,
		.options = options,
		.report = report_out,
		.run = { .started = clock_realtime_ns(),
			 .repair = !options->check,
			 .deep = options->deep },
		.log_fd = -1,
	};
	autovolume_list struct volume_list list = { 0 };
	uint64_t begun = clock_monotonic_ns();
	autoclose int lock_fd = -1;
	int r;

	*report_out = (struct health_report){ .damage.budget = budget };
	if (archive_origin(archive))
		return check_origin(archive, options, report_out, err);
	r = take_lock(&run, &lock_fd, err);
	if (r == 0)
		r = budget_reserve(budget, size, "the ledger", err);
	if (r < 0)
		return r;
	run.waiting = calloc(HEALTH_LEDGER_MAX, sizeof(*run.waiting));
	r = run.waiting ? volume_list_load(archive_catalog(archive), &list, err)
			: error_set(err, -ENOMEM, "no memory for the ledger");
	if (r == 0)
		r = work(&run, &list, err);
	cleanup_close_p(&run.log_fd);
	free(run.waiting);
	budget_release(budget, size);
	report_out->elapsed = clock_monotonic_ns() - begun;
	return r;
}
