/* SPDX-License-Identifier: MIT */
#include "serve/http_condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER "Sun, 06 Nov 1994 08:49:38 GMT"
#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"
#define SECONDS 784111777

static const struct http_validators ours = { "\"x\"", true, SECONDS };

#define CHECK(want, ...)                                                               \
	assert_int_equal(                                                              \
		http_condition_check(&(struct http_conditions){ __VA_ARGS__ }, &ours), \
		want)

static void dates_have_three_forms(void **state)
{
	static const char *const texts[] = { DATE, "Sunday, 06-Nov-94 08:49:37 GMT",
					     "Sun Nov  6 08:49:37 1994" };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		int64_t seconds = 0;

		assert_int_equal(http_date_parse(texts[i], &seconds), 0);
		assert_int_equal(seconds, SECONDS);
	}
}

static void dates_come_back_as_they_were(void **state)
{
	static const int64_t times[] = { 0, -1, SECONDS, 253402300799, 951782400 };
	char text[HTTP_DATE_MAX];

	(void)state;
	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		int64_t seconds = 1;

		assert_int_equal(http_date_format(times[i], text), 0);
		assert_int_equal(http_date_parse(text, &seconds), 0);
		assert_int_equal(seconds, times[i]);
	}
	assert_int_equal(http_date_format(SECONDS, text), 0);
	assert_string_equal(text, DATE);
	assert_int_equal(http_date_format(253402300800, text), -ERANGE);
	assert_int_equal(http_date_format(INT64_MAX, text), -ERANGE);
	assert_int_equal(http_date_format(INT64_MIN, text), -ERANGE);
}

static void other_dates_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"1994-11-06",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		DATE " ",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:37",
		"Son, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int64_t seconds;

		assert_int_equal(http_date_parse(texts[i], &seconds), -EINVAL);
	}
}

static void if_none_match_spares_what_the_client_has(void **state)
{
	(void)state;
	CHECK(HTTP_CONDITION_HOLDS, .if_none_match = NULL);
	CHECK(HTTP_CONDITION_NOT_MODIFIED, .if_none_match = "\"x\"");
	CHECK(HTTP_CONDITION_NOT_MODIFIED, .if_none_match = "*");
	CHECK(HTTP_CONDITION_NOT_MODIFIED, .if_none_match = "\"y\" , W/\"x\"");
	CHECK(HTTP_CONDITION_NOT_MODIFIED, .if_none_match = "\"a,b\",\"x\"");
	CHECK(HTTP_CONDITION_HOLDS, .if_none_match = "\"y\"");
	CHECK(HTTP_CONDITION_HOLDS, .if_none_match = "x");
	CHECK(HTTP_CONDITION_HOLDS, .if_none_match = "\"x");
	CHECK(HTTP_CONDITION_HOLDS, .if_none_match = "");
}

static void if_match_wants_exactly_what_there_is(void **state)
{
	(void)state;
	CHECK(HTTP_CONDITION_HOLDS, .if_match = "\"y\", \"x\"");
	CHECK(HTTP_CONDITION_HOLDS, .if_match = "*");
	CHECK(HTTP_CONDITION_FAILED, .if_match = "W/\"x\"");
	CHECK(HTTP_CONDITION_FAILED, .if_match = "\"y\"");
	CHECK(HTTP_CONDITION_FAILED, .if_match = "\"y\"", .if_none_match = "\"x\"");
}

static void dates_count_where_there_is_no_tag(void **state)
{
	(void)state;
	CHECK(HTTP_CONDITION_NOT_MODIFIED, .if_modified_since = DATE);
	CHECK(HTTP_CONDITION_NOT_MODIFIED, .if_modified_since = LATER);
	CHECK(HTTP_CONDITION_HOLDS, .if_modified_since = EARLIER);
	CHECK(HTTP_CONDITION_HOLDS, .if_modified_since = "yesterday");
	CHECK(HTTP_CONDITION_HOLDS, .if_modified_since = DATE, .if_none_match = "\"y\"");
	CHECK(HTTP_CONDITION_HOLDS, .if_unmodified_since = DATE);
	CHECK(HTTP_CONDITION_FAILED, .if_unmodified_since = EARLIER);
	CHECK(HTTP_CONDITION_HOLDS, .if_unmodified_since = "yesterday");
	CHECK(HTTP_CONDITION_HOLDS, .if_unmodified_since = EARLIER, .if_match = "\"x\"");
}

static bool allows(const char *if_range)
{
	return http_condition_allows_range(
		&(struct http_conditions){ .if_range = if_range }, &ours);
}

static void if_range_matches_strongly(void **state)
{
	(void)state;
	assert_true(allows(NULL));
	assert_true(allows("\"x\""));
	assert_true(allows(DATE));
	assert_false(allows("\"y\""));
	assert_false(allows("W/\"x\""));
	assert_false(allows("*"));
	assert_false(allows(LATER));
	assert_false(allows(EARLIER));
	assert_false(allows(""));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_have_three_forms),
		cmocka_unit_test(dates_come_back_as_they_were),
		cmocka_unit_test(other_dates_are_refused),
		cmocka_unit_test(if_none_match_spares_what_the_client_has),
		cmocka_unit_test(if_match_wants_exactly_what_there_is),
		cmocka_unit_test(dates_count_where_there_is_no_tag),
		cmocka_unit_test(if_range_matches_strongly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
