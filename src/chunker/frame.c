/* SPDX-License-Identifier: MIT */
/* Frames are plain zstd frames, in two shapes.
 *
 * Compressed: by a context that lives as long as the encoder. The size is known to zstd, so
 * it chooses its parameters for it (a window of 256 KiB at most), writes it into the header
 * and makes the frame a single segment. Content is flushed every FRAME_PART_SIZE bytes, which
 * ends a block, so that who wants a part of a frame decodes less: with zstd's own blocks, of
 * 128 KiB, 192 KiB for a place somewhere, so 160. And tables for 64 KiB fit better: it makes
 * programs 0.5 % shorter, text 0.1 %. Decoding all of it takes 5 % longer.
 *
 * Stored: when probe_compressible() sees nothing to gain, or zstd saves less than 1/64, the
 * content goes into raw blocks under a header that we write ourselves:
 *
 *     0   4  magic FD2FB528
 *     4   1  descriptor 0xa0: 4-byte content size, single segment, no checksum, no dictionary
 *     5   4  content size
 *     9   3  block header: last (1 bit), type 0 = raw (2 bits), size (21 bits)
 *    12      up to 128 KiB of content; then, if there is more, another block
 *
 * The content size field always has 4 bytes, though fewer would do for small frames, so that
 * where a content byte lies does not depend on the size. zstd is given less room than the
 * content takes, so it stops by itself when it cannot save enough.
 *
 * The tables that zstd keeps for level 3 and this size, twice 256 KiB, push each other and the
 * content out of a core's own cache. Half of each takes 10 % less time for 0.3 % more bytes
 * (measured on programs; text: 4 %, 0.3 %), so the default level has them. It also looks for
 * matches of 5 bytes and more, not of 4: decoding is 10 % faster and encoding 15 % for 1.1 %
 * more bytes (text: 0.2 %), since there are fewer of them. Strategy and search are those of
 * the level. Contents up to 128 KiB have small tables as it is.
 *
 * A history of earlier frames ("the last one was stored") is deliberately not used: the same
 * content must give the same bytes, whichever thread and file it comes from.
 *
 * Memory of an encoder's context for frames of 256 KiB (ZSTD_sizeof_CCtx, zstd 1.5.4):
 *
 *     level       -7    1     3     4     5    7, 9   12    15    19, 22
 *     MiB        1.0   1.1   1.5   1.7   2.5   4.0   5.0   4.8   5.8
 *
 * Decoding: ZSTD_decompressDCtx() would take several frames, or skippable ones, so the
 * frame is measured first; it must fill its bytes and announce the expected size. What has
 * the size of a stored frame must be one, so that readers may tell by the size alone.
 *
 * A prefix is decoded as a stream, which stops behind the block that completes it. That goes
 * through a window inside the context: a copy, but no block too many. When all that was asked
 * for is there zstd goes on to the next block, so the last byte is asked for alone, with
 * nothing to decode it from.
 */
#include "chunker/frame.h"

#include "base/bytes.h"
#include "base/error.h"
#include "chunker/probe.h"

#include <zstd.h>
#include <zstd_errors.h>

enum {
	STORED_DESCRIPTOR = 0xa0,
	BLOCK_HEADER_SIZE = 3, /* bytes */
	SAVING_SHIFT = 6,      /* compression must save 1/64 */
	TUNED_LEVEL = 3,
	TUNED_SIZE_MIN = 128 * 1024 + 1, /* bytes of content */
	TUNED_TABLE_LOG = 15,            /* entries of 4 bytes */
	TUNED_MATCH_MIN = 5,             /* bytes */
};

struct stored_header_wire {
	le32 magic;
	uint8_t descriptor;
	le32 content_size;
};
static_assert(sizeof(struct stored_header_wire) == 9, "RFC 8878, 3.1.1.1");
static_assert(FRAME_STORED_MAX == FRAME_SIZE_MAX + 9 + 2 * BLOCK_HEADER_SIZE,
	      "two blocks");

struct frame_encoder {
	ZSTD_CCtx *context;
	int level;
	bool tuned; /* the context has tables of TUNED_TABLE_LOG */
};

struct frame_decoder {
	ZSTD_DCtx *context;
};

size_t frame_bound(size_t content_size)
{
	size_t block_count = (content_size + FRAME_BLOCK_SIZE - 1) / FRAME_BLOCK_SIZE;

	assert(content_size >= 1 && content_size <= FRAME_SIZE_MAX);
	return sizeof(struct stored_header_wire) + BLOCK_HEADER_SIZE * block_count +
	       content_size;
}

