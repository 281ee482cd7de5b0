/* SPDX-License-Identifier: MIT */
/* What goes back to a damaged volume, and what never does. */
#include "support/damaged_volume.h"

#include "base/file.h"
#include "base/log_subject.h"
#include "volume/extent_table.h"
#include "volume/table_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void punch_hole(struct damaged *f, uint64_t offset, size_t size)
{
	assert_int_equal(fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)offset, (off_t)size),
			 0);
}

/* Change bytes without changing their CRC-32C: add a multiple of its polynomial, which is
 * x^32 and, reflected, 0x82f63b78. */
static void change_under_crc(struct damaged *f, uint64_t offset)
{
	uint64_t pattern = 1 | UINT64_C(0x82f63b78) << 1;
	uint8_t bytes[5];

	assert_int_equal(pread_full(f->fd, bytes, 5, offset, NULL), 0);
	for (unsigned i = 0; i < 5; i++)
		bytes[i] ^= (uint8_t)(pattern >> (8 * i));
	assert_int_equal(pwrite_full(f->fd, bytes, 5, offset), 0);
}

static void a_bad_leaf_goes_back_to_the_medium_once(void **state)
{
	struct damaged *f = *state;
	uint64_t leaf = damaged_leaf(f, 1, 2);

	damaged_noise(f, leaf + 5 * PAGE + 100, 200);
	expect_content(f, f->reader);
	expect_healed(f);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->events[0].kind, REPAIR_LEAF);
	assert_int_equal(f->events[0].outcome, REPAIR_WRITTEN);
	assert_int_equal(f->events[0].offset, leaf);
	assert_int_equal(f->events[0].size, LEAF_SIZE);
	assert_int_equal(f->events[0].blocks, 1);
	assert_int_equal(repaired_leaves(f->reader), 1);

	expect_content(f, f->reader);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->watch.sessions, 1);
}

static void only_blocks_that_differ_are_written(void **state)
{
	struct damaged *f = *state;
	const unsigned sectors[] = { 0, 3, 4, 15 };
	uint64_t leaf = damaged_leaf(f, 2, 1);

	for (unsigned i = 0; i < 4; i++)
		damaged_noise(f, leaf + PAGE * sectors[i] + 11, 1);
	expect_content(f, f->reader);
	expect_healed(f);
	assert_int_equal(f->watch.writes, 3); /* neighbours together */
	assert_int_equal(f->watch.write_largest, 2 * PAGE_SIZE_BYTES);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(f->watch.offsets[i],
				 leaf + PAGE * sectors[i == 2 ? 3 : i]);
	assert_int_equal(f->events[0].blocks, 4);
}

static void every_kind_of_damage_is_healed(void **state)
{
	struct damaged *f = *state;
	const struct stripe_info *info = &f->image.stripes[0];
	unsigned last = extent_entry_count(info, 0) - 1;

	for (unsigned kind = 0; kind < 9; kind++) {
		unsigned sessions = f->watch.sessions;

		switch (kind) {
		case 0: /* m whole leaves of a row */
			for (unsigned extent = 0; extent < 3; extent++)
				damaged_noise(f, damaged_leaf(f, extent, 0), LEAF_SIZE);
			break;
		case 1: /* blocks that are gone */
			punch_hole(f, damaged_leaf(f, 0, 1) + 2 * PAGE, 4 * PAGE);
			break;
		case 2: /* the last, shorter leaf */
			damaged_noise(f, damaged_leaf(f, 0, last),
				      row_size(info, 0, last));
			break;
		case 3: /* a table page, and a leaf that it describes */
			damaged_noise(f, damaged_page(f, 1, 1), 1);
			damaged_noise(f, damaged_leaf(f, 1, 2), LEAF_SIZE);
			break;
		case 4: /* a table page that stands where another belongs */
			assert_int_equal(
				pwrite_full(f->fd, f->image.bytes + damaged_page(f, 2, 1),
					    PAGE, damaged_page(f, 0, 1)),
				0);
			break;
		case 5: /* a parity extent's table page, met on the way */
			punch_hole(f, damaged_page(f, 4, 1), PAGE);
			damaged_noise(f, damaged_leaf(f, 3, 1), 1);
			break;
		case 6: /* a block with the right CRC */
			change_under_crc(f, damaged_leaf(f, 1, 1) + 9 * PAGE + 7);
			break;
		case 7: /* a sector that can't be read until it is written */
			f->watch.bad_offset = damaged_leaf(f, 3, 2) + 6 * PAGE;
			f->watch.bad = true;
			break;
		default: /* and one that must be zero, as what is unreadable counts */
			damaged_noise(f, damaged_leaf(f, 3, 0) + 6 * PAGE, 1);
			f->watch.bad_offset = damaged_leaf(f, 3, 0) + PAGE;
			f->watch.bad = true;
			break;
		}
		damaged_reopen(f, WRITE_BACK_IN_PLACE);
		expect_content(f, f->reader);
		expect_healed(f);
		assert_false(f->watch.bad);
		assert_true(damaged_events(f, REPAIR_WRITTEN) > 0);
		assert_int_equal(damaged_events(f, REPAIR_WRITTEN), f->event_count);
		assert_int_equal(f->watch.sessions - sessions, f->event_count);
	}
}

