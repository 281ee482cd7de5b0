/* SPDX-License-Identifier: MIT */
/* What happens to files that can't be read, or that change while they are read; and the
 * limits that the writer of content keeps.
 */
#include "archive/content_writer.h"

#include "archive/archive.h"
#include "archive/change.h"
#include "archive/commit_session.h"
#include "archive/folder.h"
#include "archive/reader.h"
#include "archive/source.h"
#include "archive/source_local.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/file.h"
#include "support/commit_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

/* How often append_to_large() still does it. */
static unsigned appends_left;

/* Progress is told after each piece, while the next ones are being read. */
static void append_to_large(struct commit_fixture *f)
{
	int fd;

	if (appends_left == 0)
		return;
	appends_left--;
	fd = openat(f->fd, "large", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write_full(fd, "x", 1), 0);
	assert_int_equal(close(fd), 0);
}

static void a_file_that_changed_while_it_was_read_is_read_again(void **state)
{
	struct commit_fixture *f = *state;

	source_noise(f, "large", 100 * MIB, 1);
	appends_left = 1;
	f->on_progress = append_to_large;
	commit_fixture_commit(f);
	assert_int_equal(appends_left, 0);
	assert_int_equal(f->summary.new_files, 1);
	assert_as_source(f, "src/large", "large");
}

static void a_file_that_keeps_changing_is_left_out(void **state)
{
	struct commit_fixture *f = *state;

	source_noise(f, "large", 100 * MIB, 1);
	source_text(f, "other", "other");
	commit_fixture_commit(f);
	source_noise(f, "large", 100 * MIB, 2);
	source_text(f, "other", "changed");
	appends_left = 1000;
	f->on_progress = append_to_large;
	assert_int_equal(commit_fixture_run(f), 0);
	assert_true(f->summary.made);
	assert_int_equal(f->summary.problems, 1);
	assert_true(has_problem(f, COMMIT_CHANGED, "src/large"));
	assert_int_equal(commit_fixture_version(f, "src/large"), 1);
	assert_int_equal(commit_fixture_version(f, "src/other"), 2);
}

/* Files of sysfs say they have 4,096 bytes, and have less; or can't be read at all. */
static void commit_sys(struct commit_fixture *f, const char *path)
{
	const struct commit_source source = { .path = path, .destination = "sys" };

	f->options.sources = &source;
	f->options.source_count = 1;
	assert_int_equal(commit_fixture_run(f), 0);
	assert_int_equal(f->summary.problems, 1);
	assert_int_equal(commit_fixture_version(f, "sys"), 0);
	assert_false(f->summary.made);
}

static void a_small_file_that_is_shorter_than_its_size_is_left_out(void **state)
{
	const char *path = "/sys/kernel/mm/transparent_hugepage/enabled";
	struct commit_fixture *f = *state;

	if (access(path, R_OK) < 0)
		return; /* there is no such file here */
	commit_sys(f, path);
	assert_int_equal(f->problems[0].problem, COMMIT_CHANGED);
}

static void a_file_that_can_not_be_read_is_reported(void **state)
{
	const char *path = "/sys/bus/cpu/drivers_probe";
	struct commit_fixture *f = *state;

	if (access(path, F_OK) < 0)
		return; /* there is no such file here */
	commit_sys(f, path);
	assert_int_equal(f->problems[0].problem, COMMIT_UNREADABLE);
}

static void other_content_under_an_old_mtime_is_reported_and_kept(void **state)
{
	struct commit_fixture *f = *state;
	struct timespec times[2] = { { 0, UTIME_OMIT } };
	struct stat stat;

	source_text(f, "x", "good");
	commit_fixture_commit(f);
	assert_int_equal(fstatat(f->fd, "x", &stat, 0), 0);
	source_text(f, "x", "rotn");
	times[1] = stat.st_mtim;
	assert_int_equal(utimensat(f->fd, "x", times, 0), 0);
	assert_int_equal(commit_fixture_run(f), 0);
	assert_int_equal(f->summary.problems, 1);
	assert_true(has_problem(f, COMMIT_BIT_ROT, "src/x"));
	assert_int_equal(commit_fixture_version(f, "src/x"), 2);
	assert_content(f, "src/x", "rotn", 4);
}

static void frames_may_be_as_small_as_16_kib(void **state)
{
	struct commit_fixture *f = *state;

	source_noise(f, "small", 20000, 1);
	source_noise(f, "exact", 16384, 2);
	source_noise(f, "medium", 5 * MIB + 1, 3);
	source_noise(f, "large", 70 * MIB + 1, 4);
	f->options.frame_size = 16384;
	commit_fixture_commit(f);
	assert_as_source(f, "src/small", "small");
	assert_as_source(f, "src/exact", "exact");
	assert_as_source(f, "src/medium", "medium");
	assert_as_source(f, "src/large", "large");
}

