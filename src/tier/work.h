/* SPDX-License-Identifier: MIT */
#pragma once
/* What the worker does at the moment: one job for a file at a time, a recall or making a
 * stub of it, or a command's claim. Requests for a file that has a job wait for that; where it
 * makes a stub, it is told to give up, or is followed by a recall. Recalls of different files
 * run in parallel, in the order of tier/recall_queue.h.
 *
 * Threads: internally locked. No lock is held over I/O.
 */
#include "base/error.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "tier/recall_queue.h"
#include "tier/space.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct config_strings;
struct tiers;
struct work_job;

/* A thread's, while it recalls one file after the other. */
struct work_runner {
	struct task task;
	struct work *work;
	bool busy;
};

struct work {
	const struct tiers *tiers; /* borrowed, as the next three */
	int group;
	int guard;                          /* the guard's socket, for answers */
	struct pool *pool;                  /* recalls files, with RECALLS_MAX threads */
	uint64_t interval;                  /* nanoseconds between signs of progress */
	const struct config_strings *never; /* programs that get EBUSY; borrowed */
	struct space space;
	atomic_ullong steps; /* of all recalls */
	unsigned long long
		told;       /* the main thread's: how many there were at the last sign */
	struct mutex mutex; /* guards all below */
	struct work_job *jobs;
	struct work_job *fresh; /* those whose place on a volume is not known yet */
	struct recall_queue
		queue; /* those that are to run; user_max is set by the caller */
	struct work_runner runners[RECALLS_MAX];
	struct task_group tasks;
	uint64_t recalled; /* since the start, as below */
	uint64_t recalled_size;
	uint64_t failed;
	char last_problem[ERROR_TEXT_MAX];
};

/* What comes before `space`, and queue.user_max, is set by the caller; the rest is 0. */
void work_init(struct work *work);
/* Waits for recalls to end; no stub may be in the making. */
void work_done(struct work *work);

/* Answer the guard's request @sequence of the process @pid for the file @fd, which is taken
 * over, when that is there, or never will be; at once, if no descriptor was left for it (-1). */
void work_recall(struct work *work, uint64_t sequence, pid_t pid, int fd);

/* Tell the guard of requests that wait behind others, if these get on: to be called every
 * @interval by the thread that hears the guard. */
void work_tell_progress(struct work *work);

/* Make the file @path, which is @rest in the folder of tier number @tier, a stub. Errors of
 * stubber_run(); -EBUSY too if it has a job. */
int work_stub(struct work *work, size_t tier, const char *rest, const char *path,
	      struct error *err);

/* Have a job that does nothing, so that nobody recalls the file, until work_unclaim(), which
 * frees it. -EBUSY: it has another one. */
int work_claim(struct work *work, dev_t device, ino_t inode, struct work_job **job_out,
	       struct error *err);
void work_unclaim(struct work_job *job);

/* How many jobs there are, and how many requests wait for them. */
void work_count(struct work *work, size_t *jobs_out, size_t *waiting_out);
