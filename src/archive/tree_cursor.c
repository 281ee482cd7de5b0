/* SPDX-License-Identifier: MIT */
/* The cursor keeps the way from the root to its item: one frame a level, each with the
 * decoded page and the position behind the child that is open (or is the item). A frame
 * whose position is the page's end therefore holds the item, or what the item is in, as its
 * last one; when the item is passed the frame goes.
 *
 * Checks against hostile trees, each at the moment an item is read, so that a page that
 * nobody enters costs nothing:
 *
 *     a page's level is its parent's less one          depth is at most TREE_LEVEL_MAX + 1
 *     an item's key is greater than the last passed    no page can occur twice: walks end
 *     the last item of a page has the page's own key   so no key is beyond it either
 *
 * The keys of pages are borrowed from the page above, which stays open while they matter.
 * The key of a line lives in line_key, that of the last item passed in floor.
 */
#include "archive/tree_cursor.h"

#include "archive/source.h"
#include "base/error.h"

#include <assert.h>
#include <string.h>

void tree_cursor_init(struct tree_cursor *cursor, struct source *source,
		      const struct hash *root)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->source = source;
	if (!root || hash_is_zero(root))
		return;
	cursor->item = TREE_ITEM_PAGE;
	cursor->level = TREE_LEVEL_ROOT;
	cursor->hash = *root;
}

static void pop_frame(struct tree_cursor *cursor)
{
	cursor->depth--;
	tree_page_free(cursor->frames[cursor->depth].page);
}

void tree_cursor_done(struct tree_cursor *cursor)
{
	while (cursor->depth > 0)
		pop_frame(cursor);
	cursor->item = TREE_ITEM_END;
}

static bool at_page_end(const struct tree_frame *frame)
{
	return frame->position == frame->page->size;
}

/* Name the page in which something is wrong. */
static int in_page(const struct tree_frame *frame, int r, struct error *err)
{
	char hex[HASH_HEX_SIZE];

	hash_to_hex(&frame->hash, hex);
	return error_prefix(err, r, "tree page %.16s", hex);
}

static int check_key(const struct tree_cursor *cursor, const struct tree_frame *frame,
		     struct error *err)
{
	if (key_compare(cursor->key, cursor->key_size, cursor->floor,
			cursor->floor_size) <= 0)
		return error_set(err, -EBADMSG, "its keys do not ascend");
	if (frame->key && at_page_end(frame) &&
	    key_compare(cursor->key, cursor->key_size, frame->key, frame->key_size) != 0)
		return error_set(err, -EBADMSG,
				 "its last key is not the one in its parent");
	return 0;
}

static int read_line(struct tree_cursor *cursor, struct tree_frame *frame,
		     struct error *err)
{
	int r;

	r = tree_page_next_line(frame->page, &frame->position, &cursor->line,
				&cursor->line_size, err);
	if (r < 0)
		return r;
	r = manifest_decode_key(cursor->line, cursor->line_size, cursor->line_key,
				&cursor->key_size, err);
	if (r < 0)
		return r;
	cursor->key = cursor->line_key;
	cursor->level = 0;
	cursor->item = TREE_ITEM_LINE;
	return 0;
}

static int read_child(struct tree_cursor *cursor, struct tree_frame *frame,
		      struct error *err)
{
	int r;

	r = tree_page_next_child(frame->page, &frame->position, &cursor->key,
				 &cursor->key_size, &cursor->hash, err);
	if (r < 0)
		return r;
	cursor->level = frame->page->level - 1;
	cursor->item = TREE_ITEM_PAGE;
	return 0;
}

/* Make the next thing in the open pages the item. */
static int read_item(struct tree_cursor *cursor, struct error *err)
{
	struct tree_frame *frame;
	int r;

	while (cursor->depth > 0 && at_page_end(&cursor->frames[cursor->depth - 1]))
		pop_frame(cursor);
	if (cursor->depth == 0) {
		cursor->item = TREE_ITEM_END;
		return 0;
	}

	frame = &cursor->frames[cursor->depth - 1];
	if (frame->page->type == TREE_LEAF)
		r = read_line(cursor, frame, err);
	else
		r = read_child(cursor, frame, err);
	if (r == 0)
		r = check_key(cursor, frame, err);
	return r < 0 ? in_page(frame, r, err) : 0;
}

