/* SPDX-License-Identifier: MIT */
/* The segment header (docs/format.md, "Segment header") and the segment's identity.
 *
 * The header is a zstd skippable frame whose CRC32C, its last four bytes, covers all bytes
 * before it, the skippable frame's own eight included, so that a flipped bit is found
 * wherever it is. The checksum stays the last four bytes of the skippable frame in every
 * later version; thus a reader tells "newer" from "damaged".
 *
 * Nothing here can be trusted for more than accidents: that a segment is the right one
 * follows from its id, which the frame table's hashes must give (segment_table.c).
 */
#include "chunker/segment.h"

#include "base/bytes.h"
#include "base/error.h"
#include "chunker/crc32c.h"
#include "chunker/frame.h"
#include "chunker/segment_table.h"
#include "chunker/skippable.h"
#include "merkle/tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	VERSION = 1,
	CRC_SIZE = 4,        /* bytes */
	TLV_HEADER_SIZE = 4, /* bytes */
	INCOMPATIBLE_KNOWN = 0,
	PACK_ENTRY_SIZE = 4 + HASH_SIZE, /* bytes hashed for each frame of a pack */
};

static const char header_magic[4] = { 'B', 'F', 'S', 'G' };
static const uint8_t pack_prefix[8] = { 'B', 'F', 'P', 'A', 'C', 'K', 0, 1 };

struct segment_header_wire {
	le32 skippable_magic;
	le32 skippable_size;
	char magic[4];
	le16 version;
	uint8_t kind;
	uint8_t codec;
	le16 incompatible;
	le16 compatible;
	le32 content_size;
	le64 index;
	struct hash id;
	le32 frame_count;
	le32 frame_size;
	le32 reserved;
	le32 metadata_size;
	/* metadata, then le32 CRC32C */
};
static_assert(sizeof(struct segment_header_wire) == 80, "docs/format.md");
static_assert(sizeof(struct segment_header_wire) + CRC_SIZE == SEGMENT_HEADER_SIZE,
	      "docs/format.md");
static_assert(offsetof(struct segment_header_wire, magic) == 8, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, version) == 12, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, kind) == 14, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, codec) == 15, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, incompatible) == 16, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, compatible) == 18, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, content_size) == 20, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, index) == 24, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, id) == 32, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, frame_count) == 64, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, frame_size) == 68, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, reserved) == 72, "docs/format.md");
static_assert(offsetof(struct segment_header_wire, metadata_size) == 76,
	      "docs/format.md");

static void pack_id(const struct segment_frame *frames, const struct hash *hashes,
		    uint32_t frame_count, struct hash *id_out)
{
	struct hasher hasher;

	hasher_init(&hasher);
	hasher_update(&hasher, pack_prefix, sizeof(pack_prefix));
	for (uint32_t f = 0; f < frame_count; f++) {
		uint8_t entry[PACK_ENTRY_SIZE];
		le32 content_size = le32_make(frames[f].content_size);

		memcpy(entry, &content_size, sizeof(content_size));
		memcpy(entry + sizeof(content_size), &hashes[f], sizeof(hashes[f]));
		hasher_update(&hasher, entry, sizeof(entry));
	}
	hasher_final(&hasher, id_out);
}

void segment_id(enum segment_kind kind, const struct segment_frame *frames,
		const struct hash *hashes, uint32_t frame_count, struct hash *id_out)
{
	assert(frame_count >= 1 && frame_count <= SEGMENT_FRAME_MAX);

	if (kind == SEGMENT_PIECE)
		tree_merge(hashes, frame_count, id_out);
	else
		pack_id(frames, hashes, frame_count, id_out);
}

size_t segment_header_size(uint32_t metadata_size)
{
	return SEGMENT_HEADER_SIZE + (size_t)metadata_size;
}

/* 1 = entry read, 0 = end, -EBADMSG = entry reaches beyond the end. */
static int tlv_next(const uint8_t *metadata, uint32_t size, uint32_t *position,
		    struct segment_tlv *tlv_out)
{
	uint32_t left = size - *position;
	le16 type, value_size;

	assert(*position <= size);
	if (left == 0)
		return 0;
	if (left < TLV_HEADER_SIZE)
		return -EBADMSG;
	memcpy(&type, metadata + *position, sizeof(type));
	memcpy(&value_size, metadata + *position + sizeof(type), sizeof(value_size));
	if (le16_get(value_size) > left - TLV_HEADER_SIZE)
		return -EBADMSG;

	tlv_out->type = le16_get(type);
	tlv_out->size = le16_get(value_size);
	tlv_out->value = metadata + *position + TLV_HEADER_SIZE;
	*position += TLV_HEADER_SIZE + (uint32_t)tlv_out->size;
	return 1;
}

int segment_metadata_next(const struct segment_info *info, uint32_t *position,
			  struct segment_tlv *tlv_out)
{
	return tlv_next(info->metadata, info->metadata_size, position, tlv_out);
}

static bool metadata_is_valid(const uint8_t *metadata, uint32_t size)
{
	struct segment_tlv tlv;
	uint32_t position = 0;
	int r;

	do
		r = tlv_next(metadata, size, &position, &tlv);
	while (r > 0);
	return r == 0;
}

