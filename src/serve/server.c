/* SPDX-License-Identifier: MIT */
/* The life of a server:
 *
 *   OPEN       archive, tokens, memory for what clients are ahead
 *   SERVING    until SIGTERM or SIGINT
 *   STOPPING   nothing new is accepted; requests under way are answered to their end, for at
 *              most [server] stop_timeout
 *   CLOSING    what is left is cut off: streams end, tasks of the pool are waited for, so that
 *              no connection is suspended, then libmicrohttpd's threads end
 *
 * A second signal while stopping goes on to CLOSING at once. A read that does not come back
 * from a volume can't be taken back; after another stop_timeout, or the next signal, the
 * process ends all the same.
 *
 * The loop wakes four times a second at most, for deadlines; a catalog or a token file that
 * was replaced is seen within a second, and at once after SIGHUP.
 */
#include "serve/server.h"

#include "archive/backing.h"
#include "archive/read_health.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "serve/connection.h"
#include "serve/token_file.h"
#include "serve/window.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#define READERS \
	64u              /* threads that wait for volumes; one slow volume must not
			  * take all of them: see archive/read_service.h */
#define EVENT_THREADS 4u /* at most; they copy and encrypt */
#define DESCRIPTORS 256u /* of volumes, catalogs, pipes, threads */
#define TICK 250         /* milliseconds between looks at deadlines */
#define LOOK_TICKS 4u    /* between looks at files */
#define GRACE     \
	UINT64_C( \
		5) /* seconds: who looks at the time by himself says so before he is cut */
#define SECOND UINT64_C(1000000000)

struct watched_file {
	struct stat seen; /* what was there last */
};

struct loop {
	struct server *server;
	int signal_fd;
	struct watched_file catalog;
	struct watched_file tokens;
};

struct backing *server_backing(struct server *server)
{
	mutex_scope(&server->mutex);

	return backing_ref(server->backing);
}

/* Replaced files. */

static bool was_replaced(struct watched_file *file, const struct stat *now)
{
	const struct stat *seen = &file->seen;
	bool same = seen->st_dev == now->st_dev && seen->st_ino == now->st_ino &&
		    seen->st_size == now->st_size &&
		    seen->st_mtim.tv_sec == now->st_mtim.tv_sec &&
		    seen->st_mtim.tv_nsec == now->st_mtim.tv_nsec;

	file->seen = *now;
	return !same;
}

static int load_tokens(struct server *server, struct error *err)
{
	struct token_file *tokens = NULL;
	struct token_file *old;
	int r;

	if (!server->options->token_file)
		return 0;
	r = token_file_load(server->options->token_file, &tokens, err);
	if (r < 0)
		return r;
	mutex_lock(&server->mutex);
	old = server->tokens;
	server->tokens = tokens;
	mutex_unlock(&server->mutex);
	token_file_free(old);
	return 0;
}

/* A file that is not in order changes nothing: who could come in still can. */
static void look_for_tokens(struct loop *loop)
{
	struct server *server = loop->server;
	const char *path = server->options->token_file;
	struct error err = { 0 };
	struct stat st;

	if (!path || stat(path, &st) < 0 || !was_replaced(&loop->tokens, &st))
		return;
	if (load_tokens(server, &err) < 0)
		log_warn("tokens: %s; going on with those from before", err.text);
	else
		log_info("tokens: read '%s' again", path);
}

/* Three eighths of the memory are for clients, half of it with TLS: windows, blocks and
 * connections. They have a budget of
 * their own, since a rebuilt catalog means another archive object; the archive's goes
 * without that much. */
static uint64_t memory_for_clients(const struct server *server)
{
	uint64_t eighth = server->options->archive.config->limits.memory / 8;

	return eighth * (server->options->certificate ? 4 : 3);
}

static int open_backing(struct server *server, unsigned epoch,
			struct backing **backing_out, struct error *err)
{
	struct archive_options options = server->options->archive;

	options.observer = read_health_observer(server->health);
	return backing_open(&options, epoch, memory_for_clients(server), backing_out,
			    err);
}