static void files_around_the_limits_come_back(void **state)
{
	const size_t sizes[] = { 1,           262143,       262144,      262145,
				 8 * MIB - 1, 8 * MIB,      8 * MIB + 1, 32 * MIB - 1,
				 32 * MIB,    32 * MIB + 1, 64 * MIB,    64 * MIB + 1,
				 1048576,     1048577 };
	struct commit_fixture *f = *state;
	char name[32];
	char path[40];

	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		(void)snprintf(name, sizeof(name), "%u-%zu", i, sizes[i]);
		source_noise(f, name, sizes[i], i + 1);
	}
	commit_fixture_commit(f);
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		(void)snprintf(name, sizeof(name), "%u-%zu", i, sizes[i]);
		(void)snprintf(path, sizeof(path), "src/%s", name);
		assert_as_source(f, path, name);
	}
}

/* What reading 4 KiB at @offset of a content takes from the volumes when nothing of them
 * is in memory. */
static struct log_counters cold_read(struct commit_fixture *f,
				     const struct content *content, uint64_t offset)
{
	struct volume_set_options options = {
		.places = archive_places(f->archive),
		.catalog = archive_catalog(f->archive),
		.budget = archive_budget(f->archive),
	};
	autoptr(volume_set) volumes = NULL;
	autoptr(source) source = NULL;
	autoptr(reader) reader = NULL;
	struct log_counters counters;
	uint8_t data[4096];

	archive_id(f->archive, &options.archive_id);
	assert_int_equal(volume_set_new(&options, &volumes, NULL), 0);
	assert_int_equal(source_local_new(volumes, options.budget, &source, NULL), 0);
	assert_int_equal(reader_new(source, NULL, &reader, NULL), 0);
	if (content_read(content, reader, offset, data, sizeof(data), &f->err) < 0)
		fail_msg("%s", f->err.text);
	volume_set_counters(volumes, &counters);
	return counters;
}

/* Frames of all sizes, so that header, tables and frames lie anywhere in leaves and extents. */
static void source_mixed(struct commit_fixture *f, const char *name, size_t size)
{
	autofree uint8_t *data = malloc(size);
	uint32_t seed = 1;

	assert_non_null(data);
	fill_noise(data, size, 7);
	for (size_t i = 0; i + 200000 < size; i += 250000) {
		seed = seed * 1664525 + 1013904223;
		memset(data + i, 0, (seed >> 16) % 200000);
	}
	source_file(f, name, data, size);
}

/* Two leaves of header, two of tables, six of a frame, and three tables of extents. With two
 * leaves and a table for the list of segments of a file beyond 2 GiB, and 16 KiB to
 * identify the volume, that is less than 1 MiB. */
#define COLD_LEAVES_MAX 10u
#define COLD_READ_MAX (COLD_LEAVES_MAX * 65536u + 3 * 13 * 4096u)

static void expect_small_cold_reads(struct commit_fixture *f, const char *path)
{
	autoptr(content) content = NULL;
	struct manifest manifest;

	assert_true(commit_fixture_find(f, path, &manifest));
	assert_int_equal(content_open(&manifest, &content, NULL), 0);
	for (uint64_t offset = 0; offset < manifest.size; offset += 256 * 1024) {
		struct log_counters counters = cold_read(f, content, offset);

		if (counters.leaves_read > COLD_LEAVES_MAX ||
		    counters.bytes_read > COLD_READ_MAX)
			fail_msg("%s, offset %llu: %llu bytes", path,
				 (unsigned long long)offset,
				 (unsigned long long)counters.bytes_read);
	}
	manifest_done(&manifest);
}

static void a_cold_read_of_a_page_takes_less_than_a_mebibyte(void **state)
{
	static const unsigned policies[][2] = { { 1, 0 }, { 5, 1 } };
	struct commit_fixture *f = *state;

	for (uint32_t i = 0; i < 2; i++) {
		f->base.config.parity.policy = CONFIG_POLICY_COMPACT;
		f->base.config.parity.data = policies[i][0];
		f->base.config.parity.parity = policies[i][1];
		commit_fixture_reopen(f);
		source_noise(f, "noise", 65 * MIB, i);
		source_mixed(f, "mixed", (120 + i) * MIB);
		commit_fixture_commit(f);
		expect_small_cold_reads(f, "src/noise");
		expect_small_cold_reads(f, "src/mixed");
	}
}

/* Volumes of 64 MiB, and files that do not fit into one. */
static void make_volumes(struct commit_fixture *f)
{
	f->base.config.volume.max_size = 64 * MIB;
	commit_fixture_reopen(f);
	source_noise(f, "a", 30 * MIB, 1);
	source_noise(f, "b", 100 * MIB, 2);
	source_noise(f, "c", 5 * MIB, 3);
	commit_fixture_commit(f);
}

