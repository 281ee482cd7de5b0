/* SPDX-License-Identifier: MIT */
#pragma once
/* The mark of a stub on the file itself: 40 bytes in the attribute trusted.blockframe.stub,
 * which fit into an inode. It says what the table says too, and a recall wants both, so
 * that one alone, forged, copied or left over, gives nobody any bytes. Calls to the kernel,
 * any thread.
 */
#include "archive/xattrs.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARKER_NAME XATTR_STUB
#define MARKER_SIZE (8u + HASH_SIZE) /* bytes: id, little-endian; hash of the content */

struct stub_row;

struct marker {
	uint64_t id;
	struct hash hash;
};

void marker_encode(const struct marker *marker, uint8_t out[MARKER_SIZE]);
/* -EBADMSG unless @size is right. */
int marker_decode(const uint8_t *data, size_t size, struct marker *marker_out);

/* The marker of the open file @fd. -ENODATA: it has none; -EBADMSG: a strange one. */
int marker_get(int fd, struct marker *marker_out);
/* The same by path, without opening the file; and of a file that is open as O_PATH. */
int marker_get_path(const char *path, struct marker *marker_out);
int marker_get_path_fd(int fd, struct marker *marker_out);

/* Set it, or remove it (none is fine); durable on return. @fd is open for writing. */
int marker_set(int fd, const struct marker *marker);
int marker_remove(int fd);
/* Set it on a file that is open as O_PATH; not durable. */
int marker_set_path_fd(int fd, const struct marker *marker);

/* Whether both are of the same stub. */
bool marker_matches(const struct marker *marker, const struct stub_row *row);
