/* SPDX-License-Identifier: MIT */
/* The chain of records is found whatever single block is bad, whatever tail follows it. */
#include "support/backend_memory.h"
#include "support/chain_image.h"

#include "base/error.h"
#include "volume/chain.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void any_single_block_changes_nothing(void **state)
{
	struct image image, epoch, volume;
	static const uint8_t zeroes[PAGE_SIZE_BYTES];

	(void)state;
	chain_image_make(&image, 1, 1);
	chain_image_make(&epoch, 1, 2);
	chain_image_make(&volume, 9, 1);
	for (uint64_t offset = 0; offset < image.size; offset += PAGE_SIZE_BYTES) {
		const uint8_t *with[] = {
			zeroes,
			image.bytes + (offset * 7 + 4096 * 1234) % image.size,
			image.bytes, /* the first header page */
			image.bytes + image.stripes[1].offset,
			image.bytes + chain_image_stripe(&image, 2)->offset,
			epoch.bytes + offset,
			volume.bytes + offset,
		};

		if (!image_block_used(&image, offset) && offset / PAGE_SIZE_BYTES % 8 &&
		    offset + PAGE_SIZE_BYTES != image.size)
			continue;
		for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
			image_fill(&image, offset, with[i], PAGE_SIZE_BYTES);
			chain_image_expect_last(&image, 3);
			chain_image_expect_identity(&image);
			if (i % 3 == 0)
				chain_image_expect_walk_back(&image);
			image_restore(&image, offset, PAGE_SIZE_BYTES);
		}
	}
	image_done(&image);
	image_done(&epoch);
	image_done(&volume);
}

static void a_record_outlives_the_loss_of_any_m_extents(void **state)
{
	struct image image;
	const struct stripe_info *info;

	(void)state;
	chain_image_make(&image, 1, 1);
	for (size_t number = 0; number < image.record_count; number++) {
		info = chain_image_stripe(&image, number);
		for (unsigned keep = 0; keep < 3; keep++) {
			for (unsigned extent = 0; extent < 3; extent++)
				if (extent != keep)
					image_noise(&image,
						    info->offset +
							    extent *
								    info->geometry.stride,
						    extent == 2 ? 100000
								: info->geometry.stride,
						    keep);
			chain_image_expect_last(&image, 3);
			chain_image_expect_walk_back(&image);
			image_publish(&image);
		}
	}
	image_done(&image);
}

static void a_record_outlives_its_header_pages(void **state)
{
	struct image image;
	const struct stripe_info *info;

	(void)state;
	chain_image_make(&image, 1, 1);
	info = chain_image_stripe(&image, 3);
	for (unsigned extent = 0; extent < 3; extent++)
		image_noise(&image, info->offset + extent * info->geometry.stride,
			    PAGE_SIZE_BYTES, 1);
	chain_image_expect_last(&image, 3); /* by the copy in the first parity extent */
	for (unsigned extent = 0; extent < 3; extent++)
		image_noise(&image, info->offset + extent * info->geometry.stride,
			    2 * PAGE_SIZE_BYTES, 1);
	chain_image_expect_last(&image, 3); /* the tables, too */
	image_done(&image);
}

static void a_torn_last_record_does_not_exist(void **state)
{
	struct image image;
	const struct stripe_info *info;

	(void)state;
	chain_image_make(&image, 1, 1);
	info = chain_image_stripe(&image, 3);
	for (uint64_t size = image.size; size > info->offset; size -= PAGE_SIZE_BYTES) {
		struct record *record;
		struct stripe_info own;
		bool whole = size - info->offset >=
			     2 * PAGE_SIZE_BYTES + info->extents[0].area_size;

		assert_int_equal(backend_memory_set(image.backend, image.bytes, size), 0);
		assert_int_equal(chain_find_last(image.backend, &image.volume, &record,
						 &own, NULL),
				 0);
		chain_image_expect_record(&image, whole ? 3 : 2, record, &own);
		record_free(record);
		stripe_info_done(&own);
	}
	image_done(&image);
}

