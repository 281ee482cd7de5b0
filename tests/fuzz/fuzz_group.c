/* SPDX-License-Identifier: MIT */
/* A group that decodes gives the same group when encoded and decoded again, and every byte of
 * its shard is found. Inputs are tried as they are, and with size and id put right. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "volume/group.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_places(const struct group *group)
{
	uint64_t step = group->size / 7 + 1;
	uint32_t left;

	for (uint64_t i = 0; i < group->size; i += step)
		if (group_find(group->runs, group->run_count, group->size, i, &left) >=
			    INT64_MAX ||
		    left == 0 || left > GROUP_CHUNK_SIZE)
			abort();
}

static void check(const uint8_t *bytes, size_t size)
{
	autofree uint8_t *first = NULL;
	autofree uint8_t *second = NULL;
	struct group group, again;
	size_t used, used_again;

	if (group_decode(bytes, size, &group, &used, NULL) < 0)
		return;
	check_places(&group);
	if (used > size || group_entry_size(&group) != used)
		abort();
	first = malloc(used);
	second = malloc(used);
	if (!first || !second)
		abort();
	group_encode(&group, first);
	if (group_decode(first, used, &again, &used_again, NULL) < 0 ||
	    used_again != used)
		abort();
	group_encode(&again, second);
	if (memcmp(first, second, used) != 0)
		abort();
	group_done(&again);
	group_done(&group);
}

/* The id of what stands in @bytes, taking the runs to be as many as it says. */
static void put_id(uint8_t *bytes, size_t size)
{
	uint8_t head[64];
	struct hasher hasher;
	struct hash id;
	le32 length = le32_make((uint32_t)size);
	le32 count;
	size_t runs;

	memcpy(bytes, &length, sizeof(length));
	memcpy(&count, bytes + 12, sizeof(count));
	runs = (size_t)le32_get(count) * 24;
	if (runs > size - 64)
		return;
	memcpy(head, bytes, sizeof(head));
	memset(head, 0, 4);
	memset(head + 8, 0, 2);
	memset(head + 12, 0, 4);
	memset(head + 24, 0, 40);
	hasher_init(&hasher);
	hasher_update(&hasher, head, sizeof(head));
	hasher_update(&hasher, bytes + 64, size - 64 - runs);
	hasher_final(&hasher, &id);
	memcpy(bytes + 32, &id, HASH_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree uint8_t *bytes = NULL;

	check(data, size);
	if (size < 64)
		return 0;
	bytes = malloc(size);
	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	put_id(bytes, size);
	check(bytes, size);
	return 0;
}
