/* SPDX-License-Identifier: MIT */
/* The file: opening, transactions, damage, readers beside a writer. */
#include "catalog/catalog.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "catalog/database.h"
#include "catalog/handle.h"
#include "support/catalog_sample.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

enum { NOBODY = 65534, PAGE = 4096 };

static void fill(struct catalog *catalog)
{
	assert_int_equal(catalog_begin(catalog, NULL), 0);
	sample_put(catalog, 1, "a", ENTRY_DIRECTORY, 1, 0);
	sample_put(catalog, 1, "a/x", ENTRY_FILE, 1, 100);
	sample_put(catalog, 1, "a/y", ENTRY_FILE, 1, 200);
	sample_put(catalog, 1, "b", ENTRY_DIRECTORY, 1, 0);
	sample_put(catalog, 1, "b/x", ENTRY_FILE, 1, 300);
	sample_put(catalog, 2, "a/x", ENTRY_FILE, 2, 400);
	sample_commit(catalog, 1);
	sample_commit(catalog, 2);
	sample_put_volume(catalog, 1);
	sample_put_record(catalog, 1, 0, 0);
	assert_int_equal(catalog_commit(catalog, NULL), 0);
}

static int open_at(const char *path)
{
	struct catalog *catalog = NULL;
	int r = catalog_open(path, &catalog, NULL);

	catalog_free(catalog);
	return r;
}

static void a_new_catalog_is_there_when_opened_again(void **state)
{
	struct sample *sample = *state;
	struct hash id, want;

	fill(sample->catalog);
	sample_reopen(sample);
	hash_bytes("archive", 7, &want);
	catalog_archive_id(sample->catalog, &id);
	assert_true(hash_equal(&id, &want));
	assert_int_equal(sample_get(sample->catalog, "z", VERSION_CURRENT, NULL),
			 CATALOG_END);
}

static void creating_replaces_what_was_there(void **state)
{
	struct sample *sample = *state;
	struct version_row row = { 0 };
	struct hash id = { 0 };

	fill(sample->catalog);
	catalog_free(sample->catalog);
	sample->catalog = NULL;
	assert_int_equal(catalog_create(sample->path, &id, &sample->catalog, NULL), 0);
	assert_int_equal(sample_get(sample->catalog, "a", VERSION_CURRENT, &row),
			 CATALOG_END);
}

static void what_is_no_catalog_is_refused(void **state)
{
	struct sample *sample = *state;
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/none", sample->folder);
	assert_int_equal(open_at(path), -ENOENT);
	assert_int_equal(open_at(sample->folder), -EBADMSG);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(open_at(path), -EBADMSG);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(write(fd, "\x13\x37\xff\0", 4), 4);
	assert_int_equal(open_at(path), -EBADMSG);
	(void)close(fd);
	assert_int_equal(unlink(path), 0);
}

static void other_tables_are_refused(void **state)
{
	struct sample *sample = *state;

	catalog_free(take_ptr(sample->catalog));
	sample_sql(sample, "CREATE TABLE stranger(x)");
	assert_int_equal(open_at(sample->path), -EBADMSG);
	sample_sql(sample, "DROP TABLE stranger");
	assert_int_equal(open_at(sample->path), 0);
	sample_sql(sample, "DROP TABLE page");
	assert_int_equal(open_at(sample->path), -EBADMSG);
}

static void newer_versions_are_told_apart_from_damage(void **state)
{
	struct sample *sample = *state;

	catalog_free(take_ptr(sample->catalog));
	sample_sql(sample, "PRAGMA user_version = 6");
	assert_int_equal(open_at(sample->path), -EPROTONOSUPPORT);
	sample_sql(sample, "PRAGMA user_version = 4");
	assert_int_equal(open_at(sample->path), -EBADMSG);
	sample_sql(sample, "PRAGMA user_version = 0");
	assert_int_equal(open_at(sample->path), -EBADMSG);
	sample_sql(sample, "PRAGMA user_version = 5; PRAGMA application_id = 1");
	assert_int_equal(open_at(sample->path), -EBADMSG);
}

