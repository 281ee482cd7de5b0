/* SPDX-License-Identifier: MIT */
#include "archive/compare.h"

#include "archive/archive.h"
#include "catalog/history.h"
#include "support/commit_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#define FINDINGS_MAX 32

/* A comparison's findings as lines: "changed src/a mtime mode", ... */
struct findings {
	char lines[FINDINGS_MAX][512];
	unsigned count;
	uint64_t lost_offset, lost_size;
};

struct compare_fixture {
	struct commit_fixture commit;
	struct findings findings;
	struct compare_summary summary;
	struct compare_options options;
	struct error err;
};

static const char *kind_name(enum compare_kind kind)
{
	static const char *const names[] = {
		[COMPARE_NEW] = "new",
		[COMPARE_GONE] = "gone",
		[COMPARE_CHANGED] = "changed",
		[COMPARE_LOST] = "lost",
		[COMPARE_UNREADABLE] = "unreadable",
	};

	return names[kind];
}

static void note(void *context, const struct compare_finding *finding)
{
	struct findings *findings = context;
	char *line = findings->lines[findings->count];
	size_t size = sizeof(findings->lines[0]);

	assert_true(findings->count++ < FINDINGS_MAX);
	(void)snprintf(line, size, "%s %s", kind_name(finding->kind), finding->path);
	for (unsigned bit = 0; bit < COMPARE_ATTRIBUTE_COUNT; bit++) {
		size_t used = strlen(line);

		if (finding->attributes & (1u << bit))
			(void)snprintf(line + used, size - used, " %s",
				       compare_attribute_name(bit));
	}
	if (finding->kind == COMPARE_LOST) {
		findings->lost_offset = finding->offset;
		findings->lost_size = finding->size;
	}
	if (finding->kind == COMPARE_UNREADABLE)
		assert_true(finding->err && finding->err->text[0]);
}

static int setup(void **state)
{
	struct compare_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	commit_fixture_init(&f->commit);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct compare_fixture *f = *state;

	commit_fixture_done(&f->commit);
	free(f);
	return 0;
}

/* Compare the entry @path with @disk. */
static int run_with(struct compare_fixture *f, const char *path, const char *disk)
{
	int r;

	f->findings = (struct findings){ 0 };
	f->options.at = VERSION_CURRENT;
	f->options.disk = disk;
	f->options.found = note;
	f->options.context = &f->findings;
	f->options.key = (struct bytes){ 0 };
	if (path[0])
		assert_int_equal(key_from_path(path, &f->options.key, NULL), 0);
	r = compare_run(f->commit.archive, &f->options, &f->summary, &f->err);
	free(f->options.key.data);
	return r;
}

static void run(struct compare_fixture *f)
{
	int r = run_with(f, "src", f->commit.source);

	if (r < 0)
		print_error("%s\n", f->err.text);
	assert_int_equal(r, 0);
}

static void assert_found(const struct compare_fixture *f, const char *const *want)
{
	unsigned count = 0;

	for (; want[count]; count++) {
		if (count >= f->findings.count)
			fail_msg("missing: %s", want[count]);
		assert_string_equal(f->findings.lines[count], want[count]);
	}
	if (count < f->findings.count)
		fail_msg("too much: %s", f->findings.lines[count]);
}
#define ASSERT_FOUND(f, ...) assert_found(f, (const char *[]){ __VA_ARGS__, NULL })

