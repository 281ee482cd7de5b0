/* SPDX-License-Identifier: MIT */
/* A page is its own witness: its hash tells whether it is whole and its identity whether it
 * belongs here, so a data page counts or is an erasure. Parity pages have no hash of their
 * own; the parity extent's table covers them (CRC by sector, as one page is one sector). If
 * that table is lost they take part as doubtful shards, because the rebuilt page's hash and
 * identity decide anyway.
 *
 * A stale page from the same place has another epoch and is an erasure like noise.
 */
#include "volume/page_row.h"

#include "base/error.h"
#include "chunker/parity.h"
#include "volume/codeword.h"
#include "volume/extent_table.h"
#include "volume/stripe_view.h"
#include "volume/table_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned min_unsigned(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Entries that stand in table page @number. */
static unsigned page_entry_count(const struct stripe_view *view, unsigned extent,
				 unsigned number)
{
	unsigned count = extent_entry_count(view->info, extent);
	unsigned first = TABLE_PAGE_ENTRIES * (number - 1);

	return first >= count ? 0 : min_unsigned(count - first, TABLE_PAGE_ENTRIES);
}

static bool header_page_expected(const struct stripe_view *view, unsigned extent,
				 const struct page *page)
{
	const struct stripe_info *info = view->info;
	const struct page_header *header = &page->header;

	return header->stripe_kind == info->kind &&
	       header->geometry.data == info->geometry.data &&
	       header->geometry.parity == info->geometry.parity &&
	       header->geometry.frames == info->geometry.frames &&
	       header->geometry.stride == info->geometry.stride &&
	       header->log_start == info->log_start &&
	       header->area_size == info->extents[extent].area_size;
}

static struct page_identity identity_at(const struct stripe_view *view, unsigned extent,
					unsigned number)
{
	return (struct page_identity){
		.volume = *view->volume,
		.epoch = view->info->epoch,
		.stripe = view->info->number,
		.stripe_offset = view->info->offset,
		.shard = extent_shard(view->info, extent),
		.page = number,
	};
}

void page_make_table(const struct stripe_view *view, unsigned extent, unsigned number,
		     const struct leaf_entry *entries, uint8_t *out)
{
	struct page page = {
		.identity = identity_at(view, extent, number),
		.kind = PAGE_TABLE,
		.table = {
			.first_leaf = TABLE_PAGE_ENTRIES * (number - 1),
			.count = page_entry_count(view, extent, number),
		},
	};

	if (page.table.count > 0)
		memcpy(page.table.entries, &entries[page.table.first_leaf],
		       page.table.count * sizeof(entries[0]));
	page_encode(&page, out);
}

bool page_expected(const struct stripe_view *view, unsigned extent, unsigned number,
		   const uint8_t *bytes, struct page *page_out)
{
	struct page_identity expected = identity_at(view, extent, number);

	if (page_decode(bytes, page_out, NULL) < 0 ||
	    !page_identity_equal(&page_out->identity, &expected))
		return false;
	if (number == 0)
		return page_out->kind == PAGE_HEADER &&
		       header_page_expected(view, extent, page_out);
	return page_out->kind == PAGE_TABLE &&
	       page_out->table.count == page_entry_count(view, extent, number);
}

/* What codeword_solve() asks about a result. */
struct candidate {
	const struct stripe_view *view;
	unsigned extent;
	unsigned number;
	struct page *page_out;
};

static bool accept_page(void *context, const uint8_t *bytes)
{
	struct candidate *candidate = context;

	return page_expected(candidate->view, candidate->extent, candidate->number, bytes,
			     candidate->page_out);
}

/* Page @number of data extent @extent: as good as its own hash. */
static int read_data_page(struct stripe_view *view, unsigned extent, unsigned number,
			  uint8_t *bytes, enum shard_trust *trust_out, struct error *err)
{
	uint64_t offset =
		extent_offset(view->info, extent) + (uint64_t)PAGE_SIZE_BYTES * number;
	struct page page;
	int r;

	r = view_read(view, offset, bytes, 1, NULL, err);
	if (r < 0)
		return r;
	*trust_out = page_expected(view, extent, number, bytes, &page) ? SHARD_CHECKED
								       : SHARD_ERASED;
	return 0;
}

/* Parity page @number in the page area of parity extent @extent. */
static int read_parity_page(struct stripe_view *view, unsigned extent, unsigned number,
			    uint8_t *bytes, enum shard_trust *trust_out,
			    struct error *err)
{
	unsigned leaf = number / LEAF_SECTORS;
	unsigned sector = number % LEAF_SECTORS;
	uint64_t offset = entry_offset(view->info, extent, leaf) +
			  (uint64_t)PAGE_SIZE_BYTES * sector;
	autoptr(extent_table) table = NULL;
	uint16_t readable;
	int r;

	r = view_read(view, offset, bytes, 1, &readable, err);
	if (r < 0)
		return r;
	r = table_cache_get(view->tables, view, extent, &table, err);
	if (r < 0)
		return r;

	if (!readable)
		*trust_out = SHARD_ERASED;
	else if (!table->verified)
		*trust_out = SHARD_DOUBTFUL;
	else if (leaf_entry_sector_matches(&table->entries[leaf], sector, bytes))
		*trust_out = SHARD_CHECKED;
	else
		*trust_out = SHARD_ERASED;
	return 0;
}

static int gather(struct stripe_view *view, unsigned extent, unsigned number,
		  uint8_t *pages, struct codeword *word, struct error *err)
{
	const struct stripe_info *info = view->info;
	unsigned shards = info->geometry.data + info->geometry.parity;

	for (unsigned shard = 0; shard < shards; shard++) {
		uint8_t *bytes = pages + (size_t)shard * PAGE_SIZE_BYTES;
		unsigned other;
		int r;

		word->bytes[shard] = bytes;
		if (!shard_extent(info, shard, &other)) {
			word->trust[shard] = SHARD_ZERO;
			continue;
		}
		if (other == extent)
			continue;
		if (extent_is_parity(info, other))
			r = read_parity_page(view, other, number, bytes,
					     &word->trust[shard], err);
		else
			r = read_data_page(view, other, number, bytes,
					   &word->trust[shard], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int page_row_repair(struct stripe_view *view, unsigned extent, unsigned number,
		    uint8_t *out, struct page *page_out, struct error *err)
{
	const struct geometry *geometry = &view->info->geometry;
	struct candidate candidate = { view, extent, number, page_out };
	autoptr(parity) code = NULL;
	autofree uint8_t *pages = NULL;
	struct codeword word;
	int r;

	r = parity_new(geometry->data, geometry->parity, &code, err);
	if (r < 0)
		return r;
	pages = malloc((size_t)(geometry->data + geometry->parity) * PAGE_SIZE_BYTES);
	if (!pages)
		return error_set_errno(err, -ENOMEM, "pages of stripe %llu",
				       (unsigned long long)view->info->number);

	codeword_init(&word, code, PAGE_SIZE_BYTES);
	r = gather(view, extent, number, pages, &word, err);
	if (r < 0)
		return r;
	r = codeword_solve(&word, extent_shard(view->info, extent), out, accept_page,
			   &candidate, err);
	if (r < 0)
		return r;
	view_repaired(view,
		      extent_offset(view->info, extent) +
			      (uint64_t)PAGE_SIZE_BYTES * number,
		      true);
	return 0;
}
