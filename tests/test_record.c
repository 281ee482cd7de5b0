/* SPDX-License-Identifier: MIT */
#include "volume/record.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct extent_info extents[5] = {
	{ .payload_size = 5000, .area_size = 8192, .hash = { { 1 } } },
	{ .payload_size = 100, .area_size = 4096, .hash = { { 2 } } },
	{ .area_size = 8192, .hash = { { 3 } } },
	{ .area_size = 8192, .hash = { { 4 } } },
	{ .area_size = 8192, .hash = { { 5 } } },
};
static struct stripe_info stripe;
static struct segment_place segment, foreign;
static struct page_place pages[2];
static char head[] = "{\"head\":1}", info[] = "{}";

/* A record with one of everything; what it points to is static. */
static struct record sample(void)
{
	struct record record = {
		.kind = STRIPE_COMMIT,
		.checkpoint = true,
		.volume = { { 1 } },
		.epoch = { { 2 } },
		.archive_id = { { 3 } },
		.sequence = 5,
		.previous_offset = 8192,
		.previous_hash = { { 4 } },
		.log_start = 1000,
		.log_end = 9000,
		.stripe_number = 12,
		.stripes = &stripe,
		.stripe_count = 1,
		.segments = &segment,
		.segment_count = 1,
		.pages = pages,
		.page_count = 2,
		.foreign = &foreign,
		.foreign_count = 1,
		.head = head,
		.head_size = sizeof(head) - 1,
		.info = info,
		.info_size = sizeof(info) - 1,
	};

	stripe = (struct stripe_info){ .number = 11,
				       .offset = 1 << 20,
				       .log_start = 1000,
				       .epoch = { { 9 } },
				       .kind = STRIPE_DATA,
				       .data_count = 2,
				       .extents = extents };
	geometry_init(&stripe.geometry, 4, 3, 2, 1 << 20);
	segment = (struct segment_place){ .id = { { 7 } },
					  .index = 3,
					  .log_offset = 1000,
					  .content_size = 4000,
					  .stored_size = 3000,
					  .frame_count = 1,
					  .kind = 1,
					  .volume = record.volume };
	foreign = segment;
	foreign.log_offset = UINT64_C(1) << 50;
	foreign.volume.bytes[0] = 77;
	pages[0] = (struct page_place){ { { 1 } }, 4000, 500, 4 };
	pages[1] = (struct page_place){ { { 2 } }, 4500, 500, 6 };
	return record;
}

static void encode(struct record *record, uint8_t **bytes_out, size_t *size_out)
{
	assert_int_equal(record_encode(record, bytes_out, size_out, NULL), 0);
}

static void a_record_comes_back_as_it_was(void **state)
{
	struct record record = sample();
	autofree uint8_t *bytes = NULL;
	autofree uint8_t *again = NULL;
	struct record *got;
	size_t size, again_size;

	(void)state;
	encode(&record, &bytes, &size);
	assert_int_equal(size, 176 + 72 + 5 * 40 + 80 + 2 * 48 + 96 + 10 + 2 + 32);
	assert_int_equal(size, record_size(&record));
	assert_int_equal(record_decode(bytes, size, &got, NULL), 0);
	assert_memory_equal(&got->hash, &record.hash, sizeof(record.hash));
	assert_int_equal(got->kind, STRIPE_COMMIT);
	assert_true(got->checkpoint);
	assert_int_equal(got->stripe_count, 1);
	assert_memory_equal(got->stripes[0].extents, extents, sizeof(extents));
	assert_int_equal(got->foreign[0].volume.bytes[0], 77);
	assert_int_equal(got->segments[0].volume.bytes[0], 1);
	assert_string_equal(got->head, head);
	assert_string_equal(got->info, info);
	encode(got, &again, &again_size);
	assert_int_equal(again_size, size);
	assert_memory_equal(again, bytes, size);
	record_free(got);
}

static void a_record_without_lists_is_208_bytes(void **state)
{
	struct record record = { .kind = STRIPE_HEADER,
				 .previous_offset = RECORD_OFFSET_NONE };
	autofree uint8_t *bytes = NULL;
	struct record *got;
	size_t size;

	(void)state;
	encode(&record, &bytes, &size);
	assert_int_equal(size, 208);
	assert_memory_equal(bytes, "BFRC\1\0\1\0\xd0\0\0\0", 12);
	assert_int_equal(record_decode(bytes, size, &got, NULL), 0);
	assert_null(got->head);
	assert_null(got->stripes);
	record_free(got);
}

