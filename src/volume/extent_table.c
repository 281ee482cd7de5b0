/* SPDX-License-Identifier: MIT */
/* The hash of an extent is taken over its entries, so a table is right as a whole or not at
 * all; the pages' own hashes only say where to look. From cheap to costly:
 *
 *   1. Read all table pages. Those that are whole and in place give their entries.
 *   2. The others are erasures of their page row (data extents only: the pages of parity
 *      extents have no parity).
 *   3. What is still missing is computed from the leaves as they are on the medium. If those
 *      41 leaves are sound this is the lost page, and the extent's hash proves it.
 *   4. All pages are there and the hash differs: one of them is whole but not the one that
 *      the record means. Each in turn is taken for an erasure.
 *
 * The pages that were wrong then go back to the medium, made from the verified table.
 *
 * 3 is for the few pages that scattered damage hits in one row; where a burst took all of
 * them the leaves are gone too, and hashing the extent for every reader would only be slow.
 */
#include "volume/extent_table.h"

#include "base/error.h"
#include "volume/page_row.h"
#include "volume/stripe_view.h"
#include "volume/write_back.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECOMPUTE_PAGES_MAX 2 /* table pages that step 3 computes */

struct extent_table *extent_table_ref(struct extent_table *table)
{
	__atomic_add_fetch(&table->references, 1, __ATOMIC_RELAXED);
	return table;
}

void extent_table_free(struct extent_table *table)
{
	if (table && __atomic_sub_fetch(&table->references, 1, __ATOMIC_ACQ_REL) == 0)
		free(table);
}

size_t extent_table_size(const struct extent_table *table)
{
	return sizeof(*table) + table->count * sizeof(table->entries[0]);
}

/* Take the entries of a page that is in place. */
static void take_page(struct extent_table *table, const struct page *page)
{
	memcpy(&table->entries[page->table.first_leaf], page->table.entries,
	       page->table.count * sizeof(table->entries[0]));
	table->known |= 1u << page->identity.page;
}

static uint32_t all_pages(const struct stripe_view *view, unsigned extent)
{
	return (1u << extent_page_count(view->info, extent)) - 2;
}

/* Decide on the table as it is. */
static bool verify(const struct stripe_view *view, unsigned extent,
		   struct extent_table *table)
{
	struct hash hash;

	if (table->known != all_pages(view, extent))
		return false;
	if (!view->authentic) {
		table->verified = true;
		return true;
	}
	extent_hash(table->entries, table->count, &hash);
	table->verified = hash_equal(&hash, &view->info->extents[extent].hash);
	return table->verified;
}

/* The table pages of @extent, as they are on the medium, to @bytes, which has room for the
 * header page too: that one is not read. */
static int read_bytes(struct stripe_view *view, unsigned extent, uint8_t *bytes,
		      struct error *err)
{
	return view_read(view, extent_offset(view->info, extent) + PAGE_SIZE_BYTES,
			 bytes + PAGE_SIZE_BYTES,
			 extent_page_count(view->info, extent) - 1, NULL, err);
}

static void hash_pages(const struct stripe_view *view, unsigned extent,
		       const uint8_t *bytes, struct hash *hash_out)
{
	size_t pages = extent_page_count(view->info, extent) - 1;

	hash_bytes(bytes + PAGE_SIZE_BYTES, pages * PAGE_SIZE_BYTES, hash_out);
}

/* The table pages among the extent's pages, which are at @bytes. */
static void take_pages(const struct stripe_view *view, unsigned extent,
		       const uint8_t *bytes, struct extent_table *table)
{
	struct page page;

	for (unsigned i = 1; i < extent_page_count(view->info, extent); i++)
		if (page_expected(view, extent, i, bytes + (size_t)i * PAGE_SIZE_BYTES,
				  &page))
			take_page(table, &page);
}

/* Rebuild page @number from its row. Damage beyond that is no error. */
static int repair_page(struct stripe_view *view, unsigned extent, unsigned number,
		       struct extent_table *table, struct error *err)
{
	uint8_t bytes[PAGE_SIZE_BYTES];
	struct page page;
	int r;

	r = page_row_repair(view, extent, number, bytes, &page, err);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	take_page(table, &page);
	return 0;
}

