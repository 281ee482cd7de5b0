/* SPDX-License-Identifier: MIT */
#include "volume/lost_leaves.h"

#include "support/backend_memory.h"
#include "support/volume_image.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static struct lost_leaf leaf_at(uint64_t offset, uint8_t found)
{
	struct lost_leaf leaf = { .offset = offset };

	hash_bytes(&found, 1, &leaf.found);
	return leaf;
}

static void a_leaf_is_known_by_its_place_and_what_was_there(void **state)
{
	const struct lost_leaf leaf = leaf_at(65536, 1);
	const struct lost_leaf elsewhere = leaf_at(131072, 1);
	const struct lost_leaf different = leaf_at(65536, 2);
	const struct lost_leaf none = { 0 };
	struct lost_leaves lost;

	(void)state;
	lost_leaves_init(&lost);
	assert_false(lost_leaves_have(&lost, &leaf));
	assert_false(lost_leaves_have(&lost, &none)); /* as free slots are */
	lost_leaves_add(&lost, &leaf);
	assert_true(lost_leaves_have(&lost, &leaf));
	assert_false(lost_leaves_have(&lost, &elsewhere));
	assert_false(lost_leaves_have(&lost, &different));
	lost_leaves_done(&lost);
}

static void the_oldest_makes_way(void **state)
{
	const struct lost_leaf first = leaf_at(0, 0);
	struct lost_leaves lost;

	(void)state;
	lost_leaves_init(&lost);
	for (unsigned i = 0; i < LOST_LEAVES_MAX; i++) {
		const struct lost_leaf leaf = leaf_at(i, 0);

		lost_leaves_add(&lost, &leaf);
		lost_leaves_add(&lost, &leaf); /* takes no second place */
	}
	assert_true(lost_leaves_have(&lost, &first));
	for (unsigned i = 0; i < LOST_LEAVES_MAX; i++) {
		const struct lost_leaf leaf = leaf_at(1000 + i, 0);
		const struct lost_leaf gone = leaf_at(i, 0);

		lost_leaves_add(&lost, &leaf);
		assert_true(lost_leaves_have(&lost, &leaf));
		assert_false(lost_leaves_have(&lost, &gone));
	}
	lost_leaves_done(&lost);
}

static void a_loss_is_not_remembered_for_ever(void **state)
{
	const struct lost_leaf leaf = leaf_at(4096, 7);
	struct lost_leaves lost;

	(void)state;
	lost_leaves_init(&lost);
	lost_leaves_add(&lost, &leaf);
	lost.until[0] = 1; /* the clock is past that */
	assert_false(lost_leaves_have(&lost, &leaf));
	lost_leaves_add(&lost, &leaf);
	assert_true(lost_leaves_have(&lost, &leaf));
	lost_leaves_done(&lost);
}

/* What a reader of the log makes of it. */

static void make_volume(struct image *image)
{
	static const struct image_shape shape = { 4, 3, 2, 0, 4, 290000 };

	image_init(image, 1, 1);
	image_add_record(image, STRIPE_HEADER, 0, 100);
	image_add_data(image, &shape);
}

static struct log_reader *open_reader(struct image *image)
{
	struct stripe_lookup lookup = image_lookup(image);
	struct log_reader *reader;

	assert_int_equal(log_reader_new(image->backend, &image->volume, &lookup, 1 << 20,
					&reader, NULL),
			 0);
	return reader;
}

/* Bytes that reading some of leaf 0 of the stripe takes, which gives @result. */
static uint64_t cost_of_reading(struct image *image, struct log_reader *reader,
				const struct stripe_info *info, int result)
{
	struct log_counters before, after;
	uint8_t data[100];

	log_reader_counters(reader, &before);
	assert_int_equal(
		log_read(reader, info->log_start + 100, data, sizeof(data), NULL, NULL),
		result);
	if (result == 0)
		assert_memory_equal(data, image->log + info->log_start + 100,
				    sizeof(data));
	log_reader_counters(reader, &after);
	return after.bytes_read - before.bytes_read;
}

