/* SPDX-License-Identifier: MIT */
/* What goes back to a damaged volume, and what never does. The volume is a real file; what
 * it was meant to be is in the image. */
#include "support/backend_watched.h"
#include "support/volume_image.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log_subject.h"
#include "chunker/parity.h"
#include "volume/extent_table.h"
#include "volume/stripe_view.h"
#include "volume/table_cache.h"
#include "volume/write_back.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE ((uint64_t)PAGE_SIZE_BYTES)
#define EVENTS_MAX 4096

static const struct image_shape shape = { 4, 3, 2, 0, 4, 290000 };

struct fixture {
	struct image image; /* one data stripe, listed by a record */
	char path[64];
	int fd; /* for damage, and to look at the file */
	struct watch watch;
	struct backend *backend;
	struct write_back *write_back;
	struct log_reader *reader;
	pthread_mutex_t mutex; /* guards events */
	struct repair_event events[EVENTS_MAX];
	unsigned event_count;
};

static void collect(void *context, const struct repair_event *event)
{
	struct fixture *f = context;

	assert_memory_equal(event->volume, &f->image.volume, UUID_SIZE);
	assert_string_equal(event->name, f->path);
	assert_true((event->outcome == REPAIR_NOT_WRITTEN) == (event->code < 0));
	assert_true((event->code < 0) == (event->reason != NULL));
	pthread_mutex_lock(&f->mutex);
	assert_true(f->event_count < EVENTS_MAX);
	f->events[f->event_count++] = *event;
	pthread_mutex_unlock(&f->mutex);
}

static struct log_reader *open_reader(struct fixture *f, struct backend *backend,
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

static struct write_back *open_write_back(struct fixture *f, struct backend *backend,
					  enum write_back_mode mode)
{
	const struct repair_observer observer = { .event = collect, .context = f };
	struct write_back *write_back;

	assert_int_equal(write_back_new(backend, &f->image.volume, mode, &observer,
					&write_back, NULL),
			 0);
	return write_back;
}

/* Nothing is cached afterwards, and no event known. */
static void reopen(struct fixture *f, enum write_back_mode mode)
{
	log_reader_free(f->reader);
	write_back_free(f->write_back);
	backend_free(f->backend);
	f->backend = backend_watched_open(f->path, &f->watch);
	f->write_back = open_write_back(f, f->backend, mode);
	f->reader = open_reader(f, f->backend, f->write_back);
	f->event_count = 0;
}

/* Make the file what the image says again. */
static void publish(struct fixture *f)
{
	assert_int_equal(ftruncate(f->fd, (off_t)f->image.size), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes, f->image.size, 0), 0);
	f->watch.writes = f->watch.sessions = 0;
	reopen(f, WRITE_BACK_IN_PLACE);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	image_init(&f->image, 1, 1);
	image_add_data(&f->image, &shape);
	image_add_record(&f->image, STRIPE_COMMIT, 0, 100);
	assert_int_equal(pthread_mutex_init(&f->mutex, NULL), 0);
	watch_init(&f->watch);
	(void)snprintf(f->path, sizeof(f->path), "test_write_back.XXXXXX");
	f->fd = mkstemp(f->path);
	assert_true(f->fd >= 0);
	publish(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_reader_free(f->reader);
	write_back_free(f->write_back);
	backend_free(f->backend);
	image_done(&f->image);
	(void)close(f->fd);
	assert_int_equal(unlink(f->path), 0);
	free(f);
	return 0;
}

static uint64_t page_offset(const struct fixture *f, unsigned extent, unsigned page)
{
	return extent_offset(&f->image.stripes[0], extent) + PAGE * page;
}

static uint64_t leaf_offset(const struct fixture *f, unsigned extent, unsigned row)
{
	const struct stripe_info *info = &f->image.stripes[0];

	return entry_offset(info, extent, row_entry(info, extent, row));
}

/* Damage. */
static void noise(struct fixture *f, uint64_t offset, size_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	fill_random(bytes, size, offset + 77);
	assert_int_equal(pwrite_full(f->fd, bytes, size, offset), 0);
	free(bytes);
}

static void punch_hole(struct fixture *f, uint64_t offset, size_t size)
{
	assert_int_equal(fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)offset, (off_t)size),
			 0);
}

