/* SPDX-License-Identifier: MIT */
#pragma once
/* Reading JSON from foreign bytes, strictly.
 *
 * A document is one value as RFC 8259 has it, without: bytes behind it, duplicate names in
 * an object, invalid UTF-8, \u0000, lone surrogates, nesting beyond JSON_DEPTH_MAX,
 * numbers longer than JSON_NUMBER_MAX. 64-bit numbers are canonical decimal strings
 * (base/number.h), since a JSON number loses what does not fit a double.
 *
 * Getters take an object and a member's name, or any value and a NULL name, which means the
 * value itself (for elements of arrays). They return -EBADMSG when the member is missing,
 * of another type or out of range; outputs are then untouched. Strings and values are
 * borrowed until the document is freed. base/json_optional.h has those with a fallback,
 * base/json_build.h and base/json_writer.h make documents.
 *
 * Threads: a document is immutable after parsing.
 */
#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 16  /* objects and arrays inside each other */
#define JSON_NUMBER_MAX 24 /* characters */

struct json;

/* Parse @size bytes, at most @limit. -EBADMSG with the place in bytes, -EFBIG, -ENOMEM.
 * The caller frees *json_out. */
int json_parse(const void *data, size_t size, size_t limit, struct json **json_out,
	       struct error *err);

/* Free a whole document, never a part of one. NULL is allowed. */
void json_free(struct json *json);
DEFINE_AUTOPTR(json);

/* Whether @object is an object with a member @name. */
bool json_has(const struct json *object, const char *name);

int json_get_string(const struct json *object, const char *name, const char **string_out,
		    struct error *err);

/* Canonical decimal strings: "123", "-5". */
int json_get_u64(const struct json *object, const char *name, uint64_t *value_out,
		 struct error *err);
int json_get_i64(const struct json *object, const char *name, int64_t *value_out,
		 struct error *err);

/* A whole JSON number, 0 to UINT32_MAX. */
int json_get_u32(const struct json *object, const char *name, uint32_t *value_out,
		 struct error *err);

int json_get_bool(const struct json *object, const char *name, bool *value_out,
		  struct error *err);

int json_get_object(const struct json *object, const char *name,
		    const struct json **value_out, struct error *err);
int json_get_array(const struct json *object, const char *name,
		   const struct json **value_out, struct error *err);

/* Bytes that need not be UTF-8: the string "<name>", or base64 in "<name>_base64"; both at
 * once are -EBADMSG. The caller frees *data_out; a NUL stands behind the bytes. */
int json_get_bytes(const struct json *object, const char *name, uint8_t **data_out,
		   size_t *size_out, struct error *err);

/* Exactly @size bytes as lower-case hexadecimal digits. */
int json_get_hex(const struct json *object, const char *name, void *data_out, size_t size,
		 struct error *err);

/* Walk the members of an object or the elements of an array in their order:
 * for (v = json_first(array); v; v = json_next(v)). */
const struct json *json_first(const struct json *container);
const struct json *json_next(const struct json *value);

/* Members or elements; 0 for other values. */
size_t json_count(const struct json *container);

/* The name of a member, NULL for an element or a whole document. */
const char *json_name(const struct json *value);
