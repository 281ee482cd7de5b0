/* SPDX-License-Identifier: MIT */
/* Stripes always go into the very next record, which so covers the log up to itself. Places
 * may wait: for the end of what they place to be closed, or because a record has become
 * large; they keep their order.
 */
#include "volume/pending.h"

#include "chunker/skippable.h"
#include "volume/record_wire.h"

#include <string.h>

/* Make room for one more item of @size bytes in *@array. */
static int reserve(void **array, size_t count, size_t *reserved, size_t size)
{
	size_t wanted = *reserved ? 2 * *reserved : 16;
	void *grown;

	if (count < *reserved)
		return 0;
	grown = reallocarray(*array, wanted, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*reserved = wanted;
	return 0;
}

int pending_add_stripe(struct pending *pending, struct stripe_info *stripe)
{
	struct stripe_info *grown =
		reallocarray(pending->stripes, pending->stripe_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	pending->stripes = grown;
	pending->stripes[pending->stripe_count++] = *stripe;
	stripe->extents = NULL;
	return 0;
}

int pending_add_segment(struct pending *pending, const struct segment_place *segment)
{
	int r = reserve((void **)&pending->segments, pending->segment_count,
			&pending->segment_reserved, sizeof(*segment));

	if (r < 0)
		return r;
	pending->segments[pending->segment_count++] = *segment;
	return 0;
}

int pending_add_foreign(struct pending *pending, const struct segment_place *segment)
{
	int r = reserve((void **)&pending->foreign, pending->foreign_count,
			&pending->foreign_reserved, sizeof(*segment));

	if (r < 0)
		return r;
	pending->foreign[pending->foreign_count++] = *segment;
	return 0;
}

int pending_add_page(struct pending *pending, const struct page_place *page)
{
	int r = reserve((void **)&pending->pages, pending->page_count,
			&pending->page_reserved, sizeof(*page));

	if (r < 0)
		return r;
	pending->pages[pending->page_count++] = *page;
	return 0;
}

int pending_add_group(struct pending *pending, struct group *group)
{
	int r = reserve((void **)&pending->groups, pending->group_count,
			&pending->group_reserved, sizeof(*group));

	if (r < 0)
		return r;
	pending->groups[pending->group_count++] = *group;
	*group = (struct group){ 0 };
	return 0;
}

uint64_t pending_expect(const uint8_t *atom, size_t size)
{
	unsigned kind;

	if (skippable_get(atom, size, &kind, NULL) < 0)
		return 0;
	if (kind == SKIPPABLE_SEGMENT_HEADER)
		return sizeof(struct segment_wire);
	if (kind == SKIPPABLE_TREE_PAGE || kind == SKIPPABLE_LIST_PAGE)
		return sizeof(struct place_wire);
	return 0;
}

uint64_t pending_size(const struct pending *pending)
{
	uint64_t size = pending->segment_count * sizeof(struct segment_wire) +
			pending->page_count * sizeof(struct place_wire) +
			pending->foreign_count * sizeof(struct foreign_wire);

	for (size_t i = 0; i < pending->group_count; i++)
		size += group_entry_size(&pending->groups[i]);
	return size;
}

static bool segment_ends(const struct segment_place *segment, uint64_t log_end)
{
	return segment->log_offset + segment->stored_size <= log_end;
}

static bool page_ends(const struct page_place *page, uint64_t log_end)
{
	return page->log_offset + page->stored_size <= log_end;
}

bool pending_has_places(const struct pending *pending, uint64_t log_end)
{
	for (size_t i = 0; i < pending->segment_count; i++)
		if (segment_ends(&pending->segments[i], log_end))
			return true;
	for (size_t i = 0; i < pending->page_count; i++)
		if (page_ends(&pending->pages[i], log_end))
			return true;
	for (size_t i = 0; i < pending->group_count; i++)
		if (group_log_end(&pending->groups[i]) <= log_end)
			return true;
	return pending->foreign_count > 0;
}

static int take_stripes(struct pending *pending, struct record *record)
{
	struct stripe_info *grown;

	if (pending->stripe_count == 0)
		return 0;
	grown = reallocarray(record->stripes,
			     record->stripe_count + pending->stripe_count,
			     sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memcpy(grown + record->stripe_count, pending->stripes,
	       pending->stripe_count * sizeof(*grown));
	record->stripes = grown;
	record->stripe_count += pending->stripe_count;
	pending->stripe_count = 0;
	return 0;
}

/* The four below move what they can into a new array of the record and close the gaps. */

static int take_segments(struct pending *pending, uint64_t log_end, size_t *left,
			 struct record *record)
{
	size_t kept = 0;

	if (pending->segment_count == 0)
		return 0;
	record->segments = calloc(pending->segment_count, sizeof(*record->segments));
	if (!record->segments)
		return -ENOMEM;
	for (size_t i = 0; i < pending->segment_count; i++) {
		const struct segment_place *segment = &pending->segments[i];

		if (segment_ends(segment, log_end) &&
		    *left >= sizeof(struct segment_wire)) {
			record->segments[record->segment_count++] = *segment;
			*left -= sizeof(struct segment_wire);
		} else {
			pending->segments[kept++] = *segment;
		}
	}
	pending->segment_count = kept;
	return 0;
}

static int take_pages(struct pending *pending, uint64_t log_end, size_t *left,
		      struct record *record)
{
	size_t kept = 0;

	if (pending->page_count == 0)
		return 0;
	record->pages = calloc(pending->page_count, sizeof(*record->pages));
	if (!record->pages)
		return -ENOMEM;
	for (size_t i = 0; i < pending->page_count; i++) {
		const struct page_place *page = &pending->pages[i];

		if (page_ends(page, log_end) && *left >= sizeof(struct place_wire)) {
			record->pages[record->page_count++] = *page;
			*left -= sizeof(struct place_wire);
		} else {
			pending->pages[kept++] = *page;
		}
	}
	pending->page_count = kept;
	return 0;
}

static int take_groups(struct pending *pending, uint64_t log_end, size_t *left,
		       struct record *record)
{
	size_t kept = 0;

	if (pending->group_count == 0)
		return 0;
	record->groups = calloc(pending->group_count, sizeof(*record->groups));
	if (!record->groups)
		return -ENOMEM;
	for (size_t i = 0; i < pending->group_count; i++) {
		struct group *group = &pending->groups[i];
		size_t size = group_entry_size(group);

		if (group_log_end(group) <= log_end && *left >= size) {
			record->groups[record->group_count++] = *group;
			*left -= size;
		} else {
			pending->groups[kept++] = *group;
		}
	}
	pending->group_count = kept;
	return 0;
}

static int take_foreign(struct pending *pending, size_t left, struct record *record)
{
	size_t count = left / sizeof(struct foreign_wire);

	if (count > pending->foreign_count)
		count = pending->foreign_count;
	if (count == 0)
		return 0;
	record->foreign = calloc(count, sizeof(*record->foreign));
	if (!record->foreign)
		return -ENOMEM;
	memcpy(record->foreign, pending->foreign, count * sizeof(*record->foreign));
	record->foreign_count = count;
	pending->foreign_count -= count;
	memmove(pending->foreign, pending->foreign + count,
		pending->foreign_count * sizeof(*pending->foreign));
	return 0;
}

int pending_take(struct pending *pending, uint64_t log_end, size_t limit,
		 struct record *record)
{
	int r;

	r = take_stripes(pending, record);
	if (r < 0)
		return r;
	r = take_segments(pending, log_end, &limit, record);
	if (r < 0)
		return r;
	r = take_pages(pending, log_end, &limit, record);
	if (r == 0)
		r = take_groups(pending, log_end, &limit, record);
	if (r < 0)
		return r;
	return take_foreign(pending, limit, record);
}

void pending_done(struct pending *pending)
{
	for (size_t i = 0; i < pending->stripe_count; i++)
		stripe_info_done(&pending->stripes[i]);
	free(pending->stripes);
	free(pending->segments);
	free(pending->pages);
	free(pending->foreign);
	for (size_t i = 0; i < pending->group_count; i++)
		group_done(&pending->groups[i]);
	free(pending->groups);
	*pending = (struct pending){ 0 };
}
