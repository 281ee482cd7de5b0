/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "serve/token_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* BLAKE3 of "all" and of "some". */
static char all[HASH_HEX_SIZE];
static char some[HASH_HEX_SIZE];

static int make_hashes(void **state)
{
	struct hash hash;

	(void)state;
	hash_bytes("all", 3, &hash);
	hash_to_hex(&hash, all);
	hash_bytes("some", 4, &hash);
	hash_to_hex(&hash, some);
	return 0;
}

static struct token_file *parse(const char *format)
{
	struct token_file *file = NULL;
	char text[1024];

	(void)snprintf(text, sizeof(text), "# tokens\n\n%s\n  %s \t%s\r\n", all, some,
		       format);
	assert_int_equal(token_file_parse(text, strlen(text), &file, NULL), 0);
	return file;
}

static enum token_reach reach(const struct token *token, const char *key, size_t size)
{
	return token_reach(token, (const uint8_t *)key, size);
}
#define REACH(token, key) reach(token, key, sizeof(key) - 1)

static void tokens_are_found_by_their_hash(void **state)
{
	autoptr(token_file) file = parse("/a");

	(void)state;
	assert_int_equal(token_file_count(file), 2);
	assert_non_null(token_file_find(file, "all"));
	assert_false(token_file_find(file, "all")->restricted);
	assert_true(token_file_find(file, "some")->restricted);
	assert_null(token_file_find(file, ""));
	assert_null(token_file_find(file, "al"));
	assert_null(token_file_find(file, all));
}

static void a_prefix_is_matched_by_components(void **state)
{
	autoptr(token_file) file = parse("/a%20b/c");
	const struct token *token = token_file_find(file, "some");

	(void)state;
	assert_int_equal(REACH(token, "a b\0c"), TOKEN_REACHES);
	assert_int_equal(REACH(token, "a b\0c\0d"), TOKEN_REACHES);
	assert_int_equal(REACH(token, "a b\0cd"), TOKEN_REFUSES);
	assert_int_equal(REACH(token, "a b\0b"), TOKEN_REFUSES);
	assert_int_equal(REACH(token, "a"), TOKEN_REFUSES);
	assert_int_equal(REACH(token, "a bc"), TOKEN_REFUSES);
	assert_int_equal(REACH(token, "a b"), TOKEN_LEADS_THERE);
	assert_int_equal(REACH(token, ""), TOKEN_LEADS_THERE);
	assert_int_equal(REACH(token_file_find(file, "all"), "x"), TOKEN_REACHES);
}

static void the_top_as_prefix_reaches_all_paths(void **state)
{
	autoptr(token_file) file = parse("/");
	const struct token *token = token_file_find(file, "some");

	(void)state;
	assert_true(token->restricted);
	assert_int_equal(REACH(token, ""), TOKEN_REACHES);
	assert_int_equal(REACH(token, "x"), TOKEN_REACHES);
}

static void check_refused(const char *text, size_t size, const char *why)
{
	struct token_file *file = NULL;
	struct error err = { 0 };

	assert_int_equal(token_file_parse(text, size, &file, &err), -EINVAL);
	assert_null(file);
	assert_non_null(strstr(err.text, why));
}

static void errors_name_the_line(void **state)
{
	char text[512];

	(void)state;
	check_refused("# x\nsecret\n", 11, "line 2");
	(void)snprintf(text, sizeof(text), "%s\n%s a\n", all, some);
	check_refused(text, strlen(text), "line 2");
	(void)snprintf(text, sizeof(text), "%s /a/../b", some);
	check_refused(text, strlen(text), "line 1");
	(void)snprintf(text, sizeof(text), "%s0\n", some);
	check_refused(text, strlen(text), "line 1");
	check_refused("\0", 1, "NUL");
}

static void an_empty_file_lets_nobody_in(void **state)
{
	struct token_file *file = NULL;

	(void)state;
	assert_int_equal(token_file_parse("", 0, &file, NULL), 0);
	assert_int_equal(token_file_count(file), 0);
	assert_null(token_file_find(file, ""));
	token_file_free(file);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_found_by_their_hash),
		cmocka_unit_test(a_prefix_is_matched_by_components),
		cmocka_unit_test(the_top_as_prefix_reaches_all_paths),
		cmocka_unit_test(errors_name_the_line),
		cmocka_unit_test(an_empty_file_lets_nobody_in),
	};

	return cmocka_run_group_tests(tests, make_hashes, NULL);
}
