/* SPDX-License-Identifier: MIT */
#pragma once
/* A body on its way to a client: the event thread takes bytes out, the pool's threads bring
 * them in. Nothing that could wait for a medium happens in stream_take().
 *
 * What is sent is a list of parts, each some text and then a stretch of the body; this is how
 * several ranges become one answer.
 *
 * Threads: stream_take() and stream_close() by the event thread that has the connection; the
 * rest as it says.
 */
#include "base/cleanup.h"
#include "base/pool.h"
#include "serve/body.h"
#include "serve/http_range.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct stream;
struct windows;

/* What a server has for all its streams. */
struct stream_service {
	struct windows *windows;
	struct pool *pool;
	struct task_group *group; /* of all tasks of streams */
};

/* How a stream speaks to who sends it. */
struct stream_client {
	/* Nothing is there yet: stop asking. Called in stream_take(), with a lock held. */
	void (*suspend)(void *context);
	/* Ask again. From a thread of the pool, once after each suspend(). */
	void (*resume)(void *context);
	/* The body ends too early, because of @err. */
	void (*failed)(void *context, const struct error *err);
	void *context;
};

/* One stretch of the body, and what stands before it. */
struct stream_part {
	char *text;            /* owned; NULL: nothing */
	size_t text_size;      /* bytes */
	struct http_span span; /* may be empty */
};

/* Takes over @body and what the @parts own, also on failure. @subject (copied): what logs
 * call the body. -ENOMEM. */
int stream_new(const struct stream_service *service, struct body *body,
	       const char *subject, struct stream_part *parts, size_t part_count,
	       struct stream **stream_out, struct error *err);

/* Who is told. Before the first stream_take(). */
void stream_set_client(struct stream *stream, const struct stream_client *client);

/* Bytes in all, or BODY_SIZE_UNKNOWN. */
uint64_t stream_size(const struct stream *stream);

/* Read the first bytes on the calling thread of the pool, so that what can't be read is
 * known before anything is sent. Errors as the body's. The second one keeps what it read. */
int stream_check(struct stream *stream, struct error *err);
int stream_prefetch(struct stream *stream, struct error *err);

#define STREAM_WAIT 0 /* suspended */
#define STREAM_END (-1)
#define STREAM_BROKEN (-2) /* told to failed() */

/* Copy at most @size bytes at @position into @data: how many, or one of the above. @data must
 * stay where it is until the stream is asked again. */
ssize_t stream_take(struct stream *stream, uint64_t position, void *data, size_t size);

/* Nobody takes any more. The stream goes when the pool is done with it. NULL is allowed. */
void stream_close(struct stream *stream);
