/* SPDX-License-Identifier: MIT */
/* A merge: the previous tree under a cursor, the changes as they come, and a writer that
 * cuts what results into pages. The same entries give the same pages and root, whether they
 * came at once or by changes (compressed by the same zstd: archive/tree_page.c).
 *
 * What makes it cheap is taking whole pages over, unread. A page of the previous tree may be
 * taken over if
 *
 *   1. no change falls into it: the next one lies behind its last key;
 *   2. a page of the new tree begins where it begins, on its level and all below;
 *   3. it ends where it ended, whatever the next change does. That is so
 *        if its last key ends it, and every page below it, by the key's hash; or
 *        if nothing changes any more; or
 *        for a leaf page: if the next leaf page is untouched too, because what ended the
 *        page by its size is then still there.
 *
 * A page of which 1 and 3 hold but not 2 is read; so pages are copied, from where a change
 * moved a boundary to the next key that ends a page by its hash, or to where two boundaries
 * happen to meet. Index pages that end by size are read a bit more often than they would
 * have to be; the rule for those would need as many neighbours as there are levels.
 *
 * A page of an upper level that was taken over may turn out to be all there is; if it has
 * one child only, that child is the root.
 */
#include "archive/tree_builder.h"

#include "archive/tree_cursor.h"
#include "archive/tree_writer.h"
#include "base/error.h"
#include "merkle/manifest.h"

#include <string.h>

/* The key of the next change: a pointer to none means that nothing changes any more. */
struct limit {
	const uint8_t *key;
	size_t size;
};

struct tree_builder {
	struct source *source; /* borrowed */
	struct hash old_root;  /* zero: empty */
	struct tree_writer *writer;
	struct tree_cursor
		cursor; /* of the previous tree, at the first item not merged */
	bool changed;
	int failed;                    /* what ended it all */
	size_t key_size;               /* 0: no change yet */
	uint8_t key[MANIFEST_KEY_MAX]; /* of the last change */
};

int tree_builder_new(struct source *source, const struct hash *root,
		     const struct tree_sink *sink, struct tree_builder **builder_out,
		     struct error *err)
{
	autoptr(tree_builder) builder = calloc(1, sizeof(*builder));
	int r;

	if (!builder)
		return error_set(err, -ENOMEM, "tree builder");
	r = tree_writer_new(sink, &builder->writer, err);
	if (r < 0)
		return r;
	builder->source = source;
	if (root)
		builder->old_root = *root;
	tree_cursor_init(&builder->cursor, source, root);
	*builder_out = take_ptr(builder);
	return 0;
}

void tree_builder_free(struct tree_builder *builder)
{
	if (!builder)
		return;
	tree_cursor_done(&builder->cursor);
	tree_writer_free(builder->writer);
	free(builder);
}

static bool lies_before(const uint8_t *key, size_t size, const struct limit *limit)
{
	return !limit || key_compare(key, size, limit->key, limit->size) < 0;
}

/* Rule 3, of the untouched page at the cursor: 1 or 0. */
static int ends_as_before(const struct tree_cursor *cursor, const struct limit *limit,
			  struct error *err)
{
	unsigned level = 0;
	const uint8_t *key;
	struct hash hash;
	size_t size;
	int r;

	if (!limit)
		return 1;
	while (level <= cursor->level &&
	       tree_page_ends_after(cursor->key, cursor->key_size, level))
		level++;
	if (level > cursor->level)
		return 1;
	if (cursor->level > 0)
		return 0;
	/* What follows may be a page above the next leaf page; its key is only greater. */
	r = tree_cursor_following(cursor, &key, &size, &hash, err);
	return r > 0 ? lies_before(key, size, limit) : r;
}

/* Take over the page at the cursor, or, if it is a leaf page, enter it and then take it over
 * if ours ends before its first line. Otherwise it is entered. */
static int take_or_enter(struct tree_builder *builder, struct error *err)
{
	struct tree_cursor *cursor = &builder->cursor;
	const struct tree_ends *ends = tree_cursor_ends(cursor);
	const uint8_t *key = cursor->key;
	size_t key_size = cursor->key_size;
	unsigned level = cursor->level;
	struct hash hash = cursor->hash;
	bool entered = false;
	int r;

	r = tree_writer_align(builder->writer, level, 0, err);
	if (r == 0) {
		r = tree_cursor_enter(cursor, NULL, err);
		if (r < 0 || level > 0)
			return r;
		entered = true;
		r = tree_writer_align(builder->writer, 0, cursor->line_size, err);
	}
	if (r <= 0)
		return r;

	r = tree_writer_page(builder->writer, level, key, key_size, &hash, ends, err);
	if (r < 0)
		return r;
	return entered ? tree_cursor_leave(cursor, err) : tree_cursor_next(cursor, err);
}

static int merge_page(struct tree_builder *builder, const struct limit *limit,
		      struct error *err)
{
	struct tree_cursor *cursor = &builder->cursor;
	int r = 0;

