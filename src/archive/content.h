/* SPDX-License-Identifier: MIT */
#pragma once
/* The inside of a content, for archive/reader.c and for restoring in parallel: which segment
 * holds which stretch of a file. See archive/reader.h for what the rest of the program uses.
 */
#include "archive/reader.h"

enum content_kind { CONTENT_EMPTY, CONTENT_PACK, CONTENT_PIECES };

struct content {
	enum content_kind kind;
	uint64_t size; /* bytes */
	struct hash hash;
	struct pack_place pack; /* of CONTENT_PACK */
	struct hash *ids;       /* of CONTENT_PIECES; NULL if they are on pages */
	size_t id_count;
	struct hash *pages; /* list pages */
	size_t page_count;
};

/* The stretch of a content that one segment holds. */
struct content_piece {
	struct hash id;
	uint64_t index;          /* of the segment */
	uint64_t offset;         /* bytes, of the stretch in the content */
	uint64_t size;           /* bytes */
	uint32_t segment_offset; /* bytes, of the stretch in the segment's content */
};

/* The stretch that holds byte @offset < size. May read a list page. */
int content_locate(const struct content *content, struct source *source, uint64_t offset,
		   struct content_piece *piece_out, struct error *err);
