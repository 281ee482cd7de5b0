/* SPDX-License-Identifier: MIT */
/* The chain of records is found whatever single block is bad, whatever tail follows it. */
#include "support/backend_memory.h"
#include "support/volume_image.h"

#include "base/error.h"
#include "volume/chain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct image_shape mirrored = { 1, 3, 2, 0, 1, 60000 };
static const struct image_shape small = { 4, 3, 2, 0, 4, 90000 };
static const struct image_shape unprotected = { 2, 0, 2, 0, 2, 30000 };

/* Records 0 to 3, the last of them spread and of several leaves. */
static void make_volume(struct image *image, uint8_t volume, uint8_t epoch)
{
	image_init(image, volume, epoch);
	image_add_record(image, STRIPE_HEADER, 0, 100);
	image_add_data(image, &mirrored);
	image_add_record(image, STRIPE_COMMIT, 0, 100);
	image_add_data(image, &small);
	image_add_record(image, STRIPE_PLACEMENT, 0, 100);
	image_add_data(image, &unprotected);
	image_add_data(image, &mirrored);
	image_add_record(image, STRIPE_COMMIT, 716800, 150000);
}

static size_t last_of(const struct image *image)
{
	return image->record_count - 1;
}

/* The stripe of record @number. */
static const struct stripe_info *stripe_of(const struct image *image, size_t number)
{
	size_t i = 0;

	while (image->stripes[i].number != image->records[number]->stripe_number)
		i++;
	return &image->stripes[i];
}

/* @record and @own are record @number of the image and its stripe. */
static void expect_record(const struct image *image, size_t number,
			  const struct record *record, const struct stripe_info *own)
{
	const struct stripe_info *want = stripe_of(image, number);

	assert_int_equal(record->sequence, number);
	assert_true(hash_equal(&record->hash, &image->records[number]->hash));
	assert_int_equal(own->offset, want->offset);
	assert_int_equal(own->number, want->number);
	assert_int_equal(own->log_start, want->log_start);
	assert_int_equal(own->kind, want->kind);
	assert_int_equal(own->data_count, want->data_count);
	assert_int_equal(own->geometry.stride, want->geometry.stride);
	for (unsigned i = 0; i < want->data_count + want->geometry.parity; i++) {
		assert_int_equal(own->extents[i].payload_size,
				 want->extents[i].payload_size);
		assert_int_equal(own->extents[i].area_size, want->extents[i].area_size);
		assert_true(hash_equal(&own->extents[i].hash, &want->extents[i].hash));
	}
}

static void expect_last(struct image *image, size_t number)
{
	struct record *record;
	struct stripe_info own;
	struct error error = { 0 };

	if (chain_find_last(image->backend, &image->volume, &record, &own, &error) != 0)
		fail_msg("%s", error.text);
	expect_record(image, number, record, &own);
	record_free(record);
	stripe_info_done(&own);
}

static void expect_identity(struct image *image)
{
	struct uuid volume;

	assert_int_equal(chain_identify(image->backend, &volume, NULL), 0);
	assert_memory_equal(volume.bytes, image->volume.bytes, UUID_SIZE);
}

struct visits {
	struct image *image;
	size_t next;
	int step; /* to the number expected next */
	size_t count;
};

static int count_visit(void *context, const struct record *record,
		       const struct stripe_info *own, struct error *err)
{
	struct visits *visits = context;

	(void)err;
	expect_record(visits->image, visits->next, record, own);
	visits->next += (size_t)visits->step;
	visits->count++;
	return 0;
}

static void expect_walk_back(struct image *image)
{
	struct visits visits = { image, last_of(image), -1, 0 };
	struct error error = { 0 };

	if (chain_visit_back(image->backend, &image->volume, count_visit, &visits,
			     &error))
		fail_msg("%s", error.text);
	assert_int_equal(visits.count, image->record_count);
}

/* The log's end after record @number. */
static void end_after(struct image *image, size_t number, struct log_end *end)
{
	assert_int_equal(
		chain_end(image->records[number], stripe_of(image, number), end, NULL),
		0);
}

