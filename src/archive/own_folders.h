/* SPDX-License-Identifier: MIT */
#pragma once
/* The folders that an archive keeps itself in: its own, and the one with its volumes, which
 * may lie anywhere. Nothing is compared with what is in them, or restored to there. Plain
 * values; any thread.
 */
#include <stdbool.h>
#include <sys/stat.h>

struct archive;

struct own_folders {
	struct stat archive;
	struct stat volumes;
};

/* They stay those that @archive was opened with, whatever is renamed. */
void own_folders_of(const struct archive *archive, struct own_folders *own_out);

/* Whether @stat is one of them. */
bool own_folders_has(const struct own_folders *own, const struct stat *stat);

/* Whether the folder @fd is, or lies in, the archive's folder; false if that can't be told.
 * (What lies in the folder of the volumes may be anything: it can be the top of a disk.) */
bool own_folders_hold(const struct own_folders *own, int fd);