/* Change bytes without changing their CRC-32C: add a multiple of its polynomial, which is
 * x^32 and, reflected, 0x82f63b78. */
static void change_under_crc(struct fixture *f, uint64_t offset)
{
	uint64_t pattern = 1 | UINT64_C(0x82f63b78) << 1;
	uint8_t bytes[5];

	assert_int_equal(pread_full(f->fd, bytes, 5, offset, NULL), 0);
	for (unsigned i = 0; i < 5; i++)
		bytes[i] ^= (uint8_t)(pattern >> (8 * i));
	assert_int_equal(pwrite_full(f->fd, bytes, 5, offset), 0);
}

/* Read all of the data stripe and compare. */
static void expect_content(struct fixture *f, struct log_reader *reader)
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

/* The bytes of the file now; the caller frees them. */
static uint8_t *look(const struct fixture *f, size_t *size_out)
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

static void expect_file(const struct fixture *f, const uint8_t *want, size_t want_size)
{
	size_t size;
	uint8_t *bytes = look(f, &size);

	assert_int_equal(size, want_size);
	for (size_t at = 0; at < size; at++)
		if (bytes[at] != want[at])
			fail_msg("byte %zu is not what it should be", at);
	free(bytes);
}

static void expect_healed(const struct fixture *f)
{
	expect_file(f, f->image.bytes, f->image.size);
}

static unsigned count_events(const struct fixture *f, enum repair_outcome outcome)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->event_count; i++)
		count += f->events[i].outcome == outcome;
	return count;
}

static uint64_t repaired(struct log_reader *reader)
{
	struct log_counters counters;

	log_reader_counters(reader, &counters);
	return counters.leaves_repaired;
}

static void a_bad_leaf_goes_back_to_the_medium_once(void **state)
{
	struct fixture *f = *state;
	uint64_t leaf = leaf_offset(f, 1, 2);

	noise(f, leaf + 5 * PAGE + 100, 200);
	expect_content(f, f->reader);
	expect_healed(f);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->events[0].kind, REPAIR_LEAF);
	assert_int_equal(f->events[0].outcome, REPAIR_WRITTEN);
	assert_int_equal(f->events[0].offset, leaf);
	assert_int_equal(f->events[0].size, LEAF_SIZE);
	assert_int_equal(f->events[0].blocks, 1);
	assert_int_equal(repaired(f->reader), 1);

	expect_content(f, f->reader);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->watch.sessions, 1);
}

static void only_blocks_that_differ_are_written(void **state)
{
	struct fixture *f = *state;
	const unsigned sectors[] = { 0, 3, 4, 15 };
	uint64_t leaf = leaf_offset(f, 2, 1);

	for (unsigned i = 0; i < 4; i++)
		noise(f, leaf + PAGE * sectors[i] + 11, 1);
	expect_content(f, f->reader);
	expect_healed(f);
	assert_int_equal(f->watch.writes, 4);
	assert_int_equal(f->watch.write_largest, PAGE_SIZE_BYTES);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(f->watch.offsets[i], leaf + PAGE * sectors[i]);
	assert_int_equal(f->events[0].blocks, 4);
}

