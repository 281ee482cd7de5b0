/* SPDX-License-Identifier: MIT */
#include "chunker/segment.h"

#include "chunker/crc32c.h"
#include "chunker/segment_table.h"
#include "merkle/tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

enum {
	METADATA_SIZE = 4 + 3 + 4,
	BYTES_SIZE = SEGMENT_HEADER_SIZE + METADATA_SIZE,
};

/* Type 0x0102 "abc", type 0x0304 empty. */
static const uint8_t metadata[METADATA_SIZE] = { 2, 1, 3, 0, 'a', 'b', 'c', 4, 3, 0, 0 };

static const struct segment_info piece = {
	.kind = SEGMENT_PIECE,
	.codec = SEGMENT_CODEC_ZSTD,
	.id = { .bytes = { 0xa0, 0xa1, 0xa2, [31] = 0xbf } },
	.index = 0x123456789,
	.content_size = 0x00812345,
	.frame_count = 33,
	.frame_size = 256 * 1024,
	.compatible = 0x8001,
	.metadata_size = METADATA_SIZE,
	.metadata = metadata,
};

static void encode(const struct segment_info *info, uint8_t bytes[BYTES_SIZE])
{
	segment_header_encode(info, bytes);
}

/* Make the checksum right again after a change. */
static void reseal(uint8_t *bytes, size_t size)
{
	uint32_t crc = crc32c(bytes, size - 4);

	for (unsigned b = 0; b < 4; b++)
		bytes[size - 4 + b] = (uint8_t)(crc >> 8 * b);
}

static int decode_patched(size_t offset, uint8_t value)
{
	struct segment_info info;
	uint8_t bytes[BYTES_SIZE];

	encode(&piece, bytes);
	bytes[offset] = value;
	reseal(bytes, sizeof(bytes));
	return segment_header_decode(bytes, sizeof(bytes), &info, NULL);
}

static void a_header_comes_back(void **state)
{
	struct segment_info info;
	uint8_t bytes[BYTES_SIZE + 100] = { 0 };

	(void)state;
	encode(&piece, bytes);
	assert_int_equal(segment_header_decode(bytes, sizeof(bytes), &info, NULL), 0);
	assert_int_equal(info.kind, piece.kind);
	assert_int_equal(info.codec, piece.codec);
	assert_true(hash_equal(&info.id, &piece.id));
	assert_int_equal(info.index, piece.index);
	assert_int_equal(info.content_size, piece.content_size);
	assert_int_equal(info.frame_count, piece.frame_count);
	assert_int_equal(info.frame_size, piece.frame_size);
	assert_int_equal(info.compatible, piece.compatible);
	assert_int_equal(info.metadata_size, METADATA_SIZE);
	assert_memory_equal(info.metadata, metadata, METADATA_SIZE);
	assert_ptr_equal(info.metadata, bytes + 80);
}

static void the_bytes_are_those_of_the_format(void **state)
{
	static const uint8_t expected[BYTES_SIZE - 4] = {
		0x52, 0x2a, 0x4d, 0x18,        87,   0,    0,    0, /* skippable frame, kind 2 */
		'B',  'F',  'S',  'G',         1,    0,    1,    1, /* version, kind, codec */
		0,    0,    0x01, 0x80,        0x45, 0x23, 0x81, 0x00, /* flags, content size */
		0x89, 0x67, 0x45, 0x23,        0x01, 0,    0,    0, /* index */
		0xa0, 0xa1, 0xa2, [63] = 0xbf,                      /* id */
		33,   0,    0,    0,           0,    0,    4,    0, /* frames, frame size */
		0,    0,    0,    0,           11,   0,    0,    0, /* reserved, metadata size */
		2,    1,    3,    0,           'a',  'b',  'c',  4,    3, 0, 0,
	};
	uint8_t bytes[BYTES_SIZE];
	uint32_t crc = crc32c(expected, sizeof(expected));

	(void)state;
	assert_int_equal(segment_header_size(METADATA_SIZE), BYTES_SIZE);
	encode(&piece, bytes);
	assert_memory_equal(bytes, expected, sizeof(expected));
	for (unsigned b = 0; b < 4; b++)
		assert_int_equal(bytes[sizeof(expected) + b], (uint8_t)(crc >> 8 * b));
}

