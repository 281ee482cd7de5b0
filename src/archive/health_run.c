/* SPDX-License-Identifier: MIT */
/* What the scrub finds is collected by ranges, written to repair.log when a stripe is done,
 * and then entered in the ledger, in batches: a commit may keep the catalog for hours, so
 * entries wait in memory until it can be had.
 *
 * Where a volume ends within its last record's stripe, a writer was killed there, or a cut took
 * the rest. Health does what the next writer would do, under the writer's lock; if that is
 * taken somebody is writing, and nothing is wrong.
 */
#include "archive/health_run.h"

#include "archive/archive.h"
#include "archive/copy_rescue.h"
#include "archive/health_log.h"
#include "archive/lock.h"
#include "archive/outer_read.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/log.h"
#include "volume/backend.h"
#include "volume/chain.h"
#include "volume/record_completion.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FLUSH_INTERVAL UINT64_C(5000000000) /* nanoseconds */
#define FLUSH_ATTEMPTS 40u
#define FLUSH_PAUSE_MS 50u
#define NS_PER_MS UINT64_C(1000000)

/* ---- the ledger ---- */

/* A courtesy to those who ask later. */
void health_run_put(struct health_run *run, bool ended)
{
	const struct health_report *report = run->report;

	run->run.ended = ended ? clock_realtime_ns() : 0;
	run->run.bytes = report->bytes;
	run->run.found = report->found;
	run->run.repaired = report->repaired;
	run->run.lost = report->lost;
	(void)ledger_put_run(archive_catalog(run->archive), &run->run, NULL);
}

/* The run itself is noted with the first stripes: before, there is nothing to go on from. */
static int try_flush(struct health_run *run)
{
	struct error err = { 0 };
	int r = 0;

	if (run->waiting_count > 0) {
		r = ledger_put(archive_catalog(run->archive), run->waiting,
			       run->waiting_count, &err);
		health_run_put(run, false);
	}
	run->flushed = clock_monotonic_ns();
	if (r == 0)
		run->waiting_count = 0;
	else
		log_debug("%s", err.text);
	return r;
}

void health_run_flush(struct health_run *run, bool patient)
{
	const struct timespec pause = { .tv_nsec = FLUSH_PAUSE_MS * NS_PER_MS };

	int r = try_flush(run);

	/* What can't be written at all is not worth waiting for. */
	for (unsigned i = 0; r == -EBUSY && patient && i < FLUSH_ATTEMPTS; i++) {
		(void)nanosleep(&pause, NULL); /* cut short: it tries earlier */
		r = try_flush(run);
	}
	if (patient && r < 0)
		run->report->ledger_code = r;
}

static void enter(struct health_run *run, const struct scrub_stripe_result *result)
{
	if (result->incomplete)
		return; /* it was not there to be verified */
	if (run->waiting_count == HEALTH_LEDGER_MAX)
		health_run_flush(run, true);
	if (run->waiting_count == HEALTH_LEDGER_MAX)
		return; /* the stripe stays due */
	run->waiting[run->waiting_count++] = (struct ledger_entry){
		.volume = run->report->volumes[run->volume].uuid,
		.offset = result->info->offset,
		.verified = clock_realtime_ns(),
		.run = run->run.started,
		.damaged = result->repairable + result->not_written + result->lost,
		.lost = result->lost,
		.margin = result->margin,
	};
	if (clock_monotonic_ns() - run->flushed > FLUSH_INTERVAL)
		health_run_flush(run, false);
}

/* ---- the observer ---- */

static bool wanted(void *context, const struct stripe_info *info)
{
	struct health_run *run = context;
	const struct health_options *options = run->options;
	struct ledger_entry entry;
	int r;

	if (run->only != UINT64_MAX)
		return info->offset == run->only;
	if (options->before == INT64_MAX && !run->report->resumed)
		return true;
	r = ledger_get(archive_catalog(run->archive),
		       &run->report->volumes[run->volume].uuid, info->offset, &entry,
		       NULL);
	if (r != 0 || entry.damaged > 0)
		return true;
	if (run->report->resumed && entry.run == run->run.started)
		return false;
	return entry.verified < options->before;
}

static void found(void *context, const struct scrub_finding *finding)
{
	struct health_run *run = context;

	damage_list_add(&run->report->damage, run->volume, finding);
}

static int log_range(struct health_run *run, const struct damage_range *range,
		     struct error *err)
{
	const struct health_volume *volume = &run->report->volumes[range->volume];

