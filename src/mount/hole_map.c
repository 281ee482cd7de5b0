/* SPDX-License-Identifier: MIT */
#include "mount/hole_map.h"

#include "merkle/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int hole_map_copy(const struct manifest *manifest, struct hole_map *holes_out)
{
	struct hole_map holes = { .count = manifest->hole_count, .size = manifest->size };

	if (holes.count > 0) {
		holes.items = calloc(holes.count, sizeof(*holes.items));
		if (!holes.items)
			return -ENOMEM;
		memcpy(holes.items, manifest->holes, holes.count * sizeof(*holes.items));
	}
	*holes_out = holes;
	return 0;
}

void hole_map_done(struct hole_map *holes)
{
	free(holes->items);
	*holes = (struct hole_map){ 0 };
}

/* Number of the first hole that ends behind @offset. */
static size_t find_hole(const struct hole_map *holes, uint64_t offset)
{
	size_t low = 0, high = holes->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct manifest_hole *hole = &holes->items[middle];

		if (hole->offset + hole->size > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int seek_data(const struct hole_map *holes, uint64_t offset, uint64_t *offset_out)
{
	/* Holes that touch each other are one. */
	for (size_t i = find_hole(holes, offset); i < holes->count; i++) {
		const struct manifest_hole *hole = &holes->items[i];

		if (hole->offset > offset)
			break;
		offset = hole->offset + hole->size;
	}
	if (offset >= holes->size)
		return -ENXIO;
	*offset_out = offset;
	return 0;
}

int hole_map_seek(const struct hole_map *holes, uint64_t offset, int whence,
		  uint64_t *offset_out)
{
	size_t i;

	if (offset >= holes->size)
		return -ENXIO;
	if (whence == SEEK_DATA)
		return seek_data(holes, offset, offset_out);
	if (whence != SEEK_HOLE)
		return -EINVAL;
	i = find_hole(holes, offset);
	if (i == holes->count)
		*offset_out = holes->size;
	else
		*offset_out =
			holes->items[i].offset > offset ? holes->items[i].offset : offset;
	return 0;
}