static int repair_missing(struct stripe_view *view, unsigned extent,
			  struct extent_table *table, struct error *err)
{
	for (unsigned i = 1; i < extent_page_count(view->info, extent); i++) {
		int r;

		if (table->known & 1u << i)
			continue;
		r = repair_page(view, extent, i, table, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Fill the entries of table page @number from the leaves as they are. */
static int recompute_page(struct stripe_view *view, unsigned extent, unsigned number,
			  struct extent_table *table, struct error *err)
{
	unsigned first = TABLE_PAGE_ENTRIES * (number - 1);
	autofree uint8_t *leaf = malloc(LEAF_SIZE);

	if (!leaf)
		return error_set_errno(err, -ENOMEM, "leaf of extent %u", extent);
	for (unsigned i = first; i < first + TABLE_PAGE_ENTRIES && i < table->count;
	     i++) {
		uint32_t size = entry_size(view->info, extent, i);
		int r = view_read(view, entry_offset(view->info, extent, i), leaf,
				  size / PAGE_SIZE_BYTES, NULL, err);

		if (r < 0)
			return r;
		leaf_entry_fill(&table->entries[i], leaf, size);
	}
	return 0;
}

static int recompute_missing(struct stripe_view *view, unsigned extent,
			     struct extent_table *table, struct error *err)
{
	uint32_t known = table->known;
	uint32_t missing = all_pages(view, extent) & ~known;

	if (!view->authentic || __builtin_popcount(missing) > RECOMPUTE_PAGES_MAX)
		return 0;
	for (unsigned i = 1; i < extent_page_count(view->info, extent); i++) {
		int r;

		if (!(missing & 1u << i))
			continue;
		r = recompute_page(view, extent, i, table, err);
		if (r < 0)
			return r;
	}

	table->known |= missing;
	if (!verify(view, extent, table))
		table->known = known;
	else
		view_repaired(view, extent_offset(view->info, extent), true);
	return 0;
}

/* All pages look right, but together they are not what the record means. */
static int doubt_each_page(struct stripe_view *view, unsigned extent,
			   struct extent_table *table, struct error *err)
{
	size_t size = table->count * sizeof(table->entries[0]);
	autofree struct leaf_entry *saved = malloc(size);

	if (!saved)
		return error_set_errno(err, -ENOMEM, "table of extent %u", extent);
	memcpy(saved, table->entries, size);
	for (unsigned i = 1; i < extent_page_count(view->info, extent); i++) {
		int r = repair_page(view, extent, i, table, err);

		if (r < 0)
			return r;
		if (verify(view, extent, table))
			return 0;
		memcpy(table->entries, saved, size);
	}
	return 0;
}

static int repair(struct stripe_view *view, unsigned extent, struct extent_table *table,
		  struct error *err)
{
	bool parity = extent_is_parity(view->info, extent);
	bool complete = table->known == all_pages(view, extent);
	int r;

	if (!complete && !parity) {
		r = repair_missing(view, extent, table, err);
		if (r < 0)
			return r;
		if (verify(view, extent, table))
			return 0;
		complete = table->known == all_pages(view, extent);
	}
	if (!complete)
		return recompute_missing(view, extent, table, err);
	return parity ? 0 : doubt_each_page(view, extent, table, err);
}

/* Whether page @number, at @bytes, says what the repaired table says. */
static bool page_is_right(const struct stripe_view *view, unsigned extent,
			  unsigned number, const struct extent_table *table,
			  const uint8_t *bytes)
{
	struct page page;

	return page_expected(view, extent, number, bytes, &page) &&
	       memcmp(page.table.entries, &table->entries[page.table.first_leaf],
		      page.table.count * sizeof(table->entries[0])) == 0;
}

/* Put the pages back that were wrong in @bytes. */
static void write_back_pages(const struct stripe_view *view, unsigned extent,
			     const struct extent_table *table, const uint8_t *bytes)
{
	for (unsigned i = 1; i < extent_page_count(view->info, extent); i++)
		if (!page_is_right(view, extent, i, table,
				   bytes + (size_t)i * PAGE_SIZE_BYTES))
			write_back_page(view->write_back, view, extent, table, i);
}

int extent_table_from(struct stripe_view *view, unsigned extent, const uint8_t *bytes,
		      struct extent_table **table_out, struct error *err)
{
	unsigned count = extent_entry_count(view->info, extent);
	autoptr(extent_table) table =
		calloc(1, sizeof(*table) + count * sizeof(table->entries[0]));
	int r;

	if (!table)
		return error_set_errno(err, -ENOMEM, "table of extent %u", extent);
	table->references = 1;
	table->count = count;
	take_pages(view, extent, bytes, table);
	if (!verify(view, extent, table)) {
		r = repair(view, extent, table, err);
		if (r < 0)
			return r;
		if (table->verified)
			write_back_pages(view, extent, table, bytes);
		else
			hash_pages(view, extent, bytes, &table->found);
	}
	*table_out = take_ptr(table);
	return 0;
}

int extent_table_load(struct stripe_view *view, unsigned extent,
		      struct extent_table **table_out, struct error *err)
{
	unsigned pages = extent_page_count(view->info, extent);
	autofree uint8_t *bytes = malloc((size_t)PAGE_SIZE_BYTES * pages);
	int r;

	if (!bytes)
		return error_set_errno(err, -ENOMEM, "table of extent %u", extent);
	r = read_bytes(view, extent, bytes, err);
	return r < 0 ? r : extent_table_from(view, extent, bytes, table_out, err);
}

int extent_table_look(struct stripe_view *view, unsigned extent, struct hash *found_out,
		      struct error *err)
{
	unsigned pages = extent_page_count(view->info, extent);
	autofree uint8_t *bytes = malloc((size_t)PAGE_SIZE_BYTES * pages);
	int r;

	if (!bytes)
		return error_set_errno(err, -ENOMEM, "table of extent %u", extent);
	r = read_bytes(view, extent, bytes, err);
	if (r == 0)
		hash_pages(view, extent, bytes, found_out);
	return r;
}
