/* SPDX-License-Identifier: MIT */
/* A stripe is read once, extent by extent, as it lies: pages, leaves, the gap behind them.
 * Where all of it is right, that was all. Otherwise, with what is bad known by place, and the
 * sums of the rows that it is in (scrub_sums.h):
 *
 *   1. tables   An extent whose table could not be put together from its pages and their row
 *               (extent_table_from()) is described anew: from its leaves as they are, and if
 *               that has not the hash that the record gives, from its rows. This is how a
 *               parity extent of which nothing is left comes back.
 *   2. pages    All pages follow from records and tables, so they are made, not decoded.
 *   3. parity   of the pages, which follows from these.
 *   4. leaves   from their rows, or column by column.
 *
 * What a stripe can't give is asked of options->rescue: payload for tables and leaves of data
 * extents. If parity extents are lost as well, nothing is known of them until the data is there
 * again: they have a second round.
 *
 * Each step leaves the stripe better than it was, and the next one starts from what is known
 * in memory. What was written is not believed before it was read again (volume/mend.h), and a
 * scrub that was killed is simply run again.
 *
 * When nothing is to be written the steps are the same, so that what is called repairable was
 * in fact repaired, in memory.
 */
#include "volume/scrub_stripe.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "chunker/parity.h"
#include "volume/backend.h"
#include "volume/extent_table.h"
#include "volume/mend.h"
#include "volume/scrub_leaves.h"
#include "volume/scrub_pages.h"
#include "volume/scrub_rows.h"
#include "volume/scrub_sums.h"
#include "volume/scrub_tables.h"
#include "volume/table_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MEND_PATIENCE_MS 5000u /* a mount holds the lock for some milliseconds */
#define NAP_NS UINT64_C(50000000)
#define NS_PER_S UINT64_C(1000000000)

/* ---- what the steps use ---- */

bool scrub_stopped(const struct scrub *scrub)
{
	const struct scrub_observer *observer = &scrub->options->observer;

	return observer->stopped && observer->stopped(observer->context);
}

int scrub_interrupted(struct error *err)
{
	return error_set(err, -EINTR, "interrupted");
}

/* Nanoseconds that the scrub is ahead of its rate, with @size bytes more. */
static uint64_t ahead(struct scrub *scrub, uint64_t size)
{
	uint64_t due, now;

	mutex_scope(&scrub->pacing);
	scrub->read += size;
	due = scrub->begun +
	      (uint64_t)((double)scrub->read / (double)scrub->options->rate * 1e9);
	now = clock_monotonic_ns();
	return due > now ? due - now : 0;
}

void scrub_pace(struct scrub *scrub, uint64_t size)
{
	uint64_t left;

	if (scrub->options->rate == 0)
		return;
	for (left = ahead(scrub, size); left > 0 && !scrub_stopped(scrub);) {
		uint64_t nap = left < NAP_NS ? left : NAP_NS;
		const struct timespec pause = { .tv_nsec = (long)nap };

		(void)nanosleep(&pause, NULL); /* cut short: a little faster */
		left -= nap;
	}
}

struct stripe_view scrub_task_view(const struct scrub_stripe *stripe)
{
	/* Not a copy: the owner's tally changes meanwhile. */
	return (struct stripe_view){
		.backend = stripe->view.backend,
		.volume = stripe->view.volume,
		.info = stripe->view.info,
		.authentic = true,
		.tables = stripe->view.tables,
		.rescue = stripe->view.rescue,
	};
}

static void count_finding(struct scrub_stripe *stripe, enum scrub_outcome outcome)
{
	struct scrub_stripe_result *result = &stripe->result;
	struct scrub_report *report = stripe->scrub->report;

	switch (outcome) {
	case SCRUB_REPAIRABLE:
		result->repairable++;
		report->repairable++;
		break;
	case SCRUB_REPAIRED:
		result->repaired++;
		report->repaired++;
		break;
	case SCRUB_NOT_WRITTEN:
		result->not_written++;
		report->not_written++;
		break;
	case SCRUB_LOST:
		result->lost++;
		report->lost++;
		break;
	}
}

void scrub_tell(struct scrub_stripe *stripe, const struct scrub_finding *finding)
{
	const struct scrub_observer *observer = &stripe->scrub->options->observer;

	/* Of the last record's stripe: a writer is at it, or the next one appends it. */
	if (finding->offset + finding->size > stripe->size)
		return;
	mutex_scope(&stripe->scrub->mutex);
	count_finding(stripe, finding->outcome);
	if (observer->found)
		observer->found(observer->context, finding);
}

static struct scrub_finding finding_at(const struct scrub_stripe *stripe, unsigned extent)
{
	return (struct scrub_finding){
		.outcome = SCRUB_LOST,
		.stripe = stripe->view.info->number,
		.stripe_kind = stripe->view.info->kind,
		.extent = extent,
	};
}

