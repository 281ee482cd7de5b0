/* SPDX-License-Identifier: MIT */
#pragma once
/* Conditional requests (RFC 9110, 13): what the client has against what there is. Tags are
 * strong: they are the content's hash. Pure functions, any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#define HTTP_DATE_MAX 32 /* bytes, NUL included */

/* Write @seconds since the epoch as "Sun, 06 Nov 1994 08:49:37 GMT". -ERANGE outside the
 * years 1 to 9999. */
int http_date_format(int64_t seconds, char text_out[HTTP_DATE_MAX]);

/* Read a date in any of the three forms of RFC 9110, 5.6.7. -EINVAL. */
int http_date_parse(const char *text, int64_t *seconds_out);

/* The headers, or NULL each. */
struct http_conditions {
	const char *if_match;
	const char *if_none_match;
	const char *if_modified_since;
	const char *if_unmodified_since;
	const char *if_range;
};

/* What there is. */
struct http_validators {
	const char *etag; /* quotes included; NULL: none */
	bool has_modified;
	int64_t modified; /* Last-Modified: seconds since the epoch */
};

enum http_condition {
	HTTP_CONDITION_HOLDS,        /* answer as if there were none */
	HTTP_CONDITION_NOT_MODIFIED, /* 304 */
	HTTP_CONDITION_FAILED,       /* 412 */
};

/* For GET and HEAD. If-Range is not looked at. */
enum http_condition http_condition_check(const struct http_conditions *conditions,
					 const struct http_validators *validators);

/* Whether Range counts: there is no If-Range, or it names exactly what there is. */
bool http_condition_allows_range(const struct http_conditions *conditions,
				 const struct http_validators *validators);
