/* SPDX-License-Identifier: MIT */
#pragma once
/* How the queries of a catalog ask its filler (catalog/filler.h). For this folder only. In a
 * catalog without filler all of these do nothing and give 0.
 */
#include "catalog/filler.h"

#include <stddef.h>
#include <stdint.h>

/* Make VERSION_CURRENT in *at the commit that is current. */
int partial_at(struct catalog *catalog, uint64_t *at, struct error *err);

/* Have something filled in. For nodes that the catalog does not know: nothing. */
int partial_fill_key(struct catalog *catalog, const uint8_t *key, size_t key_size,
		     uint64_t at, struct error *err);
int partial_fill_node(struct catalog *catalog, int64_t node, uint64_t at,
		      struct error *err);
int partial_fill_child(struct catalog *catalog, int64_t parent, const struct bytes *name,
		       uint64_t at, struct error *err);
int partial_fill_folder(struct catalog *catalog, int64_t node, uint64_t at,
			struct error *err);
int partial_fill_versions(struct catalog *catalog, int64_t node, struct error *err);
int partial_fill_child_versions(struct catalog *catalog, int64_t parent,
				const struct bytes *name, struct error *err);
int partial_fill_paths(struct catalog *catalog, int64_t node, struct error *err);
int partial_fill_heads(struct catalog *catalog, uint64_t from, struct error *err);

/* As entry_links() and entry_is_linked(), from the names that are in. */
int partial_links(struct catalog *catalog, const struct bytes *path, uint64_t inode,
		  uint64_t at, uint64_t *count_out, int64_t *node_out, struct error *err);
