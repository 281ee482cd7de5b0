/* SPDX-License-Identifier: MIT */
#include "archive/head.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/history.h"
#include "remote/disk_cache.h"
#include "remote/hints.h"
#include "remote/http.h"
#include "remote/http_status.h"
#include "remote/http_url.h"
#include "remote/trust.h"
#include "remote/view.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-remote-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	return setenv("XDG_STATE_HOME", folder, 1);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static void urls_of_one_server_are_one(void **state)
{
	static const char *const same[][2] = {
		{ "http://host", "http://host" },
		{ "HTTP://Host/", "http://host" },
		{ "http://host:80//", "http://host" },
		{ "https://host:443/a/b/", "https://host/a/b" },
		{ "http://host:8080", "http://host:8080" },
		{ "http://[::1]:80/", "http://[::1]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		char *url;

		assert_int_equal(http_url_parse(same[i][0], &url, NULL), 0);
		assert_string_equal(url, same[i][1]);
		free(url);
	}
}

static void what_is_no_url_of_a_server_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"host",
		"ftp://host",
		"file:///etc",
		"http://",
		"http://u@h",
		"http://u:p@h",
		"http://h/?a=b",
		"http://h/#a",
		"http://h:x",
		"http://a b",
		"https//host",
		"javascript:1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *url = NULL;

		assert_int_equal(http_url_parse(wrong[i], &url, NULL), -EINVAL);
	}
}

static void an_origin_is_scheme_host_and_port(void **state)
{
	(void)state;
	assert_true(http_url_same_origin("http://h/a", "http://h:80/b"));
	assert_false(http_url_same_origin("http://h", "https://h"));
	assert_false(http_url_same_origin("http://h", "http://g"));
	assert_false(http_url_same_origin("http://h", "http://h:81"));
	assert_false(http_url_same_origin("http://h", "file:///h"));
	assert_false(http_url_same_origin("http://h", "nonsense"));
}

static void a_token_does_not_go_over_plain_http(void **state)
{
	struct http_options options = { .url = "http://127.0.0.1", .token = "t" };
	struct http *http;

	(void)state;
	assert_int_equal(http_new(&options, &http, NULL), -EPERM);
	options.plain_token = true;
	assert_int_equal(http_new(&options, &http, NULL), 0);
	http_free(http);
	options = (struct http_options){ .url = "https://127.0.0.1", .token = "t" };
	assert_int_equal(http_new(&options, &http, NULL), 0);
	http_free(http);
}

static void a_proxy_that_fails_is_asked_again_and_the_server_is_not(void **state)
{
	static const struct {
		long status;
		const char *type;
		int r;
	} cases[] = {
		{ 502, NULL, -EAGAIN },
		{ 502, "text/html", -EAGAIN },
		{ 502, "application/problem+json", -EBADMSG },
		{ 503, "application/problem+json; charset=utf-8", -ENOMEDIUM },
		{ 503, "text/plain", -EAGAIN },
		{ 404, NULL, -ENOENT },
		{ 401, NULL, -EACCES },
		{ 418, NULL, -EIO },
	};
	const struct text none = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			http_status_error(cases[i].status, cases[i].type, &none, NULL),
			cases[i].r);
}

static void what_was_seen_is_remembered_by_url(void **state)
{
	struct trust trust = { .url = (char *)(uintptr_t) "http://host",
			       .sequence = UINT64_MAX / 2 };
	autotrust found = { 0 };

	(void)state;
	assert_int_equal(trust_load("http://host", &found, NULL), -ENOENT);
	memset(trust.head.bytes, 7, HASH_SIZE);
	memset(trust.archive.bytes, 8, HASH_SIZE);
	assert_int_equal(trust_store(&trust, NULL), 0);
	assert_int_equal(trust_load("http://host", &found, NULL), 0);
	assert_string_equal(found.url, "http://host");
	assert_int_equal(found.sequence, trust.sequence);
	assert_true(hash_equal(&found.head, &trust.head));
	assert_true(hash_equal(&found.archive, &trust.archive));
	assert_true(hash_is_zero(&found.pin));
	assert_int_equal(trust_load("http://host:1", &trust, NULL), -ENOENT);
	assert_int_equal(trust_forget("http://host", NULL), 0);
	assert_int_equal(trust_load("http://host", &trust, NULL), -ENOENT);
	assert_int_equal(trust_forget("http://host", NULL), -ENOENT);
}

static void every_truncation_of_what_is_remembered_is_refused(void **state)
{
	static const char text[] =
		"{\"version\":1,\"url\":\"u\",\"archive\":"
		"\"0000000000000000000000000000000000000000000000000000000000000001\","
		"\"sequence\":\"3\",\"head\":"
		"\"0000000000000000000000000000000000000000000000000000000000000002\","
		"\"seen\":\"5\"}";
	struct trust trust;

	(void)state;
	for (size_t size = 0; size < sizeof(text) - 1; size++)
		assert_true(trust_decode(text, size, &trust, NULL) < 0);
	assert_int_equal(trust_decode(text, sizeof(text) - 1, &trust, NULL), 0);
	assert_int_equal(trust.sequence, 3);
	trust_done(&trust);
}

static void hints_are_commits_that_have_versions(void **state)
{
	static const char text[] = "{\"versions\":[{\"first\":\"1\",\"end\":\"4\"},"
				   "{\"first\":\"9\"}],\"cursor\":\"2\"}";
	autotext struct text lines = { 0 };
	uint64_t cursor;

	(void)state;
	assert_int_equal(hints_decode_versions(text, strlen(text), &lines, &cursor, NULL),
			 0);
	assert_string_equal(text_string(&lines), "1\n3\n9\n9\n");
	assert_int_equal(cursor, 2);
}

