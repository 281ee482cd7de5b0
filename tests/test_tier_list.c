/* SPDX-License-Identifier: MIT */
#include "tier/tier_list.h"

#include "base/config_value.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void add(struct tier_list *list, char *folder)
{
	struct tier_entry entry = { .folder = folder,
				    .archive = (char[]){ "/archive" },
				    .into = (char[]){ "a/b" },
				    .uuid = { { 1, 2, 3 } } };

	assert_int_equal(config_tier_init(&entry.policy), 0);
	entry.policy.high = 91;
	entry.policy.min_size = 1536;
	entry.policy.interval = 36 * 3600;
	assert_int_equal(tier_list_add(list, &entry), 0);
	config_tier_done(&entry.policy);
}

static void a_list_comes_back_as_it_was(void **state)
{
	char folder[] = "/tmp/test-tier-list-XXXXXX";
	struct tier_list list = { 0 }, got = { 0 };
	char odd[] = "/x/\xff\ny";
	char plain[] = "/home";
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(tier_list_load(fd, &got, NULL), 0);
	assert_int_equal(got.count, 0);
	add(&list, odd);
	add(&list, plain);
	assert_int_equal(tier_list_save(fd, &list, NULL), 0);
	assert_int_equal(tier_list_load(fd, &got, NULL), 0);
	assert_int_equal(got.count, 2);
	assert_string_equal(got.items[0].folder, odd);
	assert_string_equal(got.items[1].folder, plain);
	assert_string_equal(got.items[1].archive, "/archive");
	assert_string_equal(got.items[1].into, "a/b");
	assert_int_equal(got.items[1].policy.high, 91);
	assert_int_equal(got.items[1].policy.min_size, 1536);
	assert_int_equal(got.items[1].policy.interval, 36 * 3600);
	assert_int_equal(got.items[1].policy.access_age, 30 * 86400);
	assert_memory_equal(&got.items[1].uuid, &list.items[1].uuid, TIER_UUID_SIZE);
	tier_list_done(&list);
	tier_list_done(&got);
	assert_int_equal(unlinkat(fd, "tiers.json", 0), 0);
	(void)close(fd);
	assert_int_equal(rmdir(folder), 0);
}

static void paths_are_found_in_their_tier(void **state)
{
	struct tier_list list = { 0 };
	char first[] = "/a/b";
	char second[] = "/";
	const char *rest = NULL;

	(void)state;
	add(&list, first);
	assert_ptr_equal(tier_list_find(&list, "/a/b/c/d", &rest), &list.items[0]);
	assert_string_equal(rest, "c/d");
	assert_ptr_equal(tier_list_find(&list, "/a/b", &rest), &list.items[0]);
	assert_string_equal(rest, "");
	assert_null(tier_list_find(&list, "/a/bc", &rest));
	assert_null(tier_list_find(&list, "/a", &rest));
	add(&list, second);
	assert_ptr_equal(tier_list_find(&list, "/a/bc", &rest), &list.items[1]);
	assert_string_equal(rest, "a/bc");
	tier_list_done(&list);
}

static void patterns_come_back_as_they_were(void **state)
{
	static char patterns[] = "*.o:/a\\\"b/:\xc3\xa4 c";
	struct tier_entry entry = { .folder = (char[]){ "/a" },
				    .archive = (char[]){ "/b" },
				    .into = (char[]){ "c" },
				    .configured = true };
	struct tier_list list = { 0 }, got = { 0 };
	const struct config_strings *exclude;
	char folder[] = "/tmp/test-tier-list-XXXXXX";
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(config_tier_init(&entry.policy), 0);
	assert_int_equal(config_value_set_text(config_tier_policy_key("exclude"),
					       &entry.policy, patterns, NULL),
			 0);
	assert_int_equal(tier_list_add(&list, &entry), 0);
	config_tier_done(&entry.policy);
	assert_int_equal(tier_list_save(fd, &list, NULL), 0);
	assert_int_equal(tier_list_load(fd, &got, NULL), 0);
	assert_true(got.items[0].configured);
	exclude = &got.items[0].policy.exclude;
	assert_int_equal(exclude->count, 3);
	assert_string_equal(exclude->items[0], "*.o");
	assert_string_equal(exclude->items[1], "/a\\\"b/");
	assert_string_equal(exclude->items[2], "\xc3\xa4 c");
	tier_list_done(&list);
	tier_list_done(&got);
	assert_int_equal(unlinkat(fd, "tiers.json", 0), 0);
	(void)close(fd);
	assert_int_equal(rmdir(folder), 0);
}

static void a_list_that_could_not_be_read_is_not_written(void **state)
{
	char folder[] = "/tmp/test-tier-list-XXXXXX";
	struct tier_list list = { 0 }, got = { 0 };
	char name[2001] = "/";
	char plain[] = "/home";
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	add(&list, plain);
	assert_int_equal(tier_list_save(fd, &list, NULL), 0);
	memset(name + 1, 'x', sizeof(name) - 2);
	for (size_t i = 0; i < 600; i++)
		add(&list, name);
	assert_int_equal(tier_list_save(fd, &list, NULL), -EFBIG);
	assert_int_equal(tier_list_load(fd, &got, NULL), 0);
	assert_int_equal(got.count, 1);
	tier_list_done(&list);
	tier_list_done(&got);
	assert_int_equal(unlinkat(fd, "tiers.json", 0), 0);
	(void)close(fd);
	assert_int_equal(rmdir(folder), 0);
}

static void what_is_no_list_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"{\"tiers\":{}}",
		"{\"tiers\":[{}]}",
		"{\"tiers\":[{\"folder\":\"a\",\"archive\":\"/b\",\"into\":\"c\","
		"\"uuid\":\"00000000000000000000000000000000\"}]}",
		"{\"tiers\":[{\"folder\":\"/a\",\"archive\":\"/b\",\"into\":\"c\","
		"\"uuid\":\"00\"}]}",
	};
	struct tier_list list = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(tier_list_parse(texts[i], strlen(texts[i]), &list, NULL),
				 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_comes_back_as_it_was),
		cmocka_unit_test(paths_are_found_in_their_tier),
		cmocka_unit_test(patterns_come_back_as_they_were),
		cmocka_unit_test(a_list_that_could_not_be_read_is_not_written),
		cmocka_unit_test(what_is_no_list_is_refused),
	};

	return cmocka_run_group_tests_name("tier_list", tests, NULL, NULL);
}
