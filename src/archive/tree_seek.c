/* SPDX-License-Identifier: MIT */
#include "archive/tree_seek.h"

#include "archive/tree_cursor.h"

#include <string.h>

int tree_seek(struct tree_cursor *cursor, const uint8_t *key, size_t key_size,
	      struct error *err)
{
	int r = 0;

	while (r == 0 && cursor->item != TREE_ITEM_END) {
		bool before =
			cursor->level != TREE_LEVEL_ROOT &&
			key_compare(cursor->key, cursor->key_size, key, key_size) < 0;

		if (!before && cursor->item == TREE_ITEM_LINE)
			return 0;
		r = before ? tree_cursor_next(cursor, err)
			   : tree_cursor_enter(cursor, NULL, err);
	}
	return r;
}

bool tree_stands_at(const struct tree_cursor *cursor, const uint8_t *key, size_t key_size)
{
	return cursor->item == TREE_ITEM_LINE &&
	       key_compare(cursor->key, cursor->key_size, key, key_size) == 0;
}

bool tree_is_below(const struct tree_cursor *cursor, const uint8_t *folder,
		   size_t folder_size)
{
	if (cursor->item != TREE_ITEM_LINE)
		return false;
	if (folder_size == 0)
		return true;
	return cursor->key_size > folder_size && cursor->key[folder_size] == 0 &&
	       memcmp(cursor->key, folder, folder_size) == 0;
}

/* What comes next is not before the entry's key with a one behind. */
int tree_pass(struct tree_cursor *cursor, struct error *err)
{
	uint8_t key[MANIFEST_KEY_MAX + 1];
	size_t size = cursor->key_size;

	memcpy(key, cursor->key, size);
	key[size] = 1;
	return tree_seek(cursor, key, size + 1, err);
}
