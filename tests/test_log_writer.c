/* SPDX-License-Identifier: MIT */
/* Whatever is appended, the volume is what docs/format.md says (support/volume_audit.h), and
 * holds what was appended. */
#include "support/backend_memory.h"
#include "support/log_fixture.h"

#include "base/budget.h"
#include "base/error.h"
#include "base/pool.h"
#include "chunker/frame.h"
#include "chunker/segment.h"
#include "chunker/skippable.h"
#include "volume/log_end.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One commit of @bytes; its stripes but the record's. */
static void expect_commit(unsigned data, unsigned parity, uint64_t memory, uint64_t bytes,
			  uint64_t spread, unsigned k, size_t data_stripes)
{
	uint64_t payload, written;
	struct audit found;
	struct log_fixture f;

	log_fixture_init(&f, data, parity, memory);
	f.options.spread = spread;
	log_fixture_start(&f);
	log_fixture_append_bytes(&f, bytes);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_audit(&f, &found);
	log_writer_totals(f.writer, &payload, &written);
	assert_int_equal(written, found.written);
	assert_int_equal(found.stripe_count, data_stripes + found.record_count);
	if (data_stripes > 0) {
		assert_int_equal(found.stripes[0].kind, STRIPE_DATA);
		assert_int_equal(found.stripes[0].geometry.data, k);
		assert_int_equal(found.stripes[0].geometry.parity, parity);
	}
	audit_done(&found);
	log_fixture_done(&f);
}

static void an_empty_commit_is_a_record_alone(void **state)
{
	(void)state;
	expect_commit(30, 3, 256 * MIB, 0, 0, 0, 0);
	expect_commit(1, 0, 256 * MIB, 0, 1 << 20, 0, 0);
}

static void a_small_commit_is_a_mirror(void **state)
{
	(void)state;
	expect_commit(30, 3, 256 * MIB, 5000, 0, 1, 1);
	expect_commit(30, 3, 256 * MIB, 262159, 1 << 20, 1, 1);
	expect_commit(30, 3, 256 * MIB, 9999999, 0, 1, 1);
}

static void ten_megabytes_are_spread(void **state)
{
	(void)state;
	expect_commit(30, 3, 256 * MIB, 10000000 + 16, 0, 30, 1);
	expect_commit(30, 3, 256 * MIB, 10000000 + 4096, 1 << 20, 30, 1);
}

static void what_is_held_back_is_spread_exactly(void **state)
{
	(void)state;
	expect_commit(30, 3, 256 * MIB, 32 * MIB - 65536, 0, 30, 1);
	expect_commit(30, 3, 256 * MIB, 32 * MIB + 262144, 0, 30, 1);
}

static void every_policy_gives_a_true_volume(void **state)
{
	static const unsigned policies[][2] = { { 1, 0 }, { 1, 3 },  { 4, 3 },
						{ 3, 0 }, { 30, 3 }, { 7, 16 } };

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct audit found;
		struct log_fixture f;

		log_fixture_init(&f, policies[i][0], policies[i][1], 96 * MIB);
		f.options.spread = i % 2 ? 1 << 20 : 0;
		f.options.tiered = i % 3;
		log_fixture_start(&f);
		log_fixture_append_mixed(&f, 45 * MIB, FRAME_SIZE_MAX);
		log_fixture_record(&f, STRIPE_COMMIT);
		log_fixture_audit(&f, &found);
		audit_done(&found);
		log_fixture_done(&f);
	}
}

static void two_hundred_extents_have_sixteen_of_parity(void **state)
{
	struct audit found;
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 200, 16, 256 * MIB);
	f.options.tiered = false;
	log_fixture_start(&f);
	log_fixture_append_mixed(&f, 2 * MIB, 30000);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_append_mixed(&f, 12 * MIB, FRAME_SIZE_MAX);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_audit(&f, &found);
	audit_done(&found);
	log_fixture_done(&f);
}

