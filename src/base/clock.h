/* SPDX-License-Identifier: MIT */
#pragma once
/* The two clocks, in nanoseconds. Any thread. */
#include <stdint.h>

/* Since 1970-01-01T00:00Z; may jump. */
int64_t clock_realtime_ns(void);

/* Since some point in the past; never goes back. For durations and deadlines. */
uint64_t clock_monotonic_ns(void);
