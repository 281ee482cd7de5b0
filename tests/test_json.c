/* SPDX-License-Identifier: MIT */
#include "base/json.h"
#include "base/json_build.h"
#include "base/json_optional.h"
#include "base/json_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define LIMIT 65536

static struct json *parse(const char *text)
{
	struct json *json = NULL;
	struct error err = { 0 };

	if (json_parse(text, strlen(text), LIMIT, &json, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return json;
}

static void refuse(const void *data, size_t size, const char *reason)
{
	struct json *json = NULL;
	struct error err = { 0 };

	if (json_parse(data, size, LIMIT, &json, &err) != -EBADMSG)
		fail_msg("accepted: %.*s", (int)size, (const char *)data);
	assert_null(json);
	if (!strstr(err.text, reason))
		fail_msg("'%s' does not say '%s'", err.text, reason);
}

static void getters_read_each_type(void **state)
{
	autoptr(json) json =
		parse("{\"s\":\"a\\u00e4\\ud83d\\ude00\",\"u\":\"18446744073709551615\","
		      "\"i\":\"-5\",\"n\":4294967295,\"t\":true,\"o\":{\"x\":\"1\"},"
		      "\"a\":[1,\"2\"],\"h\":\"00ff\"}");
	const struct json *value = NULL;
	const char *string = NULL;
	uint8_t bytes[2];
	uint64_t u = 0;
	uint32_t n = 0;
	int64_t i = 0;
	bool t = false;

	(void)state;
	assert_int_equal(json_get_string(json, "s", &string, NULL), 0);
	assert_string_equal(string, "a\xc3\xa4\xf0\x9f\x98\x80");
	assert_int_equal(json_get_u64(json, "u", &u, NULL), 0);
	assert_true(u == UINT64_MAX);
	assert_int_equal(json_get_i64(json, "i", &i, NULL), 0);
	assert_int_equal(i, -5);
	assert_int_equal(json_get_u32(json, "n", &n, NULL), 0);
	assert_true(n == UINT32_MAX);
	assert_int_equal(json_get_bool(json, "t", &t, NULL), 0);
	assert_true(t);
	assert_int_equal(json_get_hex(json, "h", bytes, 2, NULL), 0);
	assert_int_equal(bytes[1], 0xff);
	assert_int_equal(json_get_object(json, "o", &value, NULL), 0);
	assert_int_equal(json_get_u64(value, "x", &u, NULL), 0);
	assert_int_equal(u, 1);

	assert_int_equal(json_get_array(json, "a", &value, NULL), 0);
	assert_int_equal(json_count(value), 2);
	value = json_first(value);
	assert_null(json_name(value));
	assert_int_equal(json_get_u32(value, NULL, &n, NULL), 0);
	assert_int_equal(n, 1);
	value = json_next(value);
	assert_int_equal(json_get_u64(value, NULL, &u, NULL), 0);
	assert_int_equal(u, 2);
	assert_null(json_next(value));
	assert_string_equal(json_name(json_first(json)), "s");
}

static void getters_refuse_what_is_missing_or_of_another_type(void **state)
{
	autoptr(json) json =
		parse("{\"s\":\"x\",\"z\":\"01\",\"m\":\"-1\",\"f\":1.5,\"g\":4294967296,"
		      "\"k\":-1,"
		      "\"big\":1e300,\"a\":[],\"o\":{},\"b\":true,\"null\":null}");
	const struct json *value = NULL;
	const char *string = NULL;
	struct error err = { 0 };
	uint8_t bytes[2];
	uint64_t u = 7;
	uint32_t n = 7;
	int64_t i = 7;
	bool b = false;

	(void)state;
	assert_int_equal(json_get_string(json, "none", &string, &err), -EBADMSG);
	assert_string_equal(err.text, "JSON: 'none' is missing");
	assert_int_equal(json_get_string(json, "S", &string, NULL), -EBADMSG);
	assert_int_equal(json_get_string(json, "f", &string, &err), -EBADMSG);
	assert_string_equal(err.text, "JSON: 'f' is not a string");
	assert_int_equal(json_get_u64(json, "z", &u, NULL), -EBADMSG);
	assert_int_equal(json_get_u64(json, "m", &u, NULL), -EBADMSG);
	assert_int_equal(json_get_u64(json, "f", &u, NULL), -EBADMSG);
	assert_int_equal(json_get_i64(json, "z", &i, NULL), -EBADMSG);
	assert_int_equal(json_get_u32(json, "f", &n, NULL), -EBADMSG);
	assert_int_equal(json_get_u32(json, "g", &n, NULL), -EBADMSG);
	assert_int_equal(json_get_u32(json, "k", &n, NULL), -EBADMSG);
	assert_int_equal(json_get_u32(json, "big", &n, NULL), -EBADMSG);
	assert_int_equal(json_get_u32(json, "m", &n, NULL), -EBADMSG);
	assert_int_equal(json_get_bool(json, "null", &b, NULL), -EBADMSG);
	assert_int_equal(json_get_object(json, "a", &value, NULL), -EBADMSG);
	assert_int_equal(json_get_array(json, "o", &value, NULL), -EBADMSG);
	assert_int_equal(json_get_hex(json, "s", bytes, 2, NULL), -EBADMSG);
	assert_int_equal(json_get_array(json, "a", &value, NULL), 0);
	assert_int_equal(json_get_u64(value, "x", &u, NULL), -EBADMSG);
	assert_true(u == 7 && n == 7 && i == 7);
}

static void optional_getters_fall_back_only_when_nothing_is_there(void **state)
{
	autoptr(json) json = parse("{\"u\":\"5\",\"bad\":\"x\"}");
	const char *string = NULL;
	uint64_t u = 0;

	(void)state;
	assert_int_equal(json_get_u64_or(json, "u", 9, &u, NULL), 0);
	assert_int_equal(u, 5);
	assert_int_equal(json_get_u64_or(json, "none", 9, &u, NULL), 0);
	assert_int_equal(u, 9);
	assert_int_equal(json_get_u64_or(json, "bad", 9, &u, NULL), -EBADMSG);
	assert_int_equal(json_get_string_or(json, "none", "d", &string, NULL), 0);
	assert_string_equal(string, "d");
}

static void documents_beyond_the_grammar_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "", "expected a value" },
		{ " ", "expected a value" },
		{ "{}x", "bytes after" },
		{ "{} {}", "bytes after" },
		{ "{\"a\":1,}", "expected a string" },
		{ "[1,]", "expected a value" },
		{ "[1 2]", "expected ',' or ']'" },
		{ "{\"a\" 1}", "expected ':'" },
		{ "{\"a\":1 \"b\":2}", "expected ',' or '}'" },
		{ "{a:1}", "expected a string" },
		{ "{'a':1}", "expected a string" },
		{ "[1}", "expected ',' or ']'" },
		{ "{\"a\":1]", "expected ',' or '}'" },
		{ "[", "expected a value" },
		{ "{", "expected a string" },
		{ "\"a", "without end" },
		{ "\"a\nb\"", "control character" },
		{ "\"a\tb\"", "control character" },
		{ "\"\\x41\"", "unknown escape" },
		{ "\"\\", "unknown escape" },
		{ "\"\\u12g4\"", "hexadecimal" },
		{ "\"\\u0000\"", "\\u0000" },
		{ "\"\\ud800\"", "surrogate" },
		{ "\"\\ud800\\u0041\"", "surrogate" },
		{ "\"\\ud800\\n\"", "surrogate" },
		{ "\"\\udc00\"", "surrogate" },
		{ "\"\xff\"", "not UTF-8" },
		{ "\"\xc0\x80\"", "not UTF-8" },
		{ "\"\xed\xa0\x80\"", "not UTF-8" },
		{ "01", "bytes after" },
		{ "-", "without digits" },
		{ "+1", "expected a value" },
		{ ".5", "expected a value" },
		{ "1.", "after the point" },
		{ "1e", "exponent" },
		{ "1e+", "exponent" },
		{ "0x10", "bytes after" },
		{ "1111111111111111111111111", "too long" },
		{ "NaN", "expected a value" },
		{ "Infinity", "expected a value" },
		{ "tru", "unknown word" },
		{ "TRUE", "expected a value" },
		{ "nul", "unknown word" },
		{ "\xef\xbb\xbf{}", "expected a value" },
		{ "/* c */{}", "expected a value" },
		{ "\f{}", "expected a value" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse(bad[i][0], strlen(bad[i][0]), bad[i][1]);
	refuse("{}\0", 3, "bytes after");
	refuse("\"a\0b\"", 5, "control character");
}

static void the_same_name_twice_is_refused_however_it_is_written(void **state)
{
	static const char *const bad[] = {
		"{\"a\":1,\"a\":1}",
		"{\"a\":1,\"\\u0061\":2}",
		"{\"x\":[{\"b\":{\"c\":1,\"d\":2,\"c\":3}}]}",
		"[{\"a\":1},{\"a\":1,\"b\":1,\"a\":1}]",
		("{\"a\":0,\"b\":0,\"c\":0,\"d\":0,"
		 "\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"d\":0}"),
	};
	autoptr(json) json = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse(bad[i], strlen(bad[i]), "occurs twice");
	json = parse("{\"a\":{\"a\":1},\"A\":[{\"a\":1},{\"a\":1}]}");
	assert_true(json_has(json, "A"));
}

static void nesting_and_size_have_limits(void **state)
{
	char text[64];
	struct json *json = NULL;
	struct error err = { 0 };

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(json_parse(text, 2ul * JSON_DEPTH_MAX, LIMIT, &json, NULL), 0);
	json_free(json);

	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	refuse(text, 2 * (JSON_DEPTH_MAX + 1), "nested too deeply");

	json = NULL;
	assert_int_equal(json_parse("[10]", 4, 3, &json, &err), -EFBIG);
	assert_null(json);
}

static void every_truncation_is_refused(void **state)
{
	static const char text[] =
		"{\"a\":[1,-2.5e3,\"x\\n\\u00e4\xc3\xa4\",null],\"b\":{\"c\":false}}";

	(void)state;
	json_free(parse(text));
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		refuse(text, n, "JSON");
}

/* The same document by both ways. */
static struct json *build(void)
{
	struct json *json = json_object_new();
	struct json *child = NULL;