static void little_memory_means_small_stripes(void **state)
{
	struct audit found;
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 4, 2, 16 * MIB);
	log_fixture_start(&f);
	log_fixture_append_mixed(&f, 30 * MIB, FRAME_SIZE_MAX);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_audit(&f, &found);
	assert_true(found.stripe_count > 6); /* and a placement record behind each */
	assert_true(found.record_count > 3);
	audit_done(&found);
	log_fixture_done(&f);

	log_fixture_init(&f, 4, 2, 4 * MIB);
	assert_int_equal(log_writer_new(f.backend, &f.end, &f.options, &f.writer, NULL),
			 -ENOMEM);
	log_fixture_done(&f);
}

static void tiny_atoms_fill_extents_too(void **state)
{
	struct audit found;
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 3, 2, 16 * MIB);
	log_fixture_start(&f);
	log_fixture_append_mixed(&f, 3 * MIB, 100);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_append_mixed(&f, 9 * MIB, 5000);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_audit(&f, &found);
	audit_done(&found);
	log_fixture_done(&f);
}

static void sessions_go_on_where_the_last_one_ended(void **state)
{
	struct audit found;
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 4, 3, 256 * MIB);
	log_fixture_start(&f);
	assert_int_equal(log_write_record(f.writer, STRIPE_HEADER, false, NULL,
					  "{\"label\":\"a\"}", NULL),
			 0);
	log_fixture_append_mixed(&f, 1 * MIB, FRAME_SIZE_MAX);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_end(&f);
	log_fixture_start(&f);
	log_fixture_append_mixed(&f, 12 * MIB, FRAME_SIZE_MAX);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_record(&f, STRIPE_END);
	log_fixture_audit(&f, &found);
	assert_int_equal(found.record_count, 4);
	assert_string_equal(found.records[0]->info, "{\"label\":\"a\"}");
	assert_null(found.records[0]->head);
	assert_string_equal(found.records[1]->head, "{\"head\":1}");
	audit_done(&found);
	log_fixture_done(&f);
}

static void a_dropped_session_leaves_a_tail_that_is_skipped(void **state)
{
	struct stripe_info *own;
	struct log_fixture f;
	uint64_t position;

	(void)state;
	log_fixture_init(&f, 4, 3, 16 * MIB);
	log_fixture_start(&f);
	log_fixture_record(&f, STRIPE_HEADER);
	log_fixture_append_mixed(&f, 20 * MIB, FRAME_SIZE_MAX);
	log_fixture_end(&f); /* placement records that became durable count */
	position = backend_position(f.backend);
	log_fixture_start(&f);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_end(&f);
	own = &f.end.own;
	assert_int_equal(own->offset, position);
	assert_int_equal(own->kind, STRIPE_COMMIT);
	assert_int_equal(f.end.covered, own->log_start);
	log_fixture_done(&f);
}

/* ---- placements ---- */

static struct segment_place some_segment(uint64_t offset, uint32_t size)
{
	return (struct segment_place){
		.id = { { 1, 2, 3 } },
		.log_offset = offset,
		.content_size = 1000,
		.stored_size = size,
		.frame_count = 1,
		.kind = SEGMENT_PIECE,
	};
}

static void append_page(struct log_fixture *f, uint32_t size, struct page_place *place)
{
	static uint8_t bytes[65536 + 8];

	skippable_put(bytes, SKIPPABLE_TREE_PAGE, size);
	*place = (struct page_place){ .stored_size = size + 8,
				      .kind = SKIPPABLE_TREE_PAGE };
	assert_int_equal(
		log_append(f->writer, ATOM(bytes, size + 8), &place->log_offset, NULL),
		0);
}

static size_t count_places(const struct audit *found, size_t *segments_out)
{
	size_t pages = 0;

	*segments_out = 0;
	for (size_t i = 0; i < found->record_count; i++) {
		const struct record *record = found->records[i];

		pages += record->page_count;
		*segments_out += record->segment_count;
		for (size_t n = 0; n < record->page_count; n++)
			assert_true(record->pages[n].log_offset +
					    record->pages[n].stored_size <=
				    record->log_end);
	}
	return pages;
}

