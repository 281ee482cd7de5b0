/* SPDX-License-Identifier: MIT */
#pragma once
/* Building a JSON document as a tree, for output that is small or needs to be pretty.
 * What is written by the hundred thousand uses base/json_writer.h, same conventions.
 *
 * Adders take an object and a member's name, or an array and a NULL name. They return 0,
 * -EINVAL (a string or name that is not UTF-8 text without NUL, a name that is there
 * already, a container of the wrong kind) or -ENOMEM; the document is unchanged then.
 *
 * Threads: one at a time.
 */
#include "base/json.h"

/* An empty document; the caller frees it with json_free(). NULL: no memory. */
struct json *json_object_new(void);
struct json *json_array_new(void);

int json_add_string(struct json *parent, const char *name, const char *value);

/* As canonical decimal strings. */
int json_add_u64(struct json *parent, const char *name, uint64_t value);
int json_add_i64(struct json *parent, const char *name, int64_t value);

/* As a JSON number. */
int json_add_u32(struct json *parent, const char *name, uint32_t value);

int json_add_bool(struct json *parent, const char *name, bool value);

/* As "<name>" when the bytes are UTF-8 text without NUL, else base64 as "<name>_base64".
 * For objects only. */
int json_add_bytes(struct json *parent, const char *name, const void *data, size_t size);

/* As lower-case hexadecimal digits. */
int json_add_hex(struct json *parent, const char *name, const void *data, size_t size);

/* Add an empty container and borrow it in *child_out until the document is freed. */
int json_add_object(struct json *parent, const char *name, struct json **child_out);
int json_add_array(struct json *parent, const char *name, struct json **child_out);

/* The document as one line without spaces, or indented for people. No newline at the end.
 * -ENOMEM. The caller frees *text_out. */
int json_print(const struct json *json, char **text_out);
int json_print_formatted(const struct json *json, char **text_out);
