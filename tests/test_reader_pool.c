/* SPDX-License-Identifier: MIT */
#include "archive/reader_pool.h"
#include "base/budget.h"
#include "support/segment_source.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIMIT = 3 };

struct pool_test {
	struct segment_source source;
	struct budget *budget;
	struct reader_pool *pool;
	struct segment_reader *late; /* what the thread that waits gets */
};

static void make_pool(struct pool_test *t, uint64_t memory)
{
	assert_int_equal(budget_new(memory, &t->budget), 0);
	assert_int_equal(reader_pool_new(&t->source.source, NULL, t->budget, LIMIT,
					 &t->pool, NULL),
			 0);
}

static void free_pool(struct pool_test *t)
{
	reader_pool_free(t->pool);
	assert_int_equal(budget_available(t->budget), budget_size(t->budget));
	budget_free(t->budget);
}

static int setup(void **state)
{
	struct pool_test *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	segment_source_init(&t->source);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct pool_test *t = *state;

	segment_source_done(&t->source);
	free(t);
	return 0;
}

static struct segment_reader *take(struct pool_test *t, uint64_t medium)
{
	struct segment_reader *reader = NULL;

	assert_int_equal(reader_pool_take(t->pool, medium, &reader, NULL), 0);
	return reader;
}

static void *take_late(void *context)
{
	struct pool_test *t = context;

	(void)reader_pool_take(t->pool, 1, &t->late, NULL);
	return NULL;
}

static void a_medium_gets_no_more_than_its_limit(void **state)
{
	struct pool_test *t = *state;
	struct segment_reader *readers[LIMIT];
	pthread_t thread;

	make_pool(t, 64 << 20);
	for (unsigned i = 0; i < LIMIT; i++)
		readers[i] = take(t, 1);
	assert_int_equal(pthread_create(&thread, NULL, take_late, t), 0);
	reader_pool_give(t->pool, readers[1]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_ptr_equal(t->late, readers[1]); /* no other was free */
	reader_pool_give(t->pool, readers[0]);
	reader_pool_give(t->pool, readers[2]);
	reader_pool_give(t->pool, t->late);
	free_pool(t);
}

static void each_other_medium_gets_one_all_the_same(void **state)
{
	struct pool_test *t = *state;
	struct segment_reader *readers[LIMIT + 4];

	make_pool(t, 64 << 20);
	for (unsigned i = 0; i < LIMIT + 4; i++)
		readers[i] = take(t, i < LIMIT ? 1 : i);
	for (unsigned i = 0; i < LIMIT + 4; i++)
		reader_pool_give(t->pool, readers[i]);
	assert_int_equal(budget_available(t->budget),
			 budget_size(t->budget) - LIMIT * SEGMENT_READER_SERVE_MEMORY);
	free_pool(t);
}

static void a_small_budget_means_fewer_readers(void **state)
{
	struct pool_test *t = *state;
	struct segment_reader *reader;
	struct segment_reader *other;
	struct error err = { 0 };
	pthread_t thread;

	make_pool(t, SEGMENT_READER_SERVE_MEMORY + (1 << 20));
	reader = take(t, 1);
	assert_int_equal(reader_pool_take(t->pool, 2, &other, &err), -ENOMEM);
	assert_int_equal(pthread_create(&thread, NULL, take_late, t), 0);
	reader_pool_give(t->pool, reader);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_ptr_equal(t->late, reader);
	reader_pool_give(t->pool, t->late);
	free_pool(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_medium_gets_no_more_than_its_limit),
		TEST(each_other_medium_gets_one_all_the_same),
		TEST(a_small_budget_means_fewer_readers),
	};

	return cmocka_run_group_tests_name("reader_pool", tests, NULL, NULL);
}
