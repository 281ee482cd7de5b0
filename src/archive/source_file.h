/* SPDX-License-Identifier: MIT */
#pragma once
/* A regular file of the source: opening it without side effects, and its holes.
 *
 * Threads: pure functions; any thread.
 */
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stat;

#define HOLES_MAX 3000u /* of one file: what a manifest has room for */

struct holes {
	struct manifest_hole *items; /* owned; ascending, apart from each other */
	size_t count;
};

/* Open @name for reading; not through a symlink, without waiting for the other end of a
 * FIFO, and leaving its access time alone where that is allowed. -errno. */
int source_file_open(int dirfd, const char *name, int *fd_out);

/* Wait until a later change of the file that is as in @stat must show in its ctime: until
 * the clock that stamps files has moved past it, a few milliseconds at most. Not longer if
 * that time is in the future. */
void source_file_settle(const struct stat *stat);

/* Whether a file of this allocation may have holes: saves asking. */
bool holes_likely(const struct stat *stat);

/* The holes of the file's first @size bytes. Of more than HOLES_MAX the smallest are left
 * out: they count as data. None where the file system does not tell. */
int holes_read(int fd, uint64_t size, struct holes *holes_out);

/* Whether [@offset, @offset + @size) lies in one hole. */
bool holes_contain(const struct holes *holes, uint64_t offset, uint64_t size);

void holes_done(struct holes *holes);
