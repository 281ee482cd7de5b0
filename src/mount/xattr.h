/* SPDX-License-Identifier: MIT */
#pragma once
/* Extended attributes: those of the manifest, ACLs among them, and some of the mount's own,
 * user.blockframe.*, which are only given to who asks for them by name, so that copies and
 * comparisons of trees do not take them for the file's.
 *
 *     hash      BLAKE3 of the file's content, hexadecimal
 *     root      of the tree in the newest commit that has this version: what proves it
 *     version   its number
 *     commit    the number of the commit that it came with
 *     volumes   labels of the volumes that hold its content
 *     health    what readers met in it since the mount: "ok", "repaired" or "lost"
 *
 * The top of the mount has only .pid, the process that serves it.
 *
 * Threads: as the request.
 */
#include "merkle/key.h"
#include "mount/inode.h"

#include <stdbool.h>

struct request;

/* Whether @name is one of the mount's own. */
bool xattr_is_own(const char *name);

/* The value of @name; the caller frees value_out->data. -ENODATA. */
int xattr_get(struct request *request, const struct inode *inode, const char *name,
	      struct bytes *value_out);

/* The names, each with a NUL behind it; the caller frees names_out->data. */
int xattr_list(struct request *request, const struct inode *inode,
	       struct bytes *names_out);
