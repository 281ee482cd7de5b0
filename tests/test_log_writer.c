/* SPDX-License-Identifier: MIT */
/* Whatever is appended, the volume is what docs/format.md says (support/volume_audit.h), holds
 * what was appended, and never takes more space than it was given. */
#include "support/backend_memory.h"
#include "support/volume_audit.h"

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

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* A volume, a session on it, and what it must hold in the end. */
struct fixture {
	struct backend *backend;
	struct pool *pool;
	struct budget *budget;
	struct log_writer *writer;
	struct log_writer_options options;
	struct log_end end;
	uint64_t seed;
	struct hasher content;
	uint64_t content_size;
	uint64_t stored_size; /* of all atoms */
	size_t records;       /* that on_record() told of */
	int on_record_result;
	struct hash last_record;
};

static int count_record(void *context, const struct record *record,
			const struct stripe_info *own, struct error *err)
{
	struct fixture *f = context;

	assert_int_equal(record->sequence, f->records);
	assert_int_equal(own->number, record->stripe_number);
	f->records++;
	f->last_record = record->hash;
	if (f->on_record_result < 0)
		return error_set(err, f->on_record_result, "injected by on_record");
	return 0;
}

static void start_session(struct fixture *f)
{
	assert_int_equal(
		log_writer_new(f->backend, &f->end, &f->options, &f->writer, NULL), 0);
}

/* Leave the session; the next one goes on at its end. */
static void end_session(struct fixture *f)
{
	struct log_end end;

	assert_int_equal(log_end_copy(log_writer_end(f->writer), &end), 0);
	log_end_done(&f->end);
	f->end = end;
	log_writer_free(f->writer);
	f->writer = NULL;
}

static void setup(struct fixture *f, unsigned data, unsigned parity, uint64_t memory)
{
	*f = (struct fixture){ .seed = data * 1000 + parity };
	assert_int_equal(backend_memory_new(&f->backend), 0);
	assert_int_equal(pool_new(2, &f->pool, NULL), 0);
	assert_int_equal(budget_new(memory, &f->budget), 0);
	memset(&f->end.volume, 0x5a, sizeof(f->end.volume));
	memset(&f->end.archive_id, 0xa5, sizeof(f->end.archive_id));
	f->end.previous_offset = RECORD_OFFSET_NONE;
	f->options = (struct log_writer_options){
		.tiered = true,
		.data = data,
		.parity = parity,
		.max_size = UINT64_MAX,
		.budget = f->budget,
		.pool = f->pool,
		.on_record = count_record,
		.context = f,
	};
	hasher_init(&f->content);
}

static void teardown(struct fixture *f)
{
	log_writer_free(f->writer);
	log_end_done(&f->end);
	pool_free(f->pool);
	budget_free(f->budget); /* asserts that all of it was given back */
	backend_free(f->backend);
}

static uint64_t next_random(struct fixture *f)
{
	f->seed = f->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return f->seed >> 33;
}

/* A stored frame of @size content bytes. */
static size_t make_frame(struct fixture *f, size_t size, uint8_t *frame, uint8_t *content)
{
	for (size_t i = 0; i < size; i += 4) {
		uint32_t word = (uint32_t)next_random(f) * 2;

		memcpy(content + i, &word, size - i < 4 ? size - i : 4);
	}
	frame_store(content, size, frame);
	return frame_bound(size);
}

