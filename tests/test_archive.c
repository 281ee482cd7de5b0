/* SPDX-License-Identifier: MIT */
#include "archive/archive.h"

#include "archive/lock.h"
#include "archive/source.h"
#include "archive/volume_folder.h"
#include "archive/volume_set.h"
#include "base/cleanup.h"
#include "base/config.h"
#include "base/pool.h"
#include "catalog/history.h"
#include "catalog/placement.h"
#include "support/archive_fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
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

static uint64_t file_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

/* Init. */

static void a_new_archive_has_one_volume_and_the_first_commit(void **state)
{
	struct archive_fixture *f = *state;
	struct commit_row row = { 0 };
	struct archive *archive;
	struct hash id;
	char path[256];

	assert_false(archive_exists(f->directory));
	archive_fixture_must_create(f);
	assert_true(archive_exists(f->directory));
	only_volume(f, path);
	archive = archive_fixture_must_open(f, true);
	archive_id(archive, &id);
	assert_int_equal(
		catalog_get_commit(archive_catalog(archive), VERSION_CURRENT, &row, NULL),
		0);
	assert_int_equal(row.sequence, 0);
	assert_true(hash_equal(&row.hash, &id));
	assert_null(archive_warning(archive));
	commit_row_done(&row);
	archive_free(archive);
}

static void an_archive_is_not_made_twice(void **state)
{
	struct archive_fixture *f = *state;

	archive_fixture_must_create(f);
	assert_int_equal(archive_fixture_create(f), -EEXIST);
}

static void a_folder_with_other_contents_is_refused_and_left_alone(void **state)
{
	struct archive_fixture *f = *state;

	assert_int_equal(mkdir(f->directory, 0777), 0);
	assert_int_equal(mkdir(archive_fixture_path(f, "photos"), 0777), 0);
	assert_int_equal(archive_fixture_create(f), -ENOTEMPTY);
	assert_int_equal(rmdir(archive_fixture_path(f, "photos")), 0);
	assert_int_equal(rmdir(f->directory), 0); /* nothing else was put there */
}

static void the_settings_of_the_archive_are_written_down(void **state)
{
	struct archive_fixture *f = *state;
	autoconfig struct config config = { 0 };

	f->config.parity.policy = CONFIG_POLICY_COMPACT;
	f->config.parity.data = 7;
	f->config.compression.level = -2;
	archive_fixture_must_create(f);
	assert_int_equal(config_defaults(&config), 0);
	assert_int_equal(
		config_load_file(&config, archive_fixture_path(f, "config.toml"), NULL),
		0);
	assert_int_equal(config.parity.policy, CONFIG_POLICY_COMPACT);
	assert_int_equal(config.parity.data, 7);
	assert_int_equal(config.compression.level, -2);
	assert_int_equal(config.volume.max_size, 64u << 20);
	assert_string_equal(config.volume.directory, "volumes");
}

static void an_init_that_ended_before_the_settings_runs_again(void **state)
{
	struct archive_fixture *f = *state;
	char path[256];
	char again[256];

	archive_fixture_must_create(f);
	only_volume(f, path);
	assert_int_equal(unlink(archive_fixture_path(f, "config.toml")), 0);
	archive_fixture_must_create(f);
	only_volume(f, again);
	assert_string_not_equal(path, again);
	archive_fixture_must_commit(f, &first_commit);
}

static void an_init_that_ended_within_the_volume_runs_again(void **state)
{
	struct archive_fixture *f = *state;
	char path[256];
	uint64_t size;

	archive_fixture_must_create(f);
	only_volume(f, path);
	size = file_size(path);
	for (uint64_t part = 0; part < size; part += size / 7) {
		only_volume(f, path);
		assert_int_equal(unlink(archive_fixture_path(f, "config.toml")), 0);
		assert_int_equal(truncate(path, (off_t)part), 0);
		archive_fixture_must_create(f);
	}
	archive_fixture_must_commit(f, &first_commit);
}

static void init_never_removes_a_volume_with_commits(void **state)
{
	struct archive_fixture *f = *state;
	char path[256];
	uint64_t size;

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	only_volume(f, path);
	size = file_size(path);
	assert_int_equal(unlink(archive_fixture_path(f, "config.toml")), 0);
	assert_int_equal(archive_fixture_create(f), -ENOTEMPTY);
	assert_int_equal(file_size(path), size);
}

static void two_archives_may_share_a_volume_folder(void **state)
{
	struct archive_fixture *f = *state;
	struct archive_fixture other = *f;
	char folder[64];

	(void)snprintf(folder, sizeof(folder), "%s/shared", f->parent);
	free(f->config.volume.directory);
	f->config.volume.directory = strdup(folder);
	other.config.volume.directory = f->config.volume.directory;
	(void)snprintf(other.directory, sizeof(other.directory), "%s/other", f->parent);
	archive_fixture_must_create(f);
	archive_fixture_must_create(&other);
	archive_fixture_must_commit(f, &first_commit);
	archive_fixture_must_commit(&other, &first_commit);
	archive_fixture_must_commit(f, &second_commit);
	check_second(f);
}

