/* SPDX-License-Identifier: MIT */
#include "archive/stored_frames.h"

#include "archive/read_pieces.h"
#include "chunker/frame.h"

#include <assert.h>
#include <string.h>

bool stored_frame(const struct segment_frame *frame)
{
	return frame_size_is_stored(frame->stored_size, frame->content_size);
}

/* Where byte @skip of the frame's content lies. */
static uint32_t place_of(const struct segment_frame *frame, uint32_t skip)
{
	return frame->stored_offset +
	       (uint32_t)frame_stored_offset(frame->content_size, skip);
}

void stored_stretch_find(const struct segment_table *table, uint32_t number,
			 uint32_t skip, size_t size, uint32_t room,
			 struct stored_stretch *stretch_out)
{
	const struct segment_frame *frame = &table->frames[number];
	const struct segment_frame *behind = &table->frames[table->frame_count];
	struct stored_stretch stretch = {
		.table = table,
		.number = number,
		.skip = skip,
		.start = place_of(frame, skip),
	};

	assert(stored_frame(frame));
	for (; frame < behind && stored_frame(frame) && stretch.size < size; frame++) {
		uint32_t take = frame->content_size - skip;
		uint32_t end;

		if (take > size - stretch.size)
			take = (uint32_t)(size - stretch.size);
		end = place_of(frame, skip + take - 1) + 1;
		if (end - stretch.start > room)
			break;
		stretch.end = end;
		stretch.size += take;
		skip = 0;
	}
	*stretch_out = stretch;
}

bool stored_stretch_is_plain(const struct stored_stretch *stretch)
{
	return stretch->end - stretch->start == stretch->size;
}

size_t stored_stretch_next(struct stored_stretch *stretch, uint32_t *offset_out)
{
	const struct segment_frame *frame = &stretch->table->frames[stretch->number];
	size_t length = FRAME_BLOCK_SIZE - stretch->skip % FRAME_BLOCK_SIZE;

	if (stretch->size == 0)
		return 0;
	if (length > frame->content_size - stretch->skip)
		length = frame->content_size - stretch->skip;
	if (length > stretch->size)
		length = stretch->size;
	*offset_out = place_of(frame, stretch->skip) - stretch->start;
	stretch->size -= length;
	stretch->skip += (uint32_t)length;
	if (stretch->skip == frame->content_size) {
		stretch->number++;
		stretch->skip = 0;
	}
	return length;
}

void stored_stretch_copy(const struct stored_stretch *stretch, const uint8_t *stored,
			 uint8_t *out)
{
	struct stored_stretch rest = *stretch;
	uint32_t offset;
	size_t length;

	while ((length = stored_stretch_next(&rest, &offset)) > 0) {
		memcpy(out, stored + offset, length);
		out += length;
	}
}

bool stored_stretch_can_lend(const struct stored_stretch *stretch,
			     const struct read_pieces *pieces)
{
	size_t gaps = stretch->end - stretch->start - stretch->size;

	return read_pieces_have_room(pieces, gaps / FRAME_STORED_BLOCK_HEADER + 1, gaps);
}

void stored_stretch_lend(const struct stored_stretch *stretch, struct read_pieces *pieces)
{
	struct stored_stretch rest = *stretch;
	const uint8_t *stored = pieces->next;
	uint32_t offset;
	size_t length;

	while ((length = stored_stretch_next(&rest, &offset)) > 0) {
		read_pieces_skip(pieces, (size_t)(stored + offset - pieces->next));
		read_pieces_add(pieces, length);
	}
}
