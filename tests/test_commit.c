/* SPDX-License-Identifier: MIT */
#include "archive/commit.h"

#include "archive/archive.h"
#include "archive/rebuild.h"
#include "base/budget.h"
#include "base/file.h"
#include "catalog/history.h"
#include "support/commit_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MIB (1024u * 1024u)

static int setup(void **state)
{
	struct commit_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	commit_fixture_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	commit_fixture_done(*state);
	free(*state);
	return 0;
}

static void make_some(struct commit_fixture *f)
{
	source_folder(f, "a");
	source_folder(f, "a/b");
	source_text(f, "a/b/one", "one\n");
	source_text(f, "a/two", "two\n");
	source_text(f, "empty", "");
	source_noise(f, "small", 100000, 1);
	source_noise(f, "medium", 3 * MIB + 17, 2);
	source_noise(f, "large", 40 * MIB + 3, 3);
}

static void a_folder_comes_back_byte_for_byte(void **state)
{
	struct commit_fixture *f = *state;
	const char *names[] = { "a/b/one", "a/two", "empty", "small", "medium", "large" };

	make_some(f);
	f->options.verify = true;
	commit_fixture_commit(f);
	assert_int_equal(f->summary.sequence, 1);
	assert_int_equal(f->summary.new_files, 6);
	assert_int_equal(f->summary.folders, 3);
	assert_int_equal(f->summary.verified_files, 6);
	commit_fixture_reopen(f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "src/%s", names[i]);
		assert_as_source(f, path, names[i]);
	}
}

static void without_a_change_no_commit_is_made(void **state)
{
	struct commit_fixture *f = *state;

	make_some(f);
	commit_fixture_commit(f);
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
	assert_int_equal(f->summary.unchanged_files, 6);
	assert_int_equal(f->summary.read_size, 0);
}

static void an_unchanged_file_that_is_a_source_itself_is_not_read(void **state)
{
	struct commit_fixture *f = *state;
	char path[96];
	struct commit_source source = { .path = path, .destination = "lone", .fd = -1 };

	source_noise(f, "lone", 9 * MIB, 3);
	(void)snprintf(path, sizeof(path), "%s/lone", f->source);
	f->options.sources = &source;
	f->options.source_count = 1;
	assert_int_equal(commit_run(f->archive, &f->options, &f->summary, &f->err), 0);
	assert_true(f->summary.made);
	assert_int_equal(commit_run(f->archive, &f->options, &f->summary, &f->err), 0);
	assert_false(f->summary.made);
	assert_int_equal(f->summary.unchanged_files, 1);
	assert_int_equal(f->summary.read_size, 0);
	f->options.read_all = true;
	assert_int_equal(commit_run(f->archive, &f->options, &f->summary, &f->err), 0);
	assert_int_equal(f->summary.read_size, 9 * MIB);
}

static void reading_everything_again_finds_no_change(void **state)
{
	struct commit_fixture *f = *state;

	make_some(f);
	commit_fixture_commit(f);
	f->options.read_all = true;
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
	assert_int_equal(f->summary.unchanged_files, 6);
	assert_int_equal(f->summary.known_size, f->summary.read_size);
	assert_true(f->summary.read_size > 43 * MIB);
}

static void a_message_makes_a_commit_of_its_own(void **state)
{
	struct commit_fixture *f = *state;
	char key[] = "kind";
	char value[] = "test";
	struct head_tag tag = { key, value };
	struct commit_row row;

	source_text(f, "x", "x");
	commit_fixture_commit(f);
	f->options.message = "nothing new";
	f->options.tags = &tag;
	f->options.tag_count = 1;
	commit_fixture_commit(f);
	assert_int_equal(f->summary.sequence, 2);
	assert_int_equal(
		catalog_get_commit(archive_catalog(f->archive), 2, &row, &f->err), 0);
	assert_non_null(strstr(row.head, "nothing new"));
	assert_non_null(strstr(row.head, "kind"));
	commit_row_done(&row);
}

