/* SPDX-License-Identifier: MIT */
#pragma once
/* Where a file has data and where holes. Immutable after hole_map_copy(). */
#include <stddef.h>
#include <stdint.h>

struct manifest;
struct manifest_hole;

struct hole_map {
	struct manifest_hole *items; /* owned, ascending */
	size_t count;
	uint64_t size; /* bytes of the file */
};

/* Those of @manifest. -ENOMEM. Release with hole_map_done(). */
int hole_map_copy(const struct manifest *manifest, struct hole_map *holes_out);
void hole_map_done(struct hole_map *holes);

/* The first byte from @offset on that is data (SEEK_DATA) or in a hole (SEEK_HOLE); there
 * is a hole behind the end. -ENXIO: none, or @offset is not in the file. -EINVAL: another
 * @whence. */
int hole_map_seek(const struct hole_map *holes, uint64_t offset, int whence,
		  uint64_t *offset_out);
