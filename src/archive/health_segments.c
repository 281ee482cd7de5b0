/* SPDX-License-Identifier: MIT */
/* Damage is known by log ranges, segments by the log offset that they start at. A segment may
 * be interrupted by records, so which runs it has is asked when it is near some damage.
 *
 * All places in the catalog are looked at once, whatever the damage: that takes a second for
 * some hundred thousand segments, and damage is rare.
 */
#include "archive/health_segments.h"

#include "archive/archive.h"
#include "archive/health_damage.h"
#include "archive/segment_runs.h"
#include "base/error.h"
#include "catalog/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Payload that records may put between two atoms of one segment, at most: it is at most as
 * long as two stripes are wide. */
#define INTERRUPTION_MAX (4u * RECORD_SIZE_MAX)

/* Damage that holds payload, in order of volume and log. */
struct log_damage {
	const struct damage_range **items; /* owned */
	size_t count;
};

struct finding_segments {
	struct archive *archive;
	const struct uuid *volumes;
	struct log_damage damage;
	struct damaged_segments *segments;
	struct error *err;
};

static int compare_ranges(const void *a, const void *b, void *context)
{
	const struct damage_range *x = *(const struct damage_range *const *)a;
	const struct damage_range *y = *(const struct damage_range *const *)b;
	const struct uuid *volumes = context;
	int order = memcmp(&volumes[x->volume], &volumes[y->volume], UUID_SIZE);

	if (order != 0)
		return order;
	return x->log_offset < y->log_offset ? -1 : x->log_offset > y->log_offset;
}

static int sort_damage(const struct damage_list *damage, const struct uuid *volumes,
		       struct log_damage *out, struct error *err)
{
	struct uuid *order =
		(struct uuid *)(uintptr_t)volumes; /* qsort_r() wants it so */

	out->items = calloc(damage->count + 1, sizeof(*out->items));
	if (!out->items)
		return error_set(err, -ENOMEM, "no memory for the list of damage");
	for (size_t i = 0; i < damage->count; i++)
		if (damage->items[i].log_size > 0)
			out->items[out->count++] = &damage->items[i];
	qsort_r(out->items, out->count, sizeof(*out->items), compare_ranges, order);
	return 0;
}

/* What is wrong in [start, end) of the log of @volume. */
struct overlap {
	bool any;
	enum scrub_outcome worst;
	unsigned margin;
};

static void look(const struct finding_segments *finding, const struct uuid *volume,
		 uint64_t start, uint64_t end, struct overlap *overlap)
{
	const struct log_damage *damage = &finding->damage;
	size_t low = 0, high = damage->count;

	/* The first range of that volume that ends behind @start. */
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct damage_range *range = damage->items[middle];
		int order = memcmp(&finding->volumes[range->volume], volume, UUID_SIZE);

		if (order == 0)
			order = range->log_offset + range->log_size <= start ? -1 : 1;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < damage->count; low++) {
		const struct damage_range *range = damage->items[low];

		if (memcmp(&finding->volumes[range->volume], volume, UUID_SIZE) != 0 ||
		    range->log_offset >= end)
			return;
		if (!overlap->any || range->outcome > overlap->worst)
			overlap->worst = range->outcome;
		if (!overlap->any || range->margin < overlap->margin)
			overlap->margin = range->margin;
		overlap->any = true;
	}
}

