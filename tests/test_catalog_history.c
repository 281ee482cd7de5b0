/* SPDX-License-Identifier: MIT */
/* Versions of paths, folders, commits. */
#include "catalog/history.h"

#include "base/error.h"
#include "base/text.h"
#include "catalog/filler.h"
#include "catalog/listing.h"
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

/* Which content @path has at commit @at; -1 if it is not there. */
static int64_t content_at(struct catalog *catalog, const char *path, uint64_t at)
{
	struct version_row row = { 0 };
	int64_t content;
	int r = sample_get(catalog, path, at, &row);

	if (r == CATALOG_END)
		return -1;
	assert_int_equal(r, 0);
	assert_int_equal(strlen(row.line), row.line_size);
	content = row.mtime.seconds - 1700000000;
	version_row_done(&row);
	return content;
}

static uint32_t last_version(struct catalog *catalog, const char *path)
{
	uint32_t version = 99;
	struct bytes key = { 0 };

	assert_int_equal(key_from_path(path, &key, NULL), 0);
	assert_int_equal(
		catalog_last_version(catalog, key.data, key.size, &version, NULL), 0);
	free(key.data);
	return version;
}

static int put(struct catalog *catalog, uint64_t sequence, const char *line)
{
	struct manifest manifest = { 0 };
	int r;

	assert_int_equal(manifest_decode(line, strlen(line), &manifest, NULL), 0);
	r = catalog_put_version(catalog, sequence, &manifest, line, strlen(line), NULL);
	manifest_done(&manifest);
	return r;
}

static int end(struct catalog *catalog, uint64_t sequence, const char *path)
{
	struct bytes key = { 0 };
	int r;

	assert_int_equal(key_from_path(path, &key, NULL), 0);
	r = catalog_end_version(catalog, sequence, key.data, key.size, NULL);
	free(key.data);
	return r;
}

static void all_fields_of_a_version_come_back(void **state)
{
	struct sample *sample = *state;
	autofree char *line = sample_line("a/b/file", ENTRY_FILE, 7, 123);
	struct version_row row = { 0 };
	uint64_t content = 123;
	struct hash hash;

	sample_put(sample->catalog, 5, "a/b/file", ENTRY_FILE, 7, 123);
	assert_int_equal(sample_get(sample->catalog, "a/b/file", VERSION_CURRENT, &row),
			 0);
	hash_bytes(&content, sizeof(content), &hash);
	assert_true(row.node > 0 && row.parent > 0 && row.node != row.parent);
	assert_int_equal(row.name.size, 4);
	assert_memory_equal(row.name.data, "file", 4);
	assert_int_equal(row.first, 5);
	assert_true(row.end == VERSION_CURRENT);
	assert_int_equal(row.version, 7);
	assert_int_equal(row.type, ENTRY_FILE);
	assert_int_equal(row.size, 123);
	assert_true(hash_equal(&row.hash, &hash));
	assert_int_equal(row.mtime.seconds, 1700000123);
	assert_int_equal(row.mtime.nanoseconds, 7);
	assert_int_equal(row.ctime.seconds, -5);
	assert_int_equal(row.ctime.nanoseconds, 123);
	assert_true(row.inode == UINT64_MAX - 123);
	assert_string_equal(row.line, line);
	version_row_done(&row);

	/* Folders on the way have no version of their own. */
	assert_int_equal(content_at(sample->catalog, "a/b", VERSION_CURRENT), -1);
}

static int see(struct catalog *catalog, uint64_t commit, const char *path,
	       uint32_t version, struct error *err)
{
	autofree char *line = sample_line(path, ENTRY_FILE, version, version);
	struct manifest manifest = { 0 };
	int r;

	assert_int_equal(manifest_decode(line, strlen(line), &manifest, NULL), 0);
	r = catalog_put_seen(catalog, commit, &manifest, line, strlen(line), err);
	manifest_done(&manifest);
	return r;
}

static void a_version_that_was_seen_is_not_seen_around_another(void **state)
{
	struct sample *sample = *state;
	struct error err = { 0 };

	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	assert_int_equal(see(sample->catalog, 2, "f", 1, NULL), 0);
	assert_int_equal(see(sample->catalog, 4, "f", 1, NULL), 0);
	assert_int_equal(see(sample->catalog, 6, "f", 2, NULL), 0);
	assert_int_equal(see(sample->catalog, 8, "f", 1, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "came back"));
	assert_int_equal(see(sample->catalog, 3, "f", 3, NULL), -EBADMSG);
	assert_int_equal(see(sample->catalog, 1, "f", 2, NULL), -EBADMSG);
	assert_int_equal(see(sample->catalog, 1, "f", 1, NULL), 0);
	assert_int_equal(see(sample->catalog, 9, "f", 2, NULL), 0);
	assert_int_equal(catalog_commit(sample->catalog, NULL), 0);
	for (uint64_t at = 1; at <= 9; at++)
		assert_int_equal(content_at(sample->catalog, "f", at), at < 5    ? 1
								       : at == 5 ? -1
										 : 2);
}

