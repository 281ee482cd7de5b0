/* SPDX-License-Identifier: MIT */
#pragma once
/* The folder that a restore writes to: making entries by relative path, and setting their
 * attributes. Never follows a symlink below the target folder, so that neither what is
 * restored nor what was there leads out of it; and never enters the archive's own folders.
 * Threads: a target is immutable; a target_parent belongs to one thread.
 */
#include "archive/own_folders.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>

struct archive;
struct error;
struct reader;

struct target {
	int fd;          /* the folder */
	bool privileged; /* may give files away */
	struct own_folders own;
};

/* Make @directory if it is missing (with parents) and open it. -EINVAL: it is one of the
 * folders of @archive, or would be in its folder. Close target_out->fd. */
int target_open(const struct archive *archive, const char *directory,
		struct target *target_out, struct error *err);

/* The last parent folder that was used, kept open. Start with fd = -1 and an empty path. */
struct target_parent {
	int fd;
	struct bytes path;
};
void target_parent_done(struct target_parent *parent);

/* Open (or keep) the folder that holds relative @path, and point *name_out at its last
 * component within @path. -ENOENT, -ELOOP, -ENOTDIR, ... */
int target_find_parent(const struct target *target, const char *path,
		       struct target_parent *parent, const char **name_out,
		       struct error *err);

/* Make a folder with mode 0700 (*created_out: it was not there). -EINVAL: it is one of the
 * archive's own. */
int target_make_directory(const struct target *target, int parent_fd, const char *name,
			  bool *created_out, struct error *err);

/* Make a symlink, FIFO, socket or device as @manifest says. -EEXIST. */
int target_make_special(int parent_fd, const char *name, const struct manifest *manifest,
			struct error *err);

/* Set owner, mode, xattrs and times of @name, in this order. Long xattr values are read by
 * @reader. Goes on after a failure; returns the first. */
int target_set_attributes(const struct target *target, int parent_fd, const char *name,
			  const struct manifest *manifest, struct reader *reader,
			  struct error *err);