static void versions_count_changes_also_over_deletions(void **state)
{
	struct commit_fixture *f = *state;

	source_text(f, "x", "1");
	source_text(f, "y", "stays");
	commit_fixture_commit(f);
	source_text(f, "x", "second");
	commit_fixture_commit(f);
	assert_int_equal(f->summary.changed_files, 1);
	assert_int_equal(commit_fixture_version(f, "src/x"), 2);
	assert_int_equal(commit_fixture_version(f, "src/y"), 1);

	assert_int_equal(unlinkat(f->fd, "x", 0), 0);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.deleted_files, 1);
	assert_int_equal(commit_fixture_version(f, "src/x"), 0);

	source_text(f, "x", "again");
	commit_fixture_commit(f);
	assert_int_equal(commit_fixture_version(f, "src/x"), 3);
	assert_content(f, "src/x", "again", 5);
}

static void a_folder_that_goes_takes_everything_in_it_along(void **state)
{
	struct commit_fixture *f = *state;

	make_some(f);
	commit_fixture_commit(f);
	assert_int_equal(unlinkat(f->fd, "a/b/one", 0), 0);
	assert_int_equal(unlinkat(f->fd, "a/two", 0), 0);
	assert_int_equal(unlinkat(f->fd, "a/b", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(f->fd, "a", AT_REMOVEDIR), 0);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.deleted_files, 2);
	assert_int_equal(commit_fixture_version(f, "src/a"), 0);
	assert_int_equal(commit_fixture_version(f, "src/a/b/one"), 0);
	assert_int_equal(commit_fixture_version(f, "src/small"), 1);
}

static void files_and_folders_may_change_places(void **state)
{
	struct commit_fixture *f = *state;

	source_text(f, "x", "file");
	source_folder(f, "y");
	source_text(f, "y/in", "in");
	commit_fixture_commit(f);
	assert_int_equal(unlinkat(f->fd, "x", 0), 0);
	assert_int_equal(unlinkat(f->fd, "y/in", 0), 0);
	assert_int_equal(unlinkat(f->fd, "y", AT_REMOVEDIR), 0);
	source_folder(f, "x");
	source_text(f, "x/in", "in x");
	source_text(f, "y", "now a file");
	commit_fixture_commit(f);
	assert_content(f, "src/x/in", "in x", 4);
	assert_content(f, "src/y", "now a file", 10);
	assert_int_equal(commit_fixture_version(f, "src/y/in"), 0);
	assert_int_equal(commit_fixture_version(f, "src/y"), 2);
}

static void equal_content_is_stored_once(void **state)
{
	struct commit_fixture *f = *state;
	struct manifest a;
	struct manifest b;

	source_noise(f, "a", 100000, 7);
	source_noise(f, "b", 100000, 7);
	source_noise(f, "la", 33 * MIB, 8);
	source_noise(f, "lb", 33 * MIB, 8);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.new_size, 100000 + 33 * MIB);
	assert_int_equal(f->summary.known_size, f->summary.new_size);
	assert_true(f->summary.payload_size < 34 * MIB);
	assert_true(commit_fixture_find(f, "src/a", &a));
	assert_true(commit_fixture_find(f, "src/b", &b));
	assert_true(hash_equal(&a.pack.segment, &b.pack.segment));
	assert_int_equal(a.pack.offset, b.pack.offset);
	manifest_done(&a);
	manifest_done(&b);
	assert_as_source(f, "src/b", "b");
	assert_as_source(f, "src/lb", "lb");

	source_noise(f, "c", 100000, 7);
	source_noise(f, "lc", 33 * MIB, 8);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.new_size, 0);
	assert_true(f->summary.payload_size < 10000);
	assert_as_source(f, "src/c", "c");
	assert_as_source(f, "src/lc", "lc");
}

static void a_change_in_a_large_file_stores_its_piece_alone(void **state)
{
	struct commit_fixture *f = *state;
	int fd;

	source_noise(f, "large", 100 * MIB, 9);
	commit_fixture_commit(f);
	fd = openat(f->fd, "large", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite_full(fd, "changed", 7, 50 * MIB), 0);
	assert_int_equal(close(fd), 0);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.new_size, 32 * MIB);
	assert_int_equal(f->summary.known_size, 68 * MIB);
	assert_as_source(f, "src/large", "large");
}

