/* SPDX-License-Identifier: MIT */
#pragma once
/* Somebody who knows what files contain without opening them: whoever keeps their contents in
 * the archive (the hot tier). So a commit carries them over, and a comparison believes them.
 * The seam is here because the archive must not know of its users.
 *
 * Threads: called from the thread that owns the archive's catalog handle.
 */
#include <sys/stat.h>

struct hash;

struct known_content {
	/* 1: the file @name in the folder @dirfd, at the time when it looked like @stat, had
	 * content with the hash *hash_out, of @stat's size, and the archive has that if it is
	 * whole; 0: open it and see. Does not open the file. */
	int (*find)(void *context, int dirfd, const char *name, const struct stat *stat,
		    struct hash *hash_out);
	void *context;
};

/* The same; 0 with NULL. */
static inline int known_content_find(const struct known_content *known, int dirfd,
				     const char *name, const struct stat *stat,
				     struct hash *hash_out)
{
	return known ? known->find(known->context, dirfd, name, stat, hash_out) : 0;
}