static void every_truncation_is_refused(void **state)
{
	struct record record = sample(), *got = NULL;
	autofree uint8_t *bytes = NULL;
	size_t size;

	(void)state;
	encode(&record, &bytes, &size);
	for (size_t n = 0; n < size; n++)
		assert_int_equal(record_decode(bytes, n, &got, NULL), -EBADMSG);
	assert_null(got);
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct record record = sample(), *got;
	autofree uint8_t *bytes = NULL;
	size_t size;

	(void)state;
	encode(&record, &bytes, &size);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(record_decode(bytes, size, &got, NULL), -EBADMSG);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* What decoding @record gives after byte @offset was set to @value, with a valid hash. */
static int decode_changed(struct record *record, size_t offset, uint8_t value)
{
	autofree uint8_t *bytes = NULL;
	struct record *got = NULL;
	struct hash hash;
	size_t size;
	int r;

	encode(record, &bytes, &size);
	bytes[offset] = value;
	hash_bytes(bytes, size - HASH_SIZE, &hash);
	memcpy(bytes + size - HASH_SIZE, &hash, HASH_SIZE);
	r = record_decode(bytes, size, &got, NULL);
	record_free(got);
	return r;
}

static void newer_versions_and_unknown_flags_are_refused(void **state)
{
	struct record record = sample();

	(void)state;
	assert_int_equal(decode_changed(&record, 4, 2), -EPROTONOSUPPORT);
	assert_int_equal(decode_changed(&record, 12, 2), -EPROTONOSUPPORT);
	assert_int_equal(decode_changed(&record, 15, 0x80), 0); /* compatible */
	assert_int_equal(decode_changed(&record, 7, 1), 0);     /* reserved */
}

static void values_out_of_range_are_refused_in_spite_of_the_hash(void **state)
{
	enum {
		STRIPE = 176,
		EXTENT = STRIPE + 72,
		SEGMENT = EXTENT + 200,
		PAGE = SEGMENT + 80,
		FOREIGN = PAGE + 96
	};
	static const struct {
		size_t offset;
		unsigned value;
	} changes[] = {
		{ 6, 2 },               /* no record is of the data kind */
		{ 6, 6 },               /* kind */
		{ 8, 0 },               /* size */
		{ 80, 0 },              /* sequence 0 with a record before it */
		{ 135, 1 },             /* log start behind log end */
		{ 152, 2 },             /* counts beyond the end */
		{ 155, 255 },           /* hugely so */
		{ 159, 255 },           /* segments */
		{ 163, 255 },           /* pages */
		{ 167, 255 },           /* foreign segments */
		{ 171, 255 },           /* head */
		{ 175, 255 },           /* info */
		{ 172, 1 },             /* a byte left over */
		{ STRIPE + 8, 1 },      /* offset not on 4096 */
		{ STRIPE + 15, 0xff },  /* offset overflows */
		{ STRIPE + 16, 1 },     /* stride */
		{ STRIPE + 31, 0xff },  /* log start overflows */
		{ STRIPE + 25, 0x40 },  /* ends behind the record */
		{ STRIPE + 48, 0 },     /* k */
		{ STRIPE + 50, 17 },    /* m */
		{ STRIPE + 52, 1 },     /* f */
		{ STRIPE + 54, 0 },     /* data count */
		{ STRIPE + 54, 5 },     /* data count beyond k */
		{ STRIPE + 56, 0 },     /* kind */
		{ EXTENT + 3, 1 },      /* payload beyond the extent */
		{ EXTENT + 5, 0x10 },   /* area too small for the payload */
		{ EXTENT + 80, 1 },     /* parity with payload */
		{ EXTENT + 85, 0x10 },  /* parity shorter than the longest extent */
		{ SEGMENT + 60, 3 },    /* kind */
		{ SEGMENT + 39, 1 },    /* index */
		{ SEGMENT + 47, 0xff }, /* log offset overflows */
		{ SEGMENT + 53, 0x80 }, /* ends behind the record */
		{ SEGMENT + 51, 0xff }, /* content size */
		{ SEGMENT + 56, 0 },    /* frame count */
		{ SEGMENT + 57, 0x10 }, /* frame count */
		{ PAGE + 44, 5 },       /* kind */
		{ PAGE + 42, 1 },       /* ends behind the record */
		{ PAGE + 39, 0xff },    /* log offset overflows */
		{ FOREIGN + 47, 0xff }, /* fine: another volume's log may be long */
	};
	const size_t count = sizeof(changes) / sizeof(changes[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct record record = sample();
		int want = i + 1 < count ? -EBADMSG : 0;

		if (decode_changed(&record, changes[i].offset,
				   (uint8_t)changes[i].value) != want)
			fail_msg("change %zu", i);
	}
}

static void a_record_that_is_too_large_is_not_encoded(void **state)
{
	struct record record = sample();
	uint8_t *bytes;
	size_t size;

	(void)state;
	record.head_size = RECORD_SIZE_MAX;
	assert_int_equal(record_encode(&record, &bytes, &size, NULL), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_comes_back_as_it_was),
		cmocka_unit_test(a_record_without_lists_is_208_bytes),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(newer_versions_and_unknown_flags_are_refused),
		cmocka_unit_test(values_out_of_range_are_refused_in_spite_of_the_hash),
		cmocka_unit_test(a_record_that_is_too_large_is_not_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
