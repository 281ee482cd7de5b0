/* SPDX-License-Identifier: MIT */
/* Files that many threads read: right bytes whatever the range, nothing more lost than is
 * lost, nobody waiting for a medium that is not theirs.
 */
#include "archive/open_file.h"
#include "archive/read_pieces.h"
#include "archive/read_service.h"
#include "base/budget.h"
#include "base/log_subject.h"
#include "chunker/frame.h"
#include "support/segment_source.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	FRAME = FRAME_SIZE_MAX,
	PAGE = 4096,
	READERS = 3,
	THREADS = 8,
	COMPRESSED_FRAMES = PACK_FRAMES / 2,
	TEXT = 4 * FRAME,         /* begins two compressed frames ... */
	NOISE = TEXT + 2 * FRAME, /* ... and these two stored ones */
};

struct serving_test {
	struct segment_source source;
	struct budget *budget;
	struct read_service *service;
	struct open_file *files[PACK_COUNT];
};

static void start(struct serving_test *t, unsigned workers, uint64_t cache_size)
{
	const struct read_service_options options = {
		.source = &t->source.source,
		.budget = t->budget,
		.readers = READERS,
		.workers = workers,
		.cache_size = cache_size,
	};

	assert_int_equal(read_service_new(&options, &t->service, NULL), 0);
	for (unsigned i = 0; i < PACK_COUNT; i++) {
		struct manifest manifest = segment_source_file(&t->source, i);

		assert_int_equal(open_file_new(t->service, &manifest, &t->files[i], NULL),
				 0);
	}
}

static void stop(struct serving_test *t)
{
	for (unsigned i = 0; i < PACK_COUNT; i++) {
		open_file_free(t->files[i]);
		t->files[i] = NULL;
	}
	read_service_free(t->service);
	t->service = NULL;
}

static int setup(void **state)
{
	struct serving_test *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	segment_source_init(&t->source);
	assert_int_equal(budget_new(64 << 20, &t->budget), 0);
	start(t, 0, 32 << 20);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct serving_test *t = *state;

	stop(t);
	assert_int_equal(budget_available(t->budget), budget_size(t->budget));
	budget_free(t->budget);
	segment_source_done(&t->source);
	free(t);
	return 0;
}

static struct read_counters counters(struct serving_test *t)
{
	struct read_counters now;

	read_service_counters(t->service, &now);
	return now;
}

/* Read and compare; false if what came is not what the file has there. */
static bool reads_right(struct serving_test *t, unsigned file, uint64_t offset,
			size_t size, uint8_t *buf)
{
	size_t want = offset > PACK_SIZE          ? 0
		      : size > PACK_SIZE - offset ? (size_t)(PACK_SIZE - offset)
						  : size;
	size_t got = 0;

	return open_file_read(t->files[file], offset, buf, size, &got, NULL) == 0 &&
	       got == want &&
	       memcmp(buf, t->source.packs[file].bytes + offset, want) == 0;
}

/* Whether the pieces together are what the file has at @offset. */
static bool pieces_are_right(struct serving_test *t, unsigned file, uint64_t offset,
			     const struct read_pieces *pieces)
{
	const uint8_t *content = t->source.packs[file].bytes + offset;
	size_t size = 0;

	for (unsigned i = 0; i < pieces->count; i++) {
		const struct read_piece *piece = &pieces->pieces[i];

		if (memcmp(piece->data, content + size, piece->size) != 0)
			return false;
		size += piece->size;
	}
	return size == pieces->size;
}

/* As reads_right(), with what is lent; @buf has room for as much more as that takes. */
static bool lends_right(struct serving_test *t, unsigned file, uint64_t offset,
			size_t size, uint8_t *buf)
{
	size_t want = size > PACK_SIZE - offset ? (size_t)(PACK_SIZE - offset) : size;
	struct read_pieces pieces;
	bool right;

	read_pieces_init(&pieces, buf);
	right = open_file_lend(t->files[file], offset, &pieces, size, NULL) == 0 &&
		pieces.size == want && pieces_are_right(t, file, offset, &pieces);
	read_pieces_done(&pieces);
	return right;
}

