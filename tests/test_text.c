/* SPDX-License-Identifier: MIT */
#include "base/size.h"
#include "base/text.h"
#include "base/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void appending_keeps_what_was_there(void **state)
{
	autotext struct text text = { 0 };
	autofree char *taken = NULL;

	(void)state;
	assert_string_equal(text_string(&text), "");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(text_appendf(&text, "%d,", i), 0);
	assert_int_equal(text.size, 10 * 2 + 90 * 3 + 900 * 4);
	assert_memory_equal(text.data, "0,1,2,3,", 8);
	assert_string_equal(text.data + text.size - 8, "998,999,");

	text_truncate(&text, 3);
	assert_string_equal(text_string(&text), "0,1");
	assert_int_equal(text_append_bytes(&text, "\0x", 2), 0);
	assert_int_equal(text.size, 5);
	taken = text_take(&text);
	assert_memory_equal(taken, "0,1\0x", 6);
	assert_null(text.data);
}

static void an_empty_text_can_be_taken(void **state)
{
	struct text text = { 0 };
	autofree char *taken = text_take(&text);

	(void)state;
	assert_string_equal(taken, "");
}

static void a_size_that_overflows_is_no_memory(void **state)
{
	autotext struct text text = { 0 };

	(void)state;
	assert_int_equal(text_append(&text, "a"), 0);
	assert_int_equal(text_reserve(&text, SIZE_MAX), -ENOMEM);
	assert_string_equal(text_string(&text), "a");
}

