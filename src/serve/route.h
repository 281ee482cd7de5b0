/* SPDX-License-Identifier: MIT */
#pragma once
/* What can be asked for: one table, which is what finds the answer to a request and what
 * /openapi.json and /docs are made of. What is not in it is not answered.
 *
 * Threads: constant.
 */
#include "merkle/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct request;

/* What stands in the place of {} in a route's path. */
enum route_variable {
	ROUTE_FIXED, /* nothing does */
	ROUTE_PATH,  /* the rest of the path: one in the archive, "" is its top */
	ROUTE_NAME,  /* one component: a whole path in the archive, escaped */
	ROUTE_HASH,  /* one component: 64 hexadecimal digits */
		     /* {number} may stand behind any of these. */
};

#define ROUTE_ALLOW_READ "GET, HEAD, OPTIONS" /* of all routes but a few */

/* Who gets an answer. */
enum route_reach {
	ROUTE_OPEN,     /* everybody, also without a token */
	ROUTE_FILTERED, /* everybody, of what the token reaches */
	ROUTE_WHOLE,    /* only who may read everything */
};

struct route_parameter {
	const char *name; /* NULL at the end */
	const char *help;
	bool required;
};

struct route {
	const char *path; /* "/v1/stream/{path}" */
	enum route_variable variable;
	enum route_reach reach;
	const struct route_parameter *parameters;
	const char *type;    /* of the answer */
	const char *summary; /* one line */
	int (*answer)(struct request *request, struct error *err);
	const char *more; /* methods beside GET and HEAD, as in Allow; NULL: none */
};

extern const struct route routes[];
extern const size_t route_count;

/* The route of @path (components, as in struct http_target), what of @path is its variable
 * (borrowed), and its number. NULL: none. */
const struct route *route_find(const struct bytes *path, struct bytes *variable_out,
			       uint64_t *number_out);

/* Whether the route is for @method, which is none that nothing knows. */
bool route_has_method(const struct route *route, const char *method);

bool route_has_parameter(const struct route *route, const char *name);
