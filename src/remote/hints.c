/* SPDX-License-Identifier: MIT */
#include "remote/hints.h"

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "remote/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX (4u << 20)  /* bytes; servers send half of that and a line, at most */
#define HINTS_MAX (16u << 20) /* bytes of all replies together */
#define HEADS_MAX (4u << 20)  /* bytes of those got together: more than one can have */
#define VERSIONS_MAX (256u << 10) /* bytes; parsed, JSON takes up to 40 times its size */

static int append_target(struct text *target, const char *what, const char *path)
{
	int r = text_append(target, what);

	for (; r == 0 && *path; path++) {
		unsigned char c = (unsigned char)*path;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr("/-._~", c);

		r = plain ? text_append_char(target, (char)c)
			  : text_appendf(target, "%%%02X", c);
	}
	return r;
}

static int get(struct http *http, const struct text *target, size_t size_max,
	       struct text *reply, struct error *err)
{
	return http_get(http,
			&(struct http_request){ .target = text_string(target),
						.text = reply,
						.text_max = size_max },
			err);
}

static int decode_version(const struct json *version, struct text *lines,
			  struct error *err)
{
	uint64_t first;
	uint64_t end = 0;
	int r;

	r = json_get_u64(version, "first", &first, err);
	if (r == 0)
		end = first + 1;
	if (r == 0 && json_has(version, "end"))
		r = json_get_u64(version, "end", &end, err);
	if (r == 0 && (end <= first || text_appendf(lines, "%" PRIu64 "\n", first) < 0 ||
		       text_appendf(lines, "%" PRIu64 "\n", end - 1) < 0))
		r = error_set(err, end <= first ? -EBADMSG : -ENOMEM,
			      "versions of a path");
	return r;
}

int hints_decode_versions(const void *data, size_t size, struct text *lines,
			  uint64_t *cursor_out, struct error *err)
{
	autoptr(json) json = NULL;
	const struct json *versions;
	uint64_t cursor = 0;
	int r;

	r = json_parse(data, size, VERSIONS_MAX, &json, err);
	if (r == 0)
		r = json_get_array(json, "versions", &versions, err);
	if (r == 0 && json_has(json, "cursor"))
		r = json_get_u64(json, "cursor", &cursor, err);
	if (r < 0)
		return r;
	for (const struct json *v = json_first(versions); r == 0 && v; v = json_next(v))
		r = decode_version(v, lines, err);
	if (r == 0)
		*cursor_out = cursor;
	return r;
}

int hints_get_versions(struct http *http, const char *path, struct text *lines,
		       struct error *err)
{
	uint64_t cursor = 0;
	uint64_t before;
	int r = 0;

	do {
		autotext struct text target = { 0 };
		autotext struct text reply = { 0 };

		before = cursor;
		r = append_target(&target, "/v1/versions/", path);
		if (r == 0 && cursor > 0)
			r = text_appendf(&target, "?cursor=%" PRIu64, cursor);
		if (r < 0)
			return error_set(err, r, "no memory for versions");
		r = get(http, &target, VERSIONS_MAX, &reply, err);
		if (r == -ENOENT)
			return 0; /* the path has none */
		if (r == 0)
			r = hints_decode_versions(reply.data, reply.size, lines, &cursor,
						  err);
		if (r == 0 && cursor == before)
			cursor = 0;
		if (r == 0 && cursor != 0 && (cursor < before || lines->size > HINTS_MAX))
			r = error_set(err, -EBADMSG, "the server has no end of versions");
	} while (r == 0 && cursor != 0);
	return r;
}

int hints_get_names(struct http *http, const char *path, uint64_t at, struct text *lines,
		    struct error *err)
{
	autotext struct text target = { 0 };
	int r;

	r = append_target(&target, "/v1/names/", path);
	if (r == 0)
		r = text_appendf(&target, "?at=%" PRIu64, at);
	if (r < 0)
		return error_set(err, r, "no memory for names");
	r = get(http, &target, REPLY_MAX, lines, err);
	if (r == -ENOENT)
		text_clear(lines);
	return r == -ENOENT ? 0 : r;
}

static uint64_t count_lines(const struct text *text, size_t from)
{
	uint64_t count = 0;

	for (size_t i = from; i < text->size; i++)
		count += text->data[i] == '\n';
	return count;
}

int hints_get_heads(struct http *http, uint64_t first, uint64_t last, struct text *lines,
		    struct error *err)
{
	while (first <= last) {
		autotext struct text target = { 0 };
		size_t before = lines->size;
		uint64_t count;
		int r;

		r = text_appendf(&target, "/v1/commits?from=%" PRIu64 "&until=%" PRIu64,
				 first, last);
		if (r < 0)
			return error_set(err, r, "no memory for heads");
		r = get(http, &target, REPLY_MAX, lines, err);
		if (r < 0) /* that there are none is nothing to be believed */
			return r == -ENOENT ? -EIO : r;
		if (lines->size > HEADS_MAX)
			return error_set(err, -EFBIG,
					 "heads of %zu bytes and more at a time",
					 lines->size);
		count = count_lines(lines, before);
		if (count == 0 || count > last - first + 1)
			return 0; /* who wants to prove them sees what is missing */
		first += count;
	}
	return 0;
}