/* The page that the cursor stands before. */
static int load_page(struct tree_cursor *cursor, struct tree_page **page_out,
		     struct bytes *payload_out, struct error *err)
{
	autoptr(tree_page) page = NULL;
	int r;

	r = source_page(cursor->source, &cursor->hash, payload_out, err);
	if (r == -ENOENT)
		r = error_prefix(err, -EBADMSG, "missing");
	if (r < 0)
		return r;
	r = tree_page_decode(payload_out->data, payload_out->size, &page, err);
	if (r < 0)
		return r;
	if (page->type == TREE_LIST)
		return error_set(err, -EBADMSG, "a list page inside the tree");
	if (cursor->level != TREE_LEVEL_ROOT && page->level != cursor->level)
		return error_set(err, -EBADMSG, "level %u, want %u", page->level,
				 cursor->level);
	*page_out = take_ptr(page);
	return 0;
}

int tree_cursor_enter(struct tree_cursor *cursor, struct bytes *payload_out,
		      struct error *err)
{
	struct tree_frame frame = { .hash = cursor->hash };
	struct bytes payload = { 0 };
	int r;

	assert(cursor->item == TREE_ITEM_PAGE);
	r = load_page(cursor, &frame.page, &payload, err);
	if (payload_out)
		*payload_out = payload;
	else
		free(payload.data);
	if (r < 0)
		return in_page(&frame, r, err);

	if (cursor->level != TREE_LEVEL_ROOT) {
		frame.key = cursor->key;
		frame.key_size = cursor->key_size;
	}
	assert(cursor->depth <= TREE_LEVEL_MAX);
	cursor->frames[cursor->depth++] = frame;
	return read_item(cursor, err);
}

/* Remember @key as passed. */
static void raise_floor(struct tree_cursor *cursor, const uint8_t *key, size_t size)
{
	if (size > 0)
		memcpy(cursor->floor, key, size);
	cursor->floor_size = size;
}

int tree_cursor_next(struct tree_cursor *cursor, struct error *err)
{
	assert(cursor->item != TREE_ITEM_END);
	raise_floor(cursor, cursor->key, cursor->key_size);
	return read_item(cursor, err);
}

int tree_cursor_leave(struct tree_cursor *cursor, struct error *err)
{
	struct tree_frame *frame;

	assert(cursor->depth > 0);
	frame = &cursor->frames[cursor->depth - 1];
	if (frame->key)
		raise_floor(cursor, frame->key, frame->key_size);
	frame->position = frame->page->size;
	return read_item(cursor, err);
}

int tree_cursor_following(const struct tree_cursor *cursor, const uint8_t **key_out,
			  size_t *key_size_out, struct hash *hash_out, struct error *err)
{
	for (unsigned i = cursor->depth; i > 0; i--) {
		const struct tree_frame *frame = &cursor->frames[i - 1];
		size_t position = frame->position;

		if (frame->page->type == TREE_INDEX && !at_page_end(frame))
			return tree_page_next_child(frame->page, &position, key_out,
						    key_size_out, hash_out, err);
	}
	return 0;
}

const struct tree_ends *tree_cursor_ends(struct tree_cursor *cursor)
{
	unsigned i = cursor->depth;

	assert(cursor->item != TREE_ITEM_END && cursor->level <= TREE_LEVEL_MAX);
	if (cursor->item == TREE_ITEM_LINE && !at_page_end(&cursor->frames[i - 1]))
		return NULL;

	memset(&cursor->ends, 0, sizeof(cursor->ends));
	if (cursor->item == TREE_ITEM_PAGE)
		cursor->ends.pages[cursor->level] = cursor->hash;
	for (; i > 0 && at_page_end(&cursor->frames[i - 1]); i--)
		cursor->ends.pages[cursor->frames[i - 1].page->level] =
			cursor->frames[i - 1].hash;
	return &cursor->ends;
}
