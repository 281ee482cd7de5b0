/* SPDX-License-Identifier: MIT */
/* After damage beyond repair there may be no two trees to compare. What is always there is
 * the catalog's own idea of the current names, and what can be read of the new tree: these
 * two are merged, both in the order of keys.
 *
 * A page that can't be read covers the keys after the last one passed, up to its own last
 * key, which the page above knows (the root covers everything). Of those nothing is known,
 * so the catalog keeps what it has. Every other name that the catalog has and the tree has
 * not is gone.
 *
 * The walk over the catalog only collects; nothing is changed under its cursor. When it has
 * collected as much as memory allows, the names are taken out, and it begins again.
 */
#include "archive/salvage.h"

#include "archive/tree_cursor.h"
#include "base/error.h"
#include "catalog/listing.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of collected keys. More than all keys of one chain of folders can have, which are
 * kept until what is in the last of them is known. */
#define GONE_MAX (8u << 20)
#define GONE_FULL (-ECANCELED) /* ends a walk: GONE_MAX is reached */

struct gone_key {
	struct gone_key *next;
	size_t size;
	uint8_t key[];
};

struct salvage {
	struct catalog *catalog;
	uint64_t sequence;
	struct tree_cursor cursor;
	bool lost_rest; /* the root itself is lost: nothing is known of any name */
	uint8_t lost_key[MANIFEST_KEY_MAX]; /* up to here, from the last key passed on */
	size_t lost_size;                   /* 0: nothing is lost here */
	struct gone_key *gone;              /* owned; the last one first */
	size_t gone_size;                   /* bytes */
};

static bool is_lost(int r)
{
	return r == -EBADMSG || r == -ENOMEDIUM || r == -ENOENT || r == -EIO ||
	       r == -EPROTONOSUPPORT;
}

/* Go past a page that can't be entered, and remember what it covered. */
static int pass_lost_page(struct salvage *salvage, struct error *err)
{
	struct tree_cursor *cursor = &salvage->cursor;

	if (cursor->key_size == 0)
		salvage->lost_rest = true;
	else
		memcpy(salvage->lost_key, cursor->key, cursor->key_size);
	salvage->lost_size = cursor->key_size;
	return tree_cursor_next(cursor, err);
}

/* From wherever the cursor stands to a line or the end. */
static int settle(struct salvage *salvage, struct error *err)
{
	struct tree_cursor *cursor = &salvage->cursor;
	int r = 0;

	while (r == 0 && cursor->item == TREE_ITEM_PAGE) {
		r = tree_cursor_enter(cursor, NULL, err);
		if (is_lost(r))
			r = pass_lost_page(salvage, err);
	}
	return r;
}

static bool key_is_lost(const struct salvage *salvage, const uint8_t *key, size_t size)
{
	return salvage->lost_rest ||
	       (salvage->lost_size > 0 &&
		key_compare(key, size, salvage->lost_key, salvage->lost_size) <= 0);
}

static int add_gone(struct salvage *salvage, const uint8_t *key, size_t size,
		    struct error *err)
{
	struct gone_key *gone = malloc(sizeof(*gone) + size);

	if (!gone)
		return error_set(err, -ENOMEM, "no memory for names that went");
	gone->size = size;
	memcpy(gone->key, key, size);
	gone->next = salvage->gone;
	salvage->gone = gone;
	salvage->gone_size += sizeof(*gone) + size;
	return salvage->gone_size < GONE_MAX ? 0 : GONE_FULL;
}

static void drop_gone(struct salvage *salvage)
{
	struct gone_key *next;

	for (struct gone_key *g = salvage->gone; g; g = next) {
		next = g->next;
		free(g);
	}
	salvage->gone = NULL;
	salvage->gone_size = 0;
}

/* A name that the catalog has: is it in the tree? */
static int check_row(void *context, const uint8_t *path, size_t path_size,
		     const struct version_row *row, struct error *err)
{
	struct salvage *salvage = context;
	struct tree_cursor *cursor = &salvage->cursor;
	int r;

	(void)row; /* its key is all that matters */
	while (cursor->item == TREE_ITEM_LINE &&
	       key_compare(cursor->key, cursor->key_size, path, path_size) < 0) {
		r = tree_cursor_next(cursor, err);
		if (r == 0)
			r = settle(salvage, err);
		if (r < 0)
			return r;
	}
	if (cursor->item == TREE_ITEM_LINE &&
	    key_compare(cursor->key, cursor->key_size, path, path_size) == 0)
		return 0;
	if (key_is_lost(salvage, path, path_size))
		return 0;
	return add_gone(salvage, path, path_size, err);
}

