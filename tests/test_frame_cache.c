/* SPDX-License-Identifier: MIT */
#include "archive/frame_cache.h"
#include "base/budget.h"
#include "chunker/frame.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	SIZE = FRAME_SIZE_MAX,
	ROOM = 32, /* frames */
	THREADS = 8,
	SHARED_KEYS = 64,
};

static struct frame_key key_of(unsigned number)
{
	struct frame_key key = { .offset = number, .size = SIZE };

	hash_bytes(&number, sizeof(number), &key.id);
	return key;
}

static enum frame_found get(struct frame_cache *cache, unsigned number,
			    enum frame_want want, struct frame **frame_out)
{
	const struct frame_key key = key_of(number);

	return frame_cache_get(cache, &key, want, frame_out);
}

/* Use the frame, loading it if it is wanted; says how it was found. */
static enum frame_found use(struct frame_cache *cache, unsigned number,
			    enum frame_want want)
{
	struct frame *frame;
	enum frame_found found = get(cache, number, want, &frame);

	if (found == FRAME_NONE)
		return found;
	if (found == FRAME_LOAD) {
		memset(frame->data, (int)number, SIZE);
		frame_cache_loaded(cache, frame);
	}
	assert_int_equal(frame->data[SIZE - 1], (uint8_t)number);
	frame_cache_release(cache, frame);
	return found;
}

static int setup(void **state)
{
	struct frame_cache *cache;

	assert_int_equal(frame_cache_new(NULL, (uint64_t)ROOM * SIZE, &cache, NULL), 0);
	*state = cache;
	return 0;
}

static int teardown(void **state)
{
	frame_cache_free(*state);
	return 0;
}

static void a_frame_is_kept_until_there_is_no_room(void **state)
{
	for (unsigned i = 0; i < ROOM; i++)
		assert_int_equal(use(*state, i, FRAME_WHOLE), FRAME_LOAD);
	for (unsigned i = 0; i < ROOM; i++)
		assert_int_equal(use(*state, i, FRAME_WHOLE), FRAME_HIT);
	assert_int_equal(use(*state, ROOM, FRAME_WHOLE), FRAME_LOAD);
	assert_int_equal(use(*state, 0, FRAME_WHOLE), FRAME_LOAD);
	assert_int_equal(frame_cache_bytes(*state), (uint64_t)ROOM * SIZE);
}

static void a_scan_does_not_displace_what_is_asked_for_again(void **state)
{
	for (unsigned i = 0; i < ROOM / 2; i++)
		(void)use(*state, i, FRAME_WHOLE);
	for (unsigned i = 100; i < 100 + ROOM; i++)
		(void)use(*state, i, FRAME_WHOLE);
	for (unsigned i = 0; i < ROOM / 2; i++)
		assert_int_equal(use(*state, i, FRAME_WHOLE), FRAME_LOAD);
	for (unsigned i = 1000; i < 1000 + 10 * ROOM; i++)
		for (unsigned step = 0; step < 4; step++)
			(void)use(*state, i, FRAME_WHOLE);
	for (unsigned i = 0; i < ROOM / 2; i++)
		assert_int_equal(use(*state, i, FRAME_WHOLE), FRAME_HIT);
}

static void a_part_is_not_worth_a_frame_the_first_time(void **state)
{
	assert_int_equal(use(*state, 1, FRAME_PART), FRAME_NONE);
	assert_int_equal(frame_cache_bytes(*state), 0);
	assert_int_equal(use(*state, 1, FRAME_PART), FRAME_LOAD);
	assert_int_equal(use(*state, 1, FRAME_PART), FRAME_HIT);
}

static void what_is_there_is_not_loaded_ahead(void **state)
{
	struct frame *frame;
	struct frame *same;

	assert_int_equal(get(*state, 1, FRAME_AHEAD, &frame), FRAME_LOAD);
	assert_int_equal(get(*state, 1, FRAME_AHEAD, &same), FRAME_NONE);
	frame_cache_loaded(*state, frame);
	frame_cache_release(*state, frame);
	assert_int_equal(get(*state, 1, FRAME_AHEAD, &same), FRAME_NONE);
}

static bool has(struct frame_cache *cache, unsigned number)
{
	const struct frame_key key = key_of(number);

	return frame_cache_has(cache, &key);
}

