/* SPDX-License-Identifier: MIT */
#include "volume/group.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "volume/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE (3 * (uint64_t)GROUP_CHUNK_SIZE + 5)

static struct extent_info extents[3] = {
	{ .payload_size = 600000, .area_size = 602112, .hash = { { 1 } } },
	{ .payload_size = 400000, .area_size = 401408, .hash = { { 2 } } },
	{ .area_size = 602112, .hash = { { 3 } } },
};

static struct stripe_info stripe_at(uint64_t number, uint64_t log_start)
{
	struct stripe_info stripe = { .number = number,
				      .offset = number << 24,
				      .log_start = log_start,
				      .kind = STRIPE_DATA,
				      .data_count = 2,
				      .extents = extents };

	geometry_init(&stripe.geometry, 2, 1, 4, 1 << 20);
	return stripe;
}

static struct stripe_info stripes[3]; /* static, like all that the sample points to */
static struct group_member members[2];
static struct group_run runs[2];

static struct group sample(void)
{
	stripes[0] = stripe_at(1, 1000);
	stripes[1] = stripe_at(2, 1001000);
	stripes[2] = stripe_at(1, 0);
	members[0] = (struct group_member){ { { 1 } }, 900000, SIZE, stripes, 2 };
	members[1] = (struct group_member){ { { 2 } }, 0, 1234, &stripes[2], 1 };
	runs[0] = (struct group_run){ 0, 3, 5000 };
	runs[1] = (struct group_run){ 3, 1, 1 << 20 };
	return (struct group){ .data = 4,
			       .parity = 2,
			       .number = 1,
			       .size = SIZE,
			       .members = members,
			       .member_count = 2,
			       .runs = runs,
			       .run_count = 2 };
}

static uint8_t *encode(struct group *group, size_t *size_out)
{
	uint8_t *bytes = malloc(group_entry_size(group));

	assert_non_null(bytes);
	group_encode(group, bytes);
	*size_out = group_entry_size(group);
	return bytes;
}

static void a_group_comes_back_as_it_was(void **state)
{
	struct group group = sample();
	size_t size, used;
	autofree uint8_t *bytes = encode(&group, &size);
	autofree uint8_t *again = NULL;
	struct group got;

	(void)state;
	assert_int_equal(size, 64 + 2 * 40 + 3 * (72 + 3 * 40) + 2 * 24);
	assert_int_equal(group_decode(bytes, size, &got, &used, NULL), 0);
	assert_int_equal(used, size);
	assert_int_equal(got.number, 1);
	assert_int_equal(got.members[0].stripe_count, 2);
	assert_memory_equal(got.members[0].stripes[1].extents, extents, sizeof(extents));
	assert_memory_equal(&got.id, &group.id, sizeof(group.id));
	again = encode(&got, &size);
	assert_memory_equal(again, bytes, size);
	group_done(&got);
}

static void parity_shards_of_one_group_have_one_id(void **state)
{
	struct group a = sample(), b = sample();
	size_t size;
	autofree uint8_t *first = NULL;
	autofree uint8_t *second = NULL;
	autofree uint8_t *third = NULL;

	(void)state;
	first = encode(&a, &size);
	b.number = 0;
	b.run_count = 1;
	second = encode(&b, &size);
	assert_memory_equal(&a.id, &b.id, sizeof(a.id));
	members[1].log_size++;
	third = encode(&b, &size);
	assert_memory_not_equal(&a.id, &b.id, sizeof(a.id));
}

static void every_truncation_is_refused(void **state)
{
	struct group group = sample();
	size_t size, used;
	autofree uint8_t *bytes = encode(&group, &size);
	struct group got;

	(void)state;
	for (size_t n = 0; n < size; n++)
		assert_int_equal(group_decode(bytes, n, &got, &used, NULL), -EBADMSG);
}

/* What it says of itself must hold; where the parity lies is for the record's hash. */
static void every_flip_before_the_runs_is_refused(void **state)
{
	struct group group = sample();
	size_t size, used;
	autofree uint8_t *bytes = encode(&group, &size);
	struct group got;

	(void)state;
	for (size_t i = 0; i < size - 2 * 24; i++) {
		if ((i >= 8 && i < 10) || (i >= 24 && i < 32))
			continue; /* number and reserved bytes are not in the id */
		bytes[i] ^= 0x40;
		assert_int_equal(group_decode(bytes, size, &got, &used, NULL), -EBADMSG);
		bytes[i] ^= 0x40;
	}
}

static void a_member_must_lie_within_its_stripes(void **state)
{
	static const struct {
		uint64_t start, size;
	} wrong[] = { { 999, SIZE },
		      { 1002000, SIZE - 1000 },
		      { 900000, SIZE + 700000 },
		      { 1000, 500000 },
		      { 900000, 0 },
		      { UINT64_MAX, 2 } };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct group group = sample();
		size_t size, used;
		autofree uint8_t *bytes = NULL;
		struct group got;

		members[0].log_start = wrong[i].start;
		members[0].log_size = wrong[i].size;
		group.size = wrong[i].size ? wrong[i].size : 1;
		bytes = encode(&group, &size);
		assert_int_equal(group_decode(bytes, size, &got, &used, NULL), -EBADMSG);
	}
}