/* Ask for everything; only damage may come of it. */
static void assert_only_damage(const char *path)
{
	struct catalog *catalog = NULL;
	int r = catalog_open(path, &catalog, NULL);
	FILE *out = fopen("/dev/null", "we");

	assert_non_null(out);
	if (r == 0)
		r = catalog_dump(catalog, out, NULL);
	assert_int_equal(fclose(out), 0);
	if (r != 0 && r != -EBADMSG)
		fail_msg("%d", r);
	catalog_free(catalog);
}

static void truncated_files_are_damaged(void **state)
{
	struct sample *sample = *state;
	struct stat st;

	fill(sample->catalog);
	catalog_free(take_ptr(sample->catalog));
	assert_int_equal(stat(sample->path, &st), 0);
	for (off_t size = st.st_size - 1; size >= 0; size -= size > 200 ? 997 : 1) {
		assert_int_equal(truncate(sample->path, size), 0);
		if (size <= st.st_size - PAGE)
			assert_int_equal(open_at(sample->path), -EBADMSG);
		assert_only_damage(sample->path);
	}
}

static void rolling_back_leaves_no_trace(void **state)
{
	struct sample *sample = *state;
	autofree char *before = NULL, *after = NULL;

	fill(sample->catalog);
	before = sample_dump(sample->catalog);
	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	sample_put(sample->catalog, 3, "new/folder/f", ENTRY_FILE, 1, 500);
	sample_end(sample->catalog, 3, "a/x");
	sample_put_record(sample->catalog, 1, 1, 2);
	catalog_rollback(sample->catalog);
	after = sample_dump(sample->catalog);
	assert_string_equal(before, after);

	/* Nodes that were rolled back are not remembered. */
	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	sample_put(sample->catalog, 3, "new/folder/g", ENTRY_FILE, 1, 500);
	assert_int_equal(catalog_commit(sample->catalog, NULL), 0);
	assert_int_equal(sample_get(sample->catalog, "new/folder/f", 3, NULL),
			 CATALOG_END);
}

static void closing_rolls_back(void **state)
{
	struct sample *sample = *state;

	fill(sample->catalog);
	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	sample_put(sample->catalog, 3, "c", ENTRY_FILE, 1, 500);
	sample_reopen(sample);
	assert_int_equal(sample_get(sample->catalog, "c", VERSION_CURRENT, NULL),
			 CATALOG_END);
}

static void writing_without_a_transaction_is_one(void **state)
{
	struct sample *sample = *state;
	struct version_row row = { 0 };

	sample_put(sample->catalog, 1, "c", ENTRY_FILE, 1, 500);
	sample_put(sample->catalog, 1, "d", ENTRY_FILE, 1, 500);
	sample_reopen(sample);
	assert_int_equal(sample_get(sample->catalog, "d", VERSION_CURRENT, &row), 0);
	version_row_done(&row);
}

