/* SPDX-License-Identifier: MIT */
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/hex.h"
#include "base/number.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void rfc_4648_vectors_encode_and_decode(void **state)
{
	static const char *const vectors[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfb", "//77" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const char *plain = vectors[i][0];
		autofree uint8_t *data = NULL;
		char text[16] = { 0 };
		size_t size;

		base64_encode(plain, strlen(plain), text);
		assert_string_equal(text, vectors[i][1]);
		assert_int_equal(base64_size(strlen(plain)), strlen(text));
		assert_int_equal(base64_decode(text, strlen(text), &data, &size), 0);
		assert_int_equal(size, strlen(plain));
		assert_memory_equal(data, plain, size + 1);
	}
}

static void base64_that_nobody_would_write_is_refused(void **state)
{
	static const char *const bad[] = { "Z",      "Zg",    "Zg=",  "Zh==",
					   "Zm9=",   "Z===",  "====", "Zg==Zg==",
					   "Zm9v\n", "Zm 9v", "Zm-_", "=Zm9" };
	uint8_t *data = NULL;
	size_t size = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &data, &size),
				 -EINVAL);
	assert_null(data);
	assert_int_equal(size, 7);
}

static void hex_is_read_back_and_only_in_lower_case(void **state)
{
	const uint8_t bytes[] = { 0x00, 0x9f, 0xff };
	uint8_t back[3] = { 1, 2, 3 };
	char text[7];

	(void)state;
	hex_encode(bytes, sizeof(bytes), text);
	assert_string_equal(text, "009fff");
	assert_int_equal(hex_decode("009FFF", back, 3), -EINVAL);
	assert_int_equal(hex_decode("009ff", back, 3), -EINVAL);
	assert_int_equal(hex_decode("009fff0", back, 3), -EINVAL);
	assert_int_equal(back[0], 1);
	assert_int_equal(hex_decode(text, back, 3), 0);
	assert_memory_equal(back, bytes, 3);
}

static void numbers_have_one_text_each(void **state)
{
	static const char *const bad[] = { "",   "-",  "+1", "01",  "-0", "00",
					   "1 ", " 1", "1.", "0x1", "1e3" };
	char text[NUMBER_TEXT_MAX];
	uint64_t u = 0;
	int64_t i = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		assert_int_equal(number_parse_u64(bad[n], &u), -EINVAL);
		assert_int_equal(number_parse_i64(bad[n], &i), -EINVAL);
	}
	assert_int_equal(number_parse_u64("-1", &u), -EINVAL);
	assert_int_equal(number_parse_u64("0", &u), 0);
	assert_int_equal(number_parse_u64("18446744073709551616", &u), -ERANGE);
	assert_int_equal(number_parse_u64("18446744073709551615", &u), 0);
	assert_true(u == UINT64_MAX);
	assert_int_equal(number_format_u64(u, text), 20);
	assert_string_equal(text, "18446744073709551615");

	assert_int_equal(number_parse_i64("9223372036854775808", &i), -ERANGE);
	assert_int_equal(number_parse_i64("-9223372036854775809", &i), -ERANGE);
	assert_int_equal(number_parse_i64("-9223372036854775808", &i), 0);
	assert_true(i == INT64_MIN);
	assert_int_equal(number_format_i64(i, text), 20);
	assert_string_equal(text, "-9223372036854775808");
	assert_int_equal(number_parse_i64("9223372036854775807", &i), 0);
	assert_true(i == INT64_MAX);
}

static void utf8_is_checked_as_rfc_3629_says(void **state)
{
	static const char *const good[] = { "",
					    "a",
					    "\x7f",
					    "\xc2\x80",
					    "\xdf\xbf",
					    "\xe0\xa0\x80",
					    "\xed\x9f\xbf",
					    "\xee\x80\x80",
					    "\xf0\x90\x80\x80",
					    "\xf4\x8f\xbf\xbf",
					    "eight ASCII bytes and \xc3\xa4" };
	static const char *const bad[] = { "\x80",
					   "\xc0\x80",
					   "\xc1\xbf",
					   "\xc2",
					   "\xc2\x41",
					   "\xe0\x9f\xbf",
					   "\xed\xa0\x80",
					   "\xed\xbf\xbf",
					   "\xf0\x8f\xbf\xbf",
					   "\xf4\x90\x80\x80",
					   "\xf5\x80\x80\x80",
					   "\xff",
					   "\xe2\x82",
					   "12345678\xff",
					   "1234567\xc3" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(utf8_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
	assert_true(utf8_valid("a\0b", 3));
	assert_false(utf8_is_text("a\0b", 3));
}

static void characters_that_act_on_a_terminal_are_not_printable(void **state)
{
	(void)state;
	assert_int_equal(utf8_printable("a", 1), 1);
	assert_int_equal(utf8_printable("\xe2\x82\xac", 3), 3);
	assert_int_equal(utf8_printable("\x1b", 1), 0);
	assert_int_equal(utf8_printable("\x7f", 1), 0);
	assert_int_equal(utf8_printable("\xc2\x9b", 2), 0); /* CSI as one character */
	assert_int_equal(utf8_printable("\xe2\x80\xae", 3),
			 0); /* right-to-left override */
	assert_int_equal(utf8_printable("\xff", 1), 0);
	assert_int_equal(utf8_printable("", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_4648_vectors_encode_and_decode),
		cmocka_unit_test(base64_that_nobody_would_write_is_refused),
		cmocka_unit_test(hex_is_read_back_and_only_in_lower_case),
		cmocka_unit_test(numbers_have_one_text_each),
		cmocka_unit_test(utf8_is_checked_as_rfc_3629_says),
		cmocka_unit_test(characters_that_act_on_a_terminal_are_not_printable),
	};

	return cmocka_run_group_tests_name("encoding", tests, NULL, NULL);
}
