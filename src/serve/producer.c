/* SPDX-License-Identifier: MIT */
/* The first bytes are waited for before the answer begins, so that an error up to there is
 * told by the status. The producer's end of the pipe is closed when it is done; the result
 * follows by joining its thread. */
#include "serve/producer.h"

#include "archive/backing.h"
#include "base/error.h"
#include "base/file.h"
#include "serve/answer.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#define FIRST_SIZE 4096u /* bytes */

struct producer {
	struct body base;
	struct request *request; /* owned use */
	producer_fn *produce;
	struct catalog *catalog; /* owned use */
	int read_fd;
	int write_fd; /* the thread's */
	pthread_t thread;
	bool running; /* not joined yet */
	int r;        /* of producing, after joining */
	struct error err;
	uint8_t first[FIRST_SIZE];
	size_t first_size;
	size_t taken; /* of these */
};

static void *run(void *context)
{
	struct producer *producer = context;

	producer->r = producer->produce(producer->request, producer->catalog,
					producer->write_fd, &producer->err);
	(void)close(take_fd(&producer->write_fd)); /* the end of the stream */
	return NULL;
}

static void join(struct producer *producer)
{
	if (producer->running)
		(void)pthread_join(producer->thread, NULL);
	producer->running = false;
}

/* The next bytes of the pipe; at its end, what became of the producer. */
static int read_pipe(struct producer *producer, void *data, size_t size, size_t *size_out,
		     struct error *err)
{
	ssize_t n;

	do {
		n = read(producer->read_fd, data, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_set_errno(err, -errno, "pipe");
	*size_out = (size_t)n;
	if (n > 0)
		return 0;
	join(producer);
	if (producer->r < 0)
		*err = producer->err;
	return producer->r < 0 ? producer->r : 0;
}

static int read_produced(struct body *body, uint64_t offset, void *data, size_t size,
			 size_t *size_out, struct error *err)
{
	struct producer *producer = (struct producer *)body;
	size_t left = producer->first_size - producer->taken;

	(void)offset;
	if (left == 0)
		return read_pipe(producer, data, size, size_out, err);
	if (left > size)
		left = size;
	memcpy(data, producer->first + producer->taken, left);
	producer->taken += left;
	*size_out = left;
	return 0;
}

static void free_producer(struct body *body)
{
	struct producer *producer = (struct producer *)body;
	struct request *request = producer->request;

	cleanup_close_p(&producer->read_fd); /* who still writes gets EPIPE */
	join(producer);
	cleanup_close_p(&producer->write_fd);
	if (producer->catalog)
		backing_give_catalog(request->backing, producer->catalog);
	atomic_fetch_sub(&request->server->scans, 1);
	request_unref(request);
	free(producer);
}

/* The thread takes no signals, and SIGPIPE neither. */
static int start_thread(struct producer *producer, struct error *err)
{
	sigset_t all;
	sigset_t before;
	int fds[2];
	int r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set_errno(err, -errno, "pipe");
	producer->read_fd = fds[0];
	producer->write_fd = fds[1];
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	r = pthread_create(&producer->thread, NULL, run, producer);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return error_set_errno(err, -r, "thread");
	producer->running = true;
	return 0;
}

static int begin(struct producer *producer, struct error *err)
{
	struct request *request = producer->request;
	int r;

	r = request_take_catalog(request, err);
	if (r < 0)
		return r;
	producer->catalog = request->catalog; /* for as long as the body lives */
	request->catalog = NULL;
	r = start_thread(producer, err);
	if (r < 0)
		return r;
	return read_pipe(producer, producer->first, FIRST_SIZE, &producer->first_size,
			 err);
}

int producer_answer(struct request *request, const char *type, producer_fn *produce,
		    struct error *err)
{
	static const struct body_ops ops = { read_produced, free_producer, NULL };
	struct stream_part part = { 0 };
	struct stream *stream = NULL;
	struct producer *producer;
	int r;

	r = request_begin_scan(request, err);
	if (r < 0)
		return r;
	producer = calloc(1, sizeof(*producer));
	if (!producer)
		return error_set(err, -ENOMEM, "no memory for an answer");
	request->scans = false; /* the producer's from here on */
	*producer = (struct producer){
		.base = { &ops, BODY_SIZE_UNKNOWN },
		.request = request_ref(request),
		.produce = produce,
		.read_fd = -1,
		.write_fd = -1,
	};
	r = begin(producer, err);
	if (r < 0) {
		free_producer(&producer->base);
		return r;
	}
	r = stream_new(&request->server->streams, &producer->base, request->raw, &part, 1,
		       &stream, err);
	return r < 0 ? r : answer_stream(request, 200, type, stream, err);
}
