/* SPDX-License-Identifier: MIT */
#include "base/budget.h"
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define MIB (1u << 20)

static void what_is_reserved_is_not_available(void **state)
{
	autoptr(budget) budget = NULL;

	(void)state;
	assert_int_equal(budget_new(100, &budget), 0);
	assert_int_equal(budget_reserve(budget, 60, "a", NULL), 0);
	assert_int_equal(budget_available(budget), 40);
	assert_int_equal(budget_reserve(budget, 40, "b", NULL), 0);
	assert_int_equal(budget_available(budget), 0);
	budget_release(budget, 100);
	assert_int_equal(budget_available(budget), 100);
	assert_int_equal(budget_size(budget), 100);
}

static void a_refusal_says_for_what_and_how_much_is_left(void **state)
{
	autoptr(budget) budget = NULL;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(budget_new(64 * MIB, &budget), 0);
	assert_int_equal(budget_reserve(budget, 60 * MIB, "the cache", NULL), 0);
	assert_int_equal(budget_reserve(budget, 32 * MIB, "an extent", &err), -ENOMEM);
	assert_string_equal(err.text,
			    "no memory for an extent: want 32 MiB, 4 MiB of 64 MiB left "
			    "([limits] memory)");
	assert_int_equal(budget_reserve(budget, UINT64_MAX, "all", &err), -ENOMEM);
	assert_int_equal(budget_available(budget), 4 * MIB);
	budget_release(budget, 60 * MIB);
}

static void buffers_are_aligned_zeroed_and_counted_in_pages(void **state)
{
	autoptr(budget) budget = NULL;
	struct buffer buffer = { 0 };

	(void)state;
	assert_int_equal(budget_new(MIB, &budget), 0);
	assert_int_equal(buffer_alloc(&buffer, budget, 5000, "test", NULL), 0);
	assert_int_equal((uintptr_t)buffer.data % BUFFER_ALIGNMENT, 0);
	assert_int_equal(buffer.size, 5000);
	assert_int_equal(buffer.data[4999], 0);
	assert_int_equal(budget_available(budget), MIB - 8192);
	buffer_free(&buffer);
	assert_null(buffer.data);
	assert_int_equal(budget_available(budget), MIB);
	buffer_free(&buffer);
}

static void a_buffer_beyond_the_budget_takes_nothing(void **state)
{
	autoptr(budget) budget = NULL;
	autobuffer struct buffer buffer = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(budget_new(8192, &budget), 0);
	assert_int_equal(buffer_alloc(&buffer, budget, 8193, "test", &err), -ENOMEM);
	assert_non_null(strstr(err.text, "test"));
	assert_int_equal(buffer_alloc(&buffer, budget, SIZE_MAX, "test", &err), -ENOMEM);
	assert_null(buffer.data);
	assert_int_equal(budget_available(budget), 8192);
}

/* The address space has an end below any budget's. */
static void a_failed_mapping_gives_the_reservation_back(void **state)
{
	autoptr(budget) budget = NULL;
	autobuffer struct buffer buffer = { 0 };

	(void)state;
	assert_int_equal(budget_new(UINT64_MAX, &budget), 0);
	assert_int_equal(buffer_alloc(&buffer, budget, SIZE_MAX / 2, "test", NULL),
			 -ENOMEM);
	assert_true(budget_available(budget) == UINT64_MAX);
}

static void a_taken_buffer_has_one_owner(void **state)
{
	autoptr(budget) budget = NULL;
	autobuffer struct buffer first = { 0 };
	autobuffer struct buffer second = { 0 };

	(void)state;
	assert_int_equal(budget_new(MIB, &budget), 0);
	assert_int_equal(buffer_alloc(&first, budget, 4096, "test", NULL), 0);
	second = take_buffer(&first);
	assert_null(first.data);
	assert_non_null(second.data);
}

struct reserver {
	struct task task;
	struct budget *budget;
	int granted;
};

static int reserve_often(struct task *task, unsigned worker, struct error *err)
{
	struct reserver *reserver = (struct reserver *)task;

	(void)worker;
	(void)err;
	for (int i = 0; i < 1000; i++) {
		if (budget_reserve(reserver->budget, 30, "test", NULL) < 0)
			continue;
		reserver->granted++;
		budget_release(reserver->budget, 30);
	}
	return 0;
}

static void threads_never_lose_a_byte(void **state)
{
	autoptr(budget) budget = NULL;
	autoptr(pool) pool = NULL;
	struct reserver reservers[4] = { 0 };
	struct task_group group;

	(void)state;
	assert_int_equal(budget_new(100, &budget), 0);
	assert_int_equal(pool_new(4, &pool, NULL), 0);
	task_group_init(&group);
	for (int i = 0; i < 4; i++) {
		reservers[i].task.run = reserve_often;
		reservers[i].budget = budget;
		pool_submit(pool, &group, &reservers[i].task);
	}
	assert_int_equal(task_group_wait(&group, NULL), 0);
	assert_int_equal(budget_available(budget), 100);
	assert_true(reservers[0].granted > 0);
	task_group_done(&group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_reserved_is_not_available),
		cmocka_unit_test(a_refusal_says_for_what_and_how_much_is_left),
		cmocka_unit_test(buffers_are_aligned_zeroed_and_counted_in_pages),
		cmocka_unit_test(a_buffer_beyond_the_budget_takes_nothing),
		cmocka_unit_test(a_failed_mapping_gives_the_reservation_back),
		cmocka_unit_test(a_taken_buffer_has_one_owner),
		cmocka_unit_test(threads_never_lose_a_byte),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
