/* SPDX-License-Identifier: MIT */
/* There is mostly one view (remote/view.h); when the user accepts a server that was not to be believed any more, a new catalog
 * takes the place of the old one, as a rebuilt one does in an archive, and the old view gives
 * nothing but errors to those who still have it open.
 *
 * What a poll finds:
 *
 *     the head that is current           all is well, also if it was not before
 *     one that descends from it          remembered durably, then current
 *     anything else                      no trust, until what is remembered is that very head
 *     no answer                          nothing changes: objects prove themselves
 *
 * What is remembered may also be written by others who read from the same URL: their heads
 * are met when the server has them.
 */
#include "remote/remote.h"

#include "archive/archive.h"
#include "archive/head.h"
#include "archive/origin.h"
#include "archive/source.h"
#include "archive/tree_fill.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/text.h"
#include "catalog/filler.h"
#include "remote/disk_cache.h"
#include "remote/http.h"
#include "remote/private_folder.h"
#include "remote/server.h"
#include "remote/source_remote.h"
#include "remote/trust.h"
#include "remote/trust_check.h"
#include "remote/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_INTERVAL UINT64_C(5000000000) /* nanoseconds */
#define PARALLEL 12u
#define SECOND INT64_C(1000000000)

/* A filler for an archive that was opened. It stays as long as the remote does: archives go
 * when their last reader goes. */
struct opened {
	struct tree_fill *fill; /* owned */
	struct opened *older;   /* owned */
};

struct remote {
	struct origin origin; /* first member */
	struct http *http;
	struct disk_cache *disk; /* or NULL */
	struct private_folder folder;
	char *catalog_path;
	char *pin; /* or NULL */
	bool tofu;
	pthread_t poller;
	bool polling;
	char etag[HTTP_ETAG_MAX]; /* the poller's: of the head that was judged last */

	struct mutex
		opening; /* held while the catalog is replaced, or a filler for it made:
			       * outside of the next one, and over what that takes */
	struct mutex mutex; /* guards all below */
	struct cond stopping;
	bool stopped;
	struct view *view;     /* the current one; owned */
	struct view *old;      /* retired ones, a list; owned */
	struct opened *opened; /* the newest first; owned */
	struct trust trust;    /* what is remembered */
	int64_t head_time;     /* seconds since 1970: of the current head */
	int64_t heard;         /* seconds since 1970: of the last answer */
};

static struct remote *remote_of(struct origin *origin)
{
	return (struct remote *)origin;
}

/* Trust. */

static int no_trust(const struct remote *remote, int r, struct error *err)
{
	struct error why = err ? *err : (struct error){ 0 };

	if (r != -ESTALE)
		return r;
	return error_set(err, r,
			 "%s is not what it was: %s. If that is as it should be, "
			 "'blockframe trust accept %s' says so",
			 http_url(remote->http), why.text, http_url(remote->http));
}

static int load_trust(struct remote *remote, struct trust *trust, struct error *err)
{
	int r = trust_load(http_url(remote->http), trust, err);

	if (r != -ENOENT || remote->pin || remote->tofu)
		return r;
	return error_set(err, -ENOKEY,
			 "%s was never seen before: give --pin with the hash of a commit "
			 "that you know to be right, or --tofu to trust it this once",
			 http_url(remote->http));
}

/* Unless others, who read from the same URL while this one was judged, have seen more. */
static int store_trust(struct remote *remote, struct error *err)
{
	autotrust known = { 0 };

	if (trust_load(remote->trust.url, &known, NULL) == 0 &&
	    hash_equal(&known.archive, &remote->trust.archive) &&
	    known.sequence > remote->trust.sequence)
		return 0;
	return trust_store(&remote->trust, err);
}

/* Judge the server's head, and remember it. */
static int judge(struct remote *remote, const struct head *head, struct head_chain *chain,
		 struct error *err)
{
	struct trust known = { 0 };
	struct hash pin = { 0 };
	struct hash id;
	int r;

