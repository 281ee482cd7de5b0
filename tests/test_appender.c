/* SPDX-License-Identifier: MIT */
#include "archive/appender.h"

#include "archive/active_volume.h"
#include "archive/archive.h"
#include "archive/volume_list.h"
#include "base/budget.h"
#include "base/cleanup.h"
#include "catalog/history.h"
#include "support/archive_fixture.h"
#include "volume/backend.h"
#include "volume/chain.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1u << 20)

/* 5 MB at four copies: three fill a volume of 64 MiB. */
static const struct fixture_commit bulk = { .count = 5, .size = 1000000, .seed = 1 };

static int setup(void **state)
{
	(void)archive_fixture_setup(state);
	archive_fixture_must_create(*state);
	return 0;
}

static void check_files(struct archive_fixture *f, const struct fixture_commit *what)
{
	struct archive *archive = archive_fixture_must_open(f, false);

	for (uint32_t i = what->first; i < what->first + what->count; i++)
		assert_int_equal(archive_fixture_read(archive, i, what->size, what->seed),
				 0);
	archive_free(archive);
}

static unsigned volume_count(struct archive_fixture *f)
{
	char names[FIXTURE_VOLUMES_MAX][64];

	return archive_fixture_volumes(f, names);
}

/* Fill the first volume with commits that each put other files, until a second one is
 * begun; *commits_out is how many. */
static void fill_first_volume(struct archive_fixture *f, uint32_t *commits_out)
{
	struct fixture_commit what = bulk;
	uint32_t count = 0;

	for (; volume_count(f) < 2; count++) {
		assert_true(count < 20);
		what.first = count * bulk.count;
		archive_fixture_must_commit(f, &what);
	}
	*commits_out = count;
}

static void check_filled(struct archive_fixture *f, uint32_t commits)
{
	struct fixture_commit what = bulk;

	for (uint32_t i = 0; i < commits; i++) {
		what.first = i * bulk.count;
		check_files(f, &what);
	}
}

static void commits_follow_each_other_on_one_volume(void **state)
{
	struct archive_fixture *f = *state;
	struct fixture_commit what = { .count = 3, .size = 1000, .seed = 1 };

	for (uint32_t i = 0; i < 10; i++) {
		what.first = i * 2;
		what.seed = i;
		archive_fixture_must_commit(f, &what);
		check_files(f, &what);
	}
	assert_int_equal(volume_count(f), 1);
}

static void an_empty_commit_is_a_commit(void **state)
{
	struct archive_fixture *f = *state;
	struct commit_row row = { 0 };
	struct archive *archive;

	archive_fixture_must_commit(f, &(struct fixture_commit){ 0 });
	archive = archive_fixture_must_open(f, false);
	assert_int_equal(
		catalog_get_commit(archive_catalog(archive), VERSION_CURRENT, &row, NULL),
		0);
	assert_int_equal(row.sequence, 1);
	commit_row_done(&row);
	archive_free(archive);
}

static void a_full_volume_is_sealed_and_the_next_begun(void **state)
{
	struct archive_fixture *f = *state;
	autovolume_list struct volume_list volumes = { 0 };
	struct archive *archive;
	uint32_t commits;

	fill_first_volume(f, &commits);
	check_filled(f, commits);
	archive = archive_fixture_must_open(f, false);
	assert_int_equal(volume_list_load(archive_catalog(archive), &volumes, NULL), 0);
	archive_free(archive);
	assert_int_equal(volumes.count, 2);
	assert_true(volumes.rows[0].sealed);
	assert_false(volumes.rows[1].sealed);
	assert_string_equal(volumes.rows[0].label, "test");
	assert_string_equal(volumes.rows[1].label, "test-2");
	assert_int_equal(volumes.rows[1].number, 2);
}