static void another_source_is_refused_unless_it_replaces(void **state)
{
	struct commit_fixture *f = *state;
	struct commit_source other = { .destination = "src" };
	char path[80];

	source_folder(f, "a");
	source_text(f, "a/x", "x");
	source_text(f, "y", "y");
	commit_fixture_commit(f);

	(void)snprintf(path, sizeof(path), "%s/a", f->source);
	other.path = path;
	f->options.sources = &other;
	f->options.source_count = 1;
	assert_int_equal(commit_fixture_run(f), -EEXIST);
	assert_non_null(strstr(f->err.text, f->source));
	assert_int_equal(commit_fixture_version(f, "src/y"), 1);

	f->options.sources = &other;
	f->options.source_count = 1;
	f->options.replace = true;
	commit_fixture_commit(f);
	assert_int_equal(commit_fixture_version(f, "src/y"), 0);
	assert_content(f, "src/x", "x", 1);
	f->options.replace = false;
	assert_int_equal(commit_fixture_run(f),
			 -EEXIST); /* the first one is the stranger now */
}

static void destinations_get_the_folders_they_need(void **state)
{
	struct commit_fixture *f = *state;
	char a[80];
	char b[80];
	const struct commit_source sources[] = {
		{ .path = b, .destination = "in/deep/b" },
		{ .path = a, .destination = "in/deep/a" },
	};
	struct manifest manifest;

	source_text(f, "a", "a");
	source_text(f, "b", "b");
	(void)snprintf(a, sizeof(a), "%s/a", f->source);
	(void)snprintf(b, sizeof(b), "%s/b", f->source);
	for (int i = 0; i < 2; i++) { /* the second time, they are there */
		f->options.sources = sources;
		f->options.source_count = 2;
		f->options.message = "m";
		commit_fixture_commit(f);
		assert_int_equal(commit_fixture_version(f, "in/deep"), 1);
	}
	assert_content(f, "in/deep/a", "a", 1);
	assert_content(f, "in/deep/b", "b", 1);
	assert_true(commit_fixture_find(f, "in/deep", &manifest));
	assert_int_equal(manifest.type, ENTRY_DIRECTORY);
	assert_int_equal(manifest.mode, 0755);
	manifest_done(&manifest);
}

static void overlapping_destinations_are_refused(void **state)
{
	struct commit_fixture *f = *state;
	const char *pairs[][2] = { { "x", "x" }, { "x", "x/y" }, { "x/y/z", "x" } };

	for (size_t i = 0; i < 3; i++) {
		const struct commit_source sources[] = {
			{ .path = f->source, .destination = pairs[i][0] },
			{ .path = f->source, .destination = pairs[i][1] },
		};

		f->options.sources = sources;
		f->options.source_count = 2;
		assert_int_equal(commit_fixture_run(f), -EINVAL);
	}
}

static void a_source_that_is_not_there_stops_the_commit(void **state)
{
	struct commit_fixture *f = *state;
	const struct commit_source sources[] = {
		{ .path = f->source, .destination = "src" },
		{ .path = "/nonexistent/source", .destination = "other" },
	};

	f->options.sources = sources;
	f->options.source_count = 2;
	assert_int_equal(commit_fixture_run(f), -ENOENT);
	assert_int_equal(commit_fixture_version(f, "src"), 0);
}

static void a_destination_is_named_after_its_source(void **state)
{
	const char *cases[][3] = {
		{ "/usr/share/", NULL, "share" }, { "x", NULL, "x" },
		{ "./x//", "a/b", "a/b/x" },      { "/usr/share/..", NULL, "usr" },
		{ "/", "root", "root" },
	};
	struct error err = { 0 };
	char *destination;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
			commit_destination(cases[i][0], cases[i][1], &destination, &err),
			0);
		assert_string_equal(destination, cases[i][2]);
		free(destination);
	}
	assert_int_equal(commit_destination("/", NULL, &destination, &err), -EINVAL);
	assert_int_equal(commit_destination("x", "a/../b", &destination, &err), -EINVAL);
}

