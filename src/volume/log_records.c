/* SPDX-License-Identifier: MIT */
/* Flushing, and writing the records that others ask for, each in two halves: the first one
 * decides and queues, the second one waits for the thread that writes. Who has several logs
 * begins with all of them before waiting for any, and their media work at the same time.
 */
#include "volume/log_session.h"
#include "volume/record_wire.h"
#include "volume/stripe_writer.h"

#include "volume/backend.h"

#include <errno.h>
#include <string.h>

/* Wait until nothing is queued; then the memory is free for a large record. */
static int settle(struct log_writer *writer, struct error *err)
{
	int r = write_queue_drain(writer->queue, err);

	if (r < 0)
		return r;
	stripe_writer_release(writer->stripes);
	writer->streaming = false;
	writer->commit_bytes = 0;
	return 0;
}

static int run_sync(struct write_job *job, struct error *err)
{
	struct log_writer *writer =
		(struct log_writer *)((char *)job - offsetof(struct log_writer, sync));

	return backend_sync(writer->backend, err);
}

int log_begin_flush(struct log_writer *writer, struct error *err)
{
	int r = log_session_check(writer, err);

	if (r < 0)
		return r;
	r = log_session_close(writer, &writer->err);
	if (r == 0) {
		write_queue_wait(writer->queue, &writer->sync);
		writer->sync.run = run_sync;
		write_queue_push(writer->queue, &writer->sync);
	}
	return log_session_leave(writer, r, err);
}

int log_end_flush(struct log_writer *writer, struct error *err)
{
	int r = log_session_check(writer, err);

	if (r < 0)
		return r;
	return log_session_leave(writer, settle(writer, &writer->err), err);
}

static int begin_records(struct log_writer *writer, const struct record_text *text,
			 struct error *err)
{
	const struct record_text more = { .kind = STRIPE_PLACEMENT };
	int r;

	r = log_session_close(writer, err);
	if (r == 0)
		r = settle(writer, err);
	while (r == 0 && pending_size(&writer->layout.pending) > RECORD_LISTS_MAX)
		r = log_layout_record(&writer->layout, &more, false, &writer->records,
				      err);
	if (r == 0)
		r = log_layout_record(&writer->layout, text, true, &writer->records, err);
	return r;
}

static int end_records(struct log_writer *writer, struct error *err)
{
	int r = write_queue_drain(writer->queue, err);

	if (r < 0)
		return r;
	record_build_trim(&writer->records.build, geometry_frames_for(ROOM_RECORD_SIZE));
	return log_session_deliver(writer, err);
}

int log_begin_record(struct log_writer *writer, enum stripe_kind kind, bool checkpoint,
		     const char *head, const char *info, struct error *err)
{
	struct record_text text = { kind, checkpoint, head, info };
	size_t size = (head ? strlen(head) : 0) + (info ? strlen(info) : 0);
	int r;

	r = log_session_check(writer, err);
	if (r < 0)
		return r;
	if (kind < STRIPE_HEADER || kind > STRIPE_END || kind == STRIPE_DATA)
		return error_set(err, -EINVAL, "no kind of record: %d", kind);
	if (size > RECORD_SIZE_MAX - ROOM_RECORD_SIZE)
		return error_set(err, -E2BIG, "%zu bytes of text in a record", size);
	return log_session_leave(writer, begin_records(writer, &text, &writer->err), err);
}

int log_end_record(struct log_writer *writer, struct error *err)
{
	int r = log_session_check(writer, err);

	if (r < 0)
		return r;
	return log_session_leave(writer, end_records(writer, &writer->err), err);
}

int log_write_record(struct log_writer *writer, enum stripe_kind kind, bool checkpoint,
		     const char *head, const char *info, struct error *err)
{
	int r = log_begin_record(writer, kind, checkpoint, head, info, err);

	return r < 0 ? r : log_end_record(writer, err);
}
