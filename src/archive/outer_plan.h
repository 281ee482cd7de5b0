/* SPDX-License-Identifier: MIT */
#pragma once
/* What to protect next: the members of a new group. One thread at a time. */
#include "catalog/groups.h"
#include "volume/group.h"

#include <stdbool.h>

struct catalog;
struct error;
struct volume_set;

#define OUTER_ENTRY_RUNS 1024u /* runs that fit into every entry that is planned */

struct outer_plan {
	unsigned data, parity; /* k + p */
	uint64_t size_max;     /* bytes of a shard at most */
	bool full_only;        /* leave what gives no k members */
};

/* Plan the next group: *group_out has members with their stripes, and no runs. Only volumes
 * that are attached are members. 0, or CATALOG_END if nothing is left to group. Release with
 * group_done(). */
int outer_plan_next(struct catalog *catalog, struct volume_set *volumes,
		    const struct outer_plan *plan, struct group *group_out,
		    struct error *err);

/* The members of a group that exists, as outer_plan_next() gives them, with the same id. */
int outer_plan_again(struct catalog *catalog, const struct group_place *place,
		     struct group *group_out, struct error *err);
