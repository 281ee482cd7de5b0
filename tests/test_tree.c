/* SPDX-License-Identifier: MIT */
/*
 * The tree functions against the public hasher: whatever the cut into frames and segments,
 * the root must be the one that hash_bytes() gives. Small units stand for the real ones of
 * 256 KiB and 32 MiB.
 */
#include "merkle/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB ((size_t)1024)
#define INPUT_SIZE (5 * KIB * KIB + 4096) /* bytes */
#define LEAVES_MAX (INPUT_SIZE / TREE_CHUNK_SIZE + 1)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Lengths of the official test vectors. */
static const size_t vector_sizes[] = {
	0,    1,    1023, 1024, 1025, 2048, 2049, 3072, 3073,  4096,  4097,
	5120, 5121, 6144, 6145, 7168, 7169, 8192, 8193, 16384, 31744, 102400,
};

/* Several MiB, around every kind of boundary. */
static const size_t large_sizes[] = {
	KIB * KIB - 1,    KIB *KIB,         KIB *KIB + 1,
	KIB *KIB + 1024,  2 * KIB *KIB + 1, 3 * KIB *KIB + 777,
	4 * KIB *KIB - 1, 4 * KIB *KIB,     5 * KIB *KIB + 1025,
};

static uint8_t input[INPUT_SIZE];
static struct hash leaves[LEAVES_MAX];

static int fill_input(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)(i % 251);
	return 0;
}

static void assert_same(const struct hash *got, const struct hash *want)
{
	assert_memory_equal(got->bytes, want->bytes, HASH_SIZE);
}

/* Chaining values of the frames of input[from .. to). Returns how many those are. */
static size_t hash_frames(size_t from, size_t to, size_t frame_size, struct hash *cvs_out)
{
	size_t count = 0;

	for (size_t offset = from; offset < to; offset += frame_size) {
		size_t left = to - offset;

		tree_subtree_cv(input + offset, left < frame_size ? left : frame_size,
				offset / TREE_CHUNK_SIZE, &cvs_out[count++]);
	}
	return count;
}

/* All three ways from frames to the root. */
static void check_root_over_frames(size_t size, size_t frame_size)
{
	struct tree_accumulator accumulator;
	struct hash want, got, cv;
	size_t count = hash_frames(0, size, frame_size, leaves);

	tree_accumulator_init(&accumulator);
	for (size_t i = 0; i < count; i++)
		tree_accumulator_add(&accumulator, &leaves[i]);
	assert_int_equal(accumulator.leaf_count, count);
	if (count == 0)
		return;

	/* The chaining value over all is the same by any way, and never the root. */
	hash_bytes(input, size, &want);
	tree_subtree_cv(input, size, 0, &cv);
	assert_false(hash_equal(&cv, &want));
	tree_merge(leaves, count, &got);
	assert_same(&got, &cv);
	tree_accumulator_cv(&accumulator, &got);
	assert_same(&got, &cv);
	if (count == 1)
		return;

	tree_accumulator_root(&accumulator, &got);
	assert_same(&got, &want);
	tree_merge_root(leaves, count, &got);
	assert_same(&got, &want);
}

static void chunks_merge_to_the_root_at_every_vector_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(vector_sizes); i++)
		for (size_t frame_size = KIB; frame_size <= 128 * KIB; frame_size *= 2)
			check_root_over_frames(vector_sizes[i], frame_size);
}

static void frames_merge_to_the_root_of_large_content(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(large_sizes); i++) {
		check_root_over_frames(large_sizes[i], KIB);
		for (size_t frame_size = 16 * KIB; frame_size <= 256 * KIB;
		     frame_size *= 2)
			check_root_over_frames(large_sizes[i], frame_size);
	}
}

static void every_number_of_leaves_merges_to_the_root(void **state)
{
	(void)state;
	for (size_t count = 1; count <= 200; count++) {
		check_root_over_frames(count * KIB, KIB);
		check_root_over_frames(count * KIB - 1000, KIB);
	}
}

static void every_length_of_the_last_chunk_merges_to_the_root(void **state)
{
	(void)state;
	for (size_t size = KIB + 1; size <= 3 * KIB; size++)
		check_root_over_frames(size, KIB);
}

