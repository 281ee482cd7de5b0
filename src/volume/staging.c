/* SPDX-License-Identifier: MIT */
/* Atoms must not cross extents, so whether a set of them fits into k extents of a size is
 * found by laying them out, not by dividing: in the worst case each extent ends almost a
 * whole atom early.
 */
#include "volume/staging.h"

#include "volume/geometry.h"

#include <assert.h>
#include <string.h>

bool staging_fits(const struct staging *staging, size_t size, size_t capacity)
{
	return staging->used + sizeof(uint32_t) + size <= capacity;
}

int staging_add(struct staging *staging, struct budget *budget, size_t capacity,
		const struct atom *atom, struct error *err)
{
	uint32_t prefix = (uint32_t)atom->size;
	int r;

	assert(staging_fits(staging, atom->size, capacity));
	if (!staging->buffer.data) {
		r = buffer_alloc(&staging->buffer, budget, capacity, "staged frames",
				 err);
		if (r < 0)
			return r;
	}
	memcpy(staging->buffer.data + staging->used, &prefix, sizeof(prefix));
	atom_copy(atom, staging->buffer.data + staging->used + sizeof(prefix));
	staging->used += sizeof(prefix) + atom->size;
	staging->bytes += atom->size;
	return 0;
}

const void *staging_next(const struct staging *staging, struct staging_cursor *cursor,
			 size_t *size_out)
{
	const uint8_t *at;
	uint32_t size;

	if (cursor->offset == staging->used)
		return NULL;
	at = staging->buffer.data + cursor->offset;
	memcpy(&size, at, sizeof(size));
	cursor->offset += sizeof(size) + size;
	*size_out = size;
	return at + sizeof(size);
}

/* Whether all atoms fit into @data extents of @capacity bytes. */
static bool fits_extents(const struct staging *staging, unsigned data, uint32_t capacity)
{
	struct staging_cursor cursor = { 0 };
	uint32_t used = 0;
	unsigned count = 1;
	size_t size;

	while (staging_next(staging, &cursor, &size)) {
		if (size > capacity - used) {
			count++;
			used = 0;
		}
		used += (uint32_t)size;
	}
	return count <= data;
}

unsigned staging_frames(const struct staging *staging, unsigned data, unsigned frames,
			unsigned frames_max)
{
	for (unsigned f = frames; f <= frames_max; f++) {
		struct geometry geometry = { .data = data, .frames = f };

		if (fits_extents(staging, data, geometry_payload_max(&geometry)))
			return f;
	}
	return 0;
}

void staging_done(struct staging *staging)
{
	buffer_free(&staging->buffer);
	*staging = (struct staging){ 0 };
}
