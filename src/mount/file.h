/* SPDX-License-Identifier: MIT */
#pragma once
/* An open file of the mount. What it shows never changes: it is one version of one path.
 * Threads: any number may read one at once.
 */
#include "base/cleanup.h"
#include "mount/inode.h"

#include <stddef.h>
#include <stdint.h>

struct backing;
struct error;
struct file;
struct read_pieces;
struct request;

/* Open the file @inode. -ESTALE, -EISDIR, -EINVAL for what has no content. */
int file_open(struct request *request, const struct inode *inode, struct file **file_out);
void file_free(struct file *file);
DEFINE_AUTOPTR(file);

/* What it reads from; borrowed. */
struct backing *file_backing(const struct file *file);

/* Read @size bytes at @offset, fewer only at the end, as open_file_lend() does. -EIO: some of
 * these bytes are lost or out of reach; it has been logged, once for each open file. */
int file_read(struct file *file, uint64_t offset, struct read_pieces *pieces,
	      size_t size);

/* lseek(2) with SEEK_DATA or SEEK_HOLE. -ENXIO. */
int file_seek(const struct file *file, uint64_t offset, int whence, uint64_t *offset_out);
