/* SPDX-License-Identifier: MIT */
#include "catalog/search.h"

#include "base/error.h"
#include "base/text.h"
#include "catalog/statistics.h"
#include "support/catalog_sample.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static int note_path(void *context, const uint8_t *path, size_t path_size,
		     const struct version_row *row, struct error *err)
{
	autofree char *name = NULL;

	(void)err;
	assert_non_null(row->line);
	assert_int_equal(key_to_path(path, path_size, &name), 0);
	assert_int_equal(text_appendf(context, "%s ", name), 0);
	return 0;
}

static void assert_search(struct catalog *catalog, struct search search, int want_r,
			  const char *want)
{
	autotext struct text found = { 0 };

	assert_int_equal(catalog_search(catalog, &search, note_path, &found, NULL),
			 want_r);
	assert_string_equal(text_string(&found), want);
}

static void searches_find_by_type_size_and_time(void **state)
{
	struct sample *sample = *state;
	struct catalog *catalog = sample->catalog;
	struct search now = { .at = VERSION_CURRENT, .size_max = UINT64_MAX };
	struct search s;

	sample_put(catalog, 1, "d", ENTRY_DIRECTORY, 1, 1);
	sample_put(catalog, 1, "d/empty", ENTRY_FILE, 1, 0);
	sample_put(catalog, 1, "d/large", ENTRY_FILE, 1, 1000);
	sample_put(catalog, 2, "d/large", ENTRY_FILE, 2, 2000);
	sample_put(catalog, 1, "gone", ENTRY_FILE, 1, 500);
	sample_end(catalog, 2, "gone");

	assert_search(catalog, now, 0, "d d/empty d/large ");
	s = now, s.at = 1;
	assert_search(catalog, s, 0, "d d/empty d/large gone ");
	s = now, s.all = true;
	assert_search(catalog, s, 0, "d d/empty d/large d/large gone ");
	s = now, s.type = ENTRY_FILE;
	assert_search(catalog, s, 0, "d/empty d/large ");
	s = now, s.size_max = 1999;
	assert_search(catalog, s, 0, "d/empty ");
	s = now, s.size_min = 1001, s.all = true;
	assert_search(catalog, s, 0, "d/large ");
}

static void searches_find_by_the_beginning_of_a_hash(void **state)
{
	struct sample *sample = *state;
	struct search s = { .at = VERSION_CURRENT, .size_max = UINT64_MAX };
	struct version_row row = { 0 };
	char hex[HASH_HEX_SIZE];

	sample_put(sample->catalog, 1, "a", ENTRY_FILE, 1, 0);
	sample_put(sample->catalog, 1, "b/c", ENTRY_FILE, 1, 1);
	sample_put(sample->catalog, 2, "b/d", ENTRY_FILE, 1, 1);
	sample_put(sample->catalog, 3, "b/c", ENTRY_FILE, 2, 2);
	assert_int_equal(sample_get(sample->catalog, "b/d", 2, &row), 0);
	hash_to_hex(&row.hash, hex);
	version_row_done(&row);

	s.hash = hex;
	assert_search(sample->catalog, s, 0, "b/d ");
	s.all = true;
	assert_search(sample->catalog, s, 0, "b/d b/c ");
	hex[40] = hex[40] == '0' ? '1' : '0'; /* beyond what the index has */
	assert_search(sample->catalog, s, 0, "");
	hex[7] = '\0';
	assert_search(sample->catalog, s, 0, "b/d b/c ");
	hex[0] = '\0';
	assert_search(sample->catalog, s, -EINVAL, "");
	s.hash = "xy";
	assert_search(sample->catalog, s, -EINVAL, "");
}

