/* SPDX-License-Identifier: MIT */
/* Image files.
 *
 * Two descriptors of one file: `fd` goes through the page cache and serves all reads, the
 * rare small writes and syncs; `direct_fd` has O_DIRECT and takes appends, because a bulk
 * write through the cache costs a copy and evicts what readers want. Mixing them is safe
 * here: no byte is written twice (but by repair, see rewriter_file.c), and the kernel drops cached pages of a range before and
 * after a direct write to it. Some file systems have no O_DIRECT (open fails with EINVAL)
 * or want more alignment than 4096 (the first write fails with EINVAL): then appends use
 * `fd`.
 *
 * Scans read past the cache what is not in it: a third descriptor, opened on demand.
 *
 * A skip only moves the position: the gap is a hole. If a hole is the last thing, the file
 * is extended over it at the next sync.
 *
 * A file's name is durable only after a sync of its folder, which the first sync does; so
 * the folder stays open until then.
 *
 * A failed append or sync breaks the backend for good: after a failed fsync the kernel may
 * have dropped the very pages that it could not write, so trying again would lie.
 */
#include "volume/backend.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mutex.h"
#include "volume/backend_scan.h"
#include "volume/rewriter.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NO_SCAN (-2)                      /* this file system has no O_DIRECT */
#define EXPECT_SIZE ((uint64_t)512 << 10) /* bytes */

struct backend_file {
	struct backend base;
	struct mutex mutex; /* guards position: readers may ask while a writer appends */
	uint64_t position;  /* bytes */
	int fd;
	int direct_fd; /* -1: appends go through fd */
	int scan_fd;   /* reads past the cache; -1: not opened yet, or NO_SCAN. Atomic */
	int dir_fd;    /* to sync the name; -1 once that is done */
	uint64_t written; /* bytes up to the end of the last append: the file's size */
	bool writable;
	bool broken;
};

static struct backend_file *file_of(struct backend *backend)
{
	return (struct backend_file *)backend;
}

static uint64_t file_position(struct backend *backend)
{
	struct backend_file *file = file_of(backend);

	mutex_scope(&file->mutex);
	return file->position;
}

static void move_to(struct backend_file *file, uint64_t position)
{
	mutex_scope(&file->mutex);
	file->position = position;
}

static int check_writable(struct backend_file *file, struct error *err)
{
	if (!file->writable)
		return error_set(err, -EROFS, "'%s' is not open for writing",
				 file->base.name);
	if (file->broken)
		return error_set(err, -EIO, "'%s' takes no more after a failed write",
				 file->base.name);
	return 0;
}

/* Direct if possible; a file system that refuses the first direct write gets a buffered
 * one, and no further direct ones. */
static int write_at(struct backend_file *file, const void *data, size_t size,
		    uint64_t offset)
{
	int r;

	if (file->direct_fd >= 0) {
		r = pwrite_full(file->direct_fd, data, size, offset);
		if (r != -EINVAL)
			return r;
		(void)close(take_fd(&file->direct_fd)); /* nothing to lose: not cached */
	}
	return pwrite_full(file->fd, data, size, offset);
}

static int file_append(struct backend *backend, const void *data, size_t size,
		       struct error *err)
{
	struct backend_file *file = file_of(backend);
	uint64_t offset = file_position(backend);
	int r;

	r = check_writable(file, err);
	if (r < 0)
		return r;
	if (size == 0)
		return 0;
	r = write_at(file, data, size, offset);
	if (r < 0) {
		file->broken = true;
		return error_set_errno(err, r,
				       "'%s': writing %zu bytes at offset %" PRIu64,
				       backend->name, size, offset);
	}
	file->written = offset + size;
	move_to(file, offset + size);
	return 0;
}

static int file_skip(struct backend *backend, uint64_t size, struct error *err)
{
	struct backend_file *file = file_of(backend);
	uint64_t position = file_position(backend);
	int r;

	r = check_writable(file, err);
	if (r < 0)
		return r;
	if (size > (uint64_t)INT64_MAX - position)
		return error_set(err, -EFBIG,
				 "'%s': no offset beyond %" PRIu64 " + %" PRIu64,
				 backend->name, position, size);
	move_to(file, position + size);
	return 0;
}

static int file_read(struct backend *backend, uint64_t offset, void *data, size_t size,
		     size_t *size_out, struct error *err)
{
	struct backend_file *file = file_of(backend);
	size_t got;
	int r;

	if (offset > (uint64_t)INT64_MAX) {
		*size_out = 0;
		return 0;
	}
	r = pread_full(file->fd, data, size, offset, &got);
	if (r < 0)
		return error_set_errno(err, r,
				       "'%s': reading %zu bytes at offset %" PRIu64,
				       backend->name, size, offset);
	*size_out = got;
	return 0;
}