static void versions_are_found_at_every_commit(void **state)
{
	struct sample *sample = *state;
	static const int64_t want[] = { -1, 10, 10, 11, -1, -1, 12, 12 };

	sample_put(sample->catalog, 1, "f", ENTRY_FILE, 1, 10);
	sample_put(sample->catalog, 3, "f", ENTRY_FILE, 2, 11);
	sample_end(sample->catalog, 4, "f");
	assert_int_equal(content_at(sample->catalog, "f", VERSION_CURRENT), -1);
	assert_int_equal(last_version(sample->catalog, "f"), 2);
	sample_put(sample->catalog, 6, "f", ENTRY_FILE, 3, 12);
	for (uint64_t at = 0; at < sizeof(want) / sizeof(want[0]); at++)
		assert_int_equal(content_at(sample->catalog, "f", at), want[at]);
	assert_int_equal(content_at(sample->catalog, "f", VERSION_CURRENT), 12);
	assert_int_equal(content_at(sample->catalog, "f", VERSION_CURRENT - 1), 12);
	assert_int_equal(last_version(sample->catalog, "f"), 3);
	assert_int_equal(last_version(sample->catalog, "g"), 0);
}

static void names_that_are_prefixes_are_different_paths(void **state)
{
	struct sample *sample = *state;

	sample_put(sample->catalog, 1, "a", ENTRY_DIRECTORY, 1, 1);
	sample_put(sample->catalog, 1, "a/b", ENTRY_FILE, 1, 2);
	sample_put(sample->catalog, 1, "ab", ENTRY_FILE, 1, 3);
	sample_put(sample->catalog, 1, "a!", ENTRY_FILE, 1, 4);
	sample_put(sample->catalog, 1, "b", ENTRY_FILE, 1, 5);
	assert_int_equal(content_at(sample->catalog, "a", 1), 1);
	assert_int_equal(content_at(sample->catalog, "a/b", 1), 2);
	assert_int_equal(content_at(sample->catalog, "ab", 1), 3);
	assert_int_equal(content_at(sample->catalog, "a!", 1), 4);
	assert_int_equal(content_at(sample->catalog, "b", 1), 5);
	assert_int_equal(content_at(sample->catalog, "b/b", 1), -1);
	assert_int_equal(content_at(sample->catalog, "A", 1), -1);
}

static void within_a_commit_the_last_word_counts(void **state)
{
	struct sample *sample = *state;
	struct catalog *catalog = sample->catalog;
	autofree char *before = NULL, *after = NULL;

	sample_put(catalog, 1, "f", ENTRY_FILE, 1, 10);
	sample_put(catalog, 1, "f", ENTRY_FILE, 1, 11);
	assert_int_equal(content_at(catalog, "f", 1), 11);
	before = sample_dump(catalog);
	sample_put(catalog, 1, "g", ENTRY_FILE, 1, 12);
	sample_end(catalog, 1, "g");
	assert_int_equal(content_at(catalog, "g", VERSION_CURRENT), -1);
	assert_int_equal(last_version(catalog, "g"), 0);
	after = sample_dump(catalog);
	assert_string_equal(before, after);

	sample_end(catalog, 2, "f");
	sample_put(catalog, 2, "f", ENTRY_FILE, 2, 13);
	assert_int_equal(content_at(catalog, "f", 1), 11);
	assert_int_equal(content_at(catalog, "f", 2), 13);
}

static void commits_that_come_too_late_are_refused(void **state)
{
	struct sample *sample = *state;
	autofree char *line = sample_line("f", ENTRY_FILE, 3, 30);

	sample_put(sample->catalog, 2, "f", ENTRY_FILE, 1, 10);
	assert_int_equal(put(sample->catalog, 1, line), -EINVAL);
	assert_int_equal(end(sample->catalog, 1, "f"), -EINVAL);
	sample_end(sample->catalog, 5, "f");
	assert_int_equal(put(sample->catalog, 4, line), -EINVAL);
	assert_int_equal(put(sample->catalog, VERSION_CURRENT, line), -EINVAL);
	assert_int_equal(put(sample->catalog, 5, line), 0);
}

