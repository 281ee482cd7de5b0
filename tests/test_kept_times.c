/* SPDX-License-Identifier: MIT */
#include "tier/kept_times.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int fd = -1;
static struct kept_times times;
static const struct timespec own[2] = { { 1000, 1 }, { 2000, 2 } };
static const struct timespec others[2] = { { 3000, 3 }, { 4000, 4 } };

static int make_file(void **state)
{
	char path[] = "/tmp/test-kept-times-XXXXXX";
	struct stat before;

	(void)state;
	fd = mkstemp(path);
	if (fd < 0 || unlink(path) < 0 || futimens(fd, own) < 0 || fstat(fd, &before) < 0)
		return -1;
	kept_times_begin(&times, &before);
	return 0;
}

static int close_file(void **state)
{
	(void)state;
	return close(fd);
}

static void change(void)
{
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
}

static void change_as_told(void)
{
	assert_int_equal(kept_times_before(&times, fd), 0);
	change();
	assert_int_equal(kept_times_after(&times, fd), 0);
}

static void check(const struct timespec wanted[2])
{
	struct stat now;

	assert_int_equal(kept_times_restore(&times, fd), 0);
	assert_int_equal(fstat(fd, &now), 0);
	assert_int_equal(now.st_atim.tv_sec, wanted[0].tv_sec);
	assert_int_equal(now.st_mtim.tv_sec, wanted[1].tv_sec);
	assert_int_equal(now.st_mtim.tv_nsec, wanted[1].tv_nsec);
}

static void own_changes_leave_no_trace(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		change_as_told();
	check(own);
}

static void what_is_set_between_changes_is_kept(void **state)
{
	(void)state;
	change_as_told();
	assert_int_equal(futimens(fd, others), 0);
	change_as_told();
	check(others);
}

static void what_is_set_before_the_first_change_is_kept(void **state)
{
	(void)state;
	assert_int_equal(futimens(fd, others), 0);
	change_as_told();
	check(others);
}

static void what_is_set_after_the_last_change_is_kept(void **state)
{
	(void)state;
	change_as_told();
	assert_int_equal(futimens(fd, others), 0);
	check(others);
}

static void what_is_set_within_a_change_is_kept(void **state)
{
	(void)state;
	assert_int_equal(kept_times_before(&times, fd), 0);
	change();
	assert_int_equal(futimens(fd, others), 0);
	assert_int_equal(kept_times_after(&times, fd), 0);
	check(others);
}

static void another_mode_within_a_change_is_no_time(void **state)
{
	(void)state;
	assert_int_equal(kept_times_before(&times, fd), 0);
	change();
	assert_int_equal(fchmod(fd, 0640), 0);
	assert_int_equal(kept_times_after(&times, fd), 0);
	check(own);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_file, close_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(own_changes_leave_no_trace),
		CASE(what_is_set_between_changes_is_kept),
		CASE(what_is_set_before_the_first_change_is_kept),
		CASE(what_is_set_after_the_last_change_is_kept),
		CASE(what_is_set_within_a_change_is_kept),
		CASE(another_mode_within_a_change_is_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