static void check(struct serving_test *t, uint64_t offset, size_t size)
{
	uint8_t *buf = malloc(size);

	assert_non_null(buf);
	assert_true(reads_right(t, 0, offset, size, buf));
	free(buf);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Ranges of all sizes at all places; false if one came out wrong. */
static bool read_at_random(struct serving_test *t, uint32_t seed, unsigned count)
{
	uint8_t *buf = malloc((1 << 20) + READ_PIECES_SLACK);
	bool right = buf != NULL;

	for (unsigned i = 0; right && i < count; i++) {
		unsigned file = next_random(&seed) % PACK_COUNT;
		size_t size = next_random(&seed) % (1u << next_random(&seed) % 21) + 1;
		uint64_t offset = next_random(&seed) % PACK_SIZE;

		right = i % 2 ? lends_right(t, file, offset, size, buf)
			      : reads_right(t, file, offset, size, buf);
	}
	free(buf);
	return right;
}

static bool read_in_order(struct serving_test *t, unsigned file, size_t step)
{
	uint8_t *buf = malloc(step);
	bool right = buf != NULL;

	for (uint64_t at = 0; right && at < PACK_SIZE; at += step)
		right = reads_right(t, file, at, step, buf);
	free(buf);
	return right;
}

static void every_range_has_its_bytes(void **state)
{
	assert_true(read_at_random(*state, 1, 400));
}

static void what_is_lent_stays_while_others_read(void **state)
{
	struct serving_test *t = *state;
	const size_t size = 2 * FRAME;
	uint8_t *buf = malloc(size + READ_PIECES_SLACK);
	struct read_pieces pieces;
	unsigned frames = 0;

	stop(t);
	start(t, 2, 2 << 20);
	read_pieces_init(&pieces, buf);
	assert_int_equal(open_file_lend(t->files[0], TEXT, &pieces, size, NULL), 0);
	for (unsigned i = 0; i < pieces.count; i++)
		frames += pieces.pieces[i].frame != NULL;
	assert_int_equal(frames, 2);
	for (unsigned file = 0; file < PACK_COUNT; file++)
		assert_true(read_in_order(t, file, 100000));
	assert_int_equal(pieces.size, size);
	assert_true(pieces_are_right(t, 0, TEXT, &pieces));
	read_pieces_done(&pieces);
	free(buf);
}

static void stored_content_is_lent_where_it_was_read_to(void **state)
{
	struct serving_test *t = *state;
	uint8_t *buf = malloc(2 * FRAME + READ_PIECES_SLACK);
	const uint8_t *at = buf;
	struct read_pieces pieces;

	read_pieces_init(&pieces, buf);
	assert_int_equal(open_file_lend(t->files[0], NOISE, &pieces, 2 * FRAME, NULL), 0);
	assert_true(pieces_are_right(t, 0, NOISE, &pieces));
	assert_int_equal(pieces.count, 2 * FRAME / FRAME_BLOCK_SIZE);
	for (unsigned i = 0; i < pieces.count; i++) {
		assert_true(pieces.pieces[i].data >= at);
		at = pieces.pieces[i].data + pieces.pieces[i].size;
		assert_true(at <= buf + 2 * FRAME + READ_PIECES_SLACK);
	}
	read_pieces_done(&pieces);
	free(buf);
}

static void what_is_lent_stops_in_front_of_a_loss(void **state)
{
	struct serving_test *t = *state;
	struct memory_pack *pack = &t->source.packs[0];
	uint8_t *buf = malloc((1 << 20) + READ_PIECES_SLACK);
	struct read_pieces pieces;

	pack->lost = pack->frames[NOISE / FRAME].stored_offset +
		     (uint32_t)frame_stored_offset(FRAME, 20 * PAGE);
	pack->lost_end = pack->lost + (64 << 10);
	read_pieces_init(&pieces, buf);
	assert_int_equal(
		open_file_lend(t->files[0], NOISE - FRAME, &pieces, 1 << 20, NULL), 0);
	assert_int_equal(pieces.size, FRAME + 20 * PAGE);
	assert_true(pieces_are_right(t, 0, NOISE - FRAME, &pieces));
	read_pieces_done(&pieces);
	read_pieces_init(&pieces, buf);
	assert_int_equal(
		open_file_lend(t->files[0], NOISE + 20 * PAGE, &pieces, PAGE, NULL),
		-EBADMSG);
	read_pieces_done(&pieces);
	free(buf);
}

static void nothing_is_behind_the_end(void **state)
{
	struct serving_test *t = *state;
	size_t got = 1;
	uint8_t byte;

	check(t, PACK_SIZE - 10, 100);
	assert_int_equal(open_file_read(t->files[0], PACK_SIZE, &byte, 1, &got, NULL), 0);
	assert_int_equal(got, 0);
}

static void no_room_for_a_cache_is_no_error(void **state)
{
	struct serving_test *t = *state;

	stop(t);
	start(t, 2, 0);
	assert_true(read_at_random(t, 2, 100));
	assert_true(read_in_order(t, 0, 100000));
}

struct reading_thread {
	struct serving_test *test;
	pthread_t thread;
	unsigned number;
	bool right;
};

static void *read_everything(void *context)
{
	struct reading_thread *self = context;

	self->right = self->number % 2
			      ? read_in_order(self->test, self->number % PACK_COUNT,
					      self->number % 4 == 1 ? 128 << 10 : 70000)
			      : read_at_random(self->test, self->number + 10, 100);
	return NULL;
}

static void begin(struct serving_test *t, struct reading_thread *threads, unsigned count,
		  void *(*run)(void *))
{
	for (unsigned i = 0; i < count; i++) {
		threads[i] = (struct reading_thread){ .test = t, .number = i };
		assert_int_equal(
			pthread_create(&threads[i].thread, NULL, run, &threads[i]), 0);
	}
}

static void finish(struct reading_thread *threads, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
		assert_true(threads[i].right);
	}
}

