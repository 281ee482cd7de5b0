/* SPDX-License-Identifier: MIT */
/* The identity of a segment is known before its first byte is written, since the header
 * carries it: all frames are hashed first, then they are encoded and appended.
 *
 * What this commit has written is in the catalog only once a record lists it. Until then it
 * is remembered here, in a direct-mapped table whose entries push each other out: a segment
 * that is pushed out too early is stored twice, which costs space and nothing else. The
 * same table remembers what the catalog has said.
 */
#include "archive/segment_writer.h"

#include "archive/appender.h"
#include "archive/commit_session.h"
#include "archive/copies.h"
#include "archive/frame_ring.h"
#include "base/error.h"
#include "catalog/placement.h"
#include "chunker/frame.h"
#include "chunker/segment_table.h"
#include "volume/atom.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	KNOWN_SLOTS = 16384, /* 640 KiB */
};

struct known_segment {
	struct hash id;
	uint64_t index;
};

struct segment_writer {
	struct commit_session *session;
	struct appender *appender; /* NULL until something is written */
	struct segment_info info;  /* of the open segment */
	uint32_t next_frame;       /* < info.frame_count while it is open */
	struct segment_place place;
	struct segment_frame frames[SEGMENT_FRAME_MAX];
	struct hash hashes[SEGMENT_FRAME_MAX];
	struct known_segment known[KNOWN_SLOTS];
};

int segment_writer_new(struct commit_session *session, uint32_t frame_size,
		       struct segment_writer **writer_out, struct error *err)
{
	struct segment_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return error_set(err, -ENOMEM, "no memory for a segment");
	writer->session = session;
	writer->info.frame_size = frame_size;
	*writer_out = writer;
	return 0;
}

void segment_writer_free(struct segment_writer *writer)
{
	free(writer);
}

bool segment_writer_is_open(const struct segment_writer *writer)
{
	return writer->next_frame < writer->info.frame_count;
}

static struct known_segment *known_slot(struct segment_writer *writer,
					const struct hash *id)
{
	uint16_t start;

	memcpy(&start, id->bytes, sizeof(start));
	return &writer->known[start % KNOWN_SLOTS];
}

static bool is_known(struct segment_writer *writer, const struct hash *id, uint64_t index)
{
	const struct known_segment *slot = known_slot(writer, id);

	return hash_equal(&slot->id, id) && slot->index == index;
}

static void remember(struct segment_writer *writer, const struct hash *id, uint64_t index)
{
	*known_slot(writer, id) = (struct known_segment){ .id = *id, .index = index };
}

/* Whether what the catalog knows of the segment is enough: it is in as many places as it is
 * to be (archive/copies.h), and can be read. */
int segment_writer_usable(struct segment_writer *writer, const struct hash *id,
			  uint64_t index, bool *usable_out, struct error *err)
{
	struct catalog *catalog = commit_session_catalog(writer->session);
	bool usable = is_known(writer, id, index);
	struct copy_set set = { 0 };
	struct segment_place place;

	for (unsigned nth = 0; !usable; nth++) {
		int r = catalog_find_segment(catalog, id, index, nth, &place, err);

		if (r == 0)
			r = commit_session_count_copy(writer->session, &place.volume,
						      place.log_offset, place.stored_size,
						      &set, &usable, err);
		if (r < 0)
			return r;
		if (r == CATALOG_END)
			break;
	}
	if (usable)
		remember(writer, id, index);
	*usable_out = usable;
	return 0;
}

/* Take sizes and hashes of the frames; the segment's identity. */
static void describe(struct segment_writer *writer, enum segment_kind kind,
		     uint64_t index, const struct frame_slot *slots)
{
	struct segment_info *info = &writer->info;
	uint32_t count = 0;
	uint32_t content_size = 0;

	for (const struct frame_slot *slot = slots; slot; slot = slot->next) {
		assert(count < SEGMENT_FRAME_MAX);
		writer->frames[count].content_size = slot->content_size;
		writer->hashes[count++] = slot->hash;
		content_size += slot->content_size;
	}
	*info = (struct segment_info){
		.kind = kind,
		.codec = SEGMENT_CODEC_ZSTD,
		.index = index,
		.content_size = content_size,
		.frame_count = count,
		.frame_size = info->frame_size,
	};
	segment_id(kind, writer->frames, writer->hashes, count, &info->id);
}

