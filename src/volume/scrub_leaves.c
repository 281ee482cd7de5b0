/* SPDX-License-Identifier: MIT */
/* The leaves of an extent lie side by side, so a task reads sixteen of them in one go and
 * hashes them while they are in cache. Tasks are handed out in the order of the volume and a
 * few at a time: the medium sees one sequential reader, and who wants to stop is heard.
 *
 * A leaf counts as sound only if all of it could be read: zeroes in place of a bad sector may
 * match, but the next reader would not get them.
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
#include "volume/scrub_stripe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASK_LEAVES (BACKEND_SCAN_MAX / LEAF_SIZE)
#define TASKS_AHEAD 2u /* for each worker */

/* Leaves side by side, to be read by one worker. Frees itself. */
struct leaf_run {
	struct task task;
	struct scrub_stripe *stripe;
	unsigned extent;
	unsigned first, count;      /* entries */
	struct leaf_entry *entries; /* to be filled in; NULL: compare with the table */
};

static uint64_t run_bytes(const struct leaf_run *run)
{
	const struct stripe_info *info = run->stripe->view.info;
	unsigned last = run->first + run->count - 1;

	return entry_offset(info, run->extent, last) -
	       entry_offset(info, run->extent, run->first) +
	       entry_size(info, run->extent, last);
}

/* What is at @bytes of leaf @entry, @whole if all of it was readable. */
static void judge(const struct leaf_run *run, unsigned entry, const uint8_t *bytes,
		  bool whole)
{
	const struct scrub_extent *known = &run->stripe->extents[run->extent];
	uint32_t size = entry_size(run->stripe->view.info, run->extent, entry);

	if (run->entries) {
		leaf_entry_fill(&run->entries[entry], bytes, size);
		known->leaves[entry] = whole ? LEAF_UNKNOWN : LEAF_BAD;
	} else {
		bool sound = whole && leaf_entry_matches(&known->table->entries[entry],
							 bytes, size);

		known->leaves[entry] = sound ? LEAF_SOUND : LEAF_BAD;
	}
}

/* Each leaf alone, sector by sector where that is needed. */
static int read_singly(const struct leaf_run *run, uint8_t *buffer, struct error *err)
{
	struct stripe_view view = scrub_task_view(run->stripe);

	for (unsigned i = run->first; i < run->first + run->count; i++) {
		uint32_t size = entry_size(view.info, run->extent, i);
		unsigned sectors = size / PAGE_SIZE_BYTES;
		uint16_t readable;
		int r = view_read(&view, entry_offset(view.info, run->extent, i), buffer,
				  sectors, &readable, err);

		if (r < 0)
			return r;
		judge(run, i, buffer, readable == (uint16_t)((1u << sectors) - 1));
	}
	return 0;
}

static int read_run(const struct leaf_run *run, uint8_t *buffer, struct error *err)
{
	const struct stripe_view *view = &run->stripe->view;
	uint64_t offset = entry_offset(view->info, run->extent, run->first);
	size_t size = run_bytes(run);
	size_t got;
	int r;

	scrub_pace(run->stripe->scrub, size);
	r = backend_scan(view->backend, offset, buffer, size, &got, err);
	if (r < 0 && !is_medium_error(r))
		return r;
	if (r < 0 || got < size)
		return read_singly(run, buffer, err);
	for (unsigned i = run->first; i < run->first + run->count; i++)
		judge(run, i,
		      buffer + (entry_offset(view->info, run->extent, i) - offset), true);
	return 0;
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
	free(run);
	return r;
}

/* Hand the leaves of @extent to the pool. */
static int submit(struct scrub_stripe *stripe, unsigned extent,
		  struct leaf_entry *entries, struct error *err)
{
	struct pool *pool = stripe->scrub->options->pool;
	unsigned total = extent_entry_count(stripe->view.info, extent);

	for (unsigned first = 0; first < total; first += TASK_LEAVES) {
		struct leaf_run *run = calloc(1, sizeof(*run));

		if (!run)
			return error_set_errno(err, -ENOMEM, "a task");
		run->task.run = run_task;
		run->stripe = stripe;
		run->extent = extent;
		run->first = first;
		run->count = total - first < TASK_LEAVES ? total - first : TASK_LEAVES;
		run->entries = entries;
		task_group_wait_at_most(&stripe->group, TASKS_AHEAD * pool_threads(pool));
		pool_submit(pool, &stripe->group, &run->task);
	}
	return 0;
}

int scrub_leaves_check(struct scrub_stripe *stripe, unsigned extent, struct error *err)
{
	return submit(stripe, extent, NULL, err);
}

int scrub_leaves_describe(struct scrub_stripe *stripe, unsigned extent,
			  struct leaf_entry *entries, struct error *err)
{
	struct error why = { 0 };
	int r = submit(stripe, extent, entries, err);
	int worse = task_group_wait(&stripe->group, &why);

	if (r == 0 && worse < 0) {
		if (err)
			*err = why;
		r = worse;
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
