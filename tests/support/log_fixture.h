/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume in memory, a writer's session on it, and what the volume must hold in the end, for
 * tests. Asserts with cmocka. Threads: one at a time.
 */
#include "support/volume_audit.h"

#include "base/budget.h"
#include "base/pool.h"
#include "merkle/hash.h"
#include "volume/log_end.h"
#include "volume/log_writer.h"

#include <stddef.h>
#include <stdint.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

struct log_fixture {
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
	size_t records;       /* that the writer told of */
	int on_record_result;
	struct hash last_record;
};

/* An empty volume for stripes of @data and @parity extents; no session yet. @memory: bytes of
 * the budget. */
void log_fixture_init(struct log_fixture *f, unsigned data, unsigned parity,
		      uint64_t memory);
/* Asserts that all of the budget was given back. */
void log_fixture_done(struct log_fixture *f);

/* Begin a session, and leave it; the next one goes on at its end. */
void log_fixture_start(struct log_fixture *f);
void log_fixture_end(struct log_fixture *f);

uint64_t log_fixture_random(struct log_fixture *f);

/* Append one frame of @size bytes of content. LOG_FULL if it was not taken. */
int log_fixture_try(struct log_fixture *f, size_t size, uint64_t *offset_out);
void log_fixture_append(struct log_fixture *f, size_t size);
/* Frames that take @bytes in all, or a little less. */
void log_fixture_append_bytes(struct log_fixture *f, uint64_t bytes);
/* Frames of any size up to @most bytes of content. */
void log_fixture_append_mixed(struct log_fixture *f, uint64_t bytes, size_t most);
void log_fixture_record(struct log_fixture *f, enum stripe_kind kind);

/* The volume is right, and it holds what was appended. The caller: audit_done(). */
void log_fixture_audit(struct log_fixture *f, struct audit *audit);