/* No more than this will be appended. */
static uint64_t size_bound(const struct segment_writer *writer)
{
	uint32_t count = writer->info.frame_count;
	uint64_t size = segment_header_size(0) + segment_tail_size(count);

	for (uint32_t i = 0; i < count; i++)
		size += frame_bound(writer->frames[i].content_size);
	return size;
}

static int append_atom(struct segment_writer *writer, const struct atom *atom,
		       struct error *err)
{
	int r;

	r = appender_append(writer->appender, atom, err);
	if (r < 0)
		return r;
	writer->place.stored_size += (uint32_t)atom->size;
	return 0;
}

static int append(struct segment_writer *writer, const void *data, size_t size,
		  struct error *err)
{
	struct atom atom = atom_of(data, size);

	return append_atom(writer, &atom, err);
}

static int write_header(struct segment_writer *writer, struct error *err)
{
	uint8_t header[SEGMENT_HEADER_SIZE];

	assert(segment_header_size(0) == sizeof(header));
	segment_header_encode(&writer->info, header);
	writer->place = (struct segment_place){
		.id = writer->info.id,
		.index = writer->info.index,
		.content_size = writer->info.content_size,
		.frame_count = writer->info.frame_count,
		.kind = (uint8_t)writer->info.kind,
	};
	return append(writer, header, sizeof(header), err);
}

int segment_writer_begin(struct segment_writer *writer, enum segment_kind kind,
			 uint64_t index, const struct frame_slot *slots,
			 struct hash *id_out, struct error *err)
{
	bool usable;
	int r;

	assert(!segment_writer_is_open(writer));
	describe(writer, kind, index, slots);
	*id_out = writer->info.id;
	writer->next_frame = writer->info.frame_count;
	r = segment_writer_usable(writer, &writer->info.id, index, &usable, err);
	if (r < 0)
		return r;
	if (usable)
		return SEGMENT_KNOWN;

	r = commit_session_appender(writer->session, &writer->appender, err);
	if (r < 0)
		return r;
	r = appender_begin(writer->appender, size_bound(writer), err);
	if (r < 0)
		return r;
	r = write_header(writer, err);
	if (r < 0)
		return r;
	writer->next_frame = 0;
	return 0;
}

/* The two tables, and the place of the whole. */
static int complete(struct segment_writer *writer, struct error *err)
{
	uint32_t count = writer->info.frame_count;
	size_t size = segment_tail_size(count);
	autofree uint8_t *tail = malloc(size);
	int r;

	if (!tail)
		return error_set(err, -ENOMEM, "no memory for a segment's tables");
	segment_tail_encode(&writer->info, writer->frames, writer->hashes, tail);
	/* As one atom, so that whoever reads them needs one extent. */
	r = append(writer, tail, size, err);
	if (r < 0)
		return r;
	r = appender_place_segment(writer->appender, &writer->place, err);
	if (r < 0)
		return r;
	remember(writer, &writer->info.id, writer->info.index);
	return 0;
}

int segment_writer_frame(struct segment_writer *writer, const struct frame_slot *slot,
			 struct error *err)
{
	struct atom atom = { .count = 0 };
	int r;

	assert(segment_writer_is_open(writer));
	assert(slot->content_size == writer->frames[writer->next_frame].content_size);
	frame_slot_atom(slot, &atom);
	r = append_atom(writer, &atom, err);
	if (r < 0)
		return r;
	writer->frames[writer->next_frame].stored_size = slot->stored_size;
	if (++writer->next_frame < writer->info.frame_count)
		return 0;
	return complete(writer, err);
}
