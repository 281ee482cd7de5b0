/* SPDX-License-Identifier: MIT */
#pragma once
/* The folders that an archive keeps itself in: its own, and the places of its volumes, which
 * may lie anywhere. Nothing is compared with what is in them, or restored to there. Plain
 * values; any thread.
 */
#include "archive/places.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct archive;

struct own_folder {
	dev_t device;
	ino_t inode;
};

struct own_folders {
	struct own_folder
		items[1 + PLACES_MAX]; /* the first is the archive's; those there are */
	size_t count;
};

/* As they are now: they stay those, whatever is renamed. */
void own_folders_of(const struct archive *archive, struct own_folders *own_out);

/* Whether @stat is one of them. */
bool own_folders_has(const struct own_folders *own, const struct stat *stat);

/* Whether the folder @fd is, or lies in, the archive's folder; false if that can't be told.
 * (What lies in a place of volumes may be anything: it can be the top of a disk.) */
bool own_folders_hold(const struct own_folders *own, int fd);
