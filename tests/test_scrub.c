/* SPDX-License-Identifier: MIT */
/* Damage of every kind that has a name is found, told and healed, or told to be beyond that. */
#include "support/scrubbed_volume.h"

#include "base/budget.h"
#include "base/file.h"
#include "base/pool.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void a_sound_volume_is_read_once_and_left_alone(void **state)
{
	struct scrubbed *f = *state;
	uint64_t written = 0;

	for (unsigned i = 0; i < STRIPES; i++)
		written += stripe_written_size(info_of(f, i));
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->finding_count, 0);
	assert_int_equal(f->report.stripes, STRIPES);
	assert_int_equal(f->stripe_count, STRIPES);
	assert_int_equal(f->report.bytes, written);
	assert_int_equal(f->progress, written);
	assert_int_equal(f->report.records, 3);
	assert_int_equal(f->report.end, f->image.size);
	assert_int_equal(f->report.missing, 0);
	assert_int_equal(f->watch.sessions, 0);
	assert_int_equal(f->margin, 2);
}

/* One block of noise anywhere is found and healed: in a header, a table, a leaf, a gap. */
static void any_single_block_is_found_and_healed(void **state)
{
	struct scrubbed *f = *state;

	for (uint64_t at = 0; at < f->image.size; at += 23 * PAGE) {
		uint64_t offset = at;
		size_t size = PAGE;

		if (at % (2 * PAGE) == 0) { /* one bit */
			offset += at / PAGE % PAGE;
			size = 1;
		}
		noise(f, offset, size);
		assert_int_equal(scrub(f, true), 0);
		if (f->report.repaired == 0) { /* the noise may be what was there */
			assert_int_equal(f->finding_count, 0);
			expect_healed(f);
			continue;
		}
		assert_int_equal(f->finding_count, 1);
		assert_true(f->findings[0].offset <= at &&
			    at < f->findings[0].offset + f->findings[0].size);
		expect_healed(f);
	}
}

static void what_is_lost_leaves_as_much_as_it_did(void **state)
{
	struct scrubbed *f = *state;

	noise(f, leaf_of(f, WIDE, 1, 1), LEAF_SIZE);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->margin, 2);
	noise(f, leaf_of(f, WIDE, 2, 1), LEAF_SIZE);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->margin, 1);
	assert_int_equal(f->report.repairable, 2);
	noise(f, leaf_of(f, WIDE, 5, 1), LEAF_SIZE);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->margin, 0);
	assert_int_equal(f->report.repairable, 3);
}

/* With all pages of more than m extents gone there is no row of pages to decode. */
static void tables_come_back_from_the_leaves(void **state)
{
	struct scrubbed *f = *state;
	unsigned count = stripe_extent_count(info_of(f, WIDE));

	for (unsigned extent = 0; extent + 1 < count; extent++)
		noise(f, extent_offset(info_of(f, WIDE), extent),
		      PAGE * extent_page_count(info_of(f, WIDE), extent));
	expect_repair(f);
	/* And with some leaf bad in the extents that have none. */
	for (unsigned extent = 0; extent < 3; extent++)
		noise(f, extent_offset(info_of(f, WIDE), extent) + PAGE,
		      PAGE * (extent_page_count(info_of(f, WIDE), extent) - 1));
	for (unsigned extent = 4; extent < count; extent++)
		noise(f, entry_offset(info_of(f, WIDE), extent, 0), PAGE);
	noise(f, leaf_of(f, WIDE, 1, 2), PAGE);
	expect_repair(f);
}

static void blocks_that_belong_elsewhere_are_put_right(void **state)
{
	struct scrubbed *f = *state;
	uint64_t a = leaf_of(f, WIDE, 0, 1), b = leaf_of(f, NARROW, 1, 2);
	uint64_t c = extent_offset(info_of(f, WIDE), 1);
	uint64_t d = extent_offset(info_of(f, WIDE), 2);
	struct image other;

	/* Swapped. */
	assert_int_equal(pwrite_full(f->fd, f->image.bytes + a, PAGE, b), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes + b, PAGE, a), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes + c, PAGE, d), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes + d, PAGE, c), 0);
	expect_repair(f);
	/* Another volume's, and the very first block. */
	image_init(&other, 2, 2);
	image_add_record(&other, STRIPE_HEADER, 0, 100);
	assert_int_equal(pwrite_full(f->fd, other.bytes, PAGE, 0), 0);
	assert_int_equal(pwrite_full(f->fd, other.bytes + PAGE, PAGE, d + PAGE), 0);
	expect_repair(f);
	image_done(&other);
}

static void the_beginning_of_another_volume_is_not_overwritten(void **state)
{
	struct scrubbed *f = *state;
	struct image other;
	uint8_t *before;

	image_init(&other, 2, 2);
	image_add_record(&other, STRIPE_HEADER, 0, 100);
	assert_int_equal(pwrite_full(f->fd, other.bytes, 8 * PAGE, 0), 0);
	before = look(f);
	assert_int_equal(scrub(f, true), 0);
	assert_true(f->report.not_written > 0);
	assert_int_equal(f->findings[0].code, -ESTALE);
	assert_int_equal(f->report.repaired, 0);
	expect_bytes(f, before);
	free(before);
	image_done(&other);
}

