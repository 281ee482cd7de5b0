/* SPDX-License-Identifier: MIT */
/* Conditions give an answer for any bytes, and a date that is read reads the same when it is
 * written again. Lines are the headers, in the order of their fields. */
#include "base/cleanup.h"
#include "serve/http_condition.h"

#include <stddef.h>
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

static void check_date(const char *text)
{
	char again[HTTP_DATE_MAX];
	int64_t seconds;
	int64_t same = 0;

	if (http_date_parse(text, &seconds) < 0)
		return;
	if (http_date_format(seconds, again) < 0)
		return; /* the year 0 can be read, but is never written */
	if (http_date_parse(again, &same) < 0 || same != seconds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct http_validators ours = { "\"x\"", true, 784111777 };
	autofree char *copy = copy_string(data, size);
	struct http_conditions conditions = { 0 };
	const char **fields[] = { &conditions.if_match, &conditions.if_none_match,
				  &conditions.if_modified_since,
				  &conditions.if_unmodified_since, &conditions.if_range };
	char *rest = copy;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && rest; i++) {
		*fields[i] = strsep(&rest, "\n");
		check_date(*fields[i]);
	}
	if (http_condition_check(&conditions, &ours) > HTTP_CONDITION_FAILED)
		abort();
	(void)http_condition_allows_range(&conditions, &ours);
	return 0;
}