/* Append one frame; LOG_FULL if it was not taken. */
static int try_frame(struct fixture *f, size_t size, uint64_t *offset_out)
{
	static uint8_t content[FRAME_SIZE_MAX], frame[FRAME_STORED_MAX];
	struct error err = { 0 };
	size_t stored = make_frame(f, size, frame, content);
	int r = log_append(f->writer, ATOM(frame, stored), offset_out, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	if (r == 0) {
		hasher_update(&f->content, content, size);
		f->content_size += size;
		f->stored_size += stored;
	}
	return r;
}

static void append_frame(struct fixture *f, size_t size)
{
	uint64_t offset;

	assert_int_equal(try_frame(f, size, &offset), 0);
}

/* Frames that take @bytes in all, or a little less. */
static void append_bytes(struct fixture *f, uint64_t bytes)
{
	while (bytes >= 1 << 12) {
		size_t size = FRAME_SIZE_MAX;

		if (bytes < FRAME_STORED_MAX)
			size = bytes - 15;
		append_frame(f, size);
		bytes -= frame_bound(size);
	}
}

/* Frames of any size up to @most bytes of content. */
static void append_mixed(struct fixture *f, uint64_t bytes, size_t most)
{
	uint64_t done = 0;

	while (done < bytes) {
		size_t size = next_random(f) % most + 1;

		append_frame(f, size);
		done += frame_bound(size);
	}
}

static void write_record(struct fixture *f, enum stripe_kind kind)
{
	struct error err = { 0 };

	if (log_write_record(f->writer, kind, false, "{\"head\":1}", NULL, &err) < 0)
		fail_msg("%s", err.text);
}

/* The volume is right, and it holds what was appended. */
static void audit(struct fixture *f, struct audit *audit)
{
	struct hash content;

	audit_volume(audit, backend_memory_data(f->backend),
		     backend_memory_size(f->backend), &f->end.volume);
	hasher_final(&f->content, &content);
	assert_int_equal(audit->content_size, f->content_size);
	assert_memory_equal(&audit->content, &content, sizeof(content));
	assert_int_equal(audit->record_count, f->records);
	assert_memory_equal(&audit->records[audit->record_count - 1]->hash,
			    &f->last_record, sizeof(f->last_record));
	assert_int_equal(backend_memory_synced(f->backend),
			 backend_memory_size(f->backend));
}

/* One commit of @bytes; its stripes but the record's. */
static void expect_commit(unsigned data, unsigned parity, uint64_t memory, uint64_t bytes,
			  uint64_t spread, unsigned k, size_t data_stripes)
{
	uint64_t payload, written;
	struct audit found;
	struct fixture f;

	setup(&f, data, parity, memory);
	f.options.spread = spread;
	start_session(&f);
	append_bytes(&f, bytes);
	write_record(&f, STRIPE_COMMIT);
	audit(&f, &found);
	log_writer_totals(f.writer, &payload, &written);
	assert_int_equal(written, found.written);
	assert_int_equal(found.stripe_count, data_stripes + found.record_count);
	if (data_stripes > 0) {
		assert_int_equal(found.stripes[0].kind, STRIPE_DATA);
		assert_int_equal(found.stripes[0].geometry.data, k);
		assert_int_equal(found.stripes[0].geometry.parity, parity);
	}
	audit_done(&found);
	teardown(&f);
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
		struct fixture f;

		setup(&f, policies[i][0], policies[i][1], 96 * MIB);
		f.options.spread = i % 2 ? 1 << 20 : 0;
		f.options.tiered = i % 3;
		start_session(&f);
		append_mixed(&f, 45 * MIB, FRAME_SIZE_MAX);
		write_record(&f, STRIPE_COMMIT);
		audit(&f, &found);
		audit_done(&found);
		teardown(&f);
	}
}

static void two_hundred_extents_have_sixteen_of_parity(void **state)
{
	struct audit found;
	struct fixture f;

	(void)state;
	setup(&f, 200, 16, 256 * MIB);
	f.options.tiered = false;
	start_session(&f);
	append_mixed(&f, 2 * MIB, 30000);
	write_record(&f, STRIPE_COMMIT);
	append_mixed(&f, 12 * MIB, FRAME_SIZE_MAX);
	write_record(&f, STRIPE_COMMIT);
	audit(&f, &found);
	audit_done(&found);
	teardown(&f);
}

static void little_memory_means_small_stripes(void **state)
{
	struct audit found;
	struct fixture f;

	(void)state;
	setup(&f, 4, 2, 16 * MIB);
	start_session(&f);
	append_mixed(&f, 30 * MIB, FRAME_SIZE_MAX);
	write_record(&f, STRIPE_COMMIT);
	audit(&f, &found);
	assert_true(found.stripe_count > 6); /* and a placement record behind each */
	assert_true(found.record_count > 3);
	audit_done(&found);
	teardown(&f);

	setup(&f, 4, 2, 4 * MIB);
	assert_int_equal(log_writer_new(f.backend, &f.end, &f.options, &f.writer, NULL),
			 -ENOMEM);
	teardown(&f);
}

static void tiny_atoms_fill_extents_too(void **state)
{
	struct audit found;
	struct fixture f;

	(void)state;
	setup(&f, 3, 2, 16 * MIB);
	start_session(&f);
	append_mixed(&f, 3 * MIB, 100);
	write_record(&f, STRIPE_COMMIT);
	append_mixed(&f, 9 * MIB, 5000);
	write_record(&f, STRIPE_COMMIT);
	audit(&f, &found);
	audit_done(&found);
	teardown(&f);
}

