/* SPDX-License-Identifier: MIT */
/* Volumes, records in any order, look-ups of places, and the dump. */
#include "catalog/placement.h"

#include "base/error.h"
#include "base/json.h"
#include "catalog/statistics.h"
#include "support/catalog_sample.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static void get_volume(struct catalog *catalog, unsigned number,
		       struct volume_row *row_out)
{
	struct uuid uuid;

	sample_uuid(number, &uuid);
	assert_int_equal(catalog_get_volume(catalog, &uuid, row_out, NULL), 0);
}

static void volumes_are_updated_by_uuid(void **state)
{
	struct sample *sample = *state;
	struct volume_row row = { 0 }, got = { 0 };
	char label[] = "new", file[] = "elsewhere";

	sample_uuid(1, &row.uuid);
	assert_int_equal(catalog_get_volume(sample->catalog, &row.uuid, &got, NULL),
			 CATALOG_END);
	sample_put_volume(sample->catalog, 1);
	get_volume(sample->catalog, 1, &got);
	assert_string_equal(got.label, "label-1");
	assert_string_equal(got.file, "file-1.bfv");
	assert_int_equal(got.number, 1);
	assert_false(got.sealed);
	assert_int_equal(got.record_count, 0);
	row.id = got.id;
	volume_row_done(&got);

	row.label = label;
	row.sealed = true;
	assert_int_equal(catalog_put_volume(sample->catalog, &row, NULL), 0);
	row = (struct volume_row){ .uuid = row.uuid, .id = row.id, .file = file };
	assert_int_equal(catalog_put_volume(sample->catalog, &row, NULL), 0);
	get_volume(sample->catalog, 1, &got);
	assert_int_equal(got.id, row.id);
	assert_string_equal(got.label, "new");
	assert_string_equal(got.file, "elsewhere");
	assert_int_equal(got.number, 1); /* not forgotten */
	assert_true(got.sealed);
	volume_row_done(&got);
}

static int note_number(void *context, const struct volume_row *volume)
{
	uint64_t *numbers = context;

	*numbers = *numbers * 10 + volume->number;
	return volume->number == 4 ? 7 : 0;
}

static void volumes_are_visited_by_number(void **state)
{
	struct sample *sample = *state;
	uint64_t numbers = 0;

	sample_put_volume(sample->catalog, 3);
	sample_put_volume(sample->catalog, 1);
	sample_put_volume(sample->catalog, 2);
	assert_int_equal(
		catalog_visit_volumes(sample->catalog, note_number, &numbers, NULL), 0);
	assert_int_equal(numbers, 123);
	sample_put_volume(sample->catalog, 4);
	sample_put_volume(sample->catalog, 5);
	assert_int_equal(
		catalog_visit_volumes(sample->catalog, note_number, &numbers, NULL), 7);
}

static void records_of_unknown_volumes_are_refused(void **state)
{
	struct sample *sample = *state;
	struct stripe_info own = { 0 };
	autoptr(record) record = NULL;

	sample_record(1, 0, 0, &record, &own);
	assert_int_equal(catalog_put_record(sample->catalog, record, &own, NULL),
			 -ENOENT);
	stripe_info_done(&own);
}

static void a_record_moves_the_end_of_its_volume(void **state)
{
	struct sample *sample = *state;
	struct volume_row row = { 0 };
	struct stripe_info own = { 0 };
	autoptr(record) record = NULL;

	sample_put_volume(sample->catalog, 1);
	sample_put_record(sample->catalog, 1, 0, 0);
	sample_record(1, 1, 0, &record, &own);
	assert_int_equal(catalog_put_record(sample->catalog, record, &own, NULL), 0);
	get_volume(sample->catalog, 1, &row);
	assert_int_equal(row.record_count, 2);
	assert_int_equal(row.record_offset, own.offset);
	assert_int_equal(row.log_end, record->log_end);
	assert_true(hash_equal(&row.record_hash, &record->hash));
	assert_int_equal(row.stripe_count, 6);
	assert_int_equal(row.payload_size, 6 * 2000);
	assert_int_equal(row.parity_size,
			 6 * (stripe_written_size(&own) -
			      2 * (PAGE_SIZE_BYTES * geometry_data_pages(&own.geometry) +
				   own.extents[0].area_size)));
	assert_false(row.sealed);
	volume_row_done(&row);

	record->kind = STRIPE_END;
	assert_int_equal(catalog_put_record(sample->catalog, record, &own, NULL), 0);
	get_volume(sample->catalog, 1, &row);
	assert_true(row.sealed);
	assert_int_equal(row.stripe_count, 6);
	volume_row_done(&row);
	stripe_info_done(&own);
}

