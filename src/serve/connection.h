/* SPDX-License-Identifier: MIT */
#pragma once
/* Between libmicrohttpd and the server: listens, takes requests and sends answers. Event
 * threads run what is in connection.c and may not wait; so every request goes to the pool
 * (serve/request.h) while its connection is suspended.
 */
#include <stdbool.h>
#include <stddef.h>

struct error;
struct request;
struct server;

/* Answer on the socket @fd with @threads threads, number @nth of the server's daemons. Takes
 * over @fd on success. */
int connection_listen(struct server *server, unsigned nth, int fd, unsigned threads,
		      unsigned connections, struct error *err);

/* Accept nothing new. */
void connection_stop_listening(struct server *server);

/* End all event threads. No connection may be suspended. */
void connection_stop(struct server *server);

/* For the request's thread of the pool, while the connection is suspended. */

/* The value of a header, or NULL; borrowed. */
const char *connection_header(const struct request *request, const char *name);
/* The same for a cookie. */
const char *connection_cookie(const struct request *request, const char *name);
/* How often a header stands there. */
unsigned connection_count_header(const struct request *request, const char *name);
