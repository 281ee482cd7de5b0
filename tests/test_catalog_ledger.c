/* SPDX-License-Identifier: MIT */
/* When what was verified, and that it shows in no dump and waits for nobody. */
#include "catalog/ledger.h"

#include "base/error.h"
#include "support/catalog_sample.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static struct ledger_entry entry_of(unsigned volume, uint64_t offset, int64_t verified)
{
	struct ledger_entry entry = {
		.offset = offset,
		.verified = verified,
		.run = 77,
		.damaged = offset % 3,
		.lost = offset % 2,
		.margin = 3 - (unsigned)(offset % 3),
	};

	sample_uuid(volume, &entry.volume);
	return entry;
}

static void an_entry_replaces_that_of_the_same_stripe(void **state)
{
	struct sample *sample = *state;
	struct ledger_entry entries[2] = { entry_of(1, 4096, 100),
					   entry_of(1, 8192, 200) };
	struct ledger_entry got;

	assert_int_equal(
		ledger_get(sample->catalog, &entries[0].volume, 4096, &got, NULL),
		CATALOG_END);
	assert_int_equal(ledger_put(sample->catalog, entries, 2, NULL), 0);
	entries[0].verified = 300;
	assert_int_equal(ledger_put(sample->catalog, entries, 1, NULL), 0);
	sample_reopen(sample);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ledger_get(sample->catalog, &entries[i].volume,
					    entries[i].offset, &got, NULL),
				 0);
		assert_memory_equal(&got.volume, &entries[i].volume, UUID_SIZE);
		assert_int_equal(got.verified, entries[i].verified);
		assert_int_equal(got.run, 77);
		assert_int_equal(got.damaged, entries[i].damaged);
		assert_int_equal(got.lost, entries[i].lost);
		assert_int_equal(got.margin, entries[i].margin);
	}
}

static void a_summary_is_of_one_volume(void **state)
{
	struct sample *sample = *state;
	struct ledger_entry entries[] = { entry_of(1, 1, 500), entry_of(1, 2, 400),
					  entry_of(1, 3, 600), entry_of(2, 5, 1) };
	struct ledger_summary summary;
	struct uuid none;

	assert_int_equal(ledger_put(sample->catalog, entries, 4, NULL), 0);
	assert_int_equal(
		ledger_summary(sample->catalog, &entries[0].volume, &summary, NULL), 0);
	assert_int_equal(summary.stripes, 3);
	assert_int_equal(summary.oldest, 400);
	assert_int_equal(summary.damaged, 3);
	assert_int_equal(summary.lost, 2);
	assert_int_equal(summary.margin, 1);
	sample_uuid(3, &none);
	assert_int_equal(ledger_summary(sample->catalog, &none, &summary, NULL), 0);
	assert_int_equal(summary.stripes, 0);
	assert_int_equal(summary.margin, UINT_MAX);
}

static void the_last_run_is_the_one_that_started_last(void **state)
{
	struct sample *sample = *state;
	struct ledger_run run = { .started = 10, .repair = true, .bytes = 5, .found = 3 };
	struct ledger_run got;

	assert_int_equal(ledger_last_run(sample->catalog, &got, NULL), CATALOG_END);
	assert_int_equal(ledger_put_run(sample->catalog, &run, NULL), 0);
	run.started = 20;
	run.repair = false;
	assert_int_equal(ledger_put_run(sample->catalog, &run, NULL), 0);
	run.ended = 30;
	run.lost = 1;
	assert_int_equal(ledger_put_run(sample->catalog, &run, NULL), 0);
	assert_int_equal(ledger_last_run(sample->catalog, &got, NULL), 0);
	assert_int_equal(got.started, 20);
	assert_int_equal(got.ended, 30);
	assert_false(got.repair);
	assert_int_equal(got.lost, 1);
	assert_int_equal(got.found, 3);
}

static void what_is_sound_of_it_is_copied(void **state)
{
	struct sample *sample = *state;
	struct ledger_entry entries[] = { entry_of(1, 1, 500), entry_of(1, 2, 400) };
	const struct ledger_run run = { .started = 10, .found = 3 };
	struct ledger_entry got;
	struct ledger_run last;
	void *other_state;
	struct sample *other;

	assert_int_equal(ledger_put(sample->catalog, entries, 2, NULL), 0);
	assert_int_equal(ledger_put_run(sample->catalog, &run, NULL), 0);
	sample_sql(sample, "UPDATE ledger SET lost = lost + 1 WHERE verified = 400");
	assert_int_equal(sample_setup(&other_state), 0);
	other = other_state;
	assert_int_equal(ledger_copy(sample->catalog, other->catalog, NULL), 0);
	assert_int_equal(ledger_get(other->catalog, &entries[0].volume, entries[0].offset,
				    &got, NULL),
			 0);
	assert_int_equal(got.verified, 500);
	assert_int_equal(ledger_get(other->catalog, &entries[1].volume, entries[1].offset,
				    &got, NULL),
			 CATALOG_END);
	assert_int_equal(ledger_last_run(other->catalog, &last, NULL), 0);
	assert_int_equal(last.found, 3);
	assert_int_equal(sample_teardown(&other_state), 0);
}

static void a_changed_row_counts_for_nothing(void **state)
{
	struct sample *sample = *state;
	struct ledger_entry entry = entry_of(1, 4096, 100);
	struct ledger_run run = { .started = 10 };

	assert_int_equal(ledger_put(sample->catalog, &entry, 1, NULL), 0);
	assert_int_equal(ledger_put_run(sample->catalog, &run, NULL), 0);
	sample_sql(sample, "UPDATE ledger SET verified = 900");
	sample_sql(sample, "UPDATE health_run SET ended = 900");
	assert_int_equal(ledger_get(sample->catalog, &entry.volume, 4096, &entry, NULL),
			 CATALOG_END);
	assert_int_equal(ledger_last_run(sample->catalog, &run, NULL), CATALOG_END);
}

static void it_shows_in_no_dump(void **state)
{
	struct sample *sample = *state;
	struct ledger_entry entry = entry_of(1, 4096, 100);
	struct ledger_run run = { .started = 10 };
	char *before = sample_dump(sample->catalog), *after;

	assert_int_equal(ledger_put(sample->catalog, &entry, 1, NULL), 0);
	assert_int_equal(ledger_put_run(sample->catalog, &run, NULL), 0);
	after = sample_dump(sample->catalog);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void it_does_not_wait_for_a_commit(void **state)
{
	struct sample *sample = *state;
	struct ledger_entry entry = entry_of(1, 4096, 100);
	struct ledger_run run = { .started = 10 };
	struct catalog *other;

	assert_int_equal(catalog_open(sample->path, &other, NULL), 0);
	assert_int_equal(catalog_begin(other, NULL), 0);
	assert_int_equal(ledger_put(sample->catalog, &entry, 1, NULL), -EBUSY);
	assert_int_equal(ledger_put_run(sample->catalog, &run, NULL), -EBUSY);
	catalog_free(other);
	assert_int_equal(ledger_put(sample->catalog, &entry, 1, NULL), 0);
	assert_int_equal(ledger_put_run(sample->catalog, &run, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_setup, sample_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_entry_replaces_that_of_the_same_stripe),
		TEST(a_summary_is_of_one_volume),
		TEST(the_last_run_is_the_one_that_started_last),
		TEST(what_is_sound_of_it_is_copied),
		TEST(a_changed_row_counts_for_nothing),
		TEST(it_shows_in_no_dump),
		TEST(it_does_not_wait_for_a_commit),
	};

	return cmocka_run_group_tests_name("catalog_ledger", tests, NULL, NULL);
}
