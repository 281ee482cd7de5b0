/* SPDX-License-Identifier: MIT */
#pragma once
/* Plans a pack: which whole small files share a segment, and where its frames end.
 *
 * Pure arithmetic over sizes; nobody's bytes are touched. Files are laid one after the
 * other. A file smaller than the frame size never straddles two frames, so reading it
 * decodes one frame. A larger one starts a frame and is cut every frame_size; small files
 * may follow in its last, short frame.
 *
 * Threads: one thread at a time.
 */
#include "chunker/segment.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	PACK_FILE_MAX =
		8 * 1024 * 1024 - 1, /* bytes: larger files get segments of their own */
};

struct packer {
	uint32_t frame_size;   /* nominal bytes */
	uint32_t content_size; /* bytes planned so far */
	uint32_t frame_count;  /* frames so far, the open one included */
	uint32_t frame_sizes[SEGMENT_FRAME_MAX]; /* bytes of content of each frame */
};

/* Start an empty pack. @frame_size is a power of two, SEGMENT_FRAME_SIZE_MIN .. 256 KiB. */
void packer_init(struct packer *packer, uint32_t frame_size);

/* Plan a file of @size bytes (1 .. PACK_FILE_MAX; empty files need no pack) as the next one
 * and say where its content starts in the pack. False, and nothing changed, when it does not
 * fit: encode what is planned and start a new pack. An empty pack takes every file. */
bool packer_add(struct packer *packer, uint32_t size, uint32_t *content_offset_out);
