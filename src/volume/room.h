/* SPDX-License-Identifier: MIT */
#pragma once
/* End of space, and what sizes of stripes follow from memory and space: pure arithmetic.
 *
 * Space has two measures: the bytes written count towards max_size, holes do not; the span,
 * with holes, is what the medium's capacity bounds. Everything here is an upper bound of
 * what writing takes, so that what was promised always fits.
 */
#include "volume/geometry.h"

#include <stdbool.h>
#include <stddef.h>

#define RECORD_LISTS_MAX (512u << 10) /* bytes of places in one record */
#define ROOM_RECORD_EXTRA (16u << 10) /* bytes: its head, stripes, the own one */
#define ROOM_RECORD_SIZE (RECORD_LISTS_MAX + ROOM_RECORD_EXTRA) /* bytes, without heads */
#define LOG_TIER_SIZE 10000000u /* bytes: smaller commits may have k = 1 */

struct space {
	uint64_t bytes; /* written */
	uint64_t span;  /* from the first to the last byte, holes included */
};

/* What a volume's stripes have in common. */
struct room_policy {
	unsigned data, parity; /* k and m of data stripes */
	unsigned frames_max;   /* the largest f that memory allows */
	uint64_t spread;       /* bytes */
	bool tiered;           /* commits below LOG_TIER_SIZE have k = 1 */
};

struct stripe_fill;

/* Parity extents of a record stripe: max(m, 2). */
unsigned room_record_parity(unsigned parity);

/* One record of @size bytes. */
struct space room_record(const struct room_policy *policy, size_t size);

/* The records that must still fit behind the data: a placement, a commit and an end, with
 * @lists bytes of places. */
struct space room_reserve(const struct room_policy *policy, uint64_t lists);

/* A stripe of @extents data extents with @area bytes of leaf area in all, the longest of
 * them @rows. */
struct space room_stripe(const struct geometry *geometry, unsigned extents, uint64_t area,
			 uint32_t rows);

struct space room_add(struct space a, struct space b);
bool room_within(struct space need, struct space have);

/* f of the next stripe of a commit that has @bytes so far: growing with it, and such that a
 * full stripe fits into @have if one with less than frames_max does. */
unsigned room_stream_frames(const struct room_policy *policy, uint64_t bytes,
			    struct space have);

/* The fewest frames with which @data extents surely hold @bytes in atoms of up to @largest
 * bytes; EXTENT_FRAMES_MAX + 1 if none do. */
unsigned room_frames_holding(unsigned data, uint64_t bytes, size_t largest);

/* What the open stripe of @fill takes with @size more bytes in its last extent, or in a new
 * one. */
struct space room_fill(const struct stripe_fill *fill, size_t size, bool new_extent);

/* k of the one stripe of a commit of @bytes that was held back. */
unsigned room_staged_data(const struct room_policy *policy, uint64_t bytes);

/* What @bytes in @atoms atoms of up to @largest bytes take as one stripe over @data extents. */
struct space room_staged(const struct room_policy *policy, unsigned data, uint64_t bytes,
			 unsigned atoms, size_t largest);

/* Bytes of atoms (of a few KiB or more, on average) that can surely be appended with @have
 * left: when no stripe is open and the commit has @bytes so far; to an open one; and when
 * @staged bytes of at most @limit are held back. */
uint64_t room_payload(const struct room_policy *policy, uint64_t bytes,
		      struct space have);
uint64_t room_open(const struct room_policy *policy, const struct stripe_fill *fill,
		   uint64_t bytes, struct space have);
uint64_t room_unstaged(const struct room_policy *policy, uint64_t staged, uint64_t limit,
		       struct space have);

/* Whether an empty volume of @max_size bytes surely takes @bytes of atoms behind its header
 * and its list of names, when at most @limit bytes are held back. */
bool room_in_new(const struct room_policy *policy, uint64_t limit, uint64_t max_size,
		 uint64_t bytes);
