/* SPDX-License-Identifier: MIT */
#pragma once
/* Checksums of rows: CRC-32C over numbers, where bytes stand as their own CRC and size. They
 * find bits that flipped in the file, not forgers: what leads to bytes is proved by hashes
 * in the end. For this folder only. Pure functions.
 */
#include "chunker/crc32c.h"

#include <stddef.h>
#include <stdint.h>

#define CHECKSUM_NUMBERS_MAX 20

/* @count is at most CHECKSUM_NUMBERS_MAX. */
uint32_t checksum_numbers(const uint64_t *numbers, size_t count);

/* Bytes as a number. */
static inline uint64_t checksum_bytes(const void *data, size_t size)
{
	return (uint64_t)size << 32 | crc32c(data, size);
}

/* checksum_of(a, b, ...): of the numbers given. */
#define checksum_of(...)                                    \
	checksum_numbers((const uint64_t[]){ __VA_ARGS__ }, \
			 sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))
