/* SPDX-License-Identifier: MIT */
#pragma once
/* Pages: the 4 KiB blocks in front of an extent that say what it is (header page) and what
 * its leaves must hash to (table pages). docs/format.md 2.2.
 *
 * A page proves that it is whole (its own hash); whether it is the page that belongs at its
 * place is the caller's question: page_identity_equal().
 *
 * Threads: pure functions.
 */
#include "base/bytes.h"
#include "merkle/hash.h"
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum page_kind {
	PAGE_HEADER = 0, /* page number 0 of its extent */
	PAGE_TABLE = 1,  /* page number 1.. */
};

/* Where a page belongs. All fields must be what is expected at a place. */
struct page_identity {
	struct uuid volume;
	struct uuid epoch;
	uint64_t stripe;        /* number */
	uint64_t stripe_offset; /* bytes, in the volume */
	unsigned shard;         /* 0 to k-1 data, k to k+m-1 parity */
	unsigned page;          /* 0 header page, 1.. table pages */
};

/* What one leaf must be; the wire form. */
struct leaf_entry {
	struct hash hash;       /* of the leaf at its real length */
	le32 crc[LEAF_SECTORS]; /* CRC32C of each sector; 0 for absent ones */
};

#define LEAF_ENTRY_SIZE 96 /* bytes */

/* What a header page says. */
struct page_header {
	enum stripe_kind stripe_kind;
	struct geometry geometry;
	uint64_t log_start;       /* of the stripe's first payload byte */
	uint32_t payload_size;    /* bytes, of this data extent; 0 for parity */
	uint32_t area_size;       /* bytes of this extent's leaf area; for parity: rows */
	unsigned data_count;      /* data extents really written; for data extents 0 */
	uint64_t previous_offset; /* of the last record stripe, or RECORD_OFFSET_NONE */
	struct hash previous_hash;
};

/* What a table page says. */
struct page_table {
	uint32_t first_leaf; /* TABLE_PAGE_ENTRIES * (page - 1) */
	unsigned count;      /* of entries; the rest are zero */
	struct leaf_entry entries[TABLE_PAGE_ENTRIES];
};

struct page {
	struct page_identity identity;
	enum page_kind kind;
	union {
		struct page_header header;
		struct page_table table;
	};
};

/* Write @page, whose fields must be in range, as PAGE_SIZE_BYTES bytes to @out. */
void page_encode(const struct page *page, uint8_t *out);

/* Read one page from the PAGE_SIZE_BYTES bytes of @in. -EBADMSG if it is damaged or none;
 * -EPROTONOSUPPORT for a newer version or an unknown incompatible flag. Safe on hostile
 * input: geometry, counts and sizes are in range afterwards. *page_out is undefined on
 * failure. @err may be NULL (most callers scan, and expect failures). */
int page_decode(const uint8_t *in, struct page *page_out, struct error *err);

bool page_identity_equal(const struct page_identity *a, const struct page_identity *b);

/* Fill @entry for a leaf of @size bytes (a multiple of 4096, up to LEAF_SIZE). */
void leaf_entry_fill(struct leaf_entry *entry, const void *data, size_t size);

/* Whether the @size bytes of @data are the leaf that @entry describes (by its hash). */
bool leaf_entry_matches(const struct leaf_entry *entry, const void *data, size_t size);

/* Whether the 4096 bytes of @data agree with the CRC of sector @sector. */
bool leaf_entry_sector_matches(const struct leaf_entry *entry, unsigned sector,
			       const void *data);

/* The hash of an extent: over the entries of all its leaves, in order (format.md 2.4). */
void extent_hash(const struct leaf_entry *entries, size_t count, struct hash *hash_out);

/* Everything from the header page of parity extent number @index (0 to m-1) on that its
 * skippable frame covers, header included: up to the start of the next extent, for the
 * last one up to its own end. @rows is its area size. Bytes. */
uint64_t parity_extent_frame_size(const struct geometry *geometry, unsigned index,
				  uint32_t rows);
