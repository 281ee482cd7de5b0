/* SPDX-License-Identifier: MIT */
/* A request takes a handle of libcurl, with the connection that it keeps, from a stack, so
 * that those used last are used next; where the server or a proxy speaks HTTP/2 over TLS,
 * that is what they speak.
 *
 * A server that is away (no connection, a connection that breaks or stalls, an answer that
 * ends early, 429, a proxy's 5xx) is asked again, at growing intervals, until the deadline.
 * Redirects are followed a few times within the server's own origin; the token goes nowhere
 * else. An answer that is too long ends the transfer. One that stalls for a timeout, or takes
 * longer than that and what all of it takes at SPEED_MIN (content: SHARE_MIN), is of a server
 * that is away. One that finds damage while it answers can only end the answer early: when that
 * happens again and again, it is damage. What it says of an error is quoted, as its words.
 */
#include "remote/http.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "remote/http_status.h"
#include "remote/http_url.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 32u
#define REDIRECTS_MAX 3u
#define SPEED_MIN UINT64_C(65536)     /* bytes a second */
#define SHARE_MIN (SPEED_MIN / 16)    /* of content, where many share a way */
#define STALL_SPEED 1024L             /* likewise: slower than this is nothing at all */
#define CONNECT_MAX 10000L            /* milliseconds for one try */
#define WAIT_FIRST UINT64_C(50000000) /* nanoseconds */
#define WAIT_MAX UINT64_C(1000000000)
#define WAIT_STEP UINT64_C(100000000) /* to look whether the work is wanted */
#define CUTS_MAX 3u /* answers that may end early before that is taken for their end */
#define SECOND UINT64_C(1000000000)
#define FIGURE_AGE (10 * SECOND)

#define AWAY (-ECONNRESET) /* an attempt's result: worth another one */

struct http {
	char *url; /* normalised */
	struct curl_slist *headers;
	struct curl_slist *fresh_headers;
	char *ca_file;
	unsigned timeout; /* seconds */
	atomic_bool stopped;
	atomic_ullong received;
	atomic_ullong requests;
	struct mutex mutex; /* guards all below */
	struct cond stopping;
	CURL *idle[IDLE_MAX];
	unsigned idle_count;
	uint64_t latency; /* the least since latency_since, and of the time before */
	uint64_t latency_next;
	uint64_t latency_since;
	uint64_t bandwidth;
	uint64_t second_since; /* bytes counted from then on */
	uint64_t second_bytes;
};

