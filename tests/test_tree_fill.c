/* SPDX-License-Identifier: MIT */
#include "archive/tree_fill.h"

#include "archive/head.h"
#include "archive/tree_builder.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/entry.h"
#include "catalog/filler.h"
#include "catalog/listing.h"
#include "chunker/skippable.h"
#include "support/source_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMITS 4u /* beside the first */

/* An archive of pages in memory: commit n has folders a to d with files 0 to 299 each, of which
 * file n is missing and the others are at version n where their number divides by n. */
struct world {
	struct source *source;
	char *heads[COMMITS + 1];
	struct hash hashes[COMMITS + 1];
	struct hash id;
	char path[64];
	struct head_chain *chain;
	struct tree_fill *fill;
	struct catalog *catalog; /* the asking one */
	uint64_t current;
	int trouble;   /* what `current` gives */
	bool lies;     /* the supply gives other heads */
	uint64_t most; /* heads that go together; 0: any */
	char *fork;    /* or this one for what comes after the last; owned */
};

static int put_page(void *context, const struct hash *hash, const uint8_t *atom,
		    size_t size, struct error *err)
{
	(void)err;
	return source_memory_put(context, hash, atom + SKIPPABLE_HEADER_SIZE,
				 size - SKIPPABLE_HEADER_SIZE);
}

static uint32_t version_of(unsigned n, unsigned file)
{
	uint32_t version = 1;

	for (unsigned i = 2; i <= n; i++)
		version += file % i == 0;
	return version;
}

static void put_line(struct tree_builder *builder, const char *path, const char *type,
		     uint32_t version)
{
	autotext struct text line = { 0 };
	uint8_t key[64];
	size_t size;

	assert_int_equal(
		text_appendf(
			&line,
			"{\"path\":\"%s\",\"type\":\"%s\",\"version\":%u,\"mode\":420,"
			"\"uid\":0,\"gid\":0,\"mtime\":\"1.000000000\",\"ctime\":"
			"\"1.000000000\",\"inode\":\"1\"%s}",
			path, type, version,
			type[0] == 'f' ? ",\"size\":\"0\",\"hash\":\"af1349b9f5f9a1a6a04"
					 "04dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262\""
				       : ""),
		0);
	assert_int_equal(manifest_decode_key(line.data, line.size, key, &size, NULL), 0);
	assert_int_equal(tree_builder_put(builder, key, size, line.data, line.size, NULL),
			 0);
}

static void make_tree(struct world *w, unsigned n, struct hash *root_out)
{
	const struct tree_sink sink = { put_page, w->source };
	struct tree_builder *builder;
	char path[32];

	assert_int_equal(tree_builder_new(w->source, NULL, &sink, &builder, NULL), 0);
	for (char c = 'a'; c <= 'd'; c++) {
		(void)snprintf(path, sizeof(path), "%c", c);
		put_line(builder, path, "directory", 1);
		for (unsigned file = 0; file < 300; file++) {
			(void)snprintf(path, sizeof(path), "%c/%03u", c, file);
			if (file != n)
				put_line(builder, path, "file", version_of(n, file));
		}
	}
	assert_int_equal(tree_builder_finish(builder, root_out, NULL), 0);
	tree_builder_free(builder);
}

static void make_heads(struct world *w)
{
	for (unsigned n = 0; n <= COMMITS; n++) {
		struct head head = { .sequence = n, .archive_id = w->id };

		if (n > 0) {
			head.previous = w->hashes[n - 1];
			make_tree(w, n, &head.tree);
		}
		assert_int_equal(head_encode(&head, &w->heads[n], NULL), 0);
		w->hashes[n] = head.hash;
		if (n == 0)
			w->id = head.hash;
	}
}

static int get_heads(void *context, uint64_t first, uint64_t last, struct text *lines,
		     struct error *err)
{
	struct world *w = context;

