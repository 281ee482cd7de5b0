/* SPDX-License-Identifier: MIT */
#pragma once
/* A position in a tree, moving forward in the order of keys. What it stands at is a line of
 * a leaf page that is open, or a whole page that is not: the user decides whether to enter
 * that page (and read it) or to go past it. Safe on hostile pages: levels descend one by
 * one, keys ascend within and across pages, and a page ends with the key that its parent
 * says; anything else is -EBADMSG. At most one page a level is in memory.
 *
 * Threads: one at a time.
 */
#include "archive/tree_page.h"

#include <stdbool.h>

struct source;

/* The level of the root before it is entered, when its real one is not known. */
#define TREE_LEVEL_ROOT (TREE_LEVEL_MAX + 1u)

enum tree_item {
	TREE_ITEM_END,  /* behind the last entry */
	TREE_ITEM_PAGE, /* before a page: level, hash and, unless it is the root, key */
	TREE_ITEM_LINE, /* at an entry: key and line */
};

/* The pages of a tree that end with one and the same key; zero where there is none. */
struct tree_ends {
	struct hash pages[TREE_LEVEL_MAX + 1]; /* by level */
};

struct tree_frame {
	struct tree_page *page; /* owned */
	size_t position;        /* behind the item */
	struct hash hash;       /* of the page */
	const uint8_t *key;     /* its last one; in the page above. NULL: the root */
	size_t key_size;
};

struct tree_cursor {
	/* For all to read. */
	enum tree_item item;
	unsigned level; /* of a page, or TREE_LEVEL_ROOT; 0 for a line */
	const uint8_t
		*key; /* of the line; the last one of the page. Size 0 for the root */
	size_t key_size;
	struct hash hash; /* of the page */
	const char *line; /* without newline */
	size_t line_size;

	/* The cursor's own. */
	struct source *source; /* borrowed */
	unsigned depth;        /* frames in use: the way from the root to the item */
	struct tree_frame frames[TREE_LEVEL_MAX + 1];
	size_t floor_size;
	uint8_t floor
		[MANIFEST_KEY_MAX]; /* the last key passed: all that follow are greater */
	uint8_t line_key[MANIFEST_KEY_MAX];
	struct tree_ends ends;
};

/* Stand before the root page, or at the end if @root is NULL or zero. Reads nothing. @source
 * is borrowed until tree_cursor_done(). */
void tree_cursor_init(struct tree_cursor *cursor, struct source *source,
		      const struct hash *root);
void tree_cursor_done(struct tree_cursor *cursor);

/* From a page to its first item. The page's payload goes to *payload_out unless that is
 * NULL; the caller frees it, also after an error. The key of the page stays valid until the
 * cursor leaves it. Errors of source_page(), but a page that the source does not know is
 * -EBADMSG; -ENOMEM. */
int tree_cursor_enter(struct tree_cursor *cursor, struct bytes *payload_out,
		      struct error *err);

/* Past the item, be it a line or a whole page. */
int tree_cursor_next(struct tree_cursor *cursor, struct error *err);

/* Past everything that is left of the innermost open page. */
int tree_cursor_leave(struct tree_cursor *cursor, struct error *err);

/* Whether the item lies before a further page, outside of those that are open around it:
 * 1 and that page's last key (borrowed from the page above) and hash, or 0. -EBADMSG. */
int tree_cursor_following(const struct tree_cursor *cursor, const uint8_t **key_out,
			  size_t *key_size_out, struct hash *hash_out, struct error *err);

/* The pages that end with the item (a line, or a page that is not the root), itself
 * included if it is one. NULL: none. Borrowed until the next call. */
const struct tree_ends *tree_cursor_ends(struct tree_cursor *cursor);
