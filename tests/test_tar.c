/* SPDX-License-Identifier: MIT */
/* The stream's own promises; what other programs read from it is a scenario's to test. */
#include "archive/tar.h"

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
#include <unistd.h>

#include <cmocka.h>

#define BLOCK 512u /* bytes */

struct tar_fixture {
	struct commit_fixture commit;
	uint8_t *data; /* of the last stream */
	size_t size;
	struct restore_summary summary;
	unsigned lost_ranges;
	uint64_t lost_offset, lost_size; /* of the last one */
	char problem[256];               /* path of the last one */
	struct error err;
};

static int setup(void **state)
{
	struct tar_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	commit_fixture_init(&f->commit);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct tar_fixture *f = *state;

	commit_fixture_done(&f->commit);
	free(f->data);
	free(f);
	return 0;
}

static void note_problem(void *context, enum restore_problem problem, const char *path,
			 uint64_t offset, uint64_t size, const struct error *err)
{
	struct tar_fixture *f = context;

	(void)err;
	(void)snprintf(f->problem, sizeof(f->problem), "%s", path);
	if (problem != RESTORE_LOST)
		return;
	f->lost_ranges++;
	f->lost_offset = offset;
	f->lost_size = size;
}

static int write_tar(struct tar_fixture *f, const atomic_bool *cancel)
{
	char path[128];
	struct bytes key = { (uint8_t *)(uintptr_t) "src", 3 };
	struct restore_options options = { .keys = &key,
					   .key_count = 1,
					   .at = VERSION_CURRENT,
					   .cancel = cancel,
					   .report = { .problem = note_problem,
						       .context = f } };
	struct stat st;
	int fd;
	int r;

	(void)snprintf(path, sizeof(path), "%s/tar", f->commit.base.parent);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	r = tar_write(f->commit.archive, &options, fd, &f->summary, &f->err);
	assert_int_equal(fstat(fd, &st), 0);
	free(f->data);
	f->size = (size_t)st.st_size;
	f->data = malloc(f->size + 1);
	assert_non_null(f->data);
	assert_int_equal(pread(fd, f->data, f->size, 0), f->size);
	assert_int_equal(close(fd), 0);
	return r;
}

