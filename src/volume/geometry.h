/* SPDX-License-Identifier: MIT */
#pragma once
/* Geometry of a stripe: where its extents, pages and leaves lie. Pure arithmetic over the
 * nominal parameters, docs/format.md 2.1. Immutable values; any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#define PAGE_SIZE_BYTES 4096u  /* bytes: page and sector */
#define LEAF_SIZE 65536u       /* bytes */
#define LEAF_SECTORS 16u       /* sectors of a leaf */
#define TABLE_PAGE_ENTRIES 41u /* leaf entries of a table page */
#define ATOM_SIZE_MAX 262159u  /* bytes: a stored frame of 256 KiB */
#define EXTENT_FRAMES_MIN 2u
#define EXTENT_FRAMES_MAX 128u
#define GEOMETRY_STRIDE_MAX (UINT64_C(0xfffff) * PAGE_SIZE_BYTES) /* u32 frame sizes */

/* Nominal parameters of a stripe. */
struct geometry {
	unsigned data;   /* k, nominal data extents */
	unsigned parity; /* m, parity extents */
	unsigned frames; /* f, stored 256 KiB frames that an extent holds */
	uint64_t stride; /* bytes from the start of one extent to the start of the next */
};

/* Fill *geometry_out for (data, parity, frames) with the smallest stride that is at least
 * @spread bytes (a multiple of 4096, at most GEOMETRY_STRIDE_MAX). Parameters must be in
 * range (asserted). */
void geometry_init(struct geometry *geometry_out, unsigned data, unsigned parity,
		   unsigned frames, uint64_t spread);

/* True if all parameters, as read from a medium, are in range and the stride fits. */
bool geometry_valid(const struct geometry *geometry);

unsigned geometry_leaves(const struct geometry *geometry);       /* n */
unsigned geometry_data_pages(const struct geometry *geometry);   /* P */
unsigned geometry_page_leaves(const struct geometry *geometry);  /* Q */
unsigned geometry_parity_pages(const struct geometry *geometry); /* P' */
uint64_t geometry_parity_extent_size(
	const struct geometry *geometry);                            /* largest, bytes */
uint64_t geometry_data_extent_size(const struct geometry *geometry); /* largest, bytes */

/* Bytes of payload that an extent can hold: n leaves, less the padding frame's header
 * (extents never touch, so there always is a padding frame). */
uint32_t geometry_payload_max(const struct geometry *geometry);

/* Bytes of the leaf area that holds @payload_size bytes: with the header of the padding
 * frame, up to the next multiple of 4096. */
uint32_t geometry_area_size(uint32_t payload_size);

/* Frames (f) so that an extent holds @bytes of payload, clamped to the legal range. */
unsigned geometry_frames_for(uint64_t bytes);
