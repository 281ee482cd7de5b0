/* SPDX-License-Identifier: MIT */
/* The main thread hears the guard, which it never makes wait, and passes requests to the
 * pool; each command that connects has a thread. When the guard's reader dies, another one
 * has its socket already; when both of the guard's processes died, this one still holds the
 * group and starts a new guard.
 */
#include "tier/worker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "tier/command_server.h"
#include "tier/control.h"
#include "tier/covering.h"
#include "tier/group.h"
#include "tier/guard.h"
#include "tier/holder.h"
#include "tier/marking.h"
#include "tier/message.h"
#include "tier/object.h"
#include "tier/passes.h"
#include "tier/tier.h"
#include "tier/work.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define GUARD_TIMEOUT 20 /* seconds for a guard to answer */
#define JOIN_TRIES 10
#define RECOVERY_PAUSE 1 /* second between two attempts to get a guard */

struct worker {
	const struct worker_options *options;
	int state_fd;
	int lock;
	int guard; /* socket; the number stays the same when there is a new guard */
	int group;
	int signals;
	bool marked; /* the stubs were, before this process began */
	struct tiers tiers;
	struct work work;
	struct command_server *server;
	struct passes *passes;
};

/* ---- the guard ---- */

static int hello(struct worker *worker, int socket, int *group_out, struct error *err)
{
	const struct message message = { .type = MESSAGE_HELLO,
					 .number = worker->options->deadline };
	struct timeval limit = { .tv_sec = GUARD_TIMEOUT };
	struct timeval none = { 0 };
	struct message answer;
	int r;

	(void)setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	r = message_send(socket, &message, -1, 0);
	if (r == 0)
		r = message_receive(socket, &answer, group_out);
	(void)setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	if (r < 0)
		return error_set_errno(err, r, "the guard does not answer");
	if (answer.error || *group_out < 0)
		return error_set(err, -EBUSY, "the guard has another daemon");
	worker->marked = answer.number;
	return 0;
}

/* Connect to the guard, or start one with the group that this process has. */
static int find_guard(struct worker *worker, int *socket_out, struct error *err)
{
	int r = message_connect(worker->state_fd, GUARD_SOCKET, socket_out, err);

	if (r == -ENOENT || r == -ECONNREFUSED)
		r = guard_start(worker->state_fd, worker->group, socket_out, err);
	return r;
}

static int tell_guard(const struct worker *worker, uint32_t type, int fd)
{
	const struct message message = { .type = type };

	return message_send(worker->guard, &message, fd, 0);
}

/* It keeps the file systems mounted, with or without a worker, and so the marks. */
static int introduce(const struct worker *worker, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < worker->tiers.count && r == 0; i++)
		r = tell_guard(worker, MESSAGE_HOLD, worker->tiers.items[i].root_fd);
	if (r == 0)
		r = tell_guard(worker, MESSAGE_READY, -1);
	return r < 0 ? error_set_errno(err, r, "the guard") : 0;
}

/* The same group is behind it, so that marks and requests go on. */
static int find_next_guard(struct worker *worker, struct error *err)
{
	autoclose int socket = -1;
	autoclose int group = -1;
	int r;

	r = find_guard(worker, &socket, err);
	if (r == 0)
		r = hello(worker, socket, &group, err);
	if (r == 0 && dup3(socket, worker->guard, O_CLOEXEC) < 0)
		r = error_set_errno(err, -errno, "socket");
	return r < 0 ? r : introduce(worker, err);
}

/* Does not give up: when this process ends, too, nobody holds the group. */
static void recover_guard(struct worker *worker)
{
	struct error why = { 0 };

	log_warn("the guard was killed");
	while (find_next_guard(worker, &why) < 0) {
		log_error("%s", why.text);
		(void)sleep(RECOVERY_PAUSE);
	}
}

/* ---- start ---- */

static int open_state(struct worker *worker, struct error *err)
{
	const char *state = worker->options->state;
	autofree char *path = NULL;
	int r;

	r = mkdir_parents(AT_FDCWD, state, 0700, err);
	if (r < 0)
		return r;
	/* For the guard, which finds it in the environment. */
	path = realpath(state, NULL);
	if (!path || setenv("BLOCKFRAME_TIER_STATE", path, 1) < 0)
		return error_set_errno(err, -errno, "'%s'", state);
	worker->state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (worker->state_fd < 0)
		return error_set_errno(err, -errno, "'%s'", state);
	r = holder_open(worker->state_fd, &worker->lock, err);
	return r < 0 ? r : holder_work(worker->lock, err);
}

/* Before anything else, if nobody holds marks: opening archives takes time, and may fail. A
 * folder that can't be covered is no reason not to guard it. */
static void cover(struct worker *worker)
{
	struct error why = { 0 };
	bool guarded;

	(void)covering_lay_unguarded(worker->state_fd, &guarded, &why);
}

static int catch_signals(struct worker *worker, struct error *err)
{
	sigset_t set;

	(void)signal(SIGIO, SIG_IGN); /* a lease that is broken */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	worker->signals = signalfd(-1, &set, SFD_CLOEXEC);
	return worker->signals < 0 ? error_set_errno(err, -errno, "signals") : 0;
}