static void excluded_files_end_and_their_versions_stay(void **state)
{
	struct commit_fixture *f = *state;
	char objects[] = "*.o";
	char cached[] = "cache/**";
	char folder[] = "sub/dir";
	char *patterns[] = { objects, cached, folder };

	source_text(f, "a.c", "c");
	source_text(f, "a.o", "o");
	source_folder(f, "cache");
	source_text(f, "cache/x", "x");
	source_folder(f, "sub");
	source_folder(f, "sub/dir");
	source_text(f, "sub/dir/x", "x");
	commit_fixture_commit(f);
	f->options.excludes = patterns;
	f->options.exclude_count = 3;
	commit_fixture_commit(f);
	assert_int_equal(f->summary.deleted_files, 3);
	assert_int_equal(commit_fixture_version(f, "src/a.c"), 1);
	assert_int_equal(commit_fixture_version(f, "src/a.o"), 0);
	assert_int_equal(commit_fixture_version(f, "src/cache"), 1);
	assert_int_equal(commit_fixture_version(f, "src/cache/x"), 0);
	assert_int_equal(commit_fixture_version(f, "src/sub/dir"), 0);
}

static void a_tagged_cache_keeps_its_tag_only(void **state)
{
	struct commit_fixture *f = *state;

	source_folder(f, "real");
	source_text(f, "real/CACHEDIR.TAG",
		    "Signature: 8a477f597d28d172789f06886806bc55\n");
	source_text(f, "real/data", "x");
	source_folder(f, "false");
	source_text(f, "false/CACHEDIR.TAG", "no signature");
	source_text(f, "false/data", "x");
	f->options.exclude_caches = true;
	commit_fixture_commit(f);
	assert_int_equal(commit_fixture_version(f, "src/real/CACHEDIR.TAG"), 1);
	assert_int_equal(commit_fixture_version(f, "src/real/data"), 0);
	assert_int_equal(commit_fixture_version(f, "src/false/data"), 1);
}

static void a_dry_run_counts_and_writes_nothing(void **state)
{
	struct commit_fixture *f = *state;

	make_some(f);
	f->options.dry_run = true;
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
	assert_int_equal(f->summary.new_files, 6);
	assert_true(f->summary.read_size > 43 * MIB);
	assert_int_equal(commit_fixture_version(f, "src"), 0);
}

static void the_archive_leaves_itself_out(void **state)
{
	struct commit_fixture *f = *state;
	const struct commit_source source = { .path = f->base.parent,
					      .destination = "all" };

	source_text(f, "x", "x");
	f->options.sources = &source;
	f->options.source_count = 1;
	commit_fixture_commit(f);
	assert_int_equal(commit_fixture_version(f, "all/src/x"), 1);
	assert_int_equal(commit_fixture_version(f, "all/archive"), 0);
}

static atomic_bool cancel;

static void cancel_now(struct commit_fixture *f)
{
	(void)f;
	atomic_store(&cancel, true);
}

static void an_interrupted_commit_leaves_the_archive_as_it_was(void **state)
{
	struct commit_fixture *f = *state;

	source_text(f, "x", "x");
	commit_fixture_commit(f);
	source_noise(f, "large", 100 * MIB, 4);
	source_text(f, "x", "changed");
	atomic_store(&cancel, false);
	f->options.callbacks.cancel = &cancel;
	f->on_progress = cancel_now;
	assert_int_equal(commit_fixture_run(f), -EINTR);
	assert_int_equal(commit_fixture_version(f, "src/x"), 1);
	assert_int_equal(commit_fixture_version(f, "src/large"), 0);

	f->on_progress = NULL;
	atomic_store(&cancel, false);
	commit_fixture_reopen(f);
	commit_fixture_commit(f);
	assert_as_source(f, "src/large", "large");
	assert_content(f, "src/x", "changed", 7);
}

