/* SPDX-License-Identifier: MIT */
#pragma once
/* Groups of the outer code (volume/group.h): which ranges of which logs belong together, and
 * where their parity is. Threads: as the catalog. */
#include "catalog/catalog.h"
#include "volume/group.h"
#include "volume/record.h"

#include <stdbool.h>

struct volume_row;

/* One shard of a group and where it lies. */
struct group_shard {
	unsigned shard; /* 0 to k-1 members, k to k+p-1 parity */
	struct uuid volume;
	uint64_t log_start;     /* of parity: of its first frame */
	uint64_t log_size;      /* of parity: up to the end of the last one */
	struct group_run *runs; /* parity; owned; NULL: a member */
	size_t run_count;
	bool retired; /* its volume is gone for good, or is to be, or has lost its end */
};

struct group_place {
	struct hash id;
	unsigned data;   /* k */
	unsigned parity; /* p */
	uint64_t size;   /* bytes of a shard */
	struct group_shard
		*shards; /* by number; one that was made twice comes twice; owned */
	size_t shard_count;
};

void group_place_done(struct group_place *group);

/* Take in a parity shard that a record of @volume lists: the group, its members, and their
 * stripes, which are so known when their volumes are not. In a transaction. */
int catalog_put_group(struct catalog *catalog, const struct volume_row *volume,
		      const struct group *group, struct error *err);

/* By id. CATALOG_END if unknown. Release with group_place_done(). */
int catalog_get_group(struct catalog *catalog, const struct hash *id,
		      struct group_place *group_out, struct error *err);

/* Group number @nth, from 0, that has log offset @log_offset of @volume in a member. Release
 * with group_place_done(). CATALOG_END if there is none (more). */
int catalog_find_group(struct catalog *catalog, const struct uuid *volume,
		       uint64_t log_offset, unsigned nth, struct group_place *group_out,
		       struct error *err);

/* The same for a parity shard of the group; this looks at all of them. */
int catalog_find_parity(struct catalog *catalog, const struct uuid *volume,
			uint64_t log_offset, unsigned nth, struct group_place *group_out,
			struct error *err);

/* All groups by id, and the members of one volume by log offset. They stop at the first
 * non-zero result of @visit and return it. Nothing is changed meanwhile. */
int catalog_visit_groups(struct catalog *catalog,
			 int (*visit)(void *context, const struct group_place *group),
			 void *context, struct error *err);
/* The groups with a member on @volume, likewise. */
int catalog_visit_groups_of(struct catalog *catalog, const struct uuid *volume,
			    int (*visit)(void *context, const struct group_place *group),
			    void *context, struct error *err);
int catalog_visit_members(struct catalog *catalog, const struct uuid *volume,
			  int (*visit)(void *context, const struct hash *group,
				       uint64_t log_start, uint64_t log_size),
			  void *context, struct error *err);
