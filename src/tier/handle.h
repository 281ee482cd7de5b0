/* SPDX-License-Identifier: MIT */
#pragma once
/* Names for files and file systems that outlive renames, mounts and restarts. Pure calls to
 * the kernel, any thread.
 */
#include "catalog/stub_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define TIER_UUID_SIZE 16u                      /* bytes */
#define TIER_UUID_HEX (2 * TIER_UUID_SIZE + 1u) /* with a NUL */

struct tier_uuid {
	uint8_t bytes[TIER_UUID_SIZE];
};

/* The UUID of the file system that @fd is on. -EOPNOTSUPP: the kernel or the file system
 * does not tell. */
int tier_uuid_get(int fd, struct tier_uuid *uuid_out, struct error *err);

/* The handle of the file @fd, which may be O_PATH: its type and bytes, with the inode's
 * generation, so that it never means a later file. */
int tier_handle_get(int fd, uint8_t handle_out[STUB_HANDLE_MAX], size_t *size_out,
		    struct error *err);

/* Open the file on the file system of @mount_fd (no O_PATH). -ESTALE: it was deleted, or its
 * inode can't be read. */
int tier_handle_open(int mount_fd, const uint8_t *handle, size_t size, int flags,
		     int *fd_out);

/* Whether a file that tier_handle_open() calls stale was deleted, as far as @path tells (in the
 * folder @folder_fd unless absolute), where it was last: there is nothing there now, or another
 * file. NULL: nowhere. */
bool tier_handle_deleted(const uint8_t *handle, size_t size, int folder_fd,
			 const char *path);
