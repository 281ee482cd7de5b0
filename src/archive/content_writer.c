/* SPDX-License-Identifier: MIT */
/* A queue of jobs: batches of small files, pieces of large ones. Workers read them ahead; the
 * calling thread takes them from the front, in the order in which they were begun, and turns
 * them into manifests and segments. Reading stays ahead as far as there are batches and
 * slots; whoever finds none left does a step of the front job and tries again.
 *
 *     file ── at most one frame ──> batch ────────────┐
 *       └──── more ──> slots of the ring ──> pieces ──┴──> front of the queue
 *                ┌── batch, small file: content_store (packs)
 *       front ───┤
 *                └── piece of 32 MiB: segment_writer
 *
 * Slots: reading leaves SLOTS_RESERVED of them alone, so these are free or in packs, and a
 * small content can always get one by writing a pack. Everything else that holds slots is in
 * the queue, and the ring is larger than one piece and the reserve. So there is always a
 * step that can be done.
 *
 * A file that changed while it was read goes to the `again` list and is begun anew when
 * nothing else is being begun, so that no step has to begin a file.
 */
#include "archive/content_writer.h"

#include "archive/attributes.h"
#include "archive/change.h"
#include "archive/commit_monitor.h"
#include "archive/file_result.h"
#include "archive/folder.h"
#include "archive/frame_ring.h"
#include "archive/large_file.h"
#include "archive/segment_writer.h"
#include "archive/small_batch.h"
#include "base/budget.h"
#include "base/error.h"
#include "chunker/frame.h"
#include "chunker/packer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS_RESERVED = 8,
	BATCHES_MIN = 2,
	BATCHES_MAX = 24,     /* descriptors, too, are limited */
	PIECES_AHEAD_MAX = 3, /* slots for more would not be used */
};

/* Exactly one of the two. */
struct job {
	struct small_batch *batch;
	struct piece *piece; /* owned */
	struct job *next;
};

struct content_writer {
	struct pool *pool;
	struct frame_ring *ring;
	struct segment_writer *segments;
	struct file_results results; /* owns the store, too */

	struct buffer batch_memory;
	struct small_batch *batches; /* owned; all of them */
	unsigned batch_count;
	struct small_batch *idle; /* list of empty ones */
	struct small_batch *open; /* is being filled; NULL: none */

	struct job *first; /* queue */
	struct job *last;
	struct large_file *filling; /* owned while no last piece owns it */
};

static int make_batches(struct content_writer *writer, struct budget *budget,
			struct error *err)
{
	uint64_t wanted = UINT64_C(2) * pool_threads(writer->pool) + 2;
	uint64_t affordable = budget_size(budget) / 32 / BATCH_SIZE;
	unsigned count = (unsigned)(wanted < affordable ? wanted : affordable);
	int r;

	if (count < BATCHES_MIN)
		count = BATCHES_MIN;
	if (count > BATCHES_MAX)
		count = BATCHES_MAX;
	r = buffer_alloc(&writer->batch_memory, budget, (size_t)count * BATCH_SIZE,
			 "small files being read", err);
	if (r < 0)
		return r;
	writer->batches = calloc(count, sizeof(*writer->batches));
	if (!writer->batches)
		return error_set(err, -ENOMEM, "no memory for small files");
	writer->batch_count = count;
	for (unsigned i = 0; i < count; i++) {
		struct small_batch *batch = &writer->batches[i];

		small_batch_init(batch,
				 writer->batch_memory.data + (size_t)i * BATCH_SIZE);
		batch->next = writer->idle;
		writer->idle = batch;
	}
	return 0;
}

static int make_ring(struct content_writer *writer,
		     const struct content_writer_options *options, struct error *err)
{
	unsigned piece = SEGMENT_SIZE_MAX / options->frame_size;
	uint64_t memory = budget_size(options->budget) / 16 * 3;
	uint64_t useful = (uint64_t)PIECES_AHEAD_MAX * SEGMENT_SIZE_MAX;
	struct frame_ring_options ring = {
		.pool = options->pool,
		.budget = options->budget,
		.frame_size = options->frame_size,
		.level = options->level,
		.memory = memory < useful ? memory : useful,
		.slots_min = piece + SLOTS_RESERVED,
	};

	return frame_ring_new(&ring, &writer->ring, err);
}

static int make_parts(struct content_writer *writer,
		      const struct content_writer_options *options, struct error *err)
{
	struct content_store_options store = {
		.session = options->session,
		.monitor = options->monitor,
		.frame_size = options->frame_size,
	};
	int r;

	r = make_ring(writer, options, err);
	if (r < 0)
		return r;
	r = make_batches(writer, options->budget, err);
	if (r < 0)
		return r;
	r = segment_writer_new(options->session, options->frame_size, &writer->segments,
			       err);
	if (r < 0)
		return r;
	store.ring = writer->ring;
	store.segments = writer->segments;
	return content_store_new(&store, &writer->results.store, err);
}

