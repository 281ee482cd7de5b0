/* SPDX-License-Identifier: MIT */
#pragma once
/* Restores entries of an archive as a tar stream: all types but sockets, hard links, holes,
 * xattrs, ACLs, times in nanoseconds. A tar stream can't take back what it said, so content
 * that is lost ends it: before the entry where that was known in time (small files), else in
 * the middle of it, and never with the mark that ends a whole archive.
 *
 * Called from the thread that owns the archive's catalog handle, or gives one of its own.
 */
#include "archive/restore.h"

/* Write the entries that @options names to @fd, under the paths that they would get in
 * options->directory, which is not looked at, nor are resume and force. 0 when the stream is
 * whole, whatever the summary's problems. -EBADMSG: it ended at content that is lost (the
 * ranges were reported, summary_out->lost_files is 1); -ENOMEDIUM; -EINTR; -EPIPE; ... */
int tar_write(struct archive *archive, const struct restore_options *options, int fd,
	      struct restore_summary *summary_out, struct error *err);
