/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads a whole volume without any reader's code but page_decode() and record_decode(), and
 * asserts everything that docs/format.md says about it: pages, identities, tables, gaps,
 * padding, every byte of parity (with a field arithmetic of its own), the frames that
 * `zstd -dc` walks over, and the chain of records.
 */
#include "volume/record.h"

#include <stddef.h>
#include <stdint.h>

struct audit {
	struct stripe_info *stripes; /* all, as found in pages; owned */
	size_t stripe_count;
	struct record **records; /* owned */
	size_t record_count;
	uint64_t log_size;   /* bytes */
	uint64_t written;    /* bytes of all stripes, without gaps */
	struct hash content; /* of what zstd prints */
	uint64_t content_size;
};

/* Audit the @size bytes of a volume that no interrupted writer left a tail in. */
void audit_volume(struct audit *audit, const uint8_t *bytes, size_t size,
		  const struct uuid *volume);
void audit_done(struct audit *audit);
