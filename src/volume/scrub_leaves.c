/* SPDX-License-Identifier: MIT */
/* An extent is one run of bytes: its pages, then its leaves, side by side. A task reads a MiB of
 * that in one go and hashes the leaves while they are in cache. The first run of an extent has
 * the pages as well, so nothing is read for their sake alone; the others wait for what it makes
 * of them, which is not long, as the pool takes tasks in the order they were handed out. That is
 * the order of the volume, and they are handed out a few at a time: the medium sees one
 * sequential reader, and who wants to stop is heard.
 *
 * A leaf counts as sound only if all of it could be read: zeroes in place of a bad sector may
 * match, but the next reader would not get them. It is its BLAKE3 that is compared; the CRCs of
 * its sectors matter only where that differs.
 *
 * While a leaf is at hand it is added to the sums of its row, if these are wanted
 * (scrub_sums.h).
 *
 * Gaps are zero by definition. Holes are not read, which keeps small stripes with wide gaps
 * cheap.
 */
#include "volume/scrub_leaves.h"

#include "base/error.h"
#include "volume/backend.h"
#include "volume/backend_scan.h"
#include "volume/extent_table.h"
#include "volume/mend.h"
#include "volume/scrub_pages.h"
#include "volume/scrub_stripe.h"
#include "volume/scrub_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_AHEAD 4u /* for each worker; handed out when half of them are done */

/* Pages and leaves side by side, to be read by one worker. Frees itself. */
struct leaf_run {
	struct task task;
	struct scrub_stripe *stripe;
	unsigned extent;
	unsigned pages;        /* in front of the leaves: all of the extent's, or 0 */
	unsigned first, count; /* entries */
};

static uint64_t run_offset(const struct leaf_run *run)
{
	const struct stripe_info *info = run->stripe->view.info;

	return run->pages ? extent_offset(info, run->extent)
			  : entry_offset(info, run->extent, run->first);
}

static uint64_t run_end(const struct leaf_run *run)
{
	const struct stripe_info *info = run->stripe->view.info;
	unsigned last = run->first + run->count - 1;

	if (run->count == 0)
		return run_offset(run) + (uint64_t)PAGE_SIZE_BYTES * run->pages;
	return entry_offset(info, run->extent, last) +
	       entry_size(info, run->extent, last);
}

/* ---- who waits for the pages ---- */

static bool is_known(const struct scrub_stripe *stripe, unsigned extent)
{
	return __atomic_load_n(&stripe->extents[extent].known, __ATOMIC_ACQUIRE);
}

static void tell_known(struct scrub_stripe *stripe, unsigned extent)
{
	mutex_scope(&stripe->mutex);
	__atomic_store_n(&stripe->extents[extent].known, true, __ATOMIC_RELEASE);
	cond_broadcast(&stripe->changed);
}

/* False if reading them failed, which ends the scrub. */
static bool wait_until_known(struct scrub_stripe *stripe, unsigned extent)
{
	if (!is_known(stripe, extent)) { /* seldom */
		mutex_scope(&stripe->mutex);
		while (!is_known(stripe, extent))
			cond_wait(&stripe->changed, &stripe->mutex);
	}
	return stripe->extents[extent].table;
}

/* ---- leaves ---- */

/* Compare leaf @entry with the table. Its row's sums are begun when the first of it is bad. */
static void compare(const struct leaf_run *run, unsigned entry, const uint8_t *bytes,
		    bool whole)
{
	struct scrub_stripe *stripe = run->stripe;
	const struct scrub_extent *known = &stripe->extents[run->extent];
	uint32_t size = entry_size(stripe->view.info, run->extent, entry);
	unsigned first = row_entry(stripe->view.info, run->extent, 0);
	bool sound =
		whole && leaf_entry_matches(&known->table->entries[entry], bytes, size);

	known->leaves[entry] = sound ? LEAF_SOUND : LEAF_BAD;
	if (entry < first)
		return; /* parity of pages is in no row */
	if (sound)
		row_sums_offer(stripe->sums, run->extent, entry - first, bytes);
	else
		row_sums_open(stripe->sums, entry - first);
}