/* What a reader has in hand when it hands a leaf over. */
struct handed {
	struct stripe_view view;
	struct table_cache *tables;
	struct extent_table *table;
	uint8_t leaf[LEAF_SIZE];
};

static void take_leaf(struct damaged *f, unsigned extent, unsigned row, struct handed *h)
{
	*h = (struct handed){ .view = { .backend = f->backend,
					.volume = &f->image.volume,
					.info = &f->image.stripes[0],
					.authentic = true } };
	assert_int_equal(table_cache_new(1 << 20, &h->tables, NULL), 0);
	h->view.tables = h->tables;
	assert_int_equal(table_cache_get(h->tables, &h->view, extent, &h->table, NULL),
			 0);
	memcpy(h->leaf, f->image.bytes + damaged_leaf(f, extent, row), LEAF_SIZE);
}

static void drop_leaf(struct handed *h)
{
	extent_table_free(h->table);
	table_cache_free(h->tables);
}

static void what_does_not_match_an_authentic_hash_is_not_written(void **state)
{
	struct damaged *f = *state;
	struct handed h;
	uint8_t *before;
	size_t size;

	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
	before = damaged_look(f, &size);
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

static void zeroes_that_cannot_be_read_are_not_taken_for_sound(void **state)
{
	struct damaged *f = *state;
	struct handed h;

	take_leaf(f, 3, 0, &h);
	f->watch.bad_offset = damaged_leaf(f, 3, 0) + PAGE;
	f->watch.bad = true;
	assert_false(write_back_leaf(f->write_back, &h.view, 3, h.table, 0, h.leaf));
	assert_false(f->watch.bad);
	assert_int_equal(f->events[0].outcome, REPAIR_WRITTEN);
	assert_int_equal(f->watch.writes, 1);
	drop_leaf(&h);
}

static void what_is_beyond_repair_is_told_and_left_as_it_is(void **state)
{
	struct damaged *f = *state;
	size_t size;
	uint8_t *before;
	uint8_t byte;

	for (unsigned extent = 0; extent < 4; extent++)
		damaged_noise(f, damaged_leaf(f, extent, 1), LEAF_SIZE);
	before = damaged_look(f, &size);
	assert_int_equal(log_read(f->reader, LEAF_SIZE, &byte, 1, NULL, NULL), -EBADMSG);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->events[0].outcome, REPAIR_LOST);
	assert_int_equal(f->events[0].offset, damaged_leaf(f, 0, 1));
	assert_int_equal(f->events[0].size, LEAF_SIZE);
	assert_int_equal(f->watch.sessions, 0);
	expect_file(f, before, size);
	free(before);
}

