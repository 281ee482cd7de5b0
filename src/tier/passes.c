/* SPDX-License-Identifier: MIT */
#include "tier/passes.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/timestamp.h"
#include "tier/pass_report.h"
#include "tier/tier_list.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK 200 /* milliseconds between looks at whether to end */

extern char **environ;

struct passes {
	struct tier_list list; /* owned */
	uint64_t *due;         /* of each tier: clock_monotonic_ns(); UINT64_MAX: never */
	pthread_t thread;
	struct mutex mutex; /* guards all below */
	struct cond changed;
	bool stopping;
};

static bool is_stopping(struct passes *passes)
{
	mutex_scope(&passes->mutex);
	return passes->stopping;
}

/* ---- the process ---- */

static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int r;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDWR,
					     0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO,
						     STDOUT_FILENO);
	/* Above all not the group: who holds that keeps everybody waiting. */
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	if (r == 0)
		r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK |
								 POSIX_SPAWN_SETSIGDEF);
	return -r;
}

/* -errno. */
static int start_scan(const char *folder, pid_t *pid_out)
{
	const char *const words[] = { "blockframe", "tier", "scan", "--background",
				      "--",         folder, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char *arguments[sizeof(words) / sizeof(words[0])];
	int r;

	memcpy(arguments, words, sizeof(words));
	r = -posix_spawn_file_actions_init(&actions);
	if (r < 0)
		return r;
	r = -posix_spawnattr_init(&attributes);
	if (r == 0) {
		r = set_up(&actions, &attributes);
		if (r == 0)
			r = -posix_spawn(pid_out, "/proc/self/exe", &actions, &attributes,
					 arguments, environ);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* When this ends, so does the pass. */
static void wait_for(struct passes *passes, pid_t pid, const char *folder)
{
	autoclose int process = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd fd = { .fd = process, .events = POLLIN };
	bool told = false;
	int status = 0;

	while (process >= 0 && poll(&fd, 1, TICK) <= 0) {
		if (!told && is_stopping(passes)) {
			(void)kill(pid, SIGTERM);
			told = true;
		}
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status != 0 && !told)
		log_warn("the pass over '%s' has ended with %s %d", folder,
			 WIFSIGNALED(status) ? "signal" : "exit code",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* ---- times ---- */

/* From the last pass on, which may have been before this process began. */
static uint64_t first_due(int state_fd, const struct tier_entry *tier)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t interval = tier->policy.interval * NS_PER_SECOND;
	struct pass_result last;
	int64_t ago;

	if (tier->policy.interval == 0 || tier->retired)
		return UINT64_MAX;
	if (pass_report_load(state_fd, tier->folder, false, &last, NULL) < 0)
		return now;
	ago = clock_realtime_ns() - last.time;
	if (ago < 0 || (uint64_t)ago >= interval)
		return now;
	return now + interval - (uint64_t)ago;
}

static size_t next_tier(const struct passes *passes)
{
	size_t next = 0;

	for (size_t i = 1; i < passes->list.count; i++)
		if (passes->due[i] < passes->due[next])
			next = i;
	return next;
}

/* Whether it is time, and not the end. */
static bool wait_until(struct passes *passes, uint64_t due)
{
	mutex_scope(&passes->mutex);
	while (!passes->stopping && clock_monotonic_ns() < due)
		(void)cond_wait_until(&passes->changed, &passes->mutex, due);
	return !passes->stopping;
}

static void *run(void *argument)
{
	struct passes *passes = argument;
	size_t next = next_tier(passes);

	while (wait_until(passes, passes->due[next])) {
		const struct tier_entry *tier = &passes->list.items[next];
		pid_t pid;
		int r = start_scan(tier->folder, &pid);

		if (r < 0)
			log_warn("the pass over '%s' can't begin: %s", tier->folder,
				 strerrordesc_np(-r));
		else
			wait_for(passes, pid, tier->folder);
		passes->due[next] =
			clock_monotonic_ns() + tier->policy.interval * NS_PER_SECOND;
		next = next_tier(passes);
	}
	return NULL;
}

/* ---- start and stop ---- */

static void free_passes(struct passes *passes)
{
	tier_list_done(&passes->list);
	free(passes->due);
	free(passes);
}

static int load(struct passes *passes, int state_fd, bool *any_out, struct error *err)
{
	int r = tier_list_load(state_fd, &passes->list, err);

	if (r < 0)
		return r;
	passes->due = calloc(passes->list.count + 1, sizeof(*passes->due));
	if (!passes->due)
		return error_set(err, -ENOMEM, "no memory for passes");
	for (size_t i = 0; i < passes->list.count; i++) {
		passes->due[i] = first_due(state_fd, &passes->list.items[i]);
		*any_out |= passes->due[i] != UINT64_MAX;
	}
	return 0;
}

int passes_start(int state_fd, struct passes **passes_out, struct error *err)
{
	struct passes *passes = calloc(1, sizeof(*passes));
	bool any = false;
	int r;

	*passes_out = NULL;
	if (!passes)
		return error_set(err, -ENOMEM, "no memory for passes");
	r = load(passes, state_fd, &any, err);
	if (r < 0 || !any) {
		free_passes(passes);
		return r;
	}
	mutex_init(&passes->mutex);
	cond_init(&passes->changed);
	r = pthread_create(&passes->thread, NULL, run, passes);
	if (r != 0) {
		cond_done(&passes->changed);
		mutex_done(&passes->mutex);
		free_passes(passes);
		return error_set_errno(err, -r, "new thread");
	}
	*passes_out = passes;
	return 0;
}

void passes_stop(struct passes *passes)
{
	if (!passes)
		return;
	mutex_lock(&passes->mutex);
	passes->stopping = true;
	cond_broadcast(&passes->changed);
	mutex_unlock(&passes->mutex);
	(void)pthread_join(passes->thread, NULL);
	cond_done(&passes->changed);
	mutex_done(&passes->mutex);
	free_passes(passes);
}