static void every_kind_of_damage_is_healed(void **state)
{
	struct fixture *f = *state;
	const struct stripe_info *info = &f->image.stripes[0];
	unsigned last = extent_entry_count(info, 0) - 1;

	for (unsigned kind = 0; kind < 8; kind++) {
		switch (kind) {
		case 0: /* m whole leaves of a row */
			for (unsigned extent = 0; extent < 3; extent++)
				noise(f, leaf_offset(f, extent, 0), LEAF_SIZE);
			break;
		case 1: /* blocks that are gone */
			punch_hole(f, leaf_offset(f, 0, 1) + 2 * PAGE, 4 * PAGE);
			break;
		case 2: /* the last, shorter leaf */
			noise(f, leaf_offset(f, 0, last), row_size(info, 0, last));
			break;
		case 3: /* a table page, and a leaf that it describes */
			noise(f, page_offset(f, 1, 1), 1);
			noise(f, leaf_offset(f, 1, 2), LEAF_SIZE);
			break;
		case 4: /* a table page that stands where another belongs */
			assert_int_equal(
				pwrite_full(f->fd, f->image.bytes + page_offset(f, 2, 1),
					    PAGE, page_offset(f, 0, 1)),
				0);
			break;
		case 5: /* a parity extent's table page, met on the way */
			punch_hole(f, page_offset(f, 4, 1), PAGE);
			noise(f, leaf_offset(f, 3, 1), 1);
			break;
		case 6: /* a block with the right CRC */
			change_under_crc(f, leaf_offset(f, 1, 1) + 9 * PAGE + 7);
			break;
		default: /* a sector that can't be read until it is written */
			f->watch.bad_offset = leaf_offset(f, 3, 2) + 6 * PAGE;
			f->watch.bad = true;
			break;
		}
		reopen(f, WRITE_BACK_IN_PLACE);
		expect_content(f, f->reader);
		expect_healed(f);
		assert_false(f->watch.bad);
		assert_true(count_events(f, REPAIR_WRITTEN) > 0);
		assert_int_equal(count_events(f, REPAIR_WRITTEN), f->event_count);
	}
}

/* What a reader has in hand when it hands a leaf over. */
struct handed {
	struct stripe_view view;
	struct table_cache *tables;
	struct extent_table *table;
	uint8_t leaf[LEAF_SIZE];
};

static void take_leaf(struct fixture *f, unsigned extent, unsigned row, struct handed *h)
{
	*h = (struct handed){ .view = { .backend = f->backend,
					.volume = &f->image.volume,
					.info = &f->image.stripes[0],
					.authentic = true } };
	assert_int_equal(table_cache_new(1 << 20, &h->tables, NULL), 0);
	h->view.tables = h->tables;
	assert_int_equal(table_cache_get(h->tables, &h->view, extent, &h->table, NULL),
			 0);
	memcpy(h->leaf, f->image.bytes + leaf_offset(f, extent, row), LEAF_SIZE);
}

static void drop_leaf(struct handed *h)
{
	extent_table_free(h->table);
	table_cache_free(h->tables);
}

static void what_does_not_match_an_authentic_hash_is_not_written(void **state)
{
	struct fixture *f = *state;
	struct handed h;
	uint8_t *before;
	size_t size;

	noise(f, leaf_offset(f, 1, 1), 100);
	before = look(f, &size);
	take_leaf(f, 1, 1, &h);

	h.leaf[LEAF_SIZE - 1] ^= 1;
	assert_false(write_back_leaf(f->write_back, &h.view, 1, h.table, 1, h.leaf));
	h.leaf[LEAF_SIZE - 1] ^= 1;
	assert_false(write_back_leaf(f->write_back, &h.view, 1, h.table, 2, h.leaf));
	h.view.authentic = false;
	assert_false(write_back_leaf(f->write_back, &h.view, 1, h.table, 1, h.leaf));
	write_back_page(f->write_back, &h.view, 1, h.table, 1);
	h.view.authentic = true;
	h.table->verified = false;
	assert_false(write_back_leaf(f->write_back, &h.view, 1, h.table, 1, h.leaf));
	write_back_page(f->write_back, &h.view, 1, h.table, 1);
	assert_int_equal(f->watch.sessions, 0);
	assert_int_equal(f->event_count, 0);
	expect_file(f, before, size);

	h.table->verified = true; /* and this is what would have been right */
	assert_false(write_back_leaf(f->write_back, &h.view, 1, h.table, 1, h.leaf));
	expect_healed(f);
	assert_true(write_back_leaf(f->write_back, &h.view, 1, h.table, 1, h.leaf));
	assert_int_equal(f->event_count, 1);
	drop_leaf(&h);
	free(before);
}