static void a_known_loss_is_tried_again_when_the_leaf_reads_differently(void **state)
{
	const struct stripe_info *info;
	struct log_reader *reader;
	struct image image;

	(void)state;
	make_volume(&image);
	info = &image.stripes[1];
	reader = open_reader(&image);
	for (unsigned i = 0; i < stripe_extent_count(info); i++)
		image_noise(&image, entry_offset(info, i, row_entry(info, i, 0)),
			    LEAF_SIZE, i);
	for (unsigned seed = 100; seed < 103; seed++) {
		assert_true(cost_of_reading(&image, reader, info, -EBADMSG) >
			    4 * LEAF_SIZE);
		for (unsigned i = 0; i < 10; i++)
			assert_in_range(cost_of_reading(&image, reader, info, -EBADMSG),
					0, 2 * LEAF_SIZE);
		image_noise(&image, entry_offset(info, 0, 0), PAGE_SIZE_BYTES, seed);
	}
	log_reader_free(reader);
	image_done(&image);
}

static void a_lost_leaf_that_comes_back_is_read_at_once(void **state)
{
	uint8_t saved[64][PAGE_SIZE_BYTES];
	const struct stripe_info *info;
	struct log_reader *reader;
	struct image image;

	(void)state;
	for (int repairable = 0; repairable < 2; repairable++) {
		make_volume(&image);
		info = &image.stripes[1];
		reader = open_reader(&image);
		for (unsigned i = 0; i < stripe_extent_count(info); i++) {
			uint64_t offset = entry_offset(info, i, row_entry(info, i, 0));

			memcpy(saved[i], image.bytes + offset, PAGE_SIZE_BYTES);
			image_noise(&image, offset, PAGE_SIZE_BYTES, i);
		}
		(void)cost_of_reading(&image, reader, info, -EBADMSG);
		/* The leaf itself, or what it is rebuilt from, with the leaf still bad. */
		for (unsigned i = 0; i < stripe_extent_count(info); i++)
			if (repairable ? i > 0 : i == 0)
				image_fill(&image,
					   entry_offset(info, i, row_entry(info, i, 0)),
					   saved[i], PAGE_SIZE_BYTES);
		if (repairable)
			image_noise(&image, entry_offset(info, 0, 0), PAGE_SIZE_BYTES,
				    99);
		(void)cost_of_reading(&image, reader, info, 0);
		log_reader_free(reader);
		image_done(&image);
	}
}

/* Make noise of the first table page of every extent, as it was to @saved, or take it back. */
static void spoil_tables(struct image *image, const struct stripe_info *info,
			 uint8_t (*saved)[PAGE_SIZE_BYTES], bool spoil)
{
	for (unsigned i = 0; i < stripe_extent_count(info); i++) {
		uint64_t offset = extent_offset(info, i) + PAGE_SIZE_BYTES;

		if (spoil)
			memcpy(saved[i], image->bytes + offset, PAGE_SIZE_BYTES);
		if (spoil)
			image_noise(image, offset, PAGE_SIZE_BYTES, i);
		else
			image_fill(image, offset, saved[i], PAGE_SIZE_BYTES);
	}
}

static void a_lost_table_is_looked_at_and_not_tried_again(void **state)
{
	uint8_t saved[64][PAGE_SIZE_BYTES];
	const struct stripe_info *info;
	struct log_reader *reader;
	struct image image;

	(void)state;
	make_volume(&image);
	info = &image.stripes[1];
	reader = open_reader(&image);
	spoil_tables(&image, info, saved, true);
	image_noise(&image, entry_offset(info, 0, 1), LEAF_SIZE, 9); /* not from leaves */
	assert_true(cost_of_reading(&image, reader, info, -EBADMSG) > 4 * LEAF_SIZE);
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(cost_of_reading(&image, reader, info, -EBADMSG), 0,
				extent_page_count(info, 0) * PAGE_SIZE_BYTES);
	/* It reads differently, and then well. */
	image_noise(&image, extent_offset(info, 0) + PAGE_SIZE_BYTES, PAGE_SIZE_BYTES,
		    77);
	assert_true(cost_of_reading(&image, reader, info, -EBADMSG) > 4 * LEAF_SIZE);
	spoil_tables(&image, info, saved, false);
	(void)cost_of_reading(&image, reader, info, 0);
	log_reader_free(reader);
	image_done(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_is_known_by_its_place_and_what_was_there),
		cmocka_unit_test(the_oldest_makes_way),
		cmocka_unit_test(a_loss_is_not_remembered_for_ever),
		cmocka_unit_test(
			a_known_loss_is_tried_again_when_the_leaf_reads_differently),
		cmocka_unit_test(a_lost_leaf_that_comes_back_is_read_at_once),
		cmocka_unit_test(a_lost_table_is_looked_at_and_not_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
