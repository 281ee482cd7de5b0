/* SPDX-License-Identifier: MIT */
/* With k = 1 every parity extent holds as much as the data extent, so any one good copy of
 * each page and each leaf (or sector) is enough. Reading a claimed stripe goes
 *
 *   claim -> pages of the data extent, repaired from their rows -> leaves, repaired
 *         -> the pieces put together -> a record whose hash is right and whose epoch,
 *            number and place are those of the pages
 *
 * The sizes of a claim come from a page that anyone could have written; they are bounded
 * before memory is taken for them, and cost time only.
 *
 * The description of the stripe is computed from the data extent by encoding its parity
 * again, not read from the parity extents' tables: the result is the same whatever damage
 * there is, and says what the extents must be rather than what they are.
 */
#include "volume/record_stripe.h"

#include "base/error.h"
#include "chunker/parity.h"
#include "chunker/skippable.h"
#include "volume/backend.h"
#include "volume/extent_table.h"
#include "volume/leaf_repair.h"
#include "volume/page_row.h"
#include "volume/stripe_view.h"
#include "volume/table_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXTENTS_MAX 17             /* one data extent, up to 16 of parity */
#define TABLES_SIZE_MAX (1u << 20) /* bytes; all tables of a stripe of records fit */
#define PIECE_SIZE_MAX 262144u     /* bytes of a record in one skippable frame */
#define PAYLOAD_MAX (RECORD_SIZE_MAX + (RECORD_SIZE_MAX / PIECE_SIZE_MAX + 1) * 8)

/* A record stripe that is being read. */
struct reading {
	struct stripe_view view;
	struct stripe_info info; /* .extents is @extents */
	struct extent_info extents[EXTENTS_MAX];
	struct table_cache *tables;
	struct extent_table *table; /* of the data extent */
	uint8_t *pages;             /* all pages of the data extent */
	uint8_t *area;              /* its leaf area */
	struct page_header header;
};

static void reading_done(struct reading *reading)
{
	extent_table_free(reading->table);
	table_cache_free(reading->tables);
	free(reading->pages);
	free(reading->area);
}

bool claim_from_page(const struct page *page, const struct uuid *volume,
		     struct stripe_claim *claim_out)
{
	const struct page_header *header = &page->header;

	if (page->kind != PAGE_HEADER || header->stripe_kind == STRIPE_DATA ||
	    header->geometry.data != 1 || header->area_size == 0 ||
	    memcmp(page->identity.volume.bytes, volume->bytes, UUID_SIZE) != 0)
		return false;
	*claim_out = (struct stripe_claim){
		.epoch = page->identity.epoch,
		.number = page->identity.stripe,
		.offset = page->identity.stripe_offset,
		.area_size = header->area_size,
		.header = *header,
	};
	return true;
}

bool claim_equal(const struct stripe_claim *a, const struct stripe_claim *b)
{
	const struct geometry *g = &a->header.geometry;
	const struct geometry *h = &b->header.geometry;

	return memcmp(a->epoch.bytes, b->epoch.bytes, UUID_SIZE) == 0 &&
	       a->number == b->number && a->offset == b->offset &&
	       a->area_size == b->area_size &&
	       a->header.stripe_kind == b->header.stripe_kind && g->parity == h->parity &&
	       g->frames == h->frames && g->stride == h->stride &&
	       a->header.log_start == b->header.log_start &&
	       a->header.previous_offset == b->header.previous_offset &&
	       hash_equal(&a->header.previous_hash, &b->header.previous_hash);
}

static int reading_init(struct reading *reading, struct backend *backend,
			const struct uuid *volume, const struct stripe_info *info,
			bool authentic, struct error *err)
{
	int r;

	reading->info = *info;
	reading->view = (struct stripe_view){
		.backend = backend,
		.volume = volume,
		.info = &reading->info,
		.authentic = authentic,
	};
	r = stripe_check(info, err);
	if (r < 0)
		return r;
	if (info->geometry.data != 1 || info->extents[0].area_size == 0 ||
	    info->extents[0].area_size > PAYLOAD_MAX + PAGE_SIZE_BYTES)
		return error_set(err, -EBADMSG, "not the size of a record");
	memcpy(reading->extents, info->extents,
	       stripe_extent_count(info) * sizeof(reading->extents[0]));
	reading->info.extents = reading->extents;

	r = table_cache_new(TABLES_SIZE_MAX, &reading->tables, err);
	if (r < 0)
		return r;
	reading->view.tables = reading->tables;
	reading->pages = malloc((size_t)PAGE_SIZE_BYTES * extent_page_count(info, 0));
	reading->area = malloc(info->extents[0].area_size);
	if (!reading->pages || !reading->area)
		return error_set_errno(err, -ENOMEM, "record stripe");
	return 0;
}

