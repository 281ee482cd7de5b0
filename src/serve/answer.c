/* SPDX-License-Identifier: MIT */
/* Every answer says what it is and that it is nothing else (nosniff), and may be kept only by
 * who asked and only if it is asked for again each time: commits change what a path means.
 * Routes whose answers never change say so themselves.
 *
 * Over HTTP/1.0 there are no chunks, and an end that came too early could not be told from
 * the real one: what has no known size is not answered (505).
 */
#include "serve/answer.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/text.h"
#include "serve/connection.h"
#include "serve/request.h"
#include "serve/server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#define CACHE_CONTROL "private, no-cache"
#define RETRY_AFTER "10" /* seconds */

const char *answer_reason(unsigned status)
{
	static const struct {
		unsigned status;
		const char *reason;
	} reasons[] = {
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 412, "Precondition Failed" },
		{ 416, "Range Not Satisfiable" },
		{ 421, "Misdirected Request" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

static int no_memory(struct error *err)
{
	return error_set(err, -ENOMEM, "no memory for an answer");
}

int answer_header(struct request *request, const char *name, const char *value,
		  struct error *err)
{
	if (!request->response ||
	    MHD_add_response_header(request->response, name, value) != MHD_YES)
		return no_memory(err);
	return 0;
}

int answer_is_constant(struct request *request, const char *etag, struct error *err)
{
	if (request->response)
		(void)MHD_del_response_header(request->response, "Cache-Control",
					      CACHE_CONTROL);
	if (answer_header(request, "Cache-Control",
			  "private, max-age=31536000, immutable", err) < 0)
		return -ENOMEM;
	return answer_header(request, "ETag", etag, err);
}

/* Make @response, which may be NULL, the answer. */
static int set_response(struct request *request, unsigned status, const char *type,
			struct MHD_Response *response, struct error *err)
{
	int r = 0;

	if (!response)
		return no_memory(err);
	if (request->response)
		MHD_destroy_response(request->response);
	request->response = response;
	request->status = status;
	if (type)
		r = answer_header(request, "Content-Type", type, err);
	if (r == 0)
		r = answer_header(request, "X-Content-Type-Options", "nosniff", err);
	if (r == 0)
		r = answer_header(request, "Cross-Origin-Resource-Policy", "same-origin",
				  err);
	if (r == 0)
		r = answer_header(request, "Cache-Control", CACHE_CONTROL, err);
	return r;
}

int answer_text(struct request *request, unsigned status, const char *type,
		struct text *text, struct error *err)
{
	size_t size = text->size;
	autofree char *data = text_take(text);
	struct MHD_Response *response;
	int r;

	if (!data)
		return no_memory(err);
	response = MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
	if (response)
		(void)take_ptr(data);
	r = set_response(request, status, type, response, err);
	if (r == 0 && !request->head)
		request->sent = size;
	return r;
}

int answer_constant(struct request *request, const char *type, const void *data,
		    size_t size, struct error *err)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		size, (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT);
	int r = set_response(request, 200, type, response, err);

	if (r == 0 && !request->head)
		request->sent = size;
	return r;
}

/* Sending streams. */

static void suspend(void *context)
{
	struct request *request = context;

	client_wait_for_us(&request->server->clients, request->client);
	MHD_suspend_connection(request->connection);
}

/* Until there may be more of it. */
static void hold(void *context)
{
	struct request *request = context;

	MHD_suspend_connection(request->connection);
}

static void resume(void *context)
{
	struct request *request = context;

	MHD_resume_connection(request->connection);
}

static void failed(void *context, const struct error *err)
{
	struct request *request = context;

	atomic_fetch_add(&request->server->counters.broken, 1);
	log_error("%s: the answer ends at byte %llu: %s", request->raw,
		  (unsigned long long)request->sent, err->text);
}

struct sending {
	struct server *server;   /* borrowed */
	struct request *request; /* borrowed: there while content is asked for */
	struct stream *stream;   /* owned */
	bool large;              /* counted in server->large_blocks */
};

/* How much is sent at a time. */
static size_t choose_block(struct sending *sending)
{
	struct server *server = sending->server;

	if (stream_size(sending->stream) < 2 * SERVER_LARGE_BLOCK_SIZE)
		return SERVER_BLOCK_SIZE;
	sending->large =
		atomic_fetch_add(&server->large_blocks, 1) < server->large_block_count;
	if (sending->large)
		return SERVER_LARGE_BLOCK_SIZE;
	atomic_fetch_sub(&server->large_blocks, 1);
	return SERVER_BLOCK_SIZE;
}

static ssize_t on_content(void *context, uint64_t position, char *data, size_t size)
{
	struct sending *sending = context;
	struct request *request = sending->request;
	struct server *server = request->server;
	ssize_t n;

	if (atomic_load(&server->closing))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (client_is_ahead(&server->clients, request->client, size, hold, resume,
			    request))
		return 0;
	n = stream_take(sending->stream, position, data, size);
	if (n == STREAM_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == STREAM_BROKEN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == STREAM_WAIT)
		return 0;
	request->sent += (uint64_t)n;
	client_begin_block(&server->clients, request->client, (size_t)n);
	return n;
}

static void on_sent(void *context)
{
	struct sending *sending = context;

	if (sending->large)
		atomic_fetch_sub(&sending->server->large_blocks, 1);
	stream_close(sending->stream);
	free(sending);
}

int answer_stream(struct request *request, unsigned status, const char *type,
		  struct stream *stream, struct error *err)
{
	static_assert(BODY_SIZE_UNKNOWN == MHD_SIZE_UNKNOWN, "both mean the same");
	const struct stream_client client = {
		.suspend = suspend, .resume = resume, .failed = failed, .context = request
	};
	struct sending *sending = malloc(sizeof(*sending));
	struct MHD_Response *response = NULL;

	if (sending && request->old && stream_size(stream) == BODY_SIZE_UNKNOWN) {
		stream_close(stream);
		free(sending);
		answer_problem(request, 505,
			       "the size of this answer is not known in advance, which "
			       "takes HTTP/1.1");
		return 0;
	}
	if (sending) {
		*sending = (struct sending){
			.server = request->server,
			.request = request,
			.stream = stream,
		};
		stream_set_client(stream, &client);
		response = MHD_create_response_from_callback(
			stream_size(stream), choose_block(sending), on_content, sending,
			on_sent);
	}
	if (!response && sending)
		on_sent(sending);
	else if (!response)
		stream_close(stream);
	return set_response(request, status, type, response, err);
}

static ssize_t no_content(void *context, uint64_t position, char *data, size_t size)
{
	(void)context;
	(void)position;
	(void)data;
	(void)size;
	return MHD_CONTENT_READER_END_WITH_ERROR; /* nobody asks */
}

/* libmicrohttpd writes Content-Length into a 304 whatever happens, so it has to be the true
 * one: that of the body which a 200 would have. */
int answer_empty(struct request *request, unsigned status, uint64_t size,
		 struct error *err)
{
	struct MHD_Response *response =
		MHD_create_response_from_callback(size, 1, no_content, NULL, NULL);

	return set_response(request, status, NULL, response, err);
}

int answer_redirect(struct request *request, unsigned status, const char *location,
		    struct error *err)
{
	autotext struct text text = { 0 };
	int r;

	r = text_appendf(&text, "%s\n", location);
	if (r < 0)
		return no_memory(err);
	r = answer_text(request, status, "text/plain; charset=utf-8", &text, err);
	return r < 0 ? r : answer_header(request, "Location", location, err);
}

static int write_problem(struct text *text, unsigned status, const char *detail)
{
	struct json_writer json;

	json_writer_init(&json, text);
	json_write_object(&json, NULL);
	json_write_string(&json, "title", answer_reason(status));
	json_write_u32(&json, "status", status);
	json_write_bytes(&json, "detail", detail, strlen(detail));
	json_write_end(&json);
	return json_writer_finish(&json);
}

void answer_problem(struct request *request, unsigned status, const char *detail)
{
	autotext struct text text = { 0 };
	int r;

	r = write_problem(&text, status, detail);
	if (r == 0)
		r = answer_text(request, status, "application/problem+json", &text, NULL);
	if (r == 0 && status == 401)
		r = answer_header(request, "WWW-Authenticate", "Bearer", NULL);
	if (r == 0 && (status == 503 || status == 429))
		r = answer_header(request, "Retry-After", RETRY_AFTER, NULL);
	if (r < 0 && request->response) {
		MHD_destroy_response(request->response);
		request->response = NULL;
	}
}

static unsigned status_of(int r)
{
	switch (r) {
	case -EINVAL:
		return 400;
	case -EPERM:
		return 401;
	case -EACCES:
		return 403;
	case -ENOENT:
		return 404;
	case -EDQUOT:
		return 429;
	case -EBADMSG:
	case -EIO:
		return 502;
	case -ENOMEDIUM:
	case -ENOMEM:
	case -EBUSY:
	case -ETIMEDOUT:
	case -ECONNRESET:
		return 503;
	default:
		return 500;
	}
}

void answer_error(struct request *request, int r, const struct error *err)
{
	unsigned status = status_of(r);

	if (status >= 500 && r != -ECONNRESET) /* nobody wants it any more */
		log_error("%s: %s", request->raw, err->text);
	answer_problem(request, status, err->text);
}
