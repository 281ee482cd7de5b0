/* SPDX-License-Identifier: MIT */
#pragma once
/* Hard links of a restore: every name of an inode but the first becomes a link, made when all
 * content is there. One thread.
 */
#include "archive/restore_work.h"

struct restore_links;
struct spool;

/* @root and @strip (bytes of key before the names to restore) are those of the entries that
 * follow. */
struct restore_root {
	const struct bytes *key;
	size_t strip;
};

int restore_links_new(struct restore_work *work, struct restore_links **links_out,
		      struct error *err);
void restore_links_free(struct restore_links *links);
DEFINE_AUTOPTR(restore_links);

/* 1: relative @path will be a link to another name of its inode; 0: restore it as a file. */
int restore_links_try(struct restore_links *links, const struct restore_root *root,
		      const uint8_t *key, size_t key_size,
		      const struct manifest *manifest, const char *path,
		      struct error *err);

/* Make all links that were promised. */
int restore_links_make(struct restore_links *links, struct error *err);
