/* SPDX-License-Identifier: MIT */
/* A volume never takes more space than it was given, keeps what it promised to have room for,
 * and wastes little. */
#include "support/backend_memory.h"
#include "support/log_fixture.h"

#include "chunker/frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Fill a volume of @max_size to the brim with commits of @commit bytes. */
static void fill_volume(unsigned data, unsigned parity, uint64_t max_size,
			uint64_t commit, bool tiered)
{
	uint64_t payload, written, promise = 0, offset;
	struct audit found;
	struct log_fixture f;
	bool full = false;

	log_fixture_init(&f, data, parity, 48 * MIB);
	f.options.max_size = max_size;
	f.options.tiered = tiered;
	log_fixture_start(&f);
	log_fixture_record(&f, STRIPE_HEADER);
	while (!full) {
		uint64_t end = f.stored_size + commit, done;

		while (f.stored_size < end && !full) {
			size_t size = log_fixture_random(&f) % FRAME_SIZE_MAX + 1;

			/* The strongest promise so far in the commit must be kept. */
			if (f.stored_size + log_room(f.writer) > promise)
				promise = f.stored_size + log_room(f.writer);
			done = f.stored_size + frame_bound(size);
			full = log_fixture_try(&f, size, &offset) == LOG_FULL;
			if (full && done <= promise)
				fail_msg("%u+%u, %llu bytes: %llu refused, %llu promised",
					 data, parity, (unsigned long long)max_size,
					 (unsigned long long)done,
					 (unsigned long long)promise);
		}
		log_fixture_record(&f, STRIPE_COMMIT);
		promise = 0;
	}
	assert_int_equal(log_fixture_try(&f, 1, &offset), LOG_FULL);
	assert_int_equal(log_room(f.writer), 0);
	log_fixture_record(&f, STRIPE_END);
	log_writer_totals(f.writer, &payload, &written);
	assert_true(written <= max_size);
	log_fixture_audit(&f, &found);
	assert_int_equal(found.written, written);
	audit_done(&found);
	log_fixture_done(&f);
}

static void a_volume_never_exceeds_its_size(void **state)
{
	(void)state;
	for (uint64_t size = 2 * MIB; size < 50 * MIB; size = size * 2 + 12345) {
		fill_volume(4, 3, size, GIB, true);
		fill_volume(4, 3, size, GIB, false);
		fill_volume(30, 3, size, GIB, false);
		fill_volume(1, 1, size, GIB, true);
		fill_volume(3, 0, size, 5 * MIB, true);
	}
}

static void most_of_a_volume_is_used(void **state)
{
	uint64_t payload, written, offset, promise;
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 4, 1, 64 * MIB);
	f.options.max_size = 100 * MIB;
	log_fixture_start(&f);
	promise = log_room(f.writer);
	while (log_fixture_try(&f, FRAME_SIZE_MAX, &offset) == 0)
		;
	log_fixture_record(&f, STRIPE_COMMIT);
	log_writer_totals(f.writer, &payload, &written);
	assert_true(payload > 72 * MIB); /* of at most 80 */
	assert_true(promise > payload * 3 / 4);
	log_fixture_done(&f);
}

/* Noise of a whole segment, and tables, into a new volume as small as may be. */
static void expect_least_holds(unsigned data, unsigned parity, uint64_t memory,
			       bool tiered)
{
	const uint64_t size = 33800000;
	uint64_t least, payload, written, offset;
	struct log_fixture f;

	log_fixture_init(&f, data, parity, memory);
	f.options.tiered = tiered;
	f.options.max_size = MIB;
	least = log_least_max_size(&f.options, size);
	assert_true(least >= size + size / data * parity);
	assert_true(least <
		    (size + size / data * parity) * 5 / 2 + 64 * MIB * parity / 3);
	f.options.max_size = least;
	assert_int_equal(log_least_max_size(&f.options, size), least);
	log_fixture_start(&f);
	log_fixture_record(&f, STRIPE_HEADER);
	assert_true(log_room(f.writer) >= size);
	while (f.stored_size + FRAME_STORED_MAX <= size)
		if (log_fixture_try(&f, log_fixture_random(&f) % FRAME_SIZE_MAX + 1,
				    &offset))
			fail_msg("%u+%u in %llu MiB: full after %llu", data, parity,
				 (unsigned long long)least / MIB,
				 (unsigned long long)f.stored_size);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_writer_totals(f.writer, &payload, &written);
	assert_true(written <= least);
	log_fixture_done(&f);
}

static void the_least_volume_holds_a_segment_under_any_policy(void **state)
{
	static const unsigned policies[][2] = { { 30, 3 },  { 1, 0 },  { 1, 3 },
						{ 2, 2 },   { 4, 3 },  { 17, 3 },
						{ 200, 3 }, { 30, 16 } };
	static const uint64_t memory[] = { 64 * MIB, 256 * MIB };

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++)
		for (size_t j = 0; j < sizeof(memory) / sizeof(*memory); j++) {
			expect_least_holds(policies[i][0], policies[i][1], memory[j],
					   true);
			expect_least_holds(policies[i][0], policies[i][1], memory[j],
					   false);
		}
}

static void a_volume_that_is_large_enough_is_left_as_it_is(void **state)
{
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 30, 3, 256 * MIB);
	f.options.max_size = 64 * MIB;
	assert_int_equal(log_least_max_size(&f.options, 33 * MIB), 64 * MIB);
	f.options.parity = 16;
	assert_true(log_least_max_size(&f.options, 33 * MIB) > 64 * MIB);
	log_fixture_done(&f);
}

static void earlier_sessions_count_towards_the_size(void **state)
{
	uint64_t offset;
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 4, 1, 64 * MIB);
	f.options.max_size = 100 * MIB;
	f.options.used_size = 99 * MIB;
	log_fixture_start(&f);
	assert_int_equal(log_room(f.writer), 0);
	assert_int_equal(log_fixture_try(&f, FRAME_SIZE_MAX, &offset), LOG_FULL);
	log_fixture_record(&f, STRIPE_END);
	log_fixture_done(&f);
}

static void a_medium_is_not_overrun(void **state)
{
	uint64_t offset;
	struct log_fixture f;
	struct audit found;

	(void)state;
	log_fixture_init(&f, 4, 2, 64 * MIB);
	f.options.spread = 1 << 20;
	backend_memory_set_capacity(f.backend, 50 * MIB);
	log_fixture_start(&f);
	while (log_fixture_try(&f, FRAME_SIZE_MAX, &offset) == 0)
		;
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_record(&f, STRIPE_END);
	log_fixture_audit(&f, &found);
	audit_done(&found);
	log_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_never_exceeds_its_size),
		cmocka_unit_test(most_of_a_volume_is_used),
		cmocka_unit_test(the_least_volume_holds_a_segment_under_any_policy),
		cmocka_unit_test(a_volume_that_is_large_enough_is_left_as_it_is),
		cmocka_unit_test(earlier_sessions_count_towards_the_size),
		cmocka_unit_test(a_medium_is_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
