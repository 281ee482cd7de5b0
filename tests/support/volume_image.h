/* SPDX-License-Identifier: MIT */
#pragma once
/* Volumes built by hand for tests of readers, straight from docs/format.md and with nothing
 * of the writer's code but pages and records: an independent second opinion.
 * Everything is asserted; one thread builds, any may look.
 */
#include "volume/log_reader.h"
#include "volume/page.h"

struct backend;

struct image {
	struct backend *backend; /* a memory backend; owned */
	struct uuid volume, epoch;
	uint64_t seed; /* of the content that comes next */

	uint8_t *bytes; /* the volume as it was meant; owned */
	size_t size;
	uint8_t *log; /* owned */
	size_t log_size;
	struct stripe_info *stripes; /* owned, all of them in order of the log */
	size_t stripe_count;
	struct record **records; /* owned, decoded */
	size_t record_count;

	size_t unlisted; /* first stripe that no record lists */
	size_t covered;  /* where the last record's coverage ended */
	uint64_t previous_offset;
	struct hash previous_hash;
	uint64_t next_number;
};

struct image_shape {
	unsigned data, parity, frames; /* k, m, f */
	uint64_t spread;               /* bytes */
	unsigned count;                /* data extents to write */
	uint32_t payload; /* bytes of the first; each next one is 4999 less */
	uint32_t zeroes;  /* bytes that each payload begins with */
};

void image_init(struct image *image, uint8_t volume, uint8_t epoch);
void image_done(struct image *image);

/* Append a data stripe of pseudo-random content. */
void image_add_data(struct image *image, const struct image_shape *shape);

/* Append a record stripe that lists everything new; @info_size bytes of info swell it. */
void image_add_record(struct image *image, enum stripe_kind kind, uint64_t spread,
		      size_t info_size);

/* Leave behind what a writer that dies leaves: a data stripe of @shape of which only
 * @bytes bytes are there. A new epoch begins; the log goes on after the last record. */
void image_add_torn(struct image *image, const struct image_shape *shape, size_t bytes,
		    uint8_t next_epoch);

/* Bytes that are anything but zero by definition lie in [offset, offset + 4096). */
bool image_block_used(const struct image *image, uint64_t offset);

/* Make the backend hold the volume as it was meant again: all of it, or one range. */
void image_publish(struct image *image);
void image_restore(struct image *image, uint64_t offset, size_t size);

/* Damage in the backend. */
void image_fill(struct image *image, uint64_t offset, const void *bytes, size_t size);
void image_noise(struct image *image, uint64_t offset, size_t size, uint64_t seed);

/* Look-up in image->stripes. The image must outlive readers. */
struct stripe_lookup image_lookup(struct image *image);

/* The stripe that covers byte @offset of the volume, or NULL. */
const struct stripe_info *image_stripe_at(const struct image *image, uint64_t offset);

/* Pseudo-random bytes, the same for the same seed. */
void fill_random(void *data, size_t size, uint64_t seed);
