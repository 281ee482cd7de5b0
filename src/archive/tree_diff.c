/* SPDX-License-Identifier: MIT */
/* Two cursors, one in each tree, that go on together. While both stand before the same page
 * (by its hash) nobody reads it. The rest is a merge of lines, in which a page has to be
 * entered when the other side is at something that may lie in it:
 *
 *     page, page    the same hash: past both. Else enter the one on the upper level, or the
 *                   one whose last key is smaller: the other may still turn up behind it
 *     page, line    the line lies before all of the page: visit it. Else enter the page
 *     line, line    merge
 *     page, end     enter;  line, end: visit
 *
 * That a line lies before all of a page is known, unread, if that very page follows the one
 * which the line is in. So entries that were added in front of an untouched page, as pages of
 * their own, do not cause it to be read.
 */
#include "archive/tree_diff.h"

#include "archive/source.h"
#include "archive/tree_cursor.h"
#include "base/error.h"

#include <string.h>

enum side { OLD, NEW };

struct diff {
	struct tree_cursor *cursors[2]; /* owned */
	int (*visit)(void *context, const uint8_t *key, size_t key_size, const char *line,
		     size_t line_size, struct error *err);
	void *context;
};

static void diff_done(struct diff *diff)
{
	for (int i = 0; i < 2; i++) {
		if (diff->cursors[i])
			tree_cursor_done(diff->cursors[i]);
		free(diff->cursors[i]);
	}
}

/* Report the line at @side's cursor and go past it. */
static int visit_line(struct diff *diff, enum side side, struct error *err)
{
	struct tree_cursor *c = diff->cursors[side];
	bool is_new = side == NEW;
	int r;

	r = diff->visit(diff->context, c->key, c->key_size, is_new ? c->line : NULL,
			is_new ? c->line_size : 0, err);
	return r < 0 ? r : tree_cursor_next(c, err);
}

static int step_lines(struct diff *diff, struct error *err)
{
	const struct tree_cursor *old = diff->cursors[OLD];
	const struct tree_cursor *new = diff->cursors[NEW];
	int order = key_compare(old->key, old->key_size, new->key, new->key_size);
	int r;

	if (order < 0)
		return visit_line(diff, OLD, err);
	if (order > 0)
		return visit_line(diff, NEW, err);
	if (old->line_size == new->line_size &&
	    memcmp(old->line, new->line, new->line_size) == 0)
		r = tree_cursor_next(diff->cursors[NEW], err);
	else
		r = visit_line(diff, NEW, err);
	return r < 0 ? r : tree_cursor_next(diff->cursors[OLD], err);
}

static int step_pages(struct diff *diff, struct error *err)
{
	struct tree_cursor *old = diff->cursors[OLD];
	struct tree_cursor *new = diff->cursors[NEW];
	int order;
	int r;

	if (hash_equal(&old->hash, &new->hash)) {
		r = tree_cursor_next(old, err);
		return r < 0 ? r : tree_cursor_next(new, err);
	}
	if (old->level != new->level)
		return tree_cursor_enter(old->level > new->level ? old : new, NULL, err);
	order = key_compare(old->key, old->key_size, new->key, new->key_size);
	return tree_cursor_enter(order <= 0 ? old : new, NULL, err);
}

/* @side is at a line, the other one at a page. */
static int step_line_page(struct diff *diff, enum side side, struct error *err)
{
	const struct tree_cursor *line = diff->cursors[side];
	struct tree_cursor *page = diff->cursors[!side];
	const uint8_t *key;
	struct hash hash;
	size_t size;
	int r;

	r = tree_cursor_following(line, &key, &size, &hash, err);
	if (r < 0)
		return r;
	if (r > 0 && hash_equal(&hash, &page->hash))
		return visit_line(diff, side, err);
	return tree_cursor_enter(page, NULL, err);
}

static int step(struct diff *diff, struct error *err)
{
	enum tree_item old = diff->cursors[OLD]->item;
	enum tree_item new = diff->cursors[NEW]->item;
	enum side side;

	if (old == TREE_ITEM_LINE && new == TREE_ITEM_LINE)
		return step_lines(diff, err);
	if (old == TREE_ITEM_PAGE && new == TREE_ITEM_PAGE)
		return step_pages(diff, err);
	if (old != TREE_ITEM_END && new != TREE_ITEM_END)
		return step_line_page(diff, old == TREE_ITEM_LINE ? OLD : NEW, err);

	side = old == TREE_ITEM_END ? NEW : OLD;
	if (diff->cursors[side]->item == TREE_ITEM_PAGE)
		return tree_cursor_enter(diff->cursors[side], NULL, err);
	return visit_line(diff, side, err);
}

