/* SPDX-License-Identifier: MIT */
#include "base/number.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

int number_parse_u64(const char *text, uint64_t *value_out)
{
	uint64_t value = 0;

	if (text[0] < '0' || text[0] > '9' || (text[0] == '0' && text[1]))
		return -EINVAL;
	if (text[strspn(text, "0123456789")])
		return -EINVAL;

	for (; *text; text++) {
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return -ERANGE;
	}
	*value_out = value;
	return 0;
}

int number_parse_i64(const char *text, int64_t *value_out)
{
	const uint64_t lowest =
		(uint64_t)INT64_MAX + 1; /* of which only -lowest exists */
	bool negative = text[0] == '-';
	uint64_t value;
	int r;

	r = number_parse_u64(text + negative, &value);
	if (r < 0)
		return r;
	if (negative && value == 0)
		return -EINVAL;
	if (value > lowest - !negative)
		return -ERANGE;

	*value_out = (int64_t)(negative ? 0 - value : value);
	return 0;
}

static size_t format_digits(uint64_t value, char *text_out)
{
	char reversed[NUMBER_TEXT_MAX];
	size_t n = 0;

	do {
		reversed[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);

	for (size_t i = 0; i < n; i++)
		text_out[i] = reversed[n - 1 - i];
	text_out[n] = 0;
	return n;
}

size_t number_format_u64(uint64_t value, char text_out[NUMBER_TEXT_MAX])
{
	return format_digits(value, text_out);
}

size_t number_format_i64(int64_t value, char text_out[NUMBER_TEXT_MAX])
{
	if (value >= 0)
		return format_digits((uint64_t)value, text_out);
	text_out[0] = '-';
	return 1 + format_digits(0 - (uint64_t)value, text_out + 1);
}