static void what_is_not_there_cannot_end(void **state)
{
	struct sample *sample = *state;

	sample_put(sample->catalog, 1, "a/f", ENTRY_FILE, 1, 10);
	assert_int_equal(end(sample->catalog, 2, "a"), -ENOENT);
	assert_int_equal(end(sample->catalog, 2, "b"), -ENOENT);
	assert_int_equal(end(sample->catalog, 2, "a/f"), 0);
	assert_int_equal(end(sample->catalog, 3, "a/f"), -ENOENT);
}

static void lines_of_other_manifests_are_refused(void **state)
{
	struct sample *sample = *state;
	autofree char *line = sample_line("f", ENTRY_FILE, 1, 10);
	autofree char *other = sample_line("g", ENTRY_FILE, 1, 10);
	struct manifest manifest = { 0 };

	assert_int_equal(manifest_decode(line, strlen(line), &manifest, NULL), 0);
	assert_int_equal(catalog_put_version(sample->catalog, 1, &manifest, other,
					     strlen(other), NULL),
			 -EINVAL);
	manifest_done(&manifest);
}

static void the_newest_copy_of_content_is_found(void **state)
{
	struct sample *sample = *state;
	struct version_row row = { 0 };
	uint64_t content = 77;
	struct hash hash;

	hash_bytes(&content, sizeof(content), &hash);
	assert_int_equal(catalog_find_content(sample->catalog, &hash, 77, &row, NULL),
			 CATALOG_END);
	sample_put(sample->catalog, 1, "a/old", ENTRY_FILE, 1, 77);
	sample_put(sample->catalog, 2, "b/new", ENTRY_FILE, 4, 77);
	sample_put(sample->catalog, 1, "c/other", ENTRY_FILE, 1, 78);
	sample_end(sample->catalog, 3, "b/new");
	assert_int_equal(catalog_find_content(sample->catalog, &hash, 77, &row, NULL), 0);
	assert_memory_equal(row.name.data, "new", 3);
	assert_int_equal(row.version, 4);
	assert_int_equal(row.end, 3);
	assert_non_null(row.line);
	version_row_done(&row);
	assert_int_equal(catalog_find_content(sample->catalog, &hash, 76, &row, NULL),
			 CATALOG_END);
}

/* The names in a folder, joined by spaces. */
static char *list(struct catalog *catalog, int64_t parent, uint64_t at, bool with_lines)
{
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	struct text names = { 0 };
	int r;

	assert_int_equal(
		listing_children(catalog, parent, at, with_lines, &listing, NULL), 0);
	assert_int_equal(text_append(&names, ""), 0);
	while ((r = listing_next(listing, &row, NULL)) == 0) {
		assert_int_equal(row.parent, parent);
		assert_int_equal(row.line != NULL, with_lines);
		assert_int_equal(text_append_bytes(&names, row.name.data, row.name.size),
				 0);
		assert_int_equal(text_append_char(&names, ' '), 0);
	}
	assert_int_equal(r, CATALOG_END);
	version_row_done(&row);
	return text_take(&names);
}

static void assert_list(struct catalog *catalog, int64_t parent, uint64_t at,
			const char *want)
{
	autofree char *plain = list(catalog, parent, at, false);
	autofree char *lines = list(catalog, parent, at, true);

	assert_string_equal(plain, want);
	assert_string_equal(lines, want);
}

static void folders_list_what_was_alive_in_order(void **state)
{
	struct sample *sample = *state;
	struct catalog *catalog = sample->catalog;
	struct version_row folder = { 0 };

	sample_put(catalog, 1, "d/b", ENTRY_FILE, 1, 1);
	sample_put(catalog, 1, "d", ENTRY_DIRECTORY, 1, 1);
	sample_put(catalog, 1, "d/aa", ENTRY_FILE, 1, 1);
	sample_put(catalog, 1, "d/a/deep", ENTRY_FILE, 1, 1);
	sample_put(catalog, 2, "d/a", ENTRY_DIRECTORY, 1, 1);
	sample_put(catalog, 2, "d/\xff", ENTRY_FILE, 1, 1);
	sample_put(catalog, 2, "d/b", ENTRY_FILE, 2, 2);
	sample_end(catalog, 3, "d/aa");
	assert_int_equal(sample_get(catalog, "d", VERSION_CURRENT, &folder), 0);

	assert_list(catalog, 0, 0, "");
	assert_list(catalog, 0, 1, "d ");
	assert_list(catalog, folder.node, 1, "aa b ");
	assert_list(catalog, folder.node, 2, "a aa b \xff ");
	assert_list(catalog, folder.node, 3, "a b \xff ");
	assert_list(catalog, folder.node, VERSION_CURRENT, "a b \xff ");
	assert_list(catalog, 4711, VERSION_CURRENT, "");
	version_row_done(&folder);
}

