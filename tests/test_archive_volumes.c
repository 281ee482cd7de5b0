/* SPDX-License-Identifier: MIT */
/* Files of volumes that are renamed, lost, copied, older or longer than they were. */
#include "archive/archive.h"

#include "archive/places.h"
#include "archive/volume_folder.h"
#include "archive/volume_set.h"
#include "base/cleanup.h"
#include "base/config.h"
#include "base/file.h"
#include "support/archive_fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const struct fixture_commit first_commit = { .count = 20,
						    .size = 5000,
						    .seed = 1 };
static const struct fixture_commit second_commit = {
	.first = 10, .count = 20, .size = 3000, .seed = 2
};

/* Files of second_commit over those of first_commit. */
static void check_second(struct archive_fixture *f)
{
	struct archive *archive = archive_fixture_must_open(f, false);

	assert_int_equal(archive_fixture_read(archive, 9, 5000, 1), 0);
	assert_int_equal(archive_fixture_read(archive, 10, 3000, 2), 0);
	assert_int_equal(archive_fixture_read(archive, 29, 3000, 2), 0);
	assert_int_equal(archive_fixture_read(archive, 30, 3000, 2), -ENOENT);
	archive_free(archive);
}

static void only_volume(struct archive_fixture *f, char path_out[256])
{
	char names[FIXTURE_VOLUMES_MAX][64];

	assert_int_equal(archive_fixture_volumes(f, names), 1);
	(void)snprintf(path_out, 256, "%s", archive_fixture_volume(f, 0));
}

/* Volume files. */

static void a_renamed_volume_is_found(void **state)
{
	struct archive_fixture *f = *state;
	char path[256];
	char *before;
	char *after;

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	before = archive_fixture_dump(f);
	only_volume(f, path);
	assert_int_equal(rename(path, archive_fixture_path(f, "volumes/renamed.bfv")), 0);
	after = archive_fixture_dump(f);
	assert_string_equal(before,
			    after); /* names of files are not the archive's state */
	free(before);
	free(after);
	archive_fixture_must_commit(f, &second_commit);
	check_second(f);
}

static void a_missing_volume_is_named(void **state)
{
	struct archive_fixture *f = *state;
	struct archive *archive;
	struct error err = { 0 };
	struct uuid unknown = { { 1 } };
	char path[256];
	uint8_t byte;

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	only_volume(f, path);
	assert_int_equal(rename(path, archive_fixture_path(f, "away.bfv")), 0);
	archive = archive_fixture_must_open(f, false);
	assert_int_equal(archive_fixture_read(archive, 0, 5000, 1), -ENOMEDIUM);
	assert_int_equal(
		volume_set_read(archive_volumes(archive), &unknown, 0, &byte, 1, &err),
		-ENOMEDIUM);
	assert_non_null(strstr(err.text, "not attached"));

	/* It comes back while the archive is open. */
	assert_int_equal(rename(archive_fixture_path(f, "away.bfv"), path), 0);
	assert_int_equal(archive_fixture_read(archive, 0, 5000, 1), 0);
	archive_free(archive);
	assert_int_equal(rename(path, archive_fixture_path(f, "away.bfv")), 0);
	assert_int_equal(archive_fixture_commit(f, &second_commit), -ENOMEDIUM);
	assert_non_null(strstr(f->err.text, "'test'"));
}

static void other_files_among_the_volumes_are_ignored(void **state)
{
	struct archive_fixture *f = *state;
	struct archive_fixture other;
	char path[256];
	char garbage[8192];

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	archive_fixture_init(&other);
	archive_fixture_must_create(&other);
	archive_fixture_must_commit(&other, &second_commit);
	only_volume(&other, path);
	archive_fixture_copy(path, archive_fixture_path(f, "volumes/0000-other.bfv"));
	archive_fixture_done(&other);
	memset(garbage, 'x', sizeof(garbage));
	assert_int_equal(file_replace(AT_FDCWD, archive_fixture_path(f, "volumes/x.bfv"),
				      garbage, sizeof(garbage), 0666, NULL),
			 0);
	assert_int_equal(file_replace(AT_FDCWD, archive_fixture_path(f, "volumes/y.bfv"),
				      "", 0, 0666, NULL),
			 0);
	assert_int_equal(mkdir(archive_fixture_path(f, "volumes/z.bfv"), 0777), 0);
	archive_fixture_must_commit(f, &second_commit);
	check_second(f);
}

