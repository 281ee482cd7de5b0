/* SPDX-License-Identifier: MIT */
/* The reading path from a content to its bytes.
 *
 *     offset -> piece (content.c) -> segment with its table (source) -> frame number
 *            -> stored bytes (source) -> decoded -> hashed -> compared with the table
 *
 * The table was verified against the segment's id by whoever made the segment_ref, and the id
 * stands in the manifest, so a decoded frame that matches is the committed content. A reader
 * keeps the last segment and a few decoded frames: sequential reads in any step size decode
 * each frame once. A read that covers a whole frame decodes straight into the caller's
 * memory.
 *
 * Stored frames are fetched in runs that grow while frames are asked for in order, up to
 * RUN_SIZE: one stored frame alone costs a fifth more leaves than its share, since it begins
 * and ends within one. A frame asked for out of order is fetched alone.
 *
 * A source may have a segment in several places, cut into frames in other ways. So decoded
 * frames are known by the stretch of content that they hold and not by their number, and
 * when frames are lost the segment is looked up once more: if what comes is cut in another
 * way, reading goes on there.
 */
#include "archive/content.h"

#include "archive/source.h"
#include "base/error.h"
#include "chunker/frame.h"
#include "merkle/tree.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RUN_SIZE (1u << 20)     /* bytes of stored frames fetched at once */
#define NOT_EXPECTED UINT32_MAX /* no frame would be in order */

struct cached_frame {
	struct hash id; /* of its segment */
	uint64_t index;
	uint32_t offset; /* bytes, in the segment's content */
	uint32_t size;   /* bytes; 0: empty slot */
	uint64_t used;   /* tick of the last use */
	uint8_t *data;   /* FRAME_SIZE_MAX bytes */
};

struct reader {
	struct source *source; /* borrowed */
	struct frame_decoder *decoder;
	const struct segment_ref *segment; /* the last one used, or NULL */
	uint8_t *run;                      /* RUN_SIZE bytes: stored frames as fetched */
	uint32_t run_first; /* frames [first, first + count) of `segment` */
	uint32_t run_count;
	uint32_t expected; /* the frame that comes next if reading goes on in order */
	unsigned streak;   /* runs fetched in order so far */
	struct cached_frame *frames;
	unsigned frame_count;
	uint64_t tick;
};

int reader_new(struct source *source, unsigned cache_frames, struct reader **reader_out,
	       struct error *err)
{
	autoptr(reader) reader = calloc(1, sizeof(*reader));
	int r;

	assert(cache_frames > 0);
	if (!reader)
		return error_set(err, -ENOMEM, "out of memory");
	reader->source = source;
	reader->run = malloc(RUN_SIZE);
	reader->frames = calloc(cache_frames, sizeof(*reader->frames));
	if (!reader->run || !reader->frames)
		return error_set(err, -ENOMEM, "out of memory");
	for (; reader->frame_count < cache_frames; reader->frame_count++) {
		reader->frames[reader->frame_count].data = malloc(FRAME_SIZE_MAX);
		if (!reader->frames[reader->frame_count].data)
			return error_set(err, -ENOMEM, "out of memory");
	}
	r = frame_decoder_new(&reader->decoder, err);
	if (r < 0)
		return r;
	*reader_out = take_ptr(reader);
	return 0;
}

void reader_free(struct reader *reader)
{
	if (!reader)
		return;
	if (reader->segment)
		source_segment_unref(reader->source, reader->segment);
	for (unsigned i = 0; i < reader->frame_count; i++)
		free(reader->frames[i].data);
	free(reader->frames);
	free(reader->run);
	frame_decoder_free(reader->decoder);
	free(reader);
}

static int use_segment(struct reader *reader, const struct content_piece *piece,
		       struct error *err)
{
	const struct segment_ref *segment = reader->segment;
	int r;

	if (segment && segment->index == piece->index &&
	    hash_equal(&segment->id, &piece->id))
		return 0;
	r = source_segment(reader->source, &piece->id, piece->index, &segment, err);
	if (r < 0)
		return r;
	/* From the last frame of one segment to the first of another is in order. */
	if (reader->segment && reader->expected == reader->segment->table->frame_count)
		reader->expected = 0;
	else
		reader->expected = NOT_EXPECTED;
	if (reader->segment)
		source_segment_unref(reader->source, reader->segment);
	reader->segment = segment;
	reader->run_count = 0;
	return 0;
}

/* The segment of @piece is at hand and is as large as the manifest says. */
static int locate(const struct content *content, struct reader *reader, uint64_t offset,
		  struct content_piece *piece, struct error *err)
{
	uint64_t end;
	int r;

