/* SPDX-License-Identifier: MIT */
#pragma once
/* Finds the version of a path that a command line means: --version N, --at COMMIT, or the
 * current one. Main thread.
 */
#include "catalog/history.h"
#include "cli/command.h"

struct archive;
struct error;

/* Sets *row_out (with its line; version_row_done()) and *manifest_out (manifest_done()).
 * -ENOENT if there is no such path or version. @number 0: no --version was given. */
int version_lookup(struct archive *archive, const char *path, uint64_t number,
		   uint64_t at, struct version_row *row_out,
		   struct manifest *manifest_out, struct error *err);
