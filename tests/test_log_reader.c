/* SPDX-License-Identifier: MIT */
/* What readers of a log rely on: right bytes or an error, whatever single block is bad, and
 * little work for it. */
#include "support/backend_memory.h"
#include "support/volume_image.h"

#include "base/error.h"
#include "volume/geometry.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CACHE_SIZE (4u << 20)

static const struct image_shape mirrored = { 1, 3, 2, 0, 1, 300000 };
static const struct image_shape small = { 4, 3, 2, 0, 4, 290000 };
static const struct image_shape short_of_extents = { 4, 3, 2, 0, 3, 150000 };
static const struct image_shape wide = { 30, 3, 2, 0, 30, 200000 };

static void make_volume(struct image *image, uint8_t volume, uint8_t epoch)
{
	image_init(image, volume, epoch);
	image_add_record(image, STRIPE_HEADER, 0, 100);
	image_add_data(image, &mirrored);
	image_add_data(image, &small);
	image_add_record(image, STRIPE_COMMIT, 0, 70000);
	image_add_data(image, &short_of_extents);
	image_add_data(image, &wide);
	image_add_record(image, STRIPE_COMMIT, 1 << 20, 100);
}

static struct log_reader *open_reader(struct image *image)
{
	struct stripe_lookup lookup = image_lookup(image);
	struct log_reader *reader;

	assert_int_equal(log_reader_new(image->backend, &image->volume, &lookup,
					CACHE_SIZE, &reader, NULL),
			 0);
	return reader;
}

/* Read [start, end) of the log with @reader and compare. */
static void expect_range(struct image *image, struct log_reader *reader, uint64_t start,
			 uint64_t end)
{
	size_t size = (size_t)(end - start);
	uint8_t *data = malloc(size + 1);
	struct error error = { 0 };

	assert_non_null(data);
	if (log_read(reader, start, data, size, NULL, &error) != 0)
		fail_msg("%s", error.text);
	assert_memory_equal(data, image->log + start, size);
	free(data);
}

static void expect_whole(struct image *image)
{
	struct log_reader *reader = open_reader(image);

	expect_range(image, reader, 0, image->log_size);
	log_reader_free(reader);
}

/* The part of the log that lies in the extents next to byte @offset of the volume. */
static void expect_around(struct image *image, uint64_t offset)
{
	const struct stripe_info *info = image_stripe_at(image, offset);
	uint64_t log, extent;
	struct log_reader *reader;

	if (!info)
		return;
	reader = open_reader(image);
	log = info->log_start;
	extent = (offset - info->offset) / info->geometry.stride;
	for (unsigned i = 0; i < info->data_count; i++) {
		uint32_t size = info->extents[i].payload_size;

		/* Damage in parity shows in no data; look at the first extent then. */
		if (i == extent || (i == 0 && extent >= info->data_count))
			expect_range(image, reader, log, log + size);
		log += size;
	}
	log_reader_free(reader);
}

static void an_undamaged_log_reads_back_in_pieces_of_any_size(void **state)
{
	static const size_t sizes[] = { 1, 4096, 65536, 65537, 262159, 700001, 5000000 };
	struct image image;
	struct log_reader *reader;

	(void)state;
	make_volume(&image, 1, 1);
	reader = open_reader(&image);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t step = sizes[i] < 4096 ? 9973 : sizes[i];

		for (uint64_t at = 0; at + sizes[i] <= image.log_size; at += step)
			expect_range(&image, reader, at, at + sizes[i]);
	}
	for (uint64_t at = 0; at + 300000 < image.log_size; at += 65536)
		expect_range(&image, reader, at, at + 262144);
	log_reader_free(reader);
	image_done(&image);
}

static void ranges_outside_the_log_do_not_exist(void **state)
{
	struct image image;
	struct log_reader *reader;
	uint8_t data[16];

	(void)state;
	make_volume(&image, 1, 1);
	reader = open_reader(&image);
	assert_int_equal(log_read(reader, image.log_size, data, 1, NULL, NULL), -ENOENT);
	assert_int_equal(log_read(reader, image.log_size - 8, data, 16, NULL, NULL),
			 -ENOENT);
	assert_int_equal(log_read(reader, UINT64_MAX - 3, data, 16, NULL, NULL), -ENOENT);
	assert_int_equal(log_read(reader, 5, data, 0, NULL, NULL), 0);
	log_reader_free(reader);
	image_done(&image);
}

