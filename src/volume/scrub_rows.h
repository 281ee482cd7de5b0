/* SPDX-License-Identifier: MIT */
#pragma once
/* The rows of a stripe under scrub that hold bad leaves: many rows at once, each shard read
 * in long runs, by all workers. One thread calls.
 */
struct error;
struct scrub_stripe;

/* Rebuild every leaf that is bad; the states of those that can't be are LEAF_LOST then. */
int scrub_rows_repair(struct scrub_stripe *stripe, struct error *err);

/* Compute the entries of all rows of the extents whose tables are not verified from the other
 * extents, as far as these suffice; the entries of other rows stay. */
int scrub_rows_describe(struct scrub_stripe *stripe, struct error *err);