static void what_is_beyond_repair_is_told_and_left_as_it_is(void **state)
{
	struct fixture *f = *state;
	size_t size;
	uint8_t *before;
	uint8_t byte;

	for (unsigned extent = 0; extent < 4; extent++)
		noise(f, leaf_offset(f, extent, 1), LEAF_SIZE);
	before = look(f, &size);
	assert_int_equal(log_read(f->reader, LEAF_SIZE, &byte, 1, NULL, NULL), -EBADMSG);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->events[0].outcome, REPAIR_LOST);
	assert_int_equal(f->events[0].offset, leaf_offset(f, 0, 1));
	assert_int_equal(f->events[0].size, LEAF_SIZE);
	assert_int_equal(f->watch.sessions, 0);
	expect_file(f, before, size);
	free(before);
}

/* Read, and expect that whatever was repaired could not be put back. */
static void expect_refusals(struct fixture *f, enum repair_kind kind)
{
	size_t size;
	uint8_t *before = look(f, &size);

	f->event_count = 0;
	expect_content(f, f->reader);
	assert_true(f->event_count > 0);
	for (unsigned i = 0; i < f->event_count; i++) {
		assert_int_equal(f->events[i].kind, kind);
		assert_int_equal(f->events[i].code, -ESTALE);
	}
	assert_int_equal(f->watch.writes, 0);
	expect_file(f, before, size);
	free(before);
}

/* Copies of extents agree, so another volume's bytes can be right by their hashes: but its
 * pages are its own. */
static void another_volume_in_its_place_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct image other;

	image_init(&other, 2, 2);
	image_add_data(&other, &shape);
	image_add_record(&other, STRIPE_COMMIT, 0, 100);
	assert_int_equal(other.size, f->image.size);

	expect_content(f, f->reader); /* it knows the tables from now on */
	assert_int_equal(pwrite_full(f->fd, other.bytes, other.size, 0), 0);
	noise(f, leaf_offset(f, 1, 1), 100);
	expect_refusals(f, REPAIR_LEAF);

	assert_int_equal(pwrite_full(f->fd, other.bytes, other.size, 0), 0);
	reopen(f, WRITE_BACK_IN_PLACE); /* it computes the tables from the leaves */
	expect_refusals(f, REPAIR_PAGE);
	image_done(&other);
}

static void a_file_is_never_made_longer(void **state)
{
	struct fixture *f = *state;
	uint64_t cut = leaf_offset(f, 3, 1) + 3 * PAGE + 5;
	struct handed h;
	uint8_t *before;
	size_t size;
	uint8_t byte;

	take_leaf(f, 3, 1, &h);
	assert_int_equal(ftruncate(f->fd, (off_t)cut), 0);
	before = look(f, &size);
	assert_int_equal(log_read(f->reader, stripe_log_size(&f->image.stripes[0]) - 1,
				  &byte, 1, NULL, NULL),
			 -EBADMSG);
	assert_int_equal(count_events(f, REPAIR_LOST), f->event_count);

	f->event_count = 0;
	assert_false(write_back_leaf(f->write_back, &h.view, 3, h.table, 1, h.leaf));
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->events[0].code, -ERANGE);
	expect_file(f, before, size);
	drop_leaf(&h);
	free(before);
}

static void a_medium_that_fails_does_not_fail_the_read(void **state)
{
	static const struct {
		enum watched_step step;
		int code;
	} failures[] = {
		{ WATCHED_OPEN, -EROFS },   { WATCHED_OPEN, -EACCES },
		{ WATCHED_OPEN, -EPERM },   { WATCHED_OPEN, -EBUSY },
		{ WATCHED_OPEN, -EMFILE },  { WATCHED_READ, -ENODEV },
		{ WATCHED_WRITE, -ENOSPC }, { WATCHED_WRITE, -EIO },
		{ WATCHED_SYNC, -EIO },     { WATCHED_SYNC, -ENOSPC },
		{ WATCHED_CHECK, -ENODEV },
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		publish(f);
		noise(f, leaf_offset(f, 0, 1), 9000);
		noise(f, leaf_offset(f, 2, 2), LEAF_SIZE);
		f->watch.fail_step = failures[i].step;
		f->watch.fail_code = failures[i].code;
		expect_content(f, f->reader);
		f->watch.fail_step = 0;
		assert_int_equal(f->event_count, 2);
		assert_int_equal(repaired(f->reader), 2);
		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(f->events[n].outcome, REPAIR_NOT_WRITTEN);
			assert_int_equal(f->events[n].code, failures[i].code);
			assert_int_equal(f->events[n].repeated, n > 0);
		}

		f->event_count = 0; /* the same volume, once the medium is well again */
		expect_content(f, f->reader);
		expect_healed(f);
		assert_int_equal(count_events(f, REPAIR_NOT_WRITTEN), 0);
	}
}