/* Like noise, but it compresses to half. */
static void source_digits(struct commit_fixture *f, const char *name, size_t size,
			  uint32_t seed)
{
	autofree uint8_t *data = malloc(size);

	assert_non_null(data);
	fill_noise(data, size, seed);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)('0' + data[i] % 10);
	source_file(f, name, data, size);
}

/* Frames of a piece are encoded while the piece before is written, before it is looked up. */
static void pieces_that_are_known_may_follow_new_ones(void **state)
{
	struct commit_fixture *f = *state;

	source_digits(f, "a", 66 * MIB, 1);
	source_digits(f, "b", 66 * MIB, 1);
	source_digits(f, "c", 34 * MIB, 2);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.new_size, 66 * MIB + 34 * MIB);
	assert_int_equal(f->summary.known_size, 66 * MIB);
	assert_as_source(f, "src/a", "a");
	assert_as_source(f, "src/b", "b");
	assert_as_source(f, "src/c", "c");
}

static void a_commit_may_span_volumes(void **state)
{
	struct commit_fixture *f = *state;
	char names[FIXTURE_VOLUMES_MAX][64];

	make_volumes(f);
	assert_true(archive_fixture_volumes(&f->base, names) >= 3);
	assert_as_source(f, "src/a", "a");
	assert_as_source(f, "src/b", "b");
	assert_as_source(f, "src/c", "c");
}

/* When the first volume is full, the workers have taken all memory that was left. */
static void a_commit_may_span_volumes_with_little_memory(void **state)
{
	struct commit_fixture *f = *state;
	char names[FIXTURE_VOLUMES_MAX][64];

	f->base.config.limits.memory = 96 * MIB;
	f->base.config.volume.max_size = 128 * MIB;
	commit_fixture_reopen(f);
	source_noise(f, "large", 200 * MIB, 1);
	commit_fixture_commit(f);
	assert_true(archive_fixture_volumes(&f->base, names) >= 2);
	assert_as_source(f, "src/large", "large");
}

static void what_lies_on_a_volume_that_is_not_attached_is_stored_again(void **state)
{
	struct commit_fixture *f = *state;
	char away[96];

	make_volumes(f);
	(void)snprintf(away, sizeof(away), "%s/away", f->base.parent);
	assert_int_equal(rename(archive_fixture_volume(&f->base, 0), away), 0);
	commit_fixture_reopen(f);
	source_noise(f, "copy", 30 * MIB, 1);
	commit_fixture_commit(f);
	assert_int_equal(f->summary.new_size, 30 * MIB);
	assert_as_source(f, "src/copy", "copy");

	source_noise(f, "another", 30 * MIB, 1); /* now there is one that is attached */
	commit_fixture_commit(f);
	assert_int_equal(f->summary.known_size, 30 * MIB);
}

static void a_symlink_is_a_source_itself_unless_a_slash_follows(void **state)
{
	struct commit_fixture *f = *state;
	char link[80];
	char slash[82];
	const struct commit_source sources[] = {
		{ .path = link, .destination = "link" },
		{ .path = slash, .destination = "folder" },
	};
	struct manifest manifest;

	source_folder(f, "d");
	source_text(f, "d/x", "x");
	assert_int_equal(symlinkat("d", f->fd, "l"), 0);
	(void)snprintf(link, sizeof(link), "%s/l", f->source);
	(void)snprintf(slash, sizeof(slash), "%s/", link);
	f->options.sources = sources;
	f->options.source_count = 2;
	commit_fixture_commit(f);
	assert_true(commit_fixture_find(f, "link", &manifest));
	assert_int_equal(manifest.type, ENTRY_SYMLINK);
	manifest_done(&manifest);
	assert_content(f, "folder/x", "x", 1);
}

/* A content writer by itself. */
struct writer_fixture {
	struct commit_session *session;
	struct commit_monitor monitor;
	struct content_writer *writer;
	struct folder *folder;
	struct change *change;
};

static void writer_open(struct writer_fixture *w, struct commit_fixture *f)
{
	const struct commit_session_options session = {
		.archive = f->archive,
		.appender = { .tiered = true, .data = 30, .parity = 3 },
	};
	struct content_writer_options options = {
		.monitor = &w->monitor,
		.pool = archive_pool(f->archive),
		.budget = archive_budget(f->archive),
		.frame_size = 262144,
		.level = 3,
	};

	*w = (struct writer_fixture){ 0 };
	assert_int_equal(commit_session_new(&session, &w->session, &f->err), 0);
	options.session = w->session;
	assert_int_equal(content_writer_new(&options, &w->writer, &f->err), 0);
	assert_int_equal(folder_open(AT_FDCWD, f->source, &w->folder), 0);
	assert_int_equal(
		change_new(CHANGE_PUT, (const uint8_t *)"x", 1, NULL, &w->change), 0);
}