static void a_cached_table_makes_a_read_cost_its_leaves_alone(void **state)
{
	struct image image;
	struct log_reader *reader;
	struct log_counters before, after;
	uint64_t start;
	uint8_t *data = malloc(262144);

	(void)state;
	make_volume(&image, 1, 1);
	start = image.stripes[2].log_start;
	reader = open_reader(&image);
	expect_range(&image, reader, start, start + 1);
	log_reader_counters(reader, &before);
	assert_int_equal(log_read(reader, start, data, 262144, NULL, NULL), 0);
	log_reader_counters(reader, &after);
	assert_int_equal(after.leaves_read - before.leaves_read, 4);
	assert_int_equal(after.bytes_read - before.bytes_read, 262144);
	assert_int_equal(log_read(reader, start + 100, data, 262144 - 65536, NULL, NULL),
			 0);
	log_reader_counters(reader, &before);
	assert_int_equal(before.leaves_read - after.leaves_read,
			 3); /* the first is kept */
	assert_int_equal(before.leaves_repaired, 0);
	free(data);
	log_reader_free(reader);
	image_done(&image);
}

static void what_is_expected_is_what_a_read_takes(void **state)
{
	struct image image;
	struct log_reader *reader;
	struct log_counters counters;
	uint64_t start, end, offset, size;

	(void)state;
	make_volume(&image, 1, 1);
	start = image.stripes[2].log_start;
	reader = open_reader(&image);
	log_reader_expect(reader, start + 70000, 130000);
	assert_int_equal(backend_memory_expected(image.backend, &offset, &size), 1);
	assert_int_equal(size, 3 * LEAF_SIZE);

	backend_memory_set_unreadable(image.backend, offset, size);
	expect_range(&image, reader, start + 70000, start + 200000);
	log_reader_counters(reader, &counters);
	assert_int_equal(counters.leaves_read, 3);
	assert_int_equal(counters.leaves_repaired, 3);

	log_reader_expect(reader, start, 1); /* an extent is begun: its table as well */
	assert_int_equal(backend_memory_expected(image.backend, &offset, &size), 2);
	assert_int_equal(offset, extent_offset(&image.stripes[2], 0));
	assert_int_equal(offset + size,
			 entry_offset(&image.stripes[2], 0, 0) + LEAF_SIZE);
	log_reader_expect(reader, start + small.payload - 10, 20); /* two extents */
	assert_int_equal(backend_memory_expected(image.backend, &offset, &size), 4);
	end = image.stripes[3].log_start;
	log_reader_expect(reader, end - 10, 1 << 20); /* only of its stripe */
	assert_int_equal(backend_memory_expected(image.backend, &offset, &size), 5);
	log_reader_expect(reader, image.log_size, 1); /* nothing is there */
	assert_int_equal(backend_memory_expected(image.backend, &offset, &size), 5);
	log_reader_free(reader);
	image_done(&image);
}

/* What a block is overwritten with, each kind in turn. */
enum damage { NOISE, ZEROES, OTHER_BLOCK, OTHER_EPOCH, OTHER_VOLUME, DAMAGES };

struct variants {
	struct image image, other_epoch, other_volume;
};

static void damage_block(struct variants *v, uint64_t offset, enum damage damage)
{
	static const uint8_t zeroes[PAGE_SIZE_BYTES];
	const uint8_t *with = zeroes;

	if (damage == NOISE) {
		image_noise(&v->image, offset, PAGE_SIZE_BYTES, offset + 1);
		return;
	}
	if (damage == OTHER_BLOCK)
		with = v->image.bytes +
		       (offset * 7 + 12345 * 4096) % (v->image.size / 4096 * 4096);
	else if (damage == OTHER_EPOCH)
		with = v->other_epoch.bytes + offset;
	else if (damage == OTHER_VOLUME)
		with = v->other_volume.bytes + offset;
	image_fill(&v->image, offset, with, PAGE_SIZE_BYTES);
}

