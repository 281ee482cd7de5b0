/* SPDX-License-Identifier: MIT */
/* From a segment to its bytes.
 *
 *     position -> frame number -> stored bytes (source) -> decoded -> hashed -> compared
 *
 * The table was verified against the segment's id, which stands in the manifest, so a decoded
 * frame that matches is the committed content.
 *
 * Who serves reads takes two short cuts, both of which trust the leaves, whose hashes the
 * volume's records authenticate: bytes of a stored frame are where arithmetic says, so only
 * their leaves are read; and where a part of a frame would do, decoding stops behind it. Such
 * a part is neither hashed nor shared.
 *
 * A source may have a segment in several places, cut into frames in other ways. So decoded
 * frames are known by the stretch of content that they hold and not by their number, and
 * when frames are lost the segment is looked up once more: if what comes is cut in another
 * way, reading goes on there.
 *
 * Who serves loses only what is lost: ranges that fail are halved, down to LOSS_GRAIN.
 */
#include "archive/segment_reader.h"

#include "archive/source.h"
#include "archive/stored_frames.h"
#include "archive/stored_run.h"
#include "base/error.h"
#include "chunker/frame.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_BATCH 8u            /* frames: 2 MiB of content in the largest ones */
#define LOSS_GRAIN 4096u         /* bytes: a page of the kernel's cache */
#define FRONT_SAVING (32u << 10) /* stored bytes: half a leaf */

struct segment_reader {
	struct source *source;     /* borrowed */
	struct frame_cache *cache; /* borrowed, or NULL */
	struct frame_decoder *decoder;
	bool shares;                       /* others want the same frames */
	bool serves;                       /* and leaves are proof enough */
	const struct segment_ref *segment; /* the current one, or NULL */
	struct stored_run run;
	struct frame
		last; /* the last one decoded outside the cache: FRAME_SIZE_MAX bytes */
	uint32_t last_size; /* bytes of it that are there; 0: none */
	struct segment_counters counters;
};

/* What one call reads. */
struct reading_range {
	uint32_t number; /* of the first frame */
	uint32_t skip;   /* bytes of its content in front of the range */
	uint8_t *data;
	size_t size; /* bytes */
};

int segment_reader_new(struct source *source, struct frame_cache *cache,
		       struct segment_reader **reader_out, struct error *err)
{
	autoptr(segment_reader) reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return error_set(err, -ENOMEM, "out of memory");
	reader->source = source;
	reader->cache = cache;
	reader->last.data = malloc(FRAME_SIZE_MAX);
	if (!reader->last.data)
		return error_set(err, -ENOMEM, "out of memory");
	r = stored_run_init(&reader->run, source, err);
	if (r < 0)
		return r;
	r = frame_decoder_new(&reader->decoder, err);
	if (r < 0)
		return r;
	*reader_out = take_ptr(reader);
	return 0;
}

void segment_reader_free(struct segment_reader *reader)
{
	if (!reader)
		return;
	if (reader->segment)
		source_segment_unref(reader->source, reader->segment);
	free(reader->last.data);
	stored_run_done(&reader->run);
	frame_decoder_free(reader->decoder);
	free(reader);
}

void segment_reader_serve(struct segment_reader *reader)
{
	reader->shares = true;
	reader->serves = source_has_parts(reader->source);
	reader->run.ahead = false;
}

const struct segment_ref *segment_reader_segment(const struct segment_reader *reader)
{
	return reader->segment;
}

void segment_reader_count(struct segment_reader *reader, struct segment_counters *sum)
{
	sum->hits += reader->counters.hits;
	sum->misses += reader->counters.misses;
	sum->partial += reader->counters.partial;
	sum->stored_bytes += reader->counters.stored_bytes;
	reader->counters = (struct segment_counters){ 0 };
}

void segment_reader_take(struct segment_reader *reader, const struct segment_ref *segment)
{
	const struct segment_ref *old = reader->segment;

	reader->segment = segment;
	if (old != segment)
		stored_run_enter(&reader->run, old);
	if (old) /* if it is the same, one reference is enough */
		source_segment_unref(reader->source, old);
}

int segment_reader_find(struct segment_reader *reader, const struct hash *id,
			uint64_t index, struct error *err)
{
	const struct segment_ref *segment = reader->segment;
	int r;

	if (segment && segment->index == index && hash_equal(&segment->id, id))
		return 0;
	r = source_segment(reader->source, id, index, &segment, err);
	if (r == 0)
		segment_reader_take(reader, segment);
	return r;
}

/* Stored frames. */