int tree_diff(struct source *source, const struct hash *old_root,
	      const struct hash *new_root,
	      int (*visit)(void *context, const uint8_t *key, size_t key_size,
			   const char *line, size_t line_size, struct error *err),
	      void *context, struct error *err)
{
	struct diff diff __attribute__((__cleanup__(diff_done))) = { .visit = visit,
								     .context = context };
	const struct hash *roots[2] = { [OLD] = old_root, [NEW] = new_root };
	int r = 0;

	for (int i = 0; i < 2; i++) {
		diff.cursors[i] = malloc(sizeof(*diff.cursors[i]));
		if (!diff.cursors[i])
			return error_set(err, -ENOMEM, "tree cursor");
		tree_cursor_init(diff.cursors[i], source, roots[i]);
	}
	while (r >= 0 && (diff.cursors[OLD]->item != TREE_ITEM_END ||
			  diff.cursors[NEW]->item != TREE_ITEM_END))
		r = step(&diff, err);
	return r < 0 ? r : 0;
}

struct visit {
	struct source *source;
	int (*page)(void *context, const struct hash *hash, const uint8_t *payload,
		    size_t size, struct error *err);
	void *context;
};

static int visit_list_page(const struct visit *visit, const struct hash *hash,
			   struct error *err)
{
	autoptr(tree_page) page = NULL;
	autofree uint8_t *payload = NULL;
	struct bytes bytes = { 0 };
	const struct hash *ids;
	size_t count;
	int r;

	r = source_page(visit->source, hash, &bytes, err);
	if (r < 0)
		return r == -ENOENT ? error_prefix(err, -EBADMSG, "missing list page")
				    : r;
	payload = bytes.data;
	r = tree_page_decode(payload, bytes.size, &page, err);
	if (r == 0)
		r = tree_page_ids(page, &ids, &count, err);
	if (r < 0)
		return r;
	return visit->page(visit->context, hash, payload, bytes.size, err);
}

/* Whether a manifest may name list pages; most can be told at a glance not to. A backslash
 * may hide any name. */
static bool may_have_list_pages(const char *line, size_t size)
{
	static const char name[] = "\"segment_pages\"";

	return memmem(line, size, name, sizeof(name) - 1) || memchr(line, '\\', size);
}

static int visit_list_pages(const struct visit *visit, const char *line, size_t size,
			    struct error *err)
{
	struct manifest manifest __attribute__((__cleanup__(manifest_done))) = { 0 };
	int r;

	if (!may_have_list_pages(line, size))
		return 0;
	r = manifest_decode(line, size, &manifest, err);
	for (size_t i = 0; r >= 0 && i < manifest.segment_page_count; i++)
		r = visit_list_page(visit, &manifest.segment_pages[i], err);
	return r < 0 ? r : 0;
}

static int visit_tree_page(const struct visit *visit, struct tree_cursor *cursor,
			   struct error *err)
{
	struct hash hash = cursor->hash;
	struct bytes payload = { 0 };
	int r;

	r = tree_cursor_enter(cursor, &payload, err);
	if (r == 0)
		r = visit->page(visit->context, &hash, payload.data, payload.size, err);
	free(payload.data);
	return r < 0 ? r : 0;
}

int tree_visit_pages(struct source *source, const struct hash *root,
		     int (*visit)(void *context, const struct hash *hash,
				  const uint8_t *payload, size_t size, struct error *err),
		     void *context, struct error *err)
{
	const struct visit visitor = { source, visit, context };
	autofree struct tree_cursor *cursor = malloc(sizeof(*cursor));
	int r = 0;

	if (!cursor)
		return error_set(err, -ENOMEM, "tree cursor");
	tree_cursor_init(cursor, source, root);
	while (r == 0 && cursor->item != TREE_ITEM_END) {
		if (cursor->item == TREE_ITEM_PAGE) {
			r = visit_tree_page(&visitor, cursor, err);
			continue;
		}
		r = visit_list_pages(&visitor, cursor->line, cursor->line_size, err);
		if (r == 0)
			r = tree_cursor_next(cursor, err);
	}
	tree_cursor_done(cursor);
	return r;
}