static void any_single_block_may_hold_anything(void **state)
{
	struct variants v;
	unsigned kinds[DAMAGES] = { 0 };

	(void)state;
	make_volume(&v.image, 1, 1);
	v.other_epoch.seed = 0;
	make_volume(&v.other_epoch, 1, 2);
	make_volume(&v.other_volume, 9, 1);
	assert_int_equal(v.image.size, v.other_epoch.size);
	assert_int_equal(v.image.size, v.other_volume.size);
	for (uint64_t offset = 0; offset < v.image.size; offset += PAGE_SIZE_BYTES) {
		if (!image_block_used(&v.image, offset) && offset / 4096 % 16)
			continue;
		for (enum damage damage = NOISE; damage < DAMAGES; damage++) {
			damage_block(&v, offset, damage);
			expect_around(&v.image, offset);
			image_restore(&v.image, offset, PAGE_SIZE_BYTES);
			kinds[damage]++;
		}
	}
	assert_true(kinds[OTHER_VOLUME] > 1000);
	image_done(&v.image);
	image_done(&v.other_epoch);
	image_done(&v.other_volume);
}

static void repairs_are_counted_and_reported(void **state)
{
	struct image image;
	struct log_reader *reader;
	struct log_counters counters;
	struct log_read_report report = { 7, 7, 7, 7 };
	const struct stripe_info *info;
	uint64_t leaf, table;
	uint8_t data[100];

	(void)state;
	make_volume(&image, 1, 1);
	info = &image.stripes[2];
	leaf = info->offset + info->geometry.stride + 8192 + 65536;
	table = info->offset + info->geometry.stride + 4096;
	image_noise(&image, leaf, 1, 3);
	image_noise(&image, table + 100, 1, 3);
	reader = open_reader(&image);
	assert_int_equal(log_read(reader,
				  info->log_start + info->extents[0].payload_size + 65536,
				  data, sizeof(data), &report, NULL),
			 0);
	assert_int_equal(report.leaves_repaired, 1);
	assert_int_equal(report.repaired_offset, table);
	assert_int_equal(report.lost_size, 0);
	log_reader_counters(reader, &counters);
	assert_int_equal(counters.leaves_repaired, 1);
	assert_int_equal(counters.pages_repaired, 1);
	assert_int_equal(counters.leaves_lost, 0);
	log_reader_free(reader);
	image_done(&image);
}

static void a_wrong_hash_in_the_description_is_an_error(void **state)
{
	struct image image;
	struct log_reader *reader;
	struct log_read_report report;
	uint8_t data[10];
	uint64_t start;

	(void)state;
	make_volume(&image, 1, 1);
	start = image.stripes[2].log_start;
	image.stripes[2].extents[0].hash.bytes[5] ^= 1;
	reader = open_reader(&image);
	assert_int_equal(log_read(reader, start + 3, data, 10, &report, NULL), -EBADMSG);
	assert_int_equal(report.lost_log_offset, start + 3);
	assert_int_equal(report.lost_size, 10);
	log_reader_free(reader);
	image_done(&image);
}

static void impossible_descriptions_are_refused(void **state)
{
	struct image image;
	uint8_t data[1];

	(void)state;
	make_volume(&image, 1, 1);
	for (int i = 0; i < 5; i++) {
		struct stripe_info saved = image.stripes[2];
		struct extent_info extent = saved.extents[1];
		struct log_reader *reader = open_reader(&image);

		if (i == 0)
			image.stripes[2].geometry.stride = 4096;
		else if (i == 1)
			image.stripes[2].offset = UINT64_MAX - 8191;
		else if (i == 2)
			image.stripes[2].extents[1].area_size = 0xfffff000;
		else if (i == 3)
			image.stripes[2].extents[1].payload_size = 0xfffff000;
		else
			image.stripes[2].geometry.frames = 5000;
		assert_int_equal(log_read(reader, saved.log_start, data, 1, NULL, NULL),
				 -EBADMSG);
		image.stripes[2] = saved;
		image.stripes[2].extents[1] = extent;
		log_reader_free(reader);
	}
	image_done(&image);
}

