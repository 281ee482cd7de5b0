/* SPDX-License-Identifier: MIT */
/* Every field of a page follows from elsewhere: identity and geometry from the record that
 * lists the stripe, the record before it from that record's own link, the entries from a table
 * that has the hash that the record gives. So a page can be made bit for bit as it was
 * written, and its row is needed for one thing only: for a table of which too little is left
 * (extent_table_load() does that).
 *
 * A page that says what it must but in other bytes (a flag of a later version that this one
 * may ignore) is right, and is left alone.
 *
 * Parity pages are the sums of made pages. With a table lost for good, the pages that are
 * known and the parity pages that agree with their CRC may still give the rest.
 */
#include "volume/scrub_pages.h"

#include "base/error.h"
#include "chunker/parity.h"
#include "volume/codeword.h"
#include "volume/extent_table.h"
#include "volume/mend.h"
#include "volume/page_row.h"
#include "volume/scrub_stripe.h"
#include "volume/table_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 16u /* of an extent; and of a parity extent's page area */

static struct page_header header_of(const struct scrub_stripe *stripe, unsigned extent)
{
	const struct stripe_info *info = stripe->view.info;

	return (struct page_header){
		.stripe_kind = info->kind,
		.geometry = info->geometry,
		.log_start = info->log_start,
		.payload_size = info->extents[extent].payload_size,
		.area_size = info->extents[extent].area_size,
		.data_count = extent_is_parity(info, extent) ? info->data_count : 0,
		.previous_offset = stripe->previous_offset,
		.previous_hash = stripe->previous_hash,
	};
}

static void make_header(const struct scrub_stripe *stripe, unsigned extent, uint8_t *out)
{
	const struct page page = {
		.identity = { .volume = *stripe->view.volume,
			      .epoch = stripe->view.info->epoch,
			      .stripe = stripe->view.info->number,
			      .stripe_offset = stripe->view.info->offset,
			      .shard = extent_shard(stripe->view.info, extent) },
		.kind = PAGE_HEADER,
		.header = header_of(stripe, extent),
	};

	page_encode(&page, out);
}

/* Make page @number of @extent. False if nobody knows what it must be. */
static bool make_page(const struct scrub_stripe *stripe, unsigned extent, unsigned number,
		      uint8_t *out)
{
	const struct extent_table *table = stripe->extents[extent].table;

	if (number == 0)
		make_header(stripe, extent, out);
	else if (table->verified)
		page_make_table(&stripe->view, extent, number, table->entries, out);
	else
		return false;
	return true;
}

static bool header_equal(const struct page_header *a, const struct page_header *b)
{
	/* page_expected() compared the rest. */
	return a->payload_size == b->payload_size && a->data_count == b->data_count &&
	       a->previous_offset == b->previous_offset &&
	       hash_equal(&a->previous_hash, &b->previous_hash);
}

/* Whether page @number, at @bytes, says what it must. */
static bool says_the_same(const struct scrub_stripe *stripe, unsigned extent,
			  unsigned number, const uint8_t *bytes)
{
	const struct extent_table *table = stripe->extents[extent].table;
	struct page_header header = header_of(stripe, extent);
	struct page page;

	if (!page_expected(&stripe->view, extent, number, bytes, &page))
		return false;
	if (number == 0)
		return header_equal(&page.header, &header);
	return !table->verified ||
	       memcmp(page.table.entries, &table->entries[page.table.first_leaf],
		      page.table.count * sizeof(table->entries[0])) == 0;
}

static bool page_is_right(const struct scrub_stripe *stripe, unsigned extent,
			  unsigned number, const uint8_t *bytes)
{
	uint8_t made[PAGE_SIZE_BYTES];

	if (make_page(stripe, extent, number, made) &&
	    memcmp(made, bytes, PAGE_SIZE_BYTES) == 0)
		return true;
	return says_the_same(stripe, extent, number, bytes);
}

