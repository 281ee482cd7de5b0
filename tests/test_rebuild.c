/* SPDX-License-Identifier: MIT */
#include "archive/rebuild.h"

#include "archive/appender.h"
#include "archive/archive.h"
#include "archive/head.h"
#include "catalog/history.h"
#include "support/rebuild_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* Ten commits of all kinds over three volumes or more. */
static void make_history(struct archive_fixture *f)
{
	struct fixture_commit what = { .count = 5, .size = 1000000, .seed = 1 };

	for (uint32_t i = 0; i < 10; i++) {
		bool removes = i > 0 && i % 3 == 0;

		what.seed = i;
		what.first = removes ? i * 3 - 3 : i * 3;
		what.count = removes ? 3 : 5;
		what.remove_count = removes ? 2 : 0; /* of what the last one put */
		archive_fixture_must_commit(f, &what);
	}
	archive_fixture_must_commit(f, &(struct fixture_commit){ 0 });
}

static void move_volume(struct archive_fixture *f, unsigned number, bool away)
{
	char names[FIXTURE_VOLUMES_MAX][64];
	static char name[64];
	char in[128];
	char out[128];

	if (away) {
		assert_true(archive_fixture_volumes(f, names) > number);
		memcpy(name, names[number], sizeof(name));
	}
	(void)snprintf(in, sizeof(in), "volumes/%s", name);
	(void)snprintf(out, sizeof(out), "%s", name);
	assert_int_equal(rename(archive_fixture_path(f, away ? in : out),
				archive_fixture_path(f, away ? out : in)),
			 0);
}

static void an_empty_archive_is_rebuilt(void **state)
{
	rebuild_fixture_check_same(*state);
}

static void a_rebuilt_catalog_is_the_same(void **state)
{
	struct rebuild_fixture *t = *state;

	make_history(&t->f);
	rebuild_fixture_check_same(t);
	assert_true(t->report.volumes >= 3);
	assert_int_equal(t->report.commits, 12);
	assert_int_equal(t->report.commits_missing, 0);
	rebuild_fixture_check_same(t);
	archive_fixture_must_commit(
		&t->f, &(struct fixture_commit){ .count = 2, .size = 10, .seed = 9 });
	rebuild_fixture_check_same(t);
}

static void a_commit_over_several_volumes_is_rebuilt(void **state)
{
	struct rebuild_fixture *t = *state;
	const struct fixture_commit large = { .count = 20, .size = 8000000, .seed = 3 };

	archive_fixture_must_commit(&t->f, &large);
	rebuild_fixture_check_same(t);
	rebuild_fixture_check_files(&t->f, &large, 0);
}

static void an_interrupted_commit_is_rebuilt_as_the_placements_it_left(void **state)
{
	struct rebuild_fixture *t = *state;
	const struct fixture_commit one = { .count = 3, .size = 1000, .seed = 1 };
	const struct fixture_commit large = { .count = 20, .size = 8000000, .seed = 3 };

	archive_fixture_must_commit(&t->f, &one);
	archive_fixture_interrupt(&t->f, &large);
	rebuild_fixture_check_same(t);
	archive_fixture_must_commit(&t->f, &large);
	rebuild_fixture_check_same(t);
}

static void the_last_volume_alone_knows_every_name(void **state)
{
	struct rebuild_fixture *t = *state;
	struct archive_fixture *f = &t->f;
	char names[FIXTURE_VOLUMES_MAX][64];
	struct version_row row = { 0 };
	struct archive *archive;
	unsigned count;

	make_history(f);
	count = archive_fixture_volumes(f, names);
	for (unsigned i = 0; i + 1 < count; i++)
		move_volume(f, 0, true);
	rebuild_fixture_remove_catalog(t);
	rebuild_fixture_run(t);
	assert_int_equal(t->report.volumes, 1);
	assert_int_equal(t->report.volumes_missing, count - 1);
	assert_true(t->report.commits_missing > 0);
	assert_non_null(strstr(text_string(&t->problems), "'test'"));

	archive = archive_fixture_must_open(f, true);
	assert_int_equal(catalog_get_version(archive_catalog(archive),
					     (const uint8_t *)"f000000", 7,
					     VERSION_CURRENT, &row, NULL),
			 0);
	version_row_done(&row);
	assert_int_equal(archive_fixture_read(archive, 0, 1000000, 0), -ENOMEDIUM);
	archive_free(archive);
	archive_fixture_must_commit(
		f, &(struct fixture_commit){ .count = 2, .size = 10, .seed = 9 });
}

