/* SPDX-License-Identifier: MIT */
/* A change of content sets the modification and the change time to the same now. Between two
 * changes of ours nothing else may move them, so whatever does is somebody's utimes(2). What
 * was set while a change was under way is recognised where it is a time of its own: not the
 * change time, and not within the change. What is left is a `touch` (to now) in the
 * microseconds of one write, or between the last look and the restoring.
 */
#include "tier/kept_times.h"

#include <errno.h>
#include <stdbool.h>

static int compare(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

static void see(struct kept_times *times, const struct stat *now)
{
	times->seen_mtime = now->st_mtim;
	times->seen_ctime = now->st_ctim;
}

static void adopt(struct kept_times *times, const struct stat *now)
{
	times->atime = now->st_atim;
	times->mtime = now->st_mtim;
}

void kept_times_begin(struct kept_times *times, const struct stat *before)
{
	adopt(times, before);
	see(times, before);
}

/* What somebody has set since the last look. */
static int look(struct kept_times *times, int fd)
{
	struct stat now;

	if (fstat(fd, &now) < 0)
		return -errno;
	if (compare(&now.st_mtim, &times->seen_mtime) != 0)
		adopt(times, &now);
	else if (compare(&now.st_ctim, &times->seen_ctime) != 0)
		times->atime = now.st_atim;
	see(times, &now);
	return 0;
}

int kept_times_before(struct kept_times *times, int fd)
{
	int r = look(times, fd);

	/* The kernel's times of files lag behind the clock by up to a tick. */
	if (r == 0 && clock_gettime(CLOCK_REALTIME_COARSE, &times->start) < 0)
		r = -errno;
	return r;
}

int kept_times_after(struct kept_times *times, int fd)
{
	struct stat now;
	bool changed, within;

	if (fstat(fd, &now) < 0)
		return -errno;
	changed = compare(&now.st_mtim, &times->seen_mtime) != 0;
	within = compare(&now.st_mtim, &times->start) >= 0 &&
		 compare(&now.st_mtim, &now.st_ctim) <= 0;
	if (changed && !within)
		adopt(times, &now);
	see(times, &now);
	return 0;
}

int kept_times_restore(struct kept_times *times, int fd)
{
	int r = look(times, fd);

	if (r < 0)
		return r;
	return futimens(fd, (const struct timespec[]){ times->atime, times->mtime }) < 0
		       ? -errno
		       : 0;
}
