/* SPDX-License-Identifier: MIT */
#include "chunker/frame.h"

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

static struct frame_encoder *encoder;
static struct frame_decoder *decoder;
static uint8_t content[FRAME_SIZE_MAX];
static uint8_t encoded[FRAME_STORED_MAX + 16];
static uint8_t decoded[FRAME_SIZE_MAX];

static const size_t sizes[] = {
	1,     2,     3,      255,    256,    257,    1023,   1024,   16383,
	16384, 65535, 131071, 131072, 131073, 200000, 262143, 262144,
};
#define SIZE_COUNT (sizeof(sizes) / sizeof(sizes[0]))

static void fill_random(uint8_t *out, size_t size)
{
	static uint64_t x = UINT64_C(0xfeedbeefcafe);

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (uint8_t)(x * UINT64_C(0x2545f4914f6cdd1d) >> 56);
	}
}

/* Words in random order: about three to one. */
static void fill_text(uint8_t *out, size_t size)
{
	static const char *const words[] = { "archive ", "of ",   "data ",   "that ",
					     "rots ",    "and\n", "parity ", "heals " };
	size_t at = 0;

	while (at < size) {
		uint8_t pick;
		size_t length;

		fill_random(&pick, 1);
		length = strlen(words[pick % 8]);
		if (length > size - at)
			length = size - at;
		memcpy(out + at, words[pick % 8], length);
		at += length;
	}
}

static size_t encode(size_t size, bool *stored_out)
{
	size_t encoded_size = 0;

	assert_int_equal(frame_encode(encoder, content, size, encoded, frame_bound(size),
				      &encoded_size, stored_out, NULL),
			 0);
	assert_true(encoded_size >= 1 && encoded_size <= frame_bound(size));
	return encoded_size;
}

static void check_round_trip(size_t size, size_t encoded_size)
{
	memset(decoded, 0x5a, sizeof(decoded));
	assert_int_equal(
		frame_decode(decoder, encoded, encoded_size, decoded, size, NULL), 0);
	assert_memory_equal(decoded, content, size);

	memset(decoded, 0x5a, sizeof(decoded));
	assert_int_equal(ZSTD_decompress(decoded, size, encoded, encoded_size), size);
	assert_memory_equal(decoded, content, size);
}

static void text_of_every_size_comes_back(void **state)
{
	(void)state;
	fill_text(content, sizeof(content));
	for (size_t s = 0; s < SIZE_COUNT; s++) {
		bool stored;
		size_t encoded_size = encode(sizes[s], &stored);

		check_round_trip(sizes[s], encoded_size);
		assert_int_equal(stored,
				 frame_is_stored(encoded, encoded_size, sizes[s]));
		assert_int_equal(stored, sizes[s] < 255);
		assert_int_equal(ZSTD_getFrameContentSize(encoded, encoded_size),
				 sizes[s]);
	}
}

static void random_bytes_of_every_size_are_stored(void **state)
{
	(void)state;
	fill_random(content, sizeof(content));
	for (size_t s = 0; s < SIZE_COUNT; s++) {
		bool stored;
		size_t encoded_size = encode(sizes[s], &stored);

		assert_true(stored);
		assert_int_equal(encoded_size, frame_bound(sizes[s]));
		assert_true(frame_is_stored(encoded, encoded_size, sizes[s]));
		check_round_trip(sizes[s], encoded_size);
	}
	assert_int_equal(frame_bound(FRAME_SIZE_MAX), FRAME_STORED_MAX);
	assert_int_equal(FRAME_STORED_MAX, 262159);
}

static void a_stored_frame_maps_every_content_byte(void **state)
{
	(void)state;
	fill_random(content, sizeof(content));
	for (size_t s = 0; s < SIZE_COUNT; s++) {
		frame_store(content, sizes[s], encoded);
		for (size_t offset = 0; offset < sizes[s]; offset++) {
			size_t at = frame_stored_offset(sizes[s], offset);

			if (at >= frame_bound(sizes[s]) || encoded[at] != content[offset])
				fail_msg("size %zu offset %zu", sizes[s], offset);
		}
	}
}

static void frames_half_random_half_text_are_compressed(void **state)
{
	bool stored;

	(void)state;
	fill_random(content, FRAME_SIZE_MAX / 2);
	fill_text(content + FRAME_SIZE_MAX / 2, FRAME_SIZE_MAX / 2);
	assert_in_range(encode(FRAME_SIZE_MAX, &stored), 1, FRAME_SIZE_MAX * 3 / 4);
	assert_false(stored);
	check_round_trip(FRAME_SIZE_MAX, encode(FRAME_SIZE_MAX, NULL));
}

