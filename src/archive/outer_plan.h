/* SPDX-License-Identifier: MIT */
#pragma once
/* What to protect next: the members of new groups. One thread at a time. */
#include "base/cleanup.h"
#include "catalog/groups.h"
#include "volume/group.h"

#include <stdbool.h>

struct catalog;
struct error;
struct outer_plan;
struct uuid;
struct volume_set;

#define OUTER_ENTRY_RUNS 1024u /* runs that fit into every entry that is planned */

struct outer_plan_options {
	unsigned data, parity; /* k + p */
	bool full_only;        /* leave what gives no k members */
};

/* Learn what is in no group yet, on volumes that are attached. */
int outer_plan_new(struct catalog *catalog, struct volume_set *volumes,
		   const struct outer_plan_options *options, struct outer_plan **plan_out,
		   struct error *err);
void outer_plan_free(struct outer_plan *plan);
DEFINE_AUTOPTR(outer_plan);

/* Plan the next group, of shards of @size_max bytes at most: *group_out has members with their
 * stripes, and no runs. 0, or CATALOG_END if nothing is left to group. Release with
 * group_done(). */
int outer_plan_next(struct outer_plan *plan, uint64_t size_max, struct group *group_out,
		    struct error *err);

/* The group that was planned last exists. */
void outer_plan_take(struct outer_plan *plan, const struct group *group);

/* Plan nothing with log offsets @start to @end of @volume. */
int outer_plan_exclude(struct outer_plan *plan, const struct uuid *volume, uint64_t start,
		       uint64_t end, struct error *err);

/* Bytes in no group, and the most of them on one volume. */
void outer_plan_left(const struct outer_plan *plan, uint64_t *sum_out,
		     uint64_t *most_out);

/* Bytes of an entry that each of @count members may take. */
size_t outer_plan_limit(unsigned count);

/* Find the stripes of @member, or of as much of it as @limit bytes of an entry hold: then its
 * log_size becomes less. */
int outer_plan_fill(struct catalog *catalog, size_t limit, struct group_member *member,
		    struct error *err);

/* The members of a group that exists, as outer_plan_next() gives them, with the same id. */
int outer_plan_again(struct catalog *catalog, const struct group_place *place,
		     struct group *group_out, struct error *err);
