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

/* Stored bytes [start, start + size) to the start of the buffer. */
static int recover_range(struct recovery *recovery, uint32_t start, uint32_t size,
			 struct error *err)
{
	const struct cached_segment *segment = recovery->segment;

	if (size > FRAME_STORED_MAX)
		return error_set(err, -EBADMSG, "impossible size %u", size);
	return segment_runs_recover(&segment->runs, recovery->volumes,
				    &segment->place.volume, start, recovery->buffer.data,
				    size, err);
}

static int recover_header(struct recovery *recovery, uint32_t size, struct error *err)
{
	const struct segment_ref *ref = &recovery->segment->ref;
	struct segment_info info;
	int r;

	r = recover_range(recovery, 0, size, err);
	if (r == 0)
		r = segment_header_decode(recovery->buffer.data, size, &info, err);
	if (r < 0)
		return r;
	if (!hash_equal(&info.id, &ref->id) || info.index != ref->index ||
	    segment_header_size(info.metadata_size) != size)
		return error_set(err, -EBADMSG, "another segment's header");
	return 0;
}

/* Both tables, which the segment's id proves. */
static int recover_tail(struct recovery *recovery, uint32_t start, uint32_t size,
			struct error *err)
{
	autoptr(segment_table) table = NULL;
	int r = recover_range(recovery, start, size, err);

	if (r < 0)
		return r;
	return segment_table_load(&recovery->segment->ref.info, recovery->buffer.data,
				  size, &table, err);
}

static int recover_frame(struct recovery *recovery, uint32_t number, struct error *err)
{
	const struct segment_ref *ref = &recovery->segment->ref;
	const struct segment_frame *frame = &ref->table->frames[number];
	uint8_t *stored = recovery->buffer.data;
	uint8_t *content = stored + FRAME_STORED_MAX;
	int r;

	r = recover_range(recovery, frame->stored_offset, frame->stored_size, err);
	if (r == 0)
		r = frame_decode(recovery->decoder, stored, frame->stored_size, content,
				 frame->content_size, err);
	return r < 0 ? r : segment_check_frame(ref, number, content, err);
}

/* What somebody wants of a segment's stored bytes. */
struct wish {
	uint32_t offset, size;
	uint8_t *data;
};

static bool touches(const struct wish *wish, uint32_t start, uint32_t size)
{
	return start < wish->offset + wish->size && start + size > wish->offset;
}

/* What of the wish lies in [start, start + size), which is in the buffer, to its place. */
static void grant(const struct recovery *recovery, const struct wish *wish,
		  uint32_t start, uint32_t size)
{
	uint32_t from = start > wish->offset ? start : wish->offset;
	uint32_t end = start + size;

	if (end > wish->offset + wish->size)
		end = wish->offset + wish->size;
	memcpy(wish->data + (from - wish->offset), recovery->buffer.data + (from - start),
	       end - from);
}

static int recover_frames(struct recovery *recovery, const struct wish *wish,
			  struct error *err)
{
	const struct segment_table *table = recovery->segment->ref.table;

	for (uint32_t i = 0; i < table->frame_count; i++) {
		const struct segment_frame *frame = &table->frames[i];
		int r;

		if (!touches(wish, frame->stored_offset, frame->stored_size))
			continue;
		r = recover_frame(recovery, i, err);
		if (r < 0)
			return r;
		grant(recovery, wish, frame->stored_offset, frame->stored_size);
	}
	return 0;
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
	const struct wish wish = { offset, size, data };
	uint32_t header, tail;
	int r;

	if (size == 0 || segment->ref.unproven)
		return error_set(err, -ENOENT, "nothing proves these bytes");
	header = table->frames[0].stored_offset;
	tail = (uint32_t)segment_tail_size(table->frame_count);
	r = init(&recovery, err);
	if (r == 0 && touches(&wish, 0, header)) {
		r = recover_header(&recovery, header, err);
		if (r == 0)
			grant(&recovery, &wish, 0, header);
	}
	if (r == 0)
		r = recover_frames(&recovery, &wish, err);
	if (r == 0 && touches(&wish, table->stored_size - tail, tail)) {
		r = recover_tail(&recovery, table->stored_size - tail, tail, err);
		if (r == 0)
			grant(&recovery, &wish, table->stored_size - tail, tail);
	}
	return r;
}