static void random_bytes_that_repeat_are_compressed(void **state)
{
	const size_t length = FRAME_SIZE_MAX / 2 - 3001;
	bool stored;

	(void)state;
	fill_random(content, sizeof(content));
	memcpy(content + FRAME_SIZE_MAX - length, content + 1001, length);
	assert_in_range(encode(FRAME_SIZE_MAX, &stored), 1, FRAME_SIZE_MAX * 2 / 3);
	assert_false(stored);
}

static void every_level_comes_back(void **state)
{
	(void)state;
	fill_text(content, sizeof(content));
	for (int level = FRAME_LEVEL_MIN; level <= FRAME_LEVEL_MAX; level++) {
		struct frame_encoder *other = NULL;
		size_t size = 0;

		assert_int_equal(frame_encoder_new(level, &other, NULL), 0);
		assert_int_equal(frame_encode(other, content, FRAME_SIZE_MAX, encoded,
					      FRAME_STORED_MAX, &size, NULL, NULL),
				 0);
		check_round_trip(FRAME_SIZE_MAX, size);
		assert_in_range(frame_encoder_memory(other), 1, 16 << 20);
		frame_encoder_free(other);
	}
}

static void the_same_content_gives_the_same_bytes(void **state)
{
	static uint8_t first[FRAME_STORED_MAX];
	size_t size;

	(void)state;
	fill_text(content, 100000);
	size = encode(100000, NULL);
	memcpy(first, encoded, size);
	fill_random(content + 100000, 100000);
	(void)encode(200000, NULL);
	assert_int_equal(encode(100000, NULL), size);
	assert_memory_equal(encoded, first, size);
}

/* Whatever the encoder did before: other sizes, content that it gave up. */
static void an_encoder_keeps_nothing_from_one_frame_to_the_next(void **state)
{
	static const size_t turns[] = { 262144, 100000, 131073, 131072, 262144, 200000 };
	static uint8_t expected[FRAME_STORED_MAX];

	(void)state;
	for (size_t t = 0; t < sizeof(turns) / sizeof(turns[0]); t++) {
		autoptr(frame_encoder) fresh = NULL;
		size_t expected_size, size;

		fill_random(content, turns[t]);
		assert_int_equal(frame_compress(encoder, content, turns[t], encoded,
						sizeof(encoded), &size, NULL),
				 FRAME_STORED);
		fill_text(content, turns[t]);
		assert_int_equal(frame_encoder_new(3, &fresh, NULL), 0);
		assert_int_equal(frame_encode(fresh, content, turns[t], expected,
					      sizeof(expected), &expected_size, NULL,
					      NULL),
				 0);
		assert_int_equal(encode(turns[t], NULL), expected_size);
		assert_memory_equal(encoded, expected, expected_size);
	}
}

static void another_content_size_is_refused(void **state)
{
	size_t size;

	(void)state;
	for (int random = 0; random < 2; random++) {
		(random ? fill_random : fill_text)(content, 5000);
		size = encode(5000, NULL);
		assert_int_equal(
			frame_decode(decoder, encoded, size, decoded, 4999, NULL),
			-EBADMSG);
		assert_int_equal(
			frame_decode(decoder, encoded, size, decoded, 5001, NULL),
			-EBADMSG);
		assert_int_equal(frame_decode(decoder, encoded, size, decoded, 0, NULL),
				 -EBADMSG);
		assert_int_equal(frame_decode(decoder, encoded, size, decoded,
					      FRAME_SIZE_MAX + 1, NULL),
				 -EBADMSG);
	}
}

static void every_truncation_and_every_extra_byte_is_refused(void **state)
{
	(void)state;
	for (int random = 0; random < 2; random++) {
		size_t size;

		(random ? fill_random : fill_text)(content, 3000);
		size = encode(3000, NULL);
		for (size_t n = 0; n < size; n++)
			assert_int_equal(
				frame_decode(decoder, encoded, n, decoded, 3000, NULL),
				-EBADMSG);
		memset(encoded + size, 0, 16);
		for (size_t n = size + 1; n <= size + 16; n++)
			assert_int_equal(
				frame_decode(decoder, encoded, n, decoded, 3000, NULL),
				-EBADMSG);
		check_round_trip(3000, size);
	}
}

