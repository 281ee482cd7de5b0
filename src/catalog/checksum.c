/* SPDX-License-Identifier: MIT */
#include "catalog/checksum.h"

#include "base/bytes.h"

#include <assert.h>

uint32_t checksum_numbers(const uint64_t *numbers, size_t count)
{
	le64 wire[CHECKSUM_NUMBERS_MAX];

	assert(count <= CHECKSUM_NUMBERS_MAX);
	for (size_t i = 0; i < count; i++)
		wire[i] = le64_make(numbers[i]);
	return crc32c(wire, count * sizeof(wire[0]));
}