struct scrub_finding scrub_page_finding(const struct scrub_stripe *stripe,
					unsigned extent, unsigned page)
{
	struct scrub_finding finding = finding_at(stripe, extent);

	finding.kind = page == 0 ? SCRUB_HEADER_PAGE : SCRUB_TABLE_PAGE;
	finding.offset = extent_offset(stripe->view.info, extent) +
			 (uint64_t)PAGE_SIZE_BYTES * page;
	finding.size = PAGE_SIZE_BYTES;
	finding.index = page;
	return finding;
}

/* The payload that leaf @entry of data extent @extent holds. */
static void add_payload(const struct stripe_info *info, unsigned extent, unsigned entry,
			struct scrub_finding *finding)
{
	uint64_t start = (uint64_t)LEAF_SIZE * entry;
	uint64_t end = start + finding->size;

	if (end > info->extents[extent].payload_size)
		end = info->extents[extent].payload_size;
	if (start >= end)
		return;
	finding->log_offset = info->log_start + start;
	for (unsigned i = 0; i < extent; i++)
		finding->log_offset += info->extents[i].payload_size;
	finding->log_size = end - start;
}

struct scrub_finding scrub_leaf_finding(const struct scrub_stripe *stripe,
					unsigned extent, unsigned entry)
{
	const struct stripe_info *info = stripe->view.info;
	struct scrub_finding finding = finding_at(stripe, extent);
	unsigned first = row_entry(info, extent, 0);

	finding.offset = entry_offset(info, extent, entry);
	finding.size = entry_size(info, extent, entry);
	finding.index = entry < first ? entry : entry - first;
	if (!extent_is_parity(info, extent)) {
		finding.kind = SCRUB_LEAF;
		add_payload(info, extent, entry, &finding);
	} else {
		finding.kind = entry < first ? SCRUB_PARITY_PAGES : SCRUB_PARITY_LEAF;
	}
	return finding;
}

static void mend_all(struct scrub_stripe *stripe, struct damage *damages, size_t count,
		     struct error *why)
{
	const struct mend_terms terms = {
		.patience_ms = MEND_PATIENCE_MS,
		.foreign_block_is_damage = true,
		.landmark =
			stripe->scrub->landmark.extents ? &stripe->scrub->landmark : NULL,
	};

	mutex_scope(&stripe->scrub->mending);
	(void)mend(stripe->view.backend, &stripe->view, &terms, damages, count,
		   why); /* each damage has its result */
}

void scrub_settle(struct scrub_stripe *stripe, struct damage *damages,
		  struct scrub_finding *findings, size_t count)
{
	bool repair = stripe->scrub->options->repair;
	struct error why = { 0 };

	if (count == 0)
		return;
	if (repair)
		mend_all(stripe, damages, count, &why);
	for (size_t i = 0; i < count; i++) {
		struct scrub_finding *finding = &findings[i];

		finding->outcome = SCRUB_REPAIRABLE;
		if (repair) {
			finding->code = damages[i].result < 0 ? damages[i].result : 0;
			finding->reason = finding->code ? why.text : NULL;
			finding->outcome =
				finding->code ? SCRUB_NOT_WRITTEN : SCRUB_REPAIRED;
		}
		scrub_tell(stripe, finding);
	}
}

/* ---- life of a stripe ---- */

static void stripe_done(struct scrub_stripe *stripe)
{
	for (unsigned i = 0; stripe->extents && i < stripe->count; i++) {
		extent_table_free(stripe->extents[i].table);
		free(stripe->extents[i].medium);
		free(stripe->extents[i].leaves);
	}
	free(stripe->extents);
	row_sums_free(stripe->sums);
	table_cache_free(stripe->tables);
	parity_free(stripe->code);
	task_group_done(&stripe->group);
	mutex_done(&stripe->mutex);
	cond_done(&stripe->changed);
}

/* Bytes of all tables of the stripe in memory, with what their cache adds. */
static size_t tables_size(const struct stripe_info *info)
{
	size_t size = 0;

	for (unsigned i = 0; i < stripe_extent_count(info); i++)
		size += sizeof(struct extent_table) +
			(size_t)extent_entry_count(info, i) * LEAF_ENTRY_SIZE;
	return size;
}

