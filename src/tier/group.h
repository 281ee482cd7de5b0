/* SPDX-License-Identifier: MIT */
#pragma once
/* The fanotify group: what the kernel is asked for. As long as one process has it open, who
 * opens or reads a marked file waits for an answer; when the last one closes it, everybody
 * is let through. Any thread.
 */
#include <stdint.h>

struct error;

/* A request of the kernel: a process wants to open or use a marked file. */
struct group_event {
	int fd; /* the file, read-only and unseen by the group; its number is the event's id
		 * until group_answer(); the caller closes it after that, never before */
	int pid;
};

/* Events that group_read() gives at once, at most. */
#define GROUP_EVENTS_MAX 16u

/* -EOPNOTSUPP: the kernel is older than 6.14 and has no such events. */
int group_new(int *group_out, struct error *err);

/* Mark the file @fd (O_PATH will do), or take the mark away; neither is an error if it is so
 * already. -EOPNOTSUPP: the file system can't. */
int group_mark(int group, int fd, struct error *err);
int group_unmark(int group, int fd, struct error *err);

/* The next events, without waiting: how many. Only one process may ever read, and before its
 * first read it calls group_sweep(). -errno. */
int group_read(int group, struct group_event events_out[GROUP_EVENTS_MAX]);

/* Let the event's process go on, or fail with the positive errno @error, of those that the
 * kernel takes: EPERM, EIO, EBUSY, EAGAIN, ENOSPC, EDQUOT; any other one becomes EIO. */
void group_answer(int group, int fd, int error);

/* Answer EAGAIN to all that was read by a process that has ended, whose descriptors had
 * numbers below GROUP_DESCRIPTORS_MAX. */
#define GROUP_DESCRIPTORS_MAX 65536u
void group_sweep(int group);

/* Let this process have so many descriptors, or what it may: how many. */
unsigned group_raise_limit(void);
