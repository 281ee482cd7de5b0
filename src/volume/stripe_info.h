/* SPDX-License-Identifier: MIT */
#pragma once
/* Stripes as records describe them (docs/format.md 4): geometry, place, the hashes of their
 * extents. Plain values; pure functions.
 */
#include "merkle/hash.h"
#include "volume/geometry.h"

#include <stddef.h>
#include <stdint.h>

struct error;

#define UUID_SIZE 16

struct uuid {
	uint8_t bytes[UUID_SIZE];
};

enum stripe_kind {
	STRIPE_HEADER = 1,
	STRIPE_DATA = 2,
	STRIPE_PLACEMENT = 3,
	STRIPE_COMMIT = 4,
	STRIPE_END = 5,
};

struct extent_info {
	uint32_t payload_size; /* bytes; 0 for parity */
	uint32_t area_size;    /* bytes of the leaf area; for parity: of the rows */
	struct hash hash;      /* over the leaf entries */
};

/* One closed stripe. */
struct stripe_info {
	uint64_t number;
	uint64_t offset;    /* bytes, in the volume */
	uint64_t log_start; /* bytes, in the log */
	struct uuid epoch;
	enum stripe_kind kind;
	struct geometry geometry;
	unsigned data_count;         /* data extents really written */
	struct extent_info *extents; /* data_count + geometry.parity of them; owned */
};

/* Bytes of payload that @stripe holds in the log; bytes from its first extent to the end of
 * its last one in the volume; and how many of those were written (without the gaps). */
uint64_t stripe_log_size(const struct stripe_info *stripe);
uint64_t stripe_physical_size(const struct stripe_info *stripe);
uint64_t stripe_written_size(const struct stripe_info *stripe);

/* BLAKE3 over the extents' hashes. */
void stripe_root(const struct stripe_info *stripe, struct hash *root_out);

/* Deep copy into an uninitialised *copy_out; release with stripe_info_done(). */
int stripe_info_copy(const struct stripe_info *stripe, struct stripe_info *copy_out);
void stripe_info_done(struct stripe_info *stripe);

/* Bytes of a stripe's entry in a record; ->extents is not looked at. */
size_t stripe_entry_size(const struct stripe_info *stripe);

/* One stripe's entry alone: write stripe_entry_size() bytes; read what that wrote (-EBADMSG
 * otherwise, -ENOMEM; release with stripe_info_done()). */
void stripe_info_encode(const struct stripe_info *stripe, uint8_t *out);
int stripe_info_decode(const uint8_t *data, size_t size, struct stripe_info *stripe_out,
		       struct error *err);