static void many_threads_read_what_is_there(void **state)
{
	struct serving_test *t = *state;
	struct reading_thread threads[THREADS];

	stop(t);
	start(t, 3, 3 << 20); /* a part of all frames */
	begin(t, threads, THREADS, read_everything);
	finish(threads, THREADS);
	assert_true(counters(t).cached_bytes <= 3 << 20);
}

static void reading_in_order_decodes_each_frame_once(void **state)
{
	struct serving_test *t = *state;
	struct read_counters now;

	stop(t);
	start(t, 2, 32 << 20);
	assert_true(read_in_order(t, 0, 64 << 10));
	now = counters(t);
	assert_true(now.misses + now.ahead <= COMPRESSED_FRAMES);
	assert_int_equal(now.misses + now.hits, COMPRESSED_FRAMES * FRAME / (64 << 10));
	assert_int_equal(now.partial, 0);
	assert_int_equal(now.stored_bytes, PACK_SIZE / 2);
}

/* One worker, which tells before it decodes: so what is told is known. */
static void the_medium_is_told_what_is_not_in_the_cache(void **state)
{
	struct serving_test *t = *state;
	const struct segment_frame *frames = t->source.packs[0].frames;
	uint64_t told;

	stop(t);
	start(t, 1, 32 << 20);
	check(t, NOISE, PAGE);
	check(t, TEXT, PAGE); /* not in order */
	check(t, 0, 64 << 10);
	assert_int_equal(atomic_load(&t->source.expected), 0);
	check(t, 64 << 10, 64 << 10); /* frame 0 is there; four more in the next MiB */
	while ((told = atomic_load(&t->source.expected)) == 0)
		(void)sched_yield();
	assert_int_equal(told, frames[5].stored_offset - frames[1].stored_offset);

	check(t, NOISE + FRAME, PAGE); /* who seeks away wants no more of it */
	check(t, NOISE + 4 * FRAME, PAGE);
	stop(t); /* waits for the worker */
	assert_int_equal(atomic_load(&t->source.expected), told);
	start(t, 0, 0);
}

static void who_reads_ahead_says_for_which_file(void **state)
{
	struct serving_test *t = *state;

	log_subject_scope("a file");
	stop(t);
	start(t, 2, 32 << 20);
	assert_true(read_in_order(t, 0, 64 << 10));
	stop(t); /* waits for the workers */
	assert_int_equal(atomic_load(&t->source.unnamed), 0);
	start(t, 0, 0);
}

static void a_small_read_decodes_a_part_and_the_next_one_keeps_the_frame(void **state)
{
	struct serving_test *t = *state;

	check(t, TEXT + 20 * PAGE, PAGE);
	assert_int_equal(counters(t).partial, 1);
	assert_int_equal(counters(t).cached_bytes, 0);
	check(t, NOISE + FRAME, PAGE); /* the reader has another frame at hand */
	check(t, TEXT + FRAME + 40 * PAGE, PAGE);
	check(t, TEXT + 60 * PAGE, PAGE);
	assert_int_equal(counters(t).misses, 1);
	check(t, TEXT + 3 * PAGE, PAGE);
	assert_int_equal(counters(t).hits, 1);
}

static void a_small_read_of_stored_content_fetches_nothing_else(void **state)
{
	struct serving_test *t = *state;

	check(t, NOISE + 5 * PAGE, PAGE);
	assert_int_equal(atomic_load(&t->source.bytes_read), PAGE);
	assert_int_equal(counters(t).stored_bytes, PAGE);
}

/* Read @size bytes of the first file page by page: where bytes are lost. */
static void check_pages(struct serving_test *t, uint32_t offset, uint32_t size,
			uint32_t lost, uint32_t lost_end)
{
	const uint8_t *bytes = t->source.packs[0].bytes;
	uint8_t page[PAGE];

	for (uint32_t at = offset; at < offset + size; at += PAGE) {
		bool is_lost = at < lost_end && at + PAGE > lost;
		size_t got = 0;
		int r = open_file_read(t->files[0], at, page, PAGE, &got, NULL);

		assert_int_equal(r, is_lost ? -EBADMSG : 0);
		if (is_lost)
			continue;
		assert_int_equal(got, PAGE);
		assert_memory_equal(page, bytes + at, PAGE);
	}
}

