/* SPDX-License-Identifier: MIT */
/* How a request runs through libmicrohttpd:
 *
 *   on_target      its first line was read: there is a request now
 *   on_request     its head was read. An answer now would end the connection
 *   on_request     there is no more to read: suspend, hand it to the pool
 *   on_request     resumed: the answer is there, send it
 *   on_content     each time that a block of the body can be sent
 *   on_completed   the end, whatever it was
 *
 * libmicrohttpd decodes paths in a way that loses what %00 and %2F were, so only the target as
 * it came is used. Its own time-outs count inactivity; ours are in serve/client.h. What it
 * calls an error in the middle of a body it ends with a FIN: whether the body is whole is told
 * by its length, or by its last chunk, one of which is always there.
 */
#include "serve/connection.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "serve/answer.h"
#include "serve/request.h"
#include "serve/route.h"
#include "serve/server.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **client,
			  enum MHD_ConnectionNotificationCode code)
{
	struct server *server = context;
	const union MHD_ConnectionInfo *info;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		client_free(&server->clients, *client);
		return;
	}
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	*client = client_new(&server->clients, info->connect_fd);
}

static void *on_target(void *context, const char *target,
		       struct MHD_Connection *connection)
{
	(void)connection;
	return request_new(context, target);
}

static bool is_method(const char *method)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "POST",
					       "DELETE" };

	for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(method, methods[i]) == 0)
			return true;
	return false;
}

/* A body would be read, and thrown away, while the pool looks for the answer. */
static bool has_body(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 "Content-Length");

	return (length && strcmp(length, "0") != 0) ||
	       MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
					   "Transfer-Encoding");
}

static enum MHD_Result send_answer(struct request *request)
{
	struct server *server = request->server;

	if (!request->response)
		return MHD_NO;
	if (atomic_load(&server->stopping))
		(void)answer_header(request, "Connection", "close", NULL);
	client_begin_block(&server->clients, request->client, SERVER_BLOCK_SIZE);
	request->state = REQUEST_SENDING;
	return MHD_queue_response(request->connection, request->status,
				  request->response);
}

/* Its head is there. What is refused at once ends the connection, and so need not be read to
 * its end; for everything else, the call that follows is the time to begin. */
static enum MHD_Result take_head(struct request *request,
				 struct MHD_Connection *connection, const char *method,
				 const char *version)
{
	request->connection = connection;
	request->client = client_of(connection);
	request->method = strdup(method);
	request->head = strcmp(method, "HEAD") == 0;
	request->old = strcmp(version, "HTTP/1.1") != 0;
	if (!request->client || !request->method)
		return MHD_NO;
	client_begin_request(&request->server->clients, request->client);
	request->state = REQUEST_HEAD;
	if (!is_method(method)) {
		answer_problem(request, 405, "nothing here knows this method");
		(void)answer_header(request, "Allow", ROUTE_ALLOW_READ, NULL);
		return send_answer(request);
	}
	if (has_body(connection)) {
		answer_problem(request, 400, "a request has no body here");
		return send_answer(request);
	}
	return MHD_YES;
}

static enum MHD_Result ask(struct request *request)
{
	request->state = REQUEST_ASKED;
	MHD_suspend_connection(request->connection);
	request_submit(request);
	return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *upload_data,
				  size_t *upload_data_size, void **request_of)
{
	struct request *request = *request_of;
	struct server *server = context;

	(void)url;
	(void)upload_data;
	(void)upload_data_size;
	if (!request || atomic_load(&server->closing))
		return MHD_NO;
	switch (request->state) {
	case REQUEST_NEW:
		return take_head(request, connection, method, version);
	case REQUEST_HEAD:
		return ask(request);
	case REQUEST_ANSWERED:
		return send_answer(request);
	case REQUEST_ASKED:
	case REQUEST_SENDING:
		break;
	}
	return MHD_YES;
}

static void log_access(const struct request *request,
		       enum MHD_RequestTerminationCode code)
{
	uint64_t took = clock_monotonic_ns() - request->begun;

	log_info("%s \"%s %s\" %u %" PRIu64 " bytes %" PRIu64 ".%03" PRIu64 " ms%s",
		 client_address(request->client), request->method, request->raw,
		 request->status, request->sent, took / 1000000, took / 1000 % 1000,
		 code == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : " (cut)");
}