static void all_versions_of_a_path_are_listed(void **state)
{
	struct sample *sample = *state;
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };

	sample_put(sample->catalog, 1, "f", ENTRY_FILE, 1, 10);
	sample_put(sample->catalog, 2, "f", ENTRY_FILE, 2, 11);
	sample_end(sample->catalog, 3, "f");
	assert_int_equal(listing_versions(sample->catalog, (const uint8_t *)"f", 1,
					  &listing, NULL),
			 0);
	assert_int_equal(listing_next(listing, &row, NULL), 0);
	assert_int_equal(row.version, 1);
	assert_int_equal(row.end, 2);
	assert_int_equal(listing_next(listing, &row, NULL), 0);
	assert_int_equal(row.version, 2);
	assert_int_equal(row.end, 3);
	assert_non_null(row.line);
	assert_int_equal(listing_next(listing, &row, NULL), CATALOG_END);
	listing_free(take_ptr(listing));

	assert_int_equal(listing_versions(sample->catalog, (const uint8_t *)"g", 1,
					  &listing, NULL),
			 0);
	assert_int_equal(listing_next(listing, &row, NULL), CATALOG_END);
	version_row_done(&row);
}

struct trace {
	struct text text;
	const char *skip;
	const char *stop;
};

static int trace_path(void *context, const uint8_t *path, size_t path_size,
		      const struct version_row *row, struct error *err)
{
	struct trace *trace = context;
	autofree char *name = NULL;

	(void)err;
	assert_non_null(row->line);
	assert_int_equal(key_to_path(path, path_size, &name), 0);
	assert_int_equal(text_appendf(&trace->text, "%s ", name), 0);
	if (trace->stop && strcmp(name, trace->stop) == 0)
		return -ECANCELED;
	return trace->skip && strcmp(name, trace->skip) == 0 ? WALK_SKIP : 0;
}

static void assert_walk(struct catalog *catalog, const char *path, uint64_t at,
			struct trace trace, int want_r, const char *want)
{
	struct bytes key = { 0 };

	if (*path)
		assert_int_equal(key_from_path(path, &key, NULL), 0);
	assert_int_equal(
		catalog_walk(catalog, key.data, key.size, at, trace_path, &trace, NULL),
		want_r);
	assert_string_equal(text_string(&trace.text), want);
	text_done(&trace.text);
	free(key.data);
}

static void walks_go_in_the_order_of_keys(void **state)
{
	struct sample *sample = *state;
	struct catalog *catalog = sample->catalog;
	struct trace none = { 0 };

	assert_walk(catalog, "", VERSION_CURRENT, none, 0, "");
	sample_put(catalog, 1, "a", ENTRY_DIRECTORY, 1, 1);
	sample_put(catalog, 1, "a!", ENTRY_FILE, 1, 1);
	sample_put(catalog, 1, "a/b", ENTRY_DIRECTORY, 1, 1);
	sample_put(catalog, 1, "a/b/c", ENTRY_SYMLINK, 1, 1);
	sample_put(catalog, 1, "a/d", ENTRY_FILE, 1, 1);
	sample_put(catalog, 2, "e", ENTRY_FILE, 1, 1);

	assert_walk(catalog, "", VERSION_CURRENT, none, 0, "a a/b a/b/c a/d a! e ");
	assert_walk(catalog, "", 1, none, 0, "a a/b a/b/c a/d a! ");
	assert_walk(catalog, "", 0, none, 0, "");
	assert_walk(catalog, "a/b", VERSION_CURRENT, none, 0, "a/b a/b/c ");
	assert_walk(catalog, "a/d", VERSION_CURRENT, none, 0, "a/d ");
	assert_walk(catalog, "z", VERSION_CURRENT, none, -ENOENT, "");
	assert_walk(catalog, "", 1, (struct trace){ .skip = "a/b" }, 0, "a a/b a/d a! ");
	assert_walk(catalog, "a", 1, (struct trace){ .skip = "a" }, 0, "a ");
	assert_walk(catalog, "", 1, (struct trace){ .stop = "a/b/c" }, -ECANCELED,
		    "a a/b a/b/c ");
}

