/* SPDX-License-Identifier: MIT */
#include "base/config_list.h"

#include "base/error.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static int append(const char *before, const char *item, struct text *out)
{
	struct error err = { 0 };

	return config_list_append(before, strlen(before), "volume", "more_directories",
				  item, out, &err);
}

static void check(const char *before, const char *item, const char *after)
{
	autotext struct text out = { 0 };

	assert_int_equal(append(before, item, &out), 0);
	assert_string_equal(text_string(&out), after);
}

static void everything_else_stays_as_it_was(void **state)
{
	(void)state;
	check("# mine\n[volume]\nmore_directories = [] # none\ncopies = 2\n", "/a",
	      "# mine\n[volume]\nmore_directories = [\"/a\"] # none\ncopies = 2\n");
	check("[volume]\nmore_directories = [\n  \"/a\", # one ]\n  '/b' ]\n[mount]\n",
	      "/c",
	      "[volume]\nmore_directories = [\n  \"/a\", # one ]\n  '/b', \"/c\" "
	      "]\n[mount]\n");
	check("[volume]\nmore_directories = [\"/a]\\\"\", ]", "/b",
	      "[volume]\nmore_directories = [\"/a]\\\"\", \"/b\", ]");
}

static void a_list_that_is_not_there_is_made(void **state)
{
	(void)state;
	check("", "/a", "\n[volume]\nmore_directories = [\"/a\"]\n");
	check("[mount]\nx = 1", "/a",
	      "[mount]\nx = 1\n\n[volume]\nmore_directories = [\"/a\"]\n");
	check("[volume]\n[mount]\n", "/a",
	      "[volume]\nmore_directories = [\"/a\"]\n[mount]\n");
	check("[volume]\ncopies = 2\n", "/a",
	      "[volume]\nmore_directories = [\"/a\"]\ncopies = 2\n");
}

static void what_has_to_be_escaped_is(void **state)
{
	(void)state;
	check("[volume]\n", "/a \"b\\",
	      "[volume]\nmore_directories = [\"/a \\\"b\\\\\"]\n");
}

static void what_it_does_not_know_is_left_to_a_person(void **state)
{
	static const char *const files[] = {
		"volume.more_directories = []\nvolume.copies = ",
		"volume = { copies = 2 }\n",
		"[volume]\nmore_directories = \"/a\"\n",
		"[volume]\nmore_directories = [1]\n",
		"[volume]\nmore_directories = [\"\"\"\n]\"\"\"]\n",
		"[volume\n",
	};
	autotext struct text out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (append(files[i], "/b", &out) != -EINVAL)
			fail_msg("%s gave %s", files[i], text_string(&out));
	assert_int_equal(append("", "/a\nb", &out), -EINVAL);
	assert_int_equal(append("", "/\xff", &out), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_else_stays_as_it_was),
		cmocka_unit_test(a_list_that_is_not_there_is_made),
		cmocka_unit_test(what_has_to_be_escaped_is),
		cmocka_unit_test(what_it_does_not_know_is_left_to_a_person),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
