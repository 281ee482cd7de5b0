/* SPDX-License-Identifier: MIT */
/* Bytes of a body come in one of two ways:
 *
 * - through a window (serve/window.h), filled by the pool while the client is sent what is in
 *   another one. A stream has up to AHEAD + 1 of them.
 * - if there is no window to be had, and for bodies of unknown size, which are made as they
 *   are sent: into the connection's own buffer, while the connection is suspended.
 *
 * A task of the pool holds the stream alive. The lock is held over the decision whether to
 * wait and the call that suspends, so that no resume can come between them.
 */
#include "serve/stream.h"

#include "base/error.h"
#include "base/log_subject.h"
#include "base/mutex.h"
#include "serve/window.h"

#include <assert.h>
#include <string.h>

/* Windows that are filled after the one that is being sent. With one, a stream waits whenever
 * the pool's thread is late; two were a third faster on a busy machine. */
#define AHEAD 2u

struct stream {
	const struct stream_service *service;
	struct body *body;
	char *subject; /* owned */
	struct stream_part *parts;
	size_t part_count;
	uint64_t size;
	struct stream_client client;

	struct mutex mutex; /* guards the next two, fills[].window and direct */
	unsigned users;     /* the event thread, and tasks */
	bool waiting;       /* suspended, until a task is done */

	struct fill {
		struct task task;
		struct stream *stream;
		struct window *window; /* NULL: no task is under way */
	} fills[AHEAD + 1];
	struct direct {
		struct task task;
		bool pending; /* the task is under way */
		bool done;
		uint64_t offset; /* in the body */
		void *data;      /* borrowed from the event thread */
		size_t size;
		size_t got;
		int r;
		struct error err;
	} direct;
};

static void stream_free(struct stream *stream)
{
	if (stream->body && stream->service)
		windows_release(stream->service->windows, stream);
	body_free(stream->body);
	for (size_t i = 0; i < stream->part_count; i++)
		free(stream->parts[i].text);
	free(stream->parts);
	free(stream->subject);
	mutex_done(&stream->mutex);
	free(stream);
}

static void stream_unref(struct stream *stream)
{
	bool last;

	mutex_lock(&stream->mutex);
	last = --stream->users == 0;
	mutex_unlock(&stream->mutex);
	if (last)
		stream_free(stream);
}

static uint64_t sum_parts(const struct stream *stream)
{
	uint64_t size = 0;

	for (size_t i = 0; i < stream->part_count; i++)
		size += stream->parts[i].text_size + stream->parts[i].span.size;
	return size;
}

int stream_new(const struct stream_service *service, struct body *body,
	       const char *subject, struct stream_part *parts, size_t part_count,
	       struct stream **stream_out, struct error *err)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		body_free(body);
		for (size_t i = 0; i < part_count; i++)
			free(parts[i].text);
		return error_set(err, -ENOMEM, "no memory for an answer");
	}
	mutex_init(&stream->mutex);
	stream->users = 1;
	stream->service = service;
	stream->body = body;
	stream->subject = strdup(subject);
	stream->parts = malloc((part_count ?: 1) * sizeof(*parts));
	if (!stream->parts || !stream->subject) {
		for (size_t i = 0; i < part_count; i++)
			free(parts[i].text);
		stream_free(stream);
		return error_set(err, -ENOMEM, "no memory for an answer");
	}
	memcpy(stream->parts, parts, part_count * sizeof(*parts));
	stream->part_count = part_count;
	stream->size =
		body->size == BODY_SIZE_UNKNOWN ? BODY_SIZE_UNKNOWN : sum_parts(stream);
	*stream_out = stream;
	return 0;
}

void stream_set_client(struct stream *stream, const struct stream_client *client)
{
	stream->client = *client;
}

uint64_t stream_size(const struct stream *stream)
{
	return stream->size;
}

void stream_close(struct stream *stream)
{
	if (stream)
		stream_unref(stream);
}

/* A task is done: whoever waits may ask again, but not while the buffer that it waits with is
 * written to. Gives up the task's use of the stream. */
static void finish_task(struct stream *stream)
{
	bool resume;

	mutex_lock(&stream->mutex);
	resume = stream->waiting && !stream->direct.pending;
	if (resume)
		stream->waiting = false;
	mutex_unlock(&stream->mutex);
	if (resume)
		stream->client.resume(stream->client.context);
	stream_unref(stream);
}

/* Filling windows. */

/* The end of the part that @offset of the body is in, and so of what is worth reading. */
static uint64_t part_end(const struct stream *stream, uint64_t offset)
{
	for (size_t i = 0; i < stream->part_count; i++) {
		const struct http_span *span = &stream->parts[i].span;

		if (offset >= span->offset && offset - span->offset < span->size)
			return span->offset + span->size;
	}
	return offset;
}

