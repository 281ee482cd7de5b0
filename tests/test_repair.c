/* SPDX-License-Identifier: MIT */
/* How much damage the rows and columns of a stripe take, and what is told when it is too
 * much. */
#include "support/backend_memory.h"
#include "support/volume_image.h"

#include "base/error.h"
#include "chunker/parity.h"
#include "volume/codeword.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct log_reader *open_reader(struct image *image)
{
	struct stripe_lookup lookup = image_lookup(image);
	struct log_reader *reader;

	assert_int_equal(log_reader_new(image->backend, &image->volume, &lookup, 1 << 20,
					&reader, NULL),
			 0);
	return reader;
}

static void expect_whole(struct image *image)
{
	struct log_reader *reader = open_reader(image);
	uint8_t *data = malloc(image->log_size);
	struct error error = { 0 };

	assert_non_null(data);
	if (log_read(reader, 0, data, image->log_size, NULL, &error) != 0)
		fail_msg("%s", error.text);
	assert_memory_equal(data, image->log, image->log_size);
	free(data);
	log_reader_free(reader);
}

/* A range of the log that is reported lost. */
struct loss {
	uint64_t offset, size;
};

/* Read everything, piece by piece around what is lost; what is read must be right. Returns
 * the number of ranges lost, the first @max of them in @losses. */
static unsigned collect_losses(struct image *image, struct loss *losses, unsigned max)
{
	struct log_reader *reader = open_reader(image);
	uint8_t *data = malloc(image->log_size);
	unsigned count = 0;
	uint64_t at = 0;

	assert_non_null(data);
	while (at < image->log_size) {
		struct log_read_report report;
		size_t size = (size_t)(image->log_size - at);
		int r = log_read(reader, at, data, size, &report, NULL);

		if (r == -EBADMSG) {
			size = (size_t)(report.lost_log_offset - at);
			assert_true(count < max);
			losses[count] =
				(struct loss){ report.lost_log_offset, report.lost_size };
			count++;
			if (size > 0)
				r = log_read(reader, at, data, size, NULL, NULL);
			else
				r = 0;
		}
		assert_int_equal(r, 0);
		assert_memory_equal(data, image->log + at, size);
		at = count && losses[count - 1].offset >= at
			     ? losses[count - 1].offset + losses[count - 1].size
			     : at + size;
	}
	free(data);
	log_reader_free(reader);
	return count;
}

static const struct image_shape small = { 4, 3, 2, 0, 4, 290000 };

/* Where the leaf of @row lies in extent @extent of the first stripe. */
static uint64_t leaf_offset(const struct image *image, unsigned extent, unsigned row)
{
	const struct stripe_info *info = &image->stripes[0];
	unsigned pages = geometry_data_pages(&info->geometry);

	if (extent >= info->data_count)
		pages += geometry_parity_pages(&info->geometry);
	return info->offset + extent * info->geometry.stride +
	       (uint64_t)PAGE_SIZE_BYTES * pages + (uint64_t)LEAF_SIZE * row;
}

static void any_m_bad_leaves_of_a_row_are_rebuilt(void **state)
{
	struct image image;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	for (unsigned mask = 0; mask < 1u << 7; mask++) {
		if (__builtin_popcount(mask) > 3)
			continue;
		for (unsigned extent = 0; extent < 7; extent++)
			if (mask & 1u << extent)
				image_noise(&image, leaf_offset(&image, extent, 1),
					    LEAF_SIZE, mask);
		expect_whole(&image);
		image_publish(&image);
	}
	image_done(&image);
}

