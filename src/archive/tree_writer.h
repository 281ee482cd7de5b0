/* SPDX-License-Identifier: MIT */
#pragma once
/* Cuts a sorted stream of entries, and of whole pages of an earlier tree, into the pages of
 * a tree, bottom-up (docs/format.md 7.2). Holds one page a level.
 *
 * Threads: one at a time.
 */
#include "archive/tree_builder.h"

struct tree_ends;
struct tree_writer;

/* *@sink is copied. The caller frees *writer_out. -ENOMEM. */
int tree_writer_new(const struct tree_sink *sink, struct tree_writer **writer_out,
		    struct error *err);
void tree_writer_free(struct tree_writer *writer);
DEFINE_AUTOPTR(tree_writer);

/* Append an entry (1 to MANIFEST_LINE_MAX - 1 bytes without newline). @ends (may be NULL)
 * are pages of the earlier tree that end with @key: one that comes out again is not given to
 * the sink. Keys ascend, also over tree_writer_page(). Errors of the sink; -E2BIG for a tree
 * of more levels than there may be. */
int tree_writer_line(struct tree_writer *writer, const uint8_t *key, size_t key_size,
		     const char *line, size_t line_size, const struct tree_ends *ends,
		     struct error *err);

/* Given that an entry of @line_size follows (0: one of any size): end the pages of levels 0
 * to @level that end before it. 1 if pages then begin at all of these levels, else 0. */
int tree_writer_align(struct tree_writer *writer, unsigned level, size_t line_size,
		      struct error *err);

/* Append a whole page of the earlier tree, after tree_writer_align() said 1 for its level. */
int tree_writer_page(struct tree_writer *writer, unsigned level, const uint8_t *key,
		     size_t key_size, const struct hash *hash,
		     const struct tree_ends *ends, struct error *err);

/* Write what is left. The root is zero for an empty tree. If it is a page that came from
 * tree_writer_page(), *taken_level_out is its level, else 0: such a page of level 1 or more
 * is not the root if it has a single child, which the writer cannot know. */
int tree_writer_finish(struct tree_writer *writer, struct hash *root_out,
		       unsigned *taken_level_out, struct error *err);