/* What is stored as it is need not be put together: who sends it does that in copying. Frames
 * are not kept in use for as long as a client may take. */
static void lend_window(struct stream *stream, struct window *window, size_t want)
{
	const struct body_ops *ops = stream->body->ops;

	read_pieces_init(&window->pieces, window->data);
	if (!ops->lend)
		return;
	window->r = ops->lend(stream->body, window->offset, &window->pieces, want,
			      &window->err);
	read_pieces_own(&window->pieces);
	window->size = window->pieces.size;
}

static void fill_window(struct stream *stream, struct window *window)
{
	uint64_t end = (window->offset / WINDOW_SIZE + 1) * WINDOW_SIZE;
	uint64_t last = part_end(stream, window->offset);
	size_t want = (size_t)((last < end ? last : end) - window->offset);

	log_subject_scope(stream->subject);
	lend_window(stream, window, want);
	/* Without room for one more piece it ends early, and another one goes on there. */
	while (window->size < want && window->r == 0 &&
	       read_pieces_have_room(&window->pieces, 1, 0)) {
		size_t got = 0;

		window->r = stream->body->ops->read(
			stream->body, window->offset + window->size, window->pieces.next,
			want - window->size, &got, &window->err);
		if (window->r == 0 && got == 0)
			window->r = error_set(&window->err, -EIO, "it ends too early");
		if (window->r == 0)
			read_pieces_add(&window->pieces, got);
		window->size = window->pieces.size;
	}
}

static int run_fill(struct task *task, unsigned worker, struct error *err)
{
	struct fill *fill = (struct fill *)((char *)task - offsetof(struct fill, task));
	struct stream *stream = fill->stream;
	struct window *window = fill->window;

	(void)worker;
	(void)err;
	fill_window(stream, window);
	mutex_lock(&stream->mutex);
	fill->window = NULL;
	windows_filled(stream->service->windows, window);
	mutex_unlock(&stream->mutex);
	finish_task(stream);
	return 0;
}

/* Have a window filled from @offset on. False: there is none. */
static bool begin_fill(struct stream *stream, uint64_t offset)
{
	struct fill *fill = NULL;

	mutex_lock(&stream->mutex);
	for (size_t i = 0; i <= AHEAD && !fill; i++)
		if (!stream->fills[i].window)
			fill = &stream->fills[i];
	if (fill)
		fill->window = windows_take(stream->service->windows, stream, offset);
	if (fill && fill->window)
		stream->users++;
	else
		fill = NULL;
	mutex_unlock(&stream->mutex);
	if (!fill)
		return false;
	fill->stream = stream;
	fill->task.run = run_fill;
	pool_submit(stream->service->pool, stream->service->group, &fill->task);
	return true;
}

/* Have the window filled that begins at @offset, unless there is one. */
static void want_window(struct stream *stream, uint64_t offset)
{
	struct windows *windows = stream->service->windows;
	struct window *window;

	switch (windows_find(windows, stream, offset, &window)) {
	case WINDOW_NONE:
		(void)begin_fill(stream, offset);
		break;
	case WINDOW_FILLED:
		windows_copied(windows, window, offset);
		break;
	case WINDOW_AWAITED:
		break;
	}
}

/* The client has got everything before @offset: what it will want next should be on its way. */
static void read_ahead(struct stream *stream, uint64_t offset)
{
	uint64_t end = part_end(stream, offset);

	for (unsigned i = 1; i <= AHEAD; i++) {
		uint64_t next = (offset / WINDOW_SIZE + i) * WINDOW_SIZE;

		if (next >= end)
			return;
		want_window(stream, next);
	}
}

/* Reading into the connection's own buffer. */

static int run_direct(struct task *task, unsigned worker, struct error *err)
{
	struct direct *direct =
		(struct direct *)((char *)task - offsetof(struct direct, task));
	struct stream *stream =
		(struct stream *)((char *)direct - offsetof(struct stream, direct));

	(void)worker;
	(void)err;
	log_subject_scope(stream->subject);
	direct->r = stream->body->ops->read(stream->body, direct->offset, direct->data,
					    direct->size, &direct->got, &direct->err);
	mutex_lock(&stream->mutex);
	direct->pending = false;
	direct->done = true;
	mutex_unlock(&stream->mutex);
	finish_task(stream);
	return 0;
}

static void begin_direct(struct stream *stream, uint64_t offset, void *data, size_t size)
{
	struct direct *direct = &stream->direct;

	mutex_lock(&stream->mutex);
	*direct = (struct direct){
		.task.run = run_direct,
		.pending = true,
		.offset = offset,
		.data = data,
		.size = size,
	};
	stream->users++;
	stream->waiting = true;
	stream->client.suspend(stream->client.context);
	mutex_unlock(&stream->mutex);
	pool_submit(stream->service->pool, stream->service->group, &direct->task);
}

