/* SPDX-License-Identifier: MIT */
/* One pack is open, and one may be closed: its last frames are still being encoded while the
 * next one is being filled. A frame is sealed (hashed and encoded by a worker) as soon as
 * the next one is begun, so most of a pack is encoded when it is closed.
 *
 * Packs are kept far below the size of a segment, by content, by number of contents and by
 * frames: what is in a pack is what waits for it, and slots that it holds are slots that
 * nobody else can read into.
 *
 * Each pack has a small table from hashes to its contents, for files that are there twice.
 */
#include "archive/pack_writer.h"

#include "archive/change.h"
#include "archive/frame_ring.h"
#include "archive/segment_writer.h"
#include "base/error.h"
#include "chunker/packer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PACK_CONTENT_MAX = 8 * 1024 * 1024, /* bytes */
	PACK_CONTENTS_MAX = 4096,
	PACK_BUFFERS_MAX = 10 * 1024 * 1024, /* bytes of slots, filled or not */
	TABLE_SIZE = 2 * PACK_CONTENTS_MAX,
};

struct pack {
	struct packer packer;
	struct frame_slot *slots; /* owned list, in order */
	struct frame_slot *last;  /* not sealed while the pack is open */
	unsigned slot_count;
	struct pack_content *contents; /* owned; equal ones too */
	size_t count;
	size_t capacity;
	uint16_t table[TABLE_SIZE]; /* number of a content + 1; 0: free */
};

struct pack_writer {
	struct frame_ring *ring;
	struct segment_writer *segments;
	uint32_t frame_size;
	struct pack *open;   /* owned */
	struct pack *closed; /* owned; NULL: none */
};

static void pack_free(struct pack *pack, struct frame_ring *ring)
{
	while (pack && pack->slots) {
		struct frame_slot *slot = pack->slots;

		pack->slots = slot->next;
		(void)frame_slot_wait(slot, NULL); /* nobody wants the result */
		frame_ring_release(ring, slot);
	}
	if (pack)
		free(pack->contents);
	free(pack);
}

int pack_writer_new(struct frame_ring *ring, struct segment_writer *segments,
		    uint32_t frame_size, struct pack_writer **writer_out,
		    struct error *err)
{
	struct pack_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return error_set(err, -ENOMEM, "no memory for packs");
	writer->ring = ring;
	writer->segments = segments;
	writer->frame_size = frame_size;
	*writer_out = writer;
	return 0;
}

void pack_writer_free(struct pack_writer *writer)
{
	if (!writer)
		return;
	pack_free(writer->open, writer->ring);
	pack_free(writer->closed, writer->ring);
	free(writer);
}

/* Where @hash is in the table, or the free entry where it would be. */
static uint16_t *table_entry(struct pack *pack, const struct hash *hash)
{
	uint16_t at;

	memcpy(&at, hash->bytes, sizeof(at));
	for (at %= TABLE_SIZE;; at = (uint16_t)((at + 1) % TABLE_SIZE)) {
		uint16_t number = pack->table[at];

		if (number == 0 || hash_equal(pack->contents[number - 1].hash, hash))
			return &pack->table[at];
	}
}

static int add_content(struct pack *pack, const struct pack_content *content,
		       struct error *err)
{
	if (pack->count == pack->capacity) {
		size_t capacity = pack->capacity ? pack->capacity * 2 : 64;
		void *contents = reallocarray(pack->contents, capacity, sizeof(*content));

		if (!contents)
			return error_set(err, -ENOMEM, "no memory for a pack");
		pack->contents = contents;
		pack->capacity = capacity;
	}
	pack->contents[pack->count++] = *content;
	content->change->waiting++;
	return 0;
}

static int share(struct pack *pack, const struct pack_content *content, bool *shared_out,
		 struct error *err)
{
	const struct pack_content *first;
	uint16_t number;
	int r;

	number = pack ? *table_entry(pack, content->hash) : 0;
	if (number == 0)
		return 0;
	first = &pack->contents[number - 1];
	if (first->size != content->size)
		return 0;
	content->place->offset = first->place->offset;
	r = add_content(pack, content, err);
	if (r < 0)
		return r;
	*shared_out = true;
	return 0;
}

int pack_writer_share(struct pack_writer *writer, const struct pack_content *content,
		      bool *shared_out, struct error *err)
{
	int r;

	*shared_out = false;
	r = share(writer->open, content, shared_out, err);
	if (r < 0 || *shared_out)
		return r;
	return share(writer->closed, content, shared_out, err);
}