	(void)err;
	if (w->most && last - first >= w->most)
		return -EFBIG;
	for (uint64_t n = first; n <= last; n++) {
		const char *head = n > COMMITS ? w->fork : w->heads[w->lies ? 0 : n];

		if (text_appendf(lines, "%s\n", head) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int current(void *context, uint64_t *sequence_out, struct error *err)
{
	struct world *w = context;

	(void)err;
	*sequence_out = w->current;
	return w->trouble;
}

static int hint_versions(void *context, const char *path, struct text *lines,
			 struct error *err)
{
	(void)context;
	(void)path;
	(void)err;
	return text_append(lines, "1\n2\n3\n4\n");
}

static int hint_names(void *context, const char *path, uint64_t at, struct text *lines,
		      struct error *err)
{
	(void)context;
	(void)path;
	(void)at;
	(void)lines;
	(void)err;
	return 0;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct catalog *catalog;

	*state = w;
	assert_int_equal(source_memory_new(&w->source), 0);
	make_heads(w);
	w->current = COMMITS;
	(void)snprintf(w->path, sizeof(w->path), "/tmp/test-tree-fill-%d.db",
		       (int)getpid());
	assert_int_equal(catalog_create(w->path, &w->id, &catalog, NULL), 0);
	catalog_free(catalog);
	assert_int_equal(head_chain_new(w->path, &w->id, w->heads[COMMITS],
					&(struct head_supply){ get_heads, w }, &w->chain,
					NULL),
			 0);
	assert_int_equal(
		tree_fill_new(&(struct tree_fill_options){ w->path, w->source, w->chain,
							   current, hint_versions,
							   hint_names, w },
			      &w->fill, NULL),
		0);
	assert_int_equal(catalog_open(w->path, &w->catalog, NULL), 0);
	catalog_set_filler(w->catalog, tree_fill_filler(w->fill));
	source_memory_reset(w->source);
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	catalog_free(w->catalog);
	tree_fill_free(w->fill);
	head_chain_free(w->chain);
	source_free(w->source);
	for (unsigned n = 0; n <= COMMITS; n++)
		free(w->heads[n]);
	free(w->fork);
	(void)unlink(w->path);
	free(w);
	return 0;
}

static int get(struct world *w, const char *path, uint64_t at, uint32_t *version_out)
{
	struct version_row row = { 0 };
	struct bytes key;
	int r;

	assert_int_equal(key_from_path(path, &key, NULL), 0);
	r = catalog_get_version(w->catalog, key.data, key.size, at, &row, NULL);
	if (r == 0)
		*version_out = row.version;
	version_row_done(&row);
	free(key.data);
	return r;
}

static void entries_are_what_they_are_at_each_commit(void **state)
{
	struct world *w = *state;
	uint32_t version;

	for (unsigned n = COMMITS; n >= 1; n--) {
		for (unsigned file = 0; file < 300; file += 7) {
			char path[16];

			(void)snprintf(path, sizeof(path), "c/%03u", file);
			if (file == n) {
				assert_int_equal(get(w, path, n, &version), CATALOG_END);
				continue;
			}
			assert_int_equal(get(w, path, n, &version), 0);
			assert_int_equal(version, version_of(n, file));
		}
	}
	assert_int_equal(get(w, "c/004", VERSION_CURRENT, &version), CATALOG_END);
	assert_int_equal(get(w, "c/005", VERSION_CURRENT, &version), 0);
	assert_int_equal(get(w, "c", 0, &version), CATALOG_END);
	assert_int_equal(get(w, "e/005", 4, &version), CATALOG_END);
	assert_int_equal(get(w, "c/005/x", 4, &version), CATALOG_END);
}

static void a_name_costs_the_pages_on_the_way_to_it(void **state)
{
	struct world *w = *state;
	uint32_t version;

	assert_int_equal(get(w, "b/123", VERSION_CURRENT, &version), 0);
	assert_in_range(source_memory_reads(w->source), 2, 6);
	source_memory_reset(w->source);
	assert_int_equal(get(w, "b/123", VERSION_CURRENT, &version), 0);
	assert_int_equal(source_memory_reads(w->source), 0);
}

static unsigned count_children(struct world *w, int64_t folder, uint64_t at)
{
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	unsigned count = 0;
	int r;

	assert_int_equal(listing_children(w->catalog, folder, at, true, &listing, NULL),
			 0);
	while ((r = listing_next(listing, &row, NULL)) == 0)
		count++;
	version_row_done(&row);
	assert_int_equal(r, CATALOG_END);
	return count;
}

static void a_folder_is_listed_without_what_is_in_its_folders(void **state)
{
	const struct bytes name = { (uint8_t *)(uintptr_t) "b", 1 };
	struct world *w = *state;
	struct version_row row = { 0 };

	assert_int_equal(count_children(w, 0, VERSION_CURRENT), 4);
	assert_int_equal(entry_child(w->catalog, 0, &name, VERSION_CURRENT, &row, NULL),
			 0);
	assert_int_equal(count_children(w, row.node, VERSION_CURRENT), 299);
	assert_int_equal(count_children(w, row.node, 2), 299);
	source_memory_reset(w->source);
	assert_int_equal(count_children(w, row.node, VERSION_CURRENT), 299);
	assert_int_equal(source_memory_reads(w->source), 0);
	version_row_done(&row);
}

static void versions_are_found_by_hints_and_proved(void **state)
{
	const uint8_t key[] = "a\0"
			      "012";
	struct world *w = *state;
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	uint32_t expected = 1;

	assert_int_equal(listing_versions(w->catalog, key, 5, &listing, NULL), 0);
	while (listing_next(listing, &row, NULL) == 0)
		assert_int_equal(row.version, expected++);
	version_row_done(&row);
	assert_int_equal(expected, version_of(COMMITS, 12) + 1);
}

static void a_page_that_is_missing_is_an_error_and_not_an_absence(void **state)
{
	struct world *w = *state;
	struct head head;
	uint32_t version;

	assert_int_equal(
		head_decode(w->heads[COMMITS], strlen(w->heads[COMMITS]), &head, NULL),
		0);
	source_memory_remove(w->source, &head.tree);
	head_done(&head);
	assert_int_equal(get(w, "b/123", VERSION_CURRENT, &version), -EBADMSG);
	assert_int_equal(get(w, "nothing", VERSION_CURRENT, &version), -EBADMSG);
	assert_int_equal(get(w, "b/123", 3, &version), 0);
}

static void without_trust_there_is_nothing(void **state)
{
	struct world *w = *state;
	uint32_t version;

	assert_int_equal(get(w, "b/123", VERSION_CURRENT, &version), 0);
	w->trouble = -EIO;
	assert_int_equal(get(w, "b/123", VERSION_CURRENT, &version), -EIO);
	assert_int_equal(get(w, "b/123", 2, &version), -EIO);
	w->trouble = 0;
	assert_int_equal(get(w, "b/123", 2, &version), 0);
}

static void the_chain_is_proved_back_to_the_first_head(void **state)
{
	struct world *w = *state;
	struct hash hash;

	assert_int_equal(head_chain_prove(w->chain, 0, &hash, NULL), 0);
	assert_true(hash_equal(&hash, &w->id));
	assert_int_equal(head_chain_prove(w->chain, 2, &hash, NULL), 0);
	assert_true(hash_equal(&hash, &w->hashes[2]));
}

static void large_heads_are_got_in_smaller_blocks(void **state)
{
	struct world *w = *state;
	struct hash hash;

	w->most = 1;
	assert_int_equal(head_chain_prove(w->chain, 0, &hash, NULL), 0);
	assert_true(hash_equal(&hash, &w->id));
}

static void a_chain_of_other_heads_is_refused(void **state)
{
	struct world *w = *state;
	uint32_t version;

	w->lies = true;
	assert_int_equal(head_chain_prove(w->chain, 0, NULL, NULL), -ESTALE);
	assert_int_equal(get(w, "b/123", 2, &version), -ESTALE);
	assert_int_equal(get(w, "b/123", 4, &version), 0);
	w->lies = false;
	assert_int_equal(get(w, "b/123", 2, &version), 0);
}

static void only_descendants_are_appended(void **state)
{
	struct world *w = *state;
	struct head fork = { .sequence = COMMITS + 1,
			     .archive_id = w->id,
			     .previous = w->hashes[COMMITS - 1] };
	struct head next = fork;
	char *json;

	assert_int_equal(head_chain_append(w->chain, w->heads[COMMITS], NULL), 0);
	assert_int_equal(head_chain_append(w->chain, w->heads[COMMITS - 1], NULL),
			 -ESTALE);
	assert_int_equal(head_encode(&fork, &json, NULL), 0);
	assert_int_equal(head_chain_append(w->chain, json, NULL), -ESTALE);
	assert_int_equal(head_chain_newest(w->chain), COMMITS);
	free(json);
	next.previous = w->hashes[COMMITS];
	assert_int_equal(head_encode(&next, &json, NULL), 0);
	assert_int_equal(head_chain_append(w->chain, json, NULL), 0);
	assert_int_equal(head_chain_newest(w->chain), COMMITS + 1);
	free(json);
}

/* Heads [COMMITS + 1, COMMITS + 2] on top of @below. */
static char *two_heads_above(struct world *w, const struct hash *below)
{
	struct head first = { .sequence = COMMITS + 1,
			      .archive_id = w->id,
			      .previous = *below };
	struct head second = { .sequence = COMMITS + 2, .archive_id = w->id };
	char *json;

	free(w->fork);
	assert_int_equal(head_encode(&first, &w->fork, NULL), 0);
	second.previous = first.hash;
	assert_int_equal(head_encode(&second, &json, NULL), 0);
	return json;
}

static void of_a_fork_nothing_stays(void **state)
{
	struct world *w = *state;
	struct commit_row commit = { 0 };
	char *json;

	json = two_heads_above(w, &w->hashes[COMMITS - 1]);
	assert_int_equal(head_chain_append(w->chain, json, NULL), -ESTALE);
	free(json);
	assert_int_equal(catalog_get_commit(w->catalog, COMMITS + 1, &commit, NULL),
			 CATALOG_END);
	json = two_heads_above(w, &w->hashes[COMMITS]);
	assert_int_equal(head_chain_append(w->chain, json, NULL), 0);
	free(json);
	w->current = COMMITS + 2;
	assert_int_equal(catalog_get_commit(w->catalog, COMMITS + 1, &commit, NULL), 0);
	assert_string_equal(commit.head, w->fork);
	commit_row_done(&commit);
}

static void numbers_of_nodes_follow_from_paths(void **state)
{
	struct world *w = *state;
	const struct bytes name = { (uint8_t *)(uintptr_t) "d", 1 };
	struct version_row row = { 0 };
	int64_t node;
	uint32_t version;

	assert_int_equal(get(w, "a/001", VERSION_CURRENT, &version), 0);
	assert_int_equal(entry_child(w->catalog, 0, &name, VERSION_CURRENT, &row, NULL),
			 0);
	node = row.node;
	version_row_done(&row);
	assert_int_equal(tear_down(state), 0);
	assert_int_equal(set_up(state), 0);
	w = *state;
	assert_int_equal(entry_child(w->catalog, 0, &name, VERSION_CURRENT, &row, NULL),
			 0);
	assert_int_equal(row.node, node);
	version_row_done(&row);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(entries_are_what_they_are_at_each_commit),
		test(a_name_costs_the_pages_on_the_way_to_it),
		test(a_folder_is_listed_without_what_is_in_its_folders),
		test(versions_are_found_by_hints_and_proved),
		test(a_page_that_is_missing_is_an_error_and_not_an_absence),
		test(without_trust_there_is_nothing),
		test(the_chain_is_proved_back_to_the_first_head),
		test(large_heads_are_got_in_smaller_blocks),
		test(a_chain_of_other_heads_is_refused),
		test(only_descendants_are_appended),
		test(of_a_fork_nothing_stays),
		test(numbers_of_nodes_follow_from_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
