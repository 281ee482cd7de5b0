/* SPDX-License-Identifier: MIT */
#include "archive/archive.h"
#include "archive/commit.h"
#include "base/file.h"
#include "support/commit_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

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

static void attributes_are_kept_to_the_nanosecond(void **state)
{
	struct commit_fixture *f = *state;
	const struct timespec times[2] = { { 1, 1 }, { -12, 1 } };
	struct manifest manifest;
	struct stat stat;

	source_text(f, "x", "x");
	assert_int_equal(fchmodat(f->fd, "x", 04751, 0), 0);
	assert_int_equal(utimensat(f->fd, "x", times, 0), 0);
	commit_fixture_commit(f);
	assert_int_equal(fstatat(f->fd, "x", &stat, 0), 0);
	assert_true(commit_fixture_find(f, "src/x", &manifest));
	assert_int_equal(manifest.mode, stat.st_mode & 07777);
	assert_int_equal(manifest.uid, stat.st_uid);
	assert_int_equal(manifest.gid, stat.st_gid);
	assert_int_equal(manifest.inode, stat.st_ino);
	assert_int_equal(manifest.mtime.seconds, stat.st_mtim.tv_sec);
	assert_int_equal(manifest.mtime.nanoseconds, stat.st_mtim.tv_nsec);
	assert_int_equal(manifest.ctime.seconds, stat.st_ctim.tv_sec);
	assert_int_equal(manifest.ctime.nanoseconds, stat.st_ctim.tv_nsec);
	manifest_done(&manifest);
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
}

static void a_changed_mode_is_a_new_version_of_known_content(void **state)
{
	struct commit_fixture *f = *state;

	source_noise(f, "x", 50000, 1);
	commit_fixture_commit(f);
	assert_int_equal(fchmodat(f->fd, "x", 0600, 0), 0);
	commit_fixture_commit(f);
	assert_int_equal(commit_fixture_version(f, "src/x"), 2);
	assert_int_equal(f->summary.new_size, 0);
	assert_int_equal(f->summary.known_size, 50000);
}

static void make_socket(struct commit_fixture *f, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", f->source,
		       name);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(close(fd), 0);
}

static void expect_type(struct commit_fixture *f, const char *path, enum entry_type type)
{
	struct manifest manifest;

	assert_true(commit_fixture_find(f, path, &manifest));
	assert_int_equal(manifest.type, type);
	manifest_done(&manifest);
}

static void everything_that_is_no_file_is_kept(void **state)
{
	struct commit_fixture *f = *state;
	struct manifest manifest;
	bool devices;

	assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
	make_socket(f, "socket");
	assert_int_equal(symlinkat("no/where", f->fd, "link"), 0);
	devices = mknodat(f->fd, "null", S_IFCHR | 0666, makedev(1, 3)) == 0 &&
		  mknodat(f->fd, "block", S_IFBLK | 0600, makedev(7, 200)) == 0;
	commit_fixture_commit(f);
	expect_type(f, "src/fifo", ENTRY_FIFO);
	expect_type(f, "src/socket", ENTRY_SOCKET);
	assert_true(commit_fixture_find(f, "src/link", &manifest));
	assert_int_equal(manifest.type, ENTRY_SYMLINK);
	assert_int_equal(manifest.target.size, 8);
	assert_memory_equal(manifest.target.data, "no/where", 8);
	manifest_done(&manifest);
	if (devices) { /* root may make them */
		assert_true(commit_fixture_find(f, "src/null", &manifest));
		assert_int_equal(manifest.type, ENTRY_CHAR);
		assert_int_equal(manifest.device, makedev(1, 3));
		manifest_done(&manifest);
		expect_type(f, "src/block", ENTRY_BLOCK);
	}
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
}

static void expect_link(struct commit_fixture *f, const char *path, const char *link)
{
	struct manifest manifest;

	assert_true(commit_fixture_find(f, path, &manifest));
	assert_int_equal(manifest.link.size, strlen(link));
	if (*link)
		assert_memory_equal(manifest.link.data, link, manifest.link.size);
	manifest_done(&manifest);
}

static void hard_links_are_stored_once_and_know_each_other(void **state)
{
	struct commit_fixture *f = *state;

	source_folder(f, "d");
	source_noise(f, "d/first", 9 * MIB, 5);
	source_text(f, "alone", "alone");
	assert_int_equal(linkat(f->fd, "d/first", f->fd, "second", 0), 0);
	assert_int_equal(linkat(f->fd, "d/first", f->fd, "third", 0), 0);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.read_size, 9 * MIB + 5);
	assert_int_equal(f->summary.new_files, 4);
	expect_link(f, "src/d/first", "src/d/first");
	expect_link(f, "src/second", "src/d/first");
	expect_link(f, "src/third", "src/d/first");
	expect_link(f, "src/alone", "");
	assert_as_source(f, "src/third", "third");
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);

	assert_int_equal(unlinkat(f->fd, "d/first", 0), 0);
	commit_fixture_commit(f);
	expect_link(f, "src/second", "src/second");
	expect_link(f, "src/third", "src/second");
	assert_int_equal(f->summary.new_size, 0);
	assert_int_equal(unlinkat(f->fd, "third", 0), 0);
	commit_fixture_commit(f);
	expect_link(f, "src/second", "");
}

