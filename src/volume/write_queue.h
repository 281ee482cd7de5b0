/* SPDX-License-Identifier: MIT */
#pragma once
/* One thread that runs jobs strictly in order: everything a log writer does to its backend.
 * After the first failure no job is run any more, they only leave the queue.
 *
 * Threads: internally locked. Jobs are embedded in their owner's structure, which must
 * outlive their time in the queue.
 */
#include "base/cleanup.h"

#include <stdbool.h>

struct error;
struct write_queue;

struct write_job {
	int (*run)(struct write_job *job, struct error *err);
	struct write_job *next; /* the queue's */
	bool pending;           /* the queue's: from push until it has left */
};

/* Start the thread. -EAGAIN, -ENOMEM. */
int write_queue_new(struct write_queue **queue_out, struct error *err);

/* Run what is queued, end the thread. NULL is a no-op. */
void write_queue_free(struct write_queue *queue);
DEFINE_AUTOPTR(write_queue);

/* Append @job, which must not be pending. Never blocks. */
void write_queue_push(struct write_queue *queue, struct write_job *job);

/* Whether @job is still queued or running; block until it is not. */
bool write_queue_pending(struct write_queue *queue, const struct write_job *job);
void write_queue_wait(struct write_queue *queue, const struct write_job *job);

/* The result of the first job that failed, with its text; 0 if none did so far. */
int write_queue_check(struct write_queue *queue, struct error *err);

/* Block until the queue is empty, then as write_queue_check(). */
int write_queue_drain(struct write_queue *queue, struct error *err);
