/* SPDX-License-Identifier: MIT */
#include "serve/http_range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* Check that @text asks of @size bytes for @want, as "offset+size offset+size ...". */
static void check_some(const char *text, uint64_t size, const char *want)
{
	struct http_ranges ranges = { 0 };
	char got[1024] = "";

	assert_int_equal(http_range_parse(text, size, &ranges), HTTP_RANGE_SOME);
	for (size_t i = 0; i < ranges.count; i++) {
		size_t used = strlen(got);

		(void)snprintf(got + used, sizeof(got) - used, "%s%llu+%llu",
			       i ? " " : "", (unsigned long long)ranges.spans[i].offset,
			       (unsigned long long)ranges.spans[i].size);
	}
	assert_string_equal(got, want);
}

static void check_none(const char *text, uint64_t size)
{
	struct http_ranges ranges;

	assert_int_equal(http_range_parse(text, size, &ranges), HTTP_RANGE_NONE);
}

static void check_unsatisfiable(const char *text, uint64_t size)
{
	struct http_ranges ranges;

	assert_int_equal(http_range_parse(text, size, &ranges), HTTP_RANGE_UNSATISFIABLE);
}

static void first_and_last_byte_are_inclusive(void **state)
{
	(void)state;
	check_some("bytes=0-0", 10, "0+1");
	check_some("bytes=0-9", 10, "0+10");
	check_some("bytes=2-5", 10, "2+4");
	check_some("BYTES=2-5", 10, "2+4");
	check_some("bytes= 2-5 ", 10, "2+4");
}

static void open_and_long_ranges_end_with_the_content(void **state)
{
	(void)state;
	check_some("bytes=4-", 10, "4+6");
	check_some("bytes=4-999", 10, "4+6");
	check_some("bytes=4-99999999999999999999999999", 10, "4+6");
	check_some("bytes=0-", UINT64_MAX, "0+18446744073709551615");
}

static void a_suffix_counts_from_the_end(void **state)
{
	(void)state;
	check_some("bytes=-3", 10, "7+3");
	check_some("bytes=-10", 10, "0+10");
	check_some("bytes=-11", 10, "0+10");
	check_some("bytes=-99999999999999999999999999", 10, "0+10");
	check_unsatisfiable("bytes=-0", 10);
}

static void ranges_that_touch_are_joined(void **state)
{
	(void)state;
	check_some("bytes=0-1,4-5", 10, "0+2 4+2");
	check_some("bytes=0-1,2-5", 10, "0+6");
	check_some("bytes=0-7,2-3", 10, "0+8");
	check_some("bytes=4-5,0-1", 10, "0+2 4+2");
	check_some("bytes=0-,0-,-1", 10, "0+10");
	check_some("bytes=, 0-1 ,\t,4-5,", 10, "0+2 4+2");
}

static void parts_outside_do_not_count_if_others_are_inside(void **state)
{
	(void)state;
	check_some("bytes=20-30,1-2", 10, "1+2");
	check_unsatisfiable("bytes=10-", 10);
	check_unsatisfiable("bytes=10-11,20-", 10);
	check_unsatisfiable("bytes=99999999999999999999999999-", 10);
}

static void what_is_not_well_formed_is_ignored(void **state)
{
	static const char *const texts[] = {
		"",          "bytes",      "bytes=",     "bytes=-",
		"bytes=,",   "bytes=1",    "bytes=5-4",  "bytes=0x1-2",
		"bytes=+1",  "bytes=1-2;", "bytes=1 -2", "bytes=1-2-",
		"bytes=--1", "lines=1-2",  "bytes=a-b",  "bytes=0-1,5-4",
	};

	(void)state;
	check_none(NULL, 10);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_none(texts[i], 10);
}

static void content_of_no_bytes_has_no_ranges(void **state)
{
	(void)state;
	check_none("bytes=0-", 0);
	check_none("bytes=-5", 0);
}

static void more_than_sixteen_are_ignored(void **state)
{
	char text[256] = "bytes=0-0";

	(void)state;
	for (unsigned i = 1; i < HTTP_RANGES_MAX; i++)
		(void)snprintf(text + strlen(text), 16, ",%u-%u", 2 * i, 2 * i);
	check_some(text, 100,
		   "0+1 2+1 4+1 6+1 8+1 10+1 12+1 14+1 16+1 18+1 20+1 22+1 24+1 26+1 "
		   "28+1 30+1");
	(void)snprintf(text + strlen(text), 16, ",40-40");
	check_none(text, 100);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_and_last_byte_are_inclusive),
		cmocka_unit_test(open_and_long_ranges_end_with_the_content),
		cmocka_unit_test(a_suffix_counts_from_the_end),
		cmocka_unit_test(ranges_that_touch_are_joined),
		cmocka_unit_test(parts_outside_do_not_count_if_others_are_inside),
		cmocka_unit_test(what_is_not_well_formed_is_ignored),
		cmocka_unit_test(content_of_no_bytes_has_no_ranges),
		cmocka_unit_test(more_than_sixteen_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
