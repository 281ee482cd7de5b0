/* SPDX-License-Identifier: MIT */
/* A hash table of chains with one list by age through all of it. The key is the extent's
 * place and the hash that its record gives, so that a description with another hash never
 * meets a table that was verified against the first.
 *
 * Two threads that miss at once both load; the second one's table is dropped in favour of
 * the first. That is cheaper than making one wait for the other's repair.
 */
#include "volume/table_cache.h"

#include "base/error.h"
#include "base/mutex.h"
#include "volume/extent_table.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <string.h>

#define BUCKETS 256u /* power of two */

struct key {
	uint64_t offset; /* of the extent in the volume */
	struct hash hash;
};

struct entry {
	struct key key;
	struct extent_table *table;
	struct entry *chain;         /* next in the bucket */
	struct entry *newer, *older; /* by last use */
};

struct table_cache {
	struct mutex mutex; /* guards everything below */
	size_t size, size_max;
	struct entry *buckets[BUCKETS];
	struct entry *newest, *oldest;
};

int table_cache_new(size_t size_max, struct table_cache **cache_out, struct error *err)
{
	struct table_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return error_set_errno(err, -ENOMEM, "table cache");
	mutex_init(&cache->mutex);
	cache->size_max = size_max;
	*cache_out = cache;
	return 0;
}

static void entry_free(struct entry *entry)
{
	extent_table_free(entry->table);
	free(entry);
}

void table_cache_free(struct table_cache *cache)
{
	if (!cache)
		return;
	while (cache->newest) {
		struct entry *entry = cache->newest;

		cache->newest = entry->older;
		entry_free(entry);
	}
	mutex_done(&cache->mutex);
	free(cache);
}

static struct entry **bucket_of(struct table_cache *cache, const struct key *key)
{
	uint64_t mixed = key->offset * UINT64_C(0x9e3779b97f4a7c15);

	return &cache->buckets[mixed >> 56 & (BUCKETS - 1)];
}

static bool key_equal(const struct key *a, const struct key *b)
{
	return a->offset == b->offset && hash_equal(&a->hash, &b->hash);
}

static void unlink_locked(struct table_cache *cache, struct entry *entry)
	requires_mutex(cache->mutex)
{
	*(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void push_locked(struct table_cache *cache, struct entry *entry)
	requires_mutex(cache->mutex)
{
	entry->newer = NULL;
	entry->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
	cache->newest = entry;
}

static struct extent_table *find_locked(struct table_cache *cache, const struct key *key)
	requires_mutex(cache->mutex)
{
	for (struct entry *entry = *bucket_of(cache, key); entry; entry = entry->chain)
		if (key_equal(&entry->key, key)) {
			unlink_locked(cache, entry);
			push_locked(cache, entry);
			return extent_table_ref(entry->table);
		}
	return NULL;
}

static void evict_locked(struct table_cache *cache) requires_mutex(cache->mutex)
{
	struct entry *entry = cache->oldest;
	struct entry **link = bucket_of(cache, &entry->key);

	while (*link != entry)
		link = &(*link)->chain;
	*link = entry->chain;
	unlink_locked(cache, entry);
	cache->size -= extent_table_size(entry->table);
	entry_free(entry);
}

/* Keep @table; failing to is no error, only slower. */
static void insert(struct table_cache *cache, const struct key *key,
		   struct extent_table *table)
{
	size_t size = extent_table_size(table);
	struct entry *entry;
	struct entry **bucket;

	mutex_scope(&cache->mutex);
	autoptr(extent_table) found = find_locked(cache, key);
	if (found || size > cache->size_max)
		return;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return;

	while (cache->oldest && cache->size_max - cache->size < size)
		evict_locked(cache);
	bucket = bucket_of(cache, key);
	entry->key = *key;
	entry->table = extent_table_ref(table);
	entry->chain = *bucket;
	*bucket = entry;
	push_locked(cache, entry);
	cache->size += size;
}

static struct key key_of(const struct stripe_view *view, unsigned extent)
{
	struct key key = { .offset = extent_offset(view->info, extent) };

	if (view->authentic)
		key.hash = view->info->extents[extent].hash;
	return key;
}

void table_cache_put(struct table_cache *cache, const struct stripe_view *view,
		     unsigned extent, struct extent_table *table)
{
	struct key key = key_of(view, extent);

	insert(cache, &key, table);
}

int table_cache_get(struct table_cache *cache, struct stripe_view *view, unsigned extent,
		    struct extent_table **table_out, struct error *err)
{
	struct key key = key_of(view, extent);
	struct extent_table *table;
	int r;

	{
		mutex_scope(&cache->mutex);
		table = find_locked(cache, &key);
	}
	if (!table) {
		r = extent_table_load(view, extent, &table, err);
		if (r < 0)
			return r;
		if (table->verified)
			insert(cache, &key, table);
	}
	*table_out = table;
	return 0;
}
