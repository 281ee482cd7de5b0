/* SPDX-License-Identifier: MIT */
#include "catalog/candidate_table.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static struct candidate_table *new_table(void)
{
	struct candidate_table *table = NULL;
	struct error err = { 0 };

	if (candidate_table_new(path, &table, &err) < 0)
		fail_msg("%s", err.text);
	return table;
}

static struct candidate make(const char *key, double rank, uint64_t inode)
{
	return (struct candidate){ (const uint8_t *)key, strlen(key), rank,
				   strlen(key),          4096,        inode };
}

static int add(struct candidate_table *table, const char *key, double rank,
	       uint64_t inode)
{
	const struct candidate candidate = make(key, rank, inode);

	return candidate_table_add(table, &candidate, NULL);
}

/* The keys that @next gives, with commas between them. */
static void expect(struct candidate_table *table, enum candidate_state state,
		   int (*next)(struct candidate_table *, enum candidate_state,
			       struct candidate *, struct error *),
		   const char *wanted)
{
	struct candidate candidate;
	char got[256] = "";
	size_t size = 0;

	while (next(table, state, &candidate, NULL) == 0) {
		assert_int_equal(candidate.size, candidate.key_size);
		assert_int_equal(candidate.space, 4096);
		size += (size_t)snprintf(got + size, sizeof(got) - size, "%s%.*s",
					 size ? "," : "", (int)candidate.key_size,
					 (const char *)candidate.key);
	}
	assert_string_equal(got, wanted);
}

static void they_come_by_rank_and_by_key(void **state)
{
	struct candidate_table *table = new_table();

	(void)state;
	assert_int_equal(add(table, "b", 5, 0), 1);
	assert_int_equal(add(table, "d", 1e300, 0), 1);
	assert_int_equal(add(table, "a", 5, 0), 1);
	assert_int_equal(add(table, "c", 0, 0), 1);
	for (int i = 0; i < 2; i++) { /* it begins again */
		expect(table, CANDIDATE_FOUND, candidate_table_next_rank, "d,b,a,c");
		expect(table, CANDIDATE_FOUND, candidate_table_next_key, "a,b,c,d");
	}
	expect(table, CANDIDATE_STUB, candidate_table_next_key, "");
	candidate_table_free(table);
	assert_int_equal(access(path, F_OK), -1);
}

static void another_name_of_a_file_is_not_taken(void **state)
{
	struct candidate_table *table = new_table();

	(void)state;
	assert_int_equal(add(table, "a", 1, 7), 1);
	assert_int_equal(add(table, "b", 1, 7), 0);
	assert_int_equal(add(table, "c", 1, 8), 1);
	assert_int_equal(add(table, "d", 1, 0), 1);
	assert_int_equal(add(table, "e", 1, 0), 1);
	expect(table, CANDIDATE_FOUND, candidate_table_next_key, "a,c,d,e");
	candidate_table_free(table);
}

static void states_may_change_on_the_way(void **state)
{
	struct candidate_table *table = new_table();
	struct candidate candidate;

	(void)state;
	for (char c = 'a'; c <= 'f'; c++)
		assert_int_equal(add(table, (char[]){ c, 0 }, c, 0), 1);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(candidate_table_next_rank(table, CANDIDATE_FOUND,
							   &candidate, NULL),
				 0);
		assert_int_equal(candidate_table_set(
					 table, &candidate,
					 i % 2 ? CANDIDATE_COMMIT : CANDIDATE_STUB, NULL),
				 0);
	}
	candidate_table_rewind(table);
	expect(table, CANDIDATE_FOUND, candidate_table_next_rank, "b,a");
	expect(table, CANDIDATE_STUB, candidate_table_next_rank, "f,d");
	assert_int_equal(
		candidate_table_move(table, CANDIDATE_COMMIT, CANDIDATE_STUB, NULL), 0);
	expect(table, CANDIDATE_STUB, candidate_table_next_key, "c,d,e,f");
	candidate_table_free(table);
}

static void what_a_killed_pass_has_left_is_replaced(void **state)
{
	struct candidate_table *table;
	FILE *file = fopen(path, "w");

	(void)state;
	assert_non_null(file);
	assert_true(fputs("garbage", file) >= 0);
	assert_int_equal(fclose(file), 0);
	table = new_table();
	assert_int_equal(add(table, "a", 1, 0), 1);
	candidate_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_come_by_rank_and_by_key),
		cmocka_unit_test(another_name_of_a_file_is_not_taken),
		cmocka_unit_test(states_may_change_on_the_way),
		cmocka_unit_test(what_a_killed_pass_has_left_is_replaced),
	};

	(void)snprintf(path, sizeof(path), "/tmp/test-candidates-%d.db", getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