/* Every byte of the log either reads right or is reported lost; returns those lost. */
static uint64_t read_what_is_left(struct image *image, uint64_t log_end)
{
	struct log_reader *reader = open_reader(image);
	uint64_t lost = 0;
	uint8_t *data = malloc(image->log_size);

	assert_non_null(data);
	for (uint64_t at = 0; at < log_end;) {
		struct log_read_report report;
		int r = log_read(reader, at, data, (size_t)(log_end - at), &report, NULL);
		uint64_t good = r ? report.lost_log_offset : log_end;

		if (r) {
			assert_int_equal(r, -EBADMSG);
			assert_in_range(report.lost_log_offset, at, log_end - 1);
			assert_true(report.lost_size > 0);
			lost += report.lost_size;
		}
		if (good > at)
			expect_range(image, reader, at, good);
		at = r ? good + report.lost_size : log_end;
	}
	free(data);
	log_reader_free(reader);
	return lost;
}

static void a_truncated_volume_reads_right_as_far_as_possible(void **state)
{
	struct image image;
	const struct stripe_info *info;
	uint64_t lost_before = 0;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	info = &image.stripes[0];
	for (size_t cut = image.size; cut > 0; cut -= PAGE_SIZE_BYTES) {
		uint64_t lost;

		if (cut < image.size && !image_block_used(&image, cut))
			continue;
		assert_int_equal(backend_memory_set(image.backend, image.bytes, cut), 0);
		lost = read_what_is_left(&image, image.log_size);
		assert_true(lost >= lost_before);
		lost_before = lost;
		if (cut >= info->offset + 4 * info->geometry.stride)
			assert_int_equal(lost, 0); /* what is missing is parity */
	}
	assert_int_equal(lost_before, image.log_size);
	image_done(&image);
}

static void unreadable_ranges_are_erasures_and_no_more(void **state)
{
	struct image image;
	const struct stripe_info *info;

	(void)state;
	make_volume(&image, 1, 1);
	info = &image.stripes[2];
	for (uint64_t offset = info->offset;
	     offset < info->offset + info->geometry.stride; offset += 3 * 4096) {
		backend_memory_set_unreadable(image.backend, offset, 5000);
		expect_around(&image, offset);
	}
	backend_memory_set_unreadable(image.backend, info->offset + 4096,
				      3 * info->geometry.stride - 65536);
	expect_whole(&image);
	image_done(&image);
}

static void an_unreadable_sector_costs_its_leaf_alone(void **state)
{
	struct image image;
	struct log_reader *reader;
	struct log_counters counters;
	const struct stripe_info *info;
	uint8_t *data = malloc(262144);

	(void)state;
	make_volume(&image, 1, 1);
	info = &image.stripes[2];
	backend_memory_set_unreadable(image.backend, info->offset + 8192 + 65536 + 9000,
				      1);
	reader = open_reader(&image);
	assert_int_equal(log_read(reader, info->log_start, data, 262144, NULL, NULL), 0);
	assert_memory_equal(data, image.log + info->log_start, 262144);
	log_reader_counters(reader, &counters);
	assert_int_equal(counters.leaves_repaired, 1);
	free(data);
	log_reader_free(reader);
	image_done(&image);
}

static const struct backend_ops *memory_ops;

/* In the first stripe, one sector of row 0 of each extent, each in a column of its own. */
static int read_with_bad_sectors(struct backend *backend, uint64_t offset, void *data,
				 size_t size, size_t *size_out, struct error *err)
{
	for (uint64_t extent = 0; extent < 7; extent++) {
		struct geometry geometry;
		uint64_t bad;

		geometry_init(&geometry, 4, 3, 2, 0);
		bad = extent * geometry.stride + extent * PAGE_SIZE_BYTES +
		      (uint64_t)PAGE_SIZE_BYTES * geometry_data_pages(&geometry);
		if (extent >= 4)
			bad += (uint64_t)PAGE_SIZE_BYTES *
			       geometry_parity_pages(&geometry);
		if (offset < bad + PAGE_SIZE_BYTES && bad < offset + size)
			return error_set(err, -EIO, "a bad sector");
	}
	return memory_ops->read(backend, offset, data, size, size_out, err);
}

static void unreadable_sectors_in_all_leaves_of_a_row_lose_nothing(void **state)
{
	struct image image;
	struct backend_ops ops;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	memory_ops = image.backend->ops;
	ops = *memory_ops;
	ops.read = read_with_bad_sectors;
	image.backend->ops = &ops;
	expect_whole(&image);
	image.backend->ops = memory_ops;
	image_done(&image);
}

