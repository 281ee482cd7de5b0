/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/text.h"
#include "serve/http_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void check_path(const char *raw, const void *want, size_t size, bool slash)
{
	autotarget target = { 0 };

	assert_int_equal(http_target_parse(raw, &target, NULL), 0);
	assert_int_equal(target.path.size, size);
	assert_memory_equal(target.path.data, want, size);
	assert_int_equal(target.slash, slash);
}
#define CHECK_PATH(raw, want, slash) check_path(raw, want, sizeof(want) - 1, slash)

static void check_refused(const char *raw)
{
	struct http_target target = { 0 };
	struct error err = { 0 };

	assert_int_equal(http_target_parse(raw, &target, &err), -EINVAL);
	assert_true(err.text[0]);
	assert_null(target.path.data);
}

static void components_are_decoded_once(void **state)
{
	(void)state;
	CHECK_PATH("/", "", true);
	CHECK_PATH("/a", "a", false);
	CHECK_PATH("/a/", "a", true);
	CHECK_PATH("/a%20b/c", "a b\0c", false);
	CHECK_PATH("/%2541", "%41", false);
	CHECK_PATH("/a+b", "a+b", false);
	CHECK_PATH("/%ff\xfe%0a", "\xff\xfe\n", false);
	CHECK_PATH("/...", "...", false);
	CHECK_PATH("/.a/..b", ".a\0..b", false);
}

static void an_escaped_slash_is_no_separator(void **state)
{
	(void)state;
	CHECK_PATH("/a%2Fb", "a/b", false);
	CHECK_PATH("/..%2f..%2Fetc", "../../etc", false);
	CHECK_PATH("/%2F", "/", false);
}

static void what_could_mean_two_things_is_refused(void **state)
{
	static const char *const raws[] = {
		"",
		"a",
		"*",
		"//",
		"//a",
		"/a//b",
		"/a//",
		"/.",
		"/..",
		"/a/..",
		"/a/../b",
		"/./a",
		"/%2e",
		"/%2E%2e",
		"/.%2e/",
		"/%00",
		"/a%00",
		"/a%00b",
		"/%",
		"/%4",
		"/%4g",
		"/%g4",
		"/a%",
		"/a#b",
		"/?a=%",
		"/?a=%00",
		"/?a=1&a=2",
		"?a=b",
		"/?%61=1&a=2",
		"http:///a#",
		"http://host",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(raws) / sizeof(raws[0]); i++)
		check_refused(raws[i]);
}

static void parameters_are_decoded(void **state)
{
	autotarget target = { 0 };

	(void)state;
	assert_int_equal(http_target_parse("/x?a=1&&b=%2Fc+d%2B&e&=f", &target, NULL), 0);
	assert_int_equal(target.parameter_count, 4);
	assert_string_equal(http_target_parameter(&target, "a"), "1");
	assert_string_equal(http_target_parameter(&target, "b"), "/c d+");
	assert_string_equal(http_target_parameter(&target, "e"), "");
	assert_string_equal(http_target_parameter(&target, ""), "f");
	assert_null(http_target_parameter(&target, "c"));
}

static void parameters_are_limited(void **state)
{
	autotarget target = { 0 };

	(void)state;
	assert_int_equal(http_target_parse("/?a&b&c&d&e&f&g&h", &target, NULL), 0);
	check_refused("/?a&b&c&d&e&f&g&h&i");
}

static void an_absolute_target_names_its_host(void **state)
{
	autotarget target = { 0 };

	(void)state;
	assert_int_equal(http_target_parse("HTTP://host:80/a?b", &target, NULL), 0);
	assert_string_equal(target.authority, "host:80");
	assert_int_equal(target.path.size, 1);
	assert_non_null(http_target_parameter(&target, "b"));
}

static void every_byte_survives_escaping(void **state)
{
	autotext struct text text = { 0 };
	autotarget target = { 0 };
	uint8_t name[255];

	(void)state;
	for (unsigned i = 0; i < sizeof(name); i++)
		name[i] = (uint8_t)(i + 1);
	assert_int_equal(text_append(&text, "/"), 0);
	assert_int_equal(http_escape(&text, name, sizeof(name)), 0);
	assert_int_equal(strspn(text.data, "/%-._~0123456789abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
			 text.size);
	assert_int_equal(http_target_parse(text.data, &target, NULL), 0);
	assert_int_equal(target.path.size, sizeof(name));
	assert_memory_equal(target.path.data, name, sizeof(name));
}

static void a_key_becomes_a_path(void **state)
{
	autotext struct text text = { 0 };

	(void)state;
	assert_int_equal(http_escape_key(&text, (const uint8_t *)"a b\0c", 5), 0);
	assert_string_equal(text_string(&text), "a%20b/c");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(components_are_decoded_once),
		cmocka_unit_test(an_escaped_slash_is_no_separator),
		cmocka_unit_test(what_could_mean_two_things_is_refused),
		cmocka_unit_test(parameters_are_decoded),
		cmocka_unit_test(parameters_are_limited),
		cmocka_unit_test(an_absolute_target_names_its_host),
		cmocka_unit_test(every_byte_survives_escaping),
		cmocka_unit_test(a_key_becomes_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