static void names_are_quoted_only_when_they_need_it(void **state)
{
	static const struct {
		const char *name;
		const char *quoted;
	} cases[] = {
		{ "plain.txt", "plain.txt" },
		{ "two words", "two words" },
		{ "it's", "it's" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "", "\"\"" },
		{ " a", "\" a\"" },
		{ "a ", "\"a \"" },
		{ "a\"b", "\"a\\\"b\"" },
		{ "a\\b", "\"a\\\\b\"" },
		{ "a\nb\tc\r", "\"a\\nb\\tc\\r\"" },
		{ "\x1b[2J", "\"\\x1b[2J\"" },
		{ "a\xff", "\"a\\xff\"" },
		{ "\xe2\x80\xae"
		  "txt",
		  "\"\\xe2\\x80\\xaetxt\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autotext struct text text = { 0 };

		assert_int_equal(
			text_append_quoted(&text, cases[i].name, strlen(cases[i].name)),
			0);
		assert_string_equal(text_string(&text), cases[i].quoted);
	}
}

static void sizes_count_as_the_tools_of_the_field_do(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} cases[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "512B", 512 },
		{ "512k", 524288 },
		{ "1K", 1024 },
		{ "1KB", 1000 },
		{ "1KiB", 1024 },
		{ "1kib", 1024 },
		{ "256MiB", 268435456 },
		{ "3GB", 3000000000 },
		{ "3 GB", 3000000000 },
		{ "1.5G", 1610612736 },
		{ "0.001KB", 1 },
		{ "0.1KiB", 102 },
		{ "1T", 1ull << 40 },
		{ "15E", 15ull << 60 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = {
		"",      "B",   "-1",  "+1",  " 1",   "1 ",   "1  K",          "1X",
		"1KiBs", "1.K", ".5G", "1.5", "1.5B", "1,5G", "1.0000000001G", "0x10",
		"1KK",   "1iB"
	};
	uint64_t size = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(size_parse(cases[i].text, &size), 0);
		assert_true(size == cases[i].size);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(size_parse(bad[i], &size), -EINVAL);
	assert_int_equal(size_parse("16E", &size), -ERANGE);
	assert_int_equal(size_parse("15.99999999999E", &size), -EINVAL);
	assert_int_equal(size_parse("18446744073709551616", &size), -ERANGE);
}

static void sizes_are_shown_rounded(void **state)
{
	char text[SIZE_TEXT_MAX];

	(void)state;
	assert_string_equal(size_format(0, text), "0 B");
	assert_string_equal(size_format(1023, text), "1023 B");
	assert_string_equal(size_format(1024, text), "1 KiB");
	assert_string_equal(size_format(1536, text), "1.5 KiB");
	assert_string_equal(size_format(268435456, text), "256 MiB");
	assert_string_equal(size_format(1048575, text), "1 MiB");
	assert_string_equal(size_format(1047552, text), "1023 KiB");
	assert_string_equal(size_format(UINT64_MAX, text), "16 EiB");
	assert_string_equal(format_rate(310000000, 1000000000, text), "310 MB/s");
	assert_string_equal(format_rate(1, 0, text), "-");
	assert_string_equal(format_rate(UINT64_MAX, 1, text), "18.4 EB/s");
}

static void exact_sizes_are_read_back(void **state)
{
	static const uint64_t sizes[] = {
		0,          1,         999,        1000,       1024,          1536,
		3000000000, 268435456, 1ull << 63, UINT64_MAX, 1000000 * 1024
	};
	char text[SIZE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t back = 1;

		assert_int_equal(size_parse(size_format_exact(sizes[i], text), &back), 0);
		assert_true(back == sizes[i]);
	}
	assert_string_equal(size_format_exact(3000000000, text), "3GB");
	assert_string_equal(size_format_exact(268435456, text), "256MiB");
}

static void durations_need_units_in_falling_order(void **state)
{
	static const char *const bad[] = { "",     "1",  "d",   "1d2", "1h1d",
					   "1d1d", "1x", "-1d", "1 d", "1.5d" };
	char text[TIMESTAMP_TEXT_MAX];
	uint64_t duration = 0;

	(void)state;
	assert_int_equal(duration_parse("30d", &duration), 0);
	assert_true(duration == 30 * 86400 * NS_PER_SECOND);
	assert_int_equal(duration_parse("1d12h", &duration), 0);
	assert_true(duration == 36 * 3600 * NS_PER_SECOND);
	assert_int_equal(duration_parse("1m5ms", &duration), 0);
	assert_true(duration == 60 * NS_PER_SECOND + 5000000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(duration_parse(bad[i], &duration), -EINVAL);
	assert_int_equal(duration_parse("600y", &duration), -ERANGE);
	assert_int_equal(duration_parse("99999999999999999999s", &duration), -ERANGE);

	assert_string_equal(duration_format(36 * 3600 * NS_PER_SECOND, text), "1d12h");
	assert_string_equal(duration_format(3900 * NS_PER_SECOND, text), "1h05m");
	assert_string_equal(duration_format(249 * NS_PER_SECOND, text), "4m09s");
	assert_string_equal(duration_format(12300000000, text), "12.3s");
	assert_string_equal(duration_format(45000000, text), "45ms");
}

static void times_keep_their_nanoseconds(void **state)
{
	static const int64_t times[] = { 0,
					 1,
					 -1,
					 1714566600000000001,
					 -2208988800000000001,
					 INT64_MAX,
					 INT64_MIN + 999999999 };
	char text[TIMESTAMP_TEXT_MAX];

	(void)state;
	assert_string_equal(timestamp_format_utc(1714566600000000001, text),
			    "2024-05-01T12:30:00.000000001Z");
	assert_string_equal(timestamp_format_utc(-1, text),
			    "1969-12-31T23:59:59.999999999Z");
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		int64_t back = 5;

		assert_int_equal(
			timestamp_parse(timestamp_format_utc(times[i], text), &back), 0);
		assert_true(back == times[i]);
		assert_int_equal(
			timestamp_parse(timestamp_format_local(times[i], text), &back),
			0);
		assert_true(back == times[i]);
	}
}

static void times_without_a_zone_are_local(void **state)
{
	char text[TIMESTAMP_TEXT_MAX];
	int64_t time = 0;

	(void)state;
	assert_int_equal(timestamp_parse("2024-05-01 14:30", &time), 0);
	assert_true(time == 1714566600000000000);
	assert_int_equal(timestamp_parse("2024-01-01", &time), 0);
	assert_true(time == 1704063600000000000);
	assert_int_equal(timestamp_parse("2024-05-01T12:30:00.5Z", &time), 0);
	assert_true(time == 1714566600500000000);
	assert_string_equal(timestamp_format_local(time, text),
			    "2024-05-01T14:30:00.500000000+02:00");
	assert_string_equal(timestamp_format_short(time, text), "2024-05-01 14:30:00");
	assert_int_equal(timestamp_parse("2024-05-01T07:00:00-05:30", &time), 0);
	assert_true(time == 1714566600000000000);
}

static void times_that_do_not_exist_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"2024",
		"2024-13-01",
		"2024-00-01",
		"2024-02-30",
		"2023-02-29",
		"2024-01-00",
		"2024-01-01T",
		"2024-01-01T24:00",
		"2024-01-01T10:60",
		"2024-01-01T10:00:60",
		"2024-01-01T10:00:00.",
		"2024-01-01T10:00:00.1234567890",
		"2024-01-01x",
		"2024-01-01T10:00:00Zz",
		"2024-01-01T10:00+1:00",
		"24-01-01",
		"2024-1-1",
	};
	int64_t time = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(timestamp_parse(bad[i], &time), -EINVAL);
	assert_int_equal(timestamp_parse("9999-01-01T00:00Z", &time), -ERANGE);
	assert_int_equal(timestamp_parse("1000-01-01T00:00Z", &time), -ERANGE);
}

/* A zone with summer time, written out so that no zone files are needed. */
static int set_zone(void **state)
{
	(void)state;
	if (setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1) < 0)
		return -1;
	tzset();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appending_keeps_what_was_there),
		cmocka_unit_test(an_empty_text_can_be_taken),
		cmocka_unit_test(a_size_that_overflows_is_no_memory),
		cmocka_unit_test(names_are_quoted_only_when_they_need_it),
		cmocka_unit_test(sizes_count_as_the_tools_of_the_field_do),
		cmocka_unit_test(sizes_are_shown_rounded),
		cmocka_unit_test(exact_sizes_are_read_back),
		cmocka_unit_test(durations_need_units_in_falling_order),
		cmocka_unit_test(times_keep_their_nanoseconds),
		cmocka_unit_test(times_without_a_zone_are_local),
		cmocka_unit_test(times_that_do_not_exist_are_refused),
	};

	return cmocka_run_group_tests_name("text", tests, set_zone, NULL);
}
