/* SPDX-License-Identifier: MIT */
#include "chunker/packer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

enum {
	FRAME_SIZE = 256 * 1024,
};

static struct packer packer;

static uint32_t add(uint32_t size)
{
	uint32_t offset = UINT32_MAX;

	assert_true(packer_add(&packer, size, &offset));
	return offset;
}

/* The frame that holds content byte @offset. */
static uint32_t frame_at(uint32_t offset)
{
	uint32_t frame = 0;

	while (offset >= packer.frame_sizes[frame])
		offset -= packer.frame_sizes[frame++];
	return frame;
}

static uint64_t random_next(void)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void small_files_share_a_frame_and_never_straddle(void **state)
{
	(void)state;
	packer_init(&packer, FRAME_SIZE);
	assert_int_equal(add(100), 0);
	assert_int_equal(add(FRAME_SIZE - 100), 100);
	assert_int_equal(packer.frame_count, 1);
	assert_int_equal(add(1), FRAME_SIZE);
	assert_int_equal(packer.frame_count, 2);
	assert_int_equal(add(FRAME_SIZE - 1), FRAME_SIZE + 1);
	assert_int_equal(packer.frame_count, 2);
	assert_int_equal(add(FRAME_SIZE - 1), 2 * FRAME_SIZE);
	assert_int_equal(add(2), 3 * FRAME_SIZE - 1);
	assert_int_equal(packer.frame_count, 4);
	assert_int_equal(packer.frame_sizes[2], FRAME_SIZE - 1);
	assert_int_equal(packer.frame_sizes[3], 2);
}

static void large_files_start_a_frame_and_small_ones_share_its_tail(void **state)
{
	(void)state;
	packer_init(&packer, FRAME_SIZE);
	(void)add(10);
	assert_int_equal(add(2 * FRAME_SIZE + 5), 10);
	assert_int_equal(packer.frame_count, 4);
	assert_int_equal(packer.frame_sizes[0], 10);
	assert_int_equal(packer.frame_sizes[1], FRAME_SIZE);
	assert_int_equal(packer.frame_sizes[2], FRAME_SIZE);
	assert_int_equal(packer.frame_sizes[3], 5);
	(void)add(7);
	assert_int_equal(packer.frame_count, 4);
	assert_int_equal(packer.frame_sizes[3], 12);
	(void)add(FRAME_SIZE);
	assert_int_equal(packer.frame_count, 5);
	assert_int_equal(packer.frame_sizes[4], FRAME_SIZE);
}

static void a_pack_is_full_at_32_mib(void **state)
{
	uint32_t offset = 77;

	(void)state;
	packer_init(&packer, FRAME_SIZE);
	for (unsigned f = 0; f < 4; f++)
		(void)add(PACK_FILE_MAX);
	assert_true(packer_add(&packer, 4, &offset));
	assert_int_equal(packer.content_size, SEGMENT_SIZE_MAX);
	offset = 77;
	assert_false(packer_add(&packer, 1, &offset));
	assert_int_equal(offset, 77);
	assert_int_equal(packer.content_size, SEGMENT_SIZE_MAX);
}

static void a_pack_is_full_at_2048_frames(void **state)
{
	uint32_t offset = 77;

	(void)state;
	packer_init(&packer, SEGMENT_FRAME_SIZE_MIN);
	/* Files of a bit more than half a frame: one in each. */
	for (unsigned f = 0; f < SEGMENT_FRAME_MAX; f++)
		(void)add(SEGMENT_FRAME_SIZE_MIN / 2 + 1);
	assert_int_equal(packer.frame_count, SEGMENT_FRAME_MAX);
	assert_false(packer_add(&packer, SEGMENT_FRAME_SIZE_MIN / 2 + 1, &offset));
	assert_int_equal(packer.frame_count, SEGMENT_FRAME_MAX);
	assert_int_equal(offset, 77);
	/* What fits into the last frame still does. */
	assert_true(packer_add(&packer, SEGMENT_FRAME_SIZE_MIN / 2 - 1, &offset));
	assert_int_equal(packer.frame_count, SEGMENT_FRAME_MAX);
}

static void an_empty_pack_takes_the_largest_file_at_every_frame_size(void **state)
{
	(void)state;
	for (uint32_t size = SEGMENT_FRAME_SIZE_MIN; size <= FRAME_SIZE; size *= 2) {
		packer_init(&packer, size);
		assert_int_equal(add(PACK_FILE_MAX), 0);
	}
}

static void random_plans_keep_all_promises(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		uint32_t frame_size = SEGMENT_FRAME_SIZE_MIN << random_next() % 5;
		uint32_t expected = 0, total = 0, offset;

		packer_init(&packer, frame_size);
		for (;;) {
			uint32_t size = 1 + (uint32_t)(random_next() % PACK_FILE_MAX);

			size = 1 + size / (1u << random_next() % 20);
			if (size > PACK_FILE_MAX || !packer_add(&packer, size, &offset))
				break;
			assert_int_equal(offset, expected);
			expected += size;
			if (size < frame_size)
				assert_int_equal(frame_at(offset),
						 frame_at(offset + size - 1));
			else
				assert_true(offset == 0 ||
					    frame_at(offset - 1) + 1 == frame_at(offset));
		}
		assert_in_range(packer.frame_count, 1, SEGMENT_FRAME_MAX);
		for (uint32_t f = 0; f < packer.frame_count; f++) {
			assert_in_range(packer.frame_sizes[f], 1, frame_size);
			total += packer.frame_sizes[f];
		}
		assert_int_equal(total, packer.content_size);
		assert_int_equal(total, expected);
		assert_in_range(total, 1, SEGMENT_SIZE_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_files_share_a_frame_and_never_straddle),
		cmocka_unit_test(large_files_start_a_frame_and_small_ones_share_its_tail),
		cmocka_unit_test(a_pack_is_full_at_32_mib),
		cmocka_unit_test(a_pack_is_full_at_2048_frames),
		cmocka_unit_test(
			an_empty_pack_takes_the_largest_file_at_every_frame_size),
		cmocka_unit_test(random_plans_keep_all_promises),
	};

	return cmocka_run_group_tests_name("packer", tests, NULL, NULL);
}
