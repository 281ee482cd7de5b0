/* SPDX-License-Identifier: MIT */
#pragma once
/* Little-endian on-disk integers.
 *
 * le16/le32/le64 are byte arrays, not integers: alignment 1, no padding, and
 * the compiler rejects `hdr.size + 1`, so a missing conversion cannot compile.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

typedef struct {
	uint8_t b[2];
} le16;
typedef struct {
	uint8_t b[4];
} le32;
typedef struct {
	uint8_t b[8];
} le64;

static_assert(sizeof(le16) == 2 && _Alignof(le16) == 1, "le16 is a wire type");
static_assert(sizeof(le32) == 4 && _Alignof(le32) == 1, "le32 is a wire type");
static_assert(sizeof(le64) == 8 && _Alignof(le64) == 1, "le64 is a wire type");

static inline uint16_t le16_get(le16 v)
{
	return (uint16_t)(v.b[0] | v.b[1] << 8);
}

static inline uint32_t le32_get(le32 v)
{
	return (uint32_t)v.b[0] | (uint32_t)v.b[1] << 8 | (uint32_t)v.b[2] << 16 |
	       (uint32_t)v.b[3] << 24;
}

static inline uint64_t le64_get(le64 v)
{
	return (uint64_t)v.b[0] | (uint64_t)v.b[1] << 8 | (uint64_t)v.b[2] << 16 |
	       (uint64_t)v.b[3] << 24 | (uint64_t)v.b[4] << 32 | (uint64_t)v.b[5] << 40 |
	       (uint64_t)v.b[6] << 48 | (uint64_t)v.b[7] << 56;
}

static inline le16 le16_make(uint16_t x)
{
	return (le16){ { (uint8_t)x, (uint8_t)(x >> 8) } };
}

static inline le32 le32_make(uint32_t x)
{
	return (le32){ { (uint8_t)x, (uint8_t)(x >> 8), (uint8_t)(x >> 16),
			 (uint8_t)(x >> 24) } };
}

static inline le64 le64_make(uint64_t x)
{
	return (le64){ { (uint8_t)x, (uint8_t)(x >> 8), (uint8_t)(x >> 16),
			 (uint8_t)(x >> 24), (uint8_t)(x >> 32), (uint8_t)(x >> 40),
			 (uint8_t)(x >> 48), (uint8_t)(x >> 56) } };
}
