/* SPDX-License-Identifier: MIT */
#pragma once
/* What a reader of a stripe's log will want of the medium. Any thread. */
#include <stddef.h>
#include <stdint.h>

struct backend;
struct stripe_info;

/* Tell @backend to expect reads of the leaves that hold [log_offset, log_offset + size), as
 * far as they are of this stripe, and of the tables of extents that are begun by it. @info
 * passed stripe_check(). */
void stripe_expect(const struct stripe_info *info, struct backend *backend,
		   uint64_t log_offset, size_t size);
