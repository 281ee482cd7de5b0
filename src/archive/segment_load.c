/* SPDX-License-Identifier: MIT */
/* Loading frames ahead of who reads them. */
#include "archive/segment_reader_own.h"
#include "archive/source.h"
#include "archive/stored_frames.h"

#define LOAD_BATCH 8u /* frames: 2 MiB of content in the largest ones */

/* Frames that are to be loaded together: who wants one of them meanwhile waits for it, and
 * does not fetch it once more. */
struct batch {
	struct frame *frames[LOAD_BATCH];
	uint32_t numbers[LOAD_BATCH];
	unsigned count;
};

/* From frame *number on, up to content position @end; *number is then the next. */
static void collect_batch(const struct segment_reader *reader, uint32_t *number,
			  uint32_t end, struct batch *batch)
{
	const struct segment_table *table = reader->segment->table;

	batch->count = 0;
	for (; *number < table->frame_count && batch->count < LOAD_BATCH; ++*number) {
		const struct segment_frame *frame = &table->frames[*number];
		const struct frame_key key = segment_reader_key(reader, *number);

		if (frame->content_offset >= end)
			return;
		if (frame->stored_size == 0 || (reader->serves && stored_frame(frame)) ||
		    frame_cache_get(reader->cache, &key, FRAME_AHEAD,
				    &batch->frames[batch->count]) != FRAME_LOAD)
			continue;
		batch->numbers[batch->count++] = *number;
	}
}

static int load_batch(struct segment_reader *reader, const struct batch *batch,
		      uint32_t end, unsigned *loaded, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < batch->count; i++) {
		struct frame *frame = batch->frames[i];

		if (r == 0)
			r = segment_reader_fill(reader, batch->numbers[i],
						end - frame->key.offset, frame, err);
		else
			frame_cache_failed(reader->cache, frame);
		if (r < 0)
			continue;
		frame_cache_release(reader->cache, frame);
		++*loaded;
	}
	return r;
}

void segment_reader_expect(const struct segment_reader *reader, uint32_t position,
			   uint32_t end)
{
	const struct segment_table *table = reader->segment->table;
	uint32_t number = segment_table_find(table, position);
	uint32_t from = 0; /* stored bytes [from, to) are expected, and not told yet */
	uint32_t to = 0;

	for (; number < table->frame_count; number++) {
		const struct segment_frame *frame = &table->frames[number];
		const struct frame_key key = segment_reader_key(reader, number);

		if (frame->content_offset >= end)
			break;
		if (frame->stored_size == 0 || frame_cache_has(reader->cache, &key))
			continue;
		if (frame->stored_offset != to) {
			if (from < to)
				source_expect(reader->source, reader->segment, from,
					      to - from);
			from = frame->stored_offset;
		}
		to = frame->stored_offset + frame->stored_size;
	}
	if (from < to)
		source_expect(reader->source, reader->segment, from, to - from);
}

int segment_reader_load(struct segment_reader *reader, uint32_t position, uint32_t end,
			unsigned *loaded_out, struct error *err)
{
	const struct segment_table *table = reader->segment->table;
	uint32_t number = segment_table_find(table, position);
	struct batch batch;
	int r = 0;

	*loaded_out = 0;
	do {
		collect_batch(reader, &number, end, &batch);
		r = load_batch(reader, &batch, end, loaded_out, err);
	} while (r == 0 && batch.count == LOAD_BATCH);
	return r;
}
