/* SPDX-License-Identifier: MIT */
#pragma once
/* The durable half of making a stripe: pages are written, page parity is added up, extents
 * are appended at their places. Leaves come in hashed (volume/extent.h).
 *
 * Threads: one at a time, the one that owns the backend's position.
 */
#include "volume/extent.h"
#include "volume/log_writer.h"

struct backend;
struct pool;

struct stripe_build {
	struct backend *backend; /* borrowed, like all pointers here */
	struct pool *pool;
	struct uuid volume;
	struct stripe_info info;     /* without extents and data count: those come last */
	struct extent_info *extents; /* data_count + m, with sizes; hashes come */
	struct row_sums sums;

	/* If not NULL, the stripe was begun before: its extents as they must be. What lies in
	 * front of the backend's position is there, only the rest is appended. */
	const struct extent_info *known;
};

/* Take the parity extents over from the stripe before, before any task adds to them. */
void stripe_build_begin(struct stripe_build *build);

/* With ->known both functions below give -EBADMSG instead of appending an extent that is
 * not the known one. */

/* Append the data extent @extent, whose tasks have ended; @end is where the log's records
 * ended before this stripe. Its hash in ->extents is set. */
int stripe_build_data(struct stripe_build *build, struct extent *extent,
		      const struct log_end *end, struct error *err);

/* Hash and append the parity extents of a stripe of @data_count data extents, the longest of
 * which has an area of @rows bytes. */
int stripe_build_parity(struct stripe_build *build, unsigned data_count, uint32_t rows,
			const struct log_end *end, struct error *err);
