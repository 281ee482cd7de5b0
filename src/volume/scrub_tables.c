/* SPDX-License-Identifier: MIT */
/* A table is a list of what leaves are, and an extent's hash proves all of it at once. So a
 * list may come from anywhere:
 *
 *   leaves   what they are now: right if none of them is bad, however many of the pages are
 *   rows     what they must be, as far as k sound leaves of a row are known; the others as
 *            they are now
 *
 *   rescue   what somebody else says the payload was (a group of the outer code): for data
 *            extents of a stripe that lost more than its rows can give
 *
 * The second is how an extent comes back of which nothing is left. A table that was proved
 * makes its leaves known, and with these another extent's rows may be complete: so it is done
 * again until nothing new is learnt.
 */
#include "volume/scrub_tables.h"

#include "base/error.h"
#include "volume/extent_table.h"
#include "volume/leaf_repair.h"
#include "volume/scrub_pages.h"
#include "volume/scrub_rows.h"
#include "volume/scrub_stripe.h"
#include "volume/table_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Take the table of @extent, as it was put together, for the right one if it has the hash that
 * the record gives. The leaves are judged by it then. */
static void adopt_table(struct scrub_stripe *stripe, unsigned extent)
{
	struct scrub_extent *known = &stripe->extents[extent];
	struct extent_table *table = known->table;
	struct hash hash;

	extent_hash(table->entries, table->count, &hash);
	if (!hash_equal(&hash, &stripe->view.info->extents[extent].hash))
		return;
	table->verified = true;
	table_cache_put(stripe->tables, &stripe->view, extent, table);
	for (unsigned i = 0; i < table->count; i++)
		if (known->leaves[i] == LEAF_UNKNOWN)
			known->leaves[i] = memcmp(&known->medium[i], &table->entries[i],
						  sizeof(*known->medium)) == 0
						   ? LEAF_SOUND
						   : LEAF_BAD;
}

/* From what the leaves were found to be. If that is not the table, it is what the table, which
 * holds the entries in the making, begins with. */
static void describe_from_leaves(struct scrub_stripe *stripe, unsigned extent)
{
	const struct scrub_extent *known = &stripe->extents[extent];
	struct extent_table *table = known->table;

	memcpy(table->entries, known->medium, table->count * sizeof(*known->medium));
	adopt_table(stripe, extent);
}

/* The entries of the page area of parity extent @extent, if its pages are all known. */
static int describe_parity_pages(struct scrub_stripe *stripe, unsigned extent,
				 struct error *err)
{
	const struct stripe_info *info = stripe->view.info;
	autofree uint8_t *pages = malloc(LEAF_SIZE);
	struct extent_table *table = stripe->extents[extent].table;

	if (!pages)
		return error_set_errno(err, -ENOMEM, "parity pages");
	/* One leaf holds them all: geometry_page_leaves() is 1. */
	if (extent_is_parity(info, extent) &&
	    scrub_parity_pages_make(stripe, extent, pages))
		leaf_entry_fill(&table->entries[0], pages, entry_size(info, extent, 0));
	return 0;
}

/* Describe from the rows what is left. Each table that comes back may make rows complete that
 * another one needs: 1 if one did. */
static int describe_from_rows(struct scrub_stripe *stripe, struct error *err)
{
	int progress = 0;
	int r;

	r = scrub_rows_describe(stripe, err);
	/* Data extents come first: the parity pages follow from theirs. */
	for (unsigned i = 0; r == 0 && i < stripe->count; i++) {
		const struct extent_table *table = stripe->extents[i].table;

		if (table->verified)
			continue;
		r = describe_parity_pages(stripe, i, err);
		if (r < 0)
			return r;
		adopt_table(stripe, i);
		progress |= table->verified;
	}
	return r < 0 ? r : progress;
}

/* ---- from elsewhere ---- */

#define RESCUE_LEAVES 16u /* that one task asks for */

struct rescue_task {
	struct task task;
	struct scrub_stripe *stripe;
	unsigned extent;
	unsigned first; /* leaf */
};

/* A leaf that can't be had elsewhere may still be right on the medium. */
static int run_rescue(struct task *task, unsigned worker, struct error *err)
{
	struct rescue_task *rescue = (struct rescue_task *)task;
	const struct stripe_view view = scrub_task_view(rescue->stripe);
	struct scrub_extent *known = &rescue->stripe->extents[rescue->extent];
	autofree uint8_t *leaf = malloc(LEAF_SIZE);

	(void)worker;
	if (!leaf)
		return error_set_errno(err, -ENOMEM, "leaf");
	for (unsigned i = rescue->first;
	     i < known->table->count && i < rescue->first + RESCUE_LEAVES; i++) {
		if (scrub_stopped(rescue->stripe->scrub))
			return scrub_interrupted(err);
		known->table->entries[i] = known->medium[i];
		if (leaf_rescue(&view, rescue->extent, i, leaf) == 0)
			leaf_entry_fill(&known->table->entries[i], leaf,
					entry_size(view.info, rescue->extent, i));
	}
	return 0;
}

/* All of the entries of data extent @extent; 1 if that is its table. */
static int describe_from_rescue(struct scrub_stripe *stripe, unsigned extent,
				struct error *err)
{
	const struct extent_table *table = stripe->extents[extent].table;
	unsigned count = (table->count + RESCUE_LEAVES - 1) / RESCUE_LEAVES;
	autofree struct rescue_task *tasks = calloc(count + 1, sizeof(*tasks));
	int r;

	if (!tasks)
		return error_set_errno(err, -ENOMEM, "table");
	for (unsigned i = 0; i < count; i++) {
		tasks[i] = (struct rescue_task){
			{ .run = run_rescue }, stripe, extent, i * RESCUE_LEAVES
		};
		pool_submit(stripe->scrub->options->pool, &stripe->group, &tasks[i].task);
	}
	r = task_group_wait(&stripe->group, err);
	if (r < 0)
		return r;
	adopt_table(stripe, extent);
	return table->verified;
}

static int describe_all_from_rescue(struct scrub_stripe *stripe, struct error *err)
{
	int progress = 0;

	for (unsigned i = 0; i < stripe->view.info->data_count; i++) {
		int r = 0;

		if (!stripe->extents[i].table->verified)
			r = describe_from_rescue(stripe, i, err);
		if (r < 0)
			return r;
		progress |= r;
	}
	return progress;
}

int scrub_tables_recover(struct scrub_stripe *stripe, struct error *err)
{
	bool any = false;
	int r = 0;

	for (unsigned i = 0; i < stripe->count; i++) {
		if (stripe->extents[i].table->verified)
			continue;
		describe_from_leaves(stripe, i);
		any |= !stripe->extents[i].table->verified;
	}
	if (!any)
		return 0;
	do {
		r = describe_from_rows(stripe, err);
	} while (r > 0);
	if (r == 0 && stripe->view.rescue)
		r = describe_all_from_rescue(stripe, err);
	while (r > 0)
		r = describe_from_rows(stripe, err);
	return r;
}