/* The guard comes before the lock: it would find that somebody holds a group. */
static int join_guard(struct worker *worker, struct error *err)
{
	int r;

	r = find_guard(worker, &worker->guard, err);
	if (r == 0)
		r = holder_enter(worker->lock, err);
	crash_point("tier.run.entered");
	if (r == 0)
		r = hello(worker, worker->guard, &worker->group, err);
	return r;
}

/* What an earlier worker knew of is marked. A tier may have been added since, or rows made by
 * `tier check --repair`; what can't be read there keeps nobody from the rest. */
static int mark_again(const struct worker *worker, struct error *err)
{
	struct error why = { 0 };

	if (marking_all(&worker->tiers, worker->group, &why) == 0)
		return 0;
	log_error("%s", why.text);
	return marking_recover(&worker->tiers, worker->group, err);
}

/* The guard may be killed while it is spoken to: one of its processes, which another one
 * follows, or both, so that there has to be a new one. */
static int attach(struct worker *worker, struct error *err)
{
	int r;

	for (int i = 0; (r = join_guard(worker, err)) == -EPIPE && i < JOIN_TRIES; i++) {
		cleanup_close_p(&worker->guard);
		worker->guard = -1;
		r = holder_leave(worker->lock, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	if (worker->marked)
		return mark_again(worker, err);
	cover(worker); /* if it was a moment ago that there was a guard */
	r = marking_all(&worker->tiers, worker->group, err);
	crash_point("tier.cover.marked");
	return r;
}

/* All is marked, and the guard knows. Then it gets the folders once more, because it may
 * have those that can't be seen. */
static void uncover(struct worker *worker)
{
	crash_point("tier.cover.guarded");
	covering_lift_tiers(&worker->tiers);
	if (introduce(worker, NULL) < 0)
		recover_guard(worker);
}

static int start_work(struct worker *worker, struct error *err)
{
	worker->work = (struct work){
		.tiers = &worker->tiers,
		.group = worker->group,
		.guard = worker->guard,
		.interval = worker->options->deadline * NS_PER_SECOND / 4,
		.never = worker->options->never,
		.queue = { .user_max = worker->options->user_max },
	};
	work_init(&worker->work);
	return pool_new(RECALLS_MAX, &worker->work.pool, err);
}

static int start(struct worker *worker, struct error *err)
{
	int r;

	(void)group_raise_limit(); /* one for each file that is asked for */
	r = open_state(worker, err);
	if (r == 0)
		r = catch_signals(worker, err);
	if (r == 0)
		cover(worker);
	if (r == 0)
		r = tiers_open(worker->options->state, worker->state_fd,
			       2ull * RECALLS_MAX * OBJECT_CHUNK, &worker->tiers, err);
	if (r == 0)
		r = attach(worker, err);
	if (r == 0)
		r = start_work(worker, err);
	if (r == 0)
		r = command_server_start(worker->state_fd, &worker->work, &worker->server,
					 err);
	if (r == 0 && introduce(worker, NULL) < 0)
		recover_guard(worker);
	if (r == 0)
		uncover(worker);
	return r;
}

/* ---- the loop ---- */

static void hear_guard(struct worker *worker)
{
	struct message message;
	autoclose int fd = -1;

	if (message_receive(worker->guard, &message, &fd) < 0)
		recover_guard(worker);
	else if (message.type == MESSAGE_REQUEST)
		work_recall(&worker->work, message.sequence, (pid_t)message.number,
			    take_fd(&fd));
}

static int serve(struct worker *worker, struct error *err)
{
	struct pollfd fds[] = { { .fd = worker->guard, .events = POLLIN },
				{ .fd = worker->signals, .events = POLLIN } };
	uint64_t interval = worker->work.interval;
	uint64_t told = clock_monotonic_ns();

	for (;;) {
		if (poll(fds, 2, (int)(interval * 1000 / NS_PER_SECOND) + 1) < 0 &&
		    errno != EINTR)
			return error_set_errno(err, -errno, "poll");
		if (clock_monotonic_ns() - told >= interval) {
			work_tell_progress(&worker->work);
			told = clock_monotonic_ns();
		}
		if (fds[1].revents)
			return 0;
		if (fds[0].revents)
			hear_guard(worker);
	}
}

/* What is being recalled gets to its end; what is asked for from now on is denied. */
static void stop(struct worker *worker)
{
	passes_stop(worker->passes);
	command_server_stop(worker->server);
	if (worker->work.pool) {
		work_done(&worker->work);
		pool_free(worker->work.pool);
	}
	tiers_done(&worker->tiers);
	cleanup_close_p(&worker->guard);
	cleanup_close_p(&worker->signals);
	cleanup_close_p(&worker->group);
	cleanup_close_p(&worker->lock);
	cleanup_close_p(&worker->state_fd);
}

int worker_run(const struct worker_options *options, struct error *err)
{
	struct worker worker = { .options = options,
				 .state_fd = -1,
				 .lock = -1,
				 .guard = -1,
				 .group = -1,
				 .signals = -1 };
	int r;

	r = start(&worker, err);
	if (r == 0)
		r = passes_start(worker.state_fd, &worker.passes, err);
	if (r == 0) {
		options->ready();
		r = serve(&worker, err);
		while (r == 0 && tell_guard(&worker, MESSAGE_BYE, -1) < 0)
			recover_guard(&worker);
	}
	stop(&worker);
	return r;
}
