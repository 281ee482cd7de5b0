/* SPDX-License-Identifier: MIT */
#include "chunker/crc32c.h"

#include <isa-l.h>

/* ISA-L takes an int length and a pointer that is not const, though it only reads. */
#define PIECE_MAX ((size_t)1 << 30) /* bytes */

uint32_t crc32c(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint32_t crc = 0xffffffffu;

	while (size > 0) {
		size_t piece = size < PIECE_MAX ? size : PIECE_MAX;

		crc = crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)piece, crc);
		bytes += piece;
		size -= piece;
	}
	return ~crc;
}
