/* SPDX-License-Identifier: MIT */
#pragma once
/* The HTTP server: what all its requests share, and its life from opening the archive to the
 * end. Threads: serve() belongs to the main thread; the fields say what guards them.
 *
 * Who does what:
 *   event threads   libmicrohttpd's: sockets, TLS, copying bytes; they wait for nothing else
 *   the pool        everything that may wait: catalog, volumes, decoding
 *   main thread     signals, deadlines, a catalog or token file that was replaced
 */
#include "archive/archive.h"
#include "base/config.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "base/text.h"
#include "serve/client.h"
#include "serve/peer.h"
#include "serve/session.h"
#include "serve/stream.h"

#include <stdatomic.h>

struct MHD_Daemon;
struct backing;
struct budget;
struct read_health;
struct token_file;

#define SERVER_SOCKETS_MAX 8u
#define SERVER_CONNECTION_MEMORY \
	(20u << 10) /* bytes: head of the request and the answer */
#define SERVER_BLOCK_SIZE CLIENT_BLOCK_SIZE /* bytes of an answer at a time */
/* The same for the first long answers that are under way at a time: fewer calls and wake-ups
 * for each byte, here and at the client. */
#define SERVER_LARGE_BLOCK_SIZE (128u << 10)
#define SERVER_LARGE_BLOCKS 24u /* at most, and an eighth of what clients have */
#define SERVER_TLS_MEMORY \
	(32u << 10) /* bytes that gnutls takes for a connection: measured */

struct server_options {
	struct archive_options archive; /* observer is the server's to set */
	const int *sockets;             /* listening, non-blocking; taken over */
	size_t socket_count;
	bool inherited;               /* sockets, which somebody else has, too */
	const char *base_path;        /* "", or "/x/y" without a slash at the end */
	const char *token_file;       /* NULL: no token is needed */
	const char *certificate;      /* PEM; NULL: plain HTTP */
	const char *private_key;      /* PEM */
	void (*ready)(void *context); /* clients are answered from now on */
	void *context;
};

struct server_counters {
	atomic_ullong requests[6]; /* by the first digit of the status */
	atomic_ullong bytes_sent;  /* of bodies */
	atomic_ullong broken;      /* bodies that ended too early */
	atomic_ullong expired;     /* connections that were past a deadline */
};

struct server {
	const struct server_options *options;
	uint64_t started;   /* clock_monotonic_ns() */
	struct mutex mutex; /* guards the next three, not what they point to */
	struct backing *backing;
	struct token_file *tokens; /* NULL: no token is needed */
	struct text last_health;   /* what /v1/health said last; empty: nothing yet */
	struct read_health *health;
	struct budget *budget; /* of what clients take */
	uint64_t reserved;     /* bytes of it, for connections and blocks */
	unsigned large_block_count;
	atomic_uint large_blocks; /* in use */
	struct pool *pool;
	struct task_group group;
	struct stream_service streams;
	struct clients clients;
	struct peers peers;
	struct sessions sessions;
	atomic_uint scans;    /* requests that read much of the catalog */
	atomic_bool stopping; /* connections end after their request */
	atomic_bool closing;  /* requests end, too */
	struct server_counters counters;
	struct MHD_Daemon *daemons[SERVER_SOCKETS_MAX];
	bool quiet[SERVER_SOCKETS_MAX]; /* its daemon accepts nothing any more */
};

/* The current backing, with the caller as a user. */
struct backing *server_backing(struct server *server);

/* Whether [server] is set to answer to the host @host (what a Host header says). Names of
 * others are how a page of somebody else's makes a browser ask us (DNS rebinding). */
bool server_knows_host(const struct config *config, const char *host);

/* Serve until SIGTERM or SIGINT. Errors as archive_open(), and of tokens, keys and sockets.
 * Blocks the signals that it takes in the calling thread. */
int serve(const struct server_options *options, struct error *err);