/* Opening. */

static void a_folder_that_is_no_archive_is_not_opened(void **state)
{
	struct archive_fixture *f = *state;
	struct archive *archive = NULL;

	assert_int_equal(archive_fixture_open(f, false, &archive), -ENOENT);
	assert_int_equal(mkdir(f->directory, 0777), 0);
	assert_int_equal(archive_fixture_open(f, false, &archive), -ENOENT);
	assert_null(archive);
}

static void a_second_writer_is_refused_and_a_reader_is_not(void **state)
{
	struct archive_fixture *f = *state;
	struct archive *writer;
	struct archive *other = NULL;

	archive_fixture_must_create(f);
	writer = archive_fixture_must_open(f, true);
	assert_int_equal(archive_fixture_open(f, true, &other), -EBUSY);
	assert_non_null(strstr(f->err.text, "process"));
	other = archive_fixture_must_open(f, false);
	archive_free(other);
	archive_free(writer);
	archive_free(archive_fixture_must_open(f, true));
}

/* Holds the lock as a reader that catches up does, until somebody who did not get it looks
 * who has it. */
struct holder {
	int lock;
	int watch; /* inotify */
};

static void *release_when_asked_for(void *context)
{
	struct holder *holder = context;
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];

	if (read(holder->watch, event, sizeof(event)) > 0)
		(void)close(holder->lock);
	return NULL;
}

