/* SPDX-License-Identifier: MIT */
/* What follows from a stripe's description: sizes, root, copies. docs/format.md 2 and 4. */
#include "volume/stripe_info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t stripe_log_size(const struct stripe_info *stripe)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < stripe->data_count; i++)
		size += stripe->extents[i].payload_size;
	return size;
}

/* Bytes of extent number @index as written: pages and areas. */
static uint64_t extent_size(const struct stripe_info *stripe, unsigned index)
{
	const struct geometry *geometry = &stripe->geometry;
	uint64_t pages = geometry_data_pages(geometry);

	if (index >= stripe->data_count)
		pages += geometry_parity_pages(geometry);
	return PAGE_SIZE_BYTES * pages + stripe->extents[index].area_size;
}

static unsigned extent_count(const struct stripe_info *stripe)
{
	return stripe->data_count + stripe->geometry.parity;
}

uint64_t stripe_physical_size(const struct stripe_info *stripe)
{
	unsigned last = extent_count(stripe) - 1;

	return last * stripe->geometry.stride + extent_size(stripe, last);
}

uint64_t stripe_written_size(const struct stripe_info *stripe)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < extent_count(stripe); i++)
		size += extent_size(stripe, i);
	return size;
}

void stripe_root(const struct stripe_info *stripe, struct hash *root_out)
{
	struct hasher hasher;

	hasher_init(&hasher);
	for (unsigned i = 0; i < extent_count(stripe); i++)
		hasher_update(&hasher, &stripe->extents[i].hash, HASH_SIZE);
	hasher_final(&hasher, root_out);
}

int stripe_info_copy(const struct stripe_info *stripe, struct stripe_info *copy_out)
{
	size_t count = stripe->extents ? extent_count(stripe) : 0;
	struct extent_info *extents = NULL;

	if (count) {
		extents = malloc(count * sizeof(*extents));
		if (!extents)
			return -ENOMEM;
		memcpy(extents, stripe->extents, count * sizeof(*extents));
	}
	*copy_out = *stripe;
	copy_out->extents = extents;
	return 0;
}

void stripe_info_done(struct stripe_info *stripe)
{
	free(stripe->extents);
	stripe->extents = NULL;
}
