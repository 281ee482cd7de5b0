/* SPDX-License-Identifier: MIT */
/* The process that reads the group. It does nothing that can take long: requests go to the
 * worker and answers to the kernel. Two things hold it up for a moment: reading an event
 * opens its file, which waits for the lease that the worker has while it punches one; and
 * starting processes.
 *
 * The worker opens stubs itself, to fill them, and nobody could answer it: its own requests
 * are let through. That a process is the worker is known from its descriptor, which says
 * that it is still alive, so that nobody else can have its number.
 */
#include "tier/guard.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "tier/group.h"
#include "tier/guard_process.h"
#include "tier/message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK 1000 /* milliseconds */
#define WORKER_PAUSE \
	(NS_PER_SECOND / 2) /* between the start of a worker and the next one */
#define WORKER_GRACE (3 * NS_PER_SECOND) /* for a worker to come back by itself */

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static void close_all(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		cleanup_close_p(&fds[i]);
		fds[i] = -1;
	}
}

/* ---- processes ---- */

/* Returns true in the new process. */
static bool start_standby(struct guard *guard)
{
	pid_t child = fork();

	if (child < 0) {
		log_error("the guard of the hot tier has nobody to stand by: %s",
			  strerrordesc_np(errno));
		return false;
	}
	if (child == 0) {
		/* The rest are the reader's, or keep files open that somebody may
		 * want to lease. */
		pendings_abandon(&guard->pendings);
		close_all(guard->clients, GUARD_CLIENTS_MAX);
		close_all(&guard->worker.fd, 1);
		close_all(&guard->worker.pidfd, 1);
		close_all(&guard->standby_fd, 1);
		guard->standby = 0;
		return true;
	}
	guard->standby = child;
	guard->standby_fd = (int)syscall(SYS_pidfd_open, child, 0);
	return false;
}

static void end_process(pid_t process, int *pidfd)
{
	if (process <= 0)
		return;
	/* It is a child that nobody has waited for, so the number is still its. */
	(void)kill(process, SIGKILL);
	(void)waitpid(process, NULL, 0);
	close_all(pidfd, 1);
}

/* There is one to stand by, which has what this one has. Returns true in that process. */
static bool keep_standby(struct guard *guard)
{
	if (guard->standby > 0 && waitpid(guard->standby, NULL, WNOHANG) == 0)
		return false;
	if (guard->standby > 0)
		log_warn("a process of the guard was killed; there is another one now");
	close_all(&guard->standby_fd, 1);
	guard->standby = 0;
	return start_standby(guard);
}

static bool renew_standby(struct guard *guard)
{
	pid_t process = guard->standby;
	int pidfd = guard->standby_fd;

	guard->standby = 0;
	guard->standby_fd = -1;
	if (start_standby(guard))
		return true;
	end_process(process, &pidfd);
	return false;
}

/* As long as the process that had the socket lives, another one would not be let in. */
static bool is_alive(int pidfd)
{
	struct pollfd process = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&process, 1, 0) == 0;
}

static void start_worker(struct guard *guard, uint64_t now)
{
	char seconds[16];
	const char *const words[] = { "blockframe", "tier",  "run",
				      "--deadline", seconds, NULL };

	if (guard->worker.fd >= 0 || !atomic_load(&guard->shared->wanted) ||
	    now < guard->worker_start || is_alive(guard->worker.pidfd))
		return;
	guard->worker_start = now + WORKER_GRACE;
	close_all(&guard->worker.pidfd, 1);
	log_warn("the hot tier's daemon was killed; it is started again");
	(void)snprintf(seconds, sizeof(seconds), "%u",
		       atomic_load(&guard->shared->deadline_size));
	if (guard_spawn(words, -1) < 0)
		log_error("the hot tier's daemon can't be started");
}

/* ---- the worker ---- */

static void lose_worker(struct guard *guard)
{
	if (guard->worker.fd < 0)
		return;
	close_all(&guard->worker.fd, 1);
	guard->worker.ready = false;
	for (size_t i = 0; i < guard->pendings.count; i++)
		guard->pendings.items[i].sent = false;
	if (!atomic_load(&guard->shared->wanted))
		pendings_answer_all(&guard->pendings, EAGAIN);
}

static bool is_worker(const struct guard *guard, int pid)
{
	return guard->worker.fd >= 0 && pid == guard->worker.pid &&
	       is_alive(guard->worker.pidfd);
}

static void send_requests(struct guard *guard)
{
	if (guard->worker.fd < 0 || !guard->worker.ready)
		return;
	for (size_t i = 0; i < guard->pendings.count; i++) {
		struct pending *pending = &guard->pendings.items[i];
		const struct message message = { .type = MESSAGE_REQUEST,
						 .sequence = pending->sequence,
						 .number = (uint64_t)pending->pid };

		if (pending->sent)
			continue;
		if (message_send(guard->worker.fd, &message, pending->fd, MSG_DONTWAIT) <
		    0)
			return;
		pending->sent = true;
	}
}

