/* SPDX-License-Identifier: MIT */
#include "archive/walk.h"

#include "archive/archive.h"
#include "archive/commit_monitor.h"
#include "archive/folder.h"
#include "archive/link_table.h"
#include "archive/source_file.h"
#include "base/text.h"
#include "support/commit_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* A walk over the fixture's source, and what it told. */
struct walked {
	struct commit_fixture *f;
	struct commit_monitor monitor;
	struct walk_options options;
	struct walk_counters counters;
	struct text told; /* a line an entry: + new, ~ changed, - gone, and the path */
	void (*visit)(struct walked *w, const struct walk_entry *entry);
};

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

static void tell(struct walked *w, const struct walk_entry *entry)
{
	autofree char *path = NULL;
	const char *marks = "+~ -";

	assert_int_equal(key_to_path(entry->key, entry->key_size, &path), 0);
	assert_int_equal(text_appendf(&w->told, "%c%s\n", marks[entry->state], path), 0);
	if (w->visit)
		w->visit(w, entry);
}

static void init_walk(struct walked *w, struct commit_fixture *f)
{
	*w = (struct walked){ .f = f };
	w->monitor.callbacks = f->options.callbacks;
	w->options = (struct walk_options){
		.catalog = archive_catalog(f->archive),
		.monitor = &w->monitor,
	};
	f->problem_count = 0;
}

static const char *walk_source(struct walked *w)
{
	const struct source_root root = { .path = w->f->source, .key_size = 3 };
	struct error err = { 0 };
	struct walk_entry entry;
	struct folder *parent;
	struct walk *walk;
	int r;

	assert_int_equal(folder_open(AT_FDCWD, w->f->base.parent, &parent), 0);
	assert_int_equal(walk_new(&w->options, &walk, &err), 0);
	assert_int_equal(
		walk_start(walk, &root, parent, "src", (const uint8_t *)"src", 3, &err),
		0);
	while ((r = walk_next(walk, &entry, &err)) > 0)
		tell(w, &entry);
	assert_int_equal(r, 0);
	w->counters = *walk_counters(walk);
	walk_free(walk);
	return text_string(&w->told);
}

static void entries_come_in_the_order_of_keys(void **state)
{
	struct commit_fixture *f = *state;
	struct walked w;

	init_walk(&w, f);
	source_folder(f, "a");
	source_text(f, "a/z", "");
	source_text(f, "a.b", ""); /* '.' is below '/', but above the key's separator */
	source_text(f, "a-", "");
	source_folder(f, "B");
	source_text(f, "\xff", "");
	assert_string_equal(walk_source(&w), "+src\n+src/B\n+src/a\n+src/a/z\n+src/a-\n"
					     "+src/a.b\n+src/\xff\n");
	text_done(&w.told);
}

static void only_differences_are_told(void **state)
{
	struct commit_fixture *f = *state;
	struct walked w;

	source_folder(f, "d");
	source_text(f, "d/stays", "1");
	source_text(f, "d/changes", "1");
	source_folder(f, "goes");
	source_text(f, "goes/x", "");
	source_text(f, "goes/y", "");
	source_text(f, "turns", "");
	source_folder(f, "folds");
	source_text(f, "folds/in", "");
	commit_fixture_commit(f);

	source_text(f, "d/changes", "two");
	assert_int_equal(unlinkat(f->fd, "goes/x", 0), 0);
	assert_int_equal(unlinkat(f->fd, "goes/y", 0), 0);
	assert_int_equal(unlinkat(f->fd, "goes", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(f->fd, "turns", 0), 0);
	source_folder(f, "turns");
	source_text(f, "turns/new", "");
	assert_int_equal(unlinkat(f->fd, "folds/in", 0), 0);
	assert_int_equal(unlinkat(f->fd, "folds", AT_REMOVEDIR), 0);
	source_text(f, "folds", "");
	init_walk(&w, f);
	assert_string_equal(walk_source(&w),
			    "~src\n~src/d/changes\n~src/folds\n-src/folds/in\n-src/goes\n"
			    "-src/goes/x\n-src/goes/y\n~src/turns\n+src/turns/new\n");
	assert_int_equal(w.counters.unchanged_files, 1);
	assert_int_equal(w.counters.unchanged_bytes, 1);
	assert_int_equal(w.counters.folders, 3);
	text_done(&w.told);
}

static void read_all_tells_every_file(void **state)
{
	struct commit_fixture *f = *state;
	struct walked w;

	source_folder(f, "d");
	source_text(f, "d/x", "");
	assert_int_equal(symlinkat("x", f->fd, "d/s"), 0);
	commit_fixture_commit(f);
	init_walk(&w, f);
	w.options.read_all = true;
	assert_string_equal(walk_source(&w), "~src\n~src/d/x\n");
	text_done(&w.told);
}

static void a_mount_point_is_kept_and_not_entered(void **state)
{
	struct commit_fixture *f = *state;
	const struct commit_source source = { .path = "/dev", .destination = "dev" };
	struct manifest manifest;
	struct stat outer;
	struct stat inner;

	if (stat("/dev", &outer) < 0 || stat("/dev/pts", &inner) < 0 ||
	    outer.st_dev == inner.st_dev || access("/dev/pts/ptmx", F_OK) < 0)
		return; /* no mount point to try it with */
	f->options.one_file_system = true;
	f->options.sources = &source;
	f->options.source_count = 1;
	assert_int_equal(commit_fixture_run(f), 0);
	assert_true(commit_fixture_find(f, "dev/pts", &manifest));
	assert_int_equal(manifest.type, ENTRY_DIRECTORY);
	manifest_done(&manifest);
	assert_int_equal(commit_fixture_version(f, "dev/pts/ptmx"), 0);
	assert_true(commit_fixture_find(f, "dev/null", &manifest));
	assert_int_equal(manifest.type, ENTRY_CHAR);
	manifest_done(&manifest);
}

/* At the bottom of the deep tree, move folder number 20 away, with all that is in it. */
static void move_away(struct walked *w, const struct walk_entry *entry)
{
	char from[64] = "";

	if (strcmp(entry->name, "x") != 0)
		return;
	for (unsigned i = 0; i < 20; i++)
		(void)snprintf(from + strlen(from), 4, i ? "/d" : "d");
	assert_int_equal(renameat(w->f->fd, from, w->f->fd, "moved"), 0);
}

static void a_folder_that_moved_away_is_reported_and_not_ended(void **state)
{
	struct commit_fixture *f = *state;
	struct walked w;
	autotext struct text path = { 0 };

	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(text_append(&path, i ? "/d" : "d"), 0);
		source_folder(f, path.data);
		if (i == 10) {
			assert_int_equal(text_append(&path, "/z"), 0);
			source_text(f, path.data, "");
			text_truncate(&path, path.size - 2);
		}
	}
	assert_int_equal(text_append(&path, "/x"), 0);
	source_text(f, path.data, "");
	init_walk(&w, f);
	w.visit = move_away;
	(void)walk_source(&w);
	/* Folder 19 can't be found from the moved one; it and those around it had nothing
	 * left, but for the one with z. */
	assert_int_equal(w.monitor.problems, 1);
	assert_true(has_problem(f, COMMIT_VANISHED, "d/d"));
	assert_null(strstr(w.told.data, "/z\n"));
	text_done(&w.told);
}

