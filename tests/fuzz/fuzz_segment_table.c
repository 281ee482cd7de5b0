/* SPDX-License-Identifier: MIT */
/* Input: a segment header without metadata, then a tail. Checksums and the id are made right
 * first, as far as the input is long enough, so that the fuzzer gets past them. A table that
 * is accepted must keep its promises, and encode to the same tail but for reserved bytes. */
#include "base/bytes.h"
#include "chunker/crc32c.h"
#include "chunker/frame.h"
#include "chunker/segment.h"
#include "chunker/segment_table.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	FRAMES_MAX = 64,
	BYTES_MAX = SEGMENT_HEADER_SIZE + 93 + 40 * FRAMES_MAX,
	TABLE_ID_OFFSET = 24, /* in the frame table */
	TABLE_HASHES_OFFSET = 56,
	TABLE_RESERVED_OFFSET = 14,
};

static void put_crc(uint8_t *out, const uint8_t *bytes, size_t size)
{
	le32 crc = le32_make(crc32c(bytes, size));

	memcpy(out, &crc, sizeof(crc));
}

/* The id that the raw bytes of the tail give. */
static void compute_id(const struct segment_info *info, const uint8_t *tail,
		       struct hash *id)
{
	const uint8_t *entries =
		tail + segment_frame_table_size(info->frame_count) + 8 + 8;
	struct segment_frame frames[FRAMES_MAX];
	struct hash hashes[FRAMES_MAX];

	memcpy(hashes, tail + TABLE_HASHES_OFFSET, sizeof(hashes[0]) * info->frame_count);
	for (uint32_t f = 0; f < info->frame_count; f++) {
		le32 content_size;

		memcpy(&content_size, entries + 8 * f + 4, sizeof(content_size));
		frames[f].content_size = le32_get(content_size);
	}
	segment_id(info->kind, frames, hashes, info->frame_count, id);
}

static void seal_tail(struct segment_info *info, uint8_t *tail)
{
	size_t table_size = segment_frame_table_size(info->frame_count);

	compute_id(info, tail, &info->id);
	memcpy(tail + TABLE_ID_OFFSET, &info->id, sizeof(info->id));
	put_crc(tail + 20, tail + table_size, segment_seek_table_size(info->frame_count));
	put_crc(tail + table_size - 4, tail, table_size - 4);
}

static void check_frames(const struct segment_info *info,
			 const struct segment_table *table)
{
	uint32_t content = 0, stored = SEGMENT_HEADER_SIZE;

	for (uint32_t f = 0; f < table->frame_count; f++) {
		const struct segment_frame *frame = &table->frames[f];

		if (frame->content_offset != content || frame->stored_offset != stored ||
		    frame->content_size < 1 || frame->content_size > info->frame_size ||
		    frame->stored_size < 1 ||
		    frame->stored_size > frame_bound(frame->content_size) ||
		    segment_table_find(table, content) != f ||
		    segment_table_find(table, content + frame->content_size - 1) != f)
			abort();
		content += frame->content_size;
		stored += frame->stored_size;
	}
	if (content != info->content_size ||
	    table->stored_size != stored + segment_tail_size(table->frame_count))
		abort();
}

static void check_encode(const struct segment_info *info,
			 const struct segment_table *table, const uint8_t *tail)
{
	uint8_t again[BYTES_MAX];
	size_t table_size = segment_frame_table_size(info->frame_count);

	segment_tail_encode(info, table->frames, table->hashes, again);
	memcpy(again + TABLE_RESERVED_OFFSET, tail + TABLE_RESERVED_OFFSET, 2);
	put_crc(again + table_size - 4, again, table_size - 4);
	if (memcmp(again, tail, segment_tail_size(info->frame_count)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[BYTES_MAX];
	uint8_t *tail = bytes + SEGMENT_HEADER_SIZE;
	autoptr(segment_table) table = NULL;
	struct segment_info info;
	size_t probed;

	if (size < SEGMENT_HEADER_SIZE || size > sizeof(bytes))
		return 0;
	memcpy(bytes, data, size);
	put_crc(bytes + SEGMENT_HEADER_SIZE - 4, bytes, SEGMENT_HEADER_SIZE - 4);
	if (segment_header_decode(bytes, SEGMENT_HEADER_SIZE, &info, NULL) < 0)
		return 0;
	size -= SEGMENT_HEADER_SIZE;
	if (info.frame_count <= FRAMES_MAX && size == segment_tail_size(info.frame_count))
		seal_tail(&info, tail);

	if (segment_table_load(&info, tail, size, &table, NULL) < 0)
		return 0;
	if (segment_tail_probe(tail + size - SEGMENT_FOOTER_SIZE, &probed, NULL) < 0 ||
	    probed != size)
		abort();
	check_frames(&info, table);
	check_encode(&info, table, tail);
	return 0;
}