int content_writer_new(const struct content_writer_options *options,
		       struct content_writer **writer_out, struct error *err)
{
	autoptr(content_writer) writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return error_set(err, -ENOMEM, "no memory for a commit");
	writer->results.monitor = options->monitor;
	writer->results.session = options->session;
	writer->pool = options->pool;
	writer->results.frame_size = options->frame_size;
	r = make_parts(writer, options, err);
	if (r < 0)
		return r;
	*writer_out = take_ptr(writer);
	return 0;
}

static void free_job(struct content_writer *writer, struct job *job)
{
	struct large_file *file = NULL;

	if (job->piece) {
		file = job->piece->last ? job->piece->file : NULL;
		piece_free(job->piece, writer->ring);
	}
	large_file_free(file);
	free(job);
}

/* Whatever is being read is waited for before its descriptor is closed. */
void content_writer_free(struct content_writer *writer)
{
	if (!writer)
		return;
	while (writer->first) {
		struct job *job = writer->first;

		writer->first = job->next;
		free_job(writer, job);
	}
	large_file_free(writer->filling);
	for (unsigned i = 0; i < writer->batch_count; i++)
		small_batch_done(&writer->batches[i]);
	free(writer->batches);
	while (writer->results.again) {
		struct reading *reading = writer->results.again;

		writer->results.again = reading->next;
		reading_free(reading);
	}
	content_store_free(writer->results.store);
	segment_writer_free(writer->segments);
	frame_ring_free(writer->ring);
	buffer_free(&writer->batch_memory);
	free(writer);
}

const struct content_counters *content_writer_counters(
	const struct content_writer *writer)
{
	return content_store_counters(writer->results.store);
}

bool content_writer_is_writing(const struct content_writer *writer)
{
	return segment_writer_is_open(writer->segments);
}

static int push_job(struct content_writer *writer, struct small_batch *batch,
		    struct piece *piece, struct error *err)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return error_set(err, -ENOMEM, "no memory for a commit");
	job->batch = batch;
	job->piece = piece;
	if (writer->last)
		writer->last->next = job;
	else
		writer->first = job;
	writer->last = job;
	return 0;
}

static void pop_job(struct content_writer *writer)
{
	struct job *job = writer->first;

	writer->first = job->next;
	if (!writer->first)
		writer->last = NULL;
	free_job(writer, job);
}

static int finish_batch(struct content_writer *writer, struct small_batch *batch,
			struct error *err)
{
	small_batch_wait(batch);
	for (unsigned i = 0; i < batch->count; i++) {
		struct batch_file *file = &batch->files[i];
		int r = file_result_small(&writer->results, file,
					  batch->data + file->offset, err);

		if (r < 0)
			return r;
	}
	small_batch_clear(batch);
	batch->next = writer->idle;
	writer->idle = batch;
	pop_job(writer);
	return 0;
}

/* Whether @piece, which was read, is to become a segment. */
static bool becomes_segment(const struct piece *piece)
{
	const struct large_file *file = piece->file;

	return file->r == 0 && piece->size > 0 &&
	       !(piece->last && file_result_is_packed(file));
}

/* At the end of the front piece, give the workers some of the next one to do. */
static void start_next(struct content_writer *writer)
{
	unsigned few = 2 * pool_threads(writer->pool);
	struct job *next = writer->first->next;

	if (writer->first->piece->slot_count > few || !next || !next->piece ||
	    next->piece->state != PIECE_FULL)
		return;
	piece_wait(next->piece);
	if (becomes_segment(next->piece))
		piece_start(next->piece, few);
}

static int advance_piece(struct content_writer *writer, struct piece *piece,
			 struct error *err)
{
	uint64_t size = piece->size;
	bool written;
	int r = 0;

	if (piece->state == PIECE_FULL)
		piece_wait(piece);
	written = piece->state == PIECE_WRITING || becomes_segment(piece);
	if (written)
		r = piece_step(piece, writer->ring, writer->segments,
			       writer->results.session, err);
	if (r == PIECE_MORE)
		start_next(writer);
	if (r != 0)
		return r == PIECE_MORE ? 0 : r;

	if (written)
		monitor_advance(writer->results.monitor, 0, size);
	if (piece->last)
		r = file_result_large(&writer->results, piece, err);
	if (r < 0)
		return r;
	pop_job(writer);
	return monitor_check(writer->results.monitor, err);
}

static int submit_open(struct content_writer *writer, struct error *err)
{
	int r;

	r = push_job(writer, writer->open, NULL, err);
	if (r < 0)
		return r;
	small_batch_submit(take_ptr(writer->open), writer->pool);
	return 0;
}

/* A step that begins no file: 1, or 0 if there is nothing to do. */
static int step(struct content_writer *writer, struct error *err)
{
	struct job *front = writer->first;
	int r;

	if (front && front->batch)
		r = finish_batch(writer, front->batch, err);
	else if (front && front->piece->state != PIECE_FILLING)
		r = advance_piece(writer, front->piece, err);
	else if (writer->open)
		r = submit_open(writer, err);
	else
		return content_store_step(writer->results.store, err);
	return r < 0 ? r : 1;
}

