/* SPDX-License-Identifier: MIT */
/* What scrubbing has gathered in a row's sums (scrub_sums.h) need not be read again; the rest of
 * the sound leaves is, and of parity as much as is needed: k leaves in all. Then the bad ones are
 * solved for at once. The results must match their entries, so a leaf that changed since it was
 * found sound does no harm.
 *
 * Up to sixteen rows are done together, so that a lost extent costs reads of a MiB and not of a
 * leaf, and a session of repair brings back many leaves.
 *
 * What that does not give (more than m leaves of the row are bad, or a result is wrong) is
 * tried leaf by leaf with leaf_repair(), which knows columns and doubt.
 *
 * Memory comes from the budget: rows in a run become fewer where it is small, and in the end
 * the scrub's own thread does the work alone, row by row.
 */
#include "volume/scrub_rows.h"

#include "base/error.h"
#include "chunker/parity.h"
#include "volume/backend_scan.h"
#include "volume/extent_table.h"
#include "volume/leaf_repair.h"
#include "volume/mend.h"
#include "volume/scrub_stripe.h"
#include "volume/scrub_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUN_ROWS_MAX 16u /* bits of a mask, and BACKEND_SCAN_MAX of one shard */
#define BATCH_MAX (RUN_ROWS_MAX * PARITY_MAX_PARITY)

/* What every run of a repair needs to know. */
struct row_work {
	struct scrub_stripe *stripe;
	bool describe;          /* entries are wanted, not leaves */
	unsigned rows;          /* of a run, at most */
	struct buffer *buffers; /* one for each worker */
	unsigned buffer_count;
	uint64_t reserved; /* bytes of the budget, for leaf_repair() */
};

struct row_run {
	struct task task;
	struct row_work *work;
	unsigned first, count; /* rows */
};

/* A run in the hands of a worker. */
struct rows {
	struct row_work *work;
	struct scrub_stripe *stripe;
	struct stripe_view view; /* with a tally of its own */
	unsigned first, count;
	struct row_sum *sums[RUN_ROWS_MAX]; /* of the stripe, or: */
	struct row_sum own[RUN_ROWS_MAX];   /* for rows that were not open */
	unsigned need[RUN_ROWS_MAX]; /* parity leaves that are missing to solve it */
	uint8_t *leaves;             /* of one extent, as they are read */
	uint8_t *outs;               /* results that are not settled yet */
	uint8_t *spare;              /* one leaf */
	struct damage damages[BATCH_MAX];
	struct scrub_finding findings[BATCH_MAX];
	unsigned entries[BATCH_MAX];
	unsigned batch;
};

static uint8_t *state_of(const struct scrub_stripe *stripe, unsigned extent, unsigned row)
{
	return &stripe->extents[extent].leaves[row_entry(stripe->view.info, extent, row)];
}

/* Whether the leaf of @extent in row @row is to be computed. */
static bool is_target(const struct row_work *work, unsigned extent, unsigned row)
{
	const struct scrub_stripe *stripe = work->stripe;

	if (row_size(stripe->view.info, extent, row) == 0)
		return false;
	if (work->describe)
		return !stripe->extents[extent].table->verified;
	return scrub_is_due(stripe, extent) && *state_of(stripe, extent, row) == LEAF_BAD;
}

static bool has_target(const struct row_work *work, unsigned row)
{
	for (unsigned i = 0; i < work->stripe->count; i++)
		if (is_target(work, i, row))
			return true;
	return false;
}

static bool is_sound(const struct rows *rows, unsigned extent, unsigned row)
{
	uint8_t state = *state_of(rows->stripe, extent, row);

	return state == LEAF_SOUND || state == LEAF_REPAIRED;
}

/* ---- gathering ---- */

static uint8_t *leaf_at(const struct rows *rows, unsigned i)
{
	return rows->leaves + (size_t)i * LEAF_SIZE;
}

/* Read rows [low, high] of the run from @extent; those that can't be read go from *bits. */
static int read_rows(struct rows *rows, unsigned extent, unsigned low, unsigned high,
		     uint16_t *bits, struct error *err)
{
	const struct stripe_info *info = rows->view.info;
	unsigned entry = row_entry(info, extent, rows->first + low);
	uint64_t offset = entry_offset(info, extent, entry);
	size_t size = (size_t)(high - low) * LEAF_SIZE +
		      row_size(info, extent, rows->first + high);
	size_t got;
	int r;

	scrub_pace(rows->stripe->scrub, size);
	r = backend_scan(rows->view.backend, offset, leaf_at(rows, low), size, &got, err);
	if (r < 0 && !is_medium_error(r))
		return r;
	if (r == 0 && got == size)
		return 0;
	for (unsigned i = low; i <= high; i++) {
		unsigned sectors =
			row_size(info, extent, rows->first + i) / PAGE_SIZE_BYTES;
		uint16_t readable;

		r = view_read(&rows->view, offset + (uint64_t)(i - low) * LEAF_SIZE,
			      leaf_at(rows, i), sectors, &readable, err);
		if (r < 0)
			return r;
		if (readable != (uint16_t)((1u << sectors) - 1))
			*bits &= (uint16_t) ~(1u << i);
	}
	return 0;
}

