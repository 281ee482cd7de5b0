/* SPDX-License-Identifier: MIT */
#include "archive/rebuild.h"

#include "archive/appender.h"
#include "archive/archive.h"
#include "archive/head.h"
#include "base/cleanup.h"
#include "base/text.h"
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

#include <cmocka.h>

struct rebuilding {
	struct archive_fixture f;
	struct rebuild_report report;
	struct text problems; /* a line each */
};

static int setup(void **state)
{
	struct rebuilding *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	archive_fixture_init(&t->f);
	if (archive_fixture_create(&t->f) < 0)
		fail_msg("%s", t->f.err.text);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct rebuilding *t = *state;

	archive_fixture_done(&t->f);
	text_done(&t->problems);
	free(t);
	return 0;
}

static void commit(struct archive_fixture *f, const struct fixture_commit *what)
{
	if (archive_fixture_commit(f, what) < 0)
		fail_msg("%s", f->err.text);
}

static void note_problem(void *context, const char *text)
{
	struct rebuilding *t = context;

	assert_int_equal(text_appendf(&t->problems, "%s\n", text), 0);
}

static int try_rebuild(struct rebuilding *t)
{
	const struct archive_options options = {
		.directory = t->f.directory,
		.config = &t->f.config,
		.writable = true,
		.without_catalog = true,
	};
	struct archive *archive = NULL;
	int r;

	text_clear(&t->problems);
	assert_int_equal(archive_open(&options, &archive, &t->f.err), 0);
	r = rebuild_catalog(archive, note_problem, t, &t->report, &t->f.err);
	archive_free(archive);
	return r;
}

static void rebuild(struct rebuilding *t)
{
	if (try_rebuild(t) < 0)
		fail_msg("%s", t->f.err.text);
}

static void remove_catalog(struct rebuilding *t)
{
	assert_int_equal(unlink(archive_fixture_path(&t->f, "catalog.db")), 0);
}

static struct archive *open_archive(struct archive_fixture *f)
{
	struct archive *archive = NULL;

	if (archive_fixture_open(f, true, &archive) < 0)
		fail_msg("%s", f->err.text);
	return archive;
}

static void check_files(struct archive_fixture *f, const struct fixture_commit *what,
			int r)
{
	struct archive *archive = open_archive(f);

	for (uint32_t i = what->first; i < what->first + what->count; i++)
		assert_int_equal(archive_fixture_read(archive, i, what->size, what->seed),
				 r);
	archive_free(archive);
}

/* A catalog made anew equals the one that it replaces. */
static void check_same_dump(struct rebuilding *t)
{
	char *before = archive_fixture_dump(&t->f);
	char *after;

	remove_catalog(t);
	rebuild(t);
	assert_string_equal(text_string(&t->problems), "");
	after = archive_fixture_dump(&t->f);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

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
		commit(f, &what);
	}
	commit(f, &(struct fixture_commit){ 0 });
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
	check_same_dump(*state);
}

static void a_rebuilt_catalog_is_the_same(void **state)
{
	struct rebuilding *t = *state;

	make_history(&t->f);
	check_same_dump(t);
	assert_true(t->report.volumes >= 3);
	assert_int_equal(t->report.commits, 12);
	assert_int_equal(t->report.commits_missing, 0);
	check_same_dump(t);
	commit(&t->f, &(struct fixture_commit){ .count = 2, .size = 10, .seed = 9 });
	check_same_dump(t);
}

static void a_commit_over_several_volumes_is_rebuilt(void **state)
{
	struct rebuilding *t = *state;
	const struct fixture_commit large = { .count = 20, .size = 8000000, .seed = 3 };

	commit(&t->f, &large);
	check_same_dump(t);
	check_files(&t->f, &large, 0);
}

static void an_interrupted_commit_is_rebuilt_as_the_placements_it_left(void **state)
{
	struct rebuilding *t = *state;
	const struct fixture_commit one = { .count = 3, .size = 1000, .seed = 1 };
	const struct fixture_commit large = { .count = 20, .size = 8000000, .seed = 3 };

	commit(&t->f, &one);
	archive_fixture_interrupt(&t->f, &large);
	check_same_dump(t);
	commit(&t->f, &large);
	check_same_dump(t);
}

