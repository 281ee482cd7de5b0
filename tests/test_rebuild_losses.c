/* SPDX-License-Identifier: MIT */
/* Rebuilds from volumes that have lost records or pages: what is left comes back. */
#include "support/rebuild_fixture.h"

#include "archive/archive.h"
#include "base/cleanup.h"
#include "volume/backend.h"
#include "volume/chain.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

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
	assert_int_equal(
		chain_visit_back(backend, &uuid, NULL, find_victim, &victim, NULL),
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
	struct rebuild_fixture *t = *state;
	struct archive_fixture *f = &t->f;
	struct fixture_commit what = { .count = 10, .size = 1000 };
	struct archive *archive;
	char text[64];
	uint64_t lost;

	for (uint32_t i = 0; i < 5; i++) {
		what.first = 10 * i;
		what.seed = i;
		archive_fixture_must_commit(f, &what);
	}
	lost = lose_record(f, 2, false);
	rebuild_fixture_remove_catalog(t);
	rebuild_fixture_run(t);
	(void)snprintf(text, sizeof(text), "before record %u", (unsigned)lost + 1);
	assert_non_null(strstr(text_string(&t->problems), text));
	assert_non_null(strstr(text_string(&t->problems), "commit 3 is missing"));

	/* Commits 1, 2, 4 and 5 are there; the content of commit 3 has no place. */
	archive = archive_fixture_must_open(f, true);
	assert_int_equal(archive_fixture_read(archive, 5, 1000, 0), 0);
	assert_int_equal(archive_fixture_read(archive, 15, 1000, 1), 0);
	assert_true(archive_fixture_read(archive, 25, 1000, 2) < 0);
	assert_int_equal(archive_fixture_read(archive, 35, 1000, 3), 0);
	assert_int_equal(archive_fixture_read(archive, 45, 1000, 4), 0);
	archive_free(archive);
	archive_fixture_must_commit(f, &what);
}

static void a_lost_header_record_costs_nothing(void **state)
{
	struct rebuild_fixture *t = *state;
	const struct fixture_commit what = { .count = 10, .size = 1000, .seed = 1 };

	archive_fixture_must_commit(&t->f, &what);
	assert_int_equal(lose_record(&t->f, 2, true), 0);
	rebuild_fixture_remove_catalog(t);
	rebuild_fixture_run(t);
	assert_int_equal(t->report.problems, 1);
	rebuild_fixture_check_files(&t->f, &what, 0);
}

/* No page is left at the start that names the volume. */
static void a_volume_without_its_first_stripe_is_rebuilt(void **state)
{
	struct rebuild_fixture *t = *state;
	const struct fixture_commit what = { .count = 10, .size = 1000, .seed = 1 };

	archive_fixture_must_commit(&t->f, &what);
	assert_int_equal(lose_record(&t->f, 2, false), 0);
	rebuild_fixture_remove_catalog(t);
	rebuild_fixture_run(t);
	assert_int_equal(t->report.problems, 1);
	rebuild_fixture_check_files(&t->f, &what, 0);
	archive_fixture_must_commit(
		&t->f, &(struct fixture_commit){ .first = 20, .count = 1, .size = 9 });
}

static void after_the_loss_of_the_last_record_a_rebuild_lets_commits_go_on(void **state)
{
	struct rebuild_fixture *t = *state;
	struct archive_fixture *f = &t->f;
	const struct fixture_commit first = { .count = 5, .size = 1000, .seed = 1 };
	const struct fixture_commit second = {
		.first = 5, .count = 5, .size = 1000, .seed = 2
	};

	archive_fixture_must_commit(f, &first);
	archive_fixture_must_commit(f, &second);
	(void)lose_record(f, 0, false);
	assert_int_equal(archive_fixture_commit(f, &second), -ESTALE);
	assert_non_null(strstr(f->err.text, "catalog rebuild"));
	rebuild_fixture_run(t);
	rebuild_fixture_check_files(f, &first, 0);
	archive_fixture_must_commit(f, &second);
	rebuild_fixture_check_files(f, &first, 0);
	rebuild_fixture_check_files(f, &second, 0);
	rebuild_fixture_check_same(t);
}

static void lost_tree_pages_cost_their_names_only(void **state)
{
	struct rebuild_fixture *t = *state;
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
	archive_fixture_must_commit(f, &many);
	/* Without parity one bad block is lost: in the middle of what the first commit wrote,
	 * which are leaf pages. */
	assert_int_equal(stat(archive_fixture_volume(f, 0), &st), 0);
	archive_fixture_must_commit(f, &last);
	archive_fixture_must_commit(f, &gone);
	overwrite(archive_fixture_volume(f, 0), (uint64_t)st.st_size / 2, 4096);
	rebuild_fixture_remove_catalog(t);
	rebuild_fixture_run(t);
	archive = archive_fixture_must_open(f, true);
	for (uint32_t i = 0; i < 3000; i++)
		found += archive_fixture_read(archive, i, 0, 1) == 0;
	assert_int_equal(archive_fixture_read(archive, 2999, 10, 2), 0);
	assert_int_equal(archive_fixture_read(archive, 2982, 0, 1), -ENOENT);
	assert_true(found > 1000);
	archive_free(archive);
}

#define TEST(name)                                                   \
	cmocka_unit_test_setup_teardown(name, rebuild_fixture_setup, \
					rebuild_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lost_record_costs_what_it_listed),
		TEST(a_lost_header_record_costs_nothing),
		TEST(a_volume_without_its_first_stripe_is_rebuilt),
		TEST(after_the_loss_of_the_last_record_a_rebuild_lets_commits_go_on),
		TEST(lost_tree_pages_cost_their_names_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
