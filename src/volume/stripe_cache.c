/* SPDX-License-Identifier: MIT */
/* A handful of slots, replaced in turn. Sequential readers stay in one stripe for long;
 * random ones pay a catalog lookup and a copy of at most 216 extents, little against the
 * leaves that they read.
 */
#include "volume/stripe_cache.h"

#include "base/error.h"
#include "base/mutex.h"
#include "volume/stripe_view.h"

#include <errno.h>

#define SLOTS 16

struct stripe_cache {
	struct stripe_lookup lookup;
	struct mutex mutex; /* guards what follows */
	struct stripe_ref *slots[SLOTS];
	unsigned next;
};

int stripe_cache_new(const struct stripe_lookup *lookup, struct stripe_cache **cache_out,
		     struct error *err)
{
	struct stripe_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return error_set_errno(err, -ENOMEM, "stripe cache");
	cache->lookup = *lookup;
	mutex_init(&cache->mutex);
	*cache_out = cache;
	return 0;
}

void stripe_cache_free(struct stripe_cache *cache)
{
	if (!cache)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		stripe_ref_free(cache->slots[i]);
	mutex_done(&cache->mutex);
	free(cache);
}

void stripe_ref_free(struct stripe_ref *stripe)
{
	if (!stripe || __atomic_sub_fetch(&stripe->references, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	stripe_info_done(&stripe->info);
	free(stripe);
}

static struct stripe_ref *stripe_ref(struct stripe_ref *stripe)
{
	__atomic_add_fetch(&stripe->references, 1, __ATOMIC_RELAXED);
	return stripe;
}

static bool holds(const struct stripe_ref *stripe, uint64_t log_offset)
{
	return log_offset >= stripe->info.log_start && log_offset < stripe->log_end;
}

static struct stripe_ref *find(struct stripe_cache *cache, uint64_t log_offset)
{
	mutex_scope(&cache->mutex);

	for (unsigned i = 0; i < SLOTS; i++)
		if (cache->slots[i] && holds(cache->slots[i], log_offset))
			return stripe_ref(cache->slots[i]);
	return NULL;
}

static void insert(struct stripe_cache *cache, struct stripe_ref *stripe)
{
	struct stripe_ref *old;

	{
		mutex_scope(&cache->mutex);
		old = cache->slots[cache->next];
		cache->slots[cache->next] = stripe_ref(stripe);
		cache->next = (cache->next + 1) % SLOTS;
	}
	stripe_ref_free(old);
}

static int look_up(struct stripe_cache *cache, uint64_t log_offset,
		   struct stripe_ref **stripe_out, struct error *err)
{
	autoptr(stripe_ref) stripe = calloc(1, sizeof(*stripe));
	int r;

	if (!stripe)
		return error_set_errno(err, -ENOMEM, "stripe");
	stripe->references = 1;
	r = cache->lookup.find(cache->lookup.context, log_offset, &stripe->info, err);
	if (r < 0) {
		stripe->info = (struct stripe_info){ 0 };
		return r;
	}
	r = stripe_check(&stripe->info, err);
	if (r < 0)
		return r;
	if (__builtin_add_overflow(stripe->info.log_start, stripe_log_size(&stripe->info),
				   &stripe->log_end) ||
	    !holds(stripe, log_offset))
		return error_set(err, -EBADMSG,
				 "stripe %llu does not hold log offset %llu",
				 (unsigned long long)stripe->info.number,
				 (unsigned long long)log_offset);
	*stripe_out = take_ptr(stripe);
	return 0;
}

int stripe_cache_get(struct stripe_cache *cache, uint64_t log_offset,
		     struct stripe_ref **stripe_out, struct error *err)
{
	struct stripe_ref *stripe = find(cache, log_offset);

	if (!stripe) {
		int r = look_up(cache, log_offset, &stripe, err);

		if (r < 0)
			return r;
		insert(cache, stripe);
	}
	*stripe_out = stripe;
	return 0;
}
