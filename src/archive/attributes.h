/* SPDX-License-Identifier: MIT */
#pragma once
/* From stat() to manifest: type, mode, owner, times, and the names of owners, which are
 * looked up once.
 *
 * Threads: an owner_names serves one thread at a time; the rest are pure functions.
 */
#include "base/cleanup.h"
#include "merkle/manifest.h"

#include <stdbool.h>

struct owner_names;
struct stat;
struct version_row;

int owner_names_new(struct owner_names **names_out);
void owner_names_free(struct owner_names *names);
DEFINE_AUTOPTR(owner_names);

/* 0 for what no archive can hold. */
enum entry_type attributes_type(unsigned mode);

/* Set everything of @manifest that @stat tells: type, mode, uid, gid with their names,
 * times, inode, device, and the size of a file. -ENOMEM. */
int attributes_set(struct manifest *manifest, const struct stat *stat,
		   struct owner_names *names);

/* Whether the two say that a file was not touched in between: identity, size, mtime and
 * ctime. */
bool attributes_untouched(const struct stat *before, const struct stat *after);

/* Whether @row, the current version, describes what @stat sees. */
bool attributes_match(const struct version_row *row, const struct stat *stat);

/* Read the target of symlink @name into target_out (the caller frees). -errno. */
int attributes_read_target(int dirfd, const char *name, struct bytes *target_out);

/* Copy into memory of its own; a NUL that is not counted stands behind. -ENOMEM. */
int bytes_copy(struct bytes *copy_out, const void *data, size_t size);
