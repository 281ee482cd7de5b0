/* SPDX-License-Identifier: MIT */
#include "catalog/hash_range.h"

#include <errno.h>
#include <string.h>

static int fill(const char *hex, size_t size, char digit, struct hash *hash_out)
{
	char text[HASH_HEX_SIZE];

	memset(text, digit, sizeof(text));
	memcpy(text, hex, size);
	text[sizeof(text) - 1] = '\0';
	return hash_from_hex(text, hash_out);
}

int hash_range(const char *hex, size_t min, struct hash *low_out, struct hash *high_out)
{
	size_t size = strlen(hex);
	struct hash low, high;

	if (size < min || size >= HASH_HEX_SIZE || fill(hex, size, '0', &low) < 0 ||
	    fill(hex, size, 'f', &high) < 0)
		return -EINVAL;
	*low_out = low;
	*high_out = high;
	return 0;
}