int frame_encoder_new(int level, struct frame_encoder **out, struct error *err)
{
	autoptr(frame_encoder) encoder = NULL;

	if (level < FRAME_LEVEL_MIN || level > FRAME_LEVEL_MAX)
		return error_set(err, -EINVAL, "compression level %d, want %d to %d",
				 level, FRAME_LEVEL_MIN, FRAME_LEVEL_MAX);

	encoder = calloc(1, sizeof(*encoder));
	if (encoder)
		encoder->context = ZSTD_createCCtx();
	if (!encoder || !encoder->context)
		return error_set(err, -ENOMEM, "compression context");
	/* The other defaults are ours: content size on, checksum off, no dictionary. */
	if (ZSTD_isError(ZSTD_CCtx_setParameter(encoder->context, ZSTD_c_compressionLevel,
						level)))
		return error_set(err, -EINVAL, "zstd refuses level %d", level);
	encoder->level = level;

	*out = take_ptr(encoder);
	return 0;
}

void frame_encoder_free(struct frame_encoder *encoder)
{
	if (!encoder)
		return;
	(void)ZSTD_freeCCtx(encoder->context);
	free(encoder);
}

size_t frame_encoder_memory(const struct frame_encoder *encoder)
{
	return sizeof(*encoder) + ZSTD_sizeof_CCtx(encoder->context);
}

/* Choose the tables for @size bytes of content. */
static int tune(struct frame_encoder *encoder, size_t size, struct error *err)
{
	bool tuned = encoder->level == TUNED_LEVEL && size >= TUNED_SIZE_MIN;
	int log = tuned ? TUNED_TABLE_LOG : 0; /* 0 = as the level has it */
	int match = tuned ? TUNED_MATCH_MIN : 0;

	if (tuned == encoder->tuned)
		return 0;
	/* A frame that was given up has left a session behind. */
	(void)ZSTD_CCtx_reset(encoder->context, ZSTD_reset_session_only);
	if (ZSTD_isError(ZSTD_CCtx_setParameter(encoder->context, ZSTD_c_hashLog, log)) ||
	    ZSTD_isError(
		    ZSTD_CCtx_setParameter(encoder->context, ZSTD_c_chainLog, log)) ||
	    ZSTD_isError(
		    ZSTD_CCtx_setParameter(encoder->context, ZSTD_c_minMatch, match)))
		return error_set(err, -EIO, "zstd refuses tables of 2^%d entries", log);
	encoder->tuned = tuned;
	return 0;
}

/* Compress part by part. As ZSTD_compress2(), but 0 if @room is not enough. */
static size_t compress_parts(ZSTD_CCtx *context, const uint8_t *content, size_t size,
			     uint8_t *out, size_t room)
{
	ZSTD_outBuffer output = { .dst = out, .size = room };
	ZSTD_inBuffer input = { .src = content };
	size_t result;

	(void)ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
	result = ZSTD_CCtx_setPledgedSrcSize(context, size);
	while (!ZSTD_isError(result) && input.size < size) {
		bool last = size - input.size <= FRAME_PART_SIZE;

		input.size = last ? size : input.size + FRAME_PART_SIZE;
		result = ZSTD_compressStream2(context, &output, &input,
					      last ? ZSTD_e_end : ZSTD_e_flush);
		if (!ZSTD_isError(result) && result > 0)
			return 0;
	}
	return ZSTD_isError(result) ? result : output.pos;
}

/* 1 = *@size_out bytes are at @out, 0 = not worth it. */
static int compress(struct frame_encoder *encoder, const uint8_t *content, size_t size,
		    uint8_t *out, size_t *size_out, struct error *err)
{
	size_t room = size - (size >> SAVING_SHIFT) - 1;
	size_t written;
	int r;

	r = tune(encoder, size, err);
	if (r < 0)
		return r;
	if (size <= FRAME_PART_SIZE)
		written = ZSTD_compress2(encoder->context, out, room, content, size);
	else
		written = compress_parts(encoder->context, content, size, out, room);
	if (!ZSTD_isError(written)) {
		*size_out = written;
		return written > 0;
	}
	switch ((int)ZSTD_getErrorCode(written)) {
	case ZSTD_error_dstSize_tooSmall:
		return 0;
	case ZSTD_error_memory_allocation:
		return error_set(err, -ENOMEM, "zstd: no memory for its context");
	default:
		return error_set(err, -EIO, "zstd: %s", ZSTD_getErrorName(written));
	}
}

int frame_compress(struct frame_encoder *encoder, const uint8_t *content, size_t size,
		   uint8_t *out, size_t capacity, size_t *size_out, struct error *err)
{
	int r;

	if (size < 1 || size > FRAME_SIZE_MAX || capacity < frame_bound(size))
		return error_set(err, -EINVAL, "frame of %zu bytes into %zu", size,
				 capacity);

	r = compress(encoder, content, size, out, size_out, err);
	if (r != 0)
		return r < 0 ? r : 0;
	*size_out = frame_bound(size);
	return FRAME_STORED;
}