static void two_frames_and_skippable_frames_are_refused(void **state)
{
	static const uint8_t skippable[8] = { 0x50, 0x2a, 0x4d, 0x18 };
	size_t first, second = 0;

	(void)state;
	fill_text(content, 4000);
	first = encode(2000, NULL);
	assert_int_equal(frame_encode(encoder, content + 2000, 2000, encoded + first,
				      frame_bound(2000), &second, NULL, NULL),
			 0);
	assert_int_equal(
		frame_decode(decoder, encoded, first + second, decoded, 4000, NULL),
		-EBADMSG);
	assert_int_equal(
		frame_decode(decoder, encoded, first + second, decoded, 2000, NULL),
		-EBADMSG);
	memcpy(encoded + first, skippable, sizeof(skippable));
	assert_int_equal(frame_decode(decoder, encoded, first + sizeof(skippable),
				      decoded, 2000, NULL),
			 -EBADMSG);
	assert_int_equal(
		frame_decode(decoder, skippable, sizeof(skippable), decoded, 1, NULL),
		-EBADMSG);
}

static void a_stored_frame_is_recognised_by_its_headers_alone(void **state)
{
	const size_t size = 150000;
	const size_t header_bytes[] = { 0, 3, 4, 5, 8, 9, 11, 12 + 131072, 14 + 131072 };

	(void)state;
	fill_random(content, size);
	frame_store(content, size, encoded);
	assert_true(frame_is_stored(encoded, frame_bound(size), size));
	assert_false(frame_is_stored(encoded, frame_bound(size) - 1, size));
	assert_false(frame_is_stored(encoded, frame_bound(size), size - 1));
	for (size_t h = 0; h < sizeof(header_bytes) / sizeof(header_bytes[0]); h++) {
		encoded[header_bytes[h]] ^= 1;
		assert_false(frame_is_stored(encoded, frame_bound(size), size));
		encoded[header_bytes[h]] ^= 1;
	}
	encoded[12] ^= 1; /* content is the business of hashes */
	assert_true(frame_is_stored(encoded, frame_bound(size), size));
}

static void check_prefix(size_t encoded_size, size_t have, size_t wanted, bool whole)
{
	uint8_t *exact = malloc(have); /* so that a read behind it is noticed */
	size_t got = 0;

	assert_non_null(exact);
	memcpy(exact, encoded, have);
	memset(decoded, 0x5a, sizeof(decoded));
	assert_int_equal(frame_decode_prefix(decoder, exact, have, decoded, wanted,
					     FRAME_SIZE_MAX, &got, NULL),
			 0);
	assert_true(whole ? got == wanted : got <= wanted);
	assert_true(have < encoded_size || got == wanted);
	assert_memory_equal(decoded, content, got);
	if (wanted < FRAME_SIZE_MAX)
		assert_int_equal(decoded[wanted], 0x5a);
	free(exact);
}

static void every_prefix_is_decoded_alone(void **state)
{
	size_t size;

	(void)state;
	for (unsigned i = 0; i < 2; i++) { /* compressed, and stored */
		if (i == 0)
			fill_text(content, sizeof(content));
		else
			fill_random(content, sizeof(content));
		size = encode(sizeof(content), NULL);
		for (unsigned j = 0; j < SIZE_COUNT; j++)
			check_prefix(size, size, sizes[j], true);
		for (size_t have = 20; have < size; have += size / 50)
			check_prefix(size, have, FRAME_SIZE_MAX, false);
		/* The first block is complete where the second one begins. */
		check_prefix(size, size - 20, i == 0 ? FRAME_PART_SIZE : FRAME_BLOCK_SIZE,
			     true);
		check_round_trip(sizeof(content), size);
	}
}

/* Where block @n of the encoded frame ends, which has a header of 9 bytes. */
static size_t end_of_block(unsigned n)
{
	size_t end = 9;

	for (unsigned i = 0; i <= n; i++)
		end += 3 +
		       ((encoded[end] | encoded[end + 1] << 8 | encoded[end + 2] << 16) >>
			3);
	return end;
}

