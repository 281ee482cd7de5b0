/* SPDX-License-Identifier: MIT */
#pragma once
/* What a commit survives, told from what was written (docs/format.md 3). Pure function. */
#include <stdbool.h>
#include <stdint.h>

struct commit_strength;

/* For @payload_size bytes written with the policy (@tiered, @data, @parity) to a medium that
 * keeps extents @spread bytes apart. What is said holds for the weakest stripe. */
void commit_strength(bool tiered, unsigned data, unsigned parity, uint64_t spread,
		     uint64_t payload_size, struct commit_strength *strength_out);
