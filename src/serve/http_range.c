/* SPDX-License-Identifier: MIT */
/* A header that is not well formed is ignored, as the RFC asks; so is one with more ranges
 * than anybody needs, which is how servers are made to send a file many times over. What is
 * left is sorted and joined, so that no byte is sent twice in one answer.
 *
 * A number too large for 64 bits is well formed; it stands for the end of the content.
 */
#include "serve/http_range.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *skip_space(const char *c)
{
	return c + strspn(c, " \t");
}

/* Read digits at *c, at least one. */
static bool read_number(const char **c, uint64_t *value_out)
{
	uint64_t value = 0;
	size_t digits = strspn(*c, "0123456789");

	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)((*c)[i] - '0'), &value))
			value = UINT64_MAX;
	*c += digits;
	*value_out = value;
	return digits > 0;
}

/* Read one range. Its size is 0 if it has nothing of the content. */
static bool read_spec(const char **c, uint64_t size, struct http_span *span_out)
{
	uint64_t first = 0;
	uint64_t last = UINT64_MAX;
	bool has_first = read_number(c, &first);
	bool has_last;

	if (*(*c)++ != '-')
		return false;
	has_last = read_number(c, &last);
	if (!has_first && !has_last)
		return false;
	if (!has_first) {
		uint64_t count = last < size ? last : size;

		*span_out = (struct http_span){ size - count, count };
		return true;
	}
	if (has_last && last < first)
		return false;
	if (!has_last || last >= size)
		last = size - 1;
	*span_out = (struct http_span){ first, first < size ? last - first + 1 : 0 };
	return true;
}

static int compare_spans(const void *a, const void *b)
{
	const struct http_span *x = a;
	const struct http_span *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void join_spans(struct http_ranges *ranges)
{
	size_t kept = 0;

	qsort(ranges->spans, ranges->count, sizeof(ranges->spans[0]), compare_spans);
	for (size_t i = 1; i < ranges->count; i++) {
		struct http_span *last = &ranges->spans[kept];
		const struct http_span *next = &ranges->spans[i];
		uint64_t end = last->offset + last->size;

		if (next->offset > end)
			ranges->spans[++kept] = *next;
		else if (next->offset + next->size > end)
			last->size = next->offset + next->size - last->offset;
	}
	ranges->count = kept + 1;
}

enum http_range http_range_parse(const char *text, uint64_t size,
				 struct http_ranges *ranges_out)
{
	struct http_ranges ranges = { 0 };
	size_t specs = 0;
	const char *c;

	if (!text || strncasecmp(text, "bytes=", 6) != 0 || size == 0)
		return HTTP_RANGE_NONE;
	for (c = skip_space(text + 6); *c; c = skip_space(c)) {
		struct http_span span;

		if (*c == ',') { /* a list may have empty elements */
			c++;
			continue;
		}
		if (++specs > HTTP_RANGES_MAX || !read_spec(&c, size, &span))
			return HTTP_RANGE_NONE;
		c = skip_space(c);
		if (*c != ',' && *c != '\0')
			return HTTP_RANGE_NONE;
		if (span.size > 0)
			ranges.spans[ranges.count++] = span;
	}
	if (specs == 0)
		return HTTP_RANGE_NONE;
	if (ranges.count == 0)
		return HTTP_RANGE_UNSATISFIABLE;
	join_spans(&ranges);
	*ranges_out = ranges;
	return HTTP_RANGE_SOME;
}