static void commit_stream(struct commit_fixture *f, const char *name)
{
	struct commit_source source = { .destination = "streams/s" };

	source.fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC);
	assert_true(source.fd >= 0);
	f->options.sources = &source;
	f->options.source_count = 1;
	commit_fixture_commit(f);
	assert_int_equal(close(source.fd), 0);
	assert_as_source(f, "streams/s", name);
}

static void a_stream_of_any_length_becomes_a_file(void **state)
{
	struct commit_fixture *f = *state;
	const size_t sizes[] = { 0,        1,           256 * 1024, 256 * 1024 + 1,
				 5 * MIB,  8 * MIB - 1, 8 * MIB,    32 * MIB,
				 33 * MIB, 64 * MIB };

	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		source_noise(f, "s", sizes[i], i + 100);
		commit_stream(f, "s");
		assert_int_equal(commit_fixture_version(f, "streams/s"), i + 1);
	}
}

static void a_stream_takes_no_folders_place(void **state)
{
	struct commit_fixture *f = *state;
	struct commit_source source = { .fd = 0, .destination = "src" };

	source_text(f, "x", "x");
	commit_fixture_commit(f);
	f->options.sources = &source;
	f->options.source_count = 1;
	f->options.replace = true;
	assert_int_equal(commit_fixture_run(f), -EISDIR);
}

static void a_rebuilt_catalog_is_the_same(void **state)
{
	struct commit_fixture *f = *state;
	struct rebuild_report report;
	char *before;
	char *after;

	make_some(f);
	commit_fixture_commit(f);
	source_text(f, "a/two", "two, changed");
	assert_int_equal(unlinkat(f->fd, "small", 0), 0);
	commit_fixture_commit(f);
	archive_free(f->archive);
	f->archive = NULL;
	before = archive_fixture_dump(&f->base);
	assert_int_equal(archive_fixture_open(&f->base, true, &f->archive), 0);
	assert_int_equal(rebuild_catalog(f->archive, NULL, NULL, &report, &f->err), 0);
	archive_free(f->archive);
	f->archive = NULL;
	after = archive_fixture_dump(&f->base);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void sixty_four_mebibytes_of_memory_suffice(void **state)
{
	struct commit_fixture *f = *state;

	make_some(f);
	f->base.config.limits.memory = 64 * MIB;
	commit_fixture_reopen(f);
	f->options.verify = true;
	commit_fixture_commit(f);
	assert_as_source(f, "src/large", "large");
	assert_int_equal(budget_size(archive_budget(f->archive)), 64 * MIB);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_folder_comes_back_byte_for_byte),
		CASE(without_a_change_no_commit_is_made),
		CASE(an_unchanged_file_that_is_a_source_itself_is_not_read),
		CASE(reading_everything_again_finds_no_change),
		CASE(a_message_makes_a_commit_of_its_own),
		CASE(versions_count_changes_also_over_deletions),
		CASE(a_folder_that_goes_takes_everything_in_it_along),
		CASE(files_and_folders_may_change_places),
		CASE(equal_content_is_stored_once),
		CASE(a_change_in_a_large_file_stores_its_piece_alone),
		CASE(another_source_is_refused_unless_it_replaces),
		CASE(destinations_get_the_folders_they_need),
		CASE(overlapping_destinations_are_refused),
		CASE(a_source_that_is_not_there_stops_the_commit),
		CASE(a_destination_is_named_after_its_source),
		CASE(excluded_files_end_and_their_versions_stay),
		CASE(a_tagged_cache_keeps_its_tag_only),
		CASE(a_dry_run_counts_and_writes_nothing),
		CASE(the_archive_leaves_itself_out),
		CASE(an_interrupted_commit_leaves_the_archive_as_it_was),
		CASE(a_stream_of_any_length_becomes_a_file),
		CASE(a_stream_takes_no_folders_place),
		CASE(a_rebuilt_catalog_is_the_same),
		CASE(sixty_four_mebibytes_of_memory_suffice),
	};

	return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
