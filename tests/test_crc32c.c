/* SPDX-License-Identifier: MIT */
#include "chunker/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

/* The definition, one bit at a time. */
static uint32_t reference(const uint8_t *data, size_t size)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void the_check_value_is_the_published_one(void **state)
{
	(void)state;
	assert_int_equal(crc32c("123456789", 9), 0xe3069283u);
	assert_int_equal(crc32c(NULL, 0), 0);
}

static void every_length_and_alignment_agrees_with_the_definition(void **state)
{
	uint8_t bytes[1100];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + (i >> 5));
	for (size_t start = 0; start < 16; start++) {
		for (size_t size = 0; size <= 1024; size += start ? 37 : 1)
			assert_int_equal(crc32c(bytes + start, size),
					 reference(bytes + start, size));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_check_value_is_the_published_one),
		cmocka_unit_test(every_length_and_alignment_agrees_with_the_definition),
	};

	return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
