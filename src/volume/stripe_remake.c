/* SPDX-License-Identifier: MIT */
/* The same functions that write a stripe the first time (volume/stripe_build.h), with the hashes
 * known beforehand, as when the rest of a record's stripe is made up for
 * (volume/record_build.c). Where a volume has a tail, of an interrupted writer, its bytes
 * are nobody's: a padding frame stands in for them.
 */
#include "volume/stripe_remake.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "chunker/parity.h"
#include "chunker/skippable.h"
#include "volume/backend.h"
#include "volume/record.h"
#include "volume/stripe_build.h"
#include "volume/stripe_view.h"

#include <string.h>

#define HOLE_MAX (UINT64_C(0xfffff) * PAGE_SIZE_BYTES) /* bytes that one frame skips */

struct making {
	struct stripe_build build;
	struct extent data;
	struct extent parities[PARITY_MAX_PARITY];
	struct parity *code;
	struct extent_info *extents; /* owned */
};

static void making_done(struct making *making)
{
	extent_free(&making->data);
	for (unsigned j = 0; j < PARITY_MAX_PARITY; j++)
		extent_free(&making->parities[j]);
	parity_free(making->code);
	free(making->extents);
}
#define automaking __attribute__((__cleanup__(making_done)))

static int alloc_extents(struct making *making, const struct stripe_remake *remake,
			 const struct geometry *geometry, struct error *err)
{
	int r;

	r = parity_new(geometry->data, geometry->parity, &making->code, err);
	if (r == 0)
		r = extent_alloc(&making->data, remake->budget, geometry, false, err);
	for (unsigned j = 0; r == 0 && j < geometry->parity; j++)
		r = extent_alloc(&making->parities[j], remake->budget, geometry, true,
				 err);
	return r;
}

static int making_init(struct making *making, const struct stripe_remake *remake,
		       const struct stripe_info *stripe, struct error *err)
{
	unsigned count = stripe->data_count + stripe->geometry.parity;
	int r;

	making->extents = malloc(count * sizeof(*making->extents));
	if (!making->extents)
		return error_set(err, -ENOMEM, "no memory for a stripe");
	memcpy(making->extents, stripe->extents, count * sizeof(*making->extents));
	r = alloc_extents(making, remake, &stripe->geometry, err);
	if (r < 0)
		return r;
	making->build = (struct stripe_build){
		.backend = remake->backend,
		.pool = remake->pool,
		.volume = remake->volume,
		.info = *stripe,
		.extents = making->extents,
		.sums = { making->code, making->parities, stripe->geometry.parity },
		.known = stripe->extents,
	};
	return 0;
}

static int make_data(struct making *making, const struct stripe_remake *remake,
		     const struct log_end *end, uint32_t *rows, struct error *err)
{
	const struct stripe_info *info = &making->build.info;
	const struct geometry *geometry = &info->geometry;
	uint64_t log_offset = info->log_start;
	struct extent *extent = &making->data;
	int r;

	for (unsigned i = 0; i < info->data_count; i++) {
		uint32_t size = making->build.known[i].payload_size;
		bool last = i + 1 == info->data_count && geometry->parity == 0;

		extent_begin(extent, geometry, i, &making->build.sums,
			     (*rows + LEAF_SIZE - 1) / LEAF_SIZE);
		r = remake->read(remake->context, log_offset, extent_leaf_area(extent),
				 size, err);
		if (r < 0)
			return r;
		log_offset += size;
		extent->payload_size = size;
		extent_close(extent, last);
		extent_submit_rest(extent, remake->pool);
		r = task_group_wait(&extent->group, err);
		if (r == 0)
			r = stripe_build_data(&making->build, extent, end, err);
		if (r < 0)
			return r;
		if (extent->area_size > *rows)
			*rows = extent->area_size;
	}
	return 0;
}

static int make_stripe(const struct stripe_remake *remake,
		       const struct stripe_info *stripe, struct error *err)
{
	const struct log_end end = {
		.volume = remake->volume,
		.previous_offset = remake->previous_offset,
		.previous_hash = remake->previous_hash,
	};
	automaking struct making making = { 0 };
	uint32_t rows = 0;
	int r;

	r = making_init(&making, remake, stripe, err);
	if (r < 0)
		return r;
	stripe_build_begin(&making.build);
	r = make_data(&making, remake, &end, &rows, err);
	if (r < 0)
		return r;
	return stripe_build_parity(&making.build, stripe->data_count, rows, &end, err);
}

/* Padding frames over a tail of @size bytes, which is a multiple of 4096. */
static int append_hole(struct backend *backend, uint64_t size, struct error *err)
{
	_Alignas(PAGE_SIZE_BYTES) uint8_t page[PAGE_SIZE_BYTES] = { 0 };

	while (size > 0) {
		uint64_t part = size < HOLE_MAX ? size : HOLE_MAX;
		int r;

		skippable_put(page, SKIPPABLE_PADDING,
			      (uint32_t)(part - SKIPPABLE_HEADER_SIZE));
		r = backend_append(backend, page, sizeof(page), err);
		if (r == 0 && part > sizeof(page))
			r = backend_skip(backend, part - sizeof(page), err);
		if (r < 0)
			return r;
		size -= part;
	}
	return 0;
}

int stripe_remake(const struct stripe_remake *remake, const struct stripe_info *stripe,
		  struct error *err)
{
	uint64_t position = backend_position(remake->backend);
	uint64_t end;
	int r;

	r = stripe_check(stripe, err);
	if (r < 0)
		return r;
	end = stripe->offset + stripe_physical_size(stripe);
	if (position >= end)
		return 0;
	if (position < stripe->offset) {
		r = append_hole(remake->backend, stripe->offset - position, err);
		if (r < 0)
			return r;
	}
	r = make_stripe(remake, stripe, err);
	crash_point("volume.remake.stripe");
	return r;
}