	server_archive(head, &id);
	r = load_trust(remote, &known, err);
	if (r == 0 && !hash_equal(&known.archive, &id))
		r = error_set(err, -ESTALE, "another archive is there now");
	else if (r == 0)
		r = trust_check_chain(&known, chain, err);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && remote->pin && hash_from_hex(remote->pin, &pin) < 0)
		r = error_set(err, -EINVAL, "--pin: '%s' is not a hash of 64 hex digits",
			      remote->pin);
	if (r == 0 && remote->pin &&
	    (hash_is_zero(&known.pin) || !hash_equal(&pin, &known.pin)))
		r = trust_check_pin(chain, &pin, err);
	if (r == 0 && !remote->pin)
		pin = known.pin;
	trust_done(&known);
	if (r < 0)
		return no_trust(remote, r, err);
	remote->trust.url = strdup(http_url(remote->http));
	if (!remote->trust.url)
		return error_set(err, -ENOMEM, "no memory for a URL");
	remote->trust.archive = id;
	remote->trust.sequence = head->sequence;
	remote->trust.head = head->hash;
	remote->trust.pin = pin;
	return store_trust(remote, err);
}

static int64_t now(void)
{
	return clock_realtime_ns() / SECOND;
}

/* Polling. */

static struct view *current_view(struct remote *remote)
{
	mutex_scope(&remote->mutex);

	return remote->view;
}

/* Say it once, and be believed no more. */
static void distrust(struct remote *remote, int r, struct error *err)
{
	(void)no_trust(remote, r, err);
	if (view_distrust(current_view(remote), err))
		log_error("%s", err->text);
}

static void trust_again(struct remote *remote, const struct head *head)
{
	bool was = view_show(current_view(remote), head->sequence);

	if (was)
		log_info("%s: commit %" PRIu64 " is there, and is believed",
			 http_url(remote->http), head->sequence);
	mutex_scope(&remote->mutex);
	remote->trust.sequence = head->sequence;
	remote->trust.head = head->hash;
	remote->head_time = head->time.seconds;
}

/* Write down that @head was seen, unless something higher was seen by others. */
static int remember(struct remote *remote, const struct head *head, struct error *err)
{
	autotrust known = { 0 };
	struct trust trust;
	int r;

	mutex_lock(&remote->mutex);
	trust = remote->trust;
	mutex_unlock(&remote->mutex);
	r = trust_load(trust.url, &known, NULL);
	if (r == 0 && hash_equal(&known.head, &head->hash))
		return 0;
	if (r == 0 && hash_equal(&known.archive, &trust.archive) &&
	    known.sequence > head->sequence)
		return error_set(err, -ESTALE,
				 "commit %" PRIu64 " is the newest there, but %" PRIu64
				 " was seen before: it was set back",
				 head->sequence, known.sequence);
	trust.sequence = head->sequence;
	trust.head = head->hash;
	return trust_store(&trust, err);
}

/* The user has accepted a head that does not descend from ours. */
static int start_over(struct remote *remote, const struct head *head, const char *json,
		      struct error *err)
{
	struct view *view = NULL;
	struct hash id;
	int r;

	mutex_scope(&remote->opening);
	r = view_make(remote->http, remote->catalog_path, head, json, &view, err);
	if (r < 0)
		return r;
	server_archive(head, &id);
	mutex_scope(&remote->mutex);
	view_retire(remote->view, &remote->old);
	remote->view = view;
	remote->trust.archive = id;
	remote->trust.pin = (struct hash){ 0 };
	return 0;
}

/* Whether what is remembered now is @head, although it is not ours. */
static bool was_accepted(const struct remote *remote, const struct head *head)
{
	autotrust trust = { 0 };

	return trust_load(http_url(remote->http), &trust, NULL) == 0 &&
	       hash_equal(&trust.head, &head->hash);
}

static void meet_head(struct remote *remote, const struct head *head, const char *json)
{
	struct error err = { 0 };
	int r;

	r = head_chain_append(view_chain(current_view(remote)), json, &err);
	if (r == 0)
		r = remember(remote, head, &err);
	if (r == -ESTALE && was_accepted(remote, head))
		r = start_over(remote, head, json, &err);
	if (r == 0)
		trust_again(remote, head);
	else if (r == -ESTALE)
		distrust(remote, r, &err);
	else
		log_warn("looking for commits: %s", err.text);
	if (r < 0)
		remote->etag[0] = '\0'; /* look at it again */
	if (r == 0 || r == -ESTALE)
		private_folder_touch(&remote->folder);
}