static void a_part_takes_nothing_that_is_behind_it(void **state)
{
	const unsigned count = FRAME_SIZE_MAX / FRAME_PART_SIZE;
	size_t size;

	(void)state;
	fill_text(content, sizeof(content));
	size = encode(sizeof(content), NULL);
	assert_int_equal(end_of_block(count - 1), size);
	for (unsigned n = 0; n + 1 < count; n++) {
		size_t end = end_of_block(n);
		uint8_t header = encoded[end];

		check_prefix(size, end, (n + 1) * FRAME_PART_SIZE, true);
		encoded[end] = 0xff; /* the next block's type is reserved */
		check_prefix(size, size, (n + 1) * FRAME_PART_SIZE, true);
		encoded[end] = header;
	}
}

static void a_prefix_of_another_size_or_of_damage_is_refused(void **state)
{
	size_t size, got = 7;

	(void)state;
	fill_text(content, 200000);
	size = encode(200000, NULL);
	assert_int_equal(frame_decode_prefix(decoder, encoded, size, decoded, 100, 200001,
					     &got, NULL),
			 -EBADMSG);
	encoded[9] = 0xff; /* a block of reserved type, or too large */
	encoded[10] = 0xff;
	encoded[11] = 0xff;
	assert_int_equal(frame_decode_prefix(decoder, encoded, size, decoded, 100, 200000,
					     &got, NULL),
			 -EBADMSG);
	assert_int_equal(got, 7);
}

static void what_has_a_stored_frames_size_must_be_one(void **state)
{
	size_t size = frame_bound(1000);

	(void)state;
	fill_random(content, 1000);
	assert_int_equal(encode(1000, NULL), size);
	assert_true(frame_size_is_stored(size, 1000));
	assert_false(frame_size_is_stored(size - 1, 1000));
	assert_false(frame_size_is_stored(size, 0));
	encoded[9] |= 1 << 1; /* a run-length block would be shorter */
	assert_int_equal(frame_decode(decoder, encoded, size, decoded, 1000, NULL),
			 -EBADMSG);
}

static void arguments_out_of_range_are_refused(void **state)
{
	struct frame_encoder *other = NULL;
	size_t size = 0;

	(void)state;
	assert_int_equal(frame_encoder_new(FRAME_LEVEL_MAX + 1, &other, NULL), -EINVAL);
	assert_int_equal(frame_encoder_new(FRAME_LEVEL_MIN - 1, &other, NULL), -EINVAL);
	assert_null(other);
	frame_encoder_free(NULL);
	frame_decoder_free(NULL);
	assert_int_equal(frame_encode(encoder, content, 0, encoded, sizeof(encoded),
				      &size, NULL, NULL),
			 -EINVAL);
	assert_int_equal(frame_encode(encoder, content, FRAME_SIZE_MAX + 1, encoded,
				      sizeof(encoded), &size, NULL, NULL),
			 -EINVAL);
	assert_int_equal(frame_encode(encoder, content, 100, encoded,
				      frame_bound(100) - 1, &size, NULL, NULL),
			 -EINVAL);
}

static int open_both(void **state)
{
	(void)state;
	return frame_encoder_new(3, &encoder, NULL) || frame_decoder_new(&decoder, NULL);
}

static int close_both(void **state)
{
	(void)state;
	frame_encoder_free(encoder);
	frame_decoder_free(decoder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_every_size_comes_back),
		cmocka_unit_test(random_bytes_of_every_size_are_stored),
		cmocka_unit_test(a_stored_frame_maps_every_content_byte),
		cmocka_unit_test(frames_half_random_half_text_are_compressed),
		cmocka_unit_test(random_bytes_that_repeat_are_compressed),
		cmocka_unit_test(every_level_comes_back),
		cmocka_unit_test(the_same_content_gives_the_same_bytes),
		cmocka_unit_test(an_encoder_keeps_nothing_from_one_frame_to_the_next),
		cmocka_unit_test(another_content_size_is_refused),
		cmocka_unit_test(every_truncation_and_every_extra_byte_is_refused),
		cmocka_unit_test(two_frames_and_skippable_frames_are_refused),
		cmocka_unit_test(a_stored_frame_is_recognised_by_its_headers_alone),
		cmocka_unit_test(every_prefix_is_decoded_alone),
		cmocka_unit_test(a_part_takes_nothing_that_is_behind_it),
		cmocka_unit_test(a_prefix_of_another_size_or_of_damage_is_refused),
		cmocka_unit_test(what_has_a_stored_frames_size_must_be_one),
		cmocka_unit_test(arguments_out_of_range_are_refused),
	};

	return cmocka_run_group_tests_name("frame", tests, open_both, close_both);
}