/* A catalog that grew is the same one; a rebuild puts another file in its place. */
static void look_for_catalog(struct loop *loop)
{
	struct server *server = loop->server;
	int folder = archive_folder(backing_archive(server->backing));
	autobacking backing = NULL; /* the old one, in the end */
	struct error err = { 0 };
	struct stat st;

	if (fstatat(folder, ARCHIVE_CATALOG_FILE, &st, 0) < 0 ||
	    (st.st_ino == loop->catalog.seen.st_ino &&
	     st.st_dev == loop->catalog.seen.st_dev))
		return;
	if (open_backing(server, backing_epoch(server->backing) + 1, &backing, &err) <
	    0) {
		log_debug("the new catalog: %s", err.text);
		return; /* the rebuild may be under way: look again */
	}
	loop->catalog.seen = st;
	log_info("the catalog was rebuilt: going on with the new one");
	mutex_scope(&server->mutex);
	struct backing *old = server->backing;

	server->backing = take_ptr(backing);
	backing = old;
}

/* The loop. */

static void expire(struct server *server)
{
	size_t count = clients_expire(&server->clients);

	if (count == 0)
		return;
	atomic_fetch_add(&server->counters.expired, count);
	log_info("%zu connections were past a deadline", count);
}

/* Wait for @timeout milliseconds at most. The signal that came, or 0. */
static int next_signal(const struct loop *loop, int timeout)
{
	struct pollfd fd = { .fd = loop->signal_fd, .events = POLLIN };
	struct signalfd_siginfo info;

	if (poll(&fd, 1, timeout) <= 0)
		return 0;
	return read(loop->signal_fd, &info, sizeof(info)) == sizeof(info)
		       ? (int)info.ssi_signo
		       : 0;
}

static void serve_until_signal(struct loop *loop)
{
	for (unsigned ticks = 0;; ticks++) {
		int number = next_signal(loop, TICK);

		if (number == SIGTERM || number == SIGINT)
			return;
		expire(loop->server);
		clients_resume(&loop->server->clients);
		if (number != SIGHUP && ticks % LOOK_TICKS != 0)
			continue;
		look_for_tokens(loop);
		look_for_catalog(loop);
	}
}

/* Until @done, the next signal or @end (clock_monotonic_ns()). False: not done. */
static bool wait_for(struct loop *loop, bool (*done)(struct server *server), uint64_t end)
{
	while (!done(loop->server)) {
		int number = next_signal(loop, TICK / 10);

		if (number == SIGTERM || number == SIGINT || clock_monotonic_ns() >= end)
			return false;
		expire(loop->server);
		clients_resume(&loop->server->clients);
	}
	return true;
}

static bool is_idle(struct server *server)
{
	return clients_busy(&server->clients) == 0;
}

static bool is_done(struct server *server)
{
	return task_group_pending(&server->group) == 0;
}

static void stop(struct loop *loop)
{
	struct server *server = loop->server;
	uint64_t timeout = server->options->archive.config->server.stop_timeout * SECOND;

	log_info("stopping");
	atomic_store(&server->stopping, true);
	connection_stop_listening(server);
	clients_close(&server->clients, false);
	(void)wait_for(loop, is_idle, clock_monotonic_ns() + timeout);
	atomic_store(&server->closing, true);
	clients_close(&server->clients, true);
	clients_resume(&server->clients);
	if (wait_for(loop, is_done, clock_monotonic_ns() + timeout))
		return;
	log_error("a volume does not answer: ending without it");
	_exit(1); /* nothing that is written would be lost by this */
}

/* Life. */

static int open_archive(struct server *server, struct error *err)
{
	const char *warning;
	int r;

	r = read_health_new(&server->health, err);
	if (r == 0)
		r = open_backing(server, 0, &server->backing, err);
	if (r < 0)
		return r;
	warning = archive_warning(backing_archive(server->backing));
	if (warning)
		log_warn("%s", warning);
	return 0;
}

/* A descriptor for each connection, beside our own. */
static void raise_descriptors(unsigned connections)
{
	struct rlimit limit;
	rlim_t wanted = connections + DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
		log_warn("only %llu files can be open: there may be fewer connections",
			 (unsigned long long)limit.rlim_cur);
}

/* What connections and blocks may take is set aside, so that however many come, the budget
 * holds. */