/* Its leaves are described as they are instead. */
static int begin_description(struct scrub_extent *known, struct error *err)
{
	known->medium = calloc(known->table->count, sizeof(*known->medium));
	return known->medium ? 0 : error_set_errno(err, -ENOMEM, "table");
}

int scrub_pages_take(struct scrub_stripe *stripe, unsigned extent, const uint8_t *bytes,
		     uint16_t readable, struct error *err)
{
	struct stripe_view view = scrub_task_view(stripe);
	struct scrub_extent *known = &stripe->extents[extent];
	unsigned count = extent_page_count(view.info, extent);
	int r;

	r = extent_table_from(&view, extent, bytes, &known->table, err);
	if (r < 0)
		return r;
	if (known->table->verified)
		table_cache_put(stripe->tables, &view, extent, known->table);
	else
		r = begin_description(known, err);
	for (unsigned i = 0; i < count; i++)
		if (!(readable & 1u << i) ||
		    !page_is_right(stripe, extent, i,
				   bytes + (size_t)i * PAGE_SIZE_BYTES))
			known->bad_pages |= (uint16_t)(1u << i);
	return r;
}

/* ---- repair ---- */

/* The pages of one extent that are bad. */
struct page_batch {
	struct damage damages[PAGES_MAX];
	struct scrub_finding findings[PAGES_MAX];
	unsigned count;
	uint8_t *bytes; /* PAGES_MAX pages */
};

/* Make page @number for the batch, or tell that it is lost. */
static void add_page(struct scrub_stripe *stripe, unsigned extent, unsigned number,
		     struct page_batch *batch)
{
	struct scrub_finding finding = scrub_page_finding(stripe, extent, number);
	uint8_t *right = batch->bytes + (size_t)batch->count * PAGE_SIZE_BYTES;

	if (!make_page(stripe, extent, number, right)) {
		scrub_tell(stripe, &finding);
		return;
	}
	batch->damages[batch->count] = (struct damage){
		.extent = extent,
		.offset = finding.offset,
		.size = PAGE_SIZE_BYTES,
		.right = right,
	};
	batch->findings[batch->count++] = finding;
}

int scrub_pages_repair(struct scrub_stripe *stripe, struct error *err)
{
	bool repair = stripe->scrub->options->repair;
	struct page_batch batch = { .count = 0 };
	autofree uint8_t *bytes = malloc(PAGES_MAX * PAGE_SIZE_BYTES);

	if (!bytes)
		return error_set_errno(err, -ENOMEM, "pages");
	batch.bytes = bytes;
	for (unsigned extent = 0; extent < stripe->count; extent++) {
		struct scrub_extent *known = &stripe->extents[extent];

		batch.count = 0;
		for (unsigned i = 0; i < PAGES_MAX && scrub_is_due(stripe, extent); i++)
			if (known->bad_pages & 1u << i)
				add_page(stripe, extent, i, &batch);
		scrub_settle(stripe, batch.damages, batch.findings, batch.count);
		for (unsigned i = 0; repair && i < batch.count; i++)
			if (batch.damages[i].result >= 0)
				known->bad_pages &=
					(uint16_t) ~(1u << batch.findings[i].index);
	}
	return 0;
}

/* ---- parity pages ---- */

/* A row of pages: what is known of it. */
struct page_word {
	const uint8_t *bytes[CODEWORD_SHARDS_MAX];
	bool zero[CODEWORD_SHARDS_MAX];
	unsigned known; /* shards */
	uint8_t *pages; /* a page for each shard */
};

static void add_data_pages(const struct scrub_stripe *stripe, unsigned number,
			   struct page_word *word)
{
	const struct stripe_info *info = stripe->view.info;

	for (unsigned shard = 0; shard < info->geometry.data; shard++) {
		uint8_t *page = word->pages + (size_t)shard * PAGE_SIZE_BYTES;

		if (shard >= info->data_count)
			word->zero[shard] = true;
		else if (make_page(stripe, shard, number, page))
			word->bytes[shard] = page;
		else
			continue;
		word->known++;
	}
}

