/* SPDX-License-Identifier: MIT */
#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FRACTION_DIGITS_MAX 9
#define LETTERS "KMGTPE"

static uint64_t power(uint64_t base, unsigned exponent)
{
	uint64_t value = 1;

	while (exponent-- > 0)
		value *= base;
	return value;
}

/* "", "B", "K", "KiB" (1024) and "KB" (1000), and so on. */
static int parse_unit(const char *text, uint64_t *unit_out)
{
	const char *letter;
	unsigned exponent;

	if (!*text || strcasecmp(text, "B") == 0) {
		*unit_out = 1;
		return 0;
	}
	letter = strchr(LETTERS, toupper((unsigned char)*text));
	if (!letter)
		return -EINVAL;

	exponent = (unsigned)(letter - LETTERS) + 1;
	if (!text[1] || strcasecmp(text + 1, "iB") == 0)
		*unit_out = power(1024, exponent);
	else if (strcasecmp(text + 1, "B") == 0)
		*unit_out = power(1000, exponent);
	else
		return -EINVAL;
	return 0;
}

/* Digits at *@text, advancing it; @count_out how many. */
static int parse_digits(const char **text, uint64_t *value_out, unsigned *count_out)
{
	uint64_t value = 0;
	unsigned count = 0;

	for (; **text >= '0' && **text <= '9'; (*text)++, count++) {
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
			return -ERANGE;
	}
	*value_out = value;
	*count_out = count;
	return count > 0 ? 0 : -EINVAL;
}

int size_parse(const char *text, uint64_t *size_out)
{
	uint64_t whole = 0;
	uint64_t fraction = 0;
	uint64_t unit = 1;
	uint64_t size;
	unsigned digits = 0;
	unsigned unused;
	int r;

	r = parse_digits(&text, &whole, &unused);
	if (r < 0)
		return r;
	if (*text == '.') {
		text++;
		r = parse_digits(&text, &fraction, &digits);
		if (r < 0 || digits > FRACTION_DIGITS_MAX)
			return -EINVAL;
	}
	if (text[0] == ' ' && text[1])
		text++;
	r = parse_unit(text, &unit);
	if (r < 0)
		return r;
	if (digits > 0 && unit == 1)
		return -EINVAL;

	fraction = (uint64_t)((unsigned __int128)fraction * unit / power(10, digits));
	if (__builtin_mul_overflow(whole, unit, &size) ||
	    __builtin_add_overflow(size, fraction, &size))
		return -ERANGE;
	*size_out = size;
	return 0;
}

/* @value in units of @base, with one decimal below a hundred units: "1.5", "256". Integers only,
 * so that the text is the same everywhere. Rounding may carry: 1023.96 KiB are 1.0 MiB. */
static const char *format_scaled(uint64_t value, uint64_t base, const char *suffix,
				 char text_out[SIZE_TEXT_MAX])
{
	const char *tail = base == 1024 ? "iB" : "B";
	unsigned exponent = 0;
	uint64_t unit = 1;
	uint64_t tenths;

	while (exponent < 6 && value / unit >= base) {
		unit *= base;
		exponent++;
	}
	tenths = (uint64_t)(((unsigned __int128)value * 10 + unit / 2) / unit);
	if (tenths >= 1000)
		tenths = (tenths + 5) / 10 * 10;
	if (tenths >= base * 10 && exponent < 6) {
		tenths = 10;
		exponent++;
	}

	if (exponent == 0)
		(void)snprintf(text_out, SIZE_TEXT_MAX, "%" PRIu64 " B%s", value, suffix);
	else if (tenths < 1000 && tenths % 10 != 0)
		(void)snprintf(text_out, SIZE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %c%s%s",
			       tenths / 10, tenths % 10, LETTERS[exponent - 1], tail,
			       suffix);
	else
		(void)snprintf(text_out, SIZE_TEXT_MAX, "%" PRIu64 " %c%s%s", tenths / 10,
			       LETTERS[exponent - 1], tail, suffix);
	return text_out;
}

const char *size_format(uint64_t size, char text_out[SIZE_TEXT_MAX])
{
	return format_scaled(size, 1024, "", text_out);
}

/* Whole units only. Returns whether @size is a multiple of some unit of @base. */
static bool format_whole(uint64_t size, uint64_t base, char text_out[SIZE_TEXT_MAX])
{
	unsigned exponent = 0;

	while (size > 0 && size % base == 0 && exponent < 6) {
		size /= base;
		exponent++;
	}
	if (exponent == 0)
		return false;
	(void)snprintf(text_out, SIZE_TEXT_MAX, "%" PRIu64 "%c%sB", size,
		       LETTERS[exponent - 1], base == 1024 ? "i" : "");
	return true;
}

const char *size_format_exact(uint64_t size, char text_out[SIZE_TEXT_MAX])
{
	if (!format_whole(size, 1024, text_out) && !format_whole(size, 1000, text_out))
		(void)snprintf(text_out, SIZE_TEXT_MAX, "%" PRIu64, size);
	return text_out;
}

const char *format_rate(uint64_t size, uint64_t duration, char text_out[SIZE_TEXT_MAX])
{
	unsigned __int128 rate;

	if (duration == 0) {
		(void)snprintf(text_out, SIZE_TEXT_MAX, "-");
		return text_out;
	}
	rate = (unsigned __int128)size * 1000000000u / duration;
	if (rate > UINT64_MAX)
		rate = UINT64_MAX;
	return format_scaled((uint64_t)rate, 1000, "/s", text_out);
}