/* Have more free slots than are reserved. */
static int need_slot(struct content_writer *writer, struct error *err)
{
	while (frame_ring_available(writer->ring) <= SLOTS_RESERVED) {
		int r = step(writer, err);

		if (r < 0)
			return r;
		assert(r > 0);
	}
	return 0;
}

/* The piece that is being filled; a new one if @piece is NULL. */
static int need_piece(struct content_writer *writer, struct large_file *file,
		      struct piece **piece, struct error *err)
{
	struct piece *fresh;
	int r;

	if (*piece)
		return 0;
	if (piece_new(file, &fresh) < 0)
		return error_set(err, -ENOMEM, "no memory for a piece");
	r = push_job(writer, NULL, fresh, err);
	if (r < 0) {
		piece_free(fresh, writer->ring);
		return r;
	}
	*piece = fresh;
	return 0;
}

/* Read @file, which writer->filling owns until its last piece does, ahead as far as there are
 * slots, and then as far as steps free some. */
static int fill(struct content_writer *writer, struct large_file *file, struct error *err)
{
	struct piece *piece = NULL;
	int r;

	while (!large_file_is_over(file)) {
		struct frame_slot *slot;

		r = need_slot(writer, err);
		if (r == 0)
			r = need_piece(writer, file, &piece, err);
		if (r < 0)
			return r;
		slot = frame_ring_take(writer->ring);
		if (large_file_read(file, slot, writer->results.frame_size) == 0) {
			frame_ring_release(writer->ring, slot);
			break;
		}
		piece_add(piece, slot);
		if (piece->size == SEGMENT_SIZE_MAX && !large_file_is_over(file)) {
			piece->state = PIECE_FULL;
			piece = NULL;
		}
	}
	r = need_piece(writer, file, &piece, err);
	if (r < 0)
		return r;
	piece->last = true;
	piece->state = PIECE_FULL;
	writer->filling = NULL;
	return 0;
}

static int begin_large(struct content_writer *writer, struct reading *reading,
		       struct error *err)
{
	struct error text = { 0 };
	int r;

	r = large_file_open(reading, &writer->filling);
	if (r == -ENOMEM) {
		reading_free(reading);
		return error_set(err, r, "no memory for a file");
	}
	if (r < 0) {
		error_set_errno(&text, r, "opening it");
		file_result_failed(&writer->results, reading, r, &text);
		return 0;
	}
	return fill(writer, writer->filling, err);
}

static int begin_small(struct content_writer *writer, struct reading *reading,
		       struct error *err)
{
	int r = 0;

	if (writer->open && !small_batch_fits(writer->open, reading))
		r = submit_open(writer, err);
	while (r >= 0 && !writer->open && !writer->idle)
		r = step(writer, err);
	if (r < 0) {
		reading_free(reading);
		return r;
	}
	if (!writer->open) {
		writer->open = writer->idle;
		writer->idle = writer->open->next;
	}
	small_batch_add(writer->open, reading);
	return 0;
}

/* Begin to read a file; @reading is taken over. */
static int begin(struct content_writer *writer, struct reading *reading,
		 struct error *err)
{
	reading->attempts++;
	if ((uint64_t)reading->stat.st_size <= writer->results.frame_size)
		return begin_small(writer, reading, err);
	return begin_large(writer, reading, err);
}

/* Begin the files that changed once more. */
static int begin_again(struct content_writer *writer, struct error *err)
{
	while (writer->results.again) {
		struct reading *reading = writer->results.again;
		struct error text = { 0 };
		int r = 0;

		writer->results.again = reading->next;
		if (fstatat(reading->folder->fd, reading->name, &reading->stat,
			    AT_SYMLINK_NOFOLLOW) < 0)
			r = -errno;
		else if (!S_ISREG(reading->stat.st_mode))
			r = -ELOOP;
		if (r < 0) {
			error_set(&text, r, "it was replaced while it was read");
			file_result_failed(&writer->results, reading, r, &text);
			continue;
		}
		r = begin(writer, reading, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int content_writer_file(struct content_writer *writer, struct change *change,
			struct folder *folder, const char *name, const struct stat *stat,
			struct error *err)
{
	struct reading *reading;
	int r;

	r = reading_new(change, folder, name, stat, &reading);
	if (r < 0)
		return error_set(err, r, "no memory for a file");
	change->waiting++;
	r = begin(writer, reading, err);
	if (r < 0)
		return r;
	return begin_again(writer, err);
}

int content_writer_stream(struct content_writer *writer, struct change *change, int fd,
			  struct error *err)
{
	int r;

	r = large_file_stream(change, fd, &writer->filling);
	if (r < 0)
		return error_set(err, r, "no memory for a stream");
	change->waiting++;
	return fill(writer, writer->filling, err);
}

int content_writer_entry(struct content_writer *writer, struct change *change,
			 const struct stat *stat, struct xattrs *xattrs,
			 struct error *err)
{
	return content_store_attributes(writer->results.store, change, stat, xattrs, err);
}

int content_writer_step(struct content_writer *writer, struct error *err)
{
	int r;

	r = begin_again(writer, err);
	if (r < 0)
		return r;
	return step(writer, err);
}