static void the_last_volume_alone_knows_every_name(void **state)
{
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;
	char names[FIXTURE_VOLUMES_MAX][64];
	struct version_row row = { 0 };
	struct archive *archive;
	unsigned count;

	make_history(f);
	count = archive_fixture_volumes(f, names);
	for (unsigned i = 0; i + 1 < count; i++)
		move_volume(f, 0, true);
	remove_catalog(t);
	rebuild(t);
	assert_int_equal(t->report.volumes, 1);
	assert_int_equal(t->report.volumes_missing, count - 1);
	assert_true(t->report.commits_missing > 0);
	assert_non_null(strstr(text_string(&t->problems), "'test'"));

	archive = open_archive(f);
	assert_int_equal(catalog_get_version(archive_catalog(archive),
					     (const uint8_t *)"f000000", 7,
					     VERSION_CURRENT, &row, NULL),
			 0);
	version_row_done(&row);
	assert_int_equal(archive_fixture_read(archive, 0, 1000000, 0), -ENOMEDIUM);
	archive_free(archive);
	commit(f, &(struct fixture_commit){ .count = 2, .size = 10, .seed = 9 });
}

static void a_volume_that_was_missing_is_taken_in_later(void **state)
{
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;
	struct archive *archive;
	char *before;
	char *after;

	make_history(f);
	before = archive_fixture_dump(f);
	move_volume(f, 0, true);
	rebuild(t);
	assert_int_equal(t->report.volumes_missing, 1);
	move_volume(f, 0, false);
	archive = open_archive(f);
	assert_non_null(strstr(archive_warning(archive), "older commits"));
	assert_int_equal(archive_fixture_read(archive, 0, 1000000, 0), 0);
	archive_free(archive);
	rebuild(t);
	after = archive_fixture_dump(f);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void without_the_middle_volume_its_commits_are_one_gap(void **state)
{
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;
	struct commit_row row = { 0 };
	struct archive *archive;

	make_history(f);
	move_volume(f, 1, true);
	remove_catalog(t);
	rebuild(t);
	assert_int_equal(t->report.volumes_missing, 1);
	archive = open_archive(f);
	assert_int_equal(catalog_get_commit(archive_catalog(archive), 11, &row, NULL), 0);
	commit_row_done(&row);
	assert_int_equal(archive_fixture_read(archive, 0, 1000000, 0), 0);
	archive_free(archive);
}

/* A head as a hostile or damaged volume may have it, in a commit record of its own. */
static void commit_numbered(struct archive_fixture *f, uint64_t sequence)
{
	struct archive *archive = open_archive(f);
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
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;
	const struct fixture_commit files = { .count = 5, .size = 1000, .seed = 1 };

	commit(f, &files);
	commit_numbered(f, HEAD_SEQUENCE_MAX);
	check_files(f, &files, 0); /* caught up */
	remove_catalog(t);
	rebuild(t);
	assert_non_null(strstr(text_string(&t->problems), "2 to 4611686018427387903"));
	check_files(f, &files, 0);
}

struct victim {
	unsigned skip;
	struct stripe_info own;
	uint64_t sequence;
};

static int find_victim(void *context, const struct record *record,
		       const struct stripe_info *own, struct error *err)
{
	struct victim *victim = context;

	(void)err;
	if (victim->skip-- > 0)
		return 0;
	victim->sequence = record->sequence;
	assert_int_equal(stripe_info_copy(own, &victim->own), 0);
	return -ECANCELED;
}

static void overwrite(const char *path, uint64_t offset, uint64_t size)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	static uint8_t garbage[65536];

	memset(garbage, 0xa5, sizeof(garbage));
	assert_true(fd >= 0);
	for (uint64_t done = 0; done < size; done += sizeof(garbage))
		assert_true(pwrite(fd, garbage,
				   size - done < sizeof(garbage) ? size - done
								 : sizeof(garbage),
				   (off_t)(offset + done)) > 0);
}