static void tails_of_any_kind_are_passed_over(void **state)
{
	struct image image;
	static const size_t cuts[] = { 4096, 8192, 100000, 700000, 1300000, 2000000 };
	uint8_t epoch = 10;

	(void)state;
	chain_image_make(&image, 1, 1);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		image_add_torn(&image, &chain_image_small, cuts[i], epoch++);
		chain_image_expect_last(&image, 3);
	}
	/* A whole stripe that no record lists, and noise. */
	image_add_data(&image, &chain_image_small);
	chain_image_expect_last(&image, 3);
	assert_int_equal(backend_memory_set(image.backend, image.bytes, image.size), 0);
	image_noise(&image, image.size - 500000, 500000, 5);
	chain_image_expect_last(&image, 3);
	image_publish(&image);

	/* A session that goes on behind all that. */
	image_add_record(&image, STRIPE_COMMIT, 0, 100);
	chain_image_expect_last(&image, 4);
	chain_image_expect_walk_back(&image);
	image_done(&image);
}

static void a_lost_record_gives_way_to_the_one_before(void **state)
{
	struct image image;
	const struct stripe_info *info;
	struct chain_visits visits = { &image, 3, -1, 0 };
	struct error error = { 0 };

	(void)state;
	chain_image_make(&image, 1, 1);
	image_add_data(&image, &chain_image_small);
	info = chain_image_stripe(&image, 3);
	image_noise(&image, info->offset, (size_t)stripe_physical_size(info), 1);
	chain_image_expect_last(&image, 2);
	image_publish(&image);

	/* In the middle of the chain it ends the walk. */
	info = chain_image_stripe(&image, 2);
	image_noise(&image, info->offset, (size_t)stripe_physical_size(info), 1);
	assert_int_equal(chain_visit_back(image.backend, &image.volume, NULL,
					  chain_image_visit, &visits, &error),
			 -EBADMSG);
	assert_int_equal(visits.count, 1);
	assert_non_null(strstr(error.text, "record at byte"));
	image_done(&image);
}

/* The log of an image, somewhere else. */
struct elsewhere {
	const struct image *image;
	uint64_t wrong; /* log offset of a byte that is not what it was */
	unsigned asked;
};

static int read_elsewhere(void *context, uint64_t log_offset, void *data, size_t size,
			  struct error *err)
{
	struct elsewhere *elsewhere = context;
	uint8_t *out = data;

	elsewhere->asked++;
	if (log_offset + size > elsewhere->image->log_size)
		return error_set(err, -ENOENT, "behind the end of the log");
	memcpy(out, elsewhere->image->log + log_offset, size);
	if (elsewhere->wrong >= log_offset && elsewhere->wrong - log_offset < size)
		out[elsewhere->wrong - log_offset] ^= 1;
	return 0;
}

/* All records but the last are lost, the header included. */
static void lost_records_are_had_from_elsewhere(void **state)
{
	struct image image;
	struct elsewhere elsewhere = { &image, UINT64_MAX, 0 };
	const struct stripe_rescue rescue = { read_elsewhere, &elsewhere };
	struct chain_visits back = { &image, 3, -1, 0 };
	struct chain_visits after = { &image, 0, 1, 0 };
	struct log_end end = { 0 };

	(void)state;
	chain_image_make(&image, 1, 1);
	end.volume = image.volume;
	for (size_t i = 0; i < chain_image_last(&image); i++) {
		const struct stripe_info *info = chain_image_stripe(&image, i);

		image_noise(&image, info->offset, (size_t)stripe_physical_size(info), i);
	}
	assert_int_equal(chain_visit_back(image.backend, &image.volume, &rescue,
					  chain_image_visit, &back, NULL),
			 0);
	assert_int_equal(back.count, image.record_count);
	assert_int_equal(elsewhere.asked, 3);
	assert_int_equal(chain_visit_after(image.backend, &end, &rescue,
					   chain_image_visit, &after, NULL),
			 0);
	assert_int_equal(after.count, image.record_count);

	elsewhere.wrong = chain_image_stripe(&image, 1)->log_start + 200;
	back = (struct chain_visits){ &image, 3, -1, 0 };
	assert_int_equal(chain_visit_back(image.backend, &image.volume, &rescue,
					  chain_image_visit, &back, NULL),
			 -EBADMSG);
	assert_int_equal(back.count, 2);
	image_done(&image);
}