static void any_m_bad_tables_are_rebuilt(void **state)
{
	struct image image;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	for (unsigned mask = 0; mask < 1u << 7; mask++) {
		uint64_t stride = image.stripes[0].geometry.stride;

		if (__builtin_popcount(mask) > 3)
			continue;
		for (unsigned extent = 0; extent < 7; extent++)
			if (mask & 1u << extent)
				image_noise(&image, extent * stride, 2 * PAGE_SIZE_BYTES,
					    mask);
		/* A bad leaf in the first one as well: the rebuilt tables must be good. */
		image_noise(&image, leaf_offset(&image, 0, 2) + 5000, 1, 1);
		expect_whole(&image);
		image_publish(&image);
	}
	image_done(&image);
}

static void a_table_lost_beyond_its_row_is_computed_from_the_leaves(void **state)
{
	struct image image;
	uint64_t stride;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	stride = image.stripes[0].geometry.stride;
	for (unsigned extent = 0; extent < 7; extent++)
		image_noise(&image, extent * stride, 2 * PAGE_SIZE_BYTES, 1);
	expect_whole(&image);
	image_done(&image);
}

static void more_than_m_bad_leaves_lose_exactly_themselves(void **state)
{
	struct image image;
	struct loss losses[4];
	const struct stripe_info *info;
	struct log_reader *reader;
	struct error error = { 0 };
	uint8_t byte;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	info = &image.stripes[0];
	for (unsigned extent = 1; extent < 5; extent++)
		image_noise(&image, leaf_offset(&image, extent, 2), LEAF_SIZE, extent);
	assert_int_equal(collect_losses(&image, losses, 4), 3);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t start = 2 * LEAF_SIZE;

		for (unsigned j = 0; j <= i; j++)
			start += info->extents[j].payload_size;
		assert_int_equal(losses[i].offset, start);
		assert_int_equal(losses[i].size, LEAF_SIZE);
	}

	reader = open_reader(&image);
	assert_int_equal(log_read(reader, losses[0].offset + 9, &byte, 1, NULL, &error),
			 -EBADMSG);
	assert_non_null(strstr(error.text, "stripe 0, extent 1, leaf 2"));
	assert_non_null(strstr(error.text, "4 of the row's 7 leaves are bad"));
	assert_non_null(strstr(error.text, "can make up for 3"));
	log_reader_free(reader);
	image_done(&image);
}

static void neighbouring_losses_are_one_range_clipped_to_what_was_asked(void **state)
{
	struct image image;
	struct log_reader *reader;
	struct log_read_report report;
	uint8_t *data = malloc(400000);

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	for (unsigned extent = 0; extent < 4; extent++)
		image_noise(&image, leaf_offset(&image, extent, 1), 2 * LEAF_SIZE,
			    extent);
	reader = open_reader(&image);
	assert_int_equal(log_read(reader, 1000, data, 280000, &report, NULL), -EBADMSG);
	assert_int_equal(report.lost_log_offset, LEAF_SIZE);
	assert_int_equal(report.lost_size, 2 * LEAF_SIZE);
	assert_int_equal(log_read(reader, 70000, data, 100000, &report, NULL), -EBADMSG);
	assert_int_equal(report.lost_log_offset, 70000);
	assert_int_equal(report.lost_size, 100000);
	free(data);
	log_reader_free(reader);
	image_done(&image);
}

static void bursts_of_m_extents_less_a_leaf_lose_nothing(void **state)
{
	struct image image;
	uint64_t size;
	unsigned bursts = 0;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	size = 3 * image.stripes[0].geometry.stride - LEAF_SIZE;
	for (uint64_t start = 0; start + size <= image.size;
	     start += 5 * PAGE_SIZE_BYTES) {
		image_noise(&image, start, (size_t)size, start);
		expect_whole(&image);
		image_restore(&image, start, (size_t)size);
		bursts++;
	}
	for (uint64_t start = 0; start < 4 * PAGE_SIZE_BYTES; start += 512) {
		image_noise(&image, start, (size_t)size, start);
		expect_whole(&image);
		image_restore(&image, start, (size_t)size);
	}
	assert_true(bursts > 50);
	image_done(&image);
}