static void a_full_disk_gives_the_transaction_up(void **state)
{
	struct sample *sample = *state;
	autofree char *before = NULL, *after = NULL;
	struct manifest manifest = { 0 };
	char name[32];
	int r = 0;

	fill(sample->catalog);
	before = sample_dump(sample->catalog);
	assert_int_equal(
		database_run(sample->catalog->db, "PRAGMA max_page_count = 40", NULL), 0);
	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	for (uint32_t i = 0; r == 0; i++) {
		autofree char *line = NULL;

		(void)snprintf(name, sizeof(name), "file-%u", i);
		line = sample_line(name, ENTRY_FILE, 1, i);
		assert_int_equal(manifest_decode(line, strlen(line), &manifest, NULL), 0);
		r = catalog_put_version(sample->catalog, 3, &manifest, line, strlen(line),
					NULL);
		manifest_done(&manifest);
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(catalog_commit(sample->catalog, NULL) < 0);
	after = sample_dump(sample->catalog);
	assert_string_equal(before, after);
}

/* Changed behind its back, a row is not believed. */
static void assert_damaged_by(struct sample *sample, const char *sql,
			      int (*ask)(struct catalog *catalog))
{
	catalog_free(take_ptr(sample->catalog));
	sample_sql(sample, sql);
	sample_reopen(sample);
	if (ask(sample->catalog) != -EBADMSG)
		fail_msg("not noticed: %s", sql);
}

static int ask_version(struct catalog *catalog)
{
	return sample_get(catalog, "a/y", VERSION_CURRENT, NULL);
}

static int ask_listing(struct catalog *catalog)
{
	struct version_row folder = { 0 }, row = { 0 };
	autoptr(listing) listing = NULL;
	int r;

	assert_int_equal(sample_get(catalog, "a", VERSION_CURRENT, &folder), 0);
	assert_int_equal(listing_children(catalog, folder.node, VERSION_CURRENT, false,
					  &listing, NULL),
			 0);
	while ((r = listing_next(listing, &row, NULL)) == 0)
		;
	version_row_done(&row);
	version_row_done(&folder);
	return r;
}

static int ask_dump(struct catalog *catalog)
{
	autofree char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int r;

	assert_non_null(out);
	r = catalog_dump(catalog, out, NULL);
	assert_int_equal(fclose(out), 0);
	return r;
}

#define VERSION_OF_Y "(SELECT id FROM node WHERE name = x'79')"

static void changed_rows_are_damage(void **state)
{
	static const char *const versions[] = {
		"UPDATE version SET size = size + 1 WHERE node = " VERSION_OF_Y,
		"UPDATE version SET hash = zeroblob(32) WHERE node = " VERSION_OF_Y,
		"UPDATE version SET hash = substr(hash, 2) WHERE node = " VERSION_OF_Y,
		"UPDATE version SET mtime_ns = 8 WHERE node = " VERSION_OF_Y,
		"UPDATE version SET type = type + 1 WHERE node = " VERSION_OF_Y,
		"UPDATE version SET first = 0 WHERE node = " VERSION_OF_Y,
		"UPDATE version SET end = 9 WHERE node = " VERSION_OF_Y,
		"UPDATE version SET inode = 'x' WHERE node = " VERSION_OF_Y,
		"UPDATE version SET manifest = manifest - 1 WHERE node = " VERSION_OF_Y,
		"UPDATE version SET checksum = checksum + 1 WHERE node = " VERSION_OF_Y,
		"UPDATE node SET name = x'7a' WHERE name = x'79';"
		"UPDATE node SET name = x'79' WHERE name = x'78' AND parent = 1",
		"UPDATE node SET id = 5 WHERE name = x'79'",
	};
	struct sample *sample = *state;

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		struct hash id = { 0 };

		catalog_free(take_ptr(sample->catalog));
		assert_int_equal(
			catalog_create(sample->path, &id, &sample->catalog, NULL), 0);
		fill(sample->catalog);
		assert_damaged_by(sample, versions[i], ask_version);
		assert_int_equal(ask_listing(sample->catalog), -EBADMSG);
		assert_int_equal(ask_dump(sample->catalog), -EBADMSG);
	}
}

static void changed_lines_are_damage(void **state)
{
	struct sample *sample = *state;

	fill(sample->catalog);
	assert_damaged_by(sample,
			  "UPDATE manifest SET line = replace(line, '\"mode\":420',"
			  " '\"mode\":428') WHERE line LIKE '%a/y%'",
			  ask_version);
	assert_int_equal(ask_listing(sample->catalog), CATALOG_END); /* reads no lines */
}

/* The rows themselves are whole; only the folders' numbers were exchanged. */
static void exchanged_folders_are_damage(void **state)
{
	struct sample *sample = *state;

	fill(sample->catalog);
	assert_damaged_by(sample,
			  "UPDATE node SET id = CASE id WHEN 1 THEN 4 ELSE 1 END"
			  " WHERE parent = 0",
			  ask_version);
}

