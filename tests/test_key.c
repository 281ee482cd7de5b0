/* SPDX-License-Identifier: MIT */
#include "merkle/key.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static void keys_sort_folders_before_their_contents(void **state)
{
	static const char *const sorted[] = {
		"a", "a/a", "a/a/z", "a/b", "a!", "aa", "b"
	};
	enum { COUNT = sizeof(sorted) / sizeof(sorted[0]) };

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		for (size_t j = 0; j < COUNT; j++) {
			struct bytes a = { 0 }, b = { 0 };
			int order;

			assert_int_equal(key_from_path(sorted[i], &a, NULL), 0);
			assert_int_equal(key_from_path(sorted[j], &b, NULL), 0);
			order = key_compare(a.data, a.size, b.data, b.size);
			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
			free(a.data);
			free(b.data);
		}
	}
}

static void keys_become_paths(void **state)
{
	char *path = NULL;

	(void)state;
	assert_int_equal(key_to_path((const uint8_t *)"a\0b\0c", 5, &path), 0);
	assert_string_equal(path, "a/b/c");
	free(path);
	assert_int_equal(key_to_path(NULL, 0, &path), 0);
	assert_string_equal(path, "");
	free(path);
	assert_int_equal(key_name_size((const uint8_t *)"a\0bcd", 5), 3);
	assert_int_equal(key_name_size((const uint8_t *)"abc", 3), 3);
}

static void keys_have_components_of_limited_size(void **state)
{
	uint8_t key[MANIFEST_KEY_MAX + 1];

	(void)state;
	memset(key, 'x', sizeof(key));
	assert_true(key_valid(key, 1));
	assert_true(key_valid(key, KEY_COMPONENT_MAX));
	assert_false(key_valid(key, KEY_COMPONENT_MAX + 1));
	key[KEY_COMPONENT_MAX] = 0;
	assert_true(key_valid(key, KEY_COMPONENT_MAX + 2));
	assert_false(key_valid(key, KEY_COMPONENT_MAX + 1)); /* ends with a zero */
	for (size_t i = 1; i < sizeof(key); i += 2)
		key[i] = 0;
	assert_true(key_valid(key, MANIFEST_KEY_MAX - 1));
	assert_false(key_valid(key, MANIFEST_KEY_MAX + 1));
	assert_false(key_valid(key, 0));
}

static void keys_have_no_slash_and_no_dots_alone(void **state)
{
	(void)state;
	assert_false(key_valid((const uint8_t *)"a/b", 3));
	assert_false(key_valid((const uint8_t *)".", 1));
	assert_false(key_valid((const uint8_t *)"a\0..", 4));
	assert_false(key_valid((const uint8_t *)"a\0\0b", 4));
	assert_false(key_valid((const uint8_t *)"\0a", 2));
	assert_true(key_valid((const uint8_t *)"...", 3));
	assert_true(key_valid((const uint8_t *)".a\0..b", 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_sort_folders_before_their_contents),
		cmocka_unit_test(keys_become_paths),
		cmocka_unit_test(keys_have_components_of_limited_size),
		cmocka_unit_test(keys_have_no_slash_and_no_dots_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
