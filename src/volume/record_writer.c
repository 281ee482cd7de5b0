/* SPDX-License-Identifier: MIT */
/* A record can be laid out before it can be filled in: its size and so its stripe follow
 * from what it lists, but hashes of extents, and of the record before it, exist only when
 * those were written. So the caller plans a record, and the job, which runs behind the
 * extents that it lists, completes it.
 *
 * Order on the medium:
 *
 *     extents, parity · sync · record stripe · sync (or the next record's first one)
 *
 * The first sync makes "everything before a record was durable" true, on which the
 * difference between damage and a tail rests.
 */
#include "volume/record_writer.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "volume/backend.h"
#include "volume/log_end.h"

#include <assert.h>
#include <string.h>

int record_writer_init(struct record_writer *writer, const struct log_end *end)
{
	int r = log_end_copy(end, &writer->end);

	if (r < 0)
		return r;
	writer->last = &writer->first;
	writer->synced = UINT64_MAX; /* unknown: the first record syncs */
	atomic_init(&writer->durable, end->sequence);
	return 0;
}

void record_writer_done(struct record_writer *writer)
{
	struct record_job *job = writer->first;

	while (job) {
		struct record_job *next = job->next;

		record_job_free(job);
		job = next;
	}
	record_build_done(&writer->build);
	log_end_done(&writer->end);
}

static int sync_backend(struct record_writer *writer, struct error *err)
{
	uint64_t position = backend_position(writer->build.backend);
	int r;

	if (writer->synced == position)
		return 0;
	r = backend_sync(writer->build.backend, err);
	if (r < 0)
		return r;
	writer->synced = position;
	atomic_store(&writer->durable, writer->end.sequence);
	return 0;
}

/* Fill in what depends on the records before. */
static int complete(struct record_writer *writer, struct record *record,
		    const struct stripe_info *own)
{
	const struct log_end *end = &writer->end;

	record->sequence = end->sequence;
	record->previous_offset = end->previous_offset;
	record->previous_hash = end->previous_hash;
	record->log_start = end->covered;
	record->log_end = own->log_start;
	record->stripe_number = own->number;
	if (!end->own.extents)
		return 0;
	assert(record->stripe_count > 0 && !record->stripes[0].extents);
	return stripe_info_copy(&end->own, &record->stripes[0]);
}

/* Where the log ends behind the record of @job. */
static int next_end(const struct record_writer *writer, const struct record_job *job,
		    struct log_end *next_out)
{
	int r = log_end_copy(&writer->end, next_out);

	return r < 0 ? r : log_end_advance(next_out, job->record, &job->own);
}

static int run_record_job(struct write_job *write_job, struct error *err)
{
	struct record_job *job = (struct record_job *)write_job;
	struct record_writer *writer = job->writer;
	struct log_end next __attribute__((__cleanup__(log_end_done))) = { 0 };
	autofree uint8_t *data = NULL;
	size_t size;
	int r;

	r = sync_backend(writer, err);
	if (r < 0)
		return r;
	crash_point("volume.data.synced");
	r = complete(writer, job->record, &job->own);
	if (r < 0)
		return error_set(err, r, "no memory for a record's stripes");
	r = record_encode(job->record, &data, &size, err);
	if (r < 0)
		return r;
	assert(record_payload(size) == job->own.extents[0].payload_size);
	/* Before it is written: a record that is there is not to fail for want of memory. */
	r = next_end(writer, job, &next);
	if (r < 0)
		return error_set(err, r, "no memory for the end of the log");
	r = record_build_write(&writer->build, &job->own, data, size, &writer->end, err);
	if (r < 0)
		return r;
	crash_point("volume.record.written");
	/* The hashes of its extents were not known before. */
	memcpy(next.own.extents, job->own.extents,
	       (job->own.data_count + job->own.geometry.parity) *
		       sizeof(*next.own.extents));
	log_end_done(&writer->end);
	writer->end = next;
	next = (struct log_end){ 0 };
	if (!job->sync)
		return 0;
	r = sync_backend(writer, err);
	if (r < 0)
		return r;
	crash_point("volume.record.synced");
	return 0;
}

int record_writer_push(struct record_writer *writer, struct record *record,
		       struct stripe_info *own, uint64_t sequence, bool sync,
		       struct error *err)
{
	struct record_job *job = calloc(1, sizeof(*job));

	if (!job)
		return error_set(err, -ENOMEM, "no memory for a record");
	job->job.run = run_record_job;
	job->writer = writer;
	job->record = record;
	job->own = *own;
	own->extents = NULL;
	job->sequence = sequence;
	job->sync = sync;
	*writer->last = job;
	writer->last = &job->next;
	write_queue_push(writer->queue, &job->job);
	return 0;
}

struct record_job *record_writer_pop(struct record_writer *writer)
{
	struct record_job *job = writer->first;

	if (!job || job->sequence >= atomic_load(&writer->durable))
		return NULL;
	write_queue_wait(writer->queue, &job->job); /* it may still be leaving */
	writer->first = job->next;
	if (!writer->first)
		writer->last = &writer->first;
	return job;
}

void record_job_free(struct record_job *job)
{
	if (!job)
		return;
	record_free(job->record);
	stripe_info_done(&job->own);
	free(job);
}
