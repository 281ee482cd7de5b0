/* SPDX-License-Identifier: MIT */
/* Entries by the numbers of their nodes. */
#include "catalog/entry.h"

#include "base/error.h"
#include "base/text.h"
#include "catalog/handle.h"
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
#include <sqlite3.h>

static struct bytes name_of(const char *name)
{
	return (struct bytes){ (uint8_t *)(uintptr_t)name, strlen(name) };
}

static int64_t node_of(struct catalog *catalog, int64_t parent, const char *name)
{
	struct bytes bytes = name_of(name);
	int64_t node = -1;

	assert_int_equal(entry_child_node(catalog, parent, &bytes, &node, NULL), 0);
	return node;
}

static void a_child_is_found_as_it_was_at_each_commit(void **state)
{
	struct sample *sample = *state;
	struct bytes name = name_of("file");
	struct version_row row = { 0 };
	int64_t folder, node;

	sample_put(sample->catalog, 1, "a", ENTRY_DIRECTORY, 1, 0);
	sample_put(sample->catalog, 1, "a/file", ENTRY_FILE, 1, 11);
	sample_put(sample->catalog, 3, "a/file", ENTRY_FILE, 2, 12);
	sample_end(sample->catalog, 5, "a/file");
	folder = node_of(sample->catalog, 0, "a");
	node = node_of(sample->catalog, folder, "file");

	assert_int_equal(entry_child(sample->catalog, folder, &name, 0, &row, NULL),
			 CATALOG_END);
	for (uint64_t at = 1; at < 5; at++) {
		assert_int_equal(
			entry_child(sample->catalog, folder, &name, at, &row, NULL), 0);
		assert_int_equal(row.version, at < 3 ? 1 : 2);
		assert_int_equal(row.node, node);
		assert_int_equal(row.parent, folder);
		assert_non_null(row.line);
		version_row_done(&row);
		assert_int_equal(entry_at(sample->catalog, node, at, &row, NULL), 0);
		assert_int_equal(row.version, at < 3 ? 1 : 2);
		version_row_done(&row);
	}
	assert_int_equal(entry_at(sample->catalog, node, 5, &row, NULL), CATALOG_END);
	assert_int_equal(entry_newest(sample->catalog, node, &row, NULL), 0);
	assert_int_equal(row.version, 2);
	assert_int_equal(row.end, 5);
	version_row_done(&row);
}

static void versions_are_found_by_number_whether_alive_or_not(void **state)
{
	struct sample *sample = *state;
	struct version_row row = { 0 };
	int64_t node;

	sample_put(sample->catalog, 1, "f", ENTRY_FILE, 1, 11);
	sample_put(sample->catalog, 2, "f", ENTRY_DIRECTORY, 2, 0);
	sample_put(sample->catalog, 4, "f", ENTRY_FILE, 3, 13);
	node = node_of(sample->catalog, 0, "f");
	for (uint32_t n = 1; n <= 3; n++) {
		assert_int_equal(entry_version(sample->catalog, node, n, &row, NULL), 0);
		assert_int_equal(row.version, n);
		assert_int_equal(row.type, n == 2 ? ENTRY_DIRECTORY : ENTRY_FILE);
		version_row_done(&row);
	}
	assert_int_equal(entry_version(sample->catalog, node, 4, &row, NULL),
			 CATALOG_END);

	/* Folders are no versions that can be read. */
	assert_int_equal(entry_next_version(sample->catalog, node, 0, &row, NULL), 0);
	assert_int_equal(row.version, 1);
	assert_int_equal(entry_next_version(sample->catalog, node, 1, &row, NULL), 0);
	assert_int_equal(row.version, 3);
	assert_int_equal(entry_next_version(sample->catalog, node, 3, &row, NULL),
			 CATALOG_END);
}