/* Parity pages that agree with their CRC, in place of tables that are lost. */
static void add_parity_pages(const struct scrub_stripe *stripe, unsigned number,
			     struct page_word *word)
{
	const struct stripe_info *info = stripe->view.info;
	struct stripe_view view = stripe->view;

	for (unsigned extent = info->data_count; extent < stripe->count; extent++) {
		const struct extent_table *table = stripe->extents[extent].table;
		unsigned shard = extent_shard(info, extent);
		uint8_t *page = word->pages + (size_t)shard * PAGE_SIZE_BYTES;
		uint64_t offset = entry_offset(info, extent, 0) +
				  (uint64_t)PAGE_SIZE_BYTES * number;
		uint16_t readable = 0;

		if (!table->verified ||
		    view_read(&view, offset, page, 1, &readable, NULL) < 0 || !readable ||
		    !leaf_entry_sector_matches(&table->entries[0], number, page))
			continue;
		word->bytes[shard] = page;
		word->known++;
	}
}

static bool make_parity_page(struct scrub_stripe *stripe, unsigned extent,
			     unsigned number, uint8_t *pages, uint8_t *out)
{
	const struct geometry *geometry = &stripe->view.info->geometry;
	unsigned wanted = extent_shard(stripe->view.info, extent);
	struct page_word word = { .pages = pages };

	add_data_pages(stripe, number, &word);
	if (word.known < geometry->data)
		add_parity_pages(stripe, number, &word);
	if (word.known < geometry->data)
		return false;
	return parity_decode(stripe->code, word.bytes, word.zero, PAGE_SIZE_BYTES,
			     &wanted, 1, &out, NULL) == 0;
}

bool scrub_parity_pages_make(struct scrub_stripe *stripe, unsigned extent, uint8_t *out)
{
	const struct geometry *geometry = &stripe->view.info->geometry;
	autofree uint8_t *pages =
		malloc((size_t)(geometry->data + geometry->parity) * PAGE_SIZE_BYTES);

	for (unsigned i = 0; pages && i < geometry_data_pages(geometry); i++)
		if (!make_parity_page(stripe, extent, i, pages,
				      out + (size_t)i * PAGE_SIZE_BYTES))
			return false;
	return pages != NULL;
}

/* Rebuild the page area of parity extent @extent. */
static void repair_page_area(struct scrub_stripe *stripe, unsigned extent, uint8_t *right)
{
	struct scrub_extent *known = &stripe->extents[extent];
	struct scrub_finding finding = scrub_leaf_finding(stripe, extent, 0);
	struct damage damage = {
		.extent = extent,
		.offset = finding.offset,
		.size = (uint32_t)finding.size,
		.right = right,
	};

	if (!known->table->verified || !scrub_parity_pages_make(stripe, extent, right) ||
	    !leaf_entry_matches(&known->table->entries[0], right, damage.size)) {
		known->leaves[0] = LEAF_LOST;
		scrub_tell(stripe, &finding);
		return;
	}
	scrub_settle(stripe, &damage, &finding, 1);
	if (stripe->scrub->options->repair && damage.result >= 0)
		known->leaves[0] = LEAF_REPAIRED;
}

int scrub_parity_pages_repair(struct scrub_stripe *stripe, struct error *err)
{
	autofree uint8_t *right = malloc(LEAF_SIZE);

	if (!right)
		return error_set_errno(err, -ENOMEM, "parity pages");
	for (unsigned i = stripe->view.info->data_count; i < stripe->count; i++)
		if (scrub_is_due(stripe, i) &&
		    (stripe->extents[i].leaves[0] == LEAF_BAD ||
		     stripe->extents[i].leaves[0] == LEAF_UNKNOWN))
			repair_page_area(stripe, i, right);
	return 0;
}
