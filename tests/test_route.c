/* SPDX-License-Identifier: MIT */
/* Routes, types of content and hosts: what is looked up in tables. */
#include "base/config.h"
#include "serve/http_target.h"
#include "serve/mime.h"
#include "serve/route.h"
#include "serve/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* Check that @target is answered by the route @path, with @variable in it. NULL: none. */
static void check(const char *target, const char *path, const char *variable, size_t size,
		  uint64_t want)
{
	autotarget parsed = { 0 };
	const struct route *route;
	struct bytes got = { 0 };
	uint64_t number;

	assert_int_equal(http_target_parse(target, &parsed, NULL), 0);
	route = route_find(&parsed.path, &got, &number);
	if (!path) {
		assert_null(route);
		return;
	}
	assert_non_null(route);
	assert_string_equal(route->path, path);
	assert_int_equal(got.size, size);
	if (size > 0)
		assert_memory_equal(got.data, variable, size);
	assert_int_equal(number, want);
}
#define CHECK(target, path, variable, number) \
	check(target, path, variable, sizeof(variable) - 1, number)

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void paths_find_their_routes(void **state)
{
	(void)state;
	CHECK("/", "/", "", 0);
	CHECK("/web/main.js", "/web/{name}", "main.js", 0);
	CHECK("/v1/volumes", "/v1/volumes", "", 0);
	CHECK("/v1/volumes/12", "/v1/volumes/{number}", "", 12);
	CHECK("/files/", "/files/{path}", "", 0);
	CHECK("/files/a/b%2F", "/files/{path}", "a\0b/", 0);
	CHECK("/v1/tree?path=/x", "/v1/tree", "", 0);
	CHECK("/v1/page/" HASH, "/v1/page/{hash}", HASH, 0);
	CHECK("/v1/segment/" HASH "/table", "/v1/segment/{hash}/table", HASH, 0);
	CHECK("/v1/segment/" HASH "/frames", "/v1/segment/{hash}/frames", HASH, 0);
	CHECK("/api/files", "/api/files", "", 0);
	CHECK("/api/files/a%2Fb", "/api/files/{name}", "a/b", 0);
	CHECK("/api/files/manifest/manifest", "/api/files/{name}/manifest", "manifest",
	      0);
	CHECK("/api/files/x/segment/12", "/api/files/{name}/segment/{number}", "x", 12);
}

static void other_paths_find_none(void **state)
{
	static const char *const targets[] = {
		"/x",
		"/file",
		"/filesx",
		"/v1",
		"/v1/tree/x",
		"/v1/page",
		("/v1/page/" HASH "0"),
		"/v1/page/x",
		("/v1/page/" HASH "/x"),
		("/v1/segment/" HASH),
		"/api/files/a/b",
		"/api/files/a/segment",
		"/api/files/a/segment/x",
		"/api/files/a/segment/01",
		"/api/files/a/segment/99999999999999999999999",
		"/openapi.json/x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		CHECK(targets[i], NULL, "", 0);
}

static void each_route_is_told_in_full(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &routes[i];
		const char *brace = strchr(route->path, '{');

		assert_true(route->path[0] == '/' && route->summary[0] && route->type[0]);
		assert_non_null(route->answer);
		if (!strstr(route->path, "{number}"))
			assert_int_equal(brace != NULL, route->variable != ROUTE_FIXED);
		assert_true(route_has_method(route, "GET"));
		assert_false(route_has_method(route, "PUT"));
		assert_int_equal(route_has_method(route, "POST"), route->more != NULL);
		assert_false(route_has_parameter(route, "token"));
	}
}

static void types_follow_the_ends_of_names(void **state)
{
	static const struct {
		const char *name;
		const char *type;
		bool active;
	} cases[] = {
		{ "a.html", "text/html; charset=utf-8", true },
		{ "a.HTM", "text/html; charset=utf-8", true },
		{ "a.svg", "image/svg+xml", true },
		{ "a.tar.gz", "application/gzip", false },
		{ "a.jpg", "image/jpeg", false },
		{ "a.c", "text/plain; charset=utf-8", false },
		{ "a", "application/octet-stream", false },
		{ "a.", "application/octet-stream", false },
		{ "a.xyz", "application/octet-stream", false },
		{ "a.tooooolong", "application/octet-stream", false },
		{ "a.c h", "application/octet-stream", false },
		{ ".html", "text/html; charset=utf-8", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct mime *mime = mime_find(cases[i].name, strlen(cases[i].name));

		assert_string_equal(mime->type, cases[i].type);
		assert_int_equal(mime->active, cases[i].active);
	}
	assert_string_equal(mime_find("a.\0tml", 6)->type, "application/octet-stream");
	assert_string_equal(mime_find("", 0)->type, "application/octet-stream");
}

static void hosts_are_addresses_or_our_names(void **state)
{
	static const char *const good[] = {
		"localhost",      "LOCALHOST:80", "127.0.0.1",     "10.0.0.1:1", "[::1]",
		"[fe80::1]:8080", "a.example",    "x.b.example:1", "a.example."
	};
	static const char *const bad[] = {
		"",          ":80",    "evil",           "a.example.evil",
		"b.example", "[evil]", "127.0.0.1.evil", "localhost.evil",
		"[",         "a/b"
	};
	char first[] = "a.example";
	char second[] = "*.b.example";
	char *names[] = { first, second };
	struct config config = { .server.hosts = { names, 2 } };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(server_knows_host(&config, good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(server_knows_host(&config, bad[i]));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_find_their_routes),
		cmocka_unit_test(other_paths_find_none),
		cmocka_unit_test(each_route_is_told_in_full),
		cmocka_unit_test(types_follow_the_ends_of_names),
		cmocka_unit_test(hosts_are_addresses_or_our_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