static void a_writer_outlasts_a_reader_that_catches_up(void **state)
{
	struct archive_fixture *f = *state;
	autoclose int fd = -1;
	autoclose int watch = inotify_init1(IN_CLOEXEC);
	struct holder holder = { .lock = -1, .watch = watch };
	pthread_t thread;

	archive_fixture_must_create(f);
	fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(lock_take_for_reader(fd, &holder.lock, NULL), 0);
	assert_true(inotify_add_watch(watch, archive_fixture_path(f, "lock"),
				      IN_ACCESS) >= 0);
	assert_int_equal(pthread_create(&thread, NULL, release_when_asked_for, &holder),
			 0);
	archive_free(archive_fixture_must_open(f, true));
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void what_was_committed_is_read_back(void **state)
{
	struct archive_fixture *f = *state;

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	archive_fixture_must_commit(f, &second_commit);
	check_second(f);
}

static void a_missing_catalog_asks_for_a_rebuild(void **state)
{
	struct archive_fixture *f = *state;
	struct archive *archive = NULL;

	archive_fixture_must_create(f);
	assert_int_equal(unlink(archive_fixture_path(f, "catalog.db")), 0);
	assert_int_equal(archive_fixture_open(f, false, &archive), -EBADMSG);
	assert_non_null(strstr(f->err.text, "rebuild"));
}

/* Catching up. */

static void a_catalog_from_before_a_commit_catches_up(void **state)
{
	struct archive_fixture *f = *state;
	struct archive *archive;
	char *dump;
	char *again;

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	archive_fixture_copy(archive_fixture_path(f, "catalog.db"),
			     archive_fixture_path(f, "old.db"));
	archive_fixture_must_commit(f, &second_commit);
	archive_fixture_must_commit(
		f, &(struct fixture_commit){ .first = 3, .remove_count = 4 });
	dump = archive_fixture_dump(f);
	assert_int_equal(rename(archive_fixture_path(f, "old.db"),
				archive_fixture_path(f, "catalog.db")),
			 0);
	again = archive_fixture_dump(f);
	assert_string_equal(dump, again);
	free(dump);
	free(again);
	archive = archive_fixture_must_open(f, true);
	assert_int_equal(archive_fixture_read(archive, 3, 5000, 1), -ENOENT);
	assert_int_equal(archive_fixture_read(archive, 7, 5000, 1), 0);
	archive_free(archive);
	archive_fixture_must_commit(f, &second_commit);
}

static void a_reader_beside_a_writer_does_not_catch_up(void **state)
{
	struct archive_fixture *f = *state;
	autoclose int lock = -1;
	autoclose int fd = -1;
	struct archive *archive;

	archive_fixture_must_create(f);
	archive_fixture_must_commit(f, &first_commit);
	archive_fixture_copy(archive_fixture_path(f, "catalog.db"),
			     archive_fixture_path(f, "old.db"));
	archive_fixture_must_commit(f, &second_commit);
	assert_int_equal(rename(archive_fixture_path(f, "old.db"),
				archive_fixture_path(f, "catalog.db")),
			 0);
	fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(lock_take(fd, false, &lock, NULL), 0);
	archive = archive_fixture_must_open(f, false);
	assert_null(archive_warning(archive));
	assert_int_equal(archive_fixture_read(archive, 29, 3000, 2), -ENOENT);
	assert_int_equal(archive_fixture_read(archive, 10, 5000, 1), 0);
	archive_free(archive);
}

/* Repair. */

static void leaves_repaired_while_reading_are_counted(void **state)
{
	struct archive_fixture *f = *state;
	const struct fixture_commit large = { .count = 1, .size = 3000000, .seed = 5 };
	struct log_counters counters;
	struct archive *archive;
	autoclose int fd = -1;
	uint64_t before;
	char path[256];

	archive_fixture_must_create(f);
	only_volume(f, path);
	before = file_size(path);
	archive_fixture_must_commit(f, &large);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (uint64_t offset = before + 500000; offset < before + 1500000;
	     offset += 200000)
		assert_int_equal(pwrite(fd, "rot", 3, (off_t)offset), 3);
	archive = archive_fixture_must_open(f, false);
	assert_int_equal(archive_fixture_read(archive, 0, 3000000, 5), 0);
	volume_set_counters(archive_volumes(archive), &counters);
	assert_true(counters.leaves_repaired >= 2);
	assert_int_equal(counters.leaves_lost, 0);
	archive_free(archive);
}

/* Threads. */

struct read_task {
	struct task task;
	struct archive *archive;
	const struct hash *ids; /* of packs of 1,000,000 bytes */
	unsigned count;
	unsigned start;
};

static int read_packs(struct task *task, unsigned worker, struct error *err)
{
	struct read_task *t = (struct read_task *)task;
	struct source *source = archive_source(t->archive);
	autofree uint8_t *frame = malloc(300000);
	int r = 0;

	(void)worker;
	for (unsigned i = 0; r == 0 && frame && i < 3 * t->count; i++) {
		const struct segment_ref *segment;

		r = source_segment(source, &t->ids[(t->start + i) % t->count], 0,
				   &segment, err);
		if (r < 0)
			break;
		r = source_frames(source, segment, (t->start + i) % 4, 1, frame, err);
		source_segment_unref(source, segment);
	}
	return r;
}

struct pack_ids {
	struct hash ids[8];
	unsigned count;
};

static int note_id(void *context, const struct segment_place *place)
{
	struct pack_ids *packs = context;

	assert_true(packs->count < 8);
	packs->ids[packs->count++] = place->id;
	return 0;
}

static void many_threads_read_at_once(void **state)
{
	struct archive_fixture *f = *state;
	struct read_task tasks[16] = { 0 };
	struct pack_ids packs = { .count = 0 };
	struct task_group group;
	struct archive *archive;

	archive_fixture_must_create(f);
	archive_fixture_must_commit(
		f, &(struct fixture_commit){ .count = 5, .size = 1000000, .seed = 1 });
	archive = archive_fixture_must_open(f, false);
	assert_int_equal(
		catalog_visit_segments(archive_catalog(archive), note_id, &packs, NULL),
		0);
	task_group_init(&group);
	for (unsigned i = 0; i < 16; i++) {
		tasks[i] = (struct read_task){
			.task.run = read_packs,
			.archive = archive,
			.ids = packs.ids,
			.count = packs.count,
			.start = i,
		};
		pool_submit(archive_pool(archive), &group, &tasks[i].task);
	}
	assert_int_equal(task_group_wait(&group, NULL), 0);
	task_group_done(&group);
	archive_free(archive);
}

#define TEST(name)                                                   \
	cmocka_unit_test_setup_teardown(name, archive_fixture_setup, \
					archive_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_archive_has_one_volume_and_the_first_commit),
		TEST(an_archive_is_not_made_twice),
		TEST(a_folder_with_other_contents_is_refused_and_left_alone),
		TEST(the_settings_of_the_archive_are_written_down),
		TEST(an_init_that_ended_before_the_settings_runs_again),
		TEST(an_init_that_ended_within_the_volume_runs_again),
		TEST(init_never_removes_a_volume_with_commits),
		TEST(two_archives_may_share_a_volume_folder),
		TEST(a_folder_that_is_no_archive_is_not_opened),
		TEST(a_second_writer_is_refused_and_a_reader_is_not),
		TEST(a_writer_outlasts_a_reader_that_catches_up),
		TEST(what_was_committed_is_read_back),
		TEST(a_missing_catalog_asks_for_a_rebuild),
		TEST(a_catalog_from_before_a_commit_catches_up),
		TEST(a_reader_beside_a_writer_does_not_catch_up),
		TEST(leaves_repaired_while_reading_are_counted),
		TEST(many_threads_read_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
