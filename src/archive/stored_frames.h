/* SPDX-License-Identifier: MIT */
#pragma once
/* Content that was stored as it is, found in a segment by arithmetic (docs/format.md 6.1).
 * Functions of their arguments; any thread.
 */
#include "chunker/segment_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct read_pieces;

bool stored_frame(const struct segment_frame *frame);

/* Content from byte @skip of frame @number on, through stored frames only. */
struct stored_stretch {
	const struct segment_table *table; /* borrowed */
	uint32_t number;
	uint32_t skip; /* bytes */
	size_t size;   /* bytes of content */
	uint32_t
		start; /* where it lies: stored bytes [start, end) of the segment, with the */
	uint32_t end; /* headers of frames and blocks between its parts */
};

/* As much of @size > 0 bytes as lies in stored frames and in at most @room stored bytes, which
 * are at least a frame's. Frame @number must be stored, and @skip in it. */
void stored_stretch_find(const struct segment_table *table, uint32_t number,
			 uint32_t skip, size_t size, uint32_t room,
			 struct stored_stretch *stretch_out);

/* Whether it has no headers in between. */
bool stored_stretch_is_plain(const struct stored_stretch *stretch);

/* Take the next part of its content off the stretch, which has no headers in it. Its size in
 * bytes, 0 at the end; *offset_out is its place among the stretch's stored bytes. */
size_t stored_stretch_next(struct stored_stretch *stretch, uint32_t *offset_out);

/* Copy its content from @stored, which are the bytes at its start, to @out. */
void stored_stretch_copy(const struct stored_stretch *stretch, const uint8_t *stored,
			 uint8_t *out);

/* Whether its stored bytes can be read to @pieces->next, and its content be passed on from
 * there; and to do so when they were read. */
bool stored_stretch_can_lend(const struct stored_stretch *stretch,
			     const struct read_pieces *pieces);
void stored_stretch_lend(const struct stored_stretch *stretch,
			 struct read_pieces *pieces);
