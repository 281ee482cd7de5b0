/* SPDX-License-Identifier: MIT */
#pragma once
/* Verified extent tables, the most recently used ones up to a number of bytes.
 * Internally locked; loading happens outside the lock.
 */
#include "base/cleanup.h"

#include <stddef.h>

struct error;
struct extent_table;
struct stripe_view;
struct table_cache;

/* -ENOMEM. */
int table_cache_new(size_t size_max, struct table_cache **cache_out, struct error *err);
void table_cache_free(struct table_cache *cache);
DEFINE_AUTOPTR(table_cache);

/* The table of @extent, loaded (extent_table_load()) if it isn't here. Drop the reference
 * with extent_table_free(). Tables that are not verified are returned, but not kept. */
int table_cache_get(struct table_cache *cache, struct stripe_view *view, unsigned extent,
		    struct extent_table **table_out, struct error *err);

/* Keep @table, verified by the caller and not changed any more, as that of @extent, if there
 * is room. */
void table_cache_put(struct table_cache *cache, const struct stripe_view *view,
		     unsigned extent, struct extent_table *table);
