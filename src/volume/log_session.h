/* SPDX-License-Identifier: MIT */
#pragma once
/* A log writer's session from inside, for log_writer.c and log_records.c alone. Threads: as
 * the log writer.
 */
#include "volume/log_layout.h"
#include "volume/log_writer.h"
#include "volume/record_writer.h"
#include "volume/room.h"
#include "volume/staging.h"
#include "volume/writer_memory.h"

#include "base/error.h"

struct log_writer {
	struct backend *backend;
	struct log_writer_options options;
	struct writer_memory memory;
	struct budget
		*budget; /* of this session; its size is reserved from options.budget */
	struct room_policy policy;

	struct write_queue *queue;
	struct write_job sync; /* of log_begin_flush() */
	struct stripe_writer *stripes;
	struct record_writer records;
	struct staging staging;
	struct log_layout layout;
	struct log_end end; /* behind the last record that on_record() was told of */

	size_t largest;        /* bytes of the largest staged atom */
	unsigned atoms;        /* staged */
	uint64_t commit_bytes; /* since the last log_write_record() */
	uint64_t expected; /* bytes that places of appended atoms will take in records */
	uint64_t payload;  /* bytes appended in this session */
	bool streaming;
	bool full;
	int r; /* why the session is broken, with its text */
	struct error err;
};

/* Why the session is broken, if it is. */
int log_session_check(struct log_writer *writer, struct error *err);

/* The end of a public function that wrote its message to writer->err. */
int log_session_leave(struct log_writer *writer, int r, struct error *err);

/* Tell of the records that have become durable. */
int log_session_deliver(struct log_writer *writer, struct error *err);

/* End the open stripe, or spread what is staged. Its writing is queued. */
int log_session_close(struct log_writer *writer, struct error *err);