static void sessions_go_on_where_the_last_one_ended(void **state)
{
	struct audit found;
	struct fixture f;

	(void)state;
	setup(&f, 4, 3, 256 * MIB);
	start_session(&f);
	assert_int_equal(log_write_record(f.writer, STRIPE_HEADER, false, NULL,
					  "{\"label\":\"a\"}", NULL),
			 0);
	append_mixed(&f, 1 * MIB, FRAME_SIZE_MAX);
	write_record(&f, STRIPE_COMMIT);
	end_session(&f);
	start_session(&f);
	append_mixed(&f, 12 * MIB, FRAME_SIZE_MAX);
	write_record(&f, STRIPE_COMMIT);
	write_record(&f, STRIPE_END);
	audit(&f, &found);
	assert_int_equal(found.record_count, 4);
	assert_string_equal(found.records[0]->info, "{\"label\":\"a\"}");
	assert_null(found.records[0]->head);
	assert_string_equal(found.records[1]->head, "{\"head\":1}");
	audit_done(&found);
	teardown(&f);
}

static void a_dropped_session_leaves_a_tail_that_is_skipped(void **state)
{
	struct stripe_info *own;
	struct fixture f;
	uint64_t position;

	(void)state;
	setup(&f, 4, 3, 16 * MIB);
	start_session(&f);
	write_record(&f, STRIPE_HEADER);
	append_mixed(&f, 20 * MIB, FRAME_SIZE_MAX);
	end_session(&f); /* placement records that became durable count */
	position = backend_position(f.backend);
	start_session(&f);
	write_record(&f, STRIPE_COMMIT);
	end_session(&f);
	own = &f.end.own;
	assert_int_equal(own->offset, position);
	assert_int_equal(own->kind, STRIPE_COMMIT);
	assert_int_equal(f.end.covered, own->log_start);
	teardown(&f);
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

static void append_page(struct fixture *f, uint32_t size, struct page_place *place)
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
	struct fixture f;
	size_t segments, placed = 0;
	uint64_t offset;

	(void)state;
	setup(&f, 4, 2, 16 * MIB);
	start_session(&f);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(try_frame(&f, FRAME_SIZE_MAX, &offset), 0);
		segment = some_segment(offset, FRAME_STORED_MAX);
		assert_int_equal(log_place_segment(f.writer, &segment, NULL), 0);
		append_page(&f, 3000, &page);
		assert_int_equal(log_place_page(f.writer, &page, NULL), 0);
		placed++;
	}
	segment.volume.bytes[0] = 7;
	assert_int_equal(log_place_foreign(f.writer, &segment, NULL), 0);
	write_record(&f, STRIPE_COMMIT);
	audit(&f, &found);
	assert_true(found.record_count > 3);
	assert_true(found.records[0]->segment_count > 0);
	assert_int_equal(count_places(&found, &segments), placed);
	assert_int_equal(segments, placed);
	assert_int_equal(found.records[found.record_count - 1]->foreign_count, 1);
	assert_int_equal(
		found.records[found.record_count - 1]->foreign[0].volume.bytes[0], 7);
	audit_done(&found);
	teardown(&f);
}

static void long_lists_are_split_over_records(void **state)
{
	const size_t count = 30000;
	struct page_place page;
	struct audit found;
	struct fixture f;
	size_t segments;

	(void)state;
	setup(&f, 4, 2, 64 * MIB);
	start_session(&f);
	for (size_t i = 0; i < count; i++) {
		append_page(&f, 40, &page);
		page.hash.bytes[0] = (uint8_t)i;
		assert_int_equal(log_place_page(f.writer, &page, NULL), 0);
	}
	assert_int_equal(
		log_write_record(f.writer, STRIPE_PLACEMENT, true, "{}", NULL, NULL), 0);
	audit(&f, &found);
	assert_int_equal(found.record_count, 3);
	assert_false(found.records[0]->checkpoint);
	assert_true(found.records[2]->checkpoint);
	assert_string_equal(found.records[2]->head, "{}");
	assert_int_equal(count_places(&found, &segments), count);
	audit_done(&found);
	teardown(&f);
}

static void places_beyond_the_log_are_refused(void **state)
{
	struct segment_place segment = some_segment(0, 1);
	struct page_place page = { .log_offset = UINT64_MAX,
				   .stored_size = 2,
				   .kind = 4 };
	struct fixture f;

	(void)state;
	setup(&f, 4, 2, 64 * MIB);
	start_session(&f);
	assert_int_equal(log_place_segment(f.writer, &segment, NULL), -EINVAL);
	assert_int_equal(log_place_page(f.writer, &page, NULL), -EINVAL);
	append_frame(&f, 100);
	assert_int_equal(log_place_segment(f.writer, &segment, NULL), 0);
	assert_int_equal(log_place_page(f.writer, &page, NULL), -EINVAL);
	write_record(&f, STRIPE_COMMIT);
	teardown(&f);
}

