/* SPDX-License-Identifier: MIT */
#pragma once
/* The target of a request as it stands in the request line: path and parameters, decoded
 * once. Pure functions, any thread.
 */
#include "merkle/key.h"

#include <stdbool.h>
#include <stddef.h>

struct error;
struct text;

#define HTTP_PARAMETERS_MAX 8u

struct http_parameter {
	char *name;  /* owned */
	char *value; /* owned */
};

struct http_target {
	char *authority; /* owned: what stands in place of Host in an absolute target; NULL */
	struct bytes path; /* owned: components joined by NUL, as in a key; empty: "/" */
	bool slash;        /* a slash stands behind the last component, or alone */
	struct http_parameter parameters[HTTP_PARAMETERS_MAX];
	size_t parameter_count;
};

/* Decode "/a%20b/c?x=1", or an absolute "http://host/a". Components may hold any byte but
 * NUL; one that decodes to something with a '/' is the name of nothing, but no error. In
 * parameters, '+' is a space. -EINVAL, with what is wrong as a text for the client: escapes
 * that are none, %00, empty components, "." and ".." in any form, a parameter twice or more
 * than HTTP_PARAMETERS_MAX. -ENOMEM. Release with http_target_done(). */
int http_target_parse(const char *raw, struct http_target *target_out, struct error *err);
void http_target_done(struct http_target *target);
#define autotarget __attribute__((__cleanup__(http_target_done))) struct http_target

/* The value of parameter @name, or NULL. Borrowed. */
const char *http_target_parameter(const struct http_target *target, const char *name);

/* Decode a path alone, as it would stand in a target: "/" or "/a/b%20c". As above. The caller
 * frees path_out->data. */
int http_path_parse(const char *raw, struct bytes *path_out, struct error *err);

/* Append @size bytes so that they are one component of a path: all but letters, digits and
 * "-._~" becomes %XX. -ENOMEM, as below. */
int http_escape(struct text *text, const void *data, size_t size);

/* The same for a whole key; '/' between its components. */
int http_escape_key(struct text *text, const uint8_t *key, size_t size);
