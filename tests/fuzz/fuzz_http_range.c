/* SPDX-License-Identifier: MIT */
/* Ranges that are answered lie within the content, ascend and do not touch. The first eight
 * bytes are the content's size. */
#include "base/cleanup.h"
#include "serve/http_range.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes with a NUL behind them. */
static char *copy_string(const uint8_t *data, size_t size)
{
	char *string = calloc(1, size + 1);

	if (!string)
		abort();
	memcpy(string, data, size);
	return string;
}

static void check(const struct http_ranges *ranges, uint64_t size)
{
	uint64_t position = 0;

	if (ranges->count < 1 || ranges->count > HTTP_RANGES_MAX)
		abort();
	for (size_t i = 0; i < ranges->count; i++) {
		const struct http_span *span = &ranges->spans[i];

		if (span->size == 0 || span->offset >= size ||
		    span->size > size - span->offset ||
		    (i > 0 && span->offset <= position))
			abort();
		position = span->offset + span->size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_ranges ranges = { 0 };
	autofree char *text = NULL;
	uint64_t content;

	if (size < sizeof(content))
		return 0;
	memcpy(&content, data, sizeof(content));
	text = copy_string(data + sizeof(content), size - sizeof(content));
	if (http_range_parse(text, content, &ranges) == HTTP_RANGE_SOME)
		check(&ranges, content);
	return 0;
}
