/* SPDX-License-Identifier: MIT */
#pragma once
/* What was seen of servers: for each URL the archive that it serves and the highest head that
 * was seen there, durably, under $XDG_STATE_HOME/blockframe/trust. What a server says later
 * has to descend from it.
 *
 * Threads: pure functions over files, which are replaced at once.
 */
#include "merkle/hash.h"

#include <stddef.h>
#include <stdint.h>

struct error;

struct trust {
	char *url; /* owned */
	struct hash archive;
	uint64_t sequence; /* of the head */
	struct hash head;
	struct hash pin; /* from which it was shown to descend; zero: from none */
	int64_t seen;    /* seconds since 1970: when it was written */
};

void trust_done(struct trust *trust);
#define autotrust __attribute__((__cleanup__(trust_done))) struct trust

/* -ENOENT: nothing is known of @url. -EBADMSG: the file is damaged. Release with
 * trust_done(). */
int trust_load(const char *url, struct trust *trust_out, struct error *err);

/* Durable on return. Sets trust->seen. */
int trust_store(struct trust *trust, struct error *err);

/* -ENOENT: there is nothing to forget. */
int trust_forget(const char *url, struct error *err);

/* All that is known, in no order; stops at non-zero and returns it. */
int trust_visit(int (*visit)(void *context, const struct trust *trust), void *context,
		struct error *err);

/* The bytes of such a file. -EBADMSG. */
int trust_decode(const void *data, size_t size, struct trust *trust_out,
		 struct error *err);