/* One attempt. */
struct attempt {
	struct http *http;
	const struct http_request *request;
	CURL *handle;
	uint64_t deadline; /* clock_monotonic_ns() until which a server may be away */
	size_t size;       /* bytes taken */
	bool too_long;
	unsigned cut; /* tries that ended within the answer */
	long status;
	struct text problem; /* what comes with an error */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Beginning and end. */

static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int add_token(struct http *http, const char *token)
{
	autofree char *line = NULL;
	int r;

	if (asprintf(&line, "Authorization: Bearer %s", token) < 0) {
		line = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	r = add_header(&http->headers, line);
	return r < 0 ? r : add_header(&http->fresh_headers, line);
}

static int set_up(struct http *http, const struct http_options *options,
		  struct error *err)
{
	int r;

	r = http_url_parse(options->url, &http->url, err);
	if (r < 0)
		return r;
	if (options->token && !options->plain_token &&
	    strncmp(http->url, "https:", 6) != 0)
		return error_set(err, -EPERM,
				 "'%s': a token does not go over plain HTTP, where "
				 "everybody on the way can read it; use https, or "
				 "--plain-token if nobody else is on the way",
				 http->url);
	r = add_header(&http->fresh_headers, "Cache-Control: no-cache");
	if (r == 0 && options->token)
		r = add_token(http, options->token);
	if (r == 0 && options->ca_file) {
		http->ca_file = strdup(options->ca_file);
		r = http->ca_file ? 0 : -ENOMEM;
	}
	return r < 0 ? error_set(err, r, "no memory for requests") : 0;
}

int http_new(const struct http_options *options, struct http **http_out,
	     struct error *err)
{
	autoptr(http) http = calloc(1, sizeof(*http));
	int r;

	if (!http)
		return error_set(err, -ENOMEM, "no memory for requests");
	(void)pthread_once(&curl_once, start_curl);
	mutex_init(&http->mutex);
	cond_init(&http->stopping);
	http->timeout = options->timeout;
	r = set_up(http, options, err);
	if (r == 0)
		*http_out = take_ptr(http);
	return r;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	while (http->idle_count > 0)
		curl_easy_cleanup(http->idle[--http->idle_count]);
	curl_slist_free_all(http->headers);
	curl_slist_free_all(http->fresh_headers);
	cond_done(&http->stopping);
	mutex_done(&http->mutex);
	free(http->ca_file);
	free(http->url);
	free(http);
}

const char *http_url(const struct http *http)
{
	return http->url;
}

void http_stop(struct http *http)
{
	mutex_scope(&http->mutex);

	atomic_store(&http->stopped, true);
	cond_broadcast(&http->stopping);
}

static CURL *take_handle(struct http *http)
{
	mutex_scope(&http->mutex);

	return http->idle_count > 0 ? http->idle[--http->idle_count] : curl_easy_init();
}

static bool keep_handle(struct http *http, CURL *handle)
{
	mutex_scope(&http->mutex);

	if (http->idle_count == IDLE_MAX)
		return false;
	http->idle[http->idle_count++] = handle;
	return true;
}

static void give_handle(struct http *http, CURL *handle)
{
	if (!handle)
		return;
	curl_easy_reset(handle); /* the connection stays */
	if (!keep_handle(http, handle))
		curl_easy_cleanup(handle);
}

/* Figures. */

static void count_latency_locked(struct http *http, uint64_t now, uint64_t latency)
	requires_mutex(http->mutex)
{
	if (now - http->latency_since > FIGURE_AGE) {
		http->latency = http->latency_next;
		http->latency_next = latency;
		http->latency_since = now;
		http->bandwidth -= http->bandwidth / 4;
	}
	if (http->latency == 0 || latency < http->latency)
		http->latency = latency;
	if (http->latency_next == 0 || latency < http->latency_next)
		http->latency_next = latency;
}

/* Bytes are summed up over stretches of a tenth of a second or more. */
static void count_bytes_locked(struct http *http, uint64_t now, uint64_t size)
	requires_mutex(http->mutex)
{
	uint64_t past = now - http->second_since;
	uint64_t rate;

	http->second_bytes += size;
	if (past < SECOND / 10)
		return;
	rate = past < SECOND ? http->second_bytes * (SECOND / 1000) / (past / 1000) : 0;
	if (rate > http->bandwidth)
		http->bandwidth = rate;
	http->second_since = now;
	http->second_bytes = 0;
}

static void measure(struct attempt *attempt)
{
	struct http *http = attempt->http;
	uint64_t now = clock_monotonic_ns();
	curl_off_t connected = 0;
	curl_off_t secured = 0;
	curl_off_t began = 0;

	(void)curl_easy_getinfo(attempt->handle, CURLINFO_CONNECT_TIME_T, &connected);
	(void)curl_easy_getinfo(attempt->handle, CURLINFO_APPCONNECT_TIME_T, &secured);
	(void)curl_easy_getinfo(attempt->handle, CURLINFO_STARTTRANSFER_TIME_T, &began);
	mutex_scope(&http->mutex);
	if (secured > connected)
		connected = secured;
	if (began > connected)
		count_latency_locked(http, now, (uint64_t)(began - connected));
	count_bytes_locked(http, now, attempt->size);
}

void http_get_figures(struct http *http, struct http_figures *figures_out)
{
	mutex_scope(&http->mutex);

	*figures_out = (struct http_figures){
		.latency = http->latency,
		.bandwidth = http->bandwidth,
		.received = atomic_load(&http->received),
		.requests = atomic_load(&http->requests),
	};
}

/* Transfers. */

static bool unwanted(const struct http *http)
{
	return atomic_load(&http->stopped) || cancelled();
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c,
		       curl_off_t d)
{
	const struct attempt *attempt = context;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return unwanted(attempt->http);
}

static size_t take_problem(struct attempt *attempt, const char *data, size_t size)
{
	size_t room = HTTP_PROBLEM_MAX - attempt->problem.size;

	if (text_append_bytes(&attempt->problem, data, size < room ? size : room) < 0)
		return 0;
	return size <= room ? size : 0; /* enough was said */
}

static size_t size_most(const struct http_request *request)
{
	return request->text ? request->text_max : request->data_size;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
	struct attempt *attempt = context;
	const struct http_request *request = attempt->request;
	size_t most = size_most(request);

	(void)one;
	(void)curl_easy_getinfo(attempt->handle, CURLINFO_RESPONSE_CODE,
				&attempt->status);
	if (attempt->status != 200)
		return take_problem(attempt, data, size);
	if (size > most - attempt->size) {
		attempt->too_long = true;
		return 0;
	}
	if (request->text && text_append_bytes(request->text, data, size) < 0)
		return 0;
	if (!request->text)
		memcpy(request->data + attempt->size, data, size);
	attempt->size += size;
	return size;
}

static long at_most(unsigned seconds, long milliseconds)
{
	return seconds < (unsigned)milliseconds / 1000 ? (long)seconds * 1000
						       : milliseconds;
}

/* Seconds that the server may still be away, at least one. */
static unsigned time_left(const struct attempt *attempt)
{
	uint64_t now = clock_monotonic_ns();

	if (attempt->deadline <= now + SECOND)
		return 1;
	return (unsigned)((attempt->deadline - now + SECOND - 1) / SECOND);
}

/* Milliseconds that an attempt may take, whatever the server does. */
static long time_most(const struct attempt *attempt, unsigned timeout)
{
	return (long)(timeout * UINT64_C(1000) +
		      size_most(attempt->request) * 1000 /
			      (attempt->request->text ? SPEED_MIN : SHARE_MIN));
}

static CURLcode set_options(struct attempt *attempt, const char *url,
			    struct curl_slist *headers)
{
	const struct http *http = attempt->http;
	CURL *h = attempt->handle;
	CURLcode code = CURLE_OK;
	unsigned timeout = time_left(attempt);

#define set(option, value)                                         \
	do {                                                       \
		if (code == CURLE_OK)                              \
			code = curl_easy_setopt(h, option, value); \
	} while (0)
	set(CURLOPT_URL, url);
	set(CURLOPT_HTTPHEADER, headers);
	set(CURLOPT_PROTOCOLS_STR, "http,https");
	set(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	set(CURLOPT_NOSIGNAL, 1L);
	set(CURLOPT_CONNECTTIMEOUT_MS, at_most(timeout, CONNECT_MAX));
	set(CURLOPT_LOW_SPEED_LIMIT, STALL_SPEED);
	set(CURLOPT_LOW_SPEED_TIME, (long)timeout);
	set(CURLOPT_TIMEOUT_MS, time_most(attempt, timeout));
	set(CURLOPT_BUFFERSIZE, 262144L);
	set(CURLOPT_WRITEFUNCTION, on_body);
	set(CURLOPT_WRITEDATA, attempt);
	set(CURLOPT_NOPROGRESS, 0L);
	set(CURLOPT_XFERINFOFUNCTION, on_progress);
	set(CURLOPT_XFERINFODATA, attempt);
	set(CURLOPT_USERAGENT, "blockframe");
	if (http->ca_file)
		set(CURLOPT_CAINFO, http->ca_file);
#undef set
	return code;
}

static int status_error(const struct attempt *attempt, struct error *err)
{
	const char *type = NULL;
	int r;

	(void)curl_easy_getinfo(attempt->handle, CURLINFO_CONTENT_TYPE, &type);
	r = http_status_error(attempt->status, type, &attempt->problem, err);
	return r == -EAGAIN ? AWAY : r;
}

/* libcurl ended with an error. */
static int transfer_error(struct attempt *attempt, CURLcode code, struct error *err)
{
	if (unwanted(attempt->http))
		return error_set(err, -EINTR, "not wanted any more");
	if (attempt->too_long)
		return error_set(err, -EBADMSG, "the answer is longer than it can be");
	if (attempt->status >= 300)
		return status_error(attempt, err);
	if (code == CURLE_OUT_OF_MEMORY || code == CURLE_WRITE_ERROR)
		return error_set(err, -ENOMEM, "no memory for an answer");
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	    code == CURLE_SSL_ISSUER_ERROR)
		return error_set(err, -EIO, "the server's certificate: %s",
				 curl_easy_strerror(code));
	if (attempt->size > 0 && ++attempt->cut >= CUTS_MAX)
		return error_set(err, -EBADMSG, "the answer ends early each time");
	return error_set(err, AWAY, "%s", curl_easy_strerror(code));
}

static int take_etag(const struct attempt *attempt)
{
	struct curl_header *header = NULL;
	char *etag = attempt->request->etag;

	etag[0] = '\0';
	if (curl_easy_header(attempt->handle, "ETag", 0, CURLH_HEADER, -1, &header) ==
		    CURLHE_OK &&
	    strlen(header->value) < HTTP_ETAG_MAX && !strpbrk(header->value, "\r\n"))
		memcpy(etag, header->value, strlen(header->value) + 1);
	return 0;
}

static int judge(const struct attempt *attempt, struct error *err)
{
	const struct http_request *request = attempt->request;

	if (attempt->status == 304 && request->etag && request->etag[0])
		return HTTP_NOT_MODIFIED;
	if (attempt->status != 200)
		return status_error(attempt, err);
	if (!request->text && attempt->size != request->data_size)
		return error_set(err, -EBADMSG, "the answer has %zu bytes, not %zu",
				 attempt->size, request->data_size);
	return request->etag ? take_etag(attempt) : 0;
}

/* Where a redirect leads: a URL of the same origin, which libcurl owns. */
static int next_url(const struct attempt *attempt, const char **url_out,
		    struct error *err)
{
	const char *url = NULL;

	(void)curl_easy_getinfo(attempt->handle, CURLINFO_REDIRECT_URL, &url);
	if (!url)
		return error_set(err, -EIO, "the server redirects to nowhere");
	if (!http_url_same_origin(url, attempt->http->url))
		return error_set(err, -EIO,
				 "the server redirects to another origin, which is "
				 "refused");
	*url_out = url;
	return 0;
}

static int transfer(struct attempt *attempt, const char *url, struct curl_slist *headers,
		    struct error *err)
{
	size_t before = attempt->request->text ? attempt->request->text->size : 0;
	CURLcode code;

	attempt->size = 0;
	attempt->status = 0;
	text_clear(&attempt->problem);
	code = set_options(attempt, url, headers);
	if (code != CURLE_OK)
		return error_set(err, -ENOMEM, "%s", curl_easy_strerror(code));
	code = curl_easy_perform(attempt->handle);
	(void)curl_easy_getinfo(attempt->handle, CURLINFO_RESPONSE_CODE,
				&attempt->status);
	atomic_fetch_add(&attempt->http->received, attempt->size);
	atomic_fetch_add(&attempt->http->requests, 1);
	if (code == CURLE_OK)
		measure(attempt);
	else if (attempt->request->text)
		text_truncate(attempt->request->text, before);
	return code == CURLE_OK ? 0 : transfer_error(attempt, code, err);
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	       status == 308;
}

/* With its redirects. */
static int run_attempt(struct attempt *attempt, char *url, struct curl_slist *headers,
		       struct error *err)
{
	autofree char *here = strdup(url);
	unsigned redirects = 0;
	const char *next = NULL;
	int r;

	for (;;) {
		if (!here)
			return error_set(err, -ENOMEM, "no memory for a URL");
		r = transfer(attempt, here, headers, err);
		if (r < 0 || !is_redirect(attempt->status))
			return r < 0 ? r : judge(attempt, err);
		if (++redirects > REDIRECTS_MAX)
			return error_set(err, -EIO, "the server redirects in a circle");
		r = next_url(attempt, &next, err);
		if (r < 0)
			return r;
		free(here);
		here = strdup(next);
	}
}

/* Wait @pause, but no longer than until @deadline. -EINTR; AWAY: that is past. */
static int wait_for_server(struct http *http, uint64_t pause, uint64_t deadline)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t end = now + pause;

	if (end > deadline)
		return AWAY;
	mutex_scope(&http->mutex);
	while (!unwanted(http) && (now = clock_monotonic_ns()) < end)
		(void)cond_wait_until(&http->stopping, &http->mutex,
				      now + WAIT_STEP < end ? now + WAIT_STEP : end);
	return unwanted(http) ? -EINTR : 0;
}

static int try_until(struct http *http, const struct http_request *request, char *url,
		     struct curl_slist *headers, struct error *err)
{
	uint64_t deadline = clock_monotonic_ns() + http->timeout * SECOND;
	struct attempt attempt = { .http = http,
				   .request = request,
				   .deadline = deadline };
	uint64_t pause = WAIT_FIRST;
	int r;

