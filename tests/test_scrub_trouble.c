/* SPDX-License-Identifier: MIT */
/* Repairs on media that fail, and in processes that are killed. */
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void a_medium_that_takes_no_repair_is_told(void **state)
{
	static const struct {
		enum watched_step step;
		int code;
	} failures[] = {
		{ WATCHED_OPEN, -EROFS },   { WATCHED_OPEN, -EACCES },
		{ WATCHED_WRITE, -ENOSPC }, { WATCHED_WRITE, -EIO },
		{ WATCHED_SYNC, -EIO },
	};
	struct scrubbed *f = *state;

	for (unsigned i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		publish(f);
		erase_whole(f, WIDE, 1);
		f->watch.fail_step = failures[i].step;
		f->watch.fail_code = failures[i].code;
		assert_int_equal(scrub(f, true), 0);
		f->watch.fail_step = 0;
		assert_true(f->report.not_written > 0);
		assert_int_equal(f->report.lost, 0);
		for (size_t n = 0; n < f->finding_count; n++)
			if (f->findings[n].outcome == SCRUB_NOT_WRITTEN)
				assert_int_equal(f->findings[n].code, failures[i].code);
		assert_int_equal(scrub(f, true), 0);
		expect_healed(f);
	}
}

static void bad_sectors_are_rewritten(void **state)
{
	struct scrubbed *f = *state;
	const uint64_t places[] = {
		leaf_of(f, WIDE, 3, 2) + 6 * PAGE,           leaf_of(f, WIDE, 0, 0),
		extent_offset(info_of(f, WIDE), 2),          leaf_of(f, WIDE, 5, 1),
		extent_offset(info_of(f, SPREAD), 1) - PAGE,
	};

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		f->watch.bad_offset = places[i];
		f->watch.bad = true;
		assert_int_equal(scrub(f, false), 0);
		assert_int_equal(f->report.repairable, 1);
		assert_int_equal(scrub(f, true), 0);
		assert_int_equal(f->report.repaired, 1);
		assert_false(f->watch.bad);
		expect_healed(f);
	}
}

static void damage_much(struct scrubbed *f)
{
	publish(f);
	erase_whole(f, WIDE, 1);
	erase_whole(f, WIDE, 6);
	noise(f, extent_offset(info_of(f, FIRST), 0), 3 * PAGE);
	noise(f, leaf_of(f, NARROW, 1, 1) + PAGE, 2 * PAGE);
	noise(f, extent_offset(info_of(f, SPREAD), 1) - PAGE, PAGE);
}

/* Scrub in a child that dies at its session call @die_at, or at f->crash_at. */
static bool scrub_and_die(struct scrubbed *f, unsigned die_at)
{
	int status;
	pid_t child;

	pool_free(f->pool); /* threads do not fork */
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		f->watch.die_at = die_at;
		if (f->crash_at[0])
			(void)setenv("BLOCKFRAME_CRASH_AT", f->crash_at, 1);
		if (pool_new(1, &f->pool, NULL) < 0)
			_exit(1);
		_exit(scrub(f, true) == 0 ? 0 : 1);
	}
	assert_int_equal(pool_new(2, &f->pool, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return true;
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
	return WEXITSTATUS(status) == 9;
}

/* Every block is as it was or as it must be; and the next scrub heals the rest. */
static bool kill_once(struct scrubbed *f, unsigned die_at)
{
	uint8_t *before, *now;
	bool died;

	damage_much(f);
	before = look(f);
	died = scrub_and_die(f, die_at);
	now = look(f);
	for (size_t at = 0; at < f->image.size; at += PAGE)
		assert_true(memcmp(now + at, before + at, PAGE) == 0 ||
			    memcmp(now + at, f->image.bytes + at, PAGE) == 0);
	free(before);
	free(now);
	assert_int_equal(scrub(f, true), 0);
	expect_healed(f);
	return died;
}

static void a_kill_at_any_call_leaves_what_the_next_scrub_heals(void **state)
{
	struct scrubbed *f = *state;
	unsigned die_at = 1;

	while (kill_once(f, die_at))
		die_at++;
	assert_true(die_at > 7);
}

#ifdef TEST_HOOKS
static void a_kill_at_a_named_point_leaves_what_the_next_scrub_heals(void **state)
{
	static const char *const points[] = {
		"repair.begin",   "repair.locked",  "repair.write",
		"repair.between", "repair.written", "repair.synced",
		"scrub.known",    "scrub.pages",    "scrub.rows",
	};
	struct scrubbed *f = *state;

	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		for (unsigned pass = 1; pass <= 2; pass++) {
			(void)snprintf(f->crash_at, sizeof(f->crash_at), "volume.%s:%u",
				       points[i], pass);
			assert_true(kill_once(f, 0) || pass > 1);
		}
}
#endif

#define scrub_test(name) \
	cmocka_unit_test_setup_teardown(name, scrubbed_setup, scrubbed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		scrub_test(a_medium_that_takes_no_repair_is_told),
		scrub_test(bad_sectors_are_rewritten),
		scrub_test(a_kill_at_any_call_leaves_what_the_next_scrub_heals),
#ifdef TEST_HOOKS
		scrub_test(a_kill_at_a_named_point_leaves_what_the_next_scrub_heals),
#endif
	};

	return cmocka_run_group_tests_name("scrub_trouble", tests, NULL, NULL);
}
