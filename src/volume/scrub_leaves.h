/* SPDX-License-Identifier: MIT */
#pragma once
/* The leaves of a stripe under scrub, and the gaps between its extents. */
struct error;
struct scrub_stripe;

/* Have @extent read by the pool, pages and leaves, and the leaves compared with the table: all
 * that is known of it is so once stripe->group was waited for. Where the table can't be
 * verified the leaves are described instead, and LEAF_UNKNOWN (LEAF_BAD if unreadable). */
int scrub_leaves_check(struct scrub_stripe *stripe, unsigned extent, struct error *err);

/* Look at what lies between @extent and the next one; make it zero again. */
int scrub_gap_check(struct scrub_stripe *stripe, unsigned extent, struct error *err);