static void changed_places_are_damage(void **state)
{
	static const char *const changes[] = {
		"UPDATE segment SET log_offset = log_offset + 1",
		"UPDATE segment SET position = 5",
		"UPDATE page SET stored_size = 5",
		"UPDATE page SET hash = zeroblob(32)",
		"UPDATE stripe SET info = substr(info, 1, 100)",
		"UPDATE stripe SET info = zeroblob(232)",
		"UPDATE volume SET log_end = 7",
		"UPDATE volume SET uuid = zeroblob(16)",
		"UPDATE volume SET label = NULL",
		"UPDATE commit_head SET head = '{}'",
		"UPDATE commit_head SET sequence = 3 WHERE sequence = 2",
	};
	struct sample *sample = *state;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct hash id = { 0 };

		catalog_free(take_ptr(sample->catalog));
		assert_int_equal(
			catalog_create(sample->path, &id, &sample->catalog, NULL), 0);
		fill(sample->catalog);
		assert_damaged_by(sample, changes[i], ask_dump);
	}
}

static void a_changed_node_counter_is_damage(void **state)
{
	struct sample *sample = *state;

	fill(sample->catalog);
	catalog_free(take_ptr(sample->catalog));
	sample_sql(sample, "UPDATE meta SET value = 1 WHERE name = 'next_node'");
	sample_reopen(sample);
	assert_int_equal(catalog_begin(sample->catalog, NULL), -EBADMSG);
	catalog_free(take_ptr(sample->catalog));
	sample_sql(sample, "UPDATE meta SET value = zeroblob(32) WHERE name = 'archive'");
	assert_int_equal(open_at(sample->path), -EBADMSG);
}

/* The right answer, none, or an error: never another version. */
static void assert_right_or_nothing(const struct sample *sample, const char *path,
				    const char *line)
{
	struct catalog *catalog = NULL;
	struct version_row row = { 0 };

	if (catalog_open(sample->path, &catalog, NULL) < 0)
		return;
	if (sample_get(catalog, path, VERSION_CURRENT, &row) == 0)
		assert_string_equal(row.line, line);
	version_row_done(&row);
	catalog_free(catalog);
}

