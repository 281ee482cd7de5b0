/* SPDX-License-Identifier: MIT */
#pragma once
/* The inside of a segment reader, for segment_reader.c and segment_load.c only. */
#include "archive/segment_reader.h"
#include "archive/stored_run.h"

struct frame_decoder;

struct segment_reader {
	struct source *source;     /* borrowed */
	struct frame_cache *cache; /* borrowed, or NULL */
	struct frame_decoder *decoder;
	bool shares;                       /* others want the same frames */
	bool serves;                       /* and leaves are proof enough */
	const struct segment_ref *segment; /* the current one, or NULL */
	struct stored_run run;
	struct frame
		last; /* the last one decoded outside the cache: FRAME_SIZE_MAX bytes */
	uint32_t last_size; /* bytes of it that are there; 0: none */
	struct segment_counters counters;
};

/* Frame @number of the current segment, as the cache knows it. */
struct frame_key segment_reader_key(const struct segment_reader *reader, uint32_t number);

/* Load frame @number into @frame, which the cache gave to load; it is told the outcome.
 * @wanted as in stored_run_get(). On failure the frame is not the caller's any more. */
int segment_reader_fill(struct segment_reader *reader, uint32_t number, size_t wanted,
			struct frame *frame, struct error *err);
