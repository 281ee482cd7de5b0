/* SPDX-License-Identifier: MIT */
#pragma once
/* The Range header of HTTP (RFC 9110, 14), for bytes. Pure, any thread. */
#include <stddef.h>
#include <stdint.h>

#define HTTP_RANGES_MAX 16u /* that are answered; who asks for more gets everything */

/* A stretch of the content, never empty. */
struct http_span {
	uint64_t offset; /* bytes */
	uint64_t size;
};

/* Ascending; they neither overlap nor touch. */
struct http_ranges {
	struct http_span spans[HTTP_RANGES_MAX];
	size_t count;
};

enum http_range {
	HTTP_RANGE_NONE, /* as if the header were not there: another unit, not well formed,
			  * too many, or content of no bytes */
	HTTP_RANGE_SOME,          /* *ranges_out; 206 */
	HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

/* What of @size bytes of content is asked for by the header's value @text (NULL: there is
 * none). Only HTTP_RANGE_SOME writes *ranges_out. */
enum http_range http_range_parse(const char *text, uint64_t size,
				 struct http_ranges *ranges_out);
