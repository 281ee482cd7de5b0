/* SPDX-License-Identifier: MIT */
#pragma once
/* The guard: two processes that hold the fanotify group and know nothing of archives. One
 * reads the group and passes requests to the worker (tier/worker.h); the other one waits
 * for the first to end. The guard outlives the worker: without one, who opens a stub gets
 * EAGAIN.
 *
 * Threads: a process of its own, with one thread.
 */
#include <stdbool.h>
#include <stdint.h>

struct error;

#define GUARD_SOCKET "guard.sock"

/* Guard until `tier release`, for the state folder @state. @group is a group that the caller
 * has and nobody reads any more, which is taken over; -1: begin a new one. Returns 0 after the
 * release. -EBUSY: there is another guard. */
int guard_run(const char *state, int group, struct error *err);

/* Start a guard in the background, of the folder in the environment, with the group @group,
 * if that is not -1, and connect to it. -EIO: it does not answer. */
int guard_start(int state_fd, int group, int *socket_out, struct error *err);

/* Start a guard in the background for the state folder @state, unless there is one. */
int guard_run_in_background(const char *state, struct error *err);

/* Whether a guard holds the marks of all stubs; then *waiting_out is how many requests wait. */
bool guard_is_active(int state_fd, uint64_t *waiting_out);

/* Start another process of this program with the words @words (NULL at the end), in a session
 * of its own, with no descriptors but standard error and @keep, which becomes number
 * GUARD_KEPT_FD (-1: none). Callable with threads. -errno. */
#define GUARD_KEPT_FD 3
int guard_spawn(const char *const *words, int keep);
