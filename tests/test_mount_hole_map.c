/* SPDX-License-Identifier: MIT */
#include "mount/hole_map.h"

#include "merkle/manifest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static struct manifest_hole list[] = { { 0, 10 }, { 20, 10 }, { 30, 5 }, { 90, 10 } };

/* A file of 100 bytes with these holes. */
static int64_t seek_in(size_t count, uint64_t offset, int whence)
{
	struct manifest manifest = { .size = 100, .holes = list, .hole_count = count };
	struct hole_map map = { 0 };
	uint64_t found = 999;
	int r;

	assert_int_equal(hole_map_copy(&manifest, &map), 0);
	r = hole_map_seek(&map, offset, whence, &found);
	hole_map_done(&map);
	return r < 0 ? r : (int64_t)found;
}

static void data_is_found_behind_holes(void **state)
{
	(void)state;
	assert_int_equal(seek_in(4, 0, SEEK_DATA), 10);
	assert_int_equal(seek_in(4, 10, SEEK_DATA), 10);
	assert_int_equal(seek_in(4, 19, SEEK_DATA), 19);
	assert_int_equal(seek_in(4, 20, SEEK_DATA), 35); /* two that touch are one */
	assert_int_equal(seek_in(4, 34, SEEK_DATA), 35);
	assert_int_equal(seek_in(4, 89, SEEK_DATA), 89);
	assert_int_equal(seek_in(4, 90, SEEK_DATA), -ENXIO);
}

static void holes_are_found_and_one_is_behind_the_end(void **state)
{
	(void)state;
	assert_int_equal(seek_in(4, 0, SEEK_HOLE), 0);
	assert_int_equal(seek_in(4, 10, SEEK_HOLE), 20);
	assert_int_equal(seek_in(4, 32, SEEK_HOLE), 32);
	assert_int_equal(seek_in(4, 35, SEEK_HOLE), 90);
	assert_int_equal(seek_in(3, 35, SEEK_HOLE), 100);
	assert_int_equal(seek_in(0, 0, SEEK_HOLE), 100);
	assert_int_equal(seek_in(0, 5, SEEK_DATA), 5);
}

static void nothing_is_behind_the_end(void **state)
{
	(void)state;
	assert_int_equal(seek_in(4, 100, SEEK_DATA), -ENXIO);
	assert_int_equal(seek_in(4, 100, SEEK_HOLE), -ENXIO);
	assert_int_equal(seek_in(4, UINT64_MAX, SEEK_HOLE), -ENXIO);
	assert_int_equal(seek_in(4, 0, SEEK_SET), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_found_behind_holes),
		cmocka_unit_test(holes_are_found_and_one_is_behind_the_end),
		cmocka_unit_test(nothing_is_behind_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
