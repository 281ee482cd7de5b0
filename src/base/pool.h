/* SPDX-License-Identifier: MIT */
#pragma once
/* A fixed number of worker threads, one first-in first-out queue; and one behind it for work
 * that can wait.
 *
 * A task is embedded in the caller's own structure, so submitting allocates nothing and
 * cannot fail. Each task belongs to a group; waiting for the group returns the first
 * error. A task's function gets the index of the worker that runs it, 0 to
 * pool_threads() - 1, so that callers keep one context (a zstd state, a buffer) for each.
 *
 * Workers block all signals. Tasks must not wait for a group themselves: with every
 * worker waiting, nobody would run what they wait for (asserted).
 *
 * Threads: internally locked. A group is used by any thread, waited for by one at a time.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/mutex.h"

#include <stdbool.h>
#include <stddef.h>

#define POOL_THREADS_MAX 256

struct pool;
struct task;

/* Runs on worker number @worker. @err is for the text of a negative return value. The
 * function may free, reuse or resubmit @task: the pool does not touch it any more. */
typedef int task_fn(struct task *task, unsigned worker, struct error *err);

struct task {
	task_fn *run;             /* set by the caller */
	struct task_group *group; /* set by pool_submit() */
	struct task *next;        /* the pool's, while queued */
};

struct task_group {
	struct mutex mutex;  /* guards all below; innermost lock */
	struct cond changed; /* pending went down to awaited */
	size_t pending;      /* tasks submitted, not yet finished */
	size_t awaited;      /* so few are waited for */
	int r;               /* first negative result */
	struct error err;    /* its text */
};

/* Start @threads workers, 0 = one for each available core. -EAGAIN, -ENOMEM, or -EINVAL
 * above POOL_THREADS_MAX. The caller frees *pool_out. */
int pool_new(unsigned threads, struct pool **pool_out, struct error *err);

/* Run what is queued, then end the workers. NULL is allowed. */
void pool_free(struct pool *pool);
DEFINE_AUTOPTR(pool);

unsigned pool_threads(const struct pool *pool);

/* Cores this process may use, 1 to POOL_THREADS_MAX: what pool_new(0, ...) starts. */
unsigned pool_default_threads(void);

/* Queue @task, which stays valid until its function starts, as a part of @group, which
 * stays valid until it was waited for. Never blocks on work. */
void pool_submit(struct pool *pool, struct task_group *group, struct task *task);

/* The same, but @task runs only when none that came by pool_submit() is queued. For work that
 * is handed out in bulk, so that others need not stand behind all of it. */
void pool_submit_patient(struct pool *pool, struct task_group *group, struct task *task);

void task_group_init(struct task_group *group);

/* No task may be pending. */
void task_group_done(struct task_group *group);

/* Only one thread at a time may wait for a group.
 *
 * Block until no task of @group is pending. Returns the first negative result of any task
 * since the last call, with its text, else 0; then the group starts afresh. */
int task_group_wait(struct task_group *group, struct error *err);

/* Block until at most @pending tasks are pending: lets a producer stay a little ahead. */
void task_group_wait_at_most(struct task_group *group, size_t pending);

/* Tasks that are not finished yet. */
size_t task_group_pending(struct task_group *group);

/* Whether a task failed: time to stop submitting. */
bool task_group_failed(struct task_group *group);
