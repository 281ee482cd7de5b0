/* SPDX-License-Identifier: MIT */
#include "volume/backend.h"

#include "base/budget.h"
#include "base/error.h"
#include "volume/backend_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "test_backend_file.XXXXXX";
static _Alignas(BACKEND_ALIGNMENT) uint8_t block[3 * BACKEND_ALIGNMENT];

/* Each case has the name of its volume to itself. */
static struct backend *create(const char *name)
{
	struct backend *backend = NULL;
	struct error err = { 0 };
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (backend_file_create(dir, name, &backend, &err) < 0)
		fail_msg("%s", err.text);
	(void)close(dir); /* the backend has its own */
	return backend;
}

static int try_open(const char *name, int writable, struct backend **backend_out)
{
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = backend_file_open(dir, name, writable, backend_out, NULL);

	(void)close(dir);
	return r;
}

static struct stat stat_of(const char *name)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(stat(path, &st), 0);
	return st;
}

static void expect_bytes(struct backend *backend, uint64_t offset, const void *want,
			 size_t size)
{
	uint8_t got[sizeof(block)];
	size_t count;

	assert_int_equal(backend_read(backend, offset, got, size, &count, NULL), 0);
	assert_int_equal(count, size);
	assert_memory_equal(got, want, size);
}

static void what_is_appended_is_read_back(void **state)
{
	struct backend *backend = create("a");
	uint8_t got[8];
	size_t count;

	(void)state;
	assert_int_equal(backend_position(backend), 0);
	assert_int_equal(backend_append(backend, block, sizeof(block), NULL), 0);
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	assert_int_equal(backend_position(backend), sizeof(block) + 4096);
	expect_bytes(backend, 0, block, sizeof(block));
	expect_bytes(backend, sizeof(block) + 5, block + 5, 100);
	assert_int_equal(
		backend_read(backend, sizeof(block) + 4092, got, 8, &count, NULL), 0);
	assert_int_equal(count, 4);
	assert_int_equal(backend_read(backend, UINT64_MAX, got, 8, &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(backend_sync(backend, NULL), 0);
	assert_int_equal(backend_capacity(backend), UINT64_MAX);
	backend_free(backend);
}

static void skips_are_holes_that_read_as_zeroes(void **state)
{
	static const uint8_t zero[4096];
	struct backend *backend = create("b");

	(void)state;
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	assert_int_equal(backend_skip(backend, 1 << 24, NULL), 0);
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	expect_bytes(backend, 4096, zero, sizeof(zero));
	expect_bytes(backend, 4096 + (1 << 24), block, 4096);
	backend_free(backend);
	assert_true(stat_of("b").st_blocks * 512 < 1 << 20);
}

static void a_hole_at_the_end_is_part_of_the_file_once_synced(void **state)
{
	struct backend *backend = create("c");

	(void)state;
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	assert_int_equal(backend_skip(backend, 8192, NULL), 0);
	assert_int_equal(stat_of("c").st_size, 4096);
	assert_int_equal(backend_sync(backend, NULL), 0);
	assert_int_equal(stat_of("c").st_size, 12288);
	assert_int_equal(backend_skip(backend, 4096, NULL), 0);
	backend_free(backend);
	assert_int_equal(stat_of("c").st_size, 16384);
}

static void a_torn_tail_is_rounded_up(void **state)
{
	struct backend *backend = create("d");
	char path[256];
	int fd;

	(void)state;
	backend_free(backend);
	(void)snprintf(path, sizeof(path), "%s/d", folder);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, block, 5000), 5000);
	(void)close(fd);

	assert_int_equal(try_open("d", 0, &backend), 0);
	assert_int_equal(backend_position(backend), 5000);
	assert_int_equal(backend_append(backend, block, 4096, NULL), -EROFS);
	assert_int_equal(backend_sync(backend, NULL), -EROFS);
	backend_free(backend);
	assert_int_equal(try_open("d", 1, &backend), 0);
	assert_int_equal(backend_position(backend), 8192);
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	expect_bytes(backend, 0, block, 5000);
	expect_bytes(backend, 8192, block, 4096);
	backend_free(backend);
}

static void a_volume_is_never_created_over_another(void **state)
{
	struct backend *backend = create("e");
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	backend_free(backend);
	assert_int_equal(backend_file_create(dir, "e", &backend, NULL), -EEXIST);
	assert_int_equal(backend_file_open(dir, "none", 1, &backend, NULL), -ENOENT);
	assert_int_equal(backend_file_open(dir, ".", 0, &backend, NULL), -EINVAL);
	(void)close(dir);
}

static void a_sealed_volume_takes_no_more(void **state)
{
	struct backend *backend = create("f");

	(void)state;
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	assert_int_equal(backend_seal(backend, NULL), 0);
	assert_int_equal(stat_of("f").st_mode & 0777, 0444);
	assert_int_equal(backend_append(backend, block, 4096, NULL), -EROFS);
	expect_bytes(backend, 0, block, 4096);
	backend_free(backend);
}

