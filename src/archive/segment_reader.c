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

#include "archive/read_pieces.h"
#include "archive/segment_reader_own.h"
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

#define LOSS_GRAIN 4096u         /* bytes: a page of the kernel's cache */
#define FRONT_SAVING (32u << 10) /* stored bytes: half a leaf */

/* What one call reads. */
struct reading_range {
	uint32_t number; /* of the first frame */
	uint32_t skip;   /* bytes of its content in front of the range */
	uint8_t *data;
	size_t size;                /* bytes */
	struct read_pieces *pieces; /* data is their next; NULL: all must be at data */
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

struct frame_key segment_reader_key(const struct segment_reader *reader, uint32_t number)
{
	const struct segment_frame *frame = frame_at(reader, number);

	return (struct frame_key){
		.id = reader->segment->id,
		.index = reader->segment->index,
		.offset = frame->content_offset,
		.size = frame->content_size,
	};
}

int segment_reader_fill(struct segment_reader *reader, uint32_t number, size_t wanted,
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
	reader->last.key = segment_reader_key(reader, range->number);
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
	if (frame_parts_end(end) >= content_size)
		end = content_size; /* it decodes faster in one go */
	r = frame_decode_prefix(reader->decoder, stored, stored_size, reader->last.data,
				end, content_size, &got, err);
	if (r < 0)
		return r;
	reader->last.key = segment_reader_key(reader, range->number);
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
		(uint64_t)frame->stored_size * frame_parts_end(range->skip + range->size);
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
	const struct frame_key key = segment_reader_key(reader, range->number);
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
		r = segment_reader_fill(reader, range->number, wanted, frame, err);
		if (r < 0)
			return r;
	} else {
		reader->counters.hits++;
	}
	if (range->pieces && read_pieces_lend(range->pieces, reader->cache, frame,
					      range->skip, range->size))
		return 0;
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
	bool lend;
	int r;

	stored_stretch_find(reader->segment->table, range->number, range->skip,
			    range->size, STORED_RUN_SIZE, &stretch);
	lend = range->pieces && stored_stretch_can_lend(&stretch, range->pieces);
	if (!lend && !stored_stretch_is_plain(&stretch))
		to = stored_run_scratch(&reader->run);
	r = source_part(reader->source, reader->segment, stretch.start,
			stretch.end - stretch.start, to, err);
	if (r < 0)
		return r;
	if (lend)
		stored_stretch_lend(&stretch, range->pieces);
	else if (to != range->data)
		stored_stretch_copy(&stretch, to, range->data);
	reader->counters.stored_bytes += stretch.size;
	*n_out = stretch.size;
	return 0;
}

/* Reading. */

/* Where the range that begins at content @position lies in the current segment. */
static struct reading_range range_at(const struct segment_reader *reader,
				     uint32_t position,
				     const struct reading_range *wanted)
{
	struct reading_range range = *wanted;

	range.number = segment_table_find(reader->segment->table, position);
	range.skip = position - frame_at(reader, range.number)->content_offset;
	return range;
}

static void cut_to_frame(const struct segment_reader *reader, struct reading_range *range)
{
	size_t left = frame_at(reader, range->number)->content_size - range->skip;

	if (range->size > left)
		range->size = left;
}

static int read_some(struct segment_reader *reader, uint32_t position,
		     const struct reading_range *wanted, enum frame_want want,
		     size_t *n_out, struct error *err)
{
	struct reading_range range = range_at(reader, position, wanted);
	const struct segment_frame *frame = frame_at(reader, range.number);
	int r;

	if (frame->stored_size == 0) /* the source says what is lost */
		return source_frames(reader->source, reader->segment, range.number, 1,
				     range.data, err);
	if (reader->serves && stored_frame(frame)) {
		r = read_leaves(reader, &range, n_out, err);
		if (r != -EBADMSG || range.skip + range.size <= frame->content_size)
			return r;
		cut_to_frame(reader, &range); /* what is lost may be another frame */
		return read_leaves(reader, &range, n_out, err);
	}
	cut_to_frame(reader, &range);
	r = read_frame(reader, &range, wanted->size, want, err);
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
		part.pieces = NULL;
		if (read_leaves(reader, &part, &n, NULL) == 0)
			good += n;
		else
			bad = good + part.size;
	}
	return good;
}

/* The first frame of the range is lost, but not all of it need be. *err says what is. */
static int read_rest(struct segment_reader *reader, uint32_t position,
		     const struct reading_range *wanted, size_t *n_out)
{
	struct reading_range range = range_at(reader, position, wanted);
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
	if (frame->stored_size == 0 ||
	    frame_parts_end(range.skip + 1) >= frame->content_size)
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

static int read_range(struct segment_reader *reader, uint32_t position,
		      const struct reading_range *wanted, enum frame_want want,
		      size_t *n_out, struct error *err)
{
	int r;

	assert(wanted->size > 0 &&
	       wanted->size <= reader->segment->table->content_size - position);
	r = read_some(reader, position, wanted, want, n_out, err);
	if (r == -EBADMSG && exchange_segment(reader))
		r = read_some(reader, position, wanted, want, n_out, err);
	if (r == -EBADMSG && reader->serves)
		r = read_rest(reader, position, wanted, n_out);
	return r;
}

int segment_reader_read(struct segment_reader *reader, uint32_t position, uint8_t *data,
			size_t size, enum frame_want want, size_t *n_out,
			struct error *err)
{
	const struct reading_range wanted = { .data = data, .size = size };

	return read_range(reader, position, &wanted, want, n_out, err);
}

int segment_reader_lend(struct segment_reader *reader, uint32_t position,
			struct read_pieces *pieces, size_t size, enum frame_want want,
			size_t *n_out, struct error *err)
{
	const struct reading_range wanted = { .data = pieces->next,
					      .size = size,
					      .pieces = pieces };
	size_t before = pieces->size;
	int r;

	r = read_range(reader, position, &wanted, want, n_out, err);
	if (r == 0 && pieces->size == before)
		read_pieces_add(pieces, *n_out);
	return r;
}
