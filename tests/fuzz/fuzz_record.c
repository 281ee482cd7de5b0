/* SPDX-License-Identifier: MIT */
/* A record that decodes gives the same record when encoded and decoded again. Inputs are
 * tried as they are, and with magic, size and hash put right, so that the lists are reached. */
#include "base/bytes.h"
#include "volume/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *bytes, size_t size)
{
	autoptr(record) record = NULL;
	autoptr(record) again = NULL;
	autofree uint8_t *first = NULL;
	autofree uint8_t *second = NULL;
	size_t first_size, second_size;

	if (record_decode(bytes, size, &record, NULL) < 0)
		return;
	if (record_encode(record, &first, &first_size, NULL) < 0 || first_size != size)
		abort();
	if (record_decode(first, first_size, &again, NULL) < 0)
		abort();
	if (record_encode(again, &second, &second_size, NULL) < 0)
		abort();
	if (second_size != size || memcmp(first, second, size) != 0)
		abort();
	for (size_t i = 0; i < record->stripe_count; i++) /* sums that others rely on */
		if (record->stripes[i].log_start + stripe_log_size(&record->stripes[i]) >
		    record->log_end)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree uint8_t *bytes = NULL;
	struct hash hash;
	le32 length;

	check(data, size);
	if (size < 208)
		return 0;
	bytes = malloc(size);
	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	memcpy(bytes, "BFRC", 4);
	length = le32_make((uint32_t)size);
	memcpy(bytes + 8, &length, sizeof(length));
	hash_bytes(bytes, size - HASH_SIZE, &hash);
	memcpy(bytes + size - HASH_SIZE, &hash, HASH_SIZE);
	check(bytes, size);
	return 0;
}
