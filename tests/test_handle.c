/* SPDX-License-Identifier: MIT */
#include "tier/handle.h"

#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[128];
static uint8_t handle[STUB_HANDLE_MAX];
static size_t size;

static void make_file(void)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
}

static int set_up(void **state)
{
	int fd, r;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-handle-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/file", folder);
	make_file();
	fd = open(path, O_PATH);
	r = fd < 0 ? -1 : tier_handle_get(fd, handle, &size, NULL);
	(void)close(fd);
	return r;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

static void what_is_where_it_was_is_not_deleted(void **state)
{
	(void)state;
	assert_false(tier_handle_deleted(handle, size, AT_FDCWD, path));
}

static void what_is_nowhere_is_deleted(void **state)
{
	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_true(tier_handle_deleted(handle, size, AT_FDCWD, path));
	assert_true(tier_handle_deleted(handle, size, AT_FDCWD, NULL));
}

static void another_file_in_its_place_is_no_proof_that_it_is_there(void **state)
{
	char other[136];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s.old", path);
	assert_int_equal(rename(path, other), 0);
	make_file();
	assert_true(tier_handle_deleted(handle, size, AT_FDCWD, path));
	assert_int_equal(unlink(other), 0);
}

static void what_can_not_be_looked_at_is_not_deleted(void **state)
{
	char loop[96];

	(void)state;
	(void)snprintf(loop, sizeof(loop), "%s/loop", folder);
	assert_int_equal(symlink(loop, loop), 0);
	(void)snprintf(path, sizeof(path), "%s/x", loop);
	assert_false(tier_handle_deleted(handle, size, AT_FDCWD, path));
	assert_int_equal(unlink(loop), 0);
	(void)snprintf(path, sizeof(path), "%s/file", folder);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_where_it_was_is_not_deleted),
		CASE(what_is_nowhere_is_deleted),
		CASE(another_file_in_its_place_is_no_proof_that_it_is_there),
		CASE(what_can_not_be_looked_at_is_not_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
