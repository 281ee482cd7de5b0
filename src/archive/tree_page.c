/* SPDX-License-Identifier: MIT */
/* A page on its way to the log and back (docs/format.md 7.2):
 *
 *     skippable header | page header | zstd frame of the content      the atom
 *                        ^ payload: what the hash covers and a source returns
 *
 * Decoding checks what can be said of a page alone: header, level, and that the frame gives
 * exactly the announced content. The iterators check the content as they go, so nothing is
 * read twice. That keys ascend, and that a child is what its parent says, takes more than
 * one page: archive/tree_cursor.h.
 *
 * The hash covers compressed bytes. Two builds with different releases of zstd may give
 * different pages for the same content; both are good, they only share less.
 */
#include "archive/tree_page.h"

#include "base/bytes.h"
#include "base/error.h"
#include "chunker/frame.h"
#include "chunker/skippable.h"

#include <stdbool.h>

#define TREE_PAGE_VERSION 1u
#define CUT_MASK 127u /* one key in 128 ends a page */

struct page_header_wire {
	uint8_t magic[4];
	uint8_t version;
	uint8_t type;
	uint8_t level;
	uint8_t reserved;
	le32 content_size;
};
static_assert(sizeof(struct page_header_wire) == TREE_PAGE_HEADER_SIZE,
	      "docs/format.md 7.2");
static_assert(offsetof(struct page_header_wire, content_size) == 8, "docs/format.md 7.2");
static_assert(TREE_PAGE_CONTENT_MAX == FRAME_SIZE_MAX, "a page is one frame");
static_assert(TREE_CHILD_SIZE == sizeof(le16) + HASH_SIZE, "docs/format.md 7.2");
static_assert(TREE_LEVEL_MAX < HASH_SIZE, "a level cuts by its own byte of the hash");
static_assert(sizeof(struct hash) == HASH_SIZE && _Alignof(struct hash) == 1,
	      "ids are read in place");

static const uint8_t page_magic[4] = { 'B', 'F', 'T', 'P' };

static bool level_fits(unsigned type, unsigned level)
{
	if (type == TREE_INDEX)
		return level >= 1 && level <= TREE_LEVEL_MAX;
	return level == 0;
}

int tree_page_encode(struct frame_encoder *encoder, enum tree_page_type type,
		     unsigned level, const uint8_t *content, size_t size,
		     uint8_t *atom_out, size_t *atom_size_out, struct hash *hash_out,
		     struct error *err)
{
	struct page_header_wire w = { .version = TREE_PAGE_VERSION };
	uint8_t *payload = atom_out + SKIPPABLE_HEADER_SIZE;
	size_t payload_size;
	size_t frame_size;
	int r;

	assert(level_fits(type, level));
	assert(size >= 1 && size <= TREE_PAGE_CONTENT_MAX);

	r = frame_encode(encoder, content, size, payload + sizeof(w), frame_bound(size),
			 &frame_size, NULL, err);
	if (r < 0)
		return r;

	memcpy(w.magic, page_magic, sizeof(w.magic));
	w.type = (uint8_t)type;
	w.level = (uint8_t)level;
	w.content_size = le32_make((uint32_t)size);
	memcpy(payload, &w, sizeof(w));
	payload_size = sizeof(w) + frame_size;
	skippable_put(atom_out,
		      type == TREE_LIST ? SKIPPABLE_LIST_PAGE : SKIPPABLE_TREE_PAGE,
		      (uint32_t)payload_size);

	hash_bytes(payload, payload_size, hash_out);
	*atom_size_out = SKIPPABLE_HEADER_SIZE + payload_size;
	return 0;
}

static int check_header(const struct page_header_wire *w, struct error *err)
{
	uint32_t content_size = le32_get(w->content_size);

	if (memcmp(w->magic, page_magic, sizeof(w->magic)) != 0)
		return error_set(err, -EBADMSG, "not a tree page");
	if (w->version != TREE_PAGE_VERSION)
		return error_set(err, -EPROTONOSUPPORT,
				 "tree page of version %u, want %u", w->version,
				 TREE_PAGE_VERSION);
	if (w->type > TREE_LIST)
		return error_set(err, -EBADMSG, "tree page of unknown type %u", w->type);
	if (!level_fits(w->type, w->level))
		return error_set(err, -EBADMSG, "tree page of type %u on level %u",
				 w->type, w->level);
	if (content_size < 1 || content_size > TREE_PAGE_CONTENT_MAX)
		return error_set(err, -EBADMSG, "tree page with %u bytes of content",
				 content_size);
	return 0;
}

