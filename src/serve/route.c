/* SPDX-License-Identifier: MIT */
#include "serve/route.h"

#include "base/number.h"
#include "serve/op.h"

#include <string.h>

#define AT                                                                              \
	{                                                                               \
		"at", "as of this commit: its number, or the first digits of its hash", \
			false                                                           \
	}
#define CURSOR                                                               \
	{                                                                    \
		"cursor", "go on behind this, from the answer before", false \
	}
#define END                       \
	{                         \
		NULL, NULL, false \
	}

static const struct route_parameter version_parameters[] = {
	{ "version", "this version of the path, from 1", false }, AT, END
};
static const struct route_parameter at_parameters[] = { AT, END };
static const struct route_parameter cursor_parameters[] = { CURSOR, END };
static const struct route_parameter tree_parameters[] = {
	{ "path", "the folder; the top without it", false },
	AT,
	CURSOR,
	{ "limit", "entries in an answer, up to 10000", false },
	END
};
static const struct route_parameter search_parameters[] = {
	{ "q", "a part of the name, or a pattern with * and ?", false },
	{ "path", "at or below this", false },
	{ "type", "file, directory, symlink, ...", false },
	{ "hash", "the first digits of the BLAKE3 of the content", false },
	AT,
	CURSOR,
	{ "limit", "entries in an answer, up to 1000", false },
	END
};
static const struct route_parameter commits_parameters[] = {
	{ "from", "the first commit; 0 without it", false },
	{ "until", "the last commit; the newest without it", false },
	END
};
static const struct route_parameter index_parameters[] = {
	{ "index", "of the segment in its file; 0 without it, and for packs", false }, END
};
static const struct route_parameter frames_parameters[] = {
	{ "index", "of the segment in its file; 0 without it, and for packs", false },
	{ "first", "the first frame; 0 without it", false },
	{ "count", "how many; 1 without it", false },
	END
};

#define JSON "application/json"
#define BINARY "application/octet-stream"

const struct route routes[] = {
	{ "/", ROUTE_FIXED, ROUTE_OPEN, NULL, "text/html", "The page for people",
	  op_root },
	{ "/web/{name}", ROUTE_NAME, ROUTE_OPEN, NULL, "text/",
	  "What belongs to the page", op_web },
	{ "/v1/session", ROUTE_FIXED, ROUTE_OPEN, NULL, JSON,
	  "Who asks. POST with a token begins a session, DELETE ends it", op_session,
	  "DELETE, POST" },
	{ "/files/{path}", ROUTE_PATH, ROUTE_FILTERED, NULL, "*/*",
	  "A file's content; or a folder: as HTML, or as JSON if Accept asks for that",
	  op_files },
	{ "/v1/stream/{path}", ROUTE_PATH, ROUTE_FILTERED, version_parameters, "*/*",
	  "The content of any version of a file", op_stream },
	{ "/v1/tree", ROUTE_FIXED, ROUTE_FILTERED, tree_parameters, JSON,
	  "The entries of a folder, with their attributes", op_tree },
	{ "/v1/search", ROUTE_FIXED, ROUTE_FILTERED, search_parameters, JSON,
	  "Entries by name, type or content", op_search },
	{ "/v1/versions/{path}", ROUTE_PATH, ROUTE_FILTERED, cursor_parameters, JSON,
	  "All versions of a path, the oldest first", op_versions },
	{ "/v1/manifest/{path}", ROUTE_PATH, ROUTE_FILTERED, version_parameters, JSON,
	  "The manifest of any version of a path", op_manifest },
	{ "/v1/names/{path}", ROUTE_PATH, ROUTE_WHOLE, at_parameters,
	  "application/x-ndjson",
	  "The manifests of all names of a file (hard links), one a line", op_names },
	{ "/v1/tar/{path}", ROUTE_PATH, ROUTE_FILTERED, at_parameters,
	  "application/x-tar", "A file or folder as a tar stream", op_tar },
	{ "/v1/head", ROUTE_FIXED, ROUTE_WHOLE, NULL, JSON,
	  "The head of the newest commit", op_head },
	{ "/v1/commits", ROUTE_FIXED, ROUTE_WHOLE, commits_parameters,
	  "application/x-ndjson",
	  "Heads, one a line, the oldest first; it may end before the last that was "
	  "asked for",
	  op_commits },
	{ "/v1/page/{hash}", ROUTE_HASH, ROUTE_WHOLE, NULL, BINARY,
	  "A page of the tree, or of a list of segments", op_page },
	{ "/v1/segment/{hash}/table", ROUTE_HASH, ROUTE_WHOLE, index_parameters, BINARY,
	  "A segment's header and tables", op_table },
	{ "/v1/segment/{hash}/frames", ROUTE_HASH, ROUTE_WHOLE, frames_parameters, BINARY,
	  "Frames of a segment, as they are stored", op_frames },
	{ "/v1/volumes", ROUTE_FIXED, ROUTE_WHOLE, NULL, JSON, "The volumes",
	  op_volumes },
	{ "/v1/volumes/{number}", ROUTE_FIXED, ROUTE_WHOLE, NULL, JSON,
	  "When which part of a volume was verified", op_volume },
	{ "/v1/health", ROUTE_FIXED, ROUTE_WHOLE, NULL, JSON,
	  "How the archive is: what the last checks and reads have shown", op_health },
	{ "/metrics", ROUTE_FIXED, ROUTE_WHOLE, NULL, "text/plain", "For Prometheus",
	  op_metrics },
	{ "/openapi.json", ROUTE_FIXED, ROUTE_FILTERED, NULL, JSON, "This API as OpenAPI",
	  op_openapi },
	{ "/docs", ROUTE_FIXED, ROUTE_FILTERED, NULL, "text/html", "This API as a page",
	  op_docs },
	{ "/api/files", ROUTE_FIXED, ROUTE_FILTERED, NULL, JSON,
	  "All files: name, size and class of size", op_known_list },
	{ "/api/files/{name}", ROUTE_NAME, ROUTE_FILTERED, NULL, "*/*",
	  "The content of a file", op_known_file },
	{ "/api/files/{name}/manifest", ROUTE_NAME, ROUTE_FILTERED, NULL, JSON,
	  "The manifest of a file", op_known_manifest },
	{ "/api/files/{name}/segment/{number}", ROUTE_NAME, ROUTE_FILTERED, NULL, BINARY,
	  "A piece of 32 MiB of a file", op_known_segment },
};
const size_t route_count = sizeof(routes) / sizeof(routes[0]);