static void no_volume_outgrows_its_size(void **state)
{
	struct archive_fixture *f = *state;
	struct fixture_commit what = bulk;
	unsigned count;

	for (uint32_t i = 0; i < 9; i++) {
		what.seed = i;
		archive_fixture_must_commit(f, &what);
	}
	count = volume_count(f);
	assert_true(count >= 3);
	for (unsigned i = 0; i < count; i++) {
		struct stat st;

		assert_int_equal(stat(archive_fixture_volume(f, i), &st), 0);
		assert_true((uint64_t)st.st_blocks * 512 <=
			    f->config.volume.max_size + MIB);
		assert_int_equal(st.st_mode & 0222,
				 i + 1 < count ? 0 : st.st_mode & 0222);
	}
	check_files(f, &what);
}

static void one_commit_may_span_volumes(void **state)
{
	struct archive_fixture *f = *state;
	const struct fixture_commit large = { .count = 20, .size = 8000000, .seed = 3 };
	const struct fixture_commit after = {
		.first = 5, .count = 1, .size = 100, .seed = 4
	};

	archive_fixture_must_commit(f, &large);
	assert_true(volume_count(f) >= 3);
	check_files(f, &large);
	archive_fixture_must_commit(f, &after);
	check_files(f, &after);
}

static void begin_too_much(struct archive_fixture *f)
{
	const struct appender_options options = { .data = 30, .parity = 3 };
	struct archive *archive = archive_fixture_must_open(f, true);
	struct appender *appender = NULL;
	struct error err = { 0 };

	assert_int_equal(catalog_begin(archive_catalog(archive), NULL), 0);
	assert_int_equal(appender_open(archive, &options, &appender, NULL), 0);
	assert_int_equal(appender_begin(appender, 100 * MIB, &err), -EFBIG);
	assert_non_null(strstr(err.text, "max_size"));
	appender_free(appender);
	catalog_rollback(archive_catalog(archive));
	archive_free(archive);
}

static void a_segment_that_no_volume_can_hold_is_refused(void **state)
{
	struct archive_fixture *f = *state;
	unsigned count;

	begin_too_much(f);
	count = volume_count(f);
	begin_too_much(f); /* an empty volume is not given up for another one */
	assert_int_equal(volume_count(f), count);
}

static void volumes_too_small_for_the_parity_say_what_to_change(void **state)
{
	const struct appender_options options = { .data = 1, .parity = 3 };
	struct archive_fixture *f = *state;
	struct archive *archive = archive_fixture_must_open(f, true);
	struct appender *appender = NULL;
	struct error err = { 0 };

	assert_int_equal(catalog_begin(archive_catalog(archive), NULL), 0);
	assert_int_equal(appender_open(archive, &options, &appender, &err), -EINVAL);
	assert_non_null(strstr(err.text, "max_size = 64 MiB"));
	assert_non_null(strstr(err.text, "1 + 3 extents"));
	assert_non_null(strstr(err.text, "Set max_size to"));
	assert_non_null(strstr(err.text, "--parity"));
	catalog_rollback(archive_catalog(archive));
	archive_free(archive);
}

static void a_volume_that_can_not_be_begun_leaves_no_file(void **state)
{
	struct archive_fixture *f = *state;
	struct archive *archive = archive_fixture_must_open(f, true);
	struct active_volume *active = NULL;
	struct budget *none = NULL;
	struct volume_writing writing = {
		.places = archive_places(archive),
		.config = archive_config(archive),
		.pool = archive_pool(archive),
		.catalog = archive_catalog(archive),
		.data = 30,
		.parity = 3,
	};
	const struct volume_plan plan = { .number = 2, .label = "x" };

	assert_int_equal(budget_new(4096, &none), 0);
	writing.budget = none;
	assert_int_equal(catalog_begin(writing.catalog, NULL), 0);
	assert_int_equal(active_volume_create(&writing, &plan, &active, &f->err),
			 -ENOMEM);
	catalog_rollback(writing.catalog);
	assert_int_equal(volume_count(f), 1);
	budget_free(none);
	archive_free(archive);
}

