/* SPDX-License-Identifier: MIT */
#include "tier/recall_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add(struct recall_queue *queue, uint8_t volume, uint64_t offset, uid_t user)
{
	struct recall_wish wish = { .place = { .offset = offset }, .user = user };

	memset(&wish.place.volume, volume, sizeof(wish.place.volume));
	assert_int_equal(recall_queue_add(queue, &wish), 0);
}

/* Where the next one is that may run; -1: none may. */
static int64_t take(struct recall_queue *queue)
{
	struct recall_wish wish;

	return recall_queue_take(queue, &wish) ? (int64_t)wish.place.offset : -1;
}

static void contents_are_taken_in_the_order_of_the_volume(void **state)
{
	struct recall_queue queue = { .user_max = 9 };

	(void)state;
	add(&queue, 2, 5, 0);
	add(&queue, 1, 30, 0);
	add(&queue, 1, 10, 0);
	add(&queue, 1, 20, 0);
	assert_int_equal(take(&queue), 10);
	assert_int_equal(take(&queue), 20);
	assert_int_equal(take(&queue), 30);
	assert_int_equal(take(&queue), 5);
	assert_int_equal(take(&queue), -1);
	recall_queue_done(&queue);
}

static void who_comes_too_late_is_taken_in_the_next_round(void **state)
{
	struct recall_queue queue = { .user_max = 9 };

	(void)state;
	add(&queue, 1, 20, 0);
	add(&queue, 1, 40, 0);
	assert_int_equal(take(&queue), 20);
	add(&queue, 1, 10, 0);
	add(&queue, 1, 30, 0);
	add(&queue, 1, 20, 0);
	assert_int_equal(take(&queue), 20);
	assert_int_equal(take(&queue), 30);
	assert_int_equal(take(&queue), 40);
	assert_int_equal(take(&queue), 10);
	recall_queue_done(&queue);
}

static void no_user_has_more_than_so_many_under_way(void **state)
{
	struct recall_queue queue = { .user_max = 2 };

	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		add(&queue, 1, i, 1000);
	add(&queue, 1, 100, 1001);
	assert_int_equal(take(&queue), 1);
	assert_int_equal(take(&queue), 2);
	assert_int_equal(take(&queue), 100);
	assert_int_equal(take(&queue), -1);
	recall_queue_finish(&queue, 1001);
	assert_int_equal(take(&queue), -1);
	recall_queue_finish(&queue, 1000);
	assert_int_equal(take(&queue), 3);
	assert_int_equal(take(&queue), -1);
	recall_queue_finish(&queue, 1000);
	recall_queue_finish(&queue, 1000);
	assert_int_equal(take(&queue), 4);
	recall_queue_done(&queue);
}

static void who_came_first_is_taken_first_where_the_place_does_not_tell(void **state)
{
	struct recall_queue queue = { .user_max = 1 };
	uid_t users[] = { 1, 2, 3, 4, 5, 6 };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		add(&queue, 0, 0, users[i]);
	/* One comes whenever one is taken, and none waits for all of them. */
	for (size_t i = 0; i < 6; i++) {
		struct recall_wish wish;

		assert_true(recall_queue_take(&queue, &wish));
		assert_int_equal(wish.user, users[i]);
		recall_queue_finish(&queue, wish.user);
		if (i + 3 < 6)
			add(&queue, 0, 0, users[i + 3]);
	}
	recall_queue_done(&queue);
}

static void all_of_many_are_taken_once(void **state)
{
	struct recall_queue queue = { .user_max = 16 };
	uint64_t before = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		add(&queue, 1, 1 + i * 7919 % 1000, (uid_t)(i % 3));
	for (uint64_t i = 0; i < 1000; i++) {
		struct recall_wish wish;

		assert_true(recall_queue_take(&queue, &wish));
		assert_int_equal(wish.place.offset, before + 1);
		before = wish.place.offset;
		recall_queue_finish(&queue, wish.user);
	}
	assert_int_equal(take(&queue), -1);
	recall_queue_done(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contents_are_taken_in_the_order_of_the_volume),
		cmocka_unit_test(who_comes_too_late_is_taken_in_the_next_round),
		cmocka_unit_test(no_user_has_more_than_so_many_under_way),
		cmocka_unit_test(
			who_came_first_is_taken_first_where_the_place_does_not_tell),
		cmocka_unit_test(all_of_many_are_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