static void sums_count_content_once(void **state)
{
	struct sample *sample = *state;
	struct catalog_statistics sums = { 0 };

	assert_int_equal(catalog_statistics(sample->catalog, &sums, NULL), 0);
	assert_int_equal(sums.versions, 0);
	sample_commit(sample->catalog, 0);
	sample_put(sample->catalog, 1, "d", ENTRY_DIRECTORY, 1, 1);
	sample_put(sample->catalog, 1, "d/a", ENTRY_FILE, 1, 100);
	sample_put(sample->catalog, 1, "d/b", ENTRY_FILE, 1, 100);
	sample_put(sample->catalog, 1, "d/s", ENTRY_SYMLINK, 1, 1);
	sample_put(sample->catalog, 2, "d/b", ENTRY_FILE, 2, 30);
	sample_end(sample->catalog, 2, "d/a");
	sample_put_volume(sample->catalog, 1);
	sample_put_record(sample->catalog, 1, 0, 2);

	assert_int_equal(catalog_statistics(sample->catalog, &sums, NULL), 0);
	assert_int_equal(sums.commits, 1);
	assert_int_equal(sums.entries[ENTRY_FILE], 1);
	assert_int_equal(sums.entries[ENTRY_DIRECTORY], 1);
	assert_int_equal(sums.entries[ENTRY_SYMLINK], 1);
	assert_int_equal(sums.versions, 5);
	assert_int_equal(sums.current_size, 30);
	assert_int_equal(sums.version_size, 230);
	assert_int_equal(sums.content_size, 130);
	assert_int_equal(sums.segments, 4);
	assert_int_equal(sums.segment_size, 8000);
}

static void sums_that_do_not_fit_are_the_largest_number(void **state)
{
	static const char common[] =
		"\"type\":\"file\",\"version\":1,\"mode\":0,\"uid\":0,\"gid\":0,"
		"\"mtime\":\"0.000000000\",\"ctime\":\"0.000000000\",\"inode\":\"1\","
		"\"size\":\"9223372036854775807\",\"hash\":\"%064d\",\"segment_pages\":[";
	struct sample *sample = *state;
	struct catalog_statistics sums = { 0 };

	/* The list of list pages of such a file would not fit a line; put it directly. */
	for (int i = 1; i <= 3; i++) {
		struct manifest manifest = { .type = ENTRY_FILE,
					     .version = 1,
					     .size = INT64_MAX };
		char line[512];
		uint8_t key = (uint8_t)('a' + i);
		int n = snprintf(line, sizeof(line), "{\"path\":\"%c\",", key);

		(void)snprintf(line + n, sizeof(line) - (size_t)n, common, i);
		manifest.key = (struct bytes){ &key, 1 };
		memset(&manifest.hash, i, sizeof(manifest.hash));
		assert_int_equal(catalog_put_version(sample->catalog, 1, &manifest, line,
						     strlen(line), NULL),
				 0);
	}
	assert_int_equal(catalog_statistics(sample->catalog, &sums, NULL), 0);
	assert_true(sums.version_size == UINT64_MAX);
}

static int stop_at_once(void *context, const uint8_t *path, size_t path_size,
			const struct version_row *row, struct error *err)
{
	(void)path;
	(void)path_size;
	(void)row;
	(void)err;
	++*(int *)context;
	return 5;
}

static void a_visitor_ends_the_search(void **state)
{
	struct search s = { .at = VERSION_CURRENT, .size_max = UINT64_MAX };
	struct sample *sample = *state;
	int count = 0;

	sample_put(sample->catalog, 1, "a", ENTRY_FILE, 1, 0);
	sample_put(sample->catalog, 1, "b", ENTRY_FILE, 1, 0);
	assert_int_equal(catalog_search(sample->catalog, &s, stop_at_once, &count, NULL),
			 5);
	assert_int_equal(count, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, sample_setup, sample_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(searches_find_by_type_size_and_time),
		CASE(searches_find_by_the_beginning_of_a_hash),
		CASE(sums_count_content_once),
		CASE(sums_that_do_not_fit_are_the_largest_number),
		CASE(a_visitor_ends_the_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
