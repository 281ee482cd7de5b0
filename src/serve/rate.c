/* SPDX-License-Identifier: MIT */
/* One number is enough (the "generic cell rate algorithm"): the time at which all that was
 * used so far would have been used at the average rate. If that lies further ahead than the
 * burst, it is too much. */
#include "serve/rate.h"

struct rate rate_make(uint64_t count, uint64_t period, uint64_t burst)
{
	struct rate rate = { .burst = burst };

	if (count > 0)
		rate.each = period / count * 1000 + period % count * 1000 / count;
	if (count > 0 && rate.each == 0)
		rate.each = 1;
	return rate;
}

bool rate_take(const struct rate *rate, rate_level *level, uint64_t count, uint64_t now)
{
	uint64_t base = *level > now ? *level : now;
	uint64_t used;

	if (rate->each == 0)
		return true;
	if (base - now >= rate->burst)
		return false;
	if (__builtin_mul_overflow(count, rate->each, &used) ||
	    __builtin_add_overflow(base, used / 1000, level))
		*level = UINT64_MAX;
	return true;
}

bool rate_is_fresh(rate_level level, uint64_t now)
{
	return level <= now;
}
