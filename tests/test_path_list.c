/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/file.h"
#include "cli/path_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Put @size bytes into a file of its own and read it as a list. */
static int read_list(const void *data, size_t size, bool nul, struct path_list *list,
		     struct error *err)
{
	char name[] = "/tmp/test_path_list.XXXXXX";
	int fd = mkstemp(name);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, data, size), 0);
	assert_int_equal(close(fd), 0);
	r = path_list_read(list, name, nul, err);
	assert_int_equal(unlink(name), 0);
	return r;
}

static void check(const void *data, size_t size, bool nul, const char *const *want)
{
	struct path_list list = { 0 };
	size_t count = 0;

	assert_int_equal(read_list(data, size, nul, &list, NULL), 0);
	for (; want[count]; count++) {
		assert_true(count < list.count);
		assert_string_equal(list.paths[count], want[count]);
	}
	assert_int_equal(list.count, count);
	path_list_done(&list);
}
#define CHECK(bytes, nul, ...) \
	check(bytes, sizeof(bytes) - 1, nul, (const char *[]){ __VA_ARGS__ })

static void each_line_is_a_path(void **state)
{
	(void)state;
	CHECK("a\nb c\n/d/\n", false, "a", "b c", "/d/", NULL);
	CHECK("last line without end", false, "last line without end", NULL);
	CHECK("", false, NULL);
}

static void empty_lines_are_passed_over(void **state)
{
	(void)state;
	CHECK("\n\na\n\n", false, "a", NULL);
}

static void bytes_of_a_name_stay_as_they_are(void **state)
{
	(void)state;
	CHECK(" a \r\n\xff\n", false, " a \r", "\xff", NULL);
}

static void nul_separated_paths_may_hold_newlines(void **state)
{
	(void)state;
	CHECK("a\nb\0c\0\0d", true, "a\nb", "c", "d", NULL);
}

static void a_nul_byte_in_lines_is_refused(void **state)
{
	struct path_list list = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(read_list("a\0b\n", 4, false, &list, &err), -EINVAL);
	assert_non_null(strstr(err.text, "--from0"));
	path_list_done(&list);
}

static void a_missing_file_is_named(void **state)
{
	struct path_list list = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(path_list_read(&list, "/nonexistent/list", false, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/list"));
	path_list_done(&list);
}

static void long_lists_are_read_whole(void **state)
{
	enum { COUNT = 50000, SIZE = 6 };
	char *data = malloc(COUNT * SIZE);
	struct path_list list = { 0 };

	(void)state;
	assert_non_null(data);
	for (unsigned i = 0; i < COUNT; i++)
		memcpy(data + i * SIZE, "abcde\n", SIZE);
	assert_int_equal(read_list(data, COUNT * SIZE, false, &list, NULL), 0);
	assert_int_equal(list.count, COUNT);
	assert_string_equal(list.paths[COUNT - 1], "abcde");
	path_list_done(&list);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_is_a_path),
		cmocka_unit_test(empty_lines_are_passed_over),
		cmocka_unit_test(bytes_of_a_name_stay_as_they_are),
		cmocka_unit_test(nul_separated_paths_may_hold_newlines),
		cmocka_unit_test(a_nul_byte_in_lines_is_refused),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(long_lists_are_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