static void links_are_met_until_all_names_were_seen(void **state)
{
	struct stat stat = { .st_dev = 1, .st_ino = 5, .st_nlink = 3 };
	struct link *first = NULL;
	struct link *link;
	struct link_table *table;
	const uint8_t *key = (const uint8_t *)"abc";

	(void)state;
	assert_int_equal(link_table_new(&table), 0);
	assert_int_equal(link_table_meet(table, &stat, key, 1, &link, &first), 0);
	assert_null(link);
	assert_non_null(first);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(link_table_meet(table, &stat, key, 2, &link, NULL), 0);
		assert_ptr_equal(link, first);
		assert_int_equal(link->key.size, 1);
		link_unref(link);
	}
	link_unref(first);
	/* A number that is used again is another inode. */
	assert_int_equal(link_table_meet(table, &stat, key, 3, &link, &first), 0);
	assert_null(link);
	link_unref(first);
	for (ino_t i = 100; i < 5000; i++) {
		stat.st_ino = i;
		assert_int_equal(link_table_meet(table, &stat, key, 3, &link, NULL), 0);
		assert_null(link);
	}
	for (ino_t i = 100; i < 5000; i++) {
		stat.st_ino = i;
		assert_int_equal(link_table_meet(table, &stat, key, 3, &link, NULL), 0);
		assert_non_null(link);
		link_unref(link);
	}
	link_table_free(table);
}

static void only_the_largest_of_many_holes_are_kept(void **state)
{
	struct commit_fixture *f = *state;
	const uint64_t step = 16384;
	const uint64_t count = HOLES_MAX + 1000;
	struct holes holes = { 0 };
	uint64_t total = 0;
	int fd = openat(f->fd, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	/* Data every 16 KiB, every tenth time every 32 KiB. */
	for (uint64_t i = 0; i < count; i++)
		if (i % 10)
			assert_int_equal(pwrite(fd, "x", 1, (off_t)(i * step)), 1);
	assert_int_equal(ftruncate(fd, (off_t)(count * step)), 0);
	assert_int_equal(holes_read(fd, count * step, &holes), 0);
	assert_true(holes.count <= HOLES_MAX);
	for (size_t i = 1; i < holes.count; i++)
		assert_true(holes.items[i - 1].offset + holes.items[i - 1].size <
			    holes.items[i].offset);
	for (size_t i = 0; i < holes.count; i++) {
		total += holes.items[i].size;
		assert_true(holes_contain(&holes, holes.items[i].offset,
					  holes.items[i].size));
		assert_false(holes_contain(&holes, holes.items[i].offset,
					   holes.items[i].size + 1));
	}
	if (holes.count > 0) /* the file system has holes */
		assert_true(total > 0 && holes.count >= count / 10);
	holes_done(&holes);
	assert_int_equal(close(fd), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(entries_come_in_the_order_of_keys),
		CASE(only_differences_are_told),
		CASE(read_all_tells_every_file),
		CASE(a_mount_point_is_kept_and_not_entered),
		CASE(a_folder_that_moved_away_is_reported_and_not_ended),
		CASE(links_are_met_until_all_names_were_seen),
		CASE(only_the_largest_of_many_holes_are_kept),
	};

	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
