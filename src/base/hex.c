/* SPDX-License-Identifier: MIT */
#include "base/hex.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

void hex_encode(const void *data, size_t size, char *text_out)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < size; i++) {
		*text_out++ = digits[b[i] >> 4];
		*text_out++ = digits[b[i] & 15];
	}
	*text_out = 0;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_decode(const char *text, void *data_out, size_t size)
{
	uint8_t *b = data_out;

	if (strnlen(text, size * 2 + 1) != size * 2)
		return -EINVAL;
	for (size_t i = 0; i < size * 2; i++) {
		if (digit_value(text[i]) < 0)
			return -EINVAL;
	}

	for (size_t i = 0; i < size; i++)
		b[i] = (uint8_t)(digit_value(text[2 * i]) << 4 |
				 digit_value(text[2 * i + 1]));
	return 0;
}
