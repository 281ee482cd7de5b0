/* SPDX-License-Identifier: MIT */
#pragma once
/* Segments with their tables, kept while they are used and, up to a number of bytes,
 * afterwards, the least recently used going first. Internally locked: any thread.
 */
#include "archive/segment_runs.h"
#include "archive/source.h"
#include "base/cleanup.h"
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment_cache;

/* What the source hands out, and where it came from. The fields below `ref` are the
 * cache's, but for those that are set before segment_cache_insert(). */
struct cached_segment {
	struct segment_ref ref;     /* first member; set before; ref.table owned */
	struct segment_place place; /* set before; immutable */
	struct segment_runs runs;   /* set before; owned */
	uint8_t *header;            /* set before; owned: holds ref.info.metadata */
	bool recovered; /* set before: what its volume does not give, groups do */
	size_t size;    /* bytes it counts for */
	unsigned users;
	bool dropped;                 /* not found any more: goes with its last user */
	struct cached_segment *chain; /* same bucket */
	struct cached_segment *newer; /* by last use, of those in the cache */
	struct cached_segment *older;
};

int segment_cache_new(size_t size_max, struct segment_cache **cache_out);
/* No segment may be in use (asserted). */
void segment_cache_free(struct segment_cache *cache);
DEFINE_AUTOPTR(segment_cache);

/* The segment, with the caller as a user, or NULL. */
struct cached_segment *segment_cache_find(struct segment_cache *cache,
					  const struct hash *id, uint64_t index);

/* Put @segment in, unless another one with its identity is there, which then is returned in
 * its place (@segment is freed). The caller becomes a user. */
struct cached_segment *segment_cache_insert(struct segment_cache *cache,
					    struct cached_segment *segment);

void segment_cache_release(struct segment_cache *cache, struct cached_segment *segment);

/* Do not find @segment again; its users keep it. */
void segment_cache_drop(struct segment_cache *cache, struct cached_segment *segment);

/* For one that never was in a cache. */
void cached_segment_free(struct cached_segment *segment);
DEFINE_AUTOPTR(cached_segment);
