/* SPDX-License-Identifier: MIT */
/* Runs grow while frames are asked for in order, up to STORED_RUN_SIZE: one stored frame
 * alone costs a fifth more leaves than its share, since it begins and ends within one. A
 * frame asked for out of order is fetched alone, but what one call asks for is fetched
 * together. Where others read ahead, nothing but that is.
 */
#include "archive/stored_run.h"

#include "archive/source.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>

#define NOT_EXPECTED UINT32_MAX /* no frame would be in order */

int stored_run_init(struct stored_run *run, struct source *source, struct error *err)
{
	*run = (struct stored_run){ .source = source,
				    .ahead = true,
				    .expected = NOT_EXPECTED };
	run->data = malloc(STORED_RUN_SIZE);
	return run->data ? 0 : error_set(err, -ENOMEM, "out of memory");
}

void stored_run_done(struct stored_run *run)
{
	free(run->data);
}

void stored_run_enter(struct stored_run *run, const struct segment_ref *old)
{
	bool in_order = old && run->expected == old->table->frame_count;

	run->expected = in_order ? 0 : NOT_EXPECTED;
	run->count = 0;
}

/* Bytes that are worth fetching, wanted or not. */
static uint32_t worth(const struct stored_run *run)
{
	if (!run->ahead)
		return 0;
	return run->streak < 3 ? (uint32_t)FRAME_STORED_MAX << run->streak
			       : STORED_RUN_SIZE;
}

/* How many frames from @number on to fetch at once. */
static uint32_t run_length(const struct stored_run *run,
			   const struct segment_table *table, uint32_t number,
			   size_t wanted)
{
	uint32_t limit = worth(run);
	uint32_t size = table->frames[number].stored_size;
	size_t content = table->frames[number].content_size;
	uint32_t count = 1;

	for (; wanted > 0 && number + count < table->frame_count; count++) {
		const struct segment_frame *next = &table->frames[number + count];

		if (next->stored_size == 0 ||
		    next->stored_size > STORED_RUN_SIZE - size ||
		    (content >= wanted && size + next->stored_size > limit))
			break;
		size += next->stored_size;
		content += next->content_size;
	}
	return count;
}

static int fetch(struct stored_run *run, const struct segment_ref *segment,
		 uint32_t number, size_t wanted, struct error *err)
{
	uint32_t count;
	int r;

	run->streak = number == run->expected ? run->streak + 1 : 0;
	count = run_length(run, segment->table, number, wanted);
	run->count = 0;
	r = source_frames(run->source, segment, number, count, run->data, err);
	if (r == -EBADMSG && count > 1) {
		count = 1; /* what is lost may be another frame */
		r = source_frames(run->source, segment, number, count, run->data, err);
	}
	if (r < 0)
		return r;
	run->first = number;
	run->count = count;
	return 0;
}

int stored_run_get(struct stored_run *run, const struct segment_ref *segment,
		   uint32_t number, size_t wanted, const uint8_t **stored_out,
		   struct error *err)
{
	const struct segment_frame *frames = segment->table->frames;
	int r;

	if (!stored_run_holds(run, number)) {
		r = fetch(run, segment, number, wanted, err);
		if (r < 0)
			return r;
	}
	run->expected = number + 1;
	*stored_out = run->data +
		      (frames[number].stored_offset - frames[run->first].stored_offset);
	return 0;
}
