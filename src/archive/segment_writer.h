/* SPDX-License-Identifier: MIT */
#pragma once
/* Puts segments into the log, one at a time, unless the archive has them; and knows which it
 * has: dedup refers only to what this commit has written or what lies on a volume that is
 * attached.
 *
 * Threads: one at a time, as the session.
 */
#include "base/cleanup.h"
#include "chunker/segment.h"

#include <stdbool.h>
#include <stdint.h>

struct commit_session;
struct error;
struct frame_slot;
struct segment_writer;

#define SEGMENT_KNOWN 1 /* there is nothing to write */

/* @session is borrowed; @frame_size is the nominal one, in bytes. */
int segment_writer_new(struct commit_session *session, uint32_t frame_size,
		       struct segment_writer **writer_out, struct error *err);
void segment_writer_free(struct segment_writer *writer);
DEFINE_AUTOPTR(segment_writer);

/* Begin the segment whose frames are the list @slots, of which sizes and hashes are looked
 * at now. 0: its header is written, and all frames must follow. SEGMENT_KNOWN: the archive
 * has it. *id_out is set in both cases. */
int segment_writer_begin(struct segment_writer *writer, enum segment_kind kind,
			 uint64_t index, const struct frame_slot *slots,
			 struct hash *id_out, struct error *err);

/* The next frame, encoded. After the last one the segment is complete. */
int segment_writer_frame(struct segment_writer *writer, const struct frame_slot *slot,
			 struct error *err);

/* Whether a segment has begun and is not complete: nothing else may be appended. */
bool segment_writer_is_open(const struct segment_writer *writer);

/* Whether what is in segment @id may be referred to. */
int segment_writer_usable(struct segment_writer *writer, const struct hash *id,
			  uint64_t index, bool *usable_out, struct error *err);
