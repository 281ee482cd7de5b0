/* SPDX-License-Identifier: MIT */
#pragma once
/* What of one volume survives a long burst on its medium, like the loss of a whole stripe, by
 * groups of the outer code whose shards all lie on that volume, far apart: to the byte. One
 * thread at a time.
 */
#include "catalog/groups.h"
#include "catalog/placement.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct error;

/* Of one volume's log, in bytes of payload. */
struct burst_cover {
	uint64_t end;     /* of the log, as far as records tell */
	uint64_t covered; /* bytes in groups that survive the burst */
	uint64_t parity;  /* bytes of such groups' parity, which needs none */
	uint64_t reach;   /* where the last member ends; 0: there are no groups */
};

/* Whether all shards of @group are on one volume. */
bool burst_is_group(const struct group_place *group);

/* The longest burst that never hits two shards of @group at the same offset, in bytes of the
 * log, and so at least as many of the volume. 0: it is no such group, or lacks parity. */
uint64_t burst_distance(const struct group_place *group);

/* Bytes that no group of @distance or more covers, and that are no parity themselves. */
uint64_t burst_uncovered(const struct burst_cover *cover);

/* @gap, which may be NULL, is told of each range of these, in order. Its negative result ends
 * the walk. */
int burst_cover_get(struct catalog *catalog, const struct volume_row *row,
		    uint64_t distance,
		    int (*gap)(void *context, uint64_t start, uint64_t end),
		    void *context, struct burst_cover *cover_out, struct error *err);