static int add_segment(struct damaged_segments *segments,
		       const struct segment_place *place, const struct overlap *overlap)
{
	if (segments->count == segments->capacity) {
		size_t capacity = segments->capacity ? 2 * segments->capacity : 64;
		struct damaged_segment *grown =
			realloc(segments->items, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		segments->items = grown;
		segments->capacity = capacity;
	}
	segments->items[segments->count++] = (struct damaged_segment){
		.id = place->id,
		.index = place->index,
		.worst = overlap->worst,
		.margin = overlap->margin,
	};
	return 0;
}

static int look_at_segment(void *context, const struct segment_place *place)
{
	struct finding_segments *finding = context;
	struct segment_runs runs = { 0 };
	struct overlap overlap = { 0 };
	int r;

	look(finding, &place->volume, place->log_offset,
	     place->log_offset + place->stored_size + INTERRUPTION_MAX, &overlap);
	if (!overlap.any)
		return 0;
	r = segment_runs_find(archive_volumes(finding->archive), place, &runs,
			      finding->err);
	if (r < 0)
		return r;
	overlap = (struct overlap){ 0 };
	for (size_t i = 0; i < runs.count; i++)
		look(finding, &place->volume, runs.items[i].log_offset,
		     runs.items[i].log_offset + runs.items[i].size, &overlap);
	segment_runs_done(&runs);
	if (!overlap.any)
		return 0;
	r = add_segment(finding->segments, place, &overlap);
	return r < 0 ? error_set(finding->err, r, "no memory for damaged segments") : 0;
}

static int look_at_page(void *context, const struct page_place *place,
			const struct uuid *volume)
{
	struct finding_segments *finding = context;
	struct overlap overlap = { 0 };

	look(finding, volume, place->log_offset, place->log_offset + place->stored_size,
	     &overlap);
	finding->segments->damaged_pages += overlap.any;
	finding->segments->lost_pages += overlap.any && overlap.worst == SCRUB_LOST;
	return 0;
}

static int compare_segments(const void *a, const void *b)
{
	const struct damaged_segment *x = a, *y = b;
	int order = memcmp(&x->id, &y->id, HASH_SIZE);

	if (order != 0)
		return order;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* In order, and each once: a segment may be damaged in several places. */
static void sort_segments(struct damaged_segments *segments)
{
	size_t count = 0;

	if (segments->count == 0)
		return;
	qsort(segments->items, segments->count, sizeof(*segments->items),
	      compare_segments);
	for (size_t i = 1; i < segments->count; i++) {
		struct damaged_segment *last = &segments->items[count];
		const struct damaged_segment *item = &segments->items[i];

		if (compare_segments(last, item) != 0) {
			segments->items[++count] = *item;
			continue;
		}
		if (item->worst > last->worst)
			last->worst = item->worst;
		if (item->margin < last->margin)
			last->margin = item->margin;
	}
	segments->count = count + 1;
}

static int find_all(struct finding_segments *finding)
{
	struct catalog *catalog = archive_catalog(finding->archive);
	int r;

	r = catalog_visit_segments(catalog, look_at_segment, finding, finding->err);
	if (r == 0)
		r = catalog_visit_pages(catalog, look_at_page, finding, finding->err);
	return r;
}

int damaged_segments_find(struct archive *archive, const struct uuid *volumes,
			  const struct damage_list *damage,
			  struct damaged_segments *segments_out, struct error *err)
{
	struct damaged_segments segments = { 0 };
	struct finding_segments finding = {
		.archive = archive,
		.volumes = volumes,
		.segments = &segments,
		.err = err,
	};
	int r;

	r = sort_damage(damage, volumes, &finding.damage, err);
	if (r == 0)
		r = find_all(&finding);
	free(finding.damage.items);
	if (r < 0) {
		damaged_segments_done(&segments);
		return r;
	}
	sort_segments(&segments);
	*segments_out = segments;
	return 0;
}

void damaged_segments_done(struct damaged_segments *segments)
{
	free(segments->items);
	*segments = (struct damaged_segments){ 0 };
}

const struct damaged_segment *damaged_segments_get(
	const struct damaged_segments *segments, const struct hash *id, uint64_t index)
{
	const struct damaged_segment wanted = { .id = *id, .index = index };

	if (segments->count == 0)
		return NULL;
	return bsearch(&wanted, segments->items, segments->count, sizeof(wanted),
		       compare_segments);
}