static void name_of(unsigned i, struct hash *name_out)
{
	hash_bytes(&i, sizeof(i), name_out);
}

static void what_is_kept_on_disk_is_found_again_or_is_not_there(void **state)
{
	uint8_t data[1000];
	uint8_t *found = NULL;
	struct disk_cache *cache;
	char path[160];
	char hex[HASH_HEX_SIZE];
	struct hash name;
	size_t size;

	(void)state;
	memset(data, 5, sizeof(data));
	name_of(1, &name);
	assert_int_equal(disk_cache_open(folder, 1 << 20, &cache, NULL), 0);
	assert_int_equal(disk_cache_get(cache, &name, 1000, &found, &size), -ENOENT);
	disk_cache_put(cache, &name, data, sizeof(data));
	disk_cache_free(cache);

	assert_int_equal(disk_cache_open(folder, 1 << 20, &cache, NULL), 0);
	assert_int_equal(disk_cache_get(cache, &name, 999, &found, &size), -ENOENT);
	assert_int_equal(disk_cache_get(cache, &name, 1000, &found, &size), 0);
	assert_int_equal(size, sizeof(data));
	assert_memory_equal(found, data, size);
	free(found);

	hash_to_hex(&name, hex);
	(void)snprintf(path, sizeof(path), "%s/%.2s/%s", folder, hex, hex + 2);
	assert_int_equal(truncate(path, 500), 0);
	assert_int_equal(disk_cache_get(cache, &name, 1000, &found, &size), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
	disk_cache_free(cache);
}

static void the_oldest_go_when_the_disks_share_is_full(void **state)
{
	uint8_t data[10000] = { 0 };
	uint8_t *found = NULL;
	struct disk_cache *cache;
	unsigned there = 0;
	struct hash name;
	size_t size;

	(void)state;
	assert_int_equal(disk_cache_open(folder, 500000, &cache, NULL), 0);
	for (unsigned i = 0; i < 200; i++) {
		name_of(i, &name);
		disk_cache_put(cache, &name, data, sizeof(data));
	}
	for (unsigned i = 0; i < 200; i++) {
		name_of(i, &name);
		if (disk_cache_get(cache, &name, sizeof(data), &found, &size) == 0) {
			there++;
			free(found);
		}
	}
	assert_in_range(there, 30, 50);
	name_of(199, &name);
	assert_int_equal(disk_cache_get(cache, &name, sizeof(data), &found, &size), 0);
	free(found);
	disk_cache_free(cache);
}

static void entries_count_as_what_they_take_on_disk(void **state)
{
	const uint8_t data[10] = { 0 };
	uint8_t *found = NULL;
	struct disk_cache *cache;
	unsigned there = 0;
	struct hash name;
	size_t size;

	(void)state;
	assert_int_equal(disk_cache_open(folder, 50 * 4096, &cache, NULL), 0);
	for (unsigned i = 0; i < 200; i++) {
		name_of(i, &name);
		disk_cache_put(cache, &name, data, sizeof(data));
	}
	for (unsigned i = 0; i < 200; i++) {
		name_of(i, &name);
		if (disk_cache_get(cache, &name, sizeof(data), &found, &size) == 0) {
			there++;
			free(found);
		}
	}
	assert_in_range(there, 30, 50);
	disk_cache_free(cache);
}

static struct view *make_view(const char *path, uint64_t sequence)
{
	struct head head = { .sequence = sequence };
	struct view *view = NULL;
	char *json;

	memset(head.archive_id.bytes, 1, sequence ? HASH_SIZE : 0);
	memset(head.previous.bytes, 1, sequence ? HASH_SIZE : 0);
	assert_int_equal(head_encode(&head, &json, NULL), 0);
	assert_int_equal(view_make(NULL, path, &head, json, &view, NULL), 0);
	free(json);
	return view;
}

static void assert_only_first(const char *path)
{
	struct commit_row commit = { 0 };
	struct catalog *catalog;

	assert_int_equal(catalog_open(path, &catalog, NULL), 0);
	assert_int_equal(catalog_get_commit(catalog, 0, &commit, NULL), 0);
	commit_row_done(&commit);
	assert_int_equal(catalog_get_commit(catalog, 5, &commit, NULL), CATALOG_END);
	catalog_free(catalog);
}

/* Although who reads the old one still has it open, with its log. */
static void a_new_view_has_nothing_of_the_old_one(void **state)
{
	struct view *old, *new;
	char path[80];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/catalog.db", folder);
	old = make_view(path, 5);
	new = make_view(path, 0);
	assert_only_first(path);
	view_free(old);
	assert_only_first(path);
	view_free(new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_of_one_server_are_one),
		cmocka_unit_test(what_is_no_url_of_a_server_is_refused),
		cmocka_unit_test(an_origin_is_scheme_host_and_port),
		cmocka_unit_test(a_token_does_not_go_over_plain_http),
		cmocka_unit_test(a_proxy_that_fails_is_asked_again_and_the_server_is_not),
		cmocka_unit_test_setup_teardown(what_was_seen_is_remembered_by_url,
						set_up, tear_down),
		cmocka_unit_test(every_truncation_of_what_is_remembered_is_refused),
		cmocka_unit_test(hints_are_commits_that_have_versions),
		cmocka_unit_test_setup_teardown(
			what_is_kept_on_disk_is_found_again_or_is_not_there, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			the_oldest_go_when_the_disks_share_is_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(entries_count_as_what_they_take_on_disk,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_new_view_has_nothing_of_the_old_one,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
