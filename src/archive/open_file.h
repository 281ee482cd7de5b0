/* SPDX-License-Identifier: MIT */
#pragma once
/* A file of the archive that is open for reading, as a mount or a server has it: any
 * thread reads any range at any time. What is read in order is decoded ahead of the
 * reader.
 *
 * Threads: any number may read one file at once. Freeing waits for nobody: no read of the
 * file may be under way.
 */
#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct manifest;
struct manifest_xattr;
struct open_file;
struct read_pieces;
struct read_service;

/* Reads nothing yet. @manifest (of a file) is copied from; @service is borrowed and outlives
 * the file. -EBADMSG: the manifest contradicts itself. */
int open_file_new(struct read_service *service, const struct manifest *manifest,
		  struct open_file **file_out, struct error *err);
/* The same for a long xattr value. */
int open_file_new_xattr(struct read_service *service, const struct manifest_xattr *xattr,
			struct open_file **file_out, struct error *err);
void open_file_free(struct open_file *file);
DEFINE_AUTOPTR(open_file);

uint64_t open_file_size(const struct open_file *file);

/* Read @size bytes at @offset into @data. *size_out is less than @size at the end of the
 * file (0 behind it), and where bytes are lost or out of reach: then it stops in front of
 * the first of these, and a read that begins there gives its error. Large reads are best
 * aligned to 256 KiB; a MiB is enough.
 * A caller who must not answer short (FUSE takes that for the end of the file, and fills
 * the rest with zeroes) answers with an error instead when *size_out is less than the
 * file has: the kernel then asks again page by page, which tells what is lost from what is
 * not to the page.
 * -EBADMSG: the first byte is lost beyond repair. -ENOMEDIUM: it is on a volume that is not
 * attached (the text names it). Other errors as they come, -EIO, -ENOMEM. */
int open_file_read(struct open_file *file, uint64_t offset, void *data, size_t size,
		   size_t *size_out, struct error *err);
/* The same, as @pieces, which are empty and have a buffer for @size bytes: pieces->size is
 * what was read. The caller calls read_pieces_done() in any case, before the file's service
 * ends. */
int open_file_lend(struct open_file *file, uint64_t offset, struct read_pieces *pieces,
		   size_t size, struct error *err);