static const struct segment_frame *frame_at(const struct segment_reader *reader,
					    uint32_t number)
{
	return &reader->segment->table->frames[number];
}

/* Whole frames. */

static int decode_frame(struct segment_reader *reader, uint32_t number,
			const uint8_t *stored, uint8_t *data, struct error *err)
{
	const struct segment_frame *frame = frame_at(reader, number);
	int r;

	r = frame_decode(reader->decoder, stored, frame->stored_size, data,
			 frame->content_size, err);
	return r < 0 ? r : segment_check_frame(reader->segment, number, data, err);
}

/* The frame is not what it should be: ask for it once more. */
static int load_again(struct segment_reader *reader, uint32_t number, uint8_t *data,
		      struct error *err)
{
	uint8_t *stored = stored_run_scratch(&reader->run);
	int r;

	r = source_again(reader->source, reader->segment, number, stored, err);
	return r < 0 ? r : decode_frame(reader, number, stored, data, err);
}

/* Get, decode and verify frame @number into @data. */
static int load_frame(struct segment_reader *reader, uint32_t number, size_t wanted,
		      uint8_t *data, struct error *err)
{
	const uint8_t *stored;
	int r;

	r = stored_run_get(&reader->run, reader->segment, number, wanted, &stored, err);
	if (r < 0)
		return r;
	reader->counters.misses++;
	r = decode_frame(reader, number, stored, data, err);
	return r == -EBADMSG && source_has_more(reader->source)
		       ? load_again(reader, number, data, err)
		       : r;
}

static struct frame_key key_of(const struct segment_reader *reader, uint32_t number)
{
	const struct segment_frame *frame = frame_at(reader, number);

	return (struct frame_key){
		.id = reader->segment->id,
		.index = reader->segment->index,
		.offset = frame->content_offset,
		.size = frame->content_size,
	};
}

static int load_cached(struct segment_reader *reader, uint32_t number, size_t wanted,
		       struct frame *frame, struct error *err)
{
	int r = load_frame(reader, number, wanted, frame->data, err);

	if (r == 0)
		frame_cache_loaded(reader->cache, frame);
	else
		frame_cache_failed(reader->cache, frame);
	return r;
}

static bool last_holds(const struct segment_reader *reader, const struct frame_key *key,
		       size_t end)
{
	const struct frame_key *last = &reader->last.key;

	return end <= reader->last_size && last->offset == key->offset &&
	       last->size == key->size && last->index == key->index &&
	       hash_equal(&last->id, &key->id);
}

/* Decode the frame, all of it, without the cache. */
static int read_alone(struct segment_reader *reader, const struct reading_range *range,
		      size_t wanted, struct error *err)
{
	const struct segment_frame *frame = frame_at(reader, range->number);
	int r;

	if (range->size == frame->content_size)
		return load_frame(reader, range->number, wanted, range->data, err);
	reader->last_size = 0;
	r = load_frame(reader, range->number, wanted, reader->last.data, err);
	if (r < 0)
		return r;
	reader->last.key = key_of(reader, range->number);
	reader->last_size = frame->content_size;
	memcpy(range->data, reader->last.data + range->skip, range->size);
	return 0;
}

/* Parts of frames. */

/* The longest range of the frame's stored bytes from its start that can be read, into
 * @stored. Where bytes are lost, nothing but trying tells which. */
static uint32_t read_good_start(struct segment_reader *reader,
				const struct segment_frame *frame, uint8_t *stored)
{
	uint32_t good = 0;
	uint32_t bad = frame->stored_size;

	while (bad - good > LOSS_GRAIN) {
		uint32_t middle = good + (bad - good) / 2;

		if (source_part(reader->source, reader->segment,
				frame->stored_offset + good, middle - good, stored + good,
				NULL) == 0)
			good = middle;
		else
			bad = middle;
	}
	return good;
}

/* Where the last part ends of those that hold @end bytes of a frame's content. */
static size_t parts_end(size_t end)
{
	return (end + FRAME_PART_SIZE - 1) / FRAME_PART_SIZE * FRAME_PART_SIZE;
}

/* Decode @stored up to the range's end. If that does not get so far, the range's size is
 * then less; -EBADMSG if nothing of it is left. */
