/* SPDX-License-Identifier: MIT */
#pragma once
/* Extended attributes of a source file, POSIX ACLs (system.posix_acl_*) among them, as a
 * manifest wants them: in order of their names.
 *
 * Threads: pure functions; any thread.
 */
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>

struct xattrs {
	struct manifest_xattr *items; /* owned; each with its whole value, however long */
	size_t count;
};

/* Read all of an open file or folder. A file system without them has none. -errno. */
int xattrs_read_fd(int fd, struct xattrs *xattrs_out);

/* Likewise of what cannot be opened (symlinks, FIFOs, devices), which is not followed. Goes
 * through /proc; without it, there are none. */
int xattrs_read_at(int dirfd, const char *name, struct xattrs *xattrs_out);

/* The attribute that a stub of a hot tier has (docs/tier.md). Who opens one finds it gone,
 * with the content back. If it is still there, nobody guards the stub, and what can be read
 * are holes. */
#define XATTR_STUB "trusted.blockframe.stub"
/* The one that keeps a file from becoming a stub, which is nothing of the file's: left out of
 * what is read. */
#define XATTR_PIN "trusted.blockframe.pin"
bool xattrs_have(const struct xattrs *xattrs, const char *name);
/* Leave @name out, if it is there. */
void xattrs_drop(struct xattrs *xattrs, const char *name);

void xattrs_done(struct xattrs *xattrs);