	if (cursor->level != TREE_LEVEL_ROOT &&
	    lies_before(cursor->key, cursor->key_size, limit))
		r = ends_as_before(cursor, limit, err);
	if (r > 0)
		return take_or_enter(builder, err);
	if (r == 0)
		r = tree_cursor_enter(cursor, NULL, err);
	return r;
}

/* Bring over everything of the previous tree that lies before @limit. */
static int merge_until(struct tree_builder *builder, const struct limit *limit,
		       struct error *err)
{
	struct tree_cursor *cursor = &builder->cursor;
	int r = 0;

	while (r == 0 && cursor->item != TREE_ITEM_END) {
		if (cursor->item == TREE_ITEM_PAGE) {
			r = merge_page(builder, limit, err);
			continue;
		}
		if (!lies_before(cursor->key, cursor->key_size, limit))
			break;
		r = tree_writer_line(builder->writer, cursor->key, cursor->key_size,
				     cursor->line, cursor->line_size,
				     tree_cursor_ends(cursor), err);
		if (r == 0)
			r = tree_cursor_next(cursor, err);
	}
	return r;
}

/* The cursor is at the first item that does not lie before @key. */
static int apply(struct tree_builder *builder, bool found, const char *line,
		 size_t line_size, struct error *err)
{
	struct tree_cursor *cursor = &builder->cursor;
	int r;

	if (line) {
		r = tree_writer_line(builder->writer, builder->key, builder->key_size,
				     line, line_size,
				     found ? tree_cursor_ends(cursor) : NULL, err);
		if (r < 0)
			return r;
	}
	return found ? tree_cursor_next(cursor, err) : 0;
}

/* What would make a tree that nobody can read. */
static int check_change(const struct tree_builder *builder, const uint8_t *key,
			size_t key_size, const char *line, size_t line_size,
			struct error *err)
{
	uint8_t line_key[MANIFEST_KEY_MAX];
	size_t line_key_size;
	int r;

	if (key_size < 1 || key_size > MANIFEST_KEY_MAX)
		return error_set(err, -EINVAL, "tree key of %zu bytes", key_size);
	if (key_compare(key, key_size, builder->key, builder->key_size) <= 0)
		return error_set(err, -EINVAL, "changes of a tree out of order");
	if (!line)
		return 0;
	if (line_size < 1 || line_size >= MANIFEST_LINE_MAX ||
	    memchr(line, '\n', line_size))
		return error_set(err, -EINVAL, "not a line: %zu bytes", line_size);
	r = manifest_decode_key(line, line_size, line_key, &line_key_size, err);
	if (r < 0 || key_compare(key, key_size, line_key, line_key_size) != 0)
		return error_set(err, -EINVAL, "not the line of its key");
	return 0;
}

int tree_builder_put(struct tree_builder *builder, const uint8_t *key, size_t key_size,
		     const char *line, size_t line_size, struct error *err)
{
	const struct tree_cursor *cursor = &builder->cursor;
	const struct limit limit = { key, key_size };
	bool found;
	int r;

	if (builder->failed)
		return error_set(err, builder->failed, "the tree failed before");
	r = check_change(builder, key, key_size, line, line_size, err);
	if (r < 0)
		return r;
	r = merge_until(builder, &limit, err);
	if (r < 0)
		return builder->failed = r;

	found = cursor->item == TREE_ITEM_LINE &&
		key_compare(cursor->key, cursor->key_size, key, key_size) == 0;
	if (!line && !found)
		return error_set(err, -ENOENT, "the tree has no such entry");
	memcpy(builder->key, key, key_size);
	builder->key_size = key_size;
	builder->changed = true;
	return builder->failed = apply(builder, found, line, line_size, err);
}

/* From a page of the previous tree down to the first that has more than one child, or is
 * no index page. */
static int skip_lone_children(struct tree_cursor *cursor, struct hash *root,
			      struct error *err)
{
	const uint8_t *key;
	struct hash next;
	size_t size;
	int r;

	do {
		*root = cursor->hash;
		r = tree_cursor_enter(cursor, NULL, err);
		if (r == 0)
			r = tree_cursor_following(cursor, &key, &size, &next, err);
	} while (r == 0 && cursor->level > 0);
	if (r == 0)
		*root = cursor->hash;
	return r < 0 ? r : 0;
}

int tree_builder_finish(struct tree_builder *builder, struct hash *root_out,
			struct error *err)
{
	struct tree_cursor *cursor = &builder->cursor;
	struct hash root = builder->old_root;
	unsigned taken_level;
	int r;

	if (builder->failed)
		return error_set(err, builder->failed, "the tree failed before");
	if (!builder->changed) {
		*root_out = root;
		return 0;
	}
	r = merge_until(builder, NULL, err);
	if (r == 0)
		r = tree_writer_finish(builder->writer, &root, &taken_level, err);
	if (r == 0 && taken_level > 0) {
		tree_cursor_init(cursor, builder->source, &root);
		r = skip_lone_children(cursor, &root, err);
	}
	if (r < 0)
		return builder->failed = r;
	*root_out = root;
	return 0;
}
