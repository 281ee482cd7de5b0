/* SPDX-License-Identifier: MIT */
#pragma once
/* An open file of the mount. What it shows never changes: it is one version of one path.
 * Threads: any number may read one at once.
 */
#include "base/cleanup.h"
#include "mount/inode.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct file;
struct request;

/* Open the file @inode. -ESTALE, -EISDIR, -EINVAL for what has no content. */
int file_open(struct request *request, const struct inode *inode, struct file **file_out);
void file_free(struct file *file);
DEFINE_AUTOPTR(file);

/* Read @size bytes at @offset, fewer only at the end. -EIO: some of these bytes are lost or
 * out of reach; it has been logged, once for each open file. */
int file_read(struct file *file, uint64_t offset, void *data, size_t size,
	      size_t *size_out);

/* lseek(2) with SEEK_DATA or SEEK_HOLE. -ENXIO. */
int file_seek(const struct file *file, uint64_t offset, int whence, uint64_t *offset_out);
