/* SPDX-License-Identifier: MIT */
#pragma once
/* Where the bytes of one volume live: the seam below the volume layer. A backend is an
 * append-only sequence that can be read at any offset; an image file today, a block device,
 * a tape or an object store behind the same operations. Writers append strictly in order;
 * what exists is overwritten by verified repair alone, through a rewriter
 * (volume/rewriter.h). Error texts name the backend and, where it matters, the offset.
 *
 * Threads: append, skip, sync and seal by one thread at a time; read from any thread, also
 * while another thread appends.
 */
#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct backend;
struct error;
struct rewriter;

#define BACKEND_ALIGNMENT 4096u /* bytes: sizes, offsets and buffers of appends */

struct backend_ops {
	const char *type; /* "file" */
	int (*append)(struct backend *backend, const void *data, size_t size,
		      struct error *err);
	int (*skip)(struct backend *backend, uint64_t size, struct error *err);
	int (*read)(struct backend *backend, uint64_t offset, void *data, size_t size,
		    size_t *size_out, struct error *err);
	/* NULL: what is expected is read no faster. */
	void (*expect)(struct backend *backend, uint64_t offset, uint64_t size);
	/* volume/backend_scan.h; NULL: nothing but reads, and no holes. */
	int (*scan)(struct backend *backend, uint64_t offset, void *data, size_t size,
		    size_t *size_out, struct error *err);
	uint64_t (*next_data)(struct backend *backend, uint64_t offset);
	int (*sync)(struct backend *backend, struct error *err);
	int (*seal)(struct backend *backend, struct error *err);
	uint64_t (*position)(struct backend *backend);
	uint64_t (*capacity)(struct backend *backend);
	int (*open_rewriter)(struct backend *backend, unsigned patience_ms,
			     struct rewriter **rewriter_out, struct error *err);
	void (*free)(struct backend *backend);
};

/* First member of every implementation. */
struct backend {
	const struct backend_ops *ops;
	char *name; /* for messages: a path; owned */
};

/* Append @size bytes (a multiple of 4096, from a buffer aligned to 4096) at the position,
 * and move it. Not durable before backend_sync(). On failure what lies behind the old
 * position is undefined, the position unchanged, and the backend refuses further appends.
 * Returns 0, -ENOSPC, -EIO, ... */
int backend_append(struct backend *backend, const void *data, size_t size,
		   struct error *err);

/* Move the position @size bytes on (a multiple of 4096); the gap reads as zeroes. */
int backend_skip(struct backend *backend, uint64_t size, struct error *err);

/* Read up to @size bytes at @offset (any alignment) into @data. *size_out is less than
 * @size only at the end of the volume. Returns 0 or -EIO, ... */
int backend_read(struct backend *backend, uint64_t offset, void *data, size_t size,
		 size_t *size_out, struct error *err);

/* [offset, offset + size) will be read soon: the medium may begin to fetch it. Nothing is
 * promised, and what can't be fetched is said by the read. */
void backend_expect(struct backend *backend, uint64_t offset, uint64_t size);

/* Make everything appended so far durable, its name in the folder included. */
int backend_sync(struct backend *backend, struct error *err);

/* The volume is complete: sync, and protect it against accidental writes where that is
 * possible. Nothing may be appended afterwards. */
int backend_seal(struct backend *backend, struct error *err);

/* Bytes from the start to the end of what exists: where the next append goes (rounded up
 * to 4096 when opened for writing). */
uint64_t backend_position(struct backend *backend);

/* Bytes that the medium can take in all, as far as is known; UINT64_MAX if it is not. */
uint64_t backend_capacity(struct backend *backend);

/* Open a session that overwrites damage, and lock the volume for repairs; any thread. The
 * caller frees it with rewriter_free(). -EOPNOTSUPP if nothing can be overwritten here;
 * -EBUSY if the lock is not to be had within @patience_ms milliseconds; -EROFS, -EACCES,
 * -EPERM, ... */
int backend_open_rewriter(struct backend *backend, unsigned patience_ms,
			  struct rewriter **rewriter_out, struct error *err);

/* Close and free; NULL is a no-op. Does not sync. */
void backend_free(struct backend *backend);
DEFINE_AUTOPTR(backend);

/* Image files. backend_file_create() makes @name under @dir_fd (-EEXIST if it is there);
 * backend_file_open() opens it, for appending at its end if @writable. Bulk writes use
 * O_DIRECT where the file system allows; reads go through the page cache. */
int backend_file_create(int dir_fd, const char *name, struct backend **backend_out,
			struct error *err);
int backend_file_open(int dir_fd, const char *name, int writable,
		      struct backend **backend_out, struct error *err);
