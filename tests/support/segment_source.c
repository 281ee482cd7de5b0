/* SPDX-License-Identifier: MIT */
#include "support/segment_source.h"

#include "base/error.h"
#include "base/log_subject.h"
#include "chunker/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRAME_CONTENT = PACK_SIZE / PACK_FRAMES };

static struct segment_source *source_of(struct source *source)
{
	return (struct segment_source *)source;
}

static struct memory_pack *pack_of(const struct segment_ref *ref)
{
	return (struct memory_pack *)(uintptr_t)ref;
}

static void wait_for_medium(struct segment_source *source, const struct memory_pack *pack)
{
	mutex_scope(&source->mutex);
	if (source->hanging != pack - source->packs)
		return;
	source->waiting++;
	cond_broadcast(&source->changed);
	while (source->hanging == pack - source->packs)
		cond_wait(&source->changed, &source->mutex);
	source->waiting--;
}

static int find_segment(struct source *base, const struct hash *id, uint64_t index,
			const struct segment_ref **segment_out, struct error *err)
{
	struct segment_source *source = source_of(base);

	(void)index;
	for (unsigned i = 0; i < PACK_COUNT; i++) {
		if (!hash_equal(&source->packs[i].ref.id, id))
			continue;
		*segment_out = &source->packs[i].ref;
		return 0;
	}
	return error_set(err, -ENOENT, "no such segment");
}

static void unref_segment(struct source *base, const struct segment_ref *segment)
{
	(void)base;
	(void)segment;
}

static int read_part(struct source *base, const struct segment_ref *segment,
		     uint32_t offset, uint32_t size, uint8_t *data, struct error *err)
{
	struct segment_source *source = source_of(base);
	struct memory_pack *pack = pack_of(segment);

	wait_for_medium(source, pack);
	atomic_fetch_add(&source->bytes_read, size);
	if (!log_subject())
		atomic_fetch_add(&source->unnamed, 1);
	if (offset < pack->lost_end && offset + size > pack->lost)
		return error_set(err, -EBADMSG, "lost");
	memcpy(data, pack->stored + offset, size);
	return 0;
}

static int read_frames(struct source *base, const struct segment_ref *segment,
		       uint32_t first, uint32_t count, uint8_t *data, struct error *err)
{
	const struct segment_frame *begin = &segment->table->frames[first];
	const struct segment_frame *last = &begin[count - 1];

	return read_part(base, segment, begin->stored_offset,
			 last->stored_offset + last->stored_size - begin->stored_offset,
			 data, err);
}

static void expect_part(struct source *base, const struct segment_ref *segment,
			uint32_t offset, uint32_t size)
{
	struct segment_source *source = source_of(base);

	(void)segment;
	(void)offset;
	atomic_fetch_add(&source->expected, size);
}

static const struct source_ops memory_ops = {
	.segment = find_segment,
	.segment_unref = unref_segment,
	.frames = read_frames,
	.part = read_part,
	.expect = expect_part,
};

/* Noise does not compress; of words, about an eighth is left. */
static void fill(uint8_t *bytes, uint32_t seed, bool noise)
{
	for (size_t i = 0; i < FRAME_CONTENT; i++) {
		if (noise || i % 16 == 0)
			seed = seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(seed >> 24) ^ (noise ? 0 : (uint8_t)(i % 16));
	}
}

static void make_pack(struct memory_pack *pack, unsigned number,
		      struct frame_encoder *encoder)
{
	uint32_t at = 0;

	pack->bytes = malloc(PACK_SIZE);
	pack->stored = malloc(PACK_FRAMES * FRAME_STORED_MAX);
	assert_non_null(pack->bytes);
	assert_non_null(pack->stored);
	for (uint32_t i = 0; i < PACK_FRAMES; i++) {
		uint8_t *content = pack->bytes + (size_t)i * FRAME_CONTENT;
		bool stored;
		size_t size;

		fill(content, number * PACK_FRAMES + i, i % 4 >= 2);
		assert_int_equal(frame_encode(encoder, content, FRAME_CONTENT,
					      pack->stored + at, FRAME_STORED_MAX, &size,
					      &stored, NULL),
				 0);
		assert_int_equal(stored, i % 4 >= 2);
		pack->frames[i] =
			(struct segment_frame){ i * FRAME_CONTENT, FRAME_CONTENT, at,
						(uint32_t)size };
		hash_bytes(content, FRAME_CONTENT, &pack->hashes[i]);
		at += (uint32_t)size;
	}
	pack->table = (struct segment_table){ .frame_count = PACK_FRAMES,
					      .content_size = PACK_SIZE,
					      .stored_size = at,
					      .frames = pack->frames,
					      .hashes = pack->hashes };
	pack->ref.table = &pack->table;
	pack->ref.info.kind = SEGMENT_PACK;
	pack->ref.medium = number;
	segment_id(SEGMENT_PACK, pack->frames, pack->hashes, PACK_FRAMES, &pack->ref.id);
}

void segment_source_init(struct segment_source *source)
{
	autoptr(frame_encoder) encoder = NULL;

	*source = (struct segment_source){ .source = { &memory_ops }, .hanging = -1 };
	mutex_init(&source->mutex);
	cond_init(&source->changed);
	assert_int_equal(frame_encoder_new(3, &encoder, NULL), 0);
	for (unsigned i = 0; i < PACK_COUNT; i++)
		make_pack(&source->packs[i], i, encoder);
}

void segment_source_done(struct segment_source *source)
{
	for (unsigned i = 0; i < PACK_COUNT; i++) {
		free(source->packs[i].bytes);
		free(source->packs[i].stored);
	}
	cond_done(&source->changed);
	mutex_done(&source->mutex);
}

struct manifest segment_source_file(const struct segment_source *source, unsigned pack)
{
	return (struct manifest){
		.type = ENTRY_FILE,
		.size = PACK_SIZE,
		.pack = { .segment = source->packs[pack].ref.id },
	};
}

void segment_source_hang(struct segment_source *source, int pack)
{
	mutex_scope(&source->mutex);
	source->hanging = pack;
	cond_broadcast(&source->changed);
}

void segment_source_await(struct segment_source *source, unsigned count)
{
	mutex_scope(&source->mutex);
	while (source->waiting < count)
		cond_wait(&source->changed, &source->mutex);
}