static void folders_are_counted_at_a_commit(void **state)
{
	struct sample *sample = *state;
	uint64_t count = 99;

	sample_put(sample->catalog, 1, "a", ENTRY_DIRECTORY, 1, 0);
	sample_put(sample->catalog, 1, "b", ENTRY_FILE, 1, 0);
	sample_put(sample->catalog, 2, "c", ENTRY_DIRECTORY, 1, 0);
	sample_end(sample->catalog, 3, "a");
	for (uint64_t at = 0; at < 4; at++) {
		static const uint64_t expected[] = { 0, 1, 2, 1 };

		assert_int_equal(
			entry_count_folders(sample->catalog, 0, at, 10, &count, NULL), 0);
		assert_int_equal(count, expected[at]);
	}
	assert_int_equal(entry_count_folders(sample->catalog, 0, 2, 1, &count, NULL), 0);
	assert_int_equal(count, 1);

	/* What a commit says twice counts as what it said last. */
	sample_put(sample->catalog, 4, "c", ENTRY_FILE, 2, 0);
	sample_put(sample->catalog, 4, "c", ENTRY_DIRECTORY, 2, 0);
	assert_int_equal(entry_count_folders(sample->catalog, 0, 4, 10, &count, NULL), 0);
	assert_int_equal(count, 1);
	sample_put(sample->catalog, 4, "c", ENTRY_FILE, 2, 0);
	assert_int_equal(entry_count_folders(sample->catalog, 0, 4, 10, &count, NULL), 0);
	assert_int_equal(count, 0);
}

static void a_listing_goes_on_behind_a_name(void **state)
{
	struct sample *sample = *state;
	autoptr(listing) listing = NULL;
	struct bytes after = name_of("b");
	struct version_row row = { 0 };

	sample_put(sample->catalog, 1, "a", ENTRY_FILE, 1, 1);
	sample_put(sample->catalog, 1, "b", ENTRY_FILE, 1, 1);
	sample_put(sample->catalog, 1, "c", ENTRY_FILE, 1, 1);
	sample_put(sample->catalog, 1, "d", ENTRY_FILE, 1, 1);
	sample_end(sample->catalog, 2, "c");

	assert_int_equal(listing_children_after(sample->catalog, 0, VERSION_CURRENT, true,
						&after, &listing, NULL),
			 0);
	assert_int_equal(listing_next(listing, &row, NULL), 0);
	assert_memory_equal(row.name.data, "d", 1);
	assert_int_equal(listing_next(listing, &row, NULL), CATALOG_END);
	listing_free(take_ptr(listing));

	/* Paths that are gone are there too, if asked for. */
	assert_int_equal(listing_paths_after(sample->catalog, 0, &after, &listing, NULL),
			 0);
	assert_int_equal(listing_next(listing, &row, NULL), 0);
	assert_memory_equal(row.name.data, "c", 1);
	assert_int_equal(listing_next(listing, &row, NULL), 0);
	assert_memory_equal(row.name.data, "d", 1);
	assert_int_equal(listing_next(listing, &row, NULL), CATALOG_END);
	version_row_done(&row);
}

/* Put @path as one of the names of an inode, the first of which is @link. */
static void put_link(struct catalog *catalog, uint64_t sequence, const char *path,
		     const char *link, uint64_t inode)
{
	autofree char *plain = sample_line(path, ENTRY_FILE, 1, 7);
	struct manifest manifest = { 0 };
	autotext struct text line = { 0 };

	assert_int_equal(manifest_decode(plain, strlen(plain), &manifest, NULL), 0);
	free(manifest.link.data);
	manifest.link = (struct bytes){ (uint8_t *)strdup(link), strlen(link) };
	manifest.inode = inode;
	assert_int_equal(manifest_encode(&manifest, &line, NULL), 0);
	text_truncate(&line, line.size - 1);
	assert_int_equal(catalog_put_version(catalog, sequence, &manifest, line.data,
					     line.size, NULL),
			 0);
	manifest_done(&manifest);
}

static void the_names_of_a_file_are_counted(void **state)
{
	struct sample *sample = *state;
	struct bytes path = name_of("a");
	uint64_t count = 0;
	int64_t node = 0;
	bool linked;

	put_link(sample->catalog, 1, "a", "a", 77);
	put_link(sample->catalog, 1, "b", "a", 77);
	put_link(sample->catalog, 1, "c", "a", 78); /* another file that had this name */
	put_link(sample->catalog, 1, "d", "d", 77);
	assert_int_equal(entry_links(sample->catalog, &path, 77, VERSION_CURRENT, &count,
				     &node, NULL),
			 0);
	assert_int_equal(count, 2);
	assert_int_equal(node, node_of(sample->catalog, 0, "a"));
	assert_int_equal(entry_is_linked(sample->catalog, node, 1, &linked, NULL), 0);
	assert_true(linked);
	assert_int_equal(entry_is_linked(sample->catalog, node, 2, &linked, NULL), 0);
	assert_false(linked);

	sample_end(sample->catalog, 2, "a");
	assert_int_equal(entry_links(sample->catalog, &path, 77, VERSION_CURRENT, &count,
				     &node, NULL),
			 0);
	assert_int_equal(count, 1);
	assert_int_equal(node, node_of(sample->catalog, 0, "b"));
	assert_int_equal(entry_links(sample->catalog, &path, 77, 1, &count, &node, NULL),
			 0);
	assert_int_equal(count, 2);
}

