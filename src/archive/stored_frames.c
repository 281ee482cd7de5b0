/* SPDX-License-Identifier: MIT */
#include "archive/stored_frames.h"

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

void stored_stretch_copy(const struct stored_stretch *stretch, const uint8_t *stored,
			 uint8_t *out)
{
	const struct segment_frame *frame = &stretch->table->frames[stretch->number];
	uint32_t skip = stretch->skip;
	size_t left = stretch->size;

	while (left > 0) {
		size_t length = FRAME_BLOCK_SIZE - skip % FRAME_BLOCK_SIZE;

		if (length > frame->content_size - skip)
			length = frame->content_size - skip;
		if (length > left)
			length = left;
		memcpy(out, stored + (place_of(frame, skip) - stretch->start), length);
		out += length;
		left -= length;
		skip += (uint32_t)length;
		if (skip == frame->content_size) {
			frame++;
			skip = 0;
		}
	}
}
