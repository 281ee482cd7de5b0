/* SPDX-License-Identifier: MIT */
#pragma once
/* Writes records, each in a stripe of its own, and knows where their chain ends.
 *
 * Threads: record_writer_push() and the functions that follow it are for one thread at a
 * time; the jobs run on the write queue, and `end` belongs to them.
 */
#include "volume/log_writer.h"
#include "volume/record_build.h"
#include "volume/write_queue.h"

#include <stdatomic.h>

struct record_job {
	struct write_job job;
	struct record_writer *writer;
	struct record *record;  /* owned */
	struct stripe_info own; /* its stripe; owned */
	uint64_t sequence;
	bool sync; /* make the record durable at once; else the next sync does */
	struct record_job *next;
};

struct record_writer {
	struct write_queue *queue; /* borrowed */

	/* Of the jobs. */
	struct log_end end; /* behind the last record written */
	uint64_t synced;    /* position of the backend at the last sync */
	struct record_build build;

	atomic_uint_fast64_t durable; /* records with a lower sequence are */
	struct record_job *first;     /* pushed, not yet popped; of the caller */
	struct record_job **last;
};

/* Start behind @end (copied). -ENOMEM. */
int record_writer_init(struct record_writer *writer, const struct log_end *end);

/* The queue must be empty. */
void record_writer_done(struct record_writer *writer);

/* Queue a record. Takes over @record and the extents of @own, whose sizes are set. If there
 * is a record before, the first of @record's stripes stands for that one's own stripe and
 * has no extents yet. What
 * the chain decides (sequence, previous record, coverage) is filled in by the job.
 * -ENOMEM (nothing was taken). */
int record_writer_push(struct record_writer *writer, struct record *record,
		       struct stripe_info *own, uint64_t sequence, bool sync,
		       struct error *err);

/* The oldest record that is durable by now, removed from the list; NULL if there is none.
 * Free it with record_job_free(). */
struct record_job *record_writer_pop(struct record_writer *writer);
void record_job_free(struct record_job *job);
