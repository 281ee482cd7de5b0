/* SPDX-License-Identifier: MIT */
#pragma once
/* Named places at which a test can kill the process, to prove that what was durable before
 * stays so. Does nothing unless built with -Dtest_hooks=true; then the environment variable
 * BLOCKFRAME_CRASH_AT="name:n" raises SIGKILL at the n-th pass (from 1) of that name, and with
 * BLOCKFRAME_WAIT_AT="name:/path" a thread that passes it waits there as long as the file
 * /path exists, so that a test can do something meanwhile.
 * Any thread.
 */
#ifdef TEST_HOOKS
void crash_point(const char *name);
#else
static inline void crash_point(const char *name)
{
	(void)name;
}
#endif
