/* SPDX-License-Identifier: MIT */
/* Overwriting blocks of an image file.
 *
 * The session has a descriptor of its own, opened for the repair and closed after it: one
 * that stayed open would keep people from remounting the file system read-only. It is
 * opened by way of /proc/self/fd, so it is the file that the reader reads, even if another
 * one has its name by now.
 *
 * The lock is flock() on that descriptor: it excludes other sessions, of this process too,
 * and ends with it, however the process ends. Writers take no lock on volume files.
 *
 * O_DIRECT, where the file system has it, so that reads come from the medium, and so that a
 * failing write is this session's error alone: the kernel tells a failed write-back of cached
 * pages to everybody who has the file open, and would make a writer give up its volume.
 * Reads of others go through the page cache; what it holds of a range is dropped before
 * that is read here, and after it was written.
 *
 * A sealed volume has mode 0444, which keeps its owner from opening it, too. It gets its
 * write permission back for as long as opening takes. A crash in between leaves it
 * writable, which does no harm: the end record is what says that it is sealed. Of two
 * processes that do this in the same moment one may fail; its next repair succeeds. Other
 * modes were somebody's choice.
 */
#include "volume/rewriter.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "volume/backend.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define RETRY_MS 5u
#define NS_PER_MS UINT64_C(1000000)

#define MODE_SEALED 0444u
#define MODE_OPEN 0644u

struct rewriter_file {
	struct rewriter base;
	char *name; /* owned */
	int fd;
};

static struct rewriter_file *file_of(struct rewriter *rewriter)
{
	return (struct rewriter_file *)rewriter;
}

/* Some file systems want more alignment than 4096 and say so late. True if it is worth
 * trying again without O_DIRECT. */
static bool give_up_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && flags & O_DIRECT &&
	       fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

/* Only advice, but without it a cached page may hide what the medium holds. */
static void drop_cached(int fd, uint64_t offset, size_t size)
{
	(void)posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
}

static int file_read(struct rewriter *rewriter, uint64_t offset, void *data, size_t size,
		     struct error *err)
{
	struct rewriter_file *file = file_of(rewriter);
	size_t got = 0;
	int r;

	drop_cached(file->fd, offset, size);
	r = pread_full(file->fd, data, size, offset, &got);
	if (r == -EINVAL && give_up_direct(file->fd))
		r = pread_full(file->fd, data, size, offset, &got);
	if (r == 0 && got < size)
		return error_set(err, -ESTALE, "'%s' became shorter", file->name);
	if (r < 0)
		return error_set_errno(err, r,
				       "'%s': reading %zu bytes at offset %" PRIu64,
				       file->name, size, offset);
	return 0;
}

static int file_write(struct rewriter *rewriter, uint64_t offset, const void *data,
		      size_t size, struct error *err)
{
	struct rewriter_file *file = file_of(rewriter);
	int r = pwrite_full(file->fd, data, size, offset);

	if (r == -EINVAL && give_up_direct(file->fd))
		r = pwrite_full(file->fd, data, size, offset);
	if (r < 0)
		return error_set_errno(err, r,
				       "'%s': overwriting %zu bytes at offset %" PRIu64,
				       file->name, size, offset);
	return 0;
}

static int file_sync(struct rewriter *rewriter, uint64_t offset, size_t size,
		     struct error *err)
{
	struct rewriter_file *file = file_of(rewriter);
	int r = fdatasync(file->fd) < 0 ? -errno : 0;

	drop_cached(file->fd, offset, size);
	if (r < 0)
		return error_set_errno(err, r, "'%s': sync", file->name);
	return 0;
}

static void file_free(struct rewriter *rewriter)
{
	struct rewriter_file *file = file_of(rewriter);

	cleanup_close_p(&file->fd); /* the lock ends with it */
	free(file->name);
	free(file);
}

static const struct rewriter_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.sync = file_sync,
	.free = file_free,
};

/* The file behind @fd once more, for writing. A descriptor, or a negative errno. */
static int open_again(int fd)
{
	char path[32];
	int again;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_DIRECT | O_CLOEXEC | O_NOCTTY);
	if (again < 0 && errno == EINVAL)
		again = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	return again < 0 ? -errno : again;
}

/* The same, with the mode of sealed volumes out of the way. */
static int open_sealed(int fd)
{
	struct stat st;
	int again;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 07777) != MODE_SEALED || st.st_uid != geteuid())
		return -EACCES;
	if (fchmod(fd, MODE_OPEN) < 0)
		return -errno;
	again = open_again(fd);
	(void)fchmod(fd, MODE_SEALED); /* a courtesy, as it was */
	return again;
}

/* Take the lock, waiting for it until @deadline at most. */
static int lock(int fd, uint64_t deadline)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * NS_PER_MS };

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_monotonic_ns() >= deadline)
			return -EBUSY;
		(void)nanosleep(&pause, NULL); /* cut short: it tries earlier */
	}
	return 0;
}

static int open_all(struct rewriter_file *file, int fd, uint64_t deadline)
{
	struct stat st;
	int r;

	r = open_again(fd);
	if (r == -EACCES)
		r = open_sealed(fd);
	if (r < 0)
		return r;
	file->fd = r;
	r = lock(file->fd, deadline);
	if (r < 0)
		return r;
	if (fstat(file->fd, &st) < 0)
		return -errno;
	file->base.size = (uint64_t)st.st_size / BACKEND_ALIGNMENT * BACKEND_ALIGNMENT;
	return 0;
}

int rewriter_file_open(int fd, const char *name, unsigned patience_ms,
		       struct rewriter **rewriter_out, struct error *err)
{
	uint64_t deadline = clock_monotonic_ns() + patience_ms * NS_PER_MS;
	struct rewriter_file *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return error_set_errno(err, -ENOMEM, "repairing '%s'", name);
	file->base.ops = &file_ops;
	file->fd = -1;
	file->name = strdup(name);
	r = file->name ? open_all(file, fd, deadline) : -ENOMEM;
	if (r < 0) {
		file_free(&file->base);
		if (r == -EBUSY)
			return error_set(err, r,
					 "'%s' is being repaired by another process",
					 name);
		return error_set_errno(err, r, "opening '%s' to repair it", name);
	}
	*rewriter_out = &file->base;
	return 0;
}
