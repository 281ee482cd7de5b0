/* SPDX-License-Identifier: MIT */
/* A page that decodes gives the same page when encoded and decoded again. Inputs are tried
 * as they are, and with the magic and hash put right, so that the ranges are reached. */
#include "volume/page.h"

#include <stdlib.h>
#include <string.h>

#define HASH_OFFSET 72

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *bytes)
{
	static struct page page, again;
	uint8_t first[PAGE_SIZE_BYTES], second[PAGE_SIZE_BYTES];

	if (page_decode(bytes, &page, NULL) < 0)
		return;
	page_encode(&page, first);
	if (page_decode(first, &again, NULL) < 0)
		abort();
	page_encode(&again, second);
	if (memcmp(first, second, sizeof(first)) != 0)
		abort();
	if (!page_identity_equal(&page.identity, &again.identity))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[PAGE_SIZE_BYTES] = { 0 };
	struct hash hash;

	if (size > 0)
		memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
	check(bytes);

	memcpy(bytes + 8, "BFPG", 4);
	memset(bytes + HASH_OFFSET, 0, HASH_SIZE);
	hash_bytes(bytes, sizeof(bytes), &hash);
	memcpy(bytes + HASH_OFFSET, &hash, HASH_SIZE);
	check(bytes);
	return 0;
}