static void what_was_interrupted_stays_behind_as_a_tail(void **state)
{
	struct archive_fixture *f = *state;
	const struct fixture_commit one = { .count = 3, .size = 50000, .seed = 1 };
	const struct fixture_commit two = { .count = 3, .size = 50000, .seed = 2 };
	const struct fixture_commit large = { .count = 10, .size = 8000000, .seed = 3 };
	char *dump;
	char *again;

	archive_fixture_must_commit(f, &one);
	dump = archive_fixture_dump(f);
	archive_fixture_interrupt(f, &two);
	again = archive_fixture_dump(f);
	assert_string_equal(dump, again);
	free(dump);
	free(again);
	check_files(f, &one);

	/* This one also leaves records behind: placements, and a volume that it began. */
	archive_fixture_interrupt(f, &large);
	check_files(f, &one);
	archive_fixture_must_commit(f, &two);
	check_files(f, &two);
	archive_fixture_must_commit(f, &large);
	check_files(f, &large);
}

static void totals_count_payload_and_parity(void **state)
{
	struct archive_fixture *f = *state;
	struct archive *archive = archive_fixture_must_open(f, true);
	struct appender *appender = NULL;
	struct appender_totals totals;
	static uint8_t atom[100000] = { 0x50, 0x2a, 0x4d, 0x18 };

	atom[4] = (uint8_t)(sizeof(atom) - 8);
	atom[5] = (uint8_t)((sizeof(atom) - 8) >> 8);
	atom[6] = (uint8_t)((sizeof(atom) - 8) >> 16);
	assert_int_equal(catalog_begin(archive_catalog(archive), NULL), 0);
	assert_int_equal(appender_open(archive, &(struct appender_options){ true, 30, 3 },
				       &appender, NULL),
			 0);
	assert_int_equal(appender_begin(appender, sizeof(atom), NULL), 0);
	assert_int_equal(appender_append(appender, ATOM(atom, sizeof(atom)), NULL), 0);
	appender_totals(appender, &totals);
	assert_int_equal(totals.payload_size, sizeof(atom));
	assert_int_equal(totals.volumes_filled, 0);
	appender_free(appender);
	archive_free(archive);
}

#ifdef TEST_HOOKS

/* Commits before stay, the killed one is there in full or not at all, and the next one
 * works; the catalog is what a rebuild would make of the volumes (test_rebuild.c). */
static void a_commit_killed_at_any_point_is_whole_or_invisible(void **state)
{
	static const char *const points[] = {
		"archive.commit.begin",    "archive.commit.recorded",
		"archive.volume.placed",   "archive.volume.ended",
		"volume.sealed",           "archive.volume.sealed",
		"archive.volume.created",  "archive.volume.begun",
		"archive.checkpoint.tree", "archive.checkpoint.written",
	};
	const struct fixture_commit large = { .count = 8, .size = 8000000, .seed = 3 };
	const struct fixture_commit base = {
		.first = 100, .count = 40, .size = 3000, .seed = 1
	};
	const struct fixture_commit after = {
		.first = 200, .count = 4, .size = 300, .seed = 4
	};

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		struct archive_fixture f;
		struct archive *archive;
		int present;

		archive_fixture_init(&f);
		assert_int_equal(archive_fixture_create(&f), 0);
		archive_fixture_must_commit(&f, &base);
		if (!archive_fixture_commit_killed(&f, &large, points[i], 1))
			fail_msg("%s was not passed", points[i]);
		archive = archive_fixture_must_open(&f, false);
		present = archive_fixture_read(archive, 0, large.size, large.seed);
		archive_free(archive);
		assert_int_equal(
			present,
			strcmp(points[i], "archive.commit.recorded") == 0 ? 0 : -ENOENT);
		if (present == 0)
			check_files(&f, &large);
		check_files(&f, &base);
		archive_fixture_must_commit(&f, &after);
		archive_fixture_must_commit(&f, &large);
		check_files(&f, &base);
		check_files(&f, &after);
		check_files(&f, &large);
		archive_fixture_done(&f);
	}
}

struct spoiling {
	const char *path;
	struct backend *backend;
	unsigned records;
};

static void swap_bytes(const char *path, uint64_t offset, uint8_t *bytes, size_t size)
{
	autofree uint8_t *old = malloc(size);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_non_null(old);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, old, size, (off_t)offset), size);
	assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
	memcpy(bytes, old, size);
	(void)close(fd);
}

