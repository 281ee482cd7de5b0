/* SPDX-License-Identifier: MIT */
#pragma once
/* URLs of servers. Pure functions, any thread. */
#include <stdbool.h>

struct error;

/* @text as it is known by: scheme and host in lower case, no default port, no trailing slash.
 * -EINVAL: not http or https, or with a user, query or fragment. The caller frees *url_out. */
int http_url_parse(const char *text, char **url_out, struct error *err);

/* Whether two URLs have the same scheme, host and port. */
bool http_url_same_origin(const char *a, const char *b);
