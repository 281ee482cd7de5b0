/* SPDX-License-Identifier: MIT */
/* How large a volume must be. A segment lies in one volume as a whole, so a volume that is too
 * small for the largest one, parity and all, would take small files and refuse large ones
 * some day. What it takes depends on k and m, and on memory, which decides how long a
 * commit is held back and how large extents get: so it is tried, with the same bounds that
 * the writer goes by, and not put in a formula that would be another truth.
 *
 * A volume that is begun in the middle of a commit finds less memory free than the one
 * before; half is what is allowed for.
 */
#include "volume/log_writer.h"
#include "volume/room.h"
#include "volume/writer_memory.h"

#define STEP (1u << 20)  /* bytes */
#define OVERHEAD_MAX 64u /* times the payload: more than 1 + 16 extents and all records */

static bool fits(const struct log_writer_options *options, uint64_t max_size,
		 uint64_t size)
{
	uint64_t available = writer_memory_available(options);

	for (unsigned part = 1; part <= 2; part++) {
		struct writer_memory memory;
		struct room_policy policy = { .data = options->data,
					      .parity = options->parity,
					      .spread = options->spread,
					      .tiered = options->tiered };

		writer_memory_plan(options, available / part, &memory);
		policy.frames_max = memory.frames_max;
		if (!room_in_new(&policy, memory.staging_size, max_size, size))
			return false;
	}
	return true;
}

uint64_t log_least_max_size(const struct log_writer_options *options, uint64_t size)
{
	uint64_t least = (size / STEP + 1) * STEP;

	if (fits(options, options->max_size, size))
		return options->max_size;
	for (; least <= size * OVERHEAD_MAX; least += STEP)
		if (least > options->max_size && fits(options, least, size))
			return least;
	return UINT64_MAX;
}
