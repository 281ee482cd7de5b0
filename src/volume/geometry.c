/* SPDX-License-Identifier: MIT */
/* The formulas of docs/format.md 2.1, one function a symbol. Nothing here is stored: a
 * reader derives every position from the four nominal parameters of a header page or a
 * record, so a lost header never hides where the next one lies.
 */
#include "volume/geometry.h"

#include <assert.h>

#define DATA_MAX 200u   /* extents */
#define PARITY_MAX 16u  /* extents */
#define SHARDS_MAX 255u /* elements of GF(2^8) that the code's matrix can use */
#define PADDING_SIZE 8u /* bytes: the header of the padding frame behind the payload */

static unsigned ceil_div(unsigned a, unsigned b)
{
	return (a + b - 1) / b;
}

/* T: table pages of a data extent. */
static unsigned table_pages(const struct geometry *geometry)
{
	return ceil_div(geometry_leaves(geometry), TABLE_PAGE_ENTRIES);
}

/* The smallest distance at which extents do not overlap: the largest parity extent. */
static uint64_t stride_min(const struct geometry *geometry)
{
	return geometry_parity_extent_size(geometry);
}

void geometry_init(struct geometry *geometry_out, unsigned data, unsigned parity,
		   unsigned frames, uint64_t spread)
{
	struct geometry geometry = { .data = data, .parity = parity, .frames = frames };

	geometry.stride = stride_min(&geometry);
	if (spread > geometry.stride)
		geometry.stride = spread;
	assert(geometry_valid(&geometry));
	*geometry_out = geometry;
}

bool geometry_valid(const struct geometry *geometry)
{
	if (geometry->data < 1 || geometry->data > DATA_MAX)
		return false;
	if (geometry->parity > PARITY_MAX ||
	    geometry->data + geometry->parity > SHARDS_MAX)
		return false;
	if (geometry->frames < EXTENT_FRAMES_MIN || geometry->frames > EXTENT_FRAMES_MAX)
		return false;
	return geometry->stride % PAGE_SIZE_BYTES == 0 &&
	       geometry->stride >= stride_min(geometry) &&
	       geometry->stride <= GEOMETRY_STRIDE_MAX;
}

unsigned geometry_leaves(const struct geometry *geometry)
{
	return 4 * geometry->frames + 1;
}

unsigned geometry_data_pages(const struct geometry *geometry)
{
	return 1 + table_pages(geometry);
}

unsigned geometry_page_leaves(const struct geometry *geometry)
{
	return ceil_div(geometry_data_pages(geometry), LEAF_SECTORS);
}

unsigned geometry_parity_pages(const struct geometry *geometry)
{
	return 1 + ceil_div(geometry_page_leaves(geometry) + geometry_leaves(geometry),
			    TABLE_PAGE_ENTRIES);
}

uint64_t geometry_parity_extent_size(const struct geometry *geometry)
{
	uint64_t pages = geometry_parity_pages(geometry) + geometry_data_pages(geometry);

	return PAGE_SIZE_BYTES * (pages + LEAF_SECTORS * geometry_leaves(geometry));
}

uint64_t geometry_data_extent_size(const struct geometry *geometry)
{
	uint64_t pages = geometry_data_pages(geometry);

	return PAGE_SIZE_BYTES * (pages + LEAF_SECTORS * geometry_leaves(geometry));
}

uint32_t geometry_payload_max(const struct geometry *geometry)
{
	return LEAF_SIZE * geometry_leaves(geometry) - PADDING_SIZE;
}

uint32_t geometry_area_size(uint32_t payload_size)
{
	uint32_t used = payload_size + PADDING_SIZE;

	return (used + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES * PAGE_SIZE_BYTES;
}

unsigned geometry_frames_for(uint64_t bytes)
{
	uint64_t frames = bytes / ATOM_SIZE_MAX + (bytes % ATOM_SIZE_MAX != 0);

	if (frames < EXTENT_FRAMES_MIN)
		return EXTENT_FRAMES_MIN;
	return frames > EXTENT_FRAMES_MAX ? EXTENT_FRAMES_MAX : (unsigned)frames;
}
