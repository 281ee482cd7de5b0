/* SPDX-License-Identifier: MIT */
/* Rows at the limit of what parity can make up for, and beyond; and how much is read for them. */
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

static void erase(struct scrubbed *f, unsigned stripe, unsigned extent)
{
	noise(f, extent_offset(info_of(f, stripe), extent),
	      (size_t)stripe_written_size(info_of(f, stripe)) /
		      stripe_extent_count(info_of(f, stripe)) / PAGE * PAGE);
}

/* Every choice of m extents of the data stripe with the most of them. */
static void any_m_extents_may_be_erased(void **state)
{
	struct scrubbed *f = *state;
	unsigned count = stripe_extent_count(info_of(f, WIDE));

	for (unsigned a = 0; a < count; a++) {
		for (unsigned b = a + 1; b < count; b++) {
			unsigned c = (a * 5 + b * 3) % count;

			erase_whole(f, WIDE, a);
			erase_whole(f, WIDE, b);
			erase(f, WIDE, c);
			assert_int_equal(scrub(f, true), 0);
			assert_int_equal(f->report.lost, 0);
			expect_healed(f);
		}
	}
	for (unsigned stripe = 0; stripe < STRIPES; stripe++) {
		unsigned last = stripe_extent_count(info_of(f, stripe)) - 1;

		erase_whole(f, stripe, last);
		erase_whole(f, stripe, 0);
		expect_repair(f);
	}
}

static void m_extents_and_one_more_are_a_loss_of_what_they_held(void **state)
{
	struct scrubbed *f = *state;
	const struct stripe_info *info = info_of(f, WIDE);
	uint64_t lost = 0;
	uint8_t *before;

	for (unsigned extent = 0; extent < 4; extent++)
		noise(f, leaf_of(f, WIDE, extent, 1), LEAF_SIZE);
	noise(f, leaf_of(f, WIDE, 2, 3), LEAF_SIZE); /* and one that can be repaired */
	before = look(f);
	memcpy(before + leaf_of(f, WIDE, 2, 3), f->image.bytes + leaf_of(f, WIDE, 2, 3),
	       LEAF_SIZE);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->report.lost, 4);
	assert_int_equal(f->report.repaired, 1);
	assert_int_equal(f->margin, 0);
	for (size_t i = 0; i < f->finding_count; i++)
		if (f->findings[i].outcome == SCRUB_LOST) {
			assert_int_equal(f->findings[i].kind, SCRUB_LEAF);
			lost += f->findings[i].log_size;
			assert_int_equal(
				f->findings[i].log_offset,
				info->log_start + LEAF_SIZE +
					f->findings[i].extent * UINT64_C(290000) -
					4999u * (f->findings[i].extent *
						 (f->findings[i].extent - 1) / 2));
		}
	assert_int_equal(lost, 4 * LEAF_SIZE);
	expect_bytes(f, before);
	free(before);
}

static void rows_with_too_many_bad_leaves_are_decoded_by_column(void **state)
{
	struct scrubbed *f = *state;

	for (unsigned extent = 0; extent < 7; extent++)
		for (unsigned i = 0; i < 3; i++)
			noise(f,
			      leaf_of(f, WIDE, extent, 2) +
				      (extent * 5 + i * 2) % 16 * PAGE,
			      1);
	expect_repair(f);
}

static void a_burst_of_m_extents_is_healed_wherever_it_starts(void **state)
{
	struct scrubbed *f = *state;
	const struct stripe_info *info = info_of(f, WIDE);
	size_t burst = (size_t)(3 * info->geometry.stride - LEAF_SIZE);

	for (uint64_t offset = 0; offset + burst <= stripe_physical_size(info);
	     offset += 47 * PAGE) {
		noise(f, info->offset + offset, burst);
		assert_int_equal(scrub(f, true), 0);
		expect_healed(f);
	}
}

static void a_small_budget_makes_it_slow_and_not_wrong(void **state)
{
	struct scrubbed *f = *state;

	budget_free(f->budget);
	assert_int_equal(budget_new(UINT64_C(17) << 20, &f->budget), 0);
	erase_whole(f, WIDE, 1);
	erase_whole(f, WIDE, 3);
	erase_whole(f, WIDE, 6);
	expect_repair(f);
	budget_free(f->budget);
	assert_int_equal(budget_new(UINT64_C(1) << 20, &f->budget), 0);
	assert_int_equal(scrub(f, false), -ENOMEM);
}

/* ---- what it costs ---- */

/* Bytes that a check reads; with one worker, so that leaves come in order. */
static uint64_t bytes_read(struct scrubbed *f)
{
	pool_free(f->pool);
	assert_int_equal(pool_new(1, &f->pool, NULL), 0);
	f->watch.read_bytes = 0;
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->report.lost, 0);
	return f->watch.read_bytes;
}

static void only_what_came_before_the_damage_is_read_again(void **state)
{
	struct scrubbed *f = *state;
	uint64_t sound = bytes_read(f);

	noise(f, leaf_of(f, WIDE, 0, 1), LEAF_SIZE);
	noise(f, leaf_of(f, WIDE, 0, 2), PAGE);
	assert_int_equal(bytes_read(f), sound);
	assert_int_equal(f->report.repairable, 2);
	noise(f, leaf_of(f, WIDE, 3, 1), LEAF_SIZE);
	assert_int_equal(bytes_read(f), sound);
	noise(f, leaf_of(f, WIDE, 3, 3), LEAF_SIZE);
	assert_int_equal(bytes_read(f), sound + 3 * LEAF_SIZE);
	assert_int_equal(f->report.repairable, 4);
	expect_repair(f);
	noise(f, leaf_of(f, WIDE, 5, 0), LEAF_SIZE); /* of parity: all data is needed */
	assert_int_equal(bytes_read(f), sound + 4 * LEAF_SIZE);
	expect_repair(f);
}

static void in_one_pass_nothing_is_read_again(void **state)
{
	struct scrubbed *f = *state;
	uint64_t sound;

	f->one_pass = true;
	sound = bytes_read(f);
	for (unsigned row = 0; row < 4; row++)
		for (unsigned i = 0; i < 3; i++)
			noise(f, leaf_of(f, WIDE, (row + 2 * i) % 7, row), LEAF_SIZE);
	assert_int_equal(bytes_read(f), sound);
	assert_int_equal(f->report.repairable, 12);
	expect_repair(f);
	for (unsigned extent = 0; extent < 3; extent++)
		erase_whole(f, WIDE, 2 * extent);
	expect_repair(f);
}

#define scrub_test(name) \
	cmocka_unit_test_setup_teardown(name, scrubbed_setup, scrubbed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		scrub_test(any_m_extents_may_be_erased),
		scrub_test(m_extents_and_one_more_are_a_loss_of_what_they_held),
		scrub_test(rows_with_too_many_bad_leaves_are_decoded_by_column),
		scrub_test(a_burst_of_m_extents_is_healed_wherever_it_starts),
		scrub_test(a_small_budget_makes_it_slow_and_not_wrong),
		scrub_test(only_what_came_before_the_damage_is_read_again),
		scrub_test(in_one_pass_nothing_is_read_again),
	};

	return cmocka_run_group_tests_name("scrub_rows", tests, NULL, NULL);
}
