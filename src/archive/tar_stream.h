/* SPDX-License-Identifier: MIT */
#pragma once
/* A tar stream (pax) being written to a descriptor: what of libarchive the project uses.
 * Apart from archive/tar.c because libarchive has a `struct archive` of its own. One thread.
 */
#include "merkle/manifest.h"

#include "base/cleanup.h"

#include <stddef.h>

struct error;
struct tar_stream;

#define TAR_STREAM_LOSSY 1 /* written, but for what the text says */

/* @fd is borrowed. */
int tar_stream_new(int fd, struct tar_stream **stream_out, struct error *err);

/* End the entry before, and begin one called @path with the attributes of @manifest, whose
 * xattrs all carry their values, however long. A file's @manifest->size bytes of content
 * follow, holes included, unless @hard_link (the path of an earlier entry of this stream) is
 * given. There is no tar entry for a socket (-EINVAL). TAR_STREAM_LOSSY, with the text of
 * what is missing in *err. */
int tar_stream_entry(struct tar_stream *stream, const char *path,
		     const struct manifest *manifest, const char *hard_link,
		     struct error *err);

int tar_stream_data(struct tar_stream *stream, const void *data, size_t size,
		    struct error *err);

/* Write the end of the archive. */
int tar_stream_finish(struct tar_stream *stream, struct error *err);

/* Without tar_stream_finish() before, the stream ends short, in the middle of a block of 512
 * bytes: every reader of tar complains, also where all entries so far are whole. */
void tar_stream_free(struct tar_stream *stream);
DEFINE_AUTOPTR(tar_stream);
