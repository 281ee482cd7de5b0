/* SPDX-License-Identifier: MIT */
/* Both kinds of events are asked for: FAN_OPEN_PERM, because cp and tar look for holes before
 * they read, overlayfs and loop devices map what they opened elsewhere, and O_TRUNC asks
 * nobody else; and FAN_PRE_ACCESS, because truncate(2) opens nothing. Marks are on inodes, so
 * other files cost nothing, and hard links, renames and bind mounts do not get around them.
 * Evictable marks vanish with the inode from memory, and are no guard.
 *
 * Event descriptors are read-only: one for writing can't be had on a read-only mount, and
 * makes execve() fail.
 *
 * An event's id is the number of its descriptor in the process that read it. If a reader
 * dies, its successor's numbers begin anew, and an answer meant for one event could let the
 * reader of another file through. Hence the sweep: after it nothing that was read before is
 * left to be answered.
 */
#include "tier/group.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS 0x00100000
#endif
#ifndef FAN_REPORT_FD_ERROR
#define FAN_REPORT_FD_ERROR 0x00002000
#endif

#define MASK (FAN_PRE_ACCESS | FAN_OPEN_PERM)
#define DENY(error) (FAN_DENY | ((unsigned)(error)&0xffu) << 24)

int group_new(int *group_out, struct error *err)
{
	int fd = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK |
				       FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS |
				       FAN_REPORT_FD_ERROR,
			       O_RDONLY | O_LARGEFILE | O_CLOEXEC);

	if (fd < 0 && errno == EINVAL)
		return error_set(err, -EOPNOTSUPP,
				 "this kernel can't guard stubs: Linux 6.14 can");
	if (fd < 0)
		return error_set_errno(err, -errno, "fanotify");
	*group_out = fd;
	return 0;
}

static int change_mark(int group, unsigned flags, int fd, struct error *err)
{
	char path[64];

	/* By name, because an O_PATH descriptor is not taken. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fanotify_mark(group, flags, MASK, AT_FDCWD, path) == 0)
		return 0;
	if (errno == ENOENT && flags == FAN_MARK_REMOVE)
		return 0;
	if (errno == EINVAL)
		return error_set(err, -EOPNOTSUPP,
				 "this kernel can't guard stubs: Linux 6.14 can");
	return error_set_errno(err, -errno, "fanotify mark");
}

int group_mark(int group, int fd, struct error *err)
{
	return change_mark(group, FAN_MARK_ADD, fd, err);
}

int group_unmark(int group, int fd, struct error *err)
{
	return change_mark(group, FAN_MARK_REMOVE, fd, err);
}

int group_read(int group, struct group_event events_out[GROUP_EVENTS_MAX])
{
	/* With the smallest events there are, so that no more than the array takes fit. */
	_Alignas(struct fanotify_event_metadata) char
		buffer[GROUP_EVENTS_MAX * sizeof(struct fanotify_event_metadata)];
	struct fanotify_event_metadata *event = (struct fanotify_event_metadata *)buffer;
	int count = 0;
	ssize_t n;

	n = read(group, buffer, sizeof(buffer));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (; FAN_EVENT_OK(event, n); event = FAN_EVENT_NEXT(event, n)) {
		/* Without a descriptor the kernel has denied it. */
		if (event->fd < 0)
			continue;
		events_out[count++] =
			(struct group_event){ .fd = event->fd, .pid = event->pid };
	}
	return count;
}

static bool answer(int group, int fd, unsigned response)
{
	struct fanotify_response message = { .fd = fd, .response = response };

	return write(group, &message, sizeof(message)) == (ssize_t)sizeof(message);
}

void group_answer(int group, int fd, int error)
{
	if (error == 0)
		(void)answer(group, fd, FAN_ALLOW);
	else if (!answer(group, fd, DENY(error)) && errno == EINVAL &&
		 !answer(group, fd, DENY(EIO)))
		(void)answer(group, fd, FAN_DENY);
}

void group_sweep(int group)
{
	for (unsigned n = 0; n < GROUP_DESCRIPTORS_MAX; n++)
		(void)answer(group, (int)n, DENY(EAGAIN));
}

unsigned group_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max < GROUP_DESCRIPTORS_MAX ? limit.rlim_max
								: GROUP_DESCRIPTORS_MAX;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	return (unsigned)limit.rlim_cur;
}