/* Read, and expect that whatever was repaired could not be put back. */
static void expect_refusals(struct damaged *f, enum repair_kind kind)
{
	size_t size;
	uint8_t *before = damaged_look(f, &size);

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
	struct damaged *f = *state;
	struct image other;

	image_init(&other, 2, 2);
	image_add_data(&other, &damaged_shape);
	image_add_record(&other, STRIPE_COMMIT, 0, 100);
	assert_int_equal(other.size, f->image.size);

	expect_content(f, f->reader); /* it knows the tables from now on */
	assert_int_equal(pwrite_full(f->fd, other.bytes, other.size, 0), 0);
	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
	expect_refusals(f, REPAIR_LEAF);

	assert_int_equal(pwrite_full(f->fd, other.bytes, other.size, 0), 0);
	damaged_reopen(f,
		       WRITE_BACK_IN_PLACE); /* it computes the tables from the leaves */
	expect_refusals(f, REPAIR_PAGE);
	image_done(&other);
}

/* While it is copied, what it has not reached still is what it was. */
static void another_volume_that_is_being_copied_over_is_left_alone(void **state)
{
	struct damaged *f = *state;
	struct image other;

	image_init(&other, 2, 2);
	image_add_data(&other, &damaged_shape);

	expect_content(f, f->reader);
	assert_int_equal(pwrite_full(f->fd, other.bytes, PAGE, 0), 0);
	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
	expect_refusals(f, REPAIR_LEAF);
	image_done(&other);
}

static void a_file_is_never_made_longer(void **state)
{
	struct damaged *f = *state;
	uint64_t cut = damaged_leaf(f, 3, 1) + 3 * PAGE + 5;
	struct handed h;
	uint8_t *before;
	size_t size;
	uint8_t byte;

	take_leaf(f, 3, 1, &h);
	assert_int_equal(ftruncate(f->fd, (off_t)cut), 0);
	before = damaged_look(f, &size);
	assert_int_equal(log_read(f->reader, stripe_log_size(&f->image.stripes[0]) - 1,
				  &byte, 1, NULL, NULL),
			 -EBADMSG);
	assert_int_equal(damaged_events(f, REPAIR_LOST), f->event_count);

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
	struct damaged *f = *state;

	for (unsigned i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		damaged_publish(f);
		damaged_noise(f, damaged_leaf(f, 0, 1), 9000);
		damaged_noise(f, damaged_leaf(f, 2, 2), LEAF_SIZE);
		f->watch.fail_step = failures[i].step;
		f->watch.fail_code = failures[i].code;
		expect_content(f, f->reader);
		f->watch.fail_step = 0;
		assert_int_equal(f->event_count, 2);
		assert_int_equal(repaired_leaves(f->reader), 2);
		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(f->events[n].outcome, REPAIR_NOT_WRITTEN);
			assert_int_equal(f->events[n].code, failures[i].code);
			assert_int_equal(f->events[n].repeated, n > 0);
		}

		f->event_count = 0; /* the same volume, once the medium is well again */
		expect_content(f, f->reader);
		expect_healed(f);
		assert_int_equal(damaged_events(f, REPAIR_NOT_WRITTEN), 0);
	}
}

static void a_medium_that_keeps_nothing_is_found_out(void **state)
{
	struct damaged *f = *state;

	/* The check reads what is unreadable for good. */
	damaged_noise(f, damaged_leaf(f, 0, 1), 100);
	f->watch.fail_step = WATCHED_CHECK;
	f->watch.fail_code = -EIO;
	expect_content(f, f->reader);
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->events[0].outcome, REPAIR_NOT_WRITTEN);
	assert_int_equal(f->events[0].code, -EIO);
}

static void switched_off_nothing_is_written(void **state)
{
	struct damaged *f = *state;
	struct log_reader *silent;
	uint8_t *before;
	size_t size;

	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
	damaged_noise(f, damaged_page(f, 2, 1), 100);
	before = damaged_look(f, &size);
	damaged_reopen(f, WRITE_BACK_OFF);
	expect_content(f, f->reader);
	assert_int_equal(f->event_count, 2);
	assert_int_equal(damaged_events(f, REPAIR_OFF), 2);
	silent = damaged_open_reader(f, f->backend, NULL);
	expect_content(f, silent);
	assert_int_equal(repaired_leaves(silent), 1);
	log_reader_free(silent);
	assert_int_equal(f->watch.sessions, 0);
	expect_file(f, before, size);
	free(before);
}

