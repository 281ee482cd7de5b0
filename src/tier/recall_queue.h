/* SPDX-License-Identifier: MIT */
#pragma once
/* Recalls that wait for a thread. They are taken in the order in which their contents lie on
 * the volumes, from where the last one was and from the start again at the end, so that a tape
 * is not wound to and fro and nobody waits for ever. No user has more than a certain number
 * of them under way: others find a thread.
 *
 * Threads: one at a time.
 */
#include "volume/stripe_info.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct work_job;

/* Where a content begins. */
struct recall_place {
	struct uuid volume;
	uint64_t offset; /* in its log; bytes */
};

struct recall_wish {
	struct recall_place place;
	uid_t user;
	struct work_job *job; /* borrowed */
};

#define RECALLS_MAX 16u /* under way at a time */

struct recall_user {
	uid_t user;
	unsigned running;
};

/* Starts as { .user_max = ... }. */
struct recall_queue {
	unsigned user_max;         /* recalls under way of one user */
	struct recall_wish *items; /* owned */
	size_t count;
	size_t capacity;
	struct recall_user users[RECALLS_MAX]; /* who has recalls under way */
	size_t user_count;
	struct recall_place last; /* that was taken */
};

/* -ENOMEM. */
int recall_queue_add(struct recall_queue *queue, const struct recall_wish *wish);

/* The next one that may run, which is its user's until recall_queue_finish(). False: there is
 * none. At most RECALLS_MAX are under way. */
bool recall_queue_take(struct recall_queue *queue, struct recall_wish *wish_out);
void recall_queue_finish(struct recall_queue *queue, uid_t user);

void recall_queue_done(struct recall_queue *queue);
