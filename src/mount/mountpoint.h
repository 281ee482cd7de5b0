/* SPDX-License-Identifier: MIT */
#pragma once
/* Where a mount is put: what stands there now, and taking it away. Any thread. */
#include <stdbool.h>

struct error;

/* The absolute path of @directory without symlinks, for which nothing below its last name is
 * asked: it may be a mount that does not answer. The caller frees *path_out. -ENOENT,
 * -ENOTDIR. */
int mountpoint_path(const char *directory, char **path_out, struct error *err);

/* Make @path (mountpoint_path()) ready to be mounted on: a folder, and if a mount of ours
 * died there, without it. -EBUSY: one that lives is there. */
int mountpoint_prepare(const char *path, struct error *err);

/* Hold off others who prepare and mount on @path, until *fd_out is closed. -EBUSY. */
int mountpoint_lock(const char *path, int *fd_out, struct error *err);

/* Whether a file system of ours is mounted at @path, which need not answer. */
int mountpoint_is_ours(const char *path, bool *ours_out, struct error *err);

/* The device number of what is mounted at @path, from the list too. -ENOENT. */
int mountpoint_device(const char *path, unsigned *major_out, unsigned *minor_out,
		      struct error *err);

/* Unmount. -EBUSY if it is in use; with @lazy it goes from sight at once, and when nobody
 * uses it any more for good. */
int mountpoint_unmount(const char *path, bool lazy, struct error *err);