static void a_version_that_is_replaced_takes_its_link_along(void **state)
{
	struct sample *sample = *state;
	struct bytes path = name_of("a");
	uint64_t count = 0;
	int64_t node = 0;

	put_link(sample->catalog, 1, "a", "a", 77);
	put_link(sample->catalog, 1, "b", "a", 77);
	sample_put(sample->catalog, 1, "b", ENTRY_FILE, 1, 8);
	put_link(sample->catalog, 1, "a", "a", 77);
	assert_int_equal(entry_links(sample->catalog, &path, 77, VERSION_CURRENT, &count,
				     &node, NULL),
			 0);
	assert_int_equal(count, 1);
}

static uint64_t count_links(struct catalog *catalog, uint64_t inode, uint64_t at,
			    int64_t *node_out)
{
	struct bytes path = name_of("link");
	uint64_t count = 99;

	assert_int_equal(entry_links(catalog, &path, inode, at, &count, node_out, NULL),
			 0);
	return count;
}

/* Names come, go, move to another inode and back; what they were is written down. */
static void names_are_counted_as_they_were_at_each_commit(void **state)
{
	enum { NAMES = 6, COMMITS = 60 };
	static int history[COMMITS + 1][NAMES]; /* inode of each name; 0: not there */
	struct sample *sample = *state;
	unsigned random = 7;

	for (int at = 1; at <= COMMITS; at++) {
		memcpy(history[at], history[at - 1], sizeof(history[at]));
		for (int turn = 0; turn < 4; turn++) {
			int n = (int)((random = random * 1103515245u + 12345u) >> 16) %
				NAMES;
			int inode =
				(int)((random = random * 1103515245u + 12345u) >> 16) % 3;
			char name[] = { (char)('a' + n), '\0' };

			if (inode)
				put_link(sample->catalog, (uint64_t)at, name, "link",
					 (uint64_t)inode);
			else if (history[at][n])
				sample_end(sample->catalog, (uint64_t)at, name);
			history[at][n] = inode;
		}
	}
	for (int at = 0; at <= COMMITS; at++) {
		for (int inode = 1; inode <= 2; inode++) {
			int64_t node = -1, lowest = 0;
			uint64_t count = 0;

			for (int n = 0; n < NAMES; n++) {
				char name[] = { (char)('a' + n), '\0' };
				int64_t id;

				if (history[at][n] != inode)
					continue;
				id = node_of(sample->catalog, 0, name);
				if (count++ == 0 || id < lowest)
					lowest = id;
			}
			assert_int_equal(count_links(sample->catalog, (uint64_t)inode,
						     (uint64_t)at, &node),
					 count);
			assert_int_equal(node, lowest);
		}
	}
}

static int count_step(void *context)
{
	++*(uint64_t *)context;
	return 0;
}

static uint64_t steps_to_count(struct catalog *catalog, uint64_t expected)
{
	uint64_t steps = 0;
	int64_t node;

	sqlite3_progress_handler(catalog->db, 1, count_step, &steps);
	assert_int_equal(count_links(catalog, 77, VERSION_CURRENT, &node), expected);
	sqlite3_progress_handler(catalog->db, 0, NULL, NULL);
	return steps;
}

static void counting_many_names_takes_no_more_steps_than_few(void **state)
{
	struct sample *sample = *state;
	char name[16];
	uint64_t few;

	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	put_link(sample->catalog, 1, "a", "link", 77);
	put_link(sample->catalog, 1, "b", "link", 77);
	few = steps_to_count(sample->catalog, 2);
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		put_link(sample->catalog, 2, name, "link", 77);
	}
	assert_true(steps_to_count(sample->catalog, 2002) <= 2 * few);
	assert_int_equal(catalog_commit(sample->catalog, NULL), 0);
}

