/* SPDX-License-Identifier: MIT */
/* The frame table and the seek table (docs/format.md, "Frame table", "Seek table").
 *
 * The frame table is ours: a skippable frame with one hash for each frame and a CRC32C over
 * everything, at the end, as in the segment header. The seek table is the skippable frame of
 * zstd's seekable format, whose only checksums are of frames, so its CRC32C stands in the
 * frame table in front of it. A reader that knows only zstd's format needs neither.
 *
 * Checksums find accidents. What can be proved beyond that: the hashes must give the
 * segment's id, and the content sizes follow from the header (piece) or are hashed into the
 * id (pack). Compressed sizes are not authenticated, and need not be: a frame cut out at a
 * wrong place does not decode, or not to content with the right hash.
 */
#include "chunker/segment_table.h"

#include "base/bytes.h"
#include "base/error.h"
#include "chunker/crc32c.h"
#include "chunker/frame.h"
#include "chunker/segment.h"
#include "chunker/skippable.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define SEEK_TABLE_MAGIC 0x8F92EAB1u

enum {
	VERSION = 1,
	CRC_SIZE = 4, /* bytes */
	EXTRA_ENTRIES =
		2, /* seek table entries besides the frames: header, frame table */
};

static const char table_magic[4] = { 'B', 'F', 'F', 'T' };

struct frame_table_wire {
	le32 skippable_magic;
	le32 skippable_size;
	char magic[4];
	le16 version;
	le16 reserved;
	le32 frame_count;
	le32 seek_table_crc; /* CRC32C of all bytes of the seek table */
	struct hash id;
	/* frame_count hashes, then le32 CRC32C */
};
static_assert(sizeof(struct frame_table_wire) == 56, "docs/format.md");
static_assert(offsetof(struct frame_table_wire, magic) == 8, "docs/format.md");
static_assert(offsetof(struct frame_table_wire, version) == 12, "docs/format.md");
static_assert(offsetof(struct frame_table_wire, frame_count) == 16, "docs/format.md");
static_assert(offsetof(struct frame_table_wire, seek_table_crc) == 20, "docs/format.md");
static_assert(offsetof(struct frame_table_wire, id) == 24, "docs/format.md");

struct seek_entry_wire {
	le32 compressed_size;
	le32 decompressed_size;
};
static_assert(sizeof(struct seek_entry_wire) == 8, "zstd seekable format 0.1.0");

struct seek_footer_wire {
	le32 frame_count;
	uint8_t descriptor;
	le32 magic;
};
static_assert(sizeof(struct seek_footer_wire) == SEGMENT_FOOTER_SIZE,
	      "zstd seekable format 0.1.0");

size_t segment_frame_table_size(uint32_t frame_count)
{
	return sizeof(struct frame_table_wire) +
	       sizeof(struct hash) * (size_t)frame_count + CRC_SIZE;
}

size_t segment_seek_table_size(uint32_t frame_count)
{
	return SKIPPABLE_HEADER_SIZE +
	       sizeof(struct seek_entry_wire) * ((size_t)frame_count + EXTRA_ENTRIES) +
	       sizeof(struct seek_footer_wire);
}

size_t segment_tail_size(uint32_t frame_count)
{
	return segment_frame_table_size(frame_count) +
	       segment_seek_table_size(frame_count);
}

static uint8_t *put_entry(uint8_t *out, size_t compressed_size, size_t decompressed_size)
{
	struct seek_entry_wire w = { le32_make((uint32_t)compressed_size),
				     le32_make((uint32_t)decompressed_size) };

	memcpy(out, &w, sizeof(w));
	return out + sizeof(w);
}

static void encode_seek_table(const struct segment_info *info,
			      const struct segment_frame *frames, uint8_t *out)
{
	uint32_t payload_size = (uint32_t)(segment_seek_table_size(info->frame_count) -
					   SKIPPABLE_HEADER_SIZE);
	struct seek_footer_wire footer = {
		.frame_count = le32_make(info->frame_count + EXTRA_ENTRIES),
		.descriptor = 0,
		.magic = le32_make(SEEK_TABLE_MAGIC),
	};

	skippable_put(out, SKIPPABLE_SEEK_TABLE, payload_size);
	out += SKIPPABLE_HEADER_SIZE;
	out = put_entry(out, segment_header_size(info->metadata_size), 0);
	for (uint32_t f = 0; f < info->frame_count; f++)
		out = put_entry(out, frames[f].stored_size, frames[f].content_size);
	out = put_entry(out, segment_frame_table_size(info->frame_count), 0);
	memcpy(out, &footer, sizeof(footer));
}