static void a_volume_that_was_missing_is_taken_in_later(void **state)
{
	struct rebuild_fixture *t = *state;
	struct archive_fixture *f = &t->f;
	struct archive *archive;
	char *before;
	char *after;

	make_history(f);
	before = archive_fixture_dump(f);
	move_volume(f, 0, true);
	rebuild_fixture_run(t);
	assert_int_equal(t->report.volumes_missing, 1);
	move_volume(f, 0, false);
	archive = archive_fixture_must_open(f, true);
	assert_non_null(strstr(archive_warning(archive), "older commits"));
	assert_int_equal(archive_fixture_read(archive, 0, 1000000, 0), 0);
	archive_free(archive);
	rebuild_fixture_run(t);
	after = archive_fixture_dump(f);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void without_the_middle_volume_its_commits_are_one_gap(void **state)
{
	struct rebuild_fixture *t = *state;
	struct archive_fixture *f = &t->f;
	struct commit_row row = { 0 };
	struct archive *archive;

	make_history(f);
	move_volume(f, 1, true);
	rebuild_fixture_remove_catalog(t);
	rebuild_fixture_run(t);
	assert_int_equal(t->report.volumes_missing, 1);
	archive = archive_fixture_must_open(f, true);
	assert_int_equal(catalog_get_commit(archive_catalog(archive), 11, &row, NULL), 0);
	commit_row_done(&row);
	assert_int_equal(archive_fixture_read(archive, 0, 1000000, 0), 0);
	archive_free(archive);
}

/* A head as a hostile or damaged volume may have it, in a commit record of its own. */
static void commit_numbered(struct archive_fixture *f, uint64_t sequence)
{
	struct archive *archive = archive_fixture_must_open(f, true);
	struct appender *appender = NULL;
	struct commit_row last = { 0 };
	struct head head = { 0 };
	char *json = NULL;

	assert_int_equal(catalog_get_commit(archive_catalog(archive), VERSION_CURRENT,
					    &last, NULL),
			 0);
	assert_int_equal(head_decode(last.head, strlen(last.head), &head, NULL), 0);
	commit_row_done(&last);
	head.previous = head.hash;
	head.sequence = sequence;
	assert_int_equal(head_encode(&head, &json, NULL), 0);
	head_done(&head);
	assert_int_equal(catalog_begin(archive_catalog(archive), NULL), 0);
	assert_int_equal(appender_open(archive, &(struct appender_options){ true, 30, 3 },
				       &appender, NULL),
			 0);
	assert_int_equal(appender_commit(appender, json, NULL), 0);
	appender_free(appender);
	archive_free(archive); /* without the transaction: the catalog has to catch up */
	free(json);
}

static void commits_of_any_number_are_replayed_at_once(void **state)
{
	struct rebuild_fixture *t = *state;
	struct archive_fixture *f = &t->f;
	const struct fixture_commit files = { .count = 5, .size = 1000, .seed = 1 };

	archive_fixture_must_commit(f, &files);
	commit_numbered(f, HEAD_SEQUENCE_MAX);
	rebuild_fixture_check_files(f, &files, 0); /* caught up */
	rebuild_fixture_remove_catalog(t);
	rebuild_fixture_run(t);
	assert_non_null(strstr(text_string(&t->problems), "2 to 4611686018427387903"));
	rebuild_fixture_check_files(f, &files, 0);
}

static void no_volume_at_all_is_an_error_and_the_catalog_stays(void **state)
{
	struct rebuild_fixture *t = *state;

	archive_fixture_must_commit(&t->f,
				    &(struct fixture_commit){ .count = 2, .seed = 9 });
	move_volume(&t->f, 0, true);
	assert_int_equal(rebuild_fixture_try(t), -ENOMEDIUM);
	move_volume(&t->f, 0, false);
	rebuild_fixture_check_files(&t->f,
				    &(struct fixture_commit){ .count = 2, .seed = 9 }, 0);
}

static void volumes_of_two_archives_without_catalog_are_an_error(void **state)
{
	struct rebuild_fixture *t = *state;
	struct archive_fixture other;
	char names[FIXTURE_VOLUMES_MAX][64];
	char name[128];
	char path[256];

	archive_fixture_init(&other);
	assert_int_equal(archive_fixture_create(&other), 0);
	assert_int_equal(archive_fixture_volumes(&other, names), 1);
	(void)snprintf(name, sizeof(name), "volumes/%s", names[0]);
	(void)snprintf(path, sizeof(path), "%s", archive_fixture_path(&other, name));
	archive_fixture_copy(path, archive_fixture_path(&t->f, name));
	archive_fixture_done(&other);
	rebuild_fixture_run(t); /* the old catalog tells which one is meant */
	assert_int_equal(t->report.volumes, 1);
	rebuild_fixture_remove_catalog(t);
	assert_int_equal(rebuild_fixture_try(t), -EINVAL);
}

#ifdef TEST_HOOKS

static int rebuild_in_child(struct archive_fixture *f, void *context)
{
	(void)f;
	return rebuild_fixture_try(context);
}

static int open_in_child(struct archive_fixture *f, void *context)
{
	struct archive *archive = NULL;
	int r;

	(void)context;
	r = archive_fixture_open(f, true, &archive);
	archive_free(archive);
	return r;
}

/* What opening makes of a killed writer's volumes is what a rebuild makes of them. */
static void after_a_kill_catching_up_equals_a_rebuild(void **state)
{
	static const char *const points[] = {
		"archive.commit.begin",    "archive.commit.recorded",
		"archive.volume.placed",   "archive.volume.ended",
		"archive.volume.created",  "archive.volume.begun",
		"archive.checkpoint.tree", "archive.checkpoint.written",
	};
	const struct fixture_commit large = { .count = 8, .size = 8000000, .seed = 3 };
	const struct fixture_commit names = { .first = 100, .count = 300, .seed = 1 };
	struct rebuild_fixture *t = *state;

	archive_fixture_must_commit(&t->f, &names);
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		if (!archive_fixture_commit_killed(&t->f, &large, points[i], 1))
			fail_msg("%s was not passed", points[i]);
		rebuild_fixture_check_same(t);
		rebuild_fixture_check_files(&t->f, &names, 0);
	}
}

