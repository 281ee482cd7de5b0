/* SPDX-License-Identifier: MIT */
#include "chunker/segment_table.h"

#include "chunker/crc32c.h"
#include "chunker/frame.h"
#include "chunker/packer.h"
#include "chunker/segment.h"
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
#include <zstd.h>

enum {
	FRAME_SIZE = 16 * 1024,
	FRAME_COUNT_MAX = 12,
	CONTENT_MAX = FRAME_COUNT_MAX * FRAME_SIZE,
	BYTES_MAX = CONTENT_MAX + 4096,
	INDEX = 2,
};

/* A whole segment, as it lies in the log. */
struct segment {
	struct segment_info info;
	struct segment_frame frames[FRAME_COUNT_MAX];
	struct hash hashes[FRAME_COUNT_MAX];
	size_t size;
	size_t tail_offset;
	uint8_t content[CONTENT_MAX];
	uint8_t bytes[BYTES_MAX];
};

static struct segment segment;

/* The first half is text, the second one does not compress. */
static void fill_content(uint32_t size)
{
	uint64_t x = 88172645463325252;

	for (uint32_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		segment.content[i] = (uint8_t)(x >> 32);
		if (i < size / 2)
			segment.content[i] = (uint8_t) "decades "[i % 8];
	}
}

static void hash_frame(uint32_t f)
{
	const struct segment_frame *frame = &segment.frames[f];
	const uint8_t *content = segment.content + frame->content_offset;

	if (segment.info.kind == SEGMENT_PIECE)
		tree_subtree_cv(content, frame->content_size,
				(uint64_t)INDEX * 32768 + frame->content_offset / 1024,
				&segment.hashes[f]);
	else
		hash_bytes(content, frame->content_size, &segment.hashes[f]);
}

/* Encode the frames with the content sizes at @sizes behind the place of the header. */
static void put_frames(const uint32_t *sizes)
{
	struct frame_encoder *encoder = NULL;
	uint32_t content = 0;
	size_t at = segment_header_size(0);

	assert_int_equal(frame_encoder_new(3, &encoder, NULL), 0);
	for (uint32_t f = 0; f < segment.info.frame_count; f++) {
		size_t stored = 0;

		assert_int_equal(frame_encode(encoder, segment.content + content,
					      sizes[f], segment.bytes + at,
					      frame_bound(sizes[f]), &stored, NULL, NULL),
				 0);
		segment.frames[f] =
			(struct segment_frame){ content, sizes[f], (uint32_t)at,
						(uint32_t)stored };
		hash_frame(f);
		content += sizes[f];
		at += stored;
	}
	frame_encoder_free(encoder);
	segment.tail_offset = at;
}

static void segment_make(enum segment_kind kind, const uint32_t *sizes,
			 uint32_t frame_count)
{
	struct segment_info *info = &segment.info;
	uint32_t content_size = 0;

	for (uint32_t f = 0; f < frame_count; f++)
		content_size += sizes[f];
	fill_content(content_size);
	*info = (struct segment_info){
		.kind = kind,
		.codec = SEGMENT_CODEC_ZSTD,
		.index = kind == SEGMENT_PIECE ? INDEX : 0,
		.content_size = content_size,
		.frame_count = frame_count,
		.frame_size = FRAME_SIZE,
	};
	put_frames(sizes);
	segment_id(kind, segment.frames, segment.hashes, frame_count, &info->id);
	segment_header_encode(info, segment.bytes);
	segment_tail_encode(info, segment.frames, segment.hashes,
			    segment.bytes + segment.tail_offset);
	segment.size = segment.tail_offset + segment_tail_size(frame_count);
}

static void make_piece(void)
{
	static const uint32_t sizes[] = { FRAME_SIZE, FRAME_SIZE, FRAME_SIZE, FRAME_SIZE,
					  777 };

	segment_make(SEGMENT_PIECE, sizes, 5);
}

static void make_pack(void)
{
	static const uint32_t sizes[] = { 100, FRAME_SIZE, FRAME_SIZE, 5000, 1, 16000 };

	segment_make(SEGMENT_PACK, sizes, 6);
}

static int load(struct segment_table **table_out)
{
	return segment_table_load(&segment.info, segment.bytes + segment.tail_offset,
				  segment_tail_size(segment.info.frame_count), table_out,
				  NULL);
}

static int load_only(void)
{
	struct segment_table *table = NULL;
	int r = load(&table);

	if (r < 0)
		assert_null(table);
	segment_table_free(table);
	return r;
}

static void put_le32(uint8_t *out, uint32_t value)
{
	for (unsigned b = 0; b < 4; b++)
		out[b] = (uint8_t)(value >> 8 * b);
}

/* Make both checksums right again after a change of the tail. */
static void reseal(void)
{
	uint8_t *tail = segment.bytes + segment.tail_offset;
	size_t table_size = segment_frame_table_size(segment.info.frame_count);

	put_le32(tail + 20, crc32c(tail + table_size,
				   segment_seek_table_size(segment.info.frame_count)));
	put_le32(tail + table_size - 4, crc32c(tail, table_size - 4));
}

