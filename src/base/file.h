/* SPDX-License-Identifier: MIT */
#pragma once
/* Whole reads and writes, and small files replaced at once. Any thread.
 *
 * The *_full functions repeat after EINTR and short counts. They return a plain negative
 * errno: the caller knows the name for its message.
 */
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read until @size bytes or the end of the file; *got_out is how many. With @got_out NULL,
 * an early end is -ENODATA. Offsets are bytes from the start of the file. */
int read_full(int fd, void *data, size_t size, size_t *got_out);
int pread_full(int fd, void *data, size_t size, uint64_t offset, size_t *got_out);

/* Write all @size bytes, or fail; how many arrived is unknown then. */
int write_full(int fd, const void *data, size_t size);
int pwrite_full(int fd, const void *data, size_t size, uint64_t offset);

/* Read a whole regular file into memory, with a NUL behind it (not counted). -ENOENT,
 * -EFBIG above @limit bytes, -EINVAL if it is not a regular file. The caller frees
 * *data_out. @dirfd may be AT_FDCWD here and below. */
int file_read_all(int dirfd, const char *name, size_t limit, uint8_t **data_out,
		  size_t *size_out, struct error *err);

/* Create or replace a file: after a crash at any point it has its old bytes or the new
 * ones, and on return the new ones are durable. A crash can leave ".<name>.<hex>.tmp". */
int file_replace(int dirfd, const char *name, const void *data, size_t size, mode_t mode,
		 struct error *err);

/* Make a rename, creation or removal in the folder @dirfd durable. */
int folder_sync(int dirfd, struct error *err);

/* Create @path and its missing parents, durably. An existing folder is fine, -ENOTDIR if
 * something else is in the way. */
int mkdir_parents(int dirfd, const char *path, mode_t mode, struct error *err);
