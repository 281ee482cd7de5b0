/* SPDX-License-Identifier: MIT */
#pragma once
/* Which config.toml is in force, and all settings put together.
 *
 * One file is in force, the first of:
 *
 *   1. --config FILE
 *   2. $BLOCKFRAME_CONFIG
 *   3. ARCHIVE/config.toml, when --archive or $BLOCKFRAME_ARCHIVE_DIRECTORY names ARCHIVE
 *   4. $XDG_CONFIG_HOME/blockframe/config.toml, or ~/.config/blockframe/config.toml
 *
 * One exception: where the archive is named by file 4 alone, and has a config.toml, then
 * the latter is the file in force, so that an archive behaves the same however it is found.
 *
 * Threads: one at a time while somebody changes the environment.
 */
#include "base/config.h"

/* Find the file in force, the exception aside; @config_flag and @archive_flag are NULL when
 * not given. *path_out is NULL when there is none, else the caller frees it. Files 1 and 2
 * must exist (-ENOENT), the others may be missing. */
int config_find(const char *config_flag, const char *archive_flag, char **path_out,
		struct error *err);

/* Everything in order: defaults, the file, the environment, @archive_flag. A relative
 * [archive] directory in a file counts from that file's folder. @config is { 0 } or filled;
 * it is unchanged on failure. */
int config_resolve(struct config *config, const char *config_flag,
		   const char *archive_flag, struct error *err);

/* The same for the archive @directory by its own file, whichever one a command goes by that
 * speaks of several archives. */
int config_resolve_archive(struct config *config, const char *directory,
			   struct error *err);