	for (;;) {
		attempt.handle = take_handle(http);
		r = attempt.handle ? run_attempt(&attempt, url, headers, err)
				   : error_set(err, -ENOMEM, "no memory for a request");
		give_handle(http, attempt.handle);
		if (r == AWAY && !request->once)
			r = wait_for_server(http, pause, deadline) == 0 ? AWAY : -EIO;
		if (r != AWAY || request->once)
			break;
		pause = pause * 2 < WAIT_MAX ? pause * 2 : WAIT_MAX;
	}
	text_done(&attempt.problem);
	return r == AWAY ? -EIO : r;
}

/* The request's own headers before those of all; *list is what to free, unless NULL. */
static int own_headers(struct http *http, const struct http_request *request,
		       struct curl_slist **list)
{
	autofree char *line = NULL;

	*list = NULL;
	if (!request->etag || !request->etag[0])
		return 0;
	if (asprintf(&line, "If-None-Match: %s", request->etag) < 0) {
		line = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	for (struct curl_slist *h = http->headers; h; h = h->next)
		if (add_header(list, h->data) < 0)
			return -ENOMEM;
	return add_header(list, line);
}

int http_get(struct http *http, const struct http_request *request, struct error *err)
{
	struct curl_slist *own = NULL;
	autofree char *url = NULL;
	int r;

	if (unwanted(http))
		return error_set(err, -EINTR, "not wanted any more");
	r = own_headers(http, request, &own);
	if (r == 0 && asprintf(&url, "%s%s", http->url, request->target) < 0) {
		url = NULL; /* undefined after a failure */
		r = -ENOMEM;
	}
	if (r < 0)
		r = error_set(err, r, "no memory for a request");
	else
		r = try_until(http, request, url,
			      own              ? own
			      : request->fresh ? http->fresh_headers
					       : http->headers,
			      err);
	curl_slist_free_all(own);
	return r < 0 ? error_prefix(err, r, "%s%s", http->url, request->target) : r;
}