/* Three volumes with records that name each other's segments. */
static const struct {
	unsigned volume;
	uint64_t sequence;
	unsigned foreign;
} feed[] = {
	{ 1, 0, 0 }, { 1, 1, 0 }, { 2, 0, 1 }, { 2, 1, 3 }, { 1, 2, 4 }, { 3, 0, 2 }
};

enum { FEED_COUNT = sizeof(feed) / sizeof(feed[0]) };

static void put_feed(struct catalog *catalog, size_t i)
{
	sample_put_record(catalog, feed[i].volume, feed[i].sequence, feed[i].foreign);
}

static void put_history(struct catalog *catalog)
{
	for (uint64_t i = 1; i <= 3; i++)
		sample_commit(catalog, i);
	sample_put(catalog, 1, "a", ENTRY_DIRECTORY, 1, 0);
	sample_put(catalog, 1, "a/f", ENTRY_FILE, 1, 100);
	sample_put(catalog, 1, "b", ENTRY_FILE, 1, 200);
	sample_put(catalog, 2, "a/f", ENTRY_FILE, 2, 101);
	sample_end(catalog, 3, "b");
}

/* The same with other row numbers, order and repetitions. */
static void put_history_differently(struct catalog *catalog)
{
	sample_put(catalog, 1, "zzz", ENTRY_FILE, 1, 1);
	sample_put(catalog, 1, "b", ENTRY_FILE, 1, 200);
	sample_end(catalog, 1, "zzz");
	sample_put(catalog, 1, "a/f", ENTRY_FILE, 1, 100);
	sample_end(catalog, 3, "b");
	sample_put(catalog, 2, "a/f", ENTRY_FILE, 2, 101);
	sample_put(catalog, 1, "a", ENTRY_DIRECTORY, 1, 0);
	sample_put(catalog, 1, "a", ENTRY_DIRECTORY, 1, 0);
	for (uint64_t i = 3; i >= 1; i--)
		sample_commit(catalog, i);
}

static void equal_archives_have_equal_dumps(void **state)
{
	struct sample *sample = *state;
	struct catalog *catalog = sample->catalog;
	autofree char *forwards = NULL, *backwards = NULL;
	struct hash id;

	for (unsigned i = 1; i <= 4; i++)
		sample_put_volume(catalog, i);
	for (size_t i = 0; i < FEED_COUNT; i++)
		put_feed(catalog, i);
	put_history(catalog);
	forwards = sample_dump(catalog);

	catalog_archive_id(catalog, &id);
	catalog_free(take_ptr(sample->catalog));
	assert_int_equal(catalog_create(sample->path, &id, &sample->catalog, NULL), 0);
	catalog = sample->catalog;
	put_history_differently(catalog);
	for (unsigned i = 3; i >= 1; i--)
		sample_put_volume(catalog, i);
	for (size_t i = FEED_COUNT; i-- > 0;) {
		put_feed(catalog, i);
		put_feed(catalog, FEED_COUNT / 2);
	}
	sample_put_volume(catalog,
			  4); /* known already, as the home of a foreign segment */
	backwards = sample_dump(catalog);
	assert_string_equal(forwards, backwards);
}

static void each_difference_shows_in_the_dump(void **state)
{
	struct sample *sample = *state;
	struct catalog *catalog = sample->catalog;
	autofree char *last = sample_dump(catalog);

	for (size_t i = 0; i < 7; i++) {
		char *next;

		if (i == 0)
			sample_put_volume(catalog, 1);
		else if (i == 1)
			sample_put_record(catalog, 1, 0, 0);
		else if (i == 2)
			sample_put_record(catalog, 1, 0, 2);
		else if (i == 3)
			sample_commit(catalog, 1);
		else if (i == 4)
			sample_put(catalog, 1, "f", ENTRY_FILE, 1, 1);
		else if (i == 5)
			sample_put(catalog, 2, "f", ENTRY_FILE, 2, 1);
		else
			sample_end(catalog, 3, "f");
		next = sample_dump(catalog);
		assert_string_not_equal(last, next);
		free(last);
		last = next;
	}
}

