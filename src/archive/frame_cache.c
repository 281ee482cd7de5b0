/* SPDX-License-Identifier: MIT */
/* 2Q (Johnson and Shasha, "2Q: A Low Overhead High Performance Buffer Management Replacement
 * Algorithm", VLDB 1994), cut into shards by the key.
 *
 *   absent --FRAME_WHOLE, FRAME_AHEAD--> LOADING --loaded--> NEW --out of room--> GONE
 *   absent --FRAME_PART--> GONE                   (what was asked for is decoded alone)
 *   GONE --any want--> LOADING --loaded--> MAIN --out of room--> absent
 *   LOADING --failed--> absent
 *
 * NEW is first in, first out, and being used there counts for nothing: the many small reads
 * that make one pass over a frame are one use. Only a frame that is asked for again after it
 * has left NEW (GONE remembers its key) gets into MAIN, where the least recently used goes.
 * So a scan of any length displaces no more than NEW, a quarter of the cache, and a frame of
 * which random reads want 4 KiB is decoded as a whole from the second time on.
 *
 * 2Q was chosen over S3-FIFO because there a frame that is hit twice on its way through the
 * small queue counts as popular, as each frame of a scan in small steps is.
 *
 * A shard's frames in use are never chosen for eviction; if nothing else is left, the caller
 * gets FRAME_NONE and reads without the cache. So the bound is strict. The memory of an
 * evicted frame is handed on to the frame that comes in if it has the right size: fresh
 * memory costs a page fault for each page, an eighth of the time that decoding takes.
 */
#include "archive/frame_cache.h"

#include "base/budget.h"
#include "base/error.h"
#include "base/mutex.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS_MAX 16u
#define SHARD_SIZE (64u << 20) /* bytes of cache that are worth a shard of their own */
#define STEP (1u << 20)        /* bytes taken from the budget at a time */
#define ROUNDING (16u << 10)   /* bytes: sizes of memory, so that it can be handed on */
#define BUCKETS_MAX 4096u
#define NEW_SHARE 4u /* the part of a full cache that is for NEW */
#define GONE_SIZE \
	(256u << 10) /* bytes of cache for which one key is remembered: who comes
				* back later than that would not be found in MAIN, either */
#define GONE_MIN 8u
#define SPARE_SHARE 8u        /* of the budget: what the cache leaves to others ... */
#define SPARE_MAX (32u << 20) /* ... in bytes at most */

enum state {
	STATE_LOADING, /* in no queue */
	STATE_NEW,
	STATE_MAIN,
	STATE_GONE, /* without data */
	STATE_COUNT,
};

struct entry {
	struct frame frame; /* first member */
	enum state state;
	bool again;     /* while loading: it goes to MAIN */
	unsigned users; /* and the loader */
	size_t size;    /* bytes at frame.data, rounded up */
	struct entry *chain;
	struct entry *newer; /* in its queue */
	struct entry *older;
};

/* Newest first. */
struct queue {
	struct entry *newest;
	struct entry *oldest;
	size_t count;
	size_t size; /* bytes */
};

struct shard {
	struct mutex mutex; /* guards all below */
	struct cond loaded; /* or failed */
	struct entry **buckets;
	unsigned bucket_count; /* a power of two */
	struct queue queues[STATE_COUNT];
	size_t used;     /* bytes of all frames, being loaded or not */
	size_t reserved; /* bytes taken from the budget; used <= reserved */
};

struct frame_cache {
	struct budget *budget; /* borrowed, or NULL */
	uint64_t spare;        /* bytes to leave in it */
	size_t shard_size;     /* bytes at most, each */
	unsigned shard_count;
	struct shard shards[SHARDS_MAX];
};

int frame_cache_new(struct budget *budget, uint64_t size_max,
		    struct frame_cache **cache_out, struct error *err)
{
	autoptr(frame_cache) cache = calloc(1, sizeof(*cache));
	uint64_t count = size_max / SHARD_SIZE;
	unsigned buckets = 16;

