/* SPDX-License-Identifier: MIT */
#pragma once
/* From heads to history: puts the heads that records carry among the catalog's commits, and
 * then works out, commit by commit, what changed, from the difference of their trees. This
 * is how a catalog learns of commits that it did not see being made.
 *
 * Everything happens in the caller's transaction, and the source must see what that
 * transaction has put. One thread at a time.
 */
#include "merkle/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct error;
struct record;
struct source;

#define REPLAY_KNOWN 1 /* the catalog has that commit already */
#define REPLAY_OLD 2   /* it is older than the last one replayed: too late for it */

struct replay {
	struct catalog *catalog; /* borrowed */
	bool started;            /* there is a last commit */
	uint64_t last;           /* sequence of the last commit whose changes are known */
	struct hash last_hash;   /* of its head */
	struct hash root;        /* of its tree */
};

/* What a replay meets that does not stop it; a negative result does. NULL callbacks: a gap
 * is fine, a failed commit is an error. */
struct replay_events {
	/* No head is known for the commits @first to @last. */
	int (*missing)(void *context, uint64_t first, uint64_t last, struct error *err);
	/* Commit @sequence does not follow the one before it, or its tree can't be read in
	 * full, as @why says: what can be read of it counts, and names in the pages that
	 * can't be stay as they were. */
	int (*damaged)(void *context, uint64_t sequence, const struct error *why,
		       struct error *err);
	void *context;
};

/* Begin where the catalog's last commit ends. @catalog is borrowed. */
int replay_init(struct replay *replay, struct catalog *catalog, struct error *err);

/* Take the head of @record, if it has one. 0, REPLAY_KNOWN, REPLAY_OLD, -ESTALE: there is
 * another head with its number (the archive forked), and one of them was left out,
 * -EBADMSG: it is none. */
int replay_take(struct replay *replay, const struct record *record, struct error *err);

/* Whether @record has the head of a commit that @catalog knows, and its number. */
bool replay_knows(struct catalog *catalog, const struct record *record,
		  uint64_t *sequence_out);

/* Put the changes of all commits taken since. */
int replay_run(struct replay *replay, struct source *source,
	       const struct replay_events *events, struct error *err);