	r = content_locate(content, reader->source, offset, piece, err);
	if (r == 0)
		r = use_segment(reader, piece, err);
	if (r < 0)
		return r;
	end = piece->segment_offset + piece->size;
	if (content->kind == CONTENT_PACK ? end > reader->segment->table->content_size
					  : end != reader->segment->table->content_size)
		return error_set(err, -EBADMSG,
				 "segment and manifest disagree about the size");
	return 0;
}

static int verify_frame(const struct segment_ref *segment, uint32_t number,
			const uint8_t *data, struct error *err)
{
	const struct segment_frame *frame = &segment->table->frames[number];
	struct hash hash;

	if (segment->info.kind == SEGMENT_PACK)
		hash_bytes(data, frame->content_size, &hash);
	else
		tree_subtree_cv(
			data, frame->content_size,
			(segment->index * SEGMENT_SIZE_MAX + frame->content_offset) /
				TREE_CHUNK_SIZE,
			&hash);
	if (!segment->unproven && !hash_equal(&hash, &segment->table->hashes[number]))
		return error_set(err, -EBADMSG, "frame %" PRIu32 " has another hash",
				 number);
	return 0;
}

/* How many frames from @number on to fetch at once. */
static uint32_t run_length(const struct reader *reader, uint32_t number)
{
	const struct segment_table *table = reader->segment->table;
	uint32_t limit = reader->streak < 3 ? (uint32_t)FRAME_STORED_MAX << reader->streak
					    : RUN_SIZE;
	uint32_t size = table->frames[number].stored_size;
	uint32_t count = 1;

	if (limit > RUN_SIZE)
		limit = RUN_SIZE;
	while (number + count < table->frame_count &&
	       table->frames[number + count].stored_size <= limit - size)
		size += table->frames[number + count++].stored_size;
	return count;
}

static int fetch_run(struct reader *reader, uint32_t number, struct error *err)
{
	uint32_t count;
	int r;

	reader->streak = number == reader->expected ? reader->streak + 1 : 0;
	count = run_length(reader, number);
	reader->run_count = 0;
	r = source_frames(reader->source, reader->segment, number, count, reader->run,
			  err);
	if (r == -EBADMSG && count > 1) {
		count = 1; /* what is lost may be another frame */
		r = source_frames(reader->source, reader->segment, number, count,
				  reader->run, err);
	}
	if (r < 0)
		return r;
	reader->run_first = number;
	reader->run_count = count;
	return 0;
}

/* Get, decode and verify frame @number of the current segment into @data. */
static int load_frame(struct reader *reader, uint32_t number, uint8_t *data,
		      struct error *err)
{
	const struct segment_ref *segment = reader->segment;
	const struct segment_frame *frame = &segment->table->frames[number];
	uint32_t skip;
	int r;

	if (number - reader->run_first >= reader->run_count) {
		r = fetch_run(reader, number, err);
		if (r < 0)
			return r;
	}
	reader->expected = number + 1;
	skip = frame->stored_offset -
	       segment->table->frames[reader->run_first].stored_offset;
	r = frame_decode(reader->decoder, reader->run + skip, frame->stored_size, data,
			 frame->content_size, err);
	if (r < 0)
		return r;
	return verify_frame(segment, number, data, err);
}

static struct cached_frame *find_cached(struct reader *reader, uint32_t number)
{
	const struct segment_frame *frame = &reader->segment->table->frames[number];

	for (unsigned i = 0; i < reader->frame_count; i++) {
		struct cached_frame *cached = &reader->frames[i];

		if (cached->size == frame->content_size &&
		    cached->offset == frame->content_offset &&
		    cached->index == reader->segment->index &&
		    hash_equal(&cached->id, &reader->segment->id))
			return cached;
	}
	return NULL;
}

static struct cached_frame *oldest_cached(struct reader *reader)
{
	struct cached_frame *oldest = &reader->frames[0];

	for (unsigned i = 1; i < reader->frame_count; i++)
		if (reader->frames[i].used < oldest->used)
			oldest = &reader->frames[i];
	return oldest;
}

static int get_cached(struct reader *reader, uint32_t number, struct cached_frame **out,
		      struct error *err)
{
	const struct segment_frame *frame = &reader->segment->table->frames[number];
	struct cached_frame *cached = find_cached(reader, number);
	int r;

	if (!cached) {
		cached = oldest_cached(reader);
		cached->size = 0;
		r = load_frame(reader, number, cached->data, err);
		if (r < 0)
			return r;
		cached->id = reader->segment->id;
		cached->index = reader->segment->index;
		cached->offset = frame->content_offset;
		cached->size = frame->content_size;
	}
	cached->used = ++reader->tick;
	*out = cached;
	return 0;
}

