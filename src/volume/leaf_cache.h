/* SPDX-License-Identifier: MIT */
#pragma once
/* A few verified leaves that were wanted in part only: who reads on wants their rest. A leaf
 * is known by where it lies and by its hash. Of several who want one at the same time, the
 * first reads it and the others wait.
 *
 * Internally locked; no I/O happens here.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct leaf_cache;

struct leaf_key {
	uint64_t offset; /* in the volume */
	struct hash hash;
};

/* Memory for each leaf is taken when there is one more to keep. -ENOMEM. */
int leaf_cache_new(unsigned leaves, struct leaf_cache **cache_out, struct error *err);
void leaf_cache_free(struct leaf_cache *cache);
DEFINE_AUTOPTR(leaf_cache);

/* Copy bytes [@start, @start + @size) of a leaf, if it is here. False: the caller reads it,
 * and calls leaf_cache_put(), whatever comes of it. Until then all others who want it wait;
 * so who wants several asks for them by rising offsets. */
bool leaf_cache_get(struct leaf_cache *cache, const struct leaf_key *key, uint32_t start,
		    uint8_t *data, uint32_t size);

/* Keep @size bytes of @data, at most LEAF_SIZE, as the leaf that leaf_cache_get() did not
 * have; NULL: there is nothing to keep, and the next one who wants it shall try. */
void leaf_cache_put(struct leaf_cache *cache, const struct leaf_key *key,
		    const uint8_t *data, uint32_t size);