int frame_encode(struct frame_encoder *encoder, const uint8_t *content, size_t size,
		 uint8_t *out, size_t capacity, size_t *size_out, bool *stored_out,
		 struct error *err)
{
	int r = FRAME_STORED;

	if (size < 1 || size > FRAME_SIZE_MAX || capacity < frame_bound(size))
		return error_set(err, -EINVAL, "frame of %zu bytes into %zu", size,
				 capacity);

	*size_out = frame_bound(size);
	if (probe_compressible(content, size))
		r = frame_compress(encoder, content, size, out, capacity, size_out, err);
	if (r < 0)
		return r;
	if (r == FRAME_STORED)
		frame_store(content, size, out);
	if (stored_out)
		*stored_out = r == FRAME_STORED;
	return 0;
}

/* Bytes of content in the block that starts at content byte @offset. */
static size_t block_size(size_t content_size, size_t offset)
{
	size_t left = content_size - offset;

	return left < FRAME_BLOCK_SIZE ? left : FRAME_BLOCK_SIZE;
}

static void stored_block_header(uint8_t out[BLOCK_HEADER_SIZE], size_t size, bool last)
{
	size_t header = size << 3 | last;

	out[0] = (uint8_t)header;
	out[1] = (uint8_t)(header >> 8);
	out[2] = (uint8_t)(header >> 16);
}

static struct stored_header_wire stored_header(size_t content_size)
{
	return (struct stored_header_wire){
		.magic = le32_make(ZSTD_MAGICNUMBER),
		.descriptor = STORED_DESCRIPTOR,
		.content_size = le32_make((uint32_t)content_size),
	};
}

void frame_stored_headers(size_t size, uint8_t headers_out[FRAME_STORED_HEADERS])
{
	struct stored_header_wire header = stored_header(size);

	static_assert(sizeof(header) + BLOCK_HEADER_SIZE == FRAME_STORED_HEADER &&
			      (int)BLOCK_HEADER_SIZE == (int)FRAME_STORED_BLOCK_HEADER,
		      "docs/format.md 6.1");
	assert(size >= 1 && size <= FRAME_SIZE_MAX);
	memcpy(headers_out, &header, sizeof(header));
	headers_out += sizeof(header);
	for (size_t offset = 0; offset < size; offset += FRAME_BLOCK_SIZE) {
		size_t length = block_size(size, offset);

		stored_block_header(headers_out, length, offset + length == size);
		headers_out += BLOCK_HEADER_SIZE;
	}
}

void frame_store(const uint8_t *content, size_t size, uint8_t *out)
{
	uint8_t headers[FRAME_STORED_HEADERS];
	const uint8_t *header = headers;
	size_t header_size = FRAME_STORED_HEADER;

	frame_stored_headers(size, headers);
	for (size_t offset = 0; offset < size; offset += FRAME_BLOCK_SIZE) {
		size_t length = block_size(size, offset);

		memcpy(out, header, header_size);
		memcpy(out + header_size, content + offset, length);
		out += header_size + length;
		header += header_size;
		header_size = FRAME_STORED_BLOCK_HEADER;
	}
}

bool frame_size_is_stored(size_t stored_size, size_t content_size)
{
	return content_size >= 1 && content_size <= FRAME_SIZE_MAX &&
	       stored_size == frame_bound(content_size);
}

bool frame_is_stored(const uint8_t *in, size_t size, size_t content_size)
{
	struct stored_header_wire header;

	if (!frame_size_is_stored(size, content_size))
		return false;
	header = stored_header(content_size);
	if (memcmp(in, &header, sizeof(header)) != 0)
		return false;

	for (size_t offset = 0; offset < content_size; offset += FRAME_BLOCK_SIZE) {
		size_t length = block_size(content_size, offset);
		uint8_t expected[BLOCK_HEADER_SIZE];

		stored_block_header(expected, length, offset + length == content_size);
		if (memcmp(in + frame_stored_offset(content_size, offset) -
				   BLOCK_HEADER_SIZE,
			   expected, sizeof(expected)) != 0)
			return false;
	}
	return true;
}

size_t frame_stored_offset(size_t content_size, size_t content_offset)
{
	assert(content_offset < content_size && content_size <= FRAME_SIZE_MAX);
	(void)content_size;
	return sizeof(struct stored_header_wire) +
	       BLOCK_HEADER_SIZE * (content_offset / FRAME_BLOCK_SIZE + 1) +
	       content_offset;
}

