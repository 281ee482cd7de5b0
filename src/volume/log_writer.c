/* SPDX-License-Identifier: MIT */
/* The log writer decides; others do the work:
 *
 *     staging         holds back the first atoms of a commit
 *     stripe_writer   fills, hashes, encodes and queues data stripes
 *     pending         what the next records must list
 *     record_writer   completes and writes records, in order behind the stripes
 *     write_queue     the thread that runs all that touches the backend
 *     room            how much still fits
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
#include "base/random.h"
#include "chunker/skippable.h"
#include "volume/backend.h"
#include "volume/log_end.h"
#include "volume/pending.h"
#include "volume/record_wire.h"
#include "volume/record_writer.h"
#include "volume/room.h"
#include "volume/staging.h"
#include "volume/stripe_writer.h"
#include "volume/writer_memory.h"

#include <assert.h>
#include <string.h>

#define ATOM_SIZE_MIN 8u /* bytes: a skippable frame's header */

struct log_writer {
	struct backend *backend;
	struct log_writer_options options;
	struct writer_memory memory;
	struct budget
		*budget; /* of this session; its size is reserved from options.budget */
	struct room_policy policy;

	struct write_queue *queue;
	struct stripe_writer *stripes;
	struct record_writer records;
	struct staging staging;
	struct pending pending;
	struct log_end end; /* behind the last record that on_record() was told of */

	/* The layout, ahead of the medium. */
	struct uuid epoch;
	uint64_t position;      /* bytes: where the next stripe starts */
	uint64_t log_offset;    /* of the next payload byte, staged ones included */
	uint64_t stripe_number; /* of the next stripe */
	uint64_t sequence;      /* of the next record */
	struct stripe_info own; /* of the last record, without extents: its size counts */
	bool has_own;

	size_t largest;        /* bytes of the largest staged atom */
	unsigned atoms;        /* staged */
	uint64_t commit_bytes; /* since the last log_write_record() */
	uint64_t expected; /* bytes that places of appended atoms will take in records */
	uint64_t payload;  /* bytes appended in this session */
	uint64_t written;  /* bytes of all closed stripes of this session */
	bool streaming;
	bool full;
	int r; /* why the session is broken, with its text */
	struct error err;
};

/* ---- state of the session ---- */

/* Why the session is broken, if it is. */
static int check_session(struct log_writer *writer, struct error *err)
{
	if (writer->r == 0)
		writer->r = write_queue_check(writer->queue, &writer->err);
	if (writer->r < 0 && err)
		*err = writer->err;
	return writer->r;
}

/* The end of a public function that wrote its message to writer->err. */
static int leave(struct log_writer *writer, int r, struct error *err)
{
	if (r >= 0)
		return r;
	writer->r = r;
	if (err)
		*err = writer->err;
	return r;
}

/* Tell of the records that have become durable. */
static int deliver(struct log_writer *writer, struct error *err)
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
	uint64_t places = pending_size(&writer->pending) + writer->expected + lists;
	struct space reserve = room_reserve(&writer->policy, places);
	uint64_t capacity = backend_capacity(writer->backend);

	return (struct space){
		.bytes = subtract(options->max_size,
				  options->used_size + writer->written + reserve.bytes),
		.span = subtract(capacity, writer->position + reserve.span),
	};
}

/* ---- records ---- */

static int set_text(const char *text, char **copy_out, size_t *size_out)
{
	if (!text)
		return 0;
	*copy_out = strdup(text);
	if (!*copy_out)
		return -ENOMEM;
	*size_out = strlen(text);
	return 0;
}

/* List in @record what the previous records did not: the last one's own stripe, what was
 * closed since, and places. */
static int list_pending(struct log_writer *writer, struct record *record)
{
	if (writer->has_own) {
		record->stripes = malloc(sizeof(*record->stripes));
		if (!record->stripes)
			return -ENOMEM;
		record->stripes[0] = writer->own; /* extents come when they are known */
		record->stripe_count = 1;
	}
	return pending_take(&writer->pending, writer->log_offset, RECORD_LISTS_MAX,
			    record);
}

/* Lay out the stripe of a record of @size bytes. */
static int plan_own(struct log_writer *writer, enum stripe_kind kind, size_t size,
		    struct stripe_info *own)
{
	unsigned parity = room_record_parity(writer->policy.parity);
	struct extent_info *extents = calloc(1 + parity, sizeof(*extents));

	if (!extents)
		return -ENOMEM;
	*own = (struct stripe_info){
		.number = writer->stripe_number,
		.offset = writer->position,
		.log_start = writer->log_offset,
		.epoch = writer->epoch,
		.kind = kind,
		.data_count = 1,
		.extents = extents,
	};
	record_geometry(&own->geometry, parity, size, writer->policy.spread);
	extents[0].payload_size = record_payload(size);
	for (unsigned i = 0; i < 1 + parity; i++)
		extents[i].area_size = geometry_area_size(extents[0].payload_size);
	return 0;
}

