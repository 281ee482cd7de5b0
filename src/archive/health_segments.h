/* SPDX-License-Identifier: MIT */
#pragma once
/* The segments, and tree pages, that damage in volumes lies in. One thread at a time. */
#include "merkle/hash.h"
#include "volume/scrub.h"

#include <stddef.h>

struct archive;
struct damage_list;
struct error;
struct uuid;

struct damaged_segment {
	struct hash id;
	uint64_t index;
	enum scrub_outcome worst;
	unsigned margin; /* the least of its stripes */
};

struct damaged_segments {
	struct damaged_segment *items; /* owned; in order of id and index */
	size_t count, capacity;
	uint64_t damaged_pages, lost_pages;
};

/* Find them by the places in the catalog. @volumes are those that ranges name by number. */
int damaged_segments_find(struct archive *archive, const struct uuid *volumes,
			  const struct damage_list *damage,
			  struct damaged_segments *segments_out, struct error *err);
void damaged_segments_done(struct damaged_segments *segments);

/* The segment with this id at this index; NULL if nothing is wrong with it. */
const struct damaged_segment *damaged_segments_get(
	const struct damaged_segments *segments, const struct hash *id, uint64_t index);