	if (!cache)
		return error_set(err, -ENOMEM, "out of memory");
	count = count < 1 ? 1 : count > SHARDS_MAX ? SHARDS_MAX : count;
	cache->budget = budget;
	if (budget)
		cache->spare = budget_size(budget) / SPARE_SHARE;
	if (cache->spare > SPARE_MAX)
		cache->spare = SPARE_MAX;
	cache->shard_size = (size_t)(size_max / count);
	while (buckets < BUCKETS_MAX && (uint64_t)buckets * ROUNDING < cache->shard_size)
		buckets *= 2;
	for (; cache->shard_count < count; cache->shard_count++) {
		struct shard *shard = &cache->shards[cache->shard_count];

		shard->buckets = calloc(buckets, sizeof(struct entry *));
		if (!shard->buckets)
			return error_set(err, -ENOMEM, "out of memory");
		shard->bucket_count = buckets;
		mutex_init(&shard->mutex);
		cond_init(&shard->loaded);
	}
	*cache_out = take_ptr(cache);
	return 0;
}

static void entry_free(struct entry *entry)
{
	free(entry->frame.data);
	free(entry);
}

static void shard_free(struct frame_cache *cache, struct shard *shard)
{
	for (unsigned i = 0; i < shard->bucket_count; i++) {
		struct entry *next;

		for (struct entry *e = shard->buckets[i]; e; e = next) {
			next = e->chain;
			assert(e->users == 0);
			entry_free(e);
		}
	}
	free(shard->buckets);
	if (cache->budget)
		budget_release(cache->budget, shard->reserved);
	mutex_done(&shard->mutex);
	cond_done(&shard->loaded);
}

void frame_cache_free(struct frame_cache *cache)
{
	if (!cache)
		return;
	for (unsigned i = 0; i < cache->shard_count; i++)
		shard_free(cache, &cache->shards[i]);
	free(cache);
}

/* Ids are hashes; the other fields tell frames of one segment apart. */
static uint64_t key_number(const struct frame_key *key)
{
	uint64_t number;

	memcpy(&number, key->id.bytes, sizeof(number));
	number ^= key->index * UINT64_C(0x9e3779b97f4a7c15);
	number += (uint64_t)key->offset * UINT64_C(0xd6e8feb86659fd93);
	return number ^ number >> 29;
}

static bool keys_equal(const struct frame_key *a, const struct frame_key *b)
{
	return a->offset == b->offset && a->size == b->size && a->index == b->index &&
	       hash_equal(&a->id, &b->id);
}

static struct shard *shard_of(struct frame_cache *cache, const struct frame_key *key)
{
	return &cache->shards[(key_number(key) >> 40) % cache->shard_count];
}

/* The table and the queues. */

static struct entry **bucket_of(struct shard *shard, const struct frame_key *key)
{
	return &shard->buckets[key_number(key) & (shard->bucket_count - 1)];
}

static struct entry *find_locked(struct shard *shard, const struct frame_key *key)
	requires_mutex(shard->mutex)
{
	struct entry *entry = *bucket_of(shard, key);

	while (entry && !keys_equal(&entry->frame.key, key))
		entry = entry->chain;
	return entry;
}

static struct entry *add_locked(struct shard *shard, const struct frame_key *key)
	requires_mutex(shard->mutex)
{
	struct entry **bucket = bucket_of(shard, key);
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->frame.key = *key;
	entry->state = STATE_LOADING;
	entry->chain = *bucket;
	*bucket = entry;
	return entry;
}

static void remove_locked(struct shard *shard, struct entry *entry)
	requires_mutex(shard->mutex)
{
	struct entry **p = bucket_of(shard, &entry->frame.key);

	while (*p != entry)
		p = &(*p)->chain;
	*p = entry->chain;
	entry_free(entry);
}

static void enqueue_locked(struct shard *shard, struct entry *entry, enum state state)
	requires_mutex(shard->mutex)
{
	struct queue *queue = &shard->queues[state];

	entry->state = state;
	entry->newer = NULL;
	entry->older = queue->newest;
	if (queue->newest)
		queue->newest->newer = entry;
	else
		queue->oldest = entry;
	queue->newest = entry;
	queue->count++;
	queue->size += entry->size;
}

