/* SPDX-License-Identifier: MIT */
#pragma once
/* The times that a file gets back after the tier has changed its content, which sets them to
 * now. What somebody else sets meanwhile (utimes(2) opens nothing, so nobody waits) is kept.
 *
 *     kept_times_begin()
 *     for each change: kept_times_before(); the change; kept_times_after()
 *     kept_times_restore()
 *
 * Threads: one at a time.
 */
#include <sys/stat.h>
#include <time.h>

struct kept_times {
	struct timespec atime; /* to be set at the end, as mtime */
	struct timespec mtime;
	struct timespec seen_mtime; /* the last that were looked at */
	struct timespec seen_ctime;
	struct timespec start; /* of the change under way */
};

/* @before is the file's state before the first change. */
void kept_times_begin(struct kept_times *times, const struct stat *before);

/* Around a change of the open file @fd's content. -errno of fstat(2). */
int kept_times_before(struct kept_times *times, int fd);
int kept_times_after(struct kept_times *times, int fd);

/* Set them. -errno. */
int kept_times_restore(struct kept_times *times, int fd);
