/* SPDX-License-Identifier: MIT */
#pragma once
/* What stands behind -o, as in fstab: some words are the mount's own, some are for the
 * kernel and libfuse, and some are for those who read fstab and mean nothing here.
 * Pure functions.
 */
#include "base/text.h"
#include "mount/file_system.h"

#include <stdbool.h>

struct error;

struct mount_options {
	char *at;    /* owned, as below; NULL: not given */
	char *cache; /* a size */
	char *jobs;
	char *log;
	char *token_file; /* this and what follows: for a server's archive */
	char *ca_file;
	char *pin;
	char *cache_directory;
	char *cache_size;
	char *timeout; /* seconds */
	bool tofu;
	bool plain_token;
	struct mount_masks masks;
	struct text fuse; /* for libfuse, comma-separated */
};

/* Parse @text, comma-separated, "\," being a comma of a value, over *options. -EINVAL with a
 * text that names the word. */
int mount_options_parse(const char *text, struct mount_options *options,
			struct error *err);
void mount_options_done(struct mount_options *options);
