/* SPDX-License-Identifier: MIT */
#include "support/damaged_volume.h"

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

const struct image_shape damaged_shape = { 4, 3, 2, 0, 4, 290000, 4 * PAGE_SIZE_BYTES };

static void collect(void *context, const struct repair_event *event)
{
	struct damaged *f = context;

	assert_memory_equal(event->volume, &f->image.volume, UUID_SIZE);
	assert_string_equal(event->name, f->path);
	assert_true((event->outcome == REPAIR_NOT_WRITTEN) == (event->code < 0));
	assert_true((event->code < 0) == (event->reason != NULL));
	pthread_mutex_lock(&f->mutex);
	assert_true(f->event_count < DAMAGED_EVENTS_MAX);
	f->events[f->event_count++] = *event;
	pthread_mutex_unlock(&f->mutex);
}

struct log_reader *damaged_open_reader(struct damaged *f, struct backend *backend,
				       struct write_back *write_back)
{
	struct stripe_lookup lookup = image_lookup(&f->image);
	struct log_reader *reader;

	assert_int_equal(log_reader_new(backend, &f->image.volume, &lookup, 1 << 20,
					&reader, NULL),
			 0);
	log_reader_set_write_back(reader, write_back);
	return reader;
}

struct write_back *damaged_open_write_back(struct damaged *f, struct backend *backend,
					   enum write_back_mode mode)
{
	const struct repair_observer observer = { .event = collect, .context = f };
	struct write_back *write_back;

	assert_int_equal(write_back_new(backend, &f->image.volume, mode, &observer,
					&write_back, NULL),
			 0);
	return write_back;
}

void damaged_reopen(struct damaged *f, enum write_back_mode mode)
{
	log_reader_free(f->reader);
	write_back_free(f->write_back);
	backend_free(f->backend);
	f->backend = backend_watched_open(f->path, &f->watch);
	f->write_back = damaged_open_write_back(f, f->backend, mode);
	f->reader = damaged_open_reader(f, f->backend, f->write_back);
	f->event_count = 0;
}

void damaged_publish(struct damaged *f)
{
	assert_int_equal(ftruncate(f->fd, (off_t)f->image.size), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes, f->image.size, 0), 0);
	f->watch.writes = f->watch.sessions = 0;
	damaged_reopen(f, WRITE_BACK_IN_PLACE);
}

int damaged_setup(void **state)
{
	struct damaged *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	image_init(&f->image, 1, 1);
	image_add_data(&f->image, &damaged_shape);
	image_add_record(&f->image, STRIPE_COMMIT, 0, 100);
	assert_int_equal(pthread_mutex_init(&f->mutex, NULL), 0);
	watch_init(&f->watch);
	(void)snprintf(f->path, sizeof(f->path), "test_write_back.XXXXXX");
	f->fd = mkstemp(f->path);
	assert_true(f->fd >= 0);
	damaged_publish(f);
	*state = f;
	return 0;
}

int damaged_teardown(void **state)
{
	struct damaged *f = *state;

	log_reader_free(f->reader);
	write_back_free(f->write_back);
	backend_free(f->backend);
	image_done(&f->image);
	(void)close(f->fd);
	assert_int_equal(unlink(f->path), 0);
	free(f);
	return 0;
}

uint64_t damaged_page(const struct damaged *f, unsigned extent, unsigned page)
{
	return extent_offset(&f->image.stripes[0], extent) + PAGE * page;
}

uint64_t damaged_leaf(const struct damaged *f, unsigned extent, unsigned row)
{
	const struct stripe_info *info = &f->image.stripes[0];

	return entry_offset(info, extent, row_entry(info, extent, row));
}

void damaged_noise(struct damaged *f, uint64_t offset, size_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	fill_random(bytes, size, offset + 77);
	assert_int_equal(pwrite_full(f->fd, bytes, size, offset), 0);
	free(bytes);
}

void expect_content(struct damaged *f, struct log_reader *reader)
{
	size_t size = stripe_log_size(&f->image.stripes[0]);
	uint8_t *data = malloc(size);
	struct error error = { 0 };

	assert_non_null(data);
	if (log_read(reader, 0, data, size, NULL, &error) != 0)
		fail_msg("%s", error.text);
	assert_memory_equal(data, f->image.log, size);
	free(data);
}

uint8_t *damaged_look(const struct damaged *f, size_t *size_out)
{
	struct stat st;
	uint8_t *bytes;

	assert_int_equal(fstat(f->fd, &st), 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(pread_full(f->fd, bytes, (size_t)st.st_size, 0, NULL), 0);
	*size_out = (size_t)st.st_size;
	return bytes;
}

void expect_file(const struct damaged *f, const uint8_t *want, size_t want_size)
{
	size_t size;
	uint8_t *bytes = damaged_look(f, &size);

	assert_int_equal(size, want_size);
	for (size_t at = 0; at < size; at++)
		if (bytes[at] != want[at])
			fail_msg("byte %zu is not what it should be", at);
	free(bytes);
}

void expect_healed(const struct damaged *f)
{
	expect_file(f, f->image.bytes, f->image.size);
}

unsigned damaged_events(const struct damaged *f, enum repair_outcome outcome)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->event_count; i++)
		count += f->events[i].outcome == outcome;
	return count;
}

uint64_t repaired_leaves(struct log_reader *reader)
{
	struct log_counters counters;

	log_reader_counters(reader, &counters);
	return counters.leaves_repaired;
}