static void writer_close(struct writer_fixture *w)
{
	content_writer_free(w->writer);
	change_free(w->change);
	folder_unref(w->folder);
	commit_session_free(w->session);
}

static void read_x(struct writer_fixture *w, struct commit_fixture *f,
		   const struct stat *stat)
{
	assert_int_equal(
		content_writer_file(w->writer, w->change, w->folder, "x", stat, &f->err),
		0);
	while (content_writer_step(w->writer, &f->err) > 0)
		;
	assert_int_equal(w->change->waiting, 0);
}

static void a_small_file_that_was_replaced_since_it_was_seen_is_read_anew(void **state)
{
	struct commit_fixture *f = *state;
	struct writer_fixture w;
	struct hash hash;
	struct stat stat;

	source_text(f, "x", "old");
	assert_int_equal(fstatat(f->fd, "x", &stat, 0), 0);
	assert_int_equal(unlinkat(f->fd, "x", 0), 0);
	source_noise(f, "x", 2 * MIB, 1); /* and is large now */
	writer_open(&w, f);
	read_x(&w, f, &stat);
	assert_false(w.change->failed);
	assert_int_equal(w.monitor.problems, 0);
	assert_int_equal(w.change->manifest.size, 2 * MIB);
	assert_false(hash_is_zero(&w.change->manifest.pack.segment));
	autofree uint8_t *data = malloc(2 * MIB);
	fill_noise(data, 2 * MIB, 1);
	hash_bytes(data, 2 * MIB, &hash);
	assert_true(hash_equal(&hash, &w.change->manifest.hash));
	writer_close(&w);
}

static void a_file_that_became_something_else_is_left_out(void **state)
{
	struct commit_fixture *f = *state;
	struct writer_fixture w;
	struct stat stat;

	source_text(f, "x", "old");
	assert_int_equal(fstatat(f->fd, "x", &stat, 0), 0);
	assert_int_equal(unlinkat(f->fd, "x", 0), 0);
	assert_int_equal(mkfifoat(f->fd, "x", 0600), 0); /* opening it must not wait */
	writer_open(&w, f);
	read_x(&w, f, &stat);
	assert_true(w.change->failed);
	assert_int_equal(w.monitor.problems, 1);
	writer_close(&w);
}

static void a_file_that_went_is_left_out(void **state)
{
	struct commit_fixture *f = *state;
	struct writer_fixture w;
	struct stat stat;

	source_noise(f, "x", 10 * MIB, 1);
	assert_int_equal(fstatat(f->fd, "x", &stat, 0), 0);
	assert_int_equal(unlinkat(f->fd, "x", 0), 0);
	writer_open(&w, f);
	read_x(&w, f, &stat);
	assert_true(w.change->failed);
	writer_close(&w);
}

static void a_writer_may_be_dropped_with_everything_on_its_way(void **state)
{
	struct commit_fixture *f = *state;
	struct writer_fixture w;
	uint64_t before = budget_available(archive_budget(f->archive));
	struct stat stat;

	source_noise(f, "x", 40 * MIB, 1);
	assert_int_equal(fstatat(f->fd, "x", &stat, 0), 0);
	writer_open(&w, f);
	assert_int_equal(
		content_writer_file(w.writer, w.change, w.folder, "x", &stat, &f->err),
		0);
	writer_close(&w);
	assert_int_equal(budget_available(archive_budget(f->archive)), before);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_file_that_changed_while_it_was_read_is_read_again),
		CASE(a_file_that_keeps_changing_is_left_out),
		CASE(a_small_file_that_is_shorter_than_its_size_is_left_out),
		CASE(a_file_that_can_not_be_read_is_reported),
		CASE(other_content_under_an_old_mtime_is_reported_and_kept),
		CASE(frames_may_be_as_small_as_16_kib),
		CASE(files_around_the_limits_come_back),
		CASE(a_cold_read_of_a_page_takes_less_than_a_mebibyte),
		CASE(pieces_that_are_known_may_follow_new_ones),
		CASE(a_commit_may_span_volumes),
		CASE(a_commit_may_span_volumes_with_little_memory),
		CASE(what_lies_on_a_volume_that_is_not_attached_is_stored_again),
		CASE(a_symlink_is_a_source_itself_unless_a_slash_follows),
		CASE(a_small_file_that_was_replaced_since_it_was_seen_is_read_anew),
		CASE(a_file_that_became_something_else_is_left_out),
		CASE(a_file_that_went_is_left_out),
		CASE(a_writer_may_be_dropped_with_everything_on_its_way),
	};

	return cmocka_run_group_tests_name("content_writer", tests, NULL, NULL);
}