static void a_medium_that_keeps_nothing_is_found_out(void **state)
{
	struct fixture *f = *state;

	/* The check reads what is unreadable for good. */
	noise(f, leaf_offset(f, 0, 1), 100);
	f->watch.fail_step = WATCHED_CHECK;
	f->watch.fail_code = -EIO;
	expect_content(f, f->reader);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->events[0].outcome, REPAIR_NOT_WRITTEN);
	assert_int_equal(f->events[0].code, -EIO);
}

static void switched_off_nothing_is_written(void **state)
{
	struct fixture *f = *state;
	struct log_reader *silent;
	uint8_t *before;
	size_t size;

	noise(f, leaf_offset(f, 1, 1), 100);
	noise(f, page_offset(f, 2, 1), 100);
	before = look(f, &size);
	reopen(f, WRITE_BACK_OFF);
	expect_content(f, f->reader);
	assert_int_equal(f->event_count, 2);
	assert_int_equal(count_events(f, REPAIR_OFF), 2);
	silent = open_reader(f, f->backend, NULL);
	expect_content(f, silent);
	assert_int_equal(repaired(silent), 1);
	log_reader_free(silent);
	assert_int_equal(f->watch.sessions, 0);
	expect_file(f, before, size);
	free(before);
}

/* Read in a process of its own, which may die at it. True if it did. */
static bool read_and_die(struct fixture *f, unsigned die_at)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		f->watch.die_at = die_at;
		reopen(f, WRITE_BACK_IN_PLACE);
		expect_content(f, f->reader);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
	return WEXITSTATUS(status) == 9;
}

/* Every block is as it was or as it must be; of those torn, at most one is neither. */
static void expect_progress(const struct fixture *f, const uint8_t *before,
			    unsigned torn_max)
{
	size_t size;
	uint8_t *now = look(f, &size);
	unsigned torn = 0;

	assert_int_equal(size, f->image.size);
	for (size_t at = 0; at < size; at += PAGE) {
		bool was_right = memcmp(before + at, f->image.bytes + at, PAGE) == 0;
		bool is_right = memcmp(now + at, f->image.bytes + at, PAGE) == 0;

		assert_true(is_right || !was_right);
		if (!is_right && memcmp(now + at, before + at, PAGE) != 0)
			torn++;
	}
	assert_true(torn <= torn_max);
	free(now);
}

static void kill_at_each_call(struct fixture *f, bool torn)
{
	unsigned die_at = 1;
	bool died;

	do {
		uint8_t *before;
		size_t size;

		publish(f);
		f->watch.tear = torn;
		noise(f, leaf_offset(f, 0, 1), LEAF_SIZE);
		noise(f, leaf_offset(f, 1, 1) + 8 * PAGE, 3 * PAGE);
		before = look(f, &size);
		died = read_and_die(f, die_at++);
		expect_progress(f, before, torn ? 1 : 0);
		free(before);
		reopen(f, WRITE_BACK_IN_PLACE);
		expect_content(f, f->reader);
		expect_healed(f);
	} while (died);
	assert_true(die_at > 20); /* read, pages, 16 writes, sync, read */
}

static void a_kill_at_any_step_leaves_what_the_next_reader_repairs(void **state)
{
	kill_at_each_call(*state, false);
}

static void a_block_that_was_being_written_at_the_kill_is_repaired_again(void **state)
{
	kill_at_each_call(*state, true);
}

