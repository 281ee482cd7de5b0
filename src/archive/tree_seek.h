/* SPDX-License-Identifier: MIT */
#pragma once
/* Going through a tree by keys: to an entry, past an entry and all below it. Pages that can't
 * hold what is wanted are not entered. Forwards only, as the cursor. One thread at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct tree_cursor;

/* Go to the first entry whose key is not before @key, or to the end. Errors of
 * tree_cursor_enter(). */
int tree_seek(struct tree_cursor *cursor, const uint8_t *key, size_t key_size,
	      struct error *err);

/* Past the entry that the cursor is at, and all below it. */
int tree_pass(struct tree_cursor *cursor, struct error *err);

/* Whether the cursor is at the entry @key. */
bool tree_stands_at(const struct tree_cursor *cursor, const uint8_t *key,
		    size_t key_size);

/* Whether it is at an entry below @folder; with size 0, at any. */
bool tree_is_below(const struct tree_cursor *cursor, const uint8_t *folder,
		   size_t folder_size);