/* Overwrite the record that @skip newer ones follow; all of it, or with its header pages
 * left alone. Returns its number. */
static uint64_t lose_record(struct archive_fixture *f, unsigned skip, bool keep_headers)
{
	const char *path = archive_fixture_volume(f, 0);
	struct victim victim = { .skip = skip };
	autoptr(backend) backend = NULL;
	struct uuid uuid;
	uint64_t offset;

	assert_int_equal(backend_file_open(AT_FDCWD, path, 0, &backend, NULL), 0);
	assert_int_equal(chain_identify(backend, &uuid, NULL), 0);
	assert_int_equal(chain_visit_back(backend, &uuid, find_victim, &victim, NULL),
			 -ECANCELED);
	offset = victim.own.offset;
	for (unsigned i = 0; i < 1 + victim.own.geometry.parity; i++) {
		uint64_t skipped = keep_headers ? 4096 : 0;

		overwrite(path, offset + skipped, 131072 - skipped);
		offset += victim.own.geometry.stride;
	}
	stripe_info_done(&victim.own);
	return victim.sequence;
}

static void a_lost_record_costs_what_it_listed(void **state)
{
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;
	struct fixture_commit what = { .count = 10, .size = 1000 };
	struct archive *archive;
	char text[64];
	uint64_t lost;

	for (uint32_t i = 0; i < 5; i++) {
		what.first = 10 * i;
		what.seed = i;
		commit(f, &what);
	}
	lost = lose_record(f, 2, false);
	remove_catalog(t);
	rebuild(t);
	(void)snprintf(text, sizeof(text), "before record %u", (unsigned)lost + 1);
	assert_non_null(strstr(text_string(&t->problems), text));
	assert_non_null(strstr(text_string(&t->problems), "commit 3 is missing"));

	/* Commits 1, 2, 4 and 5 are there; the content of commit 3 has no place. */
	archive = open_archive(f);
	assert_int_equal(archive_fixture_read(archive, 5, 1000, 0), 0);
	assert_int_equal(archive_fixture_read(archive, 15, 1000, 1), 0);
	assert_true(archive_fixture_read(archive, 25, 1000, 2) < 0);
	assert_int_equal(archive_fixture_read(archive, 35, 1000, 3), 0);
	assert_int_equal(archive_fixture_read(archive, 45, 1000, 4), 0);
	archive_free(archive);
	commit(f, &what);
}

static void a_lost_header_record_costs_nothing(void **state)
{
	struct rebuilding *t = *state;
	const struct fixture_commit what = { .count = 10, .size = 1000, .seed = 1 };

	commit(&t->f, &what);
	assert_int_equal(lose_record(&t->f, 2, true), 0);
	remove_catalog(t);
	rebuild(t);
	assert_int_equal(t->report.problems, 1);
	check_files(&t->f, &what, 0);
}

/* No page is left at the start that names the volume. */
static void a_volume_without_its_first_stripe_is_rebuilt(void **state)
{
	struct rebuilding *t = *state;
	const struct fixture_commit what = { .count = 10, .size = 1000, .seed = 1 };

	commit(&t->f, &what);
	assert_int_equal(lose_record(&t->f, 2, false), 0);
	remove_catalog(t);
	rebuild(t);
	assert_int_equal(t->report.problems, 1);
	check_files(&t->f, &what, 0);
	commit(&t->f, &(struct fixture_commit){ .first = 20, .count = 1, .size = 9 });
}

static void after_the_loss_of_the_last_record_a_rebuild_lets_commits_go_on(void **state)
{
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;
	const struct fixture_commit first = { .count = 5, .size = 1000, .seed = 1 };
	const struct fixture_commit second = {
		.first = 5, .count = 5, .size = 1000, .seed = 2
	};

	commit(f, &first);
	commit(f, &second);
	(void)lose_record(f, 0, false);
	assert_int_equal(archive_fixture_commit(f, &second), -ESTALE);
	assert_non_null(strstr(f->err.text, "catalog rebuild"));
	rebuild(t);
	check_files(f, &first, 0);
	commit(f, &second);
	check_files(f, &first, 0);
	check_files(f, &second, 0);
	check_same_dump(t);
}