/* The entry of frame @f in the seek table. */
static uint8_t *seek_entry(uint32_t f)
{
	return segment.bytes + segment.tail_offset +
	       segment_frame_table_size(segment.info.frame_count) + 8 + 8 * (f + 1);
}

static void check_table(void)
{
	struct segment_table *table = NULL;

	assert_int_equal(load(&table), 0);
	assert_int_equal(table->frame_count, segment.info.frame_count);
	assert_int_equal(table->content_size, segment.info.content_size);
	assert_int_equal(table->stored_size, segment.size);
	assert_memory_equal(table->frames, segment.frames,
			    sizeof(segment.frames[0]) * table->frame_count);
	assert_memory_equal(table->hashes, segment.hashes,
			    sizeof(segment.hashes[0]) * table->frame_count);
	for (uint32_t offset = 0; offset < table->content_size; offset++) {
		uint32_t f = segment_table_find(table, offset);

		if (f >= table->frame_count || offset < table->frames[f].content_offset ||
		    offset - table->frames[f].content_offset >=
			    table->frames[f].content_size)
			fail_msg("offset %u in frame %u", offset, f);
	}
	segment_table_free(table);
}

static void the_table_of_a_piece_comes_back(void **state)
{
	(void)state;
	make_piece();
	check_table();
}

static void the_table_of_a_pack_comes_back(void **state)
{
	(void)state;
	make_pack();
	check_table();
}

static void a_segment_of_one_byte_comes_back(void **state)
{
	static const uint32_t one = 1;

	(void)state;
	segment_make(SEGMENT_PIECE, &one, 1);
	check_table();
	segment_make(SEGMENT_PACK, &one, 1);
	check_table();
}

static void the_tail_is_found_from_the_segments_end(void **state)
{
	size_t tail_size = 0;

	(void)state;
	make_piece();
	assert_int_equal(
		segment_tail_probe(segment.bytes + segment.size - SEGMENT_FOOTER_SIZE,
				   &tail_size, NULL),
		0);
	assert_int_equal(tail_size, segment.size - segment.tail_offset);
	assert_int_equal(tail_size, 93 + 40 * 5);
}

static void a_footer_out_of_range_is_refused(void **state)
{
	static const uint8_t bad[][SEGMENT_FOOTER_SIZE] = {
		{ 2, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8f },    /* no frame */
		{ 3, 8, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8f },    /* 2049 frames */
		{ 3, 0, 0, 1, 0, 0xb1, 0xea, 0x92, 0x8f },    /* many */
		{ 3, 0, 0, 0, 0x80, 0xb1, 0xea, 0x92, 0x8f }, /* with checksums */
		{ 3, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8e },    /* another magic */
	};
	static const uint8_t good[SEGMENT_FOOTER_SIZE] = { 2,    8,    0,    0,   0,
							   0xb1, 0xea, 0x92, 0x8f };
	size_t tail_size = 77;

	(void)state;
	for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++)
		assert_int_equal(segment_tail_probe(bad[b], &tail_size, NULL), -EBADMSG);
	assert_int_equal(tail_size, 77);
	assert_int_equal(segment_tail_probe(good, &tail_size, NULL), 0);
	assert_int_equal(tail_size, segment_tail_size(2048));
}

static void zstd_decodes_a_segment_as_one_file(void **state)
{
	static uint8_t decoded[CONTENT_MAX];

	(void)state;
	for (int pack = 0; pack < 2; pack++) {
		if (pack)
			make_pack();
		else
			make_piece();
		memset(decoded, 0, sizeof(decoded));
		assert_int_equal(ZSTD_decompress(decoded, sizeof(decoded), segment.bytes,
						 segment.size),
				 segment.info.content_size);
		assert_memory_equal(decoded, segment.content, segment.info.content_size);
	}
}

static void every_truncation_is_refused(void **state)
{
	struct segment_table *table = NULL;
	size_t size;

	(void)state;
	make_pack();
	size = segment_tail_size(segment.info.frame_count);
	for (size_t n = 0; n <= size + 8; n++) {
		if (n != size)
			assert_int_equal(
				segment_table_load(&segment.info,
						   segment.bytes + segment.tail_offset, n,
						   &table, NULL),
				-EBADMSG);
	}
	assert_null(table);
}

static void every_flipped_bit_is_detected(void **state)
{
	(void)state;
	for (int pack = 0; pack < 2; pack++) {
		if (pack)
			make_pack();
		else
			make_piece();
		for (size_t at = segment.tail_offset; at < segment.size; at++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				segment.bytes[at] ^= (uint8_t)(1 << bit);
				assert_int_equal(load_only(), -EBADMSG);
				segment.bytes[at] ^= (uint8_t)(1 << bit);
			}
		}
		assert_int_equal(load_only(), 0);
	}
}