static uint64_t deadline(const struct guard *guard)
{
	return clock_monotonic_ns() +
	       atomic_load(&guard->shared->deadline_size) * NS_PER_SECOND;
}

/* Those for whom there is no room are denied, and not left in the kernel: what the worker
 * asks for, without which nobody gets an answer, would be behind them. */
static bool may_wait(const struct guard *guard)
{
	return guard->pendings.count < guard->pending_max &&
	       (guard->worker.fd >= 0 || atomic_load(&guard->shared->wanted));
}

static void take_event(struct guard *guard, const struct group_event *event)
{
	const struct pending pending = { .sequence = guard->next_sequence++,
					 .fd = event->fd,
					 .pid = event->pid,
					 .deadline = deadline(guard) };
	int error = EAGAIN;

	if (is_worker(guard, event->pid))
		error = 0;
	else if (may_wait(guard) && pendings_add(&guard->pendings, &pending) == 0)
		return;
	group_answer(guard->group, event->fd, error);
	(void)close(event->fd);
}

static void take_events(struct guard *guard)
{
	struct group_event events[GROUP_EVENTS_MAX];
	int n = group_read(guard->group, events);

	for (int i = 0; i < n; i++)
		take_event(guard, &events[i]);
	if (n < 0)
		log_debug("fanotify: %s", strerrordesc_np(-n));
}

/* What it asked for before it was known. */
static void let_worker_through(struct guard *guard)
{
	for (size_t i = guard->pendings.count; i-- > 0;)
		if (is_worker(guard, guard->pendings.items[i].pid))
			pendings_answer(&guard->pendings, &guard->pendings.items[i], 0);
}

static int take_worker(struct guard *guard, int socket, const struct message *hello)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	int pidfd = -1;
	struct message message = {
		.type = MESSAGE_GROUP,
		.number = atomic_load(&guard->shared->marked),
	};

	if (guard->worker.fd >= 0) {
		message.error = EBUSY;
		(void)message_send(socket, &message, -1, MSG_DONTWAIT);
		return -EBUSY;
	}
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	size = sizeof(pidfd);
	close_all(&guard->worker.pidfd, 1);
	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0)
		return -errno;
	guard->worker =
		(struct guard_worker){ .fd = socket, .pidfd = pidfd, .pid = peer.pid };
	guard->worker_start = clock_monotonic_ns() + WORKER_PAUSE;
	atomic_store(&guard->shared->wanted, true);
	atomic_store(&guard->shared->deadline_size, (unsigned)hello->number);
	let_worker_through(guard);
	return message_send(socket, &message, guard->group, MSG_DONTWAIT);
}

static void take_answer(struct guard *guard, const struct message *message)
{
	struct pending *pending = pendings_find(&guard->pendings, message->sequence);

	if (!pending)
		return; /* it was denied meanwhile */
	if (message->type == MESSAGE_PROGRESS)
		pending->deadline = deadline(guard);
	else
		pendings_answer(&guard->pendings, pending, message->error);
}

/* Its number, or 0. */
static uint64_t mount_of(int fd)
{
	struct statx stat;

	return statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stat) == 0 &&
			       stat.stx_mask & STATX_MNT_ID
		       ? stat.stx_mnt_id
		       : 0;
}

/* Whether its mount is held already, by this process or the one that was before. A file
 * system that was covered comes twice: as it was beneath, and when it can be seen. */
static bool is_held(const struct guard *guard, int fd)
{
	for (unsigned i = 0; fd >= 0 && i < guard->hold_count; i++)
		if (mount_of(guard->holds[i]) == mount_of(fd))
			return true;
	return fd < 0;
}

/* Returns true in a new process. */
static bool hear_worker(struct guard *guard)
{
	struct message message;
	autoclose int fd = -1;

	if (message_receive(guard->worker.fd, &message, &fd) < 0) {
		lose_worker(guard);
		return false;
	}
	switch (message.type) {
	case MESSAGE_READY:
		guard->worker.ready = true;
		atomic_store(&guard->shared->marked, true);
		break;
	case MESSAGE_ANSWER:
	case MESSAGE_PROGRESS:
		take_answer(guard, &message);
		break;
	case MESSAGE_BYE:
		atomic_store(&guard->shared->wanted, false);
		break;
	case MESSAGE_HOLD:
		if (is_held(guard, fd) || guard->hold_count == GUARD_HOLDS_MAX)
			break;
		guard->holds[guard->hold_count++] = take_fd(&fd);
		return renew_standby(guard);
	default:
		lose_worker(guard);
		break;
	}
	return false;
}

/* ---- others ---- */

