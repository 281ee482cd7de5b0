/* SPDX-License-Identifier: MIT */
#include "archive/copies.h"

#include "archive/archive.h"
#include "archive/places.h"
#include "archive/volume_list.h"
#include "archive/volume_set.h"
#include "base/config.h"
#include "base/error.h"
#include "catalog/placement.h"
#include "catalog/remembered.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_LAST 63u /* bit of all places that have none of their own */

void copies_done(struct copies *copies)
{
	for (size_t i = 0; i < copies->count; i++)
		free((char *)(uintptr_t)copies->volumes[i].file);
	free(copies->volumes);
	*copies = (struct copies){ 0 };
}

/* The number of the place that @file lies in: that of an earlier volume there, or a new one.
 * A volume that was never seen is in a place of its own. */
static unsigned place_number(const struct copies *copies, const char *file,
			     unsigned *next)
{
	for (size_t i = 0; *file && i < copies->count; i++)
		if (copies->volumes[i].place != UINT_MAX && *copies->volumes[i].file &&
		    places_same(copies->volumes[i].file, file))
			return copies->volumes[i].place;
	if (*next < PLACE_LAST)
		return (*next)++;
	return PLACE_LAST;
}

/* What is on a volume follows from its last record. */
static void hash_volume(struct copies *copies, const struct volume_row *row,
			const struct copy_volume *volume)
{
	struct {
		struct hash before, record;
		struct uuid uuid;
		uint64_t record_count, place, attached;
	} state = { copies->cause,     row->record_hash, row->uuid,
		    row->record_count, volume->place,    volume->attached };

	static_assert(sizeof(state) == 2 * HASH_SIZE + UUID_SIZE + 24, "no padding");
	hash_bytes(&state, sizeof(state), &copies->cause);
}

static int add_volume(struct archive *archive, const struct volume_row *row,
		      struct copies *copies, unsigned *next, struct error *err)
{
	struct copy_volume *volume = &copies->volumes[copies->count];
	autofree char *file = NULL;
	int r;

	r = volume_set_find_file(archive_volumes(archive), &row->uuid, &file, NULL);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for a path");
	volume->uuid = row->uuid;
	volume->attached = r == 0;
	volume->file = file ? take_ptr(file) : strdup(row->file);
	if (!volume->file)
		return error_set(err, -ENOMEM, "no memory for a path");
	volume->place =
		row->retired ? UINT_MAX : place_number(copies, volume->file, next);
	hash_volume(copies, row, volume);
	copies->count++;
	return 0;
}

/* Places that are there, each counted once. */
static unsigned count_places(const struct places *places)
{
	unsigned count = 0;
	struct stat st;

	for (size_t i = 0; i < places_count(places); i++)
		count += places_stat(places, i, &st) == 0;
	return count;
}

int copies_load(struct archive *archive, struct catalog *catalog,
		struct copies *copies_out, struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	autocopies struct copies copies = { 0 };
	unsigned next = 0;
	int r;

	r = volume_list_load(catalog, &list, err);
	if (r < 0)
		return r;
	copies.volumes = calloc(list.count + 1, sizeof(*copies.volumes));
	if (!copies.volumes)
		return error_set(err, -ENOMEM, "no memory for the list of volumes");
	for (size_t i = 0; r == 0 && i < list.count; i++)
		r = add_volume(archive, &list.rows[i], &copies, &next, err);
	if (r < 0)
		return r;
	copies.wanted = archive_config(archive)->volume.copies;
	copies.cause.bytes[0] ^= (uint8_t)copies.wanted; /* CONFIG_COPIES_MAX is small */
	copies.usable = count_places(archive_places(archive));
	if (copies.usable > copies.wanted)
		copies.usable = copies.wanted;
	*copies_out = copies;
	copies = (struct copies){ 0 };
	return 0;
}

void copies_add(const struct copies *copies, const struct uuid *uuid,
		struct copy_set *set)
{
	for (size_t i = 0; i < copies->count; i++) {
		const struct copy_volume *volume = &copies->volumes[i];

		if (memcmp(&volume->uuid, uuid, UUID_SIZE) != 0)
			continue;
		if (volume->place == UINT_MAX)
			return;
		set->places |= UINT64_C(1) << volume->place;
		if (volume->attached)
			set->attached |= UINT64_C(1) << volume->place;
		return;
	}
}

unsigned copies_count(const struct copy_set *set)
{
	return (unsigned)__builtin_popcountll(set->places);
}

bool copies_suffice(const struct copies *copies, const struct copy_set *set)
{
	if (set->attached == 0)
		return false;
	return copies_count(set) >= copies->wanted ||
	       (unsigned)__builtin_popcountll(set->attached) >= copies->usable;
}

/* ---- everything ---- */

