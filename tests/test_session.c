/* SPDX-License-Identifier: MIT */
/* Sessions, and the limits of how much there may be in a time. */
#include "serve/rate.h"
#include "serve/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define START (1000 * SECOND)

static struct hash token_of(unsigned number)
{
	struct hash hash;

	hash_bytes(&number, sizeof(number), &hash);
	return hash;
}

static void begin(struct sessions *sessions, unsigned token, uint64_t now,
		  char name[SESSION_NAME_SIZE])
{
	struct hash hash = token_of(token);

	assert_int_equal(sessions_begin(sessions, &hash, now, name, NULL), 0);
}

static bool is_of(struct sessions *sessions, const char *name, uint64_t now,
		  unsigned token)
{
	struct hash want = token_of(token);
	struct hash hash;

	return sessions_find(sessions, name, now, &hash) && hash_equal(&hash, &want);
}

static void a_session_stands_for_its_token_until_it_ends(void **state)
{
	struct sessions sessions;
	char one[SESSION_NAME_SIZE];
	char other[SESSION_NAME_SIZE];
	struct hash hash;

	(void)state;
	sessions_init(&sessions, 60 * SECOND);
	assert_false(sessions_find(&sessions, "", START, &hash));
	begin(&sessions, 1, START, one);
	begin(&sessions, 2, START, other);
	assert_int_equal(strlen(one), SESSION_NAME_SIZE - 1);
	assert_string_not_equal(one, other);
	assert_true(is_of(&sessions, one, START, 1));
	assert_true(is_of(&sessions, other, START, 2));
	sessions_end(&sessions, one);
	sessions_end(&sessions, "nothing");
	assert_false(sessions_find(&sessions, one, START, &hash));
	assert_true(is_of(&sessions, other, START, 2));
	sessions_done(&sessions);
}

static void a_session_that_is_not_used_is_over(void **state)
{
	struct sessions sessions;
	char name[SESSION_NAME_SIZE];

	(void)state;
	sessions_init(&sessions, 60 * SECOND);
	begin(&sessions, 1, START, name);
	for (unsigned i = 1; i < 10; i++) /* each use counts */
		assert_true(is_of(&sessions, name, START + i * 50 * SECOND, 1));
	assert_false(is_of(&sessions, name, START + (450 + 60) * SECOND, 1));
	sessions_done(&sessions);
}

static void who_looked_at_the_clock_first_and_comes_second_ends_no_session(void **state)
{
	struct sessions sessions;
	char name[SESSION_NAME_SIZE];
	char other[SESSION_NAME_SIZE];

	(void)state;
	sessions_init(&sessions, 60 * SECOND);
	begin(&sessions, 1, START, name);
	assert_true(is_of(&sessions, name, START + 50 * SECOND, 1));
	assert_true(is_of(&sessions, name, START + 50 * SECOND - 1, 1));
	begin(&sessions, 2, START + 50 * SECOND - 1, other);
	assert_true(is_of(&sessions, name, START + 110 * SECOND - 1, 1));
	sessions_done(&sessions);
}

static void too_many_sessions_end_the_oldest_of_the_same_token(void **state)
{
	struct sessions sessions;
	char other[SESSION_NAME_SIZE];
	char first[SESSION_NAME_SIZE];
	char name[SESSION_NAME_SIZE];

	(void)state;
	sessions_init(&sessions, 3600 * SECOND);
	begin(&sessions, 2, START, other);
	begin(&sessions, 1, START + 1, first);
	for (unsigned i = 2; i <= SESSIONS_PER_TOKEN; i++)
		begin(&sessions, 1, START + i, name);
	assert_true(is_of(&sessions, first, START + 1, 1));
	for (unsigned i = 0; i < 2 * SESSIONS_MAX; i++)
		begin(&sessions, 1, START + 1000 + i, name);
	assert_false(is_of(&sessions, first, START + 2000, 1));
	assert_true(is_of(&sessions, name, START + 2000, 1));
	assert_true(is_of(&sessions, other, START + 2000, 2));
	sessions_done(&sessions);
}

static void the_oldest_of_all_makes_room(void **state)
{
	struct sessions sessions;
	char names[SESSIONS_MAX + 1][SESSION_NAME_SIZE];

	(void)state;
	sessions_init(&sessions, 3600 * SECOND);
	for (unsigned i = 0; i <= SESSIONS_MAX; i++)
		begin(&sessions, i, START + i, names[i]);
	assert_false(is_of(&sessions, names[0], START + SESSIONS_MAX, 0));
	for (unsigned i = 1; i <= SESSIONS_MAX; i++)
		assert_true(is_of(&sessions, names[i], START + SESSIONS_MAX, i));
	sessions_done(&sessions);
}

/* Rates. */

static void a_rate_lets_through_its_average(void **state)
{
	const struct rate rate = rate_make(10, SECOND, SECOND);
	rate_level level = 0;
	unsigned taken = 0;

	(void)state;
	while (rate_take(&rate, &level, 1, START)) /* at once */
		taken++;
	assert_int_equal(taken, 10);
	assert_false(rate_is_fresh(level, START));
	for (unsigned tick = 1; tick <= 1000; tick++)
		taken += rate_take(&rate, &level, 1, START + tick * SECOND / 100);
	assert_in_range(taken, 109, 110);
	assert_true(rate_is_fresh(level, START + 20 * SECOND));
}

static void what_is_too_much_is_waited_for(void **state)
{
	const struct rate rate = rate_make(1000, SECOND, SECOND / 4);
	rate_level level = 0;

	(void)state;
	assert_true(rate_take(&rate, &level, 5000, START));
	assert_false(rate_take(&rate, &level, 1, START + 4 * SECOND));
	assert_true(rate_take(&rate, &level, 1, START + 5 * SECOND));
	assert_true(rate_take(&rate, &level, UINT64_MAX, START + 5 * SECOND));
	assert_false(rate_take(&rate, &level, 1, START + 500 * SECOND));
}

static void nothing_is_limited_by_no_rate(void **state)
{
	const struct rate rate = rate_make(0, SECOND, SECOND);
	const struct rate fast = rate_make(UINT64_MAX / 2, SECOND, SECOND);
	rate_level level = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_true(rate_take(&rate, &level, UINT64_MAX, START));
	assert_int_equal(level, 0);
	assert_true(rate_take(&fast, &level, 1, START));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_stands_for_its_token_until_it_ends),
		cmocka_unit_test(a_session_that_is_not_used_is_over),
		cmocka_unit_test(
			who_looked_at_the_clock_first_and_comes_second_ends_no_session),
		cmocka_unit_test(too_many_sessions_end_the_oldest_of_the_same_token),
		cmocka_unit_test(the_oldest_of_all_makes_room),
		cmocka_unit_test(a_rate_lets_through_its_average),
		cmocka_unit_test(what_is_too_much_is_waited_for),
		cmocka_unit_test(nothing_is_limited_by_no_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
