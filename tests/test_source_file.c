/* SPDX-License-Identifier: MIT */
#include "archive/source_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

static struct timespec coarse_now(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
	return now;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

static void a_file_changed_right_now_is_read_in_a_later_tick(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		const struct stat stat = { .st_ctim = coarse_now() };
		struct timespec after;

		source_file_settle(&stat);
		after = coarse_now();
		assert_true(is_later(&after, &stat.st_ctim));
	}
}

static void a_time_in_the_future_is_not_waited_for(void **state)
{
	struct stat stat = { .st_ctim = coarse_now() };

	(void)state;
	stat.st_ctim.tv_sec += 1000000;
	source_file_settle(&stat); /* the test's time limit is less */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_changed_right_now_is_read_in_a_later_tick),
		cmocka_unit_test(a_time_in_the_future_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