static int stripe_init(struct scrub_stripe *stripe, struct error *err)
{
	const struct stripe_info *info = stripe->view.info;
	int r;

	stripe->extents = calloc(stripe->count, sizeof(*stripe->extents));
	if (!stripe->extents)
		return error_set_errno(err, -ENOMEM, "stripe");
	for (unsigned i = 0; i < stripe->count; i++) {
		stripe->extents[i].leaves = calloc(extent_entry_count(info, i), 1);
		if (!stripe->extents[i].leaves)
			return error_set_errno(err, -ENOMEM, "stripe");
	}
	r = parity_new(info->geometry.data, info->geometry.parity, &stripe->code, err);
	if (r < 0)
		return r;
	r = table_cache_new(tables_size(info), &stripe->tables, err);
	if (r < 0)
		return r;
	stripe->view.tables = stripe->tables;
	return row_sums_new(stripe, &stripe->sums, err);
}

/* ---- the steps ---- */

/* Bytes of an extent with its pages and areas. */
static uint64_t extent_bytes(const struct stripe_info *info, unsigned extent)
{
	unsigned last = extent_entry_count(info, extent);
	uint64_t end = extent_offset(info, extent) +
		       (uint64_t)PAGE_SIZE_BYTES * extent_page_count(info, extent);

	if (last > 0)
		end = entry_offset(info, extent, last - 1) +
		      entry_size(info, extent, last - 1);
	return end - extent_offset(info, extent);
}

static void note_progress(struct scrub *scrub, uint64_t bytes)
{
	const struct scrub_observer *observer = &scrub->options->observer;

	scrub->report->bytes += bytes;
	if (observer->progress)
		observer->progress(observer->context, bytes);
}

static int check_extent(struct scrub_stripe *stripe, unsigned extent, struct error *err)
{
	const struct stripe_info *info = stripe->view.info;
	int r;

	if (scrub_stopped(stripe->scrub))
		return scrub_interrupted(err);
	r = scrub_leaves_check(stripe, extent, err);
	if (r < 0)
		return r;
	note_progress(stripe->scrub, extent_bytes(info, extent));
	return scrub_gap_check(stripe, extent, err);
}

/* Read everything. */
static int check_all(struct scrub_stripe *stripe, struct error *err)
{
	struct error why = { 0 };
	int r = 0;
	int worse;

	for (unsigned i = 0; r == 0 && i < stripe->count; i++)
		r = check_extent(stripe, i, err);
	worse = task_group_wait(&stripe->group, &why);
	if (r == 0 && worse < 0) {
		if (err)
			*err = why;
		r = worse;
	}
	return r;
}

static bool extent_is_sound(const struct scrub_stripe *stripe, unsigned extent)
{
	const struct scrub_extent *known = &stripe->extents[extent];
	unsigned count = extent_entry_count(stripe->view.info, extent);

	if (!known->table->verified || known->bad_pages)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (known->leaves[i] != LEAF_SOUND)
			return false;
	return true;
}

static bool is_sound(const struct scrub_stripe *stripe)
{
	for (unsigned i = 0; i < stripe->count; i++)
		if (!extent_is_sound(stripe, i))
			return false;
	return true;
}

/* Steps 2 to 4, of the extents that are due. */
static int repair_round(struct scrub_stripe *stripe, struct error *err)
{
	int r;

	r = scrub_pages_repair(stripe, err);
	if (r < 0)
		return r;
	crash_point("volume.scrub.pages");
	r = scrub_parity_pages_repair(stripe, err);
	if (r < 0)
		return r;
	r = scrub_rows_repair(stripe, err);
	if (r == 0)
		crash_point("volume.scrub.rows");
	return r;
}

bool scrub_is_due(const struct scrub_stripe *stripe, unsigned extent)
{
	return stripe->extents[extent].waits == stripe->second_round;
}

/* Data that came from elsewhere is known leaf by leaf, and so its parity is not, until all of it
 * is on the medium. True if some extent has to wait for that. */
static bool let_parity_wait(struct scrub_stripe *stripe)
{
	unsigned data = stripe->view.info->data_count;
	bool any = false;

	if (!stripe->view.rescue)
		return false;
	for (unsigned i = 0; i < data; i++)
		if (!stripe->extents[i].table->verified)
			return false;
	for (unsigned i = data; i < stripe->count; i++)
		any |= stripe->extents[i].waits = !stripe->extents[i].table->verified;
	return any;
}

static bool data_is_lost(const struct scrub_stripe *stripe)
{
	for (unsigned i = 0; i < stripe->view.info->data_count; i++)
		for (unsigned n = 0; n < stripe->extents[i].table->count; n++)
			if (stripe->extents[i].leaves[n] == LEAF_LOST)
				return true;
	return false;
}

/* Parity of data that can all be had is repairable, even though nobody looks at it now. */
static void tell_waiting(struct scrub_stripe *stripe, unsigned extent)
{
	const struct scrub_extent *known = &stripe->extents[extent];
	struct scrub_finding finding;

	for (unsigned i = 0; i < extent_page_count(stripe->view.info, extent); i++) {
		if (!(known->bad_pages & 1u << i))
			continue;
		finding = scrub_page_finding(stripe, extent, i);
		finding.outcome = SCRUB_REPAIRABLE;
		scrub_tell(stripe, &finding);
	}
	for (unsigned i = 0; i < known->table->count; i++) {
		finding = scrub_leaf_finding(stripe, extent, i);
		finding.outcome = SCRUB_REPAIRABLE;
		scrub_tell(stripe, &finding);
	}
}