static void dequeue_locked(struct shard *shard, struct entry *entry)
	requires_mutex(shard->mutex)
{
	struct queue *queue = &shard->queues[entry->state];

	if (entry->newer)
		entry->newer->older = entry->older;
	else
		queue->newest = entry->older;
	if (entry->older)
		entry->older->newer = entry->newer;
	else
		queue->oldest = entry->newer;
	queue->count--;
	queue->size -= entry->size;
	entry->state = STATE_LOADING;
}

/* Room. */

static void remember_locked(struct shard *shard, struct entry *entry)
	requires_mutex(shard->mutex)
{
	struct queue *gone = &shard->queues[STATE_GONE];
	size_t limit = shard->reserved / GONE_SIZE;

	enqueue_locked(shard, entry, STATE_GONE);
	while (gone->count > (limit > GONE_MIN ? limit : GONE_MIN)) {
		struct entry *oldest = gone->oldest;

		dequeue_locked(shard, oldest);
		remove_locked(shard, oldest);
	}
}

static struct entry *oldest_unused(const struct queue *queue)
{
	struct entry *entry = queue->oldest;

	while (entry && entry->users > 0)
		entry = entry->newer;
	return entry;
}

/* Take the memory of one frame; NULL: all are in use. */
static uint8_t *evict_locked(struct shard *shard, size_t *size_out)
	requires_mutex(shard->mutex)
{
	struct queue *fresh = &shard->queues[STATE_NEW];
	struct queue *popular = &shard->queues[STATE_MAIN];
	struct entry *entry = NULL;
	uint8_t *data;

	if (fresh->size <= shard->used / NEW_SHARE)
		entry = oldest_unused(popular);
	if (!entry)
		entry = oldest_unused(fresh);
	if (!entry)
		entry = oldest_unused(popular);
	if (!entry)
		return NULL;

	dequeue_locked(shard, entry);
	shard->used -= entry->size;
	*size_out = entry->size;
	data = take_ptr(entry->frame.data);
	entry->size = 0;
	if (entry->again)
		remove_locked(shard, entry);
	else
		remember_locked(shard, entry);
	return data;
}

static bool budget_has(const struct frame_cache *cache, uint64_t size)
{
	return !cache->budget || budget_available(cache->budget) >= size;
}

/* Take another step from the budget. */
static bool grow_locked(struct frame_cache *cache, struct shard *shard)
	requires_mutex(shard->mutex)
{
	size_t step = cache->shard_size - shard->reserved;

	if (step > STEP)
		step = STEP;
	if (step == 0 || !budget_has(cache, cache->spare + step))
		return false;
	if (cache->budget && budget_reserve(cache->budget, step, "cache", NULL) < 0)
		return false;
	shard->reserved += step;
	return true;
}

/* Others need the memory: give back a step, by and by all but one. */
static void shrink_locked(struct frame_cache *cache, struct shard *shard)
	requires_mutex(shard->mutex)
{
	size_t keep;

	if (shard->reserved < 2 * STEP || budget_has(cache, cache->spare))
		return;
	keep = shard->reserved - STEP;
	while (shard->used > keep) {
		size_t size;
		uint8_t *data = evict_locked(shard, &size);

		if (!data)
			return;
		free(data);
	}
	shard->reserved = keep;
	budget_release(cache->budget, STEP);
}

/* @size bytes for a frame, counted as used; NULL if that can't be. */
static uint8_t *make_room_locked(struct frame_cache *cache, struct shard *shard,
				 size_t size) requires_mutex(shard->mutex)
{
	uint8_t *data = NULL;

	if (cache->budget)
		shrink_locked(cache, shard);
	while (shard->used + size > shard->reserved) {
		size_t evicted = 0;

		if (grow_locked(cache, shard))
			continue;
		free(data);
		data = evict_locked(shard, &evicted);
		if (!data)
			return NULL;
		if (evicted != size)
			free(take_ptr(data));
	}
	if (!data)
		data = malloc(size);
	if (data)
		shard->used += size;
	return data;
}