static void places_are_listed_once_their_end_is_closed(void **state)
{
	struct segment_place segment;
	struct page_place page;
	struct audit found;
	struct log_fixture f;
	size_t segments, placed = 0;
	uint64_t offset;

	(void)state;
	log_fixture_init(&f, 4, 2, 16 * MIB);
	log_fixture_start(&f);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(log_fixture_try(&f, FRAME_SIZE_MAX, &offset), 0);
		segment = some_segment(offset, FRAME_STORED_MAX);
		assert_int_equal(log_place_segment(f.writer, &segment, NULL), 0);
		append_page(&f, 3000, &page);
		assert_int_equal(log_place_page(f.writer, &page, NULL), 0);
		placed++;
	}
	segment.volume.bytes[0] = 7;
	assert_int_equal(log_place_foreign(f.writer, &segment, NULL), 0);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_audit(&f, &found);
	assert_true(found.record_count > 3);
	assert_true(found.records[0]->segment_count > 0);
	assert_int_equal(count_places(&found, &segments), placed);
	assert_int_equal(segments, placed);
	assert_int_equal(found.records[found.record_count - 1]->foreign_count, 1);
	assert_int_equal(
		found.records[found.record_count - 1]->foreign[0].volume.bytes[0], 7);
	audit_done(&found);
	log_fixture_done(&f);
}

static void long_lists_are_split_over_records(void **state)
{
	const size_t count = 30000;
	struct page_place page;
	struct audit found;
	struct log_fixture f;
	size_t segments;

	(void)state;
	log_fixture_init(&f, 4, 2, 64 * MIB);
	log_fixture_start(&f);
	for (size_t i = 0; i < count; i++) {
		append_page(&f, 40, &page);
		page.hash.bytes[0] = (uint8_t)i;
		assert_int_equal(log_place_page(f.writer, &page, NULL), 0);
	}
	assert_int_equal(
		log_write_record(f.writer, STRIPE_PLACEMENT, true, "{}", NULL, NULL), 0);
	log_fixture_audit(&f, &found);
	assert_int_equal(found.record_count, 3);
	assert_false(found.records[0]->checkpoint);
	assert_true(found.records[2]->checkpoint);
	assert_string_equal(found.records[2]->head, "{}");
	assert_int_equal(count_places(&found, &segments), count);
	audit_done(&found);
	log_fixture_done(&f);
}

static void places_beyond_the_log_are_refused(void **state)
{
	struct segment_place segment = some_segment(0, 1);
	struct page_place page = { .log_offset = UINT64_MAX,
				   .stored_size = 2,
				   .kind = 4 };
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 4, 2, 64 * MIB);
	log_fixture_start(&f);
	assert_int_equal(log_place_segment(f.writer, &segment, NULL), -EINVAL);
	assert_int_equal(log_place_page(f.writer, &page, NULL), -EINVAL);
	log_fixture_append(&f, 100);
	assert_int_equal(log_place_segment(f.writer, &segment, NULL), 0);
	assert_int_equal(log_place_page(f.writer, &page, NULL), -EINVAL);
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_done(&f);
}

static void atoms_of_impossible_sizes_are_refused(void **state)
{
	static const uint8_t bytes[ATOM_SIZE_MAX + 1];
	struct log_fixture f;
	uint64_t offset;

	(void)state;
	log_fixture_init(&f, 4, 2, 64 * MIB);
	log_fixture_start(&f);
	assert_int_equal(log_append(f.writer, ATOM(bytes, 7), &offset, NULL), -EINVAL);
	assert_int_equal(log_append(f.writer, ATOM(bytes, sizeof(bytes)), &offset, NULL),
			 -EINVAL);
	log_fixture_append(&f, 100); /* the session is well */
	log_fixture_record(&f, STRIPE_COMMIT);
	log_fixture_done(&f);
}

static void impossible_options_are_refused(void **state)
{
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 201, 2, 64 * MIB);
	assert_int_equal(log_writer_new(f.backend, &f.end, &f.options, &f.writer, NULL),
			 -EINVAL);
	f.options.data = 4;
	f.options.spread = 100;
	assert_int_equal(log_writer_new(f.backend, &f.end, &f.options, &f.writer, NULL),
			 -EINVAL);
	log_fixture_done(&f);
}