	assert_int_equal(
		json_add_string(json, "s", "\"\\/\b\f\n\r\t\x01\x1f\x7f \xc3\xa4"), 0);
	assert_int_equal(json_add_u64(json, "u", UINT64_MAX), 0);
	assert_int_equal(json_add_i64(json, "i", INT64_MIN), 0);
	assert_int_equal(json_add_u32(json, "n", UINT32_MAX), 0);
	assert_int_equal(json_add_bool(json, "t", true), 0);
	assert_int_equal(json_add_bytes(json, "p", "plain", 5), 0);
	assert_int_equal(json_add_bytes(json, "q", "\xff\0x", 3), 0);
	assert_int_equal(json_add_bytes(json, "empty", NULL, 0), 0);
	assert_int_equal(json_add_hex(json, "h", "\x12\xab", 2), 0);
	assert_int_equal(json_add_object(json, "o", &child), 0);
	assert_int_equal(json_add_bool(child, "f", false), 0);
	assert_int_equal(json_add_array(json, "a", &child), 0);
	assert_int_equal(json_add_u32(child, NULL, 0), 0);
	assert_int_equal(json_add_array(child, NULL, &child), 0);
	return json;
}

static void write_same(struct json_writer *w)
{
	json_write_object(w, NULL);
	json_write_string(w, "s", "\"\\/\b\f\n\r\t\x01\x1f\x7f \xc3\xa4");
	json_write_u64(w, "u", UINT64_MAX);
	json_write_i64(w, "i", INT64_MIN);
	json_write_u32(w, "n", UINT32_MAX);
	json_write_bool(w, "t", true);
	json_write_bytes(w, "p", "plain", 5);
	json_write_bytes(w, "q", "\xff\0x", 3);
	json_write_bytes(w, "empty", NULL, 0);
	json_write_hex(w, "h", "\x12\xab", 2);
	json_write_object(w, "o");
	json_write_bool(w, "f", false);
	json_write_end(w);
	json_write_array(w, "a");
	json_write_u32(w, NULL, 0);
	json_write_array(w, NULL);
	json_write_end(w);
	json_write_end(w);
	json_write_end(w);
}

static void tree_and_writer_give_the_same_bytes(void **state)
{
	autoptr(json) json = build();
	autotext struct text text = { 0 };
	autofree char *printed = NULL;
	struct json_writer writer;

	(void)state;
	assert_int_equal(json_print(json, &printed), 0);
	json_writer_init(&writer, &text);
	write_same(&writer);
	assert_int_equal(json_writer_finish(&writer), 0);
	assert_string_equal(text_string(&text), printed);
	assert_string_equal(
		printed,
		"{\"s\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xc3\xa4\","
		"\"u\":\"18446744073709551615\",\"i\":\"-9223372036854775808\","
		"\"n\":4294967295,\"t\":true,\"p\":\"plain\",\"q_base64\":\"/wB4\","
		"\"empty\":\"\",\"h\":\"12ab\",\"o\":{\"f\":false},\"a\":[0,[]]}");
}

static void what_was_printed_is_parsed_back(void **state)
{
	autoptr(json) json = build();
	autoptr(json) again = NULL;
	autofree char *printed = NULL;
	autofree char *pretty = NULL;
	autofree char *reprinted = NULL;
	autofree uint8_t *bytes = NULL;
	size_t size = 0;

	(void)state;
	assert_int_equal(json_print(json, &printed), 0);
	assert_int_equal(json_print_formatted(json, &pretty), 0);
	assert_non_null(strchr(pretty, '\n'));
	again = parse(pretty);
	assert_int_equal(json_print(again, &reprinted), 0);
	assert_string_equal(reprinted, printed);
	assert_int_equal(json_get_bytes(again, "q", &bytes, &size, NULL), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(bytes, "\xff\0x", 4);
}

static void bytes_come_as_text_or_base64_but_not_both(void **state)
{
	autoptr(json) json = parse(
		"{\"a\":\"x\",\"b_base64\":\"AP8=\",\"c\":\"1\",\"c_base64\":\"AA==\","
		"\"d_base64\":\"AP8\",\"e_base64\":5}");
	autofree uint8_t *text = NULL;
	autofree uint8_t *binary = NULL;
	uint8_t *none = NULL;
	struct error err = { 0 };
	size_t size = 0;

	(void)state;
	assert_int_equal(json_get_bytes(json, "a", &text, &size, NULL), 0);
	assert_int_equal(size, 1);
	assert_string_equal((char *)text, "x");
	assert_int_equal(json_get_bytes(json, "b", &binary, &size, NULL), 0);
	assert_int_equal(size, 2);
	assert_memory_equal(binary, "\0\xff", 3);
	assert_int_equal(json_get_bytes(json, "c", &none, &size, &err), -EBADMSG);
	assert_string_equal(err.text, "JSON: both 'c' and 'c_base64'");
	assert_int_equal(json_get_bytes(json, "d", &none, &size, NULL), -EBADMSG);
	assert_int_equal(json_get_bytes(json, "e", &none, &size, NULL), -EBADMSG);
	assert_int_equal(json_get_bytes(json, "f", &none, &size, &err), -EBADMSG);
	assert_string_equal(err.text, "JSON: 'f' is missing");
	assert_null(none);
}

static void the_builder_refuses_what_the_parser_would(void **state)
{
	autoptr(json) json = json_object_new();
	autofree char *printed = NULL;
	struct json *array = NULL;

	(void)state;
	assert_int_equal(json_add_string(json, "a", "\xff"), -EINVAL);
	assert_int_equal(json_add_string(json, "\xff", "a"), -EINVAL);
	assert_int_equal(json_add_u32(json, NULL, 1), -EINVAL);
	assert_int_equal(json_add_u32(json, "a", 1), 0);
	assert_int_equal(json_add_u32(json, "a", 2), -EINVAL);
	assert_int_equal(json_add_array(json, "b", &array), 0);
	assert_int_equal(json_add_u32(array, "x", 1), -EINVAL);
	assert_int_equal(json_add_bytes(array, NULL, "x", 1), -EINVAL);
	assert_int_equal(json_print(json, &printed), 0);
	assert_string_equal(printed, "{\"a\":1,\"b\":[]}");
}

static void writer_misuse_is_an_error_and_leaves_nothing(void **state)
{
	autotext struct text text = { 0 };
	struct json_writer w;

	(void)state;
	assert_int_equal(text_append(&text, "kept "), 0);
	json_writer_init(&w, &text);

	json_write_object(&w, NULL);
	assert_int_equal(json_writer_finish(&w), -EINVAL); /* not closed */
	assert_int_equal(json_writer_finish(&w), -EINVAL); /* nothing written */
	json_write_end(&w);
	assert_int_equal(json_writer_finish(&w), -EINVAL); /* nothing to close */
	json_write_object(&w, NULL);
	json_write_u32(&w, NULL, 1);
	json_write_end(&w);
	assert_int_equal(json_writer_finish(&w), -EINVAL); /* no name */
	json_write_array(&w, NULL);
	json_write_u32(&w, "a", 1);
	json_write_end(&w);
	assert_int_equal(json_writer_finish(&w), -EINVAL); /* a name too many */
	json_write_u32(&w, NULL, 1);
	json_write_u32(&w, NULL, 2);
	assert_int_equal(json_writer_finish(&w), -EINVAL); /* two documents */
	json_write_string(&w, NULL, "a\xff");
	assert_int_equal(json_writer_finish(&w), -EINVAL); /* not UTF-8 */
	for (int i = 0; i <= JSON_DEPTH_MAX; i++)
		json_write_array(&w, NULL);
	for (int i = 0; i <= JSON_DEPTH_MAX; i++)
		json_write_end(&w);
	assert_int_equal(json_writer_finish(&w), -EINVAL); /* too deep */

	assert_string_equal(text_string(&text), "kept ");
	json_write_bool(&w, NULL, true);
	assert_int_equal(json_writer_finish(&w), 0);
	json_write_bool(&w, NULL, false);
	assert_int_equal(json_writer_finish(&w), 0);
	assert_string_equal(text_string(&text), "kept truefalse");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(getters_read_each_type),
		cmocka_unit_test(getters_refuse_what_is_missing_or_of_another_type),
		cmocka_unit_test(optional_getters_fall_back_only_when_nothing_is_there),
		cmocka_unit_test(documents_beyond_the_grammar_are_refused),
		cmocka_unit_test(the_same_name_twice_is_refused_however_it_is_written),
		cmocka_unit_test(nesting_and_size_have_limits),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(tree_and_writer_give_the_same_bytes),
		cmocka_unit_test(what_was_printed_is_parsed_back),
		cmocka_unit_test(bytes_come_as_text_or_base64_but_not_both),
		cmocka_unit_test(the_builder_refuses_what_the_parser_would),
		cmocka_unit_test(writer_misuse_is_an_error_and_leaves_nothing),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
