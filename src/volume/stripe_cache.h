/* SPDX-License-Identifier: MIT */
#pragma once
/* The few stripe descriptions that readers are busy with, looked up by log offset.
 * Internally locked; the lookup happens outside the lock.
 */
#include "base/cleanup.h"
#include "volume/log_reader.h"

/* Immutable and counted. */
struct stripe_ref {
	unsigned references; /* atomic */
	struct stripe_info info;
	uint64_t log_end; /* where the next stripe's log begins */
};

struct stripe_cache;

/* @lookup is copied. -ENOMEM. */
int stripe_cache_new(const struct stripe_lookup *lookup, struct stripe_cache **cache_out,
		     struct error *err);
void stripe_cache_free(struct stripe_cache *cache);
DEFINE_AUTOPTR(stripe_cache);

/* The stripe that holds @log_offset, checked with stripe_check(). The reference goes to
 * the caller. -ENOENT if there is none, -EBADMSG if its description is impossible. */
int stripe_cache_get(struct stripe_cache *cache, uint64_t log_offset,
		     struct stripe_ref **stripe_out, struct error *err);

void stripe_ref_free(struct stripe_ref *stripe); /* drops a reference; NULL is a no-op */
DEFINE_AUTOPTR(stripe_ref);