static void atoms_of_impossible_sizes_are_refused(void **state)
{
	static const uint8_t bytes[ATOM_SIZE_MAX + 1];
	struct fixture f;
	uint64_t offset;

	(void)state;
	setup(&f, 4, 2, 64 * MIB);
	start_session(&f);
	assert_int_equal(log_append(f.writer, ATOM(bytes, 7), &offset, NULL), -EINVAL);
	assert_int_equal(log_append(f.writer, ATOM(bytes, sizeof(bytes)), &offset, NULL),
			 -EINVAL);
	append_frame(&f, 100); /* the session is well */
	write_record(&f, STRIPE_COMMIT);
	teardown(&f);
}

static void impossible_options_are_refused(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, 201, 2, 64 * MIB);
	assert_int_equal(log_writer_new(f.backend, &f.end, &f.options, &f.writer, NULL),
			 -EINVAL);
	f.options.data = 4;
	f.options.spread = 100;
	assert_int_equal(log_writer_new(f.backend, &f.end, &f.options, &f.writer, NULL),
			 -EINVAL);
	teardown(&f);
}

/* ---- end of space ---- */

/* Fill a volume of @max_size to the brim with commits of @commit bytes. */
static void fill_volume(unsigned data, unsigned parity, uint64_t max_size,
			uint64_t commit, bool tiered)
{
	uint64_t payload, written, promise = 0, offset;
	struct audit found;
	struct fixture f;
	bool full = false;

	setup(&f, data, parity, 48 * MIB);
	f.options.max_size = max_size;
	f.options.tiered = tiered;
	start_session(&f);
	write_record(&f, STRIPE_HEADER);
	while (!full) {
		uint64_t end = f.stored_size + commit, done;

		while (f.stored_size < end && !full) {
			size_t size = next_random(&f) % FRAME_SIZE_MAX + 1;

			/* The strongest promise so far in the commit must be kept. */
			if (f.stored_size + log_room(f.writer) > promise)
				promise = f.stored_size + log_room(f.writer);
			done = f.stored_size + frame_bound(size);
			full = try_frame(&f, size, &offset) == LOG_FULL;
			if (full && done <= promise)
				fail_msg("%u+%u, %llu bytes: %llu refused, %llu promised",
					 data, parity, (unsigned long long)max_size,
					 (unsigned long long)done,
					 (unsigned long long)promise);
		}
		write_record(&f, STRIPE_COMMIT);
		promise = 0;
	}
	assert_int_equal(try_frame(&f, 1, &offset), LOG_FULL);
	assert_int_equal(log_room(f.writer), 0);
	write_record(&f, STRIPE_END);
	log_writer_totals(f.writer, &payload, &written);
	assert_true(written <= max_size);
	audit(&f, &found);
	assert_int_equal(found.written, written);
	audit_done(&found);
	teardown(&f);
}

static void a_volume_never_exceeds_its_size(void **state)
{
	(void)state;
	for (uint64_t size = 2 * MIB; size < 50 * MIB; size = size * 2 + 12345) {
		fill_volume(4, 3, size, GIB, true);
		fill_volume(4, 3, size, GIB, false);
		fill_volume(30, 3, size, GIB, false);
		fill_volume(1, 1, size, GIB, true);
		fill_volume(3, 0, size, 5 * MIB, true);
	}
}

static void most_of_a_volume_is_used(void **state)
{
	uint64_t payload, written, offset, promise;
	struct fixture f;

	(void)state;
	setup(&f, 4, 1, 64 * MIB);
	f.options.max_size = 100 * MIB;
	start_session(&f);
	promise = log_room(f.writer);
	while (try_frame(&f, FRAME_SIZE_MAX, &offset) == 0)
		;
	write_record(&f, STRIPE_COMMIT);
	log_writer_totals(f.writer, &payload, &written);
	assert_true(payload > 72 * MIB); /* of at most 80 */
	assert_true(promise > payload * 3 / 4);
	teardown(&f);
}

/* Noise of a whole segment, and tables, into a new volume as small as may be. */
static void expect_least_holds(unsigned data, unsigned parity, uint64_t memory,
			       bool tiered)
{
	const uint64_t size = 33800000;
	uint64_t least, payload, written, offset;
	struct fixture f;

	setup(&f, data, parity, memory);
	f.options.tiered = tiered;
	f.options.max_size = MIB;
	least = log_least_max_size(&f.options, size);
	assert_true(least >= size + size / data * parity);
	assert_true(least <
		    (size + size / data * parity) * 5 / 2 + 64 * MIB * parity / 3);
	f.options.max_size = least;
	assert_int_equal(log_least_max_size(&f.options, size), least);
	start_session(&f);
	write_record(&f, STRIPE_HEADER);
	assert_true(log_room(f.writer) >= size);
	while (f.stored_size + FRAME_STORED_MAX <= size)
		if (try_frame(&f, next_random(&f) % FRAME_SIZE_MAX + 1, &offset))
			fail_msg("%u+%u in %llu MiB: full after %llu", data, parity,
				 (unsigned long long)least / MIB,
				 (unsigned long long)f.stored_size);
	write_record(&f, STRIPE_COMMIT);
	log_writer_totals(f.writer, &payload, &written);
	assert_true(written <= least);
	teardown(&f);
}