/* Whether the leaf of @extent is to be added to the sums of row @i of the run. */
static bool is_useful(const struct rows *rows, unsigned extent, unsigned i)
{
	unsigned row = rows->first + i;

	return rows->sums[i] && row_size(rows->view.info, extent, row) > 0 &&
	       rows->stripe->extents[extent].table->verified &&
	       is_sound(rows, extent, row) && !row_sum_has(rows->sums[i], extent) &&
	       (!extent_is_parity(rows->view.info, extent) || rows->need[i] > 0);
}

/* What adding (or not) the leaf of @extent means for row @i. */
static void note_shard(struct rows *rows, unsigned extent, unsigned i)
{
	bool has = rows->sums[i] && row_sum_has(rows->sums[i], extent);

	if (row_size(rows->view.info, extent, rows->first + i) == 0)
		return;
	if (!extent_is_parity(rows->view.info, extent))
		rows->need[i] += !has;
	else if (has && rows->need[i] > 0)
		rows->need[i]--;
}

/* Data extents come first: how much parity is needed is known then. */
static int gather_extent(struct rows *rows, unsigned extent, struct error *err)
{
	uint16_t bits = 0;
	int r = 0;

	for (unsigned i = 0; i < rows->count; i++)
		if (is_useful(rows, extent, i))
			bits |= (uint16_t)(1u << i);
	if (bits)
		r = read_rows(rows, extent, (unsigned)__builtin_ctz(bits),
			      31 - (unsigned)__builtin_clz(bits), &bits, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < rows->count; i++) {
		if (bits & 1u << i)
			row_sum_add(rows->stripe, rows->sums[i], extent, rows->first + i,
				    leaf_at(rows, i));
		note_shard(rows, extent, i);
	}
	return 0;
}

