/* SPDX-License-Identifier: MIT */
#include "tier/policy.h"

#include "base/config_tier.h"
#include "base/config_value.h"
#include "base/error.h"
#include "base/json_build.h"
#include "tier/pass_report.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW 1000000000ll
#define DAY 86400

static struct config_tier policy;

static int make_policy(void **state)
{
	(void)state;
	return config_tier_init(&policy);
}

static int free_policy(void **state)
{
	(void)state;
	config_tier_done(&policy);
	return 0;
}

static void set(const char *key, const char *text)
{
	assert_int_equal(
		config_value_set_text(config_tier_policy_key(key), &policy, text, NULL),
		0);
}

/* A file that was read and changed so many days ago. */
static struct stat file(uint64_t size, int64_t access, int64_t modify)
{
	return (struct stat){ .st_mode = S_IFREG,
			      .st_size = (off_t)size,
			      .st_blocks = (blkcnt_t)((size + 511) / 512),
			      .st_atim.tv_sec = NOW - access * DAY,
			      .st_mtim.tv_sec = NOW - modify * DAY };
}

static enum policy_skip judge(struct stat stat)
{
	return policy_judge(&policy, &stat, NOW);
}

static void files_go_by_size_and_both_ages(void **state)
{
	struct stat holes = file(1 << 20, 99, 99);

	(void)state;
	assert_int_equal(judge(file(1 << 20, 30, 7)), POLICY_TAKE);
	assert_int_equal(judge(file(1 << 20, 29, 7)), POLICY_YOUNG);
	assert_int_equal(judge(file(1 << 20, 30, 6)), POLICY_YOUNG);
	assert_int_equal(judge(file(65535, 30, 7)), POLICY_SMALL);
	assert_int_equal(judge(file(65536, 30, 7)), POLICY_TAKE);
	assert_int_equal(judge(file(0, 99, 99)), POLICY_SMALL);
	holes.st_blocks = 0;
	assert_int_equal(judge(holes), POLICY_SPARSE);
	/* A clock that was wrong makes nothing old. */
	assert_int_equal(judge(file(1 << 20, -5, 99)), POLICY_YOUNG);
	set("access_age", "0s");
	set("modify_age", "0s");
	assert_int_equal(judge(file(1 << 20, -5, -5)), POLICY_TAKE);
}

static void patterns_take_folders_with_all_below_them(void **state)
{
	(void)state;
	assert_true(policy_includes(&policy, "/hot/a", false));
	assert_false(policy_excludes(&policy, "/hot/a", false));
	set("exclude", "*.tmp:/hot/keep/");
	set("include", "films/:*.iso");
	assert_true(policy_excludes(&policy, "/hot/a.tmp", false));
	assert_true(policy_excludes(&policy, "/hot/keep", true));
	assert_false(policy_excludes(&policy, "/hot/keep", false));
	assert_true(policy_includes(&policy, "/hot/films", true));
	assert_false(policy_includes(&policy, "/hot/films", false));
	assert_true(policy_includes(&policy, "/hot/x/y.iso", false));
	assert_false(policy_includes(&policy, "/hot/x", true));
}

static void the_oldest_and_largest_go_first(void **state)
{
	const struct stat old = file(1 << 20, 400, 400);
	const struct stat large = file(100 << 20, 40, 40);
	const struct stat both = file(100 << 20, 400, 400);
	const struct stat read = file(100 << 20, 39, 400);
	const struct stat fresh = file(1, 0, 0);

	(void)state;
	assert_true(policy_rank(&both, NOW) > policy_rank(&large, NOW));
	assert_true(policy_rank(&large, NOW) > policy_rank(&old, NOW));
	assert_true(policy_rank(&large, NOW) > policy_rank(&read, NOW));
	assert_true(policy_rank(&fresh, NOW) > 0);
}

static uint64_t wanted(uint64_t used, uint64_t available)
{
	const struct policy_usage usage = { used, available };

	return policy_wanted(&policy, &usage);
}