	if (run->log_fd < 0)
		return 0;
	return health_log_add(run->log_fd, err,
			      "volume %" PRIu64 " (%s): %s: %s, %" PRIu64
			      " bytes at %" PRIu64 " (stripe %" PRIu64 ", extent %u)%s%s",
			      volume->number, volume->file,
			      damage_outcome_name(range->outcome),
			      damage_kind_name(range->kind), range->size, range->offset,
			      range->stripe, range->extent, range->code ? ": " : "",
			      range->code ? strerror(-range->code) : "");
}

static int log_ranges(struct health_run *run, size_t first, struct error *err)
{
	const struct damage_list *damage = &run->report->damage;

	for (size_t i = first; i < damage->count; i++) {
		int r = log_range(run, &damage->items[i], err);

		if (r < 0)
			return r;
	}
	if (run->log_fd >= 0 && first < damage->count)
		return health_log_sync(run->log_fd, err);
	return 0;
}

static int stripe(void *context, const struct scrub_stripe_result *result,
		  struct error *err)
{
	struct health_run *run = context;
	struct health_volume *volume = &run->report->volumes[run->volume];
	size_t first;
	int r;

	damage_list_end_stripe(&run->report->damage, result->margin, &first);
	if (result->margin < volume->margin && !result->incomplete)
		volume->margin = result->margin;
	r = log_ranges(run, first, err);
	if (r < 0)
		return r;
	crash_point("archive.health.stripe");
	enter(run, result);
	return 0;
}

static void progress(void *context, uint64_t bytes)
{
	struct health_run *run = context;
	uint64_t done = atomic_fetch_add(&run->done, bytes) + bytes;

	if (run->options->progress)
		run->options->progress(run->options->context, done, run->total);
}

static bool stopped(void *context)
{
	const struct health_run *run = context;

	return run->options->stopped && run->options->stopped(run->options->context);
}

/* ---- a volume ---- */

/* What a volume has lost for good may be on others as a copy, or in a group of the outer
 * code. */
static int rescue(void *context, uint64_t log_offset, void *data, size_t size,
		  struct error *err)
{
	const struct health_run *run = context;

	if (run->rescue &&
	    copy_rescue_read(run->rescue, log_offset, data, size, NULL) == 0)
		return 0;
	return outer_read(archive_volumes(run->archive),
			  &run->report->volumes[run->volume].uuid, log_offset, data, size,
			  err);
}

static int scrub(struct health_run *run, struct backend *backend,
		 struct scrub_report *report_out, struct error *err)
{
	const struct stripe_rescue from_groups = { .read = rescue, .context = run };
	const struct scrub_options options = {
		.backend = backend,
		.volume = run->report->volumes[run->volume].uuid,
		.pool = archive_pool(run->archive),
		.budget = archive_budget(run->archive),
		.repair = !run->options->check,
		.one_pass = run->options->one_pass,
		.rate = run->options->rate,
		.rescue = &from_groups,
		.observer = { wanted, found, stripe, progress, stopped, run },
	};
	size_t first;
	int r = scrub_volume(&options, report_out, err);

	/* What was told outside of any stripe. */
	damage_list_end_stripe(&run->report->damage, 0, &first);
	if (r == 0)
		r = log_ranges(run, first, err);
	return r;
}

/* Open the file for appending, also if it was protected when the volume was sealed. */
static int open_writable(int folder_fd, const char *file, struct backend **backend_out,
			 bool *sealed_out, struct error *err)
{
	struct stat st;

	if (fstatat(folder_fd, file, &st, 0) < 0)
		return error_set_errno(err, -errno, "'%s'", file);
	*sealed_out = (st.st_mode & 07777) == 0444;
	if (*sealed_out && fchmodat(folder_fd, file, 0644, 0) < 0)
		return error_set_errno(err, -errno, "'%s'", file);
	return backend_file_open(folder_fd, file, 1, backend_out, err);
}

