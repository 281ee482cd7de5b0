/* SPDX-License-Identifier: MIT */
#include "volume/stripe_expect.h"

#include "volume/backend.h"
#include "volume/geometry.h"
#include "volume/stripe_view.h"

/* Payload bytes [from, to) of the extent. An extent's table stands in front of its first
 * leaf. */
static void expect_extent(const struct stripe_info *info, struct backend *backend,
			  unsigned extent, uint64_t from, uint64_t to)
{
	unsigned last = (unsigned)((to - 1) / LEAF_SIZE);
	uint64_t start =
		from == 0 ? extent_offset(info, extent)
			  : entry_offset(info, extent, (unsigned)(from / LEAF_SIZE));

	backend_expect(backend, start,
		       entry_offset(info, extent, last) + entry_size(info, extent, last) -
			       start);
}

void stripe_expect(const struct stripe_info *info, struct backend *backend,
		   uint64_t log_offset, size_t size)
{
	uint64_t end = log_offset + size;
	uint64_t start = info->log_start;

	for (unsigned i = 0; i < info->data_count && start < end; i++) {
		uint64_t next = start + info->extents[i].payload_size;
		uint64_t from = log_offset > start ? log_offset : start;
		uint64_t to = end < next ? end : next;

		if (from < to)
			expect_extent(info, backend, i, from - start, to - start);
		start = next;
	}
}