static void segments_of_frames_merge_to_the_root(void **state)
{
	static const size_t frame_size = 4 * KIB;
	static const size_t segment_size = 512 * KIB;
	struct hash segments[INPUT_SIZE / (512 * KIB) + 1];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(large_sizes); i++) {
		struct tree_accumulator accumulator;
		struct hash want, got;
		size_t count = 0;

		tree_accumulator_init(&accumulator);
		for (size_t at = 0; at < large_sizes[i]; at += segment_size) {
			size_t left = large_sizes[i] - at;
			size_t end = at + (left < segment_size ? left : segment_size);
			size_t frames = hash_frames(at, end, frame_size, leaves);

			tree_merge(leaves, frames, &segments[count]);
			tree_subtree_cv(input + at, end - at, at / TREE_CHUNK_SIZE, &got);
			assert_same(&got, &segments[count]);
			tree_accumulator_add(&accumulator, &segments[count++]);
		}

		hash_bytes(input, large_sizes[i], &want);
		tree_merge_root(segments, count, &got);
		assert_same(&got, &want);
		tree_accumulator_root(&accumulator, &got);
		assert_same(&got, &want);
	}
}

static void an_accumulator_gives_the_root_after_every_leaf(void **state)
{
	struct tree_accumulator accumulator;
	struct hash want, got;

	(void)state;
	hash_frames(0, 300 * KIB, KIB, leaves);
	tree_accumulator_init(&accumulator);
	tree_accumulator_add(&accumulator, &leaves[0]);
	for (size_t count = 2; count <= 300; count++) {
		tree_accumulator_add(&accumulator, &leaves[count - 1]);
		tree_accumulator_root(&accumulator, &got);
		hash_bytes(input, count * KIB, &want);
		assert_same(&got, &want);
	}

	/* Beginning again forgets all of it. */
	tree_accumulator_init(&accumulator);
	tree_accumulator_add(&accumulator, &leaves[0]);
	tree_accumulator_cv(&accumulator, &got);
	assert_same(&got, &leaves[0]);
}

static void chaining_values_depend_on_the_position(void **state)
{
	/* Before, across and after the point where the low half of the counter wraps. */
	static const uint64_t positions[] = {
		1, 256, UINT32_MAX - UINT64_C(100), UINT64_C(1) << 32, UINT64_C(1) << 53,
	};
	static const size_t size = 256 * KIB - 77;
	struct hash first, got, want;

	(void)state;
	tree_subtree_cv(input, size, 0, &first);
	for (size_t p = 0; p < COUNT_OF(positions); p++) {
		size_t count = 0;

		tree_subtree_cv(input, size, positions[p], &got);
		assert_false(hash_equal(&got, &first));
		for (size_t at = 0; at < size; at += KIB, count++)
			tree_subtree_cv(input + at, size - at < KIB ? size - at : KIB,
					positions[p] + count, &leaves[count]);
		tree_merge(leaves, count, &want);
		assert_same(&got, &want);
	}
}

static void every_bit_counts(void **state)
{
	static const size_t size = 70 * KIB + 65;
	struct hash first, got;

	(void)state;
	tree_subtree_cv(input, size, 0, &first);
	for (size_t at = 0; at < size; at += 61) {
		uint8_t bit = (uint8_t)(1 << at % 8);

		input[at] ^= bit;
		tree_subtree_cv(input, size, 0, &got);
		input[at] ^= bit;
		assert_false(hash_equal(&got, &first));
	}
}

static void data_may_lie_anywhere_and_end_exactly(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 20; shift++) {
		size_t size = 65 * KIB + 3 * shift + 1;
		uint8_t *copy = malloc(shift + size);
		struct hash got, want;

		assert_non_null(copy);
		memcpy(copy + shift, input, size);
		tree_subtree_cv(copy + shift, size, 64, &got);
		tree_subtree_cv(input, size, 64, &want);
		assert_same(&got, &want);
		free(copy);
	}
}

static void a_merge_may_overwrite_its_leaves(void **state)
{
	struct hash want;

	(void)state;
	hash_frames(0, 100 * KIB, KIB, leaves);
	tree_merge(leaves, 100, &want);
	tree_merge(leaves, 100, &leaves[0]);
	assert_same(&leaves[0], &want);

	tree_merge(leaves, 1, &leaves[1]);
	assert_same(&leaves[1], &want);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_merge_to_the_root_at_every_vector_length),
		cmocka_unit_test(frames_merge_to_the_root_of_large_content),
		cmocka_unit_test(every_number_of_leaves_merges_to_the_root),
		cmocka_unit_test(every_length_of_the_last_chunk_merges_to_the_root),
		cmocka_unit_test(segments_of_frames_merge_to_the_root),
		cmocka_unit_test(an_accumulator_gives_the_root_after_every_leaf),
		cmocka_unit_test(chaining_values_depend_on_the_position),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(data_may_lie_anywhere_and_end_exactly),
		cmocka_unit_test(a_merge_may_overwrite_its_leaves),
	};

	return cmocka_run_group_tests(tests, fill_input, NULL);
}
