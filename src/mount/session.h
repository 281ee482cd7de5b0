/* SPDX-License-Identifier: MIT */
#pragma once
/* A mount from beginning to end: opens the archive, mounts, answers the kernel until it is
 * unmounted or told to stop, and closes everything. One at a time in a process, on the main
 * thread, before which no other thread was started.
 */
#include "archive/archive.h"
#include "mount/file_system.h"

#define SESSION_TYPE "fuse.blockframe"

struct session_options {
	struct archive_options archive; /* the observer is the session's to set */
	const char *mountpoint;         /* mountpoint_path() */
	const char *at;           /* commit to show, number or hash; NULL: as of now */
	const char *fuse_options; /* for -o, comma-separated; NULL: none */
	struct mount_masks masks;
	/* Called when the mount answers. */
	void (*ready)(void *context);
	void *context;
};

/* 0 when it was unmounted or stopped by SIGINT or SIGTERM. -EBUSY: something is mounted
 * there already. -ENODEV: there is no FUSE here. Or why the archive could not be opened. */
int session_run(const struct session_options *options, struct error *err);
