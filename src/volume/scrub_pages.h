/* SPDX-License-Identifier: MIT */
#pragma once
/* The pages of a stripe under scrub. Each follows from the records and, for a table, from the
 * verified entries, so that it can be made again without its row. One thread, but for what a
 * task does.
 */
#include <stdbool.h>
#include <stdint.h>

struct error;
struct scrub_stripe;

/* Take the table of @extent from its pages, which were just read to @bytes, and look at all
 * of them. Bits of @readable: the pages that could be read; the others are zeroes. A task's. */
int scrub_pages_take(struct scrub_stripe *stripe, unsigned extent, const uint8_t *bytes,
		     uint16_t readable, struct error *err);

/* Rebuild what is bad among the pages of all extents. */
int scrub_pages_repair(struct scrub_stripe *stripe, struct error *err);

/* Rebuild what is bad among the parity pages. */
int scrub_parity_pages_repair(struct scrub_stripe *stripe, struct error *err);

/* Compute the parity pages of parity extent @extent into @out, P pages. False if too many
 * pages of the stripe are unknown. */
bool scrub_parity_pages_make(struct scrub_stripe *stripe, unsigned extent, uint8_t *out);
