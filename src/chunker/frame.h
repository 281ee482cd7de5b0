/* SPDX-License-Identifier: MIT */
#pragma once
/* One frame: 1 byte to 256 KiB of content as one independent zstd frame (RFC 8878).
 *
 * Every frame is a single segment with its content size, without checksum and dictionary
 * id (BLAKE3 covers both sides). Content that does not compress is *stored*: raw blocks
 * with a header of fixed shape, so that a reader finds a content byte in the stored bytes
 * by arithmetic. The encoding is a function of content and level only.
 *
 * Threads: an encoder or decoder serves one thread at a time; the rest are pure functions.
 */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct frame_encoder;
struct frame_decoder;

enum {
	FRAME_SIZE_MAX = 256 * 1024,            /* bytes of content */
	FRAME_STORED_MAX = FRAME_SIZE_MAX + 15, /* bytes: frame_bound(FRAME_SIZE_MAX) */
	FRAME_BLOCK_SIZE =
		128 * 1024, /* bytes of content in each raw block but the last */
	FRAME_PART_SIZE =
		64 * 1024, /* bytes of content in each compressed block, at most */
	FRAME_LEVEL_MIN = -7,
	FRAME_LEVEL_MAX = 22,
};

/* The most bytes a frame of @content_size takes, and exactly those of a stored one, which no
 * other frame takes: @content_size + 9 + 3 per begun block of 128 KiB.
 * 1 <= @content_size <= FRAME_SIZE_MAX. */
size_t frame_bound(size_t content_size);

/* @level is zstd's, FRAME_LEVEL_MIN .. FRAME_LEVEL_MAX. The caller frees *@out. Its
 * memory grows with the first frames: 1.5 MiB at level 3, 5.8 MiB at 22 (frame.c).
 * -EINVAL for another level, -ENOMEM. */
int frame_encoder_new(int level, struct frame_encoder **out, struct error *err);
void frame_encoder_free(struct frame_encoder *encoder);
DEFINE_AUTOPTR(frame_encoder);

/* The bytes of memory that @encoder holds now. */
size_t frame_encoder_memory(const struct frame_encoder *encoder);

/* Encode @size (1 .. FRAME_SIZE_MAX) bytes of @content to @out, whose @capacity is at least
 * frame_bound(@size). *@stored_out (may be NULL) says whether raw blocks were chosen, which
 * happens when compression saves less than 1/64.
 * -EINVAL for a size or capacity out of range, -ENOMEM; then @out is undefined. */
int frame_encode(struct frame_encoder *encoder, const uint8_t *content, size_t size,
		 uint8_t *out, size_t capacity, size_t *size_out, bool *stored_out,
		 struct error *err);

#define FRAME_STORED 1

/* As frame_encode(), but content is always tried, whatever probe_compressible() would say,
 * and what does not compress is left alone: FRAME_STORED, and *@size_out is what the stored
 * frame takes. 0: the encoded frame is at @out. */
int frame_compress(struct frame_encoder *encoder, const uint8_t *content, size_t size,
		   uint8_t *out, size_t capacity, size_t *size_out, struct error *err);

/* Write @content as a stored frame of frame_bound(@size) bytes, without an encoder. */
void frame_store(const uint8_t *content, size_t size, uint8_t *out);

/* The headers of a stored frame of @size bytes, to be written before its blocks of
 * FRAME_BLOCK_SIZE bytes: FRAME_STORED_HEADER bytes before the first, then
 * FRAME_STORED_BLOCK_HEADER before each other. */
enum {
	FRAME_STORED_HEADER = 12,
	FRAME_STORED_BLOCK_HEADER = 3,
	FRAME_STORED_HEADERS = 15, /* bytes of all of them at most */
};
void frame_stored_headers(size_t size, uint8_t headers_out[FRAME_STORED_HEADERS]);

/* The caller frees *@out. About 94 KiB. -ENOMEM. */
int frame_decoder_new(struct frame_decoder **out, struct error *err);
void frame_decoder_free(struct frame_decoder *decoder);
DEFINE_AUTOPTR(frame_decoder);

/* Decode the one zstd frame that fills @in. Exactly @content_size (1 .. FRAME_SIZE_MAX)
 * bytes come out, else -EBADMSG; then @out is undefined. */
int frame_decode(struct frame_decoder *decoder, const uint8_t *in, size_t size,
		 uint8_t *out, size_t content_size, struct error *err);

/* As frame_decode(), but only the first @prefix_size <= @content_size bytes of the content,
 * and @in may end early: *prefix_out bytes are at @out, fewer than asked for only if @in did.
 * Blocks (FRAME_PART_SIZE, in frames of older writers 128 KiB) behind the prefix are not
 * decoded. The first use makes the
 * decoder grow by FRAME_PREFIX_MEMORY. */
#define FRAME_PREFIX_MEMORY (768u << 10) /* bytes */
int frame_decode_prefix(struct frame_decoder *decoder, const uint8_t *in, size_t size,
			uint8_t *out, size_t prefix_size, size_t content_size,
			size_t *prefix_out, struct error *err);

/* Where the part ends that holds the last of @size bytes of content, if no frame ends first. */
static inline size_t frame_parts_end(size_t size)
{
	return (size + FRAME_PART_SIZE - 1) / FRAME_PART_SIZE * FRAME_PART_SIZE;
}

/* The size in bytes, stored and of content, of the frame that begins at @in, without decoding
 * it. -EBADMSG if the @size bytes do not begin with a whole frame of this kind. */
int frame_measure(const uint8_t *in, size_t size, uint32_t *stored_size_out,
		  uint32_t *content_size_out);

/* Whether a frame of these sizes is a stored one. */
bool frame_size_is_stored(size_t stored_size, size_t content_size);

/* Whether the @size bytes of @in are a stored frame of @content_size: looks at its header
 * and block headers only. */
bool frame_is_stored(const uint8_t *in, size_t size, size_t content_size);

/* Where content byte @content_offset of a stored frame lies, in bytes from the frame's
 * start. The content is contiguous up to the next multiple of FRAME_BLOCK_SIZE. */
size_t frame_stored_offset(size_t content_size, size_t content_offset);
