/* SPDX-License-Identifier: MIT */
#pragma once
/* What can be had of a segment whose own header or tables are lost beyond repair, while its
 * frames, or some of them, are not: damage shall cost what it hits. The bytes are still
 * those that were committed, because every leaf is verified against its record; but they
 * can't be compared with the segment's id, so the reference says `unproven`.
 */
#include "archive/segment_cache.h"

struct error;
struct volume_set;

/* Make up segment->ref.info from the placement, as far as loading the table needs it; the
 * table then proves itself by the segment's id. */
void segment_rescue_info(struct cached_segment *segment);

/* The header is right: make segment->ref.table by walking the frames from the segment's start. All frames behind
 * the first that can't be read become one frame of stored size 0, which nobody can read.
 * -EBADMSG if there is not even one. */
int segment_rescue_table(struct cached_segment *segment, struct volume_set *volumes,
			 struct error *err);