static void poll_server(struct remote *remote)
{
	autotext struct text json = { 0 };
	struct head head = { 0 };
	struct error err = { 0 };
	int r;

	r = server_get_head(remote->http, remote->etag, true, &json, &head, &err);
	if (r >= 0) {
		mutex_lock(&remote->mutex);
		remote->heard = now();
		mutex_unlock(&remote->mutex);
	}
	if (r == 0)
		meet_head(remote, &head, text_string(&json));
	else if (r < 0)
		log_debug("looking for commits: %s", err.text);
	head_done(&head);
}

static uint64_t poll_interval(void)
{
#ifdef TEST_HOOKS
	const char *text = getenv("BLOCKFRAME_POLL_MS");

	if (text)
		return strtoull(text, NULL, 10) * 1000000;
#endif
	return POLL_INTERVAL;
}

/* False: it is time to end. */
static bool wait_for_poll(struct remote *remote)
{
	uint64_t end = clock_monotonic_ns() + poll_interval();

	mutex_scope(&remote->mutex);
	while (!remote->stopped)
		if (cond_wait_until(&remote->stopping, &remote->mutex, end) < 0)
			break;
	return !remote->stopped;
}

static void *run_poller(void *context)
{
	struct remote *remote = context;

	while (wait_for_poll(remote))
		poll_server(remote);
	return NULL;
}

static int start_poller(struct remote *remote, struct error *err)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	r = pthread_create(&remote->poller, NULL, run_poller, remote);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	remote->polling = r == 0;
	return r ? error_set_errno(err, -r, "thread") : 0;
}

/* As an origin. */

static const char *origin_folder(struct origin *origin)
{
	return remote_of(origin)->folder.path;
}

static struct catalog_filler *origin_filler(struct origin *origin)
{
	struct remote *remote = remote_of(origin);

	mutex_scope(&remote->mutex);
	return tree_fill_filler(remote->opened->fill);
}

static int add_opened(struct remote *remote, struct source *source, struct error *err)
{
	struct opened *opened = calloc(1, sizeof(*opened));
	struct view *view;
	int r;

	mutex_scope(&remote->opening);
	view = current_view(remote);
	if (!opened)
		return error_set(err, -ENOMEM, "no memory for an archive");
	r = view_open(view, remote->catalog_path, source, &opened->fill, err);
	if (r < 0) {
		free(opened);
		return r;
	}
	mutex_scope(&remote->mutex);
	opened->older = remote->opened;
	remote->opened = opened;
	return 0;
}

static int origin_open_source(struct origin *origin, struct budget *budget,
			      struct source **source_out, struct error *err)
{
	struct remote *remote = remote_of(origin);
	autoptr(source) source = NULL;
	int r;

	r = source_remote_new(remote->http, remote->disk, budget, &source, err);
	if (r == 0)
		r = add_opened(remote, source, err);
	if (r == 0)
		*source_out = take_ptr(source);
	return r;
}

static const char *origin_name(struct origin *origin)
{
	return http_url(remote_of(origin)->http);
}

static unsigned origin_parallel(struct origin *origin)
{
	(void)origin;
	return PARALLEL;
}

static int describe_trust(struct remote *remote, struct text *text)
{
	char head[HASH_HEX_SIZE];
	struct error why = { 0 };
	uint64_t sequence;
	bool trusted = view_current(current_view(remote), &sequence, &why) == 0;

	mutex_scope(&remote->mutex);
	hash_to_hex(&remote->trust.head, head);
	return text_appendf(text,
			    "server: %s\n"
			    "trusted: %s\n"
			    "head: %s\n"
			    "head_age: %" PRId64 "\n"
			    "last_answer: %" PRId64 "\n",
			    remote->trust.url, trusted ? "yes" : why.text, head,
			    now() - remote->head_time, now() - remote->heard);
}