static void lost_tree_pages_cost_their_names_only(void **state)
{
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;
	const struct fixture_commit many = { .count = 3000, .seed = 1 };
	const struct fixture_commit last = {
		.first = 2990, .count = 10, .size = 10, .seed = 2, .remove_count = 0
	};
	const struct fixture_commit gone = { .first = 2980, .remove_count = 5 };
	struct archive *archive;
	unsigned found = 0;
	struct stat st;

	f->config.parity.policy = CONFIG_POLICY_COMPACT;
	f->config.parity.parity = 0;
	f->config.parity.data = 8;
	commit(f, &many);
	/* Without parity one bad block is lost: in the middle of what the first commit wrote,
	 * which are leaf pages. */
	assert_int_equal(stat(archive_fixture_volume(f, 0), &st), 0);
	commit(f, &last);
	commit(f, &gone);
	overwrite(archive_fixture_volume(f, 0), (uint64_t)st.st_size / 2, 4096);
	remove_catalog(t);
	rebuild(t);
	archive = open_archive(f);
	for (uint32_t i = 0; i < 3000; i++)
		found += archive_fixture_read(archive, i, 0, 1) == 0;
	assert_int_equal(archive_fixture_read(archive, 2999, 10, 2), 0);
	assert_int_equal(archive_fixture_read(archive, 2982, 0, 1), -ENOENT);
	assert_true(found > 1000);
	archive_free(archive);
}

static void no_volume_at_all_is_an_error_and_the_catalog_stays(void **state)
{
	struct rebuilding *t = *state;

	commit(&t->f, &(struct fixture_commit){ .count = 2, .seed = 9 });
	move_volume(&t->f, 0, true);
	assert_int_equal(try_rebuild(t), -ENOMEDIUM);
	move_volume(&t->f, 0, false);
	check_files(&t->f, &(struct fixture_commit){ .count = 2, .seed = 9 }, 0);
}

static void volumes_of_two_archives_without_catalog_are_an_error(void **state)
{
	struct rebuilding *t = *state;
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
	rebuild(t); /* the old catalog tells which one is meant */
	assert_int_equal(t->report.volumes, 1);
	remove_catalog(t);
	assert_int_equal(try_rebuild(t), -EINVAL);
}

#ifdef TEST_HOOKS

static int rebuild_in_child(struct archive_fixture *f, void *context)
{
	(void)f;
	return try_rebuild(context);
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
	struct rebuilding *t = *state;

	commit(&t->f, &names);
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		if (!archive_fixture_commit_killed(&t->f, &large, points[i], 1))
			fail_msg("%s was not passed", points[i]);
		check_same_dump(t);
		check_files(&t->f, &names, 0);
	}
}

static void a_catch_up_killed_at_any_point_runs_again(void **state)
{
	const struct fixture_commit some = { .count = 10, .size = 100, .seed = 1 };
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;
	char *before;
	char *after;

	archive_fixture_copy(archive_fixture_path(f, "catalog.db"),
			     archive_fixture_path(f, "old.db"));
	commit(f, &some);
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
	struct rebuilding *t = *state;
	struct archive_fixture *f = &t->f;

	commit(f, &(struct fixture_commit){ .count = 10, .size = 100, .seed = 1 });
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		struct archive *archive = NULL;
		int r;

		assert_true(archive_fixture_killed(f, points[i].name, points[i].n,
						   rebuild_in_child, t));
		r = archive_fixture_open(f, true, &archive);
		if (r < 0) {
			assert_int_equal(r, -EBADMSG);
			assert_non_null(strstr(f->err.text, "rebuild"));
			rebuild(t);
		}
		archive_free(archive);
		check_same_dump(t);
	}
}

#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(a_lost_record_costs_what_it_listed),
		TEST(a_lost_header_record_costs_nothing),
		TEST(a_volume_without_its_first_stripe_is_rebuilt),
		TEST(after_the_loss_of_the_last_record_a_rebuild_lets_commits_go_on),
		TEST(lost_tree_pages_cost_their_names_only),
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