static void accept_client(struct guard *guard)
{
	int fd = accept4(guard->listener, NULL, NULL, SOCK_CLOEXEC);

	for (unsigned i = 0; fd >= 0 && i < GUARD_CLIENTS_MAX; i++) {
		if (guard->clients[i] < 0) {
			guard->clients[i] = fd;
			return;
		}
	}
	cleanup_close_p(&fd);
}

/* Returns true if the guard is to end. */
static bool hear_client(struct guard *guard, int *client)
{
	struct message message;
	struct message state = { .type = MESSAGE_STATE,
				 .sequence = guard->worker.fd >= 0
						     ? (uint64_t)guard->worker.pid
						     : 0,
				 .number = guard->pendings.count };
	autoclose int fd = -1;
	bool release = false;

	if (message_receive(*client, &message, &fd) < 0)
		message.type = 0;
	if (message.type == MESSAGE_HELLO && take_worker(guard, *client, &message) == 0) {
		*client = -1;
		return false;
	}
	/* A guard that no daemon has told of stubs guards none. */
	if (message.type == MESSAGE_ASK && !atomic_load(&guard->shared->marked))
		state.error = ENODATA;
	if (message.type == MESSAGE_RELEASE) {
		release = guard->worker.fd < 0;
		state.error = release ? 0 : EBUSY;
	}
	if (message.type == MESSAGE_RELEASE || message.type == MESSAGE_ASK)
		(void)message_send(*client, &state, -1, MSG_DONTWAIT);
	if (guard->worker.fd != *client)
		close_all(client, 1);
	else
		*client = -1;
	return release;
}

/* ---- the loop ---- */

enum {
	GROUP,
	LISTENER,
	WORKER,
	PROCESS,
	STANDBY,
	CLIENTS,
	FD_COUNT = CLIENTS + GUARD_CLIENTS_MAX,
};

static bool has_unsent(const struct guard *guard)
{
	for (size_t i = 0; guard->worker.ready && i < guard->pendings.count; i++)
		if (!guard->pendings.items[i].sent)
			return true;
	return false;
}

static void wait_for_something(const struct guard *guard, struct pollfd fds[FD_COUNT])
{
	fds[GROUP] = (struct pollfd){ guard->group, POLLIN, 0 };
	fds[LISTENER] = (struct pollfd){ guard->listener, POLLIN, 0 };
	/* Of one that is gone, the end. */
	fds[WORKER] = (struct pollfd){ guard->worker.fd, POLLIN, 0 };
	fds[PROCESS] = (struct pollfd){ guard->worker.fd < 0 ? guard->worker.pidfd : -1,
					POLLIN, 0 };
	if (has_unsent(guard))
		fds[WORKER].events |= POLLOUT;
	fds[STANDBY] = (struct pollfd){ guard->standby_fd, POLLIN, 0 };
	for (unsigned i = 0; i < GUARD_CLIENTS_MAX; i++)
		fds[CLIENTS + i] = (struct pollfd){ guard->clients[i], POLLIN, 0 };
	if (poll(fds, FD_COUNT, TICK) <= 0)
		for (unsigned i = 0; i < FD_COUNT; i++)
			fds[i].revents = 0;
}

static void start(struct guard *guard)
{
	guard->pendings = (struct pendings){ .group = guard->group };
	guard->next_sequence =
		(uint64_t)clock_realtime_ns(); /* no successor's is the same */
	guard->worker = (struct guard_worker){ .fd = -1, .pidfd = -1 };
	for (unsigned i = 0; i < GUARD_CLIENTS_MAX; i++)
		guard->clients[i] = -1;
	guard->standby = 0;
	guard->standby_fd = -1;
	guard->worker_start = clock_monotonic_ns() + WORKER_GRACE;
}

enum guard_end guard_serve(struct guard *guard)
{
	struct pollfd fds[FD_COUNT];

	start(guard);
	for (;;) {
		if (keep_standby(guard))
			return GUARD_CHILD;
		wait_for_something(guard, fds);
		/* Answers first: they make room. */
		if (fds[WORKER].revents & ~POLLOUT && hear_worker(guard))
			return GUARD_CHILD;
		if (fds[GROUP].revents)
			take_events(guard);
		if (fds[LISTENER].revents)
			accept_client(guard);
		for (unsigned i = 0; i < GUARD_CLIENTS_MAX; i++) {
			if (!fds[CLIENTS + i].revents)
				continue;
			if (hear_client(guard, &guard->clients[i])) {
				end_process(guard->standby, &guard->standby_fd);
				pendings_answer_all(&guard->pendings, EAGAIN);
				pendings_abandon(&guard->pendings);
				return GUARD_RELEASED;
			}
		}
		send_requests(guard);
		pendings_expire(&guard->pendings, clock_monotonic_ns());
		start_worker(guard, clock_monotonic_ns());
	}
}