static int read_fails(struct backend *backend, uint64_t offset, void *data, size_t size,
		      size_t *size_out, struct error *err)
{
	(void)backend;
	(void)offset;
	(void)data;
	(void)size;
	(void)size_out;
	return error_set(err, -ENODEV, "the drive is gone");
}

static void errors_that_are_no_damage_are_passed_on(void **state)
{
	struct image image;
	struct backend_ops ops;
	const struct backend_ops *saved;
	struct log_reader *reader;
	struct log_counters counters;
	struct error error = { 0 };
	uint8_t data[1];

	(void)state;
	make_volume(&image, 1, 1);
	saved = image.backend->ops;
	ops = *saved;
	ops.read = read_fails;
	reader = open_reader(&image);
	for (unsigned i = 0; i < 2; i++) { /* once for the table, once for a leaf */
		uint64_t offset = image.stripes[2].log_start + i * LEAF_SIZE;

		image.backend->ops = &ops;
		assert_int_equal(log_read(reader, offset, data, 1, NULL, &error),
				 -ENODEV);
		assert_string_equal(error.text, "the drive is gone");
		image.backend->ops = saved;
		assert_int_equal(log_read(reader, offset, data, 1, NULL, &error), 0);
	}
	log_reader_counters(reader, &counters);
	assert_int_equal(counters.leaves_lost, 0);
	log_reader_free(reader);
	image_done(&image);
}

struct worker {
	struct image *image;
	struct log_reader *reader;
	unsigned number;
	int failures;
};

static void *read_everywhere(void *context)
{
	struct worker *worker = context;
	uint8_t *data = malloc(100000);

	for (uint64_t i = 0; data && i < 120; i++) {
		uint64_t at = (i * 7919 + worker->number * 104729) * 4096 %
			      (worker->image->log_size - 100000);

		if (log_read(worker->reader, at, data, 100000, NULL, NULL) != 0 ||
		    memcmp(data, worker->image->log + at, 100000) != 0)
			worker->failures++;
	}
	free(data);
	return NULL;
}

static void threads_share_a_reader_over_a_damaged_volume(void **state)
{
	enum { THREADS = 4 };
	struct image image;
	struct stripe_lookup lookup;
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	struct log_reader *reader;

	(void)state;
	make_volume(&image, 1, 1);
	for (size_t i = 0; i < image.stripe_count; i++)
		image_noise(&image, image.stripes[i].offset, 4096 * 40, i);
	lookup = image_lookup(&image);
	/* A cache too small for the tables, so that they come and go. */
	assert_int_equal(log_reader_new(image.backend, &image.volume, &lookup, 4000,
					&reader, NULL),
			 0);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ &image, reader, i, 0 };
		assert_int_equal(
			pthread_create(&threads[i], NULL, read_everywhere, &workers[i]),
			0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].failures, 0);
	}
	log_reader_free(reader);
	image_done(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_undamaged_log_reads_back_in_pieces_of_any_size),
		cmocka_unit_test(ranges_outside_the_log_do_not_exist),
		cmocka_unit_test(a_cached_table_makes_a_read_cost_its_leaves_alone),
		cmocka_unit_test(what_is_expected_is_what_a_read_takes),
		cmocka_unit_test(any_single_block_may_hold_anything),
		cmocka_unit_test(repairs_are_counted_and_reported),
		cmocka_unit_test(a_wrong_hash_in_the_description_is_an_error),
		cmocka_unit_test(impossible_descriptions_are_refused),
		cmocka_unit_test(a_truncated_volume_reads_right_as_far_as_possible),
		cmocka_unit_test(unreadable_ranges_are_erasures_and_no_more),
		cmocka_unit_test(an_unreadable_sector_costs_its_leaf_alone),
		cmocka_unit_test(unreadable_sectors_in_all_leaves_of_a_row_lose_nothing),
		cmocka_unit_test(errors_that_are_no_damage_are_passed_on),
		cmocka_unit_test(threads_share_a_reader_over_a_damaged_volume),
	};

	return cmocka_run_group_tests_name("log_reader", tests, NULL, NULL);
}
