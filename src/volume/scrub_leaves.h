/* SPDX-License-Identifier: MIT */
#pragma once
/* The leaves of a stripe under scrub, and the gaps between its extents. */
#include "volume/page.h"

struct error;
struct scrub_stripe;

/* Have the leaves of @extent, whose table is verified, compared with it by the pool: their
 * states are set once stripe->group was waited for. */
int scrub_leaves_check(struct scrub_stripe *stripe, unsigned extent, struct error *err);

/* Read all leaves of @extent and put what they are into @entries; those that can't be read
 * become LEAF_BAD, the others LEAF_UNKNOWN. */
int scrub_leaves_describe(struct scrub_stripe *stripe, unsigned extent,
			  struct leaf_entry *entries, struct error *err);

/* Look at what lies between @extent and the next one; make it zero again. */
int scrub_gap_check(struct scrub_stripe *stripe, unsigned extent, struct error *err);
