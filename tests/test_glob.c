/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

struct sample {
	const char *pattern;
	const char *path;
	bool matches;
};

static void check(const struct sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(glob_check(samples[i].pattern, NULL), 0);
		if (glob_match(samples[i].pattern, samples[i].path, false) !=
		    samples[i].matches)
			fail_msg("'%s' on '%s'", samples[i].pattern, samples[i].path);
	}
}
#define CHECK(samples) check(samples, sizeof(samples) / sizeof((samples)[0]))

static void a_pattern_without_slash_matches_the_last_component(void **state)
{
	static const struct sample samples[] = {
		{ "*.o", "/a/b/x.o", true },
		{ "*.o", "/x.o", true },
		{ "*.o", "/a/.o", true },
		{ "*.o", "/a.o/x", false },
		{ "*.o", "/a/x.oo", false },
		{ "x", "/a/x", true },
		{ "x", "/x/a", false },
		{ "*", "/a/b", true },
		{ "a*b*c", "/axxbyybzc", true },
		{ "a*b*c", "/axxcyy", false },
		{ "?", "/a", true },
		{ "?", "/ab", false },
	};

	(void)state;
	CHECK(samples);
}

static void slashes_anchor_and_join_components(void **state)
{
	static const struct sample samples[] = {
		{ "/home/x", "/home/x", true },    { "/home/x", "/srv/home/x", false },
		{ "/home/x", "/home/x/y", false }, { "a/b", "/a/b", true },
		{ "a/b", "/c/a/b", true },         { "a/b", "/a/b/c", false },
		{ "a/b", "/xa/b", false },         { "a/*/c", "/a/b/c", true },
		{ "a/*/c", "/a/b/d/c", false },    { "/a", "//a", true },
		{ "a/b", "/a/x/a/b", true },       { "a/b", "/a/a/b", true },
	};

	(void)state;
	CHECK(samples);
}

static void double_stars_cross_components(void **state)
{
	static const struct sample samples[] = {
		{ "a/**/z", "/a/z", true },
		{ "a/**/z", "/a/b/c/z", true },
		{ "a/**/z", "/a/b/c/y", false },
		{ "/a/**", "/a/b/c", true },
		{ "/a/**", "/a", false },
		{ "/**/x", "/x", true },
		{ "/**/x", "/a/b/x", true },
		{ "**", "/a", true },
		{ "/a/**/b/**/c", "/a/1/b/2/c", true },
		{ "/a/**/b/**/c", "/a/1/c/2/b", false },
		{ "/a/**/b*/c", "/a/b1/b2/c", true },
	};

	(void)state;
	CHECK(samples);
}

static void sets_and_escapes_match_single_characters(void **state)
{
	static const struct sample samples[] = {
		{ "[a-c]", "/b", true },
		{ "[a-c]", "/d", false },
		{ "[!a-c]", "/d", true },
		{ "[^a-c]", "/a", false },
		{ "[]x]", "/]", true },
		{ "[a-]", "/-", true },
		{ "\\*", "/*", true },
		{ "\\*", "/a", false },
		{ "\\!x", "/!x", true },
		{ "[!a]", "/\xff", true },
		{ "[!a]b",
		  "/\xc3\xa4"
		  "b",
		  true },
	};

	(void)state;
	CHECK(samples);
}

static void names_need_not_be_utf8(void **state)
{
	static const struct sample samples[] = {
		{ "?", "/\xff", true },         { "?", "/\xc3\xa4", true },
		{ "??", "/\xc3\xa4", false },   { "\xff*", "/\xff\xfe.o", true },
		{ "*\xfe", "/\xff\xfe", true }, { "\xc3\xa4", "/\xc3\xa4", true },
		{ "*?", "/\xc3\xa4", true },
	};

	(void)state;
	CHECK(samples);
}

static void a_slash_at_the_end_is_for_folders(void **state)
{
	(void)state;
	assert_true(glob_match("tmp/", "/a/tmp", true));
	assert_false(glob_match("tmp/", "/a/tmp", false));
	assert_true(glob_match("tmp", "/a/tmp", true));
}

static void the_first_matching_pattern_is_named(void **state)
{
	char first[] = "*.c";
	char second[] = "*.o";
	char *patterns[] = { first, second };

	(void)state;
	assert_ptr_equal(glob_match_any(patterns, 2, "/a/x.o", false), second);
	assert_null(glob_match_any(patterns, 2, "/a/x.h", false));
	assert_null(glob_match_any(patterns, 0, "/a/x.o", false));
}

static void malformed_patterns_are_refused_with_a_reason(void **state)
{
	static const char *const bad[][2] = {
		{ "", "matches nothing" }, { "/", "matches nothing" },
		{ "!a", "no negation" },   { "[a", "without" },
		{ "a/[b/c]", "without" },  { "a\\", "escapes nothing" },
		{ "a**", "alone" },        { "**b", "alone" },
		{ "***", "alone" },        { "[]", "without" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = { 0 };

		assert_int_equal(glob_check(bad[i][0], &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i][1]));
	}
}

/* With backtracking into every star this would not end in a lifetime. */
static void many_stars_do_not_explode(void **state)
{
	char pattern[128] = "";
	char path[2048] = "/";

	(void)state;
	for (size_t i = 0; i < 40; i++)
		memcpy(pattern + 2 * i, "*a", 3);
	memcpy(pattern + 80, "b", 2);
	memset(path + 1, 'a', 2000);
	assert_false(glob_match(pattern, path, false));

	for (size_t i = 0; i < 40; i++)
		memcpy(pattern + 3 * i, "**/", 4);
	memcpy(pattern + 120, "b", 2);
	for (size_t i = 1; i < 2000; i += 2)
		path[i] = '/';
	assert_false(glob_match(pattern, path, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_without_slash_matches_the_last_component),
		cmocka_unit_test(slashes_anchor_and_join_components),
		cmocka_unit_test(double_stars_cross_components),
		cmocka_unit_test(sets_and_escapes_match_single_characters),
		cmocka_unit_test(names_need_not_be_utf8),
		cmocka_unit_test(a_slash_at_the_end_is_for_folders),
		cmocka_unit_test(the_first_matching_pattern_is_named),
		cmocka_unit_test(malformed_patterns_are_refused_with_a_reason),
		cmocka_unit_test(many_stars_do_not_explode),
	};

	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
