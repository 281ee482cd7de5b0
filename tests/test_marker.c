/* SPDX-License-Identifier: MIT */
#include "tier/marker.h"

#include "catalog/stub_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_marker_comes_back_as_it_was(void **state)
{
	struct marker want = { .id = 0x0102030405060708 }, got;
	uint8_t data[MARKER_SIZE];

	(void)state;
	memset(&want.hash, 0xa5, sizeof(want.hash));
	marker_encode(&want, data);
	assert_int_equal(data[0], 8); /* little-endian */
	assert_int_equal(marker_decode(data, sizeof(data), &got), 0);
	assert_true(got.id == want.id);
	assert_memory_equal(&got.hash, &want.hash, sizeof(got.hash));
}

static void other_sizes_are_refused(void **state)
{
	uint8_t data[MARKER_SIZE + 1] = { 0 };
	struct marker got;

	(void)state;
	for (size_t size = 0; size <= sizeof(data); size++)
		assert_int_equal(marker_decode(data, size, &got),
				 size == MARKER_SIZE ? 0 : -EBADMSG);
}

static void it_matches_its_own_row_only(void **state)
{
	struct stub_row row = { .id = 7 };
	struct marker marker = { .id = 7 };

	(void)state;
	assert_true(marker_matches(&marker, &row));
	marker.id = 8;
	assert_false(marker_matches(&marker, &row));
	marker.id = 7;
	marker.hash.bytes[31] = 1;
	assert_false(marker_matches(&marker, &row));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_marker_comes_back_as_it_was),
		cmocka_unit_test(other_sizes_are_refused),
		cmocka_unit_test(it_matches_its_own_row_only),
	};

	return cmocka_run_group_tests_name("marker", tests, NULL, NULL);
}
