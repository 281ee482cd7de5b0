/* SPDX-License-Identifier: MIT */
#pragma once
/* A segment: up to 32 MiB of content in the log, as frames between a header and two tables.
 *
 *     header · frame ... frame · frame table · seek table
 *
 * All four are atoms: pieces that never cross an extent. Together they are a valid file of
 * zstd's seekable format. This module is the header and the identity; the two tables are
 * chunker/segment_table.h. Layout and reader duties: docs/format.md, "Segments".
 *
 * Threads: pure functions.
 */
#include "merkle/hash.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct segment_frame;

enum {
	SEGMENT_SIZE_MAX = 32 * 1024 * 1024, /* bytes of content */
	SEGMENT_FRAME_MAX = 2048,            /* frames */
	SEGMENT_FRAME_SIZE_MIN = 16 * 1024,  /* bytes: the smallest nominal frame size */
	SEGMENT_HEADER_SIZE = 84,            /* bytes, without metadata */
	SEGMENT_METADATA_MAX = 4096,         /* bytes of type-length-value metadata */
};
#define SEGMENT_INDEX_MAX ((UINT64_C(1) << 38) - 1) /* files end below 2^63 bytes */

enum segment_kind {
	SEGMENT_PIECE = 1, /* piece number `index` of one large file, at index x 32 MiB */
	SEGMENT_PACK = 2,  /* whole small files, one after the other; index 0 */
};

enum segment_codec {
	SEGMENT_CODEC_ZSTD = 1, /* each frame is one zstd frame */
};

/* A segment's header, decoded. */
struct segment_info {
	enum segment_kind kind;
	enum segment_codec codec;
	struct hash id;          /* segment_id() of the frames' hashes */
	uint64_t index;          /* in units of SEGMENT_SIZE_MAX; 0 for a pack */
	uint32_t content_size;   /* bytes, 1 .. SEGMENT_SIZE_MAX */
	uint32_t frame_count;    /* 1 .. SEGMENT_FRAME_MAX */
	uint32_t frame_size;     /* nominal bytes: a power of two, 16 KiB .. 256 KiB */
	uint16_t compatible;     /* feature bits a reader may ignore */
	uint32_t metadata_size;  /* bytes */
	const uint8_t *metadata; /* borrowed from the encoded bytes; NULL when empty */
};

/* One entry of the metadata. */
struct segment_tlv {
	uint16_t type;
	uint16_t size;        /* bytes of value */
	const uint8_t *value; /* borrowed, as segment_info.metadata */
};

/* The identity of a segment from its frames' hashes, in order.
 *   SEGMENT_PIECE  the hashes are non-root chaining values at the frames' chunk positions
 *                  in the file; the id is that of the whole content (tree_merge)
 *   SEGMENT_PACK   the hashes are plain BLAKE3; the id is the BLAKE3 of the list of content
 *                  sizes and hashes. Only here @frames is looked at (content_size).
 * 1 <= @frame_count <= SEGMENT_FRAME_MAX. */
void segment_id(enum segment_kind kind, const struct segment_frame *frames,
		const struct hash *hashes, uint32_t frame_count, struct hash *id_out);

/* Bytes of the whole header atom with @metadata_size bytes of metadata. */
size_t segment_header_size(uint32_t metadata_size);

/* Write the header to @out, which holds segment_header_size(info->metadata_size) bytes.
 * @info must be valid in the sense of segment_header_decode() (asserted). */
void segment_header_encode(const struct segment_info *info, uint8_t *out);

/* Read the header at the start of @in; bytes after it are not looked at. Its size is
 * segment_header_size(info_out->metadata_size). Metadata is borrowed from @in.
 * -EBADMSG damaged, truncated or inconsistent, -EPROTONOSUPPORT newer version, codec or
 * unknown incompatible feature; *@info_out is untouched then. */
int segment_header_decode(const uint8_t *in, size_t size, struct segment_info *info_out,
			  struct error *err);

/* Walk the metadata: @position starts at 0. 1 = *@tlv_out is the next entry, 0 = no more. */
int segment_metadata_next(const struct segment_info *info, uint32_t *position,
			  struct segment_tlv *tlv_out);
