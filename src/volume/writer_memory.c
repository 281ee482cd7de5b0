/* SPDX-License-Identifier: MIT */
/* A writer needs, at different times:
 *
 *     streaming   2 extents and m sums of the largest stripe
 *     staging     the staged bytes, and the smaller stripe that they are spread over
 *     always      the buffers of a placement record's stripe
 *
 * Staging and the largest stripes exclude each other, so the total is the larger one.
 */
#include "volume/writer_memory.h"

#include "base/budget.h"
#include "base/error.h"
#include "volume/record_build.h"
#include "volume/room.h"
#include "volume/stripe_writer.h"

#define STAGING_MAX (32u << 20) /* bytes */
#define STAGING_STEP (256u << 10)

int writer_options_check(const struct log_writer_options *options, struct error *err)
{
	struct geometry geometry = { options->data, options->parity, EXTENT_FRAMES_MIN,
				     GEOMETRY_STRIDE_MAX };

	if (!geometry_valid(&geometry) || options->spread % PAGE_SIZE_BYTES ||
	    options->spread > GEOMETRY_STRIDE_MAX)
		return error_set(err, -EINVAL, "no stripes of %u + %u extents",
				 options->data, options->parity);
	return 0;
}

static uint64_t record_memory(unsigned parity)
{
	unsigned count = room_record_parity(parity);
	struct geometry geometry;

	record_geometry(&geometry, count, ROOM_RECORD_SIZE, 0);
	return geometry_data_extent_size(&geometry) +
	       count * geometry_parity_extent_size(&geometry);
}

/* Bytes for spreading @size staged bytes, UINT64_MAX if memory's f_max is too small. */
static uint64_t staging_memory(const struct log_writer_options *options,
			       unsigned frames_max, uint64_t size)
{
	unsigned frames = room_frames_holding(options->data, size, ATOM_SIZE_MAX);
	uint64_t lone = size < LOG_TIER_SIZE ? size : LOG_TIER_SIZE;
	unsigned lone_frames = room_frames_holding(1, lone, ATOM_SIZE_MAX);

	if (frames > frames_max)
		return UINT64_MAX;
	if (options->tiered && lone_frames > frames)
		frames = lone_frames;
	return size + stripe_writer_memory(frames, options->parity);
}

void writer_memory_plan(const struct log_writer_options *options, uint64_t available,
			struct writer_memory *memory_out)
{
	uint64_t record = record_memory(options->parity);
	uint64_t left = available > record ? available - record : 0;
	unsigned frames = EXTENT_FRAMES_MAX;
	uint64_t size = STAGING_MAX;
	uint64_t total;

	while (frames > EXTENT_FRAMES_MIN &&
	       stripe_writer_memory(frames, options->parity) > left)
		frames--;
	while (size && staging_memory(options, frames, size) > left)
		size -= STAGING_STEP;

	total = stripe_writer_memory(frames, options->parity);
	if (size && staging_memory(options, frames, size) > total)
		total = staging_memory(options, frames, size);
	*memory_out = (struct writer_memory){ frames, size, total + record };
}

uint64_t writer_memory_available(const struct log_writer_options *options)
{
	uint64_t available = budget_available(options->budget);
	uint64_t share = budget_size(options->budget) / 8 * 5;

	if (available > share)
		available = share;
	return options->sharing > 1 ? available / options->sharing : available;
}

int writer_memory_reserve(const struct log_writer_options *options,
			  struct writer_memory *memory_out, struct budget **budget_out,
			  struct error *err)
{
	struct writer_memory memory;
	int r;

	writer_memory_plan(options, writer_memory_available(options), &memory);
	r = budget_reserve(options->budget, memory.total, "stripes being written", err);
	if (r < 0)
		return r;
	r = budget_new(memory.total, budget_out);
	if (r < 0) {
		budget_release(options->budget, memory.total);
		return error_set(err, r, "no memory for a budget");
	}
	*memory_out = memory;
	return 0;
}

void writer_memory_release(const struct log_writer_options *options,
			   const struct writer_memory *memory, struct budget *budget)
{
	if (!budget)
		return;
	budget_free(budget);
	budget_release(options->budget, memory->total);
}