/* Read from the current segment, at most to the end of the frame that holds @position
 * (bytes in the segment's content). *n_out says how much. */
static int read_some(struct reader *reader, uint32_t position, uint8_t *data, size_t size,
		     size_t *n_out, struct error *err)
{
	uint32_t number = segment_table_find(reader->segment->table, position);
	const struct segment_frame *frame = &reader->segment->table->frames[number];
	uint32_t skip = position - frame->content_offset;
	struct cached_frame *cached;
	int r;

	*n_out = frame->content_size - skip;
	if (*n_out > size)
		*n_out = size;
	if (*n_out == frame->content_size && !find_cached(reader, number))
		return load_frame(reader, number, data, err);
	r = get_cached(reader, number, &cached, err);
	if (r < 0)
		return r;
	memcpy(data, cached->data + skip, *n_out);
	return 0;
}

static bool same_frames(const struct segment_table *a, const struct segment_table *b)
{
	return a->frame_count == b->frame_count &&
	       memcmp(a->frames, b->frames, a->frame_count * sizeof(*a->frames)) == 0;
}

/* Frames of the current segment are lost: look it up again. Whether that gives it in another
 * form; in the same form the source itself has tried all places. */
static bool exchange_segment(struct reader *reader)
{
	const struct segment_ref *old = reader->segment;
	const struct segment_ref *segment;
	bool differs;

	if (source_segment(reader->source, &old->id, old->index, &segment, NULL) < 0)
		return false;
	differs = segment->table->content_size == old->table->content_size &&
		  !same_frames(segment->table, old->table);
	source_segment_unref(reader->source, differs ? old : segment);
	if (!differs)
		return false;
	reader->segment = segment;
	reader->run_count = 0;
	reader->expected = NOT_EXPECTED;
	return true;
}

/* As read_some(), from another form of the segment if this one has lost frames. */
static int read_any(struct reader *reader, uint32_t position, uint8_t *data, size_t size,
		    size_t *n_out, struct error *err)
{
	int r = read_some(reader, position, data, size, n_out, err);

	if (r != -EBADMSG || !exchange_segment(reader))
		return r;
	return read_some(reader, position, data, size, n_out, err);
}

int content_read(const struct content *content, struct reader *reader, uint64_t offset,
		 void *data, size_t size, struct error *err)
{
	struct content_piece piece;
	uint8_t *out = data;
	size_t n;
	int r;

	if (offset > content->size || size > content->size - offset)
		return error_set(err, -EINVAL, "read beyond the end");
	for (; size > 0; size -= n, offset += n, out += n) {
		uint64_t left;

		r = locate(content, reader, offset, &piece, err);
		if (r < 0)
			return r;
		left = piece.offset + piece.size - offset;
		r = read_any(reader,
			     (uint32_t)(piece.segment_offset + (offset - piece.offset)),
			     out, size < left ? size : (size_t)left, &n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int content_frame_end(const struct content *content, struct reader *reader,
		      uint64_t offset, uint64_t *end_out, struct error *err)
{
	const struct segment_frame *frame;
	struct content_piece piece;
	uint32_t position;
	uint64_t end;
	int r;

	r = locate(content, reader, offset, &piece, err);
	if (r < 0)
		return r;
	position = (uint32_t)(piece.segment_offset + (offset - piece.offset));
	frame = &reader->segment->table
			 ->frames[segment_table_find(reader->segment->table, position)];
	end = offset + (frame->content_offset + frame->content_size - position);
	*end_out = end < content->size ? end : content->size;
	return 0;
}

int content_verify(const struct content *content, struct reader *reader,
		   struct error *err)
{
	autofree uint8_t *buf = malloc(FRAME_SIZE_MAX);
	struct hasher hasher;
	struct hash hash;
	int r;

	if (!buf)
		return error_set(err, -ENOMEM, "out of memory");
	hasher_init(&hasher);
	for (uint64_t offset = 0; offset < content->size;) {
		uint64_t left = content->size - offset;
		size_t n = left < FRAME_SIZE_MAX ? (size_t)left : FRAME_SIZE_MAX;

		r = content_read(content, reader, offset, buf, n, err);
		if (r < 0)
			return r;
		hasher_update(&hasher, buf, n);
		offset += n;
	}
	hasher_final(&hasher, &hash);
	if (!hash_equal(&hash, &content->hash))
		return error_set(err, -EBADMSG, "the content has another hash");
	return 0;
}
