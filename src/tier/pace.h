/* SPDX-License-Identifier: MIT */
#pragma once
/* Keeps work below so many bytes a second. One thread at a time. */
#include <stdatomic.h>
#include <stdint.h>

struct pace {
	uint64_t rate;             /* bytes a second; 0: no limit */
	const atomic_bool *cancel; /* NULL, or: do not wait any more */
	uint64_t due;              /* clock_monotonic_ns(): not before; 0: begin */
};

/* Wait until the work before is paid for, then owe for @size bytes. -EINTR: cancelled. */
int pace_wait(struct pace *pace, uint64_t size);