static void a_newer_frame_table_is_not_called_damage(void **state)
{
	(void)state;
	make_piece();
	segment.bytes[segment.tail_offset + 12] = 2;
	reseal();
	assert_int_equal(load_only(), -EPROTONOSUPPORT);
	segment.bytes[segment.tail_offset + 12] = 0;
	reseal();
	assert_int_equal(load_only(), -EBADMSG);
}

static void sizes_that_do_not_fit_are_refused_although_the_checksums_are_right(
	void **state)
{
	(void)state;
	make_pack();
	reseal();
	assert_int_equal(load_only(), 0);

	put_le32(seek_entry(0) + 4, 0); /* no content */
	reseal();
	assert_int_equal(load_only(), -EBADMSG);
	put_le32(seek_entry(0) + 4, FRAME_SIZE + 1); /* more than the frame size */
	reseal();
	assert_int_equal(load_only(), -EBADMSG);
	put_le32(seek_entry(0) + 4, 99); /* the sum is wrong */
	reseal();
	assert_int_equal(load_only(), -EBADMSG);
	put_le32(seek_entry(4) + 4, 2); /* the sum is right, the id is not */
	reseal();
	assert_int_equal(load_only(), -EBADMSG);

	make_pack();
	put_le32(seek_entry(0),
		 (uint32_t)frame_bound(100) + 1); /* more than a frame takes */
	reseal();
	assert_int_equal(load_only(), -EBADMSG);
	put_le32(seek_entry(0), 0);
	reseal();
	assert_int_equal(load_only(), -EBADMSG);

	make_pack();
	put_le32(seek_entry(0) - 8, SEGMENT_HEADER_SIZE + 1); /* the header's own entry */
	reseal();
	assert_int_equal(load_only(), -EBADMSG);
	make_pack();
	put_le32(seek_entry(6) + 4, 1); /* the frame table's own entry */
	reseal();
	assert_int_equal(load_only(), -EBADMSG);

	make_piece();
	put_le32(seek_entry(0) + 4, FRAME_SIZE - 1); /* a piece has full frames */
	put_le32(seek_entry(4) + 4, 778);
	reseal();
	assert_int_equal(load_only(), -EBADMSG);
}

static void hashes_that_do_not_give_the_id_are_refused(void **state)
{
	(void)state;
	for (int pack = 0; pack < 2; pack++) {
		if (pack)
			make_pack();
		else
			make_piece();
		segment.bytes[segment.tail_offset + 56 + 32 + 5] ^= 1;
		reseal();
		assert_int_equal(load_only(), -EBADMSG);
	}
}

static void the_tail_of_another_segment_is_refused(void **state)
{
	struct segment_info info;

	(void)state;
	make_piece();
	info = segment.info;
	segment.info.id.bytes[3] ^= 1;
	assert_int_equal(load_only(), -EBADMSG);
	segment.info = info;
	segment.info.frame_count = 4;
	assert_int_equal(load_only(), -EBADMSG);
	segment.info = info;
	segment.info.content_size--;
	assert_int_equal(load_only(), -EBADMSG);
	segment.info = info;
	segment.info.metadata_size = 4;
	assert_int_equal(load_only(), -EBADMSG);
	segment.info = info;
	segment.info.frame_count = 0;
	assert_int_equal(load_only(), -EBADMSG);
}

static void what_the_packer_plans_can_be_encoded(void **state)
{
	static const uint32_t files[] = { 10,   16000, 16384, 40000, 5,
					  7000, 12000, 3,     20000 };
	struct packer packer;
	uint32_t offset;

	(void)state;
	packer_init(&packer, FRAME_SIZE);
	for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++)
		assert_true(packer_add(&packer, files[f], &offset));
	assert_in_range(packer.frame_count, 2, FRAME_COUNT_MAX);
	segment_make(SEGMENT_PACK, packer.frame_sizes, packer.frame_count);
	assert_int_equal(segment.info.content_size, packer.content_size);
	check_table();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_of_a_piece_comes_back),
		cmocka_unit_test(the_table_of_a_pack_comes_back),
		cmocka_unit_test(a_segment_of_one_byte_comes_back),
		cmocka_unit_test(the_tail_is_found_from_the_segments_end),
		cmocka_unit_test(a_footer_out_of_range_is_refused),
		cmocka_unit_test(zstd_decodes_a_segment_as_one_file),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_is_detected),
		cmocka_unit_test(a_newer_frame_table_is_not_called_damage),
		cmocka_unit_test(
			sizes_that_do_not_fit_are_refused_although_the_checksums_are_right),
		cmocka_unit_test(hashes_that_do_not_give_the_id_are_refused),
		cmocka_unit_test(the_tail_of_another_segment_is_refused),
		cmocka_unit_test(what_the_packer_plans_can_be_encoded),
	};

	return cmocka_run_group_tests_name("segment_table", tests, NULL, NULL);
}
