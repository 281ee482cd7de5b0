/* SPDX-License-Identifier: MIT */
#pragma once
/* Writing JSON straight into a growing string: no tree, no allocation but the string's.
 *
 * Conventions are those of base/json_build.h and the bytes are the same as json_print()'s.
 * Errors stick: calls after the first one do nothing, and json_writer_finish() returns it,
 * so a whole record is written without a check in between. Names inside an object are the
 * caller's to keep distinct. Give a NULL name for an element of an array and for the
 * document itself.
 *
 * Threads: one at a time.
 */
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer {
	struct text *text; /* borrowed; bytes are appended */
	size_t start;      /* its size at the beginning */
	uint32_t objects;  /* bit n: level n is an object, not an array */
	unsigned depth;    /* open objects and arrays */
	bool comma;        /* a value stands before the next one */
	int r;             /* first error */
};

/* Start a document at the end of @text, which outlives the writer. */
void json_writer_init(struct json_writer *writer, struct text *text);

/* 0, or the first error: -EINVAL (a string that is not UTF-8 text without NUL, something
 * unbalanced, a name missing or too many, deeper than JSON_DEPTH_MAX), -ENOMEM. On error
 * the text is cut back to what it was. A new document may follow. */
int json_writer_finish(struct json_writer *writer);

void json_write_object(struct json_writer *writer, const char *name);
void json_write_array(struct json_writer *writer, const char *name);

/* Close the innermost object or array. */
void json_write_end(struct json_writer *writer);

void json_write_string(struct json_writer *writer, const char *name, const char *value);
void json_write_u64(struct json_writer *writer, const char *name, uint64_t value);
void json_write_i64(struct json_writer *writer, const char *name, int64_t value);
void json_write_u32(struct json_writer *writer, const char *name, uint32_t value);
void json_write_bool(struct json_writer *writer, const char *name, bool value);
void json_write_bytes(struct json_writer *writer, const char *name, const void *data,
		      size_t size);
void json_write_hex(struct json_writer *writer, const char *name, const void *data,
		    size_t size);
