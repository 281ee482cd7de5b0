/* SPDX-License-Identifier: MIT */
#pragma once
/* One Reed-Solomon codeword some of whose shards are known, some doubtful, some gone.
 * Solving it tries the doubtful ones where the known do not suffice, because a hash of the
 * result decides in the end.
 *
 * Threads: pure; a codeword belongs to one thread.
 */
#include "volume/geometry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct parity;

#define CODEWORD_SHARDS_MAX 255

enum shard_trust {
	SHARD_ERASED = 0, /* known to be wrong, unreadable, or the one that is wanted */
	SHARD_DOUBTFUL,   /* nothing to check it against */
	SHARD_CHECKED,    /* agrees with its hash or CRC */
	SHARD_ZERO,       /* zero by definition; has no bytes */
};

struct codeword {
	const struct parity *code; /* borrowed */
	size_t size;               /* bytes in each shard, at least 1 */
	const uint8_t *bytes[CODEWORD_SHARDS_MAX];
	enum shard_trust trust[CODEWORD_SHARDS_MAX];
};

/* Make an empty codeword: all shards erased. */
void codeword_init(struct codeword *word, const struct parity *code, size_t size);

/* Compute shard @wanted into @out until @accept takes it; doubtful shards, and then
 * different checked ones, are tried in a bounded number of combinations. -EBADMSG if there
 * are too few shards or no combination was accepted. */
int codeword_solve(const struct codeword *word, unsigned wanted, uint8_t *out,
		   bool (*accept)(void *context, const uint8_t *bytes), void *context,
		   struct error *err);
