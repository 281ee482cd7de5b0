/* SPDX-License-Identifier: MIT */
#pragma once
/* The records of a volume that is not there: they are payload of its log, and so in the groups
 * of the outer code like everything else. One thread at a time. */
#include "volume/record.h"

struct error;
struct volume_set;

#define OUTER_RECORD_MEMORY \
	(4u * RECORD_SIZE_MAX) /* bytes, which who has a budget reserves */

/* Visit the stripes of @volume that the set's catalog knows from log offset @start on, in
 * order; @record is NULL for data stripes, else the record, reconstructed and checked against
 * its own hash and the stripe. Stops at the first result of @visit that is not 0, and returns
 * it; else 0, or with what reading gave. */
int outer_visit_stripes(struct volume_set *set, const struct uuid *volume, uint64_t start,
			int (*visit)(void *context, const struct stripe_info *stripe,
				     const struct record *record, struct error *err),
			void *context, struct error *err);