/* Write all frames of @pack as the segment that has begun. */
static int write_frames(struct pack_writer *writer, struct pack *pack, struct error *err)
{
	for (const struct frame_slot *slot = pack->slots; slot; slot = slot->next) {
		int r = segment_writer_frame(writer->segments, slot, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int write_pack(struct pack_writer *writer, struct pack *pack, struct error *err)
{
	struct hash id;
	int r;

	for (struct frame_slot *slot = pack->slots; slot; slot = slot->next) {
		r = frame_slot_wait(slot, err);
		if (r < 0)
			return r;
	}
	r = segment_writer_begin(writer->segments, SEGMENT_PACK, 0, pack->slots, &id,
				 err);
	if (r < 0)
		return r;
	if (r != SEGMENT_KNOWN) {
		r = write_frames(writer, pack, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < pack->count; i++) {
		pack->contents[i].place->segment = id;
		pack->contents[i].change->waiting--;
	}
	return 0;
}

static int write_closed(struct pack_writer *writer, struct error *err)
{
	struct pack *pack = take_ptr(writer->closed);
	int r;

	r = write_pack(writer, pack, err);
	pack_free(pack, writer->ring);
	return r;
}

/* Close the open pack; an earlier one that is closed is written first. */
static int close_open(struct pack_writer *writer, struct error *err)
{
	int r;

	if (writer->closed) {
		r = write_closed(writer, err);
		if (r < 0)
			return r;
	}
	frame_slot_seal(writer->open->last);
	writer->closed = take_ptr(writer->open);
	return 0;
}

int pack_writer_step(struct pack_writer *writer, struct error *err)
{
	int r;

	if (!writer->closed && !writer->open)
		return 0;
	if (!writer->closed) {
		r = close_open(writer, err);
		if (r < 0)
			return r;
	}
	r = write_closed(writer, err);
	return r < 0 ? r : 1;
}

static int open_pack(struct pack_writer *writer, struct error *err)
{
	if (writer->open)
		return 0;
	writer->open = calloc(1, sizeof(*writer->open));
	if (!writer->open)
		return error_set(err, -ENOMEM, "no memory for a pack");
	packer_init(&writer->open->packer, writer->frame_size);
	return 0;
}

/* Plan @content, which takes up to @slots new ones, in the open pack; in a new one if it does
 * not fit. */
static int plan(struct pack_writer *writer, const struct pack_content *content,
		unsigned slots, struct error *err)
{
	const unsigned slots_max = PACK_BUFFERS_MAX / writer->frame_size;
	struct pack *pack = writer->open;
	uint16_t *entry;
	int r;

	if (pack && (pack->count >= PACK_CONTENTS_MAX ||
		     content->size > PACK_CONTENT_MAX - pack->packer.content_size ||
		     pack->slot_count + slots > slots_max)) {
		r = close_open(writer, err);
		if (r < 0)
			return r;
	}
	r = open_pack(writer, err);
	if (r < 0)
		return r;
	pack = writer->open;
	if (!packer_add(&pack->packer, content->size, &content->place->offset))
		return error_set(err, -EINVAL, "a pack takes no %u bytes", content->size);
	r = add_content(pack, content, err);
	if (r < 0)
		return r;
	entry = table_entry(pack, content->hash);
	if (*entry == 0 && pack->count <= PACK_CONTENTS_MAX)
		*entry = (uint16_t)pack->count;
	return 0;
}

static void push_slot(struct pack *pack, struct frame_slot *slot)
{
	if (pack->last) {
		frame_slot_seal(pack->last);
		pack->last->next = slot;
	} else {
		pack->slots = slot;
	}
	slot->next = NULL;
	pack->last = slot;
	pack->slot_count++;
}

/* Have a free slot. Packs hold all that nobody else has (the ring's user sees to that). */
static int need_slot(struct pack_writer *writer, struct error *err)
{
	while (frame_ring_available(writer->ring) == 0) {
		int r = pack_writer_step(writer, err);

		if (r < 0)
			return r;
		assert(r > 0);
	}
	return 0;
}

int pack_writer_add(struct pack_writer *writer, const struct pack_content *content,
		    const uint8_t *data, struct error *err)
{
	struct pack *pack;
	struct frame_slot *slot;
	int r;

	assert(content->size >= 1 && content->size <= writer->frame_size);
	r = need_slot(writer, err);
	if (r < 0)
		return r;
	r = plan(writer, content, 1, err);
	if (r < 0)
		return r;

	pack = writer->open;
	if (pack->packer.frame_count > pack->slot_count) {
		/* plan() may have written a pack, but never takes a slot. */
		push_slot(pack, frame_ring_take(writer->ring));
	}
	slot = pack->last;
	memcpy(slot->data + slot->content_size, data, content->size);
	slot->content_size += content->size;
	return 0;
}

int pack_writer_adopt(struct pack_writer *writer, const struct pack_content *content,
		      struct frame_slot *slots, struct error *err)
{
	unsigned count = 0;
	int r;

	for (const struct frame_slot *slot = slots; slot; slot = slot->next)
		count++;
	r = plan(writer, content, count, err);
	while (slots) {
		struct frame_slot *slot = slots;

		slots = slot->next;
		if (r < 0)
			frame_ring_release(writer->ring, slot);
		else
			push_slot(writer->open, slot);
	}
	assert(r < 0 || writer->open->packer.frame_count == writer->open->slot_count);
	return r;
}