int tree_page_decode(const uint8_t *payload, size_t size, struct tree_page **page_out,
		     struct error *err)
{
	autoptr(frame_decoder) decoder = NULL;
	autoptr(tree_page) page = NULL;
	struct page_header_wire w;
	int r;

	if (size <= sizeof(w))
		return error_set(err, -EBADMSG, "tree page of %zu bytes", size);
	memcpy(&w, payload, sizeof(w));
	r = check_header(&w, err);
	if (r < 0)
		return r;

	page = calloc(1, sizeof(*page));
	if (!page)
		return error_set(err, -ENOMEM, "tree page");
	page->type = (enum tree_page_type)w.type;
	page->level = w.level;
	page->size = le32_get(w.content_size);
	page->content = malloc(page->size);
	if (!page->content)
		return error_set(err, -ENOMEM, "tree page");
	r = frame_decoder_new(&decoder, err);
	if (r < 0)
		return r;
	r = frame_decode(decoder, payload + sizeof(w), size - sizeof(w), page->content,
			 page->size, err);
	if (r < 0)
		return error_prefix(err, r, "tree page");

	*page_out = take_ptr(page);
	return 0;
}

void tree_page_free(struct tree_page *page)
{
	if (!page)
		return;
	free(page->content);
	free(page);
}

int tree_page_next_line(const struct tree_page *page, size_t *position,
			const char **line_out, size_t *size_out, struct error *err)
{
	const uint8_t *line = page->content + *position;
	const uint8_t *end;

	if (page->type != TREE_LEAF)
		return error_set(err, -EBADMSG, "tree page is not a leaf page");
	if (*position == page->size)
		return 0;
	end = memchr(line, '\n', page->size - *position);
	if (!end || end == line)
		return error_set(err, -EBADMSG, "leaf page with a line %s",
				 end ? "that is empty" : "without end");

	*line_out = (const char *)line;
	*size_out = (size_t)(end - line);
	*position += *size_out + 1;
	return 1;
}

int tree_page_next_child(const struct tree_page *page, size_t *position,
			 const uint8_t **key_out, size_t *key_size_out,
			 struct hash *child_out, struct error *err)
{
	const uint8_t *entry = page->content + *position;
	size_t left = page->size - *position;
	size_t key_size;
	le16 w;

	if (page->type != TREE_INDEX)
		return error_set(err, -EBADMSG, "tree page is not an index page");
	if (left == 0)
		return 0;
	if (left < TREE_CHILD_SIZE)
		return error_set(err, -EBADMSG, "index page ends inside a child");
	memcpy(&w, entry, sizeof(w));
	key_size = le16_get(w);
	if (key_size < 1 || key_size > MANIFEST_KEY_MAX ||
	    key_size > left - TREE_CHILD_SIZE)
		return error_set(err, -EBADMSG, "index page with a key of %zu bytes",
				 key_size);

	*key_out = entry + sizeof(w);
	*key_size_out = key_size;
	memcpy(child_out, entry + sizeof(w) + key_size, sizeof(*child_out));
	*position += TREE_CHILD_SIZE + key_size;
	return 1;
}

int tree_page_ids(const struct tree_page *page, const struct hash **ids_out,
		  size_t *count_out, struct error *err)
{
	if (page->type != TREE_LIST)
		return error_set(err, -EBADMSG, "tree page is not a list page");
	if (page->size % HASH_SIZE != 0 || page->size / HASH_SIZE > LIST_PAGE_IDS)
		return error_set(err, -EBADMSG, "list page with %zu bytes of ids",
				 page->size);

	*ids_out = (const struct hash *)page->content;
	*count_out = page->size / HASH_SIZE;
	return 0;
}

int tree_page_ends_after(const uint8_t *key, size_t size, unsigned level)
{
	struct hash hash;

	assert(level <= TREE_LEVEL_MAX);
	hash_bytes(key, size, &hash);
	return (hash.bytes[level] & CUT_MASK) == 0;
}