/* More of them than there are marks. */
static void a_long_chain_of_lost_records_is_walked_both_ways(void **state)
{
	struct image image;
	struct elsewhere elsewhere = { &image, UINT64_MAX, 0 };
	const struct stripe_rescue rescue = { read_elsewhere, &elsewhere };
	struct chain_visits after = { &image, 0, 1, 0 };
	struct log_end end = { 0 };

	(void)state;
	image_init(&image, 1, 1);
	image_add_record(&image, STRIPE_HEADER, 0, 100);
	for (unsigned i = 0; i < 150; i++)
		image_add_record(&image, STRIPE_COMMIT, 0, 0);
	end.volume = image.volume;
	for (size_t i = 20; i < chain_image_last(&image); i++) {
		const struct stripe_info *info = chain_image_stripe(&image, i);

		image_noise(&image, info->offset, (size_t)stripe_physical_size(info), i);
	}
	assert_int_equal(chain_visit_after(image.backend, &end, &rescue,
					   chain_image_visit, &after, NULL),
			 0);
	assert_int_equal(after.count, image.record_count);
	image_done(&image);
}

static void nothing_is_found_where_nothing_is(void **state)
{
	struct image image;
	struct record *record;
	struct stripe_info own;
	struct uuid volume;
	uint8_t other[UUID_SIZE];

	(void)state;
	chain_image_make(&image, 1, 1);
	memset(other, 5, sizeof(other));
	memcpy(volume.bytes, other, UUID_SIZE);
	assert_int_equal(chain_find_last(image.backend, &volume, &record, &own, NULL),
			 -EBADMSG);
	image_noise(&image, 0, image.size, 1);
	assert_int_equal(
		chain_find_last(image.backend, &image.volume, &record, &own, NULL),
		-EBADMSG);
	assert_int_equal(chain_identify(image.backend, &volume, NULL), -EBADMSG);
	assert_int_equal(backend_memory_set(image.backend, "", 0), 0);
	assert_int_equal(
		chain_find_last(image.backend, &image.volume, &record, &own, NULL),
		-EBADMSG);
	assert_int_equal(chain_identify(image.backend, &volume, NULL), -EBADMSG);
	assert_int_equal(chain_read_record(image.backend, &image.volume, 0, NULL, &record,
					   &own, NULL),
			 -EBADMSG);
	image_done(&image);
}

static uint64_t bytes_read;
static const struct backend_ops *memory_ops;

static int count_read(struct backend *backend, uint64_t offset, void *data, size_t size,
		      size_t *size_out, struct error *err)
{
	bytes_read += size;
	return memory_ops->read(backend, offset, data, size, size_out, err);
}

static void a_long_tail_behind_a_lost_record_is_jumped_over(void **state)
{
	static const struct image_shape large = { 4, 3, 8, 0, 4, 2000000 };
	struct image image;
	struct backend_ops ops;
	const struct stripe_info *info;

	(void)state;
	chain_image_make(&image, 1, 1);
	for (int i = 0; i < 9; i++)
		image_add_data(&image, &large);
	info = chain_image_stripe(&image, 3);
	memory_ops = image.backend->ops;
	ops = *memory_ops;
	ops.read = count_read;
	image.backend->ops = &ops;

	bytes_read = 0;
	chain_image_expect_last(&image, 3);
	assert_true(bytes_read < image.size / 8);

	/* The jump skips the tail; the lost record's surroundings are searched once. */
	image_noise(&image, info->offset, (size_t)stripe_physical_size(info), 1);
	bytes_read = 0;
	chain_image_expect_last(&image, 2);
	assert_true(image.size - info->offset > 120 << 20);
	assert_true(bytes_read < 84 << 20); /* 64 MiB of it for other header pages */
	image.backend->ops = memory_ops;
	image_done(&image);
}