/* Set the folder's time back to @seconds, so that what was done in it is not seen there. */
static void touch(struct compare_fixture *f, const char *name, time_t seconds)
{
	struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };

	assert_int_equal(utimensat(f->commit.fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_tree(struct compare_fixture *f)
{
	source_folder(&f->commit, "a");
	source_folder(&f->commit, "a/b");
	source_text(&f->commit, "a/b/one", "one\n");
	source_text(&f->commit, "a/two", "two\n");
	source_text(&f->commit, "empty", "");
	source_noise(&f->commit, "noise", 700000, 1);
	assert_int_equal(symlinkat("a/two", f->commit.fd, "link"), 0);
	touch(f, "a/b", 1000);
	touch(f, "a", 2000);
	touch(f, ".", 3000);
	commit_fixture_commit(&f->commit);
}

static void what_was_committed_is_the_same(void **state)
{
	struct compare_fixture *f = *state;

	make_tree(f);
	run(f);
	assert_int_equal(f->findings.count, 0);
	assert_int_equal(f->summary.entries, 8);
	assert_int_equal(f->summary.bytes, 0);
	f->options.content = true;
	run(f);
	assert_int_equal(f->findings.count, 0);
	assert_int_equal(f->summary.bytes, 700008);
}

static void names_on_one_side_only_are_found(void **state)
{
	struct compare_fixture *f = *state;

	make_tree(f);
	assert_int_equal(unlinkat(f->commit.fd, "a/b/one", 0), 0);
	assert_int_equal(unlinkat(f->commit.fd, "a/b", AT_REMOVEDIR), 0);
	source_text(&f->commit, "a/new", "");
	source_folder(&f->commit, "z");
	source_text(&f->commit, "z/below", "is not told apart");
	touch(f, "a", 2000);
	touch(f, ".", 3000);
	run(f);
	ASSERT_FOUND(f, "gone src/a/b", "new src/a/new", "new src/z");
	assert_int_equal(f->summary.gone, 1);
	assert_int_equal(f->summary.new_entries, 2);
}

static void a_name_that_took_anothers_place_is_found(void **state)
{
	struct compare_fixture *f = *state;

	make_tree(f);
	assert_int_equal(renameat(f->commit.fd, "a/two", f->commit.fd, "a/three"), 0);
	touch(f, "a", 2000);
	run(f);
	ASSERT_FOUND(f, "gone src/a/two", "new src/a/three");
}

static void attributes_that_differ_are_named(void **state)
{
	struct compare_fixture *f = *state;

	make_tree(f);
	assert_int_equal(fchmodat(f->commit.fd, "a/b", 0711, 0), 0);
	touch(f, "a/two", 5);
	assert_int_equal(unlinkat(f->commit.fd, "link", 0), 0);
	assert_int_equal(symlinkat("elsewhere", f->commit.fd, "link"), 0);
	touch(f, "link", 7);
	assert_int_equal(unlinkat(f->commit.fd, "empty", 0), 0);
	source_folder(&f->commit, "empty");
	touch(f, ".", 3000);
	run(f);
	ASSERT_FOUND(f, "changed src/a/b mode", "changed src/a/two mtime",
		     "changed src/empty type", "changed src/link mtime target");
}

static void xattrs_are_compared_whatever_their_length(void **state)
{
	struct compare_fixture *f = *state;
	char path[128];
	char value[2000];

	(void)snprintf(path, sizeof(path), "%s/noise", f->commit.source);
	memset(value, 'x', sizeof(value));
	make_tree(f);
	if (setxattr(path, "user.long", value, sizeof(value), 0) < 0)
		return; /* not on this file system */
	assert_int_equal(setxattr(path, "user.short", value, 10, 0), 0);
	run(f);
	ASSERT_FOUND(f, "changed src/noise xattrs");
	commit_fixture_commit(&f->commit);
	run(f);
	assert_int_equal(f->findings.count, 0);
	value[1999] = 'y';
	assert_int_equal(setxattr(path, "user.long", value, sizeof(value), 0), 0);
	run(f);
	ASSERT_FOUND(f, "changed src/noise xattrs");
}

/* Change one byte of a file without a trace in its attributes. */
static void change_quietly(struct compare_fixture *f, const char *name, off_t offset)
{
	int fd = openat(f->commit.fd, name, O_RDWR | O_CLOEXEC);
	struct timespec times[2];
	struct stat st;
	char c;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, &c, 1, offset), 1);
	c = (char)(c ^ 1);
	assert_int_equal(pwrite(fd, &c, 1, offset), 1);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(futimens(fd, times), 0);
	assert_int_equal(close(fd), 0);
}

static void only_a_comparison_of_content_sees_a_changed_byte(void **state)
{
	struct compare_fixture *f = *state;

	make_tree(f);
	change_quietly(f, "noise", 699999);
	run(f);
	assert_int_equal(f->findings.count, 0);
	f->options.content = true;
	run(f);
	ASSERT_FOUND(f, "changed src/noise content");
}

static void findings_about_content_come_in_order(void **state)
{
	struct compare_fixture *f = *state;
	char name[16];

	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "f%02u", i);
		source_noise(&f->commit, name, 1000 + 30000 * (i % 3), i);
	}
	commit_fixture_commit(&f->commit);
	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "f%02u", i);
		change_quietly(f, name, 500);
	}
	f->options.content = true;
	run(f);
	assert_int_equal(f->findings.count, 30);
	for (unsigned i = 0; i < 30; i++) {
		char want[64];

		(void)snprintf(want, sizeof(want), "changed src/f%02u content", i);
		assert_string_equal(f->findings.lines[i], want);
	}
}

/* Overwrite the place in the volume where it has byte @offset of source file @name. */
static void damage_content(struct compare_fixture *f, const char *name, off_t offset)
{
	const char *path = archive_fixture_volume(&f->commit.base, 0);
	int source = openat(f->commit.fd, name, O_RDONLY | O_CLOEXEC);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t want[64];
	autofree uint8_t *data = NULL;
	uint8_t *found;
	struct stat st;

	assert_true(source >= 0 && fd >= 0);
	assert_int_equal(pread(source, want, sizeof(want), offset), sizeof(want));
	assert_int_equal(fstat(fd, &st), 0);
	data = malloc((size_t)st.st_size);
	assert_non_null(data);
	assert_int_equal(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
	found = memmem(data, (size_t)st.st_size, want, sizeof(want));
	assert_non_null(found);
	memset(found, 0x55, sizeof(want));
	assert_int_equal(pwrite(fd, found, sizeof(want), found - data), sizeof(want));
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(source), 0);
}

static void lost_content_is_lost_and_not_a_difference(void **state)
{
	struct compare_fixture *f = *state;

	f->commit.options.parity = 0;
	make_tree(f);
	damage_content(f, "noise", 400000);
	commit_fixture_reopen(&f->commit);
	f->options.content = true;
	run(f);
	ASSERT_FOUND(f, "lost src/noise");
	assert_int_equal(f->findings.lost_offset, 262144);
	assert_int_equal(f->findings.lost_size, 262144);
	assert_int_equal(f->summary.lost, 1);
}

