/* SPDX-License-Identifier: MIT */
/* Next fit: a small file goes into the last frame if it fits there, and otherwise opens a
 * new one. Looking back at earlier frames with room would fill them better but scatter
 * neighbours, which are read together and compress together.
 *
 * That small files may follow a large one in its tail costs nothing: in a pack a frame's
 * hash belongs to the pack, and each file is proved by its own BLAKE3. Frames of nearly full
 * size compress better, and 2048 frames last for 32 MiB.
 */
#include "chunker/packer.h"

#include "chunker/frame.h"

#include <assert.h>

void packer_init(struct packer *packer, uint32_t frame_size)
{
	assert(frame_size >= SEGMENT_FRAME_SIZE_MIN && frame_size <= FRAME_SIZE_MAX);
	assert((frame_size & (frame_size - 1)) == 0);

	packer->frame_size = frame_size;
	packer->content_size = 0;
	packer->frame_count = 0;
}

static bool fits_last_frame(const struct packer *packer, uint32_t size)
{
	return packer->frame_count > 0 && size < packer->frame_size &&
	       size <= packer->frame_size - packer->frame_sizes[packer->frame_count - 1];
}

bool packer_add(struct packer *packer, uint32_t size, uint32_t *content_offset_out)
{
	bool shares = fits_last_frame(packer, size);
	uint32_t frames =
		shares ? 0 : (size + packer->frame_size - 1) / packer->frame_size;

	assert(size >= 1 && size <= PACK_FILE_MAX);
	if (size > SEGMENT_SIZE_MAX - packer->content_size ||
	    frames > SEGMENT_FRAME_MAX - packer->frame_count)
		return false;

	if (shares)
		packer->frame_sizes[packer->frame_count - 1] += size;
	for (uint32_t left = size; frames > 0; frames--) {
		uint32_t part = left < packer->frame_size ? left : packer->frame_size;

		packer->frame_sizes[packer->frame_count++] = part;
		left -= part;
	}
	*content_offset_out = packer->content_size;
	packer->content_size += size;
	return true;
}
