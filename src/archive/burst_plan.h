/* SPDX-License-Identifier: MIT */
#pragma once
/* Which ranges of one volume's log make the next group that survives a burst: members far
 * enough apart, and far enough from where their parity will go. One thread at a time.
 */
#include "base/cleanup.h"
#include "catalog/placement.h"
#include "volume/group.h"

#include <stdbool.h>

struct burst_plan;
struct catalog;
struct config;
struct error;

/* Learn what of @row's volume is in no such group. @config: [parity] burst, burst_from and
 * burst_data. With @resume what a run that was stopped has left is planned, too, however
 * little it is. */
int burst_plan_new(struct catalog *catalog, const struct volume_row *row,
		   const struct config *config, bool resume, struct burst_plan **plan_out,
		   struct error *err);
void burst_plan_free(struct burst_plan *plan);
DEFINE_AUTOPTR(burst_plan);

/* Bytes that the groups to come will have, and about so many of parity. 0: nothing to do. */
uint64_t burst_plan_left(const struct burst_plan *plan, uint64_t *parity_out);

/* Plan the next group, of a shard of @size_max bytes at most, whose parity will be appended at
 * @end of the log or behind it: *group_out has members with their stripes, and no runs. 0, or
 * CATALOG_END if nothing is left. Release with group_done(). */
int burst_plan_next(struct burst_plan *plan, uint64_t size_max, uint64_t end,
		    struct group *group_out, struct error *err);

/* Go on behind what was planned last. */
void burst_plan_take(struct burst_plan *plan);
