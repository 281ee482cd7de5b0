/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

static const char digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			       "0123456789+/";

void base64_encode(const void *data, size_t size, char *text_out)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t group = (uint32_t)b[i] << 16;

		if (left > 1)
			group |= (uint32_t)b[i + 1] << 8;
		if (left > 2)
			group |= b[i + 2];

		*text_out++ = digits[group >> 18];
		*text_out++ = digits[group >> 12 & 63];
		*text_out++ = left > 1 ? digits[group >> 6 & 63] : '=';
		*text_out++ = left > 2 ? digits[group & 63] : '=';
	}
}

/* Value of a digit, -1 for any other character. */
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Decode four characters of which the last @padding are '='. The bits that do not fit
 * into the bytes must be zero, or several texts would mean the same bytes. */
static int decode_group(const char *text, size_t padding, uint8_t *out)
{
	uint32_t group = 0;

	for (size_t i = 0; i < 4; i++) {
		int value = i < 4 - padding ? digit_value(text[i]) : 0;

		if (value < 0)
			return -EINVAL;
		group = group << 6 | (uint32_t)value;
	}
	if ((padding == 1 && group & 0xff) || (padding == 2 && group & 0xffff))
		return -EINVAL;

	out[0] = (uint8_t)(group >> 16);
	if (padding < 2)
		out[1] = (uint8_t)(group >> 8);
	if (padding < 1)
		out[2] = (uint8_t)group;
	return 0;
}

int base64_decode(const char *text, size_t size, uint8_t **data_out, size_t *size_out)
{
	autofree uint8_t *data = NULL;
	size_t padding = 0;
	int r;

	if (size % 4 != 0)
		return -EINVAL;
	if (size > 0 && text[size - 1] == '=')
		padding = text[size - 2] == '=' ? 2 : 1;

	data = malloc(size / 4 * 3 + 1);
	if (!data)
		return -ENOMEM;

	for (size_t i = 0; i < size; i += 4) {
		r = decode_group(text + i, i + 4 == size ? padding : 0, data + i / 4 * 3);
		if (r < 0)
			return r;
	}

	*size_out = size / 4 * 3 - padding;
	data[*size_out] = 0;
	*data_out = take_ptr(data);
	return 0;
}
