/* SPDX-License-Identifier: MIT */
#pragma once
/* What a server is asked for without being believed: where to look (archive/tree_fill.h).
 * Any thread.
 */
#include <stddef.h>
#include <stdint.h>

struct error;
struct http;
struct text;

/* Append numbers of commits, a line each: of the first and the last one that has each version
 * of @path. */
int hints_get_versions(struct http *http, const char *path, struct text *lines,
		       struct error *err);

/* Append manifests of the names of the file @path at commit @at, a line each. A server
 * that does not know has none. */
int hints_get_names(struct http *http, const char *path, uint64_t at, struct text *lines,
		    struct error *err);

/* Append the heads of commits @first to @last, a line each. -EFBIG: they are too large to
 * be got together. */
int hints_get_heads(struct http *http, uint64_t first, uint64_t last, struct text *lines,
		    struct error *err);

/* The numbers in a reply to /v1/versions are appended; *cursor_out is where to go on, 0: that
 * was all. -EBADMSG. */
int hints_decode_versions(const void *data, size_t size, struct text *lines,
			  uint64_t *cursor_out, struct error *err);
