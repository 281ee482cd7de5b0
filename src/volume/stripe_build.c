/* SPDX-License-Identifier: MIT */
/* Page rows are coded like leaf rows: once an extent's pages are final, all P of them are
 * added to the page areas of the parity extents, which lie just in front of the leaf sums.
 * The pages of the parity extents themselves have no parity; they are m-fold as it is.
 *
 * The medium gets an extent in one append. In front of it the position moves over the gap
 * that the stride leaves, so a stripe ends where its last extent ends.
 */
#include "volume/stripe_build.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "chunker/parity.h"
#include "volume/backend.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static struct page_identity identity_of(const struct stripe_build *build)
{
	return (struct page_identity){
		.volume = build->volume,
		.epoch = build->info.epoch,
		.stripe = build->info.number,
		.stripe_offset = build->info.offset,
	};
}

static struct page_header header_of(const struct stripe_build *build,
				    const struct log_end *end)
{
	return (struct page_header){
		.stripe_kind = build->info.kind,
		.log_start = build->info.log_start,
		.previous_offset = end->previous_offset,
		.previous_hash = end->previous_hash,
	};
}

void stripe_build_begin(struct stripe_build *build)
{
	for (unsigned j = 0; j < build->sums.count; j++)
		extent_begin(&build->sums.extents[j], &build->info.geometry,
			     build->info.geometry.data + j, NULL, 0);
}

/* How much of extent number @index, which begins at @offset and has its hash by now, is there
 * already. */
static int find_there(const struct stripe_build *build, unsigned index, uint64_t offset,
		      uint64_t *there_out, struct error *err)
{
	uint64_t position = backend_position(build->backend);

	if (position > offset && !build->known)
		return error_set(err, -EIO,
				 "'%s' is at byte %" PRIu64 ", expected %" PRIu64,
				 build->backend->name, position, offset);
	if (build->known &&
	    !hash_equal(&build->extents[index].hash, &build->known[index].hash))
		return error_set(err, -EBADMSG, "extent %u can't be made again", index);
	*there_out = position > offset ? position - offset : 0;
	return 0;
}

static int skip_to(struct stripe_build *build, uint64_t offset, struct error *err)
{
	uint64_t position = backend_position(build->backend);

	if (position >= offset)
		return 0;
	return backend_skip(build->backend, offset - position, err);
}

/* Hash @extent and append it as number @index of the stripe. */
static int append_extent(struct stripe_build *build, unsigned index,
			 const struct extent *extent, struct error *err)
{
	uint64_t offset = build->info.offset + index * build->info.geometry.stride;
	uint64_t there;
	int r;

	extent_hash(extent->entries, extent_leaf_count(extent),
		    &build->extents[index].hash);
	r = find_there(build, index, offset, &there, err);
	if (r < 0 || there >= extent_size(extent))
		return r;
	r = skip_to(build, offset, err);
	if (r < 0)
		return r;
	return backend_append(build->backend, extent->buffer.data + there,
			      extent_size(extent) - there, err);
}

static void add_pages(struct stripe_build *build, const struct extent *extent)
{
	size_t size = geometry_data_pages(&extent->geometry) * (size_t)PAGE_SIZE_BYTES;
	uint8_t *areas[PARITY_MAX_PARITY];

	if (build->sums.count == 0)
		return;
	for (unsigned j = 0; j < build->sums.count; j++) {
		areas[j] = extent_page_area(&build->sums.extents[j]);
		if (extent->shard == 0)
			memset(areas[j], 0, size);
	}
	parity_update(build->sums.code, extent->shard, extent->buffer.data, size, areas);
}

int stripe_build_data(struct stripe_build *build, struct extent *extent,
		      const struct log_end *end, struct error *err)
{
	struct page_identity identity = identity_of(build);
	struct page_header header = header_of(build, end);
	int r;

	extent_write_pages(extent, &identity, &header);
	add_pages(build, extent);
	r = append_extent(build, extent->shard, extent, err);
	if (r < 0)
		return r;
	crash_point("volume.extent.written");
	return 0;
}

/* Hash the leaves of all parity extents at once. */
static int hash_parity(struct stripe_build *build, uint32_t rows, struct error *err)
{
	int result = 0;

	for (unsigned j = 0; j < build->sums.count; j++) {
		struct extent *extent = &build->sums.extents[j];

		extent->area_size = rows;
		extent_submit_rest(extent, build->pool);
	}
	for (unsigned j = 0; j < build->sums.count; j++) {
		int r = task_group_wait(&build->sums.extents[j].group, err);

		if (r < 0)
			result = r;
	}
	return result;
}

int stripe_build_parity(struct stripe_build *build, unsigned data_count, uint32_t rows,
			const struct log_end *end, struct error *err)
{
	struct page_identity identity = identity_of(build);
	struct page_header header = header_of(build, end);
	int r;

	assert(data_count >= 1 && data_count <= build->info.geometry.data);
	r = hash_parity(build, rows, err);
	if (r < 0)
		return r;
	header.data_count = data_count;
	for (unsigned j = 0; j < build->sums.count; j++) {
		struct extent *extent = &build->sums.extents[j];

		extent_write_pages(extent, &identity, &header);
		r = append_extent(build, data_count + j, extent, err);
		if (r < 0)
			return r;
		crash_point("volume.parity.written");
	}
	return 0;
}
