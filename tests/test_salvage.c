/* SPDX-License-Identifier: MIT */
#include "archive/salvage.h"

#include "support/catalog_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
	DEPTH = 15,
	NAME = 250,  /* bytes of a folder's name */
	COUNT = 5000 /* files whose keys are together more than salvaging collects */
};

static int count_row(void *context, const uint8_t *path, size_t path_size,
		     const struct version_row *row, struct error *err)
{
	(void)path;
	(void)path_size;
	(void)row;
	(void)err;
	++*(unsigned *)context;
	return 0;
}

static unsigned count_current(struct catalog *catalog)
{
	unsigned count = 0;

	assert_int_equal(
		catalog_walk(catalog, NULL, 0, VERSION_CURRENT, count_row, &count, NULL),
		0);
	return count;
}

/* Call @visit for each name: folders in each other, then files, half of them in the innermost
 * folder, half in the one above. */
static void for_each_name(struct catalog *catalog,
			  void (*visit)(struct catalog *catalog, const char *path,
					enum entry_type type))
{
	char path[DEPTH * (NAME + 1) + 16];
	size_t size = 0;

	for (unsigned i = 0; i < DEPTH; i++) {
		memset(path + size, 'd', NAME);
		size += NAME;
		path[size] = 0;
		visit(catalog, path, ENTRY_DIRECTORY);
		path[size++] = '/';
	}
	for (unsigned i = 0; i < COUNT; i++) {
		size_t at = i % 2 ? size : size - NAME - 1;

		(void)snprintf(path + at, 16, "f%u", i);
		visit(catalog, path, ENTRY_FILE);
		memset(path + at, 'd', 8);
	}
}

static void put_name(struct catalog *catalog, const char *path, enum entry_type type)
{
	sample_put(catalog, 0, path, type, 1, 1);
}

/* A walk does not enter a folder that has gone: each name is asked for. */
static void check_gone(struct catalog *catalog, const char *path, enum entry_type type)
{
	struct version_row row = { 0 };

	(void)type;
	assert_int_equal(sample_get(catalog, path, VERSION_CURRENT, &row), CATALOG_END);
}

static void more_names_than_fit_in_memory_go_with_their_folders(void **state)
{
	struct sample *sample = *state;
	const struct hash empty = { 0 };

	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	sample_commit(sample->catalog, 0);
	for_each_name(sample->catalog, put_name);
	sample_put(sample->catalog, 0, "z", ENTRY_FILE, 1, 1);
	assert_int_equal(count_current(sample->catalog), DEPTH + COUNT + 1);
	sample_commit(sample->catalog, 1);
	assert_int_equal(salvage_tree(sample->catalog, NULL, 1, &empty, NULL), 0);
	assert_int_equal(count_current(sample->catalog), 0);
	for_each_name(sample->catalog, check_gone);
	assert_int_equal(catalog_commit(sample->catalog, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			more_names_than_fit_in_memory_go_with_their_folders, sample_setup,
			sample_teardown),
	};

	return cmocka_run_group_tests_name("salvage", tests, NULL, NULL);
}
