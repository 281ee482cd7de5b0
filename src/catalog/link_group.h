/* SPDX-License-Identifier: MIT */
#pragma once
/* How many names a file has and which is the first one made, at every commit. A group is the
 * names whose manifests have the same link and inode number. For this folder only.
 */
#include <stdint.h>

struct catalog;
struct error;

struct link_group {
	int64_t path;   /* link_path_number() of the link */
	uint64_t inode; /* of the manifests */
};

/* From commit @sequence on, @node is a name, or is none any more. The row of the table of
 * links that says so has to be there before, and may be gone already. In a transaction. */
int link_group_add(struct catalog *catalog, const struct link_group *group, int64_t node,
		   uint64_t sequence, struct error *err);
int link_group_remove(struct catalog *catalog, const struct link_group *group,
		      int64_t node, uint64_t sequence, struct error *err);

/* The names at commit @at, and the lowest of their nodes (0 if there are none). */
int link_group_get(struct catalog *catalog, const struct link_group *group, uint64_t at,
		   uint64_t *count_out, int64_t *node_out, struct error *err);