static bool is_zero(const uint8_t *data, size_t size)
{
	return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

/* Whole blocks, and at least two of zeroes at the end. */
static bool is_whole(const struct tar_fixture *f)
{
	return f->size >= 2 * BLOCK && f->size % BLOCK == 0 &&
	       is_zero(f->data + f->size - 2 * BLOCK, 2 * BLOCK);
}

/* How often a name stands at the start of a block. */
static unsigned count_headers(const struct tar_fixture *f, const char *name)
{
	unsigned count = 0;

	for (size_t at = 0; at + BLOCK <= f->size; at += BLOCK)
		count += strncmp((const char *)f->data + at, name, 100) == 0;
	return count;
}

static void a_stream_that_is_whole_ends_as_one(void **state)
{
	struct tar_fixture *f = *state;

	source_folder(&f->commit, "a");
	source_text(&f->commit, "a/text", "some text");
	source_noise(&f->commit, "large", 9u << 20, 1);
	assert_int_equal(symlinkat("a/text", f->commit.fd, "link"), 0);
	commit_fixture_commit(&f->commit);
	assert_int_equal(write_tar(f, NULL), 0);
	assert_true(is_whole(f));
	assert_int_equal(f->summary.files, 2);
	assert_int_equal(f->summary.directories, 2);
	assert_int_equal(f->summary.others, 1);
	assert_int_equal(f->summary.bytes, (9u << 20) + 9);
	assert_int_equal(f->summary.problems, 0);
	assert_int_equal(count_headers(f, "src/a/text"), 1);
	assert_non_null(memmem(f->data, f->size, "some text", 9));
}

static void an_empty_tree_is_a_whole_stream(void **state)
{
	struct tar_fixture *f = *state;

	commit_fixture_commit(&f->commit);
	assert_int_equal(write_tar(f, NULL), 0);
	assert_true(is_whole(f));
}

static void names_of_one_inode_have_one_content(void **state)
{
	struct tar_fixture *f = *state;

	source_noise(&f->commit, "one", 100000, 1);
	assert_int_equal(linkat(f->commit.fd, "one", f->commit.fd, "two", 0), 0);
	commit_fixture_commit(&f->commit);
	assert_int_equal(write_tar(f, NULL), 0);
	assert_true(is_whole(f));
	assert_int_equal(f->summary.files, 2);
	assert_int_equal(f->summary.bytes, 100000);
	assert_true(f->size < 150000);
	assert_int_equal(count_headers(f, "src/two"), 1);
}

static void holes_take_no_room(void **state)
{
	struct tar_fixture *f = *state;
	int fd;

	source_text(&f->commit, "sparse", "begin");
	fd = openat(f->commit.fd, "sparse", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	assert_int_equal(close(fd), 0);
	commit_fixture_commit(&f->commit);
	assert_int_equal(write_tar(f, NULL), 0);
	assert_true(is_whole(f));
	assert_true(f->size < 1u << 20);
	assert_int_equal(f->summary.bytes, 64 << 20);
}

/* Overwrite the first bytes of file @name's content in the volume. */
static void damage_content(struct tar_fixture *f, uint32_t seed, size_t skip)
{
	const char *path = archive_fixture_volume(&f->commit.base, 0);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	autofree uint8_t *noise = malloc(skip + 64);
	autofree uint8_t *data = NULL;
	uint8_t *found;
	struct stat st;

	assert_true(fd >= 0 && noise);
	fill_noise(noise, skip + 64, seed);
	assert_int_equal(fstat(fd, &st), 0);
	data = malloc((size_t)st.st_size);
	assert_non_null(data);
	assert_int_equal(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
	found = memmem(data, (size_t)st.st_size, noise + skip, 64);
	assert_non_null(found);
	memset(found, 0x55, 64);
	assert_int_equal(pwrite(fd, found, 64, found - data), 64);
	assert_int_equal(close(fd), 0);
	commit_fixture_reopen(&f->commit);
}

static void assert_given_up(const struct tar_fixture *f)
{
	assert_true(f->size % BLOCK != 0);
	assert_false(is_whole(f));
	assert_int_equal(f->summary.lost_files, 1);
}

static void a_small_file_that_is_lost_never_begins(void **state)
{
	struct tar_fixture *f = *state;

	f->commit.options.parity = 0;
	source_noise(&f->commit, "before", 2u << 20, 1);
	source_noise(&f->commit, "lost", 1u << 20, 2);
	source_text(&f->commit, "other", "is not reached");
	commit_fixture_commit(&f->commit);
	damage_content(f, 2, 600000);
	assert_int_equal(write_tar(f, NULL), -EBADMSG);
	assert_given_up(f);
	assert_int_equal(count_headers(f, "src/before"), 1);
	assert_int_equal(count_headers(f, "src/lost"), 0);
	assert_int_equal(count_headers(f, "src/other"), 0);
	assert_string_equal(f->problem, "src/lost");
	assert_int_equal(f->lost_ranges, 1);
	assert_int_equal(f->lost_offset, 2 * 262144);
	assert_int_equal(f->lost_size, 262144);
}

static void a_large_file_that_is_lost_ends_inside(void **state)
{
	struct tar_fixture *f = *state;

	f->commit.options.parity = 0;
	source_noise(&f->commit, "lost", 12u << 20, 3);
	source_text(&f->commit, "other", "is not reached");
	commit_fixture_commit(&f->commit);
	damage_content(f, 3, 10u << 20);
	assert_int_equal(write_tar(f, NULL), -EBADMSG);
	assert_given_up(f);
	assert_int_equal(count_headers(f, "src/lost"), 1);
	assert_int_equal(count_headers(f, "src/other"), 0);
	assert_true(f->size < (10u << 20) + 4 * BLOCK);
	assert_int_equal(f->lost_offset, 10u << 20);
}

static void an_interrupted_stream_does_not_look_whole(void **state)
{
	struct tar_fixture *f = *state;
	atomic_bool cancel = true;

	source_text(&f->commit, "file", "text");
	commit_fixture_commit(&f->commit);
	assert_int_equal(write_tar(f, &cancel), -EINTR);
	assert_false(is_whole(f));
}

static void a_socket_is_told_and_left_out(void **state)
{
	struct tar_fixture *f = *state;

	assert_int_equal(mknodat(f->commit.fd, "socket", S_IFSOCK | 0600, 0), 0);
	source_text(&f->commit, "text", "text");
	commit_fixture_commit(&f->commit);
	assert_int_equal(write_tar(f, NULL), 0);
	assert_true(is_whole(f));
	assert_int_equal(f->summary.problems, 1);
	assert_string_equal(f->problem, "src/socket");
	assert_int_equal(count_headers(f, "src/text"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stream_that_is_whole_ends_as_one),
		TEST(an_empty_tree_is_a_whole_stream),
		TEST(names_of_one_inode_have_one_content),
		TEST(holes_take_no_room),
		TEST(a_small_file_that_is_lost_never_begins),
		TEST(a_large_file_that_is_lost_ends_inside),
		TEST(an_interrupted_stream_does_not_look_whole),
		TEST(a_socket_is_told_and_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
