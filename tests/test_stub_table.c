/* SPDX-License-Identifier: MIT */
#include "catalog/stub_table.h"

#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[96];

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-stub-table-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/t.db", folder);
	return 0;
}

static int remove_folder(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[128];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		(void)unlink(name);
	}
	return rmdir(folder);
}

static struct stub_row sample(uint8_t number)
{
	struct stub_row row = { .handle = { 1, 0, 0, 0, number, 7 },
				.handle_size = 6,
				.state = STUB_PUNCHED,
				.id = UINT64_MAX - number,
				.size = 1000u + number,
				.time = -5 };

	row.hash.bytes[0] = number;
	row.archive.bytes[31] = 9;
	row.path = strdup("/x/\xff y");
	return row;
}

static void add(struct stub_table *table, uint8_t number)
{
	struct stub_row row = sample(number);

	assert_int_equal(stub_table_put(table, &row, NULL), 0);
	stub_row_done(&row);
}

static void a_row_comes_back_as_it_was(void **state)
{
	autoptr(stub_table) table = NULL;
	struct stub_row want = sample(3), got = { 0 };

	(void)state;
	assert_int_equal(stub_table_open(path, true, &table, NULL), 0);
	want.problem = strdup("no room");
	assert_int_equal(stub_table_put(table, &want, NULL), 0);
	stub_table_free(take_ptr(table));
	assert_int_equal(stub_table_open(path, false, &table, NULL), 0);
	assert_int_equal(stub_table_get(table, want.handle, want.handle_size, &got, NULL),
			 0);
	assert_int_equal(got.state, want.state);
	assert_true(got.id == want.id);
	assert_int_equal(got.size, want.size);
	assert_int_equal(got.time, want.time);
	assert_memory_equal(&got.hash, &want.hash, sizeof(got.hash));
	assert_memory_equal(&got.archive, &want.archive, sizeof(got.archive));
	assert_string_equal(got.path, want.path);
	assert_string_equal(got.problem, want.problem);
	stub_row_done(&got);
	stub_row_done(&want);
}

static void a_row_is_replaced_and_removed(void **state)
{
	autoptr(stub_table) table = NULL;
	struct stub_row row = sample(1), got = { 0 };
	uint64_t count, size;

	(void)state;
	assert_int_equal(stub_table_open(path, true, &table, NULL), 0);
	add(table, 1);
	row.state = STUB_PREPARED;
	assert_int_equal(stub_table_put(table, &row, NULL), 0);
	assert_int_equal(stub_table_totals(table, &count, &size, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(size, 1001);
	assert_int_equal(stub_table_get(table, row.handle, row.handle_size, &got, NULL),
			 0);
	assert_int_equal(got.state, STUB_PREPARED);
	stub_row_done(&got);
	assert_int_equal(stub_table_remove(table, &row, NULL), 0);
	assert_int_equal(stub_table_remove(table, &row, NULL), 0);
	assert_int_equal(stub_table_get(table, row.handle, row.handle_size, &got, NULL),
			 CATALOG_END);
	stub_row_done(&row);
}

#define WRITERS 8
#define ROUNDS 20

struct writer {
	pthread_t thread;
	struct stub_table *table;
	uint8_t number;
	int failures;
};

/* Leaves its last row. */
static void *write_rows(void *argument)
{
	struct writer *writer = argument;
	struct stub_row row = sample(writer->number);

	for (int i = 0; i < ROUNDS; i++) {
		writer->failures += stub_table_put(writer->table, &row, NULL) != 0;
		if (i + 1 < ROUNDS)
			writer->failures +=
				stub_table_remove(writer->table, &row, NULL) != 0;
	}
	stub_row_done(&row);
	return NULL;
}

static void many_threads_may_write_at_once(void **state)
{
	autoptr(stub_table) table = NULL;
	struct writer writers[WRITERS];
	uint64_t count, size;

	(void)state;
	assert_int_equal(stub_table_open(path, true, &table, NULL), 0);
	for (uint8_t i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .table = table, .number = i };
		assert_int_equal(
			pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]),
			0);
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
		assert_int_equal(writers[i].failures, 0);
	}
	assert_int_equal(stub_table_totals(table, &count, &size, NULL), 0);
	assert_int_equal(count, WRITERS);
}

static void rows_are_walked_through_once(void **state)
{
	autoptr(stub_table) table = NULL;
	struct stub_row row = { 0 };
	uint8_t handle[STUB_HANDLE_MAX];
	size_t size = 0;
	unsigned seen = 0;
	int r;

	(void)state;
	assert_int_equal(stub_table_open(path, true, &table, NULL), 0);
	for (uint8_t i = 0; i < 10; i++)
		add(table, (uint8_t)(9 - i));
	while ((r = stub_table_next(table, handle, size, &row, NULL)) == 0) {
		assert_int_equal(row.handle[4], seen++);
		memcpy(handle, row.handle, row.handle_size);
		size = row.handle_size;
		stub_row_done(&row);
	}
	assert_int_equal(r, CATALOG_END);
	assert_int_equal(seen, 10);
}

static void another_name_for_the_content_is_found_out(void **state)
{
	autoptr(stub_table) table = NULL;
	struct stub_row row = sample(1), got = { 0 };
	char command[256];
	struct error err = { 0 };

	(void)state;
	assert_int_equal(stub_table_open(path, true, &table, NULL), 0);
	add(table, 1);
	(void)snprintf(command, sizeof(command),
		       "sqlite3 %s \"UPDATE stub SET hash = zeroblob(32)\"", path);
	if (system(command) == 0)
		assert_int_equal(
			stub_table_get(table, row.handle, row.handle_size, &got, &err),
			-EBADMSG);
	stub_row_done(&row);
}

static void a_table_that_is_not_there_is_not_made(void **state)
{
	autoptr(stub_table) table = NULL;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(stub_table_open(path, false, &table, &err), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_file_that_is_no_table_is_refused(void **state)
{
	autoptr(stub_table) table = NULL;
	struct error err = { 0 };
	FILE *file = fopen(path, "w");

	(void)state;
	assert_non_null(file);
	for (int i = 0; i < 500; i++)
		assert_true(fputs("not a database ", file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(stub_table_open(path, false, &table, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "table of stubs"));
}

static void many_rows_are_written_at_once(void **state)
{
	autoptr(stub_table) table = NULL;
	struct stub_row rows[3] = { sample(1), sample(2), sample(3) };
	uint64_t count, size;

	(void)state;
	assert_int_equal(stub_table_open(path, true, &table, NULL), 0);
	assert_int_equal(stub_table_put_all(table, rows, 0, NULL), 0);
	assert_int_equal(stub_table_put_all(table, rows, 3, NULL), 0);
	assert_int_equal(stub_table_totals(table, &count, &size, NULL), 0);
	assert_int_equal(count, 3);
	assert_int_equal(size, 3006);
	for (size_t n = 0; n < 3; n++)
		stub_row_done(&rows[n]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_row_comes_back_as_it_was),
		CASE(a_row_is_replaced_and_removed),
		CASE(many_threads_may_write_at_once),
		CASE(rows_are_walked_through_once),
		CASE(another_name_for_the_content_is_found_out),
		CASE(a_table_that_is_not_there_is_not_made),
		CASE(a_file_that_is_no_table_is_refused),
		CASE(many_rows_are_written_at_once),
	};

	return cmocka_run_group_tests_name("stub_table", tests, NULL, NULL);
}
