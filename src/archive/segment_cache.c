/* SPDX-License-Identifier: MIT */
/* A hash table of chains and a list by last use, both intrusive. Ids are hashes already, so
 * their first bytes choose the bucket. Segments in use count for the size, but never go:
 * the limit is exceeded by what the readers hold at the same time.
 */
#include "archive/segment_cache.h"

#include "base/bytes.h"
#include "base/mutex.h"

#include <assert.h>
#include <string.h>

#define BUCKETS \
	1024u /* a power of two; a table of 128 frames takes 6 KiB, so 8 MiB hold as many */

struct segment_cache {
	struct mutex mutex; /* guards all below, and the cache's fields of its segments */
	size_t size;        /* bytes of what is in the table */
	size_t size_max;
	struct cached_segment *newest;
	struct cached_segment *oldest;
	struct cached_segment *buckets[BUCKETS];
};

void cached_segment_free(struct cached_segment *segment)
{
	if (!segment)
		return;
	segment_table_free(segment->ref.table);
	segment_runs_done(&segment->runs);
	free(segment->header);
	free(segment);
}

int segment_cache_new(size_t size_max, struct segment_cache **cache_out)
{
	struct segment_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->size_max = size_max;
	mutex_init(&cache->mutex);
	*cache_out = cache;
	return 0;
}

static struct cached_segment **bucket_of(struct segment_cache *cache,
					 const struct hash *id, uint64_t index)
{
	le64 first;

	memcpy(&first, id->bytes, sizeof(first));
	return &cache->buckets[(le64_get(first) ^ index) & (BUCKETS - 1)];
}

static void unlink_use_locked(struct segment_cache *cache, struct cached_segment *segment)
	requires_mutex(cache->mutex)
{
	*(segment->newer ? &segment->newer->older : &cache->newest) = segment->older;
	*(segment->older ? &segment->older->newer : &cache->oldest) = segment->newer;
	segment->newer = NULL;
	segment->older = NULL;
}

static void link_newest_locked(struct segment_cache *cache,
			       struct cached_segment *segment)
	requires_mutex(cache->mutex)
{
	segment->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = segment;
	cache->newest = segment;
}

static void remove_locked(struct segment_cache *cache, struct cached_segment *segment)
	requires_mutex(cache->mutex)
{
	struct cached_segment **p =
		bucket_of(cache, &segment->ref.id, segment->ref.index);

	while (*p != segment)
		p = &(*p)->chain;
	*p = segment->chain;
	unlink_use_locked(cache, segment);
	cache->size -= segment->size;
	segment->dropped = true;
}

static void shrink_locked(struct segment_cache *cache) requires_mutex(cache->mutex)
{
	struct cached_segment *newer;

	for (struct cached_segment *s = cache->oldest; s && cache->size > cache->size_max;
	     s = newer) {
		newer = s->newer;
		if (s->users > 0)
			continue;
		remove_locked(cache, s);
		cached_segment_free(s);
	}
}

void segment_cache_free(struct segment_cache *cache)
{
	struct cached_segment *older;

	if (!cache)
		return;
	for (struct cached_segment *s = cache->newest; s; s = older) {
		older = s->older;
		assert(s->users == 0);
		cached_segment_free(s);
	}
	mutex_done(&cache->mutex);
	free(cache);
}

static struct cached_segment *find_locked(struct segment_cache *cache,
					  const struct hash *id, uint64_t index)
	requires_mutex(cache->mutex)
{
	struct cached_segment *segment = *bucket_of(cache, id, index);

	while (segment &&
	       (segment->ref.index != index || !hash_equal(&segment->ref.id, id)))
		segment = segment->chain;
	if (!segment)
		return NULL;
	unlink_use_locked(cache, segment);
	link_newest_locked(cache, segment);
	segment->users++;
	return segment;
}

struct cached_segment *segment_cache_find(struct segment_cache *cache,
					  const struct hash *id, uint64_t index)
{
	mutex_scope(&cache->mutex);
	return find_locked(cache, id, index);
}

struct cached_segment *segment_cache_insert(struct segment_cache *cache,
					    struct cached_segment *segment)
{
	const size_t frame = sizeof(struct segment_frame) + sizeof(struct hash);
	struct cached_segment **bucket;
	struct cached_segment *found;

	mutex_scope(&cache->mutex);
	found = find_locked(cache, &segment->ref.id, segment->ref.index);
	if (found) {
		cached_segment_free(segment);
		return found;
	}
	bucket = bucket_of(cache, &segment->ref.id, segment->ref.index);
	segment->size = sizeof(*segment) + segment->ref.info.metadata_size +
			segment->runs.count * sizeof(*segment->runs.items) +
			segment->ref.table->frame_count * frame;
	segment->users = 1;
	segment->chain = *bucket;
	*bucket = segment;
	link_newest_locked(cache, segment);
	cache->size += segment->size;
	shrink_locked(cache);
	return segment;
}

void segment_cache_release(struct segment_cache *cache, struct cached_segment *segment)
{
	mutex_scope(&cache->mutex);
	assert(segment->users > 0);
	segment->users--;
	if (segment->dropped && segment->users == 0)
		cached_segment_free(segment);
	else
		shrink_locked(cache);
}

void segment_cache_drop(struct segment_cache *cache, struct cached_segment *segment)
{
	mutex_scope(&cache->mutex);
	if (!segment->dropped)
		remove_locked(cache, segment);
}
