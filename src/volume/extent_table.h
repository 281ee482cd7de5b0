/* SPDX-License-Identifier: MIT */
#pragma once
/* The leaf entries of one extent, read from its table pages and, where these are damaged,
 * rebuilt: from the row of pages, or from the leaves that they describe.
 *
 * Threads: a loaded table is immutable and counted; references may be shared.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"
#include "volume/page.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct stripe_view;

struct extent_table {
	unsigned references; /* atomic */
	bool verified; /* matches the extent's hash (in a view that is not authentic: all its
			 * pages are whole and in place). If not, the entries of the pages in
			 * @known are a hint, nothing more */
	uint32_t known;    /* bit per table page, from bit 1 */
	struct hash found; /* if it is not verified: of its pages as they were read */
	unsigned count;
	struct leaf_entry entries[]; /* @count, aligned to 1 */
};

/* Load the table of @extent, with repair in memory. A table beyond repair is no error: it
 * is then not verified. One reference goes to the caller. Takes the tables of parity
 * extents from view->tables while it repairs one of a data extent.
 * Returns 0, -ENOMEM, or what the medium said. */
int extent_table_load(struct stripe_view *view, unsigned extent,
		      struct extent_table **table_out, struct error *err);

/* The same from the extent's pages, header page included, as they were just read to @bytes:
 * zeroes where they could not be. */
int extent_table_from(struct stripe_view *view, unsigned extent, const uint8_t *bytes,
		      struct extent_table **table_out, struct error *err);

/* The hash of the extent's table pages as they are on the medium now. -ENOMEM, or what the
 * medium said. */
int extent_table_look(struct stripe_view *view, unsigned extent, struct hash *found_out,
		      struct error *err);

struct extent_table *extent_table_ref(struct extent_table *table);
void extent_table_free(
	struct extent_table *table); /* drops one reference; NULL is a no-op */
DEFINE_AUTOPTR(extent_table);

/* Bytes that @table occupies. */
size_t extent_table_size(const struct extent_table *table);