/* Let the caller load the frame; @entry is NULL or GONE. */
static enum frame_found begin_locked(struct frame_cache *cache, struct shard *shard,
				     const struct frame_key *key, struct entry *entry,
				     struct frame **frame_out)
	requires_mutex(shard->mutex)
{
	size_t size = (key->size + ROUNDING - 1) / ROUNDING * ROUNDING;
	bool again = entry != NULL;
	uint8_t *data;

	if (again)
		dequeue_locked(shard, entry); /* making room must not forget it */
	data = make_room_locked(cache, shard, size);
	if (data && !entry)
		entry = add_locked(shard, key);
	if (!data || !entry) {
		if (data)
			shard->used -= size;
		free(data);
		if (entry)
			remove_locked(shard, entry);
		return FRAME_NONE;
	}
	entry->frame.data = data;
	entry->size = size;
	entry->again = again;
	entry->users = 1;
	*frame_out = &entry->frame;
	return FRAME_LOAD;
}

static void note_part_locked(struct shard *shard, const struct frame_key *key)
	requires_mutex(shard->mutex)
{
	struct entry *entry = add_locked(shard, key);

	if (entry)
		remember_locked(shard, entry);
}

enum frame_found frame_cache_get(struct frame_cache *cache, const struct frame_key *key,
				 enum frame_want want, struct frame **frame_out)
{
	struct shard *shard = shard_of(cache, key);
	struct entry *entry;

	mutex_scope(&shard->mutex);
	entry = find_locked(shard, key);
	while (entry && entry->state == STATE_LOADING && want != FRAME_AHEAD) {
		cond_wait(&shard->loaded, &shard->mutex);
		entry = find_locked(shard, key);
	}
	if (!entry && want == FRAME_PART) {
		note_part_locked(shard, key);
		return FRAME_NONE;
	}
	if (!entry || entry->state == STATE_GONE)
		return begin_locked(cache, shard, key, entry, frame_out);
	if (want == FRAME_AHEAD)
		return FRAME_NONE;
	if (entry->state == STATE_MAIN) {
		dequeue_locked(shard, entry);
		enqueue_locked(shard, entry, STATE_MAIN);
	}
	entry->users++;
	*frame_out = &entry->frame;
	return FRAME_HIT;
}

bool frame_cache_has(struct frame_cache *cache, const struct frame_key *key)
{
	struct shard *shard = shard_of(cache, key);
	const struct entry *entry;

	mutex_scope(&shard->mutex);
	entry = find_locked(shard, key);
	return entry && entry->state != STATE_GONE;
}

void frame_cache_loaded(struct frame_cache *cache, struct frame *frame)
{
	struct shard *shard = shard_of(cache, &frame->key);
	struct entry *entry = (struct entry *)frame;

	mutex_scope(&shard->mutex);
	assert(entry->state == STATE_LOADING);
	enqueue_locked(shard, entry, entry->again ? STATE_MAIN : STATE_NEW);
	cond_broadcast(&shard->loaded);
}

void frame_cache_failed(struct frame_cache *cache, struct frame *frame)
{
	struct shard *shard = shard_of(cache, &frame->key);
	struct entry *entry = (struct entry *)frame;

	mutex_scope(&shard->mutex);
	assert(entry->state == STATE_LOADING);
	shard->used -= entry->size;
	remove_locked(shard, entry);
	cond_broadcast(&shard->loaded);
}

void frame_cache_release(struct frame_cache *cache, struct frame *frame)
{
	struct shard *shard = shard_of(cache, &frame->key);
	struct entry *entry = (struct entry *)frame;

	mutex_scope(&shard->mutex);
	assert(entry->users > 0);
	entry->users--;
}

uint64_t frame_cache_bytes(struct frame_cache *cache)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < cache->shard_count; i++) {
		mutex_scope(&cache->shards[i].mutex);
		bytes += cache->shards[i].used;
	}
	return bytes;
}
