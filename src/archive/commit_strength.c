/* SPDX-License-Identifier: MIT */
#include "archive/commit_strength.h"

#include "archive/commit.h"
#include "volume/geometry.h"

enum {
	LONE_MAX = 10 * 1000 * 1000,  /* bytes: a tiered commit below it has k = 1 */
	HELD_BACK = 32 * 1024 * 1024, /* bytes: a commit below it is spread exactly */
};

void commit_strength(bool tiered, unsigned data, unsigned parity, uint64_t spread,
		     uint64_t payload_size, struct commit_strength *strength_out)
{
	struct geometry geometry;
	uint64_t held = payload_size < HELD_BACK ? payload_size : HELD_BACK;
	unsigned frames;

	if (tiered && payload_size < LONE_MAX)
		data = 1;
	frames = geometry_frames_for((held + data - 1) / data);
	geometry_init(&geometry, data, parity, frames, spread);
	*strength_out = (struct commit_strength){
		.data = data,
		.parity = parity,
		.burst = parity > 0 ? parity * geometry.stride - LEAF_SIZE : 0,
	};
}