static void the_archives_own_folder_is_passed_over(void **state)
{
	struct compare_fixture *f = *state;

	make_tree(f);
	assert_int_equal(run_with(f, "", f->commit.base.parent), 0);
	assert_int_equal(f->findings.count, 0);
}

static void a_single_file_is_compared_under_any_name(void **state)
{
	struct compare_fixture *f = *state;
	char path[128];

	make_tree(f);
	(void)snprintf(path, sizeof(path), "%s/a/b/one", f->commit.source);
	assert_int_equal(run_with(f, "src/a/b/one", path), 0);
	assert_int_equal(f->findings.count, 0);
	assert_int_equal(f->summary.entries, 1);
	(void)snprintf(path, sizeof(path), "%s/a/two", f->commit.source);
	touch(f, "a/two", 5);
	f->options.content = true;
	assert_int_equal(run_with(f, "src/a/b/one", path), 0);
	ASSERT_FOUND(f, "changed src/a/b/one content mtime");
}

static void what_is_not_there_is_an_error(void **state)
{
	struct compare_fixture *f = *state;

	make_tree(f);
	assert_int_equal(run_with(f, "nothing", f->commit.source), -ENOENT);
	assert_int_equal(run_with(f, "src", "/nonexistent/folder"), -ENOENT);
	assert_int_equal(run_with(f, "src", "/nonexistent"), -ENOENT);
}

static void a_comparison_can_be_interrupted(void **state)
{
	struct compare_fixture *f = *state;
	atomic_bool cancel = true;

	make_tree(f);
	f->options.cancel = &cancel;
	f->options.content = true;
	assert_int_equal(run_with(f, "src", f->commit.source), -EINTR);
}

static void folders_deeper_than_open_files_are_compared(void **state)
{
	enum { DEPTH = 1500 };
	struct compare_fixture *f = *state;
	int fd = dup(f->commit.fd);

	assert_true(fd >= 0);
	for (unsigned i = 0; i < DEPTH; i++) {
		int below;

		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		assert_int_equal(close(fd), 0);
		fd = below;
	}
	commit_fixture_commit(&f->commit);
	run(f);
	assert_int_equal(f->findings.count, 0);
	assert_int_equal(f->summary.entries, DEPTH + 1);
	assert_int_equal(mkdirat(fd, "new", 0755), 0);
	run(f);
	assert_int_equal(f->summary.new_entries, 1);
	assert_int_equal(close(fd), 0);
}

/* Sources. */

static void assert_source(struct compare_fixture *f, const char *disk, const char *want)
{
	struct bytes key = { 0 };
	autofree char *path = NULL;
	int r;

	r = compare_find_source(f->commit.archive, VERSION_CURRENT, disk, &key, &f->err);
	if (!want) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(key_to_path(key.data, key.size, &path), 0);
	assert_string_equal(path, want);
	free(key.data);
}

static void the_entry_of_a_source_is_found(void **state)
{
	struct compare_fixture *f = *state;
	char path[128];

	make_tree(f);
	assert_source(f, f->commit.source, "src");
	(void)snprintf(path, sizeof(path), "%s/a/b", f->commit.source);
	assert_source(f, path, "src/a/b");
	(void)snprintf(path, sizeof(path), "%s-other", f->commit.source);
	assert_source(f, path, NULL);
	assert_source(f, f->commit.base.parent, NULL);
	assert_source(f, "/", NULL);
}

static void a_source_in_two_places_is_ambiguous(void **state)
{
	struct compare_fixture *f = *state;
	struct commit_source source = { .path = f->commit.source,
					.destination = "in/other" };
	struct commit_options options = f->commit.options;
	struct bytes key = { 0 };

	make_tree(f);
	options.sources = &source;
	options.source_count = 1;
	assert_int_equal(
		commit_run(f->commit.archive, &options, &f->commit.summary, &f->err), 0);
	assert_int_equal(compare_find_source(f->commit.archive, VERSION_CURRENT,
					     f->commit.source, &key, &f->err),
			 -ENOTUNIQ);
	assert_non_null(strstr(f->err.text, "in/other"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_the_same),
		TEST(names_on_one_side_only_are_found),
		TEST(a_name_that_took_anothers_place_is_found),
		TEST(attributes_that_differ_are_named),
		TEST(xattrs_are_compared_whatever_their_length),
		TEST(only_a_comparison_of_content_sees_a_changed_byte),
		TEST(findings_about_content_come_in_order),
		TEST(lost_content_is_lost_and_not_a_difference),
		TEST(the_archives_own_folder_is_passed_over),
		TEST(a_single_file_is_compared_under_any_name),
		TEST(what_is_not_there_is_an_error),
		TEST(a_comparison_can_be_interrupted),
		TEST(folders_deeper_than_open_files_are_compared),
		TEST(the_entry_of_a_source_is_found),
		TEST(a_source_in_two_places_is_ambiguous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