/* What was read for exactly this question. */
static bool take_direct(struct stream *stream, uint64_t offset, const void *data,
			ssize_t *taken_out)
{
	struct direct *direct = &stream->direct;
	bool done;

	mutex_lock(&stream->mutex);
	done = direct->done && direct->offset == offset && direct->data == data;
	direct->done = false;
	mutex_unlock(&stream->mutex);
	if (!done)
		return false;
	if (direct->r == 0 && direct->got == 0 && stream->size != BODY_SIZE_UNKNOWN)
		direct->r = error_set(&direct->err, -EIO, "it ends too early");
	if (direct->r < 0)
		stream->client.failed(stream->client.context, &direct->err);
	*taken_out = direct->r < 0      ? STREAM_BROKEN
		     : direct->got == 0 ? STREAM_END
					: (ssize_t)direct->got;
	return true;
}

/* Taking. */

/* Wait for a window that is being filled, unless that was done meanwhile. */
static bool await(struct stream *stream, uint64_t offset)
{
	struct windows *windows = stream->service->windows;
	struct window *window;
	mutex_scope(&stream->mutex);

	switch (windows_find(windows, stream, offset, &window)) {
	case WINDOW_FILLED:
		windows_copied(windows, window, window->offset);
		return false;
	case WINDOW_NONE:
		return false;
	case WINDOW_AWAITED:
		break;
	}
	stream->waiting = true;
	stream->client.suspend(stream->client.context);
	return true;
}

static ssize_t copy_window(struct stream *stream, struct window *window, uint64_t offset,
			   void *data, size_t size)
{
	size_t from = (size_t)(offset - window->offset);
	size_t n = window->size - from;

	if (n == 0) {
		struct error err = window->err;

		windows_copied(stream->service->windows, window, offset);
		stream->client.failed(stream->client.context, &err);
		return STREAM_BROKEN;
	}
	if (n > size)
		n = size;
	read_pieces_copy(&window->pieces, from, data, n);
	windows_copied(stream->service->windows, window, offset + n);
	read_ahead(stream, offset + n - 1);
	return (ssize_t)n;
}

/* Take bytes of the body, of which @size are left in the part. */
static ssize_t take_body(struct stream *stream, uint64_t offset, void *data, size_t size)
{
	struct window *window;
	ssize_t taken;

	if (take_direct(stream, offset, data, &taken))
		return taken;
	if (stream->size == BODY_SIZE_UNKNOWN) {
		begin_direct(stream, offset, data, size);
		return STREAM_WAIT;
	}
	for (;;) {
		switch (windows_find(stream->service->windows, stream, offset, &window)) {
		case WINDOW_FILLED:
			return copy_window(stream, window, offset, data, size);
		case WINDOW_AWAITED:
			if (await(stream, offset))
				return STREAM_WAIT;
			break;
		case WINDOW_NONE:
			if (!begin_fill(stream, offset)) {
				begin_direct(stream, offset, data, size);
				return STREAM_WAIT;
			}
			break;
		}
	}
}

static ssize_t take_text(const struct stream_part *part, size_t at, void *data,
			 size_t size)
{
	size_t n = part->text_size - at;

	if (n > size)
		n = size;
	memcpy(data, part->text + at, n);
	return (ssize_t)n;
}

ssize_t stream_take(struct stream *stream, uint64_t position, void *data, size_t size)
{
	if (stream->size == BODY_SIZE_UNKNOWN)
		return take_body(stream, position, data, size);
	for (size_t i = 0; i < stream->part_count; i++) {
		const struct stream_part *part = &stream->parts[i];
		uint64_t left;

		if (position < part->text_size)
			return take_text(part, (size_t)position, data, size);
		position -= part->text_size;
		if (position < part->span.size) {
			left = part->span.size - position;
			return take_body(stream, part->span.offset + position, data,
					 left < size ? (size_t)left : size);
		}
		position -= part->span.size;
	}
	return STREAM_END;
}

int stream_check(struct stream *stream, struct error *err)
{
	size_t got = 0;
	uint8_t byte;

	if (stream->size == BODY_SIZE_UNKNOWN || stream->parts[0].span.size == 0)
		return 0;
	log_subject_scope(stream->subject);
	return stream->body->ops->read(stream->body, stream->parts[0].span.offset, &byte,
				       1, &got, err);
}

int stream_prefetch(struct stream *stream, struct error *err)
{
	struct windows *windows = stream->service->windows;
	struct window *window;
	int r;

	if (stream->size == BODY_SIZE_UNKNOWN || stream->parts[0].span.size == 0)
		return 0;
	window = windows_take(windows, stream, stream->parts[0].span.offset);
	if (!window)
		return stream_check(stream, err);
	fill_window(stream, window);
	r = window->size == 0 ? window->r : 0;
	if (r < 0 && err)
		*err = window->err;
	windows_filled(windows, window);
	return r;
}