struct rival {
	struct fixture *f;
	struct log_reader *reader;
};

static void *read_as_rival(void *context)
{
	struct rival *rival = context;

	expect_content(rival->f, rival->reader);
	return NULL;
}

static void two_readers_of_the_same_damage_repair_it_once(void **state)
{
	struct fixture *f = *state;
	struct backend *backend = backend_watched_open(f->path, &f->watch);
	struct write_back *write_back = open_write_back(f, backend, WRITE_BACK_IN_PLACE);
	struct rival rivals[2] = { { f, f->reader },
				   { f, open_reader(f, backend, write_back) } };
	pthread_barrier_t meet;
	pthread_t threads[2];

	/* Both have rebuilt the leaf in memory when they meet. */
	assert_int_equal(pthread_barrier_init(&meet, NULL, 2), 0);
	f->watch.meet = &meet;
	noise(f, leaf_offset(f, 1, 1), 100);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, read_as_rival, &rivals[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	expect_healed(f);
	assert_int_equal(f->watch.sessions, 2);
	assert_int_equal(f->watch.open_most, 1);
	assert_int_equal(f->watch.writes, 1);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(repaired(rivals[0].reader) + repaired(rivals[1].reader), 1);
	f->watch.meet = NULL;
	(void)pthread_barrier_destroy(&meet);
	log_reader_free(rivals[1].reader);
	write_back_free(write_back);
	backend_free(backend);
}

static void many_readers_take_turns_in_bounded_memory(void **state)
{
	struct fixture *f = *state;
	const struct stripe_info *info = &f->image.stripes[0];
	struct rival rival = { f, f->reader };
	pthread_t threads[8];
	unsigned rows = extent_entry_count(info, 3);

	for (unsigned row = 0; row < rows; row++)
		for (unsigned extent = 0; extent < 3; extent++)
			noise(f, leaf_offset(f, (extent + row) % 4, row) + PAGE,
			      PAGE_SIZE_BYTES);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_as_rival, &rival),
				 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	expect_healed(f);
	assert_int_equal(f->watch.writes, 3 * rows);
	assert_int_equal(f->event_count, 3 * rows);
	assert_int_equal(repaired(f->reader), 3 * rows);
	assert_int_equal(f->watch.open_most, 1);
	assert_int_equal(f->watch.write_largest, PAGE_SIZE_BYTES);
	assert_true(f->watch.read_largest <= LEAF_SIZE);
}

static void a_lock_that_is_held_does_not_hold_up_readers(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	noise(f, leaf_offset(f, 1, 1), 100);
	noise(f, leaf_offset(f, 2, 2), 100);
	expect_content(f, f->reader);
	assert_int_equal(f->event_count, 2);
	assert_int_equal(f->events[0].code, -EBUSY);
	assert_int_equal(f->watch.writes, 0);

	assert_int_equal(flock(fd, LOCK_UN), 0);
	expect_content(f, f->reader);
	expect_healed(f);
	(void)close(fd);
}

