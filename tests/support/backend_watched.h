/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume file whose repairs are watched and made to fail, for tests. All else goes to the
 * file's own backend. Threads: any, but set up while nobody reads.
 */
#include "volume/backend.h"

#include <pthread.h>
#include <stdbool.h>

/* What a repair session does, in this order; READ and CHECK are reads as well. */
enum watched_step {
	WATCHED_OPEN = 1,
	WATCHED_READ, /* any read before the first write */
	WATCHED_WRITE,
	WATCHED_SYNC,
	WATCHED_CHECK, /* any read after it */
};

#define WATCHED_WRITES_MAX 4096

/* Shared by all backends that are opened with it. */
struct watch {
	pthread_mutex_t mutex;            /* guards the numbers */
	unsigned sessions;                /* opened so far */
	unsigned open_now, open_most;     /* at once */
	unsigned asking_now, asking_most; /* for one, or with one */
	unsigned writes;
	uint64_t offsets[WATCHED_WRITES_MAX]; /* of the writes */
	size_t read_largest, write_largest;   /* bytes */
	uint64_t read_bytes;                  /* but for those of repair sessions */

	enum watched_step fail_step; /* 0: none */
	int fail_code;
	unsigned
		die_at; /* call number (from 1, of a session's calls) at which the process
			  * ends; 0: none */
	bool tear;      /* it ends in the middle of the block, if that is a write */
	uint64_t bad_offset; /* reads of this block fail with -EIO until it is
					  * written; with @bad */
	bool bad;
	pthread_barrier_t *meet; /* everybody waits here before a session; or NULL */
};

void watch_init(struct watch *watch);

/* Open the file @path for reading. Asserts. */
struct backend *backend_watched_open(const char *path, struct watch *watch);