/* What is at @bytes of leaf @entry, @whole if all of it was readable. */
static void judge(const struct leaf_run *run, unsigned entry, const uint8_t *bytes,
		  bool whole)
{
	const struct scrub_extent *known = &run->stripe->extents[run->extent];
	uint32_t size = entry_size(run->stripe->view.info, run->extent, entry);

	if (known->table->verified) {
		compare(run, entry, bytes, whole);
		return;
	}
	leaf_entry_fill(&known->medium[entry], bytes, size);
	known->leaves[entry] = whole ? LEAF_UNKNOWN : LEAF_BAD;
}

/* ---- reading ---- */

/* The pages, and each leaf alone; sector by sector where that is needed. */
static int read_singly(const struct leaf_run *run, uint8_t *buffer, struct error *err)
{
	struct stripe_view view = scrub_task_view(run->stripe);
	uint16_t readable;
	int r = 0;

	if (run->pages) {
		r = view_read(&view, run_offset(run), buffer, run->pages, &readable, err);
		if (r == 0)
			r = scrub_pages_take(run->stripe, run->extent, buffer, readable,
					     err);
		if (r < 0)
			return r;
		tell_known(run->stripe, run->extent);
	} else if (!wait_until_known(run->stripe, run->extent)) {
		return 0; /* that task has the error */
	}
	for (unsigned i = run->first; i < run->first + run->count && r == 0; i++) {
		unsigned sectors =
			entry_size(view.info, run->extent, i) / PAGE_SIZE_BYTES;

		r = view_read(&view, entry_offset(view.info, run->extent, i), buffer,
			      sectors, &readable, err);
		if (r == 0)
			judge(run, i, buffer,
			      readable == (uint16_t)((1u << sectors) - 1));
	}
	return r;
}

/* All of the run is at @bytes. */
static int take_run(const struct leaf_run *run, const uint8_t *bytes, struct error *err)
{
	const struct stripe_info *info = run->stripe->view.info;
	uint64_t offset = run_offset(run);

	if (run->pages) {
		int r = scrub_pages_take(run->stripe, run->extent, bytes, UINT16_MAX,
					 err);

		if (r < 0)
			return r;
		tell_known(run->stripe, run->extent);
	} else if (!wait_until_known(run->stripe, run->extent)) {
		return 0; /* that task has the error */
	}
	for (unsigned i = run->first; i < run->first + run->count; i++)
		judge(run, i, bytes + (entry_offset(info, run->extent, i) - offset),
		      true);
	return 0;
}

static int read_run(const struct leaf_run *run, uint8_t *buffer, struct error *err)
{
	uint64_t offset = run_offset(run);
	size_t size = (size_t)(run_end(run) - offset);
	size_t got;
	int r;

	scrub_pace(run->stripe->scrub, size);
	r = backend_scan(run->stripe->view.backend, offset, buffer, size, &got, err);
	if (r < 0 && !is_medium_error(r))
		return r;
	return r < 0 || got < size ? read_singly(run, buffer, err)
				   : take_run(run, buffer, err);
}

static int run_task(struct task *task, unsigned worker, struct error *err)
{
	struct leaf_run *run = (struct leaf_run *)task;
	struct scrub *scrub = run->stripe->scrub;
	int r = 0;

	if (!scrub_stopped(scrub))
		r = read_run(run, scrub->buffers[worker].data, err);
	else
		r = scrub_interrupted(err);
	if (run->pages && r < 0)
		tell_known(run->stripe, run->extent);
	free(run);
	return r;
}

/* ---- handing out ---- */

static int submit(struct scrub_stripe *stripe, const struct leaf_run *what,
		  struct error *err)
{
	struct pool *pool = stripe->scrub->options->pool;
	unsigned ahead = TASKS_AHEAD * pool_threads(pool);
	struct leaf_run *run = malloc(sizeof(*run));

	if (!run)
		return error_set_errno(err, -ENOMEM, "a task");
	*run = *what;
	run->task.run = run_task;
	/* In bulk, so that this thread is not woken for each of them. */
	if (task_group_pending(&stripe->group) >= ahead)
		task_group_wait_at_most(&stripe->group, ahead / 2);
	pool_submit(pool, &stripe->group, &run->task);
	return 0;
}