static void encode_frame_table(const struct segment_info *info, const struct hash *hashes,
			       const uint8_t *seek_table, uint8_t *out)
{
	size_t size = segment_frame_table_size(info->frame_count);
	struct frame_table_wire w = {
		.version = le16_make(VERSION),
		.frame_count = le32_make(info->frame_count),
		.seek_table_crc = le32_make(
			crc32c(seek_table, segment_seek_table_size(info->frame_count))),
		.id = info->id,
	};
	le32 crc;

	memcpy(w.magic, table_magic, sizeof(w.magic));
	memcpy(out, &w, sizeof(w));
	skippable_put(out, SKIPPABLE_FRAME_TABLE,
		      (uint32_t)(size - SKIPPABLE_HEADER_SIZE));
	memcpy(out + sizeof(w), hashes, sizeof(*hashes) * info->frame_count);
	crc = le32_make(crc32c(out, size - CRC_SIZE));
	memcpy(out + size - CRC_SIZE, &crc, sizeof(crc));
}

void segment_tail_encode(const struct segment_info *info,
			 const struct segment_frame *frames, const struct hash *hashes,
			 uint8_t *out)
{
	uint8_t *seek_table = out + segment_frame_table_size(info->frame_count);

	assert(info->frame_count >= 1 && info->frame_count <= SEGMENT_FRAME_MAX);
	encode_seek_table(info, frames, seek_table);
	encode_frame_table(info, hashes, seek_table, out);
}

int segment_tail_probe(const uint8_t *footer, size_t *tail_size_out, struct error *err)
{
	struct seek_footer_wire w;
	uint32_t entries;

	memcpy(&w, footer, sizeof(w));
	entries = le32_get(w.frame_count);
	if (le32_get(w.magic) != SEEK_TABLE_MAGIC || w.descriptor != 0 ||
	    entries <= EXTRA_ENTRIES || entries > SEGMENT_FRAME_MAX + EXTRA_ENTRIES)
		return error_set(err, -EBADMSG, "no seek table ends here");

	*tail_size_out = segment_tail_size(entries - EXTRA_ENTRIES);
	return 0;
}

/* @in is the whole tail. */
static int check_frame_table(const struct segment_info *info, const uint8_t *in,
			     struct error *err)
{
	size_t size = segment_frame_table_size(info->frame_count);
	struct frame_table_wire w;
	uint32_t payload_size;
	unsigned kind;
	le32 crc;

	if (skippable_get(in, size, &kind, &payload_size) < 0 ||
	    kind != SKIPPABLE_FRAME_TABLE || payload_size != size - SKIPPABLE_HEADER_SIZE)
		return error_set(err, -EBADMSG, "no frame table of %u frames here",
				 info->frame_count);
	memcpy(&w, in, sizeof(w));
	memcpy(&crc, in + size - CRC_SIZE, sizeof(crc));
	if (memcmp(w.magic, table_magic, sizeof(table_magic)) != 0)
		return error_set(err, -EBADMSG, "no frame table here");
	if (crc32c(in, size - CRC_SIZE) != le32_get(crc))
		return error_set(err, -EBADMSG, "frame table fails its checksum");
	if (le16_get(w.version) > VERSION)
		return error_set(err, -EPROTONOSUPPORT,
				 "frame table of version %u, this reader knows %d",
				 le16_get(w.version), VERSION);
	if (le16_get(w.version) == 0 || le32_get(w.frame_count) != info->frame_count ||
	    !hash_equal(&w.id, &info->id))
		return error_set(err, -EBADMSG, "frame table is not this segment's");
	if (crc32c(in + size, segment_seek_table_size(info->frame_count)) !=
	    le32_get(w.seek_table_crc))
		return error_set(err, -EBADMSG, "seek table fails its checksum");
	return 0;
}

/* @in holds segment_seek_table_size(info->frame_count) bytes. */
static int check_seek_table(const struct segment_info *info, const uint8_t *in,
			    struct error *err)
{
	size_t size = segment_seek_table_size(info->frame_count);
	uint32_t payload_size;
	size_t tail_size;
	unsigned kind;
	int r;

	if (skippable_get(in, size, &kind, &payload_size) < 0 ||
	    kind != SKIPPABLE_SEEK_TABLE || payload_size != size - SKIPPABLE_HEADER_SIZE)
		return error_set(err, -EBADMSG, "no seek table of %u frames here",
				 info->frame_count);
	r = segment_tail_probe(in + size - SEGMENT_FOOTER_SIZE, &tail_size, err);
	if (r < 0)
		return r;
	if (tail_size != segment_tail_size(info->frame_count))
		return error_set(err, -EBADMSG, "seek table is not one of %u frames",
				 info->frame_count);
	return 0;
}

static struct seek_entry_wire entry_at(const uint8_t *seek_table, uint32_t number)
{
	struct seek_entry_wire w;