static int gather(struct rows *rows, struct error *err)
{
	for (unsigned extent = 0; extent < rows->stripe->count; extent++) {
		int r = gather_extent(rows, extent, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- results ---- */

static void settle_batch(struct rows *rows)
{
	struct scrub_stripe *stripe = rows->stripe;

	scrub_settle(stripe, rows->damages, rows->findings, rows->batch);
	for (unsigned i = 0; i < rows->batch; i++)
		if (stripe->scrub->options->repair && rows->damages[i].result >= 0)
			stripe->extents[rows->damages[i].extent]
				.leaves[rows->entries[i]] = LEAF_REPAIRED;
	rows->batch = 0;
}

/* Leaf @entry of @extent must be what is at @right, which stays until the batch is settled. */
static void add_result(struct rows *rows, unsigned extent, unsigned entry,
		       const uint8_t *right)
{
	struct scrub_finding finding = scrub_leaf_finding(rows->stripe, extent, entry);

	rows->entries[rows->batch] = entry;
	rows->findings[rows->batch] = finding;
	rows->damages[rows->batch++] = (struct damage){
		.extent = extent,
		.offset = finding.offset,
		.size = (uint32_t)finding.size,
		.right = right,
	};
}

/* The slow way, for one leaf. */
static int repair_singly(struct rows *rows, unsigned extent, unsigned row,
			 struct error *err)
{
	const struct stripe_info *info = rows->view.info;
	const struct extent_table *table = rows->stripe->extents[extent].table;
	unsigned entry = row_entry(info, extent, row);
	struct scrub_finding finding;
	int r;

	if (scrub_stopped(rows->stripe->scrub))
		return scrub_interrupted(err);
	r = view_read(&rows->view, entry_offset(info, extent, entry), rows->spare,
		      row_size(info, extent, row) / PAGE_SIZE_BYTES, NULL, err);
	if (r == 0)
		r = leaf_repair(&rows->view, extent, row, &table->entries[entry],
				rows->spare, err);
	if (r < 0 && r != -EBADMSG)
		return r;
	if (r == 0) {
		settle_batch(rows);
		add_result(rows, extent, entry, rows->spare);
		settle_batch(rows);
		return 0;
	}
	finding = scrub_leaf_finding(rows->stripe, extent, entry);
	*state_of(rows->stripe, extent, row) = LEAF_LOST;
	scrub_tell(rows->stripe, &finding);
	return 0;
}

/* ---- solving ---- */

/* The result for one target. */
static int take(struct rows *rows, unsigned extent, unsigned row, const uint8_t *out,
		struct error *err)
{
	struct extent_table *table = rows->stripe->extents[extent].table;
	unsigned entry = row_entry(rows->view.info, extent, row);
	uint32_t size = row_size(rows->view.info, extent, row);

	if (rows->work->describe)
		leaf_entry_fill(&table->entries[entry], out, size);
	else if (leaf_entry_matches(&table->entries[entry], out, size))
		add_result(rows, extent, entry, out);
	else
		return repair_singly(rows, extent, row, err);
	return 0;
}

static int run_row(struct rows *rows, unsigned i, struct error *err)
{
	unsigned row = rows->first + i;
	unsigned parity = rows->view.info->geometry.parity;
	unsigned wanted[CODEWORD_SHARDS_MAX];
	unsigned extents[CODEWORD_SHARDS_MAX];
	uint8_t *outs[PARITY_MAX_PARITY];
	unsigned count = 0;
	bool solved;

	for (unsigned extent = 0; extent < rows->stripe->count; extent++) {
		if (!is_target(rows->work, extent, row))
			continue;
		wanted[count] = extent_shard(rows->view.info, extent);
		extents[count++] = extent;
	}
	for (unsigned n = 0; n < parity; n++)
		outs[n] = rows->outs + ((size_t)i * parity + n) * LEAF_SIZE;
	solved = count > 0 && count <= parity && rows->need[i] == 0 &&
		 row_sum_solve(rows->stripe, rows->sums[i], row, wanted, count, outs);
	for (unsigned n = 0; n < count; n++) {
		int r = 0;

		if (solved)
			r = take(rows, extents[n], row, outs[n], err);
		else if (!rows->work->describe)
			r = repair_singly(rows, extents[n], row, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Divide the worker's memory, and find the sums: those of the stripe, or new ones. */
static void rows_init(struct rows *rows, const struct row_run *run, uint8_t *memory)
{
	struct row_work *work = run->work;
	size_t parity = work->stripe->view.info->geometry.parity * (size_t)LEAF_SIZE;

	rows->work = work;
	rows->stripe = work->stripe;
	rows->view = scrub_task_view(work->stripe);
	rows->first = run->first;
	rows->count = run->count;
	rows->leaves = memory;
	rows->outs = rows->leaves + (size_t)work->rows * LEAF_SIZE;
	memory = rows->outs + work->rows * parity;
	for (unsigned i = 0; i < run->count; i++, memory += parity) {
		unsigned row = run->first + i;

		if (!has_target(work, row))
			continue;
		rows->sums[i] = row_sums_take(work->stripe->sums, row);
		if (rows->sums[i]->bytes)
			continue;
		memset(memory, 0, parity);
		rows->own[i].bytes = memory;
		rows->sums[i] = &rows->own[i];
	}
	rows->spare = memory;
}

static int run_rows(const struct row_run *run, unsigned worker, struct error *err)
{
	autofree struct rows *rows = calloc(1, sizeof(*rows));
	int r;

	if (!rows)
		return error_set_errno(err, -ENOMEM, "rows of a stripe");
	rows_init(rows, run, run->work->buffers[worker].data);
	r = gather(rows, err);
	for (unsigned i = 0; r == 0 && i < rows->count; i++)
		r = run_row(rows, i, err);
	settle_batch(rows);
	return r;
}

static int run_task(struct task *task, unsigned worker, struct error *err)
{
	const struct row_run *run = (const struct row_run *)task;

	if (scrub_stopped(run->work->stripe->scrub))
		return scrub_interrupted(err);
	return run_rows(run, worker, err);
}

/* ---- all rows ---- */

static void work_done(struct row_work *work)
{
	for (unsigned i = 0; work->buffers && i < work->buffer_count; i++)
		buffer_free(&work->buffers[i]);
	free(work->buffers);
	budget_release(work->stripe->scrub->options->budget, work->reserved);
}

/* Leaves of memory for runs of @rows rows, and for leaf_repair(). */
static uint64_t leaves_for(const struct row_work *work, unsigned rows)
{
	const struct geometry *geometry = &work->stripe->view.info->geometry;

	return (uint64_t)rows * (1 + 2 * geometry->parity) + 1;
}

/* Choose how many rows and how many workers, and take the memory. */
static int work_init(struct row_work *work, struct error *err)
{
	const struct geometry *geometry = &work->stripe->view.info->geometry;
	const struct scrub_options *options = work->stripe->scrub->options;
	uint64_t aside = (uint64_t)(geometry->data + geometry->parity) * LEAF_SIZE;
	unsigned workers = pool_threads(options->pool);
	uint64_t share = budget_available(options->budget) / 2 / workers;
	int r;

	work->rows = RUN_ROWS_MAX;
	while (work->rows > 1 && leaves_for(work, work->rows) * LEAF_SIZE + aside > share)
		work->rows--;
	if (leaves_for(work, work->rows) * LEAF_SIZE + aside > share)
		workers = 1;
	r = budget_reserve(options->budget, workers * aside, "rebuilding leaves", err);
	if (r < 0)
		return r;
	work->reserved = workers * aside;
	work->buffers = calloc(workers, sizeof(*work->buffers));
	if (!work->buffers)
		return error_set_errno(err, -ENOMEM, "rows of a stripe");
	work->buffer_count = workers;
	for (unsigned i = 0; i < workers && r == 0; i++)
		r = buffer_alloc(&work->buffers[i], options->budget,
				 leaves_for(work, work->rows) * LEAF_SIZE,
				 "rows of a stripe", err);
	return r;
}

/* The next run from row *@next on; false if there is none. */
static bool next_run(struct row_work *work, unsigned *next, struct row_run *run)
{
	unsigned total = geometry_leaves(&work->stripe->view.info->geometry);
	unsigned last;

	while (*next < total && !has_target(work, *next))
		(*next)++;
	if (*next == total)
		return false;
	*run = (struct row_run){ .task.run = run_task, .work = work, .first = *next };
	last = *next;
	for (unsigned i = 0; i < work->rows && *next < total; i++, (*next)++)
		if (has_target(work, *next))
			last = *next;
	run->count = last - run->first + 1;
	return true;
}

static int run_parallel(struct row_work *work, struct error *err)
{
	unsigned total = geometry_leaves(&work->stripe->view.info->geometry);
	autofree struct row_run *runs = calloc(total, sizeof(*runs));
	struct task_group *group = &work->stripe->group;
	unsigned count = 0;
	unsigned next = 0;

	if (!runs)
		return error_set_errno(err, -ENOMEM, "rows of a stripe");
	while (next_run(work, &next, &runs[count]))
		count++; /* all of them first: running ones change the states */
	for (unsigned i = 0; i < count; i++)
		pool_submit(work->stripe->scrub->options->pool, group, &runs[i].task);
	return task_group_wait(group, err);
}

static int run_alone(struct row_work *work, struct error *err)
{
	struct row_run run;
	unsigned next = 0;
	int r = 0;

	while (r == 0 && next_run(work, &next, &run)) {
		r = run_rows(&run, 0, err);
		if (r == 0 && scrub_stopped(work->stripe->scrub))
			r = scrub_interrupted(err);
	}
	return r;
}

static int run_all(struct scrub_stripe *stripe, bool describe, struct error *err)
{
	struct row_work work = { .stripe = stripe, .describe = describe };
	int r;

	r = work_init(&work, err);
	if (r == 0)
		r = work.buffer_count == pool_threads(stripe->scrub->options->pool)
			    ? run_parallel(&work, err)
			    : run_alone(&work, err);
	work_done(&work);
	return r;
}

/* Leaves that nothing tells how they must be. */
static void tell_unknown(struct scrub_stripe *stripe, unsigned extent)
{
	struct scrub_extent *known = &stripe->extents[extent];
	unsigned first = row_entry(stripe->view.info, extent, 0);

	for (unsigned i = first; i < extent_entry_count(stripe->view.info, extent); i++) {
		struct scrub_finding finding = scrub_leaf_finding(stripe, extent, i);

		known->leaves[i] = LEAF_LOST;
		scrub_tell(stripe, &finding);
	}
}

int scrub_rows_repair(struct scrub_stripe *stripe, struct error *err)
{
	bool any = false;

	for (unsigned i = 0; i < stripe->count; i++) {
		unsigned count = extent_entry_count(stripe->view.info, i);

		if (!scrub_is_due(stripe, i))
			continue;
		if (!stripe->extents[i].table->verified)
			tell_unknown(stripe, i);
		for (unsigned n = row_entry(stripe->view.info, i, 0); n < count; n++)
			any |= stripe->extents[i].leaves[n] == LEAF_BAD;
	}
	return any ? run_all(stripe, false, err) : 0;
}

int scrub_rows_describe(struct scrub_stripe *stripe, struct error *err)
{
	bool any = false;

	if (stripe->view.info->geometry.parity == 0)
		return 0;
	for (unsigned i = 0; i < stripe->count; i++)
		any |= !stripe->extents[i].table->verified;
	return any ? run_all(stripe, true, err) : 0;
}