static int reserve_memory(struct server *server, unsigned *connections_out,
			  struct error *err)
{
	const struct config *config = server->options->archive.config;
	uint64_t each = SERVER_CONNECTION_MEMORY + SERVER_BLOCK_SIZE +
			(server->options->certificate ? SERVER_TLS_MEMORY : 0);
	uint64_t available = budget_available(server->budget);
	uint64_t blocks = available / 8 / SERVER_LARGE_BLOCK_SIZE;
	uint64_t count = config->server.max_connections;
	int r;

	if (blocks > SERVER_LARGE_BLOCKS)
		blocks = SERVER_LARGE_BLOCKS;
	available -= blocks * SERVER_LARGE_BLOCK_SIZE;
	if (count > available / each) {
		count = available / each;
		log_info("at most %u connections: [limits] memory has no room for more",
			 (unsigned)count);
	}
	server->reserved = blocks * SERVER_LARGE_BLOCK_SIZE + count * each;
	r = budget_reserve(server->budget, server->reserved, "connections", err);
	if (r < 0) {
		server->reserved = 0;
		return r;
	}
	server->large_block_count = (unsigned)blocks;
	raise_descriptors((unsigned)count);
	*connections_out = (unsigned)count;
	return 0;
}

static int start_threads(struct server *server, struct error *err)
{
	int r;

	if (budget_new(memory_for_clients(server), &server->budget) < 0)
		return error_set(err, -ENOMEM, "no memory for a server");
	r = windows_new(server->budget, &server->streams.windows, err);
	if (r == 0)
		r = pool_new(READERS, &server->pool, err);
	server->streams.pool = server->pool;
	server->streams.group = &server->group;
	return r;
}

static int listen_all(struct server *server, unsigned connections, struct error *err)
{
	const struct server_options *options = server->options;
	unsigned jobs = config_jobs(options->archive.config);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < options->socket_count; i++)
		r = connection_listen(server, i, options->sockets[i],
				      jobs < EVENT_THREADS ? jobs : EVENT_THREADS,
				      connections / (unsigned)options->socket_count, err);
	return r;
}

static int take_signals(struct loop *loop, struct error *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return loop->signal_fd < 0 ? error_set_errno(err, -errno, "signals") : 0;
}

static int run(struct loop *loop, struct error *err)
{
	struct server *server = loop->server;
	unsigned connections = 0;
	int folder;
	int r;

	r = take_signals(loop, err);
	if (r == 0)
		r = load_tokens(server, err);
	if (r == 0)
		r = open_archive(server, err);
	if (r == 0)
		r = start_threads(server, err);
	if (r == 0)
		r = reserve_memory(server, &connections, err);
	if (r < 0)
		return r;
	folder = archive_folder(backing_archive(server->backing));
	(void)fstatat(folder, ARCHIVE_CATALOG_FILE, &loop->catalog.seen, 0);
	if (server->options->token_file)
		(void)stat(server->options->token_file, &loop->tokens.seen);
	r = listen_all(server, connections, err);
	if (r == 0) {
		server->options->ready(server->options->context);
		serve_until_signal(loop);
		stop(loop);
	}
	(void)task_group_wait(&server->group, NULL);
	connection_stop(server);
	return r;
}

static void server_done(struct server *server)
{
	pool_free(server->pool);
	windows_free(server->streams.windows);
	if (server->budget)
		budget_release(server->budget, server->reserved);
	budget_free(server->budget);
	backing_unref(server->backing);
	read_health_free(server->health);
	token_file_free(server->tokens);
	text_done(&server->last_health);
	clients_done(&server->clients);
	peers_done(&server->peers);
	sessions_done(&server->sessions);
	task_group_done(&server->group);
	mutex_done(&server->mutex);
}

int serve(const struct server_options *options, struct error *err)
{
	const struct config *config = options->archive.config;
	struct server server = { .options = options, .started = clock_monotonic_ns() };
	struct loop loop = { .server = &server, .signal_fd = -1 };
	int r;

	mutex_init(&server.mutex);
	task_group_init(&server.group);
	peers_init(&server.peers, config);
	sessions_init(&server.sessions, config->server.session_timeout * SECOND);
	clients_init(&server.clients, &server.peers,
		     &(struct client_times){
			     .head = config->server.request_timeout * SECOND,
			     .answer = (config->server.answer_timeout + GRACE) * SECOND,
			     .take = config->server.send_timeout * SECOND,
		     });
	r = run(&loop, err);
	cleanup_close_p(&loop.signal_fd);
	server_done(&server);
	return r;
}
