/* SPDX-License-Identifier: MIT */
#include "tier/handle.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <string.h>
#include <sys/ioctl.h>

/* Since Linux 6.9; older headers do not have it. */
struct uuid_answer {
	uint8_t size;
	uint8_t bytes[TIER_UUID_SIZE];
};
#define GET_UUID _IOR(0x15, 0, struct uuid_answer)

union handle_buffer {
	struct file_handle handle;
	uint8_t space[sizeof(struct file_handle) + STUB_HANDLE_MAX];
};

int tier_uuid_get(int fd, struct tier_uuid *uuid_out, struct error *err)
{
	struct uuid_answer answer = { 0 };

	if (ioctl(fd, GET_UUID, &answer) < 0)
		return error_set(err, -EOPNOTSUPP,
				 "the kernel does not tell the file system's UUID (%s)",
				 strerrordesc_np(errno));
	if (answer.size != TIER_UUID_SIZE)
		return error_set(err, -EOPNOTSUPP, "the file system has no UUID");
	memcpy(uuid_out->bytes, answer.bytes, TIER_UUID_SIZE);
	return 0;
}

int tier_handle_get(int fd, uint8_t handle_out[STUB_HANDLE_MAX], size_t *size_out,
		    struct error *err)
{
	union handle_buffer buffer = { 0 };
	le32 type;
	int mount_id;

	buffer.handle.handle_bytes = STUB_HANDLE_MAX - sizeof(type);
	if (name_to_handle_at(fd, "", &buffer.handle, &mount_id, AT_EMPTY_PATH) < 0)
		return error_set_errno(err, -errno, "file handle");
	type = le32_make((uint32_t)buffer.handle.handle_type);
	memcpy(handle_out, &type, sizeof(type));
	memcpy(handle_out + sizeof(type), buffer.handle.f_handle,
	       buffer.handle.handle_bytes);
	*size_out = sizeof(type) + buffer.handle.handle_bytes;
	return 0;
}

int tier_handle_open(int mount_fd, const uint8_t *handle, size_t size, int flags,
		     int *fd_out)
{
	union handle_buffer buffer = { 0 };
	le32 type;
	int fd;

	if (size <= sizeof(type) || size > STUB_HANDLE_MAX)
		return -ESTALE;
	memcpy(&type, handle, sizeof(type));
	buffer.handle.handle_type = (int)le32_get(type);
	buffer.handle.handle_bytes = (unsigned)(size - sizeof(type));
	memcpy(buffer.handle.f_handle, handle + sizeof(type), size - sizeof(type));
	fd = open_by_handle_at(mount_fd, &buffer.handle, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*fd_out = fd;
	return 0;
}

bool tier_handle_deleted(const uint8_t *handle, size_t size, int folder_fd,
			 const char *path)
{
	autoclose int fd =
		path ? openat(folder_fd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	uint8_t found[STUB_HANDLE_MAX];
	size_t found_size;

	if (!path)
		return true;
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR;
	if (tier_handle_get(fd, found, &found_size, NULL) < 0)
		return false;
	return found_size != size || memcmp(found, handle, size) != 0;
}
