/* SPDX-License-Identifier: MIT */
#pragma once
/* Makes a commit's tree out of the previous one and a sorted stream of changes, in memory
 * that does not grow with the tree. Pages that no change touches are neither read nor
 * written again. One thread at a time.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct source;
struct tree_builder;

struct tree_sink {
	/* Take a new page (a whole atom). Not called for a page the previous tree has. */
	int (*page)(void *context, const struct hash *hash, const uint8_t *atom,
		    size_t size, struct error *err);
	void *context;
};

/* @root NULL or zero: the previous tree is empty. @source is borrowed until the builder is
 * freed, *@sink is copied. The caller frees *builder_out. Reads nothing. -ENOMEM. */
int tree_builder_new(struct source *source, const struct hash *root,
		     const struct tree_sink *sink, struct tree_builder **builder_out,
		     struct error *err);

/* The entry @key becomes @line (a manifest without newline), or goes (@line NULL). Keys must
 * come in strictly ascending order.
 * Refused, with nothing changed: removing what is not there (-ENOENT); a key out of order,
 * or a line that is not a line of this key (-EINVAL). Every other error ends the builder:
 * those of the sink, and of source_page() except that a page of the previous tree which the
 * source does not know is -EBADMSG; -ENOMEM. */
int tree_builder_put(struct tree_builder *builder, const uint8_t *key, size_t key_size,
		     const char *line, size_t line_size, struct error *err);

/* Write what is left and return the new root (zero: empty tree). The same entries give the
 * same root, whatever the previous tree was. To be called once; errors as above. */
int tree_builder_finish(struct tree_builder *builder, struct hash *root_out,
			struct error *err);

void tree_builder_free(struct tree_builder *builder);
DEFINE_AUTOPTR(tree_builder);
