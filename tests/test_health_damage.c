/* SPDX-License-Identifier: MIT */
/* Places that touch and have the same fate become one range, in whatever order they come. */
#include "archive/health_damage.h"

#include "base/budget.h"
#include "volume/geometry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static int setup(void **state)
{
	struct damage_list *list = calloc(1, sizeof(*list));

	assert_non_null(list);
	assert_int_equal(budget_new(UINT64_C(64) << 20, &list->budget), 0);
	*state = list;
	return 0;
}

static int teardown(void **state)
{
	struct damage_list *list = *state;
	struct budget *budget = list->budget;

	damage_list_done(list);
	budget_free(budget);
	free(list);
	return 0;
}

static struct scrub_finding leaf(unsigned extent, unsigned row,
				 enum scrub_outcome outcome)
{
	return (struct scrub_finding){
		.kind = SCRUB_LEAF,
		.outcome = outcome,
		.offset = ((uint64_t)extent << 32) + (uint64_t)row * LEAF_SIZE,
		.size = LEAF_SIZE,
		.stripe = 5,
		.extent = extent,
		.index = row,
		.log_offset = ((uint64_t)extent << 30) + (uint64_t)row * LEAF_SIZE,
		.log_size = LEAF_SIZE,
	};
}

static void add(struct damage_list *list, unsigned extent, unsigned row,
		enum scrub_outcome outcome)
{
	struct scrub_finding finding = leaf(extent, row, outcome);

	damage_list_add(list, 0, &finding);
}

static void a_lost_extent_is_one_range_in_any_order(void **state)
{
	struct damage_list *list = *state;
	size_t first;

	for (unsigned i = 0; i < 513; i++)
		for (unsigned extent = 0; extent < 3; extent++)
			add(list, extent, i * 100 % 513, SCRUB_REPAIRED);
	damage_list_end_stripe(list, 3, &first);
	assert_int_equal(first, 0);
	assert_int_equal(list->count, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct damage_range *range = &list->items[i];

		assert_int_equal(range->extent, i);
		assert_int_equal(range->offset, (uint64_t)i << 32);
		assert_int_equal(range->size, 513 * LEAF_SIZE);
		assert_int_equal(range->places, 513);
		assert_int_equal(range->log_offset, (uint64_t)i << 30);
		assert_int_equal(range->log_size, 513 * LEAF_SIZE);
		assert_int_equal(range->margin, 3);
	}
}

static void another_fate_is_another_range(void **state)
{
	struct damage_list *list = *state;
	size_t first;

	add(list, 0, 0, SCRUB_REPAIRED);
	add(list, 0, 1, SCRUB_LOST);
	add(list, 0, 2, SCRUB_REPAIRED);
	add(list, 0, 4, SCRUB_REPAIRED); /* there is a sound one in between */
	damage_list_end_stripe(list, 0, &first);
	assert_int_equal(list->count, 4);
}

static void a_stripe_that_is_done_does_not_grow(void **state)
{
	struct damage_list *list = *state;
	size_t first;

	add(list, 0, 0, SCRUB_REPAIRED);
	damage_list_end_stripe(list, 2, &first);
	add(list, 0, 1, SCRUB_REPAIRED);
	damage_list_end_stripe(list, 1, &first);
	assert_int_equal(first, 1);
	assert_int_equal(list->count, 2);
	assert_int_equal(list->items[0].margin, 2);
	assert_int_equal(list->items[1].margin, 1);
	damage_list_end_stripe(list, 0, &first);
	assert_int_equal(first, 2);
}

static void what_finds_no_room_is_counted(void **state)
{
	struct damage_list *list = *state;
	size_t first;

	for (unsigned i = 0; i < DAMAGE_RANGES_MAX + 10; i++)
		add(list, 0, 2 * i, SCRUB_LOST);
	assert_int_equal(list->count, DAMAGE_RANGES_MAX);
	assert_int_equal(list->dropped, 10);
	damage_list_end_stripe(list, 0, &first);
	assert_int_equal(list->count, DAMAGE_RANGES_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lost_extent_is_one_range_in_any_order),
		TEST(another_fate_is_another_range),
		TEST(a_stripe_that_is_done_does_not_grow),
		TEST(what_finds_no_room_is_counted),
	};

	return cmocka_run_group_tests_name("health_damage", tests, NULL, NULL);
}