static void the_end_of_the_log_follows_the_last_record(void **state)
{
	struct image image;
	struct log_end end;

	(void)state;
	make_volume(&image, 1, 1);
	end_after(&image, 3, &end);
	assert_memory_equal(end.volume.bytes, image.volume.bytes, UUID_SIZE);
	assert_int_equal(end.sequence, 4);
	assert_int_equal(end.previous_offset, image.previous_offset);
	assert_true(hash_equal(&end.previous_hash, &image.previous_hash));
	assert_int_equal(end.covered, image.records[3]->log_end);
	assert_int_equal(end.log_offset, image.log_size);
	assert_int_equal(end.stripe_number, image.next_number);
	assert_int_equal(end.own.offset, image.previous_offset);
	stripe_info_done(&end.own);
	image_done(&image);
}

static void an_undamaged_chain_is_walked_both_ways(void **state)
{
	struct image image;

	(void)state;
	make_volume(&image, 1, 1);
	expect_identity(&image);
	expect_last(&image, 3);
	expect_walk_back(&image);
	for (size_t i = 0; i <= last_of(&image); i++) {
		struct visits visits = { &image, i + 1, 1, 0 };
		struct log_end end;

		end_after(&image, i, &end);
		assert_int_equal(chain_visit_after(image.backend, &end, count_visit,
						   &visits, NULL),
				 0);
		assert_int_equal(visits.count, last_of(&image) - i);
		stripe_info_done(&end.own);
	}
	image_done(&image);
}

static void an_empty_catalog_sees_every_record(void **state)
{
	struct image image;
	struct visits visits = { &image, 0, 1, 0 };
	struct log_end end = { .previous_offset = RECORD_OFFSET_NONE };

	(void)state;
	make_volume(&image, 1, 1);
	end.volume = image.volume;
	assert_int_equal(
		chain_visit_after(image.backend, &end, count_visit, &visits, NULL), 0);
	assert_int_equal(visits.count, image.record_count);
	image_done(&image);
}

/* More records than one trail has marks for, from the first and from one in the middle on. */
static void a_long_chain_is_walked_in_order(void **state)
{
	struct image image;
	struct log_end end;

	(void)state;
	image_init(&image, 1, 1);
	for (unsigned i = 0; i < 200; i++)
		image_add_record(&image, i ? STRIPE_COMMIT : STRIPE_HEADER, 0, 10);
	for (size_t first = 0; first < 200; first += 93) {
		struct visits visits = { &image, first, 1, 0 };

		end = (struct log_end){ .volume = image.volume,
					.previous_offset = RECORD_OFFSET_NONE };
		if (first)
			end_after(&image, first - 1, &end);
		assert_int_equal(chain_visit_after(image.backend, &end, count_visit,
						   &visits, NULL),
				 0);
		assert_int_equal(visits.count, 200 - first);
		stripe_info_done(&end.own);
	}
	image_done(&image);
}

static void an_older_volume_and_a_fork_are_told_apart(void **state)
{
	struct image image, fork;
	struct log_end end;

	(void)state;
	make_volume(&image, 1, 1);
	make_volume(&fork, 1, 2);
	end_after(&image, 3, &end);
	assert_int_equal(
		backend_memory_set(image.backend, image.bytes, end.previous_offset), 0);
	assert_int_equal(chain_visit_after(image.backend, &end, count_visit, NULL, NULL),
			 -ESTALE);
	assert_int_equal(chain_visit_after(fork.backend, &end, count_visit, NULL, NULL),
			 -EBADMSG);
	image_add_record(&fork, STRIPE_COMMIT, 0, 0);
	assert_int_equal(chain_visit_after(fork.backend, &end, count_visit, NULL, NULL),
			 -EBADMSG);
	stripe_info_done(&end.own);
	image_done(&image);
	image_done(&fork);
}

static int refuse(void *context, const struct record *record,
		  const struct stripe_info *own, struct error *err)
{
	size_t *count = context;

	(void)record;
	(void)own;
	++*count;
	return error_set(err, -ECANCELED, "enough");
}