static bool is_hash(const struct bytes *text)
{
	if (text->size != 64)
		return false;
	for (size_t i = 0; i < text->size; i++)
		if (!memchr("0123456789abcdef", text->data[i], 16))
			return false;
	return true;
}

/* Step over the first component of what is left of a path. */
static struct bytes next_component(struct bytes *rest)
{
	struct bytes component = { rest->data, 0 };

	if (rest->size == 0)
		return component;
	component.size = strnlen((const char *)rest->data, rest->size);
	rest->data += component.size;
	rest->size -= component.size;
	if (rest->size > 0) {
		rest->data++;
		rest->size--;
	}
	return component;
}

static bool take_variable(const struct route *route, struct bytes *rest,
			  struct bytes *variable)
{
	if (route->variable == ROUTE_PATH) {
		*variable = *rest;
		*rest = (struct bytes){ 0 };
		return true;
	}
	*variable = next_component(rest);
	return variable->size > 0 && (route->variable != ROUTE_HASH || is_hash(variable));
}

static bool take_number(struct bytes *rest, uint64_t *number_out)
{
	struct bytes component = next_component(rest);
	char text[NUMBER_TEXT_MAX];

	if (component.size >= sizeof(text))
		return false;
	memcpy(text, component.data, component.size);
	text[component.size] = '\0';
	return number_parse_u64(text, number_out) == 0;
}

static bool matches(const struct route *route, struct bytes rest, struct bytes *variable,
		    uint64_t *number)
{
	const char *pattern = route->path;

	*variable = (struct bytes){ 0 };
	while (*pattern == '/') {
		size_t size = strcspn(++pattern, "/");
		struct bytes component;

		if (strcmp(pattern, "{number}") == 0) {
			if (!take_number(&rest, number))
				return false;
		} else if (*pattern == '{') {
			if (!take_variable(route, &rest, variable))
				return false;
		} else if (size > 0) {
			component = next_component(&rest);
			if (component.size != size ||
			    memcmp(component.data, pattern, size) != 0)
				return false;
		}
		pattern += size;
	}
	return rest.size == 0;
}

const struct route *route_find(const struct bytes *path, struct bytes *variable_out,
			       uint64_t *number_out)
{
	*number_out = 0;
	for (size_t i = 0; i < route_count; i++)
		if (matches(&routes[i], *path, variable_out, number_out))
			return &routes[i];
	return NULL;
}

bool route_has_method(const struct route *route, const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
	       strcmp(method, "OPTIONS") == 0 ||
	       (route->more && strstr(route->more, method));
}

bool route_has_parameter(const struct route *route, const char *name)
{
	const struct route_parameter *parameter = route->parameters;

	for (; parameter && parameter->name; parameter++)
		if (strcmp(parameter->name, name) == 0)
			return true;
	return false;
}
