/* SPDX-License-Identifier: MIT */
/* The log writer decides; others do the work:
 *
 *     staging         holds back the first atoms of a commit
 *     stripe_writer   fills, hashes, encodes and queues data stripes
 *     log_layout      where things come to lie, and what the next records list
 *     record_writer   completes and writes records, in order behind the stripes
 *     write_queue     the thread that runs all that touches the backend
 *     room            how much still fits
 *     log_records     records that others ask for (log_records.c)
 *
 * A commit goes through two states, from one log_write_record() to the next:
 *
 *     STAGING --more than staging_size bytes--> STREAMING
 *     STAGING | STREAMING --log_write_record()--> STAGING
 *
 * Everything that depends on the layout only is decided here, in the caller's thread, ahead
 * of the medium: where stripes lie, their numbers, log offsets, sizes of records. So
 * log_append() knows an atom's log offset at once, also across a stripe's end, where a
 * placement record takes part of the log; what that record says is filled in when it is
 * written. A staged atom's offset is right because the staged bytes always fit into one
 * stripe (writer_memory.c, staging_frames()).
 *
 * After any failure the session is broken: its log offsets may point at nothing. What it
 * wrote stays behind as a tail.
 */
#include "volume/log_writer.h"

#include "base/error.h"
#include "volume/backend.h"
#include "volume/log_end.h"
#include "volume/log_session.h"
#include "volume/record_wire.h"
#include "volume/stripe_writer.h"

#include <assert.h>
#include <string.h>

#define ATOM_SIZE_MIN 8u /* bytes: a skippable frame's header */

/* ---- state of the session ---- */

/* Why the session is broken, if it is. */
int log_session_check(struct log_writer *writer, struct error *err)
{
	if (writer->r == 0)
		writer->r = write_queue_check(writer->queue, &writer->err);
	if (writer->r < 0 && err)
		*err = writer->err;
	return writer->r;
}

/* The end of a public function that wrote its message to writer->err. */
int log_session_leave(struct log_writer *writer, int r, struct error *err)
{
	if (r >= 0)
		return r;
	writer->r = r;
	if (err)
		*err = writer->err;
	return r;
}

/* Tell of the records that have become durable. */
int log_session_deliver(struct log_writer *writer, struct error *err)
{
	const struct log_writer_options *options = &writer->options;
	struct record_job *job;
	int r = 0;

	while (r == 0 && (job = record_writer_pop(&writer->records))) {
		r = log_end_advance(&writer->end, job->record, &job->own);
		if (r < 0)
			(void)error_set(err, r, "no memory for the end of the log");
		else if (options->on_record)
			r = options->on_record(options->context, job->record, &job->own,
					       err);
		record_job_free(job);
	}
	return r < 0 ? r : 0;
}

/* ---- space ---- */