/* Account for a stripe that is planned to its end. */
static void advance(struct log_writer *writer, const struct stripe_info *stripe)
{
	writer->position = stripe->offset + stripe_physical_size(stripe);
	writer->written += stripe_written_size(stripe);
	writer->stripe_number = stripe->number + 1;
}

/* Queue the record, whose lists are final. */
static int push_record(struct log_writer *writer, struct record *record, bool sync,
		       struct error *err)
{
	size_t size = record_size(record);
	struct stripe_info own, planned;
	int r;

	if (size > RECORD_SIZE_MAX)
		return error_set(err, -E2BIG, "record of %zu bytes exceeds %u", size,
				 RECORD_SIZE_MAX);
	r = plan_own(writer, record->kind, size, &own);
	if (r < 0)
		return error_set(err, r, "no memory for a record's stripe");
	planned = own;
	advance(writer, &planned);
	writer->log_offset += own.extents[0].payload_size;
	r = record_writer_push(&writer->records, record, &own, writer->sequence, sync,
			       err);
	if (r < 0) {
		stripe_info_done(&own);
		return r;
	}
	planned.extents = NULL;
	writer->own = planned;
	writer->has_own = true;
	writer->sequence++;
	return 0;
}

/* What a record says besides its lists. */
struct record_text {
	enum stripe_kind kind;
	bool checkpoint;
	const char *head; /* may be NULL, as info */
	const char *info;
};

static int fill_record(struct log_writer *writer, const struct record_text *text,
		       struct record *record, struct error *err)
{
	int r;

	record->kind = text->kind;
	record->checkpoint = text->checkpoint;
	record->volume = writer->end.volume;
	record->epoch = writer->epoch;
	record->archive_id = writer->end.archive_id;
	r = list_pending(writer, record);
	if (r == 0)
		r = set_text(text->head, &record->head, &record->head_size);
	if (r == 0)
		r = set_text(text->info, &record->info, &record->info_size);
	return r < 0 ? error_set(err, r, "no memory for a record") : 0;
}

/* Plan a record and its stripe and queue them. */
static int plan_record(struct log_writer *writer, const struct record_text *text,
		       bool sync, struct error *err)
{
	autoptr(record) record = calloc(1, sizeof(*record));
	int r;

	if (!record)
		return error_set(err, -ENOMEM, "no memory for a record");
	r = fill_record(writer, text, record, err);
	if (r == 0)
		r = push_record(writer, record, sync, err);
	if (r < 0) { /* jobs may still fill in hashes of the stripes that it owns */
		(void)write_queue_drain(writer->queue, NULL);
		return r;
	}
	(void)take_ptr(record);
	return 0;
}

/* ---- stripes ---- */

static int open_stripe(struct log_writer *writer, unsigned data, unsigned frames,
		       struct error *err)
{
	struct stripe_info info = {
		.number = writer->stripe_number,
		.offset = writer->position,
		.log_start = writer->log_offset - writer->staging.bytes,
		.epoch = writer->epoch,
		.kind = STRIPE_DATA,
	};

	geometry_init(&info.geometry, data, writer->policy.parity, frames,
		      writer->policy.spread);
	return stripe_writer_open(writer->stripes, &info, err);
}

