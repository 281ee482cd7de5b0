/* SPDX-License-Identifier: MIT */
#pragma once
/* Rebuilds one leaf from its row, or column by column (docs/format.md 2.3). In memory;
 * nothing is written. Threads: as the view.
 */
#include "volume/page.h"

#include <stdint.h>

struct error;
struct stripe_view;

/* Make @data, row @row of @extent as it was read (zeroes where it could not be), what
 * @entry describes. Takes up to k + m leaves of memory for the time of the call. Sectors
 * that already agree with @entry are kept. The caller counts the repair.
 * What is beyond its row is asked of view->rescue.
 * -EBADMSG if the damage is beyond repair; @data is undefined then. */
int leaf_repair(struct stripe_view *view, unsigned extent, unsigned row,
		const struct leaf_entry *entry, uint8_t *data, struct error *err);

/* The leaf in row @row of data extent @extent as view->rescue has it: payload, then what follows
 * from the stripe. Nothing proves it yet. -EBADMSG if that has not all of it. */
int leaf_rescue(const struct stripe_view *view, unsigned extent, unsigned row,
		uint8_t *data);