static void a_lost_leaf_of_stored_content_costs_its_own_pages(void **state)
{
	struct serving_test *t = *state;
	struct memory_pack *pack = &t->source.packs[0];
	const struct segment_frame *frame = &pack->frames[NOISE / FRAME];
	const uint32_t lost = NOISE + 20 * PAGE + 100;
	uint8_t *buf = malloc(1 << 20);
	size_t got;

	pack->lost =
		frame->stored_offset + (uint32_t)frame_stored_offset(FRAME, lost - NOISE);
	pack->lost_end = pack->lost + (64 << 10);
	assert_int_equal(
		open_file_read(t->files[0], NOISE - FRAME, buf, 1 << 20, &got, NULL), 0);
	assert_in_range(got, FRAME + 20 * PAGE, FRAME + 20 * PAGE + 100);
	assert_memory_equal(buf, pack->bytes + NOISE - FRAME, got);
	check_pages(t, TEXT, 4 * FRAME, lost, lost + (64 << 10));
	free(buf);
}

static void a_lost_leaf_of_a_compressed_frame_leaves_what_is_in_front(void **state)
{
	struct serving_test *t = *state;
	struct memory_pack *pack = &t->source.packs[0];
	const struct segment_frame *frame = &pack->frames[TEXT / FRAME];

	pack->lost = frame->stored_offset + frame->stored_size - 1000;
	pack->lost_end = pack->lost + 10;
	for (unsigned i = 0; i < 2; i++) /* in order, and at random */
		check_pages(t, TEXT + i * PAGE, 2 * FRAME - i * PAGE,
			    TEXT + FRAME - FRAME_PART_SIZE, TEXT + FRAME);
	check_pages(t, 0, TEXT, 0, 0);
}

static void a_frame_that_is_not_what_was_committed_is_an_error(void **state)
{
	struct serving_test *t = *state;
	uint8_t *buf = malloc(FRAME);
	size_t got;

	t->source.packs[0].hashes[TEXT / FRAME].bytes[0] ^= 1;
	assert_int_equal(open_file_read(t->files[0], TEXT, buf, FRAME, &got, NULL),
			 -EBADMSG);
	check(t, TEXT + FRAME, FRAME);
	free(buf);
}

static void *read_hanging(void *context)
{
	struct reading_thread *self = context;
	uint8_t byte;

	self->right =
		reads_right(self->test, 0, (uint64_t)self->number * FRAME, 1, &byte);
	return NULL;
}

static void a_medium_that_hangs_keeps_nobody_else_waiting(void **state)
{
	struct serving_test *t = *state;
	struct reading_thread threads[THREADS];

	stop(t);
	start(t, 2, 32 << 20);
	segment_source_hang(&t->source, 0);
	begin(t, threads, THREADS, read_hanging);
	segment_source_await(&t->source, READERS);
	for (unsigned file = 1; file < PACK_COUNT; file++)
		assert_true(read_in_order(t, file, 100000));
	segment_source_hang(&t->source, -1);
	finish(threads, THREADS);
}

static void closing_a_file_that_is_read_ahead_is_safe(void **state)
{
	struct serving_test *t = *state;
	uint8_t *buf = malloc(FRAME);

	stop(t);
	for (unsigned round = 0; round < 20; round++) {
		start(t, 2, 32 << 20);
		for (unsigned i = 0; i < 3; i++)
			assert_true(reads_right(t, 0, (uint64_t)i * FRAME, FRAME, buf));
		stop(t);
	}
	start(t, 0, 0);
	free(buf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_range_has_its_bytes),
		TEST(what_is_lent_stays_while_others_read),
		TEST(stored_content_is_lent_where_it_was_read_to),
		TEST(what_is_lent_stops_in_front_of_a_loss),
		TEST(nothing_is_behind_the_end),
		TEST(no_room_for_a_cache_is_no_error),
		TEST(many_threads_read_what_is_there),
		TEST(reading_in_order_decodes_each_frame_once),
		TEST(the_medium_is_told_what_is_not_in_the_cache),
		TEST(who_reads_ahead_says_for_which_file),
		TEST(a_small_read_decodes_a_part_and_the_next_one_keeps_the_frame),
		TEST(a_small_read_of_stored_content_fetches_nothing_else),
		TEST(a_lost_leaf_of_stored_content_costs_its_own_pages),
		TEST(a_lost_leaf_of_a_compressed_frame_leaves_what_is_in_front),
		TEST(a_frame_that_is_not_what_was_committed_is_an_error),
		TEST(a_medium_that_hangs_keeps_nobody_else_waiting),
		TEST(closing_a_file_that_is_read_ahead_is_safe),
	};

	return cmocka_run_group_tests_name("open_file", tests, NULL, NULL);
}