static int close_stripe(struct log_writer *writer, struct error *err)
{
	struct stripe_info info;
	int r;

	r = stripe_writer_close(writer->stripes, &info, err);
	if (r < 0)
		return r;
	advance(writer, &info);
	r = pending_add_stripe(&writer->pending, &info);
	if (r < 0) {
		/* The write queue still fills in the extents' hashes. */
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
	const void *atom;
	size_t size;
	int r;

	frames = staging_frames(staging, data, frames, EXTENT_FRAMES_MAX);
	assert(frames > 0);
	r = open_stripe(writer, data, frames, err);
	if (r < 0)
		return r;
	while ((atom = staging_next(staging, &cursor, &size))) {
		r = stripe_writer_append(writer->stripes, atom, size, err);
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
static int append_staged(struct log_writer *writer, const void *atom, size_t size,
			 uint64_t lists, struct error *err)
{
	uint64_t bytes = writer->staging.bytes + size;
	size_t largest = size > writer->largest ? size : writer->largest;
	struct space need =
		room_staged(&writer->policy, room_staged_data(&writer->policy, bytes),
			    bytes, writer->atoms + 1, largest);
	int r;

	if (!room_within(need, space_left(writer, lists)))
		return set_full(writer);
	r = staging_add(&writer->staging, writer->budget, writer->memory.staging_size,
			atom, size, err);
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
		r = plan_record(writer, &text, false, err);
	} while (r == 0 && pending_has_places(&writer->pending, writer->log_offset));
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

static int append_streaming(struct log_writer *writer, const void *atom, size_t size,
			    uint64_t lists, struct error *err)
{
	int r = reserve_extent(writer, size, lists, err);

	if (r == LOG_FULL && stripe_writer_is_open(writer->stripes)) {
		r = close_stripe(writer, err);
		return r < 0 ? r : LOG_FULL;
	}
	if (r != 0)
		return r;
	return stripe_writer_append(writer->stripes, atom, size, err);
}

/* Bytes that the place of what @atom begins will take in a record. */
static uint64_t place_size(const uint8_t *atom, size_t size)
{
	unsigned kind;

	if (skippable_get(atom, size, &kind, NULL) < 0)
		return 0;
	if (kind == SKIPPABLE_SEGMENT_HEADER)
		return sizeof(struct segment_wire);
	if (kind == SKIPPABLE_TREE_PAGE || kind == SKIPPABLE_LIST_PAGE)
		return sizeof(struct place_wire);
	return 0;
}

static int append(struct log_writer *writer, const void *atom, size_t size,
		  struct error *err)
{
	uint64_t lists = place_size(atom, size);
	int r;

	r = deliver(writer, err);
	if (r < 0)
		return r;
	if (writer->full)
		return LOG_FULL;
	if (!writer->streaming &&
	    !staging_fits(&writer->staging, size, writer->memory.staging_size)) {
		r = start_streaming(writer, err);
		if (r != 0)
			return r;
	}
	if (writer->streaming)
		r = append_streaming(writer, atom, size, lists, err);
	else
		r = append_staged(writer, atom, size, lists, err);
	if (r != 0)
		return r;
	writer->expected += lists;
	writer->commit_bytes += size;
	writer->payload += size;
	return 0;
}

int log_append(struct log_writer *writer, const void *atom, size_t size,
	       uint64_t *log_offset_out, struct error *err)
{
	int r;

	r = check_session(writer, err);
	if (r < 0)
		return r;
	if (size < ATOM_SIZE_MIN || size > ATOM_SIZE_MAX)
		return error_set(err, -EINVAL, "an atom of %zu bytes", size);
	r = leave(writer, append(writer, atom, size, &writer->err), err);
	if (r != 0)
		return r;
	*log_offset_out = writer->log_offset;
	writer->log_offset += size;
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

/* ---- places ---- */

static void expect_less(struct log_writer *writer, uint64_t size)
{
	writer->expected = subtract(writer->expected, size);
}

/* What is placed must have been appended. */
static int check_place(struct log_writer *writer, uint64_t offset, uint64_t size,
		       struct error *err)
{
	int r = check_session(writer, err);

	if (r < 0)
		return r;
	if (size > writer->log_offset || offset > writer->log_offset - size)
		return error_set(err, -EINVAL, "a place beyond the end of the log");
	return 0;
}

static int placed(struct log_writer *writer, int r, struct error *err)
{
	if (r < 0)
		(void)error_set(&writer->err, r, "no memory for a place");
	return leave(writer, r, err);
}

int log_place_segment(struct log_writer *writer, const struct segment_place *segment,
		      struct error *err)
{
	int r = check_place(writer, segment->log_offset, segment->stored_size, err);

	if (r < 0)
		return r;
	expect_less(writer, sizeof(struct segment_wire));
	return placed(writer, pending_add_segment(&writer->pending, segment), err);
}

int log_place_page(struct log_writer *writer, const struct page_place *page,
		   struct error *err)
{
	int r = check_place(writer, page->log_offset, page->stored_size, err);

	if (r < 0)
		return r;
	expect_less(writer, sizeof(struct place_wire));
	return placed(writer, pending_add_page(&writer->pending, page), err);
}

int log_place_foreign(struct log_writer *writer, const struct segment_place *segment,
		      struct error *err)
{
	int r = check_session(writer, err);

	if (r < 0)
		return r;
	return placed(writer, pending_add_foreign(&writer->pending, segment), err);
}

/* ---- records, from outside ---- */

/* End the open stripe, or spread what is staged. The queue is empty afterwards, and the
 * memory free for a large record. */
static int flush(struct log_writer *writer, struct error *err)
{
	int r = 0;

	if (writer->staging.bytes > 0)
		r = unstage(writer,
			    room_staged_data(&writer->policy, writer->staging.bytes),
			    err);
	if (r == 0 && stripe_writer_is_open(writer->stripes))
		r = close_stripe(writer, err);
	if (r < 0)
		return r;
	r = write_queue_drain(writer->queue, err);
	if (r < 0)
		return r;
	stripe_writer_release(writer->stripes);
	writer->streaming = false;
	writer->commit_bytes = 0;
	return 0;
}

static int write_records(struct log_writer *writer, const struct record_text *text,
			 struct error *err)
{
	const struct record_text more = { .kind = STRIPE_PLACEMENT };
	int r;

	r = flush(writer, err);
	while (r == 0 && pending_size(&writer->pending) > RECORD_LISTS_MAX)
		r = plan_record(writer, &more, false, err);
	if (r == 0)
		r = plan_record(writer, text, true, err);
	if (r == 0)
		r = write_queue_drain(writer->queue, err);
	if (r < 0)
		return r;
	record_writer_trim(&writer->records, geometry_frames_for(ROOM_RECORD_SIZE));
	return deliver(writer, err);
}

int log_write_record(struct log_writer *writer, enum stripe_kind kind, bool checkpoint,
		     const char *head, const char *info, struct error *err)
{
	struct record_text text = { kind, checkpoint, head, info };
	size_t size = (head ? strlen(head) : 0) + (info ? strlen(info) : 0);
	int r;

	r = check_session(writer, err);
	if (r < 0)
		return r;
	if (kind < STRIPE_HEADER || kind > STRIPE_END || kind == STRIPE_DATA)
		return error_set(err, -EINVAL, "no kind of record: %d", kind);
	if (size > RECORD_SIZE_MAX - ROOM_RECORD_SIZE)
		return error_set(err, -E2BIG, "%zu bytes of text in a record", size);
	return leave(writer, write_records(writer, &text, &writer->err), err);
}

const struct log_end *log_writer_end(const struct log_writer *writer)
{
	return &writer->end;
}

void log_writer_totals(const struct log_writer *writer, uint64_t *payload_out,
		       uint64_t *written_out)
{
	*payload_out = writer->payload;
	*written_out = writer->written;
}

/* ---- lifecycle ---- */

static int check_options(const struct log_writer_options *options, struct error *err)
{
	struct geometry geometry = { options->data, options->parity, EXTENT_FRAMES_MIN,
				     GEOMETRY_STRIDE_MAX };

	if (!geometry_valid(&geometry) || options->spread % PAGE_SIZE_BYTES ||
	    options->spread > GEOMETRY_STRIDE_MAX)
		return error_set(err, -EINVAL, "no stripes of %u + %u extents",
				 options->data, options->parity);
	return 0;
}

/* Reserve the session's memory: at most 5/8 of the budget. */
static int reserve_memory(struct log_writer *writer, struct error *err)
{
	struct budget *budget = writer->options.budget;
	uint64_t available = budget_available(budget);
	uint64_t share = budget_size(budget) / 8 * 5;
	int r;

	writer_memory_plan(&writer->options, available < share ? available : share,
			   &writer->memory);
	r = budget_reserve(budget, writer->memory.total, "stripes being written", err);
	if (r < 0)
		return r;
	r = budget_new(writer->memory.total, &writer->budget);
	if (r < 0) {
		budget_release(budget, writer->memory.total);
		return error_set(err, r, "no memory for a budget");
	}
	return 0;
}

/* Where the session goes on. */
static int init_layout(struct log_writer *writer, const struct log_end *end,
		       struct error *err)
{
	const uint64_t round = PAGE_SIZE_BYTES - 1;
	int r;

	r = random_bytes(&writer->epoch, sizeof(writer->epoch), err);
	if (r < 0)
		return r;
	writer->position = (backend_position(writer->backend) + round) & ~round;
	writer->log_offset = end->log_offset;
	writer->stripe_number = end->stripe_number;
	writer->sequence = end->sequence;
	writer->own = end->own;
	writer->own.extents = NULL;
	writer->has_own = end->own.extents;
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
		.volume = writer->end.volume,
		.parity = writer->options.parity,
	};
	int r;

	r = write_queue_new(&writer->queue, err);
	if (r < 0)
		return r;
	setup.queue = writer->queue;
	writer->records.backend = writer->backend;
	writer->records.pool = writer->options.pool;
	writer->records.budget = writer->budget;
	writer->records.queue = writer->queue;
	return stripe_writer_new(&setup, &writer->stripes, err);
}

int log_writer_new(struct backend *backend, const struct log_end *end,
		   const struct log_writer_options *options,
		   struct log_writer **writer_out, struct error *err)
{
	autoptr(log_writer) writer = NULL;
	int r;

	r = check_options(options, err);
	if (r < 0)
		return r;
	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return error_set(err, -ENOMEM, "no memory for a log writer");
	writer->backend = backend;
	writer->options = *options;
	r = reserve_memory(writer, err);
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
	pending_done(&writer->pending);
	log_end_done(&writer->end);
	if (writer->budget) {
		budget_free(writer->budget);
		budget_release(writer->options.budget, writer->memory.total);
	}
	free(writer);
}
