/* SPDX-License-Identifier: MIT */
#pragma once
/* Iteration over folders, subtrees and versions. A cursor holds one SQLite statement and
 * must be freed before its catalog; nothing is read ahead. What its own handle changes while
 * a cursor is open may or may not be seen by it; rows already passed do not come again.
 * Threads: as the catalog.
 */
#include "catalog/history.h"

struct listing;

/* The entries of folder node @parent (0: the top) alive at commit @at, in byte order of
 * their names. @with_lines: rows carry their manifests. */
int listing_children(struct catalog *catalog, int64_t parent, uint64_t at,
		     bool with_lines, struct listing **listing_out, struct error *err);
/* The same, beginning behind the name @after (empty: all). */
int listing_children_after(struct catalog *catalog, int64_t parent, uint64_t at,
			   bool with_lines, const struct bytes *after,
			   struct listing **listing_out, struct error *err);
/* The newest version of every path that ever was in folder node @parent, without lines. */
int listing_paths_after(struct catalog *catalog, int64_t parent,
			const struct bytes *after, struct listing **listing_out,
			struct error *err);
/* All versions of the path, oldest first, with lines. */
int listing_versions(struct catalog *catalog, const uint8_t *key, size_t key_size,
		     struct listing **listing_out, struct error *err);

/* Next row: 0, CATALOG_END, or an error. *row is reused: what it owned is released first;
 * start with a zeroed one, end with version_row_done(). */
int listing_next(struct listing *listing, struct version_row *row, struct error *err);

void listing_free(struct listing *listing);
DEFINE_AUTOPTR(listing);

/* Depth first, from one state of the catalog, over everything under @key (which comes first itself; empty key: everything),
 * parents before children, children in byte order, alive at @at, with lines. @path is the
 * full key. A positive result of @visit for a folder skips what is in it (WALK_SKIP); a
 * negative one ends the walk. Memory grows with depth only. -ENOENT if @key is not there
 * (the empty key always is). @visit must not change the catalog. */
#define WALK_SKIP 1
int catalog_walk(struct catalog *catalog, const uint8_t *key, size_t key_size,
		 uint64_t at,
		 int (*visit)(void *context, const uint8_t *path, size_t path_size,
			      const struct version_row *row, struct error *err),
		 void *context, struct error *err);
