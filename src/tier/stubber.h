/* SPDX-License-Identifier: MIT */
#pragma once
/* Makes one file a stub. Any number of threads, each for another file, as for recalls.
 */
#include <stdint.h>

struct error;
struct object_watch;
struct tier;

/* Open the file at @rest below the tier's folder, for stubber_run(): a regular one that is not
 * marked yet. -EINVAL: it can't be a stub, and why; -ELOOP, -EXDEV: the path leaves the
 * folder. */
int stubber_open(const struct tier *tier, const char *rest, int *fd_out,
		 struct error *err);

/* @key is where the archive has it, @path where it is, for the table. While this runs,
 * who opens the file waits; @watch's function says whether somebody does, with -EBUSY. On
 * failure the file is as it was:
 *   -EBUSY    somebody uses it
 *   -ESTALE   the archive's current version has other content
 *   -EALREADY it is a stub
 *   -EBADMSG, -ENOMEDIUM  the archive can't give the content back */
int stubber_run(struct tier *tier, int group, int fd, const char *key, const char *path,
		const struct object_watch *watch, struct error *err);
