/* SPDX-License-Identifier: MIT */
#pragma once
/* Where the stored bytes of a segment lie in its volume's log. They follow each other, but
 * a stripe may have ended within the segment, and then a placement record stands between
 * two of its atoms. So a segment is a list of runs, mostly one. Immutable once found.
 */
#include "volume/record.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct volume_set;

struct segment_run {
	uint32_t offset;     /* of its first byte, in the segment's stored bytes */
	uint32_t size;       /* bytes */
	uint64_t log_offset; /* likewise, in the log */
};

struct segment_runs {
	struct segment_run *items; /* owned; in order and without gaps */
	size_t count;
};

/* Find the runs of the segment at @place, by the volume's stripes. -EBADMSG if the stripes
 * that the catalog knows do not hold it all. */
int segment_runs_find(struct volume_set *volumes, const struct segment_place *place,
		      struct segment_runs *runs_out, struct error *err);

/* Read @size stored bytes at @offset. -EBADMSG, -ENOMEDIUM, ... as volume_set_read(). */
int segment_runs_read(const struct segment_runs *runs, struct volume_set *volumes,
		      const struct uuid *volume, uint32_t offset, void *data, size_t size,
		      struct error *err);

/* The same from the volume's groups, as outer_read(): a candidate. */
int segment_runs_recover(const struct segment_runs *runs, struct volume_set *volumes,
			 const struct uuid *volume, uint32_t offset, void *data,
			 size_t size, struct error *err);

/* They will be read soon: volume_set_expect(). */
void segment_runs_expect(const struct segment_runs *runs, struct volume_set *volumes,
			 const struct uuid *volume, uint32_t offset, size_t size);

void segment_runs_done(struct segment_runs *runs);