static void files_are_told_apart(void **state)
{
	struct archive_fixture *f = *state;
	autovolume_files struct volume_files files = { 0 };
	autoconfig struct config config = { 0 };
	autoptr(places) places = NULL;
	autoclose int fd = -1;
	char path[256];

	archive_fixture_must_create(f);
	only_volume(f, path);
	archive_fixture_copy(path, archive_fixture_path(f, "volumes/9-copy.bfv"));
	archive_fixture_must_commit(f, &first_commit);
	assert_int_equal(file_replace(AT_FDCWD, archive_fixture_path(f, "volumes/x.bfv"),
				      "x", 1, 0666, NULL),
			 0);
	fd = open(archive_fixture_path(f, ""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(config_defaults(&config), 0);
	assert_int_equal(places_new(fd, &config, &places, NULL), 0);
	assert_int_equal(volume_folder_scan(places, NULL, &files, NULL), 0);
	assert_int_equal(files.count, 3);
	assert_int_equal(files.items[0].state, VOLUME_FILE_GOOD);
	assert_int_equal(files.items[1].state, VOLUME_FILE_COPY);
	assert_int_equal(files.items[2].state, VOLUME_FILE_UNSTARTED);
}

static void a_longer_copy_takes_the_place_of_a_lost_volume(void **state)
{
	struct archive_fixture *f = *state;
	char path[256];
	char *dump;
	char *again;

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	archive_fixture_must_commit(f, &second_commit);
	dump = archive_fixture_dump(f);
	only_volume(f, path);
	archive_fixture_copy(path, archive_fixture_path(f, "volumes/copy.bfv"));
	check_second(f);
	assert_int_equal(unlink(path), 0);
	check_second(f);
	again = archive_fixture_dump(f);
	assert_string_equal(dump, again);
	free(dump);
	free(again);
	archive_fixture_must_commit(f, &first_commit);
}

static void an_older_copy_is_not_continued(void **state)
{
	struct archive_fixture *f = *state;
	struct archive *archive;
	char path[256];

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	only_volume(f, path);
	archive_fixture_copy(path, archive_fixture_path(f, "old"));
	archive_fixture_must_commit(f, &second_commit);
	archive_fixture_copy(archive_fixture_path(f, "old"), path);
	assert_int_equal(archive_fixture_commit(f, &second_commit), -ESTALE);
	assert_non_null(strstr(f->err.text, "put the newer one back"));

	/* A reader is warned and gets what there is. */
	archive = archive_fixture_must_open(f, false);
	assert_non_null(archive_warning(archive));
	assert_int_equal(archive_fixture_read(archive, 0, 5000, 1), 0);
	assert_true(archive_fixture_read(archive, 10, 3000, 2) < 0);
	archive_free(archive);
}

static void a_fork_is_not_continued(void **state)
{
	struct archive_fixture *f = *state;
	char path[256];

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	only_volume(f, path);
	archive_fixture_copy(path, archive_fixture_path(f, "old"));
	archive_fixture_copy(archive_fixture_path(f, "catalog.db"),
			     archive_fixture_path(f, "old.db"));
	archive_fixture_must_commit(f, &second_commit);

	/* The same volume goes on differently, and is longer than the first branch. */
	assert_int_equal(rename(path, archive_fixture_path(f, "branch")), 0);
	assert_int_equal(rename(archive_fixture_path(f, "catalog.db"),
				archive_fixture_path(f, "branch.db")),
			 0);
	assert_int_equal(rename(archive_fixture_path(f, "old"), path), 0);
	assert_int_equal(rename(archive_fixture_path(f, "old.db"),
				archive_fixture_path(f, "catalog.db")),
			 0);
	archive_fixture_must_commit(f, &first_commit);
	archive_fixture_must_commit(f, &second_commit);
	assert_int_equal(rename(archive_fixture_path(f, "branch.db"),
				archive_fixture_path(f, "catalog.db")),
			 0);
	assert_int_equal(archive_fixture_commit(f, &first_commit), -ESTALE);
	assert_non_null(strstr(f->err.text, "not a continuation"));
	assert_non_null(strstr(f->err.text, "put the file of this archive back"));
	assert_non_null(strstr(f->err.text, "'blockframe catalog rebuild'"));
}

#define TEST(name)                                                   \
	cmocka_unit_test_setup_teardown(name, archive_fixture_setup, \
					archive_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_renamed_volume_is_found),
		TEST(a_missing_volume_is_named),
		TEST(other_files_among_the_volumes_are_ignored),
		TEST(files_are_told_apart),
		TEST(a_longer_copy_takes_the_place_of_a_lost_volume),
		TEST(an_older_copy_is_not_continued),
		TEST(a_fork_is_not_continued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