static void a_longer_burst_loses_the_rows_at_its_ends_alone(void **state)
{
	struct image image;
	const struct stripe_info *info;
	struct loss losses[4];
	uint64_t start, size;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	info = &image.stripes[0];
	start = leaf_offset(&image, 0, 2);
	size = 3 * info->geometry.stride + LEAF_SIZE;
	image_noise(&image, start, (size_t)size, 1);
	assert_int_equal(collect_losses(&image, losses, 4), 4);
	start = 2 * LEAF_SIZE;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(losses[i].offset, start);
		assert_int_equal(losses[i].size, LEAF_SIZE);
		start += info->extents[i].payload_size;
	}
	image_done(&image);
}

/* Overwrite @count sectors of the first stripe at random, at most @limit in each column. */
static void scatter(struct image *image, unsigned count, unsigned limit)
{
	const struct stripe_info *info = &image->stripes[0];
	unsigned extents = info->data_count + info->geometry.parity;
	unsigned sectors = info->extents[info->data_count].area_size / PAGE_SIZE_BYTES;
	unsigned pages = geometry_data_pages(&info->geometry);
	uint8_t *used = calloc(sectors + pages, 1);
	uint64_t state = count;

	assert_non_null(used);
	while (count > 0) {
		unsigned extent, sector;
		uint64_t offset;

		fill_random(&state, sizeof(state), state);
		extent = (unsigned)(state >> 32) % extents;
		sector = (unsigned)(state & 0xffffffff) % (sectors + pages);
		if (used[sector] == limit)
			continue;
		/* Columns 0.. of the pages, then those of the rows. */
		offset = leaf_offset(image, extent, 0) +
			 (uint64_t)PAGE_SIZE_BYTES * sector -
			 (uint64_t)PAGE_SIZE_BYTES * pages;
		if (!image_block_used(image, offset))
			continue;
		used[sector]++;
		count--;
		image_noise(image, offset, PAGE_SIZE_BYTES, state);
	}
	free(used);
}

static void scattered_sectors_are_rebuilt_by_columns(void **state)
{
	static const struct image_shape wide = { 30, 3, 8, 0, 30, 1900000 };
	struct image image;
	struct log_reader *reader;
	struct log_counters counters;
	uint8_t *data;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &wide);
	data = malloc(image.log_size);
	assert_non_null(data);
	for (unsigned count = 64; count <= 256; count += 96) {
		scatter(&image, count, 3);
		expect_whole(&image);
		image_publish(&image);
	}

	/* Far more than whole leaves could make up for. */
	scatter(&image, 800, 3);
	reader = open_reader(&image);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(
			log_read(reader, i * 1000000, image.bytes, 1000000, NULL, NULL),
			0);
	log_reader_counters(reader, &counters);
	assert_true(counters.leaves_repaired > 100);
	free(data);
	log_reader_free(reader);
	image_done(&image);
}

static void a_fourth_bad_sector_in_a_column_loses_its_leaves_alone(void **state)
{
	struct image image;
	struct loss losses[2];
	uint64_t sector = 7 * PAGE_SIZE_BYTES;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);
	for (unsigned extent = 0; extent < 7; extent++) {
		/* Every leaf of row 0 is bad, in columns of their own. */
		image_noise(&image, leaf_offset(&image, extent, 0) + 4096 * extent, 4096,
			    1);
	}
	expect_whole(&image);
	for (unsigned extent = 0; extent < 7; extent += 2)
		image_noise(&image, leaf_offset(&image, extent, 0) + sector, 4096, 1);
	assert_int_equal(collect_losses(&image, losses, 2), 2);
	assert_int_equal(losses[0].offset, 0);
	assert_int_equal(losses[0].size, LEAF_SIZE);
	assert_int_equal(losses[1].size, LEAF_SIZE);
	image_done(&image);
}

/* Change bytes without changing their CRC-32C: add a multiple of its polynomial, which is
 * x^32 and, reflected, 0x82f63b78. */
