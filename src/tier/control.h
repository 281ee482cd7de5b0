/* SPDX-License-Identifier: MIT */
#pragma once
/* What commands ask of the worker: one request and its answer at a time, over a socket in the
 * state folder. Threads: one at a time for each connection.
 */
#include "base/error.h"
#include "merkle/hash.h"

#include <limits.h>
#include <stdint.h>

#define CONTROL_SOCKET "run.sock"

enum control_type {
	CONTROL_STUB = 1, /* make the file `path` a stub */
	CONTROL_COUNTERS, /* `counters` */
	CONTROL_CLAIM, /* no recall of the file `device`, `inode`, which comes along and is marked,
			   * until the next request on this connection, or its end. -EBUSY: it
			   * is in use */
	CONTROL_UNCLAIM, /* nothing but that */
	CONTROL_ADOPT, /* the file that comes along, which has no name and no content, is to be a
			  * stub of `size`, `hash` and `archive`, and called `path`; no answer */
	CONTROL_SETTLE, /* whether all that were adopted since the last one are stubs, durably */
};

struct control_request {
	uint32_t type;
	uint64_t device;
	uint64_t inode;
	uint64_t size; /* bytes */
	struct hash hash;
	struct hash archive;
	char path[PATH_MAX]; /* absolute, without symlinks */
};

struct control_counters {
	uint64_t jobs;    /* under way */
	uint64_t waiting; /* processes that wait for these */
	uint64_t recalled;
	uint64_t recalled_size; /* bytes */
	uint64_t failed;
};

struct control_answer {
	int32_t result; /* 0 or a negative errno */
	struct control_counters counters;
	char text[ERROR_TEXT_MAX]; /* of the error, or of the last recall that failed */
};

/* -ENOTCONN: no daemon runs. */
int control_connect(int state_fd, int *socket_out, struct error *err);
/* The answer's result, if there is an answer. */
int control_ask(int socket, uint32_t type, const char *path,
		struct control_answer *answer_out, struct error *err);
/* CONTROL_ADOPT: @request with the file @fd. */
int control_adopt(int socket, const struct control_request *request, int fd,
		  struct error *err);
/* CONTROL_CLAIM. */
int control_claim(int socket, int fd, uint64_t device, uint64_t inode, struct error *err);