static int decode_part(struct segment_reader *reader, struct reading_range *range,
		       const uint8_t *stored, size_t stored_size, struct error *err)
{
	size_t content_size = frame_at(reader, range->number)->content_size;
	size_t end = range->skip + range->size;
	size_t got;
	int r;

	reader->last_size = 0;
	if (parts_end(end) >= content_size)
		end = content_size; /* it decodes faster in one go */
	r = frame_decode_prefix(reader->decoder, stored, stored_size, reader->last.data,
				end, content_size, &got, err);
	if (r < 0)
		return r;
	reader->last.key = key_of(reader, range->number);
	reader->last_size = (uint32_t)got;
	if (got <= range->skip)
		return error_set(err, -EBADMSG, "frame %" PRIu32 " ends early",
				 range->number);
	reader->counters.partial++;
	if (got < range->skip + range->size)
		range->size = got - range->skip;
	memcpy(range->data, reader->last.data + range->skip, range->size);
	return 0;
}

/* Try the range with the stored bytes that its parts and those in front of it are likely to
 * take: a sixteenth of the frame more than their share, which is not enough for one in twenty.
 * Only where that saves leaves. */
static bool read_front(struct segment_reader *reader, struct reading_range *range)
{
	const struct segment_frame *frame = frame_at(reader, range->number);
	uint64_t share =
		(uint64_t)frame->stored_size * parts_end(range->skip + range->size);
	uint32_t likely =
		(uint32_t)(share / frame->content_size) + frame->stored_size / 16;
	struct reading_range all = *range;
	uint8_t *stored;

	if (likely + FRONT_SAVING > frame->stored_size)
		return false;
	stored = stored_run_scratch(&reader->run);
	return source_part(reader->source, reader->segment, frame->stored_offset, likely,
			   stored, NULL) == 0 &&
	       decode_part(reader, &all, stored, likely, NULL) == 0 &&
	       all.size == range->size;
}

static int read_part(struct segment_reader *reader, struct reading_range *range,
		     struct error *err)
{
	const uint8_t *stored;
	int r;

	if (read_front(reader, range))
		return 0;
	r = stored_run_get(&reader->run, reader->segment, range->number, 0, &stored, err);
	if (r < 0)
		return r;
	return decode_part(reader, range, stored,
			   frame_at(reader, range->number)->stored_size, err);
}

/* A range of one frame, decoded; its size may be less then (decode_part). */
static int read_frame(struct segment_reader *reader, struct reading_range *range,
		      size_t wanted, enum frame_want want, struct error *err)
{
	const struct frame_key key = key_of(reader, range->number);
	enum frame_found found = FRAME_NONE;
	struct frame *frame;
	int r;

	if (last_holds(reader, &key, range->skip + range->size)) {
		memcpy(range->data, reader->last.data + range->skip, range->size);
		return 0;
	}
	if (reader->cache && (reader->shares || range->size < key.size))
		found = frame_cache_get(reader->cache, &key, want, &frame);
	if (found == FRAME_NONE && want == FRAME_PART && reader->serves)
		return read_part(reader, range, err);
	if (found == FRAME_NONE)
		return read_alone(reader, range, wanted, err);
	if (found == FRAME_LOAD) {
		r = load_cached(reader, range->number, wanted, frame, err);
		if (r < 0)
			return r;
	} else {
		reader->counters.hits++;
	}
	memcpy(range->data, frame->data + range->skip, range->size);
	frame_cache_release(reader->cache, frame);
	return 0;
}

/* Stored frames, leaf by leaf. */

/* As much of the range, which begins in a stored frame, as one fetch gives. */
static int read_leaves(struct segment_reader *reader, const struct reading_range *range,
		       size_t *n_out, struct error *err)
{
	struct stored_stretch stretch;
	uint8_t *to = range->data;
	int r;

	stored_stretch_find(reader->segment->table, range->number, range->skip,
			    range->size, STORED_RUN_SIZE, &stretch);
	if (!stored_stretch_is_plain(&stretch))
		to = stored_run_scratch(&reader->run);
	r = source_part(reader->source, reader->segment, stretch.start,
			stretch.end - stretch.start, to, err);
	if (r < 0)
		return r;
	if (to != range->data)
		stored_stretch_copy(&stretch, to, range->data);
	reader->counters.stored_bytes += stretch.size;
	*n_out = stretch.size;
	return 0;
}

/* Reading. */

static struct reading_range range_at(const struct segment_reader *reader,
				     uint32_t position, uint8_t *data, size_t size)
{
	uint32_t number = segment_table_find(reader->segment->table, position);

	return (struct reading_range){
		.number = number,
		.skip = position - frame_at(reader, number)->content_offset,
		.data = data,
		.size = size,
	};
}

static void cut_to_frame(const struct segment_reader *reader, struct reading_range *range)
{
	size_t left = frame_at(reader, range->number)->content_size - range->skip;

	if (range->size > left)
		range->size = left;
}

