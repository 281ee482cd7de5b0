/* SPDX-License-Identifier: MIT */
#pragma once
/* The one way to overwrite what a volume holds: a session with its medium, opened for one
 * repair (volume/write_back.h) and closed after it. Only one session of a volume is open at
 * a time, in all processes: whoever repairs (reading through a mount, health) takes the
 * volume's lock with it. That is not the lock of writers, who may append meanwhile.
 *
 * Reads come from the medium, not from the page cache, where that is possible.
 *
 * Threads: a session belongs to one thread.
 */
#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct rewriter;

struct rewriter_ops {
	int (*read)(struct rewriter *rewriter, uint64_t offset, void *data, size_t size,
		    struct error *err);
	int (*write)(struct rewriter *rewriter, uint64_t offset, const void *data,
		     size_t size, struct error *err);
	int (*sync)(struct rewriter *rewriter, uint64_t offset, size_t size,
		    struct error *err);
	void (*free)(struct rewriter *rewriter);
};

/* First member of every implementation. */
struct rewriter {
	const struct rewriter_ops *ops;
	uint64_t size; /* bytes that exist, when the session was opened */
};

/* Offsets and sizes are multiples of 4096, buffers aligned to 4096, all of it within
 * rewriter->size: nothing is ever made longer. */

/* Read exactly @size bytes. -EIO, ... */
int rewriter_read(struct rewriter *rewriter, uint64_t offset, void *data, size_t size,
		  struct error *err);

/* Overwrite @size bytes; durable after rewriter_sync(). -ENOSPC, -EIO, ... */
int rewriter_write(struct rewriter *rewriter, uint64_t offset, const void *data,
		   size_t size, struct error *err);

/* Make what was written durable, and let everybody's next read of [offset, offset + size)
 * come from the medium. */
int rewriter_sync(struct rewriter *rewriter, uint64_t offset, size_t size,
		  struct error *err);

/* Close the session, give the lock back. NULL is a no-op. Does not sync. */
void rewriter_free(struct rewriter *rewriter);
DEFINE_AUTOPTR(rewriter);

#define REWRITER_PATIENCE_MS 500u /* how long a session is waited for */

/* A session with the image file open as @fd (for reading; borrowed), called @name in
 * messages: with the same file, whatever its name is by now. A volume that was made
 * read-only when it was sealed is opened all the same, if it belongs to the caller.
 * -EROFS, -EACCES, -EPERM; -EBUSY if the lock is not to be had: at once, or with
 * @patience_ms, within that time. */
int rewriter_file_open(int fd, const char *name, unsigned patience_ms,
		       struct rewriter **rewriter_out, struct error *err);
