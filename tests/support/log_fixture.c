/* SPDX-License-Identifier: MIT */
#include "support/log_fixture.h"

#include "support/backend_memory.h"

#include "base/error.h"
#include "chunker/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int count_record(void *context, const struct record *record,
			const struct stripe_info *own, struct error *err)
{
	struct log_fixture *f = context;

	assert_int_equal(record->sequence, f->records);
	assert_int_equal(own->number, record->stripe_number);
	f->records++;
	f->last_record = record->hash;
	if (f->on_record_result < 0)
		return error_set(err, f->on_record_result, "injected by on_record");
	return 0;
}

void log_fixture_start(struct log_fixture *f)
{
	assert_int_equal(
		log_writer_new(f->backend, &f->end, &f->options, &f->writer, NULL), 0);
}

void log_fixture_end(struct log_fixture *f)
{
	struct log_end end;

	assert_int_equal(log_end_copy(log_writer_end(f->writer), &end), 0);
	log_end_done(&f->end);
	f->end = end;
	log_writer_free(f->writer);
	f->writer = NULL;
}

void log_fixture_init(struct log_fixture *f, unsigned data, unsigned parity,
		      uint64_t memory)
{
	*f = (struct log_fixture){ .seed = data * 1000 + parity };
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

void log_fixture_done(struct log_fixture *f)
{
	log_writer_free(f->writer);
	log_end_done(&f->end);
	pool_free(f->pool);
	budget_free(f->budget); /* asserts that all of it was given back */
	backend_free(f->backend);
}

uint64_t log_fixture_random(struct log_fixture *f)
{
	f->seed = f->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return f->seed >> 33;
}

/* A stored frame of @size content bytes. */
static size_t make_frame(struct log_fixture *f, size_t size, uint8_t *frame,
			 uint8_t *content)
{
	for (size_t i = 0; i < size; i += 4) {
		uint32_t word = (uint32_t)log_fixture_random(f) * 2;

		memcpy(content + i, &word, size - i < 4 ? size - i : 4);
	}
	frame_store(content, size, frame);
	return frame_bound(size);
}

int log_fixture_try(struct log_fixture *f, size_t size, uint64_t *offset_out)
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

void log_fixture_append(struct log_fixture *f, size_t size)
{
	uint64_t offset;

	assert_int_equal(log_fixture_try(f, size, &offset), 0);
}

void log_fixture_append_bytes(struct log_fixture *f, uint64_t bytes)
{
	while (bytes >= 1 << 12) {
		size_t size = FRAME_SIZE_MAX;

		if (bytes < FRAME_STORED_MAX)
			size = bytes - 15;
		log_fixture_append(f, size);
		bytes -= frame_bound(size);
	}
}

void log_fixture_append_mixed(struct log_fixture *f, uint64_t bytes, size_t most)
{
	uint64_t done = 0;

	while (done < bytes) {
		size_t size = log_fixture_random(f) % most + 1;

		log_fixture_append(f, size);
		done += frame_bound(size);
	}
}

void log_fixture_record(struct log_fixture *f, enum stripe_kind kind)
{
	struct error err = { 0 };

	if (log_write_record(f->writer, kind, false, "{\"head\":1}", NULL, &err) < 0)
		fail_msg("%s", err.text);
}

void log_fixture_audit(struct log_fixture *f, struct audit *audit)
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
