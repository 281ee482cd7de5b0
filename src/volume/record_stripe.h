/* SPDX-License-Identifier: MIT */
#pragma once
/* Record stripes: one record each, k = 1. The newest one is read with less authority than
 * data, because no record lists it yet: what a header page claims is tried, and the
 * record's own hash decides (docs/format.md 2.4).
 *
 * Threads: one at a time; nothing is shared.
 */
#include "volume/page.h"

struct backend;
struct error;

/* A record stripe as one header page describes it. A plain value. */
struct stripe_claim {
	struct uuid epoch;
	uint64_t number;
	uint64_t offset;    /* bytes, in the volume */
	uint32_t area_size; /* bytes, of every extent */
	struct page_header header;
};

/* What header page @page claims about the record stripe it belongs to. False if it is no
 * header page of a record stripe of @volume. */
bool claim_from_page(const struct page *page, const struct uuid *volume,
		     struct stripe_claim *claim_out);

/* Whether both describe the same stripe in the same way. */
bool claim_equal(const struct stripe_claim *a, const struct stripe_claim *b);

/* The record whose pieces are the payload of a record stripe, @size bytes. -EBADMSG,
 * -EPROTONOSUPPORT, -ENOMEM. Pure; safe on hostile input. */
int record_from_payload(const uint8_t *payload, size_t size, struct record **record_out,
			struct error *err);

/* Read the record of the claimed stripe, repairing in memory. @expected, if not NULL, is
 * the record's hash. On success the caller frees *record_out and *own_out, which describes
 * the undamaged stripe with the hashes of its extents.
 * -EBADMSG: no such whole record; -EPROTONOSUPPORT: a newer version's. */
int record_stripe_read(struct backend *backend, const struct uuid *volume,
		       const struct stripe_claim *claim, const struct hash *expected,
		       struct record **record_out, struct stripe_info *own_out,
		       struct error *err);

/* The same for a stripe that another record lists: @info's hashes are binding. */
int record_stripe_read_listed(struct backend *backend, const struct uuid *volume,
			      const struct stripe_info *info, const struct hash *expected,
			      struct record **record_out, struct stripe_info *own_out,
			      struct error *err);