static void a_catch_up_killed_at_any_point_runs_again(void **state)
{
	const struct fixture_commit some = { .count = 10, .size = 100, .seed = 1 };
	struct rebuild_fixture *t = *state;
	struct archive_fixture *f = &t->f;
	char *before;
	char *after;

	archive_fixture_copy(archive_fixture_path(f, "catalog.db"),
			     archive_fixture_path(f, "old.db"));
	archive_fixture_must_commit(f, &some);
	before = archive_fixture_dump(f);
	assert_int_equal(rename(archive_fixture_path(f, "old.db"),
				archive_fixture_path(f, "catalog.db")),
			 0);
	assert_true(archive_fixture_killed(f, "archive.catch_up.done", 1, open_in_child,
					   NULL));
	assert_true(archive_fixture_killed(f, "archive.catch_up.committed", 1,
					   open_in_child, NULL));
	after = archive_fixture_dump(f);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void a_rebuild_killed_at_any_point_leaves_a_catalog_or_none(void **state)
{
	static const struct {
		const char *name;
		int n;
	} points[] = {
		{ "archive.rebuild.written", 1 }, { "archive.rebuild.removed", 1 },
		{ "archive.rebuild.removed", 2 }, { "archive.rebuild.removed", 3 },
		{ "archive.rebuild.renamed", 1 },
	};
	struct rebuild_fixture *t = *state;
	struct archive_fixture *f = &t->f;

	archive_fixture_must_commit(
		f, &(struct fixture_commit){ .count = 10, .size = 100, .seed = 1 });
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		struct archive *archive = NULL;
		int r;

		assert_true(archive_fixture_killed(f, points[i].name, points[i].n,
						   rebuild_in_child, t));
		r = archive_fixture_open(f, true, &archive);
		if (r < 0) {
			assert_int_equal(r, -EBADMSG);
			assert_non_null(strstr(f->err.text, "rebuild"));
			rebuild_fixture_run(t);
		}
		archive_free(archive);
		rebuild_fixture_check_same(t);
	}
}

#endif

#define TEST(name)                                                   \
	cmocka_unit_test_setup_teardown(name, rebuild_fixture_setup, \
					rebuild_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_archive_is_rebuilt),
		TEST(a_rebuilt_catalog_is_the_same),
		TEST(a_commit_over_several_volumes_is_rebuilt),
		TEST(an_interrupted_commit_is_rebuilt_as_the_placements_it_left),
		TEST(the_last_volume_alone_knows_every_name),
		TEST(a_volume_that_was_missing_is_taken_in_later),
		TEST(commits_of_any_number_are_replayed_at_once),
		TEST(without_the_middle_volume_its_commits_are_one_gap),
		TEST(no_volume_at_all_is_an_error_and_the_catalog_stays),
		TEST(volumes_of_two_archives_without_catalog_are_an_error),
#ifdef TEST_HOOKS
		TEST(after_a_kill_catching_up_equals_a_rebuild),
		TEST(a_catch_up_killed_at_any_point_runs_again),
		TEST(a_rebuild_killed_at_any_point_leaves_a_catalog_or_none),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
