/* SPDX-License-Identifier: MIT */
/* Positions follow from the stripe's authenticated description alone, never from pages on
 * the medium: a lost header page hides nothing, and a forged one moves nothing.
 *
 * A read that fails is repeated sector by sector, so that one bad sector costs 4 KiB of a
 * leaf and column decoding can use the rest of it. Errors that say something about the
 * device or this process instead of about the bytes (ENODEV, EBADF, ENOMEM) are not damage:
 * parity would only turn them into misleading reports.
 */
#include "volume/stripe_view.h"

#include "base/error.h"
#include "volume/backend.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* 1 + ceil(514 / 41) pages at most, and 1 + ceil(513 / 41) in a page area. */
static_assert((4 * EXTENT_FRAMES_MAX + 2 + TABLE_PAGE_ENTRIES - 1) / TABLE_PAGE_ENTRIES +
			      1 <=
		      LEAF_SECTORS,
	      "the pages of an extent fit in one leaf");

static bool data_extent_valid(const struct stripe_info *info,
			      const struct extent_info *extent)
{
	uint32_t area_max = LEAF_SIZE * geometry_leaves(&info->geometry);

	return extent->area_size % PAGE_SIZE_BYTES == 0 &&
	       extent->area_size <= area_max && extent->payload_size < extent->area_size;
}

static bool extents_valid(const struct stripe_info *info)
{
	uint32_t rows = 0;

	for (unsigned i = 0; i < info->data_count; i++) {
		if (!data_extent_valid(info, &info->extents[i]))
			return false;
		if (info->extents[i].area_size > rows)
			rows = info->extents[i].area_size;
	}
	for (unsigned i = info->data_count; i < stripe_extent_count(info); i++)
		if (info->extents[i].payload_size != 0 ||
		    info->extents[i].area_size != rows)
			return false;
	return true;
}

int stripe_check(const struct stripe_info *info, struct error *err)
{
	uint64_t end;

	if (!info->extents || !geometry_valid(&info->geometry) || info->data_count < 1 ||
	    info->data_count > info->geometry.data || !extents_valid(info) ||
	    info->offset % PAGE_SIZE_BYTES ||
	    __builtin_add_overflow(
		    info->offset, (stripe_extent_count(info) + 1) * info->geometry.stride,
		    &end) ||
	    end > INT64_MAX)
		return error_set(err, -EBADMSG, "stripe %llu: impossible description",
				 (unsigned long long)info->number);
	return 0;
}

unsigned stripe_extent_count(const struct stripe_info *info)
{
	return info->data_count + info->geometry.parity;
}

bool extent_is_parity(const struct stripe_info *info, unsigned extent)
{
	return extent >= info->data_count;
}

unsigned extent_shard(const struct stripe_info *info, unsigned extent)
{
	if (extent_is_parity(info, extent))
		return extent - info->data_count + info->geometry.data;
	return extent;
}

bool shard_extent(const struct stripe_info *info, unsigned shard, unsigned *extent_out)
{
	if (shard >= info->geometry.data)
		*extent_out = shard - info->geometry.data + info->data_count;
	else if (shard < info->data_count)
		*extent_out = shard;
	else
		return false;
	return true;
}

uint64_t extent_offset(const struct stripe_info *info, unsigned extent)
{
	return info->offset + extent * info->geometry.stride;
}

unsigned extent_page_count(const struct stripe_info *info, unsigned extent)
{
	if (extent_is_parity(info, extent))
		return geometry_parity_pages(&info->geometry);
	return geometry_data_pages(&info->geometry);
}

/* Leaves in front of row 0. */
static unsigned page_leaves(const struct stripe_info *info, unsigned extent)
{
	return extent_is_parity(info, extent) ? geometry_page_leaves(&info->geometry) : 0;
}

static unsigned area_leaves(const struct stripe_info *info, unsigned extent)
{
	return (info->extents[extent].area_size + LEAF_SIZE - 1) / LEAF_SIZE;
}

unsigned extent_entry_count(const struct stripe_info *info, unsigned extent)
{
	return page_leaves(info, extent) + area_leaves(info, extent);
}