	memcpy(&w, seek_table + SKIPPABLE_HEADER_SIZE + sizeof(w) * (size_t)number,
	       sizeof(w));
	return w;
}

static bool entry_is(const uint8_t *seek_table, uint32_t number, size_t compressed_size)
{
	struct seek_entry_wire w = entry_at(seek_table, number);

	return le32_get(w.compressed_size) == compressed_size &&
	       le32_get(w.decompressed_size) == 0;
}

/* What frame @f may hold, given that @offset bytes of content are in front of it. */
static bool content_size_is_valid(const struct segment_info *info, uint32_t offset,
				  uint32_t size)
{
	uint32_t left = info->content_size - offset;
	uint32_t most = left < info->frame_size ? left : info->frame_size;

	return info->kind == SEGMENT_PIECE ? size == most : size <= most;
}

/* The sums cannot overflow: each size is checked against its limit before it is added. */
static int fill_frames(struct segment_table *table, const struct segment_info *info,
		       const uint8_t *seek_table, struct error *err)
{
	size_t frame_table_size = segment_frame_table_size(info->frame_count);
	uint32_t stored = (uint32_t)segment_header_size(info->metadata_size);
	uint32_t content = 0;

	if (!entry_is(seek_table, 0, stored) ||
	    !entry_is(seek_table, info->frame_count + 1, frame_table_size))
		return error_set(
			err, -EBADMSG,
			"seek table disagrees about the header or the frame table");

	for (uint32_t f = 0; f < info->frame_count; f++) {
		struct seek_entry_wire w = entry_at(seek_table, f + 1);
		uint32_t stored_size = le32_get(w.compressed_size);
		uint32_t content_size = le32_get(w.decompressed_size);

		if (content_size < 1 ||
		    !content_size_is_valid(info, content, content_size))
			return error_set(err, -EBADMSG,
					 "frame %u has %u bytes of content", f,
					 content_size);
		if (stored_size < 1 || stored_size > frame_bound(content_size))
			return error_set(err, -EBADMSG, "frame %u takes %u bytes", f,
					 stored_size);
		table->frames[f] = (struct segment_frame){ content, content_size, stored,
							   stored_size };
		content += content_size;
		stored += stored_size;
	}
	if (content != info->content_size)
		return error_set(err, -EBADMSG,
				 "frames hold %u bytes of content, want %u", content,
				 info->content_size);

	table->content_size = content;
	table->stored_size = stored + (uint32_t)segment_tail_size(info->frame_count);
	return 0;
}

static struct segment_table *table_new(uint32_t frame_count)
{
	autoptr(segment_table) table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->frame_count = frame_count;
	table->frames = calloc(frame_count, sizeof(*table->frames));
	table->hashes = calloc(frame_count, sizeof(*table->hashes));
	return table->frames && table->hashes ? take_ptr(table) : NULL;
}

int segment_table_load(const struct segment_info *info, const uint8_t *tail, size_t size,
		       struct segment_table **out, struct error *err)
{
	autoptr(segment_table) table = NULL;
	const uint8_t *seek_table;
	struct hash id;
	int r;

	if (info->frame_count < 1 || info->frame_count > SEGMENT_FRAME_MAX ||
	    size != segment_tail_size(info->frame_count))
		return error_set(err, -EBADMSG, "tail of %zu bytes for %u frames", size,
				 info->frame_count);
	seek_table = tail + segment_frame_table_size(info->frame_count);
	r = check_frame_table(info, tail, err);
	if (r < 0)
		return r;
	r = check_seek_table(info, seek_table, err);
	if (r < 0)
		return r;

	table = table_new(info->frame_count);
	if (!table)
		return error_set(err, -ENOMEM, "table of %u frames", info->frame_count);
	r = fill_frames(table, info, seek_table, err);
	if (r < 0)
		return r;
	memcpy(table->hashes, tail + sizeof(struct frame_table_wire),
	       sizeof(*table->hashes) * table->frame_count);
	segment_id(info->kind, table->frames, table->hashes, table->frame_count, &id);
	if (!hash_equal(&id, &info->id))
		return error_set(err, -EBADMSG,
				 "frame hashes do not give the segment's id");

	*out = take_ptr(table);
	return 0;
}

void segment_table_free(struct segment_table *table)
{
	if (!table)
		return;
	free(table->frames);
	free(table->hashes);
	free(table);
}

uint32_t segment_table_find(const struct segment_table *table, uint32_t content_offset)
{
	uint32_t low = 0, high = table->frame_count;

	assert(content_offset < table->content_size);
	/* Frame low starts at or before the offset, frame high after it. */
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (table->frames[middle].content_offset <= content_offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}
