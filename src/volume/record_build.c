/* SPDX-License-Identifier: MIT */
/* A record's stripe follows from its bytes, its place and the record before it, and from
 * nothing else. So it can be made a second time, bit for bit, when a writer was killed in
 * the middle of it: record_build_rest() does all that record_build_write() does, and the
 * backend gets only the part that it does not have.
 */
#include "volume/record_build.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "chunker/parity.h"
#include "chunker/skippable.h"
#include "volume/stripe_build.h"

#include <string.h>

#define PIECE_SIZE 262144u /* bytes of a record in one skippable frame */

uint32_t record_payload(size_t size)
{
	size_t pieces = (size + PIECE_SIZE - 1) / PIECE_SIZE;

	return (uint32_t)(size + pieces * SKIPPABLE_HEADER_SIZE);
}

void record_geometry(struct geometry *geometry_out, unsigned parity, size_t size,
		     uint64_t spread)
{
	geometry_init(geometry_out, 1, parity, geometry_frames_for(size), spread);
}

void record_build_done(struct record_build *build)
{
	extent_free(&build->data);
	for (unsigned j = 0; build->parities && j < build->parity; j++)
		extent_free(&build->parities[j]);
	free(build->parities);
	build->parities = NULL;
	build->frames = 0;
}

void record_build_trim(struct record_build *build, unsigned frames)
{
	if (build->frames > frames)
		record_build_done(build);
}

/* Have buffers for @geometry, at least. */
static int reserve_buffers(struct record_build *build, const struct geometry *geometry,
			   struct error *err)
{
	int r;

	if (build->frames >= geometry->frames && build->parity == geometry->parity)
		return 0;
	record_build_done(build);
	build->parity = geometry->parity;
	build->parities = calloc(geometry->parity, sizeof(*build->parities));
	if (!build->parities)
		return error_set(err, -ENOMEM, "no memory for a record's parity");
	r = extent_alloc(&build->data, build->budget, geometry, false, err);
	for (unsigned j = 0; r == 0 && j < geometry->parity; j++)
		r = extent_alloc(&build->parities[j], build->budget, geometry, true, err);
	if (r < 0)
		return r;
	build->frames = geometry->frames;
	return 0;
}

/* Cut the record's bytes into skippable frames. */
static void fill_extent(struct extent *extent, const uint8_t *data, size_t size)
{
	uint8_t header[SKIPPABLE_HEADER_SIZE];

	for (size_t offset = 0; offset < size; offset += PIECE_SIZE) {
		size_t piece = size - offset < PIECE_SIZE ? size - offset : PIECE_SIZE;
		struct atom atom = atom_of(header, sizeof(header));

		skippable_put(header, SKIPPABLE_RECORD, (uint32_t)piece);
		atom_add(&atom, data + offset, piece);
		extent_append(extent, &atom);
	}
	extent_close(extent, false); /* records always have parity behind them */
}

/* @stripe says where and what; its buffers and code are filled in here. */
static int build_stripe(struct record_build *build, struct stripe_build *stripe,
			const uint8_t *data, size_t size, const struct log_end *end,
			struct error *err)
{
	const struct geometry *geometry = &stripe->info.geometry;
	struct extent *extent = &build->data;
	autoptr(parity) code = NULL;
	int r;

	r = parity_new(1, geometry->parity, &code, err);
	if (r < 0)
		return r;
	r = reserve_buffers(build, geometry, err);
	if (r < 0)
		return r;
	stripe->sums = (struct row_sums){ code, build->parities, geometry->parity };
	stripe_build_begin(stripe);
	extent_begin(extent, geometry, 0, &stripe->sums, 0);
	fill_extent(extent, data, size);
	extent_submit_rest(extent, build->pool);
	r = task_group_wait(&extent->group, err);
	if (r < 0)
		return r;
	r = stripe_build_data(stripe, extent, end, err);
	if (r < 0)
		return r;
	crash_point("volume.record.readable");
	return stripe_build_parity(stripe, 1, extent->area_size, end, err);
}

static struct stripe_build stripe_of(const struct record_build *build,
				     const struct stripe_info *own,
				     struct extent_info *extents,
				     const struct log_end *end)
{
	return (struct stripe_build){ .backend = build->backend,
				      .pool = build->pool,
				      .volume = end->volume,
				      .info = *own,
				      .extents = extents };
}

int record_build_write(struct record_build *build, struct stripe_info *own,
		       const uint8_t *data, size_t size, const struct log_end *end,
		       struct error *err)
{
	struct stripe_build stripe = stripe_of(build, own, own->extents, end);

	return build_stripe(build, &stripe, data, size, end, err);
}

int record_build_rest(struct record_build *build, const struct stripe_info *own,
		      const uint8_t *data, size_t size, const struct log_end *end,
		      struct error *err)
{
	struct extent_info extents[1 + PARITY_MAX_PARITY] = { 0 };
	struct stripe_build stripe = stripe_of(build, own, extents, end);

	if (own->extents[0].payload_size != record_payload(size))
		return error_set(err, -EBADMSG, "not this writer's cut of a record");
	stripe.known = own->extents;
	return build_stripe(build, &stripe, data, size, end, err);
}