static int origin_describe(struct origin *origin, struct text *text)
{
	struct remote *remote = remote_of(origin);
	struct http_figures figures;
	int r;

	http_get_figures(remote->http, &figures);
	r = describe_trust(remote, text);
	if (r < 0)
		return r;
	return text_appendf(text,
			    "requests: %" PRIu64 "\n"
			    "received: %" PRIu64 "\n"
			    "latency_us: %" PRIu64 "\n"
			    "bandwidth: %" PRIu64 "\n",
			    figures.requests, figures.received, figures.latency,
			    figures.bandwidth);
}

static void origin_stop(struct origin *origin)
{
	http_stop(remote_of(origin)->http);
}

static const struct origin_ops origin_ops = {
	.folder = origin_folder,
	.open_source = origin_open_source,
	.filler = origin_filler,
	.name = origin_name,
	.parallel = origin_parallel,
	.describe = origin_describe,
	.stop = origin_stop,
};

struct origin *remote_origin(struct remote *remote)
{
	return &remote->origin;
}

/* Beginning and end. */

static int meet_server(struct remote *remote, struct error *err)
{
	autotext struct text json = { 0 };
	struct head head = { 0 };
	int r;

	r = server_get_head(remote->http, remote->etag, false, &json, &head, err);
	if (r == 0)
		r = view_make(remote->http, remote->catalog_path, &head,
			      text_string(&json), &remote->view, err);
	if (r == 0)
		r = judge(remote, &head, view_chain(remote->view), err);
	remote->head_time = head.time.seconds;
	remote->heard = now();
	head_done(&head);
	return r;
}

static int set_up(struct remote *remote, const struct remote_options *options,
		  struct error *err)
{
	int r;

	remote->tofu = options->tofu;
	remote->pin = options->pin ? strdup(options->pin) : NULL;
	if (options->pin && !remote->pin)
		return error_set(err, -ENOMEM, "no memory for a pin");
	r = server_open(options, &remote->http, err);
	if (r == 0 && options->cache_directory)
		r = disk_cache_open(options->cache_directory, options->cache_size,
				    &remote->disk, err);
	if (r == 0)
		r = private_folder_make(&remote->folder, err);
	if (r == 0 && asprintf(&remote->catalog_path, "%s/" ARCHIVE_CATALOG_FILE,
			       remote->folder.path) < 0) {
		remote->catalog_path = NULL; /* undefined after a failure */
		r = error_set(err, -ENOMEM, "no memory for a path");
	}
	if (r == 0)
		r = meet_server(remote, err);
	if (r == 0 && options->watch)
		r = start_poller(remote, err);
	return r;
}

int remote_open(const struct remote_options *options, struct remote **remote_out,
		struct error *err)
{
	autoptr(remote) remote = calloc(1, sizeof(*remote));
	int r;

	if (!remote)
		return error_set(err, -ENOMEM, "no memory for a server");
	remote->origin.ops = &origin_ops;
	remote->folder.lock_fd = -1;
	mutex_init(&remote->mutex);
	mutex_init(&remote->opening);
	cond_init(&remote->stopping);
	r = set_up(remote, options, err);
	if (r == 0)
		*remote_out = take_ptr(remote);
	return r;
}

static void end_poller(struct remote *remote)
{
	if (!remote->polling)
		return;
	mutex_lock(&remote->mutex);
	remote->stopped = true;
	cond_broadcast(&remote->stopping);
	mutex_unlock(&remote->mutex);
	(void)pthread_join(remote->poller, NULL);
}

void remote_free(struct remote *remote)
{
	if (!remote)
		return;
	if (remote->http)
		http_stop(remote->http);
	end_poller(remote);
	while (remote->opened) {
		struct opened *opened = remote->opened;

		remote->opened = opened->older;
		tree_fill_free(opened->fill);
		free(opened);
	}
	view_free(remote->view);
	view_free(remote->old);
	private_folder_remove(&remote->folder);
	disk_cache_free(remote->disk);
	http_free(remote->http);
	trust_done(&remote->trust);
	cond_done(&remote->stopping);
	mutex_done(&remote->mutex);
	mutex_done(&remote->opening);
	free(remote->catalog_path);
	free(remote->pin);
	free(remote);
}