/* Read as somebody who is bound by permissions. */
static void read_as_owner(struct fixture *f, mode_t mode, int code)
{
	int status;
	pid_t child;

	publish(f);
	noise(f, leaf_offset(f, 1, 1), 100);
	if (geteuid() == 0)
		assert_int_equal(fchown(f->fd, 65534, 65534), 0);
	assert_int_equal(fchmod(f->fd, mode), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(1);
		expect_content(f, f->reader); /* opened before the change */
		_exit(f->event_count == 1 && f->events[0].code == code ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_sealed_volume_is_repaired_by_its_owner(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	read_as_owner(f, 0444, 0);
	expect_healed(f);
	assert_int_equal(fstat(f->fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
}

static void a_file_that_somebody_protected_otherwise_is_left_alone(void **state)
{
	struct fixture *f = *state;
	size_t size;
	uint8_t *bytes;

	read_as_owner(f, 0400, -EACCES);
	bytes = look(f, &size);
	assert_memory_not_equal(bytes, f->image.bytes, size);
	free(bytes);
}

static void the_file_that_is_read_is_repaired_whatever_its_name(void **state)
{
	struct fixture *f = *state;
	char moved[sizeof(f->path) + 8];

	noise(f, leaf_offset(f, 1, 1), 100);
	(void)snprintf(moved, sizeof(moved), "%s.moved", f->path);
	assert_int_equal(rename(f->path, moved), 0);
	assert_int_equal(close(open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	expect_content(f, f->reader);
	expect_healed(f);
	assert_int_equal(rename(moved, f->path), 0);
}

static void a_writer_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;
	static _Alignas(BACKEND_ALIGNMENT) uint8_t more[BACKEND_ALIGNMENT];
	struct backend *writer;
	uint8_t got[sizeof(more)];

	assert_int_equal(backend_file_open(AT_FDCWD, f->path, 1, &writer, NULL), 0);
	noise(f, leaf_offset(f, 1, 1), 100);
	expect_content(f, f->reader);
	expect_healed(f);
	fill_random(more, sizeof(more), 5);
	assert_int_equal(backend_append(writer, more, sizeof(more), NULL), 0);
	assert_int_equal(backend_sync(writer, NULL), 0);
	assert_int_equal(backend_position(writer), f->image.size + sizeof(more));
	assert_int_equal(pread_full(f->fd, got, sizeof(got), f->image.size, NULL), 0);
	assert_memory_equal(got, more, sizeof(more));
	backend_free(writer);
}

static void read_in_turn(void *context, const struct repair_event *event)
{
	struct fixture *f = context;

	(void)event;
	f->event_count++;
	assert_string_equal(log_subject(), "photos/cat.jpg");
	if (f->event_count == 1)
		expect_content(f, f->reader); /* hangs if a lock is held */
}

static void observers_know_the_subject_and_may_read(void **state)
{
	struct fixture *f = *state;
	const struct repair_observer observer = { .event = read_in_turn, .context = f };
	struct write_back *write_back;
	log_subject_scope("photos/cat.jpg");

	assert_int_equal(write_back_new(f->backend, &f->image.volume, WRITE_BACK_IN_PLACE,
					&observer, &write_back, NULL),
			 0);
	log_reader_set_write_back(f->reader, write_back);
	noise(f, leaf_offset(f, 0, 1), 100);
	noise(f, leaf_offset(f, 1, 1), 100);
	expect_content(f, f->reader);
	expect_healed(f);
	assert_int_equal(f->event_count, 2);
	{
		log_subject_scope(NULL);
		assert_null(log_subject());
	}
	assert_string_equal(log_subject(), "photos/cat.jpg");
	log_reader_set_write_back(f->reader, f->write_back);
	write_back_free(write_back);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_bad_leaf_goes_back_to_the_medium_once),
		CASE(only_blocks_that_differ_are_written),
		CASE(every_kind_of_damage_is_healed),
		CASE(what_does_not_match_an_authentic_hash_is_not_written),
		CASE(what_is_beyond_repair_is_told_and_left_as_it_is),
		CASE(another_volume_in_its_place_is_left_alone),
		CASE(a_file_is_never_made_longer),
		CASE(a_medium_that_fails_does_not_fail_the_read),
		CASE(a_medium_that_keeps_nothing_is_found_out),
		CASE(switched_off_nothing_is_written),
		CASE(a_kill_at_any_step_leaves_what_the_next_reader_repairs),
		CASE(a_block_that_was_being_written_at_the_kill_is_repaired_again),
		CASE(two_readers_of_the_same_damage_repair_it_once),
		CASE(many_readers_take_turns_in_bounded_memory),
		CASE(a_lock_that_is_held_does_not_hold_up_readers),
		CASE(a_sealed_volume_is_repaired_by_its_owner),
		CASE(a_file_that_somebody_protected_otherwise_is_left_alone),
		CASE(the_file_that_is_read_is_repaired_whatever_its_name),
		CASE(a_writer_goes_on_where_it_was),
		CASE(observers_know_the_subject_and_may_read),
	};

	return cmocka_run_group_tests_name("write_back", tests, NULL, NULL);
}