/* The record is read without its data extent. */
static int read_without_data(void *context, const struct record *record,
			     const struct stripe_info *own, struct error *err)
{
	struct spoiling *spoiling = context;
	size_t size =
		geometry_data_pages(&own->geometry) * 4096 + own->extents[0].area_size;
	autofree uint8_t *noise = calloc(1, size);
	struct record *again = NULL;
	struct stripe_info own_again;

	assert_non_null(noise);
	swap_bytes(spoiling->path, own->offset, noise, size);
	if (chain_read_record(spoiling->backend, &record->volume, own->offset,
			      &record->hash, &again, &own_again, err) < 0)
		fail_msg("%s", err->text);
	record_free(again);
	stripe_info_done(&own_again);
	swap_bytes(spoiling->path, own->offset, noise, size);
	spoiling->records++;
	return 0;
}

static void check_records_protected(struct archive_fixture *f)
{
	for (unsigned i = 0; i < volume_count(f); i++) {
		struct spoiling spoiling = { .path = archive_fixture_volume(f, i) };
		struct error err = { 0 };
		struct uuid volume;

		assert_int_equal(backend_file_open(AT_FDCWD, spoiling.path, 0,
						   &spoiling.backend, NULL),
				 0);
		assert_int_equal(chain_identify(spoiling.backend, &volume, NULL), 0);
		if (chain_visit_back(spoiling.backend, &volume, NULL, read_without_data,
				     &spoiling, &err) < 0)
			fail_msg("%s", err.text);
		assert_true(spoiling.records > 0);
		backend_free(spoiling.backend);
	}
}

/* Records of all kinds: of a commit that fills a volume, seals it, begins the next. */
static void a_record_without_parity_gets_it_from_the_next_writer(void **state)
{
	const struct fixture_commit large = { .count = 8, .size = 8000000, .seed = 3 };
	const struct fixture_commit base = { .first = 100, .count = 4, .size = 3000 };
	const struct fixture_commit after = { .first = 200, .count = 4, .size = 300 };
	bool killed = true;
	int n;

	(void)state;
	for (n = 1; killed; n++) {
		struct archive_fixture f;

		archive_fixture_init(&f);
		assert_int_equal(archive_fixture_create(&f), 0);
		archive_fixture_must_commit(&f, &base);
		killed = archive_fixture_commit_killed(&f, &large,
						       "volume.record.readable", n);
		check_files(&f, &base);
		archive_fixture_must_commit(&f, &after);
		check_records_protected(&f);
		check_files(&f, &base);
		check_files(&f, &after);
		archive_fixture_done(&f);
	}
	assert_true(n > 5);
}

static int create(struct archive_fixture *f, void *context)
{
	(void)context;
	return archive_fixture_create(f);
}

static void an_init_killed_at_any_point_runs_again(void **state)
{
	static const char *const points[] = {
		"archive.init.folder", "archive.volume.created", "archive.volume.begun",
		"archive.init.volume", "archive.init.catalog",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		struct archive_fixture f;

		archive_fixture_init(&f);
		assert_true(archive_fixture_killed(&f, points[i], 1, create, NULL));
		assert_false(archive_exists(f.directory));
		if (archive_fixture_create(&f) < 0)
			fail_msg("%s: %s", points[i], f.err.text);
		assert_int_equal(volume_count(&f), 1);
		archive_fixture_done(&f);
	}
}

#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, archive_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(commits_follow_each_other_on_one_volume),
		TEST(an_empty_commit_is_a_commit),
		TEST(a_full_volume_is_sealed_and_the_next_begun),
		TEST(no_volume_outgrows_its_size),
		TEST(one_commit_may_span_volumes),
		TEST(a_segment_that_no_volume_can_hold_is_refused),
		TEST(volumes_too_small_for_the_parity_say_what_to_change),
		TEST(a_volume_that_can_not_be_begun_leaves_no_file),
		TEST(what_was_interrupted_stays_behind_as_a_tail),
		TEST(totals_count_payload_and_parity),
#ifdef TEST_HOOKS
		cmocka_unit_test(a_commit_killed_at_any_point_is_whole_or_invisible),
		cmocka_unit_test(a_record_without_parity_gets_it_from_the_next_writer),
		cmocka_unit_test(an_init_killed_at_any_point_runs_again),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
