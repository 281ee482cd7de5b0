/* SPDX-License-Identifier: MIT */
/* Replacing a file: a temporary one is written beside it and synced, renamed over it, and
 * the folder is synced. Whoever opens the name sees all old or all new bytes, and no crash
 * changes that. The temporary name is random, so that two writers do not share one, and
 * starts with a dot and the name, so that a leftover tells where it came from.
 *
 * Reading is for regular files only, opened O_NONBLOCK: a FIFO in place of a settings file
 * is an error, not a hang.
 */
#include "base/file.h"

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TRANSFER_MAX \
	(1u << 30) /* bytes a call; the kernel's own limit is 2 GiB less a page */

/* The result when @done of @size bytes were read before the end of the file. */
static int report_read(size_t done, size_t size, size_t *got_out)
{
	if (!got_out)
		return done == size ? 0 : -ENODATA;
	*got_out = done;
	return 0;
}

static size_t transfer_size(size_t size, size_t done)
{
	return size - done < TRANSFER_MAX ? size - done : TRANSFER_MAX;
}

int read_full(int fd, void *data, size_t size, size_t *got_out)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (uint8_t *)data + done, transfer_size(size, done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return report_read(done, size, got_out);
}

int pread_full(int fd, void *data, size_t size, uint64_t offset, size_t *got_out)
{
	size_t done = 0;

	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -EOVERFLOW;
	while (done < size) {
		ssize_t n = pread(fd, (uint8_t *)data + done, transfer_size(size, done),
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return report_read(done, size, got_out);
}

int write_full(int fd, const void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, (const uint8_t *)data + done,
				  transfer_size(size, done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int pwrite_full(int fd, const void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -EOVERFLOW;
	while (done < size) {
		ssize_t n = pwrite(fd, (const uint8_t *)data + done,
				   transfer_size(size, done), (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Read what @fd still has, up to @limit bytes. It may have grown since its size was
 * looked up, so the limit is what counts. */
static int read_up_to(int fd, size_t limit, uint8_t **data_out, size_t *size_out)
{
	autofree uint8_t *data = NULL;
	size_t capacity = 0;
	size_t size = 0;
	size_t got;
	int r;

	do {
		uint8_t *grown;

		capacity = capacity ? capacity * 2 : 4096;
		if (capacity > limit + 2)
			capacity = limit + 2;
		grown = realloc(data, capacity);
		if (!grown)
			return -ENOMEM;
		data = grown;
		r = read_full(fd, data + size, capacity - 1 - size, &got);
		if (r < 0)
			return r;
		size += got;
		if (size > limit)
			return -EFBIG;
	} while (size == capacity - 1);

	data[size] = 0;
	*data_out = take_ptr(data);
	*size_out = size;
	return 0;
}

int file_read_all(int dirfd, const char *name, size_t limit, uint8_t **data_out,
		  size_t *size_out, struct error *err)
{
	autoclose int fd = -1;
	struct stat st;
	int r;

	if (limit > SIZE_MAX / 4)
		return error_set(err, -EINVAL, "file '%s': limit out of range", name);
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, -errno, "file '%s'", name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "file '%s' is not a regular file", name);

	r = read_up_to(fd, limit, data_out, size_out);
	if (r == -EFBIG)
		return error_set(err, r, "file '%s' is larger than %zu bytes", name,
				 limit);
	if (r < 0)
		return error_set_errno(err, r, "file '%s'", name);
	return 0;
}

/* Open the folder of @path, and point *base_out to the last component. */
static int open_parent(int dirfd, const char *path, const char **base_out)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";
	int fd;

	if (slash) {
		size_t n = slash > path ? (size_t)(slash - path) : 1;

		if (n >= sizeof(folder))
			return -ENAMETOOLONG;
		memcpy(folder, path, n);
		folder[n] = 0;
	}
	fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*base_out = slash ? slash + 1 : path;
	return fd;
}

/* Create @temporary in @folder with the bytes in it, synced. */
static int write_temporary(int folder, const char *temporary, const void *data,
			   size_t size, mode_t mode)
{
	autoclose int fd = -1;
	int r;

	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = write_full(fd, data, size);
	if (r < 0)
		return r;
	if (fsync(fd) < 0)
		return -errno;
	/* NFS and some others report a failed write only here. */
	return close(take_fd(&fd)) < 0 ? -errno : 0;
}

static int make_temporary_name(const char *base, char name_out[NAME_MAX + 1],
			       struct error *err)
{
	uint8_t random[8];
	char digits[2 * sizeof(random) + 1];
	int r;

	r = random_bytes(random, sizeof(random), err);
	if (r < 0)
		return r;
	hex_encode(random, sizeof(random), digits);
	r = snprintf(name_out, NAME_MAX + 1, ".%s.%s.tmp", base, digits);
	if (r < 0 || r > NAME_MAX)
		return error_set_errno(err, -ENAMETOOLONG, "file '%s'", base);
	return 0;
}

int file_replace(int dirfd, const char *name, const void *data, size_t size, mode_t mode,
		 struct error *err)
{
	char temporary[NAME_MAX + 1];
	autoclose int folder = -1;
	const char *base;
	int r;

	folder = open_parent(dirfd, name, &base);
	if (folder < 0)
		return error_set_errno(err, folder, "folder of file '%s'", name);
	r = make_temporary_name(base, temporary, err);
	if (r < 0)
		return r;

	r = write_temporary(folder, temporary, data, size, mode);
	if (r == 0 && renameat(folder, temporary, folder, base) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(folder, temporary, 0);
		return error_set_errno(err, r, "writing file '%s'", name);
	}
	r = folder_sync(folder, err);
	return r < 0 ? error_prefix(err, r, "file '%s'", name) : 0;
}

int folder_sync(int dirfd, struct error *err)
{
	if (fsync(dirfd) < 0)
		return error_set_errno(err, -errno, "syncing a folder");
	return 0;
}

/* Create the folder @path if it is missing; its parent exists. */
static int make_folder(int dirfd, const char *path, mode_t mode)
{
	autoclose int parent = -1;
	const char *base;
	struct stat st;

	if (mkdirat(dirfd, path, mode) < 0) {
		if (errno != EEXIST)
			return -errno;
		if (fstatat(dirfd, path, &st, 0) < 0)
			return -errno;
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	}

	parent = open_parent(dirfd, path, &base);
	if (parent < 0)
		return parent;
	return fsync(parent) < 0 ? -errno : 0;
}

int mkdir_parents(int dirfd, const char *path, mode_t mode, struct error *err)
{
	char part[PATH_MAX];
	size_t size = strlen(path);
	size_t end = 0;
	int r;

	while (size > 1 && path[size - 1] == '/')
		size--;
	if (size == 0 || size >= sizeof(part))
		return error_set_errno(err, size ? -ENAMETOOLONG : -EINVAL, "folder '%s'",
				       path);

	memcpy(part, path, size);
	do {
		end += strspn(path + end, "/");
		end += strcspn(path + end, "/");
		if (end > size)
			end = size;
		part[end] = 0;
		r = make_folder(dirfd, part, mode);
		if (r < 0)
			return error_set_errno(err, r, "folder '%s'", part);
		part[end] = '/';
	} while (end < size);
	return 0;
}
