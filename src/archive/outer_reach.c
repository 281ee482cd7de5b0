/* SPDX-License-Identifier: MIT */
#include "archive/outer_reach.h"

#include "archive/copies.h"
#include "catalog/groups.h"

#include <stdbool.h>
#include <string.h>

struct reach {
	const struct copies *copies;
	struct catalog *catalog;
	const struct uuid *volume;
	uint64_t reached; /* log offset up to which members are counted */
	uint64_t bytes;
	struct error *err;
};

static bool is_attached(const struct copies *copies, const struct uuid *uuid)
{
	for (size_t i = 0; i < copies->count; i++)
		if (memcmp(&copies->volumes[i].uuid, uuid, UUID_SIZE) == 0)
			return copies->volumes[i].attached;
	return false;
}

/* Whether k shards of @group are on other volumes that are there. Members that a short group
 * does not have are zeroes, which everybody knows. */
static bool can_give(const struct reach *reach, const struct group_place *group)
{
	bool known[GROUP_DATA_MAX + GROUP_PARITY_MAX] = { false };
	bool member[GROUP_DATA_MAX] = { false };
	unsigned count = 0;

	for (size_t i = 0; i < group->shard_count; i++) {
		const struct group_shard *shard = &group->shards[i];

		if (!shard->runs)
			member[shard->shard] = true;
		known[shard->shard] |= memcmp(&shard->volume, reach->volume, UUID_SIZE) &&
				       is_attached(reach->copies, &shard->volume);
	}
	for (unsigned i = 0; i < group->data + group->parity; i++)
		count += known[i] || (i < group->data && !member[i]);
	return count >= group->data;
}

static int count_member(void *context, const struct hash *id, uint64_t log_start,
			uint64_t log_size)
{
	struct reach *reach = context;
	uint64_t end = log_start + log_size;
	struct group_place group = { 0 };
	bool given;
	int r;

	r = catalog_get_group(reach->catalog, id, &group, reach->err);
	if (r != 0)
		return r < 0 ? r : 0;
	given = can_give(reach, &group);
	group_place_done(&group);
	if (!given || end <= reach->reached)
		return 0;
	if (log_start > reach->reached)
		reach->reached = log_start;
	reach->bytes += end - reach->reached;
	reach->reached = end;
	return 0;
}

int outer_reach_get(const struct copies *copies, struct catalog *catalog,
		    const struct uuid *volume, uint64_t *bytes_out, struct error *err)
{
	struct reach reach = {
		.copies = copies, .catalog = catalog, .volume = volume, .err = err
	};
	int r = catalog_visit_members(catalog, volume, count_member, &reach, err);

	if (r < 0)
		return r;
	*bytes_out = reach.bytes;
	return 0;
}
