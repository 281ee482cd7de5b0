/* SPDX-License-Identifier: MIT */
#pragma once
/* What the sound leaves of a row add up to, gathered while they are at hand, so that the bad
 * ones can be solved for without reading the row again: m sums of a leaf's size for each row
 * that is open. For the files scrub*.c of this folder only.
 *
 * Threads: locked, until somebody takes a row (row_sums_take()), which is then theirs.
 */
#include "volume/codeword.h"
#include "volume/geometry.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct row_sums;
struct scrub_stripe;

/* Sums number i: coefficient(i, j) * leaf, over the data leaves of all extents j in @extents;
 * with the leaf of parity i added, if that is in @extents too. */
struct row_sum {
	uint8_t *bytes; /* m times LEAF_SIZE; NULL: the row is closed */
	uint64_t extents[(CODEWORD_SHARDS_MAX + 63) / 64]; /* a bit each */
};

/* All rows closed, or to be opened by their first leaf, as the scrub's options say. -ENOMEM.
 * Opened rows take memory from the scrub's budget, up to half of what is left of it now. */
int row_sums_new(struct scrub_stripe *stripe, struct row_sums **sums_out,
		 struct error *err);
void row_sums_free(struct row_sums *sums);

/* Begin to gather row @row, if there is memory. */
void row_sums_open(struct row_sums *sums, unsigned row);

/* Add the leaf of @extent, which is sound, if its row is open. */
void row_sums_offer(struct row_sums *sums, unsigned extent, unsigned row,
		    const uint8_t *leaf);

/* The sums of @row, borrowed. */
struct row_sum *row_sums_take(struct row_sums *sums, unsigned row);

/* Add the leaf of @extent to @sum, which is the caller's alone. */
void row_sum_add(const struct scrub_stripe *stripe, struct row_sum *sum, unsigned extent,
		 unsigned row, const uint8_t *leaf);
bool row_sum_has(const struct row_sum *sum, unsigned extent);

/* With the sums of all data leaves but those of the shards @wanted, and of as many parity
 * leaves as data is missing: those leaves, to @outs, LEAF_SIZE each. False if that is not what
 * @sum has. */
bool row_sum_solve(const struct scrub_stripe *stripe, const struct row_sum *sum,
		   unsigned row, const unsigned *wanted, unsigned count,
		   uint8_t *const *outs);
