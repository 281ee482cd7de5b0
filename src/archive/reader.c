/* SPDX-License-Identifier: MIT */
/* The reading path from a content to its bytes, for who reads alone and wants every frame
 * proved: cat, restore, diff.
 *
 *     offset -> piece (content.c) -> frames of its segment (segment_reader.c)
 *
 * Sequential reads in any step size decode each frame once. A read that covers a whole frame
 * decodes straight into the caller's memory. Threads that serve many files at once use
 * archive/open_file.h, which is made of the same parts.
 */
#include "archive/content.h"

#include "archive/segment_reader.h"
#include "archive/source.h"
#include "base/error.h"
#include "chunker/frame.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct reader {
	struct source *source; /* borrowed */
	struct segment_reader *segments;
};

static_assert(READER_MEMORY == SEGMENT_READER_MEMORY, "a reader is nothing more");

int reader_new(struct source *source, struct frame_cache *cache,
	       struct reader **reader_out, struct error *err)
{
	autoptr(reader) reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return error_set(err, -ENOMEM, "out of memory");
	reader->source = source;
	r = segment_reader_new(source, cache, &reader->segments, err);
	if (r < 0)
		return r;
	*reader_out = take_ptr(reader);
	return 0;
}

void reader_free(struct reader *reader)
{
	if (!reader)
		return;
	segment_reader_free(reader->segments);
	free(reader);
}

/* Go to the segment that holds @offset; it is as large as the manifest says. */
static int locate(const struct content *content, struct reader *reader, uint64_t offset,
		  struct content_piece *piece, struct error *err)
{
	int r;

	r = content_locate(content, reader->source, offset, piece, err);
	if (r == 0)
		r = segment_reader_find(reader->segments, &piece->id, piece->index, err);
	if (r == 0)
		r = content_check_segment(content, piece,
					  segment_reader_segment(reader->segments), err);
	return r;
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
		r = segment_reader_read(
			reader->segments, content_position(&piece, offset), out,
			size < left ? size : (size_t)left, FRAME_WHOLE, &n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int content_frame_end(const struct content *content, struct reader *reader,
		      uint64_t offset, uint64_t *end_out, struct error *err)
{
	const struct segment_table *table;
	const struct segment_frame *frame;
	struct content_piece piece;
	uint32_t position;
	uint64_t end;
	bool known;
	int r;

	r = locate(content, reader, offset, &piece, err);
	if (r < 0)
		return r;
	position = content_position(&piece, offset);
	known = segment_reader_locate(reader->segments, position);
	table = segment_reader_segment(reader->segments)->table;
	frame = &table->frames[segment_table_find(table, position)];
	end = offset + (frame->content_offset + frame->content_size - position);
	*end_out = end < content->size ? end : content->size;
	if (!known)
		return error_set(err, -EBADMSG,
				 "the segment's table and these frames are lost");
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
