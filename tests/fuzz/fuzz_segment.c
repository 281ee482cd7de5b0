/* SPDX-License-Identifier: MIT */
/* Input: a segment header. Its checksum is made right first, so that the fuzzer gets past
 * it. What is accepted must survive encoding and decoding, and its metadata must be
 * walkable to the end. */
#include "chunker/crc32c.h"
#include "chunker/segment.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	BYTES_MAX = SEGMENT_HEADER_SIZE + SEGMENT_METADATA_MAX + 64,
};

static void seal(uint8_t *bytes, size_t size)
{
	uint32_t crc;

	if (size < 4)
		return;
	crc = crc32c(bytes, size - 4);
	for (unsigned b = 0; b < 4; b++)
		bytes[size - 4 + b] = (uint8_t)(crc >> 8 * b);
}

static void check_metadata(const struct segment_info *info)
{
	struct segment_tlv tlv;
	uint32_t position = 0, sum = 0;
	int r;

	while ((r = segment_metadata_next(info, &position, &tlv)) > 0)
		sum += 4 + (uint32_t)tlv.size;
	if (r < 0 || sum != info->metadata_size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[BYTES_MAX], again[BYTES_MAX];
	struct segment_info info, got;

	if (size > sizeof(bytes))
		return 0;
	if (size > 0)
		memcpy(bytes, data, size);
	seal(bytes, size);
	if (segment_header_decode(bytes, size, &info, NULL) < 0)
		return 0;

	check_metadata(&info);
	segment_header_encode(&info, again);
	if (segment_header_decode(again, segment_header_size(info.metadata_size), &got,
				  NULL) < 0 ||
	    got.kind != info.kind || got.codec != info.codec ||
	    !hash_equal(&got.id, &info.id) || got.index != info.index ||
	    got.content_size != info.content_size ||
	    got.frame_count != info.frame_count || got.frame_size != info.frame_size ||
	    got.compatible != info.compatible || got.metadata_size != info.metadata_size)
		abort();
	return 0;
}
