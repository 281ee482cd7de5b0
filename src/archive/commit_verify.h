/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads a new commit back. One thread at a time. */
#include "merkle/hash.h"

#include <stdint.h>

struct archive;
struct commit_monitor;
struct error;

/* Read the content of every file that the tree @new_tree has and @old_tree has not, from the
 * volumes, and compare it with its manifest. -EBADMSG: some can't be read back; the text
 * names the first. -EINTR. */
int commit_verify(struct archive *archive, const struct hash *old_tree,
		  const struct hash *new_tree, struct commit_monitor *monitor,
		  uint64_t *files_out, struct error *err);