/* Without parity nothing brings a leaf back; but pages follow from records and leaves. */
static void pages_come_back_without_any_parity(void **state)
{
	static const struct image_shape bare = { 3, 0, 2, 0, 3, 300000, 0 };
	struct scrubbed *f = *state;
	const struct stripe_info *info;
	uint8_t *before;

	image_add_data(&f->image, &bare);
	image_add_record(&f->image, STRIPE_COMMIT, 0, 100);
	publish(f);
	backend_free(f->backend);
	f->backend = backend_watched_open(f->path, &f->watch);
	info = &f->image.stripes[STRIPES];
	noise(f, extent_offset(info, 0), 2 * PAGE);
	noise(f, extent_offset(info, 2), PAGE);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->report.repaired, 3);
	expect_healed(f);

	noise(f, entry_offset(info, 1, 2), PAGE);
	before = look(f);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->report.lost, 1);
	assert_int_equal(f->margin, 0);
	expect_bytes(f, before);
	free(before);
}

static void gaps_are_made_zero_and_the_tail_is_left_alone(void **state)
{
	static const struct image_shape torn = { 4, 3, 2, 0, 4, 290000, 0 };
	struct scrubbed *f = *state;
	const struct stripe_info *info = info_of(f, SPREAD);
	uint64_t gap = extent_offset(info, 1) - 200 * 1024;

	noise(f, gap, 100 * 1024);
	noise(f, extent_offset(info, 1) - 1, 1);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->report.repairable, f->finding_count);
	for (size_t i = 0; i < f->finding_count; i++)
		assert_int_equal(f->findings[i].kind, SCRUB_GAP);
	expect_repair(f);

	image_add_torn(&f->image, &torn, 300000, 2);
	publish(f);
	noise(f, f->image.size - 100000, 50000);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->finding_count, 0);
	assert_true(f->report.end < f->image.size);
}

static void a_lost_record_costs_what_it_listed(void **state)
{
	struct scrubbed *f = *state;
	const struct stripe_info *first = info_of(f, FIRST);
	uint8_t *before;

	noise(f, first->offset, (size_t)stripe_physical_size(first));
	noise(f, leaf_of(f, NARROW, 1, 1), PAGE);
	noise(f, leaf_of(f, HEADER, 1, 0), 100);
	noise(f, leaf_of(f, WIDE, 1, 1), PAGE);
	before = look(f);
	memcpy(before + leaf_of(f, NARROW, 1, 1),
	       f->image.bytes + leaf_of(f, NARROW, 1, 1), PAGE);
	memcpy(before + leaf_of(f, HEADER, 1, 0),
	       f->image.bytes + leaf_of(f, HEADER, 1, 0), PAGE);
	assert_int_equal(scrub(f, true), 0);
	assert_true(f->report.broken);
	assert_int_equal(f->report.lost, 1);
	assert_int_equal(f->report.repaired, 2);
	for (size_t i = 0; i < f->finding_count; i++) {
		if (f->findings[i].outcome != SCRUB_LOST)
			continue;
		assert_int_equal(f->findings[i].kind, SCRUB_RECORD);
		assert_int_equal(f->findings[i].offset,
				 stripe_physical_size(info_of(f, HEADER)));
		assert_int_equal(f->findings[i].offset + f->findings[i].size,
				 first->offset + stripe_physical_size(first));
	}
	expect_bytes(f, before);
	free(before);
}

static void a_volume_without_any_record_says_so(void **state)
{
	struct scrubbed *f = *state;

	noise(f, 0, f->image.size);
	assert_int_equal(scrub(f, true), -EBADMSG);
	assert_int_equal(f->watch.sessions, 0);
}

static void what_a_cut_took_is_counted_and_not_appended(void **state)
{
	struct scrubbed *f = *state;
	const struct stripe_info *last = info_of(f, LAST);
	off_t cut = (off_t)(extent_offset(last, 1) + 5 * PAGE + 100);

	assert_int_equal(ftruncate(f->fd, cut), 0);
	noise(f, extent_offset(last, 1), PAGE);
	backend_free(f->backend);
	f->backend = backend_watched_open(f->path, &f->watch);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->report.missing, f->image.size - (size_t)cut);
	assert_int_equal(f->report.repaired, 1);
	assert_int_equal(f->finding_count, 1);
	assert_int_equal(f->margin, 1);
	assert_int_equal(lseek(f->fd, 0, SEEK_END), cut);
}

static void stripes_can_be_left_out_and_the_scrub_stopped(void **state)
{
	struct scrubbed *f = *state;

	noise(f, leaf_of(f, WIDE, 1, 1), PAGE);
	f->unwanted = info_of(f, WIDE)->number;
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->finding_count, 0);
	assert_int_equal(f->report.skipped, 1);
	f->unwanted = 0;
	f->stop_at = 2;
	assert_int_equal(scrub(f, true), -EINTR);
	assert_int_equal(f->stripe_count, 2);
	expect_healed(f);
}

#define scrub_test(name) \
	cmocka_unit_test_setup_teardown(name, scrubbed_setup, scrubbed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		scrub_test(a_sound_volume_is_read_once_and_left_alone),
		scrub_test(any_single_block_is_found_and_healed),
		scrub_test(what_is_lost_leaves_as_much_as_it_did),
		scrub_test(tables_come_back_from_the_leaves),
		scrub_test(blocks_that_belong_elsewhere_are_put_right),
		scrub_test(the_beginning_of_another_volume_is_not_overwritten),
		scrub_test(pages_come_back_without_any_parity),
		scrub_test(gaps_are_made_zero_and_the_tail_is_left_alone),
		scrub_test(a_lost_record_costs_what_it_listed),
		scrub_test(a_volume_without_any_record_says_so),
		scrub_test(what_a_cut_took_is_counted_and_not_appended),
		scrub_test(stripes_can_be_left_out_and_the_scrub_stopped),
	};

	return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