static void every_line_of_the_dump_is_json(void **state)
{
	struct sample *sample = *state;
	autofree char *dump = NULL;
	size_t lines = 0;

	sample_put_volume(sample->catalog, 1);
	sample_put_record(sample->catalog, 1, 0, 2);
	put_history(sample->catalog);
	dump = sample_dump(sample->catalog);
	for (char *line = dump, *newline; *line; line = newline + 1) {
		autoptr(json) json = NULL;

		newline = strchr(line, '\n');
		assert_non_null(newline);
		assert_int_equal(
			json_parse(line, (size_t)(newline - line), 1 << 20, &json, NULL),
			0);
		assert_true(json_has(json, "item"));
		lines++;
	}
	/* archive, volumes, stripes, segments, pages, commits, versions */
	assert_int_equal(lines, 1 + 2 + 3 + 4 + 2 + 3 + 4);
	assert_null(strstr(dump, "file-1.bfv"));
}

static void stripes_are_found_by_log_offset(void **state)
{
	struct sample *sample = *state;
	struct stripe_info stripe = { 0 };
	struct uuid uuid;

	sample_put_volume(sample->catalog, 1);
	sample_put_volume(sample->catalog, 2);
	sample_put_record(sample->catalog, 1, 0, 0);
	sample_uuid(1, &uuid);
	for (uint64_t offset = 0; offset < 6000; offset += offset % 1000 ? 1 : 999) {
		assert_int_equal(catalog_find_stripe(sample->catalog, &uuid, offset,
						     &stripe, NULL),
				 0);
		assert_int_equal(stripe.number, offset / 2000);
		assert_int_equal(stripe.data_count, 2);
		assert_int_equal(stripe.extents[1].payload_size, 1000);
		stripe_info_done(&stripe);
	}
	assert_int_equal(catalog_find_stripe(sample->catalog, &uuid, 6000, &stripe, NULL),
			 CATALOG_END);
	assert_int_equal(
		catalog_find_stripe(sample->catalog, &uuid, UINT64_MAX, &stripe, NULL),
		CATALOG_END);
	sample_uuid(2, &uuid);
	assert_int_equal(catalog_find_stripe(sample->catalog, &uuid, 0, &stripe, NULL),
			 CATALOG_END);
}

/* A stripe without payload has the same log offset as the next one. */
static void stripes_without_payload_hide_nothing(void **state)
{
	struct sample *sample = *state;
	struct stripe_info own = { 0 }, stripe = { 0 };
	autoptr(record) record = NULL;

	sample_put_volume(sample->catalog, 1);
	sample_record(1, 0, 0, &record, &own);
	for (size_t i = 0; i < 4; i++) {
		record->stripes[0].extents[i].payload_size = 0;
		record->stripes[0].extents[i].area_size = geometry_area_size(0);
	}
	record->stripes[1].log_start = 0;
	assert_int_equal(catalog_put_record(sample->catalog, record, &own, NULL), 0);
	assert_int_equal(
		catalog_find_stripe(sample->catalog, &record->volume, 0, &stripe, NULL),
		0);
	assert_int_equal(stripe.number, 1);
	stripe_info_done(&stripe);
	stripe_info_done(&own);
}

static void places_come_in_order_of_volumes(void **state)
{
	struct sample *sample = *state;
	struct catalog *catalog = sample->catalog;
	struct stripe_info own = { 0 };
	struct segment_place place = { 0 };
	struct page_place page = { 0 };
	autoptr(record) record = NULL;
	struct uuid volume, want;
	const struct segment_place *segment;

	/* Volume 2 first; its record also stands in volume 1, later in the log. */
	sample_put_volume(catalog, 2);
	sample_put_volume(catalog, 1);
	sample_record(2, 0, 0, &record, &own);
	segment = &record->segments[1];
	assert_int_equal(catalog_put_record(catalog, record, &own, NULL), 0);
	sample_uuid(1, &record->volume);
	assert_int_equal(catalog_put_record(catalog, record, &own, NULL), 0);
	record->segments[1].log_offset += 10000;
	record->pages[0].log_offset += 10000;
	assert_int_equal(catalog_put_record(catalog, record, &own, NULL), 0);

	for (unsigned nth = 0; nth < 3; nth++) {
		assert_int_equal(catalog_find_segment(catalog, &segment->id,
						      segment->index, nth, &place, NULL),
				 0);
		sample_uuid(nth < 2 ? 1 : 2, &want);
		assert_memory_equal(&place.volume, &want, sizeof(want));
		assert_int_equal(place.log_offset, nth == 0 ? 10500 : 500);
		assert_int_equal(place.stored_size, 400);
		assert_int_equal(catalog_find_page(catalog, &record->pages[0].hash, nth,
						   &page, &volume, NULL),
				 0);
		assert_memory_equal(&volume, &want, sizeof(want));
		assert_int_equal(page.log_offset, nth == 0 ? 11500 : 1500);
	}
	assert_int_equal(catalog_find_segment(catalog, &segment->id, segment->index, 3,
					      &place, NULL),
			 CATALOG_END);
	assert_int_equal(catalog_find_segment(catalog, &segment->id, segment->index + 1,
					      0, &place, NULL),
			 CATALOG_END);
	assert_int_equal(catalog_find_page(catalog, &record->pages[0].hash, 3, &page,
					   &volume, NULL),
			 CATALOG_END);
	stripe_info_done(&own);
}

