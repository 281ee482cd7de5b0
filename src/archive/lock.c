/* SPDX-License-Identifier: MIT */
#include "archive/lock.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define HOLDER_MAX 32 /* bytes: "process 4194304" and a newline */

/* Who holds the lock, as the file says. It may be empty: a holder that was just killed, or
 * has not written yet. */
static void read_holder(int fd, char holder[HOLDER_MAX])
{
	size_t size = 0;

	if (pread_full(fd, holder, HOLDER_MAX - 1, 0, &size) < 0)
		size = 0;
	holder[size] = 0;
	holder[strcspn(holder, "\n")] = 0;
	if (holder[0] == 0)
		(void)snprintf(holder, HOLDER_MAX, "another process");
}

/* A courtesy for those who find it locked; nothing depends on it. */
static void write_holder(int fd)
{
	char holder[HOLDER_MAX];
	int size = snprintf(holder, sizeof(holder), "process %ld\n", (long)getpid());

	if (ftruncate(fd, 0) == 0)
		(void)pwrite_full(fd, holder, (size_t)size, 0); /* text for people */
}

static int lock_wait(int fd)
{
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int lock_take(int dir_fd, bool wait, int *fd_out, struct error *err)
{
	autoclose int fd =
		openat(dir_fd, ARCHIVE_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	char holder[HOLDER_MAX];
	int r = 0;

	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", ARCHIVE_LOCK_FILE);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = -errno;
	if (r == -EWOULDBLOCK && !wait) {
		read_holder(fd, holder);
		return error_set(err, -EBUSY, "%s is writing to the archive", holder);
	}
	if (r == -EWOULDBLOCK || r == -EINTR)
		r = lock_wait(fd);
	if (r < 0)
		return error_set_errno(err, r, "'%s'", ARCHIVE_LOCK_FILE);

	write_holder(fd);
	*fd_out = take_fd(&fd);
	return 0;
}
