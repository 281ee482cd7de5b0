/* SPDX-License-Identifier: MIT */
#pragma once
/* Tree pages as bytes (docs/format.md 7.2): leaf pages of manifests, index pages, list
 * pages. Safe on hostile input: what is wrong with a page's bytes is -EBADMSG.
 *
 * Threads: pure functions; an encoder serves one thread at a time.
 */
#include "base/cleanup.h"
#include "merkle/manifest.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct frame_encoder;

#define TREE_PAGE_TARGET 65536u       /* bytes of content: a page is cut before it */
#define TREE_PAGE_CONTENT_MAX 262144u /* bytes */
#define TREE_PAGE_HEADER_SIZE 12u     /* bytes */
#define TREE_CHILD_SIZE 34u           /* bytes of a child in an index page, key apart */
#define TREE_LEVEL_MAX 15u
#define LIST_PAGE_IDS 2000u

enum tree_page_type { TREE_LEAF = 0, TREE_INDEX = 1, TREE_LIST = 2 };

/* Encode a page as a whole atom (skippable frame header, page header, zstd frame) into
 * @atom_out, at least 8 + TREE_PAGE_HEADER_SIZE + frame_bound(size) bytes; its hash is
 * that of the skippable frame's payload. @content has 1 to TREE_PAGE_CONTENT_MAX bytes. */
int tree_page_encode(struct frame_encoder *encoder, enum tree_page_type type,
		     unsigned level, const uint8_t *content, size_t size,
		     uint8_t *atom_out, size_t *atom_size_out, struct hash *hash_out,
		     struct error *err);

/* A decoded page. */
struct tree_page {
	enum tree_page_type type;
	unsigned level;
	uint8_t *content; /* owned */
	size_t size;
};

/* Decode a payload (as source_page() returns it); the caller frees *page_out. -EBADMSG,
 * -EPROTONOSUPPORT, -ENOMEM. */
int tree_page_decode(const uint8_t *payload, size_t size, struct tree_page **page_out,
		     struct error *err);
void tree_page_free(struct tree_page *page);
DEFINE_AUTOPTR(tree_page);

/* Iterate over a leaf page's lines: *position starts at 0. 1 = a line (borrowed, without
 * its newline), 0 = the end, -EBADMSG. */
int tree_page_next_line(const struct tree_page *page, size_t *position,
			const char **line_out, size_t *size_out, struct error *err);

/* Iterate over an index page's children: *position starts at 0. 1 = a child (the key, 1 to
 * MANIFEST_KEY_MAX bytes, is borrowed), 0 = the end, -EBADMSG. */
int tree_page_next_child(const struct tree_page *page, size_t *position,
			 const uint8_t **key_out, size_t *key_size_out,
			 struct hash *child_out, struct error *err);

/* The segment ids of a list page, borrowed, at least one. -EBADMSG. */
int tree_page_ids(const struct tree_page *page, const struct hash **ids_out,
		  size_t *count_out, struct error *err);

/* Whether a page of @level (0 .. TREE_LEVEL_MAX) ends after @key by the key's hash: 1 or 0. */
int tree_page_ends_after(const uint8_t *key, size_t size, unsigned level);
