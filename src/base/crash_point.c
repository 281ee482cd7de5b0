/* SPDX-License-Identifier: MIT */
#include "base/crash_point.h"

#ifdef TEST_HOOKS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_STEP 1000 /* microseconds */

static void wait_there(const char *name)
{
	const char *wanted = getenv("BLOCKFRAME_WAIT_AT");
	size_t size = strlen(name);

	if (!wanted || strncmp(wanted, name, size) != 0 || wanted[size] != ':')
		return;
	while (access(wanted + size + 1, F_OK) == 0)
		(void)usleep(WAIT_STEP);
}

void crash_point(const char *name)
{
	static atomic_ulong passes;
	const char *wanted = getenv("BLOCKFRAME_CRASH_AT");
	const char *colon = wanted ? strrchr(wanted, ':') : NULL;

	wait_there(name);
	if (!colon || strlen(name) != (size_t)(colon - wanted) ||
	    strncmp(name, wanted, strlen(name)) != 0)
		return;
	if (atomic_fetch_add(&passes, 1) + 1 == strtoul(colon + 1, NULL, 10))
		(void)raise(SIGKILL);
}
#else
/* ISO C wants something in every file. */
extern int crash_point_unused;
#endif
