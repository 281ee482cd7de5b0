/* SPDX-License-Identifier: MIT */
#pragma once
/* Sessions: who has shown a token once gets the name of a session in a cookie, which scripts
 * of a page can't read. A session says which token it stands for and no more: whether that is
 * still good is asked each time. There are at most SESSIONS_MAX, and the server forgets them
 * when it ends.
 *
 * Internally locked: any thread. Times are clock_monotonic_ns().
 */
#include "base/mutex.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct error;

#define SESSIONS_MAX 256u
#define SESSIONS_PER_TOKEN 32u /* a new one takes the place of the oldest */
#define SESSION_NAME_SIZE 65u  /* bytes, NUL included: 256 random bits */

struct session {
	struct hash name;  /* the hash of it: comparing tells nothing about the name */
	struct hash token; /* the hash that the token file has */
	uint64_t used;     /* when it was asked for last; 0: there is none */
};

struct sessions {
	struct mutex mutex; /* guards all */
	uint64_t timeout;   /* nanoseconds without a request */
	struct session all[SESSIONS_MAX];
};

void sessions_init(struct sessions *sessions, uint64_t timeout);
void sessions_done(struct sessions *sessions);

/* Begin a session for the token with the hash @token. -errno if there is no randomness. */
int sessions_begin(struct sessions *sessions, const struct hash *token, uint64_t now,
		   char name_out[SESSION_NAME_SIZE], struct error *err);

/* The token that the session @name stands for. False: there is no such session. */
bool sessions_find(struct sessions *sessions, const char *name, uint64_t now,
		   struct hash *token_out);

/* End it. Nothing if there is none. */
void sessions_end(struct sessions *sessions, const char *name);