static void the_least_volume_holds_a_segment_under_any_policy(void **state)
{
	static const unsigned policies[][2] = { { 30, 3 },  { 1, 0 },  { 1, 3 },
						{ 2, 2 },   { 4, 3 },  { 17, 3 },
						{ 200, 3 }, { 30, 16 } };
	static const uint64_t memory[] = { 64 * MIB, 256 * MIB };

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++)
		for (size_t j = 0; j < sizeof(memory) / sizeof(*memory); j++) {
			expect_least_holds(policies[i][0], policies[i][1], memory[j],
					   true);
			expect_least_holds(policies[i][0], policies[i][1], memory[j],
					   false);
		}
}

static void a_volume_that_is_large_enough_is_left_as_it_is(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, 30, 3, 256 * MIB);
	f.options.max_size = 64 * MIB;
	assert_int_equal(log_least_max_size(&f.options, 33 * MIB), 64 * MIB);
	f.options.parity = 16;
	assert_true(log_least_max_size(&f.options, 33 * MIB) > 64 * MIB);
	teardown(&f);
}

static void earlier_sessions_count_towards_the_size(void **state)
{
	uint64_t offset;
	struct fixture f;

	(void)state;
	setup(&f, 4, 1, 64 * MIB);
	f.options.max_size = 100 * MIB;
	f.options.used_size = 99 * MIB;
	start_session(&f);
	assert_int_equal(log_room(f.writer), 0);
	assert_int_equal(try_frame(&f, FRAME_SIZE_MAX, &offset), LOG_FULL);
	write_record(&f, STRIPE_END);
	teardown(&f);
}

static void a_medium_is_not_overrun(void **state)
{
	uint64_t offset;
	struct fixture f;
	struct audit found;

	(void)state;
	setup(&f, 4, 2, 64 * MIB);
	f.options.spread = 1 << 20;
	backend_memory_set_capacity(f.backend, 50 * MIB);
	start_session(&f);
	while (try_frame(&f, FRAME_SIZE_MAX, &offset) == 0)
		;
	write_record(&f, STRIPE_COMMIT);
	write_record(&f, STRIPE_END);
	audit(&f, &found);
	audit_done(&found);
	teardown(&f);
}

/* ---- failures ---- */

/* A session with several full stripes. Returns the first failure. */
static int run_session(struct fixture *f)
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
	struct fixture f;
	unsigned calls;

	(void)state;
	setup(&f, 3, 2, 14 * MIB);
	assert_int_equal(run_session(&f), 0);
	calls = backend_memory_calls(f.backend);
	assert_true(f.records > 4);
	teardown(&f);
	for (unsigned call = 1; call <= calls; call++) {
		setup(&f, 3, 2, 14 * MIB);
		backend_memory_fail_at(f.backend, call, -EIO);
		assert_int_equal(run_session(&f), -EIO);
		teardown(&f);
	}
}

static void a_failing_catalog_breaks_the_session(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, 3, 2, 14 * MIB);
	f.on_record_result = -EDOM;
	assert_int_equal(run_session(&f), -EDOM);
	teardown(&f);
}

static void what_is_not_committed_is_dropped(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, 3, 2, 14 * MIB);
	start_session(&f);
	append_mixed(&f, 8 * MIB, FRAME_SIZE_MAX);
	teardown(&f); /* with an open stripe, its tasks and writes under way */
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
		cmocka_unit_test(a_volume_never_exceeds_its_size),
		cmocka_unit_test(most_of_a_volume_is_used),
		cmocka_unit_test(the_least_volume_holds_a_segment_under_any_policy),
		cmocka_unit_test(a_volume_that_is_large_enough_is_left_as_it_is),
		cmocka_unit_test(earlier_sessions_count_towards_the_size),
		cmocka_unit_test(a_medium_is_not_overrun),
		cmocka_unit_test(a_failure_at_any_call_is_reported),
		cmocka_unit_test(a_failing_catalog_breaks_the_session),
		cmocka_unit_test(what_is_not_committed_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
