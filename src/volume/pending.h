/* SPDX-License-Identifier: MIT */
#pragma once
/* What no record lists yet: closed stripes, and places of segments and pages. Threads: one
 * at a time. */
#include "volume/record.h"

struct pending {
	struct stripe_info *stripes; /* owned, like all arrays here */
	size_t stripe_count;
	struct segment_place *segments;
	size_t segment_count, segment_reserved;
	struct page_place *pages;
	size_t page_count, page_reserved;
	struct segment_place *foreign;
	size_t foreign_count, foreign_reserved;
	struct group *groups;
	size_t group_count, group_reserved;
};

/* Add a copy. A stripe's extents are taken over on success. -ENOMEM. */
int pending_add_stripe(struct pending *pending, struct stripe_info *stripe);
int pending_add_segment(struct pending *pending, const struct segment_place *segment);
int pending_add_foreign(struct pending *pending, const struct segment_place *segment);
int pending_add_page(struct pending *pending, const struct page_place *page);

/* Takes @group over on success. -ENOMEM. */
int pending_add_group(struct pending *pending, struct group *group);

/* Bytes that the place of what begins with @atom will take in a record; 0 for most atoms. */
uint64_t pending_expect(const uint8_t *atom, size_t size);

/* Bytes that the places take in records. */
uint64_t pending_size(const struct pending *pending);

/* Whether there are foreign segments, or places that end at or before @log_end. */
bool pending_has_places(const struct pending *pending, uint64_t log_end);

/* Move all stripes to the end of @record's, and places that end at or before @log_end, in
 * order, up to about @limit bytes of them. -ENOMEM: nothing was moved or some; both own
 * valid lists. */
int pending_take(struct pending *pending, uint64_t log_end, size_t limit,
		 struct record *record);

void pending_done(struct pending *pending);
