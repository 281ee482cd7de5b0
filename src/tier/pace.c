/* SPDX-License-Identifier: MIT */
#include "tier/pace.h"

#include "base/clock.h"
#include "base/timestamp.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#define TICK (NS_PER_SECOND / 10) /* between looks at whether to end */

static bool is_cancelled(const struct pace *pace)
{
	return pace->cancel && atomic_load(pace->cancel);
}

int pace_wait(struct pace *pace, uint64_t size)
{
	uint64_t now = clock_monotonic_ns();

	while (pace->due > now && !is_cancelled(pace)) {
		uint64_t left = pace->due - now;
		struct timespec time = { .tv_nsec = (long)(left < TICK ? left : TICK) };

		(void)nanosleep(&time, NULL);
		now = clock_monotonic_ns();
	}
	if (is_cancelled(pace))
		return -EINTR;
	/* What was not used until now is no credit. */
	if (pace->rate > 0)
		pace->due = now + (uint64_t)((double)size / (double)pace->rate *
					     (double)NS_PER_SECOND);
	return 0;
}