/* Of each call the kernel takes only as much as its own reading ahead would, or the device
 * at once, and drops the rest. */
static void file_expect(struct backend *backend, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size;

	for (; offset < end; offset += EXPECT_SIZE)
		(void)posix_fadvise(
			file_of(backend)->fd, (off_t)offset,
			(off_t)(end - offset < EXPECT_SIZE ? end - offset : EXPECT_SIZE),
			POSIX_FADV_WILLNEED); /* only advice */
}

/* Whether [offset, offset + size) is in the page cache, judged by its first page and its last
 * one: to ask for all of them takes as long as a tenth of the copy. The map is only asked about,
 * never read, so that a medium's error stays an error and is no signal. */
static bool is_cached(int fd, uint64_t offset, size_t size)
{
	uint8_t *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	unsigned char first = 0;
	unsigned char last = 0;
	bool cached;

	if (map == MAP_FAILED)
		return true; /* unknown: an ordinary read is never wrong */
	cached = mincore(map, BACKEND_ALIGNMENT, &first) == 0 && first & 1 &&
		 mincore(map + size - BACKEND_ALIGNMENT, BACKEND_ALIGNMENT, &last) == 0 &&
		 last & 1;
	(void)munmap(map, size);
	return cached;
}

/* A descriptor of the same file that reads past the page cache, or NO_SCAN. It is opened when
 * it is first wanted; of two threads that do so one wins. */
