/* SPDX-License-Identifier: MIT */
#pragma once
/* What of an archive's data the outer code protects, to the byte. One thread at a time. */
#include "catalog/groups.h"
#include "catalog/placement.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct error;

/* Of one volume's log, in bytes of payload. */
struct outer_cover {
	uint64_t end;     /* of the log, as far as records tell */
	uint64_t covered; /* bytes in complete groups */
};

/* Whether @group survives the loss of any @parity volumes: no two shards are on the same
 * volume, and as many parity shards are there. */
bool outer_is_complete(const struct group_place *group, unsigned parity);

/* Where the log of @row's volume ends: behind the last record's own stripe. */
int outer_log_end(struct catalog *catalog, const struct volume_row *row,
		  uint64_t *end_out, struct error *err);

/* Whether groups tell of stripes behind the last record of @row's volume: it was made again, and
 * not all of it was in groups. What is appended would take the places of these stripes in
 * the log, so nothing may be. Also true if the catalog can't tell. */
bool outer_is_cut(struct catalog *catalog, const struct volume_row *row);

/* @gap, which may be NULL, is told of each range that is in no complete group, in order. Its
 * negative result ends the walk. */
int outer_cover_get(struct catalog *catalog, const struct volume_row *row,
		    unsigned parity,
		    int (*gap)(void *context, uint64_t start, uint64_t end),
		    void *context, struct outer_cover *cover_out, struct error *err);

/* Of all data volumes. */
struct outer_totals {
	uint64_t protected_size;
	uint64_t unprotected_size;
	uint64_t groups; /* complete or not; without those that have a retired member */
	uint64_t incomplete; /* groups that lack a parity shard */
};

int outer_totals_get(struct catalog *catalog, unsigned parity,
		     struct outer_totals *totals_out, struct error *err);