static void runs_must_be_all_of_the_shard(void **state)
{
	static const struct group_run wrong[][2] = {
		{ { 0, 3, 5000 }, { 3, 2, 1 << 20 } },
		{ { 0, 2, 5000 }, { 3, 1, 1 << 20 } },
		{ { 0, 2, 5000 }, { 2, 1, 1 << 20 } },
		{ { 1, 3, 5000 }, { 0, 1, 1 << 20 } },
		{ { 0, 4, 5000 }, { 4, 0, 0 } },
		{ { 0, 3, UINT64_MAX }, { 3, 1, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct group group = sample();
		size_t size, used;
		autofree uint8_t *bytes = NULL;
		struct group got;

		memcpy(runs, wrong[i], sizeof(runs));
		bytes = encode(&group, &size);
		assert_int_equal(group_decode(bytes, size, &got, &used, NULL), -EBADMSG);
	}
}

static void bytes_of_a_shard_are_found_chunk_by_chunk(void **state)
{
	struct group group = { .data = 1, .parity = 1, .size = SIZE };
	const uint64_t frame = GROUP_CHUNK_SIZE + 8;
	uint32_t left;

	(void)state;
	assert_int_equal(group_add_chunk(&group, 100), 0);
	assert_int_equal(group_add_chunk(&group, 100 + frame), 0);
	assert_int_equal(group.run_count, 1);
	assert_int_equal(group_add_chunk(&group, 5000000), 0);
	assert_int_equal(group_add_chunk(&group, 5000000 + frame), 0);
	assert_int_equal(group.run_count, 2);
	assert_int_equal(group.runs[1].first, 2);
	assert_int_equal(group_find(group.runs, 2, SIZE, 0, &left), 108);
	assert_int_equal(left, GROUP_CHUNK_SIZE);
	assert_int_equal(group_find(group.runs, 2, SIZE, GROUP_CHUNK_SIZE + 7, &left),
			 100 + frame + 8 + 7);
	assert_int_equal(left, GROUP_CHUNK_SIZE - 7);
	assert_int_equal(group_find(group.runs, 2, SIZE, SIZE - 1, &left),
			 5000000 + frame + 8 + 4);
	assert_int_equal(left, 1);
	assert_int_equal(group_log_end(&group), 5000000 + frame + 8 + 5);
	group_done(&group);
}

static void places_in_the_log_are_found_back(void **state)
{
	struct group group = { .data = 1, .parity = 1, .size = SIZE };
	const uint64_t offsets[] = { 0, 7, GROUP_CHUNK_SIZE, SIZE - 6, SIZE - 1 };
	const uint64_t frame = GROUP_CHUNK_SIZE + 8;
	uint64_t chunk;
	uint32_t into, left;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
			group_add_chunk(&group, i * frame + (i < 2 ? 100 : 5000)), 0);
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		uint64_t at = group_find(group.runs, 2, SIZE, offsets[i], &left);

		assert_true(group_find_chunk(group.runs, 2, SIZE, at, &chunk, &into));
		assert_int_equal(chunk * GROUP_CHUNK_SIZE + into - 8, offsets[i]);
	}
	assert_true(group_find_chunk(group.runs, 2, SIZE, 100 + frame, &chunk, &into));
	assert_int_equal(chunk, 1);
	assert_int_equal(into, 0); /* a header */
	assert_false(group_find_chunk(group.runs, 2, SIZE, 99, &chunk, &into));
	assert_false(
		group_find_chunk(group.runs, 2, SIZE, 100 + 2 * frame, &chunk, &into));
	assert_false(group_find_chunk(group.runs, 2, SIZE, group_log_end(&group), &chunk,
				      &into));
	group_done(&group);
}

static void a_record_carries_groups(void **state)
{
	struct group group = sample();
	struct record record = { .kind = STRIPE_PLACEMENT,
				 .sequence = 1,
				 .log_end = UINT64_C(1) << 30,
				 .groups = &group,
				 .group_count = 1 };
	autofree uint8_t *bytes = NULL;
	struct record *got;
	size_t size;

	(void)state;
	assert_int_equal(record_encode(&record, &bytes, &size, NULL), 0);
	assert_int_equal(size, record_size(&record));
	assert_int_equal(bytes[12], 1); /* incompatible: groups follow */
	assert_int_equal(record_decode(bytes, size, &got, NULL), 0);
	assert_int_equal(got->group_count, 1);
	assert_int_equal(got->groups[0].members[1].log_size, 1234);
	record_free(got);

	free(take_ptr(bytes));
	record.log_end = 1 << 20; /* before the end of the parity */
	assert_int_equal(record_encode(&record, &bytes, &size, NULL), 0);
	assert_int_equal(record_decode(bytes, size, &got, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_comes_back_as_it_was),
		cmocka_unit_test(parity_shards_of_one_group_have_one_id),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flip_before_the_runs_is_refused),
		cmocka_unit_test(a_member_must_lie_within_its_stripes),
		cmocka_unit_test(runs_must_be_all_of_the_shard),
		cmocka_unit_test(bytes_of_a_shard_are_found_chunk_by_chunk),
		cmocka_unit_test(places_in_the_log_are_found_back),
		cmocka_unit_test(a_record_carries_groups),
	};

	return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