int frame_decoder_new(struct frame_decoder **out, struct error *err)
{
	autoptr(frame_decoder) decoder = calloc(1, sizeof(*decoder));

	if (decoder)
		decoder->context = ZSTD_createDCtx();
	if (!decoder || !decoder->context)
		return error_set(err, -ENOMEM, "decompression context");

	*out = take_ptr(decoder);
	return 0;
}

void frame_decoder_free(struct frame_decoder *decoder)
{
	if (!decoder)
		return;
	(void)ZSTD_freeDCtx(decoder->context);
	free(decoder);
}

static void copy_stored(const uint8_t *in, uint8_t *out, size_t content_size)
{
	for (size_t offset = 0; offset < content_size; offset += FRAME_BLOCK_SIZE)
		memcpy(out + offset, in + frame_stored_offset(content_size, offset),
		       block_size(content_size, offset));
}

static int check_announced(const uint8_t *in, size_t size, size_t content_size,
			   struct error *err)
{
	if (content_size < 1 || content_size > FRAME_SIZE_MAX ||
	    ZSTD_getFrameContentSize(in, size) != content_size)
		return error_set(err, -EBADMSG, "not a frame of %zu bytes of content",
				 content_size);
	return 0;
}

int frame_decode(struct frame_decoder *decoder, const uint8_t *in, size_t size,
		 uint8_t *out, size_t content_size, struct error *err)
{
	size_t written;
	int r;

	if (frame_is_stored(in, size, content_size)) {
		copy_stored(in, out, content_size);
		return 0;
	}

	r = check_announced(in, size, content_size, err);
	if (r < 0)
		return r;
	if (size >= frame_bound(content_size))
		return error_set(err, -EBADMSG, "frame of %zu bytes is too large", size);
	if (ZSTD_findFrameCompressedSize(in, size) != size)
		return error_set(err, -EBADMSG, "frame does not fill its %zu bytes",
				 size);
	written = ZSTD_decompressDCtx(decoder->context, out, content_size, in, size);
	if (ZSTD_isError(written))
		return error_set(err, -EBADMSG, "zstd: %s", ZSTD_getErrorName(written));
	if (written != content_size)
		return error_set(err, -EBADMSG,
				 "frame has %zu bytes of content, want %zu", written,
				 content_size);
	return 0;
}

static int stream_failed(size_t result, struct error *err)
{
	if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
		return error_set(err, -ENOMEM, "zstd: no memory for its window");
	return error_set(err, -EBADMSG, "zstd: %s", ZSTD_getErrorName(result));
}

/* Decode until @output is full or the input ends. */
static int decode_some(struct frame_decoder *decoder, ZSTD_outBuffer *output,
		       ZSTD_inBuffer *input, struct error *err)
{
	size_t left = 1;

	while (output->pos < output->size && left > 0) {
		size_t before = input->pos + output->pos;

		left = ZSTD_decompressStream(decoder->context, output, input);
		if (ZSTD_isError(left))
			return stream_failed(left, err);
		if (input->pos + output->pos == before)
			return 0; /* the input has ended */
	}
	if (left == 0 && output->pos < output->size)
		return error_set(err, -EBADMSG, "frame ends early");
	return 0;
}

int frame_decode_prefix(struct frame_decoder *decoder, const uint8_t *in, size_t size,
			uint8_t *out, size_t prefix_size, size_t content_size,
			size_t *prefix_out, struct error *err)
{
	bool last_alone = prefix_size > 1 && prefix_size < content_size;
	ZSTD_outBuffer output = { .dst = out, .size = prefix_size - last_alone };
	ZSTD_inBuffer input = { .src = in, .size = size };
	int r;

	assert(prefix_size >= 1 && prefix_size <= content_size);
	r = check_announced(in, size, content_size, err);
	if (r < 0)
		return r;
	(void)ZSTD_DCtx_reset(decoder->context, ZSTD_reset_session_only);
	r = decode_some(decoder, &output, &input, err);
	if (r == 0 && last_alone) {
		output.size = prefix_size;
		input.size = input.pos;
		r = decode_some(decoder, &output, &input, err);
	}
	if (r == 0)
		*prefix_out = output.pos;
	return r;
}

int frame_measure(const uint8_t *in, size_t size, uint32_t *stored_size_out,
		  uint32_t *content_size_out)
{
	size_t stored_size = ZSTD_findFrameCompressedSize(in, size);
	unsigned long long content_size;

	if (ZSTD_isError(stored_size) || stored_size > FRAME_STORED_MAX)
		return -EBADMSG;
	content_size = ZSTD_getFrameContentSize(in, size);
	if (content_size < 1 || content_size > FRAME_SIZE_MAX) /* unknown is huge, too */
		return -EBADMSG;
	*stored_size_out = (uint32_t)stored_size;
	*content_size_out = (uint32_t)content_size;
	return 0;
}