/* NULL, or what is inconsistent. */
static const char *info_defect(const struct segment_info *info)
{
	uint32_t frames_min;

	if (info->kind != SEGMENT_PIECE && info->kind != SEGMENT_PACK)
		return "kind";
	if (info->index > (info->kind == SEGMENT_PIECE ? SEGMENT_INDEX_MAX : 0))
		return "index";
	if (info->frame_size < SEGMENT_FRAME_SIZE_MIN ||
	    info->frame_size > FRAME_SIZE_MAX ||
	    (info->frame_size & (info->frame_size - 1)) != 0)
		return "frame size";
	if (info->content_size < 1 || info->content_size > SEGMENT_SIZE_MAX)
		return "content size";
	frames_min = (info->content_size + info->frame_size - 1) / info->frame_size;
	if (info->frame_count < frames_min || info->frame_count > SEGMENT_FRAME_MAX ||
	    info->frame_count > info->content_size)
		return "number of frames";
	if (info->kind == SEGMENT_PIECE && info->frame_count != frames_min)
		return "number of frames of a piece";
	if (info->metadata_size > SEGMENT_METADATA_MAX ||
	    !metadata_is_valid(info->metadata, info->metadata_size))
		return "metadata";
	return NULL;
}

void segment_header_encode(const struct segment_info *info, uint8_t *out)
{
	size_t size = segment_header_size(info->metadata_size);
	struct segment_header_wire w = {
		.version = le16_make(VERSION),
		.kind = (uint8_t)info->kind,
		.codec = (uint8_t)info->codec,
		.compatible = le16_make(info->compatible),
		.content_size = le32_make(info->content_size),
		.index = le64_make(info->index),
		.id = info->id,
		.frame_count = le32_make(info->frame_count),
		.frame_size = le32_make(info->frame_size),
		.metadata_size = le32_make(info->metadata_size),
	};
	le32 crc;

	assert(!info_defect(info) && info->codec == SEGMENT_CODEC_ZSTD);
	memcpy(w.magic, header_magic, sizeof(w.magic));
	memcpy(out, &w, sizeof(w));
	skippable_put(out, SKIPPABLE_SEGMENT_HEADER,
		      (uint32_t)(size - SKIPPABLE_HEADER_SIZE));
	if (info->metadata_size > 0)
		memcpy(out + sizeof(w), info->metadata, info->metadata_size);
	crc = le32_make(crc32c(out, size - CRC_SIZE));
	memcpy(out + size - CRC_SIZE, &crc, sizeof(crc));
}

/* Magic, length and checksum: what holds in every version. */
static int check_envelope(const uint8_t *in, size_t size, size_t *atom_size_out,
			  struct error *err)
{
	uint32_t payload_size;
	size_t atom_size;
	unsigned kind;
	le32 crc;

	if (skippable_get(in, size, &kind, &payload_size) < 0 ||
	    kind != SKIPPABLE_SEGMENT_HEADER)
		return error_set(err, -EBADMSG, "no segment header here");
	if (payload_size > size - SKIPPABLE_HEADER_SIZE)
		return error_set(err, -EBADMSG, "segment header of %u bytes is cut off",
				 payload_size);
	atom_size = SKIPPABLE_HEADER_SIZE + (size_t)payload_size;
	if (atom_size < SEGMENT_HEADER_SIZE ||
	    memcmp(in + offsetof(struct segment_header_wire, magic), header_magic,
		   sizeof(header_magic)) != 0)
		return error_set(err, -EBADMSG, "no segment header here");

	memcpy(&crc, in + atom_size - CRC_SIZE, sizeof(crc));
	if (crc32c(in, atom_size - CRC_SIZE) != le32_get(crc))
		return error_set(err, -EBADMSG, "segment header fails its checksum");
	*atom_size_out = atom_size;
	return 0;
}

static int check_version(const struct segment_header_wire *w, struct error *err)
{
	unsigned version = le16_get(w->version);
	unsigned unknown = le16_get(w->incompatible) & ~(unsigned)INCOMPATIBLE_KNOWN;

	if (version == 0)
		return error_set(err, -EBADMSG, "segment header of version 0");
	if (version > VERSION)
		return error_set(err, -EPROTONOSUPPORT,
				 "segment header of version %u, this reader knows %d",
				 version, VERSION);
	if (unknown)
		return error_set(err, -EPROTONOSUPPORT,
				 "segment needs unknown features 0x%x", unknown);
	if (w->codec != SEGMENT_CODEC_ZSTD)
		return error_set(err, -EPROTONOSUPPORT, "segment has unknown codec %u",
				 w->codec);
	return 0;
}

int segment_header_decode(const uint8_t *in, size_t size, struct segment_info *info_out,
			  struct error *err)
{
	struct segment_header_wire w;
	struct segment_info info;
	const char *defect;
	size_t atom_size = 0;
	int r;

	r = check_envelope(in, size, &atom_size, err);
	if (r < 0)
		return r;
	memcpy(&w, in, sizeof(w));
	r = check_version(&w, err);
	if (r < 0)
		return r;

	info = (struct segment_info){
		.kind = (enum segment_kind)w.kind,
		.codec = (enum segment_codec)w.codec,
		.id = w.id,
		.index = le64_get(w.index),
		.content_size = le32_get(w.content_size),
		.frame_count = le32_get(w.frame_count),
		.frame_size = le32_get(w.frame_size),
		.compatible = le16_get(w.compatible),
		.metadata_size = le32_get(w.metadata_size),
	};
	if (atom_size - SEGMENT_HEADER_SIZE != info.metadata_size)
		return error_set(err, -EBADMSG,
				 "segment header and its metadata differ in size");
	if (info.metadata_size > 0)
		info.metadata = in + sizeof(w);
	defect = info_defect(&info);
	if (defect)
		return error_set(err, -EBADMSG, "segment header has an invalid %s",
				 defect);

	*info_out = info;
	return 0;
}