static void every_truncation_is_refused(void **state)
{
	struct segment_info info = { .index = 77 };
	uint8_t bytes[BYTES_SIZE];

	(void)state;
	encode(&piece, bytes);
	for (size_t size = 0; size < sizeof(bytes); size++)
		assert_int_equal(segment_header_decode(bytes, size, &info, NULL),
				 -EBADMSG);
	assert_int_equal(info.index, 77);
}

static void every_flipped_bit_is_detected(void **state)
{
	struct segment_info info;
	uint8_t bytes[BYTES_SIZE];

	(void)state;
	encode(&piece, bytes);
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(segment_header_decode(bytes, sizeof(bytes), &info, NULL),
				 -EBADMSG);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void what_only_a_newer_reader_knows_is_not_called_damage(void **state)
{
	(void)state;
	assert_int_equal(decode_patched(12, 2), -EPROTONOSUPPORT); /* version */
	assert_int_equal(decode_patched(13, 1), -EPROTONOSUPPORT);
	assert_int_equal(decode_patched(15, 2), -EPROTONOSUPPORT); /* codec */
	for (unsigned bit = 0; bit < 16; bit++)
		assert_int_equal(decode_patched(16 + bit / 8, (uint8_t)(1 << bit % 8)),
				 -EPROTONOSUPPORT);    /* incompatible */
	assert_int_equal(decode_patched(18, 0xff), 0); /* compatible */
	assert_int_equal(decode_patched(72, 0xff), 0); /* reserved */
}

static void values_out_of_range_are_refused(void **state)
{
	(void)state;
	assert_int_equal(decode_patched(12, 0), -EBADMSG); /* version 0 */
	assert_int_equal(decode_patched(14, 0), -EBADMSG); /* kind */
	assert_int_equal(decode_patched(14, 3), -EBADMSG);
	assert_int_equal(decode_patched(14, 2), -EBADMSG);    /* a pack with an index */
	assert_int_equal(decode_patched(28, 0x40), -EBADMSG); /* index 2^38 */
	assert_int_equal(decode_patched(28, 0x3f), 0);
	assert_int_equal(decode_patched(23, 2), -EBADMSG);  /* more than 32 MiB */
	assert_int_equal(decode_patched(64, 32), -EBADMSG); /* frames */
	assert_int_equal(decode_patched(64, 34), -EBADMSG);
	assert_int_equal(decode_patched(70, 5), -EBADMSG); /* frame size */
	assert_int_equal(decode_patched(70, 8), -EBADMSG);
	assert_int_equal(decode_patched(70, 0), -EBADMSG);
	assert_int_equal(decode_patched(76, 10), -EBADMSG);  /* metadata size */
	assert_int_equal(decode_patched(82, 200), -EBADMSG); /* entry beyond the end */
	assert_int_equal(decode_patched(82, 7), 0);
	assert_int_equal(decode_patched(82, 6), -EBADMSG); /* one byte is left */
}

static void a_pack_may_have_short_frames_but_no_empty_ones(void **state)
{
	struct segment_info pack = piece, got;
	uint8_t bytes[SEGMENT_HEADER_SIZE];

	(void)state;
	pack.kind = SEGMENT_PACK;
	pack.index = 0;
	pack.metadata_size = 0;
	pack.metadata = NULL;
	pack.content_size = 40;
	pack.frame_count = 40;
	segment_header_encode(&pack, bytes);
	assert_int_equal(segment_header_decode(bytes, sizeof(bytes), &got, NULL), 0);
	assert_int_equal(got.frame_count, 40);
	assert_int_equal(got.metadata_size, 0);
	assert_null(got.metadata);
	bytes[64] = 41;
	reseal(bytes, sizeof(bytes));
	assert_int_equal(segment_header_decode(bytes, sizeof(bytes), &got, NULL),
			 -EBADMSG);
	bytes[64] = 0;
	reseal(bytes, sizeof(bytes));
	assert_int_equal(segment_header_decode(bytes, sizeof(bytes), &got, NULL),
			 -EBADMSG);
}

static void metadata_is_walked_in_order(void **state)
{
	struct segment_tlv tlv;
	uint32_t position = 0;

	(void)state;
	assert_int_equal(segment_metadata_next(&piece, &position, &tlv), 1);
	assert_int_equal(tlv.type, 0x0102);
	assert_int_equal(tlv.size, 3);
	assert_memory_equal(tlv.value, "abc", 3);
	assert_int_equal(segment_metadata_next(&piece, &position, &tlv), 1);
	assert_int_equal(tlv.type, 0x0304);
	assert_int_equal(tlv.size, 0);
	assert_int_equal(segment_metadata_next(&piece, &position, &tlv), 0);
}

static void metadata_may_fill_4096_bytes_and_no_more(void **state)
{
	static uint8_t bytes[SEGMENT_HEADER_SIZE + SEGMENT_METADATA_MAX + 4];
	static uint8_t large[SEGMENT_METADATA_MAX] = { 1, 0, 0xfc, 0x0f };
	struct segment_info info = piece;

	(void)state;
	info.metadata = large;
	info.metadata_size = sizeof(large);
	segment_header_encode(&info, bytes);
	assert_int_equal(segment_header_decode(bytes, sizeof(bytes), &info, NULL), 0);

	/* One empty entry more. */
	bytes[4] = (uint8_t)(bytes[4] + 4);
	bytes[76] = 4;
	memset(bytes + sizeof(bytes) - 8, 0, 4);
	reseal(bytes, sizeof(bytes));
	assert_int_equal(segment_header_decode(bytes, sizeof(bytes), &info, NULL),
			 -EBADMSG);
}

static void the_id_of_a_piece_is_the_chaining_value_of_its_content(void **state)
{
	enum { SIZE = 5 * 16384 + 123 };
	static uint8_t content[SIZE];
	struct hash hashes[6], id, expected;
	const uint64_t first_chunk = 32768 * 3;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		content[i] = (uint8_t)(i * i >> 7);
	for (unsigned f = 0; f < 6; f++) {
		size_t size = f < 5 ? 16384 : 123;

		tree_subtree_cv(content + f * 16384, size, first_chunk + f * 16,
				&hashes[f]);
	}
	segment_id(SEGMENT_PIECE, NULL, hashes, 6, &id);
	tree_subtree_cv(content, SIZE, first_chunk, &expected);
	assert_true(hash_equal(&id, &expected));
}

static void the_id_of_a_pack_covers_sizes_and_hashes(void **state)
{
	uint8_t list[8 + 2 * 36] = { 'B', 'F', 'P', 'A', 'C', 'K', 0, 1 };
	struct segment_frame frames[2] = { { .content_size = 0x010203 },
					   { .content_size = 5 } };
	struct hash hashes[2], id, expected;

	(void)state;
	hash_bytes("one", 3, &hashes[0]);
	hash_bytes("two", 3, &hashes[1]);
	memcpy(list + 8, "\3\2\1\0", 4);
	memcpy(list + 12, &hashes[0], 32);
	memcpy(list + 44, "\5\0\0\0", 4);
	memcpy(list + 48, &hashes[1], 32);
	hash_bytes(list, sizeof(list), &expected);
	segment_id(SEGMENT_PACK, frames, hashes, 2, &id);
	assert_true(hash_equal(&id, &expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_comes_back),
		cmocka_unit_test(the_bytes_are_those_of_the_format),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_is_detected),
		cmocka_unit_test(what_only_a_newer_reader_knows_is_not_called_damage),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(a_pack_may_have_short_frames_but_no_empty_ones),
		cmocka_unit_test(metadata_is_walked_in_order),
		cmocka_unit_test(metadata_may_fill_4096_bytes_and_no_more),
		cmocka_unit_test(the_id_of_a_piece_is_the_chaining_value_of_its_content),
		cmocka_unit_test(the_id_of_a_pack_covers_sizes_and_hashes),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