static int scan_descriptor(struct backend_file *file)
{
	int fd = __atomic_load_n(&file->scan_fd, __ATOMIC_ACQUIRE);
	char path[32];
	int none = -1;

	if (fd != -1)
		return fd;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		fd = NO_SCAN;
	if (__atomic_compare_exchange_n(&file->scan_fd, &none, fd, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return none;
}

static int file_scan(struct backend *backend, uint64_t offset, void *data, size_t size,
		     size_t *size_out, struct error *err)
{
	struct backend_file *file = file_of(backend);
	uint64_t odd = offset | size | (uintptr_t)data;
	int fd;

	if (size == 0 || offset > (uint64_t)INT64_MAX || odd % BACKEND_ALIGNMENT ||
	    is_cached(file->fd, offset, size))
		return file_read(backend, offset, data, size, size_out, err);
	fd = scan_descriptor(file);
	/* Whatever went wrong, the ordinary read says it, or does better. */
	if (fd == NO_SCAN || pread_full(fd, data, size, offset, size_out) < 0)
		return file_read(backend, offset, data, size, size_out, err);
	return 0;
}

static uint64_t file_next_data(struct backend *backend, uint64_t offset)
{
	off_t next;

	if (offset > (uint64_t)INT64_MAX)
		return UINT64_MAX;
	next = lseek(file_of(backend)->fd, (off_t)offset, SEEK_DATA);
	if (next < 0)
		return errno == ENXIO ? UINT64_MAX : offset;
	return (uint64_t)next;
}

/* A hole at the end exists only as the position: make it part of the file. */
static int cover_hole(struct backend_file *file)
{
	uint64_t position = file_position(&file->base);

	if (position <= file->written)
		return 0;
	if (ftruncate(file->fd, (off_t)position) < 0)
		return -errno;
	file->written = position;
	return 0;
}

static int sync_all(struct backend_file *file)
{
	int r;

	r = cover_hole(file);
	if (r < 0)
		return r;
	if (fdatasync(file->fd) < 0)
		return -errno;
	if (file->dir_fd < 0)
		return 0;
	if (fsync(file->dir_fd) < 0)
		return -errno;
	(void)close(take_fd(&file->dir_fd)); /* opened for reading only */
	return 0;
}

static int file_sync(struct backend *backend, struct error *err)
{
	struct backend_file *file = file_of(backend);
	int r;

	r = check_writable(file, err);
	if (r < 0)
		return r;
	r = sync_all(file);
	if (r < 0) {
		file->broken = true;
		return error_set_errno(err, r, "'%s': sync up to offset %" PRIu64,
				       backend->name, file_position(backend));
	}
	return 0;
}

static int file_seal(struct backend *backend, struct error *err)
{
	struct backend_file *file = file_of(backend);
	int r;

	r = file_sync(backend, err);
	if (r < 0)
		return r;
	file->writable = false;
	(void)fchmod(file->fd, 0444); /* a courtesy that some file systems can't do */
	if (fsync(file->fd) < 0)
		return error_set_errno(err, -errno, "'%s': sync of its mode",
				       backend->name);
	crash_point("volume.sealed");
	return 0;
}

static uint64_t file_capacity(struct backend *backend)
{
	(void)backend; /* free space is shared with others: -ENOSPC tells when it is gone */
	return UINT64_MAX;
}

static int file_open_rewriter(struct backend *backend, unsigned patience_ms,
			      struct rewriter **rewriter_out, struct error *err)
{
	return rewriter_file_open(file_of(backend)->fd, backend->name, patience_ms,
				  rewriter_out, err);
}

static void file_free(struct backend *backend)
{
	struct backend_file *file = file_of(backend);

	if (file->writable && !file->broken)
		(void)cover_hole(file); /* without a sync nothing was promised */
	if (file->fd >= 0)
		(void)close(file->fd);
	if (file->direct_fd >= 0)
		(void)close(file->direct_fd);
	if (file->scan_fd >= 0)
		(void)close(file->scan_fd);
	if (file->dir_fd >= 0)
		(void)close(file->dir_fd);
	mutex_done(&file->mutex);
	free(file->base.name);
	free(file);
}

static const struct backend_ops file_ops = {
	.type = "file",
	.append = file_append,
	.skip = file_skip,
	.read = file_read,
	.expect = file_expect,
	.scan = file_scan,
	.next_data = file_next_data,
	.sync = file_sync,
	.seal = file_seal,
	.position = file_position,
	.capacity = file_capacity,
	.open_rewriter = file_open_rewriter,
	.free = file_free,
};

/* NULL without memory. */
static struct backend_file *file_new(const char *name, bool writable)
{
	struct backend_file *file = calloc(1, sizeof(*file));
	char *copy = strdup(name);

	if (!file || !copy) {
		free(file);
		free(copy);
		return NULL;
	}
	file->base.ops = &file_ops;
	file->base.name = copy;
	file->fd = -1;
	file->direct_fd = -1;
	file->scan_fd = -1;
	file->dir_fd = -1;
	file->writable = writable;
	mutex_init(&file->mutex);
	return file;
}

/* Learn the size. A block device is no image file: its size says nothing about its use. */
static int measure(struct backend_file *file, struct error *err)
{
	const uint64_t round = BACKEND_ALIGNMENT - 1;
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return error_set_errno(err, -errno, "'%s'", file->base.name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "'%s' is not a regular file",
				 file->base.name);
	file->written = (uint64_t)st.st_size;
	file->position = file->written;
	if (file->writable)
		file->position = (file->written + round) & ~round;
	return 0;
}

/* The folder that @name is in. */
static int open_folder(int dir_fd, const char *name, struct error *err)
{
	const char *slash = strrchr(name, '/');
	autofree char *folder = slash ? strndup(name, (size_t)(slash - name) + 1) : NULL;
	int fd;

	if (slash && !folder)
		return error_set(err, -ENOMEM, "no memory to open '%s'", name);
	fd = openat(dir_fd, folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, -errno, "folder of '%s'", name);
	return fd;
}

/* A second descriptor of the same file with O_DIRECT, or -1 if there can't be one. */
static int open_direct(int dir_fd, const char *name, int fd)
{
	autoclose int direct_fd = openat(dir_fd, name, O_WRONLY | O_DIRECT | O_CLOEXEC);
	struct stat a, b;

	if (direct_fd < 0 || fstat(fd, &a) < 0 || fstat(direct_fd, &b) < 0)
		return -1;
	if (a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return -1; /* renamed under us */
	return take_fd(&direct_fd);
}

static int open_all(struct backend_file *file, int dir_fd, const char *name, int flags,
		    struct error *err)
{
	int r;

	file->fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	if (file->fd < 0)
		return error_set_errno(err, -errno, "'%s'", name);
	r = measure(file, err);
	if (r < 0 || !file->writable)
		return r;
	r = open_folder(dir_fd, name, err);
	if (r < 0)
		return r;
	file->dir_fd = r;
	file->direct_fd = open_direct(dir_fd, name, file->fd);
	return 0;
}

static int open_file(int dir_fd, const char *name, int flags, bool writable,
		     struct backend **backend_out, struct error *err)
{
	struct backend_file *file = file_new(name, writable);
	int r;

	if (!file)
		return error_set(err, -ENOMEM, "no memory for the volume '%s'", name);
	r = open_all(file, dir_fd, name, flags, err);
	if (r < 0) {
		file->writable = false; /* leave the file as it is */
		file_free(&file->base);
		return r;
	}
	*backend_out = &file->base;
	return 0;
}

int backend_file_create(int dir_fd, const char *name, struct backend **backend_out,
			struct error *err)
{
	return open_file(dir_fd, name, O_RDWR | O_CREAT | O_EXCL, true, backend_out, err);
}

int backend_file_open(int dir_fd, const char *name, int writable,
		      struct backend **backend_out, struct error *err)
{
	return open_file(dir_fd, name, writable ? O_RDWR : O_RDONLY, writable,
			 backend_out, err);
}