static int read_some(struct segment_reader *reader, uint32_t position, uint8_t *data,
		     size_t size, enum frame_want want, size_t *n_out, struct error *err)
{
	struct reading_range range = range_at(reader, position, data, size);
	const struct segment_frame *frame = frame_at(reader, range.number);
	int r;

	if (frame->stored_size == 0) /* the source says what is lost */
		return source_frames(reader->source, reader->segment, range.number, 1,
				     data, err);
	if (reader->serves && stored_frame(frame)) {
		r = read_leaves(reader, &range, n_out, err);
		if (r != -EBADMSG || range.skip + size <= frame->content_size)
			return r;
		cut_to_frame(reader, &range); /* what is lost may be another frame */
		return read_leaves(reader, &range, n_out, err);
	}
	cut_to_frame(reader, &range);
	r = read_frame(reader, &range, size, want, err);
	if (r == 0)
		*n_out = range.size;
	return r;
}

/* Frames of the current segment are lost: look it up again. Whether that gives it in another
 * form; in the same form the source itself has tried all places. */
static bool exchange_segment(struct segment_reader *reader)
{
	const struct segment_ref *old = reader->segment;
	const struct segment_ref *segment;

	if (source_segment(reader->source, &old->id, old->index, &segment, NULL) < 0)
		return false;
	if (segment->table->content_size != old->table->content_size ||
	    segment_same_frames(segment, old)) {
		source_segment_unref(reader->source, segment);
		return false;
	}
	segment_reader_take(reader, segment);
	return true;
}

/* Bytes of the stored frame's content that can be read from the range's start on. */
static size_t read_good_leaves(struct segment_reader *reader,
			       const struct reading_range *range)
{
	size_t good = 0;
	size_t bad = range->size;

	while (bad - good > LOSS_GRAIN) {
		size_t half = (bad - good) / 2 + LOSS_GRAIN - 1;
		struct reading_range part = *range;
		size_t n;

		part.size = half - half % LOSS_GRAIN;
		part.skip += (uint32_t)good;
		part.data += good;
		if (read_leaves(reader, &part, &n, NULL) == 0)
			good += n;
		else
			bad = good + part.size;
	}
	return good;
}

/* The first frame of the range is lost, but not all of it need be. *err says what is. */
static int read_rest(struct segment_reader *reader, uint32_t position, uint8_t *data,
		     size_t size, size_t *n_out)
{
	struct reading_range range = range_at(reader, position, data, size);
	const struct segment_frame *frame = frame_at(reader, range.number);
	uint32_t stored_size;
	uint8_t *stored;
	int r;

	cut_to_frame(reader, &range);
	if (stored_frame(frame)) {
		*n_out = read_good_leaves(reader, &range);
		return *n_out > 0 ? 0 : -EBADMSG;
	}
	if (stored_run_holds(&reader->run, range.number))
		return -EBADMSG; /* it was read, and is not what was committed */
	if (frame->stored_size == 0 || parts_end(range.skip + 1) >= frame->content_size)
		return -EBADMSG; /* the last part of a frame needs all of it */
	stored = stored_run_scratch(&reader->run);
	stored_size = read_good_start(reader, frame, stored);
	if (stored_size == 0)
		return -EBADMSG;
	r = decode_part(reader, &range, stored, stored_size, NULL);
	if (r == 0)
		*n_out = range.size;
	return r;
}

static bool is_located(const struct segment_reader *reader, uint32_t position)
{
	const struct segment_table *table = reader->segment->table;

	return table->frames[segment_table_find(table, position)].stored_size > 0;
}

/* Asking for the frame fails, and tells the source that this place is no good. */
bool segment_reader_locate(struct segment_reader *reader, uint32_t position)
{
	if (is_located(reader, position))
		return true;
	(void)source_frames(reader->source, reader->segment,
			    segment_table_find(reader->segment->table, position), 1,
			    stored_run_scratch(&reader->run), NULL);
	return exchange_segment(reader) && is_located(reader, position);
}

int segment_reader_read(struct segment_reader *reader, uint32_t position, uint8_t *data,
			size_t size, enum frame_want want, size_t *n_out,
			struct error *err)
{
	int r;

	assert(size > 0 && size <= reader->segment->table->content_size - position);
	r = read_some(reader, position, data, size, want, n_out, err);
	if (r == -EBADMSG && exchange_segment(reader))
		r = read_some(reader, position, data, size, want, n_out, err);
	if (r == -EBADMSG && reader->serves)
		r = read_rest(reader, position, data, size, n_out);
	return r;
}

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
		const struct frame_key key = key_of(reader, *number);

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
			r = load_cached(reader, batch->numbers[i],
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
