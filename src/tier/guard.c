/* SPDX-License-Identifier: MIT */
/* What must never happen is that nobody holds the group: the kernel would let everybody
 * through, to zeroes. So there are always two processes here, and the worker is a third
 * holder; whichever of them are left make the others anew:
 *
 *   reader dies    the other one gets the lock (tier/holder.h), sweeps what the dead one had
 *                  read, reads on, and forks another one to stand by
 *   standby dies   the reader forks another one
 *   both die       the worker starts a new guard with its own descriptor of the group
 *   worker dies    the reader starts another one; requests wait for it until their deadlines
 *
 * Signals that ask a process to end are ignored: a guard that goes when the machine's
 * manager says so leaves stubs to be read as zeroes. `tier release` ends it.
 */
#include "tier/guard.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "tier/group.h"
#include "tier/guard_process.h"
#include "tier/holder.h"
#include "tier/message.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_DEFAULT 60    /* seconds */
#define SPARE_DESCRIPTORS 256u /* for what is no request */
#define START_TRIES 500        /* of 20 ms */

static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGIO };
enum { SIGNAL_COUNT = sizeof(ignored) / sizeof(ignored[0]) };

static void ignore_signals(void)
{
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		(void)signal(ignored[i], SIG_IGN);
}

/* The kernel is asked to end other processes first. Not allowed everywhere. */
static void be_spared(void)
{
	autoclose int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "-1000", 5) < 0)
		log_debug("the guard may be ended for want of memory");
}

static int share_memory(struct guard *guard, struct error *err)
{
	void *memory = mmap(NULL, sizeof(*guard->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return error_set_errno(err, -errno, "shared memory");
	guard->shared = memory;
	atomic_store(&guard->shared->deadline_size, DEADLINE_DEFAULT);
	return 0;
}

/* Get the group: the one that was handed on, whose stubs are marked, or a new one. */
static int begin(struct guard *guard, int group, struct error *err)
{
	int r;

	r = holder_read(guard->lock, false, err);
	if (r < 0)
		return r;
	if (group >= 0) {
		guard->group = group;
		atomic_store(&guard->shared->marked, true);
		atomic_store(&guard->shared->wanted, true);
	} else {
		r = holder_begin(guard->lock, err);
		if (r == 0)
			r = group_new(&guard->group, err);
	}
	if (r == 0)
		r = holder_enter(guard->lock, err);
	if (r == 0)
		r = message_listen(guard->state_fd, GUARD_SOCKET, &guard->listener, err);
	return r;
}

/* Processes that are started find the folder in the environment. */
static int open_state(struct guard *guard, const char *state, struct error *err)
{
	autofree char *path = realpath(state, NULL);

	if (!path || setenv("BLOCKFRAME_TIER_STATE", path, 1) < 0)
		return error_set_errno(err, -errno, "'%s'", state);
	guard->state_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (guard->state_fd < 0)
		return error_set_errno(err, -errno, "'%s'", state);
	return 0;
}

static int prepare(struct guard *guard, const char *state, int group, struct error *err)
{
	unsigned limit = group_raise_limit();
	int r;

	guard->pending_max = limit > 2 * SPARE_DESCRIPTORS ? limit - SPARE_DESCRIPTORS
							   : SPARE_DESCRIPTORS;
	r = open_state(guard, state, err);
	if (r < 0)
		return r;
	r = holder_open(guard->state_fd, &guard->lock, err);
	if (r == 0)
		r = share_memory(guard, err);
	if (r == 0)
		r = begin(guard, group, err);
	return r;
}

/* A new process, until the one that reads has ended. */
static int stand_by(struct guard *guard, struct error *err)
{
	int r;

	r = holder_enter(guard->lock, err);
	if (r == 0)
		r = holder_read(guard->lock, true, err);
	if (r == 0)
		log_warn("the guard of the hot tier was killed; another one goes on");
	return r;
}

int guard_run(const char *state, int group, struct error *err)
{
	struct guard guard = { .state_fd = -1, .lock = -1, .group = -1, .listener = -1 };
	int r;

	ignore_signals();
	be_spared();
	r = prepare(&guard, state, group, err);
	if (r < 0)
		return r;
	if (chdir("/") < 0)
		return error_set_errno(err, -errno, "/");
	for (;;) {
		group_sweep(guard.group);
		if (guard_serve(&guard) == GUARD_RELEASED)
			return 0;
		r = stand_by(&guard, err);
		if (r < 0)
			return r;
	}
}

int guard_start(int state_fd, int group, int *socket_out, struct error *err)
{
	static const char *const begin_words[] = { "blockframe", "tier", "guard", NULL };
	static const char *const adopt_words[] = { "blockframe", "tier", "guard",
						   "--adopt", NULL };
	int r;

	r = guard_spawn(group < 0 ? begin_words : adopt_words, group);
	if (r < 0)
		return error_set_errno(err, r, "new process");
	for (int i = 0; i < START_TRIES; i++) {
		(void)usleep(20000);
		if (message_connect(state_fd, GUARD_SOCKET, socket_out, err) == 0)
			return 0;
	}
	return error_set(err, -EIO, "the guard does not start");
}

int guard_run_in_background(const char *state, struct error *err)
{
	struct guard guard = { .state_fd = -1 };
	autoclose int socket = -1;
	int r = open_state(&guard, state, err);

	if (r == 0)
		r = message_connect(guard.state_fd, GUARD_SOCKET, &socket, err);
	if (r == -ENOENT || r == -ECONNREFUSED)
		r = guard_start(guard.state_fd, -1, &socket, err);
	cleanup_close_p(&guard.state_fd);
	return r;
}

bool guard_is_active(int state_fd, uint64_t *waiting_out)
{
	const struct message message = { .type = MESSAGE_ASK };
	struct message answer = { 0 };
	autoclose int socket = -1;
	autoclose int fd = -1;

	if (message_connect(state_fd, GUARD_SOCKET, &socket, NULL) < 0 ||
	    message_send(socket, &message, -1, 0) < 0 ||
	    message_receive(socket, &answer, &fd) < 0 || answer.error)
		return false;
	*waiting_out = answer.number;
	return true;
}

/* In the child: nothing here may allocate, for other threads were cut off in the middle of
 * whatever they did. */
static void become(const char *const *words, int keep)
{
	char *arguments[8] = { 0 };
	int null = open("/dev/null", O_RDWR);

	for (size_t i = 0; words[i] && i < 7; i++)
		memcpy(&arguments[i], &words[i], sizeof(arguments[i]));
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(1);
	if (keep == GUARD_KEPT_FD && fcntl(keep, F_SETFD, 0) < 0)
		_exit(1);
	if (keep >= 0 && keep != GUARD_KEPT_FD && dup2(keep, GUARD_KEPT_FD) < 0)
		_exit(1);
	/* What this process ignores, the new one would, too. */
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		(void)signal(ignored[i], SIG_DFL);
	(void)setsid();
	(void)close_range(keep >= 0 ? GUARD_KEPT_FD + 1 : GUARD_KEPT_FD, ~0u, 0);
	(void)execv("/proc/self/exe", arguments);
	_exit(1);
}

int guard_spawn(const char *const *words, int keep)
{
	pid_t child = fork();

	if (child < 0)
		return -errno;
	if (child > 0)
		return waitpid(child, NULL, 0) < 0 ? -errno : 0;
	/* Its parent is init, so that nobody has to wait for it. */
	child = fork();
	if (child == 0)
		become(words, keep);
	_exit(child < 0);
}
