/* SPDX-License-Identifier: MIT */
/* A page that decodes can be iterated to an end or an error, and its content survives being
 * encoded again. */
#include "archive/tree_page.h"
#include "chunker/frame.h"
#include "chunker/skippable.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void iterate(const struct tree_page *page)
{
	const struct hash *ids;
	const uint8_t *key;
	size_t key_size;
	const char *line;
	size_t line_size;
	size_t position = 0;
	struct hash child;
	size_t total = 0;
	int r;

	while ((r = tree_page_next_line(page, &position, &line, &line_size, NULL)) > 0)
		total += line_size + 1;
	if (r == 0 && total != page->size)
		abort();
	position = total = 0;
	while ((r = tree_page_next_child(page, &position, &key, &key_size, &child,
					 NULL)) > 0)
		total += key_size + TREE_CHILD_SIZE;
	if (r == 0 && total != page->size)
		abort();
	if (tree_page_ids(page, &ids, &total, NULL) == 0 &&
	    total * HASH_SIZE != page->size)
		abort();
}

static void encode_again(const struct tree_page *page)
{
	static uint8_t
		atom[SKIPPABLE_HEADER_SIZE + TREE_PAGE_HEADER_SIZE + FRAME_STORED_MAX];
	autoptr(frame_encoder) encoder = NULL;
	autoptr(tree_page) again = NULL;
	struct hash hash;
	size_t size;

	if (frame_encoder_new(1, &encoder, NULL) < 0)
		return;
	if (tree_page_encode(encoder, page->type, page->level, page->content, page->size,
			     atom, &size, &hash, NULL) < 0 ||
	    tree_page_decode(atom + SKIPPABLE_HEADER_SIZE, size - SKIPPABLE_HEADER_SIZE,
			     &again, NULL) < 0)
		abort();
	if (again->type != page->type || again->level != page->level ||
	    again->size != page->size ||
	    memcmp(again->content, page->content, page->size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoptr(tree_page) page = NULL;

	if (tree_page_decode(data, size, &page, NULL) < 0)
		return 0;
	iterate(page);
	encode_again(page);
	return 0;
}
