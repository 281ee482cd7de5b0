/* SPDX-License-Identifier: MIT */
/* zstd frames say where they end, so a walk from the header on finds them one by one until
 * the first byte that is lost. Behind that, nothing says where a frame begins.
 *
 * A frame's size is not known before it is read, and reading beyond its end may touch what
 * is lost: so a whole frame's worth is tried first, and then sector by sector.
 */
#include "archive/segment_rescue.h"

#include "base/error.h"
#include "chunker/frame.h"
#include "volume/geometry.h"

#include <errno.h>
#include <stdlib.h>

struct walk {
	struct cached_segment *segment;
	struct volume_set *volumes;
	uint8_t *buf;      /* FRAME_STORED_MAX bytes */
	uint32_t position; /* bytes of stored content done */
	uint32_t content;  /* bytes of content done */
};

void segment_rescue_info(struct cached_segment *segment)
{
	const struct segment_place *place = &segment->place;
	uint32_t frame_size = FRAME_SIZE_MAX;

	/* In pieces all frames but the last are full; in packs the size is only a bound. */
	if (place->kind == SEGMENT_PIECE)
		while (frame_size > SEGMENT_FRAME_SIZE_MIN &&
		       (place->content_size + frame_size - 1) / frame_size <
			       place->frame_count)
			frame_size /= 2;
	segment->ref.info = (struct segment_info){
		.kind = (enum segment_kind)place->kind,
		.codec = SEGMENT_CODEC_ZSTD,
		.id = place->id,
		.index = place->index,
		.content_size = place->content_size,
		.frame_count = place->frame_count,
		.frame_size = frame_size,
	};
}

static int read_at(const struct walk *walk, uint32_t offset, uint8_t *data, size_t size)
{
	const struct cached_segment *segment = walk->segment;

	return segment_runs_read(&segment->runs, walk->volumes, &segment->place.volume,
				 offset, data, size, NULL);
}

/* Measure the frame at the walk's position. 0, or -EBADMSG. */
static int measure(const struct walk *walk, struct segment_frame *frame)
{
	uint32_t left = walk->segment->place.stored_size - walk->position;
	uint32_t most = left < FRAME_STORED_MAX ? left : FRAME_STORED_MAX;
	uint32_t have = 0;

	if (read_at(walk, walk->position, walk->buf, most) == 0)
		return frame_measure(walk->buf, most, &frame->stored_size,
				     &frame->content_size);
	while (have < most) {
		uint32_t step =
			PAGE_SIZE_BYTES < most - have ? PAGE_SIZE_BYTES : most - have;

		if (read_at(walk, walk->position + have, walk->buf + have, step) < 0)
			return -EBADMSG;
		have += step;
		if (frame_measure(walk->buf, have, &frame->stored_size,
				  &frame->content_size) == 0)
			return 0;
	}
	return -EBADMSG;
}

static int step(struct walk *walk, struct segment_frame *frame)
{
	const struct segment_place *place = &walk->segment->place;
	int r;

	frame->content_offset = walk->content;
	frame->stored_offset = walk->position;
	r = measure(walk, frame);
	if (r < 0)
		return r;
	if (frame->content_size > place->content_size - walk->content)
		return -EBADMSG;
	walk->content += frame->content_size;
	walk->position += frame->stored_size;
	return 0;
}

static void walk_frames(struct walk *walk, struct segment_table *table)
{
	const struct segment_place *place = &walk->segment->place;

	while (table->frame_count < place->frame_count &&
	       walk->content < place->content_size &&
	       step(walk, &table->frames[table->frame_count]) == 0)
		table->frame_count++;
	if (table->frame_count == 0 || walk->content == place->content_size)
		return;
	table->frames[table->frame_count++] = (struct segment_frame){
		.content_offset = walk->content,
		.content_size = place->content_size - walk->content,
		.stored_offset = walk->position,
	};
}

int segment_rescue_table(struct cached_segment *segment, struct volume_set *volumes,
			 struct error *err)
{
	const struct segment_place *place = &segment->place;
	autoptr(segment_table) table = calloc(1, sizeof(*table));
	autofree uint8_t *buf = malloc(FRAME_STORED_MAX);
	struct walk walk = { .segment = segment, .volumes = volumes, .buf = buf };

	if (table) {
		table->frames = calloc(place->frame_count + 1, sizeof(*table->frames));
		table->hashes = calloc(place->frame_count + 1, sizeof(*table->hashes));
	}
	if (!table || !buf || !table->frames || !table->hashes)
		return error_set(err, -ENOMEM, "no memory for a segment's table");
	table->content_size = place->content_size;
	table->stored_size = place->stored_size;
	walk.position = (uint32_t)segment_header_size(segment->ref.info.metadata_size);
	walk_frames(&walk, table);
	if (table->frame_count == 0)
		return error_set(err, -EBADMSG, "neither its table nor a frame is left");
	segment->ref.table = take_ptr(table);
	segment->ref.unproven = true;
	return 0;
}
