/* SPDX-License-Identifier: MIT */
#pragma once
/* A request, from its head to the end of its answer. Threads: belongs to the event thread of
 * its connection, and to one thread of the pool while that finds the answer.
 */
#include "base/pool.h"
#include "serve/http_target.h"
#include "serve/token_file.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct MHD_Connection;
struct MHD_Response;
struct catalog;
struct client;
struct error;
struct route;
struct server;

enum request_state {
	REQUEST_NEW,      /* its head is being read */
	REQUEST_HEAD,     /* its head is there */
	REQUEST_ASKED,    /* the pool finds the answer; the connection is suspended */
	REQUEST_ANSWERED, /* the answer is there */
	REQUEST_SENDING,  /* it is libmicrohttpd's */
};

struct request {
	atomic_uint users;
	struct server *server;
	struct MHD_Connection *connection;
	struct client *client; /* borrowed from the connection */
	enum request_state state;
	struct task task;
	char *raw;    /* owned: the target as it came */
	char *method; /* owned */
	bool head;    /* HEAD */
	bool old;     /* HTTP/1.0 */

	struct http_target target;
	const struct route *route;
	struct bytes own_key; /* owned: what a parameter names */
	uint64_t number;      /* of the route's path */
	struct bytes key;   /* borrowed from the target: the path in the archive, or what
			      * else stands behind the route */
	struct token token; /* a copy; who asks */
	bool known;         /* and that they may */
	struct backing *backing; /* owned use */
	struct catalog
		*catalog; /* given back when the answer is there; NULL: not taken */
	bool scans;       /* counted in server->scans */
	unsigned looks;   /* of request_is_wanted() */

	struct MHD_Response *response; /* owned until it is sent */
	unsigned status;
	uint64_t begun; /* clock_monotonic_ns() */
	uint64_t sent;  /* bytes of the body that were handed out */
};

/* On an event thread: a request for @raw (copied). NULL: no memory. */
struct request *request_new(struct server *server, const char *raw);

/* Bodies that look at their request use it, too: they may live a little longer. */
struct request *request_ref(struct request *request);
void request_unref(struct request *request);

/* Its connection is done with it: it has no answer any more. */
void request_finish(struct request *request);

/* Find the answer on the pool, then connection_answered(). */
void request_submit(struct request *request);

/* On the pool's thread, for routes. */

/* A catalog handle for as long as the answer is looked for; request->catalog is it. */
int request_take_catalog(struct request *request, struct error *err);
/* Before anything that may wait for a volume: others want the handle meanwhile. */
void request_give_catalog(struct request *request);

/* The right to read much of the catalog, for as long as the answer is looked for. -EBUSY: too
 * many do so now. */
int request_begin_scan(struct request *request, struct error *err);

/* Whether somebody still waits for what takes long to find; to be called often. -ECONNRESET:
 * the client has left, -ETIMEDOUT: it takes longer than it may, -EBUSY: the server stops. */
int request_is_wanted(struct request *request, struct error *err);

/* -EACCES unless the request's token reaches @key. */
int request_check_reach(const struct request *request, const uint8_t *key, size_t size,
			struct error *err);
