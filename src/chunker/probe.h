/* SPDX-License-Identifier: MIT */
#pragma once
/* A cheap guess, from samples, whether content is worth compressing.
 *
 * Threads: pure function.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROBE_SIZE_MIN = 16 * 1024, /* bytes: less is always worth a try */
};

/* False when @content (at most 256 KiB) looks random: no compressor will save 1/64 of it.
 * True when in doubt. Costs about 10 us, a tenth of what a wrong true costs, and depends on
 * the content alone. */
bool probe_compressible(const uint8_t *content, size_t size);
