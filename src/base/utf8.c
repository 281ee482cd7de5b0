/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <string.h>

/* Length that the first byte announces, 0 for one that starts nothing. */
static size_t sequence_size(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

size_t utf8_decode(const void *data, size_t size, uint32_t *code_out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *b = data;
	uint32_t code;
	size_t n;

	n = size > 0 ? sequence_size(b[0]) : 0;
	if (n == 0 || n > size)
		return 0;

	code = n == 1 ? b[0] : b[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (b[i] & 0x3fu);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;

	if (code_out)
		*code_out = code;
	return n;
}

bool utf8_valid(const void *data, size_t size)
{
	const uint8_t *b = data;
	size_t i = 0;

	while (i < size) {
		uint64_t eight;
		size_t n;

		/* Most names are ASCII: eight bytes at a time while that lasts. */
		if (size - i >= sizeof(eight)) {
			memcpy(&eight, b + i, sizeof(eight));
			if (!(eight & 0x8080808080808080u)) {
				i += sizeof(eight);
				continue;
			}
		}
		n = utf8_decode(b + i, size - i, NULL);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool utf8_is_text(const void *data, size_t size)
{
	return (size == 0 || !memchr(data, 0, size)) && utf8_valid(data, size);
}

/* Characters that move the cursor, switch the writing direction or cannot be seen. */
static bool is_unprintable(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0xad ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe0fff);
}

size_t utf8_printable(const void *data, size_t size)
{
	uint32_t code = 0;
	size_t n = utf8_decode(data, size, &code);

	return n > 0 && !is_unprintable(code) ? n : 0;
}
