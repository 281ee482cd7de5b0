/* SPDX-License-Identifier: MIT */
/* So few that a search through all of them costs less than a hash table would. Bytes are
 * copied under the lock: at most a leaf, which takes a few microseconds.
 *
 * A slot whose leaf is being read stays until it was read; if all are, who wants another
 * leaf reads it for itself. Nobody waits in a circle, as each waits for a leaf behind those
 * that it reads.
 */
#include "volume/leaf_cache.h"

#include "base/error.h"
#include "base/mutex.h"
#include "volume/geometry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	struct leaf_key key;
	bool reading;
	uint32_t size; /* bytes that are there; if it is 0 and nobody reads, it is free */
	uint64_t used; /* tick of the last use */
	uint8_t *data; /* LEAF_SIZE bytes, or NULL */
};

struct leaf_cache {
	struct mutex mutex; /* guards all below */
	struct cond read;   /* a leaf was read, or could not be */
	uint64_t tick;
	unsigned count;
	struct slot slots[];
};

int leaf_cache_new(unsigned leaves, struct leaf_cache **cache_out, struct error *err)
{
	struct leaf_cache *cache =
		calloc(1, sizeof(*cache) + leaves * sizeof(struct slot));

	if (!cache)
		return error_set_errno(err, -ENOMEM, "leaf cache");
	mutex_init(&cache->mutex);
	cond_init(&cache->read);
	cache->count = leaves;
	*cache_out = cache;
	return 0;
}

void leaf_cache_free(struct leaf_cache *cache)
{
	if (!cache)
		return;
	for (unsigned i = 0; i < cache->count; i++)
		free(cache->slots[i].data);
	cond_done(&cache->read);
	mutex_done(&cache->mutex);
	free(cache);
}

static struct slot *find_locked(struct leaf_cache *cache, const struct leaf_key *key)
	requires_mutex(cache->mutex)
{
	for (unsigned i = 0; i < cache->count; i++) {
		struct slot *slot = &cache->slots[i];

		if ((slot->reading || slot->size > 0) &&
		    slot->key.offset == key->offset &&
		    hash_equal(&slot->key.hash, &key->hash))
			return slot;
	}
	return NULL;
}

/* The slot that was not used for longest, with memory; NULL if there is none. */
static struct slot *free_slot_locked(struct leaf_cache *cache)
	requires_mutex(cache->mutex)
{
	struct slot *oldest = NULL;

	for (unsigned i = 0; i < cache->count; i++) {
		struct slot *slot = &cache->slots[i];

		if (!slot->reading && (!oldest || slot->used < oldest->used))
			oldest = slot;
	}
	if (oldest && !oldest->data)
		oldest->data = malloc(LEAF_SIZE);
	return oldest && oldest->data ? oldest : NULL;
}

bool leaf_cache_get(struct leaf_cache *cache, const struct leaf_key *key, uint32_t start,
		    uint8_t *data, uint32_t size)
{
	struct slot *slot;

	mutex_scope(&cache->mutex);
	while ((slot = find_locked(cache, key)) && slot->reading)
		cond_wait(&cache->read, &cache->mutex);
	if (slot) {
		assert(size <= slot->size && start <= slot->size - size);
		memcpy(data, slot->data + start, size);
		slot->used = ++cache->tick;
		return true;
	}
	slot = free_slot_locked(cache);
	if (slot) {
		slot->key = *key;
		slot->reading = true;
		slot->size = 0;
		slot->used = ++cache->tick;
	}
	return false;
}

void leaf_cache_put(struct leaf_cache *cache, const struct leaf_key *key,
		    const uint8_t *data, uint32_t size)
{
	struct slot *slot;

	assert(size <= LEAF_SIZE);
	mutex_scope(&cache->mutex);
	slot = find_locked(cache, key);
	if (!slot || !slot->reading)
		return; /* there was no slot for it */
	slot->reading = false;
	if (data) {
		memcpy(slot->data, data, size);
		slot->size = size;
	}
	cond_broadcast(&cache->read);
}