static void a_visitor_ends_the_walk(void **state)
{
	struct image image;
	struct log_end end;
	size_t count = 0;

	(void)state;
	make_volume(&image, 1, 1);
	assert_int_equal(
		chain_visit_back(image.backend, &image.volume, refuse, &count, NULL),
		-ECANCELED);
	assert_int_equal(count, 1);
	end_after(&image, 0, &end);
	assert_int_equal(chain_visit_after(image.backend, &end, refuse, &count, NULL),
			 -ECANCELED);
	assert_int_equal(count, 2);
	stripe_info_done(&end.own);
	image_done(&image);
}

static void any_single_block_changes_nothing(void **state)
{
	struct image image, epoch, volume;
	static const uint8_t zeroes[PAGE_SIZE_BYTES];

	(void)state;
	make_volume(&image, 1, 1);
	make_volume(&epoch, 1, 2);
	make_volume(&volume, 9, 1);
	for (uint64_t offset = 0; offset < image.size; offset += PAGE_SIZE_BYTES) {
		const uint8_t *with[] = {
			zeroes,
			image.bytes + (offset * 7 + 4096 * 1234) % image.size,
			image.bytes, /* the first header page */
			image.bytes + image.stripes[1].offset,
			image.bytes + stripe_of(&image, 2)->offset,
			epoch.bytes + offset,
			volume.bytes + offset,
		};

		if (!image_block_used(&image, offset) && offset / PAGE_SIZE_BYTES % 8 &&
		    offset + PAGE_SIZE_BYTES != image.size)
			continue;
		for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
			image_fill(&image, offset, with[i], PAGE_SIZE_BYTES);
			expect_last(&image, 3);
			expect_identity(&image);
			if (i % 3 == 0)
				expect_walk_back(&image);
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
	make_volume(&image, 1, 1);
	for (size_t number = 0; number < image.record_count; number++) {
		info = stripe_of(&image, number);
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
			expect_last(&image, 3);
			expect_walk_back(&image);
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
	make_volume(&image, 1, 1);
	info = stripe_of(&image, 3);
	for (unsigned extent = 0; extent < 3; extent++)
		image_noise(&image, info->offset + extent * info->geometry.stride,
			    PAGE_SIZE_BYTES, 1);
	expect_last(&image, 3); /* by the copy in the first parity extent */
	for (unsigned extent = 0; extent < 3; extent++)
		image_noise(&image, info->offset + extent * info->geometry.stride,
			    2 * PAGE_SIZE_BYTES, 1);
	expect_last(&image, 3); /* the tables, too */
	image_done(&image);
}

static void a_torn_last_record_does_not_exist(void **state)
{
	struct image image;
	const struct stripe_info *info;

	(void)state;
	make_volume(&image, 1, 1);
	info = stripe_of(&image, 3);
	for (uint64_t size = image.size; size > info->offset; size -= PAGE_SIZE_BYTES) {
		struct record *record;
		struct stripe_info own;
		bool whole = size - info->offset >=
			     2 * PAGE_SIZE_BYTES + info->extents[0].area_size;

		assert_int_equal(backend_memory_set(image.backend, image.bytes, size), 0);
		assert_int_equal(chain_find_last(image.backend, &image.volume, &record,
						 &own, NULL),
				 0);
		expect_record(&image, whole ? 3 : 2, record, &own);
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
	make_volume(&image, 1, 1);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		image_add_torn(&image, &small, cuts[i], epoch++);
		expect_last(&image, 3);
	}
	/* A whole stripe that no record lists, and noise. */
	image_add_data(&image, &small);
	expect_last(&image, 3);
	assert_int_equal(backend_memory_set(image.backend, image.bytes, image.size), 0);
	image_noise(&image, image.size - 500000, 500000, 5);
	expect_last(&image, 3);
	image_publish(&image);

	/* A session that goes on behind all that. */
	image_add_record(&image, STRIPE_COMMIT, 0, 100);
	expect_last(&image, 4);
	expect_walk_back(&image);
	image_done(&image);
}

static void a_lost_record_gives_way_to_the_one_before(void **state)
{
	struct image image;
	const struct stripe_info *info;
	struct visits visits = { &image, 3, -1, 0 };
	struct error error = { 0 };

	(void)state;
	make_volume(&image, 1, 1);
	image_add_data(&image, &small);
	info = stripe_of(&image, 3);
	image_noise(&image, info->offset, (size_t)stripe_physical_size(info), 1);
	expect_last(&image, 2);
	image_publish(&image);

	/* In the middle of the chain it ends the walk. */
	info = stripe_of(&image, 2);
	image_noise(&image, info->offset, (size_t)stripe_physical_size(info), 1);
	assert_int_equal(chain_visit_back(image.backend, &image.volume, count_visit,
					  &visits, &error),
			 -EBADMSG);
	assert_int_equal(visits.count, 1);
	assert_non_null(strstr(error.text, "record at byte"));
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
	make_volume(&image, 1, 1);
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
	make_volume(&image, 1, 1);
	for (int i = 0; i < 9; i++)
		image_add_data(&image, &large);
	info = stripe_of(&image, 3);
	memory_ops = image.backend->ops;
	ops = *memory_ops;
	ops.read = count_read;
	image.backend->ops = &ops;

	bytes_read = 0;
	expect_last(&image, 3);
	assert_true(bytes_read < image.size / 8);

	/* The jump skips the tail; the lost record's surroundings are searched once. */
	image_noise(&image, info->offset, (size_t)stripe_physical_size(info), 1);
	bytes_read = 0;
	expect_last(&image, 2);
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
	make_volume(&image, 1, 1);
	first_stripe = (size_t)stripe_physical_size(&image.stripes[0]);
	start = image.size;
	image_add_torn(&image, &large, 8192 + first_stripe, 2);

	/* All header pages of the first record, in the one extent of a torn stripe. */
	memcpy(image.bytes + start + 8192, image.bytes, first_stripe);
	image_publish(&image);
	expect_last(&image, 3);
	expect_identity(&image);
	image_done(&image);
}

static void a_volume_is_identified_without_its_first_stripe(void **state)
{
	static const struct image_shape large = { 4, 3, 8, 0, 4, 2000000 };
	struct image image;

	(void)state;
	make_volume(&image, 1, 1);
	image_noise(&image, 0, (size_t)stripe_physical_size(&image.stripes[0]), 1);
	expect_identity(&image);

	/* Nothing at all in the first 16 MiB, but behind. */
	image_add_data(&image, &large);
	image_noise(&image, 0, 16 << 20, 1);
	assert_true(image.size > 16 << 20);
	expect_identity(&image);
	image_noise(&image, 0, image.size, 1);
	assert_int_equal(chain_identify(image.backend, &image.volume, NULL), -EBADMSG);
	image_done(&image);
}

static void a_record_is_read_without_its_first_page(void **state)
{
	struct image image;

	(void)state;
	make_volume(&image, 1, 1);
	for (size_t number = 0; number < image.record_count; number++) {
		const struct stripe_info *info = stripe_of(&image, number);
		struct record *record;
		struct stripe_info own;

		image_noise(&image, info->offset, PAGE_SIZE_BYTES, 1);
		assert_int_equal(chain_read_record(image.backend, &image.volume,
						   info->offset,
						   &image.records[number]->hash, &record,
						   &own, NULL),
				 0);
		expect_record(&image, number, record, &own);
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
	make_volume(&image, 1, 1);
	info = stripe_of(&image, 2);
	pages = geometry_parity_pages(&info->geometry);
	image_noise(&image, info->offset, PAGE_SIZE_BYTES, 1);
	for (unsigned extent = 1; extent < 3; extent++) {
		uint64_t offset = info->offset + extent * info->geometry.stride;

		image_noise(&image, offset, PAGE_SIZE_BYTES, 1);
		image_noise(&image, offset + pages * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES, 1);
	}
	expect_walk_back(&image);
	image_done(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_the_log_follows_the_last_record),
		cmocka_unit_test(an_undamaged_chain_is_walked_both_ways),
		cmocka_unit_test(an_empty_catalog_sees_every_record),
		cmocka_unit_test(a_long_chain_is_walked_in_order),
		cmocka_unit_test(an_older_volume_and_a_fork_are_told_apart),
		cmocka_unit_test(a_visitor_ends_the_walk),
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

	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
