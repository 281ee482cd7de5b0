/* SPDX-License-Identifier: MIT */
#pragma once
/* The inside of a content, for reader.c and open_file.c and for restoring in parallel: which
 * segment holds which stretch of a file. See archive/reader.h for what the rest of the
 * program uses.
 */
#include "archive/reader.h"

#include <stdatomic.h>

enum content_kind { CONTENT_EMPTY, CONTENT_PACK, CONTENT_PIECES };

struct content {
	enum content_kind kind;
	atomic_uint users;
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

struct segment_ref;

/* The stretch that holds byte @offset < size. May read a list page. */
int content_locate(const struct content *content, struct source *source, uint64_t offset,
		   struct content_piece *piece_out, struct error *err);

/* Where byte @offset of the content, which lies in @piece, is in its segment's content. */
static inline uint32_t content_position(const struct content_piece *piece,
					uint64_t offset)
{
	return (uint32_t)(piece->segment_offset + (offset - piece->offset));
}

/* Whether the segment of @piece is as large as the manifest says. -EBADMSG. */
int content_check_segment(const struct content *content,
			  const struct content_piece *piece,
			  const struct segment_ref *segment, struct error *err);
