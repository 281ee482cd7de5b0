/* SPDX-License-Identifier: MIT */
/* Writing back while others do the same, hold the lock, or the process is killed. */
#include "support/damaged_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Read in a process of its own, which may die at it: at call @die_at of a session, or at
 * f->crash_at. True if it did. */
static bool read_and_die(struct damaged *f, unsigned die_at)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		f->watch.die_at = die_at;
		if (f->crash_at[0])
			assert_int_equal(setenv("BLOCKFRAME_CRASH_AT", f->crash_at, 1),
					 0);
		damaged_reopen(f, WRITE_BACK_IN_PLACE);
		expect_content(f, f->reader);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
	return WEXITSTATUS(status) == 9;
}

/* Every block is as it was or as it must be; of those torn, at most one is neither. */
static void expect_progress(const struct damaged *f, const uint8_t *before,
			    unsigned torn_max)
{
	size_t size;
	uint8_t *now = damaged_look(f, &size);
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

/* Damage, a reader that may be killed, and one that heals what is left. True if it was. */
static bool kill_once(struct damaged *f, unsigned die_at, unsigned torn_max)
{
	uint8_t *before;
	size_t size;
	bool died;

	damaged_publish(f);
	for (unsigned i = 0; i < 15; i += 2)
		damaged_noise(f, damaged_leaf(f, 0, 1) + i * PAGE, PAGE);
	for (unsigned i = 0; i < 2; i++)
		damaged_noise(f, damaged_leaf(f, 1, 1) + (8 + 3 * i) * PAGE, 2 * PAGE);
	before = damaged_look(f, &size);
	died = read_and_die(f, die_at);
	expect_progress(f, before, torn_max);
	free(before);
	damaged_reopen(f, WRITE_BACK_IN_PLACE);
	expect_content(f, f->reader);
	expect_healed(f);
	return died;
}

static void kill_at_each_call(struct damaged *f, bool torn)
{
	unsigned die_at = 1;

	f->watch.tear = torn;
	while (kill_once(f, die_at, torn ? 1 : 0))
		die_at++;
	assert_true(die_at > 12); /* read, pages, 8 writes, sync, read */
}

static void a_kill_at_any_step_leaves_what_the_next_reader_repairs(void **state)
{
	kill_at_each_call(*state, false);
}

static void a_block_that_was_being_written_at_the_kill_is_repaired_again(void **state)
{
	kill_at_each_call(*state, true);
}

#ifdef TEST_HOOKS
static void a_kill_at_a_named_point_leaves_what_the_next_reader_repairs(void **state)
{
	static const char *const points[] = {
		"begin", "locked", "write", "between", "written", "synced",
	};
	struct damaged *f = *state;

	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		for (unsigned pass = 1; pass <= 2; pass++) {
			(void)snprintf(f->crash_at, sizeof(f->crash_at),
				       "volume.repair.%s:%u", points[i], pass);
			assert_true(kill_once(f, 0, 0));
		}
	}
}
#endif

struct rival {
	struct damaged *f;
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
	struct damaged *f = *state;
	struct backend *backend = backend_watched_open(f->path, &f->watch);
	struct write_back *write_back =
		damaged_open_write_back(f, backend, WRITE_BACK_IN_PLACE);
	struct rival rivals[2] = { { f, f->reader },
				   { f, damaged_open_reader(f, backend, write_back) } };
	pthread_barrier_t meet;
	pthread_t threads[2];

	/* Both have rebuilt the leaf in memory when they meet. */
	assert_int_equal(pthread_barrier_init(&meet, NULL, 2), 0);
	f->watch.meet = &meet;
	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
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
	assert_int_equal(
		repaired_leaves(rivals[0].reader) + repaired_leaves(rivals[1].reader), 1);
	f->watch.meet = NULL;
	(void)pthread_barrier_destroy(&meet);
	log_reader_free(rivals[1].reader);
	write_back_free(write_back);
	backend_free(backend);
}

static void many_readers_take_turns_in_bounded_memory(void **state)
{
	struct damaged *f = *state;
	const struct stripe_info *info = &f->image.stripes[0];
	struct rival rival = { f, f->reader };
	pthread_t threads[8];
	unsigned rows = extent_entry_count(info, 3);

	for (unsigned row = 0; row < rows; row++)
		for (unsigned extent = 0; extent < 3; extent++)
			damaged_noise(f, damaged_leaf(f, (extent + row) % 4, row) + PAGE,
				      PAGE_SIZE_BYTES);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_as_rival, &rival),
				 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	expect_healed(f);
	assert_int_equal(f->watch.writes, 3 * rows);
	assert_int_equal(f->event_count, 3 * rows);
	assert_int_equal(repaired_leaves(f->reader), 3 * rows);
	assert_int_equal(f->watch.asking_most, 1);
	assert_int_equal(f->watch.write_largest, PAGE_SIZE_BYTES);
	assert_true(f->watch.read_largest <= LEAF_SIZE);
}

static void a_lock_that_is_held_does_not_hold_up_readers(void **state)
{
	struct damaged *f = *state;
	int fd = open(f->path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	damaged_noise(f, damaged_leaf(f, 1, 1), 100);
	damaged_noise(f, damaged_leaf(f, 2, 2), 100);
	expect_content(f, f->reader);
	assert_int_equal(f->event_count, 2);
	assert_int_equal(f->events[0].code, -EBUSY);
	assert_int_equal(f->watch.writes, 0);

	assert_int_equal(flock(fd, LOCK_UN), 0);
	expect_content(f, f->reader);
	expect_healed(f);
	(void)close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, damaged_setup, damaged_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_kill_at_any_step_leaves_what_the_next_reader_repairs),
		CASE(a_block_that_was_being_written_at_the_kill_is_repaired_again),
#ifdef TEST_HOOKS
		CASE(a_kill_at_a_named_point_leaves_what_the_next_reader_repairs),
#endif
		CASE(two_readers_of_the_same_damage_repair_it_once),
		CASE(many_readers_take_turns_in_bounded_memory),
		CASE(a_lock_that_is_held_does_not_hold_up_readers),
	};

	return cmocka_run_group_tests_name("write_back_race", tests, NULL, NULL);
}
