/* SPDX-License-Identifier: MIT */
#pragma once
/* A fixed number of frame buffers, and what the workers do to them: read, hash, encode. A
 * slot goes through
 *
 *     take -> (read | hash | copy into) -> [encode | seal] -> release
 *
 * and each arrow but the first and last is a task of its own that frame_slot_wait() waits
 * for. The memory of all slots is reserved at once, so a commit's read-ahead is as large as
 * the ring and no larger.
 *
 * Threads: one thread takes, submits, waits and releases; the workers run the tasks.
 */
#include "base/cleanup.h"
#include "base/pool.h"
#include "chunker/frame.h"
#include "merkle/hash.h"
#include "volume/atom.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;
struct error;
struct frame_ring;

struct frame_ring_options {
	struct pool *pool;     /* borrowed */
	struct budget *budget; /* borrowed */
	uint32_t frame_size;   /* bytes of content in a frame */
	int level;
	uint64_t memory;    /* bytes wanted for slots */
	unsigned slots_min; /* never fewer, whatever @memory says */
};

struct frame_slot {
	uint8_t *data; /* content; after encode or seal, what frame_slot_atom() names */
	uint32_t content_size; /* bytes */
	uint32_t stored_size;  /* bytes; after encode or seal */
	struct hash hash; /* after read or hash: chaining value; after seal: BLAKE3 */
	bool hole;        /* content is zeroes that are not in @data */
	bool compressible; /* worth a try; known when it was hashed, while it is in cache */
	bool stored;       /* it does not compress: @data is still the content */
	uint8_t headers[FRAME_STORED_HEADERS]; /* of a stored frame */
	struct frame_slot *next;               /* for whoever holds the slot */

	/* The ring's. */
	struct frame_ring *ring;
	struct task task;
	struct task_group group;
	int fd;
	uint64_t offset; /* bytes, of the content in its file */
};

/* -ENOMEM if the budget has no room for slots_min slots and the workers' encoders. */
int frame_ring_new(const struct frame_ring_options *options, struct frame_ring **ring_out,
		   struct error *err);
/* Waits for tasks that run; slots need not have been released. */
void frame_ring_free(struct frame_ring *ring);
DEFINE_AUTOPTR(frame_ring);

unsigned frame_ring_slots(const struct frame_ring *ring);
unsigned frame_ring_available(const struct frame_ring *ring);

/* A free slot, or NULL. Its content_size is 0. */
struct frame_slot *frame_ring_take(struct frame_ring *ring);
/* No task may be pending. */
void frame_ring_release(struct frame_ring *ring, struct frame_slot *slot);

/* Read @size bytes at @offset of @fd, which stays open until then, and compute the chaining
 * value for that position. -ENODATA: the file ends before. */
void frame_slot_read(struct frame_slot *slot, int fd, uint64_t offset, uint32_t size);
/* The same for content that the caller has put into slot->data. */
void frame_slot_hash(struct frame_slot *slot, uint64_t offset, uint32_t size);
/* The same for a hole: nothing is read, nothing written to slot->data. */
void frame_slot_hash_hole(struct frame_slot *slot, uint64_t offset, uint32_t size);

/* Make the content a stored frame. */
void frame_slot_encode(struct frame_slot *slot);
/* Hash the content by itself, then encode it. */
void frame_slot_seal(struct frame_slot *slot);

/* The stored frame, after encode or seal, in pieces borrowed until the release. */
void frame_slot_atom(const struct frame_slot *slot, struct atom *atom_out);

/* Wait for the last of these to be done. Its error, also -EIO, ... of reading. */
int frame_slot_wait(struct frame_slot *slot, struct error *err);
