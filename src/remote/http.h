/* SPDX-License-Identifier: MIT */
#pragma once
/* Asking one server over HTTP: connections that are kept, a deadline, and answers that are
 * bounded before they are read. Nothing that comes back is believed here.
 *
 * Internally locked: any thread; each request has a connection of its own while it runs.
 */
#include "base/cleanup.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct http;

struct http_options {
	const char *url;     /* of the server: http or https, perhaps with a path */
	const char *token;   /* sent with each request; NULL: none */
	bool plain_token;    /* send it over http, too */
	const char *ca_file; /* certificates to trust, PEM; NULL: the system's */
	unsigned timeout;    /* seconds that a request waits for a server that is away */
};

/* Makes no connection. -EINVAL: not a URL of a server; -EPERM: the token would go over plain
 * HTTP. The caller frees *http_out. */
int http_new(const struct http_options *options, struct http **http_out,
	     struct error *err);
/* No request may be under way. */
void http_free(struct http *http);
DEFINE_AUTOPTR(http);

/* The server's URL as it was understood: without default port and trailing slash. */
const char *http_url(const struct http *http);

/* From now on every request fails at once, those under way as well. */
void http_stop(struct http *http);

#define HTTP_NOT_MODIFIED 1

struct http_request {
	const char *target; /* behind the server's URL: "/v1/head" */
	char *etag; /* HTTP_ETAG_MAX bytes, or NULL: not asked for. "" or that of the
			     * answer that the caller has; becomes that of the new one */
	bool fresh; /* no cache on the way may answer */
	bool once;  /* do not wait for a server that is away */

	/* Where the answer goes: appended to text, at most text_max bytes, or exactly
	 * data_size bytes to data. */
	struct text *text;
	size_t text_max;
	uint8_t *data;
	size_t data_size;
};
#define HTTP_ETAG_MAX 128u

/* 0, HTTP_NOT_MODIFIED; -ENOENT: the server has no such thing. -EBADMSG: the server says that
 * it is lost; -ENOMEDIUM: that its volume is offline; or the answer was longer or shorter than it may be.
 * -EACCES: token. -EIO: everything else, also that the server stays away. -EINTR: the
 * thread's work is not wanted any more (base/cancel.h). Texts from the server are
 * marked as such. What was appended to text is undefined after an error. */
int http_get(struct http *http, const struct http_request *request, struct error *err);

/* What was measured: time from a request to its answer (the least of late), bytes per second
 * at best (of late), bytes received in all. */
struct http_figures {
	uint64_t latency;   /* microseconds; 0: not known */
	uint64_t bandwidth; /* bytes a second, all connections together */
	uint64_t received;  /* bytes of bodies */
	uint64_t requests;
};
void http_get_figures(struct http *http, struct http_figures *figures_out);