static void an_archived_volume_inside_a_volume_is_content(void **state)
{
	static const struct image_shape large = { 4, 3, 8, 0, 4, 2000000 };
	struct image image;
	size_t first_stripe, start;

	(void)state;
	chain_image_make(&image, 1, 1);
	first_stripe = (size_t)stripe_physical_size(&image.stripes[0]);
	start = image.size;
	image_add_torn(&image, &large, 8192 + first_stripe, 2);

	/* All header pages of the first record, in the one extent of a torn stripe. */
	memcpy(image.bytes + start + 8192, image.bytes, first_stripe);
	image_publish(&image);
	chain_image_expect_last(&image, 3);
	chain_image_expect_identity(&image);
	image_done(&image);
}

static void a_volume_is_identified_without_its_first_stripe(void **state)
{
	static const struct image_shape large = { 4, 3, 8, 0, 4, 2000000 };
	struct image image;

	(void)state;
	chain_image_make(&image, 1, 1);
	image_noise(&image, 0, (size_t)stripe_physical_size(&image.stripes[0]), 1);
	chain_image_expect_identity(&image);

	/* Nothing at all in the first 16 MiB, but behind. */
	image_add_data(&image, &large);
	image_noise(&image, 0, 16 << 20, 1);
	assert_true(image.size > 16 << 20);
	chain_image_expect_identity(&image);
	image_noise(&image, 0, image.size, 1);
	assert_int_equal(chain_identify(image.backend, &image.volume, NULL), -EBADMSG);
	image_done(&image);
}

static void a_record_is_read_without_its_first_page(void **state)
{
	struct image image;

	(void)state;
	chain_image_make(&image, 1, 1);
	for (size_t number = 0; number < image.record_count; number++) {
		const struct stripe_info *info = chain_image_stripe(&image, number);
		struct record *record;
		struct stripe_info own;

		image_noise(&image, info->offset, PAGE_SIZE_BYTES, 1);
		assert_int_equal(chain_read_record(image.backend, &image.volume,
						   info->offset,
						   &image.records[number]->hash, &record,
						   &own, NULL),
				 0);
		chain_image_expect_record(&image, number, record, &own);
		record_free(record);
		stripe_info_done(&own);
		assert_int_equal(chain_read_record(image.backend, &image.volume,
						   info->offset,
						   &image.stripes[0].extents[0].hash,
						   &record, &own, NULL),
				 -EBADMSG);
	}
	image_done(&image);
}

static void a_listed_record_needs_no_header_page_at_all(void **state)
{
	struct image image;
	const struct stripe_info *info;
	unsigned pages;

	(void)state;
	chain_image_make(&image, 1, 1);
	info = chain_image_stripe(&image, 2);
	pages = geometry_parity_pages(&info->geometry);
	image_noise(&image, info->offset, PAGE_SIZE_BYTES, 1);
	for (unsigned extent = 1; extent < 3; extent++) {
		uint64_t offset = info->offset + extent * info->geometry.stride;

		image_noise(&image, offset, PAGE_SIZE_BYTES, 1);
		image_noise(&image, offset + pages * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES, 1);
	}
	chain_image_expect_walk_back(&image);
	image_done(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_records_are_had_from_elsewhere),
		cmocka_unit_test(a_long_chain_of_lost_records_is_walked_both_ways),
		cmocka_unit_test(any_single_block_changes_nothing),
		cmocka_unit_test(a_record_outlives_the_loss_of_any_m_extents),
		cmocka_unit_test(a_record_outlives_its_header_pages),
		cmocka_unit_test(a_torn_last_record_does_not_exist),
		cmocka_unit_test(tails_of_any_kind_are_passed_over),
		cmocka_unit_test(a_lost_record_gives_way_to_the_one_before),
		cmocka_unit_test(nothing_is_found_where_nothing_is),
		cmocka_unit_test(a_long_tail_behind_a_lost_record_is_jumped_over),
		cmocka_unit_test(an_archived_volume_inside_a_volume_is_content),
		cmocka_unit_test(a_volume_is_identified_without_its_first_stripe),
		cmocka_unit_test(a_record_is_read_without_its_first_page),
		cmocka_unit_test(a_listed_record_needs_no_header_page_at_all),
	};

	return cmocka_run_group_tests_name("chain_damage", tests, NULL, NULL);
}