static void only_what_is_there_or_comes_is_known(void **state)
{
	struct frame *frame;

	assert_false(has(*state, 0));
	assert_int_equal(use(*state, 0, FRAME_PART), FRAME_NONE); /* is remembered */
	assert_false(has(*state, 0));
	assert_int_equal(get(*state, 0, FRAME_WHOLE, &frame), FRAME_LOAD);
	assert_true(has(*state, 0));
	frame_cache_loaded(*state, frame);
	frame_cache_release(*state, frame);
	assert_true(has(*state, 0));
}

static void a_load_that_fails_is_for_the_next_to_try(void **state)
{
	struct frame *frame;

	assert_int_equal(get(*state, 1, FRAME_WHOLE, &frame), FRAME_LOAD);
	frame_cache_failed(*state, frame);
	assert_int_equal(frame_cache_bytes(*state), 0);
	assert_int_equal(use(*state, 1, FRAME_WHOLE), FRAME_LOAD);
}

static void frames_in_use_are_not_displaced(void **state)
{
	struct frame *frames[ROOM];
	struct frame *frame;

	for (unsigned i = 0; i < ROOM; i++) {
		assert_int_equal(get(*state, i, FRAME_WHOLE, &frames[i]), FRAME_LOAD);
		memset(frames[i]->data, (int)i, SIZE);
		frame_cache_loaded(*state, frames[i]);
	}
	assert_int_equal(get(*state, ROOM, FRAME_WHOLE, &frame), FRAME_NONE);
	frame_cache_release(*state, frames[5]);
	assert_int_equal(use(*state, ROOM, FRAME_WHOLE), FRAME_LOAD);
	assert_int_equal(frames[4]->data[0], 4);
	for (unsigned i = 0; i < ROOM; i++)
		if (i != 5)
			frame_cache_release(*state, frames[i]);
}

static void the_budget_is_not_used_up_and_gets_its_memory_back(void **state)
{
	struct budget *budget;
	struct frame_cache *cache;
	uint64_t others;

	(void)state;
	assert_int_equal(budget_new(64 << 20, &budget), 0);
	assert_int_equal(frame_cache_new(budget, UINT64_C(1) << 30, &cache, NULL), 0);
	for (unsigned i = 0; i < 1000; i++)
		(void)use(cache, i, FRAME_WHOLE);
	others = budget_available(budget);
	assert_in_range(others, 7 << 20, 9 << 20);

	assert_int_equal(budget_reserve(budget, others, "others", NULL), 0);
	for (unsigned i = 1000; i < 1100; i++)
		(void)use(cache, i, FRAME_WHOLE);
	assert_in_range(budget_available(budget), 8 << 20, 9 << 20);
	budget_release(budget, others);
	frame_cache_free(cache);
	budget_free(budget);
}

struct crowd {
	struct frame_cache *cache;
	atomic_uint loads;
	atomic_bool wrong;
};

static void *read_all(void *context)
{
	struct crowd *crowd = context;

	for (unsigned i = 0; i < SHARED_KEYS; i++) {
		struct frame *frame;
		enum frame_found found = get(crowd->cache, i, FRAME_WHOLE, &frame);

		if (found == FRAME_LOAD) {
			atomic_fetch_add(&crowd->loads, 1);
			memset(frame->data, (int)i, SIZE);
			frame_cache_loaded(crowd->cache, frame);
		}
		if (found == FRAME_NONE || frame->data[0] != (uint8_t)i ||
		    frame->data[SIZE - 1] != (uint8_t)i)
			atomic_store(&crowd->wrong, true);
		if (found != FRAME_NONE)
			frame_cache_release(crowd->cache, frame);
	}
	return NULL;
}

static void a_frame_that_many_want_is_loaded_once(void **state)
{
	struct crowd crowd = { 0 };
	pthread_t threads[THREADS];

	(void)state;
	assert_int_equal(
		frame_cache_new(NULL, 2ull * SHARED_KEYS * SIZE, &crowd.cache, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, &crowd), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&crowd.loads), SHARED_KEYS);
	assert_false(atomic_load(&crowd.wrong));
	frame_cache_free(crowd.cache);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_is_kept_until_there_is_no_room),
		TEST(a_scan_does_not_displace_what_is_asked_for_again),
		TEST(a_part_is_not_worth_a_frame_the_first_time),
		TEST(what_is_there_is_not_loaded_ahead),
		TEST(only_what_is_there_or_comes_is_known),
		TEST(a_load_that_fails_is_for_the_next_to_try),
		TEST(frames_in_use_are_not_displaced),
		TEST(the_budget_is_not_used_up_and_gets_its_memory_back),
		TEST(a_frame_that_many_want_is_loaded_once),
	};

	return cmocka_run_group_tests_name("frame_cache", tests, NULL, NULL);
}