/* All pages of the data extent, repaired, and what its header page says. */
static int read_pages(struct reading *reading, struct error *err)
{
	struct stripe_view *view = &reading->view;
	unsigned pages = extent_page_count(view->info, 0);
	int r;

	r = view_read(view, extent_offset(view->info, 0), reading->pages, pages, NULL,
		      err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < pages; i++) {
		uint8_t *bytes = reading->pages + (size_t)i * PAGE_SIZE_BYTES;
		struct page page;

		if (!page_expected(view, 0, i, bytes, &page)) {
			r = page_row_repair(view, 0, i, bytes, &page, err);
			if (r < 0)
				return error_prefix(err, r, "page %u", i);
		}
		if (i == 0)
			reading->header = page.header;
	}
	return 0;
}

/* The whole leaf area, repaired. */
static int read_area(struct reading *reading, struct error *err)
{
	struct stripe_view *view = &reading->view;
	int r;

	r = table_cache_get(reading->tables, view, 0, &reading->table, err);
	if (r < 0)
		return r;
	if (!reading->table->verified)
		return error_set(err, -EBADMSG, "the table is beyond repair");
	for (unsigned row = 0; row < reading->table->count; row++) {
		const struct leaf_entry *entry = &reading->table->entries[row];
		uint8_t *leaf = reading->area + (size_t)row * LEAF_SIZE;
		uint32_t size = row_size(view->info, 0, row);

		r = view_read(view, entry_offset(view->info, 0, row), leaf,
			      size / PAGE_SIZE_BYTES, NULL, err);
		if (r < 0)
			return r;
		if (leaf_entry_matches(entry, leaf, size))
			continue;
		r = leaf_repair(view, 0, row, entry, leaf, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Put the pieces in @size bytes of @payload together. */
static int join_pieces(const uint8_t *payload, size_t size, uint8_t *out,
		       size_t *size_out, struct error *err)
{
	size_t total = 0;

	while (size > 0) {
		uint32_t piece;
		unsigned kind;

		if (skippable_get(payload, size, &kind, &piece) < 0 ||
		    kind != SKIPPABLE_RECORD || piece > size - SKIPPABLE_HEADER_SIZE)
			return error_set(err, -EBADMSG, "not the pieces of a record");
		memcpy(out + total, payload + SKIPPABLE_HEADER_SIZE, piece);
		total += piece;
		payload += SKIPPABLE_HEADER_SIZE + piece;
		size -= SKIPPABLE_HEADER_SIZE + piece;
	}
	*size_out = total;
	return 0;
}

int record_from_payload(const uint8_t *payload, size_t size, struct record **record_out,
			struct error *err)
{
	autofree uint8_t *data = malloc(size + 1);
	size_t joined = 0;
	int r;

	if (!data)
		return error_set_errno(err, -ENOMEM, "record");
	r = join_pieces(payload, size, data, &joined, err);
	if (r < 0)
		return r;
	return record_decode(data, joined, record_out, err);
}

/* The record must be the one that belongs into this stripe. */
static int check_record(const struct reading *reading, const struct record *record,
			const struct hash *expected, struct error *err)
{
	const struct stripe_info *info = &reading->info;

	if (memcmp(record->volume.bytes, reading->view.volume->bytes, UUID_SIZE) != 0 ||
	    memcmp(record->epoch.bytes, info->epoch.bytes, UUID_SIZE) != 0 ||
	    record->kind != info->kind || record->stripe_number != info->number ||
	    record->log_end != info->log_start)
		return error_set(err, -EBADMSG, "the record belongs elsewhere");
	if (expected && !hash_equal(&record->hash, expected))
		return error_set(err, -EBADMSG, "not the record that is expected there");
	return 0;
}

/* Entries of all parity extents, in the making. */
struct parity_tables {
	struct parity *code;
	unsigned parity; /* m */
	unsigned leaves; /* of each table */
	unsigned filled;
	struct leaf_entry *entries; /* parity * leaves */
	uint8_t *leaf[EXTENTS_MAX];
};

static void parity_tables_done(struct parity_tables *tables)
{
	parity_free(tables->code);
	free(tables->entries);
	free(tables->leaf[0]);
}

static int parity_tables_init(struct parity_tables *tables,
			      const struct stripe_info *info, struct error *err)
{
	uint8_t *leaves;

	tables->parity = info->geometry.parity;
	tables->leaves = extent_entry_count(info, 1);
	tables->entries =
		calloc((size_t)tables->parity * tables->leaves, sizeof(*tables->entries));
	leaves = malloc((size_t)tables->parity * LEAF_SIZE);
	tables->leaf[0] = leaves;
	if (!tables->entries || !leaves)
		return error_set_errno(err, -ENOMEM, "parity of a record");
	for (unsigned i = 0; i < tables->parity; i++)
		tables->leaf[i] = leaves + (size_t)i * LEAF_SIZE;
	return parity_new(1, tables->parity, &tables->code, err);
}

/* Encode @size bytes of the data extent, leaf by leaf, and fill in their entries. */
static void parity_tables_add(struct parity_tables *tables, const uint8_t *data,
			      size_t size)
{
	for (size_t done = 0; done < size; done += LEAF_SIZE) {
		size_t leaf = size - done < LEAF_SIZE ? size - done : LEAF_SIZE;

		memset(tables->leaf[0], 0, (size_t)tables->parity * LEAF_SIZE);
		parity_update(tables->code, 0, data + done, leaf, tables->leaf);
		for (unsigned i = 0; i < tables->parity; i++)
			leaf_entry_fill(
				&tables->entries[i * tables->leaves + tables->filled],
				tables->leaf[i], leaf);
		tables->filled++;
	}
}

/* The hashes of all extents, from the pages and leaves of the data extent. */
static int hash_extents(struct reading *reading, struct error *err)
{
	const struct stripe_info *info = &reading->info;
	struct parity_tables tables
		__attribute__((__cleanup__(parity_tables_done))) = { 0 };
	int r;

	extent_hash(reading->table->entries, reading->table->count,
		    &reading->extents[0].hash);
	if (info->geometry.parity == 0)
		return 0;
	r = parity_tables_init(&tables, info, err);
	if (r < 0)
		return r;
	parity_tables_add(&tables, reading->pages,
			  (size_t)PAGE_SIZE_BYTES * extent_page_count(info, 0));
	parity_tables_add(&tables, reading->area, reading->extents[0].area_size);
	for (unsigned i = 0; i < tables.parity; i++)
		extent_hash(tables.entries + (size_t)i * tables.leaves, tables.leaves,
			    &reading->extents[1 + i].hash);
	return 0;
}

/* Read the record, whose payload size is known by now, and hand everything out. */
static int finish(struct reading *reading, const struct hash *expected,
		  struct record **record_out, struct stripe_info *own_out,
		  struct error *err)
{
	autoptr(record) record = NULL;
	int r;

	r = read_area(reading, err);
	if (r < 0)
		return r;
	r = record_from_payload(reading->area, reading->extents[0].payload_size, &record,
				err);
	if (r < 0)
		return r;
	r = check_record(reading, record, expected, err);
	if (r < 0)
		return r;
	if (!reading->view.authentic) {
		r = hash_extents(reading, err);
		if (r < 0)
			return r;
	}
	r = stripe_info_copy(&reading->info, own_out);
	if (r < 0)
		return error_set_errno(err, r, "record stripe");
	*record_out = take_ptr(record);
	return 0;
}

/* The pages and the record in them must agree on what came before. */
static int check_previous(const struct reading *reading, const struct record *record,
			  struct error *err)
{
	if (record->previous_offset != reading->header.previous_offset ||
	    !hash_equal(&record->previous_hash, &reading->header.previous_hash))
		return error_set(err, -EBADMSG, "record and header page differ");
	return 0;
}

int record_stripe_read(struct backend *backend, const struct uuid *volume,
		       const struct stripe_claim *claim, const struct hash *expected,
		       struct record **record_out, struct stripe_info *own_out,
		       struct error *err)
{
	struct reading reading __attribute__((__cleanup__(reading_done))) = { 0 };
	struct extent_info extents[EXTENTS_MAX] = { 0 };
	struct stripe_info info = {
		.number = claim->number,
		.offset = claim->offset,
		.log_start = claim->header.log_start,
		.epoch = claim->epoch,
		.kind = claim->header.stripe_kind,
		.geometry = claim->header.geometry,
		.data_count = 1,
		.extents = extents,
	};
	autoptr(record) record = NULL;
	struct stripe_info own;
	int r;

	for (unsigned i = 0; i < stripe_extent_count(&info); i++)
		extents[i].area_size = claim->area_size;
	r = reading_init(&reading, backend, volume, &info, false, err);
	if (r < 0)
		return r;
	r = read_pages(&reading, err);
	if (r < 0)
		return r;
	reading.extents[0].payload_size = reading.header.payload_size;
	r = finish(&reading, expected, &record, &own, err);
	if (r < 0)
		return r;
	r = check_previous(&reading, record, err);
	if (r < 0) {
		stripe_info_done(&own);
		return r;
	}
	*record_out = take_ptr(record);
	*own_out = own;
	return 0;
}

int record_stripe_read_listed(struct backend *backend, const struct uuid *volume,
			      const struct stripe_info *info, const struct hash *expected,
			      struct record **record_out, struct stripe_info *own_out,
			      struct error *err)
{
	struct reading reading __attribute__((__cleanup__(reading_done))) = { 0 };
	int r;

	r = reading_init(&reading, backend, volume, info, true, err);
	if (r < 0)
		return r;
	return finish(&reading, expected, record_out, own_out, err);
}
