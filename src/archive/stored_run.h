/* SPDX-License-Identifier: MIT */
#pragma once
/* Stored frames of a segment as they were fetched last: neighbours that were asked for
 * together, or are likely to be asked for next.
 *
 * Threads: one at a time.
 */
#include "chunker/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct segment_ref;
struct source;

#define STORED_RUN_SIZE ((1u << 20) + 4096u) /* bytes: a MiB of content, stored */

struct stored_run {
	struct source *source; /* borrowed */
	bool ahead;            /* fetch more than is wanted while that is in order */
	uint8_t *data;         /* STORED_RUN_SIZE bytes */
	uint32_t first;        /* frames [first, first + count) */
	uint32_t count;
	uint32_t expected; /* the frame that comes next if reading goes on in order */
	unsigned streak;   /* runs fetched in order so far */
};

/* Fetches from @source, which is borrowed, and ahead. -ENOMEM. stored_run_done() frees. */
int stored_run_init(struct stored_run *run, struct source *source, struct error *err);
void stored_run_done(struct stored_run *run);

/* What comes is of another segment than @old, which may be NULL. From the last frame of one
 * segment to the first of another is in order. */
void stored_run_enter(struct stored_run *run, const struct segment_ref *old);

/* *stored_out: the stored bytes of frame @number, until the next call; @wanted bytes of
 * content are wanted from its start on (0: a part of this frame only). Errors of
 * source_frames(). */
int stored_run_get(struct stored_run *run, const struct segment_ref *segment,
		   uint32_t number, size_t wanted, const uint8_t **stored_out,
		   struct error *err);

static inline bool stored_run_holds(const struct stored_run *run, uint32_t number)
{
	return number - run->first < run->count;
}

/* Its memory, STORED_RUN_SIZE bytes, for something else until the next call. */
static inline uint8_t *stored_run_scratch(struct stored_run *run)
{
	run->count = 0;
	return run->data;
}
