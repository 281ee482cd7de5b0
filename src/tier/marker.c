/* SPDX-License-Identifier: MIT */
#include "tier/marker.h"

#include "base/bytes.h"
#include "catalog/stub_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

void marker_encode(const struct marker *marker, uint8_t out[MARKER_SIZE])
{
	le64 id = le64_make(marker->id);

	memcpy(out, &id, sizeof(id));
	memcpy(out + sizeof(id), marker->hash.bytes, HASH_SIZE);
}

int marker_decode(const uint8_t *data, size_t size, struct marker *marker_out)
{
	le64 id;

	if (size != MARKER_SIZE)
		return -EBADMSG;
	memcpy(&id, data, sizeof(id));
	marker_out->id = le64_get(id);
	memcpy(marker_out->hash.bytes, data + sizeof(id), HASH_SIZE);
	return 0;
}

static int decode_result(const uint8_t *data, ssize_t n, struct marker *marker_out)
{
	if (n < 0)
		return errno == ERANGE ? -EBADMSG : -errno;
	return marker_decode(data, (size_t)n, marker_out);
}

int marker_get(int fd, struct marker *marker_out)
{
	uint8_t data[MARKER_SIZE];

	return decode_result(data, fgetxattr(fd, MARKER_NAME, data, sizeof(data)),
			     marker_out);
}

int marker_get_path(const char *path, struct marker *marker_out)
{
	uint8_t data[MARKER_SIZE];

	return decode_result(data, lgetxattr(path, MARKER_NAME, data, sizeof(data)),
			     marker_out);
}

#define FD_PATH_SIZE 32

static const char *fd_path(int fd, char path[FD_PATH_SIZE])
{
	(void)snprintf(path, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
	return path;
}

int marker_get_path_fd(int fd, struct marker *marker_out)
{
	uint8_t data[MARKER_SIZE];
	char path[FD_PATH_SIZE];

	return decode_result(data,
			     getxattr(fd_path(fd, path), MARKER_NAME, data, sizeof(data)),
			     marker_out);
}

int marker_set_path_fd(int fd, const struct marker *marker)
{
	uint8_t data[MARKER_SIZE];
	char path[FD_PATH_SIZE];

	marker_encode(marker, data);
	return setxattr(fd_path(fd, path), MARKER_NAME, data, sizeof(data), 0) < 0
		       ? -errno
		       : 0;
}

int marker_set(int fd, const struct marker *marker)
{
	uint8_t data[MARKER_SIZE];

	marker_encode(marker, data);
	if (fsetxattr(fd, MARKER_NAME, data, sizeof(data), 0) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int marker_remove(int fd)
{
	if (fremovexattr(fd, MARKER_NAME) < 0 && errno != ENODATA)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

bool marker_matches(const struct marker *marker, const struct stub_row *row)
{
	return marker->id == row->id && hash_equal(&marker->hash, &row->hash);
}
