/* SPDX-License-Identifier: MIT */
#pragma once
/* A limit of how much of something there may be in a time: so much a second on average, with
 * some of it at once. Pure, the caller locks. Times are clock_monotonic_ns().
 */
#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint64_t each;  /* nanoseconds for a thousand; 0: no limit */
	uint64_t burst; /* nanoseconds' worth at once */
};

/* What was used lately: until when the average is used up. 0 is a fresh one. */
typedef uint64_t rate_level;

/* @count in @period nanoseconds, as much as comes in @burst nanoseconds of it at once. 0 for
 * @count: no limit. */
struct rate rate_make(uint64_t count, uint64_t period, uint64_t burst);

/* Whether there is room now. If so, @count is used, all of it: a last one may be too much, and
 * is waited for by the next. */
bool rate_take(const struct rate *rate, rate_level *level, uint64_t count, uint64_t now);

/* Whether nothing is left of what was used. */
bool rate_is_fresh(rate_level level, uint64_t now);