static void a_damaged_count_of_names_is_found_out(void **state)
{
	struct sample *sample = *state;
	struct bytes path = name_of("link");
	uint64_t count = 0;
	int64_t node = 0;

	put_link(sample->catalog, 1, "a", "link", 77);
	catalog_free(take_ptr(sample->catalog));
	sample_sql(sample, "UPDATE link_group SET count = 2");
	sample_reopen(sample);
	assert_int_equal(entry_links(sample->catalog, &path, 77, VERSION_CURRENT, &count,
				     &node, NULL),
			 -EBADMSG);
}

static int note_change(void *context, const struct version_row *row, struct error *err)
{
	struct text *text = context;

	(void)err;
	assert_int_equal(text_appendf(text, "%.*s%u ", (int)row->name.size,
				      (const char *)row->name.data, row->version),
			 0);
	return 0;
}

static void changes_between_commits_are_those_that_began_or_ended(void **state)
{
	struct sample *sample = *state;
	autotext struct text text = { 0 };

	sample_put(sample->catalog, 1, "a", ENTRY_FILE, 1, 1);
	sample_put(sample->catalog, 1, "b", ENTRY_FILE, 1, 1);
	sample_put(sample->catalog, 2, "a", ENTRY_FILE, 2, 2);
	sample_put(sample->catalog, 3, "c", ENTRY_FILE, 1, 1);
	sample_end(sample->catalog, 3, "b");
	sample_put(sample->catalog, 4, "d", ENTRY_FILE, 1, 1);

	assert_int_equal(
		entry_visit_changes(sample->catalog, 1, 3, note_change, &text, NULL), 0);
	assert_string_equal(text_string(&text), "a2 c1 a1 b1 ");
	text_clear(&text);
	assert_int_equal(entry_visit_changes(sample->catalog, 4, VERSION_CURRENT,
					     note_change, &text, NULL),
			 0);
	assert_string_equal(text_string(&text), "");
}

static void a_number_that_got_mixed_up_is_found_out(void **state)
{
	struct sample *sample = *state;
	struct version_row row = { 0 };
	int64_t a, b;

	sample_put(sample->catalog, 1, "a", ENTRY_FILE, 1, 1);
	sample_put(sample->catalog, 1, "b", ENTRY_FILE, 1, 2);
	a = node_of(sample->catalog, 0, "a");
	b = node_of(sample->catalog, 0, "b");
	sample_sql(sample, "UPDATE version SET node = node + 10");
	sample_reopen(sample);
	assert_int_equal(entry_at(sample->catalog, a + 10, VERSION_CURRENT, &row, NULL),
			 -EBADMSG);
	assert_int_equal(entry_at(sample->catalog, b, VERSION_CURRENT, &row, NULL),
			 CATALOG_END);
}

static void the_generation_stays_with_the_file(void **state)
{
	struct sample *sample = *state;
	uint32_t first = catalog_generation(sample->catalog);
	uint64_t count = 99;

	assert_true(first != 0);
	sample_reopen(sample);
	assert_true(catalog_generation(sample->catalog) == first);
	assert_int_equal(entry_count(sample->catalog, &count, NULL), 0);
	assert_int_equal(count, 0);
	sample_put(sample->catalog, 1, "a/b", ENTRY_FILE, 1, 1);
	assert_int_equal(entry_count(sample->catalog, &count, NULL), 0);
	assert_int_equal(count, 2);
}

#define with_sample(test) \
	cmocka_unit_test_setup_teardown(test, sample_setup, sample_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_sample(a_child_is_found_as_it_was_at_each_commit),
		with_sample(versions_are_found_by_number_whether_alive_or_not),
		with_sample(folders_are_counted_at_a_commit),
		with_sample(a_listing_goes_on_behind_a_name),
		with_sample(the_names_of_a_file_are_counted),
		with_sample(a_version_that_is_replaced_takes_its_link_along),
		with_sample(names_are_counted_as_they_were_at_each_commit),
		with_sample(counting_many_names_takes_no_more_steps_than_few),
		with_sample(a_damaged_count_of_names_is_found_out),
		with_sample(changes_between_commits_are_those_that_began_or_ended),
		with_sample(a_number_that_got_mixed_up_is_found_out),
		with_sample(the_generation_stays_with_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
