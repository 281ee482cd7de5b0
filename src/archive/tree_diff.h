/* SPDX-License-Identifier: MIT */
#pragma once
/* What changed between two trees, without reading what they share. One thread at a time. */
#include "merkle/hash.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct source;

/* Visit, in key order, every entry that @new_root (zero or NULL: empty) has and @old_root
 * has not or has with another line (@line set), and every key that only @old_root has
 * (@line NULL). Key and line are borrowed for the call. Stops at the first negative result.
 * Memory is bounded by depth. Errors of @visit and of source_page(), but a page that the
 * source does not know is -EBADMSG; -ENOMEM. */
int tree_diff(struct source *source, const struct hash *old_root,
	      const struct hash *new_root,
	      int (*visit)(void *context, const uint8_t *key, size_t key_size,
			   const char *line, size_t line_size, struct error *err),
	      void *context, struct error *err);

/* Visit every page of a tree, list pages that its manifests name included, each hash once
 * per occurrence, parents before children. @payload is the page as source_page() gives it,
 * borrowed for the call. Stops at the first negative result; errors as above. For
 * checkpoints. */
int tree_visit_pages(struct source *source, const struct hash *root,
		     int (*visit)(void *context, const struct hash *hash,
				  const uint8_t *payload, size_t size, struct error *err),
		     void *context, struct error *err);
