/* SPDX-License-Identifier: MIT */
#pragma once
/* Makes a closed stripe a second time, byte for byte: everything in it follows from its
 * payload, its entry in a record, and the record before it. What does not give the hashes of
 * the entry is not written. One thread at a time.
 */
#include "volume/stripe_info.h"

#include <stddef.h>
#include <stdint.h>

struct backend;
struct budget;
struct error;
struct pool;

struct stripe_remake {
	struct backend *backend; /* borrowed, like all pointers here; at its end */
	struct budget *budget;
	struct pool *pool;
	struct uuid volume;
	uint64_t
		previous_offset; /* of the last record stripe before, or RECORD_OFFSET_NONE */
	struct hash previous_hash; /* of its record */

	/* Read payload bytes of the log. */
	int (*read)(void *context, uint64_t log_offset, uint8_t *data, size_t size,
		    struct error *err);
	void *context;
};

/* Append @stripe at its place. What of it lies in front of the backend's position is there
 * already; a gap before it becomes a hole that readers of zstd frames skip. -EBADMSG if the
 * payload is not that of @stripe: then nothing wrong was appended. */
int stripe_remake(const struct stripe_remake *remake, const struct stripe_info *stripe,
		  struct error *err);