static int repair_waiting(struct scrub_stripe *stripe, struct error *err)
{
	int r;

	stripe->second_round = true;
	if (stripe->scrub->options->repair || data_is_lost(stripe)) {
		r = scrub_tables_recover(stripe, err);
		return r < 0 ? r : repair_round(stripe, err);
	}
	for (unsigned i = stripe->view.info->data_count; i < stripe->count; i++)
		if (scrub_is_due(stripe, i))
			tell_waiting(stripe, i);
	return 0;
}

static int repair_all(struct scrub_stripe *stripe, struct error *err)
{
	bool waiting;
	int r;

	r = scrub_tables_recover(stripe, err);
	if (r < 0)
		return r;
	crash_point("volume.scrub.known");
	waiting = let_parity_wait(stripe);
	r = repair_round(stripe, err);
	return r == 0 && waiting ? repair_waiting(stripe, err) : r;
}

static bool leaf_counts(const struct scrub_stripe *stripe, unsigned extent, unsigned row)
{
	const struct stripe_info *info = stripe->view.info;
	enum leaf_state state;

	if (row_size(info, extent, row) == 0)
		return true;
	state = stripe->extents[extent].leaves[row_entry(info, extent, row)];
	return state == LEAF_SOUND || state == LEAF_REPAIRED;
}

static bool page_counts(const struct scrub_stripe *stripe, unsigned extent, unsigned page)
{
	const struct scrub_extent *known = &stripe->extents[extent];

	if (extent_is_parity(stripe->view.info, extent))
		return known->leaves[0] == LEAF_SOUND ||
		       known->leaves[0] == LEAF_REPAIRED;
	return !(known->bad_pages & 1u << page);
}

/* Extents that the worst row can still lose. */
static unsigned margin_of(const struct scrub_stripe *stripe)
{
	const struct geometry *geometry = &stripe->view.info->geometry;
	unsigned worst = 0;

	for (unsigned row = 0; row < geometry_leaves(geometry); row++) {
		unsigned bad = 0;

		for (unsigned i = 0; i < stripe->count; i++)
			bad += !leaf_counts(stripe, i, row);
		worst = bad > worst ? bad : worst;
	}
	for (unsigned page = 0; page < geometry_data_pages(geometry); page++) {
		unsigned bad = 0;

		for (unsigned i = 0; i < stripe->count; i++)
			bad += !page_counts(stripe, i, page);
		worst = bad > worst ? bad : worst;
	}
	return worst < geometry->parity ? geometry->parity - worst : 0;
}

static int run(struct scrub_stripe *stripe, struct error *err)
{
	int r;

	r = stripe_init(stripe, err);
	if (r < 0)
		return r;
	r = check_all(stripe, err);
	if (r < 0)
		return r;
	stripe->result.margin = stripe->view.info->geometry.parity;
	if (is_sound(stripe))
		return 0;
	r = repair_all(stripe, err);
	if (r < 0)
		return r;
	stripe->result.margin = stripe->result.lost > 0 ? 0 : margin_of(stripe);
	return 0;
}

int scrub_stripe(struct scrub *scrub, const struct stripe_info *info,
		 uint64_t previous_offset, const struct hash *previous_hash,
		 struct error *err)
{
	const struct scrub_observer *observer = &scrub->options->observer;
	struct budget *budget = scrub->options->budget;
	size_t size = 3 * tables_size(info); /* what leaves and tables must be, and are */
	struct scrub_stripe stripe = {
		.scrub = scrub,
		.view = { .backend = scrub->options->backend,
			  .volume = &scrub->options->volume,
			  .info = info,
			  .authentic = true,
			  .rescue = scrub->options->rescue },
		.previous_offset = previous_offset,
		.previous_hash = *previous_hash,
		.count = stripe_extent_count(info),
		.size = backend_position(scrub->options->backend),
		.result = { .info = info },
	};
	int r;

	stripe.result.incomplete =
		info->offset + stripe_physical_size(info) > stripe.size;

	r = budget_reserve(budget, size, "the tables of a stripe", err);
	if (r < 0)
		return r;
	task_group_init(&stripe.group);
	mutex_init(&stripe.mutex);
	cond_init(&stripe.changed);
	r = run(&stripe, err);
	stripe_done(&stripe);
	budget_release(budget, size);
	if (r < 0)
		return r;
	if (observer->stripe)
		r = observer->stripe(observer->context, &stripe.result, err);
	return r;
}
