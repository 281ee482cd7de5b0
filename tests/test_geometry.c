/* SPDX-License-Identifier: MIT */
#include "volume/geometry.h"
#include "volume/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_formulas_are_those_of_the_format(void **state)
{
	struct geometry g;

	(void)state;
	geometry_init(&g, 30, 3, 128, 0);
	assert_int_equal(geometry_leaves(&g), 513);
	assert_int_equal(geometry_data_pages(&g), 14);
	assert_int_equal(geometry_page_leaves(&g), 1);
	assert_int_equal(geometry_parity_pages(&g), 14);
	assert_int_equal(geometry_data_extent_size(&g), 4096 * (14 + 16 * 513));
	assert_int_equal(geometry_parity_extent_size(&g), 4096 * (28 + 16 * 513));
	assert_int_equal(g.stride, geometry_parity_extent_size(&g));
	geometry_init(&g, 1, 2, 2, 1 << 20);
	assert_int_equal(geometry_leaves(&g), 9);
	assert_int_equal(geometry_data_pages(&g), 2);
	assert_int_equal(geometry_parity_pages(&g), 2);
	assert_int_equal(g.stride, 1 << 20);
}

static void a_table_page_more_comes_with_the_42nd_leaf(void **state)
{
	struct geometry g;

	(void)state;
	geometry_init(&g, 1, 1, 10,
		      0); /* 41 leaves, and one of pages in parity extents */
	assert_int_equal(geometry_data_pages(&g), 2);
	assert_int_equal(geometry_parity_pages(&g), 3);
	geometry_init(&g, 1, 1, 11, 0);
	assert_int_equal(geometry_data_pages(&g), 3);
}

static void every_extent_holds_its_frames_and_a_padding_header(void **state)
{
	(void)state;
	for (unsigned f = EXTENT_FRAMES_MIN; f <= EXTENT_FRAMES_MAX; f++) {
		struct geometry g;

		geometry_init(&g, 1, 0, f, 0);
		assert_true(geometry_payload_max(&g) >= f * ATOM_SIZE_MAX);
		assert_int_equal(geometry_area_size(geometry_payload_max(&g)),
				 LEAF_SIZE * geometry_leaves(&g));
		assert_int_equal(geometry_frames_for((uint64_t)f * ATOM_SIZE_MAX), f);
	}
}

static void areas_end_behind_the_padding_header(void **state)
{
	(void)state;
	assert_int_equal(geometry_area_size(1), 4096);
	assert_int_equal(geometry_area_size(4088), 4096);
	assert_int_equal(geometry_area_size(4089), 8192);
	assert_int_equal(geometry_area_size(4096), 8192);
}

static void frames_are_clamped(void **state)
{
	(void)state;
	assert_int_equal(geometry_frames_for(0), 2);
	assert_int_equal(geometry_frames_for(2 * 262159), 2);
	assert_int_equal(geometry_frames_for(2 * 262159 + 1), 3);
	assert_int_equal(geometry_frames_for(UINT64_MAX), 128);
}

static void impossible_geometries_are_refused(void **state)
{
	struct geometry good, bad;

	(void)state;
	geometry_init(&good, 200, 16, 2, 0);
	assert_true(geometry_valid(&good));
#define refuse(field, value)                        \
	do {                                        \
		bad = good;                         \
		bad.field = value;                  \
		assert_false(geometry_valid(&bad)); \
	} while (0)
	refuse(data, 0);
	refuse(data, 201);
	refuse(parity, 17);
	refuse(frames, 1);
	refuse(frames, 129);
	refuse(frames, 3); /* does not fit into the stride */
	refuse(stride, good.stride - 4096);
	refuse(stride, good.stride + 1);
	refuse(stride, UINT64_C(1) << 32);
	refuse(stride, 0);
#undef refuse
}

static void stripes_know_their_sizes(void **state)
{
	struct extent_info extents[5] = { { .payload_size = 5000, .area_size = 8192 },
					  { .payload_size = 100, .area_size = 4096 },
					  { .area_size = 8192 },
					  { .area_size = 8192 },
					  { .area_size = 8192 } };
	struct stripe_info stripe = { .data_count = 2, .extents = extents };
	const uint64_t pages = 4 * 4096; /* P' + P of f = 2 */

	(void)state;
	geometry_init(&stripe.geometry, 4, 3, 2, 1 << 20);
	assert_int_equal(stripe_log_size(&stripe), 5100);
	assert_int_equal(stripe_physical_size(&stripe), 4 * (1 << 20) + pages + 8192);
	assert_int_equal(stripe_written_size(&stripe),
			 2 * 8192 + 8192 + 4096 + 3 * (pages + 8192));
	stripe.geometry.parity = 0;
	assert_int_equal(stripe_physical_size(&stripe), (1 << 20) + 8192 + 4096);
}

static void the_root_covers_the_extents_hashes(void **state)
{
	struct extent_info extents[2] = { 0 };
	struct stripe_info stripe = { .data_count = 1,
				      .geometry.parity = 1,
				      .extents = extents };
	uint8_t list[64] = { 0 };
	struct hash root, want;

	(void)state;
	extents[1].hash.bytes[5] = list[37] = 9;
	hash_bytes(list, sizeof(list), &want);
	stripe_root(&stripe, &root);
	assert_memory_equal(&root, &want, sizeof(root));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_formulas_are_those_of_the_format),
		cmocka_unit_test(a_table_page_more_comes_with_the_42nd_leaf),
		cmocka_unit_test(every_extent_holds_its_frames_and_a_padding_header),
		cmocka_unit_test(areas_end_behind_the_padding_header),
		cmocka_unit_test(frames_are_clamped),
		cmocka_unit_test(impossible_geometries_are_refused),
		cmocka_unit_test(stripes_know_their_sizes),
		cmocka_unit_test(the_root_covers_the_extents_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
