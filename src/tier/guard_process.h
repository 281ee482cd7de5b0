/* SPDX-License-Identifier: MIT */
#pragma once
/* What the files of the guard share; for them only. One thread. */
#include "tier/pending.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GUARD_CLIENTS_MAX 32u
#define GUARD_HOLDS_MAX 64u

/* What the successor of a reader has to know; shared by the guard's processes. */
struct guard_shared {
	atomic_bool marked;        /* a worker has marked all stubs */
	atomic_bool wanted;        /* there was a worker, which did not say good-bye */
	atomic_uint deadline_size; /* seconds */
};

struct guard_worker {
	int fd;    /* -1: none */
	int pidfd; /* of the process at the other end */
	pid_t pid;
	bool ready;
};

struct guard {
	int state_fd;
	int lock; /* tier/holder.h */
	int group;
	int listener;
	struct guard_shared *shared;

	/* Of the process that reads: */
	struct pendings pendings;
	unsigned pending_max; /* more are denied: each takes a descriptor */
	uint64_t next_sequence;
	struct guard_worker worker;
	int clients[GUARD_CLIENTS_MAX]; /* connections that are not the worker's; -1 */
	int holds[GUARD_HOLDS_MAX];     /* kept open */
	unsigned hold_count;
	pid_t standby;         /* 0: none */
	int standby_fd;        /* pidfd */
	uint64_t worker_start; /* clock_monotonic_ns(): not before */
};

enum guard_end {
	GUARD_RELEASED, /* the guard is to end */
	GUARD_CHILD,    /* this is a new process, which is to stand by */
};

/* Read the group until one of these. The process is the group's only reader. */
enum guard_end guard_serve(struct guard *guard);