static void a_path_with_folders_is_fine(void **state)
{
	struct backend *backend = NULL;
	char path[256];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/g", folder);
	assert_int_equal(backend_file_create(AT_FDCWD, path, &backend, NULL), 0);
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	assert_int_equal(backend_sync(backend, NULL), 0);
	backend_free(backend);
}

static void errors_name_the_volume(void **state)
{
	struct backend *backend = NULL;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(backend_file_open(AT_FDCWD, "no/such", 0, &backend, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "'no/such'"));
	backend = create("h");
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	assert_int_equal(backend_skip(backend, UINT64_MAX - 4095, &err), -EFBIG);
	assert_non_null(strstr(err.text, "'h'"));
	assert_non_null(strstr(err.text, "4096"));
	assert_int_equal(backend_position(backend), 4096);
	backend_free(backend);
}

static int make_folder(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i * 31 + 1);
	return mkdtemp(folder) ? 0 : -1;
}

/* Whether page @number of the file is in the page cache. */
static bool is_cached(const char *name, unsigned number)
{
	unsigned char resident[8] = { 0 };
	char path[256];
	void *map;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	map = mmap(NULL, (number + 1) * 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(mincore(map, (number + 1) * 4096, resident), 0);
	(void)munmap(map, (number + 1) * 4096);
	(void)close(fd);
	return resident[number] & 1;
}

static void drop(const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsync(fd), 0);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)close(fd);
}

static bool has_direct(const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

static void a_scan_reads_the_same_and_leaves_the_cache_as_it_was(void **state)
{
	static _Alignas(BACKEND_ALIGNMENT) uint8_t got[sizeof(block)];
	struct backend *backend = create("i");
	size_t count;

	(void)state;
	assert_int_equal(backend_append(backend, block, sizeof(block), NULL), 0);
	assert_int_equal(backend_sync(backend, NULL), 0);
	drop("i");
	for (unsigned cached = 0; cached < 2; cached++) {
		bool before = is_cached("i", 1);

		memset(got, 0, sizeof(got));
		assert_int_equal(backend_scan(backend, 0, got, sizeof(got), &count, NULL),
				 0);
		assert_int_equal(count, sizeof(got));
		assert_memory_equal(got, block, sizeof(got));
		assert_true(!has_direct("i") || is_cached("i", 1) == before);
		expect_bytes(backend, 0, block, sizeof(block)); /* now it is cached */
	}
	/* Neither aligned, nor all there. */
	assert_int_equal(backend_scan(backend, 100, got, 50, &count, NULL), 0);
	assert_memory_equal(got, block + 100, 50);
	assert_int_equal(backend_scan(backend, 4096, got, sizeof(got), &count, NULL), 0);
	assert_int_equal(count, sizeof(block) - 4096);
	assert_memory_equal(got, block + 4096, count);
	assert_int_equal(backend_scan(backend, 1 << 20, got, 4096, &count, NULL), 0);
	assert_int_equal(count, 0);
	backend_free(backend);
}

static void holes_are_told_where_the_file_system_knows_them(void **state)
{
	struct backend *backend = create("j");
	uint64_t next;

	(void)state;
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	assert_int_equal(backend_skip(backend, 1 << 20, NULL), 0);
	assert_int_equal(backend_append(backend, block, 4096, NULL), 0);
	assert_int_equal(backend_next_data(backend, 0), 0);
	next = backend_next_data(backend, 8192); /* itself, if there are no holes */
	assert_true(next == 8192 || next == 4096 + (1 << 20));
	next = backend_next_data(backend, 2 << 20);
	assert_true(next == UINT64_MAX || next == 2 << 20);
	backend_free(backend);
}

static int remove_folder(void **state)
{
	char path[256];

	(void)state;
	for (char name = 'a'; name <= 'j'; name++) {
		(void)snprintf(path, sizeof(path), "%s/%c", folder, name);
		(void)unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_appended_is_read_back),
		cmocka_unit_test(skips_are_holes_that_read_as_zeroes),
		cmocka_unit_test(a_hole_at_the_end_is_part_of_the_file_once_synced),
		cmocka_unit_test(a_torn_tail_is_rounded_up),
		cmocka_unit_test(a_volume_is_never_created_over_another),
		cmocka_unit_test(a_sealed_volume_takes_no_more),
		cmocka_unit_test(a_path_with_folders_is_fine),
		cmocka_unit_test(errors_name_the_volume),
		cmocka_unit_test(a_scan_reads_the_same_and_leaves_the_cache_as_it_was),
		cmocka_unit_test(holes_are_told_where_the_file_system_knows_them),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
