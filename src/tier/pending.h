/* SPDX-License-Identifier: MIT */
#pragma once
/* The guard's requests that wait for an answer. An entry keeps the event's descriptor open,
 * so that its number stays this event's until it was answered.
 *
 * Threads: one at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pending {
	uint64_t sequence;
	int fd;
	int pid;
	bool sent;         /* to the worker */
	uint64_t deadline; /* clock_monotonic_ns(): then it is denied */
};

/* Starts as { .group = ... }. */
struct pendings {
	int group;             /* borrowed */
	struct pending *items; /* owned */
	size_t count;
	size_t capacity;
};

/* -ENOMEM. */
int pendings_add(struct pendings *pendings, const struct pending *pending);

/* NULL: there is none, or no longer. */
struct pending *pendings_find(struct pendings *pendings, uint64_t sequence);

/* Answer it with @error (0: go on), and forget it; the last entry takes its place. */
void pendings_answer(struct pendings *pendings, struct pending *pending, int error);

/* Answer all, or those whose deadline is over. */
void pendings_answer_all(struct pendings *pendings, int error);
void pendings_expire(struct pendings *pendings, uint64_t now);

/* Close all without an answer, and free: another process answers. */
void pendings_abandon(struct pendings *pendings);