/* Read as somebody who is bound by permissions. */
static void read_as_owner(struct damaged *f, mode_t mode, int code)
{
	int status;
	pid_t child;

	damaged_publish(f);
	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
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
	struct damaged *f = *state;
	struct stat st;

	read_as_owner(f, 0444, 0);
	expect_healed(f);
	assert_int_equal(fstat(f->fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
}

static void a_file_that_somebody_protected_otherwise_is_left_alone(void **state)
{
	struct damaged *f = *state;
	size_t size;
	uint8_t *bytes;

	read_as_owner(f, 0400, -EACCES);
	bytes = damaged_look(f, &size);
	assert_memory_not_equal(bytes, f->image.bytes, size);
	free(bytes);
}

static void the_file_that_is_read_is_repaired_whatever_its_name(void **state)
{
	struct damaged *f = *state;
	char moved[sizeof(f->path) + 8];

	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
	(void)snprintf(moved, sizeof(moved), "%s.moved", f->path);
	assert_int_equal(rename(f->path, moved), 0);
	assert_int_equal(close(open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	expect_content(f, f->reader);
	expect_healed(f);
	assert_int_equal(rename(moved, f->path), 0);
}

static void a_writer_goes_on_where_it_was(void **state)
{
	struct damaged *f = *state;
	static _Alignas(BACKEND_ALIGNMENT) uint8_t more[BACKEND_ALIGNMENT];
	struct backend *writer;
	uint8_t got[sizeof(more)];

	assert_int_equal(backend_file_open(AT_FDCWD, f->path, 1, &writer, NULL), 0);
	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
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
	struct damaged *f = context;

	(void)event;
	f->event_count++;
	assert_string_equal(log_subject(), "photos/cat.jpg");
	if (f->event_count == 1)
		expect_content(f, f->reader); /* hangs if a lock is held */
}

static void observers_know_the_subject_and_may_read(void **state)
{
	struct damaged *f = *state;
	const struct repair_observer observer = { .event = read_in_turn, .context = f };
	struct write_back *write_back;
	log_subject_scope("photos/cat.jpg");

	assert_int_equal(write_back_new(f->backend, &f->image.volume, WRITE_BACK_IN_PLACE,
					&observer, &write_back, NULL),
			 0);
	log_reader_set_write_back(f->reader, write_back);
	damaged_noise(f, damaged_leaf(f, 0, 1), 100);
	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, damaged_setup, damaged_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_bad_leaf_goes_back_to_the_medium_once),
		CASE(only_blocks_that_differ_are_written),
		CASE(every_kind_of_damage_is_healed),
		CASE(what_does_not_match_an_authentic_hash_is_not_written),
		CASE(zeroes_that_cannot_be_read_are_not_taken_for_sound),
		CASE(what_is_beyond_repair_is_told_and_left_as_it_is),
		CASE(another_volume_in_its_place_is_left_alone),
		CASE(another_volume_that_is_being_copied_over_is_left_alone),
		CASE(a_file_is_never_made_longer),
		CASE(a_medium_that_fails_does_not_fail_the_read),
		CASE(a_medium_that_keeps_nothing_is_found_out),
		CASE(switched_off_nothing_is_written),
		CASE(a_sealed_volume_is_repaired_by_its_owner),
		CASE(a_file_that_somebody_protected_otherwise_is_left_alone),
		CASE(the_file_that_is_read_is_repaired_whatever_its_name),
		CASE(a_writer_goes_on_where_it_was),
		CASE(observers_know_the_subject_and_may_read),
	};

	return cmocka_run_group_tests_name("write_back", tests, NULL, NULL);
}