static uint64_t subtract(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What is left behind the closed stripes, less what the records at the end will take when
 * @lists more bytes of places come. */
static struct space space_left(const struct log_writer *writer, uint64_t lists)
{
	const struct log_writer_options *options = &writer->options;
	uint64_t places =
		pending_size(&writer->layout.pending) + writer->expected + lists;
	struct space reserve = room_reserve(&writer->policy, places);
	uint64_t capacity = backend_capacity(writer->backend);

	return (struct space){
		.bytes = subtract(options->max_size, options->used_size +
							     writer->layout.written +
							     reserve.bytes),
		.span = subtract(capacity, writer->layout.position + reserve.span),
	};
}

/* ---- stripes ---- */

static int open_stripe(struct log_writer *writer, unsigned data, unsigned frames,
		       struct error *err)
{
	struct stripe_info info;

	log_layout_next(&writer->layout, data, writer->policy.parity, frames,
			writer->staging.bytes, &info);
	return stripe_writer_open(writer->stripes, &info, err);
}

static int close_stripe(struct log_writer *writer, struct error *err)
{
	struct stripe_info info;
	int r;

	r = stripe_writer_close(writer->stripes, &info, err);
	if (r < 0)
		return r;
	r = log_layout_close(&writer->layout, &info);
	if (r < 0) { /* the write queue still fills in the extents' hashes */
		(void)write_queue_drain(writer->queue, NULL);
		stripe_info_done(&info);
		return error_set(err, r, "no memory for a stripe");
	}
	return 0;
}

/* Put the staged atoms into one stripe over @data extents, which stays open. */
static int unstage(struct log_writer *writer, unsigned data, struct error *err)
{
	struct staging *staging = &writer->staging;
	struct staging_cursor cursor = { 0 };
	unsigned frames = geometry_frames_for((staging->bytes + data - 1) / data);
	const void *data_at;
	size_t size;
	int r;

	frames = staging_frames(staging, data, frames, EXTENT_FRAMES_MAX);
	assert(frames > 0);
	r = open_stripe(writer, data, frames, err);
	if (r < 0)
		return r;
	while ((data_at = staging_next(staging, &cursor, &size))) {
		struct atom atom = atom_of(data_at, size);

		r = stripe_writer_append(writer->stripes, &atom, err);
		if (r < 0)
			return r;
	}
	staging_done(staging);
	writer->largest = 0;
	writer->atoms = 0;
	return 0;
}

/* ---- appending ---- */

static int set_full(struct log_writer *writer)
{
	writer->full = true;
	return LOG_FULL;
}

/* Hold @atom back, if space for it is sure. */
static int append_staged(struct log_writer *writer, const struct atom *atom,
			 uint64_t lists, struct error *err)
{
	uint64_t bytes = writer->staging.bytes + atom->size;
	size_t largest = atom->size > writer->largest ? atom->size : writer->largest;
	struct space need =
		room_staged(&writer->policy, room_staged_data(&writer->policy, bytes),
			    bytes, writer->atoms + 1, largest);
	int r;

	if (!room_within(need, space_left(writer, lists)))
		return set_full(writer);
	r = staging_add(&writer->staging, writer->budget, writer->memory.staging_size,
			atom, err);
	if (r < 0)
		return r;
	writer->largest = largest;
	writer->atoms++;
	return 0;
}

/* The commit is too large to be held back. */
static int start_streaming(struct log_writer *writer, struct error *err)
{
	struct space need =
		room_staged(&writer->policy, writer->policy.data, writer->staging.bytes,
			    writer->atoms, writer->largest);
	int r;

	if (writer->staging.bytes > 0) {
		/* With k = 1 the staged bytes fit; spread they may not. */
		if (!room_within(need, space_left(writer, 0)))
			return set_full(writer);
		r = unstage(writer, writer->policy.data, err);
		if (r < 0)
			return r;
	}
	writer->streaming = true;
	return 0;
}

/* Close the full stripe and list it, so that the log up to here is no tail any more. */
static int end_full_stripe(struct log_writer *writer, struct error *err)
{
	const struct record_text text = { .kind = STRIPE_PLACEMENT };
	int r;

	r = close_stripe(writer, err);
	if (r < 0)
		return r;
	do {
		r = log_layout_record(&writer->layout, &text, false, &writer->records,
				      err);
	} while (r == 0 &&
		 pending_has_places(&writer->layout.pending, writer->layout.log_offset));
	return r;
}

/* Have a stripe open in which @size bytes fit, or the volume is full. */
static int reserve_extent(struct log_writer *writer, size_t size, uint64_t lists,
			  struct error *err)
{
	struct stripe_fill fill;
	bool fits;
	int r;

	if (stripe_writer_is_open(writer->stripes)) {
		stripe_writer_fill(writer->stripes, &fill);
		fits = stripe_writer_fits(writer->stripes, size);
		if (fits || fill.extents < fill.geometry.data)
			return room_within(room_fill(&fill, size, !fits),
					   space_left(writer, lists))
				       ? 0
				       : set_full(writer);
		r = end_full_stripe(writer, err);
		if (r < 0)
			return r;
	}
	fill = (struct stripe_fill){ 0 };
	geometry_init(&fill.geometry, writer->policy.data, writer->policy.parity,
		      room_stream_frames(&writer->policy, writer->commit_bytes,
					 space_left(writer, lists)),
		      writer->policy.spread);
	if (!room_within(room_fill(&fill, size, true), space_left(writer, lists)))
		return set_full(writer);
	return open_stripe(writer, fill.geometry.data, fill.geometry.frames, err);
}

static int append_streaming(struct log_writer *writer, const struct atom *atom,
			    uint64_t lists, struct error *err)
{
	int r = reserve_extent(writer, atom->size, lists, err);

	if (r == LOG_FULL && stripe_writer_is_open(writer->stripes)) {
		r = close_stripe(writer, err);
		return r < 0 ? r : LOG_FULL;
	}
	if (r != 0)
		return r;
	return stripe_writer_append(writer->stripes, atom, err);
}

static int append(struct log_writer *writer, const struct atom *atom, struct error *err)
{
	uint64_t lists = pending_expect(atom->parts[0].iov_base, atom->parts[0].iov_len);
	int r;

	r = log_session_deliver(writer, err);
	if (r < 0)
		return r;
	if (writer->full)
		return LOG_FULL;
	if (!writer->streaming &&
	    !staging_fits(&writer->staging, atom->size, writer->memory.staging_size)) {
		r = start_streaming(writer, err);
		if (r != 0)
			return r;
	}
	if (writer->streaming)
		r = append_streaming(writer, atom, lists, err);
	else
		r = append_staged(writer, atom, lists, err);
	if (r != 0)
		return r;
	writer->expected += lists;
	writer->commit_bytes += atom->size;
	writer->payload += atom->size;
	return 0;
}

int log_append(struct log_writer *writer, const struct atom *atom,
	       uint64_t *log_offset_out, struct error *err)
{
	int r;

	r = log_session_check(writer, err);
	if (r < 0)
		return r;
	if (atom->size < ATOM_SIZE_MIN || atom->size > ATOM_SIZE_MAX)
		return error_set(err, -EINVAL, "an atom of %zu bytes", atom->size);
	r = log_session_leave(writer, append(writer, atom, &writer->err), err);
	if (r != 0)
		return r;
	*log_offset_out = writer->layout.log_offset;
	writer->layout.log_offset += atom->size;
	return 0;
}

uint64_t log_room(const struct log_writer *writer)
{
	struct space have = space_left(writer, 0);
	struct stripe_fill fill;

	if (writer->r < 0 || writer->full)
		return 0;
	if (!writer->streaming)
		return room_unstaged(&writer->policy, writer->staging.bytes,
				     writer->memory.staging_size, have);
	if (!stripe_writer_is_open(writer->stripes))
		return room_payload(&writer->policy, writer->commit_bytes, have);
	stripe_writer_fill(writer->stripes, &fill);
	return room_open(&writer->policy, &fill, writer->commit_bytes, have);
}

static void expect_less(struct log_writer *writer, uint64_t size)
{
	writer->expected = subtract(writer->expected, size);
}

/* What is placed must have been appended. */
static int check_place(struct log_writer *writer, uint64_t offset, uint64_t size,
		       struct error *err)
{
	uint64_t end = writer->layout.log_offset;
	int r = log_session_check(writer, err);

	if (r < 0)
		return r;
	if (size > end || offset > end - size)
		return error_set(err, -EINVAL, "a place beyond the end of the log");
	return 0;
}

static int placed(struct log_writer *writer, int r, struct error *err)
{
	if (r < 0)
		(void)error_set(&writer->err, r, "no memory for a place");
	return log_session_leave(writer, r, err);
}

int log_place_segment(struct log_writer *writer, const struct segment_place *segment,
		      struct error *err)
{
	int r = check_place(writer, segment->log_offset, segment->stored_size, err);

	if (r < 0)
		return r;
	expect_less(writer, sizeof(struct segment_wire));
	return placed(writer, pending_add_segment(&writer->layout.pending, segment), err);
}

int log_place_page(struct log_writer *writer, const struct page_place *page,
		   struct error *err)
{
	int r = check_place(writer, page->log_offset, page->stored_size, err);

	if (r < 0)
		return r;
	expect_less(writer, sizeof(struct place_wire));
	return placed(writer, pending_add_page(&writer->layout.pending, page), err);
}

int log_place_foreign(struct log_writer *writer, const struct segment_place *segment,
		      struct error *err)
{
	int r = log_session_check(writer, err);

	return r < 0 ? r
		     : placed(writer,
			      pending_add_foreign(&writer->layout.pending, segment), err);
}

int log_place_group(struct log_writer *writer, struct group *group, struct error *err)
{
	int r = check_place(writer, group_log_end(group), 0, err);

	return r < 0 ? r
		     : placed(writer, pending_add_group(&writer->layout.pending, group),
			      err);
}

/* ---- ending what is open ---- */

int log_session_close(struct log_writer *writer, struct error *err)
{
	int r = 0;

	if (writer->staging.bytes > 0)
		r = unstage(writer,
			    room_staged_data(&writer->policy, writer->staging.bytes),
			    err);
	if (r == 0 && stripe_writer_is_open(writer->stripes))
		r = close_stripe(writer, err);
	return r;
}

const struct log_end *log_writer_end(const struct log_writer *writer)
{
	return &writer->end;
}

void log_writer_totals(const struct log_writer *writer, uint64_t *payload_out,
		       uint64_t *written_out)
{
	*payload_out = writer->payload;
	*written_out = writer->layout.written;
}

/* ---- lifecycle ---- */

/* Where the session goes on. */
static int init_layout(struct log_writer *writer, const struct log_end *end,
		       struct error *err)
{
	uint64_t position = log_end_position(end, backend_position(writer->backend));
	int r;

	r = log_layout_init(&writer->layout, end, position, err);
	if (r < 0)
		return r;
	writer->layout.record_parity = room_record_parity(writer->policy.parity);
	writer->layout.spread = writer->policy.spread;
	r = log_end_copy(end, &writer->end);
	if (r == 0)
		r = record_writer_init(&writer->records, end);
	return r < 0 ? error_set(err, r, "no memory for the end of the log") : 0;
}

static int start(struct log_writer *writer, struct error *err)
{
	struct stripe_writer_setup setup = {
		.backend = writer->backend,
		.pool = writer->options.pool,
		.budget = writer->budget,
		.end = &writer->records.end,
		.volume = writer->layout.volume,
		.parity = writer->options.parity,
	};
	int r;

	r = write_queue_new(&writer->queue, err);
	if (r < 0)
		return r;
	setup.queue = writer->queue;
	writer->records.queue = writer->queue;
	writer->records.build.backend = writer->backend;
	writer->records.build.pool = writer->options.pool;
	writer->records.build.budget = writer->budget;
	return stripe_writer_new(&setup, &writer->stripes, err);
}

int log_writer_new(struct backend *backend, const struct log_end *end,
		   const struct log_writer_options *options,
		   struct log_writer **writer_out, struct error *err)
{
	autoptr(log_writer) writer = NULL;
	int r;

	r = writer_options_check(options, err);
	if (r < 0)
		return r;
	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return error_set(err, -ENOMEM, "no memory for a log writer");
	writer->backend = backend;
	writer->options = *options;
	r = writer_memory_reserve(options, &writer->memory, &writer->budget, err);
	if (r < 0)
		return r;
	writer->policy = (struct room_policy){ options->data, options->parity,
					       writer->memory.frames_max, options->spread,
					       options->tiered };
	r = init_layout(writer, end, err);
	if (r < 0)
		return r;
	r = start(writer, err);
	if (r < 0)
		return r;
	*writer_out = take_ptr(writer);
	return 0;
}

void log_writer_free(struct log_writer *writer)
{
	if (!writer)
		return;
	if (writer->queue)
		(void)write_queue_drain(writer->queue, NULL); /* it only ends the work */
	stripe_writer_free(writer->stripes);
	write_queue_free(writer->queue);
	record_writer_done(&writer->records);
	staging_done(&writer->staging);
	log_layout_done(&writer->layout);
	log_end_done(&writer->end);
	writer_memory_release(&writer->options, &writer->memory, writer->budget);
	free(writer);
}