static int find_gone(struct salvage *salvage, struct error *err)
{
	int r;

	r = settle(salvage, err);
	if (r < 0)
		return r;
	r = catalog_walk(salvage->catalog, NULL, 0, VERSION_CURRENT, check_row, salvage,
			 err);
	return r == -ENOENT ? 0 : r; /* an empty catalog */
}

/* Whether @key is @below, or a folder that it is in. */
static bool holds(const struct gone_key *key, const struct gone_key *below)
{
	return key->size <= below->size && memcmp(key->key, below->key, key->size) == 0 &&
	       (key->size == below->size || below->key[key->size] == 0);
}

/* Children first, as they were pushed last: a folder goes after what is in it. With @more to
 * come, that may be in any folder that holds the last one. */
static int end_gone(struct salvage *salvage, bool more, struct error *err)
{
	int r;

	for (struct gone_key *g = salvage->gone; g; g = g->next) {
		if (more && holds(g, salvage->gone))
			continue;
		r = catalog_end_version(salvage->catalog, salvage->sequence, g->key,
					g->size, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether the catalog's current version of the line under the cursor is that line. */
static int is_current(struct salvage *salvage, bool *current_out, struct error *err)
{
	const struct tree_cursor *cursor = &salvage->cursor;
	struct version_row row = { 0 };
	int r;

	r = catalog_get_version(salvage->catalog, cursor->key, cursor->key_size,
				VERSION_CURRENT, &row, err);
	if (r < 0)
		return r;
	*current_out = r == 0 && row.line_size == cursor->line_size &&
		       memcmp(row.line, cursor->line, row.line_size) == 0;
	version_row_done(&row);
	return 0;
}

static int put_line(struct salvage *salvage, struct error *err)
{
	const struct tree_cursor *cursor = &salvage->cursor;
	struct manifest manifest = { 0 };
	bool current;
	int r;

	r = is_current(salvage, &current, err);
	if (r < 0 || current)
		return r;
	r = manifest_decode(cursor->line, cursor->line_size, &manifest, err);
	if (r < 0)
		return r;
	r = catalog_put_version(salvage->catalog, salvage->sequence, &manifest,
				cursor->line, cursor->line_size, err);
	manifest_done(&manifest);
	return r;
}

static int put_lines(struct salvage *salvage, struct error *err)
{
	struct tree_cursor *cursor = &salvage->cursor;
	int r;

	r = settle(salvage, err);
	while (r == 0 && cursor->item == TREE_ITEM_LINE) {
		r = put_line(salvage, err);
		if (r == 0)
			r = tree_cursor_next(cursor, err);
		if (r == 0)
			r = settle(salvage, err);
	}
	return r;
}

static void salvage_free(struct salvage *salvage)
{
	if (!salvage)
		return;
	tree_cursor_done(&salvage->cursor);
	drop_gone(salvage);
	free(salvage);
}
DEFINE_AUTOPTR(salvage);

/* To the start of the tree, where nothing is lost yet. */
static void rewind_tree(struct salvage *salvage, struct source *source,
			const struct hash *root)
{
	tree_cursor_done(&salvage->cursor);
	tree_cursor_init(&salvage->cursor, source, root);
	salvage->lost_rest = false;
	salvage->lost_size = 0;
}

int salvage_tree(struct catalog *catalog, struct source *source, uint64_t sequence,
		 const struct hash *root, struct error *err)
{
	autoptr(salvage) salvage = calloc(1, sizeof(*salvage));
	bool more;
	int r;

	if (!salvage)
		return error_set(err, -ENOMEM, "no memory to read a damaged tree");
	salvage->catalog = catalog;
	salvage->sequence = sequence;
	do {
		rewind_tree(salvage, source, root);
		r = find_gone(salvage, err);
		more = r == GONE_FULL;
		if (r == 0 || more)
			r = end_gone(salvage, more, err);
		if (r < 0)
			return r;
		drop_gone(salvage);
	} while (more);
	rewind_tree(salvage, source, root);
	return put_lines(salvage, err);
}
