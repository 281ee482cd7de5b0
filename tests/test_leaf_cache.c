/* SPDX-License-Identifier: MIT */
/* Leaves where reads meet are read once, and kept only if they are right. */
#include "support/backend_memory.h"
#include "support/volume_image.h"

#include "base/error.h"
#include "volume/geometry.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CACHE_SIZE (4u << 20)

/* One data stripe, number 1. */
static void make_volume(struct image *image)
{
	static const struct image_shape shape = { 4, 3, 2, 0, 4, 290000 };

	image_init(image, 1, 1);
	image_add_record(image, STRIPE_HEADER, 0, 100);
	image_add_data(image, &shape);
	image_add_record(image, STRIPE_COMMIT, 0, 100);
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

static void expect_range(struct image *image, struct log_reader *reader, uint64_t start,
			 uint64_t end)
{
	size_t size = (size_t)(end - start);
	uint8_t *data = malloc(size);

	assert_non_null(data);
	assert_int_equal(log_read(reader, start, data, size, NULL, NULL), 0);
	assert_memory_equal(data, image->log + start, size);
	free(data);
}

static void reading_on_in_small_steps_reads_each_leaf_once(void **state)
{
	struct image image;
	struct log_reader *reader;
	struct log_counters counters;
	uint64_t start, end;
	uint64_t leaves = 0;

	(void)state;
	make_volume(&image);
	start = image.stripes[1].log_start;
	end = start;
	for (unsigned i = 0; i < image.stripes[1].data_count; i++) {
		uint32_t payload = image.stripes[1].extents[i].payload_size;

		end += payload;
		leaves += (payload + LEAF_SIZE - 1) / LEAF_SIZE;
	}
	reader = open_reader(&image);
	for (uint64_t step = 37001; start < end; start += step) {
		if (step > end - start)
			step = end - start;
		expect_range(&image, reader, start, start + step);
	}
	log_reader_counters(reader, &counters);
	assert_int_equal(counters.leaves_read, leaves);
	log_reader_free(reader);
	image_done(&image);
}

/* Another thread asks for the same leaf while the first one reads it. */
struct meeting {
	struct image *image;
	struct log_reader *reader;
	struct backend_ops ops;
	const struct backend_ops *saved;
	pthread_t thread;
	atomic_uint reads;
};

static struct meeting meeting; /* a backend's operations have no context */

static void *ask_too(void *argument)
{
	uint64_t start = meeting.image->stripes[1].log_start;

	expect_range(meeting.image, meeting.reader, start + 500, start + 900);
	return argument;
}

static int read_and_meet(struct backend *backend, uint64_t offset, void *data,
			 size_t size, size_t *size_out, struct error *err)
{
	if (meeting.reads++ == 0)
		assert_int_equal(pthread_create(&meeting.thread, NULL, ask_too, NULL), 0);
	for (unsigned i = 0; i < 10000 && meeting.reads == 1; i++)
		(void)sched_yield(); /* if it reads too, it has time to */
	return meeting.saved->read(backend, offset, data, size, size_out, err);
}

static void a_leaf_that_is_being_read_is_not_read_again(void **state)
{
	struct image image;
	uint64_t start;

	(void)state;
	make_volume(&image);
	start = image.stripes[1].log_start;
	meeting = (struct meeting){ .image = &image, .saved = image.backend->ops };
	meeting.ops = *meeting.saved;
	meeting.ops.read = read_and_meet;
	meeting.reader = open_reader(&image);
	expect_range(&image, meeting.reader, start + LEAF_SIZE, start + LEAF_SIZE + 1);
	image.backend->ops = &meeting.ops;
	expect_range(&image, meeting.reader, start + 100, start + 200);
	assert_int_equal(pthread_join(meeting.thread, NULL), 0);
	assert_int_equal(meeting.reads, 1);
	image.backend->ops = meeting.saved;
	log_reader_free(meeting.reader);
	image_done(&image);
}

static void a_leaf_that_is_lost_is_not_kept(void **state)
{
	struct image image;
	struct log_reader *reader;
	const struct stripe_info *info;
	uint8_t data[100];

	(void)state;
	make_volume(&image);
	info = &image.stripes[1];
	for (unsigned i = 0; i < stripe_extent_count(info); i++)
		image_noise(&image, entry_offset(info, i, row_entry(info, i, 0)),
			    PAGE_SIZE_BYTES, i);
	reader = open_reader(&image);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(log_read(reader, info->log_start + 100, data,
					  sizeof(data), NULL, NULL),
				 -EBADMSG);
	log_reader_free(reader);
	image_done(&image);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_on_in_small_steps_reads_each_leaf_once),
		cmocka_unit_test(a_leaf_that_is_being_read_is_not_read_again),
		cmocka_unit_test(a_leaf_that_is_lost_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