static void foreign_segments_stand_in_their_own_volume(void **state)
{
	struct sample *sample = *state;
	struct stripe_info own = { 0 };
	struct segment_place place = { 0 };
	autoptr(record) record = NULL;
	struct volume_row row = { 0 };

	sample_put_volume(sample->catalog, 1);
	sample_record(1, 0, 9, &record, &own);
	assert_int_equal(catalog_put_record(sample->catalog, record, &own, NULL), 0);
	assert_int_equal(catalog_find_segment(sample->catalog, &record->foreign[0].id,
					      record->foreign[0].index, 0, &place, NULL),
			 0);
	assert_memory_equal(&place.volume, &record->foreign[0].volume, UUID_SIZE);
	get_volume(sample->catalog, 9, &row);
	assert_int_equal(row.number, 0);
	assert_null(row.label);
	assert_int_equal(row.record_count, 0);
	volume_row_done(&row);
	stripe_info_done(&own);
}

struct visit {
	struct hash last;
	size_t count;
};

static int check_order(void *context, const struct segment_place *place)
{
	struct visit *visit = context;

	assert_true(hash_compare(&visit->last, &place->id) <= 0);
	visit->last = place->id;
	return ++visit->count == 5 ? 3 : 0;
}

static void segments_are_visited_by_id(void **state)
{
	struct sample *sample = *state;
	struct visit visit = { 0 };

	sample_put_volume(sample->catalog, 1);
	sample_put_record(sample->catalog, 1, 0, 0);
	assert_int_equal(
		catalog_visit_segments(sample->catalog, check_order, &visit, NULL), 0);
	assert_int_equal(visit.count, 3);
	sample_put_record(sample->catalog, 1, 1, 0);
	visit = (struct visit){ 0 };
	assert_int_equal(
		catalog_visit_segments(sample->catalog, check_order, &visit, NULL), 3);
}

static void sums_of_a_volume_are_its_own(void **state)
{
	struct sample *sample = *state;
	struct volume_statistics sums = { 0 };
	struct volume_row row = { 0 };

	sample_put_volume(sample->catalog, 1);
	sample_put_volume(sample->catalog, 2);
	sample_put_record(sample->catalog, 1, 0, 0);
	sample_put_record(sample->catalog, 2, 0, 1);
	get_volume(sample->catalog, 2, &row);
	assert_int_equal(catalog_volume_statistics(sample->catalog, row.id, &sums, NULL),
			 0);
	assert_int_equal(sums.segments, 3);
	assert_int_equal(sums.segment_size, 6000);
	assert_int_equal(sums.stored_size, 1200);
	assert_int_equal(sums.pages, 2);
	assert_int_equal(sums.page_size, 200);
	volume_row_done(&row);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, sample_setup, sample_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(volumes_are_updated_by_uuid),
		CASE(volumes_are_visited_by_number),
		CASE(records_of_unknown_volumes_are_refused),
		CASE(a_record_moves_the_end_of_its_volume),
		CASE(equal_archives_have_equal_dumps),
		CASE(each_difference_shows_in_the_dump),
		CASE(every_line_of_the_dump_is_json),
		CASE(stripes_are_found_by_log_offset),
		CASE(stripes_without_payload_hide_nothing),
		CASE(places_come_in_order_of_volumes),
		CASE(foreign_segments_stand_in_their_own_volume),
		CASE(segments_are_visited_by_id),
		CASE(sums_of_a_volume_are_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