/* ---- failures ---- */

/* A session with several full stripes. Returns the first failure. */
static int run_session(struct log_fixture *f)
{
	static uint8_t atom[ATOM_SIZE_MAX];
	struct error err = { 0 };
	uint64_t offset;
	int r;

	r = log_writer_new(f->backend, &f->end, &f->options, &f->writer, &err);
	for (int i = 0; r == 0 && i < 60; i++) {
		skippable_put(atom, SKIPPABLE_TREE_PAGE, sizeof(atom) - 8);
		r = log_append(f->writer, ATOM(atom, sizeof(atom)), &offset, &err);
		if (i % 40 == 5 && r == 0)
			r = log_write_record(f->writer, STRIPE_COMMIT, false, NULL, NULL,
					     &err);
	}
	if (r == 0)
		r = log_write_record(f->writer, STRIPE_END, false, NULL, NULL, &err);
	if (r < 0) {
		assert_true(strlen(err.text) > 0);
		/* The session stays broken. */
		assert_int_equal(
			log_append(f->writer, ATOM(atom, sizeof(atom)), &offset, &err),
			r);
		assert_int_equal(log_write_record(f->writer, STRIPE_COMMIT, false, NULL,
						  NULL, NULL),
				 r);
		assert_true(strlen(err.text) > 0);
	}
	return r;
}

static void a_failure_at_any_call_is_reported(void **state)
{
	struct log_fixture f;
	unsigned calls;

	(void)state;
	log_fixture_init(&f, 3, 2, 14 * MIB);
	assert_int_equal(run_session(&f), 0);
	calls = backend_memory_calls(f.backend);
	assert_true(f.records > 4);
	log_fixture_done(&f);
	for (unsigned call = 1; call <= calls; call++) {
		log_fixture_init(&f, 3, 2, 14 * MIB);
		backend_memory_fail_at(f.backend, call, -EIO);
		assert_int_equal(run_session(&f), -EIO);
		log_fixture_done(&f);
	}
}

static void a_failing_catalog_breaks_the_session(void **state)
{
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 3, 2, 14 * MIB);
	f.on_record_result = -EDOM;
	assert_int_equal(run_session(&f), -EDOM);
	log_fixture_done(&f);
}

static void what_is_not_committed_is_dropped(void **state)
{
	struct log_fixture f;

	(void)state;
	log_fixture_init(&f, 3, 2, 14 * MIB);
	log_fixture_start(&f);
	log_fixture_append_mixed(&f, 8 * MIB, FRAME_SIZE_MAX);
	log_fixture_done(&f); /* with an open stripe, its tasks and writes under way */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_commit_is_a_record_alone),
		cmocka_unit_test(a_small_commit_is_a_mirror),
		cmocka_unit_test(ten_megabytes_are_spread),
		cmocka_unit_test(what_is_held_back_is_spread_exactly),
		cmocka_unit_test(every_policy_gives_a_true_volume),
		cmocka_unit_test(two_hundred_extents_have_sixteen_of_parity),
		cmocka_unit_test(little_memory_means_small_stripes),
		cmocka_unit_test(tiny_atoms_fill_extents_too),
		cmocka_unit_test(sessions_go_on_where_the_last_one_ended),
		cmocka_unit_test(a_dropped_session_leaves_a_tail_that_is_skipped),
		cmocka_unit_test(places_are_listed_once_their_end_is_closed),
		cmocka_unit_test(long_lists_are_split_over_records),
		cmocka_unit_test(places_beyond_the_log_are_refused),
		cmocka_unit_test(atoms_of_impossible_sizes_are_refused),
		cmocka_unit_test(impossible_options_are_refused),
		cmocka_unit_test(a_failure_at_any_call_is_reported),
		cmocka_unit_test(a_failing_catalog_breaks_the_session),
		cmocka_unit_test(what_is_not_committed_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