/* Sums up places that follow each other and are of the same thing. */
struct sum {
	const struct copies *copies;
	struct copies_missing *missing;
	const struct uuid *only; /* for copies_only_on() */
	uint64_t only_bytes;
	bool pages;
	bool any;
	struct hash id; /* of what is being counted; any */
	uint64_t index;
	uint64_t size;
	bool on_volume, elsewhere; /* for copies_only_on() */
	struct copy_set set;
};

static void end_thing(struct sum *sum)
{
	struct copies_missing *missing = sum->missing;
	unsigned count = copies_count(&sum->set);

	if (!sum->any)
		return;
	if (sum->on_volume && !sum->elsewhere)
		sum->only_bytes += sum->size;
	if (count < missing->least)
		missing->least = count;
	if (count >= sum->copies->wanted)
		return;
	if (sum->pages) {
		missing->pages++;
		missing->page_bytes += sum->size;
	} else {
		missing->segments++;
		missing->bytes += sum->size;
	}
	if (sum->set.attached == 0)
		missing->unreadable += sum->size;
}

static void add_place(struct sum *sum, const struct hash *id, uint64_t index,
		      uint64_t size, const struct uuid *volume)
{
	struct copy_set one = { 0 };

	if (!sum->any || !hash_equal(&sum->id, id) || sum->index != index) {
		end_thing(sum);
		sum->any = true;
		sum->id = *id;
		sum->index = index;
		sum->size = size;
		sum->set = (struct copy_set){ 0 };
		sum->on_volume = sum->elsewhere = false;
	}
	copies_add(sum->copies, volume, &sum->set);
	if (!sum->only)
		return;
	copies_add(sum->copies, volume, &one);
	if (memcmp(sum->only, volume, UUID_SIZE) == 0)
		sum->on_volume = true;
	else
		sum->elsewhere |= one.places != 0;
}

static int visit_segment(void *context, const struct segment_place *place)
{
	add_place(context, &place->id, place->index, place->stored_size, &place->volume);
	return 0;
}

static int visit_page(void *context, const struct page_place *place,
		      const struct uuid *volume)
{
	add_place(context, &place->hash, 0, place->stored_size, volume);
	return 0;
}

static int sum_up(struct sum *sum, struct catalog *catalog, struct error *err)
{
	int r;

	r = catalog_visit_segments(catalog, visit_segment, sum, err);
	if (r < 0)
		return r;
	end_thing(sum);
	sum->any = false;
	sum->pages = true;
	r = catalog_visit_pages(catalog, visit_page, sum, err);
	if (r == 0)
		end_thing(sum);
	return r;
}

#define MISSING_NAME "copies_missing"
#define MISSING_NUMBERS 6

static int recall(const struct copies *copies, struct catalog *catalog,
		  struct copies_missing *missing, struct error *err)
{
	uint64_t numbers[MISSING_NUMBERS];
	int r = catalog_recall(catalog, MISSING_NAME, &copies->cause, numbers,
			       MISSING_NUMBERS, err);

	if (r == 0)
		*missing = (struct copies_missing){
			.segments = numbers[0],
			.bytes = numbers[1],
			.pages = numbers[2],
			.page_bytes = numbers[3],
			.unreadable = numbers[4],
			.least = (unsigned)numbers[5],
		};
	return r;
}

/* Who can't, because somebody else is writing, finds it out again. */
static void remember(const struct copies *copies, struct catalog *catalog,
		     const struct copies_missing *missing)
{
	const uint64_t numbers[MISSING_NUMBERS] = {
		missing->segments,   missing->bytes,      missing->pages,
		missing->page_bytes, missing->unreadable, missing->least,
	};

	(void)catalog_remember(catalog, MISSING_NAME, &copies->cause, numbers,
			       MISSING_NUMBERS, NULL);
}

int copies_find_missing(const struct copies *copies, struct catalog *catalog,
			struct copies_missing *missing_out, struct error *err)
{
	struct copies_missing missing = { .least = UINT_MAX };
	struct sum sum = { .copies = copies, .missing = &missing };
	int r = recall(copies, catalog, &missing, err);

	if (r == CATALOG_END) {
		r = sum_up(&sum, catalog, err);
		if (r == 0)
			remember(copies, catalog, &missing);
	}
	if (r == 0)
		*missing_out = missing;
	return r;
}

int copies_only_on(const struct copies *copies, struct catalog *catalog,
		   const struct uuid *volume, uint64_t *bytes_out, struct error *err)
{
	struct copies_missing missing = { .least = UINT_MAX };
	struct sum sum = { .copies = copies, .missing = &missing, .only = volume };
	int r = sum_up(&sum, catalog, err);

	if (r == 0)
		*bytes_out = sum.only_bytes;
	return r;
}