int scrub_leaves_check(struct scrub_stripe *stripe, unsigned extent, struct error *err)
{
	unsigned total = extent_entry_count(stripe->view.info, extent);
	unsigned pages = extent_page_count(stripe->view.info, extent);
	unsigned next = 0;
	int r = 0;

	for (; r == 0 && (pages > 0 || next < total); pages = 0) {
		unsigned room = (BACKEND_SCAN_MAX - pages * PAGE_SIZE_BYTES) / LEAF_SIZE;
		struct leaf_run run = { .stripe = stripe,
					.extent = extent,
					.pages = pages,
					.first = next,
					.count = total - next < room ? total - next
								     : room };

		r = submit(stripe, &run, err);
		next += run.count;
	}
	return r;
}

/* ---- gaps ---- */

static bool is_zero(const uint8_t *bytes, size_t size)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Blocks in [offset, offset + size), of which at least one is not zero. */
static void clear_blocks(struct scrub_stripe *stripe, unsigned extent, uint64_t offset,
			 size_t size)
{
	static const uint8_t zeroes[LEAF_SIZE];
	struct damage damage = {
		.extent = extent,
		.offset = offset,
		.size = (uint32_t)size,
		.right = zeroes,
	};
	struct scrub_finding finding = {
		.kind = SCRUB_GAP,
		.offset = offset,
		.size = size,
		.stripe = stripe->view.info->number,
		.stripe_kind = stripe->view.info->kind,
		.extent = extent,
	};

	scrub_settle(stripe, &damage, &finding, 1);
}

/* Sector by sector, up to a leaf's size. */
static int check_blocks(struct scrub_stripe *stripe, unsigned extent, uint64_t offset,
			uint8_t *buffer, size_t size, struct error *err)
{
	unsigned sectors = (unsigned)(size / PAGE_SIZE_BYTES);
	uint16_t readable;
	int r = view_read(&stripe->view, offset, buffer, sectors, &readable, err);

	if (r < 0)
		return r;
	/* What the volume's end cut off can't be put back, and reads as zero anyway. */
	if (offset + size > backend_position(stripe->view.backend))
		return 0;
	if (readable != (uint16_t)((1u << sectors) - 1) || !is_zero(buffer, size))
		clear_blocks(stripe, extent, offset, size);
	return 0;
}

static int check_piece(struct scrub_stripe *stripe, unsigned extent, uint64_t offset,
		       size_t size, struct error *err)
{
	struct scrub *scrub = stripe->scrub;
	uint8_t *buffer = scrub->buffers[pool_threads(scrub->options->pool)].data;
	size_t got = 0;
	int r;

	scrub_pace(scrub, size);
	r = backend_scan(stripe->view.backend, offset, buffer, size, &got, err);
	if (r < 0 && !is_medium_error(r))
		return r;
	if (r == 0 && (got == 0 || is_zero(buffer, got)))
		return 0;
	for (size_t at = 0; at < size; at += LEAF_SIZE) {
		size_t part = size - at < LEAF_SIZE ? size - at : LEAF_SIZE;

		r = check_blocks(stripe, extent, offset + at, buffer, part, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where the gap behind @extent starts and ends. */
static void find_gap(const struct stripe_info *info, unsigned extent, uint64_t *start_out,
		     uint64_t *end_out)
{
	unsigned count = extent_entry_count(info, extent);
	uint64_t offset = extent_offset(info, extent);

	*start_out = offset + (uint64_t)PAGE_SIZE_BYTES * extent_page_count(info, extent);
	if (count > 0)
		*start_out = entry_offset(info, extent, count - 1) +
			     entry_size(info, extent, count - 1);
	*end_out = extent + 1 < stripe_extent_count(info) ? offset + info->geometry.stride
							  : *start_out;
}

int scrub_gap_check(struct scrub_stripe *stripe, unsigned extent, struct error *err)
{
	uint64_t offset, end;

	find_gap(stripe->view.info, extent, &offset, &end);
	while (offset < end) {
		uint64_t next = backend_next_data(stripe->view.backend, offset);
		size_t size;
		int r;

		if (next >= end)
			return 0;
		if (next > offset)
			offset = next - next % PAGE_SIZE_BYTES;
		size = end - offset < BACKEND_SCAN_MAX ? (size_t)(end - offset)
						       : BACKEND_SCAN_MAX;
		if (scrub_stopped(stripe->scrub))
			return scrub_interrupted(err);
		r = check_piece(stripe, extent, offset, size, err);
		if (r < 0)
			return r;
		offset += size;
	}
	return 0;
}