uint64_t entry_offset(const struct stripe_info *info, unsigned extent, unsigned entry)
{
	uint64_t offset = extent_offset(info, extent) +
			  (uint64_t)PAGE_SIZE_BYTES * extent_page_count(info, extent);
	unsigned pages = page_leaves(info, extent);

	if (entry < pages)
		return offset + (uint64_t)LEAF_SIZE * entry;
	if (pages)
		offset +=
			(uint64_t)PAGE_SIZE_BYTES * geometry_data_pages(&info->geometry);
	return offset + (uint64_t)LEAF_SIZE * (entry - pages);
}

/* Bytes of leaf @leaf of an area of @size bytes. */
static uint32_t leaf_size(uint32_t size, unsigned leaf)
{
	uint32_t start = LEAF_SIZE * leaf;

	if (start >= size)
		return 0;
	return size - start < LEAF_SIZE ? size - start : LEAF_SIZE;
}

uint32_t entry_size(const struct stripe_info *info, unsigned extent, unsigned entry)
{
	unsigned pages = page_leaves(info, extent);

	if (entry < pages)
		return leaf_size(PAGE_SIZE_BYTES * geometry_data_pages(&info->geometry),
				 entry);
	return leaf_size(info->extents[extent].area_size, entry - pages);
}

unsigned row_entry(const struct stripe_info *info, unsigned extent, unsigned row)
{
	return page_leaves(info, extent) + row;
}

uint32_t row_size(const struct stripe_info *info, unsigned extent, unsigned row)
{
	return leaf_size(info->extents[extent].area_size, row);
}

bool is_medium_error(int code)
{
	return code == -EIO || code == -ENODATA || code == -EILSEQ ||
	       code == -EREMOTEIO || code == -EBADMSG || code == -EUCLEAN;
}

/* Each sector alone; the ones that fail are zeroed. */
static int read_sectors(struct stripe_view *view, uint64_t offset, uint8_t *data,
			unsigned sectors, uint16_t *readable_out, struct error *err)
{
	uint16_t readable = 0;

	for (unsigned i = 0; i < sectors; i++) {
		uint8_t *sector = data + (size_t)i * PAGE_SIZE_BYTES;
		size_t got = 0;
		int r = backend_read(view->backend,
				     offset + (uint64_t)i * PAGE_SIZE_BYTES, sector,
				     PAGE_SIZE_BYTES, &got, err);

		if (r < 0 && !is_medium_error(r))
			return r;
		if (r == 0 && got == PAGE_SIZE_BYTES)
			readable |= (uint16_t)(1u << i);
		else
			memset(sector, 0, PAGE_SIZE_BYTES);
	}
	*readable_out = readable;
	return 0;
}

int view_read(struct stripe_view *view, uint64_t offset, uint8_t *data, unsigned sectors,
	      uint16_t *readable_out, struct error *err)
{
	size_t size = (size_t)sectors * PAGE_SIZE_BYTES;
	uint16_t readable;
	size_t got = 0;
	int r;

	assert(sectors >= 1 && sectors <= LEAF_SECTORS);
	r = backend_read(view->backend, offset, data, size, &got, err);
	if (r < 0 && !is_medium_error(r))
		return r;
	if (r < 0) {
		r = read_sectors(view, offset, data, sectors, &readable, err);
		if (r < 0)
			return r;
	} else {
		size_t whole = got / PAGE_SIZE_BYTES;

		memset(data + whole * PAGE_SIZE_BYTES, 0, size - whole * PAGE_SIZE_BYTES);
		readable = (uint16_t)((1u << whole) - 1);
	}
	view->tally.bytes_read += size;
	if (readable_out)
		*readable_out = readable;
	return 0;
}

void view_repaired(struct stripe_view *view, uint64_t offset, bool page)
{
	if (page)
		view->tally.pages_repaired++;
	else
		view->tally.leaves_repaired++;
	if (view->tally.repaired_offset == 0)
		view->tally.repaired_offset = offset;
}