static void the_deepest_tree_can_be_walked(void **state)
{
	struct sample *sample = *state;
	struct trace trace = { 0 };
	char path[MANIFEST_KEY_MAX + 1];
	size_t count = 0;

	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	for (size_t size = 1; size < MANIFEST_KEY_MAX; size += 2) {
		memset(path, '/', size);
		for (size_t i = 0; i < size; i += 2)
			path[i] = 'd';
		path[size] = '\0';
		sample_put(sample->catalog, 1, path, ENTRY_DIRECTORY, 1, 1);
		count++;
	}
	assert_int_equal(catalog_commit(sample->catalog, NULL), 0);
	assert_int_equal(catalog_walk(sample->catalog, NULL, 0, VERSION_CURRENT,
				      trace_path, &trace, NULL),
			 0);
	assert_int_equal(trace.text.size, count * (count + 1));
	text_done(&trace.text);
	free(sample_dump(sample->catalog));
}

static void commits_are_found_by_number_and_hash(void **state)
{
	struct sample *sample = *state;
	struct commit_row row = { 0 }, found = { 0 };
	char hex[HASH_HEX_SIZE];

	assert_int_equal(catalog_get_commit(sample->catalog, VERSION_CURRENT, &row, NULL),
			 CATALOG_END);
	for (uint64_t i = 0; i < 5; i++)
		sample_commit(sample->catalog, (i * 3) % 5);
	assert_int_equal(catalog_get_commit(sample->catalog, VERSION_CURRENT, &row, NULL),
			 0);
	assert_int_equal(row.sequence, 4);
	commit_row_done(&row);
	assert_int_equal(catalog_get_commit(sample->catalog, 5, &row, NULL), CATALOG_END);
	assert_int_equal(catalog_get_commit(sample->catalog, 3, &row, NULL), 0);
	assert_string_equal(row.head, "{\"sequence\":\"3\"}");

	hash_to_hex(&row.hash, hex);
	assert_int_equal(catalog_find_commit(sample->catalog, hex, &found, NULL), 0);
	assert_int_equal(found.sequence, 3);
	commit_row_done(&found);
	hex[8] = '\0';
	assert_int_equal(catalog_find_commit(sample->catalog, hex, &found, NULL), 0);
	commit_row_done(&found);
	hex[3] = '\0';
	assert_int_equal(catalog_find_commit(sample->catalog, hex, &found, NULL),
			 -EINVAL);
	assert_int_equal(catalog_find_commit(sample->catalog, "00x00", &found, NULL),
			 -EINVAL);
	assert_int_equal(catalog_find_commit(sample->catalog, "0000000000", &found, NULL),
			 CATALOG_END);
	row.hash.bytes[31] ^= 1;
	assert_int_equal(catalog_put_commit(sample->catalog, 9, &row.hash, "{}", NULL),
			 0);
	hash_to_hex(&row.hash, hex);
	hex[60] = '\0';
	assert_int_equal(catalog_find_commit(sample->catalog, hex, &found, NULL),
			 -EINVAL);
	commit_row_done(&row);
}

static int note_commit(void *context, const struct commit_row *commit)
{
	uint64_t *expected = context;

	assert_int_equal(commit->sequence, *expected);
	--*expected;
	return commit->sequence == 2 ? 42 : 0;
}

static void commits_are_visited_newest_first(void **state)
{
	struct sample *sample = *state;
	uint64_t expected = 4;

	for (uint64_t i = 0; i < 5; i++)
		sample_commit(sample->catalog, i);
	assert_int_equal(
		catalog_visit_commits(sample->catalog, note_commit, &expected, NULL), 42);
	assert_int_equal(expected, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, sample_setup, sample_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(all_fields_of_a_version_come_back),
		CASE(a_version_that_was_seen_is_not_seen_around_another),
		CASE(versions_are_found_at_every_commit),
		CASE(names_that_are_prefixes_are_different_paths),
		CASE(within_a_commit_the_last_word_counts),
		CASE(commits_that_come_too_late_are_refused),
		CASE(what_is_not_there_cannot_end),
		CASE(lines_of_other_manifests_are_refused),
		CASE(the_newest_copy_of_content_is_found),
		CASE(folders_list_what_was_alive_in_order),
		CASE(all_versions_of_a_path_are_listed),
		CASE(walks_go_in_the_order_of_keys),
		CASE(the_deepest_tree_can_be_walked),
		CASE(commits_are_found_by_number_and_hash),
		CASE(commits_are_visited_newest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
