/* SPDX-License-Identifier: MIT */
/* Where the bytes of one file lie: nowhere (empty), as a stretch of a pack, or as pieces of
 * 32 MiB whose ids stand in the manifest or in list pages. A content only names segments;
 * archive/reader.c gets their frames.
 */
#include "archive/content.h"

#include "archive/source.h"
#include "archive/tree_page.h"
#include "base/error.h"
#include "merkle/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_PER_PAGE LIST_PAGE_IDS

static int copy_hashes(struct hash **copy_out, const struct hash *hashes, size_t count)
{
	*copy_out = malloc(count * sizeof(**copy_out));
	if (!*copy_out)
		return -ENOMEM;
	memcpy(*copy_out, hashes, count * sizeof(**copy_out));
	return 0;
}

static uint64_t piece_count(uint64_t size)
{
	return size / SEGMENT_SIZE_MAX + (size % SEGMENT_SIZE_MAX != 0);
}

/* A single piece's id is no child of the root; its frames prove it when they are read. */
static int check_root(const struct content *content, struct error *err)
{
	struct hash root;

	if (content->id_count < 2)
		return 0;
	tree_merge_root(content->ids, content->id_count, &root);
	if (!hash_equal(&root, &content->hash))
		return error_set(err, -EBADMSG,
				 "the manifest's segments do not give its hash");
	return 0;
}

static int open_pieces(struct content *content, const struct manifest *manifest,
		       struct error *err)
{
	uint64_t count = piece_count(manifest->size);

	content->kind = CONTENT_PIECES;
	if (manifest->segment_page_count > 0) {
		uint64_t pages = (count + PIECES_PER_PAGE - 1) / PIECES_PER_PAGE;

		if (manifest->segment_page_count != pages)
			return error_set(err, -EBADMSG, "wrong number of list pages");
		content->page_count = manifest->segment_page_count;
		if (copy_hashes(&content->pages, manifest->segment_pages,
				content->page_count) < 0)
			return error_set(err, -ENOMEM, "out of memory");
		return 0;
	}
	if (manifest->segment_count != count)
		return error_set(err, -EBADMSG, "wrong number of segments");
	content->id_count = manifest->segment_count;
	if (copy_hashes(&content->ids, manifest->segments, content->id_count) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return check_root(content, err);
}

/* An empty content of that size and hash; NULL: no memory. */
static struct content *content_new(uint64_t size, const struct hash *hash)
{
	struct content *content = calloc(1, sizeof(*content));

	if (!content)
		return NULL;
	content->kind = CONTENT_EMPTY;
	content->users = 1;
	content->size = size;
	content->hash = *hash;
	return content;
}

int content_open(const struct manifest *manifest, struct content **content_out,
		 struct error *err)
{
	autoptr(content) content = NULL;
	int r;

	if (manifest->type != ENTRY_FILE)
		return error_set(err, -EINVAL, "a %s has no content",
				 entry_type_name(manifest->type));
	content = content_new(manifest->size, &manifest->hash);
	if (!content)
		return error_set(err, -ENOMEM, "out of memory");
	if (!hash_is_zero(&manifest->pack.segment)) {
		content->kind = CONTENT_PACK;
		content->pack = manifest->pack;
	} else if (manifest->size > 0) {
		r = open_pieces(content, manifest, err);
		if (r < 0)
			return r;
	}
	*content_out = take_ptr(content);
	return 0;
}

int content_open_xattr(const struct manifest_xattr *xattr, struct content **content_out,
		       struct error *err)
{
	autoptr(content) content = content_new(xattr->size, &xattr->hash);

	if (!content)
		return error_set(err, -ENOMEM, "out of memory");
	content->kind = CONTENT_PACK;
	content->pack = xattr->pack;
	*content_out = take_ptr(content);
	return 0;
}

struct content *content_ref(struct content *content)
{
	atomic_fetch_add(&content->users, 1);
	return content;
}

void content_free(struct content *content)
{
	if (!content || atomic_fetch_sub(&content->users, 1) > 1)
		return;
	free(content->ids);
	free(content->pages);
	free(content);
}

uint64_t content_size(const struct content *content)
{
	return content->size;
}

/* The id at @index of list page @payload. */
static int id_of_page(const struct bytes *payload, uint64_t index, struct hash *id_out,
		      struct error *err)
{
	autoptr(tree_page) page = NULL;
	int r;

	r = tree_page_decode(payload->data, payload->size, &page, err);
	if (r < 0)
		return r;
	if (page->type != TREE_LIST || page->size < (index + 1) * HASH_SIZE)
		return error_set(err, -EBADMSG, "list page is too short");
	memcpy(id_out->bytes, page->content + index * HASH_SIZE, HASH_SIZE);
	return 0;
}

static int find_piece_id(const struct content *content, struct source *source,
			 uint64_t index, struct hash *id_out, struct error *err)
{
	struct bytes payload = { 0 };
	int r;

	if (content->page_count == 0) {
		*id_out = content->ids[index];
		return 0;
	}
	r = source_page(source, &content->pages[index / PIECES_PER_PAGE], &payload, err);
	if (r < 0)
		return r;
	r = id_of_page(&payload, index % PIECES_PER_PAGE, id_out, err);
	free(payload.data);
	return r;
}

int content_locate(const struct content *content, struct source *source, uint64_t offset,
		   struct content_piece *piece_out, struct error *err)
{
	struct content_piece piece = { .offset = 0 };
	int r;

	if (content->kind == CONTENT_PACK) {
		piece.id = content->pack.segment;
		piece.segment_offset = content->pack.offset;
		piece.size = content->size;
		*piece_out = piece;
		return 0;
	}
	piece.index = offset / SEGMENT_SIZE_MAX;
	piece.offset = piece.index * SEGMENT_SIZE_MAX;
	piece.size = content->size - piece.offset;
	if (piece.size > SEGMENT_SIZE_MAX)
		piece.size = SEGMENT_SIZE_MAX;
	r = find_piece_id(content, source, piece.index, &piece.id, err);
	if (r < 0)
		return r;
	*piece_out = piece;
	return 0;
}

int content_check_segment(const struct content *content,
			  const struct content_piece *piece,
			  const struct segment_ref *segment, struct error *err)
{
	uint64_t end = piece->segment_offset + piece->size;
	uint32_t size = segment->table->content_size;

	if (content->kind == CONTENT_PACK ? end > size : end != size)
		return error_set(err, -EBADMSG,
				 "segment and manifest disagree about the size");
	return 0;
}
