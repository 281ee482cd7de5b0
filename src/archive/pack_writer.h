/* SPDX-License-Identifier: MIT */
#pragma once
/* Collects small contents into packs and writes them. Where a content stands is known only
 * when its pack is complete, so each content brings the place to fill in and the change that
 * waits for it.
 *
 * Threads: one at a time; hashing and encoding happen on the ring's workers.
 */
#include "base/cleanup.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct change;
struct error;
struct frame_ring;
struct frame_slot;
struct pack_writer;
struct segment_writer;

/* A content that goes into a pack. */
struct pack_content {
	struct change *change; /* its `waiting` is up by one until place is filled in */
	struct pack_place *place; /* in the change; stays where it is */
	const struct hash *hash;  /* in the change; BLAKE3 of the content */
	uint32_t size;            /* bytes, 1 to PACK_FILE_MAX */
};

/* @ring and @segments are borrowed. */
int pack_writer_new(struct frame_ring *ring, struct segment_writer *segments,
		    uint32_t frame_size, struct pack_writer **writer_out,
		    struct error *err);
/* Before the ring. */
void pack_writer_free(struct pack_writer *writer);
DEFINE_AUTOPTR(pack_writer);

/* If equal content stands in a pack that is not yet written, refer to it: true. -ENOMEM. */
int pack_writer_share(struct pack_writer *writer, const struct pack_content *content,
		      bool *shared_out, struct error *err);

/* Add content of at most one frame, which is copied. Takes up to one slot, writing packs
 * early to get it. No segment may be half written, here and in all below. */
int pack_writer_add(struct pack_writer *writer, const struct pack_content *content,
		    const uint8_t *data, struct error *err);

/* Add content that stands in the list @slots, all but the last of which are full, and take
 * them over (also on failure). */
int pack_writer_adopt(struct pack_writer *writer, const struct pack_content *content,
		      struct frame_slot *slots, struct error *err);

/* Write a pack, if there is any: 1, else 0. Prefers one that is full. */
int pack_writer_step(struct pack_writer *writer, struct error *err);
