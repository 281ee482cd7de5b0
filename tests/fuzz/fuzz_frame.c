/* SPDX-License-Identifier: MIT */
/* Input: le32 content size (its low 18 bits, plus 1), then a frame. A frame that is accepted
 * must come out the same when its content is encoded and decoded again, and a stored one
 * must hold its content where the arithmetic says, and its prefixes, also those of a shortened
 * frame, are prefixes of its content. Measuring agrees with itself. */
#include "chunker/frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t content[FRAME_SIZE_MAX];
static uint8_t again[FRAME_SIZE_MAX];
static uint8_t encoded[FRAME_STORED_MAX];

static void check_encode(struct frame_decoder *decoder, size_t content_size)
{
	static struct frame_encoder *encoder;
	size_t encoded_size = 0;

	if (!encoder && frame_encoder_new(1, &encoder, NULL) < 0)
		return;
	if (frame_encode(encoder, content, content_size, encoded, sizeof(encoded),
			 &encoded_size, NULL, NULL) < 0 ||
	    frame_decode(decoder, encoded, encoded_size, again, content_size, NULL) < 0 ||
	    memcmp(again, content, content_size) != 0)
		abort();
}

/* What is measured must lie within the input, and be the same without what follows it. */
static void check_measure(const uint8_t *data, size_t size)
{
	uint32_t stored_size, content_size, stored_again, content_again;

	if (frame_measure(data, size, &stored_size, &content_size) < 0)
		return;
	if (stored_size > size || content_size > FRAME_SIZE_MAX ||
	    frame_measure(data, stored_size, &stored_again, &content_again) < 0 ||
	    stored_again != stored_size || content_again != content_size ||
	    frame_measure(data, stored_size - 1, &stored_again, &content_again) == 0)
		abort();
}

/* Half of the content, of the whole frame and of its first half. Whether the frame was
 * accepted is known, and then its content is at hand. */
static void check_prefix(struct frame_decoder *decoder, const uint8_t *data, size_t size,
			 size_t content_size, bool accepted)
{
	size_t wanted = (content_size + 1) / 2;

	for (size_t have = size; have > size / 4; have /= 2) {
		size_t got = 0;
		int r = frame_decode_prefix(decoder, data, have, again, wanted,
					    content_size, &got, NULL);

		if (got > wanted || (r < 0 && got > 0) ||
		    (accepted && have == size && (r < 0 || got != wanted)) ||
		    (accepted && memcmp(again, content, got) != 0))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frame_decoder *decoder;
	size_t content_size;

	if (size < 4 || (!decoder && frame_decoder_new(&decoder, NULL) < 0))
		return 0;
	content_size = 1 + (data[0] | (size_t)data[1] << 8 | (size_t)(data[2] & 3) << 16);
	data += 4;
	size -= 4;

	check_measure(data, size);
	if (frame_decode(decoder, data, size, content, content_size, NULL) < 0) {
		check_prefix(decoder, data, size, content_size, false);
		return 0;
	}
	check_prefix(decoder, data, size, content_size, true);
	if (frame_is_stored(data, size, content_size)) {
		for (size_t offset = 0; offset < content_size; offset++) {
			if (data[frame_stored_offset(content_size, offset)] !=
			    content[offset])
				abort();
		}
	}
	check_encode(decoder, content_size);
	return 0;
}
