/* SPDX-License-Identifier: MIT */
/* Three bytes are locked. READER is exclusive: two processes that read one group would mix up
 * the numbers of events (group.c). HOLDERS is shared by all who have the group; who wants
 * to begin a new one needs it exclusively, because a group that somebody still holds and
 * nobody reads would keep the readers of its stubs waiting for ever. WORKER is exclusive: two
 * that fill one file would not know of each other, and the slower one would write over what
 * a program has written after the faster one was done.
 */
#include "tier/holder.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#define FILE_NAME "holders"

enum { READER, HOLDERS, WORKER };

static int lock_byte(int lock, int command, short type, int byte, struct error *err)
{
	struct flock region = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};
	int r;

	do
		r = fcntl(lock, command, &region);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(err, -EBUSY, "another process guards the stubs");
	return error_set_errno(err, -errno, "lock of the guard");
}

int holder_open(int state_fd, int *lock_out, struct error *err)
{
	int fd = openat(state_fd, FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set_errno(err, -errno, "%s", FILE_NAME);
	*lock_out = fd;
	return 0;
}

int holder_enter(int lock, struct error *err)
{
	return lock_byte(lock, F_SETLKW, F_RDLCK, HOLDERS, err);
}

int holder_leave(int lock, struct error *err)
{
	return lock_byte(lock, F_SETLK, F_UNLCK, HOLDERS, err);
}

int holder_begin(int lock, struct error *err)
{
	return lock_byte(lock, F_SETLK, F_WRLCK, HOLDERS, err);
}

int holder_read(int lock, bool wait, struct error *err)
{
	return lock_byte(lock, wait ? F_SETLKW : F_SETLK, F_WRLCK, READER, err);
}

int holder_work(int lock, struct error *err)
{
	int r = lock_byte(lock, F_SETLK, F_WRLCK, WORKER, err);

	return r == -EBUSY ? error_set(err, r, "the hot tier's daemon runs already") : r;
}