static void no_flipped_bit_gives_another_files_manifest(void **state)
{
	struct sample *sample = *state;
	autofree char *x = sample_line("a/x", ENTRY_FILE, 2, 400);
	autofree char *y = sample_line("a/y", ENTRY_FILE, 1, 200);
	autofree uint8_t *whole = NULL;
	size_t size = 0, seen = 0;

	fill(sample->catalog);
	catalog_free(take_ptr(sample->catalog));
	assert_int_equal(
		file_read_all(AT_FDCWD, sample->path, 1 << 20, &whole, &size, NULL), 0);
	/* Most of the file is free space in pages: some of the nonzero bytes. */
	for (size_t i = 0; i < size; i++) {
		uint8_t changed = (uint8_t)(whole[i] ^ 1u << i % 8);
		int fd;

		if (!whole[i] || ++seen % 5)
			continue;
		fd = open(sample->path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(pwrite_full(fd, &changed, 1, i), 0);
		if (i % 2)
			assert_right_or_nothing(sample, "a/x", x);
		else
			assert_right_or_nothing(sample, "a/y", y);
		assert_int_equal(pwrite_full(fd, &whole[i], 1, i), 0);
		(void)close(fd);
	}
}

struct reader {
	const struct sample *sample;
	sem_t go;
	sem_t done;
	int results[2];
};

static void *read_beside(void *argument)
{
	struct reader *reader = argument;
	struct catalog *catalog = NULL;

	reader->results[0] = catalog_open(reader->sample->path, &catalog, NULL);
	for (int i = 0; i < 2; i++) {
		struct version_row row = { 0 };

		(void)sem_wait(&reader->go);
		if (catalog)
			reader->results[i] =
				sample_get(catalog, "many/file-0", VERSION_CURRENT, &row);
		version_row_done(&row);
		(void)sem_post(&reader->done);
	}
	catalog_free(catalog);
	return NULL;
}

static void readers_do_not_wait_for_a_writer(void **state)
{
	struct sample *sample = *state;
	struct reader reader = { .sample = sample };
	pthread_t thread;
	char name[32];

	assert_int_equal(sem_init(&reader.go, 0, 0), 0);
	assert_int_equal(sem_init(&reader.done, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_beside, &reader), 0);
	assert_int_equal(catalog_begin(sample->catalog, NULL), 0);
	for (unsigned i = 0; i < 20000; i++) { /* more than fits the cache */
		(void)snprintf(name, sizeof(name), "many/file-%u", i);
		sample_put(sample->catalog, 1, name, ENTRY_FILE, 1, i);
	}
	(void)sem_post(&reader.go);
	(void)sem_wait(&reader.done);
	assert_int_equal(catalog_commit(sample->catalog, NULL), 0);
	(void)sem_post(&reader.go);
	(void)sem_wait(&reader.done);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(reader.results[0], CATALOG_END);
	assert_int_equal(reader.results[1], 0);
}

/* In a child that may not write to the folder: read, and fail to write. */
static int read_only_child(const struct sample *sample)
{
	struct catalog *catalog = NULL;
	struct version_row row = { 0 };
	int r;

	if (geteuid() == 0 && (setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
			       setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return 1;
	r = catalog_open(sample->path, &catalog, NULL);
	if (r < 0)
		return 2;
	if (sample_get(catalog, "a/y", VERSION_CURRENT, &row) != 0)
		return 3;
	if (catalog_begin(catalog, NULL) != -EROFS)
		return 4;
	version_row_done(&row);
	catalog_free(catalog);
	return 0;
}

static int wait_for(pid_t child)
{
	int status = 0;

	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void assert_readable_without_writing(const struct sample *sample)
{
	pid_t child;

	assert_int_equal(chmod(sample->path, 0444), 0);
	assert_int_equal(chmod(sample->folder, 0555), 0);
	child = fork();
	if (child == 0)
		_exit(read_only_child(sample));
	assert_int_equal(wait_for(child), 0);
	assert_int_equal(chmod(sample->folder, 0755), 0);
}

static void a_read_only_folder_can_be_read(void **state)
{
	struct sample *sample = *state;

	fill(sample->catalog);
	catalog_free(take_ptr(sample->catalog));
	assert_readable_without_writing(sample);
}

/* A writer that was killed left its last transactions in the -wal file. */
static void so_can_what_a_killed_writer_left(void **state)
{
	struct sample *sample = *state;
	char name[128];
	pid_t child;

	catalog_free(take_ptr(sample->catalog));
	child = fork();
	if (child == 0) {
		struct catalog *catalog = NULL;

		if (catalog_open(sample->path, &catalog, NULL) < 0)
			_exit(1);
		fill(catalog);
		_exit(0);
	}
	assert_int_equal(wait_for(child), 0);
	(void)snprintf(name, sizeof(name), "%s-shm", sample->path);
	assert_int_equal(unlink(name), 0);
	(void)snprintf(name, sizeof(name), "%s-wal", sample->path);
	assert_int_equal(chmod(name, 0444), 0);
	assert_readable_without_writing(sample);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, sample_setup, sample_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_new_catalog_is_there_when_opened_again),
		CASE(creating_replaces_what_was_there),
		CASE(what_is_no_catalog_is_refused),
		CASE(other_tables_are_refused),
		CASE(newer_versions_are_told_apart_from_damage),
		CASE(truncated_files_are_damaged),
		CASE(rolling_back_leaves_no_trace),
		CASE(closing_rolls_back),
		CASE(writing_without_a_transaction_is_one),
		CASE(a_full_disk_gives_the_transaction_up),
		CASE(changed_rows_are_damage),
		CASE(changed_lines_are_damage),
		CASE(exchanged_folders_are_damage),
		CASE(changed_places_are_damage),
		CASE(a_changed_node_counter_is_damage),
		CASE(no_flipped_bit_gives_another_files_manifest),
		CASE(readers_do_not_wait_for_a_writer),
		CASE(a_read_only_folder_can_be_read),
		CASE(so_can_what_a_killed_writer_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