static void hard_links_share_their_long_attributes(void **state)
{
	struct commit_fixture *f = *state;
	uint8_t value[2000];
	struct manifest manifest;
	char path[80];

	fill_noise(value, sizeof(value), 1);
	source_text(f, "first", "x");
	(void)snprintf(path, sizeof(path), "%s/first", f->source);
	if (setxattr(path, "user.long", value, sizeof(value), 0) < 0)
		return; /* this file system has none */
	assert_int_equal(linkat(f->fd, "first", f->fd, "second", 0), 0);
	commit_fixture_commit(f);
	assert_true(commit_fixture_find(f, "src/second", &manifest));
	assert_int_equal(manifest.xattr_count, 1);
	assert_int_equal(manifest.xattrs[0].size, sizeof(value));
	manifest_done(&manifest);
}

static void holes_are_kept_as_holes(void **state)
{
	struct commit_fixture *f = *state;
	const size_t size = 50 * MIB + 5; /* the last frame is a short hole */
	autofree uint8_t *expected = calloc(1, size);
	struct manifest manifest;
	int fd;

	assert_non_null(expected);
	memcpy(expected + 20 * MIB, "data", 4);
	source_noise(f, "dirty", 60 * MIB, 1); /* so that buffers are not zeroes */
	fd = openat(f->fd, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(pwrite_full(fd, "data", 4, 20 * MIB), 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(close(fd), 0);
	fd = openat(f->fd, "small", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, 300000), 0);
	assert_int_equal(close(fd), 0);
	commit_fixture_commit(f);
	assert_true(f->summary.payload_size < 61 * MIB);
	assert_content(f, "src/sparse", expected, size);
	assert_content(f, "src/small", expected, 300000);
	assert_true(commit_fixture_find(f, "src/sparse", &manifest));
	assert_int_equal(manifest.hole_count, 2);
	assert_int_equal(manifest.holes[0].offset, 0);
	assert_true(manifest.holes[0].size <= 20 * MIB);
	assert_int_equal(manifest.holes[1].offset + manifest.holes[1].size, size);
	manifest_done(&manifest);
	assert_true(commit_fixture_find(f, "src/small", &manifest));
	assert_int_equal(manifest.hole_count, 1);
	manifest_done(&manifest);
}

static void a_file_of_many_segments_lists_them_on_pages(void **state)
{
	struct commit_fixture *f = *state;
	const uint64_t size = UINT64_C(65) * 32 * MIB;
	struct manifest manifest;
	int fd;

	fd = openat(f->fd, "huge", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(close(fd), 0);
	f->options.verify = true;
	commit_fixture_commit(f);
	assert_true(commit_fixture_find(f, "src/huge", &manifest));
	assert_int_equal(manifest.size, size);
	assert_int_equal(manifest.segment_count, 0);
	assert_int_equal(manifest.segment_page_count, 1);
	manifest_done(&manifest);
	f->options.read_all = true;
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
}

static void extended_attributes_are_kept_at_any_length(void **state)
{
	struct commit_fixture *f = *state;
	uint8_t value[3000];
	char path[80];
	struct manifest manifest;

	fill_noise(value, sizeof(value), 3);
	source_text(f, "x", "x");
	(void)snprintf(path, sizeof(path), "%s/x", f->source);
	if (setxattr(path, "user.b", value, sizeof(value), 0) < 0)
		return; /* this file system has none */
	assert_int_equal(setxattr(path, "user.a", "short", 5, 0), 0);
	assert_int_equal(setxattr(path, "user.c", "", 0, 0), 0);
	assert_int_equal(setxattr(f->source, "user.folder", "f", 1, 0), 0);
	commit_fixture_commit(f);
	assert_true(commit_fixture_find(f, "src/x", &manifest));
	assert_int_equal(manifest.xattr_count, 3);
	assert_memory_equal(manifest.xattrs[0].name.data, "user.a", 6);
	assert_memory_equal(manifest.xattrs[0].value.data, "short", 5);
	assert_int_equal(manifest.xattrs[1].size, sizeof(value));
	assert_int_equal(manifest.xattrs[1].value.size, 0);
	assert_false(hash_is_zero(&manifest.xattrs[1].pack.segment));
	assert_int_equal(manifest.xattrs[2].size, 0);
	manifest_done(&manifest);
	assert_true(commit_fixture_find(f, "src", &manifest));
	assert_int_equal(manifest.xattr_count, 1);
	manifest_done(&manifest);

	f->options.read_all = true; /* a long value that is known is no change */
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
	f->options.read_all = false;
	assert_int_equal(setxattr(path, "user.a", "other", 5, 0), 0);
	commit_fixture_commit(f);
	assert_int_equal(commit_fixture_version(f, "src/x"), 2);
}

static void every_name_that_linux_allows_is_kept(void **state)
{
	struct commit_fixture *f = *state;
	char longest[256];
	const char *names[] = { "\xff\xfe not UTF-8", "new\nline", " ",
				"\"\\\x01\x7f",       "-n",        "...",
				"caf\xc3\xa9",        longest };
	char path[300];

	memset(longest, 'x', 255);
	longest[255] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		source_text(f, names[i], names[i]);
	commit_fixture_commit(f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "src/%s", names[i]);
		assert_content(f, path, names[i], strlen(names[i]));
	}
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
}

/* Folders @name, one in the other, and a file `x` in the last one; returns that one. */
static int make_deep(struct commit_fixture *f, const char *name, unsigned depth)
{
	int fd = dup(f->fd);

	for (unsigned i = 0; i < depth; i++) {
		int next;

		assert_int_equal(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		assert_int_equal(close(fd), 0);
		fd = next;
	}
	return fd;
}

/* nftw() of the fixture cannot remove what is deeper than PATH_MAX. */
static void remove_deep(int fd, const char *name, unsigned depth)
{
	assert_int_equal(unlinkat(fd, "x", 0), 0);
	for (unsigned i = 0; i < depth; i++) {
		int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_true(above >= 0);
		assert_int_equal(close(fd), 0);
		assert_int_equal(unlinkat(above, name, AT_REMOVEDIR), 0);
		fd = above;
	}
	assert_int_equal(close(fd), 0);
}

static void put_x(int fd)
{
	int x = openat(fd, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(write_full(x, "deep", 4), 0);
	assert_int_equal(close(x), 0);
}

static void a_thousand_levels_are_walked(void **state)
{
	struct commit_fixture *f = *state;
	char path[2100] = "src";
	int fd = make_deep(f, "d", 1000);

	put_x(fd);
	source_text(f, "z", "behind it");
	commit_fixture_commit(f);
	for (unsigned i = 0; i < 1000; i++)
		(void)snprintf(path + 3 + i * 2, 3, "/d");
	(void)snprintf(path + 2003, 3, "/x");
	assert_content(f, path, "deep", 4);
	assert_content(f, "src/z", "behind it", 9);
	assert_int_equal(commit_fixture_run(f), 0);
	assert_false(f->summary.made);
	remove_deep(fd, "d", 1000);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.deleted_files, 1);
}

static void a_path_beyond_what_a_key_holds_is_reported(void **state)
{
	struct commit_fixture *f = *state;
	char name[251];
	int fd;

	memset(name, 'n', 250);
	name[250] = 0;
	fd = make_deep(f, name,
		       17); /* 3 + 16 * 251 = 4,019 bytes fit, the 17th does not */
	put_x(fd);
	assert_int_equal(commit_fixture_run(f), 0);
	assert_true(f->summary.made);
	assert_int_equal(f->summary.problems, 1);
	assert_int_equal(f->problems[0].problem, COMMIT_SKIPPED);
	assert_int_equal(f->summary.folders, 17);
	remove_deep(fd, name, 17);
}

static void a_folder_of_many_files_is_kept(void **state)
{
	struct commit_fixture *f = *state;
	enum { COUNT = 12000 };
	char name[32];

	for (unsigned i = 0; i < COUNT; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		source_text(f, name, i % 3 ? name : "");
	}
	commit_fixture_commit(f);
	assert_int_equal(f->summary.new_files, COUNT);
	assert_content(f, "src/11999", "11999", 5);
	for (unsigned i = 0; i < COUNT; i += 2) {
		(void)snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(unlinkat(f->fd, name, 0), 0);
	}
	commit_fixture_commit(f);
	assert_int_equal(f->summary.deleted_files, COUNT / 2);
	assert_int_equal(f->summary.unchanged_files, COUNT / 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(attributes_are_kept_to_the_nanosecond),
		CASE(a_changed_mode_is_a_new_version_of_known_content),
		CASE(everything_that_is_no_file_is_kept),
		CASE(hard_links_are_stored_once_and_know_each_other),
		CASE(hard_links_share_their_long_attributes),
		CASE(holes_are_kept_as_holes),
		CASE(a_file_of_many_segments_lists_them_on_pages),
		CASE(extended_attributes_are_kept_at_any_length),
		CASE(every_name_that_linux_allows_is_kept),
		CASE(a_thousand_levels_are_walked),
		CASE(a_path_beyond_what_a_key_holds_is_reported),
		CASE(a_folder_of_many_files_is_kept),
	};

	return cmocka_run_group_tests_name("commit_entries", tests, NULL, NULL);
}
