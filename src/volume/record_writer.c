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
#include "chunker/parity.h"
#include "chunker/skippable.h"
#include "volume/backend.h"
#include "volume/log_end.h"
#include "volume/stripe_build.h"

#include <assert.h>
#include <string.h>

#define PIECE_SIZE 262144u /* bytes of a record in one skippable frame */

uint32_t record_payload(size_t size)
{
	size_t pieces = (size + PIECE_SIZE - 1) / PIECE_SIZE;

	return (uint32_t)(size + pieces * SKIPPABLE_HEADER_SIZE);
}

void record_geometry(struct geometry *geometry_out, unsigned parity, size_t size,
		     uint64_t spread)
{
	geometry_init(geometry_out, 1, parity, geometry_frames_for(size), spread);
}

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

static void free_buffers(struct record_writer *writer)
{
	extent_free(&writer->data);
	for (unsigned j = 0; writer->parities && j < writer->parity; j++)
		extent_free(&writer->parities[j]);
	free(writer->parities);
	writer->parities = NULL;
	writer->frames = 0;
}

void record_writer_done(struct record_writer *writer)
{
	struct record_job *job = writer->first;

	while (job) {
		struct record_job *next = job->next;

		record_job_free(job);
		job = next;
	}
	free_buffers(writer);
	log_end_done(&writer->end);
}

void record_writer_trim(struct record_writer *writer, unsigned frames)
{
	if (writer->frames > frames)
		free_buffers(writer);
}

/* Have buffers for @geometry, at least. */
static int reserve_buffers(struct record_writer *writer, const struct geometry *geometry,
			   struct error *err)
{
	int r;

	if (writer->frames >= geometry->frames && writer->parity == geometry->parity)
		return 0;
	free_buffers(writer);
	writer->parity = geometry->parity;
	writer->parities = calloc(geometry->parity, sizeof(*writer->parities));
	if (!writer->parities)
		return error_set(err, -ENOMEM, "no memory for a record's parity");
	r = extent_alloc(&writer->data, writer->budget, geometry, false, err);
	for (unsigned j = 0; r == 0 && j < geometry->parity; j++)
		r = extent_alloc(&writer->parities[j], writer->budget, geometry, true,
				 err);
	if (r < 0)
		return r;
	writer->frames = geometry->frames;
	return 0;
}

static int sync_backend(struct record_writer *writer, struct error *err)
{
	uint64_t position = backend_position(writer->backend);
	int r;

	if (writer->synced == position)
		return 0;
	r = backend_sync(writer->backend, err);
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

/* Cut the record's bytes into skippable frames. */
static void fill_extent(struct extent *extent, const uint8_t *data, size_t size)
{
	uint8_t header[SKIPPABLE_HEADER_SIZE];

	for (size_t offset = 0; offset < size; offset += PIECE_SIZE) {
		size_t piece = size - offset < PIECE_SIZE ? size - offset : PIECE_SIZE;
		struct atom atom = atom_of(header, sizeof(header));

		skippable_put(header, SKIPPABLE_RECORD, (uint32_t)piece);
		atom_add(&atom, data + offset, piece);
		extent_append(extent, &atom);
	}
	extent_close(extent, false); /* records always have parity behind them */
}

static int write_stripe(struct record_writer *writer, struct stripe_info *own,
			const uint8_t *data, size_t size, struct error *err)
{
	struct extent *extent = &writer->data;
	autoptr(parity) code = NULL;
	struct stripe_build build = { .backend = writer->backend,
				      .pool = writer->pool,
				      .volume = writer->end.volume,
				      .info = *own,
				      .extents = own->extents };
	int r;

	r = parity_new(1, own->geometry.parity, &code, err);
	if (r < 0)
		return r;
	r = reserve_buffers(writer, &own->geometry, err);
	if (r < 0)
		return r;
	build.sums = (struct row_sums){ code, writer->parities, own->geometry.parity };
	stripe_build_begin(&build);
	extent_begin(extent, &own->geometry, 0, &build.sums, 0);
	fill_extent(extent, data, size);
	extent_submit_rest(extent, writer->pool);
	r = task_group_wait(&extent->group, err);
	if (r < 0)
		return r;
	r = stripe_build_data(&build, extent, &writer->end, err);
	if (r < 0)
		return r;
	return stripe_build_parity(&build, 1, extent->area_size, &writer->end, err);
}

static int run_record_job(struct write_job *write_job, struct error *err)
{
	struct record_job *job = (struct record_job *)write_job;
	struct record_writer *writer = job->writer;
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
	r = write_stripe(writer, &job->own, data, size, err);
	if (r < 0)
		return r;
	crash_point("volume.record.written");
	r = log_end_advance(&writer->end, job->record, &job->own);
	if (r < 0)
		return error_set(err, r, "no memory for the end of the log");
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