/* Append what the last record's stripe lacks; its offset. The writer's lock is held. */
static int append_rest(struct health_run *run, struct health_volume *volume,
		       uint64_t *stripe_out, struct error *err)
{
	autoptr(backend) backend = NULL;
	autoptr(record) record = NULL;
	struct stripe_info own = { 0 };
	uint64_t before;
	bool sealed = false;
	int r;

	r = open_writable(archive_folder(run->archive), volume->file, &backend, &sealed,
			  err);
	if (r < 0)
		return r;
	before = backend_position(backend);
	r = chain_find_last(backend, &volume->uuid, &record, &own, err);
	if (r == 0)
		r = record_complete(backend, archive_budget(run->archive),
				    archive_pool(run->archive), record, &own, err);
	*stripe_out = own.offset;
	stripe_info_done(&own);
	if (r == 0 && sealed)
		r = backend_seal(backend, err);
	else if (sealed &&
		 fchmodat(archive_folder(run->archive), volume->file, 0444, 0) < 0)
		log_debug("'%s': its mode stays as it is", volume->file); /* a courtesy */
	if (r == 0)
		volume->appended = backend_position(backend) - before;
	return r;
}

/* Whether a writer has appended meanwhile what was missing. */
static bool is_complete(const struct health_run *run, const struct health_volume *volume)
{
	struct stat st;

	return fstatat(archive_folder(run->archive), volume->file, &st, 0) == 0 &&
	       (uint64_t)st.st_size >= volume->scrub.end;
}

/* The last record's stripe goes on behind the volume's end. */
static int complete(struct health_run *run, struct health_volume *volume,
		    struct error *err)
{
	struct scrub_report again;
	autoptr(backend) backend = NULL;
	autoclose int lock_fd = -1;
	int r;

	r = lock_take(archive_folder(run->archive), false, &lock_fd, err);
	if (r < 0)
		return r;
	if (is_complete(run, volume)) {
		volume->scrub.missing = 0;
		return 0;
	}
	if (run->options->check)
		return 0; /* nobody is writing: so it is damage */
	r = append_rest(run, volume, &run->only, err);
	if (r < 0)
		return r;
	if (volume->appended > 0)
		volume->scrub.missing = 0;
	if (run->log_fd >= 0 && volume->appended > 0)
		r = health_log_add(run->log_fd, err,
				   "volume %" PRIu64 " (%s): appended %" PRIu64
				   " bytes of its last record's parity",
				   volume->number, volume->file, volume->appended);
	if (r == 0)
		r = backend_file_open(archive_folder(run->archive), volume->file, 0,
				      &backend, err);
	if (r == 0)
		r = scrub(run, backend, &again, err);
	run->only = UINT64_MAX;
	return r;
}

static int scrub_and_complete(struct health_run *run, struct health_volume *volume,
			      struct error *err)
{
	autoptr(backend) backend = NULL;
	struct error why = { 0 };
	int r;

	r = backend_file_open(archive_folder(run->archive), volume->file, 0, &backend,
			      err);
	if (r < 0)
		return r;
	r = scrub(run, backend, &volume->scrub, err);
	if (r < 0 || volume->scrub.missing == 0)
		return r;
	r = complete(run, volume, &why);
	if (r == -EBUSY) {
		volume->scrub.missing = 0; /* a writer is at work, or it is about to be */
		return 0;
	}
	if (r < 0)
		volume->problem = strdup(why.text);
	return 0;
}

/* Errors that are the run's, not the volume's. */
static bool ends_run(int r)
{
	return r == -EINTR || r == -ENOMEM;
}

/* Without them health does what it can. */
static void find_copies(struct health_run *run, const struct health_volume *volume)
{
	struct error why = { 0 };

	if (archive_config(run->archive)->volume.copies > 1 &&
	    copy_rescue_new(run->archive, &volume->uuid, &run->rescue, &why) < 0)
		log_debug("copies are not used: %s", why.text);
}

int health_run_volume(struct health_run *run, unsigned number, struct error *err)
{
	struct health_volume *volume = &run->report->volumes[number];
	struct error why = { 0 };
	int r;

	run->volume = number;
	run->only = UINT64_MAX;
	find_copies(run, volume);
	r = scrub_and_complete(run, volume, &why);
	copy_rescue_free(take_ptr(run->rescue));
	run->report->bytes += volume->scrub.bytes;
	run->report->found += volume->scrub.repairable + volume->scrub.repaired +
			      volume->scrub.not_written + volume->scrub.lost;
	run->report->repaired += volume->scrub.repaired;
	run->report->lost += volume->scrub.lost;
	if (r >= 0) {
		volume->checked = true;
		return 0;
	}
	if (ends_run(r)) {
		if (err)
			*err = why;
		return r;
	}
	volume->code = r;
	free(volume->problem);
	volume->problem = strdup(why.text);
	return volume->problem ? 0 : error_set(err, -ENOMEM, "out of memory");
}
