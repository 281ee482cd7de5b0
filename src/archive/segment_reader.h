/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads the content of one segment after another: fetches stored frames, decodes them,
 * proves them by the segment's table, shares them through a cache. What archive/reader.h
 * and archive/open_file.h have in common.
 *
 * Threads: one at a time. Any number share a source and a cache.
 */
#include "archive/frame_cache.h"
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct hash;
struct read_pieces;
struct segment_ref;
struct segment_reader;
struct source;

/* Bytes that a segment reader takes in time; the caller reserves them. The second with
 * segment_reader_serve(). */
#define SEGMENT_READER_MEMORY (1536u << 10)
#define SEGMENT_READER_SERVE_MEMORY (SEGMENT_READER_MEMORY + (768u << 10))

/* @source and @cache (NULL: only the last frame is kept) are borrowed. */
int segment_reader_new(struct source *source, struct frame_cache *cache,
		       struct segment_reader **reader_out, struct error *err);
void segment_reader_free(struct segment_reader *reader);
DEFINE_AUTOPTR(segment_reader);

/* Read for those who want bytes now and no proof of the whole: from a source that has parts,
 * stored frames are read leaf by leaf, and FRAME_PART decodes no further than it must.
 * What was verified is then the leaves. Else every frame is proved by its hash. */
void segment_reader_serve(struct segment_reader *reader);

/* Go to the segment with this id at this index. The errors of source_segment(). */
int segment_reader_find(struct segment_reader *reader, const struct hash *id,
			uint64_t index, struct error *err);
/* The same, having its reference, which is taken over. */
void segment_reader_take(struct segment_reader *reader,
			 const struct segment_ref *segment);
/* The current one; borrowed. */
const struct segment_ref *segment_reader_segment(const struct segment_reader *reader);

/* Whether anybody knows where the frame that holds byte @position is stored. If the segment's
 * table is lost, its other places are asked: then the current one is another. */
bool segment_reader_locate(struct segment_reader *reader, uint32_t position);

/* Read from the current segment, from byte @position of its content on: at least a byte, at
 * most @size, and @size > 0 bytes must be there. *n_out says how much: mostly to the end of
 * a frame. -EBADMSG: the first byte is lost, in this segment's other places too. */
int segment_reader_read(struct segment_reader *reader, uint32_t position, uint8_t *data,
			size_t size, enum frame_want want, size_t *n_out,
			struct error *err);
/* The same, adding to @pieces what would be at @data. */
int segment_reader_lend(struct segment_reader *reader, uint32_t position,
			struct read_pieces *pieces, size_t size, enum frame_want want,
			size_t *n_out, struct error *err);

/* Content [@position, @end) will be read soon: let the source fetch what of it is not in the
 * cache, which is not NULL. */
void segment_reader_expect(const struct segment_reader *reader, uint32_t position,
			   uint32_t end);

/* Put the frames that hold content [@position, @end) into the cache, which is not NULL, as
 * far as they are compressed and not there. *loaded_out of them were decoded. Errors as
 * segment_reader_read(), at the first frame. */
int segment_reader_load(struct segment_reader *reader, uint32_t position, uint32_t end,
			unsigned *loaded_out, struct error *err);

/* What was read. */
struct segment_counters {
	uint64_t hits; /* frames */
	uint64_t misses;
	uint64_t partial;
	uint64_t stored_bytes; /* bytes served from stored frames as they are */
};
/* Add what was read since the last call to @sum. */
void segment_reader_count(struct segment_reader *reader, struct segment_counters *sum);
