/* SPDX-License-Identifier: MIT */
#include "archive/places.h"

#include "archive/volume_folder.h"
#include "base/config.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char directory[64];
	int fd;
	struct config config;
	struct places *places;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->directory, sizeof(f->directory),
		       "/tmp/blockframe-places-XXXXXX");
	if (!mkdtemp(f->directory))
		return -1;
	f->fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return config_defaults(&f->config);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	places_free(f->places);
	config_done(&f->config);
	(void)close(f->fd);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
	free(f);
	return system(command); /* only of this test's own folder */
}

/* @more: a TOML list. */
static void make(struct fixture *f, const char *more)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "[volume]\nmore_directories = %s\n", more);

	assert_int_equal(config_parse(&f->config, "test", text, (size_t)n, NULL), 0);
	assert_int_equal(places_new(f->fd, &f->config, &f->places, NULL), 0);
}

static void make_file(const struct fixture *f, const char *path)
{
	assert_int_equal(file_replace(f->fd, path, "x", 1, 0666, NULL), 0);
}

static void all_places_are_looked_into_in_their_order(void **state)
{
	struct fixture *f = *state;
	autovolume_files struct volume_files files = { 0 };

	make(f, "[\"b/\", \"a\"]");
	assert_int_equal(mkdirat(f->fd, "a", 0777), 0);
	assert_int_equal(mkdirat(f->fd, "b", 0777), 0);
	assert_int_equal(mkdirat(f->fd, "volumes", 0777), 0);
	make_file(f, "a/1.bfv");
	make_file(f, "b/2.bfv");
	make_file(f, "b/1.bfv");
	make_file(f, "volumes/9.bfv");
	make_file(f, "volumes/other");
	assert_int_equal(volume_folder_list(f->places, &files, NULL), 0);
	assert_int_equal(files.count, 4);
	assert_string_equal(files.items[0].name, "volumes/9.bfv");
	assert_string_equal(files.items[1].name, "b/1.bfv");
	assert_string_equal(files.items[2].name, "b/2.bfv");
	assert_string_equal(files.items[3].name, "a/1.bfv");
	assert_int_equal(places_of(f->places, "a/1.bfv"), 2);
	assert_int_equal(places_of(f->places, "elsewhere/1.bfv"), 3);
}

static void a_place_that_is_away_is_left_out(void **state)
{
	struct fixture *f = *state;
	autovolume_files struct volume_files files = { 0 };
	struct stat st;

	make(f, "[\"b\"]");
	assert_int_equal(places_check(f->places, NULL), -ENOMEDIUM);
	assert_int_equal(mkdirat(f->fd, "b", 0777), 0);
	make_file(f, "b/1.bfv");
	assert_int_equal(places_check(f->places, NULL), 0);
	assert_int_equal(places_stat(f->places, 0, &st), -ENOENT);
	assert_int_equal(places_stat(f->places, 1, &st), 0);
	assert_int_equal(volume_folder_list(f->places, &files, NULL), 0);
	assert_int_equal(files.count, 1);
}

static void one_folder_under_two_names_is_one_place(void **state)
{
	struct fixture *f = *state;
	autovolume_files struct volume_files files = { 0 };
	struct stat st;

	assert_int_equal(mkdirat(f->fd, "volumes", 0777), 0);
	make(f, "[\"volumes/\", \"./volumes\"]");
	make_file(f, "volumes/1.bfv");
	assert_int_equal(places_count(f->places), 2);
	assert_int_equal(places_stat(f->places, 1, &st), -EEXIST);
	assert_int_equal(volume_folder_list(f->places, &files, NULL), 0);
	assert_int_equal(files.count, 1);
}

static void files_of_one_folder_are_known_by_their_paths(void **state)
{
	(void)state;
	assert_true(places_same("a/1", "a/2"));
	assert_true(places_same("/1", "/2"));
	assert_false(places_same("a/1", "b/1"));
	assert_false(places_same("a/1", "a/b/1"));
	assert_false(places_same("1", "a/1"));
}

static void no_copies_are_as_many_as_none(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	const char *text = "[volume]\ncopies = 0\n";

	assert_int_equal(config_parse(&f->config, "t", text, strlen(text), &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "copies"));
	text = "[volume]\ncopies = 3\n";
	assert_int_equal(config_parse(&f->config, "t", text, strlen(text), &err), 0);
	assert_int_equal(config_min_copies(&f->config), 3);
	f->config.volume.min_copies = 2;
	assert_int_equal(config_min_copies(&f->config), 2);
	f->config.volume.min_copies = 5;
	assert_int_equal(config_min_copies(&f->config), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_places_are_looked_into_in_their_order,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_place_that_is_away_is_left_out, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_folder_under_two_names_is_one_place,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			files_of_one_folder_are_known_by_their_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(no_copies_are_as_many_as_none, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