static void change_under_crc(struct image *image, uint64_t offset)
{
	uint8_t *bytes = backend_memory_data(image->backend) + offset;
	uint64_t pattern = 1 | UINT64_C(0x82f63b78) << 1;

	for (unsigned i = 0; i < 5; i++)
		bytes[i] ^= (uint8_t)(pattern >> (8 * i));
}

static void a_sector_whose_crc_lies_is_found_by_its_hash(void **state)
{
	struct image image;

	(void)state;
	image_init(&image, 1, 1);
	image_add_data(&image, &small);

	/* In the leaf that is read, alone and beside an honest error. */
	change_under_crc(&image, leaf_offset(&image, 0, 1) + 5000);
	expect_whole(&image);
	image_noise(&image, leaf_offset(&image, 0, 1) + 40000, 1, 1);
	expect_whole(&image);

	/* In one that helps, too. */
	change_under_crc(&image, leaf_offset(&image, 2, 1) + 41000);
	expect_whole(&image);
	image_done(&image);
}

static bool accept_text(void *context, const uint8_t *bytes)
{
	return memcmp(bytes, context, 8) == 0;
}

static void doubtful_shards_are_tried_until_the_result_is_accepted(void **state)
{
	static const char *texts[] = { "shard 0", "shard 1", "shard 2", "shard 3" };
	uint8_t sums[3][8] = { 0 }, wrong[8] = "wrong", out[8];
	uint8_t *accumulators[] = { sums[0], sums[1], sums[2] };
	struct codeword word;
	struct parity *code;

	(void)state;
	assert_int_equal(parity_new(4, 3, &code, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		parity_update(code, i, (const uint8_t *)texts[i], 8, accumulators);

	/* 0 is wanted; 1 and 2 are known, one of 3, 4, 5 and 6 is needed twice; 3 and 4 are
	 * wrong, and nothing says so. */
	codeword_init(&word, code, 8);
	word.bytes[1] = (const uint8_t *)texts[1];
	word.bytes[2] = (const uint8_t *)texts[2];
	word.bytes[3] = word.bytes[4] = wrong;
	word.bytes[5] = sums[1];
	word.bytes[6] = sums[2];
	word.trust[1] = word.trust[2] = SHARD_CHECKED;
	word.trust[3] = word.trust[4] = word.trust[5] = word.trust[6] = SHARD_DOUBTFUL;
	assert_int_equal(codeword_solve(&word, 0, out, accept_text,
					(void *)(uintptr_t)texts[0], NULL),
			 0);
	assert_memory_equal(out, texts[0], 8);

	word.trust[6] = SHARD_ERASED;
	assert_int_equal(codeword_solve(&word, 0, out, accept_text,
					(void *)(uintptr_t)texts[0], NULL),
			 -EBADMSG);
	parity_free(code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_m_bad_leaves_of_a_row_are_rebuilt),
		cmocka_unit_test(any_m_bad_tables_are_rebuilt),
		cmocka_unit_test(a_table_lost_beyond_its_row_is_computed_from_the_leaves),
		cmocka_unit_test(more_than_m_bad_leaves_lose_exactly_themselves),
		cmocka_unit_test(
			neighbouring_losses_are_one_range_clipped_to_what_was_asked),
		cmocka_unit_test(bursts_of_m_extents_less_a_leaf_lose_nothing),
		cmocka_unit_test(a_longer_burst_loses_the_rows_at_its_ends_alone),
		cmocka_unit_test(scattered_sectors_are_rebuilt_by_columns),
		cmocka_unit_test(a_fourth_bad_sector_in_a_column_loses_its_leaves_alone),
		cmocka_unit_test(a_sector_whose_crc_lies_is_found_by_its_hash),
		cmocka_unit_test(doubtful_shards_are_tried_until_the_result_is_accepted),
	};

	return cmocka_run_group_tests_name("repair", tests, NULL, NULL);
}
