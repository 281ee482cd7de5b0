/* SPDX-License-Identifier: MIT */
/* A reader that brings the catalog up to date holds the lock for a moment. A writer that was
 * told not to wait must not fail for that: it tries again while the file says that the
 * holder is a reader. The text may be that of the holder before, if the present one has not
 * written its own yet, so it is believed only after GRACE_MS.
 */
#include "archive/lock.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#define HOLDER_MAX 32 /* bytes: "process 4194304 (reader)" and a newline */
#define READER_MARK " (reader)"

/* Milliseconds. */
#define RETRY_MS 10u
#define GRACE_MS 50u
#define READER_MS 2000u

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
static void write_holder(int fd, bool reader)
{
	char holder[HOLDER_MAX];
	int size = snprintf(holder, sizeof(holder), "process %ld%s\n", (long)getpid(),
			    reader ? READER_MARK : "");

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

static int lock_now(int fd)
{
	int r;

	do {
		r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	} while (r == -EINTR);
	return r;
}

static bool is_reader(const char *holder)
{
	return strstr(holder, READER_MARK);
}

/* -EWOULDBLOCK if another writer has it, or a reader for longer than READER_MS. */
static int lock_patiently(int fd)
{
	char holder[HOLDER_MAX];
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };
	int r = lock_now(fd);

	for (unsigned ms = 0; r == -EWOULDBLOCK && ms < READER_MS; ms += RETRY_MS) {
		read_holder(fd, holder);
		if (ms >= GRACE_MS && !is_reader(holder))
			break;
		(void)nanosleep(&pause,
				NULL); /* cut short by a signal, it tries earlier */
		r = lock_now(fd);
	}
	return r;
}

/* Somebody else has it. */
static int busy(const char *name, const char *holder, struct error *err)
{
	const char *what = "writing to the archive";

	if (strcmp(name, HEALTH_LOCK_FILE) == 0)
		what = "checking the health of this archive already";
	else if (is_reader(holder))
		what = "bringing the catalog up to date";
	return error_set(err, -EBUSY, "%s is %s", holder, what);
}

enum patience { NO_PATIENCE, FOR_READERS, UNTIL_FREE };

/* Take the lock that file @name is. */
static int take(int dir_fd, const char *name, enum patience patience, bool reader,
		int *fd_out, struct error *err)
{
	autoclose int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	char holder[HOLDER_MAX];
	int r;

	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", name);
	if (patience == UNTIL_FREE)
		r = lock_wait(fd);
	else if (patience == FOR_READERS)
		r = lock_patiently(fd);
	else
		r = lock_now(fd);
	if (r == -EWOULDBLOCK) {
		read_holder(fd, holder);
		return busy(name, holder, err);
	}
	if (r < 0)
		return error_set_errno(err, r, "'%s'", name);

	write_holder(fd, reader);
	*fd_out = take_fd(&fd);
	return 0;
}

int lock_take(int dir_fd, bool wait, int *fd_out, struct error *err)
{
	return take(dir_fd, ARCHIVE_LOCK_FILE, wait ? UNTIL_FREE : FOR_READERS, false,
		    fd_out, err);
}

int lock_take_for_reader(int dir_fd, int *fd_out, struct error *err)
{
	return take(dir_fd, ARCHIVE_LOCK_FILE, NO_PATIENCE, true, fd_out, err);
}

int lock_take_for_health(int dir_fd, int *fd_out, struct error *err)
{
	return take(dir_fd, HEALTH_LOCK_FILE, NO_PATIENCE, false, fd_out, err);
}
