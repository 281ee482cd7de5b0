/* SPDX-License-Identifier: MIT */
#pragma once
/* The tables of a stripe under scrub that could not be put together from their pages and the
 * rows of these. One thread.
 */
struct error;
struct scrub_stripe;

/* Describe their extents anew. What can't be proved stays unverified. */
int scrub_tables_recover(struct scrub_stripe *stripe, struct error *err);