static void watermarks_say_how_much_is_wanted(void **state)
{
	(void)state;
	assert_true(wanted(1, 999) == POLICY_ALL);
	set("high", "80");
	assert_int_equal(wanted(799, 201), 0);
	assert_int_equal(wanted(800, 200), 100); /* down to 70 % */
	assert_int_equal(wanted(1000, 0), 300);
	set("low", "50");
	assert_int_equal(wanted(800, 200), 300);
	assert_int_equal(wanted(0, 0), 0);
	/* No overflow where 100 times that would be one. */
	assert_true(wanted(UINT64_MAX / 2, 0) > UINT64_MAX / 5);
}

static void the_reserve_is_kept_free(void **state)
{
	(void)state;
	set("high", "90");
	set("low", "85");
	set("reserve", "200");
	assert_int_equal(wanted(800, 200), 0);
	assert_int_equal(wanted(810, 190), 10); /* high is not reached, low neither */
	assert_int_equal(wanted(890, 110), 90); /* 40 would do for low */
	set("reserve", "20");
	assert_int_equal(wanted(950, 50), 100);
}

static void usage_is_counted_as_df_does(void **state)
{
	const struct policy_usage some = { 801, 199 }, full = { 5, 0 }, none = { 0, 5 };

	(void)state;
	assert_int_equal(policy_usage_percent(&some), 81);
	assert_int_equal(policy_usage_percent(&full), 100);
	assert_int_equal(policy_usage_percent(&none), 0);
}

static void every_reason_has_a_name_of_its_own(void **state)
{
	enum policy_skip got;

	(void)state;
	for (enum policy_skip i = 0; i < POLICY_SKIPS; i++) {
		assert_true(policy_skip_parse(policy_skip_name(i), &got));
		assert_int_equal(got, i);
	}
	assert_false(policy_skip_parse("none such", &got));
}

static void a_report_comes_back_as_it_was(void **state)
{
	struct pass_result result = { .time = -5,
				      .duration = 7,
				      .complete = true,
				      .usage = { 1, 2 },
				      .wanted = 3,
				      .counts.seen = { 4, 5, 6 },
				      .chosen = { 1, UINT64_MAX, 0 } };
	struct pass_result got;
	char folder[] = "/tmp/test-policy-XXXXXX";
	char command[64];
	int fd;

	(void)state;
	result.counts.skipped[POLICY_YOUNG] = (struct tally){ 1, 2, 3 };
	assert_non_null(mkdtemp(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pass_report_load(fd, "/a", false, &got, NULL), -ENOENT);
	assert_int_equal(pass_report_save(fd, "/a", &result, NULL), 0);
	assert_int_equal(pass_report_load(fd, "/a", true, &got, NULL), -ENOENT);
	assert_int_equal(pass_report_load(fd, "/b", false, &got, NULL), -ENOENT);
	assert_int_equal(pass_report_load(fd, "/a", false, &got, NULL), 0);
	assert_memory_equal(&got.counts, &result.counts, sizeof(got.counts));
	assert_memory_equal(&got.chosen, &result.chosen, sizeof(got.chosen));
	assert_true(got.time == -5 && got.duration == 7 && got.complete);
	assert_true(got.wanted == 3 && got.usage.available == 2);
	assert_int_equal(pass_report_parse("{}", 2, &got, NULL), -EBADMSG);
	(void)close(fd);
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_go_by_size_and_both_ages,
						make_policy, free_policy),
		cmocka_unit_test_setup_teardown(patterns_take_folders_with_all_below_them,
						make_policy, free_policy),
		cmocka_unit_test(the_oldest_and_largest_go_first),
		cmocka_unit_test_setup_teardown(watermarks_say_how_much_is_wanted,
						make_policy, free_policy),
		cmocka_unit_test_setup_teardown(the_reserve_is_kept_free, make_policy,
						free_policy),
		cmocka_unit_test(usage_is_counted_as_df_does),
		cmocka_unit_test(every_reason_has_a_name_of_its_own),
		cmocka_unit_test(a_report_comes_back_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
