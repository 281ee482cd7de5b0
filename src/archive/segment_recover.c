/* SPDX-License-Identifier: MIT */
/* Who reads leaf by leaf trusts the leaves' hashes, which stand in the tables of the volume
 * that is not there. So here it is the frame's own hash that counts, and a part of a frame
 * costs the whole of it.
 */
#include "archive/segment_recover.h"

#include "archive/source.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/error.h"
#include "chunker/frame.h"

#include <string.h>

#define MEMORY (FRAME_STORED_MAX + FRAME_SIZE_MAX) /* bytes, in buffers */

struct recovery {
	const struct cached_segment *segment;
	struct volume_set *volumes;
	struct frame_decoder *decoder;
	struct buffer buffer; /* a stored frame, then its content */
};

static void recovery_done(struct recovery *recovery)
{
	buffer_free(&recovery->buffer);
	frame_decoder_free(recovery->decoder);
}
#define autorecovery __attribute__((__cleanup__(recovery_done)))

/* Frame @number to the start of the buffer. */
static int recover_frame(struct recovery *recovery, uint32_t number, struct error *err)
{
	const struct cached_segment *segment = recovery->segment;
	const struct segment_frame *frame = &segment->ref.table->frames[number];
	uint8_t *stored = recovery->buffer.data;
	uint8_t *content = stored + FRAME_STORED_MAX;
	int r;

	r = segment_runs_recover(&segment->runs, recovery->volumes,
				 &segment->place.volume, frame->stored_offset, stored,
				 frame->stored_size, err);
	if (r < 0)
		return r;
	r = frame_decode(recovery->decoder, stored, frame->stored_size, content,
			 frame->content_size, err);
	if (r < 0)
		return r;
	return segment_check_frame(&segment->ref, number, content, err);
}

/* What of [offset, offset + size) lies in frame @number, to its place in @data. */
static void copy_overlap(const struct recovery *recovery, uint32_t number,
			 uint32_t offset, uint8_t *data, uint32_t size)
{
	const struct segment_frame *frame = &recovery->segment->ref.table->frames[number];
	uint32_t start = frame->stored_offset > offset ? frame->stored_offset : offset;
	uint32_t end = frame->stored_offset + frame->stored_size;

	if (end > offset + size)
		end = offset + size;
	memcpy(data + (start - offset),
	       recovery->buffer.data + (start - frame->stored_offset), end - start);
}

static int init(struct recovery *recovery, struct error *err)
{
	int r = buffer_alloc(&recovery->buffer, volume_set_budget(recovery->volumes),
			     MEMORY, "a lost frame", err);

	return r < 0 ? r : frame_decoder_new(&recovery->decoder, err);
}

int segment_recover(const struct cached_segment *segment, struct volume_set *volumes,
		    uint32_t offset, uint8_t *data, uint32_t size, struct error *err)
{
	autorecovery struct recovery recovery = { segment, volumes, NULL, { 0 } };
	const struct segment_table *table = segment->ref.table;
	uint32_t covered = offset;
	int r;

	if (size == 0 || segment->ref.unproven)
		return error_set(err, -ENOENT, "nothing proves these bytes");
	r = init(&recovery, err);
	for (uint32_t i = 0; r == 0 && i < table->frame_count; i++) {
		const struct segment_frame *frame = &table->frames[i];

		if (frame->stored_offset + frame->stored_size <= offset)
			continue;
		if (frame->stored_offset >= offset + size)
			break;
		r = recover_frame(&recovery, i, err);
		if (r < 0)
			return r;
		copy_overlap(&recovery, i, offset, data, size);
		if (frame->stored_offset <= covered)
			covered = frame->stored_offset + frame->stored_size;
	}
	if (r == 0 && covered < offset + size)
		return error_set(err, -EBADMSG, "bytes that are in no frame");
	return r;
}
