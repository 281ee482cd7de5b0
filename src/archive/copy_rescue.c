/* SPDX-License-Identifier: MIT */
/* Copies lie at other log offsets, and leaves begin elsewhere in them, but segments and pages
 * are the same byte for byte where they were stored once and copied, or written by several
 * lanes. So a stretch of the log is mapped to the segments and pages that it is of, and those
 * are read where they lie elsewhere. Payload of records is not among them: each volume has its
 * own.
 */
#include "archive/copy_rescue.h"

#include "archive/archive.h"
#include "archive/segment_runs.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/error.h"
#include "catalog/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A segment or page of the volume. */
struct thing {
	struct hash id;
	uint64_t index; /* of a segment */
	uint64_t log_offset;
	uint32_t stored_size;
	bool is_page;
};

struct copy_rescue {
	struct volume_set *volumes;
	struct budget *budget;
	struct uuid volume;
	struct thing *things; /* owned; by log offset */
	size_t count, room;
	size_t reserved;
};

void copy_rescue_free(struct copy_rescue *rescue)
{
	if (!rescue)
		return;
	budget_release(rescue->budget, rescue->reserved);
	free(rescue->things);
	free(rescue);
}

static int grow(struct copy_rescue *rescue)
{
	size_t room = rescue->room ? 2 * rescue->room : 1024;
	size_t more = (room - rescue->room) * sizeof(struct thing);
	struct thing *grown;

	if (budget_reserve(rescue->budget, more, "places of copies", NULL) < 0)
		return -ENOMEM;
	rescue->reserved += more;
	grown = realloc(rescue->things, room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	rescue->things = grown;
	rescue->room = room;
	return 0;
}

static int add(struct copy_rescue *rescue, const struct thing *thing)
{
	if (rescue->count == rescue->room && grow(rescue) < 0)
		return -ENOMEM;
	rescue->things[rescue->count++] = *thing;
	return 0;
}

static int visit_segment(void *context, const struct segment_place *place)
{
	struct copy_rescue *rescue = context;
	const struct thing thing = { place->id, place->index, place->log_offset,
				     place->stored_size, false };

	if (memcmp(&place->volume, &rescue->volume, UUID_SIZE) != 0)
		return 0;
	return add(rescue, &thing);
}

static int visit_page(void *context, const struct page_place *place,
		      const struct uuid *volume)
{
	struct copy_rescue *rescue = context;
	const struct thing thing = { place->hash, 0, place->log_offset,
				     place->stored_size, true };

	if (memcmp(volume, &rescue->volume, UUID_SIZE) != 0)
		return 0;
	return add(rescue, &thing);
}

static int compare_offsets(const void *a, const void *b)
{
	const struct thing *x = a;
	const struct thing *y = b;

	return (x->log_offset > y->log_offset) - (x->log_offset < y->log_offset);
}

int copy_rescue_new(struct archive *archive, const struct uuid *volume,
		    struct copy_rescue **rescue_out, struct error *err)
{
	struct catalog *catalog = archive_catalog(archive);
	autoptr(copy_rescue) rescue = calloc(1, sizeof(*rescue));
	int r;

	if (!rescue)
		return error_set(err, -ENOMEM, "no memory for places of copies");
	rescue->volumes = archive_volumes(archive);
	rescue->budget = archive_budget(archive);
	rescue->volume = *volume;
	r = catalog_visit_segments(catalog, visit_segment, rescue, err);
	if (r == 0)
		r = catalog_visit_pages(catalog, visit_page, rescue, err);
	if (r < 0)
		return r;
	if (rescue->count > 1)
		qsort(rescue->things, rescue->count, sizeof(*rescue->things),
		      compare_offsets);
	*rescue_out = take_ptr(rescue);
	return 0;
}

/* What begins last at or before @log_offset, or NULL. */
static const struct thing *find(const struct copy_rescue *rescue, uint64_t log_offset)
{
	size_t low = 0, high = rescue->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rescue->things[middle].log_offset <= log_offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &rescue->things[low - 1] : NULL;
}

static bool is_own(const struct copy_rescue *rescue, const struct uuid *volume)
{
	return memcmp(volume, &rescue->volume, UUID_SIZE) == 0;
}

static int read_page(struct copy_rescue *rescue, const struct thing *thing, uint32_t skip,
		     uint8_t *data, size_t size)
{
	struct page_place place;
	struct uuid volume;

	for (unsigned nth = 0;; nth++) {
		if (volume_set_find_page(rescue->volumes, &thing->id, nth, &place,
					 &volume, NULL) != 0)
			return -ENOENT;
		if (!is_own(rescue, &volume) && place.stored_size == thing->stored_size &&
		    volume_set_read(rescue->volumes, &volume, place.log_offset + skip,
				    data, size, NULL) == 0)
			return 0;
	}
}

static int read_at(struct copy_rescue *rescue, const struct segment_place *place,
		   uint32_t skip, uint8_t *data, size_t size)
{
	struct segment_runs runs = { 0 };
	int r = segment_runs_find(rescue->volumes, place, &runs, NULL);

	if (r < 0)
		return r;
	r = segment_runs_read(&runs, rescue->volumes, &place->volume, skip, data, size,
			      NULL);
	segment_runs_done(&runs);
	return r;
}

static int read_segment(struct copy_rescue *rescue, const struct thing *thing,
			uint32_t skip, uint8_t *data, size_t size)
{
	struct segment_place place;

	for (unsigned nth = 0;; nth++) {
		if (volume_set_find_segment(rescue->volumes, &thing->id, thing->index,
					    nth, &place, NULL) != 0)
			return -ENOENT;
		if (!is_own(rescue, &place.volume) &&
		    place.stored_size == thing->stored_size &&
		    read_at(rescue, &place, skip, data, size) == 0)
			return 0;
	}
}

/* Where in the segment byte @log_offset of the log is, and how many bytes of it follow in the
 * log: a record may stand in between. */
static int locate(struct copy_rescue *rescue, const struct thing *thing,
		  uint64_t log_offset, uint32_t *skip_out, size_t *size_out)
{
	const struct segment_place own = { .id = thing->id,
					   .index = thing->index,
					   .log_offset = thing->log_offset,
					   .stored_size = thing->stored_size,
					   .volume = rescue->volume };
	struct segment_runs runs = { 0 };
	int r = segment_runs_find(rescue->volumes, &own, &runs, NULL);

	if (r < 0)
		return r;
	r = -ENOENT;
	for (size_t i = 0; r < 0 && i < runs.count; i++) {
		const struct segment_run *run = &runs.items[i];

		if (log_offset < run->log_offset ||
		    log_offset - run->log_offset >= run->size)
			continue;
		*skip_out = run->offset + (uint32_t)(log_offset - run->log_offset);
		*size_out = run->size - (size_t)(log_offset - run->log_offset);
		r = 0;
	}
	segment_runs_done(&runs);
	return r;
}

/* As much as one thing has of it; how much is *n_out. */
static int read_some(struct copy_rescue *rescue, uint64_t log_offset, uint8_t *data,
		     size_t size, size_t *n_out)
{
	const struct thing *thing = find(rescue, log_offset);
	uint32_t skip;
	int r;

	if (!thing)
		return -ENOENT;
	if (thing->is_page) {
		if (log_offset - thing->log_offset >= thing->stored_size)
			return -ENOENT;
		skip = (uint32_t)(log_offset - thing->log_offset);
		*n_out = thing->stored_size - skip;
	} else {
		r = locate(rescue, thing, log_offset, &skip, n_out);
		if (r < 0)
			return r;
	}
	if (*n_out > size)
		*n_out = size;
	return thing->is_page ? read_page(rescue, thing, skip, data, *n_out)
			      : read_segment(rescue, thing, skip, data, *n_out);
}

int copy_rescue_read(struct copy_rescue *rescue, uint64_t log_offset, void *data,
		     size_t size, struct error *err)
{
	uint8_t *out = data;

	while (size > 0) {
		size_t n = 0;
		int r = read_some(rescue, log_offset, out, size, &n);

		if (r < 0)
			return error_set(err, -ENOENT, "no copy of it can be read");
		out += n;
		log_offset += n;
		size -= n;
	}
	return 0;
}
