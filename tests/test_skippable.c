/* SPDX-License-Identifier: MIT */
#include "chunker/skippable.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>
#include <zstd.h>

static void the_bytes_are_those_of_the_format(void **state)
{
	static const uint8_t expected[] = {
		0x5e, 0x2a, 0x4d, 0x18, 0x04, 0x03, 0x02, 0x01
	};
	uint8_t bytes[SKIPPABLE_HEADER_SIZE];

	(void)state;
	skippable_put(bytes, SKIPPABLE_SEEK_TABLE, 0x01020304);
	assert_memory_equal(bytes, expected, sizeof(expected));
}

static void every_kind_comes_back(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 16; kind++) {
		uint8_t bytes[SKIPPABLE_HEADER_SIZE];
		uint32_t payload_size = 0;
		unsigned got = 99;

		skippable_put(bytes, kind, 0xffffffffu - kind);
		assert_int_equal(skippable_get(bytes, sizeof(bytes), &got, &payload_size),
				 0);
		assert_int_equal(got, kind);
		assert_int_equal(payload_size, 0xffffffffu - kind);
		assert_int_equal(skippable_get(bytes, sizeof(bytes), NULL, NULL), 0);
	}
}

static void every_truncation_is_refused(void **state)
{
	uint8_t bytes[SKIPPABLE_HEADER_SIZE];
	uint32_t payload_size = 7;
	unsigned kind = 7;

	(void)state;
	skippable_put(bytes, SKIPPABLE_PADDING, 1);
	for (size_t size = 0; size < sizeof(bytes); size++)
		assert_int_equal(skippable_get(bytes, size, &kind, &payload_size),
				 -EBADMSG);
	assert_int_equal(kind, 7);
	assert_int_equal(payload_size, 7);
}

static void another_magic_is_refused(void **state)
{
	(void)state;
	for (unsigned bit = 4; bit < 32; bit++) {
		uint8_t bytes[SKIPPABLE_HEADER_SIZE];

		skippable_put(bytes, SKIPPABLE_EXTENT, 0);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(skippable_get(bytes, sizeof(bytes), NULL, NULL),
				 -EBADMSG);
	}
}

static void zstd_skips_what_we_write(void **state)
{
	uint8_t bytes[SKIPPABLE_HEADER_SIZE + 5];
	char out[1];

	(void)state;
	skippable_put(bytes, SKIPPABLE_RECORD, 5);
	memcpy(bytes + SKIPPABLE_HEADER_SIZE, "hello", 5);
	assert_int_equal(ZSTD_decompress(out, sizeof(out), bytes, sizeof(bytes)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_are_those_of_the_format),
		cmocka_unit_test(every_kind_comes_back),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(another_magic_is_refused),
		cmocka_unit_test(zstd_skips_what_we_write),
	};

	return cmocka_run_group_tests_name("skippable", tests, NULL, NULL);
}
