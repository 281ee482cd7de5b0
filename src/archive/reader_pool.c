/* SPDX-License-Identifier: MIT */
/* Idle readers wait in a stack, so that the one that was used last, whose buffers are in the
 * processor's caches, is used next. There are up to `limit` of them; beyond that, a medium
 * that has none out gets a reader of its own, which goes when it is given back while enough
 * others are there. So the number of readers is bounded by `limit` plus the media that are
 * being read, and readers that hang on one medium are never those that another one needs.
 *
 * What is out is kept in a list with its medium. It is short: it is counted, not indexed.
 */
#include "archive/reader_pool.h"

#include "base/budget.h"
#include "base/error.h"
#include "base/mutex.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A reader, idle or out. */
struct place {
	struct segment_reader *reader;
	uint64_t medium; /* while it is out */
	struct place *next;
};

struct reader_pool {
	struct source *source; /* borrowed, like the next two */
	struct frame_cache *cache;
	struct budget *budget;
	unsigned limit;
	struct mutex mutex; /* guards all below */
	struct cond given;  /* back */
	struct place *idle; /* the last one used first */
	struct place *out;
	unsigned count; /* of both, and being made */
	struct segment_counters counters;
};

static void place_free(struct reader_pool *pool, struct place *place)
{
	segment_reader_free(place->reader);
	budget_release(pool->budget, SEGMENT_READER_SERVE_MEMORY);
	free(place);
}

static int place_new(struct reader_pool *pool, struct place **place_out,
		     struct error *err)
{
	struct place *place;
	int r;

	r = budget_reserve(pool->budget, SEGMENT_READER_SERVE_MEMORY, "a reader", err);
	if (r < 0)
		return r;
	place = calloc(1, sizeof(*place));
	r = place ? segment_reader_new(pool->source, pool->cache, &place->reader, err)
		  : error_set(err, -ENOMEM, "out of memory");
	if (r < 0) {
		free(place);
		budget_release(pool->budget, SEGMENT_READER_SERVE_MEMORY);
		return r;
	}
	segment_reader_serve(place->reader);
	*place_out = place;
	return 0;
}

int reader_pool_new(struct source *source, struct frame_cache *cache,
		    struct budget *budget, unsigned limit, struct reader_pool **pool_out,
		    struct error *err)
{
	struct reader_pool *pool = calloc(1, sizeof(*pool));
	int r;

	assert(limit > 0);
	if (!pool)
		return error_set(err, -ENOMEM, "out of memory");
	pool->source = source;
	pool->cache = cache;
	pool->budget = budget;
	pool->limit = limit;
	pool->count = 1;
	r = place_new(pool, &pool->idle, err);
	if (r < 0) {
		free(pool);
		return r;
	}
	mutex_init(&pool->mutex);
	cond_init(&pool->given);
	*pool_out = pool;
	return 0;
}

void reader_pool_free(struct reader_pool *pool)
{
	struct place *next;

	if (!pool)
		return;
	assert(!pool->out);
	for (struct place *place = pool->idle; place; place = next) {
		next = place->next;
		place_free(pool, place);
	}
	cond_done(&pool->given);
	mutex_done(&pool->mutex);
	free(pool);
}

static unsigned count_out_locked(const struct reader_pool *pool, uint64_t medium)
	requires_mutex(pool->mutex)
{
	unsigned count = 0;

	for (const struct place *place = pool->out; place; place = place->next)
		count += place->medium == medium;
	return count;
}

static void put_out_locked(struct reader_pool *pool, struct place *place, uint64_t medium)
	requires_mutex(pool->mutex)
{
	place->medium = medium;
	place->next = pool->out;
	pool->out = place;
}

/* How a read of this medium gets a reader. */
enum offer {
	OFFER_IDLE, /* *place_out is taken out */
	OFFER_NEW,  /* the caller makes one; it is counted */
	OFFER_NONE, /* it waits */
};

static enum offer offer_locked(struct reader_pool *pool, uint64_t medium,
			       struct place **place_out) requires_mutex(pool->mutex)
{
	unsigned out = count_out_locked(pool, medium);

	if (out >= pool->limit)
		return OFFER_NONE;
	if (pool->idle) {
		*place_out = pool->idle;
		pool->idle = pool->idle->next;
		put_out_locked(pool, *place_out, medium);
		return OFFER_IDLE;
	}
	if (pool->count >= pool->limit && out > 0)
		return OFFER_NONE;
	pool->count++;
	return OFFER_NEW;
}

/* A new reader could not be made. 0: one will be given back; else @r. */
static int wait_instead(struct reader_pool *pool, uint64_t medium, int r)
{
	mutex_scope(&pool->mutex);
	pool->count--;
	if (pool->idle)
		return 0;
	if (count_out_locked(pool, medium) == 0)
		return r;
	cond_wait(&pool->given, &pool->mutex);
	return 0;
}

static enum offer wait_for_offer(struct reader_pool *pool, uint64_t medium,
				 struct place **place_out)
{
	enum offer offer;

	mutex_scope(&pool->mutex);
	while ((offer = offer_locked(pool, medium, place_out)) == OFFER_NONE)
		cond_wait(&pool->given, &pool->mutex);
	return offer;
}

int reader_pool_take(struct reader_pool *pool, uint64_t medium,
		     struct segment_reader **reader_out, struct error *err)
{
	struct place *place = NULL;

	while (!place) {
		int r;

		if (wait_for_offer(pool, medium, &place) == OFFER_IDLE)
			break;
		r = place_new(pool, &place, err);
		if (r < 0)
			r = wait_instead(pool, medium, r);
		if (r < 0)
			return r;
		if (place) {
			mutex_scope(&pool->mutex);
			put_out_locked(pool, place, medium);
		}
	}
	*reader_out = place->reader;
	return 0;
}

void reader_pool_give(struct reader_pool *pool, struct segment_reader *reader)
{
	struct place *surplus = NULL;

	mutex_lock(&pool->mutex);
	for (struct place **p = &pool->out;; p = &(*p)->next) {
		struct place *place = *p;

		if (place->reader != reader)
			continue;
		*p = place->next;
		segment_reader_count(reader, &pool->counters);
		if (pool->count > pool->limit) {
			pool->count--;
			surplus = place;
		} else {
			place->next = pool->idle;
			pool->idle = place;
		}
		break;
	}
	cond_broadcast(&pool->given);
	mutex_unlock(&pool->mutex);
	if (surplus)
		place_free(pool, surplus);
}

void reader_pool_count(struct reader_pool *pool, struct segment_counters *counters_out)
{
	mutex_scope(&pool->mutex);
	*counters_out = pool->counters;
}
