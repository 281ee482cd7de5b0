/* SPDX-License-Identifier: MIT */
#pragma once
/* The two tables that close a segment: the frame table (hashes) and the seek table
 * (lengths). Together, and after the header, they say where each frame is and what it must
 * hash to. The bytes from the frame table to the segment's end are its *tail*.
 *
 * Threads: a loaded table is immutable; the rest are pure functions.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct segment_info;

enum {
	SEGMENT_FOOTER_SIZE =
		9, /* bytes: the end of a segment, for segment_tail_probe() */
};

struct segment_frame {
	uint32_t content_offset; /* bytes from the start of the segment's content */
	uint32_t content_size;   /* bytes, 1 .. the nominal frame size */
	uint32_t stored_offset;  /* bytes from the start of the segment in the log */
	uint32_t stored_size;    /* bytes, 1 .. frame_bound(content_size) */
};

struct segment_table {
	uint32_t frame_count;
	uint32_t content_size;        /* bytes, all frames */
	uint32_t stored_size;         /* bytes, header, frames and both tables */
	struct segment_frame *frames; /* frame_count of them, in order and without gaps */
	struct hash *hashes; /* likewise: chaining values of a piece, BLAKE3 of a pack */
};

/* Exact bytes of the tables of a segment with @frame_count frames, and of both. */
size_t segment_frame_table_size(uint32_t frame_count);
size_t segment_seek_table_size(uint32_t frame_count);
size_t segment_tail_size(uint32_t frame_count);

/* Write both tables, segment_tail_size(info->frame_count) bytes: the frame table, then the
 * seek table. Of @frames (info->frame_count) only content_size and stored_size are read. */
void segment_tail_encode(const struct segment_info *info,
			 const struct segment_frame *frames, const struct hash *hashes,
			 uint8_t *out);

/* How large the tail is, from the last SEGMENT_FOOTER_SIZE bytes of a segment, for a reader
 * that knows only where it ends. -EBADMSG when they are no footer; output untouched. */
int segment_tail_probe(const uint8_t *footer, size_t *tail_size_out, struct error *err);

/* Decode the tail (@size bytes: frame table and seek table, nothing else) of the segment
 * whose header is @info. Everything is checked: checksums, counts, sums and limits, both
 * tables against the header, and the hashes against the segment's id. The caller frees.
 * -EBADMSG damaged or inconsistent, -EPROTONOSUPPORT newer version, -ENOMEM. */
int segment_table_load(const struct segment_info *info, const uint8_t *tail, size_t size,
		       struct segment_table **out, struct error *err);
void segment_table_free(struct segment_table *table);
DEFINE_AUTOPTR(segment_table);

/* The number of the frame that holds @content_offset < table->content_size. O(log n). */
uint32_t segment_table_find(const struct segment_table *table, uint32_t content_offset);
