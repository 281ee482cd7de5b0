/* SPDX-License-Identifier: MIT */
/* One content, two places that hold it in frames of different sizes: which place the bytes
 * come from must not show.
 */
#include "archive/content.h"
#include "archive/frame_cache.h"
#include "archive/source.h"
#include "base/error.h"
#include "chunker/frame.h"
#include "merkle/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	SIZE = 1 << 20,
	FRAMES_MAX = SIZE / SEGMENT_FRAME_SIZE_MIN,
	ALL_SOUND = UINT32_MAX,
};

/* A segment somewhere. */
struct place {
	struct segment_ref ref;
	struct segment_table table;
	struct segment_frame frames[FRAMES_MAX];
	struct hash hashes[FRAMES_MAX];
	uint8_t *stored;
	uint32_t lost; /* the first frame that can't be read; ALL_SOUND */
};

struct reading_test {
	struct source source;
	uint8_t *bytes; /* of the content */
	struct place places[2];
	struct place other; /* of another content */
	unsigned current;   /* place that a look-up gives */
	bool exchange;      /* a place that fails is not given again */
	unsigned failures;
	struct content content, other_content;
	struct frame_cache *cache;
	struct reader *reader;
};

static int fake_segment(struct source *source, const struct hash *id, uint64_t index,
			const struct segment_ref **segment_out, struct error *err)
{
	struct reading_test *t = (struct reading_test *)source;

	(void)index;
	(void)err;
	*segment_out = hash_equal(id, &t->other.ref.id) ? &t->other.ref
							: &t->places[t->current].ref;
	return 0;
}

static void fake_unref(struct source *source, const struct segment_ref *segment)
{
	(void)source;
	(void)segment;
}

static int fake_frames(struct source *source, const struct segment_ref *segment,
		       uint32_t first, uint32_t count, uint8_t *data, struct error *err)
{
	struct reading_test *t = (struct reading_test *)source;
	const struct place *place = (const struct place *)(const void *)segment;
	const struct segment_frame *last = &place->frames[first + count - 1];
	uint32_t start = place->frames[first].stored_offset;

	assert_true(first + count <= place->table.frame_count);
	if (first + count > place->lost) {
		t->failures++;
		if (t->exchange)
			t->current = 1;
		return error_set(err, -EBADMSG, "frames are lost");
	}
	memcpy(data, place->stored + start,
	       last->stored_offset + last->stored_size - start);
	return 0;
}

static const struct source_ops fake_ops = {
	.segment = fake_segment,
	.segment_unref = fake_unref,
	.frames = fake_frames,
};

/* Store @bytes in frames of @frame_size. */
static void make_place(struct place *place, const uint8_t *bytes, uint32_t frame_size)
{
	uint32_t stored = 0;

	place->table.frames = place->frames;
	place->table.hashes = place->hashes;
	place->table.frame_count = SIZE / frame_size;
	place->table.content_size = SIZE;
	place->stored = malloc(2 * SIZE);
	place->lost = ALL_SOUND;
	assert_non_null(place->stored);
	for (uint32_t i = 0; i < place->table.frame_count; i++) {
		const uint8_t *content = bytes + (size_t)i * frame_size;

		place->frames[i] = (struct segment_frame){
			.content_offset = i * frame_size,
			.content_size = frame_size,
			.stored_offset = stored,
			.stored_size = (uint32_t)frame_bound(frame_size),
		};
		frame_store(content, frame_size, place->stored + stored);
		tree_subtree_cv(content, frame_size, i * frame_size / TREE_CHUNK_SIZE,
				&place->hashes[i]);
		stored += place->frames[i].stored_size;
	}
	place->table.stored_size = stored;
	place->ref.table = &place->table;
	place->ref.info.kind = SEGMENT_PIECE;
	segment_id(SEGMENT_PIECE, place->frames, place->hashes, place->table.frame_count,
		   &place->ref.id);
}

static void make_content(struct content *content, struct place *place)
{
	*content = (struct content){
		.kind = CONTENT_PIECES,
		.size = SIZE,
		.ids = &place->ref.id,
		.id_count = 1,
	};
}

static uint8_t *noise(uint32_t seed)
{
	uint8_t *bytes = malloc(SIZE);

	assert_non_null(bytes);
	for (size_t i = 0; i < SIZE; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(seed >> 24);
	}
	return bytes;
}

static int setup(void **state)
{
	struct reading_test *t = calloc(1, sizeof(*t));
	uint8_t *other = noise(2);

	assert_non_null(t);
	t->source.ops = &fake_ops;
	t->bytes = noise(1);
	make_place(&t->places[0], t->bytes, 64 << 10);
	make_place(&t->places[1], t->bytes, 256 << 10);
	make_place(&t->other, other, 256 << 10);
	free(other);
	assert_true(hash_equal(&t->places[0].ref.id, &t->places[1].ref.id));
	make_content(&t->content, &t->places[0]);
	make_content(&t->other_content, &t->other);
	assert_int_equal(frame_cache_new(NULL, 8 * FRAME_SIZE_MAX, &t->cache, NULL), 0);
	assert_int_equal(reader_new(&t->source, t->cache, &t->reader, NULL), 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct reading_test *t = *state;

	reader_free(t->reader);
	frame_cache_free(t->cache);
	for (unsigned i = 0; i < 2; i++)
		free(t->places[i].stored);
	free(t->other.stored);
	free(t->bytes);
	free(t);
	return 0;
}

static void check(struct reading_test *t, uint32_t offset, uint32_t size)
{
	uint8_t *out = malloc(size);

	assert_non_null(out);
	assert_int_equal(content_read(&t->content, t->reader, offset, out, size, NULL),
			 0);
	assert_memory_equal(out, t->bytes + offset, size);
	free(out);
}

static void frames_of_two_places_are_not_mixed_up(void **state)
{
	struct reading_test *t = *state;
	uint8_t byte;

	for (uint32_t offset = 0; offset < SIZE / 4; offset += 64 << 10)
		check(t, offset, 4096);
	assert_int_equal(content_read(&t->other_content, t->reader, 0, &byte, 1, NULL),
			 0);
	t->current = 1;
	for (uint32_t offset = 0; offset < SIZE; offset += 60 << 10)
		check(t, offset, 4096);
}

static void a_place_that_fails_gives_way_to_one_in_another_form(void **state)
{
	struct reading_test *t = *state;

	t->places[0].lost = 5;
	t->exchange = true;
	check(t, 0, SIZE);
	assert_int_equal(t->current, 1);
}

static void a_loss_is_reported_after_one_look_for_another_place(void **state)
{
	struct reading_test *t = *state;
	uint8_t out[4096];

	t->places[0].lost = 5;
	check(t, 0, 5 << 16);
	t->failures = 0;
	assert_int_equal(
		content_read(&t->content, t->reader, 5 << 16, out, sizeof(out), NULL),
		-EBADMSG);
	assert_true(t->failures <= 2);
	check(t, 0, 5 << 16);
}

static void both_places_lost_is_an_error(void **state)
{
	struct reading_test *t = *state;
	uint8_t *out = malloc(SIZE);

	t->places[0].lost = 5;
	t->places[1].lost = 1;
	t->exchange = true;
	assert_int_equal(content_read(&t->content, t->reader, 0, out, SIZE, NULL),
			 -EBADMSG);
	free(out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_of_two_places_are_not_mixed_up),
		TEST(a_place_that_fails_gives_way_to_one_in_another_form),
		TEST(a_loss_is_reported_after_one_look_for_another_place),
		TEST(both_places_lost_is_an_error),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
