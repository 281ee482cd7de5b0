/* SPDX-License-Identifier: MIT */
#pragma once
/* Zstd skippable frames: how every byte that is not content hides from `zstd -dc`.
 * Eight bytes (le32 magic 0x184D2A50 + kind, le32 payload size), then the payload.
 *
 * Threads: pure functions.
 */
#include <stddef.h>
#include <stdint.h>

#define SKIPPABLE_MAGIC 0x184D2A50u /* of kind 0; the kind is added */

enum {
	SKIPPABLE_HEADER_SIZE = 8, /* bytes in front of the payload */
};

/* The low four bits of the magic (docs/format.md). */
enum skippable_kind {
	SKIPPABLE_EXTENT = 0x0,         /* extent: header page, table pages, parity */
	SKIPPABLE_PADDING = 0x1,        /* zeroes up to the next boundary */
	SKIPPABLE_SEGMENT_HEADER = 0x2, /* chunker/segment.h */
	SKIPPABLE_FRAME_TABLE = 0x3,    /* chunker/segment_table.h */
	SKIPPABLE_TREE_PAGE = 0x4,      /* page of the tree of manifests */
	SKIPPABLE_RECORD = 0x5,         /* heads, placements and other logged records */
	SKIPPABLE_LIST_PAGE = 0x6,      /* page of a long segment list */
	SKIPPABLE_OUTER_PARITY = 0x7,   /* of the outer code: volume/group.h */
	SKIPPABLE_SEEK_TABLE = 0xe,     /* zstd's own seekable format */
};

/* Write the 8-byte header of a frame of @kind (0 .. 15) with @payload_size bytes to @out. */
void skippable_put(uint8_t *out, unsigned kind, uint32_t payload_size);

/* Read such a header from the first bytes of @in. Either output may be NULL. The payload
 * may be longer than what is left of @in: the caller compares.
 * -EBADMSG when @size < 8 or the magic is none of the sixteen; outputs untouched. */
int skippable_get(const uint8_t *in, size_t size, unsigned *kind_out,
		  uint32_t *payload_size_out);