static void on_completed(void *context, struct MHD_Connection *connection,
			 void **request_of, enum MHD_RequestTerminationCode code)
{
	struct request *request = *request_of;
	struct server *server = context;

	(void)connection;
	*request_of = NULL;
	if (!request)
		return;
	if (request->client) {
		client_end_request(&server->clients, request->client);
		atomic_fetch_add(&server->counters.requests[request->status / 100 % 6],
				 1);
		atomic_fetch_add(&server->counters.bytes_sent, request->sent);
		log_access(request, code);
	}
	request_finish(request);
}

static void __attribute__((__format__(__printf__, 2, 0)))
on_message(void *context, const char *fmt, va_list ap)
{
	char text[512];

	(void)context;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("libmicrohttpd: %s", text);
}

static int make_daemon(struct server *server, unsigned nth, unsigned flags,
		       const struct MHD_OptionItem *items)
{
	server->daemons[nth] = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER,
		on_message, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_ARRAY,
		items, MHD_OPTION_END);
	return server->daemons[nth] ? 0 : -EINVAL;
}

int connection_listen(struct server *server, unsigned nth, int fd, unsigned threads,
		      unsigned connections, struct error *err)
{
	const struct server_options *options = server->options;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_ERROR_LOG;
	struct MHD_OptionItem items[] = {
		{ MHD_OPTION_LISTEN_SOCKET, fd, NULL },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT, SERVER_CONNECTION_MEMORY, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, connections, NULL },
		{ MHD_OPTION_CONNECTION_TIMEOUT, 0, NULL },
		{ MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL },
		{ MHD_OPTION_END, 0, NULL }, /* the next ones, if they are wanted */
		{ MHD_OPTION_END, 0, NULL },
		{ MHD_OPTION_END, 0, NULL },
		{ MHD_OPTION_END, 0, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem *next = &items[5];

	if (threads > 1)
		*next++ = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, threads,
						   NULL };
	if (options->certificate) {
		flags |= MHD_USE_TLS;
		*next++ = (struct MHD_OptionItem){
			MHD_OPTION_HTTPS_MEM_CERT, 0,
			(void *)(uintptr_t)options->certificate
		};
		*next++ = (struct MHD_OptionItem){
			MHD_OPTION_HTTPS_MEM_KEY, 0,
			(void *)(uintptr_t)options->private_key
		};
		*next++ = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
						   (void *)(uintptr_t)TLS_PRIORITIES };
	}
	if (make_daemon(server, nth, flags, items) < 0)
		return error_set(err, -EINVAL, "the server can't start%s",
				 options->certificate ? ": is the certificate in order, "
							"and the key its own?"
						      : "");
	return 0;
}

/* Event threads may still have to do with the socket, so it stays open. Nobody waits in the
 * queue of our own one; that of an inherited one is for who serves next. */
void connection_stop_listening(struct server *server)
{
	const struct server_options *options = server->options;

	for (unsigned i = 0; i < options->socket_count; i++) {
		if (!server->daemons[i])
			continue;
		(void)MHD_quiesce_daemon(server->daemons[i]);
		server->quiet[i] = true;
		if (!options->inherited)
			(void)shutdown(options->sockets[i], SHUT_RDWR);
	}
}

void connection_stop(struct server *server)
{
	for (unsigned i = 0; i < server->options->socket_count; i++) {
		if (server->daemons[i])
			MHD_stop_daemon(server->daemons[i]); /* closes it unless quiet */
		if (server->quiet[i])
			(void)close(server->options->sockets[i]);
		server->daemons[i] = NULL;
	}
}

const char *connection_header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *connection_cookie(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, name);
}

struct header_count {
	const char *name;
	unsigned count;
};

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind,
				    const char *name, const char *value)
{
	struct header_count *count = context;

	(void)kind;
	(void)value;
	count->count += strcasecmp(name, count->name) == 0;
	return MHD_YES;
}

unsigned connection_count_header(const struct request *request, const char *name)
{
	struct header_count count = { .name = name };

	(void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND,
					count_header, &count);
	return count.count;
}
